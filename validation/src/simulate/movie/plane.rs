//! One plane of a simulated movie: its tissue and cells with their signals, drawn on the canvas at any frame.

use super::activity::{draw_spikes, neuropil_signals, process_signal, respond};
use super::canvas::{Canvas, CoarseField, Patch};
use super::cells::{CellShape, draw_appearance, draw_processes, place_cells};
use super::second_session::{Purposes, Streams, View, look_again, second_plane};
use super::spec::MovieSpec;
use super::tissue::{Vessels, make_background, make_neuropil};
use crate::simulate::philox::Stream;

/// Streams of one plane, by purpose.
const STREAM_PLANES: u64 = 16 << 20;
const STREAMS_PER_PLANE: u64 = 1 << 24;
const TISSUE: u64 = 0;
const PLACES: u64 = 1;
const NEUROPIL: u64 = 2;
const PROCESSES: u64 = 3;
const SESSION: u64 = 4;
const CELLS: u64 = 1 << 20;
const PROCESS_SIGNALS: u64 = 2 << 20;
const CELLS_AGAIN: u64 = 3 << 20;

/// Signals weaker than this change no count and are not drawn.
const FAINTEST: f32 = 1e-4;

/// A cell with its signals.
pub(super) struct Cell {
    pub(super) shape: CellShape,
    patch: Patch,
    pub(super) visible: f64,
    pub(super) is_active: bool,
    pub(super) is_in_frame: bool,
    pub(super) spikes: Vec<i16>,
    pub(super) response: Vec<f32>,
    /// Its number in the plane of the first session, in a second one.
    pub(super) before: Option<usize>,
}

/// Tissue and cells of a plane.
pub(super) struct Plane {
    /// Background at each grid point.
    background: Vec<f32>,
    /// Cells at rest at each grid point.
    resting_cells: Vec<f32>,
    neuropil: Vec<CoarseField>,
    neuropil_signals: Vec<Vec<f32>>,
    pub(super) cells: Vec<Cell>,
    /// Cells of the truth of this plane in the first session, in a second one.
    pub(super) n_first: usize,
    processes: Vec<(Patch, Vec<f32>)>,
}

/// Working memory of a drawing.
#[derive(Default)]
pub(super) struct Drawing {
    /// Brightness at the grid points, `[canvas height, canvas width]`.
    pub(super) points: Vec<f32>,
    neuropil: Option<CoarseField>,
    line: Vec<f32>,
    glow: Vec<f32>,
}

impl Plane {
    /// Draws everything that does not change; `view` is that of a second session.
    pub(super) fn new(
        spec: &MovieSpec,
        canvas: &Canvas,
        plane: usize,
        common: &[f32],
        view: Option<&View>,
    ) -> Self {
        let stream_of = |seed: u64, purpose: u64| {
            Stream::new(
                seed,
                STREAM_PLANES + plane as u64 * STREAMS_PER_PLANE + purpose,
            )
        };
        let stream = |purpose: u64| stream_of(spec.seed, purpose);
        let (background, placed, before, n_first) = match spec.second_session.as_ref().zip(view) {
            None => {
                let mut random = stream(TISSUE);
                let vessels = Vessels::new(spec, canvas.margin_px as f64, &mut random);
                let background = make_background(spec, canvas, &vessels, &mut random);
                let placed = place_cells(spec, canvas, &vessels, &mut stream(PLACES));
                (background, placed, Vec::new(), 0)
            }
            Some((session, view)) => {
                let streams = Streams {
                    first: &|purpose| stream_of(session.of.seed, purpose),
                    second: &stream,
                };
                let purposes = Purposes {
                    tissue: TISSUE,
                    places: PLACES,
                    cells: CELLS,
                    session: SESSION,
                };
                let made = second_plane(session, spec, canvas, view, &streams, &purposes);
                (made.background, made.placed, made.before, made.n_first)
            }
        };
        let n_in_frame = placed.in_frame.len();
        let cells: Vec<Cell> = placed
            .in_frame
            .into_iter()
            .chain(placed.outside)
            .enumerate()
            .map(|(at, shape)| {
                let mut random = stream(CELLS + at as u64);
                let mut appearance = draw_appearance(spec, &mut random);
                let before = before.get(at).copied().flatten();
                if let Some((session, (_, then))) = spec.second_session.as_ref().zip(before) {
                    let mut again = stream(CELLS_AGAIN + at as u64);
                    appearance = look_again(session, then, appearance, &mut again);
                }
                let peak = random.between(spec.spike_brightness[0], spec.spike_brightness[1]);
                let spikes = if appearance.active {
                    draw_spikes(spec, common, &mut random)
                } else {
                    vec![0; spec.n_frames]
                };
                Cell {
                    patch: shape.patch(canvas),
                    shape,
                    visible: appearance.visible,
                    is_active: appearance.active,
                    is_in_frame: at < n_in_frame,
                    response: respond(spec, &spikes, peak),
                    spikes,
                    before: before.map(|(number, _)| number),
                }
            })
            .collect();
        let mut resting_cells = vec![0.0; canvas.n_points()];
        for cell in &cells {
            cell.patch
                .add_to(&mut resting_cells, canvas.width, cell.visible as f32);
        }

        let mut random = stream(NEUROPIL);
        let neuropil = make_neuropil(spec, canvas, &mut random);
        let processes = draw_processes(spec, canvas, &mut stream(PROCESSES))
            .into_iter()
            .enumerate()
            .map(|(at, patch)| {
                let mut random = stream(PROCESS_SIGNALS + at as u64);
                (patch, process_signal(spec, &mut random))
            })
            .collect();
        Self {
            background,
            resting_cells,
            neuropil_signals: neuropil_signals(spec, &mut random),
            neuropil,
            cells,
            n_first,
            processes,
        }
    }

    /// Draws the plane in frame `t` at the grid rows `rows`; other rows keep what they had.
    pub(super) fn draw(
        &self,
        canvas: &Canvas,
        t: usize,
        rows: std::ops::Range<usize>,
        drawing: &mut Drawing,
    ) {
        drawing.points.resize(canvas.n_points(), 0.0);
        drawing.glow.resize(canvas.width, 0.0);
        let (height, width) = CoarseField::size(canvas);
        let neuropil = drawing.neuropil.get_or_insert_with(|| CoarseField {
            height,
            width,
            values: Vec::new(),
        });
        neuropil.values.clear();
        neuropil.values.resize(height * width, 1.0);
        for (field, signal) in self.neuropil.iter().zip(&self.neuropil_signals) {
            let signal = signal[t];
            for (sum, value) in neuropil.values.iter_mut().zip(&field.values) {
                *sum += signal * value;
            }
        }
        for row in rows {
            neuropil.row(row, &mut drawing.line, &mut drawing.glow);
            let line = row * canvas.width..(row + 1) * canvas.width;
            let at_rest = self.background[line.clone()]
                .iter()
                .zip(&self.resting_cells[line.clone()]);
            for ((out, glow), (background, cells)) in drawing.points[line]
                .iter_mut()
                .zip(&drawing.glow)
                .zip(at_rest)
            {
                *out = background * glow + cells;
            }
        }
        // A patch that touches rows that are not seen changes what is not read: the next frame draws its rows anew.
        let responses = self
            .cells
            .iter()
            .map(|cell| (&cell.patch, cell.response[t]));
        let signals = self
            .processes
            .iter()
            .map(|(patch, signal)| (patch, signal[t]));
        for (patch, signal) in responses.chain(signals) {
            if signal > FAINTEST {
                patch.add_to(&mut drawing.points, canvas.width, signal);
            }
        }
    }
}
