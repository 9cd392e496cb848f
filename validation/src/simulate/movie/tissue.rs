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

/// Background brightness at each grid point, `[canvas height, canvas width]`; its mean is 1.
pub fn make_background(
    spec: &MovieSpec,
    canvas: &Canvas,
    vessels: &Vessels,
    random: &mut Stream,
) -> Vec<f32> {
    let shade = smooth_field(canvas, SHADE_PX, random);
    let (low, high) = shade
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

    let contrast = spec.texture_contrast as f32;
    let mut line = Vec::new();
    let mut shades = vec![0.0; canvas.width];
    let mut background = texture;
    for (row, values) in background.chunks_exact_mut(canvas.width).enumerate() {
        shade.row(row, &mut line, &mut shades);
        for (column, value) in values.iter_mut().enumerate() {
            let shade = 0.75 + 0.5 * (shades[column] - low) / (high - low).max(1e-6);
            let light = vessels.light_at(canvas.place_px(row), canvas.place_px(column)) as f32;
            let fine = (1.0 + contrast * *value).max(0.2);
            *value = (shade * light * fine).max(DARKEST);
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
