//! Two-photon movies with known cells, spikes and motion, made from a seed.
//!
//! A [`SimulatedMovie`] holds the tissue, the cells' signals and the movement; a frame is computed when it is read, identically for
//! any order and any number of threads, so that a movie can be used without being stored.
//!
//! In the order of making:
//! - [`spec`]: what to simulate, and the named kinds.
//! - [`smooth`]: Gaussian smoothing, the base of every field and walk.
//! - [`canvas`]: the fine grid on which tissue is drawn.
//! - [`tissue`]: background, vessels, neuropil; [`cells`]: shapes and places; [`activity`]: spikes and the indicator.
//! - [`second_session`]: the same tissue on another day.
//! - [`motion`]: how it all moves.
//! - [`photons`]: shot noise.
//! - [`frames`]: the movie itself; [`source`]: as the engine reads it.
//! - [`truth`], [`mod@write`]: the known answer, and the files.

pub mod activity;
pub mod canvas;
pub mod cells;
pub mod frames;
pub mod motion;
pub mod photons;
mod plane;
mod read_truth;
pub mod second_session;
pub mod smooth;
pub mod source;
pub mod spec;
pub mod tissue;
pub mod truth;
pub mod write;

pub use frames::SimulatedMovie;
pub use read_truth::read_movie_truth;
pub use second_session::SecondSession;
pub use source::SimulatedMovieSource;
pub use spec::{MovieKind, MovieSpec};
pub use truth::MovieTruth;
pub use write::{write_movie, write_simulated_movie};
