//! Results and truths that `validate`, `compare` and `match` read, and what their pages are made of.

use std::path::Path;

use serde_json::json;
use somata_io::{
    imaging_output::{
        imagej_roi::{ImagejRoi, RoiShape, write_roi_zip},
        tiff_writer::write_projection_tiff,
        traces::{NPZ_ARRAYS, TraceArrays, write_traces_npz},
    },
    npy::write_npy,
};
use somata_validation::{
    score::{phy_spikes::read_phy_spikes, two_sortings::compare_two},
    simulate::{
        RecordingKind, RecordingSpec, SimulatedRecording,
        movie::{MovieKind, MovieSpec, MovieTruth, SecondSession, SimulatedMovie},
    },
};

use super::trial::{Trial, files_in};
use crate::{
    commands::validate,
    exit::{ExitCode, Outcome},
    imaging_result::ImagingFolder,
    report,
};

/// What a hostile input may end with. Parts of a specification are named as parameters.
const CODES: [ExitCode; 2] = [ExitCode::Input, ExitCode::Usage];
const SIDE: usize = 32;
const N_FRAMES: usize = 24;

fn paths() -> Vec<String> {
    ["/dev/zero", "/proc/self/environ", "..", ""]
        .map(str::to_owned)
        .to_vec()
}

/// A phy folder of three units, as other programs write it.
fn write_phy(folder: &Path, samples: &[i64], labels: &[i64]) {
    std::fs::create_dir_all(folder).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    write_npy(&folder.join("spike_times.npy"), &[samples.len()], samples).unwrap();
    write_npy(&folder.join("spike_clusters.npy"), &[labels.len()], labels).unwrap();
    write_npy(
        &folder.join("templates_uv.npy"),
        &[3, 20, 4],
        &[1.5f32; 240],
    )
    .unwrap();
    write_npy(
        &folder.join("channel_positions.npy"),
        &[4, 2],
        &[20.0f32; 8],
    )
    .unwrap();
    write("params.py", "dat_path = 'a.bin'\nsample_rate = 30000.0\n");
    write(
        "cluster_group.tsv",
        "cluster_id\tgroup\n0\tgood\n1\tmua\n2\tgood\n",
    );
}

#[test]
fn sortings_that_are_scored() {
    let spec = RecordingSpec {
        n_units: 3,
        duration_s: 4.0,
        ..RecordingSpec::new(RecordingKind::Tetrode)
    };
    let truth = SimulatedRecording::new(&spec).unwrap().truth();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    truth.write_npz(&at("truth.npz")).unwrap();
    write_phy(&at("result/phy"), &truth.samples, &truth.labels);
    std::fs::write(
        at("result/motion.csv"),
        "time_s,displacement_um_at_0_um,displacement_um_at_40_um\n0.5,1.0,2.0\n1.5,-1.0,0.5\n",
    )
    .unwrap();
    Trial {
        name: "validate_sort",
        files: files_in(folder.path()),
        entry: "",
        paths: &paths(),
        codes: &CODES,
        // Deflated arrays, and tables of pairs of units.
        memory: (4 * 1032, 64 << 20),
    }
    .run(|folder| {
        let scores = validate::score(&folder.join("result"), &folder.join("truth.npz"), true)?;
        validate::table(&scores);
        serde_json::to_string(&scores).unwrap();
        Ok(())
    });
}

#[test]
fn sortings_that_are_compared_on_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let samples: Vec<i64> = (0..120).map(|k| 400 * k).collect();
    let labels: Vec<i64> = (0..120).map(|k| k % 3).collect();
    write_phy(&folder.path().join("a"), &samples, &labels);
    write_phy(&folder.path().join("b"), &samples, &labels);
    Trial {
        name: "compare_sort",
        files: files_in(folder.path()),
        entry: "",
        paths: &paths(),
        codes: &CODES,
        memory: (2000, 64 << 20),
    }
    .run(|folder| {
        let [a, b] = ["a", "b"].map(|name| folder.join(name));
        let (first, second) = (read_phy_spikes(&a)?, read_phy_spikes(&b)?);
        validate::check_pairs(&first, &second)?;
        let compared = compare_two(&first, &second);
        report::two_sortings::write(
            &folder.join("page.html"),
            [&a, &b],
            [&first, &second],
            &compared,
        )
    });
}

/// A small movie's specification.
fn movie() -> MovieSpec {
    MovieSpec {
        height: SIDE,
        width: SIDE,
        n_frames: N_FRAMES,
        n_cells: 3,
        n_vessels: 0,
        ..MovieSpec::new(MovieKind::Small)
    }
}

/// What `somata image` would write of a movie whose cells were all found.
fn write_result(folder: &Path, truth: &MovieTruth) {
    let plane = folder.join("suite2p/plane0");
    std::fs::create_dir_all(&plane).unwrap();
    let n = truth.n_cells();
    let values: Vec<f32> = truth.calcium.concat();
    for name in ["F.npy", "Fneu.npy", "spks.npy"] {
        write_npy(&plane.join(name), &[n, N_FRAMES], &values).unwrap();
    }
    write_npy(&plane.join("iscell.npy"), &[n, 2], &vec![1.0f32; 2 * n]).unwrap();
    let regions: Vec<ImagejRoi> = (0..n)
        .map(|cell| {
            let pixel = truth.bodies[cell].pixels[0] as usize;
            let (x, y) = ((pixel % SIDE) as f32, (pixel / SIDE) as f32);
            let corners = vec![[x, y], [x + 5.0, y], [x + 5.0, y + 6.0], [x, y + 6.0]];
            ImagejRoi {
                name: format!("cell {cell}"),
                position: 1,
                shape: RoiShape::Lines(vec![corners]),
            }
        })
        .collect();
    write_roi_zip(&folder.join("rois.zip"), &regions).unwrap();
    let mean = vec![100.0f32; SIDE * SIDE];
    write_projection_tiff(&folder.join("mean.tif"), SIDE, SIDE, &[&mean]).unwrap();
    let times: Vec<f64> = (0..N_FRAMES).map(|frame| frame as f64 / 30.0).collect();
    let mut traces = NPZ_ARRAYS
        .iter()
        .fold(TraceArrays::new(n, N_FRAMES), |all, (_, kind)| {
            all.with(*kind, &values)
        });
    write_traces_npz(&folder.join("traces.npz"), &times, &mut traces).unwrap();
    let manifest = json!({
        "kind": "image",
        "key": "0123",
        "movie": { "height": SIDE, "width": SIDE, "n_planes": 1, "pixel_size_um": [1.0, 1.0] },
        "planes": [{ "n_cells": n }],
    });
    std::fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
}

#[test]
fn movies_that_are_scored() {
    let truth = SimulatedMovie::new(&movie()).unwrap().truth();
    let folder = tempfile::tempdir().unwrap();
    truth.write_npz(&folder.path().join("truth.npz")).unwrap();
    write_result(&folder.path().join("result"), &truth);
    Trial {
        name: "validate_image",
        files: files_in(folder.path()),
        entry: "",
        paths: &paths(),
        codes: &CODES,
        // Frames of a truth without cells may be as large as can be simulated, and pixels of regions are two numbers each.
        memory: (4 * 1032, 1 << 30),
    }
    .run(|folder| {
        let scores =
            validate::score_planes(&folder.join("result"), &folder.join("truth.npz"), true)?;
        validate::movie_table(&scores);
        Ok(())
    });
}

#[test]
fn movies_that_are_compared_on_a_page() {
    let truth = SimulatedMovie::new(&movie()).unwrap().truth();
    let folder = tempfile::tempdir().unwrap();
    write_result(&folder.path().join("a"), &truth);
    write_result(&folder.path().join("b"), &truth);
    Trial {
        name: "compare_image",
        files: files_in(folder.path()),
        entry: "",
        paths: &paths(),
        codes: &CODES,
        memory: (3 * 1032, 128 << 20),
    }
    .run(|folder| {
        let [a, b] = ["a", "b"].map(|name| folder.join(name));
        validate::compare_planes(&a, &b)?;
        ImagingFolder::read(&a)?;
        report::two_movies::write(&folder.join("page.html"), [&a, &b])
    });
}

#[test]
fn matches_that_are_scored() {
    let first = movie();
    let second = MovieSpec {
        seed: 2,
        second_session: Some(SecondSession::new(first.clone())),
        ..first.clone()
    };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let truths = [&first, &second].map(|spec| SimulatedMovie::new(spec).unwrap().truth());
    truths[1].write_npz(&at("truth.npz")).unwrap();
    for (truth, name) in truths.iter().zip(["first", "second"]) {
        write_result(&at(name), truth);
    }
    std::fs::create_dir(at("match")).unwrap();
    std::fs::write(
        at("match/matches.csv"),
        "plane,first,second,probability\n0,0,0,0.9\n0,1,2,0.8\n",
    )
    .unwrap();
    let manifest = json!({ "results": [{ "path": "FIRST" }, { "path": "SECOND" }] });
    std::fs::write(at("match/manifest.json"), manifest.to_string()).unwrap();
    Trial {
        name: "validate_match",
        files: files_in(folder.path()),
        entry: "",
        paths: &paths(),
        codes: &CODES,
        memory: (4 * 1032, 1 << 30),
    }
    .run(scored_match);
}

/// The manifest names its results by their paths, which are those of the folder that is tried.
fn scored_match(folder: &Path) -> Outcome {
    let path = folder.join("match/manifest.json");
    if let Ok(text) = std::fs::read_to_string(&path) {
        let place = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let text = text
            .replace("FIRST", &place("first"))
            .replace("SECOND", &place("second"));
        std::fs::write(&path, text).unwrap();
    }
    validate::score_matching(&folder.join("match"), &folder.join("truth.npz")).map(drop)
}
