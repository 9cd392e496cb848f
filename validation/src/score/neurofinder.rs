//! NeuroFinder's scores: cells whose centres are close, and how their pixels agree.
//!
//! The definition is that of the `neurofinder` Python package: the centre of a region is the mean of its pixels; for each true region
//! in turn the nearest estimate that is left is taken if its centre is closer than the threshold. The result depends on
//! the order of the true regions, so the pairing that finds most pairs (and among those the least sum of distances) is
//! given beside it. The challenge's threshold was 5 µm; pass it in px of the data set.
//!
//! Over the pairs, *inclusion* is the share of the true region's pixels that the estimate has, *exclusion* the share of the
//! estimate's pixels that are true; without a pair they are 0 and 1, as there.

use serde::Serialize;

use super::masks::{Footprint, share};
use somata_engine::linalg::assignment::assign;

/// How cells are paired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NeurofinderPairing {
    /// Each true region in turn takes the nearest estimate: the published score.
    Greedy,
    /// Most pairs, then least distance: does not depend on any order.
    Best,
}

/// NeuroFinder's score of one set of cells.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct NeurofinderScore {
    /// Pairs / true cells; 0 where there are none.
    pub recall: f64,
    /// Pairs / estimates; 0 where there are none.
    pub precision: f64,
    /// Harmonic mean of both; 0 where both are 0.
    pub combined: f64,
    /// Mean share of a true cell's pixels that its estimate has; 0 without a pair.
    pub inclusion: f64,
    /// Mean share of an estimate's pixels that are its true cell's; 1 without a pair.
    pub exclusion: f64,
}

/// Scores `estimate` against `truth`, both of frames `width` px wide. Centres must be closer than `threshold_px`. Cells without
/// pixels have no centre and are never paired.
pub fn neurofinder(
    truth: &[Footprint],
    estimate: &[Footprint],
    width: usize,
    threshold_px: f64,
    pairing: NeurofinderPairing,
) -> NeurofinderScore {
    let centres = |cells: &[Footprint]| {
        cells
            .iter()
            .map(|cell| cell.centre_px(width))
            .collect::<Vec<_>>()
    };
    let (true_centres, estimated_centres) = (centres(truth), centres(estimate));
    let distance_px =
        |row: usize, column: usize| match (true_centres[row], estimated_centres[column]) {
            (Some(one), Some(other)) => (one[0] - other[0]).hypot(one[1] - other[1]),
            _ => f64::INFINITY,
        };
    let pairs = match pairing {
        NeurofinderPairing::Greedy => {
            greedy_pairs(truth.len(), estimate.len(), threshold_px, distance_px)
        }
        NeurofinderPairing::Best => {
            best_pairs(truth.len(), estimate.len(), threshold_px, distance_px)
        }
    };

    let (recall, precision) = (
        share(pairs.len(), truth.len()),
        share(pairs.len(), estimate.len()),
    );
    let (mut inclusion, mut exclusion) = (0.0, 0.0);
    for &(row, column) in &pairs {
        let overlap = truth[row].overlap(&estimate[column]);
        inclusion += share(overlap, truth[row].pixels.len());
        exclusion += share(overlap, estimate[column].pixels.len());
    }
    let n = pairs.len() as f64;
    NeurofinderScore {
        recall,
        precision,
        combined: if pairs.is_empty() {
            0.0
        } else {
            2.0 * precision * recall / (precision + recall)
        },
        inclusion: if pairs.is_empty() { 0.0 } else { inclusion / n },
        exclusion: if pairs.is_empty() { 1.0 } else { exclusion / n },
    }
}

fn greedy_pairs(
    n_rows: usize,
    n_columns: usize,
    threshold: f64,
    distance: impl Fn(usize, usize) -> f64,
) -> Vec<(usize, usize)> {
    let mut left: Vec<usize> = (0..n_columns).collect();
    let mut pairs = Vec::new();
    for row in 0..n_rows {
        let nearest = left
            .iter()
            .enumerate()
            .map(|(at, &column)| (distance(row, column), at))
            .min_by(|one, other| one.0.total_cmp(&other.0));
        if let Some((distance, at)) = nearest
            && distance < threshold
        {
            // The rest keep their order, which decides between equal distances.
            pairs.push((row, left.remove(at)));
        }
    }
    pairs
}

fn best_pairs(
    n_rows: usize,
    n_columns: usize,
    threshold: f64,
    distance: impl Fn(usize, usize) -> f64,
) -> Vec<(usize, usize)> {
    // A distance is worth less than one pair, whatever they all add up to.
    let farthest = (0..n_rows)
        .flat_map(|row| (0..n_columns).map(move |column| (row, column)))
        .map(|(row, column)| distance(row, column))
        .filter(|&distance| distance < threshold)
        .fold(0.0, f64::max);
    let no_pair = (farthest + 1.0) * (n_rows.min(n_columns) + 1) as f64;
    let cost = |row: usize, column: usize| {
        let distance = distance(row, column);
        if distance < threshold {
            distance
        } else {
            no_pair
        }
    };
    assign(n_rows, n_columns, cost)
        .into_iter()
        .filter(|&(row, column)| distance(row, column) < threshold)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dots(columns: &[u32]) -> Vec<Footprint> {
        columns
            .iter()
            .map(|&column| Footprint::new(vec![column]))
            .collect()
    }

    #[test]
    fn a_greedy_pairing_can_take_what_another_needs() {
        // The first true cell takes 12, which is the only estimate near the second.
        let (truth, estimate) = (dots(&[11, 14]), dots(&[9, 12]));
        let score = |pairing| neurofinder(&truth, &estimate, 100, 3.0, pairing);
        assert_eq!(score(NeurofinderPairing::Greedy).recall, 0.5);
        assert_eq!(score(NeurofinderPairing::Best).recall, 1.0);
    }

    #[test]
    fn scores_equal_an_independent_program_on_stored_regions() {
        use super::super::stored_movies::{assert_close, float, footprints, integer, stored_cases};
        for (name, case) in stored_cases("regions") {
            let (truth, estimate) = (footprints(&case["truth"]), footprints(&case["estimate"]));
            let threshold_px = case["threshold_px"].as_f64().unwrap_or(f64::INFINITY);
            for (pairing, key) in [
                (NeurofinderPairing::Greedy, "greedy"),
                (NeurofinderPairing::Best, "best"),
            ] {
                let width = integer(&case["width"]) as usize;
                let found = neurofinder(&truth, &estimate, width, threshold_px, pairing);
                let found = serde_json::to_value(found).unwrap();
                for (field, value) in case[key].as_object().unwrap() {
                    assert_close(&name, field, float(&found[field]), float(value));
                }
            }
        }
    }

    #[test]
    fn the_threshold_itself_is_too_far_and_no_pair_gives_zero_and_one() {
        let score = neurofinder(
            &dots(&[10]),
            &dots(&[15]),
            100,
            5.0,
            NeurofinderPairing::Greedy,
        );
        assert_eq!(
            (score.combined, score.inclusion, score.exclusion),
            (0.0, 0.0, 1.0)
        );
        let empty = neurofinder(&[], &[], 100, 5.0, NeurofinderPairing::Best);
        assert_eq!((empty.recall, empty.precision), (0.0, 0.0));
        let far = neurofinder(
            &dots(&[10]),
            &dots(&[15]),
            100,
            f64::INFINITY,
            NeurofinderPairing::Best,
        );
        assert_eq!(far.combined, 1.0);
    }
}
