//! Recordings in Zarr, against what SpikeInterface reads (`golden/make_zarr.py`).

use std::path::{Path, PathBuf};

use serde_json::Value;
use somata_io::recording::{OpenOptions, RecordingReader, open};
use somata_io::sniff::{Format, sniff};

use crate::suite::{check_reader, golden, golden_json, open_error, open_plain, read_all};

/// The sum of all samples as little-endian doubles, as the script made it.
fn crc32(reader: &dyn RecordingReader) -> u64 {
    let bytes: Vec<u8> = read_all(reader)
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    u64::from(crc32fast::hash(&bytes))
}

fn numbers(value: &Value) -> Vec<f32> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|number| number.as_f64().unwrap() as f32)
        .collect()
}

#[test]
fn a_store_of_spikeinterface_equals_what_it_reads() {
    let noted = &golden_json("zarr/expected_v2.json")["spikeinterface.zarr"];
    for version in ["v2", "v3"] {
        let path = golden(&format!("zarr/{version}/spikeinterface.zarr"));
        assert_eq!(
            sniff(&path, &OpenOptions::default()).unwrap().format,
            Format::SpikeInterfaceZarr
        );
        let reader = open_plain(&path);
        check_reader(&*reader);
        assert_eq!(
            crc32(&*reader),
            noted["samples"]["crc32"].as_u64().unwrap(),
            "{version}"
        );
        let description = reader.description();
        assert_eq!(
            description.sampling_frequency_hz,
            noted["rate"].as_f64().unwrap()
        );
        assert_eq!(serde_json::json!(description.channel_ids), noted["ids"]);
        assert_eq!(description.gains_uv, numbers(&noted["gains"]));
        assert_eq!(description.offsets_uv, numbers(&noted["offsets"]));
        assert_eq!(description.sample_delay, Some(vec![0.0, 0.1, 0.2, 0.3]));
        let lengths: Vec<u64> = description
            .segments
            .iter()
            .map(|segment| segment.n_samples)
            .collect();
        assert_eq!(serde_json::json!(lengths), noted["lengths"]);
        assert_eq!(
            description.segments[1].start_time_s,
            noted["starts"][1].as_f64().unwrap()
        );
        let probe = description.probe.as_ref().unwrap();
        for (contact, place) in probe
            .contacts
            .iter()
            .zip(noted["locations"].as_array().unwrap())
        {
            assert_eq!(serde_json::json!([contact.x_um, contact.y_um]), *place);
        }
        assert!(
            description.warnings.is_empty(),
            "{:?}",
            description.warnings
        );
    }
}

#[test]
fn nwb_in_zarr_equals_what_spikeinterface_reads() {
    let noted = &golden_json("zarr/expected_v2.json")["recording.nwb.zarr"];
    let root = golden("zarr/v2/recording.nwb.zarr");
    for path in [
        root.clone(),
        root.join("acquisition/ElectricalSeriesAP"),
        root.join(".zattrs"),
    ] {
        let reader = open_plain(&path);
        check_reader(&*reader);
        assert_eq!(crc32(&*reader), noted["samples"]["crc32"].as_u64().unwrap());
        let description = reader.description();
        assert_eq!(description.format, "NWB Zarr");
        assert_eq!(
            description.sampling_frequency_hz,
            noted["rate"].as_f64().unwrap()
        );
        assert_eq!(serde_json::json!(description.channel_ids), noted["ids"]);
        assert_eq!(description.gains_uv, numbers(&noted["gains"]));
        assert_eq!(description.offsets_uv, numbers(&noted["offsets"]));
        assert_eq!(
            description.segments[0].start_time_s,
            noted["start"].as_f64().unwrap()
        );
        assert_eq!(
            description.sample_delay,
            Some(vec![0.625, 0.25, 0.125, 0.0])
        );
        // Rows 5, 2, 1 and 0 of the table: the second shank has its own places, and overlaps with the first.
        let probe = description.probe.as_ref().unwrap();
        assert_eq!(probe.n_shanks(), 2);
        let places: Vec<[f64; 2]> = probe
            .contacts
            .iter()
            .map(|contact| [contact.x_um, contact.y_um])
            .collect();
        assert_eq!(places[1..], [[0.0, 40.0], [16.0, 20.0], [0.0, 0.0]]);
        assert_eq!(places[0][1], 40.0);
        assert!(places[0][0] > 1000.0, "{places:?}");
    }
}

fn copy(from: &Path, to: &Path) {
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

/// Rewrites a JSON file.
fn change(path: PathBuf, change: impl FnOnce(&mut Value)) {
    let mut json: Value = std::fs::read(&path).map_or(serde_json::json!({}), |bytes| {
        serde_json::from_slice(&bytes).unwrap()
    });
    change(&mut json);
    std::fs::write(path, json.to_string()).unwrap();
}

#[test]
fn damaged_stores_are_refused_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let fresh = |name: &str| {
        let path = folder.path().join("a.zarr");
        let _ = std::fs::remove_dir_all(&path);
        copy(&golden(&format!("zarr/v2/{name}")), &path);
        path
    };
    let options = OpenOptions::default();
    let says = |path: &Path, parts: &[&str]| {
        let error = open_error(path, &options);
        let text = error.to_string();
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        assert!(error.hint().is_some() && !text.contains('\n'), "{text}");
    };
    let path = fresh("spikeinterface.zarr");
    change(path.join("traces_seg0/.zarray"), |json| {
        json["compressor"] = serde_json::json!({"id": "wavpack"})
    });
    says(&path, &["traces_seg0", "`wavpack`", "not read"]);
    let path = fresh("spikeinterface.zarr");
    change(path.join("traces_seg1/.zarray"), |json| {
        json["shape"] = serde_json::json!([200, 5])
    });
    says(&path, &["traces_seg1", "4 channels"]);
    let path = fresh("spikeinterface.zarr");
    std::fs::remove_dir_all(path.join("traces_seg1")).unwrap();
    says(&path, &["has no `traces_seg1`"]);
    let path = fresh("spikeinterface.zarr");
    change(path.join(".zattrs"), |json| {
        json["num_segments"] = serde_json::json!(0)
    });
    says(&path, &["num_segments"]);
    for name in ["0.0", "1.0", "2.0", "3.0"] {
        let _ = std::fs::remove_file(path.join("traces_seg0").join(name));
    }
    change(path.join(".zattrs"), |json| {
        json["num_segments"] = serde_json::json!(2)
    });
    says(&path, &["only 0 of its 4 files"]);
    // A second series makes the first one not the only one.
    let path = fresh("recording.nwb.zarr");
    copy(
        &path.join("acquisition/ElectricalSeriesAP"),
        &path.join("acquisition/ElectricalSeriesLF"),
    );
    says(&path, &["more than one", "ElectricalSeriesLF"]);
    std::fs::remove_dir_all(path.join("acquisition")).unwrap();
    says(&path, &["has no `acquisition`"]);
    // A chunk that is lost is a warning, and reads as the fill value.
    let path = fresh("spikeinterface.zarr");
    std::fs::remove_file(path.join("traces_seg0/1.0")).unwrap();
    let reader = open(&path, &options).unwrap();
    assert!(
        reader.description().warnings[0].contains("1 of 7 files"),
        "{:?}",
        reader.description().warnings
    );
    let mut frame = vec![1; reader.description().frame_bytes()];
    reader.read(100, &mut frame).unwrap();
    assert!(frame.iter().all(|&byte| byte == 0));
    // A folder with one store stands for it; a store of images is named as such.
    assert!(open(folder.path(), &options).is_ok());
    says(&golden("zarr/v2/image.ome.zarr"), &["somata image"]);
}
