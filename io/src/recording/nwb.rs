//! NWB recordings: an `ElectricalSeries` of an HDF5 file, with its electrodes.
//!
//! Channels are what the series' `electrodes` name, in that order, out of the electrodes' table. A step is `conversion` ×
//! `channel_conversion` volts, and `offset` is in volts. Positions are the columns `rel_x` and `rel_y`, else `x` and `y`, in µm; each
//! electrode group is a shank. A pause in the timestamps begins a new segment. Ids, gains and positions are those that
//! SpikeInterface's reader gives.

use std::path::Path;

use super::facts::{Facts, SourceReader};
use super::flat::probe_from;
use super::hdf5_frames::DatasetFrames;
use super::streams::choose;
use super::{OpenOptions, RecordingReader, SampleType, Segment};
use crate::error::IoError;
use crate::hdf5::{Hdf5File, Object, Value};
use crate::nwb::clock::{self, Clock};
use crate::nwb::{Series, find_series, others, usual};
use crate::probe::{Contact, Probe};

/// Types of series that are recordings.
pub(crate) const TYPES: [&str; 1] = ["ElectricalSeries"];

/// Rows of the electrodes' table at most.
const MAX_ELECTRODES: u64 = 1 << 20;

/// Between electrode groups whose positions are each relative to themselves.
const GROUP_DISTANCE_UM: f64 = 1000.0;

/// Opens the file `path`.
///
/// # Errors
/// When it has no series, several of which none was chosen, one without a regular clock, or is damaged.
pub fn open(path: &Path, options: &OpenOptions) -> Result<Box<dyn RecordingReader>, IoError> {
    let file = Hdf5File::open(path)?;
    let series = find_series(&file.root()?, &TYPES)?;
    if series.is_empty() {
        return Err(IoError::missing_key(path, "ElectricalSeries"));
    }
    let names: Vec<String> = series.iter().map(|one| one.name.clone()).collect();
    let chosen = choose(path, &names, &usual(&series), options.stream.as_deref())?;
    let mut warnings = Vec::new();
    if options.stream.is_none() {
        warnings.extend(others(&series, chosen, "--stream"));
    }
    let Series { object, name } = &series[chosen];
    let data = object
        .member("data")?
        .ok_or_else(|| IoError::missing_key(path, &format!("{name}/data")))?;
    let attributes = data.attributes()?;
    let frames = DatasetFrames::new(data.dataset()?, false)?;
    let n_channels = frames.n_channels();
    let electrodes = Electrodes::read(&file, object, n_channels, frames.n_samples())?;
    let clock = clock::read(object, frames.n_samples())?;
    let Clock { rate_hz, stretches } = match (clock, options.sampling_frequency_hz) {
        (Some(clock), _) => clock,
        (None, Some(rate_hz)) => Clock {
            rate_hz,
            stretches: vec![(0, 0.0)],
        },
        (None, None) => {
            return Err(IoError::Unsupported {
                path: path.to_owned(),
                what: format!("`{name}` has neither a rate nor timestamps"),
                hint: "give the rate with `--sampling-frequency`".to_owned(),
            });
        }
    };
    let number = |key: &str| attributes.get(key).and_then(Value::number);
    let conversion = number("conversion").unwrap_or(1.0);
    let gains = electrodes.gains_uv(path, object, conversion)?;
    let offset = number("offset").unwrap_or(0.0);
    let is_integer = frames.sample_type() != SampleType::F32;
    if is_integer && options.gain_uv.is_none() && gains.iter().any(|gain| gain.abs() > 1000.0) {
        warnings.push(format!(
            "one step of `{name}` is {} V by its `conversion`: it may be missing, give the right one with `--gain-uv`",
            gains[0] / 1e6
        ));
    }
    let probe = match probe_from(options, &[])? {
        Some(probe) => Some(probe),
        None => electrodes
            .probe(&mut warnings)
            .map(|probe| (probe, path.to_owned())),
    };
    let facts = Facts {
        format: "NWB",
        paths: vec![path.to_owned()],
        sampling_frequency_hz: rate_hz,
        sample_type: frames.sample_type(),
        channel_ids: electrodes.ids(),
        gains_uv: gains.iter().map(|&gain| gain as f32).collect(),
        offsets_uv: electrodes.offsets_uv(offset),
        segments: segments(&stretches, frames.n_samples()),
        sample_delay: None,
        probe,
        raw: None,
        warnings,
    };
    Ok(Box::new(SourceReader::new(
        facts.describe(options)?,
        frames,
    )))
}

/// Stretches between pauses as segments.
fn segments(stretches: &[(u64, f64)], n_samples: u64) -> Vec<Segment> {
    let ends = stretches
        .iter()
        .skip(1)
        .map(|&(start, _)| start)
        .chain([n_samples]);
    stretches
        .iter()
        .zip(ends)
        .map(|(&(start_sample, start_time_s), end)| Segment {
            start_sample,
            n_samples: end - start_sample,
            start_time_s,
        })
        .collect()
}

/// The rows of the electrodes' table that a series uses.
struct Electrodes {
    /// Row of each channel.
    rows: Vec<usize>,
    /// The table, when there is one.
    table: Option<Object>,
    /// Columns that are looked at, in the order of channels.
    names: Option<Vec<String>>,
    groups: Option<Vec<String>>,
    offsets: Option<Vec<f64>>,
    /// Names of the columns that hold positions, and the positions.
    places: Option<([&'static str; 2], Vec<[f64; 2]>)>,
}

impl Electrodes {
    fn read(
        file: &Hdf5File,
        series: &Object,
        n_channels: usize,
        n_samples: u64,
    ) -> Result<Electrodes, IoError> {
        let path = file.path();
        let mut found = Electrodes {
            rows: (0..n_channels).collect(),
            table: None,
            names: None,
            groups: None,
            offsets: None,
            places: None,
        };
        let Some(region) = series.member("electrodes")? else {
            return Ok(found);
        };
        let key = region.path().to_owned();
        let Value::Numbers(rows) = region.dataset()?.value(MAX_ELECTRODES)? else {
            return Err(IoError::bad_value(
                path,
                &key,
                "of another type",
                "row numbers",
            ));
        };
        if rows.len() != n_channels {
            let hint = if rows.len() as u64 == n_samples {
                " (the data are stored with channels first: NWB wants time first)"
            } else {
                ""
            };
            let expected = format!("one a channel, {n_channels}{hint}");
            return Err(IoError::bad_value(
                path,
                &key,
                format!("{} rows", rows.len()),
                &expected,
            ));
        }
        let table = match region.attribute("table")? {
            Some(Value::References(addresses)) => match addresses.first() {
                Some(&Some(address)) => Some(file.object_at(address, "electrodes")?),
                _ => None,
            },
            _ => None,
        };
        let table = match table {
            Some(table) => Some(table),
            None => file.find("general/extracellular_ephys/electrodes")?,
        };
        let Some(table) = table else {
            return Err(IoError::missing_key(
                path,
                "general/extracellular_ephys/electrodes",
            ));
        };
        found.rows = rows.iter().map(|&row| row.max(0.0) as usize).collect();
        found.names = match column(&table, "channel_name")? {
            Some(Value::Texts(names)) => Some(found.pick(path, &names)?),
            _ => match column(&table, "id")? {
                Some(Value::Numbers(ids)) => {
                    let ids: Vec<String> = ids.iter().map(f64::to_string).collect();
                    Some(found.pick(path, &ids)?)
                }
                _ => None,
            },
        };
        found.groups = match column(&table, "group_name")? {
            Some(Value::Texts(groups)) => Some(found.pick(path, &groups)?),
            _ => None,
        };
        found.offsets = match column(&table, "offset")? {
            Some(Value::Numbers(offsets)) => Some(found.pick(path, &offsets)?),
            _ => None,
        };
        for names in [["rel_x", "rel_y"], ["x", "y"]] {
            if let (Some(Value::Numbers(x)), Some(Value::Numbers(y))) =
                (column(&table, names[0])?, column(&table, names[1])?)
            {
                let (x, y) = (found.pick(path, &x)?, found.pick(path, &y)?);
                let places = x.into_iter().zip(y).map(|(x, y)| [x, y]).collect();
                found.places = Some((names, places));
                break;
            }
        }
        found.table = Some(table);
        Ok(found)
    }

    /// The channels' values of a column.
    fn pick<T: Clone>(&self, path: &Path, column: &[T]) -> Result<Vec<T>, IoError> {
        let picked = self.rows.iter().map(|&row| column.get(row).cloned());
        picked.collect::<Option<Vec<T>>>().ok_or_else(|| {
            IoError::bad_value(
                path,
                "electrodes",
                format!("row {}", self.rows.iter().max().unwrap_or(&0)),
                &format!("a row of the electrodes' table, which has {}", column.len()),
            )
        })
    }

    fn ids(&self) -> Vec<String> {
        match &self.names {
            Some(names) => names.clone(),
            None => self.rows.iter().map(usize::to_string).collect(),
        }
    }

    /// Microvolts a step of each channel.
    fn gains_uv(&self, path: &Path, series: &Object, conversion: f64) -> Result<Vec<f64>, IoError> {
        let n_channels = self.rows.len();
        let Some(each) = series.member("channel_conversion")? else {
            return Ok(vec![conversion * 1e6; n_channels]);
        };
        match each.dataset()?.value(MAX_ELECTRODES)? {
            Value::Numbers(each) if each.len() == n_channels => {
                Ok(each.iter().map(|one| conversion * one * 1e6).collect())
            }
            other => Err(IoError::bad_value(
                path,
                each.path(),
                format!("of length {}", other.len()),
                &format!("one number a channel, {n_channels}"),
            )),
        }
    }

    /// Microvolts at sample value zero: of the series, else of the electrodes.
    fn offsets_uv(&self, offset: f64) -> Vec<f32> {
        match &self.offsets {
            Some(offsets) if offset == 0.0 => {
                offsets.iter().map(|&one| (one * 1e6) as f32).collect()
            }
            _ => vec![(offset * 1e6) as f32; self.rows.len()],
        }
    }

    /// The probe, when positions tell the electrodes apart; else a warning.
    fn probe(&self, warnings: &mut Vec<String>) -> Option<Probe> {
        let (columns, places) = self.places.as_ref()?;
        if places.iter().flatten().any(|place| !place.is_finite()) {
            warnings.push(format!(
                "some electrodes have no position in `{}` and `{}`: positions are not used",
                columns[0], columns[1]
            ));
            return None;
        }
        let groups = self.groups.clone().unwrap_or_default();
        let mut names: Vec<&String> = Vec::new();
        for group in &groups {
            if !names.contains(&group) {
                names.push(group);
            }
        }
        let shank = |channel: usize| {
            groups
                .get(channel)
                .and_then(|group| names.iter().position(|&name| name == group))
                .unwrap_or(0)
        };
        let same_place = |across_groups: bool| {
            let mut sorted: Vec<(u64, u64, usize)> = places
                .iter()
                .enumerate()
                .map(|(channel, place)| {
                    // 0.0 and -0.0 are one place.
                    let [x, y] = place.map(|at| (at + 0.0).to_bits());
                    (x, y, if across_groups { 0 } else { shank(channel) })
                })
                .collect();
            sorted.sort_unstable();
            sorted.array_windows().any(|[a, b]| a == b)
        };
        if same_place(false) {
            warnings.push(format!(
                "several electrodes are at one place by `{}` and `{}`: positions are not used",
                columns[0], columns[1]
            ));
            return None;
        }
        let mut distance = 0.0;
        if same_place(true) {
            let x = places.iter().map(|place| place[0]);
            distance =
                x.clone().fold(f64::MIN, f64::max) - x.fold(f64::MAX, f64::min) + GROUP_DISTANCE_UM;
            warnings.push(format!(
                "positions of the electrode groups are relative to each group: the groups are placed {distance} µm apart along x"
            ));
        }
        let ids = self.ids();
        let contacts = places
            .iter()
            .zip(ids)
            .enumerate()
            .map(|(channel, (place, id))| Contact {
                id,
                x_um: place[0] + distance * shank(channel) as f64,
                y_um: place[1],
                shank: shank(channel),
                channel,
            });
        Some(Probe::new(contacts.collect(), String::new()))
    }
}

/// A column of the electrodes' table with one value a row.
fn column(table: &Object, name: &str) -> Result<Option<Value>, IoError> {
    let Some(column) = table.member(name)?.filter(Object::is_dataset) else {
        return Ok(None);
    };
    let column = column.dataset()?;
    if column.shape().len() != 1 {
        return Ok(None);
    }
    column.value(MAX_ELECTRODES).map(Some)
}
