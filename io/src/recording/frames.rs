//! Positioned reads of interleaved frames: what every flat format shares.
//!
//! A recording is a list of spans; in a span, frame `i` lies at `offset + i × stride`. A stride larger than the frame skips
//! what a format puts between frames (Blackrock's one-sample packets). Channels can be left out (a sync channel), and stored
//! types that the engine does not know are converted here, block by block, so that memory stays bounded.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::SampleType;
use crate::error::IoError;

/// Bytes that one call keeps in its own buffer at most, when it cannot read straight into the caller's.
const BLOCK_BYTES: usize = 1 << 20;

/// A sample type as it lies in a file.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum StoredType {
    I8,
    U8,
    I16,
    U16,
    I32,
    F32,
    F64,
}

/// A stored type and its byte order.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) struct StoredFormat {
    pub kind: StoredType,
    pub big_endian: bool,
}

impl StoredFormat {
    /// Little-endian 16-bit integers, what acquisition systems write.
    pub const I16_LE: StoredFormat = StoredFormat {
        kind: StoredType::I16,
        big_endian: false,
    };

    /// Parses numpy's name of a type: `int16`, `<i2`, `>f4`, `|u1` …; `None` when it is not read.
    pub fn from_numpy_name(name: &str) -> Option<StoredFormat> {
        let name = name.trim();
        let (big_endian, rest) = match name.as_bytes().first()? {
            b'>' => (true, &name[1..]),
            b'<' | b'|' => (false, &name[1..]),
            b'=' => (cfg!(target_endian = "big"), &name[1..]),
            _ => (false, name),
        };
        let kind = match rest {
            "int8" | "i1" => StoredType::I8,
            "uint8" | "u1" => StoredType::U8,
            "int16" | "i2" => StoredType::I16,
            "uint16" | "u2" => StoredType::U16,
            "int32" | "i4" => StoredType::I32,
            "float32" | "f4" => StoredType::F32,
            "float64" | "f8" => StoredType::F64,
            _ => return None,
        };
        Some(StoredFormat { kind, big_endian })
    }

    /// Bytes of one stored sample.
    pub fn size_bytes(self) -> usize {
        match self.kind {
            StoredType::I8 | StoredType::U8 => 1,
            StoredType::I16 | StoredType::U16 => 2,
            StoredType::I32 | StoredType::F32 => 4,
            StoredType::F64 => 8,
        }
    }

    /// What is delivered: the same type, or the smallest one that holds it; double precision becomes single.
    pub fn delivered(self) -> SampleType {
        match self.kind {
            StoredType::I8 | StoredType::U8 | StoredType::I16 => SampleType::I16,
            StoredType::U16 => SampleType::U16,
            StoredType::I32 => SampleType::I32,
            StoredType::F32 | StoredType::F64 => SampleType::F32,
        }
    }

    /// Whether stored bytes are delivered as they are.
    pub(crate) fn is_verbatim(self) -> bool {
        let native = self.big_endian == cfg!(target_endian = "big");
        native && !matches!(self.kind, StoredType::I8 | StoredType::U8 | StoredType::F64)
    }

    /// numpy's name, as phy's `params.py` wants it.
    pub fn numpy_name(self) -> String {
        let name = match self.kind {
            StoredType::I8 => "int8",
            StoredType::U8 => "uint8",
            StoredType::I16 => "int16",
            StoredType::U16 => "uint16",
            StoredType::I32 => "int32",
            StoredType::F32 => "float32",
            StoredType::F64 => "float64",
        };
        if self.big_endian && self.size_bytes() > 1 {
            format!(">{}{}", &name[..1], self.size_bytes())
        } else {
            name.to_owned()
        }
    }

    /// Converts one stored sample into `out` (of the delivered type's size), native-endian.
    pub(crate) fn convert(self, stored: &[u8], out: &mut [u8]) {
        /// Bytes in native order.
        fn native<const N: usize>(stored: &[u8], big_endian: bool) -> [u8; N] {
            let mut bytes: [u8; N] = stored.try_into().expect("a sample of the stored size");
            if big_endian != cfg!(target_endian = "big") {
                bytes.reverse();
            }
            bytes
        }
        match self.kind {
            StoredType::I8 => out.copy_from_slice(&i16::from(stored[0] as i8).to_ne_bytes()),
            StoredType::U8 => out.copy_from_slice(&i16::from(stored[0]).to_ne_bytes()),
            StoredType::I16 | StoredType::U16 => {
                out.copy_from_slice(&native::<2>(stored, self.big_endian))
            }
            StoredType::I32 | StoredType::F32 => {
                out.copy_from_slice(&native::<4>(stored, self.big_endian))
            }
            StoredType::F64 => {
                let value = f64::from_ne_bytes(native::<8>(stored, self.big_endian)) as f32;
                out.copy_from_slice(&value.to_ne_bytes());
            }
        }
    }
}

/// A run of frames at a constant stride in one file.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Span {
    /// Index into [`Frames::files`].
    pub file: usize,
    /// Byte of the first sample of the first frame.
    pub offset_bytes: u64,
    /// Bytes from one frame to the next.
    pub stride_bytes: u64,
    /// Where the span begins in the concatenated recording.
    pub start_sample: u64,
    /// Frames in the span.
    pub n_samples: u64,
}

/// Open files and where their frames are.
#[derive(Debug)]
pub(crate) struct Frames {
    files: Vec<(PathBuf, File)>,
    spans: Vec<Span>,
    format: StoredFormat,
    n_channels_stored: usize,
    /// Stored column of each delivered channel.
    columns: Vec<usize>,
    /// Whether the delivered channels are neighbours in stored order, as when only a sync channel is left out.
    columns_are_a_run: bool,
    n_samples: u64,
}

impl Frames {
    /// Opens `paths` and takes `spans` in order; `columns` are the stored columns to deliver.
    pub fn open(
        paths: &[PathBuf],
        spans: Vec<Span>,
        format: StoredFormat,
        n_channels_stored: usize,
        columns: Vec<usize>,
    ) -> Result<Frames, IoError> {
        let files = paths
            .iter()
            .map(|path| {
                File::open(path)
                    .map(|file| (path.clone(), file))
                    .map_err(|source| IoError::read(path, source))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let n_samples = spans
            .last()
            .map_or(0, |span| span.start_sample + span.n_samples);
        let columns_are_a_run = columns.array_windows().all(|[a, b]| a + 1 == *b);
        Ok(Frames {
            files,
            spans,
            format,
            n_channels_stored,
            columns,
            columns_are_a_run,
            n_samples,
        })
    }

    /// Fills `out` with whole delivered frames from `start_sample` on.
    pub fn read(&self, start_sample: u64, out: &mut [u8]) -> Result<(), IoError> {
        let frame_bytes = self.columns.len() * self.format.delivered().size_bytes();
        if frame_bytes == 0 || !out.len().is_multiple_of(frame_bytes) {
            return Err(IoError::BufferNotWholeFrames {
                buffer_bytes: out.len(),
                frame_bytes,
            });
        }
        let n_wanted = (out.len() / frame_bytes) as u64;
        let end_sample = start_sample.saturating_add(n_wanted);
        if end_sample > self.n_samples {
            return Err(IoError::OutOfRange {
                start_sample,
                end_sample,
                n_samples: self.n_samples,
            });
        }
        let mut at = start_sample;
        let mut rest = out;
        let mut index = self
            .spans
            .partition_point(|span| span.start_sample + span.n_samples <= start_sample);
        while !rest.is_empty() {
            let span = &self.spans[index];
            let first = at - span.start_sample;
            let n_here = (span.n_samples - first).min((rest.len() / frame_bytes) as u64);
            let (here, after) = rest.split_at_mut(n_here as usize * frame_bytes);
            self.read_span(span, first, here, frame_bytes)?;
            rest = after;
            at += n_here;
            index += 1;
        }
        Ok(())
    }

    /// Reads frames `first..` of one span.
    fn read_span(
        &self,
        span: &Span,
        first: u64,
        out: &mut [u8],
        frame_bytes: usize,
    ) -> Result<(), IoError> {
        let stored_frame_bytes = self.n_channels_stored * self.format.size_bytes();
        let offset = span.offset_bytes + first * span.stride_bytes;
        let contiguous = span.stride_bytes == stored_frame_bytes as u64;
        let all_channels = self.columns_are_a_run && self.columns.len() == self.n_channels_stored;
        if contiguous && all_channels && self.format.is_verbatim() {
            return self.read_bytes(span.file, offset, out);
        }
        let stride = span.stride_bytes as usize;
        let frames_per_block = (BLOCK_BYTES / stride).max(1);
        let mut block = Vec::new();
        for (block_index, out) in out.chunks_mut(frames_per_block * frame_bytes).enumerate() {
            let n_frames = out.len() / frame_bytes;
            // The last frame's bytes end before its stride does: what follows may lie beyond the end of the file.
            block.resize((n_frames - 1) * stride + stored_frame_bytes, 0);
            self.read_bytes(
                span.file,
                offset + (block_index * frames_per_block * stride) as u64,
                &mut block,
            )?;
            for (frame, out) in out.chunks_exact_mut(frame_bytes).enumerate() {
                self.deliver(&block[frame * stride..][..stored_frame_bytes], out);
            }
        }
        Ok(())
    }

    /// Picks and converts the channels of one frame.
    fn deliver(&self, stored: &[u8], out: &mut [u8]) {
        let stored_bytes = self.format.size_bytes();
        if self.columns_are_a_run && self.format.is_verbatim() {
            out.copy_from_slice(&stored[self.columns[0] * stored_bytes..][..out.len()]);
            return;
        }
        let out_bytes = self.format.delivered().size_bytes();
        for (&column, out) in self.columns.iter().zip(out.chunks_exact_mut(out_bytes)) {
            self.format
                .convert(&stored[column * stored_bytes..][..stored_bytes], out);
        }
    }

    /// A positioned read; an end of file inside it means that the file was cut since it was opened.
    fn read_bytes(&self, file: usize, offset: u64, out: &mut [u8]) -> Result<(), IoError> {
        let (path, file) = &self.files[file];
        read_exact_at(file, out, offset).map_err(|source| {
            if source.kind() == io::ErrorKind::UnexpectedEof {
                let found_bytes = file.metadata().map_or(0, |metadata| metadata.len());
                IoError::Truncated {
                    path: path.clone(),
                    expected_bytes: offset + out.len() as u64,
                    found_bytes,
                }
            } else {
                IoError::read(path, source)
            }
        })
    }
}

/// Fills `out` from `offset` without moving a shared cursor.
#[cfg(unix)]
pub(crate) fn read_exact_at(file: &File, out: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, out, offset)
}

/// Fills `out` from `offset`; on Windows each call carries its own position, so threads do not disturb each other.
#[cfg(windows)]
pub(crate) fn read_exact_at(file: &File, mut out: &mut [u8], mut offset: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !out.is_empty() {
        match file.seek_read(out, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n_read) => {
                out = &mut out[n_read..];
                offset += n_read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The size of a file in bytes.
pub(crate) fn file_size_bytes(path: &Path) -> Result<u64, IoError> {
    let metadata = std::fs::metadata(path).map_err(|source| IoError::read(path, source))?;
    Ok(metadata.len())
}

/// How many whole frames `data_bytes` are.
pub(crate) fn whole_frames(
    path: &Path,
    data_bytes: u64,
    n_channels: usize,
    format: StoredFormat,
) -> Result<u64, IoError> {
    let frame_bytes = n_channels as u64 * format.size_bytes() as u64;
    if frame_bytes == 0 || !data_bytes.is_multiple_of(frame_bytes) {
        return Err(IoError::NotWholeFrames {
            path: path.to_owned(),
            data_bytes,
            frame_bytes,
            n_channels,
            sample_bytes: format.size_bytes(),
        });
    }
    Ok(data_bytes / frame_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numpy_names_are_parsed_and_given_back() {
        for (name, kind, big_endian) in [
            ("int16", StoredType::I16, false),
            ("<i2", StoredType::I16, false),
            (">i2", StoredType::I16, true),
            ("|u1", StoredType::U8, false),
            ("float64", StoredType::F64, false),
            (">f4", StoredType::F32, true),
        ] {
            assert_eq!(
                StoredFormat::from_numpy_name(name),
                Some(StoredFormat { kind, big_endian }),
                "{name}"
            );
        }
        for name in ["", "int64", "complex64", ">", "i16", "é2"] {
            assert_eq!(StoredFormat::from_numpy_name(name), None, "{name}");
        }
        assert_eq!(
            StoredFormat::from_numpy_name(">u2").unwrap().numpy_name(),
            ">u2"
        );
        assert_eq!(
            StoredFormat::from_numpy_name("<f4").unwrap().numpy_name(),
            "float32"
        );
    }

    #[test]
    fn strides_columns_and_byte_order_are_honoured() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        // 5 frames of 3 big-endian channels, each frame preceded by one byte; no byte follows the last frame.
        let mut bytes = Vec::new();
        for frame in 0..5i16 {
            bytes.push(0xee);
            for channel in 0..3i16 {
                bytes.extend((frame * 100 - channel).to_be_bytes());
            }
        }
        std::fs::write(&path, &bytes).unwrap();
        let span = Span {
            file: 0,
            offset_bytes: 1,
            stride_bytes: 7,
            start_sample: 0,
            n_samples: 5,
        };
        let format = StoredFormat {
            kind: StoredType::I16,
            big_endian: true,
        };
        let frames = Frames::open(&[path], vec![span], format, 3, vec![2, 0]).unwrap();
        let mut out = vec![0u8; 5 * 2 * 2];
        frames.read(0, &mut out).unwrap();
        let samples: Vec<i16> = out
            .chunks(2)
            .map(|b| i16::from_ne_bytes(b.try_into().unwrap()))
            .collect();
        assert_eq!(samples, [-2, 0, 98, 100, 198, 200, 298, 300, 398, 400]);
        assert!(matches!(
            frames.read(3, &mut out),
            Err(IoError::OutOfRange { .. })
        ));
        assert!(matches!(
            frames.read(0, &mut out[..3]),
            Err(IoError::BufferNotWholeFrames { .. })
        ));
    }
}
