//! Imaging results out: cells, traces, pictures and registered movies, in the formats that other programs open.

pub mod pickle;
pub mod suite2p;
pub mod traces;
pub mod zip_archive;
