//! Twin of `wgsl/common/transform_rows.wgsl`: Fourier transform of every row of complex images.
//!
//! `rustfft` does the work. It fuses multiplications and additions where the processor can, so the last bits depend on the
//! processor; what is made of a transform is a start value, never a decision.

use num_complex::Complex;

use super::transform::plan;
use crate::{
    cpu::{Buffer, params},
    layout::TransformRowsParams,
};

/// Transforms the rows of `images` `[image, row, column, 2]` in place; the inverse is not divided by `columns`.
pub fn transform_rows(p: &TransformRowsParams, images: &mut [f32]) {
    let (rows, columns) = (p.rows as usize, p.columns as usize);
    let values: &mut [Complex<f32>] =
        bytemuck::cast_slice_mut(&mut images[..2 * p.n_images as usize * rows * columns]);
    // One call transforms all lines that lie one after the other.
    plan(columns, p.inverse != 0).process(values);
}

/// Binding order: images.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [images] = buffers else {
        panic!("transform_rows takes 1 binding")
    };
    transform_rows(&params(bytes), images.f32_mut());
}
