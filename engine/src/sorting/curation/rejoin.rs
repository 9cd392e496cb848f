//! Splits of one cell, rejoined.
//!
//! Four things split a cell. A waveform changes as the tissue moves past the contacts, most for cells near the probe, and
//! clustering takes the two ends of the way for two cells. They give themselves away: each is silent exactly at the
//! displacements at which the other fires. Two neighbours that really are two cells both fire at all displacements.
//!
//! And a cell far above the noise is split by where its spikes fall between two samples. Matching is better for it (each
//! part leaves less of a spike behind), so that such parts are kept until here, where templates that differ by a part of a
//! sample and by amplitude alone become one unit.
//!
//! Other cells' spikes split off those that they fall upon: a few spikes whose mean is off by what lies beneath. Such a mean is the
//! cell's to a hundredth, in shape and size.
//!
//! Noise splits a weak cell with two poles: an event is found at the pole where noise added to it. Where the two parts
//! together keep one refractory period that two cells could not, they are one.

use crate::{
    sorting::{
        clustering::refractory::{Evidence, RefractoryTest},
        geometry::Geometry,
        match_tables::MatchTables,
        motion::interpolation::Correction,
        templates::{MIN_COSINE, cosine, distance_between_samples},
    },
    stream::Block,
};

/// Width of a displacement bin, µm.
const BIN_UM: f64 = 2.0;
/// Largest share of the shorter presence that may fall on displacements where the other fires too.
const MAX_OVERLAP: f64 = 0.5;
/// Main channels of one cell are no further apart than this, µm.
const MAX_DISTANCE_UM: f64 = 100.0;
/// Cosine from which a template of like size is that of a part of the cell, not of a neighbour.
const SAME_COSINE: f64 = 0.99;
/// Such a part has no more than this share of the cell's spikes.
const MAX_PART: f64 = 0.25;

/// Firing of a unit over displacement.
#[derive(Clone)]
struct Presence {
    spikes: Vec<f64>,
}

impl Presence {
    /// Rate over displacement, relative to its largest value (of bins with enough time), smoothed over three bins.
    fn profile(&self, seconds: &[f64]) -> Vec<f64> {
        let smooth = |values: &[f64], i: usize| {
            let (low, high) = (i.saturating_sub(1), (i + 1).min(values.len() - 1));
            values[low..=high].iter().sum::<f64>()
        };
        let rate: Vec<f64> = (0..seconds.len())
            .map(|i| {
                let time = smooth(seconds, i);
                if time > 0.0 {
                    smooth(&self.spikes, i) / time
                } else {
                    0.0
                }
            })
            .collect();
        let largest = rate.iter().copied().fold(1e-12, f64::max);
        rate.into_iter().map(|rate| rate / largest).collect()
    }
}

/// Share of the shorter presence in which both fire.
fn overlap(a: &Presence, b: &Presence, seconds: &[f64]) -> f64 {
    let (a, b) = (a.profile(seconds), b.profile(seconds));
    let total = |profile: &[f64]| profile.iter().zip(seconds).map(|(p, s)| p * s).sum::<f64>();
    let both: f64 = a
        .iter()
        .zip(&b)
        .zip(seconds)
        .map(|((a, b), s)| a.min(*b) * s)
        .sum();
    both / total(&a).min(total(&b)).max(1e-12)
}

/// What tells parts of a cell from two cells.
pub struct JoinRule<'a> {
    /// Templates nearer than this that differ only between samples are one unit, noise deviations.
    pub min_distance: f64,
    /// Standard deviation of the amplitude.
    pub amplitude_sigma: f64,
    /// Correction of motion, where there was any.
    pub correction: Option<&'a Correction>,
    /// Blocks of the recording.
    pub blocks: &'a [Block],
    /// Samples a second.
    pub sampling_frequency_hz: f64,
}

impl JoinRule<'_> {
    /// Whether two trains of cells at `depth_um` fire at different displacements.
    fn apart(&self, a: &[i64], b: &[i64], depth_um: f64) -> bool {
        let Some(correction) = self.correction else {
            return false;
        };
        let shift: Vec<i64> = self
            .blocks
            .iter()
            .map(|block| (correction.displacement_um(block, depth_um) / BIN_UM).round() as i64)
            .collect();
        let first = shift.iter().copied().min().unwrap_or(0);
        let bins = (shift.iter().copied().max().unwrap_or(0) - first + 1) as usize;
        let mut seconds = vec![0.0; bins];
        for (block, &shift) in self.blocks.iter().zip(&shift) {
            seconds[(shift - first) as usize] +=
                block.n_samples as f64 / self.sampling_frequency_hz;
        }
        let presence = |train: &[i64]| {
            let mut spikes = vec![0.0; bins];
            for &sample in train {
                let block = self
                    .blocks
                    .partition_point(|block| block.start as i64 <= sample)
                    .saturating_sub(1);
                spikes[(shift[block] - first) as usize] += 1.0;
            }
            Presence { spikes }
        };
        overlap(&presence(a), &presence(b), &seconds) <= MAX_OVERLAP
    }
}

/// For every unit the unit that it is a part of (itself, if none); `kept` says which units count.
///
/// Pairs are joined from the most alike to the least, and a joined unit is judged by all its spikes.
pub fn rejoin(
    tables: &MatchTables,
    trains: &[Vec<i64>],
    kept: &[bool],
    geometry: &Geometry,
    rule: &JoinRule<'_>,
    test: &RefractoryTest,
) -> Vec<usize> {
    let n = tables.n_units();
    let max_lag = test.from / 4;
    let (units, main) = (&tables.units, &tables.main_channel);
    let mut pairs: Vec<(f64, usize, usize)> = Vec::new();
    for a in (0..n).filter(|&a| kept[a]) {
        for b in (a + 1..n).filter(|&b| kept[b]) {
            if geometry.distance_um(main[a], main[b]) <= MAX_DISTANCE_UM {
                let (alike, _) = cosine(&units[a], &units[b], test.from, tables.taps);
                if alike >= MIN_COSINE {
                    pairs.push((alike, a, b));
                }
            }
        }
    }
    pairs.sort_by(|x, y| y.0.total_cmp(&x.0).then((x.1, x.2).cmp(&(y.1, y.2))));
    let mut part_of: Vec<usize> = (0..n).collect();
    let mut trains: Vec<Vec<i64>> = trains.to_vec();
    for (alike, i, j) in pairs {
        let (a, b) = (root(&part_of, i), root(&part_of, j));
        if a == b {
            continue;
        }
        let (larger, smaller) = if trains[a].len() >= trains[b].len() {
            (a, b)
        } else {
            (b, a)
        };
        let (a, b) = (&trains[larger], &trains[smaller]);
        let between_samples = || {
            let d = distance_between_samples(
                &units[i],
                &units[j],
                rule.amplitude_sigma,
                max_lag,
                tables.taps,
            );
            d < rule.min_distance
        };
        let of_overlaps = || {
            let ratio = f64::from(tables.norm2[i] / tables.norm2[j]).sqrt();
            alike >= SAME_COSINE
                && (ratio - 1.0).abs() <= rule.amplitude_sigma
                && b.len() as f64 <= MAX_PART * a.len() as f64
        };
        let one_cell = test.is_surely_one_cell(a, b)
            || (test.compare(a, b) != Evidence::TwoCells
                && (of_overlaps()
                    || between_samples()
                    || rule.apart(a, b, geometry.contacts[main[larger]].y_um)));
        if !one_cell {
            continue;
        }
        part_of[smaller] = larger;
        let moved = std::mem::take(&mut trains[smaller]);
        trains[larger].extend(moved);
        trains[larger].sort_unstable();
    }
    (0..n).map(|u| root(&part_of, u)).collect()
}

fn root(part_of: &[usize], mut u: usize) -> usize {
    while part_of[u] != u {
        u = part_of[u];
    }
    u
}

/// Drops from a joined train the spikes that two of its parts found both, `within` samples of one another; `spikes` are
/// (sample, row) in order of time.
pub fn without_doubles(spikes: &[(i64, u64)], within: i64) -> Vec<(i64, u64)> {
    let mut kept: Vec<(i64, u64)> = Vec::with_capacity(spikes.len());
    for &spike in spikes {
        if kept.last().is_none_or(|last| spike.0 - last.0 > within) {
            kept.push(spike);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        recording::Contact,
        sorting::{
            clustering::random::Random,
            templates::{Taps, Template},
        },
    };

    #[test]
    fn parts_of_a_large_cell_are_joined_and_like_neighbours_are_not() {
        let taps = Taps { n: 60, before: 20 };
        let spike = |offset: f32, width: f32| Template {
            channels: vec![0],
            waveform: (0..taps.n)
                .map(|t| -30.0 * (-((t as f32 - 20.0 - offset) / width).powi(2)).exp())
                .collect(),
            n_events: 500.0,
        };
        let geometry = Geometry {
            contacts: vec![Contact {
                x_um: 0.0,
                y_um: 0.0,
                shank: 0,
            }],
        };
        let mut random = Random(1);
        let mut train = || -> Vec<i64> {
            let mut t = 0;
            (0..300)
                .map(|_| {
                    t += 120 + (-(1.0 - random.uniform()).ln() * 12_000.0) as i64;
                    t
                })
                .collect()
        };
        let trains = [train(), train(), train()];
        let test = RefractoryTest::new(30000.0, 4_000_000);
        let rule = JoinRule {
            min_distance: 2.5,
            amplitude_sigma: 0.1,
            correction: None,
            blocks: &[],
            sampling_frequency_hz: 30000.0,
        };
        let templates = [spike(0.0, 3.0), spike(0.4, 3.0), spike(0.0, 4.0)];
        let tables = MatchTables::new(&templates, 3, 0.5, taps);
        let joined = rejoin(&tables, &trains, &[true; 3], &geometry, &rule, &test);
        assert_eq!(joined, [0, 0, 2]);
        // A few spikes on which others fall: the same but for what lies beneath. As many as the cell's are another cell's.
        let mut beneath = spike(0.0, 3.0);
        for (t, value) in beneath.waveform.iter_mut().enumerate().skip(30).take(12) {
            *value += 1.5 * (t as f32 - 35.5).signum();
        }
        let tables = MatchTables::new(&[spike(0.0, 3.0), beneath], 3, 0.5, taps);
        for (n, want) in [(40, [0, 0]), (300, [0, 1])] {
            let trains = [trains[0].clone(), trains[1][..n].to_vec()];
            let joined = rejoin(&tables, &trains, &[true; 2], &geometry, &rule, &test);
            assert_eq!(joined, want, "{n} spikes");
        }
    }
}
