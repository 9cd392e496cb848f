//! Twins of kernels that no single modality owns.
pub mod decode_samples;
