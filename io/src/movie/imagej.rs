//! ImageJ's description of a stack: lines of `key=value` in the first page's ImageDescription.
//!
//! Source: ImageJ's own documentation of its TIFF files and what it writes. Channels are fastest, then slices, then frames.
//! A stack beyond 4 GB has one directory, and its images follow each other from the first strip on.

use super::metadata::{Metadata, PageFacts, Texts, count, positive, small_count, taken_as_time};
use super::order::FrameOrder;

/// Whether this is ImageJ's description.
pub(crate) fn is_imagej(description: &str) -> bool {
    description.starts_with("ImageJ=")
}

/// The value of a key.
fn value<'a>(description: &'a str, key: &str) -> Option<&'a str> {
    description
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        .map(str::trim)
}

/// The value of a key as a number.
fn number(description: &str, key: &str) -> Option<f64> {
    value(description, key)?.parse().ok()
}

/// Images that the description promises in one directory: by ImageJ, or by tifffile for a series whose further directories it
/// did not write. `page_pixels` is height × width.
pub(crate) fn promised_images(description: &str, page_pixels: u64) -> Option<u64> {
    if is_imagej(description) {
        return number(description, "images").and_then(count);
    }
    if !description.starts_with('{') {
        return None;
    }
    let shaped: serde_json::Value = serde_json::from_str(description).ok()?;
    if shaped.get("truncated")?.as_bool() != Some(true) {
        return None;
    }
    let mut pixels = 1u64;
    for side in shaped.get("shape")?.as_array()? {
        pixels = pixels.checked_mul(side.as_u64()?)?;
    }
    (pixels > 0 && pixels.is_multiple_of(page_pixels)).then(|| pixels / page_pixels)
}

/// Reads the description.
pub(crate) fn read(texts: &Texts, facts: PageFacts) -> Metadata {
    let description = &texts.description;
    let mut metadata = Metadata::plain("ImageJ TIFF");
    let size = |key| number(description, key).and_then(count).unwrap_or(1);
    let mut n_channels = number(description, "channels")
        .and_then(small_count)
        .unwrap_or(1);
    let (mut n_slices, mut n_frames) = (size("slices"), size("frames"));
    let is_one_file = facts.n_files == 1;
    let says_counts = ["images", "channels", "slices", "frames"]
        .iter()
        .any(|key| value(description, key).is_some());
    // ImageJ calls the images of a plain stack slices, also when they are a movie, and programs that write its description
    // without naming the axes call them channels. A movie of one time point is none.
    if n_frames == 1 && facts.n_pages > 1 {
        if n_slices > 1 {
            metadata
                .warnings
                .push(taken_as_time("ImageJ", n_slices, "slices"));
            (n_slices, n_frames) = (1, n_slices);
        } else if n_channels > 1 {
            metadata
                .warnings
                .push(taken_as_time("ImageJ", n_channels as u64, "channels"));
            (n_channels, n_frames) = (1, n_channels as u64);
        }
    }
    let product = n_frames
        .checked_mul(n_slices)
        .and_then(|n| n.checked_mul(n_channels as u64));
    match small_count(n_slices as f64) {
        Some(n_planes) if facts.n_pages >= n_slices.saturating_mul(n_channels as u64) => {
            metadata.order = FrameOrder::interleaved(n_planes, n_channels);
            if is_one_file && says_counts && product != Some(facts.n_pages) {
                metadata.warnings.push(format!(
                    "ImageJ's description says {n_channels} channels × {n_slices} slices × {n_frames} frames and the file has {} \
                     pages: the pages are counted",
                    facts.n_pages
                ));
            }
        }
        _ => metadata.warnings.push(format!(
            "ImageJ's description says {n_channels} channels × {n_slices} slices, more than the {} pages: it is ignored",
            facts.n_pages
        )),
    }
    let to_seconds = match value(description, "tunit").unwrap_or("sec") {
        "s" | "sec" | "secs" | "second" | "seconds" => Some(1.0),
        "ms" | "msec" | "millisecond" | "milliseconds" => Some(1e-3),
        "min" | "minute" | "minutes" => Some(60.0),
        _ => None,
    };
    let interval = number(description, "finterval").and_then(positive);
    if let (Some(interval), Some(to_seconds)) = (interval, to_seconds) {
        metadata.frame_rate_hz = positive(1.0 / (interval * to_seconds));
    } else if let Some(rate) = number(description, "fps").and_then(positive) {
        metadata.frame_rate_hz = Some(rate);
        metadata.warnings.push(format!(
            "the frame rate of {rate} Hz is ImageJ's playback speed, which need not be the microscope's: give \
             `--frame-rate` if it is not"
        ));
    }
    let to_um = match value(description, "unit").unwrap_or("") {
        "micron" | "microns" | "um" | "µm" | "\\u00B5m" | "μm" => Some(1.0),
        "mm" => Some(1e3),
        "cm" => Some(1e4),
        "nm" => Some(1e-3),
        _ => None,
    };
    if let (Some(to_um), Some(x), Some(y)) = (to_um, texts.x_resolution, texts.y_resolution) {
        metadata.pixel_size_um = Some([to_um / y, to_um / x]);
    }
    metadata
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(description: &str, n_pages: u64) -> Metadata {
        let texts = Texts {
            description: description.to_owned(),
            x_resolution: Some(2.0),
            y_resolution: Some(4.0),
            ..Texts::default()
        };
        let facts = PageFacts {
            n_pages,
            n_files: 1,
            height: 4,
            width: 4,
        };
        read(&texts, facts)
    }

    #[test]
    fn a_hyperstack_with_its_interval_and_unit() {
        let text = "ImageJ=1.53t\nimages=24\nchannels=2\nslices=3\nframes=4\nhyperstack=true\nunit=\\u00B5m\nfinterval=0.125\n";
        let metadata = read_text(text, 24);
        assert_eq!(metadata.order, FrameOrder::interleaved(3, 2));
        assert_eq!(metadata.frame_rate_hz, Some(8.0));
        assert_eq!(metadata.pixel_size_um, Some([0.25, 0.5]));
        assert!(metadata.warnings.is_empty(), "{:?}", metadata.warnings);
    }

    #[test]
    fn slices_without_frames_are_time_and_playback_speed_is_doubted() {
        let metadata = read_text("ImageJ=1.53t\nimages=9\nslices=9\nfps=7.0\n", 9);
        assert_eq!(metadata.order, FrameOrder::interleaved(1, 1));
        assert_eq!(metadata.frame_rate_hz, Some(7.0));
        assert_eq!(metadata.warnings.len(), 2, "{:?}", metadata.warnings);
    }

    #[test]
    fn channels_of_one_time_point_are_time() {
        let metadata = read_text("ImageJ=1.11a\nimages=9\nchannels=9\nhyperstack=true\n", 9);
        assert_eq!(metadata.order, FrameOrder::interleaved(1, 1));
        assert!(
            metadata.warnings[0].contains("--n-channels"),
            "{:?}",
            metadata.warnings
        );
    }

    #[test]
    fn a_description_that_does_not_fit_the_pages_is_said() {
        let metadata = read_text(
            "ImageJ=1.53t\nimages=24\nchannels=2\nslices=3\nframes=4\n",
            18,
        );
        assert_eq!(metadata.order, FrameOrder::interleaved(3, 2));
        assert!(
            metadata.warnings[0].contains("18"),
            "{:?}",
            metadata.warnings
        );
        let metadata = read_text("ImageJ=1.53t\nchannels=20\nslices=3\nframes=4\n", 18);
        assert_eq!(metadata.order, FrameOrder::interleaved(1, 1));
        assert!(
            metadata.warnings[0].contains("ignored"),
            "{:?}",
            metadata.warnings
        );
    }

    #[test]
    fn promises_of_one_directory_are_read() {
        assert_eq!(promised_images("ImageJ=1.53t\nimages=24\n", 16), Some(24));
        assert_eq!(
            promised_images("{\"shape\": [5, 4, 4], \"truncated\": true}", 16),
            Some(5)
        );
        assert_eq!(promised_images("{\"shape\": [5, 4, 4]}", 16), None);
        assert_eq!(
            promised_images("{\"shape\": [5, 4, 3], \"truncated\": true}", 16),
            None
        );
        assert_eq!(promised_images("a movie", 16), None);
    }
}
