//! Parity of `whiten`.

use somata_shaders::layout::WhitenParams;

use crate::{
    both::{ROUNDING, assert_close, both, largest},
    random::Random,
};

#[test]
fn sparse_matrices_at_awkward_sizes() {
    let Some(both) = both() else { return };
    for (blocks, samples, channels, neighbours, matrices) in [
        (1, 0, 3, 2, 1),
        (1, 1, 1, 1, 1),
        (1, 33, 31, 7, 1),
        (3, 100, 33, 32, 2),
        (2, 257, 70, 17, 3),
    ] {
        let mut random = Random(51);
        let x: Vec<f32> = random
            .normals(blocks * samples * channels)
            .iter()
            .map(|v| v * 20.0)
            .collect();
        let neighbour: Vec<u32> = (0..channels * neighbours)
            .map(|_| random.below(channels) as u32)
            .collect();
        // Some entries are padding.
        let weight: Vec<f32> = (0..matrices * channels * neighbours)
            .map(|_| {
                if random.below(5) == 0 {
                    0.0
                } else {
                    0.1 * random.normal()
                }
            })
            .collect();
        let matrix: Vec<u32> = (0..blocks)
            .map(|block| ((block + 1) % matrices) as u32)
            .collect();
        let params = WhitenParams {
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
                let matrix = commands.upload("matrix_of_block", &matrix);
                let out = commands.zeros("out", blocks * samples * channels);
                commands.dispatch(&params, &[x, neighbour, weight, matrix, out]);
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
