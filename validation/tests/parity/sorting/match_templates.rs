//! Parity of `match_templates`.
//!
//! The matcher is a long chain of decisions on scores that differ in their last bits between devices (the adapter may
//! fuse a multiplication with an addition, the twin never does), so a decision at a near tie may go the other way and
//! pull neighbours with it. At least 99.5 % of the spikes must be equal in unit and time.

use std::collections::BTreeSet;

use somata_shaders::layout::{MATCH_TILE, MatchTemplatesParams};

use crate::{
    both::{Both, both},
    random::Random,
};

/// Fraction of spikes that must be equal.
const AGREEMENT: f64 = 0.995;

/// Input of the matcher: templates, planted spikes, scores.
struct Case {
    params: MatchTemplatesParams,
    scores: Vec<f32>,
    unit_table: Vec<f32>,
    pair_start: Vec<u32>,
    pair_unit: Vec<u32>,
    cross: Vec<f32>,
    planted: Vec<BTreeSet<(u32, u32)>>,
}

struct Shape {
    blocks: usize,
    units: usize,
    channels: usize,
    samples: usize,
    taps: usize,
    /// Channels of a template.
    width: usize,
    /// Planted spikes of a block.
    spikes: usize,
}

impl Case {
    fn new(shape: &Shape, seed: u64) -> Self {
        let &Shape {
            blocks,
            units,
            channels,
            samples,
            taps,
            width,
            spikes,
        } = shape;
        let mut random = Random(seed);
        // Rank two: two smooth temporal courses, each with its own spread over `width` channels.
        let first_channel: Vec<usize> = (0..units)
            .map(|unit| unit * (channels - width) / (units - 1).max(1))
            .collect();
        let templates: Vec<Vec<f32>> = (0..units)
            .map(|_| {
                let mut template = vec![0.0f32; width * taps];
                for component in 0..2 {
                    let (at, wide) = (
                        random.between(0.3, 0.6) * taps as f32,
                        random.between(1.0, 3.0),
                    );
                    let size = if component == 0 {
                        random.between(6.0, 12.0)
                    } else {
                        random.between(2.0, 5.0)
                    };
                    for c in 0..width {
                        let spatial = size * random.between(0.1, 1.0);
                        for l in 0..taps {
                            let u = (l as f32 - at) / wide;
                            let course = if component == 0 {
                                -(-u * u).exp()
                            } else {
                                u * (-0.5 * u * u).exp()
                            };
                            template[c * taps + l] += spatial * course;
                        }
                    }
                }
                template
            })
            .collect();
        let norm: Vec<f32> = templates
            .iter()
            .map(|template| template.iter().map(|v| v * v).sum())
            .collect();
        let precision: Vec<f32> = (0..units).map(|_| random.between(30.0, 100.0)).collect();
        let threshold = 18.0f32;
        // gain(b) = (b + p)^2 / 2 (n + p) - p / 2 is at most the gain with a bounded amplitude.
        let score_min = (0..units).map(|u| {
            ((norm[u] + precision[u]) * (2.0 * threshold + precision[u])).sqrt() - precision[u]
        });
        let unit_table: Vec<f32> = norm
            .iter()
            .copied()
            .chain(precision.iter().copied())
            .chain(score_min)
            .collect();

        let (mut pair_start, mut pair_unit, mut cross) = (vec![0u32], Vec::new(), Vec::new());
        for u in 0..units {
            for v in 0..units {
                if first_channel[u].abs_diff(first_channel[v]) >= width {
                    continue;
                }
                pair_unit.push(v as u32);
                for lag in 0..2 * taps - 1 {
                    let d = lag as i64 - (taps as i64 - 1);
                    let mut sum = 0.0f32;
                    for c in first_channel[u].max(first_channel[v])
                        ..(first_channel[u] + width).min(first_channel[v] + width)
                    {
                        let a = &templates[u][(c - first_channel[u]) * taps..];
                        let b = &templates[v][(c - first_channel[v]) * taps..];
                        for l in 0..taps as i64 {
                            if l + d >= 0 && l + d < taps as i64 {
                                sum += a[(l + d) as usize] * b[l as usize];
                            }
                        }
                    }
                    cross.push(sum);
                }
            }
            pair_start.push(pair_unit.len() as u32);
        }

        let mut scores = vec![0.0f32; blocks * units * samples];
        let mut planted = Vec::new();
        for block in 0..blocks {
            let mut x = random.normals(channels * samples);
            let mut set = BTreeSet::new();
            let mut previous = 0;
            for i in 0..spikes {
                let unit = random.below(units);
                // Every third spike falls on the one before: an overlap to resolve.
                let time = if i % 3 == 2 {
                    previous + random.below(taps / 2)
                } else {
                    random.below(samples - taps)
                };
                let time = time.min(samples - taps - 1).max(1);
                let near =
                    |&(t, u): &(u32, u32)| u as usize == unit && (t as usize).abs_diff(time) < 40;
                if set.iter().any(near) {
                    continue;
                }
                previous = time;
                set.insert((time as u32, unit as u32));
                let amplitude = 1.0 + 0.1 * random.normal();
                for c in 0..width {
                    for l in 0..taps {
                        x[(first_channel[unit] + c) * samples + time + l] +=
                            amplitude * templates[unit][c * taps + l];
                    }
                }
            }
            planted.push(set);
            for unit in 0..units {
                for t in 0..=samples.saturating_sub(taps) {
                    let mut sum = 0.0;
                    for c in 0..width {
                        let row = (first_channel[unit] + c) * samples + t;
                        for l in 0..taps {
                            sum += templates[unit][c * taps + l] * x[row + l];
                        }
                    }
                    scores[(block * units + unit) * samples + t] = sum;
                }
            }
        }
        let params = MatchTemplatesParams {
            n_blocks: blocks as u32,
            n_samples: samples as u32,
            n_units: units as u32,
            n_taps: taps as u32,
            threshold,
            amplitude_min: 0.6,
            amplitude_max: 1.6,
            refractory: 15,
            sweeps: 3,
            jitter: 12,
            first: 0,
            last: (samples - taps + 1) as u32,
            capacity: 4 * spikes as u32 + 4,
            n_tiles: (samples as u32).div_ceil(MATCH_TILE),
        };
        Case {
            params,
            scores,
            unit_table,
            pair_start,
            pair_unit,
            cross,
            planted,
        }
    }

    /// Lists of both executors, and their counts.
    fn play(&self, both: &Both) -> (Matched, Matched) {
        let p = &self.params;
        let (blocks, capacity) = (p.n_blocks as usize, p.capacity as usize);
        let scratch_words = (p.n_blocks * p.n_units * p.n_samples / 4
            + 2 * p.n_blocks * p.n_units * p.n_tiles) as usize;
        both.play(
            |commands| {
                let scores = commands.upload("scores", &self.scores);
                let unit_table = commands.upload("unit_table", &self.unit_table);
                let pair_start = commands.upload("pair_start", &self.pair_start);
                let pair_unit = commands.upload("pair_unit", &self.pair_unit);
                let cross = commands.upload("cross", &self.cross);
                let scratch = commands.zeros("scratch", scratch_words);
                let spikes = commands.zeros("spikes", blocks * capacity * 4);
                let count = commands.zeros("count", blocks);
                commands.dispatch(
                    p,
                    &[
                        scores, unit_table, pair_start, pair_unit, cross, scratch, spikes, count,
                    ],
                );
                (commands.download(spikes), commands.download(count))
            },
            |downloads, (spikes, count)| {
                let (spikes, count) = (downloads.take::<u32>(spikes), downloads.take::<u32>(count));
                let lists = (0..blocks)
                    .map(|block| {
                        let n = if count[block] > p.capacity {
                            0
                        } else {
                            count[block] as usize
                        };
                        spikes[block * capacity * 4..(block * capacity + n) * 4]
                            .chunks_exact(4)
                            .map(|entry| {
                                let [time, unit, amplitude, gain] =
                                    entry.try_into().expect("four words");
                                (time, unit, f32::from_bits(amplitude), f32::from_bits(gain))
                            })
                            .collect()
                    })
                    .collect();
                Matched { lists, count }
            },
        )
    }
}

struct Matched {
    /// Start sample, unit, amplitude, gain.
    lists: Vec<Vec<(u32, u32, f32, f32)>>,
    count: Vec<u32>,
}

#[test]
fn the_same_spikes_where_they_overlap() {
    let Some(both) = both() else { return };
    let (mut agreed, mut total, mut recovered, mut planted) = (0, 0, 0, 0);
    for (seed, shape) in [
        Shape {
            blocks: 3,
            units: 10,
            channels: 12,
            samples: 3000,
            taps: 31,
            width: 5,
            spikes: 180,
        },
        // One channel: all units overlap. An odd last tile.
        Shape {
            blocks: 1,
            units: 4,
            channels: 1,
            samples: 1999,
            taps: 61,
            width: 1,
            spikes: 40,
        },
        // More units than invocations.
        Shape {
            blocks: 2,
            units: 300,
            channels: 120,
            samples: 700,
            taps: 31,
            width: 3,
            spikes: 250,
        },
        // The longest window, with more tiles and more spikes than invocations.
        Shape {
            blocks: 1,
            units: 6,
            channels: 9,
            samples: 32_768,
            taps: 31,
            width: 3,
            spikes: 900,
        },
    ]
    .iter()
    .enumerate()
    {
        let case = Case::new(shape, 141 + seed as u64);
        let (cpu, gpu) = case.play(both);
        for (block, (cpu, gpu)) in cpu.lists.iter().zip(&gpu.lists).enumerate() {
            let key = |spike: &(u32, u32, f32, f32)| (spike.0, spike.1);
            assert!(
                gpu.is_sorted_by_key(key),
                "shape {seed}, block {block}: the list is sorted"
            );
            let a: BTreeSet<_> = cpu.iter().map(key).collect();
            let b: BTreeSet<_> = gpu.iter().map(key).collect();
            assert_eq!(
                b.len(),
                gpu.len(),
                "shape {seed}, block {block}: no spike is listed twice"
            );
            agreed += a.intersection(&b).count();
            total += a.union(&b).count();
            recovered += a.intersection(&case.planted[block]).count();
            planted += case.planted[block].len();
            for spike in cpu {
                let Some(other) = gpu.iter().find(|other| key(other) == key(spike)) else {
                    continue;
                };
                // Scores lose a last bit in each of some tens of subtractions of numbers up to a few hundred.
                assert!(
                    (spike.2 - other.2).abs() < 1e-3,
                    "shape {seed}: amplitudes of {spike:?} and {other:?}"
                );
                assert!(
                    (spike.3 - other.3).abs() < 1e-3 * (10.0 + spike.3),
                    "shape {seed}: gains of {spike:?} and {other:?}"
                );
            }
        }
    }
    println!(
        "{agreed} of {total} spikes agree; the twin found {recovered} of {planted} planted ones exactly"
    );
    assert!(
        agreed as f64 >= AGREEMENT * total as f64,
        "{agreed} of {total} spikes agree"
    );
    // The case asks something of the matcher only if most of what was planted is there to find.
    assert!(
        recovered * 3 > planted * 2,
        "{recovered} of {planted} planted spikes"
    );
}

#[test]
fn without_sweeps_the_pursuit_alone_agrees() {
    let Some(both) = both() else { return };
    let shape = Shape {
        blocks: 1,
        units: 6,
        channels: 8,
        samples: 1000,
        taps: 20,
        width: 4,
        spikes: 60,
    };
    let mut case = Case::new(&shape, 151);
    case.params.sweeps = 0;
    let (cpu, gpu) = case.play(both);
    let keys = |matched: &Matched| {
        matched.lists[0]
            .iter()
            .map(|spike| (spike.0, spike.1))
            .collect::<Vec<_>>()
    };
    assert!(cpu.count[0] > 30, "the case has spikes");
    assert_eq!(keys(&cpu), keys(&gpu));
}

#[test]
fn a_full_list_is_an_overflow() {
    let Some(both) = both() else { return };
    let shape = Shape {
        blocks: 2,
        units: 6,
        channels: 8,
        samples: 1000,
        taps: 20,
        width: 4,
        spikes: 60,
    };
    let mut case = Case::new(&shape, 161);
    for capacity in [0, 1, 20] {
        case.params.capacity = capacity;
        let (cpu, gpu) = case.play(both);
        assert_eq!(cpu.count, [capacity + 1, capacity + 1]);
        assert_eq!(gpu.count, cpu.count);
    }
}

#[test]
fn nothing_to_find_is_an_empty_list() {
    let Some(both) = both() else { return };
    let shape = Shape {
        blocks: 2,
        units: 3,
        channels: 4,
        samples: 400,
        taps: 20,
        width: 2,
        spikes: 0,
    };
    let mut case = Case::new(&shape, 171);
    case.params.threshold = 1e6;
    let (cpu, gpu) = case.play(both);
    assert_eq!((cpu.count, gpu.count), (vec![0, 0], vec![0, 0]));
    // No units at all, and a window of four samples.
    case.params.n_units = 0;
    let (cpu, gpu) = case.play(both);
    assert_eq!((cpu.count, gpu.count), (vec![0, 0], vec![0, 0]));
    case.params = MatchTemplatesParams {
        n_units: 1,
        n_samples: 4,
        n_tiles: 1,
        last: 4,
        ..case.params
    };
    let (cpu, gpu) = case.play(both);
    assert_eq!((cpu.count, gpu.count), (vec![0, 0], vec![0, 0]));
}
