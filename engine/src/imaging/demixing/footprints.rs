//! Footprints refined on the traces, and bodies drawn from them.
//!
//! The network says where a cell is; its own activity says which pixels belong to it, more sharply than any image. In turn, traces
//! are solved for given the footprints, and footprints for given the traces (block coordinate descent of the
//! factorisation of Pnevmatikakis et al. 2016). Everything is a sum over bins, so the binned movie streams through and is never in
//! memory. Traces are taken apart by the footprints; the body that is shown is outlined where the last of them falls most
//! ([`contour`]). A cell whose activity says too little keeps the network's shape.

use rayon::prelude::*;
use somata_shaders::layout::CorrelateTracesParams;

use super::{
    background::{Background, COARSE_SPACING},
    contour,
    solver::{DeviceRows, Solver},
};
use crate::{
    device::{Commands, Executor},
    error::Result,
    imaging::{
        binned_movie::BinnedMovie,
        morphology::{ImageSize, Patch, diamond, disc, iou, square},
        rois::{Roi, Rows},
    },
    linalg,
    parameters::imaging::Footprints,
    stream::Control,
};

/// Pixels by which a footprint may grow beyond the body in a round.
const REACH: f64 = 3.0;
/// Bytes of the bins that travel together.
pub(crate) const GROUP_BYTES: usize = 8 << 20;
/// A footprint's peak must stand this many of its noise deviations above zero to be used at all.
const MIN_PEAK: f32 = 6.0;
/// A pixel of a footprint must stand this many.
const MIN_PIXEL: f32 = 2.0;
/// Smallest body, pixels.
const MIN_BODY: usize = 20;
/// Pixels beyond a body in which it is outlined.
const OUTLINE_REACH: f64 = 4.5;
/// Stiffness of the outlines of cells that fire.
const STIFFNESS: f64 = 0.03;
/// A cell whose footprint stands this many noise deviations above zero fires, however even its trace: so strong no neuropil is.
const ALWAYS_FIRES: f64 = 30.0;
/// Bins that tell the skewness of a trace well enough.
const ENOUGH_BINS: f64 = 100.0;
/// A pixel that fewer of the frames measured is divided by this.
const LEAST_MEASURED: f32 = 0.3;
/// As [`LEAST_MEASURED`], of pixels that are blurred with others around.
const LEAST_AROUND: f32 = 0.2;

/// What the refinement needs to know of a plane.
pub struct Plane<'a> {
    /// The binned movie.
    pub bins: &'a BinnedMovie,
    /// Mean of the frames, `[y, x]`.
    pub mean: &'a [f32],
    /// Noise of a frame, `[y, x]`.
    pub noise: &'a [f32],
    /// Pixels that were measured.
    pub measured: &'a [bool],
    /// Part of the good frames that measured each pixel, `[y, x]`.
    pub measured_part: &'a [f32],
}

impl Plane<'_> {
    /// Rows and columns.
    pub fn size(&self) -> ImageSize {
        ImageSize {
            height: self.bins.height,
            width: self.bins.width,
        }
    }

    /// The background between these cells.
    pub fn background(&self, rois: &[Roi], spacing: f64) -> Background {
        let mut is_cell = vec![false; self.mean.len()];
        for roi in rois {
            for &pixel in &roi.body {
                is_cell[pixel as usize] = true;
            }
        }
        self.background_without(&is_cell, spacing)
    }

    /// The background without these pixels `[y, x]`.
    pub fn background_without(&self, is_cell: &[bool], spacing: f64) -> Background {
        Background::new(
            self.mean,
            self.noise,
            self.measured,
            is_cell,
            [self.bins.height, self.bins.width],
            spacing,
        )
    }

    /// Noise of a bin, `[y, x]`.
    pub fn bin_noise(&self) -> Vec<f32> {
        let root = (self.bins.bin_frames as f32).sqrt();
        self.noise.iter().map(|noise| noise / root).collect()
    }
}

/// Footprints as rows.
pub fn cell_rows(rois: &[Roi]) -> Rows {
    let mut rows = Rows::new();
    for roi in rois {
        rows.push(roi.pixels.iter().copied().zip(roi.weights.iter().copied()));
    }
    rows
}

/// Refines footprints and bodies in place. Gives which cells are silent: their traces show no firing, and they keep the network's shape.
///
/// # Errors
/// When the binned movie cannot be read, the device fails, or the run is stopped.
pub fn refine(
    plane: &Plane<'_>,
    rois: &mut [Roi],
    parameters: &Footprints,
    executor: &dyn Executor,
    control: &Control,
) -> Result<Vec<bool>> {
    let mut silent = vec![false; rois.len()];
    if rois.is_empty() || plane.bins.n_bins < 3 || parameters.rounds == 0 {
        return Ok(silent);
    }
    let noise = plane.bin_noise();
    let proposals: Vec<Roi> = rois.to_vec();
    let background = plane.background(rois, COARSE_SPACING);
    let collect = |rois: &[Roi], supports: &[Vec<u32>]| {
        control.check()?;
        Sums::collect(
            plane,
            rois,
            &background,
            &noise,
            supports,
            executor,
            control,
        )
    };
    let mut skewness = Vec::new();
    for round in 0..parameters.rounds {
        let supports: Vec<Vec<u32>> = rois
            .iter()
            .map(|roi| grown(&roi.body, REACH, plane))
            .collect();
        let sums = collect(rois, &supports)?;
        if round == 0 {
            // Of the network's shapes: footprints would follow whatever their traces show.
            skewness.clone_from(&sums.skewness);
        }
        let shares = shares(rois, &background, plane);
        let updated: Vec<Option<Roi>> = (0..rois.len())
            .into_par_iter()
            .map(|k| sums.footprint(k, rois, &shares, &noise, &supports, plane, parameters))
            .collect();
        for (roi, updated) in rois.iter_mut().zip(updated) {
            if let Some(updated) = updated {
                *roi = updated;
            }
        }
    }
    // Firing is rare and upwards; neuropil that was not taken out is neither. Few bins show a skewness by chance.
    let chance = (6.0 / plane.bins.n_bins as f64).sqrt() - (6.0 / ENOUGH_BINS).sqrt();
    let least = parameters.min_skewness + 2.0 * chance.max(0.0);
    for (k, roi) in rois.iter_mut().enumerate() {
        let snr = f64::from(roi.footprint_snr);
        silent[k] = snr <= parameters.min_snr || (skewness[k] < least && snr <= ALWAYS_FIRES);
        if silent[k] {
            *roi = as_proposed(&proposals[k], roi);
        }
    }
    let supports: Vec<Vec<u32>> = rois
        .iter()
        .zip(&proposals)
        .map(|(roi, proposal)| {
            let mut both = roi.body.clone();
            both.extend(&proposal.body);
            both.sort_unstable();
            both.dedup();
            grown(&both, OUTLINE_REACH, plane)
        })
        .collect();
    let sums = collect(rois, &supports)?;
    let shares = shares(rois, &background, plane);
    let bodies: Vec<Option<Vec<u32>>> = (0..rois.len())
        .into_par_iter()
        .map(|k| {
            let starts = [&rois[k].body, &proposals[k].body];
            if silent[k] {
                return None;
            }
            let values = sums.regression(k, &shares, &supports[k])?;
            outline(starts, &supports[k], &values, plane, parameters)
        })
        .collect();
    for (k, body) in bodies.into_iter().enumerate() {
        match body {
            Some(body) => rois[k].body = body,
            // Nothing that looks like the cell: the network knows better.
            None => rois[k] = as_proposed(&proposals[k], &rois[k]),
        }
    }
    Ok(silent)
}

/// The network's shape of a cell, with what is known of its footprint.
fn as_proposed(proposal: &Roi, refined: &Roi) -> Roi {
    Roi {
        footprint_snr: refined.footprint_snr,
        ..proposal.clone()
    }
}

/// The measured pixels within `reach` of a body.
fn grown(body: &[u32], reach: f64, plane: &Plane<'_>) -> Vec<u32> {
    let size = plane.size();
    let body = Patch::of(body, reach as usize + 1, size);
    body.map_or_else(Vec::new, |body| {
        let mut pixels = body.dilated(&disc(reach)).pixels(size);
        pixels.retain(|&pixel| plane.measured[pixel as usize]);
        pixels
    })
}

/// Which cells and parts of the background each pixel has, as rows of the Gram matrix.
fn shares(rois: &[Roi], background: &Background, plane: &Plane<'_>) -> Rows {
    let mut rows = cell_rows(rois);
    rows.extend(&background.rows);
    rows.by_pixel(plane.mean.len())
}

/// The body of a cell that fires: the outline in its last footprint, from the body so far or from the network's shape, whichever has the
/// steeper edge. `None` where neither is where the network saw the cell.
fn outline(
    starts: [&Vec<u32>; 2],
    support: &[u32],
    values: &[f32],
    plane: &Plane<'_>,
    parameters: &Footprints,
) -> Option<Vec<u32>> {
    let size = plane.size();
    let proposal = starts[1];
    let mut typical: Vec<f32> = support
        .iter()
        .zip(values)
        .filter(|(pixel, _)| proposal.binary_search(pixel).is_ok())
        .map(|(_, value)| value.max(0.0))
        .collect();
    if typical.is_empty() {
        return None;
    }
    typical.sort_by(f32::total_cmp);
    let plateau = crate::imaging::detection::summary::percentile(&typical, 0.75);
    if plateau <= 0.0 {
        return None;
    }
    let margin = starts.iter().map(|start| contour::margin(start)).max()?;
    let mut image = Patch::around(support, margin, size, 0.0f32)?;
    for (&pixel, &value) in support.iter().zip(values) {
        let index = image.index(pixel, size).expect("inside its own patch");
        let part = plane.measured_part[pixel as usize].max(LEAST_MEASURED);
        image.values[index] = value / part / plateau;
    }
    let known = image.set(support, size);
    let mut best: Option<contour::Contour> = None;
    for start in starts.into_iter().filter(|start| start.len() >= MIN_BODY) {
        let Some(mut found) = contour::outline(&image, &known.values, start, STIFFNESS, size)
        else {
            continue;
        };
        found.pixels.retain(|&pixel| plane.measured[pixel as usize]);
        let is_cell = found.pixels.len() >= MIN_BODY
            && iou(&found.pixels, proposal) > parameters.min_agreement;
        if is_cell && best.as_ref().is_none_or(|best| found.fall > best.fall) {
            best = Some(found);
        }
    }
    best.map(|best| best.pixels)
}

/// Sums over bins from which all footprints of a round are made.
struct Sums {
    /// Trace times pixel, for the pixels of each cell's support.
    products: Vec<Vec<f64>>,
    /// Trace times trace, of cells and background (about the cells' means), `[cell, row]`.
    gram: Vec<f64>,
    n_rows: usize,
    /// Skewness of each cell's trace.
    skewness: Vec<f64>,
}

impl Sums {
    fn collect(
        plane: &Plane<'_>,
        rois: &[Roi],
        background: &Background,
        noise: &[f32],
        supports: &[Vec<u32>],
        executor: &dyn Executor,
        control: &Control,
    ) -> Result<Self> {
        let cells = cell_rows(rois);
        let solver = Solver::new(&cells, &background.rows, noise);
        let rows = DeviceRows::new(executor, &solver.weighted)?;
        let (n_cells, n_rows) = (rois.len(), solver.weighted.len());
        let n_pixels = plane.bins.n_pixels();
        let group = (GROUP_BYTES / (4 * n_pixels)).max(1);
        let mut traces: Vec<f32> = Vec::new();
        let solved = |_: usize, bins: &[f32]| {
            control.check()?;
            let n = bins.len() / n_pixels;
            let mut commands = Commands::new();
            let frames = commands.upload("bins", bins);
            let out = rows.record(&mut commands, frames, n, n_pixels);
            let out = commands.download(out);
            Ok(solver.all(&executor.play(commands)?.take::<f32>(out)))
        };
        plane.bins.for_each_group(group, solved, |solved| {
            traces.extend(solved);
            Ok(())
        })?;
        // Footprints come from what changes; means are the images' business.
        let n_bins = plane.bins.n_bins;
        for row in 0..n_rows {
            let values = traces.iter().skip(row).step_by(n_rows);
            let mean = values.map(|&v| f64::from(v)).sum::<f64>() / n_bins as f64;
            for value in traces.iter_mut().skip(row).step_by(n_rows) {
                *value -= mean as f32;
            }
        }
        let gram: Vec<f64> = (0..n_cells)
            .into_par_iter()
            .flat_map_iter(|cell| {
                let mut row = vec![0.0f64; n_rows];
                for bin in traces.chunks_exact(n_rows) {
                    let own = f64::from(bin[cell]);
                    for (sum, value) in row.iter_mut().zip(bin) {
                        *sum += own * f64::from(*value);
                    }
                }
                row
            })
            .collect();
        let skewness = (0..n_cells)
            .into_par_iter()
            .map(|cell| skewness(traces.iter().skip(cell).step_by(n_rows)))
            .collect();
        let pixel = executor.resident("pixel", &supports.concat())?;
        let owner: Vec<u32> = supports
            .iter()
            .enumerate()
            .flat_map(|(k, support)| std::iter::repeat_n(k as u32, support.len()))
            .collect();
        let row = executor.resident("row", &owner)?;
        let mut products = vec![0.0f64; owner.len()];
        let nothing = vec![0.0f32; owner.len()];
        let correlated = |first: usize, bins: &[f32]| {
            control.check()?;
            let n = bins.len() / n_pixels;
            let group = &traces[first * n_rows..(first + n) * n_rows];
            let by_cell: Vec<f32> = (0..n_cells)
                .flat_map(|cell| group.iter().skip(cell).step_by(n_rows).copied())
                .collect();
            let mut commands = Commands::new();
            let frames = commands.upload("bins", bins);
            let traces = commands.upload("traces", &by_cell);
            let sums = commands.upload("sums", &nothing);
            let (pixel, row) = (commands.resident(&pixel), commands.resident(&row));
            commands.dispatch(
                &CorrelateTracesParams {
                    n_frames: n as u32,
                    n_pixels: n_pixels as u32,
                    n_entries: owner.len() as u32,
                },
                &[frames, pixel, row, traces, sums],
            );
            let sums = commands.download(sums);
            Ok(executor.play(commands)?.take::<f32>(sums))
        };
        plane.bins.for_each_group(group, correlated, |sums| {
            for (product, sum) in products.iter_mut().zip(sums) {
                *product += f64::from(sum);
            }
            Ok(())
        })?;
        let mut rest = products.as_slice();
        let products = supports
            .iter()
            .map(|support| {
                let (own, later) = rest.split_at(support.len());
                rest = later;
                own.to_vec()
            })
            .collect();
        Ok(Self {
            products,
            gram,
            n_rows,
            skewness,
        })
    }

    /// Each pixel's regression on a cell's trace, with all others taken out; `None` where the trace holds nothing.
    ///
    /// `shares` says of each pixel which cells and parts of the background have it, as rows of the Gram matrix.
    fn regression(&self, k: usize, shares: &Rows, support: &[u32]) -> Option<Vec<f32>> {
        let gram = &self.gram[k * self.n_rows..(k + 1) * self.n_rows];
        let power = gram[k];
        if support.is_empty() || power <= 0.0 {
            return None;
        }
        let sums = self.products[k].iter().zip(support).map(|(&sum, &pixel)| {
            let others = shares
                .row(pixel as usize)
                .filter(|(row, _)| *row as usize != k);
            others.fold(sum, |sum, (row, weight)| {
                sum - gram[row as usize] * f64::from(weight)
            })
        });
        Some(sums.map(|sum| (sum / power) as f32).collect())
    }

    /// The footprint of a cell given all traces: its [`regression`](Self::regression), where it stands above noise.
    fn footprint(
        &self,
        k: usize,
        rois: &[Roi],
        shares: &Rows,
        noise: &[f32],
        supports: &[Vec<u32>],
        plane: &Plane<'_>,
        parameters: &Footprints,
    ) -> Option<Roi> {
        let support = &supports[k];
        let mut values = self.regression(k, shares, support)?;
        values.iter_mut().for_each(|value| *value = value.max(0.0));
        let power = self.gram[k * self.n_rows + k];
        let body = &rois[k].body;
        let inside = |pixel: &u32| body.binary_search(pixel).is_ok();
        let mut in_body: Vec<f32> = support
            .iter()
            .zip(&values)
            .filter(|(pixel, _)| inside(pixel))
            .map(|(_, value)| *value)
            .collect();
        if in_body.is_empty() {
            return None;
        }
        in_body.sort_by(f32::total_cmp);
        let peak = crate::imaging::detection::summary::percentile(&in_body, 0.75);
        let mut typical: Vec<f32> = support.iter().map(|&p| noise[p as usize]).collect();
        let error = linalg::median(&mut typical) / power.sqrt() as f32;
        let snr = peak / error;
        if snr <= MIN_PEAK {
            return Some(Roi {
                footprint_snr: snr,
                ..rois[k].clone()
            });
        }
        for value in &mut values {
            *value /= peak;
            if *value <= MIN_PIXEL * error / peak {
                *value = 0.0;
            }
        }
        let drawn = draw_body(support, &values, body, plane, parameters.level as f32);
        let entries = support
            .iter()
            .zip(&values)
            .filter(|(_, value)| **value > 0.0);
        Some(Roi {
            body: if drawn.len() >= MIN_BODY {
                drawn
            } else {
                body.clone()
            },
            pixels: entries.clone().map(|(pixel, _)| *pixel).collect(),
            weights: entries.map(|(_, value)| *value).collect(),
            footprint_snr: snr,
            ..rois[k].clone()
        })
    }
}

/// Skewness of values about 0; 0 where there are none.
fn skewness<'a>(values: impl Iterator<Item = &'a f32>) -> f64 {
    let (mut n, mut squares, mut cubes) = (0usize, 0.0f64, 0.0f64);
    for &value in values {
        let value = f64::from(value);
        n += 1;
        squares += value * value;
        cubes += value * value * value;
    }
    let n = n.max(1) as f64;
    let variance = squares / n;
    if variance > 0.0 {
        cubes / n / variance.powf(1.5)
    } else {
        0.0
    }
}

/// The body of a cell from its footprint: cut at a part of the plateau, the dark nucleus filled, tails cut off.
///
/// At the edge a pixel was not measured in each frame, and those around it not at all: both are allowed for.
fn draw_body(
    pixels: &[u32],
    values: &[f32],
    before: &[u32],
    plane: &Plane<'_>,
    level: f32,
) -> Vec<u32> {
    let size = plane.size();
    let Some(mut patch) = Patch::around(pixels, 4, size, 0.0f32) else {
        return before.to_vec();
    };
    for (&pixel, &value) in pixels.iter().zip(values) {
        let index = patch.index(pixel, size).expect("inside its own patch");
        let part = plane.measured_part[pixel as usize].max(LEAST_MEASURED);
        patch.values[index] = value / part;
    }
    let old = patch.set(before, size);
    let measured = (0..patch.values.len())
        .map(|i| f32::from(u8::from(plane.measured[patch.pixel(i, size) as usize])));
    let around = patch.with(measured.collect::<Vec<_>>()).blurred(0.7);
    let mut smooth = patch.blurred(0.7);
    let support = patch.set(pixels, size);
    for ((value, around), inside) in smooth
        .values
        .iter_mut()
        .zip(&around.values)
        .zip(&support.values)
    {
        *value = if *inside {
            *value / around.max(LEAST_AROUND)
        } else {
            0.0
        };
    }
    let sorted = |above: f32| {
        let mut core: Vec<f32> = smooth
            .values
            .iter()
            .zip(&old.values)
            .filter(|(value, inside)| **inside && **value > above)
            .map(|(value, _)| *value)
            .collect();
        core.sort_by(f32::total_cmp);
        core
    };
    let percentile = crate::imaging::detection::summary::percentile;
    let core = sorted(0.0);
    if core.is_empty() {
        return before.to_vec();
    }
    let plateau = sorted(0.4 * percentile(&core, 0.95));
    let cut = level * percentile(&plateau, 0.6);
    let mask = smooth.with(smooth.values.iter().map(|value| *value > cut).collect());
    let opened = mask.filled().eroded(&square(1)).dilated(&square(1));
    let closed = opened.closed(&diamond(2), 2);
    match closed.part_most_in(&old) {
        Some(part) => part.filled().pixels(size),
        None => Vec::new(),
    }
}
