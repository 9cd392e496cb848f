//! Parity of `unpack_samples`.

use somata_shaders::layout::{PackSamplesParams, UnpackSamplesParams};

use crate::{both::both, random::Random};

#[test]
fn what_was_packed_comes_back() {
    let Some(both) = both() else { return };
    const SCALE: f32 = 128.0;
    for n_words in [0, 1, 257, 10_007] {
        let mut random = Random(5 + n_words);
        let x: Vec<f32> = (0..2 * n_words).map(|_| random.normal() * 60.0).collect();
        let (cpu, gpu) = both.play(
            |commands| {
                let x = commands.upload("x", &x);
                let packed = commands.buffer("packed", n_words as usize);
                let out = commands.buffer("out", x_len(n_words));
                let n_words = n_words as u32;
                commands.dispatch(
                    &PackSamplesParams {
                        n_words,
                        scale: SCALE,
                    },
                    &[x, packed],
                );
                commands.dispatch(
                    &UnpackSamplesParams {
                        n_words,
                        step: 1.0 / SCALE,
                    },
                    &[packed, out],
                );
                commands.download(out)
            },
            |downloads, out| downloads.take::<f32>(out),
        );
        assert_eq!(cpu, gpu, "{n_words} words");
        if n_words > 0 {
            for (x, back) in x.iter().zip(&cpu) {
                assert!((x - back).abs() <= 0.5 / SCALE, "{x} came back as {back}");
            }
        }
    }
}

fn x_len(n_words: u64) -> usize {
    2 * n_words as usize
}
