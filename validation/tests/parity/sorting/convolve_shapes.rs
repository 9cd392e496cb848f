//! Parity of `convolve_shapes`.

use somata_shaders::layout::ConvolveShapesParams;

use crate::{
    both::{ROUNDING, assert_close, both, largest},
    random::Random,
};

#[test]
fn shapes_of_every_length_at_awkward_sizes() {
    let Some(both) = both() else { return };
    for (blocks, samples, channels, shapes, taps) in [
        (1, 0, 2, 1, 5),
        (1, 1, 1, 1, 1),
        (1, 20, 2, 3, 61),
        (1, 61, 2, 4, 61),
        (2, 257, 3, 6, 61),
        (1, 700, 2, 9, 20),
        (1, 600, 2, 2, 256),
    ] {
        let mut random = Random(61);
        let x = random.normals(blocks * samples * channels);
        let shape = random.normals(shapes * taps);
        let params = ConvolveShapesParams {
            n_blocks: blocks as u32,
            n_samples: samples as u32,
            n_channels: channels as u32,
            n_shapes: shapes as u32,
            n_taps: taps as u32,
        };
        let (cpu, gpu) = both.play(
            |commands| {
                let x = commands.upload("x", &x);
                let shape = commands.upload("shape", &shape);
                let out = commands.buffer("out", blocks * channels * shapes * samples);
                commands.dispatch(&params, &[x, shape, out]);
                commands.download(out)
            },
            |downloads, out| downloads.take::<f32>(out),
        );
        let case = format!("{blocks} x {channels} x {samples}, {shapes} shapes of {taps}");
        if samples > 0 {
            // A sum of `taps` products, each product and each addition rounded once.
            assert_close(
                &case,
                &cpu,
                &gpu,
                2.0 * taps as f32 * ROUNDING * largest(&x) * largest(&shape),
            );
        }
    }
}
