//! The page of `somata compare` for two results of one field: which cell is which, and how their shapes and traces agree.

use std::path::Path;

use rayon::prelude::*;
use serde_json::{Value, json};
use somata_io::npy_rows::NpyRows;
use somata_validation::score::masks::{Footprint, IouTable, match_cells};

use super::{
    imaging::picture,
    imaging_cells::{binned, correlation, range, runs},
    name_of,
    page::{Blocks, Kind, write_page},
    rows::{Layout, Row, to_u8},
};
use crate::{exit::Outcome, imaging_result::ImagingFolder};

/// Overlap (IoU) of two outlines of one cell.
const SAME_IOU: f64 = 0.5;
/// Bins of a trace, at most, and bytes of all traces of a side.
const MAX_BINS: usize = 1500;
const MAX_TRACE_BYTES: usize = 5_000_000;

/// Writes the page.
///
/// # Errors
/// When the file cannot be written or traces cannot be read.
pub fn write(path: &Path, results: [&Path; 2]) -> Outcome {
    let folders = [
        ImagingFolder::read(results[0])?,
        ImagingFolder::read(results[1])?,
    ];
    let open = |k: usize| Traces::open(results[k], folders[k].n_cells());
    let traces = [open(0)?, open(1)?];
    let title = format!(
        "{} and {} · somata",
        name_of(results[0]),
        name_of(results[1])
    );
    let pairs = pairs(&folders, &traces)?;
    let most = folders[0].n_cells().max(folders[1].n_cells()).max(1);
    let longest = traces
        .iter()
        .flatten()
        .map(|t| t.0.row_length)
        .min()
        .unwrap_or(0);
    let n_bins = (MAX_TRACE_BYTES / 2 / most).min(MAX_BINS).min(longest);
    write_page(path, Kind::TwoMovies, &title, |page| {
        page.json(
            "about",
            &json!({
                "height": folders[0].info.height,
                "width": folders[0].info.width,
                "n_bins": n_bins,
                "n_frames": traces.iter().map(|t| t.as_ref().map(|t| t.0.row_length)).collect::<Vec<_>>(),
                "version": env!("CARGO_PKG_VERSION"),
            }),
        )?;
        for (k, name) in ["first", "second"].into_iter().enumerate() {
            side(page, name, &folders[k], traces[k].as_ref(), n_bins, path)?;
        }
        page.list("pairs", &pairs)
    })
}

/// ΔF/F of all cells of a result.
struct Traces(NpyRows);

impl Traces {
    /// Opens the traces; none where the result has none, only of no cells, or not of every cell.
    fn open(result: &Path, n_cells: usize) -> Outcome<Option<Self>> {
        let path = result.join("traces.npz");
        if !path.exists() {
            return Ok(None);
        }
        let rows = NpyRows::open_members(&path, &["dff"])?.pop().flatten();
        Ok(rows
            .filter(|rows| rows.n_rows > 0 && rows.n_rows >= n_cells && rows.row_length > 0)
            .map(Self))
    }

    fn row(&self, cell: usize) -> Outcome<Vec<f32>> {
        let mut row = vec![0.0; self.0.row_length];
        self.0.read_part(cell, 0, &mut row)?;
        Ok(row)
    }
}

/// Pictures, outlines and traces of a side.
fn side(
    page: &mut Blocks<'_>,
    name: &str,
    folder: &ImagingFolder,
    traces: Option<&Traces>,
    n_bins: usize,
    path: &Path,
) -> Outcome {
    let info = &folder.info;
    let mut images = Vec::with_capacity(folder.means.len());
    for (k, mean) in folder.means.iter().enumerate() {
        let id = format!("{name}-picture-{k}");
        let size = [info.height, info.width];
        page.picture(&id, &picture(mean, size, 2 * folder.means.len(), path)?);
        images.push(id);
    }
    let mut cells: Vec<Value> = folder
        .bodies
        .iter()
        .enumerate()
        .flat_map(|(plane, bodies)| bodies.iter().map(move |body| (plane, body)))
        .enumerate()
        .map(|(cell, (plane, body))| {
            json!({ "cell": cell, "plane": plane, "area_px": body.len(), "runs": runs(body, info.width) })
        })
        .collect();
    let n_shown = traces.map_or(0, |traces| traces.0.n_rows.min(cells.len()));
    let layout = Layout::default()
        .with::<u8>("low", n_bins)
        .with::<u8>("high", n_bins);
    let ids: Vec<usize> = (0..n_shown).collect();
    let rows = ids.chunks(64).flat_map(|ids| {
        let made: Vec<Outcome<([f64; 2], Row)>> = ids
            .par_iter()
            .map(|&cell| {
                let row = traces.expect("rows are only of traces").row(cell)?;
                let [low, high] = [f32::min, f32::max].map(|better| binned(&row, n_bins, better));
                let span = range([&low[..], &high[..]]);
                let packed = |values: &[f32]| -> Vec<u8> {
                    values
                        .iter()
                        .map(|&v| to_u8(f64::from(v), span[0], span[1]))
                        .collect()
                };
                Ok((
                    span,
                    Row::default()
                        .with("low", packed(&low))
                        .with("high", packed(&high)),
                ))
            })
            .collect();
        ids.iter()
            .zip(made)
            .map(|(&cell, made)| {
                let (span, row) = made?;
                cells[cell]["range"] = json!(span);
                Ok(row)
            })
            .collect::<Vec<_>>()
    });
    page.rows(&format!("{name}-rows"), &layout, rows)?;
    page.json(
        name,
        &json!({ "name": name_of(&folder.path), "path": folder.path, "images": images, "cells": cells }),
    )
}

/// Cells of both with their overlap, and those of either without a partner.
fn pairs(folders: &[ImagingFolder; 2], traces: &[Option<Traces>; 2]) -> Outcome<Vec<Value>> {
    let none = Vec::new();
    let mut listed = Vec::new();
    let n_planes = folders[0].bodies.len().max(folders[1].bodies.len());
    let mut first_cell = [0, 0];
    for plane in 0..n_planes {
        let [first, second] = [0, 1].map(|k: usize| {
            let bodies = folders[k].bodies.get(plane).unwrap_or(&none);
            bodies
                .iter()
                .map(|body| Footprint::new(body.clone()))
                .collect::<Vec<_>>()
        });
        let table = IouTable::new(&first, &second);
        let mut is_paired = [vec![false; first.len()], vec![false; second.len()]];
        for pair in match_cells(&table, SAME_IOU) {
            let (a, b) = (pair.predicted, pair.truth);
            is_paired[0][a] = true;
            is_paired[1][b] = true;
            let trace_r = match traces {
                [Some(x), Some(y)] if x.0.row_length == y.0.row_length => Some(correlation(
                    &x.row(first_cell[0] + a)?,
                    &y.row(first_cell[1] + b)?,
                )),
                _ => None,
            };
            listed.push(json!({
                "plane": plane,
                "first": first_cell[0] + a,
                "second": first_cell[1] + b,
                "iou": pair.iou,
                "trace_r": trace_r,
            }));
        }
        for a in (0..first.len()).filter(|&a| !is_paired[0][a]) {
            let best = (0..second.len())
                .map(|b| table.at(a, b))
                .fold(0.0, f64::max);
            listed.push(json!({ "plane": plane, "first": first_cell[0] + a, "second": null, "iou": best, "trace_r": null }));
        }
        for b in (0..second.len()).filter(|&b| !is_paired[1][b]) {
            let best = (0..first.len()).map(|a| table.at(a, b)).fold(0.0, f64::max);
            listed.push(json!({ "plane": plane, "first": null, "second": first_cell[1] + b, "iou": best, "trace_r": null }));
        }
        first_cell = [first_cell[0] + first.len(), first_cell[1] + second.len()];
    }
    Ok(listed)
}
