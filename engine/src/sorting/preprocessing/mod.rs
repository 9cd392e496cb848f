//! From raw samples to whitened data.
//!
//! In the order in which data meet them: microvolts, sampling skew undone, high-pass, common median reference,
//! whitening. [`FrontEnd`] writes these as the first commands of a pass; [`whitened`] keeps what came out for later ones.

pub mod bad_channels;
pub mod filter;
pub mod survey;
pub mod whitened;
pub mod whitening;

use somata_shaders::layout::{
    CommonReferenceParams, DecodeSamplesParams, HighpassFilterParams, PhaseShiftParams,
    WhitenParams,
};

use super::geometry::Geometry;
use crate::{
    device::{BufferId, Commands, Executor, Resident},
    error::Result,
    parameters::sorting::Preprocessing,
    recording::RecordingInfo,
    stream::{
        blocks::{WINDOW_SAMPLES, window_words},
        pass::Chunk,
    },
};
use whitening::Whitening;

/// The commands with which every pass begins, and the tables that they need on the device.
pub struct FrontEnd {
    decode: DecodeSamplesParams,
    highpass: HighpassFilterParams,
    n_groups: u32,
    select: Resident,
    gain: Resident,
    offset: Resident,
    delay_taps: Option<Resident>,
    group_start: Resident,
    group_channel: Resident,
    common_reference: bool,
    whitening: Option<(u32, Resident, Resident)>,
}

impl FrontEnd {
    /// Tables for the channels `select` of a recording; `offset_uv` (one a kept channel) is subtracted first.
    ///
    /// # Errors
    /// When the device has no room.
    pub fn new(
        executor: &dyn Executor,
        info: &RecordingInfo,
        parameters: &Preprocessing,
        select: &[usize],
        offset_uv: &[f32],
        geometry: &Geometry,
        whitening: Option<Whitening>,
    ) -> Result<Self> {
        let selected: Vec<u32> = select.iter().map(|&c| c as u32).collect();
        let gain: Vec<f32> = select.iter().map(|&c| info.gains_uv[c]).collect();
        let delay_taps = match &info.sample_delay {
            Some(delays) if parameters.phase_shift => {
                let delays: Vec<f32> = select.iter().map(|&c| delays[c]).collect();
                Some(executor.resident("delay_taps", &filter::delay_filters(&delays))?)
            }
            _ => None,
        };
        let mut group_start = vec![0u32];
        let mut group_channel = Vec::new();
        for group in reference_groups(geometry) {
            group_channel.extend(group.iter().map(|&c| c as u32));
            group_start.push(group_channel.len() as u32);
        }
        let whitening = match whitening {
            None => None,
            Some(whitening) => {
                let neighbour = executor.resident("whitening_neighbour", &whitening.neighbour)?;
                let weight = executor.resident("whitening_weight", &whitening.weight)?;
                Some((whitening.n_neighbours as u32, neighbour, weight))
            }
        };
        Ok(Self {
            decode: DecodeSamplesParams {
                n_blocks: 0,
                n_samples: WINDOW_SAMPLES as u32,
                n_file_channels: info.n_channels() as u32,
                n_channels: select.len() as u32,
                sample_type: info.sample_type.code(),
                block_words: window_words(info) as u32,
            },
            highpass: filter::butterworth_highpass(
                parameters.highpass_hz,
                info.sampling_frequency_hz,
            ),
            n_groups: group_start.len() as u32 - 1,
            select: executor.resident("select", &selected)?,
            gain: executor.resident("gain_uv", &gain)?,
            offset: executor.resident("offset_uv", offset_uv)?,
            delay_taps,
            group_start: executor.resident("group_start", &group_start)?,
            group_channel: executor.resident("group_channel", &group_channel)?,
            common_reference: parameters.common_reference,
            whitening,
        })
    }

    /// Channels that come out.
    pub fn n_channels(&self) -> usize {
        self.decode.n_channels as usize
    }

    /// Bytes of the largest buffer of one block before detection.
    pub fn bytes_per_block(&self) -> u64 {
        4 * self.n_channels() as u64 * WINDOW_SAMPLES as u64
    }

    /// Appends decoding, skew correction, high-pass and (if asked for) reference; gives `[block, time, channel]` and
    /// the counter of values that were not finite.
    pub fn microvolts(&self, commands: &mut Commands, chunk: &mut Chunk) -> (BufferId, BufferId) {
        let n_blocks = chunk.blocks.len() as u32;
        let n_samples = WINDOW_SAMPLES as u32;
        let n_channels = self.decode.n_channels;
        let words = (n_blocks * n_samples * n_channels) as usize;
        let raw = commands.upload_words("raw", std::mem::take(&mut chunk.raw));
        let (select, gain, offset) = (
            commands.resident(&self.select),
            commands.resident(&self.gain),
            commands.resident(&self.offset),
        );
        let mut x = commands.buffer("microvolts", words);
        let not_finite = commands.zeros("not_finite", 1);
        commands.dispatch(
            &DecodeSamplesParams {
                n_blocks,
                ..self.decode
            },
            &[raw, select, gain, offset, x, not_finite],
        );
        if let Some(taps) = &self.delay_taps {
            let taps = commands.resident(taps);
            let shifted = commands.buffer("shifted", words);
            let n_taps = filter::DELAY_TAPS as u32;
            commands.dispatch(
                &PhaseShiftParams {
                    n_blocks,
                    n_samples,
                    n_channels,
                    n_taps,
                },
                &[x, taps, shifted],
            );
            x = shifted;
        }
        commands.dispatch(
            &HighpassFilterParams {
                n_blocks,
                n_samples,
                n_channels,
                ..self.highpass
            },
            &[x],
        );
        if self.common_reference && self.n_groups > 0 {
            let (start, channel) = (
                commands.resident(&self.group_start),
                commands.resident(&self.group_channel),
            );
            let n_groups = self.n_groups;
            commands.dispatch(
                &CommonReferenceParams {
                    n_blocks,
                    n_samples,
                    n_channels,
                    n_groups,
                },
                &[start, channel, x],
            );
        }
        (x, not_finite)
    }

    /// Appends everything up to the whitened data `[block, channel, time]`; and a buffer of their size that has done its work.
    ///
    /// # Panics
    /// When the front end was made without whitening.
    pub fn whitened(&self, commands: &mut Commands, chunk: &mut Chunk) -> (BufferId, BufferId) {
        let (n_neighbours, neighbour, weight) =
            self.whitening.as_ref().expect("made with whitening");
        let (x, _) = self.microvolts(commands, chunk);
        let n_blocks = chunk.blocks.len() as u32;
        let n_samples = WINDOW_SAMPLES as u32;
        let n_channels = self.decode.n_channels;
        let (neighbour, weight) = (commands.resident(neighbour), commands.resident(weight));
        let matrix_of_block = commands.zeros("matrix_of_block", n_blocks as usize);
        let out = commands.buffer("whitened", (n_blocks * n_samples * n_channels) as usize);
        commands.dispatch(
            &WhitenParams {
                n_blocks,
                n_samples,
                n_channels,
                n_neighbours: *n_neighbours,
            },
            &[x, neighbour, weight, matrix_of_block, out],
        );
        (out, x)
    }
}

/// Channels that are enough for a median that no single spike moves.
const MIN_REFERENCE_CHANNELS: usize = 16;

/// Groups of channels that share a reference: each shank with enough channels, and all smaller shanks (tetrodes)
/// together.
///
/// On a tetrode alone every contact sees every spike, and the median would be the spike itself.
fn reference_groups(geometry: &Geometry) -> Vec<Vec<usize>> {
    let (mut groups, small): (Vec<Vec<usize>>, Vec<Vec<usize>>) = geometry
        .shanks()
        .into_iter()
        .partition(|shank| shank.len() >= MIN_REFERENCE_CHANNELS);
    let pooled = small.concat();
    if pooled.len() >= MIN_REFERENCE_CHANNELS {
        groups.push(pooled);
    }
    groups
}
