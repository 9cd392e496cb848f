//! Reads what `somata image` wrote: what the manifest says of the movie, mean images, and pixels of cells.

use std::path::{Path, PathBuf};

use serde_json::Value;
use somata_io::{imaging_output::imagej_roi::read_roi_zip, still_image::read_image};

use crate::exit::{ExitCode, Failure, Outcome};

/// Planes of a result, and pixels along a side of a frame, at most: what a damaged file says is not made room for.
const MOST_PLANES: usize = 4096;
/// See [`MOST_PLANES`].
const LONGEST_SIDE: usize = 1 << 15;
/// Cells of a plane together cover a frame so many times at most.
const MOST_COVERED: usize = 2;

/// What the manifest of an imaging result says.
pub struct ResultInfo {
    /// Rows of a frame.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Planes.
    pub n_planes: usize,
    /// Height and width of a pixel, µm, where the movie said it.
    pub pixel_size_um: Option<[f64; 2]>,
    /// Cells of each plane.
    pub n_cells: Vec<usize>,
    /// Hash of what the result was made from.
    pub key: String,
}

impl ResultInfo {
    /// Reads the manifest of a result folder.
    ///
    /// # Errors
    /// When there is none, or it is not that of `somata image`.
    pub fn read(result: &Path) -> Outcome<Self> {
        let path = result.join("manifest.json");
        let bad = || {
            Failure::new(
                ExitCode::Input,
                format!(
                    "`{}` is not the manifest of an imaging result",
                    path.display()
                ),
            )
            .hint("give the folder that `somata image` wrote")
        };
        let text = std::fs::read_to_string(&path).map_err(|_| bad())?;
        let manifest: Value = serde_json::from_str(&text).map_err(|_| bad())?;
        if manifest["kind"] != "image" {
            return Err(bad());
        }
        let number = |value: &Value| value.as_u64().map(|n| n as usize).ok_or_else(bad);
        let within = |value: &Value, most: usize| {
            number(value).and_then(|n| if n <= most { Ok(n) } else { Err(bad()) })
        };
        let movie = &manifest["movie"];
        let planes = manifest["planes"].as_array().ok_or_else(bad)?;
        Ok(Self {
            height: within(&movie["height"], LONGEST_SIDE)?,
            width: within(&movie["width"], LONGEST_SIDE)?,
            n_planes: within(&movie["n_planes"], MOST_PLANES)?,
            pixel_size_um: serde_json::from_value(movie["pixel_size_um"].clone()).unwrap_or(None),
            n_cells: planes
                .iter()
                .map(|plane| number(&plane["n_cells"]))
                .collect::<Outcome<_>>()?,
            key: manifest["key"].as_str().ok_or_else(bad)?.to_owned(),
        })
    }
}

/// An imaging result in memory: mean images and cells.
pub struct ImagingFolder {
    /// Where it lies.
    pub path: PathBuf,
    /// What its manifest says.
    pub info: ResultInfo,
    /// Mean image of each plane, `[y, x]`.
    pub means: Vec<Vec<f32>>,
    /// Pixels of the cells of each plane: indices `y * width + x`, ascending.
    pub bodies: Vec<Vec<Vec<u32>>>,
}

impl ImagingFolder {
    /// Reads a result folder.
    ///
    /// # Errors
    /// When it is not a result of `somata image`, or a file of it is missing or does not fit the others.
    pub fn read(result: &Path) -> Outcome<Self> {
        if !result.exists() {
            return Err(somata_io::IoError::Missing {
                path: result.to_owned(),
            }
            .into());
        }
        let info = ResultInfo::read(result)?;
        let unlike = |file: &str, what: String| {
            Failure::new(
                ExitCode::Input,
                format!(
                    "`{}` does not fit the manifest beside it: {what}",
                    result.join(file).display()
                ),
            )
            .hint("the folder was changed after `somata image` wrote it; make it again")
        };
        let images = read_image(&result.join("mean.tif"))?;
        let size = [info.height, info.width];
        if images.len() != info.n_planes
            || images
                .iter()
                .any(|image| [image.height, image.width] != size || image.n_channels != 1)
        {
            return Err(unlike(
                "mean.tif",
                format!(
                    "it should have {} pages of {} × {} pixels",
                    info.n_planes, info.height, info.width
                ),
            ));
        }
        let mut bodies: Vec<Vec<Vec<u32>>> = read_bodies(result, info.height, info.width)?
            .into_iter()
            .map(|plane| {
                plane
                    .into_iter()
                    .map(|body| {
                        let index =
                            |[y, x]: [i64; 2]| (y as usize * info.width + x as usize) as u32;
                        let mut pixels: Vec<u32> = body.into_iter().map(index).collect();
                        pixels.sort_unstable();
                        pixels
                    })
                    .collect()
            })
            .collect();
        bodies.resize_with(bodies.len().max(info.n_planes), Vec::new);
        let found: Vec<usize> = bodies.iter().map(Vec::len).collect();
        if found != info.n_cells {
            return Err(unlike(
                "rois.zip",
                format!(
                    "it has {} regions where there are {} cells",
                    found.iter().sum::<usize>(),
                    info.n_cells.iter().sum::<usize>()
                ),
            ));
        }
        Ok(Self {
            path: result.to_owned(),
            info,
            means: images.into_iter().map(|image| image.pixels).collect(),
            bodies,
        })
    }

    /// Number of the first cell of a plane in the tables, which count over all planes.
    pub fn first_cell(&self, plane: usize) -> usize {
        self.bodies[..plane].iter().map(Vec::len).sum()
    }

    /// Cells of all planes.
    pub fn n_cells(&self) -> usize {
        self.bodies.iter().map(Vec::len).sum()
    }
}

/// Pixels of the cells of each plane of a result, from its `rois.zip`.
///
/// # Errors
/// When the file cannot be read.
pub fn read_bodies(result: &Path, height: usize, width: usize) -> Outcome<Vec<Vec<Vec<[i64; 2]>>>> {
    let path = result.join("rois.zip");
    let rois = read_roi_zip(&path)?;
    let mut planes: Vec<Vec<Vec<[i64; 2]>>> = Vec::new();
    let mut n_pixels = 0;
    for roi in rois {
        let plane = (roi.position as usize)
            .checked_sub(1)
            .filter(|plane| *plane < MOST_PLANES)
            .ok_or_else(|| {
                Failure::new(
                    ExitCode::Input,
                    format!(
                        "`{}`: region `{}` belongs to plane {} of 1 to {MOST_PLANES}",
                        path.display(),
                        roi.name,
                        roi.position
                    ),
                )
            })?;
        planes.resize_with(planes.len().max(plane + 1), Vec::new);
        let body = roi.shape.pixels(height, width);
        n_pixels += body.len();
        if n_pixels > MOST_COVERED * height * width * planes.len() {
            return Err(Failure::new(
                ExitCode::Input,
                format!(
                    "`{}`: its regions cover more than {MOST_COVERED} times the {height} × {width} pixels of a frame",
                    path.display()
                ),
            )
            .hint("the file is damaged; take it from the result again"));
        }
        planes[plane].push(body);
    }
    Ok(planes)
}
