//! From the last matching to the result: curation, times of troughs, metrics, labels.

use super::{
    clustering::refractory::RefractoryTest,
    curation::{
        self, Dropped,
        rejoin::{JoinRule, rejoin},
    },
    geometry::Geometry,
    match_tables::MatchTables,
    preprocessing::bad_channels::BadChannel,
    quality_metrics::{
        QualityMetrics, amplitude_cutoff::amplitude_cutoff, firing_rate::firing_rate_hz,
        isi_violations::isi_violations, presence_ratio::presence_ratio,
        rp_contamination::rp_contamination,
    },
    result::{GOOD_ISI_VIOLATIONS_RATIO, GOOD_NORM, Label, SortingResult, Unit},
    sorter::{Finished, Run, Stage},
    templates::{Taps, Template},
};
use crate::linalg;

impl SortingResult {
    /// A result without units.
    pub(super) fn empty(
        channels: Vec<usize>,
        geometry: Geometry,
        bad_channels: Vec<Option<BadChannel>>,
        taps: Taps,
    ) -> Self {
        Self {
            channels,
            bad_channels,
            geometry,
            noise_uv: Vec::new(),
            whitening: Vec::new(),
            whitening_inverse: Vec::new(),
            motion: None,
            motion_estimate: None,
            taps,
            units: Vec::new(),
            spike_samples: Vec::new(),
            spike_units: Vec::new(),
            spike_amplitudes: Vec::new(),
            spike_positions_um: Vec::new(),
            spike_rows: Vec::new(),
            features: None,
            feature_channels: Vec::new(),
            dropped: Vec::new(),
            not_finite: 0,
        }
    }

    /// Keeps the whitening matrix and its inverse.
    pub(super) fn set_whitening(&mut self, matrix: &[f32]) {
        let n = self.channels.len();
        let wide: Vec<f64> = matrix.iter().map(|&v| f64::from(v)).collect();
        self.whitening = matrix.to_vec();
        self.whitening_inverse = linalg::inverse(&wide, n)
            .map(|inverse| inverse.into_iter().map(|v| v as f32).collect())
            .unwrap_or_else(|| vec![0.0; n * n]);
    }
}

impl Run<'_> {
    /// Judges the units and fills the result with those that are kept.
    pub(super) fn finish(
        &self,
        result: &mut SortingResult,
        tables: &MatchTables,
        finished: Finished,
        feature_table: &[u32],
        stage: &Stage<'_>,
    ) {
        let geometry = stage.geometry;
        let (fs, n_samples) = (self.fs, self.n_samples());
        let duration_s = n_samples as f64 / fs;
        let parameters = self.parameters;
        let verdict = curation::judge(
            tables,
            &finished.spikes,
            &parameters.curation,
            &parameters.clustering,
            fs,
            n_samples,
        );
        for reason in [
            Dropped::Few,
            Dropped::Weak,
            Dropped::Satellite,
            Dropped::Periodic,
            Dropped::Violations,
        ] {
            let count = verdict
                .iter()
                .filter(|&&dropped| dropped == Some(reason))
                .count();
            if count > 0 {
                result.dropped.push((reason, count));
            }
        }
        let n_channels = geometry.n_channels();
        let n_neighbours = feature_table.len() / n_channels;
        let mut positions = vec![(0usize, [0.0f64; 2]); tables.n_units()];
        for (spike, position) in finished.spikes.iter().zip(&finished.positions) {
            let entry = &mut positions[spike.unit as usize];
            entry.0 += 1;
            entry.1[0] += f64::from(position[0]);
            entry.1[1] += f64::from(position[1]);
        }
        let position = |u: usize| {
            let (n, [x, y]) = positions[u];
            [(x / n.max(1) as f64) as f32, (y / n.max(1) as f64) as f32]
        };
        let alive: Vec<bool> = verdict.iter().map(Option::is_none).collect();
        let part_of = rejoin(
            tables,
            &curation::trains(&finished.spikes, tables.n_units()),
            &alive,
            geometry,
            &JoinRule {
                min_distance: parameters.templates.min_distance,
                amplitude_sigma: parameters.matching.amplitude_sigma,
                correction: stage.correction,
                blocks: &self.grid.blocks,
                sampling_frequency_hz: fs,
            },
            &RefractoryTest::new(fs, n_samples),
        );
        let mut kept: Vec<usize> = (0..tables.n_units())
            .filter(|&u| alive[u] && part_of[u] == u)
            .collect();
        kept.sort_by(|&a, &b| position(a)[1].total_cmp(&position(b)[1]).then(a.cmp(&b)));
        let taps = result.taps;
        let extreme_of = |u: usize| {
            let template_uv = unwhiten(
                &dense(&tables.units[u], n_channels, taps),
                &result.whitening_inverse,
                n_channels,
                taps,
            );
            extreme(&template_uv, taps).1 as i64 - taps.before as i64
        };
        // Parts of a joined unit have their own troughs.
        let shifts: Vec<i64> = (0..tables.n_units())
            .map(|u| if alive[u] { extreme_of(u) } else { 0 })
            .collect();
        for &u in &kept {
            let unit = &tables.units[u];
            let template = dense(unit, n_channels, taps);
            let template_uv = unwhiten(&template, &result.whitening_inverse, n_channels, taps);
            let main_channel = extreme(&template_uv, taps).0;
            result.feature_channels.extend_from_slice(
                &feature_table[tables.main_channel[u] * n_neighbours
                    ..(tables.main_channel[u] + 1) * n_neighbours],
            );
            result.units.push(Unit {
                main_channel,
                position_um: position(u),
                norm: tables.norm2[u].sqrt(),
                label: Label::Mua,
                metrics: QualityMetrics::default(),
                template,
                template_uv,
                template_sd_uv: Vec::new(),
            });
        }
        let mut by_unit: Vec<Vec<(i64, u64)>> = vec![Vec::new(); tables.n_units()];
        for (row, spike) in finished
            .spikes
            .iter()
            .enumerate()
            .filter(|(_, spike)| alive[spike.unit as usize])
        {
            let sample = spike.sample + shifts[spike.unit as usize];
            if (0..n_samples as i64).contains(&sample) {
                by_unit[part_of[spike.unit as usize]].push((sample, row as u64));
            }
        }
        let within = (self.fs * 0.0005) as i64;
        let mut rows: Vec<(i64, u32, u64)> = Vec::new();
        for (id, &u) in kept.iter().enumerate() {
            by_unit[u].sort_unstable();
            let joined =
                (0..part_of.len()).any(|part| part != u && part_of[part] == u && alive[part]);
            let spikes = if joined {
                curation::rejoin::without_doubles(&by_unit[u], within)
            } else {
                by_unit[u].clone()
            };
            rows.extend(
                spikes
                    .into_iter()
                    .map(|(sample, row)| (sample, id as u32, row)),
            );
        }
        rows.sort_unstable();
        for &(sample, id, row) in &rows {
            result.spike_samples.push(sample);
            result.spike_units.push(id);
            result
                .spike_amplitudes
                .push(finished.spikes[row as usize].amplitude);
            result
                .spike_positions_um
                .push(finished.positions[row as usize]);
            result.spike_rows.push(row);
        }
        let mut trains = vec![Vec::new(); kept.len()];
        let mut amplitudes = vec![Vec::new(); kept.len()];
        for ((&sample, &id), &amplitude) in result
            .spike_samples
            .iter()
            .zip(&result.spike_units)
            .zip(&result.spike_amplitudes)
        {
            trains[id as usize].push(sample);
            amplitudes[id as usize].push(f64::from(amplitude));
        }
        for ((unit, train), amplitudes) in result
            .units
            .iter_mut()
            .zip(&mut trains)
            .zip(&mut amplitudes)
        {
            train.sort_unstable();
            let row =
                &unit.template_uv[unit.main_channel * taps.n..(unit.main_channel + 1) * taps.n];
            let peak_uv =
                row.iter().copied().fold(
                    0.0f32,
                    |peak, v| if v.abs() > peak.abs() { v } else { peak },
                );
            let (isi_violations_count, isi_violations_ratio) =
                isi_violations(train, fs, duration_s);
            let cutoff = amplitude_cutoff(amplitudes);
            amplitudes.sort_by(f64::total_cmp);
            let median = amplitudes
                .get(amplitudes.len() / 2)
                .copied()
                .unwrap_or(f64::NAN);
            unit.metrics = QualityMetrics {
                n_spikes: train.len(),
                firing_rate_hz: firing_rate_hz(train.len(), duration_s),
                presence_ratio: presence_ratio(train, fs, n_samples),
                snr: f64::from(
                    peak_uv.abs() / result.noise_uv[unit.main_channel].max(f32::MIN_POSITIVE),
                ),
                isi_violations_count,
                isi_violations_ratio,
                rp_contamination: rp_contamination(train, fs, n_samples),
                amplitude_median_uv: median * f64::from(peak_uv),
                amplitude_cutoff: cutoff,
            };
            unit.label = label(unit);
        }
    }
}

/// A template on all channels, `[channel, tap]`.
fn dense(template: &Template, n_channels: usize, taps: Taps) -> Vec<f32> {
    let mut out = vec![0.0f32; n_channels * taps.n];
    for (entry, &c) in template.channels.iter().enumerate() {
        out[c as usize * taps.n..(c as usize + 1) * taps.n]
            .copy_from_slice(template.row(entry, taps));
    }
    out
}

/// A good unit stands well above the noise and keeps its refractory period.
fn label(unit: &Unit) -> Label {
    let violations = unit.metrics.isi_violations_ratio;
    if unit.norm >= GOOD_NORM && violations < GOOD_ISI_VIOLATIONS_RATIO {
        Label::Good
    } else {
        Label::Mua
    }
}

/// Template in µV: the inverse of the whitening applied to every sample.
fn unwhiten(template: &[f32], inverse: &[f32], n_channels: usize, taps: Taps) -> Vec<f32> {
    let mut out = vec![0.0f32; template.len()];
    // A template reaches some of the channels only.
    let sources: Vec<(usize, &[f32])> = template
        .chunks_exact(taps.n)
        .enumerate()
        .filter(|(_, from)| from.iter().any(|&value| value != 0.0))
        .collect();
    for c in 0..n_channels {
        let to = &mut out[c * taps.n..(c + 1) * taps.n];
        for &(source, from) in &sources {
            let weight = inverse[c * n_channels + source];
            if weight != 0.0 {
                to.iter_mut()
                    .zip(from)
                    .for_each(|(to, from)| *to += weight * from);
            }
        }
    }
    out
}

/// Channel and sample of the deepest trough; of the highest peak where that is much larger.
fn extreme(template: &[f32], taps: Taps) -> (usize, usize) {
    let polar = |v: f32| if v < 0.0 { -v } else { 0.6 * v };
    let at = (0..template.len())
        .max_by(|&a, &b| {
            polar(template[a])
                .total_cmp(&polar(template[b]))
                .then(b.cmp(&a))
        })
        .unwrap_or(0);
    (at / taps.n, at % taps.n)
}
