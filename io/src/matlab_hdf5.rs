//! Reads the plain arrays of a MATLAB `.mat` file of version 7.3, which is HDF5: numbers, logical values and text.
//!
//! A variable is a dataset of the root group, its class the attribute `MATLAB_class`. HDF5 names the axes in the other order, so that
//! the elements lie as MATLAB has them, the first axis fastest. Text is UTF-16 units, and an empty variable a dataset of its shape with
//! `MATLAB_empty`. Structs (groups), cells (references to `#refs#`) and sparse arrays are passed over, as
//! [`crate::matlab_reader`] does. MathWorks does not document the layout; it is that of files which MATLAB writes, as
//! `h5dump` shows them.

use std::path::Path;

use crate::error::IoError;
use crate::hdf5::{ElementType, Hdf5File, Object};
use crate::matlab_reader::MatArray;

/// Elements of all variables together; a channel map has some thousands.
const MAX_ELEMENTS: u64 = 32 << 20;
/// Classes of plain arrays.
const PLAIN: [&str; 12] = [
    "double", "single", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
    "logical", "char",
];

/// Reads the plain variables of `path`, by name.
///
/// # Errors
/// When it is no HDF5, damaged, or too large.
pub fn read(path: &Path) -> Result<Vec<MatArray>, IoError> {
    let mut budget = MAX_ELEMENTS;
    let mut arrays = Vec::new();
    for object in Hdf5File::open(path)?.root()?.members()? {
        if object.is_dataset() {
            arrays.extend(array(&object, &mut budget)?);
        }
    }
    Ok(arrays)
}

/// The variable that a dataset is; `None` when it is no plain array.
fn array(object: &Object, budget: &mut u64) -> Result<Option<MatArray>, IoError> {
    let attributes = object.attributes()?;
    let class = attributes
        .get("MATLAB_class")
        .and_then(|class| class.text())
        .unwrap_or("double");
    if !PLAIN.contains(&class) || attributes.contains_key("MATLAB_sparse") {
        return Ok(None);
    }
    let dataset = object.dataset()?;
    if !matches!(dataset.element_type(), ElementType::Number(_)) {
        return Ok(None);
    }
    let is_empty = attributes
        .get("MATLAB_empty")
        .and_then(|empty| empty.number())
        .is_some_and(|empty| empty != 0.0);
    if is_empty {
        return Ok(Some(MatArray {
            name: object.name().to_owned(),
            shape: vec![0, 0],
            values: Vec::new(),
            text: (class == "char").then(String::new),
        }));
    }
    let n_elements = dataset.n_elements();
    *budget = budget.checked_sub(n_elements).ok_or_else(|| {
        IoError::malformed(
            object.file_path(),
            object.path(),
            "the variables are too large for a description",
        )
    })?;
    let crate::hdf5::Value::Numbers(values) = dataset.value(n_elements)? else {
        return Ok(None);
    };
    let text = (class == "char").then(|| {
        let units: Vec<u16> = values.iter().map(|&unit| unit as u16).collect();
        String::from_utf16_lossy(&units)
    });
    Ok(Some(MatArray {
        name: object.name().to_owned(),
        shape: dataset.shape().iter().rev().map(|&n| n as usize).collect(),
        values,
        text,
    }))
}
