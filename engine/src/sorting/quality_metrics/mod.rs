//! Quality metrics with the field's names; SpikeInterface's definitions where it has one.
//!
//! Formulas, meaning, good ranges and citations: docs/concepts/quality-metrics.md.

pub mod amplitude_cutoff;
pub mod firing_rate;
pub mod isi_violations;
pub mod presence_ratio;
pub mod rp_contamination;

use serde::{Deserialize, Serialize};

/// The metrics of one unit.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct QualityMetrics {
    /// Spikes.
    pub n_spikes: usize,
    /// Spikes a second.
    pub firing_rate_hz: f64,
    /// Share of minutes with a spike; NaN for less than a minute.
    pub presence_ratio: f64,
    /// Extreme of the template over the channel's noise.
    pub snr: f64,
    /// Intervals under 1.5 ms.
    pub isi_violations_count: usize,
    /// Rate of violations relative to the unit's own (Hill et al. 2011).
    pub isi_violations_ratio: f64,
    /// Share of spikes from elsewhere (Llobet et al. 2022).
    pub rp_contamination: f64,
    /// Median amplitude on the main channel, signed, µV.
    pub amplitude_median_uv: f64,
    /// Share of spikes too small to be found; NaN under 500 spikes.
    pub amplitude_cutoff: f64,
}
