//! Reads what a program found in one plane from the plain arrays of a Suite2p-style folder (`OUT/suite2p/plane0`).
//!
//! | file | shape | used for |
//! |---|---|---|
//! | `F_corrected.npy` | `[cells, frames]` | traces, where it is there |
//! | `F.npy`, `Fneu.npy` | `[cells, frames]` | else traces: F − 0.7 Fneu |
//! | `spks.npy` | `[cells, frames]` | spikes |
//! | `iscell.npy` | `[cells, 1 or 2]` | which of them are cells: above 0.5 in the first column |
//! | `shifts.npy` | `[frames, 2]` (down, right) | shifts |
//! | `masks.npy` | bool `[cells, height, width]` | pixels |
//!
//! Each may be missing. `stat.npy` and `ops.npy` are Python pickles and are not read: pixels must come from `masks.npy` or from
//! elsewhere.

use std::path::Path;

use super::masks::Footprint;
use super::movie::MoviePrediction;
use crate::arrays::check_file;
use crate::error::{Result, ValidationError};
use crate::simulate::truth::floats_in_file_order;

/// Share of the neuropil that is taken off `F`: Suite2p's default.
const NEUROPIL_COEFFICIENT: f64 = 0.7;

/// What a plane's folder holds; see the module's head.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PlaneFolder {
    /// Traces corrected for the neuropil, `[cells][frames]`.
    pub traces: Option<Vec<Vec<f32>>>,
    /// Spikes, `[cells][frames]`.
    pub spikes: Option<Vec<Vec<f32>>>,
    /// Which are called cells, `[cells]`.
    pub is_cell: Option<Vec<bool>>,
    /// Shifts (down, right) of the frames, px.
    pub shifts: Option<[Vec<f64>; 2]>,
    /// Pixels, `[cells]`.
    pub masks: Option<Vec<Footprint>>,
}

/// Reads the folder of one plane.
///
/// # Errors
/// If a file that is there cannot be read or has another shape.
pub fn read_plane_folder(folder: &Path) -> Result<PlaneFolder> {
    let signals = |name: &str| read_rows(&folder.join(name));
    let traces = match signals("F_corrected.npy")? {
        Some(traces) => Some(traces),
        None => match (signals("F.npy")?, signals("Fneu.npy")?) {
            (Some(cells), Some(neuropil)) => {
                let size = |signals: &[Vec<f64>]| (signals.len(), signals.first().map(Vec::len));
                if size(&cells) != size(&neuropil) {
                    return Err(ValidationError::bad_file(
                        &folder.join("Fneu.npy"),
                        "its shape is not that of `F.npy` beside it",
                    ));
                }
                let corrected = cells.iter().zip(&neuropil).map(|(cell, neuropil)| {
                    cell.iter()
                        .zip(neuropil)
                        .map(|(cell, neuropil)| cell - NEUROPIL_COEFFICIENT * neuropil)
                        .collect()
                });
                Some(corrected.collect())
            }
            _ => None,
        },
    };
    let narrow = |signals: Vec<Vec<f64>>| {
        signals
            .into_iter()
            .map(|signal| signal.into_iter().map(|value| value as f32).collect())
            .collect()
    };
    let shifts = signals("shifts.npy")?
        .map(|rows| {
            if rows.iter().any(|row| row.len() != 2) {
                return Err(ValidationError::bad_file(
                    &folder.join("shifts.npy"),
                    "it is not [frames, 2]",
                ));
            }
            Ok([0, 1].map(|axis: usize| rows.iter().map(|row| row[axis]).collect()))
        })
        .transpose()?;
    Ok(PlaneFolder {
        traces: traces.map(narrow),
        spikes: signals("spks.npy")?.map(narrow),
        is_cell: signals("iscell.npy")?.map(|rows| {
            rows.iter()
                .map(|row| row.first().is_some_and(|&is_cell| is_cell > 0.5))
                .collect()
        }),
        shifts,
        masks: read_masks(&folder.join("masks.npy"))?,
    })
}

impl PlaneFolder {
    /// As a prediction, with the cells' pixels from `masks` where the folder has none. With `only_cells` those that `iscell.npy`
    /// calls no cells are left out.
    ///
    /// # Errors
    /// If there are no pixels from either side, or the arrays are of different numbers of cells.
    pub fn into_prediction(
        self,
        masks: Option<Vec<Footprint>>,
        only_cells: bool,
    ) -> Result<MoviePrediction> {
        let bad = |reason: String| ValidationError::BadPrediction(reason);
        let masks = self.masks.or(masks).ok_or_else(|| {
            bad("it has no `masks.npy`, and `stat.npy` is a pickle that is not read".into())
        })?;
        let keep: Vec<bool> = match self.is_cell {
            Some(is_cell) if only_cells => is_cell,
            _ => vec![true; masks.len()],
        };
        for (name, n) in [
            ("iscell.npy", Some(keep.len())),
            ("traces", self.traces.as_ref().map(Vec::len)),
            ("spikes", self.spikes.as_ref().map(Vec::len)),
        ] {
            if let Some(n) = n
                && n != masks.len()
            {
                return Err(bad(format!(
                    "{name} have {n} cells, the masks {}",
                    masks.len()
                )));
            }
        }
        fn kept<T>(values: Vec<T>, keep: &[bool]) -> Vec<T> {
            let pairs = values.into_iter().zip(keep);
            pairs
                .filter_map(|(value, keep)| keep.then_some(value))
                .collect()
        }
        Ok(MoviePrediction {
            masks: kept(masks, &keep),
            traces: self.traces.map(|traces| kept(traces, &keep)),
            spikes: self.spikes.map(|spikes| kept(spikes, &keep)),
            shifts: self.shifts,
        })
    }
}

/// The bytes of a file; `None` where there is none.
fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ValidationError::io("read", path, source)),
    }
}

/// An array of two axes by row; `None` where there is no file. Suite2p writes `iscell.npy` column by column.
fn read_rows(path: &Path) -> Result<Option<Vec<Vec<f64>>>> {
    let Some(bytes) = read_if_there(path)? else {
        return Ok(None);
    };
    let bad = |reason: String| ValidationError::bad_file(path, reason);
    check_file(path, &bytes).map_err(bad)?;
    let file = npyz::NpyFile::new(&bytes[..]).map_err(|source| bad(source.to_string()))?;
    let [n_rows, n_columns] = file.shape()[..] else {
        return Err(bad(format!(
            "its shape is {:?} and not of two axes",
            file.shape()
        )));
    };
    let (n_rows, n_columns) = (n_rows as usize, n_columns as usize);
    let (per_row, per_column) = match file.order() {
        npyz::Order::C => (n_columns, 1),
        npyz::Order::Fortran => (1, n_rows),
    };
    let values = floats_in_file_order(file).map_err(bad)?;
    Ok(Some(
        (0..n_rows)
            .map(|row| {
                (0..n_columns)
                    .map(|column| values[row * per_row + column * per_column])
                    .collect()
            })
            .collect(),
    ))
}

fn read_masks(path: &Path) -> Result<Option<Vec<Footprint>>> {
    let Some(bytes) = read_if_there(path)? else {
        return Ok(None);
    };
    let bad = |reason: String| ValidationError::bad_file(path, reason);
    check_file(path, &bytes).map_err(bad)?;
    let file = npyz::NpyFile::new(&bytes[..]).map_err(|source| bad(source.to_string()))?;
    let (n, n_pixels) = match file.shape()[..] {
        [n, height, width] if file.order() == npyz::Order::C => {
            (n as usize, (height * width) as usize)
        }
        _ => {
            return Err(bad(
                "it is not [cells, height, width] in row-major order".into()
            ));
        }
    };
    let values: Vec<bool> = file.into_vec().map_err(|source| bad(source.to_string()))?;
    Ok(Some(
        (0..n)
            .map(|cell| {
                let image = &values[cell * n_pixels..(cell + 1) * n_pixels];
                let inside = image.iter().enumerate().filter(|(_, inside)| **inside);
                Footprint::new(inside.map(|(pixel, _)| pixel as u32).collect())
            })
            .collect(),
    ))
}

#[cfg(test)]
mod tests {
    use npyz::WriterBuilder;

    use super::*;

    fn write<T: npyz::AutoSerialize>(path: &Path, shape: &[u64], values: &[T]) {
        let mut bytes = Vec::new();
        let mut writer = npyz::WriteOptions::new()
            .default_dtype()
            .shape(shape)
            .writer(&mut bytes)
            .begin_nd()
            .unwrap();
        writer.extend(values.iter()).unwrap();
        writer.finish().unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    #[test]
    fn arrays_of_a_plane_become_a_prediction() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert_eq!(
            read_plane_folder(folder.path()).unwrap(),
            PlaneFolder::default()
        );
        write(&at("F.npy"), &[2, 3], &[10.0f32, 20.0, 30.0, 1.0, 2.0, 3.0]);
        write(
            &at("Fneu.npy"),
            &[2, 3],
            &[10.0f32, 10.0, 10.0, 0.0, 0.0, 0.0],
        );
        write(&at("spks.npy"), &[2, 3], &[0.0f32, 1.0, 0.0, 0.0, 0.0, 2.0]);
        // Column by column, as Suite2p does.
        let mut bytes = Vec::new();
        let mut writer = npyz::WriteOptions::new()
            .default_dtype()
            .shape(&[2, 2])
            .order(npyz::Order::Fortran)
            .writer(&mut bytes)
            .begin_nd()
            .unwrap();
        writer.extend([0.0f64, 1.0, 0.9, 0.2]).unwrap();
        writer.finish().unwrap();
        std::fs::write(at("iscell.npy"), bytes).unwrap();
        write(
            &at("shifts.npy"),
            &[3, 2],
            &[1.0f32, -1.0, 2.0, -2.0, 3.0, -3.0],
        );
        let masks = vec![Footprint::new(vec![0]), Footprint::new(vec![5, 6])];
        let read = || read_plane_folder(folder.path()).unwrap();
        let all = read().into_prediction(Some(masks.clone()), false).unwrap();
        assert_eq!(all.traces.unwrap(), [[3.0, 13.0, 23.0], [1.0, 2.0, 3.0]]);
        assert_eq!(all.shifts.unwrap()[1], [-1.0, -2.0, -3.0]);
        let cells = read().into_prediction(Some(masks.clone()), true).unwrap();
        assert_eq!(cells.masks, masks[1..]);
        assert_eq!(cells.spikes.unwrap(), [[0.0, 0.0, 2.0]]);

        // A program's own correction goes before F − 0.7 Fneu, its masks before those given.
        write(&at("F_corrected.npy"), &[2, 3], &[7.0f32; 6]);
        let inside = [false, true, false, false, true, true, false, false];
        write(&at("masks.npy"), &[2, 2, 2], &inside);
        let own = read().into_prediction(Some(masks), false).unwrap();
        assert_eq!(own.traces.unwrap(), [[7.0; 3]; 2]);
        assert_eq!(own.masks[1].pixels, [0, 1]);
    }

    #[test]
    fn arrays_that_do_not_belong_together_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let message = PlaneFolder::default()
            .into_prediction(None, false)
            .unwrap_err()
            .to_string();
        assert!(message.contains("masks.npy"), "{message}");
        write(&at("spks.npy"), &[3], &[0.0f32; 3]);
        let message = read_plane_folder(folder.path()).unwrap_err().to_string();
        assert!(message.contains("spks.npy") && message.contains("two axes"));
        write(&at("spks.npy"), &[1, 3], &[0.0f32; 3]);
        let message = read_plane_folder(folder.path())
            .unwrap()
            .into_prediction(Some(Vec::new()), false)
            .unwrap_err()
            .to_string();
        assert!(message.contains("spikes have 1 cells"), "{message}");
    }
}
