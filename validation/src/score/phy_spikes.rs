//! Reads the spikes of a phy folder, whoever wrote it.
//!
//! Only `spike_times.npy`, `spike_clusters.npy` (or `spike_templates.npy` where phy has not been run) and
//! the rate in `params.py` are looked at. Sorters disagree about the integer type and about shape `[spikes]` or
//! `[spikes, 1]`; both are taken.

use std::path::Path;

use super::SpikeTrains;
use crate::error::{Result, ValidationError};

/// Reads the sorting in the phy folder `folder`.
///
/// # Errors
/// If a file is missing, is not an array of integers, or if spikes and labels differ in number.
pub fn read_phy_spikes(folder: &Path) -> Result<SpikeTrains> {
    let samples = read_integers(&folder.join("spike_times.npy"))?;
    let clusters = folder.join("spike_clusters.npy");
    let labels_path = if clusters.exists() {
        clusters
    } else {
        folder.join("spike_templates.npy")
    };
    let labels = read_integers(&labels_path)?;
    if samples.len() != labels.len() {
        let reason = format!(
            "it has {} labels, but `spike_times.npy` has {} spikes",
            labels.len(),
            samples.len()
        );
        return Err(ValidationError::bad_file(&labels_path, reason));
    }
    let sampling_frequency_hz = read_rate(&folder.join("params.py"))?;
    Ok(SpikeTrains::from_samples_and_labels(
        sampling_frequency_hz,
        &samples,
        &labels,
    ))
}

/// The labels that `cluster_group.tsv` of the phy folder gives: (unit id, word). Empty without that file.
///
/// # Errors
/// If the file is there and cannot be read.
pub fn read_phy_labels(folder: &Path) -> Result<Vec<(i64, String)>> {
    let path = folder.join("cluster_group.tsv");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(&path)
        .map_err(|source| ValidationError::io("read", &path, source))?;
    let parse = |line: &str| {
        let (id, word) = line.split_once('\t')?;
        Some((id.trim().parse().ok()?, word.trim().to_string()))
    };
    // The first line names the columns; it has no number in front and drops out by itself.
    Ok(text.lines().filter_map(parse).collect())
}

fn read_integers(path: &Path) -> Result<Vec<i64>> {
    let bytes = std::fs::read(path).map_err(|source| ValidationError::io("read", path, source))?;
    let file = npyz::NpyFile::new(&bytes[..])
        .map_err(|source| ValidationError::bad_file(path, source.to_string()))?;
    crate::simulate::truth::integers_of(file)
        .map_err(|reason| ValidationError::bad_file(path, reason))
}

/// `sample_rate = 30000.0` among the lines of params.py.
fn read_rate(path: &Path) -> Result<f64> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ValidationError::io("read", path, source))?;
    let value = text.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == "sample_rate")
            .then(|| value.trim().trim_end_matches('.').parse::<f64>().ok())?
    });
    value.ok_or_else(|| ValidationError::bad_file(path, "it has no line `sample_rate = NUMBER`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use npyz::WriterBuilder;

    #[test]
    fn spikes_are_read_in_any_integer_type_and_shape() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, shape: &[u64], wide: bool| {
            let mut bytes = Vec::new();
            if wide {
                let mut writer = npyz::WriteOptions::new()
                    .default_dtype()
                    .shape(shape)
                    .writer(&mut bytes)
                    .begin_nd()
                    .unwrap();
                writer.extend([5u64, 9, 7]).unwrap();
                writer.finish().unwrap();
            } else {
                let mut writer = npyz::WriteOptions::new()
                    .default_dtype()
                    .shape(shape)
                    .writer(&mut bytes)
                    .begin_nd()
                    .unwrap();
                writer.extend([1i32, 0, 1]).unwrap();
                writer.finish().unwrap();
            }
            std::fs::write(folder.path().join(name), bytes).unwrap();
        };
        write("spike_times.npy", &[3, 1], true);
        assert!(
            read_phy_spikes(folder.path())
                .unwrap_err()
                .to_string()
                .contains("spike_templates.npy")
        );
        write("spike_clusters.npy", &[3], false);
        std::fs::write(
            folder.path().join("params.py"),
            "n_channels_dat = 4\nsample_rate = 25000.\n",
        )
        .unwrap();
        let trains = read_phy_spikes(folder.path()).unwrap();
        assert_eq!(
            (trains.sampling_frequency_hz, trains.unit_ids, trains.trains),
            (25_000.0, vec![0, 1], vec![vec![9], vec![5, 7]])
        );
        std::fs::write(
            folder.path().join("cluster_group.tsv"),
            "cluster_id\tgroup\n0\tgood\n1\tmua\n",
        )
        .unwrap();
        assert_eq!(
            read_phy_labels(folder.path()).unwrap(),
            [(0, "good".to_string()), (1, "mua".to_string())]
        );
    }
}
