//! What bad movies get: one clear sentence with what, where and what to do, the exit code of the table, no partial output.
//! Frames of one value, saturated ones, values that are not finite or a movie without cells are no errors: they are reported.

use std::path::{Path, PathBuf};

use serde_json::json;
use somata_io::{
    imaging_output::zip_archive::read_zip,
    npy::{parse_header, read_npy_as_f64},
    still_image::read_image,
};

use crate::{
    bad_input::with_file_system,
    movies::{
        Page, SIDE, changed_weights, image, image_at_its_own_rate, small_pages, small_pixels, tiff,
        write,
    },
    run::{Ran, manifest, nothing_left, run, somata},
};

/// Frames of the movies here.
const FEW: usize = 60;

/// A temporary folder with the first frames of the small movie, and where a result would go.
fn with_movie() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let movie = write(folder.path(), "movie.tif", &tiff(&small_pages(FEW)));
    let out = folder.path().join("out");
    (folder, movie, out)
}

/// Asserts that a run on unusable input ends with code 3 and leaves nothing.
#[track_caller]
fn refused(movie: &Path, out: &Path, options: &[&str], what: &[&str], hint: &[&str]) {
    run(image(movie, out).args(options)).fails(3, what, hint);
    without_trace(out);
}

/// Asserts that neither a result nor a work folder is there.
#[track_caller]
fn without_trace(out: &Path) {
    nothing_left(out);
    assert!(
        !out.with_file_name("out.work").exists(),
        "a work folder was left for nothing"
    );
}

/// A file with some of its bytes replaced.
fn changed(bytes: &[u8], at: usize, by: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at..at + by.len()].copy_from_slice(by);
    bytes
}

#[test]
fn missing_files_and_folders_without_a_movie() {
    let (folder, movie, out) = with_movie();
    let inside = |name: &str| folder.path().join(name);
    refused(
        &inside("nowhere.tif"),
        &out,
        &[],
        &["nowhere.tif", "does not exist"],
        &["check the path"],
    );
    // The first file is there, the second is not.
    run(image(&movie, &out).arg(inside("second.tif"))).fails(
        3,
        &["second.tif", "does not exist"],
        &["check the path"],
    );
    without_trace(&out);
    let empty = inside("empty");
    std::fs::create_dir(&empty).unwrap();
    refused(&empty, &out, &[], &["empty", "no file"], &["TIFF"]);
    write(&empty, "notes.txt", b"mine");
    refused(&empty, &out, &[], &["empty", "not a movie"], &["TIFF"]);
}

#[cfg(unix)]
#[test]
fn what_may_not_be_read() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, movie, out) = with_movie();
    let closed = folder.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    let permit = |path: &Path, mode: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    permit(&closed, 0o000);
    permit(&movie, 0o000);
    if std::fs::read_dir(&closed).is_ok() {
        println!("ignored: this user may read everything");
    } else {
        refused(
            &closed,
            &out,
            &[],
            &["cannot read", "closed"],
            &["permission"],
        );
        refused(
            &movie,
            &out,
            &[],
            &["cannot read", "movie.tif"],
            &["permission"],
        );
    }
    permit(&closed, 0o700);
    permit(&movie, 0o600);
}

#[test]
fn a_truncated_file_names_its_first_page_that_is_not_whole() {
    let (folder, movie, out) = with_movie();
    let whole = std::fs::read(&movie).unwrap();
    // Every page has its pixels and then its directory, and each is as long as the others.
    let page_bytes = (whole.len() - 8) / FEW;
    let cut = |at: usize| write(folder.path(), "cut.tif", &whole[..at]);
    for (at, page) in [
        (8 + 41 * page_bytes + 100, 42),
        (8 + 42 * page_bytes - 3, 42),
        (whole.len() - 20, FEW),
    ] {
        refused(
            &cut(at),
            &out,
            &[],
            &["cut.tif", &format!("page {page}: "), "truncated"],
            &["copy", "whole pages"],
        );
    }
    refused(
        &cut(6),
        &out,
        &[],
        &["cut.tif", "page 1: ", "truncated"],
        &["copy"],
    );
    refused(&cut(0), &out, &[], &["cut.tif", "empty"], &["TIFF"]);
}

#[test]
fn a_corrupt_file_names_the_page() {
    let (folder, movie, out) = with_movie();
    let whole = std::fs::read(&movie).unwrap();
    let page_bytes = (whole.len() - 8) / FEW;
    let damaged =
        |at: usize, by: &[u8]| write(folder.path(), "damaged.tif", &changed(&whole, at, by));
    // The place of the first page's directory is beyond the end.
    let path = damaged(4, &0xFFFF_FF00u32.to_le_bytes());
    refused(&path, &out, &[], &["damaged.tif", "page 1: "], &["copy"]);

    // Page 18 says that its pixels are deflated; only reading them tells that they are not.
    let directory = 8 + 17 * page_bytes + 2 * SIDE * SIDE;
    let compression = directory + 2 + 3 * 12;
    assert_eq!(whole[compression..compression + 2], 259u16.to_le_bytes());
    let path = damaged(compression + 8, &8u32.to_le_bytes());
    refused(
        &path,
        &out,
        &[],
        &["damaged.tif", "page 18: ", "deflate"],
        &["damaged", "copy"],
    );

    // Another file under the name of a TIFF.
    let path = write(
        folder.path(),
        "damaged.tif",
        b"no picture at all, only text",
    );
    refused(&path, &out, &[], &["damaged.tif", "TIFF"], &["TIFF"]);
}

#[test]
fn pages_of_several_sizes_or_types() {
    let (folder, movie, out) = with_movie();
    let mut pages = small_pages(20);
    pages[7] = Page::i16(SIDE - 16, SIDE, &small_pixels()[..(SIDE - 16) * SIDE]);
    let path = write(folder.path(), "sizes.tif", &tiff(&pages));
    refused(
        &path,
        &out,
        &[],
        &["sizes.tif", "page 8: ", "80 × 96", "96 × 96"],
        &["one size"],
    );
    pages[7] = Page::f32(SIDE, SIDE, &vec![1.0; SIDE * SIDE]);
    let path = write(folder.path(), "types.tif", &tiff(&pages));
    refused(
        &path,
        &out,
        &[],
        &["types.tif", "page 8: ", "float32", "int16"],
        &["one size and type"],
    );
    // Whole files, but not of one movie.
    let half = vec![Page::i16(SIDE / 2, SIDE, &small_pixels()[..SIDE / 2 * SIDE]); 10];
    let other = write(folder.path(), "other.tif", &tiff(&half));
    run(image(&movie, &out).arg(&other)).fails(
        3,
        &["other.tif", "48 × 96", "96 × 96"],
        &["one movie"],
    );
    without_trace(&out);
}

#[test]
fn too_few_frames() {
    let (folder, _, out) = with_movie();
    let path = write(folder.path(), "none.tif", &tiff(&[]));
    refused(&path, &out, &[], &["none.tif", "no page"], &["copy"]);
    let path = write(folder.path(), "one.tif", &tiff(&small_pages(1)));
    refused(&path, &out, &[], &["1 frame "], &["somata segment"]);
    // Two channels of one time point are no movie either.
    let path = write(folder.path(), "two.tif", &tiff(&small_pages(2)));
    refused(
        &path,
        &out,
        &["--n-channels", "2"],
        &["1 frame ", "channel"],
        &["somata segment"],
    );
    refused(
        &path,
        &out,
        &["--n-channels", "3"],
        &["two.tif", "2 pages", "3 channels"],
        &["--n-channels"],
    );
    for n_frames in [2, 3, 9] {
        let path = write(folder.path(), "few.tif", &tiff(&small_pages(n_frames)));
        run(&mut image(&path, &out)).succeeds();
        assert_eq!(manifest(&out)["movie"]["n_frames"], n_frames);
        finite(&out);
        std::fs::remove_dir_all(&out).unwrap();
    }
}

#[test]
fn colour_where_gray_is_needed() {
    let (folder, _, out) = with_movie();
    let colours: Vec<[u8; 3]> = (0..SIDE * SIDE).map(|i| [i as u8, 7, 200]).collect();
    let pages = vec![Page::rgb(SIDE, SIDE, &colours); 5];
    let path = write(folder.path(), "colour.tif", &tiff(&pages));
    refused(
        &path,
        &out,
        &[],
        &["colour.tif", "page 1: ", "RGB", "gray"],
        &["Split Channels"],
    );
}

#[test]
fn a_frame_rate_that_nothing_tells_or_that_is_none() {
    let (_folder, movie, out) = with_movie();
    run(&mut image_at_its_own_rate(&movie, &out, &[])).fails(
        3,
        &["movie.tif", "frame rate"],
        &["--frame-rate HZ"],
    );
    without_trace(&out);
    for rate in ["0", "-30", "nan", "inf"] {
        run(&mut image_at_its_own_rate(
            &movie,
            &out,
            &["--frame-rate", rate],
        ))
        .fails(2, &["--frame-rate", "no rate"], &["frames a second"]);
        without_trace(&out);
    }
}

#[test]
fn channels_and_planes_that_are_not_there() {
    let (_folder, movie, out) = with_movie();
    refused(
        &movie,
        &out,
        &["--functional-channel", "2"],
        &["channel 2", "has 1"],
        &["--functional-channel", "--n-channels"],
    );
    refused(
        &movie,
        &out,
        &["--n-planes", "61"],
        &["movie.tif", "60 pages", "61 planes"],
        &["--n-planes"],
    );
    for (option, value) in [
        ("--functional-channel", "0"),
        ("--n-channels", "0"),
        ("--n-planes", "0"),
    ] {
        run(image(&movie, &out).args([option, value])).fails(2, &[option], &[]);
        without_trace(&out);
    }
    for tau in ["0", "-1", "nan", "1000"] {
        run(image(&movie, &out).args(["--tau", tau])).fails(2, &["--tau", "no decay"], &["0.7"]);
        without_trace(&out);
    }
    // Pages that are left over are told.
    let ran = run(image(&movie, &out).args(["--n-channels", "7"])).succeeds();
    assert!(
        ran.stderr.contains("warning: 60 pages") && ran.stderr.contains("last 4"),
        "{}",
        ran.stderr
    );
    assert_eq!(manifest(&out)["movie"]["n_frames"], 8);
}

#[test]
fn weights_that_do_not_fit() {
    let (folder, movie, out) = with_movie();
    let refuse = |bytes: &[u8], what: &[&str], hint: &str| {
        let path = write(folder.path(), "other.safetensors", bytes);
        let options = ["--weights", path.to_str().unwrap()];
        let what = [&["other.safetensors"], what].concat();
        refused(&movie, &out, &options, &what, &[hint]);
    };
    refuse(
        b"no weights at all",
        &["not a safetensors file"],
        "convert.py",
    );
    refuse(
        b"PK\x03\x04 and so on",
        &["PyTorch checkpoint"],
        "convert.py",
    );
    refuse(b"", &["0 bytes"], "convert.py");
    let own = changed_weights(|_| {});
    refuse(&own[..own.len() / 2], &[], "");

    let tensor = "downsample.down.res_down_0.conv.conv_0.2.bias";
    refuse(
        &changed_weights(|header| header[tensor]["shape"] = json!([3, 4])),
        &["do not fit", tensor, "[3, 4]", "[12]"],
        "convert.py",
    );
    refuse(
        &changed_weights(|header| header[tensor]["shape"] = json!([13])),
        &[tensor],
        "convert.py",
    );
    refuse(
        &changed_weights(|header| {
            let renamed = header.as_object_mut().unwrap().remove(tensor).unwrap();
            header["other"] = renamed;
        }),
        &["do not fit", "no `", tensor],
        "convert.py",
    );
    refuse(
        &changed_weights(|header| header["__metadata__"]["input"] = json!("cellpose")),
        &["still images"],
        "--weights",
    );
    refuse(
        &changed_weights(|header| header["__metadata__"]["input"] = json!("stars")),
        &["`stars`", "`summary`"],
        "--weights",
    );

    let nowhere = folder.path().join("nowhere.safetensors");
    refused(
        &movie,
        &out,
        &["--weights", nowhere.to_str().unwrap()],
        &["nowhere.safetensors", "does not exist"],
        &["check the path"],
    );
    refused(
        &movie,
        &out,
        &["--weights", folder.path().to_str().unwrap()],
        &["a folder"],
        &[],
    );
}

#[test]
fn frames_too_small_for_cells_are_refused_and_small_ones_work() {
    let (folder, _, out) = with_movie();
    let cut = |height: usize, width: usize| {
        let pages: Vec<Page> = small_pixels()
            .chunks_exact(SIDE * SIDE)
            .take(FEW)
            .map(|frame| {
                let rows = frame.chunks_exact(SIDE).skip(20).take(height);
                let pixels: Vec<i16> = rows.flat_map(|row| row[20..20 + width].to_vec()).collect();
                Page::i16(height, width, &pixels)
            })
            .collect();
        write(folder.path(), "cut.tif", &tiff(&pages))
    };
    for (height, width) in [(1, 1), (7, 7), (4, 70), (70, 4)] {
        refused(
            &cut(height, width),
            &out,
            &[],
            &[&format!("{height} × {width} pixels"), "too small"],
            &["8 × 8"],
        );
    }
    for (height, width) in [(8, 8), (12, 12), (8, 70), (17, 9), (30, 30)] {
        run(&mut image(&cut(height, width), &out)).succeeds();
        let manifest = manifest(&out);
        assert_eq!(
            (&manifest["movie"]["height"], &manifest["movie"]["width"]),
            (&json!(height), &json!(width))
        );
        let labels = read_image(&out.join("masks.tif")).unwrap();
        assert_eq!((labels[0].height, labels[0].width), (height, width));
        finite(&out);
        std::fs::remove_dir_all(&out).unwrap();
    }
}

/// Asserts that all arrays of numbers of a result are finite, and gives the number of cells.
#[track_caller]
pub(crate) fn finite(out: &Path) -> usize {
    let n = manifest(out)["n_cells"].as_u64().unwrap() as usize;
    for name in ["F", "Fneu", "F_corrected", "spks", "iscell", "shifts"] {
        let array = read_npy_as_f64(&out.join(format!("suite2p/plane0/{name}.npy"))).unwrap();
        if name != "shifts" {
            assert_eq!(array.shape[0], n, "{name}.npy");
        }
        assert!(
            array.data.iter().all(|value| value.is_finite()),
            "{name}.npy holds values that are not finite"
        );
    }
    for name in ["mean", "max", "correlation", "variance"] {
        let image = read_image(&out.join(format!("{name}.tif"))).unwrap();
        assert!(
            image[0].pixels.iter().all(|value| value.is_finite()),
            "{name}.tif holds values that are not finite"
        );
    }
    n
}

/// Asserts that a result without cells is complete and can be read.
#[track_caller]
fn empty_but_whole(out: &Path, ran: &Ran, n_frames: usize) {
    assert!(
        ran.stderr.contains("warning: no cells were found"),
        "{}",
        ran.stderr
    );
    let manifest = manifest(out);
    assert_eq!(manifest["n_cells"], 0);
    let warnings = manifest["warnings"].as_array().unwrap();
    assert!(warnings.contains(&json!("no cells were found")));
    assert_eq!(finite(out), 0);
    for name in ["F", "Fneu", "F_corrected", "spks"] {
        let array = read_npy_as_f64(&out.join(format!("suite2p/plane0/{name}.npy"))).unwrap();
        assert_eq!(array.shape, [0, n_frames], "{name}.npy");
    }
    for member in read_zip(&out.join("traces.npz"), 1 << 20).unwrap() {
        let header = parse_header(Path::new(&member.name), &member.bytes).unwrap();
        let expected = match member.name.as_str() {
            "time_s.npy" => vec![n_frames],
            _ => vec![0, n_frames],
        };
        assert_eq!(header.shape, expected, "{}", member.name);
    }
    assert!(read_zip(&out.join("rois.zip"), 1 << 20).unwrap().is_empty());
    let labels = read_image(&out.join("masks.tif")).unwrap();
    assert!(labels[0].pixels.iter().all(|&label| label == 0.0));
    let table = std::fs::read_to_string(out.join("cells.csv")).unwrap();
    assert_eq!(table.lines().count(), 1);
    let motion = std::fs::read_to_string(out.join("motion.csv")).unwrap();
    assert_eq!(motion.lines().count(), n_frames + 1);
    run(somata().arg("compare").args([out, out])).succeeds();
}

#[test]
fn frames_of_one_value_have_no_cells() {
    let folder = tempfile::tempdir().unwrap();
    let pixels = 64 * 50;
    let same = |page: Page| vec![page; FEW];
    for (name, pages) in [
        ("constant", same(Page::i16(64, 50, &vec![700; pixels]))),
        ("dark", same(Page::u16(64, 50, &vec![0; pixels]))),
        (
            "saturated",
            same(Page::u16(64, 50, &vec![u16::MAX; pixels])),
        ),
        ("negative", same(Page::i16(64, 50, &vec![i16::MIN; pixels]))),
        ("float", same(Page::f32(64, 50, &vec![0.5; pixels]))),
        // Each frame of one value, but of another one.
        (
            "flicker",
            (0..FEW)
                .map(|t| Page::i16(64, 50, &vec![100 + 13 * (t % 7) as i16; pixels]))
                .collect(),
        ),
    ] {
        let path = write(folder.path(), &format!("{name}.tif"), &tiff(&pages));
        let out = folder.path().join(name);
        let ran = run(&mut image(&path, &out)).succeeds();
        empty_but_whole(&out, &ran, FEW);
    }
}

#[test]
fn noise_alone_has_no_cells() {
    let folder = tempfile::tempdir().unwrap();
    let mut state = 1u64;
    let mut noise = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % 101) as i16 - 50
    };
    let pages: Vec<Page> = (0..200)
        .map(|_| {
            Page::i16(
                SIDE,
                SIDE,
                &(0..SIDE * SIDE).map(|_| noise()).collect::<Vec<_>>(),
            )
        })
        .collect();
    let path = write(folder.path(), "noise.tif", &tiff(&pages));
    let out = folder.path().join("out");
    let ran = run(&mut image(&path, &out)).succeeds();
    empty_but_whole(&out, &ran, 200);
}

#[test]
fn a_saturated_stretch_is_told_and_left_out() {
    let (folder, movie, out) = with_movie();
    run(&mut image(&movie, &out)).succeeds();
    let n = finite(&out);
    let mut pages = small_pages(FEW);
    for page in &mut pages[20..30] {
        *page = Page::i16(SIDE, SIDE, &vec![i16::MAX; SIDE * SIDE]);
    }
    let path = write(folder.path(), "flash.tif", &tiff(&pages));
    let flash = folder.path().join("flash");
    let ran = run(&mut image(&path, &flash)).succeeds();
    assert!(
        ran.stderr.contains("warning: 10 of 60 frames fit"),
        "{}",
        ran.stderr
    );
    assert_eq!(manifest(&flash)["planes"][0]["bad_frames"], 10);
    let found = finite(&flash);
    assert!(
        found > 0 && found <= n + 2,
        "{found} cells, {n} without the flash"
    );
    // What was measured is in the traces; what is made of it does not follow the flash.
    let spikes = read_npy_as_f64(&flash.join("suite2p/plane0/spks.npy")).unwrap();
    for (cell, spikes) in spikes.data.chunks_exact(FEW).enumerate() {
        let inside: f64 = spikes[20..30].iter().sum();
        let all: f64 = spikes.iter().sum();
        assert!(inside <= 0.5 * all, "cell {cell}: {inside} of {all}");
    }
}

#[test]
fn values_that_are_not_finite_are_counted_and_count_as_zero() {
    let (folder, movie, out) = with_movie();
    run(&mut image(&movie, &out)).succeeds();
    let n = finite(&out);
    let with = |bad: &[(usize, usize, f32)]| {
        let mut frames: Vec<Vec<f32>> = small_pixels()
            .chunks_exact(SIDE * SIDE)
            .take(FEW)
            .map(|frame| frame.iter().map(|&value| f32::from(value)).collect())
            .collect();
        for &(frame, pixel, value) in bad {
            frames[frame][pixel] = value;
        }
        let pages: Vec<Page> = frames
            .iter()
            .map(|frame| Page::f32(SIDE, SIDE, frame))
            .collect();
        write(folder.path(), "floats.tif", &tiff(&pages))
    };
    let middle = SIDE / 2 * SIDE + SIDE / 2;
    let bad = [
        (17, middle, f32::NAN),
        (17, middle + 1, f32::INFINITY),
        (30, 5, f32::NEG_INFINITY),
        (59, SIDE * SIDE - 1, -f32::NAN),
    ];
    let floats = folder.path().join("floats");
    let ran = run(&mut image(&with(&bad), &floats)).succeeds();
    assert!(
        ran.stderr.contains("warning: 4 values are not finite")
            && ran.stderr.contains("the first in frame 17"),
        "{}",
        ran.stderr
    );
    assert_eq!(manifest(&floats)["not_finite_values"], 4);
    let found = finite(&floats);
    assert!(found.abs_diff(n) <= 2, "{found} cells, {n} without them");

    // Nothing but values that are not finite.
    let pages = vec![Page::f32(32, 40, &vec![f32::NAN; 32 * 40]); 30];
    let path = write(folder.path(), "nothing.tif", &tiff(&pages));
    let nothing = folder.path().join("nothing");
    let ran = run(&mut image(&path, &nothing)).succeeds();
    empty_but_whole(&nothing, &ran, 30);
    assert_eq!(manifest(&nothing)["not_finite_values"], 30 * 32 * 40);
}

#[test]
fn places_that_cannot_be_written() {
    let (folder, movie, out) = with_movie();
    let file = write(folder.path(), "file", b"x");
    run(&mut image(&movie, &file.join("out"))).fails(4, &["file"], &["folder"]);
    run(image(&movie, &out).arg("--work").arg(file.join("work"))).fails(4, &["file"], &["--work"]);
    without_trace(&out);
    assert_eq!(std::fs::read(&file).unwrap(), b"x");

    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let work = folder.path().join("work");
    for (options, what, hint) in [
        ("size=200k", "No space left", "free some space"),
        ("ro", "Read-only", "written"),
    ] {
        // The result goes there, or only the work.
        for is_result in [true, false] {
            let mut command = if is_result {
                let mut command = image(&movie, &disk.join("out"));
                command.arg("--work").arg(&work).arg("--keep-movie");
                command
            } else {
                let mut command = image(&movie, &out);
                command.arg("--work").arg(disk.join("work"));
                command
            };
            command.arg("--quiet");
            let Some(mut ran) = with_file_system(&disk, options, &command) else {
                return;
            };
            if !is_result {
                // The work folder may stay: the same command goes on from it.
                ran.stdout.clear();
            }
            let hint = if is_result || options != "ro" {
                hint
            } else {
                ""
            };
            ran.fails(4, &["disk", what], &[hint]);
            nothing_left(&out);
        }
    }
}

#[test]
fn a_device_that_is_not_there_and_too_little_memory() {
    let (_folder, movie, out) = with_movie();
    run(image(&movie, &out).args(["--memory", "1MB"])).fails(
        2,
        &["96 × 96", "memory"],
        &["--memory "],
    );
    without_trace(&out);
    let mut command = somata();
    command.arg("image").arg(&movie).arg("--out").arg(&out);
    command.args(["--frame-rate", "30", "--device", "no such gpu"]);
    run(&mut command).fails(5, &["no such gpu"], &["somata devices", "--device cpu"]);
    without_trace(&out);
}
