//! The block grid: the unit in which results are defined.
//!
//! A recording is cut into blocks of [`BLOCK_SAMPLES`] on a fixed grid that begins anew with every segment. Whatever a
//! device computes is a function of one block and its margins alone, so a result cannot depend on how many blocks
//! travel together (the chunk) or on which thread takes them (docs/internals/decisions/001-block-grid.md).

use crate::recording::{ReadError, Recording, RecordingInfo};

/// Samples of a block.
pub const BLOCK_SAMPLES: usize = 16_384;

/// Samples that a window has on each side of its block: enough for the filters' transients (512 samples decay below
/// one part in a million at 300 Hz and 30 kHz) and for spikes that overlap the edge.
pub const MARGIN_SAMPLES: usize = 1_024;

/// Samples of a window: a block with its margins.
pub const WINDOW_SAMPLES: usize = BLOCK_SAMPLES + 2 * MARGIN_SAMPLES;

/// One block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Block {
    /// Position in the grid.
    pub index: usize,
    /// First sample.
    pub start: u64,
    /// Samples that are the block's own; the last of a segment may be short.
    pub n_samples: usize,
    /// First sample of its segment.
    pub segment_start: u64,
    /// End of its segment (exclusive).
    pub segment_end: u64,
}

impl Block {
    /// Recording sample of the window's sample 0; negative at the beginning of a recording.
    pub fn window_start(&self) -> i64 {
        self.start as i64 - MARGIN_SAMPLES as i64
    }
    /// Whether a window sample belongs to the block itself.
    pub fn owns(&self, window_sample: usize) -> bool {
        (MARGIN_SAMPLES..MARGIN_SAMPLES + self.n_samples).contains(&window_sample)
    }
    /// Recording sample of a window sample.
    pub fn sample(&self, window_sample: usize) -> i64 {
        self.window_start() + window_sample as i64
    }
}

/// All blocks of a recording.
pub struct BlockGrid {
    /// In order of time.
    pub blocks: Vec<Block>,
}

impl BlockGrid {
    /// The grid of a recording.
    pub fn new(info: &RecordingInfo) -> Self {
        let mut blocks = Vec::new();
        for segment in &info.segments {
            let end = segment.start + segment.n_samples;
            let mut start = segment.start;
            while start < end {
                let n_samples = (end - start).min(BLOCK_SAMPLES as u64) as usize;
                blocks.push(Block {
                    index: blocks.len(),
                    start,
                    n_samples,
                    segment_start: segment.start,
                    segment_end: end,
                });
                start += n_samples as u64;
            }
        }
        Self { blocks }
    }
}

/// Reads the window of a block into `words` (raw frames, native order, padded to whole words).
///
/// Beyond its segment a window repeats the segment's first or last frame, so that filters see no step.
///
/// # Errors
/// When the recording cannot be read.
pub fn read_window(
    recording: &dyn Recording,
    block: &Block,
    words: &mut [u32],
) -> Result<(), ReadError> {
    let frame = recording.info().frame_bytes();
    let bytes = &mut bytemuck::cast_slice_mut::<u32, u8>(words)[..WINDOW_SAMPLES * frame];
    let window = block.window_start();
    let from = window.max(block.segment_start as i64);
    let to = (window + WINDOW_SAMPLES as i64).min(block.segment_end as i64);
    let (first, last) = ((from - window) as usize, (to - window) as usize);
    recording.read(from as u64, &mut bytes[first * frame..last * frame])?;
    let (before, rest) = bytes.split_at_mut(first * frame);
    for target in before.chunks_exact_mut(frame) {
        target.copy_from_slice(&rest[..frame]);
    }
    let (inside, after) = bytes.split_at_mut(last * frame);
    for target in after.chunks_exact_mut(frame) {
        target.copy_from_slice(&inside[(last - 1) * frame..]);
    }
    Ok(())
}

/// Words of one raw window.
pub fn window_words(info: &RecordingInfo) -> usize {
    (WINDOW_SAMPLES * info.frame_bytes()).div_ceil(4)
}
