//! Reads the stored scores of `tests/golden/movie_scores.json`, for the tests of this folder.

use serde_json::Value;

use super::masks::Footprint;
use crate::simulate::movie::MovieTruth;

pub(super) fn stored_cases(kind: &str) -> Vec<(String, Value)> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/golden/movie_scores.json"
    );
    let all: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let cases = all[kind].as_object().unwrap();
    assert!(!cases.is_empty());
    cases
        .iter()
        .map(|(name, case)| (name.clone(), case.clone()))
        .collect()
}

pub(super) fn float(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

pub(super) fn integer(value: &Value) -> i64 {
    value.as_i64().unwrap()
}

pub(super) fn rows<T>(value: &Value, entry: impl Fn(&Value) -> T) -> Vec<Vec<T>> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row.as_array().unwrap().iter().map(&entry).collect())
        .collect()
}

/// Footprints are stored as runs: first pixel, number of pixels, first pixel, …
pub(super) fn footprints(value: &Value) -> Vec<Footprint> {
    rows(value, |number| integer(number) as u32)
        .iter()
        .map(|runs| {
            let pixels = runs
                .chunks_exact(2)
                .flat_map(|run| run[0]..run[0] + run[1])
                .collect();
            Footprint::new(pixels)
        })
        .collect()
}

/// Label images are stored as runs: label, number of pixels, label, …
pub(super) fn labels(value: &Value) -> Vec<u32> {
    let runs: Vec<i64> = value.as_array().unwrap().iter().map(integer).collect();
    runs.chunks_exact(2)
        .flat_map(|run| std::iter::repeat_n(run[0] as u32, run[1] as usize))
        .collect()
}

pub(super) fn truth_of(case: &Value) -> MovieTruth {
    let bodies = footprints(&case["bodies"]);
    let shift = |name: &str| {
        let values = case[name].as_array().unwrap().iter();
        vec![
            values
                .map(|value| float(value) as f32)
                .collect::<Vec<f32>>(),
        ]
    };
    let shift_y = shift("shift_y");
    MovieTruth {
        height: integer(&case["height"]) as usize,
        width: integer(&case["width"]) as usize,
        n_frames: shift_y[0].len(),
        plane: vec![0; bodies.len()],
        bodies,
        active: case["active"]
            .as_array()
            .unwrap()
            .iter()
            .map(|value| value.as_bool().unwrap())
            .collect(),
        calcium: rows(&case["calcium"], |value| float(value) as f32),
        spikes: rows(&case["spikes"], |value| integer(value) as i16),
        shift_y,
        shift_x: shift("shift_x"),
        ..MovieTruth::default()
    }
}

// Sums in another order, and single precision where Cellpose gives it: far below what a wrong formula changes.
pub(super) fn assert_close(name: &str, what: &str, found: f64, expected: f64) {
    assert!(
        (found - expected).abs() < 1e-6,
        "{name}: {what}: {found} instead of {expected}"
    );
}
