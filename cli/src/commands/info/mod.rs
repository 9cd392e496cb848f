//! `somata info`

mod movie;
mod recording;

use std::path::PathBuf;

use clap::Args;
use somata_io::{IoError, movie::MovieOptions, recording::selection::open_selected};

use super::sort::InputArguments;
use crate::exit::Outcome;

/// Arguments of `somata info`.
#[derive(Args)]
pub struct Arguments {
    /// A recording, a movie or an image: a folder or a file; several are joined in this order
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
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
    let path = &arguments.paths[0];
    let is_picture = path.extension().is_some_and(|extension| {
        ["png", "jpg", "jpeg"].contains(&&*extension.to_string_lossy().to_lowercase())
    });
    if is_picture && arguments.paths.len() == 1 {
        return movie::tell_image(path, arguments.json);
    }
    let as_movie = || somata_io::movie::open(&arguments.paths, &arguments.movie_options());
    if arguments.height.is_some() || arguments.width.is_some() || arguments.dataset.is_some() {
        return movie::tell(as_movie()?.as_ref(), path, arguments.json);
    }
    let input = &arguments.input;
    let opened = open_selected(&arguments.paths, &input.open_options(), &input.selection());
    let unknown = match opened {
        Ok(selected) => return recording::tell(&selected, arguments.json),
        Err(unknown @ IoError::Unrecognised { .. }) => unknown,
        Err(error) => return Err(error.into()),
    };
    match as_movie() {
        Ok(reader) => movie::tell(reader.as_ref(), path, arguments.json),
        Err(IoError::NotAMovie { .. }) => Err(unknown.into()),
        Err(error) => Err(error.into()),
    }
}
