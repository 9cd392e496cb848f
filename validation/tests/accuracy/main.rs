//! Is it accurate? Simulated recordings and movies with known truth, annotated images, and a floor for every score: a drop
//! fails.
//!
//! Floors stand a little below what was measured; raise them when the program gets better. Recordings and movies are short so
//! that the whole folder takes about a minute; the open sets of the project are longer (validation/README.md).

mod given_traces;
mod imaging;
mod matching;
mod memory_limit;
mod sorting;
