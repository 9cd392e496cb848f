//! The headers of an NSx file, and the one number of a `.nev` that old NSx files need.

use std::fs::File;
use std::path::Path;

use crate::error::IoError;
use crate::recording::frames::read_exact_at;

/// Rate that the period is counted in, Hz.
const CLOCK_HZ: f64 = 30_000.0;
/// Bytes of the basic header of specification 2.1.
const BASIC_21_BYTES: u64 = 32;
/// Bytes of the basic header of specifications 2.2 to 3.0.
const BASIC_BYTES: u64 = 314;
/// Bytes of one channel's header of specifications 2.2 to 3.0.
const CHANNEL_BYTES: u64 = 66;

/// Gain and offset of a channel.
#[derive(Copy, Clone, PartialEq, Debug)]
pub struct Scale {
    /// Microvolts a step.
    pub gain_uv: f64,
    /// Microvolts at sample value zero.
    pub offset_uv: f64,
}

/// One channel of the file.
#[derive(Clone, PartialEq, Debug)]
pub struct Channel {
    /// Electrode id, from 1.
    pub id: u32,
    /// Its name.
    pub label: String,
    /// Gain and offset; `None` where the file does not say (2.1).
    pub scale: Option<Scale>,
    /// Whether it is an electrode rather than an analog input.
    pub is_electrode: bool,
}

/// How packets begin.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum PacketKind {
    /// No packets: frames to the end (2.1).
    None,
    /// 32-bit times (2.2, 2.3).
    Time32,
    /// 64-bit times (3.0).
    Time64,
}

/// The headers of a file.
#[derive(Clone, PartialEq, Debug)]
pub struct Header {
    /// Samples a second.
    pub sampling_frequency_hz: f64,
    /// Times of packets are counted at this rate.
    pub ticks_per_s: f64,
    /// Channels in the order of a frame.
    pub channels: Vec<Channel>,
    /// Byte of the first packet or frame.
    pub data_offset_bytes: u64,
    /// How packets begin.
    pub packets: PacketKind,
}

impl Header {
    /// Reads the headers; no more is allocated than the file is long.
    ///
    /// # Errors
    /// When the file is cut short or a value makes no sense.
    pub fn read(path: &Path, file: &File, size_bytes: u64) -> Result<Header, IoError> {
        let basic = read_at(path, file, size_bytes, 0, BASIC_21_BYTES)?;
        match &basic[..8] {
            b"NEURALSG" => {
                let n_channels = u64::from(u32_at(&basic, 28));
                let bytes = read_at(path, file, size_bytes, 0, BASIC_21_BYTES + 4 * n_channels)?;
                Header::parse_21(path, &bytes)
            }
            b"NEURALCD" | b"BRSMPGRP" => {
                let basic = read_at(path, file, size_bytes, 0, BASIC_BYTES)?;
                let n_channels = u64::from(u32_at(&basic, 310));
                let bytes = read_at(
                    path,
                    file,
                    size_bytes,
                    0,
                    BASIC_BYTES + CHANNEL_BYTES * n_channels,
                )?;
                let header = Header::parse(path, &bytes)?;
                if header.data_offset_bytes > size_bytes {
                    return Err(IoError::Truncated {
                        path: path.to_owned(),
                        expected_bytes: header.data_offset_bytes,
                        found_bytes: size_bytes,
                    });
                }
                Ok(header)
            }
            _ => {
                let what = "it begins neither with NEURALSG, NEURALCD nor BRSMPGRP, so it is not an NSx file";
                Err(IoError::malformed(path, "byte 0", what))
            }
        }
    }

    /// Specification 2.1: label, period, ids.
    fn parse_21(path: &Path, bytes: &[u8]) -> Result<Header, IoError> {
        let sampling_frequency_hz = rate_hz(path, u32_at(bytes, 24), 24)?;
        let ids: Vec<u32> = bytes[BASIC_21_BYTES as usize..]
            .chunks_exact(4)
            .map(|id| u32_at(id, 0))
            .collect();
        some_channels(path, ids.len(), 28)?;
        // A Cerebus system of that time has 128 electrodes; higher ids are analog inputs.
        let channel = |&id: &u32| Channel {
            id,
            label: format!("elec{id}"),
            scale: None,
            is_electrode: (1..=128).contains(&id),
        };
        Ok(Header {
            sampling_frequency_hz,
            ticks_per_s: CLOCK_HZ,
            channels: ids.iter().map(channel).collect(),
            data_offset_bytes: bytes.len() as u64,
            packets: PacketKind::None,
        })
    }

    /// Specifications 2.2 to 3.0: a basic header and one header a channel.
    fn parse(path: &Path, bytes: &[u8]) -> Result<Header, IoError> {
        let is_3 = &bytes[..8] == b"BRSMPGRP";
        let data_offset_bytes = u64::from(u32_at(bytes, 10));
        if data_offset_bytes < bytes.len() as u64 {
            return Err(IoError::bad_value(
                path,
                "bytes in headers",
                data_offset_bytes,
                "room for all channel headers",
            ));
        }
        let sampling_frequency_hz = rate_hz(path, u32_at(bytes, 286), 286)?;
        let ticks_per_s = f64::from(u32_at(bytes, 290));
        if ticks_per_s == 0.0 {
            return Err(IoError::malformed(
                path,
                "byte 290",
                "the time resolution is 0",
            ));
        }
        let mut channels = Vec::new();
        for (index, one) in bytes[BASIC_BYTES as usize..]
            .chunks_exact(CHANNEL_BYTES as usize)
            .enumerate()
        {
            let at = BASIC_BYTES + index as u64 * CHANNEL_BYTES;
            channels.push(parse_channel(path, one, at)?);
        }
        some_channels(path, channels.len(), 310)?;
        let packets = if is_3 {
            PacketKind::Time64
        } else {
            PacketKind::Time32
        };
        Ok(Header {
            sampling_frequency_hz,
            ticks_per_s,
            channels,
            data_offset_bytes,
            packets,
        })
    }

    /// Bytes of one frame.
    pub fn frame_bytes(&self) -> u64 {
        2 * self.channels.len() as u64
    }
}

/// One `CC` header at byte `at`.
fn parse_channel(path: &Path, one: &[u8], at: u64) -> Result<Channel, IoError> {
    if &one[..2] != b"CC" {
        return Err(IoError::malformed(
            path,
            format!("byte {at}"),
            "a channel header does not begin with CC",
        ));
    }
    let id = u32::from(u16_at(one, 2));
    let label = text_at(one, 4, 16);
    let number = |offset: usize| f64::from(u16_at(one, offset) as i16);
    let (min_digital, max_digital, min_analog, max_analog) =
        (number(22), number(24), number(26), number(28));
    let units = text_at(one, 30, 16);
    let (to_uv, is_electrode) = match units.to_lowercase().as_str() {
        "mv" => (1e3, false),
        "v" => (1e6, false),
        "nv" => (1e-3, true),
        // µV in its spellings, or empty.
        _ => (1.0, true),
    };
    if max_digital <= min_digital || max_analog == min_analog {
        let what = format!(
            "channel {id} has the empty range {min_digital}..{max_digital} = {min_analog}..{max_analog} {units}"
        );
        return Err(IoError::malformed(path, format!("byte {}", at + 22), what));
    }
    let gain = (max_analog - min_analog) / (max_digital - min_digital);
    let scale = Scale {
        gain_uv: gain * to_uv,
        offset_uv: (min_analog - min_digital * gain) * to_uv,
    };
    let label = if label.is_empty() {
        format!("elec{id}")
    } else {
        label
    };
    Ok(Channel {
        id,
        label,
        scale: Some(scale),
        is_electrode,
    })
}

/// The rate for a period in 1/30,000 s.
fn rate_hz(path: &Path, period: u32, at: u64) -> Result<f64, IoError> {
    if period == 0 {
        return Err(IoError::malformed(
            path,
            format!("byte {at}"),
            "the sampling period is 0",
        ));
    }
    Ok(CLOCK_HZ / f64::from(period))
}

/// An error when there are no channels.
fn some_channels(path: &Path, n_channels: usize, at: u64) -> Result<(), IoError> {
    if n_channels == 0 {
        return Err(IoError::malformed(
            path,
            format!("byte {at}"),
            "the number of channels is 0",
        ));
    }
    Ok(())
}

/// Bytes of the file, after a check that it is long enough to have them.
fn read_at(
    path: &Path,
    file: &File,
    size_bytes: u64,
    at: u64,
    n_bytes: u64,
) -> Result<Vec<u8>, IoError> {
    if at + n_bytes > size_bytes {
        let path = path.to_owned();
        return Err(IoError::Truncated {
            path,
            expected_bytes: at + n_bytes,
            found_bytes: size_bytes,
        });
    }
    let mut bytes = vec![0u8; n_bytes as usize];
    read_exact_at(file, &mut bytes, at).map_err(|source| IoError::read(path, source))?;
    Ok(bytes)
}

/// A little-endian number.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// A little-endian number.
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().expect("two bytes"))
}

/// Text that ends at a zero byte or with its field; bytes beyond ASCII are Latin-1 (`µV`).
fn text_at(bytes: &[u8], at: usize, length: usize) -> String {
    let text = bytes[at..at + length]
        .iter()
        .take_while(|&&byte| byte != 0)
        .map(|&byte| char::from(byte));
    text.collect::<String>().trim().to_owned()
}

/// Electrode ids and microvolts a step from the `NEUEVWAV` headers of a `.nev`; empty when there is no usable file.
pub(super) fn digitization_from_nev(path: &Path) -> Vec<(u32, f64)> {
    /// Bytes of the basic header.
    const NEV_BASIC_BYTES: u64 = 336;
    /// Bytes of an extended header.
    const NEV_EXTENDED_BYTES: u64 = 32;
    let Ok(file) = File::open(path) else {
        return Vec::new();
    };
    let size_bytes = file.metadata().map_or(0, |metadata| metadata.len());
    let Ok(basic) = read_at(path, &file, size_bytes, 0, NEV_BASIC_BYTES) else {
        return Vec::new();
    };
    if &basic[..8] != b"NEURALEV" {
        return Vec::new();
    }
    let n_headers = u64::from(u32_at(&basic, 332));
    let Ok(bytes) = read_at(
        path,
        &file,
        size_bytes,
        NEV_BASIC_BYTES,
        n_headers * NEV_EXTENDED_BYTES,
    ) else {
        return Vec::new();
    };
    bytes
        .chunks_exact(NEV_EXTENDED_BYTES as usize)
        .filter(|one| &one[..8] == b"NEUEVWAV" && u16_at(one, 12) > 0)
        // The factor is in nanovolts a step.
        .map(|one| {
            (
                u32::from(u16_at(one, 8)),
                f64::from(u16_at(one, 12)) / 1000.0,
            )
        })
        .collect()
}
