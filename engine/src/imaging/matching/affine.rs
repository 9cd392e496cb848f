//! Straight-line maps of the plane, from places of the first field to places of the second.

use serde::{Deserialize, Serialize};

/// `y' = rows[0] · (y, x, 1)`, `x' = rows[1] · (y, x, 1)`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Affine(pub [[f64; 3]; 2]);

impl Affine {
    /// Everything where it is.
    pub const IDENTITY: Self = Self([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]);

    /// Turns clockwise about `centre` (y, x) and then shifts.
    pub fn turn(rotation: f64, centre: [f64; 2], shift: [f64; 2]) -> Self {
        let (sine, cosine) = rotation.sin_cos();
        let [y, x] = centre;
        Self([
            [cosine, sine, y + shift[0] - cosine * y - sine * x],
            [-sine, cosine, x + shift[1] + sine * y - cosine * x],
        ])
    }

    /// Where a place (y, x) goes.
    pub fn apply(&self, [y, x]: [f64; 2]) -> [f64; 2] {
        self.0.map(|row| row[0] * y + row[1] * x + row[2])
    }

    /// The same map between images whose pixels are `factor` times as small: block means taken back.
    pub fn enlarged(&self, factor: usize) -> Self {
        let (factor, offset) = (factor as f64, (factor as f64 - 1.0) / 2.0);
        Self(self.0.map(|row| {
            let shift = factor * row[2] + offset - (row[0] + row[1]) * offset;
            [row[0], row[1], shift]
        }))
    }

    /// The same map between images whose pixels are `factor` times as large.
    pub fn reduced(&self, factor: usize) -> Self {
        let (factor, offset) = (factor as f64, (factor as f64 - 1.0) / 2.0);
        Self(self.0.map(|row| {
            let shift = (row[2] - offset + (row[0] + row[1]) * offset) / factor;
            [row[0], row[1], shift]
        }))
    }

    /// Area of the image of a unit square.
    pub fn determinant(&self) -> f64 {
        self.0[0][0] * self.0[1][1] - self.0[0][1] * self.0[1][0]
    }

    /// The turn of the closest rotation with scale, radians, clockwise.
    pub fn rotation(&self) -> f64 {
        (self.0[0][1] - self.0[1][0]).atan2(self.0[0][0] + self.0[1][1])
    }

    /// How much longer lengths become.
    pub fn scale(&self) -> f64 {
        self.determinant().abs().sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_clockwise_about_its_centre() {
        let turn = Affine::turn(0.3, [5.0, 7.0], [1.0, -2.0]);
        let [y, x] = turn.apply([5.0, 7.0]);
        assert!((y - 6.0).abs() < 1e-12 && (x - 5.0).abs() < 1e-12);
        // To the right becomes to the right and down.
        let [y, _] = turn.apply([5.0, 8.0]);
        assert!((y - 6.0 - 0.3f64.sin()).abs() < 1e-12);
        assert!((turn.rotation() - 0.3).abs() < 1e-12);
        assert!((turn.scale() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_map_of_reduced_images_is_that_of_the_pixels_centres() {
        let full = Affine::turn(-0.1, [40.0, 30.0], [3.0, 4.5]);
        let reduced = full.reduced(3);
        // The middle of the block of reduced pixel (2, 5) is full pixel (7, 16).
        let [y, x] = reduced.apply([2.0, 5.0]).map(|at| 3.0 * at + 1.0);
        let expected = full.apply([7.0, 16.0]);
        assert!((y - expected[0]).abs() < 1e-9 && (x - expected[1]).abs() < 1e-9);
        let back = reduced.enlarged(3);
        for (row, again) in full.0.iter().zip(back.0) {
            for (a, b) in row.iter().zip(again) {
                assert!((a - b).abs() < 1e-9);
            }
        }
    }
}
