//! Traces as tables: for spreadsheets one file a kind, for databases one long table.

use std::path::Path;

use super::result_reader::ImagingResult;
use super::traces::{NPZ_ARRAYS, TraceKind};
use crate::error::IoError;
use crate::tables::{Column, ColumnKind, ColumnSpec, TableFormat};

/// Values that are read at once: 16 MiB.
const BLOCK_VALUES: usize = 1 << 22;

/// The name of a kind in tables: that of `traces.npz`.
pub fn trace_name(kind: TraceKind) -> &'static str {
    match kind {
        TraceKind::FluorescenceChannel2 => "F_chan2",
        TraceKind::NeuropilChannel2 => "Fneu_chan2",
        kind => {
            let mut names = NPZ_ARRAYS.iter();
            names.find(|(_, found)| *found == kind).expect("listed").0
        }
    }
}

/// Writes `NAME.csv` of each kind into `folder`: one row a frame, with `frame` (from 0), `time_s` and one column a cell, `cell_0` ….
/// Memory holds a stretch of frames.
///
/// # Errors
/// When a trace cannot be read, or a file cannot be written.
pub fn write_wide_traces(folder: &Path, result: &ImagingResult) -> Result<(), IoError> {
    let traces = &result.traces;
    let (n_cells, n_frames) = (traces.n_cells(), traces.n_frames());
    let at_once = (BLOCK_VALUES / n_cells.max(1)).clamp(1, n_frames.max(1));
    for kind in traces.kinds() {
        let mut specs = vec![
            ColumnSpec::new("frame", ColumnKind::Integer),
            ColumnSpec::new("time_s", ColumnKind::Float64),
        ];
        let cells = (0..n_cells).map(|cell| format!("cell_{cell}"));
        specs.extend(cells.map(|name| ColumnSpec::new(name, ColumnKind::Float32)));
        let path = folder.join(format!("{}.csv", trace_name(kind)));
        let mut writer = TableFormat::Csv.create(&path, specs)?;
        for first in (0..n_frames).step_by(at_once) {
            let frames = first..(first + at_once).min(n_frames);
            let mut columns = frame_columns(result, frames.clone());
            for cell in 0..n_cells {
                let mut part = vec![0f32; frames.len()];
                traces.read_part(kind, cell, first, &mut part)?;
                columns.push(Column::Float32(part.into()));
            }
            writer.append(&columns)?;
        }
        writer.finish()?;
    }
    Ok(())
}

/// Writes one long table: one row a cell and frame, cell after cell, with `cell`, `frame`, `time_s` and one column a kind. Memory holds
/// a stretch of rows.
///
/// # Errors
/// When a trace cannot be read, or the file cannot be written.
pub fn write_long_traces(
    format: TableFormat,
    path: &Path,
    result: &ImagingResult,
) -> Result<(), IoError> {
    let traces = &result.traces;
    let kinds = traces.kinds();
    let mut specs = vec![
        ColumnSpec::new("cell", ColumnKind::Integer),
        ColumnSpec::new("frame", ColumnKind::Integer),
        ColumnSpec::new("time_s", ColumnKind::Float64),
    ];
    let names = kinds.iter().map(|&kind| trace_name(kind));
    specs.extend(names.map(|name| ColumnSpec::new(name, ColumnKind::Float32)));
    let mut writer = format.create(path, specs)?;
    let n_frames = traces.n_frames();
    for cell in 0..traces.n_cells() {
        for first in (0..n_frames).step_by(BLOCK_VALUES / 8) {
            let frames = first..(first + BLOCK_VALUES / 8).min(n_frames);
            let mut columns = vec![Column::Integer(vec![cell as i64; frames.len()].into())];
            columns.extend(frame_columns(result, frames.clone()));
            for &kind in &kinds {
                let mut part = vec![0f32; frames.len()];
                traces.read_part(kind, cell, first, &mut part)?;
                columns.push(Column::Float32(part.into()));
            }
            writer.append(&columns)?;
        }
    }
    writer.finish()
}

/// The columns `frame` and `time_s` of these frames.
fn frame_columns(result: &ImagingResult, frames: std::ops::Range<usize>) -> Vec<Column<'static>> {
    let times = frames
        .clone()
        .map(|frame| frame as f64 / result.frame_rate_hz);
    let times = Column::Float64(times.collect());
    let frames = Column::Integer(frames.map(|frame| frame as i64).collect());
    vec![frames, times]
}
