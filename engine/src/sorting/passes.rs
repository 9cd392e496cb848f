//! The passes over a recording: what each asks of the device for a chunk, and what it keeps of the answer.

use std::{
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use serde::{Deserialize, Serialize};

use super::{
    detection::{BlockPeaks, Detector, Peak},
    events::{EventSample, SpikeEvent},
    geometry::Geometry,
    motion::{estimation, interpolation::Correction},
    preprocessing::whitened::{Whitened, Windows},
    sorter::{Detected, Finished, Matched, Matchers, Run, Stage},
    template_matching::BlockSpikes,
};
use crate::{
    device::Commands,
    error::Result,
    parameters::sorting::Clustering,
    pipeline::checked_file::{CheckedWriter, Checksum},
    recording::{RecordingInfo, SampleType},
    stream::{
        Block, Control, Pass, Source,
        blocks::{MARGIN_SAMPLES, window_words},
        pass::Chunk,
    },
};

/// Memory that the sampled events' features may take, bytes.
const EVENT_BYTES: usize = 192 << 20;

/// Values of float data that are not finite (they count as 0).
#[derive(Default, Deserialize, Serialize)]
pub(super) struct NotFinite {
    pub(super) count: u64,
    /// Sample and channel of the first.
    first: Option<(u64, usize)>,
}

impl NotFinite {
    /// Those of a block itself, without its margins.
    fn count(info: &RecordingInfo, block: &Block, raw: &[u32]) -> Self {
        let mut found = Self::default();
        if info.sample_type != SampleType::F32 {
            return found;
        }
        let channels = info.n_channels();
        let own = &raw[MARGIN_SAMPLES * channels..(MARGIN_SAMPLES + block.n_samples) * channels];
        for (i, &word) in own.iter().enumerate() {
            if !f32::from_bits(word).is_finite() {
                found.count += 1;
                let at = (block.start + (i / channels) as u64, i % channels);
                found.first.get_or_insert(at);
            }
        }
        found
    }

    fn add(&mut self, later: Self) {
        self.count += later.count;
        self.first = self.first.or(later.first);
    }

    pub(super) fn report(&self, control: &Control) {
        if let Some((sample, channel)) = self.first {
            control.warn(format!(
                "{} values of the input are not finite (NaN or infinite), the first at sample {sample} of channel {channel}; they count as 0",
                self.count
            ));
        }
    }
}

/// Events that are kept of each channel.
pub(super) fn most_events(
    n_channels: usize,
    feature_length: usize,
    parameters: &Clustering,
) -> usize {
    let most = EVENT_BYTES / 4 / feature_length.max(1) / n_channels.max(1);
    most.min(parameters.max_events as usize).max(100)
}

impl Run<'_> {
    /// As [`Run::pass`], but one block at a time where every block may have its own templates.
    fn matching_pass<'p>(
        &'p self,
        stage: &Stage<'_>,
        windows: &'p Windows<'p>,
        bytes_per_block: u64,
    ) -> Pass<'p, Windows<'p>> {
        let pass = self.pass(windows, bytes_per_block);
        if stage.correction.is_some() {
            Pass {
                blocks_together: 1,
                ..pass
            }
        } else {
            pass
        }
    }

    /// Whether a peak is above the threshold in deviations of its own channel's noise, which correction raises at the ends of
    /// a probe.
    fn stands_out(&self, peak: &Peak, block: &Block, correction: Option<&Correction>) -> bool {
        correction.is_none_or(|correction| {
            let noise = correction.noise(block, peak.channel as usize);
            peak.score >= self.parameters.detection.threshold as f32 * noise.max(1.0)
        })
    }

    fn event_sample(&self, n_channels: usize, feature_length: usize) -> EventSample {
        let most = most_events(n_channels, feature_length, &self.parameters.clustering);
        EventSample::new(n_channels, most)
    }

    /// Detection over the whole recording: a sample of events with features, and the raster for motion.
    pub(super) fn detect(
        &self,
        detector: &Detector,
        whitened: &Whitened<'_>,
        correction: Option<&Correction>,
        geometry: &Geometry,
    ) -> Result<Detected> {
        let info = self.recording.info();
        let windows = whitened.windows();
        let mut events = self.event_sample(whitened.n_channels(), detector.feature_length());
        let mut raster =
            estimation::Raster::new(geometry, &self.parameters.motion, self.n_samples(), self.fs);
        let length = detector.feature_length();
        let mut not_finite = NotFinite::default();
        self.pass(&windows, detector.bytes_per_block()).run(
            "detection",
            &self.grid.blocks,
            |chunk| {
                let bad: Vec<NotFinite> = match windows {
                    Windows::Raw(_) => chunk
                        .blocks
                        .iter()
                        .zip(chunk.raw.chunks_exact(window_words(info)))
                        .map(|(block, raw)| NotFinite::count(info, block, raw))
                        .collect(),
                    // Counted when the recording was read.
                    Windows::Kept(_) => chunk.blocks.iter().map(|_| NotFinite::default()).collect(),
                };
                let capacity = &self.peak_capacity;
                let peaks = with_capacity(capacity, &windows, chunk, |chunk, capacity| {
                    let blocks = chunk.blocks.clone();
                    let mut commands = Commands::new();
                    let (x, kept) = whitened.record(&mut commands, chunk, &windows);
                    let x = correction
                        .map_or(x, |correction| correction.record(&mut commands, &blocks, x));
                    let found = detector.record(&mut commands, x, blocks.len(), capacity, true);
                    let mut downloads = self.options.executor.play(commands)?;
                    whitened.keep(&blocks, kept, &mut downloads, self.options.control);
                    Ok(found.peaks(&mut downloads, &blocks))
                })?;
                Ok(peaks.into_iter().zip(bad).collect())
            },
            |block, ((peaks, features), bad)| {
                not_finite.add(bad);
                for peak in &peaks {
                    raster.add(peak);
                    if self.stands_out(peak, block, correction) {
                        events.push(peak_event(peak, &features, length));
                    }
                }
                Ok(())
            },
        )?;
        events.end();
        Ok(Detected {
            events,
            raster,
            not_finite,
        })
    }

    /// Matching over the whole recording: spikes, and a sample of cleaned events, with those of new cells in what it leaves where
    /// they are `sought`.
    pub(super) fn match_round(
        &self,
        matchers: &Matchers<'_>,
        stage: &Stage<'_>,
        sought: bool,
    ) -> Result<Matched> {
        let (detector, whitened) = (stage.detector, stage.whitened);
        let windows = whitened.windows();
        let length = detector.feature_length();
        let mut events = self.event_sample(whitened.n_channels(), length);
        let mut spikes = Vec::new();
        self.matching_pass(
            stage,
            &windows,
            detector.bytes_per_block().max(matchers.bytes_per_block),
        )
        .run(
            "matching",
            &self.grid.blocks,
            |chunk| {
                let capacity = &self.spike_capacity;
                with_capacity(capacity, &windows, chunk, |chunk, spike_capacity| {
                    let blocks = chunk.blocks.clone();
                    let peak_capacity = self.peak_capacity.load(Ordering::Relaxed);
                    let mut commands = Commands::new();
                    let matcher = matchers.of(&blocks[0])?;
                    let (x, kept) = whitened.record(&mut commands, chunk, &windows);
                    let (matching, x) =
                        matcher.record(&mut commands, x, &blocks, spike_capacity, stage.correction);
                    let detection = sought.then(|| {
                        detector.record(&mut commands, x, blocks.len(), peak_capacity, true)
                    });
                    let mut downloads = self.options.executor.play(commands)?;
                    whitened.keep(&blocks, kept, &mut downloads, self.options.control);
                    let spikes = match matching.spikes(&matcher, &mut downloads, &blocks) {
                        Ok(spikes) => spikes,
                        Err(most) => return Ok(Err(most)),
                    };
                    let peaks = match detection.map(|found| found.peaks(&mut downloads, &blocks)) {
                        None => blocks.iter().map(|_| BlockPeaks::default()).collect(),
                        Some(Ok(peaks)) => peaks,
                        Some(Err(most)) => {
                            self.peak_capacity
                                .fetch_max(most + most / 4, Ordering::Relaxed);
                            return Ok(Err(0));
                        }
                    };
                    Ok(Ok(spikes.into_iter().zip(peaks).collect::<Vec<_>>()))
                })
            },
            |block, (found, (peaks, features)): (BlockSpikes, BlockPeaks)| {
                for (spike, residual) in
                    found.spikes.iter().zip(found.features.chunks_exact(length))
                {
                    let unit = spike.unit as usize;
                    let own = &matchers.unit_features[unit * length..(unit + 1) * length];
                    events.push(SpikeEvent {
                        sample: spike.sample,
                        channel: matchers.reference.main_channel[unit] as u32,
                        unit: spike.unit as i32,
                        amplitude: spike.amplitude,
                        features: residual
                            .iter()
                            .zip(own)
                            .map(|(r, own)| r + spike.amplitude * own)
                            .collect(),
                    });
                }
                for peak in &peaks {
                    if self.stands_out(peak, block, stage.correction) {
                        events.push(peak_event(peak, &features, length));
                    }
                }
                spikes.extend(found.spikes);
                Ok(())
            },
        )?;
        events.end();
        Ok(Matched { spikes, events })
    }

    /// The last matching: spikes, their positions, and their features in a file.
    pub(super) fn match_last(
        &self,
        matchers: &Matchers<'_>,
        stage: &Stage<'_>,
        feature_table: &[u32],
        path: &Path,
        n_components: usize,
    ) -> Result<Finished> {
        let length = matchers.feature_length;
        let n_neighbours = length / n_components;
        let mut file = CheckedWriter::create(path)?;
        let mut finished = Finished {
            spikes: Vec::new(),
            positions: Vec::new(),
            features: Checksum::default(),
        };
        let whitened = stage.whitened;
        let windows = whitened.windows();
        let pass = self.matching_pass(stage, &windows, matchers.bytes_per_block);
        pass.run(
            "last matching",
            &self.grid.blocks,
            |chunk| {
                let capacity = &self.spike_capacity;
                with_capacity(capacity, &windows, chunk, |chunk, capacity| {
                    let blocks = chunk.blocks.clone();
                    let mut commands = Commands::new();
                    let matcher = matchers.of(&blocks[0])?;
                    let (x, kept) = whitened.record(&mut commands, chunk, &windows);
                    let (matching, _) =
                        matcher.record(&mut commands, x, &blocks, capacity, stage.correction);
                    let mut downloads = self.options.executor.play(commands)?;
                    whitened.keep(&blocks, kept, &mut downloads, self.options.control);
                    Ok(matching.spikes(&matcher, &mut downloads, &blocks))
                })
            },
            |_, found: BlockSpikes| {
                for (spike, residual) in
                    found.spikes.iter().zip(found.features.chunks_exact(length))
                {
                    let unit = spike.unit as usize;
                    let own = &matchers.unit_features[unit * length..(unit + 1) * length];
                    let cleaned: Vec<f32> = residual
                        .iter()
                        .zip(own)
                        .map(|(r, own)| r + spike.amplitude * own)
                        .collect();
                    let channel = matchers.reference.main_channel[unit];
                    let near = &feature_table[channel * n_neighbours..(channel + 1) * n_neighbours];
                    finished.positions.push(centre_of_mass(
                        &cleaned,
                        near,
                        n_components,
                        stage.geometry,
                    ));
                    file.write(bytemuck::cast_slice(&cleaned))?;
                }
                finished.spikes.extend(found.spikes);
                Ok(())
            },
        )?;
        finished.features = file.finish()?;
        Ok(finished)
    }
}

/// Plays with a list capacity that grows until nothing overflows: spikes are never dropped. What a chunk holds goes with its first
/// play; the others, which are rare, read it again.
fn with_capacity<T>(
    capacity: &AtomicUsize,
    windows: &Windows<'_>,
    chunk: &mut Chunk,
    mut play: impl FnMut(&mut Chunk, usize) -> Result<std::result::Result<T, usize>>,
) -> Result<T> {
    loop {
        match play(chunk, capacity.load(Ordering::Relaxed))? {
            Ok(value) => return Ok(value),
            Err(most) => {
                capacity.fetch_max(most + most / 2, Ordering::Relaxed);
                chunk.raw = windows.read_blocks(&chunk.blocks)?;
            }
        }
    }
}

fn peak_event(peak: &Peak, features: &[f32], length: usize) -> SpikeEvent {
    SpikeEvent {
        sample: peak.sample,
        channel: peak.channel,
        unit: -1,
        amplitude: 1.0,
        features: features[peak.entry * length..(peak.entry + 1) * length].to_vec(),
    }
}

/// Position from the energy of a spike's features on the channels around.
fn centre_of_mass(
    features: &[f32],
    channels: &[u32],
    n_components: usize,
    geometry: &Geometry,
) -> [f32; 2] {
    let (mut total, mut x, mut y) = (0.0f64, 0.0, 0.0);
    for (row, &c) in features.chunks_exact(n_components).zip(channels) {
        let energy: f64 = row.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
        let contact = &geometry.contacts[c as usize];
        total += energy;
        x += energy * contact.x_um;
        y += energy * contact.y_um;
    }
    [(x / total.max(1e-12)) as f32, (y / total.max(1e-12)) as f32]
}
