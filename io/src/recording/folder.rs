//! somata's own input folder: `recording.bin` + `recording.json` + `probe.json`.
//!
//! `recording.json` has `sampling_frequency` (Hz), `n_channels`, `dtype`, and optionally `gain_uv` and `offset_uv` (a number, or
//! one a channel), `n_samples` (checked against the file), `channel_ids` and `offset_bytes`. `probe.json` is probeinterface's.

use std::path::Path;

use serde_json::Value;

use super::flat::{FlatParts, FlatReader, numbered_ids, probe_from, read_json, whole_file_span};
use super::frames::{StoredFormat, file_size_bytes, whole_frames};
use super::{OpenOptions, RecordingReader};
use crate::error::IoError;

/// Opens the folder `path`.
///
/// # Errors
/// When a file or key is missing, or the samples do not fit what `recording.json` says.
pub fn open(path: &Path, options: &OpenOptions) -> Result<Box<dyn RecordingReader>, IoError> {
    let json_path = path.join("recording.json");
    let data_path = path.join("recording.bin");
    let json = read_json(&json_path)?;
    let rate = number(&json_path, &json, "sampling_frequency")?;
    let n_channels =
        whole_number(&json_path, &json, "n_channels")?.filter(|n| (1..=1 << 20).contains(n));
    let n_channels = match (n_channels, json.get("n_channels")) {
        (Some(n), _) => n as usize,
        (None, Some(value)) => {
            return Err(IoError::bad_value(
                &json_path,
                "n_channels",
                value,
                "1 to 1,048,576",
            ));
        }
        (None, None) => return Err(IoError::missing_key(&json_path, "n_channels")),
    };
    let dtype = json
        .get("dtype")
        .ok_or_else(|| IoError::missing_key(&json_path, "dtype"))?;
    let stored = dtype
        .as_str()
        .and_then(StoredFormat::from_numpy_name)
        .ok_or_else(|| IoError::UnknownDtype {
            path: json_path.clone(),
            dtype: plain(dtype),
        })?;
    let offset_bytes = whole_number(&json_path, &json, "offset_bytes")?
        .or(options.offset_bytes)
        .unwrap_or(0);
    let size_bytes = file_size_bytes(&data_path)?;
    let truncated = |expected_bytes| IoError::Truncated {
        path: data_path.clone(),
        expected_bytes,
        found_bytes: size_bytes,
    };
    let data_bytes = size_bytes
        .checked_sub(offset_bytes)
        .ok_or_else(|| truncated(offset_bytes))?;
    let frame_bytes = (n_channels * stored.size_bytes()) as u64;
    let n_samples = whole_frames(&data_path, data_bytes, n_channels, stored)?;
    if let Some(promised) = whole_number(&json_path, &json, "n_samples")? {
        if promised > n_samples {
            return Err(truncated(
                promised
                    .saturating_mul(frame_bytes)
                    .saturating_add(offset_bytes),
            ));
        }
        if promised < n_samples {
            return Err(IoError::bad_value(
                &json_path,
                "n_samples",
                promised,
                &format!("{n_samples}, as the file has"),
            ));
        }
    }
    let (spans, segments) = whole_file_span(offset_bytes, frame_bytes, n_samples);
    let mut warnings = Vec::new();
    if json.get("gain_uv").is_none_or(Value::is_null) && options.gain_uv.is_none() {
        warnings.push("`recording.json` has no `gain_uv`: one step is taken as 1 µV".to_owned());
    }
    let parts = FlatParts {
        format: "somata folder",
        data_paths: vec![data_path],
        sampling_frequency_hz: rate,
        stored,
        n_channels_stored: n_channels,
        columns: (0..n_channels).collect(),
        channel_ids: channel_ids(&json_path, json.get("channel_ids"), n_channels)?,
        gains_uv: per_channel(&json_path, &json, "gain_uv", n_channels, 1.0)?,
        offsets_uv: per_channel(&json_path, &json, "offset_uv", n_channels, 0.0)?,
        spans,
        segments,
        sample_delay: None,
        probe: probe_from(options, &[path.join("probe.json")])?,
        warnings,
        other_paths: vec![json_path],
    };
    Ok(Box::new(FlatReader::new(parts, options)?))
}

/// A value as the user would read it, without JSON's quotes.
fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// A number that must be there.
pub(crate) fn number(path: &Path, json: &Value, key: &str) -> Result<f64, IoError> {
    let value = json
        .get(key)
        .ok_or_else(|| IoError::missing_key(path, key))?;
    value
        .as_f64()
        .ok_or_else(|| IoError::bad_value(path, key, value, "a number"))
}

/// A whole number that may be absent or null.
pub(crate) fn whole_number(path: &Path, json: &Value, key: &str) -> Result<Option<u64>, IoError> {
    match json.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match (value.as_u64(), value.as_f64()) {
            (Some(n), _) => Ok(Some(n)),
            // Python writers sometimes leave a whole number as 64.0.
            (None, Some(n)) if n >= 0.0 && n.fract() == 0.0 && n < 2f64.powi(53) => {
                Ok(Some(n as u64))
            }
            _ => Err(IoError::bad_value(
                path,
                key,
                value,
                "a whole number, 0 or more",
            )),
        },
    }
}

/// One number for all channels, or a list with one a channel; `NaN` (which JSON cannot hold) is caught by the description's check.
pub(crate) fn per_channel(
    path: &Path,
    json: &Value,
    key: &str,
    n_channels: usize,
    default: f32,
) -> Result<Vec<f32>, IoError> {
    match json.get(key) {
        None | Some(Value::Null) => Ok(vec![default; n_channels]),
        Some(Value::Array(values)) => values
            .iter()
            .map(|value| {
                let number = value
                    .as_f64()
                    .ok_or_else(|| IoError::bad_value(path, key, value, "a list of numbers"))?;
                Ok(number as f32)
            })
            .collect(),
        Some(value) => {
            let number = value
                .as_f64()
                .ok_or_else(|| IoError::bad_value(path, key, value, "a number"))?;
            Ok(vec![number as f32; n_channels])
        }
    }
}

/// Names of channels, texts or numbers; `0`, `1` … where there are none.
pub(crate) fn channel_ids(
    path: &Path,
    value: Option<&Value>,
    n_channels: usize,
) -> Result<Vec<String>, IoError> {
    match value {
        None | Some(Value::Null) => Ok(numbered_ids(n_channels)),
        Some(Value::Array(ids)) if ids.len() == n_channels => Ok(ids.iter().map(plain).collect()),
        Some(value) => Err(IoError::bad_value(
            path,
            "channel_ids",
            value,
            &format!("a list of {n_channels} names, one a channel"),
        )),
    }
}
