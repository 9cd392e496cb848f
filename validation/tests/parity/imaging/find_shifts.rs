//! Parity of `find_shifts`.

use somata_shaders::layout::FindShiftsParams;

use crate::{
    both::{Both, ROUNDING, both},
    random::Random,
};

/// Plays the kernel on both; checks places and values exactly, fractions within rounding. Returns the shifts.
fn check(both: &Both, case: &str, params: &FindShiftsParams, correlation: &[f32]) -> Vec<f32> {
    let (cpu, gpu) = both.play(
        |commands| {
            let correlation = commands.upload("correlation", correlation);
            let shifts = commands.buffer("shifts", 3 * params.n_frames as usize);
            commands.dispatch(params, &[correlation, shifts]);
            commands.download(shifts)
        },
        |downloads, shifts| downloads.take::<f32>(shifts),
    );
    let shrink = params.shrink as f32;
    for (a, b) in cpu.chunks_exact(3).zip(gpu.chunks_exact(3)) {
        // Exact: the value is copied.
        assert_eq!(a[2], b[2], "{case}: value at the peak");
        for (a, b) in a.iter().zip(b).take(2) {
            // A quotient of differences, below one half of a bin, with a division that is good to 2.5 units.
            let tolerance = 8.0 * ROUNDING * (a.abs() + shrink);
            assert!((a - b).abs() <= tolerance, "{case}: {a} and {b}");
        }
    }
    cpu
}

fn params(frames: usize, [rows, columns]: [usize; 2], [y, x]: [usize; 2]) -> FindShiftsParams {
    FindShiftsParams {
        n_frames: frames as u32,
        rows: rows as u32,
        columns: columns as u32,
        max_y: y as u32,
        max_x: x as u32,
        shrink: 2,
    }
}

#[test]
fn the_largest_value_of_the_window() {
    let Some(both) = both() else { return };
    for (frames, size, max) in [
        (0, [4, 4], [1, 1]),
        (1, [1, 1], [0, 0]),
        (1, [2, 8], [1, 4]),
        (3, [16, 16], [0, 3]),
        (2, [64, 128], [32, 64]),
        (5, [32, 64], [15, 7]),
    ] {
        let mut random = Random(221);
        let correlation = random.normals(2 * usize::div_ceil(frames, 2) * size[0] * size[1]);
        let case = format!("{frames} frames of {size:?}, window {max:?}");
        // Random values differ by far more than nothing, and copies do not round.
        check(both, &case, &params(frames, size, max), &correlation);
    }
}

#[test]
fn of_equal_values_the_first_of_the_window() {
    let Some(both) = both() else { return };
    for (size, max) in [([8, 8], [3, 3]), ([32, 64], [16, 31]), ([4, 4], [2, 2])] {
        let mut random = Random(222);
        let n = 2 * size[0] * size[1];
        // Coarse values, so that the largest is there many times.
        let coarse: Vec<f32> = (0..n).map(|_| random.below(3) as f32).collect();
        check(
            both,
            &format!("coarse {size:?}"),
            &params(2, size, max),
            &coarse,
        );
        let flat = vec![0.25; n];
        let shifts = check(
            both,
            &format!("flat {size:?}"),
            &params(2, size, max),
            &flat,
        );
        let corner = max.map(|max| -2.0 * max as f32);
        assert_eq!(shifts[..2], corner, "{size:?}: the first of the window");
    }
}
