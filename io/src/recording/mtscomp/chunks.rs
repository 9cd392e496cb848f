//! Samples of a `.cbin`: chunks are decoded whole, and the latest are kept, since readers ask for neighbouring ranges.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use flate2::read::ZlibDecoder;

use super::table::ChunkTable;
use crate::error::IoError;
use crate::recording::facts::Source;
use crate::recording::frames::read_exact_at;

/// Bytes of decoded chunks that are kept: about ten of a Neuropixels probe, so that as many threads do not take turns.
const KEPT_BYTES: usize = 256 << 20;

/// Decoded frames of one chunk, `[samples, delivered channels]`.
type Decoded = Arc<Vec<u8>>;
/// The place of a chunk: a lock of its own, so that one thread decodes while others read on.
type Slot = Arc<Mutex<Option<Decoded>>>;

/// A compressed file.
pub(super) struct Chunks {
    path: PathBuf,
    file: File,
    table: ChunkTable,
    /// Stored column of each delivered channel.
    columns: Vec<usize>,
    /// Chunks in use, the latest at the back.
    kept: Mutex<VecDeque<(usize, Slot)>>,
}

impl Chunks {
    /// The file at `path`, whose chunks `table` lists.
    pub fn open(path: PathBuf, table: ChunkTable, columns: Vec<usize>) -> Result<Chunks, IoError> {
        let file = File::open(&path).map_err(|source| IoError::read(&path, source))?;
        Ok(Chunks {
            path,
            file,
            table,
            columns,
            kept: Mutex::default(),
        })
    }

    /// The decoded frames of a chunk.
    fn chunk(&self, chunk: usize) -> Result<Decoded, IoError> {
        let slot = self.slot(chunk);
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(decoded) = &*slot {
            return Ok(Arc::clone(decoded));
        }
        let decoded = Arc::new(self.decode(chunk)?);
        *slot = Some(Arc::clone(&decoded));
        Ok(decoded)
    }

    /// The place of a chunk among those that are kept; the oldest make room.
    fn slot(&self, chunk: usize) -> Slot {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = match kept.iter().position(|(number, _)| *number == chunk) {
            Some(at) => kept.remove(at).map(|(_, slot)| slot).unwrap_or_default(),
            None => Arc::default(),
        };
        kept.push_back((chunk, Arc::clone(&slot)));
        let frame_bytes = self.columns.len() * self.table.dtype.size_bytes();
        let bytes_of = |chunk: usize| {
            let n_samples = self.table.bounds[chunk + 1] - self.table.bounds[chunk];
            n_samples as usize * frame_bytes
        };
        let mut n_bytes: usize = kept.iter().map(|&(chunk, _)| bytes_of(chunk)).sum();
        while n_bytes > KEPT_BYTES
            && kept.len() > 1
            && let Some((oldest, _)) = kept.pop_front()
        {
            n_bytes -= bytes_of(oldest);
        }
        slot
    }

    /// Reads and decodes a chunk.
    fn decode(&self, chunk: usize) -> Result<Vec<u8>, IoError> {
        let table = &self.table;
        let (start, end) = (table.offsets[chunk], table.offsets[chunk + 1]);
        let n_samples = (table.bounds[chunk + 1] - table.bounds[chunk]) as usize;
        let mut stored = vec![0u8; (end - start) as usize];
        read_exact_at(&self.file, &mut stored, start).map_err(|source| {
            if source.kind() == std::io::ErrorKind::UnexpectedEof {
                IoError::Truncated {
                    path: self.path.clone(),
                    expected_bytes: end,
                    found_bytes: self.file.metadata().map_or(0, |metadata| metadata.len()),
                }
            } else {
                IoError::read(&self.path, source)
            }
        })?;
        let bad = |what: String| {
            IoError::malformed(&self.path, format!("chunk {chunk}, byte {start}"), what)
        };
        let expected_bytes = n_samples * table.frame_bytes() as usize;
        let mut bytes = Vec::new();
        // One byte more than expected shows a chunk that is too long, and no more is ever taken.
        ZlibDecoder::new(&stored[..])
            .take(expected_bytes as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| bad(format!("the chunk cannot be decompressed: {error}")))?;
        if bytes.len() != expected_bytes {
            let than = if bytes.len() < expected_bytes {
                "fewer"
            } else {
                "more"
            };
            return Err(bad(format!(
                "the chunk has {than} than its {expected_bytes} bytes"
            )));
        }
        Ok(if table.dtype.size_bytes() == 2 {
            self.restore(
                &bytes,
                n_samples,
                u16::from_le_bytes,
                u16::wrapping_add,
                u16::to_ne_bytes,
            )
        } else {
            self.restore(
                &bytes,
                n_samples,
                u32::from_le_bytes,
                u32::wrapping_add,
                u32::to_ne_bytes,
            )
        })
    }

    /// Sums up differences and picks the delivered channels. Sums wrap as the differences did, so the sign does not matter.
    fn restore<T: Copy + Default, const N: usize>(
        &self,
        bytes: &[u8],
        n_samples: usize,
        from_bytes: fn([u8; N]) -> T,
        add: fn(T, T) -> T,
        to_bytes: fn(T) -> [u8; N],
    ) -> Vec<u8> {
        let table = &self.table;
        let n_channels = table.n_channels;
        let stored = bytes.as_chunks::<N>().0;
        let at = |sample: usize, channel: usize| {
            let index = if table.is_channel_major {
                channel * n_samples + sample
            } else {
                sample * n_channels + channel
            };
            from_bytes(stored[index])
        };
        let mut out = Vec::with_capacity(n_samples * self.columns.len() * N);
        let mut frame = vec![T::default(); n_channels];
        for sample in 0..n_samples {
            // The last axis was subtracted last, so it is summed up first.
            let mut along_channels = T::default();
            for (channel, value) in frame.iter_mut().enumerate() {
                let mut stored = at(sample, channel);
                if table.do_spatial_diff {
                    along_channels = add(along_channels, stored);
                    stored = along_channels;
                }
                *value = if table.do_time_diff {
                    add(*value, stored)
                } else {
                    stored
                };
            }
            for &column in &self.columns {
                out.extend_from_slice(&to_bytes(frame[column]));
            }
        }
        out
    }
}

impl Source for Chunks {
    fn read(&self, start_sample: u64, out: &mut [u8]) -> Result<(), IoError> {
        let bounds = &self.table.bounds;
        let frame_bytes = self.columns.len() * self.table.dtype.size_bytes();
        let (mut at, mut rest) = (start_sample, out);
        while !rest.is_empty() {
            let chunk = bounds.partition_point(|&bound| bound <= at) - 1;
            let first = (at - bounds[chunk]) as usize;
            let n_here = ((bounds[chunk + 1] - at) as usize).min(rest.len() / frame_bytes);
            let (here, after) = rest.split_at_mut(n_here * frame_bytes);
            here.copy_from_slice(&self.chunk(chunk)?[first * frame_bytes..][..here.len()]);
            (at, rest) = (at + n_here as u64, after);
        }
        Ok(())
    }
}
