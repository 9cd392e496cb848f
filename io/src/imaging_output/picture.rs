//! PNG pictures of projections, for people: 8-bit gray, and the same with the outlines of cells in colour.
//!
//! Contrast is stretched from the 1st to the 99.7th percentile, so that a few bright pixels do not make the rest dark. The colours of
//! outlines are those of Okabe and Ito that differ from gray (`https://jfly.uni-koeln.de/color/`), which people with any of the common
//! colour blindnesses tell apart; they are given to the cells in turn.

use std::path::Path;

use super::Mask;
use crate::atomic::OutputFile;
use crate::error::IoError;

/// Part of the pixels below black and below white.
const BLACK_FRACTION: f64 = 0.01;
const WHITE_FRACTION: f64 = 0.997;

/// Okabe and Ito's colours without black.
const COLOURS: [[u8; 3]; 7] = [
    [230, 159, 0],
    [86, 180, 233],
    [0, 158, 115],
    [240, 228, 66],
    [0, 114, 178],
    [213, 94, 0],
    [204, 121, 167],
];

/// Pictures with outlines are enlarged until their longer side has about so many pixels, so that the lines stay thin.
const OUTLINED_SIDE_PX: usize = 1024;
/// The largest enlargement.
const LARGEST_ZOOM: usize = 4;

/// Writes `image`, `[height, width]`, as a gray picture.
///
/// # Errors
/// When the image is empty or has another size, or the file cannot be written.
pub fn write_picture(
    path: &Path,
    height: usize,
    width: usize,
    image: &[f32],
) -> Result<(), IoError> {
    check(path, height, width, image)?;
    write_png(path, height, width, png::ColorType::Grayscale, &gray(image))
}

/// Writes `image`, `[height, width]`, in gray with the outlines of cells in colour. The picture is enlarged by a whole factor from 1
/// to 4.
///
/// # Errors
/// When the image is empty or has another size, or the file cannot be written.
pub fn write_outlined_picture(
    path: &Path,
    height: usize,
    width: usize,
    image: &[f32],
    masks: &[Mask],
) -> Result<(), IoError> {
    check(path, height, width, image)?;
    let shades = gray(image);
    let mut canvas = Canvas::new(height, width, |pixel| [shades[pixel]; 3]);
    for (cell, mask) in masks.iter().enumerate() {
        canvas.outline(mask, COLOURS[cell % COLOURS.len()]);
    }
    canvas.write(path)
}

/// Colours of the outlines in an overlay, of the first and of the second image's cells: both differ from green, magenta and gray.
const OVERLAY_COLOURS: [[u8; 3]; 2] = [[255, 255, 255], [240, 228, 66]];

/// Writes two images, `[height, width]`, over each other, the first in magenta and the second in green, so that what is in both is gray.
/// The outlines of the first image's cells are white, those of the second one's yellow. The picture is enlarged by a whole factor from 1 to 4.
///
/// # Errors
/// When an image is empty or has another size, or the file cannot be written.
pub fn write_overlaid_picture(
    path: &Path,
    height: usize,
    width: usize,
    images: [&[f32]; 2],
    masks: [&[Mask]; 2],
) -> Result<(), IoError> {
    for image in images {
        check(path, height, width, image)?;
    }
    let [first, second] = images.map(gray);
    let mut canvas = Canvas::new(height, width, |pixel| {
        [first[pixel], second[pixel], first[pixel]]
    });
    for (masks, colour) in masks.into_iter().zip(OVERLAY_COLOURS) {
        for mask in masks {
            canvas.outline(mask, colour);
        }
    }
    canvas.write(path)
}

/// A picture enlarged by a whole factor, in which outlines are one pixel thick.
struct Canvas {
    height: usize,
    width: usize,
    zoom: usize,
    pixels: Vec<u8>,
    /// The mask that last had each pixel: tells a mask's own pixels without clearing between masks.
    owner: Vec<u32>,
    turn: u32,
}

impl Canvas {
    fn new(height: usize, width: usize, colour: impl Fn(usize) -> [u8; 3]) -> Self {
        let zoom = (OUTLINED_SIDE_PX / height.max(width)).clamp(1, LARGEST_ZOOM);
        let mut pixels = Vec::with_capacity(3 * height * width * zoom * zoom);
        for y in 0..height * zoom {
            for x in 0..width * zoom {
                pixels.extend_from_slice(&colour(y / zoom * width + x / zoom));
            }
        }
        Self {
            height,
            width,
            zoom,
            pixels,
            owner: vec![0; height * width],
            turn: 0,
        }
    }

    /// Draws the rim of a mask.
    fn outline(&mut self, mask: &Mask, colour: [u8; 3]) {
        let (height, width, zoom) = (self.height, self.width, self.zoom);
        self.turn += 1;
        let turn = self.turn;
        for place in mask.places(height, width).flatten() {
            self.owner[place] = turn;
        }
        for place in mask.places(height, width).flatten() {
            let (y, x) = (place / width, place % width);
            let is_own =
                |y: usize, x: usize| y < height && x < width && self.owner[y * width + x] == turn;
            // A neighbour before the first row or column wraps to a number outside of the frame.
            let open = [
                !is_own(y.wrapping_sub(1), x),
                !is_own(y + 1, x),
                !is_own(y, x.wrapping_sub(1)),
                !is_own(y, x + 1),
            ];
            for part in 0..zoom {
                let last = zoom - 1;
                let edges = [(0, part), (last, part), (part, 0), (part, last)];
                for (dy, dx) in edges
                    .iter()
                    .zip(open)
                    .filter(|(_, open)| *open)
                    .map(|(edge, _)| *edge)
                {
                    let pixel = 3 * ((y * zoom + dy) * width * zoom + x * zoom + dx);
                    self.pixels[pixel..pixel + 3].copy_from_slice(&colour);
                }
            }
        }
    }

    fn write(&self, path: &Path) -> Result<(), IoError> {
        let (tall, wide) = (self.height * self.zoom, self.width * self.zoom);
        write_png(path, tall, wide, png::ColorType::Rgb, &self.pixels)
    }
}

/// Whether the image is one and has its size.
fn check(path: &Path, height: usize, width: usize, image: &[f32]) -> Result<(), IoError> {
    let fits = |length: usize| (1..=i32::MAX as usize).contains(&length);
    if image.len() != height * width || !fits(height) || !fits(width) {
        return Err(IoError::BadTables {
            path: path.to_owned(),
            what: format!(
                "{} pixels are no picture of {height} × {width}",
                image.len()
            ),
        });
    }
    Ok(())
}

/// Shades from 0 to 255; what is not finite is black, and so is an image of one value.
fn gray(image: &[f32]) -> Vec<u8> {
    let mut values: Vec<f32> = image.iter().copied().filter(|v| v.is_finite()).collect();
    values.sort_unstable_by(f32::total_cmp);
    let at = |fraction: f64| {
        let place = fraction * (values.len().max(1) - 1) as f64;
        values.get(place.round() as usize).copied().unwrap_or(0.0)
    };
    let (black, mut white) = (at(BLACK_FRACTION), at(WHITE_FRACTION));
    if white <= black {
        // Nearly all pixels are alike: the few others still have to be seen.
        white = at(1.0);
    }
    let scale = if white > black {
        255.0 / (white - black)
    } else {
        0.0
    };
    let shade = |&value: &f32| {
        if value.is_finite() {
            // The cast saturates.
            ((value - black) * scale).round() as u8
        } else {
            0
        }
    };
    image.iter().map(shade).collect()
}

/// Writes 8-bit pixels as a PNG.
fn write_png(
    path: &Path,
    height: usize,
    width: usize,
    colour: png::ColorType,
    pixels: &[u8],
) -> Result<(), IoError> {
    let mut file = OutputFile::create(path)?;
    file.write_with(|out| {
        let mut encoder = png::Encoder::new(out, width as u32, height as u32);
        encoder.set_color(colour);
        encoder.set_depth(png::BitDepth::Eight);
        encoder
            .write_header()
            .and_then(|mut writer| {
                writer.write_image_data(pixels)?;
                writer.finish()
            })
            .map_err(|error| match error {
                png::EncodingError::IoError(source) => source,
                other => std::io::Error::other(other),
            })
    })?;
    file.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Size, channels and pixels of a PNG.
    fn read(path: &Path) -> (usize, usize, usize, Vec<u8>) {
        let file = std::io::BufReader::new(std::fs::File::open(path).unwrap());
        let mut reader = png::Decoder::new(file).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        let (height, width) = (info.height as usize, info.width as usize);
        (height, width, pixels.len() / (height * width), pixels)
    }

    #[test]
    fn contrast_is_stretched_between_percentiles() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mean.png");
        let mut image: Vec<f32> = (0..1000).map(|value| value as f32).collect();
        image[999] = 1e9;
        write_picture(&path, 20, 50, &image).unwrap();
        let (height, width, channels, pixels) = read(&path);
        assert_eq!((height, width, channels), (20, 50, 1));
        // The 1st percentile is 10, the 99.7th 996.
        assert_eq!(
            (pixels[0], pixels[10], pixels[996], pixels[999]),
            (0, 0, 255, 255)
        );
        assert_eq!(pixels[504], 128);
    }

    #[test]
    fn images_without_contrast_have_a_picture() {
        assert_eq!(gray(&[5.0; 9]), [0; 9]);
        assert_eq!(gray(&[f32::NAN, f32::INFINITY]), [0, 0]);
        let mut one_bright = vec![1.0; 1000];
        one_bright[7] = 2.0;
        assert_eq!(gray(&one_bright)[6..9], [0, 255, 0]);
        let path = Path::new("unused.png");
        assert!(write_picture(path, 0, 0, &[]).is_err());
        assert!(write_picture(path, 2, 2, &[0.0]).is_err());
    }

    #[test]
    fn outlines_are_the_rim_of_each_cell_in_its_colour() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cells.png");
        let (mut ypix, mut xpix) = (Vec::new(), Vec::new());
        for y in 0..4i64 {
            for x in 3..6i64 {
                ypix.push(y);
                xpix.push(x);
            }
        }
        let lam = vec![1.0; ypix.len()];
        let block = Mask {
            ypix: &ypix,
            xpix: &xpix,
            lam: &lam,
        };
        let dot = Mask {
            ypix: &[9],
            xpix: &[9],
            lam: &[1.0],
        };
        write_outlined_picture(&path, 10, 10, &[0.0; 100], &[block, dot]).unwrap();
        let (height, width, channels, pixels) = read(&path);
        assert_eq!((height, width, channels), (40, 40, 3));
        let colour = |y: usize, x: usize| &pixels[3 * (y * 40 + x)..][..3];
        // The rim of the block's 16 × 12 enlarged pixels, and nothing inside or outside.
        for y in 0..40 {
            for x in 0..40 {
                let in_block = y < 16 && (12..24).contains(&x);
                let on_rim = in_block && (y == 0 || y == 15 || x == 12 || x == 23);
                let in_dot = y >= 36 && x >= 36;
                let on_dot = in_dot && (y == 36 || y == 39 || x == 36 || x == 39);
                let expected = match (on_rim, on_dot) {
                    (true, _) => COLOURS[0],
                    (_, true) => COLOURS[1],
                    _ => [0; 3],
                };
                assert_eq!(colour(y, x), expected, "at {y}, {x}");
            }
        }
    }

    #[test]
    fn two_images_over_each_other_are_magenta_and_green() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("aligned.png");
        let ramp = |at: usize| (0..10_000).map(|p| f32::from(u8::from(p == at))).collect();
        let (first, second): (Vec<f32>, Vec<f32>) = (ramp(0), ramp(1));
        let dot = |at: &'static [i64]| Mask {
            ypix: &[9],
            xpix: at,
            lam: &[1.0],
        };
        write_overlaid_picture(
            &path,
            100,
            100,
            [&first, &second],
            [&[dot(&[9])], &[dot(&[20])]],
        )
        .unwrap();
        let (height, width, channels, pixels) = read(&path);
        assert_eq!((height, width, channels), (400, 400, 3));
        let colour = |y: usize, x: usize| &pixels[3 * (y * 400 + x)..][..3];
        assert_eq!(colour(0, 0), [255, 0, 255]);
        assert_eq!(colour(3, 4), [0, 255, 0]);
        assert_eq!(colour(36, 39), OVERLAY_COLOURS[0]);
        assert_eq!(colour(39, 80), OVERLAY_COLOURS[1]);
        assert!(write_overlaid_picture(&path, 1, 1, [&[0.0], &[]], [&[], &[]]).is_err());
    }
}
