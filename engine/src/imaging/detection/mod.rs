//! What shows where cells are: images that sum up the binned movie, and activity where no image shows a cell.
//!
//! - [`summary`]: the images that the network looks at;
//! - [`activity`]: cells that are only seen when they fire;
//! - [`still_cells`]: cells that never fire.

pub mod activity;
pub mod still_cells;
pub mod summary;
