//! `somata image`: what it writes, and how it is asked.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use somata_io::{
    imaging_output::zip_archive::read_zip,
    npy::{parse_header, read_npy_as_f64},
    still_image::read_image,
};

use crate::{
    movies::{
        CELLS, FRAMES, Page, SIDE, image, image_at_its_own_rate, imaging_answer, other_pixels,
        read_movie, small, small_pages, small_pixels, tiff, write,
    },
    run::{assert_same, json, manifest, nothing_left, partial_results, run, somata},
};

/// A temporary folder with the small movie, and where a result would go.
fn with_movie() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let movie = small(folder.path());
    let out = folder.path().join("out");
    (folder, movie, out)
}

/// Rows and columns of an array of a result.
#[track_caller]
fn array(out: &Path, name: &str) -> (Vec<usize>, Vec<f64>) {
    let array = read_npy_as_f64(&out.join(name)).unwrap();
    (array.shape, array.data)
}

/// Asserts that `n` cells of `n_frames` frames are in every file of a plane's folder.
#[track_caller]
fn plane_is_whole(out: &Path, plane: usize, n: usize, n_frames: usize) {
    let folder = format!("suite2p/plane{plane}");
    for name in ["F", "Fneu", "F_corrected", "spks"] {
        let (shape, data) = array(out, &format!("{folder}/{name}.npy"));
        assert_eq!(shape, [n, n_frames], "{name}");
        assert!(data.iter().all(|value| value.is_finite()), "{name}");
    }
    assert_eq!(array(out, &format!("{folder}/iscell.npy")).0, [n, 2]);
    assert_eq!(array(out, &format!("{folder}/shifts.npy")).0, [n_frames, 2]);
    for name in [
        "stat",
        "ops",
        "db",
        "settings",
        "reg_outputs",
        "detect_outputs",
    ] {
        let path = out.join(format!("{folder}/{name}.npy"));
        let bytes = std::fs::read(&path).unwrap();
        assert!(bytes.starts_with(b"\x93NUMPY"), "{}", path.display());
    }
}

#[test]
fn a_movie_becomes_cells_traces_and_files() {
    let (folder, movie, out) = with_movie();
    let ran = run(&mut image(&movie, &out)).succeeds();
    assert_eq!(ran.stdout, "");
    for stage in ["registration", "cells", "traces", "spikes"] {
        assert!(
            ran.stderr
                .lines()
                .any(|line| line.starts_with(stage) && line.ends_with(" s")),
            "{stage} in {}",
            ran.stderr
        );
    }

    let manifest = manifest(&out);
    let n = manifest["n_cells"].as_u64().unwrap() as usize;
    assert!((CELLS / 2..=CELLS + 4).contains(&n), "{n} cells of {CELLS}");
    assert_eq!(manifest["kind"], "image");
    assert_eq!(manifest["device"], "cpu");
    assert_eq!(manifest["not_finite_values"], 0);
    assert_eq!(manifest["tau_s"], Value::Null);
    assert_eq!(manifest["functional_channel"], 1);
    assert_eq!(
        manifest["movie"],
        json!({
            "format": "TIFF", "height": SIDE, "width": SIDE, "n_frames": FRAMES, "n_planes": 1, "n_channels": 1,
            "frame_rate_hz": 30.0, "pixel_type": "int16", "pixel_size_um": null,
        })
    );
    assert_eq!(
        manifest["inputs"],
        json!([{ "path": movie, "bytes": std::fs::metadata(&movie).unwrap().len() }])
    );
    let planes = manifest["planes"].as_array().unwrap();
    assert_eq!(planes.len(), 1);
    assert_eq!(planes[0]["n_cells"], n);
    assert!(planes[0]["largest_shift_px"].as_f64() > Some(1.0));
    let stages: Vec<&str> = manifest["stages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stage| stage["stage"].as_str().unwrap())
        .collect();
    assert_eq!(stages, ["registration", "cells", "traces", "spikes"]);
    assert!(manifest["parameters"]["registration"]["knot_rows"].is_u64());

    plane_is_whole(&out, 0, n, FRAMES);
    let labels = read_image(&out.join("masks.tif")).unwrap();
    assert_eq!(
        (labels.len(), labels[0].height, labels[0].width),
        (1, SIDE, SIDE)
    );
    assert_eq!(
        labels[0].pixels.iter().copied().fold(0.0, f32::max),
        n as f32
    );
    for name in ["mean", "max", "correlation", "variance"] {
        let tif = read_image(&out.join(format!("{name}.tif"))).unwrap();
        let png = read_image(&out.join(format!("{name}.png"))).unwrap();
        for image in [&tif, &png] {
            assert_eq!(
                (image.len(), image[0].height, image[0].width),
                (1, SIDE, SIDE),
                "{name}"
            );
        }
        assert!(
            tif[0].pixels.iter().all(|value| value.is_finite()),
            "{name}.tif"
        );
    }
    assert_eq!(read_image(&out.join("cells.png")).unwrap()[0].n_channels, 3);
    let arrays = read_zip(&out.join("traces.npz"), 1 << 30).unwrap();
    for member in &arrays {
        let header = parse_header(Path::new(&member.name), &member.bytes).unwrap();
        let expected = match member.name.as_str() {
            "time_s.npy" => vec![FRAMES],
            _ => vec![n, FRAMES],
        };
        assert_eq!(header.shape, expected, "{}", member.name);
    }
    let mut names: Vec<&str> = arrays.iter().map(|member| member.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "F.npy",
            "F_corrected.npy",
            "Fneu.npy",
            "denoised.npy",
            "dff.npy",
            "spikes.npy",
            "time_s.npy"
        ]
    );
    assert_eq!(read_zip(&out.join("rois.zip"), 1 << 30).unwrap().len(), n);
    let lines = |name: &str| {
        std::fs::read_to_string(out.join(name))
            .unwrap()
            .lines()
            .count()
    };
    assert_eq!(lines("cells.csv"), n + 1);
    assert_eq!(lines("motion.csv"), FRAMES + 1);
    assert!(!out.join("registered.tif").exists(), "nobody asked for it");
    assert!(
        !folder.path().join("out.work").exists(),
        "the work folder goes after success"
    );

    // The scores are those of a movie with many photons and little motion.
    let validate = |options: &[&str]| {
        let mut command = somata();
        command
            .arg("validate")
            .arg(&out)
            .arg(folder.path())
            .args(options);
        run(&mut command).succeeds().stdout
    };
    let scores = &json(&validate(&["--json"]))[0];
    assert_eq!(scores["n_truth"], CELLS);
    assert_eq!(scores["n_pred"], n);
    for (score, least) in [
        ("f1_active", 0.8),
        ("mean_iou", 0.7),
        ("trace_r_median", 0.9),
    ] {
        assert!(
            scores[score].as_f64() >= Some(least),
            "{score}: {}",
            scores[score]
        );
    }
    assert!(
        scores["shift_rmse_px"].as_f64() < Some(0.2),
        "{}",
        scores["shift_rmse_px"]
    );
    let table = validate(&["--good-only"]);
    assert!(
        table.starts_with(&format!("true cells        {CELLS} (")),
        "{table}"
    );

    // A result agrees with itself.
    let compare = |options: &[&str]| {
        let mut command = somata();
        command.arg("compare").args([&out, &out]).args(options);
        run(&mut command).succeeds().stdout
    };
    let agreement = json(&compare(&["--json"]));
    for score in agreement[0].as_array().unwrap() {
        assert_eq!(
            (&score["true_positives"], &score["average_precision"]),
            (&json!(n), &json!(1.0))
        );
    }
    assert!(
        compare(&[]).contains(&format!(
            "plane 0: {n} cells of both at IoU 0.5, 0 only in the first"
        )),
        "{}",
        compare(&[])
    );
}

#[test]
fn the_same_command_is_complete_and_another_one_is_refused_without_force() {
    let (folder, movie, out) = with_movie();
    run(&mut image(&movie, &out)).succeeds();
    let first = imaging_answer(&out);
    let written = std::fs::read(out.join("manifest.json")).unwrap();
    let unchanged = || {
        assert_eq!(std::fs::read(out.join("manifest.json")).unwrap(), written);
        assert_same(&first, &imaging_answer(&out), "a run that was not made");
        assert_eq!(partial_results(&out), Vec::<String>::new());
        assert!(!folder.path().join("out.work").exists());
    };

    let again = run(&mut image(&movie, &out)).succeeds();
    assert!(
        again.stdout.starts_with("already complete: `"),
        "{}",
        again.stdout
    );
    let again = run(image(&movie, &out).arg("--json")).succeeds();
    assert_eq!(json(&again.stdout), manifest(&out));
    // How it is computed does not matter.
    let again = run(image(&movie, &out).args(["--threads", "1", "--chunk-blocks", "3"])).succeeds();
    assert!(
        again.stdout.starts_with("already complete"),
        "{}",
        again.stdout
    );
    unchanged();

    for other in [
        &["--tau", "0.7"][..],
        &["--keep-movie"],
        &["--set", "deconvolution.order=1"],
        &["--frame-rate", "15"],
    ] {
        let ran = match other {
            ["--frame-rate", _] => run(&mut image_at_its_own_rate(&movie, &out, other)),
            _ => run(image(&movie, &out).args(other)),
        };
        ran.fails(
            4,
            &["out", "another input, version or parameters"],
            &["--out", "--force"],
        );
        unchanged();
    }
    // Another movie at the same place.
    let mut pages = small_pages(FRAMES);
    pages[7].bytes[0] ^= 1;
    write(folder.path(), "movie.tif", &tiff(&pages));
    run(&mut image(&movie, &out)).fails(4, &["another input"], &["--force"]);
    unchanged();

    run(image(&movie, &out).args(["--tau", "1.1", "--force"])).succeeds();
    assert_eq!(manifest(&out)["tau_s"], 1.1);
    assert_eq!(partial_results(&out), Vec::<String>::new());
}

#[test]
fn a_result_of_another_kind_is_not_replaced() {
    let (folder, movie, out) = with_movie();
    std::fs::create_dir(&out).unwrap();
    write(&out, "manifest.json", br#"{"kind": "sort", "key": "0"}"#);
    run(image(&movie, &out).arg("--force")).fails(4, &["out", "another"], &["--out"]);
    assert_eq!(out.read_dir().unwrap().count(), 1);

    let other = folder.path().join("notes");
    std::fs::create_dir(&other).unwrap();
    write(&other, "notes.txt", b"mine");
    run(image(&movie, &other).arg("--force")).fails(4, &["notes", "not a result"], &["--out"]);
    assert_eq!(std::fs::read(other.join("notes.txt")).unwrap(), b"mine");

    // Some workflow managers make the folder beforehand.
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    run(&mut image(&movie, &empty)).succeeds();
    assert!(empty.join("manifest.json").is_file());
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let (folder, movie, out) = with_movie();
    let ran = run(image(&movie, &out).args(["--dry-run", "--threads", "2"])).succeeds();
    let plan = json(&ran.stdout);
    assert_eq!(plan["n_frames"], FRAMES);
    assert_eq!(plan["duration_s"], 10.0);
    assert_eq!(plan["threads"], 2);
    assert_eq!(
        plan["stages"],
        json!(["registration", "cells", "traces", "spikes"])
    );
    for estimate in ["memory_bytes", "disk_bytes"] {
        assert!(
            plan[estimate].as_u64() > Some(100_000),
            "{estimate}: {}",
            plan[estimate]
        );
    }
    assert_eq!(plan["parameters"]["deconvolution"]["order"], 2);
    nothing_left(&out);
    assert!(!folder.path().join("out.work").exists());
}

#[test]
fn json_and_events_are_for_programs() {
    let (folder, movie, out) = with_movie();
    let events = folder.path().join("events.jsonl");
    let ran = run(image(&movie, &out)
        .args(["--json", "--quiet", "--events"])
        .arg(&events))
    .succeeds();
    assert_eq!(json(&ran.stdout), manifest(&out));
    assert_eq!(ran.stderr, "", "--quiet");
    let events: Vec<Value> = std::fs::read_to_string(&events)
        .unwrap()
        .lines()
        .map(json)
        .collect();
    let of = |kind: &str| -> Vec<&str> {
        let found = events.iter().filter(|event| event["event"] == kind);
        found
            .map(|event| event["stage"].as_str().unwrap())
            .collect()
    };
    let stages = ["registration", "cells", "traces", "spikes"];
    assert_eq!(of("stage_started"), stages);
    assert_eq!(of("stage_done"), stages);
    assert!(of("progress").contains(&"registration"), "{events:?}");
    for event in events.iter().filter(|event| event["event"] == "progress") {
        let fraction = event["fraction"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&fraction), "{event}");
    }

    // On stdout, a line each.
    std::fs::remove_dir_all(&out).unwrap();
    let ran = run(image(&movie, &out).args(["--quiet", "--events", "-"])).succeeds();
    assert!(
        ran.stdout
            .lines()
            .map(json)
            .any(|event| event["event"] == "stage_done")
    );
}

#[test]
fn the_registered_movie_is_kept_where_it_is_asked_for() {
    let (folder, movie, out) = with_movie();
    run(image(&movie, &out).arg("--keep-movie")).succeeds();
    let registered = read_movie(&out.join("registered.tif"), 0).unwrap();
    assert_eq!(registered.len(), FRAMES * SIDE * SIDE);
    let raw: Vec<f64> = small_pixels().iter().map(|&v| f64::from(v)).collect();
    // What moves in the raw movie stands still in the registered one: successive seconds are more alike in it.
    let second = |movie: &[f64], at: usize| -> Vec<f64> {
        let mut mean = vec![0.0; SIDE * SIDE];
        for frame in movie.chunks_exact(SIDE * SIDE).skip(at).take(30) {
            mean.iter_mut()
                .zip(frame)
                .for_each(|(sum, value)| *sum += value);
        }
        mean
    };
    let alike = |movie: &[f64]| correlation(&second(movie, 0), &second(movie, FRAMES - 30));
    let (before, after) = (alike(&raw), alike(&registered));
    assert!(after > before + 0.15, "{before} before, {after} after");
    // Its mean is the mean image, up to the rounding of a pixel, where all frames measured it.
    let mean = read_image(&out.join("mean.tif")).unwrap();
    let middle = SIDE / 2 * SIDE + SIDE / 2;
    let of_movie: f64 = registered
        .iter()
        .skip(middle)
        .step_by(SIDE * SIDE)
        .sum::<f64>()
        / FRAMES as f64;
    assert!((of_movie - f64::from(mean[0].pixels[middle])).abs() < 0.5);

    // Pixels that cannot be negative stay so.
    let unsigned: Vec<u16> = small_pixels()
        .iter()
        .map(|&value| (value.max(0) as u16) << 2)
        .collect();
    let pages: Vec<Page> = unsigned
        .chunks_exact(SIDE * SIDE)
        .take(60)
        .map(|frame| Page::u16(SIDE, SIDE, frame))
        .collect();
    let movie = write(folder.path(), "unsigned.tif", &tiff(&pages));
    let out = folder.path().join("unsigned");
    run(image(&movie, &out).arg("--keep-movie")).succeeds();
    let kept = read_image(&out.join("registered.tif")).unwrap();
    assert_eq!((kept.len(), kept[0].pixel_type_name), (60, "uint16"));
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let sum = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
        a.iter()
            .zip(b)
            .map(|(a, b)| f(a - mean_a, b - mean_b))
            .sum()
    };
    sum(&|a, b| a * b) / (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt()
}

#[test]
fn the_decay_is_estimated_or_given() {
    let (folder, movie, out) = with_movie();
    run(&mut image(&movie, &out)).succeeds();
    let decay = |out: &Path| manifest(out)["planes"][0]["decay_s"].as_f64().unwrap();
    // The truth is 0.7 s; a dozen cells for ten seconds tell it to about a quarter.
    assert!((0.5..0.95).contains(&decay(&out)), "{} s", decay(&out));
    let given = folder.path().join("given");
    run(image(&movie, &given).args(["--tau", "1.25"])).succeeds();
    assert_eq!(manifest(&given)["tau_s"], 1.25);
    assert_eq!(decay(&given), 1.25);
    let spikes = |out: &Path| array(out, "suite2p/plane0/spks.npy").1;
    assert_ne!(spikes(&out), spikes(&given));
}

#[test]
fn parameters_come_from_a_file_and_an_option_wins() {
    let (folder, movie, out) = with_movie();
    let text = b"[registration]\ncorrect = false\nbidirectional = false\n[activity]\nfind = true\n";
    let file = write(folder.path(), "parameters.toml", text);
    run(image(&movie, &out)
        .arg("--params")
        .arg(&file)
        .args(["--set", "activity.find=false"]))
    .succeeds();
    let manifest = manifest(&out);
    assert_eq!(manifest["parameters"]["registration"]["correct"], false);
    assert_eq!(manifest["parameters"]["activity"]["find"], false);
    assert_eq!(manifest["planes"][0]["largest_shift_px"], 0.0);
    assert_eq!(manifest["planes"][0]["n_by_activity"], 0);

    for (option, what) in [
        ("activity.finds=true", "did you mean `activity.find`?"),
        ("registration.max_shift=0.9", "`0.9`"),
        ("matching.sweeps=2", "`matching.sweeps`"),
    ] {
        let out = folder.path().join("refused");
        run(image(&movie, &out).args(["--set", option])).fails(2, &[what], &["somata params"]);
        nothing_left(&out);
    }
}

#[test]
fn files_of_one_movie_and_other_formats_of_it_give_the_same_answer() {
    let (folder, movie, _) = with_movie();
    let out = folder.path().join("out");
    let answer = |command: &mut std::process::Command| {
        run(command).succeeds();
        let mut files = imaging_answer(&out);
        std::fs::remove_dir_all(&out).unwrap();
        // These name the input.
        for name in ["db", "ops"] {
            files
                .remove(&format!("suite2p/plane0/{name}.npy"))
                .expect("it is there");
        }
        files
    };
    let expected = answer(&mut image(&movie, &out));

    // Three files, in the order given, and a folder of them, in the order of the numbers in their names.
    let pages = small_pages(FRAMES);
    let parts = folder.path().join("parts");
    std::fs::create_dir(&parts).unwrap();
    let files = [
        ("m2.tif", 0..100),
        ("m9.tif", 100..101),
        ("m10.tif", 101..FRAMES),
    ]
    .map(|(name, frames)| write(&parts, name, &tiff(&pages[frames])));
    let mut command = image(&files[0], &out);
    command.args(&files[1..]);
    assert_same(&expected, &answer(&mut command), "three files");
    assert_same(&expected, &answer(&mut image(&parts, &out)), "a folder");

    // Floats that hold the same numbers.
    let floats: Vec<f32> = small_pixels()
        .iter()
        .map(|&value| f32::from(value))
        .collect();
    let pages: Vec<Page> = floats
        .chunks_exact(SIDE * SIDE)
        .map(|frame| Page::f32(SIDE, SIDE, frame))
        .collect();
    let path = write(folder.path(), "floats.tif", &tiff(&pages));
    assert_same(&expected, &answer(&mut image(&path, &out)), "floats");

    // Bare pixels, as Suite2p leaves them.
    let bytes: Vec<u8> = small_pixels()
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let path = write(folder.path(), "data.bin", &bytes);
    let side = SIDE.to_string();
    let mut command = image(&path, &out);
    command.args(["--height", &side, "--width", &side, "--dtype", "int16"]);
    assert_same(&expected, &answer(&mut command), "bare pixels");
}

#[test]
fn planes_and_channels_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let out = |name: &str| folder.path().join(name);
    // Every time point: plane 1 in two channels, then plane 2. The first channel shows the tissue a hundred counts brighter.
    let frames = |pixels: &'static [i16]| pixels.chunks_exact(SIDE * SIDE);
    let mut pages = Vec::new();
    for (first, second) in frames(small_pixels()).zip(frames(other_pixels())) {
        for plane in [first, second] {
            let brighter: Vec<i16> = plane.iter().map(|&value| value + 100).collect();
            pages.push(Page::i16(SIDE, SIDE, &brighter));
            pages.push(Page::i16(SIDE, SIDE, plane));
        }
    }
    let volume = write(folder.path(), "volume.tif", &tiff(&pages));
    let ran = run(image(&volume, &out("volume")).args([
        "--n-planes",
        "2",
        "--n-channels",
        "2",
        "--functional-channel",
        "2",
    ]))
    .succeeds();
    assert!(
        ran.stderr.contains("second channel, plane 2"),
        "{}",
        ran.stderr
    );
    let of_volume = manifest(&out("volume"));
    assert_eq!(
        (
            &of_volume["movie"]["n_planes"],
            &of_volume["movie"]["n_channels"]
        ),
        (&json!(2), &json!(2))
    );
    assert_eq!(of_volume["movie"]["n_frames"], FRAMES);
    assert_eq!(of_volume["functional_channel"], 2);

    // Each plane is what a movie of that plane and channel alone gives.
    let mut n_cells = 0;
    for (plane, pixels) in [small_pixels(), other_pixels()].into_iter().enumerate() {
        let name = format!("alone{plane}");
        let pages: Vec<Page> = frames(pixels)
            .map(|frame| Page::i16(SIDE, SIDE, frame))
            .collect();
        let alone = write(folder.path(), &format!("{name}.tif"), &tiff(&pages));
        run(&mut image(&alone, &out(&name))).succeeds();
        let n = manifest(&out(&name))["n_cells"].as_u64().unwrap() as usize;
        assert!(n > 0, "nothing to compare");
        assert_eq!(of_volume["planes"][plane]["n_cells"], n);
        for file in ["F", "Fneu", "F_corrected", "spks", "iscell", "shifts"] {
            let read = |folder: &str, plane: usize| {
                std::fs::read(out(folder).join(format!("suite2p/plane{plane}/{file}.npy"))).unwrap()
            };
            assert!(
                read(&name, 0) == read("volume", plane),
                "{file}.npy of plane {plane}"
            );
        }
        plane_is_whole(&out("volume"), plane, n, FRAMES);
        let inside =
            |file: &str| array(&out("volume"), &format!("suite2p/plane{plane}/{file}.npy"));
        assert_eq!(inside("redcell").0, [n, 2]);
        for (first, second) in [("F", "F_chan2"), ("Fneu", "Fneu_chan2")] {
            let ((shape, first), (shape_of_second, second)) = (inside(first), inside(second));
            assert_eq!(shape, shape_of_second);
            // Weights of a trace add up to 1: what is left is single precision of numbers up to some thousands. Where a part of
            // a cell leaves the frame, a mean of frames stands in for it, not quite of the same frames in both channels.
            let apart = |tolerance: f64| {
                let pairs = first.iter().zip(&second);
                pairs
                    .filter(|(a, b)| (*b - *a - 100.0).abs() > tolerance)
                    .count()
            };
            assert!(10 * apart(0.02) < 4 * n * FRAMES, "{}", apart(0.02));
            assert_eq!(apart(10.0), 0, "of {}", n * FRAMES);
        }
        n_cells += n;
    }
    assert_eq!(of_volume["n_cells"], n_cells);
    let labels = read_image(&out("volume").join("masks.tif")).unwrap();
    assert_eq!(labels.len(), 2);
    // Cells are counted over all planes.
    assert_eq!(
        labels[1].pixels.iter().copied().fold(0.0, f32::max),
        n_cells as f32
    );
    for name in ["mean", "correlation", "max", "variance", "cells"] {
        for plane in 0..2 {
            let path = out("volume").join(format!("{name}_plane{plane}.png"));
            assert!(path.is_file(), "{}", path.display());
        }
    }
    let compared = run(somata().arg("compare").args([out("volume"), out("volume")])).succeeds();
    assert_eq!(compared.stdout.lines().count(), 6, "{}", compared.stdout);

    // The other channel by itself: the same cells, a hundred counts brighter.
    let ran = run(image(&volume, &out("other")).args([
        "--n-planes",
        "2",
        "--n-channels",
        "2",
        "--keep-movie",
    ]));
    ran.succeeds();
    let other = array(&out("other"), "suite2p/plane0/F_chan2.npy");
    assert_eq!(other.0[1], FRAMES);
    for plane in 0..2 {
        let kept = read_movie(
            &out("other").join(format!("registered_plane{plane}.tif")),
            0,
        )
        .unwrap();
        assert_eq!(kept.len(), FRAMES * SIDE * SIDE);
    }
}

#[test]
fn a_result_of_another_size_or_kind_is_not_compared() {
    let (folder, movie, out) = with_movie();
    run(&mut image(&movie, &out)).succeeds();
    let frames = small_pixels().chunks_exact(SIDE * SIDE).take(40);
    let pages: Vec<Page> = frames
        .map(|frame| Page::i16(SIDE - 4, SIDE, &frame[4 * SIDE..]))
        .collect();
    let cut = write(folder.path(), "cut.tif", &tiff(&pages));
    let other = folder.path().join("cut");
    run(&mut image(&cut, &other)).succeeds();
    run(somata().arg("compare").args([&out, &other])).fails(
        3,
        &["different sizes"],
        &["one field"],
    );
    run(somata().arg("validate").args([&other, folder.path()])).fails(3, &[], &["somata image"]);
    run(somata()
        .arg("validate")
        .args([&out, &folder.path().join("nowhere")]))
    .fails(3, &["nowhere"], &[]);
}
