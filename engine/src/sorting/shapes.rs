//! Temporal shapes of spikes, learned from the data: principal components and prototypes.
//!
//! Isolated threshold crossings of both signs, from the whitened survey, are normalised; their principal components
//! are the basis of all features, and the centres of a k-means in that basis are the shapes with which universal
//! templates are built.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{clustering::kmeans::kmeans, preprocessing::survey::Survey};
use crate::{linalg, parameters::sorting::Detection};

/// Crossing that begins a clip, noise deviations.
const CLIP_THRESHOLD: f32 = 5.0;
/// Clips of one channel, at most.
const CLIPS_PER_CHANNEL: usize = 400;

/// Shapes of spikes in time.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Shapes {
    /// Samples of a shape.
    pub n_taps: usize,
    /// Samples from its start to the trough.
    pub before: usize,
    /// Orthonormal principal components, `[component, tap]`.
    pub basis: Vec<f32>,
    /// Prototypes of unit norm, `[shape, tap]`.
    pub prototypes: Vec<f32>,
}

impl Shapes {
    /// Number of components.
    pub fn n_components(&self) -> usize {
        self.basis.len() / self.n_taps
    }
    /// Number of prototypes.
    pub fn n_shapes(&self) -> usize {
        self.prototypes.len() / self.n_taps
    }

    /// Smallest correlation of a prototype with itself `lag` samples later: what is left of a score that far off.
    pub fn autocorrelation(&self, lag: usize) -> f32 {
        self.prototypes
            .chunks_exact(self.n_taps)
            .map(|shape| shape.iter().zip(&shape[lag..]).map(|(a, b)| a * b).sum())
            .fold(1.0, f32::min)
    }
}

/// Learns shapes from the whitened survey; `None` when there are too few crossings to learn anything from.
pub fn learn(
    survey: &Survey,
    parameters: &Detection,
    sampling_frequency_hz: f64,
) -> Option<Shapes> {
    let at_rate = |ms: f64| (ms * sampling_frequency_hz / 1000.0).round() as usize;
    let (before, n_taps) = (at_rate(20.0 / 30.0), at_rate(2.0));
    let clips: Vec<f32> = (0..survey.n_channels)
        .into_par_iter()
        .map(|c| channel_clips(survey.channel(c), survey.piece, before, n_taps))
        .collect::<Vec<_>>()
        .concat();
    let n_clips = clips.len() / n_taps;
    let n_components = (parameters.n_components as usize).min(n_taps);
    if n_clips < 4 * n_components.max(parameters.n_shapes as usize) {
        return None;
    }
    let mut gram = vec![0.0f64; n_taps * n_taps];
    for clip in clips.chunks_exact(n_taps) {
        for i in 0..n_taps {
            for j in 0..=i {
                gram[i * n_taps + j] += f64::from(clip[i]) * f64::from(clip[j]);
            }
        }
    }
    for i in 0..n_taps {
        for j in 0..i {
            gram[j * n_taps + i] = gram[i * n_taps + j];
        }
    }
    let (_, vectors) = linalg::eigh(&gram, n_taps);
    let basis: Vec<f32> = vectors[..n_components * n_taps]
        .iter()
        .map(|&v| v as f32)
        .collect();
    let projected: Vec<f32> = clips
        .chunks_exact(n_taps)
        .flat_map(|clip| {
            basis
                .chunks_exact(n_taps)
                .map(move |component| clip.iter().zip(component).map(|(a, b)| a * b).sum::<f32>())
        })
        .collect();
    let found = kmeans(
        &projected,
        n_components,
        parameters.n_shapes as usize,
        30,
        0,
    );
    let prototypes = found
        .centres
        .chunks_exact(n_components)
        .flat_map(|centre| {
            let mut shape = vec![0.0f32; n_taps];
            for (&weight, component) in centre.iter().zip(basis.chunks_exact(n_taps)) {
                shape
                    .iter_mut()
                    .zip(component)
                    .for_each(|(s, v)| *s += weight * v);
            }
            let norm = shape
                .iter()
                .map(|v| v * v)
                .sum::<f32>()
                .sqrt()
                .max(f32::MIN_POSITIVE);
            shape.into_iter().map(move |v| v / norm)
        })
        .collect();
    Some(Shapes {
        n_taps,
        before,
        basis,
        prototypes,
    })
}

/// Normalised clips around isolated crossings of one whitened channel.
fn channel_clips(x: &[f32], piece: usize, before: usize, n_taps: usize) -> Vec<f32> {
    let mut peaks: Vec<usize> = Vec::new();
    for t in 1..x.len().saturating_sub(1) {
        let v = x[t].abs();
        if v > CLIP_THRESHOLD && v >= x[t - 1].abs() && v > x[t + 1].abs() {
            match peaks.last() {
                // Of crossings closer than half a clip only the largest is a peak.
                Some(&last) if t - last < n_taps / 2 => {
                    if v > x[last].abs() {
                        *peaks.last_mut().expect("not empty") = t;
                    }
                }
                _ => peaks.push(t),
            }
        }
    }
    let isolated: Vec<usize> = (0..peaks.len())
        .filter(|&i| {
            let t = peaks[i];
            (i == 0 || t - peaks[i - 1] > n_taps)
                && (i + 1 == peaks.len() || peaks[i + 1] - t > n_taps)
                && t % piece >= n_taps
                && t % piece + n_taps < piece
        })
        .map(|i| peaks[i])
        .collect();
    let step = isolated.len().div_ceil(CLIPS_PER_CHANNEL).max(1);
    isolated
        .into_iter()
        .step_by(step)
        .flat_map(|t| {
            let clip = &x[t - before..t - before + n_taps];
            let norm = clip.iter().map(|v| v * v).sum::<f32>().sqrt();
            clip.iter().map(move |v| v / norm)
        })
        .collect()
}
