//! Spikes found with universal templates: learned shapes times Gaussian footprints around every channel.

use somata_shaders::layout::{
    DetectPeaksParams, LocalizePeaksParams, ProjectFeaturesParams, ScoreFootprintsParams,
};

use super::{
    geometry::{Geometry, NONE, padded},
    shapes::Shapes,
};
use crate::{
    device::{BufferId, Commands, Downloads, Executor, Resident, commands::DownloadId},
    error::Result,
    parameters::sorting::SortingParameters,
    stream::{
        Block,
        blocks::{MARGIN_SAMPLES, WINDOW_SAMPLES},
    },
};

/// Standard deviations of the footprints, µm.
const FOOTPRINT_SIGMAS_UM: [f64; 3] = [8.0, 20.0, 40.0];
/// Scores are computed at every so manieth sample first, where the shapes are smooth enough.
const STRIDES: [u32; 3] = [4, 3, 2];
/// Least share of a score that must be left at the nearest of those samples.
const LEAST_LEFT: f32 = 0.8;
/// Share of the threshold that noise may take from what is left.
const NOISE_SHARE: f32 = 0.15;

/// A peak of one block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peak {
    /// Trough, recording sample.
    pub sample: i64,
    /// Channel.
    pub channel: u32,
    /// Score, noise deviations.
    pub score: f32,
    /// Position across the shank, µm.
    pub x_um: f32,
    /// Position along the shank, µm.
    pub y_um: f32,
    /// Norm of the amplitudes on the channels around, noise deviations.
    pub amplitude: f32,
    /// Place in the device's list: where the peak's features are.
    pub entry: usize,
}

/// One block's own peaks, with the features of all listed peaks.
pub type BlockPeaks = (Vec<Peak>, Vec<f32>);

/// Tables of detection, localisation and features on the device.
pub struct Detector {
    n_channels: u32,
    score: ScoreFootprintsParams,
    detect: DetectPeaksParams,
    localize_neighbours: u32,
    /// Channels of a feature vector.
    pub feature_neighbours: usize,
    /// Feature channels of each channel, nearest first, padded with [`NONE`].
    pub feature_table: Vec<u32>,
    project: ProjectFeaturesParams,
    shape: Resident,
    footprint_neighbour: Resident,
    footprint_weight: Resident,
    exclusion_neighbour: Resident,
    localize_neighbour: Resident,
    position: Resident,
    feature_neighbour: Resident,
    basis: Resident,
}

/// What detection leaves in a list of commands.
pub struct DetectionDownloads {
    capacity: usize,
    before: usize,
    peaks: DownloadId,
    count: DownloadId,
    positions: DownloadId,
    features: Option<DownloadId>,
}

impl Detector {
    /// Tables for a geometry and learned shapes.
    ///
    /// # Errors
    /// When the device has no room.
    pub fn new(
        executor: &dyn Executor,
        geometry: &Geometry,
        shapes: &Shapes,
        parameters: &SortingParameters,
        sampling_frequency_hz: f64,
    ) -> Result<Self> {
        let detection = &parameters.detection;
        let samples = |ms: f64| (ms * sampling_frequency_hz / 1000.0).round() as u32;
        let n_channels = geometry.n_channels();
        let near = geometry.within(detection.radius_um);
        let (footprint_neighbour, n_neighbours) = padded(&near, |c| c as u32);
        let sizes = if near.iter().all(|near| near.len() == 1) {
            1
        } else {
            FOOTPRINT_SIGMAS_UM.len()
        };
        let mut footprint_weight = vec![0.0f32; sizes * n_channels * n_neighbours];
        for (size, sigma) in FOOTPRINT_SIGMAS_UM.iter().take(sizes).enumerate() {
            for (c, near) in near.iter().enumerate() {
                let weights: Vec<f64> = near
                    .iter()
                    .map(|&n| (-0.5 * (geometry.distance_um(c, n) / sigma).powi(2)).exp())
                    .collect();
                let norm = weights.iter().map(|w| w * w).sum::<f64>().sqrt();
                for (k, weight) in weights
                    .iter()
                    .enumerate()
                    .filter(|(_, weight)| **weight > 0.05 * norm)
                {
                    footprint_weight[(size * n_channels + c) * n_neighbours + k] =
                        (weight / norm) as f32;
                }
            }
        }
        let threshold = detection.threshold as f32;
        let (stride, gate) = first_scores(shapes, threshold);
        let features = geometry.within(parameters.clustering.radius_um);
        let (feature_table, feature_neighbours) = padded(&features, |_| NONE);
        let (localize_table, localize_neighbours) = padded(&near, |_| NONE);
        Ok(Self {
            n_channels: n_channels as u32,
            score: ScoreFootprintsParams {
                n_blocks: 0,
                n_samples: WINDOW_SAMPLES as u32,
                n_channels: n_channels as u32,
                n_shapes: shapes.n_shapes() as u32,
                n_sizes: sizes as u32,
                n_neighbours: n_neighbours as u32,
                n_taps: shapes.n_taps as u32,
                threshold,
                stride,
                gate,
            },
            detect: DetectPeaksParams {
                n_blocks: 0,
                n_samples: WINDOW_SAMPLES as u32,
                n_channels: n_channels as u32,
                n_neighbours: n_neighbours as u32,
                threshold,
                exclusion: samples(detection.exclusion_ms),
                lobe: samples(detection.lobe_ms),
                lobe_ratio: detection.lobe_ratio as f32,
                first: (MARGIN_SAMPLES - shapes.before) as u32,
                last: (WINDOW_SAMPLES - MARGIN_SAMPLES - shapes.before) as u32,
                capacity: 0,
                before: shapes.before as u32,
                align_threshold: detection.align_threshold as f32,
                align_radius: samples(10.0 / 30.0),
                positive_weight: 0.6,
            },
            localize_neighbours: localize_neighbours as u32,
            feature_neighbours,
            project: ProjectFeaturesParams {
                n_blocks: 0,
                n_samples: WINDOW_SAMPLES as u32,
                n_channels: n_channels as u32,
                n_neighbours: feature_neighbours as u32,
                n_components: shapes.n_components() as u32,
                n_taps: shapes.n_taps as u32,
                before: shapes.before as u32,
                capacity: 0,
            },
            shape: executor.resident("shape", &shapes.prototypes)?,
            footprint_neighbour: executor.resident("footprint_neighbour", &footprint_neighbour)?,
            footprint_weight: executor.resident("footprint_weight", &footprint_weight)?,
            exclusion_neighbour: executor.resident("exclusion_neighbour", &footprint_neighbour)?,
            localize_neighbour: executor.resident("localize_neighbour", &localize_table)?,
            position: executor.resident("position_um", &geometry.positions_um())?,
            feature_neighbour: executor.resident("feature_neighbour", &feature_table)?,
            basis: executor.resident("basis", &shapes.basis)?,
            feature_table,
        })
    }

    /// Bytes of detection's largest buffer for one block.
    pub fn bytes_per_block(&self) -> u64 {
        4 * u64::from(self.n_channels) * WINDOW_SAMPLES as u64
    }

    /// Appends detection on whitened data `x`, with features when asked for.
    pub fn record(
        &self,
        commands: &mut Commands,
        x: BufferId,
        n_blocks: usize,
        capacity: usize,
        with_features: bool,
    ) -> DetectionDownloads {
        let blocks = n_blocks as u32;
        let n_samples = WINDOW_SAMPLES as u32;
        let n_shapes = self.score.n_shapes;
        let words = n_blocks * WINDOW_SAMPLES * self.n_channels as usize;
        let score = commands.buffer("score", words);
        let peaks = commands.buffer("peaks", n_blocks * capacity * 4);
        let count = commands.zeros("peak_count", n_blocks);
        let positions = commands.buffer("positions", n_blocks * capacity * 4);
        let shape = commands.resident(&self.shape);
        let neighbour = commands.resident(&self.footprint_neighbour);
        let weight = commands.resident(&self.footprint_weight);
        let exclusion = commands.resident(&self.exclusion_neighbour);
        let around = commands.resident(&self.localize_neighbour);
        let position = commands.resident(&self.position);
        commands.dispatch(
            &ScoreFootprintsParams {
                n_blocks: blocks,
                ..self.score
            },
            &[x, shape, neighbour, weight, score],
        );
        commands.dispatch(
            &DetectPeaksParams {
                n_blocks: blocks,
                capacity: capacity as u32,
                ..self.detect
            },
            &[score, x, exclusion, peaks, count],
        );
        commands.dispatch(
            &LocalizePeaksParams {
                n_blocks: blocks,
                n_samples,
                n_channels: self.n_channels,
                n_shapes,
                n_neighbours: self.localize_neighbours,
                capacity: capacity as u32,
                n_taps: self.score.n_taps,
            },
            &[x, shape, peaks, count, around, position, positions],
        );
        let features = with_features
            .then(|| self.record_features(commands, x, peaks, count, n_blocks, capacity));
        DetectionDownloads {
            capacity,
            before: self.detect.before as usize,
            peaks: commands.download(peaks),
            count: commands.download(count),
            positions: commands.download(positions),
            features: features.map(|features| commands.download(features)),
        }
    }

    /// Appends the projection of listed events on the basis.
    pub fn record_features(
        &self,
        commands: &mut Commands,
        x: BufferId,
        events: BufferId,
        count: BufferId,
        n_blocks: usize,
        capacity: usize,
    ) -> BufferId {
        let neighbour = commands.resident(&self.feature_neighbour);
        let basis = commands.resident(&self.basis);
        let features = commands.buffer("features", n_blocks * capacity * self.feature_length());
        commands.dispatch(
            &ProjectFeaturesParams {
                n_blocks: n_blocks as u32,
                capacity: capacity as u32,
                ..self.project
            },
            &[x, events, count, neighbour, basis, features],
        );
        features
    }

    /// Values of a feature vector.
    pub fn feature_length(&self) -> usize {
        self.feature_neighbours * self.project.n_components as usize
    }
}

/// Distance between the scores that are computed first, samples, and how large one must be for those beside it.
fn first_scores(shapes: &Shapes, threshold: f32) -> (u32, f32) {
    for stride in STRIDES {
        let left = shapes.autocorrelation(stride as usize / 2);
        if left >= LEAST_LEFT {
            return (stride, (left - NOISE_SHARE) * threshold);
        }
    }
    (1, threshold)
}

impl DetectionDownloads {
    /// The blocks' own peaks in order of time and channel, with all features; the largest count when a list overflowed.
    pub fn peaks(
        &self,
        downloads: &mut Downloads,
        blocks: &[Block],
    ) -> std::result::Result<Vec<BlockPeaks>, usize> {
        let count: Vec<u32> = downloads.take(self.count);
        let largest = count.iter().copied().max().unwrap_or(0) as usize;
        if largest > self.capacity {
            return Err(largest);
        }
        let peaks: Vec<u32> = downloads.take(self.peaks);
        let positions: Vec<f32> = downloads.take(self.positions);
        let features: Vec<f32> = self
            .features
            .map(|features| downloads.take(features))
            .unwrap_or_default();
        let feature_stride = features.len() / blocks.len();
        Ok(blocks
            .iter()
            .enumerate()
            .map(|(b, block)| {
                let mut found: Vec<Peak> = (0..count[b] as usize)
                    .filter_map(|entry| {
                        let at = (b * self.capacity + entry) * 4;
                        // The block owns a peak by the start of its shape: re-alignment cannot lose or double it.
                        let unaligned = peaks[at + 3] as usize + self.before;
                        block.owns(unaligned).then(|| Peak {
                            sample: block.sample(peaks[at] as usize),
                            channel: peaks[at + 1],
                            score: f32::from_bits(peaks[at + 2]),
                            x_um: positions[at],
                            y_um: positions[at + 1],
                            amplitude: positions[at + 2],
                            entry,
                        })
                    })
                    .collect();
                found.sort_by_key(|peak| (peak.sample, peak.channel));
                // Those that are listed, not the room that there was: blocks wait for their turn with them.
                let listed = feature_stride / self.capacity.max(1) * count[b] as usize;
                let first = b * feature_stride;
                (found, features[first..first + listed].to_vec())
            })
            .collect())
    }
}
