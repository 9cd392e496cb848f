//! How much memory a sort takes, before it begins and on the way.
//!
//! Not a fit: each stage's buffers are counted as the stage makes them (`passes.rs`, `mean_waveforms.rs`, the survey), and the
//! largest stage counts. What is not known beforehand is assumed: units, clusters and events a channel as most recordings have them. The
//! allocator keeps some of what was freed; that part is assumed too. What is asked of it is
//! in docs/concepts/memory.md, and is tested with the real program (`cli/tests/command/estimates.rs`).
//!
//! On the way clusters and templates are counted. Where there are far more than was assumed, a sort with a limit takes fewer
//! threads for what follows, or ends before it takes more than it may ([`limit`]).
//!
//! It is of the processor: on a graphics card most of these buffers are in its own memory.

pub mod limit;

use somata_shaders::cpu::sorting::score_templates::scratch_bytes;

use super::{
    geometry::Geometry,
    motion::{
        estimation::shows_motion,
        interpolation::{MAX_GROUPS, MOST_KEPT},
    },
    preprocessing::{
        survey,
        whitening::{COVARIANCE_SAMPLES, WHITENED_TOGETHER},
    },
    sorter::taps,
};
use crate::{
    parameters::sorting::SortingParameters,
    recording::RecordingInfo,
    stream::{
        BlockGrid,
        blocks::{WINDOW_SAMPLES, window_words},
    },
};

/// Units of a channel that are matched with, as assumed: more than in the end.
const UNITS_PER_CHANNEL: f64 = 0.75;
/// Clusters of a channel, as assumed: most cells are the largest on several channels by turns.
const LABELS_PER_CHANNEL: f64 = 1.75;
/// Channels that a template reaches, as assumed.
const REACH: f64 = 30.0;
/// Spikes and other events a second of a channel, as assumed: the mean of channels of which few have many, and many few.
const EVENTS_HZ: f64 = 4.0;
/// The program itself, with its threads' stacks and what the system's libraries hold.
const PROGRAM_BYTES: u64 = 14 << 20;
/// Part of the counted bytes that the allocator holds beside them (freed, not given back), as assumed.
const KEPT: f64 = 0.05;

/// Bytes that a sort with `threads` threads holds at most, on the processor.
///
/// A recording that drifts takes more, which shows only when it is read: `template_sets` says how many sets of moved templates are
/// held then ([`MOST_SETS`](limit::MOST_SETS): all), and 1 counts a recording that does not drift. `keep_whitened` as in
/// [`SortOptions`](super::SortOptions).
pub fn estimate(
    info: &RecordingInfo,
    parameters: &SortingParameters,
    threads: usize,
    template_sets: usize,
    keep_whitened: bool,
) -> u64 {
    by_stage(info, parameters, threads, template_sets, keep_whitened)
        .into_iter()
        .map(|(_, bytes)| bytes)
        .max()
        .expect("stages")
}

/// As [`estimate`], of each kind of stage.
pub fn by_stage(
    info: &RecordingInfo,
    parameters: &SortingParameters,
    threads: usize,
    template_sets: usize,
    keep_whitened: bool,
) -> [(&'static str, u64); 7] {
    let need = Need::new(
        info,
        parameters,
        threads.max(1),
        template_sets,
        keep_whitened,
    );
    [
        ("survey", need.survey()),
        ("detection", need.detection()),
        ("clustering", need.clustering()),
        ("templates", need.templates()),
        ("matching", need.matching()),
        ("last matching", need.last_matching()),
        ("waveforms", need.waveforms()),
    ]
    .map(|(stage, bytes)| (stage, whole(bytes)))
}

/// What the system sees of so many counted bytes.
fn whole(bytes: f64) -> u64 {
    PROGRAM_BYTES + ((1.0 + KEPT) * bytes) as u64
}

/// Templates of tissue that moved reach more channels, and touch more of each other: a set of them takes so many times what their own
/// size would make it.
const MOVED_SETS: f64 = 1.5;
/// Channels that a template of tissue that moved reaches.
const MOVED_REACH: f64 = 50.0;

/// Events that are kept of a channel on average, where at most `most` are and there are `mean` on average: numbers as unequal as those
/// of an exponential distribution.
fn kept_events(mean: f64, most: f64) -> f64 {
    mean * -(-most / mean).exp_m1()
}

/// Sizes that the stages share, bytes where nothing else is said.
struct Need<'a> {
    info: &'a RecordingInfo,
    parameters: &'a SortingParameters,
    lanes: f64,
    n_channels: f64,
    /// One raw window.
    raw: f64,
    /// One window of floats.
    window: f64,
    /// Windows of floats that the skew correction adds.
    skew: f64,
    /// Whether passes after the first read whitened data.
    keep_whitened: bool,
    /// Units.
    n_units: f64,
    /// Clusters before they are merged.
    n_labels: f64,
    /// Blocks of the recording.
    n_blocks: f64,
    /// Pairs of templates that interact and channels of all templates, where they are known.
    known: Option<(f64, f64)>,
    /// Values of a feature vector.
    feature_length: f64,
    /// Events that are kept for clustering.
    n_events: f64,
    /// Spikes of the whole recording.
    n_spikes: f64,
    /// Samples of a template.
    n_taps: f64,
    /// Sets of templates on the device.
    groups: f64,
}

impl<'a> Need<'a> {
    fn new(
        info: &'a RecordingInfo,
        parameters: &'a SortingParameters,
        threads: usize,
        template_sets: usize,
        keep_whitened: bool,
    ) -> Self {
        let n_channels = info.n_channels() as f64;
        let geometry = Geometry {
            contacts: info.contacts.clone(),
        };
        let near = geometry.within(parameters.clustering.radius_um);
        let n_near = near.iter().map(Vec::len).max().unwrap_or(1).max(1);
        let feature_length = n_near as f64 * f64::from(parameters.detection.n_components);
        let most_events = super::passes::most_events(
            info.n_channels(),
            feature_length as usize,
            &parameters.clustering,
        );
        let n_blocks = info.n_samples as f64 / WINDOW_SAMPLES as f64;
        let delays = info.sample_delay.is_some() && parameters.preprocessing.phase_shift;
        // No more lanes than blocks.
        let lanes = (threads as f64).min(n_blocks.ceil().max(1.0));
        Self {
            info,
            parameters,
            lanes,
            n_channels,
            raw: 4.0 * window_words(info) as f64,
            window: 4.0 * WINDOW_SAMPLES as f64 * n_channels,
            skew: if delays { 1.0 } else { 0.0 },
            keep_whitened,
            n_units: (UNITS_PER_CHANNEL * n_channels).max(2.0),
            n_labels: (LABELS_PER_CHANNEL * n_channels).max(4.0),
            n_blocks,
            known: None,
            feature_length,
            n_events: n_channels * kept_events(EVENTS_HZ * info.duration_s(), most_events as f64),
            n_spikes: EVENTS_HZ * n_channels * info.duration_s(),
            n_taps: taps(parameters, info.sampling_frequency_hz).n as f64,
            groups: if template_sets > 1 && parameters.motion.correct && shows_motion(&geometry) {
                // A thread keeps the set that it works with.
                MOVED_SETS * (template_sets as f64 + lanes).min(MAX_GROUPS as f64)
            } else {
                1.0
            },
        }
    }

    /// Chunks of `blocks` blocks with `bytes` each that are read: one being read, those that wait, and those being worked on.
    fn queue(&self, blocks: f64, bytes: f64) -> f64 {
        (1.0 + 2.0 * self.lanes) * blocks * bytes
    }

    /// From raw samples to whitened data: microvolts, which become what is unpacked, whitened, and packed.
    fn whitening(&self, blocks: f64) -> f64 {
        self.queue(blocks, self.raw) + self.lanes * blocks * (2.5 + self.skew) * self.window
    }

    /// Whitened data of a pass after the first.
    fn whitened(&self, blocks: f64) -> f64 {
        if self.keep_whitened {
            self.queue(blocks, 0.5 * self.window) + self.lanes * blocks * self.window
        } else {
            self.whitening(blocks)
        }
    }

    /// What is moved back where the tissue moved.
    fn moved_back(&self) -> f64 {
        if self.groups > 1.0 { self.window } else { 0.0 }
    }

    /// The sampled events with their features.
    fn events(&self) -> f64 {
        // A key, the event, and its list with the allocator's header.
        self.n_events * (64.0 + 16.0 + 4.0 * self.feature_length)
    }

    /// The same while they are collected: some wait to be sorted out.
    fn collected(&self) -> f64 {
        1.125 * self.events()
    }

    /// The events without their features, with labels.
    fn labelled(&self) -> f64 {
        32.0 * self.n_events
    }

    /// Lists of a block's events that come back with features, of all blocks under way.
    fn lists(&self, per_channel: f64) -> f64 {
        let capacity = 256.0 + per_channel * self.n_channels;
        2.5 * self.lanes * capacity * 4.0 * (self.feature_length + 8.0)
    }

    /// Templates and their products on the device.
    fn tables(&self) -> f64 {
        let units = self.n_units;
        let reach = if self.groups > 1.0 {
            MOVED_REACH
        } else {
            REACH
        };
        // A template touches those of the units on the channels around those that it reaches.
        let channels = self.n_channels.min(reach);
        let of_one = units.min(units / self.n_channels * 2.0 * channels + 1.0);
        let (pairs, entries) = self.known.unwrap_or((units * of_one, units * channels));
        let products = pairs * 8.0 * self.n_taps;
        let waveforms = entries * 4.0 * self.n_taps;
        if self.groups > 1.0 {
            // The weights that move data back, as far as they are kept.
            let weights = (self.n_blocks * self.n_channels * channels * 4.0).min(MOST_KEPT as f64);
            // The sets, what is kept of templates at rest, and what making a set takes.
            self.groups * (products + waveforms) + 4.0 * waveforms + weights
        } else {
            products + 3.0 * waveforms
        }
    }

    fn survey(&self) -> f64 {
        let grid = BlockGrid::new(self.info);
        let (blocks, piece) = survey::choose(
            &grid,
            survey::seconds(
                self.parameters.preprocessing.survey_s,
                self.info.n_channels(),
            ),
            self.info.sampling_frequency_hz,
            self.info.n_channels(),
        );
        let held = 4.0 * self.n_channels * (piece * blocks.len()) as f64;
        let lanes = self.lanes.min(blocks.len() as f64);
        let reading = (1.0 + 2.0 * lanes) * self.raw
            + lanes * (2.0 + self.skew) * self.window
            + 2.0 * lanes * 4.0 * self.n_channels * piece as f64;
        // Which samples are quiet, a bit each; and a thread's samples that a covariance is of, or which of a channel's samples are quiet
        // and those that its deviation is of.
        let samples = (piece * blocks.len()) as f64;
        let covariance = 8.0 * samples.min(COVARIANCE_SAMPLES as f64);
        let whitening = 4.0 * WHITENED_TOGETHER as f64 * self.n_channels;
        let learning = held / 32.0 + whitening.max(self.lanes * covariance.max(2.0 * samples));
        held + reading.max(learning)
    }

    fn detection(&self) -> f64 {
        self.whitening(1.0) + self.lanes * self.window + self.lists(24.0) + self.collected()
    }

    fn clustering(&self) -> f64 {
        // A channel's events a thread: rotated, and labelled.
        let one = self.n_events / self.n_channels;
        self.events()
            + self.lanes * one * 8.0 * (self.feature_length + 40.0)
            + 1.5 * self.labelled()
            + self.tables()
            + 24.0 * self.n_spikes
    }

    fn templates(&self) -> f64 {
        let blocks = if self.groups > 1.0 {
            // Where the tissue moved one travels alone.
            1.0
        } else {
            super::mean_waveforms::blocks_together(self.window as u64) as f64
        };
        let near = self
            .n_channels
            .min(f64::from(self.parameters.templates.max_channels));
        let sums = near * self.n_taps * 4.0;
        // A part of the recording has sums of the clusters of which it has events.
        let events = self.n_events / self.n_blocks.max(1.0) * blocks;
        let parts = (self.lanes + 1.0) * self.n_labels.min(events) * sums;
        self.whitened(blocks)
            + self.lanes * self.moved_back()
            + 2.0 * self.n_labels * sums
            + parts
            + self.labelled()
            + self.tables()
            + 16.0 * self.n_spikes
    }

    /// Scores of all units in a window, and the spectra that they are made with.
    fn scores(&self) -> f64 {
        let rank = f64::from(self.parameters.templates.rank);
        let spectra = scratch_bytes(
            self.n_channels as usize,
            self.n_units as usize,
            (rank * self.n_units) as usize,
        );
        1.25 * self.window * self.n_units / self.n_channels + spectra as f64
    }

    fn matching(&self) -> f64 {
        self.whitened(1.0)
            + self.lanes * (self.window + self.moved_back() + self.scores())
            + self.lists(24.0)
            + self.lists(8.0)
            + self.collected()
            + self.tables()
            + 24.0 * self.n_spikes
    }

    fn last_matching(&self) -> f64 {
        self.whitened(1.0)
            + self.lanes * (self.moved_back() + self.scores())
            + self.lists(8.0)
            + self.tables()
            + 40.0 * self.n_spikes
    }

    /// The deviations of the waveforms, beside the result with its templates.
    fn waveforms(&self) -> f64 {
        let near = self
            .n_channels
            .min(f64::from(self.parameters.templates.max_channels));
        let waveform = near * self.n_taps;
        self.queue(1.0, self.raw)
            + self.lanes * (2.0 + self.skew) * self.window
            + self.n_units
                * (super::waveform_deviations::BYTES_PER_VALUE as f64 * waveform
                    + 3.0 * 4.0 * self.n_channels * self.n_taps)
            + 48.0 * self.n_spikes
    }
}
