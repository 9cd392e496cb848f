//! Twin of `wgsl/sorting/score_footprints.wgsl`: universal templates.
//!
//! A universal template is a temporal shape times a Gaussian footprint around a channel. Both have unit norm, so the
//! score is in noise deviations and a spike that is spread over many channels is found far below a plain threshold.

use crate::{
    cpu::{Buffer, params},
    layout::ScoreFootprintsParams,
};

/// Samples that are scored at a time.
const TILE: usize = 256;

/// `out[c, t] = max over sizes z and shapes s of sum_k weight[z, c, k] * conv[neighbour[c, k], s, t]`, at least 0;
/// `conv` `[block, channel, shape, time]`, `neighbour` `[channel, n_neighbours]`, `weight`
/// `[size, channel, n_neighbours]`, `out` `[block, channel, time]`.
pub fn score_footprints(
    p: &ScoreFootprintsParams,
    conv: &[f32],
    neighbour: &[u32],
    weight: &[f32],
    out: &mut [f32],
) {
    let (samples, channels, shapes) = (
        p.n_samples as usize,
        p.n_channels as usize,
        p.n_shapes as usize,
    );
    for (conv, out) in conv
        .chunks_exact(samples * channels * shapes)
        .zip(out.chunks_exact_mut(samples * channels))
    {
        score_block(p, conv, neighbour, weight, out);
    }
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn score_block(
    p: &ScoreFootprintsParams,
    conv: &[f32],
    neighbour: &[u32],
    weight: &[f32],
    out: &mut [f32],
) {
    let (samples, channels, shapes) = (
        p.n_samples as usize,
        p.n_channels as usize,
        p.n_shapes as usize,
    );
    let n_neighbours = p.n_neighbours as usize;
    for start in (0..samples).step_by(TILE) {
        let n = TILE.min(samples - start);
        for c in 0..channels {
            let mut best = [0.0f32; TILE];
            for size in 0..p.n_sizes as usize {
                let row = (size * channels + c) * n_neighbours;
                for s in 0..shapes {
                    let mut sum = [0.0f32; TILE];
                    for k in 0..n_neighbours {
                        let w = weight[row + k];
                        if w != 0.0 {
                            let source = neighbour[c * n_neighbours + k] as usize;
                            let from = (source * shapes + s) * samples + start;
                            let source = &conv[from..from + n];
                            if n == TILE {
                                let source: &[f32; TILE] = source.try_into().expect("tile");
                                for t in 0..TILE {
                                    sum[t] += w * source[t];
                                }
                            } else {
                                for t in 0..n {
                                    sum[t] += w * source[t];
                                }
                            }
                        }
                    }
                    for t in 0..TILE {
                        best[t] = if sum[t] > best[t] { sum[t] } else { best[t] };
                    }
                }
            }
            out[c * samples + start..c * samples + start + n].copy_from_slice(&best[..n]);
        }
    }
}

/// Binding order: conv, neighbour, weight, out.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [conv, neighbour, weight, out] = buffers else {
        panic!("score_footprints takes 4 bindings")
    };
    score_footprints(
        &params(bytes),
        conv.f32(),
        neighbour.u32(),
        weight.f32(),
        out.f32_mut(),
    );
}
