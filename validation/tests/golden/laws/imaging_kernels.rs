//! Laws of the imaging kernels' twins.

use proptest::prelude::*;
use somata_shaders::{
    cpu::{
        common::transform_rows::transform_rows,
        imaging::{
            bin_frames::bin_frames, box_means::box_means, correlate_traces::correlate_traces,
            decode_frames::decode_frames, deconvolve::deconvolve, find_shifts::find_shifts,
            move_frames::move_frames, pool_maxima::pool_maxima,
            project_footprints::project_footprints, standardise_bins::standardise_bins,
            sum_bins::sum_bins,
        },
    },
    layout::{
        BinFramesParams, BoxMeansParams, CorrelateTracesParams, DecodeFramesParams,
        DeconvolveParams, FindShiftsParams, MoveFramesParams, PoolMaximaParams,
        ProjectFootprintsParams, StandardiseBinsParams, SumBinsParams, TransformRowsParams,
    },
};

use super::values::{LARGEST, all_finite, any_bits, cases, close, finite, largest};

const EPSILON: f32 = f32::EPSILON;

/// Frames `[frame, y, x]` of any size from one pixel on.
#[derive(Clone, Debug)]
struct Frames {
    n: usize,
    height: usize,
    width: usize,
    values: Vec<f32>,
}

fn frames(
    n: std::ops::Range<usize>,
    side: std::ops::Range<usize>,
) -> impl Strategy<Value = Frames> {
    (n, side.clone(), side).prop_flat_map(|(n, height, width)| {
        let count = n * height * width;
        let values = prop_oneof![
            6 => prop::collection::vec(finite(), count),
            1 => finite().prop_map(move |value| vec![value; count]),
            1 => prop::collection::vec(0u8..2, count).prop_map(|all| all.into_iter().map(|v| 65_535.0 * f32::from(v)).collect()),
        ];
        values.prop_map(move |values| Frames { n, height, width, values })
    })
}

fn moved(frames: &Frames, knots: &[f32], reference: &[f32]) -> (Vec<f32>, Vec<u32>) {
    let params = MoveFramesParams {
        n_frames: frames.n as u32,
        height: frames.height as u32,
        width: frames.width as u32,
        knot_rows: 1,
        knot_columns: 1,
    };
    let mut out = vec![f32::NAN; frames.values.len()];
    let mut spans = vec![u32::MAX; 2 * frames.n * frames.height];
    move_frames(
        &params,
        &frames.values,
        knots,
        reference,
        &mut out,
        &mut spans,
    );
    (out, spans)
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn decoded_frames_are_finite_and_an_offset_only_moves_odd_rows(
        (raw, height, width) in (1usize..7, 1usize..14).prop_flat_map(|(height, width)| (
            prop::collection::vec(any_bits(), 2 * height * width), Just(height), Just(width),
        )),
        row_offset in prop_oneof![Just(0.0f32), -20.0f32..20.0],
    ) {
        let words: Vec<u32> = raw.iter().map(|v| v.to_bits()).collect();
        let params = DecodeFramesParams {
            n_frames: 2,
            height: height as u32,
            width: width as u32,
            pixel_type: 3,
            row_offset,
        };
        let mut out = vec![f32::NAN; raw.len()];
        decode_frames(&params, &words, &mut out);
        all_finite("pixel", &out)?;
        for (i, (raw, out)) in raw.iter().zip(&out).enumerate() {
            if i / width % height % 2 == 0 || row_offset == 0.0 {
                let kept = raw.is_finite() && raw.abs() <= LARGEST;
                prop_assert_eq!(*out, if kept { *raw } else { 0.0 });
            }
        }
    }

    #[test]
    fn a_frame_that_is_not_moved_stays_and_one_that_is_shows_the_reference_beside(
        frames in frames(1..3, 1..24),
        shift in (-30i32..30, -30i32..30),
    ) {
        let n_pixels = frames.height * frames.width;
        let reference = vec![-7.0; n_pixels];
        let (still, spans) = moved(&frames, &vec![0.0; 2 * frames.n], &reference);
        prop_assert_eq!(&still, &frames.values);
        for span in spans.as_chunks::<2>().0 {
            prop_assert_eq!(*span, [0, frames.width as u32]);
        }
        let knots: Vec<f32> = (0..frames.n).flat_map(|_| [shift.0 as f32, shift.1 as f32]).collect();
        let (out, spans) = moved(&frames, &knots, &reference);
        all_finite("moved", &out)?;
        for (row, span) in out.chunks_exact(frames.width).zip(spans.as_chunks::<2>().0) {
            prop_assert!(span[0] <= span[1] && span[1] <= frames.width as u32, "{:?}", span);
            for (x, value) in row.iter().enumerate() {
                if !(span[0]..span[1]).contains(&(x as u32)) {
                    prop_assert_eq!(*value, -7.0);
                }
            }
        }
        // A whole number of pixels is a copy.
        for y in 0..frames.height {
            let from_y = y as i64 + i64::from(shift.0);
            for x in spans[2 * y] as usize..spans[2 * y + 1] as usize {
                let from_x = x as i64 + i64::from(shift.1);
                let inside = (0..frames.height as i64).contains(&from_y) && (0..frames.width as i64).contains(&from_x);
                prop_assert!(inside, "measured at {} {} from {} {}", y, x, from_y, from_x);
                let source = frames.values[from_y as usize * frames.width + from_x as usize];
                // Weights of 1 and 0 times values of the whole frame.
                let tolerance = 8.0 * EPSILON * largest(&frames.values);
                prop_assert!((out[y * frames.width + x] - source).abs() <= tolerance);
            }
        }
    }

    #[test]
    fn shifts_far_beyond_the_frame_show_the_reference(
        frames in frames(1..2, 1..20),
        knots in prop::collection::vec(prop_oneof![finite(), -1e12f32..1e12], 2),
    ) {
        let reference = vec![1.0; frames.height * frames.width];
        let (_, spans) = moved(&frames, &knots, &reference);
        for span in spans.as_chunks::<2>().0 {
            prop_assert!(span[0] <= span[1] && span[1] <= frames.width as u32, "{:?}", span);
            prop_assert!(largest(&knots) < 21.0 || span[0] == span[1], "{:?} {:?}", span, knots);
        }
    }

    #[test]
    fn bins_are_means_of_good_frames(frames in frames(1..14, 1..7), bin_frames_in in 1usize..6, good in prop::collection::vec(any::<bool>(), 14)) {
        let (n, n_pixels) = (frames.n, frames.height * frames.width);
        let fit: Vec<f32> = (0..n).flat_map(|frame| [if good[frame] { 0.9 } else { 0.1 }, 1.0, 0.0]).collect();
        let spans: Vec<u32> = (0..n * frames.height).flat_map(|_| [0, frames.width as u32]).collect();
        let (n_bins, block_frames) = (n.div_ceil(bin_frames_in), n.next_multiple_of(bin_frames_in));
        let params = BinFramesParams {
            n_blocks: 1,
            block_frames: block_frames as u32,
            bin_frames: bin_frames_in as u32,
            n_frames: n as u32,
            height: frames.height as u32,
            width: frames.width as u32,
            min_correlation: 0.5,
        };
        let reference: Vec<f32> = (0..n_pixels).map(|p| p as f32).collect();
        let (mut bins, mut sums) = (vec![f32::NAN; n_bins * n_pixels], vec![f32::NAN; 5 * n_pixels]);
        bin_frames(&params, &frames.values, &spans, &fit, &reference, &mut bins, &mut sums);
        // Squares of the largest pixels fit as well.
        all_finite("sums", &sums)?;
        let n_good = (0..n).filter(|frame| good[*frame]).count();
        prop_assert!(sums[..n_pixels].iter().all(|count| *count == n_good as f32));
        prop_assert!(sums[2 * n_pixels..3 * n_pixels].iter().chain(&sums[4 * n_pixels..]).all(|v| *v >= 0.0));
        for bin in 0..n_bins {
            let of_bin: Vec<usize> = (bin * bin_frames_in..((bin + 1) * bin_frames_in).min(n)).filter(|f| good[*f]).collect();
            let want: Vec<f32> = (0..n_pixels)
                .map(|p| {
                    if of_bin.is_empty() {
                        return reference[p];
                    }
                    let sum: f64 = of_bin.iter().map(|f| f64::from(frames.values[f * n_pixels + p])).sum();
                    (sum / of_bin.len() as f64) as f32
                })
                .collect();
            // A difference to the reference and a sum a frame.
            let tolerance = 8.0 * EPSILON * (largest(&frames.values) + 100.0);
            close("bin", &bins[bin * n_pixels..(bin + 1) * n_pixels], &want, tolerance)?;
        }
    }

    #[test]
    fn the_mean_over_a_square_is_that_of_adding_up(frames in frames(1..2, 1..20), radius in 0usize..25) {
        let (height, width) = (frames.height, frames.width);
        let one = vec![1.0; height * width];
        let pass = |x: &[f32], axis: u32, scale: &[f32]| {
            let params = BoxMeansParams { n_images: 1, height: height as u32, width: width as u32, radius: radius as u32, axis };
            let mut out = vec![f32::NAN; x.len()];
            box_means(&params, x, scale, &mut out);
            out
        };
        let around = |at: usize, n: usize| at.saturating_sub(radius)..(at + radius + 1).min(n);
        let inverse: Vec<f32> = (0..height * width)
            .map(|p| 1.0 / (around(p / width, height).len() * around(p % width, width).len()) as f32)
            .collect();
        let got = pass(&pass(&frames.values, 0, &one), 1, &inverse);
        let want: Vec<f32> = (0..height * width)
            .map(|p| {
                let sum: f64 = around(p / width, height)
                    .flat_map(|y| around(p % width, width).map(move |x| y * width + x))
                    .map(|q| f64::from(frames.values[q]))
                    .sum();
                (sum * f64::from(inverse[p])) as f32
            })
            .collect();
        // Some tens of additions along each axis, of up to 20 values each.
        close("mean", &got, &want, 60.0 * EPSILON * largest(&frames.values) + f32::MIN_POSITIVE)?;
    }

    #[test]
    fn pooling_takes_the_largest(values in prop::collection::vec(finite(), 4 * 3 * 5)) {
        let mut out = [f32::NAN; 15];
        pool_maxima(&PoolMaximaParams { n_images: 1, height: 3, width: 5 }, &values, &mut out);
        let most = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        prop_assert!(out.contains(&most));
        for (i, pooled) in out.iter().enumerate() {
            let (y, x) = (2 * (i / 5), 2 * (i % 5));
            let four = [values[y * 10 + x], values[y * 10 + x + 1], values[(y + 1) * 10 + x], values[(y + 1) * 10 + x + 1]];
            prop_assert_eq!(*pooled, four.into_iter().fold(f32::NEG_INFINITY, f32::max));
        }
    }

    #[test]
    fn footprints_of_one_pixel_read_that_pixel(frames in frames(1..5, 1..12), places in prop::collection::vec(0usize..144, 1..9), weight in -3.0f32..3.0) {
        let n_pixels = frames.height * frames.width;
        let pixel: Vec<u32> = places.iter().map(|p| (p % n_pixels) as u32).collect();
        let start: Vec<u32> = (0..=pixel.len() as u32).collect();
        let params = ProjectFootprintsParams { n_frames: frames.n as u32, n_pixels: n_pixels as u32, n_rows: pixel.len() as u32 };
        let mut out = vec![f32::NAN; frames.n * pixel.len()];
        project_footprints(&params, &frames.values, &start, &pixel, &vec![weight; pixel.len()], &mut out);
        for (i, got) in out.iter().enumerate() {
            let source = frames.values[i / pixel.len() * n_pixels + pixel[i % pixel.len()] as usize];
            prop_assert_eq!(*got, weight * source);
        }
        // The trace of a pixel correlates with the pixel itself as its power.
        let traces: Vec<f32> = (0..frames.n).map(|f| frames.values[f * n_pixels + pixel[0] as usize]).collect();
        let params = CorrelateTracesParams { n_frames: frames.n as u32, n_pixels: n_pixels as u32, n_entries: 1 };
        let mut sums = [0.0f32];
        correlate_traces(&params, &frames.values, &pixel[..1], &[0], &traces, &mut sums);
        let power: f32 = traces.iter().map(|v| v * v).sum();
        prop_assert!((sums[0] - power).abs() <= 8.0 * EPSILON * power);
    }

    #[test]
    fn a_transform_there_and_back_is_the_image(rows in 1usize..4, log2 in 0u32..7, values in prop::collection::vec(finite(), 2 * 3 * 64)) {
        let columns = 1usize << log2;
        let image = &values[..2 * rows * columns];
        let run = |image: &[f32], inverse: u32| {
            let params = TransformRowsParams { n_images: 1, rows: rows as u32, columns: columns as u32, inverse };
            let mut image = image.to_vec();
            transform_rows(&params, &mut image);
            image
        };
        let spectrum = run(image, 0);
        all_finite("spectrum", &spectrum)?;
        let back: Vec<f32> = run(&spectrum, 1).iter().map(|v| v / columns as f32).collect();
        // Rounding in seven stages there and as many back, of numbers as large as the sum of a line.
        let tolerance = 8.0 * EPSILON * columns as f32 * largest(image) + f32::MIN_POSITIVE;
        close("there and back", &back, image, tolerance)?;
    }

    #[test]
    fn a_shift_is_where_the_correlation_is_largest(
        values in prop::collection::vec(prop_oneof![4 => -1.0f32..1.0, 1 => Just(0.5f32), 1 => finite()], 2 * 16 * 8),
        reach in (0u32..8, 0u32..4),
        shrink in 1u32..5,
    ) {
        let params = FindShiftsParams { n_frames: 2, rows: 16, columns: 8, max_y: reach.0, max_x: reach.1, shrink };
        let mut shifts = [f32::NAN; 6];
        find_shifts(&params, &values, &mut shifts);
        for (frame, shift) in shifts.as_chunks::<3>().0.iter().enumerate() {
            let limit = |reach: u32| (reach as f32 + 0.5) * shrink as f32;
            prop_assert!(shift[0].abs() <= limit(reach.0) && shift[1].abs() <= limit(reach.1), "{:?}", shift);
            let window = (0..16 * 8).filter(|i| {
                let cyclic = |at: usize, n: usize| at.min(n - at) as u32;
                cyclic(i / 8, 16) <= reach.0 && cyclic(i % 8, 8) <= reach.1
            });
            let most = window.map(|i| values[2 * i + frame]).fold(f32::NEG_INFINITY, f32::max);
            prop_assert_eq!(shift[2], most);
        }
    }

    #[test]
    fn activity_sums_are_never_negative_and_0_where_nothing_was_measured(
        (frames, absent) in frames(1..6, 1..9).prop_flat_map(|frames| {
            let n = frames.height * frames.width;
            (Just(frames), prop::collection::vec(any::<bool>(), n))
        }),
    ) {
        let (height, width, n) = (frames.height, frames.width, frames.height * frames.width);
        // Standardised bins, in noise deviations.
        let mut bins: Vec<f32> = frames.values.iter().map(|v| v.clamp(-1e6, 1e6)).collect();
        let inverse: Vec<f32> = absent.iter().map(|absent| if *absent { 0.0 } else { 1.0 }).collect();
        let params = StandardiseBinsParams { n_bins: frames.n as u32, n_pixels: n as u32 };
        standardise_bins(&params, &vec![0.0; n], &inverse, &mut bins);
        for (i, value) in bins.iter().enumerate() {
            prop_assert!(!absent[i % n] || *value == 0.0);
        }
        let count: Vec<f32> = (0..n)
            .map(|p| {
                if absent[p] {
                    return 0.0;
                }
                let (y, x) = (p / width, p % width);
                let around = (y.saturating_sub(1)..(y + 2).min(height)).flat_map(|y| (x.saturating_sub(1)..(x + 2).min(width)).map(move |x| y * width + x));
                around.filter(|q| !absent[*q]).count() as f32
            })
            .collect();
        let params = SumBinsParams { n_bins: frames.n as u32, height: height as u32, width: width as u32, threshold: 3.0 };
        let mut sums = vec![f32::NAN; 5 * n];
        sum_bins(&params, &bins, &vec![0.0; bins.len()], &count, &mut sums);
        all_finite("sums", &sums)?;
        for p in 0..n {
            let [own, others, product, energy] = [0, 1, 2, 4].map(|plane| sums[plane * n + p]);
            // The energy of a pixel that was not measured is left to who reads the sums.
            prop_assert!(own >= 0.0 && others >= 0.0 && energy >= 0.0);
            // Cauchy and Schwarz: a correlation lies within -1 and 1.
            let bound = f64::from(own).sqrt() * f64::from(others).sqrt();
            prop_assert!(f64::from(product.abs()) <= bound * (1.0 + 1e-5) + 1e-6, "{} {}", product, bound);
            if absent[p] {
                prop_assert_eq!([own, product], [0.0; 2]);
            }
        }
    }
}

/// A response that rises, maybe at once, and decays.
fn response() -> impl Strategy<Value = Vec<f32>> {
    (1usize..30, 0.05f32..0.99, 0.0f32..0.9).prop_map(|(n, decay, rise)| {
        (0..n as i32)
            .map(|t| decay.powi(t) - 0.9 * (decay * rise).powi(t + 1))
            .collect()
    })
}

fn deconvolved(trace: &[f32], response: &[f32], penalty: f32, sweeps: u32) -> (Vec<f32>, Vec<f32>) {
    let params = DeconvolveParams {
        n_traces: 1,
        n_frames: trace.len() as u32,
        n_taps: response.len() as u32,
        sweeps,
        full_every: 4,
    };
    let (mut spikes, mut residual) = (vec![f32::NAN; trace.len()], vec![f32::NAN; trace.len()]);
    deconvolve(
        &params,
        trace,
        response,
        &[penalty],
        &mut spikes,
        &mut residual,
    );
    (spikes, residual)
}

/// What the spikes should make small.
fn objective(residual: &[f32], spikes: &[f32], penalty: f32) -> f64 {
    let squares: f64 = residual.iter().map(|v| f64::from(*v).powi(2)).sum();
    let size: f64 = spikes.iter().map(|v| f64::from(*v)).sum();
    0.5 * squares + f64::from(penalty) * size
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn spikes_are_not_negative_and_what_they_leave_is_the_rest(
        trace in prop_oneof![
            6 => prop::collection::vec(finite(), 1..90),
            1 => (finite(), 1usize..90).prop_map(|(value, n)| vec![value; n]),
        ],
        response in response(),
        penalty in 0.0f32..50.0,
    ) {
        let (spikes, residual) = deconvolved(&trace, &response, penalty, 24);
        all_finite("spikes", &spikes)?;
        all_finite("residual", &residual)?;
        prop_assert!(spikes.iter().all(|v| *v >= 0.0));
        let most = largest(&spikes).max(largest(&trace));
        for (t, residual) in residual.iter().enumerate() {
            let explained: f64 = (0..response.len().min(t + 1)).map(|k| f64::from(response[k]) * f64::from(spikes[t - k])).sum();
            let rest = f64::from(trace[t]) - explained;
            // The residual is kept up to date over 24 sweeps, each of which may change 30 spikes that reach a frame.
            prop_assert!((rest - f64::from(*residual)).abs() <= f64::from(2000.0 * EPSILON * most), "{}: {} {}", t, rest, residual);
        }
        // More sweeps never explain less, and no spikes at all are no better.
        let more = deconvolved(&trace, &response, penalty, 48);
        let (few, many) = (objective(&residual, &spikes, penalty), objective(&more.1, &more.0, penalty));
        let none = objective(&trace, &[], penalty);
        let slack = 1e-4 * none + f64::from(f32::MIN_POSITIVE);
        prop_assert!(many <= few + slack && few <= none + slack, "{} {} {}", many, few, none);
    }

    #[test]
    fn a_trace_below_nothing_has_no_spikes_and_a_larger_one_larger_ones(
        trace in prop::collection::vec(-100.0f32..100.0, 1..90),
        response in response(),
        penalty in 0.0f32..50.0,
    ) {
        let below: Vec<f32> = trace.iter().map(|v| -v.abs()).collect();
        prop_assert!(deconvolved(&below, &response, penalty, 24).0.iter().all(|v| *v == 0.0));
        // Exact: a power of two only moves the exponent.
        let larger: Vec<f32> = trace.iter().map(|v| 4.0 * v).collect();
        let expected: Vec<f32> = deconvolved(&trace, &response, penalty, 24).0.iter().map(|v| 4.0 * v).collect();
        prop_assert_eq!(deconvolved(&larger, &response, 4.0 * penalty, 24).0, expected);
    }
}
