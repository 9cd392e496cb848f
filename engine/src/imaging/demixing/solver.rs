//! Weighted least squares of a frame: all cells and the background at once.

use somata_shaders::layout::ProjectFootprintsParams;

use crate::{
    device::{BufferId, Commands, Executor, Resident},
    error::Result,
    imaging::rois::Rows,
    linalg,
};

/// Added to the diagonal, relative to it: keeps two footprints that are all but equal apart.
const RIDGE: f64 = 1e-6;

/// Rows of pixels on the device.
pub struct DeviceRows {
    n_rows: u32,
    start: Resident,
    pixel: Resident,
    weight: Resident,
}

impl DeviceRows {
    /// Puts rows on the device.
    ///
    /// # Errors
    /// When it has no room.
    pub fn new(executor: &dyn Executor, rows: &Rows) -> Result<Self> {
        Ok(Self {
            n_rows: rows.len() as u32,
            start: executor.resident("row_start", &rows.start)?,
            pixel: executor.resident("pixel", &rows.pixel)?,
            weight: executor.resident("weight", &rows.weight)?,
        })
    }

    /// Appends every row's weighted sum of every frame: `[frame, row]`.
    pub fn record(
        &self,
        commands: &mut Commands,
        frames: BufferId,
        n_frames: usize,
        n_pixels: usize,
    ) -> BufferId {
        let out = commands.buffer("projections", n_frames * self.n_rows as usize);
        let rows = [&self.start, &self.pixel, &self.weight].map(|part| commands.resident(part));
        commands.dispatch(
            &ProjectFootprintsParams {
                n_frames: n_frames as u32,
                n_pixels: n_pixels as u32,
                n_rows: self.n_rows,
            },
            &[frames, rows[0], rows[1], rows[2], out],
        );
        out
    }
}

/// The least squares of cells and background.
pub struct Solver {
    /// Weighted footprints, cells first: what a frame is projected on.
    pub weighted: Rows,
    n_cells: usize,
    /// Inverse of the normal matrix, `[row, row]`.
    inverse: Vec<f32>,
    /// Change of the cells' amplitudes for a change of the background's, `[background, cell]`.
    exchange: Vec<f32>,
    /// Standard deviation of each cell's amplitude in a frame, from the pixels' noise.
    pub noise: Vec<f32>,
}

impl Solver {
    /// The solver for cells and background with the noise of a frame's pixels.
    pub fn new(cells: &Rows, background: &Rows, noise: &[f32]) -> Self {
        let mut rows = cells.clone();
        rows.extend(background);
        let n = rows.len();
        let weight: Vec<f64> = noise.iter().map(|&s| f64::from(s).powi(-2)).collect();
        // Rows by pixel: few rows share a pixel, so the matrix is summed pixel by pixel.
        let mut by_pixel: Vec<Vec<(u32, f32)>> = vec![Vec::new(); noise.len()];
        let mut weighted = Rows::new();
        for k in 0..n {
            for (pixel, value) in rows.row(k) {
                by_pixel[pixel as usize].push((k as u32, value));
            }
            weighted.push(
                rows.row(k).map(|(pixel, value)| {
                    (pixel, (f64::from(value) * weight[pixel as usize]) as f32)
                }),
            );
        }
        let mut matrix = vec![0.0f64; n * n];
        for (entries, weight) in by_pixel.iter().zip(&weight) {
            for &(a, u) in entries {
                for &(b, v) in entries {
                    matrix[a as usize * n + b as usize] += f64::from(u) * f64::from(v) * weight;
                }
            }
        }
        let largest = (0..n).map(|k| matrix[k * n + k]).fold(0.0, f64::max);
        for k in 0..n {
            matrix[k * n + k] =
                matrix[k * n + k] * (1.0 + RIDGE) + 1e-12 * largest + f64::MIN_POSITIVE;
        }
        let inverse = linalg::inverse_spd(&matrix, n).unwrap_or_else(|| vec![0.0; n * n]);
        let (m, k) = (cells.len(), background.len());
        let own: Vec<f64> = (0..m)
            .flat_map(|a| matrix[a * n..a * n + m].to_vec())
            .collect();
        let shared: Vec<f64> = (0..m)
            .flat_map(|a| matrix[a * n + m..(a + 1) * n].to_vec())
            .collect();
        let exchange = match linalg::solve_spd(&own, m, &shared, k) {
            Some(found) if m > 0 => (0..k)
                .flat_map(|b| (0..m).map(move |a| (a, b)))
                .map(|(a, b)| found[a * k + b] as f32)
                .collect(),
            _ => vec![0.0; m * k],
        };
        Self {
            noise: (0..m)
                .map(|k| inverse[k * n + k].max(0.0).sqrt() as f32)
                .collect(),
            n_cells: m,
            weighted,
            inverse: inverse.into_iter().map(|v| v as f32).collect(),
            exchange,
        }
    }

    /// Cells.
    pub fn n_cells(&self) -> usize {
        self.n_cells
    }

    /// What the cells' amplitudes gain when the background's fall by `less` `[frame, background]`: `[frame, cell]`.
    pub fn exchange(&self, less: &[f32]) -> Vec<f32> {
        let k = self.weighted.len() - self.n_cells;
        if k == 0 {
            return vec![0.0; 0];
        }
        linalg::product_f32(less, &self.exchange, less.len() / k, k, self.n_cells)
    }

    /// Amplitudes of all rows, background included: `[frame, row]`.
    pub fn all(&self, projected: &[f32]) -> Vec<f32> {
        let n = self.weighted.len();
        if n == 0 {
            return Vec::new();
        }
        linalg::product_f32(projected, &self.inverse, projected.len() / n, n, n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_cells_are_taken_apart() {
        let (n_pixels, mut cells, mut background) = (30, Rows::new(), Rows::new());
        cells.push((2..12).map(|p| (p, 1.0)));
        cells.push((8..20).map(|p| (p, 0.5)));
        background.push((0..30).map(|p| (p, 2.0)));
        let noise = vec![1.5f32; n_pixels];
        let solver = Solver::new(&cells, &background, &noise);
        let truth = [3.0f32, -1.0, 0.25];
        let frame: Vec<f32> = (0..30)
            .map(|p| {
                let own = |k: usize, rows: &Rows| {
                    rows.row(k)
                        .find(|(pixel, _)| *pixel == p)
                        .map_or(0.0, |(_, w)| w)
                };
                truth[0] * own(0, &cells)
                    + truth[1] * own(1, &cells)
                    + truth[2] * own(0, &background)
            })
            .collect();
        let projected: Vec<f32> = solver
            .weighted
            .apply(&frame)
            .iter()
            .map(|&v| v as f32)
            .collect();
        for (found, truth) in solver.all(&projected).iter().zip(truth) {
            assert!((found - truth).abs() < 1e-4, "{found} {truth}");
        }
        // A background that is held back leaves its light to the cells: what is then nearest by least squares of the cells alone.
        let less = [0.1f32];
        let gained = solver.exchange(&less);
        let alone = Solver::new(&cells, &Rows::new(), &noise);
        let rest: Vec<f32> = (0..30)
            .map(|p| {
                0.1 * background
                    .row(0)
                    .find(|(pixel, _)| *pixel == p)
                    .map_or(0.0, |(_, w)| w)
            })
            .collect();
        let projected: Vec<f32> = alone
            .weighted
            .apply(&rest)
            .iter()
            .map(|&v| v as f32)
            .collect();
        for (gained, expected) in gained.iter().zip(alone.all(&projected)) {
            assert!((gained - expected).abs() < 1e-4, "{gained} {expected}");
        }
    }
}
