//! Probes as JSON of probeinterface, reading and writing.
//!
//! `probes` is a list. `device_channel_indices` wires contacts to channels (−1: not connected, only drawn). Several probes
//! become shanks of one; when two of them overlap in place (each was drawn in its own frame) the later one is moved to the right so that
//! contacts of different probes are never neighbours. Source: probeinterface's documentation of its format, version 0.2 to 0.4.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Value, json};

use super::{Contact, Probe, UnwiredContact};
use crate::atomic;
use crate::error::{IoError, name_of};
use crate::recording::flat::read_json;

/// Empty space between two probes that had to be moved apart, in µm.
const GAP_UM: f64 = 1000.0;

/// Reads all probes of the file as one.
///
/// # Errors
/// When the file is not probeinterface JSON, or has no wiring, or lists of different lengths.
pub fn read(path: &Path) -> Result<Probe, IoError> {
    parse(path, &read_json(path)?)
}

/// Builds the probe from parsed JSON; `path` is for messages.
///
/// # Errors
/// As [`read`].
pub fn parse(path: &Path, json: &Value) -> Result<Probe, IoError> {
    let probes = json
        .get("probes")
        .ok_or_else(|| IoError::missing_key(path, "probes"))?;
    let probes = probes.as_array().filter(|probes| !probes.is_empty());
    let probes = probes
        .ok_or_else(|| IoError::bad_value(path, "probes", &json["probes"], "a list of probes"))?;
    let mut contacts: Vec<Contact> = Vec::new();
    let mut unwired: Vec<UnwiredContact> = Vec::new();
    let mut n_shanks = 0;
    let mut room = Room::empty();
    for (index, one) in probes.iter().enumerate() {
        let (mut added, mut unwired_here) = parse_one(path, one, &format!("probes[{index}]"))?;
        let n_shanks_here = added
            .iter()
            .map(|contact| contact.shank + 1)
            .max()
            .unwrap_or(0);
        let moved_um = room.place(&mut added);
        added
            .iter_mut()
            .for_each(|contact| contact.shank += n_shanks);
        for contact in &mut unwired_here {
            contact.x_um += moved_um;
            contact.shank += n_shanks;
        }
        n_shanks += n_shanks_here;
        contacts.extend(added);
        unwired.extend(unwired_here);
    }
    let model = probes[0]
        .pointer("/annotations/model_name")
        .or_else(|| probes[0].pointer("/annotations/name"));
    let name = model
        .and_then(Value::as_str)
        .map_or_else(|| name_of(path), str::to_owned);
    Ok(Probe::new(contacts, name).with_unwired(unwired))
}

/// The connected contacts of one probe, and the others.
fn parse_one(
    path: &Path,
    one: &Value,
    place: &str,
) -> Result<(Vec<Contact>, Vec<UnwiredContact>), IoError> {
    let key_of = |key: &str| format!("{place}.{key}");
    let list = |key: &str| -> Result<Option<&Vec<Value>>, IoError> {
        match one.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Array(values)) => Ok(Some(values)),
            Some(value) => Err(IoError::bad_value(path, &key_of(key), value, "a list")),
        }
    };
    let positions = list("contact_positions")?
        .ok_or_else(|| IoError::missing_key(path, &key_of("contact_positions")))?;
    let wiring = list("device_channel_indices")?
        .ok_or_else(|| IoError::missing_key(path, &key_of("device_channel_indices")))?;
    let ids = list("contact_ids")?;
    let shank_ids = list("shank_ids")?;
    for (key, values) in [
        ("device_channel_indices", Some(wiring)),
        ("contact_ids", ids),
        ("shank_ids", shank_ids),
    ] {
        if let Some(values) = values
            && values.len() != positions.len()
        {
            let expected = format!("{} entries, one a contact", positions.len());
            return Err(IoError::bad_value(
                path,
                &key_of(key),
                format!("{} entries", values.len()),
                &expected,
            ));
        }
    }
    let to_um = match one.get("si_units").and_then(Value::as_str) {
        None | Some("um") => 1.0,
        Some("mm") => 1e3,
        Some("m") => 1e6,
        Some(other) => {
            return Err(IoError::bad_value(
                path,
                &key_of("si_units"),
                other,
                "`um`, `mm` or `m`",
            ));
        }
    };
    let shanks = shank_numbers(shank_ids);
    let mut contacts = Vec::new();
    let mut unwired = Vec::new();
    let mut depth_um = None;
    for (index, position) in positions.iter().enumerate() {
        let key = format!("{place}.device_channel_indices[{index}]");
        let wired = wiring[index].as_i64().or_else(|| {
            wiring[index]
                .as_f64()
                .filter(|n| n.fract() == 0.0)
                .map(|n| n as i64)
        });
        let channel = match wired {
            Some(-1) => {
                // What is wrong with its position does not matter.
                let axis = |axis: usize| Some(position.get(axis)?.as_f64()? * to_um);
                if let (Some(x_um), Some(y_um)) = (axis(0), axis(1)) {
                    let shank = shanks.as_ref().map_or(0, |shanks| shanks[index]);
                    unwired.push(UnwiredContact { x_um, y_um, shank });
                }
                continue;
            }
            Some(channel) if channel >= 0 => channel as usize,
            _ => {
                return Err(IoError::bad_value(
                    path,
                    &key,
                    &wiring[index],
                    "-1 or a channel, 0 or more",
                ));
            }
        };
        let key = format!("{place}.contact_positions[{index}]");
        let numbers: Option<Vec<f64>> = position
            .as_array()
            .and_then(|values| values.iter().map(Value::as_f64).collect());
        let Some([x, y, rest @ ..]) = numbers.as_deref() else {
            return Err(IoError::bad_value(path, &key, position, "two numbers"));
        };
        if let Some(&depth) = rest.first()
            && *depth_um.get_or_insert(depth) != depth
        {
            return Err(IoError::bad_value(
                path,
                &key,
                position,
                "a probe in one plane (convert it with `to_2d`)",
            ));
        }
        let id = ids.map(|ids| {
            ids[index]
                .as_str()
                .map_or_else(|| ids[index].to_string(), str::to_owned)
        });
        contacts.push(Contact {
            id: id
                .filter(|id| !id.is_empty())
                .unwrap_or_else(|| index.to_string()),
            x_um: x * to_um,
            y_um: y * to_um,
            shank: shanks.as_ref().map_or(0, |shanks| shanks[index]),
            channel,
        });
    }
    Ok((contacts, unwired))
}

/// Shank names as numbers from 0, in the order of the names (as numbers where all are).
fn shank_numbers(shank_ids: Option<&Vec<Value>>) -> Option<Vec<usize>> {
    let names: Vec<String> = shank_ids?
        .iter()
        .map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned))
        .collect();
    let mut unique = names.clone();
    unique.sort_by(|a, b| match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => a.total_cmp(&b),
        _ => a.cmp(b),
    });
    unique.dedup();
    let numbers: HashMap<&String, usize> = unique
        .iter()
        .enumerate()
        .map(|(number, name)| (name, number))
        .collect();
    Some(names.iter().map(|name| numbers[name]).collect())
}

/// The room that contacts take: lowest and highest x and y, in µm.
pub(crate) struct Room([f64; 4]);

impl Room {
    /// That of no contacts.
    pub fn empty() -> Room {
        Room([
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::INFINITY,
            f64::NEG_INFINITY,
        ])
    }

    fn add(&mut self, contacts: &[Contact]) {
        let [x0, x1, y0, y1] = &mut self.0;
        for contact in contacts {
            *x0 = x0.min(contact.x_um);
            *x1 = x1.max(contact.x_um);
            *y0 = y0.min(contact.y_um);
            *y1 = y1.max(contact.y_um);
        }
    }

    /// Adds contacts, which are moved to the right when their room overlaps with this one; says by how many µm.
    pub fn place(&mut self, added: &mut [Contact]) -> f64 {
        let mut room = Room::empty();
        room.add(added);
        let ([px0, px1, py0, py1], [ax0, ax1, ay0, ay1]) = (self.0, room.0);
        let mut moved_um = 0.0;
        if ax0 <= px1 && px0 <= ax1 && ay0 <= py1 && py0 <= ay1 {
            moved_um = px1 - ax0 + GAP_UM;
            added
                .iter_mut()
                .for_each(|contact| contact.x_um += moved_um);
        }
        self.add(added);
        moved_um
    }
}

/// Writes the probe so that `probeinterface.read_probeinterface` opens it.
///
/// Contacts are written as circles of radius 5 µm, since their true shape is not kept.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, probe: &Probe) -> Result<(), IoError> {
    let contacts = &probe.contacts;
    let json = json!({
        "specification": "probeinterface",
        "version": "0.2.21",
        "probes": [{
            "ndim": 2,
            "si_units": "um",
            "annotations": {"name": probe.name},
            "contact_annotations": {},
            "contact_positions": contacts.iter().map(|contact| [contact.x_um, contact.y_um]).collect::<Vec<_>>(),
            "contact_plane_axes": vec![[[1.0, 0.0], [0.0, 1.0]]; contacts.len()],
            "contact_shapes": vec!["circle"; contacts.len()],
            "contact_shape_params": vec![json!({"radius": 5.0}); contacts.len()],
            "device_channel_indices": contacts.iter().map(|contact| contact.channel).collect::<Vec<_>>(),
            "contact_ids": contacts.iter().map(|contact| contact.id.clone()).collect::<Vec<_>>(),
            "shank_ids": contacts.iter().map(|contact| contact.shank.to_string()).collect::<Vec<_>>(),
        }]
    });
    let mut text = serde_json::to_string_pretty(&json).expect("JSON of plain numbers and texts");
    text.push('\n');
    atomic::write_file(path, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_json(json: Value) -> Result<Probe, IoError> {
        parse(Path::new("probe.json"), &json)
    }

    #[test]
    fn unconnected_contacts_are_left_out_and_the_rest_is_sorted_by_channel() {
        let probe = parse_json(json!({"probes": [{
            "contact_positions": [[0, 0], [0, 0.02], [0, 0.04]], "si_units": "mm",
            "device_channel_indices": [1, -1, 0], "shank_ids": ["10", "2", "2"]}]}))
        .unwrap();
        assert_eq!(probe.contacts.len(), 2);
        assert_eq!((probe.contacts[0].y_um, probe.contacts[0].shank), (40.0, 0));
        assert_eq!((probe.contacts[1].channel, probe.contacts[1].shank), (1, 1));
        probe.validate(2, Path::new("p")).unwrap();
        assert!(matches!(
            probe.validate(3, Path::new("p")),
            Err(IoError::ProbeMismatch { .. })
        ));
        assert!(matches!(
            probe.validate(1, Path::new("p")),
            Err(IoError::ProbeMismatch { .. })
        ));
    }

    #[test]
    fn probes_drawn_over_each_other_are_moved_apart() {
        let one = |first: usize| json!({"contact_positions": [[0, 0], [0, 20]], "device_channel_indices": [first, first + 1]});
        let probe = parse_json(json!({"probes": [one(0), one(2)]})).unwrap();
        probe.validate(4, Path::new("p")).unwrap();
        assert_eq!(probe.contacts[2].x_um, 1000.0);
        assert_eq!(probe.contacts[2].shank, 1);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let same = json!({"probes": [{"contact_positions": [[0, 0], [0, 0]], "device_channel_indices": [0, 1]}]});
        let error = parse_json(same)
            .unwrap()
            .validate(2, Path::new("p"))
            .unwrap_err();
        assert!(error.to_string().contains("at one place"), "{error}");
        let twice = json!({"probes": [{"contact_positions": [[0, 0], [0, 1]], "device_channel_indices": [1, 1]}]});
        let error = parse_json(twice)
            .unwrap()
            .validate(2, Path::new("p"))
            .unwrap_err();
        assert!(
            error.to_string().contains("both wired to channel 1"),
            "{error}"
        );
        for bad in [
            json!({}),
            json!({"probes": []}),
            json!({"probes": 3}),
            json!({"probes": [{"contact_positions": [[0, 0]]}]}),
            json!({"probes": [{"contact_positions": [[0, 0]], "device_channel_indices": [0, 1]}]}),
            json!({"probes": [{"contact_positions": [[0]], "device_channel_indices": [0]}]}),
            json!({"probes": [{"contact_positions": [[0, 0]], "device_channel_indices": [-2]}]}),
            json!({"probes": [{"contact_positions": [[0, 0]], "device_channel_indices": ["a"]}]}),
            json!({"probes": [{"contact_positions": [[0, 0, 1], [0, 1, 2]], "device_channel_indices": [0, 1]}]}),
        ] {
            assert!(parse_json(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_written_probe_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("probe.json");
        let contact = |channel: usize| Contact {
            id: format!("e{channel}"),
            x_um: 1.5,
            y_um: channel as f64,
            shank: channel / 2,
            channel,
        };
        let probe = Probe::new((0..4).rev().map(contact).collect(), "mine".to_owned());
        write(&path, &probe).unwrap();
        assert_eq!(super::super::read(&path).unwrap(), probe);
    }
}
