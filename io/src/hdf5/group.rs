//! Members of groups: old groups keep them in a tree of symbol tables, new ones in messages, or in a heap when there are many.

use std::collections::BTreeMap;

use super::btree2::BTree2;
use super::fractal_heap::FractalHeap;
use super::header::{Header, kind};
use super::heap::LocalHeap;
use super::source::{Cursor, Source, Visited};
use crate::error::IoError;

/// What a member of a group refers to.
#[derive(Clone, Eq, PartialEq, Debug)]
pub(crate) enum Link {
    /// An object, by the address of its header.
    Hard(u64),
    /// A path in the same file.
    Soft(String),
    /// Another file, which is not opened.
    Outside(String),
}

/// Members by name.
pub(crate) type Links = BTreeMap<String, Link>;

/// Collects members, as many as the file can hold.
struct Collector<'a> {
    source: &'a Source,
    links: Links,
    /// What names may add up to: those of a damaged file can overlap.
    bytes_left: u64,
    /// What nodes of an old group's tree may add up to.
    node_bytes_left: u64,
}

impl Collector<'_> {
    fn add(&mut self, name: String, link: Link, address: u64) -> Result<(), IoError> {
        self.bytes_left = self
            .bytes_left
            .checked_sub(name.len() as u64 + 8)
            .ok_or_else(|| {
                self.source
                    .malformed(address, "the group has more members than the file can hold")
            })?;
        self.links.insert(name, link);
        Ok(())
    }

    /// Adds the member of a link message.
    fn add_message(&mut self, cursor: &mut Cursor) -> Result<(), IoError> {
        cursor.version("the link", &[1])?;
        let flags = cursor.u8()?;
        let link_type = if flags & 0x08 != 0 { cursor.u8()? } else { 0 };
        if flags & 0x04 != 0 {
            cursor.skip(8)?;
        }
        if flags & 0x10 != 0 {
            cursor.skip(1)?;
        }
        let length = cursor.uint(1 << (flags & 3))?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let name = String::from_utf8_lossy(cursor.bytes(length)?).into_owned();
        let link = match link_type {
            0 => Link::Hard(cursor.some_address("a member of a group")?),
            1 => {
                let length = usize::from(cursor.u16()?);
                Link::Soft(String::from_utf8_lossy(cursor.bytes(length)?).into_owned())
            }
            64 => {
                let length = usize::from(cursor.u16()?);
                let value = cursor.bytes(length)?;
                // A version, the file's name, the object's path.
                let name = value.get(1..).unwrap_or_default();
                let end = name
                    .iter()
                    .position(|&byte| byte == 0)
                    .unwrap_or(name.len());
                Link::Outside(String::from_utf8_lossy(&name[..end]).into_owned())
            }
            other => {
                return Err(
                    cursor.malformed(format!("the link `{name}` is of an unknown kind {other}"))
                );
            }
        };
        self.add(name, link, cursor.position())
    }

    /// Reads what follows the head of a node.
    fn read_node(&mut self, address: u64, length: u64) -> Result<Vec<u8>, IoError> {
        self.node_bytes_left = self.node_bytes_left.checked_sub(length).ok_or_else(|| {
            self.source
                .malformed(address, "the tree of a group is longer than the file")
        })?;
        self.source.read(address, length)
    }

    /// Adds the members of an old group.
    fn add_symbols(&mut self, tree: u64, heap: u64) -> Result<(), IoError> {
        let source = self.source;
        let heap = LocalHeap::read(source, heap)?;
        let mut visited = Visited::default();
        let mut nodes = vec![(tree, None)];
        while let Some((address, parent_level)) = nodes.pop() {
            visited.note(source, address)?;
            let head = source.read(address, 8 + 2 * source.offset_bytes as u64)?;
            source.check_mark(address, &head, b"TREE")?;
            let mut cursor = source.cursor(address, &head);
            cursor.skip(4)?;
            let kind = cursor.u8()?;
            let level = cursor.u8()?;
            if kind != 0 || parent_level.is_some_and(|parent: u8| level >= parent) {
                return Err(cursor.malformed("a node of another tree is in the group's"));
            }
            let n_children = u64::from(cursor.u16()?);
            let (key, child) = (source.length_bytes as u64, source.offset_bytes as u64);
            let at = address + head.len() as u64;
            let bytes = self.read_node(at, n_children * (key + child) + key)?;
            let mut cursor = source.cursor(at, &bytes);
            for _ in 0..n_children {
                cursor.skip(source.length_bytes)?;
                let child = cursor.some_address("a node of a group's tree")?;
                if level == 0 {
                    visited.note(source, child)?;
                    self.add_table(child, &heap)?;
                } else {
                    nodes.push((child, Some(level)));
                }
            }
        }
        Ok(())
    }

    /// Adds the members of one symbol table.
    fn add_table(&mut self, address: u64, heap: &LocalHeap) -> Result<(), IoError> {
        let source = self.source;
        let head = source.read(address, 8)?;
        source.check_mark(address, &head, b"SNOD")?;
        let mut cursor = source.cursor(address, &head);
        cursor.skip(4)?;
        cursor.version("the symbol table", &[1])?;
        cursor.skip(1)?;
        let n_entries = u64::from(cursor.u16()?);
        let entry_bytes = 2 * source.offset_bytes as u64 + 24;
        let bytes = self.read_node(address + 8, n_entries * entry_bytes)?;
        let mut cursor = source.cursor(address + 8, &bytes);
        for _ in 0..n_entries {
            let name_at = cursor.uint(source.offset_bytes)?;
            let header = cursor.address()?;
            let cached = cursor.u32()?;
            cursor.skip(4)?;
            let mut scratch = source.cursor(cursor.position(), cursor.bytes(16)?);
            let name = heap.text(source, name_at)?;
            let link = match (cached, header) {
                (2, _) => Link::Soft(heap.text(source, u64::from(scratch.u32()?))?),
                (_, Some(header)) => Link::Hard(header),
                (_, None) => {
                    return Err(source.malformed(address, format!("`{name}` has no address")));
                }
            };
            self.add(name, link, address)?;
        }
        Ok(())
    }

    /// Adds the members that a heap holds.
    fn add_dense(&mut self, heap: u64, tree: u64) -> Result<(), IoError> {
        let source = self.source;
        let heap = FractalHeap::open(source, heap)?;
        let (tree, _) = BTree2::open(source, tree, &[5])?;
        tree.for_each(source, |mut record| {
            record.skip(4)?;
            let id = record.bytes(heap.id_bytes())?;
            let (address, bytes) = heap.object(source, id)?;
            self.add_message(&mut source.cursor(address, &bytes))
        })
    }
}

/// Whether a header is a group's.
pub(crate) fn is_group(header: &Header) -> bool {
    [kind::SYMBOL_TABLE, kind::LINK_INFO, kind::LINK]
        .iter()
        .any(|&kind| header.find(kind).is_some())
}

/// The members of the group with this header.
pub(crate) fn links(source: &Source, header: &Header) -> Result<Links, IoError> {
    let mut collector = Collector {
        source,
        links: Links::new(),
        bytes_left: source.size_bytes,
        node_bytes_left: source.size_bytes.saturating_mul(2),
    };
    if let Some(message) = header.find(kind::SYMBOL_TABLE) {
        let mut cursor = message.cursor(source);
        let tree = cursor.some_address("the group's tree")?;
        let heap = cursor.some_address("the group's names")?;
        collector.add_symbols(tree, heap)?;
    }
    for message in header.all(kind::LINK) {
        collector.add_message(&mut message.cursor(source))?;
    }
    if let Some(message) = header.find(kind::LINK_INFO) {
        let mut cursor = message.cursor(source);
        cursor.version("the list of members", &[0])?;
        let flags = cursor.u8()?;
        if flags & 1 != 0 {
            cursor.skip(8)?;
        }
        if let (Some(heap), Some(tree)) = (cursor.address()?, cursor.address()?) {
            collector.add_dense(heap, tree)?;
        }
    }
    Ok(collector.links)
}
