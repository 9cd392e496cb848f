//! Devices that are lost, full or wrong: a clear message, the right exit code, the processor proposed, never a wrong result.
//!
//! The device is broken by `SOMATA_TEST_FAULT`, at which only builds for tests look (`engine/src/device/faults.rs`).

use std::{path::Path, process::Command};

use crate::{
    data::tetrode,
    movies::{image, imaging_answer, small, small_pages, tiff, write},
    run::{answer, assert_same, nothing_left, run, somata, sort},
};

/// Each fault: where it happens, the exit code, what is said.
const FAULTS: [(&str, i32, &str); 6] = [
    ("lost@0", 5, "device lost"),
    ("lost@3", 5, "device lost"),
    ("memory@0", 137, "out of memory at buffer `"),
    ("memory@2", 137, "out of memory at buffer `"),
    ("shader@0", 5, "the kernel `"),
    ("shader@1", 5, "was refused"),
];

fn broken(command: &mut Command, fault: &str) -> crate::run::Ran {
    run(command.env("SOMATA_TEST_FAULT", fault))
}

#[test]
fn a_sort_on_a_device_that_fails_ends_clearly_and_goes_on_later() {
    let folder = tempfile::tempdir().unwrap();
    let recording = tetrode(folder.path());
    let out = folder.path().join("out");
    run(&mut sort(&recording, &out)).succeeds();
    let expected = answer(&out);
    std::fs::remove_dir_all(&out).unwrap();
    for (fault, code, what) in FAULTS {
        broken(&mut sort(&recording, &out), fault).fails(
            code,
            &["device cpu", what],
            &["--device cpu"],
        );
        nothing_left(&out);
    }
    // Later stages: the earlier ones are kept.
    let failed = broken(&mut sort(&recording, &out), "lost@40");
    failed.fails(5, &["device lost"], &["--device cpu"]);
    run(&mut sort(&recording, &out)).succeeds();
    assert_same(&expected, &answer(&out), "after all faults");
}

#[test]
fn a_movie_on_a_device_that_fails_ends_clearly_and_goes_on_later() {
    let folder = tempfile::tempdir().unwrap();
    let movie = small(folder.path());
    let out = folder.path().join("out");
    run(&mut image(&movie, &out)).succeeds();
    let expected = imaging_answer(&out);
    std::fs::remove_dir_all(&out).unwrap();
    for (fault, code, what) in FAULTS {
        broken(&mut image(&movie, &out), fault).fails(
            code,
            &["device cpu", what],
            &["--device cpu"],
        );
        nothing_left(&out);
    }
    run(&mut image(&movie, &out)).succeeds();
    assert_same(&expected, &imaging_answer(&out), "after all faults");

    let still = write(folder.path(), "still.tif", &tiff(&small_pages(1)));
    let labels = folder.path().join("labels");
    let mut segment = somata();
    segment.arg("segment").arg(still).arg("--out").arg(&labels);
    segment.args(["--device", "cpu"]);
    broken(&mut segment, "lost").fails(5, &["device lost"], &["--device cpu"]);
    nothing_left(&labels);
}

/// Whether there is an adapter, if only a software one, on which the WGSL kernels run.
fn has_adapter() -> bool {
    let ran = run(somata().args(["devices", "--json"])).succeeds();
    let found = !crate::run::json(&ran.stdout)["adapters"]
        .as_array()
        .unwrap()
        .is_empty();
    assert!(
        found || std::env::var("SOMATA_REQUIRE_ADAPTER").as_deref() != Ok("1"),
        "SOMATA_REQUIRE_ADAPTER=1, but no adapter was found"
    );
    if !found {
        println!("ignored: no adapter");
    }
    found
}

fn on_gpu(recording: &Path, out: &Path) -> Command {
    let mut command = somata();
    command.arg("sort").arg(recording).arg("--out").arg(out);
    command.args(["--device", "gpu", "--set", "clustering.min_spikes=15"]);
    command
}

#[test]
fn a_card_that_computes_garbage_is_refused_before_anything_is_sorted() {
    if !has_adapter() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let recording = tetrode(folder.path());
    let out = folder.path().join("out");
    broken(&mut on_gpu(&recording, &out), "garbage@0").fails(
        5,
        &["gives wrong results", "of the kernel `whiten`"],
        &["--device cpu"],
    );
    nothing_left(&out);
    assert!(!folder.path().join("out.work").exists());
    broken(&mut on_gpu(&recording, &out), "lost@0").fails(5, &["device lost"], &["--device cpu"]);
    // The check itself passes on a device that works.
    broken(&mut on_gpu(&recording, &out), "memory@1").fails(
        137,
        &["out of memory"],
        &["--device cpu"],
    );
    nothing_left(&out);
}
