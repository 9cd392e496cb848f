//! `somata image`

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use somata_engine::{
    device::DeviceChoice,
    error::EngineError,
    imaging::{ImageOptions, ImagingResult, check_movie, image, segmentation::Network},
    movie::Movie,
    parameters::imaging::ImagingParameters,
};
use somata_io::movie::MovieOptions;

use crate::{
    adapt::{OpenMovie, network_weights},
    again::{absolute, absolute_option, absolute_paths, path_text},
    commands::{
        help::{self, heading},
        print_json,
        validate::{check_movie_truth, score_planes},
    },
    estimates,
    exit::{ExitCode, Failure, Outcome},
    imaging_output as output,
    kept_movies::KeptMovies,
    report,
    run::{OutputArguments, RunArguments, Session, already_complete, parameters, rate, threads},
    sorting_output::write_manifest,
};

/// What a user may say about a movie.
#[derive(Args, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MovieArguments {
    /// Frames a second of one plane, where the files do not say it
    #[arg(long, value_name = "HZ", allow_negative_numbers = true, help_heading = heading::MOVIE)]
    pub frame_rate: Option<f64>,
    /// Planes of a volume
    #[arg(long, value_name = "N", help_heading = heading::MOVIE)]
    pub n_planes: Option<usize>,
    /// Colour channels
    #[arg(long, value_name = "N", help_heading = heading::MOVIE)]
    pub n_channels: Option<usize>,
    /// Rows of a frame of a bare binary file
    #[arg(long, value_name = "PIXELS", help_heading = heading::MOVIE)]
    pub height: Option<usize>,
    /// Columns of a frame of a bare binary file
    #[arg(long, value_name = "PIXELS", help_heading = heading::MOVIE)]
    pub width: Option<usize>,
    /// Pixel type of a bare binary file, for example int16
    #[arg(long, help_heading = heading::MOVIE)]
    pub dtype: Option<String>,
    /// Dataset or series to read where an HDF5 or NWB file holds several movies; a part of its name is enough
    #[arg(long, value_name = "NAME", help_heading = heading::MOVIE)]
    pub dataset: Option<String>,
}

impl MovieArguments {
    /// As the readers take it.
    ///
    /// # Errors
    /// When an option makes no sense, whatever the movie.
    pub fn options(&self) -> Outcome<MovieOptions> {
        if let Some(rate) = self.frame_rate.filter(|r| !(r.is_finite() && *r > 0.0)) {
            return Err(
                Failure::new(ExitCode::Usage, format!("`--frame-rate {rate}` is no rate"))
                    .hint("give the frames a second of one plane, for example 30"),
            );
        }
        for (option, number) in [
            ("--n-planes", self.n_planes),
            ("--n-channels", self.n_channels),
            ("--height", self.height),
            ("--width", self.width),
        ] {
            if number == Some(0) {
                return Err(Failure::new(
                    ExitCode::Usage,
                    format!("`{option}` must be at least 1"),
                )
                .hint("leave it out to take what the files say"));
            }
        }
        Ok(MovieOptions {
            n_planes: self.n_planes,
            n_channels: self.n_channels,
            height: self.height,
            width: self.width,
            dtype: self.dtype.clone(),
            frame_rate_hz: self.frame_rate,
            dataset: self.dataset.clone(),
        })
    }
}

/// Arguments of `somata image`.
#[derive(Args, Clone, Deserialize, Serialize)]
#[command(after_help = help::IMAGE)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    /// Files of one movie in the order of time, or a folder of TIFF files
    #[arg(required = true)]
    #[serde(serialize_with = "absolute_paths")]
    pub movie: Vec<PathBuf>,
    #[command(flatten)]
    #[serde(skip)]
    pub output: OutputArguments,
    #[command(flatten)]
    pub input: MovieArguments,
    /// Decay of the indicator, s; estimated from the data when it is not given
    #[arg(long, value_name = "S", allow_negative_numbers = true, help_heading = heading::CELLS)]
    pub tau: Option<f64>,
    /// Channel in which cells are active, counted from 1
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = heading::CELLS)]
    pub functional_channel: usize,
    /// Weights of another network (safetensors; see training/)
    #[arg(long, value_name = "FILE", help_heading = heading::CELLS)]
    #[serde(serialize_with = "absolute_option")]
    pub weights: Option<PathBuf>,
    /// Write the registered movie as well
    #[arg(long, help_heading = heading::RESULT)]
    pub keep_movie: bool,
    /// Truth of a simulated movie (its folder, or truth.npz): the report then shows the scores
    #[arg(long, value_name = "PATH", help_heading = heading::RESULT)]
    #[serde(serialize_with = "absolute_option")]
    pub truth: Option<PathBuf>,
    #[command(flatten)]
    #[serde(skip)]
    pub run: RunArguments,
}

/// Runs `somata image`.
pub fn run(arguments: &Arguments) -> Outcome {
    let parameters: ImagingParameters = parameters(&arguments.run)?;
    let choice = arguments.run.choice()?;
    let movie = OpenMovie::open(&arguments.movie, &arguments.input.options()?)?;
    if let Some(tau) = arguments.tau.filter(|tau| !(0.01..=20.0).contains(tau)) {
        return Err(Failure::new(
            ExitCode::Usage,
            format!("`--tau {tau}` is no decay of an indicator"),
        )
        .hint("give seconds, for example 0.7 for GCaMP6f, or leave it out to have it estimated"));
    }
    if arguments.functional_channel == 0 {
        return Err(
            Failure::new(ExitCode::Usage, "`--functional-channel` counts from 1")
                .hint("give 1 for the first channel"),
        );
    }
    arguments.run.check_input(&movie.info().identity)?;
    if let Some(truth) = &arguments.truth {
        // What is wrong with it should show now and not after an hour.
        check_movie_truth(truth)?;
    }
    let info = movie.info();
    check_movie(info, arguments.functional_channel - 1)?;
    let what = format!("frames of {} × {} pixels", info.height, info.width);
    let (weights, _) = network_weights(arguments.weights.as_deref())?;
    let memory = estimates::image_memory(info, &parameters, arguments.tau, &weights)?;
    let threads = threads(&arguments.run, &what, &memory)?;
    let key = result_key(arguments, &movie, &parameters)?;
    if arguments.output.dry_run {
        return print_json(&json!({
            "movie": arguments.movie.iter().map(|path| path_text(path)).collect::<Vec<_>>(),
            "duration_s": info.n_frames as f64 / info.frame_rate_hz,
            "n_frames": info.n_frames,
            "n_planes": info.n_planes,
            "n_channels": info.n_channels,
            "device": choice.to_string(),
            "threads": threads,
            "stages": output::stages(info),
            "memory_bytes": memory(threads),
            "disk_bytes": output::estimate_disk(info, &parameters),
            "out": path_text(&arguments.output.out),
            "parameters": parameters,
        }));
    }
    let output = &arguments.output;
    if already_complete(&output.out, &key, "image", output.force, arguments.run.json)? {
        return Ok(());
    }
    let manifest = image_to(arguments, &movie, &parameters, &choice, threads, &key)?;
    if arguments.run.json {
        print_json(&manifest)?;
    }
    Ok(())
}

/// Hash of what a result depends on.
///
/// # Errors
/// When the weights cannot be read, or are not those of the result that is made again.
pub fn result_key(
    arguments: &Arguments,
    movie: &OpenMovie,
    parameters: &ImagingParameters,
) -> Outcome<String> {
    let (_, weights) = network_weights(arguments.weights.as_deref())?;
    arguments.run.check_weights(&weights)?;
    let info = movie.info();
    let text = format!(
        "{}\n{:?} {} {} {} {:?} {} {}\n{}\n{}\n{weights}",
        info.identity,
        info.frame_rate_hz,
        info.n_planes,
        info.n_channels,
        info.n_frames,
        arguments.tau,
        arguments.functional_channel,
        arguments.keep_movie,
        serde_json::to_string(parameters).expect("plain parameters"),
        env!("CARGO_PKG_VERSION"),
    );
    Ok(blake3::hash(text.as_bytes()).to_hex()[..16].to_owned())
}

/// Finds cells and writes; returns the manifest.
///
/// # Errors
/// What reading, imaging and writing return.
pub fn image_to(
    arguments: &Arguments,
    movie: &OpenMovie,
    parameters: &ImagingParameters,
    choice: &DeviceChoice,
    threads: usize,
    key: &str,
) -> Outcome<Value> {
    let session = Session::begin(&arguments.output, &arguments.run, choice, threads)?;
    let description = movie.description();
    session.tell_input(
        &format!(
            "{}, {} frames of {} × {} pixels, {} planes, {} channels",
            description.format,
            description.n_frames,
            description.height,
            description.width,
            description.n_planes,
            description.n_channels
        ),
        parameters,
    );
    let control = &session.control;
    for warning in &movie.description().warnings {
        control.warn(warning.clone());
    }
    let info = movie.info();
    let (weights, identity) = network_weights(arguments.weights.as_deref())?;
    let network = Network::new(session.executor.as_ref(), &weights).map_err(Failure::from)?;
    let checkpoints = session.checkpoints();
    let options = ImageOptions {
        executor: session.executor.as_ref(),
        control,
        work: &checkpoints,
        blocks_together: arguments.run.chunk_blocks,
        network: &network,
        network_identity: &identity,
        decay_s: arguments.tau,
        functional_channel: arguments.functional_channel - 1,
    };
    let start = std::time::Instant::now();
    let mut kept = arguments
        .keep_movie
        .then(|| KeptMovies::new(session.output.path(), info));
    let mut failed = None;
    let result = match &mut kept {
        None => image(movie, parameters, options, None),
        Some(kept) => {
            let mut sink = |plane: usize, frames: &[f32]| {
                kept.append(plane, frames).map_err(|failure| {
                    // The engine's error only ends the run; the user sees the writer's own.
                    failed.get_or_insert(failure);
                    EngineError::Cancelled
                })
            };
            image(movie, parameters, options, Some(&mut sink))
        }
    };
    if let Some(failure) = failed {
        session.messages.finish();
        return Err(failure);
    }
    let result = session.outcome(result)?;
    if let Some(kept) = kept {
        kept.finish()?;
    }
    movie.check_unchanged().map_err(EngineError::from)?;
    if let Some(warning) = movie.warning_of_gone() {
        control.warn(warning);
    }
    let seconds = start.elapsed().as_secs_f64();
    session
        .messages
        .line(&summary(&result, info.n_frames, seconds));
    let made = output::Made {
        arguments,
        movie,
        parameters,
        result: &result,
        tau: arguments.tau,
        functional_channel: arguments.functional_channel,
        final_folder: &absolute(&arguments.output.out),
    };
    let folder = session.output.path();
    output::write(folder, &made)?;
    let truth = arguments
        .truth
        .as_ref()
        .map(|truth| score_planes(folder, truth, false));
    let truth = truth.and_then(|scores| report::or_warn(scores, control));
    let mut manifest = output::manifest(
        &made,
        key,
        session.executor.as_ref(),
        control,
        seconds,
        &identity,
    );
    let warning = report::attempt(|| {
        report::imaging::write(
            &folder.join(report::FILE),
            &report::imaging::Sources {
                made: &made,
                movie_path: &arguments.movie[0],
                manifest: &manifest,
                truth: truth.as_deref(),
            },
        )
    })?;
    if let Some(warning) = warning {
        control.warn(warning);
        manifest["warnings"] = json!(control.warnings());
    }
    write_manifest(folder, &manifest, &session.messages.log())?;
    session.commit(&arguments.output)?;
    Ok(manifest)
}

/// One line on a result.
fn summary(result: &ImagingResult, n_frames: usize, seconds: f64) -> String {
    let n_cells: usize = result.planes.iter().map(|plane| plane.rois.len()).sum();
    let response = result.planes.iter().map(|plane| plane.spikes.response);
    let response = response
        .map(|r| format!("{:.2} s", r.decay_s))
        .collect::<Vec<_>>()
        .join(", ");
    format!(
        "{n_cells} cells (decay {response}); {n_frames} frames in {seconds:.1} s ({:.0} frames/s)",
        rate(n_frames as f64 * result.planes.len() as f64, seconds)
    )
}
