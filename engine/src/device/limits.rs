//! What this processor can do at most, and how near the kernels of a sort come to it.
//!
//! Two limits: bytes that a plain copy moves, and operations that fit where products and sums are not fused
//! (docs/internals/decisions/003-no-fma-on-cpu.md). A matrix product of the library, which fuses, stands beside them. All
//! threads measure at once, each on data of its own, as the threads of a pass do.

use std::{
    hint::black_box,
    sync::Barrier,
    time::{Duration, Instant},
};

use somata_shaders::{
    cpu::{
        common::unpack_samples::unpack_samples,
        sorting::{
            common_reference::common_reference, highpass_filter::highpass_filter,
            score_footprints::score_footprints, score_templates::score_templates, whiten::whiten,
        },
    },
    layout::{
        CommonReferenceParams, HighpassFilterParams, ScoreFootprintsParams, ScoreTemplatesParams,
        UnpackSamplesParams, WhitenParams,
    },
};

use crate::{linalg, stream::blocks::WINDOW_SAMPLES};

/// A measured rate.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// What was measured.
    pub name: &'static str,
    /// Seconds of one call, the median of all.
    pub seconds: f64,
    /// Floating-point operations of one call.
    pub operations: f64,
    /// Bytes of main memory that one call has to read and write.
    pub bytes: f64,
    /// Threads that did it at once.
    pub threads: usize,
}

impl Rate {
    /// Thousand millions of operations a second, of all threads.
    pub fn gflops(&self) -> f64 {
        self.threads as f64 * self.operations / self.seconds / 1e9
    }
    /// Thousand millions of bytes a second, of all threads.
    pub fn gbytes(&self) -> f64 {
        self.threads as f64 * self.bytes / self.seconds / 1e9
    }
}

/// Time that is measured for each rate.
const LONG_ENOUGH: Duration = Duration::from_millis(400);
/// Calls of each rate at least.
const CALLS: usize = 3;
/// Floats that are copied: more than caches hold.
const COPIED: usize = 16 << 20;
/// Rows and columns of the matrices.
const MATRIX: usize = 512;
/// Turns of the loop of products and sums.
const TURNS: usize = 200_000;
/// Channels of the window that kernels are measured on.
const CHANNELS: usize = 64;

/// Times `call` on what `make` gives, on all threads at once.
fn rate<T>(
    name: &'static str,
    threads: usize,
    (operations, bytes): (f64, f64),
    make: impl Fn() -> T + Sync,
    call: impl Fn(&mut T) + Sync,
) -> Rate {
    let begin = Barrier::new(threads);
    let mut seconds: Vec<f64> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut data = make();
                    call(&mut data);
                    begin.wait();
                    let (start, mut seconds) = (Instant::now(), Vec::new());
                    while seconds.len() < CALLS || start.elapsed() < LONG_ENOUGH {
                        let call_start = Instant::now();
                        call(&mut data);
                        seconds.push(call_start.elapsed().as_secs_f64());
                    }
                    seconds
                })
            })
            .collect();
        running
            .into_iter()
            .flat_map(|thread| thread.join().expect("nothing that panics"))
            .collect()
    });
    seconds.sort_by(f64::total_cmp);
    Rate {
        name,
        seconds: seconds[seconds.len() / 2],
        operations,
        bytes,
        threads,
    }
}

/// The limits: copy, products and sums, matrix product.
pub fn limits(threads: usize) -> [Rate; 3] {
    [
        rate(
            "copy",
            threads,
            (0.0, 8.0 * COPIED as f64),
            || (vec![1.0f32; COPIED], vec![0.0f32; COPIED]),
            |(from, to)| {
                to.copy_from_slice(from);
                black_box(to);
            },
        ),
        rate(
            "product and sum",
            threads,
            ((2 * TURNS * CHAINS * LANES) as f64, 0.0),
            || [[1.0f32; LANES]; CHAINS],
            |sums| multiply_and_add(sums, black_box(0.5), black_box(0.25)),
        ),
        rate(
            "matrix product, fused",
            threads,
            (2.0 * (MATRIX as f64).powi(3), 0.0),
            || (values(MATRIX * MATRIX), values(MATRIX * MATRIX)),
            |(a, b)| {
                black_box(linalg::product_f32(a, b, MATRIX, MATRIX, MATRIX));
            },
        ),
    ]
}

/// Sums that do not wait for each other: a processor adds several while one is under way, and their vectors are in registers.
const CHAINS: usize = 12;
/// Values of a sum.
const LANES: usize = 8;

#[multiversion::multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
fn multiply_and_add(sums: &mut [[f32; LANES]; CHAINS], factor: f32, term: f32) {
    let mut held = *sums;
    for _ in 0..TURNS {
        for sum in &mut held {
            for value in sum {
                *value = *value * factor + term;
            }
        }
    }
    *sums = held;
}

fn values(n: usize) -> Vec<f32> {
    (0..n as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 16) as f32 / 32_768.0 - 1.0)
        .collect()
}

/// Kernels of a sort on one window of 64 channels. Operations are those of the plain sums that a kernel stands for: one that
/// finds a shorter way, as `score_templates` by its transforms, may pass the limit.
pub fn kernels(threads: usize) -> Vec<Rate> {
    let words = WINDOW_SAMPLES * CHANNELS;
    let n = words as f64;
    let (n_samples, n_channels) = (WINDOW_SAMPLES as u32, CHANNELS as u32);
    let window = || values(words);
    let windows = || (values(words), vec![0.0f32; words]);
    let around = |each: usize| -> Vec<u32> {
        (0..CHANNELS * each)
            .map(|i| ((i / each + i % each) % CHANNELS) as u32)
            .collect()
    };
    let members: Vec<u32> = (0..n_channels).collect();
    let reference = CommonReferenceParams {
        n_blocks: 1,
        n_samples,
        n_channels,
        n_groups: 1,
    };
    let highpass = HighpassFilterParams {
        n_blocks: 1,
        n_samples,
        n_channels,
        ..crate::sorting::preprocessing::filter::butterworth_highpass(300.0, 30_000.0)
    };
    let unpack = UnpackSamplesParams {
        n_words: words as u32 / 2,
        step: 1.0 / 128.0,
    };
    let (near, weight) = (around(25), values(25 * CHANNELS));
    let whitening = WhitenParams {
        n_blocks: 1,
        n_samples,
        n_channels,
        n_neighbours: 25,
    };
    let (shapes, taps, sizes, neighbours) = (6, 60, 3, 15);
    let footprints = ScoreFootprintsParams {
        n_blocks: 1,
        n_samples,
        n_channels,
        n_shapes: shapes as u32,
        n_sizes: sizes as u32,
        n_neighbours: neighbours as u32,
        n_taps: taps as u32,
        threshold: 1e9,
        stride: 1,
        gate: 1e9,
    };
    let (shape, footprint_near) = (values(shapes * taps), around(neighbours));
    let footprint_weight = values(sizes * CHANNELS * neighbours);
    let (units, rank, template_taps, entries) = (40, 3, 120, 30);
    let templates = ScoreTemplatesParams {
        n_blocks: 1,
        n_samples,
        n_channels,
        n_units: units as u32,
        n_taps: template_taps as u32,
        rank: rank as u32,
    };
    let start: Vec<u32> = (0..=units as u32).map(|u| u * entries as u32).collect();
    let channel: Vec<u32> = (0..units * entries)
        .map(|i| (i % CHANNELS) as u32)
        .collect();
    let (spatial, temporal) = (
        values(units * entries * rank),
        values(units * rank * template_taps),
    );
    vec![
        rate(
            "highpass_filter",
            threads,
            (24.0 * n, 16.0 * n),
            window,
            |x| highpass_filter(&highpass, x),
        ),
        rate("common_reference", threads, (0.0, 8.0 * n), window, |x| {
            common_reference(&reference, &[0, n_channels], &members, x);
        }),
        rate(
            "whiten",
            threads,
            (50.0 * n, 8.0 * n),
            windows,
            |(x, out)| {
                whiten(&whitening, x, &near, &weight, &[0], out);
            },
        ),
        rate(
            "unpack_samples",
            threads,
            (n, 6.0 * n),
            || (vec![7u32; words / 2], vec![0.0f32; words]),
            |(packed, out)| unpack_samples(&unpack, packed, out),
        ),
        rate(
            "score_footprints",
            threads,
            (
                2.0 * n * (shapes * (taps + sizes * neighbours)) as f64,
                8.0 * n,
            ),
            windows,
            |(x, out)| {
                score_footprints(
                    &footprints,
                    x,
                    &shape,
                    &footprint_near,
                    &footprint_weight,
                    out,
                );
            },
        ),
        rate(
            "score_templates",
            threads,
            (
                (2 * WINDOW_SAMPLES * units * rank * (entries + template_taps)) as f64,
                4.0 * (n + (units * WINDOW_SAMPLES) as f64),
            ),
            || (values(words), vec![0.0f32; units * WINDOW_SAMPLES]),
            |(x, scores)| {
                score_templates(&templates, x, &start, &channel, &spatial, &temporal, scores);
            },
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_and_sums_end_where_they_must() {
        // x / 2 + 1 / 4 has its rest at 1 / 2.
        let mut sums = [[1.0f32; LANES]; CHAINS];
        multiply_and_add(&mut sums, 0.5, 0.25);
        assert_eq!(sums, [[0.5; LANES]; CHAINS]);
    }

    #[test]
    fn a_rate_counts_all_threads() {
        let rate = rate("sum", 2, (1e3, 4e3), || 0.0f64, |sum| *sum += 1.0);
        assert!(rate.seconds > 0.0);
        let one = rate.operations / rate.seconds / 1e9;
        assert!((rate.gflops() / one - 2.0).abs() < 1e-9);
        assert!((rate.gbytes() / rate.gflops() - 4.0).abs() < 1e-9);
    }
}
