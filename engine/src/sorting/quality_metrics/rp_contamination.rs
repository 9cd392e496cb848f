//! Contamination from all pairs of spikes within the refractory period (Llobet et al. 2022).

/// Refractory period, seconds.
const REFRACTORY_S: f64 = 0.001;

/// Share of spikes that do not belong to the neuron; NaN for fewer than two spikes.
pub fn rp_contamination(train: &[i64], sampling_frequency_hz: f64, n_samples: u64) -> f64 {
    let n = train.len();
    if n <= 1 {
        return f64::NAN;
    }
    let period = (REFRACTORY_S * sampling_frequency_hz).round() as i64;
    let (mut count, mut first) = (0usize, 0);
    for (i, &t) in train.iter().enumerate() {
        while t - train[first] > period {
            first += 1;
        }
        count += i - first;
    }
    let d = 1.0 - count as f64 * (n_samples as f64) / ((n * n) as f64 * period as f64);
    if d < 0.0 { 1.0 } else { 1.0 - d.sqrt() }
}
