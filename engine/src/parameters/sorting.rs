//! Parameters of spike sorting, one struct a stage.

use crate::{parameter_set, stage_parameters};

stage_parameters! {
    /// From raw samples to whitened data.
    "preprocessing" Preprocessing {
        /// Cut-off of the zero-phase high-pass filter.
        highpass_hz: f64 = 300.0, "Hz", 100.0, 5000.0;
        /// Subtract the median over the channels of a shank from every sample.
        common_reference: bool = true, "", false, true;
        /// Undo the sampling skew of multiplexed ADCs where the recording tells it.
        phase_shift: bool = true, "", false, true;
        /// Look for dead, railed and noisy channels and leave them out.
        bad_channels: bool = true, "", false, true;
        /// A channel whose noise is this many times the median channel's is noisy.
        noisy_factor: f64 = 4.0, "", 1.5, 100.0;
        /// Channels within this distance are whitened together.
        whitening_radius_um: f64 = 100.0, "µm", 0.0, 2000.0;
        /// Seconds of recording that noise, whitening and shapes are learned from, at most.
        survey_s: f64 = 14.0, "s", 0.5, 600.0;
    }
}

stage_parameters! {
    /// Universal templates: shapes times footprints.
    "detection" Detection {
        /// Smallest score of a peak, in noise deviations.
        threshold: f64 = 4.8, "noise deviations", 2.0, 50.0;
        /// Temporal shapes learned from the data.
        n_shapes: u32 = 6, "", 1, 16;
        /// Temporal principal components of the features.
        n_components: u32 = 6, "", 2, 16;
        /// Channels within this distance form a footprint, and their peaks exclude each other.
        radius_um: f64 = 75.0, "µm", 1.0, 500.0;
        /// Peaks within this time and the radius exclude each other.
        exclusion_ms: f64 = 0.667, "ms", 0.05, 5.0;
        /// A peak this near to a much larger one is its side lobe.
        lobe_ms: f64 = 1.667, "ms", 0.05, 10.0;
        /// Much larger: this many times.
        lobe_ratio: f64 = 2.0, "", 1.0, 100.0;
        /// A peak with at least this score is aligned on its own trough.
        align_threshold: f64 = 10.0, "noise deviations", 2.0, 1000.0;
    }
}

stage_parameters! {
    /// Drift of the tissue along the probe.
    "motion" Motion {
        /// Estimate and correct motion where the probe can show it.
        correct: bool = true, "", false, true;
        /// Length of a time bin.
        bin_s: f64 = 1.0, "s", 0.1, 60.0;
        /// Length of a depth bin.
        bin_um: f64 = 2.0, "µm", 0.5, 50.0;
        /// Largest displacement between two time bins that is looked for.
        max_um: f64 = 100.0, "µm", 5.0, 1000.0;
        /// Time bins up to this far apart are compared.
        horizon_s: f64 = 120.0, "s", 5.0, 10000.0;
        /// Distance between the centres of non-rigid windows.
        window_um: f64 = 400.0, "µm", 50.0, 10000.0;
        /// Width of the kernel that interpolates the data between contacts.
        interpolation_sigma_um: f64 = 30.0, "µm", 2.0, 200.0;
        /// Displacement (root mean square) below which the data are left as they are.
        min_um: f64 = 1.5, "µm", 0.0, 100.0;
    }
}

stage_parameters! {
    /// From features to units.
    "clustering" Clustering {
        /// Features are taken on the channels within this distance of the peak.
        radius_um: f64 = 50.0, "µm", 0.0, 500.0;
        /// Smallest cluster.
        min_spikes: u32 = 20, "spikes", 5, 10000;
        /// Events a channel that are clustered, at most; the rest are assigned by matching.
        max_events: u32 = 6000, "spikes", 100, 100000;
        /// Largest number of dimensions that a channel's events are clustered in.
        max_dimensions: u32 = 10, "", 1, 64;
        /// Clusters to begin with, before merging.
        initial_clusters: u32 = 12, "", 2, 64;
        /// Two clusters nearer than this are one.
        min_separation: f64 = 1.8, "noise deviations", 0.0, 20.0;
        /// Two clusters without a valley this deep between them are one.
        min_valley: f64 = 0.15, "", 0.0, 1.0;
    }
}

stage_parameters! {
    /// Mean waveforms of units.
    "templates" Templates {
        /// Waveform before the trough.
        before_ms: f64 = 1.0, "ms", 0.1, 5.0;
        /// Waveform after the trough.
        after_ms: f64 = 3.0, "ms", 0.2, 10.0;
        /// Spatial and temporal components of a template.
        rank: u32 = 3, "", 1, 4;
        /// Channels of a template, at most: the nearest to its main channel.
        max_channels: u32 = 96, "", 1, 1024;
        /// Smallest norm of a template.
        min_norm: f64 = 4.5, "noise deviations", 1.0, 100.0;
        /// Two templates nearer than this are one unit.
        min_distance: f64 = 2.5, "noise deviations", 0.0, 50.0;
    }
}

stage_parameters! {
    /// Matching pursuit with re-decision sweeps.
    "matching" Matching {
        /// Gain of the log posterior by which a spike is accepted.
        threshold: f64 = 8.0, "", 1.0, 100.0;
        /// Smallest amplitude, relative to the template.
        amplitude_min: f64 = 0.6, "", 0.05, 1.0;
        /// Largest amplitude, relative to the template.
        amplitude_max: f64 = 1.6, "", 1.0, 10.0;
        /// Standard deviation of the amplitude prior.
        amplitude_sigma: f64 = 0.1, "", 0.01, 1.0;
        /// A unit does not fire twice within this time.
        refractory_ms: f64 = 1.0, "ms", 0.0, 10.0;
        /// Re-decision sweeps after the greedy pursuit.
        sweeps: u32 = 3, "", 0, 20;
        /// A re-decided spike may move this far.
        jitter_ms: f64 = 0.267, "ms", 0.0, 2.0;
        /// Rounds of matching, clustering again on cleaned features between them.
        rounds: u32 = 3, "", 1, 10;
    }
}

stage_parameters! {
    /// Which units are kept, and what they are called.
    "curation" Curation {
        /// Smallest norm of a unit's template.
        min_norm: f64 = 5.0, "noise deviations", 0.0, 100.0;
        /// A unit of which this share is locked to a larger unit is its satellite.
        max_satellite: f64 = 0.3, "", 0.0, 1.0;
        /// A weak unit with more refractory violations than this, relative to chance, is noise.
        max_violations: f64 = 0.5, "", 0.0, 10.0;
        /// A unit with a template norm below this is weak.
        weak_norm: f64 = 12.0, "noise deviations", 0.0, 1000.0;
    }
}

parameter_set! {
    /// All parameters of a sort.
    "`somata sort`" SortingParameters {
        /// From raw samples to whitened data.
        preprocessing: Preprocessing,
        /// Universal templates.
        detection: Detection,
        /// Drift.
        motion: Motion,
        /// From features to units.
        clustering: Clustering,
        /// Mean waveforms of units.
        templates: Templates,
        /// Matching pursuit.
        matching: Matching,
        /// Which units are kept.
        curation: Curation,
    }
}

impl SortingParameters {
    /// Curation between rounds: nothing is dropped for being weak, it may yet become stronger.
    pub fn curation_between_rounds(&self) -> Curation {
        Curation {
            min_norm: 0.0,
            weak_norm: 0.0,
            ..self.curation.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::ParameterSet as _;

    #[test]
    fn sets_and_refuses() {
        let mut parameters = SortingParameters::default();
        parameters.set("matching.sweeps", "5").expect("known");
        assert_eq!(parameters.matching.sweeps, 5);
        let error = parameters
            .set("matching.sweep", "5")
            .expect_err("a typo")
            .to_string();
        assert_eq!(
            error,
            "unknown parameter `matching.sweep`, did you mean `matching.sweeps`?"
        );
        let error = parameters
            .set("registration.correct", "true")
            .expect_err("of a movie")
            .to_string();
        assert_eq!(
            error,
            "`registration.correct` is a parameter of `somata image` and `somata segment`, not of `somata sort`"
        );
        let error = parameters
            .set("matching.sweeps", "99")
            .expect_err("too many")
            .to_string();
        assert_eq!(
            error,
            "`matching.sweeps` cannot be `99`: it is an integer from 0 to 20"
        );
    }
}
