//! Twin of `wgsl/sorting/phase_shift.wgsl`: sub-sample delays of multiplexed ADCs undone.
//!
//! Each channel is interpolated by its own short windowed-sinc filter. A finite filter, unlike a Fourier shift of the
//! whole file, gives the same result in every block.

use crate::{
    cpu::{Buffer, params},
    layout::PhaseShiftParams,
};

/// `out[t, c] = sum_k taps[c, k] * x[t + k - half, c]`, indices clamped to the window; arrays `[block, time, channel]`,
/// `taps` `[channel, tap]`.
pub fn phase_shift(p: &PhaseShiftParams, x: &[f32], taps: &[f32], out: &mut [f32]) {
    let (samples, channels, n_taps) = (
        p.n_samples as usize,
        p.n_channels as usize,
        p.n_taps as usize,
    );
    // Tap-major, so that the inner loop runs over channels that lie side by side.
    let mut by_tap = vec![0.0f32; n_taps * channels];
    for c in 0..channels {
        for k in 0..n_taps {
            by_tap[k * channels + c] = taps[c * n_taps + k];
        }
    }
    for (x, out) in x
        .chunks_exact(samples * channels)
        .zip(out.chunks_exact_mut(samples * channels))
    {
        shift_block(x, &by_tap, out, samples, channels, n_taps);
    }
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn shift_block(
    x: &[f32],
    by_tap: &[f32],
    out: &mut [f32],
    samples: usize,
    channels: usize,
    n_taps: usize,
) {
    let half = n_taps / 2;
    for t in 0..samples {
        let row = &mut out[t * channels..(t + 1) * channels];
        row.fill(0.0);
        for k in 0..n_taps {
            let source = (t + k).saturating_sub(half).min(samples - 1);
            let x = &x[source * channels..(source + 1) * channels];
            let w = &by_tap[k * channels..(k + 1) * channels];
            for c in 0..channels {
                row[c] += w[c] * x[c];
            }
        }
    }
}

/// Binding order: x, taps, out.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [x, taps, out] = buffers else {
        panic!("phase_shift takes 3 bindings")
    };
    phase_shift(&params(bytes), x.f32(), taps.f32(), out.f32_mut());
}
