//! Sets of pixels on a small patch of an image: grown, shrunk, filled, taken apart.

/// A rectangle of an image, with a value for every pixel.
#[derive(Clone, Debug, PartialEq)]
pub struct Patch<T> {
    /// First row.
    pub top: usize,
    /// First column.
    pub left: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// `[y, x]`.
    pub values: Vec<T>,
}

/// Width of the image and height, for patches that must stay inside.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ImageSize {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl<T: Clone> Patch<T> {
    /// The patch around pixels, with a margin, cut at the image's edges; `None` without pixels.
    pub fn around(pixels: &[u32], margin: usize, size: ImageSize, value: T) -> Option<Self> {
        let rows = || pixels.iter().map(|&p| p as usize / size.width);
        let columns = || pixels.iter().map(|&p| p as usize % size.width);
        let top = rows().min()?.saturating_sub(margin);
        let left = columns().min()?.saturating_sub(margin);
        let bottom = (rows().max()? + margin + 1).min(size.height);
        let right = (columns().max()? + margin + 1).min(size.width);
        Some(Self {
            top,
            left,
            height: bottom - top,
            width: right - left,
            values: vec![value; (bottom - top) * (right - left)],
        })
    }

    /// Place of an image pixel in the patch.
    pub fn index(&self, pixel: u32, size: ImageSize) -> Option<usize> {
        let (y, x) = (pixel as usize / size.width, pixel as usize % size.width);
        let inside = (self.top..self.top + self.height).contains(&y)
            && (self.left..self.left + self.width).contains(&x);
        inside.then(|| (y - self.top) * self.width + x - self.left)
    }

    /// Image pixel of a place in the patch.
    pub fn pixel(&self, index: usize, size: ImageSize) -> u32 {
        ((self.top + index / self.width) * size.width + self.left + index % self.width) as u32
    }

    /// The same rectangle with other values.
    pub fn with<U>(&self, values: Vec<U>) -> Patch<U> {
        Patch {
            top: self.top,
            left: self.left,
            height: self.height,
            width: self.width,
            values,
        }
    }

    /// The set of these pixels, as far as they are in the same rectangle.
    pub fn set(&self, pixels: &[u32], size: ImageSize) -> Patch<bool> {
        let mut set = self.with(vec![false; self.values.len()]);
        for &pixel in pixels {
            if let Some(index) = self.index(pixel, size) {
                set.values[index] = true;
            }
        }
        set
    }

    /// Places around one, by their steps in y and x, that are inside the patch.
    fn around_index<'a>(
        &'a self,
        index: usize,
        steps: &'a [(i64, i64)],
    ) -> impl Iterator<Item = Option<usize>> + 'a {
        let (y, x) = ((index / self.width) as i64, (index % self.width) as i64);
        steps.iter().map(move |(dy, dx)| {
            let (y, x) = (y + dy, x + dx);
            let inside =
                (0..self.height as i64).contains(&y) && (0..self.width as i64).contains(&x);
            inside.then(|| y as usize * self.width + x as usize)
        })
    }
}

/// The 4 neighbours.
const CROSS: [(i64, i64); 4] = [(-1, 0), (1, 0), (0, -1), (0, 1)];

/// Steps within a disc.
pub fn disc(radius: f64) -> Vec<(i64, i64)> {
    let reach = radius.floor() as i64;
    let all = (-reach..=reach).flat_map(|y| (-reach..=reach).map(move |x| (y, x)));
    all.filter(|(y, x)| ((y * y + x * x) as f64) <= radius * radius)
        .collect()
}

/// Steps within a square.
pub fn square(radius: i64) -> Vec<(i64, i64)> {
    (-radius..=radius)
        .flat_map(|y| (-radius..=radius).map(move |x| (y, x)))
        .collect()
}

/// Steps that a walk along rows and columns reaches.
pub fn diamond(radius: i64) -> Vec<(i64, i64)> {
    square(radius)
        .into_iter()
        .filter(|(y, x)| y.abs() + x.abs() <= radius)
        .collect()
}

impl Patch<bool> {
    /// A patch that holds these pixels, with a margin.
    pub fn of(pixels: &[u32], margin: usize, size: ImageSize) -> Option<Self> {
        Some(Patch::around(pixels, margin, size, false)?.set(pixels, size))
    }

    /// The image's pixels in the set, ascending.
    pub fn pixels(&self, size: ImageSize) -> Vec<u32> {
        (0..self.values.len())
            .filter(|&i| self.values[i])
            .map(|i| self.pixel(i, size))
            .collect()
    }

    /// Pixels in the set.
    pub fn count(&self) -> usize {
        self.values.iter().filter(|set| **set).count()
    }

    /// Every pixel from which a step leads into the set.
    pub fn dilated(&self, steps: &[(i64, i64)]) -> Self {
        let values = (0..self.values.len())
            .map(|i| {
                self.around_index(i, steps)
                    .any(|j| j.is_some_and(|j| self.values[j]))
            })
            .collect();
        self.with(values)
    }

    /// Every pixel from which no step leads out of the set; beyond the patch is out.
    pub fn eroded(&self, steps: &[(i64, i64)]) -> Self {
        let values = (0..self.values.len())
            .map(|i| {
                self.around_index(i, steps)
                    .all(|j| j.is_some_and(|j| self.values[j]))
            })
            .collect();
        self.with(values)
    }

    /// The set with gaps closed that no step bridges (grown, then shrunk), `reach` being the longest step: as on an endless plane, so that a
    /// set which the image's edge cuts keeps its edge.
    pub fn closed(&self, steps: &[(i64, i64)], reach: usize) -> Self {
        let (height, width) = (self.height + 2 * reach, self.width + 2 * reach);
        let mut wide = Patch {
            top: 0,
            left: 0,
            height,
            width,
            values: vec![false; height * width],
        };
        let place = |i: usize| (i / self.width + reach) * width + i % self.width + reach;
        for (i, &value) in self.values.iter().enumerate() {
            wide.values[place(i)] = value;
        }
        let wide = wide.dilated(steps).eroded(steps);
        let values = (0..self.values.len()).map(|i| wide.values[place(i)]);
        self.with(values.collect())
    }

    /// The set with the pixels that it encloses.
    pub fn filled(&self) -> Self {
        let edge = |i: usize| {
            let (y, x) = (i / self.width, i % self.width);
            y == 0 || x == 0 || y + 1 == self.height || x + 1 == self.width
        };
        let mut outside: Vec<bool> = (0..self.values.len())
            .map(|i| edge(i) && !self.values[i])
            .collect();
        let mut open: Vec<usize> = (0..outside.len()).filter(|&i| outside[i]).collect();
        while let Some(i) = open.pop() {
            for j in self.around_index(i, &CROSS).flatten() {
                if !self.values[j] && !outside[j] {
                    outside[j] = true;
                    open.push(j);
                }
            }
        }
        self.with(outside.into_iter().map(|outside| !outside).collect())
    }

    /// Parts that are joined along rows and columns, in the order of their first pixel.
    pub fn parts(&self) -> Vec<Self> {
        let mut seen = vec![false; self.values.len()];
        let mut parts = Vec::new();
        for start in 0..self.values.len() {
            if !self.values[start] || seen[start] {
                continue;
            }
            let mut part = self.with(vec![false; self.values.len()]);
            let mut open = vec![start];
            seen[start] = true;
            while let Some(i) = open.pop() {
                part.values[i] = true;
                for j in self.around_index(i, &CROSS).flatten() {
                    if self.values[j] && !seen[j] {
                        seen[j] = true;
                        open.push(j);
                    }
                }
            }
            parts.push(part);
        }
        parts
    }

    /// The part that has most in common with another set of the same rectangle; of equals the larger, then the first.
    pub fn part_most_in(&self, other: &Self) -> Option<Self> {
        let shared = |part: &Self| {
            let pairs = part.values.iter().zip(&other.values);
            pairs.filter(|(a, b)| **a && **b).count()
        };
        let mut best: Option<(usize, usize, Self)> = None;
        for part in self.parts() {
            let rank = (shared(&part), part.count());
            if best.as_ref().is_none_or(|(a, b, _)| rank > (*a, *b)) {
                best = Some((rank.0, rank.1, part));
            }
        }
        best.map(|(_, _, part)| part)
    }
}

impl Patch<f32> {
    /// Smoothed by a Gaussian over three deviations, zero beyond the patch.
    pub fn blurred(&self, sigma: f32) -> Self {
        let reach = (3.0 * sigma).ceil() as i64;
        let kernel: Vec<f32> = (-reach..=reach)
            .map(|k| (-0.5 * (k as f32 / sigma).powi(2)).exp())
            .collect();
        let total: f32 = kernel.iter().sum();
        let pass = |values: &[f32], stride: usize, length: usize| -> Vec<f32> {
            (0..values.len())
                .map(|i| {
                    let at = (i / stride % length) as i64;
                    let inside = (-at).max(-reach)..=(length as i64 - 1 - at).min(reach);
                    inside
                        .map(|k| {
                            let neighbour = (i as i64 + k * stride as i64) as usize;
                            kernel[(k + reach) as usize] * values[neighbour]
                        })
                        .sum::<f32>()
                        / total
                })
                .collect()
        };
        let along_y = pass(&self.values, self.width, self.height);
        self.with(pass(&along_y, 1, self.width))
    }
}

/// Pixels that two sorted lists share.
pub fn n_shared(a: &[u32], b: &[u32]) -> usize {
    let (mut i, mut j, mut n) = (0, 0, 0);
    while i < a.len() && j < b.len() {
        match a[i].cmp(&b[j]) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => {
                n += 1;
                i += 1;
                j += 1;
            }
        }
    }
    n
}

/// Intersection over union of two sorted lists of pixels.
pub fn iou(a: &[u32], b: &[u32]) -> f64 {
    let shared = n_shared(a, b);
    let all = a.len() + b.len() - shared;
    if all == 0 {
        0.0
    } else {
        shared as f64 / all as f64
    }
}

/// Mean place of pixels, y and x; 0 without any.
pub fn centre(pixels: &[u32], width: usize) -> [f64; 2] {
    let n = pixels.len().max(1) as f64;
    let sum = |part: fn(usize, usize) -> usize| {
        let parts = pixels.iter().map(|&p| part(p as usize, width) as f64);
        parts.sum::<f64>() / n
    };
    [sum(|p, w| p / w), sum(|p, w| p % w)]
}

/// Ratio of the longer to the shorter axis of the pixels' ellipse of inertia.
pub fn aspect_ratio(pixels: &[u32], size: ImageSize) -> f64 {
    let n = pixels.len() as f64;
    if pixels.len() < 3 {
        return f64::INFINITY;
    }
    let at = |p: &u32| {
        (
            (*p as usize / size.width) as f64,
            (*p as usize % size.width) as f64,
        )
    };
    let [my, mx] = centre(pixels, size.width);
    let (mut yy, mut xx, mut yx) = (0.0, 0.0, 0.0);
    for (y, x) in pixels.iter().map(at) {
        yy += (y - my).powi(2);
        xx += (x - mx).powi(2);
        yx += (y - my) * (x - mx);
    }
    let (half_trace, difference) = (0.5 * (yy + xx), 0.5 * (yy - xx));
    let root = (difference * difference + yx * yx).sqrt();
    ((half_trace + root) / (half_trace - root).max(1e-6 * n)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: ImageSize = ImageSize {
        height: 20,
        width: 30,
    };

    fn ring() -> Vec<u32> {
        let steps = disc(4.0);
        let inner = disc(2.0);
        steps
            .iter()
            .filter(|step| !inner.contains(step))
            .map(|(y, x)| ((10 + y) * 30 + 12 + x) as u32)
            .collect()
    }

    #[test]
    fn a_ring_is_filled_and_survives_opening() {
        let ring = Patch::of(&ring(), 2, SIZE).expect("pixels");
        let disc_pixels = ring.filled();
        assert_eq!(disc_pixels.count(), disc(4.0).len());
        let opened = disc_pixels.eroded(&square(1)).dilated(&square(1));
        assert!(opened.count() > 40 && opened.count() <= disc_pixels.count());
        assert_eq!(ring.parts().len(), 1);
    }

    #[test]
    fn closing_leaves_a_set_at_the_edge_as_it_is() {
        let corner: Vec<u32> = (0..6)
            .flat_map(|y| (0..7).map(move |x| y * 30 + x))
            .collect();
        let patch = Patch::of(&corner, 4, SIZE).expect("pixels");
        assert_eq!(patch.closed(&diamond(2), 2).pixels(SIZE), corner);
        let gap: Vec<u32> = corner.iter().copied().filter(|p| *p != 92).collect();
        let patch = Patch::of(&gap, 4, SIZE).expect("pixels");
        assert_eq!(patch.closed(&diamond(2), 2).pixels(SIZE), corner);
    }

    #[test]
    fn overlap_is_counted() {
        assert_eq!(n_shared(&[1, 2, 3, 9], &[2, 3, 4]), 2);
        assert!((iou(&[1, 2, 3, 9], &[2, 3, 4]) - 0.4).abs() < 1e-12);
    }

    #[test]
    fn a_bar_is_long_and_a_disc_is_round() {
        let bar: Vec<u32> = (0..12).flat_map(|x| [5 * 30 + x, 6 * 30 + x]).collect();
        assert!(aspect_ratio(&bar, SIZE) > 5.0);
        let round: Vec<u32> = disc(5.0)
            .iter()
            .map(|(y, x)| ((10 + y) * 30 + 12 + x) as u32)
            .collect();
        assert!((aspect_ratio(&round, SIZE) - 1.0).abs() < 1e-9);
    }
}
