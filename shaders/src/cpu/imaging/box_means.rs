//! Twin of `wgsl/imaging/box_means.wgsl`: sums over a square, one axis at a time, and the division at the end.
//!
//! Subtracting the mean of a large square takes out what is smooth: neuropil, shading, focus. At an edge the mean is over the
//! pixels that exist; nothing is invented beyond it.

use crate::{
    cpu::{Buffer, params},
    layout::BoxMeansParams,
};

/// `out = scale * (sum of x over radius pixels on both sides along the axis)`; both `[image, y, x]`, `scale` `[y, x]`.
///
/// A first call along x with a scale of 1 and a second along y with the inverse count of the square's pixels give the mean.
pub fn box_means(p: &BoxMeansParams, x: &[f32], scale: &[f32], out: &mut [f32]) {
    let (height, width, radius) = (p.height as usize, p.width as usize, p.radius as usize);
    let n = height * width;
    for (x, out) in x
        .chunks_exact(n)
        .zip(out.chunks_exact_mut(n))
        .take(p.n_images as usize)
    {
        if p.axis == 0 {
            for y in 0..height {
                let row = y * width..(y + 1) * width;
                sum_row(&x[row.clone()], radius, &mut out[row]);
            }
        } else {
            sum_columns(x, height, width, radius, out);
        }
        scale_all(scale, out);
    }
}

/// Sums of a row. Taps are added in the order of their place, so that a value does not depend on its neighbours' sums.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn sum_row(x: &[f32], radius: usize, out: &mut [f32]) {
    let n = x.len();
    out.fill(0.0);
    for tap in 0..=2 * radius {
        // out[i] += x[i + tap - radius]
        let from = radius.saturating_sub(tap).min(n);
        let to = (n + radius).saturating_sub(tap).min(n);
        if from >= to {
            continue;
        }
        let first = from + tap - radius;
        let source = &x[first..first + to - from];
        for (out, value) in out[from..to].iter_mut().zip(source) {
            *out += value;
        }
    }
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn sum_columns(x: &[f32], height: usize, width: usize, radius: usize, out: &mut [f32]) {
    for y in 0..height {
        let sum = &mut out[y * width..(y + 1) * width];
        sum.fill(0.0);
        for row in y.saturating_sub(radius)..(y + radius + 1).min(height) {
            for (sum, value) in sum.iter_mut().zip(&x[row * width..(row + 1) * width]) {
                *sum += value;
            }
        }
    }
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn scale_all(scale: &[f32], out: &mut [f32]) {
    for (out, scale) in out.iter_mut().zip(scale) {
        *out *= scale;
    }
}

/// Binding order: x, scale, out.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [x, scale, out] = buffers else {
        panic!("box_means takes 3 bindings")
    };
    box_means(&params(bytes), x.f32(), scale.f32(), out.f32_mut());
}
