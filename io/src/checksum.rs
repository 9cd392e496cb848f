//! A fingerprint of an input file that costs little on a 100 GB recording.
//!
//! BLAKE3 over the file's size, its first and last block and blocks spread evenly between them. It tells two recordings apart
//! and notices a file that was replaced or cut; it does not notice a changed byte between the sampled blocks. Of a folder (a Zarr store)
//! the names of all files count, and blocks of some of them.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::error::IoError;
use crate::recording::frames::read_exact_at;

/// Bytes of one sampled block.
const BLOCK_BYTES: u64 = 64 * 1024;
/// Blocks that are hashed at most.
const N_BLOCKS: u64 = 64;

/// BLAKE3 of the size and of at most 64 blocks of 64 KiB, as 64 hexadecimal digits.
///
/// # Errors
/// When the file cannot be opened or read.
pub fn sampled_fingerprint(path: &Path) -> Result<String, IoError> {
    let mut hasher = blake3::Hasher::new();
    sample(path, BLOCK_BYTES, N_BLOCKS, &mut hasher)?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// The fingerprint of files that belong together, in their order, as 64 hexadecimal digits; that of one file is
/// [`sampled_fingerprint`]. Of many files each gives fewer or smaller blocks, so that thousands of them cost little.
///
/// # Errors
/// When a file cannot be opened or read.
pub fn fingerprint_of_files(paths: &[PathBuf]) -> Result<String, IoError> {
    let n_files = paths.len() as u64;
    let block_bytes = if n_files <= N_BLOCKS {
        BLOCK_BYTES
    } else {
        4 * 1024
    };
    // At least two: the first block has the header, and an append shows in the last.
    let n_blocks = (N_BLOCKS / n_files.max(1)).max(2);
    let mut hasher = blake3::Hasher::new();
    for path in paths {
        sample(path, block_bytes, n_blocks, &mut hasher)?;
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// Bytes of a file, or of all files in a folder.
///
/// # Errors
/// When it is not there or cannot be listed.
pub fn total_bytes(path: &Path) -> Result<u64, IoError> {
    let mut files = Vec::new();
    files_below(path, MAX_DEPTH, &mut files)?;
    files.iter().try_fold(0u64, |total, path| {
        let metadata = std::fs::metadata(path).map_err(|source| IoError::read(path, source))?;
        Ok(total.saturating_add(metadata.len()))
    })
}

/// What [`total_bytes_within`] saw.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Total {
    /// Bytes of the file, or of all files in the folder.
    Bytes(u64),
    /// More bytes than were expected; how many is not known.
    More,
    /// More entries than may be listed.
    TooMany,
}

/// As [`total_bytes`], for a path that another's file names: the listing ends once there are more than `expected` bytes, or when
/// `entries`, which counts down, is used up.
///
/// # Errors
/// When it is not there or cannot be listed.
pub fn total_bytes_within(
    path: &Path,
    expected: u64,
    entries: &mut usize,
) -> Result<Total, IoError> {
    let failed = |path: &Path, source| IoError::read(path, source);
    let metadata = std::fs::metadata(path).map_err(|source| failed(path, source))?;
    if !metadata.is_dir() {
        return Ok(Total::Bytes(metadata.len()));
    }
    let mut total = 0u64;
    let mut folders = vec![(path.to_owned(), MAX_DEPTH)];
    while let Some((folder, depth)) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|source| failed(&folder, source))? {
            let Some(left) = entries.checked_sub(1) else {
                return Ok(Total::TooMany);
            };
            *entries = left;
            let entry = entry.map_err(|source| failed(&folder, source))?;
            let path = entry.path();
            let kind = entry.file_type().map_err(|source| failed(&path, source))?;
            if kind.is_dir() {
                if depth > 0 {
                    folders.push((path, depth - 1));
                }
            } else if path.is_file() {
                let metadata = std::fs::metadata(&path).map_err(|source| failed(&path, source))?;
                total = total.saturating_add(metadata.len());
                if total > expected {
                    return Ok(Total::More);
                }
            }
        }
    }
    Ok(Total::Bytes(total))
}

/// Folders in each other that are looked into.
const MAX_DEPTH: usize = 32;
/// Files of a folder that are sampled beside those that describe it.
const N_FILES: usize = 64;

/// The files below `path`, or `path` itself where it is one, in a fixed order. Links to folders are not followed.
fn files_below(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), IoError> {
    let failed = |source| IoError::read(path, source);
    if !std::fs::metadata(path).map_err(failed)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let entries = std::fs::read_dir(path).map_err(failed)?;
    let mut entries: Vec<std::fs::DirEntry> = entries.collect::<Result<_, _>>().map_err(failed)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() && depth > 0 {
            files_below(&entry.path(), depth - 1, files)?;
        } else if !kind.is_dir() && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// Hashes the names of all files of a folder (a Zarr store), those that describe it, and some of the others.
fn sample_folder(folder: &Path, hasher: &mut blake3::Hasher) -> Result<(), IoError> {
    let mut files = Vec::new();
    files_below(folder, MAX_DEPTH, &mut files)?;
    let n_files = files.len();
    let step = n_files.div_ceil(N_FILES).max(1);
    for (number, path) in files.iter().enumerate() {
        let name = path.strip_prefix(folder).unwrap_or(path);
        hasher.update(name.to_string_lossy().as_bytes());
        hasher.update(b"\0");
        let is_description = path.file_name().is_some_and(|name| {
            ["zarr.json", ".zarray", ".zattrs"]
                .iter()
                .any(|known| name == *known)
        });
        if is_description || number.is_multiple_of(step) || number + 1 == n_files {
            sample(path, 4 * 1024, 2, hasher)?;
        }
    }
    Ok(())
}

/// Hashes the size of a file and blocks of it, or what [`sample_folder`] takes of a folder.
fn sample(
    path: &Path,
    block_bytes: u64,
    n_blocks: u64,
    hasher: &mut blake3::Hasher,
) -> Result<(), IoError> {
    if path.is_dir() {
        return sample_folder(path, hasher);
    }
    let file = File::open(path).map_err(|source| IoError::read(path, source))?;
    let size_bytes = file
        .metadata()
        .map_err(|source| IoError::read(path, source))?
        .len();
    hasher.update(&size_bytes.to_le_bytes());
    let n_whole = size_bytes.div_ceil(block_bytes);
    let n_sampled = n_whole.min(n_blocks);
    let mut buffer = vec![0u8; block_bytes as usize];
    for index in 0..n_sampled {
        let block = if n_sampled < 2 {
            0
        } else {
            index * (n_whole - 1) / (n_sampled - 1)
        };
        let offset = block * block_bytes;
        let length = block_bytes.min(size_bytes - offset) as usize;
        read_exact_at(&file, &mut buffer[..length], offset)
            .map_err(|source| IoError::read(path, source))?;
        hasher.update(&buffer[..length]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_sees_size_start_and_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        let mut bytes = vec![7u8; 10 * BLOCK_BYTES as usize + 3];
        std::fs::write(&path, &bytes).unwrap();
        let first = sampled_fingerprint(&path).unwrap();
        assert_eq!(first, sampled_fingerprint(&path).unwrap());
        *bytes.last_mut().unwrap() = 8;
        std::fs::write(&path, &bytes).unwrap();
        assert_ne!(first, sampled_fingerprint(&path).unwrap());
        std::fs::write(&path, []).unwrap();
        assert_ne!(first, sampled_fingerprint(&path).unwrap());
    }

    #[test]
    fn the_fingerprint_of_a_folder_sees_names_and_descriptions() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        for number in 0..300 {
            write(&format!("c/{number}/0"), "abcd");
        }
        write("zarr.json", "{}");
        let fingerprint = || sampled_fingerprint(folder.path()).unwrap();
        let first = fingerprint();
        assert_eq!(first, fingerprint());
        assert_eq!(total_bytes(folder.path()).unwrap(), 1202);
        let within = |bytes, mut entries| {
            let total = total_bytes_within(folder.path(), bytes, &mut entries).unwrap();
            (total, entries)
        };
        // 300 chunks, each in a folder of its own, in `c`, beside `zarr.json`.
        assert_eq!(within(1202, 1000), (Total::Bytes(1202), 398));
        assert_eq!(within(1201, 1000).0, Total::More);
        let (total, left) = within(0, 1000);
        assert!(
            total == Total::More && left > 600,
            "the first file is too much, {left} left"
        );
        assert_eq!(within(1202, 601), (Total::TooMany, 0));
        std::fs::rename(folder.path().join("c/7/0"), folder.path().join("c/7/1")).unwrap();
        let renamed = fingerprint();
        assert_ne!(first, renamed);
        write("zarr.json", "[]");
        assert_ne!(renamed, fingerprint());
    }

    #[test]
    fn the_fingerprint_of_files_sees_each_of_them_and_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = (0..100)
            .map(|number| {
                let path = folder.path().join(format!("{number}"));
                std::fs::write(&path, [number as u8; 10_000]).unwrap();
                path
            })
            .collect();
        for n_files in [1, 3, 100] {
            let mut paths = paths[..n_files].to_vec();
            let first = fingerprint_of_files(&paths).unwrap();
            if n_files == 1 {
                assert_eq!(first, sampled_fingerprint(&paths[0]).unwrap());
            } else {
                paths.swap(0, 1);
                assert_ne!(first, fingerprint_of_files(&paths).unwrap());
                paths.swap(0, 1);
            }
            let last = paths.last().unwrap();
            std::fs::write(last, [255u8; 10_000]).unwrap();
            assert_ne!(first, fingerprint_of_files(&paths).unwrap());
        }
    }
}
