//! One pass over a plane: every frame registered, binned and summed.

use std::path::Path;

use serde::{Deserialize, Serialize};
use somata_shaders::layout::BinFramesParams;

use super::{
    reference_image::{Reference, decode},
    registrar::{Registered, Registrar},
};
use crate::{
    device::{Commands, Executor},
    error::Result,
    imaging::{
        binned_movie::{BinWriter, BinnedMovie},
        frames::{FrameGrid, NotFinite, PlaneFrames},
    },
    movie::Movie,
    parameters::imaging::Registration,
    stream::{Control, Pass, Source},
};

/// Sums that `bin_frames` leaves for each pixel.
const SUMS: usize = somata_shaders::cpu::imaging::bin_frames::SUMS;

/// What the pass over a plane leaves.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct RegisteredPlane {
    /// Values of a frame's shift field.
    pub knots_per_frame: usize,
    /// Shift fields, `[frame, 2, knot_row, knot_column]`, pixels: `frame(y + shift) = reference(y)`.
    pub knots: Vec<f32>,
    /// Mean shift of every frame, y and x, pixels.
    pub shifts: Vec<[f32; 2]>,
    /// Correlation of every frame with the reference.
    pub correlation: Vec<f32>,
    /// Frames that fit the reference too badly to be used.
    pub bad_frames: Vec<bool>,
    /// Mean of the good frames, `[y, x]`; the reference where nothing was measured.
    pub mean: Vec<f32>,
    /// Variance of the good frames, `[y, x]`.
    pub variance: Vec<f32>,
    /// Standard deviation of a frame's noise, from successive differences, `[y, x]`.
    pub noise: Vec<f32>,
    /// Part of the good frames that measured each pixel, `[y, x]`.
    pub measured: Vec<f32>,
    /// Values of float data that were not finite and count as 0.
    pub not_finite: NotFinite,
    /// The binned movie.
    pub bins: BinnedMovie,
}

/// Where a pass runs.
#[derive(Clone, Copy)]
pub struct PassOptions<'a> {
    /// Plays the kernels.
    pub executor: &'a dyn Executor,
    /// Watches and stops the run.
    pub control: &'a Control,
    /// Blocks that travel together, when not what the executor likes.
    pub blocks_together: Option<usize>,
}

impl PassOptions<'_> {
    pub(crate) fn pass<'a>(
        &'a self,
        source: &'a PlaneFrames<'a>,
        bytes_per_frame: u64,
    ) -> Pass<'a, PlaneFrames<'a>> {
        let bytes = bytes_per_frame * source.block_frames as u64;
        Pass {
            source,
            control: self.control,
            lanes: self.executor.lanes(),
            blocks_together: self
                .blocks_together
                .unwrap_or_else(|| self.executor.blocks_together(bytes)),
        }
    }
}

/// Results of one block.
struct BlockResult {
    knots: Vec<f32>,
    fit: Vec<f32>,
    bins: Vec<f32>,
    sums: Vec<f32>,
    not_finite: NotFinite,
}

/// Registers all frames of a plane; the binned movie goes to `path`.
///
/// # Errors
/// When the movie cannot be read, the device fails, the disk is full, or the run is stopped.
pub fn register(
    movie: &dyn Movie,
    [plane, channel]: [usize; 2],
    reference: &Reference,
    grid: &FrameGrid,
    parameters: &Registration,
    path: &Path,
    stage: &str,
    options: PassOptions<'_>,
) -> Result<RegisteredPlane> {
    let info = movie.info();
    let n_pixels = info.n_pixels();
    let size = [info.height, info.width];
    let registrar = Registrar::new(
        options.executor,
        &reference.image,
        &reference.variance,
        size,
        parameters,
        parameters.steps,
    )?;
    let source = PlaneFrames {
        movie,
        plane,
        channel,
        block_frames: grid.block_frames,
    };
    let mut writer = BinWriter::create(
        path,
        size,
        grid.bin_frames,
        &reference.image,
        &reference.variance,
    )?;
    let mut totals = vec![0.0f64; SUMS * n_pixels];
    let mut result = RegisteredPlane {
        knots_per_frame: registrar.knots_per_frame(),
        knots: Vec::new(),
        shifts: Vec::new(),
        correlation: Vec::new(),
        bad_frames: Vec::new(),
        mean: Vec::new(),
        variance: Vec::new(),
        noise: Vec::new(),
        measured: Vec::new(),
        not_finite: NotFinite::default(),
        // Replaced when the file is whole.
        bins: BinnedMovie::empty(),
    };
    let pass = options.pass(&source, registrar.bytes_per_frame());
    pass.run(
        stage,
        &grid.blocks,
        |chunk| {
            let n_blocks = chunk.blocks.len();
            // Only the last block of a movie is short, and it is the last of its chunk.
            let n_frames: usize = chunk.blocks.iter().map(|block| block.n_frames).sum();
            let n_bins = n_frames.div_ceil(grid.bin_frames);
            let mut commands = Commands::new();
            let raw = std::mem::take(&mut chunk.raw);
            let not_finite: Vec<NotFinite> = chunk
                .blocks
                .iter()
                .zip(raw.chunks_exact(source.block_words()))
                .map(|(block, raw)| NotFinite::of_block(info, block, raw))
                .collect();
            let frames = decode(&mut commands, movie, raw, n_frames, reference.row_offset);
            let (knots, fit) = if parameters.correct {
                let Registered { knots, fit } =
                    registrar.estimate(&mut commands, frames, n_frames as u32);
                (knots, fit)
            } else {
                let knots = commands.zeros("knots", n_frames * registrar.knots_per_frame());
                (knots, commands.zeros("fit", 3 * n_frames))
            };
            let (moved, spans) = registrar.resample(&mut commands, frames, knots, n_frames as u32);
            let bins = commands.buffer("bins", n_bins * n_pixels);
            let sums = commands.buffer("sums", n_blocks * SUMS * n_pixels);
            let image = commands.resident(registrar.reference());
            commands.dispatch(
                &BinFramesParams {
                    n_blocks: n_blocks as u32,
                    block_frames: grid.block_frames as u32,
                    bin_frames: grid.bin_frames as u32,
                    n_frames: n_frames as u32,
                    height: info.height as u32,
                    width: info.width as u32,
                    min_correlation: reference.min_correlation,
                },
                &[moved, spans, fit, image, bins, sums],
            );
            let ids = [knots, fit, bins, sums].map(|buffer| commands.download(buffer));
            let mut downloads = options.executor.play(commands)?;
            let [knots, fit, bins, sums] = ids.map(|id| downloads.take::<f32>(id));
            Ok(split(
                &chunk.blocks,
                grid,
                n_pixels,
                registrar.knots_per_frame(),
                [&knots, &fit, &bins, &sums],
                &not_finite,
            ))
        },
        |_, block: BlockResult| {
            writer.append(&block.bins)?;
            result.not_finite.add(block.not_finite);
            for (total, sum) in totals.iter_mut().zip(&block.sums) {
                *total += f64::from(*sum);
            }
            for (knots, fit) in block
                .knots
                .chunks_exact(registrar.knots_per_frame())
                .zip(block.fit.chunks_exact(3))
            {
                result.shifts.push(registrar.mean_shift(knots));
                result.correlation.push(fit[0]);
                result.bad_frames.push(fit[0] < reference.min_correlation);
            }
            result.knots.extend(block.knots);
            Ok(())
        },
    )?;
    result.bins = writer.finish()?;
    result.finish(&totals, &reference.image);
    Ok(result)
}

/// Takes the results of a chunk apart.
fn split(
    blocks: &[crate::imaging::frames::FrameBlock],
    grid: &FrameGrid,
    n_pixels: usize,
    per_frame: usize,
    [knots, fit, bins, sums]: [&[f32]; 4],
    not_finite: &[NotFinite],
) -> Vec<BlockResult> {
    let (mut frame, mut bin) = (0, 0);
    blocks
        .iter()
        .enumerate()
        .map(|(k, block)| {
            let n = block.n_frames;
            let n_bins = n.div_ceil(grid.bin_frames);
            let result = BlockResult {
                knots: knots[frame * per_frame..(frame + n) * per_frame].to_vec(),
                fit: fit[3 * frame..3 * (frame + n)].to_vec(),
                bins: bins[bin * n_pixels..(bin + n_bins) * n_pixels].to_vec(),
                sums: sums[k * SUMS * n_pixels..(k + 1) * SUMS * n_pixels].to_vec(),
                not_finite: not_finite[k],
            };
            frame += n;
            bin += n_bins;
            result
        })
        .collect()
}

impl RegisteredPlane {
    /// Mean, variance and noise from the sums of all blocks.
    fn finish(&mut self, totals: &[f64], reference: &[f32]) {
        let n_pixels = reference.len();
        let [count, sum, square, pairs, differences] =
            std::array::from_fn(|k| &totals[k * n_pixels..(k + 1) * n_pixels]);
        let n_good = self.bad_frames.iter().filter(|bad| !**bad).count().max(1) as f64;
        let mut noise = vec![f32::NAN; n_pixels];
        for i in 0..n_pixels {
            let n = count[i].max(1.0);
            let mean = sum[i] / n;
            self.mean.push((f64::from(reference[i]) + mean) as f32);
            self.variance
                .push((square[i] / n - mean * mean).max(0.0) as f32);
            self.measured.push((count[i] / n_good) as f32);
            if pairs[i] >= 8.0 {
                noise[i] = (differences[i] / pairs[i] / 2.0).sqrt() as f32;
            }
        }
        let mut known: Vec<f32> = noise.iter().copied().filter(|v| v.is_finite()).collect();
        if known.is_empty() {
            // A handful of frames: the deviation about the mean holds the noise and whatever else changes, which makes nothing up.
            noise = self.variance.iter().map(|v| v.sqrt()).collect();
            known.clone_from(&noise);
        }
        let typical = crate::linalg::median(&mut known);
        // A pixel that hardly changes (saturated, or measured by few frames) has no noise of its own to divide by.
        let floor = (0.1 * typical).max(1e-6);
        self.noise = noise
            .into_iter()
            .map(|v| {
                if v.is_finite() {
                    v.max(floor)
                } else {
                    typical.max(floor)
                }
            })
            .collect();
    }
}
