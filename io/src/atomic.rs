//! Outputs that are there whole or not at all.
//!
//! A result is built under a temporary name beside its final one, flushed to disk and renamed. A job that is killed leaves
//! nothing under the final name, which is what schedulers look at. While a folder is built it is locked, so that a second run on
//! the same output is refused when it begins, on whatever machine or in whatever container it runs.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::error::{IoError, name_of};
use crate::lock::FileLock;

/// A folder that is built under a temporary name and renamed whole.
#[derive(Debug)]
pub struct OutputFolder {
    final_path: PathBuf,
    partial_path: PathBuf,
    replace: bool,
    committed: bool,
    /// The open temporary folder: on Unix it tells whether the one that now has the name is another.
    #[cfg(unix)]
    folder: Option<File>,
    /// Where the system knows no locks there is none, and a second run is noticed when it gives the folder its name.
    lock: Option<FileLock>,
}

impl OutputFolder {
    /// Creates `.NAME.partial-PID` beside `final_path`; missing parents are created.
    ///
    /// With `replace`, what is at `final_path` is swapped out on [`OutputFolder::commit`]; without, it is an error unless it is an
    /// empty folder, which workflow managers like to create beforehand.
    ///
    /// # Errors
    /// When `final_path` exists and `replace` is false, another run builds the same output, or the folder cannot be created.
    pub fn create(final_path: &Path, replace: bool) -> Result<OutputFolder, IoError> {
        if !replace && is_taken(final_path) {
            return Err(IoError::Exists {
                path: final_path.to_owned(),
            });
        }
        let partial_path = sibling(final_path, "partial");
        if let Some(parent) = partial_path.parent() {
            fs::create_dir_all(parent).map_err(|source| IoError::write(parent, source))?;
        }
        let lock = lock_of(&partial_path)?;
        #[cfg_attr(
            not(unix),
            expect(unused_mut, reason = "the folder is opened on Unix only")
        )]
        let mut created = OutputFolder {
            final_path: final_path.to_owned(),
            partial_path,
            replace,
            committed: false,
            #[cfg(unix)]
            folder: None,
            lock,
        };
        // From here on a failure takes away what this run has made.
        let partial_path = &created.partial_path.clone();
        let others = remove_abandoned(final_path, partial_path);
        others.map_or(Ok(()), Err)?;
        if partial_path.exists() {
            // The process ids of a killed run and of this one are equal: what it left is of no use.
            fs::remove_dir_all(partial_path)
                .map_err(|source| IoError::write(partial_path, source))?;
        }
        let failed = |source| IoError::write(partial_path, source);
        fs::create_dir(partial_path).map_err(failed)?;
        #[cfg(unix)]
        {
            created.folder = Some(File::open(partial_path).map_err(failed)?);
        }
        Ok(created)
    }

    /// The temporary folder to write into.
    pub fn path(&self) -> &Path {
        &self.partial_path
    }

    /// The name that the folder will have.
    pub fn final_path(&self) -> &Path {
        &self.final_path
    }

    /// Flushes everything to disk and gives the folder its final name.
    ///
    /// # Errors
    /// When a flush or rename fails; what was at the final name is then put back.
    pub fn commit(mut self) -> Result<(), IoError> {
        #[cfg(unix)]
        self.is_still_there()?;
        sync_tree(&self.partial_path)?;
        let failed = |source| IoError::write(&self.final_path, source);
        let old = sibling(&self.final_path, "replaced");
        let had_old = self.final_path.symlink_metadata().is_ok();
        if had_old {
            if !self.replace && is_taken(&self.final_path) {
                return Err(IoError::Exists {
                    path: self.final_path.clone(),
                });
            }
            if old.exists() {
                fs::remove_dir_all(&old).map_err(|source| IoError::write(&old, source))?;
            }
            fs::rename(&self.final_path, &old).map_err(failed)?;
        }
        if let Err(source) = fs::rename(&self.partial_path, &self.final_path) {
            if had_old {
                let _ = fs::rename(&old, &self.final_path);
            }
            return Err(failed(source));
        }
        self.committed = true;
        sync_parent(&self.final_path);
        if had_old {
            let removed = if old.is_dir() {
                fs::remove_dir_all(&old)
            } else {
                fs::remove_file(&old)
            };
            removed.map_err(|source| IoError::write(&old, source))?;
        }
        Ok(())
    }
}

#[cfg(unix)]
impl OutputFolder {
    /// Refuses a folder that was removed meanwhile and made anew by whoever wrote into it: what was in it is lost.
    fn is_still_there(&self) -> Result<(), IoError> {
        use std::os::unix::fs::MetadataExt;
        let identity = |found: std::io::Result<fs::Metadata>| {
            found
                .map(|found| (found.dev(), found.ino()))
                .map_err(|source| IoError::write(&self.partial_path, source))
        };
        let opened = self.folder.as_ref().expect("opened when it was created");
        if identity(opened.metadata())? == identity(fs::metadata(&self.partial_path))? {
            return Ok(());
        }
        let removed = std::io::Error::new(
            ErrorKind::NotFound,
            "it was removed before the result was complete",
        );
        Err(IoError::write(&self.partial_path, removed))
    }
}

impl Drop for OutputFolder {
    fn drop(&mut self) {
        if !self.committed {
            let _ = fs::remove_dir_all(&self.partial_path);
        }
        if self.lock.is_some() {
            // Removed while it is held: who finds it free later owns a file that nobody else sees.
            let _ = fs::remove_file(lock_path(&self.partial_path));
        }
    }
}

/// A file that is built under a temporary name and renamed when it is complete.
///
/// A value that is dropped before [`OutputFile::commit`] leaves nothing, and what was at the final name stays.
#[derive(Debug)]
pub struct OutputFile {
    final_path: PathBuf,
    partial_path: PathBuf,
    /// `None` once committed.
    file: Option<BufWriter<File>>,
}

impl OutputFile {
    /// Creates `.NAME.partial-PID` beside `final_path`, whose folder must exist.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn create(final_path: &Path) -> Result<OutputFile, IoError> {
        let partial_path = sibling(final_path, "partial");
        let file =
            File::create(&partial_path).map_err(|source| IoError::write(final_path, source))?;
        Ok(OutputFile {
            final_path: final_path.to_owned(),
            partial_path,
            file: Some(BufWriter::with_capacity(1 << 18, file)),
        })
    }

    /// The name that the file will have.
    pub fn final_path(&self) -> &Path {
        &self.final_path
    }

    /// Where to write and seek.
    pub fn writer(&mut self) -> &mut BufWriter<File> {
        self.file.as_mut().expect("only `commit` takes the file")
    }

    /// Writes with `write`; a failure names the file.
    ///
    /// # Errors
    /// When `write` fails.
    pub fn write_with<T>(
        &mut self,
        write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<T>,
    ) -> Result<T, IoError> {
        write(self.writer()).map_err(|source| IoError::write(&self.final_path, source))
    }

    /// Flushes the file to disk and gives it its final name, replacing what is there.
    ///
    /// # Errors
    /// When the flush or the rename fails; what was at the final name is then untouched.
    pub fn commit(mut self) -> Result<(), IoError> {
        let failed = |source| IoError::write(&self.final_path, source);
        self.file
            .as_mut()
            .expect("only `commit` takes the file")
            .flush()
            .map_err(failed)?;
        let file = self.file.take().expect("flushed a line above");
        file.get_ref().sync_all().map_err(failed)?;
        // Closed before the rename: some systems do not rename an open file.
        drop(file);
        if let Err(source) = fs::rename(&self.partial_path, &self.final_path) {
            let _ = fs::remove_file(&self.partial_path);
            return Err(failed(source));
        }
        sync_parent(&self.final_path);
        Ok(())
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            // `into_parts` keeps the buffer from being flushed into a file that goes away.
            drop(file.into_parts());
            let _ = fs::remove_file(&self.partial_path);
        }
    }
}

/// Writes `bytes` to `path` so that a reader sees the old file or the whole new one.
///
/// # Errors
/// When the temporary file cannot be written or renamed; the old file is then untouched.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), IoError> {
    let mut file = OutputFile::create(path)?;
    file.write_with(|writer| writer.write_all(bytes))?;
    file.commit()
}

/// Whether something other than an empty folder is at `path`.
fn is_taken(path: &Path) -> bool {
    let is_empty_folder = || fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    path.symlink_metadata().is_ok() && !is_empty_folder()
}

/// `PARTIAL.lock` beside a folder that is being built.
fn lock_path(partial_path: &Path) -> PathBuf {
    let mut name = partial_path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

/// The lock of a folder that is being built; `None` where the file system has no locks.
///
/// # Errors
/// When another process holds it, or the place cannot be written.
fn lock_of(partial_path: &Path) -> Result<Option<FileLock>, IoError> {
    match FileLock::acquire(&lock_path(partial_path)) {
        Ok(lock) => Ok(Some(lock)),
        Err(IoError::Write { source, .. }) if source.kind() == ErrorKind::Unsupported => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes what runs that were killed left beside a result, as one that was killed after it had given the result its name.
pub fn tidy(path: &Path) {
    // Whoever is at work there stays.
    let _ = remove_abandoned(path, path);
}

/// Removes what runs that were killed left beside `path`: partial folders that nobody holds, but not `own`. Returns the
/// error with which to give up where a living run holds one.
///
/// Where the system has no locks, nothing is removed.
fn remove_abandoned(path: &Path, own: &Path) -> Option<IoError> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return None;
    };
    let parent = if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    };
    let prefix = format!(".{}.partial-", name.to_string_lossy());
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let file_name = entry.file_name();
        let Some(process) = file_name
            .to_str()
            .and_then(|name| name.strip_prefix(&prefix))
            .map(|process| process.trim_end_matches(".lock"))
        else {
            continue;
        };
        let partial = path.with_file_name(format!("{prefix}{process}"));
        if process.parse::<u32>().is_err() || partial == own {
            continue;
        }
        match lock_of(&partial) {
            Ok(Some(_held)) => {
                // What cannot be removed does no harm.
                let _ = fs::remove_dir_all(&partial);
                let _ = fs::remove_file(lock_path(&partial));
            }
            Err(IoError::Locked { holder, .. }) => {
                return Some(IoError::Locked {
                    path: path.to_owned(),
                    holder,
                });
            }
            Ok(None) | Err(_) => {}
        }
    }
    None
}

/// `.NAME.KIND-PID` beside `path`.
fn sibling(path: &Path, kind: &str) -> PathBuf {
    path.with_file_name(format!(".{}.{kind}-{}", name_of(path), std::process::id()))
}

/// Flushes every file and folder below `folder`.
fn sync_tree(folder: &Path) -> Result<(), IoError> {
    let failed = |source| IoError::write(folder, source);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() && !path.is_symlink() {
            sync_tree(&path)?;
        } else if path.is_file() {
            let synced = OpenOptions::new()
                .read(true)
                .write(true)
                .open(&path)
                .and_then(|file| file.sync_all());
            synced.map_err(|source| IoError::write(&path, source))?;
        }
    }
    sync_folder(folder);
    Ok(())
}

/// Flushes the folder that holds `path`, so that a rename survives a power cut.
fn sync_parent(path: &Path) {
    if let Some(parent) = path.parent() {
        sync_folder(if parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            parent
        });
    }
}

/// Flushes a folder's own entry; not every file system can, which is no reason to fail.
fn sync_folder(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::IoErrorKind;

    #[test]
    fn nothing_is_left_when_a_folder_is_not_committed() {
        let base = tempfile::tempdir().unwrap();
        let target = base.path().join("deep/out");
        let output = OutputFolder::create(&target, false).unwrap();
        fs::write(output.path().join("a"), "x").unwrap();
        drop(output);
        assert!(!target.exists());
        assert_eq!(fs::read_dir(base.path().join("deep")).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_is_replaced_only_when_asked() {
        let base = tempfile::tempdir().unwrap();
        let target = base.path().join("out");
        for text in ["old", "new"] {
            let output = OutputFolder::create(&target, true).unwrap();
            fs::create_dir(output.path().join("inner")).unwrap();
            fs::write(output.path().join("inner/a"), text).unwrap();
            output.commit().unwrap();
            assert_eq!(fs::read_to_string(target.join("inner/a")).unwrap(), text);
        }
        let error = OutputFolder::create(&target, false).unwrap_err();
        assert!(matches!(error, IoError::Exists { .. }));
        assert_eq!(error.kind(), IoErrorKind::Output);
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_empty_folder_may_wait_at_the_final_name() {
        let base = tempfile::tempdir().unwrap();
        let target = base.path().join("out");
        fs::create_dir(&target).unwrap();
        let output = OutputFolder::create(&target, false).unwrap();
        fs::write(output.path().join("a"), "x").unwrap();
        output.commit().unwrap();
        assert!(target.join("a").is_file());
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_is_written_whole() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("manifest.json");
        write_file(&path, b"one").unwrap();
        write_file(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 1);
        assert!(write_file(&base.path().join("no/such"), b"x").is_err());
    }

    #[test]
    fn a_file_that_is_not_finished_leaves_what_was_there() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("masks.tif");
        write_file(&path, b"old").unwrap();
        let mut file = OutputFile::create(&path).unwrap();
        file.write_with(|writer| writer.write_all(b"half")).unwrap();
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 1);
        let mut file = OutputFile::create(&path).unwrap();
        file.write_with(|writer| writer.write_all(b"whole"))
            .unwrap();
        assert_eq!(file.final_path(), path);
        file.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_second_output_of_the_same_name_is_refused_and_the_first_is_kept() {
        let base = tempfile::tempdir().unwrap();
        let target = base.path().join("out");
        // Another process, as far as anyone can see: its folder and its lock have another number.
        let other = base.path().join(".out.partial-1");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("a"), "x").unwrap();
        let lock = FileLock::acquire(&lock_path(&other)).unwrap();
        for replace in [false, true] {
            let error = OutputFolder::create(&target, replace).unwrap_err();
            assert_eq!(error.kind(), IoErrorKind::Locked);
            assert!(error.to_string().contains("out` is in use"), "{error}");
        }
        assert_eq!(fs::read_to_string(other.join("a")).unwrap(), "x");
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 2);
        // Its process has ended without a word.
        drop(lock);
        let output = OutputFolder::create(&target, false).unwrap();
        assert!(!other.exists() && !lock_path(&other).exists());
        output.commit().unwrap();
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 1);
    }
}
