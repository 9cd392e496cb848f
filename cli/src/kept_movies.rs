//! Registered movies in the making (`--keep-movie`): one TIFF a plane.

use std::path::{Path, PathBuf};

use somata_engine::movie::{MovieInfo, PixelType};
use somata_io::imaging_output::{movie_writer::TiffMovieWriter, tiff_writer::TiffPixel};

use crate::{exit::Outcome, imaging_output::plane_file};

/// Registered movies, each complete when the next plane begins.
pub struct KeptMovies {
    folder: PathBuf,
    info: MovieInfo,
    open: Option<(usize, Kept)>,
}

/// A file in pixels that hold what the movie's own do: values between its whole numbers are rounded.
enum Kept {
    Signed(TiffMovieWriter<i16>),
    Unsigned(TiffMovieWriter<u16>),
    Float(TiffMovieWriter<f32>),
}

impl Kept {
    fn create(path: &Path, info: &MovieInfo) -> Outcome<Self> {
        fn writer<T: TiffPixel>(path: &Path, info: &MovieInfo) -> Outcome<TiffMovieWriter<T>> {
            let rate = info.frame_rate_hz;
            Ok(TiffMovieWriter::create(
                path,
                info.height,
                info.width,
                rate,
            )?)
        }
        Ok(match info.pixel_type {
            PixelType::I8 | PixelType::I16 => Self::Signed(writer(path, info)?),
            PixelType::U8 | PixelType::U16 => Self::Unsigned(writer(path, info)?),
            PixelType::I32 | PixelType::U32 | PixelType::F32 => Self::Float(writer(path, info)?),
        })
    }

    fn append(&mut self, frames: &[f32]) -> Outcome {
        match self {
            Self::Signed(writer) => {
                let pixels: Vec<i16> = frames.iter().map(|v| v.round_ties_even() as i16).collect();
                writer.append(&pixels)?;
            }
            Self::Unsigned(writer) => {
                let pixels: Vec<u16> = frames.iter().map(|v| v.round_ties_even() as u16).collect();
                writer.append(&pixels)?;
            }
            Self::Float(writer) => writer.append(frames)?,
        }
        Ok(())
    }

    fn finish(self) -> Outcome {
        match self {
            Self::Signed(writer) => writer.finish()?,
            Self::Unsigned(writer) => writer.finish()?,
            Self::Float(writer) => writer.finish()?,
        };
        Ok(())
    }
}

impl KeptMovies {
    /// Movies in `folder`: `registered.tif`, or `registered_planeK.tif` where there are several planes.
    pub fn new(folder: &Path, info: &MovieInfo) -> Self {
        Self {
            folder: folder.to_owned(),
            info: info.clone(),
            open: None,
        }
    }

    /// Appends frames of a plane.
    ///
    /// # Errors
    /// When the disk is full.
    pub fn append(&mut self, plane: usize, frames: &[f32]) -> Outcome {
        if self.open.as_ref().is_none_or(|(open, _)| *open != plane) {
            self.close()?;
            let n_planes = self.info.n_planes;
            let path = plane_file(&self.folder, "registered", plane, n_planes, "tif");
            self.open = Some((plane, Kept::create(&path, &self.info)?));
        }
        self.open.as_mut().expect("opened above").1.append(frames)
    }

    fn close(&mut self) -> Outcome {
        self.open.take().map_or(Ok(()), |(_, kept)| kept.finish())
    }

    /// Completes the last file.
    ///
    /// # Errors
    /// When the disk is full.
    pub fn finish(mut self) -> Outcome {
        self.close()
    }
}
