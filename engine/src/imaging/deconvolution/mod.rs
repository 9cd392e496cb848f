//! Spikes from traces.
//!
//! - [`baseline`]: what a trace is when the cell is silent;
//! - [`oasis`]: exact deconvolution for a response without a rise, by which events are found;
//! - [`response`]: decay and rise of the indicator, from the shape of events.
//!
//! The spikes themselves are those that explain the trace best under the estimated response (the kernel `deconvolve`). A response without a
//! rise would put every spike too late, by about two frames at 30 Hz with a fast indicator.

pub mod baseline;
pub mod oasis;
pub mod response;

use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use somata_shaders::layout::{DeconvolveParams, MAX_RESPONSE};

use super::{
    extraction::{Extracted, place},
    trace_file::TraceFile,
};
use crate::{
    device::{Commands, Executor},
    error::Result,
    linalg,
    parameters::imaging::Deconvolution,
    stream::{Control, Event},
};
pub use response::Response;

/// Values of the traces that are in memory at once.
const GROUP_VALUES: usize = 4 << 20;
/// Length of a response, in decays.
const RESPONSE_DECAYS: f64 = 5.0;
/// Frames of a response at most.
const MAX_TAPS: usize = MAX_RESPONSE as usize;
/// Every so many sweeps visit all frames.
const FULL_EVERY: u32 = 4;
/// Frames that the response is estimated from, at most.
const MAX_EVENT_FRAMES: usize = 60_000;

/// Traces that this stage makes of a cell, in this order.
pub const KINDS: usize = 4;

/// Which of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Derived {
    /// Demixed light above the baseline, relative to the baseline of the raw trace.
    Dff,
    /// Spikes convolved with the response, plus the baseline: the demixed trace without noise.
    Denoised,
    /// Spikes: their size in units of the demixed trace.
    Spikes,
    /// Baseline of the demixed trace.
    Baseline,
}

/// Place of a trace in the file.
pub fn derived_place(kind: Derived, cell: usize) -> usize {
    cell * KINDS + kind as usize
}

/// What is known of a cell's trace.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub struct TraceStatistics {
    /// Standard deviation of the noise.
    pub noise: f32,
    /// Size of the largest twentieth of the denoised values, over the noise.
    pub snr: f32,
    /// Skewness of the trace (biased, Fisher–Pearson).
    pub skew: f32,
    /// Standard deviation of the trace.
    pub std: f32,
    /// Decay of the response that was used, s.
    pub decay_s: f32,
}

/// Spikes of a plane.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Spikes {
    /// The traces that were made, `[cell, kind]`.
    pub traces: TraceFile,
    /// The response of the field.
    pub response: Response,
    /// One a cell.
    pub statistics: Vec<TraceStatistics>,
}

/// Noise of a trace: that of its third differences, which slow signals hardly enter.
pub fn noise(trace: &[f32]) -> f32 {
    if trace.len() < 8 {
        return 0.0;
    }
    let third: Vec<f32> = trace
        .windows(4)
        .map(|w| w[3] - 3.0 * w[2] + 3.0 * w[1] - w[0])
        .collect();
    let middle = linalg::median(&mut third.clone());
    let mut sizes: Vec<f32> = third.iter().map(|v| (v - middle).abs()).collect();
    1.4826 * linalg::median(&mut sizes) / 20f32.sqrt()
}

/// Replaces the values of `bad` frames by the line between the good ones around them; before the first and after the last, by
/// its value. Without a good frame nothing changes.
pub fn bridge(trace: &mut [f32], bad: &[bool]) {
    let mut before: Option<usize> = None;
    for (frame, _) in bad.iter().enumerate().filter(|(_, bad)| !**bad) {
        let from = before.map_or(0, |before| before + 1);
        let first = before.map_or(trace[frame], |before| trace[before]);
        let (span, last) = ((frame + 1 - from) as f32, trace[frame]);
        for at in from..frame {
            trace[at] = first + (last - first) * ((at + 1 - from) as f32 / span);
        }
        before = Some(frame);
    }
    if let Some(last) = before {
        let value = trace[last];
        trace[last + 1..].fill(value);
    }
}

/// Deconvolves all cells of a plane; `offset` is the value of a pixel without light. `bad_frames` are bridged: what a frame
/// shows that does not fit the reference (a flash, a closed shutter, a jump) is not the cells' light, and one such frame can be
/// brighter than all spikes together.
///
/// # Errors
/// When a file cannot be read or written, the device fails, or the run is stopped.
pub fn deconvolve(
    extracted: &TraceFile,
    n_cells: usize,
    bad_frames: &[bool],
    frame_rate_hz: f64,
    decay_s: Option<f64>,
    offset: f32,
    parameters: &Deconvolution,
    path: &Path,
    stage: &str,
    executor: &dyn Executor,
    control: &Control,
) -> Result<Spikes> {
    let n_frames = extracted.n_frames;
    let reader = extracted.open()?;
    let read = |kind, cell| -> Result<Vec<f32>> {
        let mut row = vec![0.0; n_frames];
        reader.read(place(kind, cell, n_cells), &mut row)?;
        bridge(&mut row, bad_frames);
        Ok(row)
    };
    let baseline = |trace: &[f32]| baseline::running(trace, frame_rate_hz, parameters);
    // The response first: from the cells whose light changes most against their noise.
    let mut strength: Vec<(f32, usize)> = (0..n_cells)
        .into_par_iter()
        .map(|cell| {
            control.check()?;
            let trace = read(Extracted::Demixed, cell)?;
            Ok((strength(&trace, &baseline(&trace)), cell))
        })
        .collect::<Result<_>>()?;
    strength.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let most = (MAX_EVENT_FRAMES / n_frames.max(1)).clamp(16, 64);
    let best: Vec<(Vec<f32>, f32)> = strength
        .par_iter()
        .take(most)
        .map(|&(_, cell)| {
            let trace = read(Extracted::Demixed, cell)?;
            let noise = noise(&trace);
            let above = trace
                .iter()
                .zip(baseline(&trace))
                .map(|(v, b)| v - b)
                .collect();
            Ok((above, noise))
        })
        .collect::<Result<_>>()?;
    let response = response::estimate(&best, frame_rate_hz, decay_s, parameters);
    drop(best);
    let kernel = response.kernel(frame_rate_hz, MAX_TAPS, RESPONSE_DECAYS);
    let norm = kernel.iter().map(|v| v * v).sum::<f32>().sqrt();
    let together = (GROUP_VALUES / (6 * n_frames.max(1))).clamp(1, n_cells.max(1));
    let mut statistics = Vec::with_capacity(n_cells);
    let mut waiting: std::collections::VecDeque<Vec<f32>> = Default::default();
    let mut next = 0;
    let rows = std::iter::from_fn(|| {
        if waiting.is_empty() && next < n_cells {
            let cells: Vec<usize> = (next..(next + together).min(n_cells)).collect();
            next += cells.len();
            let work = |&cell: &usize| -> Result<_> {
                control.check()?;
                let demixed = read(Extracted::Demixed, cell)?;
                let raw = read(Extracted::Raw, cell)?;
                one_cell(
                    &demixed,
                    &raw,
                    offset,
                    &kernel,
                    norm,
                    &response,
                    frame_rate_hz,
                    parameters,
                    executor,
                )
            };
            match cells.par_iter().map(work).collect::<Result<Vec<_>>>() {
                Err(error) => return Some(Err(error)),
                Ok(found) => {
                    for (rows, of_cell) in found {
                        waiting.extend(rows);
                        statistics.push(of_cell);
                    }
                }
            }
            control.tell(Event::Progress {
                stage: stage.into(),
                fraction: next as f64 / n_cells.max(1) as f64,
            });
        }
        waiting.pop_front().map(Ok)
    });
    let traces = TraceFile::write_rows(path, n_frames, rows)?;
    Ok(Spikes {
        traces,
        response,
        statistics,
    })
}

/// How far the top of a trace stands above its baseline, in noise deviations.
fn strength(trace: &[f32], baseline: &[f32]) -> f32 {
    let mut above: Vec<f32> = trace.iter().zip(baseline).map(|(v, b)| v - b).collect();
    let n = above.len();
    if n == 0 {
        return 0.0;
    }
    let top = (n / 100).max(1).min(n);
    above.select_nth_unstable_by(n - top, f32::total_cmp);
    let mean = above[n - top..].iter().sum::<f32>() / top as f32;
    mean / noise(trace).max(f32::MIN_POSITIVE)
}

/// The traces of one cell: ΔF/F, denoised, spikes, baseline.
fn one_cell(
    demixed: &[f32],
    raw: &[f32],
    offset: f32,
    kernel: &[f32],
    norm: f32,
    response: &Response,
    frame_rate_hz: f64,
    parameters: &Deconvolution,
    executor: &dyn Executor,
) -> Result<([Vec<f32>; KINDS], TraceStatistics)> {
    let n = demixed.len();
    let sn = noise(demixed);
    let baseline = baseline::running(demixed, frame_rate_hz, parameters);
    let raw_baseline = baseline::running(raw, frame_rate_hz, parameters);
    let above: Vec<f32> = demixed.iter().zip(&baseline).map(|(v, b)| v - b).collect();
    let (spikes, residual) = if parameters.order == 1 {
        let decay = (-1.0 / (frame_rate_hz * response.decay_s)).exp();
        let found = oasis::ar1(&above, decay);
        (
            found.spikes,
            above
                .iter()
                .zip(&found.calcium)
                .map(|(v, c)| v - c)
                .collect(),
        )
    } else {
        let mut commands = Commands::new();
        let traces = commands.upload("traces", &above);
        let taps = commands.upload("response", kernel);
        let penalty = commands.upload("penalty", &[parameters.sparsity as f32 * sn * norm]);
        let spikes = commands.buffer("spikes", n);
        let residual = commands.buffer("residual", n);
        commands.dispatch(
            &DeconvolveParams {
                n_traces: 1,
                n_frames: n as u32,
                n_taps: kernel.len() as u32,
                sweeps: parameters.sweeps,
                full_every: FULL_EVERY,
            },
            &[traces, taps, penalty, spikes, residual],
        );
        let (spikes, residual) = (commands.download(spikes), commands.download(residual));
        let mut downloads = executor.play(commands)?;
        (
            downloads.take::<f32>(spikes),
            downloads.take::<f32>(residual),
        )
    };
    let denoised: Vec<f32> = demixed
        .iter()
        .zip(&residual)
        .map(|(v, r): (&f32, &f32)| v - r)
        .collect();
    let mut largest: Vec<f32> = denoised.iter().zip(&baseline).map(|(v, b)| v - b).collect();
    largest.sort_by(f32::total_cmp);
    let top = &largest[n - (n / 20).max(1).min(n)..];
    let mean = above.iter().map(|&v| f64::from(v)).sum::<f64>() / n.max(1) as f64;
    let moment = |k: i32| {
        above
            .iter()
            .map(|&v| (f64::from(v) - mean).powi(k))
            .sum::<f64>()
            / n.max(1) as f64
    };
    let variance = moment(2);
    // Where the raw trace hardly has any light, a relative change would be a large number without a meaning.
    let floor = raw_baseline
        .iter()
        .map(|b| b - offset)
        .fold(0.0f32, f32::max)
        * 0.01
        + f32::MIN_POSITIVE;
    let dff = above
        .iter()
        .zip(&raw_baseline)
        .map(|(v, b)| v / (b - offset).max(floor))
        .collect();
    let statistics = TraceStatistics {
        noise: sn,
        snr: top.iter().sum::<f32>() / top.len().max(1) as f32 / sn.max(f32::MIN_POSITIVE),
        skew: if variance > 0.0 {
            (moment(3) / variance.powf(1.5)) as f32
        } else {
            0.0
        },
        std: variance.sqrt() as f32,
        decay_s: response.decay_s as f32,
    };
    Ok(([dff, denoised, spikes, baseline], statistics))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_frames_are_bridged() {
        let bridged = |trace: &[f32], bad: &[u8]| {
            let mut trace = trace.to_vec();
            bridge(&mut trace, &bad.iter().map(|b| *b == 1).collect::<Vec<_>>());
            trace
        };
        let trace = [9.0, 1.0, 9.0, 9.0, 4.0, 5.0, 9.0];
        assert_eq!(
            bridged(&trace, &[1, 0, 1, 1, 0, 0, 1]),
            [1.0, 1.0, 2.0, 3.0, 4.0, 5.0, 5.0]
        );
        assert_eq!(bridged(&trace, &[0; 7]), trace);
        assert_eq!(bridged(&trace, &[1; 7]), trace);
        assert_eq!(bridged(&[], &[]), [0.0f32; 0]);
    }

    #[test]
    fn noise_is_seen_through_a_slow_signal() {
        let mut state = 1u64;
        let mut uniform = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 40) as f32 / 16_777_216.0
        };
        let trace: Vec<f32> = (0..20_000)
            .map(|t| {
                let normal: f32 = (0..12).map(|_| uniform()).sum::<f32>() - 6.0;
                3.0 * normal + 100.0 * (t as f32 / 300.0).sin()
            })
            .collect();
        assert!((noise(&trace) - 3.0).abs() < 0.1, "{}", noise(&trace));
    }
}
