//! Parity of `pool_maxima`.

use somata_shaders::layout::PoolMaximaParams;

use crate::{both::both, random::Random};

#[test]
fn planes_at_awkward_sizes() {
    let Some(both) = both() else { return };
    for (planes, height, width) in [
        (0, 2, 2),
        (1, 1, 1),
        (3, 1, 7),
        (2, 5, 1),
        (5, 17, 33),
        (7, 20, 14),
    ] {
        let mut random = Random(311);
        let x = random.normals(planes * 4 * height * width);
        let params = PoolMaximaParams {
            n_images: planes as u32,
            height: height as u32,
            width: width as u32,
        };
        let (cpu, gpu) = both.play(
            |commands| {
                let x = commands.upload("x", &x);
                let out = commands.buffer("out", planes * height * width);
                commands.dispatch(&params, &[x, out]);
                commands.download(out)
            },
            |downloads, out| downloads.take::<f32>(out),
        );
        // Exact: a choice.
        assert_eq!(cpu, gpu, "{planes} planes of {height} x {width}");
    }
}
