//! The same recording sorted on both executors: nearly all spikes must agree.
//!
//! Not all: a GPU may contract products and sums, so scores differ in their last bits, and a decision that hangs on
//! one of them may fall the other way. On very little data such a difference can move a whole cluster, which says
//! nothing about the kernels, so the recordings here hold a few hundred spikes a unit.

use somata_engine::{
    device::Executor,
    parameters::sorting::SortingParameters,
    recording::Recording,
    sorting::{SortOptions, sort},
    stream::Control,
};
use somata_validation::{
    score::{SpikeTrains, two_sortings::compare_two},
    simulate::{
        recording::SimulatedRecording,
        source::SimulatedSource,
        spec::{RecordingKind, RecordingSpec},
    },
};

use crate::both::both;

fn spikes(source: &SimulatedSource, executor: &dyn Executor) -> SpikeTrains {
    let work = tempfile::tempdir().expect("a temporary folder");
    let control = Control::default();
    let options = SortOptions::new(executor, &control, work.path());
    let result = sort(source, &SortingParameters::default(), options).expect("sorts");
    let labels: Vec<i64> = result
        .spike_units
        .iter()
        .map(|&unit| i64::from(unit))
        .collect();
    let rate = source.info().sampling_frequency_hz;
    SpikeTrains::from_samples_and_labels(rate, &result.spike_samples, &labels)
}

#[test]
fn both_executors_find_the_same_spikes() {
    let Some(both) = both() else { return };
    let spec = RecordingSpec {
        n_units: 4,
        duration_s: 20.0,
        median_rate_hz: 12.0,
        seed: 3,
        ..RecordingSpec::new(RecordingKind::Tetrode)
    };
    let source =
        SimulatedSource::new(SimulatedRecording::new(&spec).expect("a valid specification"));
    let on_cpu = spikes(&source, &both.cpu);
    let on_gpu = spikes(&source, &*both.gpu);
    let comparison = compare_two(&on_cpu, &on_gpu);
    println!(
        "{} units and {} spikes on the processor, {} and {} on the GPU, {:.3} % agree",
        on_cpu.n_units(),
        on_cpu.n_spikes(),
        on_gpu.n_units(),
        on_gpu.n_spikes(),
        100.0 * comparison.spike_agreement
    );
    assert!(on_cpu.n_spikes() > 300, "too little to compare");
    assert!(comparison.spike_agreement >= 0.995);
}
