//! How likely each region is a cell.
//!
//! The network has looked at the images; shape and activity have their say as well. A logistic regression joins them; its coefficients come
//! from simulated movies with known cells (training/classifier.py; twelve kinds, 1343 regions).

use super::{
    deconvolution::TraceStatistics,
    morphology::{ImageSize, aspect_ratio},
    rois::Roi,
};
use crate::linalg;

/// Intercept, then one coefficient for each feature.
const COEFFICIENTS: [f64; 5] = [0.23, 1.44, -3.51, -1.2, 0.65];

/// What is looked at: log odds of the network, log area relative to the typical cell (its magnitude), log of the aspect ratio, log of the
/// signal over noise.
fn features(
    roi: &Roi,
    statistics: &TraceStatistics,
    typical_area: f64,
    size: ImageSize,
) -> [f64; 4] {
    let p = f64::from(roi.probability).clamp(1e-4, 1.0 - 1e-4);
    [
        (p / (1.0 - p)).ln(),
        (roi.body.len() as f64 / typical_area.max(1.0)).ln().abs(),
        aspect_ratio(&roi.body, size).clamp(1.0, 10.0).ln(),
        f64::from(statistics.snr.max(0.1)).ln(),
    ]
}

/// Probability of being a cell for each region.
pub fn probabilities(
    rois: &[Roi],
    statistics: &[TraceStatistics],
    [height, width]: [usize; 2],
) -> Vec<f32> {
    let mut areas: Vec<f32> = rois.iter().map(|roi| roi.body.len() as f32).collect();
    let typical = f64::from(linalg::median(&mut areas));
    rois.iter()
        .zip(statistics)
        .map(|(roi, statistics)| {
            let features = features(roi, statistics, typical, ImageSize { height, width });
            let sum: f64 = features
                .iter()
                .zip(&COEFFICIENTS[1..])
                .map(|(x, c)| x * c)
                .sum();
            (1.0 / (1.0 + (-(COEFFICIENTS[0] + sum)).exp())) as f32
        })
        .collect()
}
