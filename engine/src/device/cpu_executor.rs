//! Plays commands on the processor by calling the native twins.
//!
//! One list of commands runs on one thread; the scheduler keeps all cores busy with several lists. Buffers come from
//! an arena that the thread keeps, so that a block's working set is the same memory block after block.

use std::{
    cell::RefCell,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use somata_shaders::{BindingAccess, cpu::Buffer};

use super::{
    Commands, DeviceError, Downloads, Executor, KernelTimes, Resident,
    commands::{BufferSource, Dispatch},
};

thread_local! {
    /// Buffers of earlier lists, by no particular order.
    static ARENA: RefCell<Vec<Vec<u32>>> = const { RefCell::new(Vec::new()) };
}

/// Buffers that a thread keeps at most.
const ARENA_BUFFERS: usize = 24;

/// The processor as an executor.
pub struct CpuExecutor {
    threads: usize,
    times: Mutex<KernelTimes>,
}

impl CpuExecutor {
    /// Its name.
    pub const NAME: &str = "cpu";

    /// An executor for `threads` threads.
    pub fn new(threads: usize) -> Self {
        Self {
            threads: threads.max(1),
            times: Mutex::default(),
        }
    }
}

enum Slot {
    /// A buffer of the arena.
    Owned(Vec<u32>),
    /// What the host sent. It was not taken from the arena and does not go there: with every block one more would pile up.
    Uploaded(Vec<u32>),
    Resident(Arc<Vec<u32>>),
}

/// A buffer of exactly `words` words from the arena, with any content.
fn take(words: usize) -> Vec<u32> {
    ARENA.with_borrow_mut(|arena| {
        let fit = arena
            .iter()
            .enumerate()
            .filter(|(_, buffer)| {
                buffer.capacity() >= words && buffer.capacity() <= 2 * words.max(1024)
            })
            .min_by_key(|(_, buffer)| buffer.capacity())
            .map(|(i, _)| i);
        let mut buffer = fit.map(|i| arena.swap_remove(i)).unwrap_or_default();
        buffer.truncate(words);
        buffer.resize(words, 0);
        buffer
    })
}

fn give_back(buffer: Vec<u32>) {
    ARENA.with_borrow_mut(|arena| {
        arena.push(buffer);
        if arena.len() > ARENA_BUFFERS {
            arena.remove(0);
        }
    });
}

/// Calls one twin. What it writes is taken out of the slots for the time of the call; what it reads may be bound twice.
fn call(dispatch: &Dispatch, slots: &mut [Slot]) -> Duration {
    let accesses = dispatch.kernel.source().bindings.iter();
    let is_written: Vec<bool> = accesses
        .map(|binding| binding.access == BindingAccess::ReadWrite)
        .collect();
    let mut written: Vec<Vec<u32>> = dispatch
        .buffers
        .iter()
        .zip(&is_written)
        .filter(|(_, written)| **written)
        .map(|(id, _)| match &mut slots[id.0] {
            Slot::Owned(words) | Slot::Uploaded(words) => std::mem::take(words),
            Slot::Resident(_) => panic!("`{}` writes to resident data", dispatch.kernel.stem),
        })
        .collect();
    let start;
    {
        let mut outputs = written.iter_mut();
        let mut buffers: Vec<Buffer<'_>> = dispatch
            .buffers
            .iter()
            .zip(&is_written)
            .map(|(id, written)| match (&slots[id.0], written) {
                (_, true) => Buffer::ReadWrite(outputs.next().expect("taken above")),
                (Slot::Owned(words) | Slot::Uploaded(words), false) => Buffer::Read(words),
                (Slot::Resident(words), false) => Buffer::Read(words),
            })
            .collect();
        start = Instant::now();
        (dispatch.kernel.cpu)(&dispatch.params, &mut buffers);
    }
    let elapsed = start.elapsed();
    let ids = dispatch.buffers.iter().zip(&is_written);
    for ((id, _), words) in ids.filter(|(_, written)| **written).zip(written) {
        match &mut slots[id.0] {
            Slot::Owned(place) | Slot::Uploaded(place) => *place = words,
            Slot::Resident(_) => {}
        }
    }
    elapsed
}

impl Executor for CpuExecutor {
    fn name(&self) -> String {
        Self::NAME.into()
    }

    fn resident_words(&self, name: &'static str, words: Vec<u32>) -> Result<Resident, DeviceError> {
        Ok(Resident {
            name,
            words: words.len(),
            storage: Arc::new(words),
        })
    }

    fn play(&self, commands: Commands) -> Result<Downloads, DeviceError> {
        let mut is_downloaded = vec![false; commands.buffers.len()];
        commands
            .downloads
            .iter()
            .for_each(|id| is_downloaded[id.0] = true);
        let mut slots: Vec<Slot> = commands
            .buffers
            .into_iter()
            .zip(is_downloaded)
            .map(|(plan, is_downloaded)| match plan.source {
                // It goes to the caller, and would take a buffer of up to twice its size out of the arena.
                BufferSource::Uninitialised | BufferSource::Zeros if is_downloaded => {
                    // Written, not asked of the system as zeros: what a kernel adds to would have every page mapped twice.
                    Slot::Owned(std::iter::repeat_n(0, plan.words).collect())
                }
                BufferSource::Uninitialised => Slot::Owned(take(plan.words)),
                BufferSource::Zeros => {
                    let mut buffer = take(plan.words);
                    buffer.fill(0);
                    Slot::Owned(buffer)
                }
                BufferSource::Upload(words) => Slot::Uploaded(words),
                BufferSource::Resident(resident) => Slot::Resident(
                    resident
                        .storage
                        .downcast()
                        .expect("a resident of this executor"),
                ),
            })
            .collect();
        for dispatch in &commands.dispatches {
            let elapsed = call(dispatch, &mut slots);
            let mut times = self.times.lock().expect("no panic while timing");
            let entry = times.entry(dispatch.kernel.stem).or_default();
            entry.0 += 1;
            entry.1 += elapsed;
        }
        let downloads = commands
            .downloads
            .iter()
            .map(
                |id| match std::mem::replace(&mut slots[id.0], Slot::Owned(Vec::new())) {
                    Slot::Owned(words) | Slot::Uploaded(words) => words,
                    Slot::Resident(words) => words.to_vec(),
                },
            )
            .collect();
        for slot in slots {
            if let Slot::Owned(buffer) = slot
                && buffer.capacity() > 0
            {
                give_back(buffer);
            }
        }
        Ok(Downloads(downloads))
    }

    fn lanes(&self) -> usize {
        self.threads
    }

    fn blocks_together(&self, _bytes_per_block: u64) -> usize {
        1
    }

    fn kernel_times(&self) -> KernelTimes {
        self.times.lock().expect("no panic while timing").clone()
    }

    /// Threads of a pass end with it; those of rayon's pool, which play lists too, stay.
    fn rest(&self) {
        let clear = || ARENA.with_borrow_mut(|arena| *arena = Vec::new());
        clear();
        rayon::broadcast(|_| clear());
    }
}
