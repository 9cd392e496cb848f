//! The ends of what a recording or a movie may be: one channel, one unit, the smallest and largest numbers, cells of one pixel
//! and cells at the border. Whole results of finite numbers, or a clear refusal.

use std::path::Path;

use serde_json::{Value, json};
use somata_io::npy::{read_npy_as_f64, write_npy};

use crate::{
    bad_movies::finite,
    data::{bytes_of, samples, simulate, tetrode, write_samples},
    movies::{Page, SIDE, image, small_pages, small_pixels, tiff, write},
    run::{json as parsed, manifest, run, somata, sort},
};

/// Asserts that all arrays of a sort are finite, and gives its units and spikes.
#[track_caller]
fn finite_sort(out: &Path) -> (u64, u64) {
    for name in [
        "templates",
        "templates_uv",
        "amplitudes",
        "pc_features",
        "spike_positions",
        "similar_templates",
        "whitening_mat",
        "whitening_mat_inv",
    ] {
        let array = read_npy_as_f64(&out.join(format!("phy/{name}.npy"))).unwrap();
        assert!(
            array.data.iter().all(|value| value.is_finite()),
            "{name}.npy holds values that are not finite"
        );
    }
    let manifest = manifest(out);
    let n = |name: &str| manifest[name].as_u64().unwrap();
    (n("n_units"), n("n_spikes"))
}

#[test]
fn one_channel() {
    let folder = tempfile::tempdir().unwrap();
    let recording = tetrode(folder.path());
    let first: Vec<i16> = samples(&recording).into_iter().step_by(4).collect();
    let data = write(folder.path(), "one.bin", &bytes_of(&first));
    let probe = json!({
        "specification": "probeinterface",
        "version": "0.2.21",
        "probes": [{
            "ndim": 2,
            "si_units": "um",
            "annotations": {},
            "contact_annotations": {},
            "contact_positions": [[0.0, 0.0]],
            "contact_plane_axes": [[[1.0, 0.0], [0.0, 1.0]]],
            "contact_shapes": ["circle"],
            "contact_shape_params": [{ "radius": 5.0 }],
            "device_channel_indices": [0],
        }],
    });
    let probe = write(folder.path(), "one.json", probe.to_string().as_bytes());
    let out = folder.path().join("out");
    run(sort(&data, &out)
        .args(["--n-channels", "1", "--sampling-frequency", "30000"])
        .args(["--dtype", "int16", "--gain-uv", "0.195", "--probe"])
        .arg(probe))
    .succeeds();
    let (units, spikes) = finite_sort(&out);
    assert!(units > 0 && spikes > 15, "{units} units, {spikes} spikes");
}

#[test]
fn one_unit() {
    let folder = tempfile::tempdir().unwrap();
    let options = [
        "--kind",
        "tetrode",
        "--units",
        "1",
        "--seconds",
        "10",
        "--seed",
        "5",
    ];
    let recording = simulate(folder.path(), &options);
    let out = folder.path().join("out");
    run(&mut sort(&recording, &out)).succeeds();
    let (units, _) = finite_sort(&out);
    assert!((1..=2).contains(&units), "{units} units of one");
}

#[test]
fn ten_million_spikes() {
    const SPIKES: usize = 10_000_000;
    const UNITS: usize = 100;
    let folder = tempfile::tempdir().unwrap();
    let phy = folder.path().join("phy");
    std::fs::create_dir(&phy).unwrap();
    // A spike every 40 samples, past what 16 and 24 bits count, the units in turn: each fires every 4,000 samples.
    let times: Vec<u64> = (0..SPIKES as u64).map(|spike| 40 * spike).collect();
    let units: Vec<i32> = (0..SPIKES).map(|spike| (spike % UNITS) as i32).collect();
    write_npy(&phy.join("spike_times.npy"), &[SPIKES], &times).unwrap();
    write_npy(&phy.join("spike_clusters.npy"), &[SPIKES], &units).unwrap();
    write(&phy, "params.py", b"sample_rate = 30000.0\n");
    let told = run(somata().arg("compare").args([&phy, &phy]).arg("--json")).succeeds();
    let compared = parsed(&told.stdout);
    assert_eq!(compared["spike_agreement"], 1.0);
    let pairs = compared["pairs"].as_array().unwrap();
    assert_eq!(pairs.len(), UNITS);
    let whole = |pair: &Value| pair["n_matches"] == SPIKES / UNITS;
    assert!(pairs.iter().all(whole), "{:?}", pairs[0]);
    let out = folder.path().join("out.npz");
    let mut convert = somata();
    convert
        .arg("convert")
        .arg(&phy)
        .args(["--to", "npz", "--json", "--out"]);
    let told = run(convert.arg(&out)).succeeds();
    assert_eq!(parsed(&told.stdout)["n_spikes"], SPIKES);
    assert!(out.metadata().unwrap().len() > 12 * SPIKES as u64);
}

#[test]
fn the_smallest_and_the_largest_floats() {
    let folder = tempfile::tempdir().unwrap();
    let recording = tetrode(folder.path());
    let whole = samples(&recording);
    let as_floats = |value: &dyn Fn(usize, f32) -> f32| -> Vec<u8> {
        let values = whole.iter().enumerate();
        values
            .flat_map(|(i, &sample)| value(i, f32::from(sample)).to_le_bytes())
            .collect()
    };
    type Change<'a> = (&'a str, &'a dyn Fn(usize, f32) -> f32);
    let cases: [Change<'_>; 4] = [
        // Below the smallest normal number: no unit can be seen in it.
        ("denormal", &|_, sample| sample * 1e-43),
        ("some denormal", &|i, sample| {
            if i % 977 == 0 { 1e-42 } else { sample }
        }),
        // As from a broken amplifier: one channel far beyond what a voltage can be, for a while.
        ("largest", &|i, sample| {
            if i % 4 == 1 && (40_000..44_000).contains(&i) {
                f32::MAX
            } else {
                sample
            }
        }),
        ("mixed", &|i, sample| match i % 5003 {
            0 => f32::NAN,
            1 => f32::INFINITY,
            2 => f32::MIN,
            3 => f32::MIN_POSITIVE / 2.0,
            _ => sample,
        }),
    ];
    for (name, value) in cases {
        write_samples(&recording, 4, &as_floats(value), "float32", 4);
        let out = folder.path().join(name);
        let ran = run(&mut sort(&recording, &out));
        assert_eq!(ran.code, Some(0), "{name}: {}", ran.stderr);
        let (units, _) = finite_sort(&out);
        match name {
            "denormal" => assert_eq!(units, 0, "{name}"),
            "some denormal" => assert!(units > 0, "{name}"),
            _ => {}
        }
    }
}

#[test]
fn cells_at_the_border() {
    let folder = tempfile::tempdir().unwrap();
    // A window into the small movie whose every edge cuts cells.
    let (top, left, height, width) = (11, 9, 61, 70);
    let pages: Vec<Page> = small_pixels()
        .chunks_exact(SIDE * SIDE)
        .map(|frame| {
            let rows =
                (top..top + height).map(|y| &frame[y * SIDE + left..y * SIDE + left + width]);
            Page::i16(height, width, &rows.flatten().copied().collect::<Vec<_>>())
        })
        .collect();
    let movie = write(folder.path(), "cut.tif", &tiff(&pages));
    let out = folder.path().join("out");
    run(&mut image(&movie, &out)).succeeds();
    assert!(finite(&out) > 2, "cells inside the window are found");
    let table = std::fs::read_to_string(out.join("cells.csv")).unwrap();
    for line in table.lines().skip(1) {
        let numbers: Vec<f64> = line
            .split(',')
            .skip(2)
            .take(2)
            .map(|text| text.parse().unwrap())
            .collect();
        assert!(
            (0.0..height as f64).contains(&numbers[0]) && (0.0..width as f64).contains(&numbers[1]),
            "{line}"
        );
    }
}

#[test]
fn cells_of_one_pixel() {
    let folder = tempfile::tempdir().unwrap();
    let side = 48;
    let mut state = 9u64;
    let mut noise = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % 31) as i16
    };
    let pages: Vec<Page> = (0..200)
        .map(|frame| {
            let mut pixels: Vec<i16> = (0..side * side).map(|_| 100 + noise()).collect();
            // Single pixels that flash and decay, one of them in the corner.
            for (k, at) in [0, 7 * side + 9, 20 * side + 30, side * side - 1]
                .into_iter()
                .enumerate()
            {
                let since = (frame + 13 * k) % 50;
                pixels[at] += (2000.0 * (-(since as f64) / 12.0).exp()) as i16;
            }
            Page::i16(side, side, &pixels)
        })
        .collect();
    let movie = write(folder.path(), "points.tif", &tiff(&pages));
    for (name, options) in [
        ("default", &[][..]),
        (
            "smallest",
            &[
                "--set",
                "segmentation.min_size_px=1",
                "--set",
                "segmentation.min_probability=0",
                "--set",
                "segmentation.min_area=0",
                "--set",
                "activity.min_area=0",
                "--set",
                "activity.min_probability=0",
                "--set",
                "footprints.min_snr=0",
                "--set",
                "footprints.min_agreement=0",
            ],
        ),
    ] {
        let out = folder.path().join(name);
        run(image(&movie, &out).args(options)).succeeds();
        finite(&out);
    }
}

#[test]
fn a_movie_of_the_smallest_and_largest_floats() {
    let folder = tempfile::tempdir().unwrap();
    let floats = |value: &dyn Fn(usize, f32) -> f32| -> Vec<Page> {
        small_pages(60)
            .iter()
            .map(|page| {
                let pixels = page.bytes.as_chunks::<2>().0.iter().enumerate();
                let pixels: Vec<f32> = pixels
                    .map(|(i, &pair)| value(i, f32::from(i16::from_le_bytes(pair))))
                    .collect();
                Page::f32(SIDE, SIDE, &pixels)
            })
            .collect()
    };
    type Change<'a> = (&'a str, &'a dyn Fn(usize, f32) -> f32);
    let cases: [Change<'_>; 3] = [
        ("denormal", &|_, pixel| pixel * 1e-43),
        ("tiny", &|_, pixel| pixel * 1e-20),
        ("mixed", &|i, pixel| match i % 1009 {
            0 => f32::MAX,
            1 => f32::NAN,
            2 => f32::MIN_POSITIVE / 2.0,
            _ => pixel,
        }),
    ];
    for (name, value) in cases {
        println!("{name}");
        let movie = write(folder.path(), &format!("{name}.tif"), &tiff(&floats(value)));
        let out = folder.path().join(name);
        let ran = run(&mut image(&movie, &out));
        assert_eq!(ran.code, Some(0), "{name}: {}", ran.stderr);
        finite(&out);
    }
}
