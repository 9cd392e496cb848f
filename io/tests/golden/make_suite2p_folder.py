"""Makes `suite2p_folder/plane0`: the files of a plane as numpy saves them for Suite2p, small, with arrays whose content is known.

pip install numpy          (the committed files: NumPy 2.0.2)
usage: python make_suite2p_folder.py
Suite2p itself is not needed: what matters here is how numpy pickles its dictionaries and arrays, that `iscell` lies column by column,
and that `ops` holds what a reader must step over (paths, dates, sets).
"""
import datetime, pathlib
import numpy as np

folder = pathlib.Path(__file__).parent / "suite2p_folder" / "plane0"
folder.mkdir(parents=True, exist_ok=True)
H, W, T = 12, 14, 9


def disk(y, x, r):
    dy, dx = np.mgrid[-r:r + 1, -r:r + 1]
    inside = dy**2 + dx**2 <= r * r
    return y + dy[inside], x + dx[inside]


stat = []
for n, (y, x, r) in enumerate([(4, 4, 2), (5, 6, 2), (8, 10, 1)]):
    ypix, xpix = disk(y, x, r)
    stat.append({
        "ypix": ypix, "xpix": xpix, "lam": (1 + np.arange(ypix.size)).astype("f4") / ypix.size, "med": [y, x], "npix": ypix.size,
        "radius": 1.5 + n, "npix_norm": np.float32(0.5), "overlap": np.zeros(ypix.size, bool), "skew": np.float32(n), "iplane": 0,
    })
np.save(folder / "stat.npy", np.array(stat, dtype=object))
mean = np.arange(H * W, dtype="f4").reshape(H, W)
ops = {
    "Ly": H, "Lx": W, "nframes": T, "fs": 15.0, "tau": 0.7, "meanImg": mean, "refImg": np.asfortranarray(mean.astype("i2")),
    "badframes": np.zeros(T, bool), "yoff": np.arange(T, dtype="i4"), "block_size": [128, 128], "nonrigid": True, "diameter": None,
    "save_path": pathlib.PurePosixPath("/data/suite2p/plane0"), "date_proc": datetime.datetime(2020, 1, 2), "filelist": ["a.tif", "b.tif"],
    "lists": [np.arange(2), np.arange(3)], "empty": [], "names": {"x", "y"}, "classifier": {"keys": ["skew"], "stats": mean[:2, :2].astype("f8")},
    "yrange": np.array([1, 11]), "_private": 1, "volume": np.zeros((2, 2, 2)),
}
ops["meanImg_again"] = ops["meanImg"]  # one array under two names is pickled once
np.save(folder / "ops.npy", ops, allow_pickle=True)
rows = lambda kind: (1000 * kind + 10 * np.arange(3)[:, None] + np.arange(T)).astype("f4")
for kind, name in enumerate(("F", "Fneu", "spks")):
    np.save(folder / f"{name}.npy", rows(kind))
np.save(folder / "iscell.npy", np.asfortranarray([[1.0, 0.9], [0.0, 0.2], [1.0, 0.8]]))
np.save(folder / "redcell.npy", np.array([[0.0, 0.1], [1.0, 0.7], [0.0, 0.3]]))
