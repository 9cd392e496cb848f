//! `somata convert`: what becomes what, what it says, and what it refuses.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use serde_json::{Value, json};
use somata_io::{
    imaging_output::{imagej_roi::read_roi_zip, zip_archive::read_zip},
    npy::write_npy,
    tables::csv::{CsvTable, read_csv},
};
use tempfile::TempDir;

use crate::{
    data::{change_json, tetrode},
    movies::{FRAMES, SIDE, image, small},
    run::{json, manifest, nothing_left, run, somata, sort},
};

/// Results that all tests share and none changes: of a sort, of a movie and of a still image.
struct Results {
    folder: TempDir,
}

impl Results {
    fn get() -> &'static Self {
        static RESULTS: OnceLock<Results> = OnceLock::new();
        RESULTS.get_or_init(|| {
            let results = Self {
                folder: tempfile::tempdir().unwrap(),
            };
            let folder = results.folder.path();
            run(&mut sort(&tetrode(folder), &results.of("sorted"))).succeeds();
            let movie = small(folder);
            run(&mut image(&movie, &results.of("imaged"))).succeeds();
            let still = results.of("imaged").join("mean.tif");
            let mut segment = somata();
            segment.arg("segment").arg(&still).arg("--out");
            segment
                .arg(results.of("segmented"))
                .args(["--device", "cpu"]);
            run(&mut segment).succeeds();
            results
        })
    }

    fn of(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn convert(result: &Path, format: &str, out: &Path) -> Command {
    let mut command = somata();
    command.arg("convert").arg(result).args(["--to", format]);
    command.arg("--out").arg(out);
    command
}

/// A folder for an output.
fn out() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    (folder, out)
}

/// Number of rows of a table.
fn n_rows(table: &CsvTable) -> usize {
    table.columns[0].len()
}

#[test]
fn a_sorting_becomes_every_format_that_it_can() {
    let sorted = Results::get().of("sorted");
    let of = manifest(&sorted);
    let (_folder, out) = out();
    for format in ["nwb", "npz", "csv", "parquet", "mat"] {
        let target = out.join(format);
        let ran = run(convert(&sorted, format, &target).arg("--json")).succeeds();
        let summary = json(&ran.stdout);
        assert_eq!(summary["kind"], "convert");
        assert_eq!(
            (&summary["source_kind"], &summary["format"]),
            (&json!("sort"), &json!(format))
        );
        for count in ["n_units", "n_spikes"] {
            assert_eq!(summary[count], of[count], "{format}");
        }
        let units = if of["n_units"] == 1 { "unit" } else { "units" };
        let line = format!(
            "{} {units}, {} spikes in `{}`\n",
            of["n_units"],
            of["n_spikes"],
            target.display()
        );
        let warning = match format {
            "nwb" => "warning: the result does not say when the session began",
            _ => "",
        };
        assert!(
            ran.stderr.starts_with(warning) && ran.stderr.ends_with(&line),
            "{}",
            ran.stderr
        );
        assert_eq!(ran.stderr.lines().count(), 1 + usize::from(format == "nwb"));
        if ["csv", "parquet"].contains(&format) {
            assert_eq!(manifest(&target)["source"], json!(sorted));
            let files: Vec<String> = ["spikes", "units"]
                .map(|stem| format!("{stem}.{format}"))
                .into();
            assert_eq!(summary["files"], json!(files));
            assert!(files.iter().all(|file| target.join(file).is_file()));
        } else {
            assert!(target.is_file());
        }
    }
    let spikes = read_csv(&out.join("csv/spikes.csv")).unwrap();
    assert_eq!(
        spikes.names,
        ["sample", "time_s", "unit_id", "amplitude", "x_um", "y_um"]
    );
    assert_eq!(json!(n_rows(&spikes)), of["n_spikes"]);
    let units = read_csv(&out.join("csv/units.csv")).unwrap();
    assert_eq!(json!(n_rows(&units)), of["n_units"]);
    for name in ["unit_id", "label", "snr", "group"] {
        assert!(units.names.iter().any(|found| found == name), "{name}");
    }
    let members = read_zip(&out.join("npz"), 1 << 30).unwrap();
    let names: Vec<_> = members.iter().map(|member| member.name.as_str()).collect();
    let expected = [
        "unit_ids.npy",
        "num_segment.npy",
        "sampling_frequency.npy",
        "spike_indexes_seg0.npy",
        "spike_labels_seg0.npy",
    ];
    assert_eq!(names, expected);
}

#[test]
fn a_movie_s_result_becomes_every_format_that_it_can() {
    let imaged = Results::get().of("imaged");
    let of = manifest(&imaged);
    let n_cells = of["n_cells"].as_u64().unwrap() as usize;
    assert!(n_cells > 0);
    let (_folder, out) = out();
    let expected: [(&str, &[&str]); 8] = [
        ("nwb", &[]),
        (
            "csv",
            &[
                "cells.csv",
                "F.csv",
                "Fneu.csv",
                "F_corrected.csv",
                "dff.csv",
                "denoised.csv",
                "spikes.csv",
            ],
        ),
        ("parquet", &["cells.parquet", "traces.parquet"]),
        ("mat", &[]),
        ("suite2p-mat", &["plane0/Fall.mat"]),
        ("cellpose", &["plane0.tif", "plane0_seg.npy"]),
        ("coco", &[]),
        ("imagej", &[]),
    ];
    for (format, files) in expected {
        let target = out.join(format);
        let ran = run(convert(&imaged, format, &target).args(["--json", "--quiet"])).succeeds();
        assert_eq!(ran.stderr, "");
        let summary = json(&ran.stdout);
        assert_eq!(summary["n_cells"], of["n_cells"], "{format}");
        assert_eq!(summary["n_frames"], json!(FRAMES));
        assert_eq!(summary["files"], json!(files));
        assert_eq!(target.is_dir(), !files.is_empty());
        assert!(files.iter().all(|file| target.join(file).is_file()));
    }
    // The table of the cells is the result's own.
    let [own, handed_on] =
        [imaged.join("cells.csv"), out.join("csv/cells.csv")].map(|path| read_csv(&path).unwrap());
    assert_eq!(own.names, handed_on.names);
    assert_eq!(n_rows(&own), n_rows(&handed_on));
    let traces = read_csv(&out.join("csv/dff.csv")).unwrap();
    assert_eq!((traces.names.len(), n_rows(&traces)), (2 + n_cells, FRAMES));
    let [own, handed_on] =
        [imaged.join("rois.zip"), out.join("imagej")].map(|path| read_roi_zip(&path).unwrap());
    assert_eq!(own, handed_on);
    let coco: Value = json(&std::fs::read_to_string(out.join("coco")).unwrap());
    assert_eq!(coco["annotations"].as_array().unwrap().len(), n_cells);
    assert_eq!(coco["images"][0]["height"], json!(SIDE));
    assert!(coco["annotations"][0]["segmentation"]["counts"].is_string());
    let polygons = out.join("polygons.json");
    run(convert(&imaged, "coco", &polygons).arg("--polygons")).succeeds();
    let coco: Value = json(&std::fs::read_to_string(polygons).unwrap());
    assert!(coco["annotations"][0]["segmentation"][0][0].is_number());
}

#[test]
fn one_nwb_file_holds_both_results_and_what_the_user_says() {
    let results = Results::get();
    let (folder, out) = out();
    let metadata = folder.path().join("session.toml");
    let text = "session_start = 2026-01-31T09:30:00+01:00\nlab = 'Sesame'\n[subject]\nspecies = 'Mus musculus'\n\
                [probe]\nlocation = 'CA1'\nstart_s = 2\n[microscope]\nexcitation_nm = 920\n";
    std::fs::write(&metadata, text).unwrap();
    let mut both = convert(&results.of("imaged"), "nwb", &out);
    both.arg("--with").arg(results.of("sorted"));
    let ran = run(both.arg("--metadata").arg(&metadata).arg("--json")).succeeds();
    let summary = json(&ran.stdout);
    for (count, of) in [
        ("n_units", "sorted"),
        ("n_spikes", "sorted"),
        ("n_cells", "imaged"),
    ] {
        assert_eq!(summary[count], manifest(&results.of(of))[count], "{count}");
    }
    assert_eq!(summary["with"], json!(results.of("sorted")));
    assert_eq!(summary["warnings"], json!([]));
    let has = |text: &str| {
        let bytes = std::fs::read(&out).unwrap();
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    };
    for text in [
        "2026-01-31T09:30:00+01:00",
        "Sesame",
        "Mus musculus",
        "CA1",
        "PlaneSegmentation",
    ] {
        assert!(has(text), "{text}");
    }
    // The command line goes before the file.
    let mut again = convert(&results.of("sorted"), "nwb", &out);
    again.arg("--metadata").arg(&metadata).arg("--force");
    let ran = run(again.args(["--session-start", "2020-01-01T00:00:00Z"])).succeeds();
    assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
    assert!(has("2020-01-01T00:00:00+00:00") && !has("2026-01-31"));
}

#[test]
fn what_an_nwb_file_cannot_be_made_of_is_said() {
    let results = Results::get();
    let (folder, out) = out();
    let sorted = results.of("sorted");
    let metadata = folder.path().join("session.toml");
    let nwb = |more: &[&str]| {
        let mut command = convert(&sorted, "nwb", &out);
        run(command.args(more))
    };
    nwb(&["--session-start", "2026-01-31T09:30:00"]).fails(
        2,
        &["--session-start", "2026-01-31T09:30:00", "time zone"],
        &["+01:00"],
    );
    let path = metadata.to_str().unwrap();
    nwb(&["--metadata", path]).fails(2, &["could not read", "session.toml"], &["TOML"]);
    for (text, what) in [
        ("species = 'Mus musculus'", "unknown field `species`"),
        ("[subject]\nspecie = 'a'", "unknown field `specie`"),
        ("lab = 3", "invalid type: integer `3`"),
        ("lab = ", "session.toml"),
        (
            "session_start = 2026-01-31",
            "`session_start` is `2026-01-31`",
        ),
        ("session_start = 7", "`session_start` is `7`"),
        (
            "[subject]\ndate_of_birth = 'May'",
            "`date_of_birth` is `May`",
        ),
    ] {
        std::fs::write(&metadata, text).unwrap();
        nwb(&["--metadata", path]).fails(2, &[what], &[]);
    }
    let other = results.of("segmented");
    nwb(&["--with", other.to_str().unwrap()]).fails(
        2,
        &["segmented", "still images", "a sorting"],
        &["--with"],
    );
    nwb(&["--with", sorted.to_str().unwrap()]).fails(2, &["is a sorting"], &["--with"]);
    nwb(&["--with", "none"]).fails(3, &["`none` does not exist"], &["path"]);
    for option in ["--with", "--metadata", "--session-start"] {
        let mut command = convert(&sorted, "npz", &out);
        run(command.args([option, "none"])).fails(2, &[option, "--to npz"], &["--to nwb"]);
    }
    run(&mut convert(&other, "nwb", &out)).fails(2, &["still images", "`nwb`"], &["cellpose"]);
    nothing_left(&out);
}

#[test]
fn still_images_become_every_format_that_they_can() {
    let segmented = Results::get().of("segmented");
    let of = manifest(&segmented);
    let (_folder, out) = out();
    let expected: [(&str, &[&str]); 3] = [
        ("cellpose", &["mean_seg.npy"]),
        ("imagej", &["mean_rois.zip"]),
        ("coco", &[]),
    ];
    for (format, files) in expected {
        let target = out.join(format);
        let ran = run(convert(&segmented, format, &target).arg("--json")).succeeds();
        let summary = json(&ran.stdout);
        assert_eq!(summary["n_cells"], of["n_cells"]);
        assert_eq!(
            (&summary["n_images"], &summary["files"]),
            (&json!(1), &json!(files))
        );
        assert!(ran.stderr.contains(", 1 image in `"), "{}", ran.stderr);
    }
    let coco: Value = json(&std::fs::read_to_string(out.join("coco")).unwrap());
    assert_eq!(
        json!(coco["annotations"].as_array().unwrap().len()),
        of["n_cells"]
    );
    assert_eq!(coco["images"][0]["file_name"], "mean.tif");
    let regions = read_roi_zip(&out.join("imagej/mean_rois.zip")).unwrap();
    assert_eq!(json!(regions.len()), of["n_cells"]);
}

#[test]
fn folders_of_other_programs_are_taken() {
    let (folder, out) = out();
    let kilosort = folder.path().join("kilosort");
    std::fs::create_dir(&kilosort).unwrap();
    write_npy(&kilosort.join("spike_times.npy"), &[3, 1], &[5u64, 9, 7]).unwrap();
    write_npy(
        &kilosort.join("spike_templates.npy"),
        &[3, 1],
        &[1u32, 0, 1],
    )
    .unwrap();
    std::fs::write(kilosort.join("params.py"), "sample_rate = 30000.\n").unwrap();
    run(&mut convert(&kilosort, "csv", &out)).succeeds();
    let spikes = read_csv(&out.join("spikes.csv")).unwrap();
    assert_eq!(spikes.columns[0], ["5", "7", "9"]);
    assert_eq!(spikes.columns[2], ["1", "1", "0"]);
    // A plane on its own is what Suite2p leaves, and has no ΔF/F.
    let plane = Results::get().of("imaged").join("suite2p/plane0");
    let tables = folder.path().join("tables");
    let ran = run(convert(&plane, "csv", &tables).arg("--json")).succeeds();
    assert_eq!(
        json(&ran.stdout)["files"],
        json!([
            "cells.csv",
            "F.csv",
            "Fneu.csv",
            "F_corrected.csv",
            "spikes.csv"
        ])
    );
}

#[test]
fn without_out_it_is_written_beside_the_result() {
    let folder = tempfile::tempdir().unwrap();
    let phy = folder.path().join("phy");
    std::fs::create_dir(&phy).unwrap();
    let from = Results::get().of("sorted/phy");
    for name in ["spike_times.npy", "spike_clusters.npy", "params.py"] {
        std::fs::copy(from.join(name), phy.join(name)).unwrap();
    }
    let to = |format: &str| {
        let mut command = somata();
        command
            .current_dir(&phy)
            .args(["convert", ".", "--to", format]);
        run(&mut command).succeeds()
    };
    to("npz");
    to("csv");
    assert!(folder.path().join("phy.npz").is_file());
    assert!(folder.path().join("phy_csv/spikes.csv").is_file());
}

#[test]
fn nothing_is_overwritten_that_was_not_asked_for() {
    let sorted = Results::get().of("sorted");
    let (folder, out) = out();
    // A file.
    std::fs::write(&out, "mine").unwrap();
    run(&mut convert(&sorted, "npz", &out)).fails(4, &["exists already"], &["--force"]);
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "mine");
    run(convert(&sorted, "npz", &out).arg("--force")).succeeds();
    assert!(read_zip(&out, 1 << 30).is_ok());
    // A folder that is not of this command.
    let mine = folder.path().join("mine");
    std::fs::create_dir(&mine).unwrap();
    std::fs::write(mine.join("a"), "mine").unwrap();
    run(&mut convert(&sorted, "csv", &mine)).fails(4, &["exists already"], &["--force"]);
    run(convert(&sorted, "csv", &mine).arg("--force")).fails(
        4,
        &["was not written by `somata convert`"],
        &["another `--out`"],
    );
    run(convert(&sorted, "npz", &mine).arg("--force")).fails(
        4,
        &["is a folder"],
        &["name of a file"],
    );
    assert_eq!(std::fs::read_to_string(mine.join("a")).unwrap(), "mine");
    // One that is; an empty one is taken as it is.
    let tables = folder.path().join("tables");
    std::fs::create_dir(&tables).unwrap();
    run(&mut convert(&sorted, "csv", &tables)).succeeds();
    run(&mut convert(&sorted, "parquet", &tables)).fails(4, &["exists already"], &["--force"]);
    run(convert(&sorted, "parquet", &tables).arg("--force")).succeeds();
    assert!(!tables.join("spikes.csv").exists() && tables.join("spikes.parquet").is_file());
}

#[test]
fn what_cannot_become_that_format_is_said() {
    let results = Results::get();
    let (folder, out) = out();
    run(&mut convert(&results.of("sorted"), "coco", &out)).fails(
        2,
        &["is a sorting, which cannot be written as `coco`"],
        &["`--to` can be nwb, npz, csv, parquet, mat"],
    );
    run(&mut convert(&results.of("imaged"), "npz", &out)).fails(
        2,
        &["a movie's result"],
        &["suite2p-mat"],
    );
    run(&mut convert(&results.of("segmented"), "csv", &out)).fails(
        2,
        &["still images"],
        &["cellpose, coco, imagej"],
    );
    run(convert(&results.of("sorted"), "csv", &out).arg("--polygons")).fails(
        2,
        &["--polygons"],
        &["--to coco"],
    );
    run(&mut convert(&folder.path().join("none"), "csv", &out)).fails(
        3,
        &["does not exist"],
        &["path"],
    );
    run(&mut convert(folder.path(), "csv", &out)).fails(3, &["no result"], &["somata sort"]);
    run(&mut convert(&results.of("sorted"), "xml", &out)).fails_at_parsing("xml");
    nothing_left(&out);
}

#[test]
fn a_damaged_result_leaves_nothing() {
    let results = Results::get();
    let (folder, out) = out();
    let copy = |name: &str, files: &[&str]| {
        let to = folder.path().join(name);
        for file in files {
            let path = to.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::copy(results.of(name).join(file), path).unwrap();
        }
        to
    };
    let sorted = copy(
        "sorted",
        &[
            "phy/spike_times.npy",
            "phy/spike_clusters.npy",
            "phy/params.py",
        ],
    );
    let times = sorted.join("phy/spike_times.npy");
    let bytes = std::fs::read(&times).unwrap();
    std::fs::write(&times, &bytes[..bytes.len() - 1]).unwrap();
    for format in ["nwb", "npz", "csv", "parquet", "mat"] {
        run(&mut convert(&sorted, format, &out)).fails(
            3,
            &["spike_times.npy", "truncated"],
            &["copy"],
        );
    }
    let files = ["stat.npy", "ops.npy", "F.npy", "Fneu.npy", "spks.npy"];
    let files = files.map(|name| format!("suite2p/plane0/{name}"));
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let imaged = copy("imaged", &files);
    std::fs::write(imaged.join("suite2p/plane0/stat.npy"), "none").unwrap();
    for format in ["nwb", "csv", "coco"] {
        run(&mut convert(&imaged, format, &out)).fails(
            3,
            &["stat.npy", "not a numpy file"],
            &["damaged"],
        );
    }
    // A name that leads elsewhere is not followed.
    let segmented = copy("segmented", &["manifest.json", "mean_masks.tif"]);
    change_json(&segmented.join("manifest.json"), |json| {
        json["images"][0]["name"] = json!("../mean")
    });
    run(&mut convert(&segmented, "coco", &out)).fails(
        3,
        &["`../mean` is no name"],
        &["somata segment"],
    );
    change_json(&segmented.join("manifest.json"), |json| {
        json["images"][0]["name"] = json!("mean")
    });
    std::fs::remove_file(segmented.join("mean_masks.tif")).unwrap();
    run(&mut convert(&segmented, "imagej", &out)).fails(
        3,
        &["mean_masks.tif", "does not exist"],
        &["path"],
    );
    nothing_left(&out);
}
