//! Parity of `score_footprints`.

use somata_shaders::layout::ScoreFootprintsParams;

use crate::{
    both::{ROUNDING, assert_close, both, largest},
    random::Random,
};

#[test]
fn footprints_at_awkward_sizes() {
    let Some(both) = both() else { return };
    for (blocks, samples, channels, shapes, sizes, neighbours) in [
        (1, 0, 2, 1, 1, 1),
        (1, 1, 1, 1, 1, 1),
        (1, 129, 5, 3, 4, 3),
        (2, 300, 9, 6, 5, 9),
        (3, 64, 7, 2, 9, 4),
        (1, 40, 300, 1, 2, 256),
    ] {
        let mut random = Random(71);
        let conv = random.normals(blocks * channels * shapes * samples);
        let neighbour: Vec<u32> = (0..channels * neighbours)
            .map(|_| random.below(channels) as u32)
            .collect();
        // Some entries are padding.
        let weight: Vec<f32> = (0..sizes * channels * neighbours)
            .map(|_| {
                if random.below(4) == 0 {
                    0.0
                } else {
                    random.between(-0.2, 1.0)
                }
            })
            .collect();
        let params = ScoreFootprintsParams {
            n_blocks: blocks as u32,
            n_samples: samples as u32,
            n_channels: channels as u32,
            n_shapes: shapes as u32,
            n_sizes: sizes as u32,
            n_neighbours: neighbours as u32,
        };
        let (cpu, gpu) = both.play(
            |commands| {
                let conv = commands.upload("conv", &conv);
                let neighbour = commands.upload("neighbour", &neighbour);
                let weight = commands.upload("weight", &weight);
                let out = commands.buffer("out", blocks * channels * samples);
                commands.dispatch(&params, &[conv, neighbour, weight, out]);
                commands.download(out)
            },
            |downloads, out| downloads.take::<f32>(out),
        );
        let case = format!(
            "{blocks} x {channels} x {samples}, {shapes} shapes, {sizes} sizes of {neighbours}"
        );
        if samples > 0 {
            // The largest of sums of `neighbours` products, each product and each addition rounded once.
            assert_close(
                &case,
                &cpu,
                &gpu,
                2.0 * neighbours as f32 * ROUNDING * largest(&conv) * largest(&weight),
            );
        }
    }
}
