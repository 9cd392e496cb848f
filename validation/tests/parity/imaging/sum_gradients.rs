//! Parity of `sum_gradients`.

use somata_shaders::layout::{ROW_SCALARS, SumGradientsParams};

use super::fields::{MOTIONS, Motion};
use crate::{
    both::{Both, ROUNDING, assert_close, both, largest},
    random::Random,
};

fn check(both: &Both, motion: &Motion, knots: &[f32]) -> Vec<f32> {
    let mut random = Random(231);
    let frames = random.normals(motion.n_pixels());
    let model = random.normals(5 * motion.height * motion.width);
    let params = SumGradientsParams {
        n_frames: motion.frames as u32,
        height: motion.height as u32,
        width: motion.width as u32,
        knot_rows: motion.knot_rows as u32,
        knot_columns: motion.knot_columns as u32,
        zero: 0.3,
    };
    let entries = (ROW_SCALARS + 2 * params.knot_columns) as usize;
    let (cpu, gpu) = both.play(
        |commands| {
            let frames = commands.upload("frames", &frames);
            let knots = commands.upload("knots", knots);
            let model = commands.upload("model", &model);
            let sums = commands.buffer("sums", motion.frames * motion.height * entries);
            commands.dispatch(&params, &[frames, knots, model, sums]);
            commands.download(sums)
        },
        |downloads, sums| downloads.take::<f32>(sums),
    );
    // The fraction of a shift keeps the rounding of the shift; where it leaves [0, 1], the weights of an interpolation add up
    // to more than 1 along both axes; then a sum of `width` products, of which the square root counts, times four deviations.
    let weights = (1.0 + 2.0 * motion.overshoot(knots)).powi(2);
    let roundings = (4.0 + 2.0 * largest(knots)) * (motion.width as f32).sqrt();
    let pixel = weights * largest(&frames) + params.zero;
    let tolerance = 4.0 * roundings * ROUNDING * pixel * largest(&model);
    let case = motion.name();
    let split = |sums: &[f32]| -> (Vec<f32>, Vec<f32>) {
        let square = sums.chunks_exact(entries).map(|row| row[2]);
        let others = sums.chunks_exact(entries).map(|row| [&row[..2], &row[3..]]);
        (
            square.collect(),
            others.flatten().flatten().copied().collect(),
        )
    };
    let ((cpu_square, cpu_others), (gpu_square, gpu_others)) = (split(&cpu), split(&gpu));
    assert_close(&case, &cpu_others, &gpu_others, tolerance);
    // Weight times pixel squared: larger by a pixel.
    assert_close(&case, &cpu_square, &gpu_square, tolerance * pixel);
    cpu
}

#[test]
fn shift_fields_at_awkward_sizes() {
    let Some(both) = both() else { return };
    for motion in &MOTIONS {
        let knots = motion.knots(&mut Random(232));
        check(both, motion, &knots);
    }
}

#[test]
fn a_frame_that_has_left_pulls_nowhere_but_to_the_reference() {
    let Some(both) = both() else { return };
    let motion = Motion {
        frames: 2,
        height: 9,
        width: 40,
        knot_rows: 1,
        knot_columns: 1,
        common_px: 0.0,
        own_px: 0.0,
    };
    // The first frame has left upwards, the second to the side: the sums are those of the reference, whatever the frame, and
    // those of pixels from outside are the same.
    let sums = check(both, &motion, &[-50.0, 0.0, 0.0, 70.5]);
    let (first, second) = sums.split_at(sums.len() / 2);
    assert_eq!(first, second);
    for row in first.chunks_exact(8) {
        assert_eq!([row[0], row[1]], [row[4], row[5]]);
        assert!(row[3] != 0.0);
    }
}
