//! Headers of numpy arrays, looked at before npyz reads them: it trusts a header's sizes, and takes its text apart by functions
//! that call themselves as deep as brackets go. Files to be scored come from other programs, and may be damaged.

use std::io::{Read, Seek};
use std::path::Path;

use npyz::npz::{NpzArchive, file_name_from_array_name};
use somata_io::npy::parse_header;

/// Bytes of a header at most; usual ones have 64 to 128.
const LONGEST_HEADER: u64 = 1 << 16;
/// Rows of an array that holds nothing, and length of its other axes, at most: nothing else bounds them.
const LONGEST_EMPTY: (usize, usize) = (1 << 20, 1 << 24);

/// Looks at the header of a file's bytes.
///
/// # Errors
/// With the reason, when it is none or asks for more than the file holds.
pub(crate) fn check_file(path: &Path, bytes: &[u8]) -> Result<(), String> {
    check(path, bytes, bytes.len() as u64)
}

/// Looks at the header of the array `name` of an archive; where there is none, or it cannot be unpacked, npyz says so.
///
/// # Errors
/// With the reason, when it is no header or asks for more than the member holds.
pub(crate) fn check_member<R: Read + Seek>(
    path: &Path,
    archive: &mut NpzArchive<R>,
    name: &str,
) -> Result<(), String> {
    let Ok(member) = archive
        .zip_archive()
        .by_name(&file_name_from_array_name(name))
    else {
        return Ok(());
    };
    let size_bytes = member.size();
    let mut start = Vec::new();
    if member.take(LONGEST_HEADER).read_to_end(&mut start).is_err() {
        return Ok(());
    }
    check(path, &start, size_bytes)
}

fn check(path: &Path, start: &[u8], size_bytes: u64) -> Result<(), String> {
    let header = parse_header(path, start).map_err(|error| error.to_string())?;
    let text = &start[..header.data_offset_bytes as usize];
    // One dictionary and one tuple.
    if text.iter().filter(|&&byte| b"([{".contains(&byte)).count() > 2 {
        return Err("its header is not that of a plain array".into());
    }
    let element_bytes = header
        .description
        .get(2..)
        .and_then(|digits| digits.parse::<u64>().ok())
        .ok_or_else(|| format!("its type is `{}`", header.description))?;
    let shape = &header.shape;
    let too_large = || format!("its shape {shape:?} is more than the file holds");
    if shape.contains(&0) {
        let (rows, others) = LONGEST_EMPTY;
        let fits = shape[0] <= rows && shape.iter().all(|&n| n <= others);
        return if fits { Ok(()) } else { Err(too_large()) };
    }
    shape
        .iter()
        .try_fold(element_bytes.max(1), |bytes, &n| {
            bytes.checked_mul(n as u64)
        })
        .and_then(|bytes| bytes.checked_add(header.data_offset_bytes))
        .filter(|&bytes| bytes <= size_bytes)
        .map(drop)
        .ok_or_else(too_large)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(dictionary: &str, n_bytes: usize) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((dictionary.len() as u16).to_le_bytes());
        bytes.extend(dictionary.as_bytes());
        bytes.resize(bytes.len() + n_bytes, 0);
        bytes
    }

    #[test]
    fn a_header_that_asks_for_more_than_there_is_is_refused() {
        let refused = |shape: &str, n_bytes: usize| {
            let dictionary =
                format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}");
            check_file(Path::new("a.npy"), &file(&dictionary, n_bytes)).err()
        };
        assert_eq!(refused("(2, 3)", 24), None);
        assert_eq!(refused("(0, 3)", 0), None);
        assert_eq!(refused("()", 4), None);
        for (shape, n_bytes) in [
            ("(2, 3)", 23),
            ("(4294967296, 4294967296, 4294967296)", 100),
            ("(1000000000000, 0)", 0),
        ] {
            let reason = refused(shape, n_bytes).expect("refused");
            assert!(reason.contains("more than the file holds"), "{reason}");
        }
        let deep = format!(
            "{{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': {}}}",
            "(".repeat(50_000)
        );
        let reason = check_file(Path::new("a.npy"), &file(&deep, 4)).unwrap_err();
        assert!(reason.contains("plain array"), "{reason}");
    }
}
