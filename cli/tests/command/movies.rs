//! Movies and images for the tests: simulated by the binary, or written here page by page.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use serde_json::Value;
use somata_io::movie::{MovieOptions, open};

use crate::run::{run, somata};

/// Rows and columns of the small movie.
pub const SIDE: usize = 96;
/// Its frames, at 30 Hz.
pub const FRAMES: usize = 300;
/// Its cells.
pub const CELLS: usize = 16;

/// Files of a simulated movie, held in memory: each test has its own folder, and simulating takes longer than writing.
struct Simulated {
    movie: Vec<u8>,
    truth: Vec<u8>,
    pixels: Vec<i16>,
}

impl Simulated {
    fn new(seed: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let made = folder.path().join("movie");
        run(somata()
            .args(["simulate", "movie"])
            .arg(&made)
            .args(["--kind", "small", "--size", "96", "--frames", "300"])
            .args(["--cells", "16", "--seed", seed]))
        .succeeds();
        let path = made.join("movie.tif");
        let pixels = read_movie(&path, 0).expect("frames");
        Self {
            movie: std::fs::read(&path).expect("a movie"),
            truth: std::fs::read(made.join("truth.npz")).expect("a truth"),
            pixels: pixels.into_iter().map(|value| value as i16).collect(),
        }
    }

    fn first() -> &'static Self {
        static MOVIE: OnceLock<Simulated> = OnceLock::new();
        MOVIE.get_or_init(|| Self::new("3"))
    }

    fn second() -> &'static Self {
        static MOVIE: OnceLock<Simulated> = OnceLock::new();
        MOVIE.get_or_init(|| Self::new("5"))
    }
}

/// Writes the small movie as `folder/movie.tif` and what is true of it as `folder/truth.npz`.
pub fn small(folder: &Path) -> PathBuf {
    let simulated = Simulated::first();
    std::fs::write(folder.join("truth.npz"), &simulated.truth).expect("a truth is written");
    write(folder, "movie.tif", &simulated.movie)
}

/// Pixels of the small movie, `[frame, y, x]`.
pub fn small_pixels() -> &'static [i16] {
    &Simulated::first().pixels
}

/// Pixels of another movie of the same size.
pub fn other_pixels() -> &'static [i16] {
    &Simulated::second().pixels
}

/// Pixels of the first channel of a plane of a movie, as the program's own reader gives them.
pub fn read_movie(path: &Path, plane: usize) -> Option<Vec<f64>> {
    let reader = open(&[path.to_owned()], &MovieOptions::default()).ok()?;
    let description = reader.description();
    let mut bytes = vec![0; description.frame_bytes() * description.n_frames as usize];
    reader.read(plane, 0, 0, &mut bytes).ok()?;
    let name = description.pixel_type.numpy_name();
    Some(match name {
        "int16" => values(&bytes, |b| f64::from(i16::from_ne_bytes(b))),
        "uint16" => values(&bytes, |b| f64::from(u16::from_ne_bytes(b))),
        "float32" => values(&bytes, |b| f64::from(f32::from_ne_bytes(b))),
        other => panic!("pixels of {other}"),
    })
}

fn values<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    bytes
        .as_chunks()
        .0
        .iter()
        .map(|&bytes| value(bytes))
        .collect()
}

/// `somata image MOVIE --out OUT` at 30 Hz on the CPU.
pub fn image(movie: &Path, out: &Path) -> Command {
    image_at_its_own_rate(movie, out, &["--frame-rate", "30"])
}

/// The same with other options in place of the frame rate.
pub fn image_at_its_own_rate(movie: &Path, out: &Path, options: &[&str]) -> Command {
    let mut command = somata();
    command.arg("image").arg(movie).arg("--out").arg(out);
    command.args(["--device", "cpu"]).args(options);
    command
}

/// Every file of a result that may not depend on how it was computed, by its path inside: all but those that tell times, which are the
/// manifest, the log and the report.
pub fn imaging_answer(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![out.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().expect("a folder") {
            let path = entry.expect("an entry").path();
            let inside = path.strip_prefix(out).expect("inside");
            let name = inside.to_str().expect("UTF-8").replace('\\', "/");
            if path.is_dir() {
                folders.push(path);
            } else if !["manifest.json", "log.txt", "report.html"].contains(&name.as_str()) {
                files.insert(name, std::fs::read(&path).expect("a file"));
            }
        }
    }
    files
}

/// A page of a TIFF, one strip, not compressed.
#[derive(Clone)]
pub struct Page {
    pub height: usize,
    pub width: usize,
    /// Samples a pixel, side by side.
    pub n_samples: u16,
    pub bits: u16,
    /// 1 unsigned, 2 signed, 3 float.
    pub format: u16,
    pub bytes: Vec<u8>,
}

impl Page {
    /// Signed 16 bits.
    pub fn i16(height: usize, width: usize, pixels: &[i16]) -> Self {
        let bytes = pixels.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self::new([height, width], 1, 16, 2, bytes)
    }

    /// Unsigned 16 bits.
    pub fn u16(height: usize, width: usize, pixels: &[u16]) -> Self {
        let bytes = pixels.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self::new([height, width], 1, 16, 1, bytes)
    }

    /// Floats.
    pub fn f32(height: usize, width: usize, pixels: &[f32]) -> Self {
        let bytes = pixels.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self::new([height, width], 1, 32, 3, bytes)
    }

    /// Three colours of 8 bits, side by side.
    pub fn rgb(height: usize, width: usize, pixels: &[[u8; 3]]) -> Self {
        Self::new([height, width], 3, 8, 1, pixels.as_flattened().to_vec())
    }

    fn new(
        [height, width]: [usize; 2],
        n_samples: u16,
        bits: u16,
        format: u16,
        bytes: Vec<u8>,
    ) -> Self {
        let expected = height * width * usize::from(n_samples) * usize::from(bits) / 8;
        assert_eq!(bytes.len(), expected, "pixels of a page");
        Self {
            height,
            width,
            n_samples,
            bits,
            format,
            bytes,
        }
    }
}

/// A TIFF in which the pixels of each page come before its directory, as a microscope writes while it records.
pub fn tiff(pages: &[Page]) -> Vec<u8> {
    let mut file = b"II*\0\0\0\0\0".to_vec();
    // Where the place of the next directory is to be written.
    let mut link = 4;
    for page in pages {
        let offset = file.len() as u32;
        file.extend(&page.bytes);
        file.resize(file.len().next_multiple_of(2), 0);
        let bits_at = file.len() as u32;
        if page.n_samples > 2 {
            file.extend((0..page.n_samples).flat_map(|_| page.bits.to_le_bytes()));
        }
        let directory = file.len() as u32;
        file[link..link + 4].copy_from_slice(&directory.to_le_bytes());
        let n_samples = u32::from(page.n_samples);
        let bits = match page.n_samples {
            1 => u32::from(page.bits),
            _ => bits_at,
        };
        let photometric = if page.n_samples == 3 { 2 } else { 1 };
        // Tag, type (3 short, 4 long), number of values, value or its place.
        let entries: [(u16, u16, u32, u32); 10] = [
            (256, 4, 1, page.width as u32),
            (257, 4, 1, page.height as u32),
            (258, 3, n_samples, bits),
            (259, 3, 1, 1),
            (262, 3, 1, photometric),
            (273, 4, 1, offset),
            (277, 3, 1, n_samples),
            (278, 4, 1, page.height as u32),
            (279, 4, 1, page.bytes.len() as u32),
            (339, 3, 1, u32::from(page.format)),
        ];
        file.extend((entries.len() as u16).to_le_bytes());
        for (tag, kind, count, value) in entries {
            file.extend(tag.to_le_bytes());
            file.extend(kind.to_le_bytes());
            file.extend(count.to_le_bytes());
            file.extend(value.to_le_bytes());
        }
        link = file.len();
        file.extend([0; 4]);
    }
    file
}

/// The first `n` frames of the small movie as pages.
pub fn small_pages(n: usize) -> Vec<Page> {
    let frames = small_pixels().chunks_exact(SIDE * SIDE);
    frames
        .take(n)
        .map(|frame| Page::i16(SIDE, SIDE, frame))
        .collect()
}

/// Writes a file.
pub fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("a file is written");
    path
}

/// The program's own weights with another header.
pub fn changed_weights(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../engine/weights/somata_cpnet.safetensors"
    );
    let bytes = std::fs::read(path).expect("weights");
    let (length, rest) = bytes.split_first_chunk().expect("a length");
    let (header, values) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let mut header: Value = serde_json::from_slice(header).expect("a header");
    change(&mut header);
    let mut text = header.to_string();
    // Values begin at a multiple of 8, as the format's own writer has it.
    text.push_str(&" ".repeat(text.len().next_multiple_of(8) - text.len()));
    let length = (text.len() as u64).to_le_bytes();
    [&length[..], text.as_bytes(), values].concat()
}
