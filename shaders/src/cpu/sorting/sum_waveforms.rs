//! Twin of `wgsl/sorting/sum_waveforms.wgsl`: sums from which templates are averaged.
//!
//! Sums are integers in fixed point: adding them in any order, on any number of threads or devices, gives the same
//! template bit for bit (docs/internals/decisions/004-fixed-point-sums.md).

use crate::{
    cpu::{Buffer, params},
    layout::SumWaveformsParams,
};

/// `sums[label, j, t] += fixed(x[neighbour[channel, j], sample - before + t])` for every listed event.
///
/// `x` `[block, channel, time]`; an entry of `events` `[block, capacity, 4]` is sample in the window, channel, label
/// (`u32::MAX`: skipped), unused; `neighbour` `[channel, n_neighbours]` padded with `u32::MAX`. `fixed(v)` is
/// `floor(v * scale + 0.5)` of `v` clamped to `limit`. Samples outside the window count as 0.
pub fn sum_waveforms(
    p: &SumWaveformsParams,
    x: &[f32],
    events: &[u32],
    count: &[u32],
    neighbour: &[u32],
    sums: &mut [i32],
) {
    let (samples, channels, taps) = (
        p.n_samples as usize,
        p.n_channels as usize,
        p.n_taps as usize,
    );
    let n_neighbours = p.n_neighbours as usize;
    assert!(p.limit * p.scale < LARGEST);
    for block in 0..p.n_blocks as usize {
        let x = &x[block * samples * channels..(block + 1) * samples * channels];
        for entry in 0..count[block].min(p.capacity) as usize {
            let at = (block * p.capacity as usize + entry) * 4;
            let (sample, channel, label) = (
                i64::from(events[at]),
                events[at + 1] as usize,
                events[at + 2],
            );
            if label == u32::MAX {
                continue;
            }
            let start = sample - i64::from(p.before);
            let from = (-start).clamp(0, taps as i64) as usize;
            let to = (samples as i64 - start).clamp(from as i64, taps as i64) as usize;
            if from == to {
                continue;
            }
            let first = (start + from as i64) as usize;
            for j in 0..n_neighbours {
                let n = neighbour[channel * n_neighbours + j];
                if n == u32::MAX {
                    continue;
                }
                let row = n as usize * samples + first;
                let at = (label as usize * n_neighbours + j) * taps;
                add_fixed(
                    &mut sums[at + from..at + to],
                    &x[row..row + to - from],
                    p.scale,
                    p.limit,
                );
            }
        }
    }
}

/// A float of this size has steps of 1: what is added to it is rounded, and the lowest bits are that integer. A cast would test
/// for numbers that are too large, which these are not.
const ROUND: f32 = 12_582_912.0;
/// Largest value whose integer can be taken so.
const LARGEST: f32 = 4_000_000.0;

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn add_fixed(sums: &mut [i32], x: &[f32], scale: f32, limit: f32) {
    for (sum, &x) in sums.iter_mut().zip(x) {
        let value = (x.clamp(-limit, limit) * scale + 0.5).floor();
        *sum += (value + ROUND).to_bits() as i32 - ROUND.to_bits() as i32;
    }
}

/// Binding order: x, events, count, neighbour, sums.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [x, events, count, neighbour, sums] = buffers else {
        panic!("sum_waveforms takes 5 bindings")
    };
    sum_waveforms(
        &params(bytes),
        x.f32(),
        events.u32(),
        count.u32(),
        neighbour.u32(),
        sums.i32_mut(),
    );
}
