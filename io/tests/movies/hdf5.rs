//! Movies in HDF5 and NWB (`golden/make_nwb.py`), against what h5py and roiextractors read from them.

use std::path::{Path, PathBuf};

use somata_io::movie::{MovieOptions, open};

use crate::suite::{check_reader, crc32, open_error, open_plain, read_all, says};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/nwb")
        .join(name)
}

fn of_dataset(dataset: &str) -> MovieOptions {
    MovieOptions {
        dataset: Some(dataset.to_owned()),
        ..MovieOptions::default()
    }
}

#[test]
fn movies_equal_what_h5py_and_roiextractors_read() {
    let bytes = std::fs::read(golden("expected.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let mut n_checked = 0;
    for (key, noted) in expected.as_object().unwrap() {
        if noted.get("frame_rate_hz").is_none() {
            continue;
        }
        let (name, series) = key.split_once(' ').unwrap_or((key, ""));
        let options = match (name, series) {
            ("several.h5", _) => of_dataset("red"),
            (_, "") => MovieOptions::default(),
            (_, series) => of_dataset(series),
        };
        let reader =
            open(&[golden(name)], &options).unwrap_or_else(|error| panic!("{key}: {error}"));
        check_reader(&*reader);
        let d = reader.description();
        let shape = [
            d.n_planes as u64,
            d.n_frames,
            d.height as u64,
            d.width as u64,
        ];
        let wanted: Vec<u64> = noted["shape"]
            .as_array()
            .unwrap()
            .iter()
            .map(|side| side.as_u64().unwrap())
            .collect();
        assert_eq!(shape.to_vec(), wanted, "{key}");
        let dtype = noted["dtype"].as_str().unwrap().replace(">u2", "uint16");
        assert_eq!(d.pixel_type.numpy_name(), dtype, "{key}");
        // Timestamps are rounded.
        let rate = noted["frame_rate_hz"].as_f64();
        assert_eq!(
            d.frame_rate_hz.map(|rate| (rate * 1e6).round() / 1e6),
            rate,
            "{key}"
        );
        let size = noted["pixel_size_um"]
            .as_array()
            .map(|sides| [0, 1].map(|i| sides[i].as_f64().unwrap()));
        assert_eq!(d.pixel_size_um, size, "{key}");
        let values: Vec<f64> = (0..d.n_planes)
            .flat_map(|plane| read_all(&*reader, plane, 0))
            .collect();
        assert_eq!(crc32(&values), noted["crc32"].as_u64().unwrap(), "{key}");
        n_checked += 1;
    }
    assert_eq!(n_checked, 7);
}

#[test]
fn pages_of_a_dataset_may_interleave_and_files_are_joined() {
    let path = golden("suite2p.h5");
    let whole = read_all(&*open_plain(&path), 0, 0);
    let options = MovieOptions {
        n_planes: Some(3),
        ..MovieOptions::default()
    };
    let reader = open(std::slice::from_ref(&path), &options).unwrap();
    check_reader(&*reader);
    assert_eq!(reader.description().n_frames, 2);
    assert!(
        reader.description().warnings[0].contains("last 2"),
        "{:?}",
        reader.description().warnings
    );
    let n_pixels = 6 * 5;
    assert_eq!(
        read_all(&*reader, 1, 0)[n_pixels..],
        whole[4 * n_pixels..5 * n_pixels]
    );

    let reader = open(&[path.clone(), path.clone()], &MovieOptions::default()).unwrap();
    check_reader(&*reader);
    assert_eq!(reader.description().n_frames, 16);
    assert_eq!(read_all(&*reader, 0, 0)[8 * n_pixels..], whole);
    // A volume of two planes in one dataset, read as pages of one plane.
    let options = MovieOptions {
        n_planes: Some(1),
        ..MovieOptions::default()
    };
    let reader = open(&[golden("planes.h5")], &options).unwrap();
    check_reader(&*reader);
    assert_eq!(reader.description().n_frames, 8);
}

#[test]
fn another_dataset_of_a_file_is_another_movie() {
    let path = [golden("several.h5")];
    let [green, red] = ["green", "/red"].map(|name| open(&path, &of_dataset(name)).unwrap());
    assert_ne!(green.description().identity, red.description().identity);
    assert_eq!(green.description().pixel_type.numpy_name(), "uint16");
    // A part of the name is enough.
    assert_eq!(
        open(&path, &of_dataset("gre"))
            .unwrap()
            .description()
            .identity,
        green.description().identity
    );
}

#[test]
fn what_is_no_movie_is_told_in_one_sentence() {
    let error = open_error(&[golden("several.h5")], &MovieOptions::default());
    says(&error, &["more than one movie", "`green`", "`red`"]);
    assert!(error.hint().unwrap().contains("--dataset"));
    for (name, options, parts) in [
        (
            "several.h5",
            of_dataset("blue"),
            &["no movie `blue`", "`green`"][..],
        ),
        (
            "two_movies.nwb",
            MovieOptions::default(),
            &["acquisition/OnePhotonSeries", "TwoPhotonSeriesGreen"],
        ),
        ("one.h5", of_dataset("imaging/times"), &["[5]", "no movie"]),
        (
            "external.nwb",
            MovieOptions::default(),
            &["other files", "`movie.tif`"],
        ),
        (
            "rate.nwb",
            MovieOptions::default(),
            &["no `TwoPhotonSeries`"],
        ),
        (
            "mearec.h5",
            MovieOptions::default(),
            &["three or four axes"],
        ),
    ] {
        says(&open_error(&[golden(name)], &options), parts);
    }
    let tiff = crate::suite::golden("uint16.tif");
    says(
        &open_error(&[tiff], &of_dataset("x")),
        &["--dataset x", "neither HDF5 nor NWB"],
    );
    says(
        &open_error(
            &[golden("one.h5"), golden("suite2p.h5")],
            &MovieOptions::default(),
        ),
        &["another shape"],
    );
}
