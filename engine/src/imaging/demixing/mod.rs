//! Signals taken apart: of cells that share pixels, and of the neuropil between them.
//!
//! Every frame is a sum of cells' footprints and a smooth background; weighted least squares give all amplitudes at
//! once, so a neighbour's light does not enter a cell's trace.
//!
//! - [`background`]: the basis of what is not a cell;
//! - [`solver`]: the least squares of a frame;
//! - [`footprints`]: footprints refined on the traces, and bodies drawn from them;
//! - [`contour`]: the outline of a body.

pub mod background;
pub mod contour;
pub mod solver;

pub use background::Background;
pub use solver::Solver;
pub mod footprints;
