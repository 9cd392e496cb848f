//! A registered movie, written frame after frame: as a TIFF stack, or as Suite2p's `data.bin`.
//!
//! Memory does not grow with the movie. Both files appear under their names when they are finished; a writer that is dropped before
//! leaves nothing that looks complete.

use std::path::Path;

use super::tiff_writer::{PageAxis, TiffOptions, TiffPixel, TiffStack};
use crate::atomic::OutputFile;
use crate::error::IoError;
use crate::npy::write_elements;

/// A movie as a TIFF stack; over 4 GiB it becomes a BigTIFF.
pub struct TiffMovieWriter<T> {
    stack: TiffStack<T>,
}

impl<T: TiffPixel> TiffMovieWriter<T> {
    /// Starts a movie of frames of `height` × `width` pixels at `rate_hz` that will be at `path`.
    ///
    /// # Errors
    /// When a frame has no pixels, the rate is not a positive number, or the file cannot be created.
    pub fn create(
        path: &Path,
        height: usize,
        width: usize,
        rate_hz: f64,
    ) -> Result<TiffMovieWriter<T>, IoError> {
        if !(rate_hz > 0.0 && rate_hz.is_finite()) {
            return Err(IoError::BadTables {
                path: path.to_owned(),
                what: format!("a movie cannot have {rate_hz} frames a second"),
            });
        }
        let options = TiffOptions {
            page_axis: PageAxis::Frames { rate_hz },
            deflate: false,
            display_range: None,
        };
        let stack = TiffStack::create(path, height, width, options)?;
        Ok(TiffMovieWriter { stack })
    }

    /// Appends frames, `[frames, height, width]`.
    ///
    /// # Errors
    /// When `pixels` are not whole frames, or the file cannot be written.
    pub fn append(&mut self, pixels: &[T]) -> Result<(), IoError> {
        self.stack.append(pixels)
    }

    /// Completes the file and returns the number of frames.
    ///
    /// # Errors
    /// When there is no frame, or the file cannot be written.
    pub fn finish(self) -> Result<u64, IoError> {
        let n_frames = self.stack.n_pages();
        self.stack.finish()?;
        Ok(n_frames)
    }
}

/// A movie as Suite2p's `data.bin`: int16, little-endian, `[frames, height, width]`, no header.
pub struct BinaryMovieWriter {
    file: OutputFile,
    frame_pixels: usize,
    n_frames: u64,
}

impl BinaryMovieWriter {
    /// Starts a movie of frames of `height` × `width` pixels that will be at `path`.
    ///
    /// # Errors
    /// When a frame has no pixels, or the file cannot be created.
    pub fn create(path: &Path, height: usize, width: usize) -> Result<BinaryMovieWriter, IoError> {
        if height == 0 || width == 0 {
            return Err(IoError::BadTables {
                path: path.to_owned(),
                what: format!("a frame of {height} × {width} pixels is empty"),
            });
        }
        Ok(BinaryMovieWriter {
            file: OutputFile::create(path)?,
            frame_pixels: height * width,
            n_frames: 0,
        })
    }

    /// Appends frames, `[frames, height, width]`.
    ///
    /// # Errors
    /// When `pixels` are not whole frames, or the file cannot be written.
    pub fn append(&mut self, pixels: &[i16]) -> Result<(), IoError> {
        if !pixels.len().is_multiple_of(self.frame_pixels) {
            return Err(IoError::BadTables {
                path: self.file.final_path().to_owned(),
                what: format!(
                    "{} pixels are not whole frames of {} pixels",
                    pixels.len(),
                    self.frame_pixels
                ),
            });
        }
        self.n_frames += (pixels.len() / self.frame_pixels) as u64;
        self.file.write_with(|out| write_elements(out, pixels))
    }

    /// Completes the file and returns the number of frames.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(self) -> Result<u64, IoError> {
        self.file.commit()?;
        Ok(self.n_frames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_files_hold_the_frames_and_appear_when_finished() {
        let folder = tempfile::tempdir().unwrap();
        let (tiff, binary) = (folder.path().join("a.tif"), folder.path().join("data.bin"));
        let pixels: Vec<i16> = (-12..12).collect();
        let mut movie = TiffMovieWriter::<i16>::create(&tiff, 2, 3, 15.0).unwrap();
        let mut data = BinaryMovieWriter::create(&binary, 2, 3).unwrap();
        for frames in pixels.chunks(12) {
            movie.append(frames).unwrap();
            data.append(frames).unwrap();
        }
        assert!(movie.append(&pixels[..7]).is_err() && data.append(&pixels[..7]).is_err());
        assert!(!tiff.exists() && !binary.exists());
        assert_eq!((movie.finish().unwrap(), data.finish().unwrap()), (4, 4));
        let expected: Vec<u8> = pixels
            .iter()
            .flat_map(|pixel| pixel.to_le_bytes())
            .collect();
        assert_eq!(std::fs::read(&binary).unwrap(), expected);
        assert_eq!(std::fs::read(&tiff).unwrap()[16..16 + 48], expected);
    }

    #[test]
    fn a_dropped_writer_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (tiff, binary) = (folder.path().join("a.tif"), folder.path().join("data.bin"));
        let mut movie = TiffMovieWriter::<u16>::create(&tiff, 1, 1, 15.0).unwrap();
        movie.append(&[1, 2, 3]).unwrap();
        drop(movie);
        let mut data = BinaryMovieWriter::create(&binary, 1, 1).unwrap();
        data.append(&[1, 2, 3]).unwrap();
        drop(data);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(TiffMovieWriter::<u16>::create(&tiff, 1, 1, 0.0).is_err());
        assert!(BinaryMovieWriter::create(&binary, 0, 1).is_err());
    }
}
