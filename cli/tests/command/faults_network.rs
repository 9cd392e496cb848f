//! Without a network, not even the machine's own: nothing is missed, and nothing is asked for.

#![cfg(target_os = "linux")]

use std::process::Command;

use crate::{
    data::tetrode,
    movies::{image, imaging_answer, small},
    run::{answer, assert_same, run, somata, sort},
};

/// A command in a network namespace of its own, whose only interface is down; `None` where the system allows none.
fn without_network(command: &Command) -> Option<Command> {
    let isolated = || {
        let mut isolated = Command::new("unshare");
        isolated.args(["--net", "--map-root-user", "--"]);
        isolated
    };
    let interfaces = isolated().args(["cat", "/proc/net/dev"]).output();
    let Some(seen) = interfaces.ok().filter(|seen| seen.status.success()) else {
        println!(
            "ignored: no network namespace can be made here (needs Linux and `unshare --net`)"
        );
        return None;
    };
    let seen = String::from_utf8(seen.stdout).unwrap();
    let interfaces: Vec<&str> = seen.lines().skip(2).map(str::trim).collect();
    assert!(
        interfaces.iter().all(|line| line.starts_with("lo:")),
        "an empty network: {interfaces:?}"
    );
    let mut isolated = isolated();
    isolated
        .arg(command.get_program())
        .args(command.get_args())
        .env("NO_COLOR", "1");
    Some(isolated)
}

#[test]
fn demo_sort_and_image_need_no_network() {
    let folder = tempfile::tempdir().unwrap();
    let recording = tetrode(folder.path());
    let movie = small(folder.path());
    let out = folder.path().join("out");

    let Some(mut isolated) = without_network(&sort(&recording, &out)) else {
        return;
    };
    run(&mut isolated).succeeds();
    let found = answer(&out);
    std::fs::remove_dir_all(&out).unwrap();
    run(&mut sort(&recording, &out)).succeeds();
    assert_same(&answer(&out), &found, "sorted without a network");
    std::fs::remove_dir_all(&out).unwrap();

    run(&mut without_network(&image(&movie, &out)).expect("as above")).succeeds();
    let found = imaging_answer(&out);
    std::fs::remove_dir_all(&out).unwrap();
    run(&mut image(&movie, &out)).succeeds();
    assert_same(&imaging_answer(&out), &found, "imaged without a network");

    let mut demo = somata();
    demo.args([
        "demo",
        "--quiet",
        "--seconds",
        "5",
        "--frames",
        "200",
        "--device",
        "cpu",
        "--out",
    ]);
    demo.arg(folder.path().join("demo"));
    run(&mut without_network(&demo).expect("as above")).succeeds();
}
