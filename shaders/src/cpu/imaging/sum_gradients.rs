//! Twin of `wgsl/imaging/sum_gradients.wgsl`: the sums from which a Gauss-Newton step is made (Lucas and Kanade 1981).
//!
//! The frame is moved by its present shifts (bilinear) and multiplied with the reference's weights and gradients, which do
//! not change: five products a pixel and no image written. Whatever brightness and contrast the frame has, they are
//! linear in these sums and solved for later. A pixel from outside the frame counts as the reference itself, so that it
//! pulls nowhere; what such pixels add is summed as well, so that the fit can be judged without them.

use super::field::{
    Knots, RAMP, TILE, TileShift, is_inside, is_well_inside, lines_at_edge, lines_inside,
};
use crate::{
    cpu::{Buffer, params},
    layout::{MAX_KNOT_COLUMNS, ROW_SCALARS, SumGradientsParams},
};

const SCALARS: usize = ROW_SCALARS as usize;
const COLUMNS: usize = MAX_KNOT_COLUMNS as usize;

/// Partial sums of a row, one a pixel of a tile.
struct RowSums {
    scalars: [[f32; TILE]; SCALARS],
    /// Gradient sums without and with the column weight: y, y weighted, x, x weighted.
    gradients: [[f32; TILE]; 4],
}

/// `sums` `[frame, row, ROW_SCALARS + 2 * knot_columns]` of frames `[frame, y, x]` moved by `knots` `[frame, 2, knot_row, knot_column]`.
///
/// `model` `[5, y, x]`: reference less `zero`, weight, weight times (reference less its weighted mean), weight times
/// gradient along y, weight times gradient along x. The sums of a row: weight × pixel, weighted reference × pixel, weight ×
/// pixel²; of the pixels from outside the frame alone, weight, weight × reference and weighted reference × reference; then
/// for each column of knots gradient y × pixel, then gradient x × pixel.
pub fn sum_gradients(
    p: &SumGradientsParams,
    frames: &[f32],
    knots: &[f32],
    model: &[f32],
    sums: &mut [f32],
) {
    let (height, width) = (p.height as usize, p.width as usize);
    let grid = Knots::new(p.knot_rows, p.knot_columns, p.height, p.width);
    let entries = SCALARS + 2 * grid.columns;
    // Row by row of all frames: a row of the model stays in the nearest cache.
    for row in 0..height {
        for frame in 0..p.n_frames as usize {
            let pixels = &frames[frame * height * width..(frame + 1) * height * width];
            let knots = &knots[frame * grid.len()..(frame + 1) * grid.len()];
            let at = (frame * height + row) * entries;
            let sums = &mut sums[at..at + entries];
            sum_row(
                &grid, pixels, knots, model, row, height, width, p.zero, sums,
            );
        }
    }
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn sum_row(
    grid: &Knots,
    pixels: &[f32],
    knots: &[f32],
    model: &[f32],
    y: usize,
    height: usize,
    width: usize,
    zero: f32,
    sums: &mut [f32],
) {
    let image = height * width;
    let plane = |k: usize| &model[k * image + y * width..k * image + (y + 1) * width];
    let [reference, weight, weighted, gradient_y, gradient_x] =
        [plane(0), plane(1), plane(2), plane(3), plane(4)];
    let shifts = grid.row_shifts(knots, y);
    let mut row = RowSums {
        scalars: [[0.0; TILE]; SCALARS],
        gradients: [[0.0; TILE]; 4],
    };
    let mut totals = [[0.0f32; COLUMNS]; 2];
    let mut place = grid.tile_place(0);
    for x in (0..width).step_by(TILE) {
        let here = grid.tile_place(x);
        if here.column != place.column {
            flush(&mut row, place.column, place.next, &mut totals);
            place = here;
        }
        let shift = grid.tile_shift(&shifts, x);
        let n = TILE.min(width - x);
        let (top, left) = (y as i64 + shift.whole_y, x as i64 + shift.whole_x);
        let mut outside = [0.0; TILE];
        let mut some_outside = false;
        let mut moved;
        if n == TILE && is_well_inside(&shift, y, x, height, width) {
            moved = bilinear(&shift, lines_inside(pixels, top, left, width), zero);
        } else {
            let lines = lines_at_edge::<2, { TILE + 1 }>(pixels, top, left, height, width);
            moved = bilinear(&shift, lines.each_ref(), zero);
            for i in 0..n {
                if !is_inside(&shift, y, x, i, height, width) {
                    outside[i] = 1.0;
                    some_outside = true;
                    moved[i] = reference[x + i];
                }
            }
        }
        // A tile that the row ends within counts nothing beyond it.
        let load = |source: &[f32]| -> [f32; TILE] {
            if let Some(values) = source[x..].first_chunk() {
                return *values;
            }
            let mut values = [0.0; TILE];
            values[..n].copy_from_slice(&source[x..]);
            values
        };
        let (w, wr, wy, wx) = (
            load(weight),
            load(weighted),
            load(gradient_y),
            load(gradient_x),
        );
        for i in 0..TILE {
            let v = moved[i];
            let t = grid.column_weight(x as f32 + RAMP[i], place);
            row.scalars[0][i] += w[i] * v;
            row.scalars[1][i] += wr[i] * v;
            row.scalars[2][i] += w[i] * v * v;
            row.gradients[0][i] += wy[i] * v;
            row.gradients[1][i] += wy[i] * v * t;
            row.gradients[2][i] += wx[i] * v;
            row.gradients[3][i] += wx[i] * v * t;
        }
        // Most tiles lie well inside and pay nothing for this.
        if some_outside {
            for i in 0..n {
                let o = outside[i];
                row.scalars[3][i] += w[i] * o;
                row.scalars[4][i] += w[i] * moved[i] * o;
                row.scalars[5][i] += wr[i] * moved[i] * o;
            }
        }
    }
    flush(&mut row, place.column, place.next, &mut totals);
    for (sum, scalar) in sums.iter_mut().zip(&row.scalars) {
        *sum = total(scalar);
    }
    for axis in 0..2 {
        for column in 0..grid.columns {
            sums[SCALARS + axis * grid.columns + column] = totals[axis][column];
        }
    }
}

/// Adds the gradient sums since the last flush to the columns of knots between which they lay.
fn flush(row: &mut RowSums, column: usize, next: usize, totals: &mut [[f32; COLUMNS]; 2]) {
    for axis in 0..2 {
        let all = total(&row.gradients[2 * axis]);
        let second = total(&row.gradients[2 * axis + 1]);
        totals[axis][column] += all - second;
        totals[axis][next] += second;
    }
    row.gradients = [[0.0; TILE]; 4];
}

/// The lanes added in a fixed tree.
fn total(lanes: &[f32; TILE]) -> f32 {
    let mut lanes = *lanes;
    let mut n = TILE / 2;
    while n > 0 {
        for i in 0..n {
            lanes[i] += lanes[i + n];
        }
        n /= 2;
    }
    lanes[0]
}

/// A tile less `zero` from the two lines around it.
#[inline(always)]
fn bilinear(shift: &TileShift, lines: [&[f32; TILE + 1]; 2], zero: f32) -> [f32; TILE] {
    let [upper, lower] = lines;
    let mut moved = [0.0; TILE];
    for i in 0..TILE {
        let (fy, fx) = (shift.fraction_y[i], shift.fraction_x[i]);
        let a = upper[i] + (upper[i + 1] - upper[i]) * fx;
        let b = lower[i] + (lower[i + 1] - lower[i]) * fx;
        moved[i] = a + (b - a) * fy - zero;
    }
    moved
}

/// Binding order: frames, knots, model, sums.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [frames, knots, model, sums] = buffers else {
        panic!("sum_gradients takes 4 bindings")
    };
    sum_gradients(
        &params(bytes),
        frames.f32(),
        knots.f32(),
        model.f32(),
        sums.f32_mut(),
    );
}
