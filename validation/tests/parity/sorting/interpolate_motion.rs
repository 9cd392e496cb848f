//! Parity of `interpolate_motion`.

use somata_shaders::layout::InterpolateMotionParams;

use crate::{
    both::{ROUNDING, assert_close, both, largest},
    random::Random,
};

#[test]
fn matrices_of_blocks_at_awkward_sizes() {
    let Some(both) = both() else { return };
    for (blocks, samples, channels, neighbours) in [
        (1, 0, 3, 2),
        (1, 1, 1, 1),
        (1, 255, 5, 3),
        (3, 257, 33, 20),
        (2, 600, 17, 17),
    ] {
        let mut random = Random(61);
        let x = random.normals(blocks * samples * channels);
        let neighbour: Vec<u32> = (0..channels * neighbours)
            .map(|_| random.below(channels) as u32)
            .collect();
        let weight: Vec<f32> = (0..blocks * channels * neighbours)
            .map(|_| {
                if random.below(4) == 0 {
                    0.0
                } else {
                    random.normal()
                }
            })
            .collect();
        let params = InterpolateMotionParams {
            n_blocks: blocks as u32,
            n_samples: samples as u32,
            n_channels: channels as u32,
            n_neighbours: neighbours as u32,
        };
        let (cpu, gpu) = both.play(
            |commands| {
                let x = commands.upload("x", &x);
                let neighbour = commands.upload("neighbour", &neighbour);
                let weight = commands.upload("weight", &weight);
                let out = commands.zeros("out", blocks * samples * channels);
                commands.dispatch(&params, &[x, neighbour, weight, out]);
                commands.download(out)
            },
            |downloads, out| downloads.take::<f32>(out),
        );
        // A sum of `neighbours` products, each product and each addition rounded once.
        let tolerance = 2.0 * neighbours as f32 * ROUNDING * largest(&x) * largest(&weight);
        assert_close(
            &format!("{blocks} x {samples} x {channels}, {neighbours} entries"),
            &cpu,
            &gpu,
            tolerance,
        );
    }
}
