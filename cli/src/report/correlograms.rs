//! Counts of lags and intervals of spike trains, as correlograms and histograms show them.
//!
//! Rates are what a reader compares, so a correlogram comes with the number of spikes that it was counted around: units with many
//! spikes are counted around some of them, which changes the noise of the rate and not its value.

/// Half of the width of a correlogram, ms.
pub const WINDOW_MS: f64 = 50.0;
/// Bin of an autocorrelogram, ms.
pub const AUTO_BIN_MS: f64 = 0.5;
/// Bin of a cross-correlogram, ms.
pub const CROSS_BIN_MS: f64 = 1.0;
/// Spikes around which is counted, at most.
const MAX_REFERENCES: usize = 50_000;
/// Interval histogram: decades from 10^FIRST s, and bins of each.
pub const FIRST_DECADE: f64 = -3.5;
/// Decades of the interval histogram.
pub const DECADES: f64 = 5.0;
/// Bins of a decade.
pub const BINS_PER_DECADE: usize = 12;

/// Counts of lags around some spikes.
#[derive(Debug, PartialEq)]
pub struct Correlogram {
    /// Spikes around which was counted.
    pub n_references: usize,
    /// Lags in each bin.
    pub counts: Vec<u32>,
}

/// Lags from each spike to the later ones of the same train, from 0 to [`WINDOW_MS`] in bins of [`AUTO_BIN_MS`].
///
/// An autocorrelogram is symmetric, so half of it is all of it.
pub fn auto_correlogram(train: &[i64], sampling_frequency_hz: f64) -> Correlogram {
    let bin = AUTO_BIN_MS * sampling_frequency_hz / 1000.0;
    let n = (WINDOW_MS / AUTO_BIN_MS) as usize;
    let end = n as f64 * bin;
    let step = train.len().div_ceil(MAX_REFERENCES).max(1);
    let mut counts = vec![0u32; n];
    for (k, &at) in train.iter().enumerate().step_by(step) {
        for &later in &train[k + 1..] {
            let lag = (later - at) as f64;
            if lag >= end {
                break;
            }
            counts[(lag / bin) as usize] += 1;
        }
    }
    Correlogram {
        n_references: train.len().div_ceil(step),
        counts,
    }
}

/// Lags from each spike of `a` to those of `b`, from −[`WINDOW_MS`] to [`WINDOW_MS`], in bins of [`CROSS_BIN_MS`] of which the middle
/// one is around 0.
pub fn cross_correlogram(a: &[i64], b: &[i64], sampling_frequency_hz: f64) -> Correlogram {
    let bin = CROSS_BIN_MS * sampling_frequency_hz / 1000.0;
    let half = (WINDOW_MS / CROSS_BIN_MS) as usize;
    let reach = (half as f64 + 0.5) * bin;
    let step = a.len().div_ceil(MAX_REFERENCES).max(1);
    let mut counts = vec![0u32; 2 * half + 1];
    let mut first = 0;
    for &at in a.iter().step_by(step) {
        while first < b.len() && ((b[first] - at) as f64) < -reach {
            first += 1;
        }
        for &other in &b[first..] {
            let lag = (other - at) as f64;
            if lag >= reach {
                break;
            }
            counts[((lag + reach) / bin) as usize] += 1;
        }
    }
    Correlogram {
        n_references: a.len().div_ceil(step),
        counts,
    }
}

/// Intervals of a train in bins that are equally wide on a logarithmic scale; the first and last take what is beyond.
pub fn interval_histogram(train: &[i64], sampling_frequency_hz: f64) -> Vec<u32> {
    let n = (DECADES * BINS_PER_DECADE as f64) as usize;
    let mut counts = vec![0u32; n];
    for pair in train.windows(2) {
        let seconds = (pair[1] - pair[0]) as f64 / sampling_frequency_hz;
        // The logarithm of 0 is below all bins, and the cast saturates.
        let bin = (seconds.log10() - FIRST_DECADE) * BINS_PER_DECADE as f64;
        counts[(bin as usize).min(n - 1)] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    const FS: f64 = 10_000.0;

    #[test]
    fn lags_are_counted_in_their_bins() {
        // Lags of 0.4, 0.5 and 0.9 ms, of 49.9 and of 50 ms.
        let auto = auto_correlogram(&[0, 4, 9], FS);
        assert_eq!(auto.n_references, 3);
        assert_eq!((auto.counts[0], auto.counts[1]), (1, 2));
        assert_eq!(auto.counts.iter().sum::<u32>(), 3);
        assert_eq!(auto_correlogram(&[0, 499, 500], FS).counts[99], 1);
        let cross = cross_correlogram(&[1000, 3000], &[1000, 1006, 2490, 3500], FS);
        let found: Vec<(usize, u32)> = cross
            .counts
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, count)| *count > 0)
            .collect();
        // 0 ms, 0.6 ms, −51 ms (outside), 50 ms.
        assert_eq!(found, [(50, 1), (51, 1), (100, 1)]);
    }

    #[test]
    fn a_cross_correlogram_is_the_mirror_image_of_the_other_way_round() {
        let train = |step: i64| -> Vec<i64> { (0..400).map(|k| (k * k * step) % 40_009).collect() };
        let (mut a, mut b) = (train(7), train(11));
        a.sort_unstable();
        b.sort_unstable();
        let there = cross_correlogram(&a, &b, FS).counts;
        let mut back = cross_correlogram(&b, &a, FS).counts;
        back.reverse();
        // A lag on the border of two bins belongs to the later one both ways.
        let differ: i64 = there
            .iter()
            .zip(&back)
            .map(|(x, y)| i64::from(x.abs_diff(*y)))
            .sum();
        let on_border = a
            .iter()
            .flat_map(|a| b.iter().map(move |b| b - a))
            .filter(|lag| lag.rem_euclid(10) == 5)
            .count();
        assert!(differ <= 2 * on_border as i64);
        let all = a
            .iter()
            .flat_map(|a| b.iter().map(move |b| b - a))
            .filter(|lag| (-505..505).contains(lag))
            .count();
        assert_eq!(there.iter().sum::<u32>() as usize, all);
    }

    #[test]
    fn a_rate_does_not_depend_on_how_many_spikes_are_counted_around() {
        let train: Vec<i64> = (0..200_000).map(|k| k * 100).collect();
        let auto = auto_correlogram(&train, FS);
        assert_eq!(auto.n_references, 50_000);
        // A spike every 10 ms: each reference sees one in the bin at 10 ms, but for the last ones.
        assert!(auto.counts[20].abs_diff(50_000) <= 1, "{}", auto.counts[20]);
    }

    #[test]
    fn intervals_are_counted_by_decades() {
        let counts = interval_histogram(&[0, 0, 15, 15 + 1_000_000_000], FS);
        assert_eq!(counts.len(), 60);
        // 0 s; 1.5 ms, 0.68 decades after the first edge; far beyond the last.
        assert_eq!((counts[0], counts[8], counts[59]), (1, 1, 1));
        assert_eq!(counts.iter().sum::<u32>(), 3);
    }
}
