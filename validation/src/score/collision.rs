//! Recall of spikes that collide: two true spikes of different, near units almost at once.
//!
//! Peak detectors and clustering lose these first, template matching should not; a mean over all spikes hides it because
//! collisions are rare. A true spike collides here when another unit within [`DEFAULT_RADIUS_UM`] fires within
//! [`DEFAULT_WINDOW_MS`]. It is found when it has a coincident spike in the tested unit that is its unit's partner.
//! (SpikeInterface's collision benchmark plots recall by lag and template similarity; this is the one figure of it.)

use serde::Serialize;

use super::SpikeTrains;
use super::match_counts::{DEFAULT_TOLERANCE_MS, for_each_match, tolerance_samples};
use super::sorting::Comparison;

/// Spikes closer than this in time collide, in milliseconds.
pub const DEFAULT_WINDOW_MS: f64 = 0.5;
/// Units closer than this can collide, in µm.
pub const DEFAULT_RADIUS_UM: f64 = 100.0;

/// How many of the colliding true spikes were found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CollisionScore {
    /// True spikes that collide.
    pub n_colliding: usize,
    /// Those that were found.
    pub n_found: usize,
    /// `n_found / n_colliding`, `None` without collisions.
    pub recall: Option<f64>,
    /// Recall of all other spikes, for comparison; `None` if every spike collides.
    pub recall_elsewhere: Option<f64>,
}

/// Scores collisions at the default window and radius. `comparison` is that of the same two sortings.
///
/// `unit_locations_um`: `[true units]` positions (x, y, depth from the probe) in the order of `truth.unit_ids`.
pub fn collision_recall(
    truth: &SpikeTrains,
    tested: &SpikeTrains,
    comparison: &Comparison,
    unit_locations_um: &[[f64; 3]],
) -> CollisionScore {
    assert_eq!(
        unit_locations_um.len(),
        truth.n_units(),
        "one location for each true unit"
    );
    let in_order = truth.in_time_order();
    let window = tolerance_samples(DEFAULT_WINDOW_MS, truth.sampling_frequency_hz);
    let is_near = |first: u32, second: u32| {
        let (first, second) = (
            unit_locations_um[first as usize],
            unit_locations_um[second as usize],
        );
        let squared: f64 = first
            .iter()
            .zip(second)
            .map(|(a, b)| (a - b) * (a - b))
            .sum();
        squared <= DEFAULT_RADIUS_UM * DEFAULT_RADIUS_UM
    };

    let mut collides = vec![false; in_order.len()];
    for (index, &(sample, unit)) in in_order.iter().enumerate() {
        for (later, &(other_sample, other_unit)) in in_order.iter().enumerate().skip(index + 1) {
            if other_sample > sample.saturating_add(window) {
                break;
            }
            if other_unit != unit && is_near(unit, other_unit) {
                collides[index] = true;
                collides[later] = true;
            }
        }
    }

    let mut is_found = vec![false; in_order.len()];
    let tolerance = tolerance_samples(DEFAULT_TOLERANCE_MS, truth.sampling_frequency_hz);
    for_each_match(
        &in_order,
        &tested.in_time_order(),
        (truth.n_units(), tested.n_units()),
        tolerance,
        |unit, spike, tested_unit, _| {
            if comparison.partner_of_true[unit] == Some(tested_unit) {
                is_found[spike] = true;
            }
        },
    );

    let share = |colliding: bool| {
        let of_kind = || {
            collides
                .iter()
                .zip(&is_found)
                .filter(move |(collides, _)| **collides == colliding)
        };
        let (n, n_found) = (
            of_kind().count(),
            of_kind().filter(|(_, found)| **found).count(),
        );
        (n, n_found, (n > 0).then(|| n_found as f64 / n as f64))
    };
    let (n_colliding, n_found, recall) = share(true);
    CollisionScore {
        n_colliding,
        n_found,
        recall,
        recall_elsewhere: share(false).2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::sorting::compare_to_ground_truth;

    #[test]
    fn only_near_units_within_the_window_collide() {
        // Spikes of unit 1 at 1005 and 2016 are 5 and 16 samples from one of unit 0 (window 15); unit 2 is far away.
        let samples = [1000, 2000, 3000, 4000, 1005, 2016, 7000, 3001, 8000];
        let labels = [0, 0, 0, 0, 1, 1, 1, 2, 2];
        let truth = SpikeTrains::from_samples_and_labels(30_000.0, &samples, &labels);
        // The sorter missed the collision in unit 0.
        let keep: Vec<usize> = (1..9).collect();
        let tested = SpikeTrains::from_samples_and_labels(
            30_000.0,
            &keep.iter().map(|&i| samples[i]).collect::<Vec<_>>(),
            &keep.iter().map(|&i| labels[i]).collect::<Vec<_>>(),
        );
        let comparison = compare_to_ground_truth(&truth, &tested);
        let score = collision_recall(
            &truth,
            &tested,
            &comparison,
            &[[0.0; 3], [0.0, 90.0, 0.0], [0.0, 400.0, 0.0]],
        );
        assert_eq!(
            score,
            CollisionScore {
                n_colliding: 2,
                n_found: 1,
                recall: Some(0.5),
                recall_elsewhere: Some(1.0)
            }
        );
    }
}
