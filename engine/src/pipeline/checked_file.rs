//! Large files of the work folder, beside the checkpoints: written under a temporary name, synced, renamed, and told by a checksum.
//!
//! The checkpoint of the stage that wrote a file keeps its [`Checksum`]. A run that goes on from the checkpoint compares it first,
//! so that a file that was cut, or whose disk lost a bit, is made again and never read as data.

use std::{
    fs::File,
    io::{BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::checkpoint::work_error;
use crate::error::Result;

/// Bytes that are hashed at a time.
const PIECE_BYTES: usize = 1 << 20;

/// Length and BLAKE3 hash of a file.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Checksum {
    bytes: u64,
    hash: [u8; 32],
}

impl Checksum {
    /// Whether the file at `path` is the one that was written.
    pub fn fits(&self, path: &Path) -> bool {
        // The length first: it costs nothing, and most damage shows in it.
        std::fs::metadata(path).is_ok_and(|file| file.len() == self.bytes)
            && hash_of(path).is_ok_and(|hash| hash == self.hash)
    }
}

fn hash_of(path: &Path) -> std::io::Result<[u8; 32]> {
    let mut file = File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(*hasher.finalize().as_bytes()),
            n => hasher.update(&piece[..n]),
        };
    }
}

/// A file in the making; dropped before [`CheckedWriter::finish`] it leaves nothing.
pub struct CheckedWriter {
    path: PathBuf,
    partial: PathBuf,
    /// `None` once finished.
    out: Option<BufWriter<File>>,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl CheckedWriter {
    /// Begins the file that will be at `path`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(path: &Path) -> Result<Self> {
        let partial = path.with_extension("partial");
        let file = File::create(&partial).map_err(|error| work_error("write", path, error))?;
        Ok(Self {
            path: path.to_owned(),
            partial,
            out: Some(BufWriter::with_capacity(PIECE_BYTES, file)),
            hasher: blake3::Hasher::new(),
            bytes: 0,
        })
    }

    /// Where the file will be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// When the disk is full.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        let out = self.out.as_mut().expect("only `finish` takes it");
        out.write_all(bytes)
            .map_err(|error| work_error("write", &self.path, error))
    }

    /// Ends the file and gives it its name.
    ///
    /// # Errors
    /// When the disk is full or the folder is gone.
    pub fn finish(mut self) -> Result<Checksum> {
        let failed = |error| work_error("write", &self.path, error);
        let out = self.out.as_mut().expect("only `finish` takes it");
        out.flush()
            .and_then(|()| out.get_ref().sync_all())
            .and_then(|()| std::fs::rename(&self.partial, &self.path))
            .map_err(failed)?;
        self.out = None;
        Ok(Checksum {
            bytes: self.bytes,
            hash: *self.hasher.finalize().as_bytes(),
        })
    }
}

impl Drop for CheckedWriter {
    fn drop(&mut self) {
        if let Some(out) = self.out.take() {
            // `into_parts` keeps the buffer from being flushed into a file that goes away.
            drop(out.into_parts());
            let _ = std::fs::remove_file(&self.partial);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("somata-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    #[test]
    fn a_changed_cut_or_lost_file_does_not_fit() {
        let folder = folder("checked");
        let path = folder.join("a.data");
        let mut writer = CheckedWriter::create(&path).expect("created");
        let bytes: Vec<u8> = (0..3 * PIECE_BYTES + 5).map(|i| (i % 251) as u8).collect();
        for piece in bytes.chunks(1000) {
            writer.write(piece).expect("written");
        }
        assert!(!path.exists(), "it is there when it is whole");
        let checksum = writer.finish().expect("finished");
        assert!(checksum.fits(&path));
        assert_eq!(std::fs::read(&path).expect("a file"), bytes);

        let mut changed = bytes.clone();
        changed[2 * PIECE_BYTES] ^= 16;
        std::fs::write(&path, &changed).expect("changed");
        assert!(!checksum.fits(&path), "one bit");
        std::fs::write(&path, &bytes[..bytes.len() - 1]).expect("cut");
        assert!(!checksum.fits(&path), "one byte less");
        std::fs::remove_file(&path).expect("removed");
        assert!(!checksum.fits(&path), "gone");
        std::fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn what_is_not_finished_leaves_nothing() {
        let folder = folder("unfinished");
        let mut writer = CheckedWriter::create(&folder.join("a.data")).expect("created");
        writer.write(&[1; 100]).expect("written");
        drop(writer);
        assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 0);
        std::fs::remove_dir_all(folder).expect("removed");
    }
}
