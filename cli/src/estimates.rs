//! What a run will take, for `--dry-run` and `--memory`: the engine counts it from the buffers of each stage.

use somata_engine::{
    device::CpuExecutor,
    imaging::{
        memory as imaging_memory,
        segmentation::{Network, NetworkWeights},
    },
    movie::MovieInfo,
    parameters::{imaging::ImagingParameters, sorting::SortingParameters},
    recording::RecordingInfo,
    sorting::memory as sorting_memory,
};

use crate::exit::Outcome;

/// Bytes that a sort holds at most, of a recording that does not drift or of one that does.
pub fn sort_memory(
    info: &RecordingInfo,
    parameters: &SortingParameters,
    threads: usize,
    drifting: bool,
) -> u64 {
    sorting_memory::estimate(info, parameters, threads, drifting)
}

/// Bytes that a movie's run holds at most.
///
/// # Errors
/// When the weights are of no network.
pub fn image_memory(
    info: &MovieInfo,
    parameters: &ImagingParameters,
    decay_s: Option<f64>,
    weights: &NetworkWeights,
) -> Outcome<impl Fn(usize) -> u64> {
    // Only its sizes are asked for.
    let network = Network::new(&CpuExecutor::new(1), weights)?;
    Ok(move |threads| imaging_memory::estimate(info, parameters, decay_s, &network, threads))
}
