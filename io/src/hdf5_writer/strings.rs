//! The global heap: where texts of variable length lie.
//!
//! A collection has a fixed size and a place in the file before it is full, so that an element can name it while it is still being
//! filled. It is kept in memory until then.

/// Bytes of a collection of short texts.
const COLLECTION_BYTES: usize = 1 << 14;
/// Bytes before the first text, and before each text.
const HEAD_BYTES: usize = 16;

/// The collection that is being filled.
#[derive(Debug, Default)]
pub(super) struct StringHeap {
    place: u64,
    /// Its size.
    size_bytes: usize,
    /// Head and texts so far; empty when there is no collection.
    bytes: Vec<u8>,
    n_texts: u16,
}

impl StringHeap {
    /// Whether a text of that length still fits.
    pub fn has_room(&self, length: usize) -> bool {
        !self.bytes.is_empty()
            && self.n_texts < u16::MAX
            && self.bytes.len() + HEAD_BYTES + length.next_multiple_of(8) <= self.size_bytes
    }

    /// Starts a collection at `place` that can hold a text of `length`; returns its size.
    pub fn start(&mut self, place: u64, length: usize) -> usize {
        let needed = 2 * HEAD_BYTES + length.next_multiple_of(8);
        self.size_bytes = needed.max(COLLECTION_BYTES);
        self.place = place;
        self.n_texts = 0;
        self.bytes = b"GCOL\x01\0\0\0".to_vec();
        self.bytes
            .extend_from_slice(&(self.size_bytes as u64).to_le_bytes());
        self.size_bytes
    }

    /// Adds a text; returns the element that leads to it.
    pub fn add(&mut self, text: &[u8]) -> [u8; 16] {
        self.n_texts += 1;
        // Number, count of references, four bytes unused, length.
        self.bytes.extend_from_slice(&self.n_texts.to_le_bytes());
        self.bytes.extend_from_slice(&[1, 0, 0, 0, 0, 0]);
        self.bytes
            .extend_from_slice(&(text.len() as u64).to_le_bytes());
        self.bytes.extend_from_slice(text);
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let mut element = [0; 16];
        element[..4].copy_from_slice(&(text.len() as u32).to_le_bytes());
        element[4..12].copy_from_slice(&self.place.to_le_bytes());
        element[12..14].copy_from_slice(&self.n_texts.to_le_bytes());
        element
    }

    /// Ends the collection: where it goes, and its bytes.
    pub fn take(&mut self) -> Option<(u64, Vec<u8>)> {
        if self.bytes.is_empty() {
            return None;
        }
        let mut bytes = std::mem::take(&mut self.bytes);
        let free = self.size_bytes - bytes.len();
        if free >= HEAD_BYTES {
            // Text number 0 is what is left, its head counted in.
            bytes.extend_from_slice(&[0; 8]);
            bytes.extend_from_slice(&(free as u64).to_le_bytes());
        }
        bytes.resize(self.size_bytes, 0);
        Some((self.place, bytes))
    }
}
