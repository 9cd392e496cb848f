//! Parity of `score_templates`.

use somata_shaders::layout::ScoreTemplatesParams;

use crate::{
    both::{ROUNDING, assert_close, both, largest},
    random::Random,
};

#[test]
fn low_rank_templates_at_awkward_sizes() {
    let Some(both) = both() else { return };
    for (blocks, samples, channels, units, taps, rank) in [
        (1, 0, 2, 2, 5, 1),
        (1, 1, 1, 1, 1, 1),
        (1, 40, 3, 2, 61, 3),
        (1, 61, 3, 2, 61, 2),
        (2, 257, 9, 7, 61, 3),
        (1, 500, 5, 3, 129, 4),
        (1, 600, 4, 2, 256, 4),
        (3, 130, 33, 5, 31, 1),
    ] {
        let mut random = Random(111);
        let x = random.normals(blocks * channels * samples);
        let (mut start, mut channel) = (vec![0u32], Vec::new());
        for unit in 0..units {
            // The second unit has no channels at all.
            let n = if unit == 1 {
                0
            } else {
                1 + random.below(channels)
            };
            channel.extend(random.subset(n, channels));
            start.push(channel.len() as u32);
        }
        let spatial = random.normals(channel.len() * rank);
        let temporal = random.normals(units * rank * taps);
        let params = ScoreTemplatesParams {
            n_blocks: blocks as u32,
            n_samples: samples as u32,
            n_channels: channels as u32,
            n_units: units as u32,
            n_taps: taps as u32,
            rank: rank as u32,
        };
        let (cpu, gpu) = both.play(
            |commands| {
                let x = commands.upload("x", &x);
                let start = commands.upload("channel_start", &start);
                let channel = commands.upload("channel", &channel);
                let spatial = commands.upload("spatial", &spatial);
                let temporal = commands.upload("temporal", &temporal);
                let out = commands.buffer("out", blocks * units * samples);
                commands.dispatch(&params, &[x, start, channel, spatial, temporal, out]);
                commands.download(out)
            },
            |downloads, out| downloads.take::<f32>(out),
        );
        let case = format!(
            "{blocks} x {channels} x {samples}, {units} units of {taps} taps and rank {rank}"
        );
        if samples > 0 {
            // Random terms and random errors: sums over channels inside a sum over taps and ranks, of which the square
            // roots count, times four deviations.
            let terms = (channels * taps * rank) as f32;
            let tolerance = 4.0
                * terms.sqrt()
                * ROUNDING
                * largest(&x)
                * largest(&spatial)
                * largest(&temporal);
            assert_close(&case, &cpu, &gpu, tolerance);
        }
    }
}
