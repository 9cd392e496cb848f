//! What the user sees while a command runs. Data go to stdout, everything here to stderr.

use std::{
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
            bar,
            events,
            log: Mutex::default(),
            failed: AtomicBool::new(false),
        })
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
        failure.message.trim_end_matches('.')
    ));
    if let Some(hint) = &failure.hint {
        to_stderr(&format!("\nhint: {hint}"));
    }
    if failure.code == ExitCode::Unexpected {
        to_stderr(
            "\nhint: this is a bug; please attach the command line, this message and the log to an issue",
        );
    }
}
