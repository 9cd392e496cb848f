//! Points side by side, so that one instruction works on several: what is computed of a point has the same bits.
//!
//! Lanes are gone through by loops: a closure would be compiled without the vectors of its caller.

/// Points that stand side by side. A power of two; no instruction set has wider vectors of `f32`.
pub const LANES: usize = 16;

/// Points, `[strip, dimension, lane]`; the last strip is filled up with zeros.
pub struct Strips<T> {
    dimensions: usize,
    values: Vec<[T; LANES]>,
}

impl<T: Copy + Default> Strips<T> {
    /// Of `points` `[point, dimension]`.
    pub fn new<'a>(points: impl ExactSizeIterator<Item = &'a [T]>, dimensions: usize) -> Self
    where
        T: 'a,
    {
        let mut values = vec![[T::default(); LANES]; points.len().div_ceil(LANES) * dimensions];
        for (i, point) in points.enumerate() {
            let strip = &mut values[i / LANES * dimensions..(i / LANES + 1) * dimensions];
            for (row, &value) in strip.iter_mut().zip(point) {
                row[i % LANES] = value;
            }
        }
        Self { dimensions, values }
    }

    /// Dimensions of a point.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// The strips, each `[dimension, lane]`.
    pub fn iter(&self) -> impl Iterator<Item = &[[T; LANES]]> {
        self.values.chunks_exact(self.dimensions.max(1))
    }
}

/// Squared distances of a strip's points to `centre`.
#[inline(always)]
pub fn squared_distance(strip: &[[f32; LANES]], centre: &[f32]) -> [f32; LANES] {
    let mut sum = [0.0; LANES];
    for (x, &centre) in strip.iter().zip(centre) {
        for lane in 0..LANES {
            sum[lane] += (x[lane] - centre) * (x[lane] - centre);
        }
    }
    sum
}

/// Products of a strip's points with `axis`, and their squared distances to it.
#[inline(always)]
pub fn product_and_squared_distance(
    strip: &[[f64; LANES]],
    axis: &[f64],
) -> ([f64; LANES], [f64; LANES]) {
    let (mut product, mut squared) = ([0.0; LANES], [0.0; LANES]);
    for (x, &m) in strip.iter().zip(axis) {
        for lane in 0..LANES {
            product[lane] += x[lane] * m;
            squared[lane] += (x[lane] - m) * (x[lane] - m);
        }
    }
    (product, squared)
}

/// Products of a strip's points with `axis`.
#[inline(always)]
pub fn product(strip: &[[f64; LANES]], axis: &[f64]) -> [f64; LANES] {
    let mut sum = [0.0; LANES];
    for (x, &w) in strip.iter().zip(axis) {
        for lane in 0..LANES {
            sum[lane] += x[lane] * w;
        }
    }
    sum
}
