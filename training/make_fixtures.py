"""Write validation/tests/accuracy/cells/: four held-out annotated images for the floor test of the default weights.

usage: make_fixtures.py FOLDER      (FOLDER as in real.py)

NAME_image.tif is uint8, NAME_labels.tif uint16 (0 outside cells), both [height, width], deflate.
"""
import pathlib
import sys

import numpy as np
import tifffile

import masks
import real

NAMES = ("dsb2018_nuclei/2817299fd3b8", "dsb2018_nuclei/623cf6987b3f", "dsb2018_nuclei/9cdac2870cfe", "stardist_nuclei/tests_img2d")

out = pathlib.Path(__file__).resolve().parents[1] / "validation/tests/accuracy/cells"
out.mkdir(parents=True, exist_ok=True)
for name in NAMES:
    assert name in real.HELD_OUT
    image, labels = real.read(sys.argv[1], name)
    stem = name.replace("/", "_")
    tifffile.imwrite(out / f"{stem}_image.tif", np.round(image).astype(np.uint8), compression="zlib")
    tifffile.imwrite(out / f"{stem}_labels.tif", masks.renumber(labels).astype(np.uint16), compression="zlib")
    print(stem, image.shape, f"{real.diameter_px(labels):.1f} px,", labels.max(), "cells")
