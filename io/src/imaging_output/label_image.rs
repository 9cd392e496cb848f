//! Cells as a label image: each pixel holds 0 or the number of its cell, counted from 1.
//!
//! A label image cannot say that cells overlap. A pixel of several cells goes to the one in which it weighs most, weights being taken
//! as a part of the cell's heaviest pixel, since cells' weights have different scales; of equals, to the first.

use std::path::Path;

use super::Mask;
use super::tiff_writer::{PageAxis, TiffOptions, TiffPixel, TiffStack};
use crate::error::IoError;

/// The label image `[height, width]` of cells; pixels outside the frame are left out.
pub fn label_image(height: usize, width: usize, masks: &[Mask]) -> Vec<u32> {
    let mut labels = vec![0u32; height * width];
    let mut weights = vec![f32::NEG_INFINITY; height * width];
    for (cell, mask) in masks.iter().enumerate() {
        let heaviest = mask.lam.iter().fold(0f32, |a, &b| a.max(b));
        let scale = if heaviest > 0.0 { 1.0 / heaviest } else { 1.0 };
        for (place, &weight) in mask.places(height, width).zip(mask.lam) {
            let Some(place) = place else { continue };
            let weight = weight * scale;
            if weight > weights[place] {
                weights[place] = weight;
                labels[place] = cell as u32 + 1;
            }
        }
    }
    labels
}

/// Writes label images, one page a plane, each `[height, width]`: uint16, or uint32 where a label is above 65,535; deflated.
///
/// # Errors
/// When there is no page, one has another size, or the file cannot be written.
pub fn write_label_tiff(
    path: &Path,
    height: usize,
    width: usize,
    pages: &[&[u32]],
) -> Result<(), IoError> {
    let largest = pages.iter().copied().flatten().max().copied().unwrap_or(0);
    if u16::try_from(largest).is_ok() {
        write_as(path, height, width, pages, largest, |label| label as u16)
    } else {
        write_as(path, height, width, pages, largest, |label| label)
    }
}

/// Writes the pages as pixels of type `T`, which all labels fit.
fn write_as<T: TiffPixel>(
    path: &Path,
    height: usize,
    width: usize,
    pages: &[&[u32]],
    largest: u32,
    convert: impl Fn(u32) -> T,
) -> Result<(), IoError> {
    let options = TiffOptions {
        page_axis: PageAxis::Planes,
        deflate: true,
        display_range: Some([0.0, largest.max(1) as f32]),
    };
    let mut stack = TiffStack::<T>::create(path, height, width, options)?;
    for page in pages {
        let pixels: Vec<T> = page.iter().map(|&label| convert(label)).collect();
        stack.append(&pixels)?;
    }
    stack.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_pixel_goes_to_the_cell_in_which_it_weighs_most() {
        let first = Mask {
            ypix: &[0, 0, 0],
            xpix: &[0, 1, 2],
            lam: &[100.0, 100.0, 30.0],
        };
        let second = Mask {
            ypix: &[0, 0, 1],
            xpix: &[1, 2, 2],
            lam: &[1.0, 0.5, 1.0],
        };
        // The pixel at column 1 is the heaviest of both: the first cell has it.
        assert_eq!(label_image(2, 3, &[first, second]), [1, 1, 2, 0, 0, 2]);
        let outside = Mask {
            ypix: &[-1, 5],
            xpix: &[0, 0],
            lam: &[1.0, 1.0],
        };
        assert_eq!(label_image(1, 1, &[outside]), [0]);
        assert_eq!(label_image(1, 2, &[]), [0, 0]);
    }

    #[test]
    fn labels_are_sixteen_bits_where_they_fit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("masks.tif");
        for (largest, bits) in [(0, 16), (65_535, 16), (65_536, 32)] {
            write_label_tiff(&path, 1, 2, &[&[0, largest], &[1, 0]]).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            // Tag 258 of type SHORT, one value.
            let entry = [2, 1, 3, 0, 1, 0, 0, 0, bits, 0, 0, 0];
            assert!(
                bytes.windows(12).any(|window| window == entry),
                "{bits} bits"
            );
        }
        assert!(write_label_tiff(&path, 1, 2, &[]).is_err());
        assert!(write_label_tiff(&path, 1, 2, &[&[1]]).is_err());
    }
}
