//! Twin of `wgsl/common/decode_samples.wgsl`: raw frames to microvolts.
//!
//! The first thing that happens to a recording. A value that is not finite becomes 0 and is counted: one bad value
//! must not spread through the filters, and the user is told.

use crate::{
    cpu::{Buffer, params},
    layout::DecodeSamplesParams,
};

/// Larger values, µV, count as not finite.
const LARGEST_UV: f32 = 1e9;

/// `raw` words `[block, block_words]` to `out` µV `[block, time, channel]`: `value * gain - offset`.
///
/// `select`, `gain_uv` and `offset_uv` have one entry a kept channel. `not_finite[0]` counts replaced values.
pub fn decode_samples(
    p: &DecodeSamplesParams,
    raw: &[u32],
    select: &[u32],
    gain_uv: &[f32],
    offset_uv: &[f32],
    out: &mut [f32],
    not_finite: &mut [u32],
) {
    let channels = p.n_channels as usize;
    let (samples, file_channels) = (p.n_samples as usize, p.n_file_channels as usize);
    for block in 0..p.n_blocks as usize {
        let words = &raw[block * p.block_words as usize..(block + 1) * p.block_words as usize];
        let out = &mut out[block * samples * channels..(block + 1) * samples * channels];
        match p.sample_type {
            0 => rows(
                bytemuck::cast_slice::<u32, i16>(words),
                file_channels,
                select,
                gain_uv,
                offset_uv,
                out,
                f32::from,
            ),
            1 => rows(
                bytemuck::cast_slice::<u32, u16>(words),
                file_channels,
                select,
                gain_uv,
                offset_uv,
                out,
                f32::from,
            ),
            2 => rows(
                bytemuck::cast_slice::<u32, i32>(words),
                file_channels,
                select,
                gain_uv,
                offset_uv,
                out,
                |v| v as f32,
            ),
            _ => rows(
                bytemuck::cast_slice::<u32, f32>(words),
                file_channels,
                select,
                gain_uv,
                offset_uv,
                out,
                |v| v,
            ),
        }
        if p.sample_type == 3 {
            // Sentinels such as 1e30 would overflow in the filters as surely as infinity.
            for value in out
                .iter_mut()
                .filter(|value| !value.is_finite() || value.abs() > LARGEST_UV)
            {
                *value = 0.0;
                not_finite[0] += 1;
            }
        }
    }
}

/// One block, for one sample type.
fn rows<T: Copy>(
    raw: &[T],
    file_channels: usize,
    select: &[u32],
    gain_uv: &[f32],
    offset_uv: &[f32],
    out: &mut [f32],
    to_f32: impl Fn(T) -> f32,
) {
    let channels = select.len();
    let identity =
        channels == file_channels && select.iter().enumerate().all(|(i, &s)| i == s as usize);
    for (row, frame) in out
        .chunks_exact_mut(channels)
        .zip(raw.chunks_exact(file_channels))
    {
        if identity {
            for c in 0..channels {
                row[c] = to_f32(frame[c]) * gain_uv[c] - offset_uv[c];
            }
        } else {
            for c in 0..channels {
                row[c] = to_f32(frame[select[c] as usize]) * gain_uv[c] - offset_uv[c];
            }
        }
    }
}

/// Binding order: raw, select, gain_uv, offset_uv, out, not_finite.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [raw, select, gain, offset, out, not_finite] = buffers else {
        panic!("decode_samples takes 6 bindings")
    };
    decode_samples(
        &params(bytes),
        raw.u32(),
        select.u32(),
        gain.f32(),
        offset.f32(),
        out.f32_mut(),
        not_finite.u32_mut(),
    );
}
