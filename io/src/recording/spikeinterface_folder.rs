//! A folder written by SpikeInterface's `recording.save(folder=…)` (format "binary").
//!
//! `binary.json` names the flat files (one a segment) and their layout; per-channel numbers lie in `properties/*.npy` and win over
//! the JSON's copies, as in SpikeInterface. The probe is `probe.json` or, since 0.104 or so, `probegroup.json`; before
//! probes were saved there was only `properties/location.npy`. `times_cached_segN.raw` holds one double a sample; only its first
//! value is used. Source: folders written by SpikeInterface 0.105.3 and its documentation.

use std::fs::File;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use super::flat::{FlatParts, FlatReader, probe_from, read_json};
use super::folder::{channel_ids, number, per_channel, whole_number};
use super::frames::{Span, StoredFormat, file_size_bytes, read_exact_at, whole_frames};
use super::{OpenOptions, RecordingReader, Segment};
use crate::error::IoError;
use crate::npy;
use crate::probe::{Contact, Probe};

/// Opens the folder `path`.
///
/// # Errors
/// When a file or key is missing, the samples are channel-major, or a file does not hold whole frames.
pub fn open(path: &Path, options: &OpenOptions) -> Result<Box<dyn RecordingReader>, IoError> {
    let json_path = path.join("binary.json");
    let json = read_json(&json_path)?;
    let kwargs = json.get("kwargs").unwrap_or(&json);
    let n_channels = match whole_number(&json_path, kwargs, "num_channels")?
        .or(whole_number(&json_path, kwargs, "num_chan")?)
    {
        Some(n) if (1..=1 << 20).contains(&n) => n as usize,
        Some(n) => {
            return Err(IoError::bad_value(
                &json_path,
                "num_channels",
                n,
                "1 to 1,048,576",
            ));
        }
        None => return Err(IoError::missing_key(&json_path, "num_channels")),
    };
    let rate = number(&json_path, kwargs, "sampling_frequency")?;
    let dtype = kwargs
        .get("dtype")
        .ok_or_else(|| IoError::missing_key(&json_path, "dtype"))?;
    let stored = dtype
        .as_str()
        .and_then(StoredFormat::from_numpy_name)
        .ok_or_else(|| IoError::UnknownDtype {
            path: json_path.clone(),
            dtype: dtype
                .as_str()
                .map_or_else(|| dtype.to_string(), str::to_owned),
        })?;
    if let Some(axis @ 1..) = whole_number(&json_path, kwargs, "time_axis")? {
        return Err(IoError::bad_value(
            &json_path,
            "time_axis",
            axis,
            "0 (samples of one time together)",
        ));
    }
    let offset_bytes = whole_number(&json_path, kwargs, "file_offset")?.unwrap_or(0);
    let data_paths = data_paths(path, &json_path, kwargs)?;
    let start_times_s = start_times_s(path, kwargs, data_paths.len());
    let frame_bytes = (n_channels * stored.size_bytes()) as u64;
    let (mut spans, mut segments, mut start_sample) = (Vec::new(), Vec::new(), 0u64);
    for (file, data_path) in data_paths.iter().enumerate() {
        let size_bytes = file_size_bytes(data_path)?;
        let data_bytes =
            size_bytes
                .checked_sub(offset_bytes)
                .ok_or_else(|| IoError::Truncated {
                    path: data_path.clone(),
                    expected_bytes: offset_bytes,
                    found_bytes: size_bytes,
                })?;
        let n_samples = whole_frames(data_path, data_bytes, n_channels, stored)?;
        spans.push(Span {
            file,
            offset_bytes,
            stride_bytes: frame_bytes,
            start_sample,
            n_samples,
        });
        let start_time_s = start_times_s[file].unwrap_or(start_sample as f64 / rate);
        segments.push(Segment {
            start_sample,
            n_samples,
            start_time_s,
        });
        start_sample += n_samples;
    }
    let properties = path.join("properties");
    let gains_uv = match property(&properties, "gain_to_uV", n_channels)? {
        Some(gains) => Some(gains),
        None if kwargs
            .get("gain_to_uV")
            .is_some_and(|value| !value.is_null()) =>
        {
            Some(per_channel(
                &json_path,
                kwargs,
                "gain_to_uV",
                n_channels,
                1.0,
            )?)
        }
        None => None,
    };
    let offsets_uv = match property(&properties, "offset_to_uV", n_channels)? {
        Some(offsets) => offsets,
        None => per_channel(&json_path, kwargs, "offset_to_uV", n_channels, 0.0)?,
    };
    let mut warnings = Vec::new();
    if gains_uv.is_none() && options.gain_uv.is_none() {
        warnings.push("the folder has no gains: one step is taken as 1 µV".to_owned());
    }
    let probe = match probe_from(
        options,
        &[path.join("probe.json"), path.join("probegroup.json")],
    )? {
        Some(found) => Some(found),
        None => probe_from_locations(&properties, n_channels)?,
    };
    let parts = FlatParts {
        format: "SpikeInterface folder",
        data_paths,
        other_paths: vec![json_path.clone()],
        sampling_frequency_hz: rate,
        stored,
        n_channels_stored: n_channels,
        columns: (0..n_channels).collect(),
        channel_ids: channel_ids(&json_path, kwargs.get("channel_ids"), n_channels)?,
        gains_uv: gains_uv.unwrap_or_else(|| vec![1.0; n_channels]),
        offsets_uv,
        spans,
        segments,
        sample_delay: property(&properties, "inter_sample_shift", n_channels)?,
        probe,
        warnings,
    };
    Ok(Box::new(FlatReader::new(parts, options)?))
}

/// The files of samples, which lie in the folder whatever the JSON says: a description that came from elsewhere must not lead to
/// other files of this machine. Of a path that leaves the folder, as that of a folder that was moved, the name counts.
fn data_paths(folder: &Path, json_path: &Path, kwargs: &Value) -> Result<Vec<PathBuf>, IoError> {
    let value = kwargs
        .get("file_paths")
        .ok_or_else(|| IoError::missing_key(json_path, "file_paths"))?;
    let bad = || IoError::bad_value(json_path, "file_paths", value, "a list of file names");
    let names = value.as_array().filter(|names| !names.is_empty());
    names
        .ok_or_else(bad)?
        .iter()
        .map(|name| {
            let name = Path::new(name.as_str().ok_or_else(bad)?);
            let here = folder.join(name.file_name().ok_or_else(bad)?);
            let stays = |part| matches!(part, Component::Normal(_) | Component::CurDir);
            let given = folder.join(name);
            let is_inside = name.components().all(stays) && given.is_file();
            Ok(if is_inside { given } else { here })
        })
        .collect()
}

/// When each segment starts: from `t_starts`, else the first value of its time file, else unknown.
fn start_times_s(folder: &Path, kwargs: &Value, n_segments: usize) -> Vec<Option<f64>> {
    let t_starts = kwargs.get("t_starts").and_then(Value::as_array);
    (0..n_segments)
        .map(|segment| {
            if let Some(start) = t_starts
                .and_then(|starts| starts.get(segment))
                .and_then(Value::as_f64)
            {
                return Some(start);
            }
            let file = File::open(folder.join(format!("times_cached_seg{segment}.raw"))).ok()?;
            let mut first = [0u8; 8];
            read_exact_at(&file, &mut first, 0).ok()?;
            Some(f64::from_le_bytes(first)).filter(|time_s| time_s.is_finite())
        })
        .collect()
}

/// One number a channel from `properties/NAME.npy`; `None` when there is no such file.
fn property(properties: &Path, name: &str, n_channels: usize) -> Result<Option<Vec<f32>>, IoError> {
    let path = properties.join(format!("{name}.npy"));
    if !path.is_file() {
        return Ok(None);
    }
    let array = npy::read_npy_as_f64(&path)?;
    if array.shape != [n_channels] {
        let expected = format!("({n_channels},), one number a channel");
        return Err(IoError::bad_value(
            &path,
            "shape",
            format!("{:?}", array.shape),
            &expected,
        ));
    }
    Ok(Some(
        array.data.into_iter().map(|value| value as f32).collect(),
    ))
}

/// A probe from `properties/location.npy` (`[channels, 2 or 3]`, µm) and `group.npy`.
fn probe_from_locations(
    properties: &Path,
    n_channels: usize,
) -> Result<Option<(Probe, PathBuf)>, IoError> {
    let path = properties.join("location.npy");
    if !path.is_file() {
        return Ok(None);
    }
    let array = npy::read_npy_as_f64(&path)?;
    let (rows, axes) = match array.shape[..] {
        [rows, axes] if rows == n_channels && axes >= 2 => (rows, axes),
        _ => {
            let expected = format!("({n_channels}, 2)");
            return Err(IoError::bad_value(
                &path,
                "shape",
                format!("{:?}", array.shape),
                &expected,
            ));
        }
    };
    let groups = property(properties, "group", n_channels).ok().flatten();
    let contacts = (0..rows)
        .map(|channel| Contact {
            id: channel.to_string(),
            x_um: array.data[channel * axes],
            y_um: array.data[channel * axes + 1],
            // A group without bounds would be no number of a shank.
            shank: groups
                .as_ref()
                .map_or(0, |groups| groups[channel].clamp(0.0, 65_535.0) as usize),
            channel,
        })
        .collect();
    Ok(Some((
        Probe {
            contacts,
            ..Probe::default()
        },
        path,
    )))
}
