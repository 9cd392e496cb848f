//! Recordings for the tests: simulated by the binary, or rewritten from a simulated one.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::run::{run, somata};

/// Microvolts a step of the simulator's samples.
pub const GAIN_UV: f64 = 0.195;
/// Samples a second of simulated recordings.
pub const RATE_HZ: usize = 30_000;

/// Simulates `folder/recording` with the given options.
#[track_caller]
pub fn simulate(folder: &Path, options: &[&str]) -> PathBuf {
    let recording = folder.join("recording");
    run(somata()
        .args(["simulate", "recording"])
        .arg(&recording)
        .args(options))
    .succeeds();
    recording
}

/// A tetrode, 5 s.
#[track_caller]
pub fn tetrode(folder: &Path) -> PathBuf {
    simulate(
        folder,
        &["--kind", "tetrode", "--seconds", "5", "--seed", "3"],
    )
}

/// Eight contacts in a row, `seconds` long.
#[track_caller]
pub fn row_of_eight(folder: &Path, seconds: &str) -> PathBuf {
    simulate(
        folder,
        &[
            "--kind",
            "linear",
            "--channels",
            "8",
            "--units",
            "8",
            "--seconds",
            seconds,
            "--seed",
            "4",
        ],
    )
}

/// The samples of a recording folder, interleaved.
pub fn samples(recording: &Path) -> Vec<i16> {
    let bytes = std::fs::read(recording.join("recording.bin")).expect("samples");
    bytes
        .as_chunks()
        .0
        .iter()
        .map(|&pair| i16::from_le_bytes(pair))
        .collect()
}

/// Little-endian bytes.
pub fn bytes_of(samples: &[i16]) -> Vec<u8> {
    samples
        .iter()
        .flat_map(|sample| sample.to_le_bytes())
        .collect()
}

/// Replaces the samples of a recording folder; `n_samples` in `recording.json` follows.
pub fn write_samples(
    recording: &Path,
    n_channels: usize,
    bytes: &[u8],
    dtype: &str,
    sample_bytes: usize,
) {
    std::fs::write(recording.join("recording.bin"), bytes).expect("samples are written");
    change_json(&recording.join("recording.json"), |json| {
        json["dtype"] = json!(dtype);
        json["n_samples"] = json!(bytes.len() / n_channels / sample_bytes);
    });
}

/// Changes a JSON file.
pub fn change_json(path: &Path, change: impl FnOnce(&mut Value)) {
    let text = std::fs::read_to_string(path).expect("a JSON file");
    let mut json = serde_json::from_str(&text).expect("JSON");
    change(&mut json);
    std::fs::write(path, json.to_string()).expect("JSON is written");
}

/// Where the contacts of a recording folder are, µm.
pub fn positions(recording: &Path) -> Vec<[f64; 2]> {
    let text = std::fs::read_to_string(recording.join("probe.json")).expect("a probe");
    let probe: Value = serde_json::from_str(&text).expect("JSON");
    serde_json::from_value(probe["probes"][0]["contact_positions"].clone()).expect("positions")
}
