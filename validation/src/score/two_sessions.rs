//! Pairs of cells over two sessions of one field, against the truth of a simulated second session.
//!
//! Which cells were found is a matter of each session's own scores; here only those count that were: a true pair is a cell of the field
//! that was found in both sessions. A found cell is the true one with which it has an IoU of 0.5 or more, one to one.

use serde::Serialize;

use super::masks::{Footprint, IouTable, field_offset, match_cells, share};
use super::movie::{IOU_THRESHOLD, LARGEST_OFFSET_PX};
use crate::error::{Result, ValidationError};
use crate::simulate::movie::MovieTruth;

/// How well the cells of two sessions were paired.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct SessionScore {
    /// Pairs that were given.
    pub n_pairs: usize,
    /// Cells that were found in both sessions.
    pub n_true: usize,
    /// Pairs that are one of these.
    pub n_correct: usize,
    /// Pairs of two cells of the truth that are not the same.
    pub n_wrong: usize,
    /// Pairs in which a cell is none of the truth; they count neither way.
    pub n_unknown: usize,
    /// correct / (correct + wrong); 0 without any.
    pub precision: f64,
    /// correct / true; 0 where there is nothing to pair.
    pub recall: f64,
}

impl SessionScore {
    /// The counts of several planes or runs together.
    pub fn sum(scores: impl IntoIterator<Item = Self>) -> Self {
        let mut sum = scores.into_iter().fold(Self::default(), |sum, score| Self {
            n_pairs: sum.n_pairs + score.n_pairs,
            n_true: sum.n_true + score.n_true,
            n_correct: sum.n_correct + score.n_correct,
            n_wrong: sum.n_wrong + score.n_wrong,
            n_unknown: sum.n_unknown + score.n_unknown,
            ..sum
        });
        sum.precision = share(sum.n_correct, sum.n_correct + sum.n_wrong);
        sum.recall = share(sum.n_correct, sum.n_true);
        sum
    }
}

/// The true cell of each found one.
pub fn true_cells(found: &[Footprint], truth: &MovieTruth) -> Vec<Option<usize>> {
    let (height, width) = (truth.height, truth.width);
    let offset_px = field_offset(found, &truth.bodies, height, width, LARGEST_OFFSET_PX);
    let moved: Vec<Footprint> = found
        .iter()
        .map(|cell| cell.rolled(offset_px, height, width))
        .collect();
    let mut cells = vec![None; found.len()];
    for pair in match_cells(&IouTable::new(&moved, &truth.bodies), IOU_THRESHOLD) {
        cells[pair.predicted] = Some(pair.truth);
    }
    cells
}

/// Scores the pairs (number in the first session's result, number in the second's) of one plane.
///
/// `first_number` is the number of the plane's first cell in the first session's truth, which counts over all planes.
///
/// # Errors
/// If `second_truth` is not that of a second session.
pub fn score_sessions(
    pairs: &[(usize, usize)],
    [first, second]: [&[Footprint]; 2],
    [first_truth, second_truth]: [&MovieTruth; 2],
    first_number: usize,
) -> Result<SessionScore> {
    let numbers = second_truth.first_session_cell.as_ref().ok_or_else(|| {
        ValidationError::BadPrediction("the truth is not that of a second session".into())
    })?;
    let first_cells = true_cells(first, first_truth);
    let second_cells = true_cells(second, second_truth);
    let of_second: Vec<Option<Option<usize>>> = second_cells
        .iter()
        .map(|cell| {
            cell.map(|cell| {
                usize::try_from(numbers[cell])
                    .ok()
                    .and_then(|number| number.checked_sub(first_number))
            })
        })
        .collect();
    let n_true = of_second
        .iter()
        .filter(|cell| matches!(cell, Some(Some(number)) if first_cells.contains(&Some(*number))))
        .count();
    let mut score = SessionScore {
        n_pairs: pairs.len(),
        n_true,
        ..SessionScore::default()
    };
    for &(a, b) in pairs {
        match (first_cells[a], of_second[b]) {
            (Some(first), Some(second)) if second == Some(first) => score.n_correct += 1,
            (Some(_), Some(_)) => score.n_wrong += 1,
            _ => score.n_unknown += 1,
        }
    }
    Ok(SessionScore::sum([score]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(y: usize, x: usize) -> Footprint {
        let pixels = (y..y + 4).flat_map(|y| (x..x + 4).map(move |x| (y * 40 + x) as u32));
        Footprint::new(pixels.collect())
    }

    fn truth(bodies: Vec<Footprint>, numbers: Option<Vec<i32>>) -> MovieTruth {
        MovieTruth {
            height: 40,
            width: 40,
            plane: vec![0; bodies.len()],
            bodies,
            first_session_cell: numbers,
            ..MovieTruth::default()
        }
    }

    #[test]
    fn correct_wrong_missed_and_unknown_pairs_are_told_apart() {
        let first_bodies = vec![square(0, 0), square(0, 10), square(0, 20), square(10, 0)];
        let second_bodies = vec![square(2, 12), square(2, 2), square(20, 20), square(12, 2)];
        let before = truth(first_bodies.clone(), None);
        // The first two changed places in the list, the third is new, the last is the fourth.
        let after = truth(second_bodies.clone(), Some(vec![1, 0, -1, 3]));
        // Something that is no cell was found in both.
        let found = |bodies: &[Footprint]| [bodies, &[square(34, 34)]].concat();
        let (first, second) = (found(&first_bodies), found(&second_bodies));
        let pairs = [(0, 1), (1, 0), (2, 2), (4, 4)];
        let score = score_sessions(&pairs, [&first, &second], [&before, &after], 0).unwrap();
        let expected = SessionScore {
            n_pairs: 4,
            n_true: 3,
            n_correct: 2,
            n_wrong: 1,
            n_unknown: 1,
            precision: 2.0 / 3.0,
            recall: 2.0 / 3.0,
        };
        assert_eq!(score, expected);
        assert_eq!(SessionScore::sum([score, score]).n_correct, 4);
        // What was not found in the first session cannot be paired.
        let score = score_sessions(&[], [&first[1..], &second], [&before, &after], 0).unwrap();
        assert_eq!((score.n_true, score.recall, score.precision), (2, 0.0, 0.0));
        let plain = truth(second_bodies, None);
        assert!(score_sessions(&[], [&first, &second], [&before, &plain], 0).is_err());
    }
}
