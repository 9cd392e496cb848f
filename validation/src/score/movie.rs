//! Cells, traces, spikes and shifts of a movie against its truth, in one go.
//!
//! The scores and their names are those of `shared/bench/score_movie.py`; what is added beside them is said at its field. Cells are paired
//! by IoU after the whole field was moved to where it covers the truth best. An inactive cell that is found is no error
//! for the scores of active cells; it just does not count.

use serde::Serialize;

use super::masks::{Footprint, IouTable, field_offset, match_cells, mean_iou, share};
use super::shifts::shift_rmse_px;
use super::traces::{contamination, spike_correlation, trace_correlation};
use crate::error::{Result, ValidationError};
use crate::simulate::movie::MovieTruth;

/// Cells are paired at this IoU.
pub const IOU_THRESHOLD: f64 = 0.5;
/// The whole field is moved by at most this, px.
pub const LARGEST_OFFSET_PX: i32 = 12;

/// What a program found in one plane of a movie.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MoviePrediction {
    /// Pixels of each cell, `[cells]`.
    pub masks: Vec<Footprint>,
    /// Fluorescence of each cell, corrected for the neuropil, `[cells][frames]`.
    pub traces: Option<Vec<Vec<f32>>>,
    /// Spikes of each cell in any unit, `[cells][frames]`.
    pub spikes: Option<Vec<Vec<f32>>>,
    /// Shift of each frame (downwards, to the right), `[frames]` each, px; either sign.
    pub shifts: Option<[Vec<f64>; 2]>,
}

/// Scores of a movie. Field names are those of `score_movie.py`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MovieScore {
    /// Predicted cells.
    pub n_pred: usize,
    /// True cells.
    pub n_truth: usize,
    /// True cells that fire.
    pub n_active: usize,
    /// Found / predicted; 0 where nothing was predicted.
    pub precision: f64,
    /// Found / true; 0 where there is nothing to find.
    pub recall_all: f64,
    /// Active cells found / active cells; 0 where there are none.
    pub recall_active: f64,
    /// 2 found / (predicted + true); 0 where both are empty.
    pub f1_all: f64,
    /// 2 active found / (2 active found + false + active missed); 0 where there are none.
    pub f1_active: f64,
    /// Mean IoU of the pairs; 0 without a pair.
    pub mean_iou: f64,
    /// Median correlation of the traces of active cells with the truth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_r_median: Option<f64>,
    /// Median correlation of their spikes in bins of six frames.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spike_r_median: Option<f64>,
    /// Frames by which their spikes come late.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spike_lag: Option<i32>,
    /// Median correlation of their spikes after that lag is taken off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spike_r_aligned: Option<f64>,
    /// Root-mean-square error of the shifts, px.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shift_rmse_px: Option<f64>,
    /// Predicted cells that match no true one. Not in `score_movie.py`.
    pub n_false: usize,
    /// How far the prediction was moved (down, right) onto the truth, px. Not in `score_movie.py`.
    pub offset_px: [i32; 2],
    /// Median share of a neighbour's signal in a trace, over pairs of active cells that were found ([`contamination`]). Not in
    /// `score_movie.py`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contamination_slope: Option<f64>,
    /// Number of those pairs. Not in `score_movie.py`.
    pub n_contamination_pairs: usize,
}

/// Scores `prediction` against the truth of one plane; [`MovieTruth::of_plane`] gives that of a movie with several.
///
/// # Errors
/// If the prediction does not fit: a pixel outside the frame, not one trace for each mask, or not one value for each frame; or if the
/// truth is of several planes.
pub fn score_movie(prediction: &MoviePrediction, truth: &MovieTruth) -> Result<MovieScore> {
    check(prediction, truth)?;
    let (height, width) = (truth.height, truth.width);
    let offset_px = field_offset(
        &prediction.masks,
        &truth.bodies,
        height,
        width,
        LARGEST_OFFSET_PX,
    );
    let masks: Vec<Footprint> = prediction
        .masks
        .iter()
        .map(|mask| mask.rolled(offset_px, height, width))
        .collect();
    let table = IouTable::with_unions_enlarged(&masks, &truth.bodies, 1e-9);
    let pairs = match_cells(&table, IOU_THRESHOLD);
    let mut active_pairs = pairs.clone();
    active_pairs.retain(|pair| truth.active[pair.truth]);

    let (n_pred, n_truth) = (masks.len(), truth.n_cells());
    let n_active = truth.active.iter().filter(|&&active| active).count();
    let (n_found, n_active_found) = (pairs.len(), active_pairs.len());
    let n_false = n_pred - n_found;
    let traces = prediction.traces.as_ref();
    let spikes = prediction
        .spikes
        .as_ref()
        .and_then(|spikes| spike_correlation(spikes, &truth.spikes, &active_pairs));
    let leak = traces.and_then(|traces| {
        contamination(
            traces,
            &truth.calcium,
            &truth.bodies,
            height,
            width,
            &active_pairs,
        )
    });
    let shift_rmse_px = prediction.shifts.as_ref().and_then(|[y, x]| {
        let wide = |shifts: &[f32]| shifts.iter().map(|&shift| f64::from(shift)).collect();
        let (true_y, true_x): (Vec<f64>, Vec<f64>) =
            (wide(&truth.shift_y[0]), wide(&truth.shift_x[0]));
        shift_rmse_px([y, x], [&true_y, &true_x])
    });
    Ok(MovieScore {
        n_pred,
        n_truth,
        n_active,
        precision: share(n_found, n_pred),
        recall_all: share(n_found, n_truth),
        recall_active: share(n_active_found, n_active),
        f1_all: share(2 * n_found, n_pred + n_truth),
        f1_active: share(2 * n_active_found, n_active_found + n_false + n_active),
        mean_iou: mean_iou(&pairs),
        trace_r_median: traces
            .and_then(|traces| trace_correlation(traces, &truth.calcium, &active_pairs)),
        spike_r_median: spikes.map(|spikes| spikes.median),
        spike_lag: spikes.map(|spikes| spikes.lag_frames),
        spike_r_aligned: spikes.map(|spikes| spikes.aligned),
        shift_rmse_px,
        n_false,
        offset_px,
        contamination_slope: leak.map(|leak| leak.median_slope),
        n_contamination_pairs: leak.map_or(0, |leak| leak.n_pairs),
    })
}

fn check(prediction: &MoviePrediction, truth: &MovieTruth) -> Result<()> {
    if truth.n_planes() != 1 {
        return Err(ValidationError::BadPrediction(format!(
            "the truth has {} planes; score each plane with its own",
            truth.n_planes()
        )));
    }
    let n_pixels = truth.height * truth.width;
    for (cell, mask) in prediction.masks.iter().enumerate() {
        if let Some(&pixel) = mask.pixels.last()
            && pixel as usize >= n_pixels
        {
            return Err(ValidationError::BadPrediction(format!(
                "cell {cell} has pixel {pixel}, but a frame of the truth has {} × {} pixels",
                truth.height, truth.width
            )));
        }
    }
    for (name, signals) in [
        ("traces", &prediction.traces),
        ("spikes", &prediction.spikes),
    ] {
        let Some(signals) = signals else { continue };
        if signals.len() != prediction.masks.len() {
            return Err(ValidationError::BadPrediction(format!(
                "it has {} {name} for {} cells",
                signals.len(),
                prediction.masks.len()
            )));
        }
        if let Some(signal) = signals.iter().find(|signal| signal.len() != truth.n_frames) {
            return Err(ValidationError::BadPrediction(format!(
                "its {name} have {} frames, the truth {}",
                signal.len(),
                truth.n_frames
            )));
        }
    }
    for shifts in prediction.shifts.iter().flatten() {
        if shifts.len() != truth.n_frames {
            return Err(ValidationError::BadPrediction(format!(
                "it has shifts of {} frames, the truth of {}",
                shifts.len(),
                truth.n_frames
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::stored_movies::{
        assert_close, float, footprints, integer, rows, stored_cases, truth_of,
    };
    use super::*;
    use crate::simulate::movie::{MovieKind, MovieSpec, SimulatedMovie};

    #[test]
    fn scores_equal_those_of_score_movie_on_stored_cases() {
        for (name, case) in stored_cases("movies") {
            let floats = |name: &str| {
                case[name]
                    .is_array()
                    .then(|| rows(&case[name], |value| float(value) as f32))
            };
            let prediction = MoviePrediction {
                masks: footprints(&case["masks"]),
                traces: floats("traces"),
                spikes: floats("estimated_spikes"),
                shifts: case["shifts"].is_array().then(|| {
                    let [y, x] = rows(&case["shifts"], float).try_into().unwrap();
                    [y, x]
                }),
            };
            let score = score_movie(&prediction, &truth_of(&case)).unwrap();
            let found = serde_json::to_value(&score).unwrap();
            let expected = case["scores"].as_object().unwrap();
            for (key, value) in expected {
                match (found.get(key), value) {
                    (Some(found), value) if value.is_number() => {
                        assert_close(&name, key, float(found), float(value));
                    }
                    (None, serde_json::Value::Null) => {}
                    (found, value) => panic!("{name}: {key}: {found:?} instead of {value}"),
                }
            }
            for key in found.as_object().unwrap().keys() {
                assert!(
                    expected.contains_key(key) || key == "offset_px",
                    "{name}: {key} is not stored"
                );
            }
            let offset: Vec<i64> = case["offset_px"]
                .as_array()
                .unwrap()
                .iter()
                .map(integer)
                .collect();
            assert_eq!(score.offset_px.map(i64::from)[..], offset[..], "{name}");
        }
    }

    #[test]
    fn the_truth_itself_scores_one_and_nothing_scores_zero() {
        let spec = MovieSpec {
            n_frames: 120,
            ..MovieSpec::new(MovieKind::Small)
        };
        let truth = SimulatedMovie::new(&spec).unwrap().truth();
        let wide = |shifts: &[f32]| shifts.iter().map(|&shift| -f64::from(shift)).collect();
        let perfect = MoviePrediction {
            masks: truth.bodies.clone(),
            traces: Some(truth.calcium.clone()),
            spikes: Some(
                truth
                    .spikes
                    .iter()
                    .map(|spikes| spikes.iter().map(|&n| f32::from(n)).collect())
                    .collect(),
            ),
            shifts: Some([wide(&truth.shift_y[0]), wide(&truth.shift_x[0])]),
        };
        let score = score_movie(&perfect, &truth).unwrap();
        assert_eq!((score.f1_all, score.f1_active), (1.0, 1.0));
        assert_eq!((score.offset_px, score.spike_lag), ([0, 0], Some(0)));
        // The mean IoU is 1 less the 1e-9 of a pixel in each union; the others lose the last digits of sums.
        for value in [
            Some(score.mean_iou),
            score.trace_r_median,
            score.spike_r_aligned,
        ] {
            assert!((value.unwrap() - 1.0).abs() < 1e-9, "{score:?}");
        }
        assert!(score.shift_rmse_px.unwrap() < 1e-9);
        assert!(score.contamination_slope.is_none_or(|slope| slope < 1e-6));

        let nothing = score_movie(&MoviePrediction::default(), &truth).unwrap();
        assert_eq!((nothing.f1_active, nothing.n_false), (0.0, 0));
        assert!(nothing.mean_iou.is_sign_positive(), "a table shows no -0");
        assert_eq!(nothing.trace_r_median, None);
    }

    #[test]
    fn a_prediction_that_does_not_fit_is_refused_in_a_sentence() {
        let spec = MovieSpec {
            n_frames: 5,
            n_planes: 2,
            ..MovieSpec::new(MovieKind::Small)
        };
        let both = SimulatedMovie::new(&spec).unwrap().truth();
        let refused = |prediction: &MoviePrediction, truth: &MovieTruth| {
            score_movie(prediction, truth).unwrap_err().to_string()
        };
        assert!(refused(&MoviePrediction::default(), &both).contains("2 planes"));
        let truth = both.of_plane(1);
        let outside = MoviePrediction {
            masks: vec![Footprint::new(vec![128 * 128])],
            ..MoviePrediction::default()
        };
        assert!(refused(&outside, &truth).contains("128 × 128"));
        let short = MoviePrediction {
            masks: vec![Footprint::new(vec![0])],
            traces: Some(vec![vec![0.0; 4]]),
            ..MoviePrediction::default()
        };
        assert!(refused(&short, &truth).contains("4 frames"));
        let fewer = MoviePrediction {
            spikes: Some(vec![]),
            traces: None,
            ..short
        };
        assert!(refused(&fewer, &truth).contains("0 spikes for 1 cells"));
    }
}
