//! Weights of a network, from a `.safetensors` file or from bytes that are part of the program.
//!
//! A file is eight bytes with the header's length, a JSON header that gives each tensor its type, shape and place, and the values,
//! little-endian and row-major, without gaps (source: the format's public description in the safetensors documentation). The
//! header is read here rather than by a crate, so that an error can name the tensor. Whatever the stored type, values arrive as
//! `f32`. A tensor's place is compared with its shape and with the size of the file before memory is taken for it, so a damaged
//! header cannot ask for more memory than the file is long. Nothing is executed, unlike a PyTorch checkpoint, which is a pickle.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::IoError;

/// The longest header that the format allows.
const LONGEST_HEADER_BYTES: u64 = 100_000_000;

/// The header's entry that is no tensor.
const METADATA: &str = "__metadata__";

/// One array of numbers.
#[derive(Clone, PartialEq, Debug)]
pub struct Tensor {
    /// Length along each axis; empty for a single number.
    pub shape: Vec<usize>,
    /// The values, last axis fastest; all are finite.
    pub values: Vec<f32>,
}

/// Named tensors and what the file says about itself.
#[derive(Clone, PartialEq, Debug)]
pub struct Weights {
    source: PathBuf,
    tensors: BTreeMap<String, Tensor>,
    metadata: BTreeMap<String, String>,
}

impl Weights {
    /// Reads a `.safetensors` file.
    ///
    /// # Errors
    /// When the file is absent, truncated or of another format, when a tensor's type is not f16, bf16, f32 or f64, when its place
    /// does not fit its shape or the file, or when it holds a value that is not a finite `f32`. The tensor is named.
    pub fn read(path: &Path) -> Result<Weights, IoError> {
        let failed = |source| IoError::read(path, source);
        let file = File::open(path).map_err(failed)?;
        let status = file.metadata().map_err(failed)?;
        if status.is_dir() {
            return Err(bad(path, "it is a folder, not a file".to_owned()));
        }
        decode(path, BufReader::new(file), status.len())
    }

    /// The same from `bytes`, for weights embedded in the program; `name` stands for the path in messages.
    ///
    /// # Errors
    /// As [`Weights::read`].
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Weights, IoError> {
        decode(Path::new(name), bytes, bytes.len() as u64)
    }

    /// The path, or the name that was given to [`Weights::from_bytes`].
    pub fn source(&self) -> &Path {
        &self.source
    }

    /// The names, sorted.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Numbers in all tensors together.
    pub fn n_values(&self) -> usize {
        self.tensors
            .values()
            .map(|tensor| tensor.values.len())
            .sum()
    }

    /// What the file says about itself: text by name.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The tensor of that name, of any shape.
    ///
    /// # Errors
    /// When there is none.
    pub fn tensor(&self, name: &str) -> Result<&Tensor, IoError> {
        self.tensors
            .get(name)
            .ok_or_else(|| bad(&self.source, format!("there is no tensor `{name}`")))
    }

    /// The values of the tensor of that name, which must have exactly this shape.
    ///
    /// # Errors
    /// When there is none, or its shape is another one.
    pub fn values(&self, name: &str, shape: &[usize]) -> Result<&[f32], IoError> {
        let tensor = self.tensor(name)?;
        if tensor.shape != shape {
            let what = format!(
                "tensor `{name}` has shape {:?} instead of {shape:?}",
                tensor.shape
            );
            return Err(bad(&self.source, what));
        }
        Ok(&tensor.values)
    }
}

/// A stored type of number.
#[derive(Copy, Clone)]
enum StoredType {
    F16,
    Bf16,
    F32,
    F64,
}

impl StoredType {
    fn from_name(name: &str) -> Option<StoredType> {
        Some(match name {
            "F16" => StoredType::F16,
            "BF16" => StoredType::Bf16,
            "F32" => StoredType::F32,
            "F64" => StoredType::F64,
            _ => return None,
        })
    }

    fn size_bytes(self) -> usize {
        match self {
            StoredType::F16 | StoredType::Bf16 => 2,
            StoredType::F32 => 4,
            StoredType::F64 => 8,
        }
    }

    /// The numbers in `bytes`, which are whole numbers of this type.
    fn decode(self, bytes: &[u8]) -> Vec<f32> {
        let two = |pair: &[u8]| u16::from_le_bytes([pair[0], pair[1]]);
        let four = |quad: &[u8]| f32::from_le_bytes(quad.try_into().expect("four bytes"));
        let eight = |octet: &[u8]| f64::from_le_bytes(octet.try_into().expect("eight bytes"));
        let numbers = bytes.chunks_exact(self.size_bytes());
        match self {
            StoredType::F16 => numbers.map(|pair| f32_from_f16(two(pair))).collect(),
            // A bfloat16 is the upper half of the float32 of the same value.
            StoredType::Bf16 => numbers
                .map(|pair| f32::from_bits(u32::from(two(pair)) << 16))
                .collect(),
            StoredType::F32 => numbers.map(four).collect(),
            StoredType::F64 => numbers.map(|octet| eight(octet) as f32).collect(),
        }
    }
}

/// The value of an IEEE 754 half-precision number.
fn f32_from_f16(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let exponent = u32::from(bits >> 10) & 0x1f;
    let fraction = u32::from(bits & 0x3ff);
    match exponent {
        // Zero and numbers below the smallest normal one: multiples of 2⁻²⁴, which float32 holds exactly.
        0 => {
            let size = fraction as f32 / 16_777_216.0;
            f32::from_bits(size.to_bits() | sign)
        }
        31 => f32::from_bits(sign | 0x7f80_0000 | (fraction << 13)),
        _ => f32::from_bits(sign | ((exponent + 112) << 23) | (fraction << 13)),
    }
}

/// Where a tensor is, as its header entry says, found consistent in itself.
struct Place {
    name: String,
    stored_type: StoredType,
    shape: Vec<usize>,
    /// First byte and one past the last, counted from the end of the header.
    start_byte: u64,
    end_byte: u64,
}

/// Any fault of the file at `path`.
fn bad(path: &Path, what: String) -> IoError {
    IoError::BadWeights {
        path: path.to_owned(),
        what,
    }
}

/// Reads everything from a stream of `size_bytes`.
fn decode(path: &Path, mut stream: impl Read, size_bytes: u64) -> Result<Weights, IoError> {
    let failed = |source| IoError::read(path, source);
    let mut first = [0; 8];
    if size_bytes < 8 {
        let what = format!("it has {size_bytes} bytes, too few for a safetensors file");
        return Err(bad(path, what));
    }
    stream.read_exact(&mut first).map_err(failed)?;
    if first.starts_with(b"PK\x03\x04") || first.starts_with(b"\x80\x02") {
        let what = "it looks like a PyTorch checkpoint, not like a safetensors file";
        return Err(bad(path, what.to_owned()));
    }
    let header_bytes = u64::from_le_bytes(first);
    if header_bytes > LONGEST_HEADER_BYTES {
        // Eight bytes of anything else are nearly always a huge number.
        return Err(bad(path, "it is not a safetensors file".to_owned()));
    }
    let Some(data_bytes) = (size_bytes - 8).checked_sub(header_bytes) else {
        return Err(IoError::Truncated {
            path: path.to_owned(),
            expected_bytes: 8 + header_bytes,
            found_bytes: size_bytes,
        });
    };
    let mut header = vec![0; header_bytes as usize];
    stream.read_exact(&mut header).map_err(failed)?;
    let header: Value = serde_json::from_slice(&header)
        .map_err(|error| bad(path, format!("the header is not JSON: {error}")))?;
    let Value::Object(header) = header else {
        return Err(bad(path, "the header is not a JSON object".to_owned()));
    };
    let mut metadata = BTreeMap::new();
    let mut places = Vec::new();
    for (name, entry) in &header {
        if name == METADATA {
            metadata = read_metadata(path, entry)?;
        } else {
            places.push(read_place(name, entry).map_err(|what| bad(path, what))?);
        }
    }
    places.sort_by_key(|place| (place.start_byte, place.end_byte));
    check_places(path, &places, 8 + header_bytes, data_bytes)?;
    let mut tensors = BTreeMap::new();
    let mut bytes = Vec::new();
    for place in places {
        bytes.resize((place.end_byte - place.start_byte) as usize, 0);
        stream.read_exact(&mut bytes).map_err(failed)?;
        let values = place.stored_type.decode(&bytes);
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            let what = format!(
                "tensor `{}` holds NaN, or a number that float32 cannot hold, at element {index}",
                place.name
            );
            return Err(bad(path, what));
        }
        let shape = place.shape;
        tensors.insert(place.name, Tensor { shape, values });
    }
    Ok(Weights {
        source: path.to_owned(),
        tensors,
        metadata,
    })
}

/// The map of text that the file may hold about itself.
fn read_metadata(path: &Path, entry: &Value) -> Result<BTreeMap<String, String>, IoError> {
    let not_text = || {
        let what = format!("`{METADATA}` in the header is not a map of text");
        bad(path, what)
    };
    let entry = entry.as_object().ok_or_else(not_text)?;
    entry
        .iter()
        .map(|(key, value)| {
            let value = value.as_str().ok_or_else(not_text)?;
            Ok((key.clone(), value.to_owned()))
        })
        .collect()
}

/// The header's entry of one tensor, or what is wrong with it.
fn read_place(name: &str, entry: &Value) -> Result<Place, String> {
    let type_name = entry
        .get("dtype")
        .and_then(Value::as_str)
        .ok_or_else(|| format!("tensor `{name}` has no `dtype`"))?;
    let stored_type = StoredType::from_name(type_name).ok_or_else(|| {
        format!("tensor `{name}` has values of type {type_name}; F16, BF16, F32 and F64 are read")
    })?;
    let integers = |key: &str| {
        entry
            .get(key)
            .and_then(Value::as_array)
            .and_then(|list| list.iter().map(Value::as_u64).collect::<Option<Vec<u64>>>())
            .ok_or_else(|| format!("tensor `{name}` has no `{key}` of whole numbers"))
    };
    let shape = integers("shape")?;
    let offsets = integers("data_offsets")?;
    let [start_byte, end_byte] = offsets[..] else {
        let n_offsets = offsets.len();
        return Err(format!(
            "tensor `{name}` has {n_offsets} `data_offsets` instead of two"
        ));
    };
    let asked = shape
        .iter()
        .try_fold(stored_type.size_bytes() as u64, |product, &length| {
            product.checked_mul(length)
        })
        .and_then(|asked| usize::try_from(asked).ok())
        .ok_or_else(|| format!("tensor `{name}` has the impossible shape {shape:?}"))?;
    if end_byte.checked_sub(start_byte) != Some(asked as u64) {
        return Err(format!(
            "tensor `{name}` needs {asked} bytes for shape {shape:?} of {type_name}, but is given bytes {start_byte} to {end_byte}"
        ));
    }
    // A tensor without values may have an axis that is longer than an address; such a file is made by hand only.
    let shape = shape
        .iter()
        .map(|&length| usize::try_from(length).ok())
        .collect::<Option<Vec<usize>>>()
        .ok_or_else(|| format!("tensor `{name}` has the impossible shape {shape:?}"))?;
    Ok(Place {
        name: name.to_owned(),
        stored_type,
        shape,
        start_byte,
        end_byte,
    })
}

/// The tensors, in order of place, must fill the data without gap and overlap, as the format demands.
fn check_places(
    path: &Path,
    places: &[Place],
    data_offset_bytes: u64,
    data_bytes: u64,
) -> Result<(), IoError> {
    let mut filled = 0;
    for place in places {
        let name = &place.name;
        if place.start_byte != filled {
            let what = format!(
                "tensor `{name}` starts at byte {} of the data, where byte {filled} should follow",
                place.start_byte
            );
            return Err(bad(path, what));
        }
        if place.end_byte > data_bytes {
            let what = format!(
                "tensor `{name}` ends at byte {} of the data, which has {data_bytes} bytes: the file is truncated",
                place.end_byte
            );
            return Err(bad(path, what));
        }
        filled = place.end_byte;
    }
    if filled != data_bytes {
        let end = data_offset_bytes + filled;
        let what = format!(
            "{} bytes from byte {end} on belong to no tensor",
            data_bytes - filled
        );
        return Err(bad(path, what));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
