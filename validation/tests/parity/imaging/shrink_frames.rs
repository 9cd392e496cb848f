//! Parity of `shrink_frames`.

use somata_shaders::layout::ShrinkFramesParams;

use crate::{
    both::{ROUNDING, assert_close, both, largest},
    random::Random,
};

#[test]
fn bins_clipped_tapered_and_paired_at_awkward_sizes() {
    let Some(both) = both() else { return };
    for (frames, height, width, shrink, rows, columns) in [
        (0, 4, 4, 1, 4, 4),
        (1, 1, 1, 1, 1, 1),
        (2, 1, 1, 1, 1, 1),
        (3, 7, 5, 1, 8, 8),
        (2, 96, 80, 2, 64, 64),
        (5, 33, 50, 3, 16, 16),
        (1, 67, 131, 4, 16, 64),
        (4, 300, 20, 1, 512, 32),
    ] {
        let mut random = Random(211);
        let x: Vec<f32> = random
            .normals(frames * height * width)
            .iter()
            .map(|v| 50.0 + 20.0 * v)
            .collect();
        let taper: Vec<f32> = (0..rows + columns).map(|_| random.unit()).collect();
        let params = ShrinkFramesParams {
            n_frames: frames as u32,
            height: height as u32,
            width: width as u32,
            shrink: shrink as u32,
            rows: rows as u32,
            columns: columns as u32,
            low: 40.0,
            high: 62.0,
            zero: 48.0,
        };
        let words = frames.div_ceil(2) * rows * columns * 2;
        let (cpu, gpu) = both.play(
            |commands| {
                let x = commands.upload("frames", &x);
                let taper = commands.upload("taper", &taper);
                let out = commands.buffer("out", words);
                commands.dispatch(&params, &[x, taper, out]);
                commands.download(out)
            },
            |downloads, out| downloads.take::<f32>(out),
        );
        // A sum of shrink² pixels, divided, less a constant, times a weight that is a product.
        let tolerance = ((shrink * shrink) as f32 + 4.0) * ROUNDING * largest(&x);
        let case = format!("{frames} x {height} x {width}, bins of {shrink}, {rows} x {columns}");
        assert_close(&case, &cpu, &gpu, tolerance);
        assert!(frames == 0 || largest(&cpu) > 0.0, "{case}: not all zero");
    }
}
