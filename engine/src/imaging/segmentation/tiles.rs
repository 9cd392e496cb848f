//! An image cut into overlapping tiles, and what the network says of them put together.
//!
//! Cellpose's scheme (Stringer et al. 2021), so that its weights mean the same here: a border of zeros, tiles that overlap by
//! a tenth at least, and a weight that falls towards a tile's edge.

use super::{Network, Prediction};
use crate::{
    device::{Commands, Executor},
    error::{EngineError, Result},
    stream::Control,
};
use rayon::prelude::*;

/// Sizes are padded to a multiple of this (four halvings), with half of it more on each side.
const MULTIPLE: usize = 16;
/// Tiles an axis, times the tile's side, at least: relative to the image's side.
const COVERAGE: f64 = 1.2;
/// A tile's weight is one half this far from its edge, pixels.
const TAPER_AT: f64 = 20.0;
/// And falls over this many pixels.
const TAPER_WIDTH: f64 = 7.5;

/// First pixels of the tiles along an axis.
fn starts(length: usize, tile: usize) -> Vec<usize> {
    if length <= tile {
        return vec![0];
    }
    let n = (COVERAGE * length as f64 / tile as f64).ceil() as usize;
    (0..n)
        .map(|k| ((length - tile) as f64 * k as f64 / (n - 1) as f64) as usize)
        .collect()
}

/// Weights along an axis of a tile of `length` pixels.
fn taper(length: usize, tile: usize) -> Vec<f32> {
    let whole = tile.max(length);
    let middle = (whole as f64 - 1.0) / 2.0;
    let first = whole / 2 - length / 2;
    (0..length)
        .map(|i| {
            let distance = ((first + i) as f64 - middle).abs();
            (1.0 / (1.0 + ((distance - (whole as f64 / 2.0 - TAPER_AT)) / TAPER_WIDTH).exp()))
                as f32
        })
        .collect()
}

/// Pixels of zeros before and after an axis.
fn padding(length: usize, multiple: usize) -> (usize, usize) {
    let more = length.next_multiple_of(multiple) - length;
    let half = multiple / 2;
    (half + more / 2, half + more - more / 2)
}

/// Runs the network on an image `[channel, y, x]`.
///
/// # Errors
/// When the image has other channels than the network, the device fails, or the run is stopped.
pub fn predict(
    network: &Network,
    image: &[f32],
    [height, width]: [usize; 2],
    executor: &dyn Executor,
    control: &Control,
) -> Result<Prediction> {
    let channels = network.channels();
    if image.len() != channels * height * width || image.is_empty() {
        return Err(EngineError::Input {
            what: format!(
                "the network takes {channels} channels, the image has {}",
                image.len() / (height * width).max(1)
            ),
            hint: "give weights that were trained on such images".into(),
        });
    }
    let multiple = MULTIPLE.max(network.multiple_px());
    let (top, bottom) = padding(height, multiple);
    let (left, right) = padding(width, multiple);
    let (rows, columns) = (top + height + bottom, left + width + right);
    let (tile_y, tile_x) = (network.tile_px.min(rows), network.tile_px.min(columns));
    let places: Vec<(usize, usize)> = starts(rows, tile_y)
        .into_iter()
        .flat_map(|y| starts(columns, tile_x).into_iter().map(move |x| (y, x)))
        .collect();
    let tile_pixels = tile_y * tile_x;
    let together = executor.blocks_together(network.bytes_per_pixel() * tile_pixels as u64);
    let run = |places: &[(usize, usize)]| -> Result<Vec<f32>> {
        control.check()?;
        let mut tiles = vec![0.0f32; places.len() * channels * tile_pixels];
        for (tile, &(y0, x0)) in tiles.chunks_exact_mut(channels * tile_pixels).zip(places) {
            for (channel, plane) in tile.chunks_exact_mut(tile_pixels).enumerate() {
                let source = &image[channel * height * width..(channel + 1) * height * width];
                for (row, line) in plane.chunks_exact_mut(tile_x).enumerate() {
                    let Some(y) = (y0 + row).checked_sub(top).filter(|&y| y < height) else {
                        continue;
                    };
                    let from = x0.max(left);
                    let to = (x0 + tile_x).min(left + width);
                    if from < to {
                        line[from - x0..to - x0].copy_from_slice(
                            &source[y * width + from - left..y * width + to - left],
                        );
                    }
                }
            }
        }
        let mut commands = Commands::new();
        let images = commands.upload("tiles", &tiles);
        let size = [tile_y as u32, tile_x as u32];
        let out = network.record(&mut commands, images, places.len() as u32, size);
        let out = commands.download(out);
        Ok(executor.play(commands)?.take(out))
    };
    let outputs: Vec<Vec<f32>> = places
        .par_chunks(together)
        .map(run)
        .collect::<Result<Vec<_>>>()?;
    let (taper_y, taper_x) = (
        taper(tile_y, network.tile_px),
        taper(tile_x, network.tile_px),
    );
    let mut sums = vec![0.0f32; 3 * rows * columns];
    let mut weights = vec![0.0f32; rows * columns];
    let tiles = outputs
        .iter()
        .flat_map(|group| group.chunks_exact(3 * tile_pixels));
    for (tile, &(y0, x0)) in tiles.zip(&places) {
        for row in 0..tile_y {
            for column in 0..tile_x {
                let weight = taper_y[row] * taper_x[column];
                let at = (y0 + row) * columns + x0 + column;
                weights[at] += weight;
                for k in 0..3 {
                    sums[k * rows * columns + at] +=
                        weight * tile[k * tile_pixels + row * tile_x + column];
                }
            }
        }
    }
    let plane = |k: usize| {
        let (sums, weights) = (&sums[k * rows * columns..], &weights);
        (0..height * width).map(move |i| {
            let at = (top + i / width) * columns + left + i % width;
            sums[at] / weights[at]
        })
    };
    Ok(Prediction {
        height,
        width,
        flows: plane(0).chain(plane(1)).collect(),
        logits: plane(2).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_the_image() {
        for (length, tile) in [(100, 224), (224, 224), (225, 224), (272, 224), (1000, 224)] {
            let starts = starts(length, tile.min(length));
            assert_eq!(starts[0], 0);
            assert_eq!(starts.last().expect("one") + tile.min(length), length);
            assert!(starts.windows(2).all(|pair| pair[1] - pair[0] < tile));
        }
        assert_eq!(padding(250, 16), (11, 11));
    }
}
