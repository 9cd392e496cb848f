//! Drift: the tissue moves along the probe, and a unit's waveform moves over the channels.

pub mod estimation;
pub mod interpolation;

use serde::{Deserialize, Serialize};

/// Displacement of the tissue over time and depth, µm; positive is towards larger `y`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Motion {
    /// Centres of the time bins, seconds.
    pub time_s: Vec<f64>,
    /// Centres of the depth windows, µm.
    pub depth_um: Vec<f64>,
    /// `[time, depth]`, µm.
    pub displacement_um: Vec<f64>,
}

impl Motion {
    /// Displacement at a time and depth: linear between bins, constant beyond the first and last.
    pub fn at(&self, time_s: f64, depth_um: f64) -> f64 {
        if self.displacement_um.is_empty() {
            return 0.0;
        }
        let (t, t_weight) = bracket(&self.time_s, time_s);
        let (d, d_weight) = bracket(&self.depth_um, depth_um);
        let value = |t: usize, d: usize| {
            let (t, d) = (t.min(self.time_s.len() - 1), d.min(self.depth_um.len() - 1));
            self.displacement_um[t * self.depth_um.len() + d]
        };
        let mix = |a: f64, b: f64, w: f64| a + (b - a) * w;
        mix(
            mix(value(t, d), value(t, d + 1), d_weight),
            mix(value(t + 1, d), value(t + 1, d + 1), d_weight),
            t_weight,
        )
    }

    /// Largest displacement, µm.
    pub fn largest_um(&self) -> f64 {
        self.displacement_um
            .iter()
            .fold(0.0, |largest, d| largest.max(d.abs()))
    }
}

/// Index of the bin at or before `x` and the weight of the next one.
fn bracket(centres: &[f64], x: f64) -> (usize, f64) {
    let next = centres.partition_point(|&c| c <= x);
    if next == 0 {
        return (0, 0.0);
    }
    if next == centres.len() {
        return (next - 1, 0.0);
    }
    let (a, b) = (centres[next - 1], centres[next]);
    (next - 1, (x - a) / (b - a))
}
