//! Readers as the engine wants them: the only place where files and stages meet.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use somata_engine::{
    imaging::segmentation::NetworkWeights,
    movie::{Movie, MovieInfo, PixelType},
    recording::{Contact, ReadError, Recording, RecordingInfo, SampleType, Segment},
};
use somata_io::{
    IoError,
    checksum::{fingerprint_of_files, sampled_fingerprint, total_bytes},
    movie::{self, MovieDescription, MovieOptions, MovieReader},
    probe::Probe,
    recording::{
        self, RecordingDescription,
        selection::{Selected, open_selected},
    },
    weights::Weights,
};

use crate::commands::sort::InputArguments;
use crate::exit::{ExitCode, Failure, Outcome};

/// A file of the input as it was when it was opened.
pub struct InputFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// [`sampled_fingerprint`] of it.
    pub fingerprint: String,
}

impl InputFile {
    fn of(path: &Path) -> Outcome<Self> {
        let fingerprint = sampled_fingerprint(path)?;
        Ok(Self {
            path: path.to_owned(),
            bytes: total_bytes(path)?,
            fingerprint,
        })
    }
}

/// What looking at an input again says: gone is not changed.
fn same(path: &Path, then: &str, now: Result<String, IoError>) -> Result<(), ReadError> {
    if now.is_ok_and(|now| now != then) {
        return Err(read_error(IoError::Changed {
            path: path.to_owned(),
        }));
    }
    Ok(())
}

fn read_error(error: IoError) -> ReadError {
    ReadError {
        message: error.to_string(),
        source: Some(Box::new(error)),
    }
}

/// A warning where inputs are gone when all has been read.
fn warning_of_gone(paths: &[PathBuf]) -> Option<String> {
    let gone = paths.iter().find(|path| !path.exists())?;
    Some(format!(
        "`{}` was removed during the run, after it was opened",
        gone.display()
    ))
}

/// What the engine knows of a recording before a sample is read.
pub fn recording_info(
    description: &RecordingDescription,
    probe: &Probe,
    identity: String,
) -> RecordingInfo {
    RecordingInfo {
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
    }
}

/// An open file as the engine's recording.
pub struct OpenRecording {
    selected: Selected,
    info: RecordingInfo,
    files: Vec<InputFile>,
}

impl OpenRecording {
    /// Opens recordings of any format as one, with a probe, or the part of it that is wanted.
    ///
    /// # Errors
    /// When it cannot be read or has no probe.
    pub fn open(paths: &[PathBuf], input: &InputArguments) -> Outcome<Arc<Self>> {
        let path = &paths[0];
        let selected = open_selected(paths, &input.open_options(), &input.selection())?;
        let description = selected.reader.description();
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
                "give a probe with `--probe FILE` (probeinterface JSON, Kilosort's `chanMap.mat`, `.prb`, `.imro` or a Blackrock `.cmp` map)",
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
        let part = (
            selected.first_sample,
            &selected.rows,
            &description.channel_ids,
            // Streams of one file can be alike in all but their samples.
            &input.stream,
        );
        let mut identity =
            serde_json::to_string(&(probe_identity(description), part)).expect("plain data");
        let files: Vec<InputFile> = description
            .paths
            .iter()
            .map(|path| InputFile::of(path))
            .collect::<Outcome<_>>()?;
        for file in &files {
            identity.push_str(&file.fingerprint);
        }
        let info = recording_info(description, probe, identity);
        Ok(Arc::new(Self {
            selected,
            info,
            files,
        }))
    }

    /// Fingerprint of the files, the probe and how they are read, as 64 hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        blake3::hash(self.info.identity.as_bytes())
            .to_hex()
            .to_string()
    }

    /// A warning where a file is gone.
    pub fn warning_of_gone(&self) -> Option<String> {
        warning_of_gone(&self.description().paths)
    }

    /// The files, as they were when they were opened.
    pub fn files(&self) -> &[InputFile] {
        &self.files
    }

    /// What the reader knows.
    pub fn description(&self) -> &RecordingDescription {
        self.selected.reader.description()
    }

    /// Where the part that is read lies in what was given.
    pub fn selected(&self) -> &Selected {
        &self.selected
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
        self.selected.reader.read(start, frames).map_err(read_error)
    }
    fn check_unchanged(&self) -> Result<(), ReadError> {
        self.files.iter().try_for_each(|file| {
            let now = sampled_fingerprint(&file.path);
            same(&file.path, &file.fingerprint, now)
        })
    }
}

/// Open files as the engine's movie.
pub struct OpenMovie {
    reader: Box<dyn MovieReader>,
    info: MovieInfo,
    /// Of the files, when they were opened.
    fingerprint: String,
}

impl OpenMovie {
    /// Opens a movie.
    ///
    /// # Errors
    /// When it cannot be read or nothing says its frame rate.
    pub fn open(paths: &[PathBuf], options: &MovieOptions) -> Outcome<Self> {
        let reader = movie::open(paths, options)?;
        let d = reader.description();
        let Some(frame_rate_hz) = d.frame_rate_hz else {
            return Err(Failure::new(
                ExitCode::Input,
                format!("`{}` does not say its frame rate", paths[0].display()),
            )
            .hint("give it with `--frame-rate HZ` (of one plane)"));
        };
        let info = MovieInfo {
            height: d.height,
            width: d.width,
            n_frames: usize::try_from(d.n_frames).unwrap_or(usize::MAX),
            n_planes: d.n_planes,
            n_channels: d.n_channels,
            frame_rate_hz,
            pixel_type: match d.pixel_type {
                movie::PixelType::U8 => PixelType::U8,
                movie::PixelType::I8 => PixelType::I8,
                movie::PixelType::U16 => PixelType::U16,
                movie::PixelType::I16 => PixelType::I16,
                movie::PixelType::U32 => PixelType::U32,
                movie::PixelType::I32 => PixelType::I32,
                // Narrowed as it is read: the kernels know no 64 bits.
                movie::PixelType::F32 | movie::PixelType::F64 => PixelType::F32,
            },
            identity: d.identity.clone(),
        };
        let fingerprint = fingerprint_of_files(&d.paths)?;
        Ok(Self {
            reader,
            info,
            fingerprint,
        })
    }

    /// A warning where a file is gone.
    pub fn warning_of_gone(&self) -> Option<String> {
        warning_of_gone(&self.description().paths)
    }

    /// What the reader knows.
    pub fn description(&self) -> &MovieDescription {
        self.reader.description()
    }
}

impl Movie for OpenMovie {
    fn info(&self) -> &MovieInfo {
        &self.info
    }

    fn read(
        &self,
        plane: usize,
        channel: usize,
        start: usize,
        frames: &mut [u8],
    ) -> Result<(), ReadError> {
        if self.description().pixel_type != movie::PixelType::F64 {
            return self
                .reader
                .read(plane, channel, start as u64, frames)
                .map_err(read_error);
        }
        let mut wide = vec![0u8; 2 * frames.len()];
        self.reader
            .read(plane, channel, start as u64, &mut wide)
            .map_err(read_error)?;
        let pairs = wide.as_chunks::<8>().0.iter();
        for (narrow, wide) in frames.as_chunks_mut::<4>().0.iter_mut().zip(pairs) {
            *narrow = (f64::from_ne_bytes(*wide) as f32).to_ne_bytes();
        }
        Ok(())
    }

    fn check_unchanged(&self) -> Result<(), ReadError> {
        let paths = &self.description().paths;
        same(&paths[0], &self.fingerprint, fingerprint_of_files(paths))
    }
}

/// The weights that the program carries.
const DEFAULT_WEIGHTS: &[u8] = include_bytes!("../../engine/weights/somata_cpnet.safetensors");

/// Weights of the network, from a file or those that the program carries, and what identifies them.
///
/// # Errors
/// When the file cannot be read.
pub fn network_weights(path: Option<&Path>) -> Outcome<(NetworkWeights, String)> {
    let (weights, identity) = match path {
        Some(path) => (Weights::read(path)?, sampled_fingerprint(path)?),
        None => (
            Weights::from_bytes("the program's own weights", DEFAULT_WEIGHTS)?,
            blake3::hash(DEFAULT_WEIGHTS).to_hex().to_string(),
        ),
    };
    let mut tensors = std::collections::BTreeMap::new();
    for name in weights.names() {
        let tensor = weights.tensor(name)?;
        tensors.insert(
            name.to_owned(),
            (tensor.shape.clone(), tensor.values.clone()),
        );
    }
    let network = NetworkWeights {
        tensors,
        metadata: weights.metadata().clone(),
        source: weights.source().display().to_string(),
    };
    Ok((network, identity))
}
