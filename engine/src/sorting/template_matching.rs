//! Matching pursuit with learned templates: tables, commands, spikes.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use somata_shaders::{
    cpu::sorting::match_templates::gain_and_amplitude,
    layout::{
        MATCH_TILE, MatchTemplatesParams, ProjectFeaturesParams, ScoreTemplatesParams,
        SubtractTemplatesParams,
    },
};

use super::{
    motion::interpolation::Correction,
    shapes::Shapes,
    templates::{Taps, Template},
};
use crate::{
    device::{BufferId, Commands, Downloads, Executor, Resident, commands::DownloadId},
    error::Result,
    linalg,
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

/// Templates of low rank with everything that matching needs to know of them.
#[derive(Clone)]
pub struct MatchTables {
    /// Samples of a template.
    pub taps: Taps,
    /// Low-rank templates.
    pub units: Vec<Template>,
    /// Main channel of a unit.
    pub main_channel: Vec<usize>,
    /// Squared norms.
    pub norm2: Vec<f32>,
    rank: usize,
    /// Of every unit; empty once a device has them.
    factors: Vec<Factors>,
    pair_start: Vec<u32>,
    pair_unit: Vec<u32>,
}

/// A template of low rank as a product.
#[derive(Clone)]
struct Factors {
    /// `[entry, rank]`.
    spatial: Vec<f64>,
    /// `[rank, tap]`.
    temporal: Vec<f64>,
}

/// A template as a product, on all channels where it was averaged: what is moved with the tissue. To move it mixes channels, so the
/// temporal components stay as they are.
pub struct Movable {
    /// Channels, ascending.
    pub channels: Vec<u32>,
    /// `[entry, rank]`.
    pub spatial: Vec<f64>,
    /// `[rank, tap]`, orthonormal.
    pub temporal: Vec<f64>,
    /// Main channel where it is at rest.
    pub main_channel: usize,
    /// Events that were averaged, as of [`Template::n_events`].
    pub n_events: f64,
}

/// A channel stays in a template when it holds this share of its norm, but from [`MOST_KEEP`] noise deviations on always: so far
/// from a large cell's place, means show other cells' spikes as often as the cell's own.
const KEEP_SHARE: f64 = 0.05;
/// See [`KEEP_SHARE`].
const MOST_KEEP: f64 = 1.0;

/// A pair of templates interacts when its cross product can reach this share of the smaller norm.
const PAIR_SHARE: f64 = 0.15;

impl MatchTables {
    /// Low-rank approximation of `templates` (channels with a norm above `keep` noise deviations at least,
    /// components on them above half of that), and which of them interact.
    pub fn new(templates: &[Template], rank: usize, keep: f64, taps: Taps) -> Self {
        let (units, factors): (Vec<Template>, Vec<Factors>) = templates
            .par_iter()
            .map(|template| reduce(template, rank, keep, taps))
            .unzip();
        Self::of_factors(units, factors, rank, taps)
    }

    /// As [`MatchTables::new`], of templates that are products already.
    pub fn of_moved(moved: &[Movable], rank: usize, keep: f64, taps: Taps) -> Self {
        let (units, factors): (Vec<Template>, Vec<Factors>) = moved
            .par_iter()
            .map(|template| cut(template, rank, keep, taps))
            .unzip();
        Self::of_factors(units, factors, rank, taps)
    }

    /// The `templates` of which these tables were made, as products on all their channels. To be asked before [`MatchTables::free_factors`].
    pub fn movable(&self, templates: &[Template]) -> Vec<Movable> {
        templates
            .par_iter()
            .zip(&self.factors)
            .map(|(template, factors)| {
                let rows = template.waveform.chunks_exact(self.taps.n);
                let spatial = rows.flat_map(|row| {
                    factors.temporal.chunks_exact(self.taps.n).map(|component| {
                        let products = row.iter().zip(component);
                        products.map(|(&v, c)| f64::from(v) * c).sum()
                    })
                });
                Movable {
                    spatial: spatial.collect(),
                    channels: template.channels.clone(),
                    temporal: factors.temporal.clone(),
                    main_channel: template.main_channel(self.taps),
                    n_events: template.n_events,
                }
            })
            .collect()
    }

    fn of_factors(units: Vec<Template>, factors: Vec<Factors>, rank: usize, taps: Taps) -> Self {
        let norm2: Vec<f32> = units.iter().map(|unit| unit.norm2() as f32).collect();
        let neighbours: Vec<Vec<usize>> = (0..units.len())
            .into_par_iter()
            .map(|i| {
                (0..units.len())
                    .filter(|&j| {
                        let bound: f64 = units[i]
                            .shared(&units[j])
                            .map(|(a, b)| {
                                let norm = |row: &[f32]| {
                                    row.iter().map(|&v| f64::from(v * v)).sum::<f64>().sqrt()
                                };
                                norm(units[i].row(a, taps)) * norm(units[j].row(b, taps))
                            })
                            .sum();
                        j == i || bound > PAIR_SHARE * f64::from(norm2[i].min(norm2[j])).sqrt()
                    })
                    .collect()
            })
            .collect();
        let mut pair_start = vec![0u32];
        let mut pair_unit = Vec::new();
        for row in &neighbours {
            pair_unit.extend(row.iter().map(|&j| j as u32));
            pair_start.push(pair_unit.len() as u32);
        }
        Self {
            taps,
            main_channel: units.iter().map(|unit| unit.main_channel(taps)).collect(),
            norm2,
            rank,
            units,
            factors,
            pair_start,
            pair_unit,
        }
    }

    /// `[pair, 2 * taps - 1]`: how much a spike of one unit of a pair adds to the score of the other. With many units these are by
    /// far the largest of the tables.
    fn products(&self) -> Vec<f32> {
        let length = 2 * self.taps.n - 1;
        let mut products = vec![0.0f32; self.n_pairs() * length];
        // A row of pairs for each unit: those with itself and later units are summed.
        let mut rest = products.as_mut_slice();
        let mut rows: Vec<&mut [f32]> = Vec::with_capacity(self.n_units());
        for unit in 0..self.n_units() {
            let (row, later) = rest.split_at_mut(self.neighbours(unit).len() * length);
            rows.push(row);
            rest = later;
        }
        rows.into_par_iter().enumerate().for_each(|(i, row)| {
            let of = |unit: usize| (&self.units[unit], &self.factors[unit]);
            for (&j, cross) in self.neighbours(i).iter().zip(row.chunks_exact_mut(length)) {
                if j as usize >= i {
                    add_cross_products(of(i), of(j as usize), self.rank, self.taps, cross);
                }
            }
        });
        // The others are the same from the other side, backwards in time.
        for i in 0..self.n_units() {
            for (place, &j) in self.neighbours(i).iter().enumerate() {
                let j = j as usize;
                if j < i {
                    let there = self
                        .neighbours(j)
                        .binary_search(&(i as u32))
                        .expect("units interact with each other");
                    let from = (self.pair_start[j] as usize + there) * length;
                    let to = (self.pair_start[i] as usize + place) * length;
                    // The rows of earlier units lie before.
                    let (earlier, later) = products.split_at_mut(to);
                    later[..length]
                        .iter_mut()
                        .zip(earlier[from..from + length].iter().rev())
                        .for_each(|(to, &from)| *to = from);
                }
            }
        }
        products
    }

    /// Units.
    pub fn n_units(&self) -> usize {
        self.units.len()
    }

    /// Pairs of units that interact.
    pub fn n_pairs(&self) -> usize {
        self.pair_unit.len()
    }

    /// Frees what only a device needs, once it has it.
    pub fn free_factors(&mut self) {
        self.factors = Vec::new();
    }

    /// Units whose templates interact with a unit's, itself included.
    pub fn neighbours(&self, unit: usize) -> &[u32] {
        &self.pair_unit[self.pair_start[unit] as usize..self.pair_start[unit + 1] as usize]
    }
}

/// The norm that a channel of a template needs to stay in it, where that of the whole template is the square root of `norm2`.
fn keep_norm(norm2: f64, keep: f64) -> f64 {
    (KEEP_SHARE * norm2.sqrt()).clamp(keep, MOST_KEEP.max(keep))
}

/// Low-rank form of a template: the template itself, and its factors.
fn reduce(template: &Template, rank: usize, keep: f64, taps: Taps) -> (Template, Factors) {
    let norm = |entry: usize| {
        template
            .row(entry, taps)
            .iter()
            .map(|&v| f64::from(v * v))
            .sum::<f64>()
            .sqrt()
    };
    let keep = keep_norm(template.norm2(), keep);
    let mut entries: Vec<usize> = (0..template.channels.len())
        .filter(|&entry| norm(entry) > keep)
        .collect();
    if entries.is_empty() && !template.channels.is_empty() {
        entries.push(template.main_entry(taps));
    }
    let rows: Vec<f64> = entries
        .iter()
        .flat_map(|&entry| template.row(entry, taps).iter().map(|&v| f64::from(v)))
        .collect();
    let (spatial, temporal) = linalg::low_rank(&rows, entries.len(), taps.n, rank);
    let channels = entries
        .iter()
        .map(|&entry| template.channels[entry])
        .collect();
    let factors = Factors { spatial, temporal };
    product(channels, factors, template.n_events, rank, keep, taps)
}

/// The channels of a product that stay in it, as a template and its factors.
fn cut(template: &Movable, rank: usize, keep: f64, taps: Taps) -> (Template, Factors) {
    // Temporal components have a norm of 1.
    let rows = template.spatial.chunks_exact(rank);
    let norm2: Vec<f64> = rows
        .clone()
        .map(|row| row.iter().map(|w| w * w).sum())
        .collect();
    let keep = keep_norm(norm2.iter().sum(), keep);
    let loudest = norm2.iter().copied().fold(0.0, f64::max);
    let is_kept = |norm2: f64| norm2 > keep * keep || norm2 == loudest;
    let kept = rows
        .zip(&template.channels)
        .zip(&norm2)
        .filter(|(_, norm2)| is_kept(**norm2));
    let (mut channels, mut spatial) = (Vec::new(), Vec::new());
    for ((row, &channel), _) in kept {
        channels.push(channel);
        spatial.extend_from_slice(row);
    }
    let temporal = template.temporal.clone();
    let factors = Factors { spatial, temporal };
    product(channels, factors, template.n_events, rank, keep, taps)
}

/// A template out of its factors, without weights below half of `keep`.
fn product(
    channels: Vec<u32>,
    mut factors: Factors,
    n_events: f64,
    rank: usize,
    keep: f64,
    taps: Taps,
) -> (Template, Factors) {
    // Right vectors have a norm of 1, so that a weight is its component's norm on the channel.
    for weight in factors
        .spatial
        .iter_mut()
        .filter(|weight| weight.abs() < 0.5 * keep)
    {
        *weight = 0.0;
    }
    let mut waveform = vec![0.0f32; channels.len() * taps.n];
    for (row, spatial) in waveform
        .chunks_exact_mut(taps.n)
        .zip(factors.spatial.chunks_exact(rank))
    {
        for (&weight, temporal) in spatial.iter().zip(factors.temporal.chunks_exact(taps.n)) {
            row.iter_mut()
                .zip(temporal)
                .for_each(|(to, from)| *to += (weight * from) as f32);
        }
    }
    let template = Template {
        channels,
        waveform,
        n_events,
    };
    (template, factors)
}

/// Adds `cross[d + taps - 1] = sum_c sum_l a[c, l + d] * b[c, l]`: how much a spike of `a` adds to the score of `b` that
/// starts `d` samples later.
fn add_cross_products(
    a: (&Template, &Factors),
    b: (&Template, &Factors),
    rank: usize,
    taps: Taps,
    cross: &mut [f32],
) {
    let n = taps.n;
    let mut mixing = vec![0.0f64; rank * rank];
    for (i, j) in a.0.shared(b.0) {
        for r in 0..rank {
            for s in 0..rank {
                mixing[r * rank + s] += a.1.spatial[i * rank + r] * b.1.spatial[j * rank + s];
            }
        }
    }
    let (mut left, mut right) = (padded(n), vec![0.0f32; n]);
    let mut mixed = vec![0.0f64; n];
    for r in 0..rank {
        // The right side summed first: one correlation a rank instead of one a pair of ranks.
        mixed.fill(0.0);
        for s in 0..rank {
            let weight = mixing[r * rank + s];
            let component = &b.1.temporal[s * n..(s + 1) * n];
            mixed
                .iter_mut()
                .zip(component)
                .for_each(|(sum, &value)| *sum += weight * value);
        }
        let single = |to: &mut [f32], from: &[f64]| {
            to.iter_mut().zip(from).for_each(|(to, &v)| *to = v as f32);
        };
        single(
            &mut left[n - 1..2 * n - 1],
            &a.1.temporal[r * n..(r + 1) * n],
        );
        single(&mut right, &mixed);
        add_correlation(&left, &right, cross);
    }
}

/// Lags that are summed in registers.
const LAGS: usize = 32;

/// Room for `n` samples from `n - 1` on, with zeros on either side: all lags of a piece then take the same samples of the right side.
fn padded(n: usize) -> Vec<f32> {
    vec![0.0; 3 * n + LAGS]
}

/// Adds the correlation of two signals of equal length `n`, the left one [`padded`]:
/// `cross[d + n - 1] += sum_l left[l + d] * right[l]`.
#[multiversion::multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
fn add_correlation(left: &[f32], right: &[f32], cross: &mut [f32]) {
    let n = right.len();
    for (piece, cross) in cross.chunks_mut(LAGS).enumerate() {
        let first = piece * LAGS;
        let mut sums = [0.0f32; LAGS];
        sums[..cross.len()].copy_from_slice(cross);
        // Samples that meet the left side at one lag of the piece or another.
        let range = (n - 1).saturating_sub(first + LAGS - 1)..n.min(2 * n - 1 - first);
        for (l, &right) in range.clone().zip(&right[range]) {
            let left = &left[first + l..first + l + LAGS];
            sums.iter_mut()
                .zip(left)
                .for_each(|(sum, &left)| *sum += left * right);
        }
        let own = cross.len();
        cross.copy_from_slice(&sums[..own]);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cross_products_equal_a_direct_sum() {
        let taps = Taps { n: 12, before: 4 };
        let template = |seed: u32, channels: Vec<u32>| {
            let waveform = (0..channels.len() * taps.n)
                .map(|i| ((i as u32 * 7 + seed * 13) % 11) as f32 - 5.0)
                .collect();
            Template {
                channels,
                waveform,
                n_events: 100.0,
            }
        };
        let tables = MatchTables::new(
            &[template(1, vec![0, 1, 2]), template(2, vec![1, 2, 5])],
            3,
            0.0,
            taps,
        );
        let products = tables.products();
        for i in 0..2 {
            for (k, &j) in tables.neighbours(i).iter().enumerate() {
                let (a, b) = (&tables.units[i], &tables.units[j as usize]);
                for d in -(taps.n as i64 - 1)..taps.n as i64 {
                    let mut want = 0.0;
                    for (x, y) in a.shared(b) {
                        for l in 0..taps.n as i64 {
                            if (0..taps.n as i64).contains(&(l + d)) {
                                want +=
                                    a.row(x, taps)[(l + d) as usize] * b.row(y, taps)[l as usize];
                            }
                        }
                    }
                    let pair = tables.pair_start[i] as usize + k;
                    let got = products[pair * (2 * taps.n - 1) + (d + taps.n as i64 - 1) as usize];
                    assert!((got - want).abs() < 1e-2, "{i} {j} {d}: {got} {want}");
                }
            }
        }
    }
}
