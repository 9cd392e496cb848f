//! What the report says of each metric: its unit, its usual range, its meaning in one line.
//!
//! The ranges are those of docs/concepts/quality-metrics.md, where formulas and citations are. A metric that is not listed here is shown
//! without a range.

use serde::Serialize;

/// A metric for people.
#[derive(Serialize)]
pub struct Metric {
    /// Column of `metrics.csv`.
    pub name: &'static str,
    /// In the report.
    pub title: &'static str,
    /// Unit; empty for a ratio or a count.
    pub unit: &'static str,
    /// Range of a well isolated unit: least and most.
    pub good: [Option<f64>; 2],
    /// Range that is still often accepted.
    pub fair: [Option<f64>; 2],
    /// What it says.
    pub meaning: &'static str,
}

const fn at_least(good: f64, fair: f64) -> ([Option<f64>; 2], [Option<f64>; 2]) {
    ([Some(good), None], [Some(fair), None])
}

const fn at_most(good: f64, fair: f64) -> ([Option<f64>; 2], [Option<f64>; 2]) {
    ([None, Some(good)], [None, Some(fair)])
}

const ANY: ([Option<f64>; 2], [Option<f64>; 2]) = ([None, None], [None, None]);

const fn metric(
    name: &'static str,
    title: &'static str,
    unit: &'static str,
    (good, fair): ([Option<f64>; 2], [Option<f64>; 2]),
    meaning: &'static str,
) -> Metric {
    Metric {
        name,
        title,
        unit,
        good,
        fair,
        meaning,
    }
}

/// All metrics that have a usual range or need a word.
pub const GUIDE: &[Metric] = &[
    metric(
        "template_norm",
        "template norm",
        "noise deviations",
        at_least(6.2, 4.0),
        "Size of the template over all channels. Below 6.2 a unit is not called good.",
    ),
    metric(
        "n_spikes",
        "spikes",
        "",
        at_least(100.0, 50.0),
        "How much evidence everything else rests on. Below about a hundred, ratios are coarse.",
    ),
    metric(
        "firing_rate_hz",
        "firing rate",
        "Hz",
        ([Some(0.1), Some(50.0)], [Some(0.02), Some(150.0)]),
        "A very low rate may be a fragment of a unit, a very high one several units together.",
    ),
    metric(
        "presence_ratio",
        "presence ratio",
        "",
        at_least(0.9, 0.6),
        "Share of the minutes in which the unit is seen. Low: lost, for example by drift, or silent for a time.",
    ),
    metric(
        "snr",
        "SNR",
        "",
        at_least(5.0, 3.0),
        "Largest point of the template over the noise of its channel. Below 3, expect misses and confusions.",
    ),
    metric(
        "isi_violations_count",
        "intervals under 1.5 ms",
        "",
        ANY,
        "How often the unit fired sooner than a neuron can. Judge it by the ratio.",
    ),
    metric(
        "isi_violations_ratio",
        "ISI violations ratio",
        "",
        at_most(0.08, 0.5),
        "Rate of violations relative to the unit's own: about the share of foreign spikes. From 0.08 on a unit is not called good.",
    ),
    metric(
        "rp_contamination",
        "refractory contamination",
        "",
        at_most(0.1, 0.3),
        "Estimated share of spikes that come from elsewhere, from all pairs of spikes.",
    ),
    metric(
        "amplitude_median_uv",
        "median amplitude",
        "µV",
        ANY,
        "Usual size of the spikes on the main channel; negative for a trough. Compare it with the noise.",
    ),
    metric(
        "amplitude_cutoff",
        "amplitude cutoff",
        "",
        at_most(0.1, 0.3),
        "Estimated share of spikes that were too small to be found. 0.5 means half or more.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use somata_engine::sorting::quality_metrics::QualityMetrics;

    #[test]
    fn every_metric_of_the_engine_is_explained() {
        let metrics = serde_json::to_value(QualityMetrics::default()).unwrap();
        for name in metrics.as_object().unwrap().keys() {
            assert!(GUIDE.iter().any(|metric| metric.name == name), "{name}");
        }
    }
}
