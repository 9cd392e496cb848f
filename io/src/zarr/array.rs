//! Any region of an array, read chunk by chunk.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::codecs::Step;
use super::data_type::DataType;
use super::metadata::ArrayMetadata;
use super::store::Node;
use crate::chunks::ChunkCache;
use crate::error::IoError;
use crate::recording::frames::read_exact_at;

/// Bytes of unpacked chunks that are kept: at least these, more when neighbouring reads share more, and no more than the second.
const LEAST_CACHE_BYTES: usize = 64 << 20;
const MOST_CACHE_BYTES: usize = 256 << 20;
/// Entries of the indices of shards that are kept: 24 bytes each.
const MOST_INDEX_ENTRIES: usize = 1 << 20;
/// Bytes of a chunk of texts at most.
const MOST_TEXT_BYTES: usize = 1 << 26;

/// Where each chunk of a shard lies.
type Places = Arc<Vec<Option<(u64, u64)>>>;

/// An array that is open. Threads may read at the same time.
#[derive(Debug)]
pub(crate) struct ZarrArray {
    metadata: ArrayMetadata,
    /// Elements from one to the next along each axis, in an unpacked chunk.
    chunk_strides: Vec<usize>,
    element_bytes: usize,
    cache: ChunkCache,
    shards: Mutex<HashMap<Vec<u64>, Places>>,
}

impl ZarrArray {
    /// Opens the array `node`.
    ///
    /// # Errors
    /// As [`ArrayMetadata::of`].
    pub fn of(node: Node) -> Result<ZarrArray, IoError> {
        let metadata = ArrayMetadata::of(node)?;
        let mut chunk_strides = vec![1; metadata.shape.len()];
        let mut stride = 1;
        for &axis in metadata.chain.axes.iter().rev() {
            chunk_strides[axis] = stride;
            stride *= metadata.chunk_shape[axis] as usize;
        }
        let across = metadata.shape.iter().zip(&metadata.chunk_shape).skip(1);
        let row_bytes = across.fold(metadata.chunk_bytes(), |bytes, (n, chunk)| {
            bytes.saturating_mul(n.div_ceil(*chunk) as usize)
        });
        let budget = row_bytes
            .saturating_mul(2)
            .clamp(LEAST_CACHE_BYTES, MOST_CACHE_BYTES);
        Ok(ZarrArray {
            chunk_strides,
            element_bytes: metadata.data_type.size_bytes().unwrap_or(0),
            cache: ChunkCache::new(budget),
            shards: Mutex::default(),
            metadata,
        })
    }

    /// What is known about it.
    pub fn metadata(&self) -> &ArrayMetadata {
        &self.metadata
    }

    /// The file that describes it, for messages.
    pub fn path(&self) -> &Path {
        &self.metadata.json_path
    }

    /// Elements along each axis.
    pub fn shape(&self) -> &[u64] {
        &self.metadata.shape
    }

    /// Fills `out` with `count` elements along each axis from `start` on: row-major, native-endian, of the array's type, which must
    /// be one of a fixed length.
    ///
    /// # Errors
    /// When the region is not in the array or `out` has another size, or a chunk cannot be read or unpacked.
    pub fn read_region(&self, start: &[u64], count: &[u64], out: &mut [u8]) -> Result<(), IoError> {
        let n_axes = self.shape().len();
        let is_inside = start.len() == n_axes
            && count.len() == n_axes
            && (0..n_axes).all(|axis| {
                start[axis]
                    .checked_add(count[axis])
                    .is_some_and(|end| end <= self.shape()[axis])
            });
        let n_elements = count
            .iter()
            .try_fold(1u64, |n, &count| n.checked_mul(count));
        let n_bytes = n_elements.and_then(|n| n.checked_mul(self.element_bytes as u64));
        if !is_inside || n_bytes != Some(out.len() as u64) {
            return Err(IoError::malformed(
                self.path(),
                "shape",
                format!(
                    "{count:?} elements from {start:?} on are not in an array of {:?}",
                    self.shape()
                ),
            ));
        }
        if out.is_empty() {
            return Ok(());
        }
        let mut out_strides = vec![1; n_axes];
        for axis in (1..n_axes).rev() {
            out_strides[axis - 1] = out_strides[axis] * count[axis] as usize;
        }
        let chunk_shape = &self.metadata.chunk_shape;
        let first: Vec<u64> = (0..n_axes)
            .map(|axis| start[axis] / chunk_shape[axis])
            .collect();
        let last: Vec<u64> = (0..n_axes)
            .map(|axis| (start[axis] + count[axis] - 1) / chunk_shape[axis])
            .collect();
        let mut index = first.clone();
        loop {
            let mut block = Block {
                count: vec![0; n_axes],
                chunk_place: 0,
                out_place: 0,
            };
            for axis in 0..n_axes {
                let chunk_start = index[axis] * chunk_shape[axis];
                let from = start[axis].max(chunk_start);
                let to = (start[axis] + count[axis]).min(chunk_start + chunk_shape[axis]);
                block.count[axis] = (to - from) as usize;
                block.chunk_place += (from - chunk_start) as usize * self.chunk_strides[axis];
                block.out_place += (from - start[axis]) as usize * out_strides[axis];
            }
            let chunk = self.chunk(&index)?;
            self.copy(
                &block,
                chunk.as_ref().map(|chunk| &chunk[..]),
                &out_strides,
                out,
            );
            if !step(&mut index, &first, &last) {
                return Ok(());
            }
        }
    }

    /// Copies a block of a chunk, or fill values, to its place in `out`.
    fn copy(&self, block: &Block, chunk: Option<&[u8]>, out_strides: &[usize], out: &mut [u8]) {
        // Axes at the end over which both run on without a gap are one run.
        let (mut n_run, mut n_outer) = (1, block.count.len());
        while n_outer > 0
            && self.chunk_strides[n_outer - 1] == n_run
            && out_strides[n_outer - 1] == n_run
        {
            n_outer -= 1;
            n_run *= block.count[n_outer];
        }
        // An axis along which the chunk has a gap: single elements.
        let run_bytes = n_run * self.element_bytes;
        let counts: Vec<u64> = block.count[..n_outer].iter().map(|&n| n as u64).collect();
        let zeros = vec![0; n_outer];
        let ends: Vec<u64> = counts.iter().map(|n| n - 1).collect();
        let mut position = zeros.clone();
        loop {
            let place = |strides: &[usize]| -> usize {
                position
                    .iter()
                    .zip(strides)
                    .map(|(&at, stride)| at as usize * stride)
                    .sum()
            };
            let out_place = (block.out_place + place(out_strides)) * self.element_bytes;
            let target = &mut out[out_place..][..run_bytes];
            match chunk {
                Some(chunk) => {
                    let chunk_place =
                        (block.chunk_place + place(&self.chunk_strides)) * self.element_bytes;
                    target.copy_from_slice(&chunk[chunk_place..][..run_bytes]);
                }
                None => {
                    for element in target.chunks_exact_mut(self.element_bytes) {
                        element.copy_from_slice(&self.metadata.fill);
                    }
                }
            }
            if !step(&mut position, &zeros, &ends) {
                return;
            }
        }
    }

    /// An unpacked chunk; `None` when it is absent.
    fn chunk(&self, index: &[u64]) -> Result<Option<Arc<Vec<u8>>>, IoError> {
        if let Some(chunk) = self.cache.get(index) {
            return Ok(Some(chunk));
        }
        let Some((path, packed)) = self.packed(index, self.metadata.chunk_bytes() as u64)? else {
            return Ok(None);
        };
        let metadata = &self.metadata;
        let plain =
            metadata
                .chain
                .unpack(&path, packed, metadata.chunk_bytes(), metadata.data_type)?;
        let chunk = Arc::new(plain);
        self.cache.put(index, &chunk);
        Ok(Some(chunk))
    }

    /// The packed bytes of a chunk and the file that they lie in.
    fn packed(
        &self,
        index: &[u64],
        plain_bytes: u64,
    ) -> Result<Option<(PathBuf, Vec<u8>)>, IoError> {
        let metadata = &self.metadata;
        let per_file: Vec<u64> = metadata
            .file_shape
            .iter()
            .zip(&metadata.chunk_shape)
            .map(|(file, chunk)| file / chunk)
            .collect();
        let file_index: Vec<u64> = index
            .iter()
            .zip(&per_file)
            .map(|(index, n)| index / n)
            .collect();
        let path = metadata.folder.join(metadata.keys.key(&file_index));
        let failed = |source| IoError::read(&path, source);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(failed(error)),
        };
        let file_bytes = file.metadata().map_err(failed)?.len();
        // Packed data are little longer than plain ones, so that what is far longer is damage.
        let most = plain_bytes.saturating_mul(2).saturating_add(1 << 16);
        let check = |length: u64| {
            if length > most {
                let what = format!(
                    "{length} packed bytes are more than a chunk of {plain_bytes} bytes needs"
                );
                return Err(IoError::malformed(&path, "chunk", what));
            }
            Ok(())
        };
        let Some(shard) = &metadata.shard else {
            check(file_bytes)?;
            let mut packed = Vec::with_capacity(file_bytes as usize);
            file.take(most).read_to_end(&mut packed).map_err(failed)?;
            return Ok(Some((path, packed)));
        };
        let known = {
            let shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
            shards.get(&file_index).cloned()
        };
        let places = match known {
            Some(places) => places,
            None => {
                let n_chunks = per_file
                    .iter()
                    .fold(1u64, |n, &chunks| n.saturating_mul(chunks));
                let places = Arc::new(shard.read(&path, &file, n_chunks)?);
                let mut shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
                if shards.len().saturating_mul(places.len()) > MOST_INDEX_ENTRIES {
                    shards.clear();
                }
                shards.insert(file_index, Arc::clone(&places));
                places
            }
        };
        // Chunks of a shard are listed row by row.
        let place = index
            .iter()
            .zip(&per_file)
            .fold(0, |place, (index, n)| place * n + index % n);
        let Some(&Some((offset, length))) = places.get(place as usize) else {
            return Ok(None);
        };
        check(length)?;
        let mut packed = vec![0; length as usize];
        read_exact_at(&file, &mut packed, offset).map_err(failed)?;
        Ok(Some((path, packed)))
    }

    /// All numbers of a small array, row by row; `most` is how many there may be.
    ///
    /// # Errors
    /// When there are more, they are texts, or a chunk cannot be read.
    pub fn read_numbers(&self, most: usize) -> Result<Vec<f64>, IoError> {
        let data_type = self.metadata.data_type;
        let n = self.n_elements(most)?;
        if data_type.bytes_of(0.0).is_none() {
            let expected = "an array of numbers";
            return Err(IoError::bad_value(
                self.path(),
                "type",
                data_type.numpy_name(),
                expected,
            ));
        }
        let mut bytes = vec![0; n * self.element_bytes];
        self.read_region(&vec![0; self.shape().len()], self.shape(), &mut bytes)?;
        let elements = bytes.chunks_exact(self.element_bytes);
        Ok(elements
            .filter_map(|element| data_type.number(element))
            .collect())
    }

    /// All elements of a small list as texts: texts as they are, numbers as one would write them.
    ///
    /// # Errors
    /// When there are more than `most`, or a chunk cannot be read or holds no text.
    pub fn read_texts(&self, most: usize) -> Result<Vec<String>, IoError> {
        let n = self.n_elements(most)?;
        match self.metadata.data_type {
            DataType::Text => self.read_long_texts(n),
            data_type @ (DataType::FixedText(_) | DataType::FixedBytes(_)) => {
                let n_bytes = n.saturating_mul(self.element_bytes);
                if n_bytes > MOST_TEXT_BYTES {
                    let expected = format!("texts of at most {MOST_TEXT_BYTES} bytes together");
                    return Err(IoError::bad_value(
                        self.path(),
                        "shape",
                        format!("{:?}", self.shape()),
                        &expected,
                    ));
                }
                let mut bytes = vec![0; n_bytes];
                self.read_region(&vec![0; self.shape().len()], self.shape(), &mut bytes)?;
                let elements = bytes.chunks_exact(self.element_bytes);
                Ok(elements
                    .map(|element| fixed_text(data_type, element))
                    .collect())
            }
            _ => Ok(self
                .read_numbers(most)?
                .iter()
                .map(f64::to_string)
                .collect()),
        }
    }

    /// Elements of all axes together, if they are not more than `most`.
    fn n_elements(&self, most: usize) -> Result<usize, IoError> {
        let n = self
            .shape()
            .iter()
            .try_fold(1u64, |n, &length| n.checked_mul(length));
        n.and_then(|n| usize::try_from(n).ok())
            .filter(|&n| n <= most)
            .ok_or_else(|| {
                IoError::bad_value(
                    self.path(),
                    "shape",
                    format!("{:?}", self.shape()),
                    &format!("at most {most} elements"),
                )
            })
    }

    /// A list of texts of any length: each chunk holds their number, and each text after its length.
    fn read_long_texts(&self, n: usize) -> Result<Vec<String>, IoError> {
        let metadata = &self.metadata;
        let ([_], Some(Step::Texts)) = (self.shape(), metadata.chain.steps.last()) else {
            let expected = "one list of texts, packed by `vlen-utf8`";
            return Err(IoError::bad_value(
                self.path(),
                "shape",
                format!("{:?}", self.shape()),
                expected,
            ));
        };
        let mut texts = vec![String::new(); n];
        for (index, texts) in texts
            .chunks_mut(metadata.chunk_shape[0] as usize)
            .enumerate()
        {
            let Some((path, packed)) = self.packed(&[index as u64], MOST_TEXT_BYTES as u64)? else {
                continue;
            };
            let most = (packed.len() as u64).saturating_mul(metadata.chain.max_expansion());
            let bytes =
                metadata
                    .chain
                    .run(&path, packed, most.min(MOST_TEXT_BYTES as u64) as usize)?;
            let damaged = || IoError::malformed(&path, "chunk", "it is no list of texts");
            let mut rest = bytes.get(4..).ok_or_else(damaged)?;
            for text in texts {
                let (length, after) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
                let (here, after) = after
                    .split_at_checked(u32::from_le_bytes(*length) as usize)
                    .ok_or_else(damaged)?;
                *text = std::str::from_utf8(here).map_err(|_| damaged())?.to_owned();
                rest = after;
            }
        }
        Ok(texts)
    }

    /// How many files of chunks are absent, and how many there would be.
    ///
    /// # Errors
    /// When the folder cannot be listed, or there are so few files that it is no honest array: not one, or hardly any of many.
    pub fn count_absent(&self) -> Result<(u64, u64), IoError> {
        let metadata = &self.metadata;
        let grid: Vec<u64> = metadata
            .shape
            .iter()
            .zip(&metadata.file_shape)
            .map(|(n, file)| n.div_ceil(*file))
            .collect();
        let n_files = grid.iter().fold(1u64, |n, &files| n.saturating_mul(files));
        let folder = if metadata.keys.has_prefix && metadata.keys.separator == '/' {
            metadata.folder.join("c")
        } else {
            metadata.folder.clone()
        };
        let n_there = if grid.is_empty() {
            u64::from(metadata.folder.join(metadata.keys.key(&[])).is_file())
        } else if metadata.keys.separator == '/' {
            count_nested(&folder, &grid)?
        } else {
            count_flat(&folder, &grid, metadata.keys.has_prefix)?
        };
        let is_hardly_there = n_files > 10_000 && n_there < n_files / 1000;
        if n_files > 0 && n_there == 0 || is_hardly_there {
            let what = format!("only {n_there} of its {n_files} files of chunks are there");
            return Err(IoError::malformed(self.path(), "chunks", what));
        }
        Ok((n_files.saturating_sub(n_there), n_files))
    }
}

/// A block of a chunk: elements along each axis, and the first one's place in the chunk and in the output.
struct Block {
    count: Vec<usize>,
    chunk_place: usize,
    out_place: usize,
}

/// The next position of a grid from `first` to `last`, last axis fastest; `false` after the last one.
fn step(position: &mut [u64], first: &[u64], last: &[u64]) -> bool {
    for axis in (0..position.len()).rev() {
        if position[axis] < last[axis] {
            position[axis] += 1;
            return true;
        }
        position[axis] = first[axis];
    }
    false
}

/// A text that is filled with zeros.
fn fixed_text(data_type: DataType, element: &[u8]) -> String {
    let text: String = match data_type {
        DataType::FixedText(_) => element
            .as_chunks::<4>()
            .0
            .iter()
            .map(|letter| {
                char::from_u32(u32::from_ne_bytes(*letter)).unwrap_or(char::REPLACEMENT_CHARACTER)
            })
            .collect(),
        _ => String::from_utf8_lossy(element).into_owned(),
    };
    text.trim_end_matches('\0').to_owned()
}

/// Entries of a folder: name, and whether it is a folder itself. Links to folders count as none, so that no walk goes in circles.
fn entries(folder: &Path) -> Result<Vec<(String, bool)>, IoError> {
    let failed = |source| IoError::read(folder, source);
    let list = match std::fs::read_dir(folder) {
        Ok(list) => list,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut entries = Vec::new();
    for entry in list {
        let entry = entry.map_err(failed)?;
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if let Ok(name) = entry.file_name().into_string() {
            entries.push((name, is_folder));
        }
    }
    Ok(entries)
}

/// A number of the grid as it is written in a name.
fn number_below(text: &str, end: u64) -> Option<u64> {
    let is_plain =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|&number| is_plain && number < end)
}

/// Files of chunks whose numbers are parts of one name.
fn count_flat(folder: &Path, grid: &[u64], has_prefix: bool) -> Result<u64, IoError> {
    let is_chunk = |name: &str| {
        let name = if has_prefix {
            name.strip_prefix("c.")
        } else {
            Some(name)
        };
        let Some(name) = name else {
            return false;
        };
        let mut parts = name.split('.');
        let fit = grid.iter().all(|&end| {
            parts
                .next()
                .is_some_and(|part| number_below(part, end).is_some())
        });
        fit && parts.next().is_none()
    };
    let names = entries(folder)?;
    Ok(names
        .iter()
        .filter(|(name, is_folder)| !is_folder && is_chunk(name))
        .count() as u64)
}

/// Files of chunks whose numbers are folders in each other.
fn count_nested(folder: &Path, grid: &[u64]) -> Result<u64, IoError> {
    let [end, deeper @ ..] = grid else {
        return Ok(0);
    };
    let mut n_there = 0;
    for (name, is_folder) in entries(folder)? {
        if number_below(&name, *end).is_none() || is_folder == deeper.is_empty() {
            continue;
        }
        n_there += if deeper.is_empty() {
            1
        } else {
            count_nested(&folder.join(name), deeper)?
        };
    }
    Ok(n_there)
}
