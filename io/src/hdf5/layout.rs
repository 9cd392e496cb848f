//! How the elements of a dataset lie in the file: the layout message.

use super::btree2::BTree2;
use super::chunk_arrays::{ExtensibleArray, FixedArray};
use super::chunk_index::{ChunkIndex, ChunkPlace};
use super::datatype::{Dataspace, Datatype};
use super::source::{Cursor, Source};
use crate::error::IoError;

/// Where elements are.
#[derive(Debug)]
pub(crate) enum Layout {
    /// In the header itself.
    Compact(Vec<u8>),
    /// In one piece; `None` when nothing was written yet.
    Contiguous(Option<u64>),
    /// In chunks of one shape.
    Chunked {
        chunk: Vec<u64>,
        index: ChunkIndex,
        /// Whether chunks that reach over the end of an axis are stored without filters.
        edges_are_plain: bool,
    },
}

/// Reads the message of a dataset.
pub(crate) fn parse(
    source: &Source,
    cursor: &mut Cursor,
    name: &str,
    space: &Dataspace,
    datatype: Datatype,
    is_filtered: bool,
) -> Result<Layout, IoError> {
    let version = cursor.version("the layout", &[1, 2, 3, 4, 5])?;
    if version < 3 {
        return parse_old(cursor, space, datatype);
    }
    match cursor.u8()? {
        0 => {
            let length = usize::from(cursor.u16()?);
            Ok(Layout::Compact(cursor.bytes(length)?.to_vec()))
        }
        1 => Ok(Layout::Contiguous(cursor.address()?)),
        2 if version == 3 => {
            let rank = cursor.u8()?;
            let root = cursor.address()?;
            let axes = axes(cursor, rank, 4)?;
            Ok(Layout::Chunked {
                chunk: chunk_shape(cursor, axes, space, datatype)?,
                index: ChunkIndex::Tree1(root),
                edges_are_plain: false,
            })
        }
        2 => parse_chunked(source, cursor, space, datatype, is_filtered),
        3 => Err(source.unsupported(
            format!("`{name}` is a virtual dataset, whose data are in other files"),
            "give the file that holds the data, or write this one again with `h5repack`, which copies them into it",
        )),
        other => Err(cursor.malformed(format!("the layout is of an unknown kind {other}"))),
    }
}

/// Versions 1 and 2.
fn parse_old(
    cursor: &mut Cursor,
    space: &Dataspace,
    datatype: Datatype,
) -> Result<Layout, IoError> {
    let rank = cursor.u8()?;
    let class = cursor.u8()?;
    cursor.skip(5)?;
    let address = match class {
        0 => None,
        _ => cursor.address()?,
    };
    let axes = axes(cursor, rank, 4)?;
    match class {
        0 => {
            let length = cursor.u32()? as usize;
            Ok(Layout::Compact(cursor.bytes(length)?.to_vec()))
        }
        1 => Ok(Layout::Contiguous(address)),
        2 => Ok(Layout::Chunked {
            chunk: chunk_shape(cursor, axes, space, datatype)?,
            index: ChunkIndex::Tree1(address),
            edges_are_plain: false,
        }),
        other => Err(cursor.malformed(format!("the layout is of an unknown kind {other}"))),
    }
}

/// Chunks of versions 4 and 5, which have five kinds of indexes.
fn parse_chunked(
    source: &Source,
    cursor: &mut Cursor,
    space: &Dataspace,
    datatype: Datatype,
    is_filtered: bool,
) -> Result<Layout, IoError> {
    let flags = cursor.u8()?;
    let rank = cursor.u8()?;
    let width = usize::from(cursor.u8()?);
    let axes = axes(cursor, rank, width)?;
    let chunk = chunk_shape(cursor, axes, space, datatype)?;
    let index_kind = cursor.u8()?;
    // What follows describes blocks of the index, whose own headers say it again.
    let mut single = None;
    match index_kind {
        1 if flags & 2 != 0 => single = Some((cursor.length()?, cursor.u32()?)),
        1 | 2 => {}
        3 => cursor.skip(1)?,
        4 => cursor.skip(5)?,
        5 => cursor.skip(6)?,
        other => {
            return Err(
                cursor.malformed(format!("chunks have an index of an unknown kind {other}"))
            );
        }
    }
    let index = match (index_kind, cursor.address()?) {
        (_, None) => ChunkIndex::Nothing,
        (1, Some(address)) => {
            let (stored_bytes, mask) = single.unzip();
            ChunkIndex::Single(ChunkPlace {
                address,
                stored_bytes,
                mask: mask.unwrap_or(0),
            })
        }
        (2, Some(address)) => ChunkIndex::Implicit(address),
        (3, Some(address)) => ChunkIndex::Fixed(FixedArray::open(source, address, is_filtered)?),
        (4, Some(address)) => {
            ChunkIndex::Extensible(ExtensibleArray::open(source, address, is_filtered)?)
        }
        (_, Some(address)) => {
            let kind = if is_filtered { 11 } else { 10 };
            let (tree, _) = BTree2::open(source, address, &[kind])?;
            let offsets = 8 * chunk.len();
            let head = source.offset_bytes;
            let expected = if is_filtered {
                let sizes = tree.record_bytes().saturating_sub(head + 4 + offsets);
                (1..=8).contains(&sizes)
            } else {
                tree.record_bytes() == head + offsets
            };
            if !expected {
                return Err(source.malformed(
                    address,
                    "the records of the chunks' tree are of a wrong size",
                ));
            }
            ChunkIndex::Tree2(tree, is_filtered)
        }
    };
    Ok(Layout::Chunked {
        chunk,
        index,
        edges_are_plain: flags & 1 != 0,
    })
}

fn axes(cursor: &mut Cursor, rank: u8, width: usize) -> Result<Vec<u64>, IoError> {
    (0..rank).map(|_| cursor.uint(width)).collect()
}

/// The chunk's shape, from axes of which the last is the element's size.
fn chunk_shape(
    cursor: &Cursor,
    mut axes: Vec<u64>,
    space: &Dataspace,
    datatype: Datatype,
) -> Result<Vec<u64>, IoError> {
    let element_bytes = axes.pop();
    let n_elements = axes
        .iter()
        .try_fold(1u64, |product, &axis| product.checked_mul(axis));
    let fits = element_bytes == Some(datatype.size_bytes as u64)
        && axes.len() == space.shape.len()
        && !axes.is_empty()
        && axes.iter().all(|&axis| axis > 0)
        && n_elements
            .and_then(|n| n.checked_mul(datatype.size_bytes as u64))
            .is_some_and(|bytes| bytes <= i64::MAX as u64);
    if fits {
        Ok(axes)
    } else {
        Err(cursor.malformed("the chunks do not fit the shape and type of their dataset"))
    }
}
