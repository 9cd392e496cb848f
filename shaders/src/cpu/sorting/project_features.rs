//! Twin of `wgsl/sorting/project_features.wgsl`: what clustering sees of a spike.

use crate::{
    cpu::{Buffer, params},
    layout::ProjectFeaturesParams,
};

/// `out[e, j, k] = sum_t x[neighbour[channel_e, j], sample_e - before + t] * basis[k, t]`.
///
/// `x` `[block, channel, time]`, an entry of `events` `[block, capacity, 4]` begins with sample in the window and
/// channel (or unit, with a table by unit), `neighbour` `[channel, n_neighbours]` padded with `u32::MAX` (their features are 0), `basis`
/// `[component, tap]`, `out` `[block, capacity, neighbour, component]`. Samples outside the window count as 0.
pub fn project_features(
    p: &ProjectFeaturesParams,
    x: &[f32],
    events: &[u32],
    count: &[u32],
    neighbour: &[u32],
    basis: &[f32],
    out: &mut [f32],
) {
    let (samples, channels, capacity) = (
        p.n_samples as usize,
        p.n_channels as usize,
        p.capacity as usize,
    );
    let (n_neighbours, components) = (p.n_neighbours as usize, p.n_components as usize);
    for block in 0..p.n_blocks as usize {
        let x = &x[block * samples * channels..(block + 1) * samples * channels];
        for entry in 0..(count[block] as usize).min(capacity) {
            let at = block * capacity + entry;
            let (sample, channel) = (i64::from(events[at * 4]), events[at * 4 + 1] as usize);
            let out =
                &mut out[at * n_neighbours * components..(at + 1) * n_neighbours * components];
            for j in 0..n_neighbours {
                let out = &mut out[j * components..(j + 1) * components];
                match neighbour[channel * n_neighbours + j] {
                    u32::MAX => out.fill(0.0),
                    n => project(
                        &x[n as usize * samples..(n as usize + 1) * samples],
                        sample - i64::from(p.before as i32),
                        basis,
                        p.n_taps as usize,
                        out,
                    ),
                }
            }
        }
    }
}

/// Components of one channel's waveform that starts at `start`.
fn project(x: &[f32], start: i64, basis: &[f32], n_taps: usize, out: &mut [f32]) {
    let from = (-start).clamp(0, n_taps as i64) as usize;
    let to = (x.len() as i64 - start).clamp(from as i64, n_taps as i64) as usize;
    let x = if from < to {
        &x[(start + from as i64) as usize..(start + to as i64) as usize]
    } else {
        &[]
    };
    for (out, basis) in out.iter_mut().zip(basis.chunks_exact(n_taps)) {
        // Eight partial sums: a fixed order that vector units of any width up to eight reproduce.
        let mut sums = [0.0f32; 8];
        let basis = &basis[from..to];
        let (x_chunks, basis_chunks) = (x.chunks_exact(8), basis.chunks_exact(8));
        for (i, (a, b)) in x_chunks
            .remainder()
            .iter()
            .zip(basis_chunks.remainder())
            .enumerate()
        {
            sums[i] = a * b;
        }
        for (a, b) in x_chunks.zip(basis_chunks) {
            for i in 0..8 {
                sums[i] += a[i] * b[i];
            }
        }
        *out = sums.iter().sum();
    }
}

/// Binding order: x, events, count, neighbour, basis, out.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [x, events, count, neighbour, basis, out] = buffers else {
        panic!("project_features takes 6 bindings")
    };
    project_features(
        &params(bytes),
        x.f32(),
        events.u32(),
        count.u32(),
        neighbour.u32(),
        basis.f32(),
        out.f32_mut(),
    );
}
