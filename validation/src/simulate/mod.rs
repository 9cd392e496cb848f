//! Recordings with known units, spikes and drift, made from a seed; and two-photon movies with known cells: [`movie`].
//!
//! A [`SimulatedRecording`] holds the neurons, all their spikes and the tissue's movement; the voltage is computed when
//! a window is read, identically for any choice of windows, so that hours can be simulated without being stored.
//! Same specification, same samples, on any number of threads.
//!
//! In the order of making:
//! - [`spec`]: what to simulate.
//! - [`philox`]: random numbers by position instead of by history.
//! - [`geometry`]: where the contacts are.
//! - [`displacement`]: how the tissue moves.
//! - [`neurons`]: what a spike of each unit looks like anywhere around it.
//! - [`firing`]: when each unit fires, and how large each spike is.
//! - [`noise`], [`artefacts`]: everything that is not a spike.
//! - [`recording`]: the sum, in int16; [`hybrid`]: the same with measured templates in place of simulated neurons.
//! - [`truth`], [`mod@write`]: the known answer, and the files.

pub mod artefacts;
pub mod displacement;
pub mod firing;
pub mod geometry;
pub mod hybrid;
pub mod movie;
pub mod neurons;
pub mod noise;
pub mod philox;
pub mod recording;
pub mod source;
mod sources;
pub mod spec;
pub mod truth;
mod unit_shape;
pub mod write;

pub use displacement::Displacement;
pub use hybrid::TemplateSet;
pub use recording::SimulatedRecording;
pub use spec::{DriftKind, RecordingKind, RecordingSpec};
pub use truth::{GroundTruth, read_truth};
pub use write::{write_recording, write_simulated};
