//! A sample of the recording, spread over its length, in memory: noise, whitening and shapes are learned from it.

use rayon::prelude::*;

use super::FrontEnd;
use crate::{
    device::{Commands, Executor},
    error::Result,
    linalg::median,
    recording::Recording,
    stream::{Block, BlockGrid, Control, Pass, blocks::MARGIN_SAMPLES},
};

/// Bytes that a survey may take in memory.
const MAX_BYTES: usize = 160 << 20;

/// Referenced data in µV from pieces of equal length.
pub struct Survey {
    /// Channels.
    pub n_channels: usize,
    /// Samples of a piece.
    pub piece: usize,
    /// Samples of all pieces.
    pub n_samples: usize,
    /// `[channel, sample]`.
    pub data: Vec<f32>,
    /// Values that were not finite.
    pub not_finite: u64,
}

/// Seconds that a survey for noise, whitening and shapes takes, where `seconds` were asked for. Few channels see few spikes: more
/// of the recording costs little there.
pub fn seconds(seconds: f64, n_channels: usize) -> f64 {
    seconds.max(240.0 / n_channels.max(1) as f64)
}

/// The blocks that a survey of `seconds` takes, evenly spread, and the samples it takes from each.
pub fn choose(
    grid: &BlockGrid,
    seconds: f64,
    sampling_frequency_hz: f64,
    n_channels: usize,
) -> (Vec<Block>, usize) {
    // Pieces are of equal length, so that of many short segments the typical one counts and not the longest.
    let mut lengths: Vec<usize> = grid.blocks.iter().map(|block| block.n_samples).collect();
    lengths.sort_unstable();
    let typical = lengths.get(lengths.len() / 2).copied().unwrap_or(0);
    let whole: Vec<Block> = grid
        .blocks
        .iter()
        .filter(|block| block.n_samples >= typical)
        .copied()
        .collect();
    let wanted = ((seconds * sampling_frequency_hz) as usize)
        .min(MAX_BYTES / 4 / n_channels.max(1))
        .max(typical);
    let piece = typical.min(8192);
    let n_pieces = wanted.div_ceil(piece).max(1);
    if n_pieces >= whole.len() {
        // Few blocks: more of each.
        let piece = typical.min(wanted.div_ceil(whole.len().max(1)).div_ceil(64) * 64);
        return (whole, piece);
    }
    let chosen = (0..n_pieces)
        .map(|i| whole[(2 * i + 1) * whole.len() / (2 * n_pieces)])
        .collect();
    (chosen, piece)
}

/// Runs the front end up to the reference on the chosen blocks.
///
/// # Errors
/// When the recording cannot be read or the device fails.
pub fn take(
    executor: &dyn Executor,
    recording: &dyn Recording,
    control: &Control,
    front_end: &FrontEnd,
    blocks: &[Block],
    piece: usize,
) -> Result<Survey> {
    let n_channels = front_end.n_channels();
    let n_samples = piece * blocks.len();
    let mut survey = Survey {
        n_channels,
        piece,
        n_samples,
        data: vec![0.0; n_channels * n_samples],
        not_finite: 0,
    };
    let pass = Pass {
        source: recording,
        control,
        lanes: executor.lanes(),
        blocks_together: 1,
    };
    let mut taken = 0;
    pass.run(
        "survey",
        blocks,
        |chunk| {
            let mut commands = Commands::new();
            let (x, not_finite) = front_end.microvolts(&mut commands, chunk);
            let (x, not_finite) = (commands.download(x), commands.download(not_finite));
            let mut downloads = executor.play(commands)?;
            let x: Vec<f32> = downloads.take(x);
            let rows = MARGIN_SAMPLES * n_channels..(MARGIN_SAMPLES + piece) * n_channels;
            Ok(vec![(
                transposed(&x[rows], n_channels),
                downloads.take::<u32>(not_finite)[0],
            )])
        },
        |_, (channels, not_finite)| {
            for (c, channel) in channels.chunks_exact(piece).enumerate() {
                let at = c * n_samples + taken * piece;
                survey.data[at..at + piece].copy_from_slice(channel);
            }
            survey.not_finite += u64::from(not_finite);
            taken += 1;
            Ok(())
        },
    )?;
    Ok(survey)
}

/// Rows of `n_channels` values as `[channel, time]`.
fn transposed(rows: &[f32], n_channels: usize) -> Vec<f32> {
    // Times whose rows stay in the cache while the channels pass.
    const STRETCH: usize = 64;
    let n = rows.len() / n_channels;
    let mut out = vec![0.0; rows.len()];
    for first in (0..n).step_by(STRETCH) {
        let last = (first + STRETCH).min(n);
        for c in 0..n_channels {
            for t in first..last {
                out[c * n + t] = rows[t * n_channels + c];
            }
        }
    }
    out
}

/// Median absolute deviation as an estimate of the standard deviation; every seventh sample is enough.
pub fn deviation(x: &[f32]) -> f32 {
    let mut values: Vec<f32> = x.iter().step_by(7).map(|v| v.abs()).collect();
    median(&mut values) / 0.6745
}

impl Survey {
    /// [`deviation`] of every channel.
    pub fn deviations(&self) -> Vec<f32> {
        (0..self.n_channels)
            .into_par_iter()
            .map(|c| deviation(self.channel(c)))
            .collect()
    }

    /// One channel.
    pub fn channel(&self, c: usize) -> &[f32] {
        &self.data[c * self.n_samples..(c + 1) * self.n_samples]
    }
}
