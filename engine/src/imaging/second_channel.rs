//! The channel that is not functional: moved by the shifts of the one that is, with traces of the same cells.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{
    extraction::extract,
    frames::{FrameGrid, NotFinite},
    registration::{
        Reference, RegisteredPlane, Registrar, reference_image::decode, register::PassOptions,
    },
    rois::Roi,
    trace_file::TraceFile,
};
use crate::{device::Commands, error::Result, movie::Movie, parameters::imaging::Registration};

/// Frames whose mean stands in for pixels that another frame has not seen.
const SAMPLE_FRAMES: usize = 200;
/// Frames of the sample that travel together.
const TOGETHER: usize = 10;

/// The channel that is moved along.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct SecondChannel {
    /// Mean of the good frames, `[y, x]`.
    pub mean: Vec<f32>,
    /// Its raw and neuropil traces (the demixed ones are there as well).
    pub extracted: TraceFile,
    /// Values of float data that were not finite and count as 0.
    pub not_finite: NotFinite,
}

/// Moves a channel by shifts that are known and takes the traces of cells that are known; the traces are written to `path`.
///
/// # Errors
/// When the movie cannot be read, the device fails, the disk is full, or the run is stopped.
pub fn follow(
    movie: &dyn Movie,
    [plane, channel]: [usize; 2],
    rois: &[Roi],
    functional: &Reference,
    registered: &RegisteredPlane,
    measured: &[bool],
    grid: &FrameGrid,
    parameters: &Registration,
    path: &Path,
    stage: &str,
    options: PassOptions<'_>,
) -> Result<SecondChannel> {
    let n_pixels = movie.info().n_pixels();
    let own = Reference {
        image: sampled_mean(
            movie,
            [plane, channel],
            functional,
            registered,
            parameters,
            options,
        )?,
        ..functional.clone()
    };
    let mut sum = vec![0.0f64; n_pixels];
    let (mut frame, mut n) = (0, 0u32);
    let mut add = |frames: &[f32]| {
        for image in frames.chunks_exact(n_pixels) {
            if !registered.bad_frames[frame] {
                n += 1;
                for (sum, value) in sum.iter_mut().zip(image) {
                    *sum += f64::from(*value);
                }
            }
            frame += 1;
        }
        Ok(())
    };
    let found = extract(
        movie,
        [plane, channel],
        rois,
        &own,
        registered,
        measured,
        grid,
        parameters,
        path,
        stage,
        options,
        Some(&mut add),
    )?;
    Ok(SecondChannel {
        mean: sum
            .iter()
            .map(|sum| (sum / f64::from(n.max(1))) as f32)
            .collect(),
        extracted: found.traces,
        not_finite: found.not_finite,
    })
}

/// Mean of good frames from the whole movie, of what each has seen; pixels that none has seen have the mean of the others, `[y, x]`.
fn sampled_mean(
    movie: &dyn Movie,
    [plane, channel]: [usize; 2],
    functional: &Reference,
    registered: &RegisteredPlane,
    parameters: &Registration,
    options: PassOptions<'_>,
) -> Result<Vec<f32>> {
    let info = movie.info();
    let (n_pixels, width) = (info.n_pixels(), info.width);
    let good: Vec<usize> = (0..info.n_frames)
        .filter(|frame| !registered.bad_frames[*frame])
        .collect();
    let every = good.len().div_ceil(SAMPLE_FRAMES).max(1);
    let chosen: Vec<usize> = good.into_iter().step_by(every).collect();
    let registrar = Registrar::new(
        options.executor,
        &functional.image,
        &functional.variance,
        [info.height, info.width],
        parameters,
        parameters.steps,
    )?;
    let mut sum = vec![0.0f64; n_pixels];
    let mut count = vec![0u32; n_pixels];
    for group in chosen.chunks(TOGETHER) {
        options.control.check()?;
        let mut raw = vec![0u32; (group.len() * info.frame_bytes()).div_ceil(4)];
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut raw);
        let mut knots = Vec::new();
        for (&frame, bytes) in group.iter().zip(bytes.chunks_exact_mut(info.frame_bytes())) {
            movie.read(plane, channel, frame, bytes)?;
            let first = frame * registered.knots_per_frame;
            knots.extend_from_slice(&registered.knots[first..first + registered.knots_per_frame]);
        }
        let mut commands = Commands::new();
        let frames = decode(
            &mut commands,
            movie,
            raw,
            group.len(),
            functional.row_offset,
        );
        let knots = commands.upload("knots", &knots);
        let (moved, spans) = registrar.resample(&mut commands, frames, knots, group.len() as u32);
        let (moved, spans) = (commands.download(moved), commands.download(spans));
        let mut downloads = options.executor.play(commands)?;
        let (moved, spans): (Vec<f32>, Vec<u32>) = (downloads.take(moved), downloads.take(spans));
        for (row, span) in spans.as_chunks::<2>().0.iter().enumerate() {
            let in_image = row % info.height * width;
            for x in span[0] as usize..span[1] as usize {
                sum[in_image + x] += f64::from(moved[row * width + x]);
                count[in_image + x] += 1;
            }
        }
    }
    let seen: u64 = count.iter().map(|&n| u64::from(n)).sum();
    let overall = sum.iter().sum::<f64>() / (seen.max(1) as f64);
    Ok(sum
        .iter()
        .zip(&count)
        .map(|(sum, &n)| {
            if n > 0 {
                (sum / f64::from(n)) as f32
            } else {
                overall as f32
            }
        })
        .collect())
}
