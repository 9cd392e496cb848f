//! What the report shows of each unit: waveform, correlogram, intervals, amplitudes, rate over time, metrics and label; and of pairs of
//! units that look alike: the cross-correlogram.

use serde_json::{Map, Value, json};
use somata_engine::sorting::{
    SortingResult, Unit,
    result::{GOOD_ISI_VIOLATIONS_RATIO, GOOD_NORM, Label},
};

use super::{
    correlograms::{
        AUTO_BIN_MS, BINS_PER_DECADE, CROSS_BIN_MS, DECADES, FIRST_DECADE, WINDOW_MS,
        auto_correlogram, cross_correlogram, interval_histogram,
    },
    rows::{Layout, Row, to_u8, to_u16},
};

/// Channels on which a waveform is drawn, at most.
const WAVEFORM_CHANNELS: usize = 14;
/// Amplitudes of all units together that are drawn over time, at most.
const MAX_AMPLITUDES: usize = 600_000;
/// Of one unit.
const MAX_AMPLITUDES_OF_UNIT: usize = 3000;
/// Bins of the histogram of amplitudes.
const AMPLITUDE_BINS: usize = 60;
/// Time bins of the firing rate, at most, and their least width, s.
const MAX_RATE_BINS: usize = 400;
const MIN_RATE_BIN_S: f64 = 0.5;
/// Cosine of two templates that look alike.
const ALIKE: f32 = 0.5;
/// Pairs of which a unit is part, as the one whose neighbours are listed, and pairs of all.
const PAIRS_OF_UNIT: usize = 4;
const MAX_PAIRS: usize = 2000;

/// Makes blocks of units.
pub struct Units<'a> {
    result: &'a SortingResult,
    fs: f64,
    duration_s: f64,
    /// Spikes by unit, in order of time in each.
    order: Vec<u32>,
    /// First entry of each unit in `order`, and the end of the last.
    start: Vec<usize>,
    n_amplitudes: usize,
    n_rate_bins: usize,
    /// Spikes in each time bin, `[unit, bin]`.
    counts: Vec<u32>,
    /// The most of a bin of each unit.
    largest_counts: Vec<u32>,
    n_channels: usize,
}

/// Two units that look alike.
pub struct Pair {
    first: usize,
    second: usize,
    similarity: f32,
}

impl<'a> Units<'a> {
    /// Puts the spikes in order.
    pub fn new(result: &'a SortingResult, sampling_frequency_hz: f64, duration_s: f64) -> Self {
        let n_units = result.units.len();
        let mut start = vec![0usize; n_units + 1];
        for &unit in &result.spike_units {
            start[unit as usize + 1] += 1;
        }
        for unit in 0..n_units {
            start[unit + 1] += start[unit];
        }
        let mut next = start.clone();
        let mut order = vec![0u32; result.spike_units.len()];
        for (spike, &unit) in result.spike_units.iter().enumerate() {
            order[next[unit as usize]] = spike as u32;
            next[unit as usize] += 1;
        }
        let n_rate_bins = ((duration_s / MIN_RATE_BIN_S) as usize).clamp(1, MAX_RATE_BINS);
        let mut counts = vec![0u32; n_units * n_rate_bins];
        let bin_samples = duration_s * sampling_frequency_hz / n_rate_bins as f64;
        for (&sample, &unit) in result.spike_samples.iter().zip(&result.spike_units) {
            let bin = ((sample as f64 / bin_samples) as usize).min(n_rate_bins - 1);
            counts[unit as usize * n_rate_bins + bin] += 1;
        }
        let largest_counts = counts
            .chunks_exact(n_rate_bins)
            .map(|counts| counts.iter().copied().max().unwrap_or(0))
            .collect();
        Self {
            result,
            fs: sampling_frequency_hz,
            duration_s,
            order,
            start,
            n_amplitudes: (MAX_AMPLITUDES / n_units.max(1)).clamp(1, MAX_AMPLITUDES_OF_UNIT),
            n_rate_bins,
            counts,
            largest_counts,
            n_channels: result.channels.len().min(WAVEFORM_CHANNELS),
        }
    }

    fn spikes(&self, unit: usize) -> &[u32] {
        &self.order[self.start[unit]..self.start[unit + 1]]
    }

    fn train(&self, unit: usize) -> Vec<i64> {
        let samples = &self.result.spike_samples;
        self.spikes(unit)
            .iter()
            .map(|&spike| samples[spike as usize])
            .collect()
    }

    fn rate_bin_s(&self) -> f64 {
        self.duration_s / self.n_rate_bins as f64
    }

    /// Firing rates of all units over time, `[unit, bin]`, each relative to its own largest: one row, since a picture shows all of them.
    pub fn rates(&self) -> (Layout, Row) {
        let relative = self
            .counts
            .chunks_exact(self.n_rate_bins)
            .zip(&self.largest_counts)
            .flat_map(|(counts, &most)| {
                counts
                    .iter()
                    .map(move |&count| to_u8(f64::from(count), 0.0, f64::from(most)))
            });
        (
            Layout::default().with::<u8>("rate", self.counts.len()),
            Row::default().with("rate", relative),
        )
    }

    /// Packed numbers of a unit.
    pub fn layout(&self) -> Layout {
        Layout::default()
            .with::<i16>("waveform", self.n_channels * self.result.taps.n)
            .with::<u32>("auto", (WINDOW_MS / AUTO_BIN_MS) as usize)
            .with::<u32>("intervals", (DECADES * BINS_PER_DECADE as f64) as usize)
            .with::<u32>("amplitude_histogram", AMPLITUDE_BINS)
            .with::<u16>("amplitude_time", self.n_amplitudes)
            .with::<u8>("amplitude", self.n_amplitudes)
    }

    /// Scales that all units share.
    pub fn about(&self) -> Value {
        json!({
            "window_ms": WINDOW_MS,
            "auto_bin_ms": AUTO_BIN_MS,
            "cross_bin_ms": CROSS_BIN_MS,
            "first_decade": FIRST_DECADE,
            "bins_per_decade": BINS_PER_DECADE,
            "rate_bin_s": self.rate_bin_s(),
        })
    }

    /// What is said of a unit, and its numbers.
    pub fn unit(&self, id: usize) -> (Value, Row) {
        let (result, unit) = (self.result, &self.result.units[id]);
        let taps = result.taps.n;
        let train = self.train(id);
        let amplitudes: Vec<f64> = self
            .spikes(id)
            .iter()
            .map(|&spike| f64::from(result.spike_amplitudes[spike as usize]))
            .collect();
        let channels = strongest_channels(unit, taps, self.n_channels);
        let waveforms = || {
            channels
                .iter()
                .flat_map(|&c| &unit.template_uv[c * taps..(c + 1) * taps])
        };
        let waveform_uv = waveforms().fold(f32::MIN_POSITIVE, |most, v| most.max(v.abs()));
        let auto = auto_correlogram(&train, self.fs);
        let largest = amplitudes.iter().copied().fold(0.0, f64::max);
        let peak_uv = peak_uv(unit, taps);
        let mut histogram = vec![0u32; AMPLITUDE_BINS];
        for amplitude in &amplitudes {
            let bin = (amplitude / largest.max(f64::MIN_POSITIVE) * AMPLITUDE_BINS as f64) as usize;
            histogram[bin.min(AMPLITUDE_BINS - 1)] += 1;
        }
        let shown: Vec<usize> = (0..train.len())
            .step_by(train.len().div_ceil(self.n_amplitudes).max(1))
            .collect();
        let row = Row::default()
            .with(
                "waveform",
                waveforms().map(|v| (v / waveform_uv * 32767.0).round() as i16),
            )
            .with("auto", auto.counts)
            .with("intervals", interval_histogram(&train, self.fs))
            .with("amplitude_histogram", histogram)
            .with(
                "amplitude_time",
                shown
                    .iter()
                    .map(|&k| to_u16(train[k] as f64 / self.fs, 0.0, self.duration_s)),
            )
            .with(
                "amplitude",
                shown.iter().map(|&k| to_u8(amplitudes[k], 0.0, largest)),
            );
        let mut summary = Map::new();
        let mut say = |name: &str, value: Value| summary.insert(name.into(), value);
        say("unit_id", json!(id));
        say("label", json!(unit.label));
        say("why", json!(why(unit)));
        say("main_channel", json!(result.channels[unit.main_channel]));
        say("x_um", json!(unit.position_um[0]));
        say("y_um", json!(unit.position_um[1]));
        let shank = result.geometry.contacts[unit.main_channel].shank;
        say("shank", json!(shank));
        say("template_norm", json!(unit.norm));
        let metrics = serde_json::to_value(&unit.metrics).expect("plain data");
        say("metrics", metrics);
        let recorded: Vec<usize> = channels.iter().map(|&c| result.channels[c]).collect();
        say("waveform_channels", json!(recorded));
        say("waveform_uv", json!(waveform_uv));
        say("peak_uv", json!(peak_uv));
        say("largest_amplitude", json!(largest));
        say("n_amplitudes", json!(shown.len()));
        say("auto_references", json!(auto.n_references));
        let largest_rate_hz = f64::from(self.largest_counts[id]) / self.rate_bin_s();
        say("largest_rate_hz", json!(largest_rate_hz));
        (Value::Object(summary), row)
    }

    /// Packed numbers of a pair.
    pub fn pair_layout() -> Layout {
        Layout::default().with::<u32>("cross", 2 * (WINDOW_MS / CROSS_BIN_MS) as usize + 1)
    }

    /// What is said of a pair, and its cross-correlogram: lags of the second unit's spikes after the first one's.
    pub fn pair(&self, pair: &Pair) -> (Value, Row) {
        let cross = cross_correlogram(&self.train(pair.first), &self.train(pair.second), self.fs);
        let summary = json!({
            "first": pair.first,
            "second": pair.second,
            "similarity": pair.similarity,
            "references": cross.n_references,
        });
        (summary, Row::default().with("cross", cross.counts))
    }
}

/// Pairs that look alike, most alike first. `similarity` is `[unit, unit]`.
pub fn pairs(similarity: &[f32], n_units: usize) -> Vec<Pair> {
    let mut found: Vec<Pair> = Vec::new();
    for a in 0..n_units {
        let row = &similarity[a * n_units..(a + 1) * n_units];
        let mut near: Vec<usize> = (0..n_units)
            .filter(|&b| b != a && row[b] >= ALIKE)
            .collect();
        near.sort_by(|&b, &c| row[c].total_cmp(&row[b]).then(b.cmp(&c)));
        near.truncate(PAIRS_OF_UNIT);
        found.extend(near.into_iter().map(|b| Pair {
            first: a.min(b),
            second: a.max(b),
            similarity: row[b],
        }));
    }
    found.sort_by_key(|pair| (pair.first, pair.second));
    found.dedup_by_key(|pair| (pair.first, pair.second));
    found.sort_by(|p, q| q.similarity.total_cmp(&p.similarity));
    found.truncate(MAX_PAIRS);
    found
}

/// Value of largest size of a unit's template on its main channel, signed, µV.
pub fn peak_uv(unit: &Unit, taps: usize) -> f32 {
    let row = &unit.template_uv[unit.main_channel * taps..(unit.main_channel + 1) * taps];
    row.iter().copied().fold(
        0.0,
        |peak: f32, v| if v.abs() > peak.abs() { v } else { peak },
    )
}

/// The channels on which a unit is largest, largest first.
fn strongest_channels(unit: &Unit, taps: usize, count: usize) -> Vec<usize> {
    let size: Vec<f32> = unit
        .template_uv
        .chunks_exact(taps)
        .map(|row| {
            let (low, high) = row.iter().fold((0.0f32, 0.0f32), |(low, high), &v| {
                (low.min(v), high.max(v))
            });
            high - low
        })
        .collect();
    let mut order: Vec<usize> = (0..size.len()).collect();
    order.sort_by(|&a, &b| size[b].total_cmp(&size[a]).then(a.cmp(&b)));
    order.truncate(count);
    order
}

/// What the label rests on, in words.
fn why(unit: &Unit) -> Vec<String> {
    let ratio = unit.metrics.isi_violations_ratio;
    let mut reasons = Vec::new();
    if unit.norm < GOOD_NORM {
        reasons.push(format!(
            "its template norm of {:.2} is below {GOOD_NORM}",
            unit.norm
        ));
    }
    if ratio.is_nan() {
        reasons.push("its ISI violations ratio is not defined".into());
    } else if ratio >= GOOD_ISI_VIOLATIONS_RATIO {
        reasons.push(format!(
            "its ISI violations ratio of {ratio:.3} is not below {GOOD_ISI_VIOLATIONS_RATIO}"
        ));
    }
    if reasons.is_empty() && unit.label == Label::Good {
        reasons.push(format!(
            "its template norm of {:.1} is at least {GOOD_NORM}, and its ISI violations ratio of {ratio:.3} is below \
             {GOOD_ISI_VIOLATIONS_RATIO}",
            unit.norm
        ));
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unit_brings_its_most_similar_ones_once() {
        let similarity = [
            1.0, 0.9, 0.6, 0.1, //
            0.9, 1.0, 0.4, 0.1, //
            0.6, 0.4, 1.0, 0.1, //
            0.1, 0.1, 0.1, 1.0,
        ];
        let found: Vec<(usize, usize)> = pairs(&similarity, 4)
            .iter()
            .map(|pair| (pair.first, pair.second))
            .collect();
        assert_eq!(found, [(0, 1), (0, 2)]);
        assert!(pairs(&[], 0).is_empty());
        let all_alike = vec![1.0; 100 * 100];
        assert!(pairs(&all_alike, 100).len() <= 100 * PAIRS_OF_UNIT);
    }
}
