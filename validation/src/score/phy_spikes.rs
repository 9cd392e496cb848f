//! The spikes of a phy folder, whoever wrote it, and the labels of its units.

use std::path::Path;

use super::SpikeTrains;
use crate::error::{Result, ValidationError};

/// Reads the sorting in the phy folder `folder`; see [`somata_io::sorting_output::phy_reader::read_phy_spikes`].
///
/// # Errors
/// If a file is missing, is not an array of integers, or if spikes and labels differ in number.
pub fn read_phy_spikes(folder: &Path) -> Result<SpikeTrains> {
    let spikes = somata_io::sorting_output::phy_reader::read_phy_spikes(folder)?;
    Ok(SpikeTrains::from_samples_and_labels(
        spikes.sampling_frequency_hz,
        &spikes.samples,
        &spikes.ids,
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
                .contains("spike_clusters.npy` does not exist")
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
