//! Reads `truth.npz`, whether this simulator or `make_movie.py` wrote it; [`super::truth`] lists its arrays.

use std::io::{Read, Seek};
use std::path::Path;

use npyz::half::f16;
use npyz::npz::NpzArchive;

use super::truth::{MovieTruth, ShiftKnots, WeightedFootprint};
use crate::arrays::check_member;
use crate::error::{Result, ValidationError};
use crate::score::masks::Footprint;
use crate::simulate::truth::floats_of;

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

/// Pixels of a frame at most, as many as can be simulated: a truth without cells has no other bound.
const LARGEST_FRAME_PIXELS: usize = 1 << 24;

/// Shape of an array and its values in row-major order.
type Array<T> = (Vec<usize>, Vec<T>);
/// Pixels of each cell and what was kept of each.
type Cells<W> = Vec<(Footprint, Vec<W>)>;

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
        check_member(path, &mut self.archive, name)
            .map_err(|reason| bad_array(path, name, reason))?;
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
    ) -> Result<([usize; 3], Cells<W>)> {
        let path = self.path;
        let Some((shape, file)) = self.open(name)? else {
            return Err(missing(path, name));
        };
        let shape = match shape[..] {
            [n, height, width]
                if (1..=LARGEST_FRAME_PIXELS).contains(&height.saturating_mul(width)) =>
            {
                Ok([n, height, width])
            }
            _ => Err(format!(
                "its shape is {shape:?} and not [cells, height, width]"
            )),
        };
        let read = shape.and_then(|shape| {
            let [n_cells, height, width] = shape;
            let mut cells: Cells<W> = Vec::new();
            let values = file.data::<T>().map_err(|source| source.to_string())?;
            for (at, value) in values.enumerate() {
                if let Some(kept) = keep(value.map_err(|source| source.to_string())?) {
                    // As they come: how many there should be is only what the header says.
                    let cell = at / (height * width);
                    cells.resize_with(cells.len().max(cell + 1), Default::default);
                    let (footprint, kept_values) = &mut cells[cell];
                    footprint.pixels.push((at % (height * width)) as u32);
                    kept_values.push(kept);
                }
            }
            cells.resize_with(n_cells, Default::default);
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
        let first_session_cell = self.values::<i32>("first_session_cell")?;
        let first_session_cell = first_session_cell.map(|(_, numbers)| numbers);
        if let Some(numbers) = &first_session_cell
            && numbers.len() != n_cells
        {
            let n = numbers.len();
            return Err(self.bad(format!(
                "`first_session_cell` has {n} entries for {n_cells} cells in `bodies`"
            )));
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
            first_session_cell,
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
        let n = [n_frames, knots.rows_px.len(), knots.columns_px.len()]
            .iter()
            .fold(n_planes, |n, &more| n.saturating_mul(more));
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
    use super::super::truth::tests::example;
    use super::*;

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
    fn a_second_sessions_truth_says_which_cells_were_there_before() {
        use super::super::{MovieSpec, SecondSession, SimulatedMovie};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("truth.npz");
        let first = MovieSpec {
            height: 60,
            width: 60,
            n_frames: 5,
            n_cells: 8,
            n_planes: 2,
            ..MovieSpec::default()
        };
        let spec = MovieSpec {
            seed: 2,
            second_session: Some(SecondSession::new(first.clone())),
            ..first
        };
        let truth = SimulatedMovie::new(&spec).unwrap().truth();
        truth.write_npz(&path).unwrap();
        let read = read_movie_truth(&path).unwrap();
        assert_eq!(read.first_session_cell, truth.first_session_cell);
        let numbers = read.first_session_cell.as_ref().unwrap();
        assert!(numbers.iter().any(|&n| n >= 0) && numbers.contains(&-1));
        // The second plane's cells come after those of the first one's truth.
        let before = SimulatedMovie::new(&spec.second_session.unwrap().of);
        let n_before = before.unwrap().truth().of_plane(0).n_cells() as i32;
        let second = read.of_plane(1).first_session_cell.unwrap();
        assert!(second.iter().all(|&n| n == -1 || n >= n_before));
        assert!(read.spec_json.unwrap().contains("second_session"));
        let mut short = truth;
        short.first_session_cell.as_mut().unwrap().pop();
        short.write_npz(&path).unwrap_err();
    }

    #[test]
    fn numpys_compressed_file_is_read() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/golden/movie_truth_by_numpy.npz"
        );
        let truth = read_movie_truth(Path::new(path)).unwrap();
        assert_eq!((truth.height, truth.width, truth.n_frames), (4, 5, 3));
        assert_eq!(truth.bodies[0].pixels, [6, 7, 11, 12]);
        assert_eq!(truth.bodies[1].pixels, [19]);
        assert_eq!(truth.masks[0].footprint.pixels, [6, 7, 11, 12]);
        assert_eq!(truth.masks[0].weights, [0.25, 0.5, 0.75, 1.0]);
        assert_eq!(truth.active, [true, false]);
        assert_eq!(truth.calcium, [[0.0, 1.5, 0.5], [0.0; 3]]);
        assert_eq!(truth.spikes, [[1, 0, 2], [0; 3]]);
        assert_eq!((truth.visible[1], truth.plane[1]), (0.03, 0));
        assert_eq!(truth.shift_y, [[1.0, -2.0, 3.5]]);
        assert_eq!(truth.frame_rate_hz, 30.0);
        assert_eq!((truth.n_planes(), truth.knots), (1, None));
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
