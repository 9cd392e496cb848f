//! Twin of `wgsl/imaging/find_shifts.wgsl`: where the correlation with the reference is largest.
//!
//! A parabola through the peak and its neighbours gives the fraction; the Gauss-Newton steps that follow need a start within
//! a pixel or two.

use crate::{
    cpu::{Buffer, params},
    layout::FindShiftsParams,
};

/// `correlation` `[pair, row, column, 2]` (cyclic; frames in pairs as real and imaginary part) to `shifts` `[frame, 3]`: y and x
/// in pixels, and the value at the peak. Of equal values the first by row, then column, of the window wins.
pub fn find_shifts(p: &FindShiftsParams, correlation: &[f32], shifts: &mut [f32]) {
    let (rows, columns) = (p.rows as i64, p.columns as i64);
    let (max_y, max_x) = (i64::from(p.max_y), i64::from(p.max_x));
    for (frame, shift) in shifts
        .chunks_exact_mut(3)
        .take(p.n_frames as usize)
        .enumerate()
    {
        let image = &correlation[frame / 2 * 2 * (rows * columns) as usize..];
        let at = |y: i64, x: i64| {
            let index = y.rem_euclid(rows) * columns + x.rem_euclid(columns);
            image[2 * index as usize + frame % 2]
        };
        let (mut best, mut best_y, mut best_x) = (f32::NEG_INFINITY, 0, 0);
        for y in -max_y..=max_y {
            for x in -max_x..=max_x {
                let value = at(y, x);
                if value > best {
                    (best, best_y, best_x) = (value, y, x);
                }
            }
        }
        let fraction = |before: f32, after: f32| {
            let curvature = before - 2.0 * best + after;
            if curvature < 0.0 {
                (0.5 * (before - after) / curvature).clamp(-0.5, 0.5)
            } else {
                0.0
            }
        };
        let dy = fraction(at(best_y - 1, best_x), at(best_y + 1, best_x));
        let dx = fraction(at(best_y, best_x - 1), at(best_y, best_x + 1));
        let shrink = p.shrink as f32;
        shift[0] = (best_y as f32 + dy) * shrink;
        shift[1] = (best_x as f32 + dx) * shrink;
        shift[2] = best;
    }
}

/// Binding order: correlation, shifts.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [correlation, shifts] = buffers else {
        panic!("find_shifts takes 2 bindings")
    };
    find_shifts(&params(bytes), correlation.f32(), shifts.f32_mut());
}
