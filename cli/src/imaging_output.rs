//! The result folder of an imaging run: Suite2p's files, masks, traces, projections, manifest.

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use somata_engine::{
    device::Executor,
    error::EngineError,
    imaging::{
        ImagingResult,
        deconvolution::{Derived, derived_place},
        extraction::{Extracted, place},
        imager::PlaneResult,
        rois::{Origin, Roi},
        trace_file::TraceReader,
    },
    movie::{Movie, MovieInfo},
    parameters::imaging::ImagingParameters,
    stream::Control,
};
use somata_io::{
    IoError,
    atomic::write_file,
    imaging_output::{
        Mask,
        cell_table::{CellColumn, write_cells_csv},
        imagej_roi::{ImagejRoi, RoiShape, write_roi_zip},
        label_image::{label_image, write_label_tiff},
        picture::{write_outlined_picture, write_picture},
        suite2p::{
            NonrigidShifts, SecondChannel, Suite2pPlane, Suite2pRoi, Suite2pSettings,
            write_suite2p_plane,
        },
        tiff_writer::write_projection_tiff,
        traces::{TraceKind, TraceSource, write_traces_npz},
    },
};

use crate::{
    adapt::OpenMovie,
    again::{absolute, command_line, path_text},
    commands::image,
    exit::Outcome,
    run::rate,
    sorting_output::{peak_memory, seconds_since_epoch},
};

/// A result with what it was made from.
pub struct Made<'a> {
    /// What was asked for.
    pub arguments: &'a image::Arguments,
    /// The movie.
    pub movie: &'a OpenMovie,
    /// Parameters.
    pub parameters: &'a ImagingParameters,
    /// What came out.
    pub result: &'a ImagingResult,
    /// Decay that the user gave, s.
    pub tau: Option<f64>,
    /// Channel in which cells are active, from 1.
    pub functional_channel: usize,
    /// Where the result will be.
    pub final_folder: &'a Path,
}

/// Disk that the work folder takes, bytes: the binned movie and the traces (of about a cell every 600 pixels) of each channel that
/// has some.
pub fn estimate_disk(info: &MovieInfo, parameters: &ImagingParameters) -> u64 {
    let pixels = info.n_pixels() as u64;
    let bins = (info.n_frames as u64 / 10).min(u64::from(parameters.binning.max_bins)) + 1;
    let cells = pixels / 600 + 1;
    // Three traces as they are measured, four that are made of them; a second channel has only the former.
    let traces = if info.n_channels > 1 { 10 } else { 7 };
    info.n_planes as u64 * (2 * pixels * bins + 4 * traces * cells * info.n_frames as u64)
}

/// Names of the stages of a run.
pub fn stages(info: &MovieInfo) -> Vec<&'static str> {
    let mut stages = vec!["registration", "cells", "traces", "spikes"];
    if info.n_channels > 1 {
        stages.push("second channel");
    }
    stages
}

/// Everything that says how a result was made.
pub fn manifest(
    made: &Made<'_>,
    key: &str,
    executor: &dyn Executor,
    control: &Control,
    seconds: f64,
    weights: &str,
) -> Value {
    let info = made.movie.info();
    let description = made.movie.description();
    let planes: Vec<Value> = made
        .result
        .planes
        .iter()
        .map(|plane| {
            let shifts = &plane.registered.shifts;
            let largest = shifts
                .iter()
                .flatten()
                .fold(0.0f32, |most, s| most.max(s.abs()));
            let by = |origin: Origin| plane.rois.iter().filter(|roi| roi.origin == origin).count();
            json!({
                "n_cells": plane.rois.len(),
                "n_by_activity": by(Origin::Activity),
                "n_by_stillness": by(Origin::Stillness),
                "largest_shift_px": largest,
                "bidirectional_offset_px": plane.reference.row_offset,
                "bad_frames": plane.registered.bad_frames.iter().filter(|bad| **bad).count(),
                "offset": plane.offset,
                "decay_s": plane.spikes.response.decay_s,
                "rise_s": plane.spikes.response.rise_s,
                "decay_events": plane.spikes.response.decay_events,
                "rise_events": plane.spikes.response.rise_events,
            })
        })
        .collect();
    json!({
        "somata": env!("CARGO_PKG_VERSION"),
        "kind": "image",
        "key": key,
        "command": command_line(),
        "arguments": made.arguments,
        "finished": seconds_since_epoch(),
        "seconds": seconds,
        "frames_per_second": rate((info.n_frames * info.n_planes) as f64, seconds),
        "peak_memory_bytes": peak_memory(),
        "device": executor.name(),
        "inputs": description.paths.iter().map(|path| json!({
            "path": path_text(&absolute(path)),
            "bytes": somata_io::checksum::total_bytes(path).unwrap_or(0),
        })).collect::<Vec<_>>(),
        "input_fingerprint": description.identity,
        "movie": {
            "format": description.format,
            "height": info.height,
            "width": info.width,
            "n_frames": info.n_frames,
            "n_planes": info.n_planes,
            "n_channels": info.n_channels,
            "frame_rate_hz": info.frame_rate_hz,
            "pixel_type": description.pixel_type.numpy_name(),
            "pixel_size_um": description.pixel_size_um,
        },
        "tau_s": made.tau,
        "functional_channel": made.functional_channel,
        "weights": weights,
        "not_finite_values": made.result.planes.iter()
            .map(|plane| plane.registered.not_finite.count + plane.second.as_ref().map_or(0, |second| second.not_finite.count))
            .sum::<u64>(),
        "bin_frames": made.result.bin_frames,
        "planes": planes,
        "n_cells": made.result.planes.iter().map(|plane| plane.rois.len()).sum::<usize>(),
        "stages": control.stages(),
        "kernels": executor.kernel_times().iter()
            .map(|(stem, (calls, time))| json!({ "kernel": stem, "calls": calls, "seconds": time.as_secs_f64() }))
            .collect::<Vec<_>>(),
        "not_bit_stable_between_processors": ["convolve", "transform_rows", "filter_columns"],
        "warnings": control.warnings(),
        "parameters": made.parameters,
    })
}

/// Pixels of the bodies as rows and columns.
struct Places {
    ypix: Vec<i64>,
    xpix: Vec<i64>,
    lam: Vec<f32>,
}

impl Places {
    fn of(roi: &Roi, width: usize) -> Self {
        let split = |part: fn(usize, usize) -> usize| -> Vec<i64> {
            roi.body
                .iter()
                .map(|&p| part(p as usize, width) as i64)
                .collect()
        };
        Self {
            ypix: split(|p, w| p / w),
            xpix: split(|p, w| p % w),
            // A dark nucleus is part of the cell: it has some weight, since a pixel without any would be no pixel to other tools.
            lam: roi
                .body
                .iter()
                .map(|pixel| {
                    let at = roi.pixels.binary_search(pixel);
                    at.map_or(0.0, |at| roi.weights[at]).max(0.01)
                })
                .collect(),
        }
    }

    fn mask(&self) -> Mask<'_> {
        Mask {
            ypix: &self.ypix,
            xpix: &self.xpix,
            lam: &self.lam,
        }
    }
}

/// Traces of the cells of some planes, one plane after the other.
struct PlaneTraces<'a> {
    planes: Vec<(&'a PlaneResult, Readers<'a>)>,
    n_frames: usize,
    /// Why a trace could not be read; a writer's error has no place for it.
    failure: RefCell<Option<EngineError>>,
}

struct Readers<'a> {
    extracted: TraceReader<'a>,
    derived: TraceReader<'a>,
    second: Option<TraceReader<'a>>,
}

impl<'a> PlaneTraces<'a> {
    fn open(planes: &'a [PlaneResult], n_frames: usize) -> Outcome<Self> {
        let planes = planes
            .iter()
            .map(|plane| {
                let readers = Readers {
                    extracted: plane.extracted.open()?,
                    derived: plane.spikes.traces.open()?,
                    second: match &plane.second {
                        None => None,
                        Some(second) => Some(second.extracted.open()?),
                    },
                };
                Ok((plane, readers))
            })
            .collect::<Outcome<Vec<_>>>()?;
        Ok(Self {
            planes,
            n_frames,
            failure: RefCell::default(),
        })
    }

    /// What a writer of these traces returned; where it failed since one could not be read, that is the failure.
    fn outcome<T>(&self, written: Result<T, IoError>) -> Outcome<T> {
        written.map_err(|error| match self.failure.take() {
            Some(failure) => failure.into(),
            None => error.into(),
        })
    }
}

impl TraceSource for PlaneTraces<'_> {
    fn n_cells(&self) -> usize {
        self.planes.iter().map(|(plane, _)| plane.rois.len()).sum()
    }

    fn n_frames(&self) -> usize {
        self.n_frames
    }

    fn read_row(&mut self, kind: TraceKind, cell: usize, row: &mut [f32]) -> Result<(), IoError> {
        let mut own = cell;
        let mut found = None;
        for (plane, readers) in &self.planes {
            if own < plane.rois.len() {
                found = Some((plane, readers));
                break;
            }
            own -= plane.rois.len();
        }
        let (plane, readers) = found.expect("a cell of one of the planes");
        let n = plane.rois.len();
        let failed = |error: EngineError| {
            let told = IoError::Read {
                path: "traces in the work folder".into(),
                source: std::io::Error::other(error.to_string()),
            };
            self.failure.replace(Some(error));
            told
        };
        let extracted = |kind, row: &mut [f32]| {
            readers
                .extracted
                .read(place(kind, own, n), row)
                .map_err(failed)
        };
        let derived = |kind, row: &mut [f32]| {
            readers
                .derived
                .read(derived_place(kind, own), row)
                .map_err(failed)
        };
        let second = |kind, row: &mut [f32]| {
            let reader = readers
                .second
                .as_ref()
                .expect("asked for where there is one");
            reader.read(place(kind, own, n), row).map_err(failed)
        };
        match kind {
            TraceKind::Fluorescence => extracted(Extracted::Raw, row),
            TraceKind::Neuropil => extracted(Extracted::Neuropil, row),
            TraceKind::DeltaFOverF => derived(Derived::Dff, row),
            TraceKind::Spikes => derived(Derived::Spikes, row),
            TraceKind::FluorescenceChannel2 => second(Extracted::Raw, row),
            TraceKind::NeuropilChannel2 => second(Extracted::Neuropil, row),
            TraceKind::Corrected | TraceKind::Denoised => {
                // Demixed light is relative to its mean; the mean is how much brighter the cell is than what is around it.
                let mut other = vec![0.0f32; row.len()];
                let mean = |row: &[f32]| {
                    row.iter().map(|&v| f64::from(v)).sum::<f64>() / row.len().max(1) as f64
                };
                extracted(Extracted::Raw, &mut other)?;
                let raw = mean(&other);
                extracted(Extracted::Neuropil, &mut other)?;
                let own_mean = (raw - mean(&other)) as f32;
                if kind == TraceKind::Corrected {
                    extracted(Extracted::Demixed, row)?;
                } else {
                    derived(Derived::Denoised, row)?;
                }
                row.iter_mut().for_each(|value| *value += own_mean);
                Ok(())
            }
        }
    }
}

/// Writes the files of a result into `folder`: all but report, log and manifest.
///
/// # Errors
/// When a file cannot be written.
pub fn write(folder: &Path, made: &Made<'_>) -> Outcome {
    let info = made.movie.info();
    let planes = &made.result.planes;
    let places: Vec<Vec<Places>> = planes
        .iter()
        .map(|plane| {
            plane
                .rois
                .iter()
                .map(|roi| Places::of(roi, info.width))
                .collect()
        })
        .collect();
    for (k, (plane, places)) in planes.iter().zip(&places).enumerate() {
        write_plane(folder, made, k, plane, places)?;
    }
    write_masks(folder, info, &places)?;
    write_projections(folder, info, planes, &places)?;
    let times: Vec<f64> = (0..info.n_frames)
        .map(|t| t as f64 / info.frame_rate_hz)
        .collect();
    let mut traces = PlaneTraces::open(planes, info.n_frames)?;
    let written = write_traces_npz(&folder.join("traces.npz"), &times, &mut traces);
    traces.outcome(written)?;
    write_cells(folder, info, planes)?;
    write_file(
        &folder.join("motion.csv"),
        motion_csv(info, planes).as_bytes(),
    )?;
    Ok(())
}

/// First and end of the rows or columns that nearly all frames measured.
fn covered(measured: &[f32], height: usize, width: usize) -> ([usize; 2], [usize; 2]) {
    // The middle of a row or column says whether motion took it out of the frame.
    let rows: Vec<usize> = (0..height)
        .filter(|y| measured[y * width + width / 2] > 0.98)
        .collect();
    let columns: Vec<usize> = (0..width)
        .filter(|x| measured[height / 2 * width + x] > 0.98)
        .collect();
    let range = |found: &[usize], all: usize| match (found.first(), found.last()) {
        (Some(first), Some(last)) => [*first, last + 1],
        _ => [0, all],
    };
    (range(&rows, height), range(&columns, width))
}

/// An image stretched to 0 to 1 between its 1st and 99th percentile.
fn stretched(image: &[f32]) -> Vec<f32> {
    let mut sorted = image.to_vec();
    sorted.sort_by(f32::total_cmp);
    let at = |part: f64| sorted[((sorted.len() - 1) as f64 * part) as usize];
    let (low, high) = (at(0.01), at(0.99));
    let range = (high - low).max(f32::MIN_POSITIVE);
    image
        .iter()
        .map(|value| ((value - low) / range).clamp(0.0, 1.0))
        .collect()
}

fn write_plane(
    folder: &Path,
    made: &Made<'_>,
    k: usize,
    plane: &PlaneResult,
    places: &[Places],
) -> Outcome {
    let info = made.movie.info();
    let (height, width) = (info.height, info.width);
    let registered = &plane.registered;
    let (y_range, x_range) = covered(&registered.measured, height, width);
    let mut areas: Vec<f64> = plane.rois.iter().map(|roi| roi.body.len() as f64).collect();
    areas.sort_by(f64::total_cmp);
    let diameter = areas
        .get(areas.len() / 2)
        .map_or(12.0, |area| 2.0 * (area / std::f64::consts::PI).sqrt());
    let registration = &made.parameters.registration;
    let settings = Suite2pSettings {
        imaging_rate_hz: info.frame_rate_hz,
        decay_time_s: plane.spikes.response.decay_s,
        diameter_px: [diameter; 2],
        n_planes: info.n_planes,
        n_channels: info.n_channels,
        functional_channel: made.functional_channel,
        largest_shift_fraction: registration.max_shift,
        nonrigid: registration.knot_rows * registration.knot_columns > 1,
        bidirectional_phase_px: f64::from(plane.reference.row_offset),
        baseline_window_s: made.parameters.deconvolution.baseline_window_s,
        ..Suite2pSettings::default()
    };
    let enhanced = stretched(&plane.summary.contrast);
    let largest: Vec<f32> = plane.summary.largest.iter().map(|v| v.max(0.0)).collect();
    let knots = Knots::new(made, registered);
    let more: Vec<[(&str, f64); 6]> = plane
        .rois
        .iter()
        .zip(&plane.spikes.statistics)
        .map(|(roi, statistics)| {
            [
                ("network_probability", f64::from(roi.probability)),
                ("footprint_snr", f64::from(roi.footprint_snr)),
                ("trace_noise", f64::from(statistics.noise)),
                ("trace_snr", f64::from(statistics.snr)),
                ("decay_s", f64::from(statistics.decay_s)),
                (
                    "found_by_activity",
                    f64::from(u8::from(roi.origin == Origin::Activity)),
                ),
            ]
        })
        .collect();
    let rois: Vec<Suite2pRoi<'_>> = places
        .iter()
        .enumerate()
        .map(|(cell, places)| {
            let statistics = &plane.spikes.statistics[cell];
            let probability = f64::from(plane.cell_probability[cell]);
            Suite2pRoi {
                ypix: &places.ypix,
                xpix: &places.xpix,
                lam: &places.lam,
                footprint: 0.0,
                skew: statistics.skew,
                std: statistics.std,
                // Suite2p's measure: how much of the variance is not noise.
                snr: 1.0
                    - (statistics.noise / statistics.std.max(f32::MIN_POSITIVE))
                        .powi(2)
                        .min(1.0),
                is_cell: probability >= 0.5,
                probability,
                more: &more[cell],
            }
        })
        .collect();
    let red_cells = plane
        .second
        .as_ref()
        .map(|second| red_cells(&plane.rois, &second.mean, width));
    let inputs: Vec<String> = made
        .movie
        .description()
        .paths
        .iter()
        .map(|path| path_text(&absolute(path)))
        .collect();
    let name = format!("plane{k}");
    let final_folder = made.final_folder.join("suite2p").join(&name);
    let described = Suite2pPlane {
        final_folder: &final_folder,
        input_files: &inputs,
        plane: k,
        height,
        width,
        settings: &settings,
        mean_image: &registered.mean,
        mean_image_enhanced: &enhanced,
        reference_image: &plane.reference.image,
        max_projection: &largest,
        correlation_image: &plane.summary.correlation,
        y_range,
        x_range,
        shifts: &registered.shifts,
        shift_correlation: &registered.correlation,
        nonrigid: (registration.correct && knots.n_blocks[0] * knots.n_blocks[1] > 1)
            .then(|| knots.shifts()),
        bad_frames: &registered.bad_frames,
        second_channel: plane.second.as_ref().map(|second| SecondChannel {
            mean_image: &second.mean,
            red_cells: red_cells.as_deref(),
        }),
        rois: &rois,
    };
    let mut traces = PlaneTraces::open(std::slice::from_ref(plane), info.n_frames)?;
    let written = write_suite2p_plane(&folder.join("suite2p").join(name), &described, &mut traces);
    traces.outcome(written)
}

/// The knots of the shift fields as Suite2p's blocks: a knot stands for the middle of its block.
struct Knots {
    rows: Vec<[usize; 2]>,
    columns: Vec<[usize; 2]>,
    n_blocks: [usize; 2],
    y: Vec<f32>,
    x: Vec<f32>,
    correlation: Vec<f32>,
}

impl Knots {
    fn new(
        made: &Made<'_>,
        registered: &somata_engine::imaging::registration::RegisteredPlane,
    ) -> Self {
        let info = made.movie.info();
        let (rows, columns) = somata_engine::imaging::registration::registrar::knot_grid(
            &made.parameters.registration,
            info.height,
            info.width,
        );
        let (ky, kx) = (rows as usize, columns as usize);
        let extent = |k: usize, n: usize, length: usize| {
            if n == 1 {
                return [0, length];
            }
            let (middle, half) = (
                k * (length - 1) / (n - 1),
                length.div_ceil(2 * (n - 1)).max(1),
            );
            [middle.saturating_sub(half), (middle + half + 1).min(length)]
        };
        let per_frame = registered.knots_per_frame;
        let (mut y, mut x, mut correlation) = (Vec::new(), Vec::new(), Vec::new());
        for (frame, knots) in registered.knots.chunks_exact(per_frame.max(1)).enumerate() {
            let [dy, dx] = registered.shifts[frame];
            let (along_y, along_x) = knots.split_at(per_frame / 2);
            y.extend(along_y.iter().map(|v| v - dy.round()));
            x.extend(along_x.iter().map(|v| v - dx.round()));
            correlation.extend(along_y.iter().map(|_| registered.correlation[frame]));
        }
        let blocks = (0..ky).flat_map(|row| (0..kx).map(move |column| (row, column)));
        let (rows, columns) = blocks
            .map(|(row, column)| (extent(row, ky, info.height), extent(column, kx, info.width)))
            .unzip();
        Self {
            rows,
            columns,
            n_blocks: [ky, kx],
            y,
            x,
            correlation,
        }
    }

    fn shifts(&self) -> NonrigidShifts<'_> {
        NonrigidShifts {
            block_rows: &self.rows,
            block_columns: &self.columns,
            n_blocks: self.n_blocks,
            y: &self.y,
            x: &self.x,
            correlation: &self.correlation,
        }
    }
}

/// Whether each cell is labelled in the second channel: its light in the body over the sum of that and of a ring around it, and whether
/// that is above 0.65. `mean` is `[y, x]`.
pub fn red_cells(rois: &[Roi], mean: &[f32], width: usize) -> Vec<(bool, f64)> {
    let height = mean.len() / width;
    rois.iter()
        .map(|roi| {
            let inside: f64 = roi
                .body
                .iter()
                .map(|&p| f64::from(mean[p as usize]))
                .sum::<f64>()
                / roi.body.len().max(1) as f64;
            let [cy, cx] = roi.centre(width);
            let radius = (roi.body.len() as f64 / std::f64::consts::PI).sqrt();
            let reach = 1.8 * radius + 2.0;
            let (mut sum, mut n) = (0.0, 0.0);
            for y in (cy - reach).max(0.0) as usize..((cy + reach) as usize + 1).min(height) {
                for x in (cx - reach).max(0.0) as usize..((cx + reach) as usize + 1).min(width) {
                    let distance = (y as f64 - cy).hypot(x as f64 - cx);
                    if distance > radius + 1.0 && distance <= reach {
                        sum += f64::from(mean[y * width + x]);
                        n += 1.0;
                    }
                }
            }
            let outside: f64 = sum / f64::max(n, 1.0);
            let total = inside + outside;
            let ratio = if total > 0.0 { inside / total } else { 0.5 };
            (ratio > 0.65, ratio)
        })
        .collect()
}

fn write_masks(folder: &Path, info: &MovieInfo, places: &[Vec<Places>]) -> Outcome {
    let mut first = 0;
    let mut pages = Vec::new();
    let mut rois = Vec::new();
    for (plane, places) in places.iter().enumerate() {
        let masks: Vec<Mask<'_>> = places.iter().map(Places::mask).collect();
        let mut labels = label_image(info.height, info.width, &masks);
        // Cells are counted over all planes, as in the tables.
        for label in labels.iter_mut().filter(|label| **label > 0) {
            *label += first;
        }
        for (k, mask) in masks.iter().enumerate() {
            rois.push(ImagejRoi {
                name: format!("cell-{:05}", first as usize + k),
                position: plane as u32 + 1,
                shape: RoiShape::from_mask(mask),
            });
        }
        first += masks.len() as u32;
        pages.push(labels);
    }
    let pages: Vec<&[u32]> = pages.iter().map(Vec::as_slice).collect();
    write_label_tiff(&folder.join("masks.tif"), info.height, info.width, &pages)?;
    write_roi_zip(&folder.join("rois.zip"), &rois)?;
    Ok(())
}

fn write_projections(
    folder: &Path,
    info: &MovieInfo,
    planes: &[PlaneResult],
    places: &[Vec<Places>],
) -> Outcome {
    let (height, width) = (info.height, info.width);
    let projection = |name: &str, image: &dyn Fn(&PlaneResult) -> Vec<f32>| -> Outcome {
        let images: Vec<Vec<f32>> = planes.iter().map(image).collect();
        let pages: Vec<&[f32]> = images.iter().map(Vec::as_slice).collect();
        write_projection_tiff(&folder.join(format!("{name}.tif")), height, width, &pages)?;
        for (k, image) in images.iter().enumerate() {
            write_picture(
                &plane_file(folder, name, k, planes.len(), "png"),
                height,
                width,
                image,
            )?;
        }
        Ok(())
    };
    projection("mean", &|plane| plane.registered.mean.clone())?;
    projection("max", &|plane| {
        plane.summary.largest.iter().map(|v| v.max(0.0)).collect()
    })?;
    projection("correlation", &|plane| plane.summary.correlation.clone())?;
    projection("variance", &|plane| plane.registered.variance.clone())?;
    for (k, (plane, places)) in planes.iter().zip(places).enumerate() {
        let masks: Vec<Mask<'_>> = places.iter().map(Places::mask).collect();
        let path = plane_file(folder, "cells", k, planes.len(), "png");
        write_outlined_picture(&path, height, width, &plane.registered.mean, &masks)?;
    }
    Ok(())
}

/// `NAME.EXTENSION`, or `NAME_planeK.EXTENSION` where there are several planes.
pub fn plane_file(
    folder: &Path,
    name: &str,
    plane: usize,
    n_planes: usize,
    extension: &str,
) -> PathBuf {
    folder.join(if n_planes == 1 {
        format!("{name}.{extension}")
    } else {
        format!("{name}_plane{plane}.{extension}")
    })
}

fn write_cells(folder: &Path, info: &MovieInfo, planes: &[PlaneResult]) -> Outcome {
    let mut columns: Vec<CellColumn> = [
        "plane",
        "y_px",
        "x_px",
        "area_px",
        "probability",
        "network_probability",
        "found_by",
        "footprint_snr",
        "trace_noise",
        "trace_snr",
        "skew",
        "decay_s",
    ]
    .into_iter()
    .map(|name| CellColumn {
        name: name.into(),
        values: Vec::new(),
    })
    .collect();
    for (k, plane) in planes.iter().enumerate() {
        for (cell, roi) in plane.rois.iter().enumerate() {
            let statistics = &plane.spikes.statistics[cell];
            let [y, x] = roi.centre(info.width);
            let values = [
                k.to_string(),
                format!("{y:.2}"),
                format!("{x:.2}"),
                roi.body.len().to_string(),
                format!("{:.4}", plane.cell_probability[cell]),
                format!("{:.4}", roi.probability),
                roi.origin.name().into(),
                format!("{:.2}", roi.footprint_snr),
                format!("{:.4}", statistics.noise),
                format!("{:.3}", statistics.snr),
                format!("{:.4}", statistics.skew),
                format!("{:.4}", statistics.decay_s),
            ];
            for (column, value) in columns.iter_mut().zip(values) {
                column.values.push(value);
            }
        }
    }
    let n_cells = columns[0].values.len();
    write_cells_csv(&folder.join("cells.csv"), n_cells, &columns)?;
    Ok(())
}

/// Mean shift and fit of every frame.
fn motion_csv(info: &MovieInfo, planes: &[PlaneResult]) -> String {
    use std::fmt::Write as _;
    let mut text = String::from("plane,frame,time_s,shift_y_px,shift_x_px,correlation,bad\n");
    for (k, plane) in planes.iter().enumerate() {
        let registered = &plane.registered;
        for (frame, [y, x]) in registered.shifts.iter().enumerate() {
            writeln!(
                text,
                "{k},{frame},{:.5},{y:.4},{x:.4},{:.5},{}",
                frame as f64 / info.frame_rate_hz,
                registered.correlation[frame],
                u8::from(registered.bad_frames[frame]),
            )
            .expect("string");
        }
    }
    text
}
