//! `somata demo`: everything once, on data whose truth is known.

use std::path::PathBuf;

use clap::Args;
use somata_engine::recording::Recording;
use somata_validation::simulate::{
    spec::{RecordingKind, RecordingSpec},
    write::write_recording,
};

use super::{
    print,
    sort::{
        Arguments as SortArguments, InputArguments, RunArguments, parameters, result_key, sort_to,
    },
    validate::{score, table},
};
use crate::{
    adapt::OpenRecording,
    exit::{ExitCode, Failure, Outcome},
};

/// Arguments of `somata demo`.
#[derive(Args)]
pub struct Arguments {
    /// Folder for the recording and the result
    #[arg(long, short, default_value = "somata-demo")]
    out: PathBuf,
    /// auto, cpu, gpu, a number from `somata devices`, a PCI address or a part of a name
    #[arg(long, default_value = "auto")]
    device: String,
    /// Length of the recording, s
    #[arg(long, default_value_t = 30.0)]
    seconds: f64,
    /// Seed of the recording
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
}

/// Simulates, sorts, scores.
pub fn run(arguments: &Arguments) -> Outcome {
    let recording_folder = arguments.out.join("recording");
    let result_folder = arguments.out.join("sorting");
    let spec = RecordingSpec {
        duration_s: arguments.seconds,
        seed: arguments.seed,
        ..RecordingSpec::new(RecordingKind::Drift)
    };
    let write = |folder: &PathBuf| write_recording(&spec, folder, &mut |_| ());
    if recording_folder.exists() {
        if !recording_folder.join("truth.npz").exists() {
            return Err(Failure::new(
                ExitCode::Output,
                format!(
                    "`{}` exists and was not made by the demo",
                    recording_folder.display()
                ),
            )
            .hint("choose another folder with `--out`"));
        }
        std::fs::remove_dir_all(&recording_folder).map_err(|error| {
            Failure::new(
                ExitCode::Output,
                format!(
                    "could not replace `{}`: {error}",
                    recording_folder.display()
                ),
            )
        })?;
    }
    std::fs::create_dir_all(&arguments.out).map_err(|error| {
        Failure::new(
            ExitCode::Output,
            format!("could not make `{}`: {error}", arguments.out.display()),
        )
    })?;
    write(&recording_folder)?;
    print(&format!(
        "simulated {} s of a drifting probe with {} channels and {} neurons in `{}`\n",
        spec.duration_s,
        spec.n_channels,
        spec.n_units,
        recording_folder.display()
    ));
    let sort = SortArguments {
        recording: recording_folder.clone(),
        out: result_folder.clone(),
        work: None,
        keep_work: false,
        input: InputArguments::default(),
        run: RunArguments {
            device: arguments.device.clone(),
            threads: None,
            memory: None,
            chunk_blocks: None,
            settings: Vec::new(),
            params: None,
            json: false,
            events: None,
            quiet: arguments.quiet,
        },
        dry_run: false,
        force: true,
    };
    let choice = arguments
        .device
        .parse()
        .map_err(|error: String| Failure::new(ExitCode::Usage, error))?;
    let recording = OpenRecording::open(&recording_folder, &sort.input.open_options())?;
    let parameters = parameters(&sort.run)?;
    let key = result_key(&recording, &parameters)?;
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    sort_to(&sort, &recording, &parameters, &choice, threads, &key)?;
    let scores = score(&result_folder, &recording_folder, false)?;
    print(&format!("\nscores against the truth\n{}", table(&scores)));
    print("\nunits\n");
    let metrics = std::fs::read_to_string(result_folder.join("metrics.csv")).map_err(|error| {
        Failure::new(
            ExitCode::Unexpected,
            format!("could not read back the metrics: {error}"),
        )
    })?;
    print(&unit_table(&metrics));
    print(&format!(
        "\nfiles in `{}`\n  phy/           for phy (`phy template-gui params.py`), SpikeInterface and others\n  \
         metrics.csv    one row a unit\n  motion.csv     displacement of the tissue\n  manifest.json  how it was made\n\
         \nnext: somata sort YOUR_RECORDING --out OUT   ({} s at {} Hz were sorted here)\n",
        result_folder.display(),
        spec.duration_s,
        recording.info().sampling_frequency_hz
    ));
    Ok(())
}

/// The most telling columns of metrics.csv, aligned.
fn unit_table(csv: &str) -> String {
    let wanted = [
        "unit_id",
        "label",
        "main_channel",
        "y_um",
        "n_spikes",
        "firing_rate_hz",
        "snr",
        "isi_violations_ratio",
    ];
    let mut lines = csv.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let columns: Vec<usize> = wanted
        .iter()
        .filter_map(|name| header.iter().position(|column| column == name))
        .collect();
    let mut text: String = wanted.iter().map(|name| format!("{name:>21}")).collect();
    text.push('\n');
    for line in lines {
        let fields: Vec<&str> = line.split(',').collect();
        for &column in &columns {
            let field = fields.get(column).copied().unwrap_or_default();
            let shown = match field.parse::<f64>() {
                Ok(value) if field.contains('.') => format!("{value:.2}"),
                _ => field.to_owned(),
            };
            text.push_str(&format!("{shown:>21}"));
        }
        text.push('\n');
    }
    text
}
