//! Twin of `wgsl/sorting/subtract_templates.wgsl`: the residual.
//!
//! What the found spikes do not explain. Clustering sees each spike's own template plus the residual around it, so
//! that overlapping spikes of other units are gone; detection in the residual finds units that nobody has yet.

use crate::{
    cpu::{Buffer, params},
    layout::SubtractTemplatesParams,
};

/// `x[channel[i], start + l] -= amplitude * waveform[i, l]` for every listed spike and every entry `i` of its unit.
///
/// `x` `[block, channel, time]`; `spikes` and `count` from `match_templates`; the entries of unit `u` are
/// `channel_start[u]..channel_start[u + 1]`; `waveform` `[entry, tap]`.
pub fn subtract_templates(
    p: &SubtractTemplatesParams,
    x: &mut [f32],
    spikes: &[u32],
    count: &[u32],
    channel_start: &[u32],
    channel: &[u32],
    waveform: &[f32],
) {
    let (samples, channels, taps) = (
        p.n_samples as usize,
        p.n_channels as usize,
        p.n_taps as usize,
    );
    for block in 0..p.n_blocks as usize {
        let x = &mut x[block * samples * channels..(block + 1) * samples * channels];
        for entry in 0..count[block].min(p.capacity) as usize {
            let at = (block * p.capacity as usize + entry) * 4;
            let (start, unit) = (spikes[at] as usize, spikes[at + 1] as usize);
            let amplitude = f32::from_bits(spikes[at + 2]);
            let n = taps.min(samples - start);
            for i in channel_start[unit] as usize..channel_start[unit + 1] as usize {
                let row = channel[i] as usize * samples + start;
                subtract(
                    &mut x[row..row + n],
                    &waveform[i * taps..i * taps + n],
                    amplitude,
                );
            }
        }
    }
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn subtract(x: &mut [f32], waveform: &[f32], amplitude: f32) {
    for (x, &w) in x.iter_mut().zip(waveform) {
        *x -= amplitude * w;
    }
}

/// Binding order: x, spikes, count, channel_start, channel, waveform.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [x, spikes, count, start, channel, waveform] = buffers else {
        panic!("subtract_templates takes 6 bindings")
    };
    subtract_templates(
        &params(bytes),
        x.f32_mut(),
        spikes.u32(),
        count.u32(),
        start.u32(),
        channel.u32(),
        waveform.f32(),
    );
}
