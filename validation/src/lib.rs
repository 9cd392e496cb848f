//! Is somata right? Simulators with known truth, and scores against it.
//!
//! - [`simulate`] makes recordings whose units, spikes and drift are known, of any length, from a seed; and movies whose cells,
//!   spikes and motion are ([`simulate::movie`]).
//! - [`score`] compares what a program found with that truth: of recordings by SpikeInterface's definitions, of movies by Cellpose's,
//!   NeuroFinder's and our own ([`score::movie`]).
//!
//! The tests of this crate (`tests/`) use both; so do `somata simulate`, `somata validate` and `somata compare`.

mod arrays;
pub mod error;
pub mod score;
pub mod simulate;

pub use error::{Result, ValidationError};
