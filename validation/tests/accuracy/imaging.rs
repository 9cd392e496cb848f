//! Cells, traces, spikes and motion of simulated movies, and cells in annotated images, with the program's own weights.

use std::path::{Path, PathBuf};

use somata_engine::{
    device::CpuExecutor,
    imaging::{
        ImageOptions,
        deconvolution::{Derived, derived_place},
        extraction::{Extracted, place},
        image,
        imager::PlaneResult,
        segmentation::{Network, NetworkWeights, segment_still},
    },
    parameters::imaging::{ImagingParameters, Segmentation},
    stream::Control,
};
use somata_io::{still_image::read_image, weights::Weights};
use somata_validation::{
    score::{
        masks::{Footprint, average_precision},
        movie::{MoviePrediction, MovieScore, score_movie},
    },
    simulate::movie::{MovieKind, MovieSpec, SimulatedMovie, SimulatedMovieSource},
};

fn in_this_crate(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The weights that the program carries.
fn own_weights() -> NetworkWeights {
    let file = in_this_crate("../engine/weights/somata_cpnet.safetensors");
    let weights = Weights::read(&file).expect("weights");
    let tensors = weights.names().map(|name| {
        let tensor = weights.tensor(name).expect("named");
        let (shape, values) = (tensor.shape.clone(), tensor.values.clone());
        (name.to_owned(), (shape, values))
    });
    NetworkWeights {
        tensors: tensors.collect(),
        metadata: weights.metadata().clone(),
        source: file.display().to_string(),
    }
}

/// What was found in a plane, as the scores take it: the same arrays that `somata image` writes and `somata validate` reads.
fn prediction(plane: &PlaneResult, n_frames: usize) -> MoviePrediction {
    let n_cells = plane.rois.len();
    let extracted = plane.extracted.open().expect("readable");
    let derived = plane.spikes.traces.open().expect("readable");
    let mut prediction = MoviePrediction::default();
    let (mut traces, mut spikes) = (Vec::new(), Vec::new());
    for (cell, roi) in plane.rois.iter().enumerate() {
        prediction.masks.push(Footprint::new(roi.body.clone()));
        let mut row = vec![0.0; n_frames];
        let at = place(Extracted::Demixed, cell, n_cells);
        extracted.read(at, &mut row).expect("a trace");
        traces.push(row.clone());
        let at = derived_place(Derived::Spikes, cell);
        derived.read(at, &mut row).expect("spikes");
        spikes.push(row);
    }
    prediction.traces = Some(traces);
    prediction.spikes = Some(spikes);
    let shifts = &plane.registered.shifts;
    prediction.shifts =
        Some([0, 1].map(|axis: usize| shifts.iter().map(|s| f64::from(s[axis])).collect()));
    prediction
}

/// Takes a movie of one plane through the whole run; `use_plane` sees what was found before its traces are deleted.
pub fn imaged<T>(source: &SimulatedMovieSource, use_plane: impl FnOnce(&PlaneResult) -> T) -> T {
    imaged_with(source, &ImagingParameters::default(), use_plane)
}

/// As [`imaged`], with other parameters than the program's own.
fn imaged_with<T>(
    source: &SimulatedMovieSource,
    parameters: &ImagingParameters,
    use_plane: impl FnOnce(&PlaneResult) -> T,
) -> T {
    let work = tempfile::tempdir().expect("a temporary folder");
    let executor = CpuExecutor::new(2);
    let network = Network::new(&executor, &own_weights()).expect("the program's own weights");
    let control = Control::default();
    let options = ImageOptions {
        executor: &executor,
        control: &control,
        work: work.path(),
        blocks_together: None,
        network: &network,
        network_identity: "own",
        decay_s: None,
        functional_channel: 0,
    };
    let result = image(source, parameters, options, None).expect("imaged");
    let [plane] = &result.planes[..] else {
        panic!("{} planes", result.planes.len())
    };
    use_plane(plane)
}

/// Takes a movie through the whole run and scores it.
fn scored(spec: &MovieSpec) -> MovieScore {
    scored_with(spec, &ImagingParameters::default())
}

/// As [`scored`], with other parameters than the program's own.
fn scored_with(spec: &MovieSpec, parameters: &ImagingParameters) -> MovieScore {
    let movie = SimulatedMovie::new(spec).expect("a valid specification");
    let source = SimulatedMovieSource::new(movie);
    let prediction = imaged_with(&source, parameters, |plane| {
        prediction(plane, spec.n_frames)
    });
    let score =
        score_movie(&prediction, &source.simulated().truth()).expect("a prediction that fits");
    println!("{}: {score:#?}", spec.kind);
    score
}

/// Scores that a movie must reach.
struct Floors {
    f1_active: f64,
    mean_iou: f64,
    trace_r: f64,
    spike_r_aligned: f64,
    /// At most, px.
    shift_rmse_px: f64,
    /// At most.
    n_false: usize,
}

/// Fails when a score is on the wrong side of its floor.
#[track_caller]
fn hold(score: &MovieScore, floors: &Floors) {
    for (name, found, floor) in [
        (
            "F1 of active cells",
            Some(score.f1_active),
            floors.f1_active,
        ),
        ("mean IoU", Some(score.mean_iou), floors.mean_iou),
        ("trace correlation", score.trace_r_median, floors.trace_r),
        (
            "spike correlation, aligned",
            score.spike_r_aligned,
            floors.spike_r_aligned,
        ),
    ] {
        let found = found.unwrap_or_else(|| panic!("no {name}"));
        assert!(found >= floor, "{name} {found:.3} < {floor}");
    }
    let shift = score.shift_rmse_px.expect("shifts were found");
    let most = floors.shift_rmse_px;
    assert!(shift <= most, "shift error {shift:.3} px > {most} px");
    let (found, most) = (score.n_false, floors.n_false);
    assert!(found <= most, "{found} false cells > {most}");
}

#[test]
fn a_small_moving_field() {
    let score = scored(&MovieSpec {
        seed: 11,
        ..MovieSpec::new(MovieKind::Small)
    });
    hold(
        &score,
        &Floors {
            f1_active: 0.97,
            mean_iou: 0.915,
            trace_r: 0.99,
            spike_r_aligned: 0.97,
            shift_rmse_px: 0.06,
            n_false: 1,
        },
    );
}

/// A quarter of the standard field with as many cells a pixel, and its motion.
#[test]
fn a_part_of_a_standard_field() {
    let score = scored(&MovieSpec {
        height: 128,
        width: 128,
        n_frames: 600,
        n_cells: 30,
        n_vessels: 1,
        seed: 12,
        ..MovieSpec::new(MovieKind::Standard)
    });
    hold(
        &score,
        &Floors {
            f1_active: 0.96,
            mean_iou: 0.91,
            trace_r: 0.985,
            spike_r_aligned: 0.96,
            shift_rmse_px: 0.06,
            n_false: 2,
        },
    );
}

/// So few frames a second that a bin is one frame.
#[test]
fn a_slow_movie() {
    let score = scored(&MovieSpec {
        height: 128,
        width: 128,
        n_frames: 500,
        n_cells: 30,
        n_vessels: 1,
        seed: 4,
        ..MovieSpec::new(MovieKind::Slow)
    });
    hold(
        &score,
        &Floors {
            f1_active: 0.97,
            mean_iou: 0.92,
            trace_r: 0.985,
            spike_r_aligned: 0.98,
            shift_rmse_px: 0.08,
            n_false: 1,
        },
    );
}

#[test]
fn a_movie_without_cells_gives_none() {
    let score = scored(&MovieSpec {
        height: 256,
        width: 256,
        n_frames: 300,
        n_cells: 0,
        seed: 13,
        ..MovieSpec::new(MovieKind::Small)
    });
    assert!(
        score.n_pred <= 1,
        "{} cells in an empty field",
        score.n_pred
    );
    // Nothing stands out but texture and vessels, and the field is registered all the same.
    let shift = score.shift_rmse_px.expect("shifts were found");
    assert!(shift <= 0.07, "shift error {shift:.3} px");
}

/// Nothing moves: what registration does to such a movie must not be seen in any score.
#[test]
fn a_movie_without_motion_is_not_made_worse_by_registration() {
    let spec = MovieSpec {
        height: 128,
        width: 128,
        n_frames: 600,
        n_cells: 30,
        n_vessels: 1,
        seed: 14,
        ..MovieSpec::new(MovieKind::Still)
    };
    let mut parameters = ImagingParameters::default();
    let registered = scored_with(&spec, &parameters);
    parameters.registration.correct = false;
    let left_alone = scored_with(&spec, &parameters);
    let shift = registered.shift_rmse_px.expect("shifts were found");
    assert!(shift <= 0.04, "{shift:.3} px of motion were made up");
    // Measured with registration and without: F1 1.000 and 1.000, mean IoU 0.959 and 0.967. Outlines lose a little, to the interpolation or to
    // where the reference lies; no score may lose more than half as much again.
    for (name, with, without, loss) in [
        (
            "F1 of active cells",
            Some(registered.f1_active),
            Some(left_alone.f1_active),
            0.01,
        ),
        (
            "mean IoU",
            Some(registered.mean_iou),
            Some(left_alone.mean_iou),
            0.012,
        ),
        (
            "trace correlation",
            registered.trace_r_median,
            left_alone.trace_r_median,
            0.005,
        ),
        (
            "spike correlation",
            registered.spike_r_median,
            left_alone.spike_r_median,
            0.005,
        ),
    ] {
        let (with, without) = (with.expect("a score"), without.expect("a score"));
        assert!(
            with >= without - loss,
            "{name} {with:.3} with registration, {without:.3} without"
        );
    }
}

/// Average precision at an IoU of 0.5 (Cellpose's definition) of an annotated image that the weights were not trained with.
fn annotated(name: &str) -> f64 {
    let read = |kind: &str| {
        let file = in_this_crate("tests/accuracy/cells").join(format!("{name}_{kind}.tif"));
        let [image]: [_; 1] = read_image(&file)
            .expect("an image")
            .try_into()
            .expect("one page");
        image
    };
    let (image, truth) = (read("image"), read("labels"));
    let size = [image.height, image.width];
    let executor = CpuExecutor::new(2);
    let network = Network::new(&executor, &own_weights()).expect("the program's own weights");
    let found = segment_still(
        &network,
        &image.pixels,
        size,
        1.0,
        &Segmentation::default(),
        &executor,
        &Control::default(),
    )
    .expect("labels");
    let truth: Vec<u32> = truth.pixels.iter().map(|&label| label as u32).collect();
    let score = average_precision(&truth, &found.labels, &[0.5])[0];
    println!("{name}: {score:?}");
    score.average_precision
}

#[test]
fn annotated_images_that_the_network_has_not_seen() {
    for (name, floor) in [
        ("dsb2018_nuclei_2817299fd3b8", 0.93),
        ("dsb2018_nuclei_623cf6987b3f", 0.9),
        ("dsb2018_nuclei_9cdac2870cfe", 0.85),
        ("stardist_nuclei_tests_img2d", 0.68),
    ] {
        let found = annotated(name);
        assert!(found >= floor, "{name}: {found:.3} < {floor}");
    }
}
