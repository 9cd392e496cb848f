//! Datasets that are written a chunk at a time, shuffled and deflated, and the index of their chunks.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::datatype::Datatype;
use super::header::ObjectHeader;
use super::{Attribute, Hdf5Writer, ObjectAddress, UNDEFINED};
use crate::error::IoError;

/// Datasets up to this size are written in one piece as they are.
pub(super) const WHOLE_BYTES: usize = 1 << 16;
/// Bytes of a chunk that rows are gathered into: what one read of a stretch unpacks.
const CHUNK_BYTES: usize = 1 << 19;
/// Level of deflate. Traces and times hardly shrink further however long one tries.
const LEVEL: u32 = 4;
/// Children of a node of the index: twice the format's default, which this superblock version cannot change.
const NODE_CHILDREN: usize = 64;

/// A chunk that is written.
#[derive(Clone, Debug)]
struct Chunk {
    /// Its place among the chunks, along each axis.
    place: Vec<u64>,
    at: u64,
    size_bytes: u32,
}

/// A dataset in chunks, which may come in any order, each once.
#[derive(Debug)]
pub struct ChunkedDataset {
    datatype: Datatype,
    shape: Vec<usize>,
    chunk: Vec<usize>,
    chunks: Vec<Chunk>,
}

impl ChunkedDataset {
    /// A dataset of that shape in chunks of that shape.
    ///
    /// # Panics
    /// When the shapes differ in axes, or a chunk is empty, longer than the dataset, or 4 GiB or more.
    pub fn new(datatype: Datatype, shape: &[usize], chunk: &[usize]) -> ChunkedDataset {
        assert_eq!(shape.len(), chunk.len(), "axes of {shape:?} and {chunk:?}");
        let fits = |(&of, &all): (&usize, &usize)| of > 0 && of <= all.max(1);
        assert!(chunk.iter().zip(shape).all(fits), "{chunk:?} of {shape:?}");
        let size_bytes = chunk.iter().product::<usize>() * datatype.size_bytes();
        assert!(
            u32::try_from(size_bytes).is_ok(),
            "a chunk of {size_bytes} bytes"
        );
        ChunkedDataset {
            datatype,
            shape: shape.to_vec(),
            chunk: chunk.to_vec(),
            chunks: Vec::new(),
        }
    }

    /// Writes the chunk at `place`, counted in chunks along each axis. It is whole also where it reaches over the dataset's end.
    ///
    /// # Errors
    /// When the file cannot be written.
    ///
    /// # Panics
    /// When `bytes` is not a chunk.
    pub fn write(
        &mut self,
        writer: &mut Hdf5Writer,
        place: &[usize],
        bytes: &[u8],
    ) -> Result<(), IoError> {
        let element_bytes = self.datatype.size_bytes();
        let n_elements = self.chunk.iter().product::<usize>();
        assert_eq!(bytes.len(), n_elements * element_bytes, "a whole chunk");
        let packed = packed(bytes, element_bytes).map_err(|source| {
            // Memory takes every write; the type says otherwise.
            IoError::write(writer.path(), source)
        })?;
        let size_bytes = packed.len() as u32;
        let at = writer.append(&packed)?;
        self.chunks.push(Chunk {
            place: place.iter().map(|&place| place as u64).collect(),
            at,
            size_bytes,
        });
        Ok(())
    }

    /// Writes the index and the dataset's header.
    ///
    /// # Errors
    /// When the file cannot be written, or chunks are missing or came twice.
    pub fn finish(
        mut self,
        writer: &mut Hdf5Writer,
        attributes: &[Attribute],
    ) -> Result<ObjectAddress, IoError> {
        let n_chunks = self.shape.iter().zip(&self.chunk);
        let n_chunks: usize = n_chunks.map(|(&all, &of)| all.div_ceil(of)).product();
        self.chunks.sort_by(|a, b| a.place.cmp(&b.place));
        let twice = self
            .chunks
            .windows(2)
            .any(|two| two[0].place == two[1].place);
        if twice || self.chunks.len() != n_chunks {
            let what = format!("{} chunks of {n_chunks} were given", self.chunks.len());
            return Err(writer.bad_tables(what));
        }
        let index = self.write_index(writer)?;
        let mut header = ObjectHeader::of_dataset(&self.datatype, &self.shape);
        header.chunked(index, &self.chunk, self.datatype.size_bytes(), LEVEL);
        writer.object(header, attributes)
    }

    /// Writes the B-tree, leaves first; returns where its root is.
    fn write_index(&self, writer: &mut Hdf5Writer) -> Result<u64, IoError> {
        let Some(last) = self.chunks.last() else {
            return Ok(UNDEFINED);
        };
        // Size, mask of filters that were left out, and first element along each axis; the axis of the element's bytes is the last.
        let key = |size_bytes: u32, place: &[u64], in_element: u64| {
            let mut key = size_bytes.to_le_bytes().to_vec();
            key.extend_from_slice(&[0; 4]);
            for (&place, &length) in place.iter().zip(&self.chunk) {
                key.extend_from_slice(&(place * length as u64).to_le_bytes());
            }
            key.extend_from_slice(&in_element.to_le_bytes());
            key
        };
        // The key after the last is beyond the last chunk along every axis.
        let beyond: Vec<u64> = last.place.iter().map(|&place| place + 1).collect();
        let end = key(0, &beyond, self.datatype.size_bytes() as u64);
        let mut level: Vec<(Vec<u8>, u64)> = self
            .chunks
            .iter()
            .map(|chunk| (key(chunk.size_bytes, &chunk.place, 0), chunk.at))
            .collect();
        let node_bytes = 24 + NODE_CHILDREN * (end.len() + 8) + end.len();
        for height in 0u8.. {
            let n_nodes = level.len().div_ceil(NODE_CHILDREN);
            let first = writer.end;
            let place = |node: usize| first + (node * node_bytes.next_multiple_of(8)) as u64;
            let mut parents = Vec::with_capacity(n_nodes);
            for (node, children) in level.chunks(NODE_CHILDREN).enumerate() {
                // Type 1: chunks.
                let mut bytes = b"TREE\x01".to_vec();
                bytes.push(height);
                bytes.extend_from_slice(&(children.len() as u16).to_le_bytes());
                let left = node.checked_sub(1).map_or(UNDEFINED, place);
                let right = if node + 1 < n_nodes {
                    place(node + 1)
                } else {
                    UNDEFINED
                };
                bytes.extend_from_slice(&left.to_le_bytes());
                bytes.extend_from_slice(&right.to_le_bytes());
                for (key, at) in children {
                    bytes.extend_from_slice(key);
                    bytes.extend_from_slice(&at.to_le_bytes());
                }
                let next = level.get((node + 1) * NODE_CHILDREN);
                bytes.extend_from_slice(next.map_or(&end, |(key, _)| key));
                bytes.resize(node_bytes, 0);
                parents.push((children[0].0.clone(), writer.append(&bytes)?));
            }
            level = parents;
            if n_nodes == 1 {
                break;
            }
        }
        Ok(level[0].1)
    }
}

/// A dataset that is filled from the front, any number of bytes at a time; chunks are stretches of its first axis.
#[derive(Debug)]
pub struct RowDataset {
    chunked: ChunkedDataset,
    row_bytes: usize,
    /// Bytes of the chunk that is being filled.
    pending: Vec<u8>,
    n_bytes: usize,
}

impl RowDataset {
    /// A dataset of that shape, which has at least one axis.
    pub fn new(datatype: Datatype, shape: &[usize]) -> RowDataset {
        let row_elements = shape[1..].iter().product::<usize>();
        let row_bytes = row_elements * datatype.size_bytes();
        let n_rows = (CHUNK_BYTES / row_bytes.max(1)).clamp(1, shape[0].max(1));
        let mut chunk = vec![n_rows];
        chunk.extend(shape[1..].iter().map(|&length| length.max(1)));
        RowDataset {
            chunked: ChunkedDataset::new(datatype, shape, &chunk),
            row_bytes,
            pending: Vec::new(),
            n_bytes: 0,
        }
    }

    /// Appends elements as they lie in the file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn append(&mut self, writer: &mut Hdf5Writer, mut bytes: &[u8]) -> Result<(), IoError> {
        let chunk_bytes = self.chunked.chunk[0] * self.row_bytes;
        self.n_bytes += bytes.len();
        while !bytes.is_empty() {
            let taken = bytes
                .len()
                .min(chunk_bytes.saturating_sub(self.pending.len()));
            if taken == 0 {
                // A row has no bytes, or more came than fit; `finish` says so.
                return Ok(());
            }
            let (now, later) = bytes.split_at(taken);
            self.pending.extend_from_slice(now);
            bytes = later;
            if self.pending.len() == chunk_bytes {
                self.write_pending(writer)?;
            }
        }
        Ok(())
    }

    /// Appends numbers.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn append_values<T: super::Hdf5Element>(
        &mut self,
        writer: &mut Hdf5Writer,
        values: impl IntoIterator<Item = T>,
    ) -> Result<(), IoError> {
        let mut bytes = Vec::new();
        for value in values {
            value.push_little_endian(&mut bytes);
            if bytes.len() >= WHOLE_BYTES {
                self.append(writer, &bytes)?;
                bytes.clear();
            }
        }
        self.append(writer, &bytes)
    }

    fn write_pending(&mut self, writer: &mut Hdf5Writer) -> Result<(), IoError> {
        let mut place = vec![0; self.chunked.shape.len()];
        place[0] = self.chunked.chunks.len();
        let bytes = std::mem::take(&mut self.pending);
        self.chunked.write(writer, &place, &bytes)?;
        self.pending = bytes;
        self.pending.clear();
        Ok(())
    }

    /// Writes the index and the dataset's header.
    ///
    /// # Errors
    /// When the file cannot be written, or not as many elements came as the shape says.
    pub fn finish(
        mut self,
        writer: &mut Hdf5Writer,
        attributes: &[Attribute],
    ) -> Result<ObjectAddress, IoError> {
        let shape = &self.chunked.shape;
        if self.n_bytes != shape[0] * self.row_bytes {
            let what = format!("shape {shape:?} does not hold {} bytes", self.n_bytes);
            return Err(writer.bad_tables(what));
        }
        if self.n_bytes == 0 {
            // Nothing to pack: no chunk, no filter.
            let shape = shape.clone();
            let datatype = self.chunked.datatype;
            return writer.bytes(&datatype, &shape, &[], attributes);
        }
        if !self.pending.is_empty() {
            self.pending
                .resize(self.chunked.chunk[0] * self.row_bytes, 0);
            self.write_pending(writer)?;
        }
        self.chunked.finish(writer, attributes)
    }
}

/// Shuffles (first bytes of all elements, then the second ones …) and deflates.
fn packed(bytes: &[u8], element_bytes: usize) -> std::io::Result<Vec<u8>> {
    let n = bytes.len() / element_bytes;
    let mut shuffled = vec![0; bytes.len()];
    for (element, from) in bytes.chunks_exact(element_bytes).enumerate() {
        for (byte, &value) in from.iter().enumerate() {
            shuffled[byte * n + element] = value;
        }
    }
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(LEVEL));
    encoder.write_all(&shuffled)?;
    encoder.finish()
}
