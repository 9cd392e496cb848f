//! Decay and rise of the indicator, from the shape of events.
//!
//! Averages of events are misled by bursts, which look like one slow event, and penalised fits cannot tell a slow rise from
//! a spike smeared over frames. But most cells fire alone often enough: each event votes for the times that fit it within its noise, and
//! the time with most votes is the one that single spikes share, while bursts spread their votes over many.

use serde::{Deserialize, Serialize};

use super::oasis;
use crate::parameters::imaging::Deconvolution;

/// Decays that are tried, s: from the fastest to the slowest indicators.
const DECAYS_S: (f64, f64, usize) = (0.08, 4.0, 60);
/// Rises that are tried, s.
const RISES_S: (f64, f64, usize) = (0.005, 0.35, 48);
/// Rise when no event tells it, relative to the decay.
const DEFAULT_RISE: f64 = 0.08;
/// An event stands this many noise deviations above the noise.
const MIN_EVENT_SD: f32 = 6.0;
/// Events that vote, at most.
const MAX_EVENTS: usize = 400;
/// Events that are needed for a vote.
const MIN_EVENTS: usize = 6;
/// No other event within this time before one, s, larger than [`QUIET`] of it.
const QUIET_S: f64 = 0.7;
/// See [`QUIET_S`].
const QUIET: f32 = 0.25;
/// Time after an event from which on only the decay is left, s.
const DECAY_FROM_S: f64 = 0.2;
/// Length of the tail that votes for a decay, s.
const TAIL_S: f64 = 2.0;
/// A tail ends where something larger than this part of the event begins.
const TAIL_QUIET: f32 = 0.15;
/// Shortest tail, s.
const MIN_TAIL_S: f64 = 0.5;
/// Window around an event that votes for a rise, s before and after.
const RISE_WINDOW_S: (f64, f64) = (0.27, 0.34);

/// Fluorescence after one spike: a rise and a decay.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Response {
    /// Time constant of the decay, s.
    pub decay_s: f64,
    /// Time constant of the rise, s.
    pub rise_s: f64,
    /// Events that told the decay; 0 when it was given or is the default.
    pub decay_events: usize,
    /// Events that told the rise; 0 when it is the default.
    pub rise_events: usize,
}

impl Response {
    /// The response in frames, its peak 1.
    pub fn kernel(&self, frame_rate_hz: f64, most: usize, decays: f64) -> Vec<f32> {
        let n = ((decays * self.decay_s * frame_rate_hz).ceil() as usize).clamp(2, most);
        let kernel: Vec<f64> = (0..n)
            .map(|t| self.value(t as f64 / frame_rate_hz))
            .collect();
        let peak = kernel
            .iter()
            .copied()
            .fold(0.0, f64::max)
            .max(f64::MIN_POSITIVE);
        kernel.iter().map(|v| (v / peak) as f32).collect()
    }

    fn value(&self, t_s: f64) -> f64 {
        if t_s < 0.0 {
            0.0
        } else {
            (-t_s / self.decay_s).exp() - (-t_s / self.rise_s).exp()
        }
    }
}

fn grid((low, high, n): (f64, f64, usize)) -> Vec<f64> {
    (0..n)
        .map(|k| low * (high / low).powf(k as f64 / (n - 1) as f64))
        .collect()
}

/// An event: where it is in which trace, and how large, in noise deviations.
struct Event {
    trace: usize,
    frame: usize,
    size: f32,
}

/// A trace above its baseline with its noise, and its spikes without a rise.
struct Prepared {
    /// In noise deviations.
    trace: Vec<f64>,
    spikes: Vec<f32>,
    /// Sums of the spikes over three frames.
    near: Vec<f32>,
}

fn prepare(traces: &[(Vec<f32>, f32)], frame_rate_hz: f64, decay_s: f64) -> Vec<Prepared> {
    let decay = (-1.0 / (frame_rate_hz * decay_s)).exp();
    traces
        .iter()
        .filter(|(_, noise)| *noise > 0.0)
        .map(|(trace, noise)| {
            let scaled: Vec<f32> = trace.iter().map(|v| v / noise).collect();
            let spikes = oasis::ar1(&scaled, decay).spikes;
            let at = |t: i64| {
                usize::try_from(t)
                    .ok()
                    .and_then(|t| spikes.get(t))
                    .copied()
                    .unwrap_or(0.0)
            };
            let near = (0..spikes.len() as i64)
                .map(|t| at(t - 1) + at(t) + at(t + 1))
                .collect();
            Prepared {
                trace: scaled.into_iter().map(f64::from).collect(),
                spikes,
                near,
            }
        })
        .collect()
}

/// Events that stand alone before their onset, the largest first; where there are too many, some of every size, since the largest
/// are bursts.
fn events(prepared: &[Prepared], frame_rate_hz: f64) -> Vec<Event> {
    let quiet = (QUIET_S * frame_rate_hz).round().max(4.0) as usize;
    let mut events = Vec::new();
    for (trace, p) in prepared.iter().enumerate() {
        for frame in quiet..p.near.len() {
            let size = p.near[frame];
            let around = &p.near[frame.saturating_sub(3)..(frame + 4).min(p.near.len())];
            let before = &p.spikes[frame - quiet..frame - 3];
            if size > MIN_EVENT_SD
                && around.iter().all(|v| *v <= size)
                && before.iter().all(|v| *v <= QUIET * size)
            {
                events.push(Event { trace, frame, size });
            }
        }
    }
    events.sort_by(|a, b| {
        b.size
            .total_cmp(&a.size)
            .then((a.trace, a.frame).cmp(&(b.trace, b.frame)))
    });
    let (n, kept) = (events.len(), events.len().min(MAX_EVENTS));
    let mut chosen = (0..kept).map(|k| k * n / kept).peekable();
    let mut rank = 0;
    events.retain(|_| {
        let keep = chosen.next_if_eq(&rank).is_some();
        rank += 1;
        keep
    });
    events
}

/// The candidate with most votes, and of how many events: an event votes for each candidate by its likelihood relative to the best
/// one. Events that the slowest candidate fits best are slower than all of them, so bursts or drift, and have no vote: they would all
/// meet there.
fn vote(errors: &[Vec<f64>], candidates: &[f64]) -> Option<(f64, usize)> {
    let mut votes = vec![0.0; candidates.len()];
    let mut n = 0;
    for errors in errors {
        let best = errors.iter().copied().fold(f64::INFINITY, f64::min);
        if errors.last().is_none_or(|last| *last <= best) {
            continue;
        }
        n += 1;
        for (vote, error) in votes.iter_mut().zip(errors) {
            *vote += (-0.5 * (error - best)).exp();
        }
    }
    let best = (0..votes.len()).reduce(|a, b| if votes[b] > votes[a] { b } else { a })?;
    (n >= MIN_EVENTS).then(|| (candidates[best], n))
}

/// Squared error of each decay on the tail of each event that has one.
fn decay_errors(
    prepared: &[Prepared],
    events: &[Event],
    frame_rate_hz: f64,
    decays: &[f64],
) -> Vec<Vec<f64>> {
    let frames = |s: f64| (s * frame_rate_hz).round() as usize;
    let (from, longest) = (frames(DECAY_FROM_S).max(2), frames(TAIL_S).max(3));
    let shortest = frames(MIN_TAIL_S).max(3);
    events
        .iter()
        .filter_map(|event| {
            let p = &prepared[event.trace];
            let start = event.frame + from;
            let end = (start + longest).min(p.trace.len());
            let limit = (TAIL_QUIET * event.size).max(2.0);
            let quiet = (start..end)
                .find(|&t| p.spikes[t] > limit)
                .map_or(end, |t| t - 1);
            (quiet >= start + shortest).then(|| &p.trace[start..quiet])
        })
        .map(|tail| {
            decays
                .iter()
                .map(|decay| {
                    let kernel = |t: usize| (-(t as f64) / (frame_rate_hz * decay)).exp();
                    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
                    for (t, y) in tail.iter().enumerate() {
                        let k = kernel(t);
                        xy += k * y;
                        xx += k * k;
                        yy += y * y;
                    }
                    yy - xy.max(0.0).powi(2) / xx
                })
                .collect()
        })
        .collect()
}

/// Squared error of each rise on the onset of each event, whatever its exact time and the decay of what came before.
fn rise_errors(
    prepared: &[Prepared],
    events: &[Event],
    frame_rate_hz: f64,
    decay_s: f64,
    rises: &[f64],
) -> Vec<Vec<f64>> {
    let before = ((RISE_WINDOW_S.0 * frame_rate_hz) as usize).max(6);
    let after = ((RISE_WINDOW_S.1 * frame_rate_hz) as usize).max(6);
    let n = before + after;
    let decay = (-1.0 / (frame_rate_hz * decay_s)).exp();
    let earlier: Vec<f64> = (0..n).map(|t| decay.powi(t as i32)).collect();
    let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let unit = |mut v: Vec<f64>| {
        let length = norm(&v).sqrt();
        v.iter_mut()
            .for_each(|x| *x /= length.max(f64::MIN_POSITIVE));
        v
    };
    let earlier = unit(earlier);
    // For every rise and onset, the part of the response that an earlier decay does not explain.
    let onsets: Vec<f64> = (0..=28).map(|k| -5.0 + 0.25 * f64::from(k)).collect();
    let shapes: Vec<Vec<Vec<f64>>> = rises
        .iter()
        .map(|&rise_s| {
            let response = Response {
                decay_s,
                rise_s,
                decay_events: 0,
                rise_events: 0,
            };
            onsets
                .iter()
                .map(|onset| {
                    let shape: Vec<f64> = (0..n)
                        .map(|t| response.value((t as f64 - before as f64 - onset) / frame_rate_hz))
                        .collect();
                    let shared = dot(&shape, &earlier);
                    unit(
                        shape
                            .iter()
                            .zip(&earlier)
                            .map(|(s, e)| s - shared * e)
                            .collect(),
                    )
                })
                .collect()
        })
        .collect();
    events
        .iter()
        .filter(|event| {
            event.frame >= before && event.frame + after <= prepared[event.trace].trace.len()
        })
        .map(|event| {
            let window = &prepared[event.trace].trace[event.frame - before..event.frame + after];
            let rest = norm(window) - dot(window, &earlier).powi(2);
            shapes
                .iter()
                .map(|shapes| {
                    let best = shapes
                        .iter()
                        .map(|shape| dot(window, shape).max(0.0).powi(2))
                        .fold(0.0, f64::max);
                    rest - best
                })
                .collect()
        })
        .collect()
}

/// Estimates the response from traces above their baselines, each with its noise; a decay that is given is kept.
pub fn estimate(
    traces: &[(Vec<f32>, f32)],
    frame_rate_hz: f64,
    decay_s: Option<f64>,
    parameters: &Deconvolution,
) -> Response {
    let decays = grid(DECAYS_S);
    let mut response = Response {
        decay_s: decay_s.unwrap_or(parameters.default_decay_s),
        rise_s: 0.0,
        decay_events: 0,
        rise_events: 0,
    };
    if decay_s.is_none() {
        // Where events are depends a little on the decay that they are looked for with.
        for _ in 0..2 {
            let prepared = prepare(traces, frame_rate_hz, response.decay_s);
            let events = events(&prepared, frame_rate_hz);
            let errors = decay_errors(&prepared, &events, frame_rate_hz, &decays);
            if let Some(found) = vote(&errors, &decays) {
                (response.decay_s, response.decay_events) = found;
            }
        }
    }
    let prepared = prepare(traces, frame_rate_hz, response.decay_s);
    let events = events(&prepared, frame_rate_hz);
    let rises: Vec<f64> = grid(RISES_S)
        .into_iter()
        .filter(|rise| *rise < 0.8 * response.decay_s)
        .collect();
    let errors = rise_errors(&prepared, &events, frame_rate_hz, response.decay_s, &rises);
    match vote(&errors, &rises) {
        Some(found) => (response.rise_s, response.rise_events) = found,
        None => response.rise_s = DEFAULT_RISE * response.decay_s,
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Traces of cells that fire alone and in bursts.
    fn traces(
        frame_rate_hz: f64,
        decay_s: f64,
        rise_s: f64,
        noise: f64,
        seconds: f64,
    ) -> Vec<(Vec<f32>, f32)> {
        let response = Response {
            decay_s,
            rise_s,
            decay_events: 0,
            rise_events: 0,
        };
        let kernel = response.kernel(frame_rate_hz, 2048, 5.0);
        let mut state = 7u64;
        let mut uniform = move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        let n = (seconds * frame_rate_hz) as usize;
        (0..24)
            .map(|_| {
                let mut trace = vec![0.0f64; n];
                for t in 0..n {
                    let burst = uniform() < 0.06 / frame_rate_hz;
                    let spikes = if burst {
                        5
                    } else {
                        usize::from(uniform() < 0.3 / frame_rate_hz)
                    };
                    for k in 0..spikes {
                        let at = t + (k as f64 * 0.06 * frame_rate_hz) as usize;
                        for (value, tap) in trace.iter_mut().skip(at).zip(&kernel) {
                            *value += f64::from(*tap);
                        }
                    }
                }
                let noisy = trace
                    .iter()
                    .map(|v| (v + noise * ((0..12).map(|_| uniform()).sum::<f64>() - 6.0)) as f32)
                    .collect();
                (noisy, noise as f32)
            })
            .collect()
    }

    #[test]
    fn single_spikes_outvote_bursts() {
        for (rate, decay, rise) in [
            (30.0, 0.7, 0.07),
            (30.0, 1.2, 0.15),
            (60.0, 0.4, 0.03),
            (10.0, 0.8, 0.1),
        ] {
            let found = estimate(
                &traces(rate, decay, rise, 0.1, 120.0),
                rate,
                None,
                &Deconvolution::default(),
            );
            assert!(
                (found.decay_s / decay - 1.0).abs() < 0.1,
                "{rate} {decay} {rise}: {found:?}"
            );
            assert!(
                (found.rise_s / rise - 1.0).abs() < 0.35,
                "{rate} {decay} {rise}: {found:?}"
            );
            let given = estimate(
                &traces(rate, decay, rise, 0.1, 120.0),
                rate,
                Some(decay),
                &Deconvolution::default(),
            );
            assert_eq!(given.decay_s, decay);
        }
    }

    #[test]
    fn a_long_recording_has_more_bursts_than_votes_and_gives_the_same() {
        let found = estimate(
            &traces(30.0, 0.7, 0.07, 0.1, 1500.0),
            30.0,
            None,
            &Deconvolution::default(),
        );
        assert!((found.decay_s / 0.7 - 1.0).abs() < 0.1, "{found:?}");
        assert!((found.rise_s / 0.07 - 1.0).abs() < 0.35, "{found:?}");
    }

    #[test]
    fn silence_gives_the_default() {
        let silent = vec![(vec![0.0f32; 500], 1.0f32); 5];
        let found = estimate(&silent, 30.0, None, &Deconvolution::default());
        assert_eq!((found.decay_events, found.rise_events), (0, 0));
        assert!(found.rise_s > 0.0 && found.rise_s < found.decay_s);
    }
}
