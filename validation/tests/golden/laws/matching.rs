//! Laws of template matching: scores are linear, spikes keep the bounds, what is subtracted can be added again.

use proptest::prelude::*;
use somata_shaders::{
    cpu::sorting::{
        match_templates::{MatchScratch, MatchTables, gain_and_amplitude, match_templates},
        score_templates::score_templates,
        subtract_templates::subtract_templates,
    },
    layout::{MATCH_TILE, MatchTemplatesParams, ScoreTemplatesParams, SubtractTemplatesParams},
};

use super::values::{Table, all_finite, any_bits, cases, close, largest, table};

const TAPS: usize = 9;
const EPSILON: f32 = f32::EPSILON;

/// Templates of one component each on one or two channels.
#[derive(Clone, Debug)]
struct Templates {
    channel_start: Vec<u32>,
    channel: Vec<u32>,
    spatial: Vec<f32>,
    temporal: Vec<f32>,
}

impl Templates {
    fn n(&self) -> usize {
        self.channel_start.len() - 1
    }

    /// `[entry, tap]`.
    fn waveform(&self) -> Vec<f32> {
        (0..self.n())
            .flat_map(|u| {
                let entries = self.channel_start[u] as usize..self.channel_start[u + 1] as usize;
                entries.flat_map(move |i| {
                    (0..TAPS).map(move |l| self.spatial[i] * self.temporal[u * TAPS + l])
                })
            })
            .collect()
    }

    /// The waveform of a unit on a channel, 0 where it is not.
    fn at(&self, unit: usize, channel: usize, tap: usize) -> f64 {
        let entries = self.channel_start[unit] as usize..self.channel_start[unit + 1] as usize;
        entries
            .filter(|&i| self.channel[i] as usize == channel)
            .map(|i| f64::from(self.spatial[i]) * f64::from(self.temporal[unit * TAPS + tap]))
            .sum()
    }

    /// `sum_c sum_l template_u[c, l + d] * template_v[c, l]` for every lag.
    fn cross(&self, u: usize, v: usize, channels: usize) -> Vec<f32> {
        let taps = TAPS as i64;
        (1 - taps..taps)
            .map(|d| {
                let mut sum = 0.0;
                for c in 0..channels {
                    for l in (0..taps).filter(|l| (0..taps).contains(&(l + d))) {
                        sum += self.at(u, c, (l + d) as usize) * self.at(v, c, l as usize);
                    }
                }
                sum as f32
            })
            .collect()
    }
}

fn templates(channels: usize) -> impl Strategy<Value = Templates> {
    let one = (
        prop::collection::btree_set(0..channels as u32, 1..=2.min(channels)),
        prop::collection::vec(prop_oneof![-6.0f32..-0.5, 0.5f32..6.0], 2),
        prop::collection::vec(-1.0f32..1.0, TAPS),
    );
    prop::collection::vec(one, 1..5).prop_map(|all| {
        let mut made = Templates {
            channel_start: vec![0],
            channel: Vec::new(),
            spatial: Vec::new(),
            temporal: Vec::new(),
        };
        for (channels, spatial, temporal) in all {
            made.spatial.extend(&spatial[..channels.len()]);
            made.channel.extend(channels);
            made.channel_start.push(made.channel.len() as u32);
            made.temporal.extend(temporal);
        }
        made
    })
}

fn data() -> impl Strategy<Value = (Table, Templates)> {
    table(1usize..150, 1usize..6).prop_flat_map(|mut table| {
        // Whitened data, in noise deviations.
        table
            .values
            .iter_mut()
            .for_each(|v| *v = v.clamp(-1e4, 1e4));
        let templates = templates(table.columns);
        (Just(table), templates)
    })
}

fn scores(x: &[f32], table: &Table, templates: &Templates) -> Vec<f32> {
    let params = ScoreTemplatesParams {
        n_blocks: 1,
        n_samples: table.rows as u32,
        n_channels: table.columns as u32,
        n_units: templates.n() as u32,
        n_taps: TAPS as u32,
        rank: 1,
    };
    let mut out = vec![f32::NAN; templates.n() * table.rows];
    score_templates(
        &params,
        x,
        &templates.channel_start,
        &templates.channel,
        &templates.spatial,
        &templates.temporal,
        &mut out,
    );
    out
}

/// Start sample, unit, amplitude, gain of every spike; `None` when the list was full.
fn matched(
    scores: &mut [f32],
    table: &Table,
    templates: &Templates,
    capacity: usize,
) -> Option<Vec<(u32, u32, f32, f32)>> {
    let (units, samples) = (templates.n(), table.rows);
    let tiles = samples.div_ceil(MATCH_TILE as usize);
    let cross: Vec<f32> = (0..units * units)
        .flat_map(|pair| templates.cross(pair / units, pair % units, table.columns))
        .collect();
    let norm: Vec<f32> = (0..units)
        .map(|u| cross[(u * units + u) * (2 * TAPS - 1) + TAPS - 1])
        .collect();
    let params = MatchTemplatesParams {
        n_blocks: 1,
        n_samples: samples as u32,
        n_units: units as u32,
        n_taps: TAPS as u32,
        threshold: 8.0,
        amplitude_min: 0.6,
        amplitude_max: 1.6,
        refractory: 5,
        sweeps: 3,
        jitter: 4,
        first: 0,
        last: (samples + 1).saturating_sub(TAPS) as u32,
        capacity: capacity as u32,
        n_tiles: tiles as u32,
    };
    let tables = MatchTables {
        norm: &norm,
        precision: &vec![50.0; units],
        score_min: &vec![0.0; units],
        pair_start: &(0..=units).map(|u| (u * units) as u32).collect::<Vec<_>>(),
        pair_unit: &(0..units * units)
            .map(|pair| (pair % units) as u32)
            .collect::<Vec<_>>(),
        cross: &cross,
    };
    // The scratch is of whole words: windows of the engine are a multiple of four samples.
    let scratch = MatchScratch {
        blocked: &mut vec![0; units * samples / 4],
        tile_gain: &mut vec![0.0; tiles * units],
        tile_time: &mut vec![0; tiles * units],
    };
    let (mut spikes, mut count) = (vec![0u32; 4 * capacity], [0u32]);
    match_templates(&params, scores, tables, scratch, &mut spikes, &mut count);
    (count[0] as usize <= capacity).then(|| {
        spikes.as_chunks::<4>().0[..count[0] as usize]
            .iter()
            .map(|s| (s[0], s[1], f32::from_bits(s[2]), f32::from_bits(s[3])))
            .collect()
    })
}

/// A table whose rows are a multiple of four.
fn by_fours(mut table: Table) -> Table {
    table.rows = (table.rows / 4 * 4).max(4);
    table.values.resize(table.rows * table.columns, 0.0);
    table
}

proptest! {
    #![proptest_config(cases(120))]

    #[test]
    fn scores_are_the_direct_sum_and_linear((table, templates) in data()) {
        let (samples, x) = (table.rows, table.transposed());
        let got = scores(&x, &table, &templates);
        let norm = largest(&templates.spatial) * 2.0 * TAPS as f32;
        // Sums by a fast transform over a stretch of the data: its rounding is that of the largest value in the stretch.
        let tolerance = 40.0 * EPSILON * norm * largest(&x) + f32::MIN_POSITIVE;
        for u in 0..templates.n() {
            let want: Vec<f32> = (0..samples)
                .map(|t| {
                    if t + TAPS > samples {
                        return 0.0;
                    }
                    let of = |c: usize| (0..TAPS).map(|l| templates.at(u, c, l) * f64::from(x[c * samples + t + l])).sum::<f64>();
                    (0..table.columns).map(of).sum::<f64>() as f32
                })
                .collect();
            close("score", &got[u * samples..(u + 1) * samples], &want, tolerance)?;
        }
        let twice: Vec<f32> = x.iter().map(|v| 2.0 * v).collect();
        let doubled: Vec<f32> = got.iter().map(|v| 2.0 * v).collect();
        close("doubled", &scores(&twice, &table, &templates), &doubled, 2.0 * tolerance)?;
    }

    #[test]
    fn spikes_are_sorted_within_bounds_and_keep_their_refractory_period((table, templates) in data()) {
        let table = by_fours(table);
        let mut all = scores(&table.transposed(), &table, &templates);
        if let Some(spikes) = matched(&mut all, &table, &templates, 200) {
            prop_assert!(spikes.is_sorted_by_key(|s| (s.0, s.1)));
            for &(time, unit, amplitude, gain) in &spikes {
                prop_assert!((unit as usize) < templates.n() && time as usize + TAPS <= table.rows);
                prop_assert!((0.6..=1.6).contains(&amplitude) && gain >= 8.0, "{} {}", amplitude, gain);
            }
            for unit in 0..templates.n() as u32 {
                let mine: Vec<u32> = spikes.iter().filter(|s| s.1 == unit).map(|s| s.0).collect();
                prop_assert!(mine.windows(2).all(|pair| pair[1] - pair[0] > 5), "{:?}", mine);
            }
        }
    }

    #[test]
    fn silence_has_no_spikes_and_a_planted_one_is_found(templates in templates(3), at in 1usize..80, unit in 0usize..5) {
        let table = Table { rows: 100, columns: 3, values: vec![0.0; 300] };
        let unit = unit % templates.n();
        let mut none = scores(&table.transposed(), &table, &templates);
        prop_assert_eq!(matched(&mut none, &table, &templates, 10), Some(vec![]));
        let mut x = table.transposed();
        for c in 0..3 {
            for l in 0..TAPS {
                x[c * 100 + at + l] += templates.at(unit, c, l) as f32;
            }
        }
        let norm2: f64 = (0..3 * TAPS).map(|i| templates.at(unit, i / TAPS, i % TAPS).powi(2)).sum();
        let mut all = scores(&x, &table, &templates);
        let spikes = matched(&mut all, &table, &templates, 20).expect("room for all");
        // Its own gain is half its power; another template may explain it as well, but something does.
        if norm2 > 20.0 {
            prop_assert!(spikes.iter().any(|s| (s.0 as usize).abs_diff(at) < TAPS), "{:?}", spikes);
        }
    }

    #[test]
    fn hostile_scores_end(templates in templates(2), values in prop::collection::vec(any_bits(), 5 * 64), capacity in 0usize..30) {
        let table = Table { rows: 64, columns: 2, values: vec![0.0; 128] };
        let mut scores = values[..templates.n() * 64].to_vec();
        matched(&mut scores, &table, &templates, capacity);
    }

    #[test]
    fn a_gain_grows_with_the_score_and_the_amplitude_stays_in_its_bounds(
        b in -1e4f32..1e4,
        more in 0.0f32..1e3,
        norm in 0.0f32..1e4,
        precision in 1.0f32..1e3,
    ) {
        let (gain, amplitude) = gain_and_amplitude(b, norm, precision, 0.6, 1.6);
        let (larger, amplitude_of_more) = gain_and_amplitude(b + more, norm, precision, 0.6, 1.6);
        prop_assert!((0.6..=1.6).contains(&amplitude) && amplitude_of_more >= amplitude);
        // Three terms of some ten thousands.
        prop_assert!(larger >= gain - 16.0 * EPSILON * (b.abs() + more + norm + precision));
    }

    #[test]
    fn what_is_subtracted_can_be_added_again(
        (table, templates) in data(),
        list in prop::collection::vec((0usize..150, 0usize..5, 0.6f32..1.6), 0..12),
    ) {
        let x = table.transposed();
        let run = |x: &[f32], sign: f32| {
            let spikes: Vec<u32> = list
                .iter()
                .flat_map(|&(t, unit, amplitude)| [(t % table.rows) as u32, (unit % templates.n()) as u32, (sign * amplitude).to_bits(), 0])
                .collect();
            let params = SubtractTemplatesParams {
                n_blocks: 1,
                n_samples: table.rows as u32,
                n_channels: table.columns as u32,
                n_units: templates.n() as u32,
                n_taps: TAPS as u32,
                capacity: list.len() as u32,
            };
            let mut x = x.to_vec();
            subtract_templates(&params, &mut x, &spikes, &[list.len() as u32], &templates.channel_start, &templates.channel, &templates.waveform());
            x
        };
        let residual = run(&x, 1.0);
        all_finite("residual", &residual)?;
        // One rounding a spike and direction, of data and of templates up to 6.
        let tolerance = 4.0 * list.len() as f32 * EPSILON * (largest(&x) + 12.0 * list.len() as f32);
        close("added again", &run(&residual, -1.0), &x, tolerance)?;
    }
}
