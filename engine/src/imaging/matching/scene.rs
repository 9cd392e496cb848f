//! Fields for the tests of matching: tissue of smooth bumps that can be looked at through any map.

use super::Field;
use crate::{imaging::morphology::ImageSize, sorting::clustering::random::Random};

/// Radius of a cell, px.
pub const RADIUS_PX: f64 = 5.0;

/// Tissue and the centres of its cells.
pub struct Scene {
    /// Place, width and height of each bump.
    bumps: Vec<([f64; 2], f64, f64)>,
    /// Centres of the cells.
    pub cells: Vec<[f64; 2]>,
}

/// What a session saw of a scene.
pub struct Seen {
    pub size: ImageSize,
    pub mean: Vec<f32>,
    pub bodies: Vec<Vec<u32>>,
    /// Cell of the scene of each body.
    pub cells: Vec<usize>,
}

impl Seen {
    pub fn field(&self) -> Field<'_> {
        Field {
            size: self.size,
            mean: &self.mean,
            bodies: &self.bodies,
        }
    }
}

impl Scene {
    /// A scene around a frame of `side` pixels, with cells apart from each other.
    pub fn new(seed: u64, side: f64, n_cells: usize) -> Self {
        let mut random = Random(seed);
        let place =
            |random: &mut Random| [0; 2].map(|_| -0.3 * side + 1.6 * side * random.uniform());
        let bumps = (0..(side * side / 12.0) as usize)
            .map(|_| {
                let width = 1.5 + 2.5 * random.uniform();
                (place(&mut random), width, random.uniform() - 0.4)
            })
            .collect();
        let mut cells: Vec<[f64; 2]> = Vec::new();
        while cells.len() < n_cells {
            let centre = place(&mut random);
            if cells
                .iter()
                .all(|c| super::field_map::distance(*c, centre) > 2.2 * RADIUS_PX)
            {
                cells.push(centre);
            }
        }
        Self { bumps, cells }
    }

    /// The scene on a frame whose pixels lie at `to_scene(pixel)`; a cell is seen when `is_seen(cell)` says so.
    pub fn seen(
        &self,
        size: ImageSize,
        to_scene: impl Fn([f64; 2]) -> [f64; 2],
        is_seen: impl Fn(usize) -> bool,
    ) -> Seen {
        let n = size.height * size.width;
        let places: Vec<[f64; 2]> = (0..n)
            .map(|at| to_scene(super::refinement::place(at, size)))
            .collect();
        let squared = |a: [f64; 2], b: [f64; 2]| (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2);
        let mean = places
            .iter()
            .map(|place| {
                let bumps = self.bumps.iter().map(|(centre, width, height)| {
                    let z = squared(*place, *centre) / (2.0 * width * width);
                    if z < 12.0 { height * (-z).exp() } else { 0.0 }
                });
                (100.0 + 20.0 * bumps.sum::<f64>()) as f32
            })
            .collect();
        let mut seen = Seen {
            size,
            mean,
            bodies: Vec::new(),
            cells: Vec::new(),
        };
        for (cell, centre) in self
            .cells
            .iter()
            .enumerate()
            .filter(|(cell, _)| is_seen(*cell))
        {
            let body: Vec<u32> = (0..n)
                .filter(|&at| squared(places[at], *centre) <= RADIUS_PX * RADIUS_PX)
                .map(|at| at as u32)
                .collect();
            if body.len() > 20 {
                seen.bodies.push(body);
                seen.cells.push(cell);
            }
        }
        seen
    }
}
