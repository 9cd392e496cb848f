//! The shift field of a frame, shared by the twins that move pixels.
//!
//! A frame has `knot_rows` by `knot_columns` knots, equally spaced from edge to edge; the shift of a pixel is bilinear
//! between them. The fit model is `frame(y + shift_y, x + shift_x) = reference(y, x)`. Along x the whole part of a shift is taken at
//! the centre of a tile of [`SHIFT_TILE`] pixels and shared by its pixels, so that a tile reads contiguous memory; the
//! fraction is each pixel's own and may leave [0, 1) a little where the field is steep. Knots of a frame: all y shifts
//! `[knot_row, knot_column]`, then all x shifts.

use crate::layout::{MAX_KNOT_COLUMNS, SHIFT_TILE};

/// Pixels of a tile.
pub const TILE: usize = SHIFT_TILE as usize;

/// Places of a tile's pixels in it: a sum with these is exact and vector code, a conversion of integers is not.
pub const RAMP: [f32; TILE] = {
    let mut ramp = [0.0; TILE];
    let mut i = 0;
    while i < TILE {
        ramp[i] = i as f32;
        i += 1;
    }
    ramp
};

/// A tile whose centre lies less than this before a knot, in distances of knots, counts as after it. Some tiles have their centre
/// on a knot; without this, the last bit of a division would decide between the fields before and after it, and a graphics
/// card's division may be off by more than that.
const ON_A_KNOT: f32 = 1e-4;

/// Number and spacing of the knots over an image.
#[derive(Clone, Debug)]
pub struct Knots {
    /// Rows of knots.
    pub rows: usize,
    /// Columns of knots.
    pub columns: usize,
    /// Knot rows a pixel.
    row_scale: f32,
    /// Knot columns a pixel.
    column_scale: f32,
    /// Where each tile of a row lies.
    places: Vec<TilePlace>,
}

/// Where a tile lies between the columns of knots.
#[derive(Clone, Copy, Debug)]
pub struct TilePlace {
    /// Column of knots at or before the centre of the tile.
    pub column: usize,
    /// The next one; the same at the last.
    pub next: usize,
}

/// Shifts of the columns of knots at one row.
#[derive(Clone, Copy, Debug, Default)]
pub struct RowShifts {
    /// Along y.
    pub y: [f32; MAX_KNOT_COLUMNS as usize],
    /// Along x.
    pub x: [f32; MAX_KNOT_COLUMNS as usize],
}

/// Shift of one tile: whole part at its centre, fraction linear in x.
#[derive(Clone, Copy, Debug)]
pub struct TileShift {
    /// Whole part along y.
    pub whole_y: i64,
    /// Whole part along x.
    pub whole_x: i64,
    /// Fraction along y of each pixel.
    pub fraction_y: [f32; TILE],
    /// Fraction along x of each pixel.
    pub fraction_x: [f32; TILE],
}

/// Place of row or column `at` (in distances of knots) between `n` knots: the knot before, and the next.
fn between(at: f32, n: usize) -> (usize, usize) {
    let first = (at.floor().max(0.0) as usize).min(n.saturating_sub(2));
    (first, (first + 1).min(n - 1))
}

impl Knots {
    /// Knots over an image.
    pub fn new(rows: u32, columns: u32, height: u32, width: u32) -> Self {
        let scale = |knots: u32, pixels: u32| {
            if knots < 2 || pixels < 2 {
                0.0
            } else {
                (knots - 1) as f32 / (pixels - 1) as f32
            }
        };
        let column_scale = scale(columns, width);
        let places = (0..width)
            .step_by(TILE)
            .map(|x| {
                let at = (x as f32 + 7.5) * column_scale;
                let (column, next) = between(at + ON_A_KNOT, columns as usize);
                TilePlace { column, next }
            })
            .collect();
        Self {
            rows: rows as usize,
            columns: columns as usize,
            row_scale: scale(rows, height),
            column_scale,
            places,
        }
    }

    /// Knots of a frame, of both axes.
    pub fn len(&self) -> usize {
        2 * self.rows * self.columns
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows of knots around a row of pixels, and the weight of the second.
    pub fn row_place(&self, row: usize) -> (usize, usize, f32) {
        let at = row as f32 * self.row_scale;
        let (first, next) = between(at, self.rows);
        (first, next, at - first as f32)
    }

    /// Shifts of the columns of knots at a row of pixels.
    pub fn row_shifts(&self, knots: &[f32], row: usize) -> RowShifts {
        let (first, next, t) = self.row_place(row);
        let mut shifts = RowShifts::default();
        let (y, x) = knots.split_at(self.rows * self.columns);
        for column in 0..self.columns {
            let at = |axis: &[f32]| {
                let a = axis[first * self.columns + column];
                a + (axis[next * self.columns + column] - a) * t
            };
            shifts.y[column] = at(y);
            shifts.x[column] = at(x);
        }
        shifts
    }

    /// Where the tile that begins at column `x` lies.
    #[inline(always)]
    pub fn tile_place(&self, x: usize) -> TilePlace {
        self.places[x / TILE]
    }

    /// Weight of the second column of knots at pixel column `x`.
    #[inline(always)]
    pub fn column_weight(&self, x: f32, place: TilePlace) -> f32 {
        x * self.column_scale - place.column as f32
    }

    /// Shift of the tile that begins at column `x`.
    #[inline(always)]
    pub fn tile_shift(&self, row: &RowShifts, x: usize) -> TileShift {
        let place = self.tile_place(x);
        let (ay, by) = (row.y[place.column], row.y[place.next]);
        let (ax, bx) = (row.x[place.column], row.x[place.next]);
        let centre = self.column_weight(x as f32 + 7.5, place);
        let whole_y = (ay + (by - ay) * centre).floor();
        let whole_x = (ax + (bx - ax) * centre).floor();
        let (mut fraction_y, mut fraction_x) = ([0.0; TILE], [0.0; TILE]);
        for i in 0..TILE {
            let t = self.column_weight(x as f32 + RAMP[i], place);
            fraction_y[i] = (ay + (by - ay) * t) - whole_y;
            fraction_x[i] = (ax + (bx - ax) * t) - whole_x;
        }
        TileShift {
            whole_y: whole_y as i64,
            whole_x: whole_x as i64,
            fraction_y,
            fraction_x,
        }
    }
}

/// Whether pixel `i` of a tile at (`y`, `x`) comes from inside the frame.
#[inline(always)]
pub fn is_inside(
    shift: &TileShift,
    y: usize,
    x: usize,
    i: usize,
    height: usize,
    width: usize,
) -> bool {
    let at_y = (y as i64 + shift.whole_y) as f32 + shift.fraction_y[i];
    let at_x = ((x + i) as i64 + shift.whole_x) as f32 + shift.fraction_x[i];
    at_y >= 0.0 && at_y <= (height - 1) as f32 && at_x >= 0.0 && at_x <= (width - 1) as f32
}

/// Lines of pixels around a tile near the frame's edge: `LINES` from row `y` and `LENGTH` from column `x` on, those beyond the
/// edge as at the edge.
#[inline(always)]
pub fn lines_at_edge<const LINES: usize, const LENGTH: usize>(
    pixels: &[f32],
    y: i64,
    x: i64,
    height: usize,
    width: usize,
) -> [[f32; LENGTH]; LINES] {
    let mut lines = [[0.0; LENGTH]; LINES];
    for (j, line) in lines.iter_mut().enumerate() {
        let row = (y + j as i64).clamp(0, height as i64 - 1) as usize;
        let row = &pixels[row * width..(row + 1) * width];
        for (i, value) in line.iter_mut().enumerate() {
            *value = row[(x + i as i64).clamp(0, width as i64 - 1) as usize];
        }
    }
    lines
}

/// Lines of pixels around a tile that lies well inside the frame, as [`lines_at_edge`] gives them but without a copy.
#[inline(always)]
pub fn lines_inside<const LINES: usize, const LENGTH: usize>(
    pixels: &[f32],
    y: i64,
    x: i64,
    width: usize,
) -> [&[f32; LENGTH]; LINES] {
    let mut at = y as usize * width + x as usize;
    // No closure: a library function that takes one is not compiled for the caller's instruction set.
    let mut lines = [pixels[at..].first_chunk().expect("a line"); LINES];
    for line in &mut lines[1..] {
        at += width;
        *line = pixels[at..].first_chunk().expect("a line");
    }
    lines
}

/// Whether all pixels of a whole tile, and 2 pixels around them, come from inside the frame, so that no check is needed.
///
/// Fractions are linear along the tile, so both ends of a steep field answer for the pixels between.
#[inline(always)]
pub fn is_well_inside(shift: &TileShift, y: usize, x: usize, height: usize, width: usize) -> bool {
    let (first_y, first_x) = (y as i64 + shift.whole_y, x as i64 + shift.whole_x);
    first_y >= 2
        && first_y + 4 <= height as i64
        && first_x >= 2
        && first_x + (TILE as i64) + 3 <= width as i64
        && is_inside(shift, y, x, 0, height, width)
        && is_inside(shift, y, x, TILE - 1, height, width)
}
