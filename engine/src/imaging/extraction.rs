//! Traces of all cells: a second pass over the movie, with the motion that the first one found.
//!
//! Frames are decoded and moved again rather than stored: reading them twice costs less than the disk that a registered movie
//! would take. Each frame is projected on all footprints and the background at once, and the least squares take them apart.

use std::path::Path;

use super::{
    demixing::{
        footprints::{Plane, cell_rows},
        solver::{DeviceRows, Solver},
    },
    frames::{FrameGrid, NotFinite, PlaneFrames},
    morphology::ImageSize,
    neuropil::rings,
    registration::{
        Reference, RegisteredPlane, Registrar, reference_image::decode, register::PassOptions,
    },
    rois::{Roi, Rows},
    trace_file::{TraceFile, TraceWriter},
};
use crate::{
    device::Commands, error::Result, movie::Movie, parameters::imaging::Registration,
    stream::Source,
};

/// Traces that a cell has in the file, in this order.
pub const KINDS: usize = 3;

/// Which trace of a cell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Extracted {
    /// Demixed: the cell's own light, less the neuropil, relative to its mean.
    Demixed,
    /// Weighted mean over the pixels that only this cell has.
    Raw,
    /// Mean over the ring around the cell.
    Neuropil,
}

/// Place of a trace in the file.
pub fn place(kind: Extracted, cell: usize, n_cells: usize) -> usize {
    kind as usize * n_cells + cell
}

/// Weights of the raw traces: the footprint on the body's pixels that no other body has, or on all of them where there are
/// none; they add up to 1.
pub fn raw_rows(rois: &[Roi], n_pixels: usize) -> Rows {
    let mut bodies = vec![0u32; n_pixels];
    for roi in rois {
        for &pixel in &roi.body {
            bodies[pixel as usize] += 1;
        }
    }
    let mut rows = Rows::new();
    for roi in rois {
        let weight = |pixel: u32| {
            let at = roi.pixels.binary_search(&pixel);
            at.map_or(0.0, |at| roi.weights[at])
        };
        let entries = |alone: bool| -> Vec<(u32, f32)> {
            let pixels = roi
                .body
                .iter()
                .filter(|&&pixel| !alone || bodies[pixel as usize] == 1);
            pixels
                .map(|&pixel| (pixel, weight(pixel)))
                .filter(|(_, w)| *w > 0.0)
                .collect()
        };
        let mut chosen = entries(true);
        if chosen.is_empty() {
            chosen = entries(false);
        }
        let total: f32 = chosen.iter().map(|(_, weight)| weight).sum();
        rows.push(
            chosen
                .into_iter()
                .map(|(pixel, weight)| (pixel, weight / total.max(f32::MIN_POSITIVE))),
        );
    }
    rows
}

/// Takes moved frames `[frame, y, x]` in order, for `--keep-movie`.
pub type FrameSink<'a> = &'a mut dyn FnMut(&[f32]) -> Result<()>;

/// Traces of a plane, and the noise of the demixed ones.
pub struct Extraction {
    /// The traces: demixed, raw, neuropil, of all cells each.
    pub traces: TraceFile,
    /// Deviation of a cell's demixed amplitude that the pixels' noise makes.
    pub noise: Vec<f32>,
    /// Values of float data that were not finite and count as 0.
    pub not_finite: NotFinite,
}

/// Extracts the traces of a plane from channel `channel` into `path`.
///
/// # Errors
/// When the movie cannot be read, the device fails, the disk is full, or the run is stopped.
pub fn extract(
    movie: &dyn Movie,
    [plane, channel]: [usize; 2],
    rois: &[Roi],
    reference: &Reference,
    registered: &RegisteredPlane,
    measured: &[bool],
    grid: &FrameGrid,
    parameters: &Registration,
    path: &Path,
    stage: &str,
    options: PassOptions<'_>,
    mut sink: Option<FrameSink<'_>>,
) -> Result<Extraction> {
    let info = movie.info();
    let n_pixels = info.n_pixels();
    let size = ImageSize {
        height: info.height,
        width: info.width,
    };
    let described = Plane {
        bins: &registered.bins,
        mean: &registered.mean,
        noise: &registered.noise,
        measured,
    };
    let cells = cell_rows(rois);
    let background = described.background(rois);
    let solver = Solver::new(&cells, &background.rows, &registered.noise);
    let n_solved = solver.weighted.len();
    // What is constant is taken out before the solution: the amplitudes are relative to the mean image.
    let constant = solver.weighted.apply(&registered.mean);
    let mut rows = solver.weighted.clone();
    rows.extend(&raw_rows(rois, n_pixels));
    rows.extend(&rings(rois, measured, size));
    let device_rows = DeviceRows::new(options.executor, &rows)?;
    let registrar = Registrar::new(
        options.executor,
        &reference.image,
        &reference.variance,
        [info.height, info.width],
        parameters,
        parameters.steps,
    )?;
    let source = PlaneFrames {
        movie,
        plane,
        channel,
        block_frames: grid.block_frames,
    };
    let n_cells = rois.len();
    let n_rows = rows.len();
    let per_frame = registered.knots_per_frame;
    let keep = sink.is_some();
    let mut writer = TraceWriter::create(path, KINDS * n_cells)?;
    let mut not_finite = NotFinite::default();
    options.pass(&source, registrar.bytes_per_frame()).run(
        stage,
        &grid.blocks,
        |chunk| {
            let first = chunk.blocks[0].start;
            let n_frames: usize = chunk.blocks.iter().map(|block| block.n_frames).sum();
            let mut commands = Commands::new();
            let raw = std::mem::take(&mut chunk.raw);
            let bad: Vec<NotFinite> = chunk
                .blocks
                .iter()
                .zip(raw.chunks_exact(source.block_words()))
                .map(|(block, raw)| NotFinite::of_block(info, block, raw))
                .collect();
            let frames = decode(&mut commands, movie, raw, n_frames, reference.row_offset);
            let knots = &registered.knots[first * per_frame..(first + n_frames) * per_frame];
            let knots = commands.upload("knots", knots);
            let (moved, _) = registrar.resample(&mut commands, frames, knots, n_frames as u32);
            let projected = device_rows.record(&mut commands, moved, n_frames, n_pixels);
            let projected = commands.download(projected);
            let moved = keep.then(|| commands.download(moved));
            let mut downloads = options.executor.play(commands)?;
            let projected: Vec<f32> = downloads.take(projected);
            let moved: Vec<f32> = moved.map(|moved| downloads.take(moved)).unwrap_or_default();
            // Block by block, so that sums are made in the same order whatever travels together.
            let mut frame = 0;
            let mut results = Vec::new();
            for (block, bad) in chunk.blocks.iter().zip(bad) {
                let range = frame..frame + block.n_frames;
                let projected = &projected[range.start * n_rows..range.end * n_rows];
                let mut centred = Vec::with_capacity(block.n_frames * n_solved);
                for row in projected.chunks_exact(n_rows.max(1)) {
                    let pairs = row[..n_solved].iter().zip(&constant);
                    centred.extend(
                        pairs.map(|(value, constant)| (f64::from(*value) - constant) as f32),
                    );
                }
                let demixed = solver.cells(&centred);
                let mut traces = Vec::with_capacity(block.n_frames * KINDS * n_cells);
                if n_cells > 0 {
                    for (demixed, row) in demixed
                        .chunks_exact(n_cells)
                        .zip(projected.chunks_exact(n_rows))
                    {
                        traces.extend_from_slice(demixed);
                        traces.extend_from_slice(&row[n_solved..]);
                    }
                }
                let frames = if keep {
                    moved[range.start * n_pixels..range.end * n_pixels].to_vec()
                } else {
                    Vec::new()
                };
                results.push((traces, frames, bad));
                frame = range.end;
            }
            Ok(results)
        },
        |_, (traces, frames, bad)| {
            not_finite.add(bad);
            if let Some(sink) = &mut sink {
                sink(&frames)?;
            }
            writer.append(&traces)
        },
    )?;
    Ok(Extraction {
        traces: writer.finish()?,
        noise: solver.noise,
        not_finite,
    })
}
