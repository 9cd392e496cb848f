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
        knot_columns: u32 = 4, "", 1, 4;
        /// Gauss-Newton steps of every frame.
        steps: u32 = 3, "", 0, 10;
        /// Stiffness of the shift field against bending.
        ridge: f64 = 0.05, "", 0.0, 100.0;
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
        /// Diameter of a movie's cells (still images: `--diameter`); 0 leaves images at their own scale, which suits cells of 8 to 20 pixels.
        diameter_px: f64 = 0.0, "pixels", 0.0, 1000.0;
        /// Log odds above which a pixel is part of a cell.
        logit_threshold: f64 = 0.0, "", -10.0, 10.0;
        /// Largest squared difference between a mask's flows and the network's; 0 lets all pass.
        flow_threshold: f64 = 0.4, "", 0.0, 10.0;
        /// Smallest mask.
        min_size_px: u32 = 15, "pixels", 1, 100000;
        /// Smallest mean probability of a movie's cell.
        min_probability: f64 = 0.7, "", 0.0, 1.0;
        /// Smallest area of a movie's cell, relative to the typical one; cells at the edge of the image may be smaller.
        min_area: f64 = 0.45, "", 0.0, 1.0;
    }
}

stage_parameters! {
    /// Cells that are only seen when they fire.
    "activity" Activity {
        /// Look for cells by their activity where the network has seen none.
        find: bool = true, "", false, true;
        /// Smallest energy of a peak, squared noise deviations.
        min_energy: f64 = 25.0, "", 1.0, 1000000.0;
        /// Smallest area, relative to the typical cell's.
        min_area: f64 = 0.6, "", 0.0, 10.0;
        /// Largest ratio of the axes.
        max_aspect_ratio: f64 = 1.6, "", 1.0, 100.0;
        /// Smallest mean probability of the network over the body.
        min_probability: f64 = 0.5, "", 0.0, 1.0;
    }
}

stage_parameters! {
    /// Cells that never fire, by light that does not follow the neuropil.
    "still_cells" StillCells {
        /// Look for them.
        find: bool = true, "", false, true;
        /// Nothing is looked for where the neuropil explains less of the mean image's grain than this (squared correlation).
        min_explained: f64 = 0.3, "", 0.0, 1.0;
        /// Smallest mean probability of the network over the body.
        min_probability: f64 = 0.8, "", 0.0, 1.0;
        /// Smallest area, relative to the typical cell's.
        min_area: f64 = 0.45, "", 0.0, 10.0;
        /// Largest ratio of the axes.
        max_aspect_ratio: f64 = 2.0, "", 1.0, 100.0;
        /// Least light of a cell that never fires above its surroundings, in deviations of the light between cells; 0 keeps all.
        min_contrast: f64 = 1.5, "", 0.0, 100.0;
    }
}

stage_parameters! {
    /// Footprints refined on the traces.
    "footprints" Footprints {
        /// Rounds of refinement before bodies are outlined; 0 keeps the network's masks.
        rounds: u32 = 2, "", 0, 20;
        /// Part of the plateau at which a body is cut.
        level: f64 = 0.6, "", 0.1, 1.0;
        /// A footprint with less signal over noise is not believed.
        min_snr: f64 = 8.0, "", 0.0, 10000.0;
        /// Nor is that of a cell whose trace is less skewed: firing is rare and upwards.
        min_skewness: f64 = 1.0, "", -10.0, 100.0;
        /// Nor is one that overlaps less with the network's mask (intersection over union).
        min_agreement: f64 = 0.55, "", 0.0, 1.0;
    }
}

stage_parameters! {
    /// Spikes from traces.
    "deconvolution" Deconvolution {
        /// 2 for a response that rises and decays, 1 for one that jumps and decays (OASIS, as Suite2p has it).
        order: u32 = 2, "", 1, 2;
        /// Decay of the indicator where neither the user nor the data tell it.
        default_decay_s: f64 = 0.7, "s", 0.01, 20.0;
        /// Size that a spike must have to pay, in deviations of its estimate's noise.
        sparsity: f64 = 4.0, "noise deviations", 0.0, 100.0;
        /// Sweeps of the coordinate descent.
        sweeps: u32 = 24, "", 1, 1000;
        /// Window of the running baseline.
        baseline_window_s: f64 = 60.0, "s", 1.0, 10000.0;
        /// Percentile of the smoothed trace that is its baseline.
        baseline_percentile: f64 = 8.0, "%", 0.0, 100.0;
    }
}

parameter_set! {
    /// All parameters of an imaging run.
    "`somata image` and `somata segment`" ImagingParameters {
        /// Motion.
        registration: Registration,
        /// The binned movie.
        binning: Binning,
        /// Cells in images.
        segmentation: Segmentation,
        /// Cells that are only seen when they fire.
        activity: Activity,
        /// Cells that never fire.
        still_cells: StillCells,
        /// Footprints refined.
        footprints: Footprints,
        /// Spikes from traces.
        deconvolution: Deconvolution,
    }
}
