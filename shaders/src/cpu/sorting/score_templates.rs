//! Twin of `wgsl/sorting/score_templates.wgsl`: how much of every unit is at every time.
//!
//! Templates are long and of low rank (a few spatial times temporal components, by singular values). The WGSL sums over
//! channels and correlates with the temporal components tap by tap. The twin correlates by Fourier transforms
//! (overlap-save; Stockham 1966): the channels' spectra are weighted, multiplied with the spectra of the temporal
//! components, and transformed back once a unit, which costs a third and does not depend on the number of taps. Where the
//! components hold nothing above a quarter of the sampling rate, those frequencies are left out: half the work, and half of what
//! goes through the caches.

use std::cell::RefCell;

use pulp::{Simd, WithSimd};

use crate::{
    cpu::{
        Buffer,
        common::transform_lanes::{
            LANES, LENGTH, PIECES, ROWS, VALUES, dispatch, forward, interleave, inverse, separate,
        },
        params,
    },
    layout::ScoreTemplatesParams,
};

/// Samples of a template, at most.
const MAX_TAPS: usize = 256;
/// Rows of a piece that are low frequencies.
const LOW: usize = 2;
/// Share of a template's energy above a quarter of the sampling rate that is nothing.
const NOTHING: f32 = 1e-3;
/// Units whose spectra are held at a time.
const UNITS: usize = 64;
/// Components that are summed together: as many as have their sums in registers.
const TOGETHER: usize = 2;

/// What a call works with. Each thread keeps its own from call to call. A spectrum's pieces have four rows, or two where only low
/// frequencies count.
#[derive(Default)]
struct Scratch {
    /// One signal, `[sample, lane]`.
    signal: Vec<f32>,
    /// Spectra of the channels, `[piece, channel, row, lane]`: one piece of all channels stays in the cache while units pass.
    channels: Vec<f32>,
    /// Spectra of the units' scores, `[piece, unit, row, lane]`.
    units: Vec<f32>,
    /// Temporal components of which `filters` are the spectra, their taps and energies.
    known: (Vec<f32>, usize, Vec<f32>),
    /// Conjugate spectra of the units' temporal components, (real, imaginary), `[piece, component, row]`.
    filters: Vec<[f32; 2]>,
}

/// Bytes that a thread keeps for windows of so many channels and units with so many components in all.
pub fn scratch_bytes(n_channels: usize, n_units: usize, n_components: usize) -> u64 {
    let signals = 1 + n_channels + n_units.min(UNITS);
    (4 * signals * VALUES + (8 * LENGTH + 4 * MAX_TAPS) * n_components) as u64
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// `out[u, t] = sum_r sum_l temporal[u, r, l] * sum_i spatial[i, r] * x[channel[i], t + l]` over the entries
/// `i` in `channel_start[u]..channel_start[u + 1]`; 0 where the template would leave the window.
///
/// `x` `[block, channel, time]`, `spatial` `[entry, rank]`, `temporal` `[unit, rank, tap]`, `out`
/// `[block, unit, time]`. Components that are 0 cost nothing.
pub fn score_templates(
    p: &ScoreTemplatesParams,
    x: &[f32],
    channel_start: &[u32],
    channel: &[u32],
    spatial: &[f32],
    temporal: &[f32],
    out: &mut [f32],
) {
    let (samples, channels) = (p.n_samples as usize, p.n_channels as usize);
    let (taps, rank) = (p.n_taps as usize, p.rank as usize);
    if samples == 0 || p.n_units == 0 {
        return;
    }
    assert!(taps <= MAX_TAPS && rank > 0);
    let units: Vec<Vec<Sums>> = (0..p.n_units as usize)
        .map(|u| {
            let entries = channel_start[u] as usize..channel_start[u + 1] as usize;
            sums_of_unit(
                u * rank,
                &channel[entries.clone()],
                &spatial[entries.start * rank..entries.end * rank],
                &temporal[u * rank * taps..(u + 1) * rank * taps],
                rank,
            )
        })
        .collect();
    let mut is_used = vec![false; channels];
    for sums in units.iter().flatten() {
        for entry in &sums.entries {
            is_used[entry.channel as usize] = true;
        }
    }
    // Of every component's weights.
    let mut energies = vec![0.0f32; units.len() * rank];
    for (u, energies) in energies.chunks_exact_mut(rank).enumerate() {
        let entries = channel_start[u] as usize * rank..channel_start[u + 1] as usize * rank;
        for weights in spatial[entries].chunks_exact(rank) {
            for (energy, weight) in energies.iter_mut().zip(weights) {
                *energy += weight * weight;
            }
        }
    }
    let call = Call {
        samples,
        channels,
        taps,
        units: &units,
        is_used: &is_used,
    };
    SCRATCH.with_borrow_mut(|scratch| {
        let (known, known_taps, known_energies) = &scratch.known;
        if known != temporal || *known_taps != taps || *known_energies != energies {
            scratch.signal.resize(VALUES, 0.0);
            scratch.filters = filters(temporal, taps, rank, &energies, &mut scratch.signal);
            scratch.known = (temporal.to_vec(), taps, energies);
        }
        if scratch.filters.len() == units.len() * rank * PIECES * LOW {
            call.blocks::<LOW>(scratch, x, out);
        } else {
            call.blocks::<ROWS>(scratch, x, out);
        }
    });
}

/// What is the same for all blocks.
struct Call<'a> {
    samples: usize,
    channels: usize,
    taps: usize,
    units: &'a [Vec<Sums>],
    /// Channels that any unit is on.
    is_used: &'a [bool],
}

impl Call<'_> {
    /// Scores of all blocks, from spectra with `R` rows a piece.
    fn blocks<const R: usize>(&self, scratch: &mut Scratch, x: &[f32], out: &mut [f32]) {
        let (samples, channels, units) = (self.samples, self.channels, self.units);
        let Scratch {
            signal,
            channels: spectra,
            units: scores,
            filters,
            ..
        } = scratch;
        signal.resize(VALUES, 0.0);
        spectra.resize(channels * PIECES * R * LANES, 0.0);
        // Start samples that one lane gives, and those of which the template lies in the window.
        let hop = LENGTH + 1 - self.taps;
        let n_valid = (samples + 1).saturating_sub(self.taps);
        for (x, out) in x
            .chunks_exact(samples * channels)
            .zip(out.chunks_exact_mut(samples * units.len()))
        {
            for out in out.chunks_exact_mut(samples) {
                out[n_valid..].fill(0.0);
            }
            for start in (0..n_valid).step_by(LANES * hop) {
                let lanes = Lanes {
                    start,
                    hop,
                    n_valid,
                };
                for (c, x) in x.chunks_exact(samples).enumerate() {
                    if self.is_used[c] {
                        lanes.spread(x, signal);
                        dispatch(Forward::<R> {
                            signal,
                            out: &mut spectra[c * R * LANES..],
                            distance: channels * R * LANES,
                        });
                    }
                }
                for (units, out) in units.chunks(UNITS).zip(out.chunks_mut(UNITS * samples)) {
                    scores.resize(units.len() * PIECES * R * LANES, 0.0);
                    dispatch(Multiply::<R> {
                        units,
                        filters,
                        channels: spectra,
                        out: scores,
                    });
                    for (u, out) in out.chunks_exact_mut(samples).enumerate() {
                        dispatch(Inverse::<R> {
                            from: &scores[u * R * LANES..],
                            distance: units.len() * R * LANES,
                            signal,
                        });
                        lanes.gather(signal, out);
                    }
                }
            }
        }
    }
}

/// Where the lanes of one transform lie in the window: lane `j` at `start + j * hop`.
struct Lanes {
    start: usize,
    hop: usize,
    n_valid: usize,
}

impl Lanes {
    /// Puts stretches of a channel side by side; 0 beyond its end.
    fn spread(&self, x: &[f32], to: &mut [f32]) {
        let stretches: [&[f32]; LANES] = std::array::from_fn(|lane| {
            let from = (self.start + lane * self.hop).min(x.len());
            &x[from..(from + LENGTH).min(x.len())]
        });
        interleave(&stretches, to);
    }

    /// Puts the stretches, as far as they count, one after the other.
    fn gather(&self, from: &[f32], out: &mut [f32]) {
        let mut rest = &mut out[self.start..self.n_valid];
        let stretches: [&mut [f32]; LANES] = std::array::from_fn(|_| {
            rest.split_off_mut(..self.hop.min(rest.len()))
                .unwrap_or_default()
        });
        separate(from, stretches);
    }
}

/// A channel of a template with its weights in some components.
#[derive(Clone, Copy)]
struct Entry {
    channel: u32,
    weights: [f32; TOGETHER],
}

/// Some components of a template, without the channels on which they are all 0: one on a single channel has one only.
struct Sums {
    /// Number of the first component among those of all units.
    first: usize,
    /// Those that need both components, then those that need the first only.
    entries: Vec<Entry>,
    /// How many need both.
    n_both: usize,
}

/// The components of a template, some at a time.
fn sums_of_unit(
    first: usize,
    channel: &[u32],
    spatial: &[f32],
    temporal: &[f32],
    rank: usize,
) -> Vec<Sums> {
    let taps = temporal.len() / rank.max(1);
    let counts: Vec<bool> = temporal
        .chunks_exact(taps.max(1))
        .map(|filter| filter.iter().any(|&v| v != 0.0))
        .collect();
    (0..rank)
        .step_by(TOGETHER)
        .map(|r| {
            let together = r..(r + TOGETHER).min(rank);
            let mut entries: Vec<(usize, Entry)> = channel
                .iter()
                .zip(spatial.chunks_exact(rank))
                .map(|(&channel, row)| {
                    let mut weights = [0.0; TOGETHER];
                    let mut needed = 0;
                    for (k, r) in together.clone().enumerate() {
                        if counts[r] && row[r] != 0.0 {
                            weights[k] = row[r];
                            needed = k + 1;
                        }
                    }
                    (needed, Entry { channel, weights })
                })
                .filter(|&(needed, _)| needed > 0)
                .collect();
            entries.sort_by_key(|&(needed, _)| TOGETHER - needed);
            Sums {
                first: first + r,
                n_both: entries.partition_point(|&(needed, _)| needed == TOGETHER),
                entries: entries.into_iter().map(|(_, entry)| entry).collect(),
            }
        })
        .filter(|sums| !sums.entries.is_empty())
        .collect()
}

/// The conjugate spectra of all units' temporal components, over [`LENGTH`]: the rows of low frequencies only, where the others hold
/// nothing of any template.
fn filters(
    temporal: &[f32],
    taps: usize,
    rank: usize,
    energies: &[f32],
    signal: &mut [f32],
) -> Vec<[f32; 2]> {
    let n_components = temporal.len() / taps.max(1);
    let mut filters = vec![[0.0; 2]; n_components * LENGTH];
    dispatch(Filters {
        temporal,
        taps,
        signal,
        out: &mut filters,
    });
    let (mut low, mut high) = (vec![0.0f32; n_components], vec![0.0f32; n_components]);
    for piece in filters.chunks_exact(n_components.max(1) * ROWS) {
        for (rows, (low, high)) in piece.chunks_exact(ROWS).zip(low.iter_mut().zip(&mut high)) {
            let [a, b, c, d] = [0, 1, 2, 3].map(|i| rows[i][0].powi(2) + rows[i][1].powi(2));
            *low += a + d;
            *high += b + c;
        }
    }
    let of_unit = |values: &[f32], energies: &[f32]| {
        let products = values.iter().zip(energies);
        products.map(|(value, energy)| value * energy).sum::<f32>()
    };
    let mut units = low
        .chunks(rank)
        .zip(high.chunks(rank))
        .zip(energies.chunks(rank));
    if units
        .all(|((low, high), energies)| of_unit(high, energies) <= NOTHING * of_unit(low, energies))
    {
        filters = filters
            .chunks_exact(ROWS)
            .flat_map(|rows| [rows[0], rows[3]])
            .collect();
    }
    filters
}

/// The whole spectra of all units' temporal components.
struct Filters<'a> {
    temporal: &'a [f32],
    taps: usize,
    signal: &'a mut [f32],
    out: &'a mut [[f32; 2]],
}

impl WithSimd for Filters<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        const HALF: usize = LANES / 2;
        let n_filters = self.temporal.len() / self.taps.max(1);
        let mut spectrum = vec![0.0f32; VALUES];
        for (group, together) in self.temporal.chunks(HALF * self.taps.max(1)).enumerate() {
            self.signal.fill(0.0);
            for (lane, filter) in together.chunks_exact(self.taps).enumerate() {
                for (row, &value) in self.signal.chunks_exact_mut(LANES).zip(filter) {
                    row[lane] = value / LENGTH as f32;
                }
            }
            forward::<S, ROWS>(simd, self.signal, &mut spectrum, ROWS * LANES);
            for (piece, rows) in self
                .out
                .chunks_exact_mut(n_filters * ROWS)
                .zip(spectrum.chunks_exact(ROWS * LANES))
            {
                let own = piece[group * HALF * ROWS..].chunks_exact_mut(ROWS);
                for (lane, own) in own.take(together.len() / self.taps).enumerate() {
                    for (own, row) in own.iter_mut().zip(rows.chunks_exact(LANES)) {
                        *own = [row[lane], -row[HALF + lane]];
                    }
                }
            }
        }
    }
}

struct Forward<'a, const R: usize> {
    signal: &'a mut [f32],
    out: &'a mut [f32],
    distance: usize,
}

impl<const R: usize> WithSimd for Forward<'_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        forward::<S, R>(simd, self.signal, self.out, self.distance);
    }
}

struct Inverse<'a, const R: usize> {
    from: &'a [f32],
    distance: usize,
    signal: &'a mut [f32],
}

impl<const R: usize> WithSimd for Inverse<'_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        inverse::<S, R>(simd, self.from, self.distance, self.signal);
    }
}

/// Spectra of the scores of some units.
struct Multiply<'a, const R: usize> {
    units: &'a [Vec<Sums>],
    /// Of all units.
    filters: &'a [[f32; 2]],
    channels: &'a [f32],
    out: &'a mut [f32],
}

impl<const R: usize> WithSimd for Multiply<'_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let filters = self.filters.len() / PIECES;
        let channels = self.channels.len() / PIECES;
        for ((out, channels), filters) in self
            .out
            .chunks_exact_mut(self.units.len() * R * LANES)
            .zip(self.channels.chunks_exact(channels))
            .zip(self.filters.chunks_exact(filters))
        {
            let channels = S::as_simd_f32s(channels).0;
            for (unit, out) in self.units.iter().zip(out.chunks_exact_mut(R * LANES)) {
                out.fill(0.0);
                let out = S::as_mut_simd_f32s(out).0;
                for sums in unit {
                    let filters = &filters[sums.first * R..];
                    if sums.n_both > 0 {
                        sums.add::<S, R, 2, TOGETHER>(simd, channels, filters, out);
                    } else {
                        sums.add::<S, R, R, 1>(simd, channels, filters, out);
                    }
                }
            }
        }
    }
}

impl Sums {
    /// Adds `N` components to the `R` rows of a piece. The sums of `STRIP` rows are kept in registers.
    #[inline(always)]
    fn add<S: Simd, const R: usize, const STRIP: usize, const N: usize>(
        &self,
        simd: S,
        channels: &[S::f32s],
        filters: &[[f32; 2]],
        out: &mut [S::f32s],
    ) {
        let vectors = LANES / 2 / S::F32_LANES;
        let piece = R * LANES / S::F32_LANES;
        let (both, first) = self.entries.split_at(self.n_both);
        for first_row in (0..R).step_by(STRIP) {
            for v in 0..vectors {
                let at = first_row * 2 * vectors + v;
                // Real and imaginary parts in turn.
                let mut sums = [[[simd.splat_f32s(0.0); 2]; STRIP]; N];
                sum(simd, both, &channels[at..], piece, &mut sums);
                let of_first = std::array::from_mut(&mut sums[0]);
                sum(simd, first, &channels[at..], piece, of_first);
                for k in 0..N {
                    for i in 0..STRIP {
                        let [re, im] = filters[k * R + first_row + i];
                        let (re, im) = (simd.splat_f32s(re), simd.splat_f32s(im));
                        let [x, y] = sums[k][i];
                        let real = simd.sub_f32s(simd.mul_f32s(re, x), simd.mul_f32s(im, y));
                        let imaginary = simd.add_f32s(simd.mul_f32s(re, y), simd.mul_f32s(im, x));
                        let at = at + 2 * i * vectors;
                        out[at] = simd.add_f32s(out[at], real);
                        out[at + vectors] = simd.add_f32s(out[at + vectors], imaginary);
                    }
                }
            }
        }
    }
}

/// Adds the weighted rows of some channels, `piece` vectors apart, once a component.
#[inline(always)]
fn sum<S: Simd, const STRIP: usize, const N: usize>(
    simd: S,
    entries: &[Entry],
    channels: &[S::f32s],
    piece: usize,
    sums: &mut [[[S::f32s; 2]; STRIP]; N],
) {
    let vectors = LANES / 2 / S::F32_LANES;
    for entry in entries {
        let from = entry.channel as usize * piece;
        let x = &channels[from..=from + (2 * STRIP - 1) * vectors];
        for k in 0..N {
            let weight = simd.splat_f32s(entry.weights[k]);
            for i in 0..STRIP {
                for part in 0..2 {
                    let product = simd.mul_f32s(weight, x[(2 * i + part) * vectors]);
                    sums[k][i][part] = simd.add_f32s(sums[k][i][part], product);
                }
            }
        }
    }
}

/// Binding order: x, channel_start, channel, spatial, temporal, out.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [x, start, channel, spatial, temporal, out] = buffers else {
        panic!("score_templates takes 6 bindings")
    };
    score_templates(
        &params(bytes),
        x.f32(),
        start.u32(),
        channel.u32(),
        spatial.f32(),
        temporal.f32(),
        out.f32_mut(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLES: usize = 1500;
    const CHANNELS: usize = 6;
    const TAPS: usize = 60;

    fn noise(n: usize) -> Vec<f32> {
        (0..n as u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 16) as f32 / 32_768.0 - 1.0)
            .collect()
    }

    /// Bursts at some parts of the sampling rate, one a component.
    fn bursts(rates: &[f32]) -> Vec<f32> {
        let burst = |rate: &f32| {
            let rate = std::f32::consts::TAU * rate;
            (0..TAPS).map(move |t| {
                let x = t as f32 - 29.5;
                (-x * x / 80.0).exp() * (rate * x).cos()
            })
        };
        rates.iter().flat_map(burst).collect()
    }

    /// Largest difference from the plain sums, as a part of the largest score, and the rows a piece that were kept.
    fn compare(rank: usize, spatial: &[f32], temporal: &[f32]) -> (f32, usize) {
        let channel = [0u32, 1, 2, 2, 3, 4, 5];
        let start = [0u32, 3, 7];
        let x = noise(SAMPLES * CHANNELS);
        let p = ScoreTemplatesParams {
            n_blocks: 1,
            n_samples: SAMPLES as u32,
            n_channels: CHANNELS as u32,
            n_units: 2,
            n_taps: TAPS as u32,
            rank: rank as u32,
        };
        let mut out = vec![f32::NAN; 2 * SAMPLES];
        score_templates(&p, &x, &start, &channel, spatial, temporal, &mut out);
        let (mut worst, mut largest) = (0.0f32, 0.0f32);
        for u in 0..2 {
            for t in 0..SAMPLES {
                let mut want = 0.0f64;
                if t + TAPS <= SAMPLES {
                    for i in start[u] as usize..start[u + 1] as usize {
                        for r in 0..rank {
                            let weight = f64::from(spatial[i * rank + r]);
                            for l in 0..TAPS {
                                let tap = f64::from(temporal[(u * rank + r) * TAPS + l]);
                                let at = channel[i] as usize * SAMPLES + t + l;
                                want += weight * tap * f64::from(x[at]);
                            }
                        }
                    }
                }
                worst = worst.max((out[u * SAMPLES + t] - want as f32).abs());
                largest = largest.max(want.abs() as f32);
            }
        }
        let rows = SCRATCH.with_borrow(|scratch| scratch.filters.len() / (2 * rank * PIECES));
        (worst / largest, rows)
    }

    #[test]
    fn all_frequencies_equal_the_plain_sums() {
        let mut spatial = noise(21);
        // Channels that need the first component only, or none.
        (spatial[1], spatial[2], spatial[9], spatial[10], spatial[11]) = (0.0, 0.0, 0.0, 0.0, 0.0);
        let (worst, rows) = compare(3, &spatial, &noise(6 * TAPS));
        assert_eq!(rows, ROWS);
        assert!(worst < 1e-5, "{worst}");
    }

    #[test]
    fn low_frequencies_alone_equal_the_plain_sums() {
        let temporal = bursts(&[0.02, 0.1, 0.15, 0.0, 0.05, 0.12]);
        let (worst, rows) = compare(3, &noise(21), &temporal);
        assert_eq!(rows, LOW);
        assert!(worst < 1e-4, "{worst}");
    }

    #[test]
    fn one_high_component_keeps_all_frequencies() {
        let (worst, rows) = compare(1, &noise(7), &bursts(&[0.05, 0.4]));
        assert_eq!(rows, ROWS);
        assert!(worst < 1e-5, "{worst}");
    }
}
