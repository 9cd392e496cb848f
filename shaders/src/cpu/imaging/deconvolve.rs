//! Twin of `wgsl/imaging/deconvolve.wgsl`: spikes from a fluorescence trace.
//!
//! The trace is modelled as non-negative spikes convolved with the response to one spike, and the spikes minimise
//! `|trace - response * spikes|² / 2 + penalty * sum(spikes)`: the problem of OASIS (Friedrich, Zhou and Paninski 2017), for any
//! response. Coordinate descent finds its one minimum: every frame in turn takes the best value given all others; most
//! sweeps visit only frames with a spike.

use crate::{
    cpu::{Buffer, params},
    layout::DeconvolveParams,
};

/// Products that are summed side by side.
const LANES: usize = 8;

/// `traces` `[trace, frame]` to `spikes` `[trace, frame]`; `residual` `[trace, frame]` is the trace less its fit.
///
/// `response` `[trace, n_taps]` is the fluorescence after a spike of size 1 in frame 0; `penalty` `[trace]`.
pub fn deconvolve(
    p: &DeconvolveParams,
    traces: &[f32],
    response: &[f32],
    penalty: &[f32],
    spikes: &mut [f32],
    residual: &mut [f32],
) {
    let (n_frames, n_taps) = (p.n_frames as usize, p.n_taps as usize);
    if n_frames == 0 {
        return;
    }
    let n = p.n_traces as usize * n_frames;
    residual[..n].copy_from_slice(&traces[..n]);
    for (trace, (spikes, residual)) in spikes
        .chunks_exact_mut(n_frames)
        .zip(residual.chunks_exact_mut(n_frames))
        .take(p.n_traces as usize)
        .enumerate()
    {
        spikes.fill(0.0);
        let response = &response[trace * n_taps..(trace + 1) * n_taps];
        // What a spike so near the end that its response is cut off can explain.
        let mut power = vec![0.0f32; n_taps];
        let mut sum = 0.0;
        for (power, tap) in power.iter_mut().zip(response) {
            sum += tap * tap;
            *power = sum;
        }
        for sweep in 0..p.sweeps {
            let full = sweep % p.full_every.max(1) == 0;
            descend(spikes, residual, response, &power, penalty[trace], full);
        }
    }
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn descend(
    spikes: &mut [f32],
    residual: &mut [f32],
    response: &[f32],
    power: &[f32],
    penalty: f32,
    full: bool,
) {
    let n = spikes.len();
    for t in 0..n {
        if !full && spikes[t] == 0.0 {
            continue;
        }
        let taps = response.len().min(n - t);
        let norm = power[taps - 1];
        if norm <= 0.0 {
            continue;
        }
        let gain = dot(&residual[t..t + taps], &response[..taps]) - penalty;
        let new = (spikes[t] + gain / norm).max(0.0);
        let change = new - spikes[t];
        if change != 0.0 {
            for (value, tap) in residual[t..t + taps].iter_mut().zip(response) {
                *value -= change * tap;
            }
            spikes[t] = new;
        }
    }
}

#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a.iter().zip(b) {
        for i in 0..LANES {
            lanes[i] += a[i] * b[i];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    rest + ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6]))
        + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]))
}

/// Binding order: traces, response, penalty, spikes, residual.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [traces, response, penalty, spikes, residual] = buffers else {
        panic!("deconvolve takes 5 bindings")
    };
    deconvolve(
        &params(bytes),
        traces.f32(),
        response.f32(),
        penalty.f32(),
        spikes.f32_mut(),
        residual.f32_mut(),
    );
}
