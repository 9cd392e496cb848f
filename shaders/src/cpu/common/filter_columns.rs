//! Twin of `wgsl/common/filter_columns.wgsl`: columns transformed, filtered, transformed back.
//!
//! Between two passes over the rows this is all that a filter in the frequency domain needs, and the spectrum never
//! leaves the cache.

use num_complex::Complex;

use super::transform::plan;
use crate::{
    cpu::{Buffer, params},
    layout::FilterColumnsParams,
};

/// Columns that are gathered together: a cache line of complex numbers.
const COLUMNS: usize = 8;

/// Filters the columns of `images` `[image, row, column, 2]` in place with `filter` `[row, column, 2]`; the inverse
/// transform is not divided by `rows`.
pub fn filter_columns(p: &FilterColumnsParams, filter: &[f32], images: &mut [f32]) {
    let (rows, columns) = (p.rows as usize, p.columns as usize);
    let filter: &[Complex<f32>] = bytemuck::cast_slice(filter);
    let images: &mut [Complex<f32>] = bytemuck::cast_slice_mut(images);
    let (forward, inverse) = (plan(rows, false), plan(rows, true));
    let mut lines = vec![Complex::default(); COLUMNS * rows];
    let scratch = forward
        .get_inplace_scratch_len()
        .max(inverse.get_inplace_scratch_len());
    let mut scratch = vec![Complex::default(); scratch];
    for image in images
        .chunks_exact_mut(rows * columns)
        .take(p.n_images as usize)
    {
        for first in (0..columns).step_by(COLUMNS) {
            let n = COLUMNS.min(columns - first);
            for (row, line) in image.chunks_exact(columns).enumerate() {
                for (c, value) in line[first..first + n].iter().enumerate() {
                    lines[c * rows + row] = *value;
                }
            }
            forward.process_with_scratch(&mut lines[..n * rows], &mut scratch);
            for (row, weights) in filter.chunks_exact(columns).enumerate() {
                for (c, weight) in weights[first..first + n].iter().enumerate() {
                    let value = lines[c * rows + row];
                    lines[c * rows + row] = Complex::new(
                        value.re * weight.re - value.im * weight.im,
                        value.re * weight.im + value.im * weight.re,
                    );
                }
            }
            inverse.process_with_scratch(&mut lines[..n * rows], &mut scratch);
            for (row, line) in image.chunks_exact_mut(columns).enumerate() {
                for (c, value) in line[first..first + n].iter_mut().enumerate() {
                    *value = lines[c * rows + row];
                }
            }
        }
    }
}

/// Binding order: filter, images.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [filter, images] = buffers else {
        panic!("filter_columns takes 2 bindings")
    };
    filter_columns(&params(bytes), filter.f32(), images.f32_mut());
}
