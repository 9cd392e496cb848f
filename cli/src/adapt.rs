//! Readers as the engine wants them: the only place where files and stages meet.

use std::{path::Path, sync::Arc};

use somata_engine::recording::{Contact, ReadError, Recording, RecordingInfo, SampleType, Segment};
use somata_io::{
    checksum::sampled_fingerprint,
    recording::{self, OpenOptions, RecordingDescription, RecordingReader},
};

use crate::exit::{ExitCode, Failure, Outcome};

/// An open file as the engine's recording.
pub struct OpenRecording {
    reader: Box<dyn RecordingReader>,
    info: RecordingInfo,
}

impl OpenRecording {
    /// Opens a recording of any format, with a probe.
    ///
    /// # Errors
    /// When it cannot be read or has no probe.
    pub fn open(path: &Path, options: &OpenOptions) -> Outcome<Arc<Self>> {
        let reader = recording::open(path, options)?;
        let description = reader.description();
        let Some(probe) = &description.probe else {
            return Err(Failure::new(
                ExitCode::Input,
                format!(
                    "`{}` does not say where its {} contacts are",
                    path.display(),
                    description.n_channels
                ),
            )
            .hint(
                "give a probe with `--probe FILE` (probeinterface JSON, or a Blackrock `.cmp` map)",
            ));
        };
        if let Some(c) = (0..description.n_channels).find(|&c| {
            !description.gains_uv[c].is_finite() || !description.offsets_uv[c].is_finite()
        }) {
            return Err(Failure::new(
                ExitCode::Input,
                format!(
                    "channel {c} of `{}` has a gain or offset that is not finite",
                    path.display()
                ),
            )
            .hint("repair the gains in the recording's header, or give `--gain-uv`"));
        }
        let mut identity = serde_json::to_string(&probe_identity(description)).expect("plain data");
        for file in &description.paths {
            identity.push_str(&sampled_fingerprint(file)?);
        }
        let info = RecordingInfo {
            sampling_frequency_hz: description.sampling_frequency_hz,
            n_samples: description.n_samples,
            segments: description
                .segments
                .iter()
                .filter(|segment| segment.n_samples > 0)
                .map(|segment| Segment {
                    start: segment.start_sample,
                    n_samples: segment.n_samples,
                })
                .collect(),
            sample_type: match description.sample_type {
                recording::SampleType::I16 => SampleType::I16,
                recording::SampleType::U16 => SampleType::U16,
                recording::SampleType::I32 => SampleType::I32,
                recording::SampleType::F32 => SampleType::F32,
            },
            gains_uv: description.gains_uv.clone(),
            offsets_uv: description.offsets_uv.clone(),
            sample_delay: description.sample_delay.clone(),
            contacts: probe
                .contacts
                .iter()
                .map(|contact| Contact {
                    x_um: contact.x_um,
                    y_um: contact.y_um,
                    shank: contact.shank,
                })
                .collect(),
            identity,
        };
        Ok(Arc::new(Self { reader, info }))
    }

    /// What the reader knows.
    pub fn description(&self) -> &RecordingDescription {
        self.reader.description()
    }
}

/// What, beside the files' bytes, makes this input what it is.
fn probe_identity(description: &RecordingDescription) -> impl serde::Serialize {
    let contacts: Vec<(f64, f64, usize, usize)> = description
        .probe
        .iter()
        .flat_map(|probe| &probe.contacts)
        .map(|contact| (contact.x_um, contact.y_um, contact.shank, contact.channel))
        .collect();
    (
        description.sampling_frequency_hz,
        description.n_channels,
        description.gains_uv.clone(),
        description.offsets_uv.clone(),
        contacts,
        description.sample_type.numpy_name(),
        description.n_samples,
        description.sample_delay.clone(),
        description
            .segments
            .iter()
            .map(|segment| (segment.start_sample, segment.n_samples))
            .collect::<Vec<_>>(),
        description.raw.as_ref().map(|raw| {
            (
                raw.offset_bytes,
                raw.n_channels,
                raw.dtype.clone(),
                raw.columns.clone(),
            )
        }),
    )
}

impl Recording for OpenRecording {
    fn info(&self) -> &RecordingInfo {
        &self.info
    }
    fn read(&self, start: u64, frames: &mut [u8]) -> Result<(), ReadError> {
        self.reader.read(start, frames).map_err(|error| ReadError {
            message: error.to_string(),
            source: Some(Box::new(error)),
        })
    }
}
