//! Moving data and templates between contacts: kriging with a Gaussian covariance.
//!
//! What a contact would see if the tissue were somewhere else is predicted from the contacts around (as Kilosort 2.5
//! and later do; Steinmetz et al. 2021). Events are compared in data that are moved back; matching moves the templates
//! instead, because moving data changes their noise with the phase of the shift. Predictions are local, so the cost
//! grows with the channels and not with their square.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use rayon::prelude::*;
use somata_shaders::layout::InterpolateMotionParams;

use super::Motion;
use crate::{
    device::{BufferId, Commands, Executor, Resident},
    error::Result,
    linalg,
    sorting::{
        geometry::{Geometry, padded},
        match_tables::Movable,
    },
    stream::{Block, blocks::WINDOW_SAMPLES},
};

/// Variance that is not shared between contacts, relative to the field's.
const NUGGET: f64 = 0.01;
/// Displacements this near share one set of templates, µm; further where there would be too many sets.
const BIN_UM: f64 = 3.0;
/// Sets of templates at most: each takes memory for all products of templates.
pub(crate) const MAX_GROUPS: usize = 24;
/// Bytes of weights that are kept from pass to pass.
pub(crate) const MOST_KEPT: usize = 16 << 20;

/// Correction of an estimated motion.
pub struct Correction {
    motion: Motion,
    sigma_um: f64,
    sample_s: f64,
    geometry: Geometry,
    /// Used entries of each row of the table.
    row_lengths: Vec<usize>,
    neighbour: Vec<u32>,
    n_neighbours: usize,
    resident: Resident,
    /// Weights of the first blocks that were asked for.
    known: Mutex<HashMap<usize, Arc<Vec<f32>>>>,
}

impl Correction {
    /// A correction of `motion` with a kernel `sigma_um` wide.
    ///
    /// # Errors
    /// When the device has no room.
    pub fn new(
        executor: &dyn Executor,
        motion: Motion,
        sigma_um: f64,
        sampling_frequency_hz: f64,
        geometry: &Geometry,
    ) -> Result<Self> {
        let rows = geometry.within(3.0 * sigma_um + motion.largest_um());
        let (neighbour, n_neighbours) = padded(&rows, |c| c as u32);
        Ok(Self {
            motion,
            sigma_um,
            sample_s: 1.0 / sampling_frequency_hz,
            geometry: geometry.clone(),
            row_lengths: rows.iter().map(Vec::len).collect(),
            resident: executor.resident("motion_neighbour", &neighbour)?,
            neighbour,
            n_neighbours,
            known: Mutex::default(),
        })
    }

    /// Displacement in the middle of a block at a depth, µm.
    pub fn displacement_um(&self, block: &Block, depth_um: f64) -> f64 {
        let time_s = (block.start as f64 + block.n_samples as f64 / 2.0) * self.sample_s;
        self.motion.at(time_s, depth_um)
    }

    /// Appends the correction of whitened data `[block, channel, time]`.
    pub fn record(&self, commands: &mut Commands, blocks: &[Block], x: BufferId) -> BufferId {
        let n_channels = self.geometry.n_channels();
        let weights: Vec<Arc<Vec<f32>>> = blocks.iter().map(|block| self.weights(block)).collect();
        let weights: Vec<f32> = weights
            .iter()
            .flat_map(|block| block.iter().copied())
            .collect();
        let neighbour = commands.resident(&self.resident);
        let weight = commands.upload("motion_weight", &weights);
        let out = commands.buffer("corrected", blocks.len() * WINDOW_SAMPLES * n_channels);
        commands.dispatch(
            &InterpolateMotionParams {
                n_blocks: blocks.len() as u32,
                n_samples: WINDOW_SAMPLES as u32,
                n_channels: n_channels as u32,
                n_neighbours: self.n_neighbours as u32,
            },
            &[x, neighbour, weight, out],
        );
        out
    }

    /// Weights of one block's matrix, `[channel, n_neighbours]`: a channel at `p` sees the field at `p + d`.
    fn weights(&self, block: &Block) -> Arc<Vec<f32>> {
        if let Some(weights) = self.kept(block) {
            return weights;
        }
        let weights = Arc::new(self.make_weights(block));
        let mut known = self.known.lock().expect("not poisoned");
        if (known.len() + 1) * weights.len() * size_of::<f32>() <= MOST_KEPT {
            known.insert(block.index, weights.clone());
        }
        weights
    }

    /// The weights of a block, where they are kept.
    fn kept(&self, block: &Block) -> Option<Arc<Vec<f32>>> {
        let known = self.known.lock().expect("not poisoned");
        known.get(&block.index).cloned()
    }

    fn make_weights(&self, block: &Block) -> Vec<f32> {
        let n = self.geometry.n_channels();
        let mut weights = vec![0.0f32; n * self.n_neighbours];
        let mut row = vec![0.0f32; n];
        for (c, contact) in self.geometry.contacts.iter().enumerate() {
            let shift = self.displacement_um(block, contact.y_um);
            row.fill(0.0);
            for (j, weight) in self.predict(contact.shank, contact.x_um, contact.y_um + shift) {
                row[j] = weight as f32;
            }
            let table = c * self.n_neighbours..c * self.n_neighbours + self.row_lengths[c];
            for (weight, &source) in weights[table.clone()]
                .iter_mut()
                .zip(&self.neighbour[table])
            {
                *weight = row[source as usize];
            }
        }
        weights
    }

    /// Deviation of the (white) noise of a corrected channel, where that of the data is 1. Between contacts it is smaller, but
    /// beyond the last ones kriging extrapolates, and can nearly double it.
    pub fn noise(&self, block: &Block, channel: usize) -> f32 {
        if let Some(weights) = self.kept(block) {
            let row = channel * self.n_neighbours..(channel + 1) * self.n_neighbours;
            let power: f32 = weights[row].iter().map(|w| w * w).sum();
            return power.sqrt();
        }
        let contact = &self.geometry.contacts[channel];
        let y_um = contact.y_um + self.displacement_um(block, contact.y_um);
        // Rounded as the kept weights are: what is found must not depend on which are kept.
        let power: f32 = self
            .predict(contact.shank, contact.x_um, y_um)
            .iter()
            .map(|&(_, weight)| (weight as f32) * (weight as f32))
            .sum();
        power.sqrt()
    }

    /// Channels and weights that predict the field at a point.
    fn predict(&self, shank: usize, x_um: f64, y_um: f64) -> Vec<(usize, f64)> {
        let kernel =
            |dx: f64, dy: f64| (-(dx * dx + dy * dy) / (2.0 * self.sigma_um * self.sigma_um)).exp();
        let contacts = &self.geometry.contacts;
        let near: Vec<usize> = (0..contacts.len())
            .filter(|&j| {
                contacts[j].shank == shank
                    && (contacts[j].x_um - x_um).hypot(contacts[j].y_um - y_um)
                        <= 3.0 * self.sigma_um
            })
            .collect();
        let m = near.len();
        let mut covariance = vec![0.0; m * m];
        let mut target = vec![0.0; m];
        for (i, &a) in near.iter().enumerate() {
            for (j, &b) in near.iter().enumerate() {
                covariance[i * m + j] = kernel(
                    contacts[a].x_um - contacts[b].x_um,
                    contacts[a].y_um - contacts[b].y_um,
                );
            }
            covariance[i * m + i] += NUGGET;
            target[i] = kernel(contacts[a].x_um - x_um, contacts[a].y_um - y_um);
        }
        match linalg::solve_spd(&covariance, m, &target, 1) {
            Some(weights) if m > 0 => near.into_iter().zip(weights).collect(),
            _ => Vec::new(),
        }
    }

    /// Groups blocks whose displacements (in every depth window) are alike: the group of each block of the grid, and the
    /// blocks of each group.
    pub fn groups(&self, blocks: &[Block]) -> (Vec<usize>, Vec<Vec<Block>>) {
        let mut width_um = BIN_UM;
        loop {
            let key = |block: &Block| -> Vec<i64> {
                let depths = self.motion.depth_um.iter();
                depths
                    .map(|&depth| (self.displacement_um(block, depth) / width_um).round() as i64)
                    .collect()
            };
            let mut keys: Vec<Vec<i64>> = blocks.iter().map(key).collect();
            keys.sort_unstable();
            keys.dedup();
            if keys.len() > MAX_GROUPS {
                width_um *= 1.25;
                continue;
            }
            let mut groups = vec![Vec::new(); keys.len()];
            let group_of: Vec<usize> = blocks
                .iter()
                .map(|block| {
                    let group = keys.binary_search(&key(block)).expect("collected above");
                    groups[group].push(*block);
                    group
                })
                .collect();
            return (group_of, groups);
        }
    }

    /// Templates as the contacts see them in a group of blocks.
    pub fn moved(&self, templates: &[Movable], rank: usize, group: &[Block]) -> Vec<Movable> {
        // Shifts in tenths of a micrometre: units at like depths share their predictions.
        let shifts: Vec<i64> = templates
            .iter()
            .map(|template| {
                let depth_um = self.geometry.contacts[template.main_channel].y_um;
                let sum: f64 = group
                    .iter()
                    .map(|block| self.displacement_um(block, depth_um))
                    .sum();
                (10.0 * sum / group.len() as f64).round() as i64
            })
            .collect();
        let mut distinct = shifts.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let predictions: Vec<Vec<Vec<(usize, f64)>>> = distinct
            .par_iter()
            .map(|&shift| {
                let contacts = self.geometry.contacts.iter();
                contacts
                    .map(|at| self.predict(at.shank, at.x_um, at.y_um - shift as f64 / 10.0))
                    .collect()
            })
            .collect();
        templates
            .par_iter()
            .zip(&shifts)
            .map(|(template, shift)| {
                move_template(
                    template,
                    rank,
                    &predictions[distinct.binary_search(shift).expect("collected above")],
                )
            })
            .collect()
    }
}

/// A template whose tissue moved: `predictions` tells for each contact which channels at rest it sees now.
fn move_template(template: &Movable, rank: usize, predictions: &[Vec<(usize, f64)>]) -> Movable {
    let (mut channels, mut spatial) = (Vec::new(), Vec::new());
    let mut row = vec![0.0f64; rank];
    for (c, prediction) in predictions.iter().enumerate() {
        row.fill(0.0);
        let mut any = false;
        for &(j, weight) in prediction {
            if let Ok(entry) = template.channels.binary_search(&(j as u32)) {
                row.iter_mut()
                    .zip(&template.spatial[entry * rank..(entry + 1) * rank])
                    .for_each(|(to, from)| *to += weight * from);
                any = true;
            }
        }
        if any {
            channels.push(c as u32);
            spatial.extend_from_slice(&row);
        }
    }
    Movable {
        channels,
        spatial,
        temporal: template.temporal.clone(),
        ..*template
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{device::CpuExecutor, recording::Contact};

    #[test]
    fn noise_grows_where_the_tissue_has_left_the_probe_and_nowhere_else() {
        let geometry = Geometry {
            contacts: (0..40)
                .map(|c| Contact {
                    x_um: f64::from(c % 2) * 16.0,
                    y_um: f64::from(c / 2) * 20.0,
                    shank: 0,
                })
                .collect(),
        };
        let motion = Motion {
            time_s: vec![0.0],
            depth_um: vec![200.0],
            displacement_um: vec![25.0],
        };
        let block = Block {
            index: 0,
            start: 0,
            n_samples: 3000,
            segment_start: 0,
            segment_end: 3000,
        };
        let correction =
            Correction::new(&CpuExecutor::new(1), motion, 30.0, 30000.0, &geometry).expect("room");
        assert!(correction.noise(&block, 20) < 1.1);
        assert!(correction.noise(&block, 0) < 1.1);
        assert!(correction.noise(&block, 39) > 1.3);
        // The noise is what the weights that are played make of white noise.
        let weights = correction.weights(&block);
        for (c, row) in weights.chunks_exact(correction.n_neighbours).enumerate() {
            let norm = row.iter().map(|w| w * w).sum::<f32>().sqrt();
            assert!(
                (norm - correction.noise(&block, c)).abs() < 1e-5,
                "channel {c}"
            );
        }
    }
}
