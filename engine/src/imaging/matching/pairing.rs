//! Which cells are the same, with a probability for each pair.
//!
//! For a cell of the first field, a cell of the second near its place is either the same cell or another one. What is measured of the two
//! (the distance of their centres, how alike their shapes are, how alike the mean images are there) is distributed differently in the
//! two cases, as in CellReg (Sheintuch et al. 2017), and the two distributions are learned from the data themselves:
//!
//! - *Another cell.* How often one lies at a distance is what neighbours within each session show: as often as the density of cells says,
//!   but hardly ever on top of each other. Its likeness is that of cells far apart in the two fields, of which there are plenty in any data.
//! - *The same cell.* Its centre is scattered around the place by the errors of both sessions: Student's t in the plane, of a
//!   width that is fitted. Its likeness is that of pairs that are most likely the same. Some cells are found only in part in one of the
//!   sessions: their centres are scattered more, and their shapes say nothing.
//!
//! Widths, likeness and the share of cells that have a partner are fitted by expectation and maximisation. The
//! probability that two cells are the same takes into account that each has one partner at most: the sum over all one-to-one
//! pairings, by belief propagation (Williams and Lau 2014). A pair of a probability of one half or more is a pair: calling it
//! one is then right more often than wrong.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{cells::Both, field_map::distance};
use crate::linalg::assignment::assign;

/// Cells farther apart than so many diameters are not compared.
const REACH_DIAMETERS: f64 = 1.2;
/// Far pairs that are compared with each cell, to learn what different cells look like.
const FAR_PER_CELL: usize = 6;
/// Degrees of freedom of the scatter of centres: heavier tails than a normal distribution, since a cell may be found in part.
const FREEDOM: f64 = 4.0;
/// Scatter to begin with, and the least one, in diameters.
const FIRST_SCATTER: f64 = 0.12;
const LEAST_SCATTER: f64 = 0.02;
/// Scatter of cells that were found in part, in diameters.
const PART_SCATTER: f64 = 0.13;
/// Share of such cells to begin with, and the pairs that this belief counts as.
const FIRST_PART: f64 = 0.1;
const PART_PAIRS: f64 = 10.0;
/// Bins of the distances of neighbours, in diameters.
const NEIGHBOUR_BIN: f64 = 0.25;
/// Pairs of neighbours at each distance that are thought to be there without any having been seen, and the least share of cells that
/// lie anywhere: a change of depth brings up cells that do not mind those above.
const PRIOR_NEIGHBOURS: f64 = 2.0;
const LEAST_NEIGHBOURS: f64 = 0.1;
/// Rounds of fitting.
const ROUNDS: usize = 25;
/// What is thought to be known beforehand counts as much as this many pairs.
const PRIOR_PAIRS: f64 = 4.0;
/// No likeness says more for or against a pair than this, in natural logarithms.
const MOST_EVIDENCE: f64 = 5.0;
/// Pairs of a lower probability are none.
pub const LEAST_PROBABILITY: f64 = 0.5;

/// Two cells that may be the same.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Pair {
    /// Number in the first field.
    pub first: usize,
    /// Number in the second.
    pub second: usize,
    /// Intersection over union of their pixels under the map.
    pub iou: f64,
    /// Distance of their centres, pixels of the second field.
    pub distance_px: f64,
    /// Intersection over union with the centres laid on each other.
    pub shape_iou: f64,
    /// Correlation of the mean images there.
    pub likeness: f64,
    /// That they are the same.
    pub probability: f64,
}

/// What was learned of pairs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PairModel {
    /// Share of the cells of the smaller set, in the common part of the fields, that have a partner.
    pub shared_share: f64,
    /// Scatter of the centres of the same cell in each direction, px.
    pub scatter_px: f64,
    /// Share of them that were found only in part in one of the sessions.
    pub part_share: f64,
    /// Shape of the same cell, and of different ones.
    pub shape: [Normal; 2],
    /// Likeness of the images of the same cell, and of different ones.
    pub likeness: [Normal; 2],
}

/// A normal distribution, of a transformed measure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Normal {
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub deviation: f64,
}

impl Normal {
    /// From weighted values and what was thought before.
    fn fit(values: impl Iterator<Item = (f64, f64)> + Clone, before: Self) -> Self {
        let (sum, total) = values
            .clone()
            .fold((0.0, 0.0), |(s, t), (v, w)| (s + w * v, t + w));
        let mean = (sum + PRIOR_PAIRS * before.mean) / (total + PRIOR_PAIRS);
        let squares: f64 = values.map(|(v, w)| w * (v - mean).powi(2)).sum();
        let prior = before.deviation.powi(2) + (mean - before.mean).powi(2);
        Self {
            mean,
            deviation: ((squares + PRIOR_PAIRS * prior) / (total + PRIOR_PAIRS)).sqrt(),
        }
    }

    fn log_density(&self, value: f64) -> f64 {
        let z = (value - self.mean) / self.deviation;
        -0.5 * z * z - self.deviation.ln()
    }
}

/// How much a value speaks for the same cell rather than a different one, logarithm. What is more alike than the same cell usually is
/// speaks no less for it, whatever the tails of the two distributions do.
fn evidence([same, other]: &[Normal; 2], value: f64) -> f64 {
    let value = value.min(same.mean.max(other.mean));
    (same.log_density(value) - other.log_density(value)).clamp(-MOST_EVIDENCE, MOST_EVIDENCE)
}

fn logit(share: f64) -> f64 {
    let share = share.clamp(0.02, 0.98);
    (share / (1.0 - share)).ln()
}

fn fisher(correlation: f64) -> f64 {
    correlation.clamp(-0.97, 0.97).atanh()
}

/// How often two different cells of one session lie at a distance, relative to cells that do not mind each other.
struct Neighbours {
    bin_px: f64,
    shares: Vec<f64>,
}

impl Neighbours {
    fn new(both: &Both<'_>, diameter: f64) -> Self {
        let bin_px = NEIGHBOUR_BIN * diameter;
        let n_bins = (REACH_DIAMETERS / NEIGHBOUR_BIN).ceil() as usize + 1;
        let (mut seen, mut expected) = (vec![0.0; n_bins], vec![0.0; n_bins]);
        for cells in &both.cells {
            let centres: Vec<[f64; 2]> = cells
                .iter()
                .filter(|cell| cell.in_view)
                .map(|cell| cell.centre)
                .collect();
            for (k, a) in centres.iter().enumerate() {
                for b in &centres[..k] {
                    let bin = (distance(*a, *b) / bin_px) as usize;
                    if bin < n_bins {
                        seen[bin] += 1.0;
                    }
                }
            }
            let n = centres.len() as f64;
            let pairs_per_px = n * n / 2.0 / both.common_px.max(1) as f64;
            for (bin, expected) in expected.iter_mut().enumerate() {
                let ring = (2 * bin + 1) as f64 * bin_px * bin_px * std::f64::consts::PI;
                *expected += pairs_per_px * ring;
            }
        }
        let share = |(seen, expected): (&f64, &f64)| {
            let share = (seen + PRIOR_NEIGHBOURS) / (expected + PRIOR_NEIGHBOURS);
            share.clamp(LEAST_NEIGHBOURS, 1.0)
        };
        Self {
            bin_px,
            shares: seen.iter().zip(&expected).map(share).collect(),
        }
    }

    /// By straight lines between the middles of the bins.
    fn at(&self, distance_px: f64) -> f64 {
        let place = (distance_px / self.bin_px - 0.5).max(0.0);
        let last = self.shares.len() - 1;
        let (left, right) = ((place as usize).min(last), (place as usize + 1).min(last));
        let part = (place - left as f64).clamp(0.0, 1.0);
        self.shares[left] + part * (self.shares[right] - self.shares[left])
    }
}

/// All pairs of near cells with their probabilities, and what was learned.
pub fn weigh(both: &Both<'_>, diameter: f64) -> (Vec<Pair>, PairModel) {
    let in_view = both.cells.each_ref().map(|cells| {
        (0..cells.len())
            .filter(|&k| cells[k].in_view)
            .collect::<Vec<usize>>()
    });
    let reach = REACH_DIAMETERS * diameter;
    let measure = |first: usize, second: usize| Pair {
        first,
        second,
        iou: both.iou(first, second, false),
        distance_px: both.distance(first, second),
        shape_iou: both.iou(first, second, true),
        likeness: both.likeness(first, second),
        probability: 0.0,
    };
    let (mut pairs, mut far) = (Vec::new(), Vec::new());
    let n_second = in_view[1].len();
    for (k, &a) in in_view[0].iter().enumerate() {
        let mut n_far = 0;
        for step in 0..n_second {
            // Each cell begins elsewhere, so that the far pairs are spread over all cells.
            let b = in_view[1][(step + 7 * k) % n_second];
            let distance = both.distance(a, b);
            if distance < reach {
                pairs.push(measure(a, b));
            } else if distance > 2.0 * reach && n_far < FAR_PER_CELL {
                far.push(measure(a, b));
                n_far += 1;
            }
        }
    }
    pairs.sort_by_key(|pair| (pair.first, pair.second));
    let prior_shape = [
        Normal {
            mean: logit(0.85),
            deviation: 0.7,
        },
        Normal {
            mean: logit(0.65),
            deviation: 0.7,
        },
    ];
    let prior_likeness = [
        Normal {
            mean: 0.8,
            deviation: 0.5,
        },
        Normal {
            mean: 0.2,
            deviation: 0.5,
        },
    ];
    let of_far = |value: fn(&Pair) -> f64, prior: Normal| {
        Normal::fit(far.iter().map(|pair| (value(pair), 1.0)), prior)
    };
    let shape = |pair: &Pair| logit(pair.shape_iou);
    let likeness = |pair: &Pair| fisher(pair.likeness);
    let mut model = PairModel {
        shared_share: 0.5,
        scatter_px: FIRST_SCATTER * diameter,
        part_share: FIRST_PART,
        shape: [prior_shape[0], of_far(shape, prior_shape[1])],
        likeness: [prior_likeness[0], of_far(likeness, prior_likeness[1])],
    };
    // Of one cell another is as likely to be near as cells are dense.
    let density = n_second as f64 / (both.common_px.max(1) as f64);
    let neighbours = Neighbours::new(both, diameter);
    let smaller = in_view[0].len().min(n_second) as f64;
    let of_first = smaller / (in_view[0].len().max(1) as f64);
    for _ in 0..ROUNDS {
        // The share of the first field's cells that have a partner.
        let share = model.shared_share * of_first;
        let part_scatter = PART_SCATTER * diameter;
        // The odds of each pair, and how likely both cells were found whole if they are the same.
        let (weights, whole): (Vec<f64>, Vec<f64>) = pairs
            .iter()
            .map(|pair| {
                let scatter = model.scatter_px;
                let z = (pair.distance_px / scatter).powi(2) / FREEDOM;
                let near = (1.0 + z).powf(-(FREEDOM / 2.0 + 1.0))
                    / (std::f64::consts::TAU * scatter * scatter);
                let whole =
                    (1.0 - model.part_share) * near * evidence(&model.shape, shape(pair)).exp();
                let z = (pair.distance_px / part_scatter).powi(2);
                let part = model.part_share * (-0.5 * z).exp()
                    / (std::f64::consts::TAU * part_scatter * part_scatter);
                let alike = evidence(&model.likeness, likeness(pair)).exp();
                let others = density * neighbours.at(pair.distance_px);
                let odds = share / (1.0 - share) * (whole + part) * alike / others;
                (odds, whole / (whole + part).max(f64::MIN_POSITIVE))
            })
            .unzip();
        let probabilities = marginals(&pairs, &weights);
        for (pair, probability) in pairs.iter_mut().zip(probabilities) {
            pair.probability = probability;
        }
        let total: f64 = pairs.iter().map(|pair| pair.probability).sum();
        let of_whole: Vec<f64> = pairs
            .iter()
            .zip(&whole)
            .map(|(pair, whole)| pair.probability * whole)
            .collect();
        let total_whole: f64 = of_whole.iter().sum();
        // Of a t distribution, what is far out weighs less.
        let squares: f64 = pairs
            .iter()
            .zip(&of_whole)
            .map(|(pair, probability)| {
                let r2 = pair.distance_px.powi(2);
                let weight = (FREEDOM + 2.0) / (FREEDOM + r2 / model.scatter_px.powi(2));
                probability * weight * r2
            })
            .sum();
        let before = FIRST_SCATTER * diameter;
        let variance =
            (squares + PRIOR_PAIRS * 2.0 * before * before) / (2.0 * (total_whole + PRIOR_PAIRS));
        model.scatter_px = variance.sqrt().max(LEAST_SCATTER * diameter);
        model.part_share = (total - total_whole + PART_PAIRS * FIRST_PART) / (total + PART_PAIRS);
        let shapes = pairs.iter().map(shape).zip(of_whole.iter().copied());
        model.shape[0] = Normal::fit(shapes, prior_shape[0]);
        let likenesses = pairs.iter().map(|pair| (likeness(pair), pair.probability));
        model.likeness[0] = Normal::fit(likenesses, prior_likeness[0]);
        // One pair that is thought to be there and one that is not keep the share away from 0 and 1.
        model.shared_share = (total + 1.0) / (smaller + 2.0);
        model.shared_share = model.shared_share.clamp(0.01, 0.99);
    }
    (pairs, model)
}

/// The probability of each pair, given its odds against both cells being alone, where each cell has one partner at most: loopy
/// belief propagation, which converges and is close to the sum over all pairings (Williams and Lau 2014).
fn marginals(pairs: &[Pair], weights: &[f64]) -> Vec<f64> {
    let by = |key: fn(&Pair) -> usize| {
        let mut lists: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (k, pair) in pairs.iter().enumerate() {
            lists.entry(key(pair)).or_default().push(k);
        }
        lists
    };
    let (rows, columns) = (by(|pair| pair.first), by(|pair| pair.second));
    let mut to_first = vec![1.0f64; pairs.len()];
    let mut to_second = vec![0.0f64; pairs.len()];
    for _ in 0..200 {
        for list in rows.values() {
            let sum: f64 = list.iter().map(|&k| weights[k] * to_first[k]).sum();
            for &k in list {
                to_second[k] = weights[k] / (1.0 + (sum - weights[k] * to_first[k]).max(0.0));
            }
        }
        let mut change = 0.0f64;
        for list in columns.values() {
            let sum: f64 = list.iter().map(|&k| to_second[k]).sum();
            for &k in list {
                let message = 1.0 / (1.0 + (sum - to_second[k]).max(0.0));
                change = change.max((message - to_first[k]).abs());
                to_first[k] = message;
            }
        }
        if change < 1e-9 {
            break;
        }
    }
    let mut probabilities = vec![0.0; pairs.len()];
    for list in rows.values() {
        let sum: f64 = list.iter().map(|&k| weights[k] * to_first[k]).sum();
        for &k in list {
            probabilities[k] = weights[k] * to_first[k] / (1.0 + sum);
        }
    }
    probabilities
}

/// The one-to-one pairing with the largest sum of probabilities, of pairs of [`LEAST_PROBABILITY`] or more; ascending.
pub fn choose(pairs: &[Pair]) -> Vec<Pair> {
    let likely: Vec<&Pair> = pairs
        .iter()
        .filter(|pair| pair.probability >= LEAST_PROBABILITY)
        .collect();
    // Groups of cells that have nothing to do with each other are assigned apart: most are single pairs.
    let mut groups: Vec<Vec<&Pair>> = Vec::new();
    for pair in likely {
        let touches = |group: &Vec<&Pair>| {
            group
                .iter()
                .any(|other| other.first == pair.first || other.second == pair.second)
        };
        let (mut joined, apart): (Vec<_>, Vec<_>) = groups.into_iter().partition(touches);
        groups = apart;
        joined.push(vec![pair]);
        groups.push(joined.concat());
    }
    let mut chosen = Vec::new();
    for group in groups {
        let number = |key: fn(&Pair) -> usize| {
            let mut all: Vec<usize> = group.iter().map(|pair| key(pair)).collect();
            all.sort_unstable();
            all.dedup();
            all
        };
        let (rows, columns) = (number(|pair| pair.first), number(|pair| pair.second));
        let of = |row: usize, column: usize| {
            group
                .iter()
                .find(|pair| pair.first == rows[row] && pair.second == columns[column])
        };
        let cost = |row, column| -of(row, column).map_or(0.0, |pair| pair.probability);
        let assigned = assign(rows.len(), columns.len(), cost);
        chosen.extend(
            assigned
                .into_iter()
                .filter_map(|(r, c)| of(r, c))
                .map(|pair| **pair),
        );
    }
    chosen.sort_by_key(|pair| (pair.first, pair.second));
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(first: usize, second: usize, probability: f64) -> Pair {
        Pair {
            first,
            second,
            iou: 0.0,
            distance_px: 0.0,
            shape_iou: 0.0,
            likeness: 0.0,
            probability,
        }
    }

    /// Probabilities by going through all pairings.
    fn by_trying_all(pairs: &[Pair], weights: &[f64]) -> Vec<f64> {
        let (mut sums, mut total) = (vec![0.0; pairs.len()], 0.0);
        for choice in 0..1u32 << pairs.len() {
            let chosen: Vec<usize> = (0..pairs.len()).filter(|k| choice >> k & 1 == 1).collect();
            let clash = chosen.iter().any(|&a| {
                chosen.iter().any(|&b| {
                    a < b
                        && (pairs[a].first == pairs[b].first || pairs[a].second == pairs[b].second)
                })
            });
            if !clash {
                let weight: f64 = chosen.iter().map(|&k| weights[k]).product();
                total += weight;
                chosen.iter().for_each(|&k| sums[k] += weight);
            }
        }
        sums.iter().map(|sum| sum / total).collect()
    }

    #[test]
    fn probabilities_are_sums_over_all_pairings() {
        // A chain, as cells in a row give: propagation is exact without loops.
        let pairs = [(0, 0), (0, 1), (1, 1), (1, 2), (5, 7)].map(|(a, b)| pair(a, b, 0.0));
        let weights = [3.0, 20.0, 1000.0, 0.1, 0.5];
        let found = marginals(&pairs, &weights);
        for (found, expected) in found.iter().zip(by_trying_all(&pairs, &weights)) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
        // The second cell of the second field belongs to another, so the first one's is the first.
        assert!(found[0] > 0.7 && found[1] < 0.1);
        // With a loop it is close.
        let pairs = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(a, b)| pair(a, b, 0.0));
        let weights = [50.0, 2.0, 1.0, 40.0];
        let found = marginals(&pairs, &weights);
        for (found, expected) in found.iter().zip(by_trying_all(&pairs, &weights)) {
            assert!((found - expected).abs() < 0.02, "{found} {expected}");
        }
    }

    #[test]
    fn each_cell_is_in_one_pair_at_most_and_doubtful_ones_in_none() {
        let pairs = [
            pair(0, 0, 0.6),
            pair(0, 1, 0.55),
            pair(1, 0, 0.5),
            pair(2, 2, 0.49),
            pair(3, 3, 0.9),
        ];
        let chosen: Vec<(usize, usize)> = choose(&pairs)
            .iter()
            .map(|pair| (pair.first, pair.second))
            .collect();
        // 0.55 and 0.5 together are more than 0.6 alone.
        assert_eq!(chosen, [(0, 1), (1, 0), (3, 3)]);
        assert!(choose(&[]).is_empty());
    }

    #[test]
    fn what_is_more_alike_than_the_same_cell_speaks_no_less_for_it() {
        let same = Normal {
            mean: 2.0,
            deviation: 0.5,
        };
        let other = Normal {
            mean: 1.0,
            deviation: 1.0,
        };
        let at = |value| evidence(&[same, other], value);
        assert!(at(2.0) > 0.0 && at(0.0) < 0.0);
        assert_eq!(at(4.0), at(2.0));
        assert!(at(-50.0) >= -MOST_EVIDENCE);
    }
}
