//! The spikes of a sorting, by unit: what every score takes.

use std::collections::BTreeMap;

/// A sorting: for each unit its spikes as sample numbers, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct SpikeTrains {
    /// Samples per second of the recording that the sample numbers count in.
    pub sampling_frequency_hz: f64,
    /// Names of the units, `[units]`.
    pub unit_ids: Vec<i64>,
    /// Spikes of each unit, `[units][spikes]`, ascending sample numbers. A unit may have none.
    pub trains: Vec<Vec<i64>>,
}

impl SpikeTrains {
    /// From one list of spikes: `samples` and `labels`, both `[spikes]`, in any order.
    ///
    /// Unit ids are the labels that occur, ascending. Panics if the lengths differ.
    pub fn from_samples_and_labels(
        sampling_frequency_hz: f64,
        samples: &[i64],
        labels: &[i64],
    ) -> Self {
        assert_eq!(samples.len(), labels.len(), "one label for each spike");
        let mut by_unit: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for (&sample, &label) in samples.iter().zip(labels) {
            by_unit.entry(label).or_default().push(sample);
        }
        let (unit_ids, mut trains): (Vec<i64>, Vec<Vec<i64>>) = by_unit.into_iter().unzip();
        for train in &mut trains {
            if !train.is_sorted() {
                train.sort_unstable();
            }
        }
        Self {
            sampling_frequency_hz,
            unit_ids,
            trains,
        }
    }

    /// Number of units.
    pub fn n_units(&self) -> usize {
        self.unit_ids.len()
    }

    /// Number of spikes of all units together.
    pub fn n_spikes(&self) -> usize {
        self.trains.iter().map(Vec::len).sum()
    }

    /// All spikes as (sample, index of the unit), ascending by sample, then by unit.
    pub(crate) fn in_time_order(&self) -> Vec<(i64, u32)> {
        let mut all = Vec::with_capacity(self.n_spikes());
        for (unit, train) in self.trains.iter().enumerate() {
            all.extend(train.iter().map(|&sample| (sample, unit as u32)));
        }
        all.sort_unstable();
        all
    }

    /// The same sorting with only the units whose id `keep` accepts.
    pub fn filtered(&self, mut keep: impl FnMut(i64) -> bool) -> Self {
        let (unit_ids, trains) = self
            .unit_ids
            .iter()
            .zip(&self.trains)
            .filter(|(id, _)| keep(**id))
            .map(|(id, train)| (*id, train.clone()))
            .unzip();
        Self {
            sampling_frequency_hz: self.sampling_frequency_hz,
            unit_ids,
            trains,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsorted_spikes_become_sorted_trains_of_ascending_units() {
        let trains = SpikeTrains::from_samples_and_labels(30_000.0, &[5, 3, 9, 1], &[7, 2, 7, 7]);
        assert_eq!(trains.unit_ids, [2, 7]);
        assert_eq!(trains.trains, [vec![3], vec![1, 5, 9]]);
        assert_eq!(trains.filtered(|id| id == 2).n_spikes(), 1);
    }
}
