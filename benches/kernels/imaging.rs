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
            correlate_traces::correlate_traces,
            deconvolve::deconvolve,
            move_frames::move_frames,
            project_footprints::project_footprints,
            sum_bins::{self, sum_bins},
            sum_gradients::sum_gradients,
        },
    },
    layout::{
        BinFramesParams, BoxMeansParams, ConvolveParams, CorrelateTracesParams, DeconvolveParams,
        FilterColumnsParams, MoveFramesParams, ProjectFootprintsParams, ROW_SCALARS, SumBinsParams,
        SumGradientsParams,
    },
};

use crate::values;

const HEIGHT: usize = 512;
const WIDTH: usize = 512;
const IMAGE: usize = HEIGHT * WIDTH;
const FRAMES: usize = 20;
const KNOT_ROWS: u32 = 6;
const KNOT_COLUMNS: u32 = 2;

/// Registration, binning, network, summary images, traces and spikes.
pub fn imaging(criterion: &mut Criterion) {
    registration(criterion);
    network(criterion);
    summary(criterion);
    traces(criterion);
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

/// Footprints of 400 cells on twenty frames, then the spikes of one of them over ten minutes at 30 Hz.
fn traces(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("imaging: traces");
    group.sample_size(20);
    let frames = values(FRAMES * IMAGE);
    // Discs of radius 7 on a grid of 20 by 20, and as many rings of twice the pixels around them, in rows of neighbours.
    let (cells, mut row_start, mut pixel, mut row) = (400usize, vec![0u32], Vec::new(), Vec::new());
    for (half_height, half_width) in [(7, 5), (9, 8)] {
        for cell in 0..cells {
            let (y, x) = (14 + cell / 20 * 25, 14 + cell % 20 * 25);
            for line in y - half_height..=y + half_height {
                let first = line * WIDTH + x - half_width;
                pixel.extend(first as u32..=(first + 2 * half_width) as u32);
            }
            row.resize(pixel.len(), cell as u32);
            row_start.push(pixel.len() as u32);
        }
    }
    let weight = values(pixel.len());
    let n_rows = row_start.len() - 1;
    let p = ProjectFootprintsParams {
        n_frames: FRAMES as u32,
        n_pixels: IMAGE as u32,
        n_rows: n_rows as u32,
    };
    let mut projected = vec![0.0; FRAMES * n_rows];
    group.throughput(Throughput::Elements((FRAMES * pixel.len()) as u64));
    group.bench_function("project_footprints", |bench| {
        bench.iter(|| project_footprints(&p, &frames, &row_start, &pixel, &weight, &mut projected));
    });

    let p = CorrelateTracesParams {
        n_frames: FRAMES as u32,
        n_pixels: IMAGE as u32,
        n_entries: pixel.len() as u32,
    };
    let traces = values(cells * FRAMES);
    let mut sums = vec![0.0; pixel.len()];
    group.bench_function("correlate_traces", |bench| {
        bench.iter(|| correlate_traces(&p, &frames, &pixel, &row, &traces, &mut sums));
    });

    // A spike every two seconds, a decay of 0.7 s, noise; the sweeps of the default parameters.
    let (n_frames, n_taps, sweeps, full_every) = (18_000usize, 105usize, 24u32, 4u32);
    let response: Vec<f32> = (0..n_taps)
        .map(|t| (-(t as f32) / 21.0).exp() - (-(t as f32) / 2.1).exp())
        .collect();
    let mut trace: Vec<f32> = values(n_frames).iter().map(|v| 0.2 * v).collect();
    for spike in (0..n_frames - n_taps).step_by(60) {
        for (value, tap) in trace[spike..].iter_mut().zip(&response) {
            *value += tap;
        }
    }
    let p = DeconvolveParams {
        n_traces: 1,
        n_frames: n_frames as u32,
        n_taps: n_taps as u32,
        sweeps,
        full_every,
    };
    let (mut spikes, mut residual) = (vec![0.0; n_frames], vec![0.0; n_frames]);
    // What cannot be left out: a sum over the taps for every frame of a full sweep. Changes and other sweeps come on top.
    let full_sweeps = sweeps.div_ceil(full_every) as usize;
    group.throughput(Throughput::Elements(
        (full_sweeps * n_frames * n_taps) as u64,
    ));
    group.bench_function("deconvolve", |bench| {
        bench.iter(|| deconvolve(&p, &trace, &response, &[1.0], &mut spikes, &mut residual));
    });
    group.finish();
}
