//! Each kind of bad movie gets one sentence with what, which page or file, and what to do.

use somata_io::IoError;
use somata_io::movie::{MovieOptions, open};

use crate::builder::{PageSpec, counting_pages, gray_page, tiff, write};
use crate::suite::{golden, open_error, open_plain, says};

/// The error of a file of these pages.
fn error_of(pages: &[PageSpec]) -> IoError {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, "a.tif", &tiff(pages, 0));
    open_error(&[path], &MovieOptions::default())
}

/// The error of a file of these bytes.
fn error_of_bytes(name: &str, bytes: &[u8]) -> IoError {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, name, bytes);
    open_error(&[path], &MovieOptions::default())
}

#[test]
fn paths_without_a_movie_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let none = MovieOptions::default();
    says(&open_error(&[], &none), &["no file was given"]);
    says(
        &open_error(&[folder.path().join("a.tif")], &none),
        &["a.tif", "does not exist"],
    );
    says(
        &open_error(&[folder.path().to_owned()], &none),
        &["no file"],
    );
    write(&folder, "notes.txt", b"x");
    says(
        &open_error(&[folder.path().to_owned()], &none),
        &["no TIFF file", "`notes.txt`"],
    );
    for (name, bytes, part) in [
        ("a.tif", &b""[..], "empty"),
        ("a.bin", b"", "empty"),
        ("a.tif", b"not a TIFF", "does not begin as a TIFF"),
        ("a.tif", b"II", "does not begin as a TIFF"),
        ("a.h5", b"\x89HDF\r\n\x1a\n", "shorter"),
        ("a.h5", b"not HDF5, whatever its name", "the mark of HDF5"),
        ("a.sbx", b"123456789", "Scanbox"),
        ("a.png", b"\x89PNG\r\n\x1a\n", "somata segment"),
        ("a.avi", b"RIFF1234AVI ", "compressed video"),
        ("a.xyz", b"123456789", "neither a TIFF"),
    ] {
        says(&error_of_bytes(name, bytes), &[name, part]);
    }
}

#[test]
fn formats_are_not_mixed() {
    let folder = tempfile::tempdir().unwrap();
    let movie = write(&folder, "a.tif", &tiff(&counting_pages(1), 0));
    let raw = write(&folder, "b.bin", &[0; 24]);
    says(
        &open_error(&[movie, raw], &MovieOptions::default()),
        &["b.bin", "same format", "a.tif"],
    );
}

#[test]
fn a_truncated_file_names_the_page_and_what_is_whole() {
    let bytes = tiff(&counting_pages(3), 0);
    let page_bytes = (bytes.len() - 8) / 3;
    for cut in 4..bytes.len() {
        let error = error_of_bytes("a.tif", &bytes[..cut]);
        let page = if cut < 8 { 0 } else { (cut - 8) / page_bytes };
        let whole = ["no page", "the page before it", "the 2 pages before it"][page];
        says(
            &error,
            &[&format!("page {}:", page + 1), "truncated", whole],
        );
        assert!(error.hint().unwrap().contains("copy"));
    }
}

#[test]
fn headers_that_make_no_sense_are_told() {
    says(&error_of_bytes("a.tif", b"II*\0\0\0\0\0"), &["no page"]);
    says(
        &error_of_bytes("a.tif", b"II+\0\x09\0\0\0\x10\0\0\0\0\0\0\0"),
        &["page 1", "offsets of 9 bytes"],
    );
    let mut bytes = tiff(&counting_pages(1), 0);
    bytes[8..10].copy_from_slice(&[0xff, 0xff]);
    says(
        &error_of_bytes("a.tif", &bytes),
        &["page 1", "65535 entries"],
    );
    bytes[8..10].copy_from_slice(&[0, 0]);
    says(&error_of_bytes("a.tif", &bytes), &["page 1", "0 entries"]);
}

#[test]
fn a_loop_of_directories_ends() {
    // The last directory points back to each of the earlier ones in turn.
    let pages = counting_pages(5);
    let bytes = tiff(&pages, 0);
    let page_bytes = (bytes.len() - 8) / 5;
    let directory = |page: usize| 8 + page * page_bytes;
    for target in 0..5 {
        let mut bytes = bytes.clone();
        let next = directory(4) + 2 + 12 * 9;
        assert_eq!(bytes[next..next + 4], [0; 4]);
        bytes[next..next + 4].copy_from_slice(&(directory(target) as u32).to_le_bytes());
        says(&error_of_bytes("a.tif", &bytes), &["loop"]);
    }
}

#[test]
fn pages_that_differ_are_told_with_both_sizes() {
    let mut pages = counting_pages(4);
    pages[2] = gray_page(4, 3, &[0; 12]);
    says(
        &error_of(&pages),
        &["page 3", "4 × 3 pixels of uint16", "page 1 is 3 × 4"],
    );
    pages[2] = counting_pages(1).remove(0).with(339, &[2]);
    says(&error_of(&pages), &["page 3", "int16", "uint16"]);
    let folder = tempfile::tempdir().unwrap();
    let paths = [
        write(&folder, "a.tif", &tiff(&counting_pages(2), 0)),
        write(&folder, "b.tif", &tiff(&[gray_page(1, 12, &[0; 12])], 0)),
    ];
    let error = open_error(&paths, &MovieOptions::default());
    says(&error, &["b.tif`, page 1", "1 × 12", "page 1 of `a.tif`"]);
}

#[test]
fn colours_and_palettes_are_refused_with_a_way_out() {
    let rgb = PageSpec {
        strips: vec![vec![0; 72]],
        ..gray_page(3, 4, &[0; 12])
            .with(262, &[2])
            .with(277, &[3])
            .with(258, &[16, 16, 16])
    };
    let error = error_of(std::slice::from_ref(&rgb));
    says(&error, &["page 1", "RGB", "gray"]);
    assert!(error.hint().unwrap().contains("Split Channels"));
    says(&error_of(&[rgb.clone().with(262, &[5])]), &["CMYK"]);
    says(&error_of(&[rgb.with(262, &[1])]), &["3 samples a pixel"]);
    let page = gray_page(3, 4, &[0; 12]);
    says(&error_of(&[page.clone().with(262, &[3])]), &["palette"]);
    says(&error_of(&[page.with(262, &[8])]), &["CIELAB"]);
}

#[test]
fn what_is_not_read_is_named() {
    let page = || gray_page(3, 4, &[0; 12]);
    for (tag, value, parts) in [
        (259, 7, &["JPEG"][..]),
        (259, 4, &["CCITT"]),
        (259, 34712, &["JPEG 2000"]),
        (259, 777, &["777"]),
        (317, 9, &["predictor 9"]),
        (317, 3, &["predictor", "floats"]),
        (339, 6, &["complex"]),
        (339, 77, &["sample format is 77"]),
        (258, 40, &["unsigned integers of 40 bits"]),
        (258, 0, &["0 bits"]),
        (256, 0, &["3 × 0"]),
        (257, 0, &["0 × 4"]),
        (277, 0, &["0 samples"]),
    ] {
        let error = error_of(&[page(), page().with(tag, &[value])]);
        says(&error, &[&["page 2"], parts].concat());
    }
    let wide = PageSpec {
        strips: vec![vec![0; 96]],
        ..page().with(258, &[64])
    };
    says(&error_of(&[wide]), &["uint64"]);
}

#[test]
fn sizes_beyond_the_file_are_not_believed() {
    let page = || gray_page(3, 4, &[0; 12]);
    says(
        &error_of(&[page().with(256, &[1_000_000]).with(257, &[1_000_000])]),
        &["more than can be read"],
    );
    says(
        &error_of(&[page().with(256, &[u32::MAX])]),
        &["page 1", "4294967295"],
    );
    says(
        &error_of(&[page()
            .with(256, &[60_000])
            .with(257, &[60_000])
            .with(278, &[60_000])]),
        &["truncated", "7200"],
    );
    // Packed, the same claim is measured against what the codec can do.
    says(
        &error_of(&[page()
            .with(259, &[8])
            .with(256, &[60_000])
            .with(257, &[60_000])
            .with(278, &[60_000])]),
        &["24 bytes", "cannot hold"],
    );
    says(
        &error_of(&[page().with(273, &[u32::MAX])]),
        &["truncated", "4294967319"],
    );
    says(
        &error_of(&[page().with(278, &[1])]),
        &["1 strips", "needs 3"],
    );
    says(
        &error_of(&[page().with(259, &[5]).with(279, &[0])]),
        &["cannot hold"],
    );
    says(
        &error_of(&[page()
            .with(259, &[5])
            .with(278, &[1])
            .with(273, &[8, 8, 8])
            .with(279, &[4, 4])]),
        &["byte counts of 2"],
    );
    let tiled = page().with(322, &[16]).with(323, &[0]);
    says(&error_of(&[tiled]), &["tiles are 0 × 16"]);
}

#[test]
fn damaged_packed_data_are_told_with_the_page_when_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let zstd_mark = [0x28, 0xb5, 0x2f, 0xfd];
    for name in ["lzw.tif", "deflate.tif", "zstd.tif"] {
        let mut bytes = std::fs::read(golden(name)).unwrap();
        // The second page's data are the last thing that tifffile writes.
        let n_bytes = bytes.len();
        match bytes.windows(4).rposition(|window| window == zstd_mark) {
            Some(at) => bytes[at] = 0,
            None => bytes[n_bytes - 300..].fill(0x81),
        }
        let path = write(&folder, name, &bytes);
        let reader = open_plain(&path);
        let mut frame = vec![0u8; reader.description().frame_bytes()];
        reader.read(0, 0, 0, &mut frame).unwrap();
        let error = reader.read(0, 0, 1, &mut frame).unwrap_err();
        says(&error, &[name, "page 2", "strip 1", "cannot be unpacked"]);
    }
}

#[test]
fn pages_that_make_no_whole_volume_are_left_out_or_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = [write(&folder, "a.tif", &tiff(&counting_pages(7), 0))];
    let told = |n_planes, n_channels| MovieOptions {
        n_planes: Some(n_planes),
        n_channels: Some(n_channels),
        ..MovieOptions::default()
    };
    let reader = open(&path, &told(3, 1)).unwrap();
    assert_eq!(reader.description().n_frames, 2);
    assert!(
        reader.description().warnings[0].contains("last 1"),
        "{:?}",
        reader.description().warnings
    );
    says(
        &open_error(&path, &told(4, 2)),
        &["7 pages", "one time point", "8"],
    );
    says(&open_error(&path, &told(0, 2)), &["number of planes", "0"]);
    says(
        &open_error(&path, &told(2, usize::MAX)),
        &["number of channels"],
    );
    let options = MovieOptions {
        frame_rate_hz: Some(f64::NAN),
        ..MovieOptions::default()
    };
    says(&open_error(&path, &options), &["frame rate", "Hz above 0"]);
}

#[test]
fn a_stack_that_promises_more_images_than_it_has_is_truncated() {
    let bytes = std::fs::read(golden("imagej_contiguous.tif")).unwrap();
    let error = error_of_bytes("a.tif", &bytes[..bytes.len() - 100]);
    // 24 images of 70 bytes, of which the last two are cut.
    says(
        &error,
        &["page 23", "24 images", "the 22 pages before it are whole"],
    );
    // One image cut out of a stack with the stack's description is one image.
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, "b.tif", &bytes[..bytes.len() - 22 * 70 - 1]);
    let options = MovieOptions {
        n_planes: Some(1),
        n_channels: Some(1),
        ..MovieOptions::default()
    };
    assert_eq!(open(&[path], &options).unwrap().description().n_frames, 1);
}

#[test]
fn files_with_time_inside_cannot_be_joined() {
    let paths = [golden("ome_CTZYX.tif"), golden("ome_CTZYX.tif")];
    says(
        &open_error(&paths, &MovieOptions::default()),
        &["time points", "2 files"],
    );
}

#[test]
fn a_file_that_changes_while_it_is_read_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = tiff(&counting_pages(3), 0);
    let path = write(&folder, "a.tif", &bytes);
    let reader = open_plain(&path);
    let mut out = vec![0u8; 24];
    reader.read(0, 0, 2, &mut out).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    says(&reader.read(0, 0, 2, &mut out).unwrap_err(), &["truncated"]);

    let packed: Vec<PageSpec> = counting_pages(1)
        .into_iter()
        .map(|page| page.with(266, &[2]))
        .collect();
    let path = write(&folder, "b.tif", &tiff(&packed, 0));
    let reader = open_plain(&path);
    let other = tiff(&[gray_page(4, 3, &[0; 12]).with(266, &[2])], 0);
    std::fs::write(&path, other).unwrap();
    says(
        &reader.read(0, 0, 0, &mut out).unwrap_err(),
        &["page 1", "changed since it was opened"],
    );
}

#[test]
#[cfg(unix)]
fn a_folder_that_cannot_be_read_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o000)).unwrap();
    // The superuser reads everything: then the folder is merely empty.
    let error = open_error(&[folder.path().to_owned()], &MovieOptions::default());
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    assert!(
        matches!(error, IoError::Read { .. } | IoError::NotAMovie { .. }),
        "{error}"
    );
    assert!(error.hint().is_some());
}
