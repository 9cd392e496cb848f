//! Spikes that were too small to be found, from the shape of the amplitudes' histogram (Hill et al. 2011).

use crate::linalg::{Edge, gaussian};

/// Bins of the histogram.
const BINS: usize = 100;
/// Width of the smoothing, bins.
const SMOOTHING_BINS: f64 = 3.0;
/// Fewer spikes than this say nothing: five a bin.
const MIN_SPIKES: usize = 500;

/// Share of missed spikes, at most 0.5; NaN for fewer than 500 spikes.
///
/// The smoothed histogram is held in whole numbers, as SpikeInterface 0.105 does, so that the two agree.
pub fn amplitude_cutoff(amplitudes: &[f64]) -> f64 {
    if amplitudes.len() < MIN_SPIKES {
        return f64::NAN;
    }
    let low = amplitudes.iter().copied().fold(f64::INFINITY, f64::min);
    let high = amplitudes.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if high <= low {
        return f64::NAN;
    }
    let width = (high - low) / BINS as f64;
    let mut histogram = vec![0.0; BINS];
    for &amplitude in amplitudes {
        histogram[(((amplitude - low) / width) as usize).min(BINS - 1)] += 1.0;
    }
    let smooth: Vec<f64> = gaussian(&histogram, SMOOTHING_BINS, Edge::Nearest)
        .iter()
        .map(|v| v.trunc())
        .collect();
    let last = smooth
        .iter()
        .rposition(|&count| count >= smooth[0])
        .expect("the first is one");
    let missed: f64 = smooth[last + 1..].iter().sum();
    (missed / (amplitudes.len() as f64 + missed)).min(0.5)
}
