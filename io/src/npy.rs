//! numpy's `.npy` files: typed reading and writing, and a stream that grows by rows.
//!
//! Written files are version 1.0, little-endian, C order, header padded to 64 bytes, as described in numpy's
//! "NEP 1 — A Simple File Format for NumPy Arrays". Pickled object arrays are refused. Object arrays are written by
//! [`crate::imaging_output::pickle`], and `.npz` by [`crate::imaging_output::traces`].

use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use crate::error::IoError;

/// A number that can be an element of a `.npy` file.
pub trait NpyElement: bytemuck::Pod {
    /// numpy's description, always little-endian: `<f4`, `<i8` …
    const DESCRIPTION: &'static str;
    /// The value from its little-endian bytes; `bytes` has exactly the element's size.
    fn from_little_endian(bytes: &[u8]) -> Self;
    /// Appends the value's little-endian bytes.
    fn push_little_endian(self, out: &mut Vec<u8>);
}

/// Implements [`NpyElement`] for one primitive.
macro_rules! npy_element {
    ($($kind:ty => $description:literal),*) => {$(
        impl NpyElement for $kind {
            const DESCRIPTION: &'static str = $description;
            fn from_little_endian(bytes: &[u8]) -> Self {
                <$kind>::from_le_bytes(bytes.try_into().expect("bytes of one element"))
            }
            fn push_little_endian(self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}
npy_element!(
    u8 => "|u1", i8 => "|i1", u16 => "<u2", i16 => "<i2", u32 => "<u4", i32 => "<i4",
    u64 => "<u8", i64 => "<i8", f32 => "<f4", f64 => "<f8"
);

/// An array read from a file, row-major.
#[derive(Clone, PartialEq, Debug)]
pub struct NpyArray<T> {
    /// Length along each axis; empty for a single number.
    pub shape: Vec<usize>,
    /// The elements, last axis fastest.
    pub data: Vec<T>,
}

/// The header of a `.npy` file.
#[derive(Clone, PartialEq, Debug)]
pub struct NpyHeader {
    /// numpy's description of the element, e.g. `<f4`.
    pub description: String,
    /// Whether the first axis is fastest.
    pub fortran_order: bool,
    /// Length along each axis.
    pub shape: Vec<usize>,
    /// Byte of the first element.
    pub data_offset_bytes: u64,
}

/// Writes `data` of `shape` to `path`, replacing what is there.
///
/// # Errors
/// When `shape` and `data` disagree, or the file cannot be written.
pub fn write_npy<T: NpyElement>(path: &Path, shape: &[usize], data: &[T]) -> Result<(), IoError> {
    if shape.iter().product::<usize>() != data.len() {
        return Err(IoError::BadTables {
            path: path.to_owned(),
            what: format!("shape {shape:?} does not hold {} elements", data.len()),
        });
    }
    let failed = |source| IoError::write(path, source);
    let mut file = BufWriter::new(File::create(path).map_err(failed)?);
    file.write_all(&header_bytes::<T>(shape, 0))
        .map_err(failed)?;
    write_elements(&mut file, data).map_err(failed)?;
    file.into_inner()
        .map_err(|error| failed(error.into_error()))?
        .sync_all()
        .map_err(failed)
}

/// Reads an array whose elements are exactly of type `T`.
///
/// # Errors
/// When the file is absent, damaged, truncated, in Fortran order or of another type.
pub fn read_npy<T: NpyElement>(path: &Path) -> Result<NpyArray<T>, IoError> {
    let (header, bytes) = read_row_major(path)?;
    if header.description != T::DESCRIPTION {
        return Err(IoError::bad_value(
            path,
            "descr",
            &header.description,
            T::DESCRIPTION,
        ));
    }
    let data = bytes
        .chunks_exact(size_of::<T>())
        .map(T::from_little_endian)
        .collect();
    Ok(NpyArray {
        shape: header.shape,
        data,
    })
}

/// Reads an array of any real number type as `f64`; one in Fortran order is brought into the order of [`NpyArray`].
///
/// # Errors
/// When the file is absent, damaged, truncated or of another type. 64-bit integers beyond 2⁵³ lose their last digits.
pub fn read_npy_as_f64(path: &Path) -> Result<NpyArray<f64>, IoError> {
    /// Converts each element.
    fn convert<T: NpyElement>(bytes: &[u8], to: impl Fn(T) -> f64) -> Vec<f64> {
        bytes
            .chunks_exact(size_of::<T>())
            .map(|chunk| to(T::from_little_endian(chunk)))
            .collect()
    }
    let (header, bytes) = read_raw(path)?;
    let data = match header.description.as_str() {
        "|u1" | "|b1" => convert::<u8>(&bytes, f64::from),
        "|i1" => convert::<i8>(&bytes, f64::from),
        "<u2" => convert::<u16>(&bytes, f64::from),
        "<i2" => convert::<i16>(&bytes, f64::from),
        "<u4" => convert::<u32>(&bytes, f64::from),
        "<i4" => convert::<i32>(&bytes, f64::from),
        "<u8" => convert::<u64>(&bytes, |value| value as f64),
        "<i8" => convert::<i64>(&bytes, |value| value as f64),
        "<f4" => convert::<f32>(&bytes, f64::from),
        "<f8" => convert::<f64>(&bytes, |value| value),
        other => {
            return Err(IoError::bad_value(
                path,
                "descr",
                other,
                "a little-endian number type",
            ));
        }
    };
    let data = if header.fortran_order && header.shape.len() > 1 {
        row_major(&header.shape, &data)
    } else {
        data
    };
    Ok(NpyArray {
        shape: header.shape,
        data,
    })
}

/// Reads an array of any integer type as `i64`; sorters do not agree on the type of their tables.
///
/// # Errors
/// As [`read_npy`]; when the elements are no integers, or one does not fit.
pub fn read_npy_as_i64(path: &Path) -> Result<NpyArray<i64>, IoError> {
    /// Converts each element; the first that does not fit is told.
    fn convert<T: NpyElement + TryInto<i64> + std::fmt::Display>(
        path: &Path,
        bytes: &[u8],
    ) -> Result<Vec<i64>, IoError> {
        let elements = bytes.chunks_exact(size_of::<T>());
        elements
            .map(|chunk| {
                let element = T::from_little_endian(chunk);
                element.try_into().map_err(|_| {
                    IoError::bad_value(path, "an element", element, "a number below 2⁶³")
                })
            })
            .collect()
    }
    let (header, bytes) = read_row_major(path)?;
    let data = match header.description.as_str() {
        "|u1" => convert::<u8>(path, &bytes),
        "|i1" => convert::<i8>(path, &bytes),
        "<u2" => convert::<u16>(path, &bytes),
        "<i2" => convert::<i16>(path, &bytes),
        "<u4" => convert::<u32>(path, &bytes),
        "<i4" => convert::<i32>(path, &bytes),
        "<u8" => convert::<u64>(path, &bytes),
        "<i8" => convert::<i64>(path, &bytes),
        other => Err(IoError::bad_value(
            path,
            "descr",
            other,
            "a little-endian integer type",
        )),
    }?;
    Ok(NpyArray {
        shape: header.shape,
        data,
    })
}

/// The elements of an array in Fortran order, last axis fastest.
pub(crate) fn row_major<T: Copy>(shape: &[usize], data: &[T]) -> Vec<T> {
    let mut strides = vec![1; shape.len()];
    for axis in 1..shape.len() {
        strides[axis] = strides[axis - 1] * shape[axis - 1];
    }
    let mut place = vec![0; shape.len()];
    let mut ordered = Vec::with_capacity(data.len());
    for _ in 0..data.len() {
        let at: usize = place
            .iter()
            .zip(&strides)
            .map(|(p, stride)| p * stride)
            .sum();
        ordered.push(data[at]);
        for axis in (0..shape.len()).rev() {
            place[axis] += 1;
            if place[axis] < shape[axis] {
                break;
            }
            place[axis] = 0;
        }
    }
    ordered
}

/// As [`read_raw`]; Fortran order is an error.
fn read_row_major(path: &Path) -> Result<(NpyHeader, Vec<u8>), IoError> {
    let (header, bytes) = read_raw(path)?;
    if header.fortran_order && header.shape.len() > 1 {
        return Err(IoError::bad_value(path, "fortran_order", "True", "C order"));
    }
    Ok((header, bytes))
}

/// Header and element bytes; the file's size bounds what is allocated.
fn read_raw(path: &Path) -> Result<(NpyHeader, Vec<u8>), IoError> {
    let failed = |source| IoError::read(path, source);
    let mut file = File::open(path).map_err(failed)?;
    let size_bytes = file.metadata().map_err(failed)?.len();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(failed)?;
    let header = parse_header(path, &bytes)?;
    let element_bytes: u64 = match header
        .description
        .get(2..)
        .and_then(|digits| digits.parse().ok())
    {
        Some(n) if (1..=8).contains(&n) => n,
        _ => {
            return Err(IoError::bad_value(
                path,
                "descr",
                &header.description,
                "a number type",
            ));
        }
    };
    let expected = header
        .shape
        .iter()
        .try_fold(element_bytes, |product, &n| product.checked_mul(n as u64))
        .and_then(|data_bytes| data_bytes.checked_add(header.data_offset_bytes))
        .ok_or_else(|| {
            IoError::bad_value(
                path,
                "shape",
                format!("{:?}", header.shape),
                "a shape that fits the file",
            )
        })?;
    if expected > size_bytes {
        return Err(IoError::Truncated {
            path: path.to_owned(),
            expected_bytes: expected,
            found_bytes: size_bytes,
        });
    }
    bytes.truncate(expected as usize);
    bytes.drain(..header.data_offset_bytes as usize);
    Ok((header, bytes))
}

/// Parses the header at the start of `bytes`; `path` is only for messages.
///
/// # Errors
/// When it is not the header of a `.npy` file.
pub fn parse_header(path: &Path, bytes: &[u8]) -> Result<NpyHeader, IoError> {
    let bad = |what: &str| IoError::malformed(path, "byte 0", what);
    if bytes.get(..6) != Some(b"\x93NUMPY") {
        return Err(bad("this is not a numpy file"));
    }
    let version = *bytes.get(6).ok_or_else(|| bad("the header is cut short"))?;
    let (start, length): (usize, usize) = if version == 1 {
        let length = bytes
            .get(8..10)
            .ok_or_else(|| bad("the header is cut short"))?;
        (10, usize::from(u16::from_le_bytes([length[0], length[1]])))
    } else {
        let length = bytes
            .get(8..12)
            .ok_or_else(|| bad("the header is cut short"))?;
        (
            12,
            u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize,
        )
    };
    let text = bytes
        .get(start..start.saturating_add(length))
        .ok_or_else(|| bad("the header is cut short"))?;
    let text = std::str::from_utf8(text).map_err(|_| bad("the header is not text"))?;
    let value_of = |key: &str| {
        let after = &text[text.find(&format!("'{key}'"))? + key.len() + 2..];
        Some(after[after.find(':')? + 1..].trim_start())
    };
    let description = value_of("descr")
        .and_then(|value| value.strip_prefix('\''))
        .and_then(|value| value.split_once('\''))
        .map(|(description, _)| description.to_owned())
        .ok_or_else(|| bad("the header has no simple `descr`"))?;
    let fortran_order = match value_of("fortran_order") {
        Some(value) if value.starts_with("False") => false,
        Some(value) if value.starts_with("True") => true,
        _ => return Err(bad("the header has no `fortran_order`")),
    };
    let shape = value_of("shape")
        .and_then(|value| value.strip_prefix('('))
        .and_then(|value| value.split_once(')'))
        .and_then(|(inside, _)| {
            let parts = inside
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty());
            parts
                .map(|part| part.parse().ok())
                .collect::<Option<Vec<usize>>>()
        })
        .ok_or_else(|| bad("the header has no `shape`"))?;
    Ok(NpyHeader {
        description,
        fortran_order,
        shape,
        data_offset_bytes: (start + length) as u64,
    })
}

/// The header for `shape`; `reserved_digits` leaves room for the first length to grow.
pub(crate) fn header_bytes<T: NpyElement>(shape: &[usize], reserved_digits: usize) -> Vec<u8> {
    header_of(T::DESCRIPTION, shape, reserved_digits)
}

/// The header of an array of Python objects.
pub(crate) fn object_header(shape: &[usize]) -> Vec<u8> {
    header_of("|O", shape, 0)
}

/// The header for elements of that description.
fn header_of(description: &str, shape: &[usize], reserved_digits: usize) -> Vec<u8> {
    let lengths: Vec<String> = shape.iter().map(usize::to_string).collect();
    let tuple = if lengths.len() == 1 {
        format!("({},)", lengths[0])
    } else {
        format!("({})", lengths.join(", "))
    };
    let dictionary =
        format!("{{'descr': '{description}', 'fortran_order': False, 'shape': {tuple}, }}");
    let spare = reserved_digits.saturating_sub(lengths.first().map_or(0, String::len));
    let total = (10 + dictionary.len() + spare + 1).next_multiple_of(64);
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend_from_slice(&((total - 10) as u16).to_le_bytes());
    bytes.extend_from_slice(dictionary.as_bytes());
    bytes.resize(total - 1, b' ');
    bytes.push(b'\n');
    bytes
}

/// The bytes of a whole file with that array.
pub(crate) fn file_bytes<T: NpyElement>(shape: &[usize], data: &[T]) -> Vec<u8> {
    let mut bytes = header_bytes::<T>(shape, 0);
    write_elements(&mut bytes, data).expect("memory takes every write");
    bytes
}

/// Writes elements little-endian; on the usual machines the slice's own bytes.
pub(crate) fn write_elements<T: NpyElement>(
    file: &mut impl Write,
    data: &[T],
) -> std::io::Result<()> {
    if cfg!(target_endian = "little") {
        return file.write_all(bytemuck::cast_slice(data));
    }
    let mut bytes = Vec::new();
    for chunk in data.chunks(1 << 16) {
        bytes.clear();
        chunk
            .iter()
            .for_each(|&value| value.push_little_endian(&mut bytes));
        file.write_all(&bytes)?;
    }
    Ok(())
}

/// Digits kept for the number of rows: that of the largest `u64`.
const ROW_DIGITS: usize = 20;

/// A `.npy` file that grows by rows; the number of rows is put into the header at the end.
///
/// Memory does not grow with the rows. A stream that is dropped without [`NpyStream::finish`] leaves a file that says it has
/// zero rows.
pub struct NpyStream<T> {
    path: PathBuf,
    file: BufWriter<File>,
    shape: Vec<usize>,
    row_length: usize,
    n_elements: u64,
    element: PhantomData<T>,
}

impl<T: NpyElement> NpyStream<T> {
    /// Creates the file; each row has `row_shape` (empty: one number a row).
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn create(path: &Path, row_shape: &[usize]) -> Result<NpyStream<T>, IoError> {
        let failed = |source| IoError::write(path, source);
        let mut shape = vec![0];
        shape.extend_from_slice(row_shape);
        let mut file = BufWriter::with_capacity(1 << 18, File::create(path).map_err(failed)?);
        file.write_all(&header_bytes::<T>(&shape, ROW_DIGITS))
            .map_err(failed)?;
        let row_length = row_shape.iter().product();
        Ok(NpyStream {
            path: path.to_owned(),
            file,
            shape,
            row_length,
            n_elements: 0,
            element: PhantomData,
        })
    }

    /// Appends elements, whole rows or not.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn append(&mut self, elements: &[T]) -> Result<(), IoError> {
        write_elements(&mut self.file, elements)
            .map_err(|source| IoError::write(&self.path, source))?;
        self.n_elements += elements.len() as u64;
        Ok(())
    }

    /// Writes the number of rows into the header, flushes to disk and returns that number.
    ///
    /// # Errors
    /// When the elements do not fill whole rows, or the file cannot be written.
    pub fn finish(mut self) -> Result<u64, IoError> {
        let row_length = self.row_length as u64;
        let n_rows = self.n_elements.checked_div(row_length).unwrap_or(0);
        if n_rows * row_length != self.n_elements {
            return Err(IoError::BadTables {
                path: self.path,
                what: format!(
                    "{} elements do not fill rows of {row_length}",
                    self.n_elements
                ),
            });
        }
        self.shape[0] = n_rows as usize;
        let header = header_bytes::<T>(&self.shape, ROW_DIGITS);
        let path = self.path;
        let failed = |source| IoError::write(&path, source);
        let mut file = self
            .file
            .into_inner()
            .map_err(|error| failed(error.into_error()))?;
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        file.write_all(&header).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        Ok(n_rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        write_npy(&path, &[2, 3], &[1.5f32, 2.0, 3.0, -4.0, 5.0, f32::MAX]).unwrap();
        let array = read_npy::<f32>(&path).unwrap();
        assert_eq!((array.shape, array.data.len()), (vec![2, 3], 6));
        assert!(read_npy::<f64>(&path).is_err());
        assert_eq!(read_npy_as_f64(&path).unwrap().data[3], -4.0);
        assert!(write_npy(&path, &[2, 2], &[1i32]).is_err());
        assert_eq!(std::fs::read(&path).unwrap().len(), 128 + 24);
    }

    #[test]
    fn a_stream_equals_a_whole_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let mut stream = NpyStream::<i64>::create(&path, &[2]).unwrap();
        for row in 0..1000 {
            stream.append(&[row, -row]).unwrap();
        }
        assert_eq!(stream.finish().unwrap(), 1000);
        let array = read_npy::<i64>(&path).unwrap();
        assert_eq!(array.shape, [1000, 2]);
        assert_eq!(array.data[1999], -999);
        let mut stream = NpyStream::<i64>::create(&path, &[2]).unwrap();
        stream.append(&[1]).unwrap();
        assert!(stream.finish().is_err());
        let stream = NpyStream::<f32>::create(&path, &[3, 4]).unwrap();
        assert_eq!(stream.finish().unwrap(), 0);
        assert_eq!(read_npy::<f32>(&path).unwrap().shape, [0, 3, 4]);
    }

    #[test]
    fn a_shape_larger_than_the_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        std::fs::write(&path, header_bytes::<f64>(&[usize::MAX, 9], 0)).unwrap();
        assert!(read_npy::<f64>(&path).is_err());
        std::fs::write(&path, header_bytes::<f64>(&[1 << 40], 0)).unwrap();
        assert!(matches!(
            read_npy::<f64>(&path),
            Err(IoError::Truncated { .. })
        ));
    }
}
