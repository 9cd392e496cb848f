//! A small sort and a small movie give what they gave when their results were stored: a change of an answer is declared, not slipped in.
//!
//! `cli/tests/stored_results.json` holds, of each, a digest of the files and the answer itself. On a processor of the kind that made it
//! the digests must be equal. Elsewhere the last bits may differ (docs/concepts/determinism.md: decompositions, transforms and the
//! network choose their instructions by the processor), so there the answer itself is compared, within tolerances.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use somata_io::npy::{read_npy_as_f64, read_npy_as_i64};

use crate::{
    data::row_of_eight,
    movies::{image, small},
    run::{run, sort},
};

/// What to do about a difference.
const WHAT_TO_DO: &str = "declare it in CHANGELOG.md and update with `SOMATA_STORE_RESULTS=1 cargo test --workspace --test command \
                          stored_results -- --test-threads=1`";

/// All that is stored.
#[derive(Default, Deserialize, Serialize)]
struct Stored {
    sort: Option<Answer<Unit>>,
    image: Option<Answer<Cell>>,
}

/// One result.
#[derive(Deserialize, Serialize)]
struct Answer<T> {
    /// The kind of processor on which it was made.
    processor: String,
    /// BLAKE3 of the simulated input.
    input: String,
    /// BLAKE3 of each compared file.
    files: BTreeMap<String, String>,
    /// What the files say.
    parts: Vec<T>,
}

/// A unit: its spikes.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Unit {
    samples: Vec<i64>,
}

/// A cell.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Cell {
    y_px: f64,
    x_px: f64,
    area_px: f64,
    /// Mean and standard deviation of its trace, and sum of its spikes.
    trace_mean: f64,
    trace_sd: f64,
    spikes: f64,
}

/// The processor as far as it decides on instructions.
fn processor() -> String {
    #[cfg(target_arch = "x86_64")]
    let width = if std::arch::is_x86_feature_detected!("avx512f") {
        "avx512"
    } else if std::arch::is_x86_feature_detected!("avx2")
        && std::arch::is_x86_feature_detected!("fma")
    {
        "avx2"
    } else {
        "sse2"
    };
    #[cfg(not(target_arch = "x86_64"))]
    let width = "own";
    format!(
        "{} {width} {}",
        std::env::consts::ARCH,
        std::env::consts::OS
    )
}

fn stored_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stored_results.json")
}

fn stored() -> Stored {
    let text = std::fs::read_to_string(stored_path());
    text.map_or_else(
        |_| Stored::default(),
        |text| serde_json::from_str(&text).expect("stored results"),
    )
}

/// Writes one of the results, when asked to; whether it was.
fn store(change: impl FnOnce(&mut Stored)) -> bool {
    if std::env::var_os("SOMATA_STORE_RESULTS").is_none() {
        return false;
    }
    let mut all = stored();
    change(&mut all);
    let mut text = serde_json::to_string(&all).expect("plain data");
    // A line a unit or cell, so that a change shows where it is.
    text = text
        .replace("},{", "},\n{")
        .replace("\"parts\":[", "\"parts\":[\n");
    std::fs::write(stored_path(), text + "\n").expect("the stored results are written");
    true
}

/// The digest of a file.
fn digest(path: &Path) -> String {
    blake3::hash(&std::fs::read(path).expect("a file")).to_hex()[..32].to_owned()
}

fn digests(folder: &Path, names: &[&str]) -> BTreeMap<String, String> {
    let of = |name: &&str| ((*name).to_owned(), digest(&folder.join(name)));
    names.iter().map(of).collect()
}

/// Fails when the files differ where they may not; otherwise says whether they are the same.
fn same_files<T>(kind: &str, stored: &Answer<T>, found: &Answer<T>) -> bool {
    if stored.files == found.files {
        return true;
    }
    let differ: Vec<&String> = stored
        .files
        .iter()
        .filter(|(name, digest)| found.files.get(*name) != Some(digest))
        .map(|(name, _)| name)
        .collect();
    let is_comparable = stored.processor == found.processor && stored.input == found.input;
    assert!(
        !is_comparable,
        "the answer of the {kind} is another than the stored one ({differ:?}): {WHAT_TO_DO}"
    );
    eprintln!(
        "{kind}: {differ:?} differ from what `{}` made, this is `{}`; compared within tolerances",
        stored.processor, found.processor
    );
    false
}

/// Part of the spikes of either that the other has, within a sample.
fn agreement(a: &[i64], b: &[i64]) -> f64 {
    let near = |from: &[i64], to: &[i64]| {
        let has = |sample: &&i64| {
            let at = to.partition_point(|other| *other < **sample - 1);
            to.get(at).is_some_and(|other| *other <= **sample + 1)
        };
        from.iter().filter(has).count() as f64 / from.len().max(1) as f64
    };
    near(a, b).min(near(b, a))
}

#[test]
fn a_small_sort_gives_the_stored_units() {
    let folder = tempfile::tempdir().unwrap();
    let recording = row_of_eight(folder.path(), "20");
    let out = folder.path().join("out");
    run(&mut sort(&recording, &out)).succeeds();
    let times = read_npy_as_i64(&out.join("phy/spike_times.npy"))
        .unwrap()
        .data;
    let units = read_npy_as_i64(&out.join("phy/spike_clusters.npy"))
        .unwrap()
        .data;
    let mut by_unit: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for (time, unit) in times.iter().zip(&units) {
        by_unit.entry(*unit).or_default().push(*time);
    }
    let found = Answer {
        processor: processor(),
        input: digest(&recording.join("recording.bin")),
        files: digests(
            &out,
            &[
                "phy/spike_times.npy",
                "phy/spike_clusters.npy",
                "phy/amplitudes.npy",
                "phy/templates.npy",
                "metrics.csv",
            ],
        ),
        parts: by_unit
            .into_values()
            .map(|samples| Unit { samples })
            .collect(),
    };
    assert!(found.parts.len() > 2, "nothing to compare");
    let stored = stored().sort;
    if let Some(stored) = &stored
        && std::env::var_os("SOMATA_STORE_RESULTS").is_none()
    {
        if same_files("sort", stored, &found) {
            return;
        }
        assert_eq!(stored.parts.len(), found.parts.len(), "units: {WHAT_TO_DO}");
        for (number, unit) in stored.parts.iter().enumerate() {
            let best = found
                .parts
                .iter()
                .map(|other| agreement(&unit.samples, &other.samples))
                .fold(0.0, f64::max);
            // Spikes at the threshold come and go with the last bit of their score: one in fifty here.
            assert!(best > 0.98, "unit {number} agrees by {best}: {WHAT_TO_DO}");
        }
    } else {
        assert!(
            store(|all| all.sort = Some(found)),
            "nothing is stored: {WHAT_TO_DO}"
        );
    }
}

#[test]
fn a_small_movie_gives_the_stored_cells() {
    let folder = tempfile::tempdir().unwrap();
    let movie = small(folder.path());
    let out = folder.path().join("out");
    run(&mut image(&movie, &out)).succeeds();
    let found = Answer {
        processor: processor(),
        input: digest(&movie),
        files: digests(
            &out,
            &[
                "cells.csv",
                "masks.tif",
                "motion.csv",
                "suite2p/plane0/F.npy",
                "suite2p/plane0/Fneu.npy",
                "suite2p/plane0/spks.npy",
            ],
        ),
        parts: cells(&out),
    };
    assert!(found.parts.len() > 5, "nothing to compare");
    let stored = stored().image;
    if let Some(stored) = &stored
        && std::env::var_os("SOMATA_STORE_RESULTS").is_none()
    {
        if same_files("movie", stored, &found) {
            return;
        }
        assert_eq!(stored.parts.len(), found.parts.len(), "cells: {WHAT_TO_DO}");
        for (number, cell) in stored.parts.iter().enumerate() {
            // Pixels at a mask's edge and the fit of a trace follow the last bits of the network and of the shifts; a cell of this
            // movie has some 80 pixels.
            let alike = |other: &&Cell| {
                let near = |a: f64, b: f64, part: f64| (a - b).abs() <= part * a.abs().max(b.abs());
                (cell.y_px - other.y_px).hypot(cell.x_px - other.x_px) < 0.5
                    && near(cell.area_px, other.area_px, 0.08)
                    && near(cell.trace_mean, other.trace_mean, 0.02)
                    && near(cell.trace_sd, other.trace_sd, 0.03)
                    && near(cell.spikes, other.spikes, 0.05)
            };
            assert!(
                found.parts.iter().any(|other| alike(&other)),
                "no cell is like cell {number}, {cell:?}: {WHAT_TO_DO}"
            );
        }
    } else {
        assert!(
            store(|all| all.image = Some(found)),
            "nothing is stored: {WHAT_TO_DO}"
        );
    }
}

/// Cells of a result with figures of their traces.
fn cells(out: &Path) -> Vec<Cell> {
    let rows = |name: &str| {
        let array = read_npy_as_f64(&out.join("suite2p/plane0").join(name)).unwrap();
        let length = array.shape[1];
        array
            .data
            .chunks_exact(length)
            .map(<[f64]>::to_vec)
            .collect::<Vec<_>>()
    };
    let (traces, spikes) = (rows("F.npy"), rows("spks.npy"));
    let table = std::fs::read_to_string(out.join("cells.csv")).unwrap();
    let mut lines = table.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let column = |name: &str| {
        names
            .iter()
            .position(|found| *found == name)
            .expect("a column")
    };
    let [y, x, area] = ["y_px", "x_px", "area_px"].map(column);
    lines
        .zip(traces.iter().zip(&spikes))
        .map(|(line, (trace, spikes))| {
            let fields: Vec<&str> = line.split(',').collect();
            let number = |at: usize| fields[at].parse::<f64>().expect("a number");
            let mean = trace.iter().sum::<f64>() / trace.len() as f64;
            let squares: f64 = trace.iter().map(|v| (v - mean) * (v - mean)).sum();
            let rounded = |value: f64| (value * 1000.0).round() / 1000.0;
            Cell {
                y_px: number(y),
                x_px: number(x),
                area_px: number(area),
                trace_mean: rounded(mean),
                trace_sd: rounded((squares / trace.len() as f64).sqrt()),
                spikes: rounded(spikes.iter().sum()),
            }
        })
        .collect()
}

#[test]
fn spikes_agree_when_they_are_within_a_sample_and_not_beyond() {
    assert_eq!(agreement(&[10, 50, 90], &[11, 49, 90]), 1.0);
    assert_eq!(agreement(&[10, 50, 90, 130], &[12, 50, 90, 130]), 0.75);
    assert_eq!(agreement(&[10], &[10, 60]), 0.5);
    assert_eq!(agreement(&[], &[10]), 0.0);
}
