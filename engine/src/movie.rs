//! What the engine asks of a two-photon movie. File formats live elsewhere and implement this.

use std::sync::Arc;

use crate::recording::ReadError;

/// Pixel type of raw frames.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PixelType {
    /// Signed 16 bits.
    I16,
    /// Unsigned 16 bits.
    U16,
    /// Signed 32 bits.
    I32,
    /// 32-bit float.
    F32,
    /// Unsigned 8 bits.
    U8,
    /// Signed 8 bits.
    I8,
    /// Unsigned 32 bits.
    U32,
}

impl PixelType {
    /// Bytes of one pixel.
    pub fn size_bytes(self) -> usize {
        match self {
            PixelType::U8 | PixelType::I8 => 1,
            PixelType::I16 | PixelType::U16 => 2,
            PixelType::I32 | PixelType::F32 | PixelType::U32 => 4,
        }
    }
    /// The code that `decode_frames` takes.
    pub(crate) fn code(self) -> u32 {
        self as u32
    }
}

/// What is known of a movie before a frame is read.
#[derive(Clone, Debug)]
pub struct MovieInfo {
    /// Rows of a frame.
    pub height: usize,
    /// Columns of a frame.
    pub width: usize,
    /// Time points: frames of each plane and channel.
    pub n_frames: usize,
    /// Planes of a volume.
    pub n_planes: usize,
    /// Colour channels.
    pub n_channels: usize,
    /// Frames a second of one plane.
    pub frame_rate_hz: f64,
    /// Pixel type of the frames that [`Movie::read`] gives.
    pub pixel_type: PixelType,
    /// Identifies the input: a change means another movie.
    pub identity: String,
}

impl MovieInfo {
    /// Pixels of a frame.
    pub fn n_pixels(&self) -> usize {
        self.height * self.width
    }
    /// Bytes of a frame.
    pub fn frame_bytes(&self) -> usize {
        self.n_pixels() * self.pixel_type.size_bytes()
    }
}

/// Raw frames that can be read anywhere, by several threads.
pub trait Movie: Send + Sync {
    /// What is known of it.
    fn info(&self) -> &MovieInfo;
    /// Fills `frames` (whole frames `[frame, y, x]`, native byte order) of one plane and channel from time point `start` on.
    ///
    /// # Errors
    /// When the file cannot be read.
    fn read(
        &self,
        plane: usize,
        channel: usize,
        start: usize,
        frames: &mut [u8],
    ) -> Result<(), ReadError>;
    /// Looks whether the input is still the one that was opened. A stage's result is only kept after that, so that what was read
    /// of a changed input is never taken up under the name of the old one. An input that is gone cannot be looked at: no error.
    ///
    /// # Errors
    /// When the input was changed.
    fn check_unchanged(&self) -> Result<(), ReadError> {
        Ok(())
    }
}

impl<T: Movie + ?Sized> Movie for Arc<T> {
    fn info(&self) -> &MovieInfo {
        (**self).info()
    }
    fn read(
        &self,
        plane: usize,
        channel: usize,
        start: usize,
        frames: &mut [u8],
    ) -> Result<(), ReadError> {
        (**self).read(plane, channel, start, frames)
    }
    fn check_unchanged(&self) -> Result<(), ReadError> {
        (**self).check_unchanged()
    }
}
