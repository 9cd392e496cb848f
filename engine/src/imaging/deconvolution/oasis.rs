//! OASIS for a response that jumps and decays (Friedrich, Zhou and Paninski 2017, algorithm 1): exact, in one pass.

/// A trace taken apart.
pub struct Ar1 {
    /// Spikes, one a frame.
    pub spikes: Vec<f32>,
    /// The trace without noise.
    pub calcium: Vec<f32>,
}

/// Frames that one event explains.
struct Pool {
    value: f64,
    weight: f64,
    start: usize,
    length: usize,
}

/// Minimises the squared distance to `trace` over all calcium traces with `calcium[t] >= decay * calcium[t - 1]`, without a
/// penalty; negative values count as zero. `decay` is what remains after one frame.
pub fn ar1(trace: &[f32], decay: f64) -> Ar1 {
    let mut pools: Vec<Pool> = Vec::new();
    for (t, &value) in trace.iter().enumerate() {
        pools.push(Pool {
            value: f64::from(value),
            weight: 1.0,
            start: t,
            length: 1,
        });
        while let [.., before, last] = pools.as_slice() {
            let kept = decay.powi(before.length as i32);
            if before.value * kept <= last.value {
                break;
            }
            let weight = before.weight + last.weight * kept * kept;
            let value = (before.value * before.weight + last.value * last.weight * kept) / weight;
            let length = before.length + last.length;
            pools.pop();
            let merged = pools.last_mut().expect("two pools");
            (merged.value, merged.weight, merged.length) = (value, weight, length);
        }
    }
    let mut result = Ar1 {
        spikes: vec![0.0; trace.len()],
        calcium: vec![0.0; trace.len()],
    };
    let mut before = 0.0;
    for (k, pool) in pools.iter().enumerate() {
        let mut value = pool.value.max(0.0);
        if k > 0 {
            result.spikes[pool.start] = (value - before).max(0.0) as f32;
        }
        for calcium in &mut result.calcium[pool.start..pool.start + pool.length] {
            *calcium = value as f32;
            value *= decay;
        }
        before = value;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noiseless_spikes_come_back_exactly() {
        let decay: f64 = 0.9;
        let truth = [(10, 1.0), (14, 0.5), (40, 2.0), (41, 1.0)];
        let mut trace = vec![0.0f32; 80];
        let mut calcium = 0.0;
        for t in 0..80 {
            calcium = calcium * decay
                + truth
                    .iter()
                    .filter(|(at, _)| *at == t)
                    .map(|(_, s)| s)
                    .sum::<f64>();
            trace[t] = calcium as f32;
        }
        let found = ar1(&trace, decay);
        for (t, spike) in found.spikes.iter().enumerate() {
            let expected: f64 = truth
                .iter()
                .filter(|(at, _)| *at == t)
                .map(|(_, s)| s)
                .sum();
            assert!(
                (f64::from(*spike) - expected).abs() < 1e-5,
                "{t}: {spike} {expected}"
            );
        }
    }
}
