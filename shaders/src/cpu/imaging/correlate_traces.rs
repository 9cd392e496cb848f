//! Twin of `wgsl/imaging/correlate_traces.wgsl`: how much each pixel around a cell follows the cell's trace.

use crate::{
    cpu::{Buffer, params},
    layout::CorrelateTracesParams,
};

/// `sums[k] += sum over frames of traces[row[k], frame] * frames[frame, pixel[k]]`; `traces` `[row, frame]`, `frames`
/// `[frame, pixel]`.
pub fn correlate_traces(
    p: &CorrelateTracesParams,
    frames: &[f32],
    pixel: &[u32],
    row: &[u32],
    traces: &[f32],
    sums: &mut [f32],
) {
    let (n_frames, n_pixels) = (p.n_frames as usize, p.n_pixels as usize);
    let entries = p.n_entries as usize;
    // Frame by frame, so that the pixels of a frame are read while they are near.
    for frame in 0..n_frames {
        let pixels = &frames[frame * n_pixels..(frame + 1) * n_pixels];
        for ((sum, &pixel), &row) in sums[..entries]
            .iter_mut()
            .zip(&pixel[..entries])
            .zip(&row[..entries])
        {
            *sum += traces[row as usize * n_frames + frame] * pixels[pixel as usize];
        }
    }
}

/// Binding order: frames, pixel, row, traces, sums.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [frames, pixel, row, traces, sums] = buffers else {
        panic!("correlate_traces takes 5 bindings")
    };
    correlate_traces(
        &params(bytes),
        frames.f32(),
        pixel.u32(),
        row.u32(),
        traces.f32(),
        sums.f32_mut(),
    );
}
