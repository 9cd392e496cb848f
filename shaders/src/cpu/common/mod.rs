//! Kernels that more than one area uses.
pub mod decode_samples;
pub mod filter_columns;
pub mod pack_samples;
mod transform;
pub(crate) mod transform_lanes;
pub mod transform_rows;
pub mod unpack_samples;
