//! Twin of `wgsl/sorting/common_reference.wgsl`: common median reference.
//!
//! What all channels of a shank share (mains hum, movement, licking) is not a neuron. The median ignores the spikes
//! that a mean would smear over every channel.

use pulp::{Arch, Simd, WithSimd};

use crate::{
    cpu::{Buffer, params},
    layout::CommonReferenceParams,
};

/// Time samples that are sorted side by side, and in large groups: those of all channels stay in the first-level cache.
const LANES: usize = 64;
/// See [`LANES`].
const LANES_OF_MANY: usize = 16;
/// Channels of a large group.
const MANY: usize = 128;

/// Subtracts the group median from `x` `[block, time, channel]` in place; the channels of group `g` are
/// `group_channel[group_start[g]..group_start[g + 1]]`. The median of an even count is the mean of the middle two.
pub fn common_reference(
    p: &CommonReferenceParams,
    group_start: &[u32],
    group_channel: &[u32],
    x: &mut [f32],
) {
    let channels = p.n_channels as usize;
    for g in 0..p.n_groups as usize {
        let members = &group_channel[group_start[g] as usize..group_start[g + 1] as usize];
        let n = members.len();
        if n >= MANY {
            subtract_median::<LANES_OF_MANY>(members, channels, x);
        } else if n > 0 {
            subtract_median::<LANES>(members, channels, x);
        }
    }
}

/// Subtracts the median of some channels from them, `W` times at once.
fn subtract_median<const W: usize>(members: &[u32], channels: usize, x: &mut [f32]) {
    let n = members.len();
    let arch = Arch::new();
    // Mostly a group is a run of channels, which is faster to go through.
    let run = members.windows(2).all(|pair| pair[1] == pair[0] + 1);
    let run = run.then(|| members[0] as usize..members[0] as usize + n);
    let network = median_network(n);
    let mut lanes = vec![[0.0f32; W]; n];
    for rows in x.chunks_mut(W * channels) {
        for (t, row) in rows.chunks_exact(channels).enumerate() {
            match &run {
                Some(run) => {
                    for (lane, &value) in lanes.iter_mut().zip(&row[run.clone()]) {
                        lane[t] = value;
                    }
                }
                None => {
                    for (lane, &c) in lanes.iter_mut().zip(members) {
                        lane[t] = row[c as usize];
                    }
                }
            }
        }
        arch.dispatch(Sort {
            network: &network,
            lanes: &mut lanes,
        });
        for (t, row) in rows.chunks_exact_mut(channels).enumerate() {
            let median = 0.5 * (lanes[(n - 1) / 2][t] + lanes[n / 2][t]);
            match &run {
                Some(run) => row[run.clone()].iter_mut().for_each(|x| *x -= median),
                None => members.iter().for_each(|&c| row[c as usize] -= median),
            }
        }
    }
}

/// Brings the values of every time into the order of the network.
struct Sort<'a, const W: usize> {
    network: &'a [(u32, u32)],
    lanes: &'a mut [[f32; W]],
}

impl<const W: usize> WithSimd for Sort<'_, W> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for &(low, high) in self.network {
            let (head, tail) = self.lanes.split_at_mut(high as usize);
            let low = S::as_mut_simd_f32s(&mut head[low as usize]).0;
            let high = S::as_mut_simd_f32s(&mut tail[0]).0;
            for (low, high) in low.iter_mut().zip(high) {
                let (a, b) = (*low, *high);
                *low = simd.min_f32s(a, b);
                *high = simd.max_f32s(a, b);
            }
        }
    }
}

/// The comparisons of a sorting network that can move a value into the middle of `n`.
fn median_network(n: usize) -> Vec<(u32, u32)> {
    let mut needed = vec![false; n];
    needed[(n - 1) / 2] = true;
    needed[n / 2] = true;
    let mut kept: Vec<(u32, u32)> = Vec::new();
    for (low, high) in sorting_network(n).into_iter().rev() {
        if needed[low as usize] || needed[high as usize] {
            needed[low as usize] = true;
            needed[high as usize] = true;
            kept.push((low, high));
        }
    }
    kept.reverse();
    kept
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
    use super::{median_network, sorting_network};

    #[test]
    fn network_finds_the_median_of_every_size() {
        for n in 1..70usize {
            let mut values: Vec<u32> = (0..n as u32)
                .map(|i| i.wrapping_mul(2_654_435_761) >> 7)
                .collect();
            let mut sorted = values.clone();
            sorted.sort_unstable();
            for (low, high) in median_network(n) {
                if values[low as usize] > values[high as usize] {
                    values.swap(low as usize, high as usize);
                }
            }
            for middle in [(n - 1) / 2, n / 2] {
                assert_eq!(values[middle], sorted[middle], "{n} values");
            }
        }
    }

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
