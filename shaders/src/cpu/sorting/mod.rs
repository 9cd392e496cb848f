//! Twins of the spike-sorting kernels, in the order in which data meet them.
pub mod common_reference;
pub mod detect_peaks;
pub mod highpass_filter;
pub mod interpolate_motion;
pub mod localize_peaks;
pub mod match_templates;
pub mod phase_shift;
pub mod project_features;
pub mod score_footprints;
pub mod score_templates;
pub mod subtract_templates;
pub mod sum_waveforms;
pub mod whiten;

/// Channels and weights of one row of a table that is padded with weights of 0.
fn used<'a>(
    neighbour: &'a [u32],
    weight: &'a [f32],
) -> impl Iterator<Item = (usize, f32)> + use<'a> {
    neighbour
        .iter()
        .zip(weight)
        .filter(|(_, weight)| **weight != 0.0)
        .map(|(&channel, &weight)| (channel as usize, weight))
}
