//! The report of a sort: what was recorded, where spikes were over time, and the blocks of every unit.

use std::path::Path;

use rayon::prelude::*;
use serde_json::{Value, json};
use somata_engine::{
    recording::Recording,
    sorting::{SortingResult, motion::Motion},
};

use super::{
    metric_guide::GUIDE,
    name_of,
    page::{Blocks, Kind, write_page},
    rows::{Layout, Row, to_u8, to_u16},
    sorting_units::{Units, pairs, peak_uv},
};
use crate::{adapt::OpenRecording, commands::validate::Scores, exit::Outcome};

/// Spikes on the drift map, at most.
const MAX_DRIFT_SPIKES: usize = 150_000;
/// Spikes in the raster, at most.
const MAX_RASTER_SPIKES: usize = 100_000;
/// Time bins of the motion that is drawn, at most.
const MAX_MOTION_BINS: usize = 1500;
/// Depths of the motion that is drawn, at most.
const MAX_MOTION_DEPTHS: usize = 24;
/// How far beyond the outermost contacts a spike is drawn, µm.
const DEPTH_MARGIN_UM: f64 = 60.0;
/// Units of which blocks are made at once.
const UNITS_TOGETHER: usize = 64;

/// What a report is made of.
pub struct Sources<'a> {
    /// What was sorted.
    pub recording: &'a OpenRecording,
    /// What the user calls it.
    pub recording_path: &'a Path,
    /// What came out.
    pub result: &'a SortingResult,
    /// How it was made.
    pub manifest: &'a Value,
    /// Cosine of every pair of templates, `[unit, unit]`.
    pub similarity: &'a [f32],
    /// Scores against the truth, where there is one.
    pub truth: Option<&'a Scores>,
}

/// Writes the page.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, sources: &Sources<'_>) -> Outcome {
    let name = name_of(sources.recording_path);
    write_page(path, Kind::Sorting, &format!("{name} · somata"), |page| {
        page.json("manifest", sources.manifest)?;
        page.json("recording", &recording(&name, sources))?;
        page.json("metric-guide", &GUIDE)?;
        if let Some(motion) = &sources.result.motion_estimate {
            page.json("motion", &thinned(motion, sources.result.motion.is_some()))?;
        }
        drift(page, sources)?;
        units(page, sources)?;
        raster(page, sources)?;
        if let Some(truth) = sources.truth {
            page.json("truth", truth)?;
        }
        Ok(())
    })
}

/// Name, length and channels of the recording.
fn recording(name: &str, sources: &Sources<'_>) -> Value {
    let info = sources.recording.info();
    let result = sources.result;
    let mut noise = vec![None; info.n_channels()];
    for (&channel, &uv) in result.channels.iter().zip(&result.noise_uv) {
        noise[channel] = Some(uv);
    }
    let channels: Vec<Value> = info
        .contacts
        .iter()
        .enumerate()
        .map(|(c, contact)| {
            json!({
                "x": contact.x_um,
                "y": contact.y_um,
                "shank": contact.shank,
                "noise_uv": noise[c],
                "bad": result.bad_channels.get(c).copied().flatten(),
            })
        })
        .collect();
    json!({
        "name": name,
        "path": sources.recording_path,
        "duration_s": info.duration_s(),
        "sampling_frequency_hz": info.sampling_frequency_hz,
        "pauses_s": info.segments.iter().skip(1)
            .map(|segment| segment.start as f64 / info.sampling_frequency_hz).take(1000).collect::<Vec<_>>(),
        "channels": channels,
        "n_template_samples": result.taps.n,
        "samples_before_trough": result.taps.before,
    })
}

/// The motion at as many times and depths as can be seen.
fn thinned(motion: &Motion, corrected: bool) -> Value {
    let every =
        |n: usize, most: usize| -> Vec<usize> { (0..n).step_by(n.div_ceil(most).max(1)).collect() };
    let times = every(motion.time_s.len(), MAX_MOTION_BINS);
    let depths = every(motion.depth_um.len(), MAX_MOTION_DEPTHS);
    let rounded = |value: f64| (value * 100.0).round() / 100.0;
    json!({
        "corrected": corrected,
        "time_s": times.iter().map(|&t| rounded(motion.time_s[t])).collect::<Vec<_>>(),
        "depth_um": depths.iter().map(|&d| rounded(motion.depth_um[d])).collect::<Vec<_>>(),
        "displacement_um": times.iter().map(|&t| depths.iter()
            .map(|&d| rounded(motion.displacement_um[t * motion.depth_um.len() + d])).collect::<Vec<_>>())
            .collect::<Vec<_>>(),
    })
}

/// Depth of spikes over time, every so many of them.
fn drift(page: &mut Blocks<'_>, sources: &Sources<'_>) -> Outcome {
    let result = sources.result;
    let fs = sources.recording.info().sampling_frequency_hz;
    let duration_s = sources.recording.info().duration_s();
    let n = result.spike_samples.len();
    let shown: Vec<usize> = (0..n)
        .step_by(n.div_ceil(MAX_DRIFT_SPIKES).max(1))
        .collect();
    let ys = || result.geometry.contacts.iter().map(|contact| contact.y_um);
    let low = ys().fold(f64::INFINITY, f64::min) - DEPTH_MARGIN_UM;
    let high = ys().fold(f64::NEG_INFINITY, f64::max) + DEPTH_MARGIN_UM;
    let peaks: Vec<f64> = result
        .units
        .iter()
        .map(|unit| f64::from(peak_uv(unit, result.taps.n).abs()))
        .collect();
    let size_uv = |spike: usize| {
        f64::from(result.spike_amplitudes[spike]) * peaks[result.spike_units[spike] as usize]
    };
    // Few spikes are much larger than the others; they would leave one colour for the rest.
    let mut sizes: Vec<f64> = shown.iter().map(|&spike| size_uv(spike)).collect();
    sizes.sort_unstable_by(f64::total_cmp);
    let largest_uv = sizes
        .get(sizes.len().saturating_sub(1) * 98 / 100)
        .copied()
        .unwrap_or(1.0);
    let time_s = |spike: usize| result.spike_samples[spike] as f64 / fs;
    let depth_um = |spike: usize| f64::from(result.spike_positions_um[spike][1]);
    let recorded_um = |spike: usize| {
        let depth = depth_um(spike);
        // Positions have the motion taken off where it was corrected.
        depth
            + result
                .motion
                .as_ref()
                .map_or(0.0, |motion| motion.at(time_s(spike), depth))
    };
    let layout = Layout::default()
        .with::<u16>("time", shown.len())
        .with::<u16>("depth", shown.len())
        .with::<u16>("recorded_depth", shown.len())
        .with::<u16>("unit", shown.len())
        .with::<u8>("amplitude", shown.len());
    let each = || shown.iter().copied();
    let row = Row::default()
        .with("time", each().map(|s| to_u16(time_s(s), 0.0, duration_s)))
        .with("depth", each().map(|s| to_u16(depth_um(s), low, high)))
        .with(
            "recorded_depth",
            each().map(|s| to_u16(recorded_um(s), low, high)),
        )
        .with(
            "unit",
            each().map(|s| result.spike_units[s].min(65535) as u16),
        )
        .with(
            "amplitude",
            each().map(|s| to_u8(size_uv(s), 0.0, largest_uv)),
        );
    page.rows("drift", &layout, [Ok(row)])?;
    page.json(
        "drift-about",
        &json!({
            "n_shown": shown.len(),
            "n_spikes": n,
            "depth_um": [low, high],
            "largest_uv": largest_uv,
        }),
    )
}

/// All spikes of a stretch in the middle.
fn raster(page: &mut Blocks<'_>, sources: &Sources<'_>) -> Outcome {
    let result = sources.result;
    let fs = sources.recording.info().sampling_frequency_hz;
    let n = result.spike_samples.len();
    let first = (n.saturating_sub(MAX_RASTER_SPIKES)) / 2;
    let shown = first..(first + MAX_RASTER_SPIKES).min(n);
    let whole = shown.len() == n;
    let range_s = if whole {
        [0.0, sources.recording.info().duration_s()]
    } else {
        [shown.start, shown.end - 1].map(|spike| result.spike_samples[spike] as f64 / fs)
    };
    let layout = Layout::default()
        .with::<f32>("time", shown.len())
        .with::<u16>("unit", shown.len());
    let row = Row::default()
        .with(
            "time",
            result.spike_samples[shown.clone()]
                .iter()
                .map(|&sample| (sample as f64 / fs - range_s[0]) as f32),
        )
        .with(
            "unit",
            result.spike_units[shown]
                .iter()
                .map(|&unit| unit.min(65535) as u16),
        );
    page.rows("raster", &layout, [Ok(row)])?;
    page.json(
        "raster-about",
        &json!({ "range_s": range_s, "whole": whole }),
    )
}

/// Tables and curves of every unit, and of pairs that look alike.
fn units(page: &mut Blocks<'_>, sources: &Sources<'_>) -> Outcome {
    let info = sources.recording.info();
    let units = Units::new(
        sources.result,
        info.sampling_frequency_hz,
        info.duration_s(),
    );
    let ids: Vec<usize> = (0..sources.result.units.len()).collect();
    let mut summaries = Vec::with_capacity(ids.len());
    let rows = ids.chunks(UNITS_TOGETHER).flat_map(|ids| {
        let made: Vec<(Value, Row)> = ids.par_iter().map(|&id| units.unit(id)).collect();
        made.into_iter()
            .map(|(summary, row)| {
                summaries.push(summary);
                Ok(row)
            })
            .collect::<Vec<_>>()
    });
    page.rows("unit-rows", &units.layout(), rows)?;
    page.list("units", &summaries)?;
    let (layout, row) = units.rates();
    page.rows("rates", &layout, [Ok(row)])?;
    page.json("unit-about", &units.about())?;
    let alike = pairs(sources.similarity, sources.result.units.len());
    let mut described = Vec::with_capacity(alike.len());
    let rows = alike.chunks(UNITS_TOGETHER).flat_map(|alike| {
        let made: Vec<(Value, Row)> = alike.par_iter().map(|pair| units.pair(pair)).collect();
        made.into_iter()
            .map(|(pair, row)| {
                described.push(pair);
                Ok(row)
            })
            .collect::<Vec<_>>()
    });
    page.rows("pair-rows", &Units::pair_layout(), rows)?;
    page.list("pairs", &described)
}
