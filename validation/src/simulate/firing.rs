//! When each unit fires, and how large each of its spikes is.
//!
//! Intervals are a refractory period (2 to 4 ms, one for each unit) plus a gamma-distributed time (shape 1: Poisson, or 2:
//! more regular), rates are log-normal across units (Buzsáki & Mizuseki 2014). Some units fire in bursts of 2 to 5 spikes at
//! 1 to 6 ms beyond the refractory period, each smaller than the one before, as complex-spike cells do (Harris et al. 2001).
//! Units are independent, so that spikes overlap as often as chance has it.

use super::neurons::{N_PHASES, waveform_samples};
use super::philox::Stream;
use super::recording::STREAM_FIRING;
use super::spec::RecordingSpec;

/// One spike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spike {
    /// Sample of the trough on the unit's main channel at rest.
    pub sample: i64,
    /// Size relative to the unit's template.
    pub amplitude: f32,
    /// Index of the unit.
    pub unit: u16,
    /// Place between two samples, below [`N_PHASES`].
    pub phase: u8,
}

struct Unit {
    refractory_s: f64,
    /// Gamma shape of the intervals: 1 or 2.
    shape: u32,
    mean_free_s: f64,
    burst: Option<Burst>,
    amplitude_period_s: f64,
    amplitude_phase: f64,
}

struct Burst {
    probability: f64,
    decay: f64,
}

/// Largest number of spikes that follow the first in a burst.
const MOST_FOLLOWERS: usize = 4;

fn draw_unit(spec: &RecordingSpec, random: &mut Stream) -> Unit {
    let [low, high] = spec.firing_rate_hz;
    let rate_hz = (spec.median_rate_hz * (0.8 * random.normal()).exp()).clamp(low, high);
    let refractory_s = random.between(0.002, 0.004);
    let shape = if random.chance(0.5) { 1 } else { 2 };
    let burst = random.chance(spec.bursting_share).then(|| Burst {
        probability: random.between(0.15, 0.4),
        decay: random.between(0.8, 0.93),
    });
    let followers = burst.as_ref().map_or(0.0, |burst| {
        burst.probability * (1 + MOST_FOLLOWERS) as f64 / 2.0
    });
    let mean_interval_s = (1.0 + followers) / rate_hz - followers * (refractory_s + 0.0035);
    Unit {
        refractory_s,
        shape,
        mean_free_s: (mean_interval_s - refractory_s).max(0.0005),
        burst,
        amplitude_period_s: random.between(60.0, 300.0),
        amplitude_phase: random.uniform(),
    }
}

/// All spikes of `spec`, ascending by sample, then unit. A waveform never reaches beyond the recording's ends.
pub fn make_spikes(spec: &RecordingSpec, n_units: usize) -> Vec<Spike> {
    let (before, n_waveform) = waveform_samples(spec.sampling_frequency_hz);
    let first = before as i64;
    let last = spec.n_samples() as i64 - (n_waveform - before) as i64;
    let mut spikes = Vec::new();
    for index in 0..n_units {
        let mut random = Stream::new(spec.seed, STREAM_FIRING + index as u64);
        let unit = draw_unit(spec, &mut random);
        let mut time_s = unit.mean_free_s * random.uniform();
        while time_s < spec.duration_s {
            let followers = match &unit.burst {
                Some(burst) if random.chance(burst.probability) => 1 + random.below(MOST_FOLLOWERS),
                _ => 0,
            };
            let mut burst_size = 1.0;
            for position in 0..=followers {
                if position > 0 {
                    time_s += unit.refractory_s + random.between(0.001, 0.006);
                    burst_size *= unit.burst.as_ref().map_or(1.0, |burst| burst.decay);
                }
                let slow = 1.0
                    + spec.amplitude_drift
                        * (std::f64::consts::TAU
                            * (time_s / unit.amplitude_period_s + unit.amplitude_phase))
                            .sin();
                let jitter = 1.0 + spec.amplitude_jitter * random.normal().clamp(-3.0, 3.0);
                let at = time_s * spec.sampling_frequency_hz;
                let sample = (at + 0.5).floor() as i64;
                let phase = (((at + 0.5).fract() * N_PHASES as f64) as u8).min(N_PHASES as u8 - 1);
                if (first..last).contains(&sample) {
                    spikes.push(Spike {
                        sample,
                        amplitude: (burst_size * slow * jitter) as f32,
                        unit: index as u16,
                        phase,
                    });
                }
            }
            let free: f64 =
                (0..unit.shape).map(|_| random.exponential()).sum::<f64>() / f64::from(unit.shape);
            time_s += unit.refractory_s + unit.mean_free_s * free;
        }
    }
    spikes.sort_by_key(|spike| (spike.sample, spike.unit));
    spikes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_unit_fires_within_its_refractory_period_and_rates_are_as_asked() {
        let spec = RecordingSpec {
            duration_s: 200.0,
            n_units: 80,
            bursting_share: 0.4,
            ..RecordingSpec::default()
        };
        let spikes = make_spikes(&spec, spec.n_units);
        let mut last = vec![i64::MIN / 2; 80];
        for spike in &spikes {
            // The shortest refractory period is 2 ms = 60 samples; rounding of two times may take one.
            assert!(spike.sample - last[usize::from(spike.unit)] >= 59);
            last[usize::from(spike.unit)] = spike.sample;
        }
        let rate = spikes.len() as f64 / 80.0 / 200.0;
        // The mean of the log-normal is 5 exp(0.32) = 6.9 Hz, less the clamping at 20; 80 units leave ± 20 % at two errors.
        assert!((4.8..8.3).contains(&rate), "{rate}");
    }

    #[test]
    fn spikes_do_not_depend_on_the_number_of_units() {
        let spec = RecordingSpec::default();
        let few = make_spikes(&spec, 3);
        let many: Vec<Spike> = make_spikes(&spec, 10)
            .into_iter()
            .filter(|spike| spike.unit < 3)
            .collect();
        assert_eq!(few, many);
    }
}
