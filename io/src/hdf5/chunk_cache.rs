//! Chunks that were unpacked last: parts of one that are read one after the other unpack it once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes that the chunks of one dataset may take; a single chunk is kept whatever its size.
pub(crate) const CACHE_BYTES: usize = 64 << 20;

/// Unpacked chunks by their place in the grid.
#[derive(Default, Debug)]
pub(crate) struct ChunkCache {
    kept: Mutex<Kept>,
}

#[derive(Default, Debug)]
struct Kept {
    chunks: HashMap<Vec<u64>, (Arc<Vec<u8>>, u64)>,
    n_bytes: usize,
    /// Counts uses, to know which chunk was used last.
    now: u64,
}

impl ChunkCache {
    /// A chunk that is kept.
    pub fn get(&self, cell: &[u64]) -> Option<Arc<Vec<u8>>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.now += 1;
        let now = kept.now;
        let (chunk, used) = kept.chunks.get_mut(cell)?;
        *used = now;
        Some(Arc::clone(chunk))
    }

    /// Keeps a chunk, and drops those that were not used for longest.
    pub fn insert(&self, cell: &[u64], chunk: Arc<Vec<u8>>) {
        let mut guard = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = &mut *guard;
        if kept.n_bytes.saturating_add(chunk.len()) > CACHE_BYTES {
            // Half of them at a time, so that looking for the oldest is rare.
            let mut uses: Vec<u64> = kept.chunks.values().map(|&(_, used)| used).collect();
            let middle = uses.len() / 2;
            let newest_dropped = if chunk.len() >= CACHE_BYTES / 2 || uses.is_empty() {
                u64::MAX
            } else {
                *uses.select_nth_unstable(middle).1
            };
            kept.chunks.retain(|_, (_, used)| *used > newest_dropped);
            kept.n_bytes = kept.chunks.values().map(|(chunk, _)| chunk.len()).sum();
        }
        kept.now += 1;
        let entry = (Arc::clone(&chunk), kept.now);
        kept.n_bytes += chunk.len();
        if let Some((old, _)) = kept.chunks.insert(cell.to_vec(), entry) {
            kept.n_bytes -= old.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_used_last_stay_and_the_sum_is_bounded() {
        let cache = ChunkCache::default();
        for number in 0..40u64 {
            cache.insert(&[number], Arc::new(vec![number as u8; CACHE_BYTES / 10]));
            // The first is used all the time.
            assert_eq!(cache.get(&[0]).unwrap()[0], 0);
            assert_eq!(cache.get(&[number]).unwrap()[0], number as u8);
            let kept = cache.kept.lock().unwrap();
            assert!(kept.n_bytes <= CACHE_BYTES);
            let sum: usize = kept.chunks.values().map(|(chunk, _)| chunk.len()).sum();
            assert_eq!(kept.n_bytes, sum);
        }
        assert!(cache.get(&[1]).is_none());
        let huge = Arc::new(vec![7; CACHE_BYTES + 1]);
        cache.insert(&[99], huge);
        assert!(cache.get(&[99]).is_some());
        assert!(cache.get(&[0]).is_none());
    }
}
