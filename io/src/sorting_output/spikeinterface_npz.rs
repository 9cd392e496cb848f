//! A sorting as SpikeInterface's `NpzSortingExtractor` reads it: `spikeinterface.core.read_npz_sorting(PATH)`.
//!
//! Five arrays: `unit_ids` int64 `[units]`, `num_segment` and `sampling_frequency` of one element, `spike_indexes_seg0` (samples) and
//! `spike_labels_seg0` (unit ids), both int64 `[spikes]`. There is always one segment, the joined recording, since sample numbers of
//! somata count over all of it. Source: what SpikeInterface 0.105 reads.

use std::path::Path;

use super::phy_reader::PhySorting;
use crate::error::IoError;
use crate::imaging_output::zip_archive::ZipWriter;
use crate::npy::file_bytes;

/// Writes the sorting. The file appears whole or not at all.
///
/// # Errors
/// When the file cannot be written.
pub fn write_spikeinterface_npz(path: &Path, sorting: &PhySorting) -> Result<(), IoError> {
    let labels = sorting
        .spike_units
        .iter()
        .map(|&unit| sorting.unit_ids[unit]);
    let labels: Vec<i64> = labels.collect();
    let n_spikes = sorting.spike_samples.len();
    let mut zip = ZipWriter::create(path)?;
    let mut add = |name: &str, bytes: Vec<u8>| {
        zip.start_member(&format!("{name}.npy"), bytes.len() as u64)?;
        zip.append(&bytes)
    };
    add(
        "unit_ids",
        file_bytes(&[sorting.unit_ids.len()], &sorting.unit_ids),
    )?;
    add("num_segment", file_bytes(&[1], &[1i64]))?;
    add(
        "sampling_frequency",
        file_bytes(&[1], &[sorting.sampling_frequency_hz]),
    )?;
    add(
        "spike_indexes_seg0",
        file_bytes(&[n_spikes], &sorting.spike_samples),
    )?;
    add("spike_labels_seg0", file_bytes(&[n_spikes], &labels))?;
    zip.finish()
}
