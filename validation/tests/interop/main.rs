//! Do the tools that users will use open what we wrote, and do they compute the same numbers from it?
//!
//! `open_result.py` asks phylib and SpikeInterface of a sort, `open_movie_result.py` numpy, tifffile and roifile of a movie, and
//! `open_nwb_result.py` pynwb, nwbinspector and SpikeInterface of what `somata convert --to nwb` makes of both.
//! They run where `SOMATA_PYTHON` names a Python that has the packages of `requirements.txt`; elsewhere a test says so and
//! passes, and with `SOMATA_REQUIRE_PYTHON=1` it fails, so that continuous integration cannot skip it by accident.

mod movie_result;
mod simulated_movie;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Whether a test that cannot run must fail.
fn required() -> bool {
    std::env::var("SOMATA_REQUIRE_PYTHON").is_ok_and(|value| value == "1")
}

fn ignored(why: &str) {
    assert!(!required(), "SOMATA_REQUIRE_PYTHON is set, but: {why}");
    println!("ignored: {why}");
}

/// The binary of the same profile as this test: a package cannot ask cargo for another package's binary.
fn somata() -> Option<PathBuf> {
    let test = std::env::current_exe().expect("the test has a path");
    let profile = test.parent()?.parent()?;
    let path = profile.join(format!("somata{}", std::env::consts::EXE_SUFFIX));
    path.is_file().then_some(path)
}

/// Python and the binary, or a sentence on what is missing.
fn tools() -> Option<(PathBuf, PathBuf)> {
    let Some(python) = std::env::var_os("SOMATA_PYTHON") else {
        ignored(
            "set SOMATA_PYTHON to a Python with the packages of validation/tests/interop/requirements.txt",
        );
        return None;
    };
    let Some(somata) = somata() else {
        ignored("the binary `somata` is not built in this profile; run `cargo build -p somata`");
        return None;
    };
    Some((python.into(), somata))
}

#[track_caller]
fn run(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "{} {arguments:?} failed\n{stdout}\n{stderr}",
        program.display()
    );
    stdout.into_owned()
}

/// Hands a result on as NWB and has it opened.
fn nwb_opens(python: &Path, somata: &Path, result: &str) {
    let file = format!("{result}.nwb");
    // nwbinspector asks for a subject and for when the session began, which no result knows.
    let metadata = format!("{result}.toml");
    let text = "session_start = \"2026-01-31T09:30:00+01:00\"\n[subject]\nsubject_id = \"m1\"\n\
                species = \"Mus musculus\"\nsex = \"F\"\nage = \"P90D\"\n";
    std::fs::write(&metadata, text).unwrap();
    let convert = ["convert", result, "--to", "nwb", "--out", &file];
    let more = ["--metadata", &metadata, "--quiet"];
    run(somata, &[&convert[..], &more].concat());
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/interop/open_nwb_result.py"
    );
    let said = run(python, &[script, result, &file]);
    println!("{said}");
    assert!(said.contains("all agree"), "{said}");
}

/// Simulates a recording, sorts it and has the result opened.
fn opens(simulate: &[&str], sort: &[&str], has_spikes: bool) {
    let Some((python, somata)) = tools() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (recording, result) = (
        folder.path().join("recording"),
        folder.path().join("result"),
    );
    let (recording, result) = (recording.to_str().unwrap(), result.to_str().unwrap());
    run(
        &somata,
        &[&["simulate", "recording", recording], simulate].concat(),
    );
    let common = [
        "sort", recording, "--out", result, "--device", "cpu", "--quiet",
    ];
    run(&somata, &[&common[..], sort].concat());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/open_result.py");
    let said = run(&python, &[script, result]);
    println!("{said}");
    assert!(said.contains("all agree"));
    assert_eq!(!said.contains(" 0 spikes"), has_spikes, "{said}");
    nwb_opens(&python, &somata, result);
}

#[test]
fn a_row_of_contacts_opens() {
    opens(
        &[
            "--kind",
            "linear",
            "--channels",
            "16",
            "--units",
            "12",
            "--seconds",
            "12",
            "--seed",
            "7",
        ],
        &["--set", "clustering.min_spikes=20"],
        true,
    );
}

/// More than a minute, so that the presence ratio has a value, and enough spikes for the amplitude cut-off.
#[test]
fn two_minutes_of_a_tetrode_open() {
    opens(
        &["--kind", "tetrode", "--seconds", "121", "--seed", "9"],
        &[],
        true,
    );
}

#[test]
fn two_shanks_with_dead_channels_open() {
    opens(
        &[
            "--kind",
            "two-shank",
            "--channels",
            "16",
            "--units",
            "10",
            "--seconds",
            "8",
            "--dead",
            "2",
            "--seed",
            "5",
        ],
        &["--set", "clustering.min_spikes=20"],
        true,
    );
}

#[test]
fn a_result_without_units_opens() {
    opens(
        &["--kind", "tetrode", "--seconds", "2", "--units", "0"],
        &["--set", "clustering.min_spikes=10000"],
        false,
    );
}
