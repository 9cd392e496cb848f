//! The binned, registered movie: a file in the work folder that later stages stream through.
//!
//! It is what remains of the movie once motion and most of the noise are gone, some ten times smaller. A pixel is stored as
//! 16-bit steps of its own deviation about the reference, fine enough that rounding is far below the noise of a bin; a bin far
//! beyond what a pixel does saturates.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    error::Result,
    pipeline::{
        checked_file::{CheckedWriter, Checksum},
        checkpoint::work_error,
        path_bytes,
    },
};

/// Steps of a deviation of a bin.
const STEPS: f32 = 64.0;

/// Bins of one plane, `[bin, y, x]`, in a file.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct BinnedMovie {
    #[serde(with = "path_bytes")]
    path: PathBuf,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Bins.
    pub n_bins: usize,
    /// Frames of a bin; the last may have fewer.
    pub bin_frames: usize,
    /// Value of one step, `[y, x]`.
    step: Vec<f32>,
    /// What the bins are relative to, `[y, x]`.
    reference: Vec<f32>,
    checksum: Checksum,
}

/// Writes the bins in order.
pub struct BinWriter {
    movie: BinnedMovie,
    file: CheckedWriter,
    bytes: Vec<u8>,
}

impl BinWriter {
    /// Begins the file. `variance` is that of a frame's pixel about the reference.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(
        path: &Path,
        [height, width]: [usize; 2],
        bin_frames: usize,
        reference: &[f32],
        variance: &[f32],
    ) -> Result<Self> {
        let step = variance
            .iter()
            .map(|&v| (v.max(1e-12) / bin_frames as f32).sqrt() / STEPS)
            .collect();
        Ok(Self {
            movie: BinnedMovie {
                path: path.to_owned(),
                height,
                width,
                n_bins: 0,
                bin_frames,
                step,
                reference: reference.to_vec(),
                checksum: Checksum::default(),
            },
            file: CheckedWriter::create(path)?,
            bytes: Vec::new(),
        })
    }

    /// Appends bins `[bin, y, x]`.
    ///
    /// # Errors
    /// When the disk is full.
    pub fn append(&mut self, bins: &[f32]) -> Result<()> {
        let movie = &mut self.movie;
        for bin in bins.chunks_exact(movie.step.len()) {
            self.bytes.clear();
            for ((value, reference), step) in bin.iter().zip(&movie.reference).zip(&movie.step) {
                let steps = ((value - reference) / step).clamp(-32767.0, 32767.0);
                self.bytes
                    .extend((steps.round_ties_even() as i16).to_le_bytes());
            }
            self.file.write(&self.bytes)?;
            movie.n_bins += 1;
        }
        Ok(())
    }

    /// Ends the file.
    ///
    /// # Errors
    /// When the disk is full.
    pub fn finish(mut self) -> Result<BinnedMovie> {
        self.movie.checksum = self.file.finish()?;
        Ok(self.movie)
    }
}

impl BinnedMovie {
    /// No bins at all.
    pub(crate) fn empty() -> Self {
        Self {
            path: PathBuf::new(),
            height: 0,
            width: 0,
            n_bins: 0,
            bin_frames: 1,
            step: Vec::new(),
            reference: Vec::new(),
            checksum: Checksum::default(),
        }
    }

    /// Whether the file is there, and is what was written.
    pub fn is_whole(&self) -> bool {
        self.checksum.fits(&self.path)
    }

    /// Pixels of a bin.
    pub fn n_pixels(&self) -> usize {
        self.height * self.width
    }

    /// What the bins are relative to, `[y, x]`.
    pub fn reference(&self) -> &[f32] {
        &self.reference
    }

    /// Calls `work` with groups of `n` bins less the reference (the last may be smaller), several at a time: position of the first
    /// bin and `[bin, y, x]`. What comes of them goes to `take` in order, whatever the number of threads.
    ///
    /// # Errors
    /// When the file cannot be read, or what `work` and `take` return.
    pub fn for_each_group<T: Send>(
        &self,
        n: usize,
        work: impl Fn(usize, &[f32]) -> Result<T> + Sync,
        mut take: impl FnMut(T) -> Result<()>,
    ) -> Result<()> {
        let firsts: Vec<usize> = (0..self.n_bins).step_by(n).collect();
        for wave in firsts.chunks(rayon::current_num_threads().max(1)) {
            let made: Vec<Result<T>> = wave
                .par_iter()
                .map(|&first| work(first, &self.group(first, n.min(self.n_bins - first))?))
                .collect();
            for result in made {
                take(result?)?;
            }
        }
        Ok(())
    }

    /// `count` bins from `first` on.
    fn group(&self, first: usize, count: usize) -> Result<Vec<f32>> {
        let failed = |error| work_error("read", &self.path, error);
        let n_pixels = self.n_pixels();
        let mut file = File::open(&self.path).map_err(failed)?;
        file.seek(SeekFrom::Start(2 * (first * n_pixels) as u64))
            .map_err(failed)?;
        let mut bytes = vec![0; 2 * count * n_pixels];
        file.read_exact(&mut bytes).map_err(failed)?;
        let mut values = Vec::with_capacity(count * n_pixels);
        for bin in bytes.chunks_exact((2 * n_pixels).max(1)) {
            let pairs = bin.as_chunks::<2>().0.iter().zip(&self.step);
            values.extend(pairs.map(|(&pair, step)| f32::from(i16::from_le_bytes(pair)) * step));
        }
        Ok(values)
    }
}
