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
            threshold: 0.0,
            stride: 1,
            gate: 0.0,
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

/// A tone within a hump: smooth, as spikes are.
fn smooth(n: usize, at: f32, width: f32, cycles: f32) -> Vec<f32> {
    (0..n)
        .map(|t| {
            let t = (t as f32 - at) / width;
            (-t * t).exp() * (cycles * t).cos()
        })
        .collect()
}

/// The processor computes every `stride`-th score first, the device all: both must find all that are above the
/// threshold, also at the ends of tiles and of the window.
#[test]
fn scores_between_the_first() {
    let Some(both) = both() else { return };
    for (stride, samples, shapes, taps) in [
        (2, 700, 2, 30),
        (3, 700, 7, 30),
        (4, 1001, 6, 61),
        (4, 61, 1, 61),
    ] {
        let (channels, neighbours, sizes) = (9, 4, 3);
        let mut random = Random(5);
        let shape: Vec<f32> = (0..shapes)
            .flat_map(|s| {
                let row = smooth(taps, 0.4 * taps as f32, 10.0, 1.0 + 0.2 * s as f32);
                let norm = row.iter().map(|v| v * v).sum::<f32>().sqrt();
                row.into_iter().map(move |v| v / norm)
            })
            .collect();
        let mut x = random.normals(channels * samples);
        x.iter_mut().for_each(|v| *v *= 0.05);
        for event in 0..samples / 20 {
            let at = random.below(samples) as f32 + 0.25 * (event % 4) as f32;
            let spike = smooth(samples, at, 10.0, 1.3);
            let c = random.below(channels);
            for (x, v) in x[c * samples..(c + 1) * samples].iter_mut().zip(spike) {
                *x += random.between(3.0, 9.0) * v;
            }
        }
        let neighbour: Vec<u32> = (0..channels * neighbours)
            .map(|i| ((i / neighbours + i % neighbours) % channels) as u32)
            .collect();
        let weight: Vec<f32> = (0..sizes * channels * neighbours)
            .map(|i| 0.9f32.powi((i % neighbours) as i32) / (1.0 + (i / neighbours % 3) as f32))
            .collect();
        let params = ScoreFootprintsParams {
            n_blocks: 1,
            n_samples: samples as u32,
            n_channels: channels as u32,
            n_shapes: shapes as u32,
            n_sizes: sizes as u32,
            n_neighbours: neighbours as u32,
            n_taps: taps as u32,
            threshold: 5.0,
            stride,
            gate: 3.0,
        };
        let (cpu, gpu) = both.play(
            |commands| {
                let x = commands.upload("x", &x);
                let shape = commands.upload("shape", &shape);
                let neighbour = commands.upload("neighbour", &neighbour);
                let weight = commands.upload("weight", &weight);
                let out = commands.buffer("out", channels * samples);
                commands.dispatch(&params, &[x, shape, neighbour, weight, out]);
                commands.download(out)
            },
            |downloads, out| downloads.take::<f32>(out),
        );
        let tolerance = 1e-3;
        let mut above = 0;
        for (i, (&cpu, &gpu)) in cpu.iter().zip(&gpu).enumerate() {
            // A score that is rounded to either side of the threshold is 0 on one of them.
            let at_threshold = cpu.max(gpu) < params.threshold + tolerance;
            assert!(
                (cpu - gpu).abs() < tolerance || at_threshold,
                "stride {stride}: {cpu} and {gpu} at {i}"
            );
            above += usize::from(cpu > params.threshold);
        }
        println!("stride {stride}: {above} of {} above", cpu.len());
        assert!(samples < 100 || (above > 100 && above < cpu.len() / 2));
    }
}
