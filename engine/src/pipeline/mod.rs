//! What makes a run survive: checkpoints of its stages.

pub mod checked_file;
pub mod checkpoint;
pub(crate) mod path_bytes;
