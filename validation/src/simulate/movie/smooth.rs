//! Gaussian smoothing of lines and images, the base of every random field and walk of the simulator.
//!
//! The kernel is cut off at four deviations; beyond an edge the values are mirrored (the edge value twice), as scipy's
//! `gaussian_filter` does by default.

use rayon::prelude::*;

use crate::simulate::philox::Stream;

/// Weights of a Gaussian at whole distances 0, 1, …, `4 · deviation`; their two-sided sum is 1.
fn half_kernel(deviation: f64) -> Vec<f32> {
    let reach = (4.0 * deviation + 0.5) as usize;
    let weights: Vec<f64> = (0..=reach)
        .map(|distance| (-0.5 * (distance as f64 / deviation.max(1e-9)).powi(2)).exp())
        .collect();
    let sum = weights[0] + 2.0 * weights[1..].iter().sum::<f64>();
    weights
        .into_iter()
        .map(|weight| (weight / sum) as f32)
        .collect()
}

/// Index of `at` in a line of `n` that is mirrored at both ends.
fn mirrored(at: i64, n: usize) -> usize {
    let n = n as i64;
    let around = at.rem_euclid(2 * n);
    around.min(2 * n - 1 - around) as usize
}

/// Smooths a line with a Gaussian of `deviation` steps.
pub fn smooth_line(line: &[f32], deviation: f64) -> Vec<f32> {
    let kernel = half_kernel(deviation);
    let reach = kernel.len() - 1;
    let padded: Vec<f32> = (0..line.len() + 2 * reach)
        .map(|at| line[mirrored(at as i64 - reach as i64, line.len())])
        .collect();
    let mut out: Vec<f32> = padded[reach..reach + line.len()]
        .iter()
        .map(|value| value * kernel[0])
        .collect();
    for (distance, &weight) in kernel.iter().enumerate().skip(1) {
        let before = &padded[reach - distance..];
        let after = &padded[reach + distance..];
        for ((out, before), after) in out.iter_mut().zip(before).zip(after) {
            *out += weight * (before + after);
        }
    }
    out
}

/// Smooths an image `[height, width]` with a Gaussian of `deviation` px.
pub fn smooth_image(image: &[f32], width: usize, deviation: f64) -> Vec<f32> {
    let height = image.len() / width;
    let kernel = half_kernel(deviation);
    let mut rows = vec![0.0; image.len()];
    rows.par_chunks_mut(width)
        .zip(image.par_chunks(width))
        .for_each(|(out, line)| out.copy_from_slice(&smooth_line(line, deviation)));
    let mut out = vec![0.0f32; image.len()];
    out.par_chunks_mut(width).enumerate().for_each(|(y, out)| {
        for (distance, &weight) in kernel.iter().enumerate() {
            let mut add = |at: i64| {
                let from = mirrored(at, height) * width;
                for (out, value) in out.iter_mut().zip(&rows[from..from + width]) {
                    *out += weight * value;
                }
            };
            add(y as i64 + distance as i64);
            if distance > 0 {
                add(y as i64 - distance as i64);
            }
        }
    });
    out
}

/// `n` normal values in the order of `random`.
pub fn white(n: usize, random: &mut Stream) -> Vec<f32> {
    (0..n).map(|_| random.normal() as f32).collect()
}

/// Gives smoothed white noise a mean of 0 and, where it is much longer than the smoothing, a deviation of 1.
///
/// Something shorter than a few `expected` correlation lengths hardly varies; it is not blown up to a deviation of 1, only to what
/// smoothing in theory leaves: twice at most.
pub fn standardise(values: &mut [f32], expected: f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / n;
    let variance = values
        .iter()
        .map(|&value| (f64::from(value) - mean).powi(2))
        .sum::<f64>()
        / n;
    let factor = 1.0 / variance.sqrt().max(0.5 * expected);
    for value in values {
        *value = ((f64::from(*value) - mean) * factor) as f32;
    }
}

/// Deviation of white noise of deviation 1 after [`smooth_line`].
pub fn deviation_of_line(deviation: f64) -> f64 {
    deviation_of_image(deviation).sqrt()
}

/// Deviation of white noise of deviation 1 after [`smooth_image`].
pub fn deviation_of_image(deviation: f64) -> f64 {
    // A Gaussian so narrow that its neighbours get nothing leaves the noise as it is.
    (1.0 / (2.0 * std::f64::consts::PI.sqrt() * deviation.max(1e-9))).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothing_keeps_the_sum_and_spreads_by_its_deviation() {
        let mut line = vec![0.0f32; 81];
        line[40] = 1.0;
        let smooth = smooth_line(&line, 5.0);
        let sum: f32 = smooth.iter().sum();
        let variance: f32 = smooth
            .iter()
            .enumerate()
            .map(|(at, value)| value * (at as f32 - 40.0).powi(2))
            .sum();
        // Cutting the kernel at four deviations takes 0.1 % of its variance.
        assert!(
            (sum - 1.0).abs() < 1e-5 && (variance - 25.0).abs() < 0.1,
            "{sum} {variance}"
        );
    }

    #[test]
    fn a_long_line_gets_deviation_one_and_a_short_one_is_not_blown_up() {
        let mut random = Stream::new(2, 0);
        let mut line = smooth_line(&white(5000, &mut random), 6.0);
        let found = {
            let mean = line.iter().sum::<f32>() / 5000.0;
            (line.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / 5000.0).sqrt()
        };
        let expected = deviation_of_line(6.0);
        // 5,000 / 21 independent stretches: 5 % from the theory at one deviation.
        assert!(
            (f64::from(found) / expected - 1.0).abs() < 0.2,
            "{found} {expected}"
        );
        standardise(&mut line, expected);
        let square = line.iter().map(|value| value * value).sum::<f32>() / 5000.0;
        assert!((square - 1.0).abs() < 1e-3, "{square}");
        let mut short = smooth_line(&white(3, &mut random), 100.0);
        standardise(&mut short, deviation_of_line(100.0));
        assert!(short.iter().all(|value| value.abs() < 0.1), "{short:?}");
    }

    #[test]
    fn an_image_is_smoothed_in_rows_and_columns_and_mirrored_at_its_edges() {
        let mut random = Stream::new(1, 0);
        let image = white(7 * 5, &mut random);
        let smooth = smooth_image(&image, 5, 2.0);
        let columns_first = {
            let transposed: Vec<f32> = (0..35).map(|at| image[at % 7 * 5 + at / 7]).collect();
            let smooth = smooth_image(&transposed, 7, 2.0);
            (0..35)
                .map(|at| smooth[at % 5 * 7 + at / 5])
                .collect::<Vec<f32>>()
        };
        for (one, other) in smooth.iter().zip(&columns_first) {
            // The same sum of a few dozen products in another order.
            assert!((one - other).abs() < 1e-5);
        }
        let constant = smooth_image(&[3.0; 35], 5, 2.0);
        assert!(constant.iter().all(|value| (value - 3.0).abs() < 1e-5));
    }
}
