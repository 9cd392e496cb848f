//! What can go wrong in the simulators and the readers of results, with the file named.

use std::path::{Path, PathBuf};

/// An error of the validation library. Every variant that concerns a file names it.
#[derive(Debug, thiserror::Error)]
pub enum ValidationError {
    /// The operating system refused to read or write.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried: `read`, `write`, `create`, `rename`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A file that `io` reads is missing or damaged.
    #[error(transparent)]
    Read(#[from] somata_io::IoError),
    /// The output folder is there already; nothing was changed.
    #[error("`{}` exists already; choose another folder or remove it", .0.display())]
    OutputExists(PathBuf),
    /// A file is readable but does not hold what it should.
    #[error("`{}` is not usable: {reason}", path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A value of a specification cannot be simulated.
    #[error("`{field}` {reason}")]
    BadSpec {
        /// The field of [`crate::simulate::RecordingSpec`] or [`crate::simulate::movie::MovieSpec`].
        field: &'static str,
        /// What is wrong with it and what is possible.
        reason: String,
    },
    /// What a program found does not belong to the truth it is compared with.
    #[error("the prediction does not fit the truth: {0}")]
    BadPrediction(String),
}

impl ValidationError {
    pub(crate) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            action,
            path: path.to_path_buf(),
            source,
        }
    }

    pub(crate) fn bad_file(path: &Path, reason: impl Into<String>) -> Self {
        Self::BadFile {
            path: path.to_path_buf(),
            reason: reason.into(),
        }
    }

    pub(crate) fn bad_spec(field: &'static str, reason: impl Into<String>) -> Self {
        Self::BadSpec {
            field,
            reason: reason.into(),
        }
    }
}

/// Result with [`ValidationError`].
pub type Result<T> = std::result::Result<T, ValidationError>;
