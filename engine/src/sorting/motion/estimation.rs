//! Motion from the peaks' depths over time: pairwise registration, as in DREDge (Windolf et al. 2023).
//!
//! The peaks of each second make a histogram over depth and amplitude. Pairs of seconds are registered to each other by
//! correlation, with sub-bin precision, and one displacement a second is found that explains all pairs (robust least
//! squares). Pairs are robust to slow change, where a single reference is not. Long probes get several overlapping
//! windows in depth, each held near the rigid solution.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Motion;
use crate::{
    parameters::sorting::Motion as Parameters,
    sorting::{detection::Peak, geometry::Geometry},
};

/// Classes of amplitude, a factor of two apart: peaks only align with peaks like them.
const AMPLITUDES: usize = 4;
/// Smallest amplitude of a class, noise deviations.
const AMPLITUDE_MIN: f32 = 6.0;
/// Largest pitch along the probe at which motion can be seen, µm.
const MAX_PITCH_UM: f64 = 60.0;
/// Correlations below this say nothing.
const MIN_CORRELATION: f64 = 0.1;
/// Strength with which neighbouring seconds are held together, in pairs of correlation 1.
const SMOOTHNESS: f64 = 0.5;
/// Iterations of re-weighting.
const ROBUST_ITERATIONS: usize = 6;
/// Residual beyond which a pair loses weight, µm.
const ROBUST_SCALE_UM: f64 = 3.0;

/// Histogram of peaks over time, amplitude class and depth.
#[derive(Deserialize, Serialize)]
pub struct Raster {
    visible: bool,
    n_times: usize,
    n_depths: usize,
    bin_s: f64,
    bin_um: f64,
    first_um: f64,
    sampling_frequency_hz: f64,
    /// `[time, amplitude, depth]`; a peak adds 1, shared between the two nearest depth bins.
    counts: Vec<f32>,
}

impl Raster {
    /// An empty raster; it stays empty where the probe cannot show motion.
    pub fn new(
        geometry: &Geometry,
        parameters: &Parameters,
        n_samples: u64,
        sampling_frequency_hz: f64,
    ) -> Self {
        let depths: Vec<f64> = geometry
            .contacts
            .iter()
            .map(|contact| contact.y_um)
            .collect();
        let low = depths.iter().copied().fold(f64::INFINITY, f64::min);
        let high = depths.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let bin_s = parameters.bin_s;
        let n_times = (n_samples as f64 / sampling_frequency_hz / bin_s)
            .round()
            .max(1.0) as usize;
        let n_depths = ((high - low) / parameters.bin_um).max(0.0) as usize + 3;
        let visible = parameters.correct && shows_motion(geometry) && n_times >= 4;
        Self {
            visible,
            n_times,
            n_depths,
            bin_s,
            bin_um: parameters.bin_um,
            first_um: low - parameters.bin_um,
            sampling_frequency_hz,
            counts: if visible {
                vec![0.0; n_times * AMPLITUDES * n_depths]
            } else {
                Vec::new()
            },
        }
    }

    /// Counts a peak.
    pub fn add(&mut self, peak: &Peak) {
        if !self.visible || peak.amplitude < AMPLITUDE_MIN {
            return;
        }
        let time = (peak.sample as f64 / self.sampling_frequency_hz / self.bin_s) as usize;
        let class = ((peak.amplitude / AMPLITUDE_MIN).log2() as usize).min(AMPLITUDES - 1);
        let depth = (f64::from(peak.y_um) - self.first_um) / self.bin_um;
        if depth < 0.0 || depth as usize + 1 >= self.n_depths {
            return;
        }
        let (bin, share) = (depth as usize, depth.fract() as f32);
        let row = (time.min(self.n_times - 1) * AMPLITUDES + class) * self.n_depths;
        self.counts[row + bin] += 1.0 - share;
        self.counts[row + bin + 1] += share;
    }

    fn depth_um(&self, bin: usize) -> f64 {
        self.first_um + bin as f64 * self.bin_um
    }
}

/// Whether contacts are dense enough, over enough length, to see the tissue move.
pub(crate) fn shows_motion(geometry: &Geometry) -> bool {
    let mut depths: Vec<f64> = geometry
        .contacts
        .iter()
        .map(|contact| contact.y_um)
        .collect();
    depths.sort_by(f64::total_cmp);
    depths.dedup_by(|a, b| (*a - *b).abs() < 1.0);
    let Some((first, last)) = depths.first().zip(depths.last()) else {
        return false;
    };
    let mut pitches: Vec<f64> = depths.windows(2).map(|pair| pair[1] - pair[0]).collect();
    pitches.sort_by(f64::total_cmp);
    let pitch = pitches
        .get(pitches.len() / 2)
        .copied()
        .unwrap_or(f64::INFINITY);
    depths.len() >= 8 && last - first >= 140.0 && pitch <= MAX_PITCH_UM
}

/// Displacement over time and depth, `None` where the probe cannot show any.
pub fn estimate(raster: &Raster, parameters: &Parameters) -> Option<Motion> {
    if !raster.visible {
        return None;
    }
    let smooth = smoothed(raster);
    let lags = lags(
        raster.n_times,
        (parameters.horizon_s / raster.bin_s) as usize,
    );
    let max_shift = (parameters.max_um / raster.bin_um).ceil() as i64;
    let whole = vec![1.0f32; raster.n_depths];
    let rigid = solve(
        raster,
        &register(raster, &smooth, &whole, &lags, max_shift, None),
        None,
    );
    let span = raster.n_depths as f64 * raster.bin_um;
    let n_windows = (span / parameters.window_um).floor().max(1.0) as usize;
    let time_s: Vec<f64> = (0..raster.n_times)
        .map(|t| (t as f64 + 0.5) * raster.bin_s)
        .collect();
    if n_windows == 1 {
        let depth_um = vec![raster.depth_um(raster.n_depths / 2)];
        return Some(Motion {
            time_s,
            depth_um,
            displacement_um: rigid,
        });
    }
    let depth_um: Vec<f64> = (0..n_windows)
        .map(|w| raster.first_um + (w as f64 + 0.5) * span / n_windows as f64)
        .collect();
    let sigma = 0.5 * span / n_windows as f64;
    let local: Vec<Vec<f64>> = depth_um
        .iter()
        .map(|&centre| {
            let window: Vec<f32> = (0..raster.n_depths)
                .map(|d| (-0.5 * ((raster.depth_um(d) - centre) / sigma).powi(2)).exp() as f32)
                .collect();
            let near = (20.0 / raster.bin_um).ceil() as i64;
            solve(
                raster,
                &register(raster, &smooth, &window, &lags, near, Some(&rigid)),
                Some(&rigid),
            )
        })
        .collect();
    let displacement_um = (0..raster.n_times)
        .flat_map(|t| local.iter().map(move |window| window[t]))
        .collect();
    Some(Motion {
        time_s,
        depth_um,
        displacement_um,
    })
}

/// Whether an estimate is more than the noise of estimation.
pub fn is_worth_correcting(motion: &Motion, parameters: &Parameters) -> bool {
    let n = motion.displacement_um.len().max(1) as f64;
    let mean_square = motion.displacement_um.iter().map(|d| d * d).sum::<f64>() / n;
    mean_square.sqrt() >= parameters.min_um
}

/// The raster with counts compressed (a unit that bursts must not outweigh the others), smoothed over depth.
fn smoothed(raster: &Raster) -> Vec<f32> {
    let sigma = 3.0 / raster.bin_um;
    let radius = (3.0 * sigma).ceil() as i64;
    let kernel: Vec<f32> = (-radius..=radius)
        .map(|k| (-0.5 * (k as f64 / sigma).powi(2)).exp() as f32)
        .collect();
    raster
        .counts
        .par_chunks(raster.n_depths)
        .flat_map_iter(|row| {
            let row: Vec<f32> = row.iter().map(|&count| (1.0 + count).ln()).collect();
            let n = row.len() as i64;
            let kernel = kernel.clone();
            (0..n).map(move |i| {
                (-radius..=radius)
                    .zip(&kernel)
                    .filter(|(k, _)| (0..n).contains(&(i + k)))
                    .map(|(k, w)| w * row[(i + k) as usize])
                    .sum()
            })
        })
        .collect()
}

/// Lags at which time bins are compared: all short ones, then ever sparser.
fn lags(n_times: usize, horizon: usize) -> Vec<usize> {
    let mut lags = Vec::new();
    let mut lag = 1;
    while lag < n_times && lag <= horizon.max(1) {
        lags.push(lag);
        lag = if lag < 12 {
            lag + 1
        } else {
            (lag as f64 * 1.25) as usize
        };
    }
    lags
}

/// Displacement of one time bin against another.
struct Pair {
    from: usize,
    to: usize,
    /// Displacement of `to` minus displacement of `from`, µm.
    shift_um: f64,
    weight: f64,
}

/// Registers all pairs within a depth window; around a given solution, or over the whole range of shifts.
fn register(
    raster: &Raster,
    smooth: &[f32],
    window: &[f32],
    lags: &[usize],
    max_shift: i64,
    around: Option<&[f64]>,
) -> Vec<Pair> {
    let n_depths = raster.n_depths;
    let used: Vec<usize> = (0..n_depths).filter(|&d| window[d] > 0.02).collect();
    let (Some(&first), Some(&last)) = (used.first(), used.last()) else {
        return Vec::new();
    };
    let row = |t: usize, a: usize| {
        &smooth[(t * AMPLITUDES + a) * n_depths..(t * AMPLITUDES + a + 1) * n_depths]
    };
    (0..raster.n_times)
        .into_par_iter()
        .flat_map_iter(|from| {
            lags.iter()
                .filter(move |&&lag| from + lag < raster.n_times)
                .filter_map(move |&lag| {
                    let to = from + lag;
                    let centre = around.map_or(0, |rigid| {
                        ((rigid[to] - rigid[from]) / raster.bin_um).round() as i64
                    });
                    let scores: Vec<f64> = (centre - max_shift..=centre + max_shift)
                        .map(|shift| {
                            let (mut ab, mut aa, mut bb) = (0.0f64, 0.0f64, 0.0f64);
                            let (mut sa, mut sb, mut sw) = (0.0f64, 0.0f64, 0.0f64);
                            for class in 0..AMPLITUDES {
                                let (a, b) = (row(from, class), row(to, class));
                                let low = (first as i64).max(-shift).max(0) as usize;
                                let high = (last as i64).min(n_depths as i64 - 1 - shift);
                                if high < low as i64 {
                                    continue;
                                }
                                let high = high as usize;
                                let b = &b[(low as i64 + shift) as usize
                                    ..=(high as i64 + shift) as usize];
                                for ((x, y), w) in
                                    a[low..=high].iter().zip(b).zip(&window[low..=high])
                                {
                                    let (x, y, w) = (f64::from(*x), f64::from(*y), f64::from(*w));
                                    ab += w * x * y;
                                    aa += w * x * x;
                                    bb += w * y * y;
                                    sa += w * x;
                                    sb += w * y;
                                    sw += w;
                                }
                            }
                            if sw <= 0.0 {
                                return 0.0;
                            }
                            let (va, vb) = (aa - sa * sa / sw, bb - sb * sb / sw);
                            if va <= 1e-9 || vb <= 1e-9 {
                                0.0
                            } else {
                                (ab - sa * sb / sw) / (va * vb).sqrt()
                            }
                        })
                        .collect();
                    let best = (0..scores.len())
                        .max_by(|&a, &b| scores[a].total_cmp(&scores[b]).then(b.cmp(&a)))?;
                    let value = scores[best];
                    if value < MIN_CORRELATION || best == 0 || best + 1 == scores.len() {
                        return None;
                    }
                    let (left, right) = (scores[best - 1], scores[best + 1]);
                    let curvature = left - 2.0 * value + right;
                    let fraction = if curvature < 0.0 {
                        0.5 * (left - right) / curvature
                    } else {
                        0.0
                    };
                    let shift = (centre - max_shift) as f64 + best as f64 + fraction;
                    Some(Pair {
                        from,
                        to,
                        shift_um: shift * raster.bin_um,
                        weight: value * value,
                    })
                })
        })
        .collect()
}

/// Displacements that explain the pairs, median 0 (or that of the prior, towards which a window is drawn).
fn solve(raster: &Raster, pairs: &[Pair], prior: Option<&[f64]>) -> Vec<f64> {
    let n = raster.n_times;
    let mut p: Vec<f64> = prior.map_or_else(|| vec![0.0; n], <[f64]>::to_vec);
    let pull = if prior.is_some() { 0.1 } else { 1e-4 };
    let target: Vec<f64> = p.clone();
    let mut robust: Vec<f64> = vec![1.0; pairs.len()];
    for iteration in 0..ROBUST_ITERATIONS {
        let weights: Vec<f64> = pairs
            .iter()
            .zip(&robust)
            .map(|(pair, r)| pair.weight * r)
            .collect();
        let apply = |x: &[f64]| {
            let mut out: Vec<f64> = x.iter().map(|x| pull * x).collect();
            for (pair, w) in pairs.iter().zip(&weights) {
                let d = w * (x[pair.to] - x[pair.from]);
                out[pair.to] += d;
                out[pair.from] -= d;
            }
            for t in 1..n {
                let d = SMOOTHNESS * (x[t] - x[t - 1]);
                out[t] += d;
                out[t - 1] -= d;
            }
            out
        };
        let mut b: Vec<f64> = target.iter().map(|t| pull * t).collect();
        for (pair, w) in pairs.iter().zip(&weights) {
            b[pair.to] += w * pair.shift_um;
            b[pair.from] -= w * pair.shift_um;
        }
        p = conjugate_gradient(apply, &b, p);
        if iteration + 1 < ROBUST_ITERATIONS {
            for (r, pair) in robust.iter_mut().zip(pairs) {
                let residual = (p[pair.to] - p[pair.from] - pair.shift_um) / ROBUST_SCALE_UM;
                *r = 1.0 / (1.0 + residual * residual);
            }
        }
    }
    if prior.is_none() {
        let mut sorted = p.clone();
        sorted.sort_by(f64::total_cmp);
        let median = sorted[n / 2];
        p.iter_mut().for_each(|value| *value -= median);
    }
    p
}

/// Solves a symmetric positive definite system (Hestenes and Stiefel 1952).
fn conjugate_gradient(apply: impl Fn(&[f64]) -> Vec<f64>, b: &[f64], start: Vec<f64>) -> Vec<f64> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut x = start;
    let mut residual: Vec<f64> = b.iter().zip(apply(&x)).map(|(b, ax)| b - ax).collect();
    let mut direction = residual.clone();
    let mut error = dot(&residual, &residual);
    let goal = 1e-16 * dot(b, b).max(1e-12);
    for _ in 0..4 * b.len().max(50) {
        if error <= goal {
            break;
        }
        let image = apply(&direction);
        let step = error / dot(&direction, &image);
        x.iter_mut()
            .zip(&direction)
            .for_each(|(x, d)| *x += step * d);
        residual
            .iter_mut()
            .zip(&image)
            .for_each(|(r, a)| *r -= step * a);
        let next = dot(&residual, &residual);
        let ratio = next / error;
        direction
            .iter_mut()
            .zip(&residual)
            .for_each(|(d, r)| *d = r + ratio * *d);
        error = next;
    }
    x
}
