//! Parity of `decode_frames`.

use somata_shaders::layout::DecodeFramesParams;

use crate::{
    both::{Both, ROUNDING, assert_close, both, largest},
    random::Random,
};

/// Bytes of a pixel, by type.
const BYTES: [usize; 7] = [2, 2, 4, 4, 1, 1, 4];

fn check(
    both: &Both,
    pixel_type: u32,
    [frames, height, width]: [usize; 3],
    row_offset: f32,
) -> Vec<f32> {
    let mut random = Random(201 + u64::from(pixel_type));
    let n = frames * height * width;
    let mut raw: Vec<u32> = (0..(n * BYTES[pixel_type as usize]).div_ceil(4))
        .map(|_| random.bits() as u32)
        .collect();
    if pixel_type == 3 {
        // Ordinary values, with some that are not finite, or too large, between them.
        for (i, word) in raw.iter_mut().enumerate() {
            *word = match i % 41 {
                7 => f32::NAN.to_bits(),
                23 => f32::INFINITY.to_bits(),
                31 => f32::NEG_INFINITY.to_bits(),
                37 => (-2e9f32).to_bits(),
                _ => (random.normal() * 100.0).to_bits(),
            };
        }
    }
    let params = DecodeFramesParams {
        n_frames: frames as u32,
        height: height as u32,
        width: width as u32,
        pixel_type,
        row_offset,
    };
    let (cpu, gpu) = both.play(
        |commands| {
            let raw = commands.upload_words("raw", raw.clone());
            let out = commands.buffer("frames", n);
            commands.dispatch(&params, &[raw, out]);
            commands.download(out)
        },
        |downloads, out| downloads.take::<f32>(out),
    );
    let case =
        format!("type {pixel_type}, {frames} frames of {height} x {width}, offset {row_offset}");
    if n > 0 {
        let conversion = if matches!(pixel_type, 2 | 6) {
            // A large integer lies between two floats, of which either is right.
            2.0
        } else {
            // Exact: a copy.
            0.0
        };
        let interpolation = if row_offset.fract() == 0.0 {
            // Exact: weights of 0 and 1.
            0.0
        } else {
            // Four products whose weights are polynomials of the third degree below 1, and their sum.
            12.0
        };
        let tolerance = (conversion + interpolation) * ROUNDING * largest(&cpu);
        assert_close(&case, &cpu, &gpu, tolerance);
    }
    cpu
}

#[test]
fn every_pixel_type_at_awkward_sizes() {
    let Some(both) = both() else { return };
    for pixel_type in 0..7 {
        for row_offset in [0.0, 0.37, -2.0] {
            check(both, pixel_type, [0, 3, 5], row_offset);
            check(both, pixel_type, [1, 1, 1], row_offset);
            check(both, pixel_type, [3, 7, 5], row_offset);
            check(both, pixel_type, [2, 33, 19], row_offset);
        }
    }
}

#[test]
fn offsets_longer_than_a_row_and_rows_shorter_than_the_interpolation() {
    let Some(both) = both() else { return };
    for row_offset in [-7.6, 0.5, 2.25, 40.0, -1e6] {
        check(both, 1, [2, 5, 3], row_offset);
        check(both, 1, [1, 300, 2], row_offset);
        let moved = check(both, 3, [1, 2, 17], row_offset);
        let still = check(both, 3, [1, 2, 17], 0.0);
        assert_eq!(moved[..17], still[..17], "even rows stay");
        assert_ne!(moved[17..], still[17..], "odd rows move");
    }
}

#[test]
fn more_pixels_than_all_workgroups_of_a_dimension_hold() {
    let Some(both) = both() else { return };
    check(both, 4, [1, 65_537, 256], 0.0);
}
