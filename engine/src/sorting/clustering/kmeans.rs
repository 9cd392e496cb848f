//! K-means with greedy k-means++ seeding (Arthur and Vassilvitskii 2007): only ever a start for something better.

use super::random::Random;

/// Candidates of which the best becomes the next seed.
const CANDIDATES: usize = 4;

/// Centres and the label of every point.
pub struct Kmeans {
    /// `[cluster, dimension]`.
    pub centres: Vec<f32>,
    /// `[point]`.
    pub labels: Vec<usize>,
}

/// Clusters `points` `[point, dimension]`; clusters may come out empty and are then left out.
pub fn kmeans(
    points: &[f32],
    dimensions: usize,
    clusters: usize,
    iterations: usize,
    seed: u64,
) -> Kmeans {
    let n = points.len() / dimensions;
    let row = |i: usize| &points[i * dimensions..(i + 1) * dimensions];
    let mut random = Random(seed);
    let mut centres: Vec<f32> = row(random.below(n)).to_vec();
    let mut distance: Vec<f32> = (0..n).map(|i| squared(row(i), &centres)).collect();
    for _ in 1..clusters.min(n) {
        let total: f64 = distance.iter().map(|&d| f64::from(d)).sum();
        let mut best: Option<(f64, usize, Vec<f32>)> = None;
        for _ in 0..CANDIDATES {
            let mut rest = random.uniform() * total;
            let candidate = distance
                .iter()
                .position(|&d| {
                    rest -= f64::from(d);
                    rest < 0.0
                })
                .unwrap_or(n - 1);
            let closer: Vec<f32> = (0..n)
                .map(|i| squared(row(i), row(candidate)).min(distance[i]))
                .collect();
            let sum: f64 = closer.iter().map(|&d| f64::from(d)).sum();
            if best.as_ref().is_none_or(|(best, _, _)| sum < *best) {
                best = Some((sum, candidate, closer));
            }
        }
        let (_, candidate, closer) = best.expect("at least one candidate");
        centres.extend_from_slice(row(candidate));
        distance = closer;
    }
    let mut labels = assign(points, &centres, dimensions);
    for _ in 0..iterations {
        let k = centres.len() / dimensions;
        let mut sums = vec![0.0f64; k * dimensions];
        let mut counts = vec![0usize; k];
        for (i, &label) in labels.iter().enumerate() {
            counts[label] += 1;
            for (sum, &v) in sums[label * dimensions..].iter_mut().zip(row(i)) {
                *sum += f64::from(v);
            }
        }
        for (label, &count) in counts.iter().enumerate().filter(|&(_, &count)| count > 0) {
            for d in 0..dimensions {
                centres[label * dimensions + d] =
                    (sums[label * dimensions + d] / count as f64) as f32;
            }
        }
        let next = assign(points, &centres, dimensions);
        let settled = next == labels;
        labels = next;
        if settled {
            break;
        }
    }
    let used: Vec<usize> = (0..centres.len() / dimensions)
        .filter(|&label| labels.contains(&label))
        .collect();
    let centres = used
        .iter()
        .flat_map(|&k| centres[k * dimensions..(k + 1) * dimensions].to_vec())
        .collect();
    let labels = labels
        .iter()
        .map(|label| used.binary_search(label).expect("used"))
        .collect();
    Kmeans { centres, labels }
}

fn assign(points: &[f32], centres: &[f32], dimensions: usize) -> Vec<usize> {
    points
        .chunks_exact(dimensions)
        .map(|point| {
            let mut best = (f32::INFINITY, 0);
            for (k, centre) in centres.chunks_exact(dimensions).enumerate() {
                let d = squared(point, centre);
                if d < best.0 {
                    best = (d, k);
                }
            }
            best.1
        })
        .collect()
}

fn squared(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}
