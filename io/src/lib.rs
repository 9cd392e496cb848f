//! somata's files: recordings, probes, movies and images in, sortings and imaging results out.
//!
//! Pure readers and writers. This crate knows no GPU and no engine: it hands out frames of samples with what is known about
//! them ([`recording::RecordingDescription`]) and writes finished arrays ([`sorting_output::phy`], [`imaging_output`]). Every reader
//! uses positioned reads, never a memory map: a file that is cut short or on a lost network mount must be an error, not a signal.
//!
//! Start at [`recording::open`] or [`movie::open`]. The status of each format is in this crate's `README.md`.

pub mod atomic;
pub mod checksum;
pub(crate) mod chunks;
pub mod error;
pub mod hdf5;
pub mod hdf5_writer;
pub mod imaging_output;
pub mod lock;
pub mod matlab;
pub mod matlab_hdf5;
pub mod matlab_reader;
pub mod movie;
pub mod npy;
pub mod npy_rows;
pub(crate) mod nwb;
pub mod nwb_file;
pub mod probe;
pub mod recording;
pub mod sniff;
pub mod sorting_output;
pub mod still_image;
pub mod tables;
mod tiff;
pub mod weights;
pub(crate) mod xml;
mod zarr;

pub use error::{IoError, IoErrorKind};
