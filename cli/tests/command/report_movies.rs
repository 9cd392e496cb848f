//! `report.html` of a movie, and the page of two results of one field: their numbers against the files beside them.

use std::path::Path;

use somata_io::{imaging_output::zip_archive::read_zip, npy::read_npy_as_f64};

use crate::{
    movies::{Page, SIDE, image, small, small_pixels, tiff, write as write_movie},
    report::Report,
    run::{manifest, run, somata},
};

#[test]
fn a_movie_has_a_report_with_its_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let movie = small(folder.path());
    let out = folder.path().join("out");
    let ran = run(image(&movie, &out)
        .arg("--truth")
        .arg(movie.parent().unwrap()))
    .succeeds();
    assert!(
        ran.stderr.lines().last().unwrap().contains("report.html"),
        "{}",
        ran.stderr
    );
    let report = Report::of(&out);
    report.is_whole_and_closed();
    let manifest = manifest(&out);
    assert_eq!(report.json("manifest"), manifest);
    let cells = report.json("cells");
    let cells = cells.as_array().unwrap();
    assert_eq!(cells.len() as u64, manifest["n_cells"].as_u64().unwrap());
    assert!(report.json("truth")[0]["f1_all"].as_f64() > Some(0.3));
    let table = std::fs::read_to_string(out.join("cells.csv")).unwrap();
    let dff = array_of_npz(&out.join("traces.npz"), "dff.npy");
    let n_frames = dff.len() / cells.len();
    let about = report.json("traces-about");
    assert_eq!(about["whole"], true);
    for (id, (cell, line)) in cells.iter().zip(table.lines().skip(1)).enumerate() {
        let fields: Vec<&str> = line.split(',').collect();
        let pixels: u64 = cell["runs"]
            .as_array()
            .unwrap()
            .chunks(3)
            .map(|run| run[2].as_u64().unwrap())
            .sum();
        assert_eq!(fields[4], pixels.to_string(), "pixels of cell {id}");
        assert_eq!(cell["area_px"], pixels);
        // The extremes of a short movie's bins are its values, to 8 bits.
        let row = &dff[id * n_frames..(id + 1) * n_frames];
        let bound = |k: usize| cell["dff_range"][k].as_f64().unwrap();
        let step = (bound(1) - bound(0)) / 255.0;
        let high = report.packed("traces", id, "dff_high");
        assert_eq!(high.len(), n_frames);
        for (shown, value) in high.iter().zip(row) {
            // Half a step of the 8 bits.
            assert!(
                (bound(0) + shown * step - value).abs() <= 0.5001 * step,
                "cell {id}"
            );
        }
    }
    let planes = report.json("planes");
    for name in ["mean", "max", "correlation"] {
        let png = report.picture(&planes[0]["images"][name]);
        assert!(png.starts_with(b"\x89PNG"), "{name}");
    }
    assert!(planes[0]["images"].get("second").is_none());
    assert!(
        cells
            .iter()
            .all(|cell| cell.get("second_probability").is_none())
    );
}

#[test]
fn a_second_channel_is_in_the_report_of_a_movie() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let pages: Vec<Page> = small_pixels()
        .chunks_exact(SIDE * SIDE)
        .flat_map(|frame| {
            // The left half of the other channel is as the first one, the right half is empty.
            let other: Vec<i16> = (frame.iter().enumerate())
                .map(|(k, &value)| if k % SIDE < SIDE / 2 { value } else { 100 })
                .collect();
            [Page::i16(SIDE, SIDE, frame), Page::i16(SIDE, SIDE, &other)]
        })
        .collect();
    let movie = write_movie(folder.path(), "two.tif", &tiff(&pages));
    run(image(&movie, &out).args(["--n-channels", "2"])).succeeds();
    let report = Report::of(&out);
    report.is_whole_and_closed();
    let planes = report.json("planes");
    let [mean, second] = ["mean", "second"].map(|name| report.picture(&planes[0]["images"][name]));
    assert!(second.starts_with(b"\x89PNG") && second != mean);
    let plane = out.join("suite2p/plane0");
    let red = read_npy_as_f64(&plane.join("redcell.npy")).unwrap().data;
    let traces = ["F_chan2.npy", "Fneu_chan2.npy"]
        .map(|name| read_npy_as_f64(&plane.join(name)).unwrap().data);
    let cells = report.json("cells");
    let cells = cells.as_array().unwrap();
    assert!(!cells.is_empty());
    let n_frames = traces[0].len() / cells.len();
    for (id, cell) in cells.iter().enumerate() {
        let probability = cell["second_probability"].as_f64().unwrap();
        assert!((probability - red[2 * id + 1]).abs() < 1e-12, "cell {id}");
        let bound = |k: usize| cell["second_range"][k].as_f64().unwrap();
        for (name, trace) in ["second_raw", "second_neuropil"].into_iter().zip(&traces) {
            let shown = report.packed("traces", id, name);
            let row = &trace[id * n_frames..(id + 1) * n_frames];
            let n = shown.len();
            for (bin, value) in shown.iter().enumerate() {
                let frames = &row[bin * n_frames / n..(bin + 1) * n_frames / n];
                let mean = frames.iter().sum::<f64>() / frames.len() as f64;
                let step = (bound(1) - bound(0)) / 255.0;
                // Half a step of the 8 bits, and single precision.
                assert!(
                    (bound(0) + value * step - mean).abs() <= 0.501 * step + 1e-3,
                    "{name} of cell {id}"
                );
            }
        }
    }
}

#[test]
fn a_truth_of_another_movie_costs_the_scores_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let movie = small(folder.path());
    let other = folder.path().join("other");
    run(somata().args(["simulate", "movie"]).arg(&other).args([
        "--kind", "small", "--size", "64", "--frames", "60", "--cells", "4", "--seed", "2",
    ]))
    .succeeds();
    let out = folder.path().join("out");
    let ran = run(image(&movie, &out).arg("--truth").arg(&other)).succeeds();
    assert!(
        ran.stderr
            .contains("warning: the result could not be scored"),
        "{}",
        ran.stderr
    );
    let warnings = manifest(&out)["warnings"].to_string();
    assert!(warnings.contains("could not be scored"), "{warnings}");
    let report = Report::of(&out);
    report.is_whole_and_closed();
    assert!(!report.html.contains("id=\"data-truth\""));
}

/// Values of an array in an archive.
#[track_caller]
fn array_of_npz(path: &Path, name: &str) -> Vec<f64> {
    let members = read_zip(path, 1 << 26).unwrap();
    let member = members.into_iter().find(|member| member.name == name);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), member.expect("the array").bytes).unwrap();
    read_npy_as_f64(file.path()).unwrap().data
}

#[test]
fn two_movies_have_a_page_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let movie = small(folder.path());
    let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
    run(&mut image(&movie, &first)).succeeds();
    run(&mut image(&movie, &second)).succeeds();
    let page = folder.path().join("both.html");
    run(somata()
        .arg("compare")
        .arg(&first)
        .arg(&second)
        .arg("--report")
        .arg(&page))
    .succeeds();
    let report = Report {
        html: std::fs::read_to_string(&page).unwrap(),
    };
    report.is_whole_and_closed();
    let n = manifest(&first)["n_cells"].as_u64().unwrap() as usize;
    let pairs = report.json("pairs");
    assert_eq!(pairs.as_array().unwrap().len(), n, "the same result twice");
    for pair in pairs.as_array().unwrap() {
        assert_eq!(pair["first"], pair["second"]);
        assert_eq!(pair["iou"], 1.0);
        assert!(pair["trace_r"].as_f64() > Some(0.999_999), "{pair}");
    }
}
