//! Open Ephys, binary format: `structure.oebin`, and a flat `continuous.dat` a stream.
//!
//! Layouts of 0.4 to 1.0. The recordings of one experiment are joined, each a segment of its own, as is each stretch between two
//! gaps of the sample numbers. Delivered are the neural channels of one stream; analog inputs, accelerometers and the sync word
//! are left out. A Neuropixels probe is read from `settings.xml`. Source: Open Ephys' page "Binary Format"; compared with neo.

mod clock;
pub(crate) mod folders;
pub(crate) mod legacy;
mod settings;
mod structure;

use std::path::{Path, PathBuf};

use self::clock::SampleNumbers;
use self::structure::{Channel, Kind, Stream};
use super::flat::{FlatParts, FlatReader, probe_from};
use super::frames::{Span, StoredFormat, file_size_bytes, whole_frames};
use super::{OpenOptions, RecordingReader, Segment, streams};
use crate::error::IoError;

/// Opens the experiment, recording or stream at `path`.
///
/// # Errors
/// When several experiments or streams are possible, a file is missing or cut short, or recordings do not fit each other.
pub fn open(path: &Path, options: &OpenOptions) -> Result<Box<dyn RecordingReader>, IoError> {
    let found = folders::find(path);
    folders::one_experiment(path, &found.structures)?;
    let Some(first_path) = found.structures.first() else {
        return Err(IoError::Missing {
            path: path.join(folders::STRUCTURE_FILE),
        });
    };
    let mut warnings = Vec::new();
    let wanted = options.stream.as_deref().or(found.stream.as_deref());
    let stream = chosen_stream(
        first_path,
        &structure::read(first_path)?,
        wanted,
        &mut warnings,
    )?;
    let mut columns = delivered_columns(&stream, &mut warnings);
    let mut probe = probe_from(options, &[])?;
    let mut sample_delay = None;
    if let Some(path) = settings::beside(first_path)
        && let Some(placed) = placed(&path, &stream, &mut columns, probe.is_some(), &mut warnings)
    {
        sample_delay = placed.sample_delay;
        probe = probe.or(Some((placed.probe, path)));
    }
    let mut joined = Joined::default();
    for structure_path in &found.structures {
        if structure_path != first_path {
            check_same_stream(structure_path, &stream)?;
        }
        joined.add(structure_path, &stream, &mut warnings)?;
    }
    let delivered: Vec<&Channel> = columns
        .iter()
        .map(|&column| &stream.channels[column])
        .collect();
    let parts = FlatParts {
        format: "Open Ephys binary",
        data_paths: joined.data_paths,
        other_paths: joined.other_paths,
        sampling_frequency_hz: stream.sampling_frequency_hz,
        stored: StoredFormat::I16_LE,
        n_channels_stored: stream.channels.len(),
        channel_ids: delivered
            .iter()
            .map(|channel| channel.name.clone())
            .collect(),
        gains_uv: delivered
            .iter()
            .map(|channel| channel.gain_uv as f32)
            .collect(),
        offsets_uv: vec![0.0; columns.len()],
        columns,
        spans: joined.spans,
        segments: joined.segments,
        sample_delay,
        probe,
        warnings,
    };
    Ok(Box::new(FlatReader::new(parts, options)?))
}

/// The stream to read, out of those that the first recording has.
fn chosen_stream(
    path: &Path,
    all: &[Stream],
    wanted: Option<&str>,
    warnings: &mut Vec<String>,
) -> Result<Stream, IoError> {
    if all.is_empty() {
        return Err(IoError::bad_value(
            path,
            "continuous",
            "[]",
            "at least one stream",
        ));
    }
    let neural: Vec<usize> = (0..all.len())
        .filter(|&index| all[index].is_neural())
        .collect();
    let fast = neural.iter().copied().filter(|&index| !all[index].is_lfp());
    let fast: Vec<usize> = fast.collect();
    let usual = if fast.is_empty() { neural } else { fast };
    let names: Vec<String> = all.iter().map(|stream| stream.folder.clone()).collect();
    let index = streams::choose(path, &names, &usual, wanted)?;
    if wanted.is_none() && all.len() > 1 {
        let others = names
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != index);
        let others: Vec<String> = others.map(|(_, name)| format!("`{name}`")).collect();
        warnings.push(format!(
            "stream `{}` is read; `--stream` chooses another of {}",
            names[index],
            others.join(", ")
        ));
    }
    Ok(all[index].clone())
}

/// The columns that carry signals of the brain; all but the sync word of a stream that has none.
fn delivered_columns(stream: &Stream, warnings: &mut Vec<String>) -> Vec<usize> {
    let of = |wanted: &[Kind]| -> Vec<usize> {
        (0..stream.channels.len())
            .filter(|&column| wanted.contains(&stream.channels[column].kind))
            .collect()
    };
    let mut columns = of(&[Kind::Neural]);
    if columns.is_empty() {
        columns = of(&[Kind::Auxiliary, Kind::Analog]);
    } else {
        for (kind, what) in [
            (Kind::Analog, "analog inputs"),
            (Kind::Auxiliary, "auxiliary inputs"),
        ] {
            let left_out = of(&[kind]);
            if let [first, .., last] | [first @ last] = left_out[..] {
                warnings.push(format!(
                    "{} channels are left out ({what}): {} to {}",
                    left_out.len(),
                    stream.channels[first].name,
                    stream.channels[last].name
                ));
            }
        }
    }
    if columns.is_empty() {
        columns = (0..stream.channels.len()).collect();
    }
    columns
}

/// What the settings say of the stream's probe. Where the user gives none, channels without an electrode are left out of `columns`,
/// since every channel needs a place. A recording is whole without its settings, so that nothing here is an error.
fn placed(
    path: &Path,
    stream: &Stream,
    columns: &mut Vec<usize>,
    has_probe: bool,
    warnings: &mut Vec<String>,
) -> Option<settings::Placed> {
    let name = |&column: &usize| stream.channels[column].name.as_str();
    let wanted = settings::Wanted {
        folder: &stream.folder,
        channels: columns.iter().map(name).collect(),
        sampling_frequency_hz: stream.sampling_frequency_hz,
    };
    let found = settings::read(path, &wanted).and_then(|placed| match &placed {
        Some(found) => match found.probe.validate(found.rows.len(), path) {
            Ok(()) => Ok(placed),
            Err(error) => Err(error.to_string()),
        },
        None => Ok(None),
    });
    let placed = found.unwrap_or_else(|why| {
        if !has_probe {
            warnings.push(format!(
                "no probe is taken from `{}`: {why}",
                path.display()
            ));
        }
        None
    })?;
    let n_without = columns.len() - placed.rows.len();
    if n_without == 0 {
        return Some(placed);
    }
    if has_probe {
        // The delays do not cover all channels that the user's probe has.
        return None;
    }
    let first = (0..columns.len()).find(|row| !placed.rows.contains(row))?;
    warnings.push(format!(
        "{n_without} of {} channels are left out, which have no electrode in `{}` (a reference): {}{}",
        columns.len(),
        path.display(),
        name(&columns[first]),
        if n_without > 1 { " and others" } else { "" }
    ));
    *columns = placed.rows.iter().map(|&row| columns[row]).collect();
    Some(placed)
}

/// Makes sure that a further recording has the same stream.
fn check_same_stream(path: &Path, stream: &Stream) -> Result<(), IoError> {
    let all = structure::read(path)?;
    let Some(here) = all.iter().find(|here| here.folder == stream.folder) else {
        return Err(IoError::NoSuchStream {
            path: path.to_owned(),
            stream: stream.folder.clone(),
            streams: all.into_iter().map(|stream| stream.folder).collect(),
        });
    };
    if here != stream {
        let key = format!("stream {}", here.folder);
        let found = format!(
            "{} channels at {} Hz",
            here.channels.len(),
            here.sampling_frequency_hz
        );
        let expected = format!(
            "{} channels at {} Hz with equal names and gains, as in the first recording (give one recording's folder to read it alone)",
            stream.channels.len(),
            stream.sampling_frequency_hz
        );
        return Err(IoError::bad_value(path, &key, found, &expected));
    }
    Ok(())
}

/// Recordings one after the other.
#[derive(Default)]
struct Joined {
    data_paths: Vec<PathBuf>,
    other_paths: Vec<PathBuf>,
    spans: Vec<Span>,
    segments: Vec<Segment>,
    n_samples: u64,
}

impl Joined {
    /// Adds the recording that `structure_path` describes.
    fn add(
        &mut self,
        structure_path: &Path,
        stream: &Stream,
        warnings: &mut Vec<String>,
    ) -> Result<(), IoError> {
        let recording = structure_path.parent().unwrap_or(Path::new("."));
        let folder = recording.join("continuous").join(&stream.folder);
        let data_path = folder.join("continuous.dat");
        let n_channels = stream.channels.len();
        let size_bytes = file_size_bytes(&data_path)?;
        let n_samples = whole_frames(&data_path, size_bytes, n_channels, StoredFormat::I16_LE)?;
        let frame_bytes = (n_channels * StoredFormat::I16_LE.size_bytes()) as u64;
        self.other_paths.push(structure_path.to_owned());
        match SampleNumbers::open(&folder)? {
            Some(numbers) => {
                if numbers.n > n_samples {
                    return Err(IoError::Truncated {
                        path: data_path,
                        expected_bytes: numbers.n.saturating_mul(frame_bytes),
                        found_bytes: size_bytes,
                    });
                }
                if numbers.n < n_samples {
                    warnings.push(format!(
                        "`{}` numbers {} of {n_samples} samples; the others are taken as following without a gap",
                        numbers.path().display(),
                        numbers.n
                    ));
                }
                let segments =
                    numbers.segments(self.n_samples, n_samples, stream.sampling_frequency_hz)?;
                if segments.len() > 1 {
                    warnings.push(format!(
                        "`{}` has {} gaps, where samples were lost",
                        numbers.path().display(),
                        segments.len() - 1
                    ));
                }
                self.segments.extend(segments);
                self.other_paths.push(numbers.path().to_owned());
            }
            None => {
                warnings.push(format!(
                    "`{}` has no sample numbers: its start is taken as 0 s and gaps are not known",
                    folder.display()
                ));
                self.segments.push(Segment {
                    start_sample: self.n_samples,
                    n_samples,
                    start_time_s: 0.0,
                });
            }
        }
        self.spans.push(Span {
            file: self.data_paths.len(),
            offset_bytes: 0,
            stride_bytes: frame_bytes,
            start_sample: self.n_samples,
            n_samples,
        });
        self.data_paths.push(data_path);
        self.n_samples += n_samples;
        Ok(())
    }
}
