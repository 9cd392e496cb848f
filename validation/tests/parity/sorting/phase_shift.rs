//! Parity of `phase_shift`.

use somata_shaders::layout::PhaseShiftParams;

use crate::{
    both::{ROUNDING, assert_close, both, largest},
    random::Random,
};

#[test]
fn fractions_of_a_sample_at_awkward_sizes() {
    let Some(both) = both() else { return };
    for (blocks, samples, channels, taps) in [
        (1, 0, 3, 5),
        (1, 1, 1, 1),
        (1, 3, 2, 13),
        (2, 257, 5, 13),
        (3, 100, 65, 7),
    ] {
        let mut random = Random(21);
        let x = random.normals(blocks * samples * channels);
        let filters = random.normals(channels * taps);
        let params = PhaseShiftParams {
            n_blocks: blocks as u32,
            n_samples: samples as u32,
            n_channels: channels as u32,
            n_taps: taps as u32,
        };
        let (cpu, gpu) = both.play(
            |commands| {
                let x = commands.upload("x", &x);
                let filters = commands.upload("taps", &filters);
                let out = commands.zeros("out", blocks * samples * channels);
                commands.dispatch(&params, &[x, filters, out]);
                commands.download(out)
            },
            |downloads, out| downloads.take::<f32>(out),
        );
        // A sum of `taps` products, each product and each addition rounded once.
        let tolerance = 2.0 * taps as f32 * ROUNDING * largest(&x) * largest(&filters);
        assert_close(
            &format!("{blocks} x {samples} x {channels}, {taps} taps"),
            &cpu,
            &gpu,
            tolerance,
        );
    }
}
