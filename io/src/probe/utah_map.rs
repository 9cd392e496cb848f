//! Blackrock's map of a Utah array (`.cmp`): which electrode sits where.
//!
//! Text. Lines that begin with `//` are comments, the first other line is a description, each further line is
//! `column row bank electrode label`, columns and rows from 0 at the lower left. Electrode `e` of bank `A`, `B` … is channel
//! `32 × bank + e`. The pitch of a Utah array is 400 µm. Source: Blackrock's documentation of Central ("map files").

use std::path::Path;

use super::{Contact, Probe};
use crate::error::{IoError, name_of};
use crate::recording::flat::read_small;

/// Distance between neighbouring electrodes in µm.
pub const PITCH_UM: f64 = 400.0;
/// Electrodes in a bank.
const BANK_SIZE: u32 = 32;

/// One electrode of the map.
#[derive(Clone, Eq, PartialEq, Debug)]
pub struct UtahElectrode {
    /// Column from the left, from 0.
    pub column: u32,
    /// Row from the bottom, from 0.
    pub row: u32,
    /// The channel it is wired to, from 1: what NSx files call the electrode id.
    pub id: u32,
    /// Its name.
    pub label: String,
}

/// A map file.
#[derive(Clone, Eq, PartialEq, Debug)]
pub struct UtahMap {
    /// In the file's order.
    pub electrodes: Vec<UtahElectrode>,
    /// The map's description, or its file name.
    pub name: String,
}

impl UtahMap {
    /// Reads a `.cmp` file.
    ///
    /// # Errors
    /// When it cannot be read or a line cannot be parsed.
    pub fn read(path: &Path) -> Result<UtahMap, IoError> {
        let bytes = read_small(path)?;
        UtahMap::parse(path, &String::from_utf8_lossy(&bytes))
    }

    /// Parses the text of a `.cmp` file; `path` is for messages.
    ///
    /// # Errors
    /// When a line cannot be parsed or no electrode is listed.
    pub fn parse(path: &Path, text: &str) -> Result<UtahMap, IoError> {
        let mut electrodes = Vec::new();
        let mut name = None;
        for (index, line) in text.lines().enumerate() {
            let line = line.trim().trim_start_matches('\u{feff}');
            if line.is_empty() || line.starts_with("//") {
                continue;
            }
            match parse_line(line) {
                Some(electrode) => electrodes.push(electrode),
                None if name.is_none() && electrodes.is_empty() => name = Some(line.to_owned()),
                None => {
                    let what = format!("`{line:.40}` is not `column row bank electrode label`");
                    return Err(IoError::malformed(
                        path,
                        format!("line {}", index + 1),
                        what,
                    ));
                }
            }
        }
        if electrodes.is_empty() {
            return Err(IoError::malformed(
                path,
                "whole file",
                "no electrode is listed",
            ));
        }
        Ok(UtahMap {
            electrodes,
            name: name.unwrap_or_else(|| name_of(path)),
        })
    }

    /// The contacts of the electrodes in `electrode_ids`, whose order is the recording's; ids that the map lacks get no contact.
    pub fn probe(&self, electrode_ids: &[u32]) -> Probe {
        let contacts = electrode_ids
            .iter()
            .enumerate()
            .filter_map(|(channel, &id)| {
                let electrode = self
                    .electrodes
                    .iter()
                    .find(|electrode| electrode.id == id)?;
                Some(Contact {
                    id: electrode.label.clone(),
                    x_um: f64::from(electrode.column) * PITCH_UM,
                    y_um: f64::from(electrode.row) * PITCH_UM,
                    shank: 0,
                    channel,
                })
            })
            .collect();
        Probe {
            contacts,
            name: self.name.clone(),
            ..Probe::default()
        }
    }
}

/// One electrode, or `None` when the line is not one.
fn parse_line(line: &str) -> Option<UtahElectrode> {
    let mut words = line.split_whitespace();
    let column = words.next()?.parse().ok()?;
    let row = words.next()?.parse().ok()?;
    let bank = match words.next()?.as_bytes() {
        [letter @ b'A'..=b'Z'] => u32::from(letter - b'A'),
        [letter @ b'a'..=b'z'] => u32::from(letter - b'a'),
        _ => return None,
    };
    let electrode: u32 = words
        .next()?
        .parse()
        .ok()
        .filter(|electrode| (1..=BANK_SIZE).contains(electrode))?;
    let id = bank * BANK_SIZE + electrode;
    let label = words.collect::<Vec<_>>().join(" ");
    Some(UtahElectrode {
        column,
        row,
        id,
        label: if label.is_empty() {
            format!("elec{id}")
        } else {
            label
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_parsed_and_wired() {
        let text = "// a comment\r\nCerebus mapping for array 1025\r\n//col row bank elec label\r\n0\t9\tA\t2\telec1 front\r\n3 1 C 1 elec65\r\n";
        let map = UtahMap::parse(Path::new("a.cmp"), text).unwrap();
        assert_eq!(map.name, "Cerebus mapping for array 1025");
        assert_eq!(map.electrodes[1].id, 65);
        let probe = map.probe(&[65, 99, 2]);
        assert_eq!(probe.contacts.len(), 2);
        assert_eq!(
            (probe.contacts[0].x_um, probe.contacts[0].channel),
            (1200.0, 0)
        );
        assert_eq!(
            (probe.contacts[1].y_um, probe.contacts[1].channel),
            (3600.0, 2)
        );
        assert_eq!(probe.contacts[1].id, "elec1 front");
    }

    #[test]
    fn a_bad_line_is_named() {
        let error =
            UtahMap::parse(Path::new("a.cmp"), "description\n0 0 A 1 a\n0 1 A 33 b\n").unwrap_err();
        assert!(error.to_string().contains("line 3"), "{error}");
        assert!(UtahMap::parse(Path::new("a.cmp"), "\n").is_err());
    }
}
