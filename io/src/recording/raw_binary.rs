//! A bare binary file of interleaved samples; everything about it comes from the options.

use std::path::Path;

use super::flat::{FlatParts, FlatReader, numbered_ids, probe_from, whole_file_span};
use super::frames::{StoredFormat, file_size_bytes, whole_frames};
use super::{OpenOptions, RecordingReader};
use crate::error::IoError;

/// Opens `path` with the options' rate, channels and sample type.
///
/// The gain is 1 µV a step where none is given, with a warning. A probe comes from the options only.
///
/// # Errors
/// When an option is missing, the sample type is not supported, or the file does not hold whole frames.
pub fn open(path: &Path, options: &OpenOptions) -> Result<Box<dyn RecordingReader>, IoError> {
    let (Some(rate), Some(n_channels), Some(dtype)) = (
        options.sampling_frequency_hz,
        options.n_channels,
        options.dtype.as_deref(),
    ) else {
        let mut missing = Vec::new();
        if options.sampling_frequency_hz.is_none() {
            missing.push("`--sampling-frequency`".to_owned());
        }
        if options.n_channels.is_none() {
            missing.push("`--n-channels`".to_owned());
        }
        if options.dtype.is_none() {
            missing.push("`--dtype`".to_owned());
        }
        return Err(IoError::NeedOptions {
            path: path.to_owned(),
            missing,
        });
    };
    let stored = StoredFormat::from_numpy_name(dtype).ok_or_else(|| IoError::UnknownDtype {
        path: path.to_owned(),
        dtype: dtype.to_owned(),
    })?;
    if n_channels == 0 || n_channels > 1 << 20 {
        return Err(IoError::bad_value(
            path,
            "number of channels",
            n_channels,
            "1 to 1,048,576",
        ));
    }
    let offset_bytes = options.offset_bytes.unwrap_or(0);
    let size_bytes = file_size_bytes(path)?;
    let data_bytes = size_bytes
        .checked_sub(offset_bytes)
        .ok_or_else(|| IoError::Truncated {
            path: path.to_owned(),
            expected_bytes: offset_bytes,
            found_bytes: size_bytes,
        })?;
    let n_samples = whole_frames(path, data_bytes, n_channels, stored)?;
    let (spans, segments) = whole_file_span(
        offset_bytes,
        (n_channels * stored.size_bytes()) as u64,
        n_samples,
    );
    let mut warnings = Vec::new();
    if options.gain_uv.is_none() {
        warnings.push("no gain was given: one step is taken as 1 µV, so amplitudes in µV are not to be trusted".to_owned());
    }
    let parts = FlatParts {
        format: "raw binary",
        data_paths: vec![path.to_owned()],
        other_paths: vec![],
        sampling_frequency_hz: rate,
        stored,
        n_channels_stored: n_channels,
        columns: (0..n_channels).collect(),
        channel_ids: numbered_ids(n_channels),
        gains_uv: vec![1.0; n_channels],
        offsets_uv: vec![0.0; n_channels],
        spans,
        segments,
        sample_delay: None,
        probe: probe_from(options, &[])?,
        warnings,
    };
    Ok(Box::new(FlatReader::new(parts, options)?))
}
