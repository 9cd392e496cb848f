//! A sorting for MATLAB.
//!
//! | variable | class and size | content |
//! |---|---|---|
//! | `sampling_frequency_hz` | double | samples a second |
//! | `unit_ids` | double, units × 1 | ids |
//! | `spike_times` | cell, units × 1, of double, spikes × 1 | time of each spike of the unit, s, as if there were no pauses |
//! | `spike_samples` | cell, units × 1, of int64, spikes × 1 | the same in samples, from 0 |
//! | `clock_times` | as `spike_times` | where the recording has pauses: on the clock of the acquisition, s |
//! | `amplitudes` | as `spike_times` | amplitudes, where they are known |
//! | `depth_um` | double, units × 1 | mean y of the spikes, µm, where positions are known |
//! | `units` | struct of units × 1 | every column of the table of units: double, or cell of char |

use std::borrow::Cow;
use std::path::Path;

use super::phy_reader::PhySorting;
use super::spike_tables::unit_columns;
use crate::error::IoError;
use crate::matlab::{MatValue, MatWriter, matlab_name};
use crate::tables::{Column, NamedColumn};

/// Writes the sorting. The file appears whole or not at all.
///
/// # Errors
/// When all spikes of a variable take more than 2 GiB, or the file cannot be written.
pub fn write_sorting_mat(path: &Path, sorting: &PhySorting) -> Result<(), IoError> {
    let n_units = sorting.unit_ids.len();
    let mut spikes_of: Vec<Vec<usize>> = sorting
        .n_spikes_of_units()
        .iter()
        .map(|&n| Vec::with_capacity(n))
        .collect();
    for (spike, &unit) in sorting.spike_units.iter().enumerate() {
        spikes_of[unit].push(spike);
    }
    let cells = |value: &dyn Fn(usize) -> f64| {
        let columns = spikes_of.iter().map(|spikes| {
            let values = spikes.iter().map(|&spike| value(spike));
            MatValue::column(values.collect::<Vec<_>>())
        });
        MatValue::Cell([n_units, 1], columns.collect())
    };
    let sample = |spike: usize| sorting.spike_samples[spike];
    let mut writer = MatWriter::create(path)?;
    writer.write(
        "sampling_frequency_hz",
        &MatValue::number(sorting.sampling_frequency_hz),
    )?;
    let ids: Vec<f64> = sorting.unit_ids.iter().map(|&id| id as f64).collect();
    writer.write("unit_ids", &MatValue::column(ids))?;
    writer.write(
        "spike_times",
        &cells(&|spike| sorting.time_s(sample(spike))),
    )?;
    let samples = spikes_of.iter().map(|spikes| {
        let samples: Vec<i64> = spikes.iter().map(|&spike| sample(spike)).collect();
        MatValue::Int64([samples.len(), 1], Cow::Owned(samples))
    });
    let samples = MatValue::Cell([n_units, 1], samples.collect());
    writer.write("spike_samples", &samples)?;
    if !sorting.segments.is_empty() {
        let time = |spike| sorting.clock_time_s(sample(spike)).unwrap_or(f64::NAN);
        writer.write("clock_times", &cells(&time))?;
    }
    if let Some(amplitudes) = &sorting.amplitudes {
        writer.write("amplitudes", &cells(&|spike| amplitudes[spike]))?;
    }
    if let Some(positions) = &sorting.spike_positions_um {
        let depths = spikes_of.iter().map(|spikes| {
            let sum: f64 = spikes.iter().map(|&spike| positions[spike][1]).sum();
            sum / spikes.len() as f64
        });
        writer.write("depth_um", &MatValue::column(depths.collect::<Vec<_>>()))?;
    }
    writer.write("units", &table_struct(&unit_columns(sorting)))?;
    writer.finish()
}

/// A table as a struct of columns. Of two names that MATLAB would write alike the first is kept.
pub(crate) fn table_struct(columns: &[NamedColumn]) -> MatValue<'static> {
    let mut fields: Vec<(String, MatValue)> = Vec::new();
    for column in columns {
        let name = matlab_name(&column.name);
        if fields.iter().any(|(other, _)| *other == name) {
            continue;
        }
        let value = match &column.values {
            Column::Integer(values) => {
                MatValue::column(values.iter().map(|&value| value as f64).collect::<Vec<_>>())
            }
            Column::Float32(values) => MatValue::column(
                values
                    .iter()
                    .map(|&value| f64::from(value))
                    .collect::<Vec<_>>(),
            ),
            Column::Float64(values) => MatValue::column(values.to_vec()),
            Column::Text(values) => {
                MatValue::text_column(values.iter().map(|text| text.clone().unwrap_or_default()))
            }
        };
        fields.push((name, value));
    }
    MatValue::Struct(fields)
}
