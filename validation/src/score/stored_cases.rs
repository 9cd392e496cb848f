//! Reads the stored comparisons of `tests/golden/sorting_comparison.json`, for the tests of this folder.

use serde_json::Value;

use super::SpikeTrains;

pub(super) fn trains(case: &Value, which: &str) -> SpikeTrains {
    SpikeTrains {
        sampling_frequency_hz: case["sampling_frequency_hz"].as_f64().unwrap(),
        unit_ids: integers(&case[format!("{which}_ids")]),
        trains: case[format!("{which}_trains")]
            .as_array()
            .unwrap()
            .iter()
            .map(integers)
            .collect(),
    }
}

pub(super) fn integers(value: &Value) -> Vec<i64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry.as_i64().unwrap())
        .collect()
}

pub(super) fn floats(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry.as_f64().unwrap())
        .collect()
}

pub(super) fn table<T>(value: &Value, row: fn(&Value) -> Vec<T>) -> Vec<T> {
    value.as_array().unwrap().iter().flat_map(row).collect()
}

// Both sides divide the same integers; only the order of a mean's additions may differ.
pub(super) fn assert_close(name: &str, what: &str, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{name}: {what}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() < 1e-9,
            "{name}: {what}: {found} instead of {expected}"
        );
    }
}

pub(super) fn ids_or_minus_one(ids: impl Iterator<Item = Option<i64>>) -> Vec<i64> {
    ids.map(|id| id.unwrap_or(-1)).collect()
}

pub(super) fn stored_cases() -> serde_json::Map<String, Value> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/golden/sorting_comparison.json"
    );
    let Value::Object(cases) =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    else {
        panic!("an object of cases")
    };
    cases
}
