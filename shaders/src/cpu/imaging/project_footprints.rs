//! Twin of `wgsl/imaging/project_footprints.wgsl`: weighted sums of pixels.
//!
//! All that traces are made of are such sums: cells' weights, the neuropil around them, the background's basis. They are lists
//! of pixels with weights; neighbours in a list are mostly neighbours in a row of the image, and such runs are summed as
//! contiguous memory.

use crate::{
    cpu::{Buffer, params},
    layout::ProjectFootprintsParams,
};

/// Products that are summed side by side.
const LANES: usize = 8;
/// Frames that are summed side by side: runs are short, and the additions of one would wait for each other.
const FRAMES: usize = 4;

/// A stretch of listed pixels that lie side by side.
struct Run {
    entry: usize,
    pixel: usize,
    n: usize,
}

/// `out[frame, row] = sum of weight[k] * frames[frame, pixel[k]]` over the entries `row_start[row]..row_start[row + 1]`;
/// `frames` `[frame, pixel]`.
pub fn project_footprints(
    p: &ProjectFootprintsParams,
    frames: &[f32],
    row_start: &[u32],
    pixel: &[u32],
    weight: &[f32],
    out: &mut [f32],
) {
    let (n_pixels, n_rows) = (p.n_pixels as usize, p.n_rows as usize);
    for row in 0..n_rows {
        let entries = row_start[row] as usize..row_start[row + 1] as usize;
        let runs = runs(&pixel[entries.clone()], entries.start);
        let mut frame = 0;
        while frame < p.n_frames as usize {
            let pixels = |k: usize| &frames[(frame + k) * n_pixels..(frame + k + 1) * n_pixels];
            let n = if frame + FRAMES <= p.n_frames as usize {
                let sums = sum::<FRAMES>(std::array::from_fn(pixels), weight, &runs);
                for (k, sum) in sums.into_iter().enumerate() {
                    out[(frame + k) * n_rows + row] = sum;
                }
                FRAMES
            } else {
                let [sum] = sum::<1>([pixels(0)], weight, &runs);
                out[frame * n_rows + row] = sum;
                1
            };
            frame += n;
        }
    }
}

fn runs(pixels: &[u32], first: usize) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (k, &pixel) in pixels.iter().enumerate() {
        match runs.last_mut() {
            Some(run) if run.pixel + run.n == pixel as usize => run.n += 1,
            _ => runs.push(Run {
                entry: first + k,
                pixel: pixel as usize,
                n: 1,
            }),
        }
    }
    runs
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn sum<const N: usize>(frames: [&[f32]; N], weight: &[f32], runs: &[Run]) -> [f32; N] {
    let mut lanes = [[0.0f32; LANES]; N];
    let mut rest = [0.0f32; N];
    for run in runs {
        let weight = &weight[run.entry..run.entry + run.n];
        let (weight, last_weight) = weight.as_chunks::<LANES>();
        for (k, frame) in frames.iter().enumerate() {
            let pixels = &frame[run.pixel..run.pixel + run.n];
            let (pixels, last_pixels) = pixels.as_chunks::<LANES>();
            for (pixels, weight) in pixels.iter().zip(weight) {
                for i in 0..LANES {
                    lanes[k][i] += pixels[i] * weight[i];
                }
            }
            for (pixel, weight) in last_pixels.iter().zip(last_weight) {
                rest[k] += pixel * weight;
            }
        }
    }
    let mut sums = [0.0; N];
    for k in 0..N {
        let lanes = &lanes[k];
        sums[k] = rest[k]
            + ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6]))
            + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
    }
    sums
}

/// Binding order: frames, row_start, pixel, weight, out.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [frames, row_start, pixel, weight, out] = buffers else {
        panic!("project_footprints takes 5 bindings")
    };
    project_footprints(
        &params(bytes),
        frames.f32(),
        row_start.u32(),
        pixel.u32(),
        weight.f32(),
        out.f32_mut(),
    );
}
