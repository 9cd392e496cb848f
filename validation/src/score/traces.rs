//! Scores of the signals of cells that were found: correlation with the truth, and what leaks in from neighbours.
//!
//! - Traces: Pearson's correlation with the true indicator signal, median over cells.
//! - Spikes: Pearson's correlation of counts in bins, as in Theis et al. 2016 and Berens et al. 2018 (theirs are 40 ms); here of six
//!   frames, 0.2 s at 30 Hz. Deconvolution that knows no rise time comes late by a constant number of frames, so the
//!   correlation after the one lag that suits all cells best is given beside it.
//! - Contamination: how much of a neighbour's signal a trace holds.

use super::masks::{Footprint, MatchedPair};

/// Frames of a bin in which spikes are counted.
pub const SPIKE_BIN_FRAMES: usize = 6;
/// Lags that are tried, in frames to either side.
pub const LARGEST_LAG_FRAMES: i32 = 4;
/// Cells at most this far apart are neighbours, px: touching cells are 1 apart.
pub const NEIGHBOUR_GAP_PX: usize = 2;

/// Pearson's correlation of two series of the same length; `None` if either is constant or not finite.
pub fn correlation(one: &[f64], other: &[f64]) -> Option<f64> {
    let n = one.len() as f64;
    let (mean_1, mean_2) = (one.iter().sum::<f64>() / n, other.iter().sum::<f64>() / n);
    let (mut product, mut square_1, mut square_2) = (0.0, 0.0, 0.0);
    for (a, b) in one.iter().zip(other) {
        let (a, b) = (a - mean_1, b - mean_2);
        product += a * b;
        square_1 += a * a;
        square_2 += b * b;
    }
    let r = product / (square_1.sqrt() * square_2.sqrt());
    r.is_finite().then_some(r)
}

/// Middle value, or the mean of the two middle ones; `None` without values.
pub fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let n = values.len();
    (n > 0).then(|| 0.5 * (values[(n - 1) / 2] + values[n / 2]))
}

fn to_f64<T: Copy + Into<f64>>(values: &[T]) -> Vec<f64> {
    values.iter().map(|&value| value.into()).collect()
}

/// Median correlation of the estimated with the true traces over `pairs`. A constant trace counts as 0: it says nothing
/// about its cell. `None` without a pair.
pub fn trace_correlation(
    estimated: &[Vec<f32>],
    truth: &[Vec<f32>],
    pairs: &[MatchedPair],
) -> Option<f64> {
    let mut each: Vec<f64> = pairs
        .iter()
        .map(|pair| {
            let (estimated, truth) = (&estimated[pair.predicted], &truth[pair.truth]);
            correlation(&to_f64(estimated), &to_f64(truth)).unwrap_or(0.0)
        })
        .collect();
    median(&mut each)
}

/// Agreement of estimated spikes with the true ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpikeCorrelation {
    /// Median over cells as they are.
    pub median: f64,
    /// Frames by which the estimates come late (negative: early), the same for all cells.
    pub lag_frames: i32,
    /// Median over cells after that lag is taken off.
    pub aligned: f64,
}

/// Median correlation of spike counts in bins over `pairs`. Cells without an estimated or a true spike do not count; `None` if none
/// is left.
pub fn spike_correlation(
    estimated: &[Vec<f32>],
    truth: &[Vec<i16>],
    pairs: &[MatchedPair],
) -> Option<SpikeCorrelation> {
    let by_lag: Vec<(i32, Option<f64>)> = (-LARGEST_LAG_FRAMES..=LARGEST_LAG_FRAMES)
        .map(|lag| {
            let mut each: Vec<f64> = pairs
                .iter()
                .filter_map(|pair| {
                    correlation(
                        &binned(&to_f64(&estimated[pair.predicted]), lag),
                        &binned(&to_f64(&truth[pair.truth]), 0),
                    )
                })
                .collect();
            (lag, median(&mut each))
        })
        .collect();
    let mut best: Option<(i32, f64)> = None;
    for (lag, value) in &by_lag {
        if let Some(value) = value
            && best.is_none_or(|(_, highest)| *value > highest)
        {
            best = Some((*lag, *value));
        }
    }
    let (lag_frames, aligned) = best?;
    Some(SpikeCorrelation {
        median: by_lag[LARGEST_LAG_FRAMES as usize].1?,
        lag_frames,
        aligned,
    })
}

/// Sums of six frames each, after the series was moved `lag` frames earlier and filled up with zeros; an incomplete last bin is left out.
fn binned(series: &[f64], lag: i32) -> Vec<f64> {
    let at = |frame: usize| {
        let from = frame as i64 + i64::from(lag);
        usize::try_from(from)
            .ok()
            .and_then(|from| series.get(from).copied())
            .unwrap_or(0.0)
    };
    (0..series.len() / SPIKE_BIN_FRAMES)
        .map(|bin| {
            (bin * SPIKE_BIN_FRAMES..(bin + 1) * SPIKE_BIN_FRAMES)
                .map(at)
                .sum()
        })
        .collect()
}

/// Pairs of cells (each once, the lower index first) that overlap, touch, or are at most `gap_px` apart in rows and in columns.
pub fn neighbours(
    cells: &[Footprint],
    height: usize,
    width: usize,
    gap_px: usize,
) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    let mut is_near = vec![false; height * width];
    let boxes: Vec<Option<[usize; 4]>> = cells.iter().map(|cell| bounds(cell, width)).collect();
    for (first, cell) in cells.iter().enumerate() {
        let Some([top, bottom, left, right]) = boxes[first] else {
            continue;
        };
        is_near.fill(false);
        for &pixel in &cell.pixels {
            let (y, x) = (pixel as usize / width, pixel as usize % width);
            let columns = x.saturating_sub(gap_px)..(x + gap_px + 1).min(width);
            for y in y.saturating_sub(gap_px)..(y + gap_px + 1).min(height) {
                is_near[y * width..][columns.clone()].fill(true);
            }
        }
        for (second, other) in cells.iter().enumerate().skip(first + 1) {
            let is_apart = boxes[second].is_none_or(|other| {
                other[0] > bottom + gap_px
                    || other[1] + gap_px < top
                    || other[2] > right + gap_px
                    || other[3] + gap_px < left
            });
            if !is_apart && other.pixels.iter().any(|&pixel| is_near[pixel as usize]) {
                pairs.push((first, second));
            }
        }
    }
    pairs
}

/// First and last row, first and last column.
fn bounds(cell: &Footprint, width: usize) -> Option<[usize; 4]> {
    let (first, last) = (cell.pixels.first()?, cell.pixels.last()?);
    let columns = || cell.pixels.iter().map(|&pixel| pixel as usize % width);
    Some([
        *first as usize / width,
        *last as usize / width,
        columns().min()?,
        columns().max()?,
    ])
}

/// How much of their neighbours' signals the traces hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Contamination {
    /// Median of |slope on the neighbour / slope on the own signal|.
    pub median_slope: f64,
    /// Number of (cell, neighbour) pairs, each direction counted.
    pub n_pairs: usize,
}

/// For each matched cell and each of its matched neighbours: the estimated trace is regressed on the true signals of both and a
/// constant; the slope on the neighbour, divided by that on the own signal, is the share of the neighbour's brightness that
/// leaks in. The division makes traces of any unit comparable. `bodies` are the true cells', which decide who is whose neighbour; true
/// signals that never change cannot leak and are left out. `None` without a pair.
pub fn contamination(
    estimated: &[Vec<f32>],
    truth: &[Vec<f32>],
    bodies: &[Footprint],
    height: usize,
    width: usize,
    pairs: &[MatchedPair],
) -> Option<Contamination> {
    let mut estimate_of = vec![None; bodies.len()];
    for pair in pairs {
        estimate_of[pair.truth] = Some(pair.predicted);
    }
    let mut slopes = Vec::new();
    for (first, second) in neighbours(bodies, height, width, NEIGHBOUR_GAP_PX) {
        if estimate_of[first].is_none() || estimate_of[second].is_none() {
            continue;
        }
        for (own, neighbour) in [(first, second), (second, first)] {
            let slope = estimate_of[own].and_then(|predicted| {
                regress_on_two(
                    &to_f64(&estimated[predicted]),
                    &to_f64(&truth[own]),
                    &to_f64(&truth[neighbour]),
                )
            });
            if let Some([on_own, on_neighbour]) = slope {
                let ratio = (on_neighbour / on_own).abs();
                if ratio.is_finite() {
                    slopes.push(ratio);
                }
            }
        }
    }
    let n_pairs = slopes.len();
    median(&mut slopes).map(|median_slope| Contamination {
        median_slope,
        n_pairs,
    })
}

/// Slopes of the least-squares fit of `y` by `a`, `b` and a constant; `None` if `a` and `b` are not independent.
fn regress_on_two(y: &[f64], a: &[f64], b: &[f64]) -> Option<[f64; 2]> {
    let n = y.len() as f64;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / n;
    let (mean_y, mean_a, mean_b) = (mean(y), mean(a), mean(b));
    let (mut aa, mut ab, mut bb, mut ay, mut by) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for ((y, a), b) in y.iter().zip(a).zip(b) {
        let (y, a, b) = (y - mean_y, a - mean_a, b - mean_b);
        aa += a * a;
        ab += a * b;
        bb += b * b;
        ay += a * y;
        by += b * y;
    }
    let determinant = aa * bb - ab * ab;
    // Signals that are the same to six digits cannot be told apart.
    (determinant > 1e-6 * aa * bb).then(|| {
        [
            (ay * bb - by * ab) / determinant,
            (by * aa - ay * ab) / determinant,
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::philox::Stream;

    fn pair(predicted: usize, truth: usize) -> MatchedPair {
        MatchedPair {
            predicted,
            truth,
            iou: 1.0,
        }
    }

    #[test]
    fn late_spikes_are_told_from_wrong_ones() {
        let mut random = Stream::new(1, 0);
        let truth: Vec<Vec<i16>> = (0..5)
            .map(|_| (0..600).map(|_| i16::from(random.chance(0.03))).collect())
            .collect();
        let late: Vec<Vec<f32>> = truth
            .iter()
            .map(|spikes| {
                (0..600)
                    .map(|t| {
                        if t < 2 {
                            0.0
                        } else {
                            0.7 * f32::from(spikes[t - 2])
                        }
                    })
                    .collect()
            })
            .collect();
        let pairs: Vec<MatchedPair> = (0..5).map(|cell| pair(cell, cell)).collect();
        let found = spike_correlation(&late, &truth, &pairs).unwrap();
        assert_eq!(found.lag_frames, 2);
        assert!(found.median < 0.9 && found.aligned > 0.95, "{found:?}");
        // A cell that has no estimated spike is left out.
        let silent = vec![vec![0.0; 600]];
        assert_eq!(spike_correlation(&silent, &truth, &[pair(0, 0)]), None);
    }

    #[test]
    fn the_share_of_a_neighbour_that_leaks_in_is_found() {
        let mut random = Stream::new(3, 0);
        let mut signal = || (0..400).map(|_| random.exponential() as f32).collect();
        let truth: Vec<Vec<f32>> = vec![signal(), signal(), signal()];
        let mix = |own: usize, other: usize, leak: f32| {
            truth[own]
                .iter()
                .zip(&truth[other])
                .map(|(own, other)| 100.0 + 8.0 * own + 8.0 * leak * other)
                .collect::<Vec<f32>>()
        };
        let estimated = vec![mix(0, 1, 0.25), mix(1, 0, -0.25), mix(2, 0, 0.9)];
        // Columns 0, 3 and 9 of one row: the third is nobody's neighbour.
        let bodies: Vec<Footprint> = [0, 2, 9]
            .map(|column| Footprint::new(vec![column]))
            .to_vec();
        let pairs = [pair(0, 0), pair(1, 1), pair(2, 2)];
        let found = contamination(&estimated, &truth, &bodies, 1, 20, &pairs).unwrap();
        assert_eq!(found.n_pairs, 2);
        // Traces are held in f32.
        assert!((found.median_slope - 0.25).abs() < 1e-5, "{found:?}");
        assert_eq!(
            contamination(&estimated, &truth, &bodies, 1, 20, &pairs[..1]),
            None
        );
    }

    #[test]
    fn a_constant_trace_counts_as_zero() {
        let truth = vec![vec![0.0, 1.0, 0.5]];
        let constant = vec![vec![2.0; 3]];
        assert_eq!(
            trace_correlation(&constant, &truth, &[pair(0, 0)]),
            Some(0.0)
        );
        assert_eq!(trace_correlation(&truth, &truth, &[]), None);
    }
}
