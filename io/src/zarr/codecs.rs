//! How chunks are packed: the codecs of both versions, as steps from packed bytes to plain ones.
//!
//! No step makes more than its caller expects: a few bytes of a damaged or hostile chunk can ask for any amount of memory.
//! Sources: numcodecs' documentation (the codecs of version 2) and the codec pages of the specification of version 3.

use std::io::Read;
use std::path::Path;

use serde_json::Value;

use super::blosc;
use super::data_type::DataType;
use crate::chunks::unshuffle;
use crate::error::IoError;
use crate::tiff::codecs::{Compression, unpack_zstd};

/// One step of unpacking.
#[derive(Clone, Eq, PartialEq, Debug)]
pub(crate) enum Step {
    Gzip,
    Zlib,
    Zstd,
    Blosc,
    /// LZ4 after four bytes with the plain length, as numcodecs writes it.
    Lz4,
    /// A sum after the data.
    Crc32c,
    /// A sum before the data.
    Crc32,
    Adler32,
    /// Differences of neighbours, of this type and order of bytes.
    Delta(DataType, bool),
    /// The first bytes of all elements, then the second ones …
    Shuffle(usize),
    /// Texts of any length, each after its length.
    Texts,
}

impl Step {
    /// Whether it changes arrays rather than packs bytes.
    pub fn is_of_arrays(&self) -> bool {
        matches!(self, Step::Delta(..))
    }

    /// Plain bytes that one packed byte can become at most.
    fn max_expansion(&self) -> u64 {
        match self {
            Step::Gzip | Step::Zlib => Compression::Deflate.max_expansion(),
            Step::Zstd | Step::Blosc => Compression::Zstd.max_expansion(),
            Step::Lz4 => 255,
            _ => 1,
        }
    }

    /// Unpacks `packed`, to `limit` bytes at most. The error says what is wrong.
    fn unpack(&self, packed: Vec<u8>, limit: usize) -> Result<Vec<u8>, String> {
        match self {
            Step::Gzip => read_all(
                flate2::read::MultiGzDecoder::new(&packed[..]),
                "gzip",
                limit,
            ),
            Step::Zlib => read_all(flate2::read::ZlibDecoder::new(&packed[..]), "zlib", limit),
            Step::Zstd => {
                let most = packed.len().saturating_mul(self.max_expansion() as usize);
                let mut plain = vec![0; limit.min(most)];
                let n_plain = unpack_zstd(&packed, &mut plain)?;
                plain.truncate(n_plain);
                Ok(plain)
            }
            Step::Blosc => blosc::unpack(&packed, limit),
            Step::Lz4 => {
                let (head, packed) = packed
                    .split_first_chunk()
                    .ok_or("it is shorter than its head")?;
                let n_plain = u32::from_le_bytes(*head) as usize;
                if n_plain > limit || n_plain > packed.len().saturating_mul(255) {
                    return Err(format!("its head promises {n_plain} bytes"));
                }
                let mut plain = vec![0; n_plain];
                unpack_lz4(packed, &mut plain)?;
                Ok(plain)
            }
            Step::Crc32c => {
                let (plain, sum) = packed
                    .split_last_chunk()
                    .ok_or("it is shorter than its sum")?;
                check_sum(crc32c(plain), *sum)?;
                Ok(plain.to_vec())
            }
            Step::Crc32 | Step::Adler32 => {
                let (sum, plain) = packed
                    .split_first_chunk()
                    .ok_or("it is shorter than its sum")?;
                let found = if *self == Step::Crc32 {
                    crc32fast::hash(plain)
                } else {
                    adler32(plain)
                };
                check_sum(found, *sum)?;
                Ok(plain.to_vec())
            }
            Step::Delta(data_type, big_endian) => {
                let mut plain = packed;
                undo_delta(&mut plain, *data_type, *big_endian)?;
                Ok(plain)
            }
            Step::Shuffle(element_bytes) => {
                let mut plain = vec![0; packed.len()];
                unshuffle(&packed, &mut plain, *element_bytes);
                Ok(plain)
            }
            Step::Texts => Ok(packed),
        }
    }
}

/// The steps from the bytes of a chunk to its elements.
#[derive(Clone, Eq, PartialEq, Debug)]
pub(crate) struct Chain {
    /// The array's axis of each stored axis, the slowest first.
    pub axes: Vec<usize>,
    pub big_endian: bool,
    /// In the order of unpacking.
    pub steps: Vec<Step>,
}

impl Chain {
    /// Plain bytes that one packed byte can become at most.
    pub fn max_expansion(&self) -> u64 {
        let steps = self.steps.iter().map(Step::max_expansion);
        steps.fold(1, u64::saturating_mul)
    }

    /// Unpacks a chunk of `plain_bytes` bytes and brings them into native order. `path` is the chunk's file, for messages.
    ///
    /// # Errors
    /// When the data are damaged, or are not as many as expected.
    pub fn unpack(
        &self,
        path: &Path,
        packed: Vec<u8>,
        plain_bytes: usize,
        data_type: DataType,
    ) -> Result<Vec<u8>, IoError> {
        let bad = |what: String| IoError::malformed(path, "chunk", what);
        let n_packed = packed.len() as u64;
        if n_packed.saturating_mul(self.max_expansion()) < plain_bytes as u64 {
            return Err(bad(format!(
                "its {n_packed} bytes cannot hold the {plain_bytes} of a chunk"
            )));
        }
        let mut plain = self.run(path, packed, plain_bytes)?;
        if plain.len() != plain_bytes {
            return Err(bad(format!(
                "it unpacks to {} bytes where {plain_bytes} are expected",
                plain.len()
            )));
        }
        if self.big_endian != cfg!(target_endian = "big") && data_type.swapped_bytes() > 1 {
            crate::tiff::samples::swap_bytes(&mut plain, data_type.swapped_bytes());
        }
        Ok(plain)
    }

    /// Runs all steps; `plain_bytes` are expected at the end.
    pub fn run(
        &self,
        path: &Path,
        packed: Vec<u8>,
        plain_bytes: usize,
    ) -> Result<Vec<u8>, IoError> {
        // Between steps there may be a head or a sum more.
        let limit = plain_bytes
            .saturating_add(plain_bytes / 64)
            .saturating_add(1 << 16);
        let mut bytes = packed;
        for step in &self.steps {
            bytes = step
                .unpack(bytes, limit)
                .map_err(|what| IoError::malformed(path, "chunk", what))?;
        }
        Ok(bytes)
    }
}

/// Everything that a decoder gives, if it is not more than `limit` bytes.
fn read_all(decoder: impl Read, name: &str, limit: usize) -> Result<Vec<u8>, String> {
    let mut plain = Vec::new();
    decoder
        .take(limit as u64 + 1)
        .read_to_end(&mut plain)
        .map_err(|error| format!("its {name} data are corrupt ({error})"))?;
    if plain.len() > limit {
        return Err(format!("its {name} data hold more than a chunk does"));
    }
    Ok(plain)
}

/// A block of LZ4, which must fill `plain`.
pub(super) fn unpack_lz4(packed: &[u8], plain: &mut [u8]) -> Result<(), String> {
    match lz4_flex::block::decompress_into(packed, plain) {
        Ok(n_plain) if n_plain == plain.len() => Ok(()),
        Ok(n_plain) => Err(format!(
            "its LZ4 data end after {n_plain} of {} bytes",
            plain.len()
        )),
        Err(error) => Err(format!("its LZ4 data are corrupt ({error})")),
    }
}

fn check_sum(found: u32, expected: [u8; 4]) -> Result<(), String> {
    if found.to_le_bytes() == expected {
        return Ok(());
    }
    Err("its sum differs: the file is damaged".to_owned())
}

/// CRC-32C of Castagnoli, as RFC 3720 defines it.
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let mut crc = byte as u32;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 1 == 1 {
                    crc >> 1 ^ 0x82f6_3b78
                } else {
                    crc >> 1
                };
                bit += 1;
            }
            table[byte] = crc;
            byte += 1;
        }
        table
    };
    let step = |crc: u32, byte: &u8| TABLE[usize::from(crc as u8 ^ byte)] ^ crc >> 8;
    !bytes.iter().fold(u32::MAX, step)
}

/// Adler-32, as RFC 1950 defines it.
fn adler32(bytes: &[u8]) -> u32 {
    const MODULUS: u32 = 65521;
    let (mut a, mut b) = (1u32, 0u32);
    // So many sums stay below 2^32.
    for part in bytes.chunks(5552) {
        for &byte in part {
            a += u32::from(byte);
            b += a;
        }
        a %= MODULUS;
        b %= MODULUS;
    }
    b << 16 | a
}

/// Sums differences up again, in place; integers wrap as numpy's do.
fn undo_delta(bytes: &mut [u8], data_type: DataType, big_endian: bool) -> Result<(), String> {
    fn sum<const N: usize, T: Copy>(
        bytes: &mut [u8],
        swap: bool,
        zero: T,
        parse: fn([u8; N]) -> T,
        write: fn(T) -> [u8; N],
        add: fn(T, T) -> T,
    ) {
        let mut total = zero;
        for element in bytes.as_chunks_mut::<N>().0 {
            if swap {
                element.reverse();
            }
            total = add(total, parse(*element));
            *element = write(total);
            if swap {
                element.reverse();
            }
        }
    }
    let swap = big_endian != cfg!(target_endian = "big");
    // Signed and unsigned numbers wrap alike.
    match data_type {
        DataType::I8 | DataType::U8 => sum(
            bytes,
            swap,
            0,
            u8::from_ne_bytes,
            u8::to_ne_bytes,
            u8::wrapping_add,
        ),
        DataType::I16 | DataType::U16 => sum(
            bytes,
            swap,
            0,
            u16::from_ne_bytes,
            u16::to_ne_bytes,
            u16::wrapping_add,
        ),
        DataType::I32 | DataType::U32 => sum(
            bytes,
            swap,
            0,
            u32::from_ne_bytes,
            u32::to_ne_bytes,
            u32::wrapping_add,
        ),
        DataType::I64 | DataType::U64 => sum(
            bytes,
            swap,
            0,
            u64::from_ne_bytes,
            u64::to_ne_bytes,
            u64::wrapping_add,
        ),
        DataType::F32 => sum(
            bytes,
            swap,
            0.0,
            f32::from_ne_bytes,
            f32::to_ne_bytes,
            |a, b| a + b,
        ),
        DataType::F64 => sum(
            bytes,
            swap,
            0.0,
            f64::from_ne_bytes,
            f64::to_ne_bytes,
            |a, b| a + b,
        ),
        other => {
            return Err(format!(
                "differences of type {} are not read",
                other.numpy_name()
            ));
        }
    }
    Ok(())
}

/// The error of a codec that is not read.
fn unknown(path: &Path, name: &str) -> IoError {
    IoError::UnknownCodec {
        path: path.to_owned(),
        codec: name
            .chars()
            .filter(|letter| !letter.is_control())
            .take(60)
            .collect(),
    }
}

/// A compressor or filter of version 2; `key` is where it stands.
///
/// # Errors
/// When it is not read; it is named.
pub(super) fn parse_v2_codec(path: &Path, key: &str, codec: &Value) -> Result<Step, IoError> {
    let id = codec.get("id").and_then(Value::as_str);
    let id = id.ok_or_else(|| IoError::bad_value(path, key, codec, "a codec with an `id`"))?;
    parse_numcodec(path, id, codec)
}

/// A codec of version 3 other than those that the list itself needs.
///
/// # Errors
/// When it is not read; it is named.
pub(super) fn parse_v3_step(
    path: &Path,
    name: &str,
    configuration: &Value,
) -> Result<Step, IoError> {
    match name {
        "gzip" => Ok(Step::Gzip),
        "zstd" | "zlib" | "blosc" | "crc32c" | "vlen-utf8" => {
            parse_numcodec(path, name, configuration)
        }
        _ => match name.strip_prefix("numcodecs.") {
            Some(id) => parse_numcodec(path, id, configuration),
            None => Err(unknown(path, name)),
        },
    }
}

/// A codec of numcodecs.
fn parse_numcodec(path: &Path, id: &str, configuration: &Value) -> Result<Step, IoError> {
    let bad = |key: &str, expected: &str| {
        let value = configuration.get(key).unwrap_or(&Value::Null);
        IoError::bad_value(path, &format!("{id}.{key}"), value, expected)
    };
    Ok(match id {
        "gzip" => Step::Gzip,
        "zlib" => Step::Zlib,
        "zstd" => Step::Zstd,
        "blosc" => Step::Blosc,
        "lz4" => Step::Lz4,
        "crc32c" => Step::Crc32c,
        "crc32" => Step::Crc32,
        "adler32" => Step::Adler32,
        "vlen-utf8" => Step::Texts,
        "shuffle" => {
            let element_bytes = configuration
                .get("elementsize")
                .map_or(Some(4), Value::as_u64);
            let element_bytes = element_bytes.filter(|n| (1..=255).contains(n));
            Step::Shuffle(element_bytes.ok_or_else(|| bad("elementsize", "1 to 255"))? as usize)
        }
        "delta" => {
            let name = |key: &str| configuration.get(key).and_then(Value::as_str);
            let dtype = name("dtype").and_then(DataType::from_numpy);
            let (data_type, big_endian) = dtype.ok_or_else(|| bad("dtype", "a type as `<i2`"))?;
            if name("astype").is_some_and(|stored| Some(stored) != name("dtype")) {
                return Err(bad("astype", "the same as `dtype`"));
            }
            Step::Delta(data_type, big_endian)
        }
        _ => return Err(unknown(path, id)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_equal_those_of_their_definitions() {
        // RFC 3720, B.4, and RFC 1950's sum of an English word.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
    }

    #[test]
    fn a_chunk_cannot_ask_for_more_than_it_may_hold() {
        let chain = |steps: Vec<Step>| Chain {
            axes: vec![0],
            big_endian: false,
            steps,
        };
        let path = Path::new("0");
        let error = chain(vec![Step::Zlib])
            .unpack(path, vec![1; 10], 1 << 30, DataType::I16)
            .unwrap_err();
        assert!(
            error.to_string().contains("10 bytes cannot hold"),
            "{error}"
        );
        let long = [(1u32 << 30).to_le_bytes().to_vec(), vec![0; 100]].concat();
        let error = chain(vec![Step::Lz4])
            .unpack(path, long, 100, DataType::U8)
            .unwrap_err();
        assert!(error.to_string().contains("promises 1073741824"), "{error}");
        let error = chain(vec![])
            .unpack(path, vec![0; 7], 8, DataType::U8)
            .unwrap_err();
        assert!(error.to_string().contains("7 bytes"), "{error}");
    }

    #[test]
    fn codecs_that_are_not_read_are_named() {
        for id in ["wavpack", "flac", "pickle", "lzma"] {
            let error = parse_v2_codec(
                Path::new("a/.zarray"),
                "compressor",
                &serde_json::json!({"id": id}),
            )
            .unwrap_err();
            assert!(error.to_string().contains(&format!("`{id}`")), "{error}");
            assert!(error.hint().is_some());
        }
    }
}
