//! An alignment made exact on the images themselves: Gauss–Newton on the squared difference of the landmark images (Lucas and Kanade
//! 1981), over all affine maps.

use serde::Serialize;

use super::{
    affine::Affine,
    landmarks::{Landmarks, sample},
};
use crate::{imaging::morphology::ImageSize, linalg::solve_spd};

const MOST_STEPS: usize = 40;
/// A step that moves no place by more ends the search, px.
const SMALLEST_STEP_PX: f64 = 0.01;
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

/// The affine map near `start` under which the images differ least; `None` when the search leaves the field.
pub fn refine(first: &Landmarks, second: &Landmarks, start: Affine) -> Option<Affine> {
    let gradients = second
        .images
        .each_ref()
        .map(|image| gradient(image, second.size));
    let ImageSize { height, width } = first.size;
    let centre = [height, width].map(|n| (n as f64 - 1.0) / 2.0);
    let half = height.max(width) as f64 / 2.0;
    let mut affine = start;
    for _ in 0..MOST_STEPS {
        let (mut normal, mut right) = ([0.0f64; 36], [0.0f64; 6]);
        let mut n = 0usize;
        for at in 0..height * width {
            let here = place(at, first.size);
            let there = affine.apply(here);
            let basis = [
                1.0,
                (here[0] - centre[0]) / half,
                (here[1] - centre[1]) / half,
            ];
            for k in 0..2 {
                let Some(b) = sample(&second.images[k], second.size, there) else {
                    break;
                };
                n += 1;
                let difference = f64::from(first.images[k][at] - b);
                let slope = gradients[k]
                    .each_ref()
                    .map(|g| f64::from(sample(g, second.size, there).unwrap_or(0.0)));
                let mut row = [0.0; 6];
                for axis in 0..2 {
                    for (j, basis) in basis.iter().enumerate() {
                        row[3 * axis + j] = slope[axis] * basis;
                    }
                }
                for i in 0..6 {
                    right[i] += row[i] * difference;
                    for j in 0..=i {
                        normal[6 * i + j] += row[i] * row[j];
                    }
                }
            }
        }
        if (n as f64) < LEAST_OVERLAP * 2.0 * (height * width) as f64 {
            return None;
        }
        for i in 0..6 {
            for j in 0..i {
                normal[6 * j + i] = normal[6 * i + j];
            }
        }
        let trace: f64 = (0..6).map(|i| normal[7 * i]).sum();
        for i in 0..6 {
            normal[7 * i] += 1e-6 * trace + f64::MIN_POSITIVE;
        }
        let step = solve_spd(&normal, 6, &right, 1)?;
        for axis in 0..2 {
            let [shift, by_y, by_x] = [step[3 * axis], step[3 * axis + 1], step[3 * axis + 2]];
            let row = &mut affine.0[axis];
            row[0] += by_y / half;
            row[1] += by_x / half;
            row[2] += shift - (by_y * centre[0] + by_x * centre[1]) / half;
        }
        if step.iter().all(|part| part.abs() < SMALLEST_STEP_PX) {
            break;
        }
    }
    affine
        .0
        .iter()
        .flatten()
        .all(|v| v.is_finite())
        .then_some(affine)
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
