//! Twin of `wgsl/imaging/standardise_bins.wgsl`: bins in units of their noise.

use crate::{
    cpu::{Buffer, params},
    layout::StandardiseBinsParams,
};

/// `bins[p] = (bins[p] - mean[p]) * inverse_noise[p]`, in place; `bins` `[bin, y, x]`. An inverse of 0 makes a pixel absent.
pub fn standardise_bins(
    p: &StandardiseBinsParams,
    mean: &[f32],
    inverse_noise: &[f32],
    bins: &mut [f32],
) {
    let n = p.n_pixels as usize;
    for bin in bins.chunks_exact_mut(n).take(p.n_bins as usize) {
        standardise(mean, inverse_noise, bin);
    }
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn standardise(mean: &[f32], inverse_noise: &[f32], bin: &mut [f32]) {
    for ((value, mean), inverse) in bin.iter_mut().zip(mean).zip(inverse_noise) {
        *value = (*value - mean) * inverse;
    }
}

/// Binding order: mean, inverse_noise, bins.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [mean, inverse, bins] = buffers else {
        panic!("standardise_bins takes 3 bindings")
    };
    standardise_bins(&params(bytes), mean.f32(), inverse.f32(), bins.f32_mut());
}
