//! SIGINT and SIGTERM end a run at the next block; a second one ends it at once, as does the end of the time of grace.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use signal_hook::consts::{SIGINT, SIGTERM};
use somata_engine::stream::Control;

use crate::{
    exit::{ExitCode, Failure},
    messages::print_failure,
};

/// How long a run may take to come to its end. Some systems kill a process 5 s after they have asked it to stop.
const GRACE: Duration = Duration::from_secs(4);
/// How often it is looked for a signal.
const STEP: Duration = Duration::from_millis(20);

/// Which signal came first, 0 for none.
pub struct Signals {
    first: Arc<AtomicUsize>,
    checkpoints: PathBuf,
}

/// A file that would grow beyond the limit of the system (`ulimit -f`) is an error of its writer, which is told, and not the end
/// of the process without a word.
pub fn survive_file_size_limit() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        // A signal that is caught, if only to set a flag that nobody reads, makes the write fail instead.
        let flag = Arc::new(std::sync::atomic::AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::signal::SIGXFSZ, flag)?;
    }
    Ok(())
}

impl Signals {
    /// Watches for signals and cancels the run, whose checkpoints go to a folder.
    pub fn watch(control: &Arc<Control>, checkpoints: PathBuf) -> std::io::Result<Self> {
        let first = Arc::new(AtomicUsize::new(0));
        for signal in [SIGINT, SIGTERM] {
            // The second signal finds the value set, and the process ends at once.
            let again = Arc::new(std::sync::atomic::AtomicBool::new(false));
            signal_hook::flag::register_conditional_shutdown(
                signal,
                128 + signal,
                Arc::clone(&again),
            )?;
            signal_hook::flag::register(signal, again)?;
            signal_hook::flag::register_usize(signal, Arc::clone(&first), signal as usize)?;
        }
        let signals = Self { first, checkpoints };
        let (seen, control) = (Arc::clone(&signals.first), Arc::clone(control));
        let checkpoints = signals.checkpoints.clone();
        std::thread::spawn(move || {
            while seen.load(Ordering::Relaxed) == 0 {
                std::thread::sleep(STEP);
            }
            control.cancel();
            std::thread::sleep(GRACE);
            // Whatever is still under way can be left: a file is whole under its name or not there.
            let failure = failure(seen.load(Ordering::Relaxed), &checkpoints);
            print_failure(&failure);
            std::process::exit(failure.code as i32);
        });
        Ok(signals)
    }

    /// The failure with which a stopped run ends.
    pub fn failure(&self) -> Failure {
        failure(self.first.load(Ordering::Relaxed), &self.checkpoints)
    }
}

fn failure(signal: usize, checkpoints: &Path) -> Failure {
    let code = if signal == SIGTERM as usize {
        ExitCode::Terminated
    } else {
        ExitCode::Interrupted
    };
    let kept = checkpoints
        .read_dir()
        .is_ok_and(|mut files| files.next().is_some());
    Failure::new(code, "stopped on request").hint(if kept {
        "the same command goes on from the last finished stage"
    } else {
        "the same command begins again"
    })
}
