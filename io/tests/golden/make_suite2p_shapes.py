"""What Suite2p says about the shapes of cells -> suite2p_shapes.json

pip install suite2p==1.1.0 numpy tifffile. Suite2p is run as it is on a simulated movie; only its output is used.
usage: python make_suite2p_shapes.py PLANE_FOLDER     (PLANE_FOLDER: suite2p/plane0 of a finished run)
"""
import json, pathlib, sys
import numpy as np

plane = pathlib.Path(sys.argv[1])
diameter = [float(d) for d in np.load(plane / "settings.npy", allow_pickle=True).item()["diameter"]]
cells = []
for stat in np.load(plane / "stat.npy", allow_pickle=True)[[0, 1, 4, 9, 10, 16]]:
    cell = {key: stat[key].tolist() for key in ("ypix", "xpix")} | {"lam": [float(f"{v:.9g}") for v in stat["lam"]]}
    cell |= {"med": [int(v) for v in stat["med"]], "npix_soma": int(stat["npix_soma"])}
    cells.append(cell | {key: float(stat[key]) for key in ("mrs", "mrs0", "compact", "radius", "aspect_ratio")})
text = json.dumps({"suite2p": "1.1.0", "diameter": diameter, "cells": cells}, separators=(",", ":"))
pathlib.Path(__file__).with_name("suite2p_shapes.json").write_text(text.replace('{"ypix', '\n{"ypix') + "\n")
