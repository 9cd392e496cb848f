//! The uniforms of the sorting kernels. "Window" is a block with its margins.

use bytemuck::{Pod, Zeroable};

use crate::{Kernel, KernelParams, cpu};

kernel! {
    /// Raw samples of any type to microvolts, with the kept channels picked: `[block, time, channel]`.
    common / decode_samples => DecodeSamplesParams {
        /// Blocks that travel together.
        n_blocks: u32,
        /// Samples of a window.
        n_samples: u32,
        /// Channels of a raw frame.
        n_file_channels: u32,
        /// Channels kept.
        n_channels: u32,
        /// 0 `i16`, 1 `u16`, 2 `i32`, 3 `f32`.
        sample_type: u32,
        /// Words between two blocks in the raw buffer.
        block_words: u32,
    }
    workgroups(self) { [(self.n_samples * self.n_channels).div_ceil(256).min(65535), 1, self.n_blocks] }
}

kernel! {
    /// Values rounded to steps, two in a word.
    common / pack_samples => PackSamplesParams {
        /// Words of packed values.
        n_words: u32,
        /// Steps of a value of 1.
        scale: f32,
    }
    workgroups(self) { [self.n_words.div_ceil(256).min(65535), 1, 1] }
}

kernel! {
    /// Packed values as floats again.
    common / unpack_samples => UnpackSamplesParams {
        /// Words of packed values.
        n_words: u32,
        /// One step.
        step: f32,
    }
    workgroups(self) { [self.n_words.div_ceil(256).min(65535), 1, 1] }
}

kernel! {
    /// Moves each channel by a fraction of a sample (multiplexed ADCs) with a short interpolation filter.
    sorting / phase_shift => PhaseShiftParams {
        /// Blocks that travel together.
        n_blocks: u32,
        /// Samples of a window.
        n_samples: u32,
        /// Channels.
        n_channels: u32,
        /// Taps of the interpolation filter of a channel (odd).
        n_taps: u32,
    }
    workgroups(self) { [(self.n_samples * self.n_channels).div_ceil(256).min(65535), 1, self.n_blocks] }
}

kernel! {
    /// Zero-phase third-order high-pass (one biquad, one first-order section), forward then backward, in place.
    sorting / highpass_filter => HighpassFilterParams {
        /// Blocks that travel together.
        n_blocks: u32,
        /// Samples of a window.
        n_samples: u32,
        /// Channels.
        n_channels: u32,
        /// Biquad, numerator.
        b0: f32,
        /// Biquad, numerator.
        b1: f32,
        /// Biquad, numerator.
        b2: f32,
        /// Biquad, denominator.
        a1: f32,
        /// Biquad, denominator.
        a2: f32,
        /// First-order section, numerator.
        c0: f32,
        /// First-order section, numerator.
        c1: f32,
        /// First-order section, denominator.
        d1: f32,
    }
    workgroups(self) { [self.n_channels.div_ceil(64) * self.n_samples.min(1), 1, self.n_blocks] }
}

kernel! {
    /// Subtracts from every sample the median over the channels of its group (shank), in place.
    sorting / common_reference => CommonReferenceParams {
        /// Blocks that travel together.
        n_blocks: u32,
        /// Samples of a window.
        n_samples: u32,
        /// Channels.
        n_channels: u32,
        /// Groups of channels that share a reference.
        n_groups: u32,
    }
    workgroups(self) { [self.n_samples.div_ceil(8), self.n_groups, self.n_blocks] }
}

kernel! {
    /// Sparse matrix times samples: whitening;
    /// `[block, time, channel]` to `[block, channel, time]`.
    sorting / whiten => WhitenParams {
        /// Blocks that travel together.
        n_blocks: u32,
        /// Samples of a window.
        n_samples: u32,
        /// Channels.
        n_channels: u32,
        /// Entries of a row of the matrix.
        n_neighbours: u32,
    }
    workgroups(self) { [self.n_samples.div_ceil(32), self.n_channels.div_ceil(32), self.n_blocks] }
}

kernel! {
    /// The whitened field moved back to where the tissue was: `[block, channel, time]`.
    sorting / interpolate_motion => InterpolateMotionParams {
        /// Blocks that travel together.
        n_blocks: u32,
        /// Samples of a window.
        n_samples: u32,
        /// Channels.
        n_channels: u32,
        /// Entries of a row of the matrix.
        n_neighbours: u32,
    }
    workgroups(self) { [self.n_samples.div_ceil(256), self.n_channels, self.n_blocks] }
}

kernel! {
    /// Best universal template at every channel and time: the largest score over shapes and footprints.
    sorting / score_footprints => ScoreFootprintsParams {
        /// Blocks that travel together.
        n_blocks: u32,
        /// Samples of a window.
        n_samples: u32,
        /// Channels, each the centre of its footprints.
        n_channels: u32,
        /// Temporal shapes.
        n_shapes: u32,
        /// Footprint sizes.
        n_sizes: u32,
        /// Channels of a footprint (padded with weight 0).
        n_neighbours: u32,
        /// Samples of a shape (at most 256).
        n_taps: u32,
        /// Scores up to this are written as 0.
        threshold: f32,
        /// On the processor every such score is computed first (1 to 4), the others only beside a large one.
        stride: u32,
        /// A score this large has those beside it computed.
        gate: f32,
    }
    workgroups(self) { [self.n_samples.div_ceil(128), self.n_channels, self.n_blocks] }
}

kernel! {
    /// Local maxima of the scores in time and space, as a bounded list: `[block, capacity, 4]`.
    sorting / detect_peaks => DetectPeaksParams {
        /// Blocks that travel together.
        n_blocks: u32,
        /// Samples of a window.
        n_samples: u32,
        /// Channels.
        n_channels: u32,
        /// Neighbours of a channel that exclude each other (padded with the channel itself).
        n_neighbours: u32,
        /// Smallest score of a peak, in noise deviations.
        threshold: f32,
        /// A larger score within this many samples and the neighbourhood removes a peak.
        exclusion: u32,
        /// A score `lobe_ratio` times larger within this many samples removes a peak: it is a side lobe.
        lobe: u32,
        /// See `lobe`.
        lobe_ratio: f32,
        /// First start sample that is searched.
        first: u32,
        /// End (exclusive) of the start samples that are searched.
        last: u32,
        /// Entries that a block's list can hold.
        capacity: u32,
        /// Samples from the start of a shape to its trough.
        before: u32,
        /// Peaks with at least this score are re-aligned on their own trough.
        align_threshold: f32,
        /// Re-alignment looks this many samples to each side.
        align_radius: u32,
        /// Weight of a positive deflection against a trough in re-alignment.
        positive_weight: f32,
    }
    workgroups(self) { [self.n_samples.div_ceil(64), self.n_channels, self.n_blocks] }
}

kernel! {
    /// Position of every peak from the amplitudes of its best shape on the channels around: `[block, capacity, 4]`.
    sorting / localize_peaks => LocalizePeaksParams {
        /// Blocks that travel together.
        n_blocks: u32,
        /// Samples of a window.
        n_samples: u32,
        /// Channels.
        n_channels: u32,
        /// Temporal shapes.
        n_shapes: u32,
        /// Channels around a channel that are used (padded with `u32::MAX`).
        n_neighbours: u32,
        /// Entries that a block's list can hold.
        capacity: u32,
        /// Samples of a shape (at most 256).
        n_taps: u32,
    }
    workgroups(self) { [self.capacity.div_ceil(64), 1, self.n_blocks] }
}

kernel! {
    /// Temporal components of every listed event on the channels around it: `[block, capacity, neighbour, component]`.
    sorting / project_features => ProjectFeaturesParams {
        /// Blocks that travel together.
        n_blocks: u32,
        /// Samples of a window.
        n_samples: u32,
        /// Channels.
        n_channels: u32,
        /// Channels of a feature vector (padded with `u32::MAX`).
        n_neighbours: u32,
        /// Temporal components.
        n_components: u32,
        /// Samples of a component.
        n_taps: u32,
        /// Samples of a component before the event, in two's complement: negative when the events are starts of
        /// templates that begin earlier than the components.
        before: u32,
        /// Entries that a block's list can hold.
        capacity: u32,
    }
    workgroups(self) { [self.capacity.min(65535), 1, self.n_blocks] }
}

kernel! {
    /// Inner product of every unit's template with the data at every start sample: `[block, unit, time]`.
    sorting / score_templates => ScoreTemplatesParams {
        /// Blocks that travel together.
        n_blocks: u32,
        /// Samples of a window.
        n_samples: u32,
        /// Channels.
        n_channels: u32,
        /// Units.
        n_units: u32,
        /// Samples of a template (at most 256).
        n_taps: u32,
        /// Spatial and temporal components of a template (at most 4).
        rank: u32,
    }
    workgroups(self) { [self.n_samples.div_ceil(128), self.n_units, self.n_blocks] }
}

kernel! {
    /// Matching pursuit of one block by one workgroup: greedy, then re-decision sweeps.
    sorting / match_templates => MatchTemplatesParams {
        /// Blocks that travel together.
        n_blocks: u32,
        /// Samples of a window.
        n_samples: u32,
        /// Units.
        n_units: u32,
        /// Samples of a template.
        n_taps: u32,
        /// Smallest gain of the log posterior by which a spike is accepted.
        threshold: f32,
        /// Smallest amplitude.
        amplitude_min: f32,
        /// Largest amplitude.
        amplitude_max: f32,
        /// Samples within which a unit does not fire twice.
        refractory: u32,
        /// Re-decision sweeps after the pursuit.
        sweeps: u32,
        /// A re-decided spike may move this many samples.
        jitter: u32,
        /// First start sample that is searched.
        first: u32,
        /// End (exclusive) of the start samples that are searched.
        last: u32,
        /// Entries that a block's list can hold.
        capacity: u32,
        /// Tiles of [`MATCH_TILE`] samples in a window.
        n_tiles: u32,
    }
    workgroups(self) {
        assert!(self.n_tiles <= MATCH_MAX_TILES, "the matcher holds windows of 32,768 samples");
        [1, 1, self.n_blocks]
    }
}

/// Samples of a tile of the matcher's two-level maximum.
pub const MATCH_TILE: u32 = 32;

/// Tiles of a window at most: the workgroup that matches a block keeps the best of each in its own memory.
pub const MATCH_MAX_TILES: u32 = 1024;

kernel! {
    /// Takes the listed spikes out of the whitened data, in place: the residual.
    sorting / subtract_templates => SubtractTemplatesParams {
        /// Blocks that travel together.
        n_blocks: u32,
        /// Samples of a window.
        n_samples: u32,
        /// Channels.
        n_channels: u32,
        /// Units.
        n_units: u32,
        /// Samples of a template.
        n_taps: u32,
        /// Entries that a block's list can hold.
        capacity: u32,
    }
    workgroups(self) { [self.n_samples.div_ceil(64), self.n_channels, self.n_blocks] }
}

kernel! {
    /// Adds the waveforms of the listed events to their label's fixed-point sum: `[label, neighbour, time]`.
    sorting / sum_waveforms => SumWaveformsParams {
        /// Blocks that travel together.
        n_blocks: u32,
        /// Samples of a window.
        n_samples: u32,
        /// Channels.
        n_channels: u32,
        /// Channels of a waveform (padded with `u32::MAX`).
        n_neighbours: u32,
        /// Samples of a waveform.
        n_taps: u32,
        /// Samples of a waveform before the event.
        before: u32,
        /// Entries that a block's list can hold.
        capacity: u32,
        /// Fixed-point units of one noise deviation.
        scale: f32,
        /// Values are clamped to plus or minus this many noise deviations.
        limit: f32,
    }
    workgroups(self) { [self.capacity.min(65535), 1, self.n_blocks] }
}

/// Kernel name and size of the Rust uniform, for every kernel of this file.
pub(super) fn layouts() -> &'static [(&'static str, usize)] {
    &[
        DecodeSamplesParams::LAYOUT,
        PackSamplesParams::LAYOUT,
        UnpackSamplesParams::LAYOUT,
        PhaseShiftParams::LAYOUT,
        HighpassFilterParams::LAYOUT,
        CommonReferenceParams::LAYOUT,
        WhitenParams::LAYOUT,
        InterpolateMotionParams::LAYOUT,
        ScoreFootprintsParams::LAYOUT,
        DetectPeaksParams::LAYOUT,
        LocalizePeaksParams::LAYOUT,
        ProjectFeaturesParams::LAYOUT,
        ScoreTemplatesParams::LAYOUT,
        MatchTemplatesParams::LAYOUT,
        SubtractTemplatesParams::LAYOUT,
        SumWaveformsParams::LAYOUT,
    ]
}
