//! Parity of `subtract_templates`.

use somata_shaders::layout::SubtractTemplatesParams;

use crate::{
    both::{ROUNDING, assert_close, both, largest},
    random::Random,
};

#[test]
fn residuals_of_sorted_lists() {
    let Some(both) = both() else { return };
    for (blocks, samples, channels, units, taps, capacity, counts) in [
        (1, 1, 1, 1, 1, 1, vec![1]),
        (1, 63, 3, 2, 61, 4, vec![0]),
        (1, 40, 3, 2, 61, 4, vec![4]),
        (3, 300, 9, 7, 61, 50, vec![50, 3, 51]),
        (2, 1000, 5, 4, 20, 200, vec![200, 150]),
        // More spikes at one place than a workgroup has invocations.
        (1, 70, 4, 5, 30, 300, vec![300]),
    ] {
        let mut random = Random(121);
        let x = random.normals(blocks * channels * samples);
        let (mut start, mut channel) = (vec![0u32], Vec::new());
        for _ in 0..units {
            let n = 1 + random.below(channels);
            channel.extend(random.subset(n, channels));
            start.push(channel.len() as u32);
        }
        let waveform = random.normals(channel.len() * taps);
        let mut spikes = Vec::new();
        for _ in 0..blocks {
            // Up to the last sample: a template may leave the window.
            let mut list: Vec<(u32, u32)> = (0..capacity)
                .map(|_| (random.below(samples) as u32, random.below(units) as u32))
                .collect();
            list.sort_unstable();
            for (time, unit) in list {
                spikes.extend([time, unit, random.between(0.5, 1.5).to_bits(), 0]);
            }
        }
        let params = SubtractTemplatesParams {
            n_blocks: blocks as u32,
            n_samples: samples as u32,
            n_channels: channels as u32,
            n_units: units as u32,
            n_taps: taps as u32,
            capacity: capacity as u32,
        };
        let (cpu, gpu) = both.play(
            |commands| {
                let x = commands.upload("x", &x);
                let spikes = commands.upload("spikes", &spikes);
                let count = commands.upload("count", &counts);
                let start = commands.upload("channel_start", &start);
                let channel = commands.upload("channel", &channel);
                let waveform = commands.upload("waveform", &waveform);
                commands.dispatch(&params, &[x, spikes, count, start, channel, waveform]);
                commands.download(x)
            },
            |downloads, x| downloads.take::<f32>(x),
        );
        // The same subtractions in the same order: they differ by fused operations only, one rounding a spike that
        // reaches the sample. At most all spikes of a block do.
        let reach = capacity.min(1 + 2 * capacity * taps / samples) as f32;
        let tolerance = 2.0 * reach * ROUNDING * (largest(&x) + reach * 1.5 * largest(&waveform));
        assert_close(
            &format!("{blocks} x {channels} x {samples}, {capacity} spikes"),
            &cpu,
            &gpu,
            tolerance,
        );
    }
}
