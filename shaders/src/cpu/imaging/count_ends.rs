//! Twin of `wgsl/imaging/count_ends.wgsl`: how many pixels end at every pixel.

use crate::{
    cpu::{Buffer, params},
    layout::CountEndsParams,
};

/// Adds one to `histogram[end]` for each of `ends`.
pub fn count_ends(p: &CountEndsParams, ends: &[u32], histogram: &mut [u32]) {
    for &end in &ends[..p.n_points as usize] {
        if end < p.n_pixels {
            histogram[end as usize] += 1;
        }
    }
}

/// Binding order: ends, histogram.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [ends, histogram] = buffers else {
        panic!("count_ends takes 2 bindings")
    };
    count_ends(&params(bytes), ends.u32(), histogram.u32_mut());
}
