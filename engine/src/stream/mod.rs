//! Recordings are hours long: they pass through in blocks, and nothing is loaded whole.

pub mod blocks;
pub mod control;
pub mod pass;

pub use blocks::{Block, BlockGrid};
pub use control::{Control, Event};
pub use pass::{Pass, Source};
