//! Zarr stores end to end: what a flat recording and a TIFF give, and what is said of a store that is not read.

use std::path::Path;

use serde_json::{Value, json};

use crate::{
    data::{GAIN_UV, RATE_HZ, bytes_of, positions, samples, tetrode},
    movies::{FRAMES, SIDE, image, imaging_answer, small, small_pixels},
    run::{answer, assert_same, json as parsed, manifest, nothing_left, run, somata, sort},
};

const N_CHANNELS: usize = 4;

/// Writes JSON into a folder of the store, which is made.
fn write(folder: &Path, name: &str, json: &Value) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join(name), json.to_string()).unwrap();
}

/// An array of version 2 that is not packed; its rows lie in chunks of `rows`.
fn write_array(
    folder: &Path,
    shape: &[usize],
    rows: usize,
    dtype: &str,
    row_bytes: usize,
    bytes: &[u8],
) {
    let chunks: Vec<usize> = std::iter::once(rows)
        .chain(shape[1..].iter().copied())
        .collect();
    let description = json!({"zarr_format": 2, "shape": shape, "chunks": chunks, "dtype": dtype, "compressor": null,
        "filters": null, "fill_value": 0, "order": "C"});
    write(folder, ".zarray", &description);
    let rest = ".0".repeat(shape.len() - 1);
    for (number, chunk) in bytes.chunks(rows * row_bytes).enumerate() {
        let mut chunk = chunk.to_vec();
        chunk.resize(rows * row_bytes, 0);
        std::fs::write(folder.join(format!("{number}{rest}")), chunk).unwrap();
    }
}

fn doubles(values: &[f64]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

fn group(folder: &Path, attributes: &Value) {
    write(folder, ".zgroup", &json!({"zarr_format": 2}));
    write(folder, ".zattrs", attributes);
}

/// What `recording.save(format="zarr")` of SpikeInterface leaves.
fn write_spikeinterface(store: &Path, samples: &[i16], probe: &Path) {
    let probe: Value = serde_json::from_slice(&std::fs::read(probe).unwrap()).unwrap();
    group(
        store,
        &json!({"sampling_frequency": RATE_HZ as f64, "num_segments": 1, "probegroup": probe}),
    );
    write_array(
        &store.join("traces_seg0"),
        &[samples.len() / N_CHANNELS, N_CHANNELS],
        RATE_HZ,
        "<i2",
        2 * N_CHANNELS,
        &bytes_of(samples),
    );
    write_array(
        &store.join("channel_ids"),
        &[N_CHANNELS],
        N_CHANNELS,
        "|S1",
        1,
        b"0123",
    );
    group(&store.join("properties"), &json!({}));
    write_array(
        &store.join("properties/gain_to_uV"),
        &[N_CHANNELS],
        N_CHANNELS,
        "<f8",
        8,
        &doubles(&[GAIN_UV; N_CHANNELS]),
    );
}

/// What hdmf-zarr leaves of an `ElectricalSeries`.
fn write_nwb(store: &Path, samples: &[i16], positions: &[[f64; 2]]) {
    group(
        store,
        &json!({"neurodata_type": "NWBFile", "nwb_version": "2.8.0"}),
    );
    group(&store.join("acquisition"), &json!({}));
    let series = store.join("acquisition/ElectricalSeries");
    group(&series, &json!({"neurodata_type": "ElectricalSeries"}));
    write_array(
        &series.join("data"),
        &[samples.len() / N_CHANNELS, N_CHANNELS],
        5000,
        "<i2",
        2 * N_CHANNELS,
        &bytes_of(samples),
    );
    write(
        &series.join("data"),
        ".zattrs",
        &json!({"conversion": GAIN_UV * 1e-6, "offset": 0.0, "unit": "volts"}),
    );
    write_array(
        &series.join("starting_time"),
        &[1],
        1,
        "<f8",
        8,
        &doubles(&[0.0]),
    );
    write(
        &series.join("starting_time"),
        ".zattrs",
        &json!({"rate": RATE_HZ as f64}),
    );
    let rows: Vec<u8> = (0..N_CHANNELS as i64)
        .flat_map(|row| row.to_le_bytes())
        .collect();
    write_array(
        &series.join("electrodes"),
        &[N_CHANNELS],
        N_CHANNELS,
        "<i8",
        8,
        &rows,
    );
    for folder in [
        "general",
        "general/extracellular_ephys",
        "general/extracellular_ephys/electrodes",
    ] {
        group(&store.join(folder), &json!({}));
    }
    for (axis, name) in ["rel_x", "rel_y"].iter().enumerate() {
        let places: Vec<f64> = positions.iter().map(|place| place[axis]).collect();
        let folder = store
            .join("general/extracellular_ephys/electrodes")
            .join(name);
        write_array(
            &folder,
            &[N_CHANNELS],
            N_CHANNELS,
            "<f8",
            8,
            &doubles(&places),
        );
    }
}

#[test]
fn stores_give_the_spikes_of_a_flat_recording() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let recording = tetrode(folder.path());
    let all = samples(&recording);
    let spikes = |recording: &Path, out: &Path| {
        run(sort(recording, out).args(["--set", "preprocessing.phase_shift=false"])).succeeds();
        let mut files = answer(out);
        // It names the raw file, which only one of them has.
        files.remove("params.py").expect("params.py");
        files
    };
    let expected = spikes(&recording, &at("out"));
    assert!(
        manifest(&at("out"))["n_spikes"].as_u64() > Some(0),
        "nothing to compare"
    );
    write_spikeinterface(&at("si.zarr"), &all, &recording.join("probe.json"));
    assert_same(
        &expected,
        &spikes(&at("si.zarr"), &at("out-of-si")),
        "SpikeInterface Zarr",
    );
    write_nwb(&at("nwb.zarr"), &all, &positions(&recording));
    assert_same(
        &expected,
        &spikes(&at("nwb.zarr"), &at("out-of-nwb")),
        "NWB Zarr",
    );
    let of_store = manifest(&at("out-of-si"));
    let inputs = &of_store["inputs"];
    assert!(
        inputs[0]["bytes"].as_u64() > Some(2 * all.len() as u64),
        "{inputs}"
    );
    assert_eq!(inputs[0]["fingerprint"].as_str().unwrap().len(), 64);

    let info = parsed(
        &run(somata().arg("info").arg(at("si.zarr")).arg("--json"))
            .succeeds()
            .stdout,
    );
    assert_eq!(
        (&info["format"], &info["n_channels"]),
        (&json!("SpikeInterface Zarr"), &json!(4))
    );

    // A codec that is not read, and a chunk that is cut: one sentence, and nothing is left behind.
    let array = at("si.zarr").join("traces_seg0");
    let cut = array.join("1.0");
    let bytes = std::fs::read(&cut).unwrap();
    std::fs::write(&cut, &bytes[..100]).unwrap();
    let out = at("out-of-cut");
    run(&mut sort(&at("si.zarr"), &out)).fails(3, &["1.0", "100 bytes"], &["damaged"]);
    nothing_left(&out);
    crate::data::change_json(&array.join(".zarray"), |json| {
        json["compressor"] = json!({"id": "wavpack"})
    });
    run(&mut sort(&at("si.zarr"), &out)).fails(3, &["traces_seg0", "`wavpack`"], &["Blosc"]);
}

#[test]
fn a_movie_in_zarr_gives_the_cells_of_the_tiff() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let out = at("out");
    let cells = |movie: &Path| {
        run(&mut image(movie, &out)).succeeds();
        assert!(
            manifest(&out)["n_cells"].as_u64() > Some(0),
            "nothing to compare"
        );
        let answer = imaging_answer(&out);
        std::fs::remove_dir_all(&out).unwrap();
        answer
    };
    let tiff = cells(&small(folder.path()));
    let store = at("movie.ome.zarr");
    let axes = json!([{"name": "t", "type": "time"}, {"name": "y", "type": "space"}, {"name": "x", "type": "space"}]);
    let scale = json!([{"type": "scale", "scale": [1.0, 1.0, 1.0]}]);
    let dataset = json!({"path": "0", "coordinateTransformations": scale});
    group(
        &store,
        &json!({"multiscales": [{"version": "0.4", "axes": axes, "datasets": [dataset]}]}),
    );
    write_array(
        &store.join("0"),
        &[FRAMES, SIDE, SIDE],
        7,
        "<i2",
        2 * SIDE * SIDE,
        &bytes_of(small_pixels()),
    );
    let zarr = cells(&store);
    for name in [
        "suite2p/plane0/F.npy",
        "suite2p/plane0/spks.npy",
        "masks.tif",
    ] {
        assert_eq!(tiff[name], zarr[name], "{name}");
    }
}
