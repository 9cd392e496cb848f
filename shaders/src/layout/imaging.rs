//! The uniforms of the imaging kernels. Where sorting has blocks, imaging has frames: `workgroup_id.z` is the frame.

use bytemuck::{Pod, Zeroable};

use crate::{Kernel, KernelParams, cpu};

/// Pixels along x that share the whole part of a shift (see `cpu::imaging::field`).
pub const SHIFT_TILE: u32 = 16;

/// Columns of knots that a shift field may have at most.
pub const MAX_KNOT_COLUMNS: u32 = 4;

/// Sums of a row that do not depend on the knots: weight, reference and square.
pub const ROW_SCALARS: u32 = 3;

kernel! {
    /// Raw frames of any pixel type to `f32`, odd rows moved by the bidirectional offset: `[frame, y, x]`.
    imaging / decode_frames => DecodeFramesParams {
        /// Frames that travel together.
        n_frames: u32,
        /// Rows.
        height: u32,
        /// Columns.
        width: u32,
        /// 0 `i16`, 1 `u16`, 2 `i32`, 3 `f32`, 4 `u8`, 5 `i8`, 6 `u32`.
        pixel_type: u32,
        /// Pixels by which odd rows lie too far to the right.
        row_offset: f32,
    }
    workgroups(self) { [(self.height * self.width).div_ceil(256).min(65535), 1, self.n_frames] }
}

kernel! {
    /// Frames binned, clipped, tapered and packed in pairs as complex numbers: `[pair, row, column, 2]`.
    imaging / shrink_frames => ShrinkFramesParams {
        /// Frames that travel together.
        n_frames: u32,
        /// Rows.
        height: u32,
        /// Columns.
        width: u32,
        /// Pixels of a bin along each axis.
        shrink: u32,
        /// Rows of the complex image, a power of two.
        rows: u32,
        /// Columns of the complex image, a power of two.
        columns: u32,
        /// Smallest value that is let through.
        low: f32,
        /// Largest value that is let through.
        high: f32,
        /// Value that is taken for zero.
        zero: f32,
    }
    workgroups(self) {
        [(self.rows * self.columns).div_ceil(256).min(65535), 1, self.n_frames.div_ceil(2)]
    }
}

kernel! {
    /// Fourier transform of every row of complex images, in place.
    common / transform_rows => TransformRowsParams {
        /// Images that travel together.
        n_images: u32,
        /// Rows.
        rows: u32,
        /// Columns: a power of two up to 1024.
        columns: u32,
        /// 0 forward, 1 inverse (without the division by the number of columns).
        inverse: u32,
    }
    workgroups(self) {
        assert!(self.columns.is_power_of_two() && self.columns <= MAX_TRANSFORM, "transforms of 1 to 1024 values");
        [self.rows.min(65535), 1, self.n_images]
    }
}

kernel! {
    /// Fourier transform of every column of complex images, a filter, and the transform back, in place.
    common / filter_columns => FilterColumnsParams {
        /// Images that travel together.
        n_images: u32,
        /// Rows: a power of two up to 1024.
        rows: u32,
        /// Columns.
        columns: u32,
    }
    workgroups(self) {
        assert!(self.rows.is_power_of_two() && self.rows <= MAX_TRANSFORM, "transforms of 1 to 1024 values");
        [self.columns.min(65535), 1, self.n_images]
    }
}

/// Longest transform: two copies of a line fit into the workgroup memory that every device has.
pub const MAX_TRANSFORM: u32 = 1024;

kernel! {
    /// Largest correlation within a window of shifts, to a fraction of a pixel: `[frame, 3]` (y, x, value).
    imaging / find_shifts => FindShiftsParams {
        /// Frames that travel together.
        n_frames: u32,
        /// Rows of the correlation.
        rows: u32,
        /// Columns of the correlation.
        columns: u32,
        /// Largest shift along y, bins.
        max_y: u32,
        /// Largest shift along x, bins.
        max_x: u32,
        /// Pixels of a bin.
        shrink: u32,
    }
    workgroups(self) { [1, 1, self.n_frames] }
}

kernel! {
    /// Weighted sums of every row of the moved frame, from which a Gauss-Newton step is made.
    imaging / sum_gradients => SumGradientsParams {
        /// Frames that travel together.
        n_frames: u32,
        /// Rows.
        height: u32,
        /// Columns.
        width: u32,
        /// Rows of knots.
        knot_rows: u32,
        /// Columns of knots.
        knot_columns: u32,
        /// Value that is taken for zero.
        zero: f32,
    }
    workgroups(self) { [self.height.min(65535), 1, self.n_frames] }
}

kernel! {
    /// One Gauss-Newton step of the knots of every frame, in place, and how well the frame fits.
    imaging / solve_shifts => SolveShiftsParams {
        /// Frames that travel together.
        n_frames: u32,
        /// Rows.
        height: u32,
        /// Rows of knots.
        knot_rows: u32,
        /// Columns of knots.
        knot_columns: u32,
        /// A knot stays within this distance of the start, pixels.
        reach: f32,
    }
    workgroups(self) { [1, 1, self.n_frames] }
}

kernel! {
    /// Frames moved by their shift fields with one cubic interpolation, and which pixels of each row were measured.
    imaging / move_frames => MoveFramesParams {
        /// Frames that travel together.
        n_frames: u32,
        /// Rows.
        height: u32,
        /// Columns.
        width: u32,
        /// Rows of knots.
        knot_rows: u32,
        /// Columns of knots.
        knot_columns: u32,
    }
    workgroups(self) { [self.height.min(65535), 1, self.n_frames] }
}

kernel! {
    /// Means of consecutive frames, and the sums from which mean, variance and noise of the movie are made.
    imaging / bin_frames => BinFramesParams {
        /// Blocks that travel together.
        n_blocks: u32,
        /// Frames of a block: whole bins.
        block_frames: u32,
        /// Frames of a bin.
        bin_frames: u32,
        /// Frames that there are; the last block and bin may be short.
        n_frames: u32,
        /// Rows.
        height: u32,
        /// Columns.
        width: u32,
        /// A frame that correlates less with the reference is left out.
        min_correlation: f32,
    }
    workgroups(self) { [(self.height * self.width).div_ceil(64).min(65535), 1, self.n_blocks] }
}

/// Kernel name and size of the Rust uniform, for every kernel of this file.
pub(super) const LAYOUTS: &[(&str, usize)] = &[
    DecodeFramesParams::LAYOUT,
    ShrinkFramesParams::LAYOUT,
    TransformRowsParams::LAYOUT,
    FilterColumnsParams::LAYOUT,
    FindShiftsParams::LAYOUT,
    SumGradientsParams::LAYOUT,
    SolveShiftsParams::LAYOUT,
    MoveFramesParams::LAYOUT,
    BinFramesParams::LAYOUT,
];
