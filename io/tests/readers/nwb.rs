//! NWB and MEArec files (`golden/make_nwb.py`), against what SpikeInterface reads from them.

use serde_json::Value as Json;
use somata_io::recording::{OpenOptions, RecordingReader, open};

use crate::bad_input::says;
use crate::suite::{check_reader, golden, golden_json, open_error, open_plain, read_all};

/// CRC-32 of the values as little-endian doubles, as zlib computes it.
fn crc32(values: &[f64]) -> u64 {
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    u64::from(crc32fast::hash(&bytes))
}

fn of_stream(stream: &str) -> OpenOptions {
    OpenOptions {
        stream: Some(stream.to_owned()),
        ..OpenOptions::default()
    }
}

/// Compares with what `make_nwb.py` noted.
fn check(name: &str, reader: &dyn RecordingReader, expected: &Json) {
    check_reader(reader);
    let description = reader.description();
    let rate = expected["rate"].as_f64().unwrap();
    // SpikeInterface takes the median of a thousand steps, which rounding moves by some 1e-10.
    assert!(
        (description.sampling_frequency_hz / rate - 1.0).abs() < 1e-9,
        "{name}: {rate} {}",
        description.sampling_frequency_hz
    );
    let ids: Vec<Json> = description
        .channel_ids
        .iter()
        .cloned()
        .map(Json::from)
        .collect();
    assert_eq!(&ids, expected["ids"].as_array().unwrap(), "{name}");
    assert_eq!(
        description.segments[0].start_time_s,
        expected["start"].as_f64().unwrap(),
        "{name}"
    );
    assert_eq!(
        description.n_samples,
        expected["shape"][0].as_u64().unwrap(),
        "{name}"
    );
    for channel in 0..description.n_channels {
        let gain = expected["gains"][channel].as_f64().unwrap() as f32;
        let offset = expected["offsets"][channel].as_f64().unwrap() as f32;
        assert_eq!(description.gains_uv[channel], gain, "{name}");
        assert_eq!(description.offsets_uv[channel], offset, "{name}");
        if let Some(place) = expected["locations"].get(channel) {
            let contact = &description.probe.as_ref().unwrap().contacts[channel];
            assert_eq!(contact.channel, channel, "{name}");
            assert_eq!(contact.x_um, place[0].as_f64().unwrap(), "{name}");
            assert_eq!(contact.y_um, place[1].as_f64().unwrap(), "{name}");
        }
    }
    assert_eq!(
        description.sample_type.numpy_name(),
        expected["dtype"],
        "{name}"
    );
    assert_eq!(
        crc32(&read_all(reader)),
        expected["crc32"].as_u64().unwrap(),
        "{name}"
    );
}

#[test]
fn series_equal_what_spikeinterface_reads() {
    let expected = golden_json("nwb/expected.json");
    let mut n_checked = 0;
    for (key, expected) in expected.as_object().unwrap() {
        if expected.get("rate").is_none() {
            continue;
        }
        let (name, stream) = key.split_once(' ').unwrap_or((key, ""));
        let options = match stream {
            "" => OpenOptions::default(),
            stream => of_stream(stream),
        };
        let reader = open(&golden("nwb").join(name), &options)
            .unwrap_or_else(|error| panic!("{key}: {error}"));
        check(key, &*reader, expected);
        n_checked += 1;
    }
    assert_eq!(n_checked, 7);
}

#[test]
fn electrode_groups_are_shanks_and_the_acquired_series_is_preferred() {
    let reader = open_plain(&golden("nwb/rate.nwb"));
    let description = reader.description();
    assert_eq!(description.format, "NWB");
    let shanks: Vec<usize> = description
        .probe
        .as_ref()
        .unwrap()
        .contacts
        .iter()
        .map(|contact| contact.shank)
        .collect();
    // Groups are counted in the order of channels.
    assert_eq!(shanks, [0, 1, 0, 1]);
    assert!(
        description.warnings[0].contains("processing/ecephys/LFP/ElectricalSeriesLFP"),
        "{:?}",
        description.warnings
    );
}

#[test]
fn positions_along_two_axes_are_taken_where_none_are_relative() {
    let reader = open_plain(&golden("nwb/timestamps.nwb"));
    let probe = reader.description().probe.clone().unwrap();
    let places: Vec<(f64, f64)> = probe
        .contacts
        .iter()
        .map(|contact| (contact.x_um, contact.y_um))
        .collect();
    assert_eq!(
        places,
        [(0.0, 0.0), (16.0, 25.0), (0.0, 50.0), (16.0, 75.0)]
    );
    let reader = open_plain(&golden("nwb/no_positions.nwb"));
    assert!(reader.description().probe.is_none());
    assert!(
        reader.description().warnings[0].contains("--gain-uv"),
        "{:?}",
        reader.description().warnings
    );
}

#[test]
fn pauses_in_timestamps_are_segments() {
    let reader = open_plain(&golden("nwb/pauses.nwb"));
    let found: Vec<(u64, u64, f64)> = reader
        .description()
        .segments
        .iter()
        .map(|segment| {
            (
                segment.start_sample,
                segment.n_samples,
                segment.start_time_s,
            )
        })
        .collect();
    let time = |sample: u64| sample as f64 / 20000.0;
    assert_eq!(
        found,
        [
            (0, 200, 0.0),
            (200, 1, time(200) + 0.5),
            (201, 299, time(201) + 0.5 + 0.25)
        ]
    );
}

#[test]
fn what_cannot_be_read_is_told_in_one_sentence() {
    let path = golden("nwb/two_series.nwb");
    let error = open_error(&path, &OpenOptions::default());
    says(
        &error,
        &[
            "acquisition/ElectricalSeriesA",
            "acquisition/ElectricalSeriesB",
        ],
    );
    assert!(error.hint().unwrap().contains("--stream"));
    says(
        &open_error(&path, &of_stream("Series")),
        &["more than one stream"],
    );
    says(&open_error(&path, &of_stream("Z")), &["no stream `Z`"]);
    // A single channel may be stored without an axis of its own.
    let reader = open(&path, &of_stream("SeriesB")).unwrap();
    check_reader(&*reader);
    assert_eq!(reader.description().channel_ids, ["AP3"]);
    assert_eq!(reader.description().n_samples, 100);

    let error = open_error(&golden("nwb/irregular.nwb"), &OpenOptions::default());
    says(&error, &["acquisition/raw/timestamps", "irregular"]);
    for (name, parts) in [
        ("nothing.nwb", &["no `ElectricalSeries`"][..]),
        ("movie.nwb", &["no `ElectricalSeries`"]),
        ("suite2p.h5", &["`data`", "NWB and MEArec"]),
    ] {
        let error = open_error(&golden("nwb").join(name), &OpenOptions::default());
        says(&error, parts);
    }
    let error = open_error(&golden("nwb/mearec.h5"), &of_stream("x"));
    says(&error, &["--stream x", "one stream only"]);
}

#[test]
fn a_probe_of_the_user_replaces_the_files_positions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("probe.json");
    let contacts: Vec<[f64; 2]> = (0..4).map(|i| [0.0, 7.0 * f64::from(i)]).collect();
    let json = serde_json::json!({"specification": "probeinterface", "version": "0.2.21", "probes": [{
        "ndim": 2, "si_units": "um", "contact_positions": contacts, "device_channel_indices": [0, 1, 2, 3],
        "contact_ids": ["a", "b", "c", "d"], "shank_ids": ["", "", "", ""]}]});
    std::fs::write(&path, json.to_string()).unwrap();
    for name in ["rate.nwb", "mearec.h5"] {
        let options = OpenOptions {
            probe: Some(path.clone()),
            ..OpenOptions::default()
        };
        let reader = open(&golden("nwb").join(name), &options).unwrap();
        let probe = reader.description().probe.clone().unwrap();
        assert_eq!(probe.contacts[3].y_um, 21.0, "{name}");
    }
}
