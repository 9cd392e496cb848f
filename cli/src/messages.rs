//! What the user sees while a command runs. Data go to stdout, everything here to stderr.

use std::{
    borrow::Cow,
    fs::File,
    io::{IsTerminal, Write},
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use indicatif::{ProgressBar, ProgressStyle};
use somata_engine::stream::Event;

use crate::exit::{ExitCode, Failure, Outcome};

/// Shows events as a bar on a terminal, as lines elsewhere, and as JSON lines in a file if asked for.
pub struct Messages {
    quiet: bool,
    with_details: bool,
    bar: Option<ProgressBar>,
    events: Option<Mutex<Box<dyn Write + Send>>>,
    log: Mutex<Vec<String>>,
    failed: AtomicBool,
}

impl Messages {
    /// Messages of a command; `events` is a file for JSON lines, or `-` for stdout.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn new(quiet: bool, events: Option<&Path>) -> Outcome<Self> {
        let events: Option<Mutex<Box<dyn Write + Send>>> = match events {
            None => None,
            Some(path) if path.as_os_str() == "-" => Some(Mutex::new(Box::new(std::io::stdout()))),
            Some(path) => Some(Mutex::new(Box::new(File::create(path).map_err(
                |error| {
                    Failure::new(
                        ExitCode::Output,
                        format!("could not write `{}`: {error}", path.display()),
                    )
                    .hint("give `--events` a file in a folder that can be written, or `-`")
                },
            )?))),
        };
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(1000);
            bar.set_style(
                ProgressStyle::with_template("{msg:22} {wide_bar} {percent:>3}% {eta:>5}")
                    .expect("a valid template"),
            );
            bar
        });
        Ok(Self {
            quiet,
            with_details: false,
            bar,
            events,
            log: Mutex::default(),
            failed: AtomicBool::new(false),
        })
    }

    /// The same, with or without details.
    #[must_use]
    pub fn with_details(mut self, with_details: bool) -> Self {
        self.with_details = with_details;
        self
    }

    /// A line that is shown only where details are wanted; the log has it in any case.
    pub fn detail(&self, text: &str) {
        if self.with_details {
            self.line(text);
        } else {
            self.log.lock().expect("not poisoned").push(text.to_owned());
        }
    }

    /// Shows an event.
    pub fn show(&self, event: &Event) {
        if let Some(events) = &self.events {
            let line = serde_json::to_string(event).expect("plain data");
            if writeln!(events.lock().expect("not poisoned"), "{line}").is_err()
                && !self.failed.swap(true, Ordering::Relaxed)
            {
                self.line("warning: the events file can no longer be written");
            }
        }
        match event {
            Event::StageStarted { stage } => {
                if let Some(bar) = &self.bar {
                    bar.set_message(stage.clone());
                    bar.set_position(0);
                    bar.reset_eta();
                }
            }
            Event::Progress { fraction, .. } => {
                if let Some(bar) = &self.bar {
                    bar.set_position((fraction * 1000.0) as u64);
                }
            }
            Event::Warning { message } => self.line(&format!("warning: {message}")),
            Event::StageDone {
                stage,
                seconds,
                resumed,
            } => {
                let how = if *resumed {
                    "from the work folder".into()
                } else {
                    format!("{seconds:.1} s")
                };
                self.line(&format!("{stage:<22} {how}"));
            }
        }
    }

    /// A line for people, kept for the log.
    pub fn line(&self, text: &str) {
        let text = &*printable(text);
        self.log.lock().expect("not poisoned").push(text.to_owned());
        if self.quiet {
            return;
        }
        match &self.bar {
            Some(bar) => bar.suspend(|| to_stderr(text)),
            None => to_stderr(text),
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// All lines so far.
    pub fn log(&self) -> String {
        let mut text = self.log.lock().expect("not poisoned").join("\n");
        text.push('\n');
        text
    }
}

/// A line on stderr; a closed one is no reason to stop.
fn to_stderr(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Letters of a message at most.
const LONGEST_MESSAGE: usize = 4000;

/// A message that may hold text of a file (a manifest, a table of parameters): cut when it is endless, and without control
/// characters, since a file must not write to the reader's terminal.
pub fn printable(text: &str) -> Cow<'_, str> {
    let is_bad = |letter: char| letter.is_control() && letter != '\n';
    if text.len() <= LONGEST_MESSAGE && !text.contains(is_bad) {
        return Cow::Borrowed(text);
    }
    let mut shown: String = text
        .chars()
        .take(LONGEST_MESSAGE)
        .map(|letter| if is_bad(letter) { '\u{fffd}' } else { letter })
        .collect();
    if text.chars().nth(LONGEST_MESSAGE).is_some() {
        shown.push('…');
    }
    Cow::Owned(shown)
}

/// Prints a failure the way every command does.
pub fn print_failure(failure: &Failure) {
    let (red, plain) = if std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
    {
        ("\x1b[31m", "\x1b[0m")
    } else {
        ("", "")
    };
    to_stderr(&format!(
        "{red}error:{plain} {}",
        printable(failure.message.trim_end_matches('.'))
    ));
    if let Some(hint) = &failure.hint {
        to_stderr(&format!("\nhint: {}", printable(hint)));
    }
    if failure.code == ExitCode::Unexpected {
        to_stderr(
            "\nhint: this is a bug; please attach the command line, this message and the log to an issue",
        );
    }
}

/// A size for people, in powers of 1000 as disks are sold, in three digits at most.
pub fn size_text(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    let mut value = bytes as f64 / 1e3;
    let mut unit = 0;
    // 999.5 would be written as 1000.
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1e3;
        unit += 1;
    }
    let digits = if value < 9.95 { 1 } else { 0 };
    format!("{value:.digits$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_unit_that_makes_them_short() {
        let said = [0, 4_200, 999_499, 999_500, 12_345_678, 2_500_000_000].map(size_text);
        assert_eq!(
            said,
            ["0.0 kB", "4.2 kB", "999 kB", "1.0 MB", "12 MB", "2.5 GB"]
        );
    }
}
