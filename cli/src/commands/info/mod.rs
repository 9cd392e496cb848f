//! `somata info`

mod drawing;
mod movie;
mod recording;

use std::path::PathBuf;

use clap::Args;
use somata_io::{IoError, movie::MovieOptions, recording::selection::open_selected};

use super::{
    help::{self, heading},
    sort::InputArguments,
};
use crate::exit::Outcome;

/// Arguments of `somata info`.
#[derive(Args)]
#[command(after_help = help::INFO)]
pub struct Arguments {
    /// A recording, a movie or an image: a folder or a file; several are joined in this order
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    input: InputArguments,
    /// Frames a second of one plane, where a movie does not say it
    #[arg(long, value_name = "HZ", help_heading = heading::MOVIE)]
    frame_rate: Option<f64>,
    /// Planes of a movie
    #[arg(long, value_name = "N", help_heading = heading::MOVIE)]
    n_planes: Option<usize>,
    /// Rows of a frame, for a movie in a bare binary file
    #[arg(long, value_name = "PIXELS", help_heading = heading::MOVIE)]
    height: Option<usize>,
    /// Columns of a frame, for a movie in a bare binary file
    #[arg(long, value_name = "PIXELS", help_heading = heading::MOVIE)]
    width: Option<usize>,
    /// Dataset or series to describe where an HDF5 or NWB file holds several movies
    #[arg(long, value_name = "NAME", help_heading = heading::MOVIE)]
    dataset: Option<String>,
    /// Print JSON
    #[arg(long, help_heading = heading::MESSAGES)]
    json: bool,
}

impl Arguments {
    /// The options of a movie that were given, as they are typed.
    fn given_of_movie(&self) -> Vec<String> {
        let pixels = |value: Option<usize>| value.map(|value| value.to_string());
        let options = [
            ("--frame-rate", self.frame_rate.map(|rate| rate.to_string())),
            ("--n-planes", pixels(self.n_planes)),
            ("--n-channels", pixels(self.input.n_channels)),
            ("--height", pixels(self.height)),
            ("--width", pixels(self.width)),
            ("--dtype", self.input.dtype.clone()),
            ("--dataset", self.dataset.clone()),
        ];
        options
            .into_iter()
            .filter_map(|(name, value)| Some([name.to_owned(), value?]))
            .flatten()
            .collect()
    }

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
        return movie::tell(
            as_movie()?.as_ref(),
            &arguments.paths,
            &arguments.given_of_movie(),
            arguments.json,
        );
    }
    let input = &arguments.input;
    let opened = open_selected(&arguments.paths, &input.open_options(), &input.selection());
    let unknown = match opened {
        Ok(selected) => return recording::tell(&selected, &arguments.paths, input, arguments.json),
        Err(unknown @ IoError::Unrecognised { .. }) => unknown,
        Err(error) => return Err(error.into()),
    };
    match as_movie() {
        Ok(reader) => movie::tell(
            reader.as_ref(),
            &arguments.paths,
            &arguments.given_of_movie(),
            arguments.json,
        ),
        Err(IoError::NotAMovie { .. }) => Err(unknown.into()),
        Err(error) => Err(error.into()),
    }
}

/// The line that says what would be typed to process what was described.
fn next_command(command: &str, paths: &[PathBuf], options: &[String]) -> String {
    let paths = paths.iter().map(|path| path.display().to_string());
    let words: Vec<String> = paths
        .chain(["--out".to_owned(), "OUT".to_owned()])
        .chain(options.iter().cloned())
        .map(|word| quoted(&word))
        .collect();
    format!("next       somata {command} {}\n", words.join(" "))
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain =
        |c: char| c.is_alphanumeric() || "_-./=:,+@%".contains(c) || (cfg!(windows) && c == '\\');
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else if cfg!(windows) {
        format!("\"{word}\"")
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_blanks_can_be_pasted() {
        assert_eq!(quoted("a/b-1.bin"), "a/b-1.bin");
        if !cfg!(windows) {
            assert_eq!(quoted("my data's.bin"), r"'my data'\''s.bin'");
            assert_eq!(quoted("$(x)"), "'$(x)'");
        }
    }
}
