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

    /// Nearest cluster of each of `n` points by density alone.
    pub fn nearest(&self, strips: &Strips<f64>, n: usize) -> Vec<i32> {
        let shapes = self.shapes();
        let mut log = vec![[0.0; LANES]; self.n_clusters()];
        let mut nearest = Vec::with_capacity(n);
        for strip in strips.iter() {
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

/// Share of a point below which it is not counted: far below the best there is nothing to share.
const LEAST_LOG: f64 = -30.0;

/// The points' shares of a cluster in one strip.
struct Share {
    cluster: u32,
    share: [f64; LANES],
}

/// Shares of all clusters, strip by strip: only of those clusters that have any.
struct Shares {
    /// Of all strips, one after the other.
    shares: Vec<Share>,
    /// End of each strip's.
    ends: Vec<usize>,
}

impl Shares {
    /// Each point belongs to its label (-1: to none).
    fn of_labels(labels: &[i32]) -> Self {
        let (mut shares, mut ends) = (Vec::<Share>::new(), Vec::new());
        for labels in labels.chunks(LANES) {
            let first = shares.len();
            for (lane, &label) in labels.iter().enumerate().filter(|&(_, &label)| label >= 0) {
                let known = shares[first..]
                    .iter()
                    .position(|share| share.cluster == label as u32);
                let at = known.map_or(shares.len(), |at| first + at);
                if at == shares.len() {
                    shares.push(Share {
                        cluster: label as u32,
                        share: [0.0; LANES],
                    });
                }
                shares[at].share[lane] = 1.0;
            }
            ends.push(shares.len());
        }
        Self { shares, ends }
    }

    /// The shares of each strip.
    fn strips(&self) -> impl Iterator<Item = &[Share]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, &end)| &self.shares[start..end])
    }
}

/// Sums of the lanes, always in the same order.
fn over_lanes(values: &[f64; LANES]) -> f64 {
    values.iter().sum()
}

/// Weights and means from the points' shares.
#[multiversion::multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
fn learn_means(mixture: &mut Mixture, strips: &Strips<f64>, shares: &Shares) {
    let (k, d) = (mixture.n_clusters(), mixture.dimensions);
    let mut weights = vec![[0.0f64; LANES]; k];
    let mut sums = vec![[0.0f64; LANES]; k * d];
    for (strip, shares) in strips.iter().zip(shares.strips()) {
        for Share { cluster, share } in shares {
            let c = *cluster as usize;
            for lane in 0..LANES {
                weights[c][lane] += share[lane];
            }
            for (sum, x) in sums[c * d..(c + 1) * d].iter_mut().zip(strip) {
                for lane in 0..LANES {
                    sum[lane] += share[lane] * x[lane];
                }
            }
        }
    }
    for (c, sums) in sums.chunks_exact(d).enumerate() {
        mixture.weight[c] = 1e-9 + over_lanes(&weights[c]);
        for (mean, sum) in mixture.mean[c * d..(c + 1) * d].iter_mut().zip(sums) {
            *mean = over_lanes(sum) / mixture.weight[c];
        }
    }
}

/// Variances along and across the means from the points' shares.
#[multiversion::multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
fn learn_variances(mixture: &mut Mixture, strips: &Strips<f64>, shares: &Shares) {
    let (k, d) = (mixture.n_clusters(), mixture.dimensions);
    let norms: Vec<f64> = (0..k)
        .map(|c| (mixture.centre(c).iter().map(|m| m * m).sum::<f64>() + 1e-9).sqrt())
        .collect();
    let mut along = vec![[0.0f64; LANES]; k];
    let mut across = vec![[0.0f64; LANES]; k];
    for (strip, shares) in strips.iter().zip(shares.strips()) {
        for Share { cluster, share } in shares {
            let c = *cluster as usize;
            let (product, squared) = product_and_squared_distance(strip, mixture.centre(c));
            for lane in 0..LANES {
                let p = product[lane] / norms[c] - norms[c];
                along[c][lane] += share[lane] * p * p;
                across[c][lane] += share[lane] * (squared[lane] - p * p).max(0.0);
            }
        }
    }
    for c in 0..k {
        let across = over_lanes(&across[c]) / mixture.weight[c];
        let spread = (across / (d as f64 - 1.0).max(1.0)).clamp(1.0, MAX_SPREAD);
        let along = over_lanes(&along[c]) / mixture.weight[c];
        mixture.spread[c] = spread;
        mixture.amplitude_variance[c] = ((along - spread) / (norms[c] * norms[c])).clamp(
            AMPLITUDE_SIGMA.0 * AMPLITUDE_SIGMA.0,
            AMPLITUDE_SIGMA.1 * AMPLITUDE_SIGMA.1,
        );
    }
}

impl Mixture {
    /// The points' shares and the log likelihood from the clusters, and each point's cluster (-1: none).
    fn share_out(&mut self, strips: &Strips<f64>, shares: &mut Shares, hard: &mut [i32]) {
        let n = hard.len();
        let floor = outlier_floor(self.dimensions);
        let shapes = self.shapes();
        let log_weight: Vec<f64> = self.weight.iter().map(|w| (w / n as f64).ln()).collect();
        let mut logs = vec![[0.0; LANES]; self.n_clusters()];
        shares.shares.clear();
        shares.ends.clear();
        self.log_likelihood = 0.0;
        for (strip, hard) in strips.iter().zip(hard.chunks_mut(LANES)) {
            self.log_densities(&shapes, strip, &mut logs);
            let (top, best) = largest(&mut logs, &log_weight, floor);
            let own = hard.len();
            hard.copy_from_slice(&best[..own]);
            let mut total = top.map(|top| floor - top);
            exponentials(&mut total);
            let first = shares.shares.len();
            for (cluster, log) in logs.iter().enumerate() {
                if let Some(share) = near(log, &top, own, &mut total) {
                    shares.shares.push(Share {
                        cluster: cluster as u32,
                        share,
                    });
                }
            }
            for Share { share, .. } in &mut shares.shares[first..] {
                for (share, total) in share[..own].iter_mut().zip(&total) {
                    *share /= total;
                }
            }
            shares.ends.push(shares.shares.len());
            for lane in 0..own {
                self.log_likelihood += top[lane] + total[lane].ln();
            }
        }
    }
}

/// Adds the clusters' weights to the log densities of a strip, and gives the largest of each point, but `floor` at least, and its
/// cluster.
#[multiversion::multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
fn largest(
    logs: &mut [[f64; LANES]],
    log_weight: &[f64],
    floor: f64,
) -> ([f64; LANES], [i32; LANES]) {
    let (mut top, mut best) = ([floor; LANES], [-1i64; LANES]);
    for (c, (log, weight)) in logs.iter_mut().zip(log_weight).enumerate() {
        for lane in 0..LANES {
            log[lane] += weight;
            let is_more = log[lane] > top[lane];
            top[lane] = if is_more { log[lane] } else { top[lane] };
            best[lane] = if is_more { c as i64 } else { best[lane] };
        }
    }
    (top, best.map(|best| best as i32))
}

/// What the first `own` points of a strip share with a cluster, as yet undivided, and adds it to their totals; `None` where none is near
/// it.
#[multiversion::multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
fn near(
    log: &[f64; LANES],
    top: &[f64; LANES],
    own: usize,
    total: &mut [f64; LANES],
) -> Option<[f64; LANES]> {
    let mut share = [0.0; LANES];
    let (mut is_near, mut any) = ([false; LANES], false);
    for lane in 0..LANES {
        share[lane] = log[lane] - top[lane];
        is_near[lane] = share[lane] >= LEAST_LOG && lane < own;
        any |= is_near[lane];
    }
    if !any {
        return None;
    }
    exponentials(&mut share);
    for lane in 0..LANES {
        share[lane] = if is_near[lane] { share[lane] } else { 0.0 };
        total[lane] += share[lane];
    }
    Some(share)
}

/// Exponentials of numbers from -700 to 700 (what lies beyond is taken for the nearest), to 2 parts in 10^15: 2^n and a series of what
/// is left, of all lanes at once.
#[inline(always)]
fn exponentials(values: &mut [f64; LANES]) {
    /// Adding it rounds to a whole number, which the lowest bits then hold.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    /// ln 2 in two parts, the first with so few digits that its products with whole numbers are exact (Cody and Waite 1980).
    const LN_2: (f64, f64) = (6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10);
    /// 1 / k!
    const SERIES: [f64; 14] = {
        let mut series = [1.0; 14];
        let mut k = 1;
        while k < 14 {
            series[k] = series[k - 1] / k as f64;
            k += 1;
        }
        series
    };
    for value in values {
        let x = value.clamp(-700.0, 700.0);
        let shifted = x * std::f64::consts::LOG2_E + ROUND;
        let n = shifted - ROUND;
        let r = (x - n * LN_2.0) - n * LN_2.1;
        let mut sum = SERIES[13];
        let mut k = 13;
        while k > 0 {
            k -= 1;
            sum = sum * r + SERIES[k];
        }
        *value = sum * f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52);
    }
}

/// Expectation maximisation of points from hard labels (-1: no cluster); returns the fit and hard labels.
pub fn fit(strips: &Strips<f64>, labels: &[i32], iterations: usize) -> (Vec<i32>, Mixture) {
    let (n, dimensions) = (labels.len(), strips.dimensions());
    let k = (labels.iter().copied().max().unwrap_or(-1) + 1).max(1) as usize;
    let mut mixture = Mixture {
        dimensions,
        mean: vec![0.0; k * dimensions],
        amplitude_variance: vec![0.0; k],
        spread: vec![1.0; k],
        weight: vec![0.0; k],
        log_likelihood: 0.0,
    };
    let mut shares = Shares::of_labels(labels);
    let mut hard = vec![-1; n];
    let mut previous = f64::NEG_INFINITY;
    for iteration in 0..iterations {
        learn_means(&mut mixture, strips, &shares);
        learn_variances(&mut mixture, strips, &shares);
        mixture.share_out(strips, &mut shares, &mut hard);
        if iteration > 2 && (mixture.log_likelihood - previous).abs() < 1e-4 * n as f64 {
            break;
        }
        previous = mixture.log_likelihood;
    }
    (hard, mixture)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_are_those_of_the_library() {
        let values: Vec<f64> = (-6990..6990).map(|i| f64::from(i) * 0.1003).collect();
        for values in values.chunks_exact(LANES) {
            let mut found: [f64; LANES] = values.try_into().expect("as many as lanes");
            exponentials(&mut found);
            for (found, value) in found.iter().zip(values) {
                let expected = value.clamp(-700.0, 700.0).exp();
                assert!(
                    (found / expected - 1.0).abs() < 2e-15,
                    "exp({value}): {found:e}, {expected:e}"
                );
            }
        }
        let mut zero = [0.0; LANES];
        exponentials(&mut zero);
        assert_eq!(zero, [1.0; LANES]);
    }
}
