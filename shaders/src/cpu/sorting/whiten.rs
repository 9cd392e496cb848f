//! Twin of `wgsl/sorting/whiten.wgsl`: a sparse matrix per block applied to every sample.
//!
//! Whitening makes the noise of neighbouring channels independent and of unit variance, so that scores have a
//! meaning in noise deviations. When the tissue moved, the matrix of a block has the interpolation folded in.

use pulp::{Arch, Simd, WithSimd};

use super::used;
use crate::{
    cpu::{Buffer, params},
    layout::WhitenParams,
};

/// Samples that are transposed and multiplied at a time.
const TILE: usize = 256;
/// Words of a channel's tile. Not a power of two: rows of one distance in memory would share few cache lines.
const ROW: usize = TILE + 16;
/// Vectors whose sums are kept in registers.
const STRIP: usize = 8;

/// `out[c, t] = sum_k weight[matrix, c, k] * x[t, neighbour[c, k]]`; `x` `[block, time, channel]`, `out`
/// `[block, channel, time]`, `neighbour` `[channel, n_neighbours]`, `weight` `[matrix, channel, n_neighbours]`,
/// `matrix_of_block` `[block]`.
pub fn whiten(
    p: &WhitenParams,
    x: &[f32],
    neighbour: &[u32],
    weight: &[f32],
    matrix_of_block: &[u32],
    out: &mut [f32],
) {
    let (samples, channels, k) = (
        p.n_samples as usize,
        p.n_channels as usize,
        p.n_neighbours as usize,
    );
    let words = samples * channels;
    if words == 0 {
        return;
    }
    let arch = Arch::new();
    let mut tile = vec![0.0f32; channels * ROW];
    for ((x, out), &matrix) in x
        .chunks_exact(words)
        .zip(out.chunks_exact_mut(words))
        .zip(matrix_of_block)
    {
        let weight = &weight[matrix as usize * channels * k..(matrix as usize + 1) * channels * k];
        let rows: Vec<Vec<(usize, f32)>> = neighbour
            .chunks_exact(k)
            .zip(weight.chunks_exact(k))
            .map(|(near, weights)| used(near, weights).collect())
            .collect();
        for start in (0..samples).step_by(TILE) {
            let n = TILE.min(samples - start);
            let frames = x[start * channels..(start + n) * channels].chunks_exact(channels);
            for (t, row) in frames.enumerate() {
                for c in 0..channels {
                    tile[c * ROW + t] = row[c];
                }
            }
            for (entries, out) in rows.iter().zip(out.chunks_exact_mut(samples)) {
                arch.dispatch(Weigh {
                    entries,
                    tile: &tile,
                    out: &mut out[start..start + n],
                });
            }
        }
    }
}

/// The weighted sum of some channels of a tile.
struct Weigh<'a> {
    entries: &'a [(usize, f32)],
    tile: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for Weigh<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = STRIP * S::F32_LANES;
        let mut whole = [0.0f32; TILE];
        for t in (0..self.out.len()).step_by(width) {
            let mut sum = [simd.splat_f32s(0.0); STRIP];
            for &(channel, weight) in self.entries {
                let weight = simd.splat_f32s(weight);
                let from = channel * ROW + t;
                let values = S::as_simd_f32s(&self.tile[from..from + width]).0;
                for v in 0..STRIP {
                    sum[v] = simd.add_f32s(sum[v], simd.mul_f32s(weight, values[v]));
                }
            }
            let whole = S::as_mut_simd_f32s(&mut whole[t..t + width]).0;
            whole.copy_from_slice(&sum);
        }
        self.out.copy_from_slice(&whole[..self.out.len()]);
    }
}

/// Binding order: x, neighbour, weight, matrix_of_block, out.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [x, neighbour, weight, matrix, out] = buffers else {
        panic!("whiten takes 5 bindings")
    };
    whiten(
        &params(bytes),
        x.f32(),
        neighbour.u32(),
        weight.f32(),
        matrix.u32(),
        out.f32_mut(),
    );
}
