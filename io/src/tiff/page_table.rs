//! Where the pages of a file are, found in one walk along its chain of directories and kept small: pages at equal distances
//! are one row of the table, others cost 8 bytes each.
//!
//! A packed page is remembered by its directory, which is read again when the page is: its strips would take more room than
//! the rest of the table, and one more small read is nothing beside unpacking.

use super::directory::{Directory, DirectoryReader};
use super::page::Page;
use super::page_error;
use crate::error::IoError;

/// Where a page is.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum Place {
    /// Its samples lie in one piece from this byte on, ready but for the byte order.
    Flat(u64),
    /// Its directory is at this byte; the samples must be unpacked.
    Packed(u64),
}

/// Neighbouring pages of one kind.
#[derive(Debug)]
enum Run {
    /// Flat pages at equal distances.
    Strided {
        n_pages: u64,
        offset: u64,
        stride: u64,
    },
    /// Flat pages elsewhere.
    Flat(Vec<u64>),
    /// Packed pages, by their directories.
    Packed(Vec<u64>),
}

impl Run {
    fn n_pages(&self) -> u64 {
        match self {
            Run::Strided { n_pages, .. } => *n_pages,
            Run::Flat(offsets) | Run::Packed(offsets) => offsets.len() as u64,
        }
    }
}

/// Strided runs shorter than this are not worth a row of their own.
const MIN_STRIDED: u64 = 16;

/// The pages of one file.
#[derive(Default, Debug)]
pub(crate) struct PageTable {
    /// First page of each run, and the run.
    runs: Vec<(u64, Run)>,
    n_pages: u64,
}

impl PageTable {
    /// A table of `n_pages` flat pages one after the other.
    pub fn contiguous(offset: u64, page_bytes: u64, n_pages: u64) -> PageTable {
        let run = Run::Strided {
            n_pages,
            offset,
            stride: page_bytes,
        };
        PageTable {
            runs: vec![(0, run)],
            n_pages,
        }
    }

    /// Pages in the table.
    pub fn n_pages(&self) -> u64 {
        self.n_pages
    }

    /// Adds the next page.
    pub fn push(&mut self, place: Place) {
        let fits = match (self.runs.last_mut(), place) {
            (Some((_, Run::Packed(directories))), Place::Packed(directory)) => {
                directories.push(directory);
                true
            }
            (Some((_, Run::Flat(offsets))), Place::Flat(offset)) => {
                offsets.push(offset);
                true
            }
            (Some((_, run)), Place::Flat(next)) => match run {
                Run::Strided {
                    n_pages,
                    offset,
                    stride,
                } => {
                    if *n_pages == 1 && next > *offset {
                        *stride = next - *offset;
                    }
                    let is_next = n_pages
                        .checked_mul(*stride)
                        .and_then(|distance| offset.checked_add(distance))
                        == Some(next);
                    if is_next {
                        *n_pages += 1;
                        true
                    } else if *n_pages < MIN_STRIDED {
                        let mut offsets: Vec<u64> =
                            (0..*n_pages).map(|page| *offset + page * *stride).collect();
                        offsets.push(next);
                        *run = Run::Flat(offsets);
                        true
                    } else {
                        false
                    }
                }
                _ => false,
            },
            _ => false,
        };
        if !fits {
            let run = match place {
                Place::Flat(offset) => Run::Strided {
                    n_pages: 1,
                    offset,
                    stride: 0,
                },
                Place::Packed(directory) => Run::Packed(vec![directory]),
            };
            self.runs.push((self.n_pages, run));
        }
        self.n_pages += 1;
    }

    /// Where page `page` is.
    pub fn place(&self, page: u64) -> Place {
        assert!(page < self.n_pages, "page {page} of {}", self.n_pages);
        let index = self
            .runs
            .partition_point(|(first, run)| first + run.n_pages() <= page);
        let (first, run) = &self.runs[index];
        let at = page - first;
        match run {
            Run::Strided { offset, stride, .. } => Place::Flat(offset + at * stride),
            Run::Flat(offsets) => Place::Flat(offsets[at as usize]),
            Run::Packed(directories) => Place::Packed(directories[at as usize]),
        }
    }
}

/// Walks the chain of directories from `first` on and hands each page to `visit`, in order.
///
/// # Errors
/// What `visit` or a damaged directory gives; a chain that comes back to a directory it had before.
pub(crate) fn walk(
    reader: &mut DirectoryReader,
    first: u64,
    mut visit: impl FnMut(&mut DirectoryReader, Directory, Page) -> Result<(), IoError>,
) -> Result<(), IoError> {
    let mut offset = first;
    // Brent's cycle detection: a remembered directory, renewed at powers of two, is met again in any loop.
    let (mut remembered, mut renew_at) = (0, 1u64);
    reader.page = 0;
    while offset != 0 {
        if offset == remembered {
            return Err(page_error(
                reader.path,
                reader.page,
                format!(
                    "its directory at byte {offset} is one that an earlier page has: the pages form a loop"
                ),
                super::DAMAGED,
            ));
        }
        if reader.page + 1 == renew_at {
            remembered = offset;
            renew_at = renew_at.saturating_mul(2);
        }
        let directory = reader.directory(offset)?;
        let page = Page::read(reader, &directory)?;
        offset = directory.next;
        visit(reader, directory, page)?;
        reader.page += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_found_again_however_they_lie() {
        let equal: Vec<u64> = (0..50).map(|page| 1000 + 77 * page).collect();
        let mut odd_start = vec![8u64];
        odd_start.extend(&equal);
        let mut changes = equal.clone();
        changes.extend((0..40).map(|page| 100_000 + 80 * page));
        changes.extend([5, 3, 900, 900, 900]);
        for offsets in [
            equal,
            odd_start,
            changes,
            vec![7],
            vec![9, 9, 9],
            vec![9, 3],
        ] {
            let mut table = PageTable::default();
            let places: Vec<Place> = offsets
                .iter()
                .enumerate()
                .map(|(page, &offset)| {
                    if page % 23 == 22 {
                        Place::Packed(offset)
                    } else {
                        Place::Flat(offset)
                    }
                })
                .collect();
            places.iter().for_each(|&place| table.push(place));
            assert_eq!(table.n_pages(), offsets.len() as u64);
            for (page, &place) in places.iter().enumerate() {
                assert_eq!(
                    table.place(page as u64),
                    place,
                    "page {page} of {offsets:?}"
                );
            }
        }
    }

    #[test]
    fn a_million_equal_pages_are_one_row() {
        let mut table = PageTable::default();
        for page in 0..1_000_000u64 {
            table.push(Place::Flat(16 + page * 524_800));
        }
        assert_eq!(table.runs.len(), 1);
        assert_eq!(table.place(999_999), Place::Flat(16 + 999_999 * 524_800));
    }
}
