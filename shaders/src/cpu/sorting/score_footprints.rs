//! Twin of `wgsl/sorting/score_footprints.wgsl`: universal templates.
//!
//! A universal template is a temporal shape times a Gaussian footprint around a channel. Both have unit norm, so the
//! score is in noise deviations and a spike that is spread over many channels is found far below a plain threshold.
//!
//! Here every channel is correlated with the shapes first, because a footprint then costs one product a channel; a
//! short stretch of all channels at a time, so that what lies between the two steps never leaves the cache.

use pulp::{Arch, Simd, WithSimd};

use super::used;
use crate::{
    cpu::{Buffer, params},
    layout::ScoreFootprintsParams,
};

/// Samples that are scored at a time for all channels.
const TILE: usize = 64;
/// Shapes whose sums are kept in registers.
const SHAPES: usize = 6;
/// Samples of a shape, at most.
const MAX_TAPS: usize = 256;

/// `out[c, t] = max over sizes z and shapes s of sum_n weight[z, c, n] * sum_k x[neighbour[c, n], t + k] * shape[s, k]`,
/// at least 0, and 0 where the shape would leave the window; `x` `[block, channel, time]`, `shape` `[shape, tap]`,
/// `neighbour` `[channel, n_neighbours]`, `weight` `[size, channel, n_neighbours]`, `out` `[block, channel, time]`.
pub fn score_footprints(
    p: &ScoreFootprintsParams,
    x: &[f32],
    shape: &[f32],
    neighbour: &[u32],
    weight: &[f32],
    out: &mut [f32],
) {
    let words = (p.n_samples * p.n_channels) as usize;
    if words == 0 {
        return;
    }
    assert!(p.n_taps as usize <= MAX_TAPS);
    let arch = Arch::new();
    let footprints = Footprints::new(p, neighbour, weight);
    // Shapes that fill up the last group are 0.
    let groups: Vec<[[f32; MAX_TAPS]; SHAPES]> = shape
        .chunks(SHAPES * p.n_taps as usize)
        .map(|shapes| {
            let mut group = [[0.0; MAX_TAPS]; SHAPES];
            for (row, shape) in group.iter_mut().zip(shapes.chunks_exact(p.n_taps as usize)) {
                row[..shape.len()].copy_from_slice(shape);
            }
            group
        })
        .collect();
    let mut tile = vec![[[0.0; TILE]; SHAPES]; p.n_channels as usize];
    for (x, out) in x.chunks_exact(words).zip(out.chunks_exact_mut(words)) {
        for start in (0..p.n_samples as usize).step_by(TILE) {
            let n = TILE.min(p.n_samples as usize - start);
            for row in out.chunks_exact_mut(p.n_samples as usize) {
                row[start..start + n].fill(0.0);
            }
            for shapes in &groups {
                arch.dispatch(Correlate {
                    p,
                    x,
                    start,
                    shapes,
                    tile: &mut tile,
                });
                arch.dispatch(KeepLargest {
                    p,
                    footprints: &footprints,
                    tile: &tile,
                    start,
                    out,
                });
            }
        }
    }
}

/// What is not padding of the footprints' table.
struct Footprints {
    /// Channel and weight, of all sizes of channel 0, then of channel 1, and so on.
    entries: Vec<(usize, f32)>,
    /// End of each footprint among the entries, `[channel, size]`.
    ends: Vec<usize>,
}

impl Footprints {
    fn new(p: &ScoreFootprintsParams, neighbour: &[u32], weight: &[f32]) -> Self {
        let (channels, n_neighbours) = (p.n_channels as usize, p.n_neighbours as usize);
        let (mut entries, mut ends) = (Vec::new(), Vec::new());
        for c in 0..channels {
            let near = &neighbour[c * n_neighbours..(c + 1) * n_neighbours];
            for size in 0..p.n_sizes as usize {
                let row = (size * channels + c) * n_neighbours;
                let weights = &weight[row..row + n_neighbours];
                entries.extend(used(near, weights));
                ends.push(entries.len());
            }
        }
        Self { entries, ends }
    }
}

/// Correlates one tile of all channels with a group of shapes, into `tile` `[channel, shape, TILE]`.
struct Correlate<'a> {
    p: &'a ScoreFootprintsParams,
    x: &'a [f32],
    start: usize,
    shapes: &'a [[f32; MAX_TAPS]; SHAPES],
    tile: &'a mut [[[f32; TILE]; SHAPES]],
}

impl WithSimd for Correlate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let samples = self.p.n_samples as usize;
        let taps = (self.p.n_taps as usize).min(MAX_TAPS);
        let valid = (samples + 1).saturating_sub(taps);
        let inside = valid.saturating_sub(self.start).min(TILE);
        let mut window = [0.0f32; TILE + MAX_TAPS];
        let n = (TILE + taps - 1).min(samples - self.start);
        let width = 2 * S::F32_LANES;
        for (x, out) in self.x.chunks_exact(samples).zip(self.tile) {
            window[..n].copy_from_slice(&x[self.start..self.start + n]);
            for t in (0..TILE).step_by(width) {
                let mut sums = [[simd.splat_f32s(0.0); 2]; SHAPES];
                for k in 0..taps {
                    let values = S::as_simd_f32s(&window[t + k..t + k + width]).0;
                    for s in 0..SHAPES {
                        let weight = simd.splat_f32s(self.shapes[s][k]);
                        for half in 0..2 {
                            let product = simd.mul_f32s(weight, values[half]);
                            sums[s][half] = simd.add_f32s(sums[s][half], product);
                        }
                    }
                }
                for s in 0..SHAPES {
                    let out = S::as_mut_simd_f32s(&mut out[s][t..t + width]).0;
                    out.copy_from_slice(&sums[s]);
                }
            }
            if inside < TILE {
                out.iter_mut().for_each(|row| row[inside..].fill(0.0));
            }
        }
    }
}

/// Raises `out` to the scores of one group of shapes in one tile.
struct KeepLargest<'a> {
    p: &'a ScoreFootprintsParams,
    footprints: &'a Footprints,
    tile: &'a [[[f32; TILE]; SHAPES]],
    start: usize,
    out: &'a mut [f32],
}

impl WithSimd for KeepLargest<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let samples = self.p.n_samples as usize;
        let sizes = self.p.n_sizes as usize;
        let n = TILE.min(samples - self.start);
        let width = 2 * S::F32_LANES;
        let mut first = 0;
        for (c, ends) in self.footprints.ends.chunks_exact(sizes).enumerate() {
            let at = c * samples + self.start;
            let out = &mut self.out[at..at + n];
            let mut best = [0.0f32; TILE];
            match <&[f32; TILE]>::try_from(&*out) {
                Ok(whole) => best = *whole,
                Err(_) => best[..n].copy_from_slice(out),
            }
            for &end in ends {
                let entries = &self.footprints.entries[first..end];
                for t in (0..TILE).step_by(width) {
                    let mut sums = [[simd.splat_f32s(0.0); 2]; SHAPES];
                    for &(channel, weight) in entries {
                        let rows = &self.tile[channel];
                        let weight = simd.splat_f32s(weight);
                        for s in 0..SHAPES {
                            let values = S::as_simd_f32s(&rows[s][t..t + width]).0;
                            for half in 0..2 {
                                let product = simd.mul_f32s(weight, values[half]);
                                sums[s][half] = simd.add_f32s(sums[s][half], product);
                            }
                        }
                    }
                    let best = S::as_mut_simd_f32s(&mut best[t..t + width]).0;
                    for sums in &sums {
                        for half in 0..2 {
                            best[half] = simd.max_f32s(sums[half], best[half]);
                        }
                    }
                }
                first = end;
            }
            match <&mut [f32; TILE]>::try_from(&mut *out) {
                Ok(whole) => *whole = best,
                Err(_) => out.copy_from_slice(&best[..n]),
            }
        }
    }
}

/// Binding order: x, shape, neighbour, weight, out.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [x, shape, neighbour, weight, out] = buffers else {
        panic!("score_footprints takes 5 bindings")
    };
    score_footprints(
        &params(bytes),
        x.f32(),
        shape.f32(),
        neighbour.u32(),
        weight.f32(),
        out.f32_mut(),
    );
}
