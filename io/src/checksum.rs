//! A fingerprint of an input file that costs little on a 100 GB recording.
//!
//! BLAKE3 over the file's size, its first and last block and blocks spread evenly between them. It tells two recordings apart
//! and notices a file that was replaced or cut; it does not notice a changed byte between the sampled blocks.

use std::fs::File;
use std::path::Path;

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
    let file = File::open(path).map_err(|source| IoError::read(path, source))?;
    let size_bytes = file
        .metadata()
        .map_err(|source| IoError::read(path, source))?
        .len();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&size_bytes.to_le_bytes());
    let n_whole = size_bytes.div_ceil(BLOCK_BYTES);
    let n_sampled = n_whole.min(N_BLOCKS);
    let mut buffer = vec![0u8; BLOCK_BYTES as usize];
    for index in 0..n_sampled {
        let block = if n_sampled < 2 {
            0
        } else {
            index * (n_whole - 1) / (n_sampled - 1)
        };
        let offset = block * BLOCK_BYTES;
        let length = BLOCK_BYTES.min(size_bytes - offset) as usize;
        read_exact_at(&file, &mut buffer[..length], offset)
            .map_err(|source| IoError::read(path, source))?;
        hasher.update(&buffer[..length]);
    }
    Ok(hasher.finalize().to_hex().to_string())
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
}
