//! Twin of `wgsl/imaging/shrink_frames.wgsl`: frames made ready for the correlation with the reference.
//!
//! A bin of pixels has less noise than a pixel and leaves less to transform; clipping keeps a cell that flashes from
//! deciding where the frame belongs; the taper hides the edges, which move differently from the tissue. The correlation
//! is linear in the frame, so two frames travel as the real and the imaginary part of one complex image.

use crate::{
    cpu::{Buffer, params},
    layout::ShrinkFramesParams,
};

/// `frames` `[frame, y, x]` to `out` `[pair, row, column, 2]`, zero beyond the image.
///
/// `taper` has `rows` weights of the rows, then `columns` weights of the columns.
pub fn shrink_frames(p: &ShrinkFramesParams, frames: &[f32], taper: &[f32], out: &mut [f32]) {
    let (height, width) = (p.height as usize, p.width as usize);
    let (rows, columns) = (p.rows as usize, p.columns as usize);
    let (taper_y, taper_x) = taper.split_at(rows);
    for (pair, image) in out
        .chunks_exact_mut(2 * rows * columns)
        .take(p.n_frames.div_ceil(2) as usize)
        .enumerate()
    {
        for part in 0..2 {
            let frame = 2 * pair + part;
            if frame < p.n_frames as usize {
                let pixels = &frames[frame * height * width..(frame + 1) * height * width];
                shrink(p, pixels, taper_y, taper_x, image, part);
            } else {
                for value in image[part..].iter_mut().step_by(2) {
                    *value = 0.0;
                }
            }
        }
    }
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn shrink(
    p: &ShrinkFramesParams,
    frame: &[f32],
    taper_y: &[f32],
    taper_x: &[f32],
    image: &mut [f32],
    part: usize,
) {
    let (width, shrink, columns) = (p.width as usize, p.shrink as usize, p.columns as usize);
    let (bins_y, bins_x) = (p.height as usize / shrink, width / shrink);
    let scale = 1.0 / (shrink * shrink) as f32;
    let mut sums = vec![0.0f32; width];
    for row in 0..p.rows as usize {
        let line = &mut image[2 * row * columns..2 * (row + 1) * columns];
        if row >= bins_y {
            for value in line[part..].iter_mut().step_by(2) {
                *value = 0.0;
            }
            continue;
        }
        sums.fill(0.0);
        for dy in 0..shrink {
            let source = &frame[(row * shrink + dy) * width..(row * shrink + dy + 1) * width];
            for (sum, value) in sums.iter_mut().zip(source) {
                *sum += value;
            }
        }
        for column in 0..columns {
            line[2 * column + part] = if column < bins_x {
                let mut sum = 0.0;
                for dx in 0..shrink {
                    sum += sums[column * shrink + dx];
                }
                ((sum * scale).max(p.low).min(p.high) - p.zero) * (taper_y[row] * taper_x[column])
            } else {
                0.0
            };
        }
    }
}

/// Binding order: frames, taper, out.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [frames, taper, out] = buffers else {
        panic!("shrink_frames takes 3 bindings")
    };
    shrink_frames(&params(bytes), frames.f32(), taper.f32(), out.f32_mut());
}
