//! What `--dry-run` says beforehand against what the same command then took.

use std::{path::Path, process::Command};

use crate::{
    data::simulate,
    movies::{Page, SIDE, image, small, small_pixels, tiff, write},
    run::{json, manifest, run, somata},
};

/// Part by which an estimate of memory may be off.
const MEMORY_OFF: f64 = 0.25;

/// Estimated against measured memory of a command, whose result is at `out`; nothing where the system does not tell.
fn estimate_holds(command: impl Fn() -> Command, out: &Path) {
    let plan = json(&run(command().arg("--dry-run")).succeeds().stdout);
    assert!(!out.exists());
    let estimated = plan["memory_bytes"].as_f64().unwrap();
    run(&mut command()).succeeds();
    // VmHWM of the child, as it reads it when its result is whole.
    let Some(measured) = manifest(out)["peak_memory_bytes"].as_f64() else {
        return;
    };
    std::fs::remove_dir_all(out).unwrap();
    assert!(
        (estimated / measured - 1.0).abs() <= MEMORY_OFF,
        "{:?}: {:.1} MB estimated, {:.1} MB measured",
        command(),
        estimated / 1e6,
        measured / 1e6
    );
}

#[test]
fn the_memory_of_a_sort_is_estimated_within_a_quarter() {
    for (channels, seconds) in [("8", "10"), ("32", "10")] {
        let folder = tempfile::tempdir().unwrap();
        let recording = simulate(
            folder.path(),
            &[
                "--kind",
                "linear",
                "--channels",
                channels,
                "--units",
                channels,
                "--seconds",
                seconds,
            ],
        );
        let out = folder.path().join("out");
        for threads in ["1", "2"] {
            let command = || {
                let mut command = somata();
                command.arg("sort").arg(&recording).arg("--out").arg(&out);
                command.args(["--device", "cpu", "--threads", threads]);
                command
            };
            estimate_holds(command, &out);
        }
    }
}

#[test]
fn the_memory_of_a_movie_is_estimated_within_a_quarter() {
    let folder = tempfile::tempdir().unwrap();
    let movie = small(folder.path());
    let out = folder.path().join("out");
    for threads in ["1", "2"] {
        let command = || {
            let mut command = image(&movie, &out);
            command.args(["--threads", threads]);
            command
        };
        estimate_holds(command, &out);
    }
}

#[test]
fn the_memory_of_a_large_frame_is_estimated_within_a_quarter() {
    // Small frames side by side: what is sampled for the reference takes the most here, unlike in small frames.
    const TIMES: usize = 5;
    let pages: Vec<Page> = small_pixels()
        .chunks_exact(SIDE * SIDE)
        .take(220)
        .map(|frame| {
            let rows = (0..TIMES * SIDE).map(|y| &frame[y % SIDE * SIDE..(y % SIDE + 1) * SIDE]);
            let pixels: Vec<i16> = rows.flat_map(|row| row.repeat(TIMES)).collect();
            Page::i16(TIMES * SIDE, TIMES * SIDE, &pixels)
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let movie = write(folder.path(), "large.tif", &tiff(&pages));
    let out = folder.path().join("out");
    let command = || {
        let mut command = image(&movie, &out);
        command.args(["--threads", "1"]);
        command
    };
    estimate_holds(command, &out);
}

#[test]
fn more_of_a_recording_is_estimated_to_take_hardly_more_memory() {
    let folder = tempfile::tempdir().unwrap();
    let recording = simulate(
        folder.path(),
        &[
            "--kind",
            "linear",
            "--channels",
            "16",
            "--units",
            "8",
            "--seconds",
            "20",
        ],
    );
    let plan = |times: usize| {
        let mut command = somata();
        command.arg("sort").args(vec![&recording; times]);
        command.arg("--out").arg(folder.path().join("out"));
        command.args(["--device", "cpu", "--threads", "1", "--dry-run"]);
        json(&run(&mut command).succeeds().stdout)
    };
    let (once, often) = (plan(1), plan(30));
    let ratio = |name: &str| often[name].as_f64().unwrap() / once[name].as_f64().unwrap();
    assert!(ratio("memory_bytes") < 2.0, "{}", ratio("memory_bytes"));
}
