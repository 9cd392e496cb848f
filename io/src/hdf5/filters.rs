//! Filters that chunks went through when they were written, undone in the reverse order.

use super::checksum::fletcher32;
use super::source::{Cursor, Source};
use crate::chunks::unshuffle;
use crate::error::IoError;
use crate::tiff::codecs::Compression;

/// Filters of a dataset at most, as many as a mask can switch off.
const MAX_FILTERS: usize = 32;

/// A filter that is read.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum Filter {
    Deflate,
    /// Bytes of equal place in elements of so many bytes lie together.
    Shuffle(usize),
    Fletcher32,
    Lzf,
    Zstd,
}

/// Reads the filter message; `element_bytes` is the size where the shuffle does not say it.
pub(crate) fn parse(
    source: &Source,
    cursor: &mut Cursor,
    name_of_dataset: &str,
    element_bytes: usize,
) -> Result<Vec<Filter>, IoError> {
    let version = cursor.version("the list of filters", &[1, 2])?;
    let n_filters = usize::from(cursor.u8()?);
    if n_filters > MAX_FILTERS {
        return Err(cursor.malformed(format!("{n_filters} filters are more than {MAX_FILTERS}")));
    }
    if version == 1 {
        cursor.skip(6)?;
    }
    let mut filters = Vec::with_capacity(n_filters);
    for _ in 0..n_filters {
        let number = cursor.u16()?;
        let name_bytes = match version {
            2 if number < 256 => 0,
            _ => usize::from(cursor.u16()?),
        };
        cursor.skip(2)?;
        let n_values = usize::from(cursor.u16()?);
        let name = cursor.bytes(match version {
            1 => name_bytes.next_multiple_of(8),
            _ => name_bytes,
        })?;
        let values = (0..n_values)
            .map(|_| cursor.u32())
            .collect::<Result<Vec<_>, _>>()?;
        if version == 1 && n_values % 2 == 1 {
            cursor.skip(4)?;
        }
        filters.push(match number {
            1 => Filter::Deflate,
            2 => Filter::Shuffle(values.first().map_or(element_bytes, |&size| size as usize)),
            3 => Filter::Fletcher32,
            32000 => Filter::Lzf,
            32015 => Filter::Zstd,
            _ => {
                let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
                return Err(unread(
                    source,
                    name_of_dataset,
                    number,
                    &String::from_utf8_lossy(name),
                ));
            }
        });
    }
    Ok(filters)
}

/// The error for a filter that is not read.
fn unread(source: &Source, dataset: &str, number: u16, own_name: &str) -> IoError {
    let name = match number {
        4 => "szip",
        5 => "n-bit",
        6 => "scale-offset",
        307 => "bzip2",
        32001 => "Blosc",
        32004 => "LZ4",
        32008 => "bitshuffle",
        32013 => "ZFP",
        32026 => "Blosc2",
        _ if own_name.is_empty() => "an unknown filter",
        _ => own_name,
    };
    source.unsupported(
        format!("`{dataset}` is compressed by {name} (filter {number}), which is not read"),
        "write it again with gzip: `h5repack -f SHUF -f GZIP=4 OLD NEW`",
    )
}

/// Bytes that a stored chunk of `stored_bytes` can become at most: what a header claims beyond it is a lie. What is compressed
/// twice does not shrink twice, so the strongest codec counts.
pub(crate) fn max_plain_bytes(filters: &[Filter], stored_bytes: u64) -> u64 {
    let expansion = filters.iter().map(|filter| match filter {
        Filter::Deflate => Compression::Deflate.max_expansion(),
        Filter::Zstd => Compression::Zstd.max_expansion(),
        // Three bytes make a copy of at most 264.
        Filter::Lzf => 88,
        Filter::Shuffle(_) | Filter::Fletcher32 => 1,
    });
    stored_bytes.saturating_mul(expansion.max().unwrap_or(1))
}

/// Undoes the filters but those that the chunk's `mask` switches off; `plain_bytes` is what must come out. The error says what
/// is wrong.
pub(crate) fn undo(
    filters: &[Filter],
    mask: u32,
    stored: Vec<u8>,
    plain_bytes: usize,
) -> Result<Vec<u8>, String> {
    let is_used = |index: usize| mask >> index & 1 == 0;
    let mut bytes = stored;
    for (index, filter) in filters.iter().enumerate().rev() {
        if !is_used(index) {
            continue;
        }
        // A checksum that was added before packing is four bytes of what is unpacked.
        let n_sums = (0..index)
            .filter(|&before| is_used(before) && filters[before] == Filter::Fletcher32)
            .count();
        let expected_bytes = plain_bytes + 4 * n_sums;
        bytes = match *filter {
            Filter::Deflate => unpacked(Compression::Deflate, &bytes, expected_bytes)?,
            Filter::Zstd => unpacked(Compression::Zstd, &bytes, expected_bytes)?,
            Filter::Lzf => unpack_lzf(&bytes, expected_bytes)?,
            Filter::Shuffle(size) => unshuffled(&bytes, size),
            Filter::Fletcher32 => {
                let (plain, sum) = bytes
                    .split_last_chunk::<4>()
                    .ok_or("it is too short for its checksum")?;
                let found = fletcher32(plain);
                // Old versions of the library wrote the bytes of each half in the other order.
                let swapped = found >> 8 & 0x00ff_00ff | found << 8 & 0xff00_ff00;
                if ![found, swapped].contains(&u32::from_le_bytes(*sum)) {
                    return Err("its checksum does not match".to_owned());
                }
                plain.to_vec()
            }
        };
    }
    if bytes.len() != plain_bytes {
        return Err(format!(
            "it has {} bytes in place of {plain_bytes}",
            bytes.len()
        ));
    }
    Ok(bytes)
}

fn unpacked(codec: Compression, packed: &[u8], plain_bytes: usize) -> Result<Vec<u8>, String> {
    let mut plain = vec![0; plain_bytes];
    codec.unpack(packed, &mut plain)?;
    Ok(plain)
}

fn unshuffled(bytes: &[u8], element_bytes: usize) -> Vec<u8> {
    let mut plain = vec![0; bytes.len()];
    unshuffle(bytes, &mut plain, element_bytes);
    plain
}

/// LZF, as h5py's own filter packs: runs of stored bytes, and copies of 3 to 264 bytes from at most 8 KiB before.
fn unpack_lzf(packed: &[u8], plain_bytes: usize) -> Result<Vec<u8>, String> {
    const CORRUPT: &str = "its LZF data are corrupt";
    let mut plain = Vec::with_capacity(plain_bytes);
    let mut rest = packed;
    while let [control, after @ ..] = rest {
        let control = usize::from(*control);
        if control < 32 {
            let run = after.get(..=control).ok_or(CORRUPT)?;
            plain.extend_from_slice(run);
            rest = &after[control + 1..];
        } else {
            let mut length = (control >> 5) + 2;
            rest = after;
            if length == 9 {
                let (&more, after) = rest.split_first().ok_or(CORRUPT)?;
                length += usize::from(more);
                rest = after;
            }
            let (&low, after) = rest.split_first().ok_or(CORRUPT)?;
            rest = after;
            let back = (control & 0x1f) << 8 | usize::from(low);
            let start = plain.len().checked_sub(back + 1).ok_or(CORRUPT)?;
            // A copy may run into what it has just written.
            for at in start..start + length {
                plain.push(plain[at]);
            }
        }
        if plain.len() > plain_bytes {
            return Err(CORRUPT.to_owned());
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_beyond_the_last_whole_element_stay_where_they_are() {
        assert_eq!(unshuffled(&[1, 3, 5, 2, 4, 6, 9], 2), [1, 2, 3, 4, 5, 6, 9]);
        assert_eq!(unshuffled(&[7, 8], 4), [7, 8]);
        assert_eq!(unshuffled(&[], 4), [0u8; 0]);
    }

    #[test]
    fn lzf_copies_may_overlap_themselves() {
        // "ab", then a copy of 5 bytes from 2 before.
        let packed = [1, b'a', b'b', 3 << 5, 1];
        assert_eq!(unpack_lzf(&packed, 7).unwrap(), b"abababa");
        assert!(unpack_lzf(&packed, 6).is_err());
        assert!(unpack_lzf(&[3 << 5, 1], 7).is_err());
        assert!(unpack_lzf(&[5, b'a'], 7).is_err());
    }
}
