//! The `.ch` file: which samples each chunk holds, and where its bytes lie.

use std::path::Path;

use serde_json::Value;

use crate::error::IoError;
use crate::recording::SampleType;
use crate::recording::flat::read_json;
use crate::recording::folder::{number, whole_number};

/// Bytes of the longest chunk, decoded: mtscomp cuts each second, which is 30 MB of the largest probes.
const MAX_CHUNK_BYTES: u64 = 1 << 30;
/// Deflate makes data at most so many times smaller.
const MAX_RATIO: u64 = 1032;

/// A parsed `.ch`.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct ChunkTable {
    pub sampling_frequency_hz: f64,
    pub n_channels: usize,
    /// Of 16 or 32 bits, integer.
    pub dtype: SampleType,
    /// Whether each sample is stored as the difference to the one before it.
    pub do_time_diff: bool,
    /// Whether each channel is stored as the difference to the one before it.
    pub do_spatial_diff: bool,
    /// Whether the samples of a channel lie together.
    pub is_channel_major: bool,
    /// First sample of each chunk, and the end.
    pub bounds: Vec<u64>,
    /// First byte of each chunk, and the end.
    pub offsets: Vec<u64>,
}

impl ChunkTable {
    /// Reads a `.ch` file.
    ///
    /// # Errors
    /// When it cannot be read, a key is missing, or a value makes no sense.
    pub fn read(path: &Path) -> Result<ChunkTable, IoError> {
        ChunkTable::parse(path, &read_json(path)?)
    }

    /// The table in parsed JSON; `path` is for messages.
    pub fn parse(path: &Path, json: &Value) -> Result<ChunkTable, IoError> {
        let text = |key: &str, default: &'static str| match json.get(key) {
            None | Some(Value::Null) => Ok(default.to_owned()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(other) => Err(IoError::bad_value(path, key, other, "a text")),
        };
        let flag = |key: &str| match json.get(key) {
            None | Some(Value::Null) => Ok(false),
            Some(value) => value
                .as_bool()
                .ok_or_else(|| IoError::bad_value(path, key, value, "true or false")),
        };
        let algorithm = text("algorithm", "zlib")?;
        if algorithm != "zlib" {
            return Err(IoError::bad_value(path, "algorithm", algorithm, "`zlib`"));
        }
        let order = text("chunk_order", "F")?;
        if !matches!(order.as_str(), "F" | "C") {
            return Err(IoError::bad_value(path, "chunk_order", order, "`F` or `C`"));
        }
        let dtype = text("dtype", "int16")?;
        let dtype = match dtype.trim_start_matches(['<', '=']) {
            "int16" | "i2" => SampleType::I16,
            "uint16" | "u2" => SampleType::U16,
            "int32" | "i4" => SampleType::I32,
            _ => {
                return Err(IoError::bad_value(
                    path,
                    "dtype",
                    dtype,
                    "int16, uint16 or int32",
                ));
            }
        };
        let n_channels = whole_number(path, json, "n_channels")?
            .ok_or_else(|| IoError::missing_key(path, "n_channels"))?;
        if !(1..=1 << 20).contains(&n_channels) {
            return Err(IoError::bad_value(
                path,
                "n_channels",
                n_channels,
                "1 to 1,048,576",
            ));
        }
        let table = ChunkTable {
            sampling_frequency_hz: number(path, json, "sample_rate")?,
            n_channels: n_channels as usize,
            dtype,
            do_time_diff: flag("do_time_diff")?,
            do_spatial_diff: flag("do_spatial_diff")?,
            is_channel_major: order == "F",
            bounds: ascending(path, json, "chunk_bounds")?,
            offsets: ascending(path, json, "chunk_offsets")?,
        };
        table.check(path)?;
        Ok(table)
    }

    /// Checks that the two lists fit each other.
    fn check(&self, path: &Path) -> Result<(), IoError> {
        if self.bounds.len() != self.offsets.len() {
            let found = format!("a list of {}", self.offsets.len());
            let expected = format!("a list of {}, as `chunk_bounds`", self.bounds.len());
            return Err(IoError::bad_value(path, "chunk_offsets", found, &expected));
        }
        for chunk in 0..self.n_chunks() {
            let stored_bytes = self.offsets[chunk + 1] - self.offsets[chunk];
            let n_samples = self.bounds[chunk + 1] - self.bounds[chunk];
            let decoded_bytes = n_samples.checked_mul(self.frame_bytes());
            let possible = MAX_CHUNK_BYTES.min(stored_bytes.saturating_mul(MAX_RATIO));
            if decoded_bytes.is_none_or(|bytes| bytes > possible) {
                let key = format!("chunk {chunk}");
                let found = format!("{n_samples} samples in {stored_bytes} bytes");
                return Err(IoError::bad_value(
                    path,
                    &key,
                    found,
                    "a chunk that can be so",
                ));
            }
        }
        Ok(())
    }

    /// Number of chunks.
    pub fn n_chunks(&self) -> usize {
        self.bounds.len() - 1
    }

    /// Samples a channel.
    pub fn n_samples(&self) -> u64 {
        self.bounds.last().copied().unwrap_or(0)
    }

    /// Bytes of one decoded frame.
    pub fn frame_bytes(&self) -> u64 {
        (self.n_channels * self.dtype.size_bytes()) as u64
    }

    /// Bytes that the `.cbin` must have.
    pub fn data_bytes(&self) -> u64 {
        self.offsets.last().copied().unwrap_or(0)
    }
}

/// A list of numbers from 0 on, each more than the one before it.
fn ascending(path: &Path, json: &Value, key: &str) -> Result<Vec<u64>, IoError> {
    let value = json
        .get(key)
        .ok_or_else(|| IoError::missing_key(path, key))?;
    let expected = "a list of ascending whole numbers from 0 on";
    let numbers: Option<Vec<u64>> = value
        .as_array()
        .and_then(|numbers| numbers.iter().map(Value::as_u64).collect());
    numbers
        .filter(|numbers| numbers.first() == Some(&0) && numbers.len() > 1)
        .filter(|numbers| numbers.array_windows().all(|[a, b]| a < b))
        .ok_or_else(|| IoError::bad_value(path, key, value, expected))
}
