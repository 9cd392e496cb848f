//! When each channel is sampled within a sample period.
//!
//! A converter serves several channels one after the other. `~muxTbl` lists, for each step of the cycle, the channels that are
//! sampled at it; older files lack it and follow the rule of their generation. The delay is `step / steps of a cycle`. A 1.0 probe spends
//! a thirteenth step on its LF band. Source: ProbeTable issue 3 by Bill Karsh; compared with SpikeInterface's `inter_sample_shift`.

use super::meta::{MAX_CHANNELS, Meta};
use super::parts::{Family, Part};
use crate::error::IoError;

/// The delay of each of the `acquired` channels, in sample periods; `None` when the probe's rule is not known.
pub(super) fn sample_delay(
    meta: &Meta,
    part: &Part,
    acquired: &[usize],
) -> Result<Option<Vec<f32>>, IoError> {
    let has_lf = matches!(part.family, Family::One | Family::Ultra2);
    // The LF band runs at a twelfth of the AP rate: it takes one more step for every twelve.
    let cycle = |n_steps: usize| {
        if has_lf {
            n_steps + n_steps / 12
        } else {
            n_steps
        }
    };
    if let Some(steps) = mux_table(meta)? {
        let n_steps = cycle(steps.n_steps) as f32;
        let delay_of = |&channel: &usize| {
            steps
                .step_of
                .get(channel)
                .copied()
                .flatten()
                .map(|step| step as f32 / n_steps)
        };
        let delays: Option<Vec<f32>> = acquired.iter().map(delay_of).collect();
        return delays
            .map(Some)
            .ok_or_else(|| meta.bad("muxTbl", "a table with every saved channel"));
    }
    Ok(part.n_multiplexed.map(|n| {
        let n_steps = cycle(n) as f32;
        // Neighbouring pairs are sampled together, by converters of the two sides.
        acquired
            .iter()
            .map(|&channel| ((channel / 2) % n) as f32 / n_steps)
            .collect()
    }))
}

/// Step of each channel, from `~muxTbl`.
struct MuxSteps {
    n_steps: usize,
    step_of: Vec<Option<usize>>,
}

/// Parses `~muxTbl=(converters,steps)(channels at step 0)(channels at step 1)…`; `None` when it is absent.
fn mux_table(meta: &Meta) -> Result<Option<MuxSteps>, IoError> {
    let Some(table) = meta.table("muxTbl", &[',', ' '])? else {
        return Ok(None);
    };
    let wrong = || {
        meta.bad(
            "muxTbl",
            "`(converters,steps)` and the channels of each step",
        )
    };
    let n_steps: usize = table
        .header
        .get(1)
        .and_then(|n| n.parse().ok())
        .ok_or_else(wrong)?;
    if n_steps == 0 || n_steps != table.entries.len() {
        return Err(wrong());
    }
    let mut step_of = Vec::new();
    for (step, entry) in table.entries.iter().enumerate() {
        for channel in entry.iter().filter(|channel| !channel.is_empty()) {
            let channel: usize = channel
                .parse()
                .ok()
                .filter(|&channel| channel < MAX_CHANNELS)
                .ok_or_else(wrong)?;
            if step_of.len() <= channel {
                step_of.resize(channel + 1, None);
            }
            step_of[channel] = Some(step);
        }
    }
    Ok(Some(MuxSteps { n_steps, step_of }))
}
