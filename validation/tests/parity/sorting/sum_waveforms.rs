//! Parity of `sum_waveforms`.

use somata_shaders::layout::SumWaveformsParams;

use crate::{both::both, random::Random};

#[test]
fn fixed_point_sums_of_listed_events() {
    let Some(both) = both() else { return };
    for (blocks, samples, channels, neighbours, taps, capacity, labels, scale, counts) in [
        (1, 1, 1, 1, 1, 1, 1, 256.0, vec![1]),
        (1, 30, 3, 2, 61, 9, 2, 1024.0, vec![9]),
        (1, 100, 3, 2, 20, 5, 2, 1024.0, vec![0]),
        (3, 300, 12, 9, 61, 100, 5, 4096.0, vec![100, 3, 1000]),
        (2, 200, 5, 5, 130, 60, 2, 1000.0, vec![60, 60]),
    ] {
        let mut random = Random(131);
        let x: Vec<f32> = random
            .normals(blocks * channels * samples)
            .iter()
            .map(|v| v * 4.0)
            .collect();
        let mut events = Vec::new();
        for _ in 0..blocks * capacity {
            let label = if random.below(7) == 0 {
                u32::MAX
            } else {
                random.below(labels) as u32
            };
            events.extend([
                random.below(samples) as u32,
                random.below(channels) as u32,
                label,
                0,
            ]);
        }
        let neighbour: Vec<u32> = (0..channels * neighbours)
            .map(|_| {
                if random.below(6) == 0 {
                    u32::MAX
                } else {
                    random.below(channels) as u32
                }
            })
            .collect();
        let before: Vec<i32> = (0..labels * neighbours * taps)
            .map(|_| random.below(1000) as i32 - 500)
            .collect();
        let params = SumWaveformsParams {
            n_blocks: blocks as u32,
            n_samples: samples as u32,
            n_channels: channels as u32,
            n_neighbours: neighbours as u32,
            n_taps: taps as u32,
            before: taps as u32 / 3,
            capacity: capacity as u32,
            scale,
            limit: 9.0,
        };
        let (cpu, gpu) = both.play(
            |commands| {
                let x = commands.upload("x", &x);
                let events = commands.upload("events", &events);
                let count = commands.upload("count", &counts);
                let neighbour = commands.upload("neighbour", &neighbour);
                let sums = commands.upload("sums", &before);
                commands.dispatch(&params, &[x, events, count, neighbour, sums]);
                commands.download(sums)
            },
            |downloads, sums| downloads.take::<i32>(sums),
        );
        // With a scale that is a power of two the product is exact, so the integers are too. Otherwise a fused
        // operation may round a value to the other side: one unit an event, which hardly ever happens.
        let exact = scale.log2().fract() == 0.0;
        let worst = cpu
            .iter()
            .zip(&gpu)
            .map(|(a, b)| (a - b).abs())
            .max()
            .expect("sums");
        assert!(
            worst <= if exact { 0 } else { 2 },
            "scale {scale}, {capacity} events: sums differ by {worst}"
        );
        assert!(counts == [0] || cpu != before, "something was added");
    }
}
