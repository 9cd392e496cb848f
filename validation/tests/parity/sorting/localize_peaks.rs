//! Parity of `localize_peaks`.

use somata_shaders::layout::LocalizePeaksParams;

use crate::{
    both::{ROUNDING, both},
    random::Random,
};

#[test]
fn positions_of_listed_peaks() {
    let Some(both) = both() else { return };
    for (blocks, samples, channels, shapes, neighbours, capacity, counts) in [
        (1, 5, 1, 1, 1, 1, vec![1]),
        (1, 40, 6, 3, 4, 10, vec![0]),
        (3, 64, 20, 6, 9, 130, vec![130, 7, 999]),
    ] {
        let mut random = Random(91);
        let x = random.normals(blocks * channels * samples);
        let taps = 4;
        let shape = random.normals(shapes * taps);
        let peaks: Vec<u32> = (0..blocks * capacity)
            .flat_map(|_| {
                [
                    random.below(samples) as u32,
                    random.below(channels) as u32,
                    0,
                    random.below(samples) as u32,
                ]
            })
            .collect();
        let neighbour: Vec<u32> = (0..channels * neighbours)
            .map(|_| {
                if random.below(5) == 0 {
                    u32::MAX
                } else {
                    random.below(channels) as u32
                }
            })
            .collect();
        let position: Vec<f32> = (0..2 * channels)
            .map(|_| random.between(0.0, 3000.0))
            .collect();
        let params = LocalizePeaksParams {
            n_blocks: blocks as u32,
            n_samples: samples as u32,
            n_channels: channels as u32,
            n_shapes: shapes as u32,
            n_neighbours: neighbours as u32,
            capacity: capacity as u32,
            n_taps: taps as u32,
        };
        let (cpu, gpu) = both.play(
            |commands| {
                let x = commands.upload("x", &x);
                let shape = commands.upload("shape", &shape);
                let peaks = commands.upload("peaks", &peaks);
                let count = commands.upload("count", &counts);
                let neighbour = commands.upload("neighbour", &neighbour);
                let position = commands.upload("position_um", &position);
                let out = commands.zeros("out", blocks * capacity * 4);
                commands.dispatch(&params, &[x, shape, peaks, count, neighbour, position, out]);
                commands.download(out)
            },
            |downloads, out| downloads.take::<f32>(out),
        );
        for (i, (cpu, gpu)) in cpu.chunks_exact(4).zip(gpu.chunks_exact(4)).enumerate() {
            assert_eq!(cpu[3], gpu[3], "shape of entry {i}");
            // A sum of a few products a channel, rounded once each and squared, so amplitudes err by some units of
            // the last place of the terms; then positive terms only, and a division, which WGSL allows 2.5 units.
            let relative = (2.0 * neighbours as f32 + 16.0 * taps as f32) * ROUNDING;
            for (value, scale) in [(0, 3000.0), (1, 3000.0), (2, 1.0 + cpu[2])] {
                let difference = (cpu[value] - gpu[value]).abs();
                assert!(
                    difference <= relative * scale,
                    "entry {i}, value {value}: {cpu:?} and {gpu:?}"
                );
            }
        }
    }
}
