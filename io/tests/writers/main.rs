//! Writes every file of an imaging result and has the programs that users open them with read them back.
//!
//! `golden/open_imaging.py` does the reading, and `golden/open_exports.py` that of what is handed on. They run where `SOMATA_PYTHON`
//! names a Python with the packages of `validation/tests/interop/requirements.txt`; elsewhere the test says so and passes, and with
//! `SOMATA_REQUIRE_PYTHON=1` it fails.

mod exports;
mod nwb;

use std::path::Path;
use std::process::Command;

use serde_json::json;
use somata_io::IoError;
use somata_io::imaging_output::Mask;
use somata_io::imaging_output::cell_table::{CellColumn, write_cells_csv};
use somata_io::imaging_output::imagej_roi::{ImagejRoi, RoiShape, write_roi_zip};
use somata_io::imaging_output::label_image::{label_image, write_label_tiff};
use somata_io::imaging_output::movie_writer::{BinaryMovieWriter, TiffMovieWriter};
use somata_io::imaging_output::picture::{write_outlined_picture, write_picture};
use somata_io::imaging_output::suite2p::{
    NonrigidShifts, SecondChannel, Suite2pPlane, Suite2pRoi, Suite2pSettings, write_suite2p_plane,
};
use somata_io::imaging_output::tiff_writer::write_projection_tiff;
use somata_io::imaging_output::traces::{TraceKind, TraceSource, write_traces_npz};
use somata_io::imaging_output::zip_archive::ZipWriter;

const HEIGHT: usize = 40;
const WIDTH: usize = 50;
const N_FRAMES: usize = 7;

/// A cell as the test has it.
struct Cell {
    ypix: Vec<i64>,
    xpix: Vec<i64>,
    lam: Vec<f32>,
}

impl Cell {
    /// The disk around a place.
    fn disk(y: i64, x: i64, radius: i64) -> Cell {
        let mut cell = Cell {
            ypix: Vec::new(),
            xpix: Vec::new(),
            lam: Vec::new(),
        };
        for dy in -radius..=radius {
            for dx in -radius..=radius {
                let squared = dy * dy + dx * dx;
                if squared <= radius * radius {
                    cell.ypix.push(y + dy);
                    cell.xpix.push(x + dx);
                    cell.lam.push(1.0 / (1.0 + squared as f32));
                }
            }
        }
        cell
    }

    /// Both cells' pixels.
    fn and(mut self, other: Cell) -> Cell {
        self.ypix.extend(other.ypix);
        self.xpix.extend(other.xpix);
        self.lam.extend(other.lam);
        self
    }

    fn mask(&self) -> Mask<'_> {
        Mask {
            ypix: &self.ypix,
            xpix: &self.xpix,
            lam: &self.lam,
        }
    }
}

/// Two that overlap, one at the rim, one pixel, one of two parts.
fn cells() -> Vec<Cell> {
    vec![
        Cell::disk(12, 12, 4),
        Cell::disk(15, 16, 4),
        Cell::disk(36, 46, 3),
        Cell::disk(25, 5, 0),
        Cell::disk(30, 20, 2).and(Cell::disk(30, 30, 1)),
    ]
}

/// Traces that tell their kind, cell and frame.
struct Rows {
    n_cells: usize,
}

impl TraceSource for Rows {
    fn n_cells(&self) -> usize {
        self.n_cells
    }
    fn n_frames(&self) -> usize {
        N_FRAMES
    }
    fn read_row(&mut self, kind: TraceKind, cell: usize, row: &mut [f32]) -> Result<(), IoError> {
        for (frame, value) in row.iter_mut().enumerate() {
            *value = (1000 * kind as usize + 10 * cell + frame) as f32;
        }
        Ok(())
    }
}

/// An image with another content for each `seed`.
fn image(seed: usize) -> Vec<f32> {
    (0..HEIGHT * WIDTH)
        .map(|pixel| ((pixel * seed) % 251) as f32)
        .collect()
}

/// Writes `plane0`, `plane1` with a second channel, and `empty` without cells.
fn write_planes(base: &Path, cells: &[Cell]) {
    let settings = |n_channels| Suite2pSettings {
        n_channels,
        decay_time_s: 0.7,
        diameter_px: [9.0, 8.0],
        n_planes: 2,
        ..Suite2pSettings::default()
    };
    let images: Vec<Vec<f32>> = (1..=5).map(image).collect();
    let shifts: Vec<[f32; 2]> = (0..N_FRAMES)
        .map(|frame| {
            let frame = frame as f64;
            [frame * 0.3 - 0.5, -0.7 * frame].map(|shift| shift as f32)
        })
        .collect();
    let per_block: Vec<f32> = (0..N_FRAMES * 4).map(|block| block as f32 / 10.0).collect();
    let (upper, lower) = ([0, HEIGHT / 2], [HEIGHT / 2, HEIGHT]);
    let (left, right) = ([0, WIDTH / 2], [WIDTH / 2, WIDTH]);
    let nonrigid = NonrigidShifts {
        block_rows: &[upper, upper, lower, lower],
        block_columns: &[left, right, left, right],
        n_blocks: [2, 2],
        y: &per_block,
        x: &per_block,
        correlation: &per_block,
    };
    let rois: Vec<Suite2pRoi> = cells
        .iter()
        .enumerate()
        .map(|(index, cell)| Suite2pRoi {
            ypix: &cell.ypix,
            xpix: &cell.xpix,
            lam: &cell.lam,
            footprint: 1.0,
            skew: index as f32 + 0.1,
            std: 2.0,
            snr: 0.9,
            is_cell: index % 2 == 0,
            probability: index as f64 / 10.0,
            more: &[("neuropil_coefficient", 0.55)],
        })
        .collect();
    let red: Vec<(bool, f64)> = rois
        .iter()
        .map(|roi| (roi.is_cell, roi.probability))
        .collect();
    let inputs = ["data/movie.tif".to_owned()];
    for (plane, name) in ["plane0", "plane1", "empty"].into_iter().enumerate() {
        let final_folder = Path::new("result/suite2p").join(name);
        let rois = if name == "empty" { &[] } else { &rois[..] };
        let has_second = name == "plane1";
        let settings = settings(if has_second { 2 } else { 1 });
        let description = Suite2pPlane {
            final_folder: &final_folder,
            input_files: &inputs,
            plane,
            height: HEIGHT,
            width: WIDTH,
            settings: &settings,
            mean_image: &images[0],
            mean_image_enhanced: &images[1],
            reference_image: &images[2],
            max_projection: &images[3],
            correlation_image: &images[4],
            y_range: [2, 38],
            x_range: [3, 48],
            shifts: &shifts,
            shift_correlation: &per_block[..N_FRAMES],
            nonrigid: Some(nonrigid.clone()),
            bad_frames: &[false, false, true, false, false, false, false],
            second_channel: has_second.then_some(SecondChannel {
                mean_image: &images[1],
                red_cells: Some(&red),
            }),
            rois,
        };
        let mut traces = Rows {
            n_cells: rois.len(),
        };
        let folder = base.join("suite2p").join(name);
        write_suite2p_plane(&folder, &description, &mut traces).unwrap();
    }
}

/// Writes everything else.
fn write_pictures_and_tables(base: &Path, cells: &[Cell], labels: &[u32]) {
    let masks: Vec<Mask> = cells.iter().map(Cell::mask).collect();
    let many: Vec<u32> = labels.iter().map(|label| label * 70_000).collect();
    for (name, labels) in [("masks.tif", labels), ("many_masks.tif", &many)] {
        write_label_tiff(&base.join(name), HEIGHT, WIDTH, &[labels, labels]).unwrap();
    }
    let mean = image(1);
    write_projection_tiff(&base.join("mean.tif"), HEIGHT, WIDTH, &[&mean]).unwrap();
    write_picture(&base.join("mean.png"), HEIGHT, WIDTH, &mean).unwrap();
    write_outlined_picture(&base.join("cells.png"), HEIGHT, WIDTH, &mean, &masks).unwrap();
    let rois: Vec<ImagejRoi> = masks
        .iter()
        .enumerate()
        .map(|(cell, mask)| ImagejRoi {
            name: format!("cell {cell}"),
            position: 1,
            shape: RoiShape::from_mask(mask),
        })
        .collect();
    write_roi_zip(&base.join("rois.zip"), &rois).unwrap();
    let mut movie =
        TiffMovieWriter::<i16>::create(&base.join("movie.tif"), HEIGHT, WIDTH, 30.0).unwrap();
    let mut binary = BinaryMovieWriter::create(&base.join("data.bin"), HEIGHT, WIDTH).unwrap();
    let pixels: Vec<i16> = (0..N_FRAMES * HEIGHT * WIDTH)
        .map(|pixel| (pixel % 1000) as i16 - 500)
        .collect();
    for frames in pixels.chunks(3 * HEIGHT * WIDTH) {
        movie.append(frames).unwrap();
        binary.append(frames).unwrap();
    }
    assert_eq!(movie.finish().unwrap(), N_FRAMES as u64);
    assert_eq!(binary.finish().unwrap(), N_FRAMES as u64);
    let time_s: Vec<f64> = (0..N_FRAMES).map(|frame| frame as f64 / 30.0).collect();
    for (name, n_cells) in [("traces.npz", cells.len()), ("empty.npz", 0)] {
        write_traces_npz(&base.join(name), &time_s, &mut Rows { n_cells }).unwrap();
    }
    let skew = CellColumn {
        name: "skew".to_owned(),
        values: (0..cells.len()).map(|cell| format!("{cell}.1")).collect(),
    };
    write_cells_csv(&base.join("cells.csv"), cells.len(), &[skew]).unwrap();
}

#[test]
fn other_programs_open_every_file() {
    // Kept in the target folder, to be looked at by hand.
    let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join("imaging_example");
    let _ = std::fs::remove_dir_all(&base);
    std::fs::create_dir_all(&base).unwrap();
    let cells = cells();
    let masks: Vec<Mask> = cells.iter().map(Cell::mask).collect();
    let labels = label_image(HEIGHT, WIDTH, &masks);
    write_planes(&base, &cells);
    write_pictures_and_tables(&base, &cells, &labels);
    let described: Vec<serde_json::Value> = cells
        .iter()
        .enumerate()
        .map(|(index, cell)| {
            json!({
                "ypix": cell.ypix, "xpix": cell.xpix, "lam": cell.lam, "skew": index as f32 + 0.1,
                "is_cell": index % 2 == 0, "probability": index as f64 / 10.0,
            })
        })
        .collect();
    let rows: Vec<&[u32]> = labels.chunks(WIDTH).collect();
    let expected = json!({
        "height": HEIGHT, "width": WIDTH, "n_frames": N_FRAMES, "cells": described, "labels": rows,
    });
    std::fs::write(base.join("expected.json"), expected.to_string()).unwrap();

    open_with_python("open_imaging.py", &base);
}

/// Runs a script of `golden/` on a folder, where there is a Python.
#[track_caller]
fn open_with_python(script: &str, base: &Path) {
    let required = std::env::var("SOMATA_REQUIRE_PYTHON").is_ok_and(|value| value == "1");
    let Some(python) = std::env::var_os("SOMATA_PYTHON") else {
        assert!(
            !required,
            "SOMATA_REQUIRE_PYTHON is set without SOMATA_PYTHON"
        );
        println!(
            "ignored: set SOMATA_PYTHON to a Python with the packages of validation/tests/interop/requirements.txt"
        );
        return;
    };
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    let output = Command::new(&python)
        .arg(Path::new(folder).join(script))
        .arg(base)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", python.display()));
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
    assert!(said.contains("all opened"), "{said}");
}

/// Run by hand: `cargo test -p somata-io --test writers -- --ignored`, then `python open_large.py` on the folder that it names.
#[test]
#[ignore = "writes 9 GB"]
fn files_beyond_four_gigabytes() {
    let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join("large_imaging");
    let _ = std::fs::remove_dir_all(&base);
    std::fs::create_dir_all(&base).unwrap();
    println!("{}", base.display());
    let side = 1024;
    let mut movie =
        TiffMovieWriter::<i16>::create(&base.join("movie.tif"), side, side, 30.0).unwrap();
    let mut frame = vec![0i16; side * side];
    for index in 0..2200 {
        frame.fill(index);
        movie.append(&frame).unwrap();
    }
    assert_eq!(movie.finish().unwrap(), 2200);
    let mut zip = ZipWriter::create(&base.join("large.npz")).unwrap();
    for (name, n_rows) in [("small", 1usize), ("large", 4300), ("after", 2)] {
        let row = vec![n_rows as u8; 1 << 20];
        let header = format!(
            "{{'descr': '|u1', 'fortran_order': False, 'shape': ({n_rows}, {}), }}",
            row.len()
        );
        let padded = format!("{header:<117}\n");
        let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
        bytes.extend_from_slice(padded.as_bytes());
        zip.start_member(
            &format!("{name}.npy"),
            (bytes.len() + n_rows * row.len()) as u64,
        )
        .unwrap();
        zip.append(&bytes).unwrap();
        for _ in 0..n_rows {
            zip.append(&row).unwrap();
        }
    }
    zip.finish().unwrap();
}
