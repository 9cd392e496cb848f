//! Where places of the first field lie in the second: an affine map from the images, and a smooth correction from the centres of
//! cells that are the same in both.
//!
//! The correction is a polynomial of the place. How many terms the pairs can bear is not set but measured: each pair is predicted from
//! the others (its leave-one-out residual, which least squares gives without fitting again), and the lowest order whose
//! predictions are about as good as the best is taken. With few pairs that is none at all.

use serde::Serialize;

use super::affine::Affine;
use crate::linalg::inverse_spd;

/// Highest order of the polynomial.
const MOST_ORDER: usize = 3;
/// Pairs that each term of the polynomial needs.
const PAIRS_PER_TERM: f64 = 3.0;
/// A higher order must make the predictions this much better.
const WORTH: f64 = 0.97;
/// Rounds of weighting down pairs that fit badly, and the residual, in robust deviations, from which a pair weighs nothing (Tukey).
const ROUNDS: usize = 8;
const TUKEY: f64 = 4.685;

/// A map from places of the first field to places of the second, (y, x), px.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldMap {
    /// The affine part that the images gave.
    affine: Affine,
    /// Where the polynomial's variables are 0, and how many px make 1.
    centre: [f64; 2],
    unit_px: f64,
    /// Order of the correction; `None` without one.
    order: Option<usize>,
    /// Coefficients of the terms for y and for x.
    coefficients: [Vec<f64>; 2],
}

/// Two places that are the same, and how sure that is.
#[derive(Clone, Copy, Debug)]
pub struct Tie {
    /// In the first field.
    pub first: [f64; 2],
    /// In the second.
    pub second: [f64; 2],
    /// 0 to 1.
    pub weight: f64,
}

fn n_terms(order: usize) -> usize {
    (order + 1) * (order + 2) / 2
}

impl FieldMap {
    /// The affine map alone, of a first field of this height and width.
    pub fn new(affine: Affine, size: [usize; 2]) -> Self {
        Self {
            affine,
            centre: size.map(|n| (n as f64 - 1.0) / 2.0),
            unit_px: size[0].max(size[1]) as f64 / 2.0,
            order: None,
            coefficients: [Vec::new(), Vec::new()],
        }
    }

    /// Order of the correction; `None` without one.
    pub fn order(&self) -> Option<usize> {
        self.order
    }

    fn terms(&self, place: [f64; 2], order: usize) -> Vec<f64> {
        let [u, v] = [0, 1].map(|axis| (place[axis] - self.centre[axis]) / self.unit_px);
        let mut terms = Vec::with_capacity(n_terms(order));
        for total in 0..=order {
            for power in 0..=total {
                terms.push(u.powi((total - power) as i32) * v.powi(power as i32));
            }
        }
        terms
    }

    /// Where a place of the first field lies in the second.
    pub fn apply(&self, place: [f64; 2]) -> [f64; 2] {
        let mut there = self.affine.apply(place);
        if let Some(order) = self.order {
            let terms = self.terms(place, order);
            for (axis, coefficients) in self.coefficients.iter().enumerate() {
                there[axis] += terms
                    .iter()
                    .zip(coefficients)
                    .map(|(t, c)| t * c)
                    .sum::<f64>();
            }
        }
        there
    }

    /// The affine map that is nearest to this one around a place.
    pub fn affine_at(&self, place: [f64; 2]) -> Affine {
        let step = 0.5;
        let [up, down, left, right] = [[-step, 0.0], [step, 0.0], [0.0, -step], [0.0, step]]
            .map(|[dy, dx]| self.apply([place[0] + dy, place[1] + dx]));
        let here = self.apply(place);
        Affine([0, 1].map(|axis| {
            let (by_y, by_x) = (down[axis] - up[axis], right[axis] - left[axis]);
            [by_y, by_x, here[axis] - by_y * place[0] - by_x * place[1]]
        }))
    }

    /// The affine map around the middle of the first field.
    pub fn linearised(&self) -> Affine {
        self.affine_at(self.centre)
    }

    /// Where a place of the second field lies in the first, by Newton's method.
    pub fn inverse(&self, there: [f64; 2]) -> [f64; 2] {
        let mut place = self.centre;
        for _ in 0..6 {
            let affine = self.affine_at(place);
            let [[a, b, _], [c, d, _]] = affine.0;
            let determinant = affine.determinant();
            if determinant.abs() < 1e-6 {
                break;
            }
            let found = affine.apply(place);
            let [y, x] = [there[0] - found[0], there[1] - found[1]];
            let step = [(d * y - b * x) / determinant, (a * x - c * y) / determinant];
            place = [place[0] + step[0], place[1] + step[1]];
            if step[0].abs().max(step[1].abs()) < 1e-6 {
                break;
            }
        }
        place
    }

    /// The same affine map with the correction that the ties bear.
    pub fn corrected(&self, ties: &[Tie]) -> Self {
        let mut plain = Self {
            order: None,
            coefficients: [Vec::new(), Vec::new()],
            ..self.clone()
        };
        let total: f64 = ties.iter().map(|tie| tie.weight).sum();
        let mut fits: Vec<(f64, Self)> = vec![(plain.spread(ties), plain.clone())];
        for order in 0..=MOST_ORDER {
            if total < PAIRS_PER_TERM * n_terms(order) as f64 {
                break;
            }
            if let Some(fit) = plain.fitted(ties, order) {
                fits.push(fit);
            }
        }
        let best = fits
            .iter()
            .map(|(error, _)| *error)
            .fold(f64::MAX, f64::min);
        let chosen = fits.into_iter().find(|(error, _)| *error * WORTH <= best);
        if let Some((_, fit)) = chosen {
            plain = fit;
        }
        plain
    }

    /// Typical distance of the ties' ends under this map, px.
    fn spread(&self, ties: &[Tie]) -> f64 {
        let residuals: Vec<f64> = ties
            .iter()
            .map(|tie| distance(self.apply(tie.first), tie.second))
            .collect();
        typical(&residuals, ties)
    }

    /// The correction of one order, with the typical error of its predictions; `None` where the ties do not determine it.
    fn fitted(&self, ties: &[Tie], order: usize) -> Option<(f64, Self)> {
        let n = n_terms(order);
        let terms: Vec<Vec<f64>> = ties
            .iter()
            .map(|tie| self.terms(tie.first, order))
            .collect();
        let offsets: Vec<[f64; 2]> = ties
            .iter()
            .map(|tie| {
                let there = self.affine.apply(tie.first);
                [tie.second[0] - there[0], tie.second[1] - there[1]]
            })
            .collect();
        let mut weights: Vec<f64> = ties.iter().map(|tie| tie.weight).collect();
        let mut result = None;
        for _ in 0..ROUNDS {
            let mut normal = vec![0.0; n * n];
            let mut right = [vec![0.0; n], vec![0.0; n]];
            for ((terms, offset), weight) in terms.iter().zip(&offsets).zip(&weights) {
                for i in 0..n {
                    for axis in 0..2 {
                        right[axis][i] += weight * terms[i] * offset[axis];
                    }
                    for j in 0..n {
                        normal[n * i + j] += weight * terms[i] * terms[j];
                    }
                }
            }
            // A little stiffness: corners of the field in which no cell lies are not flung away.
            for i in 0..n {
                normal[n * i + i] += 1e-3;
            }
            let inverse = inverse_spd(&normal, n)?;
            let times = |v: &[f64]| -> Vec<f64> {
                inverse
                    .chunks_exact(n)
                    .map(|row| row.iter().zip(v).map(|(a, b)| a * b).sum())
                    .collect()
            };
            let coefficients = right.each_ref().map(|right| times(right));
            let map = Self {
                order: Some(order),
                coefficients,
                ..self.clone()
            };
            let predicted: Vec<f64> = terms
                .iter()
                .zip(ties)
                .zip(&weights)
                .map(|((terms, tie), weight)| {
                    let leverage: f64 = weight
                        * times(terms)
                            .iter()
                            .zip(terms)
                            .map(|(a, b)| a * b)
                            .sum::<f64>();
                    distance(map.apply(tie.first), tie.second) / (1.0 - leverage).max(0.05)
                })
                .collect();
            let scale = typical(&predicted, ties).max(1e-3);
            for ((weight, tie), residual) in weights.iter_mut().zip(ties).zip(&predicted) {
                // The median of the length of a vector of two normal parts is 1.18 of their deviation.
                let ratio = residual / (TUKEY * scale / 1.18);
                *weight = tie.weight * (1.0 - ratio * ratio).max(0.0).powi(2);
            }
            result = Some((scale, map));
        }
        result
    }
}

/// Distance of two places.
pub fn distance(a: [f64; 2], b: [f64; 2]) -> f64 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

/// Weighted median.
fn typical(values: &[f64], ties: &[Tie]) -> f64 {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let half = ties.iter().map(|tie| tie.weight).sum::<f64>() / 2.0;
    let mut sum = 0.0;
    for at in order {
        sum += ties[at].weight;
        if sum >= half {
            return values[at];
        }
    }
    0.0
}
