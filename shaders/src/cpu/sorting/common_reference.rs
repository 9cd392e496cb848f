//! Twin of `wgsl/sorting/common_reference.wgsl`: common median reference.
//!
//! What all channels of a shank share (mains hum, movement, licking) is not a neuron. The median ignores the spikes
//! that a mean would smear over every channel.

use crate::{
    cpu::{Buffer, params},
    layout::CommonReferenceParams,
};

/// Time samples that are sorted side by side.
const LANES: usize = 16;

/// Subtracts the group median from `x` `[block, time, channel]` in place; the channels of group `g` are
/// `group_channel[group_start[g]..group_start[g + 1]]`. The median of an even count is the mean of the middle two.
pub fn common_reference(
    p: &CommonReferenceParams,
    group_start: &[u32],
    group_channel: &[u32],
    x: &mut [f32],
) {
    let (samples, channels) = (p.n_samples as usize, p.n_channels as usize);
    for g in 0..p.n_groups as usize {
        let members = &group_channel[group_start[g] as usize..group_start[g + 1] as usize];
        if members.is_empty() {
            continue;
        }
        let network = sorting_network(members.len());
        let mut lanes = vec![[f32::INFINITY; LANES]; members.len().next_power_of_two()];
        for block in x.chunks_exact_mut(samples * channels) {
            for (i, rows) in block.chunks_mut(LANES * channels).enumerate() {
                debug_assert!(i * LANES < samples);
                reference_rows(rows, channels, members, &network, &mut lanes);
            }
        }
    }
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn reference_rows(
    rows: &mut [f32],
    channels: usize,
    members: &[u32],
    network: &[(u32, u32)],
    lanes: &mut [[f32; LANES]],
) {
    let n = members.len();
    for (t, row) in rows.chunks_exact(channels).enumerate() {
        for (i, &c) in members.iter().enumerate() {
            lanes[i][t] = row[c as usize];
        }
    }
    for lane in &mut lanes[n..] {
        *lane = [f32::INFINITY; LANES];
    }
    for &(low, high) in network {
        let (a, b) = (lanes[low as usize], lanes[high as usize]);
        let (mut smaller, mut larger) = ([0.0; LANES], [0.0; LANES]);
        for t in 0..LANES {
            smaller[t] = if a[t] < b[t] { a[t] } else { b[t] };
            larger[t] = if a[t] < b[t] { b[t] } else { a[t] };
        }
        lanes[low as usize] = smaller;
        lanes[high as usize] = larger;
    }
    for (t, row) in rows.chunks_exact_mut(channels).enumerate() {
        let median = 0.5 * (lanes[(n - 1) / 2][t] + lanes[n / 2][t]);
        for &c in members {
            row[c as usize] -= median;
        }
    }
}

/// Comparisons of Batcher's odd-even merge sort (Knuth, TAOCP 3, 5.2.2 M) for `n` values.
///
/// Comparisons with the padding beyond `n` are left out: infinity is already at the end.
fn sorting_network(n: usize) -> Vec<(u32, u32)> {
    let size = n.next_power_of_two();
    let mut pairs = Vec::new();
    let mut p = 1;
    while p < size {
        let mut k = p;
        while k >= 1 {
            let mut j = k % p;
            while j + k < size {
                for i in 0..k.min(size - j - k) {
                    if (i + j) / (2 * p) == (i + j + k) / (2 * p) && i + j + k < n {
                        pairs.push(((i + j) as u32, (i + j + k) as u32));
                    }
                }
                j += 2 * k;
            }
            k /= 2;
        }
        p *= 2;
    }
    pairs
}

/// Binding order: group_start, group_channel, x.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [start, channel, x] = buffers else {
        panic!("common_reference takes 3 bindings")
    };
    common_reference(&params(bytes), start.u32(), channel.u32(), x.f32_mut());
}

#[cfg(test)]
mod tests {
    use super::sorting_network;

    #[test]
    fn network_sorts_every_size() {
        for n in 1..70usize {
            let mut values: Vec<u32> = (0..n as u32)
                .map(|i| i.wrapping_mul(2_654_435_761) >> 7)
                .collect();
            for (low, high) in sorting_network(n) {
                if values[low as usize] > values[high as usize] {
                    values.swap(low as usize, high as usize);
                }
            }
            assert!(values.is_sorted(), "{n} values");
        }
    }
}
