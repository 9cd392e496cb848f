//! Open Ephys, the legacy format: one `.continuous` file a channel, a text header and records of 1024 samples.
//!
//! Names are `100_CH1.continuous`, with the source's stream before the channel in later versions and `_2` after it for a second
//! experiment; both tell apart what is a stream here. A record is a 64-bit time, the number of its samples, the recording's number, the samples
//! (big-endian) and a mark. Source: Open Ephys' page "Open Ephys Format"; compared with neo.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::structure::Kind;
use crate::error::{IoError, name_of};
use crate::movie::inputs::natural_order;
use crate::recording::channel_files::{ChannelFiles, Records};
use crate::recording::facts::{Facts, SourceReader};
use crate::recording::flat::probe_from;
use crate::recording::frames::{file_size_bytes, read_exact_at};
use crate::recording::{OpenOptions, RecordingReader, SampleType, Segment, gaps, streams};

/// Bytes of the header.
const HEADER_BYTES: u64 = 1024;
/// Samples of a record.
const RECORD_SAMPLES: u64 = 1024;
/// The mark that ends a record.
const MARK: [u8; 10] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 255];

/// How the samples lie in each file.
const RECORDS: Records = Records {
    offset_bytes: HEADER_BYTES,
    head_bytes: 12,
    n_samples: RECORD_SAMPLES,
    tail_bytes: MARK.len() as u64,
    big_endian: true,
};
/// Bytes of a record.
const RECORD_BYTES: u64 = 12 + 2 * RECORD_SAMPLES + MARK.len() as u64;

/// One file.
#[derive(Clone, Debug)]
struct ChannelFile {
    path: PathBuf,
    /// Source and experiment, as the name of the file has them.
    stream: String,
    channel: String,
    sampling_frequency_hz: f64,
    gain_uv: f64,
    kind: Kind,
}

/// Whether a file is of this format by its name.
pub(crate) fn is_name(name: &str) -> bool {
    name.to_lowercase().ends_with(".continuous")
}

/// Opens the stream of which `path` is a file, or one of the streams in the folder `path`.
///
/// # Errors
/// When several streams are possible, a header is damaged, or files do not fit each other or are cut short.
pub fn open(path: &Path, options: &OpenOptions) -> Result<Box<dyn RecordingReader>, IoError> {
    let folder = match path.parent() {
        _ if path.is_dir() => path,
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let entries = std::fs::read_dir(folder).map_err(|source| IoError::read(folder, source))?;
    let mut files = Vec::new();
    for entry in entries.flatten() {
        if is_name(&name_of(&entry.path())) {
            files.push(ChannelFile::read(entry.path())?);
        }
    }
    files.sort_by(|a, b| {
        natural_order(&a.stream, &b.stream).then_with(|| natural_order(&a.channel, &b.channel))
    });
    let mut names: Vec<String> = files.iter().map(|file| file.stream.clone()).collect();
    names.dedup();
    let own = files
        .iter()
        .find(|file| file.path == path)
        .map(|file| file.stream.as_str());
    let usual: Vec<usize> = (0..names.len())
        .filter(|&index| {
            files
                .iter()
                .any(|file| file.stream == names[index] && file.kind == Kind::Neural)
        })
        .collect();
    if names.is_empty() {
        return Err(IoError::Missing {
            path: folder.join("100_CH1.continuous"),
        });
    }
    let chosen = streams::choose(folder, &names, &usual, options.stream.as_deref().or(own))?;
    files.retain(|file| file.stream == names[chosen]);
    let mut warnings = Vec::new();
    leave_out_inputs(&mut files, &mut warnings);
    open_stream(files, options, warnings)
}

/// Drops inputs where there are signals of the brain.
fn leave_out_inputs(files: &mut Vec<ChannelFile>, warnings: &mut Vec<String>) {
    if !files.iter().any(|file| file.kind == Kind::Neural) {
        return;
    }
    let others: Vec<&ChannelFile> = files
        .iter()
        .filter(|file| file.kind != Kind::Neural)
        .collect();
    if let Some(first) = others.first() {
        warnings.push(format!(
            "{} channels are left out (analog and auxiliary inputs), `{}` first",
            others.len(),
            first.channel
        ));
    }
    files.retain(|file| file.kind == Kind::Neural);
}

/// Opens the files of one stream, which are one a channel.
fn open_stream(
    files: Vec<ChannelFile>,
    options: &OpenOptions,
    mut warnings: Vec<String>,
) -> Result<Box<dyn RecordingReader>, IoError> {
    let sizes = files
        .iter()
        .map(|file| file_size_bytes(&file.path))
        .collect::<Result<Vec<u64>, _>>()?;
    let longest = sizes.iter().copied().max().unwrap_or(0);
    let whole_bytes = HEADER_BYTES
        + longest
            .saturating_sub(HEADER_BYTES)
            .next_multiple_of(RECORD_BYTES);
    if let Some(short) = sizes.iter().position(|&size| size < whole_bytes) {
        return Err(IoError::Truncated {
            path: files[short].path.clone(),
            expected_bytes: whole_bytes,
            found_bytes: sizes[short],
        });
    }
    let n_records = (whole_bytes - HEADER_BYTES) / RECORD_BYTES;
    let rate = files[0].sampling_frequency_hz;
    if let Some(other) = files.iter().find(|file| file.sampling_frequency_hz != rate) {
        let expected = format!("{rate}, as in `{}`", name_of(&files[0].path));
        return Err(IoError::bad_value(
            &other.path,
            "header.sampleRate",
            other.sampling_frequency_hz,
            &expected,
        ));
    }
    if let Some([twice, _]) = files.array_windows().find(|[a, b]| a.channel == b.channel) {
        return Err(IoError::malformed(
            &twice.path,
            "header.channel",
            format!("`{}` is in two files", twice.channel),
        ));
    }
    let clock = check_clocks(&files, n_records)?;
    let first_path = &files[0].path;
    let n_samples = n_records * RECORD_SAMPLES;
    let number = |sample: u64| {
        Ok(record_time(first_path, &clock, sample / RECORD_SAMPLES)?
            + (sample % RECORD_SAMPLES) as i64)
    };
    let starts = gaps::stretches(first_path, n_samples, 64, number)?;
    let ends = starts.iter().skip(1).copied().chain([n_samples]);
    let mut segments = Vec::new();
    for (&start, end) in starts.iter().zip(ends) {
        let time = if n_samples > 0 { number(start)? } else { 0 };
        segments.push(Segment {
            start_sample: start,
            n_samples: end - start,
            start_time_s: time as f64 / rate,
        });
    }
    if segments.len() > 1 {
        warnings.push(format!(
            "the times have {} gaps, between recordings or where samples were lost",
            segments.len() - 1
        ));
    }
    let paths: Vec<PathBuf> = files.iter().map(|file| file.path.clone()).collect();
    let facts = Facts {
        format: "Open Ephys legacy",
        paths: paths.clone(),
        sampling_frequency_hz: rate,
        sample_type: SampleType::I16,
        gains_uv: files.iter().map(|file| file.gain_uv as f32).collect(),
        offsets_uv: vec![0.0; files.len()],
        channel_ids: files.into_iter().map(|file| file.channel).collect(),
        segments,
        sample_delay: None,
        probe: probe_from(options, &[])?,
        raw: None,
        warnings,
    };
    let description = facts.describe(options)?;
    Ok(Box::new(SourceReader::new(
        description,
        ChannelFiles::new(paths, RECORDS),
    )))
}

/// Makes sure that the first and last records of all files are of the same times; gives back the first file.
fn check_clocks(files: &[ChannelFile], n_records: u64) -> Result<File, IoError> {
    let open = |path: &Path| File::open(path).map_err(|source| IoError::read(path, source));
    let first = open(&files[0].path)?;
    for file in files.iter().filter(|_| n_records > 0) {
        let handle = open(&file.path)?;
        for record in [0, n_records - 1] {
            let place = format!("record {record}");
            let (found, expected) = (
                record_time(&file.path, &handle, record)?,
                record_time(&files[0].path, &first, record)?,
            );
            if found != expected {
                let what = format!(
                    "it begins at {found}, that of `{}` at {expected}",
                    name_of(&files[0].path)
                );
                return Err(IoError::malformed(&file.path, place, what));
            }
        }
    }
    Ok(first)
}

/// The time of a record in samples, once its length and mark are those of a record.
fn record_time(path: &Path, file: &File, record: u64) -> Result<i64, IoError> {
    let failed = |source| IoError::read(path, source);
    let start = HEADER_BYTES + record * RECORD_BYTES;
    let (mut head, mut mark) = ([0u8; 12], [0u8; 10]);
    read_exact_at(file, &mut head, start).map_err(failed)?;
    read_exact_at(file, &mut mark, start + RECORD_BYTES - MARK.len() as u64).map_err(failed)?;
    let ([time @ .., n0, n1, _, _], n_expected) = (head, RECORD_SAMPLES as u16);
    if u16::from_le_bytes([n0, n1]) != n_expected || mark != MARK {
        let what = format!("no record of {n_expected} samples lies here");
        return Err(IoError::malformed(path, format!("byte {start}"), what));
    }
    Ok(i64::from_le_bytes(time))
}

impl ChannelFile {
    /// Reads the header of a file.
    fn read(path: PathBuf) -> Result<ChannelFile, IoError> {
        let file = File::open(&path).map_err(|source| IoError::read(&path, source))?;
        let found_bytes = file_size_bytes(&path)?;
        if found_bytes < HEADER_BYTES {
            return Err(IoError::Truncated {
                path,
                expected_bytes: HEADER_BYTES,
                found_bytes,
            });
        }
        let mut header = [0u8; HEADER_BYTES as usize];
        read_exact_at(&file, &mut header, 0).map_err(|source| IoError::read(&path, source))?;
        ChannelFile::parse(&path, &String::from_utf8_lossy(&header))
    }

    /// The facts in the text of a header: assignments `header.key = value;`.
    fn parse(path: &Path, text: &str) -> Result<ChannelFile, IoError> {
        let value = |key: &str| {
            let name = format!("header.{key}");
            text.split(';')
                .filter_map(|line| line.trim().split_once('='))
                .find(|(found, _)| found.trim() == name)
                .map(|(_, value)| value.trim().trim_matches('\'').to_owned())
                .ok_or_else(|| IoError::missing_key(path, &name))
        };
        let number = |key: &str| {
            let text = value(key)?;
            text.parse::<f64>()
                .map_err(|_| IoError::bad_value(path, &format!("header.{key}"), text, "a number"))
        };
        let version = number("version")?;
        if !(0.2..1.0).contains(&version) {
            return Err(IoError::bad_value(
                path,
                "header.version",
                version,
                "0.2 to 0.4",
            ));
        }
        let block_length = number("blockLength")?;
        if block_length != RECORD_SAMPLES as f64 {
            let expected = RECORD_SAMPLES.to_string();
            return Err(IoError::bad_value(
                path,
                "header.blockLength",
                block_length,
                &expected,
            ));
        }
        let channel = value("channel")?;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        // What is left of the name without the channel: the source, and the experiment from the second on.
        let stream = match stem.rfind(&channel).filter(|_| !channel.is_empty()) {
            Some(at) => {
                let (source, experiment) = (&stem[..at], &stem[at + channel.len()..]);
                format!("{}{experiment}", source.trim_end_matches('_'))
            }
            None => stem.split('_').next().unwrap_or_default().to_owned(),
        };
        let kind = match channel.to_uppercase() {
            name if name.contains("ADC") => Kind::Analog,
            name if name.contains("AUX") => Kind::Auxiliary,
            _ => Kind::Neural,
        };
        // Inputs are in volts a step, all else in microvolts.
        let to_uv = if kind == Kind::Analog { 1e6 } else { 1.0 };
        Ok(ChannelFile {
            path: path.to_owned(),
            stream,
            gain_uv: number("bitVolts")? * to_uv,
            sampling_frequency_hz: number("sampleRate")?,
            channel,
            kind,
        })
    }
}
