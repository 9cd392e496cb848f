//! Cells as sets of pixels.

use serde::{Deserialize, Serialize};

use super::morphology::centre;

/// Where a cell was found.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Origin {
    /// By the network, in the summary images.
    Network,
    /// By its activity alone.
    Activity,
    /// By light that does not follow the neuropil.
    Stillness,
}

impl Origin {
    /// As result files name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Activity => "activity",
            Self::Stillness => "stillness",
        }
    }
}

/// A cell.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Roi {
    /// Pixels of the body, ascending: indices `y * width + x`.
    pub body: Vec<u32>,
    /// Pixels of the footprint, ascending, by which the trace is taken apart from others.
    pub pixels: Vec<u32>,
    /// Weight of each pixel of the footprint; the body's plateau is about 1.
    pub weights: Vec<f32>,
    /// Mean probability of the network over the body.
    pub probability: f32,
    /// Signal of the footprint over its noise: how well the activity tells the cell's shape.
    pub footprint_snr: f32,
    /// Where it was found.
    pub origin: Origin,
}

impl Roi {
    /// A cell whose footprint is its body, not yet refined.
    pub fn proposal(body: Vec<u32>, probability: f32, origin: Origin) -> Self {
        Self {
            pixels: body.clone(),
            weights: vec![1.0; body.len()],
            body,
            probability,
            footprint_snr: 0.0,
            origin,
        }
    }

    /// Mean place of the body, y and x.
    pub fn centre(&self, width: usize) -> [f64; 2] {
        centre(&self.body, width)
    }

    /// Whether the body touches the edge of the image.
    pub fn touches_edge(&self, height: usize, width: usize) -> bool {
        self.body.iter().any(|&p| {
            let (y, x) = (p as usize / width, p as usize % width);
            y == 0 || x == 0 || y + 1 == height || x + 1 == width
        })
    }
}

/// Rows of pixels with weights, as `project_footprints` takes them.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// First entry of each row, and the end of the last.
    pub start: Vec<u32>,
    /// Pixel of each entry.
    pub pixel: Vec<u32>,
    /// Weight of each entry.
    pub weight: Vec<f32>,
}

impl Rows {
    /// No rows.
    pub fn new() -> Self {
        Self {
            start: vec![0],
            ..Self::default()
        }
    }

    /// Rows so far.
    pub fn len(&self) -> usize {
        self.start.len() - 1
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a row.
    pub fn push(&mut self, entries: impl Iterator<Item = (u32, f32)>) {
        for (pixel, weight) in entries {
            self.pixel.push(pixel);
            self.weight.push(weight);
        }
        self.start.push(self.pixel.len() as u32);
    }

    /// Entries of a row.
    pub fn row(&self, k: usize) -> impl Iterator<Item = (u32, f32)> + '_ {
        let range = self.start[k] as usize..self.start[k + 1] as usize;
        self.pixel[range.clone()]
            .iter()
            .copied()
            .zip(self.weight[range].iter().copied())
    }

    /// Appends the rows of others.
    pub fn extend(&mut self, other: &Self) {
        for k in 0..other.len() {
            self.push(other.row(k));
        }
    }

    /// The same entries by pixel: for each of `n_pixels` a row of (row, weight), rows ascending.
    pub fn by_pixel(&self, n_pixels: usize) -> Self {
        let mut start = vec![0u32; n_pixels + 1];
        for &pixel in &self.pixel {
            start[pixel as usize + 1] += 1;
        }
        for pixel in 0..n_pixels {
            start[pixel + 1] += start[pixel];
        }
        let mut next = start.clone();
        let (mut row, mut weight) = (vec![0; self.pixel.len()], vec![0.0; self.pixel.len()]);
        for k in 0..self.len() {
            for (pixel, value) in self.row(k) {
                let at = &mut next[pixel as usize];
                (row[*at as usize], weight[*at as usize]) = (k as u32, value);
                *at += 1;
            }
        }
        Self {
            start,
            pixel: row,
            weight,
        }
    }

    /// Every row's weighted sum of an image, in 64 bits.
    pub fn apply(&self, image: &[f32]) -> Vec<f64> {
        (0..self.len())
            .map(|k| {
                self.row(k)
                    .map(|(pixel, weight)| f64::from(weight) * f64::from(image[pixel as usize]))
                    .sum()
            })
            .collect()
    }
}
