//! Exit codes, and the error that carries one.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | finished; finding no units is a valid result |
//! | 1 | unexpected: a bug |
//! | 2 | command line or parameters wrong |
//! | 3 | input missing, unreadable, truncated or unsupported |
//! | 4 | output exists with other parameters, is locked, the disk is full, or the work folder is damaged |
//! | 5 | no suitable GPU, its driver failed, or it computes wrong numbers |
//! | 130, 143 | stopped by SIGINT or SIGTERM, after a checkpoint |
//! | 137 | out of host or device memory |

use std::io::ErrorKind;

use somata_engine::{device::DeviceError, error::EngineError, parameters::ParameterError};
use somata_io::{IoError, IoErrorKind};
use somata_validation::ValidationError;

/// Why the process ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ExitCode {
    /// A bug.
    Unexpected = 1,
    /// Command line or parameters.
    Usage = 2,
    /// Input.
    Input = 3,
    /// Output.
    Output = 4,
    /// Device.
    Device = 5,
    /// Memory.
    Memory = 137,
    /// SIGINT.
    Interrupted = 130,
    /// SIGTERM.
    Terminated = 143,
}

/// An error for the user: one clear sentence, a hint, an exit code.
#[derive(Debug)]
pub struct Failure {
    /// Exit code.
    pub code: ExitCode,
    /// What is wrong and where.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Result of commands.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure without a hint.
    pub fn new(code: ExitCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
        }
    }
    /// With a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<IoError> for Failure {
    fn from(error: IoError) -> Self {
        let code = match error.kind() {
            IoErrorKind::Input => ExitCode::Input,
            IoErrorKind::Usage => ExitCode::Usage,
            _ => ExitCode::Output,
        };
        Self {
            code,
            message: error.to_string(),
            hint: error.hint(),
        }
    }
}

impl From<ParameterError> for Failure {
    fn from(error: ParameterError) -> Self {
        Self::new(ExitCode::Usage, error.to_string()).hint("`somata params` lists all parameters")
    }
}

impl From<DeviceError> for Failure {
    fn from(error: DeviceError) -> Self {
        match &error {
            DeviceError::OutOfMemory { .. } => Self::new(ExitCode::Memory, error.to_string())
                .hint("use fewer channels at once, a device with more memory, or `--device cpu`"),
            _ => Self::new(ExitCode::Device, error.to_string())
                .hint("`somata devices` lists what there is; `--device cpu` needs no GPU"),
        }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Read(error) => {
                let hint = error
                    .source
                    .as_ref()
                    .and_then(|source| source.downcast_ref::<IoError>())
                    .and_then(IoError::hint);
                Self {
                    code: ExitCode::Input,
                    hint: hint.or_else(|| {
                        Some("check that the file is whole and its disk is there".into())
                    }),
                    message: error.to_string(),
                }
            }
            EngineError::Input { what, hint } => Self::new(ExitCode::Input, what).hint(hint),
            EngineError::Parameter(error) => error.into(),
            EngineError::Device(error) => error.into(),
            EngineError::Work { ref source, .. } => {
                let hint = match source.kind() {
                    ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                        "free some space or give another `--work` folder; the same command then resumes"
                    }
                    ErrorKind::FileTooLarge => {
                        "raise the limit on the size of files (`ulimit -f`), or give a `--work` folder without it; the same command \
                         then resumes"
                    }
                    ErrorKind::NotFound => {
                        "something was removed from the work folder during the run; the same command goes on from what is left"
                    }
                    ErrorKind::ReadOnlyFilesystem => {
                        "the disk is read-only, which a system makes of it after an error: look at the system's messages, or give another \
                         `--work` folder; the same command goes on from the last finished stage"
                    }
                    _ => "check the work folder and its disk, or give another with `--work`",
                };
                Self::new(ExitCode::Output, error.to_string()).hint(hint)
            }
            EngineError::Memory { needed, .. } => {
                let hint = format!(
                    "give `--memory {}MB` or more; the same command then goes on from the last finished stage",
                    needed.div_ceil(1_000_000)
                );
                Self::new(ExitCode::Memory, error.to_string()).hint(hint)
            }
            EngineError::Panicked(_) => Self::new(ExitCode::Unexpected, error.to_string()),
            EngineError::Cancelled => Self::new(ExitCode::Interrupted, error.to_string()),
        }
    }
}

impl From<ValidationError> for Failure {
    fn from(error: ValidationError) -> Self {
        if let ValidationError::Read(error) = error {
            return error.into();
        }
        let code = match &error {
            ValidationError::BadSpec { .. } => ExitCode::Usage,
            ValidationError::OutputExists(_) => ExitCode::Output,
            ValidationError::Io { action, .. } if *action != "read" => ExitCode::Output,
            _ => ExitCode::Input,
        };
        let hint = match &error {
            ValidationError::BadSpec { .. } => {
                "`somata simulate recording --help` and `somata simulate movie --help` list what can be set"
            }
            ValidationError::OutputExists(_) => "choose another folder, or remove this one",
            ValidationError::Io { .. } => "check the path and its permissions",
            ValidationError::BadFile { .. } | ValidationError::Read(_) => {
                "give a result of somata and what `somata simulate` made"
            }
            ValidationError::BadPrediction(_) => {
                "give a result of `somata image` of the same movie"
            }
        };
        Self::new(code, error.to_string()).hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_memory_asks_for_enough_and_promises_to_go_on() {
        let failure = Failure::from(EngineError::Memory {
            what: "templates of 900 units".into(),
            needed: 1_122_000_001,
            allowed: 1_000_000_000,
        });
        assert_eq!(failure.code as i32, 137);
        assert_eq!(
            failure.message,
            "the templates of 900 units need about 1123 MB of memory, of which 1000 MB are allowed"
        );
        let hint = failure.hint.expect("a hint");
        assert!(
            hint.starts_with("give `--memory 1123MB` or more; the same command then goes on"),
            "{hint}"
        );
    }
}
