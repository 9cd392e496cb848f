//! What shows where cells are: images that sum up the binned movie.
//!
//! - [`summary`]: the images that the network looks at.

pub mod summary;
