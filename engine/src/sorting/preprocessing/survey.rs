//! A sample of the recording, spread over its length, in memory: noise, whitening and shapes are learned from it.

use super::FrontEnd;
use crate::{
    device::{Commands, Executor},
    error::Result,
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
    // Few channels see few spikes: more of the recording costs little there.
    let seconds = seconds.max(240.0 / n_channels.max(1) as f64);
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
                x[rows].to_vec(),
                downloads.take::<u32>(not_finite)[0],
            )])
        },
        |_, (rows, not_finite)| {
            for (t, row) in rows.chunks_exact(n_channels).enumerate() {
                for (c, &value) in row.iter().enumerate() {
                    survey.data[c * n_samples + taken * piece + t] = value;
                }
            }
            survey.not_finite += u64::from(not_finite);
            taken += 1;
            Ok(())
        },
    )?;
    Ok(survey)
}

impl Survey {
    /// One channel.
    pub fn channel(&self, c: usize) -> &[f32] {
        &self.data[c * self.n_samples..(c + 1) * self.n_samples]
    }
}
