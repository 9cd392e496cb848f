//! What bad input gets: one clear sentence with what, where and what to do, the exit code of the table, no partial
//! output. A bad channel, values that are not finite or a recording without spikes are no errors: they are reported.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::json;
use somata_io::npy::{read_npy, read_npy_as_f64};

use crate::{
    data::{bytes_of, change_json, row_of_eight, samples, tetrode, write_samples},
    run::{Ran, answer, assert_same, manifest, nothing_left, partial_results, run, somata, sort},
};

/// A temporary folder with a tetrode recording, and where a result would go.
fn with_tetrode() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let recording = tetrode(folder.path());
    let out = folder.path().join("out");
    (folder, recording, out)
}

/// Asserts that a sort of unusable input ends with code 3 before it writes anything.
#[track_caller]
fn refused(recording: &Path, out: &Path, options: &[&str], what: &[&str], hint: &[&str]) {
    run(sort(recording, out).args(options)).fails(3, what, hint);
    nothing_left(out);
    assert!(
        !out.with_file_name("out.work").exists(),
        "a work folder was made for nothing"
    );
}

#[test]
fn missing_files() {
    let (folder, recording, out) = with_tetrode();
    refused(
        &folder.path().join("nowhere"),
        &out,
        &[],
        &["nowhere", "does not exist"],
        &["check the path"],
    );
    refused(
        &recording,
        &out,
        &["--probe", "no.json"],
        &["no.json", "does not exist"],
        &["check the path"],
    );
    std::fs::remove_file(recording.join("recording.bin")).unwrap();
    refused(
        &recording,
        &out,
        &[],
        &["recording.bin", "does not exist"],
        &["check the path"],
    );
    std::fs::remove_file(recording.join("recording.json")).unwrap();
    refused(
        &recording,
        &out,
        &[],
        &["recording", "not a recording"],
        &["recording.json", "SpikeGLX"],
    );
}

#[test]
fn a_truncated_file() {
    let (_folder, recording, out) = with_tetrode();
    let whole = bytes_of(&samples(&recording));
    // Whole frames, but fewer than promised: what an interrupted copy leaves.
    std::fs::write(recording.join("recording.bin"), &whole[..whole.len() / 2]).unwrap();
    let (expected, found) = (whole.len().to_string(), (whole.len() / 2).to_string());
    refused(
        &recording,
        &out,
        &[],
        &["recording.bin", "truncated", &expected, &found],
        &["copy"],
    );
}

#[test]
fn a_size_that_is_no_multiple_of_the_channels() {
    let (folder, recording, out) = with_tetrode();
    let whole = bytes_of(&samples(&recording));
    std::fs::write(recording.join("recording.bin"), &whole[..whole.len() - 3]).unwrap();
    let found = (whole.len() - 3).to_string();
    refused(
        &recording,
        &out,
        &[],
        &["recording.bin", &found, "multiple of 8", "4 channels"],
        &["truncated"],
    );

    let bare = folder.path().join("bare.dat");
    std::fs::write(&bare, &whole).unwrap();
    let options = [
        "--sampling-frequency",
        "30000",
        "--n-channels",
        "7",
        "--dtype",
        "int16",
    ];
    refused(
        &bare,
        &out,
        &options,
        &["bare.dat", "multiple of 14", "7 channels"],
        &["number of channels"],
    );
}

#[test]
fn a_bare_file_asks_for_what_is_missing_by_the_options_names() {
    let (folder, recording, out) = with_tetrode();
    let bare = folder.path().join("bare.dat");
    std::fs::copy(recording.join("recording.bin"), &bare).unwrap();
    let ran = run(sort(&bare, &out).args(["--sampling-frequency", "30000"]));
    ran.fails(3, &["bare.dat"], &["--dtype"]);
    // Whatever the hint names must be an option.
    let help = run(somata().args(["sort", "--help"])).stdout;
    for option in ran
        .stderr
        .split(['`', ' ', '\n', ','])
        .filter(|word| word.starts_with("--"))
    {
        assert!(
            help.contains(&format!("{option} ")),
            "`{option}` is no option of `somata sort`:\n{}",
            ran.stderr
        );
    }
}

#[test]
fn an_unknown_sample_type() {
    let (folder, recording, out) = with_tetrode();
    change_json(&recording.join("recording.json"), |json| {
        json["dtype"] = json!("complex64")
    });
    refused(
        &recording,
        &out,
        &[],
        &["recording.json", "`complex64`", "not supported"],
        &["int16", "float32"],
    );
    let bare = folder.path().join("bare.dat");
    std::fs::copy(recording.join("recording.bin"), &bare).unwrap();
    let options = [
        "--sampling-frequency",
        "30000",
        "--n-channels",
        "4",
        "--dtype",
        "int64",
    ];
    refused(&bare, &out, &options, &["bare.dat", "`int64`"], &["int16"]);
}

#[test]
fn a_probe_that_does_not_fit() {
    let (_folder, recording, out) = with_tetrode();
    let probe = recording.join("probe.json");
    let original = std::fs::read_to_string(&probe).unwrap();
    let short = |n: usize| {
        move |json: &mut serde_json::Value| {
            for list in json["probes"][0].as_object_mut().unwrap().values_mut() {
                if let Some(list) = list.as_array_mut() {
                    list.truncate(n);
                }
            }
        }
    };
    change_json(&probe, short(3));
    refused(
        &recording,
        &out,
        &[],
        &["probe.json", "3 contacts", "4 channels"],
        &["--probe"],
    );

    std::fs::write(&probe, &original).unwrap();
    change_json(&probe, |json| {
        json["probes"][0]["device_channel_indices"] = json!([0, 1, 2, 9])
    });
    refused(
        &recording,
        &out,
        &[],
        &["probe.json", "channel 9", "4 channels"],
        &["--probe"],
    );

    std::fs::write(&probe, &original).unwrap();
    change_json(&probe, |json| {
        let first = json["probes"][0]["contact_positions"][0].clone();
        json["probes"][0]["contact_positions"][2] = first;
    });
    refused(
        &recording,
        &out,
        &[],
        &["probe.json", "`0` and `2`", "at one place"],
        &["--probe"],
    );

    std::fs::remove_file(&probe).unwrap();
    refused(
        &recording,
        &out,
        &[],
        &["recording", "4 contacts"],
        &["--probe"],
    );
}

#[test]
fn a_recording_too_short_to_sort() {
    let (_folder, recording, out) = with_tetrode();
    let all = samples(&recording);
    for n_samples in [0, 1, 1000] {
        write_samples(&recording, 4, &bytes_of(&all[..n_samples * 4]), "int16", 2);
        run(&mut sort(&recording, &out)).fails(3, &[&format!("{n_samples} samples")], &["0.1 s"]);
        nothing_left(&out);
    }
}

#[test]
fn fewer_samples_than_one_chunk() {
    let (_folder, recording, out) = with_tetrode();
    // A block is 16,384 samples.
    write_samples(
        &recording,
        4,
        &bytes_of(&samples(&recording)[..6000 * 4]),
        "int16",
        2,
    );
    run(&mut sort(&recording, &out)).succeeds();
    assert_eq!(manifest(&out)["recording"]["n_samples"], 6000);
    let times = read_npy_as_f64(&out.join("phy/spike_times.npy")).unwrap();
    assert!(times.data.iter().all(|&time| (0.0..6000.0).contains(&time)));
}

#[test]
fn values_that_are_not_finite_are_counted_and_count_as_zero() {
    let (_folder, recording, out) = with_tetrode();
    let mut values: Vec<f32> = samples(&recording).into_iter().map(f32::from).collect();
    let bad = [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        -f32::NAN,
    ];
    for (at, &value) in bad.iter().enumerate() {
        values[(5000 + 37 * at) * 4 + at % 4] = value;
    }
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    write_samples(&recording, 4, &bytes, "float32", 4);
    let ran = run(&mut sort(&recording, &out)).succeeds();
    assert!(ran.stderr.contains("warning: 5 values"), "{}", ran.stderr);
    let manifest = manifest(&out);
    assert_eq!(manifest["not_finite_values"], 5);
    assert!(
        manifest["warnings"][0]
            .as_str()
            .unwrap()
            .contains("not finite"),
        "{}",
        manifest["warnings"]
    );
    for name in [
        "templates",
        "templates_uv",
        "amplitudes",
        "pc_features",
        "spike_positions",
        "whitening_mat_inv",
    ] {
        let array = read_npy_as_f64(&out.join(format!("phy/{name}.npy"))).unwrap();
        assert!(
            array.data.iter().all(|value| value.is_finite()),
            "{name}.npy holds values that are not finite"
        );
    }
}

#[test]
fn dead_and_railed_channels_are_reported_and_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let recording = row_of_eight(folder.path(), "3");
    let out = folder.path().join("out");
    let mut all = samples(&recording);
    for frame in all.as_chunks_mut::<8>().0 {
        frame[2] = 0;
        frame[5] = i16::MAX;
    }
    write_samples(&recording, 8, &bytes_of(&all), "int16", 2);
    let ran = run(&mut sort(&recording, &out)).succeeds();
    assert!(
        ran.stderr
            .lines()
            .any(|line| line.starts_with("warning: ") && line.contains("2, 5")),
        "{}",
        ran.stderr
    );
    let bad: Vec<i64> = manifest(&out)["bad_channels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|bad| bad["channel"].as_i64().unwrap())
        .collect();
    assert_eq!(bad, [2, 5]);
    let map: Vec<i32> = read_npy(&out.join("phy/channel_map.npy")).unwrap().data;
    assert_eq!(map, [0, 1, 3, 4, 6, 7]);
}

/// Asserts that a result without units is complete and can be read.
#[track_caller]
fn empty_but_whole(out: &Path, ran: &Ran) {
    assert!(ran.stderr.contains("warning: "), "{}", ran.stderr);
    let manifest = manifest(out);
    assert_eq!(
        (&manifest["n_units"], &manifest["n_spikes"]),
        (&json!(0), &json!(0))
    );
    assert!(!manifest["warnings"].as_array().unwrap().is_empty());
    let shape = |name: &str| {
        read_npy_as_f64(&out.join(format!("phy/{name}.npy")))
            .unwrap()
            .shape
    };
    for name in [
        "spike_times",
        "spike_clusters",
        "spike_templates",
        "amplitudes",
    ] {
        assert_eq!(shape(name), [0], "{name}");
    }
    for name in [
        "templates",
        "pc_features",
        "pc_feature_ind",
        "similar_templates",
    ] {
        assert_eq!(shape(name)[0], 0, "{name}");
    }
    assert_eq!(
        std::fs::read_to_string(out.join("phy/cluster_group.tsv")).unwrap(),
        "cluster_id\tgroup\n"
    );
    assert_eq!(
        std::fs::read_to_string(out.join("metrics.csv"))
            .unwrap()
            .lines()
            .count(),
        1
    );
    let compared = run(somata().arg("compare").args([out, out]));
    assert_eq!(compared.code, Some(0), "{}", compared.stderr);
}

#[test]
fn no_spikes_at_all() {
    let (_folder, recording, out) = with_tetrode();
    // Uniform noise has no tails, so nothing crosses a threshold.
    let mut state = 1u64;
    let noise: Vec<i16> = (0..90_000 * 4)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % 101) as i16 - 50
        })
        .collect();
    write_samples(&recording, 4, &bytes_of(&noise), "int16", 2);
    let ran = run(&mut sort(&recording, &out)).succeeds();
    empty_but_whole(&out, &ran);
}

#[test]
fn a_recording_of_dead_channels_only() {
    let (_folder, recording, out) = with_tetrode();
    write_samples(&recording, 4, &vec![0; 60_000 * 8], "int16", 2);
    let ran = run(&mut sort(&recording, &out)).succeeds();
    empty_but_whole(&out, &ran);
    assert_eq!(manifest(&out)["bad_channels"].as_array().unwrap().len(), 4);
}

#[test]
fn an_output_that_is_something_else_is_left_alone() {
    let (folder, recording, out) = with_tetrode();
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join("notes.txt"), "mine").unwrap();
    let ran = run(&mut sort(&recording, &out));
    ran.fails(4, &["out", "not a result"], &["--out", "--force"]);
    assert_eq!(
        std::fs::read_to_string(out.join("notes.txt")).unwrap(),
        "mine"
    );
    assert_eq!(out.read_dir().unwrap().count(), 1);
    assert_eq!(partial_results(&out), Vec::<String>::new());

    let file = folder.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    run(&mut sort(&recording, &file)).fails(4, &["file", "not a result"], &["--out", "--force"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");

    // Some workflow managers make the folder beforehand.
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    run(&mut sort(&recording, &empty)).succeeds();
    assert!(empty.join("manifest.json").is_file());
}

#[test]
fn an_output_of_the_same_command_is_complete_and_of_another_is_kept() {
    let (_folder, recording, out) = with_tetrode();
    run(&mut sort(&recording, &out)).succeeds();
    let (first, first_manifest) = (
        answer(&out),
        std::fs::read(out.join("manifest.json")).unwrap(),
    );

    let again = run(&mut sort(&recording, &out)).succeeds();
    assert!(
        again.stdout.starts_with("already complete"),
        "{}",
        again.stdout
    );
    assert_eq!(
        std::fs::read(out.join("manifest.json")).unwrap(),
        first_manifest
    );
    let again = run(sort(&recording, &out).arg("--json")).succeeds();
    assert_eq!(crate::run::json(&again.stdout), manifest(&out));

    let other = ["--set", "matching.sweeps=1"];
    run(sort(&recording, &out).args(other)).fails(4, &["out", "parameters"], &["--out", "--force"]);
    assert_eq!(
        std::fs::read(out.join("manifest.json")).unwrap(),
        first_manifest
    );
    assert_same(&first, &answer(&out), "a refused sort");

    run(sort(&recording, &out).args(other).arg("--force")).succeeds();
    assert_eq!(manifest(&out)["parameters"]["matching"]["sweeps"], 1);
    assert_eq!(partial_results(&out), Vec::<String>::new());

    // Another recording of the same length and name.
    let mut all = samples(&recording);
    all.iter_mut().for_each(|sample| *sample = -*sample);
    write_samples(&recording, 4, &bytes_of(&all), "int16", 2);
    run(sort(&recording, &out).args(other)).fails(4, &["out", "another input"], &["--force"]);
}

#[test]
fn the_same_bytes_read_as_something_else_are_another_recording() {
    let (folder, recording, out) = with_tetrode();
    let bare = folder.path().join("bare.dat");
    std::fs::copy(recording.join("recording.bin"), &bare).unwrap();
    let probe = recording.join("probe.json");
    let sort_as = |dtype: &str, offset: &str| {
        let mut command = sort(&bare, &out);
        command.args([
            "--sampling-frequency",
            "30000",
            "--n-channels",
            "4",
            "--gain-uv",
            "0.195",
        ]);
        run(command
            .args(["--dtype", dtype, "--offset-bytes", offset, "--probe"])
            .arg(&probe))
    };
    sort_as("int16", "0").succeeds();
    sort_as("uint16", "0").fails(4, &["another input"], &["--force"]);
    sort_as(">i2", "0").fails(4, &["another input"], &["--force"]);
    sort_as("int16", "800").fails(4, &["another input"], &["--force"]);
}

#[test]
fn parameters_that_do_not_exist_or_fit() {
    let (folder, recording, out) = with_tetrode();
    let refused = |options: &[&str], what: &[&str], hint: &[&str]| {
        run(sort(&recording, &out).args(options)).fails(2, what, hint);
        nothing_left(&out);
    };
    let suggestion = "did you mean `matching.sweeps`?";
    refused(
        &["--set", "matching.sweep=5"],
        &["`matching.sweep`", suggestion],
        &["somata params"],
    );
    refused(
        &["--set", "matching.sweeps=99"],
        &["`matching.sweeps`", "`99`", "0 to 20"],
        &["somata params"],
    );
    refused(
        &["--set", "matching.sweeps=few"],
        &["`matching.sweeps`", "`few`"],
        &["somata params"],
    );
    refused(
        &["--set", "detection.threshold=NaN"],
        &["`detection.threshold`", "`NaN`"],
        &["somata params"],
    );
    refused(
        &["--set", "matching.sweeps"],
        &["matching.sweeps", "no `=`"],
        &["stage.name=value"],
    );
    refused(&["--memory", "lots"], &["lots"], &["4GB"]);

    let file = folder.path().join("parameters.toml");
    let path = file.to_str().unwrap();
    for (text, what, hint) in [
        (
            "[matching]\nsweep = 5\n",
            &["`matching.sweep`", suggestion][..],
            "somata params",
        ),
        (
            "[matching]\nsweeps = 99\n",
            &["`matching.sweeps`", "`99`"],
            "somata params",
        ),
        (
            "matching = 3\n",
            &["`matching`", "parameters.toml", "not a table"],
            "[stage]",
        ),
        (
            "[matching\nsweeps = 3\n",
            &["parameters.toml", "not TOML"],
            "",
        ),
    ] {
        std::fs::write(&file, text).unwrap();
        refused(&["--params", path], what, &[hint]);
    }
    refused(&["--params", "no.toml"], &["no.toml"], &[]);
}

#[test]
fn a_file_of_parameters_is_used_and_an_option_wins_over_it() {
    let (folder, recording, out) = with_tetrode();
    let file = folder.path().join("parameters.toml");
    std::fs::write(
        &file,
        "[matching]\nsweeps = 1\nrounds = 2\n[motion]\ncorrect = false\n",
    )
    .unwrap();
    run(sort(&recording, &out)
        .arg("--params")
        .arg(&file)
        .args(["--set", "matching.sweeps=2"]))
    .succeeds();
    let parameters = &manifest(&out)["parameters"];
    assert_eq!(parameters["matching"]["sweeps"], 2);
    assert_eq!(parameters["matching"]["rounds"], 2);
    assert_eq!(parameters["motion"]["correct"], false);
}

#[test]
fn a_device_that_is_not_there() {
    let (_folder, recording, out) = with_tetrode();
    let mut command = somata();
    command
        .arg("sort")
        .arg(&recording)
        .arg("--out")
        .arg(&out)
        .args(["--device", "no such gpu"]);
    run(&mut command).fails(5, &["no such gpu"], &["somata devices", "--device cpu"]);
    nothing_left(&out);
}

#[test]
fn too_little_memory_is_told_before_it_runs_out() {
    let (_folder, recording, out) = with_tetrode();
    run(sort(&recording, &out).args(["--memory", "1MB"])).fails(
        2,
        &["4 channels", "memory"],
        &["--memory "],
    );
    nothing_left(&out);
}

#[test]
fn a_locked_work_folder() {
    let (folder, recording, out) = with_tetrode();
    let work = folder.path().join("work");
    std::fs::create_dir(&work).unwrap();
    let lock = File::create(work.join(".lock")).unwrap();
    lock.lock().unwrap();
    let again = || run(sort(&recording, &out).arg("--work").arg(&work));
    again().fails(4, &["work", "in use"], &["wait"]);
    nothing_left(&out);
    // The lock ends with its owner; the file that stays blocks nobody.
    drop(lock);
    again().succeeds();
}

#[test]
fn a_place_that_cannot_be_written() {
    let (folder, recording, out) = with_tetrode();
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let ran = run(&mut sort(&recording, &file.join("out")));
    ran.fails(4, &["file"], &["folder"]);
    let ran = run(sort(&recording, &out).arg("--work").arg(file.join("work")));
    ran.fails(4, &["file"], &["--work"]);
    nothing_left(&out);
}

/// Runs `command` where `folder` is a file system of its own, mounted with `options`; `None` where the system does not
/// allow that. Standard output ends with the names that were left in the folder.
pub fn with_file_system(folder: &Path, options: &str, command: &Command) -> Option<Ran> {
    let isolated = || {
        let mut isolated = Command::new("unshare");
        isolated.args(["--mount", "--map-root-user", "sh", "-c"]);
        isolated
    };
    let possible = cfg!(target_os = "linux")
        && isolated()
            .arg("mount -t tmpfs none \"$0\"")
            .arg(folder)
            .output()
            .is_ok_and(|done| done.status.success());
    if !possible {
        println!("ignored: no file system can be mounted here (needs Linux and `unshare --mount`)");
        return None;
    }
    let script = "mount -t tmpfs -o \"$1\" none \"$0\" || exit 99; folder=$0; shift; \"$@\"; code=$?; ls -A \"$folder\"; exit $code";
    let mut isolated = isolated();
    isolated
        .arg(script)
        .arg(folder)
        .arg(options)
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => isolated.env(name, value),
            None => isolated.env_remove(name),
        };
    }
    Some(run(&mut isolated))
}

#[test]
fn a_full_disk() {
    let (folder, recording, out) = with_tetrode();
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();

    let mut command = sort(&recording, &disk.join("out"));
    command.arg("--work").arg(folder.path().join("work"));
    let Some(ran) = with_file_system(&disk, "size=40k", &command) else {
        return;
    };
    // No name is left of the result; the hint tells what to do.
    ran.fails(4, &["disk", "No space left"], &["full", "free some space"]);

    let mut command = sort(&recording, &out);
    command.arg("--work").arg(disk.join("work"));
    let Some(mut ran) = with_file_system(&disk, "size=40k", &command) else {
        return;
    };
    ran.stdout.clear(); // the work folder may stay: the same command goes on from it
    ran.fails(
        4,
        &["disk", "No space left"],
        &["free some space", "--work"],
    );
    nothing_left(&out);
}

#[test]
fn a_read_only_place() {
    let (folder, recording, out) = with_tetrode();
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mut command = sort(&recording, &disk.join("out"));
    command.arg("--work").arg(folder.path().join("work"));
    let Some(ran) = with_file_system(&disk, "ro", &command) else {
        return;
    };
    ran.fails(4, &["disk", "Read-only"], &["written"]);

    let mut command = sort(&recording, &out);
    command.arg("--work").arg(disk.join("work"));
    let Some(ran) = with_file_system(&disk, "ro", &command) else {
        return;
    };
    ran.fails(4, &["disk", "Read-only"], &[]);
    nothing_left(&out);
}
