//! Object headers: the list of messages that says what a group, a dataset or a named type is.
//!
//! Version 1 has messages aligned to 8 bytes; version 2 has marks and checksums. Both may go on in other blocks of the file.

use super::source::{Cursor, Source, Visited};
use crate::error::IoError;

/// Kinds of messages that are looked at, by the numbers of the specification.
pub(crate) mod kind {
    pub const DATASPACE: u16 = 0x0001;
    pub const LINK_INFO: u16 = 0x0002;
    pub const DATATYPE: u16 = 0x0003;
    pub const OLD_FILL_VALUE: u16 = 0x0004;
    pub const FILL_VALUE: u16 = 0x0005;
    pub const LINK: u16 = 0x0006;
    pub const EXTERNAL_FILES: u16 = 0x0007;
    pub const LAYOUT: u16 = 0x0008;
    pub const FILTERS: u16 = 0x000b;
    pub const ATTRIBUTE: u16 = 0x000c;
    pub const CONTINUATION: u16 = 0x0010;
    pub const SYMBOL_TABLE: u16 = 0x0011;
    pub const ATTRIBUTE_INFO: u16 = 0x0015;
}

/// One message.
#[derive(Debug)]
pub(crate) struct Message {
    pub kind: u16,
    flags: u8,
    bytes: Vec<u8>,
    /// Where its bytes are in the file, for messages.
    address: u64,
}

impl Message {
    /// A cursor over the message's bytes.
    pub fn cursor<'a>(&'a self, source: &'a Source) -> Cursor<'a> {
        source.cursor(self.address, &self.bytes)
    }

    /// Whether it only refers to a message elsewhere.
    pub fn is_shared(&self) -> bool {
        self.flags & 0x02 != 0
    }
}

/// The messages of one object.
#[derive(Debug)]
pub(crate) struct Header {
    pub address: u64,
    pub messages: Vec<Message>,
    /// Bytes of all its blocks.
    pub n_bytes: u64,
}

impl Header {
    /// Reads the header at an address.
    pub fn read(source: &Source, address: u64) -> Result<Header, IoError> {
        let start = source.read_up_to(address, 64)?;
        let mut walk = Walk {
            source,
            messages: Vec::new(),
            blocks: Vec::new(),
            visited: Visited::default(),
            bytes_left: source.size_bytes,
        };
        if start.starts_with(b"OHDR") {
            walk.read_second(address, &start)?;
        } else {
            walk.read_first(address, &start)?;
        }
        Ok(Header {
            address,
            n_bytes: source.size_bytes - walk.bytes_left,
            messages: walk.messages,
        })
    }

    /// The first message of a kind.
    pub fn find(&self, kind: u16) -> Option<&Message> {
        self.messages.iter().find(|message| message.kind == kind)
    }

    /// All messages of a kind.
    pub fn all(&self, kind: u16) -> impl Iterator<Item = &Message> {
        self.messages
            .iter()
            .filter(move |message| message.kind == kind)
    }
}

/// Collects messages over all blocks of a header.
struct Walk<'a> {
    source: &'a Source,
    messages: Vec<Message>,
    /// Continuations to read: address and length.
    blocks: Vec<(u64, u64)>,
    visited: Visited,
    /// What blocks may add up to: no honest header is longer than its file.
    bytes_left: u64,
}

impl Walk<'_> {
    fn read_first(&mut self, address: u64, start: &[u8]) -> Result<(), IoError> {
        let mut cursor = self.source.cursor(address, start);
        cursor.version("the object header", &[1])?;
        cursor.skip(1)?;
        let n_messages = usize::from(cursor.u16()?);
        cursor.skip(4)?;
        let length = u64::from(cursor.u32()?);
        self.blocks.push((address.saturating_add(16), length));
        while let Some((address, length)) = self.blocks.pop() {
            let bytes = self.block(address, length)?;
            let mut cursor = self.source.cursor(address, &bytes);
            while cursor.rest().len() >= 8 && self.messages.len() < n_messages {
                let kind = cursor.u16()?;
                let length = usize::from(cursor.u16()?);
                let flags = cursor.u8()?;
                cursor.skip(3)?;
                self.message(kind, flags, length, &mut cursor)?;
            }
        }
        Ok(())
    }

    fn read_second(&mut self, address: u64, start: &[u8]) -> Result<(), IoError> {
        let mut cursor = self.source.cursor(address, start);
        cursor.skip(4)?;
        cursor.version("the object header", &[2])?;
        let flags = cursor.u8()?;
        if flags & 0x20 != 0 {
            cursor.skip(16)?;
        }
        if flags & 0x10 != 0 {
            cursor.skip(4)?;
        }
        let length = cursor.uint(1 << (flags & 3))?;
        let prefix = cursor.position() - address;
        let is_tracked = flags & 0x04 != 0;
        // The checksum is of the prefix as well.
        let whole = length
            .checked_add(prefix + 4)
            .ok_or_else(|| cursor.malformed("the object header has no end"))?;
        let bytes = self.block(address, whole)?;
        self.source.check_sum(address, &bytes)?;
        let mut cursor = self.source.cursor(address, &bytes[..bytes.len() - 4]);
        cursor.skip(prefix as usize)?;
        self.second_messages(&mut cursor, is_tracked)?;
        while let Some((address, length)) = self.blocks.pop() {
            let bytes = self.block(address, length)?;
            self.source.check_mark(address, &bytes, b"OCHK")?;
            self.source.check_sum(address, &bytes)?;
            let mut cursor = self.source.cursor(address, &bytes[..bytes.len() - 4]);
            cursor.skip(4)?;
            self.second_messages(&mut cursor, is_tracked)?;
        }
        Ok(())
    }

    fn second_messages(&mut self, cursor: &mut Cursor, is_tracked: bool) -> Result<(), IoError> {
        let head = if is_tracked { 6 } else { 4 };
        // A gap that is too small for a message may follow the last one.
        while cursor.rest().len() >= head {
            let kind = u16::from(cursor.u8()?);
            let length = usize::from(cursor.u16()?);
            let flags = cursor.u8()?;
            cursor.skip(head - 4)?;
            self.message(kind, flags, length, cursor)?;
        }
        Ok(())
    }

    /// Takes one message; a continuation is noted.
    fn message(
        &mut self,
        kind: u16,
        flags: u8,
        length: usize,
        cursor: &mut Cursor,
    ) -> Result<(), IoError> {
        let address = cursor.position();
        let bytes = cursor.bytes(length)?.to_vec();
        if kind == kind::CONTINUATION {
            let mut cursor = self.source.cursor(address, &bytes);
            let block = (
                cursor.some_address("the rest of the header")?,
                cursor.length()?,
            );
            self.blocks.push(block);
        }
        self.messages.push(Message {
            kind,
            flags,
            bytes,
            address,
        });
        Ok(())
    }

    fn block(&mut self, address: u64, length: u64) -> Result<Vec<u8>, IoError> {
        self.visited.note(self.source, address)?;
        self.bytes_left = self.bytes_left.checked_sub(length).ok_or_else(|| {
            self.source
                .malformed(address, "the object header is longer than the file")
        })?;
        self.source.read(address, length)
    }
}

/// The message itself where it is shared with other objects: a named type lies in a header of its own.
pub(crate) fn unshared(source: &Source, message: &Message) -> Result<Option<Header>, IoError> {
    if !message.is_shared() {
        return Ok(None);
    }
    let mut cursor = message.cursor(source);
    shared_header(source, &mut cursor).map(Some)
}

/// The header that a shared message refers to.
pub(crate) fn shared_header(source: &Source, cursor: &mut Cursor) -> Result<Header, IoError> {
    let version = cursor.version("a shared message", &[1, 2, 3])?;
    let place = cursor.u8()?;
    match version {
        1 => {
            cursor.skip(6 + source.length_bytes)?;
        }
        3 if place == 1 => {
            return Err(source.unsupported(
                "it keeps messages in a table that objects share, which is not read",
                "write it again with `h5repack`, which makes no such table",
            ));
        }
        _ => {}
    }
    let address = cursor.some_address("a shared message")?;
    Header::read(source, address)
}
