//! What is common to all channels and is not neural: mains hum, a slow wave, rare pulses, and each channel's offset.
//!
//! All of it is there so that filtering and referencing have work to do. Channels pick the common signal up
//! slightly differently (± 3 %), so that a common reference does not remove all of it.

use super::philox::Stream;
use super::recording::STREAM_ARTEFACTS;
use super::spec::RecordingSpec;

const HUM_HZ: f64 = 50.0;
const SLOW_HZ: [f64; 2] = [3.1, 0.73];

struct Pulse {
    onset_s: f64,
    height_uv: f64,
    decay_s: f64,
    frequency_hz: f64,
}

fn draw_pulses(spec: &RecordingSpec, random: &mut Stream) -> Vec<Pulse> {
    let mut pulses = Vec::new();
    if spec.artefact_rate_hz == 0.0 {
        return pulses;
    }
    let mut onset_s = random.exponential() / spec.artefact_rate_hz;
    while onset_s < spec.duration_s {
        let height_uv = random.between(100.0, 500.0);
        let sign = if random.chance(0.5) { 1.0 } else { -1.0 };
        pulses.push(Pulse {
            onset_s,
            height_uv: sign * height_uv,
            decay_s: random.between(0.004, 0.012),
            frequency_hz: random.between(15.0, 120.0),
        });
        onset_s += random.exponential() / spec.artefact_rate_hz;
    }
    pulses
}

/// Common signal and offsets of one recording.
pub struct Artefacts {
    sampling_frequency_hz: f64,
    hum_uv: f64,
    slow_uv: f64,
    phases: [f64; 4],
    pulses: Vec<Pulse>,
    /// How much of the common signal each channel picks up, `[channels]`.
    pub pick_up: Vec<f32>,
    /// Constant offset of each channel, `[channels]`, µV.
    pub offset_uv: Vec<f32>,
}

impl Artefacts {
    /// The artefacts of `spec` on `n_channels`.
    pub fn new(spec: &RecordingSpec, n_channels: usize) -> Self {
        let mut random = Stream::new(spec.seed, STREAM_ARTEFACTS);
        let phases = std::array::from_fn(|_| std::f64::consts::TAU * random.uniform());
        let pick_up = (0..n_channels)
            .map(|_| (1.0 + 0.03 * random.normal()) as f32)
            .collect();
        let offset_uv = (0..n_channels)
            .map(|_| (spec.dc_offset_uv * random.normal()) as f32)
            .collect();
        let pulses = draw_pulses(spec, &mut random);
        Self {
            sampling_frequency_hz: spec.sampling_frequency_hz,
            hum_uv: spec.hum_uv,
            slow_uv: spec.slow_common_uv,
            phases,
            pulses,
            pick_up,
            offset_uv,
        }
    }

    /// Onset of each pulse, s.
    pub fn pulse_times_s(&self) -> Vec<f64> {
        self.pulses.iter().map(|pulse| pulse.onset_s).collect()
    }

    /// The common signal from `start_sample` on, µV, into `out`.
    pub fn fill_common(&self, start_sample: u64, out: &mut [f32]) {
        for (sample, value) in out.iter_mut().enumerate() {
            let turns = std::f64::consts::TAU * (start_sample + sample as u64) as f64
                / self.sampling_frequency_hz;
            let hum = (HUM_HZ * turns + self.phases[0]).sin()
                + 0.3 * (3.0 * HUM_HZ * turns + self.phases[1]).sin();
            let slow = (SLOW_HZ[0] * turns + self.phases[2]).sin()
                + 0.7 * (SLOW_HZ[1] * turns + self.phases[3]).sin();
            *value = (self.hum_uv * hum + self.slow_uv * slow) as f32;
        }
        let start_s = start_sample as f64 / self.sampling_frequency_hz;
        let end_s = start_s + out.len() as f64 / self.sampling_frequency_hz;
        for pulse in self
            .pulses
            .iter()
            .filter(|pulse| pulse.onset_s < end_s && pulse.onset_s + 12.0 * pulse.decay_s > start_s)
        {
            for (sample, value) in out.iter_mut().enumerate() {
                let since_s = start_s + sample as f64 / self.sampling_frequency_hz - pulse.onset_s;
                if since_s >= 0.0 {
                    let wave = (std::f64::consts::TAU * pulse.frequency_hz * since_s).sin();
                    *value += (pulse.height_uv * wave * (-since_s / pulse.decay_s).exp()) as f32;
                }
            }
        }
    }
}
