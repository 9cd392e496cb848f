//! Two-photon imaging: from a raw movie to cells, traces and spikes.
//!
//! The stages, in the order in which data meet them:
//!
//! 1. [`registration`]: the reference image, the shift field of every frame, frames moved once;

pub mod binned_movie;
pub mod frames;
pub mod registration;
