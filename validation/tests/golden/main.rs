//! Do the twins compute what numpy and scipy compute? A parity test compares the twin with its shader; both could be
//! wrong together, so the twins are anchored here. `make_kernels.py` made `kernels.json`. [`laws`] holds them, the stages and the
//! scores to what the mathematics promises for any input.

mod imaging;
mod laws;
mod segmentation;
mod spikes;

use somata_engine::sorting::preprocessing::filter::{
    DELAY_TAPS, butterworth_highpass, delay_filters,
};
use somata_shaders::{
    cpu::sorting::{
        common_reference::common_reference, highpass_filter::highpass_filter,
        phase_shift::phase_shift, score_footprints::score_footprints,
        score_templates::score_templates, whiten::whiten,
    },
    layout::{
        CommonReferenceParams, HighpassFilterParams, PhaseShiftParams, ScoreFootprintsParams,
        ScoreTemplatesParams, WhitenParams,
    },
};

/// The formula of `make_kernels.py`, `[n, channels]`.
fn signal(n: usize, channels: usize, offset: usize) -> Vec<f32> {
    (0..n)
        .flat_map(|t| {
            (0..channels).map(move |c| {
                let c = c + offset;
                let jitter = ((t * 7919 + c * 104_729) % 97) as f64 - 48.0;
                let (t, c) = (t as f64, c as f64);
                (100.0 * (0.01 * (c + 1.0) * t).sin() + 20.0 * (1.3 * t + c).sin() + jitter) as f32
            })
        })
        .collect()
}

fn transposed(x: &[f32], columns: usize) -> Vec<f32> {
    let rows = x.len() / columns;
    (0..columns)
        .flat_map(|c| (0..rows).map(move |r| x[r * columns + c]))
        .collect()
}

/// Arrays that another program made, by name.
struct Stored(serde_json::Value);

impl Stored {
    fn new(json: &str) -> Self {
        Self(serde_json::from_str(json).expect("JSON"))
    }

    fn values(&self, name: &str) -> Vec<f64> {
        self.0[name]
            .as_array()
            .expect(name)
            .iter()
            .map(|v| v.as_f64().expect("number"))
            .collect()
    }

    /// Fails where `got` differs from the array `name` by more than `tolerance`.
    #[track_caller]
    fn close(&self, name: &str, got: &[f32], tolerance: f64) {
        let want = self.values(name);
        assert_eq!(got.len(), want.len(), "{name}");
        let mut worst = 0.0f64;
        for (i, (got, want)) in got.iter().zip(&want).enumerate() {
            let difference = (f64::from(*got) - want).abs();
            assert!(difference <= tolerance, "{name} {i}: {got} {want}");
            worst = worst.max(difference);
        }
        println!("{name}: largest difference {worst:e}, allowed {tolerance:e}");
    }
}

/// Compares with an array of `kernels.json`.
#[track_caller]
fn close(name: &str, got: &[f32], tolerance: f64) {
    Stored::new(include_str!("kernels.json")).close(name, got, tolerance);
}

#[test]
fn highpass_equals_sosfiltfilt() {
    let mut x = signal(4000, 3, 0);
    let params = HighpassFilterParams {
        n_blocks: 1,
        n_samples: 4000,
        n_channels: 3,
        ..butterworth_highpass(300.0, 30000.0)
    };
    highpass_filter(&params, &mut x);
    // Single precision, on values of a hundred that the filter takes away.
    close("highpass", &x[1900 * 3..2000 * 3], 5e-3);
}

#[test]
fn reference_equals_numpys_median() {
    for (name, channels) in [("common_reference", 7), ("common_reference_even", 4)] {
        let mut x = signal(20, channels, 0);
        let params = CommonReferenceParams {
            n_blocks: 1,
            n_samples: 20,
            n_channels: channels as u32,
            n_groups: 1,
        };
        let members: Vec<u32> = (0..channels as u32).collect();
        common_reference(&params, &[0, channels as u32], &members, &mut x);
        close(name, &x, 1e-4);
    }
}

#[test]
fn delays_equal_a_fourier_shift() {
    let periodic: Vec<f32> = (0..512)
        .map(|t| {
            let at = |k: f64| 2.0 * std::f64::consts::PI * k * f64::from(t) / 512.0;
            (50.0 * at(7.0).sin() + 30.0 * at(90.0).cos()) as f32
        })
        .collect();
    let mut got = Vec::new();
    for delay in [0.25, 0.5, 0.9] {
        let params = PhaseShiftParams {
            n_blocks: 1,
            n_samples: 512,
            n_channels: 1,
            n_taps: DELAY_TAPS as u32,
        };
        let mut out = vec![0.0; 512];
        phase_shift(&params, &periodic, &delay_filters(&[delay]), &mut out);
        got.extend_from_slice(&out[200..300]);
    }
    // A filter of 33 taps against one of infinite length: 0.2 % of the amplitude.
    close("phase_shift", &got, 0.16);
}

#[test]
fn whitening_equals_a_matrix_product() {
    let params = WhitenParams {
        n_blocks: 1,
        n_samples: 30,
        n_channels: 5,
        n_neighbours: 5,
    };
    let neighbour: Vec<u32> = (0..25).map(|i| i % 5).collect();
    let weight: Vec<f32> = signal(5, 5, 3).iter().map(|v| v / 100.0).collect();
    let mut out = vec![0.0; 150];
    whiten(
        &params,
        &signal(30, 5, 0),
        &neighbour,
        &weight,
        &[0],
        &mut out,
    );
    close("whiten", &out, 1e-3);
}

#[test]
fn footprint_scores_equal_correlations_of_weighted_sums() {
    let params = ScoreFootprintsParams {
        n_blocks: 1,
        n_samples: 64,
        n_channels: 3,
        n_shapes: 2,
        n_sizes: 3,
        n_neighbours: 3,
        n_taps: 12,
        threshold: 0.0,
        stride: 1,
        gate: 0.0,
    };
    let shape: Vec<f32> = transposed(&signal(12, 2, 5), 2)
        .iter()
        .map(|v| v / 100.0)
        .collect();
    let neighbour = [0, 1, 2, 1, 0, 2, 2, 0, 1];
    let weight: Vec<f32> = [[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [0.48, 0.64, 0.6]]
        .iter()
        .flat_map(|row| row.repeat(3))
        .collect();
    let mut out = vec![0.0; 192];
    let x = transposed(&signal(64, 3, 0), 3);
    score_footprints(&params, &x, &shape, &neighbour, &weight, &mut out);
    let valid: Vec<f32> = out
        .chunks_exact(64)
        .flat_map(|row| row[..53].to_vec())
        .collect();
    close("score_footprints", &valid, 2e-3);
    assert!(
        out.chunks_exact(64)
            .all(|row| row[53..].iter().all(|&v| v == 0.0))
    );
}

#[test]
fn template_scores_equal_a_direct_sum() {
    let params = ScoreTemplatesParams {
        n_blocks: 1,
        n_samples: 80,
        n_channels: 6,
        n_units: 1,
        n_taps: 16,
        rank: 2,
    };
    let x = transposed(&signal(80, 6, 0), 6);
    let spatial: Vec<f32> = signal(4, 2, 1).iter().map(|v| v / 100.0).collect();
    let temporal: Vec<f32> = transposed(&signal(16, 2, 9), 2)
        .iter()
        .map(|v| v / 100.0)
        .collect();
    let mut out = vec![0.0; 80];
    score_templates(
        &params,
        &x,
        &[0, 4],
        &[1, 2, 4, 5],
        &spatial,
        &temporal,
        &mut out,
    );
    close("score_templates", &out[..65], 2e-2);
}
