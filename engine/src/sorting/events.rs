//! A bounded sample of events with their features: what clustering sees.
//!
//! Every channel keeps the events with the smallest hash of their time and channel, so the sample is spread evenly
//! over the recording, does not depend on the order in which blocks finish, and does not grow with its length.

use serde::{Deserialize, Serialize};

/// One spike that may be clustered.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct SpikeEvent {
    /// Trough, recording sample.
    pub sample: i64,
    /// Channel where it is largest.
    pub channel: u32,
    /// Unit to which matching gave it; -1 when it was found in the residual or before any matching.
    pub unit: i32,
    /// Amplitude relative to the unit's template.
    pub amplitude: f32,
    /// Features, `[neighbour of the channel, component]`.
    pub features: Vec<f32>,
}

/// The events that are kept, by channel.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct EventSample {
    capacity: usize,
    channels: Vec<Vec<(u64, SpikeEvent)>>,
    /// Hash above which a channel's events have no chance any more: that of the last one kept when it was full.
    limits: Vec<u64>,
}

/// Events that wait for the next trim beside `capacity` kept ones.
fn slack(capacity: usize) -> usize {
    capacity / 8 + 64
}

impl EventSample {
    /// An empty sample of at most `capacity` events a channel.
    pub fn new(n_channels: usize, capacity: usize) -> Self {
        Self {
            capacity,
            channels: vec![Vec::new(); n_channels],
            limits: vec![u64::MAX; n_channels],
        }
    }

    /// Offers an event.
    pub fn push(&mut self, event: SpikeEvent) {
        let channel = event.channel as usize;
        let key = hash(event.sample, event.channel, event.unit);
        if key > self.limits[channel] {
            return;
        }
        self.channels[channel].push((key, event));
        if self.channels[channel].len() >= self.capacity + slack(self.capacity) {
            self.trim(channel);
        }
    }

    /// Drops what waits for a trim: nothing more will be offered.
    pub fn end(&mut self) {
        for channel in 0..self.channels.len() {
            self.trim(channel);
            self.channels[channel].shrink_to_fit();
        }
    }

    fn trim(&mut self, channel: usize) {
        let kept = &mut self.channels[channel];
        if kept.len() > self.capacity {
            kept.sort_by_key(|(key, event)| (*key, event.sample, event.unit));
            kept.truncate(self.capacity);
            self.limits[channel] = kept.last().map_or(u64::MAX, |(key, _)| *key);
        }
    }

    /// Part of each channel's events that is kept.
    pub fn shares(&self) -> Vec<f64> {
        let limits = self.limits.iter();
        limits
            .map(|&limit| limit as f64 / u64::MAX as f64)
            .collect()
    }

    /// The kept events of every channel, in order of time.
    pub fn into_channels(mut self) -> Vec<Vec<SpikeEvent>> {
        self.end();
        self.channels
            .into_iter()
            .map(|kept| {
                let mut events: Vec<SpikeEvent> =
                    kept.into_iter().map(|(_, event)| event).collect();
                events.sort_by_key(|event| (event.sample, event.unit));
                events
            })
            .collect()
    }
}

/// A well mixed number from an event's identity (the finaliser of SplitMix64; Steele et al. 2014).
fn hash(sample: i64, channel: u32, unit: i32) -> u64 {
    let mut z = (sample as u64) ^ (u64::from(channel) << 44) ^ ((unit as u64 & 0xffff) << 28);
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_that_of_the_smallest_hashes_whatever_the_order_and_is_never_much_larger() {
        let event = |sample: i64, unit: i32| SpikeEvent {
            sample,
            channel: 1,
            unit,
            amplitude: 1.0,
            features: vec![sample as f32],
        };
        let mut all: Vec<SpikeEvent> = (0..5000)
            .map(|k| event(k * 37 % 5003, (k % 3) as i32 - 1))
            .collect();
        let capacity = 100;
        let sample_of = |events: &[SpikeEvent]| {
            let mut sample = EventSample::new(2, capacity);
            for event in events {
                sample.push(event.clone());
                assert!(sample.channels[1].len() < capacity + slack(capacity));
            }
            let channels = sample.into_channels();
            assert!(channels[0].is_empty());
            channels[1]
                .iter()
                .map(|event| (event.sample, event.unit, event.features[0]))
                .collect::<Vec<_>>()
        };
        let first = sample_of(&all);
        let mut smallest: Vec<(u64, i64, i32)> = all
            .iter()
            .map(|event| {
                let key = hash(event.sample, event.channel, event.unit);
                (key, event.sample, event.unit)
            })
            .collect();
        smallest.sort_unstable();
        smallest.truncate(capacity);
        let mut expected: Vec<(i64, i32, f32)> = smallest
            .into_iter()
            .map(|(_, sample, unit)| (sample, unit, sample as f32))
            .collect();
        expected.sort_by_key(|&(sample, unit, _)| (sample, unit));
        assert_eq!(first, expected);
        all.reverse();
        assert_eq!(sample_of(&all), first);
    }
}
