//! Devices that fail, for tests: an executor that plays as another does, until it does not.
//!
//! Only in builds for tests and development. There `SOMATA_TEST_FAULT=KIND@N` breaks the device that a command opens: its Nth
//! list of commands and all later ones fail in the named way. A build for users does not look at the variable.

use std::{
    str::FromStr,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::{Commands, DeviceError, Downloads, Executor, KernelTimes, Resident};

/// How a device fails.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The driver has reset it, or it was pulled out.
    Lost,
    /// Its memory is full.
    OutOfMemory,
    /// Its compiler does not accept a kernel.
    ShaderRefused,
    /// It returns words that no kernel wrote, and says nothing.
    Garbage,
}

/// When and how a device fails.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Plan {
    /// How.
    pub fault: Fault,
    /// The first list of commands that fails, from 0.
    pub at: usize,
}

impl FromStr for Plan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, at) = text.split_once('@').unwrap_or((text, "0"));
        let fault = match kind {
            "lost" => Fault::Lost,
            "memory" => Fault::OutOfMemory,
            "shader" => Fault::ShaderRefused,
            "garbage" => Fault::Garbage,
            _ => return Err(format!("`{kind}` is no fault of a device")),
        };
        let at = at.parse().map_err(|_| format!("`{at}` is no number"))?;
        Ok(Self { fault, at })
    }
}

/// An executor that fails.
pub struct Faulty {
    inner: Box<dyn Executor>,
    plan: Plan,
    played: AtomicUsize,
}

impl Faulty {
    /// `inner`, until the plan says otherwise.
    pub fn new(inner: Box<dyn Executor>, plan: Plan) -> Self {
        Self {
            inner,
            plan,
            played: AtomicUsize::new(0),
        }
    }
}

impl Executor for Faulty {
    fn name(&self) -> String {
        self.inner.name()
    }

    fn resident_words(&self, name: &'static str, words: Vec<u32>) -> Result<Resident, DeviceError> {
        self.inner.resident_words(name, words)
    }

    fn play(&self, commands: Commands) -> Result<Downloads, DeviceError> {
        if self.played.fetch_add(1, Ordering::Relaxed) < self.plan.at {
            return self.inner.play(commands);
        }
        let device = self.name();
        match self.plan.fault {
            Fault::Lost => Err(DeviceError::Failed {
                device,
                message: "device lost (Unknown): the driver was reset".into(),
            }),
            Fault::OutOfMemory => {
                let largest = commands.buffers.iter().max_by_key(|plan| plan.words);
                Err(DeviceError::OutOfMemory {
                    device,
                    buffer: largest.map_or("commands", |plan| plan.name),
                    bytes: largest.map_or(0, |plan| 4 * plan.words as u64),
                })
            }
            Fault::ShaderRefused => {
                let kernel = commands.dispatches.first();
                Err(DeviceError::Failed {
                    device,
                    message: format!(
                        "the kernel `{}` was refused: internal compiler error",
                        kernel.map_or("none", |dispatch| dispatch.kernel.stem)
                    ),
                })
            }
            Fault::Garbage => {
                let mut downloads = self.inner.play(commands)?;
                for word in downloads.0.iter_mut().flatten().step_by(17) {
                    *word ^= 0x0040_0001;
                }
                Ok(downloads)
            }
        }
    }

    fn lanes(&self) -> usize {
        self.inner.lanes()
    }

    fn blocks_together(&self, bytes_per_block: u64) -> usize {
        self.inner.blocks_together(bytes_per_block)
    }

    fn kernel_times(&self) -> KernelTimes {
        self.inner.kernel_times()
    }
}

/// The executor, broken as `SOMATA_TEST_FAULT` says; as it is where the variable is not set.
///
/// # Errors
/// When the variable makes no sense.
pub(super) fn as_the_test_wants(
    inner: Box<dyn Executor>,
) -> Result<Box<dyn Executor>, DeviceError> {
    let Ok(text) = std::env::var("SOMATA_TEST_FAULT") else {
        return Ok(inner);
    };
    let plan = text.parse().map_err(|message| DeviceError::Failed {
        device: inner.name(),
        message,
    })?;
    Ok(Box::new(Faulty::new(inner, plan)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{CpuExecutor, self_check};

    #[test]
    fn a_device_that_returns_garbage_does_not_pass_its_check() {
        let faulty = |text: &str| {
            let plan = text.parse().expect("a plan");
            self_check::check(&Faulty::new(Box::new(CpuExecutor::new(1)), plan))
        };
        match faulty("garbage@0") {
            Err(error @ DeviceError::Wrong { .. }) => {
                let text = error.to_string();
                assert!(text.contains("cpu") && text.contains("`whiten`"), "{text}");
            }
            other => panic!("{other:?}"),
        }
        assert!(faulty("garbage@1").is_ok(), "the check is one list");
        assert!(matches!(faulty("lost"), Err(DeviceError::Failed { .. })));
        assert!(matches!(
            faulty("memory"),
            Err(DeviceError::OutOfMemory { .. })
        ));
        assert!(matches!(faulty("shader"), Err(DeviceError::Failed { .. })));
        assert!("flood@3".parse::<Plan>().is_err() && "lost@x".parse::<Plan>().is_err());
    }
}
