//! Recordings, bare movies and probes.

use std::path::Path;

use somata_io::IoError;
use somata_io::movie::{self, MovieOptions};
use somata_io::npy::write_npy;
use somata_io::probe;
use somata_io::recording::spikeglx::describe;
use somata_io::recording::spikeglx::meta::Meta;
use somata_io::recording::{OpenOptions, open};

use crate::harness::{Seed, Target, size_of_folder};
use crate::outside::check_inside;
use crate::reading::read_ends;
use crate::seeds::{golden, single_files, whole_folder};

/// Opens a recording and reads its first, middle and last samples; it cannot have more of them than its files hold.
pub fn read_recording(path: &Path, folder: &Path) -> Result<(), IoError> {
    let reader = open(path, &OpenOptions::default())?;
    let description = reader.description();
    check_inside(folder, &description.paths);
    // Delivered samples have at most twice the bytes of the stored ones.
    let frame_bytes = description.frame_bytes();
    let promised = description.n_samples as u128 * frame_bytes as u128;
    assert!(
        promised <= 2 * size_of_folder(folder) as u128,
        "more samples than the files can hold"
    );
    read_ends(&*reader)?;
    for warning in &description.warnings {
        assert!(warning.chars().count() < 1000, "a warning without end");
    }
    Ok(())
}

/// SpikeGLX: the meta file, and the samples beside it.
pub fn spikeglx() -> Target {
    let mut seeds = single_files("spikeglx_meta", &[".meta"], 1 << 20);
    for seed in &mut seeds {
        let text = String::from_utf8(seed.files[0].1.clone()).unwrap();
        let meta = Meta::parse(Path::new("a.meta"), text.as_bytes()).unwrap();
        let n_bytes = 2 * 4 * describe(&meta).unwrap().n_channels_stored;
        // The real recordings are long: these have four samples.
        let lines: Vec<String> = text
            .lines()
            .map(|line| match line.split_once('=') {
                Some(("fileSizeBytes", _)) => format!("fileSizeBytes={n_bytes}"),
                _ => line.to_owned(),
            })
            .collect();
        seed.files[0].1 = lines.join("\n").into_bytes();
        let bin_name = seed.entry.replace(".meta", ".bin");
        seed.files.push((bin_name, vec![1; n_bytes]));
    }
    Target {
        name: "spikeglx",
        seeds,
        expansion: 64,
        allowance_bytes: 4 << 20,
        parse: read_recording,
    }
}

/// Blackrock NSx, with the events beside the old form.
pub fn blackrock() -> Target {
    let mut seeds = single_files("nsx", &[".ns2", ".ns5", ".ns6"], 1 << 20);
    let events = std::fs::read(golden("nsx/spec21.nev")).unwrap();
    let map = std::fs::read(golden("nsx/map/array.cmp")).unwrap();
    for seed in &mut seeds {
        if seed.entry == "spec21.ns5" {
            seed.files.push(("spec21.nev".to_owned(), events.clone()));
        }
        if seed.entry == "spec30.ns6" {
            seed.files.push(("array.cmp".to_owned(), map.clone()));
        }
    }
    Target {
        name: "blackrock",
        seeds,
        expansion: 64,
        allowance_bytes: 8 << 20,
        parse: read_recording,
    }
}

/// somata's own folder.
pub fn somata_folder() -> Target {
    let json = br#"{"sampling_frequency": 30000.0, "n_channels": 3, "dtype": "int16", "gain_uv": [0.1, 0.2, 0.3],
 "offset_uv": 0, "n_samples": 40, "channel_ids": ["a", "b", 7], "offset_bytes": 6}"#;
    let probe = br#"{"specification": "probeinterface", "probes": [{"si_units": "um", "contact_ids": ["e0", "e1", "e2"],
 "contact_positions": [[0, 0], [0, 20], [16.5, 40]], "device_channel_indices": [2, 0, 1], "shank_ids": ["0", "0", "1"]}]}"#;
    let files = [
        ("recording.json", json.to_vec()),
        ("probe.json", probe.to_vec()),
        ("recording.bin", vec![3; 246]),
    ];
    Target {
        name: "somata_folder",
        seeds: vec![Seed::folder(
            files.map(|(name, bytes)| (name.to_owned(), bytes)).to_vec(),
        )],
        expansion: 64,
        // Names of up to 1,048,576 channels.
        allowance_bytes: 128 << 20,
        parse: read_recording,
    }
}

/// What SpikeInterface saves as binary, also as it was before probes were saved.
pub fn spikeinterface_folder() -> Target {
    let mut seeds = ["two_segments", "two_probes"]
        .map(|name| whole_folder(&format!("spikeinterface/{name}")))
        .to_vec();
    let mut old = seeds[0].clone();
    old.files.retain(|(name, _)| name != "probegroup.json");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("location.npy");
    write_npy(
        &path,
        &[4, 2],
        &[0.0f64, 0.0, 0.0, 20.0, 0.0, 40.0, 0.0, 60.0],
    )
    .unwrap();
    old.files.push((
        "properties/location.npy".to_owned(),
        std::fs::read(path).unwrap(),
    ));
    seeds.push(old);
    Target {
        name: "spikeinterface_folder",
        seeds,
        expansion: 64,
        allowance_bytes: 128 << 20,
        parse: read_recording,
    }
}

/// Opens a movie and reads frames of its last plane and channel.
pub fn read_movie(path: &Path, folder: &Path) -> Result<(), IoError> {
    let reader = movie::open(&[path.to_owned()], &MovieOptions::default())?;
    let description = reader.description();
    check_inside(folder, &description.paths);
    let mut frame = vec![0; description.frame_bytes()];
    let last = (description.n_planes - 1, description.n_channels - 1);
    for number in (0..description.n_frames.min(8)).chain([description.n_frames - 1]) {
        reader.read(last.0, last.1, number, &mut frame)?;
    }
    Ok(())
}

/// A bare movie and the description beside it.
pub fn raw_binary_movie() -> Target {
    let json = br#"{"height": 6, "width": 5, "dtype": "<u2", "n_frames": 4, "frame_rate_hz": 30.5, "n_planes": 2, "n_channels": 1}"#;
    let files = vec![
        ("movie.json".to_owned(), json.to_vec()),
        ("movie.bin".to_owned(), vec![9; 480]),
    ];
    Target {
        name: "raw_binary_movie",
        seeds: vec![Seed {
            files,
            entry: "movie.bin".to_owned(),
        }],
        expansion: 64,
        allowance_bytes: 4 << 20,
        parse: read_movie,
    }
}

/// Reads a probe, and checks it against as many channels as it has contacts.
fn read_probe(path: &Path, _: &Path) -> Result<(), IoError> {
    let probe = probe::read(path)?;
    let _ = probe.n_shanks();
    probe.validate(probe.contacts.len(), path)
}

/// probeinterface JSON.
pub fn probe_json() -> Target {
    let seeds = ["two_segments", "two_probes"].map(|name| {
        Seed::file(
            "probe.json",
            std::fs::read(golden(&format!("spikeinterface/{name}/probegroup.json"))).unwrap(),
        )
    });
    Target {
        name: "probe_json",
        seeds: seeds.to_vec(),
        expansion: 64,
        allowance_bytes: 4 << 20,
        parse: read_probe,
    }
}

/// Blackrock's map.
pub fn utah_map() -> Target {
    Target {
        name: "utah_map",
        seeds: single_files("nsx/map", &[".cmp"], 1 << 20),
        expansion: 64,
        allowance_bytes: 4 << 20,
        parse: read_probe,
    }
}

/// Files of one kind of probe.
fn probe_files(name: &'static str, endings: &[&str], expansion: usize) -> Target {
    let folder = tempfile::tempdir().unwrap();
    let mut seeds = single_files("probes", endings, 1 << 20);
    // Some are there because they are refused.
    seeds.retain(|seed| {
        let path = folder.path().join(&seed.entry);
        std::fs::write(&path, &seed.files[0].1).unwrap();
        read_probe(&path, folder.path()).is_ok()
    });
    assert!(!seeds.is_empty(), "{name}");
    Target {
        name,
        seeds,
        expansion,
        allowance_bytes: 4 << 20,
        parse: read_probe,
    }
}

/// klusta's `.prb`.
pub fn klusta_prb() -> Target {
    // A bracket becomes a list of its own.
    probe_files("klusta_prb", &[".prb"], 256)
}

/// Kilosort's `chanMap.mat`, of MATLAB's versions 5 and 7.3.
pub fn chan_map() -> Target {
    // A deflated byte becomes 1032 at most, each of which may be a number of eight bytes.
    probe_files("chan_map", &[".mat"], 3 * 8 * 1032)
}

/// SpikeGLX's `.imro`.
pub fn imro() -> Target {
    probe_files("imro", &[".imro"], 128)
}
