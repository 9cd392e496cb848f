//! What an NWB file says of a plane's frames: summary images, and by how much each was moved.

use super::{OPHYS, Plane, data_attributes};
use crate::error::IoError;
use crate::hdf5_writer::{Attribute, Link};
use crate::imaging_output::pickle_reader::{PyNumbers, PyValue};
use crate::npy::read_npy_as_f64;
use crate::nwb_file::Neurodata;

impl Plane<'_> {
    /// Images of the plane, of the size of a frame. Returns a sentence on each that is of another size.
    pub(super) fn images(&mut self) -> Result<Vec<String>, IoError> {
        let mut warnings = Vec::new();
        for (name, key, description) in [
            (
                "mean",
                "meanImg",
                "mean of the registered frames, in counts",
            ),
            (
                "mean_channel2",
                "meanImg_chan2",
                "mean of the registered frames of the second channel, in counts",
            ),
            ("max", "max_proj", "largest activity in the binned movie"),
            (
                "correlation",
                "Vcorr",
                "correlation of each pixel with its neighbours",
            ),
        ] {
            let Some(image) = self.plane.setting(key).and_then(PyValue::numbers) else {
                continue;
            };
            let Some(image) = self.whole_frame(&image) else {
                warnings.push(format!(
                    "plane {}: the image `{key}` is {:?} and no frame, and is left out",
                    self.plane.plane, image.shape
                ));
                continue;
            };
            let (height, width) = (self.plane.height, self.plane.width);
            let path = format!("{OPHYS}/SummaryImages/{name}{}", self.suffix);
            let mut attributes = self.nwb.typed(&path, Neurodata::core("GrayscaleImage"));
            attributes.push(Attribute::text("description", description));
            let turned: Vec<f32> = (0..width)
                .flat_map(|x| (0..height).map(move |y| (y, x)))
                .map(|(y, x)| image[y * width + x])
                .collect();
            let at = self
                .nwb
                .hdf5
                .array(&[width, height], &turned, &attributes)?;
            self.nwb.place(&path, Link::Hard(at));
        }
        Ok(warnings)
    }

    /// An image `[height, width]`. Suite2p cuts some off to what most frames show; what it cut off is NaN here.
    fn whole_frame(&self, image: &PyNumbers) -> Option<Vec<f32>> {
        let (height, width) = (self.plane.height, self.plane.width);
        if image.shape == [height, width] {
            return Some(image.values.iter().map(|&value| value as f32).collect());
        }
        let range = |key: &str, length: usize| {
            let ends = self.plane.setting(key)?.numbers()?.values;
            let [first, end] = ends[..] else { return None };
            let inside = first >= 0.0 && first < end && end <= length as f64;
            inside.then_some(first as usize..end as usize)
        };
        let (rows, columns) = (range("yrange", height)?, range("xrange", width)?);
        if image.shape != [rows.len(), columns.len()] {
            return None;
        }
        let mut whole = vec![f32::NAN; height * width];
        for (row, values) in rows.zip(image.values.chunks_exact(columns.len())) {
            let places = &mut whole[row * width + columns.start..][..columns.len()];
            for (place, &value) in places.iter_mut().zip(values) {
                *place = value as f32;
            }
        }
        Some(whole)
    }

    /// By how much each frame was moved; a warning when what is said of it does not fit.
    pub(super) fn motion(&mut self) -> Result<Option<String>, IoError> {
        let n_frames = self.result.traces.n_frames();
        let own = self.plane.folder.join("shifts.npy");
        let shifts: Vec<[f64; 2]> = if own.is_file() {
            let array = read_npy_as_f64(&own)?;
            if array.shape != [n_frames, 2] {
                let what = format!("its shape {:?} is not of {n_frames} frames", array.shape);
                return Err(IoError::malformed(&own, "shape", what));
            }
            array.data.as_chunks().0.to_vec()
        } else {
            let offsets = ["yoff", "xoff"].map(|key| self.plane.setting(key)?.numbers());
            let [Some(y), Some(x)] = offsets else {
                return Ok(None);
            };
            if y.values.len() != n_frames || x.values.len() != n_frames {
                return Ok(Some(format!(
                    "plane {}: `yoff` and `xoff` are not of its {n_frames} frames, and are left out",
                    self.plane.plane
                )));
            }
            y.values
                .iter()
                .zip(&x.values)
                .map(|(&y, &x)| [y, x])
                .collect()
        };
        let path = format!("{OPHYS}/xy_translation{}", self.suffix);
        // Where the tissue lies lower and further right, the frame is moved up and to the left.
        let moved: Vec<f32> = shifts
            .iter()
            .flat_map(|[y, x]| [-x as f32, -y as f32])
            .collect();
        let at = self
            .nwb
            .hdf5
            .array(&[n_frames, 2], &moved, &data_attributes("pixels"))?;
        self.nwb.place(&format!("{path}/data"), Link::Hard(at));
        self.series(
            &path,
            "TimeSeries",
            "by how much each frame was moved onto the reference: x to the right and y down, mean over the frame",
        )?;
        Ok(None)
    }
}
