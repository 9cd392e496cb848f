//! One page: its size, its sample type, and where its strips or tiles are. Everything is checked against the file's size here,
//! so that what follows may trust it.

use super::codecs::Compression;
use super::directory::{Directory, DirectoryReader, tag};
use super::samples::{Predictor, RowFormat, Sample, SampleKind};
use super::{page_error, truncated_page};
use crate::error::IoError;

/// Pixels along an axis at most.
const MAX_SIDE: u64 = 1 << 20;
/// Bytes of one unpacked page at most.
const MAX_PAGE_BYTES: u64 = 1 << 34;
/// Samples of a pixel at most.
const MAX_SAMPLES: u64 = 1024;

/// What must be equal in all pages of a movie.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) struct Shape {
    pub height: usize,
    pub width: usize,
    pub samples_per_pixel: usize,
    pub sample: Sample,
}

impl Shape {
    /// Bytes of the unpacked page in containers.
    pub fn page_bytes(&self) -> usize {
        self.height * self.width * self.samples_per_pixel * self.sample.container_bytes()
    }

    /// For messages: `512 × 512 pixels of uint16`.
    pub fn describe(&self) -> String {
        let samples = match self.samples_per_pixel {
            1 => String::new(),
            n => format!(" with {n} samples each"),
        };
        format!(
            "{} × {} pixels of {}{samples}",
            self.height,
            self.width,
            self.sample.numpy_name()
        )
    }
}

/// What the values of pixels stand for (TIFF's PhotometricInterpretation).
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum Photometric {
    WhiteIsZero,
    BlackIsZero,
    Rgb,
    Palette,
    /// Any other, by name.
    Other(&'static str),
}

impl Photometric {
    /// From TIFF's number.
    fn from_number(number: u64) -> Photometric {
        match number {
            0 => Photometric::WhiteIsZero,
            // 4 is a transparency mask: one sample, black is 0. 34892 is linear raw: the count of samples says what it is.
            1 | 4 | 34892 => Photometric::BlackIsZero,
            2 => Photometric::Rgb,
            3 => Photometric::Palette,
            5 => Photometric::Other("CMYK"),
            6 => Photometric::Other("YCbCr"),
            8..=10 => Photometric::Other("CIELAB"),
            32803 => Photometric::Other("colour filter array"),
            32844 => Photometric::Other("LogL"),
            32845 => Photometric::Other("LogLuv"),
            _ => Photometric::Other("unknown"),
        }
    }
}

/// A page whose directory was read and checked.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub shape: Shape,
    pub photometric: Photometric,
    /// Samples beside the colours that are alpha.
    pub n_alpha: usize,
    /// Whether this is a smaller copy of another page.
    pub is_reduced: bool,
    /// Planes of one sample each, one after the other, rather than samples side by side.
    pub is_planar: bool,
    pub compression: Compression,
    pub predictor: Predictor,
    /// Bits of each byte in reverse order (TIFF's FillOrder 2).
    pub bits_reversed: bool,
    pub is_tiled: bool,
    /// Rows of a strip or tile.
    pub chunk_height: usize,
    /// Columns of a strip or tile.
    pub chunk_width: usize,
    /// Where each strip or tile begins: planes, then rows, then columns.
    pub offsets: Vec<u64>,
    /// Its packed bytes.
    pub sizes: Vec<u64>,
}

impl Page {
    /// Reads what `directory` says.
    pub fn read(reader: &mut DirectoryReader, directory: &Directory) -> Result<Page, IoError> {
        let width = reader.number(directory, tag::IMAGE_WIDTH, 0)?;
        let height = reader.number(directory, tag::IMAGE_LENGTH, 0)?;
        if width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE {
            return Err(reader.bad(format!("its size is {height} × {width} pixels")));
        }
        let samples_per_pixel = reader.number(directory, tag::SAMPLES_PER_PIXEL, 1)?;
        if samples_per_pixel == 0 || samples_per_pixel > MAX_SAMPLES {
            return Err(reader.bad(format!("it has {samples_per_pixel} samples a pixel")));
        }
        let compression =
            Compression::from_number(reader.number(directory, tag::COMPRESSION, 1)?).map_err(
                |name| {
                    page_error(
                        reader.path,
                        reader.page,
                        format!("it is compressed with {name}, which is not read"),
                        "save the file again uncompressed, or with LZW, deflate, PackBits or zstd",
                    )
                },
            )?;
        let sample = read_sample(reader, directory, samples_per_pixel)?;
        let page_bytes = (height * width)
            .checked_mul(samples_per_pixel * sample.container_bytes() as u64)
            .filter(|&bytes| bytes <= MAX_PAGE_BYTES && usize::try_from(bytes).is_ok());
        if page_bytes.is_none() {
            return Err(reader.bad(format!(
                "its size of {height} × {width} pixels with {samples_per_pixel} samples is more than can be read"
            )));
        }
        let is_planar =
            reader.number(directory, tag::PLANAR_CONFIGURATION, 1)? == 2 && samples_per_pixel > 1;
        let mut page = Page {
            shape: Shape {
                height: height as usize,
                width: width as usize,
                samples_per_pixel: samples_per_pixel as usize,
                sample,
            },
            photometric: Photometric::from_number(reader.number(directory, tag::PHOTOMETRIC, 1)?),
            n_alpha: match directory.get(tag::EXTRA_SAMPLES) {
                None => 0,
                Some(entry) => reader
                    .numbers(entry, samples_per_pixel)?
                    .iter()
                    .filter(|&&meaning| matches!(meaning, 1 | 2))
                    .count(),
            },
            is_reduced: reader.number(directory, tag::NEW_SUBFILE_TYPE, 0)? & 1 == 1,
            is_planar,
            compression,
            predictor: read_predictor(reader, directory, sample)?,
            bits_reversed: reader.number(directory, tag::FILL_ORDER, 1)? == 2,
            is_tiled: directory.get(tag::TILE_OFFSETS).is_some(),
            chunk_height: 0,
            chunk_width: 0,
            offsets: Vec::new(),
            sizes: Vec::new(),
        };
        page.read_chunks(reader, directory)?;
        Ok(page)
    }

    /// Where the strips or tiles are.
    fn read_chunks(
        &mut self,
        reader: &mut DirectoryReader,
        directory: &Directory,
    ) -> Result<(), IoError> {
        let (height, width) = (self.shape.height as u64, self.shape.width as u64);
        let (name, offsets_tag, sizes_tag) = if self.is_tiled {
            ("tile", tag::TILE_OFFSETS, tag::TILE_BYTE_COUNTS)
        } else {
            ("strip", tag::STRIP_OFFSETS, tag::STRIP_BYTE_COUNTS)
        };
        let (chunk_height, chunk_width) = if self.is_tiled {
            (
                reader.number(directory, tag::TILE_LENGTH, 0)?,
                reader.number(directory, tag::TILE_WIDTH, 0)?,
            )
        } else {
            // A strip of more rows than the page, or of 0 rows, is the whole page.
            let rows = reader.number(directory, tag::ROWS_PER_STRIP, height)?;
            (if rows == 0 { height } else { rows.min(height) }, width)
        };
        if chunk_height == 0
            || chunk_width == 0
            || chunk_height > MAX_SIDE
            || chunk_width > MAX_SIDE
        {
            return Err(reader.bad(format!(
                "its {name}s are {chunk_height} × {chunk_width} pixels"
            )));
        }
        self.chunk_height = chunk_height as usize;
        self.chunk_width = chunk_width as usize;
        let planes = if self.is_planar {
            self.shape.samples_per_pixel as u64
        } else {
            1
        };
        let n_chunks = planes * height.div_ceil(chunk_height) * width.div_ceil(chunk_width);
        let Some(entry) = directory.get(offsets_tag).copied() else {
            return Err(reader.bad("it has no image data"));
        };
        self.offsets = reader.numbers(&entry, n_chunks)?;
        if (self.offsets.len() as u64) < n_chunks {
            return Err(reader.bad(format!(
                "it has {} {name}s and needs {n_chunks}",
                self.offsets.len()
            )));
        }
        if self.compression == Compression::None {
            // What is stored follows from the size; byte counts of uncompressed pages are often missing or wrong.
            self.sizes = (0..n_chunks as usize)
                .map(|chunk| self.plain_bytes(chunk))
                .collect();
        } else if let Some(entry) = directory.get(sizes_tag).copied() {
            self.sizes = reader.numbers(&entry, n_chunks)?;
        } else if n_chunks == 1 {
            // Without byte counts, one strip may reach to the end of the file: the codec knows where it ends.
            self.sizes = vec![reader.size_bytes.saturating_sub(self.offsets[0])];
        }
        if (self.sizes.len() as u64) < n_chunks {
            return Err(reader.bad(format!(
                "it has byte counts of {} {name}s and needs {n_chunks}",
                self.sizes.len()
            )));
        }
        for (chunk, (&offset, &size)) in self.offsets.iter().zip(&self.sizes).enumerate() {
            let end = offset.saturating_add(size);
            if end > reader.size_bytes {
                let what = if n_chunks == 1 {
                    "its image".to_owned()
                } else {
                    format!("its {name} {} of {n_chunks}", chunk + 1)
                };
                return Err(truncated_page(
                    reader.path,
                    reader.page,
                    &what,
                    end,
                    reader.size_bytes,
                ));
            }
            let plain = self.plain_bytes(chunk);
            if size == 0 || plain > size.saturating_mul(self.compression.max_expansion()) {
                return Err(reader.bad(format!(
                    "its {name} {} of {n_chunks} has {size} bytes, which cannot hold its pixels",
                    chunk + 1
                )));
            }
        }
        Ok(())
    }

    /// Chunks along the three axes: planes, rows of chunks, columns of chunks.
    pub fn grid(&self) -> [usize; 3] {
        [
            if self.is_planar {
                self.shape.samples_per_pixel
            } else {
                1
            },
            self.shape.height.div_ceil(self.chunk_height),
            self.shape.width.div_ceil(self.chunk_width),
        ]
    }

    /// How rows of a chunk are stored.
    pub fn row_format(&self, big_endian: bool) -> RowFormat {
        RowFormat {
            sample: self.shape.sample,
            big_endian,
            predictor: self.predictor,
            samples_per_pixel: if self.is_planar {
                1
            } else {
                self.shape.samples_per_pixel
            },
        }
    }

    /// Rows that chunk `chunk` stores: tiles are whole also at the edge, strips end with the page.
    pub fn stored_rows(&self, chunk: usize) -> usize {
        let [_, rows, columns] = self.grid();
        let row = chunk / columns % rows;
        if self.is_tiled {
            self.chunk_height
        } else {
            self.chunk_height
                .min(self.shape.height - row * self.chunk_height)
        }
    }

    /// Bytes of chunk `chunk` when it is unpacked, rows padded to whole bytes.
    pub fn plain_bytes(&self, chunk: usize) -> u64 {
        let format = self.row_format(false);
        let row = format.stored_bytes((self.chunk_width * format.samples_per_pixel) as u64);
        row * self.stored_rows(chunk) as u64
    }

    /// Where the page's samples begin when they lie in one piece, in the delivered type (byte order aside).
    pub fn flat_offset(&self) -> Option<u64> {
        let plain = self.compression == Compression::None
            && self.predictor == Predictor::None
            && !self.bits_reversed;
        let whole_rows = self.chunk_width == self.shape.width;
        let whole_tiles = !self.is_tiled || self.shape.height.is_multiple_of(self.chunk_height);
        let delivered = self.shape.sample.is_whole() && self.shape.samples_per_pixel == 1;
        let mut next = *self.offsets.first()?;
        for (&offset, &size) in self.offsets.iter().zip(&self.sizes) {
            if offset != next {
                return None;
            }
            next = offset.checked_add(size)?;
        }
        (plain && whole_rows && whole_tiles && delivered).then(|| self.offsets[0])
    }
}

/// The sample type; all samples of a pixel must have the same.
fn read_sample(
    reader: &mut DirectoryReader,
    directory: &Directory,
    samples_per_pixel: u64,
) -> Result<Sample, IoError> {
    let mut same = |tag: u16, default: u64, what: &str| -> Result<u64, IoError> {
        let Some(entry) = directory.get(tag).copied() else {
            return Ok(default);
        };
        let values = reader.numbers(&entry, samples_per_pixel)?;
        match values.first() {
            Some(&first) if values.iter().all(|&value| value == first) => Ok(first),
            _ => Err(reader.bad(format!("its samples have different {what}"))),
        }
    };
    let bits = same(tag::BITS_PER_SAMPLE, 1, "numbers of bits")?;
    let format = same(tag::SAMPLE_FORMAT, 1, "types")?;
    let kind = match format {
        // 4 is "undefined", which writers use for plain numbers.
        1 | 4 => SampleKind::Unsigned,
        2 => SampleKind::Signed,
        3 => SampleKind::Float,
        5 | 6 => {
            return Err(page_error(
                reader.path,
                reader.page,
                "its samples are complex numbers, which are not read",
                "export the magnitude as real numbers",
            ));
        }
        _ => return Err(reader.bad(format!("its sample format is {format}, expected 1 to 6"))),
    };
    let is_known = match kind {
        SampleKind::Float => matches!(bits, 16 | 32 | 64),
        _ => (1..=32).contains(&bits) || bits == 64,
    };
    if !is_known {
        let name = match kind {
            SampleKind::Unsigned => "unsigned integers",
            SampleKind::Signed => "signed integers",
            SampleKind::Float => "floats",
        };
        return Err(page_error(
            reader.path,
            reader.page,
            format!("its samples are {name} of {bits} bits, which are not read"),
            "save the file again with 8, 16 or 32 bits a sample",
        ));
    }
    Ok(Sample {
        kind,
        bits: bits as u32,
    })
}

/// The predictor. The specification defines it for LZW alone; other writers and readers use it with any codec, or none.
fn read_predictor(
    reader: &mut DirectoryReader,
    directory: &Directory,
    sample: Sample,
) -> Result<Predictor, IoError> {
    match reader.number(directory, tag::PREDICTOR, 1)? {
        0 | 1 => Ok(Predictor::None),
        2 => Ok(Predictor::Horizontal),
        3 if sample.kind == SampleKind::Float => Ok(Predictor::FloatingPoint),
        3 => Err(reader.bad("its predictor is for floats and its samples are integers")),
        number => Err(page_error(
            reader.path,
            reader.page,
            format!("it uses predictor {number}, which is not read"),
            "save the file again without a predictor",
        )),
    }
}
