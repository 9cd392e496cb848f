//! Open files of a movie that may consist of thousands: more than a process may hold open at once.

use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::IoError;

/// Files that are held open at most; systems allow 256 (macOS) or 1024 (Linux) and others need some too.
const MAX_OPEN: usize = 64;

/// Files by number, opened when they are needed.
#[derive(Debug)]
pub(crate) struct MovieFiles {
    paths: Vec<PathBuf>,
    /// Open files, the one used last at the back. The lock is held to look up or exchange a handle, never while reading.
    open: Mutex<VecDeque<(usize, Arc<File>)>>,
}

impl MovieFiles {
    /// Files at `paths`, none opened yet.
    pub fn new(paths: Vec<PathBuf>) -> MovieFiles {
        MovieFiles {
            paths,
            open: Mutex::default(),
        }
    }

    /// The path of a file.
    pub fn path(&self, index: usize) -> &PathBuf {
        &self.paths[index]
    }

    /// An open file.
    pub fn get(&self, index: usize) -> Result<Arc<File>, IoError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = open.iter().rposition(|(number, _)| *number == index) {
            let file = Arc::clone(&open[at].1);
            // Only a full pool must know which file was used last.
            if self.paths.len() > MAX_OPEN
                && at + 1 < open.len()
                && let Some(entry) = open.remove(at)
            {
                open.push_back(entry);
            }
            return Ok(file);
        }
        drop(open);
        let path = &self.paths[index];
        let file = Arc::new(File::open(path).map_err(|source| IoError::read(path, source))?);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have opened it meanwhile: one handle of each file is enough.
        if !open.iter().any(|(number, _)| *number == index) {
            if open.len() == MAX_OPEN {
                open.pop_front();
            }
            open.push_back((index, Arc::clone(&file)));
        }
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_files_are_read_through_a_small_pool() {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = (0..1000)
            .map(|number| {
                let path = folder.path().join(format!("{number}.bin"));
                std::fs::write(&path, [number as u8]).unwrap();
                path
            })
            .collect();
        let files = MovieFiles::new(paths);
        for index in (0..1000).chain([0, 999, 500, 0, 999]) {
            let mut byte = [0u8];
            let file = files.get(index).unwrap();
            crate::recording::frames::read_exact_at(&file, &mut byte, 0).unwrap();
            assert_eq!(byte[0], index as u8);
            assert!(files.open.lock().unwrap().len() <= MAX_OPEN);
        }
    }
}
