//! An imaging result in an NWB file: `/processing/ophys`, and microscope and planes in `/general`.
//!
//! | path under `/processing/ophys` | type | content |
//! |---|---|---|
//! | `ImageSegmentation/PlaneSegmentation` | `PlaneSegmentation` | a row a cell: `pixel_mask` (x, y, weight), the columns of `cells.csv`, and where there is a second channel whether and how probably each is labelled in it |
//! | `Fluorescence/RoiResponseSeries` | `RoiResponseSeries` | fluorescence, `[frames, cells]`, counts |
//! | `Fluorescence/Neuropil`, `Corrected`, `Denoised`, `Deconvolved` | the same | the other traces, those that there are |
//! | `DfOverF/RoiResponseSeries` | the same | ΔF/F |
//! | `xy_translation` | `TimeSeries` | by how much each frame was moved onto the reference, x and y, pixels |
//! | `SummaryImages` | `Images` | mean (of the second channel as well), largest activity and correlation, `[x, y]` as the format asks; NaN where a folder has no value |
//!
//! With several planes each name has the plane's number at its end, as in `PlaneSegmentationPlane0`. The names are those that NeuroConv
//! writes and roiextractors looks for. `MotionCorrection` of the format would have to hold the registered movie; the translation alone is
//! a `TimeSeries`. A plane without cells has a table without rows and no traces.

mod frames;

use super::result_reader::{CellPixels, ImagingResult, PlaneFolder};
use super::traces::TraceKind;
use crate::error::IoError;
use crate::hdf5_writer::{
    Attribute, AttributeValue, ChunkedDataset, Datatype, Hdf5Element, Link, ObjectAddress,
    RowDataset,
};
use crate::nwb_file::table::{NwbTable, region_attributes};
use crate::nwb_file::{Neurodata, NwbWriter, object_name};
use crate::tables::{Column, NamedColumn};

/// What is not in the result's folder.
#[derive(Clone, PartialEq, Debug)]
pub struct NwbMicroscope {
    /// Name of the microscope.
    pub name: String,
    /// What it is.
    pub description: String,
    /// Who made it.
    pub manufacturer: Option<String>,
    /// Where in the brain the planes are.
    pub location: String,
    /// Indicator, as `GCaMP6s`.
    pub indicator: String,
    /// Wavelength of the light that excites, nm; NaN where it is not known.
    pub excitation_nm: f32,
    /// Wavelength of the light that is seen, nm; NaN where it is not known.
    pub emission_nm: f32,
    /// When the movie begins, s after the start of the session.
    pub start_s: f64,
    /// Height and width of a pixel, µm, where they are known.
    pub pixel_size_um: Option<[f64; 2]>,
}

/// Where all of it goes.
const OPHYS: &str = "processing/ophys";
/// Frames and cells of a chunk of traces: half a megabyte, of which a reader of one cell unpacks a sixteenth too much.
const CHUNK: [usize; 2] = [8192, 16];

/// Writes the result. Returns what could not be written, in sentences.
///
/// # Errors
/// When a trace cannot be read, or the file cannot be written.
pub fn write_nwb_ophys(
    nwb: &mut NwbWriter,
    result: &ImagingResult,
    microscope: &NwbMicroscope,
) -> Result<Vec<String>, IoError> {
    let device = nwb.device(
        &microscope.name,
        &microscope.description,
        microscope.manufacturer.as_deref(),
    )?;
    let mut warnings = Vec::new();
    let mut first_cell = 0;
    for plane in &result.planes {
        let mut writer = Plane {
            nwb,
            result,
            plane,
            microscope,
            suffix: match result.planes.len() {
                1 => String::new(),
                _ => format!("Plane{}", plane.plane),
            },
            first_cell,
        };
        let imaging_plane = writer.imaging_plane(&device)?;
        let table = writer.segmentation(&imaging_plane)?;
        if !plane.cells.is_empty() {
            for kind in result.traces.kinds() {
                writer.traces(kind, table)?;
            }
        }
        warnings.extend(writer.images()?);
        warnings.extend(writer.motion()?);
        first_cell += plane.cells.len();
    }
    let containers = [
        ("ImageSegmentation", "ImageSegmentation", None),
        ("Fluorescence", "Fluorescence", None),
        ("DfOverF", "DfOverF", None),
        (
            "SummaryImages",
            "Images",
            Some((
                "description",
                "images of each plane over the registered movie",
            )),
        ),
    ];
    for (name, kind, more) in containers {
        let path = format!("{OPHYS}/{name}");
        if nwb.is_open(&path) {
            nwb.close_typed(&path, Neurodata::core(kind), more.as_slice())?;
        }
    }
    nwb.close_typed(
        OPHYS,
        Neurodata::core("ProcessingModule"),
        &[(
            "description",
            "cells of a two-photon movie and their traces",
        )],
    )?;
    Ok(warnings)
}

/// A plane while it is written.
struct Plane<'a> {
    nwb: &'a mut NwbWriter,
    result: &'a ImagingResult,
    plane: &'a PlaneFolder,
    microscope: &'a NwbMicroscope,
    /// What the names of its objects end with.
    suffix: String,
    /// Cells of the planes before.
    first_cell: usize,
}

impl Plane<'_> {
    /// What the plane is; returns a link to it.
    fn imaging_plane(&mut self, device: &Link) -> Result<Link, IoError> {
        let microscope = self.microscope;
        let name = match self.suffix.as_str() {
            "" => "ImagingPlane".to_owned(),
            _ => format!("ImagingPlane{}", self.plane.plane),
        };
        let path = format!("general/optophysiology/{name}");
        let number = |nwb: &mut NwbWriter, name: &str, value: f32| {
            let at = nwb.hdf5.array(&[], &[value], &[])?;
            nwb.place(&format!("{path}/{name}"), Link::Hard(at));
            Ok::<(), IoError>(())
        };
        let nwb = &mut *self.nwb;
        number(nwb, "excitation_lambda", microscope.excitation_nm)?;
        number(nwb, "imaging_rate", self.result.frame_rate_hz as f32)?;
        number(
            nwb,
            "optical_channel/emission_lambda",
            microscope.emission_nm,
        )?;
        nwb.text(
            &format!("{path}/optical_channel/description"),
            "channel in which cells are active",
        )?;
        nwb.close_typed(
            &format!("{path}/optical_channel"),
            Neurodata::core("OpticalChannel"),
            &[],
        )?;
        let (height, width) = (self.plane.height, self.plane.width);
        let text = format!("plane {} of {width} × {height} pixels", self.plane.plane);
        nwb.text(&format!("{path}/description"), &text)?;
        nwb.text(&format!("{path}/indicator"), &microscope.indicator)?;
        nwb.text(&format!("{path}/location"), &microscope.location)?;
        if let Some([height_um, width_um]) = microscope.pixel_size_um {
            let spacing = [width_um, height_um].map(|length| (length * 1e-6) as f32);
            let unit = [Attribute::text("unit", "meters")];
            let at = nwb.hdf5.array(&[2], &spacing, &unit)?;
            nwb.place(&format!("{path}/grid_spacing"), Link::Hard(at));
            nwb.text(
                &format!("{path}/reference_frame"),
                "pixels of the frame: x to the right, y down, from the upper left corner",
            )?;
        }
        nwb.place(&format!("{path}/device"), device.clone());
        nwb.close_typed(&path, Neurodata::core("ImagingPlane"), &[])?;
        Ok(Link::Soft(format!("/{path}")))
    }

    /// The table of the plane's cells.
    fn segmentation(&mut self, imaging_plane: &Link) -> Result<ObjectAddress, IoError> {
        let cells = &self.plane.cells;
        let path = format!("{OPHYS}/ImageSegmentation/PlaneSegmentation{}", self.suffix);
        self.nwb
            .place(&format!("{path}/imaging_plane"), imaging_plane.clone());
        // The format asks for this group, though it may be empty.
        self.nwb.close(&format!("{path}/reference_images"), &[])?;
        let ids: Vec<i64> = (self.first_cell..self.first_cell + cells.len())
            .map(|cell| cell as i64)
            .collect();
        let mut table = NwbTable::new(self.nwb, &path, &ids)?;
        let datatype = Datatype::Compound(vec![
            ("x", u32::datatype()),
            ("y", u32::datatype()),
            ("weight", f32::datatype()),
        ]);
        let n_pixels = cells.iter().map(|cell| cell.ypix.len()).sum();
        let at = table.column(
            "pixel_mask",
            "pixels of each cell: column (x) and row (y), from 0, and weight",
            &[],
            |hdf5, attributes| {
                let mut rows = RowDataset::new(datatype, &[n_pixels]);
                for cell in cells {
                    rows.append(hdf5, &pixel_bytes(cell))?;
                }
                rows.finish(hdf5, attributes)
            },
        )?;
        let ends = cells.iter().scan(0, |sum, cell| {
            *sum += cell.ypix.len() as u64;
            Some(*sum)
        });
        table.index("pixel_mask", &ends.collect::<Vec<u64>>(), at)?;
        let rows = self.first_cell..self.first_cell + cells.len();
        for column in &self.result.cell_columns {
            // The first column counts the cells, which the ids do.
            if column.name == "cell" {
                continue;
            }
            let mut name = object_name(&column.name);
            while table.has(&name) || ["image_mask", "voxel_mask"].contains(&name.as_str()) {
                name.insert_str(0, "table_");
            }
            let of_plane = NamedColumn::new(&name, part(&column.values, rows.clone()));
            table.named(&name, description(&column.name), &of_plane)?;
        }
        if let Some(red_cells) = &self.plane.red_cells {
            let is_red = red_cells.iter().map(|cell| i64::from(cell[0] > 0.5));
            let probabilities = red_cells.iter().map(|cell| cell[1]);
            for (name, values) in [
                ("redcell", Column::Integer(is_red.collect())),
                (
                    "redcell_probability",
                    Column::Float64(probabilities.collect()),
                ),
            ] {
                // A table of cells may have a column of this name, which then stays.
                if !table.has(name) {
                    table.named(name, description(name), &NamedColumn::new(name, values))?;
                }
            }
        }
        table.finish(
            Neurodata::core("PlaneSegmentation"),
            "cells that were found in the plane",
        )
    }

    /// Traces of the plane's cells.
    fn traces(&mut self, kind: TraceKind, table: ObjectAddress) -> Result<(), IoError> {
        let (container, name, unit, description) = match kind {
            TraceKind::Fluorescence => (
                "Fluorescence",
                "RoiResponseSeries",
                "counts",
                "mean fluorescence of the cell's pixels",
            ),
            TraceKind::Neuropil => (
                "Fluorescence",
                "Neuropil",
                "counts",
                "mean fluorescence around the cell",
            ),
            TraceKind::Corrected => (
                "Fluorescence",
                "Corrected",
                "counts",
                "fluorescence without neuropil and without other cells' light",
            ),
            TraceKind::DeltaFOverF => (
                "DfOverF",
                "RoiResponseSeries",
                "n.a.",
                "corrected fluorescence above its baseline, over the baseline",
            ),
            TraceKind::Denoised => (
                "Fluorescence",
                "Denoised",
                "counts",
                "what the deconvolved activity explains, plus the baseline",
            ),
            TraceKind::Spikes => (
                "Fluorescence",
                "Deconvolved",
                "counts",
                "deconvolved activity: by how much the spikes of a frame raise the trace",
            ),
            // Results are read without them.
            TraceKind::FluorescenceChannel2 | TraceKind::NeuropilChannel2 => return Ok(()),
        };
        let path = format!("{OPHYS}/{container}/{name}{}", self.suffix);
        let (n_frames, n_cells) = (self.result.traces.n_frames(), self.plane.cells.len());
        let chunk = [CHUNK[0].min(n_frames), CHUNK[1].min(n_cells)];
        let attributes = data_attributes(unit);
        let at = if n_frames == 0 {
            self.nwb
                .hdf5
                .array::<f32>(&[0, n_cells], &[], &attributes)?
        } else {
            let mut data = ChunkedDataset::new(f32::datatype(), &[n_frames, n_cells], &chunk);
            let (mut row, mut bytes) = (vec![0f32; chunk[0]], Vec::new());
            for cells in (0..n_cells).step_by(chunk[1]) {
                for frames in (0..n_frames).step_by(chunk[0]) {
                    // What reaches over the end is zero.
                    let mut block = vec![0f32; chunk[0] * chunk[1]];
                    let row = &mut row[..chunk[0].min(n_frames - frames)];
                    for cell in 0..chunk[1].min(n_cells - cells) {
                        let of_all = self.first_cell + cells + cell;
                        self.result.traces.read_part(kind, of_all, frames, row)?;
                        for (frame, &value) in row.iter().enumerate() {
                            block[frame * chunk[1] + cell] = value;
                        }
                    }
                    bytes.clear();
                    bytes.extend(block.iter().flat_map(|value| value.to_le_bytes()));
                    let place = [frames / chunk[0], cells / chunk[1]];
                    data.write(&mut self.nwb.hdf5, &place, &bytes)?;
                }
            }
            data.finish(&mut self.nwb.hdf5, &attributes)?
        };
        self.nwb.place(&format!("{path}/data"), Link::Hard(at));
        let rois = format!("{path}/rois");
        let mut attributes = self
            .nwb
            .typed(&rois, Neurodata::common("DynamicTableRegion"));
        attributes.extend(region_attributes("all cells of the plane", table));
        let rows: Vec<i64> = (0..n_cells as i64).collect();
        let at = self.nwb.hdf5.array(&[n_cells], &rows, &attributes)?;
        self.nwb.place(&rois, Link::Hard(at));
        self.series(&path, "RoiResponseSeries", description)
    }

    /// Ends a series whose data are written: its times and its type.
    fn series(&mut self, path: &str, kind: &'static str, description: &str) -> Result<(), IoError> {
        let rate = AttributeValue::Float64(self.result.frame_rate_hz);
        let attributes = [
            Attribute::new("rate", rate),
            Attribute::text("unit", "seconds"),
        ];
        let start_s = self.microscope.start_s;
        let at = self.nwb.hdf5.array(&[], &[start_s], &attributes)?;
        self.nwb
            .place(&format!("{path}/starting_time"), Link::Hard(at));
        self.nwb
            .close_typed(path, Neurodata::core(kind), &[("description", description)])?;
        Ok(())
    }
}

/// Attributes of the data of a series.
fn data_attributes(unit: &str) -> Vec<Attribute> {
    vec![
        Attribute::new("conversion", AttributeValue::Float32(1.0)),
        Attribute::new("offset", AttributeValue::Float32(0.0)),
        Attribute::new("resolution", AttributeValue::Float32(-1.0)),
        Attribute::text("unit", unit),
    ]
}

/// Pixels as the elements of a pixel mask.
fn pixel_bytes(cell: &CellPixels) -> Vec<u8> {
    let pixels = cell.xpix.iter().zip(&cell.ypix).zip(&cell.lam);
    let mut bytes = Vec::with_capacity(12 * cell.ypix.len());
    for ((&x, &y), &weight) in pixels {
        // The reader has checked that they are inside of the frame.
        bytes.extend_from_slice(&(x as u32).to_le_bytes());
        bytes.extend_from_slice(&(y as u32).to_le_bytes());
        bytes.extend_from_slice(&weight.to_le_bytes());
    }
    bytes
}

/// Some rows of a column.
fn part<'a>(column: &'a Column, rows: std::ops::Range<usize>) -> Column<'a> {
    match column {
        Column::Integer(values) => Column::Integer(values[rows].into()),
        Column::Float32(values) => Column::Float32(values[rows].into()),
        Column::Float64(values) => Column::Float64(values[rows].into()),
        Column::Text(values) => Column::Text(values[rows].into()),
    }
}

/// What a column of the table of cells holds.
fn description(name: &str) -> &'static str {
    match name {
        "plane" => "plane, from 0",
        "y_px" => "mean row of the cell's pixels",
        "x_px" => "mean column of the cell's pixels",
        "area_px" => "number of pixels",
        "is_cell" => "1 where it is called a cell, else 0",
        "probability" => "probability of being a cell",
        "network_probability" => "mean probability of the network over the mask that it saw",
        "found_by" => "what found it: network or activity",
        "footprint_snr" => "signal of the footprint over its noise",
        "trace_noise" => "standard deviation of the noise of the trace, in counts",
        "trace_snr" => {
            "mean of the largest values of the denoised trace above its baseline, over the noise"
        }
        "skew" => "skewness of the trace above its baseline",
        "redcell" => "1 where the cell is labelled in the second channel, else 0",
        "redcell_probability" => "probability of being labelled in the second channel",
        "decay_s" => "decay of the response, in seconds",
        _ => "from the table of cells",
    }
}
