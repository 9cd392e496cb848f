"""The picture of the Python guide: true units against found ones, sorted and compared through SpikeInterface.

usage: SOMATA_BINARY=somata make_spikeinterface_agreement.py OUT.png     needs the Python package, spikeinterface and matplotlib

A recording of 64 channels, 40 units and 30 s is simulated in a temporary folder, sorted with `run_sorter("somata", …)` and
compared with `compare_sorter_to_ground_truth`, SpikeInterface's own.
"""
import os, sys, tempfile
import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import probeinterface
import spikeinterface.comparison as comparison
import spikeinterface.core as core
import spikeinterface.sorters as sorters

import somata, somata.spikeinterface

out = os.path.abspath(sys.argv[1])
os.chdir(tempfile.mkdtemp())
somata.run("simulate", "recording", "recording", "--kind", "static", "--channels", "64", "--units", "40", "--seconds", "30", "--seed", "8")
recording = core.BinaryRecordingExtractor(["recording/recording.bin"], 30_000, "int16", 64, gain_to_uV=0.195, offset_to_uV=0)
recording.set_probegroup(probeinterface.read_probeinterface("recording/probe.json"))
sorting = sorters.run_sorter("somata", recording, folder="sorted", device="cpu")
truth = np.load("recording/truth.npz")
true = core.NumpySorting.from_samples_and_labels(truth["samples"], truth["labels"], 30_000)
compared = comparison.compare_sorter_to_ground_truth(true, sorting, exhaustive_gt=True)

performance = compared.get_performance(method="by_unit")
agreement = compared.get_ordered_agreement_scores()
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.6), width_ratios=[1.15, 1], constrained_layout=True)
image = left.imshow(agreement.to_numpy(dtype=float), cmap="Greys", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
left.set(xlabel=f"found units ({agreement.shape[1]})", ylabel=f"true units ({agreement.shape[0]})", xticks=[], yticks=[], title="agreement")
figure.colorbar(image, ax=left, label="matches ÷ (matches + misses + false)")
names = {"accuracy": "black", "recall": "tab:blue", "precision": "tab:orange"}
for name, colour in names.items():
    values = np.sort(performance[name].to_numpy(dtype=float))[::-1]
    right.plot(np.arange(1, len(values) + 1), values, ".-", color=colour, label=f"{name}: mean {values.mean():.2f}", linewidth=1)
right.set(xlabel="true units, each measure in its own order", ylim=(-0.02, 1.02), title="by SpikeInterface's comparison")
right.legend(loc="lower left")
for side in ("top", "right"):
    right.spines[side].set_visible(False)
figure.savefig(out, dpi=80)
print(compared.get_performance(method="pooled_with_average").round(3).to_string())
print({"well detected": len(compared.get_well_detected_units(well_detected_score=0.8)), "false positive": compared.count_false_positive_units(), "redundant": compared.count_redundant_units()})
