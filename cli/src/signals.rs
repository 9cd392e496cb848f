//! SIGINT and SIGTERM end a run at the next block; a second one ends it at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use signal_hook::consts::{SIGINT, SIGTERM};
use somata_engine::stream::Control;

use crate::exit::{ExitCode, Failure};

/// Which signal came first, 0 for none.
pub struct Signals(Arc<AtomicUsize>);

impl Signals {
    /// Watches for signals and cancels the run.
    pub fn watch(control: &Arc<Control>) -> std::io::Result<Self> {
        let received = Arc::new(AtomicUsize::new(0));
        for signal in [SIGINT, SIGTERM] {
            // The second signal finds the value set, and the process ends at once.
            let again = Arc::new(std::sync::atomic::AtomicBool::new(false));
            signal_hook::flag::register_conditional_shutdown(
                signal,
                128 + signal,
                Arc::clone(&again),
            )?;
            signal_hook::flag::register(signal, again)?;
            signal_hook::flag::register_usize(signal, Arc::clone(&received), signal as usize)?;
        }
        let (seen, control) = (Arc::clone(&received), Arc::clone(control));
        std::thread::spawn(move || {
            while seen.load(Ordering::Relaxed) == 0 {
                std::thread::sleep(Duration::from_millis(50));
            }
            control.cancel();
        });
        Ok(Self(received))
    }

    /// The failure with which a stopped run ends; `kept`: whether it leaves stages that are finished.
    pub fn failure(&self, kept: bool) -> Failure {
        let code = if self.0.load(Ordering::Relaxed) == SIGTERM as usize {
            ExitCode::Terminated
        } else {
            ExitCode::Interrupted
        };
        Failure::new(code, "stopped on request").hint(if kept {
            "the same command goes on from the last finished stage"
        } else {
            "the same command begins again"
        })
    }
}
