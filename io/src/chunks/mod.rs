//! What HDF5 and Zarr share: both cut arrays into chunks that are packed one by one.

mod cache;
mod shuffle;

pub(crate) use cache::ChunkCache;
pub(crate) use shuffle::unshuffle;
