//! The simulated movie: tissue that glows and moves, seen through a few photons, for any frame alone.
//!
//! A frame is made in three steps: the plane is drawn on its [`Canvas`] (background × (1 + neuropil) + cells + processes), read off at
//! each pixel's displaced place, and turned into counts (photons, gain, electronic noise). Nothing is carried from one
//! frame to the next: the noise is a function of plane, frame and pixel (Philox), so frames are the same in any order and on any
//! number of threads. Signals are held in memory (4 bytes for each cell and frame), frames never are.

use rayon::prelude::*;

use super::activity::common_signal;
use super::canvas::{Canvas, POINTS_PER_PX};
use super::motion::{Motion, ShiftField};
use super::photons::{Tables, tables};
use super::plane::{Drawing, Plane};
use super::second_session::View;
use super::spec::MovieSpec;
use super::truth::{MovieTruth, ShiftKnots, WeightedFootprint};
use crate::error::Result;
use crate::simulate::philox::{Stream, key_of, philox4x32};

// Each purpose has a range of streams of its own, so that a change of one leaves the others as they were: the moving and the
// still movie of one seed have the same cells, spikes and noise. Above the streams of recordings.
const STREAM_MOTION: u64 = 8 << 20;
const STREAM_COMMON: u64 = (8 << 20) + 1;
const STREAM_VIEW: u64 = (8 << 20) + 2;

/// A movie whose cells, spikes and motion are known; see the module's head.
pub struct SimulatedMovie {
    spec: MovieSpec,
    canvas: Canvas,
    motion: Motion,
    view: Option<View>,
    planes: Vec<Plane>,
    tables: &'static Tables,
}

/// Working memory of one frame.
#[derive(Default)]
struct Scratch {
    drawing: Drawing,
    brightness: Vec<f32>,
    down: Vec<f32>,
    right: Vec<f32>,
}

impl SimulatedMovie {
    /// The movie of `spec`.
    ///
    /// # Errors
    /// If the specification cannot be simulated.
    pub fn new(spec: &MovieSpec) -> Result<Self> {
        spec.check()?;
        let canvas = Canvas::new(spec);
        let common = common_signal(spec, &mut Stream::new(spec.seed, STREAM_COMMON));
        let view = spec
            .second_session
            .as_ref()
            .map(|session| View::new(session, spec, &mut Stream::new(spec.seed, STREAM_VIEW)));
        Ok(Self {
            motion: Motion::new(spec, Stream::new(spec.seed, STREAM_MOTION)),
            planes: (0..spec.n_planes)
                .map(|plane| Plane::new(spec, &canvas, plane, &common, view.as_ref()))
                .collect(),
            view,
            tables: tables(),
            spec: spec.clone(),
            canvas,
        })
    }

    /// The specification.
    pub fn spec(&self) -> &MovieSpec {
        &self.spec
    }

    /// How the tissue moves.
    pub fn motion(&self) -> &Motion {
        &self.motion
    }

    /// Where the first session's places are seen, in a second session.
    pub fn view(&self) -> Option<&View> {
        self.view.as_ref()
    }

    /// Frame `t` of `plane`, `[height, width]`, counts.
    ///
    /// Panics if there is no such plane or frame.
    pub fn frame(&self, plane: usize, t: usize) -> Vec<i16> {
        let mut out = vec![0; self.spec.frame_pixels()];
        self.read(plane, t, &mut out);
        out
    }

    /// Fills `out`, `[frames, height, width]`, with the frames of `plane` from `start_frame` on, on all threads.
    ///
    /// Panics if `out` is not whole frames or reaches beyond the movie's end.
    pub fn read(&self, plane: usize, start_frame: usize, out: &mut [i16]) {
        let n_frames = self.whole_frames(out.len());
        assert!(
            plane < self.planes.len() && start_frame + n_frames <= self.spec.n_frames,
            "frames {start_frame} to {} of plane {plane} of a movie of {} planes of {} frames",
            start_frame + n_frames,
            self.planes.len(),
            self.spec.n_frames
        );
        self.read_pages(n_frames, out, |at| (plane, start_frame + at));
    }

    /// Fills `out` with the pages of the file from `start_page` on: the planes of a frame follow each other.
    ///
    /// Panics as [`Self::read`] does.
    pub fn read_interleaved(&self, start_page: usize, out: &mut [i16]) {
        let n_planes = self.planes.len();
        let n_pages = self.whole_frames(out.len());
        assert!(
            start_page + n_pages <= self.spec.n_frames * n_planes,
            "pages {start_page} to {} of {}",
            start_page + n_pages,
            self.spec.n_frames * n_planes
        );
        self.read_pages(n_pages, out, |at| {
            ((start_page + at) % n_planes, (start_page + at) / n_planes)
        });
    }

    fn whole_frames(&self, n_values: usize) -> usize {
        assert!(
            n_values.is_multiple_of(self.spec.frame_pixels()),
            "whole frames"
        );
        n_values / self.spec.frame_pixels()
    }

    fn read_pages(
        &self,
        n_pages: usize,
        out: &mut [i16],
        plane_and_frame: impl Fn(usize) -> (usize, usize) + Sync,
    ) {
        if n_pages == 0 {
            return;
        }
        out.par_chunks_exact_mut(self.spec.frame_pixels())
            .enumerate()
            .for_each_init(Scratch::default, |scratch, (at, out)| {
                let (plane, t) = plane_and_frame(at);
                self.fill_brightness(plane, t, scratch);
                self.count(plane, t, &scratch.brightness, out);
            });
    }

    /// What frame `t` of `plane` would be without noise, gain and offset: brightness relative to the background, `[height, width]`.
    pub fn brightness(&self, plane: usize, t: usize) -> Vec<f32> {
        let mut scratch = Scratch::default();
        self.fill_brightness(plane, t, &mut scratch);
        scratch.brightness
    }

    /// Share of the fluorescence that bleaching has left in frame `t`.
    pub fn left_by_bleaching(&self, t: usize) -> f64 {
        let course = t as f64 / (self.spec.n_frames.max(2) - 1) as f64;
        (1.0 - self.spec.bleaching_share).powf(course)
    }

    fn fill_brightness(&self, plane: usize, t: usize, scratch: &mut Scratch) {
        let field = self.motion.field(plane, t);
        let rows = self.rows_seen(&field);
        self.planes[plane].draw(&self.canvas, t, rows, &mut scratch.drawing);
        self.look(&field, self.left_by_bleaching(t) as f32, scratch);
    }

    /// Grid rows that a frame with this displacement shows.
    fn rows_seen(&self, field: &ShiftField) -> std::ops::Range<usize> {
        let [[least, most], _] = field.range();
        let first = self.canvas.point_of(-f64::from(most)).floor() as usize;
        let last = self
            .canvas
            .point_of((self.spec.height - 1) as f64 - f64::from(least))
            .ceil() as usize
            + 1;
        first..(last + 1).min(self.canvas.height)
    }

    /// Reads the canvas off at the displaced place of each pixel.
    fn look(&self, field: &ShiftField, factor: f32, scratch: &mut Scratch) {
        let (height, width) = (self.spec.height, self.spec.width);
        let Scratch {
            drawing,
            brightness,
            down,
            right,
        } = scratch;
        let canvas = &drawing.points;
        down.resize(width, 0.0);
        right.resize(width, 0.0);
        brightness.resize(height * width, 0.0);
        let per_px = POINTS_PER_PX as f32;
        let margin = self.canvas.margin_px as f32;
        let stride = self.canvas.width;
        for (y, out) in brightness.chunks_exact_mut(width).enumerate() {
            field.row(y, height, down, right);
            let aside = if y % 2 == 1 {
                self.spec.bidirectional_offset_px as f32
            } else {
                0.0
            };
            let (row, column) = ((y as f32 + margin) * per_px, (margin - aside) * per_px);
            for (x, out) in out.iter_mut().enumerate() {
                let at_row = row - down[x] * per_px;
                let at_column = column + (x as f32 - right[x]) * per_px;
                let (top, left) = (at_row as u32, at_column as u32);
                let (lower, rightward) = (at_row - top as f32, at_column - left as f32);
                let at = top as usize * stride + left as usize;
                let upper_line = &canvas[at..at + 2];
                let lower_line = &canvas[at + stride..at + stride + 2];
                let upper = upper_line[0] + rightward * (upper_line[1] - upper_line[0]);
                let below = lower_line[0] + rightward * (lower_line[1] - lower_line[0]);
                *out = factor * (upper + lower * (below - upper));
            }
        }
    }

    /// Turns brightness into counts. Four pixels share three blocks of random words: two for photons, one for electronic noise each.
    fn count(&self, plane: usize, t: usize, brightness: &[f32], out: &mut [i16]) {
        let key = key_of(self.spec.seed);
        let photons = self.spec.photons as f32;
        let per_photon = (self.spec.gain / self.spec.photons) as f32;
        let (offset, read_noise) = (self.spec.offset as f32, self.spec.read_noise as f32);
        let saturation = f32::from(self.spec.saturation);
        for (group, (brightness, out)) in brightness.chunks(4).zip(out.chunks_mut(4)).enumerate() {
            // The top bit of the last word is clear: the other half of the counters belongs to `Stream`.
            let block = |n: u32| philox4x32([group as u32, t as u32, plane as u32, n], key);
            let words = [block(0), block(1), block(2)];
            for (at, (brightness, out)) in brightness.iter().zip(out).enumerate() {
                let n = self
                    .tables
                    .photons(brightness * photons, [words[0][at], words[1][at]]);
                let noise = read_noise * self.tables.normal(words[2][at]);
                let value = (n * per_photon + offset + noise).clamp(0.0, saturation);
                *out = (value + 0.5) as i32 as i16;
            }
        }
    }

    /// Everything that is known about the movie.
    pub fn truth(&self) -> MovieTruth {
        let (height, width) = (self.spec.height, self.spec.width);
        let mut truth = MovieTruth {
            height,
            width,
            n_frames: self.spec.n_frames,
            frame_rate_hz: self.spec.frame_rate_hz,
            bidirectional_offset_px: self.spec.bidirectional_offset_px,
            spec_json: serde_json::to_string(&self.spec).ok(),
            ..MovieTruth::default()
        };
        let mut numbers = Vec::new();
        let mut first_number = 0;
        for (plane_index, plane) in self.planes.iter().enumerate() {
            for cell in plane.cells.iter().filter(|cell| cell.is_in_frame) {
                let (body, footprint, weights) = cell.shape.masks(height, width);
                truth.bodies.push(body);
                truth.masks.push(WeightedFootprint { footprint, weights });
                truth.active.push(cell.is_active);
                truth.visible.push(cell.visible);
                truth.plane.push(plane_index);
                truth.calcium.push(cell.response.clone());
                truth.spikes.push(cell.spikes.clone());
                // Cells are counted over all planes.
                let number = cell.before.map(|number| (first_number + number) as i32);
                numbers.push(number.unwrap_or(-1));
            }
            first_number += plane.n_first;
        }
        truth.first_session_cell = self.view.is_some().then_some(numbers);
        let [row_knots_px, column_knots_px] = self.motion.knot_positions_px();
        let mut knots = ShiftKnots {
            rows_px: row_knots_px,
            columns_px: column_knots_px,
            y: Vec::new(),
            x: Vec::new(),
        };
        for plane in 0..self.planes.len() {
            let shifts: Vec<[f32; 2]> = (0..self.spec.n_frames)
                .map(|t| self.motion.shift(plane, t))
                .collect();
            truth
                .shift_y
                .push(shifts.iter().map(|shift| shift[0]).collect());
            truth
                .shift_x
                .push(shifts.iter().map(|shift| shift[1]).collect());
            for (t, shift) in shifts.iter().enumerate() {
                let field = self.motion.field(plane, t);
                knots.y.extend(field.y.iter().map(|knot| knot - shift[0]));
                knots.x.extend(field.x.iter().map(|knot| knot - shift[1]));
            }
        }
        truth.knots = Some(knots);
        truth
    }
}

#[cfg(test)]
mod tests {
    use super::super::spec::MovieKind;
    use super::*;

    fn little(kind: MovieKind) -> MovieSpec {
        MovieSpec {
            height: 50,
            width: 70,
            n_frames: 40,
            n_cells: 8,
            n_vessels: 1,
            ..MovieSpec::new(kind)
        }
    }

    #[test]
    fn frames_are_the_same_in_any_order_and_on_any_number_of_threads() {
        for kind in [MovieKind::Hard, MovieKind::Volume] {
            let spec = little(kind);
            let movie = SimulatedMovie::new(&spec).unwrap();
            let pixels = spec.frame_pixels();
            let mut pages = vec![0; pixels * 40 * spec.n_planes];
            movie.read_interleaved(0, &mut pages);
            let one_thread = rayon::ThreadPoolBuilder::new()
                .num_threads(1)
                .build()
                .unwrap();
            one_thread.install(|| {
                let again = SimulatedMovie::new(&spec).unwrap();
                for plane in 0..spec.n_planes {
                    for t in [39, 3, 17] {
                        let page = t * spec.n_planes + plane;
                        assert!(
                            again.frame(plane, t) == pages[page * pixels..][..pixels],
                            "{kind}: frame {t} of plane {plane}"
                        );
                    }
                    let mut some = vec![0; pixels * 5];
                    again.read(plane, 30, &mut some);
                    assert!(some[pixels * 4..] == movie.frame(plane, 34));
                }
            });
        }
    }

    #[test]
    fn a_still_frame_is_the_tissue_itself_and_motion_changes_neither_cells_nor_spikes() {
        let still = SimulatedMovie::new(&little(MovieKind::Still)).unwrap();
        let moving = SimulatedMovie::new(&little(MovieKind::Standard)).unwrap();
        let (first, second) = (still.truth(), moving.truth());
        assert_eq!(
            (&first.bodies, &first.spikes, &first.calcium),
            (&second.bodies, &second.spikes, &second.calcium)
        );
        assert!(first.shift_y[0].iter().all(|&shift| shift == 0.0));
        // Where the tissue stands still, a pixel is the canvas at its own grid point.
        let mut scratch = Scratch::default();
        still.fill_brightness(0, 11, &mut scratch);
        let canvas = still.canvas;
        for (y, x) in [(0, 0), (49, 69), (20, 33)] {
            let point = (y + canvas.margin_px) * 2 * canvas.width + (x + canvas.margin_px) * 2;
            assert_eq!(
                scratch.brightness[y * 70 + x],
                scratch.drawing.points[point]
            );
        }
    }

    #[test]
    fn tissue_moves_down_and_right_by_the_true_shift() {
        // One cell alone in the dark; its centre of brightness follows the shift of the frame's middle.
        let spec = MovieSpec {
            height: 64,
            width: 64,
            n_frames: 200,
            n_cells: 1,
            n_vessels: 0,
            processes_per_cell: 0.0,
            neuropil_amplitude: 0.0,
            texture_contrast: 0.0,
            nonrigid_px: 0.0,
            scan_share: 0.0,
            filled_share: 1.0,
            cell_diameter_px: 10.0,
            motion_px: 1.0,
            seed: 9,
            ..MovieSpec::default()
        };
        let movie = SimulatedMovie::new(&spec).unwrap();
        let truth = movie.truth();
        let centre = |t: usize| {
            let image = movie.brightness(0, t);
            let background = image.iter().copied().fold(f32::MAX, f32::min);
            let (mut y, mut x, mut sum) = (0.0, 0.0, 0.0);
            for (at, &value) in image.iter().enumerate() {
                // The shading of the background is no brighter than this.
                let over = (value - background - 0.7).max(0.0);
                y += over * (at / 64) as f32;
                x += over * (at % 64) as f32;
                sum += over;
            }
            [y / sum, x / sum]
        };
        let brightest = (0..200)
            .max_by(|&a, &b| truth.calcium[0][a].total_cmp(&truth.calcium[0][b]))
            .unwrap();
        let reference = centre(brightest);
        for t in brightest..(brightest + 10).min(200) {
            let moved = centre(t);
            let expected = [
                truth.shift_y[0][t] - truth.shift_y[0][brightest],
                truth.shift_x[0][t] - truth.shift_x[0][brightest],
            ];
            for axis in 0..2 {
                // The threshold on a pixel grid moves the centre by a few hundredths of a pixel.
                let found = moved[axis] - reference[axis];
                assert!(
                    (found - expected[axis]).abs() < 0.1,
                    "frame {t}: {found} instead of {}",
                    expected[axis]
                );
            }
        }
    }

    #[test]
    fn counts_have_the_mean_and_variance_of_photons() {
        let spec = MovieSpec {
            n_frames: 1500,
            n_cells: 0,
            neuropil_amplitude: 0.0,
            photons: 4.0,
            ..little(MovieKind::Still)
        };
        let movie = SimulatedMovie::new(&spec).unwrap();
        let brightness = movie.brightness(0, 0);
        let pixels = spec.frame_pixels();
        let mut frames = vec![0; pixels * 1500];
        movie.read(0, 0, &mut frames);
        let (mut over_mean, mut over_variance) = (0.0, 0.0);
        for (pixel, &brightness) in brightness.iter().enumerate() {
            let values: Vec<f64> = (0..1500)
                .map(|t| f64::from(frames[t * pixels + pixel]))
                .collect();
            let mean = values.iter().sum::<f64>() / 1500.0;
            let variance = values
                .iter()
                .map(|value| (value - mean).powi(2))
                .sum::<f64>()
                / 1499.0;
            let b = f64::from(brightness);
            over_mean += (mean - 100.0) / (60.0 * b) / pixels as f64;
            // A photon is 15 counts; electronic noise has 36, rounding 1/12.
            over_variance += variance / (b * 4.0 * 225.0 + 36.0 + 1.0 / 12.0) / pixels as f64;
        }
        // 5 million counts; the brightest relative error is that of dark pixels, 1 / sqrt(0.05 · 4 · 5e6 / 20).
        assert!((over_mean - 1.0).abs() < 0.004, "{over_mean}");
        assert!((over_variance - 1.0).abs() < 0.01, "{over_variance}");
    }

    #[test]
    fn bleaching_saturation_and_scan_offset_do_what_they_say() {
        let spec = MovieSpec {
            bleaching_share: 0.5,
            ..little(MovieKind::Still)
        };
        let movie = SimulatedMovie::new(&spec).unwrap();
        let sum = |t: usize| movie.brightness(0, t).iter().sum::<f32>();
        assert!((movie.left_by_bleaching(39) - 0.5).abs() < 1e-12);
        let unbleached = SimulatedMovie::new(&little(MovieKind::Still)).unwrap();
        let whole: f32 = unbleached.brightness(0, 39).iter().sum();
        assert!((sum(39) / whole - 0.5).abs() < 1e-3);

        let saturated = SimulatedMovie::new(&MovieSpec {
            saturation: 150,
            ..little(MovieKind::Still)
        })
        .unwrap();
        let frame = saturated.frame(0, 5);
        assert!(frame.iter().all(|&count| count <= 150));
        assert!(frame.iter().filter(|&&count| count == 150).count() > 100);

        let offset = SimulatedMovie::new(&MovieSpec {
            bidirectional_offset_px: 2.0,
            ..little(MovieKind::Still)
        })
        .unwrap();
        let (plain, aside) = (unbleached.brightness(0, 5), offset.brightness(0, 5));
        for y in [10, 11] {
            for x in 10..60 {
                let from = x - 2 * (y % 2);
                assert_eq!(aside[y * 70 + x], plain[y * 70 + from], "row {y}");
            }
        }
    }
}
