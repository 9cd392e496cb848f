//! What every format finds out, and the reader behind formats whose samples are not flat.

use std::path::PathBuf;

use super::{OpenOptions, RawLayout, RecordingDescription, RecordingReader, SampleType, Segment};
use crate::error::IoError;
use crate::probe::Probe;

/// What a format found out, wherever its samples lie; [`Facts::describe`] checks and completes it.
pub(crate) struct Facts {
    pub format: &'static str,
    /// Files that were read, samples first; at least one.
    pub paths: Vec<PathBuf>,
    pub sampling_frequency_hz: f64,
    pub sample_type: SampleType,
    pub channel_ids: Vec<String>,
    pub gains_uv: Vec<f32>,
    pub offsets_uv: Vec<f32>,
    /// Stretches without pause, one after the other.
    pub segments: Vec<Segment>,
    pub sample_delay: Option<Vec<f32>>,
    /// The probe and the file that it came from.
    pub probe: Option<(Probe, PathBuf)>,
    pub raw: Option<RawLayout>,
    pub warnings: Vec<String>,
}

impl Facts {
    /// Applies the options that hold for every format, and checks the whole.
    pub fn describe(mut self, options: &OpenOptions) -> Result<RecordingDescription, IoError> {
        let n_channels = self.channel_ids.len();
        let main_path = self.paths[0].clone();
        if let Some(gain_uv) = options.gain_uv {
            self.gains_uv = vec![gain_uv as f32; n_channels];
        }
        if let Some(offset_uv) = options.offset_uv {
            self.offsets_uv = vec![offset_uv as f32; n_channels];
        }
        if let Some(rate) = options.sampling_frequency_hz {
            self.sampling_frequency_hz = rate;
        }
        if let Some((_, path)) = &self.probe
            && !self.paths.contains(path)
        {
            self.paths.push(path.clone());
        }
        let n_samples = self
            .segments
            .last()
            .map_or(0, |segment| segment.start_sample + segment.n_samples);
        let probe_path = self
            .probe
            .as_ref()
            .map_or_else(|| main_path.clone(), |(_, path)| path.clone());
        let mut description = RecordingDescription {
            format: self.format,
            paths: self.paths,
            sampling_frequency_hz: self.sampling_frequency_hz,
            n_samples,
            n_channels,
            sample_type: self.sample_type,
            gains_uv: self.gains_uv,
            offsets_uv: self.offsets_uv,
            channel_ids: self.channel_ids,
            segments: self.segments,
            sample_delay: self.sample_delay,
            probe: None,
            raw: self.raw,
            warnings: self.warnings,
        };
        description.validate(&main_path)?;
        description.probe = self.probe.map(|(probe, _)| probe);
        description.validate(&probe_path)?;
        Ok(description)
    }
}

/// Samples by position, in whatever way a format stores them.
pub(crate) trait Source: Send + Sync {
    /// Fills `out` with whole frames from `start_sample` on, which are known to be there.
    fn read(&self, start_sample: u64, out: &mut [u8]) -> Result<(), IoError>;
}

/// A reader of a described source.
pub(crate) struct SourceReader<S> {
    description: RecordingDescription,
    source: S,
}

impl<S: Source> SourceReader<S> {
    /// A reader of `source`, which `description` describes.
    pub fn new(description: RecordingDescription, source: S) -> SourceReader<S> {
        SourceReader {
            description,
            source,
        }
    }
}

impl<S: Source> RecordingReader for SourceReader<S> {
    fn description(&self) -> &RecordingDescription {
        &self.description
    }

    fn read(&self, start_sample: u64, out: &mut [u8]) -> Result<(), IoError> {
        self.description.check_range(start_sample, out.len())?;
        self.source.read(start_sample, out)
    }
}
