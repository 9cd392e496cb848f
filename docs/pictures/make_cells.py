"""The picture of the README: cells on the mean image, and ΔF/F with spikes of some of them.

usage: make_cells.py RESULT OUT.png     RESULT is a folder written by `somata image`, here of
                                        `somata simulate movie MOVIE --kind standard --seed 7`
"""
import pathlib, sys
import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

result, out = pathlib.Path(sys.argv[1]), sys.argv[2]
traces = np.load(result / "traces.npz")
dff, spikes, time = traces["dff"], traces["spikes"], traces["time_s"]
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.9), width_ratios=[1, 1.25], constrained_layout=True)
left.imshow(plt.imread(result / "cells.png"))
left.set_axis_off()
left.set_title(f"{len(dff)} cells on the mean image")
frames = time < 40
time = time[frames]
step = np.quantile(dff, 0.999)
for place, cell in enumerate(np.argsort(-spikes.sum(1))[: 2 * 9 : 2]):
    right.plot(time, dff[cell, frames] - place * step, lw=0.7, color=f"C{place}")
    height = spikes[cell, frames] / spikes.max() * 0.4 * step
    right.vlines(time[height > 0], (-place - 0.35) * step, (-place - 0.35) * step + height[height > 0], "k", lw=0.8)
right.set(xlabel="time (s)", title="ΔF/F, and the spikes under it", yticks=[])
right.spines[["top", "right", "left"]].set_visible(False)
figure.savefig(out, dpi=100)
