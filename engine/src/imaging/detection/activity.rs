//! Cells that are only seen when they fire.
//!
//! Where the energy of the activity peaks and the network has seen no cell, the pixels around are factorised into one
//! footprint and one trace. What comes out must look like a cell (large enough, round, one piece) and the network must not
//! hold it for unlikely: fragments of dendrites and bright edges pass the first test alone.

use rayon::prelude::*;

use super::summary::{Standardiser, Summary, group_bins};
use crate::{
    device::Executor,
    error::Result,
    imaging::{
        binned_movie::BinnedMovie,
        morphology::{ImageSize, Patch, aspect_ratio, disc, iou, n_shared},
        rois::{Origin, Roi},
    },
    linalg,
    parameters::imaging::Activity,
    stream::Control,
};

/// Half the side of the patch around a peak, pixels.
pub(crate) const HALF_PATCH: usize = 14;
/// Peaks that are looked at, at most.
pub(crate) const MAX_PEAKS: usize = 300;
/// Values of all patches that are in memory at once.
pub(crate) const MAX_VALUES: usize = 24 << 20;
/// Rounds of the factorisation.
const ROUNDS: usize = 4;
/// A bin is active when the trace stands this many noise deviations above its median.
const ACTIVE_SD: f32 = 2.0;
/// A footprint ends where it falls below this part of its peak.
const EDGE_LEVEL: f32 = 0.35;
/// A footprint's peak is looked for this far from the seed, pixels.
const PEAK_REACH: f64 = 5.0;

/// Looks for cells that are not among `known`; `probabilities` `[y, x]` are the network's.
///
/// # Errors
/// When the binned movie cannot be read, the device fails, or the run is stopped.
pub fn find(
    bins: &BinnedMovie,
    summary: &Summary,
    probabilities: &[f32],
    standardiser: &Standardiser,
    known: &[Roi],
    typical_area: f64,
    parameters: &Activity,
    executor: &dyn Executor,
    control: &Control,
) -> Result<Vec<Roi>> {
    let size = ImageSize {
        height: bins.height,
        width: bins.width,
    };
    let peaks = peaks(summary, known, size, parameters);
    let per_peak = bins.n_bins * (2 * HALF_PATCH + 1).pow(2);
    let together = (MAX_VALUES / per_peak.max(1)).max(1);
    let mut found: Vec<Roi> = Vec::new();
    for peaks in peaks.chunks(together) {
        let patches = patches(bins, peaks, standardiser, size, executor, control)?;
        let bodies: Vec<Option<Vec<u32>>> = peaks
            .par_iter()
            .zip(&patches)
            .map(|(&peak, (patch, values))| factorise(peak, patch, values, size))
            .collect();
        for body in bodies.into_iter().flatten() {
            let mean = |values: &[f32]| {
                body.iter().map(|&p| values[p as usize]).sum::<f32>() / body.len() as f32
            };
            let probability = mean(probabilities);
            let is_new = known.iter().chain(&found).all(|roi| {
                let smaller = roi.body.len().min(body.len()).max(1);
                iou(&roi.body, &body) < 0.3
                    && (n_shared(&roi.body, &body) as f64) < 0.5 * smaller as f64
            });
            if is_new
                && body.len() as f64 > parameters.min_area * typical_area
                && aspect_ratio(&body, size) < parameters.max_aspect_ratio
                && f64::from(probability) > parameters.min_probability
            {
                found.push(Roi::proposal(body, probability, Origin::Activity));
            }
        }
    }
    Ok(found)
}

/// Pixels where the energy peaks outside all known cells, the largest first.
fn peaks(summary: &Summary, known: &[Roi], size: ImageSize, parameters: &Activity) -> Vec<u32> {
    let mut covered = vec![false; summary.energy.len()];
    for roi in known {
        if let Some(body) = Patch::of(&roi.body, 3, size) {
            for pixel in body.dilated(&disc(2.0)).pixels(size) {
                covered[pixel as usize] = true;
            }
        }
    }
    let smooth = Patch {
        top: 0,
        left: 0,
        height: size.height,
        width: size.width,
        values: summary
            .energy
            .iter()
            .map(|e| e.sqrt())
            .collect::<Vec<f32>>(),
    }
    .blurred(1.3);
    let steps = disc(4.0);
    let least = (parameters.min_energy as f32).sqrt();
    let mut peaks: Vec<u32> = (0..smooth.values.len())
        .filter(|&i| !covered[i] && summary.measured[i] && smooth.values[i] > least)
        .filter(|&i| {
            let (y, x) = ((i / size.width) as i64, (i % size.width) as i64);
            steps.iter().all(|(dy, dx)| {
                let (y, x) = (y + dy, x + dx);
                let inside =
                    (0..size.height as i64).contains(&y) && (0..size.width as i64).contains(&x);
                !inside || smooth.values[y as usize * size.width + x as usize] <= smooth.values[i]
            })
        })
        .map(|i| i as u32)
        .collect();
    peaks.sort_by(|&a, &b| {
        smooth.values[b as usize]
            .total_cmp(&smooth.values[a as usize])
            .then(a.cmp(&b))
    });
    peaks.truncate(MAX_PEAKS);
    peaks
}

/// The standardised bins of the patches around peaks: `[bin, y, x]` each.
fn patches(
    bins: &BinnedMovie,
    peaks: &[u32],
    standardiser: &Standardiser,
    size: ImageSize,
    executor: &dyn Executor,
    control: &Control,
) -> Result<Vec<(Patch<()>, Vec<f32>)>> {
    let mut patches: Vec<(Patch<()>, Vec<f32>)> = peaks
        .iter()
        .map(|&peak| {
            let patch = Patch::around(&[peak], HALF_PATCH, size, ()).expect("a pixel");
            let n_values = bins.n_bins * patch.height * patch.width;
            (patch, Vec::with_capacity(n_values))
        })
        .collect();
    let n_pixels = bins.n_pixels();
    let standardised = |_: usize, group: &[f32]| {
        control.check()?;
        standardiser.standardised(group, executor)
    };
    bins.for_each_group(group_bins(n_pixels), standardised, |z| {
        for (patch, values) in &mut patches {
            for bin in z.chunks_exact(n_pixels) {
                for y in patch.top..patch.top + patch.height {
                    let row = y * size.width + patch.left;
                    values.extend_from_slice(&bin[row..row + patch.width]);
                }
            }
        }
        Ok(())
    })?;
    Ok(patches)
}

/// One footprint and one trace of a patch; the footprint's pixels, or `None` when it is no single piece at the seed.
fn factorise(peak: u32, patch: &Patch<()>, values: &[f32], size: ImageSize) -> Option<Vec<u32>> {
    let n = patch.height * patch.width;
    let seed = patch.index(peak, size)?;
    let distance = |i: usize| {
        let dy = (i / patch.width) as f64 - (seed / patch.width) as f64;
        let dx = (i % patch.width) as f64 - (seed % patch.width) as f64;
        (dy * dy + dx * dx).sqrt()
    };
    let mut footprint: Vec<f32> = (0..n)
        .map(|i| (-distance(i).powi(2) / (2.0 * 2.5 * 2.5)).exp() as f32)
        .collect();
    let mut body = patch.with(vec![false; n]);
    for _ in 0..ROUNDS {
        let power: f32 = footprint.iter().map(|v| v * v).sum();
        let mut trace: Vec<f32> = values
            .chunks_exact(n)
            .map(|bin| linalg::dot(bin, &footprint) as f32 / power)
            .collect();
        let middle = linalg::median(&mut trace.clone());
        trace.iter_mut().for_each(|v| *v -= middle);
        let mut sizes: Vec<f32> = trace.iter().map(|v| v.abs()).collect();
        let noise = 1.4826 * linalg::median(&mut sizes) + 1e-9;
        for value in &mut trace {
            if *value <= ACTIVE_SD * noise {
                *value = 0.0;
            }
        }
        if trace.iter().filter(|v| **v > 0.0).count() < 2 {
            return None;
        }
        let power: f32 = trace.iter().map(|v| v * v).sum();
        footprint.fill(0.0);
        for (bin, &amplitude) in values
            .chunks_exact(n)
            .zip(&trace)
            .filter(|(_, a)| **a > 0.0)
        {
            for (sum, value) in footprint.iter_mut().zip(bin) {
                *sum += amplitude * value;
            }
        }
        footprint
            .iter_mut()
            .for_each(|v| *v = (*v / power).max(0.0));
        let smooth = patch.with(footprint.clone()).blurred(0.8);
        let top = (0..n)
            .filter(|&i| distance(i) <= PEAK_REACH)
            .map(|i| smooth.values[i])
            .fold(0.0, f32::max);
        let mask = smooth.with(
            smooth
                .values
                .iter()
                .map(|v| *v > EDGE_LEVEL * top)
                .collect(),
        );
        let part = mask.parts().into_iter().min_by(|a, b| {
            let nearest = |part: &Patch<bool>| {
                let inside = (0..n).filter(|&i| part.values[i]);
                inside.map(distance).fold(f64::INFINITY, f64::min)
            };
            nearest(a).total_cmp(&nearest(b))
        })?;
        if !(0..n).any(|i| part.values[i] && distance(i) <= PEAK_REACH) {
            return None;
        }
        body = part.filled();
        for (value, inside) in footprint.iter_mut().zip(&body.values) {
            if !inside {
                *value = 0.0;
            }
        }
    }
    Some(body.pixels(size))
}
