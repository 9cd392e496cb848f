//! A unit as a recording sees it: a simulated neuron or a planted template.

use super::geometry::Geometry;
use super::hybrid::PlantedTemplate;
use super::neurons::Neuron;

/// What a unit's spike looks like.
pub(crate) enum UnitShape {
    /// A simulated neuron, and the channels that it can reach.
    Neuron { neuron: Neuron, channels: Vec<u32> },
    /// A measured template.
    Template(PlantedTemplate),
}

impl UnitShape {
    /// Position at rest, µm.
    pub fn location_um(&self) -> [f64; 3] {
        match self {
            Self::Neuron { neuron, .. } => neuron.location_um,
            Self::Template(template) => template.location_um,
        }
    }

    /// Largest trough at rest, µV (positive).
    pub fn amplitude_uv(&self) -> f64 {
        match self {
            Self::Neuron { neuron, .. } => neuron.amplitude_uv,
            Self::Template(template) => template.amplitude_uv,
        }
    }

    /// Channel of the largest trough at rest.
    pub fn main_channel(&self) -> usize {
        match self {
            Self::Neuron { neuron, .. } => neuron.main_channel,
            Self::Template(template) => template.main_channel,
        }
    }

    /// Calls `add_to(channel, samples before the trough, waveform)` for each channel that a spike reaches.
    pub fn render(
        &self,
        probe: &Geometry,
        displacement_um: f64,
        phase: usize,
        amplitude: f32,
        waveform: &mut Vec<f32>,
        mut add_to: impl FnMut(usize, i64, &[f32]),
    ) {
        match self {
            Self::Neuron { neuron, channels } => {
                let before = neuron.samples_before as i64;
                neuron.render(
                    probe,
                    channels,
                    displacement_um,
                    phase,
                    amplitude,
                    waveform,
                    |channel, values| {
                        add_to(channel, before, values);
                    },
                );
            }
            Self::Template(template) => {
                template.render(amplitude, waveform, |channel, values| {
                    add_to(channel, template.before, values)
                });
            }
        }
    }
}
