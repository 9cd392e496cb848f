//! Hot kernels, in multiply-adds a second, beside a plain copy as the machine's limit. Sorting: one window of 64 channels.

mod imaging;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use somata_shaders::{
    cpu::sorting::{
        common_reference::common_reference, score_footprints::score_footprints,
        score_templates::score_templates,
    },
    layout::{CommonReferenceParams, ScoreFootprintsParams, ScoreTemplatesParams},
};

const SAMPLES: usize = 18_432;
const CHANNELS: usize = 64;

fn values(n: usize) -> Vec<f32> {
    (0..n as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 16) as f32 / 32_768.0 - 1.0)
        .collect()
}

fn kernels(criterion: &mut Criterion) {
    let x = values(SAMPLES * CHANNELS);
    let mut group = criterion.benchmark_group("kernels");
    group.sample_size(20);

    let mut out = vec![0.0f32; x.len()];
    group.throughput(Throughput::Bytes(8 * x.len() as u64));
    group.bench_function("limit: copy", |bench| {
        bench.iter(|| out.copy_from_slice(&x))
    });

    let p = CommonReferenceParams {
        n_blocks: 1,
        n_samples: SAMPLES as u32,
        n_channels: CHANNELS as u32,
        n_groups: 1,
    };
    let members: Vec<u32> = (0..CHANNELS as u32).collect();
    group.throughput(Throughput::Elements(x.len() as u64));
    group.bench_function("common_reference", |bench| {
        bench.iter(|| common_reference(&p, &[0, CHANNELS as u32], &members, &mut out));
    });

    let (shapes, taps) = (6, 60);
    let (neighbours, sizes) = (15, 3);
    let p = ScoreFootprintsParams {
        n_blocks: 1,
        n_samples: SAMPLES as u32,
        n_channels: CHANNELS as u32,
        n_shapes: shapes as u32,
        n_sizes: sizes as u32,
        n_neighbours: neighbours as u32,
        n_taps: taps as u32,
        threshold: 1e9,
        stride: 1,
        gate: 1e9,
    };
    let shape = values(shapes * taps);
    let neighbour: Vec<u32> = (0..(CHANNELS * neighbours) as u32)
        .map(|i| (i / neighbours as u32 + i % neighbours as u32) % CHANNELS as u32)
        .collect();
    let weight = values(sizes * CHANNELS * neighbours);
    let products = shapes * (taps + sizes * neighbours);
    group.throughput(Throughput::Elements((x.len() * products) as u64));
    group.bench_function("score_footprints", |bench| {
        bench.iter(|| score_footprints(&p, &x, &shape, &neighbour, &weight, &mut out));
    });
    let every_third = ScoreFootprintsParams { stride: 3, ..p };
    group.bench_function("score_footprints, quiet data, every third first", |bench| {
        bench.iter(|| score_footprints(&every_third, &x, &shape, &neighbour, &weight, &mut out));
    });

    let (units, rank, taps, entries) = (40, 3, 120, 30);
    let p = ScoreTemplatesParams {
        n_blocks: 1,
        n_samples: SAMPLES as u32,
        n_channels: CHANNELS as u32,
        n_units: units as u32,
        n_taps: taps as u32,
        rank: rank as u32,
    };
    let start: Vec<u32> = (0..=units as u32).map(|u| u * entries as u32).collect();
    let channel: Vec<u32> = (0..(units * entries) as u32)
        .map(|i| i % CHANNELS as u32)
        .collect();
    let (spatial, temporal) = (values(units * entries * rank), values(units * rank * taps));
    let mut scores = vec![0.0f32; units * SAMPLES];
    group.throughput(Throughput::Elements(
        (SAMPLES * units * rank * (entries + taps)) as u64,
    ));
    group.bench_function("score_templates", |bench| {
        bench.iter(|| score_templates(&p, &x, &start, &channel, &spatial, &temporal, &mut scores));
    });
    group.finish();
}

criterion_group!(benches, kernels, imaging::imaging);
criterion_main!(benches);
