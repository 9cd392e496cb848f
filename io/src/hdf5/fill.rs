//! What stands where nothing was written.

use super::header::{Header, kind};
use super::source::Source;
use crate::error::IoError;

/// Repeats one element.
pub(crate) fn fill_all(out: &mut [u8], element: &[u8]) {
    if element.is_empty() || element.iter().all(|&byte| byte == 0) {
        out.fill(0);
        return;
    }
    for place in out.chunks_exact_mut(element.len()) {
        place.copy_from_slice(element);
    }
}

/// The element that stands where nothing was written; empty, for zeros, when the file does not say it.
pub(crate) fn fill_value(
    source: &Source,
    header: &Header,
    size_bytes: usize,
) -> Result<Vec<u8>, IoError> {
    let mut value: &[u8] = &[];
    if let Some(message) = header
        .find(kind::FILL_VALUE)
        .filter(|message| !message.is_shared())
    {
        let mut cursor = message.cursor(source);
        let version = cursor.version("the fill value", &[1, 2, 3])?;
        let flags = cursor.u8()?;
        let is_told = if version == 3 {
            flags & 0x20 != 0
        } else {
            cursor.skip(1)?;
            cursor.u8()? != 0 || version == 1
        };
        if is_told {
            let length = cursor.u32()? as usize;
            value = cursor.bytes(length)?;
        }
    } else if let Some(message) = header.find(kind::OLD_FILL_VALUE) {
        let mut cursor = message.cursor(source);
        let length = cursor.u32()? as usize;
        value = cursor.bytes(length)?;
    }
    if value.is_empty() || value.len() == size_bytes {
        Ok(value.to_vec())
    } else {
        Err(source.malformed(
            header.address,
            "the fill value is of another size than its type",
        ))
    }
}
