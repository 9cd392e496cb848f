//! Twin of `wgsl/imaging/sum_bins.wgsl`: what the summary images are made of.
//!
//! training/summary.py defines the images that the network was trained on; these are the sums over bins in it.

use crate::{
    cpu::{Buffer, params},
    layout::SumBinsParams,
};

/// Sums that are left for each pixel: own square, square of the neighbours' sum, product of the two, largest smoothed
/// value, energy above the threshold.
pub const SUMS: usize = 5;

/// `z = bins - background` (both `[bin, y, x]`) gives `sums` `[5, y, x]`.
///
/// With `s` the sum of `z` over the 3 by 3 square and `c` the number of its measured pixels (`count` `[y, x]`, 0 where the pixel
/// itself was not measured): own `z²`, neighbours `(s - z)²`, product `z (s - z)`, all summed over bins; the largest `3 s / c`, and the sum of
/// `max(3 s / c - threshold, 0)²`.
pub fn sum_bins(
    p: &SumBinsParams,
    bins: &[f32],
    background: &[f32],
    count: &[f32],
    sums: &mut [f32],
) {
    let (height, width) = (p.height as usize, p.width as usize);
    let n = height * width;
    let [own, others, product, largest, energy] = {
        let mut planes = sums.chunks_exact_mut(n);
        std::array::from_fn::<_, SUMS, _>(|_| planes.next().expect("five planes"))
    };
    for plane in [&mut *own, others, product, energy] {
        plane.fill(0.0);
    }
    largest.fill(f32::MIN);
    // Three rows of z with a zero at both ends, kept as the window moves down.
    let mut rows = vec![vec![0.0f32; width + 2]; 3];
    for bin in 0..p.n_bins as usize {
        let (bins, background) = (
            &bins[bin * n..(bin + 1) * n],
            &background[bin * n..(bin + 1) * n],
        );
        for row in &mut rows {
            row.fill(0.0);
        }
        load(bins, background, count, 0, width, &mut rows[1]);
        for y in 0..height {
            if y + 1 < height {
                let next = &mut rows[2];
                load(bins, background, count, y + 1, width, next);
            } else {
                rows[2].fill(0.0);
            }
            let at = y * width..(y + 1) * width;
            add_row(
                [&rows[0], &rows[1], &rows[2]],
                &count[at.clone()],
                p.threshold,
                [
                    &mut own[at.clone()],
                    &mut others[at.clone()],
                    &mut product[at.clone()],
                    &mut largest[at.clone()],
                    &mut energy[at],
                ],
            );
            rows.rotate_left(1);
        }
    }
}

/// One row of z, 0 where a pixel was not measured.
fn load(bins: &[f32], background: &[f32], count: &[f32], y: usize, width: usize, row: &mut [f32]) {
    let at = y * width..(y + 1) * width;
    for (((z, bin), background), count) in row[1..=width]
        .iter_mut()
        .zip(&bins[at.clone()])
        .zip(&background[at.clone()])
        .zip(&count[at])
    {
        *z = if *count > 0.0 { bin - background } else { 0.0 };
    }
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn add_row(rows: [&[f32]; 3], count: &[f32], threshold: f32, sums: [&mut [f32]; SUMS]) {
    let [own, others, product, largest, energy] = sums;
    let n = count.len();
    let [above, here, below] = rows.map(|row| &row[..n + 2]);
    let (own, others, product) = (&mut own[..n], &mut others[..n], &mut product[..n]);
    let (largest, energy) = (&mut largest[..n], &mut energy[..n]);
    for x in 0..n {
        let sum = (above[x] + above[x + 1] + above[x + 2])
            + (here[x] + here[x + 1] + here[x + 2])
            + (below[x] + below[x + 1] + below[x + 2]);
        let z = here[x + 1];
        let rest = sum - z;
        let smoothed = 3.0 * sum / count[x].max(1.0);
        own[x] += z * z;
        others[x] += rest * rest;
        product[x] += z * rest;
        largest[x] = largest[x].max(smoothed);
        let above_threshold = (smoothed - threshold).max(0.0);
        energy[x] += above_threshold * above_threshold;
    }
}

/// Binding order: bins, background, count, sums.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [bins, background, count, sums] = buffers else {
        panic!("sum_bins takes 4 bindings")
    };
    sum_bins(
        &params(bytes),
        bins.f32(),
        background.f32(),
        count.f32(),
        sums.f32_mut(),
    );
}
