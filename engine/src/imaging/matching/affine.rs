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
}
