//! Twin of `wgsl/sorting/highpass_filter.wgsl`: zero-phase high-pass.
//!
//! Third-order Butterworth run forward and backward over the window (so sixth order in effect, and no phase), one
//! biquad and one first-order section in transposed direct form II. The window's margin holds the transient; the
//! first sample is subtracted, so that a constant offset makes none.

use crate::{
    cpu::{Buffer, params},
    layout::HighpassFilterParams,
};

/// Filters `x` `[block, time, channel]` in place.
pub fn highpass_filter(p: &HighpassFilterParams, x: &mut [f32]) {
    let (samples, channels) = (p.n_samples as usize, p.n_channels as usize);
    for block in x.chunks_exact_mut(samples * channels) {
        filter_block(p, block, samples, channels);
    }
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn filter_block(p: &HighpassFilterParams, x: &mut [f32], samples: usize, channels: usize) {
    let mut state = vec![0.0f32; 4 * channels];
    let (origin, rest) = state.split_at_mut(channels);
    let (s1, rest) = rest.split_at_mut(channels);
    let (s2, s3) = rest.split_at_mut(channels);
    for backward in [false, true] {
        let first = if backward { samples - 1 } else { 0 };
        origin.copy_from_slice(&x[first * channels..(first + 1) * channels]);
        s1.fill(0.0);
        s2.fill(0.0);
        s3.fill(0.0);
        for step in 0..samples {
            let t = if backward { samples - 1 - step } else { step };
            let row = &mut x[t * channels..(t + 1) * channels];
            let (origin, s1, s2, s3) = (
                &origin[..channels],
                &mut s1[..channels],
                &mut s2[..channels],
                &mut s3[..channels],
            );
            for c in 0..channels {
                let v = row[c] - origin[c];
                let y = p.b0 * v + s1[c];
                s1[c] = p.b1 * v - p.a1 * y + s2[c];
                s2[c] = p.b2 * v - p.a2 * y;
                let z = p.c0 * y + s3[c];
                s3[c] = p.c1 * y - p.d1 * z;
                row[c] = z;
            }
        }
    }
}

/// Binding order: x.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [x] = buffers else {
        panic!("highpass_filter takes 1 binding")
    };
    highpass_filter(&params(bytes), x.f32_mut());
}
