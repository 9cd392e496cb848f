//! Bare binary movies: frames one after the other and nothing else, as Suite2p's `data.bin` (int16, little-endian,
//! `[frames, height, width]`).
//!
//! What the file cannot tell comes from the options, or from a `movie.json` beside it: `height`, `width`, and where they are
//! known `dtype`, `n_frames`, `frame_rate_hz`, `n_planes`, `n_channels`. Suite2p's `ops.npy` is a pickled Python object: a
//! program that unpickles a file runs whatever code is in it, so it is not read.

use std::path::{Path, PathBuf};

use super::metadata::{Metadata, PageFacts, count, positive, small_count};
use super::order::FrameOrder;
use super::reader::{FilePages, PageReader};
use super::tiff::describe;
use super::{MovieOptions, MovieReader, PixelType, SUPPORTED_PIXEL_TYPES};
use crate::checksum::fingerprint_of_files;
use crate::error::{IoError, name_of};
use crate::recording::flat::read_json;
use crate::recording::frames::file_size_bytes;
use crate::tiff::directory::Dialect;
use crate::tiff::page::Shape;
use crate::tiff::page_table::PageTable;
use crate::tiff::samples::{Sample, SampleKind};

/// Pixels along an axis at most.
const MAX_SIDE: usize = 1 << 20;

/// The name of the description beside the movie.
const DESCRIPTION_NAME: &str = "movie.json";

/// Parses numpy's name of a pixel type; the flag is set for big-endian bytes.
fn parse_dtype(name: &str) -> Option<(PixelType, bool)> {
    let name = name.trim();
    let (big_endian, rest) = match name.as_bytes().first()? {
        b'>' => (true, &name[1..]),
        b'<' | b'|' => (false, &name[1..]),
        b'=' => (cfg!(target_endian = "big"), &name[1..]),
        _ => (false, name),
    };
    let pixel_type = match rest {
        "uint8" | "u1" => PixelType::U8,
        "int8" | "i1" => PixelType::I8,
        "uint16" | "u2" => PixelType::U16,
        "int16" | "i2" => PixelType::I16,
        "uint32" | "u4" => PixelType::U32,
        "int32" | "i4" => PixelType::I32,
        "float32" | "f4" => PixelType::F32,
        "float64" | "f8" => PixelType::F64,
        _ => return None,
    };
    Some((pixel_type, big_endian))
}

/// Opens `paths`, one movie in the order given.
///
/// # Errors
/// When height, width or type are not known, or a file does not hold whole frames.
pub fn open(paths: &[PathBuf], options: &MovieOptions) -> Result<Box<dyn MovieReader>, IoError> {
    let path = &paths[0];
    let (told, description_path) = read_description(path)?;
    let height = options.height.or(told.height);
    let width = options.width.or(told.width);
    let is_suite2p = matches!(name_of(path).as_str(), "data.bin" | "data_raw.bin");
    let dtype = options
        .dtype
        .clone()
        .or(told.dtype)
        .or_else(|| is_suite2p.then(|| "int16".to_owned()));
    let (Some(height), Some(width), Some(dtype)) = (height, width, dtype.as_deref()) else {
        let missing = [
            (height.is_none(), "--height"),
            (width.is_none(), "--width"),
            (dtype.is_none(), "--dtype"),
        ];
        return Err(missing_options(path, &missing));
    };
    for (name, side) in [("height", height), ("width", width)] {
        if side == 0 || side > MAX_SIDE {
            return Err(IoError::bad_value(
                path,
                name,
                side,
                "1 to 1,048,576 pixels",
            ));
        }
    }
    let (pixel_type, big_endian) = parse_dtype(dtype).ok_or_else(|| IoError::BadImage {
        path: path.clone(),
        what: format!("pixels of type `{dtype}` are not supported"),
        hint: format!(
            "the supported types are {}",
            SUPPORTED_PIXEL_TYPES.join(", ")
        ),
    })?;
    let frame_bytes = (height * width * pixel_type.size_bytes()) as u64;
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        let size_bytes = file_size_bytes(path)?;
        if size_bytes == 0 {
            return Err(IoError::NotAMovie {
                path: path.clone(),
                seen: "the file is empty".to_owned(),
            });
        }
        if !size_bytes.is_multiple_of(frame_bytes) {
            return Err(IoError::BadImage {
                path: path.clone(),
                what: format!(
                    "it has {size_bytes} bytes, which is not a multiple of {frame_bytes} ({height} × {width} pixels × {} bytes)",
                    pixel_type.size_bytes()
                ),
                hint:
                    "the file may be truncated, or `--height`, `--width` or `--dtype` may be wrong"
                        .to_owned(),
            });
        }
        files.push(FilePages {
            path: path.clone(),
            size_bytes,
            dialect: Dialect {
                big_endian,
                big: false,
            },
            table: PageTable::contiguous(0, frame_bytes, size_bytes / frame_bytes),
        });
    }
    let facts = PageFacts {
        n_pages: files.iter().map(|file| file.table.n_pages()).sum(),
        n_files: files.len(),
        height,
        width,
    };
    let mut metadata = Metadata::plain("raw binary movie");
    metadata.order =
        FrameOrder::interleaved(told.n_planes.unwrap_or(1), told.n_channels.unwrap_or(1));
    metadata.frame_rate_hz = told.frame_rate_hz;
    let (mut description, order) = describe(paths, facts, pixel_type, metadata, options)?;
    if let (Some(n_frames), Some(description_path), true) =
        (told.n_frames, &description_path, paths.len() == 1)
        && n_frames != description.n_frames
        && (options.n_planes, options.n_channels) == (None, None)
    {
        return Err(IoError::BadImage {
            path: path.clone(),
            what: format!(
                "it has {} frames and `{}` says {n_frames}",
                description.n_frames,
                name_of(description_path)
            ),
            hint: "the copy may be incomplete: copy the file again; if not, correct `movie.json`"
                .to_owned(),
        });
    }
    if let Some(description_path) = description_path {
        description.paths.push(description_path);
        description.identity = fingerprint_of_files(&description.paths)?;
    }
    let shape = Shape {
        height,
        width,
        samples_per_pixel: 1,
        sample: sample(pixel_type),
    };
    Ok(Box::new(PageReader::new(description, order, shape, files)))
}

/// The error for a file that nothing describes.
fn missing_options(path: &Path, missing: &[(bool, &str)]) -> IoError {
    let missing: Vec<String> = missing
        .iter()
        .filter(|(is_missing, _)| *is_missing)
        .map(|(_, option)| format!("`{option}`"))
        .collect();
    if !path.with_file_name("ops.npy").is_file() {
        return IoError::NeedOptions {
            path: path.to_owned(),
            missing,
        };
    }
    IoError::BadImage {
        path: path.to_owned(),
        what: format!(
            "it is a bare binary file: {} must be given",
            missing.join(", ")
        ),
        hint: format!(
            "add {}; Suite2p keeps them as `Ly` and `Lx` in `ops.npy`, a pickled Python object that cannot be read without running \
             what is in it: `numpy.load(\"ops.npy\", allow_pickle=True).item()` shows them",
            missing.join(" ")
        ),
    }
}

/// What `movie.json` tells.
#[derive(Default)]
struct Told {
    height: Option<usize>,
    width: Option<usize>,
    dtype: Option<String>,
    n_frames: Option<u64>,
    n_planes: Option<usize>,
    n_channels: Option<usize>,
    frame_rate_hz: Option<f64>,
}

/// Reads the `movie.json` beside the first file, where there is one.
fn read_description(path: &Path) -> Result<(Told, Option<PathBuf>), IoError> {
    let json_path = path.with_file_name(DESCRIPTION_NAME);
    if !json_path.is_file() {
        return Ok((Told::default(), None));
    }
    let json = read_json(&json_path)?;
    let bad = |key: &str, expected: &str| IoError::bad_value(&json_path, key, &json[key], expected);
    let number = |key: &str| match &json[key] {
        serde_json::Value::Null => Ok(None),
        value => value.as_f64().map(Some).ok_or_else(|| bad(key, "a number")),
    };
    let whole = |key: &str| match number(key)? {
        None => Ok(None),
        Some(value) => count(value)
            .map(Some)
            .ok_or_else(|| bad(key, "a whole number above 0")),
    };
    let small = |key: &str| match number(key)? {
        None => Ok(None),
        Some(value) => small_count(value)
            .map(Some)
            .ok_or_else(|| bad(key, "a whole number from 1 to 65,536")),
    };
    let side = |key: &str| {
        whole(key).map(|side| side.map(|side| usize::try_from(side).unwrap_or(usize::MAX)))
    };
    let told = Told {
        height: side("height")?,
        width: side("width")?,
        dtype: match &json["dtype"] {
            serde_json::Value::Null => None,
            value => Some(
                value
                    .as_str()
                    .ok_or_else(|| bad("dtype", "a name as `int16`"))?
                    .to_owned(),
            ),
        },
        n_frames: whole("n_frames")?,
        n_planes: small("n_planes")?,
        n_channels: small("n_channels")?,
        frame_rate_hz: match number("frame_rate_hz")? {
            None => None,
            Some(rate) => {
                Some(positive(rate).ok_or_else(|| bad("frame_rate_hz", "a number of Hz above 0"))?)
            }
        },
    };
    Ok((told, Some(json_path)))
}

/// The stored type of delivered pixels.
fn sample(pixel_type: PixelType) -> Sample {
    let kind = match pixel_type {
        PixelType::U8 | PixelType::U16 | PixelType::U32 => SampleKind::Unsigned,
        PixelType::I8 | PixelType::I16 | PixelType::I32 => SampleKind::Signed,
        PixelType::F32 | PixelType::F64 => SampleKind::Float,
    };
    Sample {
        kind,
        bits: 8 * pixel_type.size_bytes() as u32,
    }
}
