//! Microvolts a step, from the converter's range and the amplifier's gain.
//!
//! `range / steps / gain`: `imAiRangeMax / imMaxInt / gain` for imec, `niAiRangeMax / niMaxInt / gain` for nidq.
//! Source: SpikeGLX's Metadata Guide.

use super::geometry::ImroTable;
use super::meta::Meta;
use super::parts::{Family, Part};
use crate::error::IoError;

/// Which of the two bands of a probe.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum Band {
    /// Action potentials.
    Ap,
    /// Local field potential.
    Lf,
}

/// A kind of analog channel.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct AnalogGroup {
    /// First letters of a channel's name.
    pub prefix: &'static str,
    /// Key of the amplifier's gain; `None` for a gain of 1.
    pub gain_key: Option<&'static str>,
    /// Whether these are neural channels by their name.
    pub is_neural: bool,
}

/// Keys of an analog stream.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct AnalogStream {
    /// Key of the numbers of channels.
    pub counts_key: &'static str,
    /// Key of the sampling rate.
    pub rate_key: &'static str,
    /// Key of the converter's range in volts.
    pub range_key: &'static str,
    /// Key of the converter's steps on one side of zero.
    pub steps_key: &'static str,
    /// The analog groups, in the order of the counts; what follows is digital.
    pub groups: &'static [AnalogGroup],
}

/// A National Instruments stream.
pub const NIDQ: AnalogStream = AnalogStream {
    counts_key: "snsMnMaXaDw",
    rate_key: "niSampRate",
    range_key: "niAiRangeMax",
    steps_key: "niMaxInt",
    groups: &[
        AnalogGroup {
            prefix: "MN",
            gain_key: Some("niMNGain"),
            is_neural: true,
        },
        AnalogGroup {
            prefix: "MA",
            gain_key: Some("niMAGain"),
            is_neural: false,
        },
        AnalogGroup {
            prefix: "XA",
            gain_key: None,
            is_neural: false,
        },
    ],
};

/// A OneBox's own analog inputs.
pub const ONEBOX: AnalogStream = AnalogStream {
    counts_key: "snsXaDwSy",
    rate_key: "obSampRate",
    range_key: "obAiRangeMax",
    steps_key: "obMaxInt",
    groups: &[AnalogGroup {
        prefix: "XA",
        gain_key: None,
        is_neural: false,
    }],
};

/// The key of the sampling rate of a stream.
pub(super) fn rate_key(stream: &str) -> &'static str {
    match stream {
        "nidq" => NIDQ.rate_key,
        "obx" => ONEBOX.rate_key,
        _ => "imSampRate",
    }
}

/// Microvolts a step of one analog group.
pub(super) fn analog_gain_uv(
    meta: &Meta,
    kind: &AnalogStream,
    group: &AnalogGroup,
) -> Result<f64, IoError> {
    let gain = match group.gain_key {
        Some(key) => meta.optional_number(key)?.unwrap_or(1.0),
        None => 1.0,
    };
    gain_uv(
        meta,
        kind.range_key,
        kind.steps_key,
        32768.0,
        gain,
        group.gain_key.unwrap_or(kind.range_key),
    )
}

/// Microvolts a step of each channel of an imec stream; `acquired` are the channels' indices on the probe.
pub(super) fn imec_gains_uv(
    meta: &Meta,
    part: &Part,
    imro: Option<&ImroTable>,
    acquired: &[usize],
    band: Band,
) -> Result<Vec<f64>, IoError> {
    let field = if band == Band::Ap { 3 } else { 4 };
    let of = |gain: f64, key: &str| gain_uv(meta, "imAiRangeMax", "imMaxInt", 512.0, gain, key);
    match part.family {
        Family::One => {
            let imro = imro.ok_or_else(|| IoError::missing_key(meta.path(), "~imroTbl"))?;
            acquired
                .iter()
                .map(|&channel| {
                    let gain = imro
                        .entry(channel)
                        .and_then(|entry| entry.get(field))
                        .copied();
                    let gain = gain.ok_or_else(|| imro.without(meta, channel, "a gain"))?;
                    of(gain as f64, "imroTbl")
                })
                .collect()
        }
        Family::Ultra2 => {
            let imro = imro.ok_or_else(|| IoError::missing_key(meta.path(), "~imroTbl"))?;
            let gain = imro.header.get(field).copied();
            let gain = gain.ok_or_else(|| meta.bad("imroTbl", "a header with gains"))?;
            Ok(vec![of(gain as f64, "imroTbl")?; acquired.len()])
        }
        Family::TwoSingle | Family::TwoMulti | Family::Unknown => {
            // SpikeGLX writes the gain of channel 0 since 2023; it wins over the table of parts.
            let gain = meta.optional_number("imChan0apGain")?.or(part.fixed_gain);
            let gain = gain.ok_or_else(|| IoError::missing_key(meta.path(), "imChan0apGain"))?;
            Ok(vec![of(gain, "imChan0apGain")?; acquired.len()])
        }
    }
}

/// `range / steps / gain` in microvolts; `gain_key` is named when the gain makes no sense.
fn gain_uv(
    meta: &Meta,
    range_key: &str,
    steps_key: &str,
    usual_steps: f64,
    gain: f64,
    gain_key: &str,
) -> Result<f64, IoError> {
    let range_v = meta.number(range_key)?;
    let steps = meta.optional_number(steps_key)?.unwrap_or(usual_steps);
    if range_v <= 0.0 {
        return Err(meta.bad(range_key, "a number of volts above 0"));
    }
    if steps < 1.0 {
        return Err(meta.bad(steps_key, "a number of steps"));
    }
    if gain <= 0.0 {
        return Err(IoError::bad_value(
            meta.path(),
            gain_key,
            gain,
            "a gain above 0",
        ));
    }
    Ok(range_v * 1e6 / steps / gain)
}
