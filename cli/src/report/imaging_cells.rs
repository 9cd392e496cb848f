//! What the report shows of each cell: its pixels, its measures, and its traces, which are bounded whatever the movie's length.
//!
//! A trace of 100,000 frames has more values than a screen has columns. The whole of it is shown by the extremes of bins; every frame is
//! there of a stretch, the one in which the cell is most active. Movies that are short are there in full. All cells together take
//! [`MAX_TRACE_BYTES`]. Values have 8 bits, of the range of what is shown: a drawing is about 150 points high.

use serde_json::{Value, json};
use somata_engine::{
    error::EngineError,
    imaging::{
        deconvolution::{Derived, derived_place},
        extraction::{Extracted, place},
        imager::PlaneResult,
        trace_file::TraceReader,
    },
    movie::MovieInfo,
};

use super::rows::{Layout, Row, to_u8};
use crate::{exit::Outcome, imaging_output::red_cells};

/// Packed traces of all cells, at most; base64 makes a third more of them.
const MAX_TRACE_BYTES: usize = 11_760_000;
/// Bytes of one cell: at least, and at most.
const BYTES_OF_CELL: [usize; 2] = [580, 24_000];
/// Bytes of a bin of the overview (two extremes, spikes, half of raw and neuropil, and the latter two again of a second channel) and of a
/// frame of the stretch.
const BIN_BYTES: usize = 4;
const SECOND_BIN_BYTES: usize = 1;
const FRAME_BYTES: usize = 3;

/// Makes blocks of cells.
pub struct Cells<'a> {
    planes: Vec<Plane<'a>>,
    has_second: bool,
    width: usize,
    n_frames: usize,
    frame_rate_hz: f64,
    n_bins: usize,
    n_coarse: usize,
    stretch: usize,
}

struct Plane<'a> {
    result: &'a PlaneResult,
    extracted: TraceReader<'a>,
    derived: TraceReader<'a>,
    second: Option<Second<'a>>,
}

/// The channel that was moved along.
struct Second<'a> {
    extracted: TraceReader<'a>,
    /// Of each cell, how bright it is there against its surround.
    probability: Vec<f64>,
}

/// Bins of the overview, of `bin_bytes` each, and frames of the stretch for a number of cells.
fn sizes(n_cells: usize, n_frames: usize, bin_bytes: usize) -> [usize; 2] {
    let [least, most] = BYTES_OF_CELL;
    let bytes = (MAX_TRACE_BYTES / n_cells.max(1)).clamp(least, most);
    // A movie that fits is there whole; else the overview gets most of it.
    let stretch = bytes * 2 / 7 / FRAME_BYTES;
    let bins = bytes * 5 / 7 / bin_bytes;
    [bins.min(n_frames).max(1), stretch.min(n_frames).max(1)]
}

impl<'a> Cells<'a> {
    /// Opens the traces.
    ///
    /// # Errors
    /// When a file is not there.
    pub fn open(planes: &'a [PlaneResult], info: &MovieInfo) -> Outcome<Self> {
        let planes = planes
            .iter()
            .map(|plane| {
                Ok(Plane {
                    result: plane,
                    extracted: plane.extracted.open()?,
                    derived: plane.spikes.traces.open()?,
                    second: match &plane.second {
                        Some(second) => Some(Second {
                            extracted: second.extracted.open()?,
                            probability: red_cells(&plane.rois, &second.mean, info.width)
                                .into_iter()
                                .map(|(_, probability)| probability)
                                .collect(),
                        }),
                        None => None,
                    },
                })
            })
            .collect::<Outcome<Vec<_>>>()?;
        let n_cells = planes.iter().map(|plane| plane.result.rois.len()).sum();
        let has_second = planes.iter().any(|plane| plane.second.is_some());
        let bin_bytes = BIN_BYTES + usize::from(has_second) * SECOND_BIN_BYTES;
        let [n_bins, stretch] = sizes(n_cells, info.n_frames, bin_bytes);
        Ok(Self {
            planes,
            has_second,
            width: info.width,
            n_frames: info.n_frames,
            frame_rate_hz: info.frame_rate_hz,
            n_bins,
            n_coarse: n_bins.div_ceil(2),
            stretch,
        })
    }

    /// Cells of all planes.
    pub fn n_cells(&self) -> usize {
        self.planes
            .iter()
            .map(|plane| plane.result.rois.len())
            .sum()
    }

    /// Packed numbers of a cell.
    pub fn layout(&self) -> Layout {
        let layout = Layout::default()
            .with::<u8>("trace", self.stretch)
            .with::<u8>("denoised", self.stretch)
            .with::<u8>("stretch_spikes", self.stretch)
            .with::<u8>("dff_low", self.n_bins)
            .with::<u8>("dff_high", self.n_bins)
            .with::<u8>("spikes", self.n_bins)
            .with::<u8>("raw", self.n_coarse)
            .with::<u8>("neuropil", self.n_coarse);
        if self.has_second {
            layout
                .with::<u8>("second_raw", self.n_coarse)
                .with::<u8>("second_neuropil", self.n_coarse)
        } else {
            layout
        }
    }

    /// Scales that all cells share.
    pub fn about(&self) -> Value {
        json!({
            "n_bins": self.n_bins,
            "stretch_frames": self.stretch,
            "whole": self.stretch == self.n_frames,
            "frames_of_bin": self.n_frames as f64 / self.n_bins as f64,
        })
    }

    /// What is said of a cell, and its numbers.
    ///
    /// # Errors
    /// When a trace cannot be read.
    pub fn cell(&self, id: usize) -> Outcome<(Value, Row)> {
        let (mut own, mut k) = (id, 0);
        while own >= self.planes[k].result.rois.len() {
            own -= self.planes[k].result.rois.len();
            k += 1;
        }
        let plane = &self.planes[k];
        let (roi, n) = (&plane.result.rois[own], plane.result.rois.len());
        let extracted = |kind| self.read(&plane.extracted, place(kind, own, n));
        let derived = |kind| self.read(&plane.derived, derived_place(kind, own));
        let dff = derived(Derived::Dff)?;
        let spikes = derived(Derived::Spikes)?;
        let trace = extracted(Extracted::Demixed)?;
        let denoised = derived(Derived::Denoised)?;
        let raw = extracted(Extracted::Raw)?;
        let neuropil = extracted(Extracted::Neuropil)?;

        let [dff_low, dff_high] =
            [f32::min, f32::max].map(|better| binned(&dff, self.n_bins, better));
        let most_spikes = binned(&spikes, self.n_bins, f32::max);
        let [raw_bins, neuropil_bins] = [&raw, &neuropil].map(|row| means(row, self.n_coarse));
        let dff_range = range([&dff_low[..], &dff_high[..]]);
        let light_range = range([&raw_bins[..], &neuropil_bins[..]]);
        let largest_spike = most_spikes.iter().copied().fold(0.0f32, f32::max);
        let start = busiest(&spikes, self.stretch);
        let stretch = start..start + self.stretch;
        let trace_range = range([&trace[stretch.clone()], &denoised[stretch.clone()]]);
        let eights = |values: &[f32], [low, high]: [f64; 2]| -> Vec<u8> {
            values
                .iter()
                .map(|&v| to_u8(f64::from(v), low, high))
                .collect()
        };
        let spike_range = [0.0, f64::from(largest_spike)];
        let mut row = Row::default()
            .with("trace", eights(&trace[stretch.clone()], trace_range))
            .with("denoised", eights(&denoised[stretch.clone()], trace_range))
            .with("stretch_spikes", eights(&spikes[stretch], spike_range))
            .with("dff_low", eights(&dff_low, dff_range))
            .with("dff_high", eights(&dff_high, dff_range))
            .with("spikes", eights(&most_spikes, spike_range))
            .with("raw", eights(&raw_bins, light_range))
            .with("neuropil", eights(&neuropil_bins, light_range));
        let mut of_second = None;
        if let Some(second) = &plane.second {
            let read = |kind| self.read(&second.extracted, place(kind, own, n));
            let bins = [
                means(&read(Extracted::Raw)?, self.n_coarse),
                means(&read(Extracted::Neuropil)?, self.n_coarse),
            ];
            let second_range = range([&bins[0][..], &bins[1][..]]);
            row = row
                .with("second_raw", eights(&bins[0], second_range))
                .with("second_neuropil", eights(&bins[1], second_range));
            of_second = Some((second.probability[own], second_range));
        }

        let statistics = &plane.result.spikes.statistics[own];
        let [y, x] = roi.centre(self.width);
        let offset = f64::from(plane.result.offset);
        let active = spikes.iter().filter(|spike| **spike > 0.0).count();
        let mut summary = json!({
            "cell": id,
            "plane": k,
            "y_px": y,
            "x_px": x,
            "area_px": roi.body.len(),
            "probability": plane.result.cell_probability[own],
            "network_probability": roi.probability,
            "found_by": roi.origin.name(),
            "footprint_snr": roi.footprint_snr,
            "trace_noise": statistics.noise,
            "trace_snr": statistics.snr,
            "skew": statistics.skew,
            "decay_s": statistics.decay_s,
            "active_per_min": active as f64 * 60.0 * self.frame_rate_hz / self.n_frames as f64,
            // How bright the surround is against the cell, above a pixel without light.
            "neuropil_ratio": (mean(&neuropil) - offset) / (mean(&raw) - offset),
            "neuropil_correlation": correlation(&raw, &neuropil),
            "runs": runs(&roi.body, self.width),
            "dff_range": dff_range,
            "light_range": light_range,
            "trace_range": trace_range,
            "largest_spike": largest_spike,
            "stretch_start": start,
        });
        if let Some((probability, second_range)) = of_second {
            summary["second_probability"] = json!(probability);
            summary["second_range"] = json!(second_range);
        }
        Ok((summary, row))
    }

    fn read(&self, reader: &TraceReader<'_>, place: usize) -> Result<Vec<f32>, EngineError> {
        let mut row = vec![0.0; self.n_frames];
        reader.read(place, &mut row)?;
        Ok(row)
    }
}

/// First and end frame of a bin.
fn bin(k: usize, n_bins: usize, n_frames: usize) -> std::ops::Range<usize> {
    k * n_frames / n_bins..(k + 1) * n_frames / n_bins
}

/// An extreme of each bin. There are at least as many frames as bins.
pub fn binned(row: &[f32], n_bins: usize, better: fn(f32, f32) -> f32) -> Vec<f32> {
    (0..n_bins)
        .map(|k| {
            row[bin(k, n_bins, row.len())]
                .iter()
                .copied()
                .reduce(better)
                .unwrap_or(0.0)
        })
        .collect()
}

/// The mean of each bin.
fn means(row: &[f32], n_bins: usize) -> Vec<f32> {
    (0..n_bins)
        .map(|k| mean(&row[bin(k, n_bins, row.len())]) as f32)
        .collect()
}

fn mean(row: &[f32]) -> f64 {
    row.iter().map(|&v| f64::from(v)).sum::<f64>() / row.len().max(1) as f64
}

/// Least and largest finite value of some rows.
pub fn range<const N: usize>(rows: [&[f32]; N]) -> [f64; 2] {
    let finite = || {
        rows.iter()
            .flat_map(|row| row.iter())
            .copied()
            .filter(|v| v.is_finite())
    };
    let low = finite().fold(f32::INFINITY, f32::min);
    let high = finite().fold(f32::NEG_INFINITY, f32::max);
    if low <= high {
        [f64::from(low), f64::from(high)]
    } else {
        [0.0, 0.0]
    }
}

/// Pearson's correlation; NaN where a row is constant.
pub fn correlation(a: &[f32], b: &[f32]) -> f64 {
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (&x, &y) in a.iter().zip(b) {
        let (x, y) = (f64::from(x) - mean_a, f64::from(y) - mean_b);
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    ab / (aa * bb).sqrt()
}

/// Where the stretch of `length` frames with the largest sum begins; the first of those that are alike.
fn busiest(spikes: &[f32], length: usize) -> usize {
    let mut sum: f64 = spikes[..length].iter().map(|&v| f64::from(v)).sum();
    let (mut best, mut start) = (sum, 0);
    for end in length..spikes.len() {
        sum += f64::from(spikes[end]) - f64::from(spikes[end - length]);
        // A sum of differences wanders in its last digits; silence must not look like activity.
        if sum > best + 1e-9 * best.abs() + 1e-12 {
            (best, start) = (sum, end + 1 - length);
        }
    }
    start
}

/// The body row by row: y, first x, number of pixels, and again.
pub fn runs(body: &[u32], width: usize) -> Vec<usize> {
    let mut runs: Vec<usize> = Vec::new();
    let mut next = None;
    for &pixel in body {
        let pixel = pixel as usize;
        if next == Some(pixel) && !pixel.is_multiple_of(width) {
            *runs.last_mut().expect("a run was begun") += 1;
        } else {
            runs.extend([pixel / width, pixel % width, 1]);
        }
        next = Some(pixel + 1);
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_of_all_cells_fit_into_their_bound() {
        for (cells, frames) in [
            (0, 2),
            (1, 100_000),
            (200, 1200),
            (2000, 100_000),
            (20_000, 1_000_000),
        ] {
            for bin_bytes in [BIN_BYTES, BIN_BYTES + SECOND_BIN_BYTES] {
                let [bins, stretch] = sizes(cells, frames, bin_bytes);
                assert!((1..=frames).contains(&bins) && (1..=frames).contains(&stretch));
                let bytes = cells * (bins * bin_bytes + stretch * FRAME_BYTES);
                assert!(bytes <= MAX_TRACE_BYTES, "{bytes} of {cells} cells");
            }
        }
        assert_eq!(sizes(100, 1200, BIN_BYTES), [1200, 1200]);
    }

    #[test]
    fn bins_keep_extremes_and_the_busiest_stretch_is_found() {
        let row = [0.0, 5.0, -1.0, 0.0, 2.0, 0.0, 0.0];
        assert_eq!(binned(&row, 3, f32::max), [5.0, 0.0, 2.0]);
        assert_eq!(binned(&row, 3, f32::min), [0.0, -1.0, 0.0]);
        assert_eq!(binned(&row, 7, f32::max), row);
        assert_eq!(means(&row, 2), [4.0 / 3.0, 0.5]);
        assert_eq!(busiest(&row.map(|v| v.max(0.0)), 2), 0);
        assert_eq!(busiest(&[0.0, 0.0, 1.0, 3.0, 0.0], 2), 2);
        assert_eq!(busiest(&[0.0; 5], 5), 0);
        assert_eq!(range([&[1.0, f32::NAN][..], &[-2.0][..]]), [-2.0, 1.0]);
        assert_eq!(range([&[f32::NAN][..]]), [0.0, 0.0]);
        assert!((correlation(&[1.0, 2.0, 3.0], &[2.0, 4.0, 6.0]) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_body_is_told_row_by_row() {
        let body = [3, 4, 9, 10, 12];
        // Five columns: pixel 4 ends the first row, 9 the second, 10 begins the third.
        assert_eq!(runs(&body, 5), [0, 3, 2, 1, 4, 1, 2, 0, 1, 2, 2, 1]);
    }
}
