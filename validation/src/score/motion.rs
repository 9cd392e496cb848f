//! How far an estimate of the tissue's motion is from the truth.
//!
//! Motion is only defined up to a constant, so the median of (estimate − truth) is taken off first, one constant for the
//! whole probe and recording: a probe whose upper and lower parts are offset against each other is an error. The truth
//! is interpolated at the estimate's own time and depth bins, both linearly and without extrapolation.

use serde::Serialize;

use crate::simulate::displacement::Displacement;

/// Error of an estimated displacement.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MotionError {
    /// Median of |estimate − truth| after the offset is taken off, µm.
    pub median_abs_um: f64,
    /// Root of the mean square of the same, µm.
    pub rms_um: f64,
    /// 95th percentile of the same, µm.
    pub p95_abs_um: f64,
    /// The constant that was taken off: median of (estimate − truth), µm.
    pub offset_um: f64,
    /// Number of (time, depth) bins compared.
    pub n_bins: usize,
}

/// Compares at every (time, depth) bin of the estimate. `None` if it has no finite bin.
pub fn motion_error(truth: &Displacement, estimate: &Displacement) -> Option<MotionError> {
    let mut differences = Vec::new();
    for (time_index, &time_s) in estimate.time_bins_s.iter().enumerate() {
        for (depth_index, &depth_um) in estimate.depth_bins_um.iter().enumerate() {
            let difference =
                estimate.values_um[time_index][depth_index] - truth.at(time_s, depth_um);
            if difference.is_finite() {
                differences.push(difference);
            }
        }
    }
    if differences.is_empty() {
        return None;
    }
    let offset_um = quantile(&mut differences, 0.5);
    let mut errors: Vec<f64> = differences
        .iter()
        .map(|difference| (difference - offset_um).abs())
        .collect();
    let mean_square = errors.iter().map(|error| error * error).sum::<f64>() / errors.len() as f64;
    Some(MotionError {
        median_abs_um: quantile(&mut errors, 0.5),
        p95_abs_um: quantile(&mut errors, 0.95),
        rms_um: mean_square.sqrt(),
        offset_um,
        n_bins: errors.len(),
    })
}

/// Linear interpolation between order statistics, as `numpy.quantile`. Sorts its input.
fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let at = share * (values.len() - 1) as f64;
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    values[low] + (values[high] - values[low]) * (at - low as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_offset_is_free_and_a_slope_is_not() {
        let time_bins_s: Vec<f64> = (0..11).map(f64::from).collect();
        let truth = Displacement {
            time_bins_s: vec![0.0, 10.0],
            depth_bins_um: vec![100.0],
            values_um: vec![vec![0.0], vec![20.0]],
        };
        let line = |slope: f64, offset: f64| Displacement {
            values_um: time_bins_s
                .iter()
                .map(|t| vec![slope * t + offset; 2])
                .collect(),
            time_bins_s: time_bins_s.clone(),
            depth_bins_um: vec![0.0, 300.0],
        };
        let same = motion_error(&truth, &line(2.0, 7.0)).unwrap();
        assert!(same.rms_um < 1e-12 && (same.offset_um - 7.0).abs() < 1e-12);
        assert_eq!(same.n_bins, 22);
        let flat = motion_error(&truth, &line(0.0, 0.0)).unwrap();
        assert!((flat.median_abs_um - 6.0).abs() < 1e-9, "{flat:?}");
        assert!((flat.rms_um - 40f64.sqrt()).abs() < 1e-9, "{flat:?}");
    }
}
