//! K-means with greedy k-means++ seeding (Arthur and Vassilvitskii 2007): only ever a start for something better.

use super::{
    random::Random,
    strips::{LANES, Strips, squared_distance},
};

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
    let strips = Strips::new(points.chunks_exact(dimensions), dimensions);
    let mut random = Random(seed);
    let mut centres: Vec<f32> = row(random.below(n)).to_vec();
    let mut distance = vec![f32::INFINITY; n];
    closer(&strips, &centres, &mut distance);
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
            let mut shorter = distance.clone();
            closer(&strips, row(candidate), &mut shorter);
            let sum: f64 = shorter.iter().map(|&d| f64::from(d)).sum();
            if best.as_ref().is_none_or(|(best, _, _)| sum < *best) {
                best = Some((sum, candidate, shorter));
            }
        }
        let (_, candidate, shorter) = best.expect("at least one candidate");
        centres.extend_from_slice(row(candidate));
        distance = shorter;
    }
    let mut labels = assign(&strips, &centres, n);
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
        let next = assign(&strips, &centres, n);
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

/// Lowers each point's squared distance to that from `centre`.
#[multiversion::multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
fn closer(strips: &Strips<f32>, centre: &[f32], distance: &mut [f32]) {
    for (strip, distance) in strips.iter().zip(distance.chunks_mut(LANES)) {
        let squared = squared_distance(strip, centre);
        for (distance, squared) in distance.iter_mut().zip(squared) {
            *distance = squared.min(*distance);
        }
    }
}

/// Nearest centre of each of the `n` points, the first of several.
#[multiversion::multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
fn assign(strips: &Strips<f32>, centres: &[f32], n: usize) -> Vec<usize> {
    let mut nearest = Vec::with_capacity(n);
    for strip in strips.iter() {
        let (mut best, mut label) = ([f32::INFINITY; LANES], [0u32; LANES]);
        for (k, centre) in centres.chunks_exact(strip.len()).enumerate() {
            let squared = squared_distance(strip, centre);
            for lane in 0..LANES {
                let is_less = squared[lane] < best[lane];
                best[lane] = if is_less { squared[lane] } else { best[lane] };
                label[lane] = if is_less { k as u32 } else { label[lane] };
            }
        }
        let own = LANES.min(n - nearest.len());
        nearest.extend(label[..own].iter().map(|&label| label as usize));
    }
    nearest
}
