//! A sorting as two tables: `spikes`, one row a spike in order of time, and `units`, one row a unit.

use std::path::Path;

use super::phy_reader::PhySorting;
use crate::error::IoError;
use crate::tables::{Column, ColumnKind, ColumnSpec, NamedColumn, TableFormat};

/// Spikes that are handed over at once.
const ROWS: usize = 1 << 16;

/// Writes the spikes: `sample`, `time_s` (as if there were no pauses), `clock_time_s` (where there are pauses: on the clock of the
/// acquisition), `unit_id`, and where they are known `amplitude`, `x_um` and `y_um`.
///
/// # Errors
/// When the file cannot be written.
pub fn write_spike_table(
    format: TableFormat,
    path: &Path,
    sorting: &PhySorting,
) -> Result<(), IoError> {
    let mut specs = vec![
        ColumnSpec::new("sample", ColumnKind::Integer),
        ColumnSpec::new("time_s", ColumnKind::Float64),
    ];
    let has_pauses = !sorting.segments.is_empty();
    if has_pauses {
        specs.push(ColumnSpec::new("clock_time_s", ColumnKind::Float64));
    }
    specs.push(ColumnSpec::new("unit_id", ColumnKind::Integer));
    if sorting.amplitudes.is_some() {
        specs.push(ColumnSpec::new("amplitude", ColumnKind::Float64));
    }
    if sorting.spike_positions_um.is_some() {
        specs.extend(["x_um", "y_um"].map(|name| ColumnSpec::new(name, ColumnKind::Float32)));
    }
    let mut writer = format.create(path, specs)?;
    let n_spikes = sorting.spike_samples.len();
    for first in (0..n_spikes).step_by(ROWS) {
        let rows = first..(first + ROWS).min(n_spikes);
        let samples = &sorting.spike_samples[rows.clone()];
        let times: Vec<f64> = samples
            .iter()
            .map(|&sample| sorting.time_s(sample))
            .collect();
        let mut columns = vec![
            Column::Integer(samples.into()),
            Column::Float64(times.into()),
        ];
        if has_pauses {
            let times = samples.iter().map(|&sample| sorting.clock_time_s(sample));
            let times: Option<Vec<f64>> = times.collect();
            columns.push(Column::Float64(times.expect("there are stretches").into()));
        }
        let units = sorting.spike_units[rows.clone()].iter();
        let ids: Vec<i64> = units.map(|&unit| sorting.unit_ids[unit]).collect();
        columns.push(Column::Integer(ids.into()));
        if let Some(amplitudes) = &sorting.amplitudes {
            columns.push(Column::Float64(amplitudes[rows.clone()].into()));
        }
        if let Some(positions) = &sorting.spike_positions_um {
            for axis in [0, 1] {
                // Sorters store places with 32 bits; more digits would be made up.
                let along = positions[rows.clone()]
                    .iter()
                    .map(|place| place[axis] as f32);
                columns.push(Column::Float32(along.collect()));
            }
        }
        writer.append(&columns)?;
    }
    writer.finish()
}

/// Writes the units: `unit_id`, `n_spikes`, counted, and what the tables of the sorting say.
///
/// # Errors
/// When the file cannot be written.
pub fn write_unit_table(
    format: TableFormat,
    path: &Path,
    sorting: &PhySorting,
) -> Result<(), IoError> {
    format.write(path, &unit_columns(sorting))
}

/// The columns of the table of units.
pub(super) fn unit_columns(sorting: &PhySorting) -> Vec<NamedColumn<'static>> {
    let ids = Column::Integer(sorting.unit_ids.clone().into());
    let mut columns = vec![NamedColumn::new("unit_id", ids)];
    // Counts of a table may be older than a curation; those of the spikes are not.
    let counts = sorting.n_spikes_of_units().into_iter().map(|n| n as i64);
    let counts = Column::Integer(counts.collect());
    columns.push(NamedColumn::new("n_spikes", counts));
    for column in &sorting.unit_columns {
        if !["unit_id", "n_spikes"].contains(&column.name.as_str()) {
            columns.push(NamedColumn::parsed(column.name.clone(), &column.values));
        }
    }
    columns
}
