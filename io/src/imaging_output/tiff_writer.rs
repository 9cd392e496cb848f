//! TIFF files: stacks of pages that grow, label images and projections.
//!
//! A page is one strip. Uncompressed pages follow each other without gap, and the first one carries ImageJ's description, so ImageJ
//! and tifffile see one stack, and any reader can take the pixels as one array. Whether a file is classic TIFF or BigTIFF is decided
//! when it is finished, by its size (over 4 GiB is BigTIFF): room for the longer header is always kept, so nobody has to know
//! beforehand how long a movie will be. Sources: TIFF revision 6.0, the BigTIFF design of libtiff, and ImageJ's documentation of its
//! `ImageDescription`.

use std::io::{Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::path::Path;

use crate::atomic::OutputFile;
use crate::error::IoError;
use crate::npy::{NpyElement, write_elements};

/// A number that can be a pixel.
pub trait TiffPixel: NpyElement {
    /// TIFF's sample format: 1 unsigned, 2 signed, 3 floating-point.
    const SAMPLE_FORMAT: u16;
}

impl TiffPixel for u8 {
    const SAMPLE_FORMAT: u16 = 1;
}
impl TiffPixel for u16 {
    const SAMPLE_FORMAT: u16 = 1;
}
impl TiffPixel for u32 {
    const SAMPLE_FORMAT: u16 = 1;
}
impl TiffPixel for i16 {
    const SAMPLE_FORMAT: u16 = 2;
}
impl TiffPixel for f32 {
    const SAMPLE_FORMAT: u16 = 3;
}

/// What the pages of a stack are.
#[derive(Copy, Clone, PartialEq, Debug)]
pub enum PageAxis {
    /// Planes of a volume.
    Planes,
    /// Frames of a movie, so many a second.
    Frames {
        /// Frames a second.
        rate_hz: f64,
    },
}

/// How a stack is written.
#[derive(Clone, PartialEq, Debug)]
pub struct TiffOptions {
    /// What the pages are.
    pub page_axis: PageAxis,
    /// Whether pages are deflated. ImageJ, tifffile and libtiff read that.
    pub deflate: bool,
    /// The values shown as black and as white, where that is to be said.
    pub display_range: Option<[f32; 2]>,
}

/// The header of classic TIFF has 8 bytes, that of BigTIFF 16; the longer one is kept free.
const HEADER_BYTES: u64 = 16;

/// A TIFF file that grows by pages. It appears under its name on [`TiffStack::finish`]; one that is dropped leaves nothing.
pub struct TiffStack<T> {
    file: OutputFile,
    height: usize,
    width: usize,
    options: TiffOptions,
    n_pages: u64,
    position_bytes: u64,
    /// Bytes of each page, where pages differ.
    packed_bytes: Vec<u64>,
    /// The largest file that is written as classic TIFF.
    largest_classic_bytes: u64,
    pixel: PhantomData<T>,
}

impl<T: TiffPixel> TiffStack<T> {
    /// Starts a stack of pages of `height` × `width` pixels that will be at `path`.
    ///
    /// # Errors
    /// When a page has no pixels or more than TIFF can say, or the file cannot be created.
    pub fn create(
        path: &Path,
        height: usize,
        width: usize,
        options: TiffOptions,
    ) -> Result<TiffStack<T>, IoError> {
        let fits = |length: usize| (1..=u32::MAX as usize).contains(&length);
        if !fits(height) || !fits(width) {
            return Err(IoError::BadTables {
                path: path.to_owned(),
                what: format!("a page of {height} × {width} pixels cannot be a TIFF"),
            });
        }
        let mut file = OutputFile::create(path)?;
        file.write_with(|out| out.write_all(&[0; HEADER_BYTES as usize]))?;
        Ok(TiffStack {
            file,
            height,
            width,
            options,
            n_pages: 0,
            position_bytes: HEADER_BYTES,
            packed_bytes: Vec::new(),
            largest_classic_bytes: u64::from(u32::MAX),
            pixel: PhantomData,
        })
    }

    /// Appends one page or several, each `[height, width]`.
    ///
    /// # Errors
    /// When `pixels` are not whole pages, or the file cannot be written.
    pub fn append(&mut self, pixels: &[T]) -> Result<(), IoError> {
        let page_pixels = self.height * self.width;
        if !pixels.len().is_multiple_of(page_pixels) {
            return Err(IoError::BadTables {
                path: self.file.final_path().to_owned(),
                what: format!(
                    "{} pixels are not whole pages of {} × {}",
                    pixels.len(),
                    self.height,
                    self.width
                ),
            });
        }
        if self.options.deflate {
            for page in pixels.chunks_exact(page_pixels) {
                let level = flate2::Compression::default();
                let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
                let packed = write_elements(&mut encoder, page)
                    .and_then(|()| encoder.finish())
                    .expect("memory takes every write");
                self.file.write_with(|out| out.write_all(&packed))?;
                self.packed_bytes.push(packed.len() as u64);
                self.position_bytes += packed.len() as u64;
            }
        } else {
            self.file.write_with(|out| write_elements(out, pixels))?;
            self.position_bytes += size_of_val(pixels) as u64;
        }
        self.n_pages += (pixels.len() / page_pixels) as u64;
        Ok(())
    }

    /// Pages so far.
    pub fn n_pages(&self) -> u64 {
        self.n_pages
    }

    /// Writes the list of pages and the header, and gives the file its name.
    ///
    /// # Errors
    /// When there is no page, or the file cannot be written.
    pub fn finish(mut self) -> Result<(), IoError> {
        if self.n_pages == 0 {
            return Err(IoError::BadTables {
                path: self.file.final_path().to_owned(),
                what: "a TIFF needs at least one page".to_owned(),
            });
        }
        let mut description = self.description().into_bytes();
        description.push(0);
        // Directories start at an even byte, as the format asks.
        if !(self.position_bytes + description.len() as u64).is_multiple_of(2) {
            description.push(0);
        }
        let after_pages = self.position_bytes + description.len() as u64;
        let format = [Format::Classic, Format::Big]
            .into_iter()
            .find(|format| {
                let end = after_pages + self.n_pages * format.directory_bytes(N_ENTRIES + 1);
                *format == Format::Big || end <= self.largest_classic_bytes
            })
            .expect("BigTIFF takes every size");
        let description_at = self.position_bytes;
        self.file.write_with(|out| out.write_all(&description))?;
        let mut directory_at = after_pages;
        let mut page_at = HEADER_BYTES;
        let page_bytes = (self.height * self.width * size_of::<T>()) as u64;
        for page in 0..self.n_pages {
            let stored_bytes = *self.packed_bytes.get(page as usize).unwrap_or(&page_bytes);
            let mut entries = self.entries(page_at, stored_bytes);
            if page == 0 {
                let text = Entry {
                    tag: 270,
                    kind: ASCII,
                    count: description.len() as u64,
                    value: description_at,
                };
                entries.insert(6, text);
            }
            let next = directory_at + format.directory_bytes(entries.len());
            let is_last = page + 1 == self.n_pages;
            let directory = format.directory(&entries, if is_last { 0 } else { next });
            self.file.write_with(|out| out.write_all(&directory))?;
            directory_at = next;
            page_at += stored_bytes;
        }
        let header = format.header(after_pages);
        self.file.write_with(|out| {
            out.seek(SeekFrom::Start(0))?;
            out.write_all(&header)
        })?;
        self.file.commit()
    }

    /// ImageJ's description of the stack.
    fn description(&self) -> String {
        let mut text = "ImageJ=1.11a\n".to_owned();
        let n_pages = self.n_pages;
        if n_pages > 1 {
            let axis = match self.options.page_axis {
                PageAxis::Planes => "slices",
                PageAxis::Frames { .. } => "frames",
            };
            text += &format!("images={n_pages}\n{axis}={n_pages}\nhyperstack=true\n");
            text += "mode=grayscale\nloop=false\n";
        }
        if let PageAxis::Frames { rate_hz } = self.options.page_axis {
            text += &format!("fps={rate_hz}\nfinterval={}\n", 1.0 / rate_hz);
        }
        if let Some([black, white]) = self.options.display_range {
            text += &format!("min={black:?}\nmax={white:?}\n");
        }
        text
    }

    /// The entries of a page's directory but the description, in order of their tags.
    fn entries(&self, page_at: u64, stored_bytes: u64) -> Vec<Entry> {
        let bits = 8 * size_of::<T>() as u64;
        let (height, width) = (self.height as u64, self.width as u64);
        let compression = if self.options.deflate { 8 } else { 1 };
        [
            (254, LONG, 0),
            (256, LONG, width),
            (257, LONG, height),
            (258, SHORT, bits),
            (259, SHORT, compression),
            // Black is zero.
            (262, SHORT, 1),
            (273, OFFSET, page_at),
            (277, SHORT, 1),
            (278, LONG, height),
            (279, OFFSET, stored_bytes),
            (339, SHORT, u64::from(T::SAMPLE_FORMAT)),
        ]
        .map(|(tag, kind, value)| Entry {
            tag,
            kind,
            count: 1,
            value,
        })
        .to_vec()
    }
}

/// Entries of a directory without description.
const N_ENTRIES: usize = 11;

/// Field types of TIFF; `OFFSET` stands for a number as long as the format's offsets.
const ASCII: u16 = 2;
const SHORT: u16 = 3;
const LONG: u16 = 4;
const OFFSET: u16 = 0;

/// One entry of a page's directory.
#[derive(Clone)]
struct Entry {
    tag: u16,
    kind: u16,
    count: u64,
    /// The value, or where it is.
    value: u64,
}

#[derive(Copy, Clone, PartialEq)]
enum Format {
    Classic,
    Big,
}

impl Format {
    fn directory_bytes(self, n_entries: usize) -> u64 {
        match self {
            Format::Classic => 2 + 12 * n_entries as u64 + 4,
            Format::Big => 8 + 20 * n_entries as u64 + 8,
        }
    }

    fn header(self, first_directory: u64) -> Vec<u8> {
        match self {
            Format::Classic => {
                [&b"II\x2a\x00"[..], &(first_directory as u32).to_le_bytes()].concat()
            }
            Format::Big => [
                &b"II\x2b\x00\x08\x00\x00\x00"[..],
                &first_directory.to_le_bytes(),
            ]
            .concat(),
        }
    }

    fn directory(self, entries: &[Entry], next: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self {
            Format::Classic => bytes.extend_from_slice(&(entries.len() as u16).to_le_bytes()),
            Format::Big => bytes.extend_from_slice(&(entries.len() as u64).to_le_bytes()),
        }
        for entry in entries {
            let kind = match (entry.kind, self) {
                (OFFSET, Format::Classic) => LONG,
                (OFFSET, Format::Big) => 16,
                (kind, _) => kind,
            };
            bytes.extend_from_slice(&entry.tag.to_le_bytes());
            bytes.extend_from_slice(&kind.to_le_bytes());
            // Little-endian values are left-aligned, so a short one is a long one followed by zeros.
            match self {
                Format::Classic => {
                    bytes.extend_from_slice(&(entry.count as u32).to_le_bytes());
                    bytes.extend_from_slice(&(entry.value as u32).to_le_bytes());
                }
                Format::Big => {
                    bytes.extend_from_slice(&entry.count.to_le_bytes());
                    bytes.extend_from_slice(&entry.value.to_le_bytes());
                }
            }
        }
        match self {
            Format::Classic => bytes.extend_from_slice(&(next as u32).to_le_bytes()),
            Format::Big => bytes.extend_from_slice(&next.to_le_bytes()),
        }
        bytes
    }
}

/// Writes projections as float32, one page a plane, each `[height, width]`; ImageJ shows them from their smallest to their largest
/// value.
///
/// # Errors
/// When there is no page, one has another size, or the file cannot be written.
pub fn write_projection_tiff(
    path: &Path,
    height: usize,
    width: usize,
    pages: &[&[f32]],
) -> Result<(), IoError> {
    let finite = pages.iter().copied().flatten().filter(|v| v.is_finite());
    let [smallest, largest] = finite.fold([f32::INFINITY, f32::NEG_INFINITY], |range, &value| {
        [range[0].min(value), range[1].max(value)]
    });
    let options = TiffOptions {
        page_axis: PageAxis::Planes,
        deflate: false,
        display_range: (smallest <= largest).then_some([smallest, largest]),
    };
    let mut stack = TiffStack::create(path, height, width, options)?;
    for page in pages {
        stack.append(page)?;
    }
    stack.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(page_axis: PageAxis, deflate: bool) -> TiffOptions {
        TiffOptions {
            page_axis,
            deflate,
            display_range: None,
        }
    }

    /// The value of a tag of the directory at `place` of a classic file, and where the next one is.
    fn classic_directory(bytes: &[u8], place: usize) -> (Vec<(u16, u32)>, usize) {
        let long = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let short = |at: usize| u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap());
        let n = usize::from(short(place));
        let entries = (0..n).map(|entry| place + 2 + 12 * entry);
        (
            entries.map(|at| (short(at), long(at + 8))).collect(),
            long(place + 2 + 12 * n) as usize,
        )
    }

    #[test]
    fn pages_follow_each_other_and_the_directories_lead_to_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tif");
        let frames = PageAxis::Frames { rate_hz: 30.0 };
        let mut stack = TiffStack::<i16>::create(&path, 2, 3, options(frames, false)).unwrap();
        let pixels: Vec<i16> = (-9..9).collect();
        stack.append(&pixels[..6]).unwrap();
        assert!(stack.append(&pixels[..5]).is_err());
        stack.append(&pixels[6..]).unwrap();
        assert_eq!(stack.n_pages(), 3);
        assert!(!path.exists(), "an unfinished stack is not there");
        stack.finish().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes[..4], *b"II\x2a\0");
        let stored: Vec<i16> = bytes[16..16 + 36]
            .chunks_exact(2)
            .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
            .collect();
        assert_eq!(stored, pixels);
        let mut place = u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
        for page in 0..3 {
            let (entries, next) = classic_directory(&bytes, place);
            assert!(entries.is_sorted(), "tags must be in order");
            assert_eq!(entries.len(), if page == 0 { 12 } else { 11 });
            assert!(entries.contains(&(273, 16 + 12 * page)));
            assert!(entries.contains(&(279, 12)) && entries.contains(&(339, 2)));
            assert_eq!(next == 0, page == 2);
            place = next;
        }
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains("images=3\nframes=3\n") && text.contains("fps=30\n"));
    }

    #[test]
    fn a_stack_that_grows_beyond_the_limit_is_a_big_tiff() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tif");
        let mut stack =
            TiffStack::<u8>::create(&path, 1, 2, options(PageAxis::Planes, false)).unwrap();
        // Four gigabytes would take too long here; the decision is the same.
        stack.largest_classic_bytes = 100;
        stack.append(&[1, 2, 3, 4]).unwrap();
        stack.finish().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes[..8], *b"II\x2b\0\x08\0\0\0");
        let long = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        let first = long(8) as usize;
        assert_eq!((long(first), first % 2), (12, 0));
        let second = long(first + 8 + 12 * 20) as usize;
        assert_eq!(long(second), 11);
        // The seventh entry of the second page is its place.
        assert_eq!(long(second + 8 + 6 * 20 + 12), 18);
        assert_eq!(long(second + 8 + 11 * 20), 0);
        assert_eq!(bytes.len(), second + 8 + 11 * 20 + 8);
    }

    #[test]
    fn deflated_pages_unpack_to_the_pixels() {
        use std::io::Read;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tif");
        let mut stack =
            TiffStack::<u16>::create(&path, 4, 5, options(PageAxis::Planes, true)).unwrap();
        let pixels: Vec<u16> = (0..40).map(|pixel| pixel / 7).collect();
        stack.append(&pixels).unwrap();
        stack.finish().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let mut place = u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
        for page in pixels.chunks(20) {
            let (entries, next) = classic_directory(&bytes, place);
            let value = |tag: u16| entries.iter().find(|entry| entry.0 == tag).unwrap().1 as usize;
            assert_eq!(value(259), 8);
            let mut unpacked = Vec::new();
            flate2::read::ZlibDecoder::new(&bytes[value(273)..][..value(279)])
                .read_to_end(&mut unpacked)
                .unwrap();
            let expected: Vec<u8> = page.iter().flat_map(|pixel| pixel.to_le_bytes()).collect();
            assert_eq!(unpacked, expected);
            place = next;
        }
    }

    #[test]
    fn a_stack_without_pages_or_pixels_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tif");
        let new =
            |height| TiffStack::<u8>::create(&path, height, 2, options(PageAxis::Planes, false));
        assert!(new(0).is_err());
        assert!(new(1).unwrap().finish().is_err());
        assert!(write_projection_tiff(&path, 2, 2, &[&[0.0; 3]]).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_display_range_of_a_projection_ignores_what_is_not_finite() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tif");
        write_projection_tiff(&path, 1, 3, &[&[f32::NAN, -1.5, 2.0]]).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert!(String::from_utf8_lossy(&bytes).contains("min=-1.5\nmax=2.0\n"));
        write_projection_tiff(&path, 1, 1, &[&[f32::NAN]]).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("min="));
    }
}
