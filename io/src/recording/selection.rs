//! A part of a recording: a range of time and some of its channels.
//!
//! Samples outside are never read, channels outside are dropped as they are read. Times count the recording's seconds from its
//! first sample, pauses not counted; channels keep the recording's order.

use std::path::PathBuf;

use super::frames::StoredFormat;
use super::joined::{Part, open_joined};
use super::{OpenOptions, RecordingDescription, RecordingReader, Segment};
use crate::error::IoError;
use crate::probe::{self, Contact, Probe, UnwiredContact};

/// Bytes of whole frames that one call keeps at most, when it drops channels.
const BLOCK_BYTES: usize = 1 << 20;
/// What stands for the channels that the probe wires.
const WIRED: &str = "wired";

/// What the user wants of a recording; what is `None` is all of it.
#[derive(Default, Clone, Debug, PartialEq)]
pub struct Selection {
    /// First second.
    pub start_s: Option<f64>,
    /// Second at which to end.
    pub end_s: Option<f64>,
    /// Rows from 0, names, ranges of either, or `wired`, as in `0-95,100`.
    pub channels: Option<String>,
}

/// An open recording, or the part of it that was wanted.
pub struct Selected {
    /// Reads the part.
    pub reader: Box<dyn RecordingReader>,
    /// Where the recordings that were given lie in it.
    pub parts: Vec<Part>,
    /// First sample of the part in the whole recording.
    pub first_sample: u64,
    /// Channels of the whole recording.
    pub n_channels_whole: usize,
    /// Rows of the part's channels in the whole recording.
    pub rows: Vec<usize>,
}

/// Opens one recording or several as one, and takes a part of it.
///
/// A probe may wire fewer channels than the recording has when `selection` leaves out the others.
///
/// # Errors
/// When opening fails, the range is empty or outside of the recording, or a channel is not there.
///
/// # Panics
/// When no path is given.
pub fn open_selected(
    paths: &[PathBuf],
    options: &OpenOptions,
    selection: &Selection,
) -> Result<Selected, IoError> {
    let (whole, given_probe) = open_whole(paths, options, selection)?;
    let (reader, parts) = whole;
    let description = reader.description();
    let n_channels_whole = description.n_channels;
    let rows = match &selection.channels {
        None => (0..n_channels_whole).collect(),
        Some(text) => {
            let probe = given_probe.as_ref().map(|(probe, _)| probe);
            channel_rows(text, description, probe.or(description.probe.as_ref()))?
        }
    };
    let (first, end) = sample_range(description, selection)?;
    let is_all = rows.len() == n_channels_whole && (first, end) == (0, description.n_samples);
    if is_all && given_probe.is_none() {
        return Ok(Selected {
            reader,
            parts,
            first_sample: 0,
            n_channels_whole,
            rows,
        });
    }
    let mut selected = describe(description, &rows, first, end);
    if let Some((probe, path)) = given_probe {
        let probe = probe_of_rows(&probe, &rows);
        probe.validate(rows.len(), &path)?;
        selected.probe = Some(probe);
        if !selected.paths.contains(&path) {
            selected.paths.push(path);
        }
    }
    let parts = parts
        .iter()
        .filter_map(|part| cut_part(part, first, end))
        .collect();
    let reader = SelectedReader {
        columns: (rows.len() < n_channels_whole).then(|| rows.clone()),
        description: selected,
        first_sample: first,
        whole: reader,
    };
    Ok(Selected {
        reader: Box::new(reader),
        parts,
        first_sample: first,
        n_channels_whole,
        rows,
    })
}

/// A reader and where each recording lies in it.
type Whole = (Box<dyn RecordingReader>, Vec<Part>);

/// Opens the whole, without the probe where it does not fit the whole; it is then given back.
fn open_whole(
    paths: &[PathBuf],
    options: &OpenOptions,
    selection: &Selection,
) -> Result<(Whole, Option<(Probe, PathBuf)>), IoError> {
    match (open_joined(paths, options), &options.probe) {
        (Err(IoError::ProbeMismatch { .. }), Some(path)) if selection.channels.is_some() => {
            let without = OpenOptions {
                probe: None,
                ..options.clone()
            };
            let whole = open_joined(paths, &without)?;
            Ok((whole, Some((probe::read(path)?, path.clone()))))
        }
        (whole, _) => Ok((whole?, None)),
    }
}

/// First and one past the last sample of the wanted time.
fn sample_range(
    description: &RecordingDescription,
    selection: &Selection,
) -> Result<(u64, u64), IoError> {
    let rate = description.sampling_frequency_hz;
    let bad = |option: &str, seconds: f64, what: &str| {
        Err(IoError::BadSelection {
            what: format!("`{option} {seconds}` {what}"),
            hint: format!(
                "the recording lasts {:.3} s, pauses not counted",
                description.duration_s()
            ),
        })
    };
    let sample = |option: &str, seconds: f64| {
        if !seconds.is_finite() || seconds < 0.0 {
            return bad(option, seconds, "is not a time, 0 or more").map(|()| 0);
        }
        // A float beyond the range of whole numbers becomes the largest, which is beyond any recording.
        let sample = (seconds * rate).round() as u64;
        if sample > description.n_samples {
            return bad(option, seconds, "is beyond the end of the recording").map(|()| 0);
        }
        Ok(sample)
    };
    let first = selection
        .start_s
        .map_or(Ok(0), |seconds| sample("--start-s", seconds))?;
    let end = selection
        .end_s
        .map_or(Ok(description.n_samples), |seconds| {
            sample("--end-s", seconds)
        })?;
    if first >= end && (selection.start_s.is_some() || selection.end_s.is_some()) {
        let (start_s, end_s) = (first as f64 / rate, end as f64 / rate);
        return bad(
            "--start-s",
            start_s,
            &format!("leaves nothing before the end at {end_s} s"),
        )
        .map(|()| (0, 0));
    }
    Ok((first, end))
}

/// The rows that a list of channels means, ascending.
///
/// # Errors
/// When a part of the list is no channel of the recording, or nothing is left.
pub fn channel_rows(
    text: &str,
    description: &RecordingDescription,
    probe: Option<&Probe>,
) -> Result<Vec<usize>, IoError> {
    let n_channels = description.n_channels;
    let bad = |what: String| IoError::BadSelection {
        what,
        hint: format!(
            "give rows from 0 to {}, names as `{}`, ranges of them, or `{WIRED}`, separated by commas",
            n_channels - 1,
            description.channel_ids[0]
        ),
    };
    let row_of = |word: &str| {
        // A number is a row: names that are numbers mostly count from 1, and would then mean two things.
        match word.parse::<usize>() {
            Ok(row) => Some(row).filter(|&row| row < n_channels),
            Err(_) => description.channel_ids.iter().position(|id| id == word),
        }
    };
    let mut is_wanted = vec![false; n_channels];
    for part in text.split(',').map(str::trim) {
        if part == WIRED {
            let probe = probe.ok_or_else(|| {
                bad(format!(
                    "`--channels {WIRED}` needs a probe, and there is none"
                ))
            })?;
            for contact in &probe.contacts {
                if let Some(wanted) = is_wanted.get_mut(contact.channel) {
                    *wanted = true;
                }
            }
            continue;
        }
        let range = match row_of(part) {
            Some(row) => row..=row,
            None => part
                .match_indices('-')
                // Names may have a `-` of their own: each is tried as the middle.
                .find_map(|(at, _)| {
                    Some(row_of(part[..at].trim())?..=row_of(part[at + 1..].trim())?)
                })
                .ok_or_else(|| {
                    bad(format!(
                        "`{part}` is no channel of the recording and no range of them"
                    ))
                })?,
        };
        if range.is_empty() {
            return Err(bad(format!("the range `{part}` runs backwards")));
        }
        is_wanted[range].fill(true);
    }
    let rows: Vec<usize> = (0..n_channels).filter(|&row| is_wanted[row]).collect();
    if rows.is_empty() {
        return Err(bad(format!("`--channels {text}` leaves no channel")));
    }
    Ok(rows)
}

/// The contacts of some rows, wired to their places among these.
fn probe_of_rows(probe: &Probe, rows: &[usize]) -> Probe {
    let place = |channel: &usize| rows.binary_search(channel).ok();
    let contacts = probe.contacts.iter().filter_map(|contact| {
        Some(Contact {
            channel: place(&contact.channel)?,
            ..contact.clone()
        })
    });
    let left_out = probe
        .contacts
        .iter()
        .filter(|contact| place(&contact.channel).is_none())
        .map(UnwiredContact::from);
    let mut part = Probe::new(contacts.collect(), probe.name.clone());
    part.unwired = probe.unwired.iter().copied().chain(left_out).collect();
    part.unused_channels = probe.unused_channels.iter().filter_map(place).collect();
    part
}

/// The description of the part.
fn describe(
    whole: &RecordingDescription,
    rows: &[usize],
    first: u64,
    end: u64,
) -> RecordingDescription {
    let rate = whole.sampling_frequency_hz;
    let segments = whole.segments.iter().filter_map(|segment| {
        let start = segment.start_sample.max(first);
        let stop = (segment.start_sample + segment.n_samples).min(end);
        (start < stop).then(|| Segment {
            start_sample: start - first,
            n_samples: stop - start,
            start_time_s: segment.start_time_s + (start - segment.start_sample) as f64 / rate,
        })
    });
    let raw = whole.raw.clone().and_then(|mut raw| {
        let sample_bytes = StoredFormat::from_numpy_name(&raw.dtype)?.size_bytes();
        raw.offset_bytes += first * (raw.n_channels * sample_bytes) as u64;
        raw.columns = rows
            .iter()
            .map(|&row| raw.columns.get(row).copied())
            .collect::<Option<_>>()?;
        Some(raw)
    });
    let of_rows = |values: &[f32]| rows.iter().map(|&row| values[row]).collect::<Vec<f32>>();
    RecordingDescription {
        format: whole.format,
        paths: whole.paths.clone(),
        sampling_frequency_hz: rate,
        n_samples: end - first,
        n_channels: rows.len(),
        sample_type: whole.sample_type,
        gains_uv: of_rows(&whole.gains_uv),
        offsets_uv: of_rows(&whole.offsets_uv),
        channel_ids: rows
            .iter()
            .map(|&row| whole.channel_ids[row].clone())
            .collect(),
        segments: segments.collect(),
        sample_delay: whole.sample_delay.as_deref().map(of_rows),
        probe: whole.probe.as_ref().map(|probe| probe_of_rows(probe, rows)),
        raw,
        warnings: whole.warnings.clone(),
    }
}

/// What a range leaves of one of several recordings.
fn cut_part(part: &Part, first: u64, end: u64) -> Option<Part> {
    let start = part.start_sample.max(first);
    let stop = (part.start_sample + part.n_samples).min(end);
    (start < stop).then(|| Part {
        path: part.path.clone(),
        start_sample: start - first,
        n_samples: stop - start,
    })
}

/// Reads a part of a recording.
struct SelectedReader {
    whole: Box<dyn RecordingReader>,
    description: RecordingDescription,
    first_sample: u64,
    /// Rows to deliver; `None` for all.
    columns: Option<Vec<usize>>,
}

impl RecordingReader for SelectedReader {
    fn description(&self) -> &RecordingDescription {
        &self.description
    }

    fn read(&self, start_sample: u64, out: &mut [u8]) -> Result<(), IoError> {
        self.description.check_range(start_sample, out.len())?;
        let mut at = self.first_sample + start_sample;
        let Some(columns) = &self.columns else {
            return self.whole.read(at, out);
        };
        let sample_bytes = self.description.sample_type.size_bytes();
        let (frame_bytes, whole_bytes) = (
            self.description.frame_bytes(),
            self.whole.description().frame_bytes(),
        );
        let frames_at_once = (BLOCK_BYTES / whole_bytes).max(1);
        let mut block = Vec::new();
        for out in out.chunks_mut(frames_at_once * frame_bytes) {
            let n_frames = out.len() / frame_bytes;
            block.resize(n_frames * whole_bytes, 0);
            self.whole.read(at, &mut block)?;
            for (frame, out) in block
                .chunks_exact(whole_bytes)
                .zip(out.chunks_exact_mut(frame_bytes))
            {
                for (&column, out) in columns.iter().zip(out.chunks_exact_mut(sample_bytes)) {
                    out.copy_from_slice(&frame[column * sample_bytes..][..sample_bytes]);
                }
            }
            at += n_frames as u64;
        }
        Ok(())
    }
}
