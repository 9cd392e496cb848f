//! Recordings: what is known about one, and frames of samples by position.
//!
//! [`open`] looks at a path ([`crate::sniff`]) and returns a reader. A reader delivers interleaved frames of the channels that
//! carry neural signals; what else a file holds (a sync word, analog inputs) is left out, and said in the warnings. Samples are
//! as stored: gains and offsets are described, not applied.

pub mod blackrock;
pub(crate) mod channel_files;
pub(crate) mod facts;
pub(crate) mod flat;
pub mod folder;
pub(crate) mod frames;
pub(crate) mod gaps;
pub(crate) mod hdf5_frames;
pub mod intan;
pub mod joined;
pub mod mearec;
pub mod mtscomp;
pub mod nwb;
pub mod nwb_zarr;
pub mod open_ephys;
pub mod raw_binary;
pub mod selection;
pub mod spikeglx;
pub mod spikeinterface_folder;
pub(crate) mod streams;
pub(crate) mod zarr_samples;
pub mod zarr_spikeinterface;

use std::path::{Path, PathBuf};

use crate::error::IoError;
use crate::probe::Probe;
use crate::sniff::{Format, sniff};

/// Sample types that a bare binary file or a JSON description may name (numpy's short forms, as `<i2` or `>f4`, as well).
pub const SUPPORTED_DTYPES: [&str; 7] = [
    "int8", "uint8", "int16", "uint16", "int32", "float32", "float64",
];

/// The type of delivered samples, native-endian.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum SampleType {
    /// 16-bit signed integer.
    I16,
    /// 16-bit unsigned integer.
    U16,
    /// 32-bit signed integer.
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

    /// numpy's name of the type.
    pub fn numpy_name(self) -> &'static str {
        match self {
            SampleType::I16 => "int16",
            SampleType::U16 => "uint16",
            SampleType::I32 => "int32",
            SampleType::F32 => "float32",
        }
    }
}

/// A stretch without pause.
#[derive(Copy, Clone, PartialEq, Debug)]
pub struct Segment {
    /// Where it begins in the concatenated recording.
    pub start_sample: u64,
    /// Its length in samples.
    pub n_samples: u64,
    /// When it begins on the acquisition's own clock, in seconds.
    pub start_time_s: f64,
}

/// Where the samples lie when they are one flat file, for phy's `params.py`.
#[derive(Clone, PartialEq, Debug)]
pub struct RawLayout {
    /// The flat file, absolute where the working directory was known.
    pub path: PathBuf,
    /// Bytes before the first sample.
    pub offset_bytes: u64,
    /// Channels in the file, more than are delivered where some were left out.
    pub n_channels: usize,
    /// numpy's name of the stored type.
    pub dtype: String,
    /// Column in the file of each delivered channel.
    pub columns: Vec<usize>,
}

/// What the largest sample may be, µV. Sorting does not depend on the unit, so a file that errs in it by far is read; but the sums of
/// squares of much larger numbers leave single precision.
const LARGEST_UV: f32 = 1e16;

/// What is known about a recording.
#[derive(Clone, PartialEq, Debug)]
pub struct RecordingDescription {
    /// The format's name.
    pub format: &'static str,
    /// The files that were read, samples first.
    pub paths: Vec<PathBuf>,
    /// Samples a second and channel.
    pub sampling_frequency_hz: f64,
    /// Samples a channel, all segments together.
    pub n_samples: u64,
    /// Delivered channels.
    pub n_channels: usize,
    /// Type of the delivered samples.
    pub sample_type: SampleType,
    /// Microvolts a step, one a delivered channel.
    pub gains_uv: Vec<f32>,
    /// Microvolts at sample value zero, one a delivered channel.
    pub offsets_uv: Vec<f32>,
    /// Names of the delivered channels.
    pub channel_ids: Vec<String>,
    /// Stretches without pause, in order.
    pub segments: Vec<Segment>,
    /// When each channel is sampled, as a fraction of a sample period (multiplexed converters); `None` when simultaneous or unknown.
    pub sample_delay: Option<Vec<f32>>,
    /// Where the contacts are; `None` when nothing said.
    pub probe: Option<Probe>,
    /// Where the samples lie, when they are one flat file.
    pub raw: Option<RawLayout>,
    /// What the user should know to judge the result.
    pub warnings: Vec<String>,
}

impl RecordingDescription {
    /// Bytes of one delivered frame.
    pub fn frame_bytes(&self) -> usize {
        self.n_channels * self.sample_type.size_bytes()
    }

    /// Length in seconds, pauses not counted.
    pub fn duration_s(&self) -> f64 {
        self.n_samples as f64 / self.sampling_frequency_hz
    }

    /// Checks that a buffer of so many bytes holds whole frames, and that they are there from `start_sample` on.
    pub(crate) fn check_range(
        &self,
        start_sample: u64,
        buffer_bytes: usize,
    ) -> Result<(), IoError> {
        let frame_bytes = self.frame_bytes();
        if frame_bytes == 0 || !buffer_bytes.is_multiple_of(frame_bytes) {
            return Err(IoError::BufferNotWholeFrames {
                buffer_bytes,
                frame_bytes,
            });
        }
        let end_sample = start_sample.saturating_add((buffer_bytes / frame_bytes) as u64);
        if end_sample > self.n_samples {
            return Err(IoError::OutOfRange {
                start_sample,
                end_sample,
                n_samples: self.n_samples,
            });
        }
        Ok(())
    }

    /// Checks what every reader promises; `path` is for messages.
    pub(crate) fn validate(&self, path: &Path) -> Result<(), IoError> {
        let rate = self.sampling_frequency_hz;
        if !rate.is_finite() || rate <= 0.0 {
            return Err(IoError::bad_value(
                path,
                "sampling frequency",
                rate,
                "a number of Hz above 0",
            ));
        }
        if self.n_channels == 0 {
            return Err(IoError::bad_value(
                path,
                "number of channels",
                0,
                "at least 1",
            ));
        }
        for (key, values) in [("gain", &self.gains_uv), ("offset", &self.offsets_uv)] {
            if values.len() != self.n_channels {
                let expected = format!("{} numbers, one a channel", self.n_channels);
                return Err(IoError::bad_value(
                    path,
                    key,
                    format!("{} numbers", values.len()),
                    &expected,
                ));
            }
            if let Some(channel) = values.iter().position(|value| !value.is_finite()) {
                let key = format!("{key} of channel {}", self.channel_ids[channel]);
                return Err(IoError::bad_value(
                    path,
                    &key,
                    values[channel],
                    "a finite number of µV",
                ));
            }
        }
        // Floats beyond a bound of their own count as not finite when they are decoded.
        let largest_sample = match self.sample_type {
            SampleType::I16 | SampleType::U16 => 65_535.0,
            SampleType::I32 => 2_147_483_648.0,
            SampleType::F32 => 0.0,
        };
        for (key, values, steps) in [
            ("gain", &self.gains_uv, largest_sample),
            ("offset", &self.offsets_uv, 1.0f32),
        ] {
            if let Some(channel) = values
                .iter()
                .position(|value| value.abs() * steps > LARGEST_UV)
            {
                let key = format!("{key} of channel {}", self.channel_ids[channel]);
                let expected = format!("a number of µV within ±{:.0e}", LARGEST_UV / steps);
                return Err(IoError::bad_value(path, &key, values[channel], &expected));
            }
        }
        if let Some(channel) = self.gains_uv.iter().position(|&gain| gain == 0.0) {
            let key = format!("gain of channel {}", self.channel_ids[channel]);
            return Err(IoError::bad_value(
                path,
                &key,
                0,
                "a number of µV other than 0",
            ));
        }
        if let Some(delays) = &self.sample_delay {
            if delays.len() != self.n_channels {
                let found = format!("{} numbers", delays.len());
                let expected = format!("{} numbers, one a channel", self.n_channels);
                return Err(IoError::bad_value(path, "delay", found, &expected));
            }
            if let Some(channel) = delays.iter().position(|delay| !(0.0..1.0).contains(delay)) {
                let key = format!("delay of channel {}", self.channel_ids[channel]);
                let expected = "a fraction of a sample period, from 0 to below 1";
                return Err(IoError::bad_value(path, &key, delays[channel], expected));
            }
        }
        if let Some(probe) = &self.probe {
            probe.validate(self.n_channels, path)?;
        }
        Ok(())
    }
}

/// Frames of samples by position.
pub trait RecordingReader: Send + Sync {
    /// What is known about the recording.
    fn description(&self) -> &RecordingDescription;

    /// Fills `out` with the frames from `start_sample` on: `[samples, channels]`, interleaved, native-endian, of the
    /// description's sample type. Threads may call it at the same time.
    ///
    /// # Errors
    /// When `out` does not hold whole frames, samples beyond the end are asked for, or the file cannot be read (any more).
    fn read(&self, start_sample: u64, out: &mut [u8]) -> Result<(), IoError>;
}

/// What the user says about a recording; what is `None` is taken from the files.
#[derive(Default, Clone, Debug, PartialEq)]
pub struct OpenOptions {
    /// Samples a second and channel.
    pub sampling_frequency_hz: Option<f64>,
    /// Channels in a bare binary file.
    pub n_channels: Option<usize>,
    /// numpy's name of the sample type of a bare binary file.
    pub dtype: Option<String>,
    /// Microvolts a step, for all channels.
    pub gain_uv: Option<f64>,
    /// Microvolts at sample value zero, for all channels.
    pub offset_uv: Option<f64>,
    /// A probe that replaces the files' own, in any format of [`crate::probe::read`].
    pub probe: Option<PathBuf>,
    /// Header bytes to skip in a bare binary file.
    pub offset_bytes: Option<u64>,
    /// Name of a stream, or a part of it, where a recording has several.
    pub stream: Option<String>,
}

/// Opens the recording at `path`, whatever its format.
///
/// # Errors
/// When nothing there is a recording that somata knows, or it is damaged; see [`IoError`].
///
/// # Examples
/// ```no_run
/// use somata_io::recording::{OpenOptions, open};
/// let reader = open("session1".as_ref(), &OpenOptions::default())?;
/// let description = reader.description();
/// let mut second = vec![0u8; description.sampling_frequency_hz as usize * description.frame_bytes()];
/// reader.read(0, &mut second)?;
/// # Ok::<(), somata_io::IoError>(())
/// ```
pub fn open(path: &Path, options: &OpenOptions) -> Result<Box<dyn RecordingReader>, IoError> {
    let sniffed = sniff(path, options)?;
    if let Some(stream) = &options.stream
        && !sniffed.format.has_streams()
    {
        return Err(IoError::NoStreams {
            path: sniffed.path,
            stream: stream.clone(),
        });
    }
    match sniffed.format {
        Format::Folder => folder::open(&sniffed.path, options),
        Format::SpikeInterfaceFolder => spikeinterface_folder::open(&sniffed.path, options),
        Format::SpikeInterfaceZarr => zarr_spikeinterface::open(&sniffed.path, options),
        Format::NwbZarr => nwb_zarr::open(&sniffed.path, options),
        Format::SpikeGlx => spikeglx::open(&sniffed.path, options),
        Format::OpenEphysBinary => open_ephys::open(&sniffed.path, options),
        Format::OpenEphysLegacy => open_ephys::legacy::open(&sniffed.path, options),
        Format::Intan => intan::open(&sniffed.path, options),
        Format::Mtscomp => mtscomp::open(&sniffed.path, options),
        Format::Blackrock => blackrock::open(&sniffed.path, options),
        Format::Nwb => nwb::open(&sniffed.path, options),
        Format::Mearec => mearec::open(&sniffed.path, options),
        Format::RawBinary => raw_binary::open(&sniffed.path, options),
    }
}
