//! Recordings with one file a channel: 16-bit samples, whole or in records with something around them.

use std::path::PathBuf;

use super::facts::Source;
use super::frames::read_exact_at;
use crate::error::IoError;
use crate::movie::files::MovieFiles;

/// Samples of a channel that are taken at once, so that memory stays bounded.
const SAMPLES_AT_ONCE: usize = 1 << 18;

/// Where the samples of each file are.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Records {
    /// Bytes before the first record.
    pub offset_bytes: u64,
    /// Bytes of a record before its samples.
    pub head_bytes: u64,
    /// Samples of a record; the last one may have fewer.
    pub n_samples: u64,
    /// Bytes of a record after its samples.
    pub tail_bytes: u64,
    /// Byte order of the samples.
    pub big_endian: bool,
}

impl Records {
    /// Bare little-endian samples, which may be cut into records of any length.
    pub const BARE: Records = Records {
        offset_bytes: 0,
        head_bytes: 0,
        n_samples: 4096,
        tail_bytes: 0,
        big_endian: false,
    };

    /// Byte of a sample.
    fn position(&self, sample: u64) -> u64 {
        let record_bytes = self.head_bytes + 2 * self.n_samples + self.tail_bytes;
        let (record, inside) = (sample / self.n_samples, sample % self.n_samples);
        self.offset_bytes + record * record_bytes + self.head_bytes + 2 * inside
    }
}

/// One file a delivered channel.
pub(crate) struct ChannelFiles {
    files: MovieFiles,
    n_channels: usize,
    records: Records,
}

impl ChannelFiles {
    /// Files of equal form, in the order of the channels.
    pub fn new(paths: Vec<PathBuf>, records: Records) -> ChannelFiles {
        ChannelFiles {
            n_channels: paths.len(),
            files: MovieFiles::new(paths),
            records,
        }
    }

    /// Reads one channel into its column of `out`, `[samples, channels]`.
    fn read_channel(
        &self,
        channel: usize,
        start_sample: u64,
        out: &mut [u8],
    ) -> Result<(), IoError> {
        let frame_bytes = 2 * self.n_channels;
        let n_samples = (out.len() / frame_bytes) as u64;
        let first_byte = self.records.position(start_sample);
        let end_byte = self.records.position(start_sample + n_samples - 1) + 2;
        let mut bytes = vec![0u8; (end_byte - first_byte) as usize];
        let file = self.files.get(channel)?;
        read_exact_at(&file, &mut bytes, first_byte).map_err(|source| {
            let path = self.files.path(channel).clone();
            match (source.kind(), file.metadata()) {
                (std::io::ErrorKind::UnexpectedEof, Ok(metadata)) => IoError::Truncated {
                    path,
                    expected_bytes: end_byte,
                    found_bytes: metadata.len(),
                },
                _ => IoError::read(&path, source),
            }
        })?;
        for (index, frame) in out.chunks_exact_mut(frame_bytes).enumerate() {
            let at = (self.records.position(start_sample + index as u64) - first_byte) as usize;
            let stored = [bytes[at], bytes[at + 1]];
            let sample = if self.records.big_endian {
                i16::from_be_bytes(stored)
            } else {
                i16::from_le_bytes(stored)
            };
            frame[2 * channel..][..2].copy_from_slice(&sample.to_ne_bytes());
        }
        Ok(())
    }
}

impl Source for ChannelFiles {
    fn read(&self, start_sample: u64, out: &mut [u8]) -> Result<(), IoError> {
        let mut at = start_sample;
        for out in out.chunks_mut(SAMPLES_AT_ONCE * 2 * self.n_channels) {
            for channel in 0..self.n_channels {
                self.read_channel(channel, at, out)?;
            }
            at += SAMPLES_AT_ONCE as u64;
        }
        Ok(())
    }
}
