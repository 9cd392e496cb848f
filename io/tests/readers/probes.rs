//! Probe files of other programs (`golden/make_probes.py`) against what their own readers make of them.

use std::path::Path;

use somata_io::probe::{self, klusta_prb};
use somata_io::recording::{OpenOptions, open};

use crate::suite::{golden, golden_json};

/// The message of a probe file that must not be read.
fn refusal(path: &Path) -> String {
    probe::read(path).unwrap_err().to_string()
}

#[test]
fn each_file_places_its_contacts_as_its_own_reader_does() {
    let expected = golden_json("probes/expected.json");
    assert_eq!(expected.as_object().unwrap().len(), 15);
    for (name, expected) in expected.as_object().unwrap() {
        let probe =
            probe::read(&golden("probes").join(name)).unwrap_or_else(|error| panic!("{error}"));
        let expected: Vec<[f64; 4]> = expected
            .as_array()
            .unwrap()
            .iter()
            .map(|contact| std::array::from_fn(|index| contact[index].as_f64().unwrap()))
            .collect();
        assert_eq!(probe.contacts.len(), expected.len(), "{name}");
        // probeinterface counts x of SpikeGLX's tables from another edge of the shank: one constant apart.
        let shift_um = if name.ends_with(".imro") {
            probe.contacts[0].x_um - expected[0][1]
        } else {
            0.0
        };
        for (contact, expected) in probe.contacts.iter().zip(&expected) {
            let found = [
                contact.channel as f64,
                contact.x_um - shift_um,
                contact.y_um,
                contact.shank as f64,
            ];
            assert!(
                found
                    .iter()
                    .zip(expected)
                    .all(|(a, b)| (a - b).abs() < 1e-6),
                "{name}: {found:?}, expected {expected:?}"
            );
        }
    }
}

#[test]
fn names_of_contacts_and_probes_are_kept() {
    let probe = probe::read(&golden("probes/chanMap.mat")).unwrap();
    assert_eq!(probe.name, "two shanks");
    assert_eq!(probe.n_shanks(), 2);
    let probe = probe::read(&golden("probes/by_hand.prb")).unwrap();
    assert_eq!(probe.name, "by_hand.prb");
    let names: Vec<&str> = probe
        .contacts
        .iter()
        .map(|contact| contact.id.as_str())
        .collect();
    assert_eq!(names, ["0", "1", "2", "3", "4"]);
}

#[test]
fn shanks_that_were_each_drawn_at_zero_are_moved_apart() {
    let text = "channel_groups = {0: {'channels': [0, 1], 'geometry': {0: (0, 0), 1: (0, 20)}},\n\
                1: {'channels': [2, 3], 'geometry': {2: (0, 0), 3: (0, 20)}}}";
    let probe = klusta_prb::parse(Path::new("a.prb"), text).unwrap();
    probe.validate(4, Path::new("a.prb")).unwrap();
    assert!(probe.contacts[2].x_um >= 1000.0);
}

#[test]
fn a_probe_that_lacks_channels_of_the_recording_is_told() {
    let options = OpenOptions {
        sampling_frequency_hz: Some(1000.0),
        n_channels: Some(10),
        dtype: Some("int16".to_owned()),
        gain_uv: Some(1.0),
        probe: Some(golden("probes/chanMap.mat")),
        ..OpenOptions::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.dat");
    std::fs::write(&path, [0; 200]).unwrap();
    let error = open(&path, &options).err().unwrap();
    assert!(
        error
            .to_string()
            .contains("9 contacts are wired to a channel, but the recording has 10"),
        "{error}"
    );
    let options = OpenOptions {
        probe: Some(golden("probes/rows.mat")),
        ..options
    };
    assert!(open(&path, &options).unwrap().description().probe.is_some());
}

#[test]
fn a_channel_map_of_version_73_that_is_cut_short_is_an_error_or_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mat");
    for name in ["version73.mat", "version73_deflated.mat"] {
        let whole = std::fs::read(golden("probes").join(name)).unwrap();
        let mut n_refused = 0;
        for end in (0..whole.len()).step_by(53) {
            std::fs::write(&path, &whole[..end]).unwrap();
            match probe::read(&path) {
                Ok(probe) => assert_eq!(probe.contacts.len(), 9),
                Err(_) => n_refused += 1,
            }
        }
        assert!(n_refused > whole.len() / 53 / 2, "{n_refused}");
        let probe = probe::read(&golden("probes").join(name)).unwrap();
        assert_eq!(probe.name, "two shanks");
        // The reference is in the map, without a channel.
        assert_eq!(probe.unwired.len(), 1);
    }
}

#[test]
fn files_of_other_versions_and_damaged_ones_are_refused_with_the_reason() {
    let error = refusal(&golden("probes/code.prb"));
    assert!(
        error.contains("line 2") && error.contains("Python code is not run"),
        "{error}"
    );

    let folder = tempfile::tempdir().unwrap();
    let says = |name: &str, bytes: &[u8], part: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let error = refusal(&path);
        assert!(error.contains(part), "`{part}`: {error}");
    };
    says("a.mat", &[0; 200], "not a MATLAB file of version 5");
    let stored = std::fs::read(golden("probes/stored.mat")).unwrap();
    for end in 129..stored.len() {
        let path = folder.path().join("a.mat");
        std::fs::write(&path, &stored[..end]).unwrap();
        // Variables that are whole before the cut do not make a map.
        if let Ok(probe) = probe::read(&path) {
            assert_eq!(probe.contacts.len(), 9);
        }
    }
    says("a.mat", &stored[..stored.len() / 2], "a.mat");
    let replaced = |changes: &[(&[u8], &[u8])]| {
        let mut bytes = stored.clone();
        for (from, to) in changes {
            let at = bytes
                .windows(from.len())
                .position(|window| window == *from)
                .unwrap();
            bytes[at..at + to.len()].copy_from_slice(to);
        }
        bytes
    };
    let missing = replaced(&[(b"xcoords", b"zcoords")]);
    says("a.mat", &missing, "has no `xcoords`");
    // Without rows from 0, those from 1 count, of which one is no whole number.
    let (three, half) = (3.0f64.to_le_bytes(), 2.5f64.to_le_bytes());
    let broken = replaced(&[(b"chanMap0ind", b"chanMapXind"), (&three, &half)]);
    says("a.mat", &broken, "expected a whole number, 1 or more");
    says("a.prb", b"x = 1\n", "has no `channel_groups`");
    says("a.prb", b"channel_groups = [1]\n", "a dict of groups");
    says(
        "a.prb",
        b"channel_groups = {0: {'channels': [0]}}",
        "channel_groups[0]['geometry']",
    );
    says(
        "a.prb",
        b"channel_groups = {0: {'channels': [0, 1], 'geometry': {0: (0, 0)}}}",
        "a position of channel 1",
    );
    says(
        "a.prb",
        b"channel_groups = {0: {'channels': [0], 'geometry': {0: 'x'}}}",
        "two numbers for channel 0",
    );
    says(
        "a.prb",
        b"channel_groups = {0: {'channels': [-1], 'geometry': {}}}",
        "channels from 0 on",
    );
    says("a.prb", b"channel_groups = {}", "no contact is wired");
    says("a.imro", b"hello", "this is no table");
    says("a.imro", b"(0,384)(0 0 0", "imroTbl");
    says("a.imro", b"(0,384)(0 0)(x 1)", "whole numbers");
    says("a.imro", b"(1110,0,0,500,250,1)(0 0)", "is not known");
    says("a.imro", b"(77,384)(0 0 0 0 0)", "is not known");
    says("a.txt", b"", "Kilosort's channel map");
}
