//! HDF5, read without the C library: what NWB, MEArec and microscopes write.
//!
//! A file is a tree of groups with datasets and attributes. [`Hdf5File::open`] reads the superblock, objects are found by path,
//! and a [`Dataset`] delivers any box of its elements as they are stored. Reads are positioned, lengths are checked against
//! the file's size before anything is allocated, and nothing outside of the file is opened: links to other files are refused.
//!
//! Written from the "HDF5 File Format Specification" (versions 1.1 to 4.0, The HDF Group); why not one of the crates:
//! `docs/internals/decisions/012-hdf5.md`. Read: superblocks 0 to 3; object headers 1 and 2; old and new groups; all layouts but
//! virtual datasets and external files; all indexes of chunks; deflate, shuffle, Fletcher's checksum, LZF and zstd; numbers
//! of 8 to 64 bits, texts and references to objects.

mod attribute;
mod btree2;
pub(crate) mod checksum;
mod chunk_arrays;
mod chunk_index;
mod dataset;
mod datatype;
mod fill;
mod filters;
mod fractal_heap;
mod group;
mod header;
mod heap;
mod layout;
mod runs;
mod source;
mod superblock;
mod value;

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

pub use dataset::Dataset;
pub use datatype::{ElementType, NumberKind, NumberType};
pub use value::Value;

use crate::error::IoError;
use group::{Link, Links};
use header::{Header, kind};
use heap::GlobalHeaps;
use source::Source;

/// The first bytes of a file, unless a user block precedes them.
pub const SIGNATURE: [u8; 8] = *b"\x89HDF\r\n\x1a\n";

/// Links that are followed one after the other at most.
const MAX_LINKS: usize = 32;

/// An open HDF5 file; clones share it.
#[derive(Clone, Debug)]
pub struct Hdf5File {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    source: Source,
    root: u64,
    heaps: GlobalHeaps,
}

impl Hdf5File {
    /// Opens the file at `path`; reads its superblock only.
    ///
    /// # Errors
    /// When there is none, it is truncated, or of a version that is not known.
    pub fn open(path: &Path) -> Result<Hdf5File, IoError> {
        let (source, root) = superblock::open(path)?;
        Ok(Hdf5File {
            inner: Arc::new(Inner {
                source,
                root,
                heaps: GlobalHeaps::default(),
            }),
        })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.inner.source.path
    }

    pub(crate) fn source(&self) -> &Source {
        &self.inner.source
    }

    pub(crate) fn heaps(&self) -> &GlobalHeaps {
        &self.inner.heaps
    }

    /// The root group.
    ///
    /// # Errors
    /// When its header is damaged.
    pub fn root(&self) -> Result<Object, IoError> {
        self.object_at(self.inner.root, "/")
    }

    /// The object that a reference of [`Value::References`] leads to; `path` is its name in messages.
    ///
    /// # Errors
    /// When there is none.
    pub fn object_at(&self, address: u64, path: &str) -> Result<Object, IoError> {
        Ok(Object {
            header: Header::read(self.source(), address)?,
            file: self.clone(),
            path: path.to_owned(),
        })
    }

    /// The object at a path of names with `/` between; `None` when there is none.
    ///
    /// # Errors
    /// When what leads to it is damaged, or a link to another file does.
    pub fn find(&self, path: &str) -> Result<Option<Object>, IoError> {
        self.follow(self.root()?, path, &mut 0)
    }

    /// The object at a path, which must be there.
    ///
    /// # Errors
    /// When it is not, or as [`Hdf5File::find`].
    pub fn object(&self, path: &str) -> Result<Object, IoError> {
        self.find(path)?
            .ok_or_else(|| IoError::missing_key(self.path(), path))
    }

    /// The dataset at a path, which must be there.
    ///
    /// # Errors
    /// When it is not, or is of a kind that is not read.
    pub fn dataset(&self, path: &str) -> Result<Dataset, IoError> {
        self.object(path)?.dataset()
    }

    /// Walks a path from an object; `n_links` counts the links that were followed.
    fn follow(
        &self,
        start: Object,
        path: &str,
        n_links: &mut usize,
    ) -> Result<Option<Object>, IoError> {
        let mut at = if path.starts_with('/') {
            self.root()?
        } else {
            start
        };
        for name in path
            .split('/')
            .filter(|name| !name.is_empty() && *name != ".")
        {
            let next = match at.links()?.remove(name) {
                None => return Ok(None),
                Some(link) => self.target(at, name, link, n_links)?,
            };
            match next {
                Some(next) => at = next,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// What a link leads to.
    fn target(
        &self,
        group: Object,
        name: &str,
        link: Link,
        n_links: &mut usize,
    ) -> Result<Option<Object>, IoError> {
        let path = format!("{}/{name}", group.path.trim_end_matches('/'));
        match link {
            Link::Hard(address) => self.object_at(address, &path).map(Some),
            Link::Soft(target) => {
                *n_links += 1;
                if *n_links > MAX_LINKS {
                    return Err(self.source().malformed(
                        group.header.address,
                        format!("the link `{path}` leads in a circle"),
                    ));
                }
                self.follow(group, &target, n_links)
            }
            Link::Outside(file) => Err(self.source().unsupported(
                format!("`{path}` is a link to another file (`{file}`), which is not opened"),
                "give that file itself, or write this one again with what the link leads to",
            )),
        }
    }
}

/// A group, a dataset or a named type.
#[derive(Debug)]
pub struct Object {
    file: Hdf5File,
    path: String,
    header: Header,
}

impl Object {
    /// Its path, as it was found.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The file that it is in.
    pub fn file_path(&self) -> &Path {
        self.file.path()
    }

    /// The last part of its path.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Where its header is, by which [`Value::References`] refers to it.
    pub fn address(&self) -> u64 {
        self.header.address
    }

    /// Whether it is a group.
    pub fn is_group(&self) -> bool {
        group::is_group(&self.header)
    }

    /// Whether it is a dataset.
    pub fn is_dataset(&self) -> bool {
        self.header.find(kind::LAYOUT).is_some()
    }

    fn links(&self) -> Result<Links, IoError> {
        group::links(self.file.source(), &self.header)
    }

    /// Names of a group's members, sorted; none of what is no group.
    ///
    /// # Errors
    /// When the group is damaged.
    pub fn member_names(&self) -> Result<Vec<String>, IoError> {
        Ok(self.links()?.into_keys().collect())
    }

    /// A member, or one of its members by a path; `None` when there is none.
    ///
    /// # Errors
    /// As [`Hdf5File::find`].
    pub fn member(&self, path: &str) -> Result<Option<Object>, IoError> {
        let start = self.file.object_at(self.header.address, &self.path)?;
        self.file.follow(start, path, &mut 0)
    }

    /// All members that are in this file, links to others and links that lead nowhere left out.
    ///
    /// # Errors
    /// When the group is damaged.
    pub fn members(&self) -> Result<Vec<Object>, IoError> {
        let mut members = Vec::new();
        for (name, link) in self.links()? {
            if matches!(link, Link::Outside(_)) {
                continue;
            }
            let group = self.file.object_at(self.header.address, &self.path)?;
            members.extend(self.file.target(group, &name, link, &mut 0)?);
        }
        Ok(members)
    }

    /// All groups and datasets in and below this group, each once.
    ///
    /// # Errors
    /// When a group is damaged.
    pub fn descendants(&self) -> Result<Vec<Object>, IoError> {
        let source = self.file.source();
        let mut seen = HashSet::from([self.header.address]);
        // Headers of a damaged file can overlap; honest ones take a part of it.
        let mut bytes_left = source.size_bytes.saturating_mul(2);
        let mut found: Vec<Object> = Vec::new();
        let mut groups = vec![self.file.object_at(self.header.address, &self.path)?];
        while let Some(group) = groups.pop() {
            for (name, link) in group.links()? {
                if let Link::Hard(address) = link
                    && seen.insert(address)
                {
                    let path = format!("{}/{name}", group.path.trim_end_matches('/'));
                    let object = self.file.object_at(address, &path)?;
                    bytes_left =
                        bytes_left
                            .checked_sub(object.header.n_bytes)
                            .ok_or_else(|| {
                                source.malformed(
                                    address,
                                    "the headers of objects are longer than the file",
                                )
                            })?;
                    if object.is_group() {
                        groups.push(self.file.object_at(address, &path)?);
                    }
                    found.push(object);
                }
            }
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    /// All attributes by name.
    ///
    /// # Errors
    /// When they are damaged.
    pub fn attributes(&self) -> Result<BTreeMap<String, Value>, IoError> {
        attribute::read_all(self.file.source(), self.file.heaps(), &self.header)
    }

    /// One attribute; `None` when there is none.
    ///
    /// # Errors
    /// When attributes are damaged.
    pub fn attribute(&self, name: &str) -> Result<Option<Value>, IoError> {
        Ok(self.attributes()?.remove(name))
    }

    /// The dataset that it is.
    ///
    /// # Errors
    /// When it is none, or of a kind that is not read.
    pub fn dataset(&self) -> Result<Dataset, IoError> {
        Dataset::open(&self.file, &self.path, &self.header)
    }
}
