//! Two-photon imaging: from a raw movie to cells, traces and spikes.
//!
//! The stages, in the order in which data meet them:
//!
//! 1. [`registration`]: the reference image, the shift field of every frame, frames moved once; what comes of it is the
//!    [`binned_movie`];
//! 2. [`detection`]: images that sum up the binned movie; [`segmentation`]: cells in these images, by a U-Net;
//!    [`proposals`]: which of its masks are believed; [`detection::activity`]: cells that are only seen when they fire;
//! 3. [`demixing`]: footprints refined on the traces, signals taken apart;
//! 4. [`extraction`]: traces from a second pass; [`neuropil`]: the ring around each cell;
//! 5. [`deconvolution`]: baselines, the indicator's response, spikes;
//! 6. [`classification`]: how likely each region is a cell;
//! 7. [`second_channel`]: the channel that is not functional, moved along.
//!
//! [`imager`] runs them.

pub mod binned_movie;
pub mod classification;
pub mod deconvolution;
pub mod demixing;
pub mod detection;
pub mod extraction;
pub mod frames;
pub mod imager;
pub mod matching;
pub mod memory;
pub mod morphology;
pub mod neuropil;
pub mod proposals;
pub mod registration;
pub mod rois;
pub mod second_channel;
pub mod segmentation;
pub mod trace_file;

pub use imager::{ImageOptions, ImagingResult, check_movie, image};
