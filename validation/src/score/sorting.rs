//! Compares a sorting with the truth ([`compare_to_ground_truth`]); [`compare_two`] compares two sortings with each other.
//!
//! The definitions are those of SpikeInterface 0.105.3 (`GroundTruthComparison` with `exhaustive_gt=True`), so that figures can be set beside published ones; stored cases of
//! `tests/golden/make_sorting_comparison.py` hold this module to them.
//!
//! - Spikes coincide within 0.4 ms ([`super::match_counts`]). *Agreement* of two units = coincident / in either.
//! - Units are paired one to one so that the sum of agreements is largest, agreements under 0.5 counting nothing. A true
//!   unit without a partner scores 0 in everything: there is a cliff at 0.5.
//! - Accuracy = tp / (tp + fn + fp), recall = tp / (tp + fn), precision = tp / (tp + fp).
//! - *Well detected*: paired with agreement ≥ 0.8. *Bad*: every tested unit without a partner. Of the bad ones, *false positive*:
//!   agrees with no true unit by 0.2 or more; *redundant*: agrees by 0.2 or more with its best true unit and is not
//!   that unit's best. *Overmerged*: agrees with more than one true unit by more than 0.2.
//!
//! Means do not punish false units: always read them beside `n_bad`.

use serde::Serialize;

use super::SpikeTrains;
use super::match_counts::{
    DEFAULT_TOLERANCE_MS, PairTable, agreement, count_matches, tolerance_samples,
};
use somata_engine::linalg::assignment::assign;

pub use super::two_sortings::{TwoSortings, UnitPair, compare_two};

/// Least agreement of a pair of units.
pub const MATCH_AGREEMENT: f64 = 0.5;
/// Agreement below which a best match is taken for chance.
pub const CHANCE_AGREEMENT: f64 = 0.1;
/// Agreement from which a paired unit is well detected.
pub const WELL_DETECTED_AGREEMENT: f64 = 0.8;
/// Agreement from which an unpaired tested unit is a copy of a true one rather than false.
pub const REDUNDANT_AGREEMENT: f64 = 0.2;
/// Agreement above which a true unit counts as part of a tested one.
pub const OVERMERGED_AGREEMENT: f64 = 0.2;

/// How well one true unit was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnitScore {
    /// Id of the true unit.
    pub unit_id: i64,
    /// Its true spikes.
    pub n_spikes: usize,
    /// Id of the tested unit that is its partner, if any.
    pub matched: Option<i64>,
    /// tp / (tp + fn + fp), 0 without a partner.
    pub accuracy: f64,
    /// tp / (tp + fn), 0 without a partner.
    pub recall: f64,
    /// tp / (tp + fp), 0 without a partner.
    pub precision: f64,
}

/// A sorting compared with the truth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// One entry for each true unit, in the order of the truth.
    pub per_unit: Vec<UnitScore>,
    /// Mean of `accuracy` over true units; 0 if there are none.
    pub mean_accuracy: f64,
    /// Mean of `recall` over true units; 0 if there are none.
    pub mean_recall: f64,
    /// Mean of `precision` over true units; 0 if there are none.
    pub mean_precision: f64,
    /// Number of true units.
    pub n_true: usize,
    /// Number of tested units.
    pub n_tested: usize,
    /// Tested units paired with an agreement ≥ 0.8.
    pub n_well_detected: usize,
    /// Ids of tested units that agree with no true unit.
    pub false_positive_ids: Vec<i64>,
    /// Ids of tested units that are further copies of a true unit.
    pub redundant_ids: Vec<i64>,
    /// Ids of tested units that hold several true units.
    pub overmerged_ids: Vec<i64>,
    /// Ids of tested units without a partner.
    pub bad_ids: Vec<i64>,
    /// Number of `false_positive_ids`.
    pub n_false_positive: usize,
    /// Number of `redundant_ids`.
    pub n_redundant: usize,
    /// Number of `overmerged_ids`.
    pub n_overmerged: usize,
    /// Number of `bad_ids`.
    pub n_bad: usize,
    /// For each true unit the index of its partner among the tested units.
    #[serde(skip)]
    pub partner_of_true: Vec<Option<usize>>,
    /// Coincident spikes, `[true units, tested units]`.
    #[serde(skip)]
    pub match_counts: PairTable<u64>,
    /// Agreement, `[true units, tested units]`.
    #[serde(skip)]
    pub agreement: PairTable<f64>,
}

/// Scores `tested` against `truth`, which must hold every unit there is. Tolerance 0.4 ms at the truth's rate.
pub fn compare_to_ground_truth(truth: &SpikeTrains, tested: &SpikeTrains) -> Comparison {
    let tolerance = tolerance_samples(DEFAULT_TOLERANCE_MS, truth.sampling_frequency_hz);
    let match_counts = count_matches(truth, tested, tolerance);
    let agreement = agreement(&match_counts, truth, tested);
    let partner_of_true = pair_units(&agreement);
    let mut is_paired = vec![false; tested.n_units()];
    partner_of_true
        .iter()
        .flatten()
        .for_each(|&column| is_paired[column] = true);

    let per_unit: Vec<UnitScore> = (0..truth.n_units())
        .map(|row| score_unit(row, truth, tested, partner_of_true[row], &match_counts))
        .collect();
    let mean = |value: fn(&UnitScore) -> f64| {
        if per_unit.is_empty() {
            0.0
        } else {
            per_unit.iter().map(value).sum::<f64>() / per_unit.len() as f64
        }
    };

    let n_well_detected = partner_of_true
        .iter()
        .enumerate()
        .filter(|(row, column)| {
            column.is_some_and(|column| agreement.at(*row, column) >= WELL_DETECTED_AGREEMENT)
        })
        .count();
    let best_of_true = best_matches(&agreement);
    let best_of_tested = best_matches(&agreement.transposed());
    let ids = |is_one: &dyn Fn(usize) -> bool| -> Vec<i64> {
        (0..tested.n_units())
            .filter(|&column| is_one(column))
            .map(|column| tested.unit_ids[column])
            .collect()
    };
    let false_positive_ids = ids(&|column| {
        !is_paired[column]
            && best_of_tested[column]
                .is_none_or(|row| agreement.at(row, column) < REDUNDANT_AGREEMENT)
    });
    let redundant_ids = ids(&|column| {
        !is_paired[column]
            && best_of_tested[column].is_some_and(|row| {
                best_of_true[row] != Some(column)
                    && agreement.at(row, column) >= REDUNDANT_AGREEMENT
            })
    });
    let overmerged_ids = ids(&|column| {
        (0..truth.n_units())
            .filter(|&row| agreement.at(row, column) > OVERMERGED_AGREEMENT)
            .count()
            > 1
    });
    let bad_ids = ids(&|column| !is_paired[column]);

    Comparison {
        mean_accuracy: mean(|unit| unit.accuracy),
        mean_recall: mean(|unit| unit.recall),
        mean_precision: mean(|unit| unit.precision),
        n_true: truth.n_units(),
        n_tested: tested.n_units(),
        n_well_detected,
        n_false_positive: false_positive_ids.len(),
        n_redundant: redundant_ids.len(),
        n_overmerged: overmerged_ids.len(),
        n_bad: bad_ids.len(),
        false_positive_ids,
        redundant_ids,
        overmerged_ids,
        bad_ids,
        per_unit,
        partner_of_true,
        match_counts,
        agreement,
    }
}

fn score_unit(
    row: usize,
    truth: &SpikeTrains,
    tested: &SpikeTrains,
    partner: Option<usize>,
    counts: &PairTable<u64>,
) -> UnitScore {
    let n_spikes = truth.trains[row].len();
    let mut score = UnitScore {
        unit_id: truth.unit_ids[row],
        n_spikes,
        matched: None,
        accuracy: 0.0,
        recall: 0.0,
        precision: 0.0,
    };
    if let Some(column) = partner {
        score.matched = Some(tested.unit_ids[column]);
        let found = counts.at(row, column) as f64;
        if found > 0.0 {
            let missed = n_spikes as f64 - found;
            let false_spikes = tested.trains[column].len() as f64 - found;
            score.accuracy = found / (found + missed + false_spikes);
            score.recall = found / (found + missed);
            score.precision = found / (found + false_spikes);
        }
    }
    score
}

/// For each row its partner: the one-to-one pairing with the largest sum of agreements, those under 0.5 left out.
pub(crate) fn pair_units(agreement: &PairTable<f64>) -> Vec<Option<usize>> {
    let mut partner = vec![None; agreement.n_rows];
    let cost = |row, column| {
        let value = agreement.at(row, column);
        if value < MATCH_AGREEMENT { 0.0 } else { -value }
    };
    for (row, column) in assign(agreement.n_rows, agreement.n_columns, cost) {
        if agreement.at(row, column) >= MATCH_AGREEMENT {
            partner[row] = Some(column);
        }
    }
    partner
}

/// For each row the first column of its largest agreement, if that is above chance.
fn best_matches(agreement: &PairTable<f64>) -> Vec<Option<usize>> {
    (0..agreement.n_rows)
        .map(|row| {
            let mut best: Option<usize> = None;
            for column in 0..agreement.n_columns {
                if best.is_none_or(|so_far| agreement.at(row, column) > agreement.at(row, so_far)) {
                    best = Some(column);
                }
            }
            best.filter(|&column| agreement.at(row, column) >= CHANCE_AGREEMENT)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::stored_cases::*;
    use super::*;

    #[test]
    fn the_ground_truth_comparison_equals_spikeinterface_on_stored_cases() {
        let cases = stored_cases();
        assert!(cases.len() >= 6);
        for (name, case) in &cases {
            let (truth, tested) = (trains(case, "true"), trains(case, "tested"));
            let found = compare_to_ground_truth(&truth, &tested);
            let counts: Vec<i64> = found
                .match_counts
                .values
                .iter()
                .map(|&count| count as i64)
                .collect();
            assert_eq!(counts, table(&case["match_counts"], integers), "{name}");
            assert_close(
                name,
                "agreement",
                &found.agreement.values,
                &table(&case["agreement"], floats),
            );
            assert_eq!(
                ids_or_minus_one(found.per_unit.iter().map(|unit| unit.matched)),
                integers(&case["matched"]),
                "{name}: pairs"
            );
            let best_12 = best_matches(&found.agreement)
                .into_iter()
                .map(|best| best.map(|column| tested.unit_ids[column]));
            assert_eq!(
                ids_or_minus_one(best_12),
                integers(&case["best_match_12"]),
                "{name}: best of true units"
            );
            let best_21 = best_matches(&found.agreement.transposed())
                .into_iter()
                .map(|best| best.map(|row| truth.unit_ids[row]));
            assert_eq!(
                ids_or_minus_one(best_21),
                integers(&case["best_match_21"]),
                "{name}: best of tested units"
            );
            let column = |value: fn(&UnitScore) -> f64| -> Vec<f64> {
                found.per_unit.iter().map(value).collect()
            };
            assert_close(
                name,
                "accuracy",
                &column(|unit| unit.accuracy),
                &floats(&case["accuracy"]),
            );
            assert_close(
                name,
                "recall",
                &column(|unit| unit.recall),
                &floats(&case["recall"]),
            );
            assert_close(
                name,
                "precision",
                &column(|unit| unit.precision),
                &floats(&case["precision"]),
            );
            for (what, value) in [
                ("mean_accuracy", found.mean_accuracy),
                ("mean_recall", found.mean_recall),
                ("mean_precision", found.mean_precision),
            ] {
                assert_close(name, what, &[value], &[case[what].as_f64().unwrap()]);
            }
            for (what, value) in [
                ("n_well_detected", found.n_well_detected),
                ("n_false_positive", found.n_false_positive),
                ("n_redundant", found.n_redundant),
                ("n_overmerged", found.n_overmerged),
                ("n_bad", found.n_bad),
            ] {
                assert_eq!(value as u64, case[what].as_u64().unwrap(), "{name}: {what}");
            }
        }
    }

    #[test]
    fn a_sorting_without_units_scores_nothing_and_is_no_error() {
        let truth = SpikeTrains::from_samples_and_labels(30_000.0, &[10, 500], &[0, 0]);
        let none = SpikeTrains::from_samples_and_labels(30_000.0, &[], &[]);
        let found = compare_to_ground_truth(&truth, &none);
        assert_eq!(
            (found.mean_accuracy, found.n_bad, found.n_tested),
            (0.0, 0, 0)
        );
        let found = compare_to_ground_truth(&none, &truth);
        assert_eq!(
            (found.mean_accuracy, found.n_bad, found.n_false_positive),
            (0.0, 1, 1)
        );
    }

    #[test]
    fn a_sorting_agrees_with_itself() {
        let samples: Vec<i64> = (0..3000).map(|spike| spike * 37).collect();
        let labels: Vec<i64> = (0..3000).map(|spike| spike % 7).collect();
        let sorting = SpikeTrains::from_samples_and_labels(30_000.0, &samples, &labels);
        let found = compare_to_ground_truth(&sorting, &sorting);
        assert_eq!(
            (found.mean_accuracy, found.n_well_detected, found.n_bad),
            (1.0, 7, 0)
        );
    }
}
