//! Fourier transforms of many signals at once, one a lane, for correlation with long filters.
//!
//! Sixteen real signals travel as eight complex ones, a row of [`LANES`] values a sample: eight real parts, then eight
//! imaginary ones. No operation mixes lanes, so the transform needs no shuffles, and the bits do not depend on the width of
//! the processor's vectors. A filter that is real acts on both parts alike, so that they are never told apart.
//!
//! Frequencies stay in the order in which decimation in frequency leaves them: products of spectra do not care, and the
//! inverse takes them in that order (Gentleman and Sande 1966).

use std::{f64::consts::TAU, marker::PhantomData, sync::LazyLock};

use pulp::{Simd, WithSimd};

/// Samples of a transform.
pub(crate) const LENGTH: usize = 5 * QUARTERS;
/// Samples of each of the five parts that are halved twice and twice again.
const QUARTERS: usize = 256;
/// Signals that are transformed together.
pub(crate) const LANES: usize = 16;
/// Values of one transform.
pub(crate) const VALUES: usize = LENGTH * LANES;

/// Runs an operation on vectors of at most eight lanes: the halves of a row.
pub(crate) fn dispatch<Op: WithSimd>(operation: Op) -> Op::Output {
    #[cfg(target_arch = "x86_64")]
    {
        match pulp::x86::V3::try_new() {
            Some(simd) => Simd::vectorize(simd, operation),
            None => Simd::vectorize(pulp::Scalar::new(), operation),
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    pulp::Arch::new().dispatch(operation)
}

/// Powers of the root of unity of [`LENGTH`], (cosine, -sine).
static ROOTS: LazyLock<Vec<[f32; 2]>> = LazyLock::new(|| {
    (0..LENGTH)
        .map(|k| {
            let angle = TAU * k as f64 / LENGTH as f64;
            [angle.cos() as f32, -angle.sin() as f32]
        })
        .collect()
});

/// Rows of the smallest transforms: a frequency and those a quarter, half and three quarters of the rate above it. They stand together,
/// as a piece of the spectrum.
pub(crate) const ROWS: usize = 4;
/// Pieces of a spectrum.
pub(crate) const PIECES: usize = LENGTH / ROWS;

/// The rows of a piece that are kept: all, or two, those of frequencies below a quarter of the rate.
const fn kept(rows: usize) -> [usize; ROWS] {
    if rows == ROWS {
        [0, 1, 2, 3]
    } else {
        assert!(rows == 2);
        [0, 3, 1, 2]
    }
}

/// Transforms `[sample, lane]`. `R` rows of the spectrum's pieces go to `out`, `distance` values apart; `data` is left as scratch.
#[inline(always)]
pub(crate) fn forward<S: Simd, const R: usize>(
    simd: S,
    data: &mut [f32],
    out: &mut [f32],
    distance: usize,
) {
    let roots: &[[f32; 2]] = &ROOTS;
    let rows = S::as_mut_simd_f32s(&mut data[..VALUES]).0;
    let vectors = rows.len() / LENGTH / 2;
    for v in 0..vectors {
        for j in 0..QUARTERS {
            let at = Places::<S>::new(j, QUARTERS, v, vectors);
            let z = fifths(simd, at.load5(rows), false);
            at.store(rows, 0, z[0]);
            for k in 1..5 {
                at.store(rows, k, turn(simd, z[k], roots[j * k]));
            }
        }
        for part in (0..LENGTH).step_by(QUARTERS) {
            let mut quarter = QUARTERS / 4;
            while quarter > 1 {
                let step = LENGTH / (4 * quarter);
                for start in (part..part + QUARTERS).step_by(4 * quarter) {
                    for j in 0..quarter {
                        let at = Places::<S>::new(start + j, quarter, v, vectors);
                        let z = fourths(simd, at.load4(rows), false);
                        at.store(rows, 0, z[0]);
                        for k in 1..4 {
                            at.store(rows, k, turn(simd, z[k], roots[j * k * step]));
                        }
                    }
                }
                quarter /= 4;
            }
            // The last step turns nothing, and leaves the rows of a piece together.
            for start in (part..part + QUARTERS).step_by(ROWS) {
                let at = Places::<S>::new(start, 1, v, vectors);
                let z = fourths(simd, at.load4(rows), false);
                let piece = start / ROWS * distance;
                let piece = S::as_mut_simd_f32s(&mut out[piece..piece + R * LANES]).0;
                let at = Places::<S>::new(0, 1, v, vectors);
                for k in 0..R {
                    at.store(piece, k, z[const { kept(R) }[k]]);
                }
            }
        }
    }
}

/// What [`forward`] undoes, times [`LENGTH`]: from a spectrum whose pieces are `distance` values apart into `data`. Rows that were
/// not kept are 0.
#[inline(always)]
pub(crate) fn inverse<S: Simd, const R: usize>(
    simd: S,
    from: &[f32],
    distance: usize,
    data: &mut [f32],
) {
    let roots: &[[f32; 2]] = &ROOTS;
    let rows = S::as_mut_simd_f32s(&mut data[..VALUES]).0;
    let vectors = rows.len() / LENGTH / 2;
    for v in 0..vectors {
        for part in (0..LENGTH).step_by(QUARTERS) {
            for start in (part..part + QUARTERS).step_by(ROWS) {
                let piece = start / ROWS * distance;
                let piece = S::as_simd_f32s(&from[piece..piece + R * LANES]).0;
                let at = Places::<S>::new(0, 1, v, vectors);
                let mut z = [[simd.splat_f32s(0.0); 2]; ROWS];
                for k in 0..R {
                    z[const { kept(R) }[k]] = at.load(piece, k);
                }
                let z = fourths(simd, z, true);
                let at = Places::<S>::new(start, 1, v, vectors);
                for k in 0..ROWS {
                    at.store(rows, k, z[k]);
                }
            }
            let mut quarter = ROWS;
            while quarter < QUARTERS {
                let step = LENGTH / (4 * quarter);
                for start in (part..part + QUARTERS).step_by(4 * quarter) {
                    for j in 0..quarter {
                        let at = Places::<S>::new(start + j, quarter, v, vectors);
                        let mut z = at.load4(rows);
                        for k in 1..4 {
                            z[k] = turn_back(simd, z[k], roots[j * k * step]);
                        }
                        let z = fourths(simd, z, true);
                        for k in 0..4 {
                            at.store(rows, k, z[k]);
                        }
                    }
                }
                quarter *= 4;
            }
        }
        for j in 0..QUARTERS {
            let at = Places::<S>::new(j, QUARTERS, v, vectors);
            let mut z = at.load5(rows);
            for k in 1..5 {
                z[k] = turn_back(simd, z[k], roots[j * k]);
            }
            let z = fifths(simd, z, true);
            for k in 0..5 {
                at.store(rows, k, z[k]);
            }
        }
    }
}

/// Lanes, and samples of each, that are turned at a time.
const BLOCK: usize = 8;

/// Puts stretches of [`LENGTH`] samples at most side by side, as [`forward`] takes them; 0 beyond their ends.
#[multiversion::multiversion(targets("x86_64+avx2"))]
pub(crate) fn interleave(stretches: &[&[f32]; LANES], to: &mut [f32]) {
    let mut padded = [[0.0f32; BLOCK]; BLOCK];
    for (t, rows) in to.chunks_exact_mut(BLOCK * LANES).enumerate() {
        let from = t * BLOCK;
        for (g, together) in stretches.chunks_exact(BLOCK).enumerate() {
            for (block, stretch) in padded.iter_mut().zip(together) {
                match stretch.get(from..from + BLOCK) {
                    Some(values) => block.copy_from_slice(values),
                    None => {
                        let rest = stretch.get(from..).unwrap_or_default();
                        block[..rest.len()].copy_from_slice(rest);
                        block[rest.len()..].fill(0.0);
                    }
                }
            }
            let turned = turned(&padded);
            for (i, row) in turned.iter().enumerate() {
                rows[i * LANES + g * BLOCK..][..BLOCK].copy_from_slice(row);
            }
        }
    }
}

/// Puts the samples of `[sample, lane]` one after the other, as many a lane as its stretch has.
#[multiversion::multiversion(targets("x86_64+avx2"))]
pub(crate) fn separate(from: &[f32], mut stretches: [&mut [f32]; LANES]) {
    let mut block = [[0.0f32; BLOCK]; BLOCK];
    for (t, rows) in from.chunks_exact(BLOCK * LANES).enumerate() {
        let to = t * BLOCK;
        for (g, together) in stretches.chunks_exact_mut(BLOCK).enumerate() {
            for (i, row) in block.iter_mut().enumerate() {
                row.copy_from_slice(&rows[i * LANES + g * BLOCK..][..BLOCK]);
            }
            let turned = turned(&block);
            for (row, stretch) in turned.iter().zip(together) {
                match stretch.get_mut(to..to + BLOCK) {
                    Some(values) => values.copy_from_slice(row),
                    None => {
                        let rest = stretch.get_mut(to..).unwrap_or_default();
                        rest.copy_from_slice(&row[..rest.len()]);
                    }
                }
            }
        }
    }
}

/// The rows as columns.
#[inline(always)]
fn turned(block: &[[f32; BLOCK]; BLOCK]) -> [[f32; BLOCK]; BLOCK] {
    let mut turned = [[0.0; BLOCK]; BLOCK];
    for i in 0..BLOCK {
        for k in 0..BLOCK {
            turned[i][k] = block[k][i];
        }
    }
    turned
}

/// A vector of complex values.
type Complex<S> = [<S as Simd>::f32s; 2];

/// Where the values of one small transform stand.
struct Places<S: Simd> {
    first: usize,
    step: usize,
    vectors: usize,
    of: PhantomData<S>,
}

impl<S: Simd> Places<S> {
    /// Vector `v` of the rows `row`, `row + step` and so on.
    #[inline(always)]
    fn new(row: usize, step: usize, v: usize, vectors: usize) -> Self {
        Self {
            first: row * 2 * vectors + v,
            step: step * 2 * vectors,
            vectors,
            of: PhantomData,
        }
    }

    #[inline(always)]
    fn load(&self, rows: &[S::f32s], k: usize) -> Complex<S> {
        let at = self.first + k * self.step;
        [rows[at], rows[at + self.vectors]]
    }

    // Written out: a closure for each place would be compiled without vectors.
    #[inline(always)]
    fn load4(&self, rows: &[S::f32s]) -> [Complex<S>; 4] {
        [
            self.load(rows, 0),
            self.load(rows, 1),
            self.load(rows, 2),
            self.load(rows, 3),
        ]
    }

    #[inline(always)]
    fn load5(&self, rows: &[S::f32s]) -> [Complex<S>; 5] {
        [
            self.load(rows, 0),
            self.load(rows, 1),
            self.load(rows, 2),
            self.load(rows, 3),
            self.load(rows, 4),
        ]
    }

    #[inline(always)]
    fn store(&self, rows: &mut [S::f32s], k: usize, z: Complex<S>) {
        let at = self.first + k * self.step;
        rows[at] = z[0];
        rows[at + self.vectors] = z[1];
    }
}

#[inline(always)]
fn add<S: Simd>(simd: S, a: Complex<S>, b: Complex<S>) -> Complex<S> {
    [simd.add_f32s(a[0], b[0]), simd.add_f32s(a[1], b[1])]
}

#[inline(always)]
fn sub<S: Simd>(simd: S, a: Complex<S>, b: Complex<S>) -> Complex<S> {
    [simd.sub_f32s(a[0], b[0]), simd.sub_f32s(a[1], b[1])]
}

/// The product with a root.
#[inline(always)]
fn turn<S: Simd>(simd: S, z: Complex<S>, root: [f32; 2]) -> Complex<S> {
    let (c, s) = (simd.splat_f32s(root[0]), simd.splat_f32s(root[1]));
    [
        simd.sub_f32s(simd.mul_f32s(c, z[0]), simd.mul_f32s(s, z[1])),
        simd.add_f32s(simd.mul_f32s(c, z[1]), simd.mul_f32s(s, z[0])),
    ]
}

/// The product with the conjugate of a root.
#[inline(always)]
fn turn_back<S: Simd>(simd: S, z: Complex<S>, root: [f32; 2]) -> Complex<S> {
    turn(simd, z, [root[0], -root[1]])
}

/// The product with -i, or with i where `inverse`.
#[inline(always)]
fn quarter_turn<S: Simd>(simd: S, z: Complex<S>, inverse: bool) -> Complex<S> {
    if inverse {
        [simd.neg_f32s(z[1]), z[0]]
    } else {
        [z[1], simd.neg_f32s(z[0])]
    }
}

#[inline(always)]
fn scale<S: Simd>(simd: S, z: Complex<S>, by: f32) -> Complex<S> {
    let by = simd.splat_f32s(by);
    [simd.mul_f32s(by, z[0]), simd.mul_f32s(by, z[1])]
}

/// A transform of four values.
#[inline(always)]
fn fourths<S: Simd>(simd: S, z: [Complex<S>; 4], inverse: bool) -> [Complex<S>; 4] {
    let (even, odd) = (add(simd, z[0], z[2]), add(simd, z[1], z[3]));
    let difference = sub(simd, z[0], z[2]);
    let turned = quarter_turn(simd, sub(simd, z[1], z[3]), inverse);
    [
        add(simd, even, odd),
        add(simd, difference, turned),
        sub(simd, even, odd),
        sub(simd, difference, turned),
    ]
}

/// A transform of five values.
#[inline(always)]
fn fifths<S: Simd>(simd: S, z: [Complex<S>; 5], inverse: bool) -> [Complex<S>; 5] {
    // Cosines and sines of a fifth and two fifths of a turn.
    const C1: f32 = 0.309_017;
    const C2: f32 = -0.809_017;
    const S1: f32 = 0.951_056_5;
    const S2: f32 = 0.587_785_25;
    let (a, b) = (add(simd, z[1], z[4]), add(simd, z[2], z[3]));
    let (c, d) = (sub(simd, z[1], z[4]), sub(simd, z[2], z[3]));
    let near = add(
        simd,
        z[0],
        add(simd, scale(simd, a, C1), scale(simd, b, C2)),
    );
    let far = add(
        simd,
        z[0],
        add(simd, scale(simd, a, C2), scale(simd, b, C1)),
    );
    let near_turned = quarter_turn(
        simd,
        add(simd, scale(simd, c, S1), scale(simd, d, S2)),
        inverse,
    );
    let far_turned = quarter_turn(
        simd,
        sub(simd, scale(simd, c, S2), scale(simd, d, S1)),
        inverse,
    );
    [
        add(simd, z[0], add(simd, a, b)),
        add(simd, near, near_turned),
        add(simd, far, far_turned),
        sub(simd, far, far_turned),
        sub(simd, near, near_turned),
    ]
}
