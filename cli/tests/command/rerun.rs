//! `somata rerun`: the same bytes from a manifest alone, and a refusal where the input is no longer the same.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use crate::{
    data::{change_json, tetrode},
    movies::{changed_weights, image, imaging_answer, small, small_pages, tiff, write},
    run::{answer, assert_same, manifest, nothing_left, run, somata, sort},
};

/// `somata rerun MANIFEST --out OUT`.
fn rerun(manifest: &Path, out: &Path) -> Command {
    let mut command = somata();
    command.arg("rerun").arg(manifest).arg("--out").arg(out);
    command
}

/// The manifest alone, in a folder of its own; the result that it was part of goes away.
fn only_the_manifest(out: &Path) -> PathBuf {
    let kept = out.with_file_name("kept.json");
    std::fs::rename(out.join("manifest.json"), &kept).unwrap();
    std::fs::remove_dir_all(out).unwrap();
    kept
}

/// What a manifest says but for the command and what was measured.
fn without_times(mut manifest: Value) -> Value {
    let fields = manifest.as_object_mut().unwrap();
    for measured in [
        "command",
        "finished",
        "seconds",
        "frames_per_second",
        "peak_memory_bytes",
        "kernels",
    ] {
        fields.remove(measured);
    }
    for stage in fields
        .get_mut("stages")
        .into_iter()
        .flat_map(|stages| stages.as_array_mut().unwrap())
    {
        stage.as_object_mut().unwrap().remove("seconds");
    }
    manifest
}

fn kept_manifest(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_sort_is_made_again_from_its_manifest_alone() {
    let folder = tempfile::tempdir().unwrap();
    let recording = tetrode(folder.path());
    // A bare file, of which only the command line knows what it is, and everything named from the working folder.
    std::fs::remove_file(recording.join("recording.json")).unwrap();
    write(folder.path(), "some.toml", b"[matching]\nsweeps = 5\n");
    let first = folder.path().join("first");
    run(somata()
        .current_dir(&recording)
        .args([
            "sort",
            "recording.bin",
            "--out",
            "../first",
            "--device",
            "cpu",
        ])
        .args(["--sampling-frequency", "30000", "--n-channels", "4"])
        .args([
            "--dtype",
            "int16",
            "--gain-uv",
            "0.195",
            "--probe",
            "probe.json",
        ])
        // Seventeen digits: a parameter must come back to the last bit.
        .args(["--set", "clustering.min_spikes=15"])
        .args(["--set", "detection.threshold=5.1234567890123457"])
        .args(["--params", "../some.toml"]))
    .succeeds();
    let expected = answer(&first);
    let kept = only_the_manifest(&first);

    let elsewhere = tempfile::tempdir().unwrap();
    let second = elsewhere.path().join("second");
    run(rerun(&kept, &second).current_dir(elsewhere.path())).succeeds();
    assert_same(&expected, &answer(&second), "made again");
    assert!(expected.contains_key("params.py"));
    let now = manifest(&second);
    assert_eq!(now["parameters"]["matching"]["sweeps"], 5);
    assert!(now["n_spikes"].as_u64() > Some(0), "nothing to compare");
    assert_eq!(without_times(kept_manifest(&kept)), without_times(now));

    // A result that was made again can itself be made again, and its folder stands for its manifest.
    let third = elsewhere.path().join("third");
    run(&mut rerun(&second, &third)).succeeds();
    assert_same(
        &expected,
        &answer(&third),
        "made again from what was made again",
    );
}

#[test]
fn a_movie_is_made_again_from_its_manifest_alone() {
    let folder = tempfile::tempdir().unwrap();
    small(folder.path());
    let weights = changed_weights(|header| {
        header["__metadata__"]["somata.note"] = json!("a copy");
    });
    write(folder.path(), "net.safetensors", &weights);
    let out = folder.path().join("out");
    run(somata()
        .current_dir(folder.path())
        .args(["image", "movie.tif", "--out", "out", "--device", "cpu"])
        .args(["--frame-rate", "30", "--tau", "0.4", "--keep-movie"])
        .args([
            "--weights",
            "net.safetensors",
            "--set",
            "footprints.rounds=2",
        ]))
    .succeeds();
    let expected = imaging_answer(&out);
    assert!(expected.contains_key("registered.tif"));
    let kept = only_the_manifest(&out);
    assert!(kept_manifest(&kept)["n_cells"].as_u64() > Some(0));

    // Some files name the place of the result, so that all bytes are equal at the same place only.
    run(&mut rerun(&kept, &out)).succeeds();
    assert_same(&expected, &imaging_answer(&out), "made again");
    assert_eq!(
        without_times(kept_manifest(&kept)),
        without_times(manifest(&out))
    );
}

/// Every file of a result of `somata segment` but the manifest and the log.
fn labels(out: &Path) -> BTreeMap<String, Vec<u8>> {
    imaging_answer(out)
}

#[test]
fn still_images_are_labelled_again_from_the_manifest_alone() {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("images");
    std::fs::create_dir(&images).unwrap();
    let page = tiff(&small_pages(1));
    for name in ["b.tif", "a.tif"] {
        write(&images, name, &page);
    }
    let out = folder.path().join("out");
    run(somata()
        .current_dir(folder.path())
        .args(["segment", "images", "--out", "out", "--device", "cpu"])
        .args(["--diameter", "9", "--set", "segmentation.min_size_px=10"]))
    .succeeds();
    let expected = labels(&out);
    let kept = only_the_manifest(&out);
    // A folder that has more images by now: the manifest names the files.
    write(&images, "c.tif", &page);
    run(&mut rerun(&kept, &out)).succeeds();
    assert_same(&expected, &labels(&out), "labelled again");
    assert!(expected.contains_key("a_masks.tif") && expected.contains_key("b_masks.tif"));

    write(&images, "b.tif", &tiff(&small_pages(2)[1..]));
    let other = folder.path().join("other");
    run(&mut rerun(&kept, &other)).fails(3, &["kept.json", "have changed"], &["restore the input"]);
    nothing_left(&other);
}

#[test]
fn an_input_that_has_changed_or_gone_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let recording = tetrode(folder.path());
    let out = folder.path().join("out");
    run(&mut sort(&recording, &out)).succeeds();
    let kept = only_the_manifest(&out);
    let data = recording.join("recording.bin");
    let whole = std::fs::read(&data).unwrap();
    let restore = "restore the file";

    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 1;
    std::fs::write(&data, &changed).unwrap();
    run(&mut rerun(&kept, &out)).fails(
        3,
        &["recording.bin", "kept.json", "content has changed"],
        &[restore],
    );
    nothing_left(&out);

    std::fs::write(&data, &whole[..whole.len() - 8]).unwrap();
    let was = format!("it had {} bytes and has {}", whole.len(), whole.len() - 8);
    run(&mut rerun(&kept, &out)).fails(3, &["recording.bin", &was], &[restore]);

    std::fs::remove_file(&data).unwrap();
    run(&mut rerun(&kept, &out)).fails(
        3,
        &["recording.bin", "cannot be read"],
        &["--moved OLD NEW"],
    );
    std::fs::write(&data, &whole).unwrap();

    // The probe is no file of samples, but spikes depend on it.
    change_json(&recording.join("probe.json"), |probe| {
        probe["probes"][0]["contact_positions"][0][1] = json!(7.5);
    });
    let ran = run(&mut rerun(&kept, &out));
    ran.fails(3, &["kept.json"], &["restore the"]);
    nothing_left(&out);
}

#[test]
fn weights_and_movies_that_have_changed_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let movie = small(folder.path());
    let weights = write(folder.path(), "net.safetensors", &changed_weights(|_| ()));
    let out = folder.path().join("out");
    run(image(&movie, &out).arg("--weights").arg(&weights)).succeeds();
    let kept = only_the_manifest(&out);
    let other = changed_weights(|header| header["__metadata__"]["somata.note"] = json!("another"));
    write(folder.path(), "net.safetensors", &other);
    run(&mut rerun(&kept, &out)).fails(3, &["network's weights", "kept.json"], &["--weights"]);

    let mut changed = std::fs::read(&movie).unwrap();
    // Within the first block that the fingerprint looks at.
    changed[1000] ^= 1;
    std::fs::write(&movie, changed).unwrap();
    run(&mut rerun(&kept, &out)).fails(3, &["kept.json", "have changed"], &["restore the input"]);
    nothing_left(&out);
}

#[test]
fn files_that_have_moved_are_found_where_they_are_now() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    std::fs::create_dir(&old).unwrap();
    let recording = tetrode(&old);
    let out = folder.path().join("out");
    run(sort(&recording, &out)
        .arg("--probe")
        .arg(recording.join("probe.json")))
    .succeeds();
    let mut expected = answer(&out);
    let kept = only_the_manifest(&out);
    std::fs::rename(&old, &new).unwrap();
    run(&mut rerun(&kept, &out)).fails(3, &["recording.bin"], &["--moved OLD NEW"]);
    run(rerun(&kept, &out).arg("--moved").args([&old, &new])).succeeds();
    let mut found = answer(&out);
    let [was, is] = [&mut expected, &mut found]
        .map(|files| String::from_utf8(files.remove("params.py").unwrap()).unwrap());
    assert_eq!(
        was.replace("/old/", "/new/"),
        is,
        "only phy's pointer to the samples has moved"
    );
    assert_same(&expected, &found, "moved");
}

#[test]
fn another_version_or_device_is_told_and_kept_in_the_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let recording = tetrode(folder.path());
    let out = folder.path().join("out");
    run(&mut sort(&recording, &out)).succeeds();
    let kept = only_the_manifest(&out);
    change_json(&kept, |manifest| {
        manifest["somata"] = json!("0.0.7");
        manifest["device"] = json!("A card of the year 2042 (vulkan)");
    });
    run(&mut rerun(&kept, &out)).fails(
        5,
        &["`A card of the year 2042` was asked for"],
        &["--device cpu"],
    );
    nothing_left(&out);
    let ran = run(rerun(&kept, &out).args(["--device", "cpu"])).succeeds();
    let warnings = manifest(&out)["warnings"].to_string();
    for told in [
        "was made by somata 0.0.7",
        "was made on `A card of the year 2042 (vulkan)`",
    ] {
        assert!(ran.stderr.contains(told), "{}", ran.stderr);
        assert!(warnings.contains(told), "{warnings}");
    }
}

#[test]
fn what_is_no_manifest_of_a_result_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let recording = tetrode(folder.path());
    let out = folder.path().join("out");
    let kept = folder.path().join("kept.json");
    run(&mut rerun(&kept, &out)).fails(3, &["could not read", "kept.json"], &["manifest.json"]);
    for (text, what) in [
        ("{ half", "no manifest that can be used"),
        ("{}", "not the manifest of a sort"),
        (r#"{"kind": "match"}"#, "not the manifest of a sort"),
        (r#"{"kind": "sort"}"#, "has no `somata`"),
    ] {
        std::fs::write(&kept, text).unwrap();
        run(&mut rerun(&kept, &out)).fails(3, &["kept.json", what], &[]);
    }
    run(&mut sort(&recording, &out)).succeeds();
    std::fs::copy(out.join("manifest.json"), &kept).unwrap();
    std::fs::remove_dir_all(&out).unwrap();
    let whole = std::fs::read(&kept).unwrap();
    type Change = fn(&mut Value);
    let cases: [(i32, &str, Change); 5] = [
        (3, "it has no `arguments`", |m| m["arguments"] = Value::Null),
        // An option that this version does not know may change the result.
        (3, "`new_option`", |m| {
            m["arguments"]["input"]["new_option"] = json!(1)
        }),
        (3, "it has no `parameters`", |m| m["parameters"] = json!(7)),
        (2, "unknown parameter `matching.sweps`", |m| {
            m["parameters"]["matching"]["sweps"] = json!(3)
        }),
        (2, "`matching.sweeps` cannot be `-1`", |m| {
            m["parameters"]["matching"]["sweeps"] = json!(-1)
        }),
    ];
    for (code, what, change) in cases {
        std::fs::write(&kept, &whole).unwrap();
        change_json(&kept, change);
        run(&mut rerun(&kept, &out)).fails(code, &[what], &[]);
        nothing_left(&out);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_manifest_that_names_pipes_devices_or_a_folder_of_anything_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let recording = tetrode(folder.path());
    let out = folder.path().join("out");
    run(&mut sort(&recording, &out)).succeeds();
    let kept = only_the_manifest(&out);
    let pipe = folder.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let huge = folder.path().join("huge");
    std::fs::create_dir(&huge).unwrap();
    for number in 0..100 {
        std::fs::write(huge.join(format!("{number}")), [0; 100]).unwrap();
    }
    for (path, what) in [
        (pipe.as_path(), "is neither a file nor a folder"),
        (Path::new("/dev/zero"), "is neither a file nor a folder"),
        (&huge, "it had 999 bytes and has more"),
    ] {
        change_json(&kept, |m| {
            m["inputs"][0]["path"] = json!(path);
            m["inputs"][0]["bytes"] = json!(999);
        });
        run(&mut rerun(&kept, &out)).fails(3, &[&path.display().to_string(), what], &[]);
        nothing_left(&out);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_path_that_is_no_unicode_does_not_cost_the_result() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join(OsStr::from_bytes(b"m\xfcnchen"));
    std::fs::create_dir(&odd).unwrap();
    let recording = tetrode(&odd);
    let movie = small(&odd);
    for (out, mut command) in [
        (odd.join("sorted"), sort(&recording, &odd.join("sorted"))),
        (odd.join("imaged"), image(&movie, &odd.join("imaged"))),
    ] {
        let ran = run(command.arg("--json")).succeeds();
        assert!(ran.stdout.contains("m\u{fffd}nchen"), "{}", ran.stdout);
        // The text names no file, and that is said.
        run(&mut rerun(&out, &odd.join("again"))).fails(3, &["cannot be read"], &["--moved"]);
    }
}
