//! The reader behind every movie format: a table of pages a file, an order of frames, and positioned reads.
//!
//! Neighbouring pages that lie in one piece are read in one call, straight into the caller's buffer; packed pages are
//! unpacked from bytes of their own. Nothing but the pool of open files is shared between calls.

use std::path::PathBuf;

use super::files::MovieFiles;
use super::order::FrameOrder;
use super::{MovieDescription, MovieReader};
use crate::error::IoError;
use crate::recording::frames::read_exact_at;
use crate::tiff::decode::{PageSource, Scratch, read_error, read_page};
use crate::tiff::directory::{Dialect, DirectoryReader};
use crate::tiff::page::{Page, Shape};
use crate::tiff::page_error;
use crate::tiff::page_table::{PageTable, Place};
use crate::tiff::samples::{SampleKind, f16_to_f32, swap_bytes};

/// The pages of one file.
pub(crate) struct FilePages {
    pub path: PathBuf,
    pub size_bytes: u64,
    pub dialect: Dialect,
    pub table: PageTable,
}

/// A reader of pages.
pub(crate) struct PageReader {
    description: MovieDescription,
    order: FrameOrder,
    shape: Shape,
    files: MovieFiles,
    /// First page of each file in the movie, and its pages.
    pages: Vec<(u64, FilePages)>,
}

impl PageReader {
    /// A reader of the files' pages, one file after the other.
    pub fn new(
        description: MovieDescription,
        order: FrameOrder,
        shape: Shape,
        files: Vec<FilePages>,
    ) -> PageReader {
        let paths = files.iter().map(|file| file.path.clone()).collect();
        let mut next = 0;
        let pages = files
            .into_iter()
            .map(|file| {
                let first = next;
                next += file.table.n_pages();
                (first, file)
            })
            .collect();
        PageReader {
            description,
            order,
            shape,
            files: MovieFiles::new(paths),
            pages,
        }
    }

    /// File of a page of the movie, and the page's number in it.
    fn locate(&self, page: u64) -> (usize, u64) {
        let index = self
            .pages
            .partition_point(|(first, file)| first + file.table.n_pages() <= page);
        (index, page - self.pages[index].0)
    }

    /// Unpacks one page into a frame.
    fn read_packed(
        &self,
        index: usize,
        page_number: u64,
        directory: u64,
        scratch: &mut Scratch,
        out: &mut [u8],
    ) -> Result<(), IoError> {
        let (_, pages) = &self.pages[index];
        let path = self.files.path(index);
        let file = self.files.get(index)?;
        let mut reader = DirectoryReader::new(path, &file, pages.size_bytes, pages.dialect);
        reader.page = page_number;
        let directory = reader.directory(directory)?;
        let page = Page::read(&mut reader, &directory)?;
        if page.shape != self.shape {
            return Err(page_error(
                path,
                page_number,
                "the file has changed since it was opened",
                "start again when nothing writes to the file any more",
            ));
        }
        let source = PageSource {
            path,
            file: &file,
            big_endian: pages.dialect.big_endian,
            page: page_number,
        };
        if page.shape.sample.kind == SampleKind::Float && page.shape.sample.bits == 16 {
            let mut half = vec![0u8; page.shape.page_bytes()];
            read_page(source, &page, scratch, &mut half)?;
            let (half, _) = half.as_chunks::<2>();
            let (single, _) = out.as_chunks_mut::<4>();
            for (half, single) in half.iter().zip(single) {
                *single = f16_to_f32(u16::from_ne_bytes(*half)).to_ne_bytes();
            }
            return Ok(());
        }
        read_page(source, &page, scratch, out)
    }
}

impl MovieReader for PageReader {
    fn description(&self) -> &MovieDescription {
        &self.description
    }

    fn read(
        &self,
        plane: usize,
        channel: usize,
        start_frame: u64,
        out: &mut [u8],
    ) -> Result<(), IoError> {
        let description = &self.description;
        let frame_bytes = description.frame_bytes();
        let end_frame = description.check_range(plane, channel, start_frame, out.len())?;
        let mut scratch = Scratch::default();
        let mut frame = start_frame;
        let mut rest = out;
        while frame < end_frame {
            let (index, page) = self.locate(self.order.page(frame, plane, channel));
            let (_, pages) = &self.pages[index];
            let mut n_here = 1;
            match pages.table.place(page) {
                Place::Packed(directory) => {
                    let out = &mut rest[..frame_bytes];
                    self.read_packed(index, page, directory, &mut scratch, out)?;
                }
                Place::Flat(offset) => {
                    // Frames that lie one after the other are one read.
                    while frame + n_here < end_frame {
                        let next = self.locate(self.order.page(frame + n_here, plane, channel));
                        let expected = Place::Flat(offset + n_here * frame_bytes as u64);
                        if next.0 != index || pages.table.place(next.1) != expected {
                            break;
                        }
                        n_here += 1;
                    }
                    let out = &mut rest[..n_here as usize * frame_bytes];
                    let file = self.files.get(index)?;
                    let end = offset + out.len() as u64;
                    read_exact_at(&file, out, offset)
                        .map_err(|error| read_error(self.files.path(index), &file, error, end))?;
                    if pages.dialect.big_endian != cfg!(target_endian = "big") {
                        swap_bytes(out, description.pixel_type.size_bytes());
                    }
                }
            }
            rest = &mut rest[n_here as usize * frame_bytes..];
            frame += n_here;
        }
        Ok(())
    }
}
