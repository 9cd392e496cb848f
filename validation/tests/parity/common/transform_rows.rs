//! Parity of `transform_rows`.

use somata_shaders::layout::{MAX_TRANSFORM, TransformRowsParams};

use crate::{
    both::{Both, ROUNDING, assert_close, both, largest},
    random::Random,
};

fn play(both: &Both, params: &[TransformRowsParams], images: &[f32]) -> (Vec<f32>, Vec<f32>) {
    both.play(
        |commands| {
            let images = commands.upload("images", images);
            for params in params {
                commands.dispatch(params, &[images]);
            }
            commands.download(images)
        },
        |downloads, images| downloads.take::<f32>(images),
    )
}

fn params(images: usize, rows: usize, columns: u32, inverse: u32) -> TransformRowsParams {
    TransformRowsParams {
        n_images: images as u32,
        rows: rows as u32,
        columns,
        inverse,
    }
}

#[test]
fn every_length_forward_and_inverse() {
    let Some(both) = both() else { return };
    for power in 0..=MAX_TRANSFORM.ilog2() {
        let columns = 1u32 << power;
        let together = (MAX_TRANSFORM / columns) as usize;
        // No image, one row, and one more than a workgroup takes together.
        for (images, rows) in [(0, 3), (1, 1), (2, together + 1)] {
            for inverse in [0, 1] {
                let mut random = Random(271);
                let x = random.normals(2 * images * rows * columns as usize);
                let (cpu, gpu) = play(both, &[params(images, rows, columns, inverse)], &x);
                // A pass rounds a value about twice, and its error adds to that of the others as the values do, by squares;
                // values grow by the root of the length. Times four deviations.
                let passes = power as f32 + 1.0;
                let tolerance = 4.0 * passes * (columns as f32).sqrt() * ROUNDING * largest(&x);
                let case = format!("{images} images, {rows} rows of {columns}, inverse {inverse}");
                assert_close(&case, &cpu, &gpu, tolerance);
            }
        }
    }
}

#[test]
fn a_wave_has_one_frequency_and_comes_back() {
    let Some(both) = both() else { return };
    let n = 1024;
    let wave: Vec<f32> = (0..n)
        .flat_map(|j| {
            let angle = std::f64::consts::TAU * f64::from(j * 37 % n) / f64::from(n);
            [angle.cos() as f32, angle.sin() as f32]
        })
        .collect();
    let (cpu, gpu) = play(both, &[params(1, 1, n, 0)], &wave);
    for spectrum in [cpu, gpu] {
        for (k, value) in spectrum.chunks_exact(2).enumerate() {
            let expected = if k == 37 { n as f32 } else { 0.0 };
            // Ten passes over values that add up to 1024; sines that are only good to 2^-11 would be off by 0.5.
            let tolerance = 10.0 * n as f32 * ROUNDING;
            assert!((value[0] - expected).abs() <= tolerance, "{k}: {value:?}");
            assert!(value[1].abs() <= tolerance, "{k}: {value:?}");
        }
    }
    let (cpu, gpu) = play(both, &[params(1, 1, n, 0), params(1, 1, n, 1)], &wave);
    let wave: Vec<f32> = wave.iter().map(|v| v * n as f32).collect();
    for (name, back) in [("processor", cpu), ("adapter", gpu)] {
        // Both ways, 20 passes over values that grow to 1024.
        assert_close(name, &wave, &back, 20.0 * n as f32 * ROUNDING);
    }
}
