//! Design of the high-pass filter and of the delay filters.

use somata_shaders::layout::HighpassFilterParams;

/// Taps of a delay filter (odd).
pub const DELAY_TAPS: usize = 33;

/// Third-order Butterworth high-pass by the bilinear transform: a biquad with quality 1 and a first-order section.
///
/// Run forward and backward its response is squared: -6 dB at the cut-off, as with scipy's `sosfiltfilt`.
pub fn butterworth_highpass(cutoff_hz: f64, sampling_frequency_hz: f64) -> HighpassFilterParams {
    let k = (std::f64::consts::PI * cutoff_hz / sampling_frequency_hz).tan();
    let norm = 1.0 / (1.0 + k + k * k);
    let first = 1.0 / (1.0 + k);
    HighpassFilterParams {
        b0: norm as f32,
        b1: (-2.0 * norm) as f32,
        b2: norm as f32,
        a1: (2.0 * (k * k - 1.0) * norm) as f32,
        a2: ((1.0 - k + k * k) * norm) as f32,
        c0: first as f32,
        c1: -first as f32,
        d1: ((k - 1.0) * first) as f32,
        ..HighpassFilterParams::default()
    }
}

/// Filters that undo sampling delays: `[channel, DELAY_TAPS]`.
///
/// A channel that was sampled `delay` sample periods after the frame's time holds `s(t + delay)`; the filter evaluates
/// it at `t - delay`: a sinc under a Hann window, normalised to pass a constant unchanged.
pub fn delay_filters(delays: &[f32]) -> Vec<f32> {
    let half = (DELAY_TAPS / 2) as f64;
    delays
        .iter()
        .flat_map(|&delay| {
            let taps: Vec<f64> = (0..DELAY_TAPS)
                .map(|k| {
                    let at = k as f64 - half + f64::from(delay);
                    let sinc = if at.abs() < 1e-12 {
                        1.0
                    } else {
                        (std::f64::consts::PI * at).sin() / (std::f64::consts::PI * at)
                    };
                    let window = (0.5 * std::f64::consts::PI * at / (half + 1.0)).cos();
                    sinc * window * window
                })
                .collect();
            let sum: f64 = taps.iter().sum();
            taps.into_iter()
                .map(move |tap| (tap / sum) as f32)
                .collect::<Vec<f32>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn highpass_matches_scipy() {
        // scipy.signal.butter(3, 300, "high", fs=30000, output="sos"), sections reordered and scaled.
        let p = butterworth_highpass(300.0, 30000.0);
        for (got, want) in [
            (p.a1, -1.935_294_4),
            (p.a2, 0.939_120_8),
            (p.d1, -0.939_062_5),
        ] {
            assert!((got - want).abs() < 1e-6, "{got} {want}");
        }
        let dc = (p.b0 + p.b1 + p.b2).abs();
        assert!(dc < 1e-6);
    }

    #[test]
    fn a_delay_moves_a_sine() {
        let taps = delay_filters(&[0.4]);
        let sine = |t: f64| (0.3 * t).sin();
        // The channel was sampled 0.4 late, so it holds s(t + 0.4); the filter should give s(t).
        let value: f64 = taps
            .iter()
            .enumerate()
            .map(|(k, &w)| f64::from(w) * sine(100.0 + k as f64 - 16.0 + 0.4))
            .sum();
        assert!(
            (value - sine(100.0)).abs() < 1e-3,
            "{value} {}",
            sine(100.0)
        );
    }
}
