//! Spike sorting of simulated recordings with known units and drift.

use somata_engine::{
    device::CpuExecutor,
    parameters::sorting::SortingParameters,
    recording::Recording,
    sorting::{SortOptions, SortingResult, sort},
    stream::Control,
};
use somata_validation::{
    score::{
        SpikeTrains,
        motion::motion_error,
        sorting::{Comparison, compare_to_ground_truth},
    },
    simulate::{
        displacement::Displacement,
        recording::SimulatedRecording,
        source::SimulatedSource,
        spec::{RecordingKind, RecordingSpec},
    },
};

fn sorted(spec: &RecordingSpec) -> (SimulatedSource, SortingResult) {
    let source =
        SimulatedSource::new(SimulatedRecording::new(spec).expect("a valid specification"));
    let work = tempfile::tempdir().expect("a temporary folder");
    let executor = CpuExecutor::new(2);
    let control = Control::default();
    let options = SortOptions::new(&executor, &control, work.path());
    let result = sort(&source, &SortingParameters::default(), options).expect("sorts");
    (source, result)
}

fn scored(spec: &RecordingSpec) -> (SimulatedSource, SortingResult, Comparison) {
    let (source, result) = sorted(spec);
    let units: Vec<i64> = result
        .spike_units
        .iter()
        .map(|&unit| i64::from(unit))
        .collect();
    let tested = SpikeTrains::from_samples_and_labels(
        source.info().sampling_frequency_hz,
        &result.spike_samples,
        &units,
    );
    let comparison = compare_to_ground_truth(&source.simulated().truth().spike_trains(), &tested);
    println!(
        "{}: accuracy {:.3}, well detected {} of {}, false {}, redundant {}",
        spec.kind,
        comparison.mean_accuracy,
        comparison.n_well_detected,
        comparison.n_true,
        comparison.n_false_positive,
        comparison.n_redundant
    );
    (source, result, comparison)
}

fn spec(
    kind: RecordingKind,
    n_channels: usize,
    n_units: usize,
    duration_s: f64,
    seed: u64,
) -> RecordingSpec {
    RecordingSpec {
        n_channels,
        n_units,
        duration_s,
        seed,
        ..RecordingSpec::new(kind)
    }
}

/// Fails when a score is below its floor.
fn hold(comparison: &Comparison, accuracy: f64, false_positive: usize) {
    assert!(
        comparison.mean_accuracy >= accuracy,
        "accuracy {:.3} < {accuracy}",
        comparison.mean_accuracy
    );
    assert!(
        comparison.n_false_positive <= false_positive,
        "{} false units > {false_positive}",
        comparison.n_false_positive
    );
}

#[test]
fn dense_probe_at_rest() {
    let (_, result, comparison) = scored(&spec(RecordingKind::Static, 32, 16, 30.0, 5));
    hold(&comparison, 0.74, 1);
    assert!(
        result.motion.is_none(),
        "nothing moved, so nothing may be corrected"
    );
}

#[test]
fn drifting_probe() {
    let (source, result, comparison) = scored(&spec(RecordingKind::Drift, 64, 30, 40.0, 6));
    hold(&comparison, 0.77, 2);
    let motion = result.motion.expect("the probe moved by 20 µm");
    let estimate = Displacement {
        time_bins_s: motion.time_s.clone(),
        depth_bins_um: motion.depth_um.clone(),
        values_um: motion
            .displacement_um
            .chunks(motion.depth_um.len())
            .map(<[f64]>::to_vec)
            .collect(),
    };
    let truth = source.simulated().truth().displacement.expect("simulated");
    let error = motion_error(&truth, &estimate).expect("bins");
    assert!(
        error.median_abs_um <= 4.0,
        "median error {:.2} µm",
        error.median_abs_um
    );
}

#[test]
fn utah_array() {
    let (_, _, comparison) = scored(&spec(RecordingKind::Utah, 24, 24, 30.0, 7));
    hold(&comparison, 0.45, 1);
}

#[test]
fn tetrode() {
    let (_, _, comparison) = scored(&spec(RecordingKind::Tetrode, 4, 4, 40.0, 8));
    hold(&comparison, 0.80, 1);
}

#[test]
fn a_recording_without_units_gives_none() {
    let (_, result, _) = scored(&spec(RecordingKind::Static, 16, 0, 10.0, 9));
    assert!(
        result.units.len() <= 1,
        "{} units in noise",
        result.units.len()
    );
}

#[test]
fn bad_channels_are_found_and_left_out() {
    let mut spec = spec(RecordingKind::Static, 32, 12, 10.0, 10);
    spec.n_dead_channels = 2;
    spec.n_noisy_channels = 1;
    let (source, result) = sorted(&spec);
    for &channel in source
        .simulated()
        .dead_channels()
        .iter()
        .chain(source.simulated().noisy_channels())
    {
        assert!(
            result.bad_channels[channel].is_some(),
            "channel {channel} is bad"
        );
    }
    assert_eq!(result.bad_channels.iter().flatten().count(), 3);
}
