//! Rows of a `.npy` file by position, so that an array larger than memory can be handed on a stretch at a time. The file may be a
//! member of an `.npz` that is not compressed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::IoError;
use crate::imaging_output::zip_archive::{StoredMember, stored_members};
use crate::npy::parse_header;
use crate::recording::frames::read_exact_at;

/// Bytes of the longest header that is looked at: numpy's of version 1.
const HEADER_BYTES: usize = 10 + u16::MAX as usize;

/// An array of two axes in a file, `[rows, length]`, float32 or float64.
#[derive(Clone, Debug)]
pub struct NpyRows {
    path: PathBuf,
    file: Arc<File>,
    offset_bytes: u64,
    element_bytes: usize,
    /// Number of rows.
    pub n_rows: usize,
    /// Elements of a row.
    pub row_length: usize,
}

impl NpyRows {
    /// Opens a `.npy` file.
    ///
    /// # Errors
    /// When it is absent, damaged, truncated, in Fortran order, or no array of two axes of floats.
    pub fn open(path: &Path) -> Result<NpyRows, IoError> {
        let failed = |source| IoError::read(path, source);
        let file = Arc::new(File::open(path).map_err(failed)?);
        let size_bytes = file.metadata().map_err(failed)?.len();
        Self::within(path, file, 0, size_bytes)
    }

    /// Opens a `.npy` file of two axes or more; all but the first are one row. Returns its shape as well.
    ///
    /// # Errors
    /// As [`NpyRows::open`].
    pub fn open_blocks(path: &Path) -> Result<(NpyRows, Vec<usize>), IoError> {
        let failed = |source| IoError::read(path, source);
        let file = Arc::new(File::open(path).map_err(failed)?);
        let size_bytes = file.metadata().map_err(failed)?.len();
        Self::blocks_within(path, file, 0, size_bytes)
    }

    /// Opens each of these members of an `.npz` that is not compressed; `None` for one that is not there.
    ///
    /// # Errors
    /// As [`NpyRows::open`], and when the archive is damaged.
    pub fn open_members(npz: &Path, names: &[&str]) -> Result<Vec<Option<NpyRows>>, IoError> {
        let members = stored_members(npz)?;
        let file = Arc::new(File::open(npz).map_err(|source| IoError::read(npz, source))?);
        let open = |name: &&str| {
            let name = format!("{name}.npy");
            let member = members.iter().find(|member| member.name == name);
            let open = |member: &StoredMember| {
                let file = Arc::clone(&file);
                Self::within(npz, file, member.offset_bytes, member.size_bytes)
            };
            member.map(open).transpose()
        };
        names.iter().map(open).collect()
    }

    /// The array whose header begins at a place of the file and which has that many bytes.
    fn within(
        path: &Path,
        file: Arc<File>,
        start_bytes: u64,
        size_bytes: u64,
    ) -> Result<NpyRows, IoError> {
        let (rows, shape) = Self::blocks_within(path, file, start_bytes, size_bytes)?;
        if shape.len() != 2 {
            let shape = format!("{shape:?}");
            return Err(IoError::bad_value(path, "shape", shape, "two axes"));
        }
        Ok(rows)
    }

    /// The same, of two axes or more.
    fn blocks_within(
        path: &Path,
        file: Arc<File>,
        start_bytes: u64,
        size_bytes: u64,
    ) -> Result<(NpyRows, Vec<usize>), IoError> {
        let mut head = vec![0u8; size_bytes.min(HEADER_BYTES as u64) as usize];
        read_exact_at(&file, &mut head, start_bytes)
            .map_err(|source| IoError::read(path, source))?;
        let header = parse_header(path, &head)?;
        let bad = |key: &str, value: String, expected: &str| {
            Err(IoError::bad_value(path, key, value, expected))
        };
        let element_bytes = match header.description.as_str() {
            "<f4" => 4,
            "<f8" => 8,
            other => return bad("descr", other.to_owned(), "`<f4` or `<f8`"),
        };
        let row_length = header.shape.get(1..).filter(|rest| !rest.is_empty());
        let row_length = row_length.and_then(|rest| {
            let mut lengths = rest.iter();
            lengths.try_fold(1usize, |product, &length| product.checked_mul(length))
        });
        let Some(row_length) = row_length else {
            return bad("shape", format!("{:?}", header.shape), "two axes");
        };
        let n_rows = header.shape[0];
        // Where no more than one axis is longer than 1, both orders are the same.
        let n_long = header.shape.iter().filter(|&&length| length > 1).count();
        if header.fortran_order && n_long > 1 {
            return bad("fortran_order", "True".to_owned(), "C order");
        }
        let expected = (n_rows as u64)
            .checked_mul(row_length as u64)
            .and_then(|n| n.checked_mul(element_bytes as u64))
            .and_then(|n| n.checked_add(header.data_offset_bytes));
        match expected {
            Some(expected) if expected <= size_bytes => {}
            expected => {
                return Err(IoError::Truncated {
                    path: path.to_owned(),
                    expected_bytes: expected.unwrap_or(u64::MAX),
                    found_bytes: size_bytes,
                });
            }
        }
        let rows = NpyRows {
            path: path.to_owned(),
            file,
            offset_bytes: start_bytes + header.data_offset_bytes,
            element_bytes,
            n_rows,
            row_length,
        };
        Ok((rows, header.shape))
    }

    /// Fills `out` with the elements of `row` from `start` on.
    ///
    /// # Errors
    /// When the file cannot be read.
    ///
    /// # Panics
    /// When the row does not have as many elements.
    pub fn read_part(&self, row: usize, start: usize, out: &mut [f32]) -> Result<(), IoError> {
        assert!(row < self.n_rows && start + out.len() <= self.row_length);
        let first = row as u64 * self.row_length as u64 + start as u64;
        let offset = self.offset_bytes + first * self.element_bytes as u64;
        let mut bytes = vec![0u8; out.len() * self.element_bytes];
        read_exact_at(&self.file, &mut bytes, offset)
            .map_err(|source| IoError::read(&self.path, source))?;
        if self.element_bytes == 4 {
            for (value, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
                *value = f32::from_le_bytes(*bytes);
            }
        } else {
            for (value, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
                *value = f64::from_le_bytes(*bytes) as f32;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imaging_output::traces::{TraceArrays, TraceKind, write_traces_npz};
    use crate::npy::write_npy;

    #[test]
    fn parts_of_rows_are_read_from_a_file_and_from_an_archive() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let values: Vec<f32> = (0..12).map(|value| value as f32).collect();
        let wide: Vec<f64> = values.iter().map(|&value| f64::from(value)).collect();
        write_npy(&at("a.npy"), &[3, 4], &values).unwrap();
        write_npy(&at("b.npy"), &[3, 4], &wide).unwrap();
        let kinds = [
            TraceKind::Fluorescence,
            TraceKind::Neuropil,
            TraceKind::Corrected,
            TraceKind::DeltaFOverF,
            TraceKind::Denoised,
            TraceKind::Spikes,
        ];
        let mut source = TraceArrays::new(3, 4);
        for kind in kinds {
            source = source.with(kind, &values);
        }
        write_traces_npz(&at("t.npz"), &[0.0; 4], &mut source).unwrap();
        let members = NpyRows::open_members(&at("t.npz"), &["dff", "none", "F"]).unwrap();
        assert!(members[1].is_none());
        let files = [
            NpyRows::open(&at("a.npy")).unwrap(),
            NpyRows::open(&at("b.npy")).unwrap(),
            members[0].clone().unwrap(),
            members[2].clone().unwrap(),
        ];
        for rows in files {
            assert_eq!([rows.n_rows, rows.row_length], [3, 4]);
            let mut part = [0f32; 2];
            rows.read_part(2, 1, &mut part).unwrap();
            assert_eq!(part, [9.0, 10.0]);
        }
    }

    #[test]
    fn a_file_that_is_cut_short_or_of_another_shape_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        write_npy(&path, &[4], &[1f32; 4]).unwrap();
        assert!(
            NpyRows::open(&path)
                .unwrap_err()
                .to_string()
                .contains("two axes")
        );
        write_npy(&path, &[2, 2], &[1i32; 4]).unwrap();
        assert!(
            NpyRows::open(&path)
                .unwrap_err()
                .to_string()
                .contains("<f4")
        );
        write_npy(&path, &[2, 2], &[1f32; 4]).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert!(matches!(
            NpyRows::open(&path),
            Err(IoError::Truncated { .. })
        ));
    }
}
