//! Mean firing rate.

/// Spikes a second over the whole recording; NaN without spikes.
pub fn firing_rate_hz(n_spikes: usize, duration_s: f64) -> f64 {
    if n_spikes == 0 {
        f64::NAN
    } else {
        n_spikes as f64 / duration_s
    }
}
