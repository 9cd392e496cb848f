//! A mixture of Gaussians whose noise is known.
//!
//! Features are in units of noise, so a cluster is a sphere of unit variance, stretched only along its own mean:
//! spikes of one cell differ in amplitude. Fitting so little keeps clusters with few spikes honest.

use super::strips::{LANES, Strips, product_and_squared_distance};

/// Parameters of the mixture.
#[derive(Clone, Debug)]
pub struct Mixture {
    /// Dimensions.
    pub dimensions: usize,
    /// Means, `[cluster, dimension]`.
    pub mean: Vec<f64>,
    /// Variance of the amplitude, relative to the mean, `[cluster]`.
    pub amplitude_variance: Vec<f64>,
    /// Variance across the mean's direction, `[cluster]`.
    pub spread: Vec<f64>,
    /// Points of a cluster, `[cluster]`.
    pub weight: Vec<f64>,
    /// Log likelihood.
    pub log_likelihood: f64,
}

/// Range of the amplitude's standard deviation.
const AMPLITUDE_SIGMA: (f64, f64) = (0.03, 0.25);
/// Largest variance across the mean's direction: more is two clusters, or drift.
const MAX_SPREAD: f64 = 1.6;

const LN_2PI: f64 = 1.837_877_066_409_345_3;

impl Mixture {
    /// Clusters.
    pub fn n_clusters(&self) -> usize {
        self.weight.len()
    }

    /// Mean of one cluster.
    pub fn centre(&self, k: usize) -> &[f64] {
        &self.mean[k * self.dimensions..(k + 1) * self.dimensions]
    }

    /// Log densities of a strip's points under each cluster, without the clusters' weights.
    fn log_densities(
        &self,
        shapes: &[ClusterShape],
        strip: &[[f64; LANES]],
        out: &mut [[f64; LANES]],
    ) {
        let centres = self.mean.chunks_exact(self.dimensions);
        for ((shape, centre), out) in shapes.iter().zip(centres).zip(out) {
            log_density(shape, centre, strip, out);
        }
    }

    fn shapes(&self) -> Vec<ClusterShape> {
        let d = self.dimensions as f64;
        (0..self.n_clusters())
            .map(|k| {
                let norm2 = self.centre(k).iter().map(|m| m * m).sum::<f64>() + 1e-9;
                let along = self.spread[k] + self.amplitude_variance[k] * norm2;
                ClusterShape {
                    norm: norm2.sqrt(),
                    inverse_norm: 1.0 / norm2.sqrt(),
                    across: 1.0 / self.spread[k],
                    along: 1.0 / along,
                    constant: -0.5 * ((d - 1.0) * self.spread[k].ln() + along.ln() + d * LN_2PI),
                }
            })
            .collect()
    }

    /// Nearest cluster of each point `[point, dimension]` by density alone.
    pub fn nearest(&self, points: &[f64]) -> Vec<i32> {
        let shapes = self.shapes();
        let points = points.chunks_exact(self.dimensions);
        let n = points.len();
        let mut log = vec![[0.0; LANES]; self.n_clusters()];
        let mut nearest = Vec::with_capacity(n);
        for strip in Strips::new(points, self.dimensions).iter() {
            self.log_densities(&shapes, strip, &mut log);
            for lane in 0..LANES.min(n - nearest.len()) {
                let mut best = 0;
                for k in 1..log.len() {
                    if log[k][lane] > log[best][lane] {
                        best = k;
                    }
                }
                nearest.push(best as i32);
            }
        }
        nearest
    }

    /// Without cluster `k`.
    pub fn without(&self, k: usize) -> Self {
        let d = self.dimensions;
        let keep = |values: &[f64]| {
            values
                .iter()
                .enumerate()
                .filter(|&(i, _)| i != k)
                .map(|(_, &v)| v)
                .collect()
        };
        let mut mean = self.mean.clone();
        mean.drain(k * d..(k + 1) * d);
        Self {
            mean,
            amplitude_variance: keep(&self.amplitude_variance),
            spread: keep(&self.spread),
            weight: keep(&self.weight),
            ..*self
        }
    }
}

/// Log densities of a strip's points under one cluster.
#[multiversion::multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
fn log_density(
    shape: &ClusterShape,
    centre: &[f64],
    strip: &[[f64; LANES]],
    out: &mut [f64; LANES],
) {
    let (along, squared) = product_and_squared_distance(strip, centre);
    for lane in 0..LANES {
        let along = along[lane] * shape.inverse_norm - shape.norm;
        let across = squared[lane] - along * along;
        let distance = across * shape.across + along * along * shape.along;
        out[lane] = shape.constant - 0.5 * distance;
    }
}

/// A cluster's density, prepared for evaluation.
struct ClusterShape {
    norm: f64,
    inverse_norm: f64,
    across: f64,
    along: f64,
    constant: f64,
}

/// Log density below which a point belongs to no cluster.
fn outlier_floor(dimensions: usize) -> f64 {
    let d = dimensions as f64;
    -0.5 * d * LN_2PI - 0.5 * (d + 8.0 * (2.0 * d).sqrt())
}

/// Expectation maximisation from hard labels (-1: no cluster); returns the fit and hard labels.
pub fn fit(
    points: &[f64],
    dimensions: usize,
    labels: &[i32],
    iterations: usize,
) -> (Vec<i32>, Mixture) {
    let n = labels.len();
    let k = (labels.iter().copied().max().unwrap_or(-1) + 1).max(1) as usize;
    let d = dimensions as f64;
    let floor = outlier_floor(dimensions);
    let strips = Strips::new(points.chunks_exact(dimensions), dimensions);
    let mut responsibility = vec![0.0f64; n * k];
    for (i, &label) in labels.iter().enumerate().filter(|&(_, &label)| label >= 0) {
        responsibility[i * k + label as usize] = 1.0;
    }
    let mut mixture = Mixture {
        dimensions,
        mean: vec![0.0; k * dimensions],
        amplitude_variance: vec![0.0; k],
        spread: vec![1.0; k],
        weight: vec![0.0; k],
        log_likelihood: 0.0,
    };
    let mut hard = vec![-1; n];
    let mut previous = f64::NEG_INFINITY;
    for iteration in 0..iterations {
        mixture.weight.fill(1e-9);
        mixture.mean.fill(0.0);
        for (point, responsibility) in points
            .chunks_exact(dimensions)
            .zip(responsibility.chunks_exact(k))
        {
            for (c, &r) in responsibility
                .iter()
                .enumerate()
                .filter(|&(_, &r)| r > 1e-12)
            {
                mixture.weight[c] += r;
                for (m, x) in mixture.mean[c * dimensions..].iter_mut().zip(point) {
                    *m += r * x;
                }
            }
        }
        for c in 0..k {
            let weight = mixture.weight[c];
            mixture.mean[c * dimensions..(c + 1) * dimensions]
                .iter_mut()
                .for_each(|m| *m /= weight);
        }
        let (mut along, mut across) = (vec![0.0; k], vec![0.0; k]);
        let norms: Vec<f64> = (0..k)
            .map(|c| (mixture.centre(c).iter().map(|m| m * m).sum::<f64>() + 1e-9).sqrt())
            .collect();
        for (point, responsibility) in points
            .chunks_exact(dimensions)
            .zip(responsibility.chunks_exact(k))
        {
            for (c, &r) in responsibility
                .iter()
                .enumerate()
                .filter(|&(_, &r)| r > 1e-12)
            {
                let (mut dot, mut squared) = (0.0, 0.0);
                for (x, m) in point.iter().zip(mixture.centre(c)) {
                    dot += x * m;
                    squared += (x - m) * (x - m);
                }
                let p = dot / norms[c] - norms[c];
                along[c] += r * p * p;
                across[c] += r * (squared - p * p).max(0.0);
            }
        }
        for c in 0..k {
            let spread =
                (across[c] / mixture.weight[c] / (d - 1.0).max(1.0)).clamp(1.0, MAX_SPREAD);
            let variance = (along[c] / mixture.weight[c] - spread) / (norms[c] * norms[c]);
            mixture.spread[c] = spread;
            mixture.amplitude_variance[c] = variance.clamp(
                AMPLITUDE_SIGMA.0 * AMPLITUDE_SIGMA.0,
                AMPLITUDE_SIGMA.1 * AMPLITUDE_SIGMA.1,
            );
        }
        let shapes = mixture.shapes();
        let log_weight: Vec<f64> = mixture.weight.iter().map(|w| (w / n as f64).ln()).collect();
        let mut logs = vec![[0.0; LANES]; k];
        let mut log = vec![0.0; k];
        mixture.log_likelihood = 0.0;
        for (strip, (responsibility, hard)) in strips.iter().zip(
            responsibility
                .chunks_mut(LANES * k)
                .zip(hard.chunks_mut(LANES)),
        ) {
            mixture.log_densities(&shapes, strip, &mut logs);
            for (lane, (responsibility, hard)) in
                responsibility.chunks_exact_mut(k).zip(hard).enumerate()
            {
                let (mut top, mut best) = (floor, -1);
                for (c, (log, logs)) in log.iter_mut().zip(&logs).enumerate() {
                    *log = logs[lane] + log_weight[c];
                    if *log > top {
                        (top, best) = (*log, c as i32);
                    }
                }
                let mut total = (floor - top).exp();
                for (r, &log) in responsibility.iter_mut().zip(&log) {
                    // Far below the best there is nothing to share.
                    *r = if log - top < -30.0 {
                        0.0
                    } else {
                        (log - top).exp()
                    };
                    total += *r;
                }
                responsibility.iter_mut().for_each(|r| *r /= total);
                mixture.log_likelihood += top + total.ln();
                *hard = best;
            }
        }
        if iteration > 2 && (mixture.log_likelihood - previous).abs() < 1e-4 * n as f64 {
            break;
        }
        previous = mixture.log_likelihood;
    }
    (hard, mixture)
}
