//! Laws of the segmentation: masks from any flows, images at another size.

use proptest::prelude::*;
use somata_engine::{
    device::cpu_executor::CpuExecutor,
    imaging::{
        proposals::{bodies, from_labels, probabilities},
        segmentation::{Prediction, cellpose_input, masks::build, resize},
    },
    parameters::imaging::Segmentation,
};

use super::values::{all_finite, cases, close, finite, largest};

/// What a network may have said of an image: noise, one whole cell, nothing; flows of any direction and length.
fn prediction() -> impl Strategy<Value = Prediction> {
    (1usize..40, 1usize..40).prop_flat_map(|(height, width)| {
        let n = height * width;
        let logits = prop_oneof![
            3 => prop::collection::vec(-4.0f32..4.0, n),
            1 => prop_oneof![Just(-6.0f32), Just(0.0), Just(6.0)].prop_map(move |v| vec![v; n]),
            1 => prop::collection::vec(finite(), n),
        ];
        let flow = prop_oneof![
            3 => prop::collection::vec(-5.0f32..5.0, 2 * n),
            // Towards the middle, as of one cell.
            2 => Just((0..2 * n).map(|i| {
                let (at, middle) = match i / n {
                    0 => (i % n / width, height / 2),
                    _ => (i % n % width, width / 2),
                };
                (middle as f32 - at as f32).clamp(-5.0, 5.0)
            }).collect::<Vec<f32>>()),
            1 => prop::collection::vec(finite(), 2 * n),
        ];
        (logits, flow).prop_map(move |(logits, flows)| Prediction {
            height,
            width,
            flows,
            logits,
        })
    })
}

proptest! {
    #![proptest_config(cases(120))]

    #[test]
    fn masks_are_numbered_without_gaps_and_keep_their_bounds(prediction in prediction(), steps in 0u32..60, min_size_px in 1u32..30, flow_threshold in prop_oneof![Just(0.0f64), 0.1f64..10.0]) {
        let parameters = Segmentation { min_size_px, flow_threshold, ..Segmentation::default() };
        let executor = CpuExecutor::new(1);
        let labels = build(&prediction, steps, &parameters, &executor).expect("memory");
        prop_assert_eq!(labels.labels.len(), prediction.logits.len());
        let bodies = bodies(&labels);
        for body in &bodies {
            prop_assert!(body.len() >= min_size_px as usize, "{} pixels", body.len());
        }
        if prediction.logits.iter().all(|v| *v <= 0.0) {
            prop_assert_eq!(labels.count(), 0);
        }
        // How points are shared out among threads makes no difference.
        let again = build(&prediction, steps, &parameters, &CpuExecutor::new(3)).expect("memory");
        prop_assert_eq!(&again.labels, &labels.labels);
        let probabilities = probabilities(&prediction);
        prop_assert!(probabilities.iter().all(|p| (0.0..=1.0).contains(p)));
        let rois = from_labels(&labels, &probabilities, &parameters);
        prop_assert!(rois.len() <= bodies.len());
        for roi in &rois {
            prop_assert!(bodies.contains(&roi.body) && f64::from(roi.probability) > parameters.min_probability);
        }
    }

    #[test]
    fn an_image_of_another_size_stays_between_its_extremes(
        (from, image) in (1usize..20, 1usize..20).prop_flat_map(|(height, width)| (Just([height, width]), prop::collection::vec(finite(), height * width))),
        to in (1usize..30, 1usize..30),
    ) {
        let to = [to.0, to.1];
        let low = image.iter().copied().fold(f32::INFINITY, f32::min);
        let high = image.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        // Two interpolations or two weighted means in single precision.
        let slack = 16.0 * f32::EPSILON * largest(&image) + f32::MIN_POSITIVE;
        for resized in [resize::bilinear(&image, from, to), resize::area(&image, from, to)] {
            prop_assert_eq!(resized.len(), to[0] * to[1]);
            prop_assert!(resized.iter().all(|v| (low - slack..=high + slack).contains(v)));
        }
        prop_assert_eq!(&resize::area(&image, from, from), &image);
        prop_assert_eq!(&resize::bilinear(&image, from, from), &image);
        if to[0] <= from[0] && to[1] <= from[1] {
            // Means over areas keep the mean of all.
            let mean = |values: &[f32]| values.iter().map(|v| f64::from(*v)).sum::<f64>() / values.len() as f64;
            let smaller = resize::area(&image, from, to);
            prop_assert!((mean(&smaller) - mean(&image)).abs() <= f64::from(32.0 * slack) + 1e-30);
        }
    }

    #[test]
    fn the_networks_input_does_not_depend_on_the_unit(plane in prop::collection::vec(0.0f32..4000.0, 30), gain in 0.5f32..8.0, offset in -500.0f32..500.0) {
        let found = cellpose_input(&plane, 30);
        all_finite("input", &found)?;
        let other: Vec<f32> = plane.iter().map(|v| v * gain + offset).collect();
        // Differences of numbers of 30,000, over a range of a few thousand mostly.
        let range = plane.iter().copied().fold(f32::NEG_INFINITY, f32::max) - plane.iter().copied().fold(f32::INFINITY, f32::min);
        prop_assume!(range > 100.0);
        close("in another unit", &cellpose_input(&other, 30), &found, 0.02)?;
        let constant = cellpose_input(&[7.0; 30], 30);
        prop_assert!(constant.iter().all(|v| *v == 0.0));
    }
}
