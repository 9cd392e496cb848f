//! Outlines of sets of pixels, and the pixels inside of outlines.
//!
//! An outline runs along the edges of pixels, so its corners are whole numbers and it encloses exactly the pixels: pixel (y, x) is the
//! square from (y, x) to (y + 1, x + 1). Pixels that touch only at a corner are not joined (4-connectivity): each part of a set has its
//! own outline. Holes are ignored, and so is what lies in them. The walk keeps the pixels on its right hand, as one follows a wall.

use std::collections::VecDeque;

/// Corners of a closed line as x and y; the last one is joined to the first. Corners on a straight line are left out.
pub type Outline = Vec<[i64; 2]>;

/// A window of the image that holds a set of pixels, with a free rim of one pixel.
struct Window {
    top: i64,
    left: i64,
    height: usize,
    width: usize,
    /// What each pixel is: one of the constants, or the number of its part.
    parts: Vec<u32>,
}

/// Background that was not reached from the rim (so far).
const HOLE: u32 = 0;
/// A pixel of the set whose part is not known yet.
const UNKNOWN: u32 = 1;
/// Background that is joined to the rim.
const OUTSIDE: u32 = 2;
/// The number of the first part.
const FIRST_PART: u32 = 3;

const SIDES: [[isize; 2]; 4] = [[-1, 0], [0, -1], [0, 1], [1, 0]];
const CORNERS: [[isize; 2]; 4] = [[-1, -1], [-1, 1], [1, -1], [1, 1]];

impl Window {
    /// The window of these pixels; `None` without any.
    fn new(ypix: &[i64], xpix: &[i64]) -> Option<Window> {
        let (top, bottom) = (ypix.iter().min()? - 1, ypix.iter().max()? + 1);
        let (left, right) = (xpix.iter().min()? - 1, xpix.iter().max()? + 1);
        let (height, width) = ((bottom - top + 1) as usize, (right - left + 1) as usize);
        let mut parts = vec![HOLE; height * width];
        for (y, x) in ypix.iter().zip(xpix) {
            parts[(y - top) as usize * width + (x - left) as usize] = UNKNOWN;
        }
        let mut window = Window {
            top,
            left,
            height,
            width,
            parts,
        };
        // Where the set is joined at sides only, the background is joined at corners too.
        window.flood(0, HOLE, OUTSIDE, &[SIDES, CORNERS].concat());
        Some(window)
    }

    fn part(&self, y: i64, x: i64) -> u32 {
        self.parts[y as usize * self.width + x as usize]
    }

    /// Turns the pixels of value `from` that are joined to `start` into `to`.
    fn flood(&mut self, start: usize, from: u32, to: u32, neighbours: &[[isize; 2]]) {
        let mut queue = VecDeque::from([start]);
        self.parts[start] = to;
        while let Some(place) = queue.pop_front() {
            for &[dy, dx] in neighbours {
                let y = (place / self.width).checked_add_signed(dy);
                let x = (place % self.width).checked_add_signed(dx);
                let (Some(y), Some(x)) = (y, x) else { continue };
                let neighbour = y * self.width + x;
                if y < self.height && x < self.width && self.parts[neighbour] == from {
                    self.parts[neighbour] = to;
                    queue.push_back(neighbour);
                }
            }
        }
    }

    /// The outer line of the part whose first pixel, row by row, is at `start`.
    fn walk(&self, start: usize, part: u32) -> Outline {
        let first = [(start % self.width) as i64, (start / self.width) as i64];
        // Along the upper edge of the first pixel, which is on its right hand.
        let (mut place, mut step) = (first, [1i64, 0i64]);
        let mut corners = Vec::new();
        loop {
            place = [place[0] + step[0], place[1] + step[1]];
            let right = [-step[1], step[0]];
            let ahead = |side: i64| {
                let x = place[0] + (step[0] + side * right[0] - 1) / 2;
                let y = place[1] + (step[1] + side * right[1] - 1) / 2;
                self.part(y, x) == part
            };
            let next = if !ahead(1) {
                right
            } else if ahead(-1) {
                [-right[0], -right[1]]
            } else {
                step
            };
            if next != step {
                corners.push([place[0] + self.left, place[1] + self.top]);
            }
            step = next;
            if place == first && step == [1, 0] {
                return corners;
            }
        }
    }
}

/// The outer outline of each connected part of a set of pixels, from top to bottom, without parts that lie in a hole of another.
/// Pixels may come in any order, also twice.
pub fn outlines(ypix: &[i64], xpix: &[i64]) -> Vec<Outline> {
    let Some(mut window) = Window::new(ypix, xpix) else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    let mut part = FIRST_PART;
    for start in window.width..window.height * window.width {
        if window.parts[start] == UNKNOWN {
            window.flood(start, UNKNOWN, part, &SIDES);
            // Above the first pixel of a part there is background: that around it.
            if window.parts[start - window.width] == OUTSIDE {
                lines.push(window.walk(start, part));
            }
            part += 1;
        }
    }
    lines
}

/// The pixels, as y and x, whose centres are inside of closed lines (inside of an odd number of them), row by row; corners are x and
/// y. Pixels outside of a frame of `height` × `width` are left out.
pub fn pixels_inside(lines: &[Vec<[f32; 2]>], height: usize, width: usize) -> Vec<[i64; 2]> {
    let corners = || {
        lines
            .iter()
            .flatten()
            .filter(|corner| corner[1].is_finite())
    };
    let top = corners().fold(f32::INFINITY, |a, corner| a.min(corner[1]));
    let bottom = corners().fold(f32::NEG_INFINITY, |a, corner| a.max(corner[1]));
    let mut pixels = Vec::new();
    if top > bottom {
        return pixels;
    }
    let first_row = top.floor().max(0.0) as usize;
    let end_row = (bottom.ceil().max(0.0) as usize).min(height);
    for row in first_row..end_row {
        let middle = row as f32 + 0.5;
        let mut crossings = Vec::new();
        for line in lines {
            for (place, from) in line.iter().enumerate() {
                let to = line[(place + 1) % line.len()];
                if (from[1] <= middle) != (to[1] <= middle) {
                    let along = (middle - from[1]) / (to[1] - from[1]);
                    crossings.push(from[0] + along * (to[0] - from[0]));
                }
            }
        }
        crossings.sort_by(f32::total_cmp);
        for pair in crossings.chunks_exact(2) {
            // Centres from the first crossing up to the second one.
            let edge = |x: f32| ((x - 0.5).ceil().max(0.0) as usize).min(width);
            pixels.extend((edge(pair[0])..edge(pair[1])).map(|column| [row as i64, column as i64]));
        }
    }
    pixels
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The pixels marked in a picture of rows.
    fn pixels_of(picture: &[&str]) -> (Vec<i64>, Vec<i64>) {
        let mut pixels = (Vec::new(), Vec::new());
        for (y, row) in picture.iter().enumerate() {
            for (x, mark) in row.chars().enumerate() {
                if mark == '#' {
                    pixels.0.push(y as i64);
                    pixels.1.push(x as i64);
                }
            }
        }
        pixels
    }

    fn as_lines(outlines: &[Outline]) -> Vec<Vec<[f32; 2]>> {
        let line = |outline: &Outline| outline.iter().map(|&[x, y]| [x as f32, y as f32]).collect();
        outlines.iter().map(line).collect()
    }

    #[test]
    fn one_pixel_has_four_corners() {
        assert_eq!(
            outlines(&[3, 3], &[5, 5]),
            [vec![[6, 3], [6, 4], [5, 4], [5, 3]]]
        );
        assert!(outlines(&[], &[]).is_empty());
    }

    #[test]
    fn pixels_that_touch_at_a_corner_are_two_parts() {
        let (y, x) = pixels_of(&["#.", ".#"]);
        assert_eq!(outlines(&y, &x).len(), 2);
        // A ring that closes at a corner only is one part, and encloses nothing.
        let (y, x) = pixels_of(&["###.", "#.#.", "##.#", ".###"]);
        let lines = outlines(&y, &x);
        assert_eq!(lines.len(), 1);
        let inside = pixels_inside(&as_lines(&lines), 4, 4);
        assert_eq!(inside.len(), y.len());
        assert!(!inside.contains(&[1, 1]));
    }

    #[test]
    fn a_hole_is_ignored() {
        let (y, x) = pixels_of(&["###", "#.#", "###"]);
        assert_eq!(outlines(&y, &x), [vec![[3, 0], [3, 3], [0, 3], [0, 0]]]);
    }

    #[test]
    fn lines_off_the_frame_are_cut() {
        let square = vec![[-2.0, -2.0], [1.6, -2.0], [1.6, 9.0], [-2.0, 9.0]];
        assert_eq!(
            pixels_inside(&[square], 2, 5),
            [[0, 0], [0, 1], [1, 0], [1, 1]]
        );
        assert!(pixels_inside(&[vec![[f32::NAN; 2]; 3]], 2, 2).is_empty());
        assert!(pixels_inside(&[vec![]], 2, 2).is_empty());
    }

    proptest! {
        /// A hole would be filled, so the sets are grown: each row is one run.
        #[test]
        fn an_outline_encloses_exactly_the_pixels(rows in prop::collection::vec((0usize..12, 0usize..12), 1..12)) {
            let mut expected = Vec::new();
            for (y, &(start, length)) in rows.iter().enumerate() {
                expected.extend((start..(start + length).min(20)).map(|x| [y as i64, x as i64]));
            }
            let y: Vec<i64> = expected.iter().map(|pixel| pixel[0]).collect();
            let x: Vec<i64> = expected.iter().map(|pixel| pixel[1]).collect();
            prop_assert_eq!(pixels_inside(&as_lines(&outlines(&y, &x)), 12, 20), expected);
        }

        /// Any set: the pixels inside are the set and its holes, where background is joined also at corners.
        #[test]
        fn any_set_is_enclosed_with_its_holes(marks in prop::collection::vec(any::<bool>(), 49)) {
            let mut inside = [[false; 9]; 9];
            let (mut ypix, mut xpix) = (Vec::new(), Vec::new());
            for (place, _) in marks.iter().enumerate().filter(|(_, mark)| **mark) {
                ypix.push((place / 7) as i64);
                xpix.push((place % 7) as i64);
                inside[place / 7 + 1][place % 7 + 1] = true;
            }
            // What background reaches from the rim is outside.
            let mut outside = [[false; 9]; 9];
            outside[0][0] = true;
            for _ in 0..81 {
                for y in 0..9usize {
                    for x in 0..9usize {
                        let near = |v: usize| v.saturating_sub(1)..=(v + 1).min(8);
                        outside[y][x] |= !inside[y][x] && near(y).any(|v| near(x).any(|u| outside[v][u]));
                    }
                }
            }
            let expected: Vec<[i64; 2]> = (0..49)
                .map(|place| [place / 7, place % 7])
                .filter(|[y, x]| !outside[*y as usize + 1][*x as usize + 1])
                .collect();
            prop_assert_eq!(pixels_inside(&as_lines(&outlines(&ypix, &xpix)), 7, 7), expected);
        }
    }
}
