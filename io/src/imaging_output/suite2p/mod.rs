//! A folder `plane0`, `plane1` … as Suite2p leaves it: its window, and the many readers of its files, open it.
//!
//! Written are the files of version 1 (`db`, `settings`, `reg_outputs`, `detect_outputs`) and `ops.npy`, which holds all of them and
//! the flat keys of version 0.14, so that readers of both find what they look for; under NumPy 1 and 2 alike ([`super::pickle`]).
//! Two files are somata's own: `shifts.npy`, since Suite2p's rigid shifts are whole pixels, and `F_corrected.npy`, since somata takes
//! neuropil and overlap off each cell on its own. `data.bin` comes from the writer of registered movies. The folder `combined` of several
//! planes is not written: Suite2p's own `suite2p.io.combined` makes it from these folders.
//! Sources: Suite2p's documentation of its outputs, and the files that 0.14.5 and 1.1.0 write.

mod roi_shape;
mod settings;

use std::path::Path;

use self::roi_shape::{Disks, RoiShape, centre_of, over_median, roi_shape};
pub use self::settings::Suite2pSettings;
use self::settings::{add_missing, dict, pair};
use super::pickle::{Array, Dict, Elements, Value, write_object, write_object_list};
use super::traces::{TraceKind, TraceSource, write_trace_npy};
use crate::error::IoError;
use crate::npy::write_npy;

/// One cell.
#[derive(Clone, PartialEq, Debug)]
pub struct Suite2pRoi<'a> {
    /// Row of each pixel, in the whole frame.
    pub ypix: &'a [i64],
    /// Column of each pixel.
    pub xpix: &'a [i64],
    /// Weight of each pixel.
    pub lam: &'a [f32],
    /// How large the cell was when it was found: the pyramid's level, or 0.
    pub footprint: f64,
    /// Skewness of the trace less the neuropil.
    pub skew: f32,
    /// Standard deviation of the trace less the neuropil, in counts of the detector.
    pub std: f32,
    /// 1 − ½ var(difference of neighbouring frames) ÷ var, of the trace less the neuropil.
    pub snr: f32,
    /// Whether it is called a cell.
    pub is_cell: bool,
    /// Probability that it is one.
    pub probability: f64,
    /// Further numbers by name, for instance of somata's own; they are put beside Suite2p's.
    pub more: &'a [(&'a str, f64)],
}

/// Shifts of the blocks of each frame against the rigidly shifted frame.
#[derive(Clone, PartialEq, Debug)]
pub struct NonrigidShifts<'a> {
    /// First row of each block and one past its last.
    pub block_rows: &'a [[usize; 2]],
    /// First column of each block and one past its last.
    pub block_columns: &'a [[usize; 2]],
    /// Blocks along y and along x.
    pub n_blocks: [usize; 2],
    /// `[frames, blocks]`, pixels, in the sign of [`Suite2pPlane::shifts`].
    pub y: &'a [f32],
    /// `[frames, blocks]`, pixels.
    pub x: &'a [f32],
    /// `[frames, blocks]`: correlation with the reference at the best shift.
    pub correlation: &'a [f32],
}

/// What is known from a second channel.
#[derive(Clone, PartialEq, Debug)]
pub struct SecondChannel<'a> {
    /// `[height, width]`: mean of the registered frames.
    pub mean_image: &'a [f32],
    /// Whether each cell is labelled in that channel, and the probability of it.
    pub red_cells: Option<&'a [(bool, f64)]>,
}

/// Everything but the traces. Images are `[height, width]` of the whole frame.
#[derive(Clone, Debug)]
pub struct Suite2pPlane<'a> {
    /// Where the folder will be in the end: written into the files, not opened.
    pub final_folder: &'a Path,
    /// The files that the movie came from.
    pub input_files: &'a [String],
    /// Which plane this is, from 0.
    pub plane: usize,
    /// Rows of a frame.
    pub height: usize,
    /// Columns of a frame.
    pub width: usize,
    /// What was set.
    pub settings: &'a Suite2pSettings,
    /// Mean of the registered frames.
    pub mean_image: &'a [f32],
    /// The mean with its slow shading taken off, from 0 to 1.
    pub mean_image_enhanced: &'a [f32],
    /// What the frames were registered to.
    pub reference_image: &'a [f32],
    /// Maximum of the binned, high-passed movie.
    pub max_projection: &'a [f32],
    /// Local correlation, or another picture of where activity is.
    pub correlation_image: &'a [f32],
    /// First row that every good frame covers, and one past the last.
    pub y_range: [usize; 2],
    /// First column that every good frame covers, and one past the last.
    pub x_range: [usize; 2],
    /// y and x of each frame's motion in pixels: positive where the tissue lies lower or further right than in the reference.
    /// Suite2p's `yoff` and `xoff` are these, rounded.
    pub shifts: &'a [[f32; 2]],
    /// Correlation of each frame with the reference.
    pub shift_correlation: &'a [f32],
    /// Shifts of blocks, where frames were registered so.
    pub nonrigid: Option<NonrigidShifts<'a>>,
    /// Whether each frame was left out.
    pub bad_frames: &'a [bool],
    /// The second channel, where there is one. Its traces are then asked for.
    pub second_channel: Option<SecondChannel<'a>>,
    /// The cells, in the order of their traces.
    pub rois: &'a [Suite2pRoi<'a>],
}

/// The trace files, in the order in which they are written.
const TRACE_FILES: [(&str, TraceKind); 4] = [
    ("F.npy", TraceKind::Fluorescence),
    ("Fneu.npy", TraceKind::Neuropil),
    ("spks.npy", TraceKind::Spikes),
    ("F_corrected.npy", TraceKind::Corrected),
];

/// Those of the second channel.
const TRACE_FILES_CHANNEL_2: [(&str, TraceKind); 2] = [
    ("F_chan2.npy", TraceKind::FluorescenceChannel2),
    ("Fneu_chan2.npy", TraceKind::NeuropilChannel2),
];

/// Writes the folder of a plane, which is created where it is not there. A plane without cells gives files without rows.
///
/// The traces are asked for row by row, one kind after the other. Build the folder inside a [`crate::atomic::OutputFolder`] to have
/// it whole or not at all.
///
/// # Errors
/// When arrays do not fit each other or the frame, a cell has no pixels or one outside the frame, a trace cannot be had, or a file
/// cannot be written.
pub fn write_suite2p_plane(
    folder: &Path,
    plane: &Suite2pPlane,
    traces: &mut dyn TraceSource,
) -> Result<(), IoError> {
    check(folder, plane, traces).map_err(|what| IoError::BadTables {
        path: folder.to_owned(),
        what,
    })?;
    std::fs::create_dir_all(folder).map_err(|source| IoError::write(folder, source))?;
    let at = |name: &str| folder.join(name);
    write_object_list(&at("stat.npy"), &cell_list(plane))?;
    write_dictionaries(folder, plane)?;
    let n_cells = plane.rois.len();
    let is_cell = plane
        .rois
        .iter()
        .flat_map(|roi| [f64::from(u8::from(roi.is_cell)), roi.probability]);
    write_npy(
        &at("iscell.npy"),
        &[n_cells, 2],
        &is_cell.collect::<Vec<_>>(),
    )?;
    write_npy(
        &at("shifts.npy"),
        &[plane.shifts.len(), 2],
        plane.shifts.as_flattened(),
    )?;
    for (name, kind) in TRACE_FILES {
        write_trace_npy(&at(name), kind, traces)?;
    }
    if let Some(second) = &plane.second_channel {
        for (name, kind) in TRACE_FILES_CHANNEL_2 {
            write_trace_npy(&at(name), kind, traces)?;
        }
        if let Some(red_cells) = second.red_cells {
            let red = red_cells
                .iter()
                .flat_map(|&(is_red, probability)| [f64::from(u8::from(is_red)), probability]);
            write_npy(&at("redcell.npy"), &[n_cells, 2], &red.collect::<Vec<_>>())?;
        }
    }
    Ok(())
}

/// Lengths that must agree, and pixels that must be in the frame; else what is wrong.
fn check(folder: &Path, plane: &Suite2pPlane, traces: &dyn TraceSource) -> Result<(), String> {
    let (n_pixels, n_frames) = (plane.height * plane.width, plane.shifts.len());
    let n_cells = plane.rois.len();
    let mut lengths = vec![
        ("mean_image", plane.mean_image.len(), n_pixels),
        (
            "mean_image_enhanced",
            plane.mean_image_enhanced.len(),
            n_pixels,
        ),
        ("reference_image", plane.reference_image.len(), n_pixels),
        ("max_projection", plane.max_projection.len(), n_pixels),
        ("correlation_image", plane.correlation_image.len(), n_pixels),
        ("shift_correlation", plane.shift_correlation.len(), n_frames),
        ("bad_frames", plane.bad_frames.len(), n_frames),
        ("frames of the traces", traces.n_frames(), n_frames),
        ("cells of the traces", traces.n_cells(), n_cells),
    ];
    if let Some(nonrigid) = &plane.nonrigid {
        let n_blocks = nonrigid.n_blocks[0] * nonrigid.n_blocks[1];
        lengths.extend([
            ("block_rows", nonrigid.block_rows.len(), n_blocks),
            ("block_columns", nonrigid.block_columns.len(), n_blocks),
            ("y of the blocks", nonrigid.y.len(), n_frames * n_blocks),
            ("x of the blocks", nonrigid.x.len(), n_frames * n_blocks),
            (
                "correlation of the blocks",
                nonrigid.correlation.len(),
                n_frames * n_blocks,
            ),
        ]);
    }
    if let Some(second) = &plane.second_channel {
        lengths.push((
            "mean_image of the second channel",
            second.mean_image.len(),
            n_pixels,
        ));
        if let Some(red_cells) = second.red_cells {
            lengths.push(("red_cells", red_cells.len(), n_cells));
        }
    }
    for (name, found, expected) in lengths {
        if found != expected {
            return Err(format!(
                "`{name}` has {found} entries instead of {expected}"
            ));
        }
    }
    if folder.file_name().is_none() || n_frames == 0 || n_pixels == 0 {
        return Err(format!(
            "there is nothing to write: {n_frames} frames of {} × {} pixels",
            plane.height, plane.width
        ));
    }
    for (name, [start, end], length) in [
        ("y_range", plane.y_range, plane.height),
        ("x_range", plane.x_range, plane.width),
    ] {
        if start >= end || end > length {
            return Err(format!("`{name}` is {start} to {end} of {length} pixels"));
        }
    }
    if plane.second_channel.is_some() && plane.settings.n_channels < 2 {
        return Err("a second channel is given, but the settings say that there is one".to_owned());
    }
    let [diameter_y, diameter_x] = plane.settings.diameter_px;
    if !(diameter_y > 0.0 && diameter_x > 0.0 && diameter_y.is_finite() && diameter_x.is_finite()) {
        return Err(format!(
            "the diameter is {diameter_y} × {diameter_x} pixels instead of two positive numbers"
        ));
    }
    let inside = |&value: &i64, length: usize| usize::try_from(value).is_ok_and(|v| v < length);
    for (cell, roi) in plane.rois.iter().enumerate() {
        if roi.ypix.len() != roi.xpix.len() || roi.ypix.len() != roi.lam.len() {
            return Err(format!(
                "cell {cell} has {} rows, {} columns and {} weights of pixels",
                roi.ypix.len(),
                roi.xpix.len(),
                roi.lam.len()
            ));
        }
        if roi.ypix.is_empty() {
            return Err(format!("cell {cell} has no pixels"));
        }
        let places = || roi.ypix.iter().zip(roi.xpix);
        if let Some((y, x)) =
            places().find(|(y, x)| !inside(y, plane.height) || !inside(x, plane.width))
        {
            return Err(format!(
                "cell {cell} has a pixel at row {y}, column {x}, outside of {} × {}",
                plane.height, plane.width
            ));
        }
    }
    Ok(())
}

/// The entries of `stat.npy`.
fn cell_list<'a>(plane: &Suite2pPlane<'a>) -> Vec<Value<'a>> {
    let largest = plane.rois.iter().map(|roi| roi.ypix.len()).max();
    let disks = Disks::new(plane.settings.diameter_px, largest.unwrap_or(1));
    let mut n_covering = vec![0u32; plane.height * plane.width];
    for roi in plane.rois {
        for (&y, &x) in roi.ypix.iter().zip(roi.xpix) {
            n_covering[y as usize * plane.width + x as usize] += 1;
        }
    }
    let shapes: Vec<RoiShape> = plane
        .rois
        .iter()
        .map(|roi| {
            let centre = centre_of(roi.ypix, roi.xpix);
            roi_shape(roi.ypix, roi.xpix, roi.lam, centre, &disks)
        })
        .collect();
    let npix_norm = over_median(shapes.iter().map(|shape| shape.npix_soma));
    let npix_norm_no_crop = over_median(plane.rois.iter().map(|roi| roi.ypix.len()));
    let mut list = Vec::new();
    for (cell, (roi, shape)) in plane.rois.iter().zip(shapes).enumerate() {
        let n_pixels = roi.ypix.len();
        let overlap: Vec<bool> = roi
            .ypix
            .iter()
            .zip(roi.xpix)
            .map(|(&y, &x)| n_covering[y as usize * plane.width + x as usize] > 1)
            .collect();
        let whole = |values: &[i64]| Array::new(&[n_pixels], Elements::Int64(values.to_vec()));
        let [med_y, med_x] = shape.centre;
        let mut entry: Dict = dict! {
            "ypix" => whole(roi.ypix),
            "xpix" => whole(roi.xpix),
            "lam" => Array::new(&[n_pixels], Elements::Float32(roi.lam)),
            "med" => Value::List(vec![med_y.into(), med_x.into()]),
            "footprint" => roi.footprint,
            "npix" => n_pixels,
            "soma_crop" => Array::new(&[n_pixels], Elements::Bool(shape.soma_crop)),
            "npix_soma" => shape.npix_soma,
            "mrs" => shape.mrs,
            "mrs0" => shape.mrs0,
            "compact" => shape.compact,
            "radius" => shape.radius,
            "aspect_ratio" => shape.aspect_ratio,
            "npix_norm" => Value::Float32(npix_norm[cell]),
            "npix_norm_no_crop" => Value::Float32(npix_norm_no_crop[cell]),
            "overlap" => Array::new(&[n_pixels], Elements::Bool(overlap)),
            "snr" => Value::Float32(roi.snr),
            "skew" => Value::Float32(roi.skew),
            "std" => Value::Float32(roi.std),
            "iplane" => plane.plane,
        };
        let more = roi.more.iter();
        add_missing(
            &mut entry,
            more.map(|&(name, value)| (name.to_owned(), value.into()))
                .collect(),
        );
        list.push(entry.into());
    }
    list
}

/// `db.npy`, `settings.npy`, `reg_outputs.npy`, `detect_outputs.npy` and their union `ops.npy`.
fn write_dictionaries(folder: &Path, plane: &Suite2pPlane) -> Result<(), IoError> {
    let settings = plane.settings.nested();
    let source = source(plane);
    let registration = registration(plane);
    let detection = detection(plane);
    let mut ops = source.clone();
    add_missing(&mut ops, settings.clone());
    add_missing(&mut ops, registration.clone());
    add_missing(&mut ops, detection.clone());
    add_missing(&mut ops, plane.settings.flat(plane.final_folder));
    for (name, dict) in [
        ("db.npy", source),
        ("settings.npy", settings),
        ("reg_outputs.npy", registration),
        ("detect_outputs.npy", detection),
        ("ops.npy", ops),
    ] {
        write_object(&folder.join(name), &dict.into())?;
    }
    Ok(())
}

/// An image of the whole frame.
fn whole_image<'a>(plane: &Suite2pPlane, image: &'a [f32]) -> Value<'a> {
    Array::new(&[plane.height, plane.width], Elements::Float32(image)).into()
}

/// The part of an image that every good frame covers.
fn cropped_image(plane: &Suite2pPlane, image: &[f32]) -> Value<'static> {
    let ([top, bottom], [left, right]) = (plane.y_range, plane.x_range);
    let pixels = (top..bottom)
        .flat_map(|row| &image[row * plane.width..][left..right])
        .copied()
        .collect();
    let shape = [bottom - top, right - left];
    Array::new(&shape, Elements::OwnedFloat32(pixels)).into()
}

/// `db.npy`.
fn source<'a>(plane: &Suite2pPlane<'a>) -> Dict<'a> {
    let n_frames = plane.shifts.len();
    let n_files = plane.input_files.len();
    let mut source: Dict = plane.settings.source(plane.final_folder, plane.input_files);
    // Suite2p means the files at which a folder begins; here all are one recording.
    let first_files = (0..n_files).map(|file| file == 0).collect();
    let files: Dict = dict! {
        "iplane" => plane.plane,
        "Ly" => plane.height,
        "Lx" => plane.width,
        "nframes" => n_frames,
        "first_files" => Array::new(&[n_files], Elements::Bool(first_files)),
        "frames_per_folder" => Array::new(&[1], Elements::Int64(vec![n_frames as i64])),
        "meanImg" => whole_image(plane, plane.mean_image),
    };
    source.extend(files);
    source
}

/// `reg_outputs.npy`.
fn registration<'a>(plane: &Suite2pPlane<'a>) -> Dict<'a> {
    let n_frames = plane.shifts.len();
    let rounded = |axis: usize| {
        let shifts = plane.shifts.iter().map(|shift| shift[axis].round() as i64);
        Array::new(&[n_frames], Elements::Int64(shifts.collect()))
    };
    let bad_frames = || Array::new(&[n_frames], Elements::Bool(plane.bad_frames.to_vec()));
    let mut registration: Dict = dict! {
        "refImg" => whole_image(plane, plane.reference_image),
        "yoff" => rounded(0),
        "xoff" => rounded(1),
        "corrXY" => Array::new(&[n_frames], Elements::Float32(plane.shift_correlation)),
        "meanImg" => whole_image(plane, plane.mean_image),
        "badframes" => bad_frames(),
        "badframes0" => bad_frames(),
        "yrange" => pair(plane.y_range),
        "xrange" => pair(plane.x_range),
        "bidiphase" => plane.settings.bidirectional_phase_px,
        "meanImgE" => whole_image(plane, plane.mean_image_enhanced),
    };
    if let Some(nonrigid) = &plane.nonrigid {
        let shape = [n_frames, nonrigid.n_blocks[0] * nonrigid.n_blocks[1]];
        let per_block = |values: &'a [f32]| Array::new(&shape, Elements::Float32(values));
        let edges = |edges: &[[usize; 2]]| {
            let arrays = edges.iter().map(|edge| {
                let edge = edge.iter().map(|&edge| edge as i64).collect();
                Array::new(&[2], Elements::Int64(edge)).into()
            });
            Value::List(arrays.collect())
        };
        registration.extend(dict! {
            "yoff1" => per_block(nonrigid.y),
            "xoff1" => per_block(nonrigid.x),
            "corrXY1" => per_block(nonrigid.correlation),
            "nblocks" => pair(nonrigid.n_blocks),
            "yblock" => edges(nonrigid.block_rows),
            "xblock" => edges(nonrigid.block_columns),
        });
    }
    if let Some(second) = &plane.second_channel {
        let image = whole_image(plane, second.mean_image);
        registration.push(("meanImg_chan2".to_owned(), image));
    }
    registration
}

/// `detect_outputs.npy`.
fn detection(plane: &Suite2pPlane) -> Dict<'static> {
    dict! {
        "Vcorr" => cropped_image(plane, plane.correlation_image),
        "max_proj" => cropped_image(plane, plane.max_projection),
        "meanImg_crop" => cropped_image(plane, plane.mean_image),
        "diameter" => plane.settings.diameter(),
    }
}

#[cfg(test)]
mod tests;
