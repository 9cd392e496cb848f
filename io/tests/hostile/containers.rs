//! HDF5 as such, and what lies in it: NWB, MEArec, movies.

use std::path::Path;

use somata_io::IoError;
use somata_io::hdf5::Hdf5File;
use somata_io::recording::{OpenOptions, open};

use crate::harness::{Seed, Target};
use crate::outside::check_inside;
use crate::reading::{MOST_FRAME_BYTES, read_ends, read_movie};
use crate::seeds::single_files;

/// What a packed byte becomes at most (deflate), unpacked and put in order.
const OF_DEFLATE: usize = 4 * 1032;

/// Walks over all that a file holds: groups, attributes, the first and last element of each dataset.
fn walk(path: &Path, _: &Path) -> Result<(), IoError> {
    let file = Hdf5File::open(path)?;
    let root = file.root()?;
    let mut first_error = None;
    root.attributes()?;
    for object in root.descendants()?.iter().take(200) {
        let seen = || {
            object.attributes()?;
            object.member_names()?;
            if object.is_dataset() {
                let dataset = object.dataset()?;
                let _ = dataset.value(100);
                let last: Vec<u64> = dataset
                    .shape()
                    .iter()
                    .map(|length| length.saturating_sub(1))
                    .collect();
                let one = vec![1; last.len()];
                if dataset.n_elements() > 0 && dataset.element_bytes() <= MOST_FRAME_BYTES {
                    let mut out = vec![0; dataset.element_bytes()];
                    dataset.read(&vec![0; last.len()], &one, &mut out)?;
                    dataset.read(&last, &one, &mut out)?;
                }
            }
            Ok(())
        };
        if let Err(error) = seen() {
            first_error.get_or_insert(error);
        }
    }
    first_error.map_or(Ok(()), Err)
}

/// Files of every version of the format.
pub fn hdf5() -> Target {
    let mut seeds = single_files("hdf5", &[".h5"], 1 << 20);
    // Real files hold kinds of values that are refused one by one: what matters is that the walk ends.
    let folder = tempfile::tempdir().unwrap();
    seeds.retain(|seed| {
        let path = folder.path().join(&seed.entry);
        std::fs::write(&path, &seed.files[0].1).unwrap();
        walk(&path, folder.path()).is_ok()
    });
    seeds.extend(single_files(
        "nwb",
        &["one.h5", "planes.h5", "mearec.h5"],
        1 << 20,
    ));
    Target {
        name: "hdf5",
        seeds,
        expansion: OF_DEFLATE,
        allowance_bytes: 4 << 20,
        parse: walk,
    }
}

/// Reads samples of the recording, or of its first stream where there are several.
fn read_recording(path: &Path, folder: &Path) -> Result<(), IoError> {
    let mut options = OpenOptions::default();
    let reader = match open(path, &options) {
        Err(IoError::SeveralStreams { streams, .. }) if !streams.is_empty() => {
            options.stream = streams.first().cloned();
            open(path, &options)?
        }
        result => result?,
    };
    let description = reader.description();
    check_inside(folder, &description.paths);
    let frame_bytes = description.frame_bytes();
    if frame_bytes > MOST_FRAME_BYTES {
        return Ok(());
    }
    read_ends(&*reader)
}

/// NWB's recordings and MEArec's.
fn recordings(names: &[&str]) -> Vec<Seed> {
    let folder = tempfile::tempdir().unwrap();
    let mut seeds = single_files("nwb", names, 1 << 20);
    seeds.retain(|seed| {
        let path = folder.path().join(&seed.entry);
        std::fs::write(&path, &seed.files[0].1).unwrap();
        read_recording(&path, folder.path()).is_ok()
    });
    assert!(!seeds.is_empty(), "{names:?}");
    seeds
}

/// Electrical series of NWB.
pub fn nwb_recording() -> Target {
    Target {
        name: "nwb_recording",
        seeds: recordings(&[".nwb"]),
        expansion: OF_DEFLATE,
        // Numbers and names of electrodes, which fill values make of nothing.
        allowance_bytes: 64 << 20,
        parse: read_recording,
    }
}

/// MEArec.
pub fn mearec() -> Target {
    Target {
        name: "mearec",
        seeds: recordings(&["mearec.h5"]),
        expansion: OF_DEFLATE,
        allowance_bytes: 64 << 20,
        parse: read_recording,
    }
}

/// Movies in HDF5 and NWB.
pub fn hdf5_movie() -> Target {
    let folder = tempfile::tempdir().unwrap();
    let mut seeds = single_files("nwb", &[".nwb", ".h5"], 1 << 20);
    seeds.retain(|seed| {
        let path = folder.path().join(&seed.entry);
        std::fs::write(&path, &seed.files[0].1).unwrap();
        read_movie(&path, folder.path()).is_ok()
    });
    assert!(seeds.len() > 3, "{}", seeds.len());
    Target {
        name: "hdf5_movie",
        seeds,
        expansion: OF_DEFLATE,
        allowance_bytes: 8 << 20,
        parse: read_movie,
    }
}
