//! What a whole run says with each of the options that change it: `--quiet`, `--json`, `--events`, `--dry-run`, `--verbose`.
//!
//! Times, memory and what rounding may change are taken out; what is left is wording, order and where each word goes.

use std::{path::Path, process::Command};

use serde_json::{Value, json};

use crate::{
    data::tetrode,
    movies,
    run::{Ran, run, somata, sort},
    snapshots::{matches_file, says_at},
};

/// Keys whose values differ between machines and runs.
const VARIES: [&str; 31] = [
    "seconds",
    "frames_per_second",
    "finished",
    "peak_memory_bytes",
    "memory_bytes",
    "memory_bytes_by_stage",
    "memory_bytes_if_it_drifts",
    "disk_bytes",
    "key",
    "calls",
    "fingerprint",
    "input_fingerprint",
    "n_units",
    "n_good",
    "n_spikes",
    "n_cells",
    "fraction",
    "bytes",
    "weights",
    "decay_s",
    "snr",
    "noise_uv",
    "largest_px",
    "largest_um",
    "median",
    "correlation",
    "n_candidates",
    "planes",
    "quality",
    "shift",
    "response",
];
/// Keys whose values are long and tested elsewhere.
const LONG: [&str; 5] = ["parameters", "kernels", "command", "arguments", "inputs"];

/// JSON without what varies.
fn steady(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| {
                let value = if VARIES.contains(&key.as_str()) {
                    json!("VARIES")
                } else if LONG.contains(&key.as_str()) {
                    json!("LONG")
                } else {
                    steady(value)
                };
                (key.clone(), value)
            })
            .collect(),
        Value::Array(values) => values.iter().map(steady).collect(),
        other => other.clone(),
    }
}

/// Text without what varies; JSON in it, whole or in lines, as [`steady`].
fn steady_text(text: &str) -> String {
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        return serde_json::to_string_pretty(&steady(&value)).unwrap();
    }
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let line = match serde_json::from_str::<Value>(line) {
            Ok(value @ Value::Object(_)) => steady(&value).to_string(),
            _ => steady_line(line),
        };
        // How often progress is told depends on the number of blocks.
        if lines.last() != Some(&line) {
            lines.push(line);
        }
    }
    lines.join("\n")
}

/// A line for people without its times and counts.
fn steady_line(line: &str) -> String {
    if line.contains("× real time") || line.contains("frames/s") {
        let mut told = String::new();
        for c in line.chars() {
            if !c.is_ascii_digit() && c != '.' {
                told.push(c);
            } else if !told.ends_with('N') {
                told.push('N');
            }
        }
        return told;
    }
    let time = line
        .strip_suffix(" s")
        .and_then(|line| line.rsplit_once(' '));
    match time {
        Some((stage, seconds)) if seconds.parse::<f64>().is_ok() => format!("{stage} TIME"),
        _ => line.to_owned(),
    }
}

/// Runs a command and compares what it says, without what varies, with the file of that name.
#[track_caller]
fn tells(name: &str, command: &mut Command, here: &Path) -> Ran {
    let ran = run(command.current_dir(here).env("COLUMNS", "80")).succeeds();
    let (stdout, stderr) = (steady_text(&ran.stdout), steady_text(&ran.stderr));
    matches_file(name, ran.code, &stdout, &stderr, here);
    ran
}

#[test]
fn a_sort_says_what_was_asked_for_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    tetrode(here);
    let command = |out: &str, options: &[&str]| {
        let mut command = sort(Path::new("recording"), Path::new(out));
        command.args(["--threads", "2"]).args(options);
        command
    };
    tells(
        "told-sort-dry-run",
        &mut command("dry", &["--dry-run"]),
        here,
    );
    tells("told-sort", &mut command("plain", &[]), here);
    tells("told-sort-again", &mut command("plain", &[]), here);
    let quiet = tells(
        "told-sort-quiet-json",
        &mut command("quiet", &["--quiet", "--json"]),
        here,
    );
    assert_eq!(quiet.stderr, "");
    let options = ["--quiet", "--events", "-"];
    tells(
        "told-sort-quiet-events",
        &mut command("events", &options),
        here,
    );
    let options = ["--verbose", "--set", "matching.rounds=2"];
    tells("told-sort-verbose", &mut command("verbose", &options), here);
    // Nothing else is there but the results.
    let mut left: Vec<String> = here
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["events", "plain", "quiet", "recording", "verbose"]);
    run(&mut command("both", &["--quiet", "--verbose"])).fails_at_parsing("cannot be used with");
}

#[test]
fn a_movie_says_what_was_asked_for_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    movies::small(here);
    let command = |out: &str, options: &[&str]| {
        let mut command = somata();
        command.args(["image", "movie.tif", "--out", out, "--device", "cpu"]);
        command
            .args(["--frame-rate", "30", "--threads", "2"])
            .args(options);
        command
    };
    tells(
        "told-image-dry-run",
        &mut command("dry", &["--dry-run"]),
        here,
    );
    tells(
        "told-image-verbose",
        &mut command("verbose", &["--verbose"]),
        here,
    );
    let options = ["--quiet", "--json", "--events", "events.jsonl"];
    let quiet = tells(
        "told-image-quiet-json",
        &mut command("quiet", &options),
        here,
    );
    assert_eq!(quiet.stderr, "");
    let events = std::fs::read_to_string(here.join("events.jsonl")).unwrap();
    matches_file(
        "told-image-events",
        Some(0),
        &steady_text(&events),
        "",
        here,
    );
}

#[test]
fn info_says_the_same_of_a_recording_a_movie_and_an_image_in_words_and_in_json() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    tetrode(here);
    movies::small(here);
    somata_io::imaging_output::picture::write_picture(&here.join("a.png"), 4, 5, &[0.5; 20])
        .unwrap();
    for (name, path) in [
        ("recording", "recording"),
        ("movie", "movie.tif"),
        ("image", "a.png"),
    ] {
        let mut command = somata();
        command.current_dir(here).args(["info", path]);
        says_at(&format!("told-info-{name}"), &mut command, here, 80);
        tells(
            &format!("told-info-{name}-json"),
            command.arg("--json"),
            here,
        );
    }
}

#[test]
fn a_typo_in_a_parameter_file_is_told_with_the_file_and_the_right_name() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    tetrode(here);
    movies::small(here);
    for (name, input, command, text) in [
        (
            "told-params-typo",
            "recording",
            "sort",
            "[clustering]\nmin_spike = 20\n",
        ),
        (
            "told-params-stage-typo",
            "recording",
            "sort",
            "[clusterin]\nmin_spikes = 20\n",
        ),
        (
            "told-params-range",
            "recording",
            "sort",
            "[clustering]\nmin_spikes = -1\n",
        ),
        (
            "told-params-not-toml",
            "recording",
            "sort",
            "[clustering]\n\nmin_spikes 20\n",
        ),
        (
            "told-params-of-the-other",
            "movie.tif",
            "image",
            "[clustering]\nmin_spikes = 20\n",
        ),
        (
            "told-params-image-typo",
            "movie.tif",
            "image",
            "[registration]\ncorect = false\n",
        ),
    ] {
        std::fs::write(here.join("mine.toml"), text).unwrap();
        let mut refused = somata();
        refused
            .current_dir(here)
            .args([command, input, "--out", "out", "--params", "mine.toml"]);
        says_at(name, &mut refused, here, 80);
    }
}
