//! Laws of the scores of cells, traces and shifts.

use proptest::prelude::*;
use somata_validation::score::{
    masks::{
        Footprint, IouTable, average_precision_of_footprints, field_offset, footprints_of_labels,
        match_cells, score_masks,
    },
    neurofinder::{NeurofinderPairing, neurofinder},
    shifts::{shift_field_rmse_px, shift_rmse_px},
    traces::{
        contamination, correlation, median, neighbours, spike_correlation, trace_correlation,
    },
};

use super::values::{cases, finite};

const HEIGHT: usize = 9;
const WIDTH: usize = 11;

/// Cells of one pixel and more, at the border and overlapping, and some without a pixel.
fn cells(most: usize) -> impl Strategy<Value = Vec<Footprint>> {
    let one = prop_oneof![
        4 => (0usize..HEIGHT, 0usize..WIDTH, 1usize..5, 1usize..5).prop_map(|(y, x, h, w)| {
            let rows = y..(y + h).min(HEIGHT);
            Footprint::new(rows.flat_map(|y| (x..(x + w).min(WIDTH)).map(move |x| (y * WIDTH + x) as u32)).collect())
        }),
        2 => (0..(HEIGHT * WIDTH) as u32).prop_map(|pixel| Footprint::new(vec![pixel])),
        1 => Just(Footprint::default()),
        1 => prop::collection::vec(0..(HEIGHT * WIDTH) as u32, 0..12).prop_map(Footprint::new),
    ];
    prop::collection::vec(one, 0..most)
}

proptest! {
    #![proptest_config(cases(250))]

    #[test]
    fn scores_of_cells_are_shares_and_count_every_cell(predicted in cells(7), truth in cells(7), threshold in 0.05f64..1.0) {
        let found = score_masks(&predicted, &truth, threshold);
        for share in [found.precision, found.recall, found.f1, found.mean_iou] {
            prop_assert!((0.0..=1.0).contains(&share), "{:?}", found);
        }
        prop_assert_eq!(found.n_found + found.n_false, predicted.len());
        prop_assert_eq!(found.n_found + found.n_missed, truth.len());
        prop_assert!(found.n_found == 0 || found.mean_iou >= threshold);
        // From the other side precision is recall.
        let back = score_masks(&truth, &predicted, threshold);
        prop_assert_eq!((found.f1, found.n_false), (back.f1, back.n_missed));
        // A stricter threshold finds no more.
        prop_assert!(score_masks(&predicted, &truth, (threshold + 0.2).min(1.0)).n_found <= found.n_found);
        let average = &average_precision_of_footprints(&truth, &predicted, &[threshold])[0];
        let share = average.average_precision;
        prop_assert!((0.0..=1.0).contains(&share) || (share.is_nan() && truth.is_empty() && predicted.is_empty()));
        // The pairing that counts pairs first finds at least as many.
        prop_assert!(average.true_positives >= found.n_found);
    }

    #[test]
    fn cells_agree_wholly_with_themselves(cells in cells(8)) {
        let table = IouTable::new(&cells, &cells);
        let n_seen = cells.iter().filter(|cell| !cell.pixels.is_empty()).count();
        for (k, cell) in cells.iter().enumerate() {
            prop_assert_eq!(table.at(k, k), f64::from(u8::from(!cell.pixels.is_empty())));
            prop_assert_eq!(cell.overlap(cell), cell.pixels.len());
            for (other, footprint) in cells.iter().enumerate() {
                prop_assert_eq!(table.at(k, other), table.at(other, k));
                prop_assert!((0.0..=1.0).contains(&table.at(k, other)));
                prop_assert_eq!(table.at(k, other) > 0.0, cell.overlap(footprint) > 0);
            }
        }
        let pairs = match_cells(&table, 0.5);
        prop_assert_eq!(pairs.len(), n_seen);
        prop_assert!(pairs.iter().all(|pair| pair.iou == 1.0));
        for pairing in [NeurofinderPairing::Greedy, NeurofinderPairing::Best] {
            let found = neurofinder(&cells, &cells, WIDTH, 1e-9, pairing);
            if n_seen == cells.len() && n_seen > 0 {
                prop_assert_eq!((found.recall, found.precision), (1.0, 1.0), "{:?}", pairing);
            }
        }
    }

    #[test]
    fn neurofinders_scores_are_shares_and_the_best_pairing_finds_most(truth in cells(6), estimate in cells(6), threshold_px in 0.0f64..6.0) {
        let greedy = neurofinder(&truth, &estimate, WIDTH, threshold_px, NeurofinderPairing::Greedy);
        let best = neurofinder(&truth, &estimate, WIDTH, threshold_px, NeurofinderPairing::Best);
        for found in [greedy, best] {
            for share in [found.recall, found.precision, found.combined, found.inclusion, found.exclusion] {
                prop_assert!((0.0..=1.0).contains(&share), "{:?}", found);
            }
        }
        prop_assert!(best.recall >= greedy.recall && best.precision >= greedy.precision);
    }

    #[test]
    fn a_field_that_was_rolled_is_found_again(cells in cells(6), offset in (-4i32..=4, -5i32..=5)) {
        let rolled: Vec<Footprint> = cells.iter().map(|cell| cell.rolled([-offset.0, -offset.1], HEIGHT, WIDTH)).collect();
        for (cell, rolled) in cells.iter().zip(&rolled) {
            prop_assert_eq!(cell.pixels.len(), rolled.pixels.len());
            prop_assert_eq!(&rolled.rolled([offset.0, offset.1], HEIGHT, WIDTH), cell);
        }
        let [down, right] = field_offset(&rolled, &cells, HEIGHT, WIDTH, 5);
        let back: Vec<Footprint> = rolled.iter().map(|cell| cell.rolled([down, right], HEIGHT, WIDTH)).collect();
        let covered = |cells: &[Footprint]| {
            let mut pixels: Vec<u32> = cells.iter().flat_map(|cell| cell.pixels.clone()).collect();
            pixels.sort_unstable();
            pixels.dedup();
            pixels
        };
        // Perhaps by another way, but all of the field is covered.
        prop_assert_eq!(covered(&back), covered(&cells));
    }

    #[test]
    fn labels_are_taken_apart_and_neighbours_know_no_order(labels in prop::collection::vec(0u32..6, HEIGHT * WIDTH), cells in cells(7), gap in 0usize..4) {
        let footprints = footprints_of_labels(&labels);
        let n: usize = footprints.iter().map(|footprint| footprint.pixels.len()).sum();
        prop_assert_eq!(n, labels.iter().filter(|label| **label > 0).count());
        let found = neighbours(&cells, HEIGHT, WIDTH, gap);
        for first in 0..cells.len() {
            for second in first + 1..cells.len() {
                let place = |pixel: u32| ((pixel as usize / WIDTH) as i64, (pixel as usize % WIDTH) as i64);
                let near = cells[first].pixels.iter().any(|a| {
                    cells[second].pixels.iter().any(|b| {
                        let ((ay, ax), (by, bx)) = (place(*a), place(*b));
                        (ay - by).abs() <= gap as i64 && (ax - bx).abs() <= gap as i64
                    })
                });
                prop_assert_eq!(found.contains(&(first, second)), near, "{} {}", first, second);
            }
        }
    }

    #[test]
    fn a_correlation_lies_within_1_and_knows_no_scale(
        (one, other) in (0usize..40).prop_flat_map(|n| {
            let series = || prop_oneof![
                4 => prop::collection::vec(finite().prop_map(f64::from), n),
                1 => prop::collection::vec(-1e300f64..1e300, n),
                1 => finite().prop_map(move |v| vec![f64::from(v); n]),
            ];
            (series(), series())
        }),
    ) {
        if let Some(r) = correlation(&one, &other) {
            // Rounding of a quotient of sums.
            prop_assert!(r.abs() <= 1.0 + 1e-9, "{}", r);
            prop_assert_eq!(correlation(&other, &one), Some(r));
            let larger: Vec<f64> = one.iter().map(|v| 0.25 * v).collect();
            if let Some(again) = correlation(&larger, &other) {
                prop_assert!((again - r).abs() < 1e-6, "{} {}", again, r);
            }
        }
        if one.iter().any(|v| v.abs() > 1e-3) && one.iter().all(|v| v.abs() < 1e10) && one.windows(2).any(|w| w[0] != w[1]) {
            // Values of which the largest is a billion times the smallest hide the rest in their mean.
            let r = correlation(&one, &one);
            prop_assert!(r.is_none_or(|r| (r - 1.0).abs() < 1e-9), "{:?}", r);
        }
        if let Some(middle) = median(&mut one.clone()) {
            prop_assert!(one.iter().any(|v| *v <= middle) && one.iter().any(|v| *v >= middle));
        }
    }

    #[test]
    fn traces_are_scored_whatever_they_are(
        (estimated, truth, spikes, predicted, bodies) in (1usize..4, 0usize..40).prop_flat_map(|(n, frames)| (
            prop::collection::vec(prop::collection::vec(finite(), frames), n),
            prop::collection::vec(prop::collection::vec(finite(), frames), n),
            prop::collection::vec(prop::collection::vec(0i16..3, frames), n),
            prop::collection::vec(prop::collection::vec(0.0f32..5.0, frames), n),
            cells(2).prop_map(move |cells| (0..n).map(|k| cells.get(k).cloned().unwrap_or_default()).collect::<Vec<_>>()),
        )),
    ) {
        let all: Vec<Footprint> = (0..bodies.len() as u32).map(|k| Footprint::new(vec![k])).collect();
        let pairs = match_cells(&IouTable::new(&all, &all), 0.5);
        if let Some(r) = trace_correlation(&estimated, &truth, &pairs) {
            prop_assert!(r.abs() <= 1.0 + 1e-9);
        }
        if let Some(found) = spike_correlation(&predicted, &spikes, &pairs) {
            prop_assert!(found.median.abs() <= 1.0 + 1e-9 && found.aligned >= found.median - 1e-12 && found.lag_frames.abs() <= 4);
        }
        if let Some(found) = contamination(&estimated, &truth, &bodies, HEIGHT, WIDTH, &pairs) {
            prop_assert!(found.median_slope.is_finite() && found.median_slope >= 0.0 && found.n_pairs > 0);
        }
    }

    #[test]
    fn an_error_of_shifts_knows_no_reference_and_no_sign(
        y in prop::collection::vec(-60.0f64..60.0, 0..40),
        offset in -30.0f64..30.0,
    ) {
        let x: Vec<f64> = y.iter().rev().map(|v| 0.5 * v).collect();
        let (moved_y, moved_x): (Vec<f64>, Vec<f64>) = y.iter().zip(&x).map(|(y, x)| (offset - y, -x)).unzip();
        let error = shift_rmse_px([&moved_y, &moved_x], [&y, &x]);
        prop_assert_eq!(error.is_none(), y.is_empty());
        prop_assert!(error.is_none_or(|error| error < 1e-9), "{:?}", error);
        let whole = y.len() / 4 * 4;
        let (y, x) = (&y[..whole], &x[..whole]);
        let error = shift_field_rmse_px([y, x], [y, x], 4);
        prop_assert!(error.is_none_or(|error| error < 1e-9), "{:?}", error);
    }
}
