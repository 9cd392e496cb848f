//! Twin of `wgsl/imaging/pool_maxima.wgsl`: half the resolution, by the largest of every 2 by 2 pixels.

use crate::{
    cpu::{Buffer, params},
    layout::PoolMaximaParams,
};

/// `x` `[image, 2 * height, 2 * width]` to `out` `[image, height, width]`.
pub fn pool_maxima(p: &PoolMaximaParams, x: &[f32], out: &mut [f32]) {
    let width = p.width as usize;
    let rows = p.n_images as usize * p.height as usize;
    for (pair, out) in x
        .chunks_exact(4 * width)
        .zip(out.chunks_exact_mut(width))
        .take(rows)
    {
        let (upper, lower) = pair.split_at(2 * width);
        for (i, out) in out.iter_mut().enumerate() {
            *out = (upper[2 * i].max(upper[2 * i + 1])).max(lower[2 * i].max(lower[2 * i + 1]));
        }
    }
}

/// Binding order: x, out.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [x, out] = buffers else {
        panic!("pool_maxima takes 2 bindings")
    };
    pool_maxima(&params(bytes), x.f32(), out.f32_mut());
}
