//! Twin of `wgsl/imaging/move_frames.wgsl`: frames moved onto the reference with one cubic interpolation.
//!
//! Rigid, non-rigid and within-frame motion are one shift field, so the raw frame is resampled once. Cubic convolution (Keys
//! 1981, a = -1/2) keeps the sharpness that a bilinear one would lose at half a pixel. Nothing wraps round: a pixel
//! from outside the frame was not measured; it shows the reference, and `spans` says so.

use super::field::{
    Knots, TILE, TileShift, is_inside, is_well_inside, lines_at_edge, lines_inside,
};
use crate::{
    cpu::{Buffer, params},
    layout::MoveFramesParams,
};

/// Weights of the pixels at -1, 0, 1, 2 for a position `t` after pixel 0 (Keys 1981, a = -1/2).
#[inline(always)]
pub fn cubic_weights(t: f32) -> [f32; 4] {
    [
        ((-0.5 * t + 1.0) * t - 0.5) * t,
        (1.5 * t - 2.5) * t * t + 1.0,
        ((-1.5 * t + 2.0) * t + 0.5) * t,
        (0.5 * t - 0.5) * t * t,
    ]
}

/// `frames` `[frame, y, x]` moved by `knots` `[frame, 2, knot_row, knot_column]` to `moved` `[frame, y, x]`; `spans`
/// `[frame, row, 2]` has the first and the end (exclusive) of the measured pixels of each row. Others are `reference` `[y, x]`.
pub fn move_frames(
    p: &MoveFramesParams,
    frames: &[f32],
    knots: &[f32],
    reference: &[f32],
    moved: &mut [f32],
    spans: &mut [u32],
) {
    let (height, width) = (p.height as usize, p.width as usize);
    let grid = Knots::new(p.knot_rows, p.knot_columns, p.height, p.width);
    for frame in 0..p.n_frames as usize {
        let image = frame * height * width..(frame + 1) * height * width;
        let pixels = &frames[image.clone()];
        let knots = &knots[frame * grid.len()..(frame + 1) * grid.len()];
        for (y, row) in moved[image].chunks_exact_mut(width).enumerate() {
            let span = move_row(
                &grid,
                pixels,
                knots,
                &reference[y * width..(y + 1) * width],
                y,
                height,
                row,
            );
            spans[2 * (frame * height + y)..2 * (frame * height + y) + 2].copy_from_slice(&span);
        }
    }
}

#[multiversion::multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2",
    "x86_64+avx2"
))]
fn move_row(
    grid: &Knots,
    pixels: &[f32],
    knots: &[f32],
    reference: &[f32],
    y: usize,
    height: usize,
    out: &mut [f32],
) -> [u32; 2] {
    let width = out.len();
    let shifts = grid.row_shifts(knots, y);
    let (mut first, mut end) = (width, 0);
    for x in (0..width).step_by(TILE) {
        let shift = grid.tile_shift(&shifts, x);
        let n = TILE.min(width - x);
        let (top, left) = (y as i64 + shift.whole_y - 1, x as i64 + shift.whole_x - 1);
        if n == TILE && is_well_inside(&shift, y, x, height, width) {
            let target: &mut [f32; TILE] = (&mut out[x..x + TILE]).try_into().expect("a tile");
            *target = cubic(&shift, lines_inside(pixels, top, left, width));
            first = first.min(x);
            end = x + TILE;
            continue;
        }
        let lines = lines_at_edge::<4, { TILE + 3 }>(pixels, top, left, height, width);
        let values = cubic(&shift, lines.each_ref());
        for i in 0..n {
            if is_inside(&shift, y, x, i, height, width) {
                out[x + i] = values[i];
                first = first.min(x + i);
                end = x + i + 1;
            } else {
                out[x + i] = reference[x + i];
            }
        }
    }
    [first.min(end) as u32, end as u32]
}

/// A tile from the four lines around it, which begin one pixel before it.
#[inline(always)]
fn cubic(shift: &TileShift, lines: [&[f32; TILE + 3]; 4]) -> [f32; TILE] {
    let (mut weights_y, mut weights_x) = ([[0.0; TILE]; 4], [[0.0; TILE]; 4]);
    for i in 0..TILE {
        let (wy, wx) = (
            cubic_weights(shift.fraction_y[i]),
            cubic_weights(shift.fraction_x[i]),
        );
        for k in 0..4 {
            weights_y[k][i] = wy[k];
            weights_x[k][i] = wx[k];
        }
    }
    let mut sum = [0.0; TILE];
    for (line, weight) in lines.iter().zip(&weights_y) {
        for i in 0..TILE {
            let along = (line[i] * weights_x[0][i] + line[i + 1] * weights_x[1][i])
                + (line[i + 2] * weights_x[2][i] + line[i + 3] * weights_x[3][i]);
            sum[i] += along * weight[i];
        }
    }
    sum
}

/// Binding order: frames, knots, reference, moved, spans.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [frames, knots, reference, moved, spans] = buffers else {
        panic!("move_frames takes 5 bindings")
    };
    move_frames(
        &params(bytes),
        frames.f32(),
        knots.f32(),
        reference.f32(),
        moved.f32_mut(),
        spans.u32_mut(),
    );
}
