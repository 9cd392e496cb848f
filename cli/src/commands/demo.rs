//! `somata demo`: everything once, on data whose truth is known.

use std::path::{Path, PathBuf};

use clap::Args;
use somata_engine::{
    movie::Movie,
    parameters::{imaging::ImagingParameters, sorting::SortingParameters},
    recording::Recording,
};
use somata_validation::simulate::{
    movie::{MovieKind, MovieSpec, write_movie},
    spec::{RecordingKind, RecordingSpec},
    write::write_recording,
};

use super::{
    image::{self, MovieArguments, image_to},
    print,
    sort::{self, InputArguments, sort_to},
    validate::{movie_table, score, score_planes, table},
};
use crate::{
    adapt::{OpenMovie, OpenRecording},
    estimates::SortShare,
    exit::{ExitCode, Failure, Outcome},
    run::{OutputArguments, RunArguments, parameters},
};

/// Arguments of `somata demo`.
#[derive(Args)]
pub struct Arguments {
    /// Folder for the recording, the movie and the results
    #[arg(long, short, default_value = "somata-demo")]
    out: PathBuf,
    /// auto, cpu, gpu, a number from `somata devices`, a PCI address or a part of a name
    #[arg(long, default_value = "auto")]
    device: String,
    /// Length of the recording, s
    #[arg(long, default_value_t = 30.0)]
    seconds: f64,
    /// Frames of the movie
    #[arg(long, default_value_t = 1200)]
    frames: usize,
    /// Seed of the recording and the movie
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
}

/// Simulates, sorts, segments, scores.
pub fn run(arguments: &Arguments) -> Outcome {
    std::fs::create_dir_all(&arguments.out).map_err(|error| {
        Failure::new(
            ExitCode::Output,
            format!("could not make `{}`: {error}", arguments.out.display()),
        )
    })?;
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    recording(arguments, threads)?;
    movie(arguments, threads)?;
    print(
        "\nnext: somata sort YOUR_RECORDING --out OUT\n      somata image YOUR_MOVIE.tif --out OUT\n      somata segment YOUR_IMAGES --out OUT\n",
    );
    Ok(())
}

/// Removes simulated data of an earlier demo, and nothing else.
fn make_room(folder: &Path) -> Outcome {
    if !folder.exists() {
        return Ok(());
    }
    if !folder.join("truth.npz").exists() {
        return Err(Failure::new(
            ExitCode::Output,
            format!("`{}` exists and was not made by the demo", folder.display()),
        )
        .hint("choose another folder with `--out`"));
    }
    std::fs::remove_dir_all(folder).map_err(|error| {
        Failure::new(
            ExitCode::Output,
            format!("could not replace `{}`: {error}", folder.display()),
        )
    })
}

/// A recording simulated, sorted and scored.
fn recording(arguments: &Arguments, threads: usize) -> Outcome {
    let recording_folder = arguments.out.join("recording");
    let result_folder = arguments.out.join("sorting");
    let spec = RecordingSpec {
        duration_s: arguments.seconds,
        seed: arguments.seed,
        ..RecordingSpec::new(RecordingKind::Drift)
    };
    make_room(&recording_folder)?;
    write_recording(&spec, &recording_folder, &mut |_| ())?;
    print(&format!(
        "simulated {} s of a drifting probe with {} channels and {} neurons in `{}`\n",
        spec.duration_s,
        spec.n_channels,
        spec.n_units,
        recording_folder.display()
    ));
    let sort = sort::Arguments {
        recordings: vec![recording_folder.clone()],
        output: OutputArguments::replacing(result_folder.clone()),
        input: InputArguments::default(),
        truth: Some(recording_folder.clone()),
        template_sets: None,
        no_whitened_file: false,
        run: RunArguments::on(&arguments.device, arguments.quiet),
    };
    let recording = OpenRecording::open(&sort.recordings, &sort.input)?;
    let parameters: SortingParameters = parameters(&sort.run)?;
    let key = sort::result_key(&recording, &parameters)?;
    sort_to(
        &sort,
        &recording,
        &parameters,
        &sort.run.choice()?,
        SortShare {
            threads,
            template_sets: None,
            keep_whitened: true,
        },
        &key,
    )?;
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
        "\nfiles in `{}` ({} s at {} Hz)\n  report.html    to look at in a browser\n  phy/           for phy (`phy template-gui params.py`), SpikeInterface and others\n  \
         metrics.csv    one row a unit\n  motion.csv     displacement of the tissue\n  manifest.json  how it was made\n",
        result_folder.display(),
        spec.duration_s,
        recording.info().sampling_frequency_hz
    ));
    Ok(())
}

/// A movie simulated, its cells found, and scored.
fn movie(arguments: &Arguments, threads: usize) -> Outcome {
    let movie_folder = arguments.out.join("movie");
    let result_folder = arguments.out.join("imaging");
    let mut spec = MovieSpec::new(MovieKind::Small);
    spec.n_frames = arguments.frames;
    spec.seed = arguments.seed;
    make_room(&movie_folder)?;
    write_movie(&spec, &movie_folder, &mut |_| ())?;
    print(&format!(
        "\nsimulated {} frames of {} × {} pixels with {} cells in `{}`\n",
        spec.n_frames,
        spec.height,
        spec.width,
        spec.n_cells,
        movie_folder.display()
    ));
    let image = image::Arguments {
        movie: vec![movie_folder.join("movie.tif")],
        output: OutputArguments::replacing(result_folder.clone()),
        input: MovieArguments {
            frame_rate: Some(spec.frame_rate_hz),
            ..MovieArguments::default()
        },
        tau: None,
        functional_channel: 1,
        weights: None,
        keep_movie: false,
        truth: Some(movie_folder.clone()),
        run: RunArguments::on(&arguments.device, arguments.quiet),
    };
    let movie = OpenMovie::open(&image.movie, &image.input.options()?)?;
    let parameters: ImagingParameters = parameters(&image.run)?;
    let key = image::result_key(&image, &movie, &parameters)?;
    image_to(
        &image,
        &movie,
        &parameters,
        &image.run.choice()?,
        threads,
        &key,
    )?;
    let scores = score_planes(&result_folder, &movie_folder, false)?;
    print(&format!(
        "\nscores against the truth\n{}",
        movie_table(&scores)
    ));
    print(&format!(
        "\nfiles in `{}` ({:.0} s at {} Hz)\n  report.html    to look at in a browser\n  suite2p/       for Suite2p's window and its readers\n  cells.png      the cells on the mean image\n  \
         masks.tif      label image; rois.zip for ImageJ\n  traces.npz     fluorescence, ΔF/F, spikes; cells.csv has one row a cell\n  \
         manifest.json  how it was made\n",
        result_folder.display(),
        spec.duration_s(),
        movie.info().frame_rate_hz
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
