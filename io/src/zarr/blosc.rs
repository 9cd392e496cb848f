//! The container of Blosc, version 1: blocks of shuffled elements, each packed by one of several codecs.
//!
//! A header of 16 bytes (versions, flags, size of an element, plain bytes, bytes of a block, packed bytes) is followed by the place
//! of each block. A block is one stream, or one a byte of an element, each after its length; a stream as long as its plain bytes is
//! stored. Then the shuffle of a block is undone: by bytes (all first bytes, all second bytes …) or by bits. Source: the header's
//! public description ("Blosc chunk format"), and containers that numcodecs writes.

use super::codecs::unpack_lz4;
use crate::chunks::unshuffle;
use crate::tiff::codecs::{Compression, unpack_zstd};

const HEADER_BYTES: usize = 16;
/// Flags of the header.
const SHUFFLE: u8 = 1;
const STORED: u8 = 1 << 1;
const BIT_SHUFFLE: u8 = 1 << 2;
const ONE_STREAM: u8 = 1 << 4;
/// A block is split into streams where an element has at most so many bytes, and each stream at least so many.
const MAX_STREAMS: usize = 16;
const MIN_STREAM_BYTES: usize = 128;

/// Unpacks a container of at most `limit` plain bytes. The error says what is wrong.
pub(crate) fn unpack(packed: &[u8], limit: usize) -> Result<Vec<u8>, String> {
    let Some((header, _)) = packed.split_first_chunk::<HEADER_BYTES>() else {
        return Err("it is shorter than the header of Blosc".to_owned());
    };
    let (version, flags, element_bytes) = (header[0], header[2], usize::from(header[3]).max(1));
    if !(1..=2).contains(&version) {
        return Err(format!(
            "it is of version {version} of Blosc's format, where 1 and 2 are read"
        ));
    }
    let n_plain = u32_at(header, 4);
    let block_bytes = u32_at(header, 8);
    if n_plain > limit {
        return Err(format!(
            "its header promises {n_plain} bytes, more than a chunk has"
        ));
    }
    if flags & STORED != 0 {
        let stored = packed.get(HEADER_BYTES..HEADER_BYTES + n_plain);
        return stored.map(<[u8]>::to_vec).ok_or_else(cut_short);
    }
    if n_plain == 0 {
        return Ok(Vec::new());
    }
    let codec = Codec::from_flags(flags)?;
    let most = packed.len() as u64 * Compression::Zstd.max_expansion();
    if block_bytes == 0 || block_bytes > n_plain || n_plain as u64 > most {
        return Err(format!(
            "its header says {n_plain} bytes in blocks of {block_bytes}"
        ));
    }
    let n_blocks = n_plain.div_ceil(block_bytes);
    let mut plain = vec![0; n_plain];
    let mut shuffled = Vec::new();
    for (block, out) in plain.chunks_mut(block_bytes).enumerate() {
        let place = packed
            .get(HEADER_BYTES + 4 * block..)
            .and_then(|rest| rest.first_chunk::<4>());
        let place = u32::from_le_bytes(*place.ok_or_else(cut_short)?) as usize;
        if place < HEADER_BYTES + 4 * n_blocks {
            return Err(format!("its block {block} lies within the header"));
        }
        let mut rest = packed.get(place..).ok_or_else(cut_short)?;
        let is_split = flags & ONE_STREAM == 0
            && element_bytes <= MAX_STREAMS
            && block_bytes / element_bytes >= MIN_STREAM_BYTES
            && out.len() == block_bytes;
        let n_streams = if is_split { element_bytes } else { 1 };
        let is_shuffled = flags & SHUFFLE != 0 && element_bytes > 1;
        let is_bit_shuffled = flags & BIT_SHUFFLE != 0 && block_bytes >= element_bytes;
        let target = if is_shuffled || is_bit_shuffled {
            shuffled.clear();
            shuffled.resize(out.len(), 0);
            &mut shuffled[..]
        } else {
            &mut *out
        };
        let stream_bytes = target.len() / n_streams;
        // A block of a whole number of elements only is split.
        if stream_bytes * n_streams != target.len() {
            return Err(format!(
                "its blocks of {block_bytes} bytes do not hold elements of {element_bytes}"
            ));
        }
        for stream in target.chunks_mut(stream_bytes.max(1)) {
            let (length, after) = rest.split_first_chunk::<4>().ok_or_else(cut_short)?;
            let length = u32::from_le_bytes(*length) as usize;
            let (here, after) = after.split_at_checked(length).ok_or_else(cut_short)?;
            if here.len() == stream.len() {
                stream.copy_from_slice(here);
            } else {
                codec.unpack(here, stream)?;
            }
            rest = after;
        }
        if is_shuffled {
            unshuffle(&shuffled, out, element_bytes);
        } else if is_bit_shuffled {
            unshuffle_bits(&shuffled, out, element_bytes);
        }
    }
    Ok(plain)
}

fn cut_short() -> String {
    "its Blosc data are cut short".to_owned()
}

fn u32_at(header: &[u8; HEADER_BYTES], place: usize) -> usize {
    let bytes = [
        header[place],
        header[place + 1],
        header[place + 2],
        header[place + 3],
    ];
    u32::from_le_bytes(bytes) as usize
}

/// The codec of the streams.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
enum Codec {
    BloscLz,
    Lz4,
    Zlib,
    Zstd,
}

impl Codec {
    fn from_flags(flags: u8) -> Result<Codec, String> {
        Ok(match flags >> 5 {
            0 => Codec::BloscLz,
            1 => Codec::Lz4,
            2 => return Err("it is packed by Blosc with Snappy, which is not read".to_owned()),
            3 => Codec::Zlib,
            4 => Codec::Zstd,
            other => {
                return Err(format!(
                    "it is packed by Blosc with a codec of number {other}, which is not known"
                ));
            }
        })
    }

    /// Unpacks a stream, which must fill `plain`.
    fn unpack(self, packed: &[u8], plain: &mut [u8]) -> Result<(), String> {
        match self {
            Codec::BloscLz => unpack_blosclz(packed, plain)
                .ok_or_else(|| "its BloscLZ data are corrupt".to_owned()),
            Codec::Lz4 => unpack_lz4(packed, plain),
            Codec::Zlib => Compression::Deflate.unpack(packed, plain),
            Codec::Zstd => {
                let n_plain = unpack_zstd(packed, plain)?;
                if n_plain < plain.len() {
                    return Err(format!(
                        "its zstd data end after {n_plain} of {} bytes",
                        plain.len()
                    ));
                }
                Ok(())
            }
        }
    }
}

/// BloscLZ, a form of FastLZ: runs of literal bytes, and copies of up to 8 bytes or longer from nearer or farther back. `None` when
/// the data are corrupt or do not fill `plain`.
fn unpack_blosclz(packed: &[u8], plain: &mut [u8]) -> Option<()> {
    /// Copies that are farther back have two more bytes for the distance.
    const FAR: usize = 31 << 8 | 255;
    let mut bytes = packed.iter().copied();
    let mut written = 0;
    // The first three bits of the first byte are a version.
    let mut control = usize::from(bytes.next()? & 31);
    loop {
        if control < 32 {
            for _ in 0..=control {
                *plain.get_mut(written)? = bytes.next()?;
                written += 1;
            }
        } else {
            let mut length = (control >> 5) + 2;
            if control >> 5 == 7 {
                loop {
                    let more = usize::from(bytes.next()?);
                    length += more;
                    if more < 255 {
                        break;
                    }
                }
            }
            let mut distance = (control & 31) << 8 | usize::from(bytes.next()?);
            if distance == FAR {
                distance += usize::from(bytes.next()?) << 8;
                distance += usize::from(bytes.next()?);
            }
            let from = written.checked_sub(distance + 1)?;
            if length > plain.len() - written {
                return None;
            }
            // The copy may run into what it writes.
            for place in 0..length {
                plain[written + place] = plain[from + place];
            }
            written += length;
        }
        match bytes.next() {
            Some(next) => control = usize::from(next),
            None => return (written == plain.len()).then_some(()),
        }
    }
}

/// From all lowest bits, all second bits … to elements. Blocks whose elements are not a multiple of eight are stored as they are.
fn unshuffle_bits(shuffled: &[u8], plain: &mut [u8], element_bytes: usize) {
    let n_elements = plain.len() / element_bytes;
    if !n_elements.is_multiple_of(8) || n_elements == 0 {
        plain.copy_from_slice(shuffled);
        return;
    }
    let n_whole = n_elements * element_bytes;
    plain[n_whole..].copy_from_slice(&shuffled[n_whole..]);
    let row_bytes = n_elements / 8;
    for byte in 0..element_bytes {
        let rows = &shuffled[8 * byte * row_bytes..][..8 * row_bytes];
        for group in 0..row_bytes {
            // Eight bits of eight elements: a square that is transposed.
            let mut square = 0u64;
            for bit in 0..8 {
                square |= u64::from(rows[bit * row_bytes + group]) << (8 * bit);
            }
            let square = transpose_bits(square);
            for element in 0..8 {
                plain[(8 * group + element) * element_bytes + byte] =
                    (square >> (8 * element)) as u8;
            }
        }
    }
}

/// Transposes a square of 8 × 8 bits (Warren, Hacker's Delight, 7-3).
fn transpose_bits(square: u64) -> u64 {
    let mut x = square;
    for (shift, mask) in [
        (7, 0x00aa_00aa_00aa_00aa),
        (14, 0x0000_cccc_0000_cccc),
        (28, 0x0000_0000_f0f0_f0f0),
    ] {
        let swapped = (x ^ (x >> shift)) & mask;
        x ^= swapped ^ (swapped << shift);
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_transposed() {
        for row in 0..8 {
            for column in 0..8 {
                assert_eq!(
                    transpose_bits(1 << (8 * row + column)),
                    1 << (8 * column + row)
                );
            }
        }
    }

    #[test]
    fn shuffled_bits_come_back_in_order() {
        // Eight elements of one byte: element k has bit k.
        let shuffled = [1u8, 2, 4, 8, 16, 32, 64, 128];
        let mut plain = [0; 8];
        unshuffle_bits(&shuffled, &mut plain, 1);
        assert_eq!(plain, shuffled);
    }

    #[test]
    fn headers_that_lie_are_refused() {
        let header = |flags: u8, element: u8, plain: u32, block: u32| {
            let mut bytes = vec![2, 1, flags, element];
            for number in [plain, block, 100] {
                bytes.extend(number.to_le_bytes());
            }
            bytes.extend([0; 84]);
            bytes
        };
        for (bytes, part) in [
            (header(0x22, 2, 1000, 1000), "cut short"),
            (header(0x20, 2, u32::MAX, 10), "promises"),
            (header(0x20, 2, 1000, 0), "blocks of 0"),
            (header(0x20, 2, 1000, 1000), "within the header"),
            (header(0x40, 2, 100, 100), "Snappy"),
            (vec![2; 15], "shorter"),
            (vec![5; 16], "version 5"),
        ] {
            let error = unpack(&bytes, 1 << 20).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
