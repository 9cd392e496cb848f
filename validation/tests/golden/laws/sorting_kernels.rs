//! Laws of the sorting kernels' twins up to the features.

use proptest::prelude::*;
use somata_engine::sorting::preprocessing::filter::{
    DELAY_TAPS, butterworth_highpass, delay_filters,
};
use somata_shaders::{
    cpu::{
        common::{
            decode_samples::decode_samples, pack_samples::pack_samples,
            unpack_samples::unpack_samples,
        },
        sorting::{
            common_reference::common_reference, detect_peaks::detect_peaks,
            highpass_filter::highpass_filter, interpolate_motion::interpolate_motion,
            localize_peaks::localize_peaks, phase_shift::phase_shift,
            project_features::project_features, score_footprints::score_footprints,
            sum_waveforms::sum_waveforms, whiten::whiten,
        },
    },
    layout::{
        CommonReferenceParams, DecodeSamplesParams, DetectPeaksParams, HighpassFilterParams,
        InterpolateMotionParams, LocalizePeaksParams, PackSamplesParams, PhaseShiftParams,
        ProjectFeaturesParams, ScoreFootprintsParams, SumWaveformsParams, UnpackSamplesParams,
        WhitenParams,
    },
};

use super::values::{LARGEST, Table, all_finite, any_bits, cases, close, finite, largest, table};

const EPSILON: f32 = f32::EPSILON;

fn referenced(table: &Table, members: &[u32]) -> Vec<f32> {
    let mut x = table.values.clone();
    let params = CommonReferenceParams {
        n_blocks: 1,
        n_samples: table.rows as u32,
        n_channels: table.columns as u32,
        n_groups: 1,
    };
    common_reference(&params, &[0, members.len() as u32], members, &mut x);
    x
}

fn filtered(table: &Table, cutoff_hz: f64) -> Vec<f32> {
    let mut x = table.values.clone();
    let params = HighpassFilterParams {
        n_blocks: 1,
        n_samples: table.rows as u32,
        n_channels: table.columns as u32,
        ..butterworth_highpass(cutoff_hz, 30_000.0)
    };
    highpass_filter(&params, &mut x);
    x
}

fn shifted(table: &Table, delays: &[f32]) -> Vec<f32> {
    let params = PhaseShiftParams {
        n_blocks: 1,
        n_samples: table.rows as u32,
        n_channels: table.columns as u32,
        n_taps: DELAY_TAPS as u32,
    };
    let mut out = vec![f32::NAN; table.values.len()];
    phase_shift(&params, &table.values, &delay_filters(delays), &mut out);
    out
}

/// The values of one channel as a table of its own.
fn alone(table: &Table, c: usize) -> Table {
    Table {
        rows: table.rows,
        columns: 1,
        values: table.column(c),
    }
}

/// Tables of neighbours and weights for so many channels, `[channel, k]`.
fn rows_of(channels: usize, k: usize) -> impl Strategy<Value = (Vec<u32>, Vec<f32>)> {
    (
        prop::collection::vec(0..channels as u32, channels * k),
        prop::collection::vec(prop_oneof![3 => -2.0f32..2.0, 1 => Just(0.0)], channels * k),
    )
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn decoded_samples_are_finite_and_every_replaced_one_is_counted(
        (raw, columns) in (1usize..9).prop_flat_map(|columns| (
            prop::collection::vec(any_bits(), columns * 20), Just(columns),
        )),
        gain in prop_oneof![-1e6f32..1e6, Just(1e-45f32), Just(1e6f32)],
        offset in prop_oneof![Just(0.0f32), -1e9f32..1e9],
    ) {
        let words: Vec<u32> = raw.iter().map(|v| v.to_bits()).collect();
        let params = DecodeSamplesParams {
            n_blocks: 1,
            n_samples: 20,
            n_file_channels: columns as u32,
            n_channels: columns as u32,
            sample_type: 3,
            block_words: words.len() as u32,
        };
        let select: Vec<u32> = (0..columns as u32).rev().collect();
        let (gain, offset) = (vec![gain; columns], vec![offset; columns]);
        let (mut out, mut replaced) = (vec![f32::NAN; raw.len()], [0u32]);
        decode_samples(&params, &words, &select, &gain, &offset, &mut out, &mut replaced);
        let mut expected = 0;
        for (i, &out) in out.iter().enumerate() {
            let (t, c) = (i / columns, i % columns);
            let value = raw[t * columns + columns - 1 - c] * gain[c] - offset[c];
            let kept = value.is_finite() && value.abs() <= LARGEST;
            expected += u32::from(!kept);
            prop_assert_eq!(out, if kept { value } else { 0.0 });
        }
        prop_assert_eq!(replaced[0], expected);
    }

    #[test]
    fn packed_samples_come_back_within_half_a_step(x in prop::collection::vec(any_bits(), 32), step in 1e-4f32..10.0) {
        let (mut packed, mut out) = ([0u32; 16], [f32::NAN; 32]);
        pack_samples(&PackSamplesParams { n_words: 16, scale: 1.0 / step }, &x, &mut packed);
        unpack_samples(&UnpackSamplesParams { n_words: 16, step }, &packed, &mut out);
        all_finite("unpacked", &out)?;
        for (x, out) in x.iter().zip(out).filter(|(x, _)| x.is_finite()) {
            let end = 32_767.0 * step;
            // Half a step, and the rounding of a value of up to 32,767 steps.
            prop_assert!((x.clamp(-end, end) - out).abs() <= step * 0.51, "{} {} {}", x, out, step);
        }
    }

    #[test]
    fn the_reference_takes_off_what_all_channels_share(
        table in table(1usize..80, 1usize..70),
        shared in finite(),
    ) {
        let members: Vec<u32> = (0..table.columns as u32).collect();
        let plain = referenced(&table, &members);
        all_finite("referenced", &plain)?;
        let moved = Table {
            values: table.values.iter().map(|v| v + shared).collect(),
            ..table.clone()
        };
        // The sum is rounded once, the median once, their difference once.
        let tolerance = 4.0 * EPSILON * (largest(&table.values) + shared.abs());
        close("with a shared value", &referenced(&moved, &members), &plain, tolerance)?;
        // And what is left has a median of 0.
        let left = Table { values: plain.clone(), ..table.clone() };
        close("referenced again", &referenced(&left, &members), &plain, tolerance)?;
    }

    #[test]
    fn the_reference_knows_no_order_of_channels_and_leaves_others_alone(
        table in table(1usize..20, 2usize..40),
        turn in 0usize..40,
    ) {
        // All but the last channel are in the group.
        let members: Vec<u32> = (0..table.columns as u32 - 1).collect();
        let plain = referenced(&table, &members);
        let n = members.len();
        let mut turned_members = members.clone();
        turned_members.rotate_left(turn % n);
        // Exact: the middle values are the same ones.
        prop_assert_eq!(&referenced(&table, &turned_members), &plain);
        for t in 0..table.rows {
            let last = t * table.columns + n;
            prop_assert_eq!(plain[last], table.values[last]);
        }
    }

    #[test]
    fn the_filter_takes_off_a_constant_and_keeps_channels_apart(
        table in table(1usize..120, 1usize..12),
        offset in -1e5f32..1e5,
        cutoff_hz in 100.0f64..5000.0,
    ) {
        let plain = filtered(&table, cutoff_hz);
        all_finite("filtered", &plain)?;
        // The response of both directions to a unit step and to an impulse sums up to less than this.
        prop_assert!(largest(&plain) <= 40.0 * largest(&table.values) + f32::MIN_POSITIVE);
        let raised = Table {
            values: table.values.iter().map(|v| v + offset).collect(),
            ..table.clone()
        };
        // Rounding of the raised samples, handed on by a filter whose responses sum up to tens.
        let tolerance = 200.0 * EPSILON * (largest(&table.values) + offset.abs());
        close("raised", &filtered(&raised, cutoff_hz), &plain, tolerance)?;
        for c in 0..table.columns {
            let mine = filtered(&alone(&table, c), cutoff_hz);
            let of_all: Vec<f32> = (0..table.rows).map(|t| plain[t * table.columns + c]).collect();
            prop_assert_eq!(mine, of_all, "channel {}", c);
        }
    }

    #[test]
    fn a_constant_channel_filters_to_nothing(value in finite(), rows in 1usize..100) {
        let table = Table { rows, columns: 1, values: vec![value; rows] };
        prop_assert!(filtered(&table, 300.0).iter().all(|&v| v == 0.0));
    }

    #[test]
    fn delays_pass_a_constant_and_no_delay_changes_nothing(
        table in table(1usize..60, 1usize..10),
        delay in 0.0f32..1.0,
        value in finite(),
    ) {
        let still = shifted(&table, &vec![0.0; table.columns]);
        // Taps of an integer shift are 1 and numbers of 1e-17; the sum over 33 of them is rounded each time.
        close("no delay", &still, &table.values, 4.0 * EPSILON * largest(&table.values))?;
        let delays: Vec<f32> = (0..table.columns).map(|c| (delay + c as f32 * 0.1) % 1.0).collect();
        all_finite("delayed", &shifted(&table, &delays))?;
        let constant = Table { rows: 40, columns: 1, values: vec![value; 40] };
        // 33 products and sums, of taps whose magnitudes sum up to 3.
        let tolerance = 120.0 * EPSILON * value.abs() + f32::MIN_POSITIVE;
        close("constant", &shifted(&constant, &[delay]), &constant.values, tolerance)?;
    }

    #[test]
    fn whitening_is_a_matrix_product(
        (table, (neighbour, weight), k) in (table(1usize..300, 1usize..24), 1usize..6)
            .prop_flat_map(|(table, k)| {
                let rows = rows_of(table.columns, k);
                (Just(table), rows, Just(k))
            }),
    ) {
        let (rows, columns) = (table.rows, table.columns);
        let params = WhitenParams {
            n_blocks: 1,
            n_samples: rows as u32,
            n_channels: columns as u32,
            n_neighbours: k as u32,
        };
        let run = |x: &[f32]| {
            let mut out = vec![f32::NAN; x.len()];
            whiten(&params, x, &neighbour, &weight, &[0], &mut out);
            out
        };
        let got = run(&table.values);
        let want: Vec<f32> = (0..columns)
            .flat_map(|c| {
                let (table, neighbour, weight) = (&table, &neighbour, &weight);
                (0..rows).map(move |t| {
                    (c * k..(c + 1) * k)
                        .map(|e| f64::from(weight[e]) * f64::from(table.values[t * columns + neighbour[e] as usize]))
                        .sum::<f64>() as f32
                })
            })
            .collect();
        // A product and a sum an entry, weights up to 2.
        let tolerance = 4.0 * (k * k) as f32 * EPSILON * largest(&table.values) + f32::MIN_POSITIVE;
        close("whitened", &got, &want, tolerance)?;
        // Exact: a power of two only moves the exponent, where no number is denormal.
        let normal: Vec<f32> = table.values.iter().map(|v| if v.abs() < 1e-20 { 0.0 } else { *v }).collect();
        let doubled: Vec<f32> = run(&normal).iter().map(|v| 4.0 * v).collect();
        prop_assert_eq!(run(&normal.iter().map(|v| 4.0 * v).collect::<Vec<_>>()), doubled);
    }

    #[test]
    fn moving_by_the_identity_changes_nothing(table in table(1usize..300, 1usize..12)) {
        let neighbour: Vec<u32> = (0..table.columns as u32).collect();
        let params = InterpolateMotionParams {
            n_blocks: 1,
            n_samples: table.rows as u32,
            n_channels: table.columns as u32,
            n_neighbours: 1,
        };
        let x = table.transposed();
        let mut out = vec![f32::NAN; x.len()];
        interpolate_motion(&params, &x, &neighbour, &vec![1.0; table.columns], &mut out);
        prop_assert_eq!(out, x);
    }
}

/// Shapes and weights of unit norm, as universal templates have.
fn unit_rows(n: usize, length: usize) -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(prop::collection::vec(-1.0f32..1.0, length), n).prop_map(|rows| {
        rows.into_iter()
            .flat_map(|mut row| {
                row[0] += 2.0;
                let norm = row.iter().map(|v| v * v).sum::<f32>().sqrt();
                row.into_iter().map(move |v| v / norm).collect::<Vec<_>>()
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(cases(120))]

    #[test]
    fn a_score_is_no_larger_than_what_it_is_of_and_a_stride_only_leaves_out(
        (table, neighbour, weight, shape) in table(1usize..200, 1usize..8).prop_flat_map(|table| {
            let n = table.columns;
            (
                Just(table),
                Just((0..n * 3).map(|i| ((i / 3 + i % 3) % n) as u32).collect::<Vec<u32>>()),
                unit_rows(2 * n, 3).prop_map(|w| w.into_iter().map(f32::abs).collect::<Vec<f32>>()),
                unit_rows(3, 7),
            )
        }),
        threshold in 0.0f32..50.0,
        stride in 2u32..5,
    ) {
        let (samples, channels) = (table.rows, table.columns);
        let x = table.transposed();
        let run = |stride: u32| {
            let params = ScoreFootprintsParams {
                n_blocks: 1,
                n_samples: samples as u32,
                n_channels: channels as u32,
                n_shapes: 3,
                n_sizes: 2,
                n_neighbours: 3,
                n_taps: 7,
                threshold,
                stride,
                gate: 0.5 * threshold,
            };
            let mut out = vec![f32::NAN; x.len()];
            score_footprints(&params, &x, &shape, &neighbour, &weight, &mut out);
            out
        };
        let all = run(1);
        all_finite("score", &all)?;
        for (i, &score) in all.iter().enumerate() {
            let (c, t) = (i / samples, i % samples);
            prop_assert!(score == 0.0 || score > threshold);
            if score == 0.0 {
                continue;
            }
            prop_assert!(t + 7 <= samples, "a shape beyond the window");
            // Cauchy and Schwarz, where a channel may be its own neighbour twice on a small probe.
            let power: f64 = (0..3)
                .flat_map(|n| {
                    let row = neighbour[c * 3 + n] as usize * samples + t;
                    x[row..row + 7].iter()
                })
                .map(|&v| f64::from(v).powi(2))
                .sum();
            prop_assert!(f64::from(score) <= power.sqrt() * (1.0 + 1e-4), "{} of {}", score, power.sqrt());
        }
        for (i, (some, all)) in run(stride).iter().zip(&all).enumerate() {
            prop_assert!(*some == 0.0 || some == all, "{}: {} {}", i, some, all);
        }
    }

    #[test]
    fn peaks_are_maxima_that_stand_alone(
        (samples, channels, score, x) in (1usize..120, 1usize..8).prop_flat_map(|(samples, channels)| (
            Just(samples),
            Just(channels),
            prop::collection::vec(prop_oneof![3 => 0.0f32..8.0, 2 => (0u8..6).prop_map(f32::from)], samples * channels),
            prop::collection::vec(any_bits(), samples * channels),
        )),
        exclusion in 0u32..9,
        first in 0u32..20,
    ) {
        let neighbour: Vec<u32> = (0..channels)
            .flat_map(|c| [c, c.saturating_sub(1), (c + 1).min(channels - 1)])
            .map(|c| c as u32)
            .collect();
        let params = DetectPeaksParams {
            n_blocks: 1,
            n_samples: samples as u32,
            n_channels: channels as u32,
            n_neighbours: 3,
            threshold: 2.0,
            exclusion,
            lobe: 2 * exclusion,
            lobe_ratio: 1.6,
            first,
            last: samples as u32,
            capacity: (samples * channels) as u32,
            before: 5,
            align_threshold: 4.0,
            align_radius: 3,
            positive_weight: 0.7,
        };
        let (mut peaks, mut count) = (vec![0u32; 4 * samples * channels], [0u32]);
        detect_peaks(&params, &score, &x, &neighbour, &mut peaks, &mut count);
        let peaks: Vec<[u32; 4]> = peaks.as_chunks::<4>().0[..count[0] as usize].to_vec();
        for &[trough, c, value, t] in &peaks {
            let (c, t, value) = (c as usize, t as usize, f32::from_bits(value));
            prop_assert_eq!(value, score[c * samples + t]);
            prop_assert!(value > 2.0 && t >= first as usize && t + 1 < samples);
            prop_assert!(i64::from(trough).abs_diff(t as i64 + 5) <= 3);
            for &[_, other, other_value, other_t] in &peaks {
                let other_value = f32::from_bits(other_value);
                let near = (other as usize).abs_diff(c) <= 1 && (other_t as usize).abs_diff(t) <= exclusion as usize;
                prop_assert!(!near || (other as usize, other_t as usize) == (c, t), "{} {}", value, other_value);
            }
        }
        // The largest score of all is a peak, when it is where peaks are looked for and no equal one touches it.
        if let Some(most) = score.iter().copied().reduce(f32::max)
            && most > 2.0
            && score.iter().filter(|v| **v == most).count() == 1
        {
            let at = score.iter().position(|v| *v == most).expect("there is one");
            let t = at % samples;
            if t >= first.max(1) as usize && t + 1 < samples {
                prop_assert!(peaks.iter().any(|peak| peak[2] == most.to_bits()), "{} at {}", most, t);
            }
        }
    }

    #[test]
    fn hostile_scores_are_survived(
        score in prop::collection::vec(any_bits(), 60),
        x in prop::collection::vec(any_bits(), 60),
    ) {
        let params = DetectPeaksParams {
            n_blocks: 1,
            n_samples: 20,
            n_channels: 3,
            n_neighbours: 1,
            threshold: 2.0,
            exclusion: 3,
            lobe: 6,
            lobe_ratio: 1.6,
            first: 0,
            last: 20,
            capacity: 5,
            before: 5,
            align_threshold: 4.0,
            align_radius: 30,
            positive_weight: 0.7,
        };
        let (mut peaks, mut count) = ([0u32; 20], [0u32]);
        detect_peaks(&params, &score, &x, &[0, 1, 2], &mut peaks, &mut count);
        prop_assert!(count[0] <= 60);
    }

    #[test]
    fn places_lie_among_the_channels_and_move_with_the_probe(
        table in table(12usize..60, 1usize..9),
        shape in unit_rows(2, 7),
        starts in prop::collection::vec((0usize..60, 0usize..9), 1..12),
        move_um in -4000.0f32..4000.0,
    ) {
        let (samples, channels) = (table.rows, table.columns);
        let neighbour: Vec<u32> = (0..channels)
            .flat_map(|c| [c as u32, if c > 0 { c as u32 - 1 } else { u32::MAX }])
            .collect();
        let peaks: Vec<u32> = starts
            .iter()
            .flat_map(|&(t, c)| [0, (c % channels) as u32, 0, (t % samples) as u32])
            .collect();
        let params = LocalizePeaksParams {
            n_blocks: 1,
            n_samples: samples as u32,
            n_channels: channels as u32,
            n_shapes: 2,
            n_neighbours: 2,
            capacity: starts.len() as u32,
            n_taps: 7,
        };
        let x = table.transposed();
        let place = |move_um: f32| {
            let position: Vec<f32> = (0..channels)
                .flat_map(|c| [16.0 * (c % 2) as f32 + move_um, 20.0 * c as f32 + move_um])
                .collect();
            let mut out = vec![f32::NAN; 4 * starts.len()];
            localize_peaks(&params, &x, &shape, &peaks, &[starts.len() as u32], &neighbour, &position, &mut out);
            out
        };
        let (here, there) = (place(0.0), place(move_um));
        all_finite("places", &here)?;
        for (k, (here, there)) in here.as_chunks::<4>().0.iter().zip(there.as_chunks::<4>().0).enumerate() {
            let c = starts[k].1 % channels;
            prop_assert!((-1e-3..=16.001).contains(&here[0]), "{:?}", here);
            let (low, high) = (20.0 * c.saturating_sub(1) as f32, 20.0 * c as f32);
            prop_assert!((low - 1e-2..=high + 1e-2).contains(&here[1]), "{:?}", here);
            prop_assert!(here[2] >= 0.0 && (here[3] == 0.0 || here[3] == 1.0));
            // A weighted mean of numbers of 4,000, of few terms.
            let tolerance = 8.0 * EPSILON * (move_um.abs() + 200.0);
            close("moved", &[there[0] - move_um, there[1] - move_um], &here[..2], tolerance)?;
        }
    }

    #[test]
    fn features_are_projections_and_sums_know_no_order(
        table in table(1usize..60, 1usize..6),
        basis in unit_rows(3, 9),
        events in prop::collection::vec((0usize..70, 0usize..6, 0u32..3), 0..12),
    ) {
        let (samples, channels) = (table.rows, table.columns);
        // Whitened data, in noise deviations.
        let x: Vec<f32> = table.transposed().iter().map(|v| v.clamp(-1e4, 1e4)).collect();
        let list = |events: &[(usize, usize, u32)]| -> Vec<u32> {
            events
                .iter()
                .flat_map(|&(t, c, label)| [t as u32, (c % channels) as u32, label, 0])
                .collect()
        };
        let neighbour: Vec<u32> = (0..channels)
            .flat_map(|c| [c as u32, if c + 1 < channels { c as u32 + 1 } else { u32::MAX }])
            .collect();
        let count = [events.len() as u32];
        let params = ProjectFeaturesParams {
            n_blocks: 1,
            n_samples: samples as u32,
            n_channels: channels as u32,
            n_neighbours: 2,
            n_components: 3,
            n_taps: 9,
            before: 4,
            capacity: events.len() as u32,
        };
        let project = |x: &[f32]| {
            let mut out = vec![f32::NAN; 6 * events.len()];
            project_features(&params, x, &list(&events), &count, &neighbour, &basis, &mut out);
            out
        };
        let features = project(&x);
        all_finite("features", &features)?;
        // A projection on a unit vector is no longer than what is projected.
        prop_assert!(largest(&features) <= largest(&x) * 3.0 * (1.0 + 1e-5));
        let negative: Vec<f32> = x.iter().map(|v| -v).collect();
        let mirrored: Vec<f32> = project(&negative).iter().map(|v| -v).collect();
        prop_assert_eq!(&mirrored, &features);

        let params = SumWaveformsParams {
            n_blocks: 1,
            n_samples: samples as u32,
            n_channels: channels as u32,
            n_neighbours: 2,
            n_taps: 9,
            before: 4,
            capacity: events.len() as u32,
            scale: 64.0,
            limit: 2000.0,
        };
        let sum = |events: &[(usize, usize, u32)]| {
            let mut sums = vec![0i32; 3 * 2 * 9];
            sum_waveforms(&params, &x, &list(events), &count, &neighbour, &mut sums);
            sums
        };
        let mut reversed = events.clone();
        reversed.reverse();
        // Exact: sums of whole numbers.
        prop_assert_eq!(sum(&events), sum(&reversed));
        let most = 2000 * 64 * events.len() as i32;
        prop_assert!(sum(&events).iter().all(|v| v.abs() <= most));
    }
}
