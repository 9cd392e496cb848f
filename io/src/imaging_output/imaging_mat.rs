//! An imaging result for MATLAB: one file with all traces ([`write_imaging_mat`]), or Suite2p's own `Fall.mat` of a plane
//! ([`write_fall_mat`]).
//!
//! The former:
//!
//! | variable | class and size | content |
//! |---|---|---|
//! | `frame_rate_hz` | double | frames a second of a plane |
//! | `time_s` | double, frames × 1 | time of each frame, s |
//! | `F`, `Fneu`, `F_corrected`, `dff`, `denoised`, `spikes` | single, cells × frames | traces, those that there are |
//! | `cells` | struct of cells × 1 | every column of the table of cells: double, or cell of char |
//! | `ypix`, `xpix`, `lam` | cell, cells × 1, of double, pixels × 1 | row and column of each pixel, **from 0**, and its weight |
//! | `mean_image` | cell, planes × 1, of single, height × width | mean of the registered frames |
//!
//! `Fall.mat` has what `scipy.io.savemat` makes of Suite2p's arrays: lists become rows, dictionaries structs, the cells a row of
//! structs. What has no counterpart (`None` becomes empty; arrays of more than two axes, objects) is left out.

use std::borrow::Cow;
use std::path::Path;

use super::pickle_reader::{PyNumbers, PyValue};
use super::result_reader::{ImagingResult, PlaneFolder};
use super::trace_files::TraceFiles;
use super::trace_tables::trace_name;
use super::traces::TraceKind;
use crate::error::IoError;
use crate::matlab::{MatValue, MatWriter, matlab_name};
use crate::sorting_output::sorting_mat::table_struct;

/// Writes the traces and cells of all planes. The file appears whole or not at all.
///
/// # Errors
/// When a trace cannot be read, an array takes more than 2 GiB, or the file cannot be written.
pub fn write_imaging_mat(path: &Path, result: &ImagingResult) -> Result<(), IoError> {
    let mut writer = MatWriter::create(path)?;
    let rate = result.frame_rate_hz;
    writer.write("frame_rate_hz", &MatValue::number(rate))?;
    let times = (0..result.traces.n_frames()).map(|frame| frame as f64 / rate);
    let times: Vec<f64> = times.collect();
    writer.write("time_s", &MatValue::column(times))?;
    for kind in result.traces.kinds() {
        stream_traces(&mut writer, trace_name(kind), kind, &result.traces)?;
    }
    writer.write("cells", &table_struct(&result.cell_columns))?;
    let cells = || result.planes.iter().flat_map(|plane| &plane.cells);
    let n_cells = result.n_cells();
    let whole = |places: &[i64]| {
        let places = places.iter().map(|&place| place as f64);
        MatValue::column(places.collect::<Vec<_>>())
    };
    let ypix = cells().map(|cell| whole(&cell.ypix)).collect();
    writer.write("ypix", &MatValue::Cell([n_cells, 1], ypix))?;
    let xpix = cells().map(|cell| whole(&cell.xpix)).collect();
    writer.write("xpix", &MatValue::Cell([n_cells, 1], xpix))?;
    let weights = cells().map(|cell| {
        let weights = cell.lam.iter().map(|&weight| f64::from(weight));
        MatValue::column(weights.collect::<Vec<_>>())
    });
    let weights = MatValue::Cell([n_cells, 1], weights.collect());
    writer.write("lam", &weights)?;
    let images = result.planes.iter().map(|plane| match &plane.mean_image {
        None => MatValue::Double([0, 0], Cow::default()),
        Some(image) => MatValue::Single(
            [plane.height, plane.width],
            column_major(plane.height, plane.width, image).into(),
        ),
    });
    let images = MatValue::Cell([result.planes.len(), 1], images.collect());
    writer.write("mean_image", &images)?;
    writer.finish()
}

/// Writes `Fall.mat` of a plane. The file appears whole or not at all.
///
/// # Errors
/// As [`write_imaging_mat`].
pub fn write_fall_mat(path: &Path, plane: &PlaneFolder) -> Result<(), IoError> {
    let mut writer = MatWriter::create(path)?;
    for (name, kind) in [
        ("F", TraceKind::Fluorescence),
        ("Fneu", TraceKind::Neuropil),
        ("spks", TraceKind::Spikes),
        ("F_corrected", TraceKind::Corrected),
    ] {
        if plane.traces.kinds().contains(&kind) {
            stream_traces(&mut writer, name, kind, &plane.traces)?;
        }
    }
    let n_cells = plane.cells.len();
    let pairs = |rows: &[f64]| {
        let columns = [0, 1].map(|column| rows.iter().skip(column).step_by(2).copied());
        let values: Vec<f64> = columns.into_iter().flatten().collect();
        MatValue::Double([n_cells, 2], values.into())
    };
    if let Some(is_cell) = &plane.is_cell {
        writer.write("iscell", &pairs(is_cell.as_flattened()))?;
    }
    if let Some(red_cells) = &plane.red_cells {
        writer.write("redcell", &pairs(red_cells.as_flattened()))?;
    }
    // What is shared in a pickle is written out as often as it is used, which must have an end.
    let n_bytes =
        |file: &str| std::fs::metadata(plane.folder.join(file)).map_or(0, |meta| meta.len());
    let mut budget = Budget(16 * n_bytes("stat.npy") + 1000);
    let cells = plane.stat.objects();
    let cells = cells.into_iter().map(|cell| {
        let empty = MatValue::Struct(Vec::new());
        budget.value(cell, 0).unwrap_or(empty)
    });
    writer.write("stat", &MatValue::Cell([1, n_cells], cells.collect()))?;
    let settings: u64 = [
        "ops.npy",
        "db.npy",
        "settings.npy",
        "reg_outputs.npy",
        "detect_outputs.npy",
    ]
    .map(n_bytes)
    .iter()
    .sum();
    let mut budget = Budget(16 * settings + 1000);
    let mut ops: Vec<(String, MatValue)> = Vec::new();
    for object in plane
        .settings
        .iter()
        .flat_map(|settings| settings.objects())
    {
        if let Some(MatValue::Struct(fields)) = budget.value(object, 0) {
            for field in fields {
                if !ops.iter().any(|(name, _)| *name == field.0) {
                    ops.push(field);
                }
            }
        }
    }
    writer.write("ops", &MatValue::Struct(ops))?;
    writer.finish()
}

/// Writes traces of one kind, cells × frames, some frames at a time.
fn stream_traces(
    writer: &mut MatWriter,
    name: &str,
    kind: TraceKind,
    traces: &TraceFiles,
) -> Result<(), IoError> {
    let shape = [traces.n_cells(), traces.n_frames()];
    writer.stream_single(name, shape, &mut |first_frame, block| {
        traces.read_frames(kind, first_frame, block)
    })
}

/// A row-major matrix in MATLAB's order.
fn column_major<T: Copy>(n_rows: usize, n_columns: usize, values: &[T]) -> Vec<T> {
    let columns = 0..n_columns;
    columns
        .flat_map(|column| (0..n_rows).map(move |row| values[row * n_columns + column]))
        .collect()
}

/// How deep dictionaries and lists may lie in each other.
const LARGEST_DEPTH: usize = 20;

/// Values and elements that may still be written.
struct Budget(u64);

impl Budget {
    /// Takes that many; `None` when there are not as many left.
    fn take(&mut self, n: usize) -> Option<()> {
        self.0 = self.0.checked_sub(n as u64 + 1)?;
        Some(())
    }

    /// A value as scipy would save it; `None` when it would not, or there is no end to it.
    fn value<'a>(&mut self, value: PyValue<'a>, depth: usize) -> Option<MatValue<'a>> {
        self.take(1)?;
        if depth > LARGEST_DEPTH || value.is_opaque() {
            return None;
        }
        if value.is_none() {
            return Some(MatValue::Double([0, 0], Cow::default()));
        }
        if let Some(text) = value.as_text() {
            self.take(text.len())?;
            return Some(MatValue::Text(text.to_owned()));
        }
        if let Some(entries) = value.entries() {
            let mut fields = Vec::new();
            for (key, value) in entries {
                // scipy leaves out names that begin with an underscore.
                if key.starts_with('_') {
                    continue;
                }
                let name = matlab_name(key);
                if let Some(value) = self.value(value, depth + 1)
                    && !fields.iter().any(|(other, _)| *other == name)
                {
                    fields.push((name, value));
                }
            }
            return Some(MatValue::Struct(fields));
        }
        if let Some(numbers) = value.numbers() {
            self.take(numbers.values.len())?;
            return matrix(numbers);
        }
        let items = value.items()?;
        let mut cells = Vec::new();
        for item in items {
            cells.push(self.value(item, depth + 1)?);
        }
        Some(MatValue::Cell([1, cells.len()], cells))
    }
}

/// Numbers as a matrix of the class that is nearest: integers become `int64`, floats keep their width.
fn matrix(numbers: PyNumbers) -> Option<MatValue<'static>> {
    let shape = match numbers.shape[..] {
        [] => [1, 1],
        [0] => [0, 0],
        [n] => [1, n],
        [n_rows, n_columns] => [n_rows, n_columns],
        _ => return None,
    };
    let values = if numbers.shape.len() == 2 {
        column_major(shape[0], shape[1], &numbers.values)
    } else {
        numbers.values
    };
    Some(match numbers.kind {
        "b1" => MatValue::Logical(shape, values.iter().map(|&value| value != 0.0).collect()),
        "f4" => MatValue::Single(shape, values.iter().map(|&value| value as f32).collect()),
        "f8" => MatValue::Double(shape, values.into()),
        _ => MatValue::Int64(shape, values.iter().map(|&value| value as i64).collect()),
    })
}
