//! Which units are kept: no satellites, no periodic artefacts, no weak units that break refractoriness.

pub mod rejoin;

use super::{clustering::refractory::pairs, match_tables::MatchTables, template_matching::Spike};
use crate::parameters::sorting::{Clustering, Curation};

/// Why a unit was dropped.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Dropped {
    /// Too few spikes.
    Few,
    /// Template too weak.
    Weak,
    /// Locked to a larger unit: a part of its waveform.
    Satellite,
    /// Half of its intervals are the same: an artefact.
    Periodic,
    /// Weak, and fires in its own refractory period.
    Violations,
}

/// What becomes of every unit, `None` for those that are kept.
///
/// `spikes` are in order of time.
pub fn judge(
    tables: &MatchTables,
    spikes: &[Spike],
    curation: &Curation,
    clustering: &Clustering,
    sampling_frequency_hz: f64,
    n_samples: u64,
) -> Vec<Option<Dropped>> {
    let samples = |ms: f64| (ms * sampling_frequency_hz / 1000.0).round() as i64;
    let trains = trains(spikes, tables.n_units());
    let norm = |u: usize| f64::from(tables.norm2[u]).sqrt();
    let mut order: Vec<usize> = (0..tables.n_units()).collect();
    order.sort_by(|&a, &b| tables.norm2[b].total_cmp(&tables.norm2[a]).then(a.cmp(&b)));
    let mut verdict = vec![None; tables.n_units()];
    let mut kept: Vec<usize> = Vec::new();
    for u in order {
        let train = &trains[u];
        let intervals: Vec<i64> = train.windows(2).map(|pair| pair[1] - pair[0]).collect();
        verdict[u] = if train.len() < clustering.min_spikes as usize {
            Some(Dropped::Few)
        } else if norm(u) < curation.min_norm {
            Some(Dropped::Weak)
        } else if periodic(&intervals, samples(0.1)) {
            Some(Dropped::Periodic)
        } else if kept.iter().any(|&k| {
            tables.neighbours(u).contains(&(k as u32))
                && satellite(train, &trains[k], samples(3.0), samples(0.1), n_samples)
                    > curation.max_satellite
        }) {
            Some(Dropped::Satellite)
        } else {
            let short = intervals
                .iter()
                .filter(|&&interval| interval < samples(2.0))
                .count();
            let share = short as f64 / intervals.len().max(1) as f64;
            let chance = samples(2.0) as f64 * train.len() as f64 / n_samples as f64;
            (norm(u) < curation.weak_norm && short >= 3 && share > curation.max_violations * chance)
                .then_some(Dropped::Violations)
        };
        if verdict[u].is_none() {
            kept.push(u);
        }
    }
    verdict
}

/// Spike trains of all units.
pub fn trains(spikes: &[Spike], n_units: usize) -> Vec<Vec<i64>> {
    let mut trains = vec![Vec::new(); n_units];
    for spike in spikes {
        trains[spike.unit as usize].push(spike.sample);
    }
    // Spikes come in order of time, but a block's last spikes may follow the next block's first by a few samples.
    trains.iter_mut().for_each(|train| train.sort_unstable());
    trains
}

/// Whether more than half of the intervals fall into one bin.
fn periodic(intervals: &[i64], bin: i64) -> bool {
    let mut binned: Vec<i64> = intervals
        .iter()
        .map(|interval| (interval + bin / 2) / bin.max(1))
        .collect();
    binned.sort_unstable();
    let most = binned
        .chunk_by(|a, b| a == b)
        .map(<[i64]>::len)
        .max()
        .unwrap_or(0);
    2 * most > intervals.len() && intervals.len() > 10
}

/// Largest share of `a`'s spikes that follow or precede a spike of `b` by one fixed lag, chance taken off twice.
fn satellite(a: &[i64], b: &[i64], max_lag: i64, width: i64, n_samples: u64) -> f64 {
    if a.is_empty() {
        return 0.0;
    }
    let most = (-max_lag..=max_lag)
        .step_by(width.max(1) as usize)
        .map(|lag| pairs(a, b, lag - width, lag + width))
        .max()
        .unwrap_or(0);
    let chance = b.len() as f64 * (2 * width + 1) as f64 / n_samples as f64;
    most as f64 / a.len() as f64 - 2.0 * chance
}
