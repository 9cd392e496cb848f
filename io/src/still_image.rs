//! Still images of cells: TIFF (each page an image), PNG and JPEG, as single-precision floats.
//!
//! Values are as stored, not scaled: a 12-bit image ends at 4095. Alpha is left out, since it holds no light. Colours of a
//! palette are looked up in PNG, and refused in TIFF, where palettes mostly colour labels.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use image::{ColorType, DynamicImage, ImageFormat, ImageReader, Limits};

use crate::error::IoError;
use crate::movie::tiff::promised_table;
use crate::recording::frames::file_size_bytes;
use crate::tiff::decode::{PageSource, Scratch, read_page};
use crate::tiff::directory::{Dialect, DirectoryReader, tag};
use crate::tiff::page::{Page, Photometric};
use crate::tiff::page_table::{Place, walk};
use crate::tiff::{DAMAGED, page_error};

/// Values of all images of one file at most: 8 GiB as floats.
const MAX_VALUES: u64 = 1 << 31;

/// One image.
#[derive(Clone, PartialEq, Debug)]
pub struct StillImage {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Colours or stains.
    pub n_channels: usize,
    /// Values as stored: `[channel, y, x]`.
    pub pixels: Vec<f32>,
    /// numpy's name of the stored type.
    pub pixel_type_name: &'static str,
    /// The page of a TIFF, from 0; 0 otherwise.
    pub page: u64,
    /// What the user should know to judge the result.
    pub warnings: Vec<String>,
}

impl StillImage {
    /// Whether it is one gray picture: of one channel, or of several that are equal, as programs store gray in RGB.
    pub fn is_gray(&self) -> bool {
        let first = self.pixels.get(..self.height * self.width);
        let mut channels = self.pixels.chunks_exact((self.height * self.width).max(1));
        self.n_channels == 1 || channels.all(|channel| Some(channel) == first)
    }
}

/// Reads all images of the file at `path`: the pages of a TIFF, which may differ in size, or the one image of a PNG or JPEG.
///
/// # Errors
/// When the file is none of these, is damaged, or its colours are not read (palette, CMYK and the like in TIFF).
///
/// # Examples
/// ```no_run
/// let images = somata_io::still_image::read_image("cells.tif".as_ref())?;
/// println!("{} × {} pixels", images[0].height, images[0].width);
/// # Ok::<(), somata_io::IoError>(())
/// ```
pub fn read_image(path: &Path) -> Result<Vec<StillImage>, IoError> {
    let metadata = std::fs::metadata(path).map_err(|source| IoError::read(path, source))?;
    let unknown = |seen: &str| {
        Err(IoError::NotAnImage {
            path: path.to_owned(),
            seen: seen.to_owned(),
        })
    };
    if metadata.is_dir() {
        return unknown("it is a folder");
    }
    let mut first = Vec::with_capacity(8);
    File::open(path)
        .and_then(|file| file.take(8).read_to_end(&mut first))
        .map_err(|source| IoError::read(path, source))?;
    if Dialect::of(&first).is_some() {
        read_tiff(path)
    } else if first == *b"\x89PNG\r\n\x1a\n" {
        read_picture(path, ImageFormat::Png)
    } else if first.starts_with(&[0xff, 0xd8, 0xff]) {
        read_picture(path, ImageFormat::Jpeg)
    } else if first.is_empty() {
        unknown("the file is empty")
    } else {
        unknown("it does not begin as a TIFF, PNG or JPEG does")
    }
}

/// The error of more values than are held at once.
fn too_large(path: &Path, n_values: u64) -> IoError {
    IoError::BadImage {
        path: path.to_owned(),
        what: format!(
            "it has at least {n_values} values, more than the {MAX_VALUES} that are read at once"
        ),
        hint: "split it into smaller files; a movie is processed with `somata image`".to_owned(),
    }
}

/// The pages of a TIFF.
fn read_tiff(path: &Path) -> Result<Vec<StillImage>, IoError> {
    let size_bytes = file_size_bytes(path)?;
    let file = File::open(path).map_err(|source| IoError::read(path, source))?;
    let (mut reader, first) = DirectoryReader::open(path, &file, size_bytes)?;
    let mut scratch = Scratch::default();
    let mut buffer = Vec::new();
    let mut images = Vec::new();
    let mut n_values = 0u64;
    let mut only: Option<(Page, String)> = None;
    walk(&mut reader, first, |reader, directory, page| {
        if page.is_reduced && !images.is_empty() {
            return Ok(());
        }
        let n_alpha = check_colours(reader, &page)?;
        let source = PageSource {
            path,
            file: reader.file,
            big_endian: reader.dialect.big_endian,
            page: reader.page,
        };
        n_values = n_values
            .saturating_add((page.shape.page_bytes() / page.shape.sample.container_bytes()) as u64);
        if n_values > MAX_VALUES {
            return Err(too_large(path, n_values));
        }
        images.push(read_one(source, &page, n_alpha, &mut scratch, &mut buffer)?);
        only = match images.len() {
            1 => Some((page, reader.text(&directory, tag::IMAGE_DESCRIPTION)?)),
            _ => None,
        };
        Ok(())
    })?;
    // A stack whose images lie behind one directory: the rest follows the first.
    if let Some((mut page, description)) = only
        && let Some(table) = promised_table(path, size_bytes, &description, &page)?
    {
        let n_all = n_values.saturating_mul(table.n_pages());
        if n_all > MAX_VALUES {
            return Err(too_large(path, n_all));
        }
        for number in 1..table.n_pages() {
            let Place::Flat(offset) = table.place(number) else {
                continue;
            };
            page.offsets = vec![offset];
            page.sizes = vec![page.shape.page_bytes() as u64];
            page.chunk_height = page.shape.height;
            let source = PageSource {
                path,
                file: &file,
                big_endian: reader.dialect.big_endian,
                page: number,
            };
            images.push(read_one(source, &page, 0, &mut scratch, &mut buffer)?);
        }
    }
    if images.is_empty() {
        return Err(IoError::BadImage {
            path: path.to_owned(),
            what: "it has no page".to_owned(),
            hint: DAMAGED.to_owned(),
        });
    }
    Ok(images)
}

/// Refuses colours that are not amounts of light; returns how many of the last samples are alpha.
fn check_colours(reader: &DirectoryReader, page: &Page) -> Result<usize, IoError> {
    let refused = match page.photometric {
        Photometric::Palette => "numbers of colours in a palette, not intensities",
        Photometric::Other("CMYK") => "CMYK colours",
        Photometric::Other("YCbCr") => "YCbCr colours",
        Photometric::Other("CIELAB") => "CIELAB colours",
        Photometric::Other("LogL" | "LogLuv") => "logarithms of light",
        _ => return Ok(page.n_alpha.min(page.shape.samples_per_pixel - 1)),
    };
    Err(page_error(
        reader.path,
        reader.page,
        format!("its values are {refused}"),
        "convert it to gray or RGB (in ImageJ: Image > Type)",
    ))
}

/// One page.
fn read_one(
    source: PageSource,
    page: &Page,
    n_alpha: usize,
    scratch: &mut Scratch,
    buffer: &mut Vec<u8>,
) -> Result<StillImage, IoError> {
    let shape = page.shape;
    buffer.resize(shape.page_bytes(), 0);
    read_page(source, page, scratch, buffer)?;
    let n_channels = shape.samples_per_pixel - n_alpha;
    let values = shape.sample.to_f32(buffer);
    let pixels = if page.is_planar || shape.samples_per_pixel == 1 {
        let mut values = values;
        values.truncate(n_channels * shape.height * shape.width);
        values
    } else {
        separate(&values, shape.samples_per_pixel, n_channels)
    };
    let mut warnings = Vec::new();
    if page.photometric == Photometric::WhiteIsZero {
        warnings.push(format!(
            "page {} says that 0 is white: values are kept as stored, so bright cells may have low values",
            source.page + 1
        ));
    }
    Ok(StillImage {
        height: shape.height,
        width: shape.width,
        n_channels,
        pixels,
        pixel_type_name: shape.sample.numpy_name(),
        page: source.page,
        warnings,
    })
}

/// From `[y, x, sample]` to `[channel, y, x]`; the last samples are left out when there are fewer channels.
fn separate(values: &[f32], n_samples: usize, n_channels: usize) -> Vec<f32> {
    let mut pixels = Vec::with_capacity(values.len() / n_samples * n_channels);
    for channel in 0..n_channels {
        pixels.extend(values.iter().skip(channel).step_by(n_samples));
    }
    pixels
}

/// A PNG or JPEG.
fn read_picture(path: &Path, format: ImageFormat) -> Result<Vec<StillImage>, IoError> {
    let name = if format == ImageFormat::Png {
        "PNG"
    } else {
        "JPEG"
    };
    let file = File::open(path).map_err(|source| IoError::read(path, source))?;
    let n_file_bytes = file_size_bytes(path)?;
    // The decoder takes memory for the whole picture before it has read a pixel, so its size is compared with the file's first.
    // PNG: a deflated byte becomes 1032 at most, each of up to 8 pixels. JPEG: a block of 64 pixels takes a bit or more.
    let most_pixels = match format {
        ImageFormat::Png => n_file_bytes.saturating_mul(1032 * 8),
        _ => n_file_bytes.saturating_mul(8 * 64),
    };
    let sides = ImageReader::with_format(BufReader::new(&file), format)
        .into_dimensions()
        .map_err(|error| undecodable(path, name, &error))?;
    let n_pixels = u64::from(sides.0) * u64::from(sides.1);
    if n_pixels > most_pixels {
        return Err(IoError::BadImage {
            path: path.to_owned(),
            what: format!(
                "the {name} says that it has {} × {} pixels, more than its {n_file_bytes} bytes can hold",
                sides.1, sides.0
            ),
            hint: DAMAGED.to_owned(),
        });
    }
    let file = File::open(path).map_err(|source| IoError::read(path, source))?;
    let mut reader = ImageReader::with_format(BufReader::new(file), format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(1 << 20);
    limits.max_image_height = Some(1 << 20);
    limits.max_alloc = Some(4 * MAX_VALUES);
    reader.limits(limits);
    let picture = reader
        .decode()
        .map_err(|error| undecodable(path, name, &error))?;
    let (height, width) = (picture.height() as usize, picture.width() as usize);
    let colour = picture.color();
    let n_samples = usize::from(colour.channel_count());
    let n_channels = if colour.has_alpha() {
        n_samples - 1
    } else {
        n_samples
    };
    let pixel_type_name = match colour {
        ColorType::L8 | ColorType::La8 | ColorType::Rgb8 | ColorType::Rgba8 => "uint8",
        ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16 => "uint16",
        _ => "float32",
    };
    let wide = |values: &[u16]| values.iter().map(|&value| f32::from(value)).collect();
    let values: Vec<f32> = match &picture {
        DynamicImage::ImageLuma16(picture) => wide(picture.as_raw()),
        DynamicImage::ImageLumaA16(picture) => wide(picture.as_raw()),
        DynamicImage::ImageRgb16(picture) => wide(picture.as_raw()),
        DynamicImage::ImageRgba16(picture) => wide(picture.as_raw()),
        DynamicImage::ImageRgb32F(picture) => picture.as_raw().clone(),
        DynamicImage::ImageRgba32F(picture) => picture.as_raw().clone(),
        picture => picture
            .as_bytes()
            .iter()
            .map(|&value| f32::from(value))
            .collect(),
    };
    Ok(vec![StillImage {
        height,
        width,
        n_channels,
        pixels: separate(&values, n_samples, n_channels),
        pixel_type_name,
        page: 0,
        warnings: Vec::new(),
    }])
}

/// The error of a picture whose decoder gave up.
fn undecodable(path: &Path, name: &str, error: &image::ImageError) -> IoError {
    IoError::BadImage {
        path: path.to_owned(),
        what: format!("the {name} cannot be decoded: {}", first_line(error)),
        hint: "the file may be damaged: copy it again, or save it again as TIFF or PNG".to_owned(),
    }
}

/// The first line of an error's text, without a full stop: messages are one line.
fn first_line(error: &image::ImageError) -> String {
    let text = error.to_string();
    text.lines()
        .next()
        .unwrap_or_default()
        .trim_end_matches('.')
        .to_owned()
}
