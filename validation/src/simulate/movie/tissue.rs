//! What lies around the cells: shading, vessels, fine texture, and the neuropil's slow glow.

use super::canvas::{Canvas, CoarseField, POINTS_PER_PX};
use super::smooth::{deviation_of_image, smooth_image, standardise, white};
use super::spec::MovieSpec;
use crate::simulate::philox::Stream;

/// Deviation of the smoothing of the shading, px.
const SHADE_PX: f64 = 60.0;
/// Deviation of the smoothing of the fine texture, px: about the width of a microscope's focus.
const TEXTURE_PX: f64 = 1.2;
/// Deviation of the smoothing of the neuropil's fields, px, from and to.
const NEUROPIL_PX: (f64, f64) = (15.0, 40.0);
/// Least brightness of the background relative to its mean.
const DARKEST: f32 = 0.05;

struct Vessel {
    through_px: [f64; 2],
    angle: f64,
    bend_per_px: f64,
    width_px: f64,
}

/// The dark vessels of a plane.
pub struct Vessels(Vec<Vessel>);

impl Vessels {
    /// Vessels at random places in a frame of the size of `spec`, extended by `margin_px`.
    pub fn new(spec: &MovieSpec, margin_px: f64, random: &mut Stream) -> Self {
        let place =
            |n: usize, random: &mut Stream| random.between(-margin_px, n as f64 + margin_px);
        Self(
            (0..spec.n_vessels)
                .map(|_| Vessel {
                    through_px: [place(spec.height, random), place(spec.width, random)],
                    angle: random.between(0.0, std::f64::consts::PI),
                    bend_per_px: 0.0025 * random.normal(),
                    width_px: random.between(3.0, 6.0),
                })
                .collect(),
        )
    }

    /// Share of the light that comes through at a place of the frame, 0 to 1.
    pub fn light_at(&self, y_px: f64, x_px: f64) -> f64 {
        self.0
            .iter()
            .map(|vessel| {
                let (y, x) = (y_px - vessel.through_px[0], x_px - vessel.through_px[1]);
                let (sine, cosine) = vessel.angle.sin_cos();
                let along = x * cosine + y * sine;
                let across = y * cosine - x * sine + vessel.bend_per_px * along * along;
                let depth = (across / vessel.width_px).powi(2);
                if depth > 30.0 {
                    1.0
                } else {
                    1.0 - 0.75 * (-depth).exp()
                }
            })
            .product()
    }
}

/// What the background of a plane is drawn from.
pub(super) struct Ground {
    shade: CoarseField,
    /// Its least and largest value.
    range: (f32, f32),
    /// Deviation 1, `[canvas height, canvas width]`.
    texture: Vec<f32>,
}

impl Ground {
    /// Draws the fields.
    pub(super) fn new(canvas: &Canvas, random: &mut Stream) -> Self {
        let shade = smooth_field(canvas, SHADE_PX, random);
        let range = shade
            .values
            .iter()
            .fold((f32::MAX, f32::MIN), |(low, high), &value| {
                (low.min(value), high.max(value))
            });
        let width_points = TEXTURE_PX * POINTS_PER_PX as f64;
        let mut texture = smooth_image(
            &white(canvas.n_points(), random),
            canvas.width,
            width_points,
        );
        standardise(&mut texture, deviation_of_image(width_points));
        Self {
            shade,
            range,
            texture,
        }
    }

    /// Brightness of the shade where its field has a value.
    fn shade_of(&self, value: f32) -> f32 {
        let (low, high) = self.range;
        0.75 + 0.5 * (value - low) / (high - low).max(1e-6)
    }

    /// Brightness at each grid point; its mean is 1. `seen(place_px, texture)` gives the light that comes through there, and the texture that is
    /// seen in place of that of the ground.
    pub(super) fn background(
        &self,
        spec: &MovieSpec,
        canvas: &Canvas,
        seen: impl Fn([f64; 2], f32) -> (f64, f32),
    ) -> Vec<f32> {
        let contrast = spec.texture_contrast as f32;
        let mut line = Vec::new();
        let mut shades = vec![0.0; canvas.width];
        let mut background = self.texture.clone();
        for (row, values) in background.chunks_exact_mut(canvas.width).enumerate() {
            self.shade.row(row, &mut line, &mut shades);
            for (column, value) in values.iter_mut().enumerate() {
                let shade = self.shade_of(shades[column]);
                let (light, texture) =
                    seen([canvas.place_px(row), canvas.place_px(column)], *value);
                let fine = (1.0 + contrast * texture).max(0.2);
                *value = (shade * light as f32 * fine).max(DARKEST);
            }
        }
        let mean = background
            .iter()
            .map(|&value| f64::from(value))
            .sum::<f64>()
            / background.len() as f64;
        let factor = (1.0 / mean) as f32;
        background.iter_mut().for_each(|value| *value *= factor);
        background
    }

    /// Texture at a place of the frame, between grid points by straight lines; `None` outside of the canvas.
    pub(super) fn texture_at(&self, canvas: &Canvas, [y_px, x_px]: [f64; 2]) -> Option<f32> {
        let (row, column) = (canvas.point_of(y_px), canvas.point_of(x_px));
        let inside = |point: f64, n: usize| point >= 0.0 && point < (n - 1) as f64;
        if !inside(row, canvas.height) || !inside(column, canvas.width) {
            return None;
        }
        let (top, left) = (row as usize, column as usize);
        let (down, right) = ((row - top as f64) as f32, (column - left as f64) as f32);
        let at = |y: usize, x: usize| self.texture[(top + y) * canvas.width + left + x];
        let line = |y: usize| at(y, 0) + right * (at(y, 1) - at(y, 0));
        Some(line(0) + down * (line(1) - line(0)))
    }
}

/// Background brightness at each grid point, `[canvas height, canvas width]`; its mean is 1.
pub fn make_background(
    spec: &MovieSpec,
    canvas: &Canvas,
    vessels: &Vessels,
    random: &mut Stream,
) -> Vec<f32> {
    let ground = Ground::new(canvas, random);
    ground.background(spec, canvas, |place_px, texture| {
        (vessels.light_at(place_px[0], place_px[1]), texture)
    })
}

/// The neuropil's fields: where each of its signals is seen; positive, with a mean of about 0.8.
pub fn make_neuropil(spec: &MovieSpec, canvas: &Canvas, random: &mut Stream) -> Vec<CoarseField> {
    (0..spec.n_neuropil_fields)
        .map(|_| {
            let width_px = random.between(NEUROPIL_PX.0, NEUROPIL_PX.1);
            let mut field = smooth_field(canvas, width_px, random);
            standardise(
                &mut field.values,
                deviation_of_image(width_px / CoarseField::STEP_PX),
            );
            field
                .values
                .iter_mut()
                .for_each(|value| *value = value.abs());
            field
        })
        .collect()
}

fn smooth_field(canvas: &Canvas, deviation_px: f64, random: &mut Stream) -> CoarseField {
    let (height, width) = CoarseField::size(canvas);
    CoarseField {
        height,
        width,
        values: smooth_image(
            &white(height * width, random),
            width,
            deviation_px / CoarseField::STEP_PX,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_background_has_mean_one_and_is_dark_in_a_vessel() {
        let spec = MovieSpec {
            n_vessels: 1,
            ..MovieSpec::default()
        };
        let canvas = Canvas::new(&spec);
        let mut random = Stream::new(4, 0);
        let vessels = Vessels::new(&spec, 0.0, &mut random);
        let background = make_background(&spec, &canvas, &vessels, &mut random);
        let mean = background.iter().sum::<f32>() / background.len() as f32;
        // A sum of some 350,000 values in f32.
        assert!((mean - 1.0).abs() < 1e-3, "{mean}");
        let (mut dark, mut lit) = ((0.0, 0), (0.0, 0));
        for (at, &value) in background.iter().enumerate() {
            let (y, x) = (
                canvas.place_px(at / canvas.width),
                canvas.place_px(at % canvas.width),
            );
            let light = vessels.light_at(y, x);
            let sum = if light < 0.4 {
                &mut dark
            } else if light > 0.99 {
                &mut lit
            } else {
                continue;
            };
            sum.0 += value;
            sum.1 += 1;
        }
        assert!(dark.1 > 100 && lit.1 > 100);
        let ratio = (dark.0 / dark.1 as f32) / (lit.0 / lit.1 as f32);
        assert!((0.2..0.45).contains(&ratio), "{ratio}");
    }
}
