//! The page of `somata compare` for two sortings: who is whom, how far they agree, and waveform, correlogram and rate of both sides.
//!
//! Either side may be a phy folder of any program; waveforms are shown where both have `templates_uv.npy`, which somata writes.

use std::path::Path;

use rayon::prelude::*;
use serde_json::{Value, json};
use somata_io::npy::read_npy;
use somata_validation::score::{SpikeTrains, phy_spikes::read_phy_labels, sorting::TwoSortings};

use super::{
    correlograms::{AUTO_BIN_MS, CROSS_BIN_MS, WINDOW_MS, auto_correlogram, cross_correlogram},
    name_of,
    page::{Blocks, Kind, write_page},
    rows::{Layout, Row, to_u8},
};
use crate::{commands::validate::phy_folder, exit::Outcome};

/// Channels on which a waveform is drawn, at most.
const WAVEFORM_CHANNELS: usize = 8;
/// Time bins of the firing rate.
const RATE_BINS: usize = 200;
/// Agreements below this are not drawn.
const LEAST_AGREEMENT: f64 = 0.02;
/// Agreements that are drawn, at most.
const MAX_AGREEMENTS: usize = 20_000;

/// One of the two sortings.
struct Side<'a> {
    path: &'a Path,
    trains: &'a SpikeTrains,
    labels: Vec<(i64, String)>,
    waveforms: Option<Waveforms>,
    duration_s: f64,
}

/// Templates in µV.
struct Waveforms {
    n_units: usize,
    taps: usize,
    n_channels: usize,
    /// `[unit, tap, channel]`.
    values: Vec<f32>,
    /// x and y, `[channel, 2]`, µm.
    positions: Vec<f32>,
}

impl Waveforms {
    /// Reads the templates of a folder; none where it has none that fit.
    fn read(phy: &Path, trains: &SpikeTrains) -> Option<Self> {
        let templates = read_npy::<f32>(&phy.join("templates_uv.npy")).ok()?;
        let positions = read_npy::<f32>(&phy.join("channel_positions.npy")).ok()?;
        let [n_units, taps, n_channels] = templates.shape[..] else {
            return None;
        };
        // Ids that curation made have no template.
        let fits = trains
            .unit_ids
            .iter()
            .all(|&id| (0..n_units as i64).contains(&id));
        (fits && taps > 0 && n_channels > 0 && positions.data.len() == 2 * n_channels).then_some(
            Self {
                n_units,
                taps,
                n_channels,
                values: templates.data,
                positions: positions.data,
            },
        )
    }

    /// The channels on which a unit is largest, and its values on them, `[channel, tap]`.
    fn strongest(&self, unit: usize) -> (Vec<usize>, Vec<f32>) {
        let values =
            &self.values[unit * self.taps * self.n_channels..][..self.taps * self.n_channels];
        let row = |c: usize| values.iter().skip(c).step_by(self.n_channels).copied();
        let size = |c: usize| row(c).fold(0.0, f32::max) - row(c).fold(0.0, f32::min);
        let sizes: Vec<f32> = (0..self.n_channels).map(size).collect();
        let mut order: Vec<usize> = (0..self.n_channels).collect();
        order.sort_by(|&a, &b| sizes[b].total_cmp(&sizes[a]).then(a.cmp(&b)));
        order.truncate(WAVEFORM_CHANNELS);
        let picked = order.iter().flat_map(|&c| row(c)).collect();
        (order, picked)
    }
}

/// Writes the page.
///
/// # Errors
/// When the file cannot be written, or labels cannot be read.
pub fn write(
    path: &Path,
    results: [&Path; 2],
    trains: [&SpikeTrains; 2],
    comparison: &TwoSortings,
) -> Outcome {
    let last_s = |trains: &SpikeTrains| {
        let last = trains.trains.iter().filter_map(|train| train.last()).max();
        last.map_or(0.0, |&sample| sample as f64 / trains.sampling_frequency_hz)
    };
    let duration_s = last_s(trains[0]).max(last_s(trains[1])).max(1e-3);
    let side = |k: usize| -> Outcome<Side<'_>> {
        let phy = phy_folder(results[k]);
        Ok(Side {
            path: results[k],
            trains: trains[k],
            labels: read_phy_labels(&phy)?,
            waveforms: Waveforms::read(&phy, trains[k]),
            duration_s,
        })
    };
    let sides = [side(0)?, side(1)?];
    let title = format!(
        "{} and {} · somata",
        name_of(results[0]),
        name_of(results[1])
    );
    write_page(path, Kind::TwoSortings, &title, |page| {
        page.json(
            "about",
            &json!({
                "duration_s": duration_s,
                "window_ms": WINDOW_MS,
                "auto_bin_ms": AUTO_BIN_MS,
                "cross_bin_ms": CROSS_BIN_MS,
                "mean_agreement": comparison.mean_agreement,
                "spike_agreement": comparison.spike_agreement,
                "version": env!("CARGO_PKG_VERSION"),
            }),
        )?;
        for (side, name) in sides.iter().zip(["first", "second"]) {
            side.write(page, name)?;
        }
        pairs(page, &sides, comparison)?;
        page.json("agreements", &agreements(comparison))
    })
}

impl Side<'_> {
    /// Units of a side: what is said of each, and curves.
    fn write(&self, page: &mut Blocks<'_>, name: &str) -> Outcome {
        let (channels, taps) = self
            .waveforms
            .as_ref()
            .map_or((0, 0), |w| (w.n_channels.min(WAVEFORM_CHANNELS), w.taps));
        let layout = Layout::default()
            .with::<u32>("auto", (WINDOW_MS / AUTO_BIN_MS) as usize)
            .with::<u8>("rate", RATE_BINS)
            .with::<i16>("waveform", channels * taps);
        let ids: Vec<usize> = (0..self.trains.n_units()).collect();
        let mut units = Vec::with_capacity(ids.len());
        let rows = ids.chunks(64).flat_map(|ids| {
            let made: Vec<(Value, Row)> = ids.par_iter().map(|&unit| self.unit(unit)).collect();
            made.into_iter()
                .map(|(unit, row)| {
                    units.push(unit);
                    Ok(row)
                })
                .collect::<Vec<_>>()
        });
        page.rows(&format!("{name}-rows"), &layout, rows)?;
        page.json(
            name,
            &json!({
                "name": name_of(self.path),
                "path": self.path,
                "sampling_frequency_hz": self.trains.sampling_frequency_hz,
                "taps": taps,
                "positions": self.waveforms.as_ref().map(|w| &w.positions),
                "units": units,
            }),
        )
    }

    fn unit(&self, unit: usize) -> (Value, Row) {
        let (train, fs) = (&self.trains.trains[unit], self.trains.sampling_frequency_hz);
        let id = self.trains.unit_ids[unit];
        let auto = auto_correlogram(train, fs);
        let bin_s = self.duration_s / RATE_BINS as f64;
        let mut counts = vec![0u32; RATE_BINS];
        for &sample in train {
            // The cast saturates: a spike before the start counts at the start.
            counts[((sample as f64 / fs / bin_s) as usize).min(RATE_BINS - 1)] += 1;
        }
        let most = f64::from(counts.iter().copied().max().unwrap_or(0));
        let (channels, waveform) = self
            .waveforms
            .as_ref()
            .filter(|w| (id as usize) < w.n_units)
            .map_or_else(Default::default, |w| w.strongest(id as usize));
        let largest = waveform
            .iter()
            .fold(f32::MIN_POSITIVE, |most, v| most.max(v.abs()));
        let label = self.labels.iter().find(|(own, _)| *own == id);
        let summary = json!({
            "id": id,
            "label": label.map(|(_, label)| label),
            "n_spikes": train.len(),
            "references": auto.n_references,
            "largest_rate_hz": most / bin_s,
            "channels": channels,
            "waveform_uv": largest,
        });
        let row = Row::default()
            .with("auto", auto.counts)
            .with(
                "rate",
                counts
                    .iter()
                    .map(|&count| to_u8(f64::from(count), 0.0, most)),
            )
            .with(
                "waveform",
                waveform
                    .iter()
                    .map(|v| (v / largest * 32767.0).round() as i16),
            );
        (summary, row)
    }
}

/// Units with their partners, and those that have none with the one that agrees most; cross-correlograms of the former.
fn pairs(page: &mut Blocks<'_>, sides: &[Side<'_>; 2], comparison: &TwoSortings) -> Outcome {
    let place = |side: usize, id: i64| {
        let ids = &sides[side].trains.unit_ids;
        ids.binary_search(&id).expect("a unit of this sorting")
    };
    let table = &comparison.agreement;
    let count = |row: usize, column: usize| comparison.match_counts.at(row, column);
    let mut listed: Vec<Value> = Vec::new();
    let mut partners = Vec::new();
    for pair in &comparison.pairs {
        let (row, column) = (place(0, pair.first_id), place(1, pair.second_id));
        partners.push((row, column));
        listed.push(json!({ "first": row, "second": column, "paired": true, "agreement": pair.agreement, "n_matches": pair.n_matches }));
    }
    for &id in &comparison.only_first {
        let row = place(0, id);
        let best =
            (0..table.n_columns).max_by(|&a, &b| table.at(row, a).total_cmp(&table.at(row, b)));
        let best = best.filter(|&column| count(row, column) > 0);
        listed.push(json!({ "first": row, "second": best, "paired": false, "only": "first",
            "agreement": best.map_or(0.0, |column| table.at(row, column)), "n_matches": best.map_or(0, |column| count(row, column)) }));
    }
    for &id in &comparison.only_second {
        let column = place(1, id);
        let best =
            (0..table.n_rows).max_by(|&a, &b| table.at(a, column).total_cmp(&table.at(b, column)));
        let best = best.filter(|&row| count(row, column) > 0);
        listed.push(json!({ "first": best, "second": column, "paired": false, "only": "second",
            "agreement": best.map_or(0.0, |row| table.at(row, column)), "n_matches": best.map_or(0, |row| count(row, column)) }));
    }
    page.list("pairs", &listed)?;
    let layout =
        Layout::default().with::<u32>("cross", 2 * (WINDOW_MS / CROSS_BIN_MS) as usize + 1);
    let fs = sides[0].trains.sampling_frequency_hz;
    let rows = partners.chunks(64).flat_map(|partners| {
        partners
            .par_iter()
            .map(|&(row, column)| {
                let (a, b) = (
                    &sides[0].trains.trains[row],
                    &sides[1].trains.trains[column],
                );
                Ok(Row::default().with("cross", cross_correlogram(a, b, fs).counts))
            })
            .collect::<Vec<_>>()
    });
    page.rows("cross-rows", &layout, rows)
}

/// First unit, second unit and agreement of all pairs that have some, most first.
fn agreements(comparison: &TwoSortings) -> Vec<(usize, usize, f64)> {
    let table = &comparison.agreement;
    let mut found: Vec<(usize, usize, f64)> = (0..table.n_rows)
        .flat_map(|row| (0..table.n_columns).map(move |column| (row, column)))
        .map(|(row, column)| (row, column, table.at(row, column)))
        .filter(|(_, _, agreement)| *agreement >= LEAST_AGREEMENT)
        .collect();
    found.sort_by(|a, b| b.2.total_cmp(&a.2));
    found.truncate(MAX_AGREEMENTS);
    for entry in &mut found {
        entry.2 = (entry.2 * 1000.0).round() / 1000.0;
    }
    found
}
