//! Where channels are, and who is near whom. The geometry decides what a stage does; there is no flag for a probe.

use crate::recording::Contact;

/// Marks an empty entry of a padded table.
pub const NONE: u32 = u32::MAX;

/// Positions of the channels that are sorted.
#[derive(Clone, Debug)]
pub struct Geometry {
    /// Contacts, `[channel]`.
    pub contacts: Vec<Contact>,
}

impl Geometry {
    /// Channels.
    pub fn n_channels(&self) -> usize {
        self.contacts.len()
    }

    /// Distance between two channels, µm; shanks are far apart whatever their coordinates say.
    pub fn distance_um(&self, a: usize, b: usize) -> f64 {
        let (a, b) = (&self.contacts[a], &self.contacts[b]);
        let apart = if a.shank == b.shank { 0.0 } else { 1e6 };
        (a.x_um - b.x_um).hypot(a.y_um - b.y_um) + apart
    }

    /// Channels within `radius_um` of each channel, nearest first (ties by index), itself included.
    pub fn within(&self, radius_um: f64) -> Vec<Vec<usize>> {
        (0..self.n_channels())
            .map(|c| {
                let mut near: Vec<usize> = (0..self.n_channels())
                    .filter(|&n| self.distance_um(c, n) <= radius_um)
                    .collect();
                near.sort_by(|&a, &b| {
                    self.distance_um(c, a)
                        .total_cmp(&self.distance_um(c, b))
                        .then(a.cmp(&b))
                });
                near
            })
            .collect()
    }

    /// The `count` nearest channels of each channel, itself first.
    pub fn nearest(&self, count: usize) -> Vec<Vec<usize>> {
        let mut all = self.within(f64::INFINITY);
        all.iter_mut().for_each(|near| near.truncate(count));
        all
    }

    /// Channels by shank, shanks in ascending order.
    pub fn shanks(&self) -> Vec<Vec<usize>> {
        let mut shanks: Vec<usize> = self.contacts.iter().map(|contact| contact.shank).collect();
        shanks.sort_unstable();
        shanks.dedup();
        shanks
            .into_iter()
            .map(|shank| {
                (0..self.n_channels())
                    .filter(|&c| self.contacts[c].shank == shank)
                    .collect()
            })
            .collect()
    }

    /// Positions, `[channel, 2]`, µm.
    pub fn positions_um(&self) -> Vec<f32> {
        self.contacts
            .iter()
            .flat_map(|contact| [contact.x_um as f32, contact.y_um as f32])
            .collect()
    }
}

/// A ragged list as a table of equal rows; short rows are filled by `pad(row)`. Returns the table and its width.
pub fn padded(rows: &[Vec<usize>], pad: impl Fn(usize) -> u32) -> (Vec<u32>, usize) {
    let width = rows.iter().map(Vec::len).max().unwrap_or(0);
    let mut table = Vec::with_capacity(rows.len() * width);
    for (i, row) in rows.iter().enumerate() {
        table.extend(row.iter().map(|&n| n as u32));
        table.extend(std::iter::repeat_n(pad(i), width - row.len()));
    }
    (table, width)
}
