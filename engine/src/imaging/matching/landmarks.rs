//! What of a field can be recognised on another day: the local contrast of its mean image, and where cells were found.
//!
//! Brightness, shading and the light of single cells change from day to day; edges of vessels and cells stay. So the mean image is
//! freed of what is broader than a cell and divided by its local deviation. The second image says where cells are, whatever their
//! brightness. Both are scaled to the same variance, and every comparison of two fields is the sum over both.

use rayon::prelude::*;

use super::Field;
use crate::{
    imaging::morphology::ImageSize,
    linalg::{Edge, gaussian},
};

/// Widths (deviation) of the Gaussians in diameters of a cell: the finest detail, the background, the local deviation.
const FINE: f64 = 0.1;
const COARSE: f64 = 0.8;
const LOCAL: f64 = 2.0;
/// Share of the whole image's deviation that is added to the local one, so that empty regions are not blown up.
const LEAST_DEVIATION: f32 = 0.3;
/// Contrast is cut off at so many deviations.
const MOST_CONTRAST: f32 = 3.0;

/// Images of one field, of mean 0 and variance 1.
#[derive(Clone, Debug)]
pub struct Landmarks {
    /// Size of both.
    pub size: ImageSize,
    /// Local contrast and cells, `[y, x]`.
    pub images: [Vec<f32>; 2],
}

impl Landmarks {
    /// Of a field whose cells have about this diameter, px.
    pub fn new(field: &Field<'_>, diameter: f64) -> Self {
        let size = field.size;
        let mut contrast = between(field.mean, size, FINE * diameter, COARSE * diameter);
        let squares: Vec<f32> = contrast.iter().map(|v| v * v).collect();
        let total = (squares.iter().sum::<f32>() / squares.len().max(1) as f32).sqrt();
        let local = blurred(&squares, size, LOCAL * diameter);
        for (value, local) in contrast.iter_mut().zip(local) {
            let scale = local.max(0.0).sqrt() + LEAST_DEVIATION * total;
            let ratio = if scale > 0.0 { *value / scale } else { 0.0 };
            *value = ratio.clamp(-MOST_CONTRAST, MOST_CONTRAST);
        }
        let mut covered = vec![0.0f32; size.height * size.width];
        for &pixel in field.bodies.iter().flatten() {
            covered[pixel as usize] = 1.0;
        }
        let mut cells = between(&covered, size, FINE * diameter, LOCAL * diameter);
        standardise(&mut contrast);
        standardise(&mut cells);
        Self {
            size,
            images: [contrast, cells],
        }
    }

    /// Means of blocks of `factor` × `factor` pixels; what is left over at the right and lower edge is dropped.
    pub fn reduced(&self, factor: usize) -> Self {
        if factor == 1 {
            return self.clone();
        }
        let size = ImageSize {
            height: (self.size.height / factor).max(1),
            width: (self.size.width / factor).max(1),
        };
        let images = self.images.each_ref().map(|image| {
            let mut out: Vec<f32> = (0..size.height * size.width)
                .map(|at| {
                    let (top, left) = (at / size.width * factor, at % size.width * factor);
                    let rows = top..(top + factor).min(self.size.height);
                    rows.flat_map(|y| {
                        let end = (left + factor).min(self.size.width);
                        &image[y * self.size.width + left..y * self.size.width + end]
                    })
                    .sum()
                })
                .collect();
            standardise(&mut out);
            out
        });
        Self { size, images }
    }

    /// Upside down, or with left and right exchanged: as much like a field of the kind as the true one, but another.
    pub fn mirrored(&self, upside_down: bool) -> Self {
        let ImageSize { height, width } = self.size;
        let images = self.images.each_ref().map(|image| {
            (0..height * width)
                .map(|at| {
                    let (y, x) = (at / width, at % width);
                    if upside_down {
                        image[(height - 1 - y) * width + x]
                    } else {
                        image[y * width + width - 1 - x]
                    }
                })
                .collect()
        });
        Self {
            size: self.size,
            images,
        }
    }
}

/// An image less what is broader than `coarse`, without what is finer than `fine`, px.
fn between(image: &[f32], size: ImageSize, fine: f64, coarse: f64) -> Vec<f32> {
    // Without the pedestal of a camera sums keep their digits.
    let mean = image.iter().map(|&v| f64::from(v)).sum::<f64>() / image.len().max(1) as f64;
    let centred: Vec<f32> = image
        .iter()
        .map(|&v| {
            let value = (f64::from(v) - mean) as f32;
            if value.is_finite() { value } else { 0.0 }
        })
        .collect();
    let background = blurred(&centred, size, coarse);
    let detail = blurred(&centred, size, fine);
    detail.iter().zip(background).map(|(d, b)| d - b).collect()
}

/// Gaussian smoothing in both directions, edges mirrored.
pub fn blurred(image: &[f32], size: ImageSize, sigma: f64) -> Vec<f32> {
    let lines = |image: &[f32], length: usize| -> Vec<f32> {
        image
            .par_chunks(length)
            .flat_map_iter(|line| {
                let line: Vec<f64> = line.iter().map(|&v| f64::from(v)).collect();
                gaussian(&line, sigma, Edge::Reflect)
                    .into_iter()
                    .map(|v| v as f32)
            })
            .collect()
    };
    let along = lines(image, size.width);
    let turned = transposed(&along, size.height, size.width);
    let both = lines(&turned, size.height);
    transposed(&both, size.width, size.height)
}

fn transposed(image: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..rows * columns)
        .map(|at| image[at % rows * columns + at / rows])
        .collect()
}

/// Mean 0 and variance 1; an image of one value becomes 0.
fn standardise(values: &mut [f32]) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
    let variance = values
        .iter()
        .map(|&v| (f64::from(v) - mean).powi(2))
        .sum::<f64>()
        / n;
    let scale = if variance > 1e-12 {
        1.0 / variance.sqrt()
    } else {
        0.0
    };
    for value in values {
        *value = ((f64::from(*value) - mean) * scale) as f32;
    }
}

/// An image between its pixels by straight lines; `None` beyond the centres of the outermost pixels.
pub fn sample(image: &[f32], size: ImageSize, [y, x]: [f64; 2]) -> Option<f32> {
    let (lowest, rightmost) = ((size.height - 1) as f64, (size.width - 1) as f64);
    if !(y >= 0.0 && x >= 0.0 && y <= lowest && x <= rightmost) {
        return None;
    }
    let top = (y as usize).min(size.height.saturating_sub(2));
    let left = (x as usize).min(size.width.saturating_sub(2));
    let (down, right) = ((y - top as f64) as f32, (x - left as f64) as f32);
    let (below, beside) = (
        usize::from(size.height > 1) * size.width,
        usize::from(size.width > 1),
    );
    let at = top * size.width + left;
    let upper = image[at] + right * (image[at + beside] - image[at]);
    let lower = image[at + below] + right * (image[at + below + beside] - image[at + below]);
    Some(upper + down * (lower - upper))
}
