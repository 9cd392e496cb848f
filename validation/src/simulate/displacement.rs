//! How the tissue moves along the probe: displacement by time and depth.
//!
//! A unit at rest depth y is at y + displacement(t, y). Positive means towards larger y. Values between bins are linear in
//! time and depth, and constant beyond the outer bins; the truth file and the simulated voltage use the same table, so
//! there is no approximation between them. Sampled at 5 Hz as in SpikeInterface's drift simulations; steps last one bin.

use super::philox::Stream;
use super::spec::{DriftKind, RecordingSpec};

const BINS_PER_SECOND: f64 = 5.0;

/// Displacement of the tissue, or an estimate of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Displacement {
    /// Ascending times, `[times]`, s.
    pub time_bins_s: Vec<f64>,
    /// Ascending depths (y), `[depths]`, µm.
    pub depth_bins_um: Vec<f64>,
    /// Displacement, `[times][depths]`, µm.
    pub values_um: Vec<Vec<f64>>,
}

/// Index of the bin below `at`, and the share of the way to the next; ends are held.
fn bracket(bins: &[f64], at: f64) -> (usize, f64) {
    let next = bins.partition_point(|&bin| bin <= at);
    if next == 0 {
        return (0, 0.0);
    }
    if next == bins.len() {
        return (bins.len() - 1, 0.0);
    }
    (
        next - 1,
        (at - bins[next - 1]) / (bins[next] - bins[next - 1]),
    )
}

impl Displacement {
    /// No movement.
    pub fn none(depth_um: f64) -> Self {
        Self {
            time_bins_s: vec![0.0],
            depth_bins_um: vec![depth_um],
            values_um: vec![vec![0.0]],
        }
    }

    /// Displacement at a time (s) and rest depth (µm), µm.
    pub fn at(&self, time_s: f64, depth_um: f64) -> f64 {
        let (time, time_share) = bracket(&self.time_bins_s, time_s);
        let (depth, depth_share) = bracket(&self.depth_bins_um, depth_um);
        let along = |row: &[f64]| {
            if depth_share > 0.0 {
                row[depth] + depth_share * (row[depth + 1] - row[depth])
            } else {
                row[depth]
            }
        };
        let here = along(&self.values_um[time]);
        if time_share > 0.0 {
            here + time_share * (along(&self.values_um[time + 1]) - here)
        } else {
            here
        }
    }

    /// Largest absolute value, µm.
    pub fn largest_um(&self) -> f64 {
        self.values_um
            .iter()
            .flatten()
            .fold(0.0, |largest, value| value.abs().max(largest))
    }
}

/// Triangle wave: 0 at phase 0, 1 at a quarter, −1 at three quarters.
fn triangle(phase: f64) -> f64 {
    let turn = phase.rem_euclid(1.0);
    if turn < 0.25 {
        4.0 * turn
    } else if turn < 0.75 {
        2.0 - 4.0 * turn
    } else {
        4.0 * turn - 4.0
    }
}

/// The movement that `spec` asks for, on a probe that spans `depth_range_um`.
pub fn make_displacement(spec: &RecordingSpec, depth_range_um: (f64, f64)) -> Displacement {
    let (lowest, highest) = depth_range_um;
    let centre_um = (lowest + highest) / 2.0;
    let amplitude = spec.drift_amplitude_um;
    let kind = spec.effective_drift();
    if kind == DriftKind::None || amplitude == 0.0 {
        return Displacement::none(centre_um);
    }
    let n_times = (spec.duration_s * BINS_PER_SECOND).ceil() as usize + 1;
    let time_bins_s: Vec<f64> = (0..n_times)
        .map(|bin| bin as f64 / BINS_PER_SECOND)
        .collect();
    let period_s = spec
        .drift_period_s
        .unwrap_or((spec.duration_s / 2.0).max(30.0));
    // A first tenth without movement lets a sorter settle, as in SpikeInterface's simulator.
    let start_s = spec.duration_s * 0.1;
    let phase = |time_s: f64| (time_s - start_s).max(0.0) / period_s;
    let rigid = |value: &dyn Fn(f64) -> f64| {
        time_bins_s
            .iter()
            .map(|&time_s| vec![value(time_s)])
            .collect()
    };

    let (depth_bins_um, values_um) = match kind {
        DriftKind::None => unreachable!("returned above"),
        DriftKind::Zigzag => (
            vec![centre_um],
            rigid(&|time_s| amplitude * triangle(phase(time_s))),
        ),
        DriftKind::Slow => (
            vec![centre_um],
            rigid(&|time_s| amplitude * (2.0 * time_s / spec.duration_s - 1.0).min(1.0)),
        ),
        DriftKind::Jumps => {
            let steps = jumps(spec);
            let value = |time_s: f64| {
                steps
                    .iter()
                    .rev()
                    .find(|step| step.0 <= time_s)
                    .map_or(0.0, |step| step.1)
            };
            (vec![centre_um], rigid(&value))
        }
        DriftKind::Nonrigid => {
            let n_depths = (((highest - lowest) / 100.0).ceil() as usize + 1).max(2);
            let share = |bin: usize| bin as f64 / (n_depths - 1) as f64;
            let depths = (0..n_depths)
                .map(|bin| lowest + (highest - lowest) * share(bin))
                .collect();
            // One end moves 0.3 times as far as the other and an eighth of a period earlier.
            let value = |time_s: f64, share: f64| {
                let fade_in = (phase(time_s) * 8.0).min(1.0);
                amplitude * (0.3 + 0.7 * share) * fade_in * triangle(phase(time_s) - 0.125 * share)
            };
            (
                depths,
                time_bins_s
                    .iter()
                    .map(|&time_s| (0..n_depths).map(|bin| value(time_s, share(bin))).collect())
                    .collect(),
            )
        }
    };
    Displacement {
        time_bins_s,
        depth_bins_um,
        values_um,
    }
}

/// Steps as (time of onset, s; displacement from then on, µm): every 8 to 20 s on average in a minute, rarer in long recordings.
fn jumps(spec: &RecordingSpec) -> Vec<(f64, f64)> {
    let mut random = Stream::new(spec.seed, super::recording::STREAM_DISPLACEMENT);
    let mean_gap_s = (spec.duration_s / 5.0).clamp(2.0, 60.0);
    let mut steps = Vec::new();
    let mut time_s = spec.duration_s * 0.1;
    let mut value: f64 = 0.0;
    while time_s < spec.duration_s {
        // At least half the amplitude away from where it is, so that each step matters.
        let next = random.between(-spec.drift_amplitude_um, spec.drift_amplitude_um);
        let least = spec.drift_amplitude_um / 2.0;
        value = if (next - value).abs() >= least {
            next
        } else if value > 0.0 {
            value - least
        } else {
            value + least
        };
        steps.push((time_s, value));
        time_s += mean_gap_s * random.between(0.6, 1.4);
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::super::spec::RecordingKind;
    use super::*;

    #[test]
    fn interpolation_is_linear_inside_and_constant_outside() {
        let table = Displacement {
            time_bins_s: vec![0.0, 1.0],
            depth_bins_um: vec![0.0, 100.0],
            values_um: vec![vec![0.0, 10.0], vec![20.0, 30.0]],
        };
        assert_eq!(table.at(0.5, 50.0), 15.0);
        assert_eq!(table.at(-1.0, -50.0), 0.0);
        assert_eq!(table.at(9.0, 900.0), 30.0);
        assert_eq!(table.at(1.0, 25.0), 22.5);
    }

    #[test]
    fn every_kind_stays_within_its_amplitude_and_uses_most_of_it() {
        for kind in [
            RecordingKind::Drift,
            RecordingKind::Nonrigid,
            RecordingKind::Jumps,
            RecordingKind::Slow,
        ] {
            for seed in 1..6 {
                let spec = RecordingSpec {
                    seed,
                    drift_amplitude_um: 30.0,
                    ..RecordingSpec::new(kind)
                };
                let table = make_displacement(&spec, (0.0, 620.0));
                let largest = table.largest_um();
                assert!(
                    (12.0..=30.0 + 1e-9).contains(&largest),
                    "{kind}, seed {seed}: {largest}"
                );
                assert!(table.time_bins_s.last().copied().unwrap() >= 60.0);
            }
        }
        assert_eq!(
            make_displacement(&RecordingSpec::default(), (0.0, 1.0)).largest_um(),
            0.0
        );
    }
}
