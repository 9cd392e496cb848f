//! Inputs that once broke a parser, kept in `tests/golden/hostile/broke`: `PARSER-WHAT` is a folder with the input, and `entry` in
//! its name list is what the parser opens.

use std::path::Path;

use crate::TARGETS;
use crate::harness::bad_message;
use crate::seeds::golden;
use crate::watch::watched;

#[test]
fn what_once_broke_a_parser_does_so_no_more() {
    let mut n_tried = 0;
    for target in TARGETS.iter().map(|make| make()) {
        for entry in std::fs::read_dir(golden("hostile/broke")).unwrap() {
            let folder = entry.unwrap().path();
            let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
            if name
                .split_once('-')
                .is_none_or(|(parser, _)| parser != target.name)
            {
                continue;
            }
            n_tried += 1;
            let entry = entry_of(&folder, &target.seeds[0].entry);
            let seen = watched(|| (target.parse)(&entry, &folder));
            let size_bytes = crate::harness::size_of_folder(&folder);
            assert!(
                seen.peak_bytes <= size_bytes * target.expansion + target.allowance_bytes,
                "{name}: {} bytes held for {size_bytes}",
                seen.peak_bytes
            );
            match seen.result {
                Ok(Ok(())) => {}
                Ok(Err(error)) => assert_eq!(bad_message(&error), None, "{name}"),
                Err(panic) => panic!("{name}: {panic}"),
            }
        }
    }
    let n_kept = std::fs::read_dir(golden("hostile/broke")).unwrap().count();
    assert_eq!(n_tried, n_kept, "a folder in `broke` is of no parser");
}

/// What the parser opens: the folder itself, or the file in it with the extension of the parser's seeds.
fn entry_of(folder: &Path, seed_entry: &str) -> std::path::PathBuf {
    let extension = Path::new(seed_entry).extension();
    if extension.is_none() {
        return folder.to_owned();
    }
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let found = paths.iter().find(|path| path.extension() == extension);
    found.unwrap_or(&paths[0]).clone()
}
