//! Laws of the imaging stages: registration of frames with a reference, sets of pixels, demixing, deconvolution.

use proptest::prelude::*;
use somata_engine::{
    device::{Commands, cpu_executor::CpuExecutor},
    imaging::{
        classification::probabilities,
        deconvolution::{
            Response, TraceStatistics, baseline, bridge, noise, oasis, response::estimate,
        },
        demixing::{
            background::{Background, offset},
            footprints::cell_rows,
            solver::Solver,
        },
        detection::summary::{local_contrast, percentile},
        extraction::raw_rows,
        frames::FrameGrid,
        morphology::{ImageSize, Patch, aspect_ratio, disc, iou, n_shared},
        neuropil::rings,
        registration::{bidirectional_offset, registrar::Registrar},
        rois::{Origin, Roi, Rows},
    },
    parameters::imaging::{Deconvolution, Registration},
};

use super::values::{all_finite, cases, close, finite, largest};

/// Shift field, correlation, gain and offset, and moved pixels of frames that are registered with a reference.
struct Registered {
    knots: Vec<f32>,
    fit: Vec<f32>,
    moved: Vec<f32>,
    mean: Vec<[f32; 2]>,
}

fn register(
    reference: &[f32],
    variance: &[f32],
    frames: &[f32],
    size: [usize; 2],
    parameters: &Registration,
) -> Registered {
    let executor = CpuExecutor::new(1);
    let registrar = Registrar::new(
        &executor,
        reference,
        variance,
        size,
        parameters,
        parameters.steps,
    )
    .expect("memory");
    let n = (frames.len() / reference.len()) as u32;
    let mut commands = Commands::new();
    let frames = commands.upload("frames", frames);
    let registered = registrar.estimate(&mut commands, frames, n);
    let (moved, _) = registrar.resample(&mut commands, frames, registered.knots, n);
    let (knots, fit) = (
        commands.download(registered.knots),
        commands.download(registered.fit),
    );
    let moved = commands.download(moved);
    let mut downloads = somata_engine::device::Executor::play(&executor, commands).expect("played");
    let knots: Vec<f32> = downloads.take(knots);
    Registered {
        mean: knots
            .chunks_exact(registrar.knots_per_frame())
            .map(|knots| registrar.mean_shift(knots))
            .collect(),
        knots,
        fit: downloads.take(fit),
        moved: downloads.take(moved),
    }
}

/// An image of blobs, seen `down` and `right` of where they are.
fn blobs(places: &[(f64, f64)], size: [usize; 2], down: f64, right: f64) -> Vec<f32> {
    (0..size[0] * size[1])
        .map(|i| {
            let (y, x) = ((i / size[1]) as f64 - down, (i % size[1]) as f64 - right);
            let light: f64 = places
                .iter()
                .map(|(cy, cx)| 400.0 * (-0.5 * ((y - cy).powi(2) + (x - cx).powi(2)) / 4.0).exp())
                .sum();
            (100.0 + light) as f32
        })
        .collect()
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn any_frame_is_registered_with_any_reference_of_any_size(
        (size, reference, frame, variance) in (4usize..40, 4usize..40).prop_flat_map(|(height, width)| {
            let n = height * width;
            let image = || prop_oneof![
                4 => prop::collection::vec(finite(), n),
                1 => finite().prop_map(move |value| vec![value; n]),
                1 => prop::collection::vec(0.0f32..400.0, n),
                1 => (0..n, finite()).prop_map(move |(at, value)| { let mut image = vec![0.0; n]; image[at] = value; image }),
            ];
            (Just([height, width]), image(), image(), image())
        }),
    ) {
        let variance: Vec<f32> = variance.iter().map(|v| v.abs()).collect();
        let frames = [frame.clone(), reference.clone()].concat();
        let parameters = Registration::default();
        let found = register(&reference, &variance, &frames, size, &parameters);
        all_finite("shift", &found.knots)?;
        all_finite("fit", &found.fit)?;
        all_finite("moved", &found.moved)?;
        for fit in found.fit.as_chunks::<3>().0 {
            // Rounding of a quotient of sums in single precision.
            prop_assert!(fit[0].abs() <= 1.001, "{:?}", fit);
        }
        // The coarse shift, and what the steps may add to it.
        let most = parameters.max_shift as f32 * size[0].min(size[1]) as f32 + 2.0 + 1.5 + 3.0 + 1.0;
        prop_assert!(largest(&found.knots) <= most, "{}", largest(&found.knots));
    }

    #[test]
    fn a_frame_that_fits_is_where_it_was_moved_to_whatever_its_brightness(
        places in prop::collection::vec((0.0f64..10.0, 0.0f64..10.0), 16),
        down in -4.0f64..4.0,
        right in -4.0f64..4.0,
        gain in 0.2f32..5.0,
        pedestal in -1000.0f32..1000.0,
    ) {
        let size = [48, 48];
        // One blob in each tenth of a side: there is something to see everywhere.
        let places: Vec<(f64, f64)> = places
            .iter()
            .enumerate()
            .map(|(k, (y, x))| (4.0 + 10.0 * (k / 4) as f64 + y, 4.0 + 10.0 * (k % 4) as f64 + x))
            .collect();
        let reference = blobs(&places, size, 0.0, 0.0);
        let frame: Vec<f32> = blobs(&places, size, down, right).iter().map(|v| v * gain + pedestal).collect();
        let parameters = Registration { knot_rows: 1, knot_columns: 1, ..Registration::default() };
        let found = register(&reference, &vec![50.0; 48 * 48], &frame, size, &parameters);
        let [y, x] = found.mean[0];
        // Where blobs happen to look alike from one to the next, the frame may be taken for another place; then it fits badly. Too many
        // such inputs fail the test.
        prop_assume!(found.fit[0] > 0.98);
        // What three steps leave where a good part of the blobs is beyond the edge: 0.29 px were seen.
        let error = (f64::from(y) - down).hypot(f64::from(x) - right);
        prop_assert!(error < 0.5, "{} {} for {} {}", y, x, down, right);
    }

    #[test]
    fn an_offset_of_odd_rows_is_small_and_none_where_there_is_nothing(
        (size, groups) in (1usize..20, 1usize..60).prop_flat_map(|(height, width)| {
            let n = height * width;
            (Just([height, width]), prop::collection::vec(prop_oneof![
                4 => prop::collection::vec(finite(), 2 * n),
                1 => finite().prop_map(move |v| vec![v; 2 * n]),
            ], 0..3))
        }),
    ) {
        if let Some(offset) = bidirectional_offset::estimate(&groups, size) {
            prop_assert!(offset.is_finite() && offset.abs() <= 12.5 && offset.abs() <= size[1] as f32 / 8.0 + 0.5);
        }
        let constant = vec![vec![7.0; size[0] * size[1]]];
        prop_assert_eq!(bidirectional_offset::estimate(&constant, size), None);
    }

    #[test]
    fn blocks_of_frames_cover_a_movie_once(n_frames in 0usize..5000, n_pixels in 1usize..2_000_000, bin in 1usize..40) {
        let grid = FrameGrid::new(n_frames, n_pixels, bin);
        let mut next = 0;
        for (index, block) in grid.blocks.iter().enumerate() {
            prop_assert_eq!((block.index, block.start), (index, next));
            prop_assert!(block.n_frames > 0 && block.n_frames <= grid.block_frames);
            next += block.n_frames;
        }
        prop_assert_eq!(next, n_frames);
        prop_assert!(grid.block_frames.is_multiple_of(bin) && grid.block_frames.is_multiple_of(4));
        prop_assert_eq!(grid.n_bins(), n_frames.div_ceil(bin));
    }
}

const SIZE: ImageSize = ImageSize {
    height: 13,
    width: 17,
};
const N_PIXELS: usize = SIZE.height * SIZE.width;

/// Pixels of a cell, ascending: one or many, at the border or not.
fn body() -> impl Strategy<Value = Vec<u32>> {
    prop_oneof![
        2 => (0..N_PIXELS as u32).prop_map(|pixel| vec![pixel]),
        4 => (0usize..SIZE.height, 0usize..SIZE.width, 1usize..7, 1usize..7).prop_map(|(y, x, h, w)| {
            (y..(y + h).min(SIZE.height)).flat_map(|y| (x..(x + w).min(SIZE.width)).map(move |x| (y * SIZE.width + x) as u32)).collect()
        }),
        2 => prop::collection::btree_set(0..N_PIXELS as u32, 1..60).prop_map(|set| set.into_iter().collect()),
    ]
}

fn rois(most: usize) -> impl Strategy<Value = Vec<Roi>> {
    prop::collection::vec(
        body().prop_map(|body| Roi::proposal(body, 0.9, Origin::Network)),
        0..most,
    )
}

fn image() -> impl Strategy<Value = Vec<f32>> {
    prop_oneof![
        4 => prop::collection::vec(finite(), N_PIXELS),
        2 => prop::collection::vec(50.0f32..400.0, N_PIXELS),
        1 => finite().prop_map(|value| vec![value; N_PIXELS]),
    ]
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn sets_of_pixels_grow_shrink_and_come_apart_as_sets_do(pixels in body(), other in body(), margin in 0usize..5, radius in 0.0f64..3.0) {
        let patch = Patch::of(&pixels, margin, SIZE).expect("pixels");
        prop_assert_eq!(&patch.pixels(SIZE), &pixels);
        prop_assert_eq!(patch.count(), pixels.len());
        let steps = disc(radius);
        let (grown, shrunk) = (patch.dilated(&steps), patch.eroded(&steps));
        for i in 0..patch.values.len() {
            prop_assert!(!patch.values[i] || grown.values[i]);
            prop_assert!(!shrunk.values[i] || patch.values[i]);
        }
        let parts = patch.parts();
        prop_assert_eq!(parts.iter().map(Patch::count).sum::<usize>(), pixels.len());
        let filled = patch.filled();
        prop_assert!(filled.count() >= pixels.len());
        prop_assert_eq!(&filled.filled(), &filled);
        prop_assert!(patch.part_most_in(&patch).is_some_and(|part| parts.iter().all(|other| part.count() >= other.count())));
        prop_assert_eq!(iou(&pixels, &pixels), 1.0);
        prop_assert_eq!(iou(&pixels, &other), iou(&other, &pixels));
        prop_assert!((0.0..=1.0).contains(&iou(&pixels, &other)));
        prop_assert_eq!(n_shared(&pixels, &other), pixels.iter().filter(|p| other.contains(p)).count());
        prop_assert!(aspect_ratio(&pixels, SIZE) >= 1.0);
        let light = patch.with(patch.values.iter().map(|set| if *set { 1.0f32 } else { 0.0 }).collect());
        let blurred = light.blurred(1.0 + radius as f32);
        prop_assert!(blurred.values.iter().all(|v| (0.0..=1.0001).contains(v)));
    }

    #[test]
    fn rings_lie_outside_all_cells_and_weights_add_up_to_one(rois in rois(6), measured in prop::collection::vec(prop::bool::weighted(0.8), N_PIXELS)) {
        let rings = rings(&rois, &measured, SIZE);
        prop_assert_eq!(rings.len(), rois.len());
        for k in 0..rois.len() {
            let ring: Vec<(u32, f32)> = rings.row(k).collect();
            for (pixel, _) in &ring {
                prop_assert!(measured[*pixel as usize] && rois.iter().all(|roi| !roi.body.contains(pixel)));
            }
            let sum: f32 = ring.iter().map(|(_, weight)| weight).sum();
            prop_assert!(ring.is_empty() || (sum - 1.0).abs() < 1e-4, "{}", sum);
        }
        let raw = raw_rows(&rois, N_PIXELS);
        prop_assert_eq!(raw.len(), rois.len());
        for (k, roi) in rois.iter().enumerate() {
            let sum: f32 = raw.row(k).map(|(_, weight)| weight).sum();
            prop_assert!((sum - 1.0).abs() < 1e-4, "{}", sum);
            prop_assert!(raw.row(k).all(|(pixel, weight)| weight >= 0.0 && roi.body.contains(&pixel)));
            let [y, x] = roi.centre(SIZE.width);
            prop_assert!((0.0..SIZE.height as f64).contains(&y) && (0.0..SIZE.width as f64).contains(&x));
        }
        let by_pixel = raw.by_pixel(N_PIXELS);
        prop_assert_eq!((by_pixel.len(), by_pixel.pixel.len()), (N_PIXELS, raw.pixel.len()));
    }

    #[test]
    fn rows_of_pixels_are_applied_as_sums(rois in rois(5), image in image()) {
        let rows = cell_rows(&rois);
        for (k, (sum, roi)) in rows.apply(&image).iter().zip(&rois).enumerate() {
            let direct: f64 = roi.pixels.iter().zip(&roi.weights).map(|(p, w)| f64::from(image[*p as usize]) * f64::from(*w)).sum();
            // Sums of some tens in double precision.
            prop_assert!((sum - direct).abs() <= 1e-6 * direct.abs() + 1e-3, "{}: {} {}", k, sum, direct);
        }
    }

    #[test]
    fn the_value_without_light_is_no_brighter_than_the_darkest_part(mean in image(), noise in image(), measured in prop::collection::vec(any::<bool>(), N_PIXELS)) {
        let noise: Vec<f32> = noise.iter().map(|v| v.abs()).collect();
        let found = offset(&mean, &noise, &measured);
        prop_assert!(found.is_finite(), "{}", found);
        let of: Vec<f32> = mean.iter().zip(&measured).filter(|(_, measured)| **measured).map(|(v, _)| *v).collect();
        let most = of.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        prop_assert!(of.is_empty() || found <= most);
    }

    #[test]
    fn cells_are_told_from_the_background_they_lie_on(
        rois in rois(4),
        mean in prop::collection::vec(50.0f32..400.0, N_PIXELS),
        noise in prop_oneof![3 => prop::collection::vec(1.0f32..20.0, N_PIXELS), 1 => Just(vec![0.01; N_PIXELS])],
        amplitudes in prop::collection::vec(-50.0f32..200.0, 4),
    ) {
        let mut is_cell = vec![false; N_PIXELS];
        rois.iter().flat_map(|roi| &roi.body).for_each(|p| is_cell[*p as usize] = true);
        let size = [SIZE.height, SIZE.width];
        let background = Background::new(&mean, &noise, &[true; N_PIXELS], &is_cell, size, 20.0);
        all_finite("brightness", &background.brightness)?;
        all_finite("weights", &background.rows.weight)?;
        let rows = cell_rows(&rois);
        let solver = Solver::new(&rows, &background.rows, &noise);
        all_finite("noise of cells", &solver.noise)?;
        // A frame of cells alone gives their amplitudes back, where no two of them are all but the same, and leaves nothing to the background.
        let apart = (0..rois.len()).all(|a| (0..a).all(|b| iou(&rois[a].body, &rois[b].body) < 0.5));
        let mut frame = vec![0.0f32; N_PIXELS];
        for (k, amplitude) in amplitudes.iter().enumerate().take(rois.len()) {
            rows.row(k).for_each(|(p, w)| frame[p as usize] += amplitude * w);
        }
        let projected: Vec<f32> = solver.weighted.apply(&frame).iter().map(|v| *v as f32).collect();
        let found = solver.all(&projected);
        all_finite("amplitudes", &found)?;
        prop_assert_eq!(found.len(), solver.weighted.len());
        let share: usize = rois.iter().map(|roi| roi.body.len()).sum();
        if apart && share < N_PIXELS / 3 {
            for (k, want) in amplitudes.iter().enumerate().take(rois.len()) {
                // The ridge, and an inverse in single precision.
                prop_assert!((found[k] - want).abs() <= 0.05 * (largest(&amplitudes) + 1.0), "{}: {} {}", k, found[k], want);
            }
        }
    }

    #[test]
    fn probabilities_of_cells_are_probabilities(
        rois in rois(6),
        statistics in prop::collection::vec((finite(), 0.0f32..1e9), 6),
        probability in 0.0f32..=1.0,
    ) {
        let rois: Vec<Roi> = rois.into_iter().map(|roi| Roi { probability, ..roi }).collect();
        let statistics: Vec<TraceStatistics> = statistics.iter().map(|(snr, noise)| TraceStatistics { snr: *snr, noise: *noise, ..TraceStatistics::default() }).collect();
        let found = probabilities(&rois, &statistics, [SIZE.height, SIZE.width]);
        prop_assert_eq!(found.len(), rois.len());
        prop_assert!(found.iter().all(|p| (0.0..=1.0).contains(p)));
    }

    #[test]
    fn contrast_does_not_depend_on_unit_and_offset(image in image(), measured in prop::collection::vec(prop::bool::weighted(0.9), N_PIXELS)) {
        let executor = CpuExecutor::new(1);
        let size = [SIZE.height, SIZE.width];
        let found = local_contrast(&image, size, &measured, &executor).expect("memory");
        all_finite("contrast", &found)?;
        for (value, measured) in found.iter().zip(&measured) {
            prop_assert!(*measured || *value == 0.0);
        }
        if image.iter().all(|v| (40.0..500.0).contains(v)) {
            let other: Vec<f32> = image.iter().map(|v| 8.0 * v + 1000.0).collect();
            let again = local_contrast(&other, size, &measured, &executor).expect("memory");
            // Sums over a square of 625 pixels, of numbers a hundred times what is left of them.
            close("contrast", &again, &found, 1e-2)?;
        }
    }

    #[test]
    fn a_percentile_lies_among_the_values(mut values in prop::collection::vec(finite(), 1..40), part in 0.0f64..=1.0) {
        values.sort_by(f32::total_cmp);
        let found = percentile(&values, part);
        prop_assert!(found >= values[0] && found <= values[values.len() - 1]);
        prop_assert!(percentile(&values, 1.0) == values[values.len() - 1] && percentile(&values, 0.0) == values[0]);
    }
}

fn trace() -> impl Strategy<Value = Vec<f32>> {
    prop_oneof![
        4 => prop::collection::vec(finite(), 0..200),
        2 => prop::collection::vec(-10.0f32..300.0, 0..400),
        1 => (finite(), 0usize..200).prop_map(|(value, n)| vec![value; n]),
    ]
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn baselines_lie_within_the_trace_and_noise_is_not_negative(trace in trace(), rate_hz in 0.5f64..200.0, percentile in 0.0f64..=100.0, window_s in 1.0f64..100.0) {
        let parameters = Deconvolution { baseline_percentile: percentile, baseline_window_s: window_s, ..Deconvolution::default() };
        let found = baseline::running(&trace, rate_hz, &parameters);
        prop_assert_eq!(found.len(), trace.len());
        let low = trace.iter().copied().fold(f32::INFINITY, f32::min);
        let high = trace.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        // Rounding of a smoothing in double precision, and once to single.
        let slack = 4.0 * f32::EPSILON * largest(&trace);
        prop_assert!(found.iter().all(|v| (low - slack..=high + slack).contains(v)));
        let sn = noise(&trace);
        prop_assert!(sn.is_finite() && sn >= 0.0);
        let constant = vec![3.0; trace.len()];
        prop_assert_eq!(noise(&constant), 0.0);
        prop_assert_eq!(baseline::running(&constant, rate_hz, &parameters).len(), trace.len());
    }

    #[test]
    fn bad_frames_are_bridged_and_good_ones_left(trace in trace(), bad in prop::collection::vec(any::<bool>(), 400)) {
        let bad = &bad[..trace.len()];
        let mut found = trace.clone();
        bridge(&mut found, bad);
        let good: Vec<f32> = trace.iter().zip(bad).filter(|(_, bad)| !**bad).map(|(v, _)| *v).collect();
        let low = good.iter().copied().fold(f32::INFINITY, f32::min);
        let high = good.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let slack = 4.0 * f32::EPSILON * largest(&good);
        for (i, value) in found.iter().enumerate() {
            if !bad[i] || good.is_empty() {
                prop_assert_eq!(*value, trace[i]);
            } else {
                prop_assert!((low - slack..=high + slack).contains(value), "{}: {}", i, value);
            }
        }
        let mut again = found.clone();
        bridge(&mut again, bad);
        close("again", &again, &found, slack + f32::MIN_POSITIVE)?;
    }

    #[test]
    fn oasis_explains_a_trace_with_spikes_that_are_not_negative(trace in trace(), decay in prop_oneof![0.0f64..1.0, Just(0.999_999), Just(1e-300)]) {
        let found = oasis::ar1(&trace, decay);
        all_finite("spikes", &found.spikes)?;
        all_finite("calcium", &found.calcium)?;
        prop_assert!(found.spikes.iter().chain(&found.calcium).all(|v| *v >= 0.0));
        for t in 1..trace.len() {
            let least = decay * f64::from(found.calcium[t - 1]);
            prop_assert!(f64::from(found.calcium[t]) >= least * (1.0 - 1e-5) - 1e-30, "{}", t);
        }
        // No better than nothing would be a worse fit than it: zero is one of all that are allowed.
        let squares = |other: &[f32]| trace.iter().zip(other).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>();
        prop_assert!(squares(&found.calcium) <= squares(&vec![0.0; trace.len()]) * (1.0 + 1e-6));
    }

    #[test]
    fn a_response_is_told_within_what_is_tried_whatever_the_traces(traces in prop::collection::vec(trace(), 0..4), rate_hz in 1.0f64..60.0, given in prop_oneof![Just(None), (0.05f64..5.0).prop_map(Some)]) {
        let traces: Vec<(Vec<f32>, f32)> = traces.into_iter().map(|trace| { let sn = noise(&trace); (trace, sn) }).collect();
        let found: Response = estimate(&traces, rate_hz, given, &Deconvolution::default());
        prop_assert!(found.decay_s >= 0.05 && found.decay_s <= 5.0 && found.rise_s > 0.0 && found.rise_s < found.decay_s, "{:?}", found);
        if let Some(decay_s) = given {
            prop_assert_eq!(found.decay_s, decay_s);
        }
        let kernel = found.kernel(rate_hz, 2048, 5.0);
        all_finite("kernel", &kernel)?;
        prop_assert!(kernel.len() >= 2 && kernel.iter().all(|v| (0.0..=1.0).contains(v)) && kernel.contains(&1.0));
    }
}

#[test]
fn a_plane_without_cells_has_no_rows() {
    let solver = Solver::new(&Rows::new(), &Rows::new(), &[1.0; 4]);
    assert_eq!(solver.n_cells(), 0);
    assert!(solver.all(&[]).is_empty());
}
