"""Opens what the test `tests/writers/exports.rs` wrote: SpikeInterface, pandas, pyarrow, scipy and pycocotools give back what went in.

pip install numpy pandas pyarrow scipy spikeinterface pycocotools
usage: python open_exports.py FOLDER     (FOLDER: holds `expected.json` beside what was written)
With `--cellpose` as a second argument Cellpose 3's own functions are asked of the label files as well (pip install cellpose==3.1.1.2).
"""
import contextlib, io, json, pathlib, sys
import numpy as np, pandas as pd, pyarrow.parquet as pq, scipy.io
from pycocotools.coco import COCO
from spikeinterface.core import read_npz_sorting

base = pathlib.Path(sys.argv[1])
expected = json.loads((base / "expected.json").read_text())


def same(found, wanted, dtype=None):
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert dtype is None or found.dtype == np.dtype(dtype), (found.dtype, dtype)
    assert found.shape == wanted.shape and np.array_equal(found, wanted, equal_nan=found.dtype.kind == "f"), (found, wanted)


# The sorting, as `write_sorting` of the test has it.
spike = np.arange(1000)
sample, unit, rate = spike**2, np.array([0, 3, 4])[spike % 3], 20000.0
clock = np.where(sample < 10000, 5 + sample / rate, 100 + (sample - 10000) / rate)

sorting = read_npz_sorting(base / "sorting.npz")
assert sorting.get_sampling_frequency() == rate and sorting.get_num_segments() == 1
same(sorting.unit_ids, [0, 3, 4], "i8")
for u in sorting.unit_ids:
    same(sorting.get_unit_spike_train(u), sample[unit == u])

tables = {}
for name in ("spikes", "units"):
    a, b = pd.read_csv(base / f"{name}.csv"), pd.read_parquet(base / f"{name}.parquet")
    assert list(a) == list(b) and len(a) == len(b), (a, b)
    for column in a:
        if a[column].dtype.kind in "if":
            same(a[column], b[column])
        else:
            assert list(a[column].fillna("")) == list(b[column].fillna("")), column
    tables[name] = b
spikes, units = tables["spikes"], tables["units"]
assert list(spikes) == ["sample", "time_s", "clock_time_s", "unit_id", "amplitude", "x_um", "y_um"]
same(spikes["sample"], sample, "i8")
same(spikes["time_s"], sample / rate, "f8")
assert np.allclose(spikes["clock_time_s"], clock, rtol=0, atol=1e-9)
same(spikes["unit_id"], unit, "i8")
same(spikes["amplitude"], 1 + spike / 1000, "f8")
same(spikes["y_um"], 2.0 * spike, "f4")
same(units["n_spikes"], [334, 333, 333], "i8")
assert list(units["label"]) == ["good", "mua", "a, µ"] and list(units["group"]) == ["good", "mua", "good"]
same(units["amplitude_cutoff"], [np.nan, 0.5, np.nan], "f8")
chunk = pq.read_metadata(base / "units.parquet").row_group(0)
nulls = {chunk.column(c).path_in_schema: chunk.column(c).statistics.null_count for c in range(chunk.num_columns)}
assert nulls["amplitude_cutoff"] == 2 and nulls["snr"] == 0, nulls
first = pq.read_metadata(base / "spikes.parquet").row_group(0).column(0).statistics
assert (first.min, first.max) == (0, 999**2)

mat = scipy.io.loadmat(base / "sorting.mat")
same(mat["unit_ids"][:, 0], [0, 3, 4])
assert mat["sampling_frequency_hz"].item() == rate and mat["spike_times"].shape == (3, 1)
for place, u in enumerate([0, 3, 4]):
    of = unit == u
    for name, wanted, dtype in (("spike_times", sample[of] / rate, "f8"), ("spike_samples", sample[of], "i8"), ("amplitudes", 1 + spike[of] / 1000, "f8")):
        same(mat[name][place, 0], wanted[:, None], dtype)
    assert np.allclose(mat["clock_times"][place, 0][:, 0], clock[of], rtol=0, atol=1e-9)
    assert np.isclose(mat["depth_um"][place, 0], np.mean(2.0 * spike[of]))
table = mat["units"][0, 0]
same(table["snr"][:, 0], [4.5, 3.25, 2.0])
assert [t[0].item() for t in table["label"]] == ["good", "mua", "a, µ"]


def long_rows(kind, n, t):  # as `Rows` of the test and `rows` of make_suite2p_folder.py
    return (1000 * kind + 10 * np.arange(n)[:, None] + np.arange(t)[None]).astype("f4")


def imaging(folder, traces, rate, cells, size, planes, columns, scores):
    """`traces`: name → [cells, frames]; `cells`: ypix, xpix, lam of one plane; `planes`: how many such planes."""
    n, t = next(iter(traces.values())).shape
    wide = {path.stem for path in folder.glob("*.csv")} - {"cells", "traces"}
    assert wide == set(traces), wide
    for name, rows in traces.items():
        table = pd.read_csv(folder / f"{name}.csv")
        assert list(table) == ["frame", "time_s"] + [f"cell_{c}" for c in range(n)]
        same(table["frame"], np.arange(t))
        same(table["time_s"], np.arange(t) / rate)
        same(table.iloc[:, 2:].to_numpy().T.astype("f4"), rows)
    for table in (pd.read_parquet(folder / "traces.parquet"), pd.read_csv(folder / "traces.csv")):
        assert list(table) == ["cell", "frame", "time_s", *traces], list(table)
        same(table["cell"], np.repeat(np.arange(n), t))
        same(table["frame"], np.tile(np.arange(t), n))
        for name, rows in traces.items():
            same(table[name].to_numpy().astype("f4").reshape(n, t), rows)
    assert pd.read_parquet(folder / "traces.parquet", filters=[("cell", "==", n - 1)]).shape[0] == t
    table = pd.read_parquet(folder / "cells.parquet")
    for name, wanted in columns.items():
        assert list(table[name]) == list(wanted), name
    same(table["cell"], np.arange(n), "i8")

    mat = scipy.io.loadmat(folder / "imaging.mat")
    assert mat["frame_rate_hz"].item() == rate
    same(mat["time_s"][:, 0], np.arange(t) / rate)
    for name, rows in traces.items():
        same(mat[name], rows, "f4")
    for c in range(n):
        cell = cells[c % len(cells)]
        for key in ("ypix", "xpix"):
            same(mat[key][c, 0][:, 0], cell[key])
        same(mat["lam"][c, 0][:, 0], np.array(cell["lam"], "f4").astype("f8"))
    same(mat["cells"][0, 0]["cell"][:, 0], np.arange(n))
    assert mat["mean_image"].shape == (planes, 1) and mat["mean_image"][0, 0].shape == size

    for name in ("runs", "polygons"):
        with contextlib.redirect_stdout(io.StringIO()):
            coco = COCO(folder / f"{name}.json")
        assert len(coco.getImgIds()) == planes and [c["name"] for c in coco.loadCats(coco.getCatIds())] == ["cell"]
        for plane, image in enumerate(coco.loadImgs(coco.getImgIds())):
            assert (image["height"], image["width"]) == size and image["file_name"] == f"plane{plane}.tif"
            found = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
            assert [a["cell"] for a in found] == list(range(len(cells)))
            assert [a["score"] for a in found] == list(scores)
            for annotation, cell in zip(found, cells):
                mask = np.zeros(size, bool)
                mask[cell["ypix"], cell["xpix"]] = True
                y, x = np.nonzero(mask)
                assert annotation["area"] == mask.sum()
                assert annotation["bbox"] == [x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1]
                drawn = coco.annToMask(annotation).astype(bool)
                if name == "runs":
                    assert np.array_equal(drawn, mask)
                else:  # pycocotools draws a polygon on a grid of its own; what it draws differs from the pixels at the rim
                    assert (drawn != mask).sum() <= max(2, 0.2 * mask.sum()), (drawn.astype(int), mask.astype(int))

    for plane in range(planes):
        seg = np.load(folder / f"plane{plane}_seg.npy", allow_pickle=True).item()
        masks = seg["masks"]
        assert masks.shape == size and masks.dtype == np.uint16 and masks.max() == len(cells) == len(seg["ismanual"])
        alone = np.zeros(size, int)
        for cell in cells:
            alone[cell["ypix"], cell["xpix"]] += 1
        for number, cell in enumerate(cells, 1):
            inside = np.zeros(size, bool)
            inside[cell["ypix"], cell["xpix"]] = True
            assert (masks[inside & (alone == 1)] == number).all() and (masks[~inside] != number).all()
        outlines = seg["outlines"]
        assert ((outlines == 0) | (outlines == masks)).all() and set(np.unique(outlines)) == set(np.unique(masks))
        assert seg["filename"] == f"plane{plane}.tif" and seg["flows"] == [] and seg["chan_choose"] == [0, 0]
        assert seg["img"].shape == size and isinstance(seg["diameter"], float)


cells = expected["cells"]
n, t = 2 * len(cells), expected["n_frames"]
size = (expected["height"], expected["width"])
names = ("F", "Fneu", "F_corrected", "dff", "denoised", "spikes")
imaging(base / "own", {name: long_rows(kind, n, t) for kind, name in enumerate(names)}, 30.0, cells, size, 2,
        {"found_by": ["network"] * n, "skew": np.arange(n) + 0.5}, np.arange(len(cells)) / 10)

source = pathlib.Path(expected["suite2p_folder"]) / "plane0"
load = lambda name: np.load(source / f"{name}.npy", allow_pickle=True)
stat, ops, iscell = load("stat"), load("ops").item(), load("iscell")
traces = {name: load(file) for name, file in (("F", "F"), ("Fneu", "Fneu"), ("spikes", "spks"))}
imaging(base / "foreign", traces, ops["fs"], list(stat), (ops["Ly"], ops["Lx"]), 1,
        {"is_cell": iscell[:, 0], "probability": iscell[:, 1], "area_px": [len(s["ypix"]) for s in stat]}, iscell[:, 1])

# Fall.mat, against what scipy itself makes of the same arrays.
savable = {k: v for k, v in ops.items() if k not in ("diameter", "save_path", "date_proc", "names", "volume", "_private", "empty")}
theirs_path = base / "Fall_scipy.mat"
scipy.io.savemat(theirs_path, {"stat": stat, "ops": savable, "F": traces["F"], "Fneu": traces["Fneu"], "spks": traces["spikes"],
                               "iscell": iscell, "redcell": load("redcell")})
ours, theirs = scipy.io.loadmat(base / "foreign" / "Fall0.mat"), scipy.io.loadmat(theirs_path)
assert {k for k in theirs if k[0] != "_"} == {k for k in ours if k[0] != "_"}
for key in ("F", "Fneu", "spks", "iscell", "redcell"):
    same(ours[key], theirs[key], theirs[key].dtype)
assert ours["stat"].shape == theirs["stat"].shape == (1, 3)
whole = lambda a: a.astype("i8") if a.dtype.kind in "iu" and a.dtype != bool else a
for a, b in zip(ours["stat"][0], theirs["stat"][0]):
    assert set(a.dtype.names) == set(b.dtype.names)
    for key in b.dtype.names:
        same(whole(a[key][0, 0]), whole(b[key][0, 0]))
a, b = ours["ops"][0, 0], theirs["ops"][0, 0]
assert set(b.dtype.names) == set(a.dtype.names) - {"diameter", "empty"}, set(a.dtype.names) ^ set(b.dtype.names)
assert a["diameter"].size == 0
for key in set(b.dtype.names) - {"filelist", "lists", "classifier"}:
    same(whole(a[key]), whole(b[key]))
assert [f.item() for f in a["filelist"][0]] == ["a.tif", "b.tif"]
same(a["lists"][0, 1], b["lists"][0, 1])
same(a["classifier"][0, 0]["stats"], b["classifier"][0, 0]["stats"])
own = scipy.io.loadmat(base / "own" / "Fall1.mat")
same(own["F"], long_rows(0, len(cells), t), "f4")
assert own["ops"][0, 0]["Ly"].item() == size[0] and "redcell" in own

if "--cellpose" in sys.argv:
    from cellpose import io as cellpose_io, utils
    masks = np.load(base / "own" / "plane0_seg.npy", allow_pickle=True).item()
    assert np.isclose(utils.diameters(masks["masks"])[0], masks["diameter"], atol=1)
    cellpose_io.save_masks(masks["img"], masks["masks"], [], str(base / "cellpose"), png=True)
print("all opened")
