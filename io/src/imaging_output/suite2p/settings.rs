//! The dictionaries of settings that Suite2p's programs look into.
//!
//! Version 1 keeps them nested by stage, version 0.14 flat in `ops.npy`. Both are written, so that readers of either find their keys.
//! A key whose meaning somata has holds somata's value. All others hold Suite2p's default: its windows fail where a key is missing.
//! Source of the names and defaults: Suite2p's documentation of its settings, and what `default_settings()` of 1.1.0 and
//! `default_ops()` of 0.14.5 return.

use std::path::Path;

use super::super::pickle::{Array, Dict, Elements, Value};

/// What was set. One plane's folder holds one of these.
#[derive(Clone, PartialEq, Debug)]
pub struct Suite2pSettings {
    /// Frames a second of one plane.
    pub imaging_rate_hz: f64,
    /// Decay time of the indicator in seconds.
    pub decay_time_s: f64,
    /// Expected diameter of a cell along y and x, in pixels.
    pub diameter_px: [f64; 2],
    /// Planes of the recording.
    pub n_planes: usize,
    /// Channels of the recording.
    pub n_channels: usize,
    /// The channel that cells were found in, counted from 1.
    pub functional_channel: usize,
    /// Largest rigid shift, as a part of the frame's shorter side.
    pub largest_shift_fraction: f64,
    /// Whether blocks of the frame were shifted on their own.
    pub nonrigid: bool,
    /// Height and width of such a block, in pixels.
    pub block_size_px: [usize; 2],
    /// Largest shift of a block against the frame, in pixels.
    pub largest_block_shift_px: usize,
    /// Shift of the odd rows of a frame against the even ones, in pixels.
    pub bidirectional_phase_px: f64,
    /// Part of the neuropil that Suite2p's window takes off the fluorescence.
    pub neuropil_coefficient: f64,
    /// Pixels between a cell and its neuropil.
    pub neuropil_gap_px: usize,
    /// Least pixels of a neuropil.
    pub neuropil_min_pixels: usize,
    /// Part of a cell that may overlap with others.
    pub largest_overlap: f64,
    /// Length of the window that the baseline is found in, in seconds.
    pub baseline_window_s: f64,
    /// Pixels a micrometre along y over the same along x.
    pub aspect: f64,
}

impl Default for Suite2pSettings {
    fn default() -> Self {
        Suite2pSettings {
            imaging_rate_hz: 30.0,
            decay_time_s: 1.0,
            diameter_px: [12.0, 12.0],
            n_planes: 1,
            n_channels: 1,
            functional_channel: 1,
            largest_shift_fraction: 0.1,
            nonrigid: true,
            block_size_px: [128, 128],
            largest_block_shift_px: 5,
            bidirectional_phase_px: 0.0,
            neuropil_coefficient: 0.7,
            neuropil_gap_px: 2,
            neuropil_min_pixels: 350,
            largest_overlap: 0.75,
            baseline_window_s: 60.0,
            aspect: 1.0,
        }
    }
}

/// One line a key: `dict! { "fs" => 30.0, … }`.
macro_rules! dict {
    ($($key:literal => $value:expr),* $(,)?) => {
        vec![$(($key.to_owned(), Value::from($value))),*]
    };
}
pub(super) use dict;

/// A list of two whole numbers.
pub(super) fn pair([first, second]: [usize; 2]) -> Value<'static> {
    Value::List(vec![first.into(), second.into()])
}

/// The version that the files name.
pub(super) fn version() -> String {
    format!("somata {}", env!("CARGO_PKG_VERSION"))
}

impl Suite2pSettings {
    /// An array of the two diameters.
    pub(super) fn diameter(&self) -> Value<'static> {
        Array::new(&[2], Elements::Float64(self.diameter_px.to_vec())).into()
    }

    /// `settings.npy` of version 1: a dictionary for each stage.
    pub(super) fn nested(&self) -> Dict<'static> {
        dict! {
            "torch_device" => "cpu",
            "tau" => self.decay_time_s,
            "fs" => self.imaging_rate_hz,
            "diameter" => self.diameter(),
            "run" => dict! {
                "do_registration" => 1i64, "do_regmetrics" => false, "do_detection" => true,
                "do_deconvolution" => true, "multiplane_parallel" => false,
            },
            "io" => dict! {
                "combined" => true, "save_mat" => false, "save_NWB" => false, "save_ops_orig" => true,
                "delete_bin" => false, "move_bin" => false,
            },
            "registration" => dict! {
                "align_by_chan2" => false, "nimg_init" => 400i64, "maxregshift" => self.largest_shift_fraction,
                "do_bidiphase" => self.bidirectional_phase_px != 0.0, "bidiphase" => self.bidirectional_phase_px,
                "batch_size" => 100i64, "nonrigid" => self.nonrigid, "maxregshiftNR" => self.largest_block_shift_px,
                "block_size" => pair(self.block_size_px), "smooth_sigma_time" => 0i64, "smooth_sigma" => 1.15,
                "spatial_taper" => 3.45, "th_badframes" => 1.0, "norm_frames" => true, "snr_thresh" => 1.2,
                "subpixel" => 10i64, "two_step_registration" => false, "reg_tif" => false, "reg_tif_chan2" => false,
                "upsample_meanImg" => Value::None,
            },
            "detection" => dict! {
                "algorithm" => "sparsery", "denoise" => false, "block_size" => pair([64, 64]), "nbins" => 5000i64,
                "bin_size" => Value::None, "highpass_time" => 100i64, "threshold_scaling" => 1.0,
                "npix_norm_min" => 0.0, "npix_norm_max" => 100i64, "max_overlap" => self.largest_overlap,
                "soma_crop" => true, "chan2_threshold" => 0.25, "cellpose_chan2" => false,
                "sparsery_settings" => dict! {
                    "highpass_neuropil" => 25i64, "max_ROIs" => 5000i64, "spatial_scale" => 0i64,
                    "active_percentile" => 0.0,
                },
                "sourcery_settings" => dict! {
                    "connected" => true, "max_iterations" => 20i64, "smooth_masks" => false,
                },
                "cellpose_settings" => dict! {
                    "cellpose_model" => "cpsam", "img" => "max_proj / meanImg", "highpass_spatial" => 0i64,
                    "flow_threshold" => 0.4, "cellprob_threshold" => 0.0, "params" => Value::None,
                    "params_chan2" => Value::None,
                },
            },
            "classification" => dict! {
                "classifier_path" => Value::None, "use_builtin_classifier" => false, "preclassify" => 0.0,
            },
            "extraction" => dict! {
                "snr_threshold" => 0.0, "batch_size" => 500i64, "neuropil_extract" => true,
                "neuropil_coefficient" => self.neuropil_coefficient,
                "inner_neuropil_radius" => self.neuropil_gap_px, "min_neuropil_pixels" => self.neuropil_min_pixels,
                "lam_percentile" => 50.0, "allow_overlap" => false, "circular_neuropil" => false,
            },
            "dcnv_preprocess" => dict! {
                "baseline" => "maximin", "win_baseline" => self.baseline_window_s, "sig_baseline" => 10.0,
                "prctile_baseline" => 8.0,
            },
            "version" => version(),
        }
    }

    /// The keys of version 0.14 that are in no other dictionary.
    pub(super) fn flat(&self, folder: &Path) -> Dict<'static> {
        dict! {
            "suite2p_version" => version(),
            "ops_path" => text(folder.join("ops.npy")),
            "delete_bin" => false, "mesoscan" => false, "bruker" => false,
            "h5py" => Value::List(Vec::new()), "nwb_file" => "", "move_bin" => false, "frames_include" => -1i64,
            "multiplane_parallel" => false, "save_mat" => false, "save_NWB" => false, "combined" => true,
            "aspect" => self.aspect,
            "do_bidiphase" => self.bidirectional_phase_px != 0.0,
            "bidi_corrected" => self.bidirectional_phase_px != 0.0,
            "do_registration" => true, "two_step_registration" => false, "nimg_init" => 300i64,
            "maxregshift" => self.largest_shift_fraction, "align_by_chan" => self.functional_channel,
            "reg_tif" => false, "reg_tif_chan2" => false, "subpixel" => 10i64, "smooth_sigma_time" => 0i64,
            "smooth_sigma" => 1.15, "th_badframes" => 1.0, "norm_frames" => true, "force_refImg" => false,
            "pad_fft" => false, "nonrigid" => self.nonrigid, "block_size" => pair(self.block_size_px),
            "snr_thresh" => 1.2, "maxregshiftNR" => self.largest_block_shift_px, "1Preg" => false,
            "spatial_hp_reg" => 42i64, "pre_smooth" => 0i64, "spatial_taper" => 40i64,
            "roidetect" => true, "spikedetect" => true, "sparse_mode" => true, "spatial_scale" => 0i64,
            "connected" => true, "nbinned" => 5000i64, "max_iterations" => 20i64, "threshold_scaling" => 1.0,
            "max_overlap" => self.largest_overlap, "high_pass" => 100i64, "spatial_hp_detect" => 25i64,
            "denoise" => false, "anatomical_only" => 0i64, "cellprob_threshold" => 0.0, "flow_threshold" => 1.5,
            "spatial_hp_cp" => 0i64, "pretrained_model" => "cyto", "soma_crop" => true,
            "neuropil_extract" => true, "inner_neuropil_radius" => self.neuropil_gap_px,
            "min_neuropil_pixels" => self.neuropil_min_pixels, "lam_percentile" => 50.0, "allow_overlap" => false,
            "preclassify" => 0.0, "use_builtin_classifier" => false, "classifier_path" => "", "chan2_thres" => 0.65,
            "baseline" => "maximin", "win_baseline" => self.baseline_window_s, "sig_baseline" => 10.0,
            "prctile_baseline" => 8.0, "neucoeff" => self.neuropil_coefficient,
        }
    }

    /// `db.npy`: where the data came from, for the plane in `folder`. What else it holds is added by the writer of the plane.
    pub(super) fn source(&self, folder: &Path, inputs: &[String]) -> Dict<'static> {
        let base = folder.parent();
        let save_folder = base.and_then(Path::file_name).map_or_else(
            || "suite2p".to_owned(),
            |name| name.to_string_lossy().into_owned(),
        );
        let list = |paths: Vec<String>| Value::List(paths.into_iter().map(Value::Text).collect());
        let mut folders: Vec<String> = inputs
            .iter()
            .filter_map(|input| Path::new(input).parent().map(text))
            .collect();
        folders.dedup();
        dict! {
            "data_path" => list(folders),
            "look_one_level_down" => false,
            "input_format" => "tif",
            "keep_movie_raw" => false,
            "nplanes" => self.n_planes,
            "nrois" => 1i64,
            "nchannels" => self.n_channels,
            "swap_order" => false,
            "functional_chan" => self.functional_channel,
            "lines" => Value::None,
            "dy" => Value::None,
            "dx" => Value::None,
            "ignore_flyback" => Value::None,
            "subfolders" => Value::None,
            "file_list" => list(inputs.to_vec()),
            "save_path0" => text(base.and_then(Path::parent).unwrap_or(Path::new(""))),
            "fast_disk" => text(folder),
            "save_folder" => save_folder,
            "h5py_key" => "data",
            "nwb_driver" => "",
            "nwb_series" => "",
            "force_sktiff" => false,
            "bruker_bidirectional" => false,
            "batch_size" => 500i64,
            "save_path" => text(folder),
            "settings_path" => text(folder.join("settings.npy")),
            "db_path" => text(folder.join("db.npy")),
            "reg_file" => text(folder.join("data.bin")),
        }
    }
}

/// A path as text; what is not Unicode is replaced.
fn text(path: impl AsRef<Path>) -> String {
    path.as_ref().to_string_lossy().into_owned()
}

/// Adds the entries of `more` whose keys `dict` has not yet; so later dictionaries never overrule earlier ones.
pub(super) fn add_missing<'a>(dict: &mut Dict<'a>, more: Dict<'a>) {
    for (key, value) in more {
        if !dict.iter().any(|(present, _)| *present == key) {
            dict.push((key, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn keys<'d>(dict: &'d Dict) -> HashSet<&'d str> {
        dict.iter().map(|(key, _)| &**key).collect()
    }

    #[test]
    fn no_key_comes_twice_in_one_dictionary() {
        let settings = Suite2pSettings::default();
        let folder = Path::new("out/suite2p/plane0");
        for dict in [
            settings.nested(),
            settings.flat(folder),
            settings.source(folder, &["a/b.tif".to_owned()]),
        ] {
            assert_eq!(keys(&dict).len(), dict.len());
            for (key, value) in &dict {
                if let Value::Dict(inner) = value {
                    assert_eq!(keys(inner).len(), inner.len(), "{key}");
                }
            }
        }
        let mut union = settings.nested();
        let n_before = union.len();
        add_missing(&mut union, dict! {"fs" => 1.0, "neucoeff" => 0.7});
        assert_eq!(union.len(), n_before + 1);
        assert!(union.contains(&("fs".to_owned(), Value::Float(30.0))));
    }

    #[test]
    fn the_paths_are_those_of_the_finished_folder() {
        let settings = Suite2pSettings::default();
        let inputs = ["data/a.tif".to_owned(), "data/b.tif".to_owned()];
        let source = settings.source(Path::new("run/suite2p/plane1"), &inputs);
        for (key, expected) in [("save_path0", "run"), ("save_folder", "suite2p")] {
            assert!(source.contains(&(key.to_owned(), expected.into())), "{key}");
        }
        let folders = Value::List(vec!["data".into()]);
        assert!(source.contains(&("data_path".to_owned(), folders)));
    }
}
