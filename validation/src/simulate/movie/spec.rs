//! What movie to simulate: one struct, every field with unit and default, and the named kinds.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::canvas::LARGEST_SCAN_OFFSET_PX;
use super::second_session::SecondSession;
use crate::error::{Result, ValidationError};

/// The movies that can be simulated; each is a set of defaults of [`MovieSpec`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MovieKind {
    /// 128 × 128 pixels, 600 frames, 30 cells: for the demo and for tests.
    Small,
    /// 256 × 256 pixels, 2,000 frames, 110 cells, 6 photons, rigid motion of 3 px.
    Standard,
    /// Half the light, more and faster motion, motion within a frame, jumps, more dim cells, cells cut by the border.
    Hard,
    /// 300 cells that touch and overlap.
    Dense,
    /// Nothing moves.
    Still,
    /// 60 frames a second.
    Fast,
    /// 5 frames a second.
    Slow,
    /// Half of the fluorescence is lost over the movie.
    Bleaching,
    /// Three planes in turn, each with its own cells.
    Volume,
}

impl MovieKind {
    /// Every kind with its name on the command line.
    pub const ALL: [(MovieKind, &'static str); 9] = [
        (Self::Small, "small"),
        (Self::Standard, "standard"),
        (Self::Hard, "hard"),
        (Self::Dense, "dense"),
        (Self::Still, "still"),
        (Self::Fast, "fast"),
        (Self::Slow, "slow"),
        (Self::Bleaching, "bleaching"),
        (Self::Volume, "volume"),
    ];
}

impl std::fmt::Display for MovieKind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = Self::ALL
            .iter()
            .find(|(kind, _)| kind == self)
            .map_or("", |(_, name)| name);
        formatter.pad(name)
    }
}

impl FromStr for MovieKind {
    type Err = ValidationError;

    fn from_str(text: &str) -> Result<Self> {
        let names = || Self::ALL.map(|(_, name)| name).join(", ");
        let kind = Self::ALL
            .iter()
            .find(|(_, name)| *name == text)
            .map(|(kind, _)| *kind);
        kind.ok_or_else(|| {
            ValidationError::bad_spec("kind", format!("is `{text}`; it can be {}", names()))
        })
    }
}

/// A movie to simulate. `..MovieSpec::new(kind)` fills in what is not given.
///
/// Brightness is relative to the mean background of a plane: 1 is `photons` photons a pixel and frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MovieSpec {
    /// Where the other defaults come from. Default `standard`.
    pub kind: MovieKind,
    /// Everything random follows from it. Default 1.
    pub seed: u64,
    /// Rows of a frame, px. Default 256.
    pub height: usize,
    /// Columns of a frame, px. Default 256.
    pub width: usize,
    /// Frames of each plane. Default 2,000.
    pub n_frames: usize,
    /// Frames of each plane a second (volumes a second where there are several planes), Hz. Default 30.
    pub frame_rate_hz: f64,
    /// Planes, imaged in turn; each has its own tissue and cells, and all move together. Default 1.
    pub n_planes: usize,

    /// Cells of each plane. Fewer are placed where there is no room. Default 110.
    pub n_cells: usize,
    /// Mean diameter of a cell, px. Default 13.
    pub cell_diameter_px: f64,
    /// Diameters lie within ± this share of the mean, uniformly. Default 0.2.
    pub cell_diameter_spread: f64,
    /// Smallest distance of two centres, in mean diameters; below 1 neighbours may overlap. Default 0.72.
    pub cell_spacing: f64,
    /// Radius of the dark nucleus as a share of the cell's, from and to. Default 0.35 to 0.55.
    pub nucleus_radius: [f64; 2],
    /// How much darker the nucleus is, 0 (not at all) to 1 (black), from and to. Default 0.3 to 0.75.
    pub nucleus_darkness: [f64; 2],
    /// Share of cells whose nucleus is as bright as the rest (the indicator leaked in). Default 0.1.
    pub filled_share: f64,
    /// Share of cells that hardly stand out from the background when silent. Default 0.1.
    pub dim_share: f64,
    /// Share of cells that never fire. Default 0.15.
    pub silent_share: f64,
    /// Share of the cells that fire which cannot be seen when they do not. Default 0.15.
    pub invisible_share: f64,
    /// Whether cells also lie across and just beyond the border. A cell with 40 pixels of its body or less in the frame is not
    /// placed unless it is wholly outside. Default false: centres keep 4 px from the border.
    pub cells_at_border: bool,

    /// Median firing rate between bursts, Hz. Default 0.1.
    pub firing_rate_hz: f64,
    /// Bursts of each cell a second. Default 0.05.
    pub burst_rate_hz: f64,
    /// Mean number of spikes in a burst. Default 6.
    pub burst_spikes: f64,
    /// Decay of the indicator, s. Default 0.7.
    pub decay_s: f64,
    /// Rise of the indicator, s. Default 0.07.
    pub rise_s: f64,
    /// Peak brightness that one spike adds, from and to (each cell has its own). Default 1 to 2.9.
    pub spike_brightness: [f64; 2],

    /// Mean slow change of the neuropil's brightness, relative to the background. Default 0.22 for each of eight fields.
    pub neuropil_amplitude: f64,
    /// Number of neuropil fields, each with its own signal. Default 8.
    pub n_neuropil_fields: usize,
    /// Contrast (deviation / mean) of the fine background texture. Default 0.35.
    pub texture_contrast: f64,
    /// Dark vessels that cross the plane. Default 4.
    pub n_vessels: usize,
    /// Small active processes (dendrites, axons) that are not cells, for each cell. Default 0.5.
    pub processes_per_cell: f64,
    /// Half the length of such a process, px, from and to. Default 1 to 4.
    pub process_length_px: [f64; 2],

    /// Deviation of the rigid motion in each direction, px; half of its variance is fast, half slow. Default 2.5.
    pub motion_px: f64,
    /// Time scale (deviation of the smoothing) of the fast part, s. Default 0.13.
    pub motion_fast_s: f64,
    /// Time scale of the slow part, s. Default 2.
    pub motion_slow_s: f64,
    /// Deviation of the non-rigid motion at the frame's edge, px, smooth in rows and columns. Default 0.7.
    pub nonrigid_px: f64,
    /// Share of the frame's period that its rows take to be scanned: above 0 the tissue moves within a frame. Default 0.9.
    pub scan_share: f64,
    /// Amplitude of a regular movement at 8 Hz, as of heartbeat, which bends rows within a frame, px. Default 0.
    pub pulsation_px: f64,
    /// Sudden movements a minute that take a second to go back. Default 0.
    pub jumps_per_minute: f64,
    /// Mean size of such a movement, px. Default 6.
    pub jump_px: f64,
    /// Displacements are limited to ± this, px. Default 18.
    pub largest_shift_px: f64,
    /// Odd rows (1, 3, …) appear this much to the right, px, as where both directions of a scan are used. Default 0.
    pub bidirectional_offset_px: f64,

    /// Mean photons of a background pixel in one frame, before neuropil and cells add theirs. Default 6.
    pub photons: f64,
    /// Counts of one background brightness: a photon is `gain / photons` counts. Default 60.
    pub gain: f64,
    /// Counts without light. Default 100.
    pub offset: f64,
    /// Deviation of the electronic noise, counts. Default 6.
    pub read_noise: f64,
    /// Largest count; what would be brighter is cut off. Default 32,767.
    pub saturation: i16,
    /// Share of the fluorescence that is lost from the first frame to the last, exponentially. Default 0.
    pub bleaching_share: f64,

    /// The field that is looked at again, where this movie is the second session of another. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second_session: Option<SecondSession>,
}

impl Default for MovieSpec {
    fn default() -> Self {
        Self::new(MovieKind::Standard)
    }
}

impl MovieSpec {
    /// The defaults of `kind`.
    pub fn new(kind: MovieKind) -> Self {
        let standard = Self {
            kind,
            seed: 1,
            height: 256,
            width: 256,
            n_frames: 2000,
            frame_rate_hz: 30.0,
            n_planes: 1,
            n_cells: 110,
            cell_diameter_px: 13.0,
            cell_diameter_spread: 0.2,
            cell_spacing: 0.72,
            nucleus_radius: [0.35, 0.55],
            nucleus_darkness: [0.3, 0.75],
            filled_share: 0.1,
            dim_share: 0.1,
            silent_share: 0.15,
            invisible_share: 0.15,
            cells_at_border: false,
            firing_rate_hz: 0.1,
            burst_rate_hz: 0.05,
            burst_spikes: 6.0,
            decay_s: 0.7,
            rise_s: 0.07,
            spike_brightness: [1.0, 2.9],
            neuropil_amplitude: 0.22,
            n_neuropil_fields: 8,
            texture_contrast: 0.35,
            n_vessels: 4,
            processes_per_cell: 0.5,
            process_length_px: [1.0, 4.0],
            motion_px: 2.5,
            motion_fast_s: 0.13,
            motion_slow_s: 2.0,
            nonrigid_px: 0.7,
            scan_share: 0.9,
            pulsation_px: 0.0,
            jumps_per_minute: 0.0,
            jump_px: 6.0,
            largest_shift_px: 18.0,
            bidirectional_offset_px: 0.0,
            photons: 6.0,
            gain: 60.0,
            offset: 100.0,
            read_noise: 6.0,
            saturation: i16::MAX,
            bleaching_share: 0.0,
            second_session: None,
        };
        match kind {
            MovieKind::Standard => standard,
            MovieKind::Small => Self {
                height: 128,
                width: 128,
                n_frames: 600,
                n_cells: 30,
                n_vessels: 2,
                motion_px: 2.0,
                burst_rate_hz: 0.1,
                ..standard
            },
            MovieKind::Hard => Self {
                n_cells: 150,
                photons: 2.0,
                dim_share: 0.25,
                cells_at_border: true,
                process_length_px: [1.0, 10.0],
                motion_px: 4.2,
                nonrigid_px: 1.2,
                pulsation_px: 0.4,
                jumps_per_minute: 4.0,
                largest_shift_px: 22.0,
                bidirectional_offset_px: 0.7,
                ..standard
            },
            MovieKind::Dense => Self {
                n_cells: 300,
                cell_diameter_px: 12.0,
                cell_spacing: 0.55,
                ..standard
            },
            MovieKind::Still => Self {
                motion_px: 0.0,
                nonrigid_px: 0.0,
                ..standard
            },
            MovieKind::Fast => Self {
                frame_rate_hz: 60.0,
                photons: 3.0,
                ..standard
            },
            MovieKind::Slow => Self {
                frame_rate_hz: 5.0,
                n_frames: 1500,
                photons: 20.0,
                ..standard
            },
            MovieKind::Bleaching => Self {
                bleaching_share: 0.5,
                ..standard
            },
            MovieKind::Volume => Self {
                n_planes: 3,
                n_frames: 700,
                frame_rate_hz: 10.0,
                ..standard
            },
        }
    }

    /// Length of the movie, s.
    pub fn duration_s(&self) -> f64 {
        self.n_frames as f64 / self.frame_rate_hz
    }

    /// Pixels of a frame.
    pub fn frame_pixels(&self) -> usize {
        self.height * self.width
    }

    /// # Errors
    /// If a field cannot be simulated; the message names it and says what is possible.
    pub fn check(&self) -> Result<()> {
        let in_range = |field: &'static str, value: f64, low: f64, high: f64| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(ValidationError::bad_spec(
                    field,
                    format!("is {value}; it must be between {low} and {high}"),
                ))
            }
        };
        in_range("height", self.height as f64, 16.0, 4096.0)?;
        in_range("width", self.width as f64, 16.0, 4096.0)?;
        in_range("n_frames", self.n_frames as f64, 1.0, 10_000_000.0)?;
        in_range("frame_rate_hz", self.frame_rate_hz, 0.1, 2_000.0)?;
        in_range("n_planes", self.n_planes as f64, 1.0, 64.0)?;
        in_range("n_cells", self.n_cells as f64, 0.0, 20_000.0)?;
        in_range("cell_diameter_px", self.cell_diameter_px, 4.0, 60.0)?;
        in_range("cell_diameter_spread", self.cell_diameter_spread, 0.0, 0.6)?;
        in_range("cell_spacing", self.cell_spacing, 0.2, 5.0)?;
        for (field, [low, high], least, most) in [
            ("nucleus_radius", self.nucleus_radius, 0.0, 0.9),
            ("nucleus_darkness", self.nucleus_darkness, 0.0, 1.0),
            ("spike_brightness", self.spike_brightness, 0.0, 100.0),
            ("process_length_px", self.process_length_px, 0.5, 100.0),
        ] {
            in_range(field, low, least, most)?;
            in_range(field, high, low, most)?;
        }
        for (field, share) in [
            ("filled_share", self.filled_share),
            ("dim_share", self.dim_share),
            ("silent_share", self.silent_share),
            ("invisible_share", self.invisible_share),
            ("scan_share", self.scan_share),
        ] {
            in_range(field, share, 0.0, 1.0)?;
        }
        in_range("firing_rate_hz", self.firing_rate_hz, 0.0, 50.0)?;
        in_range("burst_rate_hz", self.burst_rate_hz, 0.0, 10.0)?;
        in_range("burst_spikes", self.burst_spikes, 0.0, 100.0)?;
        in_range("decay_s", self.decay_s, 0.01, 20.0)?;
        // Equal time constants would make the difference of the exponentials vanish.
        in_range("rise_s", self.rise_s, 0.001, 0.9 * self.decay_s)?;
        in_range("neuropil_amplitude", self.neuropil_amplitude, 0.0, 10.0)?;
        in_range(
            "n_neuropil_fields",
            self.n_neuropil_fields as f64,
            0.0,
            64.0,
        )?;
        in_range("texture_contrast", self.texture_contrast, 0.0, 1.0)?;
        in_range("n_vessels", self.n_vessels as f64, 0.0, 100.0)?;
        in_range("processes_per_cell", self.processes_per_cell, 0.0, 20.0)?;
        in_range("largest_shift_px", self.largest_shift_px, 0.0, 64.0)?;
        in_range("motion_px", self.motion_px, 0.0, 30.0)?;
        in_range("motion_fast_s", self.motion_fast_s, 0.005, 1e4)?;
        in_range("motion_slow_s", self.motion_slow_s, 0.005, 1e4)?;
        in_range("nonrigid_px", self.nonrigid_px, 0.0, 10.0)?;
        in_range("pulsation_px", self.pulsation_px, 0.0, 10.0)?;
        in_range("jumps_per_minute", self.jumps_per_minute, 0.0, 600.0)?;
        in_range("jump_px", self.jump_px, 0.0, 60.0)?;
        in_range(
            "bidirectional_offset_px",
            self.bidirectional_offset_px,
            -(LARGEST_SCAN_OFFSET_PX as f64),
            LARGEST_SCAN_OFFSET_PX as f64,
        )?;
        in_range("photons", self.photons, 0.05, 1_000.0)?;
        in_range("gain", self.gain, 0.1, 10_000.0)?;
        in_range("offset", self.offset, -10_000.0, 10_000.0)?;
        in_range("read_noise", self.read_noise, 0.0, 1_000.0)?;
        in_range("saturation", f64::from(self.saturation), 1.0, 32_767.0)?;
        in_range("bleaching_share", self.bleaching_share, 0.0, 0.95)?;
        let mut sessions = self.second_session.iter();
        sessions.try_for_each(|session| session.check(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways_and_an_unknown_one_lists_them() {
        for (kind, name) in MovieKind::ALL {
            assert_eq!(name.parse::<MovieKind>().unwrap(), kind);
            assert_eq!(kind.to_string(), name);
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{name}\""));
            MovieSpec::new(kind).check().unwrap();
        }
        let message = "smal".parse::<MovieKind>().unwrap_err().to_string();
        assert!(message.contains("bleaching"), "{message}");
    }

    #[test]
    fn a_spec_that_cannot_be_simulated_is_refused_with_its_field() {
        let refused = |spec: MovieSpec| spec.check().unwrap_err().to_string();
        let standard = MovieSpec::default;
        assert!(
            refused(MovieSpec {
                photons: f64::NAN,
                ..standard()
            })
            .contains("photons")
        );
        assert!(
            refused(MovieSpec {
                rise_s: 0.7,
                ..standard()
            })
            .contains("rise_s")
        );
        assert!(
            refused(MovieSpec {
                nucleus_radius: [0.5, 0.4],
                ..standard()
            })
            .contains("nucleus_radius")
        );
    }
}
