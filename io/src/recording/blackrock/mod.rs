//! Blackrock NSx (`.ns1` to `.ns6`): a header of channels, then packets of 16-bit frames.
//!
//! File specifications 2.1, 2.2, 2.3 and 3.0, including one-sample packets with clock times (PTP). A pause starts a new packet and
//! becomes a new segment. Delivered are the electrodes; analog inputs in the same file are left out. A Utah array's geometry comes from a `.cmp` map.
//! Source: Blackrock's "NEV and NSx file specification" 2.1 to 3.0; compared with neo.

pub mod header;
pub mod packets;

use std::fs::File;
use std::path::{Path, PathBuf};

use self::header::{Header, Scale};
use super::flat::{FlatParts, FlatReader};
use super::frames::{Span, StoredFormat, file_size_bytes};
use super::{OpenOptions, RecordingReader, Segment};
use crate::error::{IoError, name_of};
use crate::probe::utah_map::UtahMap;
use crate::probe::{self, Probe};

/// Microvolts a step of a Cerebus amplifier, for files of specification 2.1 that do not say.
const USUAL_GAIN_UV: f64 = 0.25;

/// Opens the NSx file `path`.
///
/// # Errors
/// When the header is damaged, a packet is cut short, or the map or probe does not fit the electrodes.
pub fn open(path: &Path, options: &OpenOptions) -> Result<Box<dyn RecordingReader>, IoError> {
    let file = File::open(path).map_err(|source| IoError::read(path, source))?;
    let size_bytes = file_size_bytes(path)?;
    let header = Header::read(path, &file, size_bytes)?;
    let mut warnings = Vec::new();
    let walked = packets::walk(path, file, size_bytes, &header)?;
    warnings.extend(walked.warnings);
    let map = map_from(path, options, &mut warnings)?;
    let columns = delivered_columns(&header, map.as_ref().map(|(map, _)| map), &mut warnings);
    if columns.is_empty() {
        let what = "the map lists none of the file's electrodes".to_owned();
        let map_path = map.map_or_else(|| path.to_owned(), |(_, map_path)| map_path);
        return Err(IoError::ProbeMismatch {
            path: map_path,
            what,
        });
    }
    let ids: Vec<u32> = columns
        .iter()
        .map(|&column| header.channels[column].id)
        .collect();
    let probe: Option<(Probe, PathBuf)> = match map {
        Some((map, map_path)) => {
            let probe = map.probe(&ids);
            probe.validate_geometry(&map_path)?;
            Some((probe, map_path))
        }
        None => match &options.probe {
            Some(probe_path) => Some((probe::read(probe_path)?, probe_path.clone())),
            None => None,
        },
    };
    let scales = scales(
        path,
        &header,
        &columns,
        options.gain_uv.is_some(),
        &mut warnings,
    )?;
    let channel_ids = columns
        .iter()
        .map(|&column| header.channels[column].label.clone())
        .collect();
    let parts = FlatParts {
        format: "Blackrock NSx",
        data_paths: vec![path.to_owned()],
        other_paths: vec![],
        sampling_frequency_hz: header.sampling_frequency_hz,
        stored: StoredFormat::I16_LE,
        n_channels_stored: header.channels.len(),
        columns,
        channel_ids,
        gains_uv: scales.iter().map(|scale| scale.gain_uv as f32).collect(),
        offsets_uv: scales.iter().map(|scale| scale.offset_uv as f32).collect(),
        spans: walked.spans,
        segments: walked.segments,
        sample_delay: None,
        probe,
        warnings,
    };
    Ok(Box::new(FlatReader::new(parts, options)?))
}

/// The `.cmp` map: the user's, else one of the same name, else the only one in the folder.
fn map_from(
    path: &Path,
    options: &OpenOptions,
    warnings: &mut Vec<String>,
) -> Result<Option<(UtahMap, PathBuf)>, IoError> {
    let is_map = |path: &Path| {
        path.extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("cmp"))
    };
    if let Some(given) = &options.probe {
        return if is_map(given) {
            Ok(Some((UtahMap::read(given)?, given.clone())))
        } else {
            Ok(None)
        };
    }
    let same_name = path.with_extension("cmp");
    let map_path = if same_name.is_file() {
        same_name
    } else {
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let Ok(entries) = std::fs::read_dir(folder) else {
            return Ok(None);
        };
        let mut maps: Vec<PathBuf> = entries
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| is_map(path))
            .collect();
        match maps.len() {
            1 => maps.remove(0),
            0 => return Ok(None),
            n => {
                warnings.push(format!(
                    "{n} maps lie beside the recording and none was chosen: give one with `--probe`"
                ));
                return Ok(None);
            }
        }
    };
    warnings.push(format!(
        "the map `{}` beside the recording is used",
        name_of(&map_path)
    ));
    Ok(Some((UtahMap::read(&map_path)?, map_path)))
}

/// Columns of the electrodes: those in the map if there is one, else all that are not analog inputs.
fn delivered_columns(
    header: &Header,
    map: Option<&UtahMap>,
    warnings: &mut Vec<String>,
) -> Vec<usize> {
    let all = 0..header.channels.len();
    let columns: Vec<usize> = match map {
        Some(map) => {
            let listed = |column: &usize| {
                map.electrodes
                    .iter()
                    .any(|electrode| electrode.id == header.channels[*column].id)
            };
            all.clone().filter(listed).collect()
        }
        None => {
            let electrodes: Vec<usize> = all
                .clone()
                .filter(|&column| header.channels[column].is_electrode)
                .collect();
            if electrodes.is_empty() {
                all.clone().collect()
            } else {
                electrodes
            }
        }
    };
    if !columns.is_empty() && columns.len() < header.channels.len() {
        let labels = all
            .filter(|column| !columns.contains(column))
            .map(|column| header.channels[column].label.clone());
        let mut labels: Vec<String> = labels.collect();
        let n_left_out = labels.len();
        labels.truncate(5);
        let reason = if map.is_some() {
            "not in the map"
        } else {
            "analog inputs"
        };
        let more = if n_left_out > 5 { " …" } else { "" };
        warnings.push(format!(
            "{n_left_out} channels are left out ({reason}): {}{more}",
            labels.join(", ")
        ));
    }
    columns
}

/// Gain and offset of each delivered channel; specification 2.1 has them in the `.nev` only.
fn scales(
    path: &Path,
    header: &Header,
    columns: &[usize],
    gain_is_given: bool,
    warnings: &mut Vec<String>,
) -> Result<Vec<Scale>, IoError> {
    let from_events = if columns
        .iter()
        .any(|&column| header.channels[column].scale.is_none())
    {
        header::digitization_from_nev(&path.with_extension("nev"))
    } else {
        Vec::new()
    };
    let mut n_unknown = 0;
    let scales = columns
        .iter()
        .map(|&column| {
            let channel = &header.channels[column];
            if let Some(scale) = channel.scale {
                return scale;
            }
            let found = from_events
                .iter()
                .find(|(id, _)| *id == channel.id)
                .map(|&(_, gain_uv)| gain_uv);
            n_unknown += usize::from(found.is_none());
            Scale {
                gain_uv: found.unwrap_or(USUAL_GAIN_UV),
                offset_uv: 0.0,
            }
        })
        .collect();
    if n_unknown > 0 && !gain_is_given {
        warnings.push(format!(
            "`{}` does not say the gain of {n_unknown} channels and no `.nev` beside it does: {USUAL_GAIN_UV} µV a step is assumed",
            name_of(path)
        ));
    }
    Ok(scales)
}

/// Spans and segments of a file.
pub(crate) struct Walked {
    pub(crate) spans: Vec<Span>,
    pub(crate) segments: Vec<Segment>,
    pub(crate) warnings: Vec<String>,
}
