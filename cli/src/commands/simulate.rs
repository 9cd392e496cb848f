//! `somata simulate`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use somata_validation::simulate::{
    spec::{RecordingKind, RecordingSpec},
    write::write_recording,
};

use crate::{commands::print, exit::Outcome};

/// What is simulated.
#[derive(Subcommand)]
pub enum Arguments {
    /// A probe recording with known units, spikes and drift
    Recording(RecordingArguments),
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
    let Arguments::Recording(arguments) = arguments;
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
