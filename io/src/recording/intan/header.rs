//! The header of `.rhd` and `.rhs` files: sampling rate, channels, and from them the layout of a data block.
//!
//! Texts are Qt's: a length in bytes, then UTF-16. Source: Intan's "RHD data file formats" and "RHS data file formats".

use std::fs::File;
use std::path::Path;

use crate::error::IoError;
use crate::recording::frames::{file_size_bytes, read_exact_at};

/// First bytes of a `.rhd` file.
const RHD_MARK: u32 = 0xC691_2702;
/// First bytes of a `.rhs` file.
const RHS_MARK: u32 = 0xD691_27AC;
/// Bytes of the longest header: 4,096 channels take less than one megabyte.
const MAX_HEADER_BYTES: u64 = 8 << 20;

/// The two families of controllers.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(super) enum Family {
    /// Recording.
    Rhd,
    /// Stimulation and recording.
    Rhs,
}

/// What a header says.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Header {
    pub family: Family,
    /// Major and minor number of the format.
    pub version: (i16, i16),
    pub sampling_frequency_hz: f64,
    /// Native names of the amplifier channels that are saved, as `A-000`, in the order of the file.
    pub amplifiers: Vec<String>,
    /// Channels of other kinds that are saved.
    pub n_others: usize,
    /// Samples of a data block.
    pub block_samples: u64,
    /// Bytes of a data block.
    pub block_bytes: u64,
    /// Bytes before the first data block.
    pub header_bytes: u64,
}

impl Header {
    /// Reads the header of `path`.
    ///
    /// # Errors
    /// When it cannot be read, is cut short, or is of another version.
    pub fn read(path: &Path) -> Result<Header, IoError> {
        let failed = |source| IoError::read(path, source);
        let file = File::open(path).map_err(failed)?;
        let size_bytes = file_size_bytes(path)?;
        let mut bytes = vec![0u8; size_bytes.min(MAX_HEADER_BYTES) as usize];
        read_exact_at(&file, &mut bytes, 0).map_err(failed)?;
        Header::parse(path, &bytes)
    }

    /// Parses a header at the start of `bytes`; `path` is for messages.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Header, IoError> {
        let mut cursor = Cursor { path, bytes, at: 0 };
        let family = match u32::from_le_bytes(cursor.take()?) {
            RHD_MARK => Family::Rhd,
            RHS_MARK => Family::Rhs,
            other => {
                let what = format!(
                    "the file begins with {other:#010x}, which is neither Intan's RHD nor RHS mark"
                );
                return Err(IoError::malformed(path, "byte 0", what));
            }
        };
        let version = (cursor.short()?, cursor.short()?);
        let known = (1..=3).contains(&version.0);
        if !known || version.1 < 0 {
            let found = format!("{}.{}", version.0, version.1);
            return Err(IoError::bad_value(path, "version", found, "1.x to 3.x"));
        }
        let sampling_frequency_hz = f64::from(f32::from_le_bytes(cursor.take()?));
        let mut n_temperatures = 0;
        let mut dc_is_saved = false;
        match family {
            Family::Rhd => {
                // Filters and impedance test: i16, 6 × f32, i16, 2 × f32.
                cursor.skip(2 + 24 + 2 + 8)?;
                cursor.notes()?;
                if version >= (1, 1) {
                    n_temperatures = cursor.count("number of temperature sensors")?;
                }
                if version >= (1, 3) {
                    cursor.skip(2)?;
                }
                if version >= (2, 0) {
                    cursor.text()?;
                }
            }
            Family::Rhs => {
                // Filters: i16, 8 × f32, i16, 2 × f32; stimulation: 2 × i16, 3 × f32.
                cursor.skip(2 + 32 + 2 + 8 + 4 + 12)?;
                cursor.notes()?;
                dc_is_saved = cursor.short()? != 0;
                cursor.skip(2)?;
                cursor.text()?;
            }
        }
        let (amplifiers, counts) = cursor.channels(family)?;
        let block_samples: u64 = if family == Family::Rhd && version < (2, 0) {
            60
        } else {
            128
        };
        let n_amplifiers = amplifiers.len() as u64;
        let [auxiliary, supply, inputs, outputs, digital_in, digital_out] =
            counts.map(|n| n as u64);
        // Digital channels share one word a sample.
        let words = inputs + outputs + u64::from(digital_in > 0) + u64::from(digital_out > 0);
        let whole_rate = match family {
            Family::Rhd => n_amplifiers + words,
            Family::Rhs => n_amplifiers * (2 + u64::from(dc_is_saved)) + words,
        };
        let block_bytes = 4 * block_samples
            + 2 * block_samples * whole_rate
            + 2 * (block_samples / 4) * auxiliary
            + 2 * (supply + n_temperatures as u64);
        Ok(Header {
            family,
            version,
            sampling_frequency_hz,
            amplifiers,
            n_others: counts.iter().sum(),
            block_samples,
            block_bytes,
            header_bytes: cursor.at as u64,
        })
    }

    /// Whether blocks of two files can follow each other.
    pub fn fits(&self, other: &Header) -> bool {
        self.family == other.family
            && self.sampling_frequency_hz == other.sampling_frequency_hz
            && self.amplifiers == other.amplifiers
            && (self.block_samples, self.block_bytes) == (other.block_samples, other.block_bytes)
    }
}

/// Takes values off the front of the header.
struct Cursor<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// The next `n` bytes.
    fn next(&mut self, n: usize) -> Result<&'a [u8], IoError> {
        let end = self.at.saturating_add(n);
        let bytes = self
            .bytes
            .get(self.at..end)
            .ok_or_else(|| IoError::Truncated {
                path: self.path.to_owned(),
                expected_bytes: end as u64,
                found_bytes: self.bytes.len() as u64,
            })?;
        self.at = end;
        Ok(bytes)
    }

    fn skip(&mut self, n: usize) -> Result<(), IoError> {
        self.next(n).map(|_| ())
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], IoError> {
        let mut value = [0u8; N];
        value.copy_from_slice(self.next(N)?);
        Ok(value)
    }

    fn short(&mut self) -> Result<i16, IoError> {
        Ok(i16::from_le_bytes(self.take()?))
    }

    /// A number of things, which cannot be negative.
    fn count(&mut self, what: &str) -> Result<usize, IoError> {
        let count = self.short()?;
        usize::try_from(count).map_err(|_| IoError::bad_value(self.path, what, count, "0 or more"))
    }

    fn text(&mut self) -> Result<String, IoError> {
        let n_bytes = u32::from_le_bytes(self.take()?);
        // Qt's mark of a text that is absent.
        if n_bytes == u32::MAX {
            return Ok(String::new());
        }
        let (pairs, rest) = self.next(n_bytes as usize)?.as_chunks::<2>();
        if !rest.is_empty() {
            let what = format!("a text has an odd number of bytes, {n_bytes}");
            return Err(IoError::malformed(
                self.path,
                format!("byte {}", self.at),
                what,
            ));
        }
        let units: Vec<u16> = pairs.iter().map(|&pair| u16::from_le_bytes(pair)).collect();
        Ok(String::from_utf16_lossy(&units))
    }

    /// Three notes of the experimenter.
    fn notes(&mut self) -> Result<(), IoError> {
        for _ in 0..3 {
            self.text()?;
        }
        Ok(())
    }

    /// Names of saved amplifier channels, and how many there are of auxiliary, supply, analog in, analog out, digital in and out.
    fn channels(&mut self, family: Family) -> Result<(Vec<String>, [usize; 6]), IoError> {
        let mut amplifiers = Vec::new();
        let mut counts = [0usize; 6];
        for _ in 0..self.count("number of signal groups")? {
            self.text()?;
            self.text()?;
            let is_enabled = self.short()? != 0;
            let n_channels = self.count("number of channels of a group")?;
            self.skip(2)?;
            if !is_enabled {
                continue;
            }
            for _ in 0..n_channels {
                let native_name = self.text()?;
                self.text()?;
                self.skip(4)?;
                let kind_at = self.at;
                let kind = self.short()?;
                let is_saved = self.short()? != 0;
                // Chip, board (and command) numbers, four settings of the spike scope, two numbers of impedance.
                self.skip(if family == Family::Rhs { 6 } else { 4 } + 8 + 8)?;
                if !is_saved {
                    continue;
                }
                let slot = match (family, kind) {
                    (_, 0) => {
                        amplifiers.push(native_name);
                        continue;
                    }
                    (Family::Rhd, 1) => 0,
                    (Family::Rhd, 2) => 1,
                    (_, 3) => 2,
                    (Family::Rhs, 4) => 3,
                    (Family::Rhd, 4) | (Family::Rhs, 5) => 4,
                    (Family::Rhd, 5) | (Family::Rhs, 6) => 5,
                    _ => {
                        let what =
                            format!("channel `{native_name:.20}` is of the unknown kind {kind}");
                        return Err(IoError::malformed(
                            self.path,
                            format!("byte {kind_at}"),
                            what,
                        ));
                    }
                };
                counts[slot] += 1;
            }
        }
        Ok((amplifiers, counts))
    }
}
