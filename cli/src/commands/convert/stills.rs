//! Results of `somata segment`.

use std::path::{Component, Path, PathBuf};

use serde_json::Value;
use somata_io::{
    imaging_output::{
        cellpose_seg::{median_diameter_px, write_cellpose_seg},
        coco::CocoWriter,
        imagej_roi::{ImagejRoi, RoiShape, write_roi_zip},
        result_reader::CellPixels,
    },
    still_image::{StillImage, read_image},
};

use super::{Format, Target, Written, imaging::coco_shape};
use crate::exit::{ExitCode, Failure, Outcome};

/// One image, as the manifest has it.
struct Image {
    /// Name of its results.
    name: String,
    /// Where it was; it may have moved.
    path: PathBuf,
    n_pages: usize,
}

/// Labels of one page.
struct Page {
    height: usize,
    width: usize,
    labels: Vec<u32>,
}

/// Writes the result.
pub fn convert(result: &Path, target: &Target) -> Outcome<Written> {
    let images = images(result)?;
    let mut n_cells = 0;
    let mut written = Written::default();
    let mut data_set = match target.format {
        Format::Coco => Some(CocoWriter::create(target.path, coco_shape(target))?),
        _ => None,
    };
    for image in &images {
        let pages = pages(result, image)?;
        let file_name = image.path.file_name().unwrap_or_default().to_string_lossy();
        let mut regions = Vec::new();
        for (k, page) in pages.iter().enumerate() {
            let cells = CellPixels::of_labels(page.width, &page.labels);
            let size = [page.height, page.width];
            n_cells += cells.iter().filter(|cell| !cell.ypix.is_empty()).count();
            if let Some(data_set) = &mut data_set {
                let name = match pages.len() {
                    1 => file_name.to_string(),
                    _ => format!("{file_name}#{k}"),
                };
                data_set.add_image(&name, size, &cells, None)?;
            } else if target.format == Format::Imagej {
                let rois = cells.iter().enumerate();
                let rois = rois.filter(|(_, cell)| !cell.ypix.is_empty());
                regions.extend(rois.map(|(number, cell)| ImagejRoi {
                    name: match pages.len() {
                        1 => format!("cell-{number:05}"),
                        _ => format!("page-{k}-cell-{number:05}"),
                    },
                    position: k as u32 + 1,
                    shape: RoiShape::from_mask(&cell.mask()),
                }));
            } else {
                let name = match pages.len() {
                    1 => format!("{}_seg.npy", image.name),
                    _ => format!("{}_{k}_seg.npy", image.name),
                };
                write_cellpose_seg(
                    &target.path.join(&name),
                    size,
                    &page.labels,
                    &image.path.to_string_lossy(),
                    median_diameter_px(cells.iter().map(|cell| cell.ypix.len())),
                    None,
                )?;
                written.files.push(name);
            }
        }
        if target.format == Format::Imagej {
            let name = format!("{}_rois.zip", image.name);
            write_roi_zip(&target.path.join(&name), &regions)?;
            written.files.push(name);
        }
    }
    if let Some(data_set) = data_set {
        data_set.finish()?;
    }
    written.counts = vec![("cells", n_cells), ("images", images.len())];
    Ok(written)
}

/// The images that the manifest lists.
fn images(result: &Path) -> Outcome<Vec<Image>> {
    let path = result.join("manifest.json");
    let bad = |what: String| {
        Failure::new(ExitCode::Input, format!("`{}`: {what}", path.display()))
            .hint("give the folder that `somata segment` wrote")
    };
    let text = std::fs::read_to_string(&path).map_err(|error| bad(error.to_string()))?;
    let manifest: Value = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
    let images = manifest["images"].as_array();
    let images = images.ok_or_else(|| bad("it lists no `images`".into()))?;
    images
        .iter()
        .map(|image| {
            let text = |key: &str| image[key].as_str().map(str::to_owned);
            let n_pages = image["pages"].as_u64().filter(|n| *n > 0);
            let (Some(name), Some(path), Some(n_pages)) = (text("name"), text("path"), n_pages)
            else {
                return Err(bad("an image has no `name`, `path` and `pages`".into()));
            };
            // The name becomes one of a file; it may not lead out of the folders.
            let mut parts = Path::new(&name).components();
            let is_name =
                matches!(parts.next(), Some(Component::Normal(_))) && parts.next().is_none();
            if !is_name || name.contains(['/', '\\']) {
                return Err(bad(format!("`{name}` is no name of an image")));
            }
            Ok(Image {
                name,
                path: path.into(),
                n_pages: n_pages as usize,
            })
        })
        .collect()
}

/// The label images of an image: one file, or one a page where pages differ in size.
fn pages(result: &Path, image: &Image) -> Outcome<Vec<Page>> {
    let whole = result.join(format!("{}_masks.tif", image.name));
    let read = if whole.is_file() || image.n_pages == 1 {
        read_image(&whole)?
    } else {
        let mut read = Vec::new();
        for k in 0..image.n_pages {
            read.extend(read_image(
                &result.join(format!("{}_masks_{k}.tif", image.name)),
            )?);
        }
        read
    };
    if read.len() != image.n_pages || read.iter().any(|page| page.n_channels != 1) {
        return Err(Failure::new(
            ExitCode::Input,
            format!(
                "the label images of `{}` in `{}` are not {} pages of one channel",
                image.name,
                result.display(),
                image.n_pages
            ),
        )
        .hint("the folder was changed after `somata segment` wrote it; make it again"));
    }
    let page = |page: StillImage| {
        let n_pixels = page.height * page.width;
        let labels: Vec<u32> = page.pixels.iter().map(|&label| label as u32).collect();
        // A label larger than the number of pixels is no count of cells, and would ask for as many of them.
        if labels.iter().any(|&label| label as usize > n_pixels) {
            return Err(Failure::new(
                ExitCode::Input,
                format!(
                    "a label image of `{}` in `{}` has labels above its number of pixels",
                    image.name,
                    result.display()
                ),
            )
            .hint("the folder was changed after `somata segment` wrote it; make it again"));
        }
        Ok(Page {
            height: page.height,
            width: page.width,
            labels,
        })
    };
    read.into_iter().map(page).collect()
}
