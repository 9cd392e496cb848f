//! An alignment made exact on the images themselves: Gauss–Newton on the squared difference of the landmark images (Lucas and Kanade
//! 1981), over all polynomials of an order.

use rayon::prelude::*;
use serde::Serialize;

use super::{
    field_map::{FieldMap, n_terms},
    landmarks::{Landmarks, sample},
};
use crate::{imaging::morphology::ImageSize, linalg::solve_spd};

const MOST_STEPS: usize = 40;
/// A step that moves no place by more ends the search, px.
const SMALLEST_STEP_PX: f64 = 0.01;
/// Added to the diagonal, relative to its sum: terms of which the images say nothing stay as they are.
const STIFFNESS: f64 = 1e-6;
/// Least share of the first field that must be seen in the second.
const LEAST_OVERLAP: f64 = 0.1;

/// How well two fields agree under a map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Agreement {
    /// Correlation of the landmark images where both fields are, −1 to 1.
    pub correlation: f64,
    /// Share of the first field that the second one shows.
    pub overlap: f64,
}

impl Agreement {
    /// Correlation in units of what chance gives in an overlap of this size, up to a factor.
    pub fn weight(&self) -> f64 {
        self.correlation * self.overlap.sqrt()
    }

    /// Share of the variance that the one field does not explain of the other.
    pub fn unexplained(&self) -> f64 {
        (1.0 - self.correlation * self.correlation).max(1e-9)
    }
}

/// Agreement under any map of places.
pub fn agreement(
    first: &Landmarks,
    second: &Landmarks,
    map: impl Fn([f64; 2]) -> [f64; 2],
) -> Agreement {
    let (mut product, mut own, mut other) = (0.0f64, 0.0f64, 0.0f64);
    let mut n = 0usize;
    for at in 0..first.size.height * first.size.width {
        let there = map(place(at, first.size));
        for (image, second_image) in first.images.iter().zip(&second.images) {
            let Some(b) = sample(second_image, second.size, there) else {
                break;
            };
            let (a, b) = (f64::from(image[at]), f64::from(b));
            product += a * b;
            own += a * a;
            other += b * b;
            n += 1;
        }
    }
    let energy = (own * other).sqrt();
    Agreement {
        correlation: if energy > 0.0 { product / energy } else { 0.0 },
        overlap: n as f64 / (first.images.len() * first.images[0].len()).max(1) as f64,
    }
}

/// The polynomial of an order, near `start`, under which the images differ least; `None` when the search leaves the field.
pub fn refine(
    first: &Landmarks,
    second: &Landmarks,
    start: &FieldMap,
    order: usize,
) -> Option<FieldMap> {
    let gradients = second
        .images
        .each_ref()
        .map(|image| gradient(image, second.size));
    let n_pixels = first.size.height * first.size.width;
    let n = n_terms(order);
    let mut map = start.clone();
    for _ in 0..MOST_STEPS {
        // Rows are added up in parallel, then in their order, so that the sum does not depend on the number of threads.
        let sums: Vec<Sums> = (0..first.size.height)
            .into_par_iter()
            .map(|y| {
                let mut sums = Sums::new(n);
                let mut terms = Vec::with_capacity(n);
                for x in 0..first.size.width {
                    let here = [y as f64, x as f64];
                    let at = y * first.size.width + x;
                    let there = map.apply(here);
                    // Squares and products of the slopes, and what they say of the difference.
                    let (mut squares, mut pull) = ([0.0f64; 3], [0.0f64; 2]);
                    let mut seen = false;
                    for k in 0..2 {
                        let Some(b) = sample(&second.images[k], second.size, there) else {
                            break;
                        };
                        seen = true;
                        let difference = f64::from(first.images[k][at] - b);
                        let [down, right] = gradients[k]
                            .each_ref()
                            .map(|g| f64::from(sample(g, second.size, there).unwrap_or(0.0)));
                        squares[0] += down * down;
                        squares[1] += down * right;
                        squares[2] += right * right;
                        pull[0] += down * difference;
                        pull[1] += right * difference;
                    }
                    if seen {
                        map.terms(here, order, &mut terms);
                        sums.add(&terms, squares, pull);
                    }
                }
                sums
            })
            .collect();
        let mut total = Sums::new(n);
        for sums in &sums {
            total.join(sums);
        }
        if (total.n_pixels as f64) < LEAST_OVERLAP * n_pixels as f64 {
            return None;
        }
        let step = total.solve()?;
        let size = step.iter().flatten().map(|part| part.abs()).sum::<f64>();
        map = map.plus(&step, order);
        if !size.is_finite() {
            return None;
        }
        if size < SMALLEST_STEP_PX {
            break;
        }
    }
    Some(map)
}

/// The normal equations of a step: blocks of the matrix for y with y, y with x and x with x, lower triangles.
struct Sums {
    n: usize,
    n_pixels: usize,
    blocks: [Vec<f64>; 3],
    right: [Vec<f64>; 2],
}

impl Sums {
    fn new(n: usize) -> Self {
        let triangle = n * (n + 1) / 2;
        Self {
            n,
            n_pixels: 0,
            blocks: [0; 3].map(|_| vec![0.0; triangle]),
            right: [0; 2].map(|_| vec![0.0; n]),
        }
    }

    fn add(&mut self, terms: &[f64], squares: [f64; 3], pull: [f64; 2]) {
        self.n_pixels += 1;
        for (right, pull) in self.right.iter_mut().zip(pull) {
            for (sum, term) in right.iter_mut().zip(terms) {
                *sum += pull * term;
            }
        }
        let mut at = 0;
        for (i, a) in terms.iter().enumerate() {
            for b in &terms[..=i] {
                let product = a * b;
                for (block, square) in self.blocks.iter_mut().zip(squares) {
                    block[at] += square * product;
                }
                at += 1;
            }
        }
    }

    fn join(&mut self, other: &Self) {
        self.n_pixels += other.n_pixels;
        let pairs = self.blocks.iter_mut().zip(&other.blocks);
        for (own, other) in pairs.chain(self.right.iter_mut().zip(&other.right)) {
            for (own, other) in own.iter_mut().zip(other) {
                *own += other;
            }
        }
    }

    /// The step of each coefficient, for y and for x.
    fn solve(&self) -> Option<[Vec<f64>; 2]> {
        let n = self.n;
        let mut matrix = vec![0.0; 4 * n * n];
        for i in 0..n {
            for j in 0..n {
                let at = i.max(j) * (i.max(j) + 1) / 2 + i.min(j);
                let [yy, yx, xx] = self.blocks.each_ref().map(|block| block[at]);
                matrix[2 * n * i + j] = yy;
                matrix[2 * n * i + n + j] = yx;
                matrix[2 * n * (n + i) + j] = yx;
                matrix[2 * n * (n + i) + n + j] = xx;
            }
        }
        let trace: f64 = (0..2 * n).map(|i| matrix[(2 * n + 1) * i]).sum();
        for i in 0..2 * n {
            matrix[(2 * n + 1) * i] += STIFFNESS * trace + f64::MIN_POSITIVE;
        }
        let step = solve_spd(&matrix, 2 * n, &self.right.concat(), 1)?;
        Some([step[..n].to_vec(), step[n..].to_vec()])
    }
}

/// Row and column of a pixel.
pub fn place(at: usize, size: ImageSize) -> [f64; 2] {
    [(at / size.width) as f64, (at % size.width) as f64]
}

/// Slopes down and to the right, by central differences.
fn gradient(image: &[f32], size: ImageSize) -> [Vec<f32>; 2] {
    let ImageSize { height, width } = size;
    let slope = |along_rows: bool| {
        (0..height * width)
            .map(|at| {
                let (y, x) = (at / width, at % width);
                let (before, after) = if along_rows {
                    let x = [x.saturating_sub(1), (x + 1).min(width - 1)];
                    (y * width + x[0], y * width + x[1])
                } else {
                    let y = [y.saturating_sub(1), (y + 1).min(height - 1)];
                    (y[0] * width + x, y[1] * width + x)
                };
                0.5 * (image[after] - image[before])
            })
            .collect()
    };
    [slope(false), slope(true)]
}

#[cfg(test)]
mod tests {
    use super::super::{Affine, field_map::distance, scene::Scene};
    use super::*;

    const SIZE: ImageSize = ImageSize {
        height: 96,
        width: 110,
    };

    /// Largest error of a map at places all over the field.
    fn worst(map: &FieldMap, truth: impl Fn([f64; 2]) -> [f64; 2]) -> f64 {
        let places = (0..25).map(|k| [10 + k / 5 * 19, 10 + k % 5 * 22].map(|p| p as f64));
        places
            .map(|place| distance(map.apply(place), truth(place)))
            .fold(0.0, f64::max)
    }

    #[test]
    fn a_rough_alignment_becomes_exact() {
        let scene = Scene::new(2, 110.0, 40);
        let truth = Affine([[1.01, 0.03, -4.0], [-0.02, 0.99, 3.0]]);
        let [[a, b, c], [d, e, f]] = truth.0;
        let n = truth.determinant();
        let inverse = |[y, x]: [f64; 2]| {
            let (y, x) = (y - c, x - f);
            [(e * y - b * x) / n, (a * x - d * y) / n]
        };
        let first = scene.seen(SIZE, |place| place, |_| true);
        let second = scene.seen(SIZE, inverse, |_| true);
        let [a, b] = [&first, &second].map(|seen| Landmarks::new(&seen.field(), 10.0));
        let start = FieldMap::new(
            Affine::turn(0.03, [48.0, 55.0], [-2.5, 1.0]),
            [SIZE.height, SIZE.width],
        );
        let map = refine(&a, &b, &start, 1).unwrap();
        assert!(worst(&map, |p| truth.apply(p)) < 0.1);
        let good = agreement(&a, &b, |place| map.apply(place));
        let rough = agreement(&a, &b, |place| start.apply(place));
        assert!(
            good.correlation > 0.99 && rough.correlation < 0.98,
            "{good:?} {rough:?}"
        );
        assert!((0.85..1.0).contains(&good.overlap), "{}", good.overlap);
    }

    #[test]
    fn a_bent_field_needs_more_terms() {
        let scene = Scene::new(3, 110.0, 40);
        // The second frame's place of a scene's place; it is inverted step by step.
        let bend = |[y, x]: [f64; 2]| {
            let (u, v) = ((y - 47.5) / 55.0, (x - 54.5) / 55.0);
            [2.0 + 2.0 * u * v, 1.0 - 2.5 * v * v]
        };
        let truth = |place: [f64; 2]| {
            let [dy, dx] = bend(place);
            [place[0] + dy, place[1] + dx]
        };
        let inverse = |there: [f64; 2]| {
            (0..50).fold(there, |place, _| {
                let [dy, dx] = bend(place);
                [there[0] - dy, there[1] - dx]
            })
        };
        let first = scene.seen(SIZE, |place| place, |_| true);
        let second = scene.seen(SIZE, inverse, |_| true);
        let [a, b] = [&first, &second].map(|seen| Landmarks::new(&seen.field(), 10.0));
        let start = FieldMap::new(Affine::IDENTITY, [SIZE.height, SIZE.width]);
        let straight = refine(&a, &b, &start, 1).unwrap();
        let bent = refine(&a, &b, &straight, 3).unwrap();
        assert!(worst(&straight, truth) > 1.0);
        assert!(worst(&bent, truth) < 0.15, "{}", worst(&bent, truth));
    }
}
