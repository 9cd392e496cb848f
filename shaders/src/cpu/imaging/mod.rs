//! Kernels of two-photon imaging.

pub mod bin_frames;
pub mod box_means;
pub mod convolve;
pub mod correlate_traces;
pub mod count_ends;
pub mod decode_frames;
pub mod deconvolve;
pub mod field;
pub mod find_seeds;
pub mod find_shifts;
pub mod follow_flows;
pub mod grow_seeds;
pub mod move_frames;
pub mod pool_maxima;
pub mod project_footprints;
pub mod shrink_frames;
pub mod solve_shifts;
pub mod standardise_bins;
pub mod style_affine;
pub mod sum_bins;
pub mod sum_gradients;
