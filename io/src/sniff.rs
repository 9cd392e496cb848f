//! Which format is at a path, and why.
//!
//! Names decide first (what acquisition systems write is known by its extension), the first bytes second. When nothing fits,
//! the error lists what was seen, since "unknown format" alone helps nobody.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::{IoError, name_of};
use crate::hdf5::{Hdf5File, SIGNATURE};
use crate::recording::{
    OpenOptions, intan, mearec, nwb, nwb_zarr, open_ephys, zarr_spikeinterface,
};
use crate::zarr::{Node, is_store};

/// A recording format that is read.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum Format {
    /// `recording.bin` + `recording.json` + `probe.json`.
    Folder,
    /// SpikeInterface's saved binary folder.
    SpikeInterfaceFolder,
    /// SpikeInterface's saved Zarr folder.
    SpikeInterfaceZarr,
    /// NWB in Zarr.
    NwbZarr,
    /// SpikeGLX `.bin` + `.meta`.
    SpikeGlx,
    /// Open Ephys' `structure.oebin` and `continuous.dat`.
    OpenEphysBinary,
    /// Open Ephys' `.continuous` files, one a channel.
    OpenEphysLegacy,
    /// Intan `.rhd` and `.rhs`, with the samples inside or beside.
    Intan,
    /// SpikeGLX's `.bin` compressed to `.cbin` + `.ch`.
    Mtscomp,
    /// Blackrock `.ns1` to `.ns6`.
    Blackrock,
    /// NWB in HDF5.
    Nwb,
    /// MEArec's simulated recordings, in HDF5.
    Mearec,
    /// A bare binary file.
    RawBinary,
}

impl Format {
    /// Whether a recording of this format may have several streams, one of which is read.
    pub fn has_streams(self) -> bool {
        matches!(
            self,
            Format::OpenEphysBinary | Format::OpenEphysLegacy | Format::Nwb
        )
    }
}

/// What [`sniff`] found.
#[derive(Clone, Eq, PartialEq, Debug)]
pub struct Sniffed {
    /// The format.
    pub format: Format,
    /// The path to open, which may be inside or above the one that was given.
    pub path: PathBuf,
    /// One sentence that says why.
    pub why: String,
}

/// Levels of folders that are searched: a SpikeGLX run holds a folder a probe.
const SEARCH_DEPTH: usize = 2;
/// Entries that are looked at before the search gives up.
const SEARCH_LIMIT: usize = 10_000;

/// Finds the format at `path`.
///
/// # Errors
/// When `path` does not exist, is of no known format, or holds several recordings.
pub fn sniff(path: &Path, options: &OpenOptions) -> Result<Sniffed, IoError> {
    let metadata = std::fs::metadata(path).map_err(|source| IoError::read(path, source))?;
    if metadata.is_dir() {
        sniff_folder(path)
    } else {
        sniff_file(path, options)
    }
}

/// A folder: by the names in it.
fn sniff_folder(path: &Path) -> Result<Sniffed, IoError> {
    let found = |format, path: PathBuf, why: String| Ok(Sniffed { format, path, why });
    if path.join("recording.json").is_file() {
        return found(
            Format::Folder,
            path.to_owned(),
            "the folder has a `recording.json`".to_owned(),
        );
    }
    if path.join("binary.json").is_file() {
        return found(
            Format::SpikeInterfaceFolder,
            path.to_owned(),
            "the folder has a `binary.json`".to_owned(),
        );
    }
    if is_store(path) {
        return sniff_store(path);
    }
    if !open_ephys::folders::find(path).structures.is_empty() {
        return found(
            Format::OpenEphysBinary,
            path.to_owned(),
            "there is a `structure.oebin` of Open Ephys".to_owned(),
        );
    }
    let mut names = Vec::new();
    list_files(path, SEARCH_DEPTH, &mut names)?;
    let ending = |endings: &[&str]| -> Vec<&PathBuf> {
        names
            .iter()
            .filter(|name| {
                endings
                    .iter()
                    .any(|end| name_of(name).to_lowercase().ends_with(end))
            })
            .collect()
    };
    let choices = [
        (Format::SpikeGlx, ending(&[".ap.bin"]), "SpikeGLX `.ap.bin`"),
        (
            Format::Mtscomp,
            ending(&[".ap.cbin"]),
            "compressed SpikeGLX `.ap.cbin`",
        ),
        (
            Format::Blackrock,
            ending(&[".ns5", ".ns6"]),
            "Blackrock `.ns5` or `.ns6`",
        ),
    ];
    for (format, paths, name) in choices {
        match paths[..] {
            [] => {}
            [only] => return found(format, only.clone(), format!("the folder has one {name}")),
            _ => {
                let candidates = paths
                    .iter()
                    .map(|found| format!("`{}`", found.display()))
                    .collect();
                return Err(IoError::Ambiguous {
                    path: path.to_owned(),
                    candidates,
                });
            }
        }
    }
    let formats = [
        (
            Format::Intan,
            ending(&[".rhd", ".rhs"]),
            "`.rhd` or `.rhs` files of Intan",
        ),
        (
            Format::OpenEphysLegacy,
            ending(&[".continuous"]),
            "`.continuous` files of Open Ephys",
        ),
    ];
    for (format, paths, name) in formats {
        let mut folders: Vec<&Path> = paths.iter().filter_map(|path| path.parent()).collect();
        folders.dedup();
        match folders[..] {
            [] => {}
            [only] => return found(format, only.to_owned(), format!("the folder has {name}")),
            _ => {
                let candidates = folders
                    .iter()
                    .map(|folder| format!("`{}`", folder.display()));
                return Err(IoError::Ambiguous {
                    path: path.to_owned(),
                    candidates: candidates.collect(),
                });
            }
        }
    }
    // The stores in a folder, but not the groups in them.
    let mut stores: Vec<&Path> = names
        .iter()
        .filter(|name| matches!(name_of(name).as_str(), ".zgroup" | "zarr.json"))
        .filter_map(|name| name.parent())
        .filter(|store| store.parent().is_some_and(|above| !is_store(above)))
        .collect();
    stores.dedup();
    match stores[..] {
        [] => {}
        [only] => return sniff_store(only),
        _ => {
            let shown = stores.iter().map(|store| format!("`{}`", store.display()));
            return Err(IoError::Ambiguous {
                path: path.to_owned(),
                candidates: shown.collect(),
            });
        }
    }
    let seen = if names.is_empty() {
        "the folder is empty".to_owned()
    } else {
        let mut shown: Vec<String> = names
            .iter()
            .take(8)
            .map(|name| format!("`{}`", name_of(name)))
            .collect();
        if names.len() > shown.len() {
            shown.push(format!("and {} more", names.len() - shown.len()));
        }
        format!(
            "it has no `recording.json`, `binary.json`, `structure.oebin`, `.ap.bin`, `.ap.cbin`, `.ns5`, `.ns6`, `.rhd` or `.rhs`; it has {}",
            shown.join(", ")
        )
    };
    Err(IoError::Unrecognised {
        path: path.to_owned(),
        seen,
    })
}

/// A Zarr store: by what its root says.
fn sniff_store(path: &Path) -> Result<Sniffed, IoError> {
    let node = Node::open(path)?;
    let found = |format, why: &str| {
        Ok(Sniffed {
            format,
            path: path.to_owned(),
            why: why.to_owned(),
        })
    };
    if zarr_spikeinterface::is_recording(&node) {
        return found(
            Format::SpikeInterfaceZarr,
            "the Zarr store has `traces_seg0` and `sampling_frequency`",
        );
    }
    if nwb_zarr::is_nwb(&node) {
        return found(Format::NwbZarr, "the Zarr store says that it is NWB");
    }
    if nwb_zarr::is_electrical_series(&node) {
        return found(
            Format::NwbZarr,
            "the Zarr group is an `ElectricalSeries` of NWB",
        );
    }
    Err(IoError::Unrecognised {
        path: path.to_owned(),
        seen: "it is a Zarr store, but neither a recording of SpikeInterface nor NWB; a movie is processed with `somata image`"
            .to_owned(),
    })
}

/// A file: by its extension and companions, then by its first bytes.
fn sniff_file(path: &Path, options: &OpenOptions) -> Result<Sniffed, IoError> {
    let found = |format, path: &Path, why: &str| {
        Ok(Sniffed {
            format,
            path: path.to_owned(),
            why: why.to_owned(),
        })
    };
    let name = name_of(path).to_lowercase();
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let extension = path
        .extension()
        .map(|extension| extension.to_string_lossy().to_lowercase())
        .unwrap_or_default();
    if extension == "meta" {
        return found(Format::SpikeGlx, path, "a `.meta` file is SpikeGLX's");
    }
    if extension == "cbin" || (extension == "ch" && path.with_extension("cbin").is_file()) {
        return found(Format::Mtscomp, path, "the extension is mtscomp's");
    }
    if extension == "bin" && path.with_extension("meta").is_file() {
        return found(
            Format::SpikeGlx,
            path,
            "there is a `.meta` file beside the `.bin`",
        );
    }
    let told_all = options.n_channels.is_some() && options.dtype.is_some();
    if [".ap.bin", ".lf.bin", ".nidq.bin", ".obx.bin"]
        .iter()
        .any(|end| name.ends_with(end))
        && !told_all
    {
        return found(Format::SpikeGlx, path, "the name is SpikeGLX's");
    }
    if matches!(name.as_str(), "recording.bin" | "recording.json")
        && folder.join("recording.json").is_file()
        && !told_all
    {
        return found(
            Format::Folder,
            folder,
            "there is a `recording.json` beside it",
        );
    }
    let is_cached = name == "binary.json" || name.starts_with("traces_cached_seg");
    if is_cached && folder.join("binary.json").is_file() && !told_all {
        return found(
            Format::SpikeInterfaceFolder,
            folder,
            "there is a `binary.json` beside it",
        );
    }
    if matches!(
        name.as_str(),
        "zarr.json" | ".zgroup" | ".zattrs" | ".zmetadata"
    ) && is_store(folder)
        && !told_all
    {
        return sniff_store(folder);
    }
    if matches!(name.as_str(), "structure.oebin" | "continuous.dat")
        && !told_all
        && !open_ephys::folders::find(path).structures.is_empty()
    {
        return found(
            Format::OpenEphysBinary,
            path,
            "it lies in a recording of Open Ephys",
        );
    }
    if open_ephys::legacy::is_name(&name) {
        return found(
            Format::OpenEphysLegacy,
            path,
            "the extension is Open Ephys'",
        );
    }
    if intan::is_intan_name(&name) {
        return found(Format::Intan, path, "the extension is Intan's");
    }
    let is_of_intan = matches!(name.as_str(), "amplifier.dat" | "time.dat")
        || (name.starts_with("amp-") && extension == "dat");
    if is_of_intan
        && !told_all
        && let Some(header) = ["info.rhd", "info.rhs"]
            .map(|header| folder.join(header))
            .iter()
            .find(|header| header.is_file())
    {
        return found(Format::Intan, header, "there is an Intan header beside it");
    }
    let mut first = [0u8; 8];
    let n_first = File::open(path)
        .and_then(|file| file.take(8).read(&mut first))
        .map_err(|source| IoError::read(path, source))?;
    if matches!(&first, b"NEURALSG" | b"NEURALCD" | b"BRSMPGRP") {
        return found(
            Format::Blackrock,
            path,
            "the file begins with Blackrock's NSx mark",
        );
    }
    if matches!(
        extension.as_str(),
        "ns1" | "ns2" | "ns3" | "ns4" | "ns5" | "ns6"
    ) {
        return found(Format::Blackrock, path, "the extension is Blackrock's");
    }
    let is_hdf5 = first == SIGNATURE || matches!(extension.as_str(), "nwb" | "h5" | "hdf5");
    if is_hdf5 && !told_all {
        return sniff_hdf5(path);
    }
    let unread = match extension.as_str() {
        _ if first == *b"NEURALEV" || extension == "nev" => {
            "Blackrock `.nev` holds events: give the `.ns5` or `.ns6`"
        }
        "zip" => "this is an archive: unpack it first, also when it holds a Zarr store",
        "oebin" => "a recording of Open Ephys is described by a file `structure.oebin`",
        "json" | "prb" | "cmp" | "txt" | "csv" => "this is a text file without samples",
        "tif" | "tiff" | "btf" | "tf8" => {
            "this is a movie or an image: process it with `somata image` or `somata segment`"
        }
        "npy" | "npz" => "numpy files are not read as recordings",
        _ if n_first == 0 => "the file is empty",
        _ => "",
    };
    if !unread.is_empty() && !told_all {
        return Err(IoError::Unrecognised {
            path: path.to_owned(),
            seen: unread.to_owned(),
        });
    }
    found(
        Format::RawBinary,
        path,
        "nothing beside it describes it, so it is taken as a bare binary file",
    )
}

/// An HDF5 file: by what is in it.
fn sniff_hdf5(path: &Path) -> Result<Sniffed, IoError> {
    let root = Hdf5File::open(path)?.root()?;
    let found = |format, why: &str| {
        Ok(Sniffed {
            format,
            path: path.to_owned(),
            why: why.to_owned(),
        })
    };
    let seen = if crate::nwb::is_nwb(&root)? {
        if !crate::nwb::find_series(&root, &nwb::TYPES)?.is_empty() {
            return found(Format::Nwb, "the file is NWB and has an `ElectricalSeries`");
        }
        "this NWB file has no `ElectricalSeries`".to_owned()
    } else if mearec::is_mearec(&root)? {
        return found(
            Format::Mearec,
            "the file has `recordings` and `channel_positions` as MEArec writes them",
        );
    } else {
        let names = root.member_names()?;
        let shown: Vec<String> = names
            .iter()
            .take(8)
            .map(|name| format!("`{name}`"))
            .collect();
        format!(
            "of HDF5, NWB and MEArec are read; this file has {}",
            if shown.is_empty() {
                "nothing in it".to_owned()
            } else {
                shown.join(", ")
            }
        )
    };
    Err(IoError::Unrecognised {
        path: path.to_owned(),
        seen,
    })
}

/// The files below `folder`, sorted by name.
fn list_files(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), IoError> {
    let entries = std::fs::read_dir(folder).map_err(|source| IoError::read(folder, source))?;
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .collect();
    paths.sort();
    for path in paths {
        if files.len() >= SEARCH_LIMIT {
            break;
        }
        if path.is_dir() {
            if depth > 0 {
                // A folder below that cannot be listed does not hide the files above it.
                let _ = list_files(&path, depth - 1, files);
            }
        } else {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_other_things_is_refused_with_what_was_seen() {
        let folder = tempfile::tempdir().unwrap();
        let error = sniff(folder.path(), &OpenOptions::default()).unwrap_err();
        assert!(error.to_string().contains("empty"), "{error}");
        std::fs::write(folder.path().join("notes.txt"), "x").unwrap();
        let error = sniff(folder.path(), &OpenOptions::default()).unwrap_err();
        assert!(error.to_string().contains("`notes.txt`"), "{error}");
        assert!(error.hint().unwrap().contains("--dtype"));
    }

    #[test]
    fn two_probes_in_one_folder_are_ambiguous() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.imec0.ap.bin", "a.imec1.ap.bin"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert!(matches!(
            sniff(folder.path(), &OpenOptions::default()),
            Err(IoError::Ambiguous { .. })
        ));
        std::fs::remove_file(folder.path().join("a.imec1.ap.bin")).unwrap();
        let sniffed = sniff(folder.path(), &OpenOptions::default()).unwrap();
        assert_eq!(sniffed.format, Format::SpikeGlx);
    }
}
