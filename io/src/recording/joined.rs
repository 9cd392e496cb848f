//! Several recordings read as one, in the order that the user gives.
//!
//! They must have the same channels at the same rate. Each begins a segment of its own, so that nothing is filtered or sorted across
//! a boundary; its times stay those of its own clock.

use std::path::{Path, PathBuf};

use super::{OpenOptions, RecordingDescription, RecordingReader, Segment, open};
use crate::error::{IoError, name_of};

/// Where one of several recordings lies in the whole.
#[derive(Clone, PartialEq, Debug)]
pub struct Part {
    /// The path that was given.
    pub path: PathBuf,
    /// Its first sample in the whole.
    pub start_sample: u64,
    /// Its length in samples.
    pub n_samples: u64,
}

/// Recordings one after the other.
struct JoinedReader {
    readers: Vec<Box<dyn RecordingReader>>,
    starts: Vec<u64>,
    description: RecordingDescription,
}

/// Opens recordings as one, and says where each lies in it.
///
/// # Errors
/// When one cannot be opened, or does not fit the first.
///
/// # Panics
/// When no path is given.
pub fn open_joined(
    paths: &[PathBuf],
    options: &OpenOptions,
) -> Result<(Box<dyn RecordingReader>, Vec<Part>), IoError> {
    let mut readers = Vec::new();
    let mut parts: Vec<Part> = Vec::new();
    for path in paths {
        let reader = open(path, options)?;
        let n_samples = reader.description().n_samples;
        let start_sample = parts
            .last()
            .map_or(0, |part| part.start_sample + part.n_samples);
        parts.push(Part {
            path: path.clone(),
            start_sample,
            n_samples,
        });
        readers.push(reader);
    }
    if readers.len() == 1 {
        return Ok((readers.remove(0), parts));
    }
    let description = join(&readers, &parts)?;
    let starts = parts.iter().map(|part| part.start_sample).collect();
    let joined = JoinedReader {
        readers,
        starts,
        description,
    };
    Ok((Box::new(joined), parts))
}

/// The description of the whole.
fn join(
    readers: &[Box<dyn RecordingReader>],
    parts: &[Part],
) -> Result<RecordingDescription, IoError> {
    let first = readers[0].description();
    let mut whole = first.clone();
    whole.raw = None;
    whole.paths.clear();
    whole.segments.clear();
    let mut warnings: Vec<(String, usize)> = Vec::new();
    for (reader, part) in readers.iter().zip(parts) {
        let description = reader.description();
        check_fit(&part.path, description, &parts[0].path, first)?;
        for path in &description.paths {
            if !whole.paths.contains(path) {
                whole.paths.push(path.clone());
            }
        }
        whole
            .segments
            .extend(description.segments.iter().map(|segment| Segment {
                start_sample: part.start_sample + segment.start_sample,
                ..*segment
            }));
        for warning in &description.warnings {
            match warnings.iter_mut().find(|(known, _)| known == warning) {
                Some((_, count)) => *count += 1,
                None => warnings.push((warning.clone(), 1)),
            }
        }
    }
    whole.n_samples = parts.iter().map(|part| part.n_samples).sum();
    // What all of them say is said once.
    let told = |(warning, count): (String, usize)| {
        if count == parts.len() {
            warning
        } else {
            format!("in {count} of {} recordings: {warning}", parts.len())
        }
    };
    whole.warnings = warnings.into_iter().map(told).collect();
    if readers
        .iter()
        .any(|reader| reader.description().format != first.format)
    {
        whole.format = "mixed formats";
    }
    Ok(whole)
}

/// Makes sure that a recording can follow the first one.
fn check_fit(
    path: &Path,
    found: &RecordingDescription,
    first_path: &Path,
    first: &RecordingDescription,
) -> Result<(), IoError> {
    let differ = |key: &str, value: String, expected: String| {
        let expected = format!("{expected}, as in `{}`", name_of(first_path));
        Err(IoError::DoesNotJoin {
            path: path.to_owned(),
            what: format!("{key} is {value}, expected {expected}"),
        })
    };
    if found.sampling_frequency_hz != first.sampling_frequency_hz {
        let hz = |description: &RecordingDescription| {
            format!("{} Hz", description.sampling_frequency_hz)
        };
        return differ("the sampling frequency", hz(found), hz(first));
    }
    if found.n_channels != first.n_channels {
        return differ(
            "the number of channels",
            found.n_channels.to_string(),
            first.n_channels.to_string(),
        );
    }
    if found.sample_type != first.sample_type {
        let name =
            |description: &RecordingDescription| description.sample_type.numpy_name().to_owned();
        return differ("the sample type", name(found), name(first));
    }
    for channel in 0..first.n_channels {
        let (id, expected) = (&found.channel_ids[channel], &first.channel_ids[channel]);
        if id != expected {
            return differ(
                &format!("the name of channel {channel}"),
                format!("`{id}`"),
                format!("`{expected}`"),
            );
        }
        for (key, values, expected) in [
            ("the gain", &found.gains_uv, &first.gains_uv),
            ("the offset", &found.offsets_uv, &first.offsets_uv),
        ] {
            if values[channel] != expected[channel] {
                let uv = |value: f32| format!("{value} µV");
                return differ(
                    &format!("{key} of channel `{id}`"),
                    uv(values[channel]),
                    uv(expected[channel]),
                );
            }
        }
    }
    let places = |description: &RecordingDescription| {
        description.probe.as_ref().map(|probe| {
            let place = |contact: &crate::probe::Contact| {
                (contact.channel, contact.x_um, contact.y_um, contact.shank)
            };
            probe.contacts.iter().map(place).collect::<Vec<_>>()
        })
    };
    if places(found) != places(first) {
        return differ(
            "the probe",
            "another".to_owned(),
            "equal places of the contacts".to_owned(),
        );
    }
    if found.sample_delay != first.sample_delay {
        return differ(
            "when channels are sampled",
            "another".to_owned(),
            "equal delays".to_owned(),
        );
    }
    Ok(())
}

impl RecordingReader for JoinedReader {
    fn description(&self) -> &RecordingDescription {
        &self.description
    }

    fn read(&self, start_sample: u64, out: &mut [u8]) -> Result<(), IoError> {
        self.description.check_range(start_sample, out.len())?;
        let frame_bytes = self.description.frame_bytes();
        let (mut at, mut rest) = (start_sample, out);
        while !rest.is_empty() {
            // The last one that begins at or before this sample: empty recordings share their start with the next.
            let index = self.starts.partition_point(|&start| start <= at) - 1;
            let first = at - self.starts[index];
            let n_samples = self.readers[index].description().n_samples;
            let n_here = (n_samples - first).min((rest.len() / frame_bytes) as u64);
            let (here, after) = rest.split_at_mut(n_here as usize * frame_bytes);
            self.readers[index].read(first, here)?;
            (at, rest) = (at + n_here, after);
        }
        Ok(())
    }
}
