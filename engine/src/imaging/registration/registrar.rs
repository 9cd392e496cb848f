//! Tables of one reference image on the device, and the commands that register frames with them.

use num_complex::Complex;
use somata_shaders::{
    cpu::{common::transform_rows::transform_rows, imaging::field::Knots},
    layout::{
        FilterColumnsParams, FindShiftsParams, MAX_KNOT_COLUMNS, MAX_TRANSFORM, MoveFramesParams,
        ROW_SCALARS, ShrinkFramesParams, SolveShiftsParams, SumGradientsParams,
        TransformRowsParams,
    },
};

use crate::{
    device::{BufferId, Commands, Executor, Resident},
    error::Result,
    linalg,
    parameters::imaging::Registration,
};

/// Pixels of the widest transform before bins grow.
const COARSE_PIXELS: usize = 256;
/// Standard deviation of the Gaussian whose complement is the high-pass of the correlation, pixels.
const HIGHPASS_PIXELS: f64 = 8.0;
/// Width of the taper at the edges of the coarse image, bins.
const TAPER_BINS: f64 = 2.0;
/// Pixels at the edges whose gradient is not known and that have no weight.
const EDGE: usize = 2;
/// Parts of the reference's bins that are clipped at the dark and the bright end.
const CLIP: (f64, f64) = (0.01, 0.005);

/// How the frames of one reference are registered.
pub struct Registrar {
    shrink: ShrinkFramesParams,
    max_shift: [u32; 2],
    gradients: SumGradientsParams,
    reach: f32,
    steps: u32,
    taper: Resident,
    filter: Resident,
    model: Resident,
    system: Resident,
    reference: Resident,
    knots_per_frame: usize,
}

/// Buffers of registered frames in a list of commands.
#[derive(Clone, Copy)]
pub struct Registered {
    /// Shift field, `[frame, 2, knot_row, knot_column]`, pixels.
    pub knots: BufferId,
    /// Correlation with the reference, gain and offset, `[frame, 3]`.
    pub fit: BufferId,
}

/// Grid of knots for an image: what was asked for, but not more than a knot for every 16 pixels.
pub fn knot_grid(parameters: &Registration, height: usize, width: usize) -> (u32, u32) {
    let most = |pixels: usize| (pixels / 16).max(1) as u32;
    (
        parameters.knot_rows.min(most(height)),
        parameters
            .knot_columns
            .min(MAX_KNOT_COLUMNS)
            .min(most(width)),
    )
}

impl Registrar {
    /// Tables for a reference `[y, x]` whose pixels have variances `[y, x]` in a frame.
    ///
    /// `steps` Gauss-Newton steps are made; 0 leaves the coarse shift.
    ///
    /// # Errors
    /// When the device has no room.
    pub fn new(
        executor: &dyn Executor,
        reference: &[f32],
        variance: &[f32],
        [height, width]: [usize; 2],
        parameters: &Registration,
        steps: u32,
    ) -> Result<Self> {
        let (knot_rows, knot_columns) = knot_grid(parameters, height, width);
        let bin = coarse_bin(height, width);
        let bins = [height / bin, width / bin];
        let size = bins.map(usize::next_power_of_two);
        let coarse = CoarseTables::new(reference, width, bin, bins, size);
        let zero = weighted_mean(reference, variance, height, width);
        let fine = FineTables::new(
            reference,
            variance,
            [height, width],
            [knot_rows, knot_columns],
            parameters.ridge,
            zero,
        );
        let max_shift = parameters.max_shift * height.min(width) as f64 / bin as f64;
        Ok(Self {
            shrink: ShrinkFramesParams {
                n_frames: 0,
                height: height as u32,
                width: width as u32,
                shrink: bin as u32,
                rows: size[0] as u32,
                columns: size[1] as u32,
                low: coarse.low,
                high: coarse.high,
                zero: coarse.zero,
            },
            max_shift: [0, 1].map(|axis| (max_shift.ceil() as usize).min(bins[axis] / 2) as u32),
            gradients: SumGradientsParams {
                n_frames: 0,
                height: height as u32,
                width: width as u32,
                knot_rows,
                knot_columns,
                zero,
            },
            // A bin and a half from the coarse shift, and what non-rigid motion may add.
            reach: 1.5 * bin as f32 + 3.0,
            steps,
            taper: executor.resident("taper", &coarse.taper)?,
            filter: executor.resident("filter", &coarse.filter)?,
            model: executor.resident("model", &fine.model)?,
            system: executor.resident("system", &fine.system)?,
            reference: executor.resident("reference", reference)?,
            knots_per_frame: (2 * knot_rows * knot_columns) as usize,
        })
    }

    /// Values of a frame's shift field.
    pub fn knots_per_frame(&self) -> usize {
        self.knots_per_frame
    }

    /// Bytes of the largest buffer that one frame takes.
    pub fn bytes_per_frame(&self) -> u64 {
        let complex = 4 * u64::from(self.shrink.rows) * u64::from(self.shrink.columns);
        (4 * u64::from(self.shrink.height) * u64::from(self.shrink.width)).max(complex)
    }

    /// The reference on the device.
    pub fn reference(&self) -> &Resident {
        &self.reference
    }

    /// Appends the estimation of the shift fields of frames `[frame, y, x]`.
    pub fn estimate(&self, commands: &mut Commands, frames: BufferId, n_frames: u32) -> Registered {
        let start = self.coarse(commands, frames, n_frames);
        let knots = commands.zeros("knots", n_frames as usize * self.knots_per_frame);
        let fit = commands.zeros("fit", 3 * n_frames as usize);
        let entries = (ROW_SCALARS + 2 * self.gradients.knot_columns) as usize;
        let sums = commands.zeros(
            "row_sums",
            n_frames as usize * self.gradients.height as usize * entries,
        );
        let (model, system) = (
            commands.resident(&self.model),
            commands.resident(&self.system),
        );
        let solve = |commands: &mut Commands, reach: f32| {
            commands.dispatch(
                &SolveShiftsParams {
                    n_frames,
                    height: self.gradients.height,
                    knot_rows: self.gradients.knot_rows,
                    knot_columns: self.gradients.knot_columns,
                    reach,
                },
                &[sums, system, start, knots, fit],
            );
        };
        // A first step without reach puts every knot at the coarse shift; where it stays there, a second one says how it fits.
        solve(commands, 0.0);
        for _ in 0..self.steps.max(1) {
            commands.dispatch(
                &SumGradientsParams {
                    n_frames,
                    ..self.gradients
                },
                &[frames, knots, model, sums],
            );
            solve(commands, if self.steps == 0 { 0.0 } else { self.reach });
        }
        Registered { knots, fit }
    }

    /// Appends the coarse shift of every frame: `[frame, 3]`.
    fn coarse(&self, commands: &mut Commands, frames: BufferId, n_frames: u32) -> BufferId {
        let shrink = ShrinkFramesParams {
            n_frames,
            ..self.shrink
        };
        let n_images = n_frames.div_ceil(2);
        let (rows, columns) = (shrink.rows, shrink.columns);
        let taper = commands.resident(&self.taper);
        let filter = commands.resident(&self.filter);
        let images = commands.buffer("coarse", 2 * (n_images * rows * columns) as usize);
        let shifts = commands.buffer("shifts", 3 * n_frames as usize);
        commands.dispatch(&shrink, &[frames, taper, images]);
        let transform = |inverse| TransformRowsParams {
            n_images,
            rows,
            columns,
            inverse,
        };
        commands.dispatch(&transform(0), &[images]);
        commands.dispatch(
            &FilterColumnsParams {
                n_images,
                rows,
                columns,
            },
            &[filter, images],
        );
        commands.dispatch(&transform(1), &[images]);
        commands.dispatch(
            &FindShiftsParams {
                n_frames,
                rows,
                columns,
                max_y: self.max_shift[0],
                max_x: self.max_shift[1],
                shrink: shrink.shrink,
            },
            &[images, shifts],
        );
        shifts
    }

    /// Appends the resampling of frames by their shift fields: moved frames, and spans of measured pixels.
    pub fn resample(
        &self,
        commands: &mut Commands,
        frames: BufferId,
        knots: BufferId,
        n_frames: u32,
    ) -> (BufferId, BufferId) {
        let (height, width) = (self.gradients.height, self.gradients.width);
        let moved = commands.buffer("moved", (n_frames * height * width) as usize);
        let spans = commands.buffer("spans", 2 * (n_frames * height) as usize);
        let reference = commands.resident(&self.reference);
        commands.dispatch(
            &MoveFramesParams {
                n_frames,
                height,
                width,
                knot_rows: self.gradients.knot_rows,
                knot_columns: self.gradients.knot_columns,
            },
            &[frames, knots, reference, moved, spans],
        );
        (moved, spans)
    }

    /// Mean shift of a frame over the image, y and x, from its knots.
    pub fn mean_shift(&self, knots: &[f32]) -> [f32; 2] {
        let g = &self.gradients;
        mean_shift(knots, g.knot_rows as usize, g.knot_columns as usize)
    }
}

/// Mean over the image of a field between equally spaced knots: the trapezoid rule.
pub fn mean_shift(knots: &[f32], rows: usize, columns: usize) -> [f32; 2] {
    let weight = |k: usize, n: usize| {
        if n == 1 {
            1.0
        } else if k == 0 || k == n - 1 {
            0.5 / (n - 1) as f32
        } else {
            1.0 / (n - 1) as f32
        }
    };
    let mut mean = [0.0; 2];
    for (axis, knots) in knots.chunks_exact(rows * columns).take(2).enumerate() {
        for (k, value) in knots.iter().enumerate() {
            mean[axis] += value * weight(k / columns, rows) * weight(k % columns, columns);
        }
    }
    mean
}

/// Pixels of a coarse bin: enough that the transform is short, one where the image is small.
fn coarse_bin(height: usize, width: usize) -> usize {
    let longest = height.max(width);
    let mut bin = if longest >= 96 { 2 } else { 1 };
    while longest / bin > COARSE_PIXELS && longest / bin > MAX_TRANSFORM as usize / 4 {
        bin *= 2;
    }
    bin
}

/// Mean of the reference under the weights of the fit.
fn weighted_mean(reference: &[f32], variance: &[f32], height: usize, width: usize) -> f32 {
    let weight = weights(variance, height, width);
    let total: f64 = weight.iter().map(|&w| f64::from(w)).sum();
    let sum: f64 = reference
        .iter()
        .zip(&weight)
        .map(|(&value, &w)| f64::from(value) * f64::from(w))
        .sum();
    (sum / total.max(f64::MIN_POSITIVE)) as f32
}

/// Inverse variances, mean 1 within the edges and 0 at them.
fn weights(variance: &[f32], height: usize, width: usize) -> Vec<f32> {
    let inside = |i: usize| {
        let (y, x) = (i / width, i % width);
        let edge = |at: usize, n: usize| at < EDGE.min(n / 4) || at + EDGE.min(n / 4) >= n;
        !edge(y, height) && !edge(x, width)
    };
    let mut sorted: Vec<f32> = variance.to_vec();
    let floor = 0.05 * linalg::median(&mut sorted) + f32::MIN_POSITIVE;
    let mut weight: Vec<f32> = variance
        .iter()
        .enumerate()
        .map(|(i, &v)| if inside(i) { 1.0 / v.max(floor) } else { 0.0 })
        .collect();
    let mean = weight.iter().map(|&w| f64::from(w)).sum::<f64>() / weight.len().max(1) as f64;
    let scale = (1.0 / mean) as f32;
    if scale.is_finite() {
        weight.iter_mut().for_each(|w| *w *= scale);
    }
    weight
}

/// What the correlation takes.
struct CoarseTables {
    taper: Vec<f32>,
    filter: Vec<f32>,
    low: f32,
    high: f32,
    zero: f32,
}

impl CoarseTables {
    fn new(
        reference: &[f32],
        width: usize,
        bin: usize,
        [rows, columns]: [usize; 2],
        [size_y, size_x]: [usize; 2],
    ) -> Self {
        let mut binned = vec![0.0f32; rows * columns];
        for (i, value) in binned.iter_mut().enumerate() {
            let (y, x) = (i / columns * bin, i % columns * bin);
            let sum: f32 = (0..bin * bin)
                .map(|k| reference[(y + k / bin) * width + x + k % bin])
                .sum();
            *value = sum / (bin * bin) as f32;
        }
        let mut sorted = binned.clone();
        sorted.sort_by(f32::total_cmp);
        let at = |part: f64| sorted[((sorted.len() - 1) as f64 * part).round() as usize];
        let (low, high) = (at(CLIP.0), at(1.0 - CLIP.1));
        let clipped: f64 = binned
            .iter()
            .map(|value| f64::from(value.clamp(low, high)))
            .sum();
        let zero = (clipped / binned.len() as f64) as f32;
        let axis = |n: usize, size: usize| -> Vec<f32> {
            let middle = (n as f64 - 1.0) / 2.0;
            (0..size)
                .map(|i| {
                    if i >= n {
                        return 0.0;
                    }
                    let from_edge = middle - (i as f64 - middle).abs() - 2.0 * TAPER_BINS;
                    (1.0 / (1.0 + (-from_edge / TAPER_BINS).exp())) as f32
                })
                .collect()
        };
        let (taper_y, taper_x) = (axis(rows, size_y), axis(columns, size_x));
        let mut image = vec![0.0f32; 2 * size_y * size_x];
        for y in 0..rows {
            for x in 0..columns {
                image[2 * (y * size_x + x)] =
                    (binned[y * columns + x].clamp(low, high) - zero) * (taper_y[y] * taper_x[x]);
            }
        }
        let spectrum = transform(&mut image, size_y, size_x);
        let frequency = |i: usize, n: usize| {
            let i = if 2 * i > n {
                i as f64 - n as f64
            } else {
                i as f64
            };
            i / (n * bin) as f64
        };
        // Scaled so that the reference correlates to 1 with itself.
        let mut power = 0.0;
        let mut filter = Vec::with_capacity(2 * size_y * size_x);
        for y in 0..size_y {
            for x in 0..size_x {
                let q = frequency(y, size_y).powi(2) + frequency(x, size_x).powi(2);
                let highpass =
                    1.0 - (-2.0 * std::f64::consts::PI.powi(2) * HIGHPASS_PIXELS.powi(2) * q).exp();
                let value = spectrum[y * size_x + x];
                power += f64::from(value.norm_sqr()) * highpass;
                filter.push((f64::from(value.re) * highpass) as f32);
                filter.push((-f64::from(value.im) * highpass) as f32);
            }
        }
        let scale = (1.0 / power.max(f64::MIN_POSITIVE)) as f32;
        filter.iter_mut().for_each(|value| *value *= scale);
        Self {
            taper: [taper_y, taper_x].concat(),
            filter,
            low,
            high,
            zero,
        }
    }
}

/// Two-dimensional transform of a complex image `[row, column, 2]`.
fn transform(image: &mut [f32], rows: usize, columns: usize) -> Vec<Complex<f32>> {
    let lines = |rows: usize, columns: usize| TransformRowsParams {
        n_images: 1,
        rows: rows as u32,
        columns: columns as u32,
        inverse: 0,
    };
    transform_rows(&lines(rows, columns), image);
    let turn = |image: &[f32], rows: usize, columns: usize| -> Vec<f32> {
        (0..columns * rows)
            .flat_map(|i| {
                let at = 2 * (i % rows * columns + i / rows);
                [image[at], image[at + 1]]
            })
            .collect()
    };
    let mut turned = turn(image, rows, columns);
    transform_rows(&lines(columns, rows), &mut turned);
    bytemuck::cast_slice(&turn(&turned, columns, rows)).to_vec()
}

/// What the Gauss-Newton steps take.
struct FineTables {
    model: Vec<f32>,
    system: Vec<f32>,
}

impl FineTables {
    fn new(
        reference: &[f32],
        variance: &[f32],
        [height, width]: [usize; 2],
        [knot_rows, knot_columns]: [u32; 2],
        ridge: f64,
        zero: f32,
    ) -> Self {
        let n_pixels = height * width;
        let weight = weights(variance, height, width);
        let (gradient_y, gradient_x) = gradients(reference, height, width);
        let mut model = vec![0.0f32; 5 * n_pixels];
        for i in 0..n_pixels {
            // `zero` is the weighted mean, so this is the reference about its mean as well.
            let value = reference[i] - zero;
            model[i] = value;
            model[n_pixels + i] = weight[i];
            model[2 * n_pixels + i] = weight[i] * value;
            model[3 * n_pixels + i] = weight[i] * gradient_y[i];
            model[4 * n_pixels + i] = weight[i] * gradient_x[i];
        }
        let grid = Knots::new(knot_rows, knot_columns, height as u32, width as u32);
        let n = grid.len();
        let mut matrix = vec![0.0f64; n * n];
        let (mut gradient, mut fixed) = (vec![0.0f64; n], vec![0.0f64; n]);
        let (mut total, mut squares) = (0.0f64, 0.0f64);
        for y in 0..height {
            let (first, next, t) = grid.row_place(y);
            for x in 0..width {
                let i = y * width + x;
                let w = f64::from(weight[i]);
                if w == 0.0 {
                    continue;
                }
                let value = f64::from(model[i]);
                total += w;
                squares += w * value * value;
                let place = grid.tile_place(x / 16 * 16);
                let s = f64::from(grid.column_weight(x as f32, place));
                let t = f64::from(t);
                let knots = [
                    (first * grid.columns + place.column, (1.0 - t) * (1.0 - s)),
                    (first * grid.columns + place.next, (1.0 - t) * s),
                    (next * grid.columns + place.column, t * (1.0 - s)),
                    (next * grid.columns + place.next, t * s),
                ];
                let slopes = [f64::from(gradient_y[i]), f64::from(gradient_x[i])];
                for axis in 0..2 {
                    for &(a, share) in &knots {
                        let row = axis * n / 2 + a;
                        let pull = w * slopes[axis] * share;
                        gradient[row] += pull;
                        fixed[row] += pull * value;
                        for other in 0..2 {
                            for &(b, other_share) in &knots {
                                matrix[row * n + other * n / 2 + b] +=
                                    pull * slopes[other] * other_share;
                            }
                        }
                    }
                }
            }
        }
        let scale = (0..n).map(|k| matrix[k * n + k]).sum::<f64>() / n as f64;
        let bending = bending(grid.rows, grid.columns);
        let half = n / 2;
        let mut penalty = vec![0.0f64; n * n];
        for axis in 0..2 {
            for a in 0..half {
                for b in 0..half {
                    penalty[(axis * half + a) * n + axis * half + b] =
                        ridge * scale * bending[a * half + b];
                }
            }
        }
        for k in 0..n * n {
            matrix[k] += penalty[k];
        }
        for k in 0..n {
            matrix[k * n + k] += 1e-6 * scale + f64::MIN_POSITIVE;
        }
        // A reference without any structure gives no step at all, nor does one too faint for single precision.
        let inverse = linalg::inverse(&matrix, n)
            .filter(|inverse| {
                let fits = |value: &f64| value.abs() < f64::from(f32::MAX) * 1e-6;
                squares > 0.0 && inverse.iter().all(fits)
            })
            .unwrap_or_else(|| vec![0.0; n * n]);
        let mut damped = vec![0.0f64; n * n];
        for a in 0..n {
            for b in 0..n {
                damped[a * n + b] = (0..n)
                    .map(|k| inverse[a * n + k] * penalty[k * n + b])
                    .sum();
            }
        }
        let squares = if squares > 0.0 { squares } else { 1.0 };
        let system = [total, squares, 0.0, 0.0]
            .into_iter()
            .chain(gradient)
            .chain(fixed)
            .chain(inverse)
            .chain(damped)
            .map(|value| value as f32)
            .collect();
        Self { model, system }
    }
}

/// Derivatives along y and x: the five-point formula, the edge repeated.
fn gradients(image: &[f32], height: usize, width: usize) -> (Vec<f32>, Vec<f32>) {
    let at = |y: i64, x: i64| {
        let y = y.clamp(0, height as i64 - 1) as usize;
        let x = x.clamp(0, width as i64 - 1) as usize;
        image[y * width + x]
    };
    let slope = |before2: f32, before: f32, after: f32, after2: f32| {
        (before2 - 8.0 * before + 8.0 * after - after2) / 12.0
    };
    let (mut along_y, mut along_x) = (Vec::new(), Vec::new());
    for y in 0..height as i64 {
        for x in 0..width as i64 {
            along_y.push(slope(
                at(y - 2, x),
                at(y - 1, x),
                at(y + 1, x),
                at(y + 2, x),
            ));
            along_x.push(slope(
                at(y, x - 2),
                at(y, x - 1),
                at(y, x + 1),
                at(y, x + 2),
            ));
        }
    }
    (along_y, along_x)
}

/// Penalty on the bending of a field over a grid of knots: squared second differences along y and x (first differences
/// where there are only two knots), and the squared twist of every cell.
fn bending(rows: usize, columns: usize) -> Vec<f64> {
    let n = rows * columns;
    let mut penalty = vec![0.0; n * n];
    let mut add = |terms: &[(usize, f64)], weight: f64| {
        for &(a, u) in terms {
            for &(b, v) in terms {
                penalty[a * n + b] += weight * u * v;
            }
        }
    };
    let at = |row: usize, column: usize| row * columns + column;
    for column in 0..columns {
        for row in 1..rows.saturating_sub(1) {
            add(
                &[
                    (at(row - 1, column), 1.0),
                    (at(row, column), -2.0),
                    (at(row + 1, column), 1.0),
                ],
                1.0,
            );
        }
        if rows == 2 {
            add(&[(at(0, column), -1.0), (at(1, column), 1.0)], 1.0);
        }
    }
    for row in 0..rows {
        for column in 1..columns.saturating_sub(1) {
            add(
                &[
                    (at(row, column - 1), 1.0),
                    (at(row, column), -2.0),
                    (at(row, column + 1), 1.0),
                ],
                1.0,
            );
        }
        // Rows are scanned one after the other and move by themselves; along x only the tissue bends, and little.
        for column in 1..columns {
            add(&[(at(row, column - 1), -1.0), (at(row, column), 1.0)], 1.0);
        }
    }
    penalty
}
