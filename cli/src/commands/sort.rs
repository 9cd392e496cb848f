//! `somata sort`

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use serde_json::{Value, json};
use somata_engine::{
    device::{DeviceChoice, adapters},
    error::EngineError,
    parameters::sorting::SortingParameters,
    recording::Recording,
    sorting::{SortOptions, SortingResult, sort},
    stream::Control,
};
use somata_io::{
    atomic::{FolderLock, OutputFolder},
    recording::OpenOptions,
};

use crate::{
    adapt::OpenRecording,
    commands::{print, print_json},
    exit::{ExitCode, Failure, Outcome},
    messages::Messages,
    output,
    signals::Signals,
};

/// What a user may say about a recording.
#[derive(Args, Clone, Default)]
pub struct InputArguments {
    /// Probe: probeinterface JSON, or a Blackrock `.cmp` map
    #[arg(long, value_name = "FILE")]
    pub probe: Option<PathBuf>,
    /// Samples a second of a bare binary file
    #[arg(long, value_name = "HZ")]
    pub sampling_frequency: Option<f64>,
    /// Channels of a bare binary file
    #[arg(long, value_name = "N")]
    pub n_channels: Option<usize>,
    /// Sample type of a bare binary file: int16, uint16, int32 or float32
    #[arg(long)]
    pub dtype: Option<String>,
    /// Microvolts of one unit of the sample type
    #[arg(long, value_name = "UV")]
    pub gain_uv: Option<f64>,
    /// Microvolts of sample value 0
    #[arg(long, value_name = "UV", allow_hyphen_values = true)]
    pub offset_uv: Option<f64>,
    /// Header bytes to skip in a bare binary file
    #[arg(long, value_name = "BYTES")]
    pub offset_bytes: Option<u64>,
}

impl InputArguments {
    /// As the readers take it.
    pub fn open_options(&self) -> OpenOptions {
        OpenOptions {
            sampling_frequency_hz: self.sampling_frequency,
            n_channels: self.n_channels,
            dtype: self.dtype.clone(),
            gain_uv: self.gain_uv,
            offset_uv: self.offset_uv,
            probe: self.probe.clone(),
            offset_bytes: self.offset_bytes,
        }
    }
}

/// How a run is made.
#[derive(Args, Clone)]
pub struct RunArguments {
    /// auto, cpu, gpu, a number from `somata devices`, a PCI address or a part of a name
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// Threads; by default what SLURM_CPUS_PER_TASK says, or all cores
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Largest memory to use, for example 4GB; fewer threads are taken to stay below it
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<String>,
    /// Blocks that travel together; results do not depend on it
    #[arg(long, value_name = "N", hide = true)]
    pub chunk_blocks: Option<usize>,
    /// Set a parameter, for example --set matching.sweeps=4; see `somata params`
    #[arg(long = "set", value_name = "STAGE.NAME=VALUE")]
    pub settings: Vec<String>,
    /// TOML file with parameters, one table a stage
    #[arg(long, value_name = "FILE")]
    pub params: Option<PathBuf>,
    /// Print one JSON object at the end
    #[arg(long)]
    pub json: bool,
    /// Write events as JSON lines to this file, or `-` for stdout
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
    /// Show no progress
    #[arg(long, short)]
    pub quiet: bool,
}

/// Arguments of `somata sort`.
#[derive(Args, Clone)]
pub struct Arguments {
    /// A recording: a folder or a file
    pub recording: PathBuf,
    /// Folder for the result; it appears whole or not at all
    #[arg(long, short)]
    pub out: PathBuf,
    /// Folder for checkpoints; OUT.work by default, removed after success
    #[arg(long)]
    pub work: Option<PathBuf>,
    /// Keep the work folder after success
    #[arg(long)]
    pub keep_work: bool,
    #[command(flatten)]
    pub input: InputArguments,
    #[command(flatten)]
    pub run: RunArguments,
    /// Say what would be done, with memory and disk estimates
    #[arg(long)]
    pub dry_run: bool,
    /// Replace a result that was made with other parameters
    #[arg(long)]
    pub force: bool,
}

/// Runs `somata sort`.
pub fn run(arguments: &Arguments) -> Outcome {
    let parameters = parameters(&arguments.run)?;
    let choice: DeviceChoice = arguments
        .run
        .device
        .parse()
        .map_err(|error: String| Failure::new(ExitCode::Usage, error))?;
    let recording = OpenRecording::open(&arguments.recording, &arguments.input.open_options())?;
    let threads = threads(&arguments.run, recording.info().n_channels())?;
    let key = result_key(&recording, &parameters)?;
    if arguments.dry_run {
        return dry_run(arguments, &recording, &parameters, &choice, threads);
    }
    if let Some(manifest) = existing(&arguments.out, &key, arguments.force)? {
        if arguments.run.json {
            return print_json(&manifest);
        }
        print(&format!(
            "already complete: `{}`\n",
            arguments.out.display()
        ));
        return Ok(());
    }
    let manifest = sort_to(arguments, &recording, &parameters, &choice, threads, &key)?;
    if arguments.run.json {
        print_json(&manifest)?;
    }
    Ok(())
}

/// Sorts and writes; returns the manifest.
///
/// # Errors
/// What reading, sorting and writing return.
pub fn sort_to(
    arguments: &Arguments,
    recording: &Arc<OpenRecording>,
    parameters: &SortingParameters,
    choice: &DeviceChoice,
    threads: usize,
    key: &str,
) -> Outcome<Value> {
    let messages = Arc::new(Messages::new(
        arguments.run.quiet,
        arguments.run.events.as_deref(),
    )?);
    let shown = Arc::clone(&messages);
    let control = Arc::new(Control::new(Box::new(move |event| shown.show(event))));
    let signals = Signals::watch(&control).map_err(|error| {
        Failure::new(
            ExitCode::Unexpected,
            format!("could not watch signals: {error}"),
        )
    })?;
    let work = arguments
        .work
        .clone()
        .unwrap_or_else(|| beside(&arguments.out, "work"));
    std::fs::create_dir_all(&work).map_err(|error| {
        Failure::new(
            ExitCode::Output,
            format!(
                "could not make the work folder `{}`: {error}",
                work.display()
            ),
        )
        .hint("check the permissions of the parent folder, or give another with `--work`")
    })?;
    let lock = FolderLock::acquire(&work)?;
    // Fail now, not after an hour, when the output cannot be written.
    let output = OutputFolder::create(&arguments.out, arguments.force)?;
    let executor = adapters::open(choice, threads)?;
    // The pool can only be made once; a second sort in one process keeps the first one's threads.
    let _ = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global();
    for warning in &recording.description().warnings {
        control.warn(warning.clone());
    }
    if recording.info().segments.len() > 1 {
        control.warn(format!(
            "the recording has {} pauses; spike times count samples as if there were none (segments.csv has the times)",
            recording.info().segments.len() - 1
        ));
    }
    let checkpoints = work.join("checkpoints");
    let options = SortOptions {
        executor: executor.as_ref(),
        control: &control,
        work: &checkpoints,
        blocks_together: arguments.run.chunk_blocks,
    };
    let start = std::time::Instant::now();
    let result = sort(recording.as_ref(), parameters, options).map_err(|error| match error {
        EngineError::Cancelled => signals.failure(),
        error => error.into(),
    });
    messages.finish();
    let result = result?;
    let seconds = start.elapsed().as_secs_f64();
    messages.line(&summary(&result, recording.info().duration_s(), seconds));
    let manifest = output::manifest(
        recording,
        parameters,
        key,
        executor.as_ref(),
        &control,
        &result,
        seconds,
    );
    output::write(
        output.path(),
        recording,
        &result,
        &manifest,
        &messages.log(),
    )?;
    output.commit()?;
    drop(lock);
    if !arguments.keep_work && arguments.work.is_none() {
        std::fs::remove_dir_all(&work).map_err(|error| {
            Failure::new(
                ExitCode::Output,
                format!(
                    "the result is complete, but `{}` could not be removed: {error}",
                    work.display()
                ),
            )
        })?;
    }
    messages.line(&format!("result in `{}`", arguments.out.display()));
    Ok(manifest)
}

/// `NAME.SUFFIX` beside a folder.
pub fn beside(folder: &Path, suffix: &str) -> PathBuf {
    let mut name = folder.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(suffix);
    folder.with_file_name(name)
}

/// One line on a result.
fn summary(result: &SortingResult, duration_s: f64, seconds: f64) -> String {
    let good = result
        .units
        .iter()
        .filter(|unit| unit.label == somata_engine::sorting::result::Label::Good)
        .count();
    format!(
        "{} units ({good} good) with {} spikes; {duration_s:.1} s of recording in {seconds:.1} s ({:.1} × real time)",
        result.units.len(),
        result.spike_samples.len(),
        duration_s / seconds
    )
}

/// Defaults, then the TOML file, then `--set`.
///
/// # Errors
/// When a name is unknown or a value does not fit.
pub fn parameters(run: &RunArguments) -> Outcome<SortingParameters> {
    let mut parameters = SortingParameters::default();
    if let Some(path) = &run.params {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::new(
                ExitCode::Usage,
                format!("could not read `{}`: {error}", path.display()),
            )
            .hint("give the path of a TOML file with parameters")
        })?;
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            Failure::new(
                ExitCode::Usage,
                format!("`{}` is not TOML: {}", path.display(), error.message()),
            )
            .hint("write `[stage]` and below it `name = value`; `somata params` lists all")
        })?;
        for (stage, values) in &table {
            let Some(values) = values.as_table() else {
                return Err(Failure::new(
                    ExitCode::Usage,
                    format!("`{stage}` in `{}` is not a table", path.display()),
                )
                .hint("write `[stage]` and below it `name = value`"));
            };
            for (name, value) in values {
                let text = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                parameters.set(&format!("{stage}.{name}"), &text)?;
            }
        }
    }
    for setting in &run.settings {
        let Some((name, value)) = setting.split_once('=') else {
            return Err(
                Failure::new(ExitCode::Usage, format!("`--set {setting}` has no `=`"))
                    .hint("write `--set stage.name=value`"),
            );
        };
        parameters.set(name.trim(), value)?;
    }
    Ok(parameters)
}

/// Threads that are asked for, as few as the memory allows.
fn threads(run: &RunArguments, n_channels: usize) -> Outcome<usize> {
    let slurm = std::env::var("SLURM_CPUS_PER_TASK")
        .ok()
        .and_then(|text| text.parse().ok());
    let all = std::thread::available_parallelism().map_or(1, |n| n.get());
    if run.threads == Some(0) || run.chunk_blocks == Some(0) {
        return Err(Failure::new(
            ExitCode::Usage,
            "`--threads` and `--chunk-blocks` must be at least 1",
        )
        .hint("leave them out to use all cores"));
    }
    let wanted = run.threads.or(slurm).unwrap_or(all).max(1);
    let Some(memory) = &run.memory else {
        return Ok(wanted);
    };
    let budget = parse_bytes(memory).ok_or_else(|| {
        Failure::new(
            ExitCode::Usage,
            format!("`--memory {memory}` is not a size"),
        )
        .hint("write for example 800MB or 4GB")
    })?;
    (1..=wanted).rev().find(|&threads| output::estimate_memory(n_channels, threads) <= budget).ok_or_else(|| {
        Failure::new(
            ExitCode::Memory,
            format!(
                "{n_channels} channels need about {:.1} GB of memory with one thread, `--memory` allows {:.1} GB",
                output::estimate_memory(n_channels, 1) as f64 / 1e9,
                budget as f64 / 1e9
            ),
        )
        .hint("allow more memory")
    })
}

/// `4GB`, `800MB`, `1073741824`.
fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_uppercase();
    let number_end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let number: f64 = text[..number_end].parse().ok()?;
    let unit = match text[number_end..].trim() {
        "" | "B" => 1.0,
        "K" | "KB" => 1e3,
        "M" | "MB" => 1e6,
        "G" | "GB" => 1e9,
        "T" | "TB" => 1e12,
        "KIB" => 1024.0,
        "MIB" => 1024.0 * 1024.0,
        "GIB" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    (number.is_finite() && number > 0.0).then_some((number * unit) as u64)
}

/// Hash of what a result depends on.
///
/// # Errors
/// Never at present.
pub fn result_key(recording: &OpenRecording, parameters: &SortingParameters) -> Outcome<String> {
    let text = format!(
        "{}\n{}\n{}",
        recording.info().identity,
        serde_json::to_string(parameters).expect("plain parameters"),
        env!("CARGO_PKG_VERSION")
    );
    Ok(blake3::hash(text.as_bytes()).to_hex()[..16].to_owned())
}

/// The manifest of a complete result of the same run; an error when the folder holds anything else.
fn existing(out: &Path, key: &str, force: bool) -> Outcome<Option<Value>> {
    if !out.exists() {
        return Ok(None);
    }
    if let Ok(text) = std::fs::read_to_string(out.join("manifest.json"))
        && let Ok(manifest) = serde_json::from_str::<Value>(&text)
    {
        if manifest["key"] == key {
            return Ok(Some(manifest));
        }
        if force && manifest["kind"] == "sort" {
            return Ok(None);
        }
        return Err(Failure::new(
            ExitCode::Output,
            format!(
                "`{}` holds a result of another recording, version or parameters",
                out.display()
            ),
        )
        .hint("choose another `--out`, or replace it with `--force`"));
    }
    let empty = out
        .read_dir()
        .is_ok_and(|mut entries| entries.next().is_none());
    if empty && std::fs::remove_dir(out).is_ok() {
        // Some schedulers make the folder before they start the command.
        return Ok(None);
    }
    Err(Failure::new(
        ExitCode::Output,
        format!("`{}` exists and is not a result of somata", out.display()),
    )
    .hint("choose another `--out`; `--force` replaces only results of somata"))
}

fn dry_run(
    arguments: &Arguments,
    recording: &OpenRecording,
    parameters: &SortingParameters,
    choice: &DeviceChoice,
    threads: usize,
) -> Outcome {
    let info = recording.info();
    let rounds = parameters.matching.rounds;
    let mut stages = vec!["survey".to_owned(), "detection".into(), "motion".into()];
    for round in 1..=rounds {
        stages.push(format!("templates {round}"));
        stages.push(if round < rounds {
            format!("matching {round}")
        } else {
            "last matching".into()
        });
    }
    stages.push("curation".into());
    let plan = json!({
        "recording": arguments.recording,
        "duration_s": info.duration_s(),
        "n_channels": info.n_channels(),
        "device": choice.to_string(),
        "threads": threads,
        "stages": stages,
        "memory_bytes": output::estimate_memory(info.n_channels(), threads),
        "disk_bytes": output::estimate_disk(info.n_channels(), info.duration_s()),
        "out": arguments.out,
        "parameters": parameters,
    });
    print_json(&plan)
}
