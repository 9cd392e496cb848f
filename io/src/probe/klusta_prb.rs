//! Probe files of klusta, `.prb`, which SpyKING CIRCUS and others took over: Python text with a dict `channel_groups`.
//!
//! Each group has `channels` (rows of the recording) and `geometry` (a position in µm for each channel). The file is not run as a
//! program: literals are read, and code is refused. Groups become shanks; groups that overlap in place, since each was drawn in its own
//! frame, are moved apart as those of probeinterface are. Source: klusta's documentation of probe files.

use std::collections::HashMap;
use std::path::Path;

use super::probeinterface_json::Room;
use super::python_literal::{Literal, assigned};
use super::{Contact, Probe};
use crate::error::{IoError, name_of};
use crate::recording::flat::read_small;

/// Reads a `.prb` file.
///
/// # Errors
/// When it has no `channel_groups`, these are computed by code, or a channel has no position.
pub fn read(path: &Path) -> Result<Probe, IoError> {
    parse(path, &String::from_utf8_lossy(&read_small(path)?))
}

/// The probe in the text of a `.prb` file; `path` is for messages.
///
/// # Errors
/// As [`read`].
pub fn parse(path: &Path, text: &str) -> Result<Probe, IoError> {
    let groups = assigned(path, text.trim_start_matches('\u{feff}'), "channel_groups")?
        .ok_or_else(|| IoError::missing_key(path, "channel_groups"))?;
    let Literal::Dict(groups) = groups else {
        return Err(IoError::bad_value(
            path,
            "channel_groups",
            "something else",
            "a dict of groups",
        ));
    };
    let (mut contacts, mut room) = (Vec::new(), Room::empty());
    for (shank, (name, group)) in groups.iter().enumerate() {
        let name = match name {
            Literal::Whole(number) => number.to_string(),
            Literal::Text(text) => text.clone(),
            _ => shank.to_string(),
        };
        let place = format!("channel_groups[{name}]");
        let mut added = parse_group(path, group, &place, shank)?;
        room.place(&mut added);
        contacts.extend(added);
    }
    Ok(Probe::new(contacts, name_of(path)))
}

fn parse_group(
    path: &Path,
    group: &Literal,
    place: &str,
    shank: usize,
) -> Result<Vec<Contact>, IoError> {
    let needed = |key: &str| {
        group
            .get(key)
            .ok_or_else(|| IoError::missing_key(path, &format!("{place}['{key}']")))
    };
    let channels = needed("channels")?;
    let wrong = |key: &str, expected: &str| {
        IoError::malformed(
            path,
            format!("{place}['{key}']"),
            format!("expected {expected}"),
        )
    };
    let Some(channels) = channels.list() else {
        return Err(wrong("channels", "a list of channels"));
    };
    let geometry = needed("geometry")?;
    let by_channel: HashMap<i64, &Literal> = match geometry {
        Literal::Dict(entries) => entries
            .iter()
            .filter_map(|(key, position)| match key {
                Literal::Whole(number) => Some((*number, position)),
                _ => None,
            })
            .collect(),
        _ => HashMap::new(),
    };
    let mut contacts = Vec::new();
    for channel in channels {
        let Literal::Whole(number) = channel else {
            return Err(wrong("channels", "a list of whole numbers"));
        };
        let row = usize::try_from(*number).ok().filter(|&row| row < 1 << 20);
        let row = row.ok_or_else(|| wrong("channels", "channels from 0 on"))?;
        let position = match geometry {
            Literal::Dict(_) => by_channel.get(number).copied(),
            // Some files list positions in the order of the channels.
            Literal::List(positions) => positions.get(contacts.len()),
            _ => return Err(wrong("geometry", "a dict of positions")),
        };
        let position = position
            .ok_or_else(|| wrong("geometry", &format!("a position of channel {number}")))?;
        let numbers: Option<Vec<f64>> = position
            .list()
            .and_then(|numbers| numbers.iter().map(Literal::number).collect());
        let Some([x_um, y_um]) = numbers.as_deref() else {
            return Err(wrong(
                "geometry",
                &format!("two numbers for channel {number}"),
            ));
        };
        contacts.push(Contact {
            id: number.to_string(),
            x_um: *x_um,
            y_um: *y_um,
            shank,
            channel: row,
        });
    }
    Ok(contacts)
}
