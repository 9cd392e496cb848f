//! Twin of `wgsl/imaging/bin_frames.wgsl`: means of consecutive frames, and sums over them.
//!
//! One pass over the moved frames leaves everything that later stages ask of the whole movie: the binned movie, and a
//! bin's share of mean, variance and noise. The noise is that of successive differences (von Neumann 1941), which slow
//! signals do not enter.

use crate::{
    cpu::{Buffer, params},
    layout::BinFramesParams,
};

/// Sums that a block leaves for each pixel: measured frames, their sum and their square about the reference, pairs of
/// successive frames, their squared difference.
pub const SUMS: usize = 5;

/// `moved` `[frame, y, x]` to `bins` `[bin, y, x]` and `sums` `[block, 5, y, x]`.
///
/// A frame whose correlation with the reference (`fit[frame, 0]`) is below `min_correlation` is left out. A bin is the mean over
/// its good frames, where a pixel that was not measured (`spans` `[frame, row, 2]`) counts as the reference; without a good frame
/// it is the reference. `sums`: measured frames, sum of (pixel - reference), sum of its square, pairs of successive measured frames of a
/// block, sum of their squared difference.
pub fn bin_frames(
    p: &BinFramesParams,
    moved: &[f32],
    spans: &[u32],
    fit: &[f32],
    reference: &[f32],
    bins: &mut [f32],
    sums: &mut [f32],
) {
    let (height, width) = (p.height as usize, p.width as usize);
    let image = height * width;
    let good: Vec<bool> = fit
        .chunks_exact(3)
        .map(|fit| fit[0] >= p.min_correlation)
        .collect();
    sums.fill(0.0);
    let mut sum = vec![0.0f32; width];
    for (block, sums) in sums
        .chunks_exact_mut(SUMS * image)
        .take(p.n_blocks as usize)
        .enumerate()
    {
        let start = block * p.block_frames as usize;
        let end = (start + p.block_frames as usize).min(p.n_frames as usize);
        for first in (start..end).step_by(p.bin_frames as usize) {
            let frames = first..(first + p.bin_frames as usize).min(end);
            let bin = first / p.bin_frames as usize;
            for y in 0..height {
                let mut planes = sums
                    .chunks_exact_mut(image)
                    .map(|plane| &mut plane[y * width..(y + 1) * width]);
                let planes = std::array::from_fn(|_| planes.next().expect("five planes"));
                let row = Row { y, height, width };
                let reference = &reference[y * width..(y + 1) * width];
                let n_good = row.add(
                    moved,
                    spans,
                    &good,
                    start,
                    frames.clone(),
                    reference,
                    &mut sum,
                    planes,
                );
                let scale = 1.0 / n_good.max(1) as f32;
                let out = &mut bins[bin * image + y * width..bin * image + (y + 1) * width];
                for x in 0..width {
                    out[x] = reference[x] + sum[x] * scale;
                }
            }
        }
    }
}

/// One row of the image.
struct Row {
    y: usize,
    height: usize,
    width: usize,
}

impl Row {
    /// Adds the good frames of a bin; returns how many there are. `bin` becomes their sum about the reference; the block begins at
    /// `start_of_block`.
    fn add(
        &self,
        moved: &[f32],
        spans: &[u32],
        good: &[bool],
        start_of_block: usize,
        frames: std::ops::Range<usize>,
        reference: &[f32],
        bin: &mut [f32],
        planes: [&mut [f32]; SUMS],
    ) -> u32 {
        let [count, sum, square, pairs, differences] = planes;
        let at = |frame: usize| {
            let span = 2 * (frame * self.height + self.y);
            let start = (frame * self.height + self.y) * self.width;
            (
                spans[span] as usize..spans[span + 1] as usize,
                &moved[start..start + self.width],
            )
        };
        bin.fill(0.0);
        let mut n_good = 0;
        for frame in frames.filter(|&frame| good[frame]) {
            n_good += 1;
            let (span, row) = at(frame);
            add_frame(span.clone(), row, reference, bin, count, sum, square);
            // A difference is of frames that follow each other, also from bin to bin: bins of one frame have noise as well.
            if frame > start_of_block && good[frame - 1] {
                let (earlier_span, earlier) = at(frame - 1);
                let both = span.start.max(earlier_span.start)..span.end.min(earlier_span.end);
                add_pair(both, row, earlier, pairs, differences);
            }
        }
        n_good
    }
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn add_frame(
    span: std::ops::Range<usize>,
    row: &[f32],
    reference: &[f32],
    bin: &mut [f32],
    count: &mut [f32],
    sum: &mut [f32],
    square: &mut [f32],
) {
    let n = span.len();
    let (row, reference) = (&row[span.clone()], &reference[span.clone()]);
    let (bin, count) = (&mut bin[span.clone()], &mut count[span.clone()]);
    let (sum, square) = (&mut sum[span.clone()], &mut square[span]);
    for x in 0..n {
        let value = row[x] - reference[x];
        bin[x] += value;
        count[x] += 1.0;
        sum[x] += value;
        square[x] += value * value;
    }
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn add_pair(
    span: std::ops::Range<usize>,
    row: &[f32],
    earlier: &[f32],
    pairs: &mut [f32],
    differences: &mut [f32],
) {
    if span.start >= span.end {
        return;
    }
    let n = span.len();
    let (row, earlier) = (&row[span.clone()], &earlier[span.clone()]);
    let (pairs, differences) = (&mut pairs[span.clone()], &mut differences[span]);
    for x in 0..n {
        let difference = row[x] - earlier[x];
        pairs[x] += 1.0;
        differences[x] += difference * difference;
    }
}

/// Binding order: moved, spans, fit, reference, bins, sums.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [moved, spans, fit, reference, bins, sums] = buffers else {
        panic!("bin_frames takes 6 bindings")
    };
    bin_frames(
        &params(bytes),
        moved.f32(),
        spans.u32(),
        fit.f32(),
        reference.f32(),
        bins.f32_mut(),
        sums.f32_mut(),
    );
}
