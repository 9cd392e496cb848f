//! The sample numbers of a stream: when it starts, and where samples are missing.
//!
//! From version 0.6 on `sample_numbers.npy` has one integer a sample, before it `timestamps.npy` had them.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::error::IoError;
use crate::npy::parse_header;
use crate::recording::Segment;
use crate::recording::frames::{file_size_bytes, read_exact_at};
use crate::recording::gaps;

/// Bytes of a header that are looked at: numpy's of version 1 at most.
const HEADER_BYTES: usize = 10 + u16::MAX as usize;

/// One number a sample, by position.
pub(super) struct SampleNumbers {
    path: PathBuf,
    file: File,
    data_offset_bytes: u64,
    /// Numbers that there are.
    pub n: u64,
    kind: Kind,
}

/// What is stored.
#[derive(Copy, Clone, Eq, PartialEq)]
enum Kind {
    I32,
    I64,
    /// Seconds of a synchronised clock, which say when the stream starts and nothing else.
    Seconds,
}

impl SampleNumbers {
    /// The numbers in the folder of a stream; `None` when there are none.
    pub fn open(folder: &Path) -> Result<Option<SampleNumbers>, IoError> {
        let names = ["sample_numbers.npy", "timestamps.npy"];
        let path = names.map(|name| folder.join(name));
        let Some(path) = path.into_iter().find(|path| path.is_file()) else {
            return Ok(None);
        };
        let size_bytes = file_size_bytes(&path)?;
        let failed = |source| IoError::read(&path, source);
        let file = File::open(&path).map_err(failed)?;
        let mut head = vec![0u8; size_bytes.min(HEADER_BYTES as u64) as usize];
        read_exact_at(&file, &mut head, 0).map_err(failed)?;
        let header = parse_header(&path, &head)?;
        let kind = match header.description.as_str() {
            "<i8" | "<u8" => Kind::I64,
            "<i4" | "<u4" => Kind::I32,
            "<f8" => Kind::Seconds,
            other => {
                let expected = "`<i8`, `<i4` or `<f8`";
                return Err(IoError::bad_value(&path, "descr", other, expected));
            }
        };
        let element_bytes = if kind == Kind::I32 { 4 } else { 8 };
        // Some versions write one column, others a plain list.
        let n = header
            .shape
            .iter()
            .try_fold(1u64, |n, &length| n.checked_mul(length as u64))
            .filter(|_| !header.shape.is_empty());
        let expected_bytes = n
            .and_then(|n| n.checked_mul(element_bytes))
            .and_then(|bytes| bytes.checked_add(header.data_offset_bytes));
        match (n, expected_bytes) {
            (Some(n), Some(expected_bytes)) if expected_bytes <= size_bytes => {
                Ok(Some(SampleNumbers {
                    path,
                    file,
                    data_offset_bytes: header.data_offset_bytes,
                    n,
                    kind,
                }))
            }
            (_, expected_bytes) => Err(IoError::Truncated {
                path,
                expected_bytes: expected_bytes.unwrap_or(u64::MAX),
                found_bytes: size_bytes,
            }),
        }
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The number of the sample at `index`.
    fn at(&self, index: u64) -> Result<i64, IoError> {
        if self.kind == Kind::I32 {
            Ok(i64::from(i32::from_le_bytes(self.bytes(index)?)))
        } else {
            Ok(i64::from_le_bytes(self.bytes(index)?))
        }
    }

    /// The bytes of the element at `index`.
    fn bytes<const N: usize>(&self, index: u64) -> Result<[u8; N], IoError> {
        let mut bytes = [0u8; N];
        read_exact_at(
            &self.file,
            &mut bytes,
            self.data_offset_bytes + index * N as u64,
        )
        .map_err(|source| IoError::read(&self.path, source))?;
        Ok(bytes)
    }

    /// The stretches without pause of `n_samples` samples that begin at `start_sample` of the whole.
    ///
    /// # Errors
    /// When the file cannot be read, or has no order at all.
    pub fn segments(
        &self,
        start_sample: u64,
        n_samples: u64,
        sampling_frequency_hz: f64,
    ) -> Result<Vec<Segment>, IoError> {
        let n_known = n_samples.min(self.n);
        if self.kind == Kind::Seconds || n_known == 0 {
            let start_time_s = if n_known == 0 {
                0.0
            } else {
                f64::from_le_bytes(self.bytes(0)?)
            };
            // Streams that were never synchronised say -1.
            let known = start_time_s.is_finite() && start_time_s >= 0.0;
            return Ok(vec![Segment {
                start_sample,
                n_samples,
                start_time_s: if known { start_time_s } else { 0.0 },
            }]);
        }
        let bits = if self.kind == Kind::I32 { 32 } else { 64 };
        let starts = gaps::stretches(&self.path, n_known, bits, |index| self.at(index))?;
        let ends = starts.iter().skip(1).copied().chain([n_samples]);
        starts
            .iter()
            .zip(ends)
            .map(|(&start, end)| {
                Ok(Segment {
                    start_sample: start_sample + start,
                    n_samples: end - start,
                    start_time_s: self.at(start)? as f64 / sampling_frequency_hz,
                })
            })
            .collect()
    }
}
