//! One pass over a recording or a movie: read, compute and drain overlap, memory is bounded, results come in order.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use super::{
    blocks::{Block, read_window, window_words},
    control::{Control, Event},
};
use crate::{
    error::{EngineError, Result},
    recording::Recording,
};

/// What can be read block by block.
pub trait Source: Sync {
    /// The unit in which it is read.
    type Block: Clone + Send + Sync;
    /// Words that a block takes, padding included.
    fn block_words(&self) -> usize;
    /// Fills the words of one block; they are zero before.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read_block(&self, block: &Self::Block, words: &mut [u32]) -> Result<()>;

    /// Reads some blocks that travel together.
    ///
    /// # Errors
    /// When one cannot be read.
    fn read_blocks(&self, blocks: &[Self::Block]) -> Result<Vec<u32>> {
        let words = self.block_words();
        let mut raw = vec![0u32; words * blocks.len()];
        for (block, window) in blocks.iter().zip(raw.chunks_exact_mut(words)) {
            self.read_block(block, window)?;
        }
        Ok(raw)
    }
}

impl Source for dyn Recording + '_ {
    type Block = Block;
    fn block_words(&self) -> usize {
        window_words(self.info())
    }
    fn read_block(&self, block: &Block, words: &mut [u32]) -> Result<()> {
        Ok(read_window(self, block, words)?)
    }
}

/// Blocks that travel together, with their raw data.
pub struct Chunk<B = Block> {
    /// The blocks.
    pub blocks: Vec<B>,
    /// Raw data of the blocks, one after the other, each padded to whole words.
    pub raw: Vec<u32>,
    position: usize,
}

/// How a recording or a movie is passed through.
pub struct Pass<'a, S: Source + ?Sized> {
    /// What is read.
    pub source: &'a S,
    /// Watches and stops the run.
    pub control: &'a Control,
    /// Threads that compute.
    pub lanes: usize,
    /// Blocks that travel together.
    pub blocks_together: usize,
}

impl<S: Source + ?Sized> Pass<'_, S> {
    /// Sends `blocks` through `work` (on several threads) and its results, one a block, through `drain` (on this
    /// thread, in the order of `blocks`).
    ///
    /// # Errors
    /// The first error of reading, `work` or `drain`, or [`EngineError::Cancelled`].
    pub fn run<T: Send>(
        &self,
        stage: &str,
        blocks: &[S::Block],
        work: impl Fn(&mut Chunk<S::Block>) -> Result<Vec<T>> + Sync,
        mut drain: impl FnMut(&S::Block, T) -> Result<()>,
    ) -> Result<()> {
        let lanes = self.lanes.max(1);
        let stop = AtomicBool::new(false);
        let (chunk_sender, chunk_receiver) = mpsc::sync_channel::<Result<Chunk<S::Block>>>(lanes);
        let chunk_receiver = Mutex::new(chunk_receiver);
        let (result_sender, result_receiver) =
            mpsc::sync_channel::<(usize, Vec<S::Block>, Result<Vec<T>>)>(2 * lanes);
        let drained = AtomicUsize::new(0);
        let (stop, drained, work, chunk_receiver) = (&stop, &drained, &work, &chunk_receiver);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for (position, group) in blocks.chunks(self.blocks_together.max(1)).enumerate() {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    // Stay close ahead of what is drained, however long one chunk takes.
                    while position > drained.load(Ordering::Relaxed) + 4 * lanes
                        && !stop.load(Ordering::Relaxed)
                    {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    let chunk = self.source.read_blocks(group).map(|raw| Chunk {
                        blocks: group.to_vec(),
                        raw,
                        position,
                    });
                    if chunk_sender.send(chunk).is_err() {
                        return;
                    }
                }
            });
            for _ in 0..lanes {
                let result_sender = result_sender.clone();
                scope.spawn(move || {
                    loop {
                        let next = chunk_receiver.lock().expect("not poisoned").recv();
                        let sent = match next {
                            Err(_) => return,
                            Ok(_) if stop.load(Ordering::Relaxed) => continue,
                            Ok(Err(error)) => {
                                result_sender.send((usize::MAX, Vec::new(), Err(error)))
                            }
                            Ok(Ok(mut chunk)) => {
                                // A panic in one thread must end the run, not leave the others waiting.
                                let result = self.control.check().and_then(|()| {
                                    catch_unwind(AssertUnwindSafe(|| work(&mut chunk)))
                                        .unwrap_or_else(|_| {
                                            Err(EngineError::Panicked(stage.into()))
                                        })
                                });
                                result_sender.send((chunk.position, chunk.blocks, result))
                            }
                        };
                        if sent.is_err() {
                            return;
                        }
                    }
                });
            }
            drop(result_sender);
            let mut waiting = BTreeMap::new();
            let (mut next, mut done) = (0, 0);
            let mut outcome = Ok(());
            for (position, chunk_blocks, result) in result_receiver {
                if outcome.is_err() {
                    continue; // let the threads come to their end
                }
                match result {
                    Err(error) => outcome = Err(error),
                    Ok(values) => {
                        waiting.insert(position, (chunk_blocks, values));
                    }
                }
                while let Some((chunk_blocks, values)) = waiting.remove(&next) {
                    next += 1;
                    drained.store(next, Ordering::Relaxed);
                    done += chunk_blocks.len();
                    for (block, value) in chunk_blocks.iter().zip(values) {
                        if outcome.is_ok() {
                            outcome = drain(block, value);
                        }
                    }
                    self.control.tell(Event::Progress {
                        stage: stage.into(),
                        fraction: done as f64 / blocks.len().max(1) as f64,
                    });
                }
                if outcome.is_err() {
                    stop.store(true, Ordering::Relaxed);
                }
            }
            outcome
        })
    }
}
