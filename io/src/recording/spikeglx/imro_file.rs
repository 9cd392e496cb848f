//! `.imro` files: the table that SpikeGLX loads to choose a probe's sites, as a source of geometry.
//!
//! One line, `(type,channels)(entry)(entry)…`, or `(serial,option,channels)…` of the 3A generation; the same text that a `.meta`
//! carries as `~imroTbl`. Source: SpikeGLX's pages on imro tables.

use std::path::Path;

use super::geometry::{self, ImroTable};
use super::meta::Meta;
use super::parts::Part;
use crate::error::{IoError, name_of};
use crate::probe::Probe;
use crate::recording::flat::read_small;

/// Reads the probe of an `.imro` file; its channels are those of the table, in ascending order.
///
/// # Errors
/// When the table is damaged, or of a probe whose places are not known.
pub fn read(path: &Path) -> Result<Probe, IoError> {
    parse(path, &String::from_utf8_lossy(&read_small(path)?))
}

/// The probe of an imro table; `path` is for messages.
///
/// # Errors
/// As [`read`].
pub fn parse(path: &Path, text: &str) -> Result<Probe, IoError> {
    let table = text.trim().trim_start_matches('\u{feff}');
    let header = table
        .strip_prefix('(')
        .and_then(|rest| rest.split_once(')'));
    let Some((header, _)) = header.filter(|_| !table.contains('\n')) else {
        return Err(IoError::malformed(
            path,
            "line 1",
            "this is no table of `(…)(…)` in one line",
        ));
    };
    let words: Vec<&str> = header.split([',', ' ']).collect();
    let part_line = match words[..] {
        [name, ..] if name.starts_with("NP") => format!("imDatPrb_pn={name}"),
        [_, option, _] => format!("imProbeOpt={option}"),
        [kind, ..] => format!("imDatPrb_type={kind}"),
        [] => String::new(),
    };
    // Part numbers in letters are not of the table's numbers.
    let table = match table.split_once(',') {
        Some((first, rest)) if first.starts_with("(NP") => format!("(0,{rest}"),
        _ => table.to_owned(),
    };
    let meta = Meta::parse(path, format!("{part_line}\nimroTbl={table}\n").as_bytes())?;
    let imro = ImroTable::of(&meta)?;
    let channels: Vec<usize> = imro.as_ref().map(ImroTable::channels).unwrap_or_default();
    let n_channels = channels.last().map_or(0, |last| last + 1);
    let part = Part::of(&meta);
    let placed = geometry::place(&meta, &part, imro.as_ref(), &channels, n_channels)?;
    let Some(mut probe) = placed.probe else {
        let what = format!("where the sites of a probe `({header})` are is not known");
        return Err(IoError::malformed(path, "line 1", what));
    };
    for (contact, &channel) in probe.contacts.iter_mut().zip(&channels) {
        contact.channel = channel;
    }
    probe.name = name_of(path);
    Ok(probe)
}
