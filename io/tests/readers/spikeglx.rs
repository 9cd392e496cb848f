//! 24 real `.meta` files against neo (gains), probeinterface (places) and SpikeInterface (delays); see `golden/make_spikeglx.py`.

use std::path::{Path, PathBuf};

use serde_json::Value;
use somata_io::probe::Probe;
use somata_io::recording::OpenOptions;
use somata_io::recording::spikeglx::describe;
use somata_io::recording::spikeglx::meta::Meta;

use crate::suite::{check_reader, golden, golden_json, open_error, open_plain, read_all};

/// All meta files.
fn metas() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(golden("spikeglx_meta")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "meta")
    });
    paths.sort();
    assert_eq!(paths.len(), 24);
    paths
}

/// A list of the golden file, by its position.
fn list(golden: &Value, position: &Value) -> Option<Vec<f64>> {
    let list = golden["lists"][position.as_u64()? as usize]
        .as_array()
        .unwrap();
    Some(list.iter().map(|number| number.as_f64().unwrap()).collect())
}

#[test]
fn all_metas_equal_neo_probeinterface_and_spikeinterface() {
    let golden = golden_json("spikeglx.json");
    let (mut n_gains, mut n_places) = (0, 0);
    for path in metas() {
        let name = path.file_name().unwrap().to_str().unwrap();
        let expected = &golden["files"][name];
        let described =
            describe(&Meta::read(&path).unwrap()).unwrap_or_else(|error| panic!("{error}"));
        if let Some(rate) = expected["rate"].as_f64() {
            assert_eq!(described.sampling_frequency_hz, rate, "{name}");
            assert_eq!(
                described.n_channels_stored as u64,
                expected["n_stored"].as_u64().unwrap(),
                "{name}"
            );
            // The tools list the sync or digital words too, after the delivered channels.
            for (found, expected) in described
                .gains_uv
                .iter()
                .zip(list(&golden, &expected["gains_uv"]).unwrap())
            {
                assert!(
                    (found / expected - 1.0).abs() < 1e-9,
                    "{name}: gain {found}, expected {expected}"
                );
            }
            n_gains += 1;
        }
        let Some(x) = list(&golden, &expected["x"]) else {
            continue;
        };
        n_places += 1;
        let probe = described
            .probe
            .as_ref()
            .unwrap_or_else(|| panic!("{name}: no probe"));
        probe.validate(described.columns.len(), &path).unwrap();
        let (y, shank) = (
            list(&golden, &expected["y"]).unwrap(),
            list(&golden, &expected["shank"]).unwrap(),
        );
        assert_eq!(probe.contacts.len(), x.len(), "{name}");
        // probeinterface measures x from another edge of the shank: one constant apart.
        let shift_um = probe.contacts[0].x_um - x[0];
        for (index, contact) in probe.contacts.iter().enumerate() {
            let found = (contact.x_um - shift_um, contact.y_um, contact.shank as f64);
            let expected = (x[index], y[index], shank[index]);
            let near = (found.0 - expected.0).abs() < 1e-6
                && found.1 == expected.1
                && found.2 == expected.2;
            assert!(
                near,
                "{name}: channel {index} at {found:?}, expected {expected:?}"
            );
        }
        let delays = list(&golden, &expected["delay_208ths"]).unwrap();
        let found = described
            .sample_delay
            .as_ref()
            .unwrap_or_else(|| panic!("{name}: no delay"));
        for (found, expected) in found.iter().zip(delays) {
            assert!(
                (f64::from(*found) * 208.0 - expected).abs() < 1e-4,
                "{name}"
            );
        }
    }
    assert_eq!((n_gains, n_places), (23, 21));
}

#[test]
fn lf_files_get_their_places_from_the_imro_table() {
    let path = golden("spikeglx_meta/sample3B_g0_t0.imec1.lf.meta");
    let described = describe(&Meta::read(&path).unwrap()).unwrap();
    assert_eq!(described.channel_ids[0], "LF0");
    assert_eq!(
        (described.columns.len(), described.n_channels_stored),
        (384, 385)
    );
    assert!(described.sample_delay.is_none());
    let ap = describe(&Meta::read(&golden("spikeglx_meta/sample3B_g0_t0.imec1.ap.meta")).unwrap())
        .unwrap();
    // Which channels are not to be used is said by the maps only.
    let contacts = |probe: Option<Probe>| probe.map(|probe| probe.contacts);
    assert_eq!(contacts(described.probe), contacts(ap.probe));
}

#[test]
fn the_three_sources_of_geometry_agree() {
    for path in metas() {
        let text = std::fs::read(&path).unwrap();
        let full = describe(&Meta::parse(&path, &text).unwrap()).unwrap();
        let text = String::from_utf8_lossy(&text);
        let without: String = text
            .lines()
            .filter(|line| !line.contains("Map="))
            .map(|line| format!("{line}\n"))
            .collect();
        let bare = describe(&Meta::parse(&path, without.as_bytes()).unwrap()).unwrap();
        let contacts = |probe: &Option<Probe>| probe.as_ref().map(|probe| probe.contacts.clone());
        assert_eq!(
            contacts(&full.probe),
            contacts(&bare.probe),
            "{}",
            path.display()
        );
        let without: String = without
            .lines()
            .filter(|line| !line.contains("muxTbl"))
            .map(|line| format!("{line}\n"))
            .collect();
        let bare = describe(&Meta::parse(&path, without.as_bytes()).unwrap()).unwrap();
        assert_eq!(full.sample_delay, bare.sample_delay, "{}", path.display());
    }
}

/// A `.bin` and `.meta` of a shortened probe in `folder`: 385 channels, `n_samples` frames.
fn write_run(folder: &Path, n_samples: usize, promised_bytes: Option<usize>) -> PathBuf {
    let meta =
        std::fs::read_to_string(golden("spikeglx_meta/sample3B_version202304.ap.meta")).unwrap();
    let lines = meta
        .lines()
        .filter(|line| !line.starts_with("fileSizeBytes"));
    let mut meta: String = lines.map(|line| format!("{line}\r\n")).collect();
    if let Some(promised) = promised_bytes {
        meta += &format!("fileSizeBytes={promised}\r\n");
    }
    std::fs::write(folder.join("run_t0.imec0.ap.meta"), meta).unwrap();
    let samples = (0..n_samples * 385).map(|index| (index % 385 * 7 + index / 385) as i16);
    let bytes: Vec<u8> = samples.flat_map(i16::to_le_bytes).collect();
    let path = folder.join("run_t0.imec0.ap.bin");
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn the_sync_channel_is_left_out_and_either_path_or_the_folder_opens() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("run_g0/run_g0_imec0");
    std::fs::create_dir_all(&inner).unwrap();
    let path = write_run(&inner, 100, Some(100 * 770));
    for path in [
        path.clone(),
        path.with_extension("meta"),
        folder.path().to_owned(),
    ] {
        let reader = open_plain(&path);
        check_reader(&*reader);
        let description = reader.description();
        assert_eq!((description.n_channels, description.n_samples), (384, 100));
        assert_eq!(description.channel_ids[383], "AP383");
        assert_eq!(description.segments[0].start_time_s, {
            let meta = Meta::read(&inner.join("run_t0.imec0.ap.meta")).unwrap();
            meta.number("firstSample").unwrap() / meta.number("imSampRate").unwrap()
        });
        let raw = description.raw.as_ref().unwrap();
        assert_eq!((raw.n_channels, raw.columns.len()), (385, 384));
        let samples = read_all(&*reader);
        assert_eq!(samples[383], 383.0 * 7.0);
        assert_eq!(samples[384], 1.0);
    }
}

#[test]
fn a_bin_shorter_than_its_meta_is_truncated_unless_it_is_still_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = write_run(folder.path(), 10, Some(11 * 770));
    let error = open_error(&path, &OpenOptions::default());
    assert!(
        error
            .to_string()
            .contains("truncated: it should have 8470 bytes and has 7700"),
        "{error}"
    );
    let path = write_run(folder.path(), 10, None);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.push(1);
    std::fs::write(&path, bytes).unwrap();
    let reader = open_plain(&path);
    assert_eq!(reader.description().n_samples, 10);
    assert!(
        reader
            .description()
            .warnings
            .iter()
            .any(|warning| warning.contains("fileSizeBytes"))
    );
    let path = write_run(folder.path(), 10, Some(9 * 770));
    let warnings = open_plain(&path).description().warnings.clone();
    assert!(
        warnings.iter().any(|warning| warning.contains("more than")),
        "{warnings:?}"
    );
    std::fs::remove_file(&path).unwrap();
    let error = open_error(&path.with_extension("meta"), &OpenOptions::default());
    assert!(
        error.to_string().contains("ap.bin` does not exist"),
        "{error}"
    );
}

#[test]
fn a_missing_or_absurd_key_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = write_run(folder.path(), 10, Some(7700));
    let meta_path = path.with_extension("meta");
    let good = std::fs::read_to_string(&meta_path).unwrap();
    for key in [
        "nSavedChans",
        "imSampRate",
        "imAiRangeMax",
        "snsApLfSy",
        "snsSaveChanSubset",
        "typeThis",
        "imroTbl",
    ] {
        let lines = good
            .lines()
            .filter(|line| !line.trim_start_matches('~').starts_with(&format!("{key}=")));
        std::fs::write(
            &meta_path,
            lines.map(|line| format!("{line}\n")).collect::<String>(),
        )
        .unwrap();
        let error = open_error(&path, &OpenOptions::default());
        assert!(error.to_string().contains(key), "{error}");
    }
    for (key, value) in [
        ("nSavedChans", "99999999999"),
        ("imSampRate", "0"),
        ("imSampRate", "nan"),
        ("imAiRangeMax", "-1"),
        ("imMaxInt", "0"),
        ("snsApLfSy", "384,0,9"),
        ("snsSaveChanSubset", "0:4000000000"),
        ("typeThis", "other"),
    ] {
        let mut lines: Vec<String> = good
            .lines()
            .filter(|line| !line.starts_with(&format!("{key}=")))
            .map(str::to_owned)
            .collect();
        lines.push(format!("{key}={value}"));
        std::fs::write(&meta_path, lines.join("\n")).unwrap();
        let error = open_error(&path, &OpenOptions::default());
        assert!(error.to_string().contains(key), "{error}");
    }
}
