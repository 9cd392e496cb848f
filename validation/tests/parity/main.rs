//! Does every kernel equal its twin? Both play the same commands on random input of awkward sizes.
//!
//! Without a GPU adapter, software ones included, a test says `ignored: no adapter` and passes; with
//! `SOMATA_REQUIRE_ADAPTER=1` it fails, so that continuous integration cannot skip it by accident. One test binary,
//! because linking costs more than running.

mod both;
mod end_to_end;
mod every_kernel_is_paired;
mod executors;
mod fits_default_limits;
mod imaging_end_to_end;
mod imaging_whole_run;
mod random;
mod translates;

mod common {
    mod decode_samples;
    mod filter_columns;
    mod pack_samples;
    mod transform_rows;
    mod unpack_samples;
}

mod imaging {
    mod bin_frames;
    mod box_means;
    mod convolve;
    mod correlate_traces;
    mod count_ends;
    mod decode_frames;
    mod deconvolve;
    mod fields;
    mod find_seeds;
    mod find_shifts;
    mod follow_flows;
    mod grow_seeds;
    mod move_frames;
    mod pool_maxima;
    mod project_footprints;
    mod shrink_frames;
    mod solve_shifts;
    mod standardise_bins;
    mod style_affine;
    mod sum_bins;
    mod sum_gradients;
}

mod sorting {
    mod common_reference;
    mod detect_peaks;
    mod highpass_filter;
    mod interpolate_motion;
    mod localize_peaks;
    mod match_templates;
    mod phase_shift;
    mod project_features;
    mod score_footprints;
    mod score_templates;
    mod subtract_templates;
    mod sum_waveforms;
    mod whiten;
}
