//! Laws of the scores of sortings and of motion.

use proptest::prelude::*;
use somata_engine::linalg::assignment::assign;
use somata_validation::{
    score::{
        SpikeTrains,
        collision::collision_recall,
        match_counts::{agreement, count_matches, count_matches_symmetric},
        motion::motion_error,
        sorting::{compare_to_ground_truth, compare_two},
    },
    simulate::displacement::Displacement,
};

use super::values::cases;

/// Trains with few and many spikes, bursts, and units without any.
fn sorting() -> impl Strategy<Value = SpikeTrains> {
    let time = prop_oneof![4 => 0i64..3000, 1 => 100i64..130, 1 => Just(50i64)];
    prop::collection::vec(prop::collection::vec(time, 0..25), 0..6).prop_map(|trains| SpikeTrains {
        sampling_frequency_hz: 30_000.0,
        unit_ids: (0..trains.len() as i64).map(|unit| 3 * unit + 1).collect(),
        trains: trains
            .into_iter()
            .map(|mut train| {
                train.sort_unstable();
                train
            })
            .collect(),
    })
}

/// The same with every time of a unit at least a tolerance from the next, so that no spike can be counted twice.
fn sparse(mut sorting: SpikeTrains, apart: i64) -> SpikeTrains {
    for train in &mut sorting.trains {
        train.dedup_by(|next, kept| *next - *kept <= apart);
    }
    sorting
}

proptest! {
    #![proptest_config(cases(250))]

    #[test]
    fn scores_are_shares_and_every_unit_is_accounted_for(truth in sorting(), tested in sorting()) {
        let found = compare_to_ground_truth(&truth, &tested);
        prop_assert_eq!(found.per_unit.len(), truth.n_units());
        for (unit, train) in found.per_unit.iter().zip(&truth.trains) {
            for share in [unit.accuracy, unit.recall, unit.precision] {
                prop_assert!((0.0..=1.0).contains(&share), "{:?}", unit);
            }
            prop_assert!(unit.accuracy <= unit.recall && unit.accuracy <= unit.precision);
            prop_assert_eq!(unit.n_spikes, train.len());
        }
        let paired = found.partner_of_true.iter().flatten().count();
        prop_assert_eq!(paired + found.n_bad, tested.n_units());
        prop_assert!(found.n_false_positive + found.n_redundant <= found.n_bad);
        prop_assert!(found.n_well_detected <= paired);
        for value in [found.mean_accuracy, found.mean_recall, found.mean_precision] {
            prop_assert!((0.0..=1.0).contains(&value));
        }
        let places = vec![[0.0; 3]; truth.n_units()];
        let collisions = collision_recall(&truth, &tested, &found, &places);
        prop_assert!(collisions.n_found <= collisions.n_colliding && collisions.n_colliding <= truth.n_spikes());
        for share in [collisions.recall, collisions.recall_elsewhere].into_iter().flatten() {
            prop_assert!((0.0..=1.0).contains(&share));
        }
    }

    #[test]
    fn a_sorting_is_itself(sorting in sorting()) {
        let found = compare_to_ground_truth(&sorting, &sorting);
        for (unit, train) in found.per_unit.iter().zip(&sorting.trains) {
            // Equal units may be paired crosswise, which is as good.
            prop_assert_eq!(unit.accuracy, f64::from(u8::from(!train.is_empty())), "{:?}", unit);
        }
        let two = compare_two(&sorting, &sorting);
        let n_silent = sorting.trains.iter().filter(|train| train.is_empty()).count();
        prop_assert_eq!(two.pairs.len(), sorting.n_units() - n_silent);
        prop_assert_eq!(two.spike_agreement, 1.0);
    }

    #[test]
    fn two_sortings_agree_the_same_from_either_side(first in sorting(), second in sorting()) {
        // Within a unit no spike has two partners: there the counts of both directions are one number.
        let (first, second) = (sparse(first, 24), sparse(second, 24));
        let there = count_matches_symmetric(&first, &second, 12);
        let back = count_matches_symmetric(&second, &first, 12).transposed();
        prop_assert_eq!(&there, &back);
        prop_assert_eq!(&there, &count_matches(&first, &second, 12));
        for (row, train) in first.trains.iter().enumerate() {
            for (column, other) in second.trains.iter().enumerate() {
                let slow = train
                    .iter()
                    .filter(|t| other.iter().any(|u| (*u - **t).abs() <= 12))
                    .count();
                prop_assert_eq!(there.at(row, column), slow as u64);
            }
        }
        let share = agreement(&there, &first, &second);
        prop_assert!(share.values.iter().all(|v| (0.0..=1.0).contains(v)));
        let (ab, ba) = (compare_two(&first, &second), compare_two(&second, &first));
        prop_assert_eq!(ab.pairs.len(), ba.pairs.len());
        prop_assert!((ab.spike_agreement - ba.spike_agreement).abs() < 1e-12);
        prop_assert_eq!(ab.pairs.len() + ab.only_first.len(), first.n_units());
        prop_assert_eq!(ab.pairs.len() + ab.only_second.len(), second.n_units());
    }

    #[test]
    fn counts_do_not_change_with_the_start_of_time(first in sorting(), second in sorting(), shift in -1_000_000_000_000i64..1_000_000_000_000) {
        let moved = |sorting: &SpikeTrains| SpikeTrains {
            trains: sorting.trains.iter().map(|train| train.iter().map(|t| t + shift).collect()).collect(),
            ..sorting.clone()
        };
        prop_assert_eq!(count_matches(&moved(&first), &moved(&second), 12), count_matches(&first, &second, 12));
    }

    #[test]
    fn times_at_the_ends_of_their_type_are_counted(first in sorting(), at_end in any::<bool>(), more in prop::collection::vec(0i64..30, 1..6)) {
        let end = |offset: i64| if at_end { i64::MAX - offset } else { i64::MIN + offset };
        let mut extreme: Vec<i64> = more.iter().map(|offset| end(*offset)).collect();
        extreme.sort_unstable();
        let second = SpikeTrains { sampling_frequency_hz: 30_000.0, unit_ids: vec![0], trains: vec![extreme] };
        let counts = count_matches(&first, &second, 12);
        prop_assert!(counts.values.iter().all(|count| *count == 0));
        let own = compare_two(&second, &second);
        prop_assert_eq!(own.spike_agreement, 1.0);
    }

    #[test]
    fn a_pairing_is_one_to_one_and_no_exchange_makes_it_cheaper(
        (rows, columns, costs) in (0usize..7, 0usize..7).prop_flat_map(|(rows, columns)| {
            let cost = prop_oneof![-1.0f64..0.0, Just(0.0), Just(-0.5), Just(1e9), Just(-1e9), Just(1e-300)];
            (Just(rows), Just(columns), prop::collection::vec(cost, rows * columns))
        }),
    ) {
        let cost = |row: usize, column: usize| costs[row * columns + column];
        let pairs = assign(rows, columns, cost);
        prop_assert_eq!(pairs.len(), rows.min(columns));
        for (i, &(a, b)) in pairs.iter().enumerate() {
            for &(c, d) in &pairs[i + 1..] {
                prop_assert!(a != c && b != d);
                // Prices are sums of costs of up to 1e9.
                prop_assert!(cost(a, b) + cost(c, d) <= cost(a, d) + cost(c, b) + 1e-5);
            }
        }
    }

    #[test]
    fn an_error_of_motion_knows_no_offset(
        (times, depths, values) in (1usize..6, 1usize..5).prop_flat_map(|(times, depths)| (
            Just(times),
            Just(depths),
            prop::collection::vec(prop_oneof![8 => -90.0f64..90.0, 1 => Just(f64::NAN), 1 => Just(f64::INFINITY)], times * depths),
        )),
        offset in -500.0f64..500.0,
    ) {
        let made = |offset: f64, keep: bool| Displacement {
            time_bins_s: (0..times).map(|k| k as f64).collect(),
            depth_bins_um: (0..depths).map(|k| 40.0 * k as f64).collect(),
            values_um: values
                .chunks_exact(depths)
                .map(|row| row.iter().map(|v| if keep || v.is_finite() { v + offset } else { offset }).collect())
                .collect(),
        };
        let truth = made(0.0, false);
        let error = motion_error(&truth, &made(offset, true));
        prop_assert_eq!(error.is_none(), values.iter().all(|v| !v.is_finite()));
        if let Some(error) = error {
            prop_assert!(error.rms_um < 1e-9 && error.p95_abs_um < 1e-9, "{:?}", error);
            prop_assert!((error.offset_um - offset).abs() < 1e-9);
            prop_assert_eq!(error.n_bins, values.iter().filter(|v| v.is_finite()).count());
        }
    }
}
