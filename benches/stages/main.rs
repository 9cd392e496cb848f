//! Whole stages as a library calls them. Elements are operations, so that elements a second are FLOP/s.

mod network;

use criterion::{criterion_group, criterion_main};

criterion_group!(benches, network::network);
criterion_main!(benches);
