//! Matching pursuit with learned templates: commands, spikes.

use serde::{Deserialize, Serialize};
use somata_shaders::{
    cpu::sorting::match_templates::gain_and_amplitude,
    layout::{
        MATCH_TILE, MatchTemplatesParams, ProjectFeaturesParams, ScoreTemplatesParams,
        SubtractTemplatesParams,
    },
};

use super::{
    match_tables::{Factors, MatchTables},
    motion::interpolation::Correction,
    shapes::Shapes,
};
use crate::{
    device::{BufferId, Commands, Downloads, Executor, Resident, commands::DownloadId},
    error::Result,
    parameters::sorting::SortingParameters,
    stream::{
        Block,
        blocks::{MARGIN_SAMPLES, WINDOW_SAMPLES},
    },
};

/// One spike as matching found it.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Spike {
    /// Trough of the template's main channel, recording sample.
    pub sample: i64,
    /// Unit.
    pub unit: u32,
    /// Amplitude relative to the template.
    pub amplitude: f32,
}

/// Matching on a device.
pub struct Matcher {
    /// The tables that were put there; waveforms and products are on the device only.
    pub tables: MatchTables,
    score: ScoreTemplatesParams,
    pursue: MatchTemplatesParams,
    subtract: SubtractTemplatesParams,
    project: ProjectFeaturesParams,
    /// Features of each unit's own template, `[unit, feature]`.
    pub unit_features: Vec<f32>,
    feature_length: usize,
    channel_start: Resident,
    channel: Resident,
    spatial: Resident,
    temporal: Resident,
    waveform: Resident,
    unit_table: Resident,
    pair_start: Resident,
    pair_unit: Resident,
    cross: Resident,
    feature_neighbour: Resident,
    basis: Resident,
}

/// What matching leaves in a list of commands.
pub struct MatchDownloads {
    capacity: usize,
    spikes: DownloadId,
    count: DownloadId,
    features: DownloadId,
}

/// One block's spikes with the projections of the residual around each.
pub struct BlockSpikes {
    /// The block's own spikes in order of time and unit.
    pub spikes: Vec<Spike>,
    /// `[spike, feature]`, of the residual alone.
    pub features: Vec<f32>,
}

impl Matcher {
    /// Puts the tables on the device.
    ///
    /// `reference` are the same units at rest: their features are added to the residual's. `feature_table` holds the
    /// feature channels of every channel, padded with `NONE`.
    ///
    /// # Errors
    /// When the device has no room.
    pub fn new(
        executor: &dyn Executor,
        mut tables: MatchTables,
        reference: &MatchTables,
        shapes: &Shapes,
        feature_table: &[u32],
        parameters: &SortingParameters,
        sampling_frequency_hz: f64,
        n_channels: usize,
    ) -> Result<Self> {
        let samples = |ms: f64| (ms * sampling_frequency_hz / 1000.0).round() as u32;
        let matching = &parameters.matching;
        let n_units = tables.n_units();
        let taps = tables.taps;
        let n_neighbours = feature_table.len() / n_channels;
        let mut channel_start = vec![0u32];
        for unit in &tables.units {
            channel_start
                .push(channel_start.last().expect("not empty") + unit.channels.len() as u32);
        }
        let channel: Vec<u32> = tables
            .units
            .iter()
            .flat_map(|unit| unit.channels.clone())
            .collect();
        let waveform: Vec<f32> = tables
            .units
            .iter()
            .flat_map(|unit| unit.waveform.clone())
            .collect();
        let precision = (1.0 / (matching.amplitude_sigma * matching.amplitude_sigma)) as f32;
        let reach = (4 * taps.n).min(MARGIN_SAMPLES - taps.n);
        let pursue = MatchTemplatesParams {
            n_blocks: 0,
            n_samples: WINDOW_SAMPLES as u32,
            n_units: n_units as u32,
            n_taps: taps.n as u32,
            threshold: matching.threshold as f32,
            amplitude_min: matching.amplitude_min as f32,
            amplitude_max: matching.amplitude_max as f32,
            refractory: samples(matching.refractory_ms),
            sweeps: matching.sweeps,
            jitter: samples(matching.jitter_ms),
            // Spikes are looked for well into the margins, so that those that reach into the block are known.
            first: (MARGIN_SAMPLES - taps.before - reach) as u32,
            last: (WINDOW_SAMPLES - MARGIN_SAMPLES - taps.before + reach) as u32,
            capacity: 0,
            n_tiles: (WINDOW_SAMPLES as u32).div_ceil(MATCH_TILE),
        };
        let mut unit_table = tables.norm2.clone();
        unit_table.extend(std::iter::repeat_n(precision, n_units));
        unit_table.extend(
            tables
                .norm2
                .iter()
                .map(|&norm| score_min(norm, precision, &pursue)),
        );
        let unit_neighbours: Vec<u32> = tables
            .main_channel
            .iter()
            .flat_map(|&c| feature_table[c * n_neighbours..(c + 1) * n_neighbours].to_vec())
            .collect();
        let n_components = shapes.n_components();
        let feature_length = n_neighbours * n_components;
        let mut unit_features = vec![0.0f32; n_units * feature_length];
        let skip = taps.before as i64 - shapes.before as i64;
        for (u, unit) in reference.units.iter().enumerate() {
            for j in 0..n_neighbours {
                let Ok(entry) = unit
                    .channels
                    .binary_search(&unit_neighbours[u * n_neighbours + j])
                else {
                    continue;
                };
                let row = unit.row(entry, taps);
                for (k, component) in shapes.basis.chunks_exact(shapes.n_taps).enumerate() {
                    unit_features[u * feature_length + j * n_components + k] = component
                        .iter()
                        .enumerate()
                        .filter_map(|(t, b)| row.get((t as i64 + skip) as usize).map(|w| w * b))
                        .sum();
                }
            }
        }
        let floats = |of: fn(&Factors) -> &[f64]| -> Vec<f32> {
            let factors = tables.factors.iter();
            factors
                .flat_map(|unit| of(unit).iter().map(|&v| v as f32))
                .collect()
        };
        let spatial = executor.resident_vec("spatial", floats(|unit| &unit.spatial))?;
        let temporal = executor.resident_vec("temporal", floats(|unit| &unit.temporal))?;
        let cross = executor.resident_vec("cross", tables.products())?;
        tables.free_factors();
        let waveform = executor.resident_vec("waveform", waveform)?;
        tables
            .units
            .iter_mut()
            .for_each(|unit| unit.waveform = Vec::new());
        Ok(Self {
            score: ScoreTemplatesParams {
                n_blocks: 0,
                n_samples: WINDOW_SAMPLES as u32,
                n_channels: n_channels as u32,
                n_units: n_units as u32,
                n_taps: taps.n as u32,
                rank: tables.rank as u32,
            },
            pursue,
            subtract: SubtractTemplatesParams {
                n_blocks: 0,
                n_samples: WINDOW_SAMPLES as u32,
                n_channels: n_channels as u32,
                n_units: n_units as u32,
                n_taps: taps.n as u32,
                capacity: 0,
            },
            project: ProjectFeaturesParams {
                n_blocks: 0,
                n_samples: WINDOW_SAMPLES as u32,
                n_channels: n_channels as u32,
                n_neighbours: n_neighbours as u32,
                n_components: n_components as u32,
                n_taps: shapes.n_taps as u32,
                before: (shapes.before as i32 - taps.before as i32) as u32,
                capacity: 0,
            },
            unit_features,
            feature_length,
            channel_start: executor.resident("unit_channel_start", &channel_start)?,
            channel: executor.resident("unit_channel", &channel)?,
            spatial,
            temporal,
            waveform,
            unit_table: executor.resident("unit_table", &unit_table)?,
            pair_start: executor.resident("pair_start", &tables.pair_start)?,
            pair_unit: executor.resident("pair_unit", &tables.pair_unit)?,
            cross,
            feature_neighbour: executor.resident("unit_feature_neighbour", &unit_neighbours)?,
            basis: executor.resident("basis", &shapes.basis)?,
            tables,
        })
    }

    /// Bytes of matching's largest buffer for one block.
    pub fn bytes_per_block(&self) -> u64 {
        4 * self.tables.n_units() as u64 * WINDOW_SAMPLES as u64 * 5 / 4
    }

    /// Appends matching on whitened data `x`, which become the residual, moved back where there is a `correction`.
    ///
    /// Gives what to download and the buffer of the residual.
    pub fn record(
        &self,
        commands: &mut Commands,
        x: BufferId,
        blocks: &[Block],
        capacity: usize,
        correction: Option<&Correction>,
    ) -> (MatchDownloads, BufferId) {
        let n_blocks = blocks.len();
        let (all_blocks, blocks) = (blocks, blocks.len() as u32);
        let words = n_blocks * WINDOW_SAMPLES * self.tables.n_units();
        let tiles = n_blocks * self.pursue.n_tiles as usize * self.tables.n_units();
        let scores = commands.buffer("scores", words);
        let scratch = commands.zeros("match_scratch", words / 4 + 2 * tiles);
        let spikes = commands.zeros("spikes", n_blocks * capacity * 4);
        let count = commands.zeros("spike_count", n_blocks);
        let start = commands.resident(&self.channel_start);
        let channel = commands.resident(&self.channel);
        let spatial = commands.resident(&self.spatial);
        let temporal = commands.resident(&self.temporal);
        let unit_table = commands.resident(&self.unit_table);
        let pair_start = commands.resident(&self.pair_start);
        let pair_unit = commands.resident(&self.pair_unit);
        let cross = commands.resident(&self.cross);
        commands.dispatch(
            &ScoreTemplatesParams {
                n_blocks: blocks,
                ..self.score
            },
            &[x, start, channel, spatial, temporal, scores],
        );
        commands.dispatch(
            &MatchTemplatesParams {
                n_blocks: blocks,
                capacity: capacity as u32,
                ..self.pursue
            },
            &[
                scores, unit_table, pair_start, pair_unit, cross, scratch, spikes, count,
            ],
        );
        self.record_subtraction(commands, x, spikes, count, n_blocks, capacity);
        let x = correction.map_or(x, |correction| correction.record(commands, all_blocks, x));
        let neighbour = commands.resident(&self.feature_neighbour);
        let basis = commands.resident(&self.basis);
        let features = commands.buffer("spike_features", n_blocks * capacity * self.feature_length);
        commands.dispatch(
            &ProjectFeaturesParams {
                n_blocks: blocks,
                capacity: capacity as u32,
                ..self.project
            },
            &[x, spikes, count, neighbour, basis, features],
        );
        let downloads = MatchDownloads {
            capacity,
            spikes: commands.download(spikes),
            count: commands.download(count),
            features: commands.download(features),
        };
        (downloads, x)
    }

    /// Appends the subtraction of listed spikes (start sample in the window, unit, amplitude) from `x`.
    pub fn record_subtraction(
        &self,
        commands: &mut Commands,
        x: BufferId,
        spikes: BufferId,
        count: BufferId,
        n_blocks: usize,
        capacity: usize,
    ) {
        let start = commands.resident(&self.channel_start);
        let channel = commands.resident(&self.channel);
        let waveform = commands.resident(&self.waveform);
        commands.dispatch(
            &SubtractTemplatesParams {
                n_blocks: n_blocks as u32,
                capacity: capacity as u32,
                ..self.subtract
            },
            &[x, spikes, count, start, channel, waveform],
        );
    }

    /// Values of a feature vector.
    pub fn feature_length(&self) -> usize {
        self.feature_length
    }
}

impl MatchDownloads {
    /// The blocks' own spikes; the largest count when a list overflowed.
    pub fn spikes(
        &self,
        matcher: &Matcher,
        downloads: &mut Downloads,
        blocks: &[Block],
    ) -> std::result::Result<Vec<BlockSpikes>, usize> {
        let count: Vec<u32> = downloads.take(self.count);
        let largest = count.iter().copied().max().unwrap_or(0) as usize;
        if largest > self.capacity {
            return Err(largest);
        }
        let entries: Vec<u32> = downloads.take(self.spikes);
        let features: Vec<f32> = downloads.take(self.features);
        let length = matcher.feature_length;
        Ok(blocks
            .iter()
            .enumerate()
            .map(|(b, block)| {
                let mut found = BlockSpikes {
                    spikes: Vec::new(),
                    features: Vec::new(),
                };
                for entry in b * self.capacity..b * self.capacity + count[b] as usize {
                    let trough = entries[entry * 4] as usize + matcher.tables.taps.before;
                    if block.owns(trough) {
                        found.spikes.push(Spike {
                            sample: block.sample(trough),
                            unit: entries[entry * 4 + 1],
                            amplitude: f32::from_bits(entries[entry * 4 + 2]),
                        });
                        found
                            .features
                            .extend_from_slice(&features[entry * length..(entry + 1) * length]);
                    }
                }
                found
            })
            .collect())
    }
}

/// Smallest score of a template whose gain passes the threshold, by bisection.
fn score_min(norm2: f32, precision: f32, p: &MatchTemplatesParams) -> f32 {
    let (mut low, mut high) = (0.0f32, norm2 * p.amplitude_max + 50.0);
    for _ in 0..40 {
        let middle = 0.5 * (low + high);
        let (gain, _) =
            gain_and_amplitude(middle, norm2, precision, p.amplitude_min, p.amplitude_max);
        if gain > p.threshold {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}
