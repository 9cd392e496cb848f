//! Labels as Cellpose's window opens and saves them: `NAME_seg.npy`, a dictionary in a pickle.
//!
//! The window of Cellpose 3 opens the image that `filename` names, if it is there or beside the file, else the image in `img`. There
//! are no flows, so masks cannot be recomputed with other thresholds there; everything else can be done with them, and Cellpose
//! trains on them. Source: the keys that Cellpose 3.1 (BSD-3) writes and reads.

use std::path::Path;

use super::pickle::{Array, Dict, Elements, Value, write_object};
use crate::error::IoError;

/// Writes the labels, `[height, width]`, of one image.
///
/// `image_name` is the file of the image, `diameter_px` what the window shows as the cells' diameter, `image` (`[height, width]`) is
/// put into the file as well.
///
/// # Errors
/// When labels or image do not fill the frame, or the file cannot be written.
pub fn write_cellpose_seg(
    path: &Path,
    [height, width]: [usize; 2],
    labels: &[u32],
    image_name: &str,
    diameter_px: f64,
    image: Option<&[f32]>,
) -> Result<(), IoError> {
    for (name, length) in [
        ("labels", Some(labels.len())),
        ("image", image.map(<[f32]>::len)),
    ] {
        if let Some(length) = length.filter(|length| *length != height * width) {
            return Err(IoError::BadTables {
                path: path.to_owned(),
                what: format!("`{name}` has {length} entries instead of {height} × {width}"),
            });
        }
    }
    let n_cells = labels.iter().max().copied().unwrap_or(0);
    let numbers = |labels: &[u32]| {
        let elements = if n_cells < u32::from(u16::MAX) {
            Elements::UInt16(labels.iter().map(|&label| label as u16).collect())
        } else {
            Elements::UInt32(labels.to_vec())
        };
        Value::from(Array::new(&[height, width], elements))
    };
    let mut entries: Dict = vec![
        (
            "outlines".to_owned(),
            numbers(&outlines(height, width, labels)),
        ),
        ("masks".to_owned(), numbers(labels)),
        (
            "chan_choose".to_owned(),
            Value::List(vec![Value::Int(0), Value::Int(0)]),
        ),
        (
            "ismanual".to_owned(),
            Array::new(
                &[n_cells as usize],
                Elements::Bool(vec![false; n_cells as usize]),
            )
            .into(),
        ),
        ("filename".to_owned(), image_name.into()),
        ("flows".to_owned(), Value::List(Vec::new())),
        ("diameter".to_owned(), diameter_px.into()),
    ];
    if let Some(image) = image {
        let image = Array::new(&[height, width], Elements::Float32(image));
        entries.push(("img".to_owned(), image.into()));
    }
    write_object(path, &entries.into())
}

/// The labels of the pixels that touch another label, the background or the frame's rim at a side; else 0.
fn outlines(height: usize, width: usize, labels: &[u32]) -> Vec<u32> {
    let label = |y: Option<usize>, x: Option<usize>| match (y, x) {
        (Some(y), Some(x)) if y < height && x < width => labels[y * width + x],
        _ => 0,
    };
    let pixels = labels.iter().enumerate();
    pixels
        .map(|(place, &own)| {
            let (y, x) = (place / width, place % width);
            let sides = [
                label(y.checked_sub(1), Some(x)),
                label(Some(y + 1), Some(x)),
                label(Some(y), x.checked_sub(1)),
                label(Some(y), Some(x + 1)),
            ];
            if sides.iter().any(|&side| side != own) {
                own
            } else {
                0
            }
        })
        .collect()
}

/// The diameter of a disk of the median area of the cells, pixels, as Cellpose measures it; 30, Cellpose's own, without a cell.
pub fn median_diameter_px(areas_px: impl IntoIterator<Item = usize>) -> f64 {
    let mut areas: Vec<usize> = areas_px.into_iter().filter(|&area| area > 0).collect();
    if areas.is_empty() {
        return 30.0;
    }
    areas.sort_unstable();
    let middle = areas.len() / 2;
    let median = if areas.len() % 2 == 1 {
        areas[middle] as f64
    } else {
        (areas[middle - 1] + areas[middle]) as f64 / 2.0
    };
    2.0 * (median / std::f64::consts::PI).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outlines_are_the_rims_of_labels() {
        let labels = [
            1, 1, 1, 0, 0, //
            1, 1, 1, 2, 2, //
            1, 1, 1, 2, 2, //
            0, 0, 0, 0, 0,
        ];
        let expected = [
            1, 1, 1, 0, 0, //
            1, 0, 1, 2, 2, //
            1, 1, 1, 2, 2, //
            0, 0, 0, 0, 0,
        ];
        assert_eq!(outlines(4, 5, &labels), expected);
    }

    #[test]
    fn the_diameter_is_that_of_the_median_disk() {
        let disk = |radius: f64| (std::f64::consts::PI * radius * radius).round() as usize;
        let diameter = median_diameter_px([disk(2.0), disk(10.0), disk(50.0), 0]);
        // Areas are whole numbers of pixels.
        assert!((diameter - 20.0).abs() < 0.1, "{diameter}");
        assert_eq!(median_diameter_px([]), 30.0);
    }

    #[test]
    fn labels_of_another_size_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a_seg.npy");
        let error = write_cellpose_seg(&path, [2, 2], &[0; 3], "a.tif", 30.0, None).unwrap_err();
        assert!(error.to_string().contains("`labels` has 3"), "{error}");
        assert!(!path.exists());
    }
}
