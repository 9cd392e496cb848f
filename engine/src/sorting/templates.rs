//! Mean waveforms of units: cleaned, aligned, merged.
//!
//! A template covers every channel on which it stands above its own sampling error, and two templates are different
//! only beyond the error of their means. A fixed support and no allowance for the error cost 0.08 in accuracy and 40
//! false units on the first open set.

use serde::{Deserialize, Serialize};

use super::clustering::refractory::{Evidence, RefractoryTest};
use crate::linalg;

/// A template on the channels where it is not zero, whitened space.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Template {
    /// Channels, ascending.
    pub channels: Vec<u32>,
    /// `[entry, tap]`.
    pub waveform: Vec<f32>,
    /// Events that were averaged, as many as noise of 1 would need for the same error.
    pub n_events: f64,
}

/// Samples of a template and where its trough is.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Taps {
    /// Samples.
    pub n: usize,
    /// Samples before the trough.
    pub before: usize,
}

/// A positive peak counts this much against a trough when a template is aligned.
const POSITIVE_WEIGHT: f32 = 0.6;

impl Template {
    /// The waveform on one entry.
    pub fn row(&self, entry: usize, taps: Taps) -> &[f32] {
        &self.waveform[entry * taps.n..(entry + 1) * taps.n]
    }

    /// Squared norm.
    pub fn norm2(&self) -> f64 {
        self.waveform
            .iter()
            .map(|&v| f64::from(v) * f64::from(v))
            .sum()
    }

    /// Entry with the largest deflection.
    pub fn main_entry(&self, taps: Taps) -> usize {
        let peak = |entry: usize| {
            self.row(entry, taps)
                .iter()
                .fold(0.0f32, |peak, v| peak.max(v.abs()))
        };
        (0..self.channels.len())
            .max_by(|&a, &b| peak(a).total_cmp(&peak(b)).then(b.cmp(&a)))
            .unwrap_or(0)
    }

    /// Channel with the largest deflection.
    pub fn main_channel(&self, taps: Taps) -> usize {
        self.channels
            .get(self.main_entry(taps))
            .map_or(0, |&c| c as usize)
    }

    /// Sample of the trough (or much larger positive peak) on the main channel.
    pub fn extremum(&self, taps: Taps) -> usize {
        if self.channels.is_empty() {
            return taps.before;
        }
        let polar = |v: f32| if v < 0.0 { -v } else { POSITIVE_WEIGHT * v };
        let row = self.row(self.main_entry(taps), taps);
        (0..taps.n)
            .max_by(|&a, &b| polar(row[a]).total_cmp(&polar(row[b])).then(b.cmp(&a)))
            .unwrap_or(taps.before)
    }

    /// Moved by `shift` samples towards later times; what leaves the window is lost.
    pub fn shifted(&self, shift: i64, taps: Taps) -> Template {
        let mut waveform = vec![0.0; self.waveform.len()];
        for (to, from) in waveform
            .chunks_exact_mut(taps.n)
            .zip(self.waveform.chunks_exact(taps.n))
        {
            for (t, value) in to.iter_mut().enumerate() {
                let source = t as i64 - shift;
                if (0..taps.n as i64).contains(&source) {
                    *value = from[source as usize];
                }
            }
        }
        Template {
            channels: self.channels.clone(),
            waveform,
            n_events: self.n_events,
        }
    }

    /// Entries and channels that two templates share.
    pub fn shared<'a>(&'a self, other: &'a Template) -> impl Iterator<Item = (usize, usize)> + 'a {
        let mut j = 0;
        self.channels
            .iter()
            .enumerate()
            .filter_map(move |(i, &channel)| {
                while j < other.channels.len() && other.channels[j] < channel {
                    j += 1;
                }
                (j < other.channels.len() && other.channels[j] == channel).then_some((i, j))
            })
    }

    /// `a * self + b * other`.
    fn mix(&self, a: f32, other: &Template, b: f32, taps: Taps) -> Template {
        let mut channels: Vec<u32> = self
            .channels
            .iter()
            .chain(&other.channels)
            .copied()
            .collect();
        channels.sort_unstable();
        channels.dedup();
        let mut waveform = vec![0.0; channels.len() * taps.n];
        for (source, weight) in [(self, a), (other, b)] {
            for (entry, channel) in source.channels.iter().enumerate() {
                let at = channels.binary_search(channel).expect("in the union");
                let row = &mut waveform[at * taps.n..(at + 1) * taps.n];
                row.iter_mut()
                    .zip(source.row(entry, taps))
                    .for_each(|(to, from)| *to += weight * from);
            }
        }
        Template {
            channels,
            waveform,
            n_events: self.n_events + other.n_events,
        }
    }

    /// Zeroes the channels and the tails that are not above the mean's own sampling error, `keep` noise deviations
    /// (norm of a channel) at least.
    ///
    /// `power` is the mean square of what was averaged beside the events themselves, `[channel]`: 1 where that is noise
    /// alone. Events in louder data tell less, and count as fewer from here on.
    pub fn denoise(&mut self, keep: f64, power: &[f32], taps: Taps) {
        let (n, length) = (self.n_events, taps.n as f64);
        let variance = |channel: u32| f64::from(power[channel as usize]);
        let sampling = length / n * (1.0 + 2.5 * (2.0 / length).sqrt());
        let energy = |row: &[f32]| {
            row.iter()
                .map(|&v| f64::from(v) * f64::from(v))
                .sum::<f64>()
        };
        let kept: Vec<usize> = (0..self.channels.len())
            .filter(|&entry| {
                let error = variance(self.channels[entry]) * sampling;
                energy(self.row(entry, taps)) >= keep * keep + error
            })
            .collect();
        self.waveform = kept
            .iter()
            .flat_map(|&entry| self.row(entry, taps).to_vec())
            .collect();
        self.channels = kept.iter().map(|&entry| self.channels[entry]).collect();
        if kept.is_empty() {
            return;
        }
        let course: Vec<f64> = (0..taps.n)
            .map(|t| {
                self.waveform
                    .iter()
                    .skip(t)
                    .step_by(taps.n)
                    .map(|&v| f64::from(v) * f64::from(v))
                    .sum()
            })
            .collect();
        let channels = kept.len() as f64;
        let total: f64 = self.channels.iter().map(|&c| variance(c)).sum();
        self.n_events *= channels / total.max(1e-12);
        let limit = total / n * (1.0 + 4.0 * (2.0 / (9.0 * channels)).sqrt());
        let smooth = |t: usize| {
            let range = t.saturating_sub(4)..(t + 5).min(taps.n);
            let count = range.len() as f64;
            range.map(|t| course[t]).sum::<f64>() / count
        };
        let peak = (0..taps.n)
            .max_by(|&a, &b| course[a].total_cmp(&course[b]).then(b.cmp(&a)))
            .unwrap_or(0);
        let mut from = peak;
        while from > 0 && smooth(from - 1) > limit {
            from -= 1;
        }
        let mut to = peak;
        while to + 1 < taps.n && smooth(to + 1) > limit {
            to += 1;
        }
        let (from, to) = (from.saturating_sub(2), (to + 3).min(taps.n));
        for row in self.waveform.chunks_exact_mut(taps.n) {
            row[..from].fill(0.0);
            row[to..].fill(0.0);
        }
    }
}

/// Distance of two templates in noise deviations, and the shift of `b` at which it is smallest.
///
/// What the sampling error of the two means explains is taken off, and a difference along the templates counts less:
/// spikes of one cell differ in amplitude.
pub fn distance(
    a: &Template,
    b: &Template,
    amplitude_sigma: f64,
    max_lag: i64,
    taps: Taps,
) -> (f64, i64) {
    let (na, nb) = (a.norm2(), b.norm2());
    let shared: Vec<(usize, usize)> = a.shared(b).collect();
    let support = |t: &Template| t.waveform.iter().filter(|&&v| v != 0.0).count() as f64;
    let overlap: f64 = shared
        .iter()
        .map(|&(i, j)| {
            a.row(i, taps)
                .iter()
                .zip(b.row(j, taps))
                .filter(|&(x, y)| *x != 0.0 && *y != 0.0)
                .count() as f64
        })
        .sum();
    let error = 1.0 / a.n_events + 1.0 / b.n_events;
    let freedom = (support(a) + support(b) - overlap) * error;
    let mut best = (f64::INFINITY, 0);
    for lag in -max_lag..=max_lag {
        let product: f64 = shared
            .iter()
            .map(|&(i, j)| product_at(a.row(i, taps), b.row(j, taps), lag))
            .sum();
        let difference = na + nb - 2.0 * product;
        let mean2 = ((na + nb + 2.0 * product) / 4.0).max(0.0) + 1e-9;
        let along2 = ((na - nb) / 2.0).powi(2) / mean2;
        let value =
            difference - along2 + along2 / (1.0 + amplitude_sigma * amplitude_sigma * mean2);
        if value < best.0 {
            best = (value, lag);
        }
    }
    let value = best.0 - freedom - 2.0 * (2.0 * freedom * error).sqrt();
    (value.max(0.0).sqrt(), best.1)
}

/// [`distance`] when a difference along the templates' derivative counts less, too: spikes of one cell fall anywhere
/// between two samples, so a cell far above the noise yields templates that differ by a part of a sample.
pub fn distance_between_samples(
    a: &Template,
    b: &Template,
    amplitude_sigma: f64,
    max_lag: i64,
    taps: Taps,
) -> f64 {
    /// Variance of a uniform position between two samples.
    const VARIANCE: f64 = 1.0 / 12.0;
    let (near, lag) = distance(a, b, amplitude_sigma, max_lag, taps);
    let moved = b.shifted(lag, taps);
    let mean = a.mix(0.5, &moved, 0.5, taps);
    let difference = a.mix(1.0, &moved, -1.0, taps);
    let (mut along, mut slope2) = (0.0f64, 0.0f64);
    for (row, difference) in mean
        .waveform
        .chunks_exact(taps.n)
        .zip(difference.waveform.chunks_exact(taps.n))
    {
        for (neighbours, &d) in row.windows(3).zip(&difference[1..]) {
            let slope = f64::from(neighbours[2] - neighbours[0]) / 2.0;
            along += slope * f64::from(d);
            slope2 += slope * slope;
        }
    }
    let along2 = along * along / (slope2 + 1e-9);
    (near * near - along2 + along2 / (1.0 + VARIANCE * slope2))
        .max(0.0)
        .sqrt()
}

/// Largest cosine of two templates, and the shift of `b` at which it is reached.
pub fn cosine(a: &Template, b: &Template, max_lag: i64, taps: Taps) -> (f64, i64) {
    let shared: Vec<(usize, usize)> = a.shared(b).collect();
    let (best, lag) = (-max_lag..=max_lag)
        .map(|lag| {
            let product = shared
                .iter()
                .map(|&(i, j)| product_at(a.row(i, taps), b.row(j, taps), lag))
                .sum::<f64>();
            (product, lag)
        })
        .fold(
            (0.0, 0),
            |best, now| if now.0 > best.0 { now } else { best },
        );
    (best / (a.norm2() * b.norm2()).sqrt().max(1e-12), lag)
}

/// Inner product of `a` with `b` moved by `lag` samples towards later times.
fn product_at(a: &[f32], b: &[f32], lag: i64) -> f64 {
    let n = a.len() as i64;
    let (from, to) = (lag.max(0), (n + lag).min(n));
    let (a, b) = (
        &a[from as usize..to as usize],
        &b[(from - lag) as usize..(to - lag) as usize],
    );
    linalg::dot(a, b)
}

/// Smallest cosine of two templates that may be one cell's.
pub const MIN_COSINE: f64 = 0.5;

/// What merging goes by.
#[derive(Clone, Copy, Debug)]
pub struct MergeRule {
    /// Templates with a smaller norm are dropped.
    pub min_norm: f64,
    /// Templates nearer than this are one unit.
    pub min_distance: f64,
    /// Standard deviation of the amplitude.
    pub amplitude_sigma: f64,
    /// Lags that are tried.
    pub max_lag: i64,
    /// Largest shift of alignment.
    pub max_shift: i64,
    /// Whether the trains lack no spikes beside those of other cells, so that a refractory period shows in them.
    pub complete: bool,
}

/// Aligns templates, drops weak ones and merges those that no classifier could tell apart, unless their spike trains
/// say that they are two cells. The largest come first.
pub fn merge(
    templates: Vec<(Template, Vec<i64>)>,
    rule: MergeRule,
    test: &RefractoryTest,
    taps: Taps,
) -> Vec<(Template, Vec<i64>)> {
    let mut aligned: Vec<(Template, Vec<i64>)> = templates
        .into_iter()
        .filter(|(template, _)| template.norm2() >= rule.min_norm * rule.min_norm)
        .map(|(template, train)| {
            let shift = (taps.before as i64 - template.extremum(taps) as i64)
                .clamp(-rule.max_shift, rule.max_shift);
            (template.shifted(shift, taps), train)
        })
        .collect();
    // A stable sort: equal counts keep the order of channels and labels.
    aligned.sort_by_key(|(_, train)| std::cmp::Reverse(train.len()));
    let mut merged: Vec<(Template, Vec<i64>)> = Vec::new();
    for (template, train) in aligned {
        let norm = template.norm2().sqrt();
        let mut hit: Option<(f64, i64, usize)> = None;
        for (j, (other, other_train)) in merged.iter().enumerate() {
            let other_norm = other.norm2().sqrt();
            if (other_norm - norm).abs() > 0.5 * other_norm {
                continue;
            }
            let (d, lag) = distance(other, &template, rule.amplitude_sigma, rule.max_lag, taps);
            if d < rule.min_distance
                && hit.is_none_or(|(best, _, _)| d < best)
                && !(d > 1.0 && test.compare(other_train, &train) == Evidence::TwoCells)
            {
                hit = Some((d, lag, j));
            }
        }
        if rule.complete && hit.is_none() {
            // A weak cell's events are found where noise adds to it, and its clusters differ by that noise.
            let mut most = MIN_COSINE;
            for (j, (other, other_train)) in merged.iter().enumerate() {
                // Trains are counted through only where the templates meet.
                if (other.norm2().sqrt() - norm).abs() <= 0.5 * norm
                    && other.shared(&template).next().is_some()
                    && test.is_surely_one_cell(other_train, &train)
                {
                    let (alike, lag) = cosine(other, &template, rule.max_shift, taps);
                    if alike >= most {
                        (most, hit) = (alike, Some((alike, lag, j)));
                    }
                }
            }
        }
        match hit {
            None => merged.push((template, train)),
            Some((_, lag, j)) => {
                let (other, other_train) = &mut merged[j];
                let weight = (template.n_events / (template.n_events + other.n_events)) as f32;
                *other = other.mix(1.0 - weight, &template.shifted(lag, taps), weight, taps);
                other_train.extend(train);
                other_train.sort_unstable();
            }
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::{super::clustering::random::Random, *};

    const TAPS: Taps = Taps { n: 60, before: 20 };

    /// A spike on two channels: a trough and a slower return, `offset` samples late.
    fn spike(norm: f32, offset: f32, width: f32) -> Template {
        let shape = |t: f32| {
            let trough = -(-(t / width).powi(2)).exp();
            trough + 0.4 * (-((t - 12.0) / 8.0).powi(2)).exp()
        };
        let row: Vec<f32> = (0..TAPS.n)
            .map(|t| shape(t as f32 - TAPS.before as f32 - offset))
            .collect();
        let mut template = Template {
            channels: vec![0, 1],
            waveform: row
                .iter()
                .copied()
                .chain(row.iter().map(|v| 0.5 * v))
                .collect(),
            n_events: 500.0,
        };
        let scale = norm / template.norm2().sqrt() as f32;
        template.waveform.iter_mut().for_each(|v| *v *= scale);
        template
    }

    /// The train of one cell with a refractory period of 4 ms, dealt to two.
    fn one_cell_in_two() -> (Vec<i64>, Vec<i64>, RefractoryTest) {
        let mut random = Random(1);
        let (mut t, mut a, mut b) = (0i64, Vec::new(), Vec::new());
        for _ in 0..4000 {
            t += 120 + (-(1.0 - random.uniform()).ln() * 1200.0) as i64;
            if random.uniform() < 0.5 {
                a.push(t)
            } else {
                b.push(t)
            }
        }
        (a, b, RefractoryTest::new(30000.0, t as u64))
    }

    #[test]
    fn a_channel_of_other_cells_spikes_is_left_out_where_the_data_are_loud() {
        let mut random = Random(5);
        let mut mean = spike(20.0, 0.0, 3.0);
        // A second channel with nothing of the cell: the mean of 60 events in which others fire, ten times noise.
        let mut normal = || (0..12).map(|_| random.uniform()).sum::<f64>() - 6.0;
        mean.waveform[TAPS.n..].fill_with(|| (10.0f64 / 60.0).sqrt() as f32 * normal() as f32);
        mean.n_events = 60.0;
        let (mut as_noise, mut as_it_is) = (mean.clone(), mean);
        as_noise.denoise(0.5, &[1.0, 1.0], TAPS);
        as_it_is.denoise(0.5, &[1.0, 10.0], TAPS);
        assert_eq!(as_noise.channels, [0, 1]);
        assert_eq!(as_it_is.channels, [0]);
        assert_eq!(as_it_is.n_events, 60.0);
        // Loud on its own channel: as good as a mean of fewer events.
        let mut loud = spike(20.0, 0.0, 3.0);
        loud.denoise(0.5, &[4.0, 2.0], TAPS);
        assert_eq!(loud.n_events, 500.0 / 3.0);
    }

    #[test]
    fn a_part_of_a_sample_is_no_other_cell_and_another_width_is() {
        let cell = spike(60.0, 0.0, 3.0);
        for (other, same) in [
            (spike(60.0, 0.25, 3.0), true),
            (spike(66.0, 0.5, 3.0), true),
            (spike(60.0, 0.0, 3.6), false),
        ] {
            let (plain, _) = distance(&cell, &other, 0.1, 3, TAPS);
            let d = distance_between_samples(&cell, &other, 0.1, 3, TAPS);
            assert!(plain > 2.5, "{plain}");
            assert_eq!(d < 2.5, same, "{d}");
        }
    }

    #[test]
    fn the_parts_of_a_weak_cell_are_merged_where_their_trains_are_complete() {
        let (a, b, test) = one_cell_in_two();
        let first = spike(7.0, 0.0, 3.0);
        let mut second = spike(7.0, 0.0, 3.0);
        second.waveform[TAPS.n..].fill(0.0);
        second.waveform[TAPS.before + 12] -= 4.0;
        assert!(distance(&first, &second, 0.1, 3, TAPS).0 > 2.5);
        let strangers: Vec<i64> = b.iter().map(|t| t + 70_000).collect();
        for (complete, second_train, units) in
            [(true, &b, 1), (false, &b, 2), (true, &strangers, 2)]
        {
            let rule = MergeRule {
                min_norm: 4.5,
                min_distance: 2.5,
                amplitude_sigma: 0.1,
                max_lag: 3,
                max_shift: 20,
                complete,
            };
            let templates = vec![
                (first.clone(), a.clone()),
                (second.clone(), second_train.clone()),
            ];
            assert_eq!(
                merge(templates, rule, &test, TAPS).len(),
                units,
                "complete: {complete}"
            );
        }
    }
}
