//! Twin of `wgsl/sorting/score_templates.wgsl`: how much of every unit is at every time.
//!
//! Templates are low rank (a few spatial times temporal components, by singular values), so a score is a few weighted
//! sums over channels followed by a few short correlations.

use pulp::{Arch, Simd, WithSimd};

use crate::{
    cpu::{Buffer, params},
    layout::ScoreTemplatesParams,
};

/// Start samples that are scored at a time: the weighted sums of a tile stay in the first-level cache.
const TILE: usize = 1024;
/// Samples of a template, at most.
const MAX_TAPS: usize = 256;
/// Components of a template, at most.
const MAX_RANK: usize = 4;
/// Words of a channel's tile. Not a multiple of a page: rows of one distance in memory would share few cache lines.
const ROW: usize = TILE + MAX_TAPS + 16;
/// Vectors whose sums are kept in registers.
const STRIP: usize = 8;

/// `out[u, t] = sum_r sum_l temporal[u, r, l] * sum_i spatial[i, r] * x[channel[i], t + l]` over the entries
/// `i` in `channel_start[u]..channel_start[u + 1]`; 0 where the template would leave the window.
///
/// `x` `[block, channel, time]`, `spatial` `[entry, rank]`, `temporal` `[unit, rank, tap]`, `out`
/// `[block, unit, time]`. Components that are 0 cost nothing.
pub fn score_templates(
    p: &ScoreTemplatesParams,
    x: &[f32],
    channel_start: &[u32],
    channel: &[u32],
    spatial: &[f32],
    temporal: &[f32],
    out: &mut [f32],
) {
    let (samples, channels) = (p.n_samples as usize, p.n_channels as usize);
    let (taps, rank) = (p.n_taps as usize, p.rank as usize);
    if samples == 0 || p.n_units == 0 {
        return;
    }
    assert!(taps <= MAX_TAPS && rank <= MAX_RANK);
    let arch = Arch::new();
    let units: Vec<Unit> = (0..p.n_units as usize)
        .map(|u| {
            let entries = channel_start[u] as usize..channel_start[u + 1] as usize;
            Unit::new(
                &channel[entries.clone()],
                &spatial[entries.start * rank..entries.end * rank],
                &temporal[u * rank * taps..(u + 1) * rank * taps],
                taps,
            )
        })
        .collect();
    let mut tile = vec![0.0f32; channels * ROW];
    let mut sums = vec![[0.0f32; ROW]; MAX_RANK];
    let words = samples * channels;
    for (x, out) in x
        .chunks_exact(words)
        .zip(out.chunks_exact_mut(samples * units.len()))
    {
        // Tiles of time outside, units inside: the channels' tile is read from memory once for all units.
        for start in (0..samples).step_by(TILE) {
            let n = (TILE + taps - 1).min(samples - start);
            for (x, row) in x.chunks_exact(samples).zip(tile.chunks_exact_mut(ROW)) {
                row[..n].copy_from_slice(&x[start..start + n]);
            }
            for (unit, out) in units.iter().zip(out.chunks_exact_mut(samples)) {
                let out = &mut out[start..(start + TILE).min(samples)];
                arch.dispatch(Score {
                    unit,
                    tile: &tile,
                    sums: &mut sums,
                    // Scores that need no sample beyond the window.
                    n_valid: (n + 1).saturating_sub(taps).min(out.len()),
                    out,
                });
            }
        }
    }
}

/// A template without the components that are 0: one on a single channel has one only.
struct Unit<'a> {
    /// Channels, and their weight in each component.
    entries: Vec<(usize, [f32; MAX_RANK])>,
    /// Taps of each component that is used.
    filters: Vec<&'a [f32]>,
}

impl<'a> Unit<'a> {
    fn new(channel: &[u32], spatial: &[f32], temporal: &'a [f32], taps: usize) -> Self {
        let rank = temporal.len() / taps;
        let is_used = |r: usize| temporal[r * taps..(r + 1) * taps].iter().any(|&v| v != 0.0);
        let used: Vec<usize> = (0..rank).filter(|&r| is_used(r)).collect();
        let entries = channel
            .iter()
            .zip(spatial.chunks_exact(rank))
            .map(|(&c, weights)| {
                let mut own = [0.0; MAX_RANK];
                for (own, &r) in own.iter_mut().zip(&used) {
                    *own = weights[r];
                }
                (c as usize, own)
            })
            .collect();
        let filters = used
            .iter()
            .map(|&r| &temporal[r * taps..(r + 1) * taps])
            .collect();
        Self { entries, filters }
    }
}

/// One unit in one tile.
struct Score<'a> {
    unit: &'a Unit<'a>,
    /// `[channel, ROW]`.
    tile: &'a [f32],
    /// Scratch, `[component, ROW]`.
    sums: &'a mut [[f32; ROW]],
    n_valid: usize,
    out: &'a mut [f32],
}

impl WithSimd for Score<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Some(filter) = self.unit.filters.first() else {
            self.out.fill(0.0);
            return;
        };
        let length = TILE + filter.len() - 1;
        let sums = self.sums;
        match self.unit.filters.len() {
            1 => self.unit.weigh::<S, 1>(simd, self.tile, length, sums),
            2 => self.unit.weigh::<S, 2>(simd, self.tile, length, sums),
            3 => self.unit.weigh::<S, 3>(simd, self.tile, length, sums),
            _ => self.unit.weigh::<S, 4>(simd, self.tile, length, sums),
        }
        let width = STRIP * S::F32_LANES;
        let mut scores = [0.0f32; TILE];
        for t in (0..TILE).step_by(width) {
            let mut score = [simd.splat_f32s(0.0); STRIP];
            for (filter, sums) in self.unit.filters.iter().zip(&*sums) {
                for (k, &weight) in filter.iter().enumerate() {
                    let weight = simd.splat_f32s(weight);
                    let from = t + k;
                    let values = S::as_simd_f32s(&sums[from..from + width]).0;
                    for v in 0..STRIP {
                        let product = simd.mul_f32s(weight, values[v]);
                        score[v] = simd.add_f32s(score[v], product);
                    }
                }
            }
            S::as_mut_simd_f32s(&mut scores[t..t + width])
                .0
                .copy_from_slice(&score);
        }
        let n = self.n_valid;
        self.out[..n].copy_from_slice(&scores[..n]);
        self.out[n..].fill(0.0);
    }
}

impl Unit<'_> {
    /// The weighted sums over channels, `[component, time]`.
    #[inline(always)]
    fn weigh<S: Simd, const RANK: usize>(
        &self,
        simd: S,
        tile: &[f32],
        length: usize,
        sums: &mut [[f32; ROW]],
    ) {
        let width = 2 * S::F32_LANES;
        for t in (0..length).step_by(width) {
            let mut sum = [[simd.splat_f32s(0.0); 2]; RANK];
            for (channel, weights) in &self.entries {
                let from = channel * ROW + t;
                let values = S::as_simd_f32s(&tile[from..from + width]).0;
                for r in 0..RANK {
                    let weight = simd.splat_f32s(weights[r]);
                    for half in 0..2 {
                        let product = simd.mul_f32s(weight, values[half]);
                        sum[r][half] = simd.add_f32s(sum[r][half], product);
                    }
                }
            }
            for r in 0..RANK {
                S::as_mut_simd_f32s(&mut sums[r][t..t + width])
                    .0
                    .copy_from_slice(&sum[r]);
            }
        }
    }
}

/// Binding order: x, channel_start, channel, spatial, temporal, out.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [x, start, channel, spatial, temporal, out] = buffers else {
        panic!("score_templates takes 6 bindings")
    };
    score_templates(
        &params(bytes),
        x.f32(),
        start.u32(),
        channel.u32(),
        spatial.f32(),
        temporal.f32(),
        out.f32_mut(),
    );
}
