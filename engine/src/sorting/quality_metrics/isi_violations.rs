//! Refractory violations between successive spikes (Hill et al. 2011).

/// Intervals below this are violations, seconds.
const THRESHOLD_S: f64 = 0.0015;

/// Number of violations of a sorted train, and their rate relative to the unit's own; NaN without spikes.
pub fn isi_violations(train: &[i64], sampling_frequency_hz: f64, duration_s: f64) -> (usize, f64) {
    if train.is_empty() {
        return (0, f64::NAN);
    }
    let count = train
        .windows(2)
        .filter(|pair| ((pair[1] - pair[0]) as f64) < THRESHOLD_S * sampling_frequency_hz)
        .count();
    let n = train.len() as f64;
    (
        count,
        count as f64 * duration_s / (2.0 * n * n * THRESHOLD_S),
    )
}
