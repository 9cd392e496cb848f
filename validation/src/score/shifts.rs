//! How far estimated shifts of a movie's frames are from the truth.
//!
//! A registration is free in its reference image, so the mean over the frames is taken off both sides. Some programs say where the tissue
//! went, others how to bring it back; the sign that fits better is taken, one for both directions.

/// Root of the mean over frames of the squared distance (y and x together), px. `estimate` and `truth` are (downwards, to the right),
/// each `[frames]`. `None` without frames.
///
/// Panics if the lengths differ.
pub fn shift_rmse_px(estimate: [&[f64]; 2], truth: [&[f64]; 2]) -> Option<f64> {
    rmse_px(estimate, truth, 1)
}

/// The same for fields of shifts, `[frames, places]`: the mean over the frames is taken off at each place, and the root is of the
/// mean over frames and places.
///
/// Panics if the lengths differ or are not whole frames.
pub fn shift_field_rmse_px(
    estimate: [&[f64]; 2],
    truth: [&[f64]; 2],
    n_places: usize,
) -> Option<f64> {
    rmse_px(estimate, truth, n_places)
}

fn rmse_px(estimate: [&[f64]; 2], truth: [&[f64]; 2], n_places: usize) -> Option<f64> {
    let n = truth[0].len();
    for series in [estimate[0], estimate[1], truth[1]] {
        assert_eq!(series.len(), n, "as many shifts as the truth has");
    }
    assert!(n_places > 0 && n.is_multiple_of(n_places), "whole frames");
    if n == 0 {
        return None;
    }
    let estimate = estimate.map(|series| without_mean(series, n_places));
    let truth = truth.map(|series| without_mean(series, n_places));
    let error = |sign: f64| {
        let sum: f64 = (0..2)
            .flat_map(|axis| estimate[axis].iter().zip(&truth[axis]))
            .map(|(estimate, truth)| (estimate - sign * truth).powi(2))
            .sum();
        (sum / n as f64).sqrt()
    };
    Some(error(1.0).min(error(-1.0)))
}

fn without_mean(series: &[f64], n_places: usize) -> Vec<f64> {
    let mut mean = vec![0.0; n_places];
    for frame in series.chunks_exact(n_places) {
        for (mean, value) in mean.iter_mut().zip(frame) {
            *mean += value / (series.len() / n_places) as f64;
        }
    }
    series
        .iter()
        .zip(mean.iter().cycle())
        .map(|(value, mean)| value - mean)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constant_and_sign_are_free() {
        let (y, x) = ([1.0, 2.0, 4.0], [0.0, -1.0, 1.0]);
        let other_way = |series: [f64; 3]| series.map(|value| 7.0 - value);
        let (back_y, back_x) = (other_way(y), other_way(x));
        assert!(shift_rmse_px([&back_y, &back_x], [&y, &x]).unwrap() < 1e-12);
        // One direction alone turned round is an error.
        assert!(shift_rmse_px([&back_y, &x], [&y, &x]).unwrap() > 0.5);
        let off = [y[0] + 0.3, y[1] - 0.3, y[2]];
        let expected = ((0.3f64 * 0.3 * 2.0) / 3.0).sqrt();
        let found = shift_rmse_px([&off, &x], [&y, &x]).unwrap();
        assert!((found - expected).abs() < 1e-12);
        assert_eq!(shift_rmse_px([&[], &[]], [&[], &[]]), None);
    }

    #[test]
    fn each_place_of_a_field_has_its_own_constant() {
        let truth = [0.0, 5.0, 1.0, 6.0, 2.0, 7.0];
        let estimate = [3.0, 1.0, 4.0, 2.0, 5.0, 3.0];
        let nothing = [0.0; 6];
        let fields = ([&estimate[..], &nothing], [&truth[..], &nothing]);
        assert!(shift_field_rmse_px(fields.0, fields.1, 2).unwrap() < 1e-12);
        assert!(shift_rmse_px(fields.0, fields.1).unwrap() > 1.0);
    }
}
