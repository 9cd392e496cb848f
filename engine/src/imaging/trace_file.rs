//! Traces of a plane in a file of the work folder: written frames first, read cell by cell.
//!
//! Frames arrive in order of time and traces are wanted whole, so the file is a row of tiles, each holding some thousand
//! frames of every trace. Memory does not grow with the movie or the number of cells.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    error::Result,
    pipeline::{
        checked_file::{CheckedWriter, Checksum},
        checkpoint::work_error,
        path_bytes,
    },
};

/// Values of a tile, all traces together.
const TILE_VALUES: usize = 4 << 20;

/// Traces `[trace, frame]` in a file.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct TraceFile {
    #[serde(with = "path_bytes")]
    path: PathBuf,
    /// Traces.
    pub n_traces: usize,
    /// Frames.
    pub n_frames: usize,
    tile_frames: usize,
    checksum: Checksum,
}

/// Writes traces as their frames arrive.
pub struct TraceWriter {
    file: TraceFile,
    out: CheckedWriter,
    /// The tile that is being filled, `[trace, tile_frames]`.
    tile: Vec<f32>,
    in_tile: usize,
}

impl TraceWriter {
    /// Begins the file.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(path: &Path, n_traces: usize) -> Result<Self> {
        let tile_frames = (TILE_VALUES / n_traces.max(1)).clamp(16, 4096);
        Ok(Self {
            file: TraceFile {
                path: path.to_owned(),
                n_traces,
                n_frames: 0,
                tile_frames,
                checksum: Checksum::default(),
            },
            out: CheckedWriter::create(path)?,
            tile: vec![0.0; n_traces * tile_frames],
            in_tile: 0,
        })
    }

    /// Appends frames `[frame, trace]`.
    ///
    /// # Errors
    /// When the disk is full.
    pub fn append(&mut self, frames: &[f32]) -> Result<()> {
        if self.file.n_traces == 0 {
            return Ok(());
        }
        for frame in frames.chunks_exact(self.file.n_traces) {
            for (trace, value) in frame.iter().enumerate() {
                self.tile[trace * self.file.tile_frames + self.in_tile] = *value;
            }
            self.in_tile += 1;
            self.file.n_frames += 1;
            if self.in_tile == self.file.tile_frames {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.in_tile = 0;
        self.out.write(bytemuck::cast_slice(&self.tile))
    }

    /// Ends the file; the last tile is padded.
    ///
    /// # Errors
    /// When the disk is full.
    pub fn finish(mut self) -> Result<TraceFile> {
        if self.in_tile > 0 {
            let (from, to) = (self.in_tile, self.file.tile_frames);
            for trace in self.tile.chunks_exact_mut(to) {
                trace[from..].fill(0.0);
            }
            self.flush()?;
        }
        self.file.checksum = self.out.finish()?;
        Ok(self.file)
    }
}

impl TraceFile {
    /// Writes whole traces, given one after the other.
    ///
    /// # Errors
    /// When the disk is full, or what a trace returns.
    pub fn write_rows(
        path: &Path,
        n_frames: usize,
        rows: impl Iterator<Item = Result<Vec<f32>>>,
    ) -> Result<Self> {
        let mut out = CheckedWriter::create(path)?;
        let mut n_traces = 0;
        for row in rows {
            out.write(bytemuck::cast_slice(&row?))?;
            n_traces += 1;
        }
        // One tile that is as long as the movie.
        Ok(Self {
            path: path.to_owned(),
            n_traces,
            n_frames,
            tile_frames: n_frames.max(1),
            checksum: out.finish()?,
        })
    }

    /// Whether the file is there, and is what was written.
    pub fn is_whole(&self) -> bool {
        self.checksum.fits(&self.path)
    }

    /// Opens the file for reading.
    ///
    /// # Errors
    /// When it is not there.
    pub fn open(&self) -> Result<TraceReader<'_>> {
        let file = File::open(&self.path).map_err(|error| work_error("read", &self.path, error))?;
        Ok(TraceReader { traces: self, file })
    }
}

/// Reads traces; several threads may.
pub struct TraceReader<'a> {
    traces: &'a TraceFile,
    file: File,
}

impl TraceReader<'_> {
    /// Fills `row` with one trace.
    ///
    /// # Errors
    /// When the file cannot be read.
    ///
    /// # Panics
    /// When `row` has another length than the movie.
    pub fn read(&self, trace: usize, row: &mut [f32]) -> Result<()> {
        let t = self.traces;
        assert_eq!(row.len(), t.n_frames, "a whole trace");
        for (tile, part) in row.chunks_mut(t.tile_frames).enumerate() {
            let at = 4 * ((tile * t.n_traces + trace) * t.tile_frames) as u64;
            read_at(&self.file, at, bytemuck::cast_slice_mut(part))
                .map_err(|error| work_error("read", &t.path, error))?;
        }
        Ok(())
    }
}

#[cfg(unix)]
fn read_at(file: &File, at: u64, bytes: &mut [u8]) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, at)
}

#[cfg(windows)]
fn read_at(file: &File, mut at: u64, mut bytes: &mut [u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        let n = std::os::windows::fs::FileExt::seek_read(file, bytes, at)?;
        if n == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        bytes = &mut bytes[n..];
        at += n as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_go_in_and_traces_come_out() {
        let path = std::env::temp_dir().join(format!("somata-traces-{}.bin", std::process::id()));
        let (n_traces, n_frames) = (3000, 3001);
        let value = |trace: usize, frame: usize| (trace * 7 + frame * 3 % 1000) as f32;
        let mut writer = TraceWriter::create(&path, n_traces).expect("created");
        for frame in 0..n_frames {
            let values: Vec<f32> = (0..n_traces).map(|trace| value(trace, frame)).collect();
            writer.append(&values).expect("written");
        }
        let file = writer.finish().expect("whole");
        assert!(file.is_whole());
        let reader = file.open().expect("there");
        let mut row = vec![0.0; n_frames];
        for trace in [0, 1, 1499, 2999] {
            reader.read(trace, &mut row).expect("read");
            assert!((0..n_frames).all(|frame| row[frame] == value(trace, frame)));
        }
        std::fs::remove_file(&path).expect("removed");
    }
}
