//! Kilosort's channel map, `chanMap.mat`: where each channel's contact is.
//!
//! `xcoords` and `ycoords` in µm, `chanMap` with the row of each channel in the file, from 1 (or `chanMap0ind`, from 0),
//! `kcoords` with groups or shanks, `connected` with 0 for channels that are not to be used. Source: the table of variables in
//! Kilosort's documentation of channel maps.

use std::path::Path;

use super::{Contact, Probe, UnwiredContact};
use crate::error::{IoError, name_of};
use crate::matlab_reader::{self, MatArray};

/// Reads a channel map; channels that are not connected get no contact.
///
/// # Errors
/// When the file is no MATLAB file of version 5 or 7.3, or a variable is missing or makes no sense.
pub fn read(path: &Path) -> Result<Probe, IoError> {
    let arrays = matlab_reader::read(path)?;
    let find = |name: &str| arrays.iter().find(|array| array.name == name);
    let needed = |name: &str| find(name).ok_or_else(|| IoError::missing_key(path, name));
    let (x_um, y_um) = (needed("xcoords")?, needed("ycoords")?);
    let n_contacts = x_um.values.len();
    let checked = |array: &MatArray| {
        if array.values.len() == n_contacts {
            return Ok(());
        }
        let found = format!("{} values", array.values.len());
        let expected = format!("{n_contacts} values, as `xcoords`");
        Err(IoError::bad_value(path, &array.name, found, &expected))
    };
    checked(y_um)?;
    let (rows, first_row) = match find("chanMap0ind") {
        Some(rows) => (rows, 0.0),
        None => (needed("chanMap")?, 1.0),
    };
    checked(rows)?;
    let connected = find("connected");
    let groups = find("kcoords").or(find("kcoords0ind"));
    for array in [connected, groups].into_iter().flatten() {
        checked(array)?;
    }
    let shanks = shanks(groups, n_contacts);
    let mut contacts = Vec::new();
    let mut unwired = Vec::new();
    for index in 0..n_contacts {
        if connected.is_some_and(|connected| connected.values[index] == 0.0) {
            unwired.push(UnwiredContact {
                x_um: x_um.values[index],
                y_um: y_um.values[index],
                shank: shanks[index],
            });
            continue;
        }
        let row = rows.values[index] - first_row;
        if !(row >= 0.0 && row.fract() == 0.0 && row < 1e6) {
            let key = format!("{}({})", rows.name, index + 1);
            let expected = format!("a whole number, {first_row} or more");
            return Err(IoError::bad_value(
                path,
                &key,
                rows.values[index],
                &expected,
            ));
        }
        contacts.push(Contact {
            id: (index + 1).to_string(),
            x_um: x_um.values[index],
            y_um: y_um.values[index],
            shank: shanks[index],
            channel: row as usize,
        });
    }
    let name = find("name")
        .and_then(|name| name.text.clone())
        .filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| name_of(path));
    Ok(Probe::new(contacts, name).with_unwired(unwired))
}

/// Shanks from 0, in the order of the groups' numbers; one for all where there are no groups, or they are not numbers.
fn shanks(groups: Option<&MatArray>, n_contacts: usize) -> Vec<usize> {
    let Some(groups) = groups else {
        return vec![0; n_contacts];
    };
    let mut numbers = groups.values.clone();
    numbers.sort_by(f64::total_cmp);
    numbers.dedup();
    let shank = |value: &f64| {
        numbers
            .iter()
            .position(|number| number.total_cmp(value).is_eq())
            .unwrap_or(0)
    };
    groups.values.iter().map(shank).collect()
}
