//! The uniforms of the imaging kernels. Where sorting has blocks, imaging has frames: `workgroup_id.z` is the frame.

use bytemuck::{Pod, Zeroable};

use crate::{Kernel, KernelParams, cpu};

/// Pixels along x that share the whole part of a shift (see `cpu::imaging::field`).
pub const SHIFT_TILE: u32 = 16;

/// Columns of knots that a shift field may have at most.
pub const MAX_KNOT_COLUMNS: u32 = 4;

/// Values of a shift field, both axes together, at most: the workgroup memory of `solve_shifts`.
pub const MAX_KNOT_VALUES: u32 = 128;

/// Sums of a row that do not depend on the knots: pixel, product with the reference and square, and of pixels from outside the
/// frame alone weight, reference and its square.
pub const ROW_SCALARS: u32 = 6;

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
        [self.rows.div_ceil(MAX_TRANSFORM / self.columns).min(65535), 1, self.n_images]
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
        [self.columns.div_ceil(MAX_TRANSFORM / self.rows).min(65535), 1, self.n_images]
    }
}

/// Longest transform: four values for each of the invocations that a workgroup may have on every device. Shorter lines
/// are transformed several at a time.
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
    workgroups(self) {
        assert!(2 * self.knot_rows * self.knot_columns <= MAX_KNOT_VALUES, "a shift field of 128 values at most");
        [1, 1, self.n_frames]
    }
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

kernel! {
    /// Deviation of bins from their mean in units of noise: `[bin, y, x]`, in place.
    imaging / standardise_bins => StandardiseBinsParams {
        /// Bins that travel together.
        n_bins: u32,
        /// Pixels of a bin.
        n_pixels: u32,
    }
    workgroups(self) { [self.n_pixels.div_ceil(256).min(65535), 1, self.n_bins] }
}

/// Pixels along the axis, and lines beside each other, that a workgroup of `box_means` handles.
const BOX_TILE: [u32; 2] = [64, 32];

/// Rows and columns that a workgroup of `sum_bins` handles.
const SUM_TILE: [u32; 2] = [8, 32];

/// Rows, columns and output channels that a workgroup of `convolve` handles.
const CONVOLVE_TILE: [u32; 3] = [16, 32, 12];

kernel! {
    /// Means over a square of pixels, one axis at a time: `[image, y, x]`.
    imaging / box_means => BoxMeansParams {
        /// Images that travel together.
        n_images: u32,
        /// Rows.
        height: u32,
        /// Columns.
        width: u32,
        /// Pixels of the square on each side of its centre.
        radius: u32,
        /// 0 sums along x, 1 along y.
        axis: u32,
    }
    workgroups(self) {
        let [along, lines] = BOX_TILE;
        let [columns, rows] = if self.axis == 0 { [along, lines] } else { [lines, along] };
        [self.width.div_ceil(columns), self.height.div_ceil(rows), self.n_images]
    }
}

kernel! {
    /// Sums over bins from which the summary images are made: `[5, y, x]`.
    imaging / sum_bins => SumBinsParams {
        /// Bins that travel together.
        n_bins: u32,
        /// Rows.
        height: u32,
        /// Columns.
        width: u32,
        /// Smoothed values above this count as activity, noise deviations.
        threshold: f32,
    }
    workgroups(self) {
        let [rows, columns] = SUM_TILE;
        [self.width.div_ceil(columns), self.height.div_ceil(rows), 1]
    }
}

kernel! {
    /// One convolution of the network with its batch norm, activation and additions: `[image, channel, y, x]`.
    imaging / convolve => ConvolveParams {
        /// Images that travel together.
        n_images: u32,
        /// Rows of the output.
        height: u32,
        /// Columns of the output.
        width: u32,
        /// Channels of the input.
        in_channels: u32,
        /// Channels of the output.
        out_channels: u32,
        /// Pixels of the kernel along each axis: 1 or 3.
        kernel: u32,
        /// 1 when the input has half the size and every pixel is repeated.
        upsample: u32,
        /// 1 when negative values are cut off after the batch norm.
        relu: u32,
        /// 1 when `addend` is added to the output.
        add: u32,
        /// Entry of `affine` with the first channel's factor.
        affine_offset: u32,
        /// Entries from a channel's factor to its term.
        affine_gap: u32,
        /// Entries from one image's factors to the next one's; 0 when all images share them.
        affine_stride: u32,
    }
    workgroups(self) {
        let [rows, columns, channels] = CONVOLVE_TILE;
        [
            self.width.div_ceil(columns) * self.height.div_ceil(rows),
            self.out_channels.div_ceil(channels),
            self.n_images,
        ]
    }
}

kernel! {
    /// Largest of every 2 by 2 pixels: `[image, channel, y, x]`.
    imaging / pool_maxima => PoolMaximaParams {
        /// Images times channels.
        n_images: u32,
        /// Rows of the output.
        height: u32,
        /// Columns of the output.
        width: u32,
    }
    workgroups(self) { [(self.height * self.width).div_ceil(256).min(65535), 1, self.n_images] }
}

kernel! {
    /// The style of every image, and what it adds before the units on the way up: `[image, 2, row]`.
    imaging / style_affine => StyleAffineParams {
        /// Images that travel together.
        n_images: u32,
        /// Channels of the deepest features.
        channels: u32,
        /// Pixels of the deepest features.
        n_pixels: u32,
        /// Channels of all units that take a style, together.
        n_rows: u32,
    }
    workgroups(self) {
        assert!(self.channels <= MAX_STYLE_CHANNELS, "a style of 2048 channels at most");
        [1, 1, self.n_images]
    }
}

/// Channels of the deepest features at most: the workgroup memory of `style_affine`.
pub const MAX_STYLE_CHANNELS: u32 = 2048;

kernel! {
    /// Where every pixel of a cell ends when it follows the flows.
    imaging / follow_flows => FollowFlowsParams {
        /// Rows.
        height: u32,
        /// Columns.
        width: u32,
        /// Pixels that walk.
        n_points: u32,
        /// Euler steps.
        steps: u32,
    }
    workgroups(self) { [self.n_points.div_ceil(64).min(65535), 1, 1] }
}

kernel! {
    /// How many pixels end at every pixel.
    imaging / count_ends => CountEndsParams {
        /// Pixels that walked.
        n_points: u32,
        /// Pixels of the image.
        n_pixels: u32,
    }
    workgroups(self) { [self.n_points.div_ceil(256).min(65535), 1, 1] }
}

kernel! {
    /// Pixels where more end than anywhere around: the middles of cells.
    imaging / find_seeds => FindSeedsParams {
        /// Rows.
        height: u32,
        /// Columns.
        width: u32,
        /// A seed has more ends than this.
        min_count: u32,
        /// Pixels on each side in which a seed is the largest.
        radius: u32,
    }
    workgroups(self) { [(self.height * self.width).div_ceil(256).min(65535), 1, 1] }
}

kernel! {
    /// The pixels around each seed that belong to it: a window of 11 by 11 bits.
    imaging / grow_seeds => GrowSeedsParams {
        /// Seeds.
        n_seeds: u32,
        /// Rows.
        height: u32,
        /// Columns.
        width: u32,
        /// Pixels with more ends than this are let in.
        min_count: u32,
        /// Rounds of growth by one pixel.
        rounds: u32,
    }
    workgroups(self) { [self.n_seeds.min(65535), 1, 1] }
}

/// Pixels of a side of the window in which a seed grows.
pub const SEED_WINDOW: u32 = 11;

/// Words of a seed's window of bits.
pub const SEED_WORDS: u32 = (SEED_WINDOW * SEED_WINDOW).div_ceil(32);

kernel! {
    /// Weighted sums of pixels: every footprint on every frame, `[frame, row]`.
    imaging / project_footprints => ProjectFootprintsParams {
        /// Frames that travel together.
        n_frames: u32,
        /// Pixels of a frame.
        n_pixels: u32,
        /// Footprints.
        n_rows: u32,
    }
    workgroups(self) { [self.n_rows.min(65535), 1, self.n_frames.div_ceil(PROJECT_FRAMES)] }
}

/// Frames that a workgroup of `project_footprints` handles.
const PROJECT_FRAMES: u32 = 4;

kernel! {
    /// Sums over frames of trace times pixel, for listed pixels of each trace, added to what is there.
    imaging / correlate_traces => CorrelateTracesParams {
        /// Frames that travel together.
        n_frames: u32,
        /// Pixels of a frame.
        n_pixels: u32,
        /// Pixels that are listed, of all traces.
        n_entries: u32,
    }
    workgroups(self) { [self.n_entries.div_ceil(64).min(65535), 1, 1] }
}

kernel! {
    /// Non-negative deconvolution of every trace by coordinate descent.
    imaging / deconvolve => DeconvolveParams {
        /// Traces.
        n_traces: u32,
        /// Frames of a trace.
        n_frames: u32,
        /// Frames of the response to a spike.
        n_taps: u32,
        /// Sweeps over the trace.
        sweeps: u32,
        /// Every so many sweeps visit all frames, the others only those with a spike.
        full_every: u32,
    }
    workgroups(self) {
        assert!((1..=MAX_RESPONSE).contains(&self.n_taps), "responses of 1 to 2048 frames");
        [self.n_traces.min(65535), 1, 1]
    }
}

/// Longest response to a spike: the workgroup memory of `deconvolve`.
pub const MAX_RESPONSE: u32 = 2048;

/// Kernel name and size of the Rust uniform, for every kernel of this file.
pub(super) fn layouts() -> &'static [(&'static str, usize)] {
    &[
        DecodeFramesParams::LAYOUT,
        ShrinkFramesParams::LAYOUT,
        TransformRowsParams::LAYOUT,
        FilterColumnsParams::LAYOUT,
        FindShiftsParams::LAYOUT,
        SumGradientsParams::LAYOUT,
        SolveShiftsParams::LAYOUT,
        MoveFramesParams::LAYOUT,
        BinFramesParams::LAYOUT,
        StandardiseBinsParams::LAYOUT,
        BoxMeansParams::LAYOUT,
        SumBinsParams::LAYOUT,
        ConvolveParams::LAYOUT,
        PoolMaximaParams::LAYOUT,
        StyleAffineParams::LAYOUT,
        FollowFlowsParams::LAYOUT,
        CountEndsParams::LAYOUT,
        FindSeedsParams::LAYOUT,
        GrowSeedsParams::LAYOUT,
        ProjectFootprintsParams::LAYOUT,
        CorrelateTracesParams::LAYOUT,
        DeconvolveParams::LAYOUT,
    ]
}
