//! Sortings: of `somata sort`, and phy folders of any program.

use std::path::Path;

use somata_io::{
    sorting_output::{
        phy_reader::read_phy,
        sorting_mat::write_sorting_mat,
        spike_tables::{write_spike_table, write_unit_table},
        spikeinterface_npz::write_spikeinterface_npz,
    },
    tables::TableFormat,
};

use super::{Format, Target, Written};
use crate::exit::Outcome;

/// Writes the sorting.
pub fn convert(result: &Path, target: &Target) -> Outcome<Written> {
    let sorting = read_phy(result)?;
    let mut written = Written::new(&[
        ("units", sorting.unit_ids.len()),
        ("spikes", sorting.spike_samples.len()),
    ]);
    let table = match target.format {
        Format::Npz => {
            write_spikeinterface_npz(target.path, &sorting)?;
            return Ok(written);
        }
        Format::Mat => {
            write_sorting_mat(target.path, &sorting)?;
            return Ok(written);
        }
        Format::Parquet => TableFormat::Parquet,
        _ => TableFormat::Csv,
    };
    let mut name = |stem: &str| {
        let name = format!("{stem}.{}", table.extension());
        written.files.push(name.clone());
        target.path.join(name)
    };
    write_spike_table(table, &name("spikes"), &sorting)?;
    write_unit_table(table, &name("units"), &sorting)?;
    Ok(written)
}
