//! The known answer of a simulated movie, and its file `truth.npz`.
//!
//! The arrays of `make_movie.py`, with its types, come first:
//!
//! | array | type and shape | meaning |
//! |---|---|---|
//! | `masks` | float16 `[cells, height, width]` | brightness of each pixel of a cell, 0 to 1, in tissue that has not moved |
//! | `bodies` | bool `[cells, height, width]` | the cell with its nucleus |
//! | `active` | bool `[cells]` | whether it fires |
//! | `calcium` | float32 `[cells, frames]` | brightness that firing adds |
//! | `spikes` | int16 `[cells, frames]` | spikes in each frame |
//! | `visible` | float64 `[cells]` | brightness at rest |
//! | `shift_y`, `shift_x` | float32 `[frames]`, or `[planes, frames]` where there are several planes | where the tissue moved, mean over the frame, px |
//! | `fs` | float64 | frames of each plane a second, Hz |
//!
//! Beside them: `plane` int32 `[cells]`; `n_planes`; `nonrigid_y`, `nonrigid_x` float32 `[planes, frames, rows, columns]`, the
//! displacement less the shift at the knots whose places in the frame are `knot_y` and `knot_x`; `bidirectional_offset_px`; `spec_json`
//! uint8, the specification as text.

use std::io::{Read, Seek, Write};
use std::path::Path;

use npyz::half::f16;
use npyz::npz::{NpzArchive, NpzWriter};

use crate::error::{Result, ValidationError};
use crate::score::masks::Footprint;
use crate::simulate::truth::{add_array, floats_of};

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
        archive.zip_writer().finish()?.flush()
    }
}

/// Reads the `truth.npz` of this simulator or of `make_movie.py`.
///
/// # Errors
/// If the file cannot be read, an array is missing, or their sizes do not agree.
pub fn read_movie_truth(path: &Path) -> Result<MovieTruth> {
    let file =
        std::fs::File::open(path).map_err(|source| ValidationError::io("read", path, source))?;
    let archive = NpzArchive::new(std::io::BufReader::new(file)).map_err(|source| {
        ValidationError::bad_file(path, format!("it is no npz file ({source})"))
    })?;
    TruthFile { path, archive }.read()
}

struct TruthFile<'a, R: Read + Seek> {
    path: &'a Path,
    archive: NpzArchive<R>,
}

/// Shape of an array and its values in row-major order.
type Array<T> = (Vec<usize>, Vec<T>);

impl<R: Read + Seek> TruthFile<'_, R> {
    fn bad(&self, reason: impl Into<String>) -> ValidationError {
        ValidationError::bad_file(self.path, reason)
    }

    /// The array `name`, not read yet, with its shape; `None` if there is none.
    fn open(
        &mut self,
        name: &str,
    ) -> Result<Option<(Vec<usize>, npyz::NpyFile<impl Read + use<'_, R>>)>> {
        let path = self.path;
        let file = self
            .archive
            .by_name(name)
            .map_err(|source| bad_array(path, name, source))?;
        let Some(file) = file else {
            return Ok(None);
        };
        if file.order() == npyz::Order::Fortran && file.shape().len() > 1 {
            return Err(bad_array(path, name, "it is in column-major order"));
        }
        let shape = file.shape().iter().map(|&n| n as usize).collect();
        Ok(Some((shape, file)))
    }

    /// The array `name`, which must be of type `T`.
    fn values<T: npyz::Deserialize>(&mut self, name: &str) -> Result<Option<Array<T>>> {
        let read = self
            .open(name)?
            .map(|(shape, file)| file.into_vec().map(|values| (shape, values)))
            .transpose();
        read.map_err(|source| bad_array(self.path, name, source))
    }

    fn floats(&mut self, name: &str) -> Result<Option<Vec<f64>>> {
        let read = self
            .open(name)?
            .map(|(_, file)| floats_of(file))
            .transpose();
        read.map_err(|reason| bad_array(self.path, name, reason))
    }

    /// The only value of the array `name`.
    fn number(&mut self, name: &str) -> Result<Option<f64>> {
        match self.floats(name)?.as_deref() {
            None => Ok(None),
            Some([value]) => Ok(Some(*value)),
            Some(values) => Err(bad_array(
                self.path,
                name,
                format!("it has {} values", values.len()),
            )),
        }
    }

    fn needed<T>(&self, name: &str, array: Option<T>) -> Result<T> {
        array.ok_or_else(|| missing(self.path, name))
    }

    /// The array `name`, `[cells, frames]`, by cell, and its number of frames.
    fn signals<T: npyz::Deserialize + Clone>(
        &mut self,
        name: &str,
        n_cells: usize,
    ) -> Result<(usize, Vec<Vec<T>>)> {
        let array = self.values(name)?;
        let (shape, values) = self.needed(name, array)?;
        match shape[..] {
            [n, n_frames] if n == n_cells => Ok((
                n_frames,
                (0..n)
                    .map(|cell| values[cell * n_frames..(cell + 1) * n_frames].to_vec())
                    .collect(),
            )),
            _ => Err(self.bad(format!(
                "`{name}` has shape {shape:?} and not [{n_cells} cells, frames]"
            ))),
        }
    }

    /// The array `name`, `[cells, height, width]`: for each cell the pixels that `keep` says something about. Read pixel by pixel,
    /// so that a large truth needs the memory of its cells only.
    fn images<T: npyz::Deserialize, W>(
        &mut self,
        name: &str,
        keep: impl Fn(T) -> Option<W>,
    ) -> Result<([usize; 3], Vec<(Footprint, Vec<W>)>)> {
        let path = self.path;
        let Some((shape, file)) = self.open(name)? else {
            return Err(missing(path, name));
        };
        let shape = match shape[..] {
            [n, height, width] if height * width > 0 => Ok([n, height, width]),
            _ => Err(format!(
                "its shape is {shape:?} and not [cells, height, width]"
            )),
        };
        let read = shape.and_then(|shape| {
            let [n_cells, height, width] = shape;
            let mut cells: Vec<(Footprint, Vec<W>)> = Vec::new();
            cells.resize_with(n_cells, Default::default);
            let values = file.data::<T>().map_err(|source| source.to_string())?;
            for (at, value) in values.enumerate() {
                if let Some(kept) = keep(value.map_err(|source| source.to_string())?) {
                    let (footprint, kept_values) = &mut cells[at / (height * width)];
                    footprint.pixels.push((at % (height * width)) as u32);
                    kept_values.push(kept);
                }
            }
            Ok((shape, cells))
        });
        read.map_err(|reason| bad_array(path, name, reason))
    }

    fn read(mut self) -> Result<MovieTruth> {
        let (shape, bodies) = self.images("bodies", |inside: bool| inside.then_some(()))?;
        let [n_cells, height, width] = shape;
        let (mask_shape, masks) = self.images("masks", |weight: f16| {
            let weight = weight.to_f32();
            (weight > 0.0).then_some(weight)
        })?;
        if mask_shape != shape {
            return Err(self.bad(format!(
                "`masks` has shape {mask_shape:?}, `bodies` {shape:?}"
            )));
        }
        let active = self.values::<bool>("active")?;
        let (_, active) = self.needed("active", active)?;
        let visible = self.floats("visible")?;
        let visible = self.needed("visible", visible)?;
        let plane = self.floats("plane")?;
        let plane: Vec<usize> = plane.map_or(vec![0; n_cells], |planes| {
            planes.iter().map(|&plane| plane as usize).collect()
        });
        for (name, n) in [
            ("active", active.len()),
            ("visible", visible.len()),
            ("plane", plane.len()),
        ] {
            if n != n_cells {
                return Err(self.bad(format!(
                    "`{name}` has {n} entries for {n_cells} cells in `bodies`"
                )));
            }
        }
        let (n_frames, calcium) = self.signals("calcium", n_cells)?;
        let (n_spike_frames, spikes) = self.signals("spikes", n_cells)?;
        if n_spike_frames != n_frames {
            return Err(self.bad(format!(
                "`spikes` has {n_spike_frames} frames, `calcium` {n_frames}"
            )));
        }
        let (shift_y, shift_x) = (
            self.shifts("shift_y", n_frames)?,
            self.shifts("shift_x", n_frames)?,
        );
        let highest_plane = plane.iter().max().copied().unwrap_or(0);
        if shift_y.len() != shift_x.len() || highest_plane >= shift_y.len() {
            return Err(self.bad(format!(
                "it has shifts of {} and {} planes, and cells up to plane {highest_plane}",
                shift_y.len(),
                shift_x.len(),
            )));
        }
        let rate = self.number("fs")?;
        let spec = self.values::<u8>("spec_json")?;
        Ok(MovieTruth {
            height,
            width,
            n_frames,
            frame_rate_hz: self.needed("fs", rate)?,
            bodies: bodies.into_iter().map(|(body, _)| body).collect(),
            masks: masks
                .into_iter()
                .map(|(footprint, weights)| WeightedFootprint { footprint, weights })
                .collect(),
            active,
            visible,
            plane,
            calcium,
            spikes,
            knots: self.knots(shift_y.len(), n_frames)?,
            shift_y,
            shift_x,
            bidirectional_offset_px: self.number("bidirectional_offset_px")?.unwrap_or(0.0),
            spec_json: spec.and_then(|(_, bytes)| String::from_utf8(bytes).ok()),
        })
    }

    fn shifts(&mut self, name: &str, n_frames: usize) -> Result<Vec<Vec<f32>>> {
        let array = self.values::<f32>(name)?;
        let (shape, values) = self.needed(name, array)?;
        match shape[..] {
            [n] | [_, n] if n == n_frames && n > 0 => {
                Ok(values.chunks_exact(n).map(<[f32]>::to_vec).collect())
            }
            _ => Err(self.bad(format!(
                "`{name}` has shape {shape:?} for {n_frames} frames"
            ))),
        }
    }

    fn knots(&mut self, n_planes: usize, n_frames: usize) -> Result<Option<ShiftKnots>> {
        let mut of = |name: &str| -> Result<Vec<f32>> {
            Ok(self.floats(name)?.map_or_else(Vec::new, |values| {
                values.iter().map(|&value| value as f32).collect()
            }))
        };
        let knots = ShiftKnots {
            rows_px: of("knot_y")?,
            columns_px: of("knot_x")?,
            y: of("nonrigid_y")?,
            x: of("nonrigid_x")?,
        };
        if knots.rows_px.is_empty() {
            return Ok(None);
        }
        let n = n_planes * n_frames * knots.rows_px.len() * knots.columns_px.len();
        if knots.y.len() != n || knots.x.len() != n {
            return Err(self.bad(format!(
                "`nonrigid_y` has {} values and `nonrigid_x` {}, where planes × frames × knots is {n}",
                knots.y.len(),
                knots.x.len()
            )));
        }
        Ok(Some(knots))
    }
}

fn bad_array(path: &Path, name: &str, reason: impl std::fmt::Display) -> ValidationError {
    ValidationError::bad_file(path, format!("array `{name}`: {reason}"))
}

fn missing(path: &Path, name: &str) -> ValidationError {
    ValidationError::bad_file(path, format!("it has no array `{name}`"))
}

#[cfg(test)]
mod tests {
    use super::super::{MovieKind, MovieSpec, SimulatedMovie};
    use super::*;

    fn example(n_planes: usize, n_cells: usize) -> MovieTruth {
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
    fn a_written_truth_is_read_back_and_its_bytes_are_always_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("a.npz"), folder.path().join("b.npz"));
        for (n_planes, n_cells) in [(1, 4), (3, 2), (1, 0)] {
            let truth = example(n_planes, n_cells);
            assert_eq!(truth.n_planes(), n_planes);
            truth.write_npz(&first).unwrap();
            truth.write_npz(&second).unwrap();
            assert_eq!(read_movie_truth(&first).unwrap(), truth);
            assert_eq!(
                std::fs::read(&first).unwrap(),
                std::fs::read(&second).unwrap()
            );
        }
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

    #[test]
    fn a_file_that_is_no_truth_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("truth.npz");
        assert!(read_movie_truth(&path).is_err());
        std::fs::write(&path, b"not a zip").unwrap();
        let message = read_movie_truth(&path).unwrap_err().to_string();
        assert!(message.contains("truth.npz"), "{message}");
        let mut truth = example(1, 2);
        truth.visible.clear();
        truth.n_frames += 1;
        assert!(truth.write_npz(&path).is_err());
        // A truth of recordings is an npz, but of something else.
        let recording = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/golden/truth_by_numpy.npz"
        );
        let message = read_movie_truth(Path::new(recording))
            .unwrap_err()
            .to_string();
        assert!(message.contains("`bodies`"), "{message}");
    }
}
