//! Clusters of noise.

use crate::sorting::events::SpikeEvent;

/// Only clusters with fewer events a second are looked at. A weak cell that fires more often is told from noise by its number of
/// spikes.
const RARE_HZ: f64 = 0.3;

/// Takes the label from the events of one channel whose clusters are of noise.
///
/// Each event was found above `threshold`, also where noise alone took it there; then it stands just above it, since noise above a
/// threshold u exceeds it by 1 / u on average (Rice 1945). Events of noise that look alike make a cluster whose mean is no larger
/// than that, while of a cell as small the events that noise added to are found, and their mean is larger. The longer a recording,
/// the more such clusters have spikes enough; matching with them takes longer and finds nothing. `seconds` of the recording are in
/// the events.
pub fn drop_noise(events: &[SpikeEvent], labels: &mut [i32], threshold: f64, seconds: f64) {
    let Some(first) = events.first() else { return };
    let length = first.features.len();
    let n_labels = labels.iter().max().map_or(0, |&most| most + 1) as usize;
    let mut sums = vec![0.0f64; n_labels * length];
    let mut counts = vec![0.0f64; n_labels];
    for (event, &label) in events
        .iter()
        .zip(&*labels)
        .filter(|(_, label)| **label >= 0)
    {
        let label = label as usize;
        counts[label] += 1.0;
        sums[label * length..(label + 1) * length]
            .iter_mut()
            .zip(&event.features)
            .for_each(|(sum, &value)| *sum += f64::from(value));
    }
    let least = threshold + 1.0 / threshold;
    let is_noise: Vec<bool> = sums
        .chunks_exact(length.max(1))
        .zip(&counts)
        .map(|(sum, n)| {
            // Channels beyond the probe's edge are padding: all zero, and no dimension.
            let dimensions = sum.iter().filter(|&&value| value != 0.0).count() as f64;
            let power = sum.iter().map(|value| value * value).sum::<f64>() / (n * n).max(1.0);
            // The mean of n events has a part of their noise.
            *n < RARE_HZ * seconds && power - dimensions / n.max(1.0) < least * least
        })
        .collect();
    labels
        .iter_mut()
        .filter(|label| **label >= 0 && is_noise[**label as usize])
        .for_each(|label| *label = -1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sorting::clustering::random::Random;

    /// Events whose first feature is above 4.8: of noise, or of a cell of that size. The other features are noise.
    fn events(n: usize, cell: f32) -> Vec<SpikeEvent> {
        let mut random = Random(7);
        // Nearly normal.
        let mut noise = move || (0..12).map(|_| random.uniform()).sum::<f64>() as f32 - 6.0;
        (0..)
            .map(|_| cell + noise())
            .filter(|&first| first > 4.8)
            .take(n)
            .collect::<Vec<f32>>()
            .into_iter()
            .enumerate()
            .map(|(i, first)| {
                let mut features = vec![first];
                features.extend((0..11).map(|_| noise()));
                // Padding.
                features.extend([0.0; 4]);
                SpikeEvent {
                    sample: 1000 * i as i64,
                    channel: 0,
                    unit: -1,
                    amplitude: 1.0,
                    features,
                }
            })
            .collect()
    }

    #[test]
    fn noise_loses_its_label_and_a_cell_as_small_does_not() {
        for (cell, is_kept) in [(2.0, false), (6.0, true)] {
            let found = events(40, cell);
            let mut labels: Vec<i32> = (0..40).map(|i| if i % 8 == 0 { -1 } else { 0 }).collect();
            let before = labels.clone();
            drop_noise(&found, &mut labels, 4.8, 300.0);
            assert_eq!(labels == before, is_kept, "a cell of {cell}");
            assert!(is_kept || labels.iter().all(|&label| label == -1));
        }
    }

    #[test]
    fn many_events_are_never_noise_and_none_are_nothing() {
        let found = events(40, 2.0);
        let mut labels = vec![0; 40];
        drop_noise(&found, &mut labels, 4.8, 100.0);
        assert_eq!(labels, vec![0; 40]);
        drop_noise(&[], &mut [], 4.8, 100.0);
    }
}
