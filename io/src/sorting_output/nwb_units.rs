//! A sorting in an NWB file: `/units`, and the electrodes and the probe in `/general`.
//!
//! | column of `/units` | content |
//! |---|---|
//! | `id` | ids of the units |
//! | `spike_times` | s after the start of the session; on the clock of the acquisition where the recording has pauses |
//! | `obs_intervals` | stretches without pause, s, where the length of the recording is known |
//! | `waveform_mean` | `[units, samples, electrodes]`, V: mean of the templates of its spikes, where they are in µV |
//! | `waveform_sd` | the same, V: standard deviation of the waveforms, where it is known; not a number on electrodes where it was not measured |
//! | `electrodes` | rows of `/general/extracellular_ephys/electrodes`: those of the waveform, in its order |
//! | `spike_amplitudes`, `spike_positions_um` | of each spike, in the order of `spike_times`, where they are known |
//! | the others | `n_spikes`, counted, and what the tables of the sorting say: quality metrics and labels |
//!
//! `/general/extracellular_ephys/electrodes` has a row a sorted channel: `location`, `group` (an `ElectrodeGroup` a shank), `rel_x` and
//! `rel_y` (µm), and `raw_column`, its column in the raw file.

use super::phy_reader::PhySorting;
use super::phy_templates::{PhyElectrodes, UnitWaveforms};
use super::spike_tables::unit_columns;
use crate::error::IoError;
use crate::hdf5_writer::{Attribute, AttributeValue, Hdf5Element, ObjectAddress, RowDataset};
use crate::nwb_file::table::NwbTable;
use crate::nwb_file::{Neurodata, NwbWriter, object_name};

/// What is not in the sorting's folder.
#[derive(Clone, PartialEq, Debug)]
pub struct NwbProbe {
    /// Name of the probe.
    pub name: String,
    /// What it is.
    pub description: String,
    /// Who made it.
    pub manufacturer: Option<String>,
    /// Where in the brain it was.
    pub location: String,
    /// When the recording begins, s after the start of the session.
    pub start_s: f64,
    /// Samples of the recording, where they are known.
    pub n_samples: Option<u64>,
    /// Time from the start of a waveform to its trough, ms, where it is known.
    pub before_trough_ms: Option<f64>,
}

/// Writes the sorting with what is known of its electrodes and waveforms.
///
/// # Errors
/// When a waveform cannot be read, the waveforms are of other electrodes, or the file cannot be written.
pub fn write_nwb_units(
    nwb: &mut NwbWriter,
    sorting: &PhySorting,
    electrodes: Option<&PhyElectrodes>,
    waveforms: Option<&UnitWaveforms>,
    probe: &NwbProbe,
) -> Result<(), IoError> {
    if let (Some(electrodes), Some(waveforms)) = (electrodes, waveforms) {
        let n = electrodes.positions_um.len();
        if waveforms.n_electrodes != n {
            return Err(IoError::BadTables {
                path: nwb.path().to_owned(),
                what: format!("waveforms on {} electrodes of {n}", waveforms.n_electrodes),
            });
        }
    }
    let region = match electrodes {
        Some(electrodes) => Some(write_electrodes(nwb, electrodes, probe)?),
        None => None,
    };
    let mut spikes_of: Vec<Vec<usize>> = sorting
        .n_spikes_of_units()
        .iter()
        .map(|&n| Vec::with_capacity(n))
        .collect();
    for (spike, &unit) in sorting.spike_units.iter().enumerate() {
        spikes_of[unit].push(spike);
    }
    let units = Units {
        sorting,
        probe,
        ends: running_sum(spikes_of.iter().map(|spikes| spikes.len() as u64)),
        spikes_of,
    };
    let mut table = NwbTable::new(nwb, "units", &sorting.unit_ids)?;
    units.spike_times(&mut table)?;
    units.observed(&mut table)?;
    if let Some(waveforms) = waveforms {
        units.waveforms(&mut table, waveforms)?;
        if let Some(region) = region {
            units.electrodes(&mut table, waveforms.n_electrodes, region)?;
        }
    }
    units.of_spikes(&mut table)?;
    units.of_tables(&mut table)?;
    table.finish(
        Neurodata::core("Units"),
        "units that spike sorting found, with quality metrics and labels",
    )?;
    Ok(())
}

/// Values of a unit, or why they cannot be read.
type UnitValues = Result<Vec<f64>, IoError>;

/// What the columns of the table of units are made from.
struct Units<'a> {
    sorting: &'a PhySorting,
    probe: &'a NwbProbe,
    /// Spikes of each unit, in order of time.
    spikes_of: Vec<Vec<usize>>,
    /// Where the spikes of each unit end, when they follow each other.
    ends: Vec<u64>,
}

impl Units<'_> {
    /// Time of a sample, s after the start of the session.
    fn time_s(&self, sample: i64) -> f64 {
        let first = self.sorting.segments.first();
        let in_recording = match (self.sorting.clock_time_s(sample), first) {
            // The clock of an acquisition may have run before; the recording begins at 0.
            (Some(clock), Some(first)) => clock - first.start_time_s,
            _ => self.sorting.time_s(sample),
        };
        self.probe.start_s + in_recording
    }

    /// A column with `WIDTH` numbers a spike, unit after unit.
    fn spike_column<T: Hdf5Element, const WIDTH: usize>(
        &self,
        table: &mut NwbTable,
        name: &str,
        description: &str,
        more: &[Attribute],
        value: impl Fn(usize) -> [T; WIDTH],
    ) -> Result<(), IoError> {
        let n_spikes = self.sorting.spike_samples.len();
        let shape = [n_spikes, WIDTH];
        let shape = if WIDTH == 1 { &shape[..1] } else { &shape };
        let at = table.column(name, description, more, |hdf5, attributes| {
            let mut rows = RowDataset::new(T::datatype(), shape);
            for spikes in &self.spikes_of {
                rows.append_values(hdf5, spikes.iter().flat_map(|&spike| value(spike)))?;
            }
            rows.finish(hdf5, attributes)
        })?;
        table.index(name, &self.ends, at)
    }

    fn spike_times(&self, table: &mut NwbTable) -> Result<(), IoError> {
        let period_s = 1.0 / self.sorting.sampling_frequency_hz;
        let resolution = Attribute::new("resolution", AttributeValue::Float64(period_s));
        self.spike_column(
            table,
            "spike_times",
            "times of the spikes of each unit, in seconds after the start of the session",
            &[resolution],
            |spike| [self.time_s(self.sorting.spike_samples[spike])],
        )
    }

    /// When units were observed: in every stretch without pause.
    fn observed(&self, table: &mut NwbTable) -> Result<(), IoError> {
        let Some(n_samples) = self.probe.n_samples.and_then(|n| i64::try_from(n).ok()) else {
            return Ok(());
        };
        let mut starts: Vec<i64> = self
            .sorting
            .segments
            .iter()
            .map(|s| s.start_sample)
            .collect();
        if starts.is_empty() {
            starts.push(0);
        }
        let ends = starts.iter().skip(1).copied().chain([n_samples]);
        let period_s = 1.0 / self.sorting.sampling_frequency_hz;
        let stretches: Vec<[f64; 2]> = starts
            .iter()
            .zip(ends)
            .map(|(&start, end)| {
                let start_s = self.time_s(start);
                [start_s, start_s + (end - start).max(0) as f64 * period_s]
            })
            .collect();
        let n_units = self.sorting.unit_ids.len();
        let ends = running_sum((0..n_units).map(|_| stretches.len() as u64));
        let at = table.column(
            "obs_intervals",
            "stretches of the recording without pause, in seconds after the start of the session",
            &[],
            |hdf5, attributes| {
                let shape = [n_units * stretches.len(), 2];
                let mut rows = RowDataset::new(f64::datatype(), &shape);
                for _ in 0..n_units {
                    rows.append_values(hdf5, stretches.as_flattened().iter().copied())?;
                }
                rows.finish(hdf5, attributes)
            },
        )?;
        table.index("obs_intervals", &ends, at)
    }

    fn waveforms(&self, table: &mut NwbTable, waveforms: &UnitWaveforms) -> Result<(), IoError> {
        let rate = self.sorting.sampling_frequency_hz;
        let mut more = vec![
            Attribute::text("unit", "volts"),
            Attribute::new("sampling_rate", AttributeValue::Float64(rate)),
        ];
        if let Some(before_ms) = self.probe.before_trough_ms {
            let before = AttributeValue::Float64(before_ms);
            more.push(Attribute::new("time_before_peak_in_ms", before));
        }
        let n_units = self.sorting.unit_ids.len();
        let shape = [n_units, waveforms.n_samples, waveforms.n_electrodes];
        let mut column = |name: &str, description: &str, of: &dyn Fn(usize) -> UnitValues| {
            table.column(name, description, &more, |hdf5, attributes| {
                let mut rows = RowDataset::new(f32::datatype(), &shape);
                for unit in 0..n_units {
                    let volts = of(unit)?.into_iter().map(|value| (value * 1e-6) as f32);
                    rows.append_values(hdf5, volts)?;
                }
                rows.finish(hdf5, attributes)
            })
        };
        column(
            "waveform_mean",
            "mean waveform of each unit after filter and common reference, on the electrodes of the column `electrodes`",
            &|unit| waveforms.read_uv(unit),
        )?;
        if waveforms.has_deviations() {
            column(
                "waveform_sd",
                "standard deviation of the waveforms of each unit after filter and common reference, on the electrodes of the column `electrodes`; not a number where it was not measured",
                &|unit| Ok(waveforms.read_sd_uv(unit)?.unwrap_or_default()),
            )?;
        }
        Ok(())
    }

    /// The electrodes of the waveforms: all, of every unit.
    fn electrodes(
        &self,
        table: &mut NwbTable,
        n_electrodes: usize,
        region: ObjectAddress,
    ) -> Result<(), IoError> {
        let n_units = self.sorting.unit_ids.len();
        let ends = running_sum((0..n_units).map(|_| n_electrodes as u64));
        table.regions(
            "electrodes",
            "electrodes of the waveform of each unit, in its order",
            &ends,
            region,
            |hdf5, attributes| {
                let mut rows = RowDataset::new(i64::datatype(), &[n_units * n_electrodes]);
                for _ in 0..n_units {
                    rows.append_values(hdf5, 0..n_electrodes as i64)?;
                }
                rows.finish(hdf5, attributes)
            },
        )
    }

    /// What is known of each spike.
    fn of_spikes(&self, table: &mut NwbTable) -> Result<(), IoError> {
        let sorting = self.sorting;
        if let Some(amplitudes) = &sorting.amplitudes {
            self.spike_column(
                table,
                "spike_amplitudes",
                "amplitude of each spike, in the order of spike_times; of somata in multiples of the template, of other sorters in their unit",
                &[],
                |spike| [amplitudes[spike]],
            )?;
        }
        if let Some(positions) = &sorting.spike_positions_um {
            self.spike_column(
                table,
                "spike_positions_um",
                "x and y of each spike on the probe in micrometres, in the order of spike_times",
                &[],
                |spike| positions[spike].map(|along| along as f32),
            )?;
        }
        Ok(())
    }

    /// What the tables of the sorting say of each unit.
    fn of_tables(&self, table: &mut NwbTable) -> Result<(), IoError> {
        for column in unit_columns(self.sorting).iter().skip(1) {
            let mut name = object_name(&column.name);
            // A table of another program may use a word of the format's, or the same name with another character.
            while table.has(&name) || RESERVED.contains(&name.as_str()) {
                name.insert_str(0, "table_");
            }
            table.named(&name, description(&column.name), column)?;
        }
        Ok(())
    }
}

/// Columns that have a meaning in the format.
const RESERVED: [&str; 5] = [
    "electrodes",
    "electrode_group",
    "waveform_mean",
    "waveform_sd",
    "waveforms",
];

/// What a column of the tables of a sorting holds.
fn description(name: &str) -> &'static str {
    match name {
        "n_spikes" => "number of spikes",
        "label" => "label that the sorter gave: good or mua",
        "group" => "label, after curation in phy where there was one: good, mua or noise",
        "KSLabel" => "label that the sorter gave: good or mua",
        "main_channel" => "channel of the recording on which the waveform is largest, from 0",
        "x_um" => "x of the unit on the probe, mean of its spikes, in micrometres",
        "y_um" => "y of the unit on the probe, mean of its spikes, in micrometres",
        "shank" => "shank of the main channel",
        "template_norm" => "norm of the whitened template, in standard deviations of the noise",
        "firing_rate_hz" => "spikes per second of the recording",
        "presence_ratio" => "share of one-minute bins in which the unit fires",
        "snr" => "size of the mean waveform on the main channel over the noise there",
        "isi_violations_count" => {
            "intervals between spikes that are shorter than the refractory period"
        }
        "isi_violations_ratio" => {
            "rate of false spikes over the rate of all, from the intervals that are too short"
        }
        "rp_contamination" => "share of spikes of other neurons, from the refractory period",
        "amplitude_median_uv" => "median amplitude of the spikes, in microvolts",
        "amplitude_cutoff" => "share of spikes that are missing below the detection threshold",
        "Amplitude" => "size of the waveform; of somata in microvolts",
        "ContamPct" => "spikes of other neurons, in per cent",
        _ => "from the tables of the sorting",
    }
}

/// Writes probe, shanks and electrodes; returns the table of electrodes.
fn write_electrodes(
    nwb: &mut NwbWriter,
    electrodes: &PhyElectrodes,
    probe: &NwbProbe,
) -> Result<ObjectAddress, IoError> {
    let device = nwb.device(
        &probe.name,
        &probe.description,
        probe.manufacturer.as_deref(),
    )?;
    let mut shanks = electrodes.shanks.clone();
    shanks.sort_unstable();
    shanks.dedup();
    let mut groups = Vec::with_capacity(shanks.len());
    for shank in &shanks {
        let path = format!("general/extracellular_ephys/{}", group_name(*shank));
        nwb.place(&format!("{path}/device"), device.clone());
        let text = format!("shank {shank} of the probe");
        groups.push(nwb.close_typed(
            &path,
            Neurodata::core("ElectrodeGroup"),
            &[("description", &text), ("location", &probe.location)],
        )?);
    }
    let n = electrodes.positions_um.len();
    let ids: Vec<i64> = (0..n as i64).collect();
    let group_of = |shank: &i64| {
        let place = shanks.binary_search(shank);
        groups[place.expect("gathered from these")]
    };
    let along = |axis: usize| {
        let places = electrodes.positions_um.iter();
        places.map(|place| place[axis] as f32).collect::<Vec<f32>>()
    };
    let mut table = NwbTable::new(nwb, "general/extracellular_ephys/electrodes", &ids)?;
    table.texts(
        "location",
        "where in the brain the electrode was",
        &vec![probe.location.as_str(); n],
    )?;
    let of_electrodes: Vec<ObjectAddress> = electrodes.shanks.iter().map(group_of).collect();
    table.references("group", "group of the electrode: its shank", &of_electrodes)?;
    let names: Vec<String> = electrodes.shanks.iter().map(|&s| group_name(s)).collect();
    table.texts("group_name", "name of the group of the electrode", &names)?;
    table.numbers(
        "rel_x",
        "x on the probe, across the shanks, in micrometres",
        &along(0),
    )?;
    table.numbers(
        "rel_y",
        "y on the probe, along the shanks, in micrometres",
        &along(1),
    )?;
    if let Some(columns) = &electrodes.columns {
        table.numbers(
            "raw_column",
            "column of the electrode in the raw file, from 0",
            columns,
        )?;
    }
    table.finish(
        Neurodata::core("ElectrodesTable"),
        "electrodes that were sorted",
    )
}

fn group_name(shank: i64) -> String {
    format!("shank{shank}")
}

/// Sums of the first numbers.
fn running_sum(lengths: impl Iterator<Item = u64>) -> Vec<u64> {
    lengths
        .scan(0, |sum, length| {
            *sum += length;
            Some(*sum)
        })
        .collect()
}
