//! Templates without what lies above a quarter of the sampling rate.
//!
//! At 30 kHz nearly all of a spike is below 6 kHz; what a mean holds above is the noise that averaging left. Without it, scores
//! need half the frequencies (`score_templates`). Where spikes do reach higher (low sampling rates) templates stay as they are.

use std::f64::consts::{PI, TAU};

use rayon::prelude::*;

use super::templates::{Taps, Template};
use crate::linalg;

/// Where the filter falls to half, as a part of the sampling rate. A quarter of the rate is well into what it stops.
const CUT: f64 = 0.22;
/// Samples of the filter to each side.
const HALF: usize = 20;
/// Share of the energy on the templates' main channels that may be lost. On the others there is more noise, which should be.
const MOST_LOST: f64 = 0.01;

/// The templates up to a quarter of the sampling rate; as they are when too much of them lies above.
pub fn low_passed(templates: Vec<Template>, taps: Taps) -> Vec<Template> {
    let filter = filter();
    let passed: Vec<Template> = templates
        .par_iter()
        .map(|template| Template {
            channels: template.channels.clone(),
            waveform: template
                .waveform
                .chunks_exact(taps.n)
                .flat_map(|row| apply(&filter, row))
                .collect(),
            n_events: template.n_events,
        })
        .collect();
    let (mut before, mut after) = (0.0, 0.0);
    for (template, passed) in templates.iter().zip(&passed) {
        if !template.channels.is_empty() {
            let main = template.main_entry(taps);
            let energy = |row: &[f32]| linalg::dot(row, row);
            before += energy(template.row(main, taps));
            after += energy(passed.row(main, taps));
        }
    }
    if after >= (1.0 - MOST_LOST) * before {
        passed
    } else {
        templates
    }
}

/// A low pass: windowed sinc (Hann), symmetric, of sum 1.
fn filter() -> Vec<f64> {
    let taps = (0..=2 * HALF).map(|k| {
        let x = k as f64 - HALF as f64;
        let sinc = if x == 0.0 {
            2.0 * CUT
        } else {
            (TAU * CUT * x).sin() / (PI * x)
        };
        sinc * (0.5 + 0.5 * (PI * x / (HALF + 1) as f64).cos())
    });
    let taps: Vec<f64> = taps.collect();
    let sum: f64 = taps.iter().sum();
    taps.iter().map(|tap| tap / sum).collect()
}

/// A channel of a template, filtered.
fn apply(filter: &[f64], row: &[f32]) -> impl Iterator<Item = f32> {
    (0..row.len()).map(move |t| {
        let first = t.saturating_sub(HALF);
        let last = (t + HALF).min(row.len() - 1);
        let taps = &filter[first + HALF - t..];
        let products = row[first..=last].iter().zip(taps);
        products.map(|(&v, tap)| f64::from(v) * tap).sum::<f64>() as f32
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAPS: Taps = Taps { n: 120, before: 40 };

    /// A burst around the middle at a part of the sampling rate.
    fn burst(rate: f64) -> Template {
        let waveform = (0..TAPS.n).map(|t| {
            let x = t as f64 - 60.0;
            (100.0 * (-x * x / 200.0).exp() * (TAU * rate * x).cos()) as f32
        });
        Template {
            channels: vec![3],
            waveform: waveform.collect(),
            n_events: 50.0,
        }
    }

    #[test]
    fn a_spike_of_low_frequencies_stays() {
        let slow = burst(0.1);
        let passed = low_passed(vec![slow.clone()], TAPS);
        let worst = slow
            .waveform
            .iter()
            .zip(&passed[0].waveform)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(worst < 0.5, "{worst} of 100");
        assert_eq!(passed[0].channels, slow.channels);
    }

    #[test]
    fn spikes_of_high_frequencies_are_left_as_they_are() {
        let templates = vec![burst(0.1), burst(0.3)];
        for (kept, own) in low_passed(templates.clone(), TAPS).iter().zip(&templates) {
            assert_eq!(kept.waveform, own.waveform);
        }
    }

    #[test]
    fn noise_above_goes() {
        let mut noisy = burst(0.1);
        let noise = burst(0.35);
        for (value, noise) in noisy.waveform.iter_mut().zip(&noise.waveform) {
            *value += 0.05 * noise;
        }
        let passed = low_passed(vec![noisy], TAPS);
        let clean = burst(0.1);
        let left = passed[0]
            .waveform
            .iter()
            .zip(&clean.waveform)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(left < 0.5, "{left} of 5");
    }
}
