//! Results of movies: of `somata image`, and folders of Suite2p.

use std::path::Path;

use somata_io::{
    IoError,
    imaging_output::{
        cellpose_seg::{median_diameter_px, write_cellpose_seg},
        coco::{CocoShape, CocoWriter},
        imagej_roi::{ImagejRoi, RoiShape, write_roi_zip},
        imaging_mat::{write_fall_mat, write_imaging_mat},
        label_image::label_image,
        result_reader::{ImagingResult, PlaneFolder, read_imaging_result},
        tiff_writer::write_projection_tiff,
        trace_tables::{trace_name, write_long_traces, write_wide_traces},
    },
    tables::TableFormat,
};

use super::{Format, Target, Written};
use crate::exit::Outcome;

/// Writes the result.
pub fn convert(path: &Path, target: &Target) -> Outcome<Written> {
    let result = read_imaging_result(path)?;
    let mut written = Written::new(&[
        ("cells", result.n_cells()),
        ("planes", result.planes.len()),
        ("frames", result.traces.n_frames()),
    ]);
    match target.format {
        Format::Csv => {
            let kinds = result.traces.kinds().into_iter();
            let names = kinds.map(|kind| format!("{}.csv", trace_name(kind)));
            written.files = std::iter::once("cells.csv".to_owned())
                .chain(names)
                .collect();
            TableFormat::Csv.write(&target.path.join("cells.csv"), &result.cell_columns)?;
            write_wide_traces(target.path, &result)?;
        }
        Format::Parquet => {
            let table = TableFormat::Parquet;
            written.files = vec!["cells.parquet".to_owned(), "traces.parquet".to_owned()];
            table.write(&target.path.join("cells.parquet"), &result.cell_columns)?;
            write_long_traces(table, &target.path.join("traces.parquet"), &result)?;
        }
        Format::Mat => write_imaging_mat(target.path, &result)?,
        Format::Suite2pMat => fall_mats(target, &result, &mut written)?,
        Format::Cellpose => label_files(target, &result, &mut written)?,
        Format::Coco => data_set(target, &result, &mut written)?,
        Format::Imagej | Format::Npz | Format::Nwb => regions(target, &result)?,
    }
    Ok(written)
}

/// `planeK/Fall.mat`.
fn fall_mats(target: &Target, result: &ImagingResult, written: &mut Written) -> Outcome {
    for plane in &result.planes {
        let name = format!("plane{}", plane.plane);
        let folder = target.path.join(&name);
        std::fs::create_dir(&folder).map_err(|source| IoError::Write {
            path: folder.clone(),
            source,
        })?;
        write_fall_mat(&folder.join("Fall.mat"), plane)?;
        written.files.push(format!("{name}/Fall.mat"));
    }
    Ok(())
}

/// `planeK_seg.npy` and, for the window to show, `planeK.tif`.
fn label_files(target: &Target, result: &ImagingResult, written: &mut Written) -> Outcome {
    let mut overlapping = 0;
    for plane in &result.planes {
        let size = [plane.height, plane.width];
        let masks: Vec<_> = plane.cells.iter().map(|cell| cell.mask()).collect();
        let labels = label_image(plane.height, plane.width, &masks);
        let n_pixels: usize = plane.cells.iter().map(|cell| cell.ypix.len()).sum();
        overlapping += n_pixels - labels.iter().filter(|label| **label > 0).count();
        let image_name = format!("plane{}.tif", plane.plane);
        if let Some(image) = &plane.mean_image {
            let path = target.path.join(&image_name);
            write_projection_tiff(&path, plane.height, plane.width, &[image])?;
            written.files.push(image_name.clone());
        }
        let name = format!("plane{}_seg.npy", plane.plane);
        let diameter = median_diameter_px(plane.cells.iter().map(|cell| cell.ypix.len()));
        write_cellpose_seg(
            &target.path.join(&name),
            size,
            &labels,
            &image_name,
            diameter,
            plane.mean_image.as_deref(),
        )?;
        written.files.push(name);
    }
    if overlapping > 0 {
        written.warnings.push(format!(
            "{overlapping} pixels belong to several cells; each is given to the cell in which it weighs most"
        ));
    }
    Ok(())
}

/// One data set with an image a plane.
fn data_set(target: &Target, result: &ImagingResult, written: &mut Written) -> Outcome {
    let shape = coco_shape(target);
    let mut writer = CocoWriter::create(target.path, shape)?;
    for plane in &result.planes {
        let scores: Option<Vec<f64>> = plane
            .is_cell
            .as_ref()
            .map(|rows| rows.iter().map(|[_, probability]| *probability).collect());
        writer.add_image(
            &format!("plane{}.tif", plane.plane),
            [plane.height, plane.width],
            &plane.cells,
            scores.as_deref(),
        )?;
    }
    let n_written = writer.finish()?;
    let n_empty = result.n_cells() - n_written;
    if n_empty > 0 {
        written
            .warnings
            .push(format!("{n_empty} cells without a pixel are left out"));
    }
    Ok(())
}

/// How the user wants pixels in a data set.
pub(super) fn coco_shape(target: &Target) -> CocoShape {
    if target.polygons {
        CocoShape::Polygons
    } else {
        CocoShape::RunLengths
    }
}

/// One archive with a region a cell, as `rois.zip` of `somata image`.
fn regions(target: &Target, result: &ImagingResult) -> Outcome {
    let of_planes = |(plane, position)| {
        let plane: &PlaneFolder = plane;
        plane.cells.iter().map(move |cell| (cell, position))
    };
    let planes = result.planes.iter().zip(1..);
    let rois: Vec<ImagejRoi> = planes
        .flat_map(of_planes)
        .enumerate()
        .map(|(number, (cell, position))| ImagejRoi {
            name: format!("cell-{number:05}"),
            position,
            shape: RoiShape::from_mask(&cell.mask()),
        })
        .collect();
    write_roi_zip(target.path, &rois)?;
    Ok(())
}
