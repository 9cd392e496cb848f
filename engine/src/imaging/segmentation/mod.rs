//! Cells in images: a U-Net gives flows and probabilities, and the flows are followed to masks (Stringer et al. 2021).
//!
//! - [`network`]: the network on the device, for any widths that a weights file has;
//! - [`tiles`]: an image cut into overlapping tiles, and what the network says of them put together;
//! - [`masks`]: from flows and probabilities to labels;
//! - [`resize`]: images brought to the scale that the network knows.

pub mod masks;
pub mod network;
pub mod resize;
pub mod tiles;

pub use network::{Network, NetworkWeights};

use super::detection::summary::{local_contrast, percentile};
use crate::{device::Executor, error::Result, parameters::imaging::Segmentation, stream::Control};

/// What the network says of an image.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Flow along y and x, `[2, y, x]`: unit vectors towards the middle of the cell, times 5.
    pub flows: Vec<f32>,
    /// Log odds of being part of a cell, `[y, x]`.
    pub logits: Vec<f32>,
}

impl Prediction {
    /// The same at another size.
    fn resized(self, size: [usize; 2]) -> Self {
        let own = [self.height, self.width];
        if own == size {
            return self;
        }
        Self {
            height: size[0],
            width: size[1],
            flows: resize::bilinear(&self.flows, own, size),
            logits: resize::bilinear(&self.logits, own, size),
        }
    }
}

/// Labels of an image: 0 outside cells, else 1 to the number of cells.
#[derive(Clone, Debug)]
pub struct Labels {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// `[y, x]`.
    pub labels: Vec<u32>,
}

impl Labels {
    /// Cells.
    pub fn count(&self) -> usize {
        self.labels.iter().copied().max().unwrap_or(0) as usize
    }
}

/// Cellpose's input: every channel of `n` pixels scaled so that its 1st percentile becomes 0 and its 99th becomes 1; a channel
/// without any range is 0.
pub fn cellpose_input(planes: &[f32], n: usize) -> Vec<f32> {
    let mut input = planes.to_vec();
    for plane in input.chunks_exact_mut(n.max(1)) {
        let mut sorted = plane.to_vec();
        sorted.sort_by(f32::total_cmp);
        let (low, high) = (percentile(&sorted, 0.01), percentile(&sorted, 0.99));
        let range = high - low;
        for value in plane {
            *value = if range > 1e-3 {
                (*value - low) / range
            } else {
                0.0
            };
        }
    }
    input
}

/// Runs the network on an image of `[channel, y, x]` whose cells are `scale` times as large as the network knows them, and
/// builds masks.
///
/// # Errors
/// When the image has other channels than the network, the device fails, or the run is stopped.
pub fn segment(
    network: &Network,
    image: &[f32],
    [height, width]: [usize; 2],
    scale: f64,
    parameters: &Segmentation,
    executor: &dyn Executor,
    control: &Control,
) -> Result<(Prediction, Labels)> {
    let prediction = predict(network, image, [height, width], scale, executor, control)?;
    let labels = masks::build(&prediction, steps(scale), parameters, executor)?;
    Ok((prediction, labels))
}

/// As [`segment`], of a still image `[y, x]` by a network that looks at summary images: what the others would show is not known.
///
/// The image is brought to the network's scale before its local contrast is taken, so that background, noise and detail are
/// those of cells as the network knows them.
///
/// # Errors
/// As [`segment`].
pub fn segment_still(
    network: &Network,
    image: &[f32],
    [height, width]: [usize; 2],
    scale: f64,
    parameters: &Segmentation,
    executor: &dyn Executor,
    control: &Control,
) -> Result<Labels> {
    let size = scaled([height, width], scale);
    let small = resize::area(image, [height, width], size);
    let mut input = local_contrast(&small, size, &vec![true; small.len()], executor)?;
    input.resize(network.channels() * small.len(), 0.0);
    let found = tiles::predict(network, &input, size, executor, control)?;
    let prediction = found.resized([height, width]);
    masks::build(&prediction, steps(scale), parameters, executor)
}

/// Steps along the flows: cells that are larger than the network knows them take more to walk across.
fn steps(scale: f64) -> u32 {
    (200.0 * scale.max(1.0)).round() as u32
}

/// Size of an image whose cells are `scale` times as large as they should be.
fn scaled(size: [usize; 2], scale: f64) -> [usize; 2] {
    if (scale - 1.0).abs() < 1e-3 {
        return size;
    }
    size.map(|n| ((n as f64 / scale) as usize).max(1))
}

/// Runs the network alone; flows and probabilities are those of the image's own size.
///
/// # Errors
/// As [`segment`].
pub fn predict(
    network: &Network,
    image: &[f32],
    [height, width]: [usize; 2],
    scale: f64,
    executor: &dyn Executor,
    control: &Control,
) -> Result<Prediction> {
    let size = scaled([height, width], scale);
    if size == [height, width] {
        return tiles::predict(network, image, size, executor, control);
    }
    let small = resize::bilinear(image, [height, width], size);
    let found = tiles::predict(network, &small, size, executor, control)?;
    Ok(found.resized([height, width]))
}
