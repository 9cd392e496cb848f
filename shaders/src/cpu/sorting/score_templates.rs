//! Twin of `wgsl/sorting/score_templates.wgsl`: how much of every unit is at every time.
//!
//! Templates are low rank (a few spatial times temporal components, by singular values), so a score is a few weighted
//! sums over channels followed by a few short correlations.

use super::correlate::correlate_sum;
use crate::{
    cpu::{Buffer, params},
    layout::ScoreTemplatesParams,
};

/// Start samples that are scored at a time: the weighted sums of a tile stay in the first-level cache.
const TILE: usize = 1024;

/// `out[u, t] = sum_r sum_l temporal[u, r, l] * sum_i spatial[i, r] * x[channel[i], t + l]` over the entries
/// `i` in `channel_start[u]..channel_start[u + 1]`; 0 where the template would leave the window.
///
/// `x` `[block, channel, time]`, `spatial` `[entry, rank]`, `temporal` `[unit, rank, tap]`, `out`
/// `[block, unit, time]`.
pub fn score_templates(
    p: &ScoreTemplatesParams,
    x: &[f32],
    channel_start: &[u32],
    channel: &[u32],
    spatial: &[f32],
    temporal: &[f32],
    out: &mut [f32],
) {
    let (samples, channels, units) = (
        p.n_samples as usize,
        p.n_channels as usize,
        p.n_units as usize,
    );
    let (taps, rank) = (p.n_taps as usize, p.rank as usize);
    for block in 0..p.n_blocks as usize {
        let x = &x[block * samples * channels..(block + 1) * samples * channels];
        // Tiles of time outside, units inside: the channels' tile is read from memory once for all units.
        let out = &mut out[block * samples * units..(block + 1) * samples * units];
        for start in (0..samples).step_by(TILE) {
            for u in 0..units {
                let entries = channel_start[u] as usize..channel_start[u + 1] as usize;
                score_tile(
                    x,
                    samples,
                    start,
                    &channel[entries.clone()],
                    &spatial[entries.start * rank..entries.end * rank],
                    &temporal[u * rank * taps..(u + 1) * rank * taps],
                    rank,
                    taps,
                    &mut out[u * samples..(u + 1) * samples],
                );
            }
        }
    }
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn score_tile(
    x: &[f32],
    samples: usize,
    start: usize,
    channel: &[u32],
    spatial: &[f32],
    temporal: &[f32],
    rank: usize,
    taps: usize,
    out: &mut [f32],
) {
    let end = (start + TILE).min(samples);
    let valid = (samples + 1).saturating_sub(taps).min(end).max(start);
    out[start..end].fill(0.0);
    if valid == start {
        return;
    }
    let length = valid - start + taps - 1;
    let mut sums = [[0.0f32; TILE + 256]; 4];
    for (i, &c) in channel.iter().enumerate() {
        let x = &x[c as usize * samples + start..c as usize * samples + start + length];
        for r in 0..rank {
            let w = spatial[i * rank + r];
            for (sum, &x) in sums[r][..length].iter_mut().zip(x) {
                *sum += w * x;
            }
        }
    }
    let mut sources: [&[f32]; 4] = [&[]; 4];
    let mut filters: [&[f32]; 4] = [&[]; 4];
    for r in 0..rank {
        sources[r] = &sums[r][..length];
        filters[r] = &temporal[r * taps..(r + 1) * taps];
    }
    correlate_sum(&sources[..rank], &filters[..rank], &mut out[start..valid]);
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
