//! Writes HDF5 and NWB files and has h5py, pynwb and nwbinspector read them back.
//!
//! `golden/open_nwb.py` does the reading; its expectations come from the arrays that went in, not from files of somata.

use std::path::Path;

use serde_json::json;
use somata_io::hdf5_writer::{
    Attribute, AttributeValue, ChunkedDataset, Datatype, Hdf5Element, Hdf5Writer, Link, RowDataset,
};
use somata_io::imaging_output::cell_table::{CellColumn, write_cells_csv};
use somata_io::imaging_output::nwb_ophys::{NwbMicroscope, write_nwb_ophys};
use somata_io::imaging_output::result_reader::{ImagingResult, read_imaging_result};
use somata_io::imaging_output::traces::write_traces_npz;
use somata_io::npy::write_npy;
use somata_io::nwb_file::{NwbSession, NwbSubject, NwbTime, NwbWriter};
use somata_io::sorting_output::nwb_units::{NwbProbe, write_nwb_units};
use somata_io::sorting_output::phy_reader::read_phy;
use somata_io::sorting_output::phy_templates::{UnitWaveforms, read_phy_electrodes};

use super::exports::{SUITE2P_FOLDER, write_sorting};
use super::{N_FRAMES, Rows, cells, open_with_python, write_planes};

/// A file with every kind of object, small and large.
fn write_hdf5(path: &Path) {
    let mut writer = Hdf5Writer::create(path).unwrap();
    let mut links = Vec::new();
    let mut add = |name: &str, at| links.push((name.to_owned(), Link::Hard(at)));

    let one = writer.array(&[], &[2.5f64], &[]).unwrap();
    add("one", one);
    let attributes = [
        Attribute::text("text", "µm, 日本"),
        Attribute::text("empty", ""),
        Attribute::new(
            "texts",
            AttributeValue::Texts(vec!["a".into(), "".into(), "ccc".into()]),
        ),
        Attribute::new("integer", AttributeValue::Integer(-7)),
        Attribute::new("single", AttributeValue::Float32(0.1)),
        Attribute::new("double", AttributeValue::Float64(0.1)),
        Attribute::new("reference", AttributeValue::Reference(one)),
        Attribute::text("long", "x".repeat(100_000)),
        Attribute::text("eighth", "8"),
        Attribute::text("ninth", "9"),
    ];
    add(
        "u8",
        writer.array(&[3], &[0u8, 127, 255], &attributes).unwrap(),
    );
    add(
        "i32",
        writer.array(&[2, 1], &[i32::MIN, i32::MAX], &[]).unwrap(),
    );
    add("u32", writer.array(&[1], &[u32::MAX], &[]).unwrap());
    add(
        "i64",
        writer.array(&[2], &[i64::MIN, i64::MAX], &[]).unwrap(),
    );
    add("u64", writer.array(&[1], &[u64::MAX], &[]).unwrap());
    let singles = [f32::MIN_POSITIVE, -1.5, f32::NAN, f32::INFINITY];
    add("f32", writer.array(&[2, 2], &singles, &[]).unwrap());
    add("f64", writer.array(&[2], &[f64::MAX, -0.0], &[]).unwrap());
    add("none", writer.array::<f32>(&[0, 4], &[], &[]).unwrap());
    add("scalar_text", writer.texts(&[], &["é"], &[]).unwrap());
    let texts: Vec<String> = (0..3000)
        .map(|n| "µ".repeat(n % 40) + &n.to_string())
        .collect();
    add("texts", writer.texts(&[1500, 2], &texts, &[]).unwrap());
    add("no_texts", writer.texts(&[0], &[] as &[&str], &[]).unwrap());
    let group = writer
        .group(
            &[Attribute::text("kind", "inner")],
            &[("one".to_owned(), Link::Hard(one))],
        )
        .unwrap();
    add("group", group);
    add("references", writer.references(&[group, one], &[]).unwrap());

    // Large enough to be packed; the last chunk is not full.
    let numbers: Vec<i64> = (0..200_000).map(|n| n * n).collect();
    add("packed", writer.array(&[200_000], &numbers, &[]).unwrap());
    let pixel = Datatype::Compound(vec![("x", u32::datatype()), ("w", f32::datatype())]);
    let mut rows = RowDataset::new(pixel, &[50_000]);
    for n in 0..50_000u32 {
        let bytes = [n.to_le_bytes(), (n as f32 / 2.0).to_le_bytes()].concat();
        rows.append(&mut writer, &bytes).unwrap();
    }
    add("compound", rows.finish(&mut writer, &[]).unwrap());
    // So many chunks that their index has three levels, in an order of its own; chunks reach over both ends.
    let (shape, chunk) = ([139usize, 141], [2usize, 2]);
    let n = [shape[0].div_ceil(chunk[0]), shape[1].div_ceil(chunk[1])];
    let mut many = ChunkedDataset::new(u32::datatype(), &shape, &chunk);
    for place in (0..n[0] * n[1]).rev() {
        let (row, column) = (place % n[0], place / n[0]);
        let value = |at: usize| (1000 * (2 * row + at / 2) + 2 * column + at % 2) as u32;
        let bytes: Vec<u8> = (0..4).flat_map(|at| value(at).to_le_bytes()).collect();
        many.write(&mut writer, &[row, column], &bytes).unwrap();
    }
    add("many", many.finish(&mut writer, &[]).unwrap());
    let crowd: Vec<(String, Link)> = (0..3000)
        .map(|n| (format!("link{n}"), Link::Soft("/group/one".to_owned())))
        .collect();
    add("crowd", writer.group(&[], &crowd).unwrap());
    links.push(("soft".to_owned(), Link::Soft("/group".to_owned())));
    writer
        .finish(&[Attribute::text("title", "all")], &links)
        .unwrap();
}

#[test]
fn chunks_that_are_missing_or_come_twice_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5");
    let mut writer = Hdf5Writer::create(&path).unwrap();
    for places in [&[0][..], &[0, 0], &[0, 1, 1]] {
        let mut chunked = ChunkedDataset::new(u32::datatype(), &[3], &[2]);
        for &place in places {
            chunked.write(&mut writer, &[place], &[0; 8]).unwrap();
        }
        let error = chunked.finish(&mut writer, &[]).unwrap_err().to_string();
        assert!(error.contains("chunks of 2"), "{error}");
    }
    let mut rows = RowDataset::new(u32::datatype(), &[3]);
    rows.append_values(&mut writer, [1u32, 2]).unwrap();
    let error = rows.finish(&mut writer, &[]).unwrap_err().to_string();
    assert!(error.contains("[3] does not hold 8 bytes"), "{error}");
    let mut rows = RowDataset::new(u32::datatype(), &[3]);
    rows.append_values(&mut writer, 0..100u32).unwrap();
    assert!(rows.finish(&mut writer, &[]).is_err());
}

fn session() -> NwbSession {
    let text = |text: &str| Some(text.to_owned());
    NwbSession {
        description: "a session of the tests".to_owned(),
        start_time: NwbTime::parse("2026-01-31T09:30:00+01:00").unwrap(),
        file_create_date: NwbTime::parse("2026-02-01T00:00:00Z").unwrap(),
        identifier: None,
        session_id: text("s1"),
        experimenter: vec!["Cajal, Santiago".to_owned()],
        lab: text("lab"),
        institution: text("institution"),
        experiment_description: text("what it was about"),
        keywords: vec!["a".to_owned(), "µ".to_owned()],
        notes: text("notes"),
        subject: Some(NwbSubject {
            subject_id: text("m1"),
            species: text("Mus musculus"),
            sex: text("F"),
            age: text("P90D"),
            description: text("a mouse"),
            ..NwbSubject::default()
        }),
        generated_by: ["somata".to_owned(), "0.1.0".to_owned()],
    }
}

fn create(base: &Path, name: &str) -> NwbWriter {
    let content = blake3::hash(name.as_bytes());
    NwbWriter::create(&base.join(name), &session(), &content).unwrap()
}

fn add_sorting(nwb: &mut NwbWriter, source: &Path, start_s: f64) {
    let sorting = read_phy(source).unwrap();
    let electrodes = read_phy_electrodes(source).unwrap();
    let waveforms = UnitWaveforms::open(source, &sorting).unwrap();
    let probe = NwbProbe {
        name: "Probe 1/2".to_owned(),
        description: "two shanks".to_owned(),
        manufacturer: Some("maker".to_owned()),
        location: "CA1".to_owned(),
        start_s,
        n_samples: Some(1_000_000),
        before_trough_ms: Some(1.0),
    };
    write_nwb_units(
        nwb,
        &sorting,
        electrodes.as_ref(),
        waveforms.as_ref(),
        &probe,
    )
    .unwrap();
}

fn add_imaging(nwb: &mut NwbWriter, result: &ImagingResult, start_s: f64) {
    let microscope = NwbMicroscope {
        name: "microscope".to_owned(),
        description: "two-photon microscope".to_owned(),
        manufacturer: None,
        location: "VISp".to_owned(),
        indicator: "GCaMP6s".to_owned(),
        excitation_nm: 920.0,
        emission_nm: 510.0,
        start_s,
        pixel_size_um: Some([1.5, 2.0]),
    };
    let warnings = write_nwb_ophys(nwb, result, &microscope).unwrap();
    assert_eq!(warnings, [] as [String; 0]);
}

#[test]
fn h5py_and_pynwb_read_what_went_in() {
    let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nwb_example");
    let _ = std::fs::remove_dir_all(&base);
    std::fs::create_dir_all(&base).unwrap();
    write_hdf5(&base.join("every.h5"));

    // A sorting with pauses, electrodes and waveforms; unit 3 was merged from two templates.
    let sorted = base.join("sort");
    write_sorting(&sorted);
    let at = |name: &str| sorted.join("phy").join(name);
    let templates: Vec<i32> = (0..1000)
        .map(|spike| [0, [1, 2][spike / 500], 3][spike % 3])
        .collect();
    write_npy(&at("spike_templates.npy"), &[1000], &templates).unwrap();
    let waveforms: Vec<f32> = (0..4 * 30 * 5)
        .map(|value| (value % 101) as f32 - 50.0)
        .collect();
    write_npy(&at("templates_uv.npy"), &[4, 30, 5], &waveforms).unwrap();
    let deviations: Vec<f32> = (0..4 * 30 * 5)
        .map(|value| {
            if value % 5 == 4 {
                f32::NAN
            } else {
                (value % 89) as f32 / 4.0
            }
        })
        .collect();
    write_npy(&at("templates_sd_uv.npy"), &[4, 30, 5], &deviations).unwrap();
    let positions: Vec<f32> = (0..10).map(|value| value as f32 * 12.5).collect();
    write_npy(&at("channel_positions.npy"), &[5, 2], &positions).unwrap();
    write_npy(&at("channel_shanks.npy"), &[5], &[0i32, 0, 2, 2, 2]).unwrap();
    write_npy(&at("channel_map.npy"), &[5, 1], &[9i32, 7, 5, 3, 1]).unwrap();
    let mut nwb = create(&base, "sorting.nwb");
    add_sorting(&mut nwb, &sorted, 0.0);
    nwb.finish().unwrap();

    // One of another program, of which only spikes are known, and one without any.
    for (name, n) in [("spikes_only", 3), ("nothing", 0)] {
        let folder = base.join(name);
        std::fs::create_dir(&folder).unwrap();
        let at = |name: &str| folder.join(name);
        write_npy(&at("spike_times.npy"), &[n], &[30u64, 10, 20][..n]).unwrap();
        write_npy(&at("spike_templates.npy"), &[n], &[7u32, 2, 7][..n]).unwrap();
        std::fs::write(at("params.py"), "sample_rate = 20000.\n").unwrap();
        std::fs::write(
            at("cluster_electrodes.tsv"),
            "cluster_id\telectrodes\n7\tx\n",
        )
        .unwrap();
        let mut nwb = create(&base, &format!("{name}.nwb"));
        add_sorting(&mut nwb, &folder, 0.0);
        nwb.finish().unwrap();
    }

    let foreign = read_imaging_result(Path::new(SUITE2P_FOLDER)).unwrap();
    let mut nwb = create(&base, "foreign.nwb");
    add_imaging(&mut nwb, &foreign, 0.0);
    nwb.finish().unwrap();

    let imaged = base.join("image");
    let cells = cells();
    write_planes(&imaged, &cells);
    let n_cells = 2 * cells.len();
    let time_s: Vec<f64> = (0..N_FRAMES).map(|frame| frame as f64 / 30.0).collect();
    write_traces_npz(&imaged.join("traces.npz"), &time_s, &mut Rows { n_cells }).unwrap();
    let column = |name: &str, value: &dyn Fn(usize) -> String| CellColumn {
        name: name.to_owned(),
        values: (0..n_cells).map(value).collect(),
    };
    let columns = [
        column("found_by", &|cell| {
            ["network", "activity"][cell % 2].to_owned()
        }),
        column("skew", &|cell| format!("{cell}.5")),
        column("image_mask", &|cell| cell.to_string()),
    ];
    write_cells_csv(&imaged.join("cells.csv"), n_cells, &columns).unwrap();
    let own = read_imaging_result(&imaged).unwrap();
    // Both modalities in one file, and twice, to see that nothing in it depends on when it is made.
    for name in ["both.nwb", "again.nwb"] {
        let content = blake3::hash(b"both");
        let mut nwb = NwbWriter::create(&base.join(name), &session(), &content).unwrap();
        add_sorting(&mut nwb, &sorted, 10.0);
        add_imaging(&mut nwb, &own, 2.5);
        nwb.finish().unwrap();
    }
    let [both, again] =
        ["both.nwb", "again.nwb"].map(|name| std::fs::read(base.join(name)).unwrap());
    assert!(both == again, "the same content gives other bytes");

    // A plane without cells.
    let empty = read_imaging_result(&imaged.join("suite2p/empty")).unwrap();
    let mut nwb = create(&base, "empty.nwb");
    add_imaging(&mut nwb, &empty, 0.0);
    nwb.finish().unwrap();

    let described: Vec<serde_json::Value> = cells
        .iter()
        .map(|cell| json!({ "ypix": cell.ypix, "xpix": cell.xpix, "lam": cell.lam }))
        .collect();
    let expected = json!({
        "suite2p_folder": SUITE2P_FOLDER, "height": super::HEIGHT, "width": super::WIDTH,
        "n_frames": N_FRAMES, "cells": described,
    });
    std::fs::write(base.join("expected.json"), expected.to_string()).unwrap();
    open_with_python("open_nwb.py", &base);
}
