//! The header of a TIFF and its directories (IFDs), read by position.

use std::fs::File;
use std::path::Path;

use super::decode::read_error;
use super::{DAMAGED, page_error, truncated_page};
use crate::error::IoError;
use crate::recording::frames::read_exact_at;

/// Bytes that are read at once: directories and their small values are close together, pages are not.
const WINDOW_BYTES: usize = 8192;
/// Entries in a directory at most; real ones have fewer than a hundred.
const MAX_ENTRIES: u64 = 4096;
/// Bytes of a text that are kept at most: OME-XML of a long movie can be large.
pub(crate) const MAX_TEXT_BYTES: u64 = 64 << 20;

/// The tags that are read.
pub(crate) mod tag {
    pub const NEW_SUBFILE_TYPE: u16 = 254;
    pub const IMAGE_WIDTH: u16 = 256;
    pub const IMAGE_LENGTH: u16 = 257;
    pub const BITS_PER_SAMPLE: u16 = 258;
    pub const COMPRESSION: u16 = 259;
    pub const PHOTOMETRIC: u16 = 262;
    pub const FILL_ORDER: u16 = 266;
    pub const IMAGE_DESCRIPTION: u16 = 270;
    pub const STRIP_OFFSETS: u16 = 273;
    pub const SAMPLES_PER_PIXEL: u16 = 277;
    pub const ROWS_PER_STRIP: u16 = 278;
    pub const STRIP_BYTE_COUNTS: u16 = 279;
    pub const X_RESOLUTION: u16 = 282;
    pub const Y_RESOLUTION: u16 = 283;
    pub const PLANAR_CONFIGURATION: u16 = 284;
    pub const SOFTWARE: u16 = 305;
    pub const PREDICTOR: u16 = 317;
    pub const TILE_WIDTH: u16 = 322;
    pub const TILE_LENGTH: u16 = 323;
    pub const TILE_OFFSETS: u16 = 324;
    pub const TILE_BYTE_COUNTS: u16 = 325;
    pub const EXTRA_SAMPLES: u16 = 338;
    pub const SAMPLE_FORMAT: u16 = 339;
}

/// Byte order and width of offsets.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) struct Dialect {
    pub big_endian: bool,
    /// BigTIFF: offsets of 64 bits.
    pub big: bool,
}

impl Dialect {
    /// From the first four bytes; `None` when they are not a TIFF's.
    pub fn of(first: &[u8]) -> Option<Dialect> {
        let (big_endian, big) = match first.get(..4)? {
            b"II*\0" => (false, false),
            b"MM\0*" => (true, false),
            b"II+\0" => (false, true),
            b"MM\0+" => (true, true),
            _ => return None,
        };
        Some(Dialect { big_endian, big })
    }

    /// An unsigned number of 1, 2, 4 or 8 bytes.
    fn number(self, bytes: &[u8]) -> u64 {
        let fold = |number, &byte: &u8| number << 8 | u64::from(byte);
        if self.big_endian {
            bytes.iter().fold(0, fold)
        } else {
            bytes.iter().rev().fold(0, fold)
        }
    }
}

/// One entry of a directory.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Entry {
    pub tag: u16,
    field_type: u16,
    count: u64,
    /// The value itself where it fits, else its offset; as stored.
    value: [u8; 8],
}

impl Entry {
    /// Bytes of one value; `None` for an unknown type.
    fn value_bytes(&self) -> Option<u64> {
        Some(match self.field_type {
            1 | 2 | 6 | 7 => 1,
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            5 | 10 | 12 | 16 | 17 | 18 => 8,
            _ => return None,
        })
    }
}

/// A parsed directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directory {
    pub offset: u64,
    /// The next directory; 0 after the last.
    pub next: u64,
    entries: Vec<Entry>,
}

impl Directory {
    /// The entry of a tag.
    pub fn get(&self, tag: u16) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.tag == tag)
    }
}

/// Reads directories of one file.
pub(crate) struct DirectoryReader<'a> {
    pub path: &'a Path,
    pub file: &'a File,
    pub size_bytes: u64,
    pub dialect: Dialect,
    /// The page that is being read, from 0, for messages.
    pub page: u64,
    window_start: u64,
    window: Vec<u8>,
}

impl<'a> DirectoryReader<'a> {
    /// A reader of a file whose dialect is known.
    pub fn new(path: &'a Path, file: &'a File, size_bytes: u64, dialect: Dialect) -> Self {
        DirectoryReader {
            path,
            file,
            size_bytes,
            dialect,
            page: 0,
            window_start: 0,
            window: Vec::new(),
        }
    }

    /// Reads the header and returns the offset of the first directory.
    pub fn open(
        path: &'a Path,
        file: &'a File,
        size_bytes: u64,
    ) -> Result<(DirectoryReader<'a>, u64), IoError> {
        let mut first = [0u8; 16];
        let n_first = size_bytes.min(16) as usize;
        read_exact_at(file, &mut first[..n_first], 0)
            .map_err(|source| IoError::read(path, source))?;
        let dialect = Dialect::of(&first[..n_first]).ok_or_else(|| IoError::NotAMovie {
            path: path.to_owned(),
            seen: if n_first == 0 {
                "the file is empty".to_owned()
            } else {
                "it does not begin as a TIFF does".to_owned()
            },
        })?;
        let header_bytes = if dialect.big { 16 } else { 8 };
        let reader = DirectoryReader::new(path, file, size_bytes, dialect);
        if n_first < header_bytes {
            return Err(truncated_page(
                path,
                0,
                "its header",
                header_bytes as u64,
                size_bytes,
            ));
        }
        let offset = if dialect.big {
            if dialect.number(&first[4..6]) != 8 {
                return Err(reader.bad(format!(
                    "the BigTIFF header says offsets of {} bytes, expected 8",
                    dialect.number(&first[4..6])
                )));
            }
            dialect.number(&first[8..16])
        } else {
            dialect.number(&first[4..8])
        };
        Ok((reader, offset))
    }

    /// An error about the current page.
    pub fn bad(&self, what: impl Into<String>) -> IoError {
        page_error(self.path, self.page, what, DAMAGED)
    }

    /// Reads the directory at `offset`.
    pub fn directory(&mut self, offset: u64) -> Result<Directory, IoError> {
        let (count_bytes, entry_bytes, next_bytes) = if self.dialect.big {
            (8usize, 20usize, 8usize)
        } else {
            (2, 12, 4)
        };
        let mut bytes = Vec::new();
        self.fetch(offset, count_bytes as u64, "its directory", &mut bytes)?;
        let n_entries = self.dialect.number(&bytes);
        if n_entries == 0 || n_entries > MAX_ENTRIES {
            return Err(self.bad(format!(
                "its directory at byte {offset} is corrupt: it claims {n_entries} entries"
            )));
        }
        let body_bytes = n_entries as usize * entry_bytes + next_bytes;
        self.fetch(
            offset + count_bytes as u64,
            body_bytes as u64,
            "its directory",
            &mut bytes,
        )?;
        let dialect = self.dialect;
        let (table, next) = bytes.split_at(n_entries as usize * entry_bytes);
        let entries = table
            .chunks_exact(entry_bytes)
            .map(|entry| {
                let (count, stored) = entry[4..].split_at(entry_bytes / 2 - 2);
                let mut value = [0u8; 8];
                value[..stored.len()].copy_from_slice(stored);
                Entry {
                    tag: dialect.number(&entry[..2]) as u16,
                    field_type: dialect.number(&entry[2..4]) as u16,
                    count: dialect.number(count),
                    value,
                }
            })
            .collect();
        Ok(Directory {
            offset,
            next: dialect.number(next),
            entries,
        })
    }

    /// At most `limit` values of an entry as unsigned numbers.
    pub fn numbers(&mut self, entry: &Entry, limit: u64) -> Result<Vec<u64>, IoError> {
        let each = match (entry.field_type, entry.value_bytes()) {
            (1 | 3 | 4 | 13 | 16 | 18, Some(each)) => each,
            _ => {
                return Err(self.bad(format!(
                    "tag {} has type {}, expected whole numbers",
                    entry.tag, entry.field_type
                )));
            }
        };
        let bytes = self.value(entry, each, limit)?;
        let dialect = self.dialect;
        Ok(bytes
            .chunks_exact(each as usize)
            .map(|bytes| dialect.number(bytes))
            .collect())
    }

    /// The first value of a tag, or `default` when the tag is absent.
    pub fn number(
        &mut self,
        directory: &Directory,
        tag: u16,
        default: u64,
    ) -> Result<u64, IoError> {
        match directory.get(tag) {
            None => Ok(default),
            Some(entry) => match self.numbers(entry, 1)?.first() {
                Some(&number) => Ok(number),
                None => Err(self.bad(format!("tag {tag} has no value"))),
            },
        }
    }

    /// A rational as a float; `None` when absent or not a positive number.
    pub fn rational(&mut self, directory: &Directory, tag: u16) -> Result<Option<f64>, IoError> {
        let Some(entry) = directory.get(tag).filter(|entry| entry.field_type == 5) else {
            return Ok(None);
        };
        let bytes = self.value(entry, 8, 1)?;
        let Some((numerator, denominator)) = bytes.split_at_checked(4) else {
            return Ok(None);
        };
        let ratio = self.dialect.number(numerator) as f64 / self.dialect.number(denominator) as f64;
        Ok(Some(ratio).filter(|ratio| ratio.is_finite() && *ratio > 0.0))
    }

    /// A text up to its first zero byte; empty when absent. Bytes that are not UTF-8 are taken as Latin-1, which ImageJ writes.
    pub fn text(&mut self, directory: &Directory, tag: u16) -> Result<String, IoError> {
        let Some(entry) = directory.get(tag) else {
            return Ok(String::new());
        };
        if entry.value_bytes() != Some(1) {
            return Ok(String::new());
        }
        let bytes = self.value(entry, 1, MAX_TEXT_BYTES)?;
        Ok(as_text(&bytes))
    }

    /// The bytes of at most `limit` values of `each` bytes.
    fn value(&mut self, entry: &Entry, each: u64, limit: u64) -> Result<Vec<u8>, IoError> {
        let inline_bytes = if self.dialect.big { 8 } else { 4 };
        let wanted = entry.count.min(limit) * each;
        if entry.count.saturating_mul(each) <= inline_bytes {
            return Ok(entry.value[..wanted as usize].to_vec());
        }
        let offset = self.dialect.number(&entry.value[..inline_bytes as usize]);
        let mut bytes = Vec::new();
        self.fetch(offset, wanted, &format!("tag {}", entry.tag), &mut bytes)?;
        Ok(bytes)
    }

    /// Reads `length` bytes at `offset` into `bytes`, through the window where they are few.
    fn fetch(
        &mut self,
        offset: u64,
        length: u64,
        what: &str,
        bytes: &mut Vec<u8>,
    ) -> Result<(), IoError> {
        let end = offset.saturating_add(length);
        if end > self.size_bytes {
            return Err(truncated_page(
                self.path,
                self.page,
                what,
                end,
                self.size_bytes,
            ));
        }
        bytes.clear();
        let length = length as usize;
        let window_end = self.window_start + self.window.len() as u64;
        if (offset < self.window_start || end > window_end) && length <= WINDOW_BYTES / 2 {
            self.window_start = offset;
            self.window.resize(
                (self.size_bytes - offset).min(WINDOW_BYTES as u64) as usize,
                0,
            );
            if let Err(source) = read_exact_at(self.file, &mut self.window, offset) {
                self.window.clear();
                return Err(read_error(self.path, self.file, source, self.size_bytes));
            }
        }
        let window_end = self.window_start + self.window.len() as u64;
        if offset >= self.window_start && end <= window_end {
            let first = (offset - self.window_start) as usize;
            bytes.extend_from_slice(&self.window[first..first + length]);
            return Ok(());
        }
        bytes.resize(length, 0);
        read_exact_at(self.file, bytes, offset)
            .map_err(|source| read_error(self.path, self.file, source, end))
    }
}

/// A text up to its first zero byte, as UTF-8 or else Latin-1.
pub(crate) fn as_text(bytes: &[u8]) -> String {
    let end = bytes
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(bytes.len());
    match std::str::from_utf8(&bytes[..end]) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes[..end].iter().map(|&byte| char::from(byte)).collect(),
    }
}
