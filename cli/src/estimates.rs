//! What a run will take, for `--dry-run` and `--memory`: the engine counts it from the buffers of each stage.

use std::path::Path;

use somata_engine::{
    device::CpuExecutor,
    imaging::{
        memory as imaging_memory,
        segmentation::{Network, NetworkWeights},
    },
    movie::MovieInfo,
    parameters::{imaging::ImagingParameters, sorting::SortingParameters},
    recording::RecordingInfo,
    sorting::{
        memory::{self as sorting_memory, limit},
        whitened_bytes,
    },
};

use crate::{
    exit::Outcome,
    messages::size_text,
    run::{RunArguments, memory_budget, threads},
};

/// Bytes that a sort holds at most, of a recording that does not drift.
pub fn sort_memory(info: &RecordingInfo, parameters: &SortingParameters, threads: usize) -> u64 {
    sorting_memory::estimate(info, parameters, threads, 1, true)
}

/// Disk that the work folder of a sort takes, bytes: features of the spikes, checkpoints, and whitened data where they are kept.
pub fn sort_disk(info: &RecordingInfo, keep_whitened: bool) -> u64 {
    let n_channels = info.n_channels() as u64;
    let spikes = 8.0 * n_channels as f64 * info.duration_s();
    let whitened = if keep_whitened {
        whitened_bytes(info)
    } else {
        0
    };
    (spikes * 500.0) as u64 + (2 * (192 << 20)).min(n_channels * 6000 * 500) + whitened
}

/// A run takes half of what is free for whitened data at most: results and other runs need room as well.
const SHARE_OF_FREE: u64 = 2;

/// Why whitened data should not be kept in a work folder, or one that will be made: there is too little room.
pub fn no_room_for_whitened(work: &Path, info: &RecordingInfo) -> Option<String> {
    let needed = whitened_bytes(info);
    let there = work.ancestors().find(|folder| folder.is_dir());
    // Where the system does not tell, the run finds out.
    let free = fs4::available_space(there.unwrap_or(Path::new("."))).ok()?;
    (needed > free / SHARE_OF_FREE).then(|| {
        format!(
            "whitened data are made again in every pass, which is slower: kept in the work folder they would take {}, and {} are free there, of which a run takes half at most",
            size_text(needed),
            size_text(free)
        )
    })
}

/// What a sort may use.
#[derive(Clone, Copy, Debug)]
pub struct SortShare {
    /// Threads.
    pub threads: usize,
    /// Sets of templates of moved tissue that are held, when not all.
    pub template_sets: Option<usize>,
    /// Whether whitened data are kept in the work folder.
    pub keep_whitened: bool,
}

impl SortShare {
    /// As many threads as are asked for and the memory allows, whatever the tissue does; then as many sets of templates.
    ///
    /// # Errors
    /// When an option makes no sense, or one thread takes more than is allowed.
    pub fn of(
        run: &RunArguments,
        info: &RecordingInfo,
        parameters: &SortingParameters,
        keep_whitened: bool,
    ) -> Outcome<Self> {
        let estimate = |threads, sets| {
            limit::with_margin(sorting_memory::estimate(
                info,
                parameters,
                threads,
                sets,
                keep_whitened,
            ))
        };
        let what = format!("{} channels", info.n_channels());
        let fewest = limit::FEWEST_SETS;
        let threads = threads(run, &what, |threads| estimate(threads, fewest))?;
        let template_sets = memory_budget(run)?
            .and_then(|budget| limit::share(threads, budget, estimate))
            .map(|(_, sets)| sets)
            .filter(|&sets| sets < limit::MOST_SETS);
        Ok(Self {
            threads,
            template_sets,
            keep_whitened,
        })
    }

    /// As [`memory`](Self::memory), of each kind of stage.
    pub fn memory_by_stage(
        self,
        info: &RecordingInfo,
        parameters: &SortingParameters,
    ) -> Vec<(&'static str, u64)> {
        sorting_memory::by_stage(info, parameters, self.threads, 1, self.keep_whitened).to_vec()
    }

    /// Bytes that the sort holds at most if the tissue does not move.
    pub fn memory(self, info: &RecordingInfo, parameters: &SortingParameters) -> u64 {
        sorting_memory::estimate(info, parameters, self.threads, 1, self.keep_whitened)
    }

    /// Bytes that the sort holds at most if the tissue moves.
    pub fn memory_if_it_drifts(self, info: &RecordingInfo, parameters: &SortingParameters) -> u64 {
        let sets = self.template_sets.unwrap_or(limit::MOST_SETS);
        sorting_memory::estimate(info, parameters, self.threads, sets, self.keep_whitened)
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
