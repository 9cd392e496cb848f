//! Two-photon imaging: from a raw movie to cells, traces and spikes.
//!
//! The stages, in the order in which data meet them:
//!
//! 1. [`registration`]: the reference image, the shift field of every frame, frames moved once; what comes of it is the
//!    [`binned_movie`];
//! 2. [`detection`]: images that sum up the binned movie;
//! 3. [`segmentation`]: cells in these images, by a U-Net.

pub mod binned_movie;
pub mod deconvolution;
pub mod demixing;
pub mod detection;
pub mod extraction;
pub mod frames;
pub mod morphology;
pub mod neuropil;
pub mod proposals;
pub mod registration;
pub mod rois;
pub mod segmentation;
pub mod trace_file;
