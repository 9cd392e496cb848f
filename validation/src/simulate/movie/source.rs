//! A simulated movie as the engine reads it: tests need no file.

use somata_engine::{
    movie::{Movie, MovieInfo, PixelType},
    recording::ReadError,
};

use super::SimulatedMovie;

/// Simulated frames, made when they are read.
pub struct SimulatedMovieSource {
    movie: SimulatedMovie,
    info: MovieInfo,
}

impl SimulatedMovieSource {
    /// Wraps a simulated movie.
    pub fn new(movie: SimulatedMovie) -> Self {
        let spec = movie.spec();
        let info = MovieInfo {
            height: spec.height,
            width: spec.width,
            n_frames: spec.n_frames,
            n_planes: spec.n_planes,
            n_channels: 1,
            frame_rate_hz: spec.frame_rate_hz,
            pixel_type: PixelType::I16,
            identity: format!("{spec:?}"),
        };
        Self { movie, info }
    }

    /// The simulated movie, with its truth.
    pub fn simulated(&self) -> &SimulatedMovie {
        &self.movie
    }
}

impl Movie for SimulatedMovieSource {
    fn info(&self) -> &MovieInfo {
        &self.info
    }
    fn read(
        &self,
        plane: usize,
        _channel: usize,
        start: usize,
        frames: &mut [u8],
    ) -> Result<(), ReadError> {
        // Bytes need not lie where numbers of 16 bits may.
        let mut pixels = vec![0i16; frames.len() / 2];
        self.movie.read(plane, start, &mut pixels);
        frames.copy_from_slice(bytemuck::cast_slice(&pixels));
        Ok(())
    }
}
