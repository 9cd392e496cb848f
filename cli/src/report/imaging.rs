//! The report of a movie: images of every plane, motion and how well frames fit, and the blocks of every cell.

use std::path::Path;

use rayon::prelude::*;
use serde_json::{Value, json};
use somata_engine::{
    imaging::imager::PlaneResult,
    movie::{Movie, MovieInfo},
};
use somata_io::{IoError, imaging_output::picture::write_picture};
use somata_validation::score::movie::MovieScore;

use super::{
    imaging_cells::Cells,
    name_of,
    page::{Blocks, Kind, write_page},
    rows::Row,
};
use crate::{exit::Outcome, imaging_output::Made};

/// Pixels of all pictures of a page together, at most; larger fields are shown smaller.
const MAX_PICTURE_PIXELS: usize = 6 << 20;
/// Time bins of the motion that is drawn, at most.
const MAX_MOTION_BINS: usize = 1200;
/// Bins of the histogram of correlations.
const CORRELATION_BINS: usize = 60;
/// A pixel counts as covered when this part of the good frames measured it.
const COVERED: f32 = 0.98;
/// Cells of which blocks are made at once.
const CELLS_TOGETHER: usize = 64;

/// What a report is made of.
pub struct Sources<'a> {
    /// The result, with what it was made from.
    pub made: &'a Made<'a>,
    /// What the user calls the movie.
    pub movie_path: &'a Path,
    /// How it was made.
    pub manifest: &'a Value,
    /// Scores against the truth, one a plane, where there is one.
    pub truth: Option<&'a [MovieScore]>,
}

/// Writes the page.
///
/// # Errors
/// When the file cannot be written, or traces cannot be read.
pub fn write(path: &Path, sources: &Sources<'_>) -> Outcome {
    let name = name_of(sources.movie_path);
    let info = sources.made.movie.info();
    let planes = &sources.made.result.planes;
    write_page(path, Kind::Imaging, &format!("{name} · somata"), |page| {
        page.json("manifest", sources.manifest)?;
        page.json(
            "movie",
            &json!({
                "name": name,
                "height": info.height,
                "width": info.width,
                "n_frames": info.n_frames,
                "frame_rate_hz": info.frame_rate_hz,
                "duration_s": info.n_frames as f64 / info.frame_rate_hz,
                "pixel_size_um": sources.made.movie.description().pixel_size_um,
            }),
        )?;
        let mut described = Vec::with_capacity(planes.len());
        for (k, plane) in planes.iter().enumerate() {
            described.push(describe_plane(page, info, plane, [k, planes.len()], path)?);
        }
        page.list("planes", &described)?;
        cells(page, info, planes)?;
        if let Some(truth) = sources.truth {
            page.json("truth", &truth)?;
        }
        Ok(())
    })
}

/// Pictures, motion and fit of plane `k` of `n_planes`.
fn describe_plane(
    page: &mut Blocks<'_>,
    info: &MovieInfo,
    plane: &PlaneResult,
    [k, n_planes]: [usize; 2],
    path: &Path,
) -> Outcome<Value> {
    let registered = &plane.registered;
    let largest: Vec<f32> = plane.summary.largest.iter().map(|v| v.max(0.0)).collect();
    let covered = registered
        .measured
        .iter()
        .filter(|part| **part >= COVERED)
        .count();
    let mut shown = vec![
        ("mean", &registered.mean),
        ("max", &largest),
        ("correlation", &plane.summary.correlation),
    ];
    shown.extend(plane.second.iter().map(|second| ("second", &second.mean)));
    let mut images = serde_json::Map::new();
    for (name, image) in &shown {
        let id = format!("picture-{k}-{name}");
        let size = [info.height, info.width];
        page.picture(&id, &picture(image, size, shown.len() * n_planes, path)?);
        images.insert((*name).to_owned(), json!(id));
    }
    Ok(json!({
        "n_cells": plane.rois.len(),
        "images": images,
        "covered": covered as f64 / info.n_pixels().max(1) as f64,
        "bidirectional_offset_px": plane.reference.row_offset,
        "offset": plane.offset,
        "response": {
            "decay_s": plane.spikes.response.decay_s,
            "rise_s": plane.spikes.response.rise_s,
            "decay_events": plane.spikes.response.decay_events,
            "rise_events": plane.spikes.response.rise_events,
        },
        "motion": motion(info, plane),
        "correlation_histogram": correlation_histogram(&registered.correlation),
    }))
}

/// A picture (PNG) of an image, smaller where `n_images` of them would be too many pixels. It is made as a
/// file beside the page, which does not stay.
///
/// # Errors
/// When the image is empty, or the file cannot be written.
pub fn picture(
    image: &[f32],
    [height, width]: [usize; 2],
    n_images: usize,
    page: &Path,
) -> Outcome<Vec<u8>> {
    // A field may be narrow: it keeps a pixel each way.
    let factor = shrinking(height * width, n_images).min(height.min(width).max(1));
    let size = [height / factor, width / factor];
    let file = page.with_extension("picture.png");
    write_picture(&file, size[0], size[1], &shrunk(image, width, size, factor))?;
    let png = std::fs::read(&file).and_then(|png| std::fs::remove_file(&file).map(|()| png));
    Ok(png.map_err(|source| IoError::Read {
        path: file.clone(),
        source,
    })?)
}

/// By which whole factor `n_images` images of `n_pixels` pixels are made smaller.
fn shrinking(n_pixels: usize, n_images: usize) -> usize {
    let share = (n_pixels * n_images) as f64 / MAX_PICTURE_PIXELS as f64;
    share.sqrt().ceil().max(1.0) as usize
}

/// An image in which each pixel is the mean of `factor` × `factor` ones.
fn shrunk(
    image: &[f32],
    from_width: usize,
    [height, width]: [usize; 2],
    factor: usize,
) -> Vec<f32> {
    let n = (factor * factor) as f32;
    (0..height * width)
        .map(|pixel| {
            let (y, x) = (pixel / width * factor, pixel % width * factor);
            let rows = (y..y + factor).flat_map(|y| &image[y * from_width + x..][..factor]);
            rows.sum::<f32>() / n
        })
        .collect()
}

/// Motion over time: extremes of the shifts of the frames of each bin, how far parts of a frame moved otherwise, and the fit.
fn motion(info: &MovieInfo, plane: &PlaneResult) -> Value {
    let registered = &plane.registered;
    let n = registered.shifts.len();
    let frames = n.div_ceil(MAX_MOTION_BINS).max(1);
    let rounded = |value: f32| (f64::from(value) * 1000.0).round() / 1000.0;
    let extremes = |part: usize| -> [Vec<f64>; 2] {
        let of = |better: fn(f32, f32) -> f32, start: f32| {
            registered
                .shifts
                .chunks(frames)
                .map(|chunk| rounded(chunk.iter().fold(start, |most, s| better(most, s[part]))))
                .collect()
        };
        [of(f32::min, f32::INFINITY), of(f32::max, f32::NEG_INFINITY)]
    };
    let half = registered.knots_per_frame / 2;
    let apart: Vec<f64> = if half > 1 {
        registered
            .knots
            .chunks(registered.knots_per_frame)
            .zip(&registered.shifts)
            .map(|(knots, shift)| {
                let (along_y, along_x) = knots.split_at(half);
                along_y
                    .iter()
                    .zip(along_x)
                    .map(|(y, x)| (y - shift[0]).hypot(x - shift[1]))
                    .fold(0.0f32, f32::max)
            })
            .collect::<Vec<f32>>()
            .chunks(frames)
            .map(|chunk| rounded(chunk.iter().copied().fold(0.0, f32::max)))
            .collect()
    } else {
        Vec::new()
    };
    let fit = |better: fn(f32, f32) -> f32, start: f32| -> Vec<f64> {
        registered
            .correlation
            .chunks(frames)
            .map(|chunk| rounded(chunk.iter().copied().fold(start, better)))
            .collect()
    };
    json!({
        "bin_s": frames as f64 / info.frame_rate_hz,
        "y": extremes(0),
        "x": extremes(1),
        "apart": apart,
        "correlation": [fit(f32::min, f32::INFINITY), fit(f32::max, f32::NEG_INFINITY)],
        "bad": registered.bad_frames.chunks(frames)
            .map(|chunk| chunk.iter().filter(|bad| **bad).count()).collect::<Vec<_>>(),
        "n_bad": registered.bad_frames.iter().filter(|bad| **bad).count(),
    })
}

/// How many frames fit how well.
fn correlation_histogram(correlation: &[f32]) -> Value {
    let finite = || correlation.iter().copied().filter(|v| v.is_finite());
    let low = finite().fold(1.0f32, f32::min);
    let high = finite().fold(low, f32::max);
    let mut counts = vec![0u32; CORRELATION_BINS];
    for value in finite() {
        let share = (value - low) / (high - low).max(f32::MIN_POSITIVE);
        counts[((share * CORRELATION_BINS as f32) as usize).min(CORRELATION_BINS - 1)] += 1;
    }
    json!({ "range": [low, high], "counts": counts })
}

/// Tables, outlines and traces of every cell.
fn cells(page: &mut Blocks<'_>, info: &MovieInfo, planes: &[PlaneResult]) -> Outcome {
    let cells = Cells::open(planes, info)?;
    let ids: Vec<usize> = (0..cells.n_cells()).collect();
    let mut summaries = Vec::with_capacity(ids.len());
    let rows = ids.chunks(CELLS_TOGETHER).flat_map(|ids| {
        let made: Vec<Outcome<(Value, Row)>> = ids.par_iter().map(|&id| cells.cell(id)).collect();
        made.into_iter()
            .map(|made| {
                let (summary, row) = made?;
                summaries.push(summary);
                Ok(row)
            })
            .collect::<Vec<_>>()
    });
    page.rows("traces", &cells.layout(), rows)?;
    page.list("cells", &summaries)?;
    page.json("traces-about", &cells.about())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_fields_are_shown_smaller() {
        assert_eq!(shrinking(512 * 512, 3), 1);
        assert_eq!(shrinking(4096 * 4096, 3), 3);
        assert_eq!(shrinking(1024 * 1024, 30), 3);
        let image = [1.0, 2.0, 3.0, 4.0, 9.0, 6.0, 7.0, 8.0, 9.0, 10.0];
        // Two rows of five, of which the last column is left over.
        assert_eq!(shrunk(&image, 5, [1, 2], 2), [4.0, 6.0]);
    }

    #[test]
    fn every_frame_is_in_the_histogram() {
        let made = correlation_histogram(&[0.5, 0.75, 1.0, f32::NAN]);
        assert_eq!(made["range"], json!([0.5, 1.0]));
        assert_eq!(made["counts"][0], 1);
        assert_eq!(made["counts"][30], 1);
        assert_eq!(made["counts"][59], 1);
    }
}
