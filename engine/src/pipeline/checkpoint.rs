//! Stage results in the work folder, so that a run that was killed goes on where it was.
//!
//! A file is named by its stage and a hash of everything that its content depends on (input, parameters, version); it
//! is written under a temporary name, synced and renamed, so it is whole or not there.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    error::{EngineError, Result},
    stream::Control,
};

/// Version of what is stored; a change of any stored type asks for another one, since content tells nothing of its types.
const LAYOUT: &str = "layout 4";

/// Looks whether the input is still what it was.
type Check<'a> = Box<dyn Fn() -> Result<()> + Send + Sync + 'a>;

/// The checkpoints of one run.
pub struct Checkpoints<'a> {
    folder: Option<PathBuf>,
    key: String,
    check: Check<'a>,
}

impl<'a> Checkpoints<'a> {
    /// Checkpoints in `folder`, valid for runs with the same `dependencies`; none at all without a folder.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(folder: Option<&Path>, dependencies: &[&str]) -> Result<Self> {
        let mut hasher = blake3::Hasher::new();
        for dependency in [LAYOUT].iter().chain(dependencies) {
            hasher.update(&(dependency.len() as u64).to_le_bytes());
            hasher.update(dependency.as_bytes());
        }
        let key = hasher.finalize().to_hex()[..16].to_owned();
        if let Some(folder) = folder {
            fs::create_dir_all(folder).map_err(|source| work_error("write", folder, source))?;
        }
        Ok(Self {
            folder: folder.map(Path::to_owned),
            key,
            check: Box::new(|| Ok(())),
        })
    }

    /// With a look at the input before a result is kept.
    #[must_use]
    pub fn checking(mut self, check: impl Fn() -> Result<()> + Send + Sync + 'a) -> Self {
        self.check = Box::new(check);
        self
    }

    /// Hash of everything that the results depend on.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Where a stage's result is.
    pub fn path(&self, stage: &str) -> Option<PathBuf> {
        self.folder
            .as_ref()
            .map(|folder| folder.join(format!("{stage}-{}.bin", self.key)))
    }

    /// The stage's result from the work folder, or computed and put there.
    ///
    /// # Errors
    /// What `compute` returns, or when the file cannot be written or the input was changed meanwhile.
    pub fn stage<T: Serialize + DeserializeOwned>(
        &self,
        control: &Control,
        stage: &str,
        compute: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        self.stage_if(control, stage, |_| true, compute)
    }

    /// As [`Checkpoints::stage`], but a stored result that is not `usable` is made again.
    ///
    /// # Errors
    /// As [`Checkpoints::stage`].
    pub fn stage_if<T: Serialize + DeserializeOwned>(
        &self,
        control: &Control,
        stage: &str,
        usable: impl FnOnce(&T) -> bool,
        compute: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        control.stage(stage, || {
            if let Some(value) = self.load(stage).filter(usable) {
                return Ok((value, true));
            }
            let value = compute()?;
            (self.check)()?;
            self.store(stage, &value)?;
            Ok((value, false))
        })
    }

    /// A stored result; a damaged file counts as none, and is made again.
    fn load<T: DeserializeOwned>(&self, stage: &str) -> Option<T> {
        let mut file = File::open(self.path(stage)?).ok()?;
        let mut stored = [0; HASH_BYTES];
        file.read_exact(&mut stored).ok()?;
        // Read twice, and never whole: a result can be a good part of all memory, and its bytes would be as much again.
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(&mut file).ok()?;
        if hasher.finalize().as_bytes() != &stored {
            return None;
        }
        // Strings come by way of a buffer. All of them together are no longer than the file; pages without any are never touched.
        let length = usize::try_from(file.stream_position().ok()?).ok()?;
        let mut strings = vec![0; length];
        file.seek(SeekFrom::Start(HASH_BYTES as u64)).ok()?;
        let reader = BufReader::with_capacity(BUFFER_BYTES, file);
        let (value, _) = postcard::from_io((reader, &mut strings)).ok()?;
        Some(value)
    }

    fn store<T: Serialize>(&self, stage: &str, value: &T) -> Result<()> {
        let Some(path) = self.path(stage) else {
            return Ok(());
        };
        // Written as it is encoded: a result can be a good part of all memory, and its bytes would be as much again.
        write_by(&path, |file| {
            file.write_all(&[0; HASH_BYTES])?;
            let mut hashed = Hashed {
                file: &mut *file,
                hasher: blake3::Hasher::new(),
                buffer: Vec::with_capacity(BUFFER_BYTES),
                failure: None,
            };
            let encoded = postcard::to_io(value, &mut hashed).map(|_| ());
            if let Some(failure) = hashed.failure.take() {
                return Err(failure);
            }
            encoded.map_err(io::Error::other)?;
            if let Err(error) = hashed.flush() {
                return Err(hashed.failure.take().unwrap_or(error));
            }
            let hash = hashed.hasher.finalize();
            file.seek(SeekFrom::Start(0))?;
            file.write_all(hash.as_bytes())
        })
    }
}

/// Bytes of the hash at the start of a stored result.
const HASH_BYTES: usize = 32;

/// Bytes that are hashed and written together.
const BUFFER_BYTES: usize = 1 << 20;

/// A file whose content is hashed as it is written.
struct Hashed<'a> {
    file: &'a mut File,
    hasher: blake3::Hasher,
    buffer: Vec<u8>,
    /// Why something could not be written: an encoder says only that it could not.
    failure: Option<io::Error>,
}

impl Write for Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.flush()?;
        }
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.hasher.update(&self.buffer);
        let written = self.file.write_all(&self.buffer);
        self.buffer.clear();
        written.map_err(|error| {
            let kind = error.kind();
            self.failure = Some(error);
            kind.into()
        })
    }
}

/// Writes a file under a temporary name, syncs and renames it.
fn write_by(path: &Path, content: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    let temporary = path.with_extension("partial");
    let write = || -> io::Result<()> {
        let mut file = File::create(&temporary)?;
        content(&mut file)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|source| {
        let _ = fs::remove_file(&temporary);
        work_error("write", path, source)
    })
}

pub(crate) fn work_error(action: &'static str, path: &Path, source: io::Error) -> EngineError {
    EngineError::Work {
        action,
        path: path.display().to_string(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_of_any_length_come_back() {
        let folder = tempfile::tempdir().expect("folder");
        let control = Control::default();
        let checkpoints = Checkpoints::new(Some(folder.path()), &["input"]).expect("folder");
        let long = "µ".repeat(3 * BUFFER_BYTES);
        let value = (
            vec![String::new(), long.clone(), "short".into()],
            7u64,
            long,
        );
        let put = checkpoints.stage(&control, "text", || Ok(value.clone()));
        assert_eq!(put.expect("computed"), value);
        let nothing = || Ok((Vec::<String>::new(), 0, String::new()));
        let again = checkpoints.stage(&control, "text", nothing);
        assert_eq!(again.expect("stored"), value);
    }

    #[test]
    fn comes_back_and_is_made_again_when_damaged() {
        let folder = std::env::temp_dir().join(format!("somata-checkpoint-{}", std::process::id()));
        let control = Control::default();
        let checkpoints =
            Checkpoints::new(Some(&folder), &["input", "parameters"]).expect("folder");
        let first = checkpoints
            .stage(&control, "a", || Ok(vec![1.5f32, 2.5]))
            .expect("computed");
        let again = checkpoints
            .stage(&control, "a", || Ok(Vec::<f32>::new()))
            .expect("stored");
        assert_eq!(first, again);
        let path = checkpoints.path("a").expect("path");
        let mut bytes = fs::read(&path).expect("file");
        *bytes.last_mut().expect("not empty") ^= 1;
        fs::write(&path, bytes).expect("damaged");
        assert!(
            checkpoints
                .stage(&control, "a", || Ok(Vec::<f32>::new()))
                .expect("made again")
                .is_empty()
        );
        assert_ne!(
            Checkpoints::new(None, &["input", "other"])
                .expect("none")
                .key(),
            checkpoints.key()
        );
        fs::remove_dir_all(folder).expect("removed");
    }
}
