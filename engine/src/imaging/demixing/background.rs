//! The light that is not cells: hat functions on a grid, times how bright the tissue is between cells.
//!
//! Neuropil changes slowly in space but follows the local brightness (a vessel stays dark whatever the neuropil does), so the
//! basis is the brightness itself, with smoothly varying factors.

use crate::{imaging::rois::Rows, linalg};

/// Distance of the grid's knots where traces are solved for, pixels: finer follows the neuropil better, and leaves more noise, which
/// smoothing in time takes out again (measured with true footprints at 2 photons: trace correlation 0.964 at 32 px, 0.974 at 20 px smoothed).
pub const FINE_SPACING: f64 = 20.0;
/// Distance where footprints are: a finer background takes the faint rims of cells for its own.
pub const COARSE_SPACING: f64 = 32.0;
/// Standard deviation of the Gaussian that fills in the brightness under cells, pixels.
const FILL_SIGMA: f64 = 5.0;

/// What is not cells.
#[derive(Clone, Debug)]
pub struct Background {
    /// Basis functions.
    pub rows: Rows,
    /// Value of a pixel without light.
    pub offset: f32,
    /// Brightness above the offset, filled in under cells, `[y, x]`.
    pub brightness: Vec<f32>,
}

/// Deviations of its error by which the slope of the photon-transfer line must differ from 0.
const LINE_DEVIATIONS: f64 = 4.0;

/// Value of a pixel without light, from the photon-transfer line: the noise variance grows with the mean, and the line through both
/// meets zero variance at the offset (Janesick 2007, Photon Transfer). Where the variance does not grow, the darkest pixel's value.
pub fn offset(mean: &[f32], noise: &[f32], measured: &[bool]) -> f32 {
    let mut points: Vec<(f64, f64)> = (0..mean.len())
        .filter(|&i| measured[i])
        .map(|i| (f64::from(mean[i]), f64::from(noise[i]).powi(2)))
        .collect();
    if points.is_empty() {
        return 0.0;
    }
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let lowest = points[(points.len() - 1) / 200].0;
    let cut = points.len() / 20;
    let middle = &points[cut..points.len() - cut];
    let n = middle.len() as f64;
    let (mx, my) = middle
        .iter()
        .fold((0.0, 0.0), |s, p| (s.0 + p.0 / n, s.1 + p.1 / n));
    let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in middle {
        xx += (x - mx).powi(2);
        xy += (x - mx) * (y - my);
        yy += (y - my).powi(2);
    }
    let slope = xy / xx;
    // A slope by chance would put the offset anywhere, far below all pixels as well.
    let explained = slope * xy;
    let is_line = n * explained > LINE_DEVIATIONS.powi(2) * (yy - explained).max(0.0);
    if !slope.is_finite() || slope <= 0.0 || !is_line {
        return points[0].0 as f32;
    }
    (mx - my / slope).min(lowest) as f32
}

impl Background {
    /// The basis for an image with these pixels in cells.
    pub fn new(
        mean: &[f32],
        noise: &[f32],
        measured: &[bool],
        is_cell: &[bool],
        [height, width]: [usize; 2],
        spacing: f64,
    ) -> Self {
        let offset = offset(mean, noise, measured);
        let above: Vec<f64> = mean
            .iter()
            .map(|&m| f64::from(m - offset).max(1e-3))
            .collect();
        let free: Vec<f64> = (0..mean.len())
            .map(|i| if is_cell[i] || !measured[i] { 0.0 } else { 1.0 })
            .collect();
        let lit: Vec<f64> = above.iter().zip(&free).map(|(a, f)| a * f).collect();
        let (smooth_lit, smooth_free) = (blur(&lit, height, width), blur(&free, height, width));
        let typical = lit.iter().sum::<f64>() / free.iter().sum::<f64>().max(1.0);
        let brightness: Vec<f32> = (0..mean.len())
            .map(|i| {
                if free[i] > 0.0 {
                    above[i] as f32
                } else if smooth_free[i] > 1e-3 {
                    (smooth_lit[i] / smooth_free[i]) as f32
                } else {
                    // Far from any pixel that is not a cell.
                    typical as f32
                }
            })
            .collect();
        let (ky, kx) = (n_knots(height, spacing), n_knots(width, spacing));
        let hat = |at: usize, knot: usize, n: usize, knots: usize| {
            let step = (n.max(2) - 1) as f64 / (knots - 1) as f64;
            (1.0 - (at as f64 - knot as f64 * step).abs() / step).max(0.0)
        };
        let mut rows = Rows::new();
        for i in 0..ky {
            for j in 0..kx {
                let columns: Vec<(usize, f64)> = (0..width)
                    .map(|x| (x, hat(x, j, width, kx)))
                    .filter(|(_, h)| *h > 0.0)
                    .collect();
                rows.push(
                    (0..height)
                        .map(|y| (y, hat(y, i, height, ky)))
                        .filter(|(_, h)| *h > 0.0)
                        .flat_map(|(y, hy)| {
                            columns.iter().map(move |&(x, hx)| (y * width + x, hy * hx))
                        })
                        .filter(|(p, _)| measured[*p])
                        .map(|(p, h)| (p as u32, (h as f32) * brightness[p])),
                );
            }
        }
        Self {
            rows,
            offset,
            brightness,
        }
    }
}

/// Knots of the grid along a side of the image.
pub(crate) fn n_knots(length: usize, spacing: f64) -> usize {
    ((length as f64 / spacing).round() as usize + 1).max(2)
}

/// Gaussian smoothing of an image, mirrored at the edges.
fn blur(image: &[f64], height: usize, width: usize) -> Vec<f64> {
    let mut rows: Vec<f64> = Vec::with_capacity(image.len());
    for row in image.chunks_exact(width) {
        rows.extend(linalg::gaussian(row, FILL_SIGMA, linalg::Edge::Reflect));
    }
    let mut out = vec![0.0; image.len()];
    for x in 0..width {
        let column: Vec<f64> = (0..height).map(|y| rows[y * width + x]).collect();
        for (y, value) in linalg::gaussian(&column, FILL_SIGMA, linalg::Edge::Reflect)
            .into_iter()
            .enumerate()
        {
            out[y * width + x] = value;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_is_where_noise_ends() {
        // Variance 2 a step above 100.
        let mean: Vec<f32> = (0..1000).map(|i| 120.0 + 0.3 * i as f32).collect();
        let noise: Vec<f32> = mean.iter().map(|m| (2.0 * (m - 100.0)).sqrt()).collect();
        let found = offset(&mean, &noise, &vec![true; 1000]);
        assert!((found - 100.0).abs() < 0.5, "{found}");
    }

    #[test]
    fn noise_that_does_not_grow_tells_no_offset() {
        let mean: Vec<f32> = (0..1000).map(|i| 120.0 + 0.3 * i as f32).collect();
        let same = vec![0.1f32; 1000];
        // By chance a little larger in bright pixels: the line would meet zero at -26,000.
        let by_chance: Vec<f32> = (0..1000)
            .map(|i| 10.0 + (i * 7919 % 101) as f32 * 0.1 + 1e-4 * i as f32)
            .collect();
        for noise in [same, by_chance] {
            assert_eq!(offset(&mean, &noise, &vec![true; 1000]), 120.0);
        }
    }

    #[test]
    fn the_basis_adds_up_to_the_brightness() {
        let (height, width) = (50, 70);
        let n = height * width;
        let mean: Vec<f32> = (0..n).map(|i| 200.0 + (i % 13) as f32).collect();
        let noise = vec![5.0f32; n];
        let background = Background::new(
            &mean,
            &noise,
            &vec![true; n],
            &vec![false; n],
            [height, width],
            FINE_SPACING,
        );
        let mut sum = vec![0.0f32; n];
        for k in 0..background.rows.len() {
            for (pixel, weight) in background.rows.row(k) {
                sum[pixel as usize] += weight;
            }
        }
        for (sum, brightness) in sum.iter().zip(&background.brightness) {
            assert!((sum - brightness).abs() < 1e-3 * brightness);
        }
    }
}
