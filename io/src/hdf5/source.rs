//! Bytes of an HDF5 file: positioned reads that are checked against the file's size before anything is allocated, and a
//! cursor over bytes that were read. Addresses count from the superblock, which a user block may precede.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::PathBuf;

use super::checksum::lookup3;
use crate::error::IoError;
use crate::recording::frames::read_exact_at;

/// An open file and what its superblock says about numbers in it.
#[derive(Debug)]
pub(crate) struct Source {
    pub path: PathBuf,
    pub file: File,
    /// Where the superblock is, which is address 0.
    pub base: u64,
    /// Bytes from the superblock to the end of the file.
    pub size_bytes: u64,
    /// Width of an address.
    pub offset_bytes: usize,
    /// Width of a length.
    pub length_bytes: usize,
}

impl Source {
    /// `length` bytes from `address` on.
    pub fn read(&self, address: u64, length: u64) -> Result<Vec<u8>, IoError> {
        self.check_range(address, length)?;
        let mut bytes = vec![0; length as usize];
        self.fill(address, &mut bytes)?;
        Ok(bytes)
    }

    /// Fills `out` from `address` on.
    pub fn read_into(&self, address: u64, out: &mut [u8]) -> Result<(), IoError> {
        self.check_range(address, out.len() as u64)?;
        self.fill(address, out)
    }

    /// At most `length` bytes from `address` on, fewer at the end of the file.
    pub fn read_up_to(&self, address: u64, length: u64) -> Result<Vec<u8>, IoError> {
        self.read(address, length.min(self.size_bytes.saturating_sub(address)))
    }

    /// Fails when the range is not inside of the file.
    pub fn check_range(&self, address: u64, length: u64) -> Result<(), IoError> {
        match address.checked_add(length) {
            Some(end) if end <= self.size_bytes => Ok(()),
            _ => Err(self.malformed(
                address,
                format!(
                    "{length} bytes should be here, but the file has {} bytes",
                    self.base + self.size_bytes
                ),
            )),
        }
    }

    fn fill(&self, address: u64, out: &mut [u8]) -> Result<(), IoError> {
        read_exact_at(&self.file, out, self.base + address).map_err(|source| {
            if source.kind() == io::ErrorKind::UnexpectedEof {
                // It was long enough when it was opened.
                IoError::Truncated {
                    path: self.path.clone(),
                    expected_bytes: self.base + self.size_bytes,
                    found_bytes: self.file.metadata().map_or(0, |metadata| metadata.len()),
                }
            } else {
                IoError::read(&self.path, source)
            }
        })
    }

    /// A parse failure at an address.
    pub fn malformed(&self, address: u64, what: impl Into<String>) -> IoError {
        IoError::malformed(
            &self.path,
            format!("byte {}", self.base.saturating_add(address)),
            what,
        )
    }

    /// Something valid that is not read.
    pub fn unsupported(&self, what: impl Into<String>, hint: &str) -> IoError {
        IoError::Unsupported {
            path: self.path.clone(),
            what: what.into(),
            hint: hint.to_owned(),
        }
    }

    /// Reads a block of a known length that ends with a checksum, and checks its mark and the checksum, which is cut off.
    pub fn read_checked(
        &self,
        address: u64,
        length: u64,
        mark: &[u8; 4],
    ) -> Result<Vec<u8>, IoError> {
        let mut bytes = self.read(address, length)?;
        self.check_mark(address, &bytes, mark)?;
        self.check_sum(address, &bytes)?;
        bytes.truncate(bytes.len() - 4);
        Ok(bytes)
    }

    /// Fails unless the bytes begin with the mark.
    pub fn check_mark(&self, address: u64, bytes: &[u8], mark: &[u8; 4]) -> Result<(), IoError> {
        if bytes.starts_with(mark) {
            return Ok(());
        }
        let mark = String::from_utf8_lossy(mark);
        Err(self.malformed(address, format!("the mark `{mark}` should be here")))
    }

    /// Fails unless the last four bytes are the checksum of those before.
    pub fn check_sum(&self, address: u64, bytes: &[u8]) -> Result<(), IoError> {
        match bytes.split_last_chunk::<4>() {
            Some((before, stored)) if lookup3(before) == u32::from_le_bytes(*stored) => Ok(()),
            _ => Err(self.malformed(address, "the checksum of this block does not match")),
        }
    }

    /// A cursor over bytes that were read at an address.
    pub fn cursor<'a>(&'a self, address: u64, bytes: &'a [u8]) -> Cursor<'a> {
        Cursor {
            source: self,
            bytes,
            at: 0,
            address,
        }
    }
}

/// Reads little-endian numbers one after the other; the end of the bytes is an error.
#[derive(Clone)]
pub(crate) struct Cursor<'a> {
    pub source: &'a Source,
    bytes: &'a [u8],
    at: usize,
    address: u64,
}

impl<'a> Cursor<'a> {
    /// The next `length` bytes.
    pub fn bytes(&mut self, length: usize) -> Result<&'a [u8], IoError> {
        let end = self.at.checked_add(length);
        let Some(bytes) = end.and_then(|end| self.bytes.get(self.at..end)) else {
            return Err(self.malformed("this block is shorter than what should be in it"));
        };
        self.at += length;
        Ok(bytes)
    }

    /// Passes over `length` bytes.
    pub fn skip(&mut self, length: usize) -> Result<(), IoError> {
        self.bytes(length).map(|_| ())
    }

    /// A number of 1 to 8 bytes.
    pub fn uint(&mut self, width: usize) -> Result<u64, IoError> {
        let mut wide = [0u8; 8];
        let bytes = self.bytes(width)?;
        wide.get_mut(..width)
            .ok_or_else(|| self.malformed("a number is wider than 8 bytes"))?
            .copy_from_slice(bytes);
        Ok(u64::from_le_bytes(wide))
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, IoError> {
        Ok(self.bytes(1)?[0])
    }

    /// Two bytes.
    pub fn u16(&mut self) -> Result<u16, IoError> {
        Ok(self.uint(2)? as u16)
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Result<u32, IoError> {
        Ok(self.uint(4)? as u32)
    }

    /// A length.
    pub fn length(&mut self) -> Result<u64, IoError> {
        self.uint(self.source.length_bytes)
    }

    /// An address; all bits set stand for none.
    pub fn address(&mut self) -> Result<Option<u64>, IoError> {
        let width = self.source.offset_bytes;
        let value = self.uint(width)?;
        let none = u64::MAX >> (64 - 8 * width as u32);
        Ok((value != none).then_some(value))
    }

    /// An address that must be there.
    pub fn some_address(&mut self, of_what: &str) -> Result<u64, IoError> {
        self.address()?
            .ok_or_else(|| self.malformed(format!("the address of {of_what} is missing")))
    }

    /// Text up to a zero byte, which is passed over.
    pub fn zero_ended(&mut self) -> Result<String, IoError> {
        let rest = &self.bytes[self.at..];
        let Some(end) = rest.iter().position(|&byte| byte == 0) else {
            return Err(self.malformed("a name has no end"));
        };
        self.at += end + 1;
        Ok(String::from_utf8_lossy(&rest[..end]).into_owned())
    }

    /// Bytes that are left.
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// Where the next byte is in the file.
    pub fn position(&self) -> u64 {
        self.address.saturating_add(self.at as u64)
    }

    /// Fails unless the next byte is one of the versions that are read.
    pub fn version(&mut self, of_what: &str, known: &[u8]) -> Result<u8, IoError> {
        let version = self.u8()?;
        if known.contains(&version) {
            return Ok(version);
        }
        let known: Vec<String> = known.iter().map(u8::to_string).collect();
        Err(self.malformed(format!(
            "{of_what} has version {version}; versions {} are read",
            known.join(", ")
        )))
    }

    /// A parse failure here.
    pub fn malformed(&self, what: impl Into<String>) -> IoError {
        self.source.malformed(self.position(), what)
    }
}

/// Blocks that were visited in a walk: a block that comes up twice makes a circle, which would never end.
#[derive(Default)]
pub(crate) struct Visited(HashSet<u64>);

impl Visited {
    /// Notes a block.
    pub fn note(&mut self, source: &Source, address: u64) -> Result<(), IoError> {
        if self.0.insert(address) {
            return Ok(());
        }
        Err(source.malformed(address, "blocks refer to each other in a circle"))
    }
}
