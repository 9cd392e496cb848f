//! Kernels of two-photon imaging, in the order in which frames meet them.

pub mod bin_frames;
pub mod decode_frames;
pub mod field;
pub mod find_shifts;
pub mod move_frames;
pub mod shrink_frames;
pub mod solve_shifts;
pub mod sum_gradients;
