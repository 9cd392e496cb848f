//! Twin of `wgsl/sorting/whiten.wgsl`: a sparse matrix per block applied to every sample.
//!
//! Whitening makes the noise of neighbouring channels independent and of unit variance, so that scores have a
//! meaning in noise deviations. When the tissue moved, the matrix of a block has the interpolation folded in.

use crate::{
    cpu::{Buffer, params},
    layout::WhitenParams,
};

/// Samples that are transposed and multiplied at a time.
const TILE: usize = 256;

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
    let mut tile = vec![0.0f32; channels * TILE];
    for block in 0..p.n_blocks as usize {
        let matrix = matrix_of_block[block] as usize;
        whiten_block(
            &x[block * samples * channels..(block + 1) * samples * channels],
            neighbour,
            &weight[matrix * channels * k..(matrix + 1) * channels * k],
            &mut out[block * samples * channels..(block + 1) * samples * channels],
            samples,
            channels,
            k,
            &mut tile,
        );
    }
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn whiten_block(
    x: &[f32],
    neighbour: &[u32],
    weight: &[f32],
    out: &mut [f32],
    samples: usize,
    channels: usize,
    n_neighbours: usize,
    tile: &mut [f32],
) {
    for start in (0..samples).step_by(TILE) {
        let n = TILE.min(samples - start);
        for (t, row) in x[start * channels..(start + n) * channels]
            .chunks_exact(channels)
            .enumerate()
        {
            for c in 0..channels {
                tile[c * TILE + t] = row[c];
            }
        }
        for c in 0..channels {
            let mut sum = [0.0f32; TILE];
            for k in 0..n_neighbours {
                let w = weight[c * n_neighbours + k];
                if w != 0.0 {
                    let source = neighbour[c * n_neighbours + k] as usize;
                    let source: &[f32; TILE] = tile[source * TILE..(source + 1) * TILE]
                        .try_into()
                        .expect("tile");
                    for t in 0..TILE {
                        sum[t] += w * source[t];
                    }
                }
            }
            out[c * samples + start..c * samples + start + n].copy_from_slice(&sum[..n]);
        }
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
