//! Counts, for every pair of units of two sortings, the spikes that coincide within a tolerance.
//!
//! The definition is SpikeInterface's (`make_match_count_matrix`, 0.105.3): walk through the first sorting in time; each
//! of its spikes meets every spike of the second within ± tolerance (inclusive), in time order; a meeting counts for its
//! pair of units unless one of the two spikes was part of the *last* meeting that counted for that pair. The guard only looks at the last
//! one, so a dense burst of the first sorting can use a spike of the second twice; therefore a count is limited to
//! the number of spikes of the second unit. The definition is not symmetric.
//!
//! One sweep with a moving window: time grows with the number of meetings, not with units × units × spikes.

use super::SpikeTrains;

/// Spikes closer than this coincide, in milliseconds: SpikeInterface's default.
pub const DEFAULT_TOLERANCE_MS: f64 = 0.4;

/// The tolerance in samples: rounded down, as SpikeInterface does. 12 at 30 kHz.
pub fn tolerance_samples(tolerance_ms: f64, sampling_frequency_hz: f64) -> i64 {
    // The order of the operations decides about the last bit before truncation; it is SpikeInterface's.
    (tolerance_ms / 1000.0 * sampling_frequency_hz) as i64
}

/// A table over pairs of units, `[first units, second units]`, row-major.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct PairTable<T> {
    /// Units of the first sorting.
    pub n_rows: usize,
    /// Units of the second sorting.
    pub n_columns: usize,
    /// Entries, `[n_rows * n_columns]`, row-major.
    pub values: Vec<T>,
}

impl<T: Copy + Default> PairTable<T> {
    /// All entries at their default.
    pub fn new(n_rows: usize, n_columns: usize) -> Self {
        Self {
            n_rows,
            n_columns,
            values: vec![T::default(); n_rows * n_columns],
        }
    }

    /// The entry of first unit `row` and second unit `column`.
    pub fn at(&self, row: usize, column: usize) -> T {
        self.values[row * self.n_columns + column]
    }

    /// Sets an entry.
    pub fn set(&mut self, row: usize, column: usize, value: T) {
        self.values[row * self.n_columns + column] = value;
    }

    /// Rows and columns exchanged.
    pub fn transposed(&self) -> Self {
        let mut out = Self::new(self.n_columns, self.n_rows);
        for row in 0..self.n_rows {
            for column in 0..self.n_columns {
                out.set(column, row, self.at(row, column));
            }
        }
        out
    }
}

/// Calls `meet(unit_1, spike_1, unit_2, spike_2)` for each meeting that counts; spikes are positions in time order.
pub(crate) fn for_each_match(
    first: &[(i64, u32)],
    second: &[(i64, u32)],
    n_units: (usize, usize),
    tolerance: i64,
    mut meet: impl FnMut(usize, usize, usize, usize),
) {
    const NONE: u32 = u32::MAX;
    let mut last = vec![(NONE, NONE); n_units.0 * n_units.1];
    let mut start = 0;
    for (index_1, &(sample_1, unit_1)) in first.iter().enumerate() {
        while start < second.len() && second[start].0 < sample_1.saturating_sub(tolerance) {
            start += 1;
        }
        for (index_2, &(sample_2, unit_2)) in second.iter().enumerate().skip(start) {
            if sample_2 > sample_1.saturating_add(tolerance) {
                break;
            }
            let guard = &mut last[unit_1 as usize * n_units.1 + unit_2 as usize];
            if guard.0 != index_1 as u32 && guard.1 != index_2 as u32 {
                *guard = (index_1 as u32, index_2 as u32);
                meet(unit_1 as usize, index_1, unit_2 as usize, index_2);
            }
        }
    }
}

/// Matching spikes of every pair of units, `[first units, second units]`; `first` is the truth where there is one.
pub fn count_matches(first: &SpikeTrains, second: &SpikeTrains, tolerance: i64) -> PairTable<u64> {
    let mut counts = unlimited_counts(first, second, tolerance);
    limit_to_second(&mut counts, second);
    counts
}

/// As [`count_matches`], made symmetric as SpikeInterface does it: the larger of both directions, then the limit.
pub fn count_matches_symmetric(
    first: &SpikeTrains,
    second: &SpikeTrains,
    tolerance: i64,
) -> PairTable<u64> {
    let mut counts = unlimited_counts(first, second, tolerance);
    let other = unlimited_counts(second, first, tolerance).transposed();
    for (count, other) in counts.values.iter_mut().zip(other.values) {
        *count = (*count).max(other);
    }
    limit_to_second(&mut counts, second);
    counts
}

fn unlimited_counts(first: &SpikeTrains, second: &SpikeTrains, tolerance: i64) -> PairTable<u64> {
    let mut counts = PairTable::new(first.n_units(), second.n_units());
    let n_columns = counts.n_columns;
    for_each_match(
        &first.in_time_order(),
        &second.in_time_order(),
        (first.n_units(), second.n_units()),
        tolerance,
        |unit_1, _, unit_2, _| {
            counts.values[unit_1 * n_columns + unit_2] += 1;
        },
    );
    counts
}

fn limit_to_second(counts: &mut PairTable<u64>, second: &SpikeTrains) {
    if counts.n_columns == 0 {
        return;
    }
    for row in counts.values.chunks_mut(second.n_units()) {
        for (count, train) in row.iter_mut().zip(&second.trains) {
            *count = (*count).min(train.len() as u64);
        }
    }
}

/// Agreement of every pair: matches / (spikes of the first + spikes of the second − matches); 0 where both are empty.
pub fn agreement(
    counts: &PairTable<u64>,
    first: &SpikeTrains,
    second: &SpikeTrains,
) -> PairTable<f64> {
    let mut out = PairTable::new(counts.n_rows, counts.n_columns);
    for (row, train_1) in first.trains.iter().enumerate() {
        for (column, train_2) in second.trains.iter().enumerate() {
            let matches = counts.at(row, column) as f64;
            let either = train_1.len() as f64 + train_2.len() as f64 - matches;
            out.set(
                row,
                column,
                if either == 0.0 { 0.0 } else { matches / either },
            );
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(train: &[i64]) -> SpikeTrains {
        SpikeTrains {
            sampling_frequency_hz: 30_000.0,
            unit_ids: vec![0],
            trains: vec![train.to_vec()],
        }
    }

    #[test]
    fn the_tolerance_is_inclusive_and_rounded_down() {
        assert_eq!(tolerance_samples(DEFAULT_TOLERANCE_MS, 30_000.0), 12);
        assert_eq!(tolerance_samples(DEFAULT_TOLERANCE_MS, 20_000.0), 8);
        assert_eq!(tolerance_samples(DEFAULT_TOLERANCE_MS, 32_000.0), 12);
        assert_eq!(count_matches(&one(&[100]), &one(&[112]), 12).at(0, 0), 1);
        assert_eq!(count_matches(&one(&[100]), &one(&[113]), 12).at(0, 0), 0);
    }

    #[test]
    fn a_spike_of_either_side_counts_once() {
        assert_eq!(
            count_matches(&one(&[100]), &one(&[95, 100, 105]), 12).at(0, 0),
            1
        );
        assert_eq!(
            count_matches(&one(&[95, 100, 105]), &one(&[100]), 12).at(0, 0),
            1
        );
    }

    #[test]
    fn sortings_without_units_give_an_empty_table() {
        let none = SpikeTrains {
            sampling_frequency_hz: 30_000.0,
            unit_ids: vec![],
            trains: vec![],
        };
        assert_eq!(count_matches(&one(&[1]), &none, 12).values.len(), 0);
        assert_eq!(
            count_matches_symmetric(&none, &one(&[1]), 12).values.len(),
            0
        );
    }
}
