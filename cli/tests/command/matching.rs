//! `somata match`: what it writes, what it refuses, and what it says of fields that are not the same.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use serde_json::{Value, json};
use somata_io::still_image::read_image;
use tempfile::TempDir;

use crate::{
    data::change_json,
    movies::image,
    run::{Ran, json, manifest, nothing_left, run, somata},
};

/// Rows and columns of the fields.
const SIDE: usize = 112;

/// Imaging results that all tests share: two sessions of a field, and another field.
struct Results {
    folder: TempDir,
}

impl Results {
    fn get() -> &'static Self {
        static RESULTS: OnceLock<Results> = OnceLock::new();
        RESULTS.get_or_init(Self::new)
    }

    fn new() -> Self {
        let results = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let small = [
            "--kind", "small", "--size", "112", "--frames", "250", "--cells", "24",
        ];
        let first = results.movie("first");
        let first = first.to_str().unwrap();
        results.make("first", &[&small[..], &["--seed", "7"]].concat());
        results.make("other", &[&small[..], &["--seed", "11"]].concat());
        results.make(
            "second",
            &[
                "--second-session-of",
                first,
                "--shift",
                "8",
                "--rotation",
                "-2",
                "--seed",
                "8",
            ],
        );
        results
    }

    fn make(&self, name: &str, options: &[&str]) {
        let movie = self.movie(name);
        run(somata()
            .args(["simulate", "movie"])
            .arg(&movie)
            .args(options))
        .succeeds();
        run(&mut image(&movie.join("movie.tif"), &self.of(name))).succeeds();
    }

    fn movie(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.movie"))
    }

    fn of(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn matching(first: &Path, second: &Path, out: &Path) -> Command {
    let mut command = somata();
    command
        .arg("match")
        .arg(first)
        .arg(second)
        .arg("--out")
        .arg(out);
    command
}

/// Rows of a table, without its header.
fn rows(path: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(path).unwrap();
    let cut = |line: &str| line.split(',').map(str::to_owned).collect();
    text.lines().skip(1).map(cut).collect()
}

/// A copy of what `somata match` reads of a result, to be changed.
fn copy(of: &str, to: &Path) -> PathBuf {
    let result = to.join(of);
    std::fs::create_dir(&result).unwrap();
    for name in ["manifest.json", "mean.tif", "rois.zip"] {
        std::fs::copy(Results::get().of(of).join(name), result.join(name)).unwrap();
    }
    result
}

fn out() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    (folder, out)
}

#[test]
fn two_sessions_become_pairs_and_files() {
    let results = Results::get();
    let (first, second) = (results.of("first"), results.of("second"));
    let (_folder, out) = out();
    let ran = run(&mut matching(&first, &second, &out)).succeeds();
    assert_eq!(ran.stdout, "");
    assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);

    let manifest = manifest(&out);
    let n_cells = [0, 1].map(|k| manifest["results"][k]["n_cells"].as_u64().unwrap() as usize);
    let n = manifest["n_pairs"].as_u64().unwrap() as usize;
    assert!(
        n >= 8 && n <= n_cells[0].min(n_cells[1]),
        "{n} of {n_cells:?}"
    );
    assert!(ran.stderr.contains(&format!(
        "{n} pairs of {} and {} cells (shift ",
        n_cells[0], n_cells[1]
    )));
    assert_eq!(manifest["kind"], "match");
    assert_eq!(manifest["results"][0]["path"], json!(first));
    assert_eq!(manifest["planes"][0]["n_pairs"], n);
    assert_eq!(manifest["planes"][0]["aligned"], true);
    assert_eq!(manifest["warnings"], json!([]));

    let pairs = rows(&out.join("matches.csv"));
    assert_eq!(pairs.len(), n);
    let table = std::fs::read_to_string(out.join("matches.csv")).unwrap();
    assert!(table.starts_with("plane,cell_a,cell_b,iou,distance_px,probability,shape_iou,"));
    let cells = |side: usize| {
        let mut cells: Vec<usize> = pairs
            .iter()
            .map(|row| row[1 + side].parse().unwrap())
            .collect();
        cells.sort_unstable();
        cells
    };
    for row in &pairs {
        let number = |column: usize| row[column].parse::<f64>().unwrap();
        assert!(
            (0.0..=1.0).contains(&number(3)) && number(4) < 8.0,
            "{row:?}"
        );
        assert!((0.5..=1.0).contains(&number(5)), "{row:?}");
    }
    // Every cell is in one of the two tables, once.
    let unmatched = rows(&out.join("unmatched.csv"));
    for (side, name) in ["a", "b"].into_iter().enumerate() {
        let alone = unmatched.iter().filter(|row| row[0] == name);
        let mut all = cells(side);
        for row in alone {
            assert!(
                ["outside", "no_partner"].contains(&row[3].as_str()),
                "{row:?}"
            );
            all.push(row[2].parse().unwrap());
        }
        all.sort_unstable();
        assert_eq!(all, (0..n_cells[side]).collect::<Vec<_>>());
    }

    let text = std::fs::read_to_string(out.join("alignment.json")).unwrap();
    let alignment = &json(&text)[0];
    assert_eq!(alignment["found"], true);
    let number = |value: &Value| value.as_f64().unwrap();
    // So few cells in so small a field tell a rotation to a degree, a pixel at its edge.
    assert!(
        (number(&alignment["rotation_deg"]) + 2.0).abs() < 1.0,
        "{alignment}"
    );
    let shift = [0, 1].map(|k| number(&alignment["shift_px"][k]));
    // The reference of each session lies a pixel or two beside the middle of its motion.
    assert!((shift[0].hypot(shift[1]) - 8.0).abs() < 3.0, "{shift:?}");
    assert!((number(&alignment["scale"]) - 1.0).abs() < 0.02);
    assert!(number(&alignment["peak"]) > 1.5 * number(&alignment["mirrored_peak"]));
    let picture = &read_image(&out.join("aligned.png")).unwrap()[0];
    assert_eq!((picture.height, picture.n_channels), (4 * SIDE, 3));
    assert!(
        std::fs::read_to_string(out.join("log.txt"))
            .unwrap()
            .contains("pairs of")
    );

    // Against the truth of the second session.
    let scored = run(somata()
        .arg("validate")
        .arg(&out)
        .arg(results.movie("second"))
        .arg("--json"))
    .succeeds();
    let score = json(&scored.stdout);
    assert_eq!(score["n_pairs"], n);
    assert_eq!(score["n_wrong"], 0);
    assert!(number(&score["recall"]) >= 0.9, "{score}");
    let text = run(somata()
        .arg("validate")
        .arg(&out)
        .arg(results.movie("second")))
    .succeeds();
    assert!(
        text.stdout.contains("precision         1.000"),
        "{}",
        text.stdout
    );
    run(somata()
        .arg("validate")
        .arg(&out)
        .arg(results.movie("first")))
    .fails(
        3,
        &["truth.npz", "not the truth of a second session"],
        &["--second-session-of"],
    );
}

#[test]
fn a_result_matches_itself_cell_by_cell() {
    let first = Results::get().of("first");
    let (_folder, out) = out();
    run(&mut matching(&first, &first, &out)).succeeds();
    let n = manifest(&out)["results"][0]["n_cells"].as_u64().unwrap() as usize;
    let pairs = rows(&out.join("matches.csv"));
    let expected: Vec<[String; 2]> = (0..n).map(|k| [k.to_string(), k.to_string()]).collect();
    let found: Vec<[String; 2]> = pairs.iter().map(|r| [r[1].clone(), r[2].clone()]).collect();
    assert_eq!(found, expected);
    assert_eq!(rows(&out.join("unmatched.csv")), Vec::<Vec<String>>::new());
    let alignment = json(&std::fs::read_to_string(out.join("alignment.json")).unwrap());
    for (axis, identity) in [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]].into_iter().enumerate() {
        for (k, expected) in identity.into_iter().enumerate() {
            let found = alignment[0]["affine"][axis][k].as_f64().unwrap();
            assert!((found - expected).abs() < 0.02, "{alignment}");
        }
    }
}

#[test]
fn fields_that_have_nothing_in_common_give_a_warning_and_no_pair() {
    let results = Results::get();
    let (_folder, out) = out();
    let ran = run(&mut matching(
        &results.of("first"),
        &results.of("other"),
        &out,
    ))
    .succeeds();
    assert!(
        ran.stderr
            .contains("warning: plane 0: the two fields show nothing in common")
    );
    let manifest = manifest(&out);
    assert_eq!(manifest["n_pairs"], 0);
    assert_eq!(manifest["planes"][0]["aligned"], false);
    assert_eq!(manifest["warnings"].as_array().unwrap().len(), 1);
    assert!(rows(&out.join("matches.csv")).is_empty());
    let alone = rows(&out.join("unmatched.csv"));
    let n = [0, 1].map(|k| manifest["results"][k]["n_cells"].as_u64().unwrap() as usize);
    assert_eq!(alone.len(), n[0] + n[1]);
    assert!(alone.iter().all(|row| row[3] == "not_aligned"));
    assert!(out.join("aligned.png").is_file());
}

#[test]
fn without_a_folder_the_pairs_are_printed() {
    let results = Results::get();
    let (_folder, out) = out();
    let both = |command: &mut Command| -> Ran {
        run(command.arg(results.of("first")).arg(results.of("second"))).succeeds()
    };
    let printed = both(somata().arg("match"));
    run(&mut matching(
        &results.of("first"),
        &results.of("second"),
        &out,
    ))
    .succeeds();
    assert_eq!(
        printed.stdout,
        std::fs::read_to_string(out.join("matches.csv")).unwrap()
    );
    let object = json(&both(somata().args(["match", "--json"])).stdout);
    assert_eq!(object["n_pairs"], manifest(&out)["n_pairs"]);
    let quiet = both(somata().args(["match", "--json", "--quiet", "--threads", "1"]));
    assert_eq!(quiet.stderr, "");
    assert_eq!(json(&quiet.stdout)["planes"], object["planes"]);
}

#[test]
fn the_same_match_is_not_made_again_and_another_one_is_not_replaced() {
    let results = Results::get();
    let (first, second) = (results.of("first"), results.of("second"));
    let (folder, out) = out();
    run(&mut matching(&first, &second, &out)).succeeds();
    let before = manifest(&out);
    let again = run(&mut matching(&first, &second, &out)).succeeds();
    assert!(
        again.stdout.starts_with("already complete"),
        "{}",
        again.stdout
    );
    let object = run(matching(&first, &second, &out).arg("--json")).succeeds();
    assert_eq!(json(&object.stdout), before);
    run(&mut matching(&second, &first, &out)).fails(4, &["another input"], &["--force"]);
    assert_eq!(manifest(&out), before);
    run(matching(&second, &first, &out).arg("--force")).succeeds();
    assert_eq!(
        manifest(&out)["n_pairs"],
        before["n_pairs"],
        "whichever is the first"
    );
    let taken = folder.path().join("taken");
    std::fs::create_dir(&taken).unwrap();
    std::fs::write(taken.join("notes.txt"), "mine").unwrap();
    run(matching(&first, &second, &taken).arg("--force")).fails(4, &["not a result"], &["--out"]);
}

#[test]
fn what_is_no_pair_of_imaging_results_is_refused() {
    let results = Results::get();
    let first = results.of("first");
    let (folder, out) = out();
    let refused = |second: &Path, what: &[&str], hint: &[&str]| {
        run(&mut matching(&first, second, &out)).fails(3, what, hint);
        nothing_left(&out);
    };
    let missing = folder.path().join("missing");
    refused(&missing, &["missing", "does not exist"], &[]);
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    refused(
        &empty,
        &["not the manifest of an imaging result"],
        &["somata image"],
    );
    std::fs::write(
        empty.join("manifest.json"),
        r#"{"kind": "sort", "key": "0"}"#,
    )
    .unwrap();
    refused(
        &empty,
        &["not the manifest of an imaging result"],
        &["somata image"],
    );

    let changed = copy("second", folder.path());
    let file = changed.join("manifest.json");
    let text = std::fs::read_to_string(&file).unwrap();
    let change = |change: &dyn Fn(&mut Value)| {
        std::fs::write(&file, &text).unwrap();
        change_json(&file, |json| change(json));
    };
    change(&|json| json["movie"]["n_planes"] = json!(2));
    refused(&changed, &["mean.tif", "2 pages"], &["make it again"]);
    change(&|json| json["planes"][0]["n_cells"] = json!(3));
    refused(&changed, &["rois.zip", "3 cells"], &["make it again"]);
    change(&|json| json["movie"]["pixel_size_um"] = json!([0.8, 0.8]));
    // Where one result does not know, there is nothing to compare.
    run(&mut matching(&first, &changed, &out)).succeeds();
    std::fs::remove_dir_all(&out).unwrap();
    let own = copy("first", folder.path());
    change_json(&own.join("manifest.json"), |json| {
        json["movie"]["pixel_size_um"] = json!([1.0, 1.0]);
    });
    run(&mut matching(&own, &changed, &out)).fails(
        3,
        &["pixels of 1.000 × 1.000 µm", "0.800 × 0.800 µm"],
        &["zoom"],
    );
    nothing_left(&out);
    std::fs::remove_file(changed.join("rois.zip")).unwrap();
    refused(&changed, &["rois.zip"], &[]);
    run(somata().arg("match").arg(&first)).fails_at_parsing("SECOND");
    run(matching(&first, &first, &out).args(["--threads", "0"])).fails(2, &["--threads"], &[]);
}

#[test]
fn planes_are_matched_one_by_one_and_as_many_there_must_be() {
    let results = Results::get();
    let folder = tempfile::tempdir().unwrap();
    let small = ["--size", "96", "--frames", "120", "--cells", "14"];
    let path = |name: &str| folder.path().join(name);
    let simulate = |name: &str, options: &[&str]| {
        run(somata()
            .args(["simulate", "movie"])
            .arg(path(name))
            .args(options))
        .succeeds();
        let movie = path(name).join("movie.tif");
        let mut command = image(&movie, &path(&format!("{name}.result")));
        run(command.args(["--n-planes", "2"])).succeeds();
    };
    let volume = ["--kind", "volume", "--planes", "2", "--seed", "21"];
    simulate("a", &[&volume[..], &small].concat());
    let first = path("a");
    simulate(
        "b",
        &[
            "--second-session-of",
            first.to_str().unwrap(),
            "--shift",
            "5",
            "--rotation",
            "1",
        ],
    );
    let out = path("out");
    run(&mut matching(&path("a.result"), &path("b.result"), &out)).succeeds();
    let planes = &manifest(&out)["planes"];
    assert_eq!(planes.as_array().unwrap().len(), 2);
    for plane in 0..2 {
        assert_eq!(planes[plane]["aligned"], true);
        assert!(out.join(format!("aligned_plane{plane}.png")).is_file());
    }
    let found = manifest(&path("a.result"))["planes"][0]["n_cells"]
        .as_u64()
        .unwrap();
    let pairs = rows(&out.join("matches.csv"));
    for row in &pairs {
        // Cells are counted over all planes.
        assert_eq!(
            row[0] == "1",
            row[1].parse::<u64>().unwrap() >= found,
            "{row:?}"
        );
    }
    assert!(pairs.iter().any(|row| row[0] == "1"));
    let scored = run(somata()
        .arg("validate")
        .arg(&out)
        .arg(path("b"))
        .arg("--json"))
    .succeeds();
    let score = json(&scored.stdout);
    assert!(
        score["precision"].as_f64() >= Some(0.9) && score["recall"].as_f64() >= Some(0.8),
        "{score}"
    );

    let other = path("other");
    run(&mut matching(
        &path("a.result"),
        &results.of("first"),
        &other,
    ))
    .fails(3, &["have 2 and 1 planes"], &["same planes"]);
    nothing_left(&other);
}

#[test]
fn a_second_session_cannot_be_simulated_of_what_is_none() {
    let (folder, out) = out();
    let simulate =
        |options: &[&str]| run(somata().args(["simulate", "movie"]).arg(&out).args(options));
    let empty = folder.path().to_str().unwrap();
    simulate(&["--second-session-of", empty]).fails(3, &["spec.json"], &["somata simulate movie"]);
    simulate(&["--shift", "3"]).fails_at_parsing("--second-session-of");
    let first = Results::get().movie("first");
    let first = first.to_str().unwrap();
    simulate(&["--second-session-of", first, "--kind", "hard"]).fails_at_parsing("--kind");
    simulate(&["--second-session-of", first, "--seed", "7"]).fails(2, &["seed"], &[]);
    simulate(&["--second-session-of", first, "--shared", "1.5"]).fails(2, &["shared_share"], &[]);
    nothing_left(&out);
}
