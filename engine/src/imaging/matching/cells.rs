//! Cells of two fields under a map: what of each is in both, and how alike two of them are.

use super::{
    Field,
    field_map::{FieldMap, distance},
    landmarks::{Landmarks, sample},
};
use crate::imaging::morphology::ImageSize;

/// Least share of a cell's pixels that must be in the other field for a partner to be looked for.
const LEAST_IN_VIEW: f64 = 0.25;
/// Pixels around a cell that show what it looks like.
const SURROUND_PX: usize = 2;

/// The part of a cell that both fields show.
#[derive(Clone, Debug)]
pub struct SeenCell {
    /// Pixels (y, x) of that part, in the cell's own field.
    pub pixels: Vec<[f64; 2]>,
    /// Their mean; that of the whole cell where none is left.
    pub centre: [f64; 2],
    /// Whether enough of it is seen.
    pub in_view: bool,
    /// Whether all of it is.
    pub whole: bool,
}

fn seen(bodies: &[Vec<u32>], size: ImageSize, is_seen: impl Fn([f64; 2]) -> bool) -> Vec<SeenCell> {
    bodies
        .iter()
        .map(|body| {
            let place = |&pixel: &u32| super::refinement::place(pixel as usize, size);
            let pixels: Vec<[f64; 2]> = body.iter().map(place).filter(|p| is_seen(*p)).collect();
            let all: Vec<[f64; 2]> = body.iter().map(place).collect();
            let in_view =
                !pixels.is_empty() && pixels.len() as f64 >= LEAST_IN_VIEW * body.len() as f64;
            SeenCell {
                centre: mean(if pixels.is_empty() { &all } else { &pixels }),
                whole: pixels.len() == body.len(),
                in_view,
                pixels,
            }
        })
        .collect()
}

fn mean(places: &[[f64; 2]]) -> [f64; 2] {
    let n = places.len().max(1) as f64;
    [0, 1].map(|axis| places.iter().map(|place| place[axis]).sum::<f64>() / n)
}

/// Whether a place lies in an image, whose pixels reach half a pixel beyond their centres.
pub fn inside([y, x]: [f64; 2], size: ImageSize) -> bool {
    let within = |at: f64, n: usize| at >= -0.5 && at < n as f64 - 0.5;
    within(y, size.height) && within(x, size.width)
}

/// Two fields, the map between them, and their cells.
pub struct Both<'a> {
    second_size: ImageSize,
    landmarks: [&'a Landmarks; 2],
    map: &'a FieldMap,
    /// Cells of the first and of the second field.
    pub cells: [Vec<SeenCell>; 2],
    /// Pixels of the second field's cells as images around each.
    masks: Vec<Mask>,
    /// Pixels of the first field that the second shows.
    pub common_px: usize,
}

/// A cell of the second field as a small image.
struct Mask {
    top: f64,
    left: f64,
    size: ImageSize,
    values: Vec<f32>,
    n_pixels: f64,
}

impl Mask {
    /// With a free rim of a pixel, so that its edge falls off to 0.
    fn new(cell: &SeenCell) -> Self {
        let bound = |axis: usize, pick: fn(f64, f64) -> f64, start: f64| {
            cell.pixels.iter().map(|p| p[axis]).fold(start, pick)
        };
        let n_pixels = cell.pixels.len() as f64;
        if cell.pixels.is_empty() {
            return Self {
                top: 0.0,
                left: 0.0,
                size: ImageSize {
                    height: 1,
                    width: 1,
                },
                values: vec![0.0],
                n_pixels,
            };
        }
        let (top, left) = (
            bound(0, f64::min, f64::MAX) - 1.0,
            bound(1, f64::min, f64::MAX) - 1.0,
        );
        let size = ImageSize {
            height: (bound(0, f64::max, 0.0) - top) as usize + 2,
            width: (bound(1, f64::max, 0.0) - left) as usize + 2,
        };
        let mut values = vec![0.0; size.height * size.width];
        for [y, x] in &cell.pixels {
            values[(y - top) as usize * size.width + (x - left) as usize] = 1.0;
        }
        Self {
            top,
            left,
            size,
            values,
            n_pixels,
        }
    }

    /// How much of a pixel at a place is the cell's, 0 or 1.
    fn holds(&self, [y, x]: [f64; 2]) -> f64 {
        let here = [y - self.top, x - self.left];
        sample(&self.values, self.size, here).map_or(0.0, |v| f64::from(v >= 0.5))
    }
}

impl<'a> Both<'a> {
    /// The cells of two fields under a map.
    pub fn new(
        first: &Field<'_>,
        second: &Field<'_>,
        landmarks: [&'a Landmarks; 2],
        map: &'a FieldMap,
    ) -> Self {
        let cells = [
            seen(first.bodies, first.size, |p| {
                inside(map.apply(p), second.size)
            }),
            seen(second.bodies, second.size, |p| {
                inside(map.inverse(p), first.size)
            }),
        ];
        let n = first.size.height * first.size.width;
        let common_px = (0..n)
            .filter(|&at| {
                let place = super::refinement::place(at, first.size);
                inside(map.apply(place), second.size)
            })
            .count();
        Self {
            second_size: second.size,
            landmarks,
            map,
            masks: cells[1].iter().map(Mask::new).collect(),
            cells,
            common_px,
        }
    }

    /// Distance of the centres of two cells in pixels of the second field.
    pub fn distance(&self, a: usize, b: usize) -> f64 {
        let there = self.map.apply(self.cells[0][a].centre);
        distance(there, self.cells[1][b].centre)
    }

    /// Intersection over union of two cells; with `centred`, the centres are first laid on each other: then it compares their shapes.
    pub fn iou(&self, a: usize, b: usize, centred: bool) -> f64 {
        let (first, second) = (&self.cells[0][a], &self.masks[b]);
        let affine = self.map.affine_at(first.centre);
        let offset = self.offset(a, b, centred);
        let shared: f64 = first
            .pixels
            .iter()
            .map(|&pixel| second.holds(moved(affine.apply(pixel), offset)))
            .sum();
        // A pixel of the first field is so many of the second.
        let area = affine.determinant().abs();
        let all = area * first.pixels.len() as f64 + second.n_pixels - area * shared;
        if all > 0.0 {
            (area * shared / all).min(1.0)
        } else {
            0.0
        }
    }

    fn offset(&self, a: usize, b: usize, centred: bool) -> [f64; 2] {
        if !centred {
            return [0.0; 2];
        }
        let there = self.map.apply(self.cells[0][a].centre);
        let centre = self.cells[1][b].centre;
        [centre[0] - there[0], centre[1] - there[1]]
    }

    /// Correlation of what the mean images show at and around two cells whose centres are laid on each other, −1 to 1; 0 where too little
    /// is seen.
    pub fn likeness(&self, a: usize, b: usize) -> f64 {
        let first = &self.cells[0][a];
        let affine = self.map.affine_at(first.centre);
        let offset = self.offset(a, b, true);
        let size = self.landmarks[0].size;
        let bound = |axis: usize| {
            let values = first.pixels.iter().map(|p| p[axis]);
            let (low, high) = values.fold((f64::MAX, 0.0f64), |(l, h), v| (l.min(v), h.max(v)));
            (low as usize).saturating_sub(SURROUND_PX)..high as usize + SURROUND_PX + 1
        };
        let (mut n, mut sums) = (0.0, [0.0f64; 5]);
        for y in bound(0).start..bound(0).end.min(size.height) {
            for x in bound(1).start..bound(1).end.min(size.width) {
                let there = moved(affine.apply([y as f64, x as f64]), offset);
                let seen = sample(&self.landmarks[1].images[0], self.second_size, there);
                let Some(other) = seen else { continue };
                let own = f64::from(self.landmarks[0].images[0][y * size.width + x]);
                let other = f64::from(other);
                n += 1.0;
                for (sum, value) in
                    sums.iter_mut()
                        .zip([own, other, own * own, other * other, own * other])
                {
                    *sum += value;
                }
            }
        }
        if n < 9.0 {
            return 0.0;
        }
        let [own, other, own2, other2, product] = sums.map(|sum| sum / n);
        let energy = (own2 - own * own) * (other2 - other * other);
        if energy > 1e-12 {
            ((product - own * other) / energy.sqrt()).clamp(-1.0, 1.0)
        } else {
            0.0
        }
    }
}

fn moved([y, x]: [f64; 2], [dy, dx]: [f64; 2]) -> [f64; 2] {
    [y + dy, x + dx]
}
