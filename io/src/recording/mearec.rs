//! MEArec's simulated recordings: HDF5 with `recordings`, `channel_positions` and what was simulated in `info`.
//!
//! Samples are µV, or steps of `gain_to_uV` when they are integers. Positions have three axes, of which `info/electrodes/plane`
//! names those of the probe (`yz` when it does not). Versions before 1.0 stored channels first.

use std::path::Path;

use super::facts::{Facts, SourceReader};
use super::flat::{numbered_ids, probe_from};
use super::hdf5_frames::DatasetFrames;
use super::{OpenOptions, RecordingReader, SampleType, Segment};
use crate::error::IoError;
use crate::hdf5::{Hdf5File, Object, Value};
use crate::probe::{Contact, Probe};

/// Channels at most.
const MAX_CHANNELS: u64 = 1 << 20;

/// Whether this root is a MEArec file's with a recording.
pub(crate) fn is_mearec(root: &Object) -> Result<bool, IoError> {
    for name in ["recordings", "channel_positions", "info"] {
        if root.member(name)?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Opens the file `path`.
///
/// # Errors
/// When something is missing or damaged.
pub fn open(path: &Path, options: &OpenOptions) -> Result<Box<dyn RecordingReader>, IoError> {
    let file = Hdf5File::open(path)?;
    let positions = file.dataset("channel_positions")?;
    let &[n_contacts, 3] = positions.shape() else {
        return Err(IoError::bad_value(
            path,
            "channel_positions",
            format!("of shape {:?}", positions.shape()),
            "channels × 3",
        ));
    };
    let recordings = file.dataset("recordings")?;
    let is_channel_major = match *recordings.shape() {
        [first, second] if second != n_contacts && first == n_contacts => true,
        [_, second] if second == n_contacts => false,
        _ => {
            return Err(IoError::bad_value(
                path,
                "recordings",
                format!("of shape {:?}", recordings.shape()),
                &format!("samples × {n_contacts} channels"),
            ));
        }
    };
    let frames = DatasetFrames::new(recordings, is_channel_major)?;
    let n_channels = frames.n_channels();
    let rate = file
        .dataset("info/recordings/fs")?
        .value(1)?
        .number()
        .ok_or_else(|| IoError::missing_key(path, "info/recordings/fs"))?;
    let mut warnings = Vec::new();
    let gain_uv = match file.find("gain_to_uV")? {
        Some(gain) => gain.dataset()?.value(MAX_CHANNELS)?.number(),
        None => None,
    };
    if gain_uv.is_none() && frames.sample_type() != SampleType::F32 && options.gain_uv.is_none() {
        warnings.push(
            "the file has integers and no `gain_to_uV`: one step is taken as 1 µV".to_owned(),
        );
    }
    let probe = match probe_from(options, &[])? {
        Some(probe) => Some(probe),
        None => Some((probe(&file, n_channels)?, path.to_owned())),
    };
    let facts = Facts {
        format: "MEArec",
        paths: vec![path.to_owned()],
        sampling_frequency_hz: rate,
        sample_type: frames.sample_type(),
        // Counted from 1, as neo does.
        channel_ids: numbered_ids(n_channels + 1).split_off(1),
        gains_uv: vec![gain_uv.unwrap_or(1.0) as f32; n_channels],
        offsets_uv: vec![0.0; n_channels],
        segments: vec![Segment {
            start_sample: 0,
            n_samples: frames.n_samples(),
            start_time_s: 0.0,
        }],
        sample_delay: None,
        probe,
        raw: None,
        warnings,
    };
    Ok(Box::new(SourceReader::new(
        facts.describe(options)?,
        frames,
    )))
}

/// The contacts.
fn probe(file: &Hdf5File, n_channels: usize) -> Result<Probe, IoError> {
    let path = file.path();
    let text = |name: &str| -> Result<Option<String>, IoError> {
        match file.find(&format!("info/electrodes/{name}"))? {
            Some(object) if object.is_dataset() => {
                Ok(object.dataset()?.value(1)?.text().map(str::to_owned))
            }
            _ => Ok(None),
        }
    };
    let plane = text("plane")?.unwrap_or_else(|| "yz".to_owned());
    let axes = match &plane[..] {
        "xy" => [0, 1],
        "xz" => [0, 2],
        "yz" => [1, 2],
        other => {
            return Err(IoError::bad_value(
                path,
                "info/electrodes/plane",
                other,
                "`xy`, `xz` or `yz`",
            ));
        }
    };
    let Value::Numbers(places) = file.dataset("channel_positions")?.value(3 * MAX_CHANNELS)? else {
        return Err(IoError::bad_value(
            path,
            "channel_positions",
            "of another type",
            "numbers",
        ));
    };
    // The channel of each contact, where they are not in order.
    let order = match file.find("info/electrodes/sortlist")? {
        Some(order) if order.is_dataset() => match order.dataset()?.value(MAX_CHANNELS)? {
            Value::Numbers(order) if order.len() == n_channels => Some(order),
            _ => None,
        },
        _ => None,
    };
    let contacts = places
        .chunks_exact(3)
        .enumerate()
        .map(|(index, place)| Contact {
            id: index.to_string(),
            x_um: place[axes[0]],
            y_um: place[axes[1]],
            shank: 0,
            channel: order
                .as_ref()
                .map_or(index, |order| order[index].max(0.0) as usize),
        });
    Ok(Probe::new(
        contacts.collect(),
        text("electrode_name")?.unwrap_or_default(),
    ))
}
