//! From sampled events to templates: clusters of a channel, their mean waveforms, and what is one cell merged.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    clustering::{cluster_channel, noise::drop_noise, refractory::RefractoryTest},
    curation,
    mean_waveforms::{self, LabelledEvent},
    sorter::{CHANNEL_KEEP, Matched, Matchers, Run, Stage},
    template_matching::Spike,
    templates::{MergeRule, Template, merge},
};
use crate::error::Result;

/// What clustering makes of the sampled events.
#[derive(Deserialize, Serialize)]
pub(super) struct Clustered {
    /// In order of time.
    pub(super) events: Vec<LabelledEvent>,
    pub(super) n_labels: usize,
    /// Spikes of the last matching, without those of units that were no cells, in order of time.
    pub(super) spikes: Vec<Spike>,
}

impl Run<'_> {
    /// Clusters the sampled events of each channel, less those of units that were no cells.
    pub(super) fn cluster(&self, known: Option<&Matchers<'_>>, matched: Matched) -> Clustered {
        let parameters = self.parameters;
        let test = RefractoryTest::new(self.fs, self.n_samples());
        let Matched { mut spikes, events } = matched;
        let shares = events.shares();
        let mut channels = events.into_channels();
        if let Some(matchers) = known {
            let verdict = curation::judge(
                &matchers.reference,
                &spikes,
                &parameters.curation_between_rounds(),
                &parameters.clustering,
                self.fs,
                self.n_samples(),
            );
            spikes.retain(|spike| verdict[spike.unit as usize].is_none());
            for events in &mut channels {
                events.retain(|event| event.unit < 0 || verdict[event.unit as usize].is_none());
            }
        }
        let threshold = parameters.detection.threshold;
        let seconds = self.n_samples() as f64 / self.fs;
        let labels: Vec<Vec<i32>> = channels
            .par_iter()
            .zip(&shares)
            .map(|(events, share)| {
                let mut labels = cluster_channel(events, &parameters.clustering, &test);
                drop_noise(events, &mut labels, threshold, share * seconds);
                labels
            })
            .collect();
        let mut labelled = Vec::new();
        let mut n_labels = 0;
        for (events, labels) in channels.iter().zip(&labels) {
            let n_own = labels.iter().copied().max().unwrap_or(-1) + 1;
            let mut counts = vec![0u32; n_own as usize];
            labels
                .iter()
                .filter(|&&label| label >= 0)
                .for_each(|&label| counts[label as usize] += 1);
            let mut index = vec![None; n_own as usize];
            for (label, _) in counts
                .iter()
                .enumerate()
                .filter(|&(_, &count)| count >= parameters.clustering.min_spikes)
            {
                index[label] = Some(n_labels);
                n_labels += 1;
            }
            for (event, &label) in events.iter().zip(labels) {
                if label >= 0
                    && let Some(at) = index[label as usize]
                {
                    labelled.push(LabelledEvent {
                        sample: event.sample,
                        channel: event.channel,
                        label: at as u32,
                        unit: event.unit,
                        amplitude: event.amplitude,
                    });
                }
            }
        }
        labelled.sort_by_key(|event| (event.sample, event.channel, event.label));
        spikes.sort_by_key(|spike| (spike.sample, spike.unit));
        Clustered {
            events: labelled,
            n_labels,
            spikes,
        }
    }

    /// Averages, cleans and merges the clusters' waveforms.
    pub(super) fn learn_templates(
        &self,
        stage: &Stage<'_>,
        known: Option<&Matchers<'_>>,
        clustered: Clustered,
    ) -> Result<Vec<Template>> {
        let Clustered {
            events,
            n_labels,
            spikes,
        } = clustered;
        if n_labels == 0 {
            return Ok(Vec::new());
        }
        let parameters = self.parameters;
        let taps = self.taps();
        let windows = stage.whitened.windows();
        let mut means = mean_waveforms::average(
            self.options.executor,
            self.pass(&windows, stage.whitened.bytes_per_block()),
            &self.grid.blocks,
            stage,
            known.map(|matchers| (matchers, spikes.as_slice())),
            &events,
            n_labels,
            parameters.templates.max_channels as usize,
            taps,
        )?;
        // The first means are of data with all other cells' spikes in them, later ones of what matching leaves.
        let noise = vec![1.0; stage.power.len()];
        let power = match known {
            None => stage.power,
            Some(_) => &noise,
        };
        means
            .iter_mut()
            .for_each(|mean| mean.denoise(CHANNEL_KEEP, power, taps));
        let samples = |ms: f64| (ms * self.fs / 1000.0).round() as i64;
        let rule = MergeRule {
            min_norm: parameters.templates.min_norm,
            min_distance: parameters.templates.min_distance,
            amplitude_sigma: parameters.matching.amplitude_sigma,
            max_lag: samples(0.1),
            max_shift: samples(20.0 / 30.0),
            complete: known.is_some(),
        };
        let mut trains: Vec<Vec<i64>> = vec![Vec::new(); n_labels];
        for event in events {
            trains[event.label as usize].push(event.sample);
        }
        let test = RefractoryTest::new(self.fs, self.n_samples());
        let merged = merge(means.into_iter().zip(trains).collect(), rule, &test, taps);
        Ok(merged.into_iter().map(|(template, _)| template).collect())
    }
}
