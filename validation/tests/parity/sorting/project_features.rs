//! Parity of `project_features`.

use somata_shaders::layout::ProjectFeaturesParams;

use crate::{
    both::{ROUNDING, assert_close, both, largest},
    random::Random,
};

#[test]
fn components_around_listed_events() {
    let Some(both) = both() else { return };
    for (blocks, samples, channels, neighbours, components, taps, before, capacity, counts) in [
        (1, 1, 1, 1, 1, 1, 0, 1, vec![1]),
        (1, 30, 3, 2, 3, 61, 20, 9, vec![9]),
        (1, 100, 3, 2, 3, 20, 7, 5, vec![0]),
        (3, 300, 12, 9, 6, 61, 20, 40, vec![40, 3, 1000]),
        // The events are starts: the component begins after them.
        (2, 200, 5, 3, 3, 40, -15i32, 30, vec![30, 30]),
        (1, 300, 80, 70, 5, 31, 10, 6, vec![6]),
    ] {
        let mut random = Random(101);
        let x = random.normals(blocks * channels * samples);
        // Also at both edges, where the waveform leaves the window.
        let events: Vec<u32> = (0..blocks * capacity)
            .flat_map(|_| {
                [
                    random.below(samples) as u32,
                    random.below(channels) as u32,
                    0,
                    0,
                ]
            })
            .collect();
        let neighbour: Vec<u32> = (0..channels * neighbours)
            .map(|_| {
                if random.below(6) == 0 {
                    u32::MAX
                } else {
                    random.below(channels) as u32
                }
            })
            .collect();
        let basis = random.normals(components * taps);
        let params = ProjectFeaturesParams {
            n_blocks: blocks as u32,
            n_samples: samples as u32,
            n_channels: channels as u32,
            n_neighbours: neighbours as u32,
            n_components: components as u32,
            n_taps: taps as u32,
            before: before as u32,
            capacity: capacity as u32,
        };
        let (cpu, gpu) = both.play(
            |commands| {
                let x = commands.upload("x", &x);
                let events = commands.upload("events", &events);
                let count = commands.upload("count", &counts);
                let neighbour = commands.upload("neighbour", &neighbour);
                let basis = commands.upload("basis", &basis);
                let out = commands.zeros("out", blocks * capacity * neighbours * components);
                commands.dispatch(&params, &[x, events, count, neighbour, basis, out]);
                commands.download(out)
            },
            |downloads, out| downloads.take::<f32>(out),
        );
        // A sum of `taps` products in two different orders, each product and each addition rounded once.
        let tolerance = 2.0 * taps as f32 * ROUNDING * largest(&x) * largest(&basis);
        assert_close(
            &format!("{blocks} x {channels} x {samples}, {capacity} events"),
            &cpu,
            &gpu,
            tolerance,
        );
    }
}
