//! Traces: where the writers get them from, and `traces.npz`, which numpy opens with `numpy.load`.
//!
//! Traces of many cells and many frames may not fit in memory twice, so a writer asks for one row at a time ([`TraceSource`]) and
//! keeps nothing. `traces.npz` is a zip archive of `.npy` files, not compressed: noise does not shrink, and a member that is stored
//! can be read by position.

use std::path::Path;

use super::zip_archive::ZipWriter;
use crate::error::IoError;
use crate::npy::{NpyStream, header_bytes, write_elements};

/// One kind of trace; every cell has one row of each kind that there is.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug)]
pub enum TraceKind {
    /// Weighted mean of the cell's pixels, in counts of the detector.
    Fluorescence,
    /// Mean of the pixels around it, in counts of the detector.
    Neuropil,
    /// Fluorescence with the neuropil and the overlap with other cells taken off, in counts of the detector.
    Corrected,
    /// Corrected fluorescence over its baseline, without unit.
    DeltaFOverF,
    /// The calcium signal that the deconvolution fits, in the unit of `Corrected`.
    Denoised,
    /// Deconvolved activity: how much each frame's spikes add at the peak of the response, in the unit of `Corrected`.
    Spikes,
    /// [`TraceKind::Fluorescence`] of the second channel.
    FluorescenceChannel2,
    /// [`TraceKind::Neuropil`] of the second channel.
    NeuropilChannel2,
}

/// Traces of `n_cells` cells over `n_frames` frames, given row by row.
pub trait TraceSource {
    /// Cells.
    fn n_cells(&self) -> usize;
    /// Frames.
    fn n_frames(&self) -> usize;
    /// Fills `row`, which has one place a frame, with the trace of `cell`. A writer asks in order of the cells, one kind after the
    /// other.
    ///
    /// # Errors
    /// When the row cannot be had, for instance because a file of intermediate results cannot be read.
    fn read_row(&mut self, kind: TraceKind, cell: usize, row: &mut [f32]) -> Result<(), IoError>;
}

/// Traces that are in memory.
#[derive(Clone, Debug)]
pub struct TraceArrays<'a> {
    n_cells: usize,
    n_frames: usize,
    arrays: Vec<(TraceKind, &'a [f32])>,
}

impl<'a> TraceArrays<'a> {
    /// No array yet.
    pub fn new(n_cells: usize, n_frames: usize) -> Self {
        TraceArrays {
            n_cells,
            n_frames,
            arrays: Vec::new(),
        }
    }

    /// Adds `array`, `[cells, frames]`.
    ///
    /// # Panics
    /// When it has another length.
    pub fn with(mut self, kind: TraceKind, array: &'a [f32]) -> Self {
        assert_eq!(
            array.len(),
            self.n_cells * self.n_frames,
            "{kind:?} is not {} cells × {} frames",
            self.n_cells,
            self.n_frames
        );
        self.arrays.push((kind, array));
        self
    }
}

impl TraceSource for TraceArrays<'_> {
    fn n_cells(&self) -> usize {
        self.n_cells
    }

    fn n_frames(&self) -> usize {
        self.n_frames
    }

    /// # Panics
    /// When there is no array of that kind: a writer was asked for more than was given.
    fn read_row(&mut self, kind: TraceKind, cell: usize, row: &mut [f32]) -> Result<(), IoError> {
        let (_, array) = self
            .arrays
            .iter()
            .find(|(found, _)| *found == kind)
            .unwrap_or_else(|| panic!("no traces of kind {kind:?} were given"));
        row.copy_from_slice(&array[cell * self.n_frames..][..self.n_frames]);
        Ok(())
    }
}

/// Writes the traces of one kind as a `.npy` file, `[cells, frames]`, float32.
///
/// # Errors
/// When a row cannot be had or the file cannot be written.
pub fn write_trace_npy(
    path: &Path,
    kind: TraceKind,
    source: &mut dyn TraceSource,
) -> Result<(), IoError> {
    let mut row = vec![0f32; source.n_frames()];
    let mut stream = NpyStream::<f32>::create(path, &[source.n_frames()])?;
    for cell in 0..source.n_cells() {
        source.read_row(kind, cell, &mut row)?;
        stream.append(&row)?;
    }
    stream.finish()?;
    Ok(())
}

/// The arrays of `traces.npz`, by their names there.
pub const NPZ_ARRAYS: [(&str, TraceKind); 6] = [
    ("F", TraceKind::Fluorescence),
    ("Fneu", TraceKind::Neuropil),
    ("F_corrected", TraceKind::Corrected),
    ("dff", TraceKind::DeltaFOverF),
    ("denoised", TraceKind::Denoised),
    ("spikes", TraceKind::Spikes),
];

/// Writes `traces.npz`: the arrays of [`NPZ_ARRAYS`], each `[cells, frames]` float32, and `time_s`, `[frames]` float64, the time of
/// each frame in seconds. The file appears whole or not at all.
///
/// # Errors
/// When `time_s` has not one entry a frame, a row cannot be had or the file cannot be written.
pub fn write_traces_npz(
    path: &Path,
    time_s: &[f64],
    source: &mut dyn TraceSource,
) -> Result<(), IoError> {
    let (n_cells, n_frames) = (source.n_cells(), source.n_frames());
    if time_s.len() != n_frames {
        return Err(IoError::BadTables {
            path: path.to_owned(),
            what: format!("{} frame times for {n_frames} frames", time_s.len()),
        });
    }
    let mut zip = ZipWriter::create(path)?;
    let mut row = vec![0f32; n_frames];
    for (name, kind) in NPZ_ARRAYS {
        let header = header_bytes::<f32>(&[n_cells, n_frames], 0);
        let size_bytes = header.len() as u64 + 4 * n_cells as u64 * n_frames as u64;
        zip.start_member(&format!("{name}.npy"), size_bytes)?;
        zip.append(&header)?;
        let mut bytes = Vec::with_capacity(4 * n_frames);
        for cell in 0..n_cells {
            source.read_row(kind, cell, &mut row)?;
            bytes.clear();
            write_elements(&mut bytes, &row).expect("memory takes every write");
            zip.append(&bytes)?;
        }
    }
    let mut bytes = header_bytes::<f64>(&[n_frames], 0);
    write_elements(&mut bytes, time_s).expect("memory takes every write");
    zip.start_member("time_s.npy", bytes.len() as u64)?;
    zip.append(&bytes)?;
    zip.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imaging_output::zip_archive::read_zip;
    use crate::npy::parse_header;

    /// Rows that say which they are.
    struct Counted {
        n_cells: usize,
        n_frames: usize,
    }

    impl TraceSource for Counted {
        fn n_cells(&self) -> usize {
            self.n_cells
        }
        fn n_frames(&self) -> usize {
            self.n_frames
        }
        fn read_row(
            &mut self,
            kind: TraceKind,
            cell: usize,
            row: &mut [f32],
        ) -> Result<(), IoError> {
            for (frame, value) in row.iter_mut().enumerate() {
                *value = (kind as usize * 1000 + cell * 100 + frame) as f32;
            }
            Ok(())
        }
    }

    #[test]
    fn an_npz_holds_every_array_row_after_row() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("traces.npz");
        for n_cells in [0, 3] {
            let mut source = Counted {
                n_cells,
                n_frames: 5,
            };
            write_traces_npz(&path, &[0.0, 0.1, 0.2, 0.3, 0.4], &mut source).unwrap();
            let members = read_zip(&path, 1 << 20).unwrap();
            let names: Vec<_> = members.iter().map(|member| member.name.as_str()).collect();
            let expected = [
                "F.npy",
                "Fneu.npy",
                "F_corrected.npy",
                "dff.npy",
                "denoised.npy",
                "spikes.npy",
                "time_s.npy",
            ];
            assert_eq!(names, expected);
            for ((_, kind), member) in NPZ_ARRAYS.iter().zip(&members) {
                let header = parse_header(&path, &member.bytes).unwrap();
                assert_eq!(
                    (header.description.as_str(), &header.shape[..]),
                    ("<f4", &[n_cells, 5][..])
                );
                let values = &member.bytes[header.data_offset_bytes as usize..];
                let values: Vec<f32> = values
                    .chunks_exact(4)
                    .map(|chunk| f32::from_le_bytes(chunk.try_into().unwrap()))
                    .collect();
                let expected: Vec<f32> = (0..n_cells)
                    .flat_map(|cell| {
                        (0..5).map(move |frame| (*kind as usize * 1000 + cell * 100 + frame) as f32)
                    })
                    .collect();
                assert_eq!(values, expected);
            }
            let header = parse_header(&path, &members[6].bytes).unwrap();
            assert_eq!(header.description, "<f8");
        }
    }

    #[test]
    fn a_source_that_fails_leaves_no_file() {
        struct Broken;
        impl TraceSource for Broken {
            fn n_cells(&self) -> usize {
                2
            }
            fn n_frames(&self) -> usize {
                3
            }
            fn read_row(
                &mut self,
                _: TraceKind,
                cell: usize,
                _: &mut [f32],
            ) -> Result<(), IoError> {
                if cell == 0 {
                    return Ok(());
                }
                Err(IoError::Missing {
                    path: "traces".into(),
                })
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("traces.npz");
        let error = write_traces_npz(&path, &[0.0, 1.0, 2.0], &mut Broken).unwrap_err();
        assert!(matches!(error, IoError::Missing { .. }));
        assert!(write_traces_npz(&path, &[0.0], &mut Broken).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
