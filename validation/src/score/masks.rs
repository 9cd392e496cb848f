//! Scores of cells found in images: which of them are true, and how well their pixels agree.
//!
//! Cells are sets of pixels ([`Footprint`]) that may overlap. Agreement of two sets is the intersection over the union (IoU, Jaccard
//! 1912). Cells are paired one to one so that the sum of the IoU is largest ([`assign`]); a pair counts as found when its IoU
//! reaches a threshold (0.5 in the field's usual scores).
//!
//! [`average_precision`] is that of Cellpose (Stringer et al. 2021), which it takes from StarDist: TP / (TP + FP + FN) on label
//! images, with a pairing that puts the number of pairs above the threshold first. It is not the area under a curve of
//! precision and recall. Checked against `cellpose.metrics` 3.1.1.2.

use serde::Serialize;

use somata_engine::linalg::assignment::assign;

/// Pixels of a cell, which may overlap others' pixels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Index `y * width + x` of each pixel, ascending, none twice.
    pub pixels: Vec<u32>,
}

impl Footprint {
    /// The pixels in any order, some perhaps twice.
    pub fn new(mut pixels: Vec<u32>) -> Self {
        pixels.sort_unstable();
        pixels.dedup();
        Self { pixels }
    }

    /// The footprint moved by (down, right) on a frame of `height` × `width`, around its edges (as `numpy.roll`).
    pub fn rolled(&self, offset_px: [i32; 2], height: usize, width: usize) -> Self {
        let place = |at: u32, offset: i32, n: usize| {
            (i64::from(at) + i64::from(offset)).rem_euclid(n as i64) as u32
        };
        let columns = width as u32;
        Self::new(
            self.pixels
                .iter()
                .map(|&pixel| {
                    place(pixel / columns, offset_px[0], height) * columns
                        + place(pixel % columns, offset_px[1], width)
                })
                .collect(),
        )
    }

    /// Mean (y, x) of the pixels, px; `None` without pixels.
    pub fn centre_px(&self, width: usize) -> Option<[f64; 2]> {
        let n = self.pixels.len() as f64;
        let sum = |of: fn(u32, u32) -> u32| {
            let columns = width as u32;
            self.pixels
                .iter()
                .map(|&pixel| u64::from(of(pixel, columns)))
                .sum::<u64>() as f64
        };
        (n > 0.0).then(|| {
            [
                sum(|pixel, width| pixel / width) / n,
                sum(|pixel, width| pixel % width) / n,
            ]
        })
    }

    /// Number of pixels that are in both.
    pub fn overlap(&self, other: &Self) -> usize {
        let (mut shorter, mut longer) = (&self.pixels[..], &other.pixels[..]);
        if shorter.len() > longer.len() {
            std::mem::swap(&mut shorter, &mut longer);
        }
        let mut n = 0;
        for pixel in shorter {
            let skip = longer.partition_point(|other| other < pixel);
            longer = &longer[skip..];
            n += usize::from(longer.first() == Some(pixel));
        }
        n
    }
}

/// The footprint of each label 1, 2, … of a label image in which 0 is background, `[height, width]`. A label without pixels has an
/// empty footprint.
pub fn footprints_of_labels(labels: &[u32]) -> Vec<Footprint> {
    let n = labels.iter().max().map_or(0, |&label| label as usize);
    let mut footprints = vec![Footprint::default(); n];
    for (pixel, &label) in labels.iter().enumerate() {
        if label > 0 {
            footprints[label as usize - 1].pixels.push(pixel as u32);
        }
    }
    footprints
}

/// IoU of every pair of cells of two sets.
#[derive(Debug, Clone, PartialEq)]
pub struct IouTable {
    /// Cells of the first set.
    pub n_rows: usize,
    /// Cells of the second set.
    pub n_columns: usize,
    /// IoU, `[n_rows * n_columns]`, row-major; 0 where both are empty.
    pub values: Vec<f64>,
}

impl IouTable {
    /// The table of `first` × `second`, footprints on frames of the same size.
    pub fn new(first: &[Footprint], second: &[Footprint]) -> Self {
        Self::with_unions_enlarged(first, second, 0.0)
    }

    /// The same, each union taken to be `more` pixels larger. `score_movie.py` adds 1e-9 against division by 0, which puts a pair at exactly
    /// the threshold below it.
    pub(super) fn with_unions_enlarged(
        first: &[Footprint],
        second: &[Footprint],
        more: f64,
    ) -> Self {
        let mut owners: Vec<Vec<u32>> = Vec::new();
        for (index, cell) in second.iter().enumerate() {
            for &pixel in &cell.pixels {
                let pixel = pixel as usize;
                if owners.len() <= pixel {
                    owners.resize(pixel + 1, Vec::new());
                }
                owners[pixel].push(index as u32);
            }
        }
        let mut values = vec![0.0; first.len() * second.len()];
        let mut counts = vec![0u32; second.len()];
        for (row, cell) in first.iter().enumerate() {
            counts.fill(0);
            for owner in cell
                .pixels
                .iter()
                .filter_map(|&pixel| owners.get(pixel as usize))
                .flatten()
            {
                counts[*owner as usize] += 1;
            }
            for (column, &overlap) in counts.iter().enumerate() {
                if overlap > 0 {
                    let either = cell.pixels.len() + second[column].pixels.len() - overlap as usize;
                    values[row * second.len() + column] =
                        f64::from(overlap) / (either as f64 + more);
                }
            }
        }
        Self {
            n_rows: first.len(),
            n_columns: second.len(),
            values,
        }
    }

    /// IoU of cell `row` of the first set with cell `column` of the second.
    pub fn at(&self, row: usize, column: usize) -> f64 {
        self.values[row * self.n_columns + column]
    }
}

/// A predicted cell with the true cell it is paired with.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MatchedPair {
    /// Index of the predicted cell.
    pub predicted: usize,
    /// Index of the true cell.
    pub truth: usize,
    /// Their IoU.
    pub iou: f64,
}

/// Pairs with an IoU of `threshold` or more, of the one-to-one pairing with the largest sum of IoU; ascending by prediction.
pub fn match_cells(table: &IouTable, threshold: f64) -> Vec<MatchedPair> {
    assign(table.n_rows, table.n_columns, |row, column| {
        -table.at(row, column)
    })
    .into_iter()
    .map(|(predicted, truth)| MatchedPair {
        predicted,
        truth,
        iou: table.at(predicted, truth),
    })
    .filter(|pair| pair.iou >= threshold)
    .collect()
}

/// How many cells are found, missed and false at an IoU threshold.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MaskScore {
    /// The threshold.
    pub iou_threshold: f64,
    /// Pairs that reach it (true positives).
    pub n_found: usize,
    /// Predicted cells without a pair (false positives).
    pub n_false: usize,
    /// True cells without a pair (false negatives).
    pub n_missed: usize,
    /// found / predicted; 0 where nothing was predicted.
    pub precision: f64,
    /// found / true; 0 where there is nothing to find.
    pub recall: f64,
    /// 2 found / (predicted + true); 0 where both are empty.
    pub f1: f64,
    /// Mean IoU of the pairs; 0 without a pair.
    pub mean_iou: f64,
}

/// Scores `predicted` cells, which may overlap, against `truth`.
pub fn score_masks(predicted: &[Footprint], truth: &[Footprint], iou_threshold: f64) -> MaskScore {
    let pairs = match_cells(&IouTable::new(predicted, truth), iou_threshold);
    let (n_found, n_predicted, n_true) = (pairs.len(), predicted.len(), truth.len());
    MaskScore {
        iou_threshold,
        n_found,
        n_false: n_predicted - n_found,
        n_missed: n_true - n_found,
        precision: share(n_found, n_predicted),
        recall: share(n_found, n_true),
        f1: share(2 * n_found, n_predicted + n_true),
        mean_iou: mean_iou(&pairs),
    }
}

/// part / whole; 0 if the whole is 0.
pub(super) fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// Mean IoU; 0 without a pair.
pub(super) fn mean_iou(pairs: &[MatchedPair]) -> f64 {
    // From 0: the sum of nothing is -0.
    let sum = pairs.iter().fold(0.0, |sum, pair| sum + pair.iou);
    sum / pairs.len().max(1) as f64
}

/// Cellpose's average precision at one threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AveragePrecision {
    /// The threshold of the IoU.
    pub iou_threshold: f64,
    /// TP / (TP + FP + FN); NaN where neither image has a label.
    pub average_precision: f64,
    /// Pairs that reach the threshold.
    pub true_positives: usize,
    /// Highest label of the prediction less the pairs.
    pub false_positives: usize,
    /// Highest label of the truth less the pairs.
    pub false_negatives: usize,
}

/// Thresholds of Cellpose's published scores.
pub const CELLPOSE_THRESHOLDS: [f64; 3] = [0.5, 0.75, 0.9];

/// Cellpose's average precision of label images of the same size, at each of `thresholds`.
///
/// A label's number counts, not its pixels: images whose labels have gaps should be numbered anew first, as for Cellpose itself.
pub fn average_precision(
    truth: &[u32],
    predicted: &[u32],
    thresholds: &[f64],
) -> Vec<AveragePrecision> {
    average_precision_of_footprints(
        &footprints_of_labels(truth),
        &footprints_of_labels(predicted),
        thresholds,
    )
}

/// The same of footprints, which may overlap.
pub fn average_precision_of_footprints(
    truth: &[Footprint],
    predicted: &[Footprint],
    thresholds: &[f64],
) -> Vec<AveragePrecision> {
    let table = IouTable::new(truth, predicted);
    let n_fewer = truth.len().min(predicted.len()) as f64;
    thresholds
        .iter()
        .map(|&iou_threshold| {
            let pairs = assign(truth.len(), predicted.len(), |row, column| {
                let iou = table.at(row, column);
                let reaches = f64::from(u8::from(iou >= iou_threshold));
                -reaches - iou / (2.0 * n_fewer)
            });
            let n_found = pairs
                .iter()
                .filter(|&&(row, column)| table.at(row, column) >= iou_threshold)
                .count();
            let either = truth.len() + predicted.len() - n_found;
            AveragePrecision {
                iou_threshold,
                average_precision: n_found as f64 / either as f64,
                true_positives: n_found,
                false_positives: predicted.len() - n_found,
                false_negatives: truth.len() - n_found,
            }
        })
        .collect()
}

/// The shift (down, right) of all `predicted` cells together that covers most pixels of the `truth`: where the reference image of a
/// registration happens to lie. Within ± `reach_px`, around the edges of the frame; of equals the largest; none where
/// nothing is covered at all.
pub fn field_offset(
    predicted: &[Footprint],
    truth: &[Footprint],
    height: usize,
    width: usize,
    reach_px: i32,
) -> [i32; 2] {
    let covered = |cells: &[Footprint]| {
        let mut image = vec![false; height * width];
        for &pixel in cells.iter().flat_map(|cell| &cell.pixels) {
            image[pixel as usize] = true;
        }
        image
    };
    let truth = covered(truth);
    let predicted: Vec<(i64, i64)> = covered(predicted)
        .iter()
        .enumerate()
        .filter(|(_, is_covered)| **is_covered)
        .map(|(pixel, _)| ((pixel / width) as i64, (pixel % width) as i64))
        .collect();
    let overlap = |down: i32, right: i32| {
        predicted
            .iter()
            .filter(|(y, x)| {
                let y = (y + i64::from(down)).rem_euclid(height as i64) as usize;
                let x = (x + i64::from(right)).rem_euclid(width as i64) as usize;
                truth[y * width + x]
            })
            .count()
    };
    (-reach_px..=reach_px)
        .flat_map(|down| (-reach_px..=reach_px).map(move |right| (down, right)))
        .map(|(down, right)| (overlap(down, right), down, right))
        .max()
        .filter(|&(covered, ..)| covered > 0)
        .map_or([0, 0], |(_, down, right)| [down, right])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(y: usize, x: usize, side: usize, width: usize) -> Footprint {
        Footprint::new(
            (y..y + side)
                .flat_map(|y| (x..x + side).map(move |x| (y * width + x) as u32))
                .collect(),
        )
    }

    #[test]
    fn overlapping_cells_are_each_found() {
        let truth = [square(0, 0, 6, 40), square(0, 3, 6, 40)];
        let score = score_masks(&truth, &truth, 0.5);
        assert_eq!((score.n_found, score.n_false, score.n_missed), (2, 0, 0));
        assert_eq!((score.f1, score.mean_iou), (1.0, 1.0));
        // Half of a square overlaps its neighbour: 18 of 54 pixels.
        assert!((IouTable::new(&truth, &truth).at(0, 1) - 18.0 / 54.0).abs() < 1e-15);
        assert_eq!(truth[0].overlap(&truth[1]), 18);
    }

    #[test]
    fn a_prediction_is_paired_once_and_the_sum_of_iou_decides() {
        let truth = [square(0, 0, 6, 40)];
        let predicted = [
            square(0, 1, 6, 40),
            square(0, 0, 6, 40),
            square(20, 0, 6, 40),
        ];
        let pairs = match_cells(&IouTable::new(&predicted, &truth), 0.5);
        assert_eq!(pairs.len(), 1);
        assert_eq!((pairs[0].predicted, pairs[0].truth), (1, 0));
        let score = score_masks(&predicted, &truth, 0.5);
        assert_eq!(score.n_false, 2);
        assert_eq!(score.precision, 1.0 / 3.0);
    }

    #[test]
    fn nothing_found_and_nothing_to_find_are_no_error() {
        let cell = [square(0, 0, 3, 10)];
        assert_eq!(score_masks(&[], &cell, 0.5).f1, 0.0);
        assert_eq!(score_masks(&cell, &[], 0.5).recall, 0.0);
        assert_eq!(score_masks(&[], &[], 0.5).mean_iou, 0.0);
        let neither = average_precision(&[0, 0], &[0, 0], &[0.5]);
        assert!(neither[0].average_precision.is_nan());
        assert_eq!(
            average_precision(&[0, 1], &[0, 0], &[0.5])[0].average_precision,
            0.0
        );
    }

    #[test]
    fn average_precision_equals_cellposes_on_stored_label_images() {
        use super::super::stored_movies::{assert_close, float, integer, labels, stored_cases};
        for (name, case) in stored_cases("label_images") {
            let thresholds: Vec<f64> = case["thresholds"]
                .as_array()
                .unwrap()
                .iter()
                .map(float)
                .collect();
            let found = average_precision(
                &labels(&case["truth"]),
                &labels(&case["predicted"]),
                &thresholds,
            );
            for (at, found) in found.iter().enumerate() {
                // Cellpose gives single precision.
                assert_close(&name, "ap", found.average_precision, float(&case["ap"][at]));
                let counts = [
                    found.true_positives,
                    found.false_positives,
                    found.false_negatives,
                ];
                for (count, key) in counts.into_iter().zip(["tp", "fp", "fn"]) {
                    assert_eq!(count as i64, integer(&case[key][at]), "{name}: {key}");
                }
            }
        }
    }

    #[test]
    fn the_offset_of_the_whole_field_is_found_around_the_edges() {
        let truth = [square(2, 1, 5, 30), square(20, 25, 4, 30)];
        let moved: Vec<Footprint> = truth
            .iter()
            .map(|cell| cell.rolled([-7, 9], 30, 30))
            .collect();
        assert_eq!(field_offset(&moved, &truth, 30, 30, 12), [7, -9]);
        assert_eq!(moved[0].rolled([7, -9], 30, 30), truth[0]);
    }
}
