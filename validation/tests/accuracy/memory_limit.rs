//! A sort that may not take the memory which what it found needs: fewer threads, or an end that more memory goes on from.

use somata_engine::{
    device::CpuExecutor,
    error::EngineError,
    parameters::sorting::SortingParameters,
    sorting::{SortOptions, SortingResult, sort},
    stream::Control,
};
use somata_validation::simulate::{
    recording::SimulatedRecording,
    source::SimulatedSource,
    spec::{RecordingKind, RecordingSpec},
};

fn sorted(
    source: &SimulatedSource,
    work: &std::path::Path,
    memory_bytes: Option<u64>,
) -> (Result<SortingResult, EngineError>, Control) {
    let executor = CpuExecutor::new(2);
    let control = Control::default();
    let options = SortOptions {
        memory_bytes,
        ..SortOptions::new(&executor, &control, work)
    };
    let result = sort(source, &SortingParameters::default(), options);
    (result, control)
}

fn resumed(control: &Control) -> usize {
    let stages = control.stages();
    stages.iter().filter(|stage| stage.resumed).count()
}

#[test]
fn a_limit_ends_a_sort_or_takes_threads_and_never_changes_its_result() {
    let spec = RecordingSpec {
        n_units: 8,
        n_channels: 8,
        duration_s: 15.0,
        median_rate_hz: 10.0,
        seed: 5,
        ..RecordingSpec::new(RecordingKind::Linear)
    };
    let source =
        SimulatedSource::new(SimulatedRecording::new(&spec).expect("a valid specification"));
    let folder = || tempfile::tempdir().expect("a temporary folder");
    let free = sorted(&source, folder().path(), None).0.expect("sorts");
    assert!(free.spike_samples.len() > 300, "too little to compare");
    let work = folder();
    let mut allowed = 1 << 20;
    let mut ends = Vec::new();
    let (limited, control) = loop {
        match sorted(&source, work.path(), Some(allowed)) {
            (Ok(result), control) => break (result, control),
            (Err(error), control) => {
                ends.push((error.to_string(), resumed(&control)));
                let EngineError::Memory { needed, .. } = error else {
                    panic!("{error}");
                };
                assert!(needed > allowed);
                allowed = needed;
            }
        }
    };
    let clusters = ends.first().expect("a megabyte is too little");
    assert!(clusters.0.starts_with("the waveforms of "), "{ends:?}");
    assert_eq!(clusters.1, 0);
    assert!(
        ends.iter().skip(1).all(|(_, resumed)| *resumed >= 4),
        "{ends:?}"
    );
    assert!(
        resumed(&control) >= 4,
        "it went on from the last finished stage"
    );
    // One thread was counted on, and two were there.
    let warnings = control.warnings();
    assert!(
        warnings
            .iter()
            .any(|text| text.contains("fewer threads (1)")),
        "{warnings:?}"
    );
    assert_eq!(free.spike_samples, limited.spike_samples);
    assert_eq!(free.spike_units, limited.spike_units);
    // With what two threads need nothing is said.
    let (result, control) = sorted(&source, folder().path(), Some(1 << 30));
    assert_eq!(result.expect("sorts").spike_samples, free.spike_samples);
    assert!(
        control
            .warnings()
            .iter()
            .all(|text| !text.contains("threads"))
    );
}
