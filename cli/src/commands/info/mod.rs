//! `somata info`

mod movie;
mod recording;

use std::path::PathBuf;

use clap::Args;
use somata_io::{IoError, movie::MovieOptions};

use super::sort::InputArguments;
use crate::exit::Outcome;

/// Arguments of `somata info`.
#[derive(Args)]
pub struct Arguments {
    /// A recording, a movie or an image: a folder or a file
    path: PathBuf,
    #[command(flatten)]
    input: InputArguments,
    /// Frames a second of one plane, where a movie does not say it
    #[arg(long, value_name = "HZ")]
    frame_rate: Option<f64>,
    /// Planes of a movie
    #[arg(long, value_name = "N")]
    n_planes: Option<usize>,
    /// Rows of a frame, for a movie in a bare binary file
    #[arg(long, value_name = "PIXELS")]
    height: Option<usize>,
    /// Columns of a frame, for a movie in a bare binary file
    #[arg(long, value_name = "PIXELS")]
    width: Option<usize>,
    /// Dataset or series to describe where an HDF5 or NWB file holds several movies
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    fn movie_options(&self) -> MovieOptions {
        MovieOptions {
            n_planes: self.n_planes,
            n_channels: self.input.n_channels,
            height: self.height,
            width: self.width,
            dtype: self.input.dtype.clone(),
            frame_rate_hz: self.frame_rate,
            dataset: self.dataset.clone(),
        }
    }
}

/// Says what a file holds.
pub fn run(arguments: &Arguments) -> Outcome {
    let is_picture = arguments.path.extension().is_some_and(|extension| {
        ["png", "jpg", "jpeg"].contains(&&*extension.to_string_lossy().to_lowercase())
    });
    if is_picture {
        return movie::tell_image(&arguments.path, arguments.json);
    }
    let as_movie = || {
        somata_io::movie::open(
            std::slice::from_ref(&arguments.path),
            &arguments.movie_options(),
        )
    };
    if arguments.height.is_some() || arguments.width.is_some() || arguments.dataset.is_some() {
        return movie::tell(as_movie()?.as_ref(), &arguments.path, arguments.json);
    }
    let opened = somata_io::recording::open(&arguments.path, &arguments.input.open_options());
    let unknown = match opened {
        Ok(reader) => return recording::tell(reader.as_ref(), arguments.json),
        Err(unknown @ IoError::Unrecognised { .. }) => unknown,
        Err(error) => return Err(error.into()),
    };
    match as_movie() {
        Ok(reader) => movie::tell(reader.as_ref(), &arguments.path, arguments.json),
        Err(IoError::NotAMovie { .. }) => Err(unknown.into()),
        Err(error) => Err(error.into()),
    }
}
