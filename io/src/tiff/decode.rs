//! Unpacks one page into native samples. No state is shared: any number of threads may do it at once.

use std::fs::File;
use std::io;
use std::path::Path;

use super::codecs::Compression;
use super::page::Page;
use super::{DAMAGED, page_error};
use crate::error::IoError;
use crate::recording::frames::read_exact_at;

/// Buffers that are used again from page to page.
#[derive(Default)]
pub(crate) struct Scratch {
    packed: Vec<u8>,
    plain: Vec<u8>,
    row: Vec<u8>,
}

/// Where a page comes from.
#[derive(Copy, Clone)]
pub(crate) struct PageSource<'a> {
    pub path: &'a Path,
    pub file: &'a File,
    pub big_endian: bool,
    /// From 0, for messages.
    pub page: u64,
}

/// Fills `out` with the page's samples: `[planes, height, width, samples side by side]` in native containers.
pub(crate) fn read_page(
    source: PageSource,
    page: &Page,
    scratch: &mut Scratch,
    out: &mut [u8],
) -> Result<(), IoError> {
    assert_eq!(
        out.len(),
        page.shape.page_bytes(),
        "a buffer of the page's size"
    );
    let format = page.row_format(source.big_endian);
    let pixel_bytes = format.samples_per_pixel * page.shape.sample.container_bytes();
    let (height, width) = (page.shape.height, page.shape.width);
    let [planes, rows, columns] = page.grid();
    for chunk in 0..planes * rows * columns {
        let (plane, row, column) = (
            chunk / (rows * columns),
            chunk / columns % rows,
            chunk % columns,
        );
        let stored_rows = page.stored_rows(chunk);
        let (top, left) = (row * page.chunk_height, column * page.chunk_width);
        let n_rows = stored_rows.min(height - top);
        let n_columns = page.chunk_width.min(width - left);
        let plain_bytes = page.plain_bytes(chunk) as usize;
        let packed_bytes = page.sizes[chunk] as usize;

        scratch.plain.resize(plain_bytes, 0);
        if page.compression == Compression::None && !page.bits_reversed {
            read_at(source, &mut scratch.plain, page.offsets[chunk])?;
        } else {
            scratch.packed.resize(packed_bytes, 0);
            read_at(source, &mut scratch.packed, page.offsets[chunk])?;
            if page.bits_reversed {
                scratch
                    .packed
                    .iter_mut()
                    .for_each(|byte| *byte = byte.reverse_bits());
            }
            page.compression
                .unpack(&scratch.packed, &mut scratch.plain)
                .map_err(|what| {
                    let name = if page.is_tiled { "tile" } else { "strip" };
                    let what = format!("{name} {} cannot be unpacked: {what}", chunk + 1);
                    page_error(source.path, source.page, what, DAMAGED)
                })?;
        }

        scratch.row.resize(page.chunk_width * pixel_bytes, 0);
        for (y, stored) in scratch
            .plain
            .chunks_exact_mut(plain_bytes / stored_rows)
            .enumerate()
        {
            if y == n_rows {
                break;
            }
            let at = ((plane * height + top + y) * width + left) * pixel_bytes;
            let out = &mut out[at..][..n_columns * pixel_bytes];
            if n_columns == page.chunk_width {
                format.unpack(stored, out);
            } else {
                format.unpack(stored, &mut scratch.row);
                out.copy_from_slice(&scratch.row[..out.len()]);
            }
        }
    }
    Ok(())
}

/// A positioned read of a page's bytes.
fn read_at(source: PageSource, out: &mut [u8], offset: u64) -> Result<(), IoError> {
    read_exact_at(source.file, out, offset)
        .map_err(|error| read_error(source.path, source.file, error, offset + out.len() as u64))
}

/// A failed read; an end of file means that the file was cut since it was opened.
pub(crate) fn read_error(path: &Path, file: &File, error: io::Error, end: u64) -> IoError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        IoError::Truncated {
            path: path.to_owned(),
            expected_bytes: end,
            found_bytes: file.metadata().map_or(0, |metadata| metadata.len()),
        }
    } else {
        IoError::read(path, error)
    }
}
