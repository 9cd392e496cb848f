//! Laws of the sorting stages that are functions of arrays: noise, whitening, clustering, templates, metrics, curation.

use proptest::prelude::*;
use somata_engine::{
    linalg::{self, Edge},
    parameters::sorting::{Clustering, Curation, Preprocessing},
    recording::Contact,
    sorting::{
        clustering::{
            cluster_channel,
            kmeans::kmeans,
            mixture::fit,
            refractory::{Evidence, RefractoryTest, erfc, pairs, poisson_cdf},
            strips::Strips,
        },
        curation::{judge, rejoin::without_doubles, trains},
        events::SpikeEvent,
        geometry::Geometry,
        match_tables::MatchTables,
        preprocessing::{
            bad_channels::{BadChannel, detect},
            survey::{Survey, deviation},
            whitening::{Whitening, estimate, quiet_samples, scale_to_spike_band},
        },
        quality_metrics::{
            amplitude_cutoff::amplitude_cutoff, firing_rate::firing_rate_hz,
            isi_violations::isi_violations, presence_ratio::presence_ratio,
            rp_contamination::rp_contamination,
        },
        template_matching::Spike,
        templates::{MergeRule, Taps, Template, cosine, distance, merge},
    },
};

use super::values::{Course, Table, all_finite, any_bits, cases, course, finite};

/// A survey of one piece, and contacts in a column of which every second lies aside.
fn survey(table: &Table) -> (Survey, Geometry) {
    let contacts = (0..table.columns)
        .map(|c| Contact {
            x_um: 16.0 * (c % 2) as f64,
            y_um: 20.0 * c as f64,
            shank: c / 12,
        })
        .collect();
    let survey = Survey {
        n_channels: table.columns,
        piece: table.rows,
        n_samples: table.rows,
        data: table.transposed(),
        not_finite: 0,
    };
    (survey, Geometry { contacts })
}

/// Long channels from short courses that are repeated with another sign and size: as ordinary or extreme as those.
fn long_table(rows: usize, columns: std::ops::Range<usize>) -> impl Strategy<Value = Table> {
    const STRETCH: usize = 97;
    (
        prop::collection::vec(course(STRETCH), columns),
        any::<u32>(),
    )
        .prop_map(move |(courses, seed)| {
            let columns = courses.len();
            let mut values = vec![0.0; rows * columns];
            for (c, course) in courses.iter().enumerate() {
                for t in 0..rows {
                    let turn = (t / STRETCH) as u32;
                    let sign = if (turn ^ seed).wrapping_mul(0x9e37_79b1 + 2 * c as u32) >> 31 == 0
                    {
                        1.0
                    } else {
                        -1.0
                    };
                    let same = matches!(course, Course::Constant(_) | Course::Railed(_));
                    values[t * columns + c] =
                        if same { 1.0 } else { sign } * course.at(t % STRETCH);
                }
            }
            Table {
                rows,
                columns,
                values,
            }
        })
}

proptest! {
    #![proptest_config(cases(120))]

    #[test]
    fn a_whitening_of_anything_is_finite_and_does_not_depend_on_the_unit(table in long_table(1500, 1..20)) {
        let table = Table {
            // Denormal noise has a test of its own below.
            values: table.values.iter().map(|v| if v.is_normal() { *v } else { 0.0 }).collect(),
            ..table
        };
        let whitened = |table: &Table| {
            let (mut data, geometry) = survey(table);
            let deviations = data.deviations();
            let matrix = estimate(&mut data, &deviations, &geometry, 60.0);
            (data, matrix)
        };
        let (data, plain) = whitened(&table);
        let mut matrix = plain.clone();
        all_finite("whitened", &data.data)?;
        all_finite("matrix", &matrix)?;
        prop_assert_eq!(matrix.len(), table.columns * table.columns);
        let sparse = Whitening::new(&matrix, table.columns);
        prop_assert!(sparse.neighbour.iter().all(|&n| (n as usize) < table.columns));
        let shape: Vec<f32> = (0..30).map(|t| if t == 10 { -1.0 } else { 0.0 }).collect();
        let power = scale_to_spike_band(&data, &mut matrix, &shape, 30, 10);
        all_finite("matrix for spikes", &matrix)?;
        all_finite("power", &power)?;

        // In other units (a power of two, so that nothing is rounded) the weights are as much smaller, and the result the same.
        // Not where numbers are at the ends of what single precision has.
        let ordinary = |v: &f32| *v == 0.0 || (1e-3..=1e6).contains(&v.abs());
        if table.values.iter().all(ordinary) {
            let larger = Table { values: table.values.iter().map(|v| 16.0 * v).collect(), ..table.clone() };
            for (a, b) in whitened(&larger).1.iter().zip(&plain) {
                // The eigenvectors of sums that are rounded alike.
                prop_assert!((16.0 * a - b).abs() <= 1e-3 * b.abs() + 1e-6, "{} {}", a, b);
            }
        }
    }

    #[test]
    fn channels_are_judged_by_their_noise_alone(table in long_table(700, 1..40)) {
        let (data, _) = survey(&table);
        let verdict = detect(&data, &Preprocessing::default());
        prop_assert_eq!(verdict.len(), table.columns);
        for (c, verdict) in verdict.iter().enumerate() {
            let column = table.column(c);
            if column.iter().all(|v| *v == 0.0) {
                prop_assert_eq!(*verdict, Some(BadChannel::Dead));
            }
            // The same channel once more is judged the same.
            let mine = detect(&data, &Preprocessing::default())[c];
            prop_assert_eq!(*verdict, mine);
        }
        // One channel alone is as noisy as the typical one: it is dead or it is good.
        let alone = Table { rows: table.rows, columns: 1, values: table.column(0) };
        let (alone, _) = survey(&alone);
        prop_assert_ne!(detect(&alone, &Preprocessing::default())[0], Some(BadChannel::Noisy));
    }

    #[test]
    fn quiet_samples_are_those_far_from_loud_ones(
        x in prop::collection::vec(any_bits(), 0..80),
        limit in 0.1f32..300.0,
        pad in 0usize..12,
    ) {
        let quiet = quiet_samples(&x, limit, pad);
        prop_assert_eq!(quiet.len(), x.len());
        for t in 0..x.len() {
            let around = &x[t.saturating_sub(pad)..(t + pad + 1).min(x.len())];
            prop_assert_eq!(quiet[t], !around.iter().any(|v| v.abs() >= limit), "{}", t);
        }
    }

    #[test]
    fn a_median_lies_in_the_middle(values in prop::collection::vec(finite(), 0..60)) {
        let mut copy = values.clone();
        let median = linalg::median(&mut copy);
        let below = values.iter().filter(|v| **v <= median).count();
        let above = values.iter().filter(|v| **v >= median).count();
        prop_assert!(2 * below >= values.len() && 2 * above >= values.len());
        prop_assert!(deviation(&values) >= 0.0);
    }

    #[test]
    fn smoothing_keeps_a_constant_and_stays_between_the_extremes(
        values in prop::collection::vec(finite().prop_map(f64::from), 1..60),
        sigma in 0.3f64..20.0,
        nearest in any::<bool>(),
    ) {
        let edge = if nearest { Edge::Nearest } else { Edge::Reflect };
        let smooth = linalg::gaussian(&values, sigma, edge);
        prop_assert_eq!(smooth.len(), values.len());
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        // Rounding of sums of some hundred products.
        let slack = 1e-13 * low.abs().max(high.abs());
        prop_assert!(smooth.iter().all(|v| (low - slack..=high + slack).contains(v)));
    }

    #[test]
    fn a_positive_definite_system_is_solved(
        (n, entries, right) in (1usize..9).prop_flat_map(|n| (
            Just(n),
            prop::collection::vec(-1.0f64..1.0, n * n),
            prop::collection::vec(-1.0f64..1.0, n),
        )),
        ridge in 1e-3f64..1.0,
    ) {
        let mut a = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..n {
                a[i * n + j] = (0..n).map(|k| entries[i * n + k] * entries[j * n + k]).sum();
            }
            a[i * n + i] += ridge;
        }
        let x = linalg::solve_spd(&a, n, &right, 1).expect("positive definite");
        for i in 0..n {
            let sum: f64 = (0..n).map(|j| a[i * n + j] * x[j]).sum();
            // The condition is at most n² over the ridge: 1e5.
            prop_assert!((sum - right[i]).abs() < 1e-9);
        }
        let (values, vectors) = linalg::eigh(&a, n);
        prop_assert!(values.is_sorted_by(|a, b| a >= b) && values.iter().all(|v| *v > 0.0));
        for (k, vector) in vectors.chunks_exact(n).enumerate() {
            for (j, other) in vectors.chunks_exact(n).enumerate() {
                let product: f64 = vector.iter().zip(other).map(|(a, b)| a * b).sum();
                prop_assert!((product - f64::from(u8::from(j == k))).abs() < 1e-10);
            }
        }
    }
}

/// Points in clusters, some of them all equal, and how many dimensions they have.
fn points() -> impl Strategy<Value = (Vec<f32>, usize)> {
    (1usize..6, 1usize..90).prop_flat_map(|(dimensions, n)| {
        let value = prop_oneof![6 => -30.0f32..30.0, 2 => Just(4.0f32), 1 => Just(0.0f32), 1 => Just(1e6f32)];
        (prop::collection::vec(value, dimensions * n), Just(dimensions))
    })
}

fn events(n_features: usize, n: std::ops::Range<usize>) -> impl Strategy<Value = Vec<SpikeEvent>> {
    let value =
        prop_oneof![8 => -20.0f32..20.0, 2 => Just(0.0f32), 1 => Just(1e6f32), 1 => Just(1e-42f32)];
    prop::collection::vec((0i64..600_000, prop::collection::vec(value, n_features)), n).prop_map(
        |mut all| {
            all.sort_by_key(|(sample, _)| *sample);
            let event = |(sample, features)| SpikeEvent {
                sample,
                channel: 0,
                unit: -1,
                amplitude: 1.0,
                features,
            };
            all.into_iter().map(event).collect()
        },
    )
}

proptest! {
    #![proptest_config(cases(90))]

    #[test]
    fn centres_are_means_and_every_cluster_has_a_point((points, dimensions) in points(), clusters in 1usize..12, seed in any::<u64>()) {
        let found = kmeans(&points, dimensions, clusters, 15, seed);
        let (n, k) = (points.len() / dimensions, found.centres.len() / dimensions);
        prop_assert_eq!(found.labels.len(), n);
        prop_assert!(k >= 1 && k <= clusters.min(n).max(1));
        all_finite("centres", &found.centres)?;
        for cluster in 0..k {
            prop_assert!(found.labels.contains(&cluster));
        }
    }

    #[test]
    fn a_mixture_explains_points_and_names_only_its_clusters((points, dimensions) in points(), k in 1i32..5) {
        let n = points.len() / dimensions;
        let points: Vec<f64> = points.iter().map(|&v| f64::from(v)).collect();
        let labels: Vec<i32> = (0..n).map(|i| i as i32 % k - i32::from(i % 7 == 6)).collect();
        let strips = Strips::new(points.chunks_exact(dimensions), dimensions);
        let (found, mixture) = fit(&strips, &labels, 12);
        prop_assert_eq!(found.len(), n);
        prop_assert!(found.iter().all(|&label| (-1..mixture.n_clusters() as i32).contains(&label)));
        prop_assert!(mixture.log_likelihood.is_finite(), "{}", mixture.log_likelihood);
        let numbers = mixture.mean.iter().chain(&mixture.spread).chain(&mixture.weight).chain(&mixture.amplitude_variance);
        prop_assert!(numbers.into_iter().all(|v| v.is_finite()));
        prop_assert!(mixture.nearest(&strips, n).iter().all(|&label| (0..mixture.n_clusters() as i32).contains(&label)));
    }

    #[test]
    fn a_channel_is_clustered_whatever_its_events(all in events(4, 0..220)) {
        let test = RefractoryTest::new(30_000.0, 600_000);
        let labels = cluster_channel(&all, &Clustering::default(), &test);
        prop_assert_eq!(labels.len(), all.len());
        let most = labels.iter().copied().max().unwrap_or(-1);
        for label in 0..=most {
            prop_assert!(labels.contains(&label), "cluster {} of {} is empty", label, most);
        }
        // The same events again give the same clusters.
        prop_assert_eq!(cluster_channel(&all, &Clustering::default(), &test), labels);
    }

    #[test]
    fn equal_events_are_one_cluster(features in prop::collection::vec(-30.0f32..30.0, 4), n in 1usize..150) {
        let all: Vec<SpikeEvent> = (0..n)
            .map(|i| SpikeEvent { sample: 900 * i as i64, channel: 0, unit: -1, amplitude: 1.0, features: features.clone() })
            .collect();
        let test = RefractoryTest::new(30_000.0, 900 * n as u64);
        let labels = cluster_channel(&all, &Clustering::default(), &test);
        prop_assert!(labels.iter().all(|label| *label == labels[0]), "{:?}", labels);
    }
}

const TAPS: Taps = Taps { n: 12, before: 4 };

fn template() -> impl Strategy<Value = Template> {
    (prop::collection::btree_set(0u32..6, 1..5), 1.0f64..500.0)
        .prop_flat_map(|(channels, n_events)| {
            let n = channels.len() * TAPS.n;
            let value = prop_oneof![8 => -9.0f32..9.0, 2 => Just(0.0f32)];
            (
                Just(channels),
                prop::collection::vec(value, n),
                Just(n_events),
            )
        })
        .prop_map(|(channels, waveform, n_events)| Template {
            channels: channels.into_iter().collect(),
            waveform,
            n_events,
        })
}

/// Ascending times.
fn train(most: usize) -> impl Strategy<Value = Vec<i64>> {
    prop::collection::vec(0i64..90_000, 0..most).prop_map(|mut train| {
        train.sort_unstable();
        train
    })
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn distances_and_cosines_of_templates_are_symmetric(a in template(), b in template()) {
        let (d, lag) = distance(&a, &b, 0.1, 4, TAPS);
        let (back, _) = distance(&b, &a, 0.1, 4, TAPS);
        prop_assert!(d.is_finite() && d >= 0.0 && lag.abs() <= 4);
        // Sums in another order.
        prop_assert!((d - back).abs() <= 1e-3 * (1.0 + d), "{} {}", d, back);
        prop_assert_eq!(distance(&a, &a, 0.1, 4, TAPS).0, 0.0);
        let (c, _) = cosine(&a, &b, 4, TAPS);
        let (back, _) = cosine(&b, &a, 4, TAPS);
        prop_assert!((0.0..=1.0 + 1e-6).contains(&c), "{}", c);
        prop_assert!((c - back).abs() < 1e-6);
        if a.norm2() > 0.0 {
            prop_assert!((cosine(&a, &a, 4, TAPS).0 - 1.0).abs() < 1e-5);
        }
    }

    #[test]
    fn denoising_only_takes_away(mut a in template(), keep in 0.0f64..10.0, power in prop::collection::vec(0.0f32..5.0, 6)) {
        let (norm2, channels) = (a.norm2(), a.channels.clone());
        a.denoise(keep, &power, TAPS);
        prop_assert!(a.norm2() <= norm2 * (1.0 + 1e-9) && a.n_events.is_finite());
        prop_assert!(a.channels.iter().all(|channel| channels.contains(channel)));
        prop_assert_eq!(a.waveform.len(), a.channels.len() * TAPS.n);
    }

    #[test]
    fn merging_loses_no_spike_of_a_template_that_is_kept(
        all in prop::collection::vec((template(), train(40)), 0..7),
        complete in any::<bool>(),
    ) {
        let rule = MergeRule { min_norm: 0.0, min_distance: 3.0, amplitude_sigma: 0.1, max_lag: 3, max_shift: 4, complete };
        let test = RefractoryTest::new(30_000.0, 90_000);
        let n_spikes: usize = all.iter().map(|(_, train)| train.len()).sum();
        let n = all.len();
        let merged = merge(all, rule, &test, TAPS);
        prop_assert!(merged.len() <= n);
        prop_assert_eq!(merged.iter().map(|(_, train)| train.len()).sum::<usize>(), n_spikes);
        for (template, train) in &merged {
            all_finite("template", &template.waveform)?;
            prop_assert!(train.is_sorted() && template.channels.is_sorted());
        }
    }

    #[test]
    fn pairs_are_those_of_counting_all(a in train(40), b in train(40), from in -300i64..300, width in 0i64..300) {
        let to = from + width;
        let counted = a.iter().flat_map(|t| b.iter().map(move |u| u - t)).filter(|d| (from..=to).contains(d)).count();
        prop_assert_eq!(pairs(&a, &b, from, to), counted);
        // Seen from the other side.
        prop_assert_eq!(pairs(&b, &a, -to, -from), counted);
        let test = RefractoryTest::new(30_000.0, 90_000);
        prop_assert_eq!(test.compare(&a, &b), test.compare(&b, &a));
        prop_assert_eq!(test.is_surely_one_cell(&a, &b), test.is_surely_one_cell(&b, &a));
        if a.is_empty() {
            prop_assert_eq!(test.compare(&a, &b), Evidence::Unknown);
        }
    }

    #[test]
    fn a_distribution_grows_from_0_to_1(k in -3i64..2000, mean in prop_oneof![0.0f64..1500.0, Just(0.0), Just(1e-300), Just(1e9)], x in -40.0f64..40.0) {
        let (p, next) = (poisson_cdf(k, mean), poisson_cdf(k + 1, mean));
        prop_assert!((0.0..=1.0).contains(&p), "{}", p);
        prop_assert!(next >= p - 1e-12);
        prop_assert!((0.0..=2.0).contains(&erfc(x)));
        // The approximation is good to 1.2e-7 of its value.
        prop_assert!((erfc(x) + erfc(-x) - 2.0).abs() < 1e-6);
    }

    #[test]
    fn metrics_of_any_train_are_shares_and_rates(train in train(700), n_samples in 90_000u64..9_000_000, rate_hz in 5000.0f64..100_000.0) {
        let duration_s = n_samples as f64 / rate_hz;
        let share = |name: &str, value: f64| -> Result<(), TestCaseError> {
            prop_assert!(value.is_nan() || (0.0..=1.0).contains(&value), "{} {}", name, value);
            Ok(())
        };
        share("presence", presence_ratio(&train, rate_hz, n_samples))?;
        share("contamination", rp_contamination(&train, rate_hz, n_samples))?;
        let (count, ratio) = isi_violations(&train, rate_hz, duration_s);
        prop_assert!(count < train.len().max(1));
        prop_assert_eq!(ratio.is_nan(), train.is_empty());
        prop_assert!(ratio.is_nan() || (ratio >= 0.0 && ratio.is_finite()));
        prop_assert_eq!(firing_rate_hz(train.len(), duration_s).is_nan(), train.is_empty());
        // A train that is moved in time violates as much.
        let later: Vec<i64> = train.iter().map(|t| t + 1_000_003).collect();
        prop_assert_eq!(isi_violations(&later, rate_hz, duration_s).0, count);
    }

    #[test]
    fn an_amplitude_cutoff_does_not_depend_on_the_unit(
        amplitudes in prop_oneof![
            prop::collection::vec(-500.0f64..500.0, 0..900),
            prop::collection::vec(finite().prop_map(f64::from), 480..600),
            (0usize..700).prop_map(|n| vec![7.0; n]),
        ],
    ) {
        let cutoff = amplitude_cutoff(&amplitudes);
        prop_assert!(cutoff.is_nan() || (0.0..=0.5).contains(&cutoff));
        prop_assert!(!cutoff.is_nan() || amplitudes.len() < 500 || amplitudes.iter().all(|v| *v == amplitudes[0]));
        let larger: Vec<f64> = amplitudes.iter().map(|v| 8.0 * v).collect();
        prop_assert_eq!(amplitude_cutoff(&larger).to_bits(), cutoff.to_bits());
    }

    #[test]
    fn of_doubles_the_first_is_kept(train in train(60), within in 0i64..2000) {
        let spikes: Vec<(i64, u64)> = train.iter().enumerate().map(|(row, t)| (*t, row as u64)).collect();
        let kept = without_doubles(&spikes, within);
        prop_assert!(kept.windows(2).all(|pair| pair[1].0 - pair[0].0 > within));
        prop_assert_eq!(kept.first(), spikes.first());
        prop_assert_eq!(without_doubles(&kept, within), kept.clone());
        for spike in &spikes {
            prop_assert!(kept.iter().any(|other| (0..=within).contains(&(spike.0 - other.0))), "{:?}", spike);
        }
    }

    #[test]
    fn every_unit_gets_a_verdict(templates in prop::collection::vec(template(), 0..5), spikes in prop::collection::vec((0i64..90_000, 0u32..5), 0..200)) {
        let tables = MatchTables::new(&templates, 2, 0.0, TAPS);
        let n = tables.n_units();
        let mut spikes: Vec<Spike> = spikes
            .into_iter()
            .filter(|(_, unit)| (*unit as usize) < n)
            .map(|(sample, unit)| Spike { sample, unit, amplitude: 1.0 })
            .collect();
        spikes.sort_by_key(|spike| (spike.sample, spike.unit));
        let verdict = judge(&tables, &spikes, &Curation::default(), &Clustering::default(), 30_000.0, 90_000);
        prop_assert_eq!(verdict.len(), n);
        let trains = trains(&spikes, n);
        prop_assert_eq!(trains.iter().map(Vec::len).sum::<usize>(), spikes.len());
        for (verdict, train) in verdict.iter().zip(&trains) {
            prop_assert!(verdict.is_some() || train.len() >= Clustering::default().min_spikes as usize);
        }
    }
}

#[test]
fn the_whitening_of_denormal_noise_is_finite() {
    let table = Table {
        rows: 1500,
        columns: 2,
        values: [-32_768.0, -3e-41].repeat(1500),
    };
    let (mut data, geometry) = survey(&table);
    let deviations = data.deviations();
    let matrix = estimate(&mut data, &deviations, &geometry, 60.0);
    assert!(data.data.iter().all(|v| v.is_finite()));
    assert!(matrix.iter().all(|v| v.is_finite()), "{matrix:?}");
}
