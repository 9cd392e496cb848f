//! The real files that inputs are made of: those of `tests/golden`, and small ones that are written here.

use std::path::{Path, PathBuf};

use crate::harness::Seed;

/// A file or folder below `tests/golden`.
pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

/// Every file of a folder below `tests/golden` whose name ends so and that has at most so many bytes, each a seed of its own.
pub fn single_files(folder: &str, endings: &[&str], most_bytes: u64) -> Vec<Seed> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(golden(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
        .iter()
        .filter(|path| endings.iter().any(|end| name(path).ends_with(end)))
        .filter(|path| std::fs::metadata(path).unwrap().len() <= most_bytes)
        .map(|path| Seed::file(&name(path), std::fs::read(path).unwrap()))
        .collect()
}

/// All files of a folder below `tests/golden`, as one seed.
pub fn whole_folder(folder: &str) -> Seed {
    let mut files = Vec::new();
    add_files(&golden(folder), "", &mut files);
    Seed::folder(files)
}

/// What is written into a folder by `write`, as one seed.
pub fn written(write: impl FnOnce(&Path)) -> Seed {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let mut files = Vec::new();
    add_files(folder.path(), "", &mut files);
    Seed::folder(files)
}

/// One file that `write` writes, as a seed of that name.
pub fn written_file(file_name: &str, write: impl FnOnce(&Path)) -> Seed {
    let mut seed = written(|folder| write(&folder.join(file_name)));
    seed.entry = file_name.to_owned();
    seed
}

/// Adds the files below `folder`, sorted, with names relative to the first folder.
fn add_files(folder: &Path, before: &str, files: &mut Vec<(String, Vec<u8>)>) {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    for path in paths {
        let name = format!("{before}{}", name(&path));
        if path.is_dir() {
            add_files(&path, &format!("{name}/"), files);
        } else {
            files.push((name, std::fs::read(&path).unwrap()));
        }
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}
