//! Numbers of each Neuropixels part that a `.meta` does not carry.
//!
//! Source: ProbeTable by Bill Karsh (Janelia), version 1.8, the public table from which SpikeGLX and probeinterface take theirs.

use super::meta::Meta;

/// How the electrodes of a part are laid out and read.
#[derive(Copy, Clone, PartialEq, Debug)]
pub struct Layout {
    /// Distance from the shank's left edge to the first electrode of even rows, µm.
    pub x_even_um: f64,
    /// The same of odd rows, µm.
    pub x_odd_um: f64,
    /// Distance between columns, µm.
    pub x_pitch_um: f64,
    /// Distance between rows, µm.
    pub y_pitch_um: f64,
    /// Distance between shanks, µm.
    pub shank_pitch_um: f64,
    /// Electrodes of a row.
    pub n_columns: usize,
}

/// The family, which says what the fields of an imro table mean and how the converters are shared.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum Family {
    /// Neuropixels 1.0 and its variants: imro entries `channel bank reference ap_gain lf_gain [filter]`.
    One,
    /// Ultra with switchable columns (NP1110): gains in the header of the imro table.
    Ultra2,
    /// Neuropixels 2.0, one shank: `channel bank_mask reference electrode`.
    TwoSingle,
    /// Neuropixels 2.0, four shanks, and quad-base: `channel shank bank reference electrode`.
    TwoMulti,
    /// A type that is not in the table.
    Unknown,
}

/// What is known of the probe that a `.meta` names.
#[derive(Copy, Clone, PartialEq, Debug)]
pub struct Part {
    /// The family.
    pub family: Family,
    /// Layout of electrodes, if the part is known.
    pub layout: Option<Layout>,
    /// Gain of parts whose gain is fixed.
    pub fixed_gain: Option<f64>,
    /// Channels of a bank, which is what numbers electrodes of 1.0 probes.
    pub bank_size: usize,
    /// Channels that a converter serves one after the other, where the usual rule holds.
    pub n_multiplexed: Option<usize>,
}

/// A layout in one line.
const fn layout(
    x_even_um: f64,
    x_odd_um: f64,
    x_pitch_um: f64,
    y_pitch_um: f64,
    n_columns: usize,
) -> Layout {
    Layout {
        x_even_um,
        x_odd_um,
        x_pitch_um,
        y_pitch_um,
        shank_pitch_um: 0.0,
        n_columns,
    }
}

/// Four shanks, 250 µm apart.
const TWO_MULTI: Layout = Layout {
    shank_pitch_um: 250.0,
    ..layout(27.0, 27.0, 32.0, 15.0, 2)
};

impl Part {
    /// The part that `imDatPrb_pn` (else `imDatPrb_type`, else the 3A generation) names.
    pub fn of(meta: &Meta) -> Part {
        let kind: Option<u32> = meta.get("imDatPrb_type").and_then(|kind| kind.parse().ok());
        let is_3a =
            kind.is_none() && (meta.get("imProbeOpt").is_some() || meta.get("imProbeSN").is_some());
        let number = meta
            .get("imDatPrb_pn")
            .and_then(part_number)
            .or(kind)
            .or(if is_3a { Some(0) } else { None });
        let (family, layout) = match number {
            Some(0 | 1000 | 1001 | 1010..=1014) => {
                (Family::One, Some(layout(27.0, 11.0, 32.0, 20.0, 2)))
            }
            Some(1015..=1017) => (Family::One, Some(layout(27.0, 27.0, 32.0, 20.0, 2))),
            Some(1020 | 1021 | 1030 | 1031) => {
                (Family::One, Some(layout(27.0, 11.0, 87.0, 20.0, 2)))
            }
            Some(1022 | 1032 | 1033 | 1040..=1042 | 1050 | 1051) => {
                (Family::One, Some(layout(11.0, 11.0, 103.0, 20.0, 2)))
            }
            Some(1100) => (Family::One, Some(layout(14.0, 14.0, 6.0, 6.0, 8))),
            Some(1110) => (Family::Ultra2, Some(layout(15.5, 15.5, 6.0, 6.0, 8))),
            Some(1120) => (Family::One, Some(layout(6.75, 6.75, 4.5, 4.5, 2))),
            Some(1121) => (Family::One, Some(layout(6.25, 6.25, 0.0, 3.0, 1))),
            Some(1122) => (Family::One, Some(layout(12.5, 12.5, 3.0, 3.0, 16))),
            Some(1123) => (Family::One, Some(layout(10.25, 10.25, 4.5, 4.5, 12))),
            Some(1300 | 1400) => (Family::One, Some(layout(11.0, 11.0, 48.0, 20.0, 2))),
            // 128 channels on converters of their own order: geometry and delays only from the file.
            Some(1200 | 1210 | 3000) => (Family::One, None),
            Some(21 | 2000 | 2003..=2005) => {
                (Family::TwoSingle, Some(layout(27.0, 27.0, 32.0, 15.0, 2)))
            }
            Some(2006) => (Family::TwoSingle, Some(layout(27.0, 11.0, 32.0, 15.0, 2))),
            Some(2300) => (Family::TwoSingle, Some(layout(11.0, 11.0, 48.0, 15.0, 2))),
            Some(24 | 2010 | 2013 | 2014 | 2020 | 2021) => (Family::TwoMulti, Some(TWO_MULTI)),
            Some(2022) => (
                Family::TwoMulti,
                Some(Layout {
                    shank_pitch_um: 2141.45,
                    ..layout(27.0, 11.0, 20.0, 15.0, 2)
                }),
            ),
            _ => (Family::Unknown, None),
        };
        let fixed_gain = match number {
            Some(21 | 24 | 2000 | 2010) => Some(80.0),
            Some(2003..=2006 | 2013 | 2014 | 2020..=2022 | 2300 | 3010..=3012 | 3020..=3024) => {
                Some(100.0)
            }
            _ => None,
        };
        let n_multiplexed = match (family, number) {
            (Family::One, Some(1200 | 1210 | 3000)) | (Family::Unknown, _) => None,
            (Family::One | Family::Ultra2, _) => Some(12),
            (Family::TwoSingle | Family::TwoMulti, _) => Some(16),
        };
        // Option 4 of the 3A generation has 276 channels and so 276 electrodes a bank.
        let bank_size = if is_3a && meta.get("imProbeOpt") == Some("4") {
            276
        } else {
            384
        };
        Part {
            family,
            layout: meta_layout(meta).or(layout),
            fixed_gain,
            bank_size,
            n_multiplexed,
        }
    }
}

/// The digits of `NP2014`, or what the older names mean.
fn part_number(name: &str) -> Option<u32> {
    if let Some(digits) = name.strip_prefix("NP") {
        return digits.parse().ok();
    }
    match name {
        _ if name.starts_with("PRB_1_") => Some(0),
        _ if name.starts_with("PRB2_1_") => Some(21),
        _ if name.starts_with("PRB2_4_") => Some(24),
        _ => None,
    }
}

/// The layout that newer `.meta` files carry themselves.
fn meta_layout(meta: &Meta) -> Option<Layout> {
    let number = |key: &str| {
        meta.get(key)?
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
    };
    let shank_pitch_um = meta
        .table("snsGeomMap", &[','])
        .ok()??
        .header
        .get(2)?
        .parse()
        .ok()?;
    Some(Layout {
        x_even_um: number("imX0EvenRow")?,
        x_odd_um: number("imX0OddRow")?,
        x_pitch_um: number("imXPitch")?,
        y_pitch_um: number("imZPitch")?,
        shank_pitch_um,
        n_columns: number("imColsPerShank").filter(|&n| (1.0..=64.0).contains(&n))? as usize,
    })
}
