//! From the network's labels to cells: which masks are believed.

use super::{
    rois::{Origin, Roi},
    segmentation::{Labels, Prediction},
};
use crate::{linalg, parameters::imaging::Segmentation};

/// Probability of every pixel from the network's log odds.
pub fn probabilities(prediction: &Prediction) -> Vec<f32> {
    prediction
        .logits
        .iter()
        .map(|logit| 1.0 / (1.0 + (-logit).exp()))
        .collect()
}

/// Pixels of each label, ascending.
pub fn bodies(labels: &Labels) -> Vec<Vec<u32>> {
    let mut bodies: Vec<Vec<u32>> = vec![Vec::new(); labels.count()];
    for (pixel, &label) in labels
        .labels
        .iter()
        .enumerate()
        .filter(|(_, label)| **label > 0)
    {
        bodies[label as usize - 1].push(pixel as u32);
    }
    bodies
}

/// Masks as cells, those dropped that the network itself holds for unlikely or that are far smaller than the others.
pub fn from_labels(labels: &Labels, probabilities: &[f32], parameters: &Segmentation) -> Vec<Roi> {
    let bodies = bodies(labels);
    let mut areas: Vec<f32> = bodies.iter().map(|body| body.len() as f32).collect();
    let typical = f64::from(linalg::median(&mut areas));
    bodies
        .into_iter()
        .filter(|body| !body.is_empty())
        .map(|body| {
            let sum: f32 = body.iter().map(|&p| probabilities[p as usize]).sum();
            let probability = sum / body.len() as f32;
            Roi::proposal(body, probability, Origin::Network)
        })
        .filter(|roi| {
            let large = roi.body.len() as f64 > parameters.min_area * typical;
            f64::from(roi.probability) > parameters.min_probability
                && (large || roi.touches_edge(labels.height, labels.width))
        })
        .collect()
}
