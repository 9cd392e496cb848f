//! What makes a run survive: checkpoints of its stages.

pub mod checkpoint;
