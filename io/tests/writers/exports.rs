//! Hands results on in every format and has the programs that users open them with read them back.
//!
//! `golden/open_exports.py` does the reading, under the conditions that the head of this test says. Its expectations come from the
//! arrays that went in, not from files of somata.

use std::path::Path;

use serde_json::json;
use somata_io::imaging_output::cell_table::{CellColumn, write_cells_csv};
use somata_io::imaging_output::cellpose_seg::{median_diameter_px, write_cellpose_seg};
use somata_io::imaging_output::coco::{CocoShape, CocoWriter};
use somata_io::imaging_output::imaging_mat::{write_fall_mat, write_imaging_mat};
use somata_io::imaging_output::label_image::label_image;
use somata_io::imaging_output::result_reader::{ImagingResult, read_imaging_result};
use somata_io::imaging_output::trace_tables::{write_long_traces, write_wide_traces};
use somata_io::imaging_output::traces::{TraceKind, write_traces_npz};
use somata_io::npy::write_npy;
use somata_io::sorting_output::phy_reader::read_phy;
use somata_io::sorting_output::sorting_mat::write_sorting_mat;
use somata_io::sorting_output::spike_tables::{write_spike_table, write_unit_table};
use somata_io::sorting_output::spikeinterface_npz::write_spikeinterface_npz;
use somata_io::tables::TableFormat;

use super::{N_FRAMES, Rows, cells, open_with_python, write_planes};

/// What numpy made: see `golden/make_suite2p_folder.py`.
pub(super) const SUITE2P_FOLDER: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/suite2p_folder");

/// A result of a sort with pauses: `metrics.csv`, `segments.csv` and the files of `phy/` that are read.
pub(super) fn write_sorting(folder: &Path) {
    let phy = folder.join("phy");
    std::fs::create_dir_all(&phy).unwrap();
    let n_spikes = 1000i64;
    let spikes = || 0..n_spikes;
    let times: Vec<i64> = spikes().map(|spike| spike * spike).collect();
    let units: Vec<i32> = spikes()
        .map(|spike| [0, 3, 4][(spike % 3) as usize])
        .collect();
    let amplitudes: Vec<f64> = spikes().map(|spike| 1.0 + spike as f64 / 1000.0).collect();
    let positions: Vec<f32> = spikes()
        .flat_map(|spike| [spike as f32, 2.0 * spike as f32])
        .collect();
    let n = n_spikes as usize;
    write_npy(&phy.join("spike_times.npy"), &[n], &times).unwrap();
    write_npy(&phy.join("spike_clusters.npy"), &[n], &units).unwrap();
    write_npy(&phy.join("amplitudes.npy"), &[n], &amplitudes).unwrap();
    write_npy(&phy.join("spike_positions.npy"), &[n, 2], &positions).unwrap();
    let write = |path: &Path, text: &str| std::fs::write(path, text).unwrap();
    write(
        &phy.join("params.py"),
        "dat_path = ''\nsample_rate = 20000.0\n",
    );
    write(
        &phy.join("cluster_group.tsv"),
        "cluster_id\tgroup\n0\tgood\n3\tmua\n4\tgood\n",
    );
    write(
        &folder.join("metrics.csv"),
        "unit_id,label,snr,amplitude_cutoff\n0,good,4.5,\n3,mua,3.25,0.5\n4,\"a, µ\",2,\n",
    );
    write(
        &folder.join("segments.csv"),
        "segment,start_sample,n_samples,start_time_s\n0,0,10000,5.0\n1,10000,990000,100.0\n",
    );
}

fn export_sorting(base: &Path, source: &Path) {
    let sorting = read_phy(source).unwrap();
    write_spikeinterface_npz(&base.join("sorting.npz"), &sorting).unwrap();
    write_sorting_mat(&base.join("sorting.mat"), &sorting).unwrap();
    for format in [TableFormat::Csv, TableFormat::Parquet] {
        let at = |name: &str| base.join(format!("{name}.{}", format.extension()));
        write_spike_table(format, &at("spikes"), &sorting).unwrap();
        write_unit_table(format, &at("units"), &sorting).unwrap();
    }
}

fn export_imaging(base: &Path, result: &ImagingResult) {
    std::fs::create_dir_all(base).unwrap();
    write_wide_traces(base, result).unwrap();
    for format in [TableFormat::Csv, TableFormat::Parquet] {
        let at = |name: &str| base.join(format!("{name}.{}", format.extension()));
        write_long_traces(format, &at("traces"), result).unwrap();
        format.write(&at("cells"), &result.cell_columns).unwrap();
    }
    write_imaging_mat(&base.join("imaging.mat"), result).unwrap();
    for (name, shape) in [
        ("runs.json", CocoShape::RunLengths),
        ("polygons.json", CocoShape::Polygons),
    ] {
        let mut writer = CocoWriter::create(&base.join(name), shape).unwrap();
        for plane in &result.planes {
            let size = [plane.height, plane.width];
            let scores: Option<Vec<f64>> = plane
                .is_cell
                .as_ref()
                .map(|rows| rows.iter().map(|row| row[1]).collect());
            let name = format!("plane{}.tif", plane.plane);
            writer
                .add_image(&name, size, &plane.cells, scores.as_deref())
                .unwrap();
        }
        writer.finish().unwrap();
    }
    for plane in &result.planes {
        let number = plane.plane;
        write_fall_mat(&base.join(format!("Fall{number}.mat")), plane).unwrap();
        let masks: Vec<_> = plane.cells.iter().map(|cell| cell.mask()).collect();
        let labels = label_image(plane.height, plane.width, &masks);
        let areas = plane.cells.iter().map(|cell| cell.ypix.len());
        write_cellpose_seg(
            &base.join(format!("plane{number}_seg.npy")),
            [plane.height, plane.width],
            &labels,
            &format!("plane{number}.tif"),
            median_diameter_px(areas),
            plane.mean_image.as_deref(),
        )
        .unwrap();
    }
}

#[test]
fn other_programs_open_what_is_handed_on() {
    let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join("exports_example");
    let _ = std::fs::remove_dir_all(&base);
    std::fs::create_dir_all(&base).unwrap();
    let source = base.join("sort");
    write_sorting(&source);
    export_sorting(&base, &source);

    // Suite2p's own folder, then one of ours with two planes.
    let foreign = read_imaging_result(Path::new(SUITE2P_FOLDER)).unwrap();
    assert_eq!(
        foreign.traces.kinds(),
        [
            TraceKind::Fluorescence,
            TraceKind::Neuropil,
            TraceKind::Spikes
        ]
    );
    assert_eq!(foreign.frame_rate_hz, 15.0);
    export_imaging(&base.join("foreign"), &foreign);
    let own = base.join("image");
    let cells = cells();
    write_planes(&own, &cells);
    let n_cells = 2 * cells.len();
    let time_s: Vec<f64> = (0..N_FRAMES).map(|frame| frame as f64 / 30.0).collect();
    write_traces_npz(&own.join("traces.npz"), &time_s, &mut Rows { n_cells }).unwrap();
    let columns = [
        CellColumn {
            name: "found_by".to_owned(),
            values: vec!["network".to_owned(); n_cells],
        },
        CellColumn {
            name: "skew".to_owned(),
            values: (0..n_cells).map(|cell| format!("{cell}.5")).collect(),
        },
    ];
    write_cells_csv(&own.join("cells.csv"), n_cells, &columns).unwrap();
    let result = read_imaging_result(&own).unwrap();
    assert_eq!((result.planes.len(), result.n_cells()), (2, n_cells));
    assert_eq!(result.traces.kinds().len(), 6);
    export_imaging(&base.join("own"), &result);

    let described: Vec<serde_json::Value> = cells
        .iter()
        .map(|cell| json!({ "ypix": cell.ypix, "xpix": cell.xpix, "lam": cell.lam }))
        .collect();
    let expected = json!({
        "suite2p_folder": SUITE2P_FOLDER, "height": super::HEIGHT, "width": super::WIDTH,
        "n_frames": N_FRAMES, "cells": described,
    });
    std::fs::write(base.join("expected.json"), expected.to_string()).unwrap();
    open_with_python("open_exports.py", &base);
}

#[test]
fn a_folder_that_is_damaged_is_an_error_that_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(SUITE2P_FOLDER).join("plane0");
    let files: Vec<_> = source
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(files.len(), 7);
    let read = || read_imaging_result(folder.path());
    let restore = || {
        for file in &files {
            std::fs::copy(file, folder.path().join(file.file_name().unwrap())).unwrap();
        }
    };
    assert!(
        read()
            .unwrap_err()
            .to_string()
            .contains("stat.npy` does not exist")
    );
    restore();
    assert_eq!(read().unwrap().n_cells(), 3);
    for name in ["stat.npy", "ops.npy", "iscell.npy", "F.npy", "spks.npy"] {
        let path = folder.path().join(name);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        let error = read().unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
        assert!(error.hint().is_some());
        // A byte changed anywhere: an error or an answer, and no panic.
        for place in (0..bytes.len()).step_by(bytes.len() / 150 + 1) {
            let mut changed = bytes.clone();
            changed[place] ^= 0x5a;
            std::fs::write(&path, &changed).unwrap();
            if let Ok(result) = read() {
                let _ = write_fall_mat(&folder.path().join("Fall.mat"), &result.planes[0]);
            }
        }
        restore();
    }
    // Traces of another number of cells.
    write_npy(&folder.path().join("F.npy"), &[2, 9], &[0f32; 18]).unwrap();
    let error = read().unwrap_err().to_string();
    assert!(
        error.contains("2 of 9 frames, where there are 3 cells"),
        "{error}"
    );
}
