//! somata's engine: everything between open files and finished arrays.
//!
//! [`sorting::sort`] takes a [`recording::Recording`] and an [`device::Executor`] and gives a
//! [`sorting::SortingResult`]. The engine knows no file format: readers implement the trait, and writers take the
//! result apart.

pub mod device;
pub mod error;
pub mod imaging;
pub mod linalg;
pub mod movie;
pub mod parameters;
pub mod pipeline;
pub mod recording;
pub mod sorting;
pub mod stream;
