//! Shift fields for the tests of kernels that move pixels.

use crate::random::Random;

/// Frames of one size with a grid of knots, and how far they moved.
#[derive(Clone, Copy)]
pub struct Motion {
    pub frames: usize,
    pub height: usize,
    pub width: usize,
    pub knot_rows: usize,
    pub knot_columns: usize,
    /// Shifts that all knots of a frame share are within this, pixels.
    pub common_px: f32,
    /// Shifts of single knots deviate by this, pixels.
    pub own_px: f32,
}

/// Frames narrower than a tile of 16 pixels, whole tiles and a rest, rows longer than a workgroup, tiles whose centre
/// lies on a knot (48 pixels, 3 columns), steep fields, shifts that leave little or nothing of the frame, and more rows than
/// workgroups.
pub const MOTIONS: [Motion; 13] = [
    motion([0, 7, 9], [1, 1], 1.0, 0.0),
    motion([1, 1, 1], [1, 1], 0.4, 0.0),
    motion([2, 7, 5], [1, 1], 2.0, 0.0),
    motion([1, 1, 40], [1, 2], 1.0, 0.3),
    motion([1, 40, 1], [2, 1], 1.0, 0.3),
    motion([3, 20, 33], [1, 1], 4.0, 0.0),
    motion([2, 97, 80], [6, 2], 5.0, 0.5),
    motion([2, 66, 131], [4, 4], 3.0, 0.5),
    motion([1, 33, 300], [2, 4], 3.0, 0.5),
    motion([1, 20, 48], [1, 3], 2.0, 0.7),
    motion([1, 35, 64], [2, 2], 2.0, 4.0),
    motion([4, 24, 37], [2, 2], 60.0, 0.5),
    motion([1, 65_537, 3], [2, 1], 1.0, 0.3),
];

const fn motion(
    [frames, height, width]: [usize; 3],
    [knot_rows, knot_columns]: [usize; 2],
    common_px: f32,
    own_px: f32,
) -> Motion {
    Motion {
        frames,
        height,
        width,
        knot_rows,
        knot_columns,
        common_px,
        own_px,
    }
}

impl Motion {
    /// Random knots, `[frame, 2, knot_row, knot_column]`.
    pub fn knots(&self, random: &mut Random) -> Vec<f32> {
        let mut knots = Vec::new();
        for _ in 0..2 * self.frames {
            let common = random.between(-self.common_px, self.common_px);
            for _ in 0..self.knot_rows * self.knot_columns {
                knots.push(common + self.own_px * random.normal());
            }
        }
        knots
    }

    /// How far the fraction of a shift may leave [0, 1] within a tile of 16 pixels, whose whole part is taken at its
    /// centre: half a tile on the steepest slope between two columns of knots.
    pub fn overshoot(&self, knots: &[f32]) -> f32 {
        if self.knot_columns < 2 {
            return 0.0;
        }
        let spacing_px = (self.width - 1) as f32 / (self.knot_columns - 1) as f32;
        let steepest = knots
            .chunks_exact(self.knot_columns)
            .flat_map(|row| row.windows(2))
            .fold(0.0f32, |most, pair| most.max((pair[1] - pair[0]).abs()));
        8.0 * steepest / spacing_px
    }

    /// Pixels of all frames.
    pub fn n_pixels(&self) -> usize {
        self.frames * self.height * self.width
    }

    pub fn name(&self) -> String {
        format!(
            "{} frames of {} x {}, {} x {} knots, shifts of {} and {} pixels",
            self.frames,
            self.height,
            self.width,
            self.knot_rows,
            self.knot_columns,
            self.common_px,
            self.own_px
        )
    }
}
