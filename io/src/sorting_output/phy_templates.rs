//! Reads what a phy folder says of electrodes and waveforms, to hand it on.
//!
//! Electrodes are the sorted channels: `channel_positions.npy`, with `channel_map.npy` and `channel_shanks.npy` where they are there.
//! Waveforms are those of `templates_uv.npy`, which somata writes; the templates of other programs have no unit and are not taken.
//! phy's merges and splits change units and not templates, so the mean waveform of a unit is the mean of the templates of its spikes,
//! each as often as it found one (as phy shows it). Deviations of waveforms, in `templates_sd_uv.npy`, are pooled in the same way:
//! what the means differ by is part of them.

use std::collections::BTreeMap;
use std::path::Path;

use super::phy_reader::{PhySorting, phy_folder, read_phy_spikes};
use crate::error::IoError;
use crate::npy::{read_npy_as_f64, read_npy_as_i64};
use crate::npy_rows::NpyRows;

/// The sorted channels, in order.
#[derive(Clone, PartialEq, Debug)]
pub struct PhyElectrodes {
    /// x and y of each, µm.
    pub positions_um: Vec<[f64; 2]>,
    /// Shank of each; 0 where the folder does not say it.
    pub shanks: Vec<i64>,
    /// Column of the raw file of each, where the folder says it.
    pub columns: Option<Vec<i64>>,
}

/// Reads the electrodes; `None` when the folder does not say where they are.
///
/// # Errors
/// When a file is damaged, or the files do not fit each other.
pub fn read_phy_electrodes(path: &Path) -> Result<Option<PhyElectrodes>, IoError> {
    let Some(folder) = phy_folder(path) else {
        return Ok(None);
    };
    let positions_path = folder.join("channel_positions.npy");
    if !positions_path.is_file() {
        return Ok(None);
    }
    let positions = read_npy_as_f64(&positions_path)?;
    let [n_channels, 2] = positions.shape[..] else {
        let what = format!("its shape {:?} is not of x and y", positions.shape);
        return Err(IoError::malformed(&positions_path, "shape", what));
    };
    let whole = |name: &str| {
        let path = folder.join(name);
        if !path.is_file() {
            return Ok(None);
        }
        // Some programs write a second axis of length 1.
        let values = read_npy_as_i64(&path)?.data;
        if values.len() != n_channels {
            let what = format!(
                "it has {} entries for the {n_channels} of `channel_positions.npy`",
                values.len()
            );
            return Err(IoError::malformed(&path, "shape", what));
        }
        Ok(Some(values))
    };
    Ok(Some(PhyElectrodes {
        positions_um: positions.data.as_chunks().0.to_vec(),
        shanks: whole("channel_shanks.npy")?.unwrap_or_else(|| vec![0; n_channels]),
        columns: whole("channel_map.npy")?,
    }))
}

/// Values of a waveform that is still believed: ten thousand samples on ten thousand channels.
const LARGEST_WAVEFORM: usize = 100_000_000;

/// Mean waveforms of units, read one at a time.
#[derive(Clone, Debug)]
pub struct UnitWaveforms {
    templates: NpyRows,
    deviations: Option<NpyRows>,
    /// Templates of each unit, and how many of its spikes each found.
    parts: Vec<Vec<(usize, usize)>>,
    /// Samples of a waveform.
    pub n_samples: usize,
    /// Electrodes of a waveform: all.
    pub n_electrodes: usize,
}

impl UnitWaveforms {
    /// Opens the waveforms of a sorting; `None` when the folder has none in µV.
    ///
    /// # Errors
    /// When a file is damaged, or the files do not fit each other.
    pub fn open(path: &Path, sorting: &PhySorting) -> Result<Option<UnitWaveforms>, IoError> {
        let Some(folder) = phy_folder(path) else {
            return Ok(None);
        };
        let (waveforms, found_by) = (
            folder.join("templates_uv.npy"),
            folder.join("spike_templates.npy"),
        );
        if !waveforms.is_file() || !found_by.is_file() {
            return Ok(None);
        }
        let (templates, shape) = NpyRows::open_blocks(&waveforms)?;
        let [n_templates, n_samples, n_electrodes] = shape[..] else {
            let what = format!("its shape {shape:?} is not of templates, samples and channels");
            return Err(IoError::malformed(&waveforms, "shape", what));
        };
        if templates.row_length > LARGEST_WAVEFORM {
            let what = format!("a template of {n_samples} samples on {n_electrodes} channels");
            return Err(IoError::malformed(&waveforms, "shape", what));
        }
        let path = folder.join("templates_sd_uv.npy");
        let deviations = if path.is_file() {
            let (deviations, of) = NpyRows::open_blocks(&path)?;
            if of != shape {
                let what = format!("its shape {of:?} is not that of `templates_uv.npy`, {shape:?}");
                return Err(IoError::malformed(&path, "shape", what));
            }
            Some(deviations)
        } else {
            None
        };
        let ids = read_phy_spikes(&folder)?.ids;
        let found = read_npy_as_i64(&found_by)?.data;
        if found.len() != ids.len() {
            let what = format!("it has {} entries for {} spikes", found.len(), ids.len());
            return Err(IoError::malformed(&found_by, "shape", what));
        }
        let mut counts = vec![BTreeMap::new(); sorting.unit_ids.len()];
        for (id, &template) in ids.iter().zip(&found) {
            let template = usize::try_from(template)
                .ok()
                .filter(|&template| template < n_templates)
                .ok_or_else(|| {
                    let expected = format!("one of the {n_templates} templates");
                    IoError::bad_value(&found_by, "template", template, &expected)
                })?;
            if let Ok(unit) = sorting.unit_ids.binary_search(id) {
                *counts[unit].entry(template).or_insert(0) += 1;
            }
        }
        Ok(Some(UnitWaveforms {
            templates,
            deviations,
            parts: counts
                .into_iter()
                .map(|counts| counts.into_iter().collect())
                .collect(),
            n_samples,
            n_electrodes,
        }))
    }

    /// The mean waveform of a unit, `[samples, electrodes]`, µV.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read_uv(&self, unit: usize) -> Result<Vec<f64>, IoError> {
        let length = self.n_samples * self.n_electrodes;
        let (mut sum, mut one) = (vec![0.0; length], vec![0f32; length]);
        for (template, share) in self.shares(unit) {
            self.templates.read_part(template, 0, &mut one)?;
            for (sum, &value) in sum.iter_mut().zip(&one) {
                *sum += share * f64::from(value);
            }
        }
        Ok(sum)
    }

    /// Whether the folder tells the deviations of waveforms.
    pub fn has_deviations(&self) -> bool {
        self.deviations.is_some()
    }

    /// The standard deviation of a unit's waveforms, `[samples, electrodes]`, µV; not a number where it was not measured. `None`
    /// where the folder does not tell it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read_sd_uv(&self, unit: usize) -> Result<Option<Vec<f64>>, IoError> {
        let Some(deviations) = &self.deviations else {
            return Ok(None);
        };
        let mean = self.read_uv(unit)?;
        let mut variance = vec![0.0; mean.len()];
        let (mut own_mean, mut own) = (vec![0f32; mean.len()], vec![0f32; mean.len()]);
        for (template, share) in self.shares(unit) {
            self.templates.read_part(template, 0, &mut own_mean)?;
            deviations.read_part(template, 0, &mut own)?;
            for ((variance, mean), (&own_mean, &own)) in variance
                .iter_mut()
                .zip(&mean)
                .zip(own_mean.iter().zip(&own))
            {
                let apart = f64::from(own_mean) - mean;
                *variance += share * (f64::from(own) * f64::from(own) + apart * apart);
            }
        }
        Ok(Some(variance.into_iter().map(f64::sqrt).collect()))
    }

    /// Templates of a unit, and the share of its spikes that each found.
    fn shares(&self, unit: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        let n_spikes: usize = self.parts[unit].iter().map(|(_, n)| n).sum();
        self.parts[unit]
            .iter()
            .map(move |&(template, n)| (template, n as f64 / n_spikes as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::npy::write_npy;
    use crate::sorting_output::phy_reader::read_phy;

    #[test]
    fn a_merged_unit_s_waveform_is_the_mean_over_its_spikes() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        write_npy(&at("spike_times.npy"), &[4], &[1i64, 2, 3, 4]).unwrap();
        write_npy(&at("spike_clusters.npy"), &[4], &[5i32, 5, 5, 1]).unwrap();
        std::fs::write(at("params.py"), "sample_rate = 10.\n").unwrap();
        let sorting = read_phy(folder.path()).unwrap();
        assert!(
            UnitWaveforms::open(folder.path(), &sorting)
                .unwrap()
                .is_none()
        );
        write_npy(&at("spike_templates.npy"), &[4], &[0i32, 0, 1, 1]).unwrap();
        let values: Vec<f32> = (0..12).map(|value| value as f32).collect();
        write_npy(&at("templates_uv.npy"), &[2, 3, 2], &values).unwrap();
        let waveforms = UnitWaveforms::open(folder.path(), &sorting)
            .unwrap()
            .unwrap();
        assert_eq!([waveforms.n_samples, waveforms.n_electrodes], [3, 2]);
        assert_eq!(
            waveforms.read_uv(0).unwrap(),
            [6.0, 7.0, 8.0, 9.0, 10.0, 11.0]
        );
        let merged = waveforms.read_uv(1).unwrap();
        assert!((merged[0] - 2.0).abs() < 1e-12 && (merged[5] - 7.0).abs() < 1e-12);
        assert!(!waveforms.has_deviations() && waveforms.read_sd_uv(0).unwrap().is_none());
        let deviations: Vec<f32> = (0..12)
            .map(|value| {
                if value == 5 {
                    f32::NAN
                } else {
                    (value % 7) as f32
                }
            })
            .collect();
        write_npy(&at("templates_sd_uv.npy"), &[2, 3, 2], &deviations).unwrap();
        let waveforms = UnitWaveforms::open(folder.path(), &sorting)
            .unwrap()
            .unwrap();
        assert_eq!(
            waveforms.read_sd_uv(0).unwrap().unwrap(),
            [6.0, 0.0, 1.0, 2.0, 3.0, 4.0]
        );
        // Two spikes of template 0, one of template 1, whose means 0 and 6 are about 2.
        let merged = waveforms.read_sd_uv(1).unwrap().unwrap();
        let expected = (2.0 / 3.0 * (0.0 + 4.0) + 1.0 / 3.0 * (36.0 + 16.0f64)).sqrt();
        assert!((merged[0] - expected).abs() < 1e-12 && merged[5].is_nan());
        write_npy(&at("spike_templates.npy"), &[4], &[0i32, 0, 1, 2]).unwrap();
        let error = UnitWaveforms::open(folder.path(), &sorting).unwrap_err();
        assert!(
            error.to_string().contains("one of the 2 templates"),
            "{error}"
        );
        write_npy(&at("templates_uv.npy"), &[6, 2], &values).unwrap();
        let error = UnitWaveforms::open(folder.path(), &sorting).unwrap_err();
        assert!(error.to_string().contains("[6, 2]"), "{error}");
        write_npy(&at("templates_uv.npy"), &[2, 2, 3], &values).unwrap();
        let error = UnitWaveforms::open(folder.path(), &sorting).unwrap_err();
        assert!(error.to_string().contains("templates_sd_uv.npy"), "{error}");
    }

    #[test]
    fn electrodes_that_do_not_fit_are_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let read = || read_phy_electrodes(folder.path());
        assert_eq!(read().unwrap(), None);
        write_npy(&at("spike_times.npy"), &[0], &[0i64; 0]).unwrap();
        assert_eq!(read().unwrap(), None);
        write_npy(
            &at("channel_positions.npy"),
            &[2, 2],
            &[1f32, 2.0, 3.0, 4.0],
        )
        .unwrap();
        let electrodes = read().unwrap().unwrap();
        assert_eq!(electrodes.positions_um, [[1.0, 2.0], [3.0, 4.0]]);
        assert_eq!((electrodes.shanks, electrodes.columns), (vec![0, 0], None));
        write_npy(&at("channel_map.npy"), &[2, 1], &[7i32, 5]).unwrap();
        assert_eq!(read().unwrap().unwrap().columns, Some(vec![7, 5]));
        write_npy(&at("channel_shanks.npy"), &[3], &[0i32, 1, 2]).unwrap();
        let error = read().unwrap_err().to_string();
        assert!(
            error.contains("channel_shanks.npy") && error.contains("3 entries"),
            "{error}"
        );
    }
}
