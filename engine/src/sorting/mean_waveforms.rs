//! Averages of cleaned waveforms: from labelled events to templates.

use serde::{Deserialize, Serialize};
use somata_shaders::layout::SumWaveformsParams;

use super::{
    geometry::{NONE, padded},
    preprocessing::whitened::Windows,
    sorter::{Matchers, Stage},
    template_matching::Spike,
    templates::{Taps, Template},
};
use crate::{
    device::{Commands, Executor},
    error::Result,
    stream::{
        Block, Pass,
        blocks::{MARGIN_SAMPLES, WINDOW_SAMPLES},
    },
};

/// Fixed-point units of one noise deviation.
const SCALE: f32 = 512.0;
/// Deflections are clamped here, noise deviations: a label can then take 4,096 events of a chunk.
const LIMIT: f32 = 1000.0;
/// Blocks that share one set of sums even on the processor: clearing and adding the sums costs as much as a block.
const BLOCKS_TOGETHER: u64 = 4;
/// Bytes of their largest buffer at most.
const BYTES_TOGETHER: u64 = 64 << 20;

/// An event with the label that clustering gave it.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct LabelledEvent {
    /// Trough, recording sample.
    pub sample: i64,
    /// Channel whose neighbourhood is averaged; the same for all events of a label.
    pub channel: u32,
    /// Label.
    pub label: u32,
    /// Unit that matching gave the event to, or -1.
    pub unit: i32,
    /// Amplitude relative to that unit.
    pub amplitude: f32,
}

/// Blocks that are summed together at least, of so many bytes each.
pub(super) fn blocks_together(bytes_per_block: u64) -> u64 {
    (BYTES_TOGETHER / bytes_per_block.max(1)).clamp(1, BLOCKS_TOGETHER)
}

/// Mean waveform of every label on the nearest `max_channels` channels, of the data less all `known` spikes, each
/// event's own template put back. `events` and the known spikes are in order of time.
///
/// # Errors
/// When the recording cannot be read or the device fails.
pub(super) fn average(
    executor: &dyn Executor,
    pass: Pass<'_, Windows<'_>>,
    blocks: &[Block],
    stage: &Stage<'_>,
    known: Option<(&Matchers<'_>, &[Spike])>,
    events: &[LabelledEvent],
    n_labels: usize,
    max_channels: usize,
    taps: Taps,
) -> Result<Vec<Template>> {
    let n_channels = stage.geometry.n_channels();
    let (table, n_neighbours) = padded(&stage.geometry.nearest(max_channels), |_| NONE);
    let neighbour = executor.resident("waveform_neighbour", &table)?;
    let length = n_neighbours * taps.n;
    let mut sums: Vec<Vec<i64>> = vec![Vec::new(); n_labels];
    // Where the tissue moved every block may have its own templates to subtract.
    let fit = blocks_together(stage.whitened.bytes_per_block());
    let together = if stage.correction.is_some() {
        1
    } else {
        pass.blocks_together.max(fit as usize)
    };
    let pass = Pass {
        blocks_together: together,
        ..pass
    };
    pass.run(
        "templates",
        blocks,
        |chunk| {
            let n_blocks = chunk.blocks.len();
            let chunk_blocks = chunk.blocks.clone();
            let mut commands = Commands::new();
            let (x, kept) = stage.whitened.record(&mut commands, chunk, pass.source);
            if let Some((matchers, spikes)) = known {
                let (list, count, capacity) = spike_lists(&chunk_blocks, spikes, taps);
                let (list, count) = (
                    commands.upload("spikes", &list),
                    commands.upload("spike_count", &count),
                );
                matchers.of(&chunk_blocks[0])?.record_subtraction(
                    &mut commands,
                    x,
                    list,
                    count,
                    n_blocks,
                    capacity,
                );
            }
            let x = stage.correction.map_or(x, |correction| {
                correction.record(&mut commands, &chunk_blocks, x)
            });
            let (labels, (list, count, capacity)) = event_lists(&chunk_blocks, events);
            let (list, count) = (
                commands.upload("events", &list),
                commands.upload("event_count", &count),
            );
            let neighbour = commands.resident(&neighbour);
            let sums = commands.zeros("sums", labels.len().max(1) * length);
            commands.dispatch(
                &SumWaveformsParams {
                    n_blocks: n_blocks as u32,
                    n_samples: WINDOW_SAMPLES as u32,
                    n_channels: n_channels as u32,
                    n_neighbours: n_neighbours as u32,
                    n_taps: taps.n as u32,
                    before: taps.before as u32,
                    capacity: capacity as u32,
                    scale: SCALE,
                    limit: LIMIT,
                },
                &[x, list, count, neighbour, sums],
            );
            let sums = commands.download(sums);
            let mut downloads = executor.play(commands)?;
            stage
                .whitened
                .keep(&chunk_blocks, kept, &mut downloads, pass.control);
            let sums: Vec<i32> = downloads.take(sums);
            // The sums of the whole chunk belong to its first block; the others add nothing.
            let mut results = vec![(Vec::new(), Vec::new()); n_blocks];
            results[0] = (labels, sums);
            Ok(results)
        },
        |_, (labels, part)| {
            for (label, part) in labels.into_iter().zip(part.chunks_exact(length)) {
                let sum = &mut sums[label as usize];
                sum.resize(length, 0);
                sum.iter_mut()
                    .zip(part)
                    .for_each(|(sum, &part)| *sum += i64::from(part));
            }
            Ok(())
        },
    )?;
    let mut counts = vec![0usize; n_labels];
    let mut channel = vec![0usize; n_labels];
    let mut own: Vec<std::collections::BTreeMap<i32, f64>> = vec![Default::default(); n_labels];
    for event in events {
        let label = event.label as usize;
        counts[label] += 1;
        channel[label] = event.channel as usize;
        if event.unit >= 0 {
            *own[label].entry(event.unit).or_default() += f64::from(event.amplitude);
        }
    }
    // With many clusters the sums are large: each goes when its mean is made.
    Ok(sums
        .into_iter()
        .enumerate()
        .map(|(label, sums)| {
            let n = counts[label].max(1) as f64;
            let mut near: Vec<(u32, usize)> = table
                [channel[label] * n_neighbours..(channel[label] + 1) * n_neighbours]
                .iter()
                .enumerate()
                .filter(|&(_, &c)| c != NONE)
                .map(|(j, &c)| (c, j))
                .collect();
            near.sort_unstable();
            let mut waveform = vec![0.0f32; near.len() * taps.n];
            for ((c, j), row) in near.iter().zip(waveform.chunks_exact_mut(taps.n)) {
                for (value, &sum) in row
                    .iter_mut()
                    .zip(sums.get(j * taps.n..).unwrap_or_default())
                {
                    *value = (sum as f64 / f64::from(SCALE) / n) as f32;
                }
                if let Some((matchers, _)) = known {
                    for (&unit, &amplitude) in &own[label] {
                        let template = &matchers.reference.units[unit as usize];
                        if let Ok(entry) = template.channels.binary_search(c) {
                            let weight = (amplitude / n) as f32;
                            row.iter_mut()
                                .zip(template.row(entry, taps))
                                .for_each(|(v, w)| *v += weight * w);
                        }
                    }
                }
            }
            Template {
                channels: near.iter().map(|&(c, _)| c).collect(),
                waveform,
                n_events: n,
            }
        })
        .collect())
}

/// Spikes whose templates reach into the windows of `blocks`: entries (start, unit, amplitude, 0), counts, capacity.
fn spike_lists(blocks: &[Block], spikes: &[Spike], taps: Taps) -> (Vec<u32>, Vec<u32>, usize) {
    let lists: Vec<Vec<[u32; 4]>> = blocks
        .iter()
        .map(|block| {
            let window = block.window_start();
            let (from, to) = (
                window + taps.before as i64,
                window + (WINDOW_SAMPLES - taps.n + taps.before) as i64,
            );
            let first = spikes.partition_point(|spike| spike.sample < from);
            let last = spikes.partition_point(|spike| spike.sample <= to);
            spikes[first..last]
                .iter()
                .map(|spike| {
                    [
                        (spike.sample - from) as u32,
                        spike.unit,
                        spike.amplitude.to_bits(),
                        0,
                    ]
                })
                .collect()
        })
        .collect();
    pack(&lists)
}

/// Events that belong to the blocks: their labels, and of each the entries (sample in the window, channel, place of its label
/// among these, 0), counts, capacity. A part of the recording has events of a part of the labels, and sums of only those.
fn event_lists(
    blocks: &[Block],
    events: &[LabelledEvent],
) -> (Vec<u32>, (Vec<u32>, Vec<u32>, usize)) {
    let own: Vec<&[LabelledEvent]> = blocks
        .iter()
        .map(|block| {
            let end = block.start as i64 + block.n_samples as i64;
            let first = events.partition_point(|event| event.sample < block.start as i64);
            &events[first..events.partition_point(|event| event.sample < end)]
        })
        .collect();
    let mut labels: Vec<u32> = own
        .iter()
        .flat_map(|events| events.iter().map(|event| event.label))
        .collect();
    labels.sort_unstable();
    labels.dedup();
    let lists: Vec<Vec<[u32; 4]>> = blocks
        .iter()
        .zip(own)
        .map(|(block, events)| {
            events
                .iter()
                .map(|event| {
                    let label = labels.binary_search(&event.label);
                    [
                        (event.sample - block.start as i64) as u32 + MARGIN_SAMPLES as u32,
                        event.channel,
                        label.expect("one of them") as u32,
                        0,
                    ]
                })
                .collect()
        })
        .collect();
    (labels, pack(&lists))
}

fn pack(lists: &[Vec<[u32; 4]>]) -> (Vec<u32>, Vec<u32>, usize) {
    let capacity = lists.iter().map(Vec::len).max().unwrap_or(0).max(1);
    let mut entries = vec![0u32; lists.len() * capacity * 4];
    for (list, target) in lists.iter().zip(entries.chunks_exact_mut(capacity * 4)) {
        target[..list.len() * 4].copy_from_slice(bytemuck::cast_slice(list));
    }
    (
        entries,
        lists.iter().map(|list| list.len() as u32).collect(),
        capacity,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::blocks::BLOCK_SAMPLES;

    #[test]
    fn events_name_places_among_the_labels_that_their_blocks_have() {
        let event = |sample: i64, label: u32| LabelledEvent {
            sample,
            channel: 10 + label,
            label,
            unit: -1,
            amplitude: 1.0,
        };
        let end = BLOCK_SAMPLES as i64;
        let events = [
            event(-1, 4),
            event(0, 9),
            event(5, 2),
            event(end - 1, 9),
            event(end, 7),
            event(2 * end, 3),
        ];
        let blocks: Vec<Block> = (0..2)
            .map(|index| Block {
                index,
                start: (index * BLOCK_SAMPLES) as u64,
                n_samples: BLOCK_SAMPLES,
                segment_start: 0,
                segment_end: 3 * BLOCK_SAMPLES as u64,
            })
            .collect();
        let (labels, (list, count, capacity)) = event_lists(&blocks, &events);
        assert_eq!((labels, count, capacity), (vec![2, 7, 9], vec![3, 1], 3));
        let margin = MARGIN_SAMPLES as u32;
        let entries: Vec<&[u32]> = list.chunks_exact(4).collect();
        assert_eq!(entries[0], [margin, 19, 2, 0]);
        assert_eq!(entries[1], [margin + 5, 12, 0, 0]);
        assert_eq!(entries[2], [margin + end as u32 - 1, 19, 2, 0]);
        assert_eq!(entries[3], [margin, 17, 1, 0]);
        assert_eq!(event_lists(&blocks[..1], &[]).0, Vec::<u32>::new());
    }
}
