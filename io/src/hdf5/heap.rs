//! Local heaps (names of old groups) and global heaps (texts of any length).

use std::sync::{Arc, Mutex, PoisonError};

use super::source::Source;
use crate::error::IoError;

/// Names of an old group, zero-ended, at offsets.
pub(crate) struct LocalHeap {
    address: u64,
    bytes: Vec<u8>,
}

impl LocalHeap {
    /// Reads the heap at an address.
    pub fn read(source: &Source, address: u64) -> Result<LocalHeap, IoError> {
        let length = 8 + 2 * source.length_bytes + source.offset_bytes;
        let bytes = source.read(address, length as u64)?;
        source.check_mark(address, &bytes, b"HEAP")?;
        let mut cursor = source.cursor(address, &bytes);
        cursor.skip(4)?;
        cursor.version("the heap of names", &[0])?;
        cursor.skip(3)?;
        let length = cursor.length()?;
        cursor.length()?;
        let address = cursor.some_address("the heap of names")?;
        Ok(LocalHeap {
            address,
            bytes: source.read(address, length)?,
        })
    }

    /// The text at an offset.
    pub fn text(&self, source: &Source, offset: u64) -> Result<String, IoError> {
        let mut cursor = source.cursor(self.address, &self.bytes);
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        cursor.skip(offset)?;
        cursor.zero_ended()
    }
}

/// The collection of texts that was read last, for texts that follow each other lie in one.
#[derive(Default, Debug)]
pub(crate) struct GlobalHeaps {
    last: Mutex<Option<(u64, Arc<Vec<u8>>)>>,
}

impl GlobalHeaps {
    /// The bytes of the object `index` in the collection at `address`.
    pub fn object(&self, source: &Source, address: u64, index: u32) -> Result<Vec<u8>, IoError> {
        let collection = self.collection(source, address)?;
        let mut cursor = source.cursor(address, &collection);
        cursor.skip(8 + source.length_bytes)?;
        let head = 8 + source.length_bytes;
        while cursor.rest().len() >= head {
            let found = cursor.u16()?;
            cursor.skip(6)?;
            let length = cursor.length()?;
            // The object of number 0 is the free space at the end.
            if found == 0 {
                break;
            }
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            let bytes = cursor.bytes(length)?;
            if u32::from(found) == index {
                return Ok(bytes.to_vec());
            }
            cursor.skip((length.next_multiple_of(8) - length).min(cursor.rest().len()))?;
        }
        Err(source.malformed(address, format!("the text {index} of this heap is missing")))
    }

    fn collection(&self, source: &Source, address: u64) -> Result<Arc<Vec<u8>>, IoError> {
        {
            let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((at, bytes)) = &*last
                && *at == address
            {
                return Ok(Arc::clone(bytes));
            }
        }
        let head = source.read(address, 8 + source.length_bytes as u64)?;
        source.check_mark(address, &head, b"GCOL")?;
        let mut cursor = source.cursor(address, &head);
        cursor.skip(4)?;
        cursor.version("the heap of texts", &[1])?;
        cursor.skip(3)?;
        let length = cursor.length()?;
        let bytes = Arc::new(source.read(address, length)?);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some((address, Arc::clone(&bytes)));
        Ok(bytes)
    }
}
