//! Twin of `wgsl/imaging/decode_frames.wgsl`: raw frames to `f32`, odd rows moved by the bidirectional offset.
//!
//! A resonant scanner sweeps odd rows backwards; a wrong delay shows as odd rows that lie a little too far to one side. The
//! whole part of the offset is a copy; a fraction is a cubic interpolation (Keys 1981) along the row. A value that is not finite
//! becomes 0: one bad value must not spread through the sums.

use crate::{
    cpu::{Buffer, imaging::move_frames::cubic_weights, params},
    layout::DecodeFramesParams,
};

/// Larger values count as not finite.
pub const LARGEST: f32 = 1e9;

/// `raw` words (pixels of all frames one after the other) to `out` `[frame, y, x]`:
/// `out[y, x] = raw[y, x + row_offset]` on odd rows, clamped to the row, and `raw[y, x]` on even ones.
pub fn decode_frames(p: &DecodeFramesParams, raw: &[u32], out: &mut [f32]) {
    let n = p.n_frames as usize * p.height as usize * p.width as usize;
    let out = &mut out[..n];
    match p.pixel_type {
        0 => convert::<i16>(raw, out, f32::from),
        1 => convert::<u16>(raw, out, f32::from),
        2 => convert::<i32>(raw, out, |v| v as f32),
        3 => convert::<f32>(raw, out, |v| {
            if v.is_finite() && v.abs() <= LARGEST {
                v
            } else {
                0.0
            }
        }),
        4 => convert::<u8>(raw, out, f32::from),
        5 => convert::<i8>(raw, out, f32::from),
        _ => convert::<u32>(raw, out, |v| v as f32),
    }
    if p.row_offset != 0.0 {
        let width = p.width as usize;
        let mut source = vec![0.0; width];
        for frame in out.chunks_exact_mut(p.height as usize * width) {
            for row in frame.chunks_exact_mut(width).skip(1).step_by(2) {
                source.copy_from_slice(row);
                move_row(&source, p.row_offset, row);
            }
        }
    }
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn convert<T: bytemuck::AnyBitPattern>(raw: &[u32], out: &mut [f32], value: impl Fn(T) -> f32) {
    let pixels: &[T] = &bytemuck::cast_slice(raw)[..out.len()];
    for (out, &pixel) in out.iter_mut().zip(pixels) {
        *out = value(pixel);
    }
}

/// `out[x] = source(x + offset)`.
fn move_row(source: &[f32], offset: f32, out: &mut [f32]) {
    let whole = offset.floor();
    let weights = cubic_weights(offset - whole);
    let last = source.len() as i64 - 1;
    for (x, out) in out.iter_mut().enumerate() {
        let at = x as i64 + whole as i64;
        let tap = |k: i64| source[(at + k).clamp(0, last) as usize];
        *out = (tap(-1) * weights[0] + tap(0) * weights[1])
            + (tap(1) * weights[2] + tap(2) * weights[3]);
    }
}

/// Binding order: raw, out.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [raw, out] = buffers else {
        panic!("decode_frames takes 2 bindings")
    };
    decode_frames(&params(bytes), raw.u32(), out.f32_mut());
}
