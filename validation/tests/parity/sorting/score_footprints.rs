//! Parity of `score_footprints`.

use somata_shaders::layout::ScoreFootprintsParams;

use crate::{
    both::{ROUNDING, assert_close, both, largest},
    random::Random,
};

#[test]
fn footprints_at_awkward_sizes() {
    let Some(both) = both() else { return };
    for (blocks, samples, channels, shapes, sizes, neighbours, taps) in [
        (1, 0, 2, 1, 1, 1, 5),
        (1, 1, 1, 1, 1, 1, 1),
        (1, 129, 5, 3, 4, 3, 61),
        (2, 300, 9, 7, 5, 9, 20),
        (3, 64, 7, 2, 9, 4, 64),
        (1, 40, 300, 1, 2, 256, 3),
        (1, 600, 2, 13, 1, 2, 256),
        (1, 20, 2, 3, 2, 2, 61),
    ] {
        let mut random = Random(71);
        let x = random.normals(blocks * channels * samples);
        let shape = random.normals(shapes * taps);
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
            n_taps: taps as u32,
        };
        let (cpu, gpu) = both.play(
            |commands| {
                let x = commands.upload("x", &x);
                let shape = commands.upload("shape", &shape);
                let neighbour = commands.upload("neighbour", &neighbour);
                let weight = commands.upload("weight", &weight);
                let out = commands.buffer("out", blocks * channels * samples);
                commands.dispatch(&params, &[x, shape, neighbour, weight, out]);
                commands.download(out)
            },
            |downloads, out| downloads.take::<f32>(out),
        );
        let case = format!(
            "{blocks} x {channels} x {samples}, {shapes} shapes of {taps}, {sizes} sizes of {neighbours}"
        );
        if samples > 0 {
            // The largest of sums of `neighbours` times `taps` products, each product and each addition rounded once;
            // the two executors sum in different orders.
            assert_close(
                &case,
                &cpu,
                &gpu,
                2.0 * (neighbours + taps) as f32
                    * ROUNDING
                    * largest(&x)
                    * largest(&shape)
                    * largest(&weight)
                    * ((neighbours * taps) as f32).sqrt(),
            );
        }
    }
}
