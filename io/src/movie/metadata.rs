//! What a file's own texts say about a movie, whatever the software that wrote them.

use super::order::FrameOrder;
use super::{imagej, ome, scanimage};
use crate::error::IoError;
use std::path::Path;

/// Texts of the first page, and of ScanImage's header where there is one.
#[derive(Default, Debug)]
pub(crate) struct Texts {
    /// ImageDescription.
    pub description: String,
    /// Software.
    pub software: String,
    /// Text of ScanImage's own header before the first directory.
    pub scanimage_header: String,
    /// Pixels a unit of length along rows (XResolution) and columns (YResolution).
    pub x_resolution: Option<f64>,
    pub y_resolution: Option<f64>,
}

/// What they say.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Metadata {
    pub format: &'static str,
    pub order: FrameOrder,
    pub frame_rate_hz: Option<f64>,
    pub pixel_size_um: Option<[f64; 2]>,
    pub warnings: Vec<String>,
}

impl Metadata {
    /// A format that says nothing: one plane, one channel.
    pub fn plain(format: &'static str) -> Metadata {
        Metadata {
            format,
            order: FrameOrder::interleaved(1, 1),
            frame_rate_hz: None,
            pixel_size_um: None,
            warnings: Vec::new(),
        }
    }
}

/// Facts about the pages that the texts are checked against.
#[derive(Copy, Clone, Debug)]
pub(crate) struct PageFacts {
    /// Pages of all files.
    pub n_pages: u64,
    pub n_files: usize,
    pub height: usize,
    pub width: usize,
}

/// Reads the texts of the movie whose first file is `path`.
///
/// # Errors
/// When they describe an order of pages that is not read.
pub(crate) fn read(path: &Path, texts: &Texts, facts: PageFacts) -> Result<Metadata, IoError> {
    if let Some(metadata) = scanimage::read(texts, facts) {
        return Ok(metadata);
    }
    if imagej::is_imagej(&texts.description) {
        return Ok(imagej::read(texts, facts));
    }
    if ome::is_ome(&texts.description) {
        return ome::read(path, &texts.description, facts);
    }
    Ok(Metadata::plain("TIFF"))
}

/// A number that makes sense as a rate, a length or a duration.
pub(crate) fn positive(number: f64) -> Option<f64> {
    Some(number).filter(|number| number.is_finite() && *number > 0.0)
}

/// A count that makes sense: a whole number from 1 to 2^40.
pub(crate) fn count(number: f64) -> Option<u64> {
    (number.fract() == 0.0 && (1.0..=(1u64 << 40) as f64).contains(&number))
        .then_some(number as u64)
}

/// A count of planes or channels: at most 65,536.
pub(crate) fn small_count(number: f64) -> Option<usize> {
    count(number)
        .filter(|&number| number <= 1 << 16)
        .map(|number| number as usize)
}

/// The warning for a stack of one time point whose `number` planes or channels must be the time.
pub(crate) fn taken_as_time(who: &str, number: u64, what: &str) -> String {
    let option = if what == "channels" {
        "--n-channels"
    } else {
        "--n-planes"
    };
    format!(
        "{who} calls the {number} images {what} of one time point: they are taken as time points of one plane; if they are {what}, say \
         so with `{option}`"
    )
}
