//! Fractal heaps, in which groups with many links and objects with many attributes keep them: blocks in rows of growing size,
//! under blocks that refer to them.

use std::cmp::Ordering;

use super::btree2::{BTree2, encoded_bytes};
use super::source::Source;
use crate::error::IoError;

/// Levels of blocks at most.
const MAX_LEVELS: usize = 64;

/// A heap, as its header describes it.
#[derive(Debug)]
pub(crate) struct FractalHeap {
    id_bytes: usize,
    offset_bytes: usize,
    length_bytes: usize,
    table_width: u64,
    first_block_bytes: u64,
    max_direct_bytes: u64,
    root: Option<u64>,
    /// Rows of the root; 0 when the root is a block of data itself.
    n_root_rows: u64,
    huge_tree: Option<u64>,
}

impl FractalHeap {
    /// Reads the header.
    pub fn open(source: &Source, address: u64) -> Result<FractalHeap, IoError> {
        let (offset, length) = (source.offset_bytes as u64, source.length_bytes as u64);
        let whole = 22 + 12 * length + 3 * offset + 4;
        let start = source.read_up_to(address, whole)?;
        source.check_mark(address, &start, b"FRHP")?;
        let mut cursor = source.cursor(address, &start);
        cursor.skip(4)?;
        cursor.version("the heap", &[0])?;
        let id_bytes = usize::from(cursor.u16()?);
        if cursor.u16()? != 0 {
            return Err(source.unsupported(
                "it compresses its lists of names, which is not read",
                "write it again with `h5repack`",
            ));
        }
        source.check_sum(address, &start)?;
        cursor.skip(1)?;
        let max_managed = u64::from(cursor.u32()?);
        cursor.length()?;
        let huge_tree = cursor.address()?;
        cursor.length()?;
        cursor.address()?;
        // Sizes and counts of what is in it.
        cursor.skip(8 * source.length_bytes)?;
        let table_width = u64::from(cursor.u16()?);
        let first_block_bytes = cursor.length()?;
        let max_direct_bytes = cursor.length()?;
        let heap_bits = usize::from(cursor.u16()?);
        cursor.skip(2)?;
        let root = cursor.address()?;
        let n_root_rows = u64::from(cursor.u16()?);
        let makes_sense = id_bytes > 1
            && table_width.is_power_of_two()
            && first_block_bytes.is_power_of_two()
            && max_direct_bytes.is_power_of_two()
            && first_block_bytes <= max_direct_bytes
            && max_direct_bytes < 1 << 40
            && (1..=64).contains(&heap_bits)
            && n_root_rows <= 64;
        if !makes_sense {
            return Err(cursor.malformed("the sizes of the heap make no sense"));
        }
        let direct_bits = max_direct_bytes.ilog2() as usize;
        Ok(FractalHeap {
            id_bytes,
            offset_bytes: heap_bits.div_ceil(8),
            length_bytes: direct_bits.div_ceil(8).min(encoded_bytes(max_managed)),
            table_width,
            first_block_bytes,
            max_direct_bytes,
            root,
            n_root_rows,
            huge_tree,
        })
    }

    /// Bytes of an object's number in this heap.
    pub fn id_bytes(&self) -> usize {
        self.id_bytes
    }

    /// The object of a number; returns its address as well.
    pub fn object(&self, source: &Source, id: &[u8]) -> Result<(u64, Vec<u8>), IoError> {
        let mut cursor = source.cursor(0, id);
        let first = cursor.u8()?;
        match first >> 4 & 3 {
            0 => {
                let offset = cursor.uint(self.offset_bytes)?;
                let length = cursor.uint(self.length_bytes)?;
                let address = self.locate(source, offset)?;
                Ok((address, source.read(address, length)?))
            }
            1 => self.huge(source, cursor.uint(8.min(self.id_bytes - 1))?),
            2 => {
                // Short objects are in the number itself.
                let length = if self.id_bytes - 1 <= 16 {
                    usize::from(first & 0x0f) + 1
                } else {
                    (usize::from(first & 0x0f) << 8 | usize::from(cursor.u8()?)) + 1
                };
                Ok((0, cursor.bytes(length)?.to_vec()))
            }
            _ => Err(source.malformed(0, "an object of a heap is of an unknown kind")),
        }
    }

    /// Objects that are too long for a block are found by a tree.
    fn huge(&self, source: &Source, id: u64) -> Result<(u64, Vec<u8>), IoError> {
        let tree = self
            .huge_tree
            .ok_or_else(|| source.malformed(0, "the tree of a heap's long objects is missing"))?;
        let (tree, _) = BTree2::open(source, tree, &[1])?;
        let place = tree.find(source, |mut record| {
            let address = record.some_address("a long object of a heap")?;
            let length = record.length()?;
            Ok((record.length()?.cmp(&id), (address, length)))
        })?;
        let (address, length) =
            place.ok_or_else(|| source.malformed(0, "a long object of a heap is missing"))?;
        Ok((address, source.read(address, length)?))
    }

    /// The address of an offset in the heap.
    fn locate(&self, source: &Source, offset: u64) -> Result<u64, IoError> {
        let mut block = self
            .root
            .ok_or_else(|| source.malformed(0, "the blocks of a heap are missing"))?;
        let mut n_rows = self.n_root_rows;
        let mut within = offset;
        for _ in 0..MAX_LEVELS {
            if n_rows == 0 {
                return block
                    .checked_add(within)
                    .ok_or_else(|| source.malformed(block, "an object of a heap has no place"));
            }
            let (row, column, block_bytes, rest) = self.cell(within);
            if row >= n_rows {
                return Err(source.malformed(block, "an object lies beyond the end of its heap"));
            }
            let entry = row * self.table_width + column;
            let header = 5 + (source.offset_bytes + self.offset_bytes) as u64;
            let width = source.offset_bytes as u64;
            let at = block.saturating_add(header + entry * width);
            let bytes = source.read(at, width)?;
            block = source
                .cursor(at, &bytes)
                .some_address("a block of a heap")?;
            within = rest;
            n_rows = if block_bytes <= self.max_direct_bytes {
                0
            } else {
                u64::from(
                    (block_bytes / (self.first_block_bytes * self.table_width).min(block_bytes))
                        .ilog2()
                        + 1,
                )
            };
        }
        Err(source.malformed(block, "the blocks of a heap are nested too deeply"))
    }

    /// Row and column of the block that holds an offset, the bytes of that block, and the offset in it. Rows 0 and 1 have
    /// blocks of the first size, each further row twice those of the row before.
    fn cell(&self, offset: u64) -> (u64, u64, u64, u64) {
        let row_bytes = self.first_block_bytes.saturating_mul(self.table_width);
        let (row, start, block_bytes) = match (offset / row_bytes).cmp(&1) {
            Ordering::Less => (0, 0, self.first_block_bytes),
            _ => {
                let doublings = (offset / row_bytes).ilog2();
                (
                    u64::from(doublings) + 1,
                    row_bytes << doublings,
                    self.first_block_bytes << doublings,
                )
            }
        };
        let rest = offset - start;
        (row, rest / block_bytes, block_bytes, rest % block_bytes)
    }
}
