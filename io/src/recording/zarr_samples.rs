//! The reader behind every recording whose samples are arrays of Zarr: `[samples, channels]`, one array a segment.

use std::path::PathBuf;

use super::frames::{StoredFormat, StoredType};
use super::{OpenOptions, RecordingDescription, RecordingReader, Segment};
use crate::error::IoError;
use crate::probe::Probe;
use crate::zarr::ZarrArray;
use crate::zarr::data_type::DataType;

/// Bytes that one call converts at a time, where samples are not delivered as they are stored.
const BLOCK_BYTES: usize = 1 << 20;
/// Channels at most.
const MAX_CHANNELS: u64 = 1 << 20;

/// What a format found out; [`ZarrRecording::new`] checks and completes it.
pub(super) struct ZarrParts {
    pub format: &'static str,
    /// The folder of the store.
    pub store: PathBuf,
    pub sampling_frequency_hz: f64,
    /// Arrays of one type and one number of channels, in order.
    pub segments: Vec<ZarrArray>,
    /// When each begins, where it is known.
    pub start_times_s: Vec<Option<f64>>,
    pub channel_ids: Vec<String>,
    pub gains_uv: Vec<f32>,
    pub offsets_uv: Vec<f32>,
    pub sample_delay: Option<Vec<f32>>,
    /// The probe and the file that it came from.
    pub probe: Option<(Probe, PathBuf)>,
    pub warnings: Vec<String>,
}

/// Samples and channels of an array: `[samples, channels]`, or `[samples]` of one channel.
///
/// # Errors
/// When it has another number of axes, or too many channels.
pub(super) fn samples_and_channels(array: &ZarrArray) -> Result<(u64, usize), IoError> {
    match *array.shape() {
        [n_samples] => Ok((n_samples, 1)),
        [n_samples, n_channels] if (1..=MAX_CHANNELS).contains(&n_channels) => {
            Ok((n_samples, n_channels as usize))
        }
        _ => Err(IoError::bad_value(
            array.path(),
            "shape",
            format!("{:?}", array.shape()),
            "samples and 1 to 1,048,576 channels",
        )),
    }
}

/// The type of stored samples, native-endian as chunks are unpacked.
fn stored_format(array: &ZarrArray) -> Result<StoredFormat, IoError> {
    let kind = match array.metadata().data_type {
        DataType::I8 => StoredType::I8,
        DataType::U8 => StoredType::U8,
        DataType::I16 => StoredType::I16,
        DataType::U16 => StoredType::U16,
        DataType::I32 => StoredType::I32,
        DataType::F32 => StoredType::F32,
        DataType::F64 => StoredType::F64,
        other => {
            return Err(IoError::UnknownDtype {
                path: array.path().to_owned(),
                dtype: other.numpy_name().to_owned(),
            });
        }
    };
    Ok(StoredFormat {
        kind,
        big_endian: cfg!(target_endian = "big"),
    })
}

/// A recording in a store.
pub(super) struct ZarrRecording {
    description: RecordingDescription,
    stored: StoredFormat,
    segments: Vec<ZarrArray>,
}

impl ZarrRecording {
    /// Checks the arrays and the description, and applies the options that hold for every format.
    pub fn new(parts: ZarrParts, options: &OpenOptions) -> Result<ZarrRecording, IoError> {
        let Some(first) = parts.segments.first() else {
            return Err(IoError::malformed(
                &parts.store,
                "store",
                "there is no segment",
            ));
        };
        let (_, n_channels) = samples_and_channels(first)?;
        let stored = stored_format(first)?;
        let rate = options
            .sampling_frequency_hz
            .unwrap_or(parts.sampling_frequency_hz);
        let mut warnings = parts.warnings;
        let (mut segments, mut start_sample) = (Vec::new(), 0u64);
        let (mut n_absent, mut n_files) = (0u64, 0u64);
        for (array, start_time_s) in parts.segments.iter().zip(&parts.start_times_s) {
            let (n_samples, n_here) = samples_and_channels(array)?;
            if n_here != n_channels || stored_format(array)? != stored {
                let expected = format!("{n_channels} channels of the type of the first segment");
                return Err(IoError::bad_value(
                    array.path(),
                    "shape",
                    format!("{:?}", array.shape()),
                    &expected,
                ));
            }
            segments.push(Segment {
                start_sample,
                n_samples,
                start_time_s: start_time_s.unwrap_or(start_sample as f64 / rate),
            });
            start_sample = start_sample.saturating_add(n_samples);
            let (absent, files) = array.count_absent()?;
            n_absent = n_absent.saturating_add(absent);
            n_files = n_files.saturating_add(files);
        }
        if n_absent > 0 {
            warnings.push(absent_chunks(n_absent, n_files));
        }
        let mut description = RecordingDescription {
            format: parts.format,
            paths: vec![parts.store],
            sampling_frequency_hz: rate,
            n_samples: start_sample,
            n_channels,
            sample_type: stored.delivered(),
            gains_uv: options
                .gain_uv
                .map_or(parts.gains_uv, |gain| vec![gain as f32; n_channels]),
            offsets_uv: options
                .offset_uv
                .map_or(parts.offsets_uv, |offset| vec![offset as f32; n_channels]),
            channel_ids: parts.channel_ids,
            segments,
            sample_delay: parts.sample_delay,
            probe: None,
            raw: None,
            warnings,
        };
        if description.channel_ids.len() != n_channels {
            let expected = format!("{n_channels} names, one a channel");
            let found = format!("{} names", description.channel_ids.len());
            return Err(IoError::bad_value(
                parts.segments[0].path(),
                "channel_ids",
                found,
                &expected,
            ));
        }
        description.validate(parts.segments[0].path())?;
        if let Some((probe, path)) = parts.probe {
            description.probe = Some(probe);
            description.validate(&path)?;
            if !path.starts_with(&description.paths[0]) {
                description.paths.push(path);
            }
        }
        Ok(ZarrRecording {
            description,
            stored,
            segments: parts.segments,
        })
    }
}

/// The warning for files of chunks that are not there.
pub(crate) fn absent_chunks(n_absent: u64, n_files: u64) -> String {
    format!(
        "{n_absent} of {n_files} files of chunks are absent and count as empty: writers leave out chunks without data, but the copy may \
         also be incomplete"
    )
}

impl RecordingReader for ZarrRecording {
    fn description(&self) -> &RecordingDescription {
        &self.description
    }

    fn read(&self, start_sample: u64, out: &mut [u8]) -> Result<(), IoError> {
        let frame_bytes = self.description.frame_bytes();
        if !out.len().is_multiple_of(frame_bytes) {
            return Err(IoError::BufferNotWholeFrames {
                buffer_bytes: out.len(),
                frame_bytes,
            });
        }
        let n_wanted = (out.len() / frame_bytes) as u64;
        let end_sample = start_sample.saturating_add(n_wanted);
        if end_sample > self.description.n_samples {
            return Err(IoError::OutOfRange {
                start_sample,
                end_sample,
                n_samples: self.description.n_samples,
            });
        }
        let (mut at, mut rest) = (start_sample, out);
        for (segment, array) in self.description.segments.iter().zip(&self.segments) {
            let end = segment.start_sample + segment.n_samples;
            if rest.is_empty() || at >= end {
                continue;
            }
            let n_here = (end - at).min((rest.len() / frame_bytes) as u64);
            let (here, after) = rest.split_at_mut(n_here as usize * frame_bytes);
            self.read_segment(array, at - segment.start_sample, here)?;
            at += n_here;
            rest = after;
        }
        Ok(())
    }
}

impl ZarrRecording {
    /// Reads samples of one segment.
    fn read_segment(&self, array: &ZarrArray, first: u64, out: &mut [u8]) -> Result<(), IoError> {
        let read = |first: u64, n_samples: u64, bytes: &mut [u8]| {
            let n_channels = self.description.n_channels as u64;
            match array.shape().len() {
                1 => array.read_region(&[first], &[n_samples], bytes),
                _ => array.read_region(&[first, 0], &[n_samples, n_channels], bytes),
            }
        };
        let frame_bytes = self.description.frame_bytes();
        if self.stored.is_verbatim() {
            return read(first, (out.len() / frame_bytes) as u64, out);
        }
        let stored_frame_bytes = self.description.n_channels * self.stored.size_bytes();
        let frames_per_block = (BLOCK_BYTES / stored_frame_bytes).max(1);
        let mut block = Vec::new();
        for (number, out) in out.chunks_mut(frames_per_block * frame_bytes).enumerate() {
            let n_frames = out.len() / frame_bytes;
            block.resize(n_frames * stored_frame_bytes, 0);
            read(
                first + (number * frames_per_block) as u64,
                n_frames as u64,
                &mut block,
            )?;
            let stored = block.chunks_exact(self.stored.size_bytes());
            let delivered = out.chunks_exact_mut(self.stored.delivered().size_bytes());
            stored
                .zip(delivered)
                .for_each(|(stored, out)| self.stored.convert(stored, out));
        }
        Ok(())
    }
}

/// One number a channel; `None` of no array.
pub(super) fn per_channel(
    array: Option<ZarrArray>,
    n_channels: usize,
) -> Result<Option<Vec<f64>>, IoError> {
    let Some(array) = array else {
        return Ok(None);
    };
    if array.shape() != [n_channels as u64] {
        let expected = format!("({n_channels},), one number a channel");
        return Err(IoError::bad_value(
            array.path(),
            "shape",
            format!("{:?}", array.shape()),
            &expected,
        ));
    }
    array.read_numbers(n_channels).map(Some)
}
