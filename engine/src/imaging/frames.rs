//! The frame grid: movies pass through in blocks of whole bins.
//!
//! As with a recording's blocks (docs/internals/decisions/001-block-grid.md), what a device computes is a function of one block
//! alone, so a result cannot depend on how many blocks travel together or on which thread takes them.

use serde::{Deserialize, Serialize};
use somata_shaders::cpu::imaging::decode_frames::LARGEST;

use crate::{
    error::Result,
    movie::{Movie, MovieInfo, PixelType},
    stream::{Control, Source},
};

/// Frames of a block at least: enough that a dispatch is worth its cost.
const MIN_FRAMES: usize = 16;
/// Pixels of a block at most, where a bin is not longer.
const MAX_PIXELS: usize = 4 << 20;

/// A stretch of frames.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FrameBlock {
    /// Position in the grid.
    pub index: usize,
    /// First time point.
    pub start: usize,
    /// Frames; the last block may be short.
    pub n_frames: usize,
}

/// All blocks of one plane and channel of a movie.
#[derive(Clone)]
pub struct FrameGrid {
    /// In order of time.
    pub blocks: Vec<FrameBlock>,
    /// Frames of a full block: whole bins, a multiple of 4, so that blocks of bytes fill whole words.
    pub block_frames: usize,
    /// Frames of a bin.
    pub bin_frames: usize,
}

impl FrameGrid {
    /// The grid for frames of `n_pixels` pixels and bins of `bin_frames` frames.
    pub fn new(n_frames: usize, n_pixels: usize, bin_frames: usize) -> Self {
        let step = least_common_multiple(bin_frames, 4);
        let most = (MAX_PIXELS / n_pixels.max(1)).max(1);
        let wanted = MIN_FRAMES.min(most.next_multiple_of(step)).max(step);
        let block_frames = wanted.next_multiple_of(step);
        let blocks = (0..n_frames.div_ceil(block_frames))
            .map(|index| FrameBlock {
                index,
                start: index * block_frames,
                n_frames: block_frames.min(n_frames - index * block_frames),
            })
            .collect();
        Self {
            blocks,
            block_frames,
            bin_frames,
        }
    }

    /// Bins of all blocks.
    pub fn n_bins(&self) -> usize {
        self.blocks
            .iter()
            .map(|block| block.n_frames.div_ceil(self.bin_frames))
            .sum()
    }
}

fn least_common_multiple(a: usize, b: usize) -> usize {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    a / x * b
}

/// One plane and channel of a movie, read block by block.
pub struct PlaneFrames<'a> {
    /// The movie.
    pub movie: &'a dyn Movie,
    /// Plane.
    pub plane: usize,
    /// Channel.
    pub channel: usize,
    /// Frames of a full block.
    pub block_frames: usize,
}

impl Source for PlaneFrames<'_> {
    type Block = FrameBlock;

    fn block_words(&self) -> usize {
        (self.block_frames * self.movie.info().frame_bytes()).div_ceil(4)
    }

    fn read_block(&self, block: &FrameBlock, words: &mut [u32]) -> Result<()> {
        let bytes = block.n_frames * self.movie.info().frame_bytes();
        let words = &mut bytemuck::cast_slice_mut::<u32, u8>(words)[..bytes];
        Ok(self
            .movie
            .read(self.plane, self.channel, block.start, words)?)
    }
}

/// Values of a float movie that decoding takes as 0: those that are not finite, or so large that sums of their squares would
/// not be.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct NotFinite {
    /// How many there are.
    pub count: u64,
    /// Frame of the first.
    pub first_frame: Option<usize>,
}

impl NotFinite {
    /// Those of a block, whose frames are at the start of `raw`.
    pub fn of_block(info: &MovieInfo, block: &FrameBlock, raw: &[u32]) -> Self {
        let mut found = Self::default();
        if info.pixel_type != PixelType::F32 {
            return found;
        }
        let frames = raw.chunks_exact(info.n_pixels().max(1));
        for (k, frame) in frames.take(block.n_frames).enumerate() {
            let is_bad = |word: u32| {
                let value = f32::from_bits(word);
                value.is_nan() || value.abs() > LARGEST
            };
            let count = frame.iter().filter(|word| is_bad(**word)).count() as u64;
            if count > 0 {
                found.add(Self {
                    count,
                    first_frame: Some(block.start + k),
                });
            }
        }
        found
    }

    /// Adds those of later frames.
    pub fn add(&mut self, later: Self) {
        self.count += later.count;
        self.first_frame = self.first_frame.or(later.first_frame);
    }

    /// Warns where there are any; `of` says of which plane or channel.
    pub fn report(&self, of: &str, control: &Control) {
        if let Some(frame) = self.first_frame {
            control.warn(format!(
                "{of}{} values are not finite (NaN or infinite) or beyond 1e9, the first in frame {frame}; they count as 0",
                self.count
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_not_finite_are_counted_in_float_movies_only() {
        let info = |pixel_type| MovieInfo {
            height: 2,
            width: 3,
            n_frames: 7,
            n_planes: 1,
            n_channels: 1,
            frame_rate_hz: 30.0,
            pixel_type,
            identity: String::new(),
        };
        let block = FrameBlock {
            index: 1,
            start: 8,
            n_frames: 3,
        };
        let mut values = vec![-1.0e9f32; 4 * 6];
        for (at, value) in [
            (6, f32::NAN),
            (7, f32::INFINITY),
            (12, f32::NEG_INFINITY),
            (17, 2.0e9),
            // Beyond the last frame, as in the padding of a short block.
            (18, f32::NAN),
        ] {
            values[at] = value;
        }
        let raw: &[u32] = bytemuck::cast_slice(&values);
        let mut found = NotFinite::of_block(&info(PixelType::F32), &block, raw);
        found.add(NotFinite::of_block(&info(PixelType::I32), &block, raw));
        assert_eq!((found.count, found.first_frame), (4, Some(9)));
        let none = NotFinite::of_block(&info(PixelType::I32), &block, raw);
        assert_eq!(none, NotFinite::default());
    }

    #[test]
    fn blocks_cover_all_frames_in_whole_bins_and_words() {
        for (n_frames, n_pixels, bin) in [
            (1, 9, 1),
            (2000, 65_536, 10),
            (777, 33, 7),
            (5, 1 << 22, 3),
            (100, 4, 250),
        ] {
            let grid = FrameGrid::new(n_frames, n_pixels, bin);
            let total: usize = grid.blocks.iter().map(|block| block.n_frames).sum();
            assert_eq!(total, n_frames);
            assert!(
                grid.blocks
                    .windows(2)
                    .all(|pair| pair[0].start + pair[0].n_frames == pair[1].start)
            );
            assert_eq!(grid.block_frames % bin, 0);
            assert_eq!(grid.block_frames % 4, 0);
            assert_eq!(grid.n_bins(), n_frames.div_ceil(bin));
        }
    }
}
