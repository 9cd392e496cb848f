//! Noise of the recording: coloured in time, shared between neighbouring contacts, computed for any block alone.
//!
//! White noise is a function of channel and sample number (Philox), so a block needs nothing from the block before. It is coloured by
//! two one-pole filters beside the direct path (together close to 1/f in power from 75 Hz to 3 kHz, as measured noise is in that
//! range) and a gentle low-pass as of an amplifier. A recursive filter has an endless memory; each block starts it early enough that
//! what is missing is below a millionth, so blocks join without a step. Contacts then mix their neighbours' noise with
//! weights that fall exponentially with distance.
//!
//! A white sample is the sum of the four bytes of a random word, made zero-mean: cheap, the same on every machine, and Gaussian after
//! filter and mixing have added tens of them.

use super::geometry::Geometry;
use super::philox::{Stream, key_of, philox4x32};
use super::recording::{STREAM_BAD_CHANNELS, STREAM_NOISE_LEVELS};
use super::spec::RecordingSpec;

/// Samples of a block.
pub const BLOCK_SAMPLES: usize = 4096;
/// Samples that are mixed at a time: few enough that all channels of a tile stay in the cache.
const TILE_SAMPLES: usize = 256;

/// Corner frequencies of the two poles, Hz, and the gain of each at frequency 0 relative to the direct path.
const POLES: [(f64, f64); 2] = [(75.0, 7.0), (800.0, 2.5)];
const LOW_PASS_HZ: f64 = 7000.0;
/// The band in which the level is given, Hz.
const BAND_HZ: (f64, f64) = (300.0, 6000.0);

/// The noise of one recording.
#[derive(Debug, Clone)]
pub struct NoiseModel {
    key: [u32; 2],
    poles: [f32; 2],
    gains: [f32; 2],
    low_pass: f32,
    /// Factor that makes the deviation in [`BAND_HZ`] 1.
    scale: f32,
    warm_up: usize,
    /// For each channel the channels it mixes, with weights that include its level in µV.
    mixing: Vec<Vec<(u32, f32)>>,
    /// Level of each channel, µV.
    pub level_uv: Vec<f64>,
}

impl NoiseModel {
    /// The noise of `spec` on `probe`; `level_factor`, `[channels]`, makes channels noisier or dead.
    pub fn new(spec: &RecordingSpec, probe: &Geometry, level_factor: &[f64]) -> Self {
        let rate = spec.sampling_frequency_hz;
        let pole = |corner_hz: f64| (-std::f64::consts::TAU * corner_hz / rate).exp();
        let poles = POLES.map(|(corner_hz, _)| pole(corner_hz));
        let gains = [POLES[0].1 * (1.0 - poles[0]), POLES[1].1 * (1.0 - poles[1])];
        let low_pass = pole(LOW_PASS_HZ);

        let mut random = Stream::new(spec.seed, STREAM_NOISE_LEVELS);
        let level_uv: Vec<f64> = level_factor
            .iter()
            .map(|factor| {
                factor
                    * spec.noise_uv
                    * (1.0 + spec.noise_level_spread * random.normal().clamp(-3.0, 3.0))
            })
            .collect();
        let mixing = (0..probe.n_channels())
            .map(|channel| mix_of(channel, probe, spec.noise_decay_um, level_uv[channel]))
            .collect();

        Self {
            key: key_of(spec.seed),
            poles: poles.map(|pole| pole as f32),
            gains: gains.map(|gain| gain as f32),
            low_pass: low_pass as f32,
            scale: (1.0 / band_deviation(poles, gains, low_pass, rate)) as f32,
            // exp(−14) of the slowest pole's memory remains: a millionth.
            warm_up: ((14.0 * rate / (std::f64::consts::TAU * POLES[0].0)).ceil() as usize)
                .next_multiple_of(4),
            mixing,
            level_uv,
        }
    }

    /// Number of channels.
    pub fn n_channels(&self) -> usize {
        self.mixing.len()
    }

    /// Noise of block number `block` in µV: `out` is `[channels, BLOCK_SAMPLES]`; `coloured` is scratch of any size.
    pub fn fill_block(&self, block: u64, coloured: &mut Vec<f32>, out: &mut [f32]) {
        let n_channels = self.n_channels();
        coloured.resize(n_channels * BLOCK_SAMPLES, 0.0);
        for (channel, line) in coloured.chunks_exact_mut(BLOCK_SAMPLES).enumerate() {
            self.colour(block, channel as u32, line);
        }
        for start in (0..BLOCK_SAMPLES).step_by(TILE_SAMPLES) {
            for (channel, sources) in self.mixing.iter().enumerate() {
                let target = &mut out[channel * BLOCK_SAMPLES + start..][..TILE_SAMPLES];
                target.fill(0.0);
                for &(source, weight) in sources {
                    let line = &coloured[source as usize * BLOCK_SAMPLES + start..][..TILE_SAMPLES];
                    for (value, noise) in target.iter_mut().zip(line) {
                        *value += weight * noise;
                    }
                }
            }
        }
    }

    /// Coloured noise of one channel with deviation 1 in the band.
    fn colour(&self, block: u64, channel: u32, line: &mut [f32]) {
        // Counted from the start of the first block's warm-up, so that it is never negative.
        let start = block * BLOCK_SAMPLES as u64 / 4;
        let mut slow = 0.0f32;
        let mut fast = 0.0f32;
        let mut smooth = 0.0f32;
        let one_less = (1.0 - self.low_pass) * self.scale;
        let mut step = |white: f32| {
            slow = self.poles[0] * slow + self.gains[0] * white;
            fast = self.poles[1] * fast + self.gains[1] * white;
            smooth = self.low_pass * smooth + one_less * (white + slow + fast);
            smooth
        };
        let quads = self.warm_up / 4;
        for quad in 0..quads {
            for white in white_quad(start + quad as u64, channel, self.key) {
                step(white);
            }
        }
        for (quad, values) in line.chunks_exact_mut(4).enumerate() {
            let white = white_quad(start + (quads + quad) as u64, channel, self.key);
            for (value, white) in values.iter_mut().zip(white) {
                *value = step(white);
            }
        }
    }
}

/// Draws the dead and the noisy channels of `spec`; third is the factor of each channel's noise level.
pub(crate) fn choose_bad_channels(
    spec: &RecordingSpec,
    n_channels: usize,
) -> (Vec<usize>, Vec<usize>, Vec<f64>) {
    let mut random = Stream::new(spec.seed, STREAM_BAD_CHANNELS);
    let mut dead: Vec<usize> = Vec::new();
    while dead.len() < spec.n_dead_channels + spec.n_noisy_channels {
        let channel = random.below(n_channels);
        if !dead.contains(&channel) {
            dead.push(channel);
        }
    }
    let noisy = dead.split_off(spec.n_dead_channels);
    let mut factor = vec![1.0; n_channels];
    dead.iter().for_each(|&channel| factor[channel] = 0.05);
    noisy.iter().for_each(|&channel| factor[channel] = 5.0);
    (dead, noisy, factor)
}

/// Four white samples, zero-mean with deviation 1.
#[inline(always)]
fn white_quad(position: u64, channel: u32, key: [u32; 2]) -> [f32; 4] {
    // Deviation of the sum of four independent uniform bytes.
    const DEVIATION: f32 = 147.8;
    philox4x32([position as u32, (position >> 32) as u32, channel, 0], key).map(|word| {
        let pairs = (word & 0x00ff_00ff) + (word >> 8 & 0x00ff_00ff);
        let sum = (pairs & 0xffff) + (pairs >> 16);
        (sum as i32 as f32 - 510.0) * (1.0 / DEVIATION)
    })
}

/// Channels whose noise reaches `channel`; the squares of the weights add up to the square of its level.
fn mix_of(channel: usize, probe: &Geometry, decay_um: f64, level_uv: f64) -> Vec<(u32, f32)> {
    let weights: Vec<(u32, f64)> = (0..probe.n_channels())
        .map(|other| (other, probe.distance_um(channel, other)))
        .filter(|(_, distance_um)| *distance_um <= 3.5 * decay_um)
        .map(|(other, distance_um)| (other as u32, (-distance_um / decay_um).exp()))
        .collect();
    let norm = weights
        .iter()
        .map(|(_, weight)| weight * weight)
        .sum::<f64>()
        .sqrt();
    weights
        .into_iter()
        .map(|(other, weight)| (other, (level_uv * weight / norm) as f32))
        .collect()
}

/// Deviation that the filter gives white noise of deviation 1 within [`BAND_HZ`].
fn band_deviation(poles: [f64; 2], gains: [f64; 2], low_pass: f64, rate: f64) -> f64 {
    const N_STEPS: usize = 4000;
    // |1 / (1 − p e^{−iω})| as a complex number.
    let one_pole = |pole: f64, omega: f64| {
        let (re, im) = (1.0 - pole * omega.cos(), pole * omega.sin());
        let square = re * re + im * im;
        (re / square, -im / square)
    };
    let (low, high) = (BAND_HZ.0, BAND_HZ.1.min(rate / 2.0));
    let power: f64 = (0..N_STEPS)
        .map(|step| {
            let omega = std::f64::consts::TAU
                * (low + (high - low) * (step as f64 + 0.5) / N_STEPS as f64)
                / rate;
            let (slow, fast, smooth) = (
                one_pole(poles[0], omega),
                one_pole(poles[1], omega),
                one_pole(low_pass, omega),
            );
            let re = 1.0 + gains[0] * slow.0 + gains[1] * fast.0;
            let im = gains[0] * slow.1 + gains[1] * fast.1;
            (re * re + im * im)
                * (smooth.0 * smooth.0 + smooth.1 * smooth.1)
                * (1.0 - low_pass).powi(2)
        })
        .sum::<f64>()
        / N_STEPS as f64;
    (power * (high - low) / (rate / 2.0)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::super::geometry::geometry;
    use super::*;

    fn model(spec: &RecordingSpec) -> NoiseModel {
        NoiseModel::new(
            spec,
            &geometry(spec.kind, spec.n_channels),
            &vec![1.0; spec.n_channels],
        )
    }

    #[test]
    fn blocks_join_without_a_step() {
        let spec = RecordingSpec {
            n_channels: 4,
            noise_uv: 8.0,
            ..RecordingSpec::default()
        };
        let noise = model(&spec);
        let start = 7 * BLOCK_SAMPLES as u64;
        let mut line = vec![0.0; BLOCK_SAMPLES];
        noise.colour(7, 2, &mut line);
        // The same samples from a filter that was started a whole block earlier.
        let longer = NoiseModel {
            warm_up: noise.warm_up + BLOCK_SAMPLES,
            ..noise.clone()
        };
        let mut reference = vec![0.0; BLOCK_SAMPLES];
        longer.colour(start / BLOCK_SAMPLES as u64 - 1, 2, &mut reference);
        let largest = line
            .iter()
            .zip(&reference)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        // exp(−14) of a slow part with deviation of about 1, and rounding of f32.
        assert!(largest < 1e-4, "{largest}");
    }

    #[test]
    fn neighbours_share_noise_and_distant_contacts_do_not() {
        let spec = RecordingSpec {
            n_channels: 32,
            noise_level_spread: 0.0,
            ..RecordingSpec::default()
        };
        let noise = model(&spec);
        let (mut scratch, mut out) = (Vec::new(), vec![0.0; 32 * BLOCK_SAMPLES]);
        let mut correlation = [0.0f64; 2];
        let mut power = 0.0;
        for block in 0..20 {
            noise.fill_block(block, &mut scratch, &mut out);
            let line = |channel: usize| {
                out[channel * BLOCK_SAMPLES..][..BLOCK_SAMPLES]
                    .windows(2)
                    .map(|pair| f64::from(pair[1] - pair[0]))
            };
            power += line(10).map(|value| value * value).sum::<f64>();
            for (at, other) in [(0, 12), (1, 30)] {
                correlation[at] += line(10).zip(line(other)).map(|(a, b)| a * b).sum::<f64>();
            }
        }
        assert!(
            (0.05..0.7).contains(&(correlation[0] / power)),
            "{correlation:?} {power}"
        );
        assert!(
            (correlation[1] / power).abs() < 0.02,
            "{correlation:?} {power}"
        );
    }
}
