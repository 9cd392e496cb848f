//! The known answer of a simulated recording, and its file `truth.npz`.
//!
//! The file's arrays: `samples` int64 `[spikes]`, `labels` int64 `[spikes]` (index of the unit), `unit_locations` float64
//! `[units, 3]` µm, `fs` float64 scalar, and, where the simulator knows the movement, `displacement_time_s` `[times]`,
//! `displacement_depth_um` `[depths]`, `displacement_um` `[times, depths]`. SpikeInterface's recordings of
//! `shared/bench/make_recording.py` have the first four.

use std::io::{Read, Seek, Write};
use std::path::Path;

use npyz::WriterBuilder;
use npyz::npz::{NpzArchive, NpzWriter};

use super::displacement::Displacement;
use crate::arrays::check_member;
use crate::error::{Result, ValidationError};
use crate::score::SpikeTrains;

/// Units, spikes and movement of a recording.
#[derive(Debug, Clone, PartialEq)]
pub struct GroundTruth {
    /// Samples per second.
    pub sampling_frequency_hz: f64,
    /// Sample of each spike's trough on its unit's main channel at rest, `[spikes]`, ascending.
    pub samples: Vec<i64>,
    /// Index of each spike's unit, `[spikes]`.
    pub labels: Vec<i64>,
    /// Position of each unit at rest, `[units]` of (x, y, z), µm.
    pub unit_locations_um: Vec<[f64; 3]>,
    /// How the tissue moves, where that is known.
    pub displacement: Option<Displacement>,
}

impl GroundTruth {
    /// The spikes by unit. Units without a spike are left out, as SpikeInterface does when it reads labels.
    pub fn spike_trains(&self) -> SpikeTrains {
        SpikeTrains::from_samples_and_labels(
            self.sampling_frequency_hz,
            &self.samples,
            &self.labels,
        )
    }

    /// Locations in the order of the units of [`Self::spike_trains`], `[units with spikes]`, µm.
    pub fn locations_of(&self, trains: &SpikeTrains) -> Vec<[f64; 3]> {
        trains
            .unit_ids
            .iter()
            .map(|&unit| self.unit_locations_um[unit as usize])
            .collect()
    }

    /// Writes `truth.npz`; the bytes depend on nothing but the content.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_npz(&self, path: &Path) -> Result<()> {
        let write = || -> std::io::Result<()> {
            let mut archive = NpzWriter::create(path)?;
            let n_spikes = [self.samples.len() as u64];
            add_array(
                &mut archive,
                "samples",
                &n_spikes,
                self.samples.iter().copied(),
            )?;
            add_array(
                &mut archive,
                "labels",
                &n_spikes,
                self.labels.iter().copied(),
            )?;
            add_array(
                &mut archive,
                "unit_locations",
                &[self.unit_locations_um.len() as u64, 3],
                self.unit_locations_um.iter().flatten().copied(),
            )?;
            add_array(&mut archive, "fs", &[], [self.sampling_frequency_hz])?;
            if let Some(displacement) = &self.displacement {
                let (times, depths) = (&displacement.time_bins_s, &displacement.depth_bins_um);
                add_array(
                    &mut archive,
                    "displacement_time_s",
                    &[times.len() as u64],
                    times.iter().copied(),
                )?;
                add_array(
                    &mut archive,
                    "displacement_depth_um",
                    &[depths.len() as u64],
                    depths.iter().copied(),
                )?;
                add_array(
                    &mut archive,
                    "displacement_um",
                    &[times.len() as u64, depths.len() as u64],
                    displacement.values_um.iter().flatten().copied(),
                )?;
            }
            archive.zip_writer().finish()?.flush()
        };
        write().map_err(|source| ValidationError::io("write", path, source))
    }
}

pub(crate) fn add_array<W: Write + Seek, T: npyz::AutoSerialize>(
    archive: &mut NpzWriter<W>,
    name: &str,
    shape: &[u64],
    values: impl IntoIterator<Item = T>,
) -> std::io::Result<()> {
    // The zip crate's options type is not re-exported by npyz; it is named by the method that takes it. The fixed date (1980) instead
    // of today's makes equal truths equal files.
    fn options_for<'a, W, O: Default, R>(_taken_by: fn(&'a mut NpzWriter<W>, &str, O) -> R) -> O
    where
        W: Write + Seek + 'a,
    {
        O::default()
    }
    let options = options_for(NpzWriter::<W>::array::<T>)
        .last_modified_time(Default::default())
        .large_file(true);
    let mut writer = archive
        .array(name, options)?
        .default_dtype()
        .shape(shape)
        .begin_nd()?;
    writer.extend(values)?;
    writer.finish()
}

/// Largest number of a sample that is taken for one, as in a phy folder.
const LAST_SAMPLE: u64 = 1 << 52;

/// Reads the `truth.npz` of this simulator or of `make_recording.py`. Without a movement in the file there is none.
///
/// # Errors
/// If the file cannot be read, an array is missing, or their sizes do not agree.
pub fn read_truth(path: &Path) -> Result<GroundTruth> {
    let bad = |reason: String| ValidationError::bad_file(path, reason);
    let file =
        std::fs::File::open(path).map_err(|source| ValidationError::io("read", path, source))?;
    let mut archive = NpzArchive::new(std::io::BufReader::new(file))
        .map_err(|source| bad(format!("it is no npz file ({source})")))?;
    let mut floats = |name: &str| -> Result<Option<(Vec<u64>, Vec<f64>)>> {
        check_member(path, &mut archive, name)
            .map_err(|reason| bad(format!("array `{name}`: {reason}")))?;
        let array = archive
            .by_name(name)
            .map_err(|source| bad(format!("array `{name}`: {source}")))?;
        let read = |array: npyz::NpyFile<_>| {
            Ok((
                array.shape().to_vec(),
                floats_of(array).map_err(|reason| bad(format!("array `{name}`: {reason}")))?,
            ))
        };
        array.map(read).transpose()
    };
    let missing = |name: &str| bad(format!("it has no array `{name}`"));
    let (shape, locations) = floats("unit_locations")?.ok_or_else(|| missing("unit_locations"))?;
    let (_, rate) = floats("fs")?.ok_or_else(|| missing("fs"))?;
    let sampling_frequency_hz = *rate.first().ok_or_else(|| missing("fs"))?;
    let n_coordinates = match shape[..] {
        [_, n @ 2..=3] => n as usize,
        _ => {
            return Err(bad(format!(
                "`unit_locations` has shape {shape:?} and not [units, 3]"
            )));
        }
    };
    let unit_locations_um: Vec<[f64; 3]> = locations
        .chunks_exact(n_coordinates)
        .map(|place| [place[0], place[1], place.get(2).copied().unwrap_or(0.0)])
        .collect();
    let displacement = match (
        floats("displacement_time_s")?,
        floats("displacement_depth_um")?,
        floats("displacement_um")?,
    ) {
        (Some((_, time_bins_s)), Some((_, depth_bins_um)), Some((_, values))) => {
            if depth_bins_um.is_empty() || values.len() != time_bins_s.len() * depth_bins_um.len() {
                return Err(bad("the displacement's size is not times × depths".into()));
            }
            Some(Displacement {
                values_um: values
                    .chunks_exact(depth_bins_um.len())
                    .map(<[f64]>::to_vec)
                    .collect(),
                time_bins_s,
                depth_bins_um,
            })
        }
        _ => None,
    };
    let mut integers = |name: &str| -> Result<Vec<i64>> {
        check_member(path, &mut archive, name)
            .map_err(|reason| bad(format!("array `{name}`: {reason}")))?;
        let array = archive
            .by_name(name)
            .map_err(|source| bad(format!("array `{name}`: {source}")))?
            .ok_or_else(|| missing(name))?;
        integers_of(array).map_err(|reason| bad(format!("array `{name}`: {reason}")))
    };
    let (samples, labels) = (integers("samples")?, integers("labels")?);
    if samples.len() != labels.len() {
        return Err(bad(format!(
            "it has {} samples but {} labels",
            samples.len(),
            labels.len()
        )));
    }
    if samples
        .iter()
        .any(|sample| sample.unsigned_abs() > LAST_SAMPLE)
    {
        return Err(bad("a time is not the number of a sample".into()));
    }
    if labels
        .iter()
        .any(|&label| label < 0 || label as usize >= unit_locations_um.len())
    {
        return Err(bad(format!(
            "a label is not one of the {} units",
            unit_locations_um.len()
        )));
    }
    Ok(GroundTruth {
        sampling_frequency_hz,
        samples,
        labels,
        unit_locations_um,
        displacement,
    })
}

/// Values of an array of any integer type, in the file's order.
pub(crate) fn integers_of<R: Read>(
    file: npyz::NpyFile<R>,
) -> std::result::Result<Vec<i64>, String> {
    macro_rules! read {
        ($type:ty) => {
            file.into_vec::<$type>()
                .map(|values| values.into_iter().map(|value| value as i64).collect())
        };
    }
    let values = match plain_type(&file)? {
        (npyz::TypeChar::Int, 1) => read!(i8),
        (npyz::TypeChar::Int, 2) => read!(i16),
        (npyz::TypeChar::Int, 4) => read!(i32),
        (npyz::TypeChar::Int, 8) => read!(i64),
        (npyz::TypeChar::Uint, 1) => read!(u8),
        (npyz::TypeChar::Uint, 2) => read!(u16),
        (npyz::TypeChar::Uint, 4) => read!(u32),
        (npyz::TypeChar::Uint, 8) => read!(u64),
        (kind, size) => {
            return Err(format!(
                "its type is {kind:?} of {size} bytes and not an integer"
            ));
        }
    };
    values.map_err(|source| source.to_string())
}

/// Values of an array of float32, float64 or integers, in row-major order.
pub(crate) fn floats_of<R: Read>(file: npyz::NpyFile<R>) -> std::result::Result<Vec<f64>, String> {
    if file.order() == npyz::Order::Fortran && file.shape().len() > 1 {
        return Err("it is in column-major order".into());
    }
    floats_in_file_order(file)
}

/// Values of an array of float32, float64 or integers, in the order in which the file holds them.
pub(crate) fn floats_in_file_order<R: Read>(
    file: npyz::NpyFile<R>,
) -> std::result::Result<Vec<f64>, String> {
    match plain_type(&file)? {
        (npyz::TypeChar::Float, 4) => file
            .into_vec::<f32>()
            .map(|values| values.into_iter().map(f64::from).collect())
            .map_err(|source| source.to_string()),
        (npyz::TypeChar::Float, 8) => file.into_vec::<f64>().map_err(|source| source.to_string()),
        _ => integers_of(file).map(|values| values.into_iter().map(|value| value as f64).collect()),
    }
}

fn plain_type<R: Read>(
    file: &npyz::NpyFile<R>,
) -> std::result::Result<(npyz::TypeChar, u64), String> {
    match file.dtype() {
        npyz::DType::Plain(kind) => Ok((kind.type_char(), kind.size_field())),
        _ => Err("it is not a plain array".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> GroundTruth {
        GroundTruth {
            sampling_frequency_hz: 30_000.0,
            samples: vec![10, 20, 30],
            labels: vec![1, 0, 1],
            unit_locations_um: vec![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]],
            displacement: Some(Displacement {
                time_bins_s: vec![0.0, 0.2],
                depth_bins_um: vec![5.0],
                values_um: vec![vec![0.0], vec![1.5]],
            }),
        }
    }

    #[test]
    fn a_written_truth_is_read_back_and_its_bytes_are_always_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("a.npz"), folder.path().join("b.npz"));
        example().write_npz(&first).unwrap();
        example().write_npz(&second).unwrap();
        assert_eq!(read_truth(&first).unwrap(), example());
        assert_eq!(
            std::fs::read(first).unwrap(),
            std::fs::read(second).unwrap()
        );
    }

    #[test]
    fn numpys_file_without_a_movement_is_read() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/golden/truth_by_numpy.npz"
        );
        let truth = read_truth(Path::new(path)).unwrap();
        assert_eq!(
            (truth.samples, truth.labels),
            (vec![5, 40, 90], vec![0, 2, 0])
        );
        assert_eq!(truth.unit_locations_um[1], [3.0, 4.0, 5.0]);
        assert_eq!(truth.sampling_frequency_hz, 32_000.0);
        assert_eq!(truth.displacement, None);
    }

    #[test]
    fn a_file_that_is_no_truth_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("truth.npz");
        std::fs::write(&path, b"not a zip").unwrap();
        assert!(
            read_truth(&path)
                .unwrap_err()
                .to_string()
                .contains("truth.npz")
        );
        assert!(read_truth(&folder.path().join("absent.npz")).is_err());
    }
}
