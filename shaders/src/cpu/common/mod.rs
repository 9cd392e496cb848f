//! Kernels that more than one area uses.
pub mod decode_samples;
pub mod filter_columns;
mod transform;
pub mod transform_rows;
