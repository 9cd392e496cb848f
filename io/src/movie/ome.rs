//! OME-XML in the first page's ImageDescription: sizes and order of the axes, rate and pixel size.
//!
//! Source: the OME data model, "OME-TIFF specification". Read is one image of one file, or files that continue each other;
//! the `TiffData` elements are checked to say the plain order of `DimensionOrder`, and any other is refused rather than
//! guessed. The XML is scanned for the few tags that are needed: a description of a long movie names every plane.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;

use super::metadata::{Metadata, PageFacts, count, positive, small_count, taken_as_time};
use super::order::{Axis, FrameOrder};
use crate::error::IoError;
use crate::xml::Tags;

/// Whether this is OME-XML.
pub(crate) fn is_ome(description: &str) -> bool {
    let start = description.trim_start();
    start.starts_with('<') && Tags(description).any(|tag| tag.name == "OME")
}

/// Reads the description of the movie whose first file is `path`.
///
/// # Errors
/// When the axes or their order are not read.
pub(crate) fn read(path: &Path, description: &str, facts: PageFacts) -> Result<Metadata, IoError> {
    let refused = |what: String| {
        IoError::BadImage {
        path: path.to_owned(),
        what: format!("its OME-XML {what}"),
        hint: "give `--n-planes` and `--n-channels` after exporting it with the channel fastest, then the plane, then time, \
               without OME-XML"
            .to_owned(),
    }
    };
    let mut metadata = Metadata::plain("OME-TIFF");
    let mut tags = Tags(description);
    let Some(pixels) = tags.find(|tag| tag.name == "Pixels") else {
        metadata
            .warnings
            .push("its OME-XML describes no pixels: it is ignored".to_owned());
        return Ok(metadata);
    };
    let size = |key| match pixels.count(key) {
        Some(size) if size > 0 => Ok(size),
        _ => Err(refused(format!("has no `{key}` above 0"))),
    };
    let (n_planes, n_channels, n_frames) = (size("SizeZ")?, size("SizeC")?, size("SizeT")?);
    let too_many = || refused(format!("says {n_planes} planes and {n_channels} channels"));
    let n_planes = small_count(n_planes as f64).ok_or_else(too_many)?;
    let n_channels = small_count(n_channels as f64).ok_or_else(too_many)?;
    let n_frames = count(n_frames as f64).ok_or_else(too_many)?;
    let text = pixels.get("DimensionOrder").unwrap_or("XYCZT");
    let axes: Vec<Axis> = text
        .chars()
        .filter_map(|letter| match letter {
            'C' => Some(Axis::Channel),
            'Z' => Some(Axis::Plane),
            'T' => Some(Axis::Time),
            _ => None,
        })
        .collect();
    let axes: [Axis; 3] = match axes.try_into() {
        Ok(axes) if is_permutation(axes) && text.starts_with("XY") => axes,
        _ => return Err(refused(format!("has the unknown order `{text}`"))),
    };
    let mut order = FrameOrder::of_axes(axes, n_planes, n_channels, n_frames);
    let (is_same_order, n_images) = check_pages(tags, &order);
    if !is_same_order {
        return Err(refused(format!(
            "assigns pages in another order than its `DimensionOrder` {text}"
        )));
    }
    if n_images > 0 {
        metadata.warnings.push(format!(
            "its OME-XML describes {} images: all pages are taken as one movie of the first one's axes",
            n_images + 1
        ));
    }
    // Many programs write a plain movie as planes, or as channels, of one time point.
    let is_complete = facts.n_pages >= n_planes as u64 * n_channels as u64;
    if n_frames == 1 && is_complete && n_planes > 1 {
        let time_for_planes = axes.map(|axis| match axis {
            Axis::Plane => Axis::Time,
            Axis::Time => Axis::Plane,
            Axis::Channel => Axis::Channel,
        });
        order = FrameOrder::of_axes(time_for_planes, 1, n_channels, n_planes as u64);
        metadata
            .warnings
            .push(taken_as_time("its OME-XML", n_planes as u64, "planes"));
    } else if n_frames == 1 && is_complete && n_channels > 1 {
        order = FrameOrder::interleaved(1, 1);
        metadata
            .warnings
            .push(taken_as_time("its OME-XML", n_channels as u64, "channels"));
    } else {
        let planned = n_frames.saturating_mul(order.volume_pages());
        if order.time_is_slowest() && planned != facts.n_pages && facts.n_files == 1 {
            metadata.warnings.push(format!(
                "its OME-XML says {n_channels} channels × {n_planes} planes × {n_frames} frames and the file has {} pages: the pages \
                 are counted",
                facts.n_pages
            ));
        }
    }
    metadata.order = order;
    let scaled = |key: &str, unit_key: &str, units: &[(&str, f64)]| {
        let value = pixels.get(key)?.trim().parse().ok().and_then(positive)?;
        let unit = pixels.get(unit_key).unwrap_or(units[0].0);
        let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
        positive(value * factor)
    };
    let seconds = [
        ("s", 1.0),
        ("ms", 1e-3),
        ("min", 60.0),
        ("µs", 1e-6),
        ("&#181;s", 1e-6),
    ];
    let um = [
        ("µm", 1.0),
        ("μm", 1.0),
        ("&#181;m", 1.0),
        ("&#xB5;m", 1.0),
        ("&#xb5;m", 1.0),
        ("nm", 1e-3),
        ("mm", 1e3),
        ("m", 1e6),
    ];
    metadata.frame_rate_hz =
        scaled("TimeIncrement", "TimeIncrementUnit", &seconds).map(|interval| 1.0 / interval);
    if let (Some(y), Some(x)) = (
        scaled("PhysicalSizeY", "PhysicalSizeYUnit", &um),
        scaled("PhysicalSizeX", "PhysicalSizeXUnit", &um),
    ) {
        metadata.pixel_size_um = Some([y, x]);
    }
    Ok(metadata)
}

/// Whether each axis comes once.
fn is_permutation(axes: [Axis; 3]) -> bool {
    [Axis::Channel, Axis::Plane, Axis::Time]
        .iter()
        .all(|axis| axes.contains(axis))
}

/// Whether the `TiffData` elements of the first image follow the order, and how many more images there are.
fn check_pages<'a>(tags: Tags<'a>, order: &FrameOrder) -> (bool, usize) {
    let (mut is_same, mut n_images, mut file) = (true, 0, None);
    let mut pending: Option<(u64, u64)> = None;
    // A page counts within its own file, which the UUID inside the element names.
    let check = |pending: Option<(u64, u64)>,
                 file: Option<&'a str>,
                 first_pages: &mut HashMap<&'a str, u64>| {
        let Some((page, expected)) = pending else {
            return true;
        };
        match first_pages.entry(file.unwrap_or("")) {
            Entry::Occupied(first) => first.get().checked_add(page) == Some(expected),
            Entry::Vacant(first) => {
                let first_page = *first.insert(expected.saturating_sub(page));
                expected >= page && (first_page == 0 || file.is_some())
            }
        }
    };
    let mut first_pages = HashMap::new();
    for tag in tags {
        match tag.name {
            "Pixels" => n_images += 1,
            _ if n_images > 0 => {}
            "TiffData" => {
                is_same &= check(pending, file, &mut first_pages);
                file = None;
                let at = |key| tag.count(key).unwrap_or(0);
                pending = tag.count("IFD").map(|page| {
                    let (plane, channel) = (at("FirstZ"), at("FirstC"));
                    let in_range = plane < order.n_planes as u64
                        && channel < order.n_channels as u64
                        && at("FirstT") < 1 << 40;
                    let expected = if in_range {
                        order.page(at("FirstT"), plane as usize, channel as usize)
                    } else {
                        u64::MAX
                    };
                    (page, expected)
                });
            }
            "UUID" => file = tag.get("FileName"),
            _ => {}
        }
    }
    is_same &= check(pending, file, &mut first_pages);
    (is_same, n_images)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: PageFacts = PageFacts {
        n_pages: 24,
        n_files: 1,
        height: 4,
        width: 4,
    };

    fn xml(pixels: &str, inside: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?><!-- <Pixels SizeT='9'> --><OME xmlns=\"x\"><Image ID=\"Image:0\" Name=\"a > b\">\
             <Pixels {pixels}>{inside}</Pixels></Image></OME>"
        )
    }

    #[test]
    fn sizes_order_rate_and_pixel_size_are_read() {
        let text = xml(
            "DimensionOrder=\"XYZCT\" SizeC=\"2\" SizeZ=\"3\" SizeT=\"4\" TimeIncrement=\"250\" TimeIncrementUnit=\"ms\" \
             PhysicalSizeX=\"0.5\" PhysicalSizeY='0.25' PhysicalSizeXUnit=\"µm\"",
            "<TiffData IFD=\"0\" PlaneCount=\"24\"/>",
        );
        assert!(is_ome(&text));
        let metadata = read(Path::new("a.tif"), &text, FACTS).unwrap();
        assert_eq!((metadata.order.n_planes, metadata.order.n_channels), (3, 2));
        assert_eq!(metadata.order.page(1, 2, 1), 6 + 3 + 2);
        assert_eq!(metadata.frame_rate_hz, Some(4.0));
        assert_eq!(metadata.pixel_size_um, Some([0.25, 0.5]));
        assert!(metadata.warnings.is_empty(), "{:?}", metadata.warnings);
    }

    #[test]
    fn pages_in_another_order_are_refused() {
        let pixels = "DimensionOrder=\"XYCZT\" SizeC=\"2\" SizeZ=\"1\" SizeT=\"2\"";
        let tiff_data = |pages: [u64; 4]| {
            let one = |index: usize| {
                format!(
                    "<TiffData FirstC=\"{}\" FirstT=\"{}\" IFD=\"{}\"/>",
                    index % 2,
                    index / 2,
                    pages[index]
                )
            };
            (0..4).map(one).collect::<String>()
        };
        let facts = PageFacts {
            n_pages: 4,
            ..FACTS
        };
        assert!(
            read(
                Path::new("a.tif"),
                &xml(pixels, &tiff_data([0, 1, 2, 3])),
                facts
            )
            .is_ok()
        );
        let error = read(
            Path::new("a.tif"),
            &xml(pixels, &tiff_data([0, 2, 1, 3])),
            facts,
        )
        .unwrap_err();
        assert!(error.to_string().contains("another order"), "{error}");
        let error = read(
            Path::new("a.tif"),
            &xml(
                "DimensionOrder=\"TCZYX\" SizeC=\"1\" SizeZ=\"1\" SizeT=\"4\"",
                "",
            ),
            facts,
        )
        .unwrap_err();
        assert!(error.to_string().contains("TCZYX"), "{error}");
        let error = read(
            Path::new("a.tif"),
            &xml("SizeC=\"1\" SizeZ=\"0\" SizeT=\"4\"", ""),
            facts,
        )
        .unwrap_err();
        assert!(error.to_string().contains("SizeZ"), "{error}");
    }

    #[test]
    fn planes_or_channels_without_time_are_taken_as_time() {
        for (sizes, option) in [
            ("SizeC=\"1\" SizeZ=\"24\"", "--n-planes"),
            ("SizeC=\"24\" SizeZ=\"1\"", "--n-channels"),
        ] {
            let text = xml(&format!("DimensionOrder=\"XYZCT\" {sizes} SizeT=\"1\""), "");
            let metadata = read(Path::new("a.tif"), &text, FACTS).unwrap();
            assert_eq!((metadata.order.n_planes, metadata.order.n_channels), (1, 1));
            assert_eq!(metadata.order.count(24), (24, 0));
            assert_eq!(metadata.order.page(17, 0, 0), 17);
            assert!(
                metadata.warnings[0].contains(option),
                "{:?}",
                metadata.warnings
            );
        }
    }

    #[test]
    fn planes_of_two_channels_are_taken_as_time_whatever_the_order() {
        for (text, step) in [("XYCZT", 2), ("XYZCT", 1)] {
            let pixels = format!("DimensionOrder=\"{text}\" SizeC=\"2\" SizeZ=\"12\" SizeT=\"1\"");
            let metadata = read(Path::new("a.tif"), &xml(&pixels, ""), FACTS).unwrap();
            assert_eq!((metadata.order.n_planes, metadata.order.n_channels), (1, 2));
            assert_eq!(metadata.order.count(24).0, 12);
            assert_eq!(metadata.order.page(5, 0, 0), 5 * step, "{text}");
        }
    }
}
