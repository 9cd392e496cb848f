//! Traces that lie in files, read a stretch at a time: of one cell, or of all cells over some frames.

use super::traces::{TraceKind, TraceSource};
use crate::error::IoError;
use crate::npy_rows::NpyRows;

/// Traces of all cells; each kind lies in one array or in one a plane, whose rows follow each other.
#[derive(Clone, Debug)]
pub struct TraceFiles {
    n_cells: usize,
    n_frames: usize,
    kinds: Vec<(TraceKind, Vec<NpyRows>)>,
}

impl TraceFiles {
    /// Traces of `n_cells` cells. All arrays of a kind must have as many rows together, and all rows one length.
    ///
    /// # Errors
    /// A sentence on the kind that does not fit.
    pub fn new(
        n_cells: usize,
        n_frames: usize,
        kinds: Vec<(TraceKind, Vec<NpyRows>)>,
    ) -> Result<TraceFiles, String> {
        for (kind, arrays) in &kinds {
            let n_rows: usize = arrays.iter().map(|rows| rows.n_rows).sum();
            let other = arrays.iter().find(|rows| rows.row_length != n_frames);
            if n_rows != n_cells || other.is_some() {
                return Err(format!(
                    "the traces of kind {kind:?} are {n_rows} of {} frames, where there are {n_cells} cells and {n_frames} frames",
                    other.map_or(n_frames, |rows| rows.row_length)
                ));
            }
        }
        Ok(TraceFiles {
            n_cells,
            n_frames,
            kinds,
        })
    }

    /// The kinds that there are, in the order in which they were given.
    pub fn kinds(&self) -> Vec<TraceKind> {
        self.kinds.iter().map(|(kind, _)| *kind).collect()
    }

    /// Cells.
    pub fn n_cells(&self) -> usize {
        self.n_cells
    }

    /// Frames.
    pub fn n_frames(&self) -> usize {
        self.n_frames
    }

    /// Fills `out` with the trace of a cell from `first_frame` on.
    ///
    /// # Errors
    /// When the file cannot be read.
    ///
    /// # Panics
    /// When there are no traces of that kind, or not as many frames.
    pub fn read_part(
        &self,
        kind: TraceKind,
        mut cell: usize,
        first_frame: usize,
        out: &mut [f32],
    ) -> Result<(), IoError> {
        let mut kinds = self.kinds.iter();
        let (_, arrays) = kinds
            .find(|(found, _)| *found == kind)
            .unwrap_or_else(|| panic!("there are no traces of kind {kind:?}"));
        for rows in arrays {
            if cell < rows.n_rows {
                return rows.read_part(cell, first_frame, out);
            }
            cell -= rows.n_rows;
        }
        panic!("there are {} cells", self.n_cells)
    }

    /// Fills `block`, `[frames, cells]`, from `first_frame` on: cells are fastest, as MATLAB keeps a matrix of cells × frames.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn read_frames(
        &self,
        kind: TraceKind,
        first_frame: usize,
        block: &mut [f32],
    ) -> Result<(), IoError> {
        let n_frames = block.len().checked_div(self.n_cells).unwrap_or(0);
        let mut part = vec![0f32; n_frames];
        for cell in 0..self.n_cells {
            self.read_part(kind, cell, first_frame, &mut part)?;
            for (frame, &value) in part.iter().enumerate() {
                block[frame * self.n_cells + cell] = value;
            }
        }
        Ok(())
    }
}

impl TraceSource for TraceFiles {
    fn n_cells(&self) -> usize {
        self.n_cells
    }

    fn n_frames(&self) -> usize {
        self.n_frames
    }

    fn read_row(&mut self, kind: TraceKind, cell: usize, row: &mut [f32]) -> Result<(), IoError> {
        self.read_part(kind, cell, 0, row)
    }
}
