//! The grid on which tissue is drawn before it is moved: twice as fine as the frame's pixels, with a margin on every side.
//!
//! Moved tissue is read off by straight lines between grid points. On a grid as coarse as the pixels that would blur a frame by
//! an amount that depends on the fraction of its shift, which a registration could pick up; on the finer grid it hardly does.

use super::spec::MovieSpec;

/// Grid points in a pixel's length.
pub const POINTS_PER_PX: usize = 2;
/// Largest offset between the two directions of a scan, px. The margin has room for it whatever the offset is, so that the offset changes
/// no random field.
pub const LARGEST_SCAN_OFFSET_PX: usize = 4;
/// Grid points between the points of a [`CoarseField`].
const COARSE_STEP: usize = 8;

/// Size of the grid and where the frame lies in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Canvas {
    /// Rows of grid points.
    pub height: usize,
    /// Columns of grid points.
    pub width: usize,
    /// Pixels between the grid's edge and the frame's.
    pub margin_px: usize,
}

impl Canvas {
    /// The grid of `spec`: its margin holds the largest shift.
    pub fn new(spec: &MovieSpec) -> Self {
        let margin_px = spec.largest_shift_px.ceil() as usize + LARGEST_SCAN_OFFSET_PX + 3;
        Self {
            height: (spec.height + 2 * margin_px) * POINTS_PER_PX,
            width: (spec.width + 2 * margin_px) * POINTS_PER_PX,
            margin_px,
        }
    }

    /// Number of grid points.
    pub fn n_points(&self) -> usize {
        self.height * self.width
    }

    /// Where a grid row or column lies in the frame, px (negative before its first pixel).
    pub fn place_px(&self, point: usize) -> f64 {
        point as f64 / POINTS_PER_PX as f64 - self.margin_px as f64
    }

    /// The grid row or column (with its fraction) of a place in the frame.
    pub fn point_of(&self, place_px: f64) -> f64 {
        (place_px + self.margin_px as f64) * POINTS_PER_PX as f64
    }
}

/// A small picture on the canvas: a cell or a process.
#[derive(Debug, Clone, PartialEq)]
pub struct Patch {
    /// First grid row.
    pub top: usize,
    /// First grid column.
    pub left: usize,
    /// Columns.
    pub width: usize,
    /// Brightness, `[rows, width]`.
    pub values: Vec<f32>,
}

impl Patch {
    /// Draws `brightness(y_px, x_px)` within `reach_px` of a centre, cut at the canvas' edges.
    pub fn draw(
        canvas: &Canvas,
        centre_px: [f64; 2],
        reach_px: f64,
        brightness: impl Fn(f64, f64) -> f64,
    ) -> Self {
        let range = |centre_px: f64, n: usize| {
            let first = canvas.point_of(centre_px - reach_px).floor().max(0.0) as usize;
            let end = (canvas.point_of(centre_px + reach_px).ceil() + 1.0).max(0.0) as usize;
            first.min(n)..end.min(n).max(first.min(n))
        };
        let rows = range(centre_px[0], canvas.height);
        let columns = range(centre_px[1], canvas.width);
        let values = rows
            .clone()
            .flat_map(|row| {
                let brightness = &brightness;
                columns.clone().map(move |column| {
                    brightness(canvas.place_px(row), canvas.place_px(column)) as f32
                })
            })
            .collect();
        Self {
            top: rows.start,
            left: columns.start,
            width: columns.len(),
            values,
        }
    }

    /// Adds the patch, `factor` times as bright, to a canvas of `canvas_width` columns.
    pub fn add_to(&self, canvas: &mut [f32], canvas_width: usize, factor: f32) {
        if self.width == 0 {
            return;
        }
        for (row, values) in self.values.chunks_exact(self.width).enumerate() {
            let start = (self.top + row) * canvas_width + self.left;
            for (canvas, value) in canvas[start..start + self.width].iter_mut().zip(values) {
                *canvas += factor * value;
            }
        }
    }
}

/// A smooth field over the canvas, held at every eighth point and bilinear between.
#[derive(Debug, Clone)]
pub struct CoarseField {
    /// Rows of values.
    pub height: usize,
    /// Columns of values.
    pub width: usize,
    /// Values, `[height, width]`.
    pub values: Vec<f32>,
}

impl CoarseField {
    /// Pixels between two values.
    pub const STEP_PX: f64 = COARSE_STEP as f64 / POINTS_PER_PX as f64;

    /// Size that covers the canvas: (rows, columns).
    pub fn size(canvas: &Canvas) -> (usize, usize) {
        let n = |points: usize| points.div_ceil(COARSE_STEP) + 1;
        (n(canvas.height), n(canvas.width))
    }

    /// The field along one grid row; `line` is working memory.
    pub fn row(&self, canvas_row: usize, line: &mut Vec<f32>, out: &mut [f32]) {
        let (row, share) = (
            canvas_row / COARSE_STEP,
            (canvas_row % COARSE_STEP) as f32 / COARSE_STEP as f32,
        );
        let upper = &self.values[row * self.width..][..self.width];
        let lower = &self.values[(row + 1) * self.width..][..self.width];
        line.clear();
        line.extend(
            upper
                .iter()
                .zip(lower)
                .map(|(upper, lower)| upper + share * (lower - upper)),
        );
        for (out, ends) in out.chunks_mut(COARSE_STEP).zip(line.windows(2)) {
            let step = (ends[1] - ends[0]) * (1.0 / COARSE_STEP as f32);
            for (at, out) in out.iter_mut().enumerate() {
                *out = ends[0] + at as f32 * step;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coarse_field_is_linear_between_its_values() {
        let canvas = Canvas::new(&MovieSpec {
            height: 20,
            width: 33,
            ..MovieSpec::default()
        });
        let (height, width) = CoarseField::size(&canvas);
        let plane = |row: f32, column: f32| 3.0 + 0.5 * row - 0.25 * column;
        let field = CoarseField {
            height,
            width,
            values: (0..height * width)
                .map(|at| plane((at / width * 8) as f32, (at % width * 8) as f32))
                .collect(),
        };
        let mut out = vec![0.0; canvas.width];
        for row in [0, 5, canvas.height - 1] {
            field.row(row, &mut Vec::new(), &mut out);
            for (column, value) in out.iter().enumerate() {
                assert!((value - plane(row as f32, column as f32)).abs() < 1e-3);
            }
        }
    }

    #[test]
    fn a_patch_beyond_the_edge_is_cut() {
        let canvas = Canvas::new(&MovieSpec {
            height: 20,
            width: 20,
            largest_shift_px: 0.0,
            ..MovieSpec::default()
        });
        let mut points = vec![0.0; canvas.n_points()];
        // The canvas begins 7 px before the frame: the first patch is cut at the top, the second lies wholly outside.
        for centre in [[-5.0, 5.0], [-90.0, 5.0]] {
            Patch::draw(&canvas, centre, 6.0, |_, _| 1.0).add_to(&mut points, canvas.width, 2.0);
        }
        // Rows from the edge to 1 px, columns from −1 to 11 px, both ends included, two points a pixel.
        let n = points.iter().filter(|&&value| value == 2.0).count();
        assert_eq!(n, (8 * 2 + 1) * (12 * 2 + 1));
        assert_eq!(points[12], 2.0);
    }
}
