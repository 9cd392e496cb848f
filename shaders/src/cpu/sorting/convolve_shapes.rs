//! Twin of `wgsl/sorting/convolve_shapes.wgsl`: matched filters of single channels.

use super::correlate::correlate_sum;
use crate::{
    cpu::{Buffer, params},
    layout::ConvolveShapesParams,
};

/// `out[c, s, t] = sum_k x[c, t + k] * shape[s, k]`, 0 where the shape would leave the window; `x`
/// `[block, channel, time]`, `shape` `[shape, tap]`, `out` `[block, channel, shape, time]`.
pub fn convolve_shapes(p: &ConvolveShapesParams, x: &[f32], shape: &[f32], out: &mut [f32]) {
    let (samples, shapes) = (p.n_samples as usize, p.n_shapes as usize);
    for (x, out) in x
        .chunks_exact(samples)
        .zip(out.chunks_exact_mut(shapes * samples))
    {
        for (shape, out) in shape
            .chunks_exact(p.n_taps as usize)
            .zip(out.chunks_exact_mut(samples))
        {
            convolve(x, shape, out);
        }
    }
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn convolve(x: &[f32], shape: &[f32], out: &mut [f32]) {
    out.fill(0.0);
    let valid = (x.len() + 1).saturating_sub(shape.len());
    correlate_sum(&[x], &[shape], &mut out[..valid]);
}

/// Binding order: x, shape, out.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [x, shape, out] = buffers else {
        panic!("convolve_shapes takes 3 bindings")
    };
    convolve_shapes(&params(bytes), x.f32(), shape.f32(), out.f32_mut());
}
