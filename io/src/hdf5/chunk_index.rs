//! Where a chunk is. Each look-up reads the few nodes on its way, so an index takes no memory however many chunks there are.

use std::cmp::Ordering;

use super::btree2::BTree2;
use super::chunk_arrays::{ExtensibleArray, FixedArray};
use super::source::Source;
use crate::error::IoError;

/// Levels of an old tree at most; each is a byte in the file.
const MAX_LEVELS: usize = 256;

/// The index of a dataset's chunks.
#[derive(Debug)]
pub(crate) enum ChunkIndex {
    /// No chunk was written.
    Nothing,
    /// The whole dataset is one chunk.
    Single(ChunkPlace),
    /// All chunks lie one after the other, without filters.
    Implicit(u64),
    /// A table for datasets that cannot grow.
    Fixed(FixedArray),
    /// A table for datasets that grow along one axis.
    Extensible(ExtensibleArray),
    /// The tree of old files; `None` when no chunk was written.
    Tree1(Option<u64>),
    /// The tree of datasets that grow along several axes; the flag is set when chunks are filtered.
    Tree2(BTree2, bool),
}

/// A stored chunk.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) struct ChunkPlace {
    pub address: u64,
    /// Its bytes in the file; `None` when it is stored as it is.
    pub stored_bytes: Option<u64>,
    /// Bits of filters that were not applied.
    pub mask: u32,
}

/// The grid of chunks.
#[derive(Debug)]
pub(crate) struct Grid {
    /// Elements of a chunk along each axis.
    pub chunk: Vec<u64>,
    /// Chunks along each axis when it has its greatest length; `None` where there is none.
    pub max_chunks: Vec<Option<u64>>,
    /// Bytes of a chunk.
    pub chunk_bytes: u64,
}

impl Grid {
    /// The number of a chunk, the last axis being fastest, in the greatest length of each axis. An axis without one is the
    /// slowest, wherever it is.
    fn number(&self, cell: &[u64]) -> Option<u64> {
        let mut number = 0u64;
        let unlimited = self.max_chunks.iter().position(Option::is_none);
        if let Some(axis) = unlimited {
            number = cell[axis];
        }
        for (axis, (&at, &max)) in cell.iter().zip(&self.max_chunks).enumerate() {
            if Some(axis) != unlimited {
                number = number.checked_mul(max?)?.checked_add(at)?;
            }
        }
        Some(number)
    }
}

impl ChunkIndex {
    /// The chunk in a cell of the grid; `None` when it was not written.
    pub fn find(
        &self,
        source: &Source,
        grid: &Grid,
        cell: &[u64],
    ) -> Result<Option<ChunkPlace>, IoError> {
        let number = || {
            grid.number(cell)
                .ok_or_else(|| source.malformed(0, "chunks have numbers that are too large"))
        };
        match self {
            ChunkIndex::Nothing => Ok(None),
            ChunkIndex::Single(place) => Ok(Some(*place)),
            ChunkIndex::Implicit(address) => {
                let at = number()?
                    .checked_mul(grid.chunk_bytes)
                    .and_then(|distance| address.checked_add(distance))
                    .ok_or_else(|| source.malformed(*address, "chunks lie beyond all files"))?;
                Ok(Some(ChunkPlace {
                    address: at,
                    stored_bytes: None,
                    mask: 0,
                }))
            }
            ChunkIndex::Fixed(array) => array.find(source, number()?),
            ChunkIndex::Extensible(array) => array.find(source, number()?),
            ChunkIndex::Tree1(None) => Ok(None),
            ChunkIndex::Tree1(Some(root)) => find_in_old_tree(source, grid, *root, cell),
            ChunkIndex::Tree2(tree, is_filtered) => find_in_tree(source, tree, *is_filtered, cell),
        }
    }
}

/// A tree of version 1: between two children is the offset of the first chunk of the second.
fn find_in_old_tree(
    source: &Source,
    grid: &Grid,
    root: u64,
    cell: &[u64],
) -> Result<Option<ChunkPlace>, IoError> {
    let wanted: Vec<u64> = cell
        .iter()
        .zip(&grid.chunk)
        .map(|(&at, &chunk)| at.saturating_mul(chunk))
        .collect();
    let key_bytes = 8 + 8 * (cell.len() + 1);
    let step = key_bytes + source.offset_bytes;
    let mut address = root;
    let mut level_above = None;
    for _ in 0..MAX_LEVELS {
        let head = source.read(address, 8 + 2 * source.offset_bytes as u64)?;
        source.check_mark(address, &head, b"TREE")?;
        let mut cursor = source.cursor(address, &head);
        cursor.skip(4)?;
        let kind = cursor.u8()?;
        let level = cursor.u8()?;
        if kind != 1 || level_above.is_some_and(|above: u8| level >= above) {
            return Err(cursor.malformed("a node of another tree is in the chunks'"));
        }
        let n_children = usize::from(cursor.u16()?);
        let at = address + head.len() as u64;
        let bytes = source.read(at, (n_children * step) as u64)?;
        let key = |index: usize| source.cursor(at + (index * step) as u64, &bytes[index * step..]);
        // The last child whose key is not beyond what is wanted.
        let (mut low, mut high) = (0, n_children);
        while low < high {
            let middle = (low + high) / 2;
            let mut cursor = key(middle);
            cursor.skip(8)?;
            match compare(&mut cursor, &wanted)? {
                Ordering::Greater => high = middle,
                _ => low = middle + 1,
            }
        }
        let Some(child) = low.checked_sub(1) else {
            return Ok(None);
        };
        let mut cursor = key(child);
        let stored_bytes = u64::from(cursor.u32()?);
        let mask = cursor.u32()?;
        let is_the_one = compare(&mut cursor, &wanted)? == Ordering::Equal;
        cursor.skip(8)?;
        let next = cursor.some_address("a chunk or a node of its tree")?;
        if level == 0 {
            return Ok(is_the_one.then_some(ChunkPlace {
                address: next,
                stored_bytes: Some(stored_bytes),
                mask,
            }));
        }
        address = next;
        level_above = Some(level);
    }
    Err(source.malformed(address, "the tree of chunks has too many levels"))
}

/// A tree of version 2, by the chunk's place in the grid.
fn find_in_tree(
    source: &Source,
    tree: &BTree2,
    is_filtered: bool,
    cell: &[u64],
) -> Result<Option<ChunkPlace>, IoError> {
    let size_bytes = tree
        .record_bytes()
        .saturating_sub(source.offset_bytes + 4 + 8 * cell.len());
    tree.find(source, |mut record| {
        let address = record.some_address("a chunk")?;
        let (stored_bytes, mask) = if is_filtered {
            (Some(record.uint(size_bytes)?), record.u32()?)
        } else {
            (None, 0)
        };
        let order = compare(&mut record, cell)?;
        let place = ChunkPlace {
            address,
            stored_bytes,
            mask,
        };
        Ok((order, place))
    })
}

/// The next numbers against those that are wanted, first axis first.
fn compare(cursor: &mut super::source::Cursor, wanted: &[u64]) -> Result<Ordering, IoError> {
    let mut order = Ordering::Equal;
    for wanted in wanted {
        let found = cursor.uint(8)?;
        order = order.then(found.cmp(wanted));
    }
    Ok(order)
}
