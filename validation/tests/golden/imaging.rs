//! Do the imaging twins compute what numpy, scipy, Pillow and OpenCV compute? `make_imaging.py` made `imaging.json`.

use somata_engine::imaging::segmentation::resize;
use somata_shaders::{
    cpu::{
        common::{filter_columns::filter_columns, transform_rows::transform_rows},
        imaging::{
            box_means::box_means, decode_frames::decode_frames, follow_flows::follow_flows,
            move_frames::move_frames, sum_gradients::sum_gradients,
        },
    },
    layout::{
        BoxMeansParams, DecodeFramesParams, FilterColumnsParams, FollowFlowsParams,
        MoveFramesParams, ROW_SCALARS, SumGradientsParams, TransformRowsParams,
    },
};

use crate::{Stored, signal};

fn stored() -> Stored {
    Stored::new(include_str!("imaging.json"))
}

#[test]
fn every_pixel_type_is_read_as_numpy_reads_it() {
    let stored = stored();
    for (pixel_type, kind) in ["i2", "u2", "i4", "f4", "u1", "i1", "u4"]
        .iter()
        .enumerate()
    {
        let n = 2 * 3 * 5 * usize::from(kind.as_bytes()[1] - b'0');
        let mut raw: Vec<u8> = (0..n).map(|i| ((i * 7919 + 13) % 251 + 5) as u8).collect();
        if *kind == "f4" {
            let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 2e9, -0.0];
            raw[..20].copy_from_slice(bytemuck::cast_slice(&special));
        }
        raw.resize(n.next_multiple_of(4), 0);
        let words: Vec<u32> = bytemuck::pod_collect_to_vec(&raw);
        let params = DecodeFramesParams {
            n_frames: 2,
            height: 3,
            width: 5,
            pixel_type: pixel_type as u32,
            row_offset: 0.0,
        };
        let mut out = vec![7.0; 30];
        decode_frames(&params, &words, &mut out);
        let expected = stored.values(&format!("decode_{kind}"));
        let expected: Vec<f32> = expected.iter().map(|v| *v as f32).collect();
        // Exact: every pixel becomes the nearest number of single precision.
        assert_eq!(out, expected, "{kind}");
    }
}

#[test]
fn odd_rows_move_as_pillow_moves_them() {
    let stored = stored();
    let pixels: Vec<i16> = (0..48).map(|i| (i * 7919 % 4001 - 2000) as i16).collect();
    let words: Vec<u32> = bytemuck::pod_collect_to_vec(&pixels);
    for (name, row_offset) in [("right", 0.4), ("left", -1.75)] {
        let params = DecodeFramesParams {
            n_frames: 1,
            height: 4,
            width: 12,
            pixel_type: 0,
            row_offset,
        };
        let mut out = vec![0.0; 48];
        decode_frames(&params, &words, &mut out);
        // Values of 2000 and an offset in single precision; three digits are stored.
        stored.close(&format!("offset_{name}"), &out, 3e-3);
    }
}

#[test]
fn frames_move_as_pillow_moves_them() {
    let (height, width, margin) = (16, 42, 5);
    let frame = signal(height, width, 0);
    let mut inner = Vec::new();
    for knots in [[0.25, 0.5], [1.7, -2.3], [-0.6, 3.9]] {
        let params = MoveFramesParams {
            n_frames: 1,
            height: height as u32,
            width: width as u32,
            knot_rows: 1,
            knot_columns: 1,
        };
        let mut moved = vec![0.0; height * width];
        let mut spans = vec![0; 2 * height];
        move_frames(&params, &frame, &knots, &frame, &mut moved, &mut spans);
        for row in moved
            .chunks_exact(width)
            .skip(margin)
            .take(height - 2 * margin)
        {
            inner.extend(&row[margin..width - margin]);
        }
    }
    // Values of 170 that differ by as much between neighbours, and shifts in single precision; three digits are stored.
    stored().close("rigid", &inner, 2e-3);
}

/// The shift field of `make_imaging.py`.
const FIELD: [usize; 4] = [9, 65, 3, 3];

fn field() -> Vec<f32> {
    let at = |r: usize, c: usize| (r as f64, c as f64);
    let knots = (0..3).flat_map(|r| (0..3).map(move |c| at(r, c)));
    let y = knots
        .clone()
        .map(|(r, c)| 0.5 + 0.3 * (1.0 + 2.0 * r + 3.0 * c).sin());
    let x = knots.map(|(r, c)| 1.5 + 0.3 * (2.0 + r - 2.0 * c).cos());
    y.chain(x).map(|v| v as f32).collect()
}

#[test]
fn frames_move_by_a_field_as_keys_kernel_says() {
    let [height, width, knot_rows, knot_columns] = FIELD;
    let params = MoveFramesParams {
        n_frames: 1,
        height: height as u32,
        width: width as u32,
        knot_rows: knot_rows as u32,
        knot_columns: knot_columns as u32,
    };
    let mut moved = vec![0.0; height * width];
    let mut spans = vec![0; 2 * height];
    move_frames(
        &params,
        &signal(height, width, 3),
        &field(),
        &signal(height, width, 50),
        &mut moved,
        &mut spans,
    );
    // Values of 170 that differ by as much between neighbours, and shifts in single precision; three digits are stored.
    stored().close("field", &moved, 2e-3);
    let spans: Vec<f32> = spans.iter().map(|v| *v as f32).collect();
    // Exact: whole numbers.
    stored().close("field_spans", &spans, 0.0);
}

#[test]
fn sums_of_a_step_are_those_of_scipys_bilinear_frame() {
    let [height, width, knot_rows, knot_columns] = FIELD;
    let params = SumGradientsParams {
        n_frames: 1,
        height: height as u32,
        width: width as u32,
        knot_rows: knot_rows as u32,
        knot_columns: knot_columns as u32,
        zero: 7.0,
    };
    let model: Vec<f32> = (0..5)
        .flat_map(|k| signal(height, width, 100 + 10 * k))
        .map(|v| v / 50.0)
        .collect();
    let mut sums = vec![0.0; height * (ROW_SCALARS as usize + 2 * knot_columns)];
    sum_gradients(
        &params,
        &signal(height, width, 3),
        &field(),
        &model,
        &mut sums,
    );
    // 65 terms in single precision, of which the squares add up to some hundred thousands.
    stored().close("gradients", &sums, 6e-2);
}

#[test]
fn rows_are_transformed_as_numpy_transforms_them() {
    let images = signal(2 * 3 * 32, 2, 0);
    for (name, inverse) in [("transform", 0), ("transform_inverse", 1)] {
        let params = TransformRowsParams {
            n_images: 2,
            rows: 3,
            columns: 32,
            inverse,
        };
        let mut images = images.clone();
        transform_rows(&params, &mut images);
        // Sums of 32 values of up to 170 in single precision.
        stored().close(name, &images, 3e-3);
    }
}

#[test]
fn columns_are_filtered_as_numpy_filters_them() {
    let params = FilterColumnsParams {
        n_images: 2,
        rows: 16,
        columns: 5,
    };
    let filter: Vec<f32> = signal(16 * 5, 2, 9).iter().map(|v| v / 1000.0).collect();
    let mut images = signal(2 * 16 * 5, 2, 4);
    filter_columns(&params, &filter, &mut images);
    // Two transforms, values of up to some thousands on the way; two digits are stored.
    stored().close("filter", &images, 8e-3);
}

#[test]
fn means_of_lines_are_those_of_scipys_uniform_filter() {
    let images = signal(2 * 7 * 11, 1, 2);
    for axis in 0..2u32 {
        for radius in [0u32, 2, 6] {
            let length = [11, 7][axis as usize];
            // The inverse count of the pixels that exist.
            let scale: Vec<f32> = (0..77u32)
                .map(|i| {
                    let at = [i % 11, i / 11][axis as usize];
                    let count = (at + radius).min(length - 1) + 1 - at.saturating_sub(radius);
                    1.0 / count as f32
                })
                .collect();
            let params = BoxMeansParams {
                n_images: 2,
                height: 7,
                width: 11,
                radius,
                axis,
            };
            let mut out = vec![0.0; images.len()];
            box_means(&params, &images, &scale, &mut out);
            // Sums of up to 11 values of 170; four digits are stored.
            stored().close(&format!("box_{axis}_{radius}"), &out, 2e-4);
        }
    }
}

#[test]
fn pixels_walk_where_scipys_interpolation_leads_them() {
    let (height, width) = (21usize, 26usize);
    let flow_y = |y: f64, x: f64| 0.8 * (0.35 * y + 0.2 * x).sin();
    let flow_x = |y: f64, x: f64| 0.8 * (0.25 * x - 0.3 * y).cos();
    let n = height * width;
    let flow: Vec<f32> = (0..2 * n)
        .map(|i| {
            let (y, x) = ((i % n / width) as f64, (i % width) as f64);
            (if i < n { flow_y(y, x) } else { flow_x(y, x) }) as f32
        })
        .collect();
    let points: Vec<u32> = (0..n as u32).collect();
    let params = FollowFlowsParams {
        height: height as u32,
        width: width as u32,
        n_points: n as u32,
        steps: 7,
    };
    let mut ends = vec![0; n];
    follow_flows(&params, &flow, &points, &mut ends);
    let expected = stored().values("ends");
    assert_eq!(ends.len(), expected.len());
    for (point, (end, expected)) in ends.iter().zip(expected).enumerate() {
        // -1: so near a border of pixels that rounding decides. All others exactly.
        assert!(
            expected < 0.0 || f64::from(*end) == expected,
            "pixel {point} ends at {end}, with scipy at {expected}"
        );
    }
}

#[test]
fn images_are_resized_as_opencv_resizes_them() {
    let image = signal(9, 14, 6);
    for to in [[9, 14], [4, 7], [13, 29], [5, 33], [1, 1]] {
        let resized = resize::bilinear(&image, [9, 14], to);
        // Values of 170 that differ by as much between neighbours, and weights in single precision; three digits are stored.
        stored().close(&format!("resize_{}_{}", to[0], to[1]), &resized, 1e-3);
    }
}
