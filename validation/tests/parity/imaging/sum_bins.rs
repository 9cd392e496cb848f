//! Parity of `sum_bins`.

use somata_shaders::{cpu::imaging::sum_bins::SUMS, layout::SumBinsParams};

use crate::{
    both::{ROUNDING, assert_close, both, largest},
    random::Random,
};

#[test]
fn sums_with_absent_pixels_at_awkward_sizes() {
    let Some(both) = both() else { return };
    for (bins, height, width) in [
        (0, 4, 5),
        (1, 1, 1),
        (2, 1, 70),
        (3, 70, 1),
        (20, 9, 33),
        (7, 25, 65),
        (101, 8, 32),
    ] {
        let mut random = Random(391);
        let n = height * width;
        let x: Vec<f32> = random.normals(bins * n).iter().map(|v| 1.5 * v).collect();
        let background: Vec<f32> = random.normals(bins * n).iter().map(|v| 0.3 * v).collect();
        let measured: Vec<bool> = (0..n).map(|_| random.below(7) > 0).collect();
        let count: Vec<f32> = (0..n)
            .map(|i| {
                let (y, x) = (i / width, i % width);
                let rows = y.saturating_sub(1)..(y + 2).min(height);
                let around = rows
                    .flat_map(|y| {
                        (x.saturating_sub(1)..(x + 2).min(width)).map(move |x| y * width + x)
                    })
                    .filter(|&i| measured[i])
                    .count();
                if measured[i] { around as f32 } else { 0.0 }
            })
            .collect();
        let params = SumBinsParams {
            n_bins: bins as u32,
            height: height as u32,
            width: width as u32,
            threshold: 1.0,
        };
        let (cpu, gpu) = both.play(
            |commands| {
                let x = commands.upload("bins", &x);
                let background = commands.upload("background", &background);
                let count = commands.upload("count", &count);
                let sums = commands.buffer("sums", SUMS * n);
                commands.dispatch(&params, &[x, background, count, sums]);
                commands.download(sums)
            },
            |downloads, sums| downloads.take::<f32>(sums),
        );
        let smoothed = 3.0 * (largest(&x) + largest(&background));
        let scale = |k: usize| largest(&cpu[k * n..(k + 1) * n]);
        let roundings = 12.0 + 4.0 * (bins as f32).sqrt();
        for k in 0..SUMS {
            // Sums of nine z, divided by a count; then a sum over bins, of which the square root counts. Only products cancel,
            // which are smaller than the squares of the neighbours' sums.
            let tolerance = match k {
                0 | 1 => roundings * ROUNDING * scale(k),
                2 => roundings * ROUNDING * scale(1).max(scale(0)),
                3 => 12.0 * ROUNDING * smoothed,
                // The threshold is taken off before the square.
                _ => roundings * ROUNDING * (scale(4) + smoothed * smoothed),
            };
            let (cpu, gpu) = (&cpu[k * n..(k + 1) * n], &gpu[k * n..(k + 1) * n]);
            if bins == 0 {
                // Exact: nothing was added; the maximum of nothing is the smallest number.
                assert_eq!(cpu, gpu);
            } else {
                assert_close(
                    &format!("{bins} x {height} x {width}, sum {k}"),
                    cpu,
                    gpu,
                    tolerance,
                );
            }
        }
        assert!(
            bins < 20 || largest(&cpu[4 * n..]) > 0.0,
            "something is above the threshold"
        );
    }
}
