//! Random bytes into every header parser: an error is fine, a panic or a huge allocation is not.

use std::path::Path;

use proptest::prelude::*;
use somata_io::matlab_reader;
use somata_io::npy::parse_header;
use somata_io::probe::{klusta_prb, probeinterface_json, utah_map::UtahMap};
use somata_io::recording::spikeglx::{describe, imro_file, meta::Meta};
use somata_io::recording::{OpenOptions, open};

use crate::suite::{copy_folder, golden};

/// Opens the bytes as a file of this name, and reads all of it if it opens.
fn open_bytes(name: &str, bytes: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    if let Ok(reader) = open(&path, &OpenOptions::default()) {
        let description = reader.description();
        let n_bytes = description.n_samples as usize * description.frame_bytes();
        assert!(
            n_bytes <= 4 * bytes.len(),
            "more samples than the file can hold"
        );
        reader.read(0, &mut vec![0u8; n_bytes]).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn nsx_headers_with_noise(
        which in 0usize..6,
        changes in prop::collection::vec((0usize..700, any::<u8>()), 1..12),
        cut in 0usize..3000,
    ) {
        let name = ["spec21.ns5", "spec22.ns5", "spec23_pauses.ns6", "spec23_1khz.ns2", "spec30.ns6", "spec30_ptp.ns6"][which];
        let mut bytes = std::fs::read(golden("nsx").join(name)).unwrap();
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        bytes.truncate(cut.max(1));
        open_bytes(name, &bytes);
    }

    #[test]
    fn nsx_marks_before_noise(which in 0usize..3, rest in prop::collection::vec(any::<u8>(), 0..800)) {
        let mark = [b"NEURALSG", b"NEURALCD", b"BRSMPGRP"][which];
        open_bytes("a.ns6", &[&mark[..], &rest].concat());
    }

    #[test]
    fn intan_headers_with_noise(
        which in 0usize..6,
        changes in prop::collection::vec((0usize..2200, any::<u8>()), 1..12),
        cut in 0usize..9000,
    ) {
        let name = ["v10.rhd", "v12.rhd", "v13.rhd", "v33.rhd", "stim.rhs", "stim_dc.rhs"][which];
        let mut bytes = std::fs::read(golden("intan").join(name)).unwrap();
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        bytes.truncate(cut.max(1));
        open_bytes(name, &bytes);
    }

    #[test]
    fn intan_marks_before_noise(which in 0usize..2, version in 1u8..4, rest in prop::collection::vec(any::<u8>(), 0..800)) {
        let mark = [[0x02, 0x27, 0x91, 0xc6], [0xac, 0x27, 0x91, 0xd6]][which];
        open_bytes("a.rhd", &[&mark[..], &[version, 0, 0, 0], &rest].concat());
    }

    #[test]
    fn open_ephys_structures_with_noise(changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..20)) {
        let name = "open_ephys/board/Record Node 101/experiment1/recording2";
        let folder = tempfile::tempdir().unwrap();
        copy_folder(&golden(name), folder.path());
        let path = folder.path().join("structure.oebin");
        let mut bytes = std::fs::read(&path).unwrap();
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        std::fs::write(&path, &bytes).unwrap();
        if let Ok(reader) = open(folder.path(), &OpenOptions::default()) {
            let description = reader.description();
            reader.read(0, &mut vec![0u8; description.n_samples as usize * description.frame_bytes()]).unwrap();
        }
    }

    #[test]
    fn chunk_tables_with_noise(changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..8), digits in "[0-9]{1,20}") {
        let folder = tempfile::tempdir().unwrap();
        copy_folder(&golden("mtscomp/spikeglx"), folder.path());
        let path = folder.path().join("run_g0_t0.imec0.ap.ch");
        let text = std::fs::read_to_string(&path).unwrap().replacen("300,", &format!("{digits},"), changes[0].0 % 3);
        let mut bytes = text.into_bytes();
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        std::fs::write(&path, &bytes).unwrap();
        if let Ok(reader) = open(folder.path(), &OpenOptions::default()) {
            let description = reader.description();
            let _ = reader.read(0, &mut vec![0u8; description.n_samples.min(10_000) as usize * description.frame_bytes()]);
        }
    }

    #[test]
    fn channel_maps_with_noise(which in 0usize..2, changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..12), cut in any::<usize>()) {
        let mut bytes = std::fs::read(golden("probes").join(["stored.mat", "chanMap.mat"][which])).unwrap();
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        bytes.truncate(1 + cut % (2 * bytes.len()));
        let _ = matlab_reader::parse(Path::new("a.mat"), &bytes);
    }

    #[test]
    fn probes_of_noise(text in "[{}'a-z:_(), 0-9\n#=.-]{0,120}", table in "[()0-9, ]{0,80}") {
        let _ = klusta_prb::parse(Path::new("a.prb"), &format!("channel_groups = {text}"));
        let _ = imro_file::parse(Path::new("a.imro"), &format!("(0,384){table}"));
        let _ = imro_file::parse(Path::new("a.imro"), &table);
    }

    #[test]
    fn metas_with_noise(which in 0usize..24, changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..30), cut in any::<usize>()) {
        let mut paths: Vec<_> = std::fs::read_dir(golden("spikeglx_meta")).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let mut bytes = std::fs::read(&paths[which]).unwrap();
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        bytes.truncate(1 + cut % (2 * bytes.len()));
        if let Ok(meta) = Meta::parse(Path::new("a.meta"), &bytes) {
            let _ = describe(&meta);
        }
    }

    #[test]
    fn meta_tables_of_noise(table in "[()0-9:, ]{0,80}", key in "imroTbl|snsGeomMap|snsShankMap|muxTbl|snsSaveChanSubset|snsApLfSy") {
        let text = std::fs::read_to_string(golden("spikeglx_meta/sample3B_version202304.ap.meta")).unwrap();
        let text = format!("{text}\n{key}={table}\n");
        let _ = describe(&Meta::parse(Path::new("a.meta"), text.as_bytes()).unwrap());
    }

    #[test]
    fn npy_headers_of_noise(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[{}'a-z:_(), 0-9<]{0,120}") {
        let _ = parse_header(Path::new("a.npy"), &bytes);
        let _ = parse_header(Path::new("a.npy"), &[b"\x93NUMPY\x01\x00", &bytes[..]].concat());
        let length = (text.len() as u16).to_le_bytes();
        let _ = parse_header(Path::new("a.npy"), &[b"\x93NUMPY\x01\x00", &length[..], text.as_bytes()].concat());
    }

    #[test]
    fn maps_and_probes_of_noise(text in "\\PC{0,200}", map in "[0-9A-D \t\n/]{0,120}", numbers in prop::collection::vec(-3.0f64..1e20, 0..6)) {
        let _ = UtahMap::parse(Path::new("a.cmp"), &text);
        let _ = UtahMap::parse(Path::new("a.cmp"), &map);
        if let Ok(json) = serde_json::from_str(&text) {
            let _ = probeinterface_json::parse(Path::new("p.json"), &json);
        }
        let json = serde_json::json!({"probes": [{"contact_positions": [numbers], "device_channel_indices": numbers,
            "shank_ids": numbers, "si_units": text}]});
        if let Ok(probe) = probeinterface_json::parse(Path::new("p.json"), &json) {
            let _ = probe.validate(numbers.len(), Path::new("p.json"));
        }
    }
}
