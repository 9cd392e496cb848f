//! Local whitening from robust noise.
//!
//! Each channel is whitened with its neighbours (ZCA; Kessy et al. 2018), from the covariance of samples in which none
//! of them sees a spike. Whitening from all samples, as is usual, shrinks the very spikes that are looked for.

use rayon::prelude::*;

use super::survey::{Survey, deviation};
use crate::{
    linalg,
    sorting::geometry::{Geometry, padded},
};

/// Samples from which one covariance is estimated, at most.
pub(crate) const COVARIANCE_SAMPLES: usize = 100_000;

/// Samples of a survey that are whitened before they are put back.
pub(crate) const WHITENED_TOGETHER: usize = 16_384;

/// Samples without a spike that tell a covariance; where there are fewer, all samples do.
const ENOUGH_QUIET: usize = 5000;

/// The whitening matrix as a sparse table.
#[derive(Clone)]
pub struct Whitening {
    /// Entries of a row.
    pub n_neighbours: usize,
    /// Channels of a row, `[channel, n_neighbours]`, padded with the channel itself.
    pub neighbour: Vec<u32>,
    /// Weights, `[channel, n_neighbours]`, 0 where padded.
    pub weight: Vec<f32>,
}

/// Row-local ZCA matrix `[channel, channel]` from a survey, which is whitened with it; noise of the result is 1 on every channel.
///
/// `deviations` are those of the survey's channels.
pub fn estimate(
    survey: &mut Survey,
    deviations: &[f32],
    geometry: &Geometry,
    radius_um: f64,
) -> Vec<f32> {
    let (n_channels, n_samples) = (survey.n_channels, survey.n_samples);
    let quiet: Vec<Vec<u64>> = (0..n_channels)
        .into_par_iter()
        .map(|c| bits(&quiet_samples(survey.channel(c), 4.5 * deviations[c], 10)))
        .collect();
    let near = geometry.within(radius_um);
    let rows: Vec<Vec<f32>> = (0..n_channels)
        .into_par_iter()
        .map(|c| {
            let near = &near[c];
            let mut row = vec![0.0f32; n_channels];
            for (&n, weight) in near.iter().zip(zca_row(survey, near, &quiet)) {
                row[n] = weight as f32;
            }
            row
        })
        .collect();
    let mut matrix = rows.concat();
    apply(survey, &matrix);
    // The local estimates are not exactly unit variance: measured on the whitened survey and corrected.
    survey
        .data
        .par_chunks_exact_mut(n_samples.max(1))
        .zip(matrix.par_chunks_exact_mut(n_channels))
        .for_each(|(x, row)| {
            let quiet = quiet_samples(x, 4.0 * deviation(x), 20);
            let (mut sum, mut count) = (0.0f64, 0usize);
            for (&v, _) in x.iter().zip(&quiet).filter(|&(_, &quiet)| quiet) {
                sum += f64::from(v) * f64::from(v);
                count += 1;
            }
            let noise = if count > 1000 {
                (sum / count as f64).sqrt() as f32
            } else {
                deviation(x)
            };
            scale_row(row, noise);
            if row.iter().any(|&w| w != 0.0) {
                scale_row(x, noise);
            } else {
                x.fill(0.0);
            }
        });
    matrix
}

/// Divides weights or values of a channel by its noise; one without any (dead, or no survey), or too little to divide by, gets 0.
fn scale_row(row: &mut [f32], scale: f32) {
    if scale > 0.0 && scale.is_finite() && row.iter().all(|w| (w / scale).is_finite()) {
        row.iter_mut().for_each(|w| *w /= scale);
    } else {
        row.fill(0.0);
    }
}

/// Scales the rows of the matrix with which a survey was whitened so that the noise is 1 where it matters: in the output of the filters with
/// which spikes are looked for.
///
/// Noise of real recordings is stronger at the frequencies of spikes than its sample variance says. White noise passes
/// filters of unit norm unchanged, so for white noise nothing changes.
///
/// Gives the mean square of every whitened channel, spikes and all: 1 where there is nothing but noise.
pub fn scale_to_spike_band(
    survey: &Survey,
    matrix: &mut [f32],
    prototypes: &[f32],
    n_taps: usize,
    before: usize,
) -> Vec<f32> {
    let rows = matrix.par_chunks_exact_mut(survey.n_channels).enumerate();
    let powers = rows.map(|(c, row)| {
        let x = survey.channel(c);
        let quiet = quiet_samples(x, 4.0 * deviation(x), n_taps / 2);
        let (mut sum, mut count) = (0.0f64, 0usize);
        // Half a shape apart: neighbours say the same again.
        for start in (0..x.len().saturating_sub(n_taps)).step_by((n_taps / 2).max(1)) {
            if start % survey.piece + n_taps > survey.piece || !quiet[start + before] {
                continue;
            }
            for shape in prototypes.chunks_exact(n_taps) {
                let score = linalg::dot(shape, &x[start..start + n_taps]);
                sum += score * score;
                count += 1;
            }
        }
        let square: f64 = x.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
        let power = square / x.len().max(1) as f64;
        if count > 1000 {
            let scale = (sum / count as f64).sqrt();
            scale_row(row, scale as f32);
            (power / (scale * scale).max(f64::MIN_POSITIVE)) as f32
        } else {
            power as f32
        }
    });
    powers.collect()
}

/// Whitens a survey in place.
fn apply(survey: &mut Survey, matrix: &[f32]) {
    /// Samples of all channels that stay in the cache.
    const STRETCH: usize = 2048;
    let (n_channels, n_samples) = (survey.n_channels, survey.n_samples);
    for first in (0..n_samples).step_by(WHITENED_TOGETHER) {
        let stretches: Vec<(usize, Vec<f32>)> = (first..n_samples)
            .into_par_iter()
            .step_by(STRETCH)
            .take(WHITENED_TOGETHER / STRETCH)
            .map(|first| (first, whitened(survey, matrix, first, STRETCH)))
            .collect();
        survey
            .data
            .par_chunks_exact_mut(n_samples)
            .enumerate()
            .for_each(|(c, x)| {
                for (first, values) in &stretches {
                    let n = values.len() / n_channels;
                    x[*first..first + n].copy_from_slice(&values[c * n..(c + 1) * n]);
                }
            });
    }
}

/// Up to `n` samples of the whitened survey, `[channel, sample]`.
#[multiversion::multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
fn whitened(survey: &Survey, matrix: &[f32], first: usize, n: usize) -> Vec<f32> {
    let n = n.min(survey.n_samples - first);
    let mut out = vec![0.0f32; survey.n_channels * n];
    for (row, out) in matrix
        .chunks_exact(survey.n_channels)
        .zip(out.chunks_exact_mut(n))
    {
        for (c, &w) in row.iter().enumerate() {
            if w != 0.0 {
                for (out, x) in out.iter_mut().zip(&survey.channel(c)[first..first + n]) {
                    *out += w * x;
                }
            }
        }
    }
    out
}

/// Samples with nothing beyond `limit` within `pad` samples.
pub fn quiet_samples(x: &[f32], limit: f32, pad: usize) -> Vec<bool> {
    let mut quiet = vec![true; x.len()];
    let mut loud_until = 0;
    for (t, v) in x.iter().enumerate() {
        if v.abs() >= limit {
            let from = t.saturating_sub(pad).max(loud_until);
            loud_until = (t + pad + 1).min(x.len());
            quiet[from.min(loud_until)..loud_until].fill(false);
        }
    }
    quiet
}

/// One bit for each, the first the lowest of the first word.
fn bits(values: &[bool]) -> Vec<u64> {
    values
        .chunks(64)
        .map(|values| {
            let bits = values.iter().enumerate();
            bits.fold(0, |word, (i, &value)| word | u64::from(value) << i)
        })
        .collect()
}

/// Weights of the neighbourhood `near` (whose first member is the channel itself) for the channel.
fn zca_row(survey: &Survey, near: &[usize], quiet: &[Vec<u64>]) -> Vec<f64> {
    let k = near.len();
    let mut all_quiet = vec![u64::MAX; survey.n_samples.div_ceil(64)];
    for &n in near {
        for (all, quiet) in all_quiet.iter_mut().zip(&quiet[n]) {
            *all &= quiet;
        }
    }
    let n_quiet: usize = all_quiet
        .iter()
        .map(|word| word.count_ones() as usize)
        .sum();
    let enough = n_quiet >= ENOUGH_QUIET;
    let n = if enough { n_quiet } else { survey.n_samples };
    let at: Vec<usize> = (0..survey.n_samples)
        .filter(|&t| !enough || all_quiet[t / 64] >> (t % 64) & 1 == 1)
        .step_by(n.div_ceil(COVARIANCE_SAMPLES).max(1))
        .collect();
    // Samples of the neighbourhood that stay in the cache.
    const STRETCH: usize = 1024;
    let mut rows = vec![0.0f32; k * STRETCH];
    let mut covariance = vec![0.0f64; k * k];
    for at in at.chunks(STRETCH) {
        for (&n, row) in near.iter().zip(rows.chunks_exact_mut(STRETCH)) {
            let x = survey.channel(n);
            row.iter_mut().zip(at).for_each(|(to, &t)| *to = x[t]);
        }
        for i in 0..k {
            for j in 0..=i {
                let [a, b] = [i, j].map(|i| &rows[i * STRETCH..][..at.len()]);
                covariance[i * k + j] += linalg::dot(a, b);
            }
        }
    }
    for i in 0..k {
        for j in 0..=i {
            let mean = covariance[i * k + j] / at.len().max(1) as f64;
            covariance[i * k + j] = mean;
            covariance[j * k + i] = mean;
        }
    }
    let (values, vectors) = linalg::eigh(&covariance, k);
    let floor = (1e-3 * values[0]).max(f64::MIN_POSITIVE);
    (0..k)
        .map(|j| {
            (0..k)
                .map(|e| vectors[e * k] * vectors[e * k + j] / values[e].max(floor).sqrt())
                .sum()
        })
        .collect()
}

impl Whitening {
    /// Sparse table of a matrix `[channel, channel]`.
    pub fn new(matrix: &[f32], n: usize) -> Self {
        let rows: Vec<Vec<usize>> = (0..n)
            .map(|c| (0..n).filter(|&k| matrix[c * n + k] != 0.0).collect())
            .collect();
        let (neighbour, n_neighbours) = padded(&rows, |c| c as u32);
        let mut weight = vec![0.0; n * n_neighbours];
        for (c, row) in rows.iter().enumerate() {
            for (k, &source) in row.iter().enumerate() {
                weight[c * n_neighbours + k] = matrix[c * n + source];
            }
        }
        Self {
            n_neighbours,
            neighbour,
            weight,
        }
    }
}
