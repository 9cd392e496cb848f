//! Where the contacts of a probe are, and which channel each is wired to.
//!
//! Contacts have a channel each; of those without one only the place is kept. Positions are in the plane of the probe: `x` across the shanks, `y` along them towards
//! the base, in µm, in one frame for all shanks.

pub mod kilosort_chanmap;
pub mod klusta_prb;
pub mod probeinterface_json;
mod python_literal;
pub mod utah_map;

use std::path::Path;

use crate::error::IoError;
use crate::recording::spikeglx::imro_file;

/// One contact.
#[derive(Clone, PartialEq, Debug)]
pub struct Contact {
    /// Its name.
    pub id: String,
    /// Position across the probe in µm.
    pub x_um: f64,
    /// Position along the probe in µm.
    pub y_um: f64,
    /// Shank, from 0.
    pub shank: usize,
    /// Row in the delivered recording.
    pub channel: usize,
}

/// Where a contact is that no delivered channel is wired to.
#[derive(Copy, Clone, PartialEq, Debug)]
pub struct UnwiredContact {
    /// Position across the probe in µm.
    pub x_um: f64,
    /// Position along the probe in µm.
    pub y_um: f64,
    /// Shank, from 0.
    pub shank: usize,
}

impl From<&Contact> for UnwiredContact {
    fn from(contact: &Contact) -> Self {
        UnwiredContact {
            x_um: contact.x_um,
            y_um: contact.y_um,
            shank: contact.shank,
        }
    }
}

/// The contacts of one or more shanks.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Probe {
    /// Sorted by channel.
    pub contacts: Vec<Contact>,
    /// Model or file name; may be empty.
    pub name: String,
    /// Channels that the file marks as not to be used (a reference, or switched off) and that are delivered all the same.
    pub unused_channels: Vec<usize>,
    /// Contacts without a channel, as far as the file lists them. For drawings only.
    pub unwired: Vec<UnwiredContact>,
}

impl Probe {
    /// A probe from contacts in any order.
    pub fn new(mut contacts: Vec<Contact>, name: String) -> Probe {
        contacts.sort_by_key(|contact| contact.channel);
        Probe {
            contacts,
            name,
            ..Probe::default()
        }
    }

    /// The same probe with contacts that have no channel; those without a finite position are left out.
    #[must_use]
    pub fn with_unwired(mut self, unwired: Vec<UnwiredContact>) -> Probe {
        self.unwired = unwired;
        self.unwired
            .retain(|contact| contact.x_um.is_finite() && contact.y_um.is_finite());
        self
    }

    /// Checks that each of `n_channels` channels has one contact, and that no two contacts are at one place. `path` is for messages.
    ///
    /// # Errors
    /// [`IoError::ProbeMismatch`] or [`IoError::ProbeGeometry`] with the contacts' names.
    pub fn validate(&self, n_channels: usize, path: &Path) -> Result<(), IoError> {
        self.validate_geometry(path)?;
        let mismatch = |what: String| {
            Err(IoError::ProbeMismatch {
                path: path.to_owned(),
                what,
            })
        };
        if let Some(beyond) = self
            .contacts
            .iter()
            .find(|contact| contact.channel >= n_channels)
        {
            return mismatch(format!(
                "contact `{}` is wired to channel {}, but the recording has {n_channels} channels (0 to {})",
                beyond.id,
                beyond.channel,
                n_channels.saturating_sub(1)
            ));
        }
        if self.contacts.len() != n_channels {
            return mismatch(format!(
                "{} contacts are wired to a channel, but the recording has {n_channels} channels",
                self.contacts.len()
            ));
        }
        Ok(())
    }

    /// Checks what can be checked without a recording: finite positions, one contact a channel and a place.
    ///
    /// # Errors
    /// [`IoError::ProbeGeometry`] with the contacts' names.
    pub fn validate_geometry(&self, path: &Path) -> Result<(), IoError> {
        let bad = |what: String| {
            Err(IoError::ProbeGeometry {
                path: path.to_owned(),
                what,
            })
        };
        if self.contacts.is_empty() {
            return bad("no contact is wired to a channel".to_owned());
        }
        if let Some(contact) = self
            .contacts
            .iter()
            .find(|contact| !contact.x_um.is_finite() || !contact.y_um.is_finite())
        {
            return bad(format!("contact `{}` has no finite position", contact.id));
        }
        let mut by_channel: Vec<&Contact> = self.contacts.iter().collect();
        by_channel.sort_by_key(|contact| contact.channel);
        if let Some([a, b]) = by_channel
            .array_windows()
            .find(|[a, b]| a.channel == b.channel)
        {
            return bad(format!(
                "contacts `{}` and `{}` are both wired to channel {}",
                a.id, b.id, a.channel
            ));
        }
        let mut by_place: Vec<&Contact> = self.contacts.iter().collect();
        by_place.sort_by(|a, b| a.x_um.total_cmp(&b.x_um).then(a.y_um.total_cmp(&b.y_um)));
        if let Some([a, b]) = by_place
            .array_windows()
            .find(|[a, b]| a.x_um == b.x_um && a.y_um == b.y_um)
        {
            return bad(format!(
                "contacts `{}` and `{}` are at one place (x {} µm, y {} µm)",
                a.id, b.id, a.x_um, a.y_um
            ));
        }
        Ok(())
    }

    /// Number of shanks, as the highest shank index says.
    pub fn n_shanks(&self) -> usize {
        self.contacts
            .iter()
            .map(|contact| contact.shank + 1)
            .max()
            .unwrap_or(0)
    }
}

/// Reads a probe file by its extension: probeinterface JSON, Kilosort's `chanMap.mat`, klusta's `.prb`, SpikeGLX's `.imro`, or
/// Blackrock's `.cmp` (whose electrodes are then taken as the channels, in ascending order).
///
/// # Errors
/// When the file is of another kind, damaged, or describes no usable probe.
pub fn read(path: &Path) -> Result<Probe, IoError> {
    let extension = path
        .extension()
        .map(|extension| extension.to_string_lossy().to_lowercase())
        .unwrap_or_default();
    let probe = match extension.as_str() {
        "cmp" => {
            let map = utah_map::UtahMap::read(path)?;
            let mut electrodes: Vec<u32> = map
                .electrodes
                .iter()
                .map(|electrode| electrode.id)
                .collect();
            electrodes.sort_unstable();
            map.probe(&electrodes)
        }
        "json" => probeinterface_json::read(path)?,
        "mat" => kilosort_chanmap::read(path)?,
        "prb" => klusta_prb::read(path)?,
        "imro" => imro_file::read(path)?,
        _ if !path.exists() => {
            return Err(IoError::Missing {
                path: path.to_owned(),
            });
        }
        _ => {
            return Err(IoError::malformed(
                path,
                "file name",
                "a probe is read from probeinterface JSON (`.json`), Kilosort's channel map (`.mat`), klusta's `.prb`, SpikeGLX's `.imro` or a Blackrock map (`.cmp`)",
            ));
        }
    };
    probe.validate_geometry(path)?;
    Ok(probe)
}
