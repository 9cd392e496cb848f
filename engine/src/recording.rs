//! What the engine asks of a recording. File formats live elsewhere and implement this.

use std::sync::Arc;

/// Sample type of raw frames.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SampleType {
    /// Signed 16 bits.
    I16,
    /// Unsigned 16 bits.
    U16,
    /// Signed 32 bits.
    I32,
    /// 32-bit float.
    F32,
}

impl SampleType {
    /// Bytes of one sample.
    pub fn size_bytes(self) -> usize {
        match self {
            SampleType::I16 | SampleType::U16 => 2,
            SampleType::I32 | SampleType::F32 => 4,
        }
    }
    /// The code that `decode_samples` takes.
    pub(crate) fn code(self) -> u32 {
        self as u32
    }
}

/// Samples that were recorded without a pause.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Segment {
    /// First sample, counted over all segments.
    pub start: u64,
    /// Samples in the segment.
    pub n_samples: u64,
}

/// A contact of the probe that a channel records.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contact {
    /// Position across the shank, µm.
    pub x_um: f64,
    /// Position along the shank, µm.
    pub y_um: f64,
    /// Shank.
    pub shank: usize,
}

/// What is known of a recording before a sample is read.
#[derive(Clone, Debug)]
pub struct RecordingInfo {
    /// Samples a second.
    pub sampling_frequency_hz: f64,
    /// Samples of all segments together.
    pub n_samples: u64,
    /// Stretches without a pause, in order, covering all samples.
    pub segments: Vec<Segment>,
    /// Sample type of the frames that [`Recording::read`] gives.
    pub sample_type: SampleType,
    /// µV of one unit of the sample type, `[channel]`.
    pub gains_uv: Vec<f32>,
    /// µV of the sample value 0, `[channel]`.
    pub offsets_uv: Vec<f32>,
    /// When each channel is sampled, in sample periods after the frame's time; `None` when all at once.
    pub sample_delay: Option<Vec<f32>>,
    /// Where each channel's contact is, `[channel]`.
    pub contacts: Vec<Contact>,
    /// Identifies the input: a change means another recording.
    pub identity: String,
}

impl RecordingInfo {
    /// Channels of a frame.
    pub fn n_channels(&self) -> usize {
        self.gains_uv.len()
    }
    /// Bytes of a frame.
    pub fn frame_bytes(&self) -> usize {
        self.n_channels() * self.sample_type.size_bytes()
    }
    /// Length in seconds.
    pub fn duration_s(&self) -> f64 {
        self.n_samples as f64 / self.sampling_frequency_hz
    }
}

/// A sample could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ReadError {
    /// What went wrong and where.
    pub message: String,
    /// What the reader's own error was.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Raw extracellular data that can be read anywhere, by several threads.
pub trait Recording: Send + Sync {
    /// What is known of it.
    fn info(&self) -> &RecordingInfo;
    /// Fills `frames` (whole frames, channels interleaved, native byte order) with samples from `start` on.
    ///
    /// # Errors
    /// When the file cannot be read.
    fn read(&self, start: u64, frames: &mut [u8]) -> Result<(), ReadError>;
    /// Looks whether the input is still the one that was opened. A stage's result is only kept after that, so that what was read
    /// of a changed input is never taken up under the name of the old one. An input that is gone cannot be looked at: no error.
    ///
    /// # Errors
    /// When the input was changed.
    fn check_unchanged(&self) -> Result<(), ReadError> {
        Ok(())
    }
}

impl<T: Recording + ?Sized> Recording for Arc<T> {
    fn info(&self) -> &RecordingInfo {
        (**self).info()
    }
    fn read(&self, start: u64, frames: &mut [u8]) -> Result<(), ReadError> {
        (**self).read(start, frames)
    }
    fn check_unchanged(&self) -> Result<(), ReadError> {
        (**self).check_unchanged()
    }
}
