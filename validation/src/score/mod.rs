//! Scores: how close a result is to the truth.
//!
//! - [`sorting`]: units and spikes against the truth, as SpikeInterface's `GroundTruthComparison` counts them.
//! - [`two_sortings`]: two sortings against each other, as its `SymmetricSortingComparison` does.
//! - [`match_counts`]: how many spikes of each pair of units coincide, the base of every score of a sorting.
//! - [`collision`]: how many of the spikes that overlap in time and space were found.
//! - [`motion`]: how far an estimate of drift is from the true displacement.
//! - [`phy_spikes`]: spikes of a phy folder.
//!
//! Of movies:
//! - [`movie`]: cells, traces, spikes and shifts against the truth.
//! - [`masks`]: pixels of cells: IoU, F1, Cellpose's average precision; [`neurofinder`]: NeuroFinder's scores.
//! - [`traces`]: correlation of traces and spikes, contamination by neighbours.
//! - [`shifts`]: error of a registration.
//! - [`mod@two_sessions`]: pairs of cells over two sessions of one field.
//! - [`plane_folder`]: traces, spikes and shifts of a Suite2p-style folder.

pub mod collision;
pub mod masks;
pub mod match_counts;
pub mod motion;
pub mod movie;
pub mod neurofinder;
pub mod phy_spikes;
pub mod plane_folder;
pub mod shifts;
pub mod sorting;
mod spike_trains;
#[cfg(test)]
mod stored_cases;
#[cfg(test)]
mod stored_movies;
pub mod traces;
pub mod two_sessions;
pub mod two_sortings;

pub use spike_trains::SpikeTrains;
