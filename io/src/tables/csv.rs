//! Tables as comma-separated values, RFC 4180, with a header; lines end with a bare line feed.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use super::{Column, ColumnSpec, TableWriter, check_rows};
use crate::atomic::OutputFile;
use crate::error::IoError;

/// A `.csv` file that grows by rows.
pub struct CsvWriter {
    file: OutputFile,
    columns: Vec<ColumnSpec>,
}

impl CsvWriter {
    /// Starts a table that will be at `path`, and writes its header.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn create(path: &Path, columns: Vec<ColumnSpec>) -> Result<CsvWriter, IoError> {
        let mut file = OutputFile::create(path)?;
        let names: Vec<String> = columns.iter().map(|column| quoted(&column.name)).collect();
        file.write_with(|out| writeln!(out, "{}", names.join(",")))?;
        Ok(CsvWriter { file, columns })
    }
}

impl TableWriter for CsvWriter {
    fn append(&mut self, columns: &[Column]) -> Result<(), IoError> {
        let n_rows = check_rows(self.file.final_path(), &self.columns, columns)?;
        let mut line = String::new();
        for row in 0..n_rows {
            line.clear();
            for (place, column) in columns.iter().enumerate() {
                if place > 0 {
                    line.push(',');
                }
                push_value(&mut line, column, row);
            }
            line.push('\n');
            self.file.write_with(|out| out.write_all(line.as_bytes()))?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), IoError> {
        self.file.commit()
    }
}

/// Appends one value; numbers have the fewest digits that give the same number back.
fn push_value(line: &mut String, column: &Column, row: usize) {
    match column {
        Column::Integer(values) => write!(line, "{}", values[row]),
        Column::Float32(values) if values[row].is_nan() => Ok(()),
        Column::Float32(values) => write!(line, "{}", values[row]),
        Column::Float64(values) if values[row].is_nan() => Ok(()),
        Column::Float64(values) => write!(line, "{}", values[row]),
        Column::Text(values) => {
            if let Some(text) = &values[row] {
                line.push_str(&quoted(text));
            }
            Ok(())
        }
    }
    .expect("memory takes every write");
}

/// The text as it stands in the file: in quotes where it holds a comma, a quote or a line break.
pub(crate) fn quoted(value: &str) -> String {
    if value.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", value.replace('"', "\"\""))
    } else {
        value.to_owned()
    }
}

/// A table read from a file: names of the columns, and their rows as text.
#[derive(Clone, PartialEq, Debug)]
pub struct CsvTable {
    /// Names, from the header.
    pub names: Vec<String>,
    /// Rows of each column.
    pub columns: Vec<Vec<String>>,
}

/// Reads a table that somata wrote: a header, then rows of as many values.
///
/// # Errors
/// When the file cannot be read, is not text, or a row has another number of values; the row is named.
pub fn read_csv(path: &Path) -> Result<CsvTable, IoError> {
    let text = std::fs::read_to_string(path).map_err(|source| IoError::read(path, source))?;
    let mut records = records(&text).into_iter();
    let names = records
        .next()
        .ok_or_else(|| IoError::malformed(path, "line 1", "there is no header"))?;
    let mut columns = vec![Vec::new(); names.len()];
    for (place, record) in records.enumerate() {
        if record.len() != names.len() {
            let what = format!("it has {} values instead of {}", record.len(), names.len());
            return Err(IoError::malformed(path, format!("row {}", place + 1), what));
        }
        for (column, value) in columns.iter_mut().zip(record) {
            column.push(value);
        }
    }
    Ok(CsvTable { names, columns })
}

/// The values of each line; quotes may hold commas and line breaks.
fn records(text: &str) -> Vec<Vec<String>> {
    let (mut records, mut record, mut value) = (Vec::new(), Vec::new(), String::new());
    let (mut in_quotes, mut any) = (false, false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        any = true;
        match character {
            '"' if in_quotes && characters.peek() == Some(&'"') => {
                characters.next();
                value.push('"');
            }
            '"' => in_quotes = !in_quotes,
            ',' if !in_quotes => record.push(std::mem::take(&mut value)),
            '\r' if !in_quotes && characters.peek() == Some(&'\n') => {}
            '\n' if !in_quotes => {
                record.push(std::mem::take(&mut value));
                records.push(std::mem::take(&mut record));
                any = false;
            }
            other => value.push(other),
        }
    }
    if any {
        record.push(value);
        records.push(record);
    }
    records
}

#[cfg(test)]
mod tests {
    use super::super::{NamedColumn, TableFormat};
    use super::*;

    #[test]
    fn a_table_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let texts = vec![Some("a, \"b\"\nc".to_owned()), None, Some("d".to_owned())];
        let columns = [
            NamedColumn::new("unit", Column::Integer(vec![0, 1, 2].into())),
            NamedColumn::new("x_um", Column::Float32(vec![0.1, f32::NAN, -3e9].into())),
            NamedColumn::new("y,um", Column::Float64(vec![0.1, 1e-9, f64::NAN].into())),
            NamedColumn::new("note", Column::Text(texts.into())),
        ];
        TableFormat::Csv.write(&path, &columns).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "unit,x_um,\"y,um\",note\n0,0.1,0.1,\"a, \"\"b\"\"\nc\"\n1,,0.000000001,\n2,-3000000000,,d\n"
        );
        let table = read_csv(&path).unwrap();
        assert_eq!(table.names, ["unit", "x_um", "y,um", "note"]);
        assert_eq!(table.columns[3], ["a, \"b\"\nc", "", "d"]);
    }

    #[test]
    fn a_row_of_another_length_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, "a,b\r\n1,2\r\n3\r\n").unwrap();
        let error = read_csv(&path).unwrap_err().to_string();
        assert!(
            error.contains("row 2: it has 1 values instead of 2"),
            "{error}"
        );
        std::fs::write(&path, "").unwrap();
        assert!(
            read_csv(&path)
                .unwrap_err()
                .to_string()
                .contains("no header")
        );
        // A last line without its end is a row as well.
        std::fs::write(&path, "a,b\n1,").unwrap();
        assert_eq!(read_csv(&path).unwrap().columns, [["1"], [""]]);
    }
}
