//! Twin of `wgsl/sorting/score_templates.wgsl`: how much of every unit is at every time.
//!
//! Templates are long and of low rank (a few spatial times temporal components, by singular values). The WGSL sums over
//! channels and correlates with the temporal components tap by tap. The twin correlates by Fourier transforms
//! (overlap-save; Stockham 1966): the channels' spectra are weighted, multiplied with the spectra of the temporal
//! components, and transformed back once a unit, which costs a third and does not depend on the number of taps.

use std::cell::RefCell;

use pulp::{Simd, WithSimd};

use crate::{
    cpu::{
        Buffer,
        common::transform_lanes::{LANES, LENGTH, VALUES, dispatch, forward, inverse},
        params,
    },
    layout::ScoreTemplatesParams,
};

/// Samples of a template, at most.
const MAX_TAPS: usize = 256;
/// Frequencies that stand together: those of all channels stay in the cache while units pass.
const SLAB: usize = 8;
/// Values of one signal in a slab.
const PIECE: usize = SLAB * LANES;
/// Units whose spectra are held at a time.
const UNITS: usize = 64;

/// What a call works with. Each thread keeps its own from call to call.
#[derive(Default)]
struct Scratch {
    /// One signal or spectrum, `[sample, lane]`.
    signal: Vec<f32>,
    /// Spectra of the channels, `[slab, channel, PIECE]`.
    channels: Vec<f32>,
    /// Spectra of the units' scores, `[slab, unit, PIECE]`.
    units: Vec<f32>,
    /// Conjugate spectra of the units' temporal components, (real, imaginary), `[slab, component, SLAB]`.
    filters: Vec<[f32; 2]>,
}

/// Bytes that a thread keeps for windows of so many channels and units with so many components in all.
pub fn scratch_bytes(n_channels: usize, n_units: usize, n_components: usize) -> u64 {
    let signals = 1 + n_channels + n_units.min(UNITS);
    (4 * signals * VALUES + 8 * n_components * LENGTH) as u64
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
    assert!(taps <= MAX_TAPS);
    let units: Vec<Vec<Component>> = (0..p.n_units as usize)
        .map(|u| {
            let entries = channel_start[u] as usize..channel_start[u + 1] as usize;
            components(
                &channel[entries.clone()],
                &spatial[entries.start * rank..entries.end * rank],
                &temporal[u * rank * taps..(u + 1) * rank * taps],
                rank,
            )
            .collect()
        })
        .collect();
    let mut is_used = vec![false; channels];
    for component in units.iter().flatten() {
        for &(channel, _) in &component.entries {
            is_used[channel] = true;
        }
    }
    let n_components = units.iter().map(Vec::len).sum::<usize>();
    // Start samples that one lane gives, and those of which the template lies in the window.
    let hop = LENGTH + 1 - taps;
    let n_valid = (samples + 1).saturating_sub(taps);
    SCRATCH.with_borrow_mut(|scratch| {
        let Scratch {
            signal,
            channels: spectra,
            units: scores,
            filters,
        } = scratch;
        signal.resize(VALUES, 0.0);
        spectra.resize(channels * VALUES, 0.0);
        filters.resize(n_components * LENGTH, [0.0; 2]);
        dispatch(Filters {
            units: &units,
            signal,
            out: filters,
        });
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
                    if is_used[c] {
                        lanes.spread(x, signal);
                        dispatch(Forward(signal));
                        let slabs = spectra.chunks_exact_mut(channels * PIECE);
                        for (slab, piece) in slabs.zip(signal.chunks_exact(PIECE)) {
                            slab[c * PIECE..(c + 1) * PIECE].copy_from_slice(piece);
                        }
                    }
                }
                let mut first_component = 0;
                for (units, out) in units.chunks(UNITS).zip(out.chunks_mut(UNITS * samples)) {
                    scores.resize(units.len() * VALUES, 0.0);
                    dispatch(Multiply {
                        units,
                        filters,
                        first_component,
                        channels: spectra,
                        out: scores,
                    });
                    first_component += units.iter().map(Vec::len).sum::<usize>();
                    for (u, out) in out.chunks_exact_mut(samples).enumerate() {
                        let slabs = scores.chunks_exact(units.len() * PIECE);
                        for (slab, piece) in slabs.zip(signal.chunks_exact_mut(PIECE)) {
                            piece.copy_from_slice(&slab[u * PIECE..(u + 1) * PIECE]);
                        }
                        dispatch(Inverse(signal));
                        lanes.gather(signal, out);
                    }
                }
            }
        }
    });
}

/// Where the lanes of one transform lie in the window: lane `j` at `start + j * hop`.
struct Lanes {
    start: usize,
    hop: usize,
    n_valid: usize,
}

/// Samples that are spread or gathered at a time.
const RUN: usize = 8;

impl Lanes {
    /// Puts stretches of a channel side by side; 0 beyond its end.
    fn spread(&self, x: &[f32], to: &mut [f32]) {
        let mut padded = [0.0f32; LENGTH];
        for lane in 0..LANES {
            let from = (self.start + lane * self.hop).min(x.len());
            let piece = &x[from..(from + LENGTH).min(x.len())];
            let piece: &[f32] = if piece.len() == LENGTH {
                piece
            } else {
                padded[..piece.len()].copy_from_slice(piece);
                padded[piece.len()..].fill(0.0);
                &padded
            };
            for (run, rows) in piece
                .chunks_exact(RUN)
                .zip(to.chunks_exact_mut(RUN * LANES))
            {
                for i in 0..RUN {
                    rows[i * LANES + lane] = run[i];
                }
            }
        }
    }

    /// Puts the stretches, as far as they count, one after the other.
    fn gather(&self, from: &[f32], out: &mut [f32]) {
        for lane in 0..LANES {
            let start = (self.start + lane * self.hop).min(self.n_valid);
            let end = (start + self.hop).min(self.n_valid);
            let rows = from.chunks_exact(LANES);
            for (out, row) in out[start..end].iter_mut().zip(rows) {
                *out = row[lane];
            }
        }
    }
}

/// A component of a template, without the channels on which it is 0.
struct Component<'a> {
    /// Channels and their weights.
    entries: Vec<(usize, f32)>,
    /// Its taps.
    filter: &'a [f32],
}

/// The components of a template that are not 0: one on a single channel has one only.
fn components<'a>(
    channel: &'a [u32],
    spatial: &'a [f32],
    temporal: &'a [f32],
    rank: usize,
) -> impl Iterator<Item = Component<'a>> {
    let taps = temporal.len() / rank.max(1);
    temporal
        .chunks_exact(taps.max(1))
        .enumerate()
        .map(move |(r, filter)| Component {
            entries: channel
                .iter()
                .zip(spatial.chunks_exact(rank))
                .map(|(&c, weights)| (c as usize, weights[r]))
                .filter(|&(_, weight)| weight != 0.0)
                .collect(),
            filter,
        })
        .filter(|component| {
            !component.entries.is_empty() && component.filter.iter().any(|&v| v != 0.0)
        })
}

/// The conjugate spectra of all units' temporal components, over [`LENGTH`].
struct Filters<'a> {
    units: &'a [Vec<Component<'a>>],
    signal: &'a mut [f32],
    out: &'a mut [[f32; 2]],
}

impl WithSimd for Filters<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        const HALF: usize = LANES / 2;
        let filters: Vec<&[f32]> = self
            .units
            .iter()
            .flatten()
            .map(|component| component.filter)
            .collect();
        for (group, together) in filters.chunks(HALF).enumerate() {
            self.signal.fill(0.0);
            for (lane, filter) in together.iter().enumerate() {
                for (row, &value) in self.signal.chunks_exact_mut(LANES).zip(*filter) {
                    row[lane] = value / LENGTH as f32;
                }
            }
            forward(simd, self.signal);
            for (slab, rows) in self
                .out
                .chunks_exact_mut(filters.len() * SLAB)
                .zip(self.signal.chunks_exact(PIECE))
            {
                let own = &mut slab[group * HALF * SLAB..][..together.len() * SLAB];
                for (lane, own) in own.chunks_exact_mut(SLAB).enumerate() {
                    for (own, row) in own.iter_mut().zip(rows.chunks_exact(LANES)) {
                        *own = [row[lane], -row[HALF + lane]];
                    }
                }
            }
        }
    }
}

struct Forward<'a>(&'a mut [f32]);

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        forward(simd, self.0);
    }
}

struct Inverse<'a>(&'a mut [f32]);

impl WithSimd for Inverse<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        inverse(simd, self.0);
    }
}

/// Spectra of the scores of some units.
struct Multiply<'a> {
    units: &'a [Vec<Component<'a>>],
    /// Of all units.
    filters: &'a [[f32; 2]],
    /// Components of the units before these.
    first_component: usize,
    channels: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        const SLABS: usize = LENGTH / SLAB;
        let channels = self.channels.len() / SLABS;
        let filters = self.filters.len() / SLABS;
        for (slab, out) in self
            .out
            .chunks_exact_mut(self.units.len() * PIECE)
            .enumerate()
        {
            let channels = &self.channels[slab * channels..(slab + 1) * channels];
            let filters = &self.filters[slab * filters..(slab + 1) * filters];
            let mut filters = filters[self.first_component * SLAB..].chunks_exact(SLAB);
            for (unit, out) in self.units.iter().zip(out.chunks_exact_mut(PIECE)) {
                out.fill(0.0);
                for (component, filter) in unit.iter().zip(&mut filters) {
                    component.add::<S>(simd, channels, filter, out);
                }
            }
        }
    }
}

/// Frequencies whose sums are kept in registers.
const TOGETHER: usize = 4;

impl Component<'_> {
    /// Adds the frequencies of one slab.
    #[inline(always)]
    fn add<S: Simd>(&self, simd: S, channels: &[f32], filter: &[[f32; 2]], out: &mut [f32]) {
        let vectors = LANES / 2 / S::F32_LANES;
        let channels = S::as_simd_f32s(channels).0;
        let out = S::as_mut_simd_f32s(out).0;
        let piece = PIECE / S::F32_LANES;
        let strip = 2 * TOGETHER * vectors;
        for (f, (out, filter)) in out
            .chunks_exact_mut(strip)
            .zip(filter.chunks_exact(TOGETHER))
            .enumerate()
        {
            for v in 0..vectors {
                // Real and imaginary parts in turn.
                let mut sums = [simd.splat_f32s(0.0); 2 * TOGETHER];
                for &(channel, weight) in &self.entries {
                    let from = channel * piece + f * strip + v;
                    let x = &channels[from..=from + (2 * TOGETHER - 1) * vectors];
                    let weight = simd.splat_f32s(weight);
                    for i in 0..2 * TOGETHER {
                        let product = simd.mul_f32s(weight, x[i * vectors]);
                        sums[i] = simd.add_f32s(sums[i], product);
                    }
                }
                for i in 0..TOGETHER {
                    let [re, im] = filter[i];
                    let (re, im) = (simd.splat_f32s(re), simd.splat_f32s(im));
                    let (x, y) = (sums[2 * i], sums[2 * i + 1]);
                    let real = simd.sub_f32s(simd.mul_f32s(re, x), simd.mul_f32s(im, y));
                    let imaginary = simd.add_f32s(simd.mul_f32s(re, y), simd.mul_f32s(im, x));
                    let at = 2 * i * vectors + v;
                    out[at] = simd.add_f32s(out[at], real);
                    out[at + vectors] = simd.add_f32s(out[at + vectors], imaginary);
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
