//! Movies in NWB (HDF5): `TwoPhotonSeries`, or `OnePhotonSeries`.
//!
//! NWB's axes are time, x, y and, in a volume, z: columns come before rows. Frames are turned accordingly, as roiextractors does;
//! a file whose writer put rows first comes out mirrored over its diagonal, which changes no trace. The frame rate is the
//! series', or its timestamps', or its imaging plane's; the pixel's size is the plane's `grid_spacing`.

use std::path::{Path, PathBuf};

use super::dataset_movie::{Axes, DatasetMovie, Told, choose, common_rank};
use super::{MovieOptions, MovieReader};
use crate::error::IoError;
use crate::hdf5::{Hdf5File, Object, Value};
use crate::nwb::{clock, find_series, others, usual};

/// Types of series that are movies of cells.
const TYPES: [&str; 2] = ["TwoPhotonSeries", "OnePhotonSeries"];

/// Opens `paths`, one movie in the order given.
///
/// # Errors
/// When a file has no series, several of which none was chosen, or one whose frames are in other files.
pub(crate) fn open(
    paths: &[PathBuf],
    options: &MovieOptions,
) -> Result<Box<dyn MovieReader>, IoError> {
    let mut datasets = Vec::with_capacity(paths.len());
    let mut told: Option<Told> = None;
    for path in paths {
        let file = Hdf5File::open(path)?;
        let series = find_series(&file.root()?, &TYPES)?;
        if series.is_empty() {
            return Err(IoError::NotAMovie {
                path: path.clone(),
                seen: "this NWB file has no `TwoPhotonSeries`".to_owned(),
            });
        }
        let names: Vec<String> = series.iter().map(|one| one.name.clone()).collect();
        let chosen = choose(path, &names, &usual(&series), options.dataset.as_deref())?;
        let object = &series[chosen].object;
        let name = &series[chosen].name;
        if let Some(external) = external_files(object)? {
            return Err(IoError::BadImage {
                path: path.clone(),
                what: format!("the frames of `{name}` are in other files ({external})"),
                hint: "give those files themselves".to_owned(),
            });
        }
        let data = object
            .member("data")?
            .ok_or_else(|| IoError::missing_key(path, &format!("{name}/data")))?
            .dataset()?;
        if !(3..=4).contains(&data.shape().len()) || data.n_elements() == 0 {
            return Err(IoError::BadImage {
                path: path.clone(),
                what: format!("`{name}/data` has the shape {:?}", data.shape()),
                hint: "a movie has three axes (time, x, y) or four (time, x, y, z)".to_owned(),
            });
        }
        if told.is_none() {
            let mut first = read_told(path, object, name, data.shape()[0])?;
            if options.dataset.is_none() {
                first.warnings.extend(others(&series, chosen, "--dataset"));
            }
            told = Some(first);
        }
        datasets.push(data);
    }
    let rank = common_rank(&datasets)?;
    let axes = if rank == 3 {
        Axes::PageColumnRow
    } else {
        Axes::TimeColumnRowPlane
    };
    let told = told.ok_or_else(|| IoError::NotAMovie {
        path: PathBuf::new(),
        seen: "no file was given".to_owned(),
    })?;
    Ok(Box::new(DatasetMovie::new(
        paths, datasets, axes, told, options,
    )?))
}

/// Names of the files that hold the frames, when the series does not.
fn external_files(series: &Object) -> Result<Option<String>, IoError> {
    let Some(files) = series.member("external_file")? else {
        return Ok(None);
    };
    let Value::Texts(names) = files.dataset()?.value(1 << 16)? else {
        return Ok(None);
    };
    let shown: Vec<String> = names
        .iter()
        .take(3)
        .map(|name| format!("`{name}`"))
        .collect();
    Ok((!names.is_empty()).then(|| shown.join(", ")))
}

/// Frame rate and pixel size.
fn read_told(path: &Path, series: &Object, name: &str, n_frames: u64) -> Result<Told, IoError> {
    let mut warnings = Vec::new();
    let mut frame_rate_hz = None;
    match clock::read(series, n_frames) {
        Ok(Some(clock)) => {
            if clock.stretches.len() > 1 {
                warnings.push(format!(
                    "the timestamps of `{name}` have {} pauses, over which frames are joined",
                    clock.stretches.len() - 1
                ));
            }
            frame_rate_hz = Some(clock.rate_hz);
        }
        Ok(None) => {}
        // An irregular clock leaves the rate to the user, who can tell what it is on average.
        Err(IoError::Unsupported { what, .. }) => {
            warnings.push(format!("{what}: give the frame rate with `--frame-rate`"));
        }
        Err(error) => return Err(error),
    }
    let plane = series.member("imaging_plane")?;
    let number = |name: &str| -> Result<Option<f64>, IoError> {
        match &plane {
            Some(plane) => match plane.member(name)? {
                Some(object) => Ok(object.dataset()?.value(16)?.number()),
                None => Ok(None),
            },
            None => Ok(None),
        }
    };
    if frame_rate_hz.is_none() && warnings.is_empty() {
        frame_rate_hz = number("imaging_rate")?.filter(|rate| rate.is_finite() && *rate > 0.0);
    }
    let pixel_size_um = match plane.as_ref().map(|plane| plane.member("grid_spacing")) {
        Some(spacing) => match spacing? {
            Some(spacing) => pixel_size(path, &spacing, &mut warnings)?,
            None => None,
        },
        None => None,
    };
    Ok(Told {
        format: "NWB movie",
        frame_rate_hz,
        pixel_size_um,
        warnings,
    })
}

/// Height and width of a pixel in µm, from spacings along x, y and z.
fn pixel_size(
    path: &Path,
    spacing: &Object,
    warnings: &mut Vec<String>,
) -> Result<Option<[f64; 2]>, IoError> {
    let unit = spacing.attribute("unit")?;
    let unit = unit.as_ref().and_then(Value::text).unwrap_or("meters");
    let scale = match unit {
        "meters" | "meter" | "m" => 1e6,
        "millimeters" | "millimeter" | "mm" => 1e3,
        "micrometers" | "micrometer" | "microns" | "micron" | "um" | "µm" => 1.0,
        other => {
            warnings.push(format!("pixel sizes in `{other}` are not read"));
            return Ok(None);
        }
    };
    let Value::Numbers(numbers) = spacing.dataset()?.value(16)? else {
        return Err(IoError::bad_value(
            path,
            spacing.path(),
            "of another type",
            "numbers",
        ));
    };
    // Rounded to a thousandth of a nanometre, since 2e-6 m × 1e6 is not quite 2 µm.
    let sides = [1, 0].map(|axis| {
        numbers
            .get(axis)
            .map(|side| (side * scale * 1e6).round() / 1e6)
    });
    Ok(match sides {
        [Some(height), Some(width)] if height > 0.0 && width > 0.0 => Some([height, width]),
        _ => None,
    })
}
