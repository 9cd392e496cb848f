//! What a trace is when the cell is silent.
//!
//! A low percentile over a window around each time, of the smoothed trace. A percentile of noise lies below its middle by a known
//! distance, but how long a cell is silent is not known, so none is added: what remains is a constant that the deconvolution's
//! penalty absorbs. Times are in seconds, so that the frame rate does not matter.

use crate::{linalg, parameters::imaging::Deconvolution};

/// Standard deviation of the smoothing before the percentile, s.
const SMOOTH_S: f64 = 1.0 / 3.0;
/// Windows overlap: places a window.
const PLACES: usize = 8;

/// The running baseline of a trace.
pub fn running(trace: &[f32], frame_rate_hz: f64, parameters: &Deconvolution) -> Vec<f32> {
    let n = trace.len();
    if n == 0 {
        return Vec::new();
    }
    let values: Vec<f64> = trace.iter().map(|&v| f64::from(v)).collect();
    let smooth = linalg::gaussian(
        &values,
        (SMOOTH_S * frame_rate_hz).max(0.3),
        linalg::Edge::Nearest,
    );
    let half = ((0.5 * parameters.baseline_window_s * frame_rate_hz) as usize).clamp(1, n);
    let step = (2 * half / PLACES).max(1);
    let mut window = Vec::new();
    let places: Vec<(usize, f64)> = (0..n)
        .step_by(step)
        .map(|at| {
            window.clear();
            window.extend_from_slice(&smooth[at.saturating_sub(half)..(at + half + 1).min(n)]);
            let k = ((window.len() - 1) as f64 * parameters.baseline_percentile / 100.0).round()
                as usize;
            let (_, value, _) = window.select_nth_unstable_by(k, f64::total_cmp);
            (at, *value)
        })
        .collect();
    let mut baseline = Vec::with_capacity(n);
    for pair in places.windows(2) {
        let ((from, a), (to, b)) = (pair[0], pair[1]);
        baseline.extend(
            (from..to).map(|t| (a + (b - a) * (t - from) as f64 / (to - from) as f64) as f32),
        );
    }
    let last = places.last().expect("at least one place").1 as f32;
    baseline.resize(n, last);
    baseline
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_bleaching_and_not_events() {
        let rate = 30.0;
        let trace: Vec<f32> = (0..9000)
            .map(|t| {
                let fall = 500.0 - 0.01 * t as f32;
                fall + if t % 400 < 60 { 80.0 } else { 0.0 }
            })
            .collect();
        let baseline = running(&trace, rate, &Deconvolution::default());
        for t in (900..8100).step_by(100) {
            assert!(
                (baseline[t] - (500.0 - 0.01 * t as f32)).abs() < 10.0,
                "{t}: {}",
                baseline[t]
            );
        }
    }

    #[test]
    fn short_traces_have_one() {
        for n in [0usize, 1, 2, 7] {
            let baseline = running(&vec![2.0; n], 30.0, &Deconvolution::default());
            assert_eq!(baseline, vec![2.0; n]);
        }
    }
}
