//! somata's own folder and bare binary files.

use std::path::Path;

use serde_json::json;
use somata_io::recording::{OpenOptions, SampleType, open};

use crate::suite::{check_reader, open_plain, read_all};

/// Writes a folder of 6 channels and 100 samples, and returns its samples.
pub fn write_folder(folder: &Path) -> Vec<i16> {
    let samples: Vec<i16> = (0..600)
        .map(|index: i32| (index * 37 % 2001 - 1000) as i16)
        .collect();
    let bytes: Vec<u8> = samples
        .iter()
        .flat_map(|sample| sample.to_le_bytes())
        .collect();
    std::fs::write(folder.join("recording.bin"), bytes).unwrap();
    write_json(
        folder,
        "recording.json",
        &json!({"sampling_frequency": 30000.0, "n_channels": 6, "n_samples": 100,
        "dtype": "int16", "gain_uv": 0.195, "offset_uv": 0.0}),
    );
    let positions: Vec<[f64; 2]> = (0..6)
        .map(|contact| [0.0, 20.0 * f64::from(contact)])
        .collect();
    write_json(
        folder,
        "probe.json",
        &json!({"specification": "probeinterface", "version": "0.2.21", "probes": [{
        "ndim": 2, "si_units": "um", "contact_positions": positions, "device_channel_indices": [0, 1, 2, 3, 4, 5]}]}),
    );
    samples
}

/// Writes JSON into the folder.
pub fn write_json(folder: &Path, name: &str, json: &serde_json::Value) {
    std::fs::write(folder.join(name), json.to_string()).unwrap();
}

#[test]
fn a_folder_is_read_by_folder_or_by_file() {
    let folder = tempfile::tempdir().unwrap();
    let samples = write_folder(folder.path());
    for path in [
        folder.path().to_owned(),
        folder.path().join("recording.bin"),
        folder.path().join("recording.json"),
    ] {
        let reader = open_plain(&path);
        check_reader(&*reader);
        let description = reader.description();
        assert_eq!((description.n_channels, description.n_samples), (6, 100));
        assert_eq!(description.gains_uv, [0.195; 6]);
        assert_eq!(description.probe.as_ref().unwrap().contacts[5].y_um, 100.0);
        assert!(description.warnings.is_empty());
        let raw = description.raw.as_ref().unwrap();
        assert!(raw.path.is_absolute());
        assert_eq!(
            (raw.offset_bytes, raw.n_channels, raw.dtype.as_str()),
            (0, 6, "int16")
        );
        let found = read_all(&*reader);
        assert!(
            found
                .iter()
                .zip(&samples)
                .all(|(&found, &sample)| found == f64::from(sample))
        );
    }
}

#[test]
fn options_override_gain_and_probe() {
    let folder = tempfile::tempdir().unwrap();
    write_folder(folder.path());
    let other = folder.path().join("other.json");
    let positions: Vec<[f64; 2]> = (0..6)
        .map(|contact| [5.0 * f64::from(contact), 0.0])
        .collect();
    write_json(
        folder.path(),
        "other.json",
        &json!({"probes": [{"contact_positions": positions,
        "device_channel_indices": [5, 4, 3, 2, 1, 0], "shank_ids": ["b", "b", "b", "a", "a", "a"]}]}),
    );
    let options = OpenOptions {
        gain_uv: Some(2.0),
        probe: Some(other),
        ..OpenOptions::default()
    };
    let reader = open(folder.path(), &options).unwrap();
    let description = reader.description();
    assert_eq!(description.gains_uv, [2.0; 6]);
    let probe = description.probe.as_ref().unwrap();
    assert_eq!(
        (
            probe.contacts[0].x_um,
            probe.contacts[0].shank,
            probe.contacts[5].shank
        ),
        (25.0, 0, 1)
    );
}

#[test]
fn every_supported_type_of_a_bare_file_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("raw.dat");
    let values = [0.0, 1.0, 100.0, 127.0, 3.0, 77.0];
    let encode = |encode: &dyn Fn(f64) -> Vec<u8>| {
        values
            .iter()
            .flat_map(|&value| encode(value))
            .collect::<Vec<u8>>()
    };
    let cases: [(&str, Vec<u8>, SampleType); 9] = [
        ("int8", encode(&|value| vec![value as u8]), SampleType::I16),
        ("uint8", encode(&|value| vec![value as u8]), SampleType::I16),
        (
            "int16",
            encode(&|value| (value as i16).to_le_bytes().to_vec()),
            SampleType::I16,
        ),
        (
            ">i2",
            encode(&|value| (value as i16).to_be_bytes().to_vec()),
            SampleType::I16,
        ),
        (
            "uint16",
            encode(&|value| (value as u16).to_le_bytes().to_vec()),
            SampleType::U16,
        ),
        (
            "<i4",
            encode(&|value| (value as i32).to_le_bytes().to_vec()),
            SampleType::I32,
        ),
        (
            "float32",
            encode(&|value| (value as f32).to_le_bytes().to_vec()),
            SampleType::F32,
        ),
        (
            ">f4",
            encode(&|value| (value as f32).to_be_bytes().to_vec()),
            SampleType::F32,
        ),
        (
            "float64",
            encode(&|value| value.to_le_bytes().to_vec()),
            SampleType::F32,
        ),
    ];
    for (dtype, bytes, sample_type) in cases {
        // Two header bytes are skipped.
        std::fs::write(&path, [vec![9, 9], bytes].concat()).unwrap();
        let options = OpenOptions {
            sampling_frequency_hz: Some(15000.0),
            n_channels: Some(2),
            dtype: Some(dtype.to_owned()),
            offset_bytes: Some(2),
            ..OpenOptions::default()
        };
        let reader = open(&path, &options).unwrap();
        check_reader(&*reader);
        assert_eq!(reader.description().sample_type, sample_type, "{dtype}");
        assert_eq!(read_all(&*reader), values, "{dtype}");
        assert!(reader.description().probe.is_none());
    }
}
