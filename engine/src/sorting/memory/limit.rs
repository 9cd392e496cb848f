//! A limit on memory: how many threads it allows, before a sort and on the way.

use std::fmt::{self, Display, Formatter};

use super::{Need, whole};
use crate::{
    error::{EngineError, Result},
    parameters::sorting::SortingParameters,
    recording::RecordingInfo,
    sorting::{match_tables::MatchTables, motion::interpolation::MAX_GROUPS},
};

/// Sets of moved templates at most.
pub const MOST_SETS: usize = MAX_GROUPS;
/// Sets of moved templates at least: tissue may go back and forth between two.
pub const FEWEST_SETS: usize = 2;

/// A part of what is allowed that stays free, as a part of the estimate: that is how far it is off where nothing is unusual.
const MARGIN: f64 = 0.15;

/// Bytes that should be allowed where so many are estimated.
pub fn with_margin(estimated: u64) -> u64 {
    (estimated as f64 * (1.0 + MARGIN)) as u64
}

/// Threads, up to `most`, and sets of moved templates that `estimate` (of threads and sets) lets have within `allowed` bytes: as many
/// threads as there can be, then as many sets. Sets that are not held cost less time than threads that are missing. Nothing when one
/// thread takes more.
pub fn share(
    most: usize,
    allowed: u64,
    estimate: impl Fn(usize, usize) -> u64,
) -> Option<(usize, usize)> {
    let threads = (1..=most)
        .rev()
        .find(|&threads| estimate(threads, FEWEST_SETS) <= allowed)?;
    let sets = (FEWEST_SETS..=MOST_SETS)
        .rev()
        .find(|&sets| estimate(threads, sets) <= allowed);
    Some((threads, sets.unwrap_or(FEWEST_SETS)))
}

/// Numbers that show only on the way.
#[derive(Clone, Copy, Debug)]
pub(in crate::sorting) enum Found {
    /// What clustering found: clusters, events in them, and spikes of the last matching beside them.
    Clusters {
        n_labels: usize,
        n_events: usize,
        n_spikes: usize,
        /// Templates of that matching, which are held beside the clusters' waveforms.
        known: Sizes,
    },
    /// Templates.
    Templates(Sizes),
}

/// Sizes of templates at rest.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::sorting) struct Sizes {
    n_units: usize,
    /// Pairs that interact.
    n_pairs: usize,
    /// Channels of all together.
    n_entries: usize,
}

impl Sizes {
    pub(in crate::sorting) fn of(tables: &MatchTables) -> Self {
        Self {
            n_units: tables.n_units(),
            n_pairs: tables.n_pairs(),
            n_entries: tables.units.iter().map(|unit| unit.channels.len()).sum(),
        }
    }
}

impl Display for Found {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Found::Clusters { n_labels, .. } => write!(f, "waveforms of {n_labels} clusters"),
            Found::Templates(sizes) => write!(f, "templates of {} units", sizes.n_units),
        }
    }
}

/// A limit on memory that is looked at on the way.
pub(in crate::sorting) struct Limit<'a> {
    pub(in crate::sorting) info: &'a RecordingInfo,
    pub(in crate::sorting) parameters: &'a SortingParameters,
    pub(in crate::sorting) bytes: u64,
    /// Threads at most.
    pub(in crate::sorting) threads: usize,
    pub(in crate::sorting) keep_whitened: bool,
    /// Whether there are sets of templates of moved tissue.
    pub(in crate::sorting) moves: bool,
}

impl Limit<'_> {
    /// Threads and sets of templates that the next stages may have, whatever the estimate beforehand said.
    ///
    /// # Errors
    /// When one thread would take more than is allowed.
    pub(in crate::sorting) fn share(&self, found: Found) -> Result<(usize, usize)> {
        let bytes = |threads: usize, sets: usize| {
            let sets = if self.moves { sets } else { 1 };
            let need = Need::new(
                self.info,
                self.parameters,
                threads,
                sets,
                self.keep_whitened,
            );
            with_margin(whole(need.after(found)))
        };
        share(self.threads, self.bytes, bytes).ok_or_else(|| EngineError::Memory {
            what: found.to_string(),
            needed: bytes(1, FEWEST_SETS),
            allowed: self.bytes,
        })
    }
}

impl Need<'_> {
    /// The largest of the stages that follow on what was found.
    fn after(mut self, found: Found) -> f64 {
        match found {
            Found::Clusters {
                n_labels,
                n_events,
                n_spikes,
                known,
            } => {
                self = self.with(known);
                self.n_labels = n_labels as f64;
                self.n_events = n_events as f64;
                self.n_spikes = n_spikes as f64;
                self.templates()
            }
            Found::Templates(sizes) => self.with(sizes).matching(),
        }
    }

    /// With templates of these sizes.
    fn with(mut self, sizes: Sizes) -> Self {
        self.n_units = sizes.n_units as f64;
        self.known = Some((sizes.n_pairs as f64, sizes.n_entries as f64));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        recording::{Contact, SampleType, Segment},
        sorting::memory::estimate,
    };

    /// Ten minutes of channels in a line.
    fn info(n_channels: usize) -> RecordingInfo {
        let n_samples = 600 * 30_000;
        RecordingInfo {
            sampling_frequency_hz: 30_000.0,
            n_samples,
            segments: vec![Segment {
                start: 0,
                n_samples,
            }],
            sample_type: SampleType::I16,
            gains_uv: vec![1.0; n_channels],
            offsets_uv: vec![0.0; n_channels],
            sample_delay: None,
            contacts: (0..n_channels)
                .map(|channel| Contact {
                    x_um: 0.0,
                    y_um: 20.0 * channel as f64,
                    shank: 0,
                })
                .collect(),
            identity: String::new(),
        }
    }

    #[test]
    fn threads_come_before_sets_of_templates() {
        let bytes = |threads: usize, sets: usize| (100 * threads + sets) as u64;
        assert_eq!(share(4, 10_000, bytes), Some((4, MOST_SETS)));
        assert_eq!(share(4, 405, bytes), Some((4, 5)));
        assert_eq!(share(4, 401, bytes), Some((3, MOST_SETS)));
        assert_eq!(share(4, 102, bytes), Some((1, FEWEST_SETS)));
        assert_eq!(share(4, 101, bytes), None);
    }

    #[test]
    fn what_was_assumed_changes_nothing_and_more_takes_threads_until_it_does_not_fit() {
        let (info, parameters) = (info(64), SortingParameters::default());
        let limit = Limit {
            info: &info,
            parameters: &parameters,
            bytes: with_margin(estimate(&info, &parameters, 4, MOST_SETS, true)),
            threads: 4,
            keep_whitened: true,
            moves: true,
        };
        let sizes = |n_units: usize| Sizes {
            n_units,
            n_pairs: 20 * n_units,
            n_entries: 20 * n_units,
        };
        let templates = |n_units: usize| Found::Templates(sizes(n_units));
        assert_eq!(limit.share(templates(32)).unwrap(), (4, MOST_SETS));
        let clusters = |n_labels: usize| Found::Clusters {
            n_labels,
            n_events: 100_000,
            n_spikes: 200_000,
            known: sizes(32),
        };
        assert_eq!(limit.share(clusters(64)).unwrap(), (4, MOST_SETS));
        let (mut before, mut n_units) = ((4, MOST_SETS), 32);
        let error = loop {
            match limit.share(templates(n_units)) {
                Ok(share) => {
                    assert!(
                        share <= before,
                        "{n_units} units: {share:?} after {before:?}"
                    );
                    before = share;
                }
                Err(error) => break error,
            }
            n_units += n_units / 4;
        };
        assert_eq!(before.0, 1, "one thread was tried");
        let EngineError::Memory {
            needed, allowed, ..
        } = error
        else {
            panic!("{error}");
        };
        assert!(needed > allowed && allowed == limit.bytes);
        assert!(limit.share(clusters(100_000)).is_err());
        // What the error asks for is enough.
        let enough = Limit {
            bytes: needed,
            ..limit
        };
        assert_eq!(enough.share(templates(n_units)).unwrap().0, 1);
    }
}
