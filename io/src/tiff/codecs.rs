//! Compression codecs of TIFF strips and tiles, each from one slice of bytes into another: no state between calls, so any
//! number of threads may unpack at once.

use std::io::Read;

use weezl::{BitOrder, LzwStatus};

/// A codec that is read.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum Compression {
    None,
    Lzw,
    PackBits,
    Deflate,
    Zstd,
}

impl Compression {
    /// From TIFF's number; the error names a codec that is not read.
    pub fn from_number(number: u64) -> Result<Compression, String> {
        Ok(match number {
            0 | 1 => Compression::None,
            5 => Compression::Lzw,
            32773 => Compression::PackBits,
            8 | 32946 => Compression::Deflate,
            50000 | 34926 => Compression::Zstd,
            _ => {
                return Err(match number {
                    2..=4 => "CCITT fax".to_owned(),
                    6 | 7 | 33007 => "JPEG".to_owned(),
                    9 | 10 | 34661 => "JBIG".to_owned(),
                    32809 => "ThunderScan".to_owned(),
                    32908 | 32909 => "Pixar".to_owned(),
                    33003 | 33004 | 33005 | 34712 => "JPEG 2000".to_owned(),
                    34676 | 34677 => "SGI LogLuv".to_owned(),
                    34887 => "LERC".to_owned(),
                    34892 => "lossy JPEG".to_owned(),
                    34925 => "LZMA".to_owned(),
                    34933 => "PNG".to_owned(),
                    34934 | 22610 => "JPEG XR".to_owned(),
                    50001 | 34927 => "WebP".to_owned(),
                    50002 | 52546 => "JPEG XL".to_owned(),
                    _ => format!("a codec of number {number}"),
                });
            }
        })
    }

    /// Plain bytes that one packed byte can become at most, by the codec's own rules: what a header claims beyond it is a lie.
    pub fn max_expansion(self) -> u64 {
        match self {
            Compression::None => 1,
            // Two bytes make a run of at most 128.
            Compression::PackBits => 64,
            // A code of 9 to 12 bits stands for at most 4096 bytes.
            Compression::Lzw => 4096,
            // Two bits make a copy of at most 258 bytes: 1032.
            Compression::Deflate => 1032,
            // A block of 4 bytes makes a run of at most 128 KiB.
            Compression::Zstd => 32768,
        }
    }

    /// Unpacks `packed` until `plain` is full; what follows is ignored. The error says what is wrong.
    pub fn unpack(self, packed: &[u8], plain: &mut [u8]) -> Result<(), String> {
        let n_plain = match self {
            Compression::None => {
                let n_plain = packed.len().min(plain.len());
                plain[..n_plain].copy_from_slice(&packed[..n_plain]);
                n_plain
            }
            Compression::PackBits => unpack_bits(packed, plain),
            Compression::Lzw => unpack_lzw(packed, plain)?,
            Compression::Deflate => {
                let mut inflate = flate2::Decompress::new(true);
                inflate
                    .decompress(packed, plain, flate2::FlushDecompress::Finish)
                    .map_err(|error| format!("its deflate data are corrupt ({error})"))?;
                inflate.total_out() as usize
            }
            Compression::Zstd => unpack_zstd(packed, plain)?,
        };
        if n_plain < plain.len() {
            return Err(format!(
                "its packed data end after {n_plain} of {} bytes",
                plain.len()
            ));
        }
        Ok(())
    }
}

/// PackBits; returns the bytes written.
fn unpack_bits(packed: &[u8], plain: &mut [u8]) -> usize {
    let mut written = 0;
    let mut rest = packed;
    while let [head, after @ ..] = rest {
        let free = plain.len() - written;
        if free == 0 {
            break;
        }
        match *head as i8 {
            -128 => rest = after,
            head @ 0.. => {
                let n_stored = (head as usize + 1).min(after.len());
                let n_here = n_stored.min(free);
                plain[written..written + n_here].copy_from_slice(&after[..n_here]);
                written += n_here;
                rest = &after[n_stored..];
            }
            head => {
                let Some((&byte, after)) = after.split_first() else {
                    break;
                };
                let n_here = (1 - head as isize) as usize;
                let n_here = n_here.min(free);
                plain[written..written + n_here].fill(byte);
                written += n_here;
                rest = after;
            }
        }
    }
    written
}

/// LZW; returns the bytes written.
///
/// Writers before TIFF 6.0 packed codes from the least significant bit on and switched widths one code later; their data
/// begin with a clear code whose first byte is 0, which the later form cannot have (libtiff tells them apart so too).
fn unpack_lzw(packed: &[u8], plain: &mut [u8]) -> Result<usize, String> {
    let mut decoder = if matches!(packed, [0, second, ..] if second & 1 == 1) {
        weezl::decode::Decoder::new(BitOrder::Lsb, 8)
    } else {
        weezl::decode::Decoder::with_tiff_size_switch(BitOrder::Msb, 8)
    };
    let (mut read, mut written) = (0, 0);
    while written < plain.len() {
        let result = decoder.decode_bytes(&packed[read..], &mut plain[written..]);
        read += result.consumed_in;
        written += result.consumed_out;
        match result.status {
            Ok(LzwStatus::Ok) if result.consumed_in + result.consumed_out > 0 => {}
            Ok(_) => break,
            Err(_) if written == plain.len() => break,
            Err(_) => return Err("its LZW data are corrupt".to_owned()),
        }
    }
    Ok(written)
}

/// Zstandard; returns the bytes written.
pub(crate) fn unpack_zstd(packed: &[u8], plain: &mut [u8]) -> Result<usize, String> {
    let corrupt = |error: &dyn std::fmt::Display| format!("its zstd data are corrupt ({error})");
    let window_bytes = (plain.len() as u64).max(128 << 10).next_power_of_two();
    let mut head = [0u8; 6];
    let n_head = packed.len().min(head.len());
    head[..n_head].copy_from_slice(&packed[..n_head]);
    limit_window(&mut head, window_bytes);
    let mut decoder = ruzstd::decoding::FrameDecoder::new();
    decoder.set_max_window_size(window_bytes);
    let frame = head[..n_head].chain(&packed[n_head..]);
    let mut decoder = ruzstd::decoding::StreamingDecoder::new_with_decoder(frame, decoder)
        .map_err(|error| corrupt(&error))?;
    let mut written = 0;
    while written < plain.len() {
        match decoder.read(&mut plain[written..]) {
            Ok(0) => break,
            Ok(n_here) => written += n_here,
            Err(error) => return Err(corrupt(&error)),
        }
    }
    Ok(written)
}

/// Lowers the window that a zstd frame asks for to `window_bytes`, a power of two: a copy cannot reach back further than what
/// there is, and the decoder allocates the window before it has read a byte (encoders ask for up to 128 MiB whatever the size).
fn limit_window(head: &mut [u8; 6], window_bytes: u64) {
    const MAGIC: [u8; 4] = 0xfd2f_b528u32.to_le_bytes();
    const SINGLE_SEGMENT: u8 = 1 << 5;
    if head[..4] != MAGIC || head[4] & SINGLE_SEGMENT != 0 {
        return;
    }
    // RFC 8878, 3.1.1.1.2: five bits of exponent above 10, three of mantissa.
    let base = 1u64 << (10 + (head[5] >> 3));
    if base + base / 8 * u64::from(head[5] & 7) > window_bytes {
        head[5] = (window_bytes.trailing_zeros() as u8 - 10) << 3;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packbits_of_the_specification_are_unpacked() {
        // The example of TIFF 6.0's appendix, "PackBits".
        let packed = [
            0xfe, 0xaa, 0x02, 0x80, 0x00, 0x2a, 0xfd, 0xaa, 0x03, 0x80, 0x00, 0x2a, 0x22, 0xf7,
            0xaa,
        ];
        let plain = [
            0xaa, 0xaa, 0xaa, 0x80, 0x00, 0x2a, 0xaa, 0xaa, 0xaa, 0xaa, 0x80, 0x00, 0x2a, 0x22,
            0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa,
        ];
        let mut out = [0u8; 24];
        Compression::PackBits.unpack(&packed, &mut out).unwrap();
        assert_eq!(out, plain);
        let mut short = [0u8; 11];
        Compression::PackBits.unpack(&packed, &mut short).unwrap();
        assert_eq!(short, plain[..11]);
        let mut long = [0u8; 25];
        let error = Compression::PackBits
            .unpack(&packed, &mut long)
            .unwrap_err();
        assert!(error.contains("24 of 25"), "{error}");
    }

    #[test]
    fn corrupt_data_are_told_by_codec() {
        let mut out = [0u8; 100];
        for (codec, name) in [
            (Compression::Deflate, "deflate"),
            (Compression::Lzw, "packed data"),
            (Compression::Zstd, "zstd"),
        ] {
            let error = codec.unpack(&[0x80, 3, 9, 1], &mut out).unwrap_err();
            assert!(error.contains(name), "{error}");
        }
    }
}
