"""Opens a result of `somata image --keep-movie` with the tools that users will use, and compares the files with each other.

pip install -r requirements.txt; usage: python open_movie_result.py RESULT

numpy on the Suite2p folders and traces.npz, tifffile on labels, projections and the registered movies, roifile on rois.zip.
"""
import csv, json, pathlib, sys, warnings

warnings.simplefilter("error")
import numpy as np
import roifile, tifffile

result = pathlib.Path(sys.argv[1])
manifest = json.loads((result / "manifest.json").read_text())
movie = manifest["movie"]
H, W, T, P, RATE = (movie[key] for key in ("height", "width", "n_frames", "n_planes", "frame_rate_hz"))
mismatches = []


def check(holds, what):
    if not holds:
        mismatches.append(what)


def pages(path):
    """Pages of a TIFF as [page, y, x], each page read by itself."""
    with tifffile.TiffFile(path) as tif:
        whole, single = tif.asarray(), np.stack([page.asarray() for page in tif.pages])
    check(np.array_equal(whole.reshape(single.shape), single, equal_nan=True), f"{path.name}: as a stack it is not its pages")
    return single


# Suite2p's files of each plane, as its readers load them.
FLAT = "Ly Lx nframes nplanes nchannels fs tau neucoeff meanImg meanImgE refImg Vcorr max_proj yoff xoff corrXY badframes yrange xrange"
stats, traces = [], {name: [] for name in ("F", "Fneu", "F_corrected", "spks")}
for plane in range(P):
    folder = result / f"suite2p/plane{plane}"
    load = lambda name: np.load(folder / f"{name}.npy", allow_pickle=True)
    stat, ops = load("stat"), load("ops").item()
    n = len(stat)
    stats.append(stat)
    check(stat.dtype == object and stat.shape == (n,), f"plane {plane}: stat.npy is {stat.dtype} {stat.shape}")
    check(n == manifest["planes"][plane]["n_cells"], f"plane {plane}: the manifest counts other cells than stat.npy")
    for name in traces:
        array = load(name)
        check(array.shape == (n, T) and array.dtype == np.float32, f"plane {plane}: {name}.npy is {array.dtype} {array.shape}")
        check(np.isfinite(array).all(), f"plane {plane}: {name}.npy holds values that are not finite")
        traces[name].append(array)
    check((traces["spks"][-1] >= 0).all(), f"plane {plane}: spikes below zero")
    iscell = load("iscell")
    check(iscell.shape == (n, 2), f"plane {plane}: iscell.npy is {iscell.shape}")
    check(np.isin(iscell[:, 0], (0, 1)).all() and ((iscell >= 0) & (iscell <= 1)).all(), f"plane {plane}: iscell.npy")
    for key in FLAT.split():
        check(key in ops, f"plane {plane}: ops.npy lacks {key}")
    check((ops["Ly"], ops["Lx"], ops["nframes"], ops["nplanes"], ops["fs"]) == (H, W, T, P, RATE), f"plane {plane}: sizes in ops.npy")
    for key in ("meanImg", "meanImgE", "refImg"):
        check(ops[key].shape == (H, W) and np.isfinite(ops[key]).all(), f"plane {plane}: {key}")
    (y0, y1), (x0, x1) = ops["yrange"], ops["xrange"]
    check(0 <= y0 < y1 <= H and 0 <= x0 < x1 <= W, f"plane {plane}: yrange, xrange")
    check(ops["Vcorr"].shape == ops["max_proj"].shape == (y1 - y0, x1 - x0), f"plane {plane}: Vcorr, max_proj")
    shifts = load("shifts")
    check(shifts.shape == (T, 2), f"plane {plane}: shifts.npy is {shifts.shape}")
    for axis, key in enumerate(("yoff", "xoff")):
        check(abs(ops[key] - shifts[:, axis]).max() <= 0.5 + 1e-6, f"plane {plane}: {key} is not the rounded shift")
    for cell, s in enumerate(stat):
        y, x = s["ypix"], s["xpix"]
        check(len(y) == len(x) == len(s["lam"]) == len(s["overlap"]) == s["npix"] > 0, f"plane {plane}, cell {cell}: sizes")
        check(0 <= y.min() and y.max() < H and 0 <= x.min() and x.max() < W, f"plane {plane}, cell {cell}: outside of the frame")
        check(s["iplane"] == plane and (s["lam"] > 0).all(), f"plane {plane}, cell {cell}: plane, weights")
N = sum(map(len, stats))
check(N == manifest["n_cells"], "the manifest counts other cells")

# traces.npz has the cells of all planes, one plane after the other.
with np.load(result / "traces.npz") as archive:
    for name in ("F", "Fneu", "F_corrected"):
        check(np.array_equal(archive[name], np.concatenate(traces[name])), f"traces.npz: {name}")
    for name in ("dff", "denoised", "spikes"):
        check(archive[name].shape == (N, T) and np.isfinite(archive[name]).all(), f"traces.npz: {name}")
    check(np.allclose(archive["time_s"], np.arange(T) / RATE), "traces.npz: time_s")

# Labels: cells counted over all planes, a pixel of several cells has one of them.
labels = pages(result / "masks.tif")
check(labels.shape == (P, H, W) and labels.dtype == np.uint16, f"masks.tif is {labels.dtype} {labels.shape}")
check(set(np.unique(labels)) <= set(range(N + 1)), "masks.tif has other labels than cells")
cells = [(plane, s) for plane, stat in enumerate(stats) for s in stat]
claimed = np.zeros(labels.shape, int)
for number, (plane, s) in enumerate(cells, 1):
    claimed[plane, s["ypix"], s["xpix"]] += 1
    own = s["ypix"][~s["overlap"]], s["xpix"][~s["overlap"]]
    check((labels[plane][own] == number).all(), f"masks.tif: cell {number - 1} lacks pixels that only it has")
check(np.array_equal(labels > 0, claimed > 0), "masks.tif covers other pixels than stat.npy")

# Projections.
projections = {name: pages(result / f"{name}.tif") for name in ("mean", "max", "correlation", "variance")}
for name, image in projections.items():
    check(image.shape == (P, H, W) and image.dtype == np.float32 and np.isfinite(image).all(), f"{name}.tif is {image.dtype} {image.shape}")
check((projections["variance"] >= 0).all() and abs(projections["correlation"]).max() <= 1 + 1e-5, "variance.tif, correlation.tif")

# The registered movies: their mean is the mean image, a cell's light in them is its trace.
n_compared = 0
for plane, stat in enumerate(stats):
    path = result / ("registered.tif" if P == 1 else f"registered_plane{plane}.tif")
    registered = pages(path)
    check(registered.shape == (T, H, W) and registered.dtype == np.int16, f"{path.name} is {registered.dtype} {registered.shape}")
    ops = np.load(result / f"suite2p/plane{plane}/ops.npy", allow_pickle=True).item()
    check(np.array_equal(ops["meanImg"], projections["mean"][plane]), f"mean.tif is not meanImg of plane {plane}")
    (y0, y1), (x0, x1) = ops["yrange"], ops["xrange"]
    mean = registered[~ops["badframes"]].mean(0)
    # Pixels are rounded to counts, which a mean over many frames hardly keeps; what some frames do not show is filled in.
    apart = abs(mean - projections["mean"][plane])[y0:y1, x0:x1]
    check(np.median(apart) < 0.1, f"{path.name}: its mean is not mean.tif (median of {np.median(apart):.3f} counts)")
    for cell, s in enumerate(stat):
        keep = ~s["overlap"]
        if not keep.any():
            continue
        light = (registered[:, s["ypix"][keep], s["xpix"][keep]] * s["lam"][keep]).sum(1) / s["lam"][keep].sum()
        # Weights differ where a dark nucleus has none; the rest is rounding.
        r = np.corrcoef(light, traces["F"][plane][cell])[0, 1]
        check(r > 0.99, f"plane {plane}, cell {cell}: F.npy is not its light in {path.name} (r = {r:.4f})")
        n_compared += 1
check(n_compared == 0 or n_compared > N / 2, f"only {n_compared} of {N} cells were compared")

# ImageJ's regions: one a cell, at its plane; the outline runs along the edges of its pixels.
rois = roifile.roiread(result / "rois.zip")
check(len(rois) == N, f"rois.zip has {len(rois)} regions for {N} cells")
for roi, (plane, s) in zip(rois, cells):
    check(roi.position == plane + 1, f"{roi.name}: position {roi.position}")
    parts = roi.coordinates(multi=True)
    outline = np.concatenate(parts if isinstance(parts, list) else [parts])
    (left, top), (right, bottom) = outline.min(0), outline.max(0)
    check(0 <= left < right <= W and 0 <= top < bottom <= H, f"{roi.name}: outside of the frame")
    box = s["xpix"].min(), s["ypix"].min(), s["xpix"].max() + 1, s["ypix"].max() + 1
    check((left, top, right, bottom) == box, f"{roi.name}: outline of {(left, top, right, bottom)}, pixels of {box}")

# Tables.
rows = list(csv.DictReader((result / "cells.csv").read_text().splitlines()))
check([int(row["cell"]) for row in rows] == list(range(N)), "cells.csv does not list the cells in order")
for row, (plane, s) in zip(rows, cells):
    check(int(row["plane"]) == plane and int(row["area_px"]) == s["npix"], f"cells.csv: cell {row['cell']}")
motion = list(csv.DictReader((result / "motion.csv").read_text().splitlines()))
check([(int(row["plane"]), int(row["frame"])) for row in motion] == [(p, t) for p in range(P) for t in range(T)], "motion.csv: frames")

if mismatches:
    sys.exit("\n".join(mismatches))
print(f"{N} cells of {P} planes: all agree (numpy {np.__version__}, tifffile {tifffile.__version__}, roifile {roifile.__version__})")
