//! Bare binary movies, as Suite2p's `data.bin`.

use serde_json::json;
use somata_io::movie::{MovieOptions, PixelType, open};

use crate::builder::write;
use crate::suite::{check_reader, open_error, open_plain, read_all, says};

/// 30 frames of 3 × 4 pixels of int16.
fn samples() -> Vec<u8> {
    (0..360i16)
        .flat_map(|value| (7 * value - 500).to_le_bytes())
        .collect()
}

/// Options with a size.
fn sized(height: usize, width: usize) -> MovieOptions {
    MovieOptions {
        height: Some(height),
        width: Some(width),
        ..MovieOptions::default()
    }
}

#[test]
fn data_bin_is_int16_and_its_size_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, "data.bin", &samples());
    for paths in [path.clone(), folder.path().to_owned()] {
        let reader = open(&[paths], &sized(3, 4)).unwrap();
        let description = reader.description();
        assert_eq!(
            (description.n_frames, description.pixel_type),
            (30, PixelType::I16)
        );
        assert_eq!(description.frame_rate_hz, None);
        let values: Vec<f64> = (0..360).map(|value| f64::from(7 * value - 500)).collect();
        assert_eq!(read_all(&*reader, 0, 0), values);
        check_reader(&*reader);
    }
}

#[test]
fn planes_channels_byte_order_and_several_files() {
    let folder = tempfile::tempdir().unwrap();
    let big: Vec<u8> = (0..360i16).flat_map(|value| value.to_be_bytes()).collect();
    let paths = [
        write(&folder, "a.raw", &big[..240]),
        write(&folder, "b.raw", &big[240..]),
    ];
    let options = MovieOptions {
        dtype: Some(">i2".into()),
        n_planes: Some(5),
        n_channels: Some(2),
        frame_rate_hz: Some(6.0),
        ..sized(3, 4)
    };
    let reader = open(&paths, &options).unwrap();
    assert_eq!(reader.description().n_frames, 3);
    let values = read_all(&*reader, 3, 1);
    for frame in 0..3 {
        let page = (frame * 5 + 3) * 2 + 1;
        assert_eq!(values[frame * 12], (page * 12) as f64);
    }
    check_reader(&*reader);
}

#[test]
fn movie_json_describes_it_and_the_user_is_believed_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, "frames.bin", &samples());
    let description =
        json!({"height": 3, "width": 4, "dtype": "int16", "n_frames": 30, "frame_rate_hz": 15.5});
    write(&folder, "movie.json", description.to_string().as_bytes());
    let reader = open_plain(&path);
    assert_eq!(reader.description().n_frames, 30);
    assert_eq!(reader.description().frame_rate_hz, Some(15.5));
    assert!(reader.description().paths[1].ends_with("movie.json"));
    check_reader(&*reader);
    let identity = reader.description().identity.clone();
    let mut changed = description.clone();
    changed["frame_rate_hz"] = json!(30);
    write(&folder, "movie.json", changed.to_string().as_bytes());
    assert_ne!(open_plain(&path).description().identity, identity);
    let options = MovieOptions {
        n_channels: Some(2),
        ..sized(6, 4)
    };
    let reader = open(std::slice::from_ref(&path), &options).unwrap();
    assert_eq!(
        (reader.description().height, reader.description().n_frames),
        (6, 7)
    );
    for (key, value, parts) in [
        (
            "height",
            json!(-3),
            &["movie.json", "height", "whole number"][..],
        ),
        ("height", json!("tall"), &["height", "a number"]),
        ("width", json!(1e9), &["width", "1,048,576"]),
        ("dtype", json!(16), &["dtype", "int16"]),
        ("dtype", json!("int64"), &["int64", "not supported"]),
        ("n_frames", json!(31), &["30 frames", "31"]),
        ("n_planes", json!(1e6), &["n_planes", "65,536"]),
        ("frame_rate_hz", json!(0), &["frame_rate_hz", "Hz above 0"]),
    ] {
        let mut changed = description.clone();
        changed[key] = value;
        write(&folder, "movie.json", changed.to_string().as_bytes());
        says(
            &open_error(std::slice::from_ref(&path), &MovieOptions::default()),
            parts,
        );
    }
    write(&folder, "movie.json", b"{");
    says(
        &open_error(std::slice::from_ref(&path), &MovieOptions::default()),
        &["movie.json", "JSON"],
    );
}

#[test]
fn what_is_missing_is_asked_for_and_ops_npy_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let path = [write(&folder, "data.bin", &samples())];
    says(
        &open_error(&path, &MovieOptions::default()),
        &["--height", "--width"],
    );
    let other = [write(&folder, "b.raw", &samples())];
    says(&open_error(&other, &sized(3, 4)), &["--dtype"]);
    write(&folder, "ops.npy", b"\x93NUMPY");
    let error = open_error(&path, &MovieOptions::default());
    says(&error, &["--height", "--width"]);
    let hint = error.hint().unwrap();
    assert!(
        hint.contains("Ly") && hint.contains("ops.npy") && hint.contains("pickled"),
        "{hint}"
    );
}

#[test]
fn sizes_that_do_not_fit_are_told_with_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = [write(&folder, "data.bin", &samples()[..718])];
    says(
        &open_error(&path, &sized(3, 4)),
        &["718 bytes", "multiple of 24", "3 × 4"],
    );
    says(&open_error(&path, &sized(0, 4)), &["height", "0"]);
    says(&open_error(&path, &sized(3, usize::MAX)), &["width"]);
    let options = MovieOptions {
        dtype: Some("complex64".into()),
        ..sized(3, 4)
    };
    let error = open_error(&path, &options);
    says(&error, &["complex64"]);
    assert!(error.hint().unwrap().contains("float64"));
    let path = [write(&folder, "data.bin", b"")];
    says(&open_error(&path, &sized(3, 4)), &["empty"]);
}
