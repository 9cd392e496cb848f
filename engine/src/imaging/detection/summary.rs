//! Summary images of a plane: the network's input.
//!
//! training/summary.py is the reference definition; a golden file holds the two together. Bins are standardised (mean 0, noise 1), what
//! is smooth is taken out, and sums and maxima over all bins make three images of activity; the local contrast of the mean
//! is the fourth. Only these and a group of bins are ever in memory.

use serde::{Deserialize, Serialize};
use somata_shaders::{
    cpu::imaging::sum_bins::SUMS,
    layout::{BoxMeansParams, StandardiseBinsParams, SumBinsParams},
};

use crate::{
    device::{BufferId, Commands, Executor, Resident},
    error::Result,
    imaging::binned_movie::BinnedMovie,
    stream::Control,
};

/// Images of the input.
pub const CHANNELS: usize = 4;
/// Pixels on each side of the square whose mean is background.
pub const BACKGROUND_RADIUS: usize = 12;
/// Smoothed values above this are activity, noise deviations.
pub const THRESHOLD_SD: f32 = 3.0;
/// Bytes of the bins that travel together.
pub(crate) const GROUP_BYTES: usize = 8 << 20;

/// Summary images of one plane, `[y, x]` each; 0 where nothing was measured.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Summary {
    /// Local contrast of the mean.
    pub contrast: Vec<f32>,
    /// Largest activity, noise deviations.
    pub largest: Vec<f32>,
    /// Correlation with the pixels around.
    pub correlation: Vec<f32>,
    /// Energy of the activity above the threshold, squared noise deviations.
    pub energy: Vec<f32>,
    /// Pixels that were measured.
    pub measured: Vec<bool>,
}

impl Summary {
    /// The network's input, `[4, y, x]`.
    pub fn input(&self) -> Vec<f32> {
        let n = self.measured.len();
        let mut input = Vec::with_capacity(CHANNELS * n);
        input.extend_from_slice(&self.contrast);
        input.extend(self.largest.iter().map(|v| v.max(0.0).ln_1p() - 1.5));
        input.extend(self.correlation.iter().map(|v| 2.0 * v));
        input.extend(self.energy.iter().map(|v| v.sqrt().ln_1p() - 1.0));
        for (i, value) in input.iter_mut().enumerate() {
            if !self.measured[i % n] {
                *value = 0.0;
            }
        }
        input
    }
}

/// Bins that travel together.
pub(super) fn group_bins(n_pixels: usize) -> usize {
    (GROUP_BYTES / (4 * n_pixels)).max(1)
}

/// What makes the bins of a plane comparable, on the device.
pub struct Standardiser {
    squares: Squares,
    centre: Resident,
    inverse: Resident,
}

impl Standardiser {
    /// For a plane's bins and the noise of a frame.
    ///
    /// # Errors
    /// When the binned movie cannot be read or the device has no room.
    pub fn new(
        bins: &BinnedMovie,
        noise: &[f32],
        measured: &[bool],
        executor: &dyn Executor,
    ) -> Result<Self> {
        // Bins are stored less the reference; their own mean is taken out exactly.
        let n_pixels = bins.n_pixels();
        let mut total = vec![0.0f64; n_pixels];
        bins.for_each_group(
            group_bins(n_pixels),
            |_, group| {
                let mut part = vec![0.0f64; n_pixels];
                for bin in group.chunks_exact(n_pixels) {
                    for (sum, value) in part.iter_mut().zip(bin) {
                        *sum += f64::from(*value);
                    }
                }
                Ok(part)
            },
            |part| {
                total
                    .iter_mut()
                    .zip(part)
                    .for_each(|(sum, part)| *sum += part);
                Ok(())
            },
        )?;
        let centre: Vec<f32> = total
            .iter()
            .map(|sum| (sum / bins.n_bins.max(1) as f64) as f32)
            .collect();
        let root = (bins.bin_frames as f32).sqrt();
        let inverse: Vec<f32> = noise
            .iter()
            .zip(measured)
            .map(|(noise, measured)| if *measured { root / noise } else { 0.0 })
            .collect();
        Ok(Self {
            squares: Squares::new(executor, [bins.height, bins.width], measured)?,
            centre: executor.resident("mean", &centre)?,
            inverse: executor.resident("inverse_noise", &inverse)?,
        })
    }

    /// Appends standardised bins and their background.
    fn record(&self, commands: &mut Commands, bins: &[f32]) -> (BufferId, BufferId, u32) {
        let n_pixels = self.squares.height * self.squares.width;
        let n_bins = bins.len() as u32 / n_pixels;
        let x = commands.upload("bins", bins);
        let (mean, inverse) = (
            commands.resident(&self.centre),
            commands.resident(&self.inverse),
        );
        commands.dispatch(
            &StandardiseBinsParams { n_bins, n_pixels },
            &[mean, inverse, x],
        );
        let background = self.squares.background(commands, x, n_bins);
        (x, background, n_bins)
    }

    /// Bins in noise deviations, less their background: `[bin, y, x]`.
    ///
    /// # Errors
    /// When the device fails.
    pub fn standardised(&self, bins: &[f32], executor: &dyn Executor) -> Result<Vec<f32>> {
        let mut commands = Commands::new();
        let (x, background, _) = self.record(&mut commands, bins);
        let (x, background) = (commands.download(x), commands.download(background));
        let mut downloads = executor.play(commands)?;
        let mut z: Vec<f32> = downloads.take(x);
        for (value, background) in z.iter_mut().zip(downloads.take::<f32>(background)) {
            *value -= background;
        }
        Ok(z)
    }
}

/// Squares of pixels over which means are taken, for images of one shape with absent pixels.
struct Squares {
    height: u32,
    width: u32,
    ones: Resident,
    /// Inverse count of the measured pixels of the background square.
    wide: Resident,
    /// Count of the measured pixels of 3 by 3, 0 where a pixel is absent.
    narrow: Resident,
}

impl Squares {
    fn new(
        executor: &dyn Executor,
        [height, width]: [usize; 2],
        measured: &[bool],
    ) -> Result<Self> {
        let inverse: Vec<f32> = counts(measured, height, width, BACKGROUND_RADIUS)
            .iter()
            .map(|&n| if n > 0.0 { 1.0 / n } else { 0.0 })
            .collect();
        Ok(Self {
            height: height as u32,
            width: width as u32,
            ones: executor.resident("ones", &vec![1.0f32; height * width])?,
            wide: executor.resident("inverse_count", &inverse)?,
            narrow: executor.resident("count", &counts(measured, height, width, 1))?,
        })
    }

    /// Appends the mean over the background square of every image.
    fn background(&self, commands: &mut Commands, images: BufferId, n_images: u32) -> BufferId {
        let words = (n_images * self.height * self.width) as usize;
        let along_x = commands.buffer("row_sums", words);
        let mean = commands.buffer("background", words);
        let (ones, inverse) = (commands.resident(&self.ones), commands.resident(&self.wide));
        let params = |axis| BoxMeansParams {
            n_images,
            height: self.height,
            width: self.width,
            radius: BACKGROUND_RADIUS as u32,
            axis,
        };
        commands.dispatch(&params(0), &[images, ones, along_x]);
        commands.dispatch(&params(1), &[along_x, inverse, mean]);
        mean
    }
}

/// How many measured pixels the square around each measured pixel holds; 0 at absent ones.
fn counts(measured: &[bool], height: usize, width: usize, radius: usize) -> Vec<f32> {
    // Sums from the corner, one row and column more than the image.
    let pitch = width + 1;
    let mut sums = vec![0u32; (height + 1) * pitch];
    for y in 0..height {
        for x in 0..width {
            sums[(y + 1) * pitch + x + 1] = sums[y * pitch + x + 1] + sums[(y + 1) * pitch + x]
                - sums[y * pitch + x]
                + u32::from(measured[y * width + x]);
        }
    }
    (0..height * width)
        .map(|i| {
            let (y, x) = (i / width, i % width);
            if !measured[i] {
                return 0.0;
            }
            let (top, bottom) = (y.saturating_sub(radius), (y + radius + 1).min(height));
            let (left, right) = (x.saturating_sub(radius), (x + radius + 1).min(width));
            let count = sums[bottom * pitch + right] + sums[top * pitch + left]
                - sums[top * pitch + right]
                - sums[bottom * pitch + left];
            count as f32
        })
        .collect()
}

/// The images of a binned movie.
///
/// `mean` is the mean of the frames, `measured` says which pixels there are; both `[y, x]`.
///
/// # Errors
/// When the binned movie cannot be read, the device fails, or the run is stopped.
pub fn summarise(
    bins: &BinnedMovie,
    standardiser: &Standardiser,
    mean: &[f32],
    measured: &[bool],
    executor: &dyn Executor,
    control: &Control,
) -> Result<Summary> {
    let n = bins.n_pixels();
    let squares = &standardiser.squares;
    let mut sums = vec![0.0f64; SUMS * n];
    sums[3 * n..4 * n].fill(f64::from(f32::MIN));
    let group = |_: usize, bins: &[f32]| {
        control.check()?;
        let mut commands = Commands::new();
        let (x, background, n_bins) = standardiser.record(&mut commands, bins);
        let count = commands.resident(&squares.narrow);
        let out = commands.buffer("sums", SUMS * n);
        commands.dispatch(
            &SumBinsParams {
                n_bins,
                height: squares.height,
                width: squares.width,
                threshold: THRESHOLD_SD,
            },
            &[x, background, count, out],
        );
        let out = commands.download(out);
        Ok(executor.play(commands)?.take::<f32>(out))
    };
    bins.for_each_group(group_bins(n), group, |group| {
        for (k, (sum, value)) in sums.iter_mut().zip(group).enumerate() {
            let value = f64::from(value);
            *sum = if k / n == 3 {
                sum.max(value)
            } else {
                *sum + value
            };
        }
        Ok(())
    })?;
    let plane = |k: usize| &sums[k * n..(k + 1) * n];
    let (own, others, product) = (plane(0), plane(1), plane(2));
    Ok(Summary {
        contrast: local_contrast(mean, [bins.height, bins.width], measured, executor)?,
        largest: plane(3)
            .iter()
            .zip(measured)
            .map(|(&v, &measured)| if measured { v as f32 } else { 0.0 })
            .collect(),
        correlation: (0..n)
            .map(|i| (product[i] / (own[i] * others[i] + 1e-9).sqrt()) as f32)
            .collect(),
        energy: plane(4).iter().map(|&v| v as f32).collect(),
        measured: measured.to_vec(),
    })
}

/// Local contrast of an image: what a still image gives the network. Of any unit, `[y, x]`.
///
/// # Errors
/// When the device fails.
pub fn local_contrast(
    image: &[f32],
    size: [usize; 2],
    measured: &[bool],
    executor: &dyn Executor,
) -> Result<Vec<f32>> {
    let known: Vec<f64> = image
        .iter()
        .zip(measured)
        .filter(|(_, measured)| **measured)
        .map(|(value, _)| f64::from(*value))
        .collect();
    if known.is_empty() {
        return Ok(vec![0.0; image.len()]);
    }
    // Without the offset, sums over the square keep their digits even for a camera's large pedestal.
    let offset = (known.iter().sum::<f64>() / known.len() as f64) as f32;
    let centred: Vec<f32> = image
        .iter()
        .zip(measured)
        .map(|(value, measured)| if *measured { value - offset } else { 0.0 })
        .collect();
    let squares = Squares::new(executor, size, measured)?;
    let mut commands = Commands::new();
    let x = commands.upload("image", &centred);
    let background = squares.background(&mut commands, x, 1);
    let background = commands.download(background);
    let background: Vec<f32> = executor.play(commands)?.take(background);
    let local: Vec<f32> = centred
        .iter()
        .zip(&background)
        .map(|(v, b)| v - b)
        .collect();
    let mut sorted: Vec<f32> = local
        .iter()
        .zip(measured)
        .filter(|(_, measured)| **measured)
        .map(|(value, _)| *value)
        .collect();
    sorted.sort_by(f32::total_cmp);
    let (low, high) = (percentile(&sorted, 0.01), percentile(&sorted, 0.99));
    let clipped: Vec<f64> = sorted
        .iter()
        .map(|v| f64::from(v.clamp(low, high)))
        .collect();
    let mean = clipped.iter().sum::<f64>() / clipped.len() as f64;
    let variance = clipped.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / clipped.len() as f64;
    let scale = variance.sqrt() as f32;
    Ok(local
        .iter()
        .zip(measured)
        .map(|(value, measured)| {
            if *measured && scale > 0.0 {
                (value / scale).asinh()
            } else {
                0.0
            }
        })
        .collect())
}

/// Percentile of sorted values, linear between order statistics (numpy's default).
pub fn percentile(sorted: &[f32], part: f64) -> f32 {
    let at = part * (sorted.len() - 1) as f64;
    let low = at.floor() as usize;
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] + (sorted[high] - sorted[low]) * (at - low as f64) as f32
}
