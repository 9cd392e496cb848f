//! Spikes and the indicator's response to them.
//!
//! A cell fires at random at its own rate, which a common signal modulates, and in bursts. A spike in frame `t` adds
//! `exp(−s / decay) − exp(−s / rise)`, scaled to a peak of 1, at `s = 0, 1, …` frames after it (nothing yet in its own
//! frame): the response of a fast indicator to one action potential as in Vogelstein et al. 2010 and Pnevmatikakis et al. 2016.

use super::smooth::{deviation_of_line, smooth_line, standardise, white};
use super::spec::MovieSpec;
use crate::simulate::philox::Stream;

/// Deviation of the smoothing of the common signal, s.
const COMMON_S: f64 = 0.5;
/// Half width (deviation) of a burst, s.
const BURST_S: f64 = 0.1;
/// An active cell with fewer spikes is given some, so that it can be found at all.
const LEAST_SPIKES: i64 = 3;
/// Events a second of each neuropil field and of each process.
const NEUROPIL_RATE_HZ: f64 = 1.0;
const PROCESS_RATE_HZ: f64 = 0.3;
/// After as many decays a response is below 1 % of its peak.
const WARM_UP_DECAYS: f64 = 5.0;

/// The common signal that modulates all cells, `[frames]`, of deviation 1.
pub fn common_signal(spec: &MovieSpec, random: &mut Stream) -> Vec<f32> {
    let width_frames = COMMON_S * spec.frame_rate_hz;
    let mut signal = smooth_line(&white(spec.n_frames, random), width_frames);
    standardise(&mut signal, deviation_of_line(width_frames));
    signal
}

/// Spikes of one active cell in each frame, `[frames]`.
pub fn draw_spikes(spec: &MovieSpec, common: &[f32], random: &mut Stream) -> Vec<i16> {
    let n_frames = spec.n_frames;
    let rate_hz = spec.firing_rate_hz * (0.5 * random.normal()).exp();
    let coupling = 0.6 * random.normal();
    let mut expected: Vec<f64> = common
        .iter()
        .map(|&common| rate_hz / spec.frame_rate_hz * (coupling * f64::from(common)).exp())
        .collect();

    if spec.burst_rate_hz > 0.0 {
        let width_frames = (BURST_S * spec.frame_rate_hz).max(0.3);
        let wait_frames = spec.frame_rate_hz / spec.burst_rate_hz;
        let mut at = wait_frames * random.exponential();
        while at < n_frames as f64 {
            let n_spikes = spec.burst_spikes * random.between(0.0, 2.0);
            let reach = 4.0 * width_frames;
            let frames = (at - reach).ceil().max(0.0) as usize
                ..((at + reach).floor() as usize + 1).min(n_frames);
            let weight = |frame: usize| (-0.5 * ((frame as f64 - at) / width_frames).powi(2)).exp();
            let sum: f64 = frames.clone().map(weight).sum();
            for frame in frames {
                expected[frame] += n_spikes * weight(frame) / sum;
            }
            at += wait_frames * random.exponential();
        }
    }

    let mut spikes: Vec<i16> = expected
        .iter()
        .map(|&mean| poisson(mean, random) as i16)
        .collect();
    if spikes.iter().map(|&n| i64::from(n)).sum::<i64>() < LEAST_SPIKES {
        // Away from both ends, so that the whole response is seen.
        let keep = (n_frames / 4).min(20);
        for _ in 0..3 {
            spikes[keep + random.below(n_frames - 2 * keep)] += 2;
        }
    }
    spikes
}

/// The indicator's response to `spikes`, each scaled to a peak of `peak`.
pub fn respond(spec: &MovieSpec, spikes: &[i16], peak: f64) -> Vec<f32> {
    let (decay, rise) = (spec.decay_s, spec.rise_s);
    let per_frame = |time_s: f64| (-1.0 / (time_s * spec.frame_rate_hz)).exp();
    let (slow, fast) = (per_frame(decay), per_frame(rise));
    let peak_at_s = (decay / rise).ln() * decay * rise / (decay - rise);
    let scale = peak / ((-peak_at_s / decay).exp() - (-peak_at_s / rise).exp());
    // The difference of two exponentials is the difference of two recursive filters.
    let (mut slow_part, mut fast_part) = (0.0, 0.0);
    spikes
        .iter()
        .map(|&n| {
            slow_part = slow_part * slow + f64::from(n);
            fast_part = fast_part * fast + f64::from(n);
            (scale * (slow_part - fast_part)) as f32
        })
        .collect()
}

/// Slow signals of the neuropil's fields, `[fields][frames]`, of the amplitude of `spec`.
pub fn neuropil_signals(spec: &MovieSpec, random: &mut Stream) -> Vec<Vec<f32>> {
    (0..spec.n_neuropil_fields)
        .map(|_| random_events(spec, NEUROPIL_RATE_HZ, spec.neuropil_amplitude, random))
        .collect()
}

/// Signal of one small process, `[frames]`.
pub fn process_signal(spec: &MovieSpec, random: &mut Stream) -> Vec<f32> {
    random_events(spec, PROCESS_RATE_HZ, 1.2, random)
}

fn random_events(spec: &MovieSpec, rate_hz: f64, peak: f64, random: &mut Stream) -> Vec<f32> {
    // Begun before the movie, or the background would brighten over its first seconds.
    let before = (WARM_UP_DECAYS * spec.decay_s * spec.frame_rate_hz).ceil() as usize;
    let events: Vec<i16> = (0..before + spec.n_frames)
        .map(|_| poisson(rate_hz / spec.frame_rate_hz, random) as i16)
        .collect();
    respond(spec, &events, peak).split_off(before)
}

/// A Poisson number by multiplying uniform ones (Knuth), in parts where the mean is large.
fn poisson(mean: f64, random: &mut Stream) -> u32 {
    let mut left = mean;
    let mut count = 0;
    while left > 0.0 {
        let part = left.min(20.0);
        let limit = (-part).exp();
        let mut product = random.uniform();
        while product > limit {
            count += 1;
            product *= random.uniform();
        }
        left -= part;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spike_gives_the_kernel_with_its_peak() {
        let spec = MovieSpec {
            frame_rate_hz: 200.0,
            n_frames: 600,
            ..MovieSpec::default()
        };
        let mut spikes = vec![0; 600];
        spikes[50] = 1;
        let response = respond(&spec, &spikes, 1.7);
        assert_eq!(response[50], 0.0);
        let peak = response.iter().copied().fold(0.0, f32::max);
        // The peak lies at most half a frame beside a sample.
        assert!((peak - 1.7).abs() < 0.005, "{peak}");
        let at = response.iter().position(|&value| value == peak).unwrap();
        let expected_s = (10.0f64).ln() * 0.7 * 0.07 / 0.63;
        assert!(((at - 50) as f64 / 200.0 - expected_s).abs() < 0.005);
        // Far from the rise only the decay remains: e in 0.7 s = 140 frames.
        assert!((response[450] / response[310] - (-1.0f32).exp()).abs() < 0.002);
    }

    #[test]
    fn the_neuropil_is_as_bright_at_the_beginning_as_later() {
        let spec = MovieSpec {
            n_neuropil_fields: 400,
            n_frames: 300,
            ..MovieSpec::default()
        };
        let signals = neuropil_signals(&spec, &mut Stream::new(6, 0));
        let mean = |t: usize| signals.iter().map(|signal| signal[t]).sum::<f32>() / 400.0;
        // One event a second, each lasting 0.7 s: 400 fields leave 6 % at one deviation.
        assert!((mean(0) / mean(299) - 1.0).abs() < 0.3, "{}", mean(0));
        assert!(signals.iter().all(|signal| signal.len() == 300));
    }

    #[test]
    fn cells_fire_as_often_as_asked_and_never_less_than_three_times() {
        let spec = MovieSpec {
            n_frames: 30_000,
            ..MovieSpec::default()
        };
        let common = common_signal(&spec, &mut Stream::new(1, 0));
        let n: i64 = (0..40)
            .map(|cell| {
                draw_spikes(&spec, &common, &mut Stream::new(1, 1 + cell))
                    .iter()
                    .map(|&n| i64::from(n))
                    .sum::<i64>()
            })
            .sum();
        let rate_hz = n as f64 / 40.0 / spec.duration_s();
        // 0.1 exp(0.125 + about 0.1) + 0.05 · 6, with 40 cells × 50 bursts.
        assert!((0.36..0.50).contains(&rate_hz), "{rate_hz}");
        let silent = MovieSpec {
            firing_rate_hz: 0.0,
            burst_rate_hz: 0.0,
            n_frames: 5,
            ..MovieSpec::default()
        };
        let spikes = draw_spikes(&silent, &[0.0; 5], &mut Stream::new(1, 0));
        assert_eq!(spikes.iter().sum::<i16>(), 6);
    }
}
