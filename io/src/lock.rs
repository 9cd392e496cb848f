//! Locks of the operating system: they end with the process, however that ends, so that a stale lock file blocks nobody.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::IoError;

/// An exclusive lock on a file, held while this value lives.
#[derive(Debug)]
pub struct FileLock {
    file: File,
}

impl FileLock {
    /// Takes the lock of the file at `path`, which is made where it is not there, and writes process id, host and start time
    /// into it.
    ///
    /// # Errors
    /// [`IoError::Locked`] when another process (or another lock of this one) holds it; a write error otherwise.
    pub fn acquire(path: &Path) -> Result<FileLock, IoError> {
        let path: PathBuf = path.to_owned();
        let failed = |source| IoError::write(&path, source);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let told = (&mut file).take(1000).read_to_string(&mut holder).is_ok()
                    && !holder.trim().is_empty();
                let holder = if told {
                    holder.trim().replace('\n', ", ")
                } else {
                    "another process".to_owned()
                };
                return Err(IoError::Locked { path, holder });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let started_s = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let text = format!(
            "process {}\nhost {}\nstarted {started_s} s after 1970\n",
            std::process::id(),
            host_name()
        );
        // The text is a courtesy; the lock holds without it, also on a full disk.
        let _ = file
            .set_len(0)
            .and_then(|()| file.write_all(text.as_bytes()));
        Ok(FileLock { file })
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // The file stays: removing it would race with a process that has just opened it and waits for the lock.
        let _ = self.file.set_len(0);
        let _ = self.file.unlock();
    }
}

/// An exclusive lock on a folder: that of its file `.lock`.
#[derive(Debug)]
pub struct FolderLock {
    _file: FileLock,
}

impl FolderLock {
    /// Takes the lock `folder/.lock`.
    ///
    /// # Errors
    /// As [`FileLock::acquire`].
    pub fn acquire(folder: &Path) -> Result<FolderLock, IoError> {
        let _file = FileLock::acquire(&folder.join(".lock"))?;
        Ok(FolderLock { _file })
    }
}

/// The machine's name, as far as std and the environment tell.
fn host_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .or_else(|| std::env::var("COMPUTERNAME").ok())
        .map_or_else(|| "unknown".to_owned(), |name| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::IoErrorKind;

    #[test]
    fn a_second_lock_is_refused_and_says_who_holds_it() {
        let base = tempfile::tempdir().unwrap();
        let lock = FolderLock::acquire(base.path()).unwrap();
        let error = FolderLock::acquire(base.path()).unwrap_err();
        assert_eq!(error.kind(), IoErrorKind::Locked);
        assert!(
            error
                .to_string()
                .contains(&format!("process {}", std::process::id())),
            "{error}"
        );
        drop(lock);
        FolderLock::acquire(base.path()).unwrap();
    }
}
