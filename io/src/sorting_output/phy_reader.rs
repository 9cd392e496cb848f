//! Reads the sorting in a phy folder, whoever wrote it: somata, Kilosort, SpikeInterface; before or after curation in phy.
//!
//! Read are `spike_times.npy`, `spike_clusters.npy` (`spike_templates.npy` where phy has not been run), the rate in `params.py`, the
//! tables `cluster_NAME.tsv`, and where they are there `amplitudes.npy` and `spike_positions.npy`. Programs disagree about integer
//! types and about shape `[spikes]` or `[spikes, 1]`; all are taken. Of a result of `somata sort`, whose phy folder is `phy/`,
//! `metrics.csv` and `segments.csv` are read as well. Templates and features are not. Source: phy's documentation of its template
//! format.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use crate::error::IoError;
use crate::npy::{read_npy_as_f64, read_npy_as_i64};
use crate::tables::csv::read_csv;

/// A sorting with what is known of its units.
#[derive(Clone, PartialEq, Debug)]
pub struct PhySorting {
    /// Samples a second.
    pub sampling_frequency_hz: f64,
    /// Sample of each spike, ascending.
    pub spike_samples: Vec<i64>,
    /// Unit of each spike, as a place in `unit_ids`.
    pub spike_units: Vec<usize>,
    /// Amplitude of each spike, in the unit of the program that wrote it; of somata, multiples of the template.
    pub amplitudes: Option<Vec<f64>>,
    /// x and y of each spike, µm.
    pub spike_positions_um: Option<Vec<[f64; 2]>>,
    /// Ids of the units that have a spike, ascending.
    pub unit_ids: Vec<i64>,
    /// What tables say of the units.
    pub unit_columns: Vec<UnitColumn>,
    /// Stretches without pause; empty where the recording has none.
    pub segments: Vec<Stretch>,
}

/// What one table says of each unit.
#[derive(Clone, PartialEq, Debug)]
pub struct UnitColumn {
    /// The column's name, as `group`.
    pub name: String,
    /// One value a unit, in the order of [`PhySorting::unit_ids`]; empty where the table does not say it.
    pub values: Vec<String>,
}

/// A stretch of the recording without pause.
#[derive(Copy, Clone, PartialEq, Debug)]
pub struct Stretch {
    /// First sample, of the joined recording.
    pub start_sample: i64,
    /// Time of that sample on the clock of the acquisition, s.
    pub start_time_s: f64,
}

impl PhySorting {
    /// Number of spikes of each unit.
    pub fn n_spikes_of_units(&self) -> Vec<usize> {
        let mut counts = vec![0; self.unit_ids.len()];
        for &unit in &self.spike_units {
            counts[unit] += 1;
        }
        counts
    }

    /// Time of a sample of the joined recording, s: as if there were no pauses.
    pub fn time_s(&self, sample: i64) -> f64 {
        sample as f64 / self.sampling_frequency_hz
    }

    /// Time of a sample on the clock of the acquisition, s; `None` where the recording has no pauses.
    pub fn clock_time_s(&self, sample: i64) -> Option<f64> {
        let after = self
            .segments
            .partition_point(|stretch| stretch.start_sample <= sample);
        let stretch = self.segments.get(after.saturating_sub(1))?;
        Some(stretch.start_time_s + self.time_s(sample - stretch.start_sample))
    }
}

/// The phy folder of a path: the path itself, or `phy/` in a result of `somata sort`. `None` when neither is one.
pub fn phy_folder(path: &Path) -> Option<PathBuf> {
    [path.join("phy"), path.to_owned()]
        .into_iter()
        .find(|folder| folder.join("spike_times.npy").is_file())
}

/// The spikes of a phy folder, in the order in which they lie there.
#[derive(Clone, PartialEq, Debug)]
pub struct PhySpikes {
    /// Samples a second.
    pub sampling_frequency_hz: f64,
    /// Sample of each spike.
    pub samples: Vec<i64>,
    /// Id of the unit of each spike.
    pub ids: Vec<i64>,
}

/// Largest number of a sample: what is counted in 64-bit floats as well, and more than any recording has.
const LAST_SAMPLE: u64 = 1 << 52;

/// Reads nothing but the spikes of the phy folder `folder`, so that what is wrong with its other files does not matter.
///
/// # Errors
/// When a file is missing or damaged, or there are not as many units as spikes.
pub fn read_phy_spikes(folder: &Path) -> Result<PhySpikes, IoError> {
    let at = |name: &str| folder.join(name);
    let times = at("spike_times.npy");
    let samples = read_npy_as_i64(&times)?.data;
    if let Some(sample) = samples
        .iter()
        .find(|sample| sample.unsigned_abs() > LAST_SAMPLE)
    {
        return Err(IoError::bad_value(
            &times,
            "time of a spike",
            sample,
            "the number of a sample",
        ));
    }
    let clusters = [at("spike_clusters.npy"), at("spike_templates.npy")];
    let clusters = clusters.iter().find(|path| path.is_file());
    let clusters = clusters.ok_or_else(|| IoError::Missing {
        path: at("spike_clusters.npy"),
    })?;
    let ids = read_npy_as_i64(clusters)?.data;
    check_length(clusters, ids.len(), samples.len())?;
    Ok(PhySpikes {
        sampling_frequency_hz: sampling_frequency_hz(&at("params.py"))?,
        samples,
        ids,
    })
}

/// Reads a phy folder, or the result of `somata sort` that holds one.
///
/// # Errors
/// When there is none, a file is missing or damaged, or tables do not fit each other.
pub fn read_phy(path: &Path) -> Result<PhySorting, IoError> {
    let folder = phy_folder(path).ok_or_else(|| IoError::Missing {
        path: path.join("spike_times.npy"),
    })?;
    let at = |name: &str| folder.join(name);
    let PhySpikes {
        sampling_frequency_hz,
        samples,
        ids,
    } = read_phy_spikes(&folder)?;
    let n_spikes = samples.len();
    let amplitudes = optional(&at("amplitudes.npy"), n_spikes, 1)?;
    let positions = optional(&at("spike_positions.npy"), n_spikes, 2)?;
    // Spikes of some programs are ordered by unit.
    let mut order: Vec<usize> = (0..n_spikes).collect();
    order.sort_by_key(|&spike| samples[spike]);
    let unit_ids: Vec<i64> = BTreeSet::from_iter(ids.iter().copied())
        .into_iter()
        .collect();
    let place = |id: i64| unit_ids.binary_search(&id).expect("collected from the ids");
    Ok(PhySorting {
        sampling_frequency_hz,
        spike_samples: order.iter().map(|&spike| samples[spike]).collect(),
        spike_units: order.iter().map(|&spike| place(ids[spike])).collect(),
        amplitudes: amplitudes
            .map(|amplitudes| order.iter().map(|&spike| amplitudes[spike]).collect()),
        spike_positions_um: positions.map(|positions| {
            let of = |&spike: &usize| [positions[2 * spike], positions[2 * spike + 1]];
            order.iter().map(of).collect()
        }),
        unit_columns: unit_columns(path, &folder, &unit_ids)?,
        segments: segments(&path.join("segments.csv"))?,
        unit_ids,
    })
}

fn check_length(path: &Path, found: usize, n_spikes: usize) -> Result<(), IoError> {
    if found == n_spikes {
        return Ok(());
    }
    let what = format!("it has {found} entries for the {n_spikes} spikes of `spike_times.npy`");
    Err(IoError::malformed(path, "shape", what))
}

/// Numbers of each spike, where there is such a file.
fn optional(path: &Path, n_spikes: usize, width: usize) -> Result<Option<Vec<f64>>, IoError> {
    if !path.is_file() {
        return Ok(None);
    }
    let array = read_npy_as_f64(path)?;
    // Some programs append a depth to x and y, and some write one column where two are usual.
    let n_columns = array.data.len().checked_div(n_spikes).unwrap_or(width);
    check_length(path, array.data.len() / n_columns.max(1), n_spikes)?;
    if n_columns < width || n_columns * n_spikes != array.data.len() {
        let what = format!("its shape {:?} is not of {n_spikes} spikes", array.shape);
        return Err(IoError::malformed(path, "shape", what));
    }
    let rows = array.data.chunks_exact(n_columns);
    Ok(Some(rows.flat_map(|row| &row[..width]).copied().collect()))
}

/// `sample_rate = 30000.0` among the lines of `params.py`. The file is Python; it is not run.
fn sampling_frequency_hz(path: &Path) -> Result<f64, IoError> {
    let text = std::fs::read_to_string(path).map_err(|source| IoError::read(path, source))?;
    let value = text.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == "sample_rate").then(|| value.trim())
    });
    let value = value.ok_or_else(|| IoError::MissingKey {
        path: path.to_owned(),
        key: "sample_rate".to_owned(),
    })?;
    match value.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate),
        _ => Err(IoError::bad_value(
            path,
            "sample_rate",
            value,
            "a rate in Hz",
        )),
    }
}

/// Columns of `metrics.csv`, then of the `cluster_NAME.tsv` in order of their names. Of a name that comes twice the first counts.
fn unit_columns(
    result: &Path,
    folder: &Path,
    unit_ids: &[i64],
) -> Result<Vec<UnitColumn>, IoError> {
    let mut columns = Vec::new();
    let metrics = result.join("metrics.csv");
    if metrics.is_file() {
        let table = read_csv(&metrics)?;
        let n_rows = table.columns.first().map_or(0, Vec::len);
        let value = |row: usize, column: usize| table.columns[column][row].as_str();
        add_columns(
            &mut columns,
            &metrics,
            unit_ids,
            &table.names,
            n_rows,
            value,
        )?;
    }
    let entries = std::fs::read_dir(folder).map_err(|source| IoError::read(folder, source))?;
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("cluster_") && name.ends_with(".tsv") && path.is_file()
        })
        .collect();
    // phy gathers all tables in `cluster_info.tsv`; the tables themselves are newer or the same.
    paths.sort_by_key(|path| (path.ends_with("cluster_info.tsv"), path.clone()));
    for path in paths {
        let text = std::fs::read_to_string(&path).map_err(|source| IoError::read(&path, source))?;
        let mut lines = text.lines();
        let names = split_by_tabs(lines.next().unwrap_or_default());
        let rows: Vec<Vec<String>> = lines
            .filter(|line| !line.trim().is_empty())
            .map(split_by_tabs)
            .collect();
        // A line that is short has no value in the later columns.
        let value = |row: usize, column: usize| rows[row].get(column).map_or("", String::as_str);
        add_columns(&mut columns, &path, unit_ids, &names, rows.len(), value)?;
    }
    Ok(columns)
}

/// The values of a line.
fn split_by_tabs(line: &str) -> Vec<String> {
    line.split('\t')
        .map(|value| value.trim().to_owned())
        .collect()
}

/// Columns of a table of units at most: programs write some dozens, and each costs memory for every unit.
const MAX_COLUMNS: usize = 256;

/// Adds the columns of a table of `n_rows` rows, of which `value` gives that of a row and a column; the first column is the id of a
/// unit.
fn add_columns<'a>(
    columns: &mut Vec<UnitColumn>,
    path: &Path,
    unit_ids: &[i64],
    names: &[String],
    n_rows: usize,
    value: impl Fn(usize, usize) -> &'a str,
) -> Result<(), IoError> {
    if names.len() > MAX_COLUMNS {
        let what = format!(
            "{} columns are more than the {MAX_COLUMNS} that are read",
            names.len()
        );
        return Err(IoError::malformed(path, "line 1", what));
    }
    let mut place_of = BTreeMap::new();
    for row in 0..n_rows {
        let text = value(row, 0);
        let id: i64 = text.parse().map_err(|_| {
            IoError::malformed(
                path,
                format!("row {}", row + 1),
                format!("`{text}` is no id of a unit"),
            )
        })?;
        place_of.insert(id, row);
    }
    let known: HashSet<String> = columns.iter().map(|column| column.name.clone()).collect();
    for (column, name) in names.iter().enumerate().skip(1) {
        if name.is_empty() || known.contains(name) {
            continue;
        }
        let of_unit = |id| place_of.get(id).map_or("", |&row| value(row, column));
        columns.push(UnitColumn {
            name: name.clone(),
            values: unit_ids.iter().map(|id| of_unit(id).to_owned()).collect(),
        });
    }
    Ok(())
}

/// The table `segments.csv` of a result of `somata sort`.
fn segments(path: &Path) -> Result<Vec<Stretch>, IoError> {
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let table = read_csv(path)?;
    let column = |name: &str| {
        let place = table.names.iter().position(|found| found == name);
        place
            .map(|place| &table.columns[place])
            .ok_or_else(|| IoError::MissingKey {
                path: path.to_owned(),
                key: name.to_owned(),
            })
    };
    let (samples, times) = (column("start_sample")?, column("start_time_s")?);
    samples
        .iter()
        .zip(times)
        .map(|(sample, time)| {
            let stretch = || {
                Some(Stretch {
                    start_sample: sample.parse().ok()?,
                    start_time_s: time.parse().ok()?,
                })
            };
            stretch().ok_or_else(|| IoError::bad_value(path, "start_sample", sample, "two numbers"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::npy::write_npy;

    /// A folder as Kilosort leaves it: other types, two axes, spikes not in order.
    fn kilosort(folder: &Path) {
        let at = |name: &str| folder.join(name);
        write_npy(&at("spike_times.npy"), &[3, 1], &[30u64, 10, 20]).unwrap();
        write_npy(&at("spike_templates.npy"), &[3, 1], &[7u32, 2, 7]).unwrap();
        write_npy(&at("amplitudes.npy"), &[3], &[3.0f32, 1.0, 2.0]).unwrap();
        let positions = [30.0f64, 31.0, 10.0, 11.0, 20.0, 21.0];
        write_npy(&at("spike_positions.npy"), &[3, 2], &positions).unwrap();
        std::fs::write(at("params.py"), "dat_path = 'a=b'\nsample_rate = 30000.\n").unwrap();
    }

    #[test]
    fn any_program_s_folder_is_read_in_order_of_time() {
        let folder = tempfile::tempdir().unwrap();
        kilosort(folder.path());
        let sorting = read_phy(folder.path()).unwrap();
        assert_eq!(sorting.sampling_frequency_hz, 30_000.0);
        assert_eq!(sorting.spike_samples, [10, 20, 30]);
        assert_eq!(sorting.unit_ids, [2, 7]);
        assert_eq!(sorting.spike_units, [0, 1, 1]);
        assert_eq!(sorting.amplitudes.as_deref(), Some(&[1.0, 2.0, 3.0][..]));
        assert_eq!(
            sorting.spike_positions_um.as_ref().unwrap()[2],
            [30.0, 31.0]
        );
        assert_eq!(sorting.n_spikes_of_units(), [1, 2]);
        assert_eq!(sorting.clock_time_s(10), None);
        // What phy made of it goes before.
        let path = folder.path().join("spike_clusters.npy");
        write_npy(&path, &[3], &[9i32, 9, 9]).unwrap();
        assert_eq!(read_phy(folder.path()).unwrap().unit_ids, [9]);
    }

    #[test]
    fn tables_of_units_are_joined_by_their_id() {
        let result = tempfile::tempdir().unwrap();
        let folder = result.path().join("phy");
        std::fs::create_dir(&folder).unwrap();
        kilosort(&folder);
        let write = |path: PathBuf, text: &str| std::fs::write(path, text).unwrap();
        write(
            result.path().join("metrics.csv"),
            "unit_id,label,snr\n2,good,\n7,mua,4.5\n8,mua,1\n",
        );
        write(
            folder.join("cluster_group.tsv"),
            "cluster_id\tgroup\n7\tnoise\n",
        );
        write(
            folder.join("cluster_info.tsv"),
            "cluster_id\tgroup\tdepth\n2\told\t40\n7\told\t80\n",
        );
        write(
            result.path().join("segments.csv"),
            "segment,start_sample,n_samples,start_time_s\n0,0,15,100\n1,15,15,200.5\n",
        );
        let sorting = read_phy(result.path()).unwrap();
        let column = |name: &str| {
            let mut columns = sorting.unit_columns.iter();
            &columns.find(|column| column.name == name).unwrap().values
        };
        assert_eq!(column("label"), &["good", "mua"]);
        assert_eq!(column("snr"), &["", "4.5"]);
        assert_eq!(column("group"), &["", "noise"]);
        assert_eq!(column("depth"), &["40", "80"]);
        assert_eq!(sorting.unit_columns.len(), 4);
        assert_eq!(sorting.clock_time_s(14), Some(100.0 + 14.0 / 30_000.0));
        assert_eq!(sorting.clock_time_s(15), Some(200.5));
    }

    #[test]
    fn what_is_wrong_with_a_folder_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let message = || read_phy(folder.path()).unwrap_err().to_string();
        assert!(message().contains("spike_times.npy` does not exist"));
        kilosort(folder.path());
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("params.py"), "n_channels_dat = 4\n").unwrap();
        assert!(message().contains("has no `sample_rate`"));
        std::fs::write(at("params.py"), "sample_rate = 0\n").unwrap();
        assert!(message().contains("`sample_rate` is `0`"));
        std::fs::write(at("cluster_group.tsv"), "cluster_id\tgroup\nx\tgood\n").unwrap();
        std::fs::write(at("params.py"), "sample_rate = 1\n").unwrap();
        assert!(message().contains("row 1: `x` is no id"), "{}", message());
        write_npy(&at("spike_templates.npy"), &[2], &[1i32, 2]).unwrap();
        assert!(message().contains("2 entries for the 3 spikes"));
        write_npy(&at("spike_templates.npy"), &[3], &[1.0f32; 3]).unwrap();
        assert!(message().contains("integer type"));
        write_npy(&at("spike_times.npy"), &[1], &[u64::MAX]).unwrap();
        assert!(message().contains("below 2⁶³"));
    }
}
