//! What stops a run.

use crate::{device::DeviceError, recording::ReadError};

/// The engine's error.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The input could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The input cannot be processed as it is.
    #[error("{what}")]
    Input {
        /// What is wrong.
        what: String,
        /// What to do.
        hint: String,
    },
    /// A parameter is unknown or out of range.
    #[error(transparent)]
    Parameter(#[from] crate::parameters::ParameterError),
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// More memory would be taken than is allowed.
    #[error(
        "the {what} need about {} MB of memory, of which {} MB are allowed",
        needed.div_ceil(1_000_000),
        allowed / 1_000_000
    )]
    Memory {
        /// What needs it.
        what: String,
        /// Bytes.
        needed: u64,
        /// Bytes.
        allowed: u64,
    },
    /// A file of the work folder could not be written or read.
    #[error("could not {action} {path}: {source}")]
    Work {
        /// `write` or `read`.
        action: &'static str,
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A computing thread panicked: a bug.
    #[error("the stage `{0}` failed unexpectedly")]
    Panicked(String),
    /// The run was asked to stop; what was finished is in the work folder.
    #[error("stopped on request")]
    Cancelled,
}

/// Result of engine functions.
pub type Result<T> = std::result::Result<T, EngineError>;
