//! Parity of `style_affine`.

use somata_engine::{
    device::CpuExecutor,
    imaging::segmentation::{Network, NetworkWeights},
};
use somata_shaders::layout::{MAX_STYLE_CHANNELS, StyleAffineParams};

use crate::{
    both::{Both, ROUNDING, assert_close, both, largest},
    random::Random,
};

fn play(both: &Both, params: &StyleAffineParams, deepest: &[f32], table: &[f32]) -> [Vec<f32>; 2] {
    let (cpu, gpu) = both.play(
        |commands| {
            let deepest = commands.upload("deepest", deepest);
            let table = commands.upload("table", table);
            let affine = commands.buffer("affine", (2 * params.n_images * params.n_rows) as usize);
            commands.dispatch(params, &[deepest, table, affine]);
            commands.download(affine)
        },
        |downloads, affine| downloads.take::<f32>(affine),
    );
    [cpu, gpu]
}

#[test]
fn styles_at_awkward_sizes() {
    let Some(both) = both() else { return };
    for (images, channels, pixels, rows) in [
        (0, 3, 4, 5),
        (1, 1, 1, 1),
        (3, 7, 35, 9),
        (2, 96, 49, 100),
        (1, 257, 3, 33),
        (1, 2048, 1, 8),
    ] {
        let mut random = Random(321);
        let deepest: Vec<f32> = random
            .normals(images * channels * pixels)
            .iter()
            .map(|v| 1.0 + v)
            .collect();
        let table = random.normals(rows * channels + 3 * rows);
        let params = StyleAffineParams {
            n_images: images as u32,
            channels: channels as u32,
            n_pixels: pixels as u32,
            n_rows: rows as u32,
        };
        let [cpu, gpu] = play(both, &params, &deepest, &table);
        // A mean over pixels, relative to the root of a sum over channels; then a sum over channels of which the style has
        // length 1, times a factor.
        let roundings = (pixels as f32).sqrt() + (channels as f32).sqrt() + 8.0;
        let tolerance = 4.0 * roundings * ROUNDING * largest(&table).max(1.0).powi(2);
        let case = format!("{images} images, {channels} channels of {pixels} pixels, {rows} rows");
        assert_close(&case, &cpu, &gpu, tolerance);
        for image in gpu.chunks_exact(2 * rows) {
            // Exact: factors are copied.
            let factors = &table[rows * channels + rows..rows * channels + 2 * rows];
            assert_eq!(&image[..rows], factors, "{case}");
        }
    }
}

#[test]
fn features_of_zeros_have_no_style() {
    let Some(both) = both() else { return };
    let params = StyleAffineParams {
        n_images: 1,
        channels: 5,
        n_pixels: 6,
        n_rows: 2,
    };
    let mut table = vec![3.0; 10];
    // Biases, factors, terms.
    table.extend([1.0, -2.0, 0.5, 4.0, 0.25, 0.125]);
    for affine in play(both, &params, &[0.0; 30], &table) {
        // Exact: small numbers, and no division by the length 0.
        assert_eq!(affine, [0.5, 4.0, 0.75, -7.875]);
    }
}

#[test]
fn more_channels_than_there_is_room_for_are_refused_when_the_weights_are_read() {
    let channels = MAX_STYLE_CHANNELS as usize + 1;
    let mut weights = NetworkWeights {
        source: "wide.safetensors".into(),
        ..NetworkWeights::default()
    };
    weights.tensors.insert(
        "downsample.down.res_down_0.conv.conv_0.2.weight".into(),
        (vec![channels, 1, 3, 3], vec![0.0; 9 * channels]),
    );
    let error = Network::new(&CpuExecutor::new(1), &weights)
        .err()
        .expect("refused");
    assert_eq!(
        error.to_string(),
        "the weights in `wide.safetensors` do not fit: its deepest features have 2049 channels, there is room for 2048"
    );
}
