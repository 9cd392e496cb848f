//! Where places of the first field lie in the second: a polynomial of the place, affine or a little bent.
//!
//! The images give it first ([`super::refinement`]); centres of cells that are the same in both correct it. How many terms the pairs
//! can bear is not set but measured: each pair is predicted from the others (its leave-one-out residual, which least squares gives
//! without fitting again), and the lowest order whose predictions are about as good as the best is taken. With few pairs that is no
//! correction at all.

use serde::Serialize;

use super::affine::Affine;
use crate::linalg::inverse_spd;

/// Highest order of the correction.
const MOST_ORDER: usize = 3;
/// Pairs that each term of the polynomial needs.
const PAIRS_PER_TERM: f64 = 3.0;
/// A higher order must make the predictions this much better.
const WORTH: f64 = 0.95;
/// Rounds of weighting down pairs that fit badly, and the residual, in robust deviations, from which a pair weighs nothing (Tukey).
const ROUNDS: usize = 8;
const TUKEY: f64 = 4.685;

/// A map from places of the first field to places of the second, (y, x), px.
///
/// With u = (y − centre y) / unit and v = (x − centre x) / unit, the terms are 1, u, v, u², u v, v², u³, …
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldMap {
    /// Where u and v are 0: the middle of the first field.
    centre: [f64; 2],
    /// How many px make 1: half of the first field's longer side.
    unit_px: f64,
    /// Highest power; at least 1.
    order: usize,
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

/// Terms of a polynomial in two variables.
pub fn n_terms(order: usize) -> usize {
    (order + 1) * (order + 2) / 2
}

impl FieldMap {
    /// An affine map, of a first field of this height and width.
    pub fn new(affine: Affine, size: [usize; 2]) -> Self {
        let centre = size.map(|n| (n as f64 - 1.0) / 2.0);
        let unit_px = size[0].max(size[1]) as f64 / 2.0;
        let there = affine.apply(centre);
        let coefficients = [0, 1].map(|axis| {
            vec![
                there[axis],
                affine.0[axis][0] * unit_px,
                affine.0[axis][1] * unit_px,
            ]
        });
        Self {
            centre,
            unit_px,
            order: 1,
            coefficients,
        }
    }

    /// Highest power; 1 of an affine map.
    pub fn order(&self) -> usize {
        self.order
    }

    /// The values of the terms up to an order at a place.
    pub fn terms(&self, place: [f64; 2], order: usize, terms: &mut Vec<f64>) {
        let [u, v] = [0, 1].map(|axis| (place[axis] - self.centre[axis]) / self.unit_px);
        terms.clear();
        terms.push(1.0);
        let mut first = 0;
        for total in 1..=order {
            // Those of the order before times u, and its last one times v.
            for k in first..first + total {
                terms.push(terms[k] * u);
            }
            terms.push(terms[first + total - 1] * v);
            first += total;
        }
    }

    /// The same map with coefficients added to its terms and, where there are more, to terms that it had not.
    #[must_use]
    pub fn plus(&self, more: &[Vec<f64>; 2], order: usize) -> Self {
        let mut sum = self.clone();
        sum.order = self.order.max(order);
        for (own, more) in sum.coefficients.iter_mut().zip(more) {
            own.resize(n_terms(sum.order), 0.0);
            for (own, more) in own.iter_mut().zip(more) {
                *own += more;
            }
        }
        sum
    }

    /// Where a place of the first field lies in the second.
    pub fn apply(&self, place: [f64; 2]) -> [f64; 2] {
        if self.order == 1 {
            let [u, v] = [0, 1].map(|axis| (place[axis] - self.centre[axis]) / self.unit_px);
            return self
                .coefficients
                .each_ref()
                .map(|c| c[0] + c[1] * u + c[2] * v);
        }
        let mut terms = Vec::with_capacity(n_terms(self.order));
        self.terms(place, self.order, &mut terms);
        self.coefficients
            .each_ref()
            .map(|c| terms.iter().zip(c).map(|(t, c)| t * c).sum())
    }

    /// The same map between images whose pixels are `factor` times as small (block means taken back), of a first field of this size.
    #[must_use]
    pub fn enlarged(&self, factor: usize, size: [usize; 2]) -> Self {
        let offset = (factor as f64 - 1.0) / 2.0;
        let centre = self.centre.map(|c| factor as f64 * c + offset);
        let mut enlarged = Self {
            centre,
            unit_px: self.unit_px * factor as f64,
            ..self.clone()
        };
        for coefficients in &mut enlarged.coefficients {
            coefficients.iter_mut().for_each(|c| *c *= factor as f64);
            coefficients[0] += offset;
        }
        enlarged.recentred(size)
    }

    /// The same map with its variables about the middle of a field of this size; the places that the two middles are apart are few,
    /// what is left over at the edge by block means.
    fn recentred(self, size: [usize; 2]) -> Self {
        let target = Self::new(Affine::IDENTITY, size);
        let (order, n) = (self.order, n_terms(self.order));
        // A polynomial of the same order through enough places is the same polynomial.
        let (mut normal, mut right) = (vec![0.0; n * n], [vec![0.0; n], vec![0.0; n]]);
        let steps = 2 * (order + 1);
        let mut terms = Vec::new();
        for at in 0..steps * steps {
            let part = |k: usize, n: usize| k as f64 / (steps - 1) as f64 * (n as f64 - 1.0);
            let place = [part(at / steps, size[0]), part(at % steps, size[1])];
            let there = self.apply(place);
            target.terms(place, order, &mut terms);
            for i in 0..n {
                for axis in 0..2 {
                    right[axis][i] += terms[i] * there[axis];
                }
                for j in 0..n {
                    normal[n * i + j] += terms[i] * terms[j];
                }
            }
        }
        match inverse_spd(&normal, n) {
            None => self,
            Some(inverse) => Self {
                order,
                coefficients: right.each_ref().map(|right| product(&inverse, right)),
                ..target
            },
        }
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

    /// The same map with the correction that the ties bear.
    #[must_use]
    pub fn corrected(&self, ties: &[Tie]) -> Self {
        let total: f64 = ties.iter().map(|tie| tie.weight).sum();
        let mut fits: Vec<(f64, Self)> = vec![(self.spread(ties), self.clone())];
        for order in 0..=MOST_ORDER {
            if total < PAIRS_PER_TERM * n_terms(order) as f64 {
                break;
            }
            fits.extend(self.fitted(ties, order));
        }
        let best = fits
            .iter()
            .map(|(error, _)| *error)
            .fold(f64::MAX, f64::min);
        fits.into_iter()
            .find(|(error, _)| *error * WORTH <= best)
            .map_or_else(|| self.clone(), |(_, fit)| fit)
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
            .map(|tie| {
                let mut terms = Vec::with_capacity(n);
                self.terms(tie.first, order, &mut terms);
                terms
            })
            .collect();
        let offsets: Vec<[f64; 2]> = ties
            .iter()
            .map(|tie| {
                let there = self.apply(tie.first);
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
            let more = right.each_ref().map(|right| product(&inverse, right));
            let map = self.plus(&more, order);
            let predicted: Vec<f64> = terms
                .iter()
                .zip(ties)
                .zip(&weights)
                .map(|((terms, tie), weight)| {
                    let leverage: f64 = weight
                        * product(&inverse, terms)
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

/// A square matrix times a vector.
fn product(matrix: &[f64], vector: &[f64]) -> Vec<f64> {
    matrix
        .chunks_exact(vector.len())
        .map(|row| row.iter().zip(vector).map(|(a, b)| a * b).sum())
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sorting::clustering::random::Random;

    const SIZE: [usize; 2] = [200, 260];

    fn bent() -> FieldMap {
        let affine = Affine::turn(0.05, [100.0, 130.0], [7.0, -3.0]);
        let more = [
            vec![0.0, 0.0, 0.0, 2.0, -1.5, 1.0],
            vec![0.0, 0.0, 0.0, 0.0, 2.0, -2.0],
        ];
        FieldMap::new(affine, SIZE).plus(&more, 2)
    }

    /// Ties of a map at random places, with centres that scatter by `scatter` px to each side.
    fn ties(map: &FieldMap, n: usize, scatter: f64) -> Vec<Tie> {
        let mut random = Random(8);
        (0..n)
            .map(|_| {
                let first = SIZE.map(|n| n as f64 * random.uniform());
                let there = map.apply(first);
                let second = there.map(|at| at + scatter * (2.0 * random.uniform() - 1.0));
                Tie {
                    first,
                    second,
                    weight: 1.0,
                }
            })
            .collect()
    }

    fn worst(a: &FieldMap, b: &FieldMap) -> f64 {
        let places = (0..25).map(|k| [k / 5 * 45 + 10, k % 5 * 55 + 15].map(|p| p as f64));
        places
            .map(|place| distance(a.apply(place), b.apply(place)))
            .fold(0.0, f64::max)
    }

    #[test]
    fn terms_are_all_products_of_powers() {
        let map = FieldMap::new(Affine::IDENTITY, SIZE);
        let (u, v) = (0.5, -0.25);
        let place = [99.5 + 130.0 * u, 129.5 + 130.0 * v];
        let mut terms = Vec::new();
        map.terms(place, 3, &mut terms);
        let expected = [
            1.0,
            u,
            v,
            u * u,
            u * v,
            v * v,
            u * u * u,
            u * u * v,
            u * v * v,
            v * v * v,
        ];
        assert_eq!(terms.len(), n_terms(3));
        for (term, expected) in terms.iter().zip(expected) {
            assert!((term - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn a_map_goes_back_and_keeps_its_places_on_other_pixels() {
        let map = bent();
        for place in [[0.0, 0.0], [199.0, 20.0], [90.0, 259.0]] {
            assert!(distance(map.inverse(map.apply(place)), place) < 1e-4);
        }
        // Reduced pixel (a, b) has its middle at full pixel (3 a + 1, 3 b + 1); two columns were left over.
        let full = map.enlarged(3, [600, 782]);
        let there = full.apply([3.0 * 50.0 + 1.0, 3.0 * 70.0 + 1.0]);
        let expected = map.apply([50.0, 70.0]).map(|at| 3.0 * at + 1.0);
        assert!(distance(there, expected) < 1e-6);
        let affine = map.affine_at([50.0, 70.0]);
        assert!(distance(affine.apply([51.0, 69.0]), map.apply([51.0, 69.0])) < 0.001);
    }

    #[test]
    fn ties_correct_as_many_terms_as_they_determine() {
        let truth = bent();
        let start = FieldMap::new(Affine::turn(0.05, [100.0, 130.0], [6.0, -2.5]), SIZE);
        let found = start.corrected(&ties(&truth, 80, 0.6));
        assert!(found.order() >= 2);
        assert!(worst(&found, &truth) < 0.5, "{}", worst(&found, &truth));
        // Two pairs say nothing of a bend; of a shift they would, but not surely.
        assert_eq!(start.corrected(&ties(&truth, 2, 0.6)), start);
        assert_eq!(start.corrected(&[]), start);
    }

    #[test]
    fn a_map_that_is_right_is_left_as_it_is() {
        let truth = bent();
        let found = truth.corrected(&ties(&truth, 60, 0.6));
        // 60 centres that scatter by 0.35 px (deviation) in each direction.
        assert!(worst(&found, &truth) < 0.35, "{}", worst(&found, &truth));
    }

    #[test]
    fn wrong_ties_do_not_pull() {
        let truth = bent();
        let mut ties = ties(&truth, 60, 0.4);
        for tie in ties.iter_mut().step_by(8) {
            tie.second[0] += 9.0;
        }
        let start = FieldMap::new(Affine::turn(0.05, [100.0, 130.0], [6.0, -2.5]), SIZE);
        let found = start.corrected(&ties);
        assert!(worst(&found, &truth) < 0.5, "{}", worst(&found, &truth));
    }
}
