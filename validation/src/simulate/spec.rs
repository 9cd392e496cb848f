//! What to simulate: one struct, every field with unit and default.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Result, ValidationError};

/// The recordings that can be simulated: each a probe and a way the tissue moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordingKind {
    /// Dense four-column probe (Neuropixels 1.0's checkerboard), nothing moves.
    Static,
    /// The same probe, rigid zigzag.
    Drift,
    /// The same probe, zigzag that differs with depth in size and phase.
    Nonrigid,
    /// The same probe, sudden steps.
    Jumps,
    /// The same probe, one slow movement over the whole recording.
    Slow,
    /// Utah array: 10 × 10 at 400 µm without its corners; amplitudes of units change slowly.
    Utah,
    /// Tetrodes, 300 µm apart.
    Tetrode,
    /// Two shanks of two columns each (Neuropixels 2.0's pitch), 250 µm apart.
    TwoShank,
    /// One column at 20 µm.
    Linear,
}

/// How the tissue moves along the probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DriftKind {
    /// Not at all.
    None,
    /// Up and down at constant speed, the whole probe alike.
    Zigzag,
    /// Up and down, smaller and earlier at one end of the probe.
    Nonrigid,
    /// Constant between sudden steps.
    Jumps,
    /// From one end of the range to the other, once.
    Slow,
}

impl RecordingKind {
    /// Every kind with its name on the command line.
    pub const ALL: [(RecordingKind, &'static str); 9] = [
        (Self::Static, "static"),
        (Self::Drift, "drift"),
        (Self::Nonrigid, "nonrigid"),
        (Self::Jumps, "jumps"),
        (Self::Slow, "slow"),
        (Self::Utah, "utah"),
        (Self::Tetrode, "tetrode"),
        (Self::TwoShank, "two-shank"),
        (Self::Linear, "linear"),
    ];

    /// The movement that belongs to the kind.
    pub fn drift(self) -> DriftKind {
        match self {
            Self::Drift => DriftKind::Zigzag,
            Self::Nonrigid => DriftKind::Nonrigid,
            Self::Jumps => DriftKind::Jumps,
            Self::Slow => DriftKind::Slow,
            _ => DriftKind::None,
        }
    }
}

impl std::fmt::Display for RecordingKind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = Self::ALL
            .iter()
            .find(|(kind, _)| kind == self)
            .map_or("", |(_, name)| name);
        formatter.pad(name)
    }
}

impl FromStr for RecordingKind {
    type Err = ValidationError;

    fn from_str(text: &str) -> Result<Self> {
        let names = || Self::ALL.map(|(_, name)| name).join(", ");
        let kind = Self::ALL
            .iter()
            .find(|(_, name)| *name == text)
            .map(|(kind, _)| *kind);
        kind.ok_or_else(|| {
            ValidationError::bad_spec("kind", format!("is `{text}`; it can be {}", names()))
        })
    }
}

/// A recording to simulate. `..RecordingSpec::new(kind)` fills in what is not given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecordingSpec {
    /// Probe and movement. Default `static`.
    pub kind: RecordingKind,
    /// Contacts. Default 64; 96 for `utah`, 4 for `tetrode`, 32 for `linear`.
    pub n_channels: usize,
    /// Neurons with known spikes. Default 40; 110 for `utah`, 5 for `tetrode`, 16 for `linear`.
    pub n_units: usize,
    /// Length in seconds. Default 60.
    pub duration_s: f64,
    /// Samples per second, 5,000 to 100,000. Default 30,000.
    pub sampling_frequency_hz: f64,
    /// Everything random follows from it. Default 1.
    pub seed: u64,
    /// Deviation of the noise between 300 and 6000 Hz, mean over channels, µV. Default 8.
    pub noise_uv: f64,
    /// Deviation of that level from channel to channel, as a share of it. Default 0.1.
    pub noise_level_spread: f64,
    /// Distance over which noise is shared: weights fall by e in this many µm. Default 18.
    pub noise_decay_um: f64,
    /// Amplitude of the mains hum (50 Hz and its third harmonic) common to all channels, µV. Default 30.
    pub hum_uv: f64,
    /// Amplitude of the slow common signal (about 3 Hz), µV. Default 20.
    pub slow_common_uv: f64,
    /// Artefact pulses (as from licking) common to all channels, per second. Default 0.05.
    pub artefact_rate_hz: f64,
    /// Deviation of the constant offset from channel to channel, µV. Default 40.
    pub dc_offset_uv: f64,
    /// Number of dead channels (no signal, hardly any noise), chosen at random. Default 0.
    pub n_dead_channels: usize,
    /// Number of channels with five times the noise, chosen at random. Default 0.
    pub n_noisy_channels: usize,
    /// Movement in place of the kind's own. Default none given.
    pub drift: Option<DriftKind>,
    /// Half the range of the movement, µm. Default 20; 25 for `slow`.
    pub drift_amplitude_um: f64,
    /// Period of the zigzag, s. Default none given: half the length, at least 30.
    pub drift_period_s: Option<f64>,
    /// Deviation of the amplitude from spike to spike, as a share of it. Default 0.08.
    pub amplitude_jitter: f64,
    /// Slow change of a unit's amplitude over minutes, as a share of it. Default 0; 0.1 for `utah`.
    pub amplitude_drift: f64,
    /// Share of units that fire in bursts with shrinking spikes. Default 0.2.
    pub bursting_share: f64,
    /// Firing rates lie between these, log-normal, Hz. Default 0.5 to 20.
    pub firing_rate_hz: [f64; 2],
    /// Median of the firing rates, Hz. Default 5.
    pub median_rate_hz: f64,
    /// Largest negative peaks lie between these, µV. Default 30 to 400.
    pub amplitude_uv: [f64; 2],
}

impl Default for RecordingSpec {
    fn default() -> Self {
        Self::new(RecordingKind::Static)
    }
}

impl RecordingSpec {
    /// The defaults of `kind`.
    pub fn new(kind: RecordingKind) -> Self {
        let (n_channels, n_units) = match kind {
            RecordingKind::Utah => (96, 110),
            RecordingKind::Tetrode => (4, 5),
            RecordingKind::Linear => (32, 16),
            _ => (64, 40),
        };
        Self {
            kind,
            n_channels,
            n_units,
            duration_s: 60.0,
            sampling_frequency_hz: 30_000.0,
            seed: 1,
            noise_uv: 8.0,
            noise_level_spread: 0.1,
            noise_decay_um: 18.0,
            hum_uv: 30.0,
            slow_common_uv: 20.0,
            artefact_rate_hz: 0.05,
            dc_offset_uv: 40.0,
            n_dead_channels: 0,
            n_noisy_channels: 0,
            drift: None,
            drift_amplitude_um: if kind == RecordingKind::Slow {
                25.0
            } else {
                20.0
            },
            drift_period_s: None,
            amplitude_jitter: 0.08,
            amplitude_drift: if kind == RecordingKind::Utah {
                0.1
            } else {
                0.0
            },
            bursting_share: 0.2,
            firing_rate_hz: [0.5, 20.0],
            median_rate_hz: 5.0,
            amplitude_uv: [30.0, 400.0],
        }
    }

    /// Number of samples of each channel.
    pub fn n_samples(&self) -> u64 {
        (self.duration_s * self.sampling_frequency_hz).round() as u64
    }

    /// µV per step of the int16 samples.
    pub fn gain_uv(&self) -> f64 {
        if self.kind == RecordingKind::Utah {
            0.25
        } else {
            0.195
        }
    }

    /// The movement: the given one, or else the kind's.
    pub fn effective_drift(&self) -> DriftKind {
        self.drift.unwrap_or(self.kind.drift())
    }

    /// # Errors
    /// If a field cannot be simulated; the message names it and says what is possible.
    pub fn check(&self) -> Result<()> {
        let in_range = |field: &'static str, value: f64, low: f64, high: f64| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(ValidationError::bad_spec(
                    field,
                    format!("is {value}; it must be between {low} and {high}"),
                ))
            }
        };
        in_range("n_channels", self.n_channels as f64, 1.0, 8192.0)?;
        in_range("n_units", self.n_units as f64, 0.0, 60_000.0)?;
        in_range("duration_s", self.duration_s, 0.001, 10_000_000.0)?;
        in_range(
            "sampling_frequency_hz",
            self.sampling_frequency_hz,
            5_000.0,
            100_000.0,
        )?;
        in_range("noise_uv", self.noise_uv, 0.0, 1_000.0)?;
        in_range("noise_level_spread", self.noise_level_spread, 0.0, 0.3)?;
        in_range("noise_decay_um", self.noise_decay_um, 1.0, 200.0)?;
        in_range("hum_uv", self.hum_uv, 0.0, 5_000.0)?;
        in_range("slow_common_uv", self.slow_common_uv, 0.0, 5_000.0)?;
        in_range("artefact_rate_hz", self.artefact_rate_hz, 0.0, 10.0)?;
        in_range("dc_offset_uv", self.dc_offset_uv, 0.0, 1_000.0)?;
        in_range("drift_amplitude_um", self.drift_amplitude_um, 0.0, 1_000.0)?;
        in_range(
            "drift_period_s",
            self.drift_period_s.unwrap_or(30.0),
            0.5,
            1e7,
        )?;
        in_range("amplitude_jitter", self.amplitude_jitter, 0.0, 0.3)?;
        in_range("amplitude_drift", self.amplitude_drift, 0.0, 0.5)?;
        in_range("bursting_share", self.bursting_share, 0.0, 1.0)?;
        for (field, [low, high], least) in [
            ("firing_rate_hz", self.firing_rate_hz, 0.001),
            ("amplitude_uv", self.amplitude_uv, 1.0),
        ] {
            in_range(field, low, least, high)?;
        }
        // Above 80 Hz the longest refractory period and the bursts leave no room for the rate.
        in_range(
            "firing_rate_hz",
            self.firing_rate_hz[1],
            self.firing_rate_hz[0],
            80.0,
        )?;
        in_range(
            "amplitude_uv",
            self.amplitude_uv[1],
            self.amplitude_uv[0],
            3_000.0,
        )?;
        in_range(
            "median_rate_hz",
            self.median_rate_hz,
            self.firing_rate_hz[0],
            self.firing_rate_hz[1],
        )?;
        let n_bad = self.n_dead_channels + self.n_noisy_channels;
        in_range(
            "n_dead_channels",
            n_bad as f64,
            0.0,
            (self.n_channels / 2) as f64,
        )?;
        let multiple = |of: usize, why: &str| {
            if self.n_channels.is_multiple_of(of) {
                Ok(())
            } else {
                Err(ValidationError::bad_spec(
                    "n_channels",
                    format!("is {}; {why}", self.n_channels),
                ))
            }
        };
        match self.kind {
            RecordingKind::Utah if self.n_channels > 96 => Err(ValidationError::bad_spec(
                "n_channels",
                format!("is {}; a Utah array has at most 96", self.n_channels),
            )),
            RecordingKind::Tetrode => multiple(4, "a tetrode has 4"),
            RecordingKind::TwoShank => {
                multiple(4, "two shanks of two columns need a multiple of 4")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways_and_an_unknown_one_lists_them() {
        for (kind, name) in RecordingKind::ALL {
            assert_eq!(name.parse::<RecordingKind>().unwrap(), kind);
            assert_eq!(kind.to_string(), name);
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{name}\""));
            RecordingSpec::new(kind).check().unwrap();
        }
        assert!(
            "utha"
                .parse::<RecordingKind>()
                .unwrap_err()
                .to_string()
                .contains("two-shank")
        );
    }

    #[test]
    fn a_spec_that_cannot_be_simulated_is_refused_with_its_field() {
        let spec = RecordingSpec {
            n_channels: 5,
            ..RecordingSpec::new(RecordingKind::Tetrode)
        };
        assert!(spec.check().unwrap_err().to_string().contains("n_channels"));
        let spec = RecordingSpec {
            duration_s: f64::NAN,
            ..RecordingSpec::default()
        };
        assert!(spec.check().unwrap_err().to_string().contains("duration_s"));
    }
}
