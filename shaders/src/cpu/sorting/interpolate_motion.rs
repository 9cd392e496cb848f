//! Twin of `wgsl/sorting/interpolate_motion.wgsl`: the field moved back to where the tissue was.
//!
//! Used where events of different displacements meet: detection, features and mean waveforms. Matching moves its
//! templates instead, and leaves the data and their noise as they are.

use crate::{
    cpu::{Buffer, params},
    layout::InterpolateMotionParams,
};

/// Samples whose sources stay in the cache for all channels.
const TILE: usize = 1024;
/// Samples that are summed in registers.
const PIECE: usize = 64;

/// `out[c, t] = sum_k weight[block, c, k] * x[neighbour[c, k], t]`; `x` and `out` `[block, channel, time]`,
/// `neighbour` `[channel, n_neighbours]`, `weight` `[block, channel, n_neighbours]`.
pub fn interpolate_motion(
    p: &InterpolateMotionParams,
    x: &[f32],
    neighbour: &[u32],
    weight: &[f32],
    out: &mut [f32],
) {
    let (samples, channels) = (p.n_samples as usize, p.n_channels as usize);
    let entries = channels * p.n_neighbours as usize;
    for block in 0..p.n_blocks as usize {
        let range = block * samples * channels..(block + 1) * samples * channels;
        interpolate_block(
            &x[range.clone()],
            neighbour,
            &weight[block * entries..(block + 1) * entries],
            &mut out[range],
            samples,
            p.n_neighbours as usize,
        );
    }
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn interpolate_block(
    x: &[f32],
    neighbour: &[u32],
    weight: &[f32],
    out: &mut [f32],
    samples: usize,
    n_neighbours: usize,
) {
    // Tiles of time outside, channels inside: the sources of a tile stay in the cache for all channels.
    let mut sources: Vec<(f32, usize)> = Vec::with_capacity(n_neighbours);
    for start in (0..samples).step_by(TILE) {
        let n = TILE.min(samples - start);
        for (c, out) in out.chunks_exact_mut(samples).enumerate() {
            let entries = c * n_neighbours..(c + 1) * n_neighbours;
            let of_channel = weight[entries.clone()].iter().zip(&neighbour[entries]);
            sources.clear();
            sources.extend(
                of_channel
                    .filter(|(w, _)| **w != 0.0)
                    .map(|(&w, &source)| (w, source as usize * samples + start)),
            );
            let (pieces, rest) = out[start..start + n].as_chunks_mut::<PIECE>();
            for (i, out) in pieces.iter_mut().enumerate() {
                let mut sums = [0.0f32; PIECE];
                for &(w, from) in &sources {
                    let x = &x[from + i * PIECE..from + (i + 1) * PIECE];
                    sums.iter_mut().zip(x).for_each(|(sum, x)| *sum += w * x);
                }
                *out = sums;
            }
            let done = n - rest.len();
            rest.fill(0.0);
            for &(w, from) in &sources {
                let x = &x[from + done..from + n];
                rest.iter_mut().zip(x).for_each(|(sum, x)| *sum += w * x);
            }
        }
    }
}

/// Binding order: x, neighbour, weight, out.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [x, neighbour, weight, out] = buffers else {
        panic!("interpolate_motion takes 4 bindings")
    };
    interpolate_motion(
        &params(bytes),
        x.f32(),
        neighbour.u32(),
        weight.f32(),
        out.f32_mut(),
    );
}
