//! Is somata right? Simulators with known truth, and scores against it.
//!
//! - [`simulate`] makes recordings whose units, spikes and drift are known, of any length, from a seed.
//! - [`score`] compares what a sorter found with that truth, by SpikeInterface's definitions.
//!
//! The tests of this crate (`tests/`) use both; so do `somata simulate`, `somata validate` and `somata compare`.

pub mod error;
pub mod score;
pub mod simulate;

pub use error::{Result, ValidationError};
