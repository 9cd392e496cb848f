//! From flows and probabilities to labels (Stringer et al. 2021, as Cellpose 3 defines it on the processor).
//!
//! Every pixel that is more likely in a cell than not walks along the flows; where many end is the middle of a cell, and all that ended
//! there are its pixels. A mask whose own flows differ from the network's was put together from pieces, and is dropped.

use rayon::prelude::*;
use somata_shaders::layout::{
    CountEndsParams, FindSeedsParams, FollowFlowsParams, GrowSeedsParams, SEED_WINDOW, SEED_WORDS,
};

use super::{Labels, Prediction};
use crate::{
    device::{Commands, Executor},
    error::Result,
    parameters::imaging::Segmentation,
};

/// Ends that a seed has more of.
const SEED_ENDS: u32 = 10;
/// Pixels on each side in which a seed is the largest.
const SEED_RADIUS: u32 = 2;
/// Ends that a pixel around a seed has more of.
const GROW_ENDS: u32 = 2;
/// Rounds in which a seed grows.
const GROW_ROUNDS: u32 = 5;
/// A mask that covers more of the image than this is none.
const LARGEST_PART: f64 = 0.4;

/// Builds masks.
///
/// # Errors
/// When the device fails.
pub fn build(
    prediction: &Prediction,
    steps: u32,
    parameters: &Segmentation,
    executor: &dyn Executor,
) -> Result<Labels> {
    let (height, width) = (prediction.height, prediction.width);
    let n_pixels = height * width;
    let threshold = parameters.logit_threshold as f32;
    let points: Vec<u32> = (0..n_pixels)
        .filter(|&i| prediction.logits[i] > threshold)
        .map(|i| i as u32)
        .collect();
    let mut labels = Labels {
        height,
        width,
        labels: vec![0; n_pixels],
    };
    if points.is_empty() {
        return Ok(labels);
    }
    let flow: Vec<f32> = prediction
        .flows
        .iter()
        .enumerate()
        .map(|(i, flow)| {
            if prediction.logits[i % n_pixels] > threshold {
                flow / 5.0
            } else {
                0.0
            }
        })
        .collect();
    let (ends, histogram, seeds) = walk(&flow, &points, [height, width], steps, executor)?;
    let owner = grow(&histogram, seeds, [height, width], executor)?;
    for (&point, &end) in points.iter().zip(&ends) {
        labels.labels[point as usize] = owner[end as usize];
    }
    let largest = (LARGEST_PART * n_pixels as f64) as usize;
    keep(&mut labels, |_, size| size <= largest);
    if parameters.flow_threshold > 0.0 {
        let errors = flow_errors(&labels, &prediction.flows);
        keep(&mut labels, |label, _| {
            errors[label - 1] <= parameters.flow_threshold
        });
    }
    let smallest = parameters.min_size_px as usize;
    keep(&mut labels, |_, size| size >= smallest);
    fill_holes(&mut labels);
    keep(&mut labels, |_, size| size >= smallest);
    Ok(labels)
}

/// Ends of the points, how many ended at each pixel, and the seeds (ascending by ends, then place).
fn walk(
    flow: &[f32],
    points: &[u32],
    [height, width]: [usize; 2],
    steps: u32,
    executor: &dyn Executor,
) -> Result<(Vec<u32>, Vec<u32>, Vec<u32>)> {
    let n_pixels = (height * width) as u32;
    // On the processor one list runs on one thread: the points are shared out.
    let part = points.len().div_ceil(executor.lanes()).max(1);
    let walked: Vec<Vec<u32>> = points
        .par_chunks(part)
        .map(|points| {
            let mut commands = Commands::new();
            let flow = commands.upload("flow", flow);
            let starts = commands.upload("points", points);
            let ends = commands.buffer("ends", points.len());
            commands.dispatch(
                &FollowFlowsParams {
                    height: height as u32,
                    width: width as u32,
                    n_points: points.len() as u32,
                    steps,
                },
                &[flow, starts, ends],
            );
            let ends = commands.download(ends);
            Ok(executor.play(commands)?.take(ends))
        })
        .collect::<Result<_>>()?;
    let all = walked.concat();
    let mut commands = Commands::new();
    let ends = commands.upload("ends", &all);
    let histogram = commands.zeros("histogram", n_pixels as usize);
    let seeds = commands.buffer("seeds", n_pixels as usize);
    commands.dispatch(
        &CountEndsParams {
            n_points: all.len() as u32,
            n_pixels,
        },
        &[ends, histogram],
    );
    commands.dispatch(
        &FindSeedsParams {
            height: height as u32,
            width: width as u32,
            min_count: SEED_ENDS,
            radius: SEED_RADIUS,
        },
        &[histogram, seeds],
    );
    let (histogram, seeds) = (commands.download(histogram), commands.download(seeds));
    let mut downloads = executor.play(commands)?;
    let histogram: Vec<u32> = downloads.take(histogram);
    let counts: Vec<u32> = downloads.take(seeds);
    let mut seeds: Vec<u32> = (0..n_pixels).filter(|&i| counts[i as usize] > 0).collect();
    seeds.sort_by_key(|&i| counts[i as usize]);
    Ok((all, histogram, seeds))
}

/// Which seed each pixel belongs to, from 1 on; of several the one with the most ends.
fn grow(
    histogram: &[u32],
    seeds: Vec<u32>,
    [height, width]: [usize; 2],
    executor: &dyn Executor,
) -> Result<Vec<u32>> {
    let mut commands = Commands::new();
    let counts = commands.upload("histogram", histogram);
    let places = commands.upload("seeds", &seeds);
    let windows = commands.buffer("windows", seeds.len() * SEED_WORDS as usize);
    commands.dispatch(
        &GrowSeedsParams {
            n_seeds: seeds.len() as u32,
            height: height as u32,
            width: width as u32,
            min_count: GROW_ENDS,
            rounds: GROW_ROUNDS,
        },
        &[counts, places, windows],
    );
    let windows = commands.download(windows);
    let windows: Vec<u32> = executor.play(commands)?.take(windows);
    let mut owner = vec![0u32; height * width];
    let half = (SEED_WINDOW / 2) as usize;
    let grown = seeds.iter().zip(windows.chunks_exact(SEED_WORDS as usize));
    for (number, (&seed, window)) in (1..).zip(grown) {
        let (y, x) = (seed as usize / width, seed as usize % width);
        for bit in 0..(SEED_WINDOW * SEED_WINDOW) as usize {
            if window[bit / 32] >> (bit % 32) & 1 == 1 {
                let row = y + bit / SEED_WINDOW as usize - half;
                let column = x + bit % SEED_WINDOW as usize - half;
                owner[row * width + column] = number;
            }
        }
    }
    Ok(owner)
}

/// Drops labels and numbers the others anew, in the order in which they first appear.
fn keep(labels: &mut Labels, keep: impl Fn(usize, usize) -> bool) {
    let n = labels.count();
    let mut sizes = vec![0usize; n + 1];
    for &label in &labels.labels {
        sizes[label as usize] += 1;
    }
    let mut table = vec![0u32; n + 1];
    let mut next = 1;
    for label in &mut labels.labels {
        let old = *label as usize;
        if old == 0 {
            continue;
        }
        if table[old] == 0 {
            table[old] = if keep(old, sizes[old]) {
                next += 1;
                next - 1
            } else {
                u32::MAX
            };
        }
        *label = if table[old] == u32::MAX {
            0
        } else {
            table[old]
        };
    }
}

/// Box around a label: first row, first column, rows, columns.
#[derive(Clone, Copy)]
struct Bounds {
    top: usize,
    left: usize,
    bottom: usize,
    right: usize,
}

fn bounds(labels: &Labels) -> Vec<Bounds> {
    let none = Bounds {
        top: usize::MAX,
        left: usize::MAX,
        bottom: 0,
        right: 0,
    };
    let mut bounds = vec![none; labels.count()];
    for (i, &label) in labels
        .labels
        .iter()
        .enumerate()
        .filter(|(_, label)| **label > 0)
    {
        let (y, x) = (i / labels.width, i % labels.width);
        let b = &mut bounds[label as usize - 1];
        b.top = b.top.min(y);
        b.left = b.left.min(x);
        b.bottom = b.bottom.max(y + 1);
        b.right = b.right.max(x + 1);
    }
    bounds
}

/// Mean squared difference between a mask's own flows and the network's, for each label.
///
/// In 64 bits on the host: heat falls so fast with the distance that 32 bits lose the far end of a large mask.
fn flow_errors(labels: &Labels, flows: &[f32]) -> Vec<f64> {
    let n_pixels = labels.height * labels.width;
    bounds(labels)
        .par_iter()
        .enumerate()
        .map(|(k, b)| {
            let label = k as u32 + 1;
            if b.top == usize::MAX {
                return 0.0;
            }
            let (height, width) = (b.bottom - b.top, b.right - b.left);
            let inside: Vec<bool> = (0..height * width)
                .map(|i| {
                    labels.labels[(b.top + i / width) * labels.width + b.left + i % width] == label
                })
                .collect();
            let own = flows_from_centre(&inside, height, width);
            let (mut sum, mut n) = (0.0, 0);
            for (i, _) in inside.iter().enumerate().filter(|(_, inside)| **inside) {
                let at = (b.top + i / width) * labels.width + b.left + i % width;
                let dy = own[2 * i] - f64::from(flows[at]) / 5.0;
                let dx = own[2 * i + 1] - f64::from(flows[n_pixels + at]) / 5.0;
                sum += dy * dy + dx * dx;
                n += 1;
            }
            sum / f64::from(n.max(1))
        })
        .collect()
}

/// Unit flows inside one mask, towards the pixel nearest its centre, along the gradient of heat that spreads from there: `[y, x, 2]`.
pub fn flows_from_centre(inside: &[bool], height: usize, width: usize) -> Vec<f64> {
    let members: Vec<usize> = (0..inside.len()).filter(|&i| inside[i]).collect();
    let n = members.len().max(1) as f64;
    let mean_y = members.iter().map(|i| (i / width) as f64).sum::<f64>() / n;
    let mean_x = members.iter().map(|i| (i % width) as f64).sum::<f64>() / n;
    let distance =
        |i: usize| ((i / width) as f64 - mean_y).powi(2) + ((i % width) as f64 - mean_x).powi(2);
    let mut flows = vec![0.0; 2 * inside.len()];
    let Some(centre) = members.iter().copied().reduce(|best, i| {
        if distance(i) < distance(best) {
            i
        } else {
            best
        }
    }) else {
        return flows;
    };
    let pitch = width + 2;
    let place = |i: usize| (i / width + 1) * pitch + i % width + 1;
    let mut heat = vec![0.0f64; (height + 2) * pitch];
    let mut next = heat.clone();
    for _ in 0..2 * (height + width + 4) {
        heat[place(centre)] += 1.0;
        for &i in &members {
            let at = place(i);
            let row = |at: usize| heat[at - 1] + heat[at] + heat[at + 1];
            next[at] = (row(at - pitch) + row(at) + row(at + pitch)) / 9.0;
        }
        std::mem::swap(&mut heat, &mut next);
    }
    for &i in &members {
        let at = place(i);
        let (dy, dx) = (
            heat[at + pitch] - heat[at - pitch],
            heat[at + 1] - heat[at - 1],
        );
        let norm = 1e-60 + (dy * dy + dx * dx).sqrt();
        flows[2 * i] = dy / norm;
        flows[2 * i + 1] = dx / norm;
    }
    flows
}

/// Fills the holes of every mask, in the order of the labels; a hole is not joined to the outside along rows or columns.
fn fill_holes(labels: &mut Labels) {
    let boxes = bounds(labels);
    for (label, b) in (1u32..).zip(boxes) {
        if b.top == usize::MAX {
            continue;
        }
        let (height, width) = (b.bottom - b.top, b.right - b.left);
        let at = |i: usize| (b.top + i / width) * labels.width + b.left + i % width;
        let mut outside: Vec<bool> = vec![false; height * width];
        let is_mask: Vec<bool> = (0..height * width)
            .map(|i| labels.labels[at(i)] == label)
            .collect();
        let mut open: Vec<usize> = (0..height * width)
            .filter(|&i| {
                let (y, x) = (i / width, i % width);
                !is_mask[i] && (y == 0 || x == 0 || y + 1 == height || x + 1 == width)
            })
            .collect();
        for &i in &open {
            outside[i] = true;
        }
        while let Some(i) = open.pop() {
            let (y, x) = (i / width, i % width);
            let around = [
                (y > 0).then(|| i - width),
                (y + 1 < height).then(|| i + width),
                (x > 0).then(|| i - 1),
                (x + 1 < width).then(|| i + 1),
            ];
            for j in around.into_iter().flatten() {
                if !is_mask[j] && !outside[j] {
                    outside[j] = true;
                    open.push(j);
                }
            }
        }
        let holes: Vec<usize> = (0..height * width)
            .filter(|&i| !is_mask[i] && !outside[i])
            .map(at)
            .collect();
        for i in holes {
            labels.labels[i] = label;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_is_filled_and_a_bay_is_not() {
        let picture = "
            .#####.
            .#...#.
            .#.###.
            .#.#.#.
            .#.####";
        let rows: Vec<&str> = picture.split_whitespace().collect();
        let (height, width) = (rows.len(), rows[0].len());
        let mut labels = Labels {
            height,
            width,
            labels: rows
                .concat()
                .bytes()
                .map(|b| u32::from(b == b'#'))
                .collect(),
        };
        fill_holes(&mut labels);
        assert_eq!(labels.labels[3 * width + 4], 1, "the hole");
        assert_eq!(labels.labels[width + 2], 0, "the bay");
        assert_eq!(labels.count(), 1);
    }

    #[test]
    fn flows_of_a_disc_point_inward() {
        let n = 11usize;
        let inside: Vec<bool> = (0..n * n)
            .map(|i| (i / n).abs_diff(5).pow(2) + (i % n).abs_diff(5).pow(2) <= 25)
            .collect();
        let flows = flows_from_centre(&inside, n, n);
        let at = |y: usize, x: usize| (flows[2 * (y * n + x)], flows[2 * (y * n + x) + 1]);
        assert!(at(1, 5).0 > 0.99 && at(9, 5).0 < -0.99);
        assert!(at(5, 1).1 > 0.99 && at(5, 9).1 < -0.99);
    }
}
