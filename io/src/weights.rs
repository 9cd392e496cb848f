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
mod tests {
    use super::*;

    /// A file with that header and data.
    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(data);
        bytes
    }

    /// The message for a file that must not open.
    fn message(bytes: &[u8]) -> String {
        let error = Weights::from_bytes("net", bytes).unwrap_err();
        assert!(
            error.hint().is_some(),
            "an error without a hint is of no use"
        );
        error.to_string()
    }

    #[test]
    fn every_half_precision_number_has_its_value() {
        for bits in 0..=u16::MAX {
            let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
            let exponent = i32::from(bits >> 10 & 31);
            let fraction = f64::from(bits & 1023) / 1024.0;
            let value = f32_from_f16(bits);
            match exponent {
                31 if bits & 1023 == 0 => assert_eq!(f64::from(value), sign * f64::INFINITY),
                31 => assert!(value.is_nan()),
                0 => assert_eq!(f64::from(value), sign * fraction * 2f64.powi(-14)),
                _ => assert_eq!(
                    f64::from(value),
                    sign * (1.0 + fraction) * 2f64.powi(exponent - 15)
                ),
            }
            if !value.is_nan() {
                assert_eq!(value.is_sign_negative(), sign < 0.0, "bits {bits:#x}");
            }
        }
    }

    #[test]
    fn the_four_types_arrive_as_float32() {
        let header = r#"{"__metadata__":{"made by":"training"},
            "d":{"dtype":"F64","shape":[],"data_offsets":[10,18]},
            "b":{"dtype":"BF16","shape":[1],"data_offsets":[4,6]},
            "a":{"dtype":"F16","shape":[2,1],"data_offsets":[0,4]},
            "c":{"dtype":"F32","shape":[1,1,1],"data_offsets":[6,10]},
            "e":{"dtype":"F32","shape":[0,3],"data_offsets":[18,18]}}   "#;
        let mut data = vec![0x00, 0x3c, 0x00, 0xc2, 0x20, 0x40];
        data.extend_from_slice(&0.1f32.to_le_bytes());
        data.extend_from_slice(&(-1.0f64 / 3.0).to_le_bytes());
        let weights = Weights::from_bytes("net", &file(header, &data)).unwrap();
        assert_eq!(
            weights.names().collect::<Vec<_>>(),
            ["a", "b", "c", "d", "e"]
        );
        assert_eq!(weights.values("a", &[2, 1]).unwrap(), [1.0, -3.0]);
        assert_eq!(weights.values("b", &[1]).unwrap(), [2.5]);
        assert_eq!(weights.values("c", &[1, 1, 1]).unwrap(), [0.1]);
        assert_eq!(weights.values("d", &[]).unwrap(), [-1.0 / 3.0]);
        assert!(weights.values("e", &[0, 3]).unwrap().is_empty());
        assert_eq!(weights.n_values(), 5);
        assert_eq!(weights.metadata()["made by"], "training");
        assert_eq!(weights.source(), Path::new("net"));
    }

    #[test]
    fn a_file_equals_its_bytes() {
        let header = r#"{"w":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}"#;
        let data: Vec<u8> = [1f32, 2.0, -3.5]
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.safetensors");
        std::fs::write(&path, file(header, &data)).unwrap();
        let read = Weights::read(&path).unwrap();
        assert_eq!(read.tensor("w").unwrap().values, [1.0, 2.0, -3.5]);
        let missing = Weights::read(&folder.path().join("none")).unwrap_err();
        assert!(matches!(missing, IoError::Missing { .. }));
        assert!(Weights::read(folder.path()).is_err());
    }

    /// Written by the safetensors library: `io/tests/golden/make_weights.py`.
    #[test]
    fn a_file_of_the_formats_own_library_is_read() {
        let weights = Weights::from_bytes(
            "golden",
            include_bytes!("../tests/golden/weights.safetensors"),
        )
        .unwrap();
        let exact = [1.0, -0.5, 3.140625, 65504.0, 6.103_515_6e-5, -0.0f32];
        let thirds = exact.map(|value| value / 3.0);
        assert_eq!(weights.values("half", &[2, 3]).unwrap(), exact);
        assert_eq!(weights.values("down.0.weight", &[2, 3]).unwrap(), thirds);
        assert_eq!(
            weights.values("double", &[2, 3]).unwrap(),
            exact.map(|value| (f64::from(value) / 3.0) as f32)
        );
        // bfloat16 has eight bits of precision: half a step is 2⁻⁹ of the value.
        let brain = weights.values("brain", &[2, 3]).unwrap();
        for (rounded, value) in brain.iter().zip(exact) {
            assert!((rounded - value).abs() <= value.abs() / 512.0);
        }
        assert_eq!(weights.values("number", &[]).unwrap(), [7.25]);
        assert!(weights.values("empty", &[0, 3]).unwrap().is_empty());
        assert_eq!(weights.metadata()["channels"], "2 8 16");
    }

    #[test]
    fn a_tensor_that_is_absent_or_of_another_shape_is_named() {
        let header = r#"{"w":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}"#;
        let weights = Weights::from_bytes("net", &file(header, &[0; 8])).unwrap();
        assert_eq!(
            weights.values("w", &[2]).unwrap_err().to_string(),
            "`net` does not hold the weights that are needed: tensor `w` has shape [1, 2] instead of [2]"
        );
        let error = weights.tensor("bias").unwrap_err();
        assert!(
            error.to_string().contains("there is no tensor `bias`"),
            "{error}"
        );
    }

    #[test]
    fn a_file_cut_at_any_byte_is_an_error() {
        let header = r#"{"w":{"dtype":"F16","shape":[3],"data_offsets":[0,6]}}"#;
        let bytes = file(header, &[0; 6]);
        assert!(Weights::from_bytes("net", &bytes).is_ok());
        for length in 0..bytes.len() {
            message(&bytes[..length]);
        }
        assert!(message(&bytes[..bytes.len() - 1]).contains("truncated"));
    }

    #[test]
    fn a_wrong_tensor_is_named_with_its_fault() {
        for (entry, data, fault) in [
            (
                r#"{"dtype":"I64","shape":[1],"data_offsets":[0,8]}"#,
                8,
                "type I64",
            ),
            (r#"{"shape":[1],"data_offsets":[0,8]}"#, 8, "no `dtype`"),
            (
                r#"{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}"#,
                4,
                "`shape`",
            ),
            (
                r#"{"dtype":"F32","shape":[1],"data_offsets":[0]}"#,
                4,
                "1 `data_offsets`",
            ),
            (
                r#"{"dtype":"F32","shape":[3],"data_offsets":[0,8]}"#,
                8,
                "needs 12 bytes",
            ),
            (
                r#"{"dtype":"F32","shape":[2],"data_offsets":[8,0]}"#,
                8,
                "needs 8 bytes",
            ),
            (
                r#"{"dtype":"F32","shape":[9223372036854775807,4],"data_offsets":[0,4]}"#,
                4,
                "impossible",
            ),
            (
                r#"{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}"#,
                4,
                "truncated",
            ),
            (
                r#"{"dtype":"F32","shape":[1],"data_offsets":[4,8]}"#,
                8,
                "starts at byte 4",
            ),
        ] {
            let text = message(&file(&format!(r#"{{"conv.0":{entry}}}"#), &vec![0; data]));
            assert!(
                text.contains("`conv.0`") && text.contains(fault),
                "{entry}: {text}"
            );
        }
    }

    #[test]
    fn overlap_and_bytes_without_a_tensor_are_errors() {
        let two = r#"{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},"b":{"dtype":"F16","shape":[2],"data_offsets":[2,6]}}"#;
        assert!(message(&file(two, &[0; 6])).contains("tensor `b` starts at byte 2"));
        let one = r#"{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}"#;
        assert!(message(&file(one, &[0; 6])).contains("2 bytes from byte"));
    }

    #[test]
    fn a_value_that_is_not_finite_is_named() {
        let header = r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        let mut data = 1f32.to_le_bytes().to_vec();
        data.extend_from_slice(&f32::NAN.to_le_bytes());
        assert!(message(&file(header, &data)).contains("`w` holds NaN"));
        let header = r#"{"w":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}"#;
        assert!(message(&file(header, &1e300f64.to_le_bytes())).contains("element 0"));
    }

    #[test]
    fn other_files_are_recognised_as_such() {
        assert!(message(b"PK\x03\x04 and more bytes").contains("PyTorch"));
        assert!(message(b"\x93NUMPY\x01\x00 and more").contains("not a safetensors file"));
        assert!(message(&file("[1]", &[])).contains("not a JSON object"));
        assert!(message(&file("{", &[])).contains("not JSON"));
        assert!(message(&file(r#"{"__metadata__":{"a":1}}"#, &[])).contains("map of text"));
        assert_eq!(
            Weights::from_bytes("net", &file("{}", &[]))
                .unwrap()
                .n_values(),
            0
        );
    }
}
