//! Parity of `follow_flows`.

use somata_shaders::layout::FollowFlowsParams;

use crate::{
    both::{Both, both},
    random::Random,
};

/// Flows towards the nearest of some middles, of at most one pixel a step and slower near the middle, as a network gives them:
/// `[2, y, x]`.
fn flows(height: usize, width: usize, middles: &[[f32; 2]]) -> Vec<f32> {
    let mut flow = vec![0.0; 2 * height * width];
    for y in 0..height {
        for x in 0..width {
            let to_middle = |m: &[f32; 2]| [m[0] - y as f32, m[1] - x as f32];
            let length = |d: [f32; 2]| d[0].hypot(d[1]);
            let nearest = middles
                .iter()
                .map(to_middle)
                .min_by(|a, b| length(*a).total_cmp(&length(*b)))
                .expect("a middle");
            let scale = 0.9 / (length(nearest) + 1.0);
            flow[y * width + x] = nearest[0] * scale;
            flow[height * width + y * width + x] = nearest[1] * scale;
        }
    }
    flow
}

fn play(
    both: &Both,
    [height, width]: [usize; 2],
    flow: &[f32],
    points: &[u32],
    steps: u32,
) -> [Vec<u32>; 2] {
    let params = FollowFlowsParams {
        height: height as u32,
        width: width as u32,
        n_points: points.len() as u32,
        steps,
    };
    let (cpu, gpu) = both.play(
        |commands| {
            let flow = commands.upload("flow", flow);
            let points = commands.upload("points", points);
            let ends = commands.buffer("ends", params.n_points as usize);
            commands.dispatch(&params, &[flow, points, ends]);
            commands.download(ends)
        },
        |downloads, ends| downloads.take::<u32>(ends),
    );
    [cpu, gpu]
}

#[test]
fn pixels_end_where_their_cell_is() {
    let Some(both) = both() else { return };
    for (height, width, n_middles, n_points, steps) in [
        (5, 7, 1, 0, 10),
        (1, 1, 1, 1, 10),
        (1, 40, 2, 33, 50),
        (40, 1, 2, 33, 50),
        (64, 50, 6, 2000, 100),
        (33, 65, 3, 65, 1),
    ] {
        let mut random = Random(331);
        // Middles between pixels: an end that lies on a border between two would be decided by its last bit.
        let middles: Vec<[f32; 2]> = (0..n_middles)
            .map(|_| {
                [
                    random.below(height) as f32 + 0.4,
                    random.below(width) as f32 + 0.6,
                ]
            })
            .collect();
        let flow = flows(height, width, &middles);
        let points = random.subset(n_points, height * width);
        let [cpu, gpu] = play(both, [height, width], &flow, &points, steps);
        let different: Vec<_> = cpu.iter().zip(&gpu).filter(|(a, b)| a != b).collect();
        println!(
            "{height} x {width}: {} of {n_points} ends differ",
            different.len()
        );
        // Fractions are cut off, and rounding decides for the few whose place is within 1e-5 of a border (walks that meet in
        // a middle forget their roundings): 1 in 1000, and then the end is the next pixel.
        assert!(different.len() * 1000 <= n_points, "{height} x {width}");
        for (a, b) in different {
            let apart = (a / width as u32).abs_diff(b / width as u32)
                + (a % width as u32).abs_diff(b % width as u32);
            assert_eq!(apart, 1, "{height} x {width}: ends {a} and {b}");
        }
        assert!(steps < 50 || n_points < 2 || cpu != points, "pixels walk");
    }
}

#[test]
fn flows_out_of_the_image_end_at_its_edge() {
    let Some(both) = both() else { return };
    let (height, width) = (9, 70);
    let n = height * width;
    let points: Vec<u32> = (0..n as u32).collect();
    for (dy, dx) in [(-0.7f32, 0.0f32), (0.6, 0.8), (0.0, -5.0), (100.0, 100.0)] {
        let flow: Vec<f32> = (0..2 * n).map(|i| if i < n { dy } else { dx }).collect();
        for ends in play(both, [height, width], &flow, &points, 200) {
            for (point, end) in points.iter().zip(ends) {
                let (y, x) = (point / width as u32, point % width as u32);
                let edge = |at: u32, d: f32, last: usize| match d {
                    0.0 => at,
                    d if d > 0.0 => last as u32,
                    _ => 0,
                };
                // Exact: a place is clamped to the edge.
                let expected = edge(y, dy, height - 1) * width as u32 + edge(x, dx, width - 1);
                assert_eq!(end, expected, "pixel ({y}, {x}), flow ({dy}, {dx})");
            }
        }
    }
}
