//! TIFF and BigTIFF as bytes: directories, pages and how their pixels are packed. What the pages mean (planes, channels,
//! time) is the business of [`crate::movie`] and [`crate::still_image`].
//!
//! Written here rather than taken from a crate because a movie has a million pages: the chain of directories must be walked
//! once into a table that stays small ([`page_table`]), plain pages must be read by position straight into the caller's
//! buffer, and packed pages must be unpacked by several threads at once, each from bytes of its own ([`decode`]). The
//! compression codecs are crates ([`codecs`]).
//!
//! A header may lie. Each offset and count is compared with the file's size before it is used, and the pixels that a page
//! claims are compared with what its packed bytes can hold at most.
//!
//! Sources: the TIFF 6.0 specification (Adobe, 1992) with its Technical Note 3 (floating-point predictor), the BigTIFF design
//! (Aware Systems), and for what files are really like, tifffile's documentation.

pub(crate) mod codecs;
pub(crate) mod decode;
pub(crate) mod directory;
pub(crate) mod page;
pub(crate) mod page_table;
pub(crate) mod samples;

use std::path::Path;

use crate::error::IoError;

/// Hint for bytes that make no sense.
pub(crate) const DAMAGED: &str =
    "the file may be damaged: copy it again, or export it again as an uncompressed TIFF";

/// An error about one page; `page` counts from 0 and is shown counted from 1, as ImageJ does.
pub(crate) fn page_error(path: &Path, page: u64, what: impl Into<String>, hint: &str) -> IoError {
    IoError::BadPage {
        path: path.to_owned(),
        page: page + 1,
        what: what.into(),
        hint: hint.to_owned(),
    }
}

/// The error of a page whose bytes end after the file does.
pub(crate) fn truncated_page(
    path: &Path,
    page: u64,
    what: &str,
    needed_bytes: u64,
    size_bytes: u64,
) -> IoError {
    let whole = match page {
        0 => "no page is whole".to_owned(),
        1 => "the page before it is whole".to_owned(),
        _ => format!("the {page} pages before it are whole"),
    };
    page_error(
        path,
        page,
        format!(
            "the file is truncated: {what} ends at byte {needed_bytes} and the file has {size_bytes}; {whole}"
        ),
        "the copy may be incomplete: copy the file again; if the acquisition was interrupted, save the whole pages as a new file",
    )
}
