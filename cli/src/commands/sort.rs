//! `somata sort`

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use somata_engine::{
    device::{CpuExecutor, DeviceChoice},
    error::EngineError,
    parameters::sorting::SortingParameters,
    recording::Recording,
    sorting::{SortOptions, SortingResult, sort},
};
use somata_io::recording::{OpenOptions, selection::Selection};

use crate::{
    adapt::OpenRecording,
    again::{absolute_option, absolute_paths, path_text},
    commands::{
        help::{self, heading},
        print_json,
        validate::{check_truth, score},
    },
    estimates::{self, SortShare},
    exit::Outcome,
    report,
    run::{
        OutputArguments, RunArguments, Session, already_complete, memory_budget, parameters, rate,
    },
    sorting_output as output,
};

/// What a user may say about a recording.
#[derive(Args, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct InputArguments {
    /// Probe: probeinterface JSON, Kilosort's `chanMap.mat`, a `.prb`, SpikeGLX's `.imro` or a Blackrock `.cmp` map
    #[arg(long, value_name = "FILE", help_heading = heading::RECORDING)]
    #[serde(serialize_with = "absolute_option")]
    pub probe: Option<PathBuf>,
    /// Samples a second of a bare binary file
    #[arg(long, value_name = "HZ", help_heading = heading::RECORDING)]
    pub sampling_frequency: Option<f64>,
    /// Channels of a bare binary file
    #[arg(long, value_name = "N", help_heading = heading::RECORDING)]
    pub n_channels: Option<usize>,
    /// Sample type of a bare binary file: int16, uint16, int32 or float32
    #[arg(long, help_heading = heading::RECORDING)]
    pub dtype: Option<String>,
    /// Microvolts of one unit of the sample type
    #[arg(long, value_name = "UV", help_heading = heading::RECORDING)]
    pub gain_uv: Option<f64>,
    /// Microvolts of sample value 0
    #[arg(long, value_name = "UV", allow_hyphen_values = true, help_heading = heading::RECORDING)]
    pub offset_uv: Option<f64>,
    /// Header bytes to skip in a bare binary file
    #[arg(long, value_name = "BYTES", help_heading = heading::RECORDING)]
    pub offset_bytes: Option<u64>,
    /// Stream to read where a recording has several; a part of its name is enough
    #[arg(long, value_name = "NAME", help_heading = heading::RECORDING)]
    pub stream: Option<String>,
    /// Begin at this second of the recording, pauses not counted
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true, help_heading = heading::RECORDING)]
    pub start_s: Option<f64>,
    /// End at this second of the recording
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true, help_heading = heading::RECORDING)]
    pub end_s: Option<f64>,
    /// Channels to use: rows from 0, names, ranges, or `wired` for those of the probe, for example 0-95,100
    #[arg(long, value_name = "LIST", help_heading = heading::RECORDING)]
    pub channels: Option<String>,
}

impl InputArguments {
    /// The options that were given, as they are typed.
    pub fn given(&self) -> Vec<String> {
        let text = |value: &Option<String>| value.clone();
        let number = |value: Option<f64>| value.map(|value| value.to_string());
        let options = [
            ("--probe", self.probe.as_deref().map(path_text)),
            ("--sampling-frequency", number(self.sampling_frequency)),
            ("--n-channels", self.n_channels.map(|n| n.to_string())),
            ("--dtype", text(&self.dtype)),
            ("--gain-uv", number(self.gain_uv)),
            ("--offset-uv", number(self.offset_uv)),
            ("--offset-bytes", self.offset_bytes.map(|n| n.to_string())),
            ("--stream", text(&self.stream)),
            ("--start-s", number(self.start_s)),
            ("--end-s", number(self.end_s)),
            ("--channels", text(&self.channels)),
        ];
        options
            .into_iter()
            .filter_map(|(name, value)| Some([name.to_owned(), value?]))
            .flatten()
            .collect()
    }

    /// The part of the recording that is wanted.
    pub fn selection(&self) -> Selection {
        Selection {
            start_s: self.start_s,
            end_s: self.end_s,
            channels: self.channels.clone(),
        }
    }

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
            stream: self.stream.clone(),
        }
    }
}

/// Arguments of `somata sort`.
#[derive(Args, Clone, Deserialize, Serialize)]
#[command(after_help = help::SORT)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    /// A recording: a folder or a file; several are joined in this order
    #[arg(required = true, value_name = "RECORDING")]
    #[serde(serialize_with = "absolute_paths")]
    pub recordings: Vec<PathBuf>,
    #[command(flatten)]
    #[serde(skip)]
    pub output: OutputArguments,
    #[command(flatten)]
    pub input: InputArguments,
    /// Truth of a simulated recording (its folder, or truth.npz): the report then shows the scores
    #[arg(long, value_name = "PATH", help_heading = heading::RESULT)]
    #[serde(serialize_with = "absolute_option")]
    pub truth: Option<PathBuf>,
    /// Sets of templates of moved tissue that are held; results do not depend on it
    #[arg(long, hide = true)]
    #[serde(skip)]
    pub template_sets: Option<usize>,
    /// Filter and whiten anew in every pass, instead of keeping the result in a temporary file of the work folder while the sort
    /// runs; slower, and results do not depend on it
    #[arg(long, help_heading = heading::MACHINE)]
    #[serde(skip)]
    pub no_whitened_file: bool,
    #[command(flatten)]
    #[serde(skip)]
    pub run: RunArguments,
}

/// Runs `somata sort`.
pub fn run(arguments: &Arguments) -> Outcome {
    let parameters: SortingParameters = parameters(&arguments.run)?;
    let choice = arguments.run.choice()?;
    let recording = OpenRecording::open(&arguments.recordings, &arguments.input)?;
    arguments.run.check_input(&recording.fingerprint())?;
    if let Some(truth) = &arguments.truth {
        // What is wrong with it should show now and not after an hour.
        check_truth(truth)?;
    }
    let info = recording.info();
    let no_room = estimates::no_room_for_whitened(&arguments.output.work(), info);
    let keep_whitened = !arguments.no_whitened_file && no_room.is_none();
    let mut share = SortShare::of(&arguments.run, info, &parameters, keep_whitened)?;
    share.template_sets = arguments.template_sets.or(share.template_sets);
    let key = result_key(&recording, &parameters)?;
    if arguments.output.dry_run {
        return dry_run(arguments, &recording, &parameters, &choice, share);
    }
    let output = &arguments.output;
    if already_complete(&output.out, &key, "sort", output.force, arguments.run.json)? {
        return Ok(());
    }
    let manifest = sort_to(arguments, &recording, &parameters, &choice, share, &key)?;
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
    share: SortShare,
    key: &str,
) -> Outcome<Value> {
    let session = Session::begin(&arguments.output, &arguments.run, choice, share.threads)?;
    let description = recording.description();
    session.tell_input(
        &format!(
            "{}, {} channels, {:.1} s at {} Hz",
            description.format,
            description.n_channels,
            description.duration_s(),
            description.sampling_frequency_hz
        ),
        parameters,
    );
    let control = &session.control;
    for warning in &recording.description().warnings {
        control.warn(warning.clone());
    }
    if !share.keep_whitened && !arguments.no_whitened_file {
        let work = arguments.output.work();
        if let Some(warning) = estimates::no_room_for_whitened(&work, recording.info()) {
            control.warn(warning);
        }
    }
    if recording.info().segments.len() > 1 {
        control.warn(format!(
            "the recording has {} pauses or ends of files; spike times count samples as if there were none (segments.csv has the times)",
            recording.info().segments.len() - 1
        ));
    }
    let checkpoints = session.checkpoints();
    let options = SortOptions {
        executor: session.executor.as_ref(),
        control,
        work: &checkpoints,
        blocks_together: arguments.run.chunk_blocks,
        template_sets: share.template_sets,
        keep_whitened: share.keep_whitened,
        // On a graphics card most of it is in the card's own memory.
        memory_bytes: memory_budget(&arguments.run)?
            .filter(|_| session.executor.name() == CpuExecutor::NAME),
    };
    let start = std::time::Instant::now();
    let result = session.outcome(sort(recording.as_ref(), parameters, options))?;
    recording.check_unchanged().map_err(EngineError::from)?;
    if let Some(warning) = recording.warning_of_gone() {
        control.warn(warning);
    }
    let seconds = start.elapsed().as_secs_f64();
    session
        .messages
        .line(&summary(&result, recording.info().duration_s(), seconds));
    let folder = session.output.path();
    let similarity = output::write(folder, recording, &result)?;
    let truth = arguments
        .truth
        .as_ref()
        .map(|truth| score(folder, truth, false));
    let truth = truth.and_then(|scores| report::or_warn(scores, control));
    let mut manifest = output::manifest(
        arguments,
        recording,
        parameters,
        key,
        session.executor.as_ref(),
        control,
        &result,
        seconds,
    );
    let warning = report::attempt(|| {
        report::sorting::write(
            &folder.join(report::FILE),
            &report::sorting::Sources {
                recording,
                recording_path: &arguments.recordings[0],
                result: &result,
                manifest: &manifest,
                similarity: &similarity,
                truth: truth.as_ref(),
            },
        )
    })?;
    if let Some(warning) = warning {
        control.warn(warning);
        manifest["warnings"] = json!(control.warnings());
    }
    output::write_manifest(folder, &manifest, &session.messages.log())?;
    session.commit(&arguments.output)?;
    Ok(manifest)
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
        rate(duration_s, seconds)
    )
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

fn dry_run(
    arguments: &Arguments,
    recording: &OpenRecording,
    parameters: &SortingParameters,
    choice: &DeviceChoice,
    share: SortShare,
) -> Outcome {
    let info = recording.info();
    let rounds = parameters.matching.rounds;
    let mut stages = vec!["survey".to_owned(), "detection".into(), "motion".into()];
    for round in 1..=rounds {
        stages.push(format!("clustering {round}"));
        stages.push(format!("templates {round}"));
        stages.push(if round < rounds {
            format!("matching {round}")
        } else {
            "last matching".into()
        });
    }
    stages.extend(["curation".into(), "waveforms".into()]);
    let plan = json!({
        "recordings": arguments.recordings.iter().map(|path| path_text(path)).collect::<Vec<_>>(),
        "duration_s": info.duration_s(),
        "n_channels": info.n_channels(),
        "device": choice.to_string(),
        "threads": share.threads,
        "template_sets_held": share.template_sets,
        "stages": stages,
        "memory_bytes": share.memory(info, parameters),
        "memory_bytes_by_stage": share.memory_by_stage(info, parameters).into_iter().collect::<BTreeMap<_, _>>(),
        "memory_bytes_if_it_drifts": share.memory_if_it_drifts(info, parameters),
        "disk_bytes": estimates::sort_disk(info, share.keep_whitened),
        "out": path_text(&arguments.output.out),
        "parameters": parameters,
    });
    print_json(&plan)
}
