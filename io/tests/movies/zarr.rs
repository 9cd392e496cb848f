//! Zarr movies of both versions and of every codec, against what zarr-python reads (`golden/make_zarr.py`).

use std::path::PathBuf;

use serde_json::Value;
use somata_io::movie::{MovieOptions, open};

use crate::suite::{check_reader, check_values, crc32, open_error, open_plain, read_all, says};

/// A store below `tests/golden/zarr`.
fn store(name: &str) -> PathBuf {
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/zarr");
    golden.join(name)
}

fn expected(version: &str) -> serde_json::Map<String, Value> {
    let bytes = std::fs::read(store(&format!("expected_{version}.json"))).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn arrays_of_every_codec_equal_those_of_zarr_python() {
    let mut n_arrays = 0;
    for version in ["v2", "v3"] {
        for (name, noted) in expected(version) {
            let Some(frames) = noted.get("frames") else {
                continue;
            };
            n_arrays += 1;
            let name = format!("{version}/{name}");
            let reader = open_plain(&store(&name));
            let description = reader.description();
            assert_eq!(description.format, "Zarr movie");
            assert_eq!(
                description.pixel_type.numpy_name(),
                noted["dtype"].as_str().unwrap(),
                "{name}"
            );
            let mut values = read_all(&*reader, 0, 0);
            // What is not a number has no sum: the script put −1 in its place.
            values
                .iter_mut()
                .filter(|value| value.is_nan())
                .for_each(|value| *value = -1.0);
            check_values(&name, &values, frames);
            check_reader(&*reader);
            let is_warned = description
                .warnings
                .iter()
                .any(|warning| warning.contains("files of chunks are absent"));
            assert_eq!(
                is_warned,
                name.ends_with("absent_chunks"),
                "{name}: {:?}",
                description.warnings
            );
        }
    }
    assert_eq!(n_arrays, 36 + 24);
}

#[test]
fn ome_zarr_of_both_versions_tells_axes_rate_and_pixel_size() {
    for version in ["v2", "v3"] {
        let noted = &expected(version)["image.ome.zarr"];
        let reader = open_plain(&store(&format!("{version}/image.ome.zarr")));
        let description = reader.description();
        assert_eq!(description.format, "OME-Zarr");
        assert_eq!(
            (
                description.n_planes,
                description.n_channels,
                description.n_frames
            ),
            (3, 2, 6)
        );
        assert_eq!(description.frame_rate_hz, noted["frame_rate_hz"].as_f64());
        assert_eq!(
            serde_json::json!(description.pixel_size_um),
            noted["pixel_size_um"]
        );
        assert!(
            description.warnings.is_empty(),
            "{:?}",
            description.warnings
        );
        for plane in 0..3 {
            for channel in 0..2 {
                let noted = &noted["planes"][plane][channel];
                check_values(version, &read_all(&*reader, plane, channel), noted);
            }
        }
        check_reader(&*reader);
    }
}

#[test]
fn axes_are_taken_by_their_names_in_any_order() {
    let noted = &expected("v3")["named_axes"];
    let reader = open_plain(&store("v3/named_axes"));
    let description = reader.description();
    assert_eq!(
        (description.height, description.width, description.n_frames),
        (20, 16, 6)
    );
    assert_eq!((description.n_planes, description.n_channels), (1, 2));
    for channel in 0..2 {
        check_values(
            "named_axes",
            &read_all(&*reader, 0, channel),
            &noted["channels"][channel],
        );
    }
    check_reader(&*reader);
}

#[test]
fn what_the_user_says_of_planes_wins() {
    let options = MovieOptions {
        n_planes: Some(3),
        ..MovieOptions::default()
    };
    let reader = open(&[store("v2/plain")], &options).unwrap();
    assert_eq!(
        (reader.description().n_planes, reader.description().n_frames),
        (3, 2)
    );
    let whole = read_all(&*open_plain(&store("v2/plain")), 0, 0);
    let frame = 16 * 20;
    let second = read_all(&*reader, 1, 0);
    assert_eq!(second[..frame], whole[frame..2 * frame]);
    assert_eq!(second[frame..], whole[4 * frame..5 * frame]);
}

/// Copies a store to a folder of the test's own.
fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

#[test]
fn damaged_and_foreign_stores_are_refused_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.zarr");
    let options = MovieOptions::default();
    copy(&store("v2/zlib"), &path);
    let json_path = path.join(".zarray");
    let good: Value = serde_json::from_slice(&std::fs::read(&json_path).unwrap()).unwrap();
    let with = |key: &str, value: Value| {
        let mut json = good.clone();
        json[key] = value;
        std::fs::write(&json_path, json.to_string()).unwrap();
    };
    for (key, value, parts) in [
        (
            "zarr_format",
            serde_json::json!(4),
            &["zarr_format", "`4`", "2 and 3 are read"][..],
        ),
        (
            "compressor",
            serde_json::json!({"id": "wavpack", "level": 2}),
            &["wavpack", "not read"],
        ),
        (
            "filters",
            serde_json::json!([{"id": "pickle"}]),
            &["pickle", "not read"],
        ),
        (
            "dtype",
            serde_json::json!("<c8"),
            &["`<c8`", "not supported"],
        ),
        (
            "dtype",
            serde_json::json!("<i8"),
            &["int64", "not supported"],
        ),
        (
            "chunks",
            serde_json::json!([4, 0, 12]),
            &["chunks", "1 or more"],
        ),
        (
            "chunks",
            serde_json::json!([4, 16]),
            &["2 lengths of a chunk for 3 axes"],
        ),
        (
            "chunks",
            serde_json::json!([1 << 20, 1 << 20, 12]),
            &["larger than the 2 GiB"],
        ),
        (
            "shape",
            serde_json::json!([1u64 << 50, 1 << 10, 1 << 10]),
            &["more than any disk holds"],
        ),
        (
            "shape",
            serde_json::json!([6, 16, 20, 7]),
            &["lengths of a chunk"],
        ),
        ("order", serde_json::json!("A"), &["order", "`C` or `F`"]),
    ] {
        with(key, value);
        says(&open_error(std::slice::from_ref(&path), &options), parts);
    }
    std::fs::write(&json_path, good.to_string()).unwrap();
    // A chunk that is cut, and one that is absent.
    let chunk = path.join("1.0.0");
    let bytes = std::fs::read(&chunk).unwrap();
    std::fs::write(&chunk, &bytes[..bytes.len() / 2]).unwrap();
    let reader = open(std::slice::from_ref(&path), &options).unwrap();
    let mut frame = vec![0; reader.description().frame_bytes()];
    reader.read(0, 0, 0, &mut frame).unwrap();
    let error = reader.read(0, 0, 4, &mut frame).unwrap_err();
    says(&error, &["1.0.0", "zlib"]);
    for name in ["0.0.0", "0.0.1", "1.0.0", "1.0.1"] {
        std::fs::remove_file(path.join(name)).unwrap();
    }
    says(
        &open_error(std::slice::from_ref(&path), &options),
        &["only 0 of its 4 files"],
    );
    // Two stores are no movie, and four axes need a name.
    let two = [store("v2/plain"), store("v2/zlib")];
    says(&open_error(&two, &options), &["several Zarr stores"]);
    with("shape", serde_json::json!([2, 3, 16, 20]));
    let mut json: Value = serde_json::from_slice(&std::fs::read(&json_path).unwrap()).unwrap();
    json["chunks"] = serde_json::json!([1, 1, 16, 20]);
    std::fs::write(&json_path, json.to_string()).unwrap();
    let error = open_error(std::slice::from_ref(&path), &options);
    says(&error, &["four axes"]);
    assert!(error.hint().unwrap().contains("--n-planes 3"));
}

#[test]
fn a_dataset_cannot_lie_outside_of_its_store() {
    let folder = tempfile::tempdir().unwrap();
    copy(&store("v2/plain"), &folder.path().join("outside"));
    let path = folder.path().join("in.zarr");
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join(".zgroup"), "{\"zarr_format\": 2}").unwrap();
    for dataset in [
        "../outside".to_owned(),
        folder.path().join("outside").to_str().unwrap().to_owned(),
    ] {
        let attributes = serde_json::json!({"multiscales": [{"version": "0.4", "datasets": [{"path": dataset}],
            "axes": [{"name": "t"}, {"name": "y"}, {"name": "x"}]}]});
        std::fs::write(path.join(".zattrs"), attributes.to_string()).unwrap();
        let error = open_error(std::slice::from_ref(&path), &MovieOptions::default());
        assert!(error.hint().is_some(), "{error}");
    }
}

#[test]
fn a_folder_that_holds_one_store_stands_for_it() {
    let folder = tempfile::tempdir().unwrap();
    copy(&store("v3/shards"), &folder.path().join("movie.zarr"));
    let reader = open_plain(folder.path());
    assert_eq!(
        crc32(&read_all(&*reader, 0, 0)),
        expected("v3")["shards"]["frames"]["crc32"]
            .as_u64()
            .unwrap()
    );
}
