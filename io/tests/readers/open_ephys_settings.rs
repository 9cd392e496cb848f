//! Neuropixels probes out of real `settings.xml` (`golden/make_open_ephys_settings.py`), against probeinterface's catalogue and reader.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use somata_io::recording::{OpenOptions, RecordingDescription, open};

use crate::suite::{golden, golden_json, open_plain};

/// A session with these settings and this structure, of two samples a stream.
fn session(folder: &Path, settings: &str, structure: &Value) -> PathBuf {
    let node = folder.join("Record Node 101");
    let recording = node.join("experiment1/recording1");
    for stream in structure["continuous"].as_array().unwrap() {
        let name = stream["folder_name"].as_str().unwrap();
        let data = recording.join("continuous").join(name);
        std::fs::create_dir_all(&data).unwrap();
        let n_channels = stream["num_channels"].as_u64().unwrap() as usize;
        std::fs::write(data.join("continuous.dat"), vec![0; n_channels * 4]).unwrap();
    }
    std::fs::write(node.join("settings.xml"), settings).unwrap();
    std::fs::write(recording.join("structure.oebin"), structure.to_string()).unwrap();
    node
}

/// The structure of one stream of channels `AP1` and so on, or `AP0` and so on.
fn structure(folder_name: &str, numbers: impl Iterator<Item = usize>) -> Value {
    let channels: Vec<Value> = numbers
        .map(|n| json!({"channel_name": format!("AP{n}"), "bit_volts": 0.195, "units": "uV"}))
        .collect();
    json!({"GUI version": "0.6.7", "continuous": [{
        "folder_name": folder_name, "sample_rate": 30000.0, "num_channels": channels.len(), "channels": channels,
    }]})
}

fn settings(name: &str) -> String {
    std::fs::read_to_string(golden("open_ephys_settings").join(format!("{name}.xml"))).unwrap()
}

/// Asserts that the channels are where `expected` has them, up to a constant in x.
#[track_caller]
fn check_places(description: &RecordingDescription, expected: &[Value], what: &str) {
    let probe = description
        .probe
        .as_ref()
        .unwrap_or_else(|| panic!("{what}: no probe, {:?}", description.warnings));
    assert_eq!(probe.contacts.len(), expected.len(), "{what}");
    assert_eq!(description.n_channels, expected.len(), "{what}");
    let number = |row: usize, field: usize| expected[row][field].as_f64().unwrap();
    let shift_um = probe.contacts[0].x_um - number(0, 1);
    for (row, contact) in probe.contacts.iter().enumerate() {
        let found = (
            contact.channel,
            contact.x_um - shift_um,
            contact.y_um,
            contact.shank as f64,
        );
        let expected = (row, number(row, 1), number(row, 2), number(row, 3));
        assert_eq!(found, expected, "{what}: {}", contact.id);
    }
}

#[test]
fn channels_are_where_the_electrodes_of_structure_oebin_are() {
    let expected = golden_json("open_ephys_settings/expected.json");
    for (name, n_converters, n_shanks) in [
        ("np2_one_shank_of_four", "24", 1),
        ("nhp", "32", 1),
        ("np2_four_shanks", "24", 4),
        ("onebox_channel_map", "24", 4),
    ] {
        let structure = golden_json(&format!("open_ephys_settings/{name}.oebin"));
        let folder = tempfile::tempdir().unwrap();
        let node = session(folder.path(), &settings(name), &structure);
        let reader = open_plain(&node);
        let description = reader.description();
        let (_, of_stream) = expected[name].as_object().unwrap().iter().next().unwrap();
        check_places(description, of_stream.as_array().unwrap(), name);
        let probe = description.probe.as_ref().unwrap();
        assert_eq!(probe.n_shanks(), n_shanks, "{name}");
        assert!(probe.unwired.is_empty() && probe.unused_channels.is_empty());
        // SpikeInterface's delays, by the channel on the probe: names count from 1 where the lowest is 1.
        let numbers: Vec<u64> = of_stream
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row[0].as_u64().unwrap())
            .collect();
        let first = *numbers.iter().min().unwrap();
        let delays = &expected[&format!("delays {n_converters}")];
        for (row, &number) in numbers.iter().enumerate() {
            let delay = delays[(number - first) as usize].as_f64().unwrap() / 208.0;
            let found = f64::from(description.sample_delay.as_ref().unwrap()[row]);
            assert!((found - delay).abs() < 1e-6, "{name}: row {row}");
        }
        assert!(description.paths.contains(&node.join("settings.xml")));
    }
}

#[test]
fn streams_without_electrode_numbers_are_where_probeinterface_places_them() {
    let expected = golden_json("open_ephys_settings/expected.json");
    for (name, plugin_counts_from) in [
        ("before_06", 1),
        ("several_probes", 1),
        ("one_disabled", 0),
        ("quad_base", 0),
    ] {
        for (stream, rows) in expected[name].as_object().unwrap() {
            let rows = rows.as_array().unwrap();
            let folder_name = match stream.strip_prefix("100.") {
                Some(number) => format!("Neuropix-PXI-100.{number}/"),
                None if name == "one_disabled" => format!("Neuropix-PXI-110.{stream}/"),
                None => format!("Neuropix-PXI-100.{stream}/"),
            };
            // All 384 channels are recorded, also the reference, which has no electrode.
            let numbers = plugin_counts_from..384 + plugin_counts_from;
            let structure = structure(&folder_name, numbers);
            let folder = tempfile::tempdir().unwrap();
            let node = session(folder.path(), &settings(name), &structure);
            let reader = open_plain(&node);
            let description = reader.description();
            check_places(description, rows, &format!("{name}, {stream}"));
            let n_left_out = 384 - rows.len();
            let told = description
                .warnings
                .iter()
                .any(|warning| warning.starts_with("1 of 384 channels are left out"));
            assert_eq!(told, n_left_out == 1, "{:?}", description.warnings);
        }
    }
}

#[test]
fn a_subset_of_channels_is_found_by_name_and_the_others_are_known() {
    // Neither the first nor the last channel tells what the names count from; the plugin's version does.
    let expected = golden_json("open_ephys_settings/expected.json");
    let places = expected["one_disabled"]["ProbeA-AP"].as_array().unwrap();
    let text = settings("one_disabled");
    for (text, first) in [
        (text.clone(), 0),
        (
            text.replace("libraryVersion=\"0.7.0\"", "libraryVersion=\"0.6.6\""),
            1,
        ),
    ] {
        let structure = structure("Neuropix-PXI-110.ProbeA-AP/", (100..300).map(|n| n + first));
        let folder = tempfile::tempdir().unwrap();
        let node = session(folder.path(), &text, &structure);
        let reader = open_plain(&node);
        check_places(reader.description(), &places[100..300], "subset");
        let probe = reader.description().probe.as_ref().unwrap();
        assert_eq!(probe.unwired.len(), 184);
    }
}

#[test]
fn the_probe_of_the_user_goes_before_that_of_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    let names = structure("Neuropix-PXI-100.ProbeA-AP/", 1..385);
    let node = session(folder.path(), &settings("several_probes"), &names);
    let contacts: Vec<[f64; 2]> = (0..384).map(|n| [0.0, 10.0 * f64::from(n)]).collect();
    let probe = folder.path().join("probe.json");
    let own = json!({"specification": "probeinterface", "version": "0.3.1", "probes": [{
        "ndim": 2, "si_units": "um", "contact_positions": contacts,
        "device_channel_indices": (0..384).collect::<Vec<_>>(),
    }]});
    std::fs::write(&probe, own.to_string()).unwrap();
    let options = OpenOptions {
        probe: Some(probe),
        ..OpenOptions::default()
    };
    let reader = open(&node, &options).unwrap();
    // The reference has a place there, so that it is delivered.
    assert_eq!(reader.description().n_channels, 384);
    let contacts = &reader.description().probe.as_ref().unwrap().contacts;
    assert_eq!(contacts[383].y_um, 3830.0);
}

#[test]
fn settings_that_do_not_say_where_channels_are_cost_the_probe_and_nothing_else() {
    let text = settings("several_probes");
    let cases = [
        ("", None),
        (
            "<SETTINGS><SIGNALCHAIN><PROCESSOR name=\"Rhythm\" nodeId=\"100\"/></SIGNALCHAIN></SETTINGS>",
            None,
        ),
        (&text[..text.len() / 8], Some("no probe is taken from")),
        (
            &text.replace("ELECTRODE_YPOS", "NOTHING"),
            Some("places for 0 of 384 channels"),
        ),
        (
            &text.replace("name=\"Probe", "name=\"Other"),
            Some("which of its 4 probes the stream `ProbeA-AP` is of is not clear"),
        ),
    ];
    for (text, warning) in cases {
        let folder = tempfile::tempdir().unwrap();
        let names = structure("Neuropix-PXI-100.ProbeA-AP/", 1..385);
        let node = session(folder.path(), text, &names);
        let reader = open_plain(&node);
        let description = reader.description();
        assert!(description.probe.is_none() && description.n_channels == 384);
        let told: Vec<&String> = description
            .warnings
            .iter()
            .filter(|warning| warning.contains("settings.xml"))
            .collect();
        match warning {
            None => assert!(told.is_empty(), "{told:?}"),
            Some(part) => assert!(told.len() == 1 && told[0].contains(part), "{told:?}"),
        }
    }
    // Cut anywhere, or with two contacts at one place: opens, with a probe or without.
    for end in (0..text.len()).step_by(1009) {
        let folder = tempfile::tempdir().unwrap();
        let names = structure("Neuropix-PXI-100.ProbeB/", 1..385);
        let node = session(folder.path(), &text[..end], &names);
        assert!(open_plain(&node).description().n_channels > 0);
        // The same with bytes that do not belong there.
        let mut bytes = text.clone().into_bytes();
        for step in 0..20 {
            bytes[(end * 31 + step * 7919) % text.len()] = b"\"<>=/ 9-:\0"[step % 10];
        }
        let path = node.join("settings.xml");
        std::fs::write(path, bytes).unwrap();
        assert!(open_plain(&node).description().n_channels > 0);
    }
}

#[test]
fn a_headstage_beside_the_probes_gets_none_of_their_places() {
    let folder = tempfile::tempdir().unwrap();
    let names = structure("Acquisition_Board-117.headstage/", 1..65);
    let node = session(folder.path(), &settings("one_disabled"), &names);
    let reader = open_plain(&node);
    assert!(reader.description().probe.is_none());
    assert_eq!(reader.description().n_channels, 64);
}

#[test]
fn each_experiment_has_its_own_settings() {
    let folder = tempfile::tempdir().unwrap();
    let names = structure("Neuropix-PXI-110.ProbeA-AP/", 0..384);
    let node = session(folder.path(), &settings("one_disabled"), &names);
    let second = node.join("experiment2");
    std::fs::rename(node.join("experiment1"), &second).unwrap();
    let text = settings("one_disabled");
    // The first number of ELECTRODE_YPOS.
    let moved = text.replacen("CH0=\"0\"", "CH0=\"0\" ", 1);
    std::fs::write(node.join("settings_2.xml"), moved).unwrap();
    let reader = open_plain(&second);
    assert!(
        reader
            .description()
            .paths
            .contains(&node.join("settings_2.xml"))
    );
    std::fs::remove_file(node.join("settings_2.xml")).unwrap();
    let reader = open_plain(&second);
    assert!(reader.description().probe.is_some());
}
