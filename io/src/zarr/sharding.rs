//! The list of codecs of version 3, and shards: files that hold many chunks and an index of where each lies.

use std::fs::File;
use std::path::Path;

use serde_json::Value;

use super::codecs::{Chain, Step, crc32c, parse_v3_step};
use super::metadata::Description;
use crate::error::IoError;
use crate::recording::frames::read_exact_at;

/// Where the index of a shard lies, and how it is written.
#[derive(Clone, Eq, PartialEq, Debug)]
pub(crate) struct ShardIndex {
    pub is_at_end: bool,
    pub has_sum: bool,
    pub big_endian: bool,
}

/// Bytes of an entry: place and length.
const ENTRY_BYTES: u64 = 16;
/// Bytes of a sum after the index.
const SUM_BYTES: u64 = 4;

impl ShardIndex {
    /// Reads where each of `n_chunks` chunks of an open shard lies: place and bytes, or `None` for one that is absent.
    ///
    /// # Errors
    /// When the file is too short for its index, or the sum differs.
    pub fn read(
        &self,
        path: &Path,
        file: &File,
        n_chunks: u64,
    ) -> Result<Vec<Option<(u64, u64)>>, IoError> {
        let failed = |source| IoError::read(path, source);
        let file_bytes = file.metadata().map_err(failed)?.len();
        let sum_bytes = if self.has_sum { SUM_BYTES } else { 0 };
        let index_bytes = n_chunks
            .saturating_mul(ENTRY_BYTES)
            .saturating_add(sum_bytes);
        if index_bytes > file_bytes {
            return Err(IoError::Truncated {
                path: path.to_owned(),
                expected_bytes: index_bytes,
                found_bytes: file_bytes,
            });
        }
        let mut bytes = vec![0; index_bytes as usize];
        let start = if self.is_at_end {
            file_bytes - index_bytes
        } else {
            0
        };
        read_exact_at(file, &mut bytes, start).map_err(failed)?;
        let (entries, sum) = bytes.split_at((n_chunks * ENTRY_BYTES) as usize);
        if self.has_sum && crc32c(entries).to_le_bytes() != *sum {
            return Err(IoError::malformed(
                path,
                "index of the shard",
                "its sum differs: the file is damaged",
            ));
        }
        let number = |bytes: &[u8]| {
            let bytes = bytes.try_into().unwrap_or([0; 8]);
            if self.big_endian {
                u64::from_be_bytes(bytes)
            } else {
                u64::from_le_bytes(bytes)
            }
        };
        entries
            .chunks_exact(ENTRY_BYTES as usize)
            .map(|entry| {
                let (place, length) = (number(&entry[..8]), number(&entry[8..]));
                if place == u64::MAX && length == u64::MAX {
                    return Ok(None);
                }
                let end = place.checked_add(length);
                if end.is_none_or(|end| end > file_bytes) {
                    return Err(IoError::Truncated {
                        path: path.to_owned(),
                        expected_bytes: end.unwrap_or(u64::MAX),
                        found_bytes: file_bytes,
                    });
                }
                Ok(Some((place, length)))
            })
            .collect()
    }
}

/// A parsed list of codecs.
pub(super) struct V3Codecs {
    chain: Chain,
    /// Configuration of the codec that makes shards.
    shard: Option<Value>,
}

impl V3Codecs {
    /// Parses the list for an array of `n_axes` axes.
    ///
    /// # Errors
    /// When a codec is unknown or stands where it cannot.
    pub fn parse(path: &Path, codecs: &Value, n_axes: usize) -> Result<V3Codecs, IoError> {
        let bad = |expected: &str| IoError::bad_value(path, "codecs", codecs, expected);
        let list = codecs.as_array().filter(|list| list.len() <= 16);
        let list = list.ok_or_else(|| bad("a list of up to 16 codecs"))?;
        let (mut axes, mut big_endian, mut shard) = ((0..n_axes).collect::<Vec<_>>(), false, None);
        // What comes before the codec that makes bytes changes arrays; what comes after it packs bytes.
        let (mut are_bytes, mut before, mut steps) = (false, Vec::new(), Vec::new());
        for codec in list {
            let name = codec
                .as_str()
                .or_else(|| codec.get("name").and_then(Value::as_str));
            let name = name.ok_or_else(|| bad("codecs with names"))?;
            let null = Value::Null;
            let configuration = codec.get("configuration").unwrap_or(&null);
            match name {
                "transpose" if !are_bytes && before.is_empty() => {
                    let order = permutation(configuration.get("order"), n_axes);
                    let order = order.ok_or_else(|| {
                        bad("an `order` of `transpose` that names each axis once")
                    })?;
                    axes = order.iter().map(|&axis| axes[axis]).collect();
                }
                "bytes" if !are_bytes => {
                    are_bytes = true;
                    big_endian = match configuration.get("endian").map(Value::as_str) {
                        None | Some(None | Some("little")) => false,
                        Some(Some("big")) => true,
                        Some(Some(_)) => return Err(bad("an `endian` of `little` or `big`")),
                    };
                }
                "sharding_indexed" if !are_bytes && before.is_empty() && axes.is_sorted() => {
                    are_bytes = true;
                    shard = Some(configuration.clone());
                }
                _ => {
                    let step = parse_v3_step(path, name, configuration)?;
                    let is_of_arrays = step.is_of_arrays();
                    if matches!(step, Step::Texts) {
                        are_bytes = true;
                    } else if is_of_arrays == are_bytes || shard.is_some() {
                        return Err(bad(
                            "codecs in an order that is read (a shard alone, arrays before bytes)",
                        ));
                    }
                    if is_of_arrays {
                        &mut before
                    } else {
                        &mut steps
                    }
                    .push(step);
                }
            }
        }
        if !are_bytes {
            return Err(bad("a codec that makes bytes"));
        }
        if big_endian && !before.is_empty() {
            return Err(bad("little-endian bytes where a filter is used"));
        }
        // Packed last is unpacked first.
        steps.reverse();
        steps.extend(before.into_iter().rev());
        Ok(V3Codecs {
            chain: Chain {
                axes,
                big_endian,
                steps,
            },
            shard,
        })
    }

    /// The chain of one chunk, the chunk's shape, and the index of the shards where there are any.
    pub fn sharded(
        self,
        path: &Path,
        file_shape: &[u64],
    ) -> Result<(Chain, Vec<u64>, Option<ShardIndex>), IoError> {
        let Some(configuration) = self.shard else {
            return Ok((self.chain, file_shape.to_vec(), None));
        };
        let description = Description {
            path,
            json: &configuration,
        };
        let chunk_shape = description.lengths("chunk_shape", 1)?;
        let fits = chunk_shape.len() == file_shape.len()
            && chunk_shape
                .iter()
                .zip(file_shape)
                .all(|(chunk, shard)| shard.is_multiple_of(*chunk));
        if !fits {
            return Err(description.bad("chunk_shape", "lengths that divide the shard's"));
        }
        let inner = Self::parse(path, description.get("codecs")?, file_shape.len())?;
        if inner.shard.is_some() {
            return Err(description.bad("codecs", "codecs other than a shard within a shard"));
        }
        let index = Self::parse(path, description.get("index_codecs")?, file_shape.len() + 1)?;
        let has_sum = match index.chain.steps[..] {
            [] => false,
            [Step::Crc32c] => true,
            _ => return Err(description.bad("index_codecs", "`bytes` and `crc32c`")),
        };
        let is_at_end = match configuration.get("index_location").map(Value::as_str) {
            None | Some(Some("end")) => true,
            Some(Some("start")) => false,
            Some(_) => return Err(description.bad("index_location", "`start` or `end`")),
        };
        let shard = ShardIndex {
            is_at_end,
            has_sum,
            big_endian: index.chain.big_endian,
        };
        Ok((inner.chain, chunk_shape, Some(shard)))
    }
}

/// Numbers below `n` of which each comes once.
fn permutation(value: Option<&Value>, n: usize) -> Option<Vec<usize>> {
    let numbers: Option<Vec<usize>> = value?
        .as_array()?
        .iter()
        .map(|number| usize::try_from(number.as_u64()?).ok())
        .collect();
    let numbers = numbers?;
    let mut sorted = numbers.clone();
    sorted.sort_unstable();
    sorted.iter().copied().eq(0..n).then_some(numbers)
}
