//! The image that all frames are registered to.
//!
//! Frames from the whole movie take part, not only its beginning: the most alike frames make a first image; all frames are
//! registered to it, the worst fifth is left out, and the image is made anew, a few times. The typical frame stays where it is, so that
//! shifts are small and little of the field is lost at the edges.

use std::sync::Mutex;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use somata_shaders::layout::DecodeFramesParams;

use super::{
    bidirectional_offset,
    registrar::{Registered, Registrar, knot_grid},
};
use crate::{
    device::{BufferId, Commands, Executor},
    error::Result,
    linalg,
    movie::{Movie, MovieInfo},
    parameters::imaging::Registration,
    stream::Control,
};

/// Pixels of all sampled frames at most.
const SAMPLE_PIXELS: usize = 48 << 20;
/// Frames that make the first image.
pub(crate) const SEED_FRAMES: usize = 20;
/// Rounds with the coarse shift alone, then with the shift field.
const ROUNDS: (usize, usize) = (1, 2);
/// Gauss-Newton steps of a round.
const STEPS: u32 = 2;
/// Frames that tell the bidirectional offset.
const BIDIRECTIONAL_FRAMES: usize = 60;
/// Part of the frames that a round leaves out: those that fit worst.
const WORST: f64 = 0.2;
/// Frames that must have measured a pixel of the reference.
const MIN_MEASURED: f32 = 5.0;
/// Frames that travel together.
pub(crate) const TOGETHER: usize = 20;

/// What all frames of a plane are registered to.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Reference {
    /// Mean of the registered frames, `[y, x]`.
    pub image: Vec<f32>,
    /// Variance of a frame's pixel about it, `[y, x]`.
    pub variance: Vec<f32>,
    /// Pixels by which odd rows lie too far to the right.
    pub row_offset: f32,
    /// A frame that correlates less with the reference is bad.
    pub min_correlation: f32,
}

/// Appends the decoding of raw frames: `[frame, y, x]`.
pub fn decode(
    commands: &mut Commands,
    movie: &dyn Movie,
    raw: Vec<u32>,
    n_frames: usize,
    row_offset: f32,
) -> BufferId {
    let info = movie.info();
    let raw = commands.upload_words("raw", raw);
    let frames = commands.buffer("frames", n_frames * info.n_pixels());
    commands.dispatch(
        &DecodeFramesParams {
            n_frames: n_frames as u32,
            height: info.height as u32,
            width: info.width as u32,
            pixel_type: info.pixel_type.code(),
            row_offset,
        },
        &[raw, frames],
    );
    frames
}

/// Frames from the whole movie, as read.
struct Sample<'a> {
    movie: &'a dyn Movie,
    executor: &'a dyn Executor,
    control: &'a Control,
    /// Raw frames in groups that travel together.
    groups: Vec<(usize, Vec<u32>)>,
    n_frames: usize,
    row_offset: f32,
}

/// How many frames the reference is made of.
pub(crate) fn sampled_frames(info: &MovieInfo, parameters: &Registration) -> usize {
    let most =
        (SAMPLE_PIXELS / info.n_pixels().max(1)).clamp(10, parameters.reference_frames as usize);
    most.min(info.n_frames)
}

/// Of how many sampled frames one tells the bidirectional offset: every frame shows the same one, so a few dozen tell it as well as all.
pub(crate) fn bidirectional_step(n_frames: usize) -> usize {
    n_frames.div_ceil(BIDIRECTIONAL_FRAMES).max(1)
}

/// Makes the reference of a plane.
///
/// # Errors
/// When the movie cannot be read, the device fails, or the run is stopped.
pub fn make(
    movie: &dyn Movie,
    [plane, channel]: [usize; 2],
    parameters: &Registration,
    executor: &dyn Executor,
    control: &Control,
) -> Result<Reference> {
    let info = movie.info();
    let n_frames = sampled_frames(info, parameters);
    // Spread over the movie, both ends included.
    let at = |k: usize| k * (info.n_frames - 1) / (n_frames - 1).max(1);
    let frame_bytes = info.frame_bytes();
    let indices: Vec<usize> = (0..n_frames).map(at).collect();
    let mut groups = Vec::new();
    for group in indices.chunks(TOGETHER) {
        control.check()?;
        let mut raw = vec![0u32; (group.len() * frame_bytes).div_ceil(4)];
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut raw);
        for (frame, bytes) in group.iter().zip(bytes.chunks_exact_mut(frame_bytes)) {
            movie.read(plane, channel, *frame, bytes)?;
        }
        groups.push((group.len(), raw));
    }
    let mut sample = Sample {
        movie,
        executor,
        control,
        groups,
        n_frames,
        row_offset: 0.0,
    };
    if parameters.bidirectional && parameters.correct {
        let every = bidirectional_step(n_frames);
        let chosen: Vec<usize> = (0..n_frames).step_by(every).collect();
        let frames = sample.frames_of(&chosen)?;
        sample.row_offset =
            bidirectional_offset::estimate(&frames, [info.height, info.width]).unwrap_or(0.0);
    }
    sample.reference(parameters)
}

impl Sample<'_> {
    /// Plays commands on every group and returns what `read` makes of it, in order.
    fn each<T: Send>(
        &self,
        record: impl Fn(&mut Commands, BufferId, usize, usize) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let mut first = 0;
        let starts: Vec<usize> = self
            .groups
            .iter()
            .map(|(n, _)| {
                first += n;
                first - n
            })
            .collect();
        let run = |(group, start): (&(usize, Vec<u32>), &usize)| {
            self.control.check()?;
            let mut commands = Commands::new();
            let frames = decode(
                &mut commands,
                self.movie,
                group.1.clone(),
                group.0,
                self.row_offset,
            );
            record(&mut commands, frames, group.0, *start)
        };
        self.groups.par_iter().zip(&starts).map(run).collect()
    }

    fn play(&self, commands: &mut Commands) -> Result<crate::device::Downloads> {
        Ok(self.executor.play(std::mem::take(commands))?)
    }

    fn reference(&self, parameters: &Registration) -> Result<Reference> {
        let info = self.movie.info();
        let size = [info.height, info.width];
        let n_pixels = info.n_pixels();
        let mut image = self.seed()?;
        let mut variance = vec![1.0f32; n_pixels];
        let mut correlations = vec![1.0f32; self.n_frames];
        let (rows, columns) = knot_grid(parameters, info.height, info.width);
        let half = (rows * columns) as usize;
        let rounds = if parameters.correct { ROUNDS } else { (0, 0) };
        for round in 0..rounds.0 + rounds.1 {
            let steps = if round < rounds.0 { 0 } else { STEPS };
            let registrar =
                Registrar::new(self.executor, &image, &variance, size, parameters, steps)?;
            let mut knots = Vec::new();
            let found = self.each(|commands, frames, n, _| {
                let Registered { knots, fit } = registrar.estimate(commands, frames, n as u32);
                let (knots, fit) = (commands.download(knots), commands.download(fit));
                let mut downloads = self.play(commands)?;
                Ok((downloads.take::<f32>(knots), downloads.take::<f32>(fit)))
            })?;
            correlations.clear();
            for (group, fit) in found {
                knots.extend(group);
                correlations.extend(fit.chunks_exact(3).map(|fit| fit[0]));
            }
            recentre(&mut knots, 2 * half);
            let keep = best(&correlations, 1.0 - WORST);
            (image, variance) = self.average(&registrar, &knots, &keep, &image)?;
        }
        if !parameters.correct {
            (image, variance) = self.plain_average()?;
        }
        let mut sorted = correlations.clone();
        let median = linalg::median(&mut sorted);
        Ok(Reference {
            image,
            variance,
            row_offset: self.row_offset,
            min_correlation: if parameters.correct {
                (parameters.min_correlation as f32 * median).max(0.0)
            } else {
                -2.0
            },
        })
    }

    /// Mean of the frames that are most alike: those that correlate best with the frame that has the most alike
    /// company.
    fn seed(&self) -> Result<Vec<f32>> {
        let info = self.movie.info();
        let (height, width) = (info.height, info.width);
        let bin = if height.min(width) >= 64 { 4 } else { 1 };
        let (rows, columns) = (height / bin, width / bin);
        let small: Vec<Vec<f32>> = self
            .each(|commands, frames, n, _| {
                let frames = commands.download(frames);
                let frames: Vec<f32> = self.play(commands)?.take(frames);
                Ok((0..n)
                    .map(|k| {
                        shrunk(
                            &frames[k * height * width..(k + 1) * height * width],
                            width,
                            bin,
                            rows,
                            columns,
                        )
                    })
                    .collect::<Vec<_>>())
            })?
            .concat();
        let n = small.len();
        let alike: Vec<Vec<f32>> = small
            .par_iter()
            .map(|a| {
                let pairs = small.iter().map(|b| linalg::dot(a, b) as f32);
                pairs.collect()
            })
            .collect();
        let company = SEED_FRAMES.min(n);
        let order = |row: &[f32]| {
            let mut order: Vec<usize> = (0..n).collect();
            order.sort_by(|&a, &b| row[b].total_cmp(&row[a]).then(a.cmp(&b)));
            order.truncate(company);
            order
        };
        let chosen = alike
            .iter()
            .map(|row| order(row))
            .max_by(|a, b| {
                let sum = |order: &[usize]| order.iter().map(|&k| alike[order[0]][k]).sum::<f32>();
                sum(a).total_cmp(&sum(b))
            })
            .unwrap_or_default();
        let mut image = vec![0.0f64; height * width];
        let frames = self.frames_of(&chosen)?;
        for frame in &frames {
            for (sum, value) in image.iter_mut().zip(frame) {
                *sum += f64::from(*value);
            }
        }
        Ok(image
            .iter()
            .map(|sum| (sum / frames.len().max(1) as f64) as f32)
            .collect())
    }

    /// Some decoded frames.
    fn frames_of(&self, chosen: &[usize]) -> Result<Vec<Vec<f32>>> {
        let n_pixels = self.movie.info().n_pixels();
        let found = self.each(|commands, frames, n, start| {
            if !chosen.iter().any(|k| (start..start + n).contains(k)) {
                return Ok(Vec::new());
            }
            let frames = commands.download(frames);
            let frames: Vec<f32> = self.play(commands)?.take(frames);
            Ok((0..n)
                .filter(|k| chosen.contains(&(start + k)))
                .map(|k| frames[k * n_pixels..(k + 1) * n_pixels].to_vec())
                .collect())
        })?;
        // Handed on as they are: the frames of a second copy would be the most that this stage holds.
        Ok(found.into_iter().flatten().collect())
    }

    /// Mean and variance of the kept frames, moved by their knots; a pixel that few frames measured keeps its value.
    fn average(
        &self,
        registrar: &Registrar,
        knots: &[f32],
        keep: &[bool],
        before: &[f32],
    ) -> Result<(Vec<f32>, Vec<f32>)> {
        let info = self.movie.info();
        let per_frame = registrar.knots_per_frame();
        self.moments(before, |commands, frames, n, start| {
            let knots = &knots[start * per_frame..(start + n) * per_frame];
            let knots = commands.upload("knots", knots);
            let (moved, spans) = registrar.resample(commands, frames, knots, n as u32);
            let (moved, spans) = (commands.download(moved), commands.download(spans));
            let mut downloads = self.play(commands)?;
            let moved: Vec<f32> = downloads.take(moved);
            let spans: Vec<u32> = downloads.take(spans);
            let mut group = Moments::new(info.n_pixels());
            for k in (0..n).filter(|k| keep[start + k]) {
                for y in 0..info.height {
                    let span = 2 * (k * info.height + y);
                    for x in spans[span] as usize..spans[span + 1] as usize {
                        let i = y * info.width + x;
                        group.add(i, moved[k * info.n_pixels() + i] - before[i]);
                    }
                }
            }
            Ok(group)
        })
    }

    /// Mean and variance of all frames as they are.
    fn plain_average(&self) -> Result<(Vec<f32>, Vec<f32>)> {
        let n_pixels = self.movie.info().n_pixels();
        let before = self.seed()?;
        self.moments(&before, |commands, frames, n, _| {
            let frames = commands.download(frames);
            let frames: Vec<f32> = self.play(commands)?.take(frames);
            let mut group = Moments::new(n_pixels);
            for k in 0..n {
                for i in 0..n_pixels {
                    group.add(i, frames[k * n_pixels + i] - before[i]);
                }
            }
            Ok(group)
        })
    }

    /// Sums the moments of the groups in their order, so that the result does not depend on threads.
    fn moments(
        &self,
        before: &[f32],
        moments: impl Fn(&mut Commands, BufferId, usize, usize) -> Result<Moments> + Sync,
    ) -> Result<(Vec<f32>, Vec<f32>)> {
        let total = Mutex::new((
            0,
            Moments::new(before.len()),
            std::collections::BTreeMap::new(),
        ));
        self.each(|commands, frames, n, start| {
            let group = moments(commands, frames, n, start)?;
            let mut total = total.lock().expect("no panic while adding");
            let (next, sum, waiting) = &mut *total;
            waiting.insert(start, (n, group));
            while let Some((n, group)) = waiting.remove(next) {
                *next += n;
                sum.join(&group);
            }
            Ok(())
        })?;
        let (_, sum, _) = total.into_inner().expect("no panic while adding");
        Ok(sum.finish(before))
    }
}

/// Bytes of the sums of a pixel.
pub(crate) const MOMENT_BYTES: usize = 12;

/// Sums about a known image, from which mean and variance are made.
struct Moments {
    count: Vec<f32>,
    sum: Vec<f32>,
    square: Vec<f32>,
}

impl Moments {
    fn new(n: usize) -> Self {
        Self {
            count: vec![0.0; n],
            sum: vec![0.0; n],
            square: vec![0.0; n],
        }
    }

    fn add(&mut self, i: usize, value: f32) {
        self.count[i] += 1.0;
        self.sum[i] += value;
        self.square[i] += value * value;
    }

    fn join(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.count, &other.count),
            (&mut self.sum, &other.sum),
            (&mut self.square, &other.square),
        ] {
            for (a, b) in mine.iter_mut().zip(theirs) {
                *a += b;
            }
        }
    }

    fn finish(&self, before: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let mut image = before.to_vec();
        let mut variance = vec![f32::NAN; before.len()];
        let most = self.count.iter().copied().fold(1.0, f32::max);
        let enough = MIN_MEASURED.min(most);
        for i in (0..before.len()).filter(|&i| self.count[i] >= enough) {
            let mean = self.sum[i] / self.count[i];
            image[i] += mean;
            variance[i] = (self.square[i] / self.count[i] - mean * mean).max(0.0);
        }
        let mut known: Vec<f32> = variance.iter().copied().filter(|v| v.is_finite()).collect();
        let typical = linalg::median(&mut known);
        for v in &mut variance {
            if !v.is_finite() {
                *v = typical;
            }
        }
        (image, variance)
    }
}

/// Binned, mean 0 and norm 1.
fn shrunk(frame: &[f32], width: usize, bin: usize, rows: usize, columns: usize) -> Vec<f32> {
    let mut small: Vec<f32> = (0..rows * columns)
        .map(|i| {
            let (y, x) = (i / columns * bin, i % columns * bin);
            (0..bin * bin)
                .map(|k| frame[(y + k / bin) * width + x + k % bin])
                .sum()
        })
        .collect();
    // In double precision: what rounding leaves of a frame of one value would be scaled to norm 1, and all such frames (a
    // closed shutter, a flash that saturates) would be perfectly alike.
    let sum: f64 = small.iter().map(|&value| f64::from(value)).sum();
    let mean = (sum / small.len().max(1) as f64) as f32;
    small.iter_mut().for_each(|value| *value -= mean);
    let norm = small.iter().map(|v| v * v).sum::<f32>().sqrt();
    if norm > 0.0 {
        small.iter_mut().for_each(|value| *value /= norm);
    }
    small
}

/// Takes the median over frames out of every knot: the typical frame is not moved.
fn recentre(knots: &mut [f32], per_frame: usize) {
    for k in 0..per_frame {
        let mut values: Vec<f32> = knots.iter().skip(k).step_by(per_frame).copied().collect();
        let median = linalg::median(&mut values);
        knots
            .iter_mut()
            .skip(k)
            .step_by(per_frame)
            .for_each(|value| *value -= median);
    }
}

/// The `part` of the frames with the largest values.
fn best(values: &[f32], part: f64) -> Vec<bool> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f32::total_cmp);
    let at = ((sorted.len() as f64) * (1.0 - part)).floor() as usize;
    let least = sorted.get(at).copied().unwrap_or(f32::NEG_INFINITY);
    values.iter().map(|&value| value >= least).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_one_value_are_not_alike() {
        let (height, width) = (24, 36);
        for value in [0.0, 7.0, 32_767.0, 65_535.0, -0.1, 1234.567] {
            let frame = vec![value; height * width];
            for bin in [1, 4] {
                let small = shrunk(&frame, width, bin, height / bin, width / bin);
                let norm: f32 = small.iter().map(|v| v * v).sum();
                assert_eq!(norm, 0.0, "{value} in bins of {bin}");
            }
        }
        let frame: Vec<f32> = (0..height * width).map(|i| (i % 7) as f32).collect();
        let small = shrunk(&frame, width, 4, height / 4, width / 4);
        let norm: f32 = small.iter().map(|v| v * v).sum();
        // Rounding of some fifty squares.
        assert!((norm - 1.0).abs() < 1e-5, "{norm}");
    }
}
