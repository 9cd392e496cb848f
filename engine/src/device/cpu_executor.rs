//! Plays commands on the processor by calling the native twins.
//!
//! One list of commands runs on one thread; the scheduler keeps all cores busy with several lists. Buffers come from
//! an arena that the thread keeps, so that a block's working set is the same memory block after block.

use std::{
    cell::RefCell,
    sync::{Arc, Mutex},
    time::Instant,
};

use somata_shaders::cpu::Buffer;

use super::{
    Commands, DeviceError, Downloads, Executor, KernelTimes, Resident, commands::BufferSource,
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
    /// An executor for `threads` threads.
    pub fn new(threads: usize) -> Self {
        Self {
            threads: threads.max(1),
            times: Mutex::default(),
        }
    }
}

enum Slot {
    Owned(Vec<u32>),
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

impl Executor for CpuExecutor {
    fn name(&self) -> String {
        "cpu".into()
    }

    fn resident_words(&self, name: &'static str, words: Vec<u32>) -> Result<Resident, DeviceError> {
        Ok(Resident {
            name,
            words: words.len(),
            storage: Arc::new(words),
        })
    }

    fn play(&self, commands: Commands) -> Result<Downloads, DeviceError> {
        let mut slots: Vec<Slot> = commands
            .buffers
            .into_iter()
            .map(|plan| match plan.source {
                BufferSource::Uninitialised => Slot::Owned(take(plan.words)),
                BufferSource::Zeros => {
                    let mut buffer = take(plan.words);
                    buffer.fill(0);
                    Slot::Owned(buffer)
                }
                BufferSource::Upload(words) => Slot::Owned(words),
                BufferSource::Resident(resident) => Slot::Resident(
                    resident
                        .storage
                        .downcast()
                        .expect("a resident of this executor"),
                ),
            })
            .collect();
        for dispatch in &commands.dispatches {
            let mut bound: Vec<Slot> = dispatch
                .buffers
                .iter()
                .map(|id| std::mem::replace(&mut slots[id.0], Slot::Owned(Vec::new())))
                .collect();
            let start = Instant::now();
            {
                let mut buffers: Vec<Buffer<'_>> = bound
                    .iter_mut()
                    .map(|slot| match slot {
                        Slot::Owned(words) => Buffer::ReadWrite(words),
                        Slot::Resident(words) => Buffer::Read(words),
                    })
                    .collect();
                (dispatch.kernel.cpu)(&dispatch.params, &mut buffers);
            }
            let elapsed = start.elapsed();
            let mut times = self.times.lock().expect("no panic while timing");
            let entry = times.entry(dispatch.kernel.stem).or_default();
            entry.0 += 1;
            entry.1 += elapsed;
            drop(times);
            for (id, slot) in dispatch.buffers.iter().zip(bound) {
                slots[id.0] = slot;
            }
        }
        let downloads = commands
            .downloads
            .iter()
            .map(
                |id| match std::mem::replace(&mut slots[id.0], Slot::Owned(Vec::new())) {
                    Slot::Owned(words) => words,
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
}
