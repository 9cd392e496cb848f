//! Tables of named columns, written a stretch of rows at a time: [`csv`] for spreadsheets, [`parquet`] for pandas, polars, DuckDB
//! and R.
//!
//! A value that is not known is NaN, or no text. CSV leaves its place empty, and Parquet marks it as null.

pub mod csv;
pub mod parquet;

use std::borrow::Cow;
use std::path::Path;

use crate::error::IoError;

/// What a column holds.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum ColumnKind {
    /// Whole numbers of 64 bits; none is unknown.
    Integer,
    /// Numbers of 32 bits; NaN is unknown.
    Float32,
    /// Numbers of 64 bits; NaN is unknown.
    Float64,
    /// Text.
    Text,
}

/// Name and kind of a column.
#[derive(Clone, Eq, PartialEq, Debug)]
pub struct ColumnSpec {
    /// The column's name, with its unit as suffix, as `time_s`.
    pub name: String,
    /// What it holds.
    pub kind: ColumnKind,
}

impl ColumnSpec {
    /// A column of that name and kind.
    pub fn new(name: impl Into<String>, kind: ColumnKind) -> Self {
        ColumnSpec {
            name: name.into(),
            kind,
        }
    }
}

/// Some rows of one column.
#[derive(Clone, PartialEq, Debug)]
pub enum Column<'a> {
    /// [`ColumnKind::Integer`].
    Integer(Cow<'a, [i64]>),
    /// [`ColumnKind::Float32`].
    Float32(Cow<'a, [f32]>),
    /// [`ColumnKind::Float64`].
    Float64(Cow<'a, [f64]>),
    /// [`ColumnKind::Text`].
    Text(Cow<'a, [Option<String>]>),
}

impl Column<'_> {
    /// Rows.
    pub fn len(&self) -> usize {
        match self {
            Column::Integer(values) => values.len(),
            Column::Float32(values) => values.len(),
            Column::Float64(values) => values.len(),
            Column::Text(values) => values.len(),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What it holds.
    pub fn kind(&self) -> ColumnKind {
        match self {
            Column::Integer(_) => ColumnKind::Integer,
            Column::Float32(_) => ColumnKind::Float32,
            Column::Float64(_) => ColumnKind::Float64,
            Column::Text(_) => ColumnKind::Text,
        }
    }
}

/// Takes the rows of a table in order.
pub trait TableWriter {
    /// Appends rows: a column each, in the order and of the kinds that the table was made with.
    ///
    /// # Errors
    /// When the columns are others, differ in length, or the file cannot be written.
    fn append(&mut self, columns: &[Column]) -> Result<(), IoError>;

    /// Gives the file its name. A table that is dropped before leaves nothing.
    ///
    /// # Errors
    /// When the file cannot be written.
    fn finish(self: Box<Self>) -> Result<(), IoError>;
}

/// A column of a table in memory, with its name.
#[derive(Clone, PartialEq, Debug)]
pub struct NamedColumn<'a> {
    /// Its name.
    pub name: String,
    /// All its rows.
    pub values: Column<'a>,
}

impl<'a> NamedColumn<'a> {
    /// A column of that name.
    pub fn new(name: impl Into<String>, values: Column<'a>) -> Self {
        NamedColumn {
            name: name.into(),
            values,
        }
    }

    /// A column out of text: whole numbers where every row is one, numbers where every row is one or empty, else text in which an
    /// empty row is unknown.
    pub fn parsed(name: impl Into<String>, rows: &[String]) -> NamedColumn<'static> {
        let integers = rows.iter().map(|row| row.trim().parse::<i64>().ok());
        if let Some(integers) = integers.collect::<Option<Vec<i64>>>() {
            return NamedColumn::new(name, Column::Integer(integers.into()));
        }
        let number = |row: &String| match row.trim() {
            "" => Some(f64::NAN),
            text => text.parse::<f64>().ok(),
        };
        if let Some(numbers) = rows.iter().map(number).collect::<Option<Vec<f64>>>() {
            return NamedColumn::new(name, Column::Float64(numbers.into()));
        }
        let texts = rows
            .iter()
            .map(|row| (!row.is_empty()).then(|| row.clone()));
        NamedColumn::new(name, Column::Text(texts.collect()))
    }
}

/// Which file a table becomes.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum TableFormat {
    /// Comma-separated values.
    Csv,
    /// Apache Parquet.
    Parquet,
}

impl TableFormat {
    /// The ending of such files.
    pub fn extension(self) -> &'static str {
        match self {
            TableFormat::Csv => "csv",
            TableFormat::Parquet => "parquet",
        }
    }

    /// Starts a table that will be at `path`.
    ///
    /// # Errors
    /// When a name is empty or comes twice, or the file cannot be created.
    pub fn create(
        self,
        path: &Path,
        columns: Vec<ColumnSpec>,
    ) -> Result<Box<dyn TableWriter>, IoError> {
        for (place, column) in columns.iter().enumerate() {
            let mut before = columns[..place].iter();
            if column.name.is_empty() || before.any(|other| other.name == column.name) {
                return Err(IoError::BadTables {
                    path: path.to_owned(),
                    what: format!(
                        "`{}` is no name of a column, or is there twice",
                        column.name
                    ),
                });
            }
        }
        Ok(match self {
            TableFormat::Csv => Box::new(csv::CsvWriter::create(path, columns)?),
            TableFormat::Parquet => Box::new(parquet::ParquetWriter::create(path, columns)?),
        })
    }

    /// Writes a table that is in memory.
    ///
    /// # Errors
    /// When columns differ in length, names do not fit, or the file cannot be written.
    pub fn write(self, path: &Path, columns: &[NamedColumn]) -> Result<(), IoError> {
        let specs = columns
            .iter()
            .map(|column| ColumnSpec::new(&column.name, column.values.kind()));
        let mut writer = self.create(path, specs.collect())?;
        let values: Vec<Column> = columns.iter().map(|column| column.values.clone()).collect();
        writer.append(&values)?;
        writer.finish()
    }
}

/// Rows of these columns, which must be those of the table.
fn check_rows(path: &Path, specs: &[ColumnSpec], columns: &[Column]) -> Result<usize, IoError> {
    let bad = |what: String| IoError::BadTables {
        path: path.to_owned(),
        what,
    };
    if columns.len() != specs.len() {
        return Err(bad(format!(
            "{} columns instead of {}",
            columns.len(),
            specs.len()
        )));
    }
    let n_rows = columns.first().map_or(0, Column::len);
    for (spec, column) in specs.iter().zip(columns) {
        if column.kind() != spec.kind || column.len() != n_rows {
            return Err(bad(format!(
                "column `{}` has {} rows of kind {:?} instead of {n_rows} of {:?}",
                spec.name,
                column.len(),
                column.kind(),
                spec.kind
            )));
        }
    }
    Ok(n_rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_of_text_takes_the_narrowest_kind() {
        let parsed = |rows: &[&str]| {
            let rows: Vec<String> = rows.iter().map(|&row| row.to_owned()).collect();
            NamedColumn::parsed("a", &rows).values
        };
        assert_eq!(parsed(&["1", "-2"]), Column::Integer(vec![1, -2].into()));
        assert_eq!(
            parsed(&["1", "2.5"]),
            Column::Float64(vec![1.0, 2.5].into())
        );
        assert!(matches!(parsed(&["1", ""]), Column::Float64(values) if values[1].is_nan()));
        assert_eq!(
            parsed(&["good", ""]),
            Column::Text(vec![Some("good".to_owned()), None].into())
        );
    }

    #[test]
    fn columns_that_do_not_fit_are_named_and_leave_no_file() {
        let folder = tempfile::tempdir().unwrap();
        for format in [TableFormat::Csv, TableFormat::Parquet] {
            let path = folder.path().join("a");
            let a = NamedColumn::new("a", Column::Integer(vec![1].into()));
            let b = NamedColumn::new("b", Column::Float32(vec![1.0, 2.0].into()));
            let error = format.write(&path, &[a.clone(), b]).unwrap_err();
            assert!(
                error.to_string().contains("column `b` has 2 rows"),
                "{error}"
            );
            let error = format.write(&path, &[a.clone(), a]).unwrap_err();
            assert!(error.to_string().contains("twice"), "{error}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
