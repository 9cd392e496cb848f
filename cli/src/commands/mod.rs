//! One file a subcommand.

pub mod bench;
pub mod compare;
pub mod completions;
pub mod convert;
pub mod demo;
pub mod devices;
pub mod help;
pub mod image;
pub mod info;
pub mod man;
pub mod match_sessions;
pub mod params;
pub mod reference;
pub mod rerun;
pub mod segment;
pub mod simulate;
pub mod sort;
pub mod validate;

use std::{
    io::{ErrorKind, Write},
    sync::OnceLock,
};

use crate::exit::{ExitCode, Failure, Outcome};

/// Why stdout could not be written the first time that it could not.
static STDOUT_FAILED: OnceLock<std::io::Error> = OnceLock::new();

/// Prints JSON to stdout. A closed pipe is not an error.
pub fn print_json(value: &impl serde::Serialize) -> Outcome {
    let text = serde_json::to_string_pretty(value).expect("plain data");
    print(&format!("{text}\n"));
    Ok(())
}

/// Prints text to stdout; what goes wrong is kept for [`stdout_is_whole`].
pub fn print(text: &str) {
    let mut stdout = std::io::stdout();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    if let Err(error) = written {
        // Whoever closes a pipe has seen enough.
        if error.kind() != ErrorKind::BrokenPipe {
            let _ = STDOUT_FAILED.set(error);
        }
    }
}

/// Whether all that was printed has arrived.
///
/// # Errors
/// When it has not, as when stdout is a file on a full disk.
pub fn stdout_is_whole() -> Outcome {
    match STDOUT_FAILED.get() {
        None => Ok(()),
        Some(error) => Err(Failure::new(
            ExitCode::Output,
            format!("could not write to standard output: {error}"),
        )
        .hint("the output is not complete; results that were written to folders are whole")),
    }
}
