//! Unpacked chunks that are likely to be asked for again, up to a number of bytes; those that were used last stay.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// Chunks by their index in the grid.
#[derive(Debug)]
pub(crate) struct ChunkCache {
    budget_bytes: usize,
    state: Mutex<State>,
}

#[derive(Default, Debug)]
struct State {
    /// Each chunk and when it was used last.
    chunks: HashMap<Vec<u64>, (Arc<Vec<u8>>, u64)>,
    /// Chunks in the order of their last use.
    order: BTreeMap<u64, Vec<u64>>,
    clock: u64,
    bytes: usize,
}

impl ChunkCache {
    /// A cache of so many bytes, or of one chunk that is larger.
    pub fn new(budget_bytes: usize) -> ChunkCache {
        ChunkCache {
            budget_bytes,
            state: Mutex::default(),
        }
    }

    /// A chunk that is there.
    pub fn get(&self, index: &[u64]) -> Option<Arc<Vec<u8>>> {
        let state = &mut *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clock += 1;
        let (chunk, used) = state.chunks.get_mut(index)?;
        let chunk = Arc::clone(chunk);
        let before = std::mem::replace(used, state.clock);
        if let Some(index) = state.order.remove(&before) {
            state.order.insert(state.clock, index);
        }
        Some(chunk)
    }

    /// Keeps a chunk; those that were used longest ago make room.
    pub fn put(&self, index: &[u64], chunk: &Arc<Vec<u8>>) {
        let state = &mut *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.chunks.contains_key(index) {
            return;
        }
        while state.bytes + chunk.len() > self.budget_bytes
            && let Some((_, oldest)) = state.order.pop_first()
        {
            if let Some((removed, _)) = state.chunks.remove(&oldest) {
                state.bytes -= removed.len();
            }
        }
        state.clock += 1;
        state.bytes += chunk.len();
        state.order.insert(state.clock, index.to_vec());
        state
            .chunks
            .insert(index.to_vec(), (Arc::clone(chunk), state.clock));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chunks_that_were_used_last_stay_within_the_budget() {
        let cache = ChunkCache::new(100);
        for number in 0..10u64 {
            cache.put(&[number, 0], &Arc::new(vec![number as u8; 30]));
            assert!(cache.get(&[0, 0]).is_some(), "{number}");
        }
        // The first was used each time, so that it and the last two are there.
        let there: Vec<u64> = (0..10)
            .filter(|&number| cache.get(&[number, 0]).is_some())
            .collect();
        assert_eq!(there, [0, 8, 9]);
        cache.put(&[20, 0], &Arc::new(vec![1; 1000]));
        assert!(cache.get(&[20, 0]).is_some() && cache.get(&[9, 0]).is_none());
    }
}
