//! Hot imaging kernels: frames of 512 by 512 pixels, tiles of 224 by 224 for the network.
//!
//! Elements are multiply-adds, as in sorting: twice their number a second is the FLOP/s. What counts as one is said beside
//! each number; an addition alone counts as well.

use criterion::{Criterion, Throughput};
use somata_shaders::{
    cpu::{
        common::filter_columns::filter_columns,
        imaging::{
            bin_frames::{self, bin_frames},
            box_means::box_means,
            convolve::convolve,
            move_frames::move_frames,
            sum_bins::{self, sum_bins},
            sum_gradients::sum_gradients,
        },
    },
    layout::{
        BinFramesParams, BoxMeansParams, ConvolveParams, FilterColumnsParams, MoveFramesParams,
        ROW_SCALARS, SumBinsParams, SumGradientsParams,
    },
};

use crate::values;

const HEIGHT: usize = 512;
const WIDTH: usize = 512;
const IMAGE: usize = HEIGHT * WIDTH;
const FRAMES: usize = 20;
const KNOT_ROWS: u32 = 6;
const KNOT_COLUMNS: u32 = 2;

/// Registration, binning, network and summary images.
pub fn imaging(criterion: &mut Criterion) {
    registration(criterion);
    network(criterion);
    summary(criterion);
}

fn registration(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("imaging: registration");
    group.sample_size(20);
    let frames = values(FRAMES * IMAGE);
    let reference = values(IMAGE);
    // Shifts of up to three pixels, as tissue has them.
    let n_knots = FRAMES * (2 * KNOT_ROWS * KNOT_COLUMNS) as usize;
    let knots: Vec<f32> = values(n_knots).iter().map(|v| 3.0 * v).collect();

    let p = SumGradientsParams {
        n_frames: FRAMES as u32,
        height: HEIGHT as u32,
        width: WIDTH as u32,
        knot_rows: KNOT_ROWS,
        knot_columns: KNOT_COLUMNS,
        zero: 0.0,
    };
    let model = values(5 * IMAGE);
    let mut sums = vec![0.0; FRAMES * HEIGHT * (ROW_SCALARS + 2 * KNOT_COLUMNS) as usize];
    // A pixel: 4 for its shift, 6 for the interpolation, 10 for the sums.
    group.throughput(Throughput::Elements((20 * FRAMES * IMAGE) as u64));
    group.bench_function("sum_gradients", |bench| {
        bench.iter(|| sum_gradients(&p, &frames, &knots, &model, &mut sums));
    });

    let p = MoveFramesParams {
        n_frames: FRAMES as u32,
        height: HEIGHT as u32,
        width: WIDTH as u32,
        knot_rows: KNOT_ROWS,
        knot_columns: KNOT_COLUMNS,
    };
    let mut moved = vec![0.0; FRAMES * IMAGE];
    let mut spans = vec![0u32; 2 * FRAMES * HEIGHT];
    // A pixel: 4 for its shift, 20 for the weights, 20 for the interpolation.
    group.throughput(Throughput::Elements((44 * FRAMES * IMAGE) as u64));
    group.bench_function("move_frames", |bench| {
        bench.iter(|| move_frames(&p, &frames, &knots, &reference, &mut moved, &mut spans));
    });

    let p = BinFramesParams {
        n_blocks: 1,
        block_frames: FRAMES as u32,
        bin_frames: 10,
        n_frames: FRAMES as u32,
        height: HEIGHT as u32,
        width: WIDTH as u32,
        min_correlation: 0.0,
    };
    let fit = vec![1.0; 3 * FRAMES];
    let mut bins = vec![0.0; FRAMES / 10 * IMAGE];
    let mut sums = vec![0.0; bin_frames::SUMS * IMAGE];
    // A pixel: 8 for its sums and the difference to the frame before. Read once, it is memory that is the limit.
    group.throughput(Throughput::Elements((8 * FRAMES * IMAGE) as u64));
    group.bench_function("bin_frames", |bench| {
        bench.iter(|| bin_frames(&p, &moved, &spans, &fit, &reference, &mut bins, &mut sums));
    });

    // The coarse correlation: ten pairs of frames of 256 by 256 bins.
    let (images, size) = (FRAMES / 2, 256usize);
    let p = FilterColumnsParams {
        n_images: images as u32,
        rows: size as u32,
        columns: size as u32,
    };
    let filter: Vec<f32> = values(2 * size * size).iter().map(|v| v / 256.0).collect();
    let spectrum = values(2 * images * size * size);
    let mut filtered = spectrum.clone();
    // A complex value: two transforms of 5 log2 n operations, and 3 for its product.
    let per_value = 5 * size.ilog2() as usize + 3;
    group.throughput(Throughput::Elements(
        (images * size * size * per_value) as u64,
    ));
    group.bench_function("filter_columns", |bench| {
        bench.iter(|| {
            // In place: without a fresh start, values would grow from turn to turn.
            filtered.copy_from_slice(&spectrum);
            filter_columns(&p, &filter, &mut filtered);
        });
    });
    group.finish();
}

fn network(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("imaging: network");
    group.sample_size(20);
    for (channels, side) in [(12usize, 224usize), (96, 28)] {
        let p = ConvolveParams {
            n_images: 1,
            height: side as u32,
            width: side as u32,
            in_channels: channels as u32,
            out_channels: channels as u32,
            kernel: 3,
            relu: 1,
            affine_gap: channels as u32,
            ..ConvolveParams::default()
        };
        let x = values(channels * side * side);
        let weight = values(9 * channels * channels);
        let (bias, affine) = (values(channels), values(2 * channels));
        let mut out = vec![0.0; channels * side * side];
        group.throughput(Throughput::Elements(
            (9 * channels * channels * side * side) as u64,
        ));
        group.bench_function(
            format!("convolve {channels} to {channels}, {side} x {side}"),
            |bench| bench.iter(|| convolve(&p, &x, &weight, &bias, &affine, &[], &mut out)),
        );
    }
    group.finish();
}

fn summary(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("imaging: summary");
    group.sample_size(20);
    let (bins, radius) = (8usize, 12usize);
    let params = |axis| BoxMeansParams {
        n_images: bins as u32,
        height: HEIGHT as u32,
        width: WIDTH as u32,
        radius: radius as u32,
        axis,
    };
    let x = values(bins * IMAGE);
    let (ones, inverse, count) = (vec![1.0; IMAGE], vec![1.0 / 625.0; IMAGE], vec![9.0; IMAGE]);
    let (mut along_x, mut background) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    let p = SumBinsParams {
        n_bins: bins as u32,
        height: HEIGHT as u32,
        width: WIDTH as u32,
        threshold: 1.0,
    };
    let mut sums = vec![0.0; sum_bins::SUMS * IMAGE];
    // A pixel: 25 taps and the scale for each axis, then 9 for the square, 10 for the sums.
    group.throughput(Throughput::Elements(
        ((2 * (2 * radius + 2) + 19) * bins * IMAGE) as u64,
    ));
    group.bench_function("box_means and sum_bins", |bench| {
        bench.iter(|| {
            box_means(&params(0), &x, &ones, &mut along_x);
            box_means(&params(1), &along_x, &inverse, &mut background);
            sum_bins(&p, &x, &background, &count, &mut sums);
        });
    });
    group.finish();
}
