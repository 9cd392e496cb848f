//! Data moved back to where the tissue was: kriging between contacts, folded into the whitening matrix.
//!
//! For a channel at `p` and a displacement `d`, the corrected channel is the whitened field at `p + d`, predicted from
//! the channels around it with a Gaussian covariance (as Kilosort 2.5 and later do; Steinmetz et al. 2021). Predictions
//! are local, so the cost grows with the channels and not with their square.

use super::Motion;
use crate::{linalg, sorting::geometry::Geometry, sorting::preprocessing::whitening::Whitening, stream::Block};

/// Variance that is not shared between contacts, relative to the field's.
const NUGGET: f64 = 0.01;

/// What the correction of a block needs.
#[derive(Clone)]
pub struct Moving {
    /// The estimate.
    pub motion: Motion,
    /// Width of the kernel, µm.
    pub sigma_um: f64,
    /// Seconds a sample.
    pub sample_s: f64,
    geometry: Geometry,
    /// Whitening matrix `[channel, channel]`.
    matrix: Vec<f32>,
    /// Used entries of each row of the table.
    row_lengths: Vec<usize>,
}

impl Moving {
    /// A correction of `motion` on top of the whitening `matrix`.
    pub fn new(motion: Motion, sigma_um: f64, sampling_frequency_hz: f64, geometry: &Geometry, matrix: &[f32]) -> Self {
        let mut moving = Self {
            motion,
            sigma_um,
            sample_s: 1.0 / sampling_frequency_hz,
            geometry: geometry.clone(),
            matrix: matrix.to_vec(),
            row_lengths: Vec::new(),
        };
        moving.row_lengths = moving.reach(matrix, geometry.n_channels()).iter().map(Vec::len).collect();
        moving
    }

    /// Channels that a row of any block's matrix can draw from.
    pub fn reach(&self, matrix: &[f32], n: usize) -> Vec<Vec<usize>> {
        let radius = 3.0 * self.sigma_um + self.motion.largest_um();
        self.geometry
            .within(radius)
            .into_iter()
            .map(|near| (0..n).filter(|&k| near.iter().any(|&j| matrix[j * n + k] != 0.0)).collect())
            .collect()
    }

    /// Weights of one block's matrix, laid out as the whitening's table.
    pub fn weights(&self, whitening: &Whitening, block: &Block) -> Vec<f32> {
        let n = self.geometry.n_channels();
        let time_s = (block.start as f64 + block.n_samples as f64 / 2.0) * self.sample_s;
        let mut weights = vec![0.0f32; n * whitening.n_neighbours];
        for c in 0..n {
            let contact = self.geometry.contacts[c];
            let y = contact.y_um + self.motion.at(time_s, contact.y_um);
            let row = self.combine(&self.krige(contact.shank, contact.x_um, y));
            let table = c * whitening.n_neighbours..c * whitening.n_neighbours + self.row_lengths[c];
            for (weight, &source) in weights[table.clone()].iter_mut().zip(&whitening.neighbour[table]) {
                *weight = row[source as usize];
            }
        }
        weights
    }

    /// Channels and weights that predict the field at a point.
    pub fn krige(&self, shank: usize, x_um: f64, y_um: f64) -> Vec<(usize, f64)> {
        let kernel = |dx: f64, dy: f64| (-(dx * dx + dy * dy) / (2.0 * self.sigma_um * self.sigma_um)).exp();
        let contacts = &self.geometry.contacts;
        let near: Vec<usize> = (0..contacts.len())
            .filter(|&j| {
                contacts[j].shank == shank
                    && (contacts[j].x_um - x_um).hypot(contacts[j].y_um - y_um) <= 3.0 * self.sigma_um
            })
            .collect();
        let m = near.len();
        let mut covariance = vec![0.0; m * m];
        let mut target = vec![0.0; m];
        for (i, &a) in near.iter().enumerate() {
            for (j, &b) in near.iter().enumerate() {
                covariance[i * m + j] = kernel(contacts[a].x_um - contacts[b].x_um, contacts[a].y_um - contacts[b].y_um);
            }
            covariance[i * m + i] += NUGGET;
            target[i] = kernel(contacts[a].x_um - x_um, contacts[a].y_um - y_um);
        }
        match linalg::solve_spd(&covariance, m, &target, 1) {
            Some(weights) if m > 0 => near.into_iter().zip(weights).collect(),
            _ => Vec::new(),
        }
    }

    /// Row of the whitening matrix for a weighted sum of channels.
    fn combine(&self, channels: &[(usize, f64)]) -> Vec<f32> {
        let n = self.geometry.n_channels();
        let mut row = vec![0.0f32; n];
        for &(j, weight) in channels {
            let source = &self.matrix[j * n..(j + 1) * n];
            row.iter_mut().zip(source).for_each(|(row, &w)| *row += weight as f32 * w);
        }
        row
    }
}
