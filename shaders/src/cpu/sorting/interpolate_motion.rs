//! Twin of `wgsl/sorting/interpolate_motion.wgsl`: the field moved back to where the tissue was.
//!
//! Used where events of different displacements meet: detection, features and mean waveforms. Matching moves its
//! templates instead, and leaves the data and their noise as they are.

use super::used;
use crate::{
    cpu::{Buffer, params},
    layout::InterpolateMotionParams,
};

/// Samples of all channels that are worked on together, in rows side by side. In the window the rows are a multiple of 4,096 bytes apart and would
/// push each other out of the nearest cache.
const TILE: usize = 128;
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
    let channels = x.len() / samples.max(1);
    // What each channel is made of: where its sources begin in the tile, and their weights.
    let sources: Vec<Vec<(f32, usize)>> = weight
        .chunks_exact(n_neighbours)
        .zip(neighbour.chunks_exact(n_neighbours))
        .map(|(weight, neighbour)| {
            used(neighbour, weight)
                .map(|(source, weight)| (weight, source * TILE))
                .collect()
        })
        .collect();
    let mut tile = vec![0.0f32; channels * TILE];
    for start in (0..samples).step_by(TILE) {
        let n = TILE.min(samples - start);
        for (tile, x) in tile.chunks_exact_mut(TILE).zip(x.chunks_exact(samples)) {
            tile[..n].copy_from_slice(&x[start..start + n]);
        }
        for (sources, out) in sources.iter().zip(out.chunks_exact_mut(samples)) {
            for (i, out) in out[start..start + n].chunks_mut(PIECE).enumerate() {
                let mut sums = [0.0f32; PIECE];
                for &(weight, from) in sources {
                    let x = &tile[from + i * PIECE..from + (i + 1) * PIECE];
                    sums.iter_mut()
                        .zip(x)
                        .for_each(|(sum, x)| *sum += weight * x);
                }
                out.copy_from_slice(&sums[..out.len()]);
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
