//! Where the recordings of an Open Ephys session are: `Record Node N/experimentN/recordingN/structure.oebin`.
//!
//! Any level of this may be given, and the folder of one stream (`continuous/NAME`) or its `continuous.dat` as well.

use std::path::{Path, PathBuf};

use crate::error::{IoError, name_of};
use crate::movie::inputs::natural_order;

/// The file that describes a recording.
pub(crate) const STRUCTURE_FILE: &str = "structure.oebin";
/// Levels below a session's folder: record node, experiment, recording.
const SEARCH_DEPTH: usize = 4;
/// Folders and files that are looked at before the search ends.
const SEARCH_LIMIT: usize = 10_000;

/// What lies at a path.
#[derive(Debug)]
pub(crate) struct Found {
    /// Description of each recording, in the order of their numbers.
    pub structures: Vec<PathBuf>,
    /// The folder name of the stream that the path itself names.
    pub stream: Option<String>,
}

/// Looks for recordings at, below or (for the folder of a stream) above `path`.
pub(crate) fn find(path: &Path) -> Found {
    if path.is_file() && name_of(path) == STRUCTURE_FILE {
        return Found {
            structures: vec![path.to_owned()],
            stream: None,
        };
    }
    let folder = if path.is_dir() {
        Some(path)
    } else {
        path.parent().filter(|_| name_of(path) == "continuous.dat")
    };
    let Some(folder) = folder else {
        return Found {
            structures: vec![],
            stream: None,
        };
    };
    let mut structures = Vec::new();
    let mut budget = SEARCH_LIMIT;
    if path.is_dir() {
        search(folder, SEARCH_DEPTH, &mut budget, &mut structures);
    }
    if !structures.is_empty() {
        structures.sort_by(|a, b| natural_order(&a.to_string_lossy(), &b.to_string_lossy()));
        return Found {
            structures,
            stream: None,
        };
    }
    // `.` and `..` have no name of their own.
    let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let above = whole
        .parent()
        .filter(|above| name_of(above) == "continuous")
        .and_then(Path::parent)
        .map(|above| above.join(STRUCTURE_FILE))
        .filter(|structure| structure.is_file());
    Found {
        stream: above.as_ref().map(|_| name_of(&whole)),
        structures: above.into_iter().collect(),
    }
}

/// Collects the structure files below `folder`; those of a recording are not looked for below it.
fn search(folder: &Path, depth: usize, budget: &mut usize, structures: &mut Vec<PathBuf>) {
    let structure = folder.join(STRUCTURE_FILE);
    if structure.is_file() {
        structures.push(structure);
        return;
    }
    if depth == 0 {
        return;
    }
    // A folder that cannot be listed does not hide the others.
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        if *budget == 0 {
            return;
        }
        *budget -= 1;
        // Links are not followed: they may lead in circles.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            search(&entry.path(), depth - 1, budget, structures);
        }
    }
}

/// The recordings of the one experiment that was found.
///
/// # Errors
/// When several experiments or record nodes are there.
pub(crate) fn one_experiment(path: &Path, structures: &[PathBuf]) -> Result<(), IoError> {
    let experiment = |structure: &PathBuf| {
        structure
            .parent()
            .and_then(Path::parent)
            .map(Path::to_owned)
            .unwrap_or_default()
    };
    let mut experiments: Vec<PathBuf> = structures.iter().map(experiment).collect();
    experiments.dedup();
    if experiments.len() > 1 {
        return Err(IoError::Ambiguous {
            path: path.to_owned(),
            candidates: experiments
                .iter()
                .map(|found| format!("`{}`", found.display()))
                .collect(),
        });
    }
    Ok(())
}
