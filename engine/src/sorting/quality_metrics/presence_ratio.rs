//! In how much of the recording a unit is seen.

/// Length of a bin, seconds.
const BIN_S: f64 = 60.0;

/// Share of whole bins with a spike; NaN without spikes or when not one bin is whole.
pub fn presence_ratio(train: &[i64], sampling_frequency_hz: f64, n_samples: u64) -> f64 {
    let bin = (BIN_S * sampling_frequency_hz) as u64;
    let bins = (n_samples / bin) as usize;
    if train.is_empty() || bins == 0 {
        return f64::NAN;
    }
    let mut seen = vec![false; bins];
    for &t in train {
        if let Some(seen) = seen.get_mut((t.max(0) as u64 / bin) as usize) {
            *seen = true;
        }
    }
    seen.iter().filter(|&&seen| seen).count() as f64 / bins as f64
}
