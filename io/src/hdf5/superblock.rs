//! The superblock: where an HDF5 file begins, how wide its numbers are, and where its root group is.

use std::fs::File;
use std::path::Path;

use super::SIGNATURE;
use super::source::Source;
use crate::error::IoError;
use crate::recording::frames::read_exact_at;

/// Opens the file and reads its superblock; returns the address of the root group's header as well.
///
/// # Errors
/// When the file is no HDF5, is truncated, or is of a version that is not known.
pub(crate) fn open(path: &Path) -> Result<(Source, u64), IoError> {
    let file = File::open(path).map_err(|source| IoError::read(path, source))?;
    let whole_bytes = file
        .metadata()
        .map_err(|source| IoError::read(path, source))?
        .len();
    let base = find_signature(path, &file, whole_bytes)?;
    let mut source = Source {
        path: path.to_owned(),
        file,
        base,
        size_bytes: whole_bytes - base,
        offset_bytes: 8,
        length_bytes: 8,
    };
    // The longest superblock, of version 1 with 8-byte numbers, has 100 bytes.
    let bytes = source.read_up_to(0, 128)?;
    let header = {
        let mut cursor = source.cursor(0, &bytes);
        cursor.skip(8)?;
        let version = cursor.version("the superblock", &[0, 1, 2, 3])?;
        if version < 2 {
            cursor.skip(4)?;
        }
        let widths = [cursor.u8()?, cursor.u8()?];
        if widths.iter().any(|width| ![2, 4, 8].contains(width)) {
            return Err(cursor.malformed(format!(
                "addresses of {} and lengths of {} bytes are not read",
                widths[0], widths[1]
            )));
        }
        (version, widths)
    };
    let (version, [offset_bytes, length_bytes]) = header;
    source.offset_bytes = usize::from(offset_bytes);
    source.length_bytes = usize::from(length_bytes);
    let mut cursor = source.cursor(0, &bytes);
    cursor.skip(match version {
        0 => 24,
        1 => 28,
        _ => 12,
    })?;
    let stored_base = cursor.some_address("the superblock")?;
    // Of the free space (0, 1) or the superblock's extension, which concerns writers.
    cursor.address()?;
    let stored_end = cursor.some_address("the end of the file")?;
    if version < 2 {
        // The driver's block, and the offset of the root's name.
        cursor.address()?;
        cursor.address()?;
    }
    let root = cursor.some_address("the root group")?;
    if version >= 2 {
        let length = 12 + 4 * source.offset_bytes + 4;
        let block = bytes
            .get(..length)
            .ok_or_else(|| source.malformed(0, "the superblock is cut short"))?;
        source.check_sum(0, block)?;
    }
    let expected_bytes = stored_end.saturating_sub(stored_base).saturating_add(base);
    if expected_bytes > whole_bytes {
        return Err(IoError::Truncated {
            path: path.to_owned(),
            expected_bytes,
            found_bytes: whole_bytes,
        });
    }
    Ok((source, root))
}

/// The superblock is at byte 0, or after a user block of 512, 1024, 2048 … bytes.
fn find_signature(path: &Path, file: &File, whole_bytes: u64) -> Result<u64, IoError> {
    let mut at = 0u64;
    while at.saturating_add(8) <= whole_bytes {
        let mut found = [0u8; 8];
        read_exact_at(file, &mut found, at).map_err(|source| IoError::read(path, source))?;
        if found == SIGNATURE {
            return Ok(at);
        }
        at = if at == 0 { 512 } else { at.saturating_mul(2) };
    }
    Err(IoError::malformed(
        path,
        "byte 0",
        "the mark of HDF5 should be here",
    ))
}
