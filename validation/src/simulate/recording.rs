//! The simulated recording: noise + spikes + artefacts, rounded to int16, for any window.
//!
//! Samples are made in fixed blocks; a window gets the parts of the blocks it touches. A block depends on nothing but the
//! specification and its number, so the result is the same for any window, order and number of threads. Spikes are
//! held in memory (16 bytes each: an hour of 300 units at 7 Hz is 120 MB), the voltage never is.

use rayon::prelude::*;

use super::artefacts::Artefacts;
use super::displacement::{Displacement, make_displacement};
use super::firing::{Spike, make_spikes};
use super::geometry::{Geometry, geometry};
use super::hybrid::TemplateSet;
use super::neurons::{make_neurons, waveform_samples};
use super::noise::{BLOCK_SAMPLES, NoiseModel, choose_bad_channels};
use super::spec::{DriftKind, RecordingSpec};
use super::truth::GroundTruth;
use super::unit_shape::UnitShape;
use crate::error::{Result, ValidationError};

// Each purpose has a range of streams of its own, so that a change of one leaves the others as they were: the static and the
// drifting recording of one seed have the same units, spikes and noise.
pub(crate) const STREAM_DISPLACEMENT: u64 = 0;
pub(crate) const STREAM_NOISE_LEVELS: u64 = 1;
pub(crate) const STREAM_ARTEFACTS: u64 = 2;
pub(crate) const STREAM_BAD_CHANNELS: u64 = 3;
pub(crate) const STREAM_FIRING: u64 = 1 << 20;
pub(crate) const STREAM_NEURONS: u64 = 2 << 20;

/// A recording whose units, spikes and drift are known; see the module's head.
pub struct SimulatedRecording {
    spec: RecordingSpec,
    probe: Geometry,
    displacement: Displacement,
    shapes: Vec<UnitShape>,
    spikes: Vec<Spike>,
    noise: NoiseModel,
    artefacts: Artefacts,
    /// 0 for dead channels, else 1.
    is_alive: Vec<f32>,
    dead_channels: Vec<usize>,
    noisy_channels: Vec<usize>,
    /// Longest reach of a spike before and after its sample.
    reach: (i64, i64),
}

/// Working memory of one block.
#[derive(Default)]
struct Scratch {
    coloured: Vec<f32>,
    voltage: Vec<f32>,
    common: Vec<f32>,
    waveform: Vec<f32>,
}

impl SimulatedRecording {
    /// The recording of `spec`, with simulated neurons.
    ///
    /// # Errors
    /// If the specification cannot be simulated.
    pub fn new(spec: &RecordingSpec) -> Result<Self> {
        spec.check()?;
        let probe = geometry(spec.kind, spec.n_channels);
        let displacement = make_displacement(spec, probe.depth_range_um());
        let largest_um = displacement.largest_um();
        let shapes = make_neurons(spec, &probe)
            .into_iter()
            .map(|neuron| UnitShape::Neuron {
                channels: neuron.reachable_channels(&probe, largest_um),
                neuron,
            })
            .collect();
        let (before, n_samples) = waveform_samples(spec.sampling_frequency_hz);
        let reach = (before as i64, (n_samples - before) as i64);
        Ok(Self::assemble(
            spec.clone(),
            probe,
            displacement,
            shapes,
            reach,
        ))
    }

    /// A hybrid: the noise, artefacts and firing of `spec` with measured `templates` in place of simulated neurons.
    ///
    /// `spec.n_units` is taken from the templates. They are planted as they are: the recording must not drift.
    ///
    /// # Errors
    /// If the specification cannot be simulated, drifts, or differs from the templates in channels or sampling frequency.
    pub fn from_templates(spec: &RecordingSpec, templates: &TemplateSet) -> Result<Self> {
        let spec = RecordingSpec {
            n_units: templates.n_units,
            ..spec.clone()
        };
        spec.check()?;
        if spec.effective_drift() != DriftKind::None {
            return Err(ValidationError::bad_spec(
                "drift",
                "must be none with given templates, which are known only where they were measured",
            ));
        }
        let probe = geometry(spec.kind, spec.n_channels);
        let planted = templates.plant(&spec, &probe)?;
        let reach = planted.iter().fold((0, 0), |reach, template| {
            (reach.0.max(template.before), reach.1.max(template.after()))
        });
        let displacement = make_displacement(&spec, probe.depth_range_um());
        let shapes = planted.into_iter().map(UnitShape::Template).collect();
        Ok(Self::assemble(spec, probe, displacement, shapes, reach))
    }

    fn assemble(
        spec: RecordingSpec,
        probe: Geometry,
        displacement: Displacement,
        shapes: Vec<UnitShape>,
        reach: (i64, i64),
    ) -> Self {
        let n_channels = probe.n_channels();
        let (dead_channels, noisy_channels, level_factor) = choose_bad_channels(&spec, n_channels);
        let mut is_alive = vec![1.0; n_channels];
        dead_channels
            .iter()
            .for_each(|&channel| is_alive[channel] = 0.0);

        Self {
            spikes: make_spikes(&spec, shapes.len())
                .into_iter()
                .filter(|spike| {
                    spike.sample >= reach.0 && spike.sample + reach.1 <= spec.n_samples() as i64
                })
                .collect(),
            noise: NoiseModel::new(&spec, &probe, &level_factor),
            artefacts: Artefacts::new(&spec, n_channels),
            spec,
            probe,
            displacement,
            shapes,
            is_alive,
            dead_channels,
            noisy_channels,
            reach,
        }
    }

    /// The specification, with `n_units` as simulated.
    pub fn spec(&self) -> &RecordingSpec {
        &self.spec
    }

    /// The probe.
    pub fn probe(&self) -> &Geometry {
        &self.probe
    }

    /// Position of each contact, `[channels]` of (x, y), µm.
    pub fn positions_um(&self) -> &[[f64; 2]] {
        &self.probe.positions_um
    }

    /// Shank of each contact, `[channels]`.
    pub fn shanks(&self) -> &[usize] {
        &self.probe.shanks
    }

    /// µV per step of the samples.
    pub fn gain_uv(&self) -> f64 {
        self.spec.gain_uv()
    }

    /// Number of channels.
    pub fn n_channels(&self) -> usize {
        self.probe.n_channels()
    }

    /// Number of samples of each channel.
    pub fn n_samples(&self) -> u64 {
        self.spec.n_samples()
    }

    /// Channels without signal.
    pub fn dead_channels(&self) -> &[usize] {
        &self.dead_channels
    }

    /// Channels with five times the noise.
    pub fn noisy_channels(&self) -> &[usize] {
        &self.noisy_channels
    }

    /// Onsets of the common artefact pulses, s.
    pub fn artefact_times_s(&self) -> Vec<f64> {
        self.artefacts.pulse_times_s()
    }

    /// Largest trough of each unit at rest, `[units]`, µV (positive numbers).
    pub fn amplitudes_uv(&self) -> Vec<f64> {
        self.shapes.iter().map(UnitShape::amplitude_uv).collect()
    }

    /// Channel with the largest trough of each unit at rest, `[units]`.
    pub fn main_channels(&self) -> Vec<usize> {
        self.shapes.iter().map(UnitShape::main_channel).collect()
    }

    /// Deviation of each channel's noise between 300 and 6000 Hz, `[channels]`, µV.
    pub fn noise_levels_uv(&self) -> &[f64] {
        &self.noise.level_uv
    }

    /// Everything that is known about the recording.
    pub fn truth(&self) -> GroundTruth {
        GroundTruth {
            sampling_frequency_hz: self.spec.sampling_frequency_hz,
            samples: self.spikes.iter().map(|spike| spike.sample).collect(),
            labels: self
                .spikes
                .iter()
                .map(|spike| i64::from(spike.unit))
                .collect(),
            unit_locations_um: self.shapes.iter().map(UnitShape::location_um).collect(),
            displacement: Some(self.displacement.clone()),
        }
    }

    /// The template of unit `unit` displaced by `displacement_um`, `[channels, samples]` µV, its trough sample second.
    pub fn template(&self, unit: usize, displacement_um: f64) -> (Vec<Vec<f32>>, usize) {
        let n_samples = (self.reach.0 + self.reach.1) as usize;
        let mut out = vec![vec![0.0; n_samples]; self.n_channels()];
        let start = self.reach.0;
        self.shapes[unit].render(
            &self.probe,
            displacement_um,
            super::neurons::N_PHASES / 2,
            1.0,
            &mut Vec::new(),
            |channel, before, waveform| {
                out[channel][(start - before) as usize..][..waveform.len()]
                    .copy_from_slice(waveform);
            },
        );
        (out, start as usize)
    }

    /// Reads a window: `out` is `[samples, channels]` (time-major, as the file), starting at `start_sample`.
    ///
    /// Panics if `out` is not whole samples or the window reaches beyond the recording's end.
    pub fn read(&self, start_sample: u64, out: &mut [i16]) {
        let n_channels = self.n_channels();
        assert!(out.len().is_multiple_of(n_channels), "whole samples");
        let end_sample = start_sample + (out.len() / n_channels) as u64;
        assert!(
            end_sample <= self.n_samples(),
            "the window ends at {end_sample} of {} samples",
            self.n_samples()
        );
        let block_samples = BLOCK_SAMPLES as u64;
        // (block, first and last + 1 sample in it, its part of `out`)
        let mut parts = Vec::new();
        let mut rest = out;
        let mut sample = start_sample;
        while sample < end_sample {
            let block = sample / block_samples;
            let until = ((block + 1) * block_samples).min(end_sample);
            let (part, later) = rest.split_at_mut((until - sample) as usize * n_channels);
            parts.push((block, (sample % block_samples) as usize, part));
            rest = later;
            sample = until;
        }
        parts
            .into_par_iter()
            .for_each_init(Scratch::default, |scratch, (block, first, part)| {
                self.write_block(block, first, part, scratch)
            });
    }

    fn write_block(&self, block: u64, first: usize, out: &mut [i16], scratch: &mut Scratch) {
        let n_channels = self.n_channels();
        let Scratch {
            coloured,
            voltage,
            common,
            waveform,
        } = scratch;
        voltage.resize(n_channels * BLOCK_SAMPLES, 0.0);
        common.resize(BLOCK_SAMPLES, 0.0);
        self.noise.fill_block(block, coloured, voltage);
        self.add_spikes(block, voltage, waveform);
        self.artefacts
            .fill_common(block * BLOCK_SAMPLES as u64, common);

        let n_samples = out.len() / n_channels;
        let per_uv = (1.0 / self.gain_uv()) as f32;
        // Short stretches of time keep the lines being gathered and the frames being written in the cache together.
        const STRETCH: usize = 32;
        for start in (0..n_samples).step_by(STRETCH) {
            let end = (start + STRETCH).min(n_samples);
            for channel in 0..n_channels {
                let line = &voltage[channel * BLOCK_SAMPLES + first..];
                let pick_up = self.artefacts.pick_up[channel] * self.is_alive[channel];
                let offset = self.artefacts.offset_uv[channel];
                for sample in start..end {
                    let value = (line[sample] + pick_up * common[first + sample] + offset) * per_uv;
                    // Truncation after a shift rounds to the nearest; `round` is a function call on plain x86-64.
                    let rounded = (value.clamp(-32768.0, 32767.0) + 32768.5) as i32 - 32768;
                    out[sample * n_channels + channel] = rounded.min(32767) as i16;
                }
            }
        }
    }

    fn add_spikes(&self, block: u64, voltage: &mut [f32], waveform: &mut Vec<f32>) {
        let block_start = (block * BLOCK_SAMPLES as u64) as i64;
        let block_end = block_start + BLOCK_SAMPLES as i64;
        let from = self
            .spikes
            .partition_point(|spike| spike.sample + self.reach.1 <= block_start);
        for spike in &self.spikes[from..] {
            if spike.sample - self.reach.0 >= block_end {
                break;
            }
            let unit = usize::from(spike.unit);
            let rest_depth_um = self.shapes[unit].location_um()[1];
            let displacement_um = self.displacement.at(
                spike.sample as f64 / self.spec.sampling_frequency_hz,
                rest_depth_um,
            );
            self.shapes[unit].render(
                &self.probe,
                displacement_um,
                usize::from(spike.phase),
                spike.amplitude,
                waveform,
                |channel, before, values| {
                    let start = spike.sample - before;
                    let from = start.max(block_start);
                    let until = (start + values.len() as i64).min(block_end);
                    if from >= until {
                        return;
                    }
                    let target = &mut voltage[channel * BLOCK_SAMPLES..]
                        [(from - block_start) as usize..(until - block_start) as usize];
                    let values = &values[(from - start) as usize..(until - start) as usize];
                    let alive = self.is_alive[channel];
                    for (voltage, value) in target.iter_mut().zip(values) {
                        *voltage += alive * value;
                    }
                },
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::spec::RecordingKind;
    use super::*;

    fn whole(spec: &RecordingSpec) -> (SimulatedRecording, Vec<i16>) {
        let recording = SimulatedRecording::new(spec).unwrap();
        let mut samples = vec![0; recording.n_samples() as usize * recording.n_channels()];
        recording.read(0, &mut samples);
        (recording, samples)
    }

    #[test]
    fn any_window_is_the_same_part_of_the_whole() {
        for kind in [
            RecordingKind::Nonrigid,
            RecordingKind::Utah,
            RecordingKind::Tetrode,
        ] {
            let spec = RecordingSpec {
                n_channels: 8,
                n_units: 12,
                duration_s: 1.5,
                firing_rate_hz: [5.0, 60.0],
                median_rate_hz: 30.0,
                ..RecordingSpec::new(kind)
            };
            let (recording, all) = whole(&spec);
            for (start, n_samples) in [
                (0u64, 1usize),
                (4090, 12),
                (4096, 4096),
                (1234, 20_000),
                (44_999, 1),
            ] {
                let mut window = vec![0; n_samples * 8];
                recording.read(start, &mut window);
                assert!(
                    window == all[start as usize * 8..][..n_samples * 8],
                    "{kind}: window at {start}"
                );
            }
            assert_eq!(
                SimulatedRecording::new(&spec).unwrap().truth(),
                recording.truth()
            );
        }
    }

    #[test]
    fn drift_changes_neither_units_nor_spikes() {
        let at_rest = SimulatedRecording::new(&RecordingSpec::new(RecordingKind::Static))
            .unwrap()
            .truth();
        let moving = SimulatedRecording::new(&RecordingSpec::new(RecordingKind::Drift))
            .unwrap()
            .truth();
        assert_eq!(
            (at_rest.samples, at_rest.labels, at_rest.unit_locations_um),
            (moving.samples, moving.labels, moving.unit_locations_um)
        );
        assert!(moving.displacement.unwrap().largest_um() > 19.0);
    }

    #[test]
    fn the_mean_of_the_voltage_at_true_spikes_is_the_template() {
        let spec = RecordingSpec {
            n_channels: 16,
            n_units: 3,
            duration_s: 40.0,
            noise_uv: 4.0,
            bursting_share: 0.0,
            hum_uv: 0.0,
            slow_common_uv: 0.0,
            artefact_rate_hz: 0.0,
            ..RecordingSpec::default()
        };
        let (recording, samples) = whole(&spec);
        let truth = recording.truth();
        for unit in 0..3 {
            let (template, trough) = recording.template(unit, 0.0);
            let main = recording.main_channels()[unit];
            let spikes: Vec<i64> = truth
                .samples
                .iter()
                .zip(&truth.labels)
                .filter(|(_, label)| **label == unit as i64)
                .map(|(sample, _)| *sample)
                .collect();
            let mean = |lag: i64| {
                spikes
                    .iter()
                    .map(|sample| f64::from(samples[(sample + lag) as usize * 16 + main]))
                    .sum::<f64>()
                    / spikes.len() as f64
                    * recording.gain_uv()
            };
            let lowest = (-20..20)
                .min_by(|&a, &b| mean(a).total_cmp(&mean(b)))
                .unwrap();
            assert_eq!(lowest, 0, "unit {unit}");
            let depth = mean(0) - mean(-28);
            let expected = f64::from(template[main][trough] - template[main][trough - 28]);
            // Mean of at least 30 spikes, each with a noise of up to 6 µV in either sample and 8 % jitter; phases lose up to 4 %.
            assert!(
                (depth - expected).abs() < 0.06 * expected.abs() + 6.0,
                "unit {unit}: {depth} µV instead of {expected}"
            );
        }
    }

    #[test]
    fn a_dead_channel_is_flat_and_a_noisy_one_is_loud() {
        let spec = RecordingSpec {
            n_channels: 16,
            n_units: 8,
            duration_s: 2.0,
            n_dead_channels: 1,
            n_noisy_channels: 1,
            hum_uv: 0.0,
            slow_common_uv: 0.0,
            ..RecordingSpec::default()
        };
        let (recording, samples) = whole(&spec);
        let deviation = |channel: usize| {
            let line: Vec<f64> = samples
                .iter()
                .skip(channel)
                .step_by(16)
                .map(|&value| f64::from(value) * recording.gain_uv())
                .collect();
            let mean = line.iter().sum::<f64>() / line.len() as f64;
            (line.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / line.len() as f64)
                .sqrt()
        };
        let (dead, noisy) = (recording.dead_channels()[0], recording.noisy_channels()[0]);
        assert!(
            deviation(dead) < 2.0 && deviation(noisy) > 30.0,
            "{} {}",
            deviation(dead),
            deviation(noisy)
        );
    }
}
