//! Parity of `correlate_traces`.

use somata_shaders::layout::CorrelateTracesParams;

use crate::{
    both::{ROUNDING, assert_close, both, largest},
    random::Random,
};

#[test]
fn sums_grow_by_products_at_awkward_sizes() {
    let Some(both) = both() else { return };
    for (n_frames, n_pixels, n_rows, n_entries) in [
        (0, 3, 1, 2),
        (3, 4, 2, 0),
        (1, 1, 1, 1),
        (7, 50, 3, 63),
        (130, 33, 2, 65),
        (16, 400, 11, 1000),
        // More entries than workgroups have invocations.
        (1, 20, 4, 64 * 65_535 + 5),
    ] {
        let mut random = Random(421);
        let frames = random.normals(n_frames * n_pixels);
        let traces = random.normals(n_rows * n_frames);
        let pixel: Vec<u32> = (0..n_entries)
            .map(|_| random.below(n_pixels) as u32)
            .collect();
        let row: Vec<u32> = (0..n_entries)
            .map(|_| random.below(n_rows) as u32)
            .collect();
        let before: Vec<f32> = (0..n_entries).map(|k| (k % 5) as f32 - 2.0).collect();
        let params = CorrelateTracesParams {
            n_frames: n_frames as u32,
            n_pixels: n_pixels as u32,
            n_entries: n_entries as u32,
        };
        let (cpu, gpu) = both.play(
            |commands| {
                let frames = commands.upload("frames", &frames);
                let pixel = commands.upload("pixel", &pixel);
                let row = commands.upload("row", &row);
                let traces = commands.upload("traces", &traces);
                let sums = commands.upload("sums", &before);
                commands.dispatch(&params, &[frames, pixel, row, traces, sums]);
                commands.download(sums)
            },
            |downloads, sums| downloads.take::<f32>(sums),
        );
        // Sums of as many products as there are frames, in the same order: a card may fuse each with its sum.
        let roundings = 4.0 * ((n_frames as f32).sqrt() + 1.0);
        let tolerance = roundings * ROUNDING * (largest(&frames) * largest(&traces) + 2.0);
        let case = format!("{n_frames} frames of {n_pixels} pixels, {n_entries} of {n_rows} rows");
        assert_close(&case, &cpu, &gpu, tolerance);
        if n_frames == 0 {
            // Exact: nothing was added.
            assert_eq!(gpu, before, "{case}");
        }
    }
}
