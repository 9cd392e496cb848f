//! A simulated recording as the engine reads it: tests need no file.

use somata_engine::recording::{Contact, ReadError, Recording, RecordingInfo, SampleType, Segment};

use super::recording::SimulatedRecording;

/// Simulated data, made when they are read.
pub struct SimulatedSource {
    recording: SimulatedRecording,
    info: RecordingInfo,
}

impl SimulatedSource {
    /// Wraps a simulated recording.
    pub fn new(recording: SimulatedRecording) -> Self {
        let n_samples = recording.n_samples();
        let contacts = recording
            .positions_um()
            .iter()
            .zip(recording.shanks())
            .map(|(&[x_um, y_um], &shank)| Contact { x_um, y_um, shank })
            .collect();
        let info = RecordingInfo {
            sampling_frequency_hz: recording.spec().sampling_frequency_hz,
            n_samples,
            segments: vec![Segment {
                start: 0,
                n_samples,
            }],
            sample_type: SampleType::I16,
            gains_uv: vec![recording.gain_uv() as f32; recording.n_channels()],
            offsets_uv: vec![0.0; recording.n_channels()],
            sample_delay: None,
            contacts,
            identity: format!("{:?}", recording.spec()),
        };
        Self { recording, info }
    }

    /// The simulated recording, with its truth.
    pub fn simulated(&self) -> &SimulatedRecording {
        &self.recording
    }
}

impl Recording for SimulatedSource {
    fn info(&self) -> &RecordingInfo {
        &self.info
    }
    fn read(&self, start: u64, frames: &mut [u8]) -> Result<(), ReadError> {
        let mut samples = vec![0i16; frames.len() / 2];
        self.recording.read(start, &mut samples);
        frames.copy_from_slice(bytemuck::cast_slice(&samples));
        Ok(())
    }
}
