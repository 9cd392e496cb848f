//! Channels that would harm the others: dead, railed, noisy.

use serde::{Deserialize, Serialize};

use super::survey::Survey;
use crate::{linalg::median, parameters::sorting::Preprocessing};

/// Why a channel is left out.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BadChannel {
    /// No signal: constant, railed or disconnected.
    Dead,
    /// Far more noise than the others.
    Noisy,
}

/// Labels channels from a survey before referencing: a dead one has less than a tenth of the median noise (or none),
/// a noisy one `noisy_factor` times as much.
///
/// Noise is the median absolute deviation of the high-passed signal, so that spikes do not count as noise.
pub fn detect(survey: &Survey, parameters: &Preprocessing) -> Vec<Option<BadChannel>> {
    let noise = survey.deviations();
    let alive: Vec<f32> = noise.iter().copied().filter(|&noise| noise > 0.0).collect();
    let typical = median(&mut alive.clone());
    noise
        .iter()
        .map(|&noise| {
            if noise <= 0.1 * typical || noise == 0.0 {
                Some(BadChannel::Dead)
            } else if f64::from(noise) > parameters.noisy_factor * f64::from(typical) {
                Some(BadChannel::Noisy)
            } else {
                None
            }
        })
        .collect()
}
