//! Zarr stores on a disk: groups of arrays that lie in chunks, one file a chunk (or a shard of many), version 2 and 3.
//!
//! Read is what recordings and movies need: regular grids of numbers and lists of texts. [`store`] keeps paths inside of the store
//! and finds groups and arrays, [`metadata`] parses their descriptions, [`codecs`] and [`blosc`] unpack chunks, [`array`] reads any
//! region through a bounded cache. Nothing is mapped and no code of C is linked. Sources: the Zarr specifications of version 2 and
//! 3, the specifications of their codecs, numcodecs' documentation.
//!
//! A chunk that is absent is full of the fill value: writers leave out chunks that hold nothing else. A lost file looks the same, so
//! that the readers of recordings and movies count such chunks and say so.

pub(crate) mod array;
pub(crate) mod blosc;
pub(crate) mod codecs;
pub(crate) mod data_type;
pub(crate) mod metadata;
pub(crate) mod sharding;
pub(crate) mod store;

pub(crate) use array::ZarrArray;
pub(crate) use store::{Node, NodeKind, is_store};
