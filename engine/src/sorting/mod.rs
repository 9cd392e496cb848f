//! Spike sorting: from a raw probe recording to units and their spikes.
//!
//! The stages, in the order in which data meet them:
//!
//! 1. [`preprocessing`]: bad channels, microvolts, sampling skew, high-pass, common median reference, whitening;
//! 2. [`shapes`]: temporal shapes of spikes, learned from the data;
//! 3. [`detection`]: spikes found with universal templates, localised, with features;
//! 4. [`motion`]: drift of the tissue, estimated from the peaks and folded into the whitening;
//! 5. [`clustering`]: clusters in the features of each channel's events;
//! 6. [`mean_waveforms`] and [`templates`]: mean waveforms, cleaned and merged;
//! 7. [`template_matching`]: overlaps resolved with learned templates; then 5 to 7 again on cleaned features;
//! 8. [`curation`] and [`quality_metrics`]: which units are kept, what they are called;
//! 9. `waveform_deviations`: how much the spikes of each differ.

pub mod clustering;
pub mod curation;
pub mod detection;
pub mod events;
mod finish;
pub mod geometry;
mod learning;
mod low_pass;
pub mod match_tables;
pub mod mean_waveforms;
pub mod memory;
pub mod motion;
mod passes;
pub mod preprocessing;
pub mod quality_metrics;
pub mod result;
pub mod shapes;
pub mod sorter;
pub mod template_matching;
pub mod templates;
mod waveform_deviations;

pub use preprocessing::whitened::whitened_bytes;
pub use result::{SortingResult, Unit};
pub use sorter::{SortOptions, sort};
