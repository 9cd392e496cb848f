//! Reads small archives whole.

use std::io::Read;
use std::path::Path;

use super::{
    CENTRAL_HEADER, CENTRAL_HEADER_BYTES, END, END_BYTES, IN_EXTRA, LOCAL_HEADER,
    LOCAL_HEADER_BYTES,
};
use crate::error::IoError;

/// One file of an archive.
#[derive(Clone, PartialEq, Debug)]
pub struct ZipMember {
    /// Its name, with `/` between folders.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Reads every file of a small archive, in the order of its list; folders are left out.
///
/// `largest_bytes` bounds the sum of what the members hold once unpacked, and the archive itself: a few bytes of a damaged or
/// hostile archive can ask for any amount of memory.
///
/// # Errors
/// When the file is absent, no zip archive, damaged, encrypted, compressed with a method other than deflate, in zip64, or larger
/// than allowed. The member is named.
pub fn read_zip(path: &Path, largest_bytes: u64) -> Result<Vec<ZipMember>, IoError> {
    let failed = |source| IoError::read(path, source);
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut archive = Vec::new();
    file.take(largest_bytes + 1)
        .read_to_end(&mut archive)
        .map_err(failed)?;
    if archive.len() as u64 > largest_bytes {
        let what = format!("the archive is larger than {largest_bytes} bytes");
        return Err(IoError::malformed(path, "the whole file", what));
    }
    // The last record ends with a comment of up to 65,535 bytes, so it is searched from behind.
    let last_place = archive.len().checked_sub(END_BYTES);
    let end = last_place.and_then(|last| {
        (last.saturating_sub(usize::from(u16::MAX))..=last)
            .rev()
            .find(|&place| archive[place..].starts_with(&END.to_le_bytes()))
    });
    let Some(end) = end else {
        let what = "it is no zip archive, or its end is missing";
        return Err(IoError::malformed(path, "end", what));
    };
    let fields = Fields {
        archive: &archive,
        path,
    };
    let n_members = fields.u16(end + 10)?;
    let mut place = fields.u32(end + 16)? as usize;
    if n_members == u16::MAX || place == IN_EXTRA as usize {
        return Err(IoError::malformed(
            path,
            "end",
            "zip64 archives are not read",
        ));
    }
    let mut members = Vec::new();
    let mut left_bytes = largest_bytes;
    for _ in 0..n_members {
        if fields.u32(place)? != CENTRAL_HEADER {
            let what = "the list of members is damaged";
            return Err(IoError::malformed(path, format!("byte {place}"), what));
        }
        let [name_bytes, extra_bytes, comment_bytes] = [28, 30, 32]
            .map(|offset| fields.u16(place + offset).map(usize::from))
            .into_iter()
            .collect::<Result<Vec<_>, _>>()?[..]
        else {
            unreachable!("three fields were read");
        };
        let name = fields.slice(place + CENTRAL_HEADER_BYTES, name_bytes)?;
        let name = String::from_utf8_lossy(name).into_owned();
        if !name.ends_with('/') {
            let bytes = read_member(&fields, &name, place, &mut left_bytes)?;
            members.push(ZipMember { name, bytes });
        }
        place += CENTRAL_HEADER_BYTES + name_bytes + extra_bytes + comment_bytes;
    }
    Ok(members)
}

/// Little-endian fields at places that may not be there.
struct Fields<'a> {
    archive: &'a [u8],
    path: &'a Path,
}

impl<'a> Fields<'a> {
    fn slice(&self, place: usize, length: usize) -> Result<&'a [u8], IoError> {
        place
            .checked_add(length)
            .and_then(|end| self.archive.get(place..end))
            .ok_or_else(|| {
                IoError::malformed(
                    self.path,
                    format!("byte {place}"),
                    "the archive is cut short",
                )
            })
    }

    fn u16(&self, place: usize) -> Result<u16, IoError> {
        let bytes = self.slice(place, 2)?;
        Ok(u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    fn u32(&self, place: usize) -> Result<u32, IoError> {
        let bytes = self.slice(place, 4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }
}

/// The content of the member whose entry in the list is at `place`; `left_bytes` is what may still be unpacked.
fn read_member(
    fields: &Fields,
    name: &str,
    place: usize,
    left_bytes: &mut u64,
) -> Result<Vec<u8>, IoError> {
    let bad = |what: String| IoError::malformed(fields.path, format!("member `{name}`"), what);
    let (flags, method) = (fields.u16(place + 8)?, fields.u16(place + 10)?);
    let sum = fields.u32(place + 16)?;
    let (packed_bytes, size_bytes) = (fields.u32(place + 20)?, fields.u32(place + 24)?);
    let local = fields.u32(place + 42)? as usize;
    if flags & 1 == 1 {
        return Err(bad("it is encrypted".to_owned()));
    }
    if u64::from(size_bytes) > *left_bytes {
        return Err(bad(format!(
            "its {size_bytes} bytes are more than expected"
        )));
    }
    *left_bytes -= u64::from(size_bytes);
    if fields.u32(local)? != LOCAL_HEADER {
        return Err(bad(format!("there is no member at byte {local}")));
    }
    let before_data = usize::from(fields.u16(local + 26)?) + usize::from(fields.u16(local + 28)?);
    let packed = fields.slice(
        local + LOCAL_HEADER_BYTES + before_data,
        packed_bytes as usize,
    )?;
    let bytes = match method {
        0 => packed.to_vec(),
        8 => {
            let mut bytes = Vec::new();
            flate2::read::DeflateDecoder::new(packed)
                .take(u64::from(size_bytes) + 1)
                .read_to_end(&mut bytes)
                .map_err(|error| bad(format!("it cannot be unpacked: {error}")))?;
            bytes
        }
        other => return Err(bad(format!("compression method {other} is not read"))),
    };
    if bytes.len() != size_bytes as usize || crc32fast::hash(&bytes) != sum {
        return Err(bad("its content does not have the promised sum".to_owned()));
    }
    Ok(bytes)
}
