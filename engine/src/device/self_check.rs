//! Whether a device computes at all: a few kernels on whole numbers, compared with their twins bit by bit.
//!
//! Some drivers return garbage without an error: a miscompiled barrier, memory that is not what was copied there, a card that is
//! dying. A night on such a device gives units and cells that are none. Sums of small whole numbers have no rounding, so that
//! every device that works gives the same bits, and no tolerance can hide a fault. The kernels are three of the run's own: one
//! with workgroup memory and a barrier, one with loops over lists, one with atomic sums.

use somata_shaders::layout::{SubtractTemplatesParams, SumWaveformsParams, WhitenParams};

use super::{Commands, CpuExecutor, DeviceError, Executor};

/// More than one tile of the whitening kernel along both axes, and no multiple of it.
const CHANNELS: usize = 35;
/// Samples of a block.
const SAMPLES: usize = 203;
/// Blocks.
const BLOCKS: usize = 3;
/// Samples of the template and of the waveform sums.
const TAPS: usize = 10;

/// What each step leaves, by the kernel that made it.
type Found = Vec<(&'static str, Vec<u32>)>;

/// Small whole numbers without a pattern, from -4 to 4.
fn numbers(n: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    (0..n)
        .map(|_| {
            // A linear congruential generator; its upper bits are good enough to be told apart.
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as f32 % 9.0 - 4.0
        })
        .collect()
}

fn play(executor: &dyn Executor) -> Result<Found, DeviceError> {
    let mut commands = Commands::new();
    let raw = numbers(BLOCKS * SAMPLES * CHANNELS, 1);
    // Each channel less its two neighbours: rows of three.
    let neighbours: Vec<u32> = (0..CHANNELS as u32)
        .flat_map(|c| [c, c.saturating_sub(1), (c + 1).min(CHANNELS as u32 - 1)])
        .collect();
    let weights = numbers(2 * 3 * CHANNELS, 2);
    let weights = executor.resident("weights", &weights)?;
    let raw = commands.upload("samples", &raw);
    let neighbours = commands.upload("neighbours", &neighbours);
    let weights = commands.resident(&weights);
    let matrix_of_block = commands.upload("matrices", &[0u32, 1, 0]);
    let x = commands.buffer("weighed", BLOCKS * SAMPLES * CHANNELS);
    let whiten = WhitenParams {
        n_blocks: BLOCKS as u32,
        n_samples: SAMPLES as u32,
        n_channels: CHANNELS as u32,
        n_neighbours: 3,
    };
    commands.dispatch(&whiten, &[raw, neighbours, weights, matrix_of_block, x]);
    // Kept before the next kernel writes over it: the same again into another buffer.
    let weighed = commands.buffer("weighed again", BLOCKS * SAMPLES * CHANNELS);
    commands.dispatch(
        &whiten,
        &[raw, neighbours, weights, matrix_of_block, weighed],
    );

    // Two spikes a block of one unit on three channels.
    let spike = |start: u32, amplitude: f32| [start, 0, amplitude.to_bits(), 0];
    let spikes: Vec<u32> = (0..BLOCKS as u32)
        .flat_map(|block| [spike(1 + block, 1.0), spike(100 + block, 2.0)])
        .flatten()
        .collect();
    let spikes = commands.upload("spikes", &spikes);
    let count = commands.upload("spike counts", &[2u32; BLOCKS]);
    let channel_start = commands.upload("channel starts", &[0u32, 3]);
    let channel = commands.upload("channels", &[0u32, 17, CHANNELS as u32 - 1]);
    let waveform = commands.upload("waveform", &numbers(3 * TAPS, 3));
    let subtract = SubtractTemplatesParams {
        n_blocks: BLOCKS as u32,
        n_samples: SAMPLES as u32,
        n_channels: CHANNELS as u32,
        n_units: 1,
        n_taps: TAPS as u32,
        capacity: 2,
    };
    commands.dispatch(
        &subtract,
        &[x, spikes, count, channel_start, channel, waveform],
    );

    // Events of one label that overlap, so that many invocations add to one place.
    let events: Vec<u32> = (0..BLOCKS as u32)
        .flat_map(|block| (0..4).map(move |k| [40 + block + 2 * k, 1, 0, 0]))
        .flatten()
        .collect();
    let events = commands.upload("events", &events);
    let event_count = commands.upload("event counts", &[4u32; BLOCKS]);
    let near: Vec<u32> = (0..CHANNELS as u32).collect();
    let near = commands.upload("near", &near);
    let sums = commands.zeros("sums", 3 * TAPS);
    let average = SumWaveformsParams {
        n_blocks: BLOCKS as u32,
        n_samples: SAMPLES as u32,
        n_channels: CHANNELS as u32,
        n_neighbours: 1,
        n_taps: 3 * TAPS as u32,
        before: 2 * TAPS as u32,
        capacity: 4,
        scale: 1.0,
        limit: 1e4,
    };
    commands.dispatch(&average, &[x, events, event_count, near, sums]);

    let weighed = commands.download(weighed);
    let subtracted = commands.download(x);
    let sums = commands.download(sums);
    let mut downloads = executor.play(commands)?;
    Ok(vec![
        ("whiten", downloads.take(weighed)),
        ("subtract_templates", downloads.take(subtracted)),
        ("sum_waveforms", downloads.take(sums)),
    ])
}

/// Plays some kernels on a device and on the processor.
///
/// # Errors
/// [`DeviceError::Wrong`] where they differ, or what the device said.
pub fn check(executor: &dyn Executor) -> Result<(), DeviceError> {
    let expected = play(&CpuExecutor::new(1))?;
    for ((kernel, expected), (_, found)) in expected.into_iter().zip(play(executor)?) {
        let n_wrong = expected.iter().zip(&found).filter(|(a, b)| a != b).count();
        if n_wrong > 0 || expected.len() != found.len() {
            return Err(DeviceError::Wrong {
                device: executor.name(),
                kernel,
                n_wrong,
                n: expected.len(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_leave_traces_everywhere() {
        // A check of zeros would pass on a device that returns zeros.
        let found = play(&CpuExecutor::new(1)).expect("the processor");
        for (kernel, words) in &found {
            let values: Vec<f32> = words.iter().map(|&word| f32::from_bits(word)).collect();
            let zeros = words.iter().filter(|&&word| word == 0).count();
            assert!(zeros * 4 < words.len(), "{kernel}: {zeros} zeros");
            if *kernel != "sum_waveforms" {
                assert!(
                    values.iter().all(|v| v.fract() == 0.0 && v.abs() < 100.0),
                    "{kernel}"
                );
            }
        }
        let differ = found[0].1.iter().zip(&found[1].1).filter(|(a, b)| a != b);
        assert!(differ.count() > 100, "the templates were subtracted");
        assert!(check(&CpuExecutor::new(1)).is_ok());
    }
}
