//! Parity of `standardise_bins`.

use somata_shaders::layout::StandardiseBinsParams;

use crate::{
    both::{ROUNDING, assert_close, both, largest},
    random::Random,
};

#[test]
fn bins_and_absent_pixels_at_awkward_sizes() {
    let Some(both) = both() else { return };
    for (bins, pixels) in [(0, 5), (1, 1), (3, 257), (5, 1000)] {
        let mut random = Random(371);
        let x: Vec<f32> = random
            .normals(bins * pixels)
            .iter()
            .map(|v| 20.0 + 5.0 * v)
            .collect();
        let mean: Vec<f32> = random.normals(pixels).iter().map(|v| 20.0 + v).collect();
        let inverse: Vec<f32> = (0..pixels)
            .map(|_| {
                if random.below(6) == 0 {
                    0.0
                } else {
                    random.between(0.1, 0.5)
                }
            })
            .collect();
        let params = StandardiseBinsParams {
            n_bins: bins as u32,
            n_pixels: pixels as u32,
        };
        let (cpu, gpu) = both.play(
            |commands| {
                let mean = commands.upload("mean", &mean);
                let inverse = commands.upload("inverse_noise", &inverse);
                let x = commands.upload("bins", &x);
                commands.dispatch(&params, &[mean, inverse, x]);
                commands.download(x)
            },
            |downloads, x| downloads.take::<f32>(x),
        );
        // A difference and a product, each rounded once.
        let tolerance = 2.0 * ROUNDING * (largest(&x) + largest(&mean)) * 0.5;
        assert_close(&format!("{bins} bins of {pixels}"), &cpu, &gpu, tolerance);
        let absent = gpu
            .iter()
            .enumerate()
            .filter(|(i, _)| inverse[i % pixels] == 0.0);
        // Exact: times zero.
        assert!(
            absent.map(|(_, v)| *v).all(|v| v == 0.0),
            "absent pixels are 0"
        );
    }
}
