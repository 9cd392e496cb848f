//! Are the spikes those of least squares? `make_spikes.py` made `spikes.json` with scipy's solver, which shares nothing with
//! OASIS and coordinate descent but the problem.

use somata_engine::imaging::deconvolution::oasis;
use somata_shaders::{cpu::imaging::deconvolve::deconvolve, layout::DeconvolveParams};

use crate::Stored;

fn stored() -> Stored {
    Stored::new(include_str!("spikes.json"))
}

/// The formula of `make_spikes.py`.
fn trace(decay: f64, n: usize) -> Vec<f32> {
    let mut calcium = 0.0;
    (0..n)
        .map(|t| {
            let spike = if (t * t + 5) % 29 < 2 {
                1.0 + (t % 3) as f64
            } else {
                0.0
            };
            calcium = calcium * decay + spike;
            let jitter = ((t * 7919) % 97) as f64 - 48.0;
            (calcium + 0.3 * (0.1 * t as f64).sin() + 0.3 * jitter / 48.0) as f32
        })
        .collect()
}

/// A response whose peak is 1; without a rise when `rise` is 0.
fn response(decay: f64, rise: f64, taps: usize) -> Vec<f32> {
    let power = |base: f64, t: usize| if base > 0.0 { base.powi(t as i32) } else { 0.0 };
    let values: Vec<f64> = (0..taps)
        .map(|t| power(decay, t) - power(rise, t))
        .collect();
    let peak = values.iter().copied().fold(0.0, f64::max);
    values.iter().map(|v| (v / peak) as f32).collect()
}

#[test]
fn oasis_finds_the_spikes_of_least_squares() {
    for decay in [0.6, 0.9, 0.98] {
        let found = oasis::ar1(&trace(decay, 120), decay);
        // The algorithm is exact, and its result is stored in single precision.
        stored().close(&format!("ar1_{decay}_spikes"), &found.spikes, 2e-6);
        stored().close(&format!("ar1_{decay}_calcium"), &found.calcium, 2e-6);
    }
}

#[test]
fn descent_finds_the_spikes_of_least_squares_with_a_price() {
    for (number, (decay, rise, taps, price)) in [
        (0.9, 0.5, 60, 0.0),
        (0.9, 0.5, 60, 0.6),
        (0.95, 0.7, 200, 0.4),
        (0.8, 0.0, 30, 0.2),
    ]
    .into_iter()
    .enumerate()
    {
        let n = 150;
        let traces = trace(decay, n);
        let response = response(decay, rise, taps);
        // Enough for any of them to arrive: neighbouring frames explain nearly the same, and the descent moves a spike
        // from one to the next by small steps.
        let params = DeconvolveParams {
            n_traces: 1,
            n_frames: n as u32,
            n_taps: taps as u32,
            sweeps: 6400,
            full_every: 4,
        };
        let (mut spikes, mut residual) = (vec![0.0; n], vec![0.0; n]);
        deconvolve(
            &params,
            &traces,
            &response,
            &[price],
            &mut spikes,
            &mut residual,
        );
        // Spikes of 3. The residual carries the roundings of all changes, and in the flattest direction a spike answers to them
        // a thousand times.
        stored().close(&format!("deconvolved_{number}"), &spikes, 3e-4);
        for t in 0..n {
            let fit: f32 = (0..=t)
                .filter(|u| t - u < taps)
                .map(|u| spikes[u] * response[t - u])
                .sum();
            let expected = traces[t] - fit;
            // Values of 6 from which all changes have been taken one after the other.
            assert!(
                (residual[t] - expected).abs() <= 1e-4,
                "case {number}, frame {t}: residual {}, trace less fit {expected}",
                residual[t]
            );
        }
    }
}
