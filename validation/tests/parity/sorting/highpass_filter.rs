//! Parity of `highpass_filter`.

use somata_shaders::layout::HighpassFilterParams;

use crate::{
    both::{assert_close, both, largest},
    random::Random,
};

/// Third-order Butterworth high-pass by the bilinear transform.
fn butterworth(cutoff_hz: f64, sampling_frequency_hz: f64) -> HighpassFilterParams {
    let k = (std::f64::consts::PI * cutoff_hz / sampling_frequency_hz).tan();
    let biquad = 1.0 / (1.0 + k + k * k);
    let first = 1.0 / (1.0 + k);
    HighpassFilterParams {
        b0: biquad as f32,
        b1: (-2.0 * biquad) as f32,
        b2: biquad as f32,
        a1: (2.0 * (k * k - 1.0) * biquad) as f32,
        a2: ((1.0 - k + k * k) * biquad) as f32,
        c0: first as f32,
        c1: -first as f32,
        d1: ((k - 1.0) * first) as f32,
        ..Default::default()
    }
}

#[test]
fn both_directions_at_awkward_sizes() {
    let Some(both) = both() else { return };
    for (blocks, samples, channels) in [
        (1, 0, 3),
        (1, 1, 1),
        (1, 2, 3),
        (2, 1000, 65),
        (3, 4001, 7),
        (1, 40_001, 2),
    ] {
        let mut random = Random(31);
        // Microvolts with an offset and a slow drift, as recorded.
        let x: Vec<f32> = (0..blocks * samples * channels)
            .map(|i| 20.0 * random.normal() + 300.0 + 100.0 * (i as f32 * 1e-4).sin())
            .collect();
        let params = HighpassFilterParams {
            n_blocks: blocks as u32,
            n_samples: samples as u32,
            n_channels: channels as u32,
            ..butterworth(300.0, 30_000.0)
        };
        let (cpu, gpu) = both.play(
            |commands| {
                let x = commands.upload("x", &x);
                commands.dispatch(&params, &[x]);
                commands.download(x)
            },
            |downloads, x| downloads.take::<f32>(x),
        );
        // The poles lie 0.06 from the unit circle: a rounding error lives for about 16 samples in each of three states
        // and two passes, so some hundred roundings of the largest input meet in one output: 100 * 2^-24 = 6e-6.
        assert_close(
            &format!("{blocks} x {samples} x {channels}"),
            &cpu,
            &gpu,
            6e-6 * largest(&x),
        );
    }
}
