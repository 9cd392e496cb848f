//! Writes a simulated movie as a folder: `movie.tif`, `truth.npz` ([`super::truth`]) and `spec.json`.
//!
//! The folder is the layout of `shared/bench/make_movie.py`; it is built beside its place under a temporary name and renamed, so it
//! is whole or not there. Where there are several planes, the pages of a time point follow each other, and each plane's own
//! truth lies in `plane0/truth.npz`, `plane1/truth.npz`, … as if it were a movie of its own.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use super::frames::SimulatedMovie;
use super::spec::MovieSpec;
use crate::error::{Result, ValidationError};
use crate::simulate::write::Partial;

/// Simulates `spec` and writes it to the new folder `out_dir`; `progress` is called with the share that is done, 0 to 1.
///
/// # Errors
/// If the specification cannot be simulated, `out_dir` exists, or a file cannot be written; nothing is left behind then.
pub fn write_movie(spec: &MovieSpec, out_dir: &Path, progress: &mut dyn FnMut(f64)) -> Result<()> {
    spec.check()?;
    if out_dir.exists() {
        return Err(ValidationError::OutputExists(out_dir.to_path_buf()));
    }
    write_simulated_movie(&SimulatedMovie::new(spec)?, out_dir, progress)
}

/// Writes a movie that was made before. As [`write_movie`].
///
/// # Errors
/// If `out_dir` exists or a file cannot be written; nothing is left behind then.
pub fn write_simulated_movie(
    movie: &SimulatedMovie,
    out_dir: &Path,
    progress: &mut dyn FnMut(f64),
) -> Result<()> {
    if out_dir.exists() {
        return Err(ValidationError::OutputExists(out_dir.to_path_buf()));
    }
    let partial = Partial::beside(out_dir)?;
    let folder = partial.path();

    let path = folder.join("spec.json");
    let text = serde_json::to_string_pretty(movie.spec())
        .map_err(|source| ValidationError::bad_file(&path, source.to_string()))?;
    std::fs::write(&path, text + "\n")
        .map_err(|source| ValidationError::io("write", &path, source))?;

    let truth = movie.truth();
    truth.write_npz(&folder.join("truth.npz"))?;
    for plane in 0..truth.n_planes() {
        if truth.n_planes() > 1 {
            let of_plane = folder.join(format!("plane{plane}"));
            std::fs::create_dir(&of_plane)
                .map_err(|source| ValidationError::io("create", &of_plane, source))?;
            truth
                .of_plane(plane)
                .write_npz(&of_plane.join("truth.npz"))?;
        }
    }
    let path = folder.join("movie.tif");
    write_tiff(movie, &path, progress)
        .map_err(|source| ValidationError::io("write", &path, source))?;

    std::fs::rename(folder, out_dir)
        .map_err(|source| ValidationError::io("rename", folder, source))?;
    progress(1.0);
    Ok(())
}

/// Where the parts of the file lie: all pixels first, then one directory for each page. TIFF 6.0; BigTIFF beyond 4 GB.
struct Layout {
    is_big: bool,
    height: u64,
    width: u64,
    n_pages: u64,
}

impl Layout {
    fn new(height: usize, width: usize, n_pages: usize) -> Self {
        let mut layout = Self {
            is_big: false,
            height: height as u64,
            width: width as u64,
            n_pages: n_pages as u64,
        };
        layout.is_big = layout.directory_at(layout.n_pages) > u64::from(u32::MAX);
        layout
    }

    fn header_bytes(&self) -> u64 {
        if self.is_big { 16 } else { 8 }
    }

    fn page_bytes(&self) -> u64 {
        self.height * self.width * 2
    }

    fn page_at(&self, page: u64) -> u64 {
        self.header_bytes() + page * self.page_bytes()
    }

    fn directory_bytes(&self) -> u64 {
        let n = self.entries(0).len() as u64;
        if self.is_big {
            8 + 20 * n + 8
        } else {
            2 + 12 * n + 4
        }
    }

    fn directory_at(&self, page: u64) -> u64 {
        self.page_at(self.n_pages) + page * self.directory_bytes()
    }

    fn header(&self) -> Vec<u8> {
        let mut bytes = b"II".to_vec();
        if self.is_big {
            for word in [43u16, 8, 0] {
                bytes.extend(word.to_le_bytes());
            }
            bytes.extend(self.directory_at(0).to_le_bytes());
        } else {
            bytes.extend(42u16.to_le_bytes());
            bytes.extend((self.directory_at(0) as u32).to_le_bytes());
        }
        bytes
    }

    /// (Tag, type, value) of one page, ascending by tag; type 3 is a short, 4 a long, 16 a long of 8 bytes.
    fn entries(&self, page: u64) -> [(u16, u16, u64); 11] {
        let place = if self.is_big { 16 } else { 4 };
        [
            (256, 4, self.width),
            (257, 4, self.height),
            (258, 3, 16),                     // bits a sample
            (259, 3, 1),                      // not compressed
            (262, 3, 1),                      // black is zero
            (273, place, self.page_at(page)), // where the only strip lies
            (277, 3, 1),                      // samples a pixel
            (278, 4, self.height),            // rows of the strip
            (279, place, self.page_bytes()),  // bytes of the strip
            (284, 3, 1),                      // chunky
            (339, 3, 2),                      // signed integers
        ]
    }

    fn directory(&self, page: u64) -> Vec<u8> {
        let entries = self.entries(page);
        let next = if page + 1 < self.n_pages {
            self.directory_at(page + 1)
        } else {
            0
        };
        let mut bytes = Vec::new();
        if self.is_big {
            bytes.extend((entries.len() as u64).to_le_bytes());
            for (tag, kind, value) in entries {
                bytes.extend(tag.to_le_bytes());
                bytes.extend(kind.to_le_bytes());
                bytes.extend(1u64.to_le_bytes());
                bytes.extend(value.to_le_bytes());
            }
            bytes.extend(next.to_le_bytes());
        } else {
            bytes.extend((entries.len() as u16).to_le_bytes());
            for (tag, kind, value) in entries {
                bytes.extend(tag.to_le_bytes());
                bytes.extend(kind.to_le_bytes());
                bytes.extend(1u32.to_le_bytes());
                // A short fills the first two bytes of the field; little-endian makes that the same four bytes.
                bytes.extend((value as u32).to_le_bytes());
            }
            bytes.extend((next as u32).to_le_bytes());
        }
        bytes
    }
}

fn write_tiff(
    movie: &SimulatedMovie,
    path: &Path,
    progress: &mut dyn FnMut(f64),
) -> std::io::Result<()> {
    let spec = movie.spec();
    let n_pages = spec.n_frames * spec.n_planes;
    let layout = Layout::new(spec.height, spec.width, n_pages);
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(&layout.header())?;
    // A few frames for each thread at a time, so that memory does not grow with the movie.
    let chunk_pages = 8 * rayon::current_num_threads();
    let mut pixels = Vec::new();
    let mut bytes = Vec::new();
    for start in (0..n_pages).step_by(chunk_pages) {
        progress(start as f64 / n_pages as f64);
        let n = chunk_pages.min(n_pages - start);
        pixels.resize(n * spec.frame_pixels(), 0i16);
        movie.read_interleaved(start, &mut pixels);
        bytes.clear();
        bytes.extend(pixels.iter().flat_map(|pixel| pixel.to_le_bytes()));
        file.write_all(&bytes)?;
    }
    for page in 0..n_pages as u64 {
        file.write_all(&layout.directory(page))?;
    }
    let file = file.into_inner().map_err(|error| error.into_error())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::super::{MovieKind, read_movie_truth};
    use super::*;

    #[test]
    fn a_written_folder_is_whole_and_an_existing_one_is_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        let out = parent.path().join("movie");
        let spec = MovieSpec {
            height: 33,
            width: 40,
            n_frames: 21,
            n_planes: 2,
            n_cells: 3,
            n_vessels: 0,
            ..MovieSpec::new(MovieKind::Volume)
        };
        let mut last = 0.0;
        write_movie(&spec, &out, &mut |share| {
            assert!(share >= last);
            last = share;
        })
        .unwrap();
        assert_eq!(last, 1.0);
        let movie = SimulatedMovie::new(&spec).unwrap();
        let truth = read_movie_truth(&out.join("truth.npz")).unwrap();
        assert_eq!(truth.spikes, movie.truth().spikes);
        let second = read_movie_truth(&out.join("plane1/truth.npz")).unwrap();
        assert_eq!(second.bodies, truth.of_plane(1).bodies);
        let text = std::fs::read_to_string(out.join("spec.json")).unwrap();
        assert_eq!(serde_json::from_str::<MovieSpec>(&text).unwrap(), spec);

        let bytes = std::fs::read(out.join("movie.tif")).unwrap();
        let layout = Layout::new(33, 40, 42);
        assert_eq!(bytes.len() as u64, layout.directory_at(42));
        for (page, plane, t) in [(0, 0, 0), (1, 1, 0), (41, 1, 20)] {
            let stored = &bytes[layout.page_at(page) as usize..][..33 * 40 * 2];
            let expected: Vec<u8> = movie
                .frame(plane, t)
                .iter()
                .flat_map(|pixel| pixel.to_le_bytes())
                .collect();
            assert!(stored == expected, "page {page}");
        }
        assert!(matches!(
            write_movie(&spec, &out, &mut |_| ()),
            Err(ValidationError::OutputExists(_))
        ));
        assert_eq!(
            std::fs::read_dir(parent.path()).unwrap().count(),
            1,
            "no temporary folder is left"
        );
    }

    #[test]
    fn directories_form_a_chain_and_a_large_file_is_a_bigtiff() {
        for (n_pages, is_big) in [(3, false), (40_000, true)] {
            let layout = Layout::new(256, 256, n_pages);
            assert_eq!(layout.is_big, is_big);
            let first = layout.directory(0);
            assert_eq!(first.len() as u64, layout.directory_bytes());
            let word = if is_big { 8 } else { 4 };
            let mut next = [0; 8];
            next[..word].copy_from_slice(&first[first.len() - word..]);
            assert_eq!(u64::from_le_bytes(next), layout.directory_at(1));
            let last = layout.directory(n_pages as u64 - 1);
            assert!(last[last.len() - word..].iter().all(|&byte| byte == 0));
        }
    }
}
