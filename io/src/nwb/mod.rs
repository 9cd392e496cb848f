//! What recordings and movies in NWB files (HDF5) share: series by their type, and their clocks.
//!
//! Written from the NWB core schema 2.x: an object's type is its attribute `neurodata_type`; a `TimeSeries` has `data`, and
//! either `starting_time` with the attribute `rate`, or one of `timestamps` a sample.

pub(crate) mod clock;

use crate::error::IoError;
use crate::hdf5::{Object, Value};

/// Groups in which series are looked for.
const PLACES: [&str; 4] = ["acquisition", "processing", "stimulus", "analysis"];

/// A series.
#[derive(Debug)]
pub(crate) struct Series {
    pub object: Object,
    /// Its path without the first `/`.
    pub name: String,
}

impl Series {
    /// Whether it is what was acquired, not what was made of it.
    pub fn is_acquired(&self) -> bool {
        self.name.starts_with("acquisition/")
    }
}

/// Whether this root is an NWB file's.
pub(crate) fn is_nwb(root: &Object) -> Result<bool, IoError> {
    let attributes = root.attributes()?;
    Ok(attributes.contains_key("nwb_version") || type_of(&attributes) == Some("NWBFile"))
}

/// The series of some types, by name.
pub(crate) fn find_series(root: &Object, types: &[&str]) -> Result<Vec<Series>, IoError> {
    let mut found = Vec::new();
    for place in PLACES {
        let Some(place) = root.member(place)?.filter(Object::is_group) else {
            continue;
        };
        for object in place.descendants()? {
            if !object.is_group() {
                continue;
            }
            let attributes = object.attributes()?;
            if type_of(&attributes).is_some_and(|name| types.contains(&name)) {
                let name = object.path().trim_start_matches('/').to_owned();
                found.push(Series { object, name });
            }
        }
    }
    Ok(found)
}

fn type_of(attributes: &std::collections::BTreeMap<String, Value>) -> Option<&str> {
    attributes.get("neurodata_type").and_then(Value::text)
}

/// Indices of the series that one would want without being asked: the acquired ones that hold data.
pub(crate) fn usual(series: &[Series]) -> Vec<usize> {
    let of = |acquired: bool| -> Vec<usize> {
        (0..series.len())
            .filter(|&index| series[index].is_acquired() == acquired)
            .collect()
    };
    let acquired = of(true);
    if acquired.is_empty() {
        of(false)
    } else {
        acquired
    }
}

/// A warning that names what else could be read.
pub(crate) fn others(series: &[Series], chosen: usize, option: &str) -> Option<String> {
    let names: Vec<String> = series
        .iter()
        .enumerate()
        .filter(|(index, _)| *index != chosen)
        .take(8)
        .map(|(_, one)| format!("`{}`", one.name))
        .collect();
    (!names.is_empty()).then(|| {
        format!(
            "`{}` is read; the file has {} as well: choose with `{option} NAME`",
            series[chosen].name,
            names.join(", ")
        )
    })
}
