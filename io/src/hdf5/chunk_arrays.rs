//! Tables of chunks by number: the fixed array, and the extensible array, whose blocks double in size as it grows.

use super::chunk_index::ChunkPlace;
use super::source::{Cursor, Source};
use crate::error::IoError;

/// One entry of a table: an address, and of filtered chunks the stored size and the filters that were left out.
#[derive(Debug)]
struct Entry {
    bytes: u64,
    is_filtered: bool,
}

impl Entry {
    /// Checks the size that a header tells.
    fn new(cursor: &Cursor, is_filtered: bool, client: u8, bytes: u8) -> Result<Entry, IoError> {
        let head = cursor.source.offset_bytes;
        let bytes = usize::from(bytes);
        let fits = if is_filtered {
            (head + 5..=head + 12).contains(&bytes)
        } else {
            bytes == head
        };
        if client != u8::from(is_filtered) || !fits {
            return Err(cursor.malformed("the entries of a table of chunks are of a wrong kind"));
        }
        Ok(Entry {
            bytes: bytes as u64,
            is_filtered,
        })
    }

    /// Reads the entry at an address.
    fn read(&self, source: &Source, address: u64) -> Result<Option<ChunkPlace>, IoError> {
        let bytes = source.read(address, self.bytes)?;
        let mut cursor = source.cursor(address, &bytes);
        let Some(address) = cursor.address()? else {
            return Ok(None);
        };
        let (stored_bytes, mask) = if self.is_filtered {
            let width = cursor.rest().len() - 4;
            (Some(cursor.uint(width)?), cursor.u32()?)
        } else {
            (None, 0)
        };
        Ok(Some(ChunkPlace {
            address,
            stored_bytes,
            mask,
        }))
    }
}

/// A table whose length is known from the start.
#[derive(Debug)]
pub(crate) struct FixedArray {
    entry: Entry,
    n_entries: u64,
    /// Entries of a page, when the table has pages.
    page_entries: u64,
    block: Option<u64>,
}

impl FixedArray {
    /// Reads the header.
    pub fn open(source: &Source, address: u64, is_filtered: bool) -> Result<FixedArray, IoError> {
        let length = 8 + source.length_bytes as u64 + source.offset_bytes as u64 + 4;
        let bytes = source.read_checked(address, length, b"FAHD")?;
        let mut cursor = source.cursor(address, &bytes);
        cursor.skip(4)?;
        cursor.version("the table of chunks", &[0])?;
        let client = cursor.u8()?;
        let entry_bytes = cursor.u8()?;
        let entry = Entry::new(&cursor, is_filtered, client, entry_bytes)?;
        let page_bits = cursor.u8()?;
        let n_entries = cursor.length()?;
        if page_bits >= 64 {
            return Err(cursor.malformed("the pages of a table of chunks make no sense"));
        }
        Ok(FixedArray {
            entry,
            n_entries,
            page_entries: 1 << page_bits,
            block: cursor.address()?,
        })
    }

    /// The chunk of a number.
    pub fn find(&self, source: &Source, number: u64) -> Result<Option<ChunkPlace>, IoError> {
        let Some(block) = self.block else {
            return Ok(None);
        };
        if number >= self.n_entries {
            return Err(source.malformed(block, "the table of chunks is too short for its dataset"));
        }
        let head = source.read(block, 6)?;
        source.check_mark(block, &head, b"FADB")?;
        let start = block.saturating_add(6 + source.offset_bytes as u64);
        if self.n_entries <= self.page_entries {
            let at = number
                .checked_mul(self.entry.bytes)
                .and_then(|distance| start.checked_add(distance))
                .unwrap_or(u64::MAX);
            return self.entry.read(source, at);
        }
        let n_pages = self.n_entries.div_ceil(self.page_entries);
        let (page, within) = (number / self.page_entries, number % self.page_entries);
        if !is_set(source, start, page)? {
            return Ok(None);
        }
        // The bits of the pages that were written, a checksum, then pages that end with one each.
        let pages = start.saturating_add(n_pages.div_ceil(8)).saturating_add(4);
        let at = page_at(pages, page, self.page_entries, self.entry.bytes, within);
        self.entry.read(source, at)
    }
}

/// A bit of a list at an address, the first bit of a byte being the highest.
fn is_set(source: &Source, address: u64, bit: u64) -> Result<bool, IoError> {
    let byte = source.read(address.saturating_add(bit / 8), 1)?[0];
    Ok(byte >> (7 - bit % 8) & 1 == 1)
}

/// The address of an entry in a page; each page ends with a checksum.
fn page_at(pages: u64, page: u64, page_entries: u64, entry_bytes: u64, within: u64) -> u64 {
    let page_bytes = page_entries.saturating_mul(entry_bytes).saturating_add(4);
    page.saturating_mul(page_bytes)
        .saturating_add(within.saturating_mul(entry_bytes))
        .saturating_add(pages)
}

/// A table that grows: a few entries in its first block, then blocks of data in pairs of growing size, of which those that
/// the first block has no room for are found through blocks between.
#[derive(Debug)]
pub(crate) struct ExtensibleArray {
    entry: Entry,
    /// Width of a block's offset in the table.
    offset_bytes: u64,
    index_entries: u64,
    min_entries: u64,
    page_entries: u64,
    /// Blocks of data that the first block refers to itself.
    n_direct: u64,
    /// Groups of blocks that these make up.
    n_direct_groups: u64,
    block: Option<u64>,
}

impl ExtensibleArray {
    /// Reads the header.
    pub fn open(
        source: &Source,
        address: u64,
        is_filtered: bool,
    ) -> Result<ExtensibleArray, IoError> {
        let length = 12 + 6 * source.length_bytes as u64 + source.offset_bytes as u64 + 4;
        let bytes = source.read_checked(address, length, b"EAHD")?;
        let mut cursor = source.cursor(address, &bytes);
        cursor.skip(4)?;
        cursor.version("the growing table of chunks", &[0])?;
        let client = cursor.u8()?;
        let entry_bytes = cursor.u8()?;
        let entry = Entry::new(&cursor, is_filtered, client, entry_bytes)?;
        let max_bits = cursor.u8()?;
        let index_entries = u64::from(cursor.u8()?);
        let min_entries = u64::from(cursor.u8()?);
        let min_pointers = u64::from(cursor.u8()?);
        let page_bits = cursor.u8()?;
        cursor.skip(6 * source.length_bytes)?;
        let makes_sense = (1..=64).contains(&max_bits)
            && min_entries.is_power_of_two()
            && min_pointers.is_power_of_two()
            && min_pointers >= 2
            && page_bits < 64;
        if !makes_sense {
            return Err(cursor.malformed("the sizes of a growing table of chunks make no sense"));
        }
        Ok(ExtensibleArray {
            entry,
            offset_bytes: u64::from(max_bits.div_ceil(8)),
            index_entries,
            min_entries,
            page_entries: 1 << page_bits,
            n_direct: 2 * (min_pointers - 1),
            n_direct_groups: 2 * u64::from(min_pointers.ilog2()),
            block: cursor.address()?,
        })
    }

    /// The chunk of a number.
    pub fn find(&self, source: &Source, number: u64) -> Result<Option<ChunkPlace>, IoError> {
        let Some(block) = self.block else {
            return Ok(None);
        };
        let head = source.read(block, 6)?;
        source.check_mark(block, &head, b"EAIB")?;
        let width = source.offset_bytes as u64;
        let entries = block.saturating_add(6 + width);
        if number < self.index_entries {
            return self.entry.read(source, entries + number * self.entry.bytes);
        }
        let number = number - self.index_entries;
        // Group g has 2^(g/2) blocks of min × 2^((g+1)/2) entries, and so min × 2^g entries; those before it have
        // min × (2^g − 1).
        let group = u64::from((number / self.min_entries).saturating_add(1).ilog2());
        let before = self.min_entries.saturating_mul((1 << group) - 1);
        let n_blocks = 1u64 << (group / 2);
        let block_entries = self.min_entries.saturating_mul(1 << group.div_ceil(2));
        let within_group = number - before;
        let (index, within) = (within_group / block_entries, within_group % block_entries);
        let direct = entries + self.index_entries * self.entry.bytes;
        if group < self.n_direct_groups {
            // Blocks of the groups before: 1 + 1 + 2 + 2 + 4 + 4 …
            let first = if group % 2 == 0 {
                2 * (n_blocks - 1)
            } else {
                3 * n_blocks - 2
            };
            let Some(data) = pointer(source, direct + (first + index) * width)? else {
                return Ok(None);
            };
            return self.read_data(source, data, block_entries, within, None);
        }
        let between = direct + self.n_direct * width + (group - self.n_direct_groups) * width;
        let Some(between) = pointer(source, between)? else {
            return Ok(None);
        };
        let head = source.read(between, 6)?;
        source.check_mark(between, &head, b"EASB")?;
        let start = between.saturating_add(6 + width + self.offset_bytes);
        // Bits of the pages that were written, when blocks have pages.
        let bits_bytes = if block_entries > self.page_entries {
            (block_entries / self.page_entries).div_ceil(8)
        } else {
            0
        };
        let pointers = start.saturating_add(n_blocks.saturating_mul(bits_bytes));
        let at = pointers.saturating_add(index * width);
        let Some(data) = pointer(source, at)? else {
            return Ok(None);
        };
        // The bits of all blocks follow each other, though room is kept for whole bytes a block.
        let first_page = index.saturating_mul(block_entries / self.page_entries);
        self.read_data(
            source,
            data,
            block_entries,
            within,
            Some((start, first_page)),
        )
    }

    /// An entry of a block of data; `bits` is where the bits of written pages are, and the number of this block's first.
    fn read_data(
        &self,
        source: &Source,
        block: u64,
        block_entries: u64,
        within: u64,
        bits: Option<(u64, u64)>,
    ) -> Result<Option<ChunkPlace>, IoError> {
        let head = source.read(block, 6)?;
        source.check_mark(block, &head, b"EADB")?;
        let start = block.saturating_add(6 + source.offset_bytes as u64 + self.offset_bytes);
        let Some((bits, first_page)) = bits.filter(|_| block_entries > self.page_entries) else {
            let distance = within.saturating_mul(self.entry.bytes);
            return self.entry.read(source, start.saturating_add(distance));
        };
        let page = within / self.page_entries;
        if !is_set(source, bits, first_page.saturating_add(page))? {
            return Ok(None);
        }
        let pages = start.saturating_add(4);
        let within = within % self.page_entries;
        let at = page_at(pages, page, self.page_entries, self.entry.bytes, within);
        self.entry.read(source, at)
    }
}

/// An address that is stored at an address.
fn pointer(source: &Source, at: u64) -> Result<Option<u64>, IoError> {
    let bytes = source.read(at, source.offset_bytes as u64)?;
    source.cursor(at, &bytes).address()
}
