//! Twin of `wgsl/imaging/find_seeds.wgsl`: the pixels where more end than anywhere around.

use crate::{
    cpu::{Buffer, params},
    layout::FindSeedsParams,
};

/// `seeds[p]` is the count of a pixel that is the largest of its square (equals count as largest) and above `min_count`, else 0; both
/// `[y, x]`.
pub fn find_seeds(p: &FindSeedsParams, histogram: &[u32], seeds: &mut [u32]) {
    let (height, width, radius) = (p.height as usize, p.width as usize, p.radius as usize);
    for y in 0..height {
        for x in 0..width {
            let count = histogram[y * width + x];
            let mut is_seed = count > p.min_count;
            if is_seed {
                for row in y.saturating_sub(radius)..(y + radius + 1).min(height) {
                    for column in x.saturating_sub(radius)..(x + radius + 1).min(width) {
                        is_seed &= histogram[row * width + column] <= count;
                    }
                }
            }
            seeds[y * width + x] = if is_seed { count } else { 0 };
        }
    }
}

/// Binding order: histogram, seeds.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [histogram, seeds] = buffers else {
        panic!("find_seeds takes 2 bindings")
    };
    find_seeds(&params(bytes), histogram.u32(), seeds.u32_mut());
}
