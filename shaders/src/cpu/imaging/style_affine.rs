//! Twin of `wgsl/imaging/style_affine.wgsl`: the style of an image, and what it adds before the units on the way up.
//!
//! The style is the mean of the deepest features, scaled to unit length (Stringer et al. 2021). A unit that takes it computes
//! `relu(factor * (x + W style + c) + term)`; with the batch norm's factor and term that is one factor and one term a channel, which is
//! what is written here.

use crate::{
    cpu::{Buffer, params},
    layout::StyleAffineParams,
};

/// `deepest` `[image, channel, n_pixels]` to `affine` `[image, 2, row]`: factors, then terms.
///
/// `table` holds `weight` `[row, channel]`, then `[row]` biases, `[row]` factors and `[row]` terms of the batch norms.
pub fn style_affine(p: &StyleAffineParams, deepest: &[f32], table: &[f32], affine: &mut [f32]) {
    let (channels, pixels, rows) = (p.channels as usize, p.n_pixels as usize, p.n_rows as usize);
    let (weight, rest) = table.split_at(rows * channels);
    for (features, affine) in deepest
        .chunks_exact(channels * pixels)
        .zip(affine.chunks_exact_mut(2 * rows))
        .take(p.n_images as usize)
    {
        let mut style: Vec<f32> = features
            .chunks_exact(pixels)
            .map(|plane| plane.iter().sum::<f32>() / pixels as f32)
            .collect();
        let norm = style.iter().map(|v| v * v).sum::<f32>().sqrt();
        if norm > 0.0 {
            style.iter_mut().for_each(|v| *v /= norm);
        }
        let (factors, terms) = affine.split_at_mut(rows);
        for row in 0..rows {
            let dot: f32 = weight[row * channels..(row + 1) * channels]
                .iter()
                .zip(&style)
                .map(|(w, s)| w * s)
                .sum();
            let (bias, factor, term) = (rest[row], rest[rows + row], rest[2 * rows + row]);
            factors[row] = factor;
            terms[row] = factor * (dot + bias) + term;
        }
    }
}

/// Binding order: deepest, table, affine.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [deepest, table, affine] = buffers else {
        panic!("style_affine takes 3 bindings")
    };
    style_affine(&params(bytes), deepest.f32(), table.f32(), affine.f32_mut());
}
