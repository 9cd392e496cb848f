//! Parts of recordings, several recordings as one, and probes of other programs.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde_json::json;

use crate::{
    data::{GAIN_UV, RATE_HZ, bytes_of, change_json, samples, tetrode, write_samples},
    run::{answer, assert_same, json, manifest, nothing_left, run, somata, sort},
};

const N_CHANNELS: usize = 4;

/// Copies a recording folder with other samples.
fn with_samples(recording: &Path, to: &Path, samples: &[i16], n_channels: usize) {
    std::fs::create_dir(to).unwrap();
    for name in ["recording.json", "probe.json"] {
        std::fs::copy(recording.join(name), to.join(name)).unwrap();
    }
    write_samples(to, n_channels, &bytes_of(samples), "int16", 2);
}

/// The result of a sort, without the file that names the raw samples.
#[track_caller]
fn sorted(recordings: &[&Path], out: &Path, options: &[&str]) -> BTreeMap<String, Vec<u8>> {
    let mut command = sort(recordings[0], out);
    run(command.args(&recordings[1..]).args(options)).succeeds();
    let mut files = answer(out);
    files.remove("params.py").expect("params.py");
    files
}

#[test]
fn a_part_gives_what_its_samples_alone_give() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let recording = tetrode(folder.path());
    let (start, end) = (RATE_HZ / 2, 4 * RATE_HZ);
    let all = samples(&recording);
    let frames = all.as_chunks::<N_CHANNELS>().0;
    let cut: Vec<i16> = frames[start..end]
        .iter()
        .flat_map(|frame| frame[1..].to_vec())
        .collect();
    with_samples(&recording, &at("cut"), &cut, 3);
    change_json(&at("cut/recording.json"), |json| {
        json["n_channels"] = json!(3)
    });
    change_json(&at("cut/probe.json"), |json| {
        json["probes"][0]["device_channel_indices"] = json!([-1, 0, 1, 2]);
    });
    let mut expected = sorted(&[&at("cut")], &at("out-of-cut"), &[]);
    assert!(manifest(&at("out-of-cut"))["n_spikes"].as_u64() > Some(0));

    let part = ["--start-s", "0.5", "--end-s", "4", "--channels", "1-3"];
    let out = at("out-of-part");
    let mut found = sorted(&[&recording], &out, &part);
    // The map counts columns of the raw file, which has one more before them.
    assert_ne!(
        expected.remove("channel_map.npy"),
        found.remove("channel_map.npy")
    );
    assert_same(&expected, &found, "a part");
    let told = manifest(&out)["recording"].clone();
    assert_eq!(
        (&told["first_sample"], &told["channels"]),
        (&json!(start), &json!([1, 2, 3]))
    );
    assert_eq!(told["n_samples"], json!(end - start));
    let params = std::fs::read_to_string(out.join("phy/params.py")).unwrap();
    assert!(
        params.contains(&format!("offset = {}", start * N_CHANNELS * 2)),
        "{params}"
    );

    // The part is of what the result depends on.
    let again = |options: &[&str]| run(sort(&recording, &out).args(options));
    assert!(again(&part).succeeds().stdout.contains("already complete"));
    again(&["--start-s", "0.6", "--end-s", "4.1", "--channels", "1-3"]).fails(
        4,
        &["another input"],
        &["--force"],
    );
    again(&["--start-s", "0.5", "--end-s", "4", "--channels", "0-2"]).fails(
        4,
        &["another input"],
        &["--force"],
    );

    let info = run(somata()
        .arg("info")
        .arg(&recording)
        .args(part)
        .arg("--json"))
    .succeeds();
    let info = json(&info.stdout);
    assert_eq!(
        (&info["n_channels"], &info["n_samples"]),
        (&json!(3), &json!(end - start))
    );
    let text = run(somata().arg("info").arg(&recording).args(part))
        .succeeds()
        .stdout;
    assert!(
        text.contains("from sample 15000 on, 3 of 4 channels"),
        "{text}"
    );
}

#[test]
fn two_recordings_give_what_one_with_a_pause_gives() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let recording = tetrode(folder.path());
    let all = samples(&recording);
    let (first, second) = all.split_at(all.len() / 2);
    with_samples(&recording, &at("first"), first, N_CHANNELS);
    with_samples(&recording, &at("second"), second, N_CHANNELS);
    let found = sorted(&[&at("first"), &at("second")], &at("out"), &[]);
    let n_half = first.len() / N_CHANNELS;
    let manifest = manifest(&at("out"));
    assert_eq!(manifest["recording"]["n_segments"], 2);
    assert_eq!(
        manifest["recording"]["parts"][1]["start_sample"],
        json!(n_half)
    );
    assert_eq!(
        manifest["recording"]["parts"][1]["path"],
        json!(at("second"))
    );
    let segments = std::fs::read_to_string(at("out/segments.csv")).unwrap();
    assert_eq!(
        segments.lines().nth(2).unwrap(),
        format!("{n_half},{n_half},0")
    );

    // Two segments of a folder that SpikeInterface saved.
    std::fs::create_dir(at("paused")).unwrap();
    std::fs::copy(recording.join("probe.json"), at("paused/probe.json")).unwrap();
    for (index, samples) in [first, second].iter().enumerate() {
        std::fs::write(
            at(&format!("paused/traces_cached_seg{index}.raw")),
            bytes_of(samples),
        )
        .unwrap();
    }
    let kwargs = json!({"file_paths": ["traces_cached_seg0.raw", "traces_cached_seg1.raw"], "sampling_frequency": RATE_HZ as f64,
        "num_channels": N_CHANNELS, "dtype": "<i2", "gain_to_uV": vec![GAIN_UV; N_CHANNELS]});
    std::fs::write(
        at("paused/binary.json"),
        json!({ "kwargs": kwargs }).to_string(),
    )
    .unwrap();
    let expected = sorted(&[&at("paused")], &at("out-of-paused"), &[]);
    assert_same(&expected, &found, "two recordings");

    // Their order matters, and a recording of another kind is refused.
    let out = at("out");
    run(sort(&at("second"), &out).arg(at("first"))).fails(4, &["another input"], &["--force"]);
    with_samples(&recording, &at("odd"), &all[..3000], 3);
    change_json(&at("odd/recording.json"), |json| {
        json["n_channels"] = json!(3)
    });
    change_json(&at("odd/probe.json"), |json| {
        json["probes"][0]["device_channel_indices"] = json!([-1, 0, 1, 2]);
    });
    let new = at("new");
    run(sort(&at("first"), &new).arg(at("odd"))).fails(
        3,
        &["odd", "number of channels is 3, expected 4"],
        &["same channels"],
    );
    nothing_left(&new);
}

#[test]
fn a_part_that_is_not_there_is_a_wrong_command() {
    let folder = tempfile::tempdir().unwrap();
    let recording = tetrode(folder.path());
    let out = folder.path().join("out");
    for (options, what, hint) in [
        (
            ["--start-s", "9"],
            "`--start-s 9` is beyond the end",
            "5.000 s",
        ),
        (["--end-s", "-2"], "`--end-s -2` is not a time", "5.000 s"),
        (
            ["--channels", "2-9"],
            "`2-9` is no channel",
            "rows from 0 to 3",
        ),
    ] {
        run(sort(&recording, &out).args(options)).fails(2, &[what], &[hint]);
        nothing_left(&out);
    }
    run(sort(&recording, &out).args(["--start-s", "soon"])).fails_at_parsing("--start-s");
}

#[test]
fn probes_of_other_programs_place_the_contacts() {
    let folder = tempfile::tempdir().unwrap();
    let recording = tetrode(folder.path());
    let bare = recording.join("recording.bin");
    let options = [
        "--sampling-frequency",
        "30000",
        "--n-channels",
        "4",
        "--dtype",
        "int16",
        "--gain-uv",
        "0.195",
    ];
    let expected = sorted(&[&recording], &folder.path().join("out"), &[]);
    let positions = crate::data::positions(&recording);
    let geometry: Vec<String> = positions
        .iter()
        .enumerate()
        .map(|(channel, [x, y])| format!("{channel}: ({x}, {y})"))
        .collect();
    let prb: PathBuf = folder.path().join("tetrode.prb");
    std::fs::write(
        &prb,
        format!(
            "channel_groups = {{0: {{'channels': list(range(4)), 'geometry': {{{}}}}}}}\n",
            geometry.join(", ")
        ),
    )
    .unwrap();
    let options = [&options[..], &["--probe", prb.to_str().unwrap()]].concat();
    // Given by its path with all options, the file is a bare one.
    assert_same(
        &expected,
        &sorted(&[&bare], &folder.path().join("out-of-prb"), &options),
        "a .prb",
    );
}
