//! How the tissue moves under the microscope: rigid, non-rigid, within a frame, and in jumps.
//!
//! Where a frame shows `tissue(y − dy, x − dx)`, (dy, dx) is the displacement at that pixel: positive means down and right, as in
//! `make_movie.py`. It is a function of continuous time, so that each row of a frame can be given the moment at which it was
//! scanned. Within a frame it is bilinear between [`N_ROW_KNOTS`] × [`N_COLUMN_KNOTS`] knots; those knots *are* the truth,
//! and the shift of a frame is the exact mean over its pixels.
//!
//! The non-rigid part is a sum of the first Legendre polynomials in rows and columns, each with its own random walk:
//! compression, shear, and bending of the tissue.

use crate::simulate::philox::Stream;

use super::smooth::{deviation_of_line, smooth_line, standardise, white};
use super::spec::MovieSpec;

/// Rows of knots, evenly from the first row of the frame to its last.
pub const N_ROW_KNOTS: usize = 9;
/// Columns of knots, evenly from the first column of the frame to its last.
pub const N_COLUMN_KNOTS: usize = 5;
const N_KNOTS: usize = N_ROW_KNOTS * N_COLUMN_KNOTS;

/// Weight of each polynomial; chosen so that the deviation at the middle of an edge is about 1.
const POLYNOMIAL_WEIGHTS: [f32; 5] = [0.85, 0.85, 0.45, 0.45, 0.45];
/// Time scale of the non-rigid walks, s.
const NONRIGID_TIME_S: f64 = 0.33;
/// Frequency of the regular movement, Hz: a mouse's heart.
const PULSATION_HZ: f64 = 8.0;
/// A jump takes this long to come, s, and falls by e in the next, s.
const JUMP_RISE_S: f64 = 0.1;
const JUMP_FALL_S: f64 = 0.4;

/// Displacement of one frame at its knots, px.
#[derive(Debug, Clone, PartialEq)]
pub struct ShiftField {
    /// Downwards, `[row knots, column knots]`.
    pub y: [f32; N_KNOTS],
    /// To the right, `[row knots, column knots]`.
    pub x: [f32; N_KNOTS],
}

struct Jump {
    at_s: f64,
    size_px: [f64; 2],
}

/// The movement of all planes; see the module's head.
pub struct Motion {
    height: usize,
    width: usize,
    n_planes: usize,
    frame_rate_hz: f64,
    scan_share: f64,
    largest_px: f32,
    /// Points of the walks in one frame's period.
    points_per_frame: f64,
    /// Rigid walk, `[y, x][points]`, px.
    rigid: [Vec<f32>; 2],
    /// Walk of each polynomial, `[y, x][polynomials][points]`, px.
    nonrigid: [Vec<Vec<f32>>; 2],
    pulsation: [f64; 2],
    pulsation_phase: f64,
    jumps: Vec<Jump>,
    /// Weight of each knot in the mean over the pixels of a frame.
    mean_weights: Vec<f64>,
}

impl Motion {
    /// The movement of `spec`, from `random`.
    pub fn new(spec: &MovieSpec, mut random: Stream) -> Self {
        // At least four points in a fast time scale, so that straight lines between them are smooth.
        let points_per_frame = (4.0 / (spec.motion_fast_s * spec.frame_rate_hz))
            .ceil()
            .clamp(1.0, 64.0);
        let n_points = (spec.n_frames + 1) * points_per_frame as usize + 1;
        let points_per_s = spec.frame_rate_hz * points_per_frame;
        let mut walk = |deviation_px: f64, time_s: f64| {
            let time_points = time_s * points_per_s;
            let mut line = smooth_line(&white(n_points, &mut random), time_points);
            standardise(&mut line, deviation_of_line(time_points));
            line.iter_mut()
                .for_each(|value| *value *= deviation_px as f32);
            line
        };
        let part_px = spec.motion_px / std::f64::consts::SQRT_2;
        let mut rigid = || {
            let fast: Vec<f32> = walk(part_px, spec.motion_fast_s);
            let slow = walk(part_px, spec.motion_slow_s);
            fast.iter()
                .zip(&slow)
                .map(|(fast, slow)| fast + slow)
                .collect()
        };
        let rigid = [rigid(), rigid()];
        let mut nonrigid = || {
            POLYNOMIAL_WEIGHTS
                .iter()
                .map(|&weight| walk(f64::from(weight) * spec.nonrigid_px, NONRIGID_TIME_S))
                .collect()
        };
        let nonrigid = [nonrigid(), nonrigid()];

        let direction = random.between(0.0, std::f64::consts::TAU);
        let pulsation = [
            spec.pulsation_px * direction.sin(),
            spec.pulsation_px * direction.cos(),
        ];
        let pulsation_phase = random.between(0.0, std::f64::consts::TAU);
        Self {
            height: spec.height,
            width: spec.width,
            n_planes: spec.n_planes,
            frame_rate_hz: spec.frame_rate_hz,
            scan_share: spec.scan_share,
            largest_px: spec.largest_shift_px as f32,
            points_per_frame,
            rigid,
            nonrigid,
            pulsation,
            pulsation_phase,
            jumps: make_jumps(spec, &mut random),
            mean_weights: mean_weights(spec.height, spec.width),
        }
    }

    /// Displacement of frame `t` of `plane` at its knots.
    pub fn field(&self, plane: usize, t: usize) -> ShiftField {
        let mut field = ShiftField {
            y: [0.0; N_KNOTS],
            x: [0.0; N_KNOTS],
        };
        let [row_places, column_places] = knot_places();
        for (row, &row_place) in row_places.iter().enumerate() {
            let scanned = self.scan_share * row as f64 / (N_ROW_KNOTS - 1) as f64;
            let at_frames = t as f64 + (plane as f64 + scanned) / self.n_planes as f64;
            let rigid = self.rigid_at(at_frames);
            let walks = [0, 1].map(|axis: usize| {
                [0, 1, 2, 3, 4].map(|polynomial: usize| {
                    self.walk_at(&self.nonrigid[axis][polynomial], at_frames)
                })
            });
            for (column, &column_place) in column_places.iter().enumerate() {
                let values = polynomials(row_place, column_place);
                let at = [0, 1].map(|axis: usize| {
                    let bent: f32 = values
                        .iter()
                        .zip(&walks[axis])
                        .map(|(value, walk)| value * walk)
                        .sum();
                    (rigid[axis] + bent).clamp(-self.largest_px, self.largest_px)
                });
                field.y[row * N_COLUMN_KNOTS + column] = at[0];
                field.x[row * N_COLUMN_KNOTS + column] = at[1];
            }
        }
        field
    }

    /// Mean displacement (down, right) over the pixels of frame `t` of `plane`, px.
    pub fn shift(&self, plane: usize, t: usize) -> [f32; 2] {
        let field = self.field(plane, t);
        [&field.y, &field.x].map(|knots| {
            knots
                .iter()
                .zip(&self.mean_weights)
                .map(|(&knot, weight)| f64::from(knot) * weight)
                .sum::<f64>() as f32
        })
    }

    /// Rows (px from the frame's first) of the rows of knots, and columns of its columns.
    pub fn knot_positions_px(&self) -> [Vec<f32>; 2] {
        let [rows, columns] = knot_places();
        let place = |n: usize| move |place: &f32| (place + 1.0) / 2.0 * (n - 1) as f32;
        [
            rows.iter().map(place(self.height)).collect(),
            columns.iter().map(place(self.width)).collect(),
        ]
    }

    fn rigid_at(&self, at_frames: f64) -> [f32; 2] {
        let at_s = at_frames / self.frame_rate_hz;
        let beat = (std::f64::consts::TAU * PULSATION_HZ * at_s + self.pulsation_phase).sin();
        [0, 1].map(|axis: usize| {
            let jumps: f64 = self
                .jumps
                .iter()
                .map(|jump| jump.size_px[axis] * jump_course(at_s - jump.at_s))
                .sum();
            self.walk_at(&self.rigid[axis], at_frames)
                + (self.pulsation[axis] * beat + jumps) as f32
        })
    }

    fn walk_at(&self, walk: &[f32], at_frames: f64) -> f32 {
        let at = at_frames * self.points_per_frame;
        let index = (at as usize).min(walk.len() - 2);
        let share = (at - index as f64) as f32;
        walk[index] + share * (walk[index + 1] - walk[index])
    }
}

fn make_jumps(spec: &MovieSpec, random: &mut Stream) -> Vec<Jump> {
    let mut jumps = Vec::new();
    if spec.jumps_per_minute == 0.0 {
        return jumps;
    }
    let mean_wait_s = 60.0 / spec.jumps_per_minute;
    let mut at_s = mean_wait_s * random.exponential();
    while at_s < spec.duration_s() {
        let direction = random.between(0.0, std::f64::consts::TAU);
        let size_px = spec.jump_px * random.between(0.5, 1.5);
        jumps.push(Jump {
            at_s,
            size_px: [size_px * direction.sin(), size_px * direction.cos()],
        });
        at_s += mean_wait_s * random.exponential();
    }
    jumps
}

/// Course of a jump: 0 before, straight up to 1, then falling by e in each [`JUMP_FALL_S`].
fn jump_course(since_s: f64) -> f64 {
    if since_s <= 0.0 {
        0.0
    } else if since_s < JUMP_RISE_S {
        since_s / JUMP_RISE_S
    } else {
        (-(since_s - JUMP_RISE_S) / JUMP_FALL_S).exp()
    }
}

/// Places of the knots in rows and columns, −1 to 1.
fn knot_places() -> [Vec<f32>; 2] {
    [N_ROW_KNOTS, N_COLUMN_KNOTS].map(|n| {
        (0..n)
            .map(|knot| 2.0 * knot as f32 / (n - 1) as f32 - 1.0)
            .collect()
    })
}

fn polynomials(row: f32, column: f32) -> [f32; 5] {
    [
        row,
        column,
        row * column,
        1.5 * row * row - 0.5,
        1.5 * column * column - 0.5,
    ]
}

/// Lower knot and the share of the upper one at pixel `at` of `n` pixels.
fn between_knots(at: usize, n: usize, n_knots: usize) -> (usize, f32) {
    let place = at as f32 * (n_knots - 1) as f32 / (n - 1) as f32;
    let knot = (place as usize).min(n_knots - 2);
    (knot, place - knot as f32)
}

fn mean_weights(height: usize, width: usize) -> Vec<f64> {
    let line = |n: usize, n_knots: usize| {
        let mut weights = vec![0.0; n_knots];
        for at in 0..n {
            let (knot, share) = between_knots(at, n, n_knots);
            weights[knot] += f64::from(1.0 - share) / n as f64;
            weights[knot + 1] += f64::from(share) / n as f64;
        }
        weights
    };
    let columns = line(width, N_COLUMN_KNOTS);
    line(height, N_ROW_KNOTS)
        .into_iter()
        .flat_map(|row| {
            columns
                .iter()
                .map(move |column| row * column)
                .collect::<Vec<_>>()
        })
        .collect()
}

impl ShiftField {
    /// Displacement of each pixel of row `y` of a `height` × `width` frame: `down` and `right` are `[width]`, px.
    pub fn row(&self, y: usize, height: usize, down: &mut [f32], right: &mut [f32]) {
        let (knot, share) = between_knots(y, height, N_ROW_KNOTS);
        let width = down.len();
        for (knots, out) in [(&self.y, down), (&self.x, right)] {
            let upper = &knots[knot * N_COLUMN_KNOTS..][..N_COLUMN_KNOTS];
            let lower = &knots[(knot + 1) * N_COLUMN_KNOTS..][..N_COLUMN_KNOTS];
            let mut line = [0.0f32; N_COLUMN_KNOTS];
            for ((line, upper), lower) in line.iter_mut().zip(upper).zip(lower) {
                *line = upper + share * (lower - upper);
            }
            let per_pixel = (N_COLUMN_KNOTS - 1) as f32 / (width - 1) as f32;
            for (x, out) in out.iter_mut().enumerate() {
                let place = x as f32 * per_pixel;
                let column = (place as usize).min(N_COLUMN_KNOTS - 2);
                *out = line[column] + (place - column as f32) * (line[column + 1] - line[column]);
            }
        }
    }

    /// Smallest and largest displacement, `[[down, down], [right, right]]`, px.
    pub fn range(&self) -> [[f32; 2]; 2] {
        [&self.y, &self.x].map(|knots| {
            knots.iter().fold([f32::MAX, f32::MIN], |range, &knot| {
                [range[0].min(knot), range[1].max(knot)]
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::spec::MovieKind;
    use super::*;

    #[test]
    fn the_shift_is_the_mean_over_the_pixels() {
        let spec = MovieSpec {
            height: 61,
            width: 47,
            ..MovieSpec::new(MovieKind::Hard)
        };
        let motion = Motion::new(&spec, Stream::new(3, 0));
        for t in [0, 7, 1999] {
            let field = motion.field(0, t);
            let mut sums = [0.0f64; 2];
            let (mut down, mut right) = (vec![0.0; 47], vec![0.0; 47]);
            for y in 0..61 {
                field.row(y, 61, &mut down, &mut right);
                sums[0] += down.iter().map(|&value| f64::from(value)).sum::<f64>();
                sums[1] += right.iter().map(|&value| f64::from(value)).sum::<f64>();
            }
            let shift = motion.shift(0, t);
            for axis in 0..2 {
                // Sums of f32 values of a few px.
                let mean = sums[axis] / (61.0 * 47.0);
                assert!((mean - f64::from(shift[axis])).abs() < 1e-5, "frame {t}");
            }
        }
    }

    #[test]
    fn rigid_motion_has_its_deviation_and_still_tissue_does_not_move() {
        let spec = MovieSpec {
            n_frames: 6000,
            nonrigid_px: 0.0,
            ..MovieSpec::default()
        };
        let motion = Motion::new(&spec, Stream::new(1, 0));
        for axis in 0..2 {
            let shifts: Vec<f64> = (0..6000)
                .map(|t| f64::from(motion.shift(0, t)[axis]))
                .collect();
            let mean = shifts.iter().sum::<f64>() / 6000.0;
            let variance = shifts
                .iter()
                .map(|shift| (shift - mean).powi(2))
                .sum::<f64>()
                / 6000.0;
            // Fast and slow walks are independent, but the slow one has only some 30 independent stretches.
            assert!(
                mean.abs() < 0.05 && (variance.sqrt() - 2.5).abs() < 0.35,
                "{mean} {variance}"
            );
        }
        let still = Motion::new(&MovieSpec::new(MovieKind::Still), Stream::new(1, 0));
        assert_eq!(still.field(0, 100).range(), [[0.0, 0.0], [0.0, 0.0]]);
    }

    #[test]
    fn rows_are_scanned_in_time_and_planes_follow_each_other() {
        let spec = MovieSpec {
            nonrigid_px: 0.0,
            scan_share: 1.0,
            n_planes: 2,
            ..MovieSpec::new(MovieKind::Hard)
        };
        let motion = Motion::new(&spec, Stream::new(5, 0));
        for t in 0..50 {
            let (first, second) = (motion.field(0, t), motion.field(1, t));
            let next = motion.field(0, t + 1);
            // The last row of one plane is scanned when the first row of the next one is.
            assert!((first.y[N_KNOTS - 1] - second.y[0]).abs() < 1e-4, "{t}");
            assert!((second.x[N_KNOTS - 1] - next.x[0]).abs() < 1e-4, "{t}");
            assert_ne!(first.y[0], first.y[N_KNOTS - 1]);
        }
    }
}
