//! A fingerprint of an input file that costs little on a 100 GB recording.
//!
//! BLAKE3 over the file's size, its first and last block and blocks spread evenly between them. It tells two recordings apart
//! and notices a file that was replaced or cut; it does not notice a changed byte between the sampled blocks.

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

/// Hashes the size of a file and blocks of it.
fn sample(
    path: &Path,
    block_bytes: u64,
    n_blocks: u64,
    hasher: &mut blake3::Hasher,
) -> Result<(), IoError> {
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
