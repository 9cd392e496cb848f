//! Each kind of bad input gets one sentence with what, where and what to do.

use serde_json::json;
use somata_io::recording::{OpenOptions, open};
use somata_io::{IoError, IoErrorKind};

use crate::folder::{write_folder, write_json};
use crate::suite::open_error;

/// Checks the message, that there is a hint, and that it is an input error.
pub fn says(error: &IoError, parts: &[&str]) {
    let text = error.to_string();
    assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    assert!(error.hint().is_some(), "{text}");
    assert_eq!(error.kind(), IoErrorKind::Input);
    assert!(!text.contains('\n') && !text.ends_with('.'), "{text}");
}

#[test]
fn missing_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    says(
        &open_error(&folder.path().join("none"), &OpenOptions::default()),
        &["none", "does not exist"],
    );
    write_folder(folder.path());
    std::fs::remove_file(folder.path().join("recording.bin")).unwrap();
    says(
        &open_error(folder.path(), &OpenOptions::default()),
        &["recording.bin", "does not exist"],
    );
}

#[test]
fn a_size_that_is_no_multiple_of_the_channels_is_told_with_numbers() {
    let folder = tempfile::tempdir().unwrap();
    write_folder(folder.path());
    std::fs::write(folder.path().join("recording.bin"), [0u8; 1201]).unwrap();
    says(
        &open_error(folder.path(), &OpenOptions::default()),
        &["1201", "12 (6 channels × 2 bytes)"],
    );
    std::fs::write(folder.path().join("recording.bin"), [0u8; 1188]).unwrap();
    says(
        &open_error(folder.path(), &OpenOptions::default()),
        &["truncated", "1200", "1188"],
    );
}

#[test]
fn a_recording_json_that_makes_no_sense_is_told_by_key() {
    let folder = tempfile::tempdir().unwrap();
    write_folder(folder.path());
    let good =
        json!({"sampling_frequency": 30000.0, "n_channels": 6, "dtype": "int16", "gain_uv": 0.195});
    for (key, value, parts) in [
        (
            "sampling_frequency",
            json!(0),
            &["sampling frequency", "Hz above 0"][..],
        ),
        (
            "sampling_frequency",
            json!("fast"),
            &["sampling_frequency", "a number"],
        ),
        ("n_channels", json!(0), &["n_channels", "1 to"]),
        ("n_channels", json!(-4), &["n_channels", "whole number"]),
        ("n_channels", json!(1e15), &["n_channels"]),
        (
            "dtype",
            json!("complex64"),
            &["`complex64`", "not supported"],
        ),
        ("dtype", json!(3), &["`3`", "not supported"]),
        (
            "gain_uv",
            json!([1, 2]),
            &["gain", "2 numbers", "6 numbers"],
        ),
        ("gain_uv", json!(0), &["gain", "other than 0"]),
        ("gain_uv", json!(1e300), &["gain", "inf"]),
        ("gain_uv", json!(-1e30), &["gain", "±2e11"]),
        ("offset_uv", json!(1e30), &["offset", "±1e16"]),
        ("offset_bytes", json!(99999), &["truncated"]),
        ("n_samples", json!(50), &["n_samples", "100"]),
        ("channel_ids", json!(["a"]), &["channel_ids", "6 names"]),
    ] {
        let mut json = good.clone();
        json[key] = value;
        write_json(folder.path(), "recording.json", &json);
        says(&open_error(folder.path(), &OpenOptions::default()), parts);
    }
    std::fs::write(
        folder.path().join("recording.json"),
        "{\n\"sampling_frequency\": NaN}",
    )
    .unwrap();
    says(
        &open_error(folder.path(), &OpenOptions::default()),
        &["recording.json", "line 2"],
    );
    for key in ["sampling_frequency", "n_channels", "dtype"] {
        let mut json = good.clone();
        json.as_object_mut().unwrap().remove(key);
        write_json(folder.path(), "recording.json", &json);
        says(
            &open_error(folder.path(), &OpenOptions::default()),
            &["has no", key],
        );
    }
}

#[test]
fn a_probe_that_does_not_fit_is_told_and_none_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    write_folder(folder.path());
    let probe = |positions: serde_json::Value, wiring: serde_json::Value| json!({"probes": [{"contact_positions": positions, "device_channel_indices": wiring}]});
    for (json, parts) in [
        (
            probe(json!([[0, 0], [0, 1]]), json!([0, 1])),
            &["2 contacts", "6 channels"][..],
        ),
        (
            probe(json!([[0, 0]]), json!([6])),
            &["channel 6", "6 channels (0 to 5)"],
        ),
        (
            probe(json!([[0, 0], [0, 1]]), json!([3, 3])),
            &["both wired to channel 3"],
        ),
        (
            probe(json!([[0, 0], [0, 0]]), json!([0, 1])),
            &["at one place"],
        ),
        (
            probe(json!([[0, 0]]), json!([-1])),
            &["no contact is wired"],
        ),
        (
            json!({"probes": [{"contact_positions": [[0, 0]]}]}),
            &["device_channel_indices"],
        ),
    ] {
        write_json(folder.path(), "probe.json", &json);
        let error = open_error(folder.path(), &OpenOptions::default());
        says(&error, parts);
        assert!(error.to_string().contains("probe.json"), "{error}");
    }
    std::fs::remove_file(folder.path().join("probe.json")).unwrap();
    assert!(
        open(folder.path(), &OpenOptions::default())
            .unwrap()
            .description()
            .probe
            .is_none()
    );
    let options = OpenOptions {
        probe: Some(folder.path().join("no.json")),
        ..OpenOptions::default()
    };
    says(
        &open_error(folder.path(), &options),
        &["no.json", "does not exist"],
    );
    std::fs::write(folder.path().join("probe.xyz"), "x").unwrap();
    let options = OpenOptions {
        probe: Some(folder.path().join("probe.xyz")),
        ..OpenOptions::default()
    };
    says(
        &open_error(folder.path(), &options),
        &["probe.xyz", "probeinterface"],
    );
}

#[test]
fn a_bare_file_asks_for_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("raw.dat");
    std::fs::write(&path, [0u8; 16]).unwrap();
    let error = open_error(&path, &OpenOptions::default());
    says(&error, &["--sampling-frequency", "--n-channels", "--dtype"]);
    let mut options = OpenOptions {
        sampling_frequency_hz: Some(-1.0),
        n_channels: Some(4),
        dtype: Some("int16".into()),
        ..Default::default()
    };
    says(&open_error(&path, &options), &["sampling frequency", "-1"]);
    options.sampling_frequency_hz = Some(30000.0);
    options.gain_uv = Some(f64::NAN);
    says(&open_error(&path, &options), &["gain", "NaN"]);
    options.gain_uv = None;
    options.dtype = Some("int64".into());
    let error = open_error(&path, &options);
    says(&error, &["`int64`"]);
    assert!(error.hint().unwrap().contains("float64"));
    options.dtype = Some("int16".into());
    options.n_channels = Some(3);
    says(&open_error(&path, &options), &["16", "multiple of 6"]);
    options.n_channels = Some(usize::MAX);
    says(&open_error(&path, &options), &["number of channels"]);
    options.n_channels = Some(4);
    options.offset_bytes = Some(1000);
    says(&open_error(&path, &options), &["truncated"]);
    options.offset_bytes = None;
    // An empty file has zero samples, which is for the caller to judge.
    std::fs::write(&path, []).unwrap();
    assert_eq!(open(&path, &options).unwrap().description().n_samples, 0);
}

#[test]
fn a_file_that_is_cut_while_it_is_read_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    write_folder(folder.path());
    let reader = open(folder.path(), &OpenOptions::default()).unwrap();
    std::fs::write(folder.path().join("recording.bin"), [0u8; 100]).unwrap();
    let mut out = vec![0u8; 1200];
    says(
        &reader.read(0, &mut out).unwrap_err(),
        &["truncated", "100"],
    );
}
