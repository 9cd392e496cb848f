//! A first alignment: rotations tried one after the other, translations all at once by correlation in the Fourier domain.
//!
//! The two landmark images are the real and the imaginary part of one complex image, so that one transform correlates both: the
//! real part of the complex correlation is the sum of the two. A correlation at a shift of which few pixels overlap is
//! divided by the root of their number, which makes shifts alike in what chance gives. How much a peak must stand out is judged by the same
//! search with the second field mirrored, in which nothing can be found.

use num_complex::Complex32;
use rayon::prelude::*;
use rustfft::{Fft, FftPlanner};
use std::sync::Arc;

use super::{
    affine::Affine,
    landmarks::{Landmarks, sample},
};
use crate::imaging::morphology::ImageSize;

/// Rotations that are tried, degrees to each side.
const MOST_ROTATION_DEG: f64 = 10.0;
/// Largest step between two of them, degrees.
const MOST_STEP_DEG: f64 = 1.0;
/// What a place at the edge of the frame may move between two of them, px.
const MOST_STEP_PX: f64 = 3.0;
/// Least share of the smaller field that must be seen in the other.
const LEAST_OVERLAP: f64 = 0.2;

/// An alignment that may be the right one.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// From places of the first field to places of the second.
    pub affine: Affine,
    /// Height of the correlation's peak, in deviations of the correlation.
    pub peak: f64,
}

/// The best alignment of each rotation, highest peak first.
pub fn search(first: &Landmarks, second: &Landmarks) -> Vec<Candidate> {
    let reach = [first.size, second.size]
        .iter()
        .map(|size| (size.height as f64).hypot(size.width as f64) / 2.0)
        .fold(0.0, f64::max);
    let step = MOST_STEP_DEG.min((MOST_STEP_PX / reach.max(1.0)).to_degrees());
    let n = (MOST_ROTATION_DEG / step).ceil() as i32;
    let correlator = Correlator::new(first, second.size);
    let mut candidates: Vec<Candidate> = (-n..=n)
        .into_par_iter()
        .filter_map(|k| {
            let rotation = f64::from(k) / f64::from(n) * MOST_ROTATION_DEG;
            correlator.best(second, rotation.to_radians())
        })
        .collect();
    candidates.sort_by(|a, b| b.peak.total_cmp(&a.peak));
    candidates
}

/// The transform of the first field, and what is needed to correlate it.
struct Correlator {
    first_size: ImageSize,
    rows: usize,
    columns: usize,
    along_rows: [Arc<dyn Fft<f32>>; 2],
    along_columns: [Arc<dyn Fft<f32>>; 2],
    /// Transposed.
    spectrum: Vec<Complex32>,
}

impl Correlator {
    fn new(first: &Landmarks, second: ImageSize) -> Self {
        let rows = smooth_number(first.size.height + second.height);
        let columns = smooth_number(first.size.width + second.width);
        let mut planner = FftPlanner::new();
        let mut pair = |n: usize| [planner.plan_fft_forward(n), planner.plan_fft_inverse(n)];
        let mut correlator = Self {
            first_size: first.size,
            rows,
            columns,
            along_rows: pair(columns),
            along_columns: pair(rows),
            spectrum: Vec::new(),
        };
        let padded = correlator.padded(first.size, |y, x| {
            let at = y * first.size.width + x;
            Complex32::new(first.images[0][at], first.images[1][at])
        });
        correlator.spectrum = correlator.transform(padded);
        correlator
    }

    fn padded(&self, size: ImageSize, value: impl Fn(usize, usize) -> Complex32) -> Vec<Complex32> {
        let mut out = vec![Complex32::default(); self.rows * self.columns];
        for y in 0..size.height {
            for x in 0..size.width {
                out[y * self.columns + x] = value(y, x);
            }
        }
        out
    }

    /// Spectrum of an image, transposed.
    fn transform(&self, mut image: Vec<Complex32>) -> Vec<Complex32> {
        self.along_rows[0].process(&mut image);
        let mut turned = transposed(&image, self.rows, self.columns);
        self.along_columns[0].process(&mut turned);
        turned
    }

    /// Image of a transposed spectrum.
    fn back(&self, mut spectrum: Vec<Complex32>) -> Vec<Complex32> {
        self.along_columns[1].process(&mut spectrum);
        let mut image = transposed(&spectrum, self.columns, self.rows);
        self.along_rows[1].process(&mut image);
        image
    }

    /// The best translation for a rotation of the second field.
    fn best(&self, second: &Landmarks, rotation: f64) -> Option<Candidate> {
        let size = second.size;
        let centre = [size.height, size.width].map(|n| (n as f64 - 1.0) / 2.0);
        let turn = Affine::turn(rotation, centre, [0.0; 2]);
        let turned = self.padded(size, |y, x| {
            let there = turn.apply([y as f64, x as f64]);
            let [re, im] = second
                .images
                .each_ref()
                .map(|image| sample(image, size, there).unwrap_or(0.0));
            Complex32::new(re, im)
        });
        let mut spectrum = self.transform(turned);
        for (value, first) in spectrum.iter_mut().zip(&self.spectrum) {
            *value = first * value.conj();
        }
        let correlation = self.back(spectrum);
        let (mut peak, mut place) = (f32::MIN, None);
        let (mut squares, mut n) = (0.0f64, 0usize);
        let first = self.first_size;
        let smaller = (first.height * first.width).min(size.height * size.width) as f64;
        let common = |shift: i64, first: usize, second: usize| {
            ((first as i64).min(shift + second as i64) - shift.max(0)).max(0)
        };
        for row in 0..self.rows {
            let down = signed(row, self.rows, first.height);
            let rows = common(down, first.height, size.height);
            for column in 0..self.columns {
                let right = signed(column, self.columns, first.width);
                let overlap = (rows * common(right, first.width, size.width)) as f64;
                if overlap < LEAST_OVERLAP * smaller {
                    continue;
                }
                let value = correlation[row * self.columns + column].re / (overlap as f32).sqrt();
                squares += f64::from(value * value);
                n += 1;
                if value > peak {
                    (peak, place) = (value, Some([down as f64, right as f64]));
                }
            }
        }
        let shift = place?;
        let deviation = (squares / n as f64).sqrt();
        // First place p + shift shows what the turned second field has at p.
        let back = Affine([[1.0, 0.0, -shift[0]], [0.0, 1.0, -shift[1]]]);
        let offset = turn.apply(back.apply([0.0; 2]));
        let [[a, b, _], [c, d, _]] = turn.0;
        Some(Candidate {
            affine: Affine([[a, b, offset[0]], [c, d, offset[1]]]),
            peak: if deviation > 0.0 {
                f64::from(peak) / deviation
            } else {
                0.0
            },
        })
    }
}

/// The shift of an entry of a circular correlation; those beyond the first image's length are negative.
fn signed(at: usize, n: usize, first: usize) -> i64 {
    if at < first {
        at as i64
    } else {
        at as i64 - n as i64
    }
}

/// The next number without prime factors above 5, whose transform is fast.
fn smooth_number(least: usize) -> usize {
    (least.max(1)..)
        .find(|&n| {
            let mut rest = n;
            for factor in [2, 3, 5] {
                while rest.is_multiple_of(factor) {
                    rest /= factor;
                }
            }
            rest == 1
        })
        .expect("numbers do not end")
}

fn transposed(values: &[Complex32], rows: usize, columns: usize) -> Vec<Complex32> {
    let mut out = vec![Complex32::default(); values.len()];
    // Blocks that stay in the cache.
    const BLOCK: usize = 32;
    for top in (0..rows).step_by(BLOCK) {
        for left in (0..columns).step_by(BLOCK) {
            for y in top..(top + BLOCK).min(rows) {
                for x in left..(left + BLOCK).min(columns) {
                    out[x * rows + y] = values[y * columns + x];
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::{field_map::distance, scene::Scene};
    use super::*;

    #[test]
    fn a_shift_and_a_turn_are_found_to_within_a_step() {
        let scene = Scene::new(1, 100.0, 40);
        // The fields need not have the same size.
        let sizes = [(100, 90), (88, 104)].map(|(height, width)| ImageSize { height, width });
        let truth = Affine::turn(4.6f64.to_radians(), [50.0, 45.0], [9.0, -13.0]);
        // The second frame looks at the scene where the first one does after the map.
        let back = Affine::turn(-4.6f64.to_radians(), [59.0, 32.0], [-9.0, 13.0]);
        let first = scene.seen(sizes[0], |place| place, |_| true);
        let second = scene.seen(sizes[1], |place| back.apply(place), |_| true);
        let [a, b] = [&first, &second].map(|seen| Landmarks::new(&seen.field(), 10.0));
        let found = search(&a, &b);
        let mirrored = search(&a, &b.mirrored(true))[0].peak;
        assert!(
            found[0].peak > 2.0 * mirrored,
            "{} {mirrored}",
            found[0].peak
        );
        for place in [[20.0, 20.0], [80.0, 70.0]] {
            let error = distance(found[0].affine.apply(place), truth.apply(place));
            // Half a degree at 40 px from the middle, and half a pixel.
            assert!(error < 1.0, "{error} px at {place:?}");
        }
    }

    #[test]
    fn fields_of_one_value_have_no_peak() {
        let size = ImageSize {
            height: 7,
            width: 5,
        };
        let mean = [3.0; 35];
        let field = super::super::Field {
            size,
            mean: &mean,
            bodies: &[],
        };
        let flat = Landmarks::new(&field, 10.0);
        assert!(search(&flat, &flat).iter().all(|found| found.peak == 0.0));
    }

    #[test]
    fn lengths_of_transforms_have_small_factors() {
        assert_eq!(
            [1, 7, 11, 31, 127, 256].map(smooth_number),
            [1, 8, 12, 32, 128, 256]
        );
    }
}
