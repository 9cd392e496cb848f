//! Where the members of an archive lie, for archives of any size whose members are not compressed.

use std::fs::File;
use std::path::Path;

use super::{
    CENTRAL_HEADER, CENTRAL_HEADER_BYTES, END, END_BYTES, IN_EXTRA, LOCAL_HEADER,
    LOCAL_HEADER_BYTES, ZIP64_END, ZIP64_EXTRA, ZIP64_LOCATOR,
};
use crate::error::IoError;
use crate::recording::frames::read_exact_at;

/// Bytes of the zip64 records that are looked at.
const ZIP64_LOCATOR_BYTES: usize = 20;
const ZIP64_END_BYTES: usize = 56;

/// A member that is not compressed, by its place in the archive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredMember {
    /// Its name, with `/` between folders.
    pub name: String,
    /// Byte of the archive at which its content begins.
    pub offset_bytes: u64,
    /// Bytes of its content.
    pub size_bytes: u64,
}

/// Lists the members of an archive; only its list and the members' heads are read, and their sums are not checked.
///
/// # Errors
/// When the file is absent, no zip archive, or damaged, or a member is compressed or encrypted. The member is named.
pub fn stored_members(path: &Path) -> Result<Vec<StoredMember>, IoError> {
    let failed = |source| IoError::read(path, source);
    let file = File::open(path).map_err(failed)?;
    let size_bytes = file.metadata().map_err(failed)?.len();
    let archive = Archive {
        path,
        file,
        size_bytes,
    };
    let (list_bytes, list_offset) = archive.list()?;
    let list = archive.read(list_offset, list_bytes)?;
    let mut members = Vec::new();
    let mut place = 0;
    while place < list.len() {
        let damaged = || IoError::malformed(path, "end", "the list of members is damaged");
        let entry = list.get(place..).ok_or_else(damaged)?;
        if entry.len() < CENTRAL_HEADER_BYTES || u32_at(entry, 0) != CENTRAL_HEADER {
            return Err(damaged());
        }
        let [name_bytes, extra_bytes, comment_bytes] =
            [28, 30, 32].map(|at| usize::from(u16_at(entry, at)));
        let name_end = CENTRAL_HEADER_BYTES + name_bytes;
        let name = entry
            .get(CENTRAL_HEADER_BYTES..name_end)
            .ok_or_else(damaged)?;
        let name = String::from_utf8_lossy(name).into_owned();
        let extra = entry
            .get(name_end..name_end + extra_bytes)
            .ok_or_else(damaged)?;
        place += name_end + extra_bytes + comment_bytes;
        if !name.ends_with('/') {
            members.push(archive.member(name, entry, extra)?);
        }
    }
    Ok(members)
}

/// An archive by position.
struct Archive<'a> {
    path: &'a Path,
    file: File,
    size_bytes: u64,
}

impl Archive<'_> {
    /// Bytes that must be in the file.
    fn read(&self, offset: u64, length: u64) -> Result<Vec<u8>, IoError> {
        if offset
            .checked_add(length)
            .is_none_or(|end| end > self.size_bytes)
        {
            let what = "the archive is cut short";
            return Err(IoError::malformed(
                self.path,
                format!("byte {offset}"),
                what,
            ));
        }
        let mut bytes = vec![0; length as usize];
        read_exact_at(&self.file, &mut bytes, offset)
            .map_err(|source| IoError::read(self.path, source))?;
        Ok(bytes)
    }

    /// Size and place of the list of members.
    fn list(&self) -> Result<(u64, u64), IoError> {
        let no_archive = || {
            let what = "it is no zip archive, or its end is missing";
            IoError::malformed(self.path, "end", what)
        };
        // The last record ends with a comment of up to 65,535 bytes, so it is searched from behind.
        let longest = (END_BYTES + ZIP64_LOCATOR_BYTES + usize::from(u16::MAX)) as u64;
        let tail_offset = self.size_bytes.saturating_sub(longest);
        let tail = self.read(tail_offset, self.size_bytes - tail_offset)?;
        let last = tail.len().checked_sub(END_BYTES).ok_or_else(no_archive)?;
        let end = (0..=last)
            .rev()
            .find(|&place| u32_at(&tail, place) == END)
            .ok_or_else(no_archive)?;
        let (bytes, offset) = (u32_at(&tail, end + 12), u32_at(&tail, end + 16));
        let locator = end.checked_sub(ZIP64_LOCATOR_BYTES);
        let locator = locator.filter(|&place| u32_at(&tail, place) == ZIP64_LOCATOR);
        let Some(locator) = locator else {
            return Ok((bytes.into(), offset.into()));
        };
        let record = self.read(u64_at(&tail, locator + 8), ZIP64_END_BYTES as u64)?;
        if u32_at(&record, 0) != ZIP64_END {
            return Err(no_archive());
        }
        Ok((u64_at(&record, 40), u64_at(&record, 48)))
    }

    /// The member of an entry of the list.
    fn member(&self, name: String, entry: &[u8], extra: &[u8]) -> Result<StoredMember, IoError> {
        let bad = |what: &str| IoError::malformed(self.path, format!("member `{name}`"), what);
        if u16_at(entry, 8) & 1 == 1 {
            return Err(bad("it is encrypted"));
        }
        if u16_at(entry, 10) != 0 {
            return Err(bad("it is compressed, which only small archives may be"));
        }
        // Numbers that do not fit are in the extra field, in this order: size, packed size, place.
        let mut long = zip64_numbers(extra).into_iter();
        let mut wide = |short: u32| match short {
            IN_EXTRA => long.next().ok_or_else(|| bad("its size is missing")),
            short => Ok(short.into()),
        };
        let size_bytes = wide(u32_at(entry, 24))?;
        let packed_bytes = wide(u32_at(entry, 20))?;
        let local = wide(u32_at(entry, 42))?;
        let head = self.read(local, LOCAL_HEADER_BYTES as u64)?;
        if u32_at(&head, 0) != LOCAL_HEADER || packed_bytes != size_bytes {
            return Err(bad("it is not where the list says"));
        }
        let before_data = u64::from(u16_at(&head, 26)) + u64::from(u16_at(&head, 28));
        let offset_bytes = local + LOCAL_HEADER_BYTES as u64 + before_data;
        let end = offset_bytes.checked_add(size_bytes);
        if end.is_none_or(|end| end > self.size_bytes) {
            return Err(bad("the archive ends before it does"));
        }
        Ok(StoredMember {
            name,
            offset_bytes,
            size_bytes,
        })
    }
}

/// The numbers of the zip64 field among the extra fields.
fn zip64_numbers(mut extra: &[u8]) -> Vec<u64> {
    while extra.len() >= 4 {
        let (kind, length) = (u16_at(extra, 0), usize::from(u16_at(extra, 2)));
        let field = &extra[4..(4 + length).min(extra.len())];
        if kind == ZIP64_EXTRA {
            let numbers = field.chunks_exact(8);
            return numbers.map(|number| u64_at(number, 0)).collect();
        }
        extra = &extra[(4 + length).min(extra.len())..];
    }
    Vec::new()
}

fn u16_at(bytes: &[u8], place: usize) -> u16 {
    u16::from_le_bytes([bytes[place], bytes[place + 1]])
}

fn u32_at(bytes: &[u8], place: usize) -> u32 {
    u32::from(u16_at(bytes, place)) | (u32::from(u16_at(bytes, place + 2)) << 16)
}

fn u64_at(bytes: &[u8], place: usize) -> u64 {
    u64::from(u32_at(bytes, place)) | (u64::from(u32_at(bytes, place + 4)) << 32)
}

#[cfg(test)]
mod tests {
    use super::super::{ZipWriter, read_zip};
    use super::*;

    #[test]
    fn members_lie_where_they_are_said_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zip");
        let mut zip = ZipWriter::create(&path).unwrap();
        for (name, content) in [("a.npy", &b"abc"[..]), ("b.npy", b""), ("c/d", b"xyz1")] {
            zip.start_member(name, content.len() as u64).unwrap();
            zip.append(content).unwrap();
        }
        zip.finish().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let whole = read_zip(&path, 1 << 20).unwrap();
        let stored = stored_members(&path).unwrap();
        assert_eq!(stored.len(), 3);
        for (stored, whole) in stored.iter().zip(&whole) {
            assert_eq!(stored.name, whole.name);
            let start = stored.offset_bytes as usize;
            assert_eq!(bytes[start..][..stored.size_bytes as usize], whole.bytes);
        }
        // Cut anywhere, or changed anywhere: an error or an answer, and no panic.
        let damaged = folder.path().join("b.zip");
        for place in 0..bytes.len() {
            std::fs::write(&damaged, &bytes[..place]).unwrap();
            assert!(stored_members(&damaged).is_err());
            let mut changed = bytes.clone();
            changed[place] ^= 0xff;
            std::fs::write(&damaged, &changed).unwrap();
            let _ = stored_members(&damaged);
        }
    }
}
