//! From features to clusters, one channel's events at a time.
//!
//! Over-cluster with a mixture whose noise is known, then merge what no classifier could separate: clusters that are
//! near, that have no valley between them, or that the Bayesian information criterion prefers as one; unless their
//! cross-correlogram says that they are two cells. On the open sets this beat isosplit and HDBSCAN.

pub mod kmeans;
pub mod mixture;
pub mod noise;
pub mod random;
pub mod refractory;
pub mod strips;

use super::events::SpikeEvent;
use crate::{
    linalg::{self, Edge, gaussian},
    parameters::sorting::Clustering,
};
use kmeans::kmeans;
use mixture::{Mixture, fit};
use refractory::{Evidence, RefractoryTest};
use strips::{LANES, Strips};

/// Labels of one channel's events (-1: outlier). Events are in order of time.
pub fn cluster_channel(
    events: &[SpikeEvent],
    parameters: &Clustering,
    test: &RefractoryTest,
) -> Vec<i32> {
    let n = events.len();
    let min_spikes = parameters.min_spikes as usize;
    if n < 2 * min_spikes {
        return vec![0; n];
    }
    let times: Vec<i64> = events.iter().map(|event| event.sample).collect();
    let (points, dimensions) = principal_axes(events, parameters.max_dimensions as usize);
    let single: Vec<f32> = points.iter().map(|&v| v as f32).collect();
    let clusters = (parameters.initial_clusters as usize).min((n / min_spikes).max(2));
    let start: Vec<i32> = kmeans(&single, dimensions, clusters, 15, 0)
        .labels
        .into_iter()
        .map(|label| label as i32)
        .collect();
    let strips = Strips::new(points.chunks_exact(dimensions), dimensions);
    let (mut labels, mut mixture) = fit(&strips, &start, 25);
    loop {
        let counts = counts(&labels, mixture.n_clusters());
        if mixture.n_clusters() > 1
            && let Some(smallest) = (0..counts.len()).min_by_key(|&k| counts[k])
            && counts[smallest] < min_spikes
        {
            let nearest = mixture.without(smallest).nearest(&strips, n);
            (labels, mixture) = fit(&strips, &nearest, 10);
            continue;
        }
        if mixture.n_clusters() == 1 {
            return labels;
        }
        let trains = trains(&labels, &times, mixture.n_clusters());
        let pair = closest_pair(&points, &labels, &mixture, &trains, parameters, test)
            .or_else(|| criterion_pair(&points, &labels, &mixture, &trains, test));
        let Some((i, j)) = pair else { return labels };
        let merged: Vec<i32> = labels
            .iter()
            .map(|&label| match label as usize {
                _ if label < 0 => -1,
                k if k == j => i as i32,
                k if k > j => label - 1,
                _ => label,
            })
            .collect();
        (labels, mixture) = fit(&strips, &merged, 10);
    }
}

/// Events rotated to their principal axes, those above the noise edge (Marchenko and Pastur 1967) kept.
fn principal_axes(events: &[SpikeEvent], max_dimensions: usize) -> (Vec<f64>, usize) {
    let n = events.len();
    let full = events[0].features.len();
    // Channels beyond the probe's edge are padding: all zero, and no dimension.
    let used: Vec<usize> = (0..full)
        .filter(|&d| events.iter().any(|event| event.features[d] != 0.0))
        .collect();
    let d = used.len().max(1);
    let rows: Vec<Vec<f32>> = used
        .iter()
        .map(|&u| {
            events
                .iter()
                .map(|event| event.features[u])
                .collect::<Vec<f32>>()
        })
        .collect();
    let means: Vec<f64> = rows
        .iter()
        .map(|row| row.iter().map(|&v| f64::from(v)).sum::<f64>() / n as f64)
        .collect();
    let mut covariance = vec![0.0; d * d];
    for i in 0..rows.len() {
        for j in 0..=i {
            let product = linalg::dot(&rows[i], &rows[j]);
            let value = (product - n as f64 * means[i] * means[j]) / (n as f64 - 1.0).max(1.0);
            covariance[i * d + j] = value;
            covariance[j * d + i] = value;
        }
    }
    let (values, vectors) = linalg::eigh(&covariance, d);
    let edge = (1.0 + (d as f64 / n as f64).sqrt()).powi(2);
    let kept = values
        .iter()
        .filter(|&&value| value > edge)
        .count()
        .clamp(2.min(d), max_dimensions.max(2).min(d));
    let mut points = vec![0.0; n * kept];
    for (i, row) in rows.iter().enumerate() {
        for k in 0..kept {
            let v = vectors[k * d + i];
            for (e, &x) in row.iter().enumerate() {
                points[e * kept + k] += v * f64::from(x);
            }
        }
    }
    (points, kept)
}

fn counts(labels: &[i32], clusters: usize) -> Vec<usize> {
    let mut counts = vec![0; clusters];
    labels
        .iter()
        .filter(|&&label| label >= 0)
        .for_each(|&label| counts[label as usize] += 1);
    counts
}

fn trains(labels: &[i32], times: &[i64], clusters: usize) -> Vec<Vec<i64>> {
    let mut trains = vec![Vec::new(); clusters];
    for (&label, &time) in labels.iter().zip(times).filter(|&(&label, _)| label >= 0) {
        trains[label as usize].push(time);
    }
    trains
}

/// The pair of clusters that is easiest to take for one, if any is too near or has no valley between.
fn closest_pair(
    points: &[f64],
    labels: &[i32],
    mixture: &Mixture,
    trains: &[Vec<i64>],
    parameters: &Clustering,
    test: &RefractoryTest,
) -> Option<(usize, usize)> {
    let d = mixture.dimensions;
    let mut members: Vec<Vec<&[f64]>> = vec![Vec::new(); mixture.n_clusters()];
    for (point, &label) in points.chunks_exact(d).zip(labels) {
        if label >= 0 {
            members[label as usize].push(point);
        }
    }
    let members: Vec<(usize, Strips<f64>)> = members
        .into_iter()
        .map(|points| (points.len(), Strips::new(points.into_iter(), d)))
        .collect();
    let mut values = Vec::new();
    let mut best: Option<(f64, usize, usize)> = None;
    for i in 0..mixture.n_clusters() {
        for j in i + 1..mixture.n_clusters() {
            let (axis, separation) = discriminant(mixture, i, j);
            let project = |point: &[f64]| point.iter().zip(&axis).map(|(x, w)| x * w).sum::<f64>();
            values.clear();
            for (n, points) in [&members[i], &members[j]] {
                project_all(points, *n, &axis, &mut values);
            }
            let valley = valley(
                &values,
                project(mixture.centre(i)),
                project(mixture.centre(j)),
            );
            if separation < parameters.min_separation || valley < parameters.min_valley {
                if separation > 1.0 && test.compare(&trains[i], &trains[j]) == Evidence::TwoCells {
                    continue;
                }
                let key = (separation / parameters.min_separation).min(1.5) + valley;
                if best.is_none_or(|(best, _, _)| key < best) {
                    best = Some((key, i, j));
                }
            }
        }
    }
    best.map(|(_, i, j)| (i, j))
}

/// Appends the products of `n` points with `axis`.
#[multiversion::multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
fn project_all(points: &Strips<f64>, n: usize, axis: &[f64], out: &mut Vec<f64>) {
    let end = out.len() + n;
    for strip in points.iter() {
        let products = strips::product(strip, axis);
        out.extend_from_slice(&products[..LANES.min(end - out.len())]);
    }
}

/// Direction that separates two clusters best, scaled to unit variance within, and their distance along it.
fn discriminant(mixture: &Mixture, i: usize, j: usize) -> (Vec<f64>, f64) {
    let d = mixture.dimensions;
    let (a, b) = (mixture.centre(i), mixture.centre(j));
    let difference: Vec<f64> = a.iter().zip(b).map(|(a, b)| b - a).collect();
    let mut within = vec![0.0; d * d];
    for r in 0..d {
        for c in 0..d {
            within[r * d + c] = 0.5
                * (mixture.amplitude_variance[i] * a[r] * a[c]
                    + mixture.amplitude_variance[j] * b[r] * b[c]);
        }
        within[r * d + r] += 0.5 * (mixture.spread[i] + mixture.spread[j]);
    }
    let axis = linalg::solve_spd(&within, d, &difference, 1).unwrap_or_else(|| difference.clone());
    let separation = axis
        .iter()
        .zip(&difference)
        .map(|(w, x)| w * x)
        .sum::<f64>()
        .max(1e-12)
        .sqrt();
    (
        axis.into_iter().map(|w| w / separation).collect(),
        separation,
    )
}

/// Bins of the histogram in which a valley is looked for.
const BINS: usize = 60;

/// Depth of the valley between two centres `a < b`: 1 minus valley over the smaller peak of a smoothed histogram, with
/// the sampling error counted in the valley's favour.
fn valley(values: &[f64], a: f64, b: f64) -> f64 {
    let (low, high) = (a - 1.5 * (b - a), b + 1.5 * (b - a));
    let width = (high - low) / BINS as f64;
    let mut histogram = [0.0f64; BINS];
    for &value in values {
        let bin = (value - low) / width;
        if bin >= 0.0 && bin < BINS as f64 {
            histogram[bin as usize] += 1.0;
        }
    }
    let sigma = (0.6 * BINS as f64 * (values.len() as f64).powf(-0.2) / 4.0).max(1.0);
    let smooth = gaussian(&histogram, sigma, Edge::Reflect);
    let centre = |x: f64| (((x - low) / width - 0.5).ceil().max(0.0) as usize).min(BINS - 1);
    let (ia, ib) = (centre(a), centre(b));
    if ib < ia + 2 {
        return 0.0;
    }
    let at = (ia..=ib)
        .min_by(|&x, &y| smooth[x].total_cmp(&smooth[y]))
        .expect("not empty");
    let peak =
        |range: std::ops::RangeInclusive<usize>| range.map(|i| smooth[i]).fold(0.0, f64::max);
    let top = peak(ia.saturating_sub(4)..=at).min(peak(at..=(ib + 4).min(BINS - 1)));
    let error = 2.5 * (top.max(1.0) / (3.54 * sigma)).sqrt();
    1.0 - ((smooth[at] + error) / (top + 1e-9)).min(1.0)
}

/// The neighbouring pair that loses most by being two clusters, by the Bayesian information criterion, if any does.
fn criterion_pair(
    points: &[f64],
    labels: &[i32],
    mixture: &Mixture,
    trains: &[Vec<i64>],
    test: &RefractoryTest,
) -> Option<(usize, usize)> {
    let (k, d) = (mixture.n_clusters(), mixture.dimensions);
    let distance = |i: usize, j: usize| -> f64 {
        mixture
            .centre(i)
            .iter()
            .zip(mixture.centre(j))
            .map(|(a, b)| (a - b) * (a - b))
            .sum()
    };
    let nearest: Vec<f64> = (0..k)
        .map(|i| {
            (0..k)
                .filter(|&j| j != i)
                .map(|j| distance(i, j))
                .fold(f64::INFINITY, f64::min)
        })
        .collect();
    let mut worst: Option<(f64, usize, usize)> = None;
    for i in 0..k {
        for j in i + 1..k {
            if distance(i, j) > nearest[i] + 1e-6 && distance(i, j) > nearest[j] + 1e-6 {
                continue;
            }
            if test.compare(&trains[i], &trains[j]) == Evidence::TwoCells {
                continue;
            }
            let mut members = Vec::new();
            let mut two = Vec::new();
            for (point, &label) in points.chunks_exact(d).zip(labels) {
                if label == i as i32 || label == j as i32 {
                    members.extend_from_slice(point);
                    two.push(i32::from(label == j as i32));
                }
            }
            let members = Strips::new(members.chunks_exact(d), d);
            let (_, one) = fit(&members, &vec![0; two.len()], 3);
            let (_, both) = fit(&members, &two, 5);
            let gain = both.log_likelihood
                - one.log_likelihood
                - 0.5 * (d as f64 + 2.0) * (two.len() as f64).ln();
            if gain < 0.0 && worst.is_none_or(|(worst, _, _)| gain < worst) {
                worst = Some((gain, i, j));
            }
        }
    }
    worst.map(|(_, i, j)| (i, j))
}

#[cfg(test)]
mod tests {
    use super::{random::Random, *};

    fn normal(random: &mut Random) -> f32 {
        (0..12).map(|_| random.uniform() as f32).sum::<f32>() - 6.0
    }

    fn events(centres: &[&[f32]], each: usize) -> Vec<SpikeEvent> {
        let mut random = Random(3);
        let mut sample = 0;
        (0..each * centres.len())
            .map(|i| {
                sample += 3000;
                let centre = centres[i % centres.len()];
                SpikeEvent {
                    sample,
                    channel: 0,
                    unit: -1,
                    amplitude: 1.0,
                    features: centre.iter().map(|&c| c + normal(&mut random)).collect(),
                }
            })
            .collect()
    }

    #[test]
    fn separates_what_is_separate_and_no_more() {
        let test = RefractoryTest::new(30000.0, 10_000_000);
        let parameters = Clustering::default();
        for (centres, want) in [
            (vec![&[8.0f32, 0.0, 0.0, 0.0][..]], 1),
            (vec![&[8.0f32, 0.0, 0.0, 0.0][..], &[0.0, 9.0, 0.0, 0.0]], 2),
            (
                vec![
                    &[8.0f32, 0.0, 0.0, 0.0][..],
                    &[0.0, 9.0, 0.0, 0.0],
                    &[0.0, 0.0, -10.0, 5.0],
                ],
                3,
            ),
        ] {
            let events = events(&centres, 300);
            let labels = cluster_channel(&events, &parameters, &test);
            let found = labels.iter().copied().max().unwrap_or(-1) + 1;
            assert_eq!(found, want);
            let right = (0..labels.len())
                .filter(|&i| labels[i] >= 0 && labels[i] == labels[i % centres.len()])
                .count();
            assert!(
                right * 100 >= labels.len() * 97,
                "{right} of {}",
                labels.len()
            );
        }
    }
}
