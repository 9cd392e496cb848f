//! Parity of `deconvolve`.

use somata_shaders::layout::DeconvolveParams;

use crate::{
    both::{Both, ROUNDING, assert_close, both, largest},
    random::Random,
};

/// A response that decays; `rises` makes its first value 0 and its peak near 1.
fn response(n_taps: usize, decay: f32, rises: bool) -> Vec<f32> {
    let rise = if rises { 1.0 } else { 0.3 };
    let taps = (0..n_taps).map(|t| t as f32);
    taps.map(|t| 1.3 * ((-t / decay).exp() - rise * (-5.0 * t / decay).exp()))
        .collect()
}

/// Traces with some spikes and noise of 0.2.
fn traces(n_traces: usize, n_frames: usize, responses: &[f32], random: &mut Random) -> Vec<f32> {
    let n_taps = responses.len() / n_traces.max(1);
    let mut traces = Vec::new();
    for response in responses.chunks_exact(n_taps.max(1)) {
        let mut trace = vec![0.0; n_frames];
        for t in 0..n_frames {
            if random.below(12) == 0 {
                let size = random.between(0.5, 2.0);
                for (value, tap) in trace[t..].iter_mut().zip(response) {
                    *value += size * tap;
                }
            }
        }
        traces.extend(trace.iter().map(|v| v + 0.2 * random.normal()));
    }
    traces
}

fn play(
    both: &Both,
    params: &DeconvolveParams,
    traces: &[f32],
    response: &[f32],
    penalty: &[f32],
) -> [[Vec<f32>; 2]; 2] {
    let (cpu, gpu) = both.play(
        |commands| {
            let n = (params.n_traces * params.n_frames) as usize;
            let traces = commands.upload("traces", traces);
            let response = commands.upload("response", response);
            let penalty = commands.upload("penalty", penalty);
            let spikes = commands.buffer("spikes", n);
            let residual = commands.buffer("residual", n);
            commands.dispatch(params, &[traces, response, penalty, spikes, residual]);
            (commands.download(spikes), commands.download(residual))
        },
        |downloads, (spikes, residual)| {
            [
                downloads.take::<f32>(spikes),
                downloads.take::<f32>(residual),
            ]
        },
    );
    [cpu, gpu]
}

#[test]
fn traces_and_responses_of_awkward_lengths() {
    let Some(both) = both() else { return };
    for (n_traces, n_frames, n_taps, sweeps, full_every) in [
        (0, 5, 3, 2, 1),
        (2, 0, 3, 2, 1),
        (1, 1, 1, 3, 1),
        (1, 1, 5, 3, 1),
        (2, 30, 7, 0, 4),
        (1, 63, 64, 6, 4),
        (3, 64, 9, 6, 4),
        (2, 65, 33, 6, 2),
        // 0 counts as 1: every sweep visits all frames.
        (1, 200, 130, 5, 0),
        (2, 150, 400, 5, 3),
        (1, 100, 2048, 2, 1),
    ] {
        let mut random = Random(431);
        let responses: Vec<f32> = (0..n_traces)
            .flat_map(|trace| response(n_taps, 4.0 + 3.0 * trace as f32, (trace + n_taps) % 2 == 0))
            .collect();
        let traces = traces(n_traces, n_frames, &responses, &mut random);
        let penalty: Vec<f32> = (0..n_traces).map(|trace| 0.3 * trace as f32).collect();
        let params = DeconvolveParams {
            n_traces: n_traces as u32,
            n_frames: n_frames as u32,
            n_taps: n_taps as u32,
            sweeps,
            full_every,
        };
        let [cpu, gpu] = play(both, &params, &traces, &responses, &penalty);
        // A visit rounds a sum of products, divided by the response's energy (about that of the few taps of a decay), and later
        // visits make up for it rather than add to it: the square root of the visits that reach a frame.
        let visits = (sweeps as f32 * n_taps.min(n_frames) as f32).sqrt() + 4.0;
        let tolerance = 4.0 * visits * ROUNDING * largest(&traces);
        let case = format!(
            "{n_traces} traces of {n_frames}, {n_taps} taps, {sweeps} sweeps, full every {full_every}"
        );
        let [cpu_spikes, cpu_residual] = &cpu;
        let [gpu_spikes, gpu_residual] = &gpu;
        assert_close(
            &format!("{case}: spikes"),
            cpu_spikes,
            gpu_spikes,
            tolerance,
        );
        assert_close(
            &format!("{case}: residual"),
            cpu_residual,
            gpu_residual,
            tolerance,
        );
        if sweeps == 0 {
            // Exact: copies and zeros.
            assert_eq!(gpu_residual, &traces, "{case}");
            assert!(gpu_spikes.iter().all(|v| *v == 0.0), "{case}");
        } else if n_frames >= 30 && n_traces > 0 {
            let n = gpu_spikes.iter().filter(|v| **v > 0.3).count();
            assert!(n > 0 && n < gpu_spikes.len(), "{case}: {n} spikes");
        }
    }
}

#[test]
fn a_response_of_zeros_explains_nothing() {
    let Some(both) = both() else { return };
    let params = DeconvolveParams {
        n_traces: 2,
        n_frames: 70,
        n_taps: 3,
        sweeps: 3,
        full_every: 1,
    };
    let traces = Random(432).normals(140);
    // The first trace has no response; the second one's price is higher than what any spike earns.
    let responses = [0.0, 0.0, 0.0, 1.0, 0.5, 0.25];
    for [spikes, residual] in play(both, &params, &traces, &responses, &[0.0, 100.0]) {
        // Exact: no spike, and no division by 0.
        assert!(spikes.iter().all(|v| *v == 0.0));
        assert_eq!(residual, traces);
    }
}
