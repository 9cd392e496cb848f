//! Datasets: any box of their elements, as stored, by positioned reads.

use std::sync::Arc;

use super::Hdf5File;
use super::chunk_index::{ChunkPlace, Grid};
use super::datatype::{Dataspace, Datatype, ElementType};
use super::fill::{fill_all, fill_value};
use super::filters::{Filter, max_plain_bytes, undo};
use super::header::{Header, kind, unshared};
use super::layout::{Layout, parse};
use super::runs::{Corner, for_each_run};
use super::value::{Value, decode};
use crate::chunks::ChunkCache;
use crate::error::IoError;

/// Bytes that the unpacked chunks of one dataset may take; a single chunk is kept whatever its size.
const CACHE_BYTES: usize = 64 << 20;

/// Runs of so many bytes are read from a chunk that is stored as it is; shorter ones are taken out of the whole chunk.
const LONG_RUN_BYTES: u64 = 64 << 10;

/// An open dataset. Threads may read from it at the same time.
#[derive(Debug)]
pub struct Dataset {
    file: Hdf5File,
    path: String,
    space: Dataspace,
    datatype: Datatype,
    layout: Layout,
    grid: Grid,
    filters: Vec<Filter>,
    /// One element where nothing was written; empty for zeros.
    fill: Vec<u8>,
    cache: ChunkCache,
}

impl Dataset {
    /// Opens the dataset with this header.
    pub(crate) fn open(file: &Hdf5File, path: &str, header: &Header) -> Result<Dataset, IoError> {
        let source = file.source();
        let missing = |what: &str| {
            source.malformed(
                header.address,
                format!("the dataset `{path}` has no {what}"),
            )
        };
        let space = header
            .find(kind::DATASPACE)
            .ok_or_else(|| missing("shape"))?;
        let space = Dataspace::parse(&mut space.cursor(source))?;
        let datatype = Datatype::of(source, header)?;
        if header.find(kind::EXTERNAL_FILES).is_some() {
            return Err(source.unsupported(
                format!("the data of `{path}` are in other files, which are not read"),
                "write it again with `h5repack`, which copies them into one file",
            ));
        }
        let n_bytes = space.n_elements().checked_mul(datatype.size_bytes as u64);
        let Some(n_bytes) = n_bytes.filter(|&n_bytes| n_bytes <= i64::MAX as u64) else {
            return Err(
                source.malformed(header.address, format!("`{path}` is larger than all files"))
            );
        };
        let filters = match header.find(kind::FILTERS) {
            Some(message) if message.is_shared() => {
                let named = unshared(source, message)?;
                return Err(source.malformed(
                    named.map_or(header.address, |named| named.address),
                    "a shared list of filters is not read",
                ));
            }
            Some(message) => super::filters::parse(
                source,
                &mut message.cursor(source),
                path,
                datatype.size_bytes,
            )?,
            None => Vec::new(),
        };
        let layout = header.find(kind::LAYOUT).ok_or_else(|| missing("layout"))?;
        let mut cursor = layout.cursor(source);
        let layout = parse(
            source,
            &mut cursor,
            path,
            &space,
            datatype,
            !filters.is_empty(),
        )?;
        let mut grid = Grid {
            chunk: Vec::new(),
            max_chunks: Vec::new(),
            chunk_bytes: datatype.size_bytes as u64,
        };
        match &layout {
            Layout::Compact(bytes) if (bytes.len() as u64) < n_bytes => {
                return Err(missing("room for all its elements"));
            }
            Layout::Compact(_) | Layout::Contiguous(None) => {}
            Layout::Contiguous(Some(address)) => source.check_range(*address, n_bytes)?,
            Layout::Chunked { chunk, .. } => {
                grid.chunk_bytes *= chunk.iter().product::<u64>();
                grid.max_chunks = chunk
                    .iter()
                    .zip(&space.max_shape)
                    .map(|(&chunk, max)| max.map(|max| max.div_ceil(chunk)))
                    .collect();
                grid.chunk.clone_from(chunk);
            }
        }
        Ok(Dataset {
            fill: fill_value(source, header, datatype.size_bytes)?,
            file: file.clone(),
            path: path.to_owned(),
            space,
            datatype,
            layout,
            grid,
            filters,
            cache: ChunkCache::new(CACHE_BYTES),
        })
    }

    /// Its path in the file.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The file that it is in.
    pub fn file_path(&self) -> &std::path::Path {
        self.file.path()
    }

    /// Elements along each axis; no axis for a single value.
    pub fn shape(&self) -> &[u64] {
        &self.space.shape
    }

    /// Elements in all.
    pub fn n_elements(&self) -> u64 {
        self.space.n_elements()
    }

    /// What an element is.
    pub fn element_type(&self) -> ElementType {
        self.datatype.element
    }

    /// Bytes of a stored element.
    pub fn element_bytes(&self) -> usize {
        self.datatype.size_bytes
    }

    /// All elements of a small dataset.
    ///
    /// # Errors
    /// When it has more than `max_elements`, or cannot be read.
    pub fn value(&self, max_elements: u64) -> Result<Value, IoError> {
        if self.space.is_null {
            return Ok(Value::Empty);
        }
        let n_elements = self.n_elements();
        let n_bytes = n_elements.saturating_mul(self.datatype.size_bytes as u64);
        let source = self.file.source();
        // What was never written takes no room in the file, and no end of it in memory.
        let max_bytes = source.size_bytes.saturating_mul(4).saturating_add(64 << 20);
        if n_elements > max_elements || n_bytes > max_bytes {
            return Err(source.unsupported(
                format!(
                    "`{}` has {n_elements} elements, more than {max_elements} or than the file could hold",
                    self.path
                ),
                "the file may be damaged",
            ));
        }
        let mut stored = vec![0; n_bytes as usize];
        let start = vec![0; self.space.shape.len()];
        self.read(&start, &self.space.shape, &mut stored)?;
        decode(
            self.file.source(),
            self.file.heaps(),
            self.datatype,
            &stored,
        )
    }

    /// Fills `out` with the box of `count` elements along each axis from `start` on, as stored, the last axis fastest.
    ///
    /// # Errors
    /// When the box reaches beyond the dataset, `out` is of another size, or the file is damaged.
    pub fn read(&self, start: &[u64], count: &[u64], out: &mut [u8]) -> Result<(), IoError> {
        let source = self.file.source();
        let shape = &self.space.shape;
        let size = self.datatype.size_bytes as u64;
        let is_inside = start.len() == shape.len()
            && count.len() == shape.len()
            && (0..shape.len()).all(|axis| {
                let end = start[axis].checked_add(count[axis]);
                end.is_some_and(|end| end <= shape[axis])
            });
        // A box inside of the dataset has a number of bytes that can be counted.
        let fits = is_inside && count.iter().product::<u64>() * size == out.len() as u64;
        if self.space.is_null || !fits {
            return Err(source.malformed(
                0,
                format!(
                    "{count:?} elements from {start:?} on do not lie in `{}` of shape {shape:?}",
                    self.path
                ),
            ));
        }
        let zeros = vec![0; shape.len()];
        let inside = Corner { shape, start };
        let outside = Corner {
            shape: count,
            start: &zeros,
        };
        match &self.layout {
            Layout::Compact(bytes) => for_each_run(inside, outside, count, |from, to, run| {
                part(out, to, run, size)
                    .copy_from_slice(&bytes[(from * size) as usize..][..(run * size) as usize]);
                Ok(())
            }),
            Layout::Contiguous(None) => {
                fill_all(out, &self.fill);
                Ok(())
            }
            Layout::Contiguous(Some(address)) => {
                for_each_run(inside, outside, count, |from, to, run| {
                    source.read_into(address + from * size, part(out, to, run, size))
                })
            }
            Layout::Chunked { .. } => self.read_chunks(start, count, out),
        }
    }

    /// The box, chunk by chunk.
    fn read_chunks(&self, start: &[u64], count: &[u64], out: &mut [u8]) -> Result<(), IoError> {
        if count.contains(&0) {
            return Ok(());
        }
        let chunk = &self.grid.chunk;
        let rank = chunk.len();
        let first: Vec<u64> = (0..rank).map(|axis| start[axis] / chunk[axis]).collect();
        let last: Vec<u64> = (0..rank)
            .map(|axis| (start[axis] + count[axis] - 1) / chunk[axis])
            .collect();
        let mut cell = first.clone();
        loop {
            // The part of the box that lies in this chunk: where it begins in the chunk and in the box.
            let mut in_chunk = vec![0; rank];
            let mut in_box = vec![0; rank];
            let mut here = vec![0; rank];
            for axis in 0..rank {
                let origin = cell[axis] * chunk[axis];
                let from = start[axis].max(origin);
                let end = (start[axis] + count[axis]).min(origin.saturating_add(chunk[axis]));
                in_chunk[axis] = from - origin;
                in_box[axis] = from - start[axis];
                here[axis] = end - from;
            }
            let inside = Corner {
                shape: chunk,
                start: &in_chunk,
            };
            let outside = Corner {
                shape: count,
                start: &in_box,
            };
            self.read_chunk(&cell, inside, outside, &here, out)?;
            let mut axis = rank;
            loop {
                if axis == 0 {
                    return Ok(());
                }
                axis -= 1;
                if cell[axis] < last[axis] {
                    cell[axis] += 1;
                    break;
                }
                cell[axis] = first[axis];
            }
        }
    }

    /// The part of one chunk.
    fn read_chunk(
        &self,
        cell: &[u64],
        inside: Corner,
        outside: Corner,
        here: &[u64],
        out: &mut [u8],
    ) -> Result<(), IoError> {
        let size = self.datatype.size_bytes as u64;
        let copy = |chunk: &[u8], out: &mut [u8]| {
            for_each_run(inside, outside, here, |from, to, run| {
                let from = &chunk[(from * size) as usize..][..(run * size) as usize];
                part(out, to, run, size).copy_from_slice(from);
                Ok(())
            })
        };
        if let Some(chunk) = self.cache.get(cell) {
            return copy(&chunk, out);
        }
        let Layout::Chunked {
            index,
            edges_are_plain,
            ..
        } = &self.layout
        else {
            return Ok(());
        };
        let source = self.file.source();
        let Some(place) = index.find(source, &self.grid, cell)? else {
            return for_each_run(inside, outside, here, |_, to, run| {
                fill_all(part(out, to, run, size), &self.fill);
                Ok(())
            });
        };
        let is_edge = (0..cell.len()).any(|axis| {
            let end = (cell[axis] + 1).saturating_mul(self.grid.chunk[axis]);
            end > self.space.shape[axis]
        });
        let filters = if *edges_are_plain && is_edge {
            &[]
        } else {
            &self.filters[..]
        };
        let all_off = (0..filters.len()).all(|filter| place.mask >> filter & 1 == 1);
        if all_off {
            source.check_range(place.address, self.grid.chunk_bytes)?;
            let run = run_elements(inside.shape, outside.shape, here);
            if run * size >= LONG_RUN_BYTES {
                return for_each_run(inside, outside, here, |from, to, run| {
                    source.read_into(place.address + from * size, part(out, to, run, size))
                });
            }
        }
        let chunk = Arc::new(self.unpack(cell, filters, place)?);
        copy(&chunk, out)?;
        self.cache.put(cell, &chunk);
        Ok(())
    }

    /// The elements of a stored chunk.
    fn unpack(
        &self,
        cell: &[u64],
        filters: &[Filter],
        place: ChunkPlace,
    ) -> Result<Vec<u8>, IoError> {
        let source = self.file.source();
        let chunk_bytes = self.grid.chunk_bytes;
        let damaged = |what: &str| {
            source.malformed(
                place.address,
                format!("the chunk {cell:?} of `{}` is damaged: {what}", self.path),
            )
        };
        let stored_bytes = match place.stored_bytes {
            Some(stored_bytes) if !filters.is_empty() => stored_bytes,
            _ => chunk_bytes,
        };
        source.check_range(place.address, stored_bytes)?;
        if chunk_bytes > max_plain_bytes(filters, stored_bytes) {
            return Err(damaged(&format!(
                "{stored_bytes} bytes cannot become {chunk_bytes}"
            )));
        }
        let stored = source.read(place.address, stored_bytes)?;
        let plain_bytes = usize::try_from(chunk_bytes).map_err(|_| damaged("it is too large"))?;
        undo(filters, place.mask, stored, plain_bytes).map_err(|what| damaged(&what))
    }
}

/// Elements of the shortest run of a box in two arrays.
fn run_elements(a: &[u64], b: &[u64], count: &[u64]) -> u64 {
    let mut run = 1;
    for axis in (0..count.len()).rev() {
        run *= count[axis];
        if count[axis] != a[axis] || count[axis] != b[axis] {
            break;
        }
    }
    run
}

/// The bytes of a run of elements.
fn part(out: &mut [u8], first: u64, run: u64, size: u64) -> &mut [u8] {
    &mut out[(first * size) as usize..][..(run * size) as usize]
}
