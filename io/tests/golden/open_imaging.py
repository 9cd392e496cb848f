"""Opens what the test `tests/writers/` wrote: numpy, tifffile, roifile and Pillow give back what went in. Warnings are errors.

pip install numpy tifffile roifile pillow
usage: python open_imaging.py FOLDER     (FOLDER: holds `expected.json` beside what was written)
"""
import json, pathlib, sys, warnings

warnings.simplefilter("error")
import numpy as np
import roifile, tifffile
from PIL import Image

base = pathlib.Path(sys.argv[1])
expected = json.loads((base / "expected.json").read_text())
H, W, T = expected["height"], expected["width"], expected["n_frames"]
FLAT = "neucoeff tau fs nplanes nchannels functional_chan high_pass nbinned sparse_mode spatial_hp_detect max_overlap block_size " \
       "nonrigid aspect save_path save_path0 reg_file ops_path chan2_thres align_by_chan"
RESULTS = "Ly Lx nframes meanImg meanImgE refImg yoff xoff corrXY badframes yrange xrange Vcorr max_proj diameter iplane"
STAT = "ypix xpix lam med footprint npix npix_soma soma_crop mrs mrs0 compact radius aspect_ratio npix_norm npix_norm_no_crop " \
       "overlap snr skew std iplane"


def image(seed):  # as `image` of the test
    return ((np.arange(H * W) * seed) % 251).astype("f4").reshape(H, W)


def rows(kind, n):  # as `Rows` of the test
    return (1000 * kind + 10 * np.arange(n)[:, None] + np.arange(T)[None]).astype("f4")


def same(found, wanted, dtype):
    assert found.dtype == np.dtype(dtype), (found.dtype, dtype)
    assert np.array_equal(found, wanted), (found, wanted)


def plane(folder, cells, second_channel):
    n = len(cells)
    load = lambda name: np.load(folder / f"{name}.npy", allow_pickle=True)
    for kind, name in enumerate(("F", "Fneu", "F_corrected")):
        same(load(name), rows(kind, n), "f4")
    same(load("spks"), rows(5, n), "f4")
    same(load("iscell"), np.array([[c["is_cell"], c["probability"]] for c in cells]).reshape(n, 2), "f8")
    shifts = load("shifts")
    same(shifts, np.stack([np.arange(T) * 0.3 - 0.5, -0.7 * np.arange(T)], 1).astype("f4"), "f4")
    stat = load("stat")
    assert stat.shape == (n,) and stat.dtype == object
    for s, c in zip(stat, cells):
        assert set(STAT.split()) <= set(s), set(STAT.split()) - set(s)
        same(s["ypix"], c["ypix"], "i8")
        same(s["xpix"], c["xpix"], "i8")
        same(s["lam"], np.array(c["lam"], "f4"), "f4")
        assert s["soma_crop"].dtype == bool and s["overlap"].dtype == bool and s["soma_crop"].sum() == s["npix_soma"]
        assert type(s["skew"]) is np.float32 and s["skew"] == np.float32(c["skew"]) and type(s["npix_norm"]) is np.float32
        assert type(s["npix"]) is int and s["npix"] == len(c["ypix"]) and isinstance(s["radius"], float)
        assert min(abs(s["ypix"] - s["med"][0]) + abs(s["xpix"] - s["med"][1])) == 0, "the centre is a pixel of the cell"
        image = np.zeros((H, W), bool)
        image[s["ypix"], s["xpix"]] = True  # arrays must be usable as indices
        assert image.sum() == s["npix"]
        s["lam"] = s["lam"] / s["lam"].sum()  # and entries be replaceable, as Suite2p's window does
    if n:
        assert stat[0]["overlap"].any(), "the first two cells overlap"
    ops, db, settings, reg, det = (load(name).item() for name in ("ops", "db", "settings", "reg_outputs", "detect_outputs"))
    for key in (FLAT + " " + RESULTS).split():
        assert key in ops, key
    for part in (db, settings, reg, det):
        assert set(part) <= set(ops), set(part) - set(ops)
    assert settings["extraction"]["neuropil_coefficient"] == ops["neucoeff"] == 0.7
    assert settings["detection"]["sparsery_settings"]["max_ROIs"] == 5000 and settings["tau"] == ops["tau"] == 0.7
    assert (ops["Ly"], ops["Lx"], ops["nframes"]) == (H, W, T) and ops["diameter"].tolist() == [9.0, 8.0]
    same(ops["meanImg"], image_of(1), "f4")
    same(ops["refImg"], image_of(3), "f4")
    (y0, y1), (x0, x1) = ops["yrange"], ops["xrange"]
    same(ops["Vcorr"], image_of(5)[y0:y1, x0:x1], "f4")
    same(ops["max_proj"], image_of(4)[y0:y1, x0:x1], "f4")
    # Half a pixel rounds away from zero here and to even in numpy; there is none in float32 of these shifts but the first.
    same(ops["yoff"], np.trunc(shifts[:, 0] + np.copysign(0.5, shifts[:, 0])), "i8")
    same(ops["xoff"], np.trunc(shifts[:, 1] + np.copysign(0.5, shifts[:, 1])), "i8")
    assert ops["badframes"].dtype == bool and ops["badframes"].sum() == 1 and ops["corrXY"].shape == (T,)
    assert ops["yoff1"].shape == ops["xoff1"].shape == ops["corrXY1"].shape == (T, 4)
    assert ops["nblocks"] == [2, 2] and [b.tolist() for b in ops["yblock"]][3] == [H // 2, H]
    assert ("meanImg_chan2" in ops) == second_channel == (folder / "F_chan2.npy").exists()
    if second_channel:
        same(load("F_chan2"), rows(6, n), "f4")
        same(load("Fneu_chan2"), rows(7, n), "f4")
        same(load("redcell"), np.array([[c["is_cell"], c["probability"]] for c in cells]).reshape(n, 2), "f8")


image_of = image
plane(base / "suite2p/plane0", expected["cells"], False)
plane(base / "suite2p/plane1", expected["cells"], True)
plane(base / "suite2p/empty", [], False)
for name in ("suite2p/plane0/stat.npy", "suite2p/plane0/ops.npy"):
    assert b"numpy._core" not in (base / name).read_bytes(), "NumPy 1 could not open it"

for name, n in (("traces.npz", len(expected["cells"])), ("empty.npz", 0)):
    with np.load(base / name) as traces:
        assert traces.files == ["F", "Fneu", "F_corrected", "dff", "denoised", "spikes", "time_s"], traces.files
        for kind, key in enumerate(traces.files[:-1]):
            same(traces[key], rows(kind, n), "f4")
        same(traces["time_s"], np.arange(T) / 30.0, "f8")

labels = np.zeros((2, H, W), int)
labels[:] = expected["labels"]
for name, dtype, scale in (("masks.tif", "u2", 1), ("many_masks.tif", "u4", 70000)):
    with tifffile.TiffFile(base / name) as tif:
        assert tif.is_imagej and tif.imagej_metadata["slices"] == 2 and len(tif.pages) == 2 and not tif.is_bigtiff
        same(tif.asarray(), labels * scale, dtype)
with tifffile.TiffFile(base / "mean.tif") as tif:
    same(tif.asarray(), image(1), "f4")
    assert tif.imagej_metadata["max"] == image(1).max() and tif.imagej_metadata["min"] == image(1).min()
movie = ((np.arange(T * H * W) % 1000) - 500).astype("i2").reshape(T, H, W)
with tifffile.TiffFile(base / "movie.tif") as tif:
    same(tif.asarray(), movie, "i2")
    assert len(tif.pages) == T and tif.series[0].axes == "TYX" and tif.imagej_metadata["fps"] == 30.0
    same(np.stack([page.asarray() for page in tif.pages]), movie, "i2")
same(tifffile.memmap(base / "movie.tif", mode="r"), movie, "i2")  # contiguous
same(np.fromfile(base / "data.bin", "<i2").reshape(T, H, W), movie, "i2")
with Image.open(base / "movie.tif") as picture:  # libtiff's view
    assert picture.n_frames == T

rois = roifile.roiread(base / "rois.zip")
assert [roi.name for roi in rois] == [f"cell {i}" for i in range(len(rois))] and [roi.position for roi in rois] == [1] * len(rois)
for roi, cell in zip(rois, expected["cells"]):
    parts = roi.coordinates(multi=True)
    parts = parts if isinstance(parts, list) else [parts]
    assert (roi.roitype == roifile.ROI_TYPE.TRACED) == (len(parts) == 1)
    mask = np.zeros((H, W), int)
    for line in parts:
        x, y = line[:, 0], line[:, 1]
        assert len(x) >= 4
        for row in range(H):  # crossings of the row's middle; a pixel is inside when an odd number lies left of its centre
            cross = [x[i] for i in range(len(x)) if (y[i] <= row + 0.5) != (y[(i + 1) % len(y)] <= row + 0.5)]
            mask[row] += (np.array(cross)[:, None] <= np.arange(W) + 0.5).sum(0) if cross else 0
    found = sorted(zip(*np.nonzero(mask % 2)))
    assert [tuple(map(int, place)) for place in found] == sorted(zip(cell["ypix"], cell["xpix"])), roi.name

with Image.open(base / "mean.png") as picture:
    assert picture.mode == "L" and picture.size == (W, H) and np.asarray(picture).max() == 255
with Image.open(base / "cells.png") as picture:
    pixels = np.asarray(picture)
    assert picture.mode == "RGB" and pixels.shape == (4 * H, 4 * W, 3) and ((pixels == (230, 159, 0)).all(-1)).any()
table = (base / "cells.csv").read_text().splitlines()
assert table[0] == "cell,skew" and len(table) == 1 + len(expected["cells"])
print("all opened with numpy", np.__version__, "tifffile", tifffile.__version__)
