//! Zip archives: members stored one after the other while their data arrives, and small archives read whole.
//!
//! Written members are not compressed. An archive with more than 4 GiB or 65,535 members gets the zip64 records where it needs
//! them and only there, so that old readers open the others. Read are stored and deflated members; the sum of each is checked.
//! Source: PKWARE's APPNOTE.TXT, version 6.3.

mod reader;
mod stored;

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use crate::atomic::OutputFile;
use crate::error::IoError;

pub use self::reader::{ZipMember, read_zip};
pub use self::stored::{StoredMember, stored_members};

const LOCAL_HEADER: u32 = 0x0403_4b50;
const CENTRAL_HEADER: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const ZIP64_END: u32 = 0x0606_4b50;
const ZIP64_LOCATOR: u32 = 0x0706_4b50;
/// Bytes of these records without their variable parts.
const LOCAL_HEADER_BYTES: usize = 30;
const CENTRAL_HEADER_BYTES: usize = 46;
const END_BYTES: usize = 22;
/// The extra field that holds 64-bit sizes.
const ZIP64_EXTRA: u16 = 1;
/// What a 32-bit field holds when the number is in the extra field.
const IN_EXTRA: u32 = u32::MAX;
/// Bit 11 of the flags: the name is UTF-8.
const UTF8_NAME: u16 = 1 << 11;
/// 1 January 1980, the earliest date there is: the same data give the same file.
const DATE: u16 = (1 << 5) | 1;

/// What is known of a member that was begun.
struct Begun {
    name: String,
    header_offset_bytes: u64,
    size_bytes: u64,
    sum: crc32fast::Hasher,
    written_bytes: u64,
}

/// A member in the archive.
struct Entry {
    name: String,
    header_offset_bytes: u64,
    size_bytes: u64,
    sum: u32,
}

/// An archive that grows by members. It appears under its name on [`ZipWriter::finish`]; one that is dropped leaves nothing.
pub struct ZipWriter {
    file: OutputFile,
    position_bytes: u64,
    begun: Option<Begun>,
    entries: Vec<Entry>,
}

impl ZipWriter {
    /// Starts an archive that will be at `path`.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn create(path: &Path) -> Result<ZipWriter, IoError> {
        Ok(ZipWriter {
            file: OutputFile::create(path)?,
            position_bytes: 0,
            begun: None,
            entries: Vec::new(),
        })
    }

    /// Starts the next member, which will have exactly `size_bytes`.
    ///
    /// # Errors
    /// When the last member is not complete, or the file cannot be written.
    pub fn start_member(&mut self, name: &str, size_bytes: u64) -> Result<(), IoError> {
        self.end_member()?;
        let begun = Begun {
            name: name.to_owned(),
            header_offset_bytes: self.position_bytes,
            size_bytes,
            sum: crc32fast::Hasher::new(),
            written_bytes: 0,
        };
        let header = local_header(&begun.name, begun.size_bytes, 0);
        self.file.write_with(|out| out.write_all(&header))?;
        self.position_bytes += header.len() as u64;
        self.begun = Some(begun);
        Ok(())
    }

    /// Appends to the member that was started last.
    ///
    /// # Errors
    /// When the file cannot be written.
    ///
    /// # Panics
    /// When no member was started.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), IoError> {
        let begun = self.begun.as_mut().expect("a member was started");
        begun.sum.update(bytes);
        begun.written_bytes += bytes.len() as u64;
        self.position_bytes += bytes.len() as u64;
        self.file.write_with(|out| out.write_all(bytes))
    }

    /// Writes the list of members and gives the archive its name.
    ///
    /// # Errors
    /// When the last member is not complete, or the file cannot be written.
    pub fn finish(mut self) -> Result<(), IoError> {
        self.end_member()?;
        let list = central_directory(&self.entries, self.position_bytes);
        self.file.write_with(|out| out.write_all(&list))?;
        self.file.commit()
    }

    /// Puts the sum of the last member into its header.
    fn end_member(&mut self) -> Result<(), IoError> {
        let Some(begun) = self.begun.take() else {
            return Ok(());
        };
        if begun.written_bytes != begun.size_bytes {
            return Err(IoError::BadTables {
                path: self.file.final_path().to_owned(),
                what: format!(
                    "`{}` has {} bytes instead of {}",
                    begun.name, begun.written_bytes, begun.size_bytes
                ),
            });
        }
        let sum = begun.sum.finalize();
        let header = local_header(&begun.name, begun.size_bytes, sum);
        self.file.write_with(|out| {
            out.seek(SeekFrom::Start(begun.header_offset_bytes))?;
            out.write_all(&header)?;
            out.seek(SeekFrom::End(0)).map(drop)
        })?;
        self.entries.push(Entry {
            name: begun.name,
            header_offset_bytes: begun.header_offset_bytes,
            size_bytes: begun.size_bytes,
            sum,
        });
        Ok(())
    }
}

/// A 32-bit field, or the mark that the number is in the extra field.
fn short(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(IN_EXTRA)
}

/// Whether a number does not fit a 32-bit field, whose largest value is the mark.
fn is_long(value: u64) -> bool {
    value >= u64::from(IN_EXTRA)
}

/// The extra field with these numbers; empty without any.
fn zip64_extra(numbers: &[u64]) -> Vec<u8> {
    let mut extra = Vec::new();
    if !numbers.is_empty() {
        extra.extend_from_slice(&ZIP64_EXTRA.to_le_bytes());
        extra.extend_from_slice(&(8 * numbers.len() as u16).to_le_bytes());
        for number in numbers {
            extra.extend_from_slice(&number.to_le_bytes());
        }
    }
    extra
}

/// The lowest version of the format that a reader must know: 4.5 for zip64, else 2.0.
fn version_needed(has_zip64: bool) -> u16 {
    if has_zip64 { 45 } else { 20 }
}

fn local_header(name: &str, size_bytes: u64, sum: u32) -> Vec<u8> {
    let long = is_long(size_bytes);
    let sizes = [size_bytes; 2];
    let extra = zip64_extra(if long { &sizes } else { &[] });
    let size = if long { IN_EXTRA } else { short(size_bytes) };
    let mut header = LOCAL_HEADER.to_le_bytes().to_vec();
    for field in [version_needed(long), UTF8_NAME, 0, 0, DATE] {
        header.extend_from_slice(&field.to_le_bytes());
    }
    for field in [sum, size, size] {
        header.extend_from_slice(&field.to_le_bytes());
    }
    header.extend_from_slice(&(name.len() as u16).to_le_bytes());
    header.extend_from_slice(&(extra.len() as u16).to_le_bytes());
    header.extend_from_slice(name.as_bytes());
    header.extend_from_slice(&extra);
    header
}

/// The list of members, which starts at `start_bytes`, and the records that end the archive.
fn central_directory(entries: &[Entry], start_bytes: u64) -> Vec<u8> {
    let mut list = Vec::new();
    for entry in entries {
        let mut numbers = Vec::new();
        let mut field = |value: u64, times: usize| {
            if is_long(value) {
                numbers.extend(std::iter::repeat_n(value, times));
                IN_EXTRA
            } else {
                short(value)
            }
        };
        let size = field(entry.size_bytes, 2);
        let offset = field(entry.header_offset_bytes, 1);
        let extra = zip64_extra(&numbers);
        list.extend_from_slice(&CENTRAL_HEADER.to_le_bytes());
        let version = version_needed(!extra.is_empty());
        for field in [version, version, UTF8_NAME, 0, 0, DATE] {
            list.extend_from_slice(&field.to_le_bytes());
        }
        for field in [entry.sum, size, size] {
            list.extend_from_slice(&field.to_le_bytes());
        }
        // Comment, first disk, internal and external attributes are empty.
        for field in [entry.name.len() as u16, extra.len() as u16, 0, 0, 0, 0, 0] {
            list.extend_from_slice(&field.to_le_bytes());
        }
        list.extend_from_slice(&offset.to_le_bytes());
        list.extend_from_slice(entry.name.as_bytes());
        list.extend_from_slice(&extra);
    }
    let (n_members, list_bytes) = (entries.len() as u64, list.len() as u64);
    let long = n_members >= 0xffff || is_long(start_bytes) || is_long(list_bytes);
    if long {
        let record_bytes = start_bytes + list_bytes;
        list.extend_from_slice(&ZIP64_END.to_le_bytes());
        list.extend_from_slice(&44u64.to_le_bytes());
        list.extend_from_slice(&[45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        for field in [n_members, n_members, list_bytes, start_bytes] {
            list.extend_from_slice(&field.to_le_bytes());
        }
        list.extend_from_slice(&ZIP64_LOCATOR.to_le_bytes());
        list.extend_from_slice(&0u32.to_le_bytes());
        list.extend_from_slice(&record_bytes.to_le_bytes());
        list.extend_from_slice(&1u32.to_le_bytes());
    }
    list.extend_from_slice(&END.to_le_bytes());
    let count = u16::try_from(n_members).unwrap_or(u16::MAX);
    for field in [0, 0, count, count] {
        list.extend_from_slice(&field.to_le_bytes());
    }
    for field in [short(list_bytes), short(start_bytes)] {
        list.extend_from_slice(&field.to_le_bytes());
    }
    list.extend_from_slice(&0u16.to_le_bytes());
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zip");
        let mut zip = ZipWriter::create(&path).unwrap();
        zip.start_member("one.txt", 5).unwrap();
        zip.append(b"he").unwrap();
        zip.append(b"llo").unwrap();
        zip.start_member("é/empty", 0).unwrap();
        assert!(!path.exists(), "an archive without its list is not there");
        zip.finish().unwrap();
        let members = read_zip(&path, 1000).unwrap();
        assert_eq!(members[0].name, "one.txt");
        assert_eq!(members[0].bytes, b"hello");
        assert_eq!(
            (members[1].name.as_str(), members[1].bytes.len()),
            ("é/empty", 0)
        );
        let error = read_zip(&path, 50).unwrap_err();
        assert!(error.to_string().contains("larger than 50"), "{error}");
    }

    #[test]
    fn a_member_of_another_length_than_promised_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zip");
        let mut zip = ZipWriter::create(&path).unwrap();
        zip.start_member("a", 2).unwrap();
        zip.append(b"x").unwrap();
        let error = zip.finish().unwrap_err();
        assert!(error.to_string().contains("`a` has 1 bytes"), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn large_numbers_are_in_the_extra_fields() {
        let large = (1u64 << 32) + 5;
        let header = local_header("a", large, 7);
        assert_eq!(header[4..6], [45, 0]);
        assert_eq!(header[18..26], [0xff; 8]);
        assert_eq!(
            header[31..],
            [[1, 0, 16, 0].to_vec(), large.to_le_bytes().repeat(2)].concat()
        );
        let entry = |header_offset_bytes, size_bytes| Entry {
            name: "a".to_owned(),
            header_offset_bytes,
            size_bytes,
            sum: 7,
        };
        let list = central_directory(&[entry(0, large), entry(large, 3)], 2 * large);
        // The first entry has two sizes in its extra field, the second one offset.
        let second = CENTRAL_HEADER_BYTES + 1 + 20;
        assert_eq!(list[30..32], [20, 0]);
        assert_eq!(list[second + 30..][..2], [12, 0]);
        assert_eq!(list[second + 20..][..4], [3, 0, 0, 0]);
        assert_eq!(
            list[second + CENTRAL_HEADER_BYTES + 5..][..8],
            large.to_le_bytes()
        );
        let tail = second + CENTRAL_HEADER_BYTES + 13;
        assert_eq!(list[tail..][..4], ZIP64_END.to_le_bytes());
        assert_eq!(list[tail + 48..][..8], (2 * large).to_le_bytes());
        assert_eq!(list[tail + 56..][..4], ZIP64_LOCATOR.to_le_bytes());
        assert_eq!(
            list[tail + 64..][..8],
            (2 * large + tail as u64).to_le_bytes()
        );
        assert_eq!(list[tail + 76..][..4], END.to_le_bytes());
        assert_eq!(list.len(), tail + 76 + END_BYTES);
    }

    #[test]
    fn a_damaged_archive_is_an_error_at_every_byte() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zip");
        let mut zip = ZipWriter::create(&path).unwrap();
        zip.start_member("name", 4).unwrap();
        zip.append(b"data").unwrap();
        zip.finish().unwrap();
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(read_zip(&path, 1000).is_err(), "cut to {length} bytes");
        }
        for place in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 0xff;
            std::fs::write(&path, &damaged).unwrap();
            // A changed name, date or attribute may pass; what may not is other data, or a panic.
            if let Ok(members) = read_zip(&path, 1000) {
                assert!(members.iter().all(|member| member.bytes == b"data"));
            }
        }
    }
}
