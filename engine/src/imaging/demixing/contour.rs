//! The outline of a cell: the closed curve around a centre across which an image falls most.
//!
//! A level cuts a body where the image is a given part of a plateau, so a bright spot on the rim, a dark nucleus or haze moves it.
//! The steepest fall needs no plateau, and its place is that of the edge however blurred. The curve is star-shaped: one radius for each
//! angle, found for all angles together by dynamic programming (Amini, Weymouth and Jain 1990), smooth and not far from where it
//! started.

use crate::imaging::morphology::{ImageSize, Patch, centre};

/// Angles of a curve.
const ANGLES: usize = 48;
/// Distance of the radii, pixels.
const STEP: f64 = 0.25;
/// Pixels that a radius may change from the start at least.
const LEAST_REACH: f64 = 3.0;
/// As part of the start's diameter.
const REACH: f64 = 1.0 / 3.0;
/// Width of the two stretches whose difference is a fall, as part of the diameter: narrower than the ring of a cell that is dark inside.
const WIDTH: f64 = 0.14;
/// Least width, pixels.
const LEAST_WIDTH: f64 = 1.5;
/// What a radius costs that is a diameter away from where it started; the image's plateau is 1.
const DISTANCE_COST: f64 = 3.0;
/// Steepest curve: change of the radius along the arc.
const STEEPEST: f64 = 2.0;
/// Part of a stretch that must be known.
const KNOWN: f64 = 0.3;
/// Radii beyond this are no cell's, pixels.
const LARGEST_RADIUS: f64 = 100.0;
/// Worse than any fall.
const NEVER: f64 = 1e3;

/// Pixels beyond a start that a curve may look at.
pub fn margin(start: &[u32]) -> usize {
    let diameter = diameter(start);
    (reach(diameter) + width(diameter)).ceil() as usize + 2
}

/// An outline.
pub struct Contour {
    /// Pixels inside, ascending.
    pub pixels: Vec<u32>,
    /// Mean fall of the image across the curve.
    pub fall: f64,
}

fn diameter(start: &[u32]) -> f64 {
    2.0 * (start.len() as f64 / std::f64::consts::PI).sqrt()
}

fn reach(diameter: f64) -> f64 {
    (REACH * diameter).max(LEAST_REACH)
}

fn width(diameter: f64) -> f64 {
    (WIDTH * diameter).max(LEAST_WIDTH)
}

/// The outline near the pixels `start` in `image`, of which only `known` pixels count; `stiffness` is what a curve costs whose radius
/// changes by as much as it is long. `None` without a start.
pub fn outline(
    image: &Patch<f32>,
    known: &[bool],
    start: &[u32],
    stiffness: f64,
    size: ImageSize,
) -> Option<Contour> {
    if start.is_empty() {
        return None;
    }
    let [cy, cx] = centre(start, size.width);
    let diameter = diameter(start);
    let start = image.set(start, size);
    let (reach, width) = (reach(diameter), width(diameter));
    let directions: Vec<[f64; 2]> = (0..ANGLES)
        .map(|a| {
            let (sin, cos) = (a as f64 * ANGLE).sin_cos();
            [sin, cos]
        })
        .collect();
    let rays = Rays {
        image,
        known,
        cy,
        cx,
    };
    let before: Vec<f64> = directions
        .iter()
        .map(|&direction| rays.last_inside(&start, direction))
        .collect();
    let largest = before.iter().copied().fold(0.0, f64::max) + reach;
    let n_radii = (largest / STEP) as usize;
    let falls: Vec<Vec<f64>> = directions
        .iter()
        .map(|&direction| rays.falls(direction, n_radii, width))
        .collect();
    let worth: Vec<Vec<f64>> = falls
        .iter()
        .zip(&before)
        .map(|(falls, before)| {
            let of_radius = falls.iter().enumerate().map(|(i, fall)| {
                let off = (i + 1) as f64 * STEP - before;
                if off.abs() > reach {
                    -NEVER
                } else {
                    fall - DISTANCE_COST * (off / diameter).powi(2)
                }
            });
            of_radius.collect()
        })
        .collect();
    let chosen = best_curve(&worth, stiffness);
    let fall = chosen
        .iter()
        .zip(&falls)
        .map(|(&i, falls)| falls[i])
        .sum::<f64>()
        / ANGLES as f64;
    let radii: Vec<f64> = chosen.iter().map(|&i| (i + 1) as f64 * STEP).collect();
    Some(Contour {
        pixels: inside(image, cy, cx, &radii, size),
        fall,
    })
}

/// Angle between two rays.
const ANGLE: f64 = 2.0 * std::f64::consts::PI / ANGLES as f64;

/// What is seen along rays from a centre.
struct Rays<'a> {
    image: &'a Patch<f32>,
    known: &'a [bool],
    cy: f64,
    cx: f64,
}

impl Rays<'_> {
    /// Place of image coordinates in the patch.
    fn place(&self, y: i64, x: i64) -> Option<usize> {
        let (y, x) = (y - self.image.top as i64, x - self.image.left as i64);
        let inside =
            (0..self.image.height as i64).contains(&y) && (0..self.image.width as i64).contains(&x);
        inside.then(|| y as usize * self.image.width + x as usize)
    }

    /// The last radius at which a ray is inside a set.
    fn last_inside(&self, set: &Patch<bool>, [dy, dx]: [f64; 2]) -> f64 {
        let n = (LARGEST_RADIUS / STEP) as usize;
        let is_inside = |&i: &usize| {
            let r = (i as f64 + 0.5) * STEP;
            let (y, x) = (self.cy + r * dy, self.cx + r * dx);
            self.place(y.round() as i64, x.round() as i64)
                .is_some_and(|at| set.values[at])
        };
        let last = (0..n).rev().find(is_inside).unwrap_or(0);
        (last + 1) as f64 * STEP
    }

    /// Value and known part at a point, between its four pixels.
    fn sample(&self, y: f64, x: f64) -> [f64; 2] {
        let (top, left) = (y.floor(), x.floor());
        let (down, right) = (y - top, x - left);
        let mut sum = [0.0; 2];
        for (dy, wy) in [(0, 1.0 - down), (1, down)] {
            for (dx, wx) in [(0, 1.0 - right), (1, right)] {
                let place = self.place(top as i64 + dy, left as i64 + dx);
                if let Some(at) = place.filter(|&at| self.known[at]) {
                    sum[0] += wy * wx * f64::from(self.image.values[at]);
                    sum[1] += wy * wx;
                }
            }
        }
        sum
    }

    /// How much the image falls at each of `n` radii: its mean over `width` before less that after; 0 where too little is known.
    fn falls(&self, [dy, dx]: [f64; 2], n: usize, width: f64) -> Vec<f64> {
        let stretch = (width / STEP).round().max(1.0) as usize;
        let mut sums = vec![[0.0; 2]];
        for i in 0..n + stretch {
            let r = (i as f64 + 0.5) * STEP;
            let [value, known] = self.sample(self.cy + r * dy, self.cx + r * dx);
            let [values, knowns] = sums[i];
            sums.push([values + value, knowns + known]);
        }
        let least = KNOWN * stretch as f64;
        (1..=n)
            .map(|i| {
                let of = |from: usize, to: usize| {
                    let ([a, m], [b, n]) = (sums[from], sums[to]);
                    [b - a, n - m]
                };
                let [inner, inner_known] = of(i.saturating_sub(stretch), i);
                let [outer, outer_known] = of(i, i + stretch);
                if inner_known > least && outer_known > least {
                    inner / inner_known - outer / outer_known
                } else {
                    0.0
                }
            })
            .collect()
    }
}

/// The radius of each angle, as an index, that is worth most together: a path twice around and one angle further, of which the middle
/// turn counts, so that its ends meet.
fn best_curve(worth: &[Vec<f64>], stiffness: f64) -> Vec<usize> {
    let n = worth[0].len();
    let radius = |i: usize| (i + 1) as f64 * STEP;
    let cost: Vec<f64> = (0..n * n)
        .map(|at| {
            let (from, to) = (radius(at / n), radius(at % n));
            let slope = (to - from) / (0.5 * (from + to) * ANGLE);
            if slope.abs() > STEEPEST {
                NEVER
            } else {
                stiffness * slope * slope
            }
        })
        .collect();
    let mut best = worth[0].clone();
    let mut from = Vec::with_capacity(2 * ANGLES);
    for turn in 1..=2 * ANGLES {
        let mut next = vec![f64::NEG_INFINITY; n];
        let mut origin = vec![0usize; n];
        for (i, &value) in best.iter().enumerate() {
            for (j, cost) in cost[i * n..(i + 1) * n].iter().enumerate() {
                if value - cost > next[j] {
                    (next[j], origin[j]) = (value - cost, i);
                }
            }
        }
        let worth = &worth[turn % ANGLES];
        next.iter_mut()
            .zip(worth)
            .for_each(|(next, worth)| *next += worth);
        best = next;
        from.push(origin);
    }
    let mut at = (0..n)
        .max_by(|&a, &b| best[a].total_cmp(&best[b]).then(b.cmp(&a)))
        .unwrap_or(0);
    let mut path = vec![at];
    for origin in from.iter().rev() {
        at = origin[at];
        path.push(at);
    }
    path.reverse();
    let middle = ANGLES / 2..ANGLES / 2 + ANGLES;
    let mut chosen = vec![0; ANGLES];
    for turn in middle {
        chosen[turn % ANGLES] = path[turn];
    }
    chosen
}

/// The image's pixels within the radii, which change evenly between the angles.
fn inside(patch: &Patch<f32>, cy: f64, cx: f64, radii: &[f64], size: ImageSize) -> Vec<u32> {
    let is_inside = |&at: &usize| {
        let dy = (patch.top + at / patch.width) as f64 - cy;
        let dx = (patch.left + at % patch.width) as f64 - cx;
        let turn = dy.atan2(dx).rem_euclid(2.0 * std::f64::consts::PI) / ANGLE;
        let (k, part) = (turn.floor() as usize % ANGLES, turn - turn.floor());
        let radius = radii[k] * (1.0 - part) + radii[(k + 1) % ANGLES] * part;
        dy.hypot(dx) <= radius
    };
    (0..patch.values.len())
        .filter(is_inside)
        .map(|at| patch.pixel(at, size))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imaging::morphology::{disc, iou};

    const SIZE: ImageSize = ImageSize {
        height: 60,
        width: 70,
    };

    fn circle(y: i64, x: i64, radius: f64) -> Vec<u32> {
        let mut pixels: Vec<u32> = disc(radius)
            .iter()
            .map(|(dy, dx)| (y + dy, x + dx))
            .filter(|&(y, x)| (0..60).contains(&y) && (0..70).contains(&x))
            .map(|(y, x)| (y * 70 + x) as u32)
            .collect();
        pixels.sort_unstable();
        pixels
    }

    /// An image of 1 in these pixels, blurred with what is inside the image.
    fn drawn(pixels: &[u32], around: &[u32]) -> Patch<f32> {
        let mut image = Patch::around(around, margin(around), SIZE, 0.0f32).expect("pixels");
        for &pixel in pixels {
            let at = image.index(pixel, SIZE).expect("inside");
            image.values[at] = 1.0;
        }
        let all = image.with(vec![1.0f32; image.values.len()]).blurred(0.8);
        let mut blurred = image.blurred(0.8);
        for (value, all) in blurred.values.iter_mut().zip(&all.values) {
            *value /= all;
        }
        blurred
    }

    fn assert_alike(found: &Contour, truth: &[u32], least: f64) {
        let alike = iou(&found.pixels, truth);
        assert!(alike > least, "{alike}");
    }

    #[test]
    fn a_disc_is_found_from_one_beside_it() {
        let (truth, start) = (circle(30, 35, 7.0), circle(31, 34, 5.0));
        let image = drawn(&truth, &start);
        let known = vec![true; image.values.len()];
        let found = outline(&image, &known, &start, 0.03, SIZE).expect("a start");
        assert_alike(&found, &truth, 0.93);
        assert!(found.fall > 0.3, "{}", found.fall);
    }

    #[test]
    fn a_bright_spot_and_a_dark_nucleus_do_not_move_the_outline() {
        let truth = circle(30, 35, 7.0);
        let mut image = drawn(&truth, &truth);
        for pixel in circle(30, 35, 2.0) {
            let at = image.index(pixel, SIZE).expect("inside");
            image.values[at] = 0.1;
        }
        for pixel in circle(26, 35, 1.0) {
            let at = image.index(pixel, SIZE).expect("inside");
            image.values[at] = 4.0;
        }
        let known = vec![true; image.values.len()];
        let found = outline(&image, &known, &truth, 0.03, SIZE).expect("a start");
        assert_alike(&found, &truth, 0.9);
    }

    #[test]
    fn a_cell_at_the_edge_keeps_its_edge() {
        let truth = circle(2, 35, 7.0);
        let image = drawn(&truth, &truth);
        let known = vec![true; image.values.len()];
        let found = outline(&image, &known, &truth, 0.03, SIZE).expect("a start");
        assert_alike(&found, &truth, 0.85);
        assert!(found.pixels.iter().any(|&pixel| pixel < 70));
    }

    #[test]
    fn where_nothing_is_known_the_start_stays() {
        let start = circle(30, 35, 6.0);
        let image = drawn(&[], &start);
        let known = vec![false; image.values.len()];
        let found = outline(&image, &known, &start, 0.03, SIZE).expect("a start");
        assert_alike(&found, &start, 0.85);
        assert_eq!(found.fall, 0.0);
        assert!(outline(&image, &known, &[], 0.03, SIZE).is_none());
    }
}
