//! The reader behind every format whose samples are flat: [`Frames`] plus a description.

use std::path::{Path, PathBuf};

use super::facts::Facts;
use super::frames::{Frames, Span, StoredFormat};
use super::{OpenOptions, RawLayout, RecordingDescription, RecordingReader, Segment};
use crate::error::IoError;
use crate::probe::{self, Probe};

/// What a format of flat samples found out; [`FlatReader::new`] checks and completes it.
pub(crate) struct FlatParts {
    pub format: &'static str,
    /// Files of samples, as the spans number them.
    pub data_paths: Vec<PathBuf>,
    /// Other files that were read.
    pub other_paths: Vec<PathBuf>,
    pub sampling_frequency_hz: f64,
    pub stored: StoredFormat,
    pub n_channels_stored: usize,
    /// Stored column of each delivered channel.
    pub columns: Vec<usize>,
    pub channel_ids: Vec<String>,
    pub gains_uv: Vec<f32>,
    pub offsets_uv: Vec<f32>,
    pub spans: Vec<Span>,
    /// Start of each span in seconds; spans of equal segment are merged by the caller beforehand.
    pub segments: Vec<Segment>,
    pub sample_delay: Option<Vec<f32>>,
    /// The probe and the file that it came from.
    pub probe: Option<(Probe, PathBuf)>,
    pub warnings: Vec<String>,
}

/// A reader of flat samples.
pub(crate) struct FlatReader {
    description: RecordingDescription,
    frames: Frames,
}

impl FlatReader {
    /// Opens the files, checks the description and applies the options that hold for every format.
    pub fn new(parts: FlatParts, options: &OpenOptions) -> Result<FlatReader, IoError> {
        let raw = flat_layout(
            &parts.data_paths,
            &parts.spans,
            parts.stored,
            parts.n_channels_stored,
            &parts.columns,
        );
        let mut paths = parts.data_paths.clone();
        paths.extend(parts.other_paths);
        let facts = Facts {
            format: parts.format,
            paths,
            sampling_frequency_hz: parts.sampling_frequency_hz,
            sample_type: parts.stored.delivered(),
            channel_ids: parts.channel_ids,
            gains_uv: parts.gains_uv,
            offsets_uv: parts.offsets_uv,
            segments: parts.segments,
            sample_delay: parts.sample_delay,
            probe: parts.probe,
            raw,
            warnings: parts.warnings,
        };
        let description = facts.describe(options)?;
        let frames = Frames::open(
            &parts.data_paths,
            parts.spans,
            parts.stored,
            parts.n_channels_stored,
            parts.columns,
        )?;
        Ok(FlatReader {
            description,
            frames,
        })
    }
}

impl RecordingReader for FlatReader {
    fn description(&self) -> &RecordingDescription {
        &self.description
    }

    fn read(&self, start_sample: u64, out: &mut [u8]) -> Result<(), IoError> {
        self.frames.read(start_sample, out)
    }
}

/// The layout for phy when there is one file and one unbroken span.
fn flat_layout(
    paths: &[PathBuf],
    spans: &[Span],
    stored: StoredFormat,
    n_channels: usize,
    columns: &[usize],
) -> Option<RawLayout> {
    let ([path], [span]) = (paths, spans) else {
        return None;
    };
    if span.stride_bytes != (n_channels * stored.size_bytes()) as u64 {
        return None;
    }
    Some(RawLayout {
        path: std::path::absolute(path).unwrap_or_else(|_| path.clone()),
        offset_bytes: span.offset_bytes,
        n_channels,
        dtype: stored.numpy_name(),
        columns: columns.to_vec(),
    })
}

/// The probe of a format whose channels are all delivered: the user's, else `beside` if it is there.
pub(crate) fn probe_from(
    options: &OpenOptions,
    beside: &[PathBuf],
) -> Result<Option<(Probe, PathBuf)>, IoError> {
    let path = match &options.probe {
        Some(path) => path.clone(),
        None => match beside.iter().find(|path| path.is_file()) {
            Some(path) => path.clone(),
            None => return Ok(None),
        },
    };
    let probe = probe::read(&path)?;
    Ok(Some((probe, path)))
}

/// One span and one segment for a whole flat file.
pub(crate) fn whole_file_span(
    offset_bytes: u64,
    frame_bytes: u64,
    n_samples: u64,
) -> (Vec<Span>, Vec<Segment>) {
    let span = Span {
        file: 0,
        offset_bytes,
        stride_bytes: frame_bytes,
        start_sample: 0,
        n_samples,
    };
    (
        vec![span],
        vec![Segment {
            start_sample: 0,
            n_samples,
            start_time_s: 0.0,
        }],
    )
}

/// `"0"`, `"1"` … for formats that do not name channels.
pub(crate) fn numbered_ids(n_channels: usize) -> Vec<String> {
    (0..n_channels).map(|channel| channel.to_string()).collect()
}

/// Reads a JSON file of at most a size that no honest description reaches.
pub(crate) fn read_json(path: &Path) -> Result<serde_json::Value, IoError> {
    let bytes = read_small(path)?;
    serde_json::from_slice(&bytes).map_err(|error| {
        IoError::malformed(
            path,
            format!("line {}", error.line()),
            format!("not valid JSON: {error}"),
        )
    })
}

/// Reads a text or header file; one beyond 256 MiB is refused before anything is allocated.
pub(crate) fn read_small(path: &Path) -> Result<Vec<u8>, IoError> {
    const LIMIT_BYTES: u64 = 256 << 20;
    let size_bytes = super::frames::file_size_bytes(path)?;
    if size_bytes > LIMIT_BYTES {
        return Err(IoError::malformed(
            path,
            "byte 0",
            format!("{size_bytes} bytes are too many for a description"),
        ));
    }
    std::fs::read(path).map_err(|source| IoError::read(path, source))
}
