//! Where the contacts are, for each kind of recording.
//!
//! x runs across the probe, y along it (depth in the field's sense: the axis of drift), both in µm; contacts lie in the
//! plane z = 0 and are listed from low to high y. Neuropixels 1.0: 4 columns in a checkerboard, 16 µm between columns and 20 µm between
//! rows (Jun et al. 2017), in the order of its channels; 2.0: 2 columns at 32 µm, 15 µm between rows, shanks
//! 250 µm apart (Steinmetz et al. 2021); Utah: 10 × 10 at 400 µm, corners not connected (Maynard et al. 1997).

use super::spec::RecordingKind;

/// Contacts of a probe.
#[derive(Debug, Clone, PartialEq)]
pub struct Geometry {
    /// Position of each contact, `[channels]` of (x, y), µm.
    pub positions_um: Vec<[f64; 2]>,
    /// Shank of each contact, `[channels]`. Tetrodes count as shanks.
    pub shanks: Vec<usize>,
    /// Half the width of a contact, µm.
    pub contact_radius_um: f64,
    /// Whether contacts are square (else round).
    pub is_square: bool,
}

/// The probe of `kind` with `n_channels` contacts.
pub fn geometry(kind: RecordingKind, n_channels: usize) -> Geometry {
    match kind {
        RecordingKind::Utah => utah(n_channels),
        RecordingKind::Tetrode => tetrodes(n_channels),
        RecordingKind::TwoShank => two_shanks(n_channels),
        RecordingKind::Linear => linear(n_channels),
        _ => checkerboard(n_channels),
    }
}

/// Neuropixels 1.0's checkerboard, in channel order, with x from 0.
pub fn checkerboard(n_channels: usize) -> Geometry {
    const X_OF_CHANNEL_UM: [f64; 4] = [32.0, 0.0, 48.0, 16.0];
    let positions_um = (0..n_channels)
        .map(|channel| [X_OF_CHANNEL_UM[channel % 4], (channel / 2) as f64 * 20.0])
        .collect();
    Geometry {
        positions_um,
        shanks: vec![0; n_channels],
        contact_radius_um: 6.0,
        is_square: true,
    }
}

fn two_shanks(n_channels: usize) -> Geometry {
    let per_shank = n_channels / 2;
    let shanks: Vec<usize> = (0..n_channels).map(|channel| channel / per_shank).collect();
    let positions_um = (0..n_channels)
        .map(|channel| {
            let on_shank = channel % per_shank;
            [
                shanks[channel] as f64 * 250.0 + (on_shank % 2) as f64 * 32.0,
                (on_shank / 2) as f64 * 15.0,
            ]
        })
        .collect();
    Geometry {
        positions_um,
        shanks,
        contact_radius_um: 6.0,
        is_square: true,
    }
}

fn linear(n_channels: usize) -> Geometry {
    let positions_um = (0..n_channels)
        .map(|channel| [0.0, channel as f64 * 20.0])
        .collect();
    Geometry {
        positions_um,
        shanks: vec![0; n_channels],
        contact_radius_um: 6.0,
        is_square: false,
    }
}

fn tetrodes(n_channels: usize) -> Geometry {
    // Four 12.5 µm wires twisted together: a square of about twice their radius with insulation.
    const SIDE_UM: f64 = 25.0;
    let positions_um = (0..n_channels)
        .map(|channel| {
            let (tetrode, wire) = (channel / 4, channel % 4);
            [
                tetrode as f64 * 300.0 + (wire % 2) as f64 * SIDE_UM,
                (wire / 2) as f64 * SIDE_UM,
            ]
        })
        .collect();
    Geometry {
        positions_um,
        shanks: (0..n_channels).map(|channel| channel / 4).collect(),
        contact_radius_um: 6.25,
        is_square: false,
    }
}

fn utah(n_channels: usize) -> Geometry {
    let is_corner =
        |row: usize, column: usize| (row == 0 || row == 9) && (column == 0 || column == 9);
    let positions_um: Vec<[f64; 2]> = (0..100)
        .map(|site| (site / 10, site % 10))
        .filter(|&(row, column)| !is_corner(row, column))
        .map(|(row, column)| [column as f64 * 400.0, row as f64 * 400.0])
        .take(n_channels)
        .collect();
    Geometry {
        positions_um,
        shanks: vec![0; n_channels],
        contact_radius_um: 15.0,
        is_square: false,
    }
}

impl Geometry {
    /// Number of contacts.
    pub fn n_channels(&self) -> usize {
        self.positions_um.len()
    }

    /// Lowest and highest y, µm.
    pub fn depth_range_um(&self) -> (f64, f64) {
        let depths = || self.positions_um.iter().map(|position| position[1]);
        (
            depths().fold(f64::INFINITY, f64::min),
            depths().fold(f64::NEG_INFINITY, f64::max),
        )
    }

    /// Distance between two contacts, µm.
    pub fn distance_um(&self, first: usize, second: usize) -> f64 {
        let (first, second) = (self.positions_um[first], self.positions_um[second]);
        (first[0] - second[0]).hypot(first[1] - second[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_contacts_of_any_kind_are_at_one_place() {
        for (kind, name) in RecordingKind::ALL {
            let n_channels = 96;
            let probe = geometry(kind, n_channels);
            assert_eq!(
                (probe.n_channels(), probe.shanks.len()),
                (n_channels, n_channels),
                "{name}"
            );
            for first in 0..n_channels {
                for second in 0..first {
                    assert!(
                        probe.distance_um(first, second) >= 15.0,
                        "{name}: {first}, {second}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_checkerboard_is_that_of_neuropixels_1() {
        // Channels 0 to 4 of an IMRO table lie at x = 43, 11, 59, 27, 43 and y = 20, 20, 40, 40, 60 µm from the tip's origin.
        let probe = checkerboard(8);
        assert_eq!(
            probe.positions_um[..5],
            [
                [32.0, 0.0],
                [0.0, 0.0],
                [48.0, 20.0],
                [16.0, 20.0],
                [32.0, 40.0]
            ]
        );
    }
}
