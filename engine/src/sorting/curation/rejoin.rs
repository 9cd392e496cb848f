//! Splits that drift made, rejoined.
//!
//! A waveform changes as the tissue moves past the contacts, most for cells near the probe, and clustering takes the
//! two ends of the way for two cells. They give themselves away: each is silent exactly at the displacements at which
//! the other fires. Two neighbours that really are two cells both fire at all displacements.

use crate::{
    sorting::{
        clustering::refractory::{Evidence, RefractoryTest},
        geometry::Geometry,
        motion::interpolation::Correction,
        template_matching::MatchTables,
        templates::cosine,
    },
    stream::Block,
};

/// Width of a displacement bin, µm.
const BIN_UM: f64 = 2.0;
/// Smallest cosine of two templates that may be one cell's.
const MIN_COSINE: f64 = 0.5;
/// Largest share of the shorter presence that may fall on displacements where the other fires too.
const MAX_OVERLAP: f64 = 0.5;
/// Main channels of one cell are no further apart than this, µm.
const MAX_DISTANCE_UM: f64 = 60.0;

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

/// For every unit the unit that it is a part of (itself, if none); `kept` says which units count.
///
/// Pairs are joined from the most alike to the least, and a joined unit is judged by all its spikes.
pub fn rejoin(
    tables: &MatchTables,
    trains: &[Vec<i64>],
    kept: &[bool],
    blocks: &[Block],
    correction: &Correction,
    geometry: &Geometry,
    test: &RefractoryTest,
    sampling_frequency_hz: f64,
) -> Vec<usize> {
    let n = tables.n_units();
    let mut part_of: Vec<usize> = (0..n).collect();
    let depth = |u: usize| geometry.contacts[tables.main_channel[u]].y_um;
    let bin = |um: f64| (um / BIN_UM).round() as i64;
    let mut pairs: Vec<(f64, usize, usize)> = Vec::new();
    for a in (0..n).filter(|&a| kept[a]) {
        for b in (a + 1..n).filter(|&b| kept[b]) {
            if geometry.distance_um(tables.main_channel[a], tables.main_channel[b])
                <= MAX_DISTANCE_UM
            {
                let alike = cosine(
                    &tables.units[a],
                    &tables.units[b],
                    test.from / 4,
                    tables.taps,
                );
                if alike >= MIN_COSINE {
                    pairs.push((alike, a, b));
                }
            }
        }
    }
    pairs.sort_by(|x, y| y.0.total_cmp(&x.0).then((x.1, x.2).cmp(&(y.1, y.2))));
    // Displacements of all blocks at a unit's depth; a unit's spikes are counted where its blocks were.
    let shifts = |u: usize| -> Vec<i64> {
        blocks
            .iter()
            .map(|block| bin(correction.displacement_um(block, depth(u))))
            .collect()
    };
    let mut trains: Vec<Vec<i64>> = trains.to_vec();
    for (_, a, b) in pairs {
        let (a, b) = (root(&part_of, a), root(&part_of, b));
        if a == b {
            continue;
        }
        let larger = if trains[a].len() >= trains[b].len() {
            a
        } else {
            b
        };
        let shift = shifts(larger);
        let first = shift.iter().copied().min().unwrap_or(0);
        let bins = (shift.iter().copied().max().unwrap_or(0) - first + 1) as usize;
        let mut seconds = vec![0.0; bins];
        for (block, &shift) in blocks.iter().zip(&shift) {
            seconds[(shift - first) as usize] += block.n_samples as f64 / sampling_frequency_hz;
        }
        let presence = |train: &[i64]| {
            let mut spikes = vec![0.0; bins];
            for &sample in train {
                let block = blocks
                    .partition_point(|block| block.start as i64 <= sample)
                    .saturating_sub(1);
                spikes[(shift[block] - first) as usize] += 1.0;
            }
            Presence { spikes }
        };
        if overlap(&presence(&trains[a]), &presence(&trains[b]), &seconds) > MAX_OVERLAP
            || test.compare(&trains[a], &trains[b]) == Evidence::TwoCells
        {
            continue;
        }
        let smaller = a + b - larger;
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
