//! Cells as a COCO data set, which pycocotools, detectron2, FiftyOne and many tools for labels open.
//!
//! One file describes any number of images. A cell is an annotation of the one category `cell`, with its `area`, its bounding box
//! `[x, y, width, height]` and its pixels: as run lengths in COCO's compressed text, which says exactly the pixels, or as polygons
//! along their edges, for tools that know nothing else; holes are then filled. Cells may overlap. Sources: COCO's page on its data
//! format, and the encoding of run lengths in the COCO API (BSD-2).

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::outline::outlines;
use super::result_reader::CellPixels;
use crate::atomic::OutputFile;
use crate::error::IoError;

/// How the pixels of a cell are written.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum CocoShape {
    /// Run lengths.
    RunLengths,
    /// Polygons.
    Polygons,
}

/// A data set that grows by images. It appears under its name on [`CocoWriter::finish`]; one that is dropped leaves nothing.
pub struct CocoWriter {
    file: OutputFile,
    shape: CocoShape,
    images: Vec<Value>,
    n_cells: usize,
}

impl CocoWriter {
    /// Starts a data set that will be at `path`.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn create(path: &Path, shape: CocoShape) -> Result<CocoWriter, IoError> {
        let mut file = OutputFile::create(path)?;
        file.write_with(|out| out.write_all(b"{\"annotations\": ["))?;
        Ok(CocoWriter {
            file,
            shape,
            images: Vec::new(),
            n_cells: 0,
        })
    }

    /// Adds an image of that name and size, with its cells; those without pixels in the image are left out. `scores` has the
    /// probability of each cell, where it is known.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn add_image(
        &mut self,
        name: &str,
        [height, width]: [usize; 2],
        cells: &[CellPixels],
        scores: Option<&[f64]>,
    ) -> Result<(), IoError> {
        let image_id = self.images.len() + 1;
        self.images.push(json!({
            "id": image_id, "file_name": name, "height": height, "width": width,
        }));
        for (place, cell) in cells.iter().enumerate() {
            // Column after column, as COCO counts pixels.
            let mask = cell.mask();
            let pixels = mask.places(height, width).flatten();
            let mut pixels: Vec<usize> = pixels
                .map(|pixel| pixel % width * height + pixel / width)
                .collect();
            pixels.sort_unstable();
            pixels.dedup();
            let (Some(first), Some(last)) = (pixels.first(), pixels.last()) else {
                continue;
            };
            let (left, right) = (first / height, last / height);
            let rows = || pixels.iter().map(|pixel| pixel % height);
            let (top, bottom) = (rows().min().unwrap_or(0), rows().max().unwrap_or(0));
            let segmentation = match self.shape {
                CocoShape::RunLengths => json!({
                    "size": [height, width],
                    "counts": compressed(&run_lengths(&pixels, height * width)),
                }),
                CocoShape::Polygons => {
                    let ypix: Vec<i64> = rows().map(|row| row as i64).collect();
                    let xpix: Vec<i64> = pixels.iter().map(|p| (p / height) as i64).collect();
                    let lines = outlines(&ypix, &xpix);
                    json!(
                        lines
                            .iter()
                            .map(|line| line.as_flattened())
                            .collect::<Vec<_>>()
                    )
                }
            };
            let separator = if self.n_cells > 0 { ",\n" } else { "\n" };
            self.n_cells += 1;
            let mut annotation = json!({
                "id": self.n_cells,
                "image_id": image_id,
                "category_id": 1,
                "iscrowd": 0,
                "area": pixels.len(),
                "bbox": [left, top, right - left + 1, bottom - top + 1],
                "segmentation": segmentation,
                "cell": place,
            });
            if let Some(scores) = scores {
                annotation["score"] = json!(scores[place]);
            }
            self.file
                .write_with(|out| write!(out, "{separator}{annotation}"))?;
        }
        Ok(())
    }

    /// Gives the file its name, and returns how many cells there are.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(mut self) -> Result<usize, IoError> {
        let rest = json!({
            "categories": [{ "id": 1, "name": "cell", "supercategory": "" }],
            "images": self.images,
            "info": {
                "description": concat!("made by somata ", env!("CARGO_PKG_VERSION")),
                "version": "1.0",
            },
            "licenses": [],
        })
        .to_string();
        self.file
            .write_with(|out| write!(out, "\n],\n{}\n", &rest[1..]))?;
        self.file.commit()?;
        Ok(self.n_cells)
    }
}

/// Lengths of runs of 0 and 1 in turn, beginning with 0, of the pixels that are 1, ascending.
fn run_lengths(pixels: &[usize], n_pixels: usize) -> Vec<i64> {
    let mut runs = Vec::new();
    let mut end = 0;
    for run in pixels.chunk_by(|a, b| a + 1 == *b) {
        runs.push((run[0] - end) as i64);
        runs.push(run.len() as i64);
        end = run[0] + run.len();
    }
    if end < n_pixels {
        runs.push((n_pixels - end) as i64);
    }
    runs
}

/// COCO's text of run lengths: from the fourth on the difference to the one before the last, five bits a character, lowest first.
fn compressed(runs: &[i64]) -> String {
    let mut text = String::new();
    for (place, &run) in runs.iter().enumerate() {
        let mut rest = if place > 2 {
            run - runs[place - 2]
        } else {
            run
        };
        loop {
            let bits = (rest & 0x1f) as u8;
            rest >>= 5;
            // The sixth bit says that more follow; the fifth of the last one is the sign.
            let ends = rest == if bits & 0x10 > 0 { -1 } else { 0 };
            text.push(char::from(48 + bits + if ends { 0 } else { 0x20 }));
            if ends {
                break;
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_begin_with_background() {
        assert_eq!(run_lengths(&[0, 1, 5], 8), [0, 2, 3, 1, 2]);
        assert_eq!(run_lengths(&[7], 8), [7, 1]);
    }

    /// The texts were made by pycocotools 2.0.11.
    #[test]
    fn the_text_is_that_of_the_reference() {
        assert_eq!(compressed(&[6, 3, 7, 3, 181]), "6370^5");
        assert_eq!(
            compressed(&[100, 900, 3, 1, 999, 40_000]),
            "T3Tl03mSOTo0oQW1"
        );
    }

    #[test]
    fn each_cell_is_an_annotation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let labels = [0, 1, 1, 0, 3, 3];
        let cells = CellPixels::of_labels(3, &labels);
        for (shape, expected) in [
            (
                CocoShape::RunLengths,
                json!({ "size": [2, 3], "counts": "21100" }),
            ),
            (CocoShape::Polygons, json!([[3, 0, 3, 1, 1, 1, 1, 0]])),
        ] {
            let mut writer = CocoWriter::create(&path, shape).unwrap();
            writer.add_image("a.tif", [2, 3], &cells, None).unwrap();
            writer.add_image("b.tif", [2, 3], &[], None).unwrap();
            assert_eq!(writer.finish().unwrap(), 2);
            let text = std::fs::read_to_string(&path).unwrap();
            let read: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(read["images"].as_array().unwrap().len(), 2);
            let first = &read["annotations"][0];
            assert_eq!(first["bbox"], json!([1, 0, 2, 1]));
            assert_eq!(first["area"], 2);
            assert_eq!(first["segmentation"], expected);
            // Label 2 is on no pixel.
            assert_eq!(read["annotations"][1]["cell"], 2);
        }
    }
}
