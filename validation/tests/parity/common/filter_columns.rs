//! Parity of `filter_columns`.

use somata_shaders::layout::{FilterColumnsParams, MAX_TRANSFORM};

use crate::{
    both::{Both, ROUNDING, assert_close, both, largest},
    random::Random,
};

fn play(
    both: &Both,
    params: &FilterColumnsParams,
    filter: &[f32],
    images: &[f32],
) -> (Vec<f32>, Vec<f32>) {
    both.play(
        |commands| {
            let filter = commands.upload("filter", filter);
            let images = commands.upload("images", images);
            commands.dispatch(params, &[filter, images]);
            commands.download(images)
        },
        |downloads, images| downloads.take::<f32>(images),
    )
}

#[test]
fn every_length_at_awkward_sizes() {
    let Some(both) = both() else { return };
    for power in 0..=MAX_TRANSFORM.ilog2() {
        let rows = 1u32 << power;
        let together = (MAX_TRANSFORM / rows) as usize;
        // No image, one column, and one more than a workgroup takes together.
        for (images, columns) in [(0, 3), (1, 1), (2, together + 1)] {
            let mut random = Random(281);
            let n = rows as usize * columns;
            let x = random.normals(2 * images * n);
            let filter = random.normals(2 * n);
            let params = FilterColumnsParams {
                n_images: images as u32,
                rows,
                columns: columns as u32,
            };
            let (cpu, gpu) = play(both, &params, &filter, &x);
            // As in transform_rows, there and back: values grow by the length, times a weight.
            let passes = 2.0 * power as f32 + 2.0;
            let tolerance =
                4.0 * passes * rows as f32 * ROUNDING * largest(&x) * largest(&filter).max(1.0);
            let case = format!("{images} images, {columns} columns of {rows}");
            assert_close(&case, &cpu, &gpu, tolerance);
        }
    }
}

#[test]
fn a_filter_of_a_wave_shifts_the_columns() {
    let Some(both) = both() else { return };
    let (rows, columns, shift) = (512u32, 3, 5);
    let mut random = Random(282);
    let x = random.normals(2 * rows as usize * columns);
    let filter: Vec<f32> = (0..rows)
        .flat_map(|k| {
            let angle = -std::f64::consts::TAU * f64::from(k * shift % rows) / f64::from(rows);
            // Divided by the length, since the kernel does not.
            let scale = 1.0 / f64::from(rows);
            let value = [(angle.cos() * scale) as f32, (angle.sin() * scale) as f32];
            value.repeat(columns)
        })
        .collect();
    let params = FilterColumnsParams {
        n_images: 1,
        rows,
        columns: columns as u32,
    };
    let (cpu, gpu) = play(both, &params, &filter, &x);
    let words = 2 * columns;
    let expected: Vec<f32> = (0..rows as usize)
        .flat_map(|row| {
            let from = (row + (rows - shift) as usize) % rows as usize;
            x[from * words..(from + 1) * words].to_vec()
        })
        .collect();
    for (name, found) in [("processor", cpu), ("adapter", gpu)] {
        // 18 passes over values that stay of the size of the input.
        assert_close(name, &expected, &found, 18.0 * ROUNDING * largest(&x));
    }
}
