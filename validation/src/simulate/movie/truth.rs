//! The known answer of a simulated movie, and its file `truth.npz`.
//!
//! The arrays of `make_movie.py`, with its types, come first:
//!
//! | array | type and shape | meaning |
//! |---|---|---|
//! | `masks` | float16 `[cells, height, width]` | brightness of each pixel of a cell, 0 to 1, in tissue that has not moved |
//! | `bodies` | bool `[cells, height, width]` | the cell with its nucleus |
//! | `active` | bool `[cells]` | whether it fires |
//! | `calcium` | float32 `[cells, frames]` | brightness that firing adds, before bleaching |
//! | `spikes` | int16 `[cells, frames]` | spikes in each frame |
//! | `visible` | float64 `[cells]` | brightness at rest |
//! | `shift_y`, `shift_x` | float32 `[frames]`, or `[planes, frames]` where there are several planes | where the tissue moved, mean over the frame, px |
//! | `fs` | float64 | frames of each plane a second, Hz |
//!
//! Beside them: `plane` int32 `[cells]`; `n_planes`; `nonrigid_y`, `nonrigid_x` float32 `[planes, frames, rows, columns]`, the
//! displacement less the shift at the knots whose places in the frame are `knot_y` and `knot_x`; `bidirectional_offset_px`; `spec_json`
//! uint8, the specification as text. In a second session ([`super::second_session`]) also `first_session_cell` int32 `[cells]`: the number
//! of the cell in the truth of the first session, counted over all its planes, or −1 for a cell that was not there.

use std::io::Write;
use std::path::Path;

use npyz::half::f16;
use npyz::npz::NpzWriter;

use crate::error::{Result, ValidationError};
use crate::score::masks::Footprint;
use crate::simulate::truth::add_array;

/// Pixels of a cell with their brightness.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WeightedFootprint {
    /// The pixels.
    pub footprint: Footprint,
    /// Brightness of each, 0 to 1.
    pub weights: Vec<f32>,
}

/// Displacement less the frame's shift, at knots between which it is bilinear.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ShiftKnots {
    /// Places of the rows of knots in the frame, px.
    pub rows_px: Vec<f32>,
    /// Places of the columns of knots, px.
    pub columns_px: Vec<f32>,
    /// Downwards, `[planes, frames, rows, columns]`, px.
    pub y: Vec<f32>,
    /// To the right, as `y`.
    pub x: Vec<f32>,
}

/// Cells, activity and motion of a movie.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MovieTruth {
    /// Rows of a frame.
    pub height: usize,
    /// Columns of a frame.
    pub width: usize,
    /// Frames of each plane.
    pub n_frames: usize,
    /// Frames of each plane a second, Hz.
    pub frame_rate_hz: f64,
    /// The whole cell, nucleus included, `[cells]`.
    pub bodies: Vec<Footprint>,
    /// Brightness of its pixels, `[cells]`.
    pub masks: Vec<WeightedFootprint>,
    /// Whether it fires, `[cells]`.
    pub active: Vec<bool>,
    /// Brightness at rest, `[cells]`.
    pub visible: Vec<f64>,
    /// Plane it lies in, `[cells]`.
    pub plane: Vec<usize>,
    /// Brightness that firing adds, `[cells][frames]`.
    pub calcium: Vec<Vec<f32>>,
    /// Spikes in each frame, `[cells][frames]`.
    pub spikes: Vec<Vec<i16>>,
    /// Mean displacement downwards, `[planes][frames]`, px.
    pub shift_y: Vec<Vec<f32>>,
    /// Mean displacement to the right, `[planes][frames]`, px.
    pub shift_x: Vec<Vec<f32>>,
    /// The displacement within the frame, where it is known.
    pub knots: Option<ShiftKnots>,
    /// How far odd rows appear to the right, px.
    pub bidirectional_offset_px: f64,
    /// The specification, where it is known.
    pub spec_json: Option<String>,
    /// In a second session, the number of each cell in the first one's truth, over all planes; −1 for a new cell, `[cells]`.
    pub first_session_cell: Option<Vec<i32>>,
}

impl MovieTruth {
    /// Number of cells.
    pub fn n_cells(&self) -> usize {
        self.bodies.len()
    }

    /// Number of planes.
    pub fn n_planes(&self) -> usize {
        self.shift_y.len()
    }

    /// The truth of one plane, as of a movie of its own.
    ///
    /// Panics if there is no such plane.
    pub fn of_plane(&self, plane: usize) -> Self {
        fn pick<T: Clone>(values: &[T], keep: &[usize]) -> Vec<T> {
            keep.iter().map(|&at| values[at].clone()).collect()
        }
        let keep: Vec<usize> = (0..self.n_cells())
            .filter(|&cell| self.plane[cell] == plane)
            .collect();
        let knots = self.knots.as_ref().map(|knots| {
            let n = knots.y.len() / self.n_planes();
            let part = plane * n..(plane + 1) * n;
            ShiftKnots {
                y: knots.y[part.clone()].to_vec(),
                x: knots.x[part].to_vec(),
                ..knots.clone()
            }
        });
        Self {
            bodies: pick(&self.bodies, &keep),
            masks: pick(&self.masks, &keep),
            active: pick(&self.active, &keep),
            visible: pick(&self.visible, &keep),
            plane: vec![0; keep.len()],
            calcium: pick(&self.calcium, &keep),
            spikes: pick(&self.spikes, &keep),
            shift_y: vec![self.shift_y[plane].clone()],
            shift_x: vec![self.shift_x[plane].clone()],
            knots,
            spec_json: self.spec_json.clone(),
            first_session_cell: self
                .first_session_cell
                .as_ref()
                .map(|numbers| pick(numbers, &keep)),
            ..*self
        }
    }

    /// Writes `truth.npz`; the bytes depend on nothing but the content.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_npz(&self, path: &Path) -> Result<()> {
        self.write_arrays(path)
            .map_err(|source| ValidationError::io("write", path, source))
    }

    fn write_arrays(&self, path: &Path) -> std::io::Result<()> {
        let mut archive = NpzWriter::create(path)?;
        let archive = &mut archive;
        let (n_cells, n_frames) = (self.n_cells() as u64, self.n_frames as u64);
        let images = [n_cells, self.height as u64, self.width as u64];
        let n_pixels = self.height * self.width;
        add_array(
            archive,
            "masks",
            &images,
            self.masks.iter().flat_map(|mask| {
                let mut image = vec![f16::ZERO; n_pixels];
                for (&pixel, &weight) in mask.footprint.pixels.iter().zip(&mask.weights) {
                    image[pixel as usize] = f16::from_f32(weight);
                }
                image
            }),
        )?;
        add_array(
            archive,
            "bodies",
            &images,
            self.bodies.iter().flat_map(|body| {
                let mut image = vec![false; n_pixels];
                for &pixel in &body.pixels {
                    image[pixel as usize] = true;
                }
                image
            }),
        )?;
        add_array(archive, "active", &[n_cells], self.active.iter().copied())?;
        let signals = [n_cells, n_frames];
        add_array(
            archive,
            "calcium",
            &signals,
            self.calcium.iter().flatten().copied(),
        )?;
        add_array(
            archive,
            "spikes",
            &signals,
            self.spikes.iter().flatten().copied(),
        )?;
        add_array(archive, "visible", &[n_cells], self.visible.iter().copied())?;
        let n_planes = self.n_planes() as u64;
        let shifts = [n_planes, n_frames];
        // One plane's shifts have one axis, as in the movies that know of no planes.
        let shifts = if n_planes == 1 {
            &shifts[1..]
        } else {
            &shifts[..]
        };
        for (name, values) in [("shift_y", &self.shift_y), ("shift_x", &self.shift_x)] {
            add_array(archive, name, shifts, values.iter().flatten().copied())?;
        }
        add_array(archive, "fs", &[], [self.frame_rate_hz])?;
        add_array(
            archive,
            "plane",
            &[n_cells],
            self.plane.iter().map(|&plane| plane as i32),
        )?;
        add_array(archive, "n_planes", &[], [n_planes as i32])?;
        if let Some(knots) = &self.knots {
            let (rows, columns) = (&knots.rows_px, &knots.columns_px);
            let shape = [n_planes, n_frames, rows.len() as u64, columns.len() as u64];
            add_array(archive, "nonrigid_y", &shape, knots.y.iter().copied())?;
            add_array(archive, "nonrigid_x", &shape, knots.x.iter().copied())?;
            add_array(archive, "knot_y", &shape[2..3], rows.iter().copied())?;
            add_array(archive, "knot_x", &shape[3..], columns.iter().copied())?;
        }
        add_array(
            archive,
            "bidirectional_offset_px",
            &[],
            [self.bidirectional_offset_px],
        )?;
        if let Some(text) = &self.spec_json {
            add_array(archive, "spec_json", &[text.len() as u64], text.bytes())?;
        }
        if let Some(numbers) = &self.first_session_cell {
            let numbers = numbers.iter().copied();
            add_array(archive, "first_session_cell", &[n_cells], numbers)?;
        }
        archive.zip_writer().finish()?.flush()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::{MovieKind, MovieSpec, SimulatedMovie};
    use super::*;

    pub(in super::super) fn example(n_planes: usize, n_cells: usize) -> MovieTruth {
        let spec = MovieSpec {
            height: 40,
            width: 60,
            n_frames: 7,
            n_planes,
            n_cells,
            n_vessels: 0,
            bidirectional_offset_px: 0.5,
            ..MovieSpec::new(MovieKind::Hard)
        };
        let mut truth = SimulatedMovie::new(&spec).unwrap().truth();
        // The file holds half precision.
        for mask in &mut truth.masks {
            for weight in &mut mask.weights {
                *weight = f16::from_f32(*weight).to_f32();
            }
        }
        truth
    }

    #[test]
    fn the_planes_share_the_cells_out() {
        let truth = example(3, 4);
        let planes: Vec<MovieTruth> = (0..3).map(|plane| truth.of_plane(plane)).collect();
        let n: usize = planes.iter().map(MovieTruth::n_cells).sum();
        assert_eq!(n, truth.n_cells());
        assert_eq!(planes[2].bodies.last(), truth.bodies.last());
        assert_eq!(planes[1].shift_x, truth.shift_x[1..2]);
        assert_ne!(planes[0].bodies, planes[1].bodies);
        let knots = truth.knots.unwrap();
        assert_eq!(
            planes[2].knots.as_ref().unwrap().y[..],
            knots.y[knots.y.len() / 3 * 2..]
        );
    }
}
