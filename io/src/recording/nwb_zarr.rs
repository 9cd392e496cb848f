//! NWB files in Zarr, as hdmf-zarr writes them: an `ElectricalSeries` with its rows of the table of electrodes.
//!
//! Given is the store, when it holds one `ElectricalSeries` under `acquisition`, or the series' own folder in it. Volts become
//! microvolts: data × `conversion` (× `channel_conversion`) + `offset`. Places are `rel_x` and `rel_y` of the table of electrodes,
//! else `x` and `y`; each `group_name` is a shank. Source: the NWB schema 2.5 to 2.9, and stores written by hdmf-zarr 0.13.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::zarr_samples::{ZarrParts, ZarrRecording, per_channel, samples_and_channels};
use super::{OpenOptions, RecordingReader};
use crate::error::IoError;
use crate::probe::probeinterface_json::Room;
use crate::probe::{self, Contact, Probe};
use crate::zarr::{Node, NodeKind, ZarrArray};

/// The table of electrodes, below the root.
const ELECTRODES: &str = "general/extracellular_ephys/electrodes";
/// Rows of the table of electrodes at most.
const MAX_ELECTRODES: usize = 1 << 20;
/// Folders above a series in which the root is searched.
const MAX_DEPTH: usize = 8;

/// The type that NWB gives a group.
fn neurodata_type(node: &Node) -> Option<&str> {
    node.attributes
        .get("neurodata_type")
        .and_then(Value::as_str)
}

/// Whether a group is the root of an NWB file.
pub(crate) fn is_nwb(root: &Node) -> bool {
    root.kind == NodeKind::Group
        && (neurodata_type(root) == Some("NWBFile") || root.attributes.contains_key("nwb_version"))
}

/// Whether a group is a series of voltages.
pub(crate) fn is_electrical_series(node: &Node) -> bool {
    node.kind == NodeKind::Group && neurodata_type(node) == Some("ElectricalSeries")
}

/// Opens the store at `path`, or the series at `path` inside of one.
///
/// # Errors
/// When there is no series or more than one, an array or attribute is missing or damaged, or a codec or version is not read.
pub fn open(path: &Path, options: &OpenOptions) -> Result<Box<dyn RecordingReader>, IoError> {
    let given = Node::open(path)?;
    let (root, series) = if is_electrical_series(&given) {
        (root_above(path)?, given)
    } else {
        let series = only_series(&given)?;
        (Some(given), series)
    };
    let bad_attribute = |node: &Node, key: &str, value: &Value| {
        IoError::bad_value(&node.attributes_path(), key, value, "a number")
    };
    let needed = |name: &str| -> Result<Node, IoError> {
        series
            .child(name)?
            .ok_or_else(|| IoError::missing_key(&series.json_path, name))
    };
    let data = needed("data")?;
    // Attributes that are absent have the schema's values.
    let number = |node: &Node, key: &str, default: f64| match node.attributes.get(key) {
        None | Some(Value::Null) => Ok(default),
        Some(value) => value
            .as_f64()
            .ok_or_else(|| bad_attribute(node, key, value)),
    };
    let conversion = number(&data, "conversion", 1.0)?;
    let offset = number(&data, "offset", 0.0)?;
    let array = ZarrArray::of(data)?;
    let (_, n_channels) = samples_and_channels(&array)?;
    let (rate, start_time_s) = rate_and_start(&series)?;
    let conversions = per_channel(
        series
            .child("channel_conversion")?
            .map(ZarrArray::of)
            .transpose()?,
        n_channels,
    )?;
    let gain = |channel: usize| {
        let of_channel = conversions
            .as_ref()
            .map_or(1.0, |conversions| conversions[channel]);
        (conversion * of_channel * 1e6) as f32
    };
    let mut warnings = Vec::new();
    let rows: Vec<usize> = match series.child("electrodes")?.map(ZarrArray::of).transpose()? {
        Some(list) => {
            let numbers = list.read_numbers(n_channels)?;
            // A row that is no row is found when it is looked up.
            numbers.iter().map(|&number| number as usize).collect()
        }
        None => Vec::new(),
    };
    let table = match &root {
        Some(root) => root.child(ELECTRODES)?,
        None => None,
    };
    let table = table.map(|node| Table {
        node,
        rows,
        n_channels,
    });
    let channel_ids = match &table {
        Some(table) => match table.texts("channel_name")? {
            Some(names) => Some(names),
            None => table.texts("id")?,
        },
        None => None,
    };
    let own_probe = match &table {
        Some(table) => table.probe(channel_ids.as_deref(), &mut warnings)?,
        None => None,
    };
    let probe = match &options.probe {
        Some(path) => Some((probe::read(path)?, path.clone())),
        None => own_probe,
    };
    let sample_delay = match &table {
        Some(table) => table.numbers("inter_sample_shift")?,
        None => None,
    };
    let parts = ZarrParts {
        format: "NWB Zarr",
        store: root
            .as_ref()
            .map_or_else(|| path.to_owned(), |root| root.folder.clone()),
        sampling_frequency_hz: rate,
        segments: vec![array],
        start_times_s: vec![start_time_s],
        channel_ids: channel_ids.unwrap_or_else(|| super::flat::numbered_ids(n_channels)),
        gains_uv: (0..n_channels).map(gain).collect(),
        offsets_uv: vec![(offset * 1e6) as f32; n_channels],
        sample_delay: sample_delay
            .map(|delays| delays.into_iter().map(|delay| delay as f32).collect()),
        probe,
        warnings,
    };
    Ok(Box::new(ZarrRecording::new(parts, options)?))
}

/// The root of the store that a series lies in.
fn root_above(path: &Path) -> Result<Option<Node>, IoError> {
    let path = std::path::absolute(path).map_err(|source| IoError::read(path, source))?;
    for folder in path.ancestors().skip(1).take(MAX_DEPTH) {
        if !crate::zarr::is_store(folder) {
            return Ok(None);
        }
        let node = Node::open(folder)?;
        if is_nwb(&node) {
            return Ok(Some(node));
        }
    }
    Ok(None)
}

/// The one `ElectricalSeries` under `acquisition`.
fn only_series(root: &Node) -> Result<Node, IoError> {
    let acquisition = root.child("acquisition")?;
    let acquisition =
        acquisition.ok_or_else(|| IoError::missing_key(&root.json_path, "acquisition"))?;
    let mut found = Vec::new();
    for name in acquisition.child_names()? {
        if let Some(node) = acquisition.child(&name)?
            && is_electrical_series(&node)
        {
            found.push(node);
        }
    }
    if found.len() > 1 {
        return Err(IoError::Ambiguous {
            path: root.folder.clone(),
            candidates: found
                .iter()
                .map(|node| format!("`{}`", node.folder.display()))
                .collect(),
        });
    }
    found.pop().ok_or_else(|| IoError::Unrecognised {
        path: root.folder.clone(),
        seen: "it is NWB, but has no `ElectricalSeries` under `acquisition`".to_owned(),
    })
}

/// Sampling rate in Hz, and when the first sample was taken in seconds: from `starting_time`, or from the first and the last of
/// `timestamps`.
fn rate_and_start(series: &Node) -> Result<(f64, Option<f64>), IoError> {
    if let Some(node) = series.child("starting_time")? {
        let rate = node.attributes.get("rate");
        let rate = rate.ok_or_else(|| IoError::missing_key(&node.attributes_path(), "rate"))?;
        let expected =
            || IoError::bad_value(&node.attributes_path(), "rate", rate, "a number of Hz");
        let rate = rate.as_f64().ok_or_else(expected)?;
        let start = ZarrArray::of(node)?.read_numbers(1)?;
        return Ok((rate, start.first().copied()));
    }
    let Some(node) = series.child("timestamps")? else {
        return Err(IoError::missing_key(&series.json_path, "starting_time"));
    };
    let times = ZarrArray::of(node)?;
    let data_type = times.metadata().data_type;
    let (&[n], Some(zero)) = (times.shape(), data_type.bytes_of(0.0)) else {
        let expected = "one list of times";
        return Err(IoError::bad_value(
            times.path(),
            "shape",
            format!("{:?}", times.shape()),
            expected,
        ));
    };
    if n < 2 {
        return Err(IoError::bad_value(
            times.path(),
            "shape",
            n,
            "two times or more, from which the rate follows",
        ));
    }
    let time = |place: u64| -> Result<f64, IoError> {
        let mut bytes = vec![0; zero.len()];
        times.read_region(&[place], &[1], &mut bytes)?;
        Ok(data_type.number(&bytes).unwrap_or(f64::NAN))
    };
    let (first, last) = (time(0)?, time(n - 1)?);
    Ok(((n - 1) as f64 / (last - first), Some(first)))
}

/// The table of electrodes, and which of its rows are channels.
struct Table {
    node: Node,
    rows: Vec<usize>,
    n_channels: usize,
}

impl Table {
    fn column(&self, name: &str) -> Result<Option<ZarrArray>, IoError> {
        self.node.child(name)?.map(ZarrArray::of).transpose()
    }

    /// Values of a column, one a channel.
    fn pick<T: Clone>(&self, array: &ZarrArray, values: &[T]) -> Result<Vec<T>, IoError> {
        if self.rows.len() != self.n_channels {
            let expected = format!("{} rows of electrodes, one a channel", self.n_channels);
            return Err(IoError::bad_value(
                &self.node.json_path,
                "electrodes",
                self.rows.len(),
                &expected,
            ));
        }
        let value = |&row: &usize| {
            let expected = format!(
                "at most {}, the last row of the table",
                values.len().saturating_sub(1)
            );
            values
                .get(row)
                .cloned()
                .ok_or_else(|| IoError::bad_value(array.path(), "row", row, &expected))
        };
        self.rows.iter().map(value).collect()
    }

    fn numbers(&self, name: &str) -> Result<Option<Vec<f64>>, IoError> {
        let Some(array) = self.column(name)? else {
            return Ok(None);
        };
        let values = array.read_numbers(MAX_ELECTRODES)?;
        self.pick(&array, &values).map(Some)
    }

    fn texts(&self, name: &str) -> Result<Option<Vec<String>>, IoError> {
        let Some(array) = self.column(name)? else {
            return Ok(None);
        };
        let values = array.read_texts(MAX_ELECTRODES)?;
        self.pick(&array, &values).map(Some)
    }

    /// The probe and the file that it came from; `None` where the table has no places, or unknown ones.
    fn probe(
        &self,
        ids: Option<&[String]>,
        warnings: &mut Vec<String>,
    ) -> Result<Option<(Probe, PathBuf)>, IoError> {
        let mut places = None;
        for (x, y) in [("rel_x", "rel_y"), ("x", "y")] {
            if let (Some(x), Some(y)) = (self.numbers(x)?, self.numbers(y)?)
                && x.iter().chain(&y).all(|place| place.is_finite())
            {
                places = Some((x, y));
                break;
            }
        }
        let Some((x, y)) = places else {
            return Ok(None);
        };
        let names = self.texts("group_name")?;
        let mut unique: Vec<&String> = names.iter().flatten().collect();
        unique.sort();
        unique.dedup();
        let shank = |channel: usize| {
            let name = names.as_ref().map(|names| &names[channel]);
            name.and_then(|name| unique.binary_search(&name).ok())
                .unwrap_or(0)
        };
        // Relative places are those within a group: groups that overlap are drawn apart.
        let mut of_shanks: BTreeMap<usize, Vec<Contact>> = BTreeMap::new();
        for channel in 0..self.n_channels {
            of_shanks.entry(shank(channel)).or_default().push(Contact {
                id: ids.map_or_else(|| channel.to_string(), |ids| ids[channel].clone()),
                x_um: x[channel],
                y_um: y[channel],
                shank: shank(channel),
                channel,
            });
        }
        let (mut contacts, mut room) = (Vec::new(), Room::empty());
        for (_, mut added) in of_shanks {
            room.place(&mut added);
            contacts.extend(added);
        }
        let probe = Probe::new(contacts, String::new());
        let path = self.node.attributes_path();
        // Writers that know no places put the same one, mostly 0, for all.
        if probe.validate_geometry(&path).is_err() {
            warnings.push(
                "the table of electrodes has several at one place: its places are ignored"
                    .to_owned(),
            );
            return Ok(None);
        }
        Ok(Some((probe, path)))
    }
}
