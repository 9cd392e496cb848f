//! What the commands that only look print, and that they change nothing.

use std::{collections::BTreeSet, path::Path, process::Command};

use serde_json::Value;

use crate::{
    data::{simulate, tetrode},
    movies::{self, image},
    run::{json, manifest, run, somata, sort},
};

#[test]
fn help_and_version_name_every_command() {
    let help = run(somata().arg("--help")).succeeds();
    assert_eq!(help.stderr, "");
    for command in [
        "demo", "sort", "image", "segment", "simulate", "validate", "compare", "match", "info",
        "devices", "bench", "params",
    ] {
        assert!(
            help.stdout
                .lines()
                .any(|line| line.trim_start().starts_with(command)),
            "{command}:\n{}",
            help.stdout
        );
        let own = run(somata().args([command, "--help"])).succeeds().stdout;
        assert!(own.contains("Usage: somata"), "{own}");
    }
    let version = run(somata().arg("--version")).succeeds().stdout;
    assert_eq!(version, format!("somata {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_wrong_command_line_is_told_before_anything_is_done() {
    run(&mut somata())
        .code
        .map_or_else(|| panic!("ended by a signal"), |code| assert_eq!(code, 2));
    run(somata().arg("srot")).fails_at_parsing("srot");
    run(somata().args(["sort", "somewhere"])).fails_at_parsing("--out");
    run(somata().args(["sort", "somewhere", "--out", "x", "--thread", "2"]))
        .fails_at_parsing("--threads");
    run(somata().args(["sort", "somewhere", "--out", "x", "--threads", "two"]))
        .fails_at_parsing("two");
}

#[test]
fn info_says_what_a_recording_holds() {
    let folder = tempfile::tempdir().unwrap();
    let recording = simulate(
        folder.path(),
        &["--kind", "two-shank", "--channels", "8", "--seconds", "0.5"],
    );
    let text = run(somata().arg("info").arg(&recording)).succeeds().stdout;
    for part in [
        "somata folder",
        "15000 samples at 30000 Hz",
        "8 of int16",
        "0.195 µV",
        "8 contacts on 2 shank",
    ] {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }
    let info = json(
        &run(somata().arg("info").arg(&recording).arg("--json"))
            .succeeds()
            .stdout,
    );
    assert_eq!(
        (&info["n_channels"], &info["n_samples"]),
        (&Value::from(8), &Value::from(15000))
    );
    assert_eq!(info["probe"]["n_shanks"], 2);
    assert_eq!(info["warnings"], Value::Array(Vec::new()));

    std::fs::remove_file(recording.join("probe.json")).unwrap();
    let text = run(somata().arg("info").arg(&recording)).succeeds().stdout;
    assert!(text.contains("--probe"), "{text}");
    run(somata().arg("info").arg(folder.path().join("nowhere"))).fails(
        3,
        &["nowhere"],
        &["check the path"],
    );
}

#[test]
fn info_says_what_a_movie_and_an_image_hold() {
    let folder = tempfile::tempdir().unwrap();
    let movie = movies::small(folder.path());
    let text = run(somata().arg("info").arg(&movie)).succeeds().stdout;
    for part in ["300 frames", "96 × 96 pixels", "somata image"] {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }
    let told = ["--frame-rate", "30", "--n-planes", "2", "--json"];
    let info = json(
        &run(somata().arg("info").arg(&movie).args(told))
            .succeeds()
            .stdout,
    );
    assert_eq!(info["kind"], "movie");
    assert_eq!(
        (&info["n_frames"], &info["n_planes"]),
        (&150.into(), &2.into())
    );
    assert_eq!(info["duration_s"], 5.0);

    let bare = folder.path().join("bare.bin");
    std::fs::write(&bare, vec![0u8; 3 * 8 * 10 * 2]).unwrap();
    let told = ["--height", "8", "--width", "10", "--dtype", "int16"];
    let text = run(somata().arg("info").arg(&bare).args(told))
        .succeeds()
        .stdout;
    assert!(text.contains("3 frames"), "{text}");

    let picture = folder.path().join("a.png");
    somata_io::imaging_output::picture::write_picture(&picture, 4, 5, &[0.5; 20]).unwrap();
    let info = json(
        &run(somata().arg("info").arg(&picture).arg("--json"))
            .succeeds()
            .stdout,
    );
    assert_eq!(
        (&info["kind"], &info["width"]),
        (&"image".into(), &5.into())
    );

    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "no recording").unwrap();
    run(somata().arg("info").arg(&text)).fails(3, &["notes.txt"], &["give"]);
}

#[test]
fn bench_measures_limits_and_kernels() {
    let text = run(somata().args(["bench", "--threads", "1"]))
        .succeeds()
        .stdout;
    assert!(text.starts_with("1 threads\n"), "{text}");
    let found = json(&run(somata().args(["bench", "--json"])).succeeds().stdout);
    let positive = |rate: &Value, what: &str| rate[what].as_f64().unwrap() > 0.0;
    let limits = found["limits"].as_array().expect("a list");
    assert_eq!(limits.len(), 3);
    assert!(positive(&limits[0], "gbytes") && positive(&limits[1], "gflops"));
    for kernel in found["kernels"].as_array().expect("a list") {
        assert!(positive(kernel, "seconds"), "{kernel}");
        let name = kernel["name"].as_str().expect("a name");
        assert!(text.contains(name), "{name}:\n{text}");
    }
    for threads in ["0", "100000"] {
        run(somata().args(["bench", "--threads", threads])).fails(
            2,
            &["--threads"],
            &["give a number"],
        );
    }
}

#[test]
fn devices_always_lists_the_processor() {
    let text = run(somata().arg("devices")).succeeds().stdout;
    assert!(text.starts_with("cpu  "), "{text}");
    assert!(text.contains("`--device auto` takes: "), "{text}");
    let devices = json(&run(somata().args(["devices", "--json"])).succeeds().stdout);
    for adapter in devices["adapters"].as_array().expect("a list") {
        assert!(
            adapter["name"].is_string() && adapter["is_software"].is_boolean(),
            "{adapter}"
        );
    }
    // A software adapter is never taken unless asked for.
    let all_software = devices["adapters"]
        .as_array()
        .unwrap()
        .iter()
        .all(|adapter| adapter["is_software"] == true);
    let auto = devices["auto"].as_str().expect("a sentence");
    assert!(!all_software || auto.starts_with("cpu"), "{auto}");
}

#[test]
fn params_lists_each_parameter_once_with_unit_and_range() {
    let list = json(&run(somata().args(["params", "--json"])).succeeds().stdout);
    let list = list.as_array().expect("a list");
    let names: BTreeSet<String> = list
        .iter()
        .map(|one| format!("{}.{}", one["stage"], one["name"]))
        .collect();
    assert_eq!(names.len(), list.len());
    let text = run(somata().arg("params")).succeeds().stdout;
    for one in list {
        for key in ["kind", "default", "unit", "help"] {
            assert!(one[key].is_string(), "{one}");
        }
        assert!(
            !one["help"].as_str().unwrap().is_empty()
                && one["range"].as_array().unwrap().len() == 2,
            "{one}"
        );
        let shown = format!(
            "\n{} = {}",
            one["name"].as_str().unwrap(),
            one["default"].as_str().unwrap()
        );
        assert!(text.contains(&shown), "`{shown}` is not in:\n{text}");
        assert!(
            text.contains(&format!("[{}]", one["stage"].as_str().unwrap())),
            "{text}"
        );
    }
    let page = run(somata().args(["params", "--markdown"]))
        .succeeds()
        .stdout;
    assert!(page.starts_with("# Parameters\n"), "{page}");
}

#[test]
fn a_parameter_of_another_command_is_refused_with_the_command_that_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let (recording, movie) = (tetrode(folder.path()), movies::small(folder.path()));
    let out = folder.path().join("out");
    let file = folder.path().join("other.toml");
    let of_image = "`registration.correct` is a parameter of `somata image` and `somata segment`, not of `somata sort`";
    let of_sort = "`matching.sweeps` is a parameter of `somata sort`, not of `somata image` and `somata segment`";
    for (command, set, toml, what) in [
        (
            sort as fn(&Path, &Path) -> Command,
            "registration.correct=false",
            "[registration]\ncorrect = false\n",
            of_image,
        ),
        (
            image,
            "matching.sweeps=2",
            "[matching]\nsweeps = 2\n",
            of_sort,
        ),
    ] {
        let input = if what == of_image { &recording } else { &movie };
        run(command(input, &out).args(["--set", set])).fails(2, &[what], &["somata params"]);
        std::fs::write(&file, toml).unwrap();
        run(command(input, &out).arg("--params").arg(&file)).fails(
            2,
            &["other.toml", what],
            &["somata params"],
        );
        assert!(!out.exists());
    }
}

#[test]
fn a_dry_run_prints_the_plan_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let recording = tetrode(folder.path());
    let out = folder.path().join("out");
    let ran = run(sort(&recording, &out).args([
        "--dry-run",
        "--set",
        "matching.rounds=2",
        "--threads",
        "1",
    ]))
    .succeeds();
    let plan = json(&ran.stdout);
    let stages: Vec<&str> = plan["stages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stage| stage.as_str().unwrap())
        .collect();
    assert_eq!(
        stages,
        [
            "survey",
            "detection",
            "motion",
            "clustering 1",
            "templates 1",
            "matching 1",
            "clustering 2",
            "templates 2",
            "last matching",
            "curation",
            "waveforms"
        ]
    );
    assert_eq!(
        (&plan["n_channels"], &plan["threads"]),
        (&Value::from(4), &Value::from(1))
    );
    assert!(plan["memory_bytes"].as_u64().unwrap() > 0 && plan["disk_bytes"].as_u64().unwrap() > 0);
    let by_stage = plan["memory_bytes_by_stage"].as_object().unwrap();
    assert_eq!(
        by_stage.values().max_by_key(|bytes| bytes.as_u64()),
        Some(&plan["memory_bytes"])
    );
    assert_eq!(plan["parameters"]["matching"]["rounds"], 2);
    let left: Vec<_> = folder
        .path()
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["recording"]);
}

#[test]
fn json_and_events_are_for_machines_and_the_log_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let recording = tetrode(folder.path());
    let (out, events) = (
        folder.path().join("out"),
        folder.path().join("events.jsonl"),
    );
    let ran = run(sort(&recording, &out)
        .arg("--json")
        .arg("--events")
        .arg(&events))
    .succeeds();
    assert_eq!(json(&ran.stdout), manifest(&out));
    let lines: Vec<Value> = std::fs::read_to_string(&events)
        .unwrap()
        .lines()
        .map(json)
        .collect();
    let stages = |kind: &str| -> Vec<&str> {
        lines
            .iter()
            .filter(|line| line["event"] == kind)
            .map(|line| line["stage"].as_str().unwrap())
            .collect()
    };
    assert_eq!(stages("stage_started"), stages("stage_done"));
    assert_eq!(stages("stage_started").first(), Some(&"survey"));
    let log = std::fs::read_to_string(out.join("log.txt")).unwrap();
    assert!(
        stages("stage_done").iter().all(|stage| log.contains(stage)),
        "{log}"
    );

    // What a scheduler reads: how, from what, with what.
    let manifest = manifest(&out);
    assert_eq!(manifest["somata"], env!("CARGO_PKG_VERSION"));
    assert_eq!(manifest["recording"]["n_channels"], 4);
    assert_eq!(manifest["parameters"]["clustering"]["min_spikes"], 15);
    assert!(
        manifest["parameters"]["matching"]["sweeps"].is_u64(),
        "defaults are written too"
    );
    assert!(
        manifest["inputs"]
            .as_array()
            .unwrap()
            .iter()
            .all(|input| input["bytes"].as_u64() > Some(0))
    );
    assert!(
        !folder.path().join("out.work").exists(),
        "the work folder goes after success"
    );
}

#[test]
fn every_shell_gets_a_script_that_knows_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = run(somata().args(["completions", shell])).succeeds();
        assert_eq!(ran.stderr, "");
        for word in ["somata", "convert", "segment", "match"] {
            assert!(ran.stdout.contains(word), "{shell}: {word}");
        }
    }
    run(somata().args(["completions", "cmd"])).fails_at_parsing("possible values");
}

#[test]
fn every_command_gets_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("share/man1");
    let man = || run(somata().arg("man").arg(&pages)).succeeds();
    let names: Vec<String> = man().stdout.lines().map(str::to_owned).collect();
    for name in [
        "somata.1",
        "somata-sort.1",
        "somata-convert.1",
        "somata-simulate-movie.1",
    ] {
        assert!(names.iter().any(|found| found == name), "{name}: {names:?}");
    }
    for name in &names {
        let page = std::fs::read_to_string(pages.join(name)).unwrap();
        assert!(
            page.contains(".SH NAME") && page.contains(".SH SYNOPSIS"),
            "{name}"
        );
    }
    let convert = std::fs::read_to_string(pages.join("somata-convert.1")).unwrap();
    assert!(convert.contains("Nothing is overwritten without"));
    // Again: pages are replaced, and nothing else is there.
    man();
    assert_eq!(pages.read_dir().unwrap().count(), names.len());
    run(somata().arg("man").arg(pages.join("somata.1"))).fails(4, &["somata.1"], &["folder"]);
}
