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
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct EventSample {
    capacity: usize,
    channels: Vec<Vec<(u64, SpikeEvent)>>,
}

impl EventSample {
    /// An empty sample of at most `capacity` events a channel.
    pub fn new(n_channels: usize, capacity: usize) -> Self {
        Self {
            capacity,
            channels: vec![Vec::new(); n_channels],
        }
    }

    /// Offers an event.
    pub fn push(&mut self, event: SpikeEvent) {
        let channel = event.channel as usize;
        let key = hash(event.sample, event.channel, event.unit);
        self.channels[channel].push((key, event));
        if self.channels[channel].len() >= 2 * self.capacity + 1024 {
            self.trim(channel);
        }
    }

    fn trim(&mut self, channel: usize) {
        let kept = &mut self.channels[channel];
        if kept.len() > self.capacity {
            kept.sort_by_key(|(key, event)| (*key, event.sample, event.unit));
            kept.truncate(self.capacity);
        }
    }

    /// The kept events of every channel, in order of time.
    pub fn into_channels(mut self) -> Vec<Vec<SpikeEvent>> {
        for channel in 0..self.channels.len() {
            self.trim(channel);
        }
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
