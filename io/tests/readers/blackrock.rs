//! NSx files of each specification, written by `golden/make_nsx.py`, against what neo reads from them.

use somata_io::recording::{OpenOptions, open};

use crate::suite::{check_reader, golden, golden_json, open_error, open_plain, read_all};

/// The sample that the golden files hold in stored column `column` at time `t`.
fn expected_sample(t: usize, column: usize) -> f64 {
    ((37 * t + 1000 * column) % 4001) as f64 - 2000.0
}

#[test]
fn each_specification_equals_what_neo_reads() {
    let expected = golden_json("nsx/expected.json");
    for (name, expected) in expected.as_object().unwrap() {
        let reader = open_plain(&golden("nsx").join(name));
        check_reader(&*reader);
        let description = reader.description();
        assert_eq!(
            description.sampling_frequency_hz,
            expected["rate"].as_f64().unwrap(),
            "{name}"
        );
        // The fourth channel is an analog input and left out.
        assert_eq!(description.n_channels, 3, "{name}");
        assert!(
            description
                .warnings
                .iter()
                .any(|warning| warning.contains("1 channels are left out")),
            "{name}"
        );
        for channel in 0..3 {
            let near = |found: f32, key: &str| {
                (f64::from(found) - expected[key][channel].as_f64().unwrap()).abs() < 1e-6
            };
            assert!(near(description.gains_uv[channel], "gains"), "{name}");
            assert!(near(description.offsets_uv[channel], "offsets"), "{name}");
            if name != "spec21.ns5" {
                assert_eq!(
                    description.channel_ids[channel],
                    expected["labels"][channel].as_str().unwrap()
                );
            }
        }
        let segments = expected["segments"].as_array().unwrap();
        assert_eq!(description.segments.len(), segments.len(), "{name}");
        for (found, expected) in description.segments.iter().zip(segments) {
            assert_eq!(found.n_samples, expected[0].as_u64().unwrap(), "{name}");
            // Times since 1970 keep about 0.2 µs in an f64.
            assert!(
                (found.start_time_s - expected[1].as_f64().unwrap()).abs() < 1e-6,
                "{name}"
            );
        }
        for (index, sample) in read_all(&*reader).into_iter().enumerate() {
            assert_eq!(sample, expected_sample(index / 3, index % 3), "{name}");
        }
    }
}

#[test]
fn only_a_file_in_one_piece_has_a_raw_layout() {
    let whole = open_plain(&golden("nsx/spec22.ns5"));
    let raw = whole.description().raw.clone().unwrap();
    assert_eq!(
        (raw.offset_bytes, raw.n_channels, raw.columns),
        (314 + 4 * 66 + 9, 4, vec![0, 1, 2])
    );
    for name in ["spec23_pauses.ns6", "spec30_ptp.ns6"] {
        assert!(
            open_plain(&golden("nsx").join(name))
                .description()
                .raw
                .is_none()
        );
    }
}

#[test]
fn a_map_places_its_electrodes_and_leaves_out_the_others() {
    let map = golden("nsx/map/array.cmp");
    let options = OpenOptions {
        probe: Some(map.clone()),
        ..OpenOptions::default()
    };
    let reader = open(&golden("nsx/spec30.ns6"), &options).unwrap();
    check_reader(&*reader);
    let probe = reader.description().probe.as_ref().unwrap();
    let sites: Vec<(&str, f64, f64)> = probe
        .contacts
        .iter()
        .map(|contact| (contact.id.as_str(), contact.x_um, contact.y_um))
        .collect();
    assert_eq!(
        sites,
        [
            ("chan3", 400.0, 3600.0),
            ("chan1", 0.0, 3600.0),
            ("chan66", 2000.0, 800.0)
        ]
    );

    // A map beside the file is found by itself.
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(golden("nsx/spec30.ns6"), folder.path().join("a.ns6")).unwrap();
    std::fs::copy(&map, folder.path().join("array.cmp")).unwrap();
    let reader = open_plain(folder.path());
    assert!(reader.description().probe.is_some());
    assert!(
        reader
            .description()
            .warnings
            .iter()
            .any(|warning| warning.contains("array.cmp"))
    );

    // A map of other electrodes is an error.
    std::fs::write(
        folder.path().join("array.cmp"),
        "other\n0 0 B 1 x\n0 1 B 2 y\n",
    )
    .unwrap();
    let error = open_error(folder.path(), &OpenOptions::default());
    assert!(
        error.to_string().contains("none of the file's electrodes"),
        "{error}"
    );
}

#[test]
fn a_packet_cut_short_is_truncated_and_one_without_length_is_read_to_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ns6");
    let mut bytes = std::fs::read(golden("nsx/spec23_pauses.ns6")).unwrap();
    bytes.truncate(bytes.len() - 3);
    std::fs::write(&path, &bytes).unwrap();
    let error = open_error(&path, &OpenOptions::default());
    assert!(error.to_string().contains("truncated"), "{error}");

    let mut bytes = std::fs::read(golden("nsx/spec22.ns5")).unwrap();
    let count_at = 314 + 4 * 66 + 5;
    bytes[count_at..count_at + 4].fill(0);
    std::fs::write(&path, &bytes).unwrap();
    let reader = open_plain(&path);
    assert_eq!(reader.description().n_samples, 200);
    assert!(
        reader
            .description()
            .warnings
            .iter()
            .any(|warning| warning.contains("broken off"))
    );

    bytes[count_at - 5] = 7;
    std::fs::write(&path, &bytes).unwrap();
    assert!(
        open_error(&path, &OpenOptions::default())
            .to_string()
            .contains("byte 578")
    );
}

#[test]
fn a_header_that_promises_too_many_channels_is_truncated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ns5");
    for (name, at) in [
        ("nsx/spec21.ns5", 28),
        ("nsx/spec22.ns5", 310),
        ("nsx/spec30.ns6", 310),
    ] {
        let mut bytes = std::fs::read(golden(name)).unwrap();
        bytes[at..at + 4].fill(0xff);
        std::fs::write(&path, &bytes).unwrap();
        let error = open_error(&path, &OpenOptions::default());
        assert!(error.to_string().contains("truncated"), "{error}");
    }
}
