//! Twins of the spike-sorting kernels, in the order in which data meet them.
pub mod phase_shift;
pub mod highpass_filter;
pub mod common_reference;
pub mod whiten;
pub mod convolve_shapes;
pub mod score_footprints;
pub mod detect_peaks;
pub mod localize_peaks;
pub mod project_features;
pub mod score_templates;
pub mod match_templates;
pub mod subtract_templates;
pub mod sum_waveforms;

mod correlate;
