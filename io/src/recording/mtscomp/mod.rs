//! mtscomp: a SpikeGLX `.bin` compressed losslessly to `.cbin`, with a JSON `.ch` that lists its chunks.
//!
//! With SpikeGLX's `.meta` beside it, gains, probe and sync word are known as for the `.bin`; without it, the `.ch` gives rate,
//! channels and type, as of a bare binary file. Source: the format's description in mtscomp's README; compared with mtscomp.

mod chunks;
mod table;

use std::path::{Path, PathBuf};

use self::chunks::Chunks;
use self::table::ChunkTable;
use super::facts::{Facts, SourceReader};
use super::flat::{numbered_ids, probe_from};
use super::frames::file_size_bytes;
use super::spikeglx::{describe, meta::Meta};
use super::{OpenOptions, RecordingReader, Segment};
use crate::error::{IoError, name_of};

/// Opens the recording of which `path` is the `.cbin` or the `.ch`.
///
/// # Errors
/// When one of the two is missing or damaged, the `.cbin` is cut short, or the `.meta` is of another recording.
pub fn open(path: &Path, options: &OpenOptions) -> Result<Box<dyn RecordingReader>, IoError> {
    let (table_path, data_path) = (path.with_extension("ch"), path.with_extension("cbin"));
    let table = ChunkTable::read(&table_path)?;
    let found_bytes = file_size_bytes(&data_path)?;
    if found_bytes < table.data_bytes() {
        return Err(IoError::Truncated {
            path: data_path,
            expected_bytes: table.data_bytes(),
            found_bytes,
        });
    }
    let meta_path = path.with_extension("meta");
    let mut facts = if meta_path.is_file() {
        facts_of_meta(&table, &table_path, &meta_path)?
    } else {
        facts_of_table(&table, options)
    };
    if let Some(probe) = probe_from(options, &[])? {
        facts.facts.probe = Some(probe);
    }
    facts.facts.paths.insert(0, data_path.clone());
    facts.facts.paths.insert(1, table_path);
    let description = facts.facts.describe(options)?;
    let chunks = Chunks::open(data_path, table, facts.columns)?;
    Ok(Box::new(SourceReader::new(description, chunks)))
}

/// What is known, and the stored columns to deliver.
struct Known {
    facts: Facts,
    columns: Vec<usize>,
}

/// From SpikeGLX's own description.
fn facts_of_meta(
    table: &ChunkTable,
    table_path: &Path,
    meta_path: &Path,
) -> Result<Known, IoError> {
    let described = describe(&Meta::read(meta_path)?)?;
    if described.n_channels_stored != table.n_channels {
        let expected = format!(
            "{}, as `{}` says",
            described.n_channels_stored,
            name_of(meta_path)
        );
        return Err(IoError::bad_value(
            table_path,
            "n_channels",
            table.n_channels,
            &expected,
        ));
    }
    if table.dtype.numpy_name() != "int16" {
        let expected = "int16, as SpikeGLX writes";
        return Err(IoError::bad_value(
            table_path,
            "dtype",
            table.dtype.numpy_name(),
            expected,
        ));
    }
    let mut warnings = described.warnings;
    let data_bytes = table.n_samples() * (table.n_channels * table.dtype.size_bytes()) as u64;
    if let Some(promised) = described.file_size_bytes
        && promised != data_bytes
    {
        warnings.push(format!(
            "`{}` holds {data_bytes} bytes of samples, `{}` says {promised}; all are read",
            name_of(table_path),
            name_of(meta_path)
        ));
    }
    let rate = described.sampling_frequency_hz;
    let probe: Option<(_, PathBuf)> = described.probe.map(|probe| (probe, meta_path.to_owned()));
    Ok(Known {
        facts: Facts {
            format: "SpikeGLX, mtscomp",
            paths: vec![meta_path.to_owned()],
            sampling_frequency_hz: rate,
            sample_type: table.dtype,
            gains_uv: described.gains_uv.iter().map(|&gain| gain as f32).collect(),
            offsets_uv: vec![0.0; described.columns.len()],
            channel_ids: described.channel_ids,
            segments: vec![Segment {
                start_sample: 0,
                n_samples: table.n_samples(),
                start_time_s: described.first_sample as f64 / rate,
            }],
            sample_delay: described.sample_delay,
            probe,
            raw: None,
            warnings,
        },
        columns: described.columns,
    })
}

/// From the chunk table alone.
fn facts_of_table(table: &ChunkTable, options: &OpenOptions) -> Known {
    let n_channels = table.n_channels;
    let mut warnings = Vec::new();
    if options.gain_uv.is_none() {
        warnings.push("there is no `.meta` beside the `.cbin`: one step is taken as 1 µV, and all channels as signals".to_owned());
    }
    Known {
        facts: Facts {
            format: "mtscomp",
            paths: vec![],
            sampling_frequency_hz: table.sampling_frequency_hz,
            sample_type: table.dtype,
            gains_uv: vec![1.0; n_channels],
            offsets_uv: vec![0.0; n_channels],
            channel_ids: numbered_ids(n_channels),
            segments: vec![Segment {
                start_sample: 0,
                n_samples: table.n_samples(),
                start_time_s: 0.0,
            }],
            sample_delay: None,
            probe: None,
            raw: None,
            warnings,
        },
        columns: (0..n_channels).collect(),
    }
}
