//! Compares two sortings of one recording with each other, neither of which is the truth.
//!
//! As SpikeInterface's `SymmetricSortingComparison` (0.105.3): matches are counted in both directions and the larger count is
//! taken, units are paired as in [`super::sorting`].

use serde::Serialize;

use super::SpikeTrains;
use super::match_counts::{
    DEFAULT_TOLERANCE_MS, PairTable, agreement, count_matches_symmetric, tolerance_samples,
};
use super::sorting::pair_units;

/// A unit of the first sorting and its partner in the second.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnitPair {
    /// Id in the first sorting.
    pub first_id: i64,
    /// Id in the second sorting.
    pub second_id: i64,
    /// Coincident spikes / spikes in either.
    pub agreement: f64,
    /// Coincident spikes.
    pub n_matches: u64,
    /// Spikes of the unit of the first sorting.
    pub n_first: usize,
    /// Spikes of the unit of the second sorting.
    pub n_second: usize,
}

/// Two sortings of the same recording, neither of which is the truth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TwoSortings {
    /// Pairs with an agreement ≥ 0.5, in the order of the first sorting.
    pub pairs: Vec<UnitPair>,
    /// Ids of the first sorting without a partner.
    pub only_first: Vec<i64>,
    /// Ids of the second sorting without a partner.
    pub only_second: Vec<i64>,
    /// Mean agreement of the pairs; 0 if there are none.
    pub mean_agreement: f64,
    /// Share of all spikes (of both sortings together) that coincide within pairs.
    pub spike_agreement: f64,
    /// Coincident spikes, `[first units, second units]`.
    #[serde(skip)]
    pub match_counts: PairTable<u64>,
    /// Agreement, `[first units, second units]`.
    #[serde(skip)]
    pub agreement: PairTable<f64>,
}

/// Compares two sortings on equal terms. Tolerance 0.4 ms at the first one's rate.
pub fn compare_two(first: &SpikeTrains, second: &SpikeTrains) -> TwoSortings {
    let tolerance = tolerance_samples(DEFAULT_TOLERANCE_MS, first.sampling_frequency_hz);
    let match_counts = count_matches_symmetric(first, second, tolerance);
    let agreement = agreement(&match_counts, first, second);
    let mut is_paired = vec![false; second.n_units()];
    let mut pairs = Vec::new();
    let mut only_first = Vec::new();
    for (row, partner) in pair_units(&agreement).into_iter().enumerate() {
        let Some(column) = partner else {
            only_first.push(first.unit_ids[row]);
            continue;
        };
        is_paired[column] = true;
        pairs.push(UnitPair {
            first_id: first.unit_ids[row],
            second_id: second.unit_ids[column],
            agreement: agreement.at(row, column),
            n_matches: match_counts.at(row, column),
            n_first: first.trains[row].len(),
            n_second: second.trains[column].len(),
        });
    }
    let n_spikes = first.n_spikes() + second.n_spikes();
    let n_matches: u64 = pairs.iter().map(|pair| pair.n_matches).sum();
    TwoSortings {
        only_first,
        only_second: (0..second.n_units())
            .filter(|&column| !is_paired[column])
            .map(|column| second.unit_ids[column])
            .collect(),
        mean_agreement: if pairs.is_empty() {
            0.0
        } else {
            pairs.iter().map(|pair| pair.agreement).sum::<f64>() / pairs.len() as f64
        },
        spike_agreement: if n_spikes == 0 {
            1.0
        } else {
            (2.0 * n_matches as f64 / n_spikes as f64).min(1.0)
        },
        pairs,
        match_counts,
        agreement,
    }
}

#[cfg(test)]
mod tests {
    use super::super::stored_cases::*;
    use super::*;

    #[test]
    fn the_symmetric_comparison_equals_spikeinterface_on_stored_cases() {
        for (name, case) in &stored_cases() {
            let (first, second) = (trains(case, "true"), trains(case, "tested"));
            let found = compare_two(&first, &second);
            let counts: Vec<i64> = found
                .match_counts
                .values
                .iter()
                .map(|&count| count as i64)
                .collect();
            assert_eq!(
                counts,
                table(&case["two"]["match_counts"], integers),
                "{name}"
            );
            assert_close(
                name,
                "agreement",
                &found.agreement.values,
                &table(&case["two"]["agreement"], floats),
            );
            let partner = |id: i64| {
                found
                    .pairs
                    .iter()
                    .find(|pair| pair.first_id == id)
                    .map(|pair| pair.second_id)
            };
            assert_eq!(
                ids_or_minus_one(first.unit_ids.iter().map(|&id| partner(id))),
                integers(&case["two"]["matched"]),
                "{name}: pairs"
            );
        }
    }

    #[test]
    fn a_sorting_agrees_with_itself_and_nothing_with_nothing() {
        let sorting = SpikeTrains::from_samples_and_labels(30_000.0, &[10, 500, 90], &[0, 0, 3]);
        assert_eq!(compare_two(&sorting, &sorting).spike_agreement, 1.0);
        let none = SpikeTrains::from_samples_and_labels(30_000.0, &[], &[]);
        assert_eq!(compare_two(&none, &none).spike_agreement, 1.0);
        assert_eq!(compare_two(&none, &sorting).only_second, [0, 3]);
    }
}
