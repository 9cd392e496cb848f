//! Traces of all cells: a second pass over the movie, with the motion that the first one found.
//!
//! Frames are decoded and moved again rather than stored: reading them twice costs less than the disk that a registered movie
//! would take. Each frame is projected on all footprints and the background at once, and the least squares take them apart.

use std::{collections::VecDeque, path::Path};

use super::{
    demixing::{
        background::FINE_SPACING,
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

/// Standard deviation of the smoothing of the background in time, s: far below the rise of any indicator's neuropil.
const BACKGROUND_SMOOTHING_S: f64 = 0.05;

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

/// The background's amplitudes smoothed in time, and the traces that follow from it.
///
/// Neuropil is the sum of many processes and moves no faster than the indicator; the noise of its many amplitudes is fast, and would
/// end up in the cells. Frames wait until those after them have come.
struct Smoother<'a> {
    solver: &'a Solver,
    /// Weights from the middle outwards.
    kernel: Vec<f32>,
    /// Frames that still wait, or that waiting ones need: traces, and background.
    frames: VecDeque<(Vec<f32>, Vec<f32>)>,
    /// How many of them are done.
    done: usize,
}

impl<'a> Smoother<'a> {
    fn new(solver: &'a Solver, frame_rate_hz: f64) -> Self {
        let sigma = BACKGROUND_SMOOTHING_S * frame_rate_hz;
        let reach = if sigma < 0.3 {
            0
        } else {
            (3.0 * sigma).ceil() as usize
        };
        Self {
            solver,
            kernel: (0..=reach)
                .map(|k| (-0.5 * (k as f64 / sigma.max(1e-6)).powi(2)).exp() as f32)
                .collect(),
            frames: VecDeque::new(),
            done: 0,
        }
    }

    /// Adds frames; `ready` gets the finished traces `[frame, trace]`. With `last` all are finished.
    fn add(
        &mut self,
        traces: Vec<f32>,
        background: Vec<f32>,
        n_frames: usize,
        last: bool,
        mut ready: impl FnMut(&[f32]) -> Result<()>,
    ) -> Result<()> {
        let (n_traces, n_background) = (
            traces.len() / n_frames.max(1),
            background.len() / n_frames.max(1),
        );
        for frame in 0..n_frames {
            self.frames.push_back((
                traces[frame * n_traces..(frame + 1) * n_traces].to_vec(),
                background[frame * n_background..(frame + 1) * n_background].to_vec(),
            ));
        }
        let reach = self.kernel.len() - 1;
        let end = if last {
            self.frames.len()
        } else {
            self.frames.len().saturating_sub(reach)
        };
        if end <= self.done {
            return Ok(());
        }
        let mut less = Vec::new();
        for frame in self.done..end {
            let (from, to) = (
                frame.saturating_sub(reach),
                (frame + reach + 1).min(self.frames.len()),
            );
            let mut smooth = vec![0.0f32; self.frames[frame].1.len()];
            let mut total = 0.0;
            for other in from..to {
                let weight = self.kernel[other.abs_diff(frame)];
                total += weight;
                for (sum, value) in smooth.iter_mut().zip(&self.frames[other].1) {
                    *sum += weight * value;
                }
            }
            less.extend(
                self.frames[frame]
                    .1
                    .iter()
                    .zip(&smooth)
                    .map(|(own, sum)| own - sum / total),
            );
        }
        let n_cells = self.solver.n_cells();
        let gained = if reach == 0 {
            Vec::new()
        } else {
            self.solver.exchange(&less)
        };
        let mut finished = Vec::new();
        for (k, frame) in (self.done..end).enumerate() {
            let (traces, _) = &mut self.frames[frame];
            if let Some(gained) = gained.get(k * n_cells..(k + 1) * n_cells) {
                for (value, gained) in traces.iter_mut().zip(gained) {
                    *value += gained;
                }
            }
            finished.extend_from_slice(traces);
        }
        self.done = end;
        // Finished frames are kept while frames that wait look back at them.
        while self.done > reach {
            self.frames.pop_front();
            self.done -= 1;
        }
        ready(&finished)
    }
}

/// Takes moved frames `[frame, y, x]` in order, for `--keep-movie`.
pub type FrameSink<'a> = &'a mut dyn FnMut(&[f32]) -> Result<()>;

/// Traces of a plane.
pub struct Extraction {
    /// The traces: demixed, raw, neuropil, of all cells each.
    pub traces: TraceFile,
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
        measured_part: &registered.measured,
    };
    let cells = cell_rows(rois);
    let background = described.background(rois, FINE_SPACING);
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
    let mut smoother = Smoother::new(&solver, info.frame_rate_hz);
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
                let solved = solver.all(&centred);
                let mut traces = Vec::with_capacity(block.n_frames * KINDS * n_cells);
                let mut background = Vec::with_capacity(block.n_frames * (n_solved - n_cells));
                for (solved, row) in solved
                    .chunks_exact(n_solved.max(1))
                    .zip(projected.chunks_exact(n_rows.max(1)))
                {
                    traces.extend_from_slice(&solved[..n_cells]);
                    traces.extend_from_slice(&row[n_solved..]);
                    background.extend_from_slice(&solved[n_cells..]);
                }
                let frames = if keep {
                    moved[range.start * n_pixels..range.end * n_pixels].to_vec()
                } else {
                    Vec::new()
                };
                results.push((traces, background, frames, bad));
                frame = range.end;
            }
            Ok(results)
        },
        |block, (traces, background, frames, bad)| {
            not_finite.add(bad);
            if let Some(sink) = &mut sink {
                sink(&frames)?;
            }
            let last = block.start + block.n_frames == info.n_frames;
            smoother.add(traces, background, block.n_frames, last, |traces| {
                writer.append(traces)
            })
        },
    )?;
    drop(smoother);
    Ok(Extraction {
        traces: writer.finish()?,
        not_finite,
    })
}
