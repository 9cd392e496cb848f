//! The description of an array: `.zarray` of version 2, `zarr.json` of version 3.
//!
//! Every number is checked here: sizes multiply without overflow, chunks have elements, and what is not read is refused by name.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::codecs::{Chain, parse_v2_codec};
use super::data_type::DataType;
use super::sharding::{ShardIndex, V3Codecs};
use super::store::{Node, NodeKind};
use crate::error::IoError;

/// Axes of an array at most.
const MAX_AXES: usize = 16;
/// Bytes of one unpacked chunk at most: far more than any writer's, and a bound for what is held at once.
const MAX_CHUNK_BYTES: u64 = 1 << 31;

/// How the file of a chunk is named.
#[derive(Clone, Eq, PartialEq, Debug)]
pub(crate) struct ChunkKeys {
    /// `c` of version 3's own form.
    pub has_prefix: bool,
    pub separator: char,
}

impl ChunkKeys {
    /// Path below the array's folder.
    pub fn key(&self, index: &[u64]) -> String {
        let numbers: Vec<String> = index.iter().map(u64::to_string).collect();
        let numbers = numbers.join(&self.separator.to_string());
        match (self.has_prefix, index.is_empty()) {
            (true, true) => "c".to_owned(),
            (true, false) => format!("c{}{numbers}", self.separator),
            (false, true) => "0".to_owned(),
            (false, false) => numbers,
        }
    }
}

/// What is known about an array.
#[derive(Clone, Debug)]
pub(crate) struct ArrayMetadata {
    pub folder: PathBuf,
    pub json_path: PathBuf,
    /// Elements along each axis.
    pub shape: Vec<u64>,
    /// Names of the axes, where they are told (by version 3, or as xarray does).
    pub axis_names: Option<Vec<String>>,
    pub data_type: DataType,
    /// Elements along each axis of what is unpacked at once.
    pub chunk_shape: Vec<u64>,
    /// Elements along each axis of what lies in one file: a chunk, or a shard of several.
    pub file_shape: Vec<u64>,
    pub shard: Option<ShardIndex>,
    pub keys: ChunkKeys,
    pub chain: Chain,
    /// One element of what absent chunks are full of, native-endian; empty for texts of any length.
    pub fill: Vec<u8>,
}

/// Values of a description, with the file's name for messages.
#[derive(Copy, Clone)]
pub(super) struct Description<'a> {
    pub path: &'a Path,
    pub json: &'a Value,
}

impl<'a> Description<'a> {
    pub fn get(self, key: &str) -> Result<&'a Value, IoError> {
        self.json
            .get(key)
            .ok_or_else(|| IoError::missing_key(self.path, key))
    }

    pub fn bad(self, key: &str, expected: &str) -> IoError {
        let value = self.json.get(key).unwrap_or(&Value::Null);
        IoError::bad_value(self.path, key, value, expected)
    }

    /// A list of whole numbers of at least `least`.
    pub fn lengths(self, key: &str, least: u64) -> Result<Vec<u64>, IoError> {
        let expected = || {
            self.bad(
                key,
                &format!("a list of up to {MAX_AXES} whole numbers, {least} or more"),
            )
        };
        let list = self
            .get(key)?
            .as_array()
            .filter(|list| list.len() <= MAX_AXES);
        let list = list.ok_or_else(expected)?.iter();
        // Beyond 2^53 the writers' own numbers are not exact.
        let number = |value: &Value| value.as_u64().filter(|n| (least..=1 << 53).contains(n));
        list.map(number).collect::<Option<_>>().ok_or_else(expected)
    }
}

impl ArrayMetadata {
    /// Parses the description of the array `node`.
    ///
    /// # Errors
    /// When it is a group, damaged, or uses what is not read; the key or codec is named.
    pub fn of(node: Node) -> Result<ArrayMetadata, IoError> {
        if node.kind != NodeKind::Array {
            return Err(IoError::malformed(
                &node.json_path,
                "node",
                "it is a group where an array is expected",
            ));
        }
        let metadata = if node.version == 2 {
            Self::parse_v2(node)?
        } else {
            Self::parse_v3(node)?
        };
        metadata.check()?;
        Ok(metadata)
    }

    fn parse_v2(node: Node) -> Result<ArrayMetadata, IoError> {
        let description = Description {
            path: &node.json_path,
            json: &node.json,
        };
        let shape = description.lengths("shape", 0)?;
        let chunk_shape = description.lengths("chunks", 1)?;
        let dtype = description.get("dtype")?;
        let known = dtype.as_str().and_then(DataType::from_numpy);
        let (data_type, big_endian) = known.ok_or_else(|| IoError::UnknownDtype {
            path: node.json_path.clone(),
            dtype: dtype
                .as_str()
                .map_or_else(|| "a record".to_owned(), str::to_owned),
        })?;
        let axes = match description.get("order")?.as_str() {
            Some("C") => (0..shape.len()).collect(),
            Some("F") => (0..shape.len()).rev().collect(),
            _ => return Err(description.bad("order", "`C` or `F`")),
        };
        // Packed last is unpacked first.
        let mut steps = Vec::new();
        let compressor = node.json.get("compressor").unwrap_or(&Value::Null);
        if !compressor.is_null() {
            steps.push(parse_v2_codec(&node.json_path, "compressor", compressor)?);
        }
        let filters = match node.json.get("filters").unwrap_or(&Value::Null) {
            Value::Null => &[][..],
            Value::Array(filters) => filters,
            _ => return Err(description.bad("filters", "a list or null")),
        };
        for filter in filters.iter().rev() {
            steps.push(parse_v2_codec(&node.json_path, "filters", filter)?);
        }
        let separator = match node.json.get("dimension_separator") {
            None | Some(Value::Null) => '.',
            Some(value) => match value.as_str() {
                Some(".") => '.',
                Some("/") => '/',
                _ => return Err(description.bad("dimension_separator", "`.` or `/`")),
            },
        };
        let axis_names = node.attributes.get("_ARRAY_DIMENSIONS").and_then(names);
        Ok(ArrayMetadata {
            fill: fill(description, data_type)?,
            axis_names,
            data_type,
            file_shape: chunk_shape.clone(),
            chunk_shape,
            shard: None,
            keys: ChunkKeys {
                has_prefix: false,
                separator,
            },
            chain: Chain {
                axes,
                big_endian,
                steps,
            },
            shape,
            folder: node.folder,
            json_path: node.json_path,
        })
    }

    fn parse_v3(node: Node) -> Result<ArrayMetadata, IoError> {
        let description = Description {
            path: &node.json_path,
            json: &node.json,
        };
        let shape = description.lengths("shape", 0)?;
        let data_type = v3_type(description.get("data_type")?).ok_or_else(|| {
            let dtype = &node.json["data_type"];
            IoError::UnknownDtype {
                path: node.json_path.clone(),
                dtype: dtype
                    .as_str()
                    .map_or_else(|| dtype["name"].to_string(), str::to_owned),
            }
        })?;
        let configured = |key: &str, name: &str| -> Result<Value, IoError> {
            let part = description.get(key)?;
            if part.get("name").and_then(Value::as_str) != Some(name) {
                let found = part.get("name").unwrap_or(part);
                return Err(IoError::bad_value(
                    &node.json_path,
                    key,
                    found,
                    &format!("`{name}`"),
                ));
            }
            Ok(part.get("configuration").cloned().unwrap_or(Value::Null))
        };
        let grid = configured("chunk_grid", "regular")?;
        let grid = Description {
            path: &node.json_path,
            json: &grid,
        };
        let file_shape = grid.lengths("chunk_shape", 1)?;
        let keys = description.get("chunk_key_encoding")?;
        let has_prefix = match keys.get("name").and_then(Value::as_str) {
            Some("default") => true,
            Some("v2") => false,
            _ => return Err(description.bad("chunk_key_encoding", "`default` or `v2`")),
        };
        let separator = match keys.pointer("/configuration/separator").map(Value::as_str) {
            None if has_prefix => '/',
            None => '.',
            Some(Some("/")) => '/',
            Some(Some(".")) => '.',
            Some(_) => return Err(description.bad("chunk_key_encoding", "a separator `.` or `/`")),
        };
        let transformers = node
            .json
            .get("storage_transformers")
            .and_then(Value::as_array);
        if transformers.is_some_and(|list| !list.is_empty()) {
            return Err(description.bad("storage_transformers", "none, as no transformer is read"));
        }
        let codecs = V3Codecs::parse(&node.json_path, description.get("codecs")?, shape.len())?;
        let (chain, chunk_shape, shard) = codecs.sharded(&node.json_path, &file_shape)?;
        let axis_names = node.json.get("dimension_names").and_then(names);
        let axis_names =
            axis_names.or_else(|| node.attributes.get("_ARRAY_DIMENSIONS").and_then(names));
        Ok(ArrayMetadata {
            fill: fill(description, data_type)?,
            axis_names,
            data_type,
            chunk_shape,
            file_shape,
            shard,
            keys: ChunkKeys {
                has_prefix,
                separator,
            },
            chain,
            shape,
            folder: node.folder,
            json_path: node.json_path,
        })
    }

    /// Checks what both versions promise.
    fn check(&self) -> Result<(), IoError> {
        let bad = |what: String| Err(IoError::malformed(&self.json_path, "chunks", what));
        let n_axes = self.shape.len();
        if self.chunk_shape.len() != n_axes || self.file_shape.len() != n_axes {
            return bad(format!(
                "{} lengths of a chunk for {n_axes} axes",
                self.chunk_shape.len()
            ));
        }
        let element_bytes = self.data_type.size_bytes().unwrap_or(1) as u64;
        let bytes = |shape: &[u64]| {
            shape
                .iter()
                .try_fold(element_bytes, |bytes, &n| bytes.checked_mul(n))
        };
        if bytes(&self.chunk_shape).is_none_or(|bytes| bytes > MAX_CHUNK_BYTES) {
            return bad(format!(
                "a chunk of {:?} elements is larger than the 2 GiB that are read",
                self.chunk_shape
            ));
        }
        // Room for a chunk more along each axis, so that no sum of positions overflows.
        let rounded: Option<Vec<u64>> = self
            .shape
            .iter()
            .zip(&self.file_shape)
            .map(|(n, chunk)| n.checked_add(*chunk))
            .collect();
        if rounded
            .and_then(|shape| bytes(&shape))
            .is_none_or(|bytes| bytes > 1 << 62)
        {
            return bad(format!(
                "{:?} elements are more than any disk holds",
                self.shape
            ));
        }
        Ok(())
    }

    /// Bytes of one unpacked chunk; 0 for texts of any length.
    pub fn chunk_bytes(&self) -> usize {
        let element_bytes = self.data_type.size_bytes().unwrap_or(0) as u64;
        (self.chunk_shape.iter().product::<u64>() * element_bytes) as usize
    }
}

/// A type of version 3: a name, or an object with a name and a length.
fn v3_type(value: &Value) -> Option<DataType> {
    if let Some(name) = value.as_str() {
        return DataType::from_v3(name);
    }
    let length = value.pointer("/configuration/length_bytes")?.as_u64()?;
    let length = usize::try_from(length)
        .ok()
        .filter(|n| (1..=1 << 14).contains(n))?;
    match value.get("name")?.as_str()? {
        "fixed_length_utf32" if length.is_multiple_of(4) => Some(DataType::FixedText(length / 4)),
        "null_terminated_bytes" => Some(DataType::FixedBytes(length)),
        _ => None,
    }
}

/// A list of names; an axis without one gets an empty text.
fn names(value: &Value) -> Option<Vec<String>> {
    let list = value
        .as_array()
        .filter(|list| list.len() <= MAX_AXES)?
        .iter();
    let names: Vec<String> = list
        .map(|name| name.as_str().unwrap_or("").to_owned())
        .collect();
    names.iter().any(|name| !name.is_empty()).then_some(names)
}

/// One element of the fill value, native-endian.
fn fill(description: Description, data_type: DataType) -> Result<Vec<u8>, IoError> {
    let Some(element_bytes) = data_type.size_bytes() else {
        return Ok(Vec::new());
    };
    let value = description.json.get("fill_value").unwrap_or(&Value::Null);
    if matches!(data_type, DataType::FixedText(_) | DataType::FixedBytes(_)) {
        // Texts that are absent are empty whatever the file says.
        return Ok(vec![0; element_bytes]);
    }
    let number = match value {
        Value::Null => Some(0.0),
        Value::Bool(value) => Some(f64::from(u8::from(*value))),
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => {
                // The bits of the element, most significant first.
                let bits = text
                    .strip_prefix("0x")
                    .filter(|digits| digits.len() == 2 * element_bytes);
                let bits = bits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
                let bits = bits.ok_or_else(|| description.bad("fill_value", "a number"))?;
                let big = bits.to_be_bytes();
                let mut bytes = big[8 - element_bytes..].to_vec();
                if cfg!(target_endian = "little") {
                    bytes.reverse();
                }
                return Ok(bytes);
            }
        },
        _ => None,
    };
    number
        .and_then(|number| data_type.bytes_of(number))
        .ok_or_else(|| description.bad("fill_value", "a number"))
}
