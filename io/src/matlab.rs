//! MATLAB's `.mat` files of version 5, which MATLAB, Octave and `scipy.io.loadmat` open.
//!
//! Version 5 and not 7.3: the latter is HDF5, which scipy does not open. Variables are deflated, as MATLAB's `save -v7` does, and
//! written one after the other; a matrix may be handed over column by column ([`MatWriter::stream_single`]), so that traces need not
//! fit in memory. The format's own limit is 2 GiB a variable, before compression; a larger one is refused. Arrays are in MATLAB's
//! order, the first axis fastest. Source: MathWorks, "MAT-File Format", version 5.

use std::borrow::Cow;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use crate::atomic::OutputFile;
use crate::error::IoError;

/// A MATLAB value.
#[derive(Clone, PartialEq, Debug)]
pub enum MatValue<'a> {
    /// `double`, `[rows, columns]`, column after column.
    Double([usize; 2], Cow<'a, [f64]>),
    /// `single`.
    Single([usize; 2], Cow<'a, [f32]>),
    /// `int64`.
    Int64([usize; 2], Cow<'a, [i64]>),
    /// `logical`.
    Logical([usize; 2], Vec<bool>),
    /// `char`, one row.
    Text(String),
    /// `cell`.
    Cell([usize; 2], Vec<MatValue<'a>>),
    /// `struct`, 1 × 1.
    Struct(Vec<(String, MatValue<'a>)>),
}

impl<'a> MatValue<'a> {
    /// A `double` of one row and column.
    pub fn number(value: f64) -> Self {
        MatValue::Double([1, 1], Cow::Owned(vec![value]))
    }

    /// A column of `double`.
    pub fn column(values: impl Into<Cow<'a, [f64]>>) -> Self {
        let values = values.into();
        MatValue::Double([values.len(), 1], values)
    }

    /// A row of `int64`, as scipy saves a list of whole numbers.
    pub fn integer_row(values: impl Into<Cow<'a, [i64]>>) -> Self {
        let values = values.into();
        MatValue::Int64([1, values.len()], values)
    }

    /// A column of cells with text.
    pub fn text_column(texts: impl IntoIterator<Item = String>) -> Self {
        let texts: Vec<MatValue> = texts.into_iter().map(MatValue::Text).collect();
        MatValue::Cell([texts.len(), 1], texts)
    }
}

/// Fills the slice with columns of a matrix, beginning with the one of that number.
pub type NextColumns<'a> = dyn FnMut(usize, &mut [f32]) -> Result<(), IoError> + 'a;

/// Types of stored elements, by the format's names without `mi`.
mod stored {
    pub const INT8: u32 = 1;
    pub const UINT8: u32 = 2;
    pub const INT32: u32 = 5;
    pub const UINT32: u32 = 6;
    pub const SINGLE: u32 = 7;
    pub const DOUBLE: u32 = 9;
    pub const INT64: u32 = 12;
    pub const MATRIX: u32 = 14;
    pub const COMPRESSED: u32 = 15;
    pub const UTF8: u32 = 16;
    pub const UTF16: u32 = 17;
}

/// Classes of arrays, by the format's names without `mx`.
mod class {
    pub const CELL: u32 = 1;
    pub const STRUCT: u32 = 2;
    pub const CHAR: u32 = 4;
    pub const DOUBLE: u32 = 6;
    pub const SINGLE: u32 = 7;
    pub const UINT8: u32 = 9;
    pub const INT64: u32 = 14;
}

/// The flag of a logical array.
const LOGICAL: u32 = 0x02 << 8;
/// The largest variable, bytes: sizes are read as signed 32-bit numbers.
const LARGEST_BYTES: u64 = i32::MAX as u64;
/// Bytes of a name of a field with its end; MATLAB before 7.6 knew only the shorter one.
const FIELD_NAME_BYTES: [usize; 2] = [32, 64];

/// A `.mat` file that grows by variables. It appears under its name on [`MatWriter::finish`]; one that is dropped leaves nothing.
pub struct MatWriter {
    file: OutputFile,
}

impl MatWriter {
    /// Starts a file that will be at `path`.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn create(path: &Path) -> Result<MatWriter, IoError> {
        let mut file = OutputFile::create(path)?;
        let mut header = b"MATLAB 5.0 MAT-file, made by somata".to_vec();
        header.resize(116, b' ');
        // No subsystem; version 1.0; the mark by which a reader sees that bytes are little-endian.
        header.extend_from_slice(&[0; 8]);
        header.extend_from_slice(&[0x00, 0x01, b'I', b'M']);
        file.write_with(|out| out.write_all(&header))?;
        Ok(MatWriter { file })
    }

    /// Writes one variable.
    ///
    /// # Errors
    /// When the name is no name of a variable, the variable is larger than 2 GiB, or the file cannot be written.
    pub fn write(&mut self, name: &str, value: &MatValue) -> Result<(), IoError> {
        self.check(name, content_bytes(name, value))?;
        self.compressed(|out| write_matrix(out, name, value).map_err(Failure::Write))
    }

    /// Writes a `single` matrix of that shape whose columns are asked for in order, some at a time.
    ///
    /// # Errors
    /// As [`MatWriter::write`], or when `next` fails.
    pub fn stream_single(
        &mut self,
        name: &str,
        [n_rows, n_columns]: [usize; 2],
        next: &mut NextColumns,
    ) -> Result<(), IoError> {
        let data_bytes = 4 * n_rows as u64 * n_columns as u64;
        self.check(name, head_bytes(name) + element_bytes(data_bytes))?;
        // Columns at a time: a reader that keeps rows together is asked for a stretch of each row.
        let at_once = (BLOCK_VALUES / n_rows.max(1)).clamp(1, n_columns.max(1));
        let mut block = vec![0f32; at_once * n_rows];
        self.compressed(|out| {
            let matrix_bytes = head_bytes(name) + element_bytes(data_bytes);
            tag(out, stored::MATRIX, matrix_bytes)?;
            head(out, name, class::SINGLE, [n_rows, n_columns])?;
            tag(out, stored::SINGLE, data_bytes)?;
            for first in (0..n_columns).step_by(at_once) {
                let block = &mut block[..at_once.min(n_columns - first) * n_rows];
                next(first, block).map_err(Failure::Source)?;
                numbers(out, block.iter().map(|value| value.to_le_bytes()))?;
            }
            pad(out, data_bytes)?;
            Ok(())
        })
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(self) -> Result<(), IoError> {
        self.file.commit()
    }

    fn check(&self, name: &str, size_bytes: u64) -> Result<(), IoError> {
        let path = self.file.final_path().to_owned();
        if !is_name(name) {
            return Err(IoError::BadTables {
                path,
                what: format!("`{name}` is no name of a MATLAB variable"),
            });
        }
        if size_bytes > LARGEST_BYTES {
            return Err(IoError::DoesNotFit {
                path,
                what: format!(
                    "the variable `{name}` takes {:.1} GB, and a `.mat` file holds at most 2.1 GB a variable",
                    size_bytes as f64 / 1e9
                ),
                hint: "convert to `parquet`, which has no such limit".to_owned(),
            });
        }
        Ok(())
    }

    /// One deflated element; `write` writes what it holds.
    fn compressed(
        &mut self,
        write: impl FnOnce(&mut dyn Write) -> Result<(), Failure>,
    ) -> Result<(), IoError> {
        let path = self.file.final_path().to_owned();
        let failed = |source| IoError::write(&path, source);
        let out = self.file.writer();
        let start = out.stream_position().map_err(failed)?;
        tag(out, stored::COMPRESSED, 0).map_err(failed)?;
        // Fast: traces are noise, which hardly shrinks however long one tries.
        let mut encoder = ZlibEncoder::new(&mut *out, Compression::fast());
        write(&mut encoder).map_err(|failure| match failure {
            Failure::Write(source) => failed(source),
            Failure::Source(error) => error,
        })?;
        encoder.finish().map_err(failed)?;
        let end = out.stream_position().map_err(failed)?;
        out.seek(SeekFrom::Start(start)).map_err(failed)?;
        // Deflate adds five bytes to each 16 KiB at worst, which a limit of half the field's range leaves room for.
        tag(out, stored::COMPRESSED, end - start - 8).map_err(failed)?;
        out.seek(SeekFrom::Start(end)).map_err(failed)?;
        Ok(())
    }
}

/// Values that are asked for at once when a matrix is streamed: 64 MiB.
const BLOCK_VALUES: usize = 1 << 24;

/// What ended the writing of a variable.
enum Failure {
    Write(io::Error),
    Source(IoError),
}

impl From<io::Error> for Failure {
    fn from(source: io::Error) -> Self {
        Failure::Write(source)
    }
}

/// Whether MATLAB takes this as a name of a variable or field.
fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.len() < FIELD_NAME_BYTES[1]
}

/// The nearest name that MATLAB takes: other characters become `_`, and a name that starts with none of the letters gets `x`.
pub fn matlab_name(name: &str) -> String {
    let mut taken: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .take(FIELD_NAME_BYTES[1] - 2)
        .collect();
    if !taken.starts_with(|c: char| c.is_ascii_alphabetic()) {
        taken.insert(0, 'x');
    }
    taken
}

/// Bytes of an element with its tag, filled up to a multiple of eight.
fn element_bytes(data_bytes: u64) -> u64 {
    8 + data_bytes.next_multiple_of(8)
}

/// Bytes of flags, shape and name.
fn head_bytes(name: &str) -> u64 {
    element_bytes(8) + element_bytes(8) + element_bytes(name.len() as u64)
}

/// The longest name of a field with its end, as the format counts it.
fn field_name_bytes(fields: &[(String, MatValue)]) -> usize {
    let longest = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    FIELD_NAME_BYTES[usize::from(longest >= FIELD_NAME_BYTES[0])]
}

/// Bytes of a matrix after its tag.
fn content_bytes(name: &str, value: &MatValue) -> u64 {
    let inner = |value: &MatValue| 8 + content_bytes("", value);
    head_bytes(name)
        + match value {
            MatValue::Double(_, values) => element_bytes(8 * values.len() as u64),
            MatValue::Single(_, values) => element_bytes(4 * values.len() as u64),
            MatValue::Int64(_, values) => element_bytes(8 * values.len() as u64),
            MatValue::Logical(_, values) => element_bytes(values.len() as u64),
            MatValue::Text(text) => element_bytes(text_bytes(text).1.len() as u64),
            MatValue::Cell(_, values) => values.iter().map(inner).sum(),
            MatValue::Struct(fields) => {
                let names = (fields.len() * field_name_bytes(fields)) as u64;
                8 + element_bytes(names) + fields.iter().map(|(_, value)| inner(value)).sum::<u64>()
            }
        }
}

/// Type and bytes of a text: UTF-8 where all is ASCII, as scipy writes it, since there bytes and characters are as many.
fn text_bytes(text: &str) -> (u32, Vec<u8>) {
    if text.is_ascii() {
        return (stored::UTF8, text.as_bytes().to_vec());
    }
    let units = text.encode_utf16().flat_map(u16::to_le_bytes);
    (stored::UTF16, units.collect())
}

fn tag(out: &mut (impl Write + ?Sized), kind: u32, n_bytes: u64) -> io::Result<()> {
    out.write_all(&kind.to_le_bytes())?;
    out.write_all(&(n_bytes as u32).to_le_bytes())
}

fn pad(out: &mut (impl Write + ?Sized), n_bytes: u64) -> io::Result<()> {
    out.write_all(&[0; 8][..(n_bytes.next_multiple_of(8) - n_bytes) as usize])
}

fn element(out: &mut dyn Write, kind: u32, bytes: &[u8]) -> io::Result<()> {
    tag(out, kind, bytes.len() as u64)?;
    out.write_all(bytes)?;
    pad(out, bytes.len() as u64)
}

/// Little-endian numbers, some at a time.
fn numbers<const N: usize>(
    out: &mut dyn Write,
    values: impl ExactSizeIterator<Item = [u8; N]>,
) -> io::Result<()> {
    let mut bytes = Vec::with_capacity((N * values.len()).min(1 << 16));
    for value in values {
        bytes.extend_from_slice(&value);
        if bytes.len() >= 1 << 16 {
            out.write_all(&bytes)?;
            bytes.clear();
        }
    }
    out.write_all(&bytes)
}

/// Flags, shape and name of a matrix.
fn head(
    out: &mut dyn Write,
    name: &str,
    class: u32,
    [n_rows, n_columns]: [usize; 2],
) -> io::Result<()> {
    element(out, stored::UINT32, &[class.to_le_bytes(), [0; 4]].concat())?;
    let shape = [
        (n_rows as i32).to_le_bytes(),
        (n_columns as i32).to_le_bytes(),
    ];
    element(out, stored::INT32, &shape.concat())?;
    element(out, stored::INT8, name.as_bytes())
}

/// A matrix with its tag.
fn write_matrix(out: &mut dyn Write, name: &str, value: &MatValue) -> io::Result<()> {
    tag(out, stored::MATRIX, content_bytes(name, value))?;
    let data = |out: &mut dyn Write, kind, n_bytes: usize| tag(out, kind, n_bytes as u64);
    match value {
        MatValue::Double(shape, values) => {
            head(out, name, class::DOUBLE, *shape)?;
            data(out, stored::DOUBLE, 8 * values.len())?;
            numbers(out, values.iter().map(|value| value.to_le_bytes()))
        }
        MatValue::Single(shape, values) => {
            head(out, name, class::SINGLE, *shape)?;
            data(out, stored::SINGLE, 4 * values.len())?;
            numbers(out, values.iter().map(|value| value.to_le_bytes()))?;
            pad(out, 4 * values.len() as u64)
        }
        MatValue::Int64(shape, values) => {
            head(out, name, class::INT64, *shape)?;
            data(out, stored::INT64, 8 * values.len())?;
            numbers(out, values.iter().map(|value| value.to_le_bytes()))
        }
        MatValue::Logical(shape, values) => {
            head(out, name, class::UINT8 | LOGICAL, *shape)?;
            data(out, stored::UINT8, values.len())?;
            numbers(out, values.iter().map(|&value| [u8::from(value)]))?;
            pad(out, values.len() as u64)
        }
        MatValue::Text(text) => {
            let (kind, bytes) = text_bytes(text);
            let n_units = bytes.len() / if kind == stored::UTF8 { 1 } else { 2 };
            // An empty text has no row, as in MATLAB.
            let shape = [usize::from(n_units > 0), n_units];
            head(out, name, class::CHAR, shape)?;
            element(out, kind, &bytes)
        }
        MatValue::Cell(shape, values) => {
            head(out, name, class::CELL, *shape)?;
            values
                .iter()
                .try_for_each(|value| write_matrix(out, "", value))
        }
        MatValue::Struct(fields) => {
            head(out, name, class::STRUCT, [1, 1])?;
            let length = field_name_bytes(fields);
            // The short form of an element: type and size in the first four bytes, data in the other four.
            out.write_all(&(stored::INT32 as u16).to_le_bytes())?;
            out.write_all(&4u16.to_le_bytes())?;
            out.write_all(&(length as i32).to_le_bytes())?;
            let mut names = Vec::with_capacity(fields.len() * length);
            for (name, _) in fields {
                names.extend_from_slice(&name.as_bytes()[..name.len().min(length - 1)]);
                names.resize(names.len().next_multiple_of(length).max(length), 0);
            }
            element(out, stored::INT8, &names)?;
            fields
                .iter()
                .try_for_each(|(_, value)| write_matrix(out, "", value))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// The elements of a written file, unpacked.
    fn elements(path: &Path) -> Vec<Vec<u8>> {
        let bytes = std::fs::read(path).unwrap();
        assert!(bytes.starts_with(b"MATLAB 5.0 MAT-file"));
        assert_eq!(&bytes[124..128], &[0, 1, b'I', b'M']);
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let (mut at, mut found) = (128, Vec::new());
        while at < bytes.len() {
            assert_eq!(word(at), stored::COMPRESSED);
            let end = at + 8 + word(at + 4) as usize;
            let mut unpacked = Vec::new();
            flate2::read::ZlibDecoder::new(&bytes[at + 8..end])
                .read_to_end(&mut unpacked)
                .unwrap();
            found.push(unpacked);
            at = end;
        }
        found
    }

    #[test]
    fn every_element_says_its_own_length() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mat");
        let values = [
            MatValue::number(2.5),
            MatValue::Single([1, 3], vec![1.0, 2.0, 3.0].into()),
            MatValue::integer_row(vec![1, 2, 3]),
            MatValue::Logical([3, 1], vec![true, false, true]),
            MatValue::Text("abc".to_owned()),
            MatValue::Text("µm".to_owned()),
            MatValue::Text(String::new()),
            MatValue::text_column(["a".to_owned(), "bcdefghij".to_owned()]),
            MatValue::Struct(vec![
                ("a".to_owned(), MatValue::number(1.0)),
                ("b".repeat(40), MatValue::Cell([0, 0], vec![])),
            ]),
            MatValue::Struct(vec![]),
        ];
        let mut writer = MatWriter::create(&path).unwrap();
        for (place, value) in values.iter().enumerate() {
            writer.write(&format!("v{place}"), value).unwrap();
        }
        writer.finish().unwrap();
        let elements = elements(&path);
        assert_eq!(elements.len(), values.len());
        for element in elements {
            let length = u32::from_le_bytes(element[4..8].try_into().unwrap());
            assert_eq!(element.len(), 8 + length as usize);
            assert_eq!(element.len() % 8, 0);
        }
    }

    #[test]
    fn a_streamed_matrix_is_the_one_written_whole() {
        let folder = tempfile::tempdir().unwrap();
        let [streamed, whole] = ["a.mat", "b.mat"].map(|name| folder.path().join(name));
        let value = |row: usize, column: usize| (10 * column + row) as f32;
        for [n_rows, n_columns] in [[3, 5], [0, 4], [4, 0], [1, 1]] {
            let mut writer = MatWriter::create(&streamed).unwrap();
            let mut next = |first: usize, block: &mut [f32]| {
                for (place, out) in block.iter_mut().enumerate() {
                    *out = value(place % n_rows, first + place / n_rows);
                }
                Ok(())
            };
            writer
                .stream_single("F", [n_rows, n_columns], &mut next)
                .unwrap();
            writer.finish().unwrap();
            let all = (0..n_columns)
                .flat_map(|column| (0..n_rows).map(move |row| value(row, column)))
                .collect::<Vec<f32>>();
            let mut writer = MatWriter::create(&whole).unwrap();
            writer
                .write("F", &MatValue::Single([n_rows, n_columns], all.into()))
                .unwrap();
            writer.finish().unwrap();
            assert_eq!(elements(&streamed), elements(&whole));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_before_anything_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mat");
        let mut writer = MatWriter::create(&path).unwrap();
        let mut never = |_: usize, _: &mut [f32]| unreachable!("nothing is asked for");
        let error = writer
            .stream_single("F", [10_000, 60_000], &mut never)
            .unwrap_err();
        assert_eq!(error.kind(), crate::IoErrorKind::Output);
        assert!(error.to_string().contains("`F` takes 2.4 GB"), "{error}");
        assert!(error.hint().unwrap().contains("parquet"));
        let error = writer.write("1a", &MatValue::number(1.0)).unwrap_err();
        assert!(error.to_string().contains("`1a`"), "{error}");
        drop(writer);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn names_become_names_of_matlab() {
        assert_eq!(matlab_name("y_px"), "y_px");
        assert_eq!(matlab_name("2nd trace"), "x2nd_trace");
        assert_eq!(matlab_name("_a"), "x_a");
        assert!(is_name(&matlab_name(&"é".repeat(100))));
    }
}
