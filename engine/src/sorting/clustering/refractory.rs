//! Evidence from spike times: do two trains come from one cell?

/// What the cross-correlogram says about two spike trains.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Evidence {
    /// Significantly more close pairs than a refractory cell could have: two cells.
    TwoCells,
    /// Significantly fewer close pairs than chance: one cell.
    OneCell,
    /// Too few spikes to tell.
    Unknown,
}

/// Window of the test around zero lag, samples, and the length of the recording.
#[derive(Clone, Copy, Debug)]
pub struct RefractoryTest {
    /// Shortest lag that counts; below it matching may have merged or doubled spikes.
    pub from: i64,
    /// Longest lag that counts (inclusive).
    pub to: i64,
    /// Samples of the recording.
    pub n_samples: i64,
}

/// Level of significance of both tests.
const ALPHA: f64 = 0.02;

impl RefractoryTest {
    /// The test at 0.67 to 2 ms.
    pub fn new(sampling_frequency_hz: f64, n_samples: u64) -> Self {
        let samples = |ms: f64| (ms * sampling_frequency_hz / 1000.0).round() as i64;
        Self {
            from: samples(20.0 / 30.0),
            to: samples(2.0),
            n_samples: n_samples as i64,
        }
    }

    /// Compares the number of close pairs of two sorted trains with what independent trains would have.
    pub fn compare(&self, a: &[i64], b: &[i64]) -> Evidence {
        let (observed, expected) = self.close_pairs(a, b);
        if observed >= 4 && 1.0 - poisson_cdf(observed as i64 - 1, 0.4 * expected) < ALPHA {
            return Evidence::TwoCells;
        }
        if poisson_cdf(observed as i64, 0.5 * expected) < ALPHA {
            Evidence::OneCell
        } else {
            Evidence::Unknown
        }
    }

    /// Whether two trains have so few close pairs that only one cell's refractory period explains it: fewer, significantly,
    /// than a third of chance, which neighbours that avoid one another do not reach.
    pub fn is_surely_one_cell(&self, a: &[i64], b: &[i64]) -> bool {
        let (observed, expected) = self.close_pairs(a, b);
        poisson_cdf(observed as i64, 0.35 * expected) < ALPHA
    }

    /// Close pairs that there are, and that independent trains would have.
    fn close_pairs(&self, a: &[i64], b: &[i64]) -> (usize, f64) {
        let observed = pairs(a, b, self.from, self.to) + pairs(a, b, -self.to, -self.from);
        let width = 2 * (self.to - self.from + 1);
        let expected = a.len() as f64 * b.len() as f64 * width as f64 / self.n_samples as f64;
        (observed, expected)
    }
}

/// Pairs with `from <= b - a <= to`, for sorted trains.
pub fn pairs(a: &[i64], b: &[i64], from: i64, to: i64) -> usize {
    let (mut low, mut high, mut count) = (0, 0, 0);
    for &t in a {
        while low < b.len() && b[low] < t + from {
            low += 1;
        }
        while high < b.len() && b[high] <= t + to {
            high += 1;
        }
        count += high - low;
    }
    count
}

/// Probability of at most `k` events when `mean` are expected.
pub fn poisson_cdf(k: i64, mean: f64) -> f64 {
    if k < 0 {
        return 0.0;
    }
    if mean <= 0.0 {
        return 1.0;
    }
    if mean > 500.0 {
        // Wilson and Hilferty's cube root, accurate to a few parts in a thousand at this size.
        let n = k as f64 + 1.0;
        let z = 3.0 * n.sqrt() * ((mean / n).cbrt() - 1.0 + 1.0 / (9.0 * n));
        return 0.5 * erfc(z / std::f64::consts::SQRT_2);
    }
    let mut term = (-mean).exp();
    let mut sum = term;
    for i in 1..=k {
        term *= mean / i as f64;
        sum += term;
        if i as f64 > mean && term < 1e-17 * sum {
            break;
        }
    }
    sum.min(1.0)
}

/// Complementary error function (Numerical Recipes' rational Chebyshev form, relative error 1.2e-7).
pub fn erfc(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.5 * x.abs());
    let series = [
        -1.265_512_23,
        1.000_023_68,
        0.374_091_96,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_07,
        -1.135_203_98,
        1.488_515_87,
        -0.822_152_23,
        0.170_872_77,
    ];
    let polynomial = series.iter().rev().fold(0.0, |sum, c| sum * t + c);
    let value = t * (-x * x + polynomial).exp();
    if x >= 0.0 { value } else { 2.0 - value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poisson_agrees_with_tables() {
        // scipy.stats.poisson.cdf
        for (k, mean, want) in [
            (3, 5.0, 0.265_025_9),
            (0, 0.5, 0.606_530_7),
            (520, 510.0, 0.681_2),
            (900, 1000.0, 7.3e-4),
        ] {
            let got = poisson_cdf(k, mean);
            assert!((got - want).abs() < 2e-3, "{k} {mean}: {got} {want}");
        }
    }

    #[test]
    fn one_cell_split_in_two_is_recognised() {
        // A train with a 4 ms refractory period, dealt to two units.
        let mut random = super::super::random::Random(1);
        let (mut t, mut a, mut b) = (0i64, Vec::new(), Vec::new());
        for i in 0..20_000 {
            t += 120 + (-(1.0 - random.uniform()).ln() * 1200.0) as i64;
            if i % 2 == 0 { a.push(t) } else { b.push(t) }
        }
        let test = RefractoryTest::new(30000.0, t as u64);
        assert_eq!(test.compare(&a, &b), Evidence::OneCell);
        let shifted: Vec<i64> = b.iter().map(|t| t + 70_000).collect();
        assert_eq!(test.compare(&a, &shifted), Evidence::TwoCells);
    }
}
