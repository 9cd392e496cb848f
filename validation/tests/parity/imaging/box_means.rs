//! Parity of `box_means`.

use somata_shaders::layout::BoxMeansParams;

use crate::{
    both::{ROUNDING, assert_close, both, largest},
    random::Random,
};

#[test]
fn both_axes_at_awkward_sizes_and_radii() {
    let Some(both) = both() else { return };
    for (images, height, width, radius) in [
        (0, 3, 3, 1),
        (1, 1, 1, 12),
        (1, 1, 200, 12),
        (1, 200, 1, 12),
        (3, 37, 65, 12),
        (2, 70, 33, 0),
        (2, 66, 130, 1),
        // Wider than a piece of workgroup memory, and than the image.
        (1, 50, 140, 70),
        (1, 140, 40, 300),
    ] {
        for axis in 0..2 {
            let mut random = Random(381);
            let n = height * width;
            let x = random.normals(images * n);
            let scale: Vec<f32> = (0..n).map(|_| random.unit()).collect();
            let params = BoxMeansParams {
                n_images: images as u32,
                height: height as u32,
                width: width as u32,
                radius,
                axis,
            };
            let (cpu, gpu) = both.play(
                |commands| {
                    let x = commands.upload("x", &x);
                    let scale = commands.upload("scale", &scale);
                    let out = commands.buffer("out", images * n);
                    commands.dispatch(&params, &[x, scale, out]);
                    commands.download(out)
                },
                |downloads, out| downloads.take::<f32>(out),
            );
            // The same additions in the same order, so equal but for a driver that changes the order: a sum of the taps that
            // exist, times a scale below 1.
            let taps = (2 * radius as usize + 1).min(height.max(width)) as f32;
            let tolerance = (taps + 1.0) * ROUNDING * largest(&x) * taps.sqrt();
            let case = format!("{images} x {height} x {width}, radius {radius}, axis {axis}");
            assert_close(&case, &cpu, &gpu, tolerance);
        }
    }
}
