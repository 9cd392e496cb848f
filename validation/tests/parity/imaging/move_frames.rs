//! Parity of `move_frames`.

use somata_shaders::{cpu::imaging::move_frames::cubic_weights, layout::MoveFramesParams};

use super::fields::{MOTIONS, Motion};
use crate::{
    both::{Both, ROUNDING, assert_close, both, largest},
    random::Random,
};

struct Moved {
    frames: Vec<f32>,
    reference: Vec<f32>,
    /// Pixels and spans: processor, adapter.
    results: [(Vec<f32>, Vec<u32>); 2],
}

fn play(both: &Both, motion: &Motion, knots: &[f32]) -> Moved {
    let mut random = Random(241);
    let frames = random.normals(motion.n_pixels());
    let reference = random.normals(motion.height * motion.width);
    let params = MoveFramesParams {
        n_frames: motion.frames as u32,
        height: motion.height as u32,
        width: motion.width as u32,
        knot_rows: motion.knot_rows as u32,
        knot_columns: motion.knot_columns as u32,
    };
    let (cpu, gpu) = both.play(
        |commands| {
            let frames = commands.upload("frames", &frames);
            let knots = commands.upload("knots", knots);
            let reference = commands.upload("reference", &reference);
            let moved = commands.buffer("moved", motion.n_pixels());
            let spans = commands.buffer("spans", 2 * motion.frames * motion.height);
            commands.dispatch(&params, &[frames, knots, reference, moved, spans]);
            (commands.download(moved), commands.download(spans))
        },
        |downloads, (moved, spans)| (downloads.take::<f32>(moved), downloads.take::<u32>(spans)),
    );
    Moved {
        frames,
        reference,
        results: [cpu, gpu],
    }
}

#[test]
fn shift_fields_at_awkward_sizes() {
    let Some(both) = both() else { return };
    for motion in &MOTIONS {
        let knots = motion.knots(&mut Random(242));
        let moved = play(both, motion, &knots);
        let [(cpu, cpu_spans), (gpu, gpu_spans)] = &moved.results;
        // The fraction of a shift keeps the rounding of the shift; 16 products, whose weights are cubic in the fraction and add
        // up to more than 1 along both axes, the more the further it leaves [0, 1].
        let overshoot = motion.overshoot(&knots);
        let weights = cubic_weights(1.0 + overshoot)
            .map(f32::abs)
            .iter()
            .sum::<f32>();
        let roundings = 16.0 + 4.0 * largest(&knots);
        let tolerance = roundings * ROUNDING * weights.max(1.25).powi(2) * largest(&moved.frames);
        assert_close(&motion.name(), cpu, gpu, tolerance);
        // Exact: random shifts put no pixel so close to the frame's edge that a rounding could take it over.
        assert_eq!(cpu_spans, gpu_spans, "{}", motion.name());
    }
}

#[test]
fn whole_shifts_are_copies_and_what_was_not_measured_is_the_reference() {
    let Some(both) = both() else { return };
    let motion = Motion {
        frames: 5,
        height: 21,
        width: 37,
        knot_rows: 1,
        knot_columns: 1,
        common_px: 0.0,
        own_px: 0.0,
    };
    // Still, down and left, out to the side, out upwards, all but one corner pixel.
    let knots = [0.0, 0.0, 3.0, -5.0, 0.0, 40.0, -21.0, 0.0, 20.0, 36.0];
    let moved = play(both, &motion, &knots);
    for (pixels, spans) in &moved.results {
        for (frame, shift) in knots.chunks_exact(2).enumerate() {
            for y in 0..21i64 {
                let span = &spans[2 * (frame * 21 + y as usize)..][..2];
                for x in 0..37i64 {
                    let (from_y, from_x) = (y + shift[0] as i64, x + shift[1] as i64);
                    let inside = (0..21).contains(&from_y) && (0..37).contains(&from_x);
                    let expected = if inside {
                        moved.frames[(frame as i64 * 21 * 37 + from_y * 37 + from_x) as usize]
                    } else {
                        moved.reference[(y * 37 + x) as usize]
                    };
                    let found = pixels[(frame as i64 * 21 * 37 + y * 37 + x) as usize];
                    // Exact: weights of 0 and 1.
                    assert_eq!(found, expected, "frame {frame}, pixel ({y}, {x})");
                    let is_measured = (span[0]..span[1]).contains(&(x as u32));
                    assert_eq!(is_measured, inside, "frame {frame}, pixel ({y}, {x})");
                }
            }
        }
    }
}
