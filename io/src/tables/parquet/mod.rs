//! Tables as Apache Parquet, which pandas, polars, DuckDB, Spark and R's arrow open.
//!
//! Written is the plain core of the format: rows in groups, one gzip page a column and group, values in the encoding `PLAIN`, unknown
//! values as nulls. Groups of whole numbers carry their least and largest value, so that a reader that asks for one cell skips the
//! others. There is no dictionary encoding; gzip finds most of what it would.
//!
//! The crate `parquet` was weighed: without its default features it still brings 25 crates, for one writer of four column types.
//! Source: the Apache Parquet format specification 2.10, and Thrift's compact protocol in `thrift.rs`.

mod thrift;

use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use self::thrift::StructWriter;
use super::{Column, ColumnKind, ColumnSpec, TableWriter, check_rows};
use crate::atomic::OutputFile;
use crate::error::IoError;

const MAGIC: &[u8; 4] = b"PAR1";
/// Rows of a group, unless its values take more room.
const GROUP_ROWS: usize = 1 << 19;
/// Bytes of the values of a column at which a group ends, far below the 2 GiB that a page can have.
const GROUP_BYTES: usize = 64 << 20;
/// Rows that are taken over at once.
const SLICE_ROWS: usize = 1 << 14;

/// Numbers that the format gives to types, encodings and codecs.
mod code {
    pub const INT64: i64 = 2;
    pub const FLOAT: i64 = 4;
    pub const DOUBLE: i64 = 5;
    pub const BYTE_ARRAY: i64 = 6;
    pub const REQUIRED: i64 = 0;
    pub const OPTIONAL: i64 = 1;
    pub const UTF8: i64 = 0;
    pub const PLAIN: i64 = 0;
    pub const RLE: i64 = 3;
    pub const GZIP: i64 = 2;
    pub const DATA_PAGE: i64 = 0;
}

/// The values of one column that are not yet in a group.
#[derive(Default)]
struct Pending {
    /// Values that are known, encoded.
    values: Vec<u8>,
    /// Whether each row's value is known.
    known: Vec<bool>,
    /// Least and largest whole number.
    range: Option<[i64; 2]>,
}

/// Where a column of a group is in the file.
struct Chunk {
    offset_bytes: u64,
    n_values: usize,
    n_unknown: usize,
    plain_bytes: usize,
    packed_bytes: usize,
    range: Option<[i64; 2]>,
}

/// A `.parquet` file that grows by rows. Memory holds the rows of one group.
pub struct ParquetWriter {
    file: OutputFile,
    columns: Vec<ColumnSpec>,
    pending: Vec<Pending>,
    n_pending: usize,
    position_bytes: u64,
    groups: Vec<(usize, Vec<Chunk>)>,
}

impl ParquetWriter {
    /// Starts a table that will be at `path`.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn create(path: &Path, columns: Vec<ColumnSpec>) -> Result<ParquetWriter, IoError> {
        let mut file = OutputFile::create(path)?;
        file.write_with(|out| out.write_all(MAGIC))?;
        Ok(ParquetWriter {
            file,
            pending: columns.iter().map(|_| Pending::default()).collect(),
            columns,
            n_pending: 0,
            position_bytes: MAGIC.len() as u64,
            groups: Vec::new(),
        })
    }

    /// Writes the pending rows as a group.
    fn end_group(&mut self) -> Result<(), IoError> {
        if self.n_pending == 0 {
            return Ok(());
        }
        let mut chunks = Vec::with_capacity(self.columns.len());
        for (spec, pending) in self.columns.iter().zip(&mut self.pending) {
            let pending = std::mem::take(pending);
            let n_unknown = pending.known.iter().filter(|known| !**known).count();
            let mut page = Vec::new();
            if is_optional(spec.kind) {
                let levels = levels(&pending.known, n_unknown);
                page.extend_from_slice(&(levels.len() as u32).to_le_bytes());
                page.extend_from_slice(&levels);
            }
            page.extend_from_slice(&pending.values);
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&page).expect("memory takes every write");
            let packed = encoder.finish().expect("memory takes every write");
            let header = page_header(page.len(), packed.len(), pending.known.len());
            self.file.write_with(|out| {
                out.write_all(&header)?;
                out.write_all(&packed)
            })?;
            chunks.push(Chunk {
                offset_bytes: self.position_bytes,
                n_values: pending.known.len(),
                n_unknown,
                plain_bytes: header.len() + page.len(),
                packed_bytes: header.len() + packed.len(),
                range: pending.range,
            });
            self.position_bytes += (header.len() + packed.len()) as u64;
        }
        self.groups.push((self.n_pending, chunks));
        self.n_pending = 0;
        Ok(())
    }

    /// The description at the end of the file.
    fn footer(&self) -> Vec<u8> {
        let mut footer = StructWriter::default();
        footer.integer(1, 2);
        let root = {
            let mut root = StructWriter::default();
            root.text(4, "table");
            root.integer(5, self.columns.len() as i64);
            root.end()
        };
        let schema: Vec<Vec<u8>> = std::iter::once(root)
            .chain(self.columns.iter().map(schema_element))
            .collect();
        footer.structs(2, &schema);
        let n_rows: usize = self.groups.iter().map(|(n_rows, _)| n_rows).sum();
        footer.long(3, n_rows as i64);
        let groups: Vec<Vec<u8>> = self
            .groups
            .iter()
            .map(|(n_rows, chunks)| row_group(&self.columns, *n_rows, chunks))
            .collect();
        footer.structs(4, &groups);
        footer.text(6, concat!("somata version ", env!("CARGO_PKG_VERSION")));
        // How least and largest values are ordered: as their type is. Without it readers ignore them.
        let order = {
            let mut order = StructWriter::default();
            order.nested(1, StructWriter::default().end());
            order.end()
        };
        footer.structs(7, &vec![order; self.columns.len()]);
        footer.end()
    }
}

impl TableWriter for ParquetWriter {
    fn append(&mut self, columns: &[Column]) -> Result<(), IoError> {
        let n_rows = check_rows(self.file.final_path(), &self.columns, columns)?;
        for first in (0..n_rows).step_by(SLICE_ROWS) {
            let end = (first + SLICE_ROWS).min(n_rows);
            for (pending, column) in self.pending.iter_mut().zip(columns) {
                pending.push(column, first..end);
            }
            self.n_pending += end - first;
            let largest = self
                .pending
                .iter()
                .map(|pending| pending.values.len())
                .max();
            if self.n_pending >= GROUP_ROWS || largest.unwrap_or(0) >= GROUP_BYTES {
                self.end_group()?;
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), IoError> {
        self.end_group()?;
        let footer = self.footer();
        self.file.write_with(|out| {
            out.write_all(&footer)?;
            out.write_all(&(footer.len() as u32).to_le_bytes())?;
            out.write_all(MAGIC)
        })?;
        self.file.commit()
    }
}

impl Pending {
    fn push(&mut self, column: &Column, rows: std::ops::Range<usize>) {
        let n_rows = rows.len();
        match column {
            Column::Integer(values) => {
                for &value in &values[rows] {
                    let [least, largest] = self.range.unwrap_or([value; 2]);
                    self.range = Some([least.min(value), largest.max(value)]);
                    self.values.extend_from_slice(&value.to_le_bytes());
                }
                self.known.resize(self.known.len() + n_rows, true);
            }
            Column::Float32(values) => {
                for value in &values[rows] {
                    self.push_known(!value.is_nan(), &value.to_le_bytes());
                }
            }
            Column::Float64(values) => {
                for value in &values[rows] {
                    self.push_known(!value.is_nan(), &value.to_le_bytes());
                }
            }
            Column::Text(values) => {
                for value in &values[rows] {
                    self.known.push(value.is_some());
                    if let Some(text) = value {
                        self.values
                            .extend_from_slice(&(text.len() as u32).to_le_bytes());
                        self.values.extend_from_slice(text.as_bytes());
                    }
                }
            }
        }
    }

    fn push_known(&mut self, known: bool, bytes: &[u8]) {
        self.known.push(known);
        if known {
            self.values.extend_from_slice(bytes);
        }
    }
}

/// Whether a value can be unknown.
fn is_optional(kind: ColumnKind) -> bool {
    kind != ColumnKind::Integer
}

fn physical_type(kind: ColumnKind) -> i64 {
    match kind {
        ColumnKind::Integer => code::INT64,
        ColumnKind::Float32 => code::FLOAT,
        ColumnKind::Float64 => code::DOUBLE,
        ColumnKind::Text => code::BYTE_ARRAY,
    }
}

/// Which rows are known, in the format's hybrid of run lengths and bits: one run where all are, else bits.
fn levels(known: &[bool], n_unknown: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    if n_unknown == 0 {
        thrift::push_varint(&mut bytes, (known.len() as u64) << 1);
        bytes.push(1);
        return bytes;
    }
    let groups = known.chunks(8);
    thrift::push_varint(&mut bytes, ((groups.len() as u64) << 1) | 1);
    for group in groups {
        let bits = group.iter().enumerate();
        bytes.push(bits.fold(0, |byte, (place, &known)| byte | (u8::from(known) << place)));
    }
    bytes
}

fn page_header(plain_bytes: usize, packed_bytes: usize, n_values: usize) -> Vec<u8> {
    let mut page = StructWriter::default();
    page.integer(1, n_values as i64);
    page.integer(2, code::PLAIN);
    page.integer(3, code::RLE);
    page.integer(4, code::RLE);
    let mut header = StructWriter::default();
    header.integer(1, code::DATA_PAGE);
    header.integer(2, plain_bytes as i64);
    header.integer(3, packed_bytes as i64);
    header.nested(5, page.end());
    header.end()
}

fn schema_element(column: &ColumnSpec) -> Vec<u8> {
    let mut element = StructWriter::default();
    element.integer(1, physical_type(column.kind));
    let optional = is_optional(column.kind);
    element.integer(
        3,
        if optional {
            code::OPTIONAL
        } else {
            code::REQUIRED
        },
    );
    element.text(4, &column.name);
    if column.kind == ColumnKind::Text {
        element.integer(6, code::UTF8);
        let mut logical = StructWriter::default();
        logical.nested(1, StructWriter::default().end());
        element.nested(10, logical.end());
    }
    element.end()
}

fn row_group(columns: &[ColumnSpec], n_rows: usize, chunks: &[Chunk]) -> Vec<u8> {
    let described: Vec<Vec<u8>> = columns
        .iter()
        .zip(chunks)
        .map(|(column, chunk)| {
            let mut data = StructWriter::default();
            data.integer(1, physical_type(column.kind));
            data.integers(2, &[code::PLAIN, code::RLE]);
            data.texts(3, &[&column.name]);
            data.integer(4, code::GZIP);
            data.long(5, chunk.n_values as i64);
            data.long(6, chunk.plain_bytes as i64);
            data.long(7, chunk.packed_bytes as i64);
            data.long(9, chunk.offset_bytes as i64);
            let mut statistics = StructWriter::default();
            statistics.long(3, chunk.n_unknown as i64);
            if let Some([least, largest]) = chunk.range {
                statistics.bytes(5, &largest.to_le_bytes());
                statistics.bytes(6, &least.to_le_bytes());
            }
            data.nested(12, statistics.end());
            let mut described = StructWriter::default();
            described.long(2, chunk.offset_bytes as i64);
            described.nested(3, data.end());
            described.end()
        })
        .collect();
    let mut group = StructWriter::default();
    group.structs(1, &described);
    let plain_bytes: usize = chunks.iter().map(|chunk| chunk.plain_bytes).sum();
    group.long(2, plain_bytes as i64);
    group.long(3, n_rows as i64);
    group.end()
}

#[cfg(test)]
mod tests {
    use super::super::{NamedColumn, TableFormat};
    use super::*;

    #[test]
    fn a_file_begins_and_ends_as_the_format_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        for n_rows in [0usize, 1, 9] {
            let numbers: Vec<i64> = (0..n_rows as i64).collect();
            let columns = [NamedColumn::new("cell", Column::Integer(numbers.into()))];
            TableFormat::Parquet.write(&path, &columns).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            assert!(bytes.starts_with(MAGIC) && bytes.ends_with(MAGIC));
            let at = bytes.len() - 8;
            let length = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
            assert!(length < at);
            // The description ends where its length says: with the end of a struct.
            assert_eq!(bytes[at - 1], 0);
        }
    }

    #[test]
    fn known_rows_are_one_run_or_bits() {
        assert_eq!(levels(&[true; 5], 0), [10, 1]);
        assert_eq!(levels(&[true; 300], 0), [0xd8, 0x04, 1]);
        let mut known = [true; 10];
        known[1] = false;
        known[9] = false;
        assert_eq!(levels(&known, 2), [5, 0b1111_1101, 0b01]);
    }

    #[test]
    fn many_rows_are_several_groups() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        let specs = vec![ColumnSpec::new("a", ColumnKind::Float32)];
        let mut writer = ParquetWriter::create(&path, specs).unwrap();
        let values = vec![1f32; GROUP_ROWS + 5];
        writer
            .append(&[Column::Float32(values.as_slice().into())])
            .unwrap();
        assert_eq!((writer.groups.len(), writer.n_pending), (1, 5));
        writer
            .append(&[Column::Float32(vec![f32::NAN].into())])
            .unwrap();
        writer.end_group().unwrap();
        assert_eq!(writer.groups[1].0, 6);
        assert_eq!(writer.groups[1].1[0].n_unknown, 1);
        Box::new(writer).finish().unwrap();
    }
}
