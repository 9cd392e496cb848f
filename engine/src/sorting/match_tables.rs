//! What matching needs to know of templates: their low-rank form, which of them interact, and how much.

use rayon::prelude::*;

use super::templates::{Taps, Template};
use crate::linalg;

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
    pub(super) rank: usize,
    /// Of every unit; empty once a device has them.
    pub(super) factors: Vec<Factors>,
    pub(super) pair_start: Vec<u32>,
    pub(super) pair_unit: Vec<u32>,
}

/// A template of low rank as a product.
#[derive(Clone)]
pub(super) struct Factors {
    /// `[entry, rank]`.
    pub(super) spatial: Vec<f64>,
    /// `[rank, tap]`.
    pub(super) temporal: Vec<f64>,
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
    pub(super) fn products(&self) -> Vec<f32> {
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
