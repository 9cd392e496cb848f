//! Runs that are killed or asked to stop at random instants, and taken up again to the same bytes.
//!
//! `SOMATA_KILLS` sets how many instants are tried of each kind of run; a few by default.

#![cfg(unix)]

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    data::tetrode,
    movies::{image, imaging_answer, small},
    run::{answer, assert_same, partial_results, run, sort},
    same_answer::signals::signal,
};

/// Instants by default: enough to meet every stage now and then, few enough for every test run.
const KILLS: usize = 20;

fn n_kills() -> usize {
    std::env::var("SOMATA_KILLS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(KILLS)
}

/// A number from 0 to 1, the same in every run of the test (xorshift64*).
fn random(state: &mut u64) -> f64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
}

/// Kills runs at random instants, up to a few times before each is left to its end, and compares what comes out.
fn killed_at_random(
    command: impl Fn() -> Command,
    out: &Path,
    answer: impl Fn() -> BTreeMap<String, Vec<u8>>,
) {
    let start = Instant::now();
    run(&mut command()).succeeds();
    let mut whole = start.elapsed();
    let expected = answer();
    std::fs::remove_dir_all(out).unwrap();
    let mut state = 0x5eed_5eed_5eed_5eed;
    // Only those count that met a run.
    let (mut kills, mut met) = (0, 0);
    while met < n_kills() {
        // The later kills of a round meet runs that go on from a checkpoint.
        let mut instants = Vec::new();
        for _ in 0..1 + (random(&mut state) * 3.0) as usize {
            let instant = whole.mul_f64(random(&mut state));
            let mut child = command()
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            std::thread::sleep(instant);
            child.kill().unwrap();
            let succeeded = child.wait().unwrap().success();
            // It may have been killed between the renaming of its result and its end.
            let finished = out.exists();
            assert!(
                if finished {
                    out.join("manifest.json").is_file()
                } else {
                    !succeeded
                },
                "killed after {instant:?}: whole or not there"
            );
            kills += 1;
            instants.push(instant);
            if finished {
                // A run from the beginning was faster than the first of all, when the machine was busier.
                if instants.len() == 1 {
                    whole = whole.mul_f64(0.9);
                }
                break;
            }
            met += 1;
        }
        run(&mut command()).succeeds();
        assert_same(&expected, &answer(), &format!("killed after {instants:?}"));
        assert_eq!(partial_results(out), Vec::<String>::new(), "{instants:?}");
        std::fs::remove_dir_all(out).unwrap();
    }
    println!("{met} of {kills} kills met a run of {whole:?}");
}

#[test]
fn a_sort_killed_at_random_instants_comes_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let recording = tetrode(folder.path());
    let out = folder.path().join("out");
    killed_at_random(|| sort(&recording, &out), &out, || answer(&out));
}

#[test]
fn an_imaging_run_killed_at_random_instants_comes_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let movie = small(folder.path());
    let out = folder.path().join("out");
    killed_at_random(|| image(&movie, &out), &out, || imaging_answer(&out));
}

/// Asks runs to stop at random instants: each ends within 5 s with its code, or has just come to its end.
fn stopped_at_random(command: impl Fn() -> Command, out: &Path) {
    let start = Instant::now();
    run(&mut command()).succeeds();
    let whole = start.elapsed();
    std::fs::remove_dir_all(out).unwrap();
    let mut state = 0xfade_fade_fade_fade;
    let mut stopped = 0;
    for k in 0..n_kills().div_ceil(4) {
        let (name, code) = [("TERM", 143), ("INT", 130)][k % 2];
        let instant = whole.mul_f64(0.1 + 0.8 * random(&mut state));
        let mut child = command()
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(instant);
        if child.try_wait().unwrap().is_some() {
            std::fs::remove_dir_all(out).unwrap();
            continue;
        }
        let asked = Instant::now();
        signal(&child, name);
        let status = child.wait().unwrap();
        let took = asked.elapsed();
        assert!(
            took < Duration::from_secs(5),
            "SIG{name} after {instant:?}: {took:?}"
        );
        assert!(
            status.success() || status.code() == Some(code),
            "SIG{name} after {instant:?}: {status:?}"
        );
        assert_eq!(out.exists(), status.success(), "whole or not there");
        assert_eq!(partial_results(out), Vec::<String>::new());
        if status.success() {
            std::fs::remove_dir_all(out).unwrap();
        } else {
            stopped += 1;
        }
    }
    assert!(stopped > 0, "no signal met a run of {whole:?}");
}

#[test]
fn a_sort_that_is_asked_to_stop_ends_within_five_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let recording = tetrode(folder.path());
    let out = folder.path().join("out");
    stopped_at_random(|| sort(&recording, &out), &out);
}

#[test]
fn an_imaging_run_that_is_asked_to_stop_ends_within_five_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let movie = small(folder.path());
    let out = folder.path().join("out");
    stopped_at_random(|| image(&movie, &out), &out);
}
