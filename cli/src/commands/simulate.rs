//! `somata simulate`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use somata_validation::simulate::{
    movie::{MovieKind, MovieSpec, write_movie},
    spec::{RecordingKind, RecordingSpec},
    write::write_recording,
};

use crate::{commands::print, exit::Outcome};

/// What is simulated.
#[derive(Subcommand)]
pub enum Arguments {
    /// A probe recording with known units, spikes and drift
    Recording(RecordingArguments),
    /// A two-photon movie with known cells, traces, spikes and motion
    Movie(MovieArguments),
}

/// Arguments of `somata simulate movie`.
#[derive(Args)]
pub struct MovieArguments {
    /// Folder to write: movie.tif, truth.npz, spec.json
    out: PathBuf,
    /// small, standard, hard, dense, still, fast, slow, bleaching or volume
    #[arg(long, default_value = "standard")]
    kind: String,
    /// Side of the square frame, pixels
    #[arg(long)]
    size: Option<usize>,
    /// Frames
    #[arg(long)]
    frames: Option<usize>,
    /// Cells of each plane
    #[arg(long)]
    cells: Option<usize>,
    /// Mean diameter of a cell, pixels
    #[arg(long)]
    diameter: Option<f64>,
    /// Photons of a pixel of the baseline
    #[arg(long)]
    photons: Option<f64>,
    /// Standard deviation of the motion, pixels
    #[arg(long)]
    motion: Option<f64>,
    /// Planes
    #[arg(long)]
    planes: Option<usize>,
    /// Frames a second of each plane
    #[arg(long)]
    frame_rate: Option<f64>,
    /// Decay of the indicator, s
    #[arg(long)]
    decay: Option<f64>,
    /// Rise of the indicator, s
    #[arg(long)]
    rise: Option<f64>,
    /// Part of the light that bleaches away over the movie
    #[arg(long)]
    bleaching: Option<f64>,
    /// Offset of odd rows, pixels
    #[arg(long, allow_hyphen_values = true)]
    bidirectional_offset: Option<f64>,
    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl MovieArguments {
    fn run(&self) -> Outcome {
        let kind: MovieKind = self.kind.parse()?;
        let mut spec = MovieSpec::new(kind);
        spec.seed = self.seed;
        if let Some(size) = self.size {
            (spec.height, spec.width) = (size, size);
        }
        spec.n_frames = self.frames.unwrap_or(spec.n_frames);
        spec.n_cells = self.cells.unwrap_or(spec.n_cells);
        spec.cell_diameter_px = self.diameter.unwrap_or(spec.cell_diameter_px);
        spec.photons = self.photons.unwrap_or(spec.photons);
        spec.motion_px = self.motion.unwrap_or(spec.motion_px);
        spec.n_planes = self.planes.unwrap_or(spec.n_planes);
        spec.frame_rate_hz = self.frame_rate.unwrap_or(spec.frame_rate_hz);
        spec.decay_s = self.decay.unwrap_or(spec.decay_s);
        spec.rise_s = self.rise.unwrap_or(spec.rise_s);
        spec.bleaching_share = self.bleaching.unwrap_or(spec.bleaching_share);
        spec.bidirectional_offset_px = self
            .bidirectional_offset
            .unwrap_or(spec.bidirectional_offset_px);
        write_movie(&spec, &self.out, &mut |_| ())?;
        print(&format!(
            "wrote {} frames of {} × {} pixels with {} cells to `{}` (process with `--frame-rate {}`)\n",
            spec.n_frames,
            spec.height,
            spec.width,
            spec.n_cells * spec.n_planes,
            self.out.display(),
            spec.frame_rate_hz
        ));
        Ok(())
    }
}

/// Arguments of `somata simulate recording`.
#[derive(Args)]
pub struct RecordingArguments {
    /// Folder to write: recording.bin, recording.json, probe.json, truth.npz
    out: PathBuf,
    /// static, drift, nonrigid, jumps, slow, utah, tetrode, two-shank or linear
    #[arg(long, default_value = "drift")]
    kind: String,
    /// Channels
    #[arg(long)]
    channels: Option<usize>,
    /// Units
    #[arg(long)]
    units: Option<usize>,
    /// Length, s
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Noise, µV
    #[arg(long)]
    noise: Option<f64>,
    /// Range of the drift to each side, µm
    #[arg(long)]
    drift_amplitude: Option<f64>,
    /// Dead channels
    #[arg(long, default_value_t = 0)]
    dead: usize,
    /// Noisy channels
    #[arg(long, default_value_t = 0)]
    noisy: usize,
}

/// Simulates and writes.
pub fn run(arguments: &Arguments) -> Outcome {
    let arguments = match arguments {
        Arguments::Recording(arguments) => arguments,
        Arguments::Movie(arguments) => return arguments.run(),
    };
    let kind: RecordingKind = arguments.kind.parse()?;
    let mut spec = RecordingSpec::new(kind);
    spec.n_channels = arguments.channels.unwrap_or(spec.n_channels);
    spec.n_units = arguments.units.unwrap_or(spec.n_units);
    spec.noise_uv = arguments.noise.unwrap_or(spec.noise_uv);
    spec.drift_amplitude_um = arguments.drift_amplitude.unwrap_or(spec.drift_amplitude_um);
    spec.duration_s = arguments.seconds;
    spec.seed = arguments.seed;
    spec.n_dead_channels = arguments.dead;
    spec.n_noisy_channels = arguments.noisy;
    write_recording(&spec, &arguments.out, &mut |_| ())?;
    print(&format!(
        "wrote {} s of {} channels with {} units to `{}`\n",
        spec.duration_s,
        spec.n_channels,
        spec.n_units,
        arguments.out.display()
    ));
    Ok(())
}
