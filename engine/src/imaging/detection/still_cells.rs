//! Cells that never fire, by light that does not follow the neuropil.
//!
//! A silent cell is a dim ring in a mean image whose tissue is as coarse as the ring. But the light of tissue comes and goes
//! with the neuropil around it, in proportion to its brightness, and a cell's own light does not. So each pixel between the known
//! cells is regressed on the neuropil there; the slope says how bright the tissue is, its grain included, and what the mean image
//! holds beyond that is still light. The network looks at this image as at the mean of a still one, and what it sees is new or
//! better outlined than in the mean. Where the neuropil hardly moves the slopes explain nothing, and nothing is looked for.

use super::summary::{local_contrast, percentile};
use crate::{
    device::{Commands, Executor},
    error::Result,
    imaging::{
        demixing::{
            background::COARSE_SPACING,
            contour,
            footprints::Plane,
            solver::{DeviceRows, Solver},
        },
        morphology::{ImageSize, Patch, aspect_ratio, disc, iou, n_shared},
        proposals,
        rois::{Origin, Roi, Rows},
        segmentation::{self, Network},
    },
    linalg,
    parameters::imaging::{Segmentation, StillCells},
    stream::Control,
};

/// Bytes of the bins that travel together.
pub(crate) const GROUP_BYTES: usize = 8 << 20;
/// Pixels around a cell that it lights up.
const GLOW: f64 = 1.0;
/// Pixels on each side of the square whose mean is taken out before slopes are compared with the light.
const LOCAL_RADIUS: usize = 12;
/// A cell whose activity nowhere stands this many noise deviations out (of 3 × 3 pixels, as the summary has it; noise alone
/// reaches 3 to 4) may be drawn anew from its still light.
const SILENT_SD: f32 = 5.0;
/// Part of the body's pixels that stay below that.
const SILENT_PART: f64 = 0.75;
/// A mask is a known cell's own from this intersection over union on.
const SAME_IOU: f64 = 0.3;
/// A mask is no new cell when known ones share this part of it.
const SHARED: f64 = 0.5;

/// Distances between which the ring around a silent cell lies, pixels.
const RING: (f64, f64) = (1.0, 4.0);
/// Pixels of a body and of the ring around it that must be seen.
const LEAST_BODY: usize = 20;
/// Outlines of a silent cell, each from the last.
const OUTLINES: usize = 2;
/// Stiffness of the outlines of silent cells: still light is noisier than a footprint.
const STIFFNESS: f64 = 0.1;

/// What is seen of cells that never fire.
pub struct Seen<'a> {
    /// The plane's bins, mean and noise.
    pub plane: &'a Plane<'a>,
    /// Largest activity of each pixel, noise deviations, `[y, x]`.
    pub largest: &'a [f32],
    /// Area of the typical cell, pixels.
    pub typical_area: f64,
}

/// Light that does not follow the neuropil, `[y, x]`, and the pixels that have it.
struct StillLight {
    values: Vec<f32>,
    free: Vec<bool>,
    /// Part of the mean image's local variance that the slopes explain.
    explained: f64,
}

/// Looks for cells that never fire among `rois`: draws silent ones anew, appends those that are new.
///
/// # Errors
/// When the binned movie cannot be read, the device fails, or the run is stopped.
pub fn find(
    seen: &Seen<'_>,
    rois: &mut Vec<Roi>,
    network: &Network,
    scale: f64,
    parameters: &StillCells,
    segmentation: &Segmentation,
    executor: &dyn Executor,
    control: &Control,
) -> Result<()> {
    if !parameters.find || seen.plane.bins.n_bins < 3 {
        return Ok(());
    }
    let size = seen.plane.size();
    let silent: Vec<bool> = rois
        .iter()
        .map(|roi| is_silent(roi, seen.largest))
        .collect();
    let active: Vec<&Roi> = rois
        .iter()
        .zip(&silent)
        .filter(|(_, silent)| !**silent)
        .map(|(roi, _)| roi)
        .collect();
    let still = still_light(seen.plane, &active, executor, control)?;
    if still.explained < parameters.min_explained {
        return Ok(());
    }
    let shape = [size.height, size.width];
    let mut input = local_contrast(&still.values, shape, &still.free, executor)?;
    input.resize(network.channels() * still.values.len(), 0.0);
    let (prediction, labels) = segmentation::segment(
        network,
        &input,
        shape,
        scale,
        segmentation,
        executor,
        control,
    )?;
    let probabilities = proposals::probabilities(&prediction);
    for body in proposals::bodies(&labels) {
        let sum: f32 = body.iter().map(|&p| probabilities[p as usize]).sum();
        let probability = sum / body.len().max(1) as f32;
        let is_cell = f64::from(probability) > parameters.min_probability
            && body.len() as f64 > parameters.min_area * seen.typical_area
            && aspect_ratio(&body, size) < parameters.max_aspect_ratio;
        if !is_cell {
            continue;
        }
        let own = (0..silent.len())
            .filter(|&k| silent[k])
            .find(|&k| iou(&rois[k].body, &body) >= SAME_IOU);
        let found = Roi::proposal(body, probability, Origin::Stillness);
        match own {
            Some(k) => {
                rois[k] = Roi {
                    probability: probability.max(rois[k].probability),
                    origin: rois[k].origin,
                    ..found
                };
            }
            None if rois.iter().all(|roi| is_apart(&found.body, &roi.body)) => rois.push(found),
            None => {}
        }
    }
    Ok(())
}

/// Outlines the `silent` cells among `rois` in the still light between the others, and drops those that do not shine in it.
///
/// Where the neuropil hardly moves there is no still light, and all stay as they are.
///
/// # Errors
/// When the binned movie cannot be read, the device fails, or the run is stopped.
pub fn outline(
    plane: &Plane<'_>,
    rois: &mut Vec<Roi>,
    silent: &[bool],
    parameters: &StillCells,
    min_agreement: f64,
    executor: &dyn Executor,
    control: &Control,
) -> Result<()> {
    if !parameters.find || plane.bins.n_bins < 3 || !silent.contains(&true) {
        return Ok(());
    }
    let firing: Vec<&Roi> = rois
        .iter()
        .zip(silent)
        .filter(|(_, silent)| !**silent)
        .map(|(roi, _)| roi)
        .collect();
    let still = still_light(plane, &firing, executor, control)?;
    if still.explained < parameters.min_explained {
        return Ok(());
    }
    let grain = still.grain(plane.size());
    let mut shines = vec![true; rois.len()];
    for (k, roi) in rois.iter_mut().enumerate().filter(|(k, _)| silent[*k]) {
        let proposal = roi.body.clone();
        for _ in 0..OUTLINES {
            let Some(mut found) = still.outline(&roi.body, plane.size()) else {
                break;
            };
            found.retain(|&pixel| plane.measured[pixel as usize]);
            if iou(&found, &proposal) > min_agreement {
                *roi = Roi {
                    footprint_snr: roi.footprint_snr,
                    ..Roi::proposal(found, roi.probability, roi.origin)
                };
            }
        }
        shines[k] = still
            .contrast(&roi.body, plane.size())
            .is_none_or(|contrast| contrast >= parameters.min_contrast * grain);
    }
    let mut shines = shines.iter();
    rois.retain(|_| *shines.next().expect("one for each"));
    Ok(())
}

/// A silent cell in still light.
struct Shine {
    /// Pixels of its body that have still light.
    body: Vec<f32>,
    /// Those of the ring around it.
    ring: Vec<f32>,
}

impl StillLight {
    /// The light of a body and around it; `None` where too little of either is to be seen.
    fn shine(&self, body: &[u32], size: ImageSize) -> Option<Shine> {
        let patch = Patch::of(body, RING.1 as usize + 1, size)?;
        let (near, far) = (patch.dilated(&disc(RING.0)), patch.dilated(&disc(RING.1)));
        let values = |set: &dyn Fn(usize) -> bool| -> Vec<f32> {
            (0..patch.values.len())
                .filter(|&i| set(i))
                .map(|i| patch.pixel(i, size) as usize)
                .filter(|&pixel| self.free[pixel])
                .map(|pixel| self.values[pixel])
                .collect()
        };
        let shine = Shine {
            body: values(&|i| patch.values[i]),
            ring: values(&|i| far.values[i] && !near.values[i]),
        };
        (shine.body.len() >= LEAST_BODY && shine.ring.len() > LEAST_BODY).then_some(shine)
    }

    /// How much brighter a body is than the ring around it.
    fn contrast(&self, body: &[u32], size: ImageSize) -> Option<f64> {
        let mean = |values: &[f32]| {
            values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64
        };
        let shine = self.shine(body, size)?;
        Some(mean(&shine.body) - mean(&shine.ring))
    }

    /// The outline of a silent cell near a body.
    fn outline(&self, body: &[u32], size: ImageSize) -> Option<Vec<u32>> {
        let mut shine = self.shine(body, size)?;
        let low = linalg::median(&mut shine.ring);
        shine.body.sort_by(f32::total_cmp);
        let high = percentile(&shine.body, 0.6);
        if high <= low {
            return None;
        }
        let mut image = Patch::around(body, contour::margin(body), size, 0.0f32)?;
        let mut known = vec![false; image.values.len()];
        for i in 0..known.len() {
            let pixel = image.pixel(i, size) as usize;
            known[i] = self.free[pixel];
            image.values[i] = (self.values[pixel] - low) / (high - low);
        }
        contour::outline(&image, &known, body, STIFFNESS, size).map(|found| found.pixels)
    }

    /// Deviation of the light between cells from its local mean.
    fn grain(&self, size: ImageSize) -> f64 {
        let light: Vec<f64> = self.values.iter().map(|&v| f64::from(v)).collect();
        let local = less_local_mean(&light, &self.free, size);
        let mut free: Vec<f32> = local
            .iter()
            .zip(&self.free)
            .filter(|(_, free)| **free)
            .map(|(&light, _)| light as f32)
            .collect();
        let middle = linalg::median(&mut free);
        free.iter_mut()
            .for_each(|light| *light = (*light - middle).abs());
        1.4826 * f64::from(linalg::median(&mut free))
    }
}

/// Whether a mask is another cell than a known one.
fn is_apart(body: &[u32], known: &[u32]) -> bool {
    let smaller = known.len().min(body.len()).max(1);
    iou(known, body) < SAME_IOU && (n_shared(known, body) as f64) < SHARED * smaller as f64
}

/// Whether a cell's activity is what noise would show.
fn is_silent(roi: &Roi, largest: &[f32]) -> bool {
    let below = roi
        .body
        .iter()
        .filter(|&&p| largest[p as usize] < SILENT_SD);
    below.count() as f64 >= SILENT_PART * roi.body.len() as f64
}

/// The still light between the cells in `active`.
fn still_light(
    plane: &Plane<'_>,
    active: &[&Roi],
    executor: &dyn Executor,
    control: &Control,
) -> Result<StillLight> {
    let size = plane.size();
    let mut free = plane.measured.to_vec();
    for roi in active {
        if let Some(body) = Patch::of(&roi.body, GLOW as usize + 1, size) {
            for pixel in body.dilated(&disc(GLOW)).pixels(size) {
                free[pixel as usize] = false;
            }
        }
    }
    let background =
        plane.background_without(&free.iter().map(|f| !f).collect::<Vec<_>>(), COARSE_SPACING);
    // The neuropil is told by the pixels between cells alone, so that no cell takes part in what it is compared with.
    let mut between = Rows::new();
    for k in 0..background.rows.len() {
        between.push(
            background
                .rows
                .row(k)
                .filter(|(pixel, _)| free[*pixel as usize]),
        );
    }
    let factors = factors(plane, &between, executor, control)?;
    let by_pixel = background.rows.by_pixel(plane.mean.len());
    let sums = regress(plane, &by_pixel, &factors, between.len(), control)?;
    let brightness = &background.brightness;
    let light: Vec<f64> = plane
        .mean
        .iter()
        .map(|m| f64::from(m - background.offset))
        .collect();
    // Counts that follow the neuropil; a frame that did not see the pixel follows nothing.
    let slope: Vec<f64> = (0..light.len())
        .map(|i| {
            let [product, power] = sums[i];
            let part = f64::from(plane.measured_part[i]).max(f64::EPSILON);
            if free[i] && power > 0.0 {
                product / power / part * f64::from(brightness[i])
            } else {
                0.0
            }
        })
        .collect();
    let local_light = less_local_mean(&light, &free, size);
    let local_slope = less_local_mean(&slope, &free, size);
    let (mut both, mut lights, mut slopes) = (0.0, 0.0, 0.0);
    for (light, slope) in local_light.iter().zip(&local_slope) {
        both += light * slope;
        lights += light * light;
        slopes += slope * slope;
    }
    let (factor, explained) = if lights > 0.0 && slopes > 0.0 && both > 0.0 {
        (both / slopes, both * both / (lights * slopes))
    } else {
        (0.0, 0.0)
    };
    let values = light
        .iter()
        .zip(&slope)
        .map(|(light, slope)| (light - factor * slope) as f32)
        .collect();
    Ok(StillLight {
        values,
        free,
        explained,
    })
}

/// How the background's factors change from bin to bin, about their means: `[bin, row]`.
fn factors(
    plane: &Plane<'_>,
    between: &Rows,
    executor: &dyn Executor,
    control: &Control,
) -> Result<Vec<f32>> {
    let solver = Solver::new(&Rows::new(), between, &plane.bin_noise());
    let rows = DeviceRows::new(executor, &solver.weighted)?;
    let n_pixels = plane.bins.n_pixels();
    let mut factors: Vec<f32> = Vec::new();
    let solved = |_: usize, bins: &[f32]| {
        control.check()?;
        let mut commands = Commands::new();
        let frames = commands.upload("bins", bins);
        let out = rows.record(&mut commands, frames, bins.len() / n_pixels, n_pixels);
        let out = commands.download(out);
        Ok(solver.all(&executor.play(commands)?.take::<f32>(out)))
    };
    let group = (GROUP_BYTES / (4 * n_pixels)).max(1);
    plane.bins.for_each_group(group, solved, |solved| {
        factors.extend(solved);
        Ok(())
    })?;
    let n_rows = between.len();
    for row in 0..n_rows {
        let values = factors.iter().skip(row).step_by(n_rows);
        let mean = values.map(|&v| f64::from(v)).sum::<f64>() / plane.bins.n_bins as f64;
        for value in factors.iter_mut().skip(row).step_by(n_rows) {
            *value -= mean as f32;
        }
    }
    Ok(factors)
}

/// Of each pixel, over all bins: its value times the background there, and the background squared.
fn regress(
    plane: &Plane<'_>,
    by_pixel: &Rows,
    factors: &[f32],
    n_rows: usize,
    control: &Control,
) -> Result<Vec<[f64; 2]>> {
    let n_pixels = plane.bins.n_pixels();
    let mut sums = vec![[0.0f64; 2]; n_pixels];
    let summed = |first: usize, bins: &[f32]| {
        control.check()?;
        let mut part = vec![[0.0f32; 2]; n_pixels];
        let factors = factors[first * n_rows..].chunks_exact(n_rows);
        for (bin, factors) in bins.chunks_exact(n_pixels).zip(factors) {
            for (pixel, (sums, value)) in part.iter_mut().zip(bin).enumerate() {
                let range = by_pixel.start[pixel] as usize..by_pixel.start[pixel + 1] as usize;
                let shares = by_pixel.pixel[range.clone()]
                    .iter()
                    .zip(&by_pixel.weight[range]);
                let there = shares.fold(0.0, |sum, (row, weight)| {
                    sum + factors[*row as usize] * weight
                });
                sums[0] += value * there;
                sums[1] += there * there;
            }
        }
        Ok(part)
    };
    let group = (GROUP_BYTES / (4 * n_pixels)).max(1);
    plane.bins.for_each_group(group, summed, |part| {
        for (sum, part) in sums.iter_mut().zip(part) {
            sum[0] += f64::from(part[0]);
            sum[1] += f64::from(part[1]);
        }
        Ok(())
    })?;
    Ok(sums)
}

/// An image less its mean over the free pixels of the square around each; 0 where a pixel is not free.
fn less_local_mean(image: &[f64], free: &[bool], size: ImageSize) -> Vec<f64> {
    let (height, width) = (size.height, size.width);
    // Sums from the corner, one row and column more than the image: of values, and of how many there are.
    let pitch = width + 1;
    let mut sums = vec![[0.0f64; 2]; (height + 1) * pitch];
    for y in 0..height {
        for x in 0..width {
            let own = if free[y * width + x] {
                [image[y * width + x], 1.0]
            } else {
                [0.0; 2]
            };
            for (k, own) in own.into_iter().enumerate() {
                sums[(y + 1) * pitch + x + 1][k] =
                    own + sums[y * pitch + x + 1][k] + sums[(y + 1) * pitch + x][k]
                        - sums[y * pitch + x][k];
            }
        }
    }
    (0..height * width)
        .map(|i| {
            if !free[i] {
                return 0.0;
            }
            let (y, x) = (i / width, i % width);
            let (top, bottom) = (
                y.saturating_sub(LOCAL_RADIUS),
                (y + LOCAL_RADIUS + 1).min(height),
            );
            let (left, right) = (
                x.saturating_sub(LOCAL_RADIUS),
                (x + LOCAL_RADIUS + 1).min(width),
            );
            let [sum, count] = [0, 1].map(|k| {
                sums[bottom * pitch + right][k] + sums[top * pitch + left][k]
                    - sums[top * pitch + right][k]
                    - sums[bottom * pitch + left][k]
            });
            image[i] - sum / count
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_mean_counts_free_pixels_alone() {
        let size = ImageSize {
            height: 3,
            width: 40,
        };
        let mut free = vec![true; 120];
        let mut image = vec![5.0; 120];
        (free[45], image[45]) = (false, 1e6);
        image[0] = 44.0;
        let less = less_local_mean(&image, &free, size);
        // 3 rows of 13 pixels around the corner, one of them not free: 38 are, of which one stands 39 higher.
        assert!((less[0] - (39.0 - 39.0 / 38.0)).abs() < 1e-9, "{}", less[0]);
        assert_eq!(less[45], 0.0);
        assert!(less[119].abs() < 1e-9);
    }

    #[test]
    fn a_known_cell_is_not_found_again() {
        let known: Vec<u32> = (0..100).collect();
        assert!(!is_apart(&(0..80).collect::<Vec<_>>(), &known));
        assert!(!is_apart(&(70..110).collect::<Vec<_>>(), &known));
        assert!(is_apart(&(90..190).collect::<Vec<_>>(), &known));
    }

    #[test]
    fn silence_is_what_noise_would_show() {
        let roi = Roi::proposal((0..40).collect(), 0.9, Origin::Network);
        let mut largest = vec![4.0f32; 40];
        assert!(is_silent(&roi, &largest));
        largest[..12].fill(9.0);
        assert!(!is_silent(&roi, &largest));
    }
}
