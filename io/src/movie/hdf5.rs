//! Movies in plain HDF5: a dataset `[time, row, column]`, or `[time, plane, row, column]`.
//!
//! Suite2p's name for it is `data`; without it the only dataset that can be a movie is taken, and of several the user chooses
//! with `--dataset`. Pages of a dataset with three axes may interleave planes and channels, as in a TIFF. Nothing in such a file
//! says the frame rate.

use std::path::{Path, PathBuf};

use super::dataset_movie::{Axes, DatasetMovie, Told, choose, common_rank};
use super::{MovieOptions, MovieReader};
use crate::error::IoError;
use crate::hdf5::{Dataset, ElementType, Hdf5File};

/// Suite2p's name of the dataset.
const USUAL_NAME: &str = "data";

/// Opens `paths`, one movie in the order given.
///
/// # Errors
/// When a file has no dataset that can be a movie, or several of which none was chosen.
pub(crate) fn open(
    paths: &[PathBuf],
    options: &MovieOptions,
) -> Result<Box<dyn MovieReader>, IoError> {
    let mut datasets = Vec::with_capacity(paths.len());
    for path in paths {
        datasets.push(find(path, options)?);
    }
    let rank = common_rank(&datasets)?;
    let axes = if rank == 3 {
        Axes::PageRowColumn
    } else {
        Axes::TimePlaneRowColumn
    };
    let shape = datasets[0].shape();
    let mut warnings = Vec::new();
    if rank == 4 {
        if shape[3] <= 4 && shape[1] > 16 {
            return Err(IoError::BadImage {
                path: paths[0].clone(),
                what: format!(
                    "`{}` of shape {shape:?} seems to have {} colours as its last axis",
                    datasets[0].path(),
                    shape[3]
                ),
                hint: "store it as time × row × column, one dataset a colour".to_owned(),
            });
        }
        warnings.push(format!(
            "`{}` has four axes, which are taken as time, plane, row and column",
            datasets[0].path()
        ));
    }
    let told = Told {
        format: "HDF5 movie",
        frame_rate_hz: None,
        pixel_size_um: None,
        warnings,
    };
    Ok(Box::new(DatasetMovie::new(
        paths, datasets, axes, told, options,
    )?))
}

/// The dataset of one file.
fn find(path: &Path, options: &MovieOptions) -> Result<Dataset, IoError> {
    let file = Hdf5File::open(path)?;
    if let Some(wanted) = &options.dataset
        && let Some(object) = file.find(wanted)?
        && object.is_dataset()
    {
        let dataset = object.dataset()?;
        if is_movie(&dataset) {
            return Ok(dataset);
        }
        return Err(IoError::BadImage {
            path: path.to_owned(),
            what: format!("`{wanted}` of shape {:?} is no movie", dataset.shape()),
            hint: "a movie has three axes (time, row, column) or four (time, plane, row, column)"
                .to_owned(),
        });
    }
    let mut found = Vec::new();
    // What cannot be opened is told when there is nothing else.
    let mut unread = None;
    for object in file.root()?.descendants()? {
        if !object.is_dataset() {
            continue;
        }
        match object.dataset() {
            Ok(dataset) if is_movie(&dataset) => found.push(dataset),
            Ok(_) => {}
            Err(error) => unread = Some(error),
        }
    }
    if found.is_empty() {
        return Err(unread.unwrap_or_else(|| IoError::NotAMovie {
            path: path.to_owned(),
            seen: "it is HDF5, but no dataset has three or four axes of numbers".to_owned(),
        }));
    }
    let names: Vec<String> = found
        .iter()
        .map(|dataset| dataset.path().trim_start_matches('/').to_owned())
        .collect();
    let usual: Vec<usize> = names
        .iter()
        .position(|name| name == USUAL_NAME)
        .into_iter()
        .collect();
    let chosen = choose(path, &names, &usual, options.dataset.as_deref())?;
    Ok(found.swap_remove(chosen))
}

/// Whether a dataset can be a movie.
fn is_movie(dataset: &Dataset) -> bool {
    matches!(dataset.element_type(), ElementType::Number(_))
        && (3..=4).contains(&dataset.shape().len())
        && dataset.n_elements() > 0
}
