//! `somata simulate`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use somata_validation::simulate::{
    movie::{MovieKind, MovieSpec, SecondSession, write_movie},
    spec::{RecordingKind, RecordingSpec},
    write::write_recording,
};

use crate::{
    commands::print,
    exit::{ExitCode, Failure, Outcome},
};

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
    /// small, standard, hard, dense, still, fast, slow, bleaching or volume [default: standard]
    #[arg(long)]
    kind: Option<String>,
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
    /// A simulated movie whose field is looked at again, as on another day; what is not given is as there
    #[arg(long, value_name = "FOLDER", conflicts_with = "kind")]
    second_session_of: Option<PathBuf>,
    #[command(flatten)]
    session: SessionArguments,
    /// Seed of everything random [default: 1, or that of the first session + 1]
    #[arg(long)]
    seed: Option<u64>,
}

/// How a second session differs from the first.
#[derive(Args)]
struct SessionArguments {
    /// Second session: how far the field is shifted, pixels [default: 10]
    #[arg(long, requires = "second_session_of")]
    shift: Option<f64>,
    /// Second session: how far it is turned clockwise, degrees [default: 2]
    #[arg(long, requires = "second_session_of", allow_hyphen_values = true)]
    rotation: Option<f64>,
    /// Second session: deviation of a smooth distortion, pixels [default: 0]
    #[arg(long, requires = "second_session_of")]
    warp: Option<f64>,
    /// Second session: share of the cells that are still there [default: 0.8]
    #[arg(long, requires = "second_session_of")]
    shared: Option<f64>,
}

impl SessionArguments {
    fn of(&self, first: MovieSpec) -> SecondSession {
        let mut session = SecondSession::new(first);
        session.shift_px = self.shift.unwrap_or(session.shift_px);
        session.rotation_deg = self.rotation.unwrap_or(session.rotation_deg);
        session.warp_px = self.warp.unwrap_or(session.warp_px);
        session.shared_share = self.shared.unwrap_or(session.shared_share);
        session
    }
}

/// What the movie in a folder was made from.
fn read_spec(folder: &Path) -> Outcome<MovieSpec> {
    let path = folder.join("spec.json");
    let bad = |reason: String| {
        Failure::new(
            ExitCode::Input,
            format!(
                "`{}` does not say what a movie was made from: {reason}",
                path.display()
            ),
        )
        .hint("give a folder that `somata simulate movie` wrote")
    };
    let text = std::fs::read_to_string(&path).map_err(|error| bad(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| bad(error.to_string()))
}

impl MovieArguments {
    fn run(&self) -> Outcome {
        let mut spec = match &self.second_session_of {
            None => {
                let kind = self.kind.as_deref().unwrap_or("standard");
                MovieSpec::new(kind.parse::<MovieKind>()?)
            }
            Some(folder) => {
                let first = read_spec(folder)?;
                MovieSpec {
                    seed: first.seed.wrapping_add(1),
                    second_session: Some(self.session.of(first.clone())),
                    ..first
                }
            }
        };
        spec.seed = self.seed.unwrap_or(spec.seed);
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
