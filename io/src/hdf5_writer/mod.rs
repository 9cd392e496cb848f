//! Writes HDF5 files: what NWB needs of the format, without a C library.
//!
//! A file is written from front to back, children before their parents: an object's address is known once it is written, so links and
//! references can only point backwards, and nothing but the address of the root is filled in afterwards. Memory holds one chunk, the
//! index of the chunks of the dataset that is being written, and the strings of one heap.
//!
//! Written are superblock version 2, object headers version 2 with links and attributes in them, contiguous datasets and chunked ones
//! (shuffle and deflate, indexed by a version 1 B-tree), numbers, UTF-8 strings of variable length, compounds and object references. HDF5
//! 1.8 (2008) and later read all of it. Not written: dense storage of groups, datasets that can grow, other filters.
//!
//! Crates that write HDF5 without C exist since 2025, each of one author and with a new interface every few weeks; for this part of the
//! format, which has not changed since 2008, a few hundred lines are the smaller burden. Source: the "HDF5 File Format Specification, version 3.0" of The HDF Group.

mod chunks;
mod datatype;
mod header;
mod strings;

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

pub use chunks::{ChunkedDataset, RowDataset};
pub use datatype::{Datatype, Hdf5Element};

use crate::atomic::OutputFile;
use crate::error::IoError;
use crate::hdf5::checksum::lookup3;
use chunks::WHOLE_BYTES;
use header::ObjectHeader;
use strings::StringHeap;

/// Address of nothing.
const UNDEFINED: u64 = u64::MAX;
/// Bytes of the superblock.
const SUPERBLOCK_BYTES: usize = 48;

/// Where a group or dataset lies; what object references and links hold.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug)]
pub struct ObjectAddress(u64);

/// The value of an attribute.
#[derive(Clone, PartialEq, Debug)]
pub enum AttributeValue {
    /// A text.
    Text(String),
    /// A list of texts.
    Texts(Vec<String>),
    /// A whole number.
    Integer(i64),
    /// A number of 32 bits.
    Float32(f32),
    /// A number of 64 bits.
    Float64(f64),
    /// A reference to a group or dataset.
    Reference(ObjectAddress),
}

/// An attribute of a group or dataset.
#[derive(Clone, PartialEq, Debug)]
pub struct Attribute {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: AttributeValue,
}

impl Attribute {
    /// An attribute of that name and value.
    pub fn new(name: impl Into<String>, value: AttributeValue) -> Attribute {
        Attribute {
            name: name.into(),
            value,
        }
    }

    /// A text.
    pub fn text(name: impl Into<String>, text: impl Into<String>) -> Attribute {
        Attribute::new(name, AttributeValue::Text(text.into()))
    }
}

/// What a name in a group leads to.
#[derive(Clone, Eq, PartialEq, Debug)]
pub enum Link {
    /// An object that is written already.
    Hard(ObjectAddress),
    /// The object at a path from the root.
    Soft(String),
}

/// A file that is being written. It appears under its name when [`Hdf5Writer::finish`] has written the root.
#[derive(Debug)]
pub struct Hdf5Writer {
    file: OutputFile,
    /// Where the next object goes.
    end: u64,
    strings: StringHeap,
}

impl Hdf5Writer {
    /// Starts a file beside its final name.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(path: &Path) -> Result<Hdf5Writer, IoError> {
        let mut writer = Hdf5Writer {
            file: OutputFile::create(path)?,
            end: 0,
            strings: StringHeap::default(),
        };
        writer.append(&[0; SUPERBLOCK_BYTES])?;
        Ok(writer)
    }

    /// The name that the file will have.
    pub fn path(&self) -> &Path {
        self.file.final_path()
    }

    /// Writes a group.
    ///
    /// # Errors
    /// When the file cannot be written, or an attribute takes more than 64 KiB.
    pub fn group(
        &mut self,
        attributes: &[Attribute],
        links: &[(String, Link)],
    ) -> Result<ObjectAddress, IoError> {
        let mut header = ObjectHeader::of_group();
        for (name, link) in links {
            header.link(name, link);
        }
        self.object(header, attributes)
    }

    /// Writes a dataset of numbers, `shape` of them, last axis fastest; no axis is one number. A large one is deflated.
    ///
    /// # Errors
    /// When `shape` and `values` disagree, or the file cannot be written.
    pub fn array<T: Hdf5Element>(
        &mut self,
        shape: &[usize],
        values: &[T],
        attributes: &[Attribute],
    ) -> Result<ObjectAddress, IoError> {
        let mut bytes = Vec::with_capacity(size_of_val(values));
        for &value in values {
            value.push_little_endian(&mut bytes);
        }
        self.bytes(&T::datatype(), shape, &bytes, attributes)
    }

    /// Writes a dataset of texts.
    ///
    /// # Errors
    /// As [`Hdf5Writer::array`].
    pub fn texts(
        &mut self,
        shape: &[usize],
        texts: &[impl AsRef<str>],
        attributes: &[Attribute],
    ) -> Result<ObjectAddress, IoError> {
        let bytes = self.encode_texts(texts)?;
        self.bytes(&Datatype::Text, shape, &bytes, attributes)
    }

    /// Writes a dataset of references.
    ///
    /// # Errors
    /// As [`Hdf5Writer::array`].
    pub fn references(
        &mut self,
        objects: &[ObjectAddress],
        attributes: &[Attribute],
    ) -> Result<ObjectAddress, IoError> {
        let bytes: Vec<u8> = objects.iter().flat_map(|at| at.0.to_le_bytes()).collect();
        self.bytes(&Datatype::Reference, &[objects.len()], &bytes, attributes)
    }

    /// Writes a dataset of elements of any type, given as they lie in the file.
    ///
    /// # Errors
    /// As [`Hdf5Writer::array`].
    pub fn bytes(
        &mut self,
        datatype: &Datatype,
        shape: &[usize],
        bytes: &[u8],
        attributes: &[Attribute],
    ) -> Result<ObjectAddress, IoError> {
        let n_elements = shape.iter().product::<usize>();
        if n_elements * datatype.size_bytes() != bytes.len() {
            let what = format!("shape {shape:?} does not hold {} bytes", bytes.len());
            return Err(self.bad_tables(what));
        }
        if bytes.len() > WHOLE_BYTES && !shape.is_empty() {
            let mut rows = RowDataset::new(datatype.clone(), shape);
            rows.append(self, bytes)?;
            return rows.finish(self, attributes);
        }
        let place = if bytes.is_empty() {
            UNDEFINED
        } else {
            self.append(bytes)?
        };
        let mut header = ObjectHeader::of_dataset(datatype, shape);
        header.contiguous(place, bytes.len() as u64);
        self.object(header, attributes)
    }

    /// Writes the root and gives the file its name.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(
        mut self,
        attributes: &[Attribute],
        links: &[(String, Link)],
    ) -> Result<(), IoError> {
        let root = self.group(attributes, links)?;
        self.flush_strings()?;
        let mut superblock = b"\x89HDF\r\n\x1a\n".to_vec();
        // Version, bytes of an offset, bytes of a length, flags.
        superblock.extend_from_slice(&[2, 8, 8, 0]);
        for address in [0, UNDEFINED, self.end, root.0] {
            superblock.extend_from_slice(&address.to_le_bytes());
        }
        let sum = lookup3(&superblock);
        superblock.extend_from_slice(&sum.to_le_bytes());
        self.overwrite(0, &superblock)?;
        self.file.commit()
    }

    /// Writes the header of an object.
    fn object(
        &mut self,
        mut header: ObjectHeader,
        attributes: &[Attribute],
    ) -> Result<ObjectAddress, IoError> {
        for attribute in attributes {
            let (datatype, shape, bytes) = match &attribute.value {
                AttributeValue::Text(text) => (Datatype::Text, vec![], self.encode_texts(&[text])?),
                AttributeValue::Texts(texts) => {
                    (Datatype::Text, vec![texts.len()], self.encode_texts(texts)?)
                }
                AttributeValue::Integer(value) => {
                    (i64::datatype(), vec![], value.to_le_bytes().to_vec())
                }
                AttributeValue::Float32(value) => {
                    (f32::datatype(), vec![], value.to_le_bytes().to_vec())
                }
                AttributeValue::Float64(value) => {
                    (f64::datatype(), vec![], value.to_le_bytes().to_vec())
                }
                AttributeValue::Reference(at) => {
                    (Datatype::Reference, vec![], at.0.to_le_bytes().to_vec())
                }
            };
            header.attribute(&attribute.name, &datatype, &shape, &bytes);
        }
        let bytes = header.encode().map_err(|what| self.bad_tables(what))?;
        Ok(ObjectAddress(self.append(&bytes)?))
    }

    /// Elements of a text dataset; the texts themselves go into the heap.
    fn encode_texts(&mut self, texts: &[impl AsRef<str>]) -> Result<Vec<u8>, IoError> {
        let mut elements = Vec::with_capacity(16 * texts.len());
        for text in texts {
            let bytes = text.as_ref().as_bytes();
            if !self.strings.has_room(bytes.len()) {
                self.flush_strings()?;
                let place = self.end;
                let size_bytes = self.strings.start(place, bytes.len());
                self.append(&vec![0; size_bytes])?;
            }
            elements.extend_from_slice(&self.strings.add(bytes));
        }
        Ok(elements)
    }

    /// Fills in the heap that room was left for.
    fn flush_strings(&mut self) -> Result<(), IoError> {
        match self.strings.take() {
            Some((place, bytes)) => self.overwrite(place, &bytes),
            None => Ok(()),
        }
    }

    /// Writes at the end, to a multiple of eight bytes; returns where.
    fn append(&mut self, bytes: &[u8]) -> Result<u64, IoError> {
        let place = self.end;
        let padding = bytes.len().next_multiple_of(8) - bytes.len();
        self.file.write_with(|out| {
            out.write_all(bytes)?;
            out.write_all(&[0; 8][..padding])
        })?;
        self.end += (bytes.len() + padding) as u64;
        Ok(place)
    }

    /// Writes over what is there.
    fn overwrite(&mut self, place: u64, bytes: &[u8]) -> Result<(), IoError> {
        let end = self.end;
        self.file.write_with(|out| {
            out.seek(SeekFrom::Start(place))?;
            out.write_all(bytes)?;
            out.seek(SeekFrom::Start(end))?;
            Ok(())
        })
    }

    fn bad_tables(&self, what: String) -> IoError {
        IoError::BadTables {
            path: self.path().to_owned(),
            what,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_finished_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.h5");
        let mut writer = Hdf5Writer::create(&path).unwrap();
        writer.array(&[2], &[1.0f64, 2.0], &[]).unwrap();
        let error = writer.array(&[3], &[1.0f64, 2.0], &[]).unwrap_err();
        assert!(
            error.to_string().contains("[3] does not hold 16 bytes"),
            "{error}"
        );
        let long = Attribute::new("a", AttributeValue::Texts(vec![String::new(); 5000]));
        let error = writer.group(&[long], &[]).unwrap_err();
        assert!(error.to_string().contains("`a` takes 80"), "{error}");
        drop(writer);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_superblock_says_where_the_file_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.h5");
        let writer = Hdf5Writer::create(&path).unwrap();
        writer.finish(&[Attribute::text("a", "b")], &[]).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        assert_eq!(word(28), bytes.len() as u64);
        assert_eq!(&bytes[word(36) as usize..][..4], b"OHDR");
    }
}
