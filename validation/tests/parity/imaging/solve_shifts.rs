//! Parity of `solve_shifts`.

use somata_shaders::layout::{ROW_SCALARS, SolveShiftsParams};

use crate::{
    both::{Both, ROUNDING, assert_close, both, largest},
    random::Random,
};

struct Case {
    params: SolveShiftsParams,
    sums: Vec<f32>,
    system: Vec<f32>,
    start: Vec<f32>,
    knots: Vec<f32>,
}

fn case(frames: usize, height: usize, knot_rows: usize, knot_columns: usize, reach: f32) -> Case {
    let mut random = Random(261);
    let n = 2 * knot_rows * knot_columns;
    let mut sums = Vec::new();
    for _ in 0..frames * height {
        // Weight times pixel, weighted reference times pixel, and a square that is larger than the mean's.
        sums.extend([
            random.between(-1.0, 1.0),
            random.between(0.5, 1.5),
            random.between(3.0, 5.0),
        ]);
        // Of the pixels from outside: weight, weighted reference, its square.
        sums.extend([
            random.between(0.0, 0.3),
            random.between(-0.1, 0.1),
            random.between(0.0, 0.2),
        ]);
        sums.extend(random.normals(2 * knot_columns));
    }
    let mut system = vec![2.0 * height as f32, 1.3 * height as f32, 0.0, 0.0];
    system.extend(random.normals(2 * n));
    // Steps of a few pixels: the matrix undoes what the number of rows and of knots adds up to.
    let scale = 1.0 / ((height * n) as f32).sqrt();
    system.extend(random.normals(n * n).iter().map(|v| v * scale));
    system.extend(random.normals(n * n).iter().map(|v| v * 0.3 / n as f32));
    Case {
        params: SolveShiftsParams {
            n_frames: frames as u32,
            height: height as u32,
            knot_rows: knot_rows as u32,
            knot_columns: knot_columns as u32,
            reach,
        },
        sums,
        system,
        start: random.normals(3 * frames),
        knots: random.normals(frames * n),
    }
}

/// Plays a case on both: knots and fit, processor's and adapter's.
fn play(both: &Both, case: &Case) -> [(Vec<f32>, Vec<f32>); 2] {
    let (cpu, gpu) = both.play(
        |commands| {
            let sums = commands.upload("sums", &case.sums);
            let system = commands.upload("system", &case.system);
            let start = commands.upload("start", &case.start);
            let knots = commands.upload("knots", &case.knots);
            let fit = commands.zeros("fit", 3 * case.params.n_frames as usize);
            commands.dispatch(&case.params, &[sums, system, start, knots, fit]);
            (commands.download(knots), commands.download(fit))
        },
        |downloads, (knots, fit)| (downloads.take::<f32>(knots), downloads.take::<f32>(fit)),
    );
    [cpu, gpu]
}

#[test]
fn steps_of_grids_of_knots() {
    let Some(both) = both() else { return };
    for (frames, height, knot_rows, knot_columns, reach) in [
        (0, 5, 1, 1, 1.0),
        (1, 1, 1, 1, 9.0),
        (3, 7, 1, 1, 100.0),
        (2, 300, 6, 2, 100.0),
        (2, 97, 4, 4, 0.7),
        (1, 257, 16, 4, 100.0),
        (2, 64, 1, 4, 100.0),
        (2, 600, 3, 1, 100.0),
        (1, 2, 2, 1, 3.0),
    ] {
        let case = case(frames, height, knot_rows, knot_columns, reach);
        let [(cpu, cpu_fit), (gpu, gpu_fit)] = play(both, &case);
        let entries = (ROW_SCALARS as usize) + 2 * knot_columns;
        let name = format!("{frames} frames of {height} rows, {knot_rows} x {knot_columns} knots");
        // A right-hand side is a sum over rows of terms around 1; the matrix undoes the root of the number of rows and of
        // knots, so that of its rounding the root of the number of rows is left, divided by a gain of 0.7. Then the step is
        // taken from the knot. Times four deviations.
        let rows = (height as f32).sqrt();
        let tolerance = 4.0 * ROUNDING * (2.0 * rows + 4.0 * largest(&case.knots));
        assert_close(&name, &cpu, &gpu, tolerance);
        // Quotients of sums over rows that hardly cancel, the largest a gain of 3.
        let case_of_fit = format!("{name}, fit");
        assert_close(
            &case_of_fit,
            &cpu_fit,
            &gpu_fit,
            4.0 * 3.0 * rows * ROUNDING,
        );
        assert_eq!(case.sums.len(), frames * height * entries);
        assert!(frames == 0 || cpu != case.knots, "{name}: knots step");
    }
}

#[test]
fn without_reach_every_knot_is_at_the_start() {
    let Some(both) = both() else { return };
    let case = case(3, 40, 4, 2, 0.0);
    for (knots, _) in play(both, &case) {
        for (k, knot) in knots.iter().enumerate() {
            let (frame, axis) = (k / 16, k % 16 / 8);
            // Exact: the start itself is both limits.
            assert_eq!(*knot, case.start[3 * frame + axis], "value {k}");
        }
    }
}

#[test]
fn gains_are_clamped_and_nothing_becomes_nan() {
    let Some(both) = both() else { return };
    for (pixel, expected) in [(0.0, 0.3), (100.0, 3.0), (-5.0, 0.3)] {
        let mut case = case(2, 30, 2, 2, 50.0);
        for row in case.sums.chunks_exact_mut(10) {
            row[1] = pixel;
        }
        for (knots, fit) in play(both, &case) {
            assert_eq!(fit[1], expected, "gain of sums of {pixel}");
            assert!(knots.iter().chain(&fit).all(|v| v.is_finite()));
        }
    }
    let mut case = case(1, 30, 2, 2, 50.0);
    case.system.fill(0.0);
    case.sums.fill(0.0);
    for (knots, fit) in play(both, &case) {
        // Exact: no weight and no structure, no step and no fit.
        assert_eq!(knots, case.knots);
        assert_eq!(fit, [0.0, 1.0, 0.0]);
    }
}

#[test]
fn a_frame_of_one_value_correlates_with_nothing() {
    let Some(both) = both() else { return };
    for value in [32_267.3f32, -412.7, 65_035.0] {
        for lost in [0.0, 0.6] {
            let mut case = case(2, 300, 2, 2, 50.0);
            for (row, sums) in case.sums.chunks_exact_mut(10).enumerate() {
                // Two pixels a row, some of them from outside, where they are the reference: 0.4 and 0.16 with the weight. The
                // last factor is what rounding leaves.
                let inside = 2.0 - lost;
                let rounding = 1.0 + 1e-6 * ((row % 7) as f32 - 3.0);
                let (reference, square) = (0.4 * lost, 0.16 * lost);
                sums[..6].copy_from_slice(&[
                    inside * value + reference,
                    square - reference * value,
                    (inside * value * value + square) * rounding,
                    lost,
                    reference,
                    square,
                ]);
            }
            for (_, fit) in play(both, &case) {
                assert_eq!([fit[0], fit[3]], [0.0; 2], "frames of {value}, {lost} lost");
            }
        }
    }
}

#[test]
fn pixels_from_outside_do_not_count_in_the_correlation() {
    let Some(both) = both() else { return };
    let mut case = case(1, 40, 1, 1, 50.0);
    (case.system[0], case.system[1]) = (80.0, 52.0);
    // Of the reference's 52 squares 32 are outside, with the weight 20 and the mean 0. Inside, the frame is half the reference
    // and something else of as much variance again.
    for sums in case.sums.chunks_exact_mut(8) {
        sums[..6].copy_from_slice(&[
            0.0,
            (32.0 + 0.5 * 20.0) / 40.0,
            (32.0 + 2.0 * 0.25 * 20.0) / 40.0,
            0.5,
            0.0,
            32.0 / 40.0,
        ]);
    }
    for (_, fit) in play(both, &case) {
        // A dozen roundings of numbers near 1.
        assert!((fit[0] - 0.5f32.sqrt()).abs() < 1e-5, "{}", fit[0]);
    }
    for sums in case.sums.chunks_exact_mut(8) {
        // The whole frame is outside, where it is the reference.
        sums[..6].copy_from_slice(&[0.0, 1.3, 1.3, 2.0, 0.0, 1.3]);
    }
    for (_, fit) in play(both, &case) {
        assert_eq!(fit[0], 0.0, "a frame that has left fits nothing");
    }
}
