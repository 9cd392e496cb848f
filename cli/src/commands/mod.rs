//! One file a subcommand.

pub mod compare;
pub mod completions;
pub mod convert;
pub mod demo;
pub mod devices;
pub mod image;
pub mod info;
pub mod man;
pub mod match_sessions;
pub mod params;
pub mod segment;
pub mod simulate;
pub mod sort;
pub mod validate;

use crate::exit::Outcome;

/// Prints JSON to stdout. A closed pipe is not an error.
pub fn print_json(value: &impl serde::Serialize) -> Outcome {
    use std::io::Write;
    let text = serde_json::to_string_pretty(value).expect("plain data");
    let _ = writeln!(std::io::stdout(), "{text}");
    Ok(())
}

/// Prints text to stdout. A closed pipe is not an error.
pub fn print(text: &str) {
    use std::io::Write;
    let _ = write!(std::io::stdout(), "{text}");
}
