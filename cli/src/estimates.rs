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

use crate::{
    exit::Outcome,
    run::{RunArguments, memory_budget, threads},
};

/// Bytes that a sort holds at most, of a recording that does not drift.
pub fn sort_memory(info: &RecordingInfo, parameters: &SortingParameters, threads: usize) -> u64 {
    sorting_memory::estimate(info, parameters, threads, 1)
}

/// What a sort may use.
#[derive(Clone, Copy, Debug)]
pub struct SortShare {
    /// Threads.
    pub threads: usize,
    /// Sets of templates of moved tissue that are held, when not all.
    pub template_sets: Option<usize>,
}

/// Sets of templates that are held at least: tissue may go back and forth between two.
const FEWEST_SETS: usize = 2;

impl SortShare {
    /// As many threads as are asked for and the memory allows, whatever the tissue does; then as many sets of templates. Sets that
    /// are not held cost less time than threads that are missing.
    ///
    /// # Errors
    /// When an option makes no sense, or one thread takes more than is allowed.
    pub fn of(
        run: &RunArguments,
        info: &RecordingInfo,
        parameters: &SortingParameters,
    ) -> Outcome<Self> {
        let estimate = |threads, sets| sorting_memory::estimate(info, parameters, threads, sets);
        let what = format!("{} channels", info.n_channels());
        let threads = threads(run, &what, |threads| estimate(threads, FEWEST_SETS))?;
        let most = sorting_memory::MOST_SETS;
        let template_sets = memory_budget(run)?
            .filter(|&budget| estimate(threads, most) > budget)
            .map(|budget| {
                (FEWEST_SETS..most)
                    .rev()
                    .find(|&sets| estimate(threads, sets) <= budget)
                    .unwrap_or(FEWEST_SETS)
            });
        Ok(Self {
            threads,
            template_sets,
        })
    }

    /// Bytes that the sort holds at most if the tissue moves.
    pub fn memory_if_it_drifts(self, info: &RecordingInfo, parameters: &SortingParameters) -> u64 {
        let sets = self.template_sets.unwrap_or(sorting_memory::MOST_SETS);
        sorting_memory::estimate(info, parameters, self.threads, sets)
    }
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
