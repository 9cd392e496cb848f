//! How much the spikes of a unit differ: the standard deviation of their waveforms, in µV.
//!
//! Templates are means of cleaned, whitened waveforms, whose deviations cannot be turned back into µV: that needs the covariance of
//! channels. So the spikes that were kept are looked at once more in the data as they are after filter and reference, where what
//! is left of noise, of other spikes and of the change of amplitude belongs to the deviation, as in SpikeInterface's templates.
//! The deviation is about the mean of the same waveforms, not about the template.
//!
//! Not a whole pass: blocks are chosen so that each unit has [`ENOUGH_SPIKES`] in them, or all it has, and of units with many more
//! there not all are looked at.

use std::sync::Mutex;

use super::{geometry::Geometry, result::SortingResult, sorter::Run, templates::Taps};
use crate::{
    device::Commands,
    error::Result,
    stream::{
        Block,
        blocks::{MARGIN_SAMPLES, WINDOW_SAMPLES},
    },
};

/// Spikes that tell a deviation to 7 % of itself.
const ENOUGH_SPIKES: usize = 100;

/// Bytes that the sums of a value take.
pub(super) const BYTES_PER_VALUE: usize = 16;

/// Steps of a microvolt. Sums of whole numbers do not depend on the order in which threads add to them.
const SCALE: f32 = 32.0;
/// A float of this size has steps of 1: what is added to it is rounded, and the lowest bits are that integer.
const ROUND: f32 = 12_582_912.0;
/// Largest value, µV: the squares of a hundred thousand such waveforms still fit, and few are as large.
const LARGEST_UV: f32 = 1e5;

/// Sums of the waveforms of a unit and of their squares, `[tap, near channel]` as rows come.
#[derive(Default)]
struct Moments {
    n: usize,
    /// Sum and sum of squares of each value in steps.
    sums: Vec<[i64; 2]>,
}

impl Moments {
    /// Adds a waveform out of rows `[tap, channel]`, on the channels `near`.
    fn add(&mut self, rows: &[f32], near: &[usize], n_channels: usize, taps: Taps) {
        self.sums.resize(near.len() * taps.n, [0; 2]);
        self.n += 1;
        for (row, sums) in rows
            .chunks_exact(n_channels)
            .zip(self.sums.chunks_exact_mut(near.len()))
        {
            for (sums, &c) in sums.iter_mut().zip(near) {
                let value = row[c].clamp(-LARGEST_UV, LARGEST_UV) * SCALE + ROUND;
                let value = i64::from(value.to_bits() as i32 - ROUND.to_bits() as i32);
                sums[0] += value;
                sums[1] += value * value;
            }
        }
    }

    /// Standard deviation of each sample on the `j`th near channel of `n_near`; not a number where there are fewer than two spikes.
    fn deviations(&self, j: usize, n_near: usize) -> impl Iterator<Item = f32> + '_ {
        let n = self.n as f64;
        let sums = self.sums.iter().skip(j).step_by(n_near);
        sums.map(move |&[sum, squares]| {
            let mean = sum as f64 / n;
            let variance = (squares as f64 / n - mean * mean).max(0.0);
            if n < 2.0 {
                f32::NAN
            } else {
                (variance.sqrt() / f64::from(SCALE)) as f32
            }
        })
    }
}

impl Run<'_> {
    /// Measures the deviations of all units of a result, on the channels near each; elsewhere they are not numbers.
    pub(super) fn measure_deviations(&self, result: &mut SortingResult) -> Result<()> {
        let (taps, n_channels) = (result.taps, result.geometry.n_channels());
        let near = near_channels(
            &result.geometry,
            &result
                .units
                .iter()
                .map(|unit| unit.main_channel)
                .collect::<Vec<_>>(),
            self.parameters.templates.max_channels as usize,
        );
        let blocks = choose(&self.grid.blocks, result, taps);
        let front_end = self.front_end(&result.channels, &result.geometry, None)?;
        let one_in = one_in(&blocks, result, taps);
        let moments: Vec<Mutex<Moments>> = near.iter().map(|_| Mutex::default()).collect();
        self.pass(self.recording, front_end.bytes_per_block()).run(
            "waveforms",
            &blocks,
            |chunk| {
                let of_chunk = chunk.blocks.clone();
                let mut commands = Commands::new();
                let (x, _) = front_end.microvolts(&mut commands, chunk);
                let x = commands.download(x);
                let x: Vec<f32> = self.options.executor.play(commands)?.take(x);
                for (block, window) in of_chunk
                    .iter()
                    .zip(x.chunks_exact(WINDOW_SAMPLES * n_channels))
                {
                    for (sample, unit) in spikes_of(block, result, taps) {
                        if !is_drawn(sample, one_in[unit]) {
                            continue;
                        }
                        let start = (sample - block.window_start()) as usize - taps.before;
                        let rows = &window[start * n_channels..][..taps.n * n_channels];
                        let mut moments = moments[unit].lock().expect("not poisoned");
                        moments.add(rows, &near[unit], n_channels, taps);
                    }
                }
                Ok(vec![(); of_chunk.len()])
            },
            |_, ()| Ok(()),
        )?;
        for ((unit, moments), near) in result.units.iter_mut().zip(&moments).zip(&near) {
            unit.template_sd_uv = vec![f32::NAN; n_channels * taps.n];
            let moments = moments.lock().expect("not poisoned");
            for (j, &c) in near.iter().enumerate() {
                let row = &mut unit.template_sd_uv[c * taps.n..(c + 1) * taps.n];
                row.iter_mut()
                    .zip(moments.deviations(j, near.len()))
                    .for_each(|(to, deviation)| *to = deviation);
            }
        }
        Ok(())
    }
}

/// The nearest channels of each unit's main channel.
fn near_channels(geometry: &Geometry, main_channels: &[usize], most: usize) -> Vec<Vec<usize>> {
    let nearest = geometry.nearest(most);
    main_channels.iter().map(|&c| nearest[c].clone()).collect()
}

/// Sample and unit of the spikes whose trough a block owns and whose waveform lies in its segment.
fn spikes_of<'a>(
    block: &Block,
    result: &'a SortingResult,
    taps: Taps,
) -> impl Iterator<Item = (i64, usize)> + 'a {
    let (start, end) = (
        block.start as i64,
        block.start as i64 + block.n_samples as i64,
    );
    let first = result
        .spike_samples
        .partition_point(|&sample| sample < start);
    let last = result.spike_samples.partition_point(|&sample| sample < end);
    let from = block.segment_start as i64 + taps.before as i64;
    let to = block.segment_end as i64 - (taps.n - taps.before) as i64;
    (first..last)
        .map(|spike| {
            (
                result.spike_samples[spike],
                result.spike_units[spike] as usize,
            )
        })
        .filter(move |&(sample, _)| from <= sample && sample <= to)
}

/// One in how many of each unit's spikes in the chosen blocks is looked at: rare units choose blocks in which others have many more
/// than are needed.
fn one_in(blocks: &[Block], result: &SortingResult, taps: Taps) -> Vec<usize> {
    let mut counts = vec![0usize; result.units.len()];
    for block in blocks {
        for (_, unit) in spikes_of(block, result, taps) {
            counts[unit] += 1;
        }
    }
    counts
        .into_iter()
        .map(|count| (count / ENOUGH_SPIKES).max(1))
        .collect()
}

/// Whether a spike is among those that are looked at: by its sample alone, so that it does not depend on who asks.
fn is_drawn(sample: i64, one_in: usize) -> bool {
    // Fibonacci hashing (Knuth 1973): also samples at regular distances are spread.
    let hash = (sample as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    hash.is_multiple_of(one_in as u64)
}

/// Blocks, in order, in which each unit has [`ENOUGH_SPIKES`] or all it has. The rarest units choose first, each evenly among
/// the blocks with its spikes.
fn choose(grid: &[Block], result: &SortingResult, taps: Taps) -> Vec<Block> {
    debug_assert!(taps.n <= MARGIN_SAMPLES);
    // Spikes of each unit in each block that has any.
    let mut of_unit: Vec<Vec<(usize, usize)>> = vec![Vec::new(); result.units.len()];
    for (at, block) in grid.iter().enumerate() {
        for (_, unit) in spikes_of(block, result, taps) {
            match of_unit[unit].last_mut() {
                Some((last, count)) if *last == at => *count += 1,
                _ => of_unit[unit].push((at, 1)),
            }
        }
    }
    of_unit.sort_by_key(|blocks| blocks.iter().map(|(_, count)| count).sum::<usize>());
    let mut chosen = vec![false; grid.len()];
    for blocks in &of_unit {
        let mut have: usize = blocks
            .iter()
            .filter(|&&(at, _)| chosen[at])
            .map(|(_, count)| count)
            .sum();
        let left: Vec<(usize, usize)> = blocks
            .iter()
            .copied()
            .filter(|&(at, _)| !chosen[at])
            .collect();
        for place in spread(left.len()) {
            if have >= ENOUGH_SPIKES {
                break;
            }
            let (at, count) = left[place];
            chosen[at] = true;
            have += count;
        }
    }
    grid.iter()
        .zip(chosen)
        .filter(|(_, chosen)| *chosen)
        .map(|(block, _)| *block)
        .collect()
}

/// The numbers below `n` so that those which come first are spread over all: in the order of their bits reversed.
fn spread(n: usize) -> impl Iterator<Item = usize> {
    let bits = usize::BITS - n.saturating_sub(1).leading_zeros();
    (0..1usize << bits)
        .map(move |k| {
            k.reverse_bits()
                .checked_shr(usize::BITS - bits)
                .unwrap_or(0)
        })
        .filter(move |&k| k < n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deviations_are_those_of_the_waveforms_about_their_own_mean() {
        let taps = Taps { n: 2, before: 1 };
        let mut moments = Moments::default();
        for waveform in [[1.0f32, -70.0], [3.0, -90.0], [5.0, -80.0]] {
            moments.add(&waveform, &[0], 1, taps);
        }
        let found: Vec<f32> = moments.deviations(0, 1).collect();
        let expected = [(8.0f32 / 3.0).sqrt(), (200.0f32 / 3.0).sqrt()];
        // f64 sums of a few values, rounded to f32.
        assert!(
            found
                .iter()
                .zip(expected)
                .all(|(a, b)| (a - b).abs() < 1e-5 * b),
            "{found:?}"
        );
        let mut one = Moments::default();
        one.add(&[1.0, 2.0], &[0], 1, taps);
        assert!(one.deviations(0, 1).all(f32::is_nan));
    }

    #[test]
    fn the_order_that_spreads_has_every_number_once() {
        for n in [0, 1, 2, 3, 7, 8, 1000] {
            let mut order: Vec<usize> = spread(n).collect();
            if n == 8 {
                assert_eq!(order, [0, 4, 2, 6, 1, 5, 3, 7]);
            }
            order.sort_unstable();
            assert_eq!(order, (0..n).collect::<Vec<_>>());
        }
    }

    #[test]
    fn as_many_spikes_are_drawn_as_are_asked_for() {
        for one_in in [1, 2, 3, 17] {
            let drawn = (0..30_000i64).filter(|i| is_drawn(i * 300, one_in)).count();
            let expected = 30_000.0 / one_in as f64;
            assert!(
                (drawn as f64 - expected).abs() <= 4.0 * expected.sqrt(),
                "{drawn} for one in {one_in}"
            );
        }
    }

    #[test]
    fn a_waveform_is_summed_on_the_channels_near_the_unit() {
        let rows = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let taps = Taps { n: 2, before: 1 };
        let mut moments = Moments::default();
        moments.add(&rows, &[2, 0], 3, taps);
        let sums: Vec<i64> = moments
            .sums
            .iter()
            .map(|sums| sums[0] / SCALE as i64)
            .collect();
        assert_eq!(sums, [3, 1, 6, 4]);
    }
}
