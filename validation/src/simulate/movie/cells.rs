//! Shapes, places and brightness of cells, and of the small processes that are not cells.
//!
//! A cell is an ellipse whose outline waves a little, with a soft edge and, in most, a darker nucleus: the indicator stays out of it.

use super::canvas::{Canvas, Patch};
use super::spec::MovieSpec;
use super::tissue::Vessels;
use crate::score::masks::Footprint;
use crate::simulate::philox::Stream;

/// Body pixels in the frame above which a cell at the border belongs to the truth; as in `make_movie.py`.
const LEAST_BODY_PIXELS: usize = 40;
/// A small cell belongs to it with fewer, if this share of its body is in the frame.
const LEAST_BODY_SHARE: f64 = 0.7;
/// Width of the soft edge of the body and of the nucleus, px.
const EDGE_PX: f64 = 0.45;
const NUCLEUS_EDGE_PX: f64 = 0.6;
/// Centres keep this far from the border where cells are not to be cut by it, px.
const KEEP_FROM_BORDER_PX: f64 = 4.0;
/// Brightness at rest of a cell that is only seen when it fires.
pub(super) const INVISIBLE: f64 = 0.05;

/// Outline and inside of a cell.
#[derive(Debug, Clone, PartialEq)]
pub struct CellShape {
    /// Centre (y, x) in the frame, px.
    pub centre_px: [f64; 2],
    radius_px: f64,
    elongation: f64,
    angle: f64,
    /// Amplitude and phase of two, three and four waves around the outline.
    waves: [(f64, f64); 3],
    nucleus_radius_px: f64,
    nucleus_darkness: f64,
}

impl CellShape {
    fn random(spec: &MovieSpec, centre_px: [f64; 2], random: &mut Stream) -> Self {
        let spread = spec.cell_diameter_spread;
        let radius_px = spec.cell_diameter_px / 2.0 * random.between(1.0 - spread, 1.0 + spread);
        let elongation = random.between(0.85, 1.2);
        let angle = random.between(0.0, std::f64::consts::PI);
        let waves = [0; 3].map(|_| {
            (
                0.05 * random.normal().clamp(-3.0, 3.0),
                random.between(0.0, std::f64::consts::TAU),
            )
        });
        let [low, high] = spec.nucleus_radius;
        let nucleus_radius_px = radius_px * random.between(low, high);
        let [low, high] = spec.nucleus_darkness;
        let darkness = random.between(low, high);
        Self {
            centre_px,
            radius_px,
            elongation,
            angle,
            waves,
            nucleus_radius_px,
            nucleus_darkness: if random.chance(spec.filled_share) {
                0.0
            } else {
                darkness
            },
        }
    }

    /// The same cell at another place, turned clockwise.
    pub(super) fn moved(&self, centre_px: [f64; 2], turn: f64) -> Self {
        Self {
            centre_px,
            angle: self.angle + turn,
            ..self.clone()
        }
    }

    /// (How much of the place is inside, 0 to 1; brightness there, 0 to 1.)
    fn at(&self, y_px: f64, x_px: f64) -> (f64, f64) {
        let (y, x) = (y_px - self.centre_px[0], x_px - self.centre_px[1]);
        let (sine, cosine) = self.angle.sin_cos();
        let along = (x * cosine + y * sine) / self.elongation;
        let across = (y * cosine - x * sine) * self.elongation;
        let from_centre = along.hypot(across);
        let around = across.atan2(along);
        let wave: f64 = self
            .waves
            .iter()
            .zip(2..)
            .map(|((size, phase), n)| size * (f64::from(n) * around + phase).cos())
            .sum();
        let edge = |radius_px: f64, width_px: f64| {
            1.0 / (1.0 + ((from_centre - radius_px) / width_px).exp())
        };
        let inside = edge(self.radius_px * (1.0 + wave), EDGE_PX);
        let nucleus = edge(self.nucleus_radius_px, NUCLEUS_EDGE_PX) * self.nucleus_darkness;
        (inside, inside * (1.0 - nucleus))
    }

    /// Distance from the centre beyond which there is nothing, px.
    fn reach_px(&self) -> f64 {
        self.radius_px * self.elongation.max(1.0 / self.elongation) * 1.45 + 10.0 * EDGE_PX
    }

    /// The cell on the canvas.
    pub fn patch(&self, canvas: &Canvas) -> Patch {
        Patch::draw(canvas, self.centre_px, self.reach_px(), |y, x| {
            let (_, brightness) = self.at(y, x);
            if brightness > 0.001 { brightness } else { 0.0 }
        })
    }

    /// Calls `visit(y, x, inside, brightness)` for the pixels around the cell, also those outside the frame.
    fn for_each_pixel(&self, mut visit: impl FnMut(i64, i64, f64, f64)) {
        let reach_px = self.reach_px();
        let range = |centre_px: f64| {
            (centre_px - reach_px).floor() as i64..=(centre_px + reach_px).ceil() as i64
        };
        for y in range(self.centre_px[0]) {
            for x in range(self.centre_px[1]) {
                let (inside, brightness) = self.at(y as f64, x as f64);
                visit(y, x, inside, brightness);
            }
        }
    }

    /// Body of the cell within a frame that does not move, and brightness of its pixels: (body, pixels, weights).
    pub fn masks(&self, height: usize, width: usize) -> (Footprint, Footprint, Vec<f32>) {
        let (mut body, mut pixels, mut weights) = (Vec::new(), Vec::new(), Vec::new());
        self.for_each_pixel(|y, x, inside, brightness| {
            if y < 0 || x < 0 || y >= height as i64 || x >= width as i64 {
                return;
            }
            let pixel = y as u32 * width as u32 + x as u32;
            if inside > 0.5 {
                body.push(pixel);
            }
            if brightness > 0.001 {
                pixels.push(pixel);
                weights.push(brightness as f32);
            }
        });
        (Footprint { pixels: body }, Footprint { pixels }, weights)
    }

    fn body_pixels(&self, height: usize, width: usize) -> (usize, usize) {
        let (mut in_frame, mut all) = (0, 0);
        self.for_each_pixel(|y, x, inside, _| {
            if inside > 0.5 {
                all += 1;
                let within = y >= 0 && x >= 0 && y < height as i64 && x < width as i64;
                in_frame += usize::from(within);
            }
        });
        (in_frame, all)
    }
}

/// Cells of a plane: those of the truth, and those outside the frame that only motion brings in.
pub struct Placed {
    /// Cells of the truth.
    pub in_frame: Vec<CellShape>,
    /// Cells wholly outside.
    pub outside: Vec<CellShape>,
}

/// Places the cells of one plane at random, apart from each other and from vessels.
pub fn place_cells(
    spec: &MovieSpec,
    canvas: &Canvas,
    vessels: &Vessels,
    random: &mut Stream,
) -> Placed {
    let mut placed = Placed {
        in_frame: Vec::new(),
        outside: Vec::new(),
    };
    let light = |[y, x]: [f64; 2]| vessels.light_at(y, x);
    placed.fill(spec, canvas, &light, &[], random);
    placed
}

impl Placed {
    /// Adds a cell: to those of the truth if enough of it is in the frame, else, if no pixel is, to those outside. The others are left out.
    pub(super) fn add(&mut self, spec: &MovieSpec, shape: CellShape) {
        let (in_frame, all) = shape.body_pixels(spec.height, spec.width);
        if in_frame > LEAST_BODY_PIXELS || in_frame as f64 >= LEAST_BODY_SHARE * all as f64 {
            self.in_frame.push(shape);
        } else if in_frame == 0 {
            self.outside.push(shape);
        }
    }

    /// Adds cells at random places, apart from each other, from those there and from `others`, where `light` comes through, until there
    /// are as many as `spec` asks for.
    pub(super) fn fill(
        &mut self,
        spec: &MovieSpec,
        canvas: &Canvas,
        light: &dyn Fn([f64; 2]) -> f64,
        others: &[CellShape],
        random: &mut Stream,
    ) {
        let beyond_px = if spec.cells_at_border {
            canvas.margin_px as f64
        } else {
            -KEEP_FROM_BORDER_PX
        };
        let apart_px = spec.cell_diameter_px * spec.cell_spacing;
        // A crowded field runs out of room; the number of tries decides how crowded.
        for _ in 0..200 * spec.n_cells {
            if self.in_frame.len() >= spec.n_cells {
                break;
            }
            let centre_px = [spec.height, spec.width]
                .map(|n| random.between(-beyond_px, (n - 1) as f64 + beyond_px));
            let near = |other: &CellShape| {
                let [y, x] = [0, 1].map(|axis| other.centre_px[axis] - centre_px[axis]);
                y.hypot(x) < apart_px
            };
            let mut all = self.in_frame.iter().chain(&self.outside).chain(others);
            if all.any(near) || light(centre_px) < 0.6 {
                continue;
            }
            self.add(spec, CellShape::random(spec, centre_px, random));
        }
    }
}

/// Brightness of a cell at rest, and whether it fires.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Appearance {
    /// Brightness at rest, relative to the background.
    pub visible: f64,
    /// Whether it fires.
    pub active: bool,
}

/// Draws the appearance of one cell. A cell that cannot be seen at rest always fires: what is never seen is nobody's to find.
pub fn draw_appearance(spec: &MovieSpec, random: &mut Stream) -> Appearance {
    let active = !random.chance(spec.silent_share);
    // Gamma distributed with shape 3, as the brightness of expression varies from cell to cell.
    let usual = 0.16 + 0.4 * (0..3).map(|_| random.exponential()).sum::<f64>();
    let dim = random.between(0.12, 0.35);
    let (is_dim, is_invisible) = (
        random.chance(spec.dim_share),
        random.chance(spec.invisible_share),
    );
    Appearance {
        visible: if active && is_invisible {
            INVISIBLE
        } else if is_dim {
            dim
        } else {
            usual
        },
        active,
    }
}

/// Draws the processes of one plane: short bars, about 2 px wide.
pub fn draw_processes(spec: &MovieSpec, canvas: &Canvas, random: &mut Stream) -> Vec<Patch> {
    let n = (spec.processes_per_cell * spec.n_cells as f64).round() as usize;
    (0..n)
        .map(|_| {
            let centre_px = [spec.height, spec.width].map(|n| random.between(0.0, n as f64));
            let (sine, cosine) = random.between(0.0, std::f64::consts::PI).sin_cos();
            let length_px = random.between(spec.process_length_px[0], spec.process_length_px[1]);
            Patch::draw(canvas, centre_px, 2.0 * length_px + 2.0, |y, x| {
                let (y, x) = (y - centre_px[0], x - centre_px[1]);
                let along = (x * cosine + y * sine) / length_px;
                let across = y * cosine - x * sine;
                let brightness = (-along * along - across * across).exp();
                if brightness > 0.02 { brightness } else { 0.0 }
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(spec: &MovieSpec) -> Placed {
        let mut random = Stream::new(spec.seed, 1);
        let vessels = Vessels::new(spec, 20.0, &mut random);
        place_cells(spec, &Canvas::new(spec), &vessels, &mut random)
    }

    #[test]
    fn cells_have_their_size_their_distance_and_their_number() {
        let spec = MovieSpec::default();
        let placed = place(&spec);
        assert_eq!((placed.in_frame.len(), placed.outside.len()), (110, 0));
        let mut area = 0;
        for (at, cell) in placed.in_frame.iter().enumerate() {
            for other in &placed.in_frame[..at] {
                let [y, x] = [0, 1].map(|axis| cell.centre_px[axis] - other.centre_px[axis]);
                assert!(y.hypot(x) >= 0.72 * 13.0);
            }
            let (body, pixels, weights) = cell.masks(256, 256);
            assert!(pixels.pixels.is_sorted() && body.pixels.is_sorted());
            assert_eq!(pixels.pixels.len(), weights.len());
            area += body.pixels.len();
        }
        // Mean of π (6.5 u)² for u uniform in 0.8 to 1.2; 110 areas vary by a quarter each.
        let expected = std::f64::consts::PI * 6.5 * 6.5 * (1.0 + 0.04 / 3.0);
        let mean = area as f64 / 110.0;
        assert!((mean - expected).abs() < 0.1 * expected, "{mean}");
    }

    #[test]
    fn a_cell_at_the_border_is_largely_in_the_frame_or_not_at_all() {
        let spec = MovieSpec {
            cells_at_border: true,
            ..MovieSpec::default()
        };
        let placed = place(&spec);
        let mut n_cut = 0;
        for cell in &placed.in_frame {
            let (in_frame, all) = cell.body_pixels(256, 256);
            assert!(in_frame > 40 || in_frame as f64 >= 0.7 * all as f64);
            n_cut += usize::from(in_frame < all);
        }
        assert!(n_cut > 3, "{n_cut}");
        assert!(!placed.outside.is_empty());
        for cell in &placed.outside {
            assert!(cell.masks(256, 256).0.pixels.is_empty());
        }
    }

    #[test]
    fn no_cell_is_both_silent_and_invisible() {
        let spec = MovieSpec {
            silent_share: 0.5,
            invisible_share: 0.5,
            ..MovieSpec::default()
        };
        let mut random = Stream::new(1, 0);
        let cells: Vec<_> = (0..400)
            .map(|_| draw_appearance(&spec, &mut random))
            .collect();
        assert!(cells.iter().all(|cell| cell.active || cell.visible > 0.1));
        let invisible = cells.iter().filter(|cell| cell.visible < 0.1).count();
        // A quarter of 400, give or take five deviations.
        assert!((57..143).contains(&invisible), "{invisible}");
    }
}
