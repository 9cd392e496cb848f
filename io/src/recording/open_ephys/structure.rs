//! `structure.oebin`: the JSON that describes the streams of one Open Ephys recording.
//!
//! The keys have hardly changed from 0.4 to 1.0; `stream_name` came with 0.6. Source: Open Ephys' page "Binary Format".

use std::path::{Component, Path};

use serde_json::Value;

use crate::error::IoError;
use crate::recording::flat::read_json;
use crate::recording::folder::number;

/// What a channel carries.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(super) enum Kind {
    /// A signal of the brain.
    Neural,
    /// An accelerometer or other input of the headstage.
    Auxiliary,
    /// An analog input.
    Analog,
    /// Events written as samples.
    Sync,
}

/// One channel of a stream.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Channel {
    pub name: String,
    pub gain_uv: f64,
    pub kind: Kind,
}

/// One stream.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Stream {
    /// Its folder below `continuous`, which is also its name.
    pub folder: String,
    pub sampling_frequency_hz: f64,
    pub channels: Vec<Channel>,
}

impl Stream {
    /// Whether any channel carries a signal of the brain.
    pub fn is_neural(&self) -> bool {
        self.channels
            .iter()
            .any(|channel| channel.kind == Kind::Neural)
    }

    /// Whether this is the slow band of a probe whose fast band is another stream.
    pub fn is_lfp(&self) -> bool {
        self.folder.to_lowercase().ends_with("lfp")
    }
}

/// Reads the streams of a recording.
///
/// # Errors
/// When the file is no JSON, or a key is missing or makes no sense.
pub(super) fn read(path: &Path) -> Result<Vec<Stream>, IoError> {
    parse(path, &read_json(path)?)
}

/// The streams that a parsed `structure.oebin` names; `path` is for messages.
pub(super) fn parse(path: &Path, json: &Value) -> Result<Vec<Stream>, IoError> {
    let streams = list(path, json, "continuous")?;
    streams
        .iter()
        .map(|stream| parse_stream(path, stream))
        .collect()
}

fn parse_stream(path: &Path, json: &Value) -> Result<Stream, IoError> {
    let folder = text(path, json, "folder_name")?.trim_end_matches(['/', '\\']);
    let stays_inside = !folder.is_empty()
        && Path::new(folder)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
    if !stays_inside {
        let expected = "the name of a folder below `continuous`";
        return Err(IoError::bad_value(path, "folder_name", folder, expected));
    }
    let channels = list(path, json, "channels")?
        .iter()
        .map(|channel| parse_channel(path, channel))
        .collect::<Result<Vec<_>, _>>()?;
    if channels.is_empty() {
        return Err(IoError::bad_value(
            path,
            "channels",
            "[]",
            "at least one channel",
        ));
    }
    Ok(Stream {
        folder: folder.to_owned(),
        sampling_frequency_hz: number(path, json, "sample_rate")?,
        channels,
    })
}

fn parse_channel(path: &Path, json: &Value) -> Result<Channel, IoError> {
    let name = text(path, json, "channel_name")?;
    let bit_volts = number(path, json, "bit_volts")?;
    let unit = json.get("units").and_then(Value::as_str).unwrap_or("");
    // Where no unit is told, inputs are in volts and all else in microvolts.
    let unit = match unit {
        "" if name.contains("ADC") => "V",
        "" => "uV",
        unit => unit,
    };
    let to_uv = match unit {
        "uV" | "µV" | "μV" => 1.0,
        "mV" => 1e3,
        "V" => 1e6,
        _ => return Err(IoError::bad_value(path, "units", unit, "`uV`, `mV` or `V`")),
    };
    let kind = if name.contains("SYNC") {
        Kind::Sync
    } else if name.contains("ADC") || unit == "V" {
        Kind::Analog
    } else if name.contains("AUX") {
        Kind::Auxiliary
    } else {
        Kind::Neural
    };
    Ok(Channel {
        name: name.to_owned(),
        gain_uv: bit_volts * to_uv,
        kind,
    })
}

fn list<'a>(path: &Path, json: &'a Value, key: &str) -> Result<&'a Vec<Value>, IoError> {
    let value = json
        .get(key)
        .ok_or_else(|| IoError::missing_key(path, key))?;
    value
        .as_array()
        .ok_or_else(|| IoError::bad_value(path, key, value, "a list"))
}

fn text<'a>(path: &Path, json: &'a Value, key: &str) -> Result<&'a str, IoError> {
    let value = json
        .get(key)
        .ok_or_else(|| IoError::missing_key(path, key))?;
    value
        .as_str()
        .ok_or_else(|| IoError::bad_value(path, key, value, "a text"))
}
