//! Twin of `wgsl/sorting/localize_peaks.wgsl`: where on the probe a peak is.
//!
//! The amplitude of the peak's best shape on the channels around it, squared, weighs their positions: squares follow
//! the source more closely than amplitudes and give noise little say (centre of mass, as in Kilosort4's paper).

use crate::{
    cpu::{Buffer, params},
    layout::LocalizePeaksParams,
};

/// Positions of the listed peaks.
///
/// `x` `[block, channel, time]`, `shape` `[shape, tap]`, `peaks` and `count` from `detect_peaks`, `neighbour`
/// `[channel, n_neighbours]` padded with `u32::MAX`, `position_um` `[channel, 2]`. An entry of `out`
/// `[block, capacity, 4]` is x µm, y µm, amplitude (norm over the channels, noise deviations), index of the shape.
pub fn localize_peaks(
    p: &LocalizePeaksParams,
    x: &[f32],
    shape: &[f32],
    peaks: &[u32],
    count: &[u32],
    neighbour: &[u32],
    position_um: &[f32],
    out: &mut [f32],
) {
    let (samples, channels, taps) = (
        p.n_samples as usize,
        p.n_channels as usize,
        p.n_taps as usize,
    );
    let (capacity, n_neighbours) = (p.capacity as usize, p.n_neighbours as usize);
    for block in 0..p.n_blocks as usize {
        let data = &x[block * samples * channels..(block + 1) * samples * channels];
        for entry in 0..(count[block] as usize).min(capacity) {
            let at = (block * capacity + entry) * 4;
            let (channel, start) = (peaks[at + 1] as usize, peaks[at + 3] as usize);
            let value = |c: usize, shape: &[f32]| {
                if start + taps > samples {
                    return 0.0;
                }
                let row = &data[c * samples + start..c * samples + start + taps];
                row.iter().zip(shape).map(|(x, w)| x * w).sum::<f32>()
            };
            let (mut best, mut index, mut largest) = (&shape[..taps], 0, f32::NEG_INFINITY);
            for (s, shape) in shape.chunks_exact(taps).enumerate() {
                let value = value(channel, shape);
                if value > largest {
                    (best, index, largest) = (shape, s, value);
                }
            }
            let (mut weight, mut x, mut y) = (0.0f32, 0.0f32, 0.0f32);
            for &n in &neighbour[channel * n_neighbours..(channel + 1) * n_neighbours] {
                if n == u32::MAX {
                    continue;
                }
                let amplitude = value(n as usize, best).max(0.0);
                let squared = amplitude * amplitude;
                weight += squared;
                x += squared * position_um[2 * n as usize];
                y += squared * position_um[2 * n as usize + 1];
            }
            let result = if weight > 0.0 {
                [x / weight, y / weight, weight.sqrt(), index as f32]
            } else {
                [
                    position_um[2 * channel],
                    position_um[2 * channel + 1],
                    0.0,
                    index as f32,
                ]
            };
            out[at..at + 4].copy_from_slice(&result);
        }
    }
}

/// Binding order: x, shape, peaks, count, neighbour, position_um, out.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [x, shape, peaks, count, neighbour, position, out] = buffers else {
        panic!("localize_peaks takes 7 bindings")
    };
    localize_peaks(
        &params(bytes),
        x.f32(),
        shape.f32(),
        peaks.u32(),
        count.u32(),
        neighbour.u32(),
        position.f32(),
        out.f32_mut(),
    );
}
