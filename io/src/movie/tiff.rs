//! TIFF movies: one file or a sequence, plain, or with the description of ImageJ, ScanImage or OME.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::metadata::{self, Metadata, PageFacts, Texts};
use super::order::FrameOrder;
use super::reader::{FilePages, PageReader};
use super::{MovieDescription, MovieOptions, MovieReader, PixelType, imagej};
use crate::checksum::fingerprint_of_files;
use crate::error::{IoError, name_of};
use crate::recording::frames::{file_size_bytes, read_exact_at};
use crate::tiff::directory::{Directory, DirectoryReader, as_text, tag};
use crate::tiff::page::{Page, Photometric, Shape};
use crate::tiff::page_table::{PageTable, Place, walk};
use crate::tiff::samples::{Sample, SampleKind};
use crate::tiff::{page_error, truncated_page};

/// Bytes of ScanImage's own header that are read at most.
const MAX_HEADER_BYTES: u64 = 16 << 20;

/// What the pages of all files have told so far.
#[derive(Default)]
struct Found {
    /// Of the first page of the first file.
    shape: Option<Shape>,
    texts: Texts,
    n_reduced: u64,
    is_white_zero: bool,
}

/// Opens `paths` as one movie, pages in the order of the files.
///
/// # Errors
/// When a file is damaged, its pages are not gray or differ in size or type, or it has no whole time point.
pub fn open(paths: &[PathBuf], options: &MovieOptions) -> Result<Box<dyn MovieReader>, IoError> {
    let mut found = Found::default();
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        files.push(read_file(path, paths, &mut found)?);
    }
    let Some(shape) = found.shape else {
        return Err(no_page(&paths[0]));
    };
    let pixel_type = pixel_type(&paths[0], shape.sample)?;
    let facts = PageFacts {
        n_pages: files.iter().map(|file| file.table.n_pages()).sum(),
        n_files: files.len(),
        height: shape.height,
        width: shape.width,
    };
    let mut metadata = metadata::read(&paths[0], &found.texts, facts)?;
    if found.is_white_zero {
        metadata.warnings.push(
            "its pages say that 0 is white: values are kept as stored, so bright cells may have low values".to_owned(),
        );
    }
    if found.n_reduced > 0 {
        metadata.warnings.push(format!(
            "{} smaller copies of pages are left out",
            found.n_reduced
        ));
    }
    let (description, order) = describe(paths, facts, pixel_type, metadata, options)?;
    Ok(Box::new(PageReader::new(description, order, shape, files)))
}

/// Completes the description with what the user says, and counts the frames.
pub(crate) fn describe(
    paths: &[PathBuf],
    facts: PageFacts,
    pixel_type: PixelType,
    mut metadata: Metadata,
    options: &MovieOptions,
) -> Result<(MovieDescription, FrameOrder), IoError> {
    let path = &paths[0];
    let n_planes = options.n_planes.unwrap_or(metadata.order.n_planes);
    let n_channels = options.n_channels.unwrap_or(metadata.order.n_channels);
    for (name, number) in [
        ("number of planes", n_planes),
        ("number of channels", n_channels),
    ] {
        if number == 0 || number > 1 << 16 {
            return Err(IoError::bad_value(path, name, number, "1 to 65,536"));
        }
    }
    if (n_planes, n_channels) != (metadata.order.n_planes, metadata.order.n_channels) {
        // The file's own order belongs to its own counts: with others, pages interleave plainly.
        if options.frame_rate_hz.is_none()
            && n_planes != metadata.order.n_planes
            && metadata.frame_rate_hz.take().is_some()
        {
            metadata.warnings.push(
                "the file's frame rate is for another number of planes and is ignored: give `--frame-rate`".to_owned(),
            );
        }
        metadata.order = FrameOrder::interleaved(n_planes, n_channels);
    }
    let order = metadata.order;
    if !order.time_is_slowest() && paths.len() > 1 {
        return Err(IoError::BadImage {
            path: path.clone(),
            what: format!(
                "its time points are not the slowest axis, so the pages of {} files cannot be joined",
                paths.len()
            ),
            hint: "give one file at a time, or export the files with time as the slowest axis"
                .to_owned(),
        });
    }
    let (n_frames, left_over) = order.count(facts.n_pages);
    if n_frames == 0 {
        return Err(IoError::BadImage {
            path: path.clone(),
            what: format!(
                "{} pages are less than one time point, which takes {} ({n_planes} planes × {n_channels} channels)",
                facts.n_pages,
                order.volume_pages()
            ),
            hint: "check `--n-planes` and `--n-channels`; the file may also be truncated"
                .to_owned(),
        });
    }
    if left_over > 0 {
        metadata.warnings.push(format!(
            "{} pages are not a multiple of {} ({n_planes} planes × {n_channels} channels): the last {left_over} are left out",
            facts.n_pages,
            order.volume_pages()
        ));
    }
    let frame_rate_hz = options.frame_rate_hz.or(metadata.frame_rate_hz);
    if let Some(rate) = frame_rate_hz
        && metadata::positive(rate).is_none()
    {
        return Err(IoError::bad_value(
            path,
            "frame rate",
            rate,
            "a number of Hz above 0",
        ));
    }
    let description = MovieDescription {
        format: metadata.format,
        paths: paths.to_vec(),
        height: facts.height,
        width: facts.width,
        n_frames,
        n_planes,
        n_channels,
        pixel_type,
        frame_rate_hz,
        pixel_size_um: metadata.pixel_size_um,
        identity: fingerprint_of_files(paths)?,
        warnings: metadata.warnings,
    };
    Ok((description, order))
}

/// The error of a file without pages.
fn no_page(path: &Path) -> IoError {
    IoError::BadImage {
        path: path.to_owned(),
        what: "it has no page".to_owned(),
        hint: crate::tiff::DAMAGED.to_owned(),
    }
}

/// Walks the pages of one file.
fn read_file(path: &Path, paths: &[PathBuf], found: &mut Found) -> Result<FilePages, IoError> {
    let size_bytes = file_size_bytes(path)?;
    let file = File::open(path).map_err(|source| IoError::read(path, source))?;
    let (mut reader, first) = DirectoryReader::open(path, &file, size_bytes)?;
    let is_first_file = found.shape.is_none();
    let mut table = PageTable::default();
    let mut description = String::new();
    let mut only_page = None;
    walk(&mut reader, first, |reader, directory, page| {
        let is_first_page = table.n_pages() == 0;
        if is_first_page {
            description = reader.text(&directory, tag::IMAGE_DESCRIPTION)?;
        }
        if let Some(shape) = found.shape {
            if page.is_reduced && page.shape != shape {
                found.n_reduced += 1;
                return Ok(());
            }
            check_same(reader, &page, shape, paths, is_first_file)?;
        } else {
            check_gray(reader, &page)?;
            found.shape = Some(page.shape);
            found.is_white_zero = page.photometric == Photometric::WhiteIsZero;
            found.texts = read_texts(reader, &directory, &description)?;
        }
        let is_half = page.shape.sample.kind == SampleKind::Float && page.shape.sample.bits == 16;
        table.push(match page.flat_offset() {
            Some(offset) if !is_half => Place::Flat(offset),
            _ => Place::Packed(directory.offset),
        });
        only_page = is_first_page.then_some(page);
        Ok(())
    })?;
    if table.n_pages() == 0 {
        return Err(no_page(path));
    }
    if let Some(page) = only_page
        && let Some(promised) = promised_table(path, size_bytes, &description, &page)?
    {
        table = promised;
    }
    Ok(FilePages {
        path: path.to_owned(),
        size_bytes,
        dialect: reader.dialect,
        table,
    })
}

/// The table of a file whose images all lie behind its only directory, one after the other, as ImageJ writes them beyond 4 GB;
/// `None` when the description does not say so, the page is packed, or nothing follows the first image.
///
/// # Errors
/// When the file is too short for the images of its description.
pub(crate) fn promised_table(
    path: &Path,
    size_bytes: u64,
    description: &str,
    page: &Page,
) -> Result<Option<PageTable>, IoError> {
    let page_pixels = (page.shape.height * page.shape.width) as u64;
    let (Some(offset), Some(n_images)) = (
        page.flat_offset(),
        imagej::promised_images(description, page_pixels),
    ) else {
        return Ok(None);
    };
    let page_bytes = page.shape.page_bytes() as u64;
    let n_whole = (size_bytes - offset) / page_bytes;
    if n_whole < 2 {
        // One image cut out of a stack often keeps the stack's description.
        return Ok(None);
    }
    let end = n_images.saturating_mul(page_bytes).saturating_add(offset);
    if end > size_bytes {
        let what = format!("the last of the {n_images} images of its description");
        return Err(truncated_page(path, n_whole, &what, end, size_bytes));
    }
    Ok(Some(PageTable::contiguous(offset, page_bytes, n_images)))
}

/// The texts of the first page.
fn read_texts(
    reader: &mut DirectoryReader,
    directory: &Directory,
    description: &str,
) -> Result<Texts, IoError> {
    Ok(Texts {
        description: description.to_owned(),
        software: reader.text(directory, tag::SOFTWARE)?,
        scanimage_header: scanimage_header(reader)?,
        x_resolution: reader.rational(directory, tag::X_RESOLUTION)?,
        y_resolution: reader.rational(directory, tag::Y_RESOLUTION)?,
    })
}

/// ScanImage's own header: in a BigTIFF, 16 bytes after the start come a mark, a version, and the lengths of two texts, of
/// which the first is the one that Software holds too. Empty when there is none.
fn scanimage_header(reader: &DirectoryReader) -> Result<String, IoError> {
    const MARK: u32 = 117_637_889;
    if !reader.dialect.big || reader.dialect.big_endian || reader.size_bytes < 32 {
        return Ok(String::new());
    }
    let mut head = [0u8; 16];
    read_exact_at(reader.file, &mut head, 16)
        .map_err(|source| IoError::read(reader.path, source))?;
    let word = |index: usize| {
        u32::from_le_bytes([
            head[4 * index],
            head[4 * index + 1],
            head[4 * index + 2],
            head[4 * index + 3],
        ])
    };
    if word(0) != MARK {
        return Ok(String::new());
    }
    let length = u64::from(word(2))
        .min(MAX_HEADER_BYTES)
        .min(reader.size_bytes - 32);
    let mut text = vec![0u8; length as usize];
    read_exact_at(reader.file, &mut text, 32)
        .map_err(|source| IoError::read(reader.path, source))?;
    Ok(as_text(&text))
}

/// A movie's pages are gray.
fn check_gray(reader: &DirectoryReader, page: &Page) -> Result<(), IoError> {
    let samples = page.shape.samples_per_pixel;
    if samples > 1 {
        let colours = match page.photometric {
            Photometric::Rgb if samples <= 4 => "RGB colour".to_owned(),
            Photometric::Other("CMYK") => "CMYK colour".to_owned(),
            _ => format!("{samples} samples a pixel"),
        };
        return Err(page_error(
            reader.path,
            reader.page,
            format!("it has {colours} where one gray value a pixel is needed"),
            "split the channels into pages of their own (in ImageJ: Image > Color > Split Channels), or convert to gray",
        ));
    }
    match page.photometric {
        Photometric::Palette => Err(page_error(
            reader.path,
            reader.page,
            "its values are numbers of colours in a palette, not intensities",
            "convert it to gray (in ImageJ: Image > Type > 8-bit or 16-bit)",
        )),
        Photometric::Other(name) if name != "unknown" && name != "colour filter array" => {
            Err(page_error(
                reader.path,
                reader.page,
                format!("its values are {name}, not intensities"),
                "convert it to gray",
            ))
        }
        _ => Ok(()),
    }
}

/// All pages of a movie have one size and type.
fn check_same(
    reader: &DirectoryReader,
    page: &Page,
    shape: Shape,
    paths: &[PathBuf],
    is_first_file: bool,
) -> Result<(), IoError> {
    if page.shape == shape {
        return Ok(());
    }
    let first = if is_first_file {
        "page 1".to_owned()
    } else {
        format!("page 1 of `{}`", name_of(&paths[0]))
    };
    Err(page_error(
        reader.path,
        reader.page,
        format!(
            "it is {} and {first} is {}",
            page.shape.describe(),
            shape.describe()
        ),
        "all pages of a movie must have one size and type: give the files of one movie only",
    ))
}

/// The pixel type that a sample type is delivered as.
fn pixel_type(path: &Path, sample: Sample) -> Result<PixelType, IoError> {
    use SampleKind::{Float, Signed, Unsigned};
    Ok(match (sample.kind, sample.container_bytes()) {
        (Unsigned, 1) => PixelType::U8,
        (Unsigned, 2) => PixelType::U16,
        (Unsigned, 4) => PixelType::U32,
        (Signed, 1) => PixelType::I8,
        (Signed, 2) => PixelType::I16,
        (Signed, 4) => PixelType::I32,
        (Float, 2 | 4) => PixelType::F32,
        (Float, _) => PixelType::F64,
        _ => {
            return Err(page_error(
                path,
                0,
                format!("its samples are {}, which is not read", sample.numpy_name()),
                "save the file again with 8, 16 or 32 bits a sample",
            ));
        }
    })
}
