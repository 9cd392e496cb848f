//! HDF5 files of every storage (`golden/make_hdf5.py`), against what h5py reads from them.

use std::path::Path;

use proptest::prelude::*;
use serde_json::Value as Json;
use somata_io::hdf5::{Dataset, ElementType, Hdf5File, Value};
use somata_io::{IoError, IoErrorKind};

use crate::suite::{golden, golden_json};

/// CRC-32 of the values as little-endian doubles, as zlib computes it.
fn crc32(values: &[f64]) -> u64 {
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    u64::from(crc32fast::hash(&bytes))
}

/// A value as JSON, references as addresses.
fn json(value: &Value) -> Json {
    match value {
        Value::Numbers(numbers) => numbers.iter().copied().map(Json::from).collect(),
        Value::Texts(texts) => texts.iter().cloned().map(Json::from).collect(),
        Value::References(addresses) => addresses.iter().copied().map(Json::from).collect(),
        Value::Empty => Json::Null,
        Value::Other(name) => panic!("{name}"),
    }
}

/// What h5py noted, the paths of references as the addresses of their objects.
fn noted(file: &Hdf5File, value: &Value, expected: &Json) -> Json {
    match (value, expected) {
        (Value::References(_), Json::Array(list)) => {
            list.iter().map(|one| noted(file, value, one)).collect()
        }
        (Value::References(_), Json::String(path)) => file.object(path).unwrap().address().into(),
        _ => expected.clone(),
    }
}

/// Whether two attributes are the same, a single value being a list of one.
fn same(found: &Json, expected: &Json) -> bool {
    let numbers = |json: &Json| -> Option<Vec<f64>> {
        match json {
            Json::Array(list) => list.iter().map(Json::as_f64).collect(),
            one => one.as_f64().map(|one| vec![one]),
        }
    };
    match (numbers(found), numbers(expected)) {
        (Some(found), Some(expected)) => found == expected,
        _ => *found == *expected || *found == Json::Array(vec![expected.clone()]),
    }
}

#[test]
fn every_file_has_what_h5py_reads() {
    let expected = golden_json("hdf5/expected.json");
    let mut n_values = 0;
    for (name, expected) in expected.as_object().unwrap() {
        let file = Hdf5File::open(&golden("hdf5").join(name)).unwrap();
        for (path, expected) in expected.as_object().unwrap() {
            let place = format!("{name} {path}");
            let object = file
                .object(path)
                .unwrap_or_else(|error| panic!("{place}: {error}"));
            let attributes = object
                .attributes()
                .unwrap_or_else(|error| panic!("{place}: {error}"));
            let wanted = expected["attributes"].as_object().unwrap();
            assert_eq!(attributes.len(), wanted.len(), "{place}");
            for (key, value) in wanted {
                let found = json(&attributes[key]);
                let value = noted(&file, &attributes[key], value);
                assert!(same(&found, &value), "{place} {key}: {found} {value}");
            }
            if let Some(members) = expected["members"].as_array() {
                assert!(object.is_group(), "{place}");
                let found: Vec<Json> = object
                    .member_names()
                    .unwrap()
                    .into_iter()
                    .map(Json::from)
                    .collect();
                assert_eq!(&found, members, "{place}");
            }
            if expected.get("dtype").is_some() {
                let dataset = object
                    .dataset()
                    .unwrap_or_else(|error| panic!("{place}: {error}"));
                n_values += check_dataset(&place, &dataset, expected, &file);
            }
        }
    }
    assert!(n_values > 10_000, "{n_values}");
}

/// Compares one dataset; returns how many values were compared.
fn check_dataset(place: &str, dataset: &Dataset, expected: &Json, file: &Hdf5File) -> usize {
    let value = dataset
        .value(100_000)
        .unwrap_or_else(|error| panic!("{place}: {error}"));
    let Some(shape) = expected["shape"].as_array() else {
        assert_eq!(value, Value::Empty, "{place}");
        return 0;
    };
    let shape: Vec<u64> = shape.iter().map(|axis| axis.as_u64().unwrap()).collect();
    assert_eq!(dataset.shape(), shape, "{place}");
    match (&value, dataset.element_type()) {
        (Value::Numbers(numbers), ElementType::Number(number)) => {
            let dtype = expected["dtype"].as_str().unwrap();
            if dtype != "bool" {
                let name = number.numpy_name();
                let short = format!("{}{}", &name[..1], number.size_bytes);
                let is_big = number.size_bytes > 1 && number.big_endian;
                assert!(
                    dtype == name && !is_big || dtype == format!(">{short}") && is_big,
                    "{place}: {dtype} {number:?}"
                );
            }
            match expected["values"].as_array() {
                Some(values) => {
                    let values: Vec<f64> =
                        values.iter().map(|value| value.as_f64().unwrap()).collect();
                    assert_eq!(numbers, &values, "{place}");
                }
                None => assert_eq!(
                    crc32(numbers),
                    expected["crc32"].as_u64().unwrap(),
                    "{place}"
                ),
            }
            check_boxes(place, dataset, number.size_bytes);
        }
        (Value::Texts(texts), _) => {
            let found: Vec<Json> = texts.iter().cloned().map(Json::from).collect();
            assert_eq!(&found, expected["texts"].as_array().unwrap(), "{place}");
        }
        (Value::References(_), _) => {
            let expected = noted(file, &value, &expected["references"]);
            assert_eq!(json(&value), expected, "{place}");
        }
        (Value::Other(_), ElementType::Other(_)) => {
            assert!(
                expected.get("values").is_none() && expected.get("crc32").is_none(),
                "{place}"
            );
        }
        other => panic!("{place}: {other:?}"),
    }
    value.len()
}

/// Boxes of a dataset equal the same part of the whole.
fn check_boxes(place: &str, dataset: &Dataset, size: usize) {
    let shape = dataset.shape();
    let n_elements = dataset.n_elements() as usize;
    let mut whole = vec![0u8; n_elements * size];
    dataset
        .read(&vec![0; shape.len()], shape, &mut whole)
        .unwrap();
    for turn in 1..12u64 {
        let start: Vec<u64> = shape
            .iter()
            .enumerate()
            .map(|(axis, &n)| (turn * (axis as u64 + 3)) % n.max(1))
            .collect();
        let count: Vec<u64> = shape
            .iter()
            .zip(&start)
            .enumerate()
            .map(|(axis, (&n, &start))| {
                if n == 0 {
                    0
                } else {
                    1 + (turn * 5 + axis as u64) % (n - start)
                }
            })
            .collect();
        let mut part = vec![0xa5u8; count.iter().product::<u64>() as usize * size];
        dataset.read(&start, &count, &mut part).unwrap();
        for (index, found) in part.chunks(size).enumerate() {
            let mut rest = index as u64;
            let mut element = 0;
            let mut step = 1;
            for axis in (0..shape.len()).rev() {
                element += (start[axis] + rest % count[axis]) * step;
                rest /= count[axis];
                step *= shape[axis];
            }
            assert!(
                found == &whole[element as usize * size..][..size],
                "{place} {start:?} {count:?}"
            );
        }
    }
    // Beyond the end, and into a buffer of another size.
    let mut start = vec![0; shape.len()];
    if let Some(last) = start.last_mut() {
        *last = 1;
        assert!(dataset.read(&start, shape, &mut whole).is_err(), "{place}");
    }
    whole.push(0);
    assert!(
        dataset
            .read(&vec![0; shape.len()], shape, &mut whole)
            .is_err(),
        "{place}"
    );
}

#[test]
fn pages_of_a_long_table_of_chunks_are_found() {
    let file = Hdf5File::open(&golden("hdf5/many_sparse.h5")).unwrap();
    let dataset = file.dataset("growing_pages").unwrap();
    for (start, end) in [(0, 400), (131_000, 131_300), (139_000, 140_000)] {
        let mut found = vec![0xa5; (end - start) as usize];
        dataset.read(&[start], &[end - start], &mut found).unwrap();
        let written = |i: u64| {
            [0, 131_090, 139_500]
                .iter()
                .any(|&at| (at..at + 10).contains(&i))
        };
        let expected: Vec<u8> = (start..end)
            .map(|i| if written(i) { (i % 251) as u8 } else { 0 })
            .collect();
        assert_eq!(found, expected, "from {start}");
    }
}

#[test]
fn links_are_followed_inside_of_the_file_only() {
    for name in ["earliest.h5", "latest.h5", "v108.h5"] {
        let file = Hdf5File::open(&golden("hdf5").join(name)).unwrap();
        for (path, value) in [
            ("/groups/soft", 2.5),
            ("groups/again", 2.5),
            ("/groups/soft_relative", 7.0),
        ] {
            let found = file.dataset(path).unwrap().value(1).unwrap();
            assert_eq!(found, Value::Numbers(vec![value]), "{name} {path}");
        }
        assert!(file.find("/groups/dangling").unwrap().is_none());
        assert!(file.find("/groups/wide/member 200").unwrap().is_none());
        assert!(file.find("/numbers/scalar/below").unwrap().is_none());
        says(&file.find("/groups/circle").unwrap_err(), &["circle"]);
        says(
            &file.find("/groups/outside").unwrap_err(),
            &["`/etc/passwd`", "not opened"],
        );
        says(&file.object("/nothing").unwrap_err(), &["no `/nothing`"]);
        says(&file.dataset("/groups").unwrap_err(), &["/groups"]);
    }
}

#[test]
fn what_is_not_read_is_refused_by_name() {
    let file = Hdf5File::open(&golden("hdf5/refused/refused.h5")).unwrap();
    for (path, parts) in [
        ("/scaleoffset", &["scale-offset", "filter 6"][..]),
        ("/virtual", &["virtual dataset", "other files"]),
        ("/external", &["other files"]),
        ("/outside", &["/etc/passwd"]),
    ] {
        let error = match file.dataset(path) {
            Ok(dataset) => dataset.value(100).unwrap_err(),
            Err(error) => error,
        };
        says(&error, parts);
    }
}

#[test]
fn a_truncated_file_is_told_with_its_sizes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5");
    let whole = std::fs::read(golden("hdf5/latest.h5")).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let parts = [&whole.len().to_string()[..], "truncated"];
    says(&Hdf5File::open(&path).unwrap_err(), &parts);
    for (bytes, part) in [
        (&b""[..], "HDF5"),
        (b"\x89HDF\r\n\x1a\n", "shorter"),
        (b"\x89HDF\r\n\x1a\n\x09", "version 9"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        says(&Hdf5File::open(&path).unwrap_err(), &[part]);
    }
}

/// Checks a message: its parts, one line, a hint, and that it is an input error.
fn says(error: &IoError, parts: &[&str]) {
    let text = error.to_string();
    assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    assert!(error.hint().is_some(), "{text}");
    assert_eq!(error.kind(), IoErrorKind::Input);
    assert!(!text.contains('\n') && !text.ends_with('.'), "{text}");
}

/// Reads all that is in the bytes, as far as it is small.
fn read_bytes(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
    let Ok(file) = Hdf5File::open(path) else {
        return;
    };
    let Ok(objects) = file.root().and_then(|root| root.descendants()) else {
        return;
    };
    for object in objects.iter().take(200) {
        let _ = object.attributes();
        let _ = object.members();
        if let Ok(dataset) = object.dataset() {
            let _ = dataset.value(4096);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn files_with_noise_do_not_panic(
        which in 0usize..5,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
        cut in prop::option::weighted(0.1, any::<prop::sample::Index>()),
    ) {
        let name = ["earliest.h5", "latest.h5", "v108.h5", "many.h5", "many_earliest.h5"][which];
        let mut bytes = std::fs::read(golden("hdf5").join(name)).unwrap();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let folder = tempfile::tempdir().unwrap();
        read_bytes(&folder.path().join("a.h5"), &bytes);
    }
}
