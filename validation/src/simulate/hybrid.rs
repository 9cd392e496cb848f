//! Measured templates planted into simulated noise: real spike shapes and footprints with a known truth.
//!
//! A mean waveform carries a little of the noise that it was averaged from. To keep that from becoming a fixed pattern over the
//! whole probe, a template is cut to the contacts near its main one and faded at both ends of its time.

use std::path::Path;

use super::geometry::Geometry;
use super::spec::RecordingSpec;
use crate::error::{Result, ValidationError};

/// Contacts farther from the main one are left out, µm.
const RADIUS_UM: f64 = 200.0;
/// Contacts whose largest deflection is below are left out, µV.
const SMALLEST_UV: f32 = 1.5;
/// Length of the fade at each end, ms.
const FADE_MS: f64 = 0.2;

/// Templates, one for each unit.
#[derive(Debug, Clone, PartialEq)]
pub struct TemplateSet {
    /// Number of units.
    pub n_units: usize,
    /// Number of channels.
    pub n_channels: usize,
    /// Samples of each waveform.
    pub n_samples: usize,
    /// Samples per second.
    pub sampling_frequency_hz: f64,
    /// Mean waveforms, `[units, channels, samples]`, row-major, µV.
    pub values_uv: Vec<f32>,
}

/// A template ready to be added to a recording.
pub(crate) struct PlantedTemplate {
    /// Centre of mass of the footprint: x, y; z is not known and 0.
    pub location_um: [f64; 3],
    pub main_channel: usize,
    pub amplitude_uv: f64,
    /// Samples before the trough.
    pub before: i64,
    n_samples: usize,
    channels: Vec<usize>,
    /// `[channels, samples]`, µV.
    values: Vec<f32>,
}

impl TemplateSet {
    /// Reads a float `.npy` of shape `[units, channels, samples]` in µV.
    ///
    /// # Errors
    /// If the file cannot be read or has another shape or type.
    pub fn read_npy(path: &Path, sampling_frequency_hz: f64) -> Result<Self> {
        let bytes =
            std::fs::read(path).map_err(|source| ValidationError::io("read", path, source))?;
        crate::arrays::check_file(path, &bytes)
            .map_err(|reason| ValidationError::bad_file(path, reason))?;
        let file = npyz::NpyFile::new(&bytes[..])
            .map_err(|source| ValidationError::bad_file(path, source.to_string()))?;
        let &[n_units, n_channels, n_samples] = file.shape() else {
            return Err(ValidationError::bad_file(
                path,
                "it must have shape [units, channels, samples]",
            ));
        };
        let values = super::truth::floats_of(file)
            .map_err(|reason| ValidationError::bad_file(path, reason))?;
        if !values.iter().all(|value| value.is_finite()) {
            return Err(ValidationError::bad_file(
                path,
                "it has values that are not finite",
            ));
        }
        Ok(Self {
            n_units: n_units as usize,
            n_channels: n_channels as usize,
            n_samples: n_samples as usize,
            sampling_frequency_hz,
            values_uv: values.into_iter().map(|value| value as f32).collect(),
        })
    }

    fn waveform(&self, unit: usize, channel: usize) -> &[f32] {
        &self.values_uv[(unit * self.n_channels + channel) * self.n_samples..][..self.n_samples]
    }

    pub(crate) fn plant(
        &self,
        spec: &RecordingSpec,
        probe: &Geometry,
    ) -> Result<Vec<PlantedTemplate>> {
        if self.n_channels != probe.n_channels() {
            return Err(ValidationError::bad_spec(
                "n_channels",
                format!(
                    "is {}; the templates have {}",
                    probe.n_channels(),
                    self.n_channels
                ),
            ));
        }
        if (self.sampling_frequency_hz - spec.sampling_frequency_hz).abs()
            > 0.001 * spec.sampling_frequency_hz
        {
            return Err(ValidationError::bad_spec(
                "sampling_frequency_hz",
                format!(
                    "is {}; the templates have {} Hz",
                    spec.sampling_frequency_hz, self.sampling_frequency_hz
                ),
            ));
        }
        Ok((0..self.n_units)
            .map(|unit| self.plant_unit(unit, probe))
            .collect())
    }

    fn plant_unit(&self, unit: usize, probe: &Geometry) -> PlantedTemplate {
        let fade_samples = (FADE_MS * self.sampling_frequency_hz / 1000.0).max(1.0);
        // Waveforms relative to their first fade's mean, so that they start and end at zero.
        let prepared: Vec<Vec<f32>> = (0..self.n_channels)
            .map(|channel| {
                let raw = self.waveform(unit, channel);
                let head = &raw[..(fade_samples as usize).clamp(1, raw.len())];
                let base = head.iter().sum::<f32>() / head.len() as f32;
                let edge = |sample: usize| {
                    ((sample as f64 + 0.5).min((raw.len() - sample) as f64 - 0.5) / fade_samples)
                        .min(1.0) as f32
                };
                raw.iter()
                    .enumerate()
                    .map(|(sample, value)| (value - base) * edge(sample))
                    .collect()
            })
            .collect();
        let lowest = |waveform: &[f32]| {
            waveform
                .iter()
                .copied()
                .enumerate()
                .min_by(|a, b| a.1.total_cmp(&b.1))
                .unwrap_or((0, 0.0))
        };
        let main_channel = (0..self.n_channels)
            .min_by(|&a, &b| lowest(&prepared[a]).1.total_cmp(&lowest(&prepared[b]).1))
            .unwrap_or(0);
        let (trough, depth) = lowest(&prepared[main_channel]);
        let size = |channel: usize| {
            prepared[channel]
                .iter()
                .fold(0.0f32, |largest, value| value.abs().max(largest))
        };
        let channels: Vec<usize> = (0..self.n_channels)
            .filter(|&channel| {
                probe.distance_um(channel, main_channel) <= RADIUS_UM
                    && size(channel) >= SMALLEST_UV
            })
            .collect();
        let mut centre = [0.0f64; 2];
        let mut total = 0.0;
        for &channel in &channels {
            let weight = f64::from(size(channel)).powi(2);
            total += weight;
            (0..2).for_each(|axis| centre[axis] += weight * probe.positions_um[channel][axis]);
        }
        let [x, y] = centre.map(|sum| if total > 0.0 { sum / total } else { 0.0 });
        PlantedTemplate {
            location_um: [x, y, 0.0],
            main_channel,
            amplitude_uv: f64::from(-depth),
            before: trough as i64,
            n_samples: self.n_samples,
            values: channels
                .iter()
                .flat_map(|&channel| prepared[channel].iter().copied())
                .collect(),
            channels,
        }
    }
}

impl PlantedTemplate {
    /// Samples from the trough to the end.
    pub(crate) fn after(&self) -> i64 {
        self.n_samples as i64 - self.before
    }

    /// Calls `add_to(channel, waveform)` for each channel, with the waveform scaled by `amplitude`.
    pub(crate) fn render(
        &self,
        amplitude: f32,
        waveform: &mut Vec<f32>,
        mut add_to: impl FnMut(usize, &[f32]),
    ) {
        for (&channel, values) in self
            .channels
            .iter()
            .zip(self.values.chunks_exact(self.n_samples))
        {
            waveform.clear();
            waveform.extend(values.iter().map(|value| amplitude * value));
            add_to(channel, waveform);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::recording::SimulatedRecording;
    use super::super::spec::RecordingKind;
    use super::*;

    #[test]
    fn planted_templates_are_found_where_the_truth_says() {
        let (n_units, n_channels, n_samples) = (2, 16, 60);
        let mut values_uv = vec![0.0; n_units * n_channels * n_samples];
        for unit in 0..n_units {
            for channel in 4 * unit..4 * unit + 4 {
                for sample in 0..n_samples {
                    let from_trough = (sample as f32 - 22.0) / 4.0;
                    values_uv[(unit * n_channels + channel) * n_samples + sample] = -200.0
                        / (channel - 4 * unit + 1) as f32
                        * (-0.5 * from_trough * from_trough).exp();
                }
            }
        }
        let templates = TemplateSet {
            n_units,
            n_channels,
            n_samples,
            sampling_frequency_hz: 30_000.0,
            values_uv,
        };
        let spec = RecordingSpec {
            n_channels,
            duration_s: 5.0,
            hum_uv: 0.0,
            slow_common_uv: 0.0,
            dc_offset_uv: 0.0,
            artefact_rate_hz: 0.0,
            bursting_share: 0.0,
            ..RecordingSpec::default()
        };
        let recording = SimulatedRecording::from_templates(&spec, &templates).unwrap();
        assert_eq!(recording.main_channels(), [0, 4]);
        let mut samples = vec![0i16; recording.n_samples() as usize * n_channels];
        recording.read(0, &mut samples);
        let truth = recording.truth();
        assert!(!truth.samples.is_empty());
        for (&sample, &label) in truth.samples.iter().zip(&truth.labels) {
            let uv = f64::from(samples[sample as usize * n_channels + 4 * label as usize])
                * recording.gain_uv();
            // 200 µV, jitter of at most 24 %, and noise with a deviation of about 12 µV over the whole band.
            assert!(uv < -90.0, "{uv}");
        }
        let moving = RecordingSpec {
            kind: RecordingKind::Drift,
            ..spec
        };
        assert!(SimulatedRecording::from_templates(&moving, &templates).is_err());
    }
}
