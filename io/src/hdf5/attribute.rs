//! Attributes: small values beside an object, in its header, or in a heap when there are many or long ones.

use std::collections::BTreeMap;

use super::btree2::BTree2;
use super::datatype::{Dataspace, Datatype};
use super::fractal_heap::FractalHeap;
use super::header::{Header, kind};
use super::heap::GlobalHeaps;
use super::source::{Cursor, Source};
use super::value::{Value, decode};
use crate::error::IoError;

/// The attributes of the object with this header.
pub(crate) fn read_all(
    source: &Source,
    heaps: &GlobalHeaps,
    header: &Header,
) -> Result<BTreeMap<String, Value>, IoError> {
    let mut attributes = BTreeMap::new();
    for message in header.all(kind::ATTRIBUTE) {
        if message.is_shared() {
            return Err(source.unsupported(
                "it keeps attributes in a table that objects share, which is not read",
                "write it again with `h5repack`, which makes no such table",
            ));
        }
        let (name, value) = parse(source, heaps, &mut message.cursor(source))?;
        attributes.insert(name, value);
    }
    if let Some(message) = header.find(kind::ATTRIBUTE_INFO) {
        let mut cursor = message.cursor(source);
        cursor.version("the list of attributes", &[0])?;
        let flags = cursor.u8()?;
        if flags & 1 != 0 {
            cursor.skip(2)?;
        }
        if let (Some(heap), Some(tree)) = (cursor.address()?, cursor.address()?) {
            let heap = FractalHeap::open(source, heap)?;
            let (tree, _) = BTree2::open(source, tree, &[8])?;
            // What objects of a damaged heap may add up to: they can overlap.
            let mut bytes_left = 2 * source.size_bytes;
            tree.for_each(source, |mut record| {
                let id = record.bytes(heap.id_bytes())?;
                let (address, bytes) = heap.object(source, id)?;
                bytes_left = bytes_left.checked_sub(bytes.len() as u64).ok_or_else(|| {
                    source.malformed(address, "attributes are longer than the file")
                })?;
                let (name, value) = parse(source, heaps, &mut source.cursor(address, &bytes))?;
                attributes.insert(name, value);
                Ok(())
            })?;
        }
    }
    Ok(attributes)
}

/// Name and value of an attribute message.
fn parse(
    source: &Source,
    heaps: &GlobalHeaps,
    cursor: &mut Cursor,
) -> Result<(String, Value), IoError> {
    let version = cursor.version("an attribute", &[1, 2, 3])?;
    let flags = cursor.u8()?;
    let lengths = [cursor.u16()?, cursor.u16()?, cursor.u16()?].map(usize::from);
    if version == 3 {
        cursor.skip(1)?;
    }
    let padded = |length: usize| match version {
        1 => length.next_multiple_of(8),
        _ => length,
    };
    let name = cursor.bytes(padded(lengths[0]))?;
    let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
    let name = String::from_utf8_lossy(name).into_owned();
    let at = cursor.position();
    let mut type_cursor = source.cursor(at, cursor.bytes(padded(lengths[1]))?);
    // Version 1 has no flags, and its types are never shared.
    let datatype = if version > 1 && flags & 1 != 0 {
        Datatype::shared(source, &mut type_cursor)?
    } else {
        Datatype::parse(&mut type_cursor)?
    };
    if version > 1 && flags & 2 != 0 {
        return Err(cursor.malformed(format!("the shape of attribute `{name}` is shared")));
    }
    let at = cursor.position();
    let mut space_cursor = source.cursor(at, cursor.bytes(padded(lengths[2]))?);
    let space = Dataspace::parse(&mut space_cursor)?;
    if space.is_null {
        return Ok((name, Value::Empty));
    }
    let needed = space
        .n_elements()
        .saturating_mul(datatype.size_bytes as u64);
    let needed = usize::try_from(needed).unwrap_or(usize::MAX);
    let stored = cursor.bytes(needed)?;
    let value = decode(source, heaps, datatype, stored)?;
    Ok((name, value))
}
