//! Shot noise and electronic noise of a pixel, from random words that its position gives.
//!
//! Photons are Poisson. A mean below [`MOST_TABULATED`] is the sum of a mean on a grid of quarters, drawn exactly by inversion through
//! a guide table (Chen & Asau 1974), and of the rest below a quarter, drawn by counting: the sum of independent
//! Poisson numbers is Poisson. Larger means use the normal quantile with the first correction for skewness (Cornish & Fisher 1938), which
//! has the right mean and variance and is within 0.2 % of the distribution function there.
//!
//! The normal quantile comes from a table of 4,096 steps with straight lines between; its tails end at about ± 4.

use std::sync::OnceLock;

/// Means below this are drawn exactly.
pub const MOST_TABULATED: f32 = 48.0;
const STEPS_PER_UNIT: f32 = 4.0;
const N_MEANS: usize = (MOST_TABULATED * STEPS_PER_UNIT) as usize;
const N_GUIDES: usize = 256;
const N_QUANTILES: usize = 4096;

struct PoissonTable {
    /// Smallest count whose distribution function exceeds each 1/256.
    guide: [u8; N_GUIDES],
    /// Distribution function at each count, in 2^−32.
    cumulative: Vec<u32>,
}

/// The tables; made once for all movies.
pub struct Tables {
    poisson: Vec<PoissonTable>,
    quantile: Vec<f32>,
}

/// The tables of this program.
pub fn tables() -> &'static Tables {
    static TABLES: OnceLock<Tables> = OnceLock::new();
    TABLES.get_or_init(|| Tables {
        poisson: (0..N_MEANS)
            .map(|step| poisson_table(step as f64 / f64::from(STEPS_PER_UNIT)))
            .collect(),
        quantile: (0..=N_QUANTILES)
            .map(|step| {
                // The ends stand for the whole tail beyond the last step: its mean, not infinity.
                let share = (step as f64).clamp(0.13, N_QUANTILES as f64 - 0.13);
                normal_quantile(share / N_QUANTILES as f64) as f32
            })
            .collect(),
    })
}

fn poisson_table(mean: f64) -> PoissonTable {
    let mut cumulative = Vec::new();
    let mut probability = (-mean).exp();
    let mut sum = 0.0;
    for count in 1.. {
        sum += probability;
        let scaled = (sum * 4_294_967_296.0).round();
        if scaled >= 4_294_967_295.0 || count > 250 {
            break;
        }
        cumulative.push(scaled as u32);
        probability *= mean / f64::from(count);
    }
    cumulative.push(u32::MAX);
    let mut guide = [0u8; N_GUIDES];
    for (at, guide) in guide.iter_mut().enumerate() {
        let word = (at as u32) << 24;
        *guide = cumulative.partition_point(|&limit| limit <= word) as u8;
    }
    PoissonTable { guide, cumulative }
}

/// Quantile of the standard normal distribution, by Newton's method on its distribution function.
fn normal_quantile(share: f64) -> f64 {
    if share > 0.5 {
        return -normal_quantile(1.0 - share);
    }
    // Lower half only, where the tail is computed without cancellation. Bisection first: Newton alone can leave the tail.
    let (mut low, mut high) = (-8.0, 0.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if lower_tail(middle) < share {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// P(Z < z) for z ≤ 0: the power series of the error function near 0, Laplace's continued fraction beyond (Abramowitz & Stegun
/// 1964, 26.2.11 and 26.2.14).
fn lower_tail(z: f64) -> f64 {
    let density = (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt();
    let x = -z;
    if x < 2.5 {
        let (mut term, mut sum) = (x, x);
        for n in 1..60 {
            term *= x * x / f64::from(2 * n + 1);
            sum += term;
        }
        0.5 - density * sum
    } else {
        let mut fraction = x;
        for n in (1..60).rev() {
            fraction = x + f64::from(n) / fraction;
        }
        density / fraction
    }
}

impl Tables {
    /// A normal value of deviation 1 from a random word.
    #[inline(always)]
    pub fn normal(&self, word: u32) -> f32 {
        let at = (word >> 20) as usize;
        let share = (word & 0xF_FFFF) as f32 * (1.0 / 1_048_576.0);
        let low = self.quantile[at];
        low + share * (self.quantile[at + 1] - low)
    }

    /// A number of photons of mean `mean` (0 or more) from two random words.
    #[inline(always)]
    pub fn photons(&self, mean: f32, words: [u32; 2]) -> f32 {
        if mean < MOST_TABULATED {
            let step = (mean * STEPS_PER_UNIT) as usize;
            let table = &self.poisson[step];
            let mut count = usize::from(table.guide[(words[0] >> 24) as usize]);
            while table.cumulative[count] <= words[0] && count + 1 < table.cumulative.len() {
                count += 1;
            }
            let rest = mean - step as f32 * (1.0 / STEPS_PER_UNIT);
            (count as u32 + few_photons(rest, words[1])) as f32
        } else {
            let z = self.normal(words[0]);
            // Rounding adds a variance of 1/12, which is taken off beforehand.
            let skewed = mean + (mean - 1.0 / 12.0).sqrt() * z + (z * z - 1.0) * (1.0 / 6.0);
            (skewed + 0.5).floor().max(0.0)
        }
    }
}

/// A number of photons of a mean below a quarter: 0 to 4, since more are rarer than a word can tell.
#[inline(always)]
fn few_photons(mean: f32, word: u32) -> u32 {
    let uniform = (word >> 8) as f32 * (1.0 / 16_777_216.0);
    // exp(−mean) to 1e-7 for a mean below a quarter.
    let none = 1.0
        - mean
            * (1.0
                - mean * (0.5 - mean * (1.0 / 6.0 - mean * (1.0 / 24.0 - mean * (1.0 / 120.0)))));
    if uniform < none {
        return 0;
    }
    let (mut probability, mut sum, mut count) = (none, none, 0);
    while uniform >= sum && count < 4 {
        count += 1;
        probability *= mean / count as f32;
        sum += probability;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::philox::Stream;

    #[test]
    fn photons_have_the_distribution_of_poisson() {
        let tables = tables();
        let mut random = Stream::new(11, 0);
        let n = 400_000;
        for mean in [0.03f32, 0.24, 0.6, 3.1, 11.0, 47.9, 60.3, 400.0] {
            let (mut sum, mut squares, mut cubes) = (0.0f64, 0.0f64, 0.0f64);
            for _ in 0..n {
                let count = tables.photons(mean, [random.word(), random.word()]);
                let apart = f64::from(count) - f64::from(mean);
                sum += apart;
                squares += apart * apart;
                cubes += apart * apart * apart;
            }
            let m = f64::from(mean);
            let (shift, variance, third) = (sum / n as f64, squares / n as f64, cubes / n as f64);
            // Five standard errors of each moment of a Poisson sample; the third's is that of its sixth moment.
            let n = n as f64;
            assert!(shift.abs() < 5.0 * (m / n).sqrt(), "{mean}: mean {shift}");
            assert!(
                (variance - m).abs() < 5.0 * ((m + 2.0 * m * m) / n).sqrt() + 0.002 * m,
                "{mean}: variance {variance}"
            );
            let sixth = 15.0 * m.powi(3) + 25.0 * m * m + m;
            assert!(
                (third - m).abs() < 5.0 * (sixth / n).sqrt() + 0.02 * m,
                "{mean}: third moment {third}"
            );
        }
        assert_eq!(tables.photons(0.0, [u32::MAX, u32::MAX]), 0.0);
    }

    #[test]
    fn counts_are_as_frequent_as_the_formula_says() {
        let tables = tables();
        let mut random = Stream::new(2, 5);
        let (mean, n) = (2.35f64, 300_000);
        let mut seen = [0u32; 12];
        for _ in 0..n {
            let count = tables.photons(mean as f32, [random.word(), random.word()]);
            seen[(count as usize).min(11)] += 1;
        }
        let mut probability = (-mean).exp();
        for (count, &seen) in seen.iter().enumerate().take(9) {
            let expected = probability * f64::from(n);
            // Five deviations of a binomial count.
            assert!(
                (f64::from(seen) - expected).abs() < 5.0 * expected.sqrt() + 1.0,
                "{count}: {seen} instead of {expected}"
            );
            probability *= mean / (count + 1) as f64;
        }
    }

    #[test]
    fn the_normal_table_has_the_moments_of_its_distribution() {
        let tables = tables();
        // Every 1,009th word: an even grid of shares, so that only the table's own error remains.
        let values: Vec<f64> = (0..u32::MAX)
            .step_by(1009)
            .map(|word| f64::from(tables.normal(word)))
            .collect();
        let moment = |power: i32| {
            values.iter().map(|value| value.powi(power)).sum::<f64>() / values.len() as f64
        };
        assert!(moment(1).abs() < 1e-4, "{}", moment(1));
        assert!((moment(2) - 1.0).abs() < 1e-3, "{}", moment(2));
        // The cut tails take about 1 % of the fourth moment.
        assert!((moment(4) - 3.0).abs() < 0.05, "{}", moment(4));
        // 1.96 deviations leave 2.5 % on either side.
        assert!((normal_quantile(0.025) + 1.959_963_984_5).abs() < 1e-9);
        assert!((normal_quantile(0.001) + 3.090_232_306_2).abs() < 1e-9);
    }
}
