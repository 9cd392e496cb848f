//! Twin of `wgsl/sorting/score_footprints.wgsl`: universal templates.
//!
//! A universal template is a temporal shape times a Gaussian footprint around a channel. Both have unit norm, so the
//! score is in noise deviations and a spike that is spread over many channels is found far below a plain threshold.
//!
//! Here every channel is correlated with the shapes first, because a footprint then costs one product a channel; a
//! short stretch of all channels at a time, so that what lies between the two steps never leaves the cache. And only
//! every `stride`-th score is computed at first: a score changes little from one sample to the next, so the others can
//! only be large beside one that is.

use pulp::{Arch, Simd, WithSimd};

use super::used;
use crate::{
    cpu::{Buffer, common::transform_lanes::dispatch, params},
    layout::ScoreFootprintsParams,
};

/// First scores of a tile.
const TILE: usize = 64;
/// Samples that are scored together where every score is wanted: one vector.
const SEGMENT: usize = 8;
/// Shapes whose sums are kept in registers.
const SHAPES: usize = 6;
/// Samples of a shape, at most.
const MAX_TAPS: usize = 256;
/// Largest distance between first scores.
const MAX_STRIDE: usize = 4;

type ShapeGroup = [[f32; MAX_TAPS]; SHAPES];

/// `out[c, t] = max over sizes z and shapes s of sum_n weight[z, c, n] * sum_k x[neighbour[c, n], t + k] * shape[s, k]`
/// where that is above `threshold`, else 0, and 0 where the shape would leave the window; `x` `[block, channel, time]`,
/// `shape` `[shape, tap]`, `neighbour` `[channel, n_neighbours]`, `weight` `[size, channel, n_neighbours]`, `out`
/// `[block, channel, time]`.
///
/// With a `stride` above 1 a score between two of its multiples is 0 too when neither of theirs is above `gate`.
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
    let stride = (p.stride as usize).clamp(1, MAX_STRIDE);
    let footprints = Footprints::new(p, neighbour, weight);
    // Shapes that fill up the last group are 0.
    let groups: Vec<ShapeGroup> = shape
        .chunks(SHAPES * p.n_taps as usize)
        .map(|shapes| {
            let mut group = [[0.0; MAX_TAPS]; SHAPES];
            for (row, shape) in group.iter_mut().zip(shapes.chunks_exact(p.n_taps as usize)) {
                row[..shape.len()].copy_from_slice(shape);
            }
            group
        })
        .collect();
    let mut scratch = Scratch::new(p.n_channels as usize);
    // The last of a tile's first scores is the first of the next tile's: what lies between has both its sides known.
    let step = if stride == 1 {
        TILE
    } else {
        (TILE - 1) * stride
    };
    for (x, out) in x.chunks_exact(words).zip(out.chunks_exact_mut(words)) {
        out.fill(0.0);
        for start in (0..p.n_samples as usize).step_by(step) {
            let tile = Tile {
                p,
                x,
                start,
                stride,
                groups: &groups,
                footprints: &footprints,
            };
            tile.first_scores(&mut scratch);
            if stride == 1 {
                tile.keep_first(&scratch, out);
            } else {
                tile.scores_between(step, &mut scratch, out);
            }
        }
    }
}

/// What a tile's scores are made with.
struct Scratch {
    /// Correlations of a channel with a group of shapes at the first scores' samples.
    first: Vec<[[f32; TILE]; SHAPES]>,
    /// Largest first score of a channel.
    best: Vec<[f32; TILE]>,
    /// Correlations in one segment.
    between: Vec<[[f32; SEGMENT]; SHAPES]>,
    /// Channels of which the segment's correlations are wanted.
    wanted: Vec<bool>,
    /// Channels that may have a score above the threshold in the segment, and that score.
    active: Vec<(usize, [f32; SEGMENT])>,
}

impl Scratch {
    fn new(n_channels: usize) -> Self {
        Self {
            first: vec![[[0.0; TILE]; SHAPES]; n_channels],
            best: vec![[0.0; TILE]; n_channels],
            between: vec![[[0.0; SEGMENT]; SHAPES]; n_channels],
            wanted: vec![false; n_channels],
            active: Vec::new(),
        }
    }
}

/// A stretch of one block.
struct Tile<'a> {
    p: &'a ScoreFootprintsParams,
    x: &'a [f32],
    start: usize,
    stride: usize,
    groups: &'a [ShapeGroup],
    footprints: &'a Footprints,
}

impl Tile<'_> {
    /// Samples at which a shape still lies in the window.
    fn n_valid(&self) -> usize {
        (self.p.n_samples as usize + 1).saturating_sub(self.p.n_taps as usize)
    }

    fn first_scores(&self, scratch: &mut Scratch) {
        let arch = Arch::new();
        scratch.best.fill([0.0; TILE]);
        for shapes in self.groups {
            arch.dispatch(Correlate {
                tile: self,
                shapes,
                out: &mut scratch.first,
            });
            arch.dispatch(KeepLargest {
                tile: self,
                first: &scratch.first,
                best: &mut scratch.best,
            });
        }
    }

    /// The first scores are all there are.
    fn keep_first(&self, scratch: &Scratch, out: &mut [f32]) {
        let samples = self.p.n_samples as usize;
        let n = TILE.min(samples - self.start);
        for (best, out) in scratch.best.iter().zip(out.chunks_exact_mut(samples)) {
            for (out, &score) in out[self.start..self.start + n].iter_mut().zip(best) {
                *out = if score > self.p.threshold { score } else { 0.0 };
            }
        }
    }

    /// All scores of the segments in which a first score is above the gate.
    fn scores_between(&self, step: usize, scratch: &mut Scratch, out: &mut [f32]) {
        let samples = self.p.n_samples as usize;
        let end = (self.start + step).min(self.n_valid());
        for from in (self.start..end).step_by(SEGMENT) {
            let n = SEGMENT.min(end - from);
            let (low, high) = (
                (from - self.start) / self.stride,
                (from + n - 1 - self.start).div_ceil(self.stride),
            );
            scratch.active.clear();
            for (c, best) in scratch.best.iter().enumerate() {
                if best[low..=high].iter().any(|&score| score > self.p.gate) {
                    scratch.active.push((c, [0.0; SEGMENT]));
                }
            }
            if scratch.active.is_empty() {
                continue;
            }
            scratch.wanted.fill(false);
            for &(c, _) in &scratch.active {
                for &(channel, _) in self.footprints.of(c) {
                    scratch.wanted[channel] = true;
                }
            }
            for shapes in self.groups {
                dispatch(ScoreSegment {
                    tile: self,
                    from,
                    shapes,
                    scratch,
                });
            }
            for (c, best) in &scratch.active {
                let at = c * samples + from;
                for (out, &score) in out[at..at + n].iter_mut().zip(best) {
                    *out = if score > self.p.threshold { score } else { 0.0 };
                }
            }
        }
    }
}

/// What is not padding of the footprints' table.
struct Footprints {
    n_sizes: usize,
    /// Channel and weight, of all sizes of channel 0, then of channel 1, and so on.
    entries: Vec<(usize, f32)>,
    /// Start of each footprint among the entries, `[channel, size]`, and the end of the last.
    starts: Vec<usize>,
}

impl Footprints {
    fn new(p: &ScoreFootprintsParams, neighbour: &[u32], weight: &[f32]) -> Self {
        let (channels, n_neighbours) = (p.n_channels as usize, p.n_neighbours as usize);
        let (mut entries, mut starts) = (Vec::new(), vec![0]);
        for c in 0..channels {
            let near = &neighbour[c * n_neighbours..(c + 1) * n_neighbours];
            for size in 0..p.n_sizes as usize {
                let row = (size * channels + c) * n_neighbours;
                let weights = &weight[row..row + n_neighbours];
                entries.extend(used(near, weights));
                starts.push(entries.len());
            }
        }
        Self {
            n_sizes: p.n_sizes as usize,
            entries,
            starts,
        }
    }

    /// All entries of a channel's footprints.
    fn of(&self, c: usize) -> &[(usize, f32)] {
        &self.entries[self.starts[c * self.n_sizes]..self.starts[(c + 1) * self.n_sizes]]
    }

    /// The footprints of a channel, one a size.
    fn sizes(&self, c: usize) -> impl Iterator<Item = &[(usize, f32)]> {
        let starts = &self.starts[c * self.n_sizes..=(c + 1) * self.n_sizes];
        starts
            .windows(2)
            .map(|bounds| &self.entries[bounds[0]..bounds[1]])
    }
}

/// Every `STRIDE`-th sample of `x` from each of the first `STRIDE` samples on, a row each.
fn every<const STRIDE: usize>(x: &[f32], rows: &mut [[f32; TILE + MAX_TAPS]; MAX_STRIDE]) {
    let mut chunks = x.chunks_exact(STRIDE);
    let n = chunks.len();
    for (i, chunk) in chunks.by_ref().enumerate() {
        for r in 0..STRIDE {
            rows[r][i] = chunk[r];
        }
    }
    for (r, &value) in chunks.remainder().iter().enumerate() {
        rows[r][n] = value;
    }
}

/// Correlates every channel with a group of shapes at the first scores' samples, into `[channel, shape, TILE]`.
struct Correlate<'a> {
    tile: &'a Tile<'a>,
    shapes: &'a ShapeGroup,
    out: &'a mut [[[f32; TILE]; SHAPES]],
}

impl WithSimd for Correlate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let tile = self.tile;
        let (start, stride) = (tile.start, tile.stride);
        let samples = tile.p.n_samples as usize;
        let taps = (tile.p.n_taps as usize).min(MAX_TAPS);
        let inside = tile
            .n_valid()
            .saturating_sub(start)
            .div_ceil(stride)
            .min(TILE);
        let mut rows = [[0.0f32; TILE + MAX_TAPS]; MAX_STRIDE];
        let n = ((TILE - 1) * stride + taps).min(samples - start);
        let width = 2 * S::F32_LANES;
        for (x, out) in tile.x.chunks_exact(samples).zip(self.out) {
            let x = &x[start..start + n];
            match stride {
                1 => rows[0][..n].copy_from_slice(x),
                2 => every::<2>(x, &mut rows),
                3 => every::<3>(x, &mut rows),
                _ => every::<4>(x, &mut rows),
            }
            for t in (0..TILE).step_by(width) {
                let mut sums = [[simd.splat_f32s(0.0); 2]; SHAPES];
                let (mut row, mut from) = (0, t);
                for k in 0..taps {
                    let values = S::as_simd_f32s(&rows[row][from..from + width]).0;
                    for s in 0..SHAPES {
                        let weight = simd.splat_f32s(self.shapes[s][k]);
                        for half in 0..2 {
                            let product = simd.mul_f32s(weight, values[half]);
                            sums[s][half] = simd.add_f32s(sums[s][half], product);
                        }
                    }
                    row += 1;
                    if row == stride {
                        (row, from) = (0, from + 1);
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

/// Raises the largest first scores to those of one group of shapes.
struct KeepLargest<'a> {
    tile: &'a Tile<'a>,
    first: &'a [[[f32; TILE]; SHAPES]],
    best: &'a mut [[f32; TILE]],
}

impl WithSimd for KeepLargest<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = 2 * S::F32_LANES;
        for (c, best) in self.best.iter_mut().enumerate() {
            for entries in self.tile.footprints.sizes(c) {
                for t in (0..TILE).step_by(width) {
                    let mut sums = [[simd.splat_f32s(0.0); 2]; SHAPES];
                    for &(channel, weight) in entries {
                        let rows = &self.first[channel];
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
            }
        }
    }
}

/// Raises the active channels' scores in one segment to those of one group of shapes.
struct ScoreSegment<'a> {
    tile: &'a Tile<'a>,
    from: usize,
    shapes: &'a ShapeGroup,
    scratch: &'a mut Scratch,
}

impl WithSimd for ScoreSegment<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let samples = self.tile.p.n_samples as usize;
        let taps = (self.tile.p.n_taps as usize).min(MAX_TAPS);
        let n = (SEGMENT + taps - 1).min(samples - self.from);
        let mut window = [0.0f32; SEGMENT + MAX_TAPS];
        let scratch = self.scratch;
        let wanted = scratch.wanted.iter().zip(&mut scratch.between).enumerate();
        for (c, (_, out)) in wanted.filter(|(_, (wanted, _))| **wanted) {
            let at = c * samples + self.from;
            window[..n].copy_from_slice(&self.tile.x[at..at + n]);
            for t in (0..SEGMENT).step_by(S::F32_LANES) {
                let mut sums = [simd.splat_f32s(0.0); SHAPES];
                for k in 0..taps {
                    let from = t + k;
                    let value = S::as_simd_f32s(&window[from..from + S::F32_LANES]).0[0];
                    for s in 0..SHAPES {
                        let product = simd.mul_f32s(simd.splat_f32s(self.shapes[s][k]), value);
                        sums[s] = simd.add_f32s(sums[s], product);
                    }
                }
                for s in 0..SHAPES {
                    S::as_mut_simd_f32s(&mut out[s][t..t + S::F32_LANES]).0[0] = sums[s];
                }
            }
        }
        for (c, best) in &mut scratch.active {
            for entries in self.tile.footprints.sizes(*c) {
                for t in (0..SEGMENT).step_by(S::F32_LANES) {
                    let mut sums = [simd.splat_f32s(0.0); SHAPES];
                    for &(channel, weight) in entries {
                        let weight = simd.splat_f32s(weight);
                        let rows = &scratch.between[channel];
                        for s in 0..SHAPES {
                            let value = S::as_simd_f32s(&rows[s][t..t + S::F32_LANES]).0[0];
                            sums[s] = simd.add_f32s(sums[s], simd.mul_f32s(weight, value));
                        }
                    }
                    let best = &mut S::as_mut_simd_f32s(&mut best[t..t + S::F32_LANES]).0[0];
                    for sum in sums {
                        *best = simd.max_f32s(sum, *best);
                    }
                }
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
