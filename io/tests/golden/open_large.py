"""Opens what the ignored test `files_beyond_four_gigabytes` left.

pip install numpy tifffile roifile pillow
usage: python open_large.py TARGET/tmp/large_imaging      (TARGET: cargo's target folder)
"""
import pathlib, sys, zipfile
import numpy as np
import tifffile

base = pathlib.Path(sys.argv[1])
with tifffile.TiffFile(base / "movie.tif") as tif:
    assert tif.is_bigtiff and len(tif.pages) == 2200 and tif.pages[2199].asarray()[5, 7] == 2199
movie = tifffile.memmap(base / "movie.tif", mode="r")
assert movie.shape == (2200, 1024, 1024) and (movie[:, 1000, 3] == np.arange(2200)).all()
assert zipfile.ZipFile(base / "large.npz").testzip() is None
with np.load(base / "large.npz") as arrays:
    assert arrays["small"].shape == (1, 1 << 20) and (arrays["after"] == 2).all()
    large = arrays["large"]
    assert large.shape == (4300, 1 << 20) and large[::100].min() == large[::100].max() == 4300 % 256
print("both opened")
