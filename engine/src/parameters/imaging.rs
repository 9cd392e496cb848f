//! Parameters of two-photon imaging, one struct a stage.

use crate::{parameter_set, stage_parameters};

stage_parameters! {
    /// Motion of the tissue, corrected.
    "registration" Registration {
        /// Estimate and correct motion.
        correct: bool = true, "", false, true;
        /// Find and undo the offset of odd rows of a bidirectional scan.
        bidirectional: bool = true, "", false, true;
        /// Frames that the reference image is made of, at most.
        reference_frames: u32 = 300, "frames", 10, 5000;
        /// Largest shift that is looked for, relative to the smaller side of the frame.
        max_shift: f64 = 0.15, "", 0.0, 0.4;
        /// Knots of the shift field along y: motion within a frame and non-rigid motion.
        knot_rows: u32 = 6, "", 1, 16;
        /// Knots of the shift field along x: non-rigid motion.
        knot_columns: u32 = 2, "", 1, 4;
        /// Gauss-Newton steps of every frame.
        steps: u32 = 2, "", 0, 10;
        /// Stiffness of the shift field against bending.
        ridge: f64 = 0.5, "", 0.0, 100.0;
        /// A frame whose correlation with the reference is below this part of the median's is bad.
        min_correlation: f64 = 0.6, "", 0.0, 1.0;
    }
}

stage_parameters! {
    /// The binned movie in which cells are looked for.
    "binning" Binning {
        /// Length of a bin in decay times of the indicator.
        decays: f64 = 0.5, "", 0.05, 10.0;
        /// Bins at most; longer movies have longer bins.
        max_bins: u32 = 5000, "bins", 50, 20000;
    }
}

stage_parameters! {
    /// Cells in the summary images, or in still images.
    "segmentation" Segmentation {
        /// Log odds above which a pixel is part of a cell.
        logit_threshold: f64 = 0.0, "", -10.0, 10.0;
        /// Largest squared difference between a mask's flows and the network's; 0 lets all pass.
        flow_threshold: f64 = 0.4, "", 0.0, 10.0;
        /// Smallest cell.
        min_size_px: u32 = 15, "pixels", 1, 100000;
    }
}

parameter_set! {
    /// All parameters of an imaging run.
    ImagingParameters {
        /// Motion.
        registration: Registration,
        /// The binned movie.
        binning: Binning,
        /// Cells in images.
        segmentation: Segmentation,
    }
}
