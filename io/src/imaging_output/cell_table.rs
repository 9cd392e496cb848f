//! `cells.csv`: one row a cell, columns as the caller likes.

use std::path::Path;

use crate::atomic::write_file;
use crate::error::IoError;
use crate::tables::csv::quoted;

/// One column.
#[derive(Clone, PartialEq, Debug)]
pub struct CellColumn {
    /// The column's name, with its unit as suffix, as `radius_px`.
    pub name: String,
    /// One value a cell, in order; an empty one is unknown.
    pub values: Vec<String>,
}

/// Writes the table: a header, then one row a cell. The first column, `cell`, counts the cells from 0, as the rows of the traces.
///
/// Values with a comma, a quote or a line break are put into quotes, as RFC 4180 says.
///
/// # Errors
/// When a column has not one value a cell, a name comes twice, or the file cannot be written.
pub fn write_cells_csv(path: &Path, n_cells: usize, columns: &[CellColumn]) -> Result<(), IoError> {
    let bad = |what: String| {
        Err(IoError::BadTables {
            path: path.to_owned(),
            what,
        })
    };
    let mut text = "cell".to_owned();
    for (place, column) in columns.iter().enumerate() {
        let name = &column.name;
        if column.values.len() != n_cells {
            let n_values = column.values.len();
            return bad(format!(
                "column `{name}` has {n_values} values for {n_cells} cells"
            ));
        }
        let mut before = columns[..place].iter();
        if name.is_empty() || name == "cell" || before.any(|other| other.name == *name) {
            return bad(format!(
                "`{name}` is no name of a column, or is there twice"
            ));
        }
        text.push(',');
        text.push_str(&quoted(name));
    }
    text.push('\n');
    for cell in 0..n_cells {
        text.push_str(&cell.to_string());
        for column in columns {
            text.push(',');
            text.push_str(&quoted(&column.values[cell]));
        }
        text.push('\n');
    }
    write_file(path, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, values: &[&str]) -> CellColumn {
        CellColumn {
            name: name.to_owned(),
            values: values.iter().map(|&value| value.to_owned()).collect(),
        }
    }

    #[test]
    fn each_cell_has_a_row() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cells.csv");
        let columns = [
            column("radius_px", &["5.5", ""]),
            column("note", &["a, \"b\"", "c"]),
        ];
        write_cells_csv(&path, 2, &columns).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "cell,radius_px,note\n0,5.5,\"a, \"\"b\"\"\"\n1,,c\n"
        );
        write_cells_csv(&path, 0, &[column("radius_px", &[])]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "cell,radius_px\n");
    }

    #[test]
    fn columns_that_do_not_fit_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cells.csv");
        let message = |n_cells, columns: &[CellColumn]| {
            write_cells_csv(&path, n_cells, columns)
                .unwrap_err()
                .to_string()
        };
        assert!(message(3, &[column("a", &["1"])]).contains("column `a` has 1 values for 3 cells"));
        assert!(message(1, &[column("a", &["1"]), column("a", &["1"])]).contains("twice"));
        assert!(message(1, &[column("cell", &["1"])]).contains("`cell`"));
        assert!(!path.exists());
    }
}
