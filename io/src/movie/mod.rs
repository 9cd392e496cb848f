//! Two-photon movies: what is known about one, and frames by position.
//!
//! [`open`] takes files in the order of time (or a folder of TIFF files) and returns a reader of one movie. Pixels are as
//! stored: no scaling, no change of type beyond what makes a whole number of bytes. Planes and channels that a microscope
//! interleaves are told apart by the file's own description, or by what the user says, which always wins.

pub(crate) mod dataset_movie;
pub(crate) mod files;
pub(crate) mod hdf5;
pub(crate) mod imagej;
pub(crate) mod inputs;
pub(crate) mod metadata;
pub(crate) mod nwb;
pub(crate) mod ome;
pub(crate) mod order;
pub mod raw_binary;
pub(crate) mod reader;
pub(crate) mod scanimage;
pub mod tiff;
pub mod zarr;

use std::path::PathBuf;

use crate::error::IoError;

/// Pixel types that the description of a bare binary movie may name (numpy's short forms, as `<i2` or `>f4`, as well).
pub const SUPPORTED_PIXEL_TYPES: [&str; 8] = [
    "int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64",
];

/// The type of delivered pixels, native-endian.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum PixelType {
    /// 8-bit unsigned integer.
    U8,
    /// 8-bit signed integer.
    I8,
    /// 16-bit unsigned integer.
    U16,
    /// 16-bit signed integer.
    I16,
    /// 32-bit unsigned integer.
    U32,
    /// 32-bit signed integer.
    I32,
    /// 32-bit float.
    F32,
    /// 64-bit float.
    F64,
}

impl PixelType {
    /// Bytes of one pixel.
    pub fn size_bytes(self) -> usize {
        match self {
            PixelType::U8 | PixelType::I8 => 1,
            PixelType::U16 | PixelType::I16 => 2,
            PixelType::U32 | PixelType::I32 | PixelType::F32 => 4,
            PixelType::F64 => 8,
        }
    }

    /// numpy's name of the type.
    pub fn numpy_name(self) -> &'static str {
        match self {
            PixelType::U8 => "uint8",
            PixelType::I8 => "int8",
            PixelType::U16 => "uint16",
            PixelType::I16 => "int16",
            PixelType::U32 => "uint32",
            PixelType::I32 => "int32",
            PixelType::F32 => "float32",
            PixelType::F64 => "float64",
        }
    }
}

/// What is known about a movie.
#[derive(Clone, PartialEq, Debug)]
pub struct MovieDescription {
    /// The format's name.
    pub format: &'static str,
    /// The files that were read, in the order of time; a description beside them comes last.
    pub paths: Vec<PathBuf>,
    /// Rows of a frame.
    pub height: usize,
    /// Columns of a frame.
    pub width: usize,
    /// Time points of each plane and channel.
    pub n_frames: u64,
    /// Planes of a volume; 1 when a single plane was imaged.
    pub n_planes: usize,
    /// Colour channels.
    pub n_channels: usize,
    /// Type of the delivered pixels.
    pub pixel_type: PixelType,
    /// Frames of one plane a second (volumes a second when there are several planes); `None` when nothing says it.
    pub frame_rate_hz: Option<f64>,
    /// Height and width of a pixel in µm; `None` when nothing says it.
    pub pixel_size_um: Option<[f64; 2]>,
    /// A fingerprint of the files, as 64 hexadecimal digits: it changes when they do (see [`crate::checksum`]).
    pub identity: String,
    /// What the user should know to judge the result.
    pub warnings: Vec<String>,
}

impl MovieDescription {
    /// Bytes of one delivered frame.
    pub fn frame_bytes(&self) -> usize {
        self.height * self.width * self.pixel_type.size_bytes()
    }

    /// Checks what a reader is asked for; returns the frame after the last one.
    pub(crate) fn check_range(
        &self,
        plane: usize,
        channel: usize,
        start_frame: u64,
        buffer_bytes: usize,
    ) -> Result<u64, IoError> {
        let frame_bytes = self.frame_bytes();
        if !buffer_bytes.is_multiple_of(frame_bytes) {
            return Err(IoError::BufferNotWholeFrames {
                buffer_bytes,
                frame_bytes,
            });
        }
        if plane >= self.n_planes || channel >= self.n_channels {
            return Err(IoError::NoSuchPlane {
                plane,
                channel,
                n_planes: self.n_planes,
                n_channels: self.n_channels,
            });
        }
        let end_frame = start_frame.saturating_add((buffer_bytes / frame_bytes) as u64);
        if end_frame > self.n_frames {
            return Err(IoError::FramesOutOfRange {
                start_frame,
                end_frame,
                n_frames: self.n_frames,
            });
        }
        Ok(end_frame)
    }
}

/// Frames by position.
pub trait MovieReader: Send + Sync {
    /// What is known about the movie.
    fn description(&self) -> &MovieDescription;

    /// Fills `out` with whole frames from `start_frame` on: `[frames, height, width]`, native-endian, of the description's
    /// pixel type, of one plane and channel. Threads may call it at the same time.
    ///
    /// # Errors
    /// When `out` does not hold whole frames, a plane, channel or frame is asked for that the movie lacks, or a page cannot be
    /// read or unpacked (any more).
    fn read(
        &self,
        plane: usize,
        channel: usize,
        start_frame: u64,
        out: &mut [u8],
    ) -> Result<(), IoError>;
}

/// What the user says about a movie; what is `None` is taken from the files.
#[derive(Default, Clone, Debug, PartialEq)]
pub struct MovieOptions {
    /// Planes of a volume.
    pub n_planes: Option<usize>,
    /// Colour channels.
    pub n_channels: Option<usize>,
    /// Rows of a frame, for a bare binary file.
    pub height: Option<usize>,
    /// Columns of a frame, for a bare binary file.
    pub width: Option<usize>,
    /// numpy's name of the pixel type, for a bare binary file.
    pub dtype: Option<String>,
    /// Frames of one plane a second.
    pub frame_rate_hz: Option<f64>,
    /// Name of a dataset or series, or a part of it, where a file holds several movies.
    pub dataset: Option<String>,
}

/// Opens `paths` as one movie, in the order given; a folder stands for its TIFF files in natural order (`a2` before `a10`),
/// or for its `data.bin`; a Zarr store is a folder and a movie of its own.
///
/// # Errors
/// When the files are no movie that somata knows, differ in size or pixel type, or are damaged; see [`IoError`].
///
/// # Examples
/// ```no_run
/// use somata_io::movie::{MovieOptions, open};
/// let reader = open(&["recordings_of_monday".into()], &MovieOptions::default())?;
/// let mut frames = vec![0u8; 10 * reader.description().frame_bytes()];
/// reader.read(0, 0, 100, &mut frames)?;
/// # Ok::<(), somata_io::IoError>(())
/// ```
pub fn open(paths: &[PathBuf], options: &MovieOptions) -> Result<Box<dyn MovieReader>, IoError> {
    let inputs = inputs::find(paths, options)?;
    let has_datasets = matches!(
        inputs.format,
        inputs::MovieFormat::Hdf5 | inputs::MovieFormat::Nwb
    );
    if let Some(dataset) = options.dataset.as_ref().filter(|_| !has_datasets) {
        return Err(IoError::BadImage {
            path: inputs.files[0].clone(),
            what: format!("`--dataset {dataset}` was given, but it is neither HDF5 nor NWB"),
            hint: "leave out `--dataset`".to_owned(),
        });
    }
    match inputs.format {
        inputs::MovieFormat::Tiff => tiff::open(&inputs.files, options),
        inputs::MovieFormat::Hdf5 => hdf5::open(&inputs.files, options),
        inputs::MovieFormat::Nwb => nwb::open(&inputs.files, options),
        inputs::MovieFormat::RawBinary => raw_binary::open(&inputs.files, options),
        inputs::MovieFormat::Zarr => zarr::open(&inputs.files[0], options),
    }
}
