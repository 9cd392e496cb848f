"""Real annotated images with clear licences: half of each set to train with (as channel 0 only), half held out.

The images are not part of the repository; `folder` holds them as their READMEs describe:

    dsb2018_nuclei/images/ID.png, labels/ID.tif    2018 Data Science Bowl, stage 1 (CC0)
    stardist_nuclei/img2d.tif, mask2d.tif, ...      StarDist's example images (BSD-3)
"""
import pathlib

import numpy as np
import tifffile
from PIL import Image
from scipy import ndimage

# Every second id in alphabetical order; the split is fixed so that no score depends on a draw.
TRAINING = ("dsb2018_nuclei/0c6507d493bf", "dsb2018_nuclei/4c465a54e329", "dsb2018_nuclei/68f833de9f8c", "dsb2018_nuclei/8f6e49e474eb",
            "dsb2018_nuclei/a9d884ba0929", "dsb2018_nuclei/b6d50fa22380", "dsb2018_nuclei/ce9e1a58b589", "dsb2018_nuclei/da8ca06ccbb4",
            "stardist_nuclei/img2d")
HELD_OUT = ("dsb2018_nuclei/2817299fd3b8", "dsb2018_nuclei/623cf6987b3f", "dsb2018_nuclei/7c0157913223", "dsb2018_nuclei/9cdac2870cfe",
            "dsb2018_nuclei/b2c5d8653c62", "dsb2018_nuclei/bfe8ef193a68", "dsb2018_nuclei/d7d12a2acc47", "dsb2018_nuclei/e321cfa987e7",
            "stardist_nuclei/tests_img2d")


def read(folder, name):
    """Image (float32 [height, width]) and labels (int32)."""
    folder = pathlib.Path(folder)
    group, stem = name.split("/")
    if group == "dsb2018_nuclei":
        image = np.asarray(Image.open(folder / group / "images" / f"{stem}.png"), np.float32)[..., :3].mean(-1)
        labels = tifffile.imread(folder / group / "labels" / f"{stem}.tif")
    else:
        image = tifffile.imread(folder / group / f"{stem}.tif").astype(np.float32)
        labels = tifffile.imread(folder / group / f"{stem.replace('img', 'mask')}.tif")
    return image, labels.astype(np.int32)


def diameter_px(labels):
    """Median equivalent diameter of the labelled bodies."""
    sizes = np.bincount(labels.ravel())[1:]
    return float(2 * np.sqrt(np.median(sizes[sizes > 0]) / np.pi)) if (sizes > 0).any() else 0.0


def rescale(image, labels, factor):
    """Image (smoothed first where it gets smaller, so that nothing folds) and labels (nearest) scaled by `factor`."""
    if factor < 1:
        image = ndimage.gaussian_filter(image, 0.4 * (1 / factor - 1))
    shape = [max(1, round(n * factor)) for n in image.shape]
    at = [(np.arange(m) + 0.5) * n / m - 0.5 for m, n in zip(shape, image.shape)]
    grid = np.meshgrid(*at, indexing="ij")
    scaled = ndimage.map_coordinates(image, grid, order=1, mode="nearest")
    nearest = [np.clip(np.round(a).astype(int), 0, n - 1) for a, n in zip(at, image.shape)]
    return scaled.astype(np.float32), labels[np.ix_(*nearest)]
