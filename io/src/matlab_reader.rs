//! Reads the plain arrays of a MATLAB `.mat` file of version 5: numbers, logical values and text, deflated or not.
//!
//! Structs, cells, sparse arrays and objects are passed over: what somata reads from MATLAB (channel maps) has none. Version 7.3 is
//! HDF5, which [`crate::matlab_hdf5`] reads; version 4 is refused. Source: MathWorks, "MAT-File Format", version 5.

use std::io::Read;
use std::path::Path;

use flate2::read::ZlibDecoder;

use crate::error::IoError;
use crate::hdf5;
use crate::matlab_hdf5;
use crate::recording::flat::read_small;

/// Bytes of all variables together, inflated; a channel map has some kilobytes.
const MAX_BYTES: u64 = 256 << 20;

/// A variable with plain contents.
#[derive(Clone, PartialEq, Debug)]
pub struct MatArray {
    /// Its name.
    pub name: String,
    /// Length along each axis.
    pub shape: Vec<usize>,
    /// Values in MATLAB's order, the first axis fastest; for text the characters' codes.
    pub values: Vec<f64>,
    /// The text of a `char` array.
    pub text: Option<String>,
}

/// Reads the plain variables of `path`, of version 5 (in the file's order) or 7.3 (by name).
///
/// # Errors
/// When it is of another version, damaged, or too large.
pub fn read(path: &Path) -> Result<Vec<MatArray>, IoError> {
    let bytes = read_small(path)?;
    if is_hdf5(&bytes) {
        return matlab_hdf5::read(path);
    }
    parse(path, &bytes)
}

/// Whether this is a file of version 7.3: a text of 512 bytes, then HDF5. Programs other than MATLAB leave the text away.
fn is_hdf5(bytes: &[u8]) -> bool {
    bytes.starts_with(b"MATLAB 7.3")
        || bytes.starts_with(&hdf5::SIGNATURE)
        || bytes.get(512..520) == Some(&hdf5::SIGNATURE)
}

/// The plain variables in the bytes of a file of version 5; `path` is for messages.
///
/// # Errors
/// As [`read`].
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<MatArray>, IoError> {
    let bad = |what: &str| IoError::malformed(path, "byte 0", what);
    let big_endian = match bytes.get(124..128) {
        Some([_, _, b'I', b'M']) => false,
        Some([_, _, b'M', b'I']) => true,
        _ => return Err(bad("this is not a MATLAB file of version 5")),
    };
    let mut arrays = Vec::new();
    let mut budget_bytes = MAX_BYTES;
    let mut cursor = Cursor {
        path,
        bytes,
        at: 128,
        big_endian,
    };
    while cursor.at < bytes.len() {
        let element = cursor.element()?;
        match element.kind {
            COMPRESSED => {
                let inflated = inflate(path, &element, &mut budget_bytes)?;
                let mut inside = Cursor {
                    path,
                    bytes: &inflated,
                    at: 0,
                    big_endian,
                };
                let element = inside.element()?;
                if element.kind == MATRIX {
                    arrays.extend(inside.within(&element).array()?);
                }
            }
            MATRIX => arrays.extend(cursor.within(&element).array()?),
            _ => {}
        }
    }
    Ok(arrays)
}

const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;

/// Inflates an element, which may not take more than what is left of the budget.
fn inflate(path: &Path, element: &Element, budget_bytes: &mut u64) -> Result<Vec<u8>, IoError> {
    let place = format!("byte {}", element.at);
    let mut inflated = Vec::new();
    ZlibDecoder::new(element.data)
        .take(*budget_bytes + 1)
        .read_to_end(&mut inflated)
        .map_err(|error| {
            IoError::malformed(
                path,
                &*place,
                format!("a variable cannot be inflated: {error}"),
            )
        })?;
    *budget_bytes = budget_bytes
        .checked_sub(inflated.len() as u64)
        .ok_or_else(|| {
            IoError::malformed(
                path,
                &*place,
                "the variables are too large for a description",
            )
        })?;
    Ok(inflated)
}

/// A tagged piece of the file.
struct Element<'a> {
    kind: u32,
    data: &'a [u8],
    /// Where its data begin, for messages.
    at: usize,
}

/// Takes elements off the front of some bytes.
struct Cursor<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    at: usize,
    big_endian: bool,
}

impl<'a> Cursor<'a> {
    /// A cursor over what an element holds.
    fn within(&self, element: &Element<'a>) -> Cursor<'a> {
        Cursor {
            path: self.path,
            bytes: element.data,
            at: 0,
            big_endian: self.big_endian,
        }
    }

    fn bad(&self, what: impl Into<String>) -> IoError {
        IoError::malformed(self.path, format!("byte {}", self.at), what)
    }

    fn next(&mut self, n: usize) -> Result<&'a [u8], IoError> {
        let bytes = self
            .at
            .checked_add(n)
            .and_then(|end| self.bytes.get(self.at..end))
            .ok_or_else(|| self.bad("the file ends inside a variable"))?;
        self.at += n;
        Ok(bytes)
    }

    fn word(&mut self) -> Result<u32, IoError> {
        let mut bytes = [0u8; 4];
        bytes.copy_from_slice(self.next(4)?);
        Ok(if self.big_endian {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        })
    }

    /// The next element. One of up to four bytes shares its eight bytes with its tag.
    fn element(&mut self) -> Result<Element<'a>, IoError> {
        let first = self.word()?;
        if first >> 16 != 0 {
            let (kind, n_bytes) = (first & 0xffff, (first >> 16) as usize);
            let at = self.at;
            let data = self.next(4)?;
            let data = data
                .get(..n_bytes)
                .ok_or_else(|| self.bad(format!("a short element says {n_bytes} bytes")))?;
            return Ok(Element { kind, data, at });
        }
        let n_bytes = self.word()? as usize;
        let at = self.at;
        let data = self.next(n_bytes)?;
        if first != COMPRESSED {
            // Filled up to a multiple of eight; at the end of a file the filling may be absent.
            self.at = self.at.next_multiple_of(8).min(self.bytes.len());
        }
        Ok(Element {
            kind: first,
            data,
            at,
        })
    }

    /// The array that the bytes describe; `None` for one that is empty or of another class.
    fn array(&mut self) -> Result<Option<MatArray>, IoError> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let flags = self.element()?;
        let class = self.within(&flags).word()? & 0xff;
        let shape = self.element()?;
        let shape = self
            .numbers(&shape)?
            .iter()
            .map(|&length| {
                if length >= 0.0 {
                    Some(length as usize)
                } else {
                    None
                }
            })
            .collect::<Option<Vec<usize>>>()
            .ok_or_else(|| self.bad("an array has a negative length"))?;
        let name = String::from_utf8_lossy(self.element()?.data).into_owned();
        // Characters, numbers of all widths; cells, structs, objects and sparse arrays are other classes.
        if !matches!(class, 4 | 6..=15) {
            return Ok(None);
        }
        let stored = self.element()?;
        let values = self.numbers(&stored)?;
        let n_values = shape
            .iter()
            .try_fold(1usize, |n, &length| n.checked_mul(length));
        if n_values != Some(values.len()) {
            let what = format!(
                "`{name:.40}` has {} values for the shape {shape:?}",
                values.len()
            );
            return Err(self.bad(what));
        }
        let text = (class == 4).then(|| {
            let units: Vec<u16> = values.iter().map(|&code| code as u16).collect();
            String::from_utf16_lossy(&units)
        });
        Ok(Some(MatArray {
            name,
            shape,
            values,
            text,
        }))
    }

    /// The numbers of an element, whatever their width.
    fn numbers(&self, element: &Element) -> Result<Vec<f64>, IoError> {
        /// Converts each number, from the file's byte order.
        fn each<const N: usize>(data: &[u8], big_endian: bool, to: fn([u8; N]) -> f64) -> Vec<f64> {
            let ordered = data.as_chunks::<N>().0.iter().map(|&bytes| {
                let mut bytes = bytes;
                if big_endian {
                    bytes.reverse();
                }
                to(bytes)
            });
            ordered.collect()
        }
        let (data, big_endian) = (element.data, self.big_endian);
        Ok(match element.kind {
            1 => each(data, big_endian, |bytes| {
                f64::from(i8::from_le_bytes(bytes))
            }),
            // Text in UTF-8 has one byte a character where it is ASCII, as in names of probes.
            2 | 16 => each(data, big_endian, |bytes| {
                f64::from(u8::from_le_bytes(bytes))
            }),
            3 => each(data, big_endian, |bytes| {
                f64::from(i16::from_le_bytes(bytes))
            }),
            4 | 17 => each(data, big_endian, |bytes| {
                f64::from(u16::from_le_bytes(bytes))
            }),
            5 => each(data, big_endian, |bytes| {
                f64::from(i32::from_le_bytes(bytes))
            }),
            6 | 18 => each(data, big_endian, |bytes| {
                f64::from(u32::from_le_bytes(bytes))
            }),
            7 => each(data, big_endian, |bytes| {
                f64::from(f32::from_le_bytes(bytes))
            }),
            9 => each(data, big_endian, f64::from_le_bytes),
            12 => each(data, big_endian, |bytes| i64::from_le_bytes(bytes) as f64),
            13 => each(data, big_endian, |bytes| u64::from_le_bytes(bytes) as f64),
            other => return Err(self.bad(format!("numbers of the unknown type {other}"))),
        })
    }
}
