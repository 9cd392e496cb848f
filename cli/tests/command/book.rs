//! The book says of every number of the tables what it is.

use std::path::Path;

use crate::{
    data::tetrode,
    movies::{image, small},
    run::{run, sort},
};

/// A page of docs/.
fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Columns of a table from `first` on have a section on a page, with all four parts, or stand in the table of the output folder.
#[track_caller]
fn described(table: &Path, page_name: &str) {
    let text = std::fs::read_to_string(table).unwrap();
    let (metrics, folder) = (page(page_name), page("reference/output-folder.md"));
    let mut sections = 0;
    for column in text.lines().next().unwrap().split(',') {
        let Some((_, section)) = metrics.split_once(&format!("\n## {column}\n")) else {
            assert!(
                folder.contains(&format!("`{column}`")),
                "`{column}` of {} is described nowhere",
                table.display()
            );
            continue;
        };
        sections += 1;
        let section = section.split("\n## ").next().unwrap();
        for part in ["Formula", "Meaning", "Usual range", "Citation"] {
            assert!(
                section.contains(&format!("**{part}.**")),
                "{page_name}: `{column}` has no {part}"
            );
        }
    }
    assert!(sections >= 6, "{sections} metrics of {}", table.display());
}

#[test]
fn each_metric_has_its_formula_meaning_range_and_citation() {
    let folder = tempfile::tempdir().unwrap();
    let (sorted, imaged) = (folder.path().join("sorted"), folder.path().join("imaged"));
    run(&mut sort(&tetrode(folder.path()), &sorted)).succeeds();
    described(&sorted.join("metrics.csv"), "concepts/quality-metrics.md");
    run(&mut image(&small(folder.path()), &imaged)).succeeds();
    described(&imaged.join("cells.csv"), "concepts/cell-metrics.md");
}
