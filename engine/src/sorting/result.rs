//! What a sort gives back.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
};

use serde::Serialize;

use super::{
    curation::Dropped, geometry::Geometry, motion::Motion, preprocessing::bad_channels::BadChannel,
    quality_metrics::QualityMetrics, templates::Taps,
};
use crate::{error::Result, pipeline::checkpoint::work_error};

/// What a unit is called.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Label {
    /// One neuron, well isolated.
    Good,
    /// Spikes of several neurons, or of one that cannot be told apart.
    Mua,
    /// Not a neuron.
    Noise,
}

/// Least norm of the template of a good unit, noise deviations.
///
/// Over the ground-truth sets of benches/sets, this and [`GOOD_ISI_VIOLATIONS_RATIO`] call good 98 % of the units with an
/// accuracy of at least 0.8, and 94 % of those called good have it.
pub const GOOD_NORM: f32 = 6.2;
/// The `isi_violations_ratio` of a good unit is below this.
pub const GOOD_ISI_VIOLATIONS_RATIO: f64 = 0.08;

impl Label {
    /// As phy writes it.
    pub fn name(self) -> &'static str {
        match self {
            Label::Good => "good",
            Label::Mua => "mua",
            Label::Noise => "noise",
        }
    }
}

/// A unit that was kept.
#[derive(Clone, Debug)]
pub struct Unit {
    /// Channel (of the sorted ones) where it is largest.
    pub main_channel: usize,
    /// Position across and along the shank, µm.
    pub position_um: [f32; 2],
    /// Norm of its template, noise deviations.
    pub norm: f32,
    /// What it is called.
    pub label: Label,
    /// Its metrics.
    pub metrics: QualityMetrics,
    /// Template in whitened space, `[channel, tap]`, all sorted channels.
    pub template: Vec<f32>,
    /// Template in µV, `[channel, tap]`.
    pub template_uv: Vec<f32>,
    /// Standard deviation of the waveforms of its spikes after filter and reference, µV, `[channel, tap]`; not a number on channels
    /// far away, and of fewer than two spikes.
    pub template_sd_uv: Vec<f32>,
}

/// Features of all spikes in a file: they are too many to hold.
#[derive(Clone, Debug)]
pub struct FeatureFile {
    /// Raw `f32`, `[spike, neighbour, component]`.
    pub path: PathBuf,
    /// Channels of a feature vector.
    pub n_neighbours: usize,
    /// Temporal components.
    pub n_components: usize,
}

/// The result of a sort.
pub struct SortingResult {
    /// Sorted channels, as indices into the recording's.
    pub channels: Vec<usize>,
    /// Why each of the recording's channels was left out.
    pub bad_channels: Vec<Option<BadChannel>>,
    /// Positions of the sorted channels.
    pub geometry: Geometry,
    /// Noise of the sorted channels, µV.
    pub noise_uv: Vec<f32>,
    /// Whitening matrix, `[channel, channel]`.
    pub whitening: Vec<f32>,
    /// Its inverse.
    pub whitening_inverse: Vec<f32>,
    /// Displacement that was corrected; none when there was no evidence for any.
    pub motion: Option<Motion>,
    /// Displacement as estimated, corrected or not.
    pub motion_estimate: Option<Motion>,
    /// Samples of a template and where its trough is.
    pub taps: Taps,
    /// The units, from the tip of the probe upwards.
    pub units: Vec<Unit>,
    /// Troughs of all spikes in order of time, recording samples.
    pub spike_samples: Vec<i64>,
    /// Unit of each spike.
    pub spike_units: Vec<u32>,
    /// Amplitude of each spike relative to its unit's template.
    pub spike_amplitudes: Vec<f32>,
    /// Position of each spike, µm.
    pub spike_positions_um: Vec<[f32; 2]>,
    /// Row of each spike in the feature file.
    pub spike_rows: Vec<u64>,
    /// Features of the spikes, also of those that were dropped.
    pub features: Option<FeatureFile>,
    /// Feature channels of every unit, `[unit, neighbour]`.
    pub feature_channels: Vec<u32>,
    /// Units that were dropped, by reason.
    pub dropped: Vec<(Dropped, usize)>,
    /// Values of the input that were not finite, in the survey.
    pub not_finite: u64,
}

impl SortingResult {
    /// Calls `use_features` with the features `[neighbour, component]` of every spike, in order.
    ///
    /// # Errors
    /// When the file cannot be read, or what `use_features` returns.
    pub fn for_each_feature(
        &self,
        mut use_features: impl FnMut(&[f32]) -> Result<()>,
    ) -> Result<()> {
        let Some(file) = &self.features else {
            return Ok(());
        };
        let length = file.n_neighbours * file.n_components;
        let failed = |source| work_error("read", &file.path, source);
        let mut reader = File::open(&file.path).map_err(failed)?;
        let mut row = vec![0.0f32; length];
        // Rows are nearly in order, so a window of the file serves many spikes.
        let bytes = length * size_of::<f32>();
        let mut window: Vec<u8> = Vec::new();
        let mut window_start = 0u64;
        for &wanted in &self.spike_rows {
            let at = wanted * bytes as u64;
            let end = at + bytes as u64;
            if at < window_start || end > window_start + window.len() as u64 {
                window_start = at.saturating_sub(64 * bytes as u64);
                window.resize(4096 * bytes, 0);
                let read = read_up_to(&mut reader, window_start, &mut window).map_err(failed)?;
                window.truncate(read);
                if end > window_start + read as u64 {
                    return Err(failed(std::io::ErrorKind::UnexpectedEof.into()));
                }
            }
            let from = (at - window_start) as usize;
            bytemuck::cast_slice_mut::<f32, u8>(&mut row)
                .copy_from_slice(&window[from..from + bytes]);
            use_features(&row)?;
        }
        Ok(())
    }
}

/// Fills as much of `buffer` as the file has from `start` on.
fn read_up_to(file: &mut File, start: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
    file.seek(SeekFrom::Start(start))?;
    let mut read = 0;
    while read < buffer.len() {
        match file.read(&mut buffer[read..])? {
            0 => break,
            n => read += n,
        }
    }
    Ok(read)
}
