//! Twin of `wgsl/sorting/detect_peaks.wgsl`: spikes are local maxima of the universal templates' scores.
//!
//! A peak is kept when nothing larger is near in time and space, and when it does not lie in the shadow of a much
//! larger one: side lobes of a strong spike would otherwise be found as weak units (measured on the Utah set).

use crate::{
    cpu::{Buffer, params},
    layout::DetectPeaksParams,
};

/// Lists the peaks of `score` `[block, channel, time]`.
///
/// `x` is the whitened data `[block, channel, time]`, `neighbour` `[channel, n_neighbours]`. An entry of `peaks`
/// `[block, capacity, 4]` is trough sample in the window, channel, score (bits of an `f32`), start sample of the
/// shape. `count[block]` is the number found; more than `capacity` means that the list is incomplete.
pub fn detect_peaks(
    p: &DetectPeaksParams,
    score: &[f32],
    x: &[f32],
    neighbour: &[u32],
    peaks: &mut [u32],
    count: &mut [u32],
) {
    let (samples, channels) = (p.n_samples as usize, p.n_channels as usize);
    let capacity = p.capacity as usize;
    for block in 0..p.n_blocks as usize {
        let range = block * samples * channels..(block + 1) * samples * channels;
        let (score, x) = (&score[range.clone()], &x[range]);
        let mut found = 0;
        for c in 0..channels {
            let row = &score[c * samples..(c + 1) * samples];
            for t in p.first.max(1) as usize..(p.last as usize).min(samples - 1) {
                let value = row[t];
                if value > p.threshold
                    && value >= row[t - 1]
                    && value > row[t + 1]
                    && stands_out(p, score, neighbour, c, t, value)
                {
                    if found < capacity {
                        let sample = trough(p, &x[c * samples..(c + 1) * samples], t, value);
                        let entry = (block * capacity + found) * 4;
                        peaks[entry..entry + 4].copy_from_slice(&[
                            sample,
                            c as u32,
                            value.to_bits(),
                            t as u32,
                        ]);
                    }
                    found += 1;
                }
            }
        }
        count[block] = found as u32;
    }
}

/// Whether no larger score is within `exclusion` and none `lobe_ratio` times larger within `lobe`.
fn stands_out(
    p: &DetectPeaksParams,
    score: &[f32],
    neighbour: &[u32],
    c: usize,
    t: usize,
    value: f32,
) -> bool {
    let samples = p.n_samples as usize;
    let near = p.exclusion as usize;
    let far = p.lobe.max(p.exclusion) as usize;
    let (from, to) = (t.saturating_sub(far), (t + far).min(samples - 1));
    let shadow = value * p.lobe_ratio;
    let (near_from, near_to) = (t.saturating_sub(near), (t + near).min(samples - 1));
    for &n in &neighbour[c * p.n_neighbours as usize..(c + 1) * p.n_neighbours as usize] {
        let row = &score[n as usize * samples..(n as usize + 1) * samples];
        if largest(&row[from..=to]) > shadow {
            return false;
        }
        let most = largest(&row[near_from..=near_to]);
        if most > value {
            return false;
        }
        // Of equal scores the first counts, and of those of one sample that of the first channel.
        let before = t + usize::from((n as usize) < c);
        if most == value && row[near_from..before.max(near_from)].contains(&value) {
            return false;
        }
    }
    true
}

/// Largest of some scores, of which none is below 0.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn largest(scores: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut largest = [0.0f32; LANES];
    let mut chunks = scores.chunks_exact(LANES);
    for chunk in chunks.by_ref() {
        for lane in 0..LANES {
            largest[lane] = if chunk[lane] > largest[lane] {
                chunk[lane]
            } else {
                largest[lane]
            };
        }
    }
    let rest = chunks.remainder().iter();
    largest.iter().chain(rest).copied().fold(0.0, f32::max)
}

/// Sample of the peak's trough: from the shape, or for a strong peak from the data themselves, because the best shape
/// of the bank moves the time of the maximum.
fn trough(p: &DetectPeaksParams, x: &[f32], t: usize, value: f32) -> u32 {
    let centre = t as i64 + i64::from(p.before);
    if value < p.align_threshold {
        return centre as u32;
    }
    let radius = i64::from(p.align_radius);
    let (mut best, mut sample) = (f32::NEG_INFINITY, centre);
    for s in centre - radius..=centre + radius {
        if s < 0 || s >= x.len() as i64 {
            continue;
        }
        let v = x[s as usize];
        let polar = if v < 0.0 { -v } else { p.positive_weight * v };
        let weighted = polar * (1.0 - 0.03 * (s - centre).abs() as f32);
        if weighted > best {
            (best, sample) = (weighted, s);
        }
    }
    sample as u32
}

/// Binding order: score, x, neighbour, peaks, count.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [score, x, neighbour, peaks, count] = buffers else {
        panic!("detect_peaks takes 5 bindings")
    };
    detect_peaks(
        &params(bytes),
        score.f32(),
        x.f32(),
        neighbour.u32(),
        peaks.u32_mut(),
        count.u32_mut(),
    );
}
