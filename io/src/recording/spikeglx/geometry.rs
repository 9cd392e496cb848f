//! Where the contacts are: `~snsGeomMap`, else `~snsShankMap`, else the imro table.
//!
//! Positions are SpikeGLX's: x from the left edge of shank 0, y from the tip-most row, in µm. The three sources say, in this order,
//! positions, rows and columns, and electrodes; each is used with the part's layout as far as it needs it.

use super::meta::Meta;
use super::parts::{Family, Layout, Part};
use crate::error::IoError;
use crate::probe::{Contact, Probe};

/// `~imroTbl`: which electrode each channel reads, with which gain.
#[derive(Clone, PartialEq, Debug)]
pub struct ImroTable {
    /// Numbers of the first parenthesis.
    pub header: Vec<i64>,
    /// Numbers of each entry, by channel (their first number); a channel without an entry has none.
    by_channel: Vec<Option<Vec<i64>>>,
}

impl ImroTable {
    /// Parses the table; `None` when the file has none.
    ///
    /// # Errors
    /// When it holds something else than numbers.
    pub fn of(meta: &Meta) -> Result<Option<ImroTable>, IoError> {
        let Some(table) = meta.table("imroTbl", &[',', ' '])? else {
            return Ok(None);
        };
        let wrong = || meta.bad("imroTbl", "a table of whole numbers");
        let numbers = |words: &[&str]| -> Result<Vec<i64>, IoError> {
            words
                .iter()
                .filter(|word| !word.is_empty())
                .map(|word| word.parse().map_err(|_| wrong()))
                .collect()
        };
        let header = numbers(&table.header)?;
        let mut by_channel = Vec::new();
        for entry in &table.entries {
            let entry = numbers(entry)?;
            let channel = entry
                .first()
                .copied()
                .and_then(|channel| usize::try_from(channel).ok())
                .ok_or_else(wrong)?;
            if channel >= super::meta::MAX_CHANNELS {
                return Err(wrong());
            }
            if by_channel.len() <= channel {
                by_channel.resize(channel + 1, None);
            }
            by_channel[channel] = Some(entry);
        }
        Ok(Some(ImroTable { header, by_channel }))
    }

    /// The channels that have an entry, ascending.
    pub fn channels(&self) -> Vec<usize> {
        let has_entry = |&channel: &usize| self.by_channel[channel].is_some();
        (0..self.by_channel.len()).filter(has_entry).collect()
    }

    /// The entry of a channel.
    pub fn entry(&self, channel: usize) -> Option<&Vec<i64>> {
        self.by_channel.get(channel)?.as_ref()
    }

    /// The error that a channel's entry lacks something.
    pub(super) fn without(&self, meta: &Meta, channel: usize, what: &str) -> IoError {
        IoError::malformed(
            meta.path(),
            "imroTbl",
            format!("channel {channel} has no entry with {what}"),
        )
    }
}

/// What [`place`] found.
pub(super) struct Placed {
    pub probe: Option<Probe>,
    pub warnings: Vec<String>,
}

/// Places the `acquired` channels of a probe with `n_acquired` AP channels.
pub(super) fn place(
    meta: &Meta,
    part: &Part,
    imro: Option<&ImroTable>,
    acquired: &[usize],
    n_acquired: usize,
) -> Result<Placed, IoError> {
    let mut warnings = Vec::new();
    let mut unused_channels = Vec::new();
    let mut sites = from_geometry_map(meta, acquired, n_acquired, &mut unused_channels)?;
    if sites.is_none() {
        sites = from_shank_map(meta, part, acquired, n_acquired, &mut unused_channels)?;
    }
    if sites.is_none() {
        sites = from_imro(meta, part, imro, acquired)?;
    }
    let Some(sites) = sites else {
        warnings.push("the meta file does not say where this probe's contacts are: give a probe with `--probe`".to_owned());
        return Ok(Placed {
            probe: None,
            warnings,
        });
    };
    if !unused_channels.is_empty() {
        warnings.push(format!(
            "{} marked unused in the meta file (a reference or switched off)",
            match unused_channels.len() {
                1 => "1 channel is".to_owned(),
                n => format!("{n} channels are"),
            }
        ));
    }
    let contacts = sites.into_iter().zip(acquired).enumerate().map(
        |(row, ((shank, x_um, y_um), &channel))| Contact {
            id: channel.to_string(),
            x_um,
            y_um,
            shank,
            channel: row,
        },
    );
    let name = meta.get("imDatPrb_pn").unwrap_or("Neuropixels").to_owned();
    Ok(Placed {
        probe: Some(Probe {
            contacts: contacts.collect(),
            name,
            unused_channels,
            ..Probe::default()
        }),
        warnings,
    })
}

/// Shank, x and y of each channel.
type Sites = Vec<(usize, f64, f64)>;

/// A table with one entry a saved or an acquired channel, as one entry a delivered channel.
fn delivered<'t, 'a>(
    meta: &Meta,
    key: &str,
    entries: &'t [Vec<&'a str>],
    acquired: &[usize],
    n_acquired: usize,
) -> Result<Vec<&'t Vec<&'a str>>, IoError> {
    if entries.len() == acquired.len() {
        Ok(entries.iter().collect())
    } else if entries.len() == n_acquired {
        Ok(acquired.iter().map(|&channel| &entries[channel]).collect())
    } else {
        let what = format!("{} entries for {} channels", entries.len(), acquired.len());
        Err(IoError::malformed(meta.path(), key, what))
    }
}

/// `~snsGeomMap=(part,shanks,shank pitch,shank width)(shank:x:y:used)…`
fn from_geometry_map(
    meta: &Meta,
    acquired: &[usize],
    n_acquired: usize,
    unused_channels: &mut Vec<usize>,
) -> Result<Option<Sites>, IoError> {
    let Some(table) = meta.table("snsGeomMap", &[',', ':'])? else {
        return Ok(None);
    };
    let wrong = || {
        meta.bad(
            "snsGeomMap",
            "`(part,shanks,pitch,width)` and `(shank:x:y:used)` of each channel",
        )
    };
    let pitch_um: f64 = table
        .header
        .get(2)
        .and_then(|pitch| pitch.parse().ok())
        .ok_or_else(wrong)?;
    let mut sites = Vec::new();
    for entry in delivered(meta, "snsGeomMap", &table.entries, acquired, n_acquired)? {
        let [shank, x, y, used] = entry[..] else {
            return Err(wrong());
        };
        let (Ok(shank), Ok(x), Ok(y)) = (shank.parse::<u16>(), x.parse::<f64>(), y.parse::<f64>())
        else {
            return Err(wrong());
        };
        if used == "0" {
            unused_channels.push(sites.len());
        }
        sites.push((usize::from(shank), f64::from(shank) * pitch_um + x, y));
    }
    Ok(Some(sites))
}

/// `~snsShankMap=(shanks,columns,rows)(shank:column:row:used)…`
fn from_shank_map(
    meta: &Meta,
    part: &Part,
    acquired: &[usize],
    n_acquired: usize,
    unused_channels: &mut Vec<usize>,
) -> Result<Option<Sites>, IoError> {
    let (Some(table), Some(layout)) = (meta.table("snsShankMap", &[',', ':'])?, part.layout) else {
        return Ok(None);
    };
    if table.entries.is_empty() {
        return Ok(None);
    }
    let wrong = || {
        meta.bad(
            "snsShankMap",
            "`(shanks,columns,rows)` and `(shank:column:row:used)` of each channel",
        )
    };
    let mut sites = Vec::new();
    for entry in delivered(meta, "snsShankMap", &table.entries, acquired, n_acquired)? {
        let [shank, column, row, used] = entry[..] else {
            return Err(wrong());
        };
        let (Ok(shank), Ok(column), Ok(row)) = (
            shank.parse::<u16>(),
            column.parse::<u32>(),
            row.parse::<u32>(),
        ) else {
            return Err(wrong());
        };
        if used == "0" {
            unused_channels.push(sites.len());
        }
        sites.push(site(&layout, usize::from(shank), column, row));
    }
    Ok(Some(sites))
}

/// From the electrode that each channel reads.
fn from_imro(
    meta: &Meta,
    part: &Part,
    imro: Option<&ImroTable>,
    acquired: &[usize],
) -> Result<Option<Sites>, IoError> {
    let (Some(imro), Some(layout)) = (imro, part.layout) else {
        return Ok(None);
    };
    let mut sites = Vec::new();
    for &channel in acquired {
        let entry = imro
            .entry(channel)
            .ok_or_else(|| imro.without(meta, channel, "an electrode"))?;
        let field = |index: usize| {
            let number = entry
                .get(index)
                .copied()
                .and_then(|number| u32::try_from(number).ok());
            number
                .filter(|&number| number <= 1 << 20)
                .ok_or_else(|| imro.without(meta, channel, "an electrode"))
        };
        let (shank, electrode) = match part.family {
            Family::One => (0, field(1)? * part.bank_size as u32 + channel as u32),
            Family::TwoSingle => (0, field(3)?),
            Family::TwoMulti => (field(1)?, field(4)?),
            Family::Ultra2 | Family::Unknown => return Ok(None),
        };
        let n_columns = layout.n_columns as u32;
        sites.push(site(
            &layout,
            shank as usize,
            electrode % n_columns,
            electrode / n_columns,
        ));
    }
    Ok(Some(sites))
}

/// Position of a row and column.
fn site(layout: &Layout, shank: usize, column: u32, row: u32) -> (usize, f64, f64) {
    let first_um = if row.is_multiple_of(2) {
        layout.x_even_um
    } else {
        layout.x_odd_um
    };
    let x_um =
        shank as f64 * layout.shank_pitch_um + first_um + f64::from(column) * layout.x_pitch_um;
    (shank, x_um, f64::from(row) * layout.y_pitch_um)
}
