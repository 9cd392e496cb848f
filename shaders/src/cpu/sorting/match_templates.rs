//! Twin of `wgsl/sorting/match_templates.wgsl`: which units fired when, overlaps resolved.
//!
//! Greedy matching pursuit: again and again the spike that raises the log posterior most is taken and its template
//! subtracted from the scores of all units that share channels with it. The amplitude has the prior
//! N(1, 1 / precision) within bounds, and a unit does not fire twice within its refractory period. Greedy choices
//! leave ghosts and swaps where spikes overlap, so re-decision sweeps follow: each spike is taken out and the best
//! unit and time chosen again, given all others. On the open sets the sweeps are worth 0.04 to 0.07 in accuracy.
//!
//! One block is one sequence of decisions, so that GPU (one workgroup a block) and CPU decide alike.

use crate::{
    cpu::{Buffer, params},
    layout::{MATCH_TILE, MatchTemplatesParams},
};

/// An amplitude that a sweep would change by no more than this is left as it is, and with it the scores.
const SETTLED: f32 = 0.002;

/// Per unit tables, all in the whitened space.
#[derive(Clone, Copy)]
pub struct MatchTables<'a> {
    /// Squared norm of the template, `[unit]`.
    pub norm: &'a [f32],
    /// Precision of the amplitude prior, `[unit]`.
    pub precision: &'a [f32],
    /// Smallest score whose gain passes the threshold, `[unit]`.
    pub score_min: &'a [f32],
    /// The neighbours of unit `u` are pairs `pair_start[u]..pair_start[u + 1]`, `[unit + 1]`; `u` is one of them.
    pub pair_start: &'a [u32],
    /// The neighbour of a pair.
    pub pair_unit: &'a [u32],
    /// `cross[pair, d + taps - 1] = sum_c sum_l template_u[c, l + d] * template_v[c, l]`, `[pair, 2 * taps - 1]`.
    pub cross: &'a [f32],
}

/// Scratch of one block.
pub struct MatchScratch<'a> {
    /// Packed counters, one byte a unit and start sample, all 0: accepted spikes that keep this unit silent here.
    pub blocked: &'a mut [u32],
    /// Largest gain of a tile and unit, `[tile, unit]`.
    pub tile_gain: &'a mut [f32],
    /// Start sample of that gain, `[tile, unit]`.
    pub tile_time: &'a mut [u32],
}

/// Gain of the log posterior when a spike with score `b` is added, and its amplitude.
#[inline(always)]
pub fn gain_and_amplitude(
    b: f32,
    norm: f32,
    precision: f32,
    amplitude_min: f32,
    amplitude_max: f32,
) -> (f32, f32) {
    let a = ((b + precision) / (norm + precision))
        .max(amplitude_min)
        .min(amplitude_max);
    let off = a - 1.0;
    (a * b - 0.5 * a * a * norm - 0.5 * off * off * precision, a)
}

/// Matches the blocks of `scores` `[block, unit, time]`, which are consumed.
///
/// An entry of `spikes` `[block, capacity, 4]` is start sample in the window, unit, amplitude and gain (bits of
/// `f32`), sorted by start sample, then unit. `count[block]` more than `capacity` means that the list overflowed.
pub fn match_templates(
    p: &MatchTemplatesParams,
    scores: &mut [f32],
    tables: MatchTables<'_>,
    scratch: MatchScratch<'_>,
    spikes: &mut [u32],
    count: &mut [u32],
) {
    let (units, samples) = (p.n_units as usize, p.n_samples as usize);
    let tiles = p.n_tiles as usize;
    let capacity = p.capacity as usize;
    for block in 0..p.n_blocks as usize {
        let mut matcher = Matcher {
            p,
            tables,
            scores: &mut scores[block * units * samples..(block + 1) * units * samples],
            blocked: bytemuck::cast_slice_mut(
                &mut scratch.blocked
                    [block * units * samples / 4..(block + 1) * units * samples / 4],
            ),
            tile_gain: &mut scratch.tile_gain[block * tiles * units..(block + 1) * tiles * units],
            tile_time: &mut scratch.tile_time[block * tiles * units..(block + 1) * tiles * units],
            tile_best: vec![(0.0, 0); tiles],
            found: Vec::new(),
        };
        let spikes = &mut spikes[block * capacity * 4..(block + 1) * capacity * 4];
        if !matcher.pursue(capacity) {
            count[block] = p.capacity + 1;
            continue;
        }
        for sweep in 0..p.sweeps {
            matcher.decide_again(sweep);
        }
        let mut found: Vec<Spike> = matcher
            .found
            .into_iter()
            .filter(|spike| spike.amplitude > 0.0)
            .collect();
        found.sort_by_key(|spike| (spike.time, spike.unit));
        count[block] = found.len() as u32;
        for (entry, spike) in spikes.chunks_exact_mut(4).zip(&found) {
            entry.copy_from_slice(&[
                spike.time,
                spike.unit,
                spike.amplitude.to_bits(),
                spike.gain.to_bits(),
            ]);
        }
    }
}

#[derive(Clone, Copy)]
struct Spike {
    time: u32,
    unit: u32,
    /// 0 once a sweep has dropped it.
    amplitude: f32,
    gain: f32,
}

struct Matcher<'a> {
    p: &'a MatchTemplatesParams,
    tables: MatchTables<'a>,
    scores: &'a mut [f32],
    blocked: &'a mut [u8],
    tile_gain: &'a mut [f32],
    tile_time: &'a mut [u32],
    /// Largest gain of a tile over the units, and the unit.
    tile_best: Vec<(f32, u32)>,
    found: Vec<Spike>,
}

impl Matcher<'_> {
    fn pairs(&self, unit: u32) -> std::ops::Range<usize> {
        self.tables.pair_start[unit as usize] as usize
            ..self.tables.pair_start[unit as usize + 1] as usize
    }

    fn gain(&self, unit: usize, b: f32) -> (f32, f32) {
        gain_and_amplitude(
            b,
            self.tables.norm[unit],
            self.tables.precision[unit],
            self.p.amplitude_min,
            self.p.amplitude_max,
        )
    }

    /// Takes spikes until no gain passes the threshold; false when the list is full.
    fn pursue(&mut self, capacity: usize) -> bool {
        let (units, tiles) = (self.p.n_units, self.p.n_tiles as usize);
        for tile in 0..tiles {
            for unit in 0..units as usize {
                self.rescan(unit, tile);
            }
            self.best_of_tile(tile);
        }
        loop {
            let (mut gain, mut best) = (self.p.threshold, None);
            for (tile, &(tile_gain, _)) in self.tile_best.iter().enumerate() {
                if tile_gain > gain {
                    (gain, best) = (tile_gain, Some(tile));
                }
            }
            let Some(tile) = best else { return true };
            if self.found.len() == capacity {
                return false;
            }
            let unit = self.tile_best[tile].1;
            let time = self.tile_time[tile * units as usize + unit as usize];
            let b = self.scores[unit as usize * self.p.n_samples as usize + time as usize];
            let (gain, amplitude) = self.gain(unit as usize, b);
            self.found.push(Spike {
                time,
                unit,
                amplitude,
                gain,
            });
            self.subtract(unit, time, amplitude);
            self.block(unit, time, true);
            let reach = self.p.n_taps.max(self.p.refractory + 1);
            let first = (time.saturating_sub(reach) / MATCH_TILE) as usize;
            let last = ((time + reach) / MATCH_TILE).min(self.p.n_tiles - 1) as usize;
            for pair in self.pairs(unit) {
                self.rescan_tiles(self.tables.pair_unit[pair] as usize, first, last);
            }
            for tile in first..=last {
                self.best_of_tile(tile);
            }
        }
    }

    /// Looks for the largest gain of one unit in each of some tiles: mostly there is none in any.
    fn rescan_tiles(&mut self, unit: usize, first: usize, last: usize) {
        let (samples, units) = (self.p.n_samples as usize, self.p.n_units as usize);
        let tile = MATCH_TILE as usize;
        let row = &self.scores[unit * samples..(unit + 1) * samples];
        let stretch = &row[first * tile..((last + 1) * tile).min(samples)];
        if any_above(stretch, self.tables.score_min[unit]) {
            for tile in first..=last {
                self.rescan(unit, tile);
            }
        } else {
            for tile in first..=last {
                self.tile_gain[tile * units + unit] = 0.0;
            }
        }
    }

    /// Looks for the largest gain of one unit in one tile.
    fn rescan(&mut self, unit: usize, tile: usize) {
        let samples = self.p.n_samples as usize;
        let from = (tile * MATCH_TILE as usize).max(self.p.first.max(1) as usize);
        let to = ((tile + 1) * MATCH_TILE as usize).min((self.p.last as usize).min(samples - 1));
        let slot = tile * self.p.n_units as usize + unit;
        self.tile_gain[slot] = 0.0;
        if from >= to {
            return;
        }
        let row = &self.scores[unit * samples..(unit + 1) * samples];
        let low = self.tables.score_min[unit];
        if !any_above(&row[from..to], low) {
            return;
        }
        for t in from..to {
            let b = row[t];
            if b > low && b >= row[t - 1] && b > row[t + 1] && self.blocked[unit * samples + t] == 0
            {
                let (gain, _) = self.gain(unit, b);
                if gain > self.tile_gain[slot] {
                    self.tile_gain[slot] = gain;
                    self.tile_time[slot] = t as u32;
                }
            }
        }
    }

    fn best_of_tile(&mut self, tile: usize) {
        let units = self.p.n_units as usize;
        let mut best = (0.0, 0);
        for (unit, &gain) in self.tile_gain[tile * units..(tile + 1) * units]
            .iter()
            .enumerate()
        {
            if gain > best.0 {
                best = (gain, unit as u32);
            }
        }
        self.tile_best[tile] = best;
    }

    /// Subtracts a spike from the scores of all its neighbours (adds it back when `amplitude` is negative).
    fn subtract(&mut self, unit: u32, time: u32, amplitude: f32) {
        let (samples, taps) = (self.p.n_samples as usize, self.p.n_taps as usize);
        let lags = 2 * taps - 1;
        let from = (time as usize + 1).saturating_sub(taps);
        let to = (time as usize + taps).min(samples);
        let skip = from + taps - 1 - time as usize;
        for pair in self.pairs(unit) {
            let neighbour = self.tables.pair_unit[pair] as usize;
            let row = &mut self.scores[neighbour * samples + from..neighbour * samples + to];
            let cross = &self.tables.cross[pair * lags + skip..pair * lags + skip + (to - from)];
            subtract_scaled(row, cross, amplitude);
        }
    }

    /// Counts a spike in, or out of, the refractory period of its unit.
    fn block(&mut self, unit: u32, time: u32, add: bool) {
        let samples = self.p.n_samples as usize;
        let from = time.saturating_sub(self.p.refractory) as usize;
        let to = ((time + self.p.refractory) as usize + 1).min(samples);
        for count in &mut self.blocked[unit as usize * samples + from..unit as usize * samples + to]
        {
            *count = if add { *count + 1 } else { *count - 1 };
        }
    }

    /// One sweep: every spike is chosen again, or dropped, as if it were not there. The first sweep goes from the weakest to
    /// the strongest, so that ghosts go before they can push a true spike; the others go through time.
    fn decide_again(&mut self, sweep: u32) {
        let mut order: Vec<usize> = (0..self.found.len()).collect();
        if sweep == 0 {
            order.sort_by(|&a, &b| {
                self.found[a]
                    .gain
                    .total_cmp(&self.found[b].gain)
                    .then(a.cmp(&b))
            });
        } else {
            order.sort_by_key(|&i| (self.found[i].time, i));
        }
        for i in order {
            let spike = self.found[i];
            if spike.amplitude <= 0.0 {
                continue;
            }
            let best = self.best_instead_of(spike);
            let is_moved = (best.unit, best.time) != (spike.unit, spike.time);
            if best.amplitude <= 0.0 || is_moved {
                self.subtract(spike.unit, spike.time, -spike.amplitude);
                self.block(spike.unit, spike.time, false);
                if best.amplitude > 0.0 {
                    self.subtract(best.unit, best.time, best.amplitude);
                    self.block(best.unit, best.time, true);
                }
            } else if (best.amplitude - spike.amplitude).abs() > SETTLED {
                self.subtract(spike.unit, spike.time, best.amplitude - spike.amplitude);
            } else {
                continue;
            }
            self.found[i] = best;
        }
    }

    /// The best unit and time near a spike if that spike were not there; amplitude 0 when none passes the threshold.
    fn best_instead_of(&self, spike: Spike) -> Spike {
        let (samples, taps) = (self.p.n_samples as usize, self.p.n_taps as usize);
        let lags = 2 * taps - 1;
        let time = spike.time as usize;
        // No further than products reach.
        let jitter = self.p.jitter.min(self.p.n_taps - 1);
        let from = spike.time.saturating_sub(jitter).max(self.p.first) as usize;
        let to = ((spike.time + jitter) as usize + 1).min(self.p.last as usize);
        let to = to.max(from);
        let skip = (from + taps - 1).saturating_sub(time);
        let mut best = Spike {
            gain: self.p.threshold,
            amplitude: 0.0,
            ..spike
        };
        for pair in self.pairs(spike.unit) {
            let unit = self.tables.pair_unit[pair] as usize;
            let low = self.tables.score_min[unit];
            let cross = &self.tables.cross[pair * lags + skip..pair * lags + skip + (to - from)];
            let scores = &self.scores[unit * samples + from..unit * samples + to];
            if !any_above_with(scores, cross, spike.amplitude, low) {
                continue;
            }
            for (t, (score, own)) in (from..to).zip(scores.iter().zip(cross)) {
                let b = score + spike.amplitude * own;
                if b <= low {
                    continue;
                }
                let is_own =
                    unit == spike.unit as usize && t.abs_diff(time) <= self.p.refractory as usize;
                if self.blocked[unit * samples + t] == u8::from(is_own) {
                    let (gain, amplitude) = self.gain(unit, b);
                    if gain > best.gain {
                        best = Spike {
                            time: t as u32,
                            unit: unit as u32,
                            amplitude,
                            gain,
                        };
                    }
                }
            }
        }
        best
    }
}

#[multiversion::multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
fn any_above(values: &[f32], low: f32) -> bool {
    let mut above = false;
    for &value in values {
        above |= value > low;
    }
    above
}

/// [`any_above`] once `amplitude` of `cross` is added back.
#[multiversion::multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
fn any_above_with(values: &[f32], cross: &[f32], amplitude: f32, low: f32) -> bool {
    let mut above = false;
    for (value, cross) in values.iter().zip(cross) {
        above |= value + amplitude * cross > low;
    }
    above
}

#[multiversion::multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
fn subtract_scaled(row: &mut [f32], cross: &[f32], amplitude: f32) {
    for (value, &cross) in row.iter_mut().zip(cross) {
        *value -= amplitude * cross;
    }
}

/// Binding order: scores, unit_table (norm, precision, score_min of every unit), pair_start, pair_unit, cross, scratch
/// (blocked, tile_gain, tile_time), spikes, count: eight, as many as every device has.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [
        scores,
        unit_table,
        pair_start,
        pair_unit,
        cross,
        scratch,
        spikes,
        count,
    ] = buffers
    else {
        panic!("match_templates takes 8 bindings")
    };
    let p: MatchTemplatesParams = params(bytes);
    let units = p.n_units as usize;
    let unit_table = unit_table.f32();
    let (blocked, rest) = scratch
        .u32_mut()
        .split_at_mut((p.n_blocks * p.n_units * p.n_samples / 4) as usize);
    let (tile_gain, tile_time) = rest.split_at_mut((p.n_blocks * p.n_tiles * p.n_units) as usize);
    let tables = MatchTables {
        norm: &unit_table[..units],
        precision: &unit_table[units..2 * units],
        score_min: &unit_table[2 * units..3 * units],
        pair_start: pair_start.u32(),
        pair_unit: pair_unit.u32(),
        cross: cross.f32(),
    };
    let scratch = MatchScratch {
        blocked,
        tile_gain: bytemuck::cast_slice_mut(tile_gain),
        tile_time,
    };
    match_templates(
        &p,
        scores.f32_mut(),
        tables,
        scratch,
        spikes.u32_mut(),
        count.u32_mut(),
    );
}
