//! A Zarr folder written by SpikeInterface's `recording.save(format="zarr")`, as AIND's compressed recordings are.
//!
//! The root has the attributes `sampling_frequency`, `num_segments` and `probegroup` (`probe` before 0.105), the arrays
//! `traces_segN` (`[samples, channels]`), `channel_ids`, `times_segN` (one a sample; only the first value is used) or `t_starts`, and
//! the group `properties` with arrays of one row a channel. Source: folders written by SpikeInterface 0.105.3, and its reader.

use std::path::Path;

use serde_json::Value;

use super::zarr_samples::{ZarrParts, ZarrRecording, per_channel, samples_and_channels};
use super::{OpenOptions, RecordingReader};
use crate::error::IoError;
use crate::probe::{self, Contact, Probe, probeinterface_json};
use crate::zarr::{Node, NodeKind, ZarrArray};

/// Segments at most.
const MAX_SEGMENTS: u64 = 100_000;

/// Whether a group is what SpikeInterface writes.
pub(crate) fn is_recording(root: &Node) -> bool {
    root.kind == NodeKind::Group
        && root.folder.join("traces_seg0").is_dir()
        && root.attributes.contains_key("sampling_frequency")
}

/// Opens the store at `path`.
///
/// # Errors
/// When an attribute or array is missing or damaged, arrays do not fit each other, or a codec or version is not read.
pub fn open(path: &Path, options: &OpenOptions) -> Result<Box<dyn RecordingReader>, IoError> {
    let root = Node::open(path)?;
    let attributes_path = root.attributes_path();
    let attribute = |key: &str| {
        let value = root.attributes.get(key);
        value.ok_or_else(|| IoError::missing_key(&attributes_path, key))
    };
    let bad = |key: &str, expected: &str| {
        let value = root.attributes.get(key).unwrap_or(&Value::Null);
        IoError::bad_value(&attributes_path, key, value, expected)
    };
    let rate = attribute("sampling_frequency")?.as_f64();
    let rate = rate.ok_or_else(|| bad("sampling_frequency", "a number"))?;
    let n_segments = attribute("num_segments")?
        .as_u64()
        .filter(|n| (1..=MAX_SEGMENTS).contains(n));
    let n_segments = n_segments.ok_or_else(|| bad("num_segments", "1 to 100,000"))?;
    let array = |group: &Node, name: &str| group.child(name)?.map(ZarrArray::of).transpose();
    let needed =
        |name: &str| array(&root, name)?.ok_or_else(|| IoError::missing_key(&root.json_path, name));
    let segments: Vec<ZarrArray> = (0..n_segments)
        .map(|segment| needed(&format!("traces_seg{segment}")))
        .collect::<Result<_, _>>()?;
    let (_, n_channels) = samples_and_channels(&segments[0])?;
    let t_starts = match array(&root, "t_starts")? {
        Some(starts) => starts.read_numbers(n_segments as usize)?,
        None => Vec::new(),
    };
    let start_times_s: Vec<Option<f64>> = (0..n_segments as usize)
        .map(|segment| {
            let first = match array(&root, &format!("times_seg{segment}"))? {
                Some(times) => first_number(&times)?,
                None => t_starts.get(segment).copied(),
            };
            Ok(first.filter(|time_s| time_s.is_finite()))
        })
        .collect::<Result<_, IoError>>()?;
    let properties = root.child("properties")?;
    let property = |name: &str| -> Result<Option<Vec<f64>>, IoError> {
        match &properties {
            Some(properties) => per_channel(array(properties, name)?, n_channels),
            None => Ok(None),
        }
    };
    let single = |numbers: Vec<f64>| {
        numbers
            .into_iter()
            .map(|number| number as f32)
            .collect::<Vec<f32>>()
    };
    let gains_uv = property("gain_to_uV")?.map(single);
    let offsets_uv = property("offset_to_uV")?.map(single);
    let mut warnings = Vec::new();
    if gains_uv.is_none() && options.gain_uv.is_none() {
        warnings.push("the store has no gains: one step is taken as 1 µV".to_owned());
    }
    let own_probe = ["probegroup", "probe"]
        .iter()
        .find_map(|key| root.attributes.get(*key).filter(|value| !value.is_null()));
    let probe = if let Some(path) = &options.probe {
        Some((probe::read(path)?, path.clone()))
    } else if let Some(json) = own_probe {
        Some((
            probeinterface_json::parse(&attributes_path, json)?,
            attributes_path.clone(),
        ))
    } else {
        let location = match &properties {
            Some(properties) => array(properties, "location")?,
            None => None,
        };
        let groups = property("group").ok().flatten();
        location
            .map(|location| probe_from_locations(location, groups, n_channels))
            .transpose()?
            .map(|probe| (probe, attributes_path.clone()))
    };
    let parts = ZarrParts {
        format: "SpikeInterface Zarr",
        store: path.to_owned(),
        sampling_frequency_hz: rate,
        segments,
        start_times_s,
        channel_ids: needed("channel_ids")?.read_texts(n_channels)?,
        gains_uv: gains_uv.unwrap_or_else(|| vec![1.0; n_channels]),
        offsets_uv: offsets_uv.unwrap_or_else(|| vec![0.0; n_channels]),
        sample_delay: property("inter_sample_shift")?.map(single),
        probe,
        warnings,
    };
    Ok(Box::new(ZarrRecording::new(parts, options)?))
}

/// The first number of a list that may be long.
fn first_number(list: &ZarrArray) -> Result<Option<f64>, IoError> {
    let data_type = list.metadata().data_type;
    let (&[n], Some(bytes)) = (list.shape(), data_type.bytes_of(0.0)) else {
        let expected = "one list of numbers";
        return Err(IoError::bad_value(
            list.path(),
            "shape",
            format!("{:?}", list.shape()),
            expected,
        ));
    };
    if n == 0 {
        return Ok(None);
    }
    let mut first = vec![0; bytes.len()];
    list.read_region(&[0], &[1], &mut first)?;
    Ok(data_type.number(&first))
}

/// A probe from places of channels, `[channels, 2 or 3]` in µm, and their groups.
fn probe_from_locations(
    location: ZarrArray,
    groups: Option<Vec<f64>>,
    n_channels: usize,
) -> Result<Probe, IoError> {
    let n_axes = match *location.shape() {
        [n_rows, n_axes @ (2 | 3)] if n_rows == n_channels as u64 => n_axes as usize,
        _ => {
            let expected = format!("({n_channels}, 2)");
            return Err(IoError::bad_value(
                location.path(),
                "shape",
                format!("{:?}", location.shape()),
                &expected,
            ));
        }
    };
    let places = location.read_numbers(n_channels * n_axes)?;
    let contacts = (0..n_channels)
        .map(|channel| Contact {
            id: channel.to_string(),
            x_um: places[channel * n_axes],
            y_um: places[channel * n_axes + 1],
            // Group names beyond a page of shanks are no shanks.
            shank: groups
                .as_ref()
                .map_or(0, |groups| groups[channel].clamp(0.0, 65_535.0) as usize),
            channel,
        })
        .collect();
    Ok(Probe::new(contacts, String::new()))
}
