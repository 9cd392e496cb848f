//! Parity of `bin_frames`.

use somata_shaders::{cpu::imaging::bin_frames::SUMS, layout::BinFramesParams};

use crate::{
    both::{ROUNDING, assert_close, both, largest},
    random::Random,
};

#[test]
fn bad_frames_and_absent_pixels_at_awkward_sizes() {
    let Some(both) = both() else { return };
    for (blocks, block_frames, bin_frames, frames, height, width) in [
        (1, 4, 2, 0, 3, 5),
        (1, 1, 1, 1, 1, 1),
        (1, 20, 5, 20, 7, 19),
        (3, 20, 5, 47, 5, 33),
        (2, 12, 12, 13, 1, 130),
        (4, 8, 4, 20, 9, 7),
        (1, 300, 300, 300, 2, 40),
    ] {
        let mut random = Random(251);
        let image = height * width;
        let moved: Vec<f32> = random
            .normals(frames * image)
            .iter()
            .map(|v| 30.0 + 5.0 * v)
            .collect();
        let reference: Vec<f32> = (0..image).map(|_| random.between(25.0, 35.0)).collect();
        let spans: Vec<u32> = (0..frames * height)
            .flat_map(|_| match random.below(8) {
                0 => [0, 0],
                1 => {
                    let first = random.below(width);
                    [
                        first as u32,
                        (first + 1 + random.below(width - first)) as u32,
                    ]
                }
                _ => [0, width as u32],
            })
            .collect();
        // A quarter of the frames is bad, and one whole bin.
        let fit: Vec<f32> = (0..frames)
            .flat_map(|frame| {
                let bad = random.below(4) == 0 || frame / bin_frames == 1;
                [if bad { 0.2 } else { 0.5 }, 1.0, 0.0]
            })
            .collect();
        let params = BinFramesParams {
            n_blocks: blocks as u32,
            block_frames: block_frames as u32,
            bin_frames: bin_frames as u32,
            n_frames: frames as u32,
            height: height as u32,
            width: width as u32,
            min_correlation: 0.5,
        };
        let n_bins = usize::div_ceil(frames, bin_frames);
        let ((cpu, cpu_sums), (gpu, gpu_sums)) = both.play(
            |commands| {
                let moved = commands.upload("moved", &moved);
                let spans = commands.upload("spans", &spans);
                let fit = commands.upload("fit", &fit);
                let reference = commands.upload("reference", &reference);
                let bins = commands.buffer("bins", n_bins * image);
                let sums = commands.buffer("sums", blocks * SUMS * image);
                commands.dispatch(&params, &[moved, spans, fit, reference, bins, sums]);
                (commands.download(bins), commands.download(sums))
            },
            |downloads, (bins, sums)| (downloads.take::<f32>(bins), downloads.take::<f32>(sums)),
        );
        let case = format!("{frames} frames of {height} x {width}, {blocks} blocks");
        // The mean of a bin's pixels about the reference, divided, and the reference added.
        let tolerance = (bin_frames as f32).sqrt() * 4.0 * ROUNDING * largest(&moved);
        assert_close(&case, &cpu, &gpu, tolerance);
        let deviation = moved
            .iter()
            .zip(reference.iter().cycle())
            .fold(0.0f32, |most, (pixel, reference)| {
                most.max((pixel - reference).abs())
            });
        for (k, (cpu, gpu)) in cpu_sums
            .chunks_exact(image)
            .zip(gpu_sums.chunks_exact(image))
            .enumerate()
        {
            let tolerance = match k % SUMS {
                // Exact: numbers of frames and of pairs.
                0 | 3 => 0.0,
                // A sum over the block's frames, in the same order.
                1 => block_frames as f32 * ROUNDING * deviation,
                // Squares, each rounded or fused into the sum.
                2 => 2.0 * block_frames as f32 * ROUNDING * deviation * deviation,
                // Squares of differences of two pixels.
                _ => 8.0 * block_frames as f32 * ROUNDING * deviation * deviation,
            };
            assert_close(&format!("{case}, sum {}", k % SUMS), cpu, gpu, tolerance);
        }
        assert!(
            frames < 20 || largest(&cpu_sums[3 * image..4 * image]) > 0.0,
            "{case}: there are pairs"
        );
    }
}
