"""The picture of the README: spikes over time and depth with the motion, and mean waveforms of some units.

usage: make_drift_map.py RESULT OUT.png     RESULT is a folder written by `somata sort` (or the demo's `sorting`)
"""
import csv, pathlib, sys
import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

result, out = pathlib.Path(sys.argv[1]), sys.argv[2]
phy = result / "phy"
samples, units = np.load(phy / "spike_times.npy").ravel(), np.load(phy / "spike_clusters.npy").ravel()
depth = np.load(phy / "spike_positions.npy")[:, 1]
templates = np.load(phy / "templates_uv.npy")
rate = float(dict(line.split(" = ") for line in (phy / "params.py").read_text().splitlines())["sample_rate"])
time = samples / rate
rows = [[float(v) for v in row] for row in list(csv.reader(open(result / "motion.csv")))[1:]]
motion = np.array(rows)
seen = depth + np.interp(time, motion[:, 0], motion[:, 1])  # where the tissue was when the spike came
colours = plt.get_cmap("tab20")(np.arange(20))
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), width_ratios=[2.2, 1], constrained_layout=True)
left.scatter(time, seen, s=2, c=colours[units * 7 % 20], linewidths=0)
left.plot(motion[:, 0], motion[:, 1] + np.median(depth), "k", lw=2, label="estimated motion")
left.set(xlabel="time (s)", ylabel="depth (µm)", title="spikes, one colour a unit")
left.legend(loc="upper right")
chosen = np.argsort(-np.abs(templates).max((1, 2)))[:8]
for place, unit in enumerate(chosen):
    main = np.abs(templates[unit]).max(0).argmax()
    wave = templates[unit][:, main]
    right.plot(np.arange(len(wave)) / rate * 1000 + 4.4 * (place % 2), wave - 420 * (place // 2), color=colours[unit * 7 % 20])
    right.text(4.4 * (place % 2) + 1.6, -420 * (place // 2) + 60, f"unit {unit}", fontsize=8)
right.plot([8.6, 8.6], [-1400, -1200], "k", lw=2)
right.text(8.7, -1320, "200 µV", fontsize=8)
right.set(title="mean waveforms, main channel", xticks=[], yticks=[])
for side in right.spines.values():
    side.set_visible(False)
figure.savefig(out, dpi=90)
