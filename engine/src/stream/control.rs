//! How a run is watched and stopped.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use serde::Serialize;

use crate::error::{EngineError, Result};

/// What a run tells while it goes on.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A stage begins.
    StageStarted {
        /// Its name.
        stage: String,
    },
    /// A stage has come this far.
    Progress {
        /// Its name.
        stage: String,
        /// 0 to 1.
        fraction: f64,
    },
    /// Something that the user can act on.
    Warning {
        /// In words.
        message: String,
    },
    /// A stage has ended.
    StageDone {
        /// Its name.
        stage: String,
        /// How long it took.
        seconds: f64,
        /// Whether its result came from the work folder.
        resumed: bool,
    },
}

/// A finished stage, for the manifest.
#[derive(Clone, Debug, Serialize)]
pub struct StageReport {
    /// Its name.
    pub stage: String,
    /// How long it took.
    pub seconds: f64,
    /// Whether its result came from the work folder.
    pub resumed: bool,
}

/// Takes events to whoever shows them.
type Listener = Box<dyn Fn(&Event) + Send + Sync>;

/// Shared by a run and whoever watches it.
pub struct Control {
    cancelled: AtomicBool,
    listener: Listener,
    stages: Mutex<Vec<StageReport>>,
    warnings: Mutex<Vec<String>>,
}

impl Default for Control {
    fn default() -> Self {
        Self::new(Box::new(|_| {}))
    }
}

impl Control {
    /// A control whose events go to `listener`.
    pub fn new(listener: Listener) -> Self {
        Self {
            cancelled: AtomicBool::new(false),
            listener,
            stages: Mutex::default(),
            warnings: Mutex::default(),
        }
    }
    /// Asks the run to stop at the next block.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
    /// An error when the run was asked to stop.
    ///
    /// # Errors
    /// [`EngineError::Cancelled`] after [`Control::cancel`].
    pub fn check(&self) -> Result<()> {
        if self.cancelled.load(Ordering::Relaxed) {
            Err(EngineError::Cancelled)
        } else {
            Ok(())
        }
    }
    /// Tells an event.
    pub fn tell(&self, event: Event) {
        (self.listener)(&event);
    }
    /// Warns the user and keeps the warning for the manifest.
    pub fn warn(&self, message: String) {
        self.warnings
            .lock()
            .expect("not poisoned")
            .push(message.clone());
        self.tell(Event::Warning { message });
    }
    /// Runs a stage, timing and announcing it; the result says whether it was resumed.
    ///
    /// # Errors
    /// What the stage returns.
    pub fn stage<T>(&self, name: &str, run: impl FnOnce() -> Result<(T, bool)>) -> Result<T> {
        self.check()?;
        self.tell(Event::StageStarted { stage: name.into() });
        let start = Instant::now();
        let (value, resumed) = run()?;
        let seconds = start.elapsed().as_secs_f64();
        self.stages.lock().expect("not poisoned").push(StageReport {
            stage: name.into(),
            seconds,
            resumed,
        });
        self.tell(Event::StageDone {
            stage: name.into(),
            seconds,
            resumed,
        });
        Ok(value)
    }
    /// The stages that have ended.
    pub fn stages(&self) -> Vec<StageReport> {
        self.stages.lock().expect("not poisoned").clone()
    }
    /// The warnings so far.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.lock().expect("not poisoned").clone()
    }
}
