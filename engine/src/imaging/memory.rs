//! How much memory an imaging run takes, before it begins.
//!
//! As of a sort ([`crate::sorting::memory`]): each stage's buffers are counted as the stage makes them, and the largest stage counts.
//! What is not known beforehand is assumed: a cell for so many pixels, and a peak of activity for so many. What is asked of it is
//! in docs/concepts/memory.md, and is tested with the real program (`cli/tests/command/estimates.rs`).

use somata_shaders::cpu::imaging::sum_bins::SUMS;

use super::{
    demixing::{background, footprints},
    detection::{activity, still_cells, summary},
    frames::FrameGrid,
    imager::bin_frames,
    registration::reference_image,
    segmentation::Network,
};
use crate::{movie::MovieInfo, parameters::imaging::ImagingParameters};

/// Pixels for each cell, as assumed.
const PIXELS_PER_CELL: f64 = 600.0;
/// Pixels for each peak of activity that is looked at, as assumed.
const PIXELS_PER_PEAK: f64 = 500.0;
/// The program itself with the network's weights, and its threads' stacks.
const PROGRAM_BYTES: u64 = 26 << 20;
/// Part of the counted bytes that the allocator holds beside them (freed, not given back), as assumed.
const KEPT: f64 = 0.12;
/// Images of a plane while the reference is made: it, its variance, and the tables of a registration with it.
const FIRST_IMAGES: f64 = 8.0;
/// Images and tables of a plane that stay: reference, mean, variance, noise, summaries, masks.
const IMAGES: f64 = 24.0;
/// Functions of the background that a pixel has: hats on a grid.
const HATS: f64 = 4.0;
/// Bytes of an entry of a row: pixel and weight.
const ENTRY_BYTES: f64 = 8.0;
/// Bytes of a short list of its own, with what the allocator puts before it.
const LIST_BYTES: f64 = 24.0 + 48.0;

/// Bytes that a run with `threads` threads holds at most, on the processor.
pub fn estimate(
    info: &MovieInfo,
    parameters: &ImagingParameters,
    decay_s: Option<f64>,
    network: &Network,
    threads: usize,
) -> u64 {
    let bin_frames = bin_frames(info, parameters, decay_s);
    let grid = FrameGrid::new(info.n_frames, info.n_pixels(), bin_frames);
    let need = Need {
        lanes: threads.max(1) as f64,
        pixels: info.n_pixels() as f64,
        raw: info.pixel_type.size_bytes() as f64,
        frames: info.n_frames as f64,
        block: grid.block_frames.min(info.n_frames) as f64,
        bin: bin_frames as f64,
        bins: grid.n_bins() as f64,
        info,
        parameters,
        network,
    };
    let stages = [need.registration(), need.cells(), need.traces()];
    let largest = stages.into_iter().fold(0.0, f64::max) + need.kept();
    PROGRAM_BYTES + ((1.0 + KEPT) * largest.max(need.reference())) as u64
}

/// Sizes that the stages share.
struct Need<'a> {
    lanes: f64,
    /// Pixels of a frame.
    pixels: f64,
    /// Bytes of a raw pixel.
    raw: f64,
    frames: f64,
    /// Frames of a block.
    block: f64,
    /// Frames of a bin.
    bin: f64,
    bins: f64,
    info: &'a MovieInfo,
    parameters: &'a ImagingParameters,
    network: &'a Network,
}

impl Need<'_> {
    /// What every stage holds: images of the plane, and the shifts of all frames.
    fn kept(&self) -> f64 {
        let knots =
            2 * self.parameters.registration.knot_rows * self.parameters.registration.knot_columns;
        4.0 * IMAGES * self.pixels + self.frames * (4.0 * f64::from(knots) + 16.0)
    }

    fn cells_found(&self) -> f64 {
        (self.pixels / PIXELS_PER_CELL).max(1.0)
    }

    /// Blocks that were read ahead, wait or are worked on.
    fn queue(&self) -> f64 {
        (1.0 + 2.0 * self.lanes) * self.block * self.pixels * self.raw
    }

    fn reference(&self) -> f64 {
        let parameters = &self.parameters.registration;
        let n_frames = reference_image::sampled_frames(self.info, parameters);
        let sampled = n_frames as f64;
        let together = reference_image::TOGETHER as f64;
        let groups = (sampled / together).ceil();
        let lanes = self.lanes.min(groups);
        // Raw, decoded and moved; the decoded frames come back where some are chosen.
        let working = lanes * together * self.pixels * (self.raw + 4.0 + 4.0);
        // The frames that make the first image, or that tell the bidirectional offset.
        let most = if parameters.bidirectional && parameters.correct {
            n_frames.div_ceil(reference_image::bidirectional_step(n_frames))
        } else {
            reference_image::SEED_FRAMES.min(n_frames)
        };
        let chosen = 4.0 * self.pixels * most as f64;
        // Sums of groups that wait for those before them: threads begin at places of their own.
        let waiting = groups * (1.0 - 1.0 / lanes.max(1.0));
        let sums = (1.0 + lanes + waiting) * self.pixels * reference_image::MOMENT_BYTES as f64;
        let images = 4.0 * FIRST_IMAGES * self.pixels;
        sampled * self.pixels * self.raw + images + working + chosen.max(sums)
    }

    fn registration(&self) -> f64 {
        // Sums of five kinds, and bins, of each block.
        let result = self.pixels * 4.0 * (5.0 + (self.block / self.bin).ceil());
        self.queue()
            + self.lanes * self.block * self.pixels * (4.0 + 4.0)
            + 4.0 * self.lanes * result
            + 5.0 * 8.0 * self.pixels
    }

    fn cells(&self) -> f64 {
        // As stored, as floats, on their way to the kernels, standardised, and two smoothed; sums of all groups and of each.
        let summary = 5.5 * self.groups(summary::GROUP_BYTES)
            + (8.0 + 4.0 * self.lanes) * SUMS as f64 * self.pixels;
        let tile = self.network.tile_px as f64;
        let side = |length: usize| (length as f64 + 16.0).min(tile);
        let tile_pixels = side(self.info.height) * side(self.info.width);
        let tiles = (1.44 * (self.pixels / (tile * tile)).max(1.0)).ceil();
        let tiles = if self.pixels <= tile * tile {
            1.0
        } else {
            tiles.max(2.0)
        };
        let network = self.lanes.min(tiles) * tile_pixels * self.network.held_bytes_per_pixel()
            + tiles * 12.0 * tile_pixels;
        let peaks = (self.pixels / PIXELS_PER_PEAK).min(activity::MAX_PEAKS as f64);
        let patch = ((2 * activity::HALF_PATCH + 1).pow(2)) as f64;
        let patches = (4.0 * peaks * self.bins * patch).min(4.0 * activity::MAX_VALUES as f64);
        let activity = patches + 6.5 * self.groups(summary::GROUP_BYTES);
        // What one of them had is given back before the next.
        let passes = [
            summary,
            network,
            activity,
            self.still_cells(),
            self.refinement(),
        ];
        passes.into_iter().fold(0.0, f64::max)
    }

    /// Light that does not follow the neuropil ([`still_cells`]).
    fn still_cells(&self) -> f64 {
        let hats = HATS * ENTRY_BYTES * self.pixels;
        // The basis stays, and what of it lies between cells.
        let rows = 2.0 * hats + 4.0 * self.pixels;
        let making = hats + self.solver(background::COARSE_SPACING, 0.0);
        let factors = 4.0 * self.bins * self.knots(background::COARSE_SPACING);
        let groups = self.groups(still_cells::GROUP_BYTES);
        // Weighted rows, here and on the device; bins as stored, as floats, and on their way to the kernel.
        let solving = 2.0 * hats + 2.5 * groups;
        // Rows by pixel and two sums; then images in 64 bits instead of the bins: light, slope, their local parts and sums from the corner.
        let images = 8.0 * (3.0 + 2.0 + 1.0) * self.pixels;
        let passing = 1.5 * groups + 2.0 * self.lanes * 8.0 * self.pixels;
        let regressing = hats + 16.0 * self.pixels + passing.max(images);
        making.max(rows + factors + solving.max(regressing))
    }

    /// Footprints from traces ([`footprints::refine`]).
    fn refinement(&self) -> f64 {
        let spacing = background::COARSE_SPACING;
        // The basis, weighted rows here and on the device, and the cells' own pixels.
        let rows = (3.0 * HATS * ENTRY_BYTES + 24.0) * self.pixels;
        let traces = 4.0 * self.bins * (self.cells_found() + self.knots(spacing));
        let passing = rows + traces + 2.5 * self.groups(footprints::GROUP_BYTES);
        passing.max(self.solver(spacing, self.cells_found()))
    }

    /// Bytes of bins, as floats, that all threads together work on, in groups of `bytes`.
    fn groups(&self, bytes: usize) -> f64 {
        let bin = 4.0 * self.pixels;
        let group = bin.max(bytes as f64).min(self.bins * bin);
        (self.lanes * group).min(self.bins * bin)
    }

    /// Functions of the background on a grid of knots this far apart.
    fn knots(&self, spacing: f64) -> f64 {
        let along = |length: usize| background::n_knots(length, spacing) as f64;
        along(self.info.height) * along(self.info.width)
    }

    /// The least squares of cells and background while they are made, the basis included.
    fn solver(&self, spacing: f64, cells: f64) -> f64 {
        // The basis and its brightness; all rows, weighted too, their entries as a list a pixel, weights and noise.
        let a_pixel = 3.0 * HATS * ENTRY_BYTES + LIST_BYTES + 4.0 + 8.0 + 4.0;
        a_pixel * self.pixels + 3.0 * 8.0 * (cells + self.knots(spacing)).powi(2)
    }

    fn traces(&self) -> f64 {
        // Cells, their raw and neuropil traces, and the background.
        let spacing = background::FINE_SPACING;
        let rows = 3.0 * self.cells_found() + self.knots(spacing);
        // The basis, weighted rows, the same with those of raw traces, and on the device.
        let held = (4.0 * HATS * ENTRY_BYTES + 4.0) * self.pixels;
        let inverse = 4.0 * (self.cells_found() + self.knots(spacing)).powi(2);
        let passing = held
            + inverse
            + self.queue()
            + self.lanes * self.block * self.pixels * (4.0 + 4.0)
            + 4.0 * self.lanes * self.block * rows * 4.0
            + self.writer();
        passing.max(self.solver(spacing, self.cells_found()))
    }

    /// Traces on their way to a file.
    fn writer(&self) -> f64 {
        (12.0 * self.cells_found() * self.frames).min((16 << 20) as f64)
    }
}
