//! Intan controllers: `.rhd` (recording) and `.rhs` (stimulation and recording).
//!
//! Three layouts: the traditional file with header and data blocks, of which several are joined; `info.rhd` with one file a kind
//! of signal (`amplifier.dat`); and `info.rhd` with one file a channel (`amp-A-000.dat`). Delivered are the amplifier channels.
//! Source: Intan's "RHD data file formats" and "RHS data file formats"; compared with neo.

mod blocks;
mod header;

use std::fs::File;
use std::path::{Path, PathBuf};

use self::blocks::Blocks;
use self::header::{Family, Header};
use super::channel_files::{ChannelFiles, Records};
use super::facts::{Facts, SourceReader};
use super::flat::{FlatParts, FlatReader, probe_from};
use super::frames::{Span, StoredFormat, file_size_bytes, read_exact_at, whole_frames};
use super::{OpenOptions, RecordingReader, SampleType, Segment, gaps};
use crate::error::{IoError, name_of};
use crate::movie::inputs::natural_order;

/// Microvolts a step of the amplifiers of both families.
const GAIN_UV: f32 = 0.195;
/// Microvolts at value zero of traditional files, whose samples have no sign.
const OFFSET_UV: f32 = -32768.0 * 0.195;

/// Opens a traditional file, the folder of several of them, or the folder or header of the other two layouts.
///
/// # Errors
/// When a header is damaged or of another version, files do not fit each other, or one is cut short.
pub fn open(path: &Path, options: &OpenOptions) -> Result<Box<dyn RecordingReader>, IoError> {
    if !path.is_dir() {
        return if is_separate_header(path) {
            open_separate(path, options)
        } else {
            open_traditional(vec![path.to_owned()], options)
        };
    }
    for name in ["info.rhd", "info.rhs"] {
        let header_path = path.join(name);
        if header_path.is_file() {
            return open_separate(&header_path, options);
        }
    }
    let mut paths: Vec<PathBuf> = list(path)?;
    paths.retain(|path| is_intan_name(&name_of(path)));
    paths.sort_by(|a, b| natural_order(&name_of(a), &name_of(b)));
    if paths.is_empty() {
        return Err(IoError::Missing {
            path: path.join("info.rhd"),
        });
    }
    open_traditional(paths, options)
}

/// Whether a file is one of Intan's by its name.
pub(crate) fn is_intan_name(name: &str) -> bool {
    let name = name.to_lowercase();
    name.ends_with(".rhd") || name.ends_with(".rhs")
}

/// Whether the samples of this header lie in other files.
pub(crate) fn is_separate_header(path: &Path) -> bool {
    matches!(
        name_of(path).to_lowercase().as_str(),
        "info.rhd" | "info.rhs"
    )
}

/// The entries of a folder.
fn list(folder: &Path) -> Result<Vec<PathBuf>, IoError> {
    let entries = std::fs::read_dir(folder).map_err(|source| IoError::read(folder, source))?;
    Ok(entries.flatten().map(|entry| entry.path()).collect())
}

/// Header and data blocks in each file.
fn open_traditional(
    paths: Vec<PathBuf>,
    options: &OpenOptions,
) -> Result<Box<dyn RecordingReader>, IoError> {
    let blocks = Blocks::open(paths.clone())?;
    let header = blocks.header();
    check_amplifiers(&paths[0], header)?;
    let segments = blocks.segments()?;
    let mut warnings = Vec::new();
    if paths.len() > 1 {
        warnings.push(format!(
            "{} files are joined in the order of their names, `{}` first",
            paths.len(),
            name_of(&paths[0])
        ));
    }
    if segments.len() > 1 {
        warnings.push(format!(
            "samples are missing at {} places",
            segments.len() - 1
        ));
    }
    let n_channels = header.amplifiers.len();
    let facts = Facts {
        format: format_name(header),
        paths,
        sampling_frequency_hz: header.sampling_frequency_hz,
        sample_type: SampleType::U16,
        channel_ids: header.amplifiers.clone(),
        gains_uv: vec![GAIN_UV; n_channels],
        offsets_uv: vec![OFFSET_UV; n_channels],
        segments,
        sample_delay: None,
        probe: probe_from(options, &[])?,
        raw: None,
        warnings,
    };
    let description = facts.describe(options)?;
    Ok(Box::new(SourceReader::new(description, blocks)))
}

/// A header whose samples lie in files beside it.
fn open_separate(
    header_path: &Path,
    options: &OpenOptions,
) -> Result<Box<dyn RecordingReader>, IoError> {
    let header = Header::read(header_path)?;
    check_amplifiers(header_path, &header)?;
    let folder = match header_path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let amplifier_path = folder.join("amplifier.dat");
    if amplifier_path.is_file() {
        open_signal_file(header_path, &header, amplifier_path, options)
    } else {
        open_channel_files(header_path, &header, folder, options)
    }
}

/// All amplifier channels interleaved in `amplifier.dat`.
fn open_signal_file(
    header_path: &Path,
    header: &Header,
    data_path: PathBuf,
    options: &OpenOptions,
) -> Result<Box<dyn RecordingReader>, IoError> {
    let n_channels = header.amplifiers.len();
    let stored = StoredFormat::I16_LE;
    let n_samples = whole_frames(&data_path, file_size_bytes(&data_path)?, n_channels, stored)?;
    let mut clock = Clock::of(header, &data_path, n_samples)?;
    let parts = FlatParts {
        format: format_name(header),
        data_paths: vec![data_path],
        other_paths: [header_path.to_owned()]
            .into_iter()
            .chain(clock.path.take())
            .collect(),
        sampling_frequency_hz: header.sampling_frequency_hz,
        stored,
        n_channels_stored: n_channels,
        columns: (0..n_channels).collect(),
        channel_ids: header.amplifiers.clone(),
        gains_uv: vec![GAIN_UV; n_channels],
        offsets_uv: vec![0.0; n_channels],
        spans: vec![Span {
            file: 0,
            offset_bytes: 0,
            stride_bytes: (n_channels * stored.size_bytes()) as u64,
            start_sample: 0,
            n_samples,
        }],
        segments: clock.segments,
        sample_delay: None,
        probe: probe_from(options, &[])?,
        warnings: clock.warnings,
    };
    Ok(Box::new(FlatReader::new(parts, options)?))
}

/// Each amplifier channel in a file `amp-NAME.dat`.
fn open_channel_files(
    header_path: &Path,
    header: &Header,
    folder: &Path,
    options: &OpenOptions,
) -> Result<Box<dyn RecordingReader>, IoError> {
    // Looked up among the folder's own entries, since a name in a damaged header could lead elsewhere.
    let entries = list(folder)?;
    let (mut ids, mut paths, mut absent) = (Vec::new(), Vec::new(), Vec::new());
    for id in &header.amplifiers {
        let file_name = format!("amp-{id}.dat");
        match entries.iter().find(|entry| name_of(entry) == file_name) {
            Some(path) => {
                ids.push(id.clone());
                paths.push(path.clone());
            }
            None => absent.push(file_name),
        }
    }
    if paths.is_empty() {
        return Err(IoError::Missing {
            path: folder.join("amplifier.dat"),
        });
    }
    let sizes = paths
        .iter()
        .map(|path| file_size_bytes(path))
        .collect::<Result<Vec<u64>, _>>()?;
    let longest = sizes.iter().copied().max().unwrap_or(0);
    if let Some(short) = sizes.iter().position(|&size| size < longest) {
        return Err(IoError::Truncated {
            path: paths[short].clone(),
            expected_bytes: longest,
            found_bytes: sizes[short],
        });
    }
    let n_samples = whole_frames(&paths[0], longest, 1, StoredFormat::I16_LE)?;
    let clock = Clock::of(header, &paths[0], n_samples)?;
    let mut warnings = clock.warnings;
    if let Some(first) = absent.first() {
        warnings.push(format!(
            "{} channels of the header have no file and are left out, `{first}` first",
            absent.len()
        ));
    }
    let n_channels = ids.len();
    let others = [header_path.to_owned()].into_iter().chain(clock.path);
    let facts = Facts {
        format: format_name(header),
        paths: paths.iter().cloned().chain(others).collect(),
        sampling_frequency_hz: header.sampling_frequency_hz,
        sample_type: SampleType::I16,
        channel_ids: ids,
        gains_uv: vec![GAIN_UV; n_channels],
        offsets_uv: vec![0.0; n_channels],
        segments: clock.segments,
        sample_delay: None,
        probe: probe_from(options, &[])?,
        raw: None,
        warnings,
    };
    let description = facts.describe(options)?;
    let files = ChannelFiles::new(paths, Records::BARE);
    Ok(Box::new(SourceReader::new(description, files)))
}

/// What `time.dat` says, one 32-bit number a sample.
struct Clock {
    path: Option<PathBuf>,
    segments: Vec<Segment>,
    warnings: Vec<String>,
}

impl Clock {
    /// The clock beside `data_path`, which has `n_samples` samples.
    fn of(header: &Header, data_path: &Path, n_samples: u64) -> Result<Clock, IoError> {
        let path = data_path.with_file_name("time.dat");
        if !path.is_file() {
            return Ok(Clock {
                segments: vec![Segment {
                    start_sample: 0,
                    n_samples,
                    start_time_s: 0.0,
                }],
                warnings: vec![
                    "there is no `time.dat`: the start is taken as 0 s and gaps are not known"
                        .to_owned(),
                ],
                path: None,
            });
        }
        let found_bytes = file_size_bytes(&path)?;
        let n_numbers = found_bytes / 4;
        if n_numbers != n_samples {
            // The shorter of the two was cut.
            let (path, expected_bytes, found_bytes) = if n_numbers < n_samples {
                (path, 4 * n_samples, found_bytes)
            } else {
                let data_bytes = file_size_bytes(data_path)?;
                let sample_bytes = data_bytes.checked_div(n_samples).unwrap_or(2);
                (
                    data_path.to_owned(),
                    n_numbers.saturating_mul(sample_bytes),
                    data_bytes,
                )
            };
            return Err(IoError::Truncated {
                path,
                expected_bytes,
                found_bytes,
            });
        }
        let failed = |source| IoError::read(&path, source);
        let file = File::open(&path).map_err(failed)?;
        let number = |sample: u64| {
            let mut bytes = [0u8; 4];
            read_exact_at(&file, &mut bytes, 4 * sample).map_err(failed)?;
            Ok(i64::from(i32::from_le_bytes(bytes)))
        };
        let mut segments = Vec::new();
        let starts = gaps::stretches(&path, n_samples, 32, number)?;
        let ends = starts.iter().skip(1).copied().chain([n_samples]);
        for (&start, end) in starts.iter().zip(ends) {
            let start_time_s = if n_samples == 0 {
                0.0
            } else {
                number(start)? as f64 / header.sampling_frequency_hz
            };
            segments.push(Segment {
                start_sample: start,
                n_samples: end - start,
                start_time_s,
            });
        }
        let mut warnings = Vec::new();
        if segments.len() > 1 {
            warnings.push(format!(
                "samples are missing at {} places",
                segments.len() - 1
            ));
        }
        Ok(Clock {
            path: Some(path),
            segments,
            warnings,
        })
    }
}

fn format_name(header: &Header) -> &'static str {
    match header.family {
        Family::Rhd => "Intan RHD",
        Family::Rhs => "Intan RHS",
    }
}

/// Makes sure that there is something to deliver.
fn check_amplifiers(path: &Path, header: &Header) -> Result<(), IoError> {
    if header.amplifiers.is_empty() {
        let found = format!("no amplifier channel, {} others", header.n_others);
        return Err(IoError::bad_value(
            path,
            "channels",
            found,
            "at least one amplifier channel",
        ));
    }
    Ok(())
}
