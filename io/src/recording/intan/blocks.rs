//! Samples of Intan's traditional files: data blocks in which each channel's samples lie together.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::header::Header;
use crate::error::IoError;
use crate::movie::files::MovieFiles;
use crate::recording::facts::Source;
use crate::recording::frames::{file_size_bytes, read_exact_at};
use crate::recording::{Segment, gaps};

/// Bytes that are read at once at most, unless one block is longer.
const READ_BYTES: u64 = 1 << 20;

/// Files of one layout, one after the other.
pub(super) struct Blocks {
    files: MovieFiles,
    parts: Vec<Part>,
    header: Header,
}

/// One file's place in the recording.
struct Part {
    data_offset_bytes: u64,
    start_sample: u64,
    n_samples: u64,
}

impl Blocks {
    /// Files whose headers fit the first one's.
    ///
    /// # Errors
    /// When a header cannot be read or does not fit, or a file ends inside a block.
    pub fn open(paths: Vec<PathBuf>) -> Result<Blocks, IoError> {
        let mut first: Option<Header> = None;
        let (mut parts, mut start_sample) = (Vec::new(), 0);
        for path in &paths {
            let header = Header::read(path)?;
            if let Some(first) = &first
                && !header.fits(first)
            {
                let found = format!(
                    "{} at {} Hz",
                    header.amplifiers.len(),
                    header.sampling_frequency_hz
                );
                let expected = format!(
                    "{} at {} Hz with equal names, as in `{}` (give one file to read it alone)",
                    first.amplifiers.len(),
                    first.sampling_frequency_hz,
                    paths[0].display()
                );
                return Err(IoError::bad_value(path, "channels", found, &expected));
            }
            let n_samples = whole_blocks(path, &header)? * header.block_samples;
            parts.push(Part {
                data_offset_bytes: header.header_bytes,
                start_sample,
                n_samples,
            });
            start_sample += n_samples;
            first.get_or_insert(header);
        }
        let header = first.ok_or_else(|| IoError::Missing {
            path: PathBuf::from("*.rhd"),
        })?;
        Ok(Blocks {
            files: MovieFiles::new(paths),
            parts,
            header,
        })
    }

    /// The first file's header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Stretches without pause; a file that goes on where the one before it ended begins none.
    ///
    /// # Errors
    /// When a file cannot be read, or its clock has no order at all.
    pub fn segments(&self) -> Result<Vec<Segment>, IoError> {
        let mut segments: Vec<Segment> = Vec::new();
        let mut next_number = None;
        for (index, part) in self.parts.iter().enumerate() {
            if part.n_samples == 0 {
                continue;
            }
            let file = self.files.get(index)?;
            let number = |sample| self.number(index, &file, sample);
            let starts = gaps::stretches(self.files.path(index), part.n_samples, 32, number)?;
            let ends = starts.iter().skip(1).copied().chain([part.n_samples]);
            for (&start, end) in starts.iter().zip(ends) {
                let first_number = number(start)?;
                match segments.last_mut() {
                    Some(last) if start == 0 && next_number == Some(first_number as i32) => {
                        last.n_samples += end;
                    }
                    _ => segments.push(Segment {
                        start_sample: part.start_sample + start,
                        n_samples: end - start,
                        start_time_s: first_number as f64 / self.header.sampling_frequency_hz,
                    }),
                }
            }
            next_number = Some((number(part.n_samples - 1)? as i32).wrapping_add(1));
        }
        if segments.is_empty() {
            segments.push(Segment {
                start_sample: 0,
                n_samples: 0,
                start_time_s: 0.0,
            });
        }
        Ok(segments)
    }

    /// The number that the controller gave to a sample of a file.
    fn number(&self, index: usize, file: &File, sample: u64) -> Result<i64, IoError> {
        let header = &self.header;
        let (block, inside) = (sample / header.block_samples, sample % header.block_samples);
        let at = self.parts[index].data_offset_bytes + block * header.block_bytes + 4 * inside;
        let mut bytes = [0u8; 4];
        read_exact_at(file, &mut bytes, at)
            .map_err(|source| self.failed(index, file, at + 4, source))?;
        // Before 1.2 numbers had no sign; since then those before a trigger are negative.
        if header.version < (1, 2) {
            Ok(i64::from(u32::from_le_bytes(bytes)))
        } else {
            Ok(i64::from(i32::from_le_bytes(bytes)))
        }
    }

    /// Reads samples of one file.
    fn read_part(&self, index: usize, start: u64, out: &mut [u8]) -> Result<(), IoError> {
        let header = &self.header;
        let frame_bytes = 2 * header.amplifiers.len();
        let blocks_at_once = (READ_BYTES / header.block_bytes).max(1);
        let file = self.files.get(index)?;
        let mut bytes = Vec::new();
        let (mut at, mut rest) = (start, out);
        while !rest.is_empty() {
            let first_block = at / header.block_samples;
            let n_wanted = (rest.len() / frame_bytes) as u64;
            let end = (at + n_wanted).min((first_block + blocks_at_once) * header.block_samples);
            let n_blocks = end.div_ceil(header.block_samples) - first_block;
            bytes.resize((n_blocks * header.block_bytes) as usize, 0);
            let offset = self.parts[index].data_offset_bytes + first_block * header.block_bytes;
            read_exact_at(&file, &mut bytes, offset).map_err(|source| {
                self.failed(index, &file, offset + n_blocks * header.block_bytes, source)
            })?;
            let (here, after) = rest.split_at_mut((end - at) as usize * frame_bytes);
            self.deliver(&bytes, at - first_block * header.block_samples, here);
            (at, rest) = (end, after);
        }
        Ok(())
    }

    /// Turns blocks, `[channels, samples]` each, into frames; `skip` samples of the first block are not wanted.
    fn deliver(&self, blocks: &[u8], skip: u64, out: &mut [u8]) {
        let n_channels = self.header.amplifiers.len();
        let block_samples = self.header.block_samples as usize;
        let (mut skip, mut rest) = (skip as usize, out);
        for block in blocks.chunks_exact(self.header.block_bytes as usize) {
            let n_here = (block_samples - skip).min(rest.len() / (2 * n_channels));
            let (here, after) = rest.split_at_mut(n_here * 2 * n_channels);
            // The amplifiers follow the block's sample numbers.
            let rows = block[4 * block_samples..].chunks_exact(2 * block_samples);
            for (channel, row) in rows.take(n_channels).enumerate() {
                let samples = row[2 * skip..].as_chunks::<2>().0;
                for (frame, sample) in here.chunks_exact_mut(2 * n_channels).zip(samples) {
                    let sample = u16::from_le_bytes(*sample);
                    frame[2 * channel..][..2].copy_from_slice(&sample.to_ne_bytes());
                }
            }
            (skip, rest) = (0, after);
        }
    }

    /// A failed read; an end of file means that the file was cut since it was opened.
    fn failed(&self, index: usize, file: &File, expected_bytes: u64, source: io::Error) -> IoError {
        let path = self.files.path(index);
        match (source.kind(), file.metadata()) {
            (io::ErrorKind::UnexpectedEof, Ok(metadata)) => IoError::Truncated {
                path: path.clone(),
                expected_bytes,
                found_bytes: metadata.len(),
            },
            _ => IoError::read(path, source),
        }
    }
}

impl Source for Blocks {
    fn read(&self, start_sample: u64, out: &mut [u8]) -> Result<(), IoError> {
        let frame_bytes = 2 * self.header.amplifiers.len();
        let (mut at, mut rest) = (start_sample, out);
        let mut index = self
            .parts
            .partition_point(|part| part.start_sample + part.n_samples <= start_sample);
        while !rest.is_empty() {
            let part = &self.parts[index];
            let first = at - part.start_sample;
            let n_here = (part.n_samples - first).min((rest.len() / frame_bytes) as u64);
            let (here, after) = rest.split_at_mut(n_here as usize * frame_bytes);
            self.read_part(index, first, here)?;
            (at, rest) = (at + n_here, after);
            index += 1;
        }
        Ok(())
    }
}

/// Data blocks of a file.
fn whole_blocks(path: &Path, header: &Header) -> Result<u64, IoError> {
    let found_bytes = file_size_bytes(path)?;
    let data_bytes = found_bytes.saturating_sub(header.header_bytes);
    let n_blocks = data_bytes / header.block_bytes;
    if !data_bytes.is_multiple_of(header.block_bytes) {
        return Err(IoError::Truncated {
            path: path.to_owned(),
            expected_bytes: header.header_bytes + (n_blocks + 1) * header.block_bytes,
            found_bytes,
        });
    }
    Ok(n_blocks)
}
