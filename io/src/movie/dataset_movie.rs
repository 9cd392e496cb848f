//! The reader behind movies in HDF5: pages of a dataset, whichever of its axes are time, plane, row and column.

use std::path::{Path, PathBuf};

use super::metadata::{Metadata, PageFacts};
use super::order::FrameOrder;
use super::tiff::describe;
use super::{MovieDescription, MovieOptions, MovieReader, PixelType};
use crate::error::IoError;
use crate::hdf5::{Dataset, ElementType, NumberKind, NumberType};
use crate::tiff::samples::{f16_to_f32, swap_bytes};

/// Pixels along an axis at most.
const MAX_SIDE: u64 = 1 << 20;
/// Bytes that one call keeps in its own buffer at most, a page being the least.
const BLOCK_BYTES: usize = 8 << 20;

/// Which axis of a dataset is what; time is always the first.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum Axes {
    /// `[page, row, column]`
    PageRowColumn,
    /// `[time, plane, row, column]`
    TimePlaneRowColumn,
    /// `[page, column, row]`
    PageColumnRow,
    /// `[time, column, row, plane]`
    TimeColumnRowPlane,
}

impl Axes {
    /// Axes of rows, columns and planes.
    fn places(self) -> (usize, usize, Option<usize>) {
        match self {
            Axes::PageRowColumn => (1, 2, None),
            Axes::TimePlaneRowColumn => (2, 3, Some(1)),
            Axes::PageColumnRow => (2, 1, None),
            Axes::TimeColumnRowPlane => (2, 1, Some(3)),
        }
    }

    /// Whether a page must be turned over its diagonal.
    fn is_turned(self) -> bool {
        matches!(self, Axes::PageColumnRow | Axes::TimeColumnRowPlane)
    }
}

/// What a format found out besides the pixels.
pub(crate) struct Told {
    pub format: &'static str,
    pub frame_rate_hz: Option<f64>,
    pub pixel_size_um: Option<[f64; 2]>,
    pub warnings: Vec<String>,
}

/// Number of axes of a movie's datasets, the same in all its files.
pub(crate) fn common_rank(datasets: &[Dataset]) -> Result<usize, IoError> {
    let rank = datasets.first().map_or(3, |dataset| dataset.shape().len());
    match datasets
        .iter()
        .find(|dataset| dataset.shape().len() != rank)
    {
        None => Ok(rank),
        Some(other) => Err(IoError::BadImage {
            path: other.file_path().to_owned(),
            what: format!(
                "`{}` has another number of axes than the first file's",
                other.path()
            ),
            hint: "give the files of one movie only".to_owned(),
        }),
    }
}

/// One movie in the datasets of one or more files.
pub(crate) struct DatasetMovie {
    description: MovieDescription,
    order: FrameOrder,
    axes: Axes,
    number: NumberType,
    n_planes_stored: u64,
    /// First page of each dataset, and the dataset.
    parts: Vec<(u64, Dataset)>,
}

impl DatasetMovie {
    /// A movie of datasets of one shape, one a file, in the order of time.
    ///
    /// # Errors
    /// When shapes or types differ or are not read.
    pub fn new(
        paths: &[PathBuf],
        datasets: Vec<Dataset>,
        axes: Axes,
        told: Told,
        options: &MovieOptions,
    ) -> Result<DatasetMovie, IoError> {
        let (row_axis, column_axis, plane_axis) = axes.places();
        let first = datasets.first().ok_or_else(|| IoError::NotAMovie {
            path: PathBuf::new(),
            seen: "no file was given".to_owned(),
        })?;
        let shape = first.shape().to_vec();
        let number = number_type(first)?;
        let [height, width] = [shape[row_axis], shape[column_axis]];
        let n_planes_stored = plane_axis.map_or(1, |axis| shape[axis]);
        for (name, side, limit) in [
            ("height", height, MAX_SIDE),
            ("width", width, MAX_SIDE),
            ("number of planes", n_planes_stored, 1 << 16),
        ] {
            if side == 0 || side > limit {
                return Err(IoError::bad_value(
                    &paths[0],
                    name,
                    side,
                    &format!("1 to {limit}"),
                ));
            }
        }
        let mut n_pages = 0;
        let mut identity = blake3::Hasher::new();
        let mut parts = Vec::with_capacity(datasets.len());
        for dataset in datasets {
            let is_same = dataset.shape()[1..] == shape[1..] && number_type(&dataset)? == number;
            if !is_same {
                return Err(IoError::BadImage {
                    path: dataset.file_path().to_owned(),
                    what: format!(
                        "`{}` has another shape or type of pixels than the first file's",
                        dataset.path()
                    ),
                    hint: "give the files of one movie only".to_owned(),
                });
            }
            identity.update(dataset.path().as_bytes());
            let first_page = n_pages;
            n_pages += dataset.shape()[0].saturating_mul(n_planes_stored);
            parts.push((first_page, dataset));
        }
        let facts = PageFacts {
            n_pages,
            n_files: paths.len(),
            height: height as usize,
            width: width as usize,
        };
        let mut metadata = Metadata::plain(told.format);
        metadata.order = FrameOrder::interleaved(n_planes_stored as usize, 1);
        metadata.frame_rate_hz = told.frame_rate_hz;
        metadata.pixel_size_um = told.pixel_size_um;
        metadata.warnings = told.warnings;
        let (mut description, order) =
            describe(paths, facts, pixel_type(number), metadata, options)?;
        // Another dataset of the same file is another movie.
        identity.update(description.identity.as_bytes());
        description.identity = identity.finalize().to_hex().to_string();
        Ok(DatasetMovie {
            description,
            order,
            axes,
            number,
            n_planes_stored,
            parts,
        })
    }

    /// Dataset of a page, the time in it, and the stored plane.
    fn locate(&self, page: u64) -> (usize, u64, u64) {
        let index = self.parts.partition_point(|(first, _)| *first <= page) - 1;
        let within = page - self.parts[index].0;
        (
            index,
            within / self.n_planes_stored,
            within % self.n_planes_stored,
        )
    }

    /// Pages of one stored plane at times that follow each other, `[page, row, column]`.
    fn read_pages(
        &self,
        index: usize,
        time: u64,
        plane: u64,
        out: &mut [u8],
    ) -> Result<(), IoError> {
        let d = &self.description;
        let (row_axis, column_axis, plane_axis) = self.axes.places();
        let n_pixels = d.height * d.width;
        let size = self.number.size_bytes;
        let delivered = d.pixel_type.size_bytes();
        let n = out.len() / (n_pixels * delivered);
        let dataset = &self.parts[index].1;
        let mut start = vec![0; dataset.shape().len()];
        let mut count = start.clone();
        (start[0], count[0]) = (time, n as u64);
        count[row_axis] = d.height as u64;
        count[column_axis] = d.width as u64;
        if let Some(axis) = plane_axis {
            (start[axis], count[axis]) = (plane, 1);
        }
        let is_half = size != delivered;
        if !self.axes.is_turned() && !is_half {
            dataset.read(&start, &count, out)?;
        } else {
            let mut stored = vec![0; n * n_pixels * size];
            dataset.read(&start, &count, &mut stored)?;
            let pages = stored.chunks_exact(n_pixels * size);
            for (page, out) in pages.zip(out.chunks_exact_mut(n_pixels * delivered)) {
                for (index, pixel) in out.chunks_exact_mut(delivered).enumerate() {
                    let at = if self.axes.is_turned() {
                        index % d.width * d.height + index / d.width
                    } else {
                        index
                    };
                    let stored = &page[at * size..][..size];
                    if is_half {
                        let mut half = [stored[0], stored[1]];
                        if self.number.big_endian {
                            half.reverse();
                        }
                        let single = f16_to_f32(u16::from_le_bytes(half));
                        pixel.copy_from_slice(&single.to_ne_bytes());
                    } else {
                        pixel.copy_from_slice(stored);
                    }
                }
            }
        }
        if !is_half && self.number.big_endian != cfg!(target_endian = "big") {
            swap_bytes(out, delivered);
        }
        Ok(())
    }
}

impl MovieReader for DatasetMovie {
    fn description(&self) -> &MovieDescription {
        &self.description
    }

    fn read(
        &self,
        plane: usize,
        channel: usize,
        start_frame: u64,
        out: &mut [u8],
    ) -> Result<(), IoError> {
        let description = &self.description;
        let frame_bytes = description.frame_bytes();
        let end_frame = description.check_range(plane, channel, start_frame, out.len())?;
        let most = (BLOCK_BYTES / frame_bytes).max(1) as u64;
        let mut frame = start_frame;
        let mut rest = out;
        while frame < end_frame {
            let (index, time, stored_plane) = self.locate(self.order.page(frame, plane, channel));
            let mut n_here = 1;
            // Frames that lie one after the other are one read.
            while n_here < most && frame + n_here < end_frame {
                let next = self.locate(self.order.page(frame + n_here, plane, channel));
                if next != (index, time + n_here, stored_plane) {
                    break;
                }
                n_here += 1;
            }
            let (here, after) = rest.split_at_mut(n_here as usize * frame_bytes);
            self.read_pages(index, time, stored_plane, here)?;
            rest = after;
            frame += n_here;
        }
        Ok(())
    }
}

/// The number that a pixel is.
fn number_type(dataset: &Dataset) -> Result<NumberType, IoError> {
    let unread = |name: &str| IoError::BadImage {
        path: dataset.file_path().to_owned(),
        what: format!(
            "`{}` has pixels of type `{name}`, which is not supported",
            dataset.path()
        ),
        hint: "integers of 8 to 32 bits and floats of 16 to 64 bits are read".to_owned(),
    };
    match dataset.element_type() {
        ElementType::Number(number)
            if number.kind == NumberKind::Float || number.size_bytes < 8 =>
        {
            Ok(number)
        }
        ElementType::Number(number) => Err(unread(&number.numpy_name())),
        ElementType::Other(name) => Err(unread(name)),
        _ => Err(unread("text")),
    }
}

/// The type of delivered pixels: float16 becomes float32.
fn pixel_type(number: NumberType) -> PixelType {
    match (number.kind, number.size_bytes) {
        (NumberKind::Unsigned, 1) => PixelType::U8,
        (NumberKind::Unsigned, 2) => PixelType::U16,
        (NumberKind::Unsigned, _) => PixelType::U32,
        (NumberKind::Signed, 1) => PixelType::I8,
        (NumberKind::Signed, 2) => PixelType::I16,
        (NumberKind::Signed, _) => PixelType::I32,
        (NumberKind::Float, 8) => PixelType::F64,
        (NumberKind::Float, _) => PixelType::F32,
    }
}

/// The index of the movie to read out of `names`; `wanted` is a name, or a part of one that no other has.
///
/// # Errors
/// When it fits none or several.
pub(crate) fn choose(
    path: &Path,
    names: &[String],
    usual: &[usize],
    wanted: Option<&str>,
) -> Result<usize, IoError> {
    crate::recording::streams::choose(path, names, usual, wanted).map_err(|error| {
        let (what, shown) = match error {
            IoError::SeveralStreams { streams, .. } => {
                ("it holds more than one movie".to_owned(), streams)
            }
            IoError::NoSuchStream {
                stream, streams, ..
            } => (format!("it has no movie `{stream}`"), streams),
            other => return other,
        };
        let shown: Vec<String> = shown
            .iter()
            .take(12)
            .map(|name| format!("`{name}`"))
            .collect();
        IoError::BadImage {
            path: path.to_owned(),
            what: format!("{what}: {}", shown.join(", ")),
            hint:
                "choose one with `--dataset NAME`; a part of the name that no other has is enough"
                    .to_owned(),
        }
    })
}
