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
    // Cells that are larger than the network knows them take more steps to walk across.
    let steps = (200.0 * scale.max(1.0)).round() as u32;
    let labels = masks::build(&prediction, steps, parameters, executor)?;
    Ok((prediction, labels))
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
    if (scale - 1.0).abs() < 1e-3 {
        return tiles::predict(network, image, [height, width], executor, control);
    }
    let size = [height, width].map(|n| ((n as f64 / scale) as usize).max(1));
    let small = resize::bilinear(image, [height, width], size);
    let found = tiles::predict(network, &small, size, executor, control)?;
    Ok(Prediction {
        height,
        width,
        flows: resize::bilinear(&found.flows, size, [height, width]),
        logits: resize::bilinear(&found.logits, size, [height, width]),
    })
}
