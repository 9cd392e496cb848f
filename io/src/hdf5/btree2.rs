//! B-trees of version 2: sorted records of one size, in nodes of one size. Groups and attributes are walked whole, chunks are
//! looked up.

use std::cmp::Ordering;

use super::source::{Cursor, Source, Visited};
use crate::error::IoError;

/// Levels of a tree at most: a node holds two records or more, and no file has more than 2^64 bytes.
const MAX_DEPTH: u16 = 64;

/// A tree, as its header describes it.
#[derive(Debug)]
pub(crate) struct BTree2 {
    node_bytes: u64,
    record_bytes: usize,
    depth: u16,
    root: Option<Node>,
    /// Width of a child's number of records.
    count_bytes: usize,
    /// Width of the number of records in a child and below it, by the child's level.
    total_bytes: Vec<usize>,
}

/// Where a node is, and how many records are in it.
#[derive(Copy, Clone, Debug)]
struct Node {
    address: u64,
    n_records: usize,
}

impl BTree2 {
    /// Reads the header, whose records must be of one of the `kinds` of the specification.
    pub fn open(source: &Source, address: u64, kinds: &[u8]) -> Result<(BTree2, u8), IoError> {
        let length = 16 + source.offset_bytes as u64 + 2 + source.length_bytes as u64 + 4;
        let bytes = source.read_checked(address, length, b"BTHD")?;
        let mut cursor = source.cursor(address, &bytes);
        cursor.skip(4)?;
        cursor.version("the tree", &[0])?;
        let kind = cursor.u8()?;
        if !kinds.contains(&kind) {
            return Err(cursor.malformed(format!("the tree holds records of kind {kind}")));
        }
        let node_bytes = u64::from(cursor.u32()?);
        let record_bytes = usize::from(cursor.u16()?);
        let depth = cursor.u16()?;
        cursor.skip(2)?;
        let root = cursor.address()?;
        let n_records = usize::from(cursor.u16()?);
        if record_bytes == 0 || depth > MAX_DEPTH || node_bytes < 16 + record_bytes as u64 {
            return Err(cursor.malformed("the sizes of the tree make no sense"));
        }
        let leaf_records = (node_bytes - 10) / record_bytes as u64;
        let count_bytes = encoded_bytes(leaf_records);
        let mut total_bytes = vec![0];
        let mut total = leaf_records;
        for _ in 1..depth {
            let pointer =
                (source.offset_bytes + count_bytes + total_bytes[total_bytes.len() - 1]) as u64;
            let n_here = node_bytes.saturating_sub(10 + pointer) / (record_bytes as u64 + pointer);
            total = n_here
                .saturating_add(1)
                .saturating_mul(total)
                .saturating_add(n_here);
            total_bytes.push(encoded_bytes(total));
        }
        let tree = BTree2 {
            node_bytes,
            record_bytes,
            depth,
            root: root.map(|address| Node { address, n_records }),
            count_bytes,
            total_bytes,
        };
        Ok((tree, kind))
    }

    /// Bytes of a record.
    pub fn record_bytes(&self) -> usize {
        self.record_bytes
    }

    /// Calls `each` with every record.
    pub fn for_each(
        &self,
        source: &Source,
        mut each: impl FnMut(Cursor) -> Result<(), IoError>,
    ) -> Result<(), IoError> {
        let mut visited = Visited::default();
        let mut nodes: Vec<(Node, u16)> =
            self.root.iter().map(|&root| (root, self.depth)).collect();
        while let Some((node, level)) = nodes.pop() {
            visited.note(source, node.address)?;
            let bytes = self.read_node(source, node, level)?;
            for index in 0..node.n_records {
                each(self.record(source, node, &bytes, index))?;
            }
            if level > 0 {
                for index in 0..=node.n_records {
                    nodes.push((self.child(source, node, &bytes, level, index)?, level - 1));
                }
            }
        }
        Ok(())
    }

    /// The record for which `compare` (of the record with what is looked for) says equal.
    pub fn find<T>(
        &self,
        source: &Source,
        mut compare: impl FnMut(Cursor) -> Result<(Ordering, T), IoError>,
    ) -> Result<Option<T>, IoError> {
        let Some(mut node) = self.root else {
            return Ok(None);
        };
        let mut level = self.depth;
        loop {
            let bytes = self.read_node(source, node, level)?;
            let (mut low, mut high) = (0, node.n_records);
            while low < high {
                let middle = (low + high) / 2;
                let (order, found) = compare(self.record(source, node, &bytes, middle))?;
                match order {
                    Ordering::Equal => return Ok(Some(found)),
                    Ordering::Less => low = middle + 1,
                    Ordering::Greater => high = middle,
                }
            }
            if level == 0 {
                return Ok(None);
            }
            node = self.child(source, node, &bytes, level, low)?;
            level -= 1;
        }
    }

    fn read_node(&self, source: &Source, node: Node, level: u16) -> Result<Vec<u8>, IoError> {
        let mark = if level == 0 { b"BTLF" } else { b"BTIN" };
        let mut used = 6 + node.n_records * self.record_bytes;
        if level > 0 {
            used += (node.n_records + 1) * self.pointer_bytes(source, level);
        }
        if used as u64 + 4 > self.node_bytes {
            return Err(source.malformed(node.address, "a node has more records than fit into it"));
        }
        // What follows the records in a node is not written, and not summed up.
        source.read_checked(node.address, used as u64 + 4, mark)
    }

    fn record<'a>(
        &self,
        source: &'a Source,
        node: Node,
        bytes: &'a [u8],
        index: usize,
    ) -> Cursor<'a> {
        let at = 6 + index * self.record_bytes;
        source.cursor(
            node.address.saturating_add(at as u64),
            &bytes[at..at + self.record_bytes],
        )
    }

    fn child(
        &self,
        source: &Source,
        node: Node,
        bytes: &[u8],
        level: u16,
        index: usize,
    ) -> Result<Node, IoError> {
        let at = 6 + node.n_records * self.record_bytes + index * self.pointer_bytes(source, level);
        let mut cursor = source.cursor(node.address.saturating_add(at as u64), &bytes[at..]);
        Ok(Node {
            address: cursor.some_address("a node of a tree")?,
            n_records: cursor.uint(self.count_bytes)? as usize,
        })
    }

    /// Bytes of a reference from a node of `level` to one below.
    fn pointer_bytes(&self, source: &Source, level: u16) -> usize {
        source.offset_bytes + self.count_bytes + self.total_bytes[usize::from(level) - 1]
    }
}

/// Bytes that hold the numbers up to `limit`.
pub(crate) fn encoded_bytes(limit: u64) -> usize {
    (limit.max(1).ilog2() / 8 + 1) as usize
}
