//! Twin of `wgsl/imaging/grow_seeds.wgsl`: the ends around a seed that belong to it.
//!
//! Where the flows of a cell do not meet in one pixel, its ends are a small cloud. A seed takes the pixels that are joined to
//! it through pixels with enough ends, within its window.

use crate::{
    cpu::{Buffer, params},
    layout::{GrowSeedsParams, SEED_WINDOW, SEED_WORDS},
};

const WINDOW: usize = SEED_WINDOW as usize;
const WORDS: usize = SEED_WORDS as usize;

/// `windows` `[seed, SEED_WORDS]`: bit `row * SEED_WINDOW + column` of the window around `seeds[k]` (a pixel index) is set when the
/// pixel belongs to it. Each round lets in the pixels around (8 neighbours) that have more than `min_count` ends.
pub fn grow_seeds(p: &GrowSeedsParams, histogram: &[u32], seeds: &[u32], windows: &mut [u32]) {
    let half = (WINDOW / 2) as i64;
    let (height, width) = (i64::from(p.height), i64::from(p.width));
    for (&seed, window) in seeds
        .iter()
        .zip(windows.chunks_exact_mut(WORDS))
        .take(p.n_seeds as usize)
    {
        let (y, x) = (i64::from(seed / p.width), i64::from(seed % p.width));
        let mut dense = [[false; WINDOW]; WINDOW];
        for (row, line) in dense.iter_mut().enumerate() {
            for (column, dense) in line.iter_mut().enumerate() {
                let (y, x) = (y + row as i64 - half, x + column as i64 - half);
                *dense = (0..height).contains(&y)
                    && (0..width).contains(&x)
                    && histogram[(y * width + x) as usize] > p.min_count;
            }
        }
        let mut grown = [[false; WINDOW]; WINDOW];
        grown[WINDOW / 2][WINDOW / 2] = true;
        for _ in 0..p.rounds {
            let before = grown;
            for row in 0..WINDOW {
                for column in 0..WINDOW {
                    let reached = (row.saturating_sub(1)..(row + 2).min(WINDOW)).any(|r| {
                        (column.saturating_sub(1)..(column + 2).min(WINDOW)).any(|c| before[r][c])
                    });
                    grown[row][column] = reached && dense[row][column];
                }
            }
        }
        window.fill(0);
        for row in 0..WINDOW {
            for column in 0..WINDOW {
                let bit = row * WINDOW + column;
                window[bit / 32] |= u32::from(grown[row][column]) << (bit % 32);
            }
        }
    }
}

/// Binding order: histogram, seeds, windows.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [histogram, seeds, windows] = buffers else {
        panic!("grow_seeds takes 3 bindings")
    };
    grow_seeds(
        &params(bytes),
        histogram.u32(),
        seeds.u32(),
        windows.u32_mut(),
    );
}
