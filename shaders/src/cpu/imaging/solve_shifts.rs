//! Twin of `wgsl/imaging/solve_shifts.wgsl`: one Gauss-Newton step of the knots of every frame.
//!
//! The frame is modelled as `gain * reference + offset`, both fitted in closed form from the sums. The matrix of the step is
//! that of the reference (inverse compositional in spirit: Baker and Matthews 2004), so it is inverted once and for all. It
//! holds the ridge on the bending of the field, which lets rows with little structure follow their neighbours.

use super::field::Knots;
use crate::{
    cpu::{Buffer, params},
    layout::{ROW_SCALARS, SolveShiftsParams},
};

const SCALARS: usize = ROW_SCALARS as usize;
/// Contrasts of a frame, relative to the reference, that are believed.
const GAINS: (f32, f32) = (0.3, 3.0);
/// A frame whose variance is below this part of its mean square about the reference's mean has no structure: what is left is
/// the rounding of sums over its pixels, and a correlation with it would be noise. A saturated frame is such.
const FLAT: f32 = 1e-5;
/// A frame that has less than this part of the reference's weight is not there.
const LEAST_INSIDE: f32 = 1e-3;

/// Steps `knots` `[frame, 2, knot_row, knot_column]` and says how the frame fitted before the step: `fit` `[frame, 3]`
/// (correlation with the reference over the pixels that lie in the frame, gain, offset).
///
/// `start` `[frame, 3]` (y, x, …) limits the shifts to `reach`; `sums` are those of `sum_gradients`. With
/// `n = 2 * knot_rows * knot_columns`, `system` holds: sum of the weights, weighted sum of squares of the reference about its mean,
/// two zeros, then `[n]` sums of the weighted gradients, `[n]` sums of gradient times reference about its mean, `[n, n]` inverse matrix, `[n, n]`
/// inverse matrix times ridge.
pub fn solve_shifts(
    p: &SolveShiftsParams,
    sums: &[f32],
    system: &[f32],
    start: &[f32],
    knots: &mut [f32],
    fit: &mut [f32],
) {
    let height = p.height as usize;
    // The spacing along x is not needed here.
    let grid = Knots::new(p.knot_rows, p.knot_columns, p.height, 1);
    let (n, columns) = (grid.len(), grid.columns);
    let entries = SCALARS + 2 * columns;
    let (weight, squares) = (system[0], system[1]);
    let rest = &system[4..];
    let (gradient, rest) = rest.split_at(n);
    let (fixed, rest) = rest.split_at(n);
    let (inverse, ridge) = rest.split_at(n * n);
    let mut right = vec![0.0f32; n];
    for frame in 0..p.n_frames as usize {
        let sums = &sums[frame * height * entries..(frame + 1) * height * entries];
        let knots = &mut knots[frame * n..(frame + 1) * n];
        let mut scalars = [0.0f32; SCALARS];
        right.fill(0.0);
        for (row, sums) in sums.chunks_exact(entries).enumerate() {
            for (scalar, sum) in scalars.iter_mut().zip(sums) {
                *scalar += sum;
            }
            let (first, next, t) = grid.row_place(row);
            for axis in 0..2 {
                for column in 0..columns {
                    let sum = sums[SCALARS + axis * columns + column];
                    let at = axis * grid.rows * columns + column;
                    right[at + first * columns] += sum * (1.0 - t);
                    right[at + next * columns] += sum * t;
                }
            }
        }
        // A reference without weight or structure has no brightness and contrast to fit; nothing may become NaN.
        let mean = if weight > 0.0 {
            scalars[0] / weight
        } else {
            0.0
        };
        let gain = if squares > 0.0 {
            (scalars[1] / squares).clamp(GAINS.0, GAINS.1)
        } else {
            1.0
        };
        let correlation = correlation(&scalars, weight, squares);
        for k in 0..n {
            right[k] = (right[k] - mean * gradient[k]) / gain - fixed[k];
        }
        let before = knots.to_vec();
        for k in 0..n {
            let mut step = 0.0;
            for j in 0..n {
                step += inverse[k * n + j] * right[j] + ridge[k * n + j] * before[j];
            }
            let centre = start[3 * frame + k / (n / 2)];
            knots[k] = (before[k] - step).clamp(centre - p.reach, centre + p.reach);
        }
        fit[3 * frame..3 * frame + 3].copy_from_slice(&[correlation, gain, mean]);
    }
}

/// Correlation of a frame with the reference over the pixels that it has: those from outside it are the reference itself, and a
/// frame without any structure that lies far off would seem to fit. 0 where there is nothing to compare.
fn correlation(scalars: &[f32; SCALARS], weight: f32, squares: f32) -> f32 {
    let [pixel, product, square, lost, lost_reference, lost_square] = *scalars;
    let weight_inside = weight - lost;
    if weight_inside <= LEAST_INSIDE * weight {
        return 0.0;
    }
    let (pixel, product, square) = (
        pixel - lost_reference,
        product - lost_square,
        square - lost_square,
    );
    // The reference's own sums over all pixels are 0 and `squares`.
    let (reference, squares_inside) = (-lost_reference, squares - lost_square);
    let variance = square - pixel * pixel / weight_inside;
    let contrast = squares_inside - reference * reference / weight_inside;
    let covariance = product - pixel * reference / weight_inside;
    if variance > FLAT * square && contrast > FLAT * squares {
        covariance / (variance * contrast).sqrt()
    } else {
        0.0
    }
}

/// Binding order: sums, system, start, knots, fit.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [sums, system, start, knots, fit] = buffers else {
        panic!("solve_shifts takes 5 bindings")
    };
    solve_shifts(
        &params(bytes),
        sums.f32(),
        system.f32(),
        start.f32(),
        knots.f32_mut(),
        fit.f32_mut(),
    );
}
