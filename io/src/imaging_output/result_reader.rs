//! Reads an imaging result to hand it on: the folder of `somata image`, or the folders `plane0` … of Suite2p.
//!
//! Cells come from `stat.npy`, sizes and rate from `ops.npy` (of Suite2p 1 also from `db.npy`, `settings.npy`, `reg_outputs.npy`);
//! both are pickles, whose data are read without running them ([`super::pickle_reader`]). Traces stay in their files. Of a result of
//! somata the traces of `traces.npz` and the columns of `cells.csv` are taken, which hold more than Suite2p's files.

use std::path::{Path, PathBuf};

use super::Mask;
use super::pickle_reader::{Pickled, PyValue, read_object_npy};
use super::trace_files::TraceFiles;
use super::traces::{NPZ_ARRAYS, TraceKind};
use crate::error::IoError;
use crate::npy::read_npy_as_f64;
use crate::npy_rows::NpyRows;
use crate::tables::csv::read_csv;
use crate::tables::{Column, NamedColumn};

/// The pixels of a cell.
#[derive(Clone, PartialEq, Debug)]
pub struct CellPixels {
    /// Row of each pixel.
    pub ypix: Vec<i64>,
    /// Column of each pixel.
    pub xpix: Vec<i64>,
    /// Weight of each pixel.
    pub lam: Vec<f32>,
}

impl CellPixels {
    /// As a mask.
    pub fn mask(&self) -> Mask<'_> {
        Mask {
            ypix: &self.ypix,
            xpix: &self.xpix,
            lam: &self.lam,
        }
    }

    /// The cells of a label image `[height, width]`, in which 0 is background; cell k has label k + 1. Labels that no pixel has give a
    /// cell without pixels. All weights are 1.
    pub fn of_labels(width: usize, labels: &[u32]) -> Vec<CellPixels> {
        let n_cells = labels.iter().max().copied().unwrap_or(0) as usize;
        let none = CellPixels {
            ypix: Vec::new(),
            xpix: Vec::new(),
            lam: Vec::new(),
        };
        let mut cells = vec![none; n_cells];
        for (place, &label) in labels.iter().enumerate().filter(|(_, label)| **label > 0) {
            let cell = &mut cells[label as usize - 1];
            cell.ypix.push((place / width) as i64);
            cell.xpix.push((place % width) as i64);
            cell.lam.push(1.0);
        }
        cells
    }
}

/// One plane.
#[derive(Clone, Debug)]
pub struct PlaneFolder {
    /// Its folder.
    pub folder: PathBuf,
    /// Its number, from 0.
    pub plane: usize,
    /// Rows of a frame.
    pub height: usize,
    /// Columns of a frame.
    pub width: usize,
    /// Mean of the registered frames, `[height, width]`, where it is told.
    pub mean_image: Option<Vec<f32>>,
    /// The cells, in the order of their traces.
    pub cells: Vec<CellPixels>,
    /// Whether each is called a cell (1 or 0), and the probability of it; where it is told.
    pub is_cell: Option<Vec<[f64; 2]>>,
    /// Whether each cell is labelled in the second channel (1 or 0), and how probably, where there is one.
    pub red_cells: Option<Vec<[f64; 2]>>,
    /// The traces of Suite2p's files: `F`, `Fneu`, `spks`, and `F_corrected` where it is there.
    pub traces: TraceFiles,
    /// `stat.npy`.
    pub stat: Pickled,
    /// `ops.npy` and its parts, those that are there.
    pub settings: Vec<Pickled>,
}

/// An imaging result.
#[derive(Clone, Debug)]
pub struct ImagingResult {
    /// Its planes, in order.
    pub planes: Vec<PlaneFolder>,
    /// Frames a second of each plane.
    pub frame_rate_hz: f64,
    /// Traces of all planes, cells in order of the planes.
    pub traces: TraceFiles,
    /// What is known of each cell; the first column, `cell`, counts them from 0 over all planes.
    pub cell_columns: Vec<NamedColumn<'static>>,
}

impl ImagingResult {
    /// Cells of all planes.
    pub fn n_cells(&self) -> usize {
        self.planes.iter().map(|plane| plane.cells.len()).sum()
    }
}

/// The traces of a plane's folder.
const PLANE_TRACES: [(&str, TraceKind); 4] = [
    ("F.npy", TraceKind::Fluorescence),
    ("Fneu.npy", TraceKind::Neuropil),
    ("F_corrected.npy", TraceKind::Corrected),
    ("spks.npy", TraceKind::Spikes),
];

/// The files that say what `ops.npy` says.
const SETTINGS: [&str; 5] = [
    "ops.npy",
    "db.npy",
    "settings.npy",
    "reg_outputs.npy",
    "detect_outputs.npy",
];

/// The folders of the planes in a result: `suite2p/plane0` …, `plane0` …, or the path itself. Empty when there is none.
pub fn plane_folders(path: &Path) -> Vec<PathBuf> {
    for base in [path.join("suite2p"), path.to_owned()] {
        let numbered = std::fs::read_dir(&base).into_iter().flatten().flatten();
        let mut planes: Vec<(usize, PathBuf)> = numbered
            .filter_map(|entry| {
                let name = entry.file_name();
                let number = name.to_str()?.strip_prefix("plane")?.parse().ok()?;
                Some((number, entry.path()))
            })
            .filter(|(_, folder)| folder.join("stat.npy").is_file())
            .collect();
        planes.sort();
        if !planes.is_empty() {
            return planes.into_iter().map(|(_, folder)| folder).collect();
        }
    }
    let is_plane = path.join("stat.npy").is_file();
    Vec::from_iter(is_plane.then(|| path.to_owned()))
}

/// Reads a result.
///
/// # Errors
/// When there is none, a file is missing or damaged, or files do not fit each other.
pub fn read_imaging_result(path: &Path) -> Result<ImagingResult, IoError> {
    let folders = plane_folders(path);
    if folders.is_empty() {
        return Err(IoError::Missing {
            path: path.join("stat.npy"),
        });
    }
    let planes: Vec<PlaneFolder> = folders
        .iter()
        .enumerate()
        .map(|(plane, folder)| read_plane(folder, plane))
        .collect::<Result<_, _>>()?;
    let frame_rate_hz = planes[0].number("fs")?;
    if !(frame_rate_hz.is_finite() && frame_rate_hz > 0.0) {
        let path = folders[0].join("ops.npy");
        return Err(IoError::bad_value(
            &path,
            "fs",
            frame_rate_hz,
            "a rate in Hz",
        ));
    }
    let n_cells = planes.iter().map(|plane| plane.cells.len()).sum();
    let npz = path.join("traces.npz");
    let (traces, at) = if npz.is_file() {
        (own_traces(&npz, n_cells)?, npz)
    } else {
        (joined_traces(&planes), path.to_owned())
    };
    let traces = traces.map_err(|what| IoError::malformed(&at, "shape", what))?;
    let table = path.join("cells.csv");
    let cell_columns = if table.is_file() {
        own_columns(&table, n_cells)?
    } else {
        described_columns(&planes)
    };
    Ok(ImagingResult {
        planes,
        frame_rate_hz,
        traces,
        cell_columns,
    })
}

/// The traces of `traces.npz`.
fn own_traces(npz: &Path, n_cells: usize) -> Result<Result<TraceFiles, String>, IoError> {
    let names = NPZ_ARRAYS.map(|(name, _)| name);
    let arrays = NpyRows::open_members(npz, &names)?;
    let kinds: Vec<(TraceKind, Vec<NpyRows>)> = NPZ_ARRAYS
        .iter()
        .zip(arrays)
        .filter_map(|((_, kind), rows)| Some((*kind, vec![rows?])))
        .collect();
    let n_frames = kinds.first().map_or(0, |(_, rows)| rows[0].row_length);
    Ok(TraceFiles::new(n_cells, n_frames, kinds))
}

/// The traces of the planes' files, of the kinds that all planes have.
fn joined_traces(planes: &[PlaneFolder]) -> Result<TraceFiles, String> {
    let n_frames = planes[0].traces.n_frames();
    if let Some(other) = planes.iter().find(|p| p.traces.n_frames() != n_frames) {
        return Err(format!(
            "plane 0 has {n_frames} frames and plane {} has {}; convert the folders of the planes one by one",
            other.plane,
            other.traces.n_frames()
        ));
    }
    let mut kinds = Vec::new();
    for (name, kind) in PLANE_TRACES {
        let arrays = planes.iter().map(|plane| {
            let has = plane.traces.kinds().contains(&kind);
            has.then(|| NpyRows::open(&plane.folder.join(name)).ok())?
        });
        if let Some(arrays) = arrays.collect::<Option<Vec<_>>>() {
            kinds.push((kind, arrays));
        }
    }
    let n_cells = planes.iter().map(|plane| plane.cells.len()).sum();
    TraceFiles::new(n_cells, n_frames, kinds)
}

/// The columns of `cells.csv`.
fn own_columns(path: &Path, n_cells: usize) -> Result<Vec<NamedColumn<'static>>, IoError> {
    let table = read_csv(path)?;
    if table.columns.first().map_or(0, Vec::len) != n_cells {
        let what = format!(
            "it has {} rows for {n_cells} cells",
            table.columns.first().map_or(0, Vec::len)
        );
        return Err(IoError::malformed(path, "rows", what));
    }
    let columns = table.names.iter().zip(&table.columns);
    Ok(columns
        .map(|(name, rows)| NamedColumn::parsed(name, rows))
        .collect())
}

/// Columns of what every Suite2p folder says.
fn described_columns(planes: &[PlaneFolder]) -> Vec<NamedColumn<'static>> {
    let of_cells = || {
        let planes = planes.iter();
        planes.flat_map(|plane| plane.cells.iter().map(move |cell| (plane, cell)))
    };
    let mean = |places: &[i64]| places.iter().sum::<i64>() as f64 / places.len().max(1) as f64;
    let integers = |values: Vec<i64>| Column::Integer(values.into());
    let numbers = |values: Vec<f64>| Column::Float64(values.into());
    let mut columns = vec![
        NamedColumn::new("cell", integers((0..of_cells().count() as i64).collect())),
        NamedColumn::new(
            "plane",
            integers(of_cells().map(|(plane, _)| plane.plane as i64).collect()),
        ),
        NamedColumn::new(
            "y_px",
            numbers(of_cells().map(|(_, cell)| mean(&cell.ypix)).collect()),
        ),
        NamedColumn::new(
            "x_px",
            numbers(of_cells().map(|(_, cell)| mean(&cell.xpix)).collect()),
        ),
        NamedColumn::new(
            "area_px",
            integers(of_cells().map(|(_, cell)| cell.ypix.len() as i64).collect()),
        ),
    ];
    let is_cell: Option<Vec<&Vec<[f64; 2]>>> =
        planes.iter().map(|plane| plane.is_cell.as_ref()).collect();
    if let Some(is_cell) = is_cell {
        let labels: Vec<[f64; 2]> = is_cell.into_iter().flatten().copied().collect();
        let called = labels.iter().map(|label| i64::from(label[0] > 0.5));
        columns.push(NamedColumn::new("is_cell", integers(called.collect())));
        let probabilities = labels.iter().map(|label| label[1]);
        columns.push(NamedColumn::new(
            "probability",
            numbers(probabilities.collect()),
        ));
    }
    columns
}

/// Reads the folder of a plane.
fn read_plane(folder: &Path, plane: usize) -> Result<PlaneFolder, IoError> {
    let at = |name: &str| folder.join(name);
    let mut settings = Vec::new();
    for name in SETTINGS {
        if at(name).is_file() {
            settings.push(read_object_npy(&at(name))?);
        }
    }
    let stat = read_object_npy(&at("stat.npy"))?;
    let mut cells = Vec::new();
    for (cell, object) in stat.objects().into_iter().enumerate() {
        let pixels = cell_pixels(object).ok_or_else(|| {
            let what = "it has no `ypix`, `xpix` and `lam` of one length";
            IoError::malformed(&at("stat.npy"), format!("cell {cell}"), what)
        })?;
        cells.push(pixels);
    }
    let labels = |name: &str| {
        let path = at(name);
        let found = path.is_file().then(|| labels(&path, cells.len()));
        found.transpose()
    };
    let (is_cell, red_cells) = (labels("iscell.npy")?, labels("redcell.npy")?);
    let mut kinds = Vec::new();
    for (name, kind) in PLANE_TRACES {
        if at(name).is_file() || name == "F.npy" {
            kinds.push((kind, vec![NpyRows::open(&at(name))?]));
        }
    }
    let n_frames = kinds[0].1[0].row_length;
    let traces = TraceFiles::new(cells.len(), n_frames, kinds)
        .map_err(|what| IoError::malformed(folder, "shape", what))?;
    let mut read = PlaneFolder {
        folder: folder.to_owned(),
        plane,
        height: 0,
        width: 0,
        mean_image: None,
        cells,
        is_cell,
        red_cells,
        traces,
        stat,
        settings,
    };
    [read.height, read.width] = [read.length("Ly")?, read.length("Lx")?];
    let size = [read.height, read.width];
    read.mean_image = read
        .setting("meanImg")
        .and_then(PyValue::numbers)
        .filter(|image| image.shape == size)
        .map(|image| image.values.iter().map(|&value| value as f32).collect());
    for (cell, pixels) in read.cells.iter().enumerate() {
        let outside = |places: &[i64], length: usize| {
            let inside = |&place: &i64| usize::try_from(place).is_ok_and(|place| place < length);
            !places.iter().all(inside)
        };
        if outside(&pixels.ypix, read.height) || outside(&pixels.xpix, read.width) {
            let what = format!("it has a pixel outside of {} × {}", size[0], size[1]);
            return Err(IoError::malformed(
                &at("stat.npy"),
                format!("cell {cell}"),
                what,
            ));
        }
    }
    Ok(read)
}

impl PlaneFolder {
    /// What `ops.npy`, or one of its parts, says.
    pub fn setting(&self, key: &str) -> Option<PyValue<'_>> {
        let mut found = self.settings.iter().flat_map(Pickled::objects);
        found.find_map(|object| object.get(key))
    }

    fn number(&self, key: &str) -> Result<f64, IoError> {
        let number = self.setting(key).and_then(PyValue::as_f64);
        number.ok_or_else(|| IoError::MissingKey {
            path: self.folder.join("ops.npy"),
            key: key.to_owned(),
        })
    }

    /// A size in pixels. It bounds what is allocated, so it must be one that a frame can have.
    fn length(&self, key: &str) -> Result<usize, IoError> {
        let length = self.number(key)?;
        if (1.0..=LARGEST_SIDE).contains(&length) && length.fract() == 0.0 {
            return Ok(length as usize);
        }
        let path = self.folder.join("ops.npy");
        Err(IoError::bad_value(
            &path,
            key,
            length,
            "a number of pixels below 16,384",
        ))
    }
}

/// The longest side of a frame, pixels.
const LARGEST_SIDE: f64 = 16_384.0;

/// The pixels of an entry of `stat.npy`.
fn cell_pixels(object: PyValue) -> Option<CellPixels> {
    let numbers = |key: &str| Some(object.get(key)?.numbers()?.values);
    let places = |key: &str| {
        let numbers = numbers(key)?;
        Some(
            numbers
                .iter()
                .map(|&place| place as i64)
                .collect::<Vec<_>>(),
        )
    };
    let (ypix, xpix, lam) = (places("ypix")?, places("xpix")?, numbers("lam")?);
    (ypix.len() == xpix.len() && ypix.len() == lam.len()).then(|| CellPixels {
        ypix,
        xpix,
        lam: lam.iter().map(|&weight| weight as f32).collect(),
    })
}

/// `iscell.npy` or `redcell.npy`, of one or two columns.
fn labels(path: &Path, n_cells: usize) -> Result<Vec<[f64; 2]>, IoError> {
    let array = read_npy_as_f64(path)?;
    let n_columns = array.data.len().checked_div(n_cells).unwrap_or(2);
    if !(1..=2).contains(&n_columns) || n_columns * n_cells != array.data.len() {
        let what = format!("its shape {:?} is not of {n_cells} cells", array.shape);
        return Err(IoError::malformed(path, "shape", what));
    }
    let rows = array.data.chunks_exact(n_columns);
    Ok(rows.map(|row| [row[0], row[n_columns - 1]]).collect())
}
