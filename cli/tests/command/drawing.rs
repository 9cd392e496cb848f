//! Probes as `somata info` draws them, in Unicode and in plain ASCII, for terminals of several widths.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use crate::{
    run::{json, run, somata},
    snapshots::says_at,
};

/// `somata info` of a recording, for a UTF-8 terminal.
fn info(path: &Path) -> Command {
    let mut command = somata();
    command.env_remove("NO_COLOR").env("LC_ALL", "C.UTF-8");
    command.arg("info").arg(path);
    command
}

/// A SpikeGLX file of 0.1 s with a real `.meta` of io's golden files.
fn spikeglx(folder: &Path, meta: &str) -> PathBuf {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../io/tests/golden/spikeglx_meta");
    let meta = std::fs::read(golden.join(meta)).unwrap();
    let meta = String::from_utf8_lossy(&meta);
    let of = |key: &str| {
        let start = format!("{key}=");
        let line = meta.lines().find_map(|line| line.strip_prefix(&*start));
        line.unwrap().trim().to_owned()
    };
    let n_bytes = of("nSavedChans").parse::<usize>().unwrap() * 2 * 3000;
    let size = format!("fileSizeBytes={}", of("fileSizeBytes"));
    let meta = meta.replace(&size, &format!("fileSizeBytes={n_bytes}"));
    std::fs::write(folder.join("run_g0_t0.imec0.ap.meta"), meta).unwrap();
    let path = folder.join("run_g0_t0.imec0.ap.bin");
    std::fs::write(&path, vec![0; n_bytes]).unwrap();
    path
}

/// A bare binary file of 100 samples and a probe with a contact at each place; `wiring` has the channel of each, -1 for none.
fn bare(folder: &Path, places: &[[f64; 2]], shanks: &[usize], wiring: &[i64]) -> Command {
    std::fs::create_dir_all(folder).unwrap();
    let shanks: Vec<String> = shanks.iter().map(ToString::to_string).collect();
    let probe = json!({"specification": "probeinterface", "version": "0.3.1", "probes": [{
        "ndim": 2, "si_units": "um", "annotations": {"name": "a probe"}, "contact_positions": places,
        "device_channel_indices": wiring, "shank_ids": shanks,
    }]});
    std::fs::write(folder.join("probe.json"), probe.to_string()).unwrap();
    let n_channels = wiring.iter().filter(|&&channel| channel >= 0).count();
    std::fs::write(folder.join("a.bin"), vec![0; n_channels * 200]).unwrap();
    let mut command = info(&folder.join("a.bin"));
    command.args([
        "--sampling-frequency",
        "30000",
        "--dtype",
        "int16",
        "--gain-uv",
        "0.2",
    ]);
    command.args(["--n-channels", &n_channels.to_string()]);
    command.arg("--probe").arg(folder.join("probe.json"));
    command
}

/// As [`bare`], contact by contact on one shank.
fn plain(folder: &Path, places: &[[f64; 2]]) -> Command {
    let wiring: Vec<i64> = (0..places.len() as i64).collect();
    bare(folder, places, &vec![0; places.len()], &wiring)
}

/// The lines between what is said of the probe and what follows, with the legend.
fn drawing_of(text: &str) -> Vec<&str> {
    text.lines()
        .skip_while(|line| !line.starts_with("probe "))
        .skip(1)
        .take_while(|line| !line.starts_with("needs ") && !line.starts_with("warning "))
        .collect()
}

const TETRODE: [[f64; 2]; 4] = [[0.0, 20.0], [20.0, 20.0], [0.0, 0.0], [20.0, 0.0]];

#[test]
fn probes_of_common_kinds_are_drawn_to_scale() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    says_at("info-tetrode", &mut plain(here, &TETRODE), here, 80);
    let utah: Vec<[f64; 2]> = (0..100)
        .filter(|n| ![0, 9, 90, 99].contains(n))
        .map(|n| [f64::from(n % 10) * 400.0, f64::from(n / 10) * 400.0])
        .collect();
    says_at("info-utah", &mut plain(here, &utah), here, 80);
    let linear: Vec<[f64; 2]> = (0..32)
        .map(|n| [0.0, 775.0 - 25.0 * f64::from(n)])
        .collect();
    says_at("info-linear", &mut plain(here, &linear), here, 80);
    for (name, meta, columns) in [
        ("info-neuropixels-1", "sample3B_g0_t0.imec1.ap.meta", 80),
        (
            "info-neuropixels-1-wide",
            "sample3B_g0_t0.imec1.ap.meta",
            140,
        ),
        (
            "info-neuropixels-2-one-shank",
            "sampleNP2.1_g0_t0.imec.ap.meta",
            80,
        ),
        (
            "info-neuropixels-2-four-shanks",
            "sampleNP2.4_4shanks_g0_t0.imec.ap.meta",
            80,
        ),
        (
            "info-neuropixels-2-four-shanks-wide",
            "sampleNP2.4_4shanks_g0_t0.imec.ap.meta",
            140,
        ),
        ("info-neuropixels-quad-base", "sampleNP2QB.imec.ap.meta", 80),
        (
            "info-neuropixels-ultra",
            "sampleNPultra_g0_t0.imec0.ap.meta",
            80,
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = spikeglx(folder.path(), meta);
        says_at(name, &mut info(&path), folder.path(), columns);
    }
}

#[test]
fn plain_terminals_get_ascii() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let path = spikeglx(here, "sample3B_g0_t0.imec1.ap.meta");
    says_at("info-ascii", info(&path).env("NO_COLOR", "1"), here, 80);
    let drawn = |command: &mut Command| {
        let text = run(command).succeeds().stdout;
        let drawing = drawing_of(&text);
        assert!(drawing.len() > 3, "{text}");
        drawing.join("\n")
    };
    assert!(!drawn(&mut plain(here, &TETRODE)).is_ascii());
    for (name, value) in [
        ("LC_ALL", "C"),
        ("LC_ALL", "de_DE.ISO-8859-1"),
        ("NO_COLOR", "1"),
    ] {
        let mut command = plain(here, &TETRODE);
        assert!(drawn(command.env(name, value)).is_ascii(), "{name}={value}");
    }
    // The first that is set counts.
    let mut command = plain(here, &TETRODE);
    command
        .env("LC_ALL", "")
        .env("LC_CTYPE", "C")
        .env("LANG", "de_DE.UTF-8");
    assert!(drawn(&mut command).is_ascii());
}

#[test]
fn contacts_that_are_not_used_or_not_wired_are_marked() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let places: Vec<[f64; 2]> = (0..12).map(|n| [0.0, 50.0 * f64::from(n)]).collect();
    let wiring: Vec<i64> = vec![-1, 0, 1, 2, -1, 3, 4, 5, 6, 7, 8, -1];
    let command = || bare(here, &places, &[0; 12], &wiring);
    says_at("info-not-wired", &mut command(), here, 80);
    // Numbers stay those of the whole recording when channels are left out, which are then without a channel.
    says_at("info-part", command().args(["--channels", "3-8"]), here, 80);
    let path = spikeglx(here, "sample3B_version202304.ap.meta");
    says_at("info-unused", &mut info(&path), here, 80);
    let told = json(&run(info(&path).arg("--json")).succeeds().stdout);
    let contacts = told["probe"]["contacts"].as_array().unwrap();
    let unused: Vec<&Value> = contacts
        .iter()
        .filter(|contact| contact["marked_unused"] == true)
        .map(|contact| &contact["channel"])
        .collect();
    assert_eq!((contacts.len(), unused), (384, vec![&Value::from(191)]));
}

#[test]
fn any_probe_fits_any_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    // A grid of 64 × 64, eight shanks 10 mm apart, contacts without order, and one contact alone.
    let grid: Vec<[f64; 2]> = (0..4096)
        .map(|n| [f64::from(n % 64) * 42.0, f64::from(n / 64) * 42.0])
        .collect();
    let shanks: Vec<usize> = (0..64).map(|n| n / 8).collect();
    let far: Vec<[f64; 2]> = (0..64)
        .map(|n| [f64::from(n / 8) * 10_000.0, f64::from(n % 8) * 20.0])
        .collect();
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / 1e4
    };
    let scattered: Vec<[f64; 2]> = (0..200).map(|_| [next(), next()]).collect();
    let huge = [[-1e300, 0.0], [1e300, 1e9]];
    for columns in [1, 20, 80] {
        let wiring: Vec<i64> = (0..64).collect();
        for command in [
            &mut plain(&here.join("grid"), &grid),
            &mut bare(&here.join("far"), &far, &shanks, &wiring),
            &mut plain(&here.join("scattered"), &scattered),
            &mut plain(&here.join("alone"), &[[5.0, 7.0]]),
        ] {
            for plain in [false, true] {
                if plain {
                    command.env("NO_COLOR", "1");
                }
                let text = run(command.env("COLUMNS", columns.to_string()))
                    .succeeds()
                    .stdout;
                let drawing = drawing_of(&text);
                // The legend's words are not cut, the drawing has 24 lines and a head.
                let n_legend = drawing
                    .iter()
                    .position(|line| line.contains("a character is"));
                let lines = n_legend.unwrap_or(drawing.len().min(1));
                assert!(lines <= 25, "{text}");
                if columns >= 20 {
                    assert!(lines >= 2, "{text}");
                    let widest = drawing[..lines]
                        .iter()
                        .map(|line| line.chars().count())
                        .max();
                    assert!(widest <= Some(columns), "{columns}:\n{text}");
                }
            }
        }
        // What cannot be drawn is told in words all the same.
        let text = run(plain(here, &huge).env("COLUMNS", columns.to_string()))
            .succeeds()
            .stdout;
        assert!(text.contains("2 contacts on 1 shank"), "{text}");
    }
}
