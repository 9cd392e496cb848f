//! From what the user gives (files, a folder) to the files of one movie and their format.

use std::cmp::Ordering;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::MovieOptions;
use crate::error::{IoError, name_of};
use crate::hdf5::{Hdf5File, SIGNATURE};
use crate::tiff::directory::Dialect;
use crate::zarr::is_store;

/// A movie format that is read.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum MovieFormat {
    Tiff,
    Hdf5,
    Nwb,
    RawBinary,
    Zarr,
}

/// The files of one movie, in the order of time.
#[derive(Debug)]
pub(crate) struct Inputs {
    pub format: MovieFormat,
    pub files: Vec<PathBuf>,
}

/// Extensions of TIFF files.
const TIFF_EXTENSIONS: [&str; 5] = ["tif", "tiff", "btf", "tf8", "tf2"];

/// Finds the files that `paths` stand for.
///
/// # Errors
/// When a path does not exist, a folder has no movie, or formats are mixed.
pub(crate) fn find(paths: &[PathBuf], options: &MovieOptions) -> Result<Inputs, IoError> {
    let mut files = Vec::new();
    for path in paths {
        let metadata = std::fs::metadata(path).map_err(|source| IoError::read(path, source))?;
        if metadata.is_dir() && is_store(path) {
            files.push(path.clone());
        } else if metadata.is_dir() {
            files.extend(files_of_folder(path)?);
        } else {
            files.push(path.clone());
        }
    }
    let Some(first) = files.first() else {
        return Err(IoError::NotAMovie {
            path: PathBuf::new(),
            seen: "no file was given".to_owned(),
        });
    };
    let format = format_of(first, options)?;
    for file in &files[1..] {
        if format_of(file, options)? != format {
            return Err(IoError::BadImage {
                path: file.clone(),
                what: format!("it is not of the same format as `{}`", name_of(first)),
                hint: "give the files of one movie only".to_owned(),
            });
        }
    }
    if format == MovieFormat::Zarr && files.len() > 1 {
        return Err(IoError::BadImage {
            path: files[1].clone(),
            what: "several Zarr stores are not joined to one movie".to_owned(),
            hint: "give one store at a time, or join them along the axis of time first".to_owned(),
        });
    }
    Ok(Inputs { format, files })
}

/// The movie files of a folder: its TIFF files in natural order, its `data.bin`, or the one Zarr store in it.
fn files_of_folder(folder: &Path) -> Result<Vec<PathBuf>, IoError> {
    let entries = std::fs::read_dir(folder).map_err(|source| IoError::read(folder, source))?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry
            .map_err(|source| IoError::read(folder, source))?
            .path();
        // Names that begin with a dot are the system's (macOS writes `._a.tif` beside `a.tif`).
        if path.is_file() && !name_of(&path).starts_with('.') {
            names.push(path);
        }
    }
    names.sort_by(|a, b| natural_order(&name_of(a), &name_of(b)));
    let tiffs: Vec<PathBuf> = names
        .iter()
        .filter(|path| has_tiff_extension(path))
        .cloned()
        .collect();
    if !tiffs.is_empty() {
        return Ok(tiffs);
    }
    if let Some(raw) = names.iter().find(|path| name_of(path) == "data.bin") {
        return Ok(vec![raw.clone()]);
    }
    if let [store] = &super::zarr::stores_in(folder)?[..] {
        return Ok(vec![store.clone()]);
    }
    let mut shown: Vec<String> = names
        .iter()
        .take(5)
        .map(|path| format!("`{}`", name_of(path)))
        .collect();
    if names.len() > shown.len() {
        shown.push(format!("and {} more", names.len() - shown.len()));
    }
    Err(IoError::NotAMovie {
        path: folder.to_owned(),
        seen: if shown.is_empty() {
            "the folder has no file".to_owned()
        } else {
            format!("the folder has no TIFF file; it has {}", shown.join(", "))
        },
    })
}

/// Whether the name is a TIFF's.
fn has_tiff_extension(path: &Path) -> bool {
    let extension = path
        .extension()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    TIFF_EXTENSIONS.contains(&extension.as_str())
}

/// Order of names in which runs of digits count as numbers: `a2` before `a10`. Names that differ in leading zeros only, or in
/// case, keep a fixed order too.
pub(crate) fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut rest_a, mut rest_b) = (a, b);
    loop {
        let (Some(first_a), Some(first_b)) = (rest_a.chars().next(), rest_b.chars().next()) else {
            return rest_a.len().cmp(&rest_b.len()).then_with(|| a.cmp(b));
        };
        let order = if first_a.is_ascii_digit() && first_b.is_ascii_digit() {
            let (digits_a, after_a) = split_digits(rest_a);
            let (digits_b, after_b) = split_digits(rest_b);
            (rest_a, rest_b) = (after_a, after_b);
            // Of two numbers without leading zeros, the longer is larger.
            digits_a
                .len()
                .cmp(&digits_b.len())
                .then_with(|| digits_a.cmp(digits_b))
        } else {
            rest_a = &rest_a[first_a.len_utf8()..];
            rest_b = &rest_b[first_b.len_utf8()..];
            first_a.to_lowercase().cmp(first_b.to_lowercase())
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// The digits at the start without leading zeros, and the rest.
fn split_digits(text: &str) -> (&str, &str) {
    let end = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    (text[..end].trim_start_matches('0'), &text[end..])
}

/// The format of one file: its first bytes decide.
fn format_of(path: &Path, options: &MovieOptions) -> Result<MovieFormat, IoError> {
    if path.is_dir() {
        // Of folders only stores are kept as they are.
        return Ok(MovieFormat::Zarr);
    }
    let mut first = Vec::with_capacity(16);
    File::open(path)
        .and_then(|file| file.take(16).read_to_end(&mut first))
        .map_err(|source| IoError::read(path, source))?;
    let unread = |seen: &str| {
        Err(IoError::NotAMovie {
            path: path.to_owned(),
            seen: seen.to_owned(),
        })
    };
    if Dialect::of(&first).is_some() {
        return Ok(MovieFormat::Tiff);
    }
    let extension = path
        .extension()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    let told_size = options.height.is_some() && options.width.is_some();
    let is_hdf5_name = ["h5", "hdf5", "nwb"].contains(&extension.as_str());
    match extension.as_str() {
        _ if first.starts_with(&SIGNATURE) || (is_hdf5_name && !first.is_empty()) => {
            let root = Hdf5File::open(path)?.root()?;
            Ok(if crate::nwb::is_nwb(&root)? {
                MovieFormat::Nwb
            } else {
                MovieFormat::Hdf5
            })
        }
        _ if first.is_empty() => unread("the file is empty"),
        _ if has_tiff_extension(path) => unread("it does not begin as a TIFF does"),
        "bin" | "raw" | "dat" => Ok(MovieFormat::RawBinary),
        _ if first.starts_with(b"\x89PNG") || first.starts_with(&[0xff, 0xd8, 0xff]) => {
            unread("it is a still image: segment it with `somata segment`")
        }
        _ if first.starts_with(b"RIFF") || first.get(4..8) == Some(b"ftyp") => {
            unread("it is a compressed video, which has lost what traces need")
        }
        _ if first.starts_with(b"\x93NUMPY") => unread("numpy files are not read as movies"),
        "zip" => unread("it is an archive: unpack it first, also when it holds a Zarr store"),
        "sbx" => unread("Scanbox files are not read yet"),
        "nd2" | "czi" | "lif" | "oir" | "isxd" => unread("the microscope's own format is not read"),
        _ if told_size => Ok(MovieFormat::RawBinary),
        _ => unread("it is neither a TIFF nor a `.bin`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_count_as_numbers() {
        let mut names = [
            "a10.tif",
            "a2.tif",
            "A1.tif",
            "a02b.tif",
            "b.tif",
            "a2.TIF",
            "a.tif",
            "a18446744073709551616.tif",
        ];
        names.sort_by(|a, b| natural_order(a, b));
        assert_eq!(
            names,
            [
                "a.tif",
                "A1.tif",
                "a2.TIF",
                "a2.tif",
                "a02b.tif",
                "a10.tif",
                "a18446744073709551616.tif",
                "b.tif"
            ]
        );
    }

    #[test]
    fn natural_order_is_an_order() {
        let names = [
            "", "0", "00", "a", "a0", "a00", "a1", "1", "01", "é", "é1", "10",
        ];
        for a in names {
            for b in names {
                assert_eq!(
                    natural_order(a, b),
                    natural_order(b, a).reverse(),
                    "{a} {b}"
                );
                assert_eq!(natural_order(a, b) == Ordering::Equal, a == b);
                for c in names {
                    if natural_order(a, b).is_lt() && natural_order(b, c).is_lt() {
                        assert!(natural_order(a, c).is_lt(), "{a} {b} {c}");
                    }
                }
            }
        }
    }
}
