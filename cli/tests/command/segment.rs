//! `somata segment`: still images to labels.

use std::path::{Path, PathBuf};

use serde_json::json;
use somata_io::{
    imaging_output::picture::write_picture,
    still_image::{StillImage, read_image},
};

use crate::{
    movies::{FRAMES, Page, SIDE, changed_weights, small_pixels, tiff, write},
    run::{json, manifest, nothing_left, partial_results, run, somata},
};

/// `somata segment IMAGES… --out OUT` on the CPU.
fn segment(images: &[&Path], out: &Path) -> std::process::Command {
    let mut command = somata();
    command.arg("segment").args(images).arg("--out").arg(out);
    command.args(["--device", "cpu"]);
    command
}

/// A picture of cells: ten times the mean of the small movie, `[y, x]`.
fn cells() -> Vec<u16> {
    let mut sum = vec![0u32; SIDE * SIDE];
    for frame in small_pixels().chunks_exact(SIDE * SIDE) {
        sum.iter_mut()
            .zip(frame)
            .for_each(|(sum, value)| *sum += (*value).max(0) as u32);
    }
    let tenth = FRAMES as u32 / 10;
    sum.into_iter().map(|sum| (sum / tenth) as u16).collect()
}

/// Writes the cells as a TIFF.
fn cells_tiff(folder: &Path, name: &str) -> PathBuf {
    write(folder, name, &tiff(&[Page::u16(SIDE, SIDE, &cells())]))
}

/// A temporary folder with a picture of cells, and where a result would go.
fn with_cells() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let image = cells_tiff(folder.path(), "a.tif");
    let out = folder.path().join("out");
    (folder, image, out)
}

/// The labels of an image of a result, page by page.
#[track_caller]
fn labels(out: &Path, name: &str) -> Vec<StillImage> {
    let pages = read_image(&out.join(format!("{name}_masks.tif"))).unwrap();
    assert!(pages.iter().all(|page| page.n_channels == 1));
    pages
}

/// Cells of a page of labels: the numbers from 1 on, each of which is there.
#[track_caller]
fn count(page: &StillImage) -> usize {
    let n = page.pixels.iter().copied().fold(0.0, f32::max) as usize;
    let mut there = vec![false; n + 1];
    for &label in &page.pixels {
        there[label as usize] = true;
    }
    assert!(there[1..].iter().all(|there| *there), "a number is missing");
    n
}

/// Names of the files of a result.
fn files(out: &Path) -> Vec<String> {
    let entries = out.read_dir().unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Asserts that images are refused with code 3 and nothing is left.
#[track_caller]
fn refused(images: &[&Path], out: &Path, options: &[&str], what: &[&str], hint: &[&str]) {
    run(segment(images, out).args(options)).fails(3, what, hint);
    nothing_left(out);
    assert!(
        !out.with_file_name("out.work").exists(),
        "a work folder was left for nothing"
    );
}

#[test]
fn an_image_becomes_labels_and_a_picture() {
    let (folder, image, out) = with_cells();
    let ran = run(segment(&[&image], &out).arg("--json")).succeeds();
    let manifest = manifest(&out);
    assert_eq!(json(&ran.stdout), manifest);
    let pages = labels(&out, "a");
    assert_eq!(
        (pages.len(), pages[0].height, pages[0].width),
        (1, SIDE, SIDE)
    );
    let n = count(&pages[0]);
    assert!((4..=30).contains(&n), "{n} cells");
    assert_eq!(manifest["kind"], "segment");
    assert_eq!(manifest["n_cells"], n);
    assert_eq!(
        manifest["images"],
        json!([{
            "path": image, "name": "a", "pages": 1, "height": SIDE, "width": SIDE, "pixel_type": "uint16",
            "cells_of_pages": [n], "n_cells": n, "not_finite_values": 0,
        }])
    );
    assert_eq!(
        files(&out),
        ["a_masks.tif", "a_outlines.png", "log.txt", "manifest.json"]
    );
    assert_eq!(
        read_image(&out.join("a_outlines.png")).unwrap()[0].n_channels,
        3
    );
    assert!(!folder.path().join("out.work").exists());

    let again = run(&mut segment(&[&image], &out)).succeeds();
    assert!(
        again.stdout.starts_with("already complete"),
        "{}",
        again.stdout
    );
    run(segment(&[&image], &out).args(["--diameter", "9"])).fails(
        4,
        &["out", "parameters"],
        &["--force"],
    );
    run(segment(&[&image], &out).args(["--diameter", "9", "--force"])).succeeds();
    assert_eq!(crate::run::manifest(&out)["diameter_px"], 9.0);
    assert_eq!(partial_results(&out), Vec::<String>::new());

    // The labels agree with themselves, as `validate` sees them.
    let masks = out.join("a_masks.tif");
    let scores = run(somata()
        .arg("validate")
        .args([&masks, &masks])
        .arg("--json"))
    .succeeds();
    assert_eq!(json(&scores.stdout)[0][0]["average_precision"], 1.0);
}

#[test]
fn a_dry_run_lists_the_images_and_does_nothing() {
    let (folder, image, out) = with_cells();
    let ran = run(segment(&[folder.path()], &out).arg("--dry-run")).succeeds();
    assert_eq!(json(&ran.stdout)["images"], json!([image]));
    nothing_left(&out);
    assert!(!folder.path().join("out.work").exists());
}

#[test]
fn png_and_tiff_of_one_image_give_the_same_labels() {
    let folder = tempfile::tempdir().unwrap();
    let png = folder.path().join("png.png");
    let values: Vec<f32> = cells().into_iter().map(f32::from).collect();
    write_picture(&png, SIDE, SIDE, &values).unwrap();
    // Whatever the picture's writer did to the values, the TIFF holds what the picture holds.
    let shown = read_image(&png).unwrap().remove(0);
    assert_eq!((shown.pixel_type_name, shown.n_channels), ("uint8", 1));
    let same: Vec<u16> = shown.pixels.iter().map(|&value| value as u16).collect();
    let tif = write(
        folder.path(),
        "tif.tif",
        &tiff(&[Page::u16(SIDE, SIDE, &same)]),
    );
    let floats = write(
        folder.path(),
        "floats.tif",
        &tiff(&[Page::f32(SIDE, SIDE, &shown.pixels)]),
    );
    let out = folder.path().join("out");
    run(&mut segment(&[&png, &tif, &floats], &out)).succeeds();
    let expected = labels(&out, "png");
    assert!(count(&expected[0]) > 3, "nothing to compare");
    for name in ["tif", "floats"] {
        assert!(labels(&out, name)[0].pixels == expected[0].pixels, "{name}");
    }
}

#[test]
fn folders_give_every_image_and_names_that_clash_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let inside = |name: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir(&path).unwrap();
        path
    };
    let (monday, tuesday) = (inside("monday"), inside("tuesday"));
    for (place, name) in [(&monday, "a.tif"), (&monday, "b.TIFF"), (&tuesday, "a.tif")] {
        cells_tiff(place, name);
    }
    let values: Vec<f32> = cells().into_iter().map(f32::from).collect();
    write_picture(&monday.join("a.png"), SIDE, SIDE, &values).unwrap();
    // Neither is an image.
    write(&monday, "notes.txt", b"mine");
    write(&monday, "._a.tif", b"the system's");
    let out = folder.path().join("out");
    run(&mut segment(&[&monday, &tuesday], &out)).succeeds();
    let manifest = manifest(&out);
    let listed: Vec<(&str, &str)> = manifest["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| {
            (
                image["path"].as_str().unwrap(),
                image["name"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(listed.len(), 4, "{listed:?}");
    let mut names: Vec<&str> = listed.iter().map(|(_, name)| *name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 4, "{listed:?}");
    for (path, name) in &listed {
        let stem = Path::new(path).file_stem().unwrap().to_str().unwrap();
        assert!(name.contains(stem), "`{name}` for `{path}`");
        assert!(count(&labels(&out, name)[0]) > 3, "{name}");
        assert!(out.join(format!("{name}_outlines.png")).is_file(), "{name}");
    }
    // The TIFFs hold the same image.
    let tiffs: Vec<&str> = listed
        .iter()
        .filter(|(path, _)| !path.ends_with("png"))
        .map(|(_, name)| *name)
        .collect();
    for name in &tiffs[1..] {
        assert!(
            labels(&out, name)[0].pixels == labels(&out, tiffs[0])[0].pixels,
            "{name}"
        );
    }
}

#[test]
fn pages_of_a_file_are_images_of_their_own() {
    let (folder, image, out) = with_cells();
    let upright = Page::u16(SIDE, SIDE, &cells());
    let turned: Vec<u16> = cells().into_iter().rev().collect();
    let stack = write(
        folder.path(),
        "stack.tif",
        &tiff(&[
            upright.clone(),
            Page::u16(SIDE, SIDE, &turned),
            upright.clone(),
        ]),
    );
    let half = Page::u16(SIDE / 2, SIDE, &cells()[..SIDE / 2 * SIDE]);
    let uneven = write(folder.path(), "uneven.tif", &tiff(&[upright, half]));
    run(&mut segment(&[&image, &stack, &uneven], &out)).succeeds();
    let alone = labels(&out, "a");
    let pages = labels(&out, "stack");
    assert_eq!(pages.len(), 3);
    assert!(pages[0].pixels == alone[0].pixels && pages[2].pixels == alone[0].pixels);
    assert!(count(&pages[1]) > 3 && pages[1].pixels != pages[0].pixels);
    // Pages of several sizes cannot be in one label image.
    assert!(!out.join("uneven_masks.tif").exists());
    for (page, height) in [(0, SIDE), (1, SIDE / 2)] {
        let path = out.join(format!("uneven_masks_{page}.tif"));
        let labels = read_image(&path).unwrap();
        assert_eq!((labels.len(), labels[0].height), (1, height));
        assert!(out.join(format!("uneven_outlines_{page}.png")).is_file());
    }
}

#[test]
fn of_several_channels_one_must_be_chosen() {
    let (folder, image, out) = with_cells();
    let high: Vec<u8> = cells()
        .into_iter()
        .map(|value| (value >> 6) as u8)
        .collect();
    let colours: Vec<[u8; 3]> = high.iter().map(|&value| [7, value, 255 - value]).collect();
    let colour = write(
        folder.path(),
        "colour.tif",
        &tiff(&[Page::rgb(SIDE, SIDE, &colours)]),
    );
    refused(
        &[&image, &colour],
        &out,
        &[],
        &["colour.tif", "3 channels", "one gray image"],
        &["--channel N"],
    );
    refused(
        &[&colour],
        &out,
        &["--channel", "4"],
        &["colour.tif", "3 channels", "--channel 4"],
        &["counted from 1"],
    );
    run(segment(&[&colour], &out).arg("--channel").arg("0")).fails(
        2,
        &["--channel", "from 1"],
        &["first"],
    );
    nothing_left(&out);

    let gray: Vec<u16> = high.into_iter().map(u16::from).collect();
    let gray = write(
        folder.path(),
        "gray.tif",
        &tiff(&[Page::u16(SIDE, SIDE, &gray)]),
    );
    run(segment(&[&colour], &out).args(["--channel", "2"])).succeeds();
    let green = labels(&out, "colour");
    assert!(count(&green[0]) > 3, "nothing to compare");
    let out = folder.path().join("gray");
    // Gray that a program stored in three colours is gray.
    let equal: Vec<[u8; 3]> = colours.iter().map(|colour| [colour[1]; 3]).collect();
    let equal = write(
        folder.path(),
        "equal.tif",
        &tiff(&[Page::rgb(SIDE, SIDE, &equal)]),
    );
    run(&mut segment(&[&gray, &equal], &out)).succeeds();
    assert!(labels(&out, "gray")[0].pixels == green[0].pixels);
    assert!(labels(&out, "equal")[0].pixels == green[0].pixels);
}

#[test]
fn the_diameter_sets_the_scale() {
    let (folder, _, out) = with_cells();
    // Every pixel four times as wide and high: cells too large for the network at their own scale.
    let factor = 4;
    let side = factor * SIDE;
    let cells = cells();
    let large: Vec<u16> = (0..side * side)
        .map(|i| cells[i / side / factor * SIDE + i % side / factor])
        .collect();
    let large = write(
        folder.path(),
        "large.tif",
        &tiff(&[Page::u16(side, side, &large)]),
    );
    run(segment(&[&large], &out).args(["--diameter", "50"])).succeeds();
    let page = labels(&out, "large").remove(0);
    let (n, area) = (
        count(&page),
        page.pixels.iter().filter(|&&label| label > 0.0).count(),
    );
    assert!((4..=30).contains(&n), "{n} cells");
    // A disk of 50 pixels across, within a factor of two.
    let mean = area as f64 / n as f64;
    assert!((1000.0..4000.0).contains(&mean), "{mean} pixels a cell");
    for diameter in ["0", "-3", "nan", "100000"] {
        let out = folder.path().join("refused");
        run(segment(&[&large], &out).args(["--diameter", diameter])).fails(
            2,
            &["--diameter", "no diameter"],
            &["leave it out"],
        );
        nothing_left(&out);
    }
}

#[test]
fn a_file_that_cannot_be_read_ends_the_run_or_is_skipped_and_counted() {
    let (folder, image, out) = with_cells();
    let images = folder.path().join("images");
    std::fs::create_dir(&images).unwrap();
    cells_tiff(&images, "a.tif");
    let whole = std::fs::read(&image).unwrap();
    write(&images, "b.tif", &whole[..whole.len() / 2]);
    let png = folder.path().join("whole.png");
    let values: Vec<f32> = cells().into_iter().map(f32::from).collect();
    write_picture(&png, SIDE, SIDE, &values).unwrap();
    let whole = std::fs::read(&png).unwrap();
    write(&images, "c.png", &whole[..whole.len() / 2]);
    write(&images, "d.jpg", b"no picture at all");
    cells_tiff(&images, "e.tif");

    refused(
        &[&images],
        &out,
        &[],
        &["b.tif", "page 1", "truncated"],
        &["copy"],
    );
    refused(
        &[&images.join("c.png")],
        &out,
        &[],
        &["c.png", "PNG cannot be decoded"],
        &["copy it again"],
    );
    refused(
        &[&images.join("d.jpg")],
        &out,
        &[],
        &["d.jpg", "not an image"],
        &["TIFF, PNG or JPEG"],
    );

    let ran = run(segment(&[&images], &out).arg("--skip-unreadable")).succeeds();
    let warnings: Vec<&str> = ran
        .stderr
        .lines()
        .filter(|line| line.starts_with("warning: skipped: "))
        .collect();
    assert_eq!(warnings.len(), 3, "{}", ran.stderr);
    let manifest = manifest(&out);
    assert_eq!(manifest["images"].as_array().unwrap().len(), 2);
    let skipped = manifest["skipped"].as_array().unwrap();
    for (skipped, name) in skipped.iter().zip(["b.tif", "c.png", "d.jpg"]) {
        assert!(
            skipped["path"].as_str().unwrap().ends_with(name),
            "{skipped}"
        );
        assert!(
            skipped["reason"].as_str().unwrap().contains(name),
            "{skipped}"
        );
    }
    assert_eq!(skipped.len(), 3);
    assert_eq!(
        files(&out)
            .iter()
            .filter(|name| name.ends_with("_masks.tif"))
            .count(),
        2
    );
}

#[test]
fn what_is_missing_is_named() {
    let (folder, image, out) = with_cells();
    refused(
        &[&image, Path::new("nowhere.png")],
        &out,
        &[],
        &["nowhere.png", "does not exist"],
        &["check the path"],
    );
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    refused(
        &[&empty],
        &out,
        &[],
        &["no image", "empty"],
        &["TIFF, PNG or JPEG"],
    );
    write(folder.path(), "nothing.tif", b"");
    refused(
        &[&folder.path().join("nothing.tif")],
        &out,
        &[],
        &["nothing.tif", "empty"],
        &[],
    );
    // A folder is no reason to skip a typing error.
    refused(
        &[Path::new("nowhere.png")],
        &out,
        &["--skip-unreadable"],
        &["nowhere.png"],
        &[],
    );
}

#[test]
fn images_without_cells_and_odd_sizes_give_no_cells() {
    let folder = tempfile::tempdir().unwrap();
    let image = |name: &str, height: usize, width: usize, value: &dyn Fn(usize) -> f32| {
        let pixels: Vec<f32> = (0..height * width).map(value).collect();
        write(
            folder.path(),
            name,
            &tiff(&[Page::f32(height, width, &pixels)]),
        )
    };
    let images = [
        image("one_value.tif", 64, 64, &|_| 700.0),
        image("zeros.tif", 300, 41, &|_| 0.0),
        image("pixel.tif", 1, 1, &|_| 5.0),
        image("row.tif", 1, 300, &|i| i as f32),
        image("column.tif", 300, 3, &|i| (i % 5) as f32),
        image("tile.tif", 8, 8, &|i| (i % 3) as f32),
        image("not_a_number.tif", 30, 30, &|_| f32::NAN),
    ];
    let out = folder.path().join("out");
    let paths: Vec<&Path> = images.iter().map(PathBuf::as_path).collect();
    let ran = run(&mut segment(&paths, &out)).succeeds();
    let manifest = manifest(&out);
    assert_eq!(manifest["n_cells"], 0, "{}", manifest["images"]);
    assert_eq!(manifest["images"].as_array().unwrap().len(), images.len());
    for image in &images {
        let name = image.file_stem().unwrap().to_str().unwrap();
        let size = |page: &StillImage| [page.height, page.width];
        let page = labels(&out, name).remove(0);
        assert_eq!(size(&page), size(&read_image(image).unwrap()[0]), "{name}");
    }
    assert!(
        ran.stderr
            .contains("not_a_number.tif`: 900 values are not finite"),
        "{}",
        ran.stderr
    );
    assert_eq!(manifest["images"][6]["not_finite_values"], 900);
}

#[test]
fn a_few_values_that_are_not_finite_do_not_hide_the_cells() {
    let (folder, image, out) = with_cells();
    let mut values: Vec<f32> = cells().into_iter().map(f32::from).collect();
    for (at, value) in [
        (5, f32::NAN),
        (700, f32::INFINITY),
        (9000, f32::NEG_INFINITY),
    ] {
        values[at] = value;
    }
    let holes = write(
        folder.path(),
        "holes.tif",
        &tiff(&[Page::f32(SIDE, SIDE, &values)]),
    );
    run(&mut segment(&[&image, &holes], &out)).succeeds();
    let manifest = manifest(&out);
    assert_eq!(manifest["images"][1]["not_finite_values"], 3);
    assert_eq!(manifest["warnings"].as_array().unwrap().len(), 1);
    let (whole, holes) = (
        count(&labels(&out, "a")[0]),
        count(&labels(&out, "holes")[0]),
    );
    assert!(
        whole.abs_diff(holes) <= 2,
        "{whole} cells, {holes} with holes"
    );
}

#[test]
fn weights_that_do_not_fit_are_refused() {
    let (folder, image, out) = with_cells();
    let junk = write(folder.path(), "junk.safetensors", b"no weights at all");
    let junk = junk.to_str().unwrap();
    refused(
        &[&image],
        &out,
        &["--weights", junk],
        &["junk.safetensors", "not a safetensors file"],
        &["convert.py"],
    );
    // Weights in Cellpose's form segment images, if they have two channels as Cellpose's have.
    let other = write(
        folder.path(),
        "other.safetensors",
        &changed_weights(|header| header["__metadata__"]["input"] = json!("stars")),
    );
    let other = other.to_str().unwrap();
    refused(
        &[&image],
        &out,
        &["--weights", other],
        &["other.safetensors", "`stars`", "`cellpose`"],
        &["--weights"],
    );
}
