//! Parity of `pack_samples`.

use somata_shaders::layout::PackSamplesParams;

use crate::{both::both, random::Random};

#[test]
fn the_same_bits_at_awkward_sizes_and_beyond_the_range() {
    let Some(both) = both() else { return };
    for n_words in [0, 1, 255, 256, 10_007] {
        let mut random = Random(3 + n_words);
        // A multiple of 1/256 has no product that is rounded, so that an adapter that fuses finds the same halves.
        let x: Vec<f32> = (0..2 * n_words)
            .map(|_| (random.normal() * 20_000.0).round() / 256.0)
            .collect();
        for scale in [1.0, 128.0, 1024.0] {
            let params = PackSamplesParams {
                n_words: n_words as u32,
                scale,
            };
            let (cpu, gpu) = both.play(
                |commands| {
                    let x = commands.upload("x", &x);
                    let out = commands.buffer("packed", n_words as usize);
                    commands.dispatch(&params, &[x, out]);
                    commands.download(out)
                },
                |downloads, out| downloads.take::<u32>(out),
            );
            assert_eq!(cpu, gpu, "{n_words} words, scale {scale}");
        }
    }
}
