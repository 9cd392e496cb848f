//! Footprints refined on the traces, and bodies drawn from them.
//!
//! The network says where a cell is; its own activity says which pixels belong to it, more sharply than any image. In turn, traces
//! are solved for given the footprints, and footprints for given the traces (block coordinate descent of the
//! factorisation of Pnevmatikakis et al. 2016). Everything is a sum over bins, so the binned movie streams through and is never in
//! memory. A cell whose activity says too little keeps the network's shape.

use rayon::prelude::*;
use somata_shaders::layout::CorrelateTracesParams;

use super::{
    background::{Background, COARSE_SPACING},
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
}

impl Plane<'_> {
    fn size(&self) -> ImageSize {
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

/// Refines footprints and bodies in place.
///
/// # Errors
/// When the binned movie cannot be read, the device fails, or the run is stopped.
pub fn refine(
    plane: &Plane<'_>,
    rois: &mut [Roi],
    parameters: &Footprints,
    executor: &dyn Executor,
    control: &Control,
) -> Result<()> {
    if rois.is_empty() || plane.bins.n_bins < 3 {
        return Ok(());
    }
    let size = plane.size();
    let noise = plane.bin_noise();
    let proposals: Vec<Vec<u32>> = rois.iter().map(|roi| roi.body.clone()).collect();
    let background = plane.background(rois, COARSE_SPACING);
    for _ in 0..parameters.rounds {
        control.check()?;
        let supports: Vec<Vec<u32>> = rois
            .iter()
            .map(|roi| {
                let body = Patch::of(&roi.body, REACH as usize + 1, size);
                body.map_or_else(Vec::new, |body| {
                    let mut pixels = body.dilated(&disc(REACH)).pixels(size);
                    pixels.retain(|&pixel| plane.measured[pixel as usize]);
                    pixels
                })
            })
            .collect();
        let sums = Sums::collect(
            plane,
            rois,
            &background,
            &noise,
            &supports,
            executor,
            control,
        )?;
        let mut shares = cell_rows(rois);
        shares.extend(&background.rows);
        let shares = shares.by_pixel(plane.mean.len());
        let updated: Vec<Option<Roi>> = (0..rois.len())
            .into_par_iter()
            .map(|k| sums.footprint(k, rois, &shares, &noise, &supports, size, parameters))
            .collect();
        for (roi, updated) in rois.iter_mut().zip(updated) {
            if let Some(updated) = updated {
                *roi = updated;
            }
        }
    }
    // Where the evidence is weak, or the footprint is somewhere else, the network knows better.
    for (roi, proposal) in rois.iter_mut().zip(proposals) {
        let strong = f64::from(roi.footprint_snr) > parameters.min_snr;
        if !strong || iou(&roi.body, &proposal) <= parameters.min_agreement {
            *roi = Roi {
                footprint_snr: roi.footprint_snr,
                ..Roi::proposal(proposal, roi.probability, roi.origin)
            };
        }
    }
    Ok(())
}

/// Sums over bins from which all footprints of a round are made.
struct Sums {
    /// Trace times pixel, for the pixels of each cell's support.
    products: Vec<Vec<f64>>,
    /// Trace times trace, of cells and background (about the cells' means), `[cell, row]`.
    gram: Vec<f64>,
    n_rows: usize,
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
        })
    }

    /// The footprint of a cell given all traces: each pixel's regression on the cell's trace, with all others taken out.
    ///
    /// `shares` says of each pixel which cells and parts of the background have it, as rows of the Gram matrix.
    fn footprint(
        &self,
        k: usize,
        rois: &[Roi],
        shares: &Rows,
        noise: &[f32],
        supports: &[Vec<u32>],
        size: ImageSize,
        parameters: &Footprints,
    ) -> Option<Roi> {
        let support = &supports[k];
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
        let mut values: Vec<f32> = sums.map(|sum| (sum / power).max(0.0) as f32).collect();
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
        let drawn = draw_body(support, &values, body, size, parameters.level as f32);
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

/// The body of a cell from its footprint: cut at a part of the plateau, the dark nucleus filled, tails cut off.
fn draw_body(
    pixels: &[u32],
    values: &[f32],
    before: &[u32],
    size: ImageSize,
    level: f32,
) -> Vec<u32> {
    let Some(mut patch) = Patch::around(pixels, 4, size, 0.0f32) else {
        return before.to_vec();
    };
    for (&pixel, &value) in pixels.iter().zip(values) {
        let index = patch.index(pixel, size).expect("inside its own patch");
        patch.values[index] = value;
    }
    let mut old = patch.with(vec![false; patch.values.len()]);
    for &pixel in before {
        if let Some(index) = patch.index(pixel, size) {
            old.values[index] = true;
        }
    }
    let smooth = patch.blurred(0.7);
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
    let closed = opened.dilated(&diamond(2)).eroded(&diamond(2));
    match closed.part_most_in(&old) {
        Some(part) => part.filled().pixels(size),
        None => Vec::new(),
    }
}
