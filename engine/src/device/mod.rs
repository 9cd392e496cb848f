//! Where work runs: a list of commands that either executor plays.
//!
//! Stages write [`Commands`] (uploads, dispatches, downloads over light buffer handles) and never learn whether a
//! GPU or the processor plays them. [`cpu_executor`] calls the native twins; [`wgpu_executor`] is the only file that
//! knows a GPU API.

pub mod adapters;
pub mod commands;
pub mod cpu_executor;
#[cfg(debug_assertions)]
pub mod faults;
pub mod limits;
pub mod self_check;
pub mod wgpu_executor;

use std::{any::Any, collections::BTreeMap, sync::Arc, time::Duration};

pub use adapters::DeviceChoice;
pub use commands::{BufferId, Commands, Downloads};
pub use cpu_executor::CpuExecutor;
pub use wgpu_executor::WgpuExecutor;

/// What can go wrong on a device.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// No adapter answers the request.
    #[error("no suitable GPU: {wanted} was asked for, found {found}")]
    NoAdapter {
        /// What was asked for.
        wanted: String,
        /// The adapters that there are, in words.
        found: String,
    },
    /// The device ran out of memory.
    #[error("the device {device} is out of memory at buffer `{buffer}` ({bytes} bytes)")]
    OutOfMemory {
        /// Name of the device.
        device: String,
        /// Buffer that did not fit.
        buffer: &'static str,
        /// Its size.
        bytes: u64,
    },
    /// A binding is larger than the adapter allows.
    #[error(
        "buffer `{buffer}` of {bytes} bytes is larger than the {limit} bytes that {device} can bind"
    )]
    BindingTooLarge {
        /// Name of the device.
        device: String,
        /// Buffer that is too large.
        buffer: &'static str,
        /// Its size.
        bytes: u64,
        /// What the adapter allows.
        limit: u64,
    },
    /// The device computes something else than the processor does.
    #[error(
        "the device {device} gives wrong results: {n_wrong} of {n} values of the kernel `{kernel}` are not what they should be"
    )]
    Wrong {
        /// Name of the device.
        device: String,
        /// Kernel whose output differs.
        kernel: &'static str,
        /// Values that differ.
        n_wrong: usize,
        /// Values that were compared.
        n: usize,
    },
    /// The driver gave up.
    #[error("the device {device} failed: {message}")]
    Failed {
        /// Name of the device.
        device: String,
        /// What the driver said.
        message: String,
    },
}

/// Data that stay on a device between recordings (matrices, templates). Cheap to clone.
#[derive(Clone)]
pub struct Resident {
    /// Name for messages and traces.
    pub name: &'static str,
    /// Length in 32-bit words.
    pub words: usize,
    /// What the executor that made it keeps.
    pub(crate) storage: Arc<dyn Any + Send + Sync>,
}

/// Calls and seconds of every kernel so far, by stem.
pub type KernelTimes = BTreeMap<&'static str, (u64, Duration)>;

/// Plays commands: the processor or a GPU.
pub trait Executor: Send + Sync {
    /// Name of the device, for people and the manifest.
    fn name(&self) -> String;
    /// Puts data on the device to stay.
    ///
    /// # Errors
    /// When the device has no room.
    fn resident_words(&self, name: &'static str, words: Vec<u32>) -> Result<Resident, DeviceError>;
    /// Plays one list of commands to its end.
    ///
    /// # Errors
    /// When the device fails or has no room.
    fn play(&self, commands: Commands) -> Result<Downloads, DeviceError>;
    /// How many threads may call [`Executor::play`] at once with profit.
    fn lanes(&self) -> usize;
    /// How many blocks should travel together when the largest buffer takes `bytes_per_block` for one.
    fn blocks_together(&self, bytes_per_block: u64) -> usize;
    /// Time spent in each kernel.
    fn kernel_times(&self) -> KernelTimes;
    /// Gives back memory that was kept for more of the same, since something else begins.
    fn rest(&self) {}
}

impl dyn Executor + '_ {
    /// Puts typed data on the device to stay.
    ///
    /// # Errors
    /// When the device has no room.
    pub fn resident<T: bytemuck::Pod>(
        &self,
        name: &'static str,
        data: &[T],
    ) -> Result<Resident, DeviceError> {
        self.resident_words(name, commands::to_words(data))
    }

    /// As `resident`, of data that are of no other use: on the processor they are moved, not copied.
    ///
    /// # Errors
    /// When the device has no room.
    pub fn resident_vec<T: bytemuck::Pod>(
        &self,
        name: &'static str,
        data: Vec<T>,
    ) -> Result<Resident, DeviceError> {
        let words = bytemuck::allocation::try_cast_vec(data)
            .unwrap_or_else(|(_, data)| commands::to_words(&data));
        self.resident_words(name, words)
    }
}
