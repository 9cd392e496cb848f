//! What all commands that make a result share: their options, and the session in which a result is made.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use serde_json::Value;
use somata_engine::{
    device::{DeviceChoice, Executor, adapters},
    error::EngineError,
    parameters::ParameterSet,
    stream::{Control, Event},
};
use somata_io::{atomic::OutputFolder, lock::FolderLock};

use crate::{
    again::Again,
    allocator,
    commands::{help::heading, print, print_json},
    exit::{ExitCode, Failure, Outcome},
    messages::Messages,
    report,
    signals::Signals,
};

/// How a run is made.
#[derive(Args, Clone, Default)]
pub struct RunArguments {
    /// auto, cpu, gpu, a number from `somata devices`, a PCI address or a part of a name
    #[arg(long, default_value = "auto", help_heading = heading::MACHINE)]
    pub device: String,
    /// Threads; by default what SLURM_CPUS_PER_TASK says, or all cores
    #[arg(long, value_name = "N", help_heading = heading::MACHINE)]
    pub threads: Option<usize>,
    /// Largest memory to use, for example 4GB; fewer threads are taken to stay below it
    #[arg(long, value_name = "SIZE", help_heading = heading::MACHINE)]
    pub memory: Option<String>,
    /// Blocks that travel together; results do not depend on it
    #[arg(long, value_name = "N", hide = true, help_heading = heading::MACHINE)]
    pub chunk_blocks: Option<usize>,
    /// Set a parameter; `somata params` lists all
    #[arg(long = "set", value_name = "STAGE.NAME=VALUE", help_heading = heading::PARAMETERS)]
    pub settings: Vec<String>,
    /// TOML file with parameters, one table a stage
    #[arg(long, value_name = "FILE", help_heading = heading::PARAMETERS)]
    pub params: Option<PathBuf>,
    /// Print one JSON object at the end
    #[arg(long, help_heading = heading::MESSAGES)]
    pub json: bool,
    /// Write events as JSON lines to this file, or `-` for stdout
    #[arg(long, value_name = "FILE", help_heading = heading::MESSAGES)]
    pub events: Option<PathBuf>,
    /// Show no progress
    #[arg(long, short, help_heading = heading::MESSAGES)]
    pub quiet: bool,
    /// Say also what was opened, on what it runs, and which parameters are not the defaults
    #[arg(long, short, conflicts_with = "quiet", help_heading = heading::MESSAGES)]
    pub verbose: bool,
    /// The result that is made again, in `somata rerun`
    #[arg(skip)]
    pub again: Option<Again>,
}

impl RunArguments {
    /// The defaults on a device, as `somata demo` runs.
    pub fn on(device: &str, quiet: bool) -> Self {
        Self {
            device: device.into(),
            threads: None,
            memory: None,
            chunk_blocks: None,
            settings: Vec::new(),
            params: None,
            json: false,
            events: None,
            quiet,
            verbose: false,
            again: None,
        }
    }

    /// The device that was asked for.
    ///
    /// # Errors
    /// When it is no choice of a device.
    pub fn choice(&self) -> Outcome<DeviceChoice> {
        self.device
            .parse()
            .map_err(|error: String| Failure::new(ExitCode::Usage, error))
    }
}

/// Where a result goes.
#[derive(Args, Clone, Default)]
pub struct OutputArguments {
    /// Folder for the result; it appears whole or not at all
    #[arg(long, short, help_heading = heading::RESULT)]
    pub out: PathBuf,
    /// Folder for checkpoints; OUT.work by default, removed after success
    #[arg(long, help_heading = heading::RESULT)]
    pub work: Option<PathBuf>,
    /// Keep the work folder after success
    #[arg(long, help_heading = heading::RESULT)]
    pub keep_work: bool,
    /// Say what would be done, with memory and disk estimates
    #[arg(long, help_heading = heading::RESULT)]
    pub dry_run: bool,
    /// Replace a result that was made with other parameters
    #[arg(long, help_heading = heading::RESULT)]
    pub force: bool,
}

impl OutputArguments {
    /// The work folder.
    pub fn work(&self) -> PathBuf {
        let beside_out = || beside(&self.out, "work");
        self.work.clone().unwrap_or_else(beside_out)
    }

    /// A folder that may be replaced, as `somata demo` writes.
    pub fn replacing(out: PathBuf) -> Self {
        Self {
            out,
            work: None,
            keep_work: false,
            dry_run: false,
            force: true,
        }
    }
}

/// A result in the making: locked work folder, output under a temporary name, open device, watched signals.
pub struct Session {
    /// What the user sees.
    pub messages: Arc<Messages>,
    /// Watches and stops the run.
    pub control: Arc<Control>,
    /// The device.
    pub executor: Box<dyn Executor>,
    /// The output, under its temporary name.
    pub output: OutputFolder,
    signals: Signals,
    work: WorkFolder,
}

/// The locked folder for checkpoints.
struct WorkFolder {
    path: PathBuf,
    /// Whether this run made it.
    is_new: bool,
    /// `None` when the folder is given back.
    lock: Option<FolderLock>,
}

impl WorkFolder {
    fn open(path: PathBuf) -> Outcome<Self> {
        let is_new = !path.exists();
        std::fs::create_dir_all(&path).map_err(|error| {
            Failure::new(
                ExitCode::Output,
                format!(
                    "could not make the work folder `{}`: {error}",
                    path.display()
                ),
            )
            .hint("check the permissions of the parent folder, or give another with `--work`")
        })?;
        let lock = Some(FolderLock::acquire(&path)?);
        Ok(Self { path, is_new, lock })
    }

    fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// Whether a stage was finished, so that the same command would go on from it.
    fn has_checkpoint(&self) -> bool {
        std::fs::read_dir(self.checkpoints()).is_ok_and(|mut entries| {
            // Anything else there belongs to a stage that was not finished.
            entries.any(|entry| {
                entry.is_ok_and(|entry| entry.path().extension().is_some_and(|e| e == "bin"))
            })
        })
    }
}

impl Drop for WorkFolder {
    /// A run that failed before its first stage was done leaves nothing: there is nothing to go on from.
    fn drop(&mut self) {
        if self.lock.take().is_some() && self.is_new && !self.has_checkpoint() {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

impl Session {
    /// Opens everything that a run needs, so that what is wrong shows now and not after an hour.
    ///
    /// # Errors
    /// When a folder cannot be made or is in use, or the device does not open.
    pub fn begin(
        out: &OutputArguments,
        run: &RunArguments,
        choice: &DeviceChoice,
        threads: usize,
    ) -> Outcome<Self> {
        let messages = Messages::new(run.quiet, run.events.as_deref())?;
        let messages = Arc::new(messages.with_details(run.verbose));
        let shown = Arc::clone(&messages);
        let control = Arc::new(Control::new(Box::new(move |event| {
            if matches!(event, Event::StageDone { .. }) {
                allocator::give_back();
            }
            shown.show(event);
        })));
        let work = WorkFolder::open(out.work())?;
        let signals = Signals::watch(&control, work.checkpoints()).map_err(|error| {
            Failure::new(
                ExitCode::Unexpected,
                format!("could not watch signals: {error}"),
            )
        })?;
        let output = OutputFolder::create(&out.out, out.force)?;
        let executor = adapters::open(choice, threads, |message| control.warn(message))?;
        if let Some(again) = &run.again {
            for difference in again.differences(&executor.name()) {
                control.warn(difference);
            }
        }
        // The pool can only be made once; a second run in one process keeps the first one's threads.
        let _ = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build_global();
        for (what, value) in [
            ("device", executor.name()),
            ("threads", threads.to_string()),
            ("work folder", format!("`{}`", work.path.display())),
        ] {
            messages.detail(&format!("{what:<22} {value}"));
        }
        Ok(Self {
            messages,
            control,
            executor,
            output,
            signals,
            work,
        })
    }

    /// Says what was opened and which parameters are not the defaults, for those who want details.
    pub fn tell_input<P: ParameterSet>(&self, input: &str, parameters: &P) {
        self.messages.detail(&format!("{:<22} {input}", "input"));
        let changed = changed_parameters(parameters);
        let changed = match changed.is_empty() {
            true => "the defaults".to_owned(),
            false => changed.join(", "),
        };
        self.messages
            .detail(&format!("{:<22} {changed}", "parameters"));
    }

    /// Where checkpoints go.
    pub fn checkpoints(&self) -> PathBuf {
        self.work.checkpoints()
    }

    /// The outcome of the engine, with the exit code of the signal that stopped it, if one did.
    ///
    /// # Errors
    /// The engine's.
    pub fn outcome<T>(&self, result: Result<T, EngineError>) -> Outcome<T> {
        self.messages.finish();
        result.map_err(|error| match error {
            EngineError::Cancelled => self.signals.failure(),
            error => error.into(),
        })
    }

    /// Gives the output its name and removes the work folder.
    ///
    /// # Errors
    /// When either fails.
    pub fn commit(mut self, out: &OutputArguments) -> Outcome {
        let with_report = self.output.path().join(report::FILE).exists();
        self.output.commit()?;
        self.work.lock = None;
        if !out.keep_work && out.work.is_none() {
            std::fs::remove_dir_all(&self.work.path).map_err(|error| {
                Failure::new(
                    ExitCode::Output,
                    format!(
                        "the result is complete, but `{}` could not be removed: {error}",
                        self.work.path.display()
                    ),
                )
            })?;
        }
        self.messages
            .line(&format!("result in `{}`", out.out.display()));
        if with_report {
            self.messages.line(&format!(
                "open `{}` in a browser to look at it",
                out.out.join(report::FILE).display()
            ));
        }
        Ok(())
    }
}

/// How many a second; a clock that stands still or goes backwards gives a duration of 0, which says nothing: 0.
pub fn rate(n: f64, seconds: f64) -> f64 {
    if seconds > 0.0 { n / seconds } else { 0.0 }
}

/// `NAME.SUFFIX` beside a folder.
pub fn beside(folder: &Path, suffix: &str) -> PathBuf {
    let mut name = folder.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(suffix);
    folder.with_file_name(name)
}

/// Defaults, then the TOML file, then `--set`.
///
/// # Errors
/// When a name is unknown or a value does not fit.
pub fn parameters<P: ParameterSet>(run: &RunArguments) -> Outcome<P> {
    let mut parameters = P::default();
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
                format!(
                    "`{}` is not TOML{}: {}",
                    path.display(),
                    line_of(&text, &error),
                    error.message()
                ),
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
                let full_name = format!("{stage}.{name}");
                parameters.set(&full_name, &text).map_err(|error| {
                    let mut failure = Failure::from(error);
                    failure.message = format!("in `{}`: {}", path.display(), failure.message);
                    failure
                })?;
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

/// What differs from the defaults, as `stage.name = value (default value)`.
fn changed_parameters<P: ParameterSet>(parameters: &P) -> Vec<String> {
    let values = |parameters: &P| serde_json::to_value(parameters).unwrap_or_default();
    let (found, default) = (values(parameters), values(&P::default()));
    let mut changed = Vec::new();
    for (stage, values) in found.as_object().into_iter().flatten() {
        for (name, value) in values.as_object().into_iter().flatten() {
            let usual = &default[stage][name];
            if value != usual {
                changed.push(format!("{stage}.{name} = {value} (default {usual})"));
            }
        }
    }
    changed
}

/// Where in a file an error is, as ` (line 3)`; nothing where that is not known.
fn line_of(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    before.map_or(String::new(), |before| {
        format!(" (line {})", before.matches('\n').count() + 1)
    })
}

/// Threads that are asked for, as few as the memory allows; `estimate` is the memory that a number of threads takes, `what` what takes it.
///
/// # Errors
/// When an option makes no sense, or one thread takes more than is allowed.
pub fn threads(run: &RunArguments, what: &str, estimate: impl Fn(usize) -> u64) -> Outcome<usize> {
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
    let Some(budget) = memory_budget(run)? else {
        return Ok(wanted);
    };
    let memory = run.memory.as_deref().unwrap_or_default();
    (1..=wanted)
        .rev()
        .find(|&threads| estimate(threads) <= budget)
        .ok_or_else(|| {
            // Rounded up, so that what is said to be enough is.
            let least = estimate(1).div_ceil(1_000_000);
            Failure::new(
                ExitCode::Usage,
                format!(
                    "{what} need at least {least} MB of memory, `--memory {memory}` allows {} MB",
                    budget / 1_000_000
                ),
            )
            .hint(format!("give `--memory {least}MB` or more"))
        })
}

/// Bytes that `--memory` allows.
///
/// # Errors
/// When it is not a size.
pub fn memory_budget(run: &RunArguments) -> Outcome<Option<u64>> {
    let Some(memory) = &run.memory else {
        return Ok(None);
    };
    parse_bytes(memory).map(Some).ok_or_else(|| {
        Failure::new(
            ExitCode::Usage,
            format!("`--memory {memory}` is not a size"),
        )
        .hint("write for example 800MB or 4GB")
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

/// Whether there is a complete result of the same run already, which is then told: its manifest as JSON, or one line.
///
/// # Errors
/// When the folder holds another result or something else, and may not be replaced.
pub fn already_complete(
    out: &Path,
    key: &str,
    kind: &str,
    force: bool,
    as_json: bool,
) -> Outcome<bool> {
    match existing(out, key, kind, force)? {
        None => return Ok(false),
        Some(manifest) if as_json => print_json(&manifest)?,
        Some(_) => print(&format!("already complete: `{}`\n", out.display())),
    }
    somata_io::atomic::tidy(out);
    Ok(true)
}

/// The manifest of a complete result of the same run; an error when the folder holds anything else.
///
/// # Errors
/// When it holds another result or something else, and may not be replaced.
fn existing(out: &Path, key: &str, kind: &str, force: bool) -> Outcome<Option<Value>> {
    if !out.exists() {
        return Ok(None);
    }
    if let Ok(text) = std::fs::read_to_string(out.join("manifest.json"))
        && let Ok(manifest) = serde_json::from_str::<Value>(&text)
    {
        if manifest["key"] == key {
            return Ok(Some(manifest));
        }
        if force && manifest["kind"] == kind {
            return Ok(None);
        }
        return Err(Failure::new(
            ExitCode::Output,
            format!(
                "`{}` holds a result of another input, version or parameters",
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
