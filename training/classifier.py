"""Coefficients of the probability of being a cell (engine/src/imaging/classification.rs), from simulated movies with known cells.

usage: classifier.py RESULT=MOVIE [RESULT=MOVIE ...]

RESULT is written by `somata image MOVIE/movie.tif`, MOVIE by `somata simulate movie`. So that there are regions that are no cells, run
`somata image` with looser settings than its own:

    --set segmentation.min_probability=0.2 --set segmentation.min_area=0.3 --set segmentation.logit_threshold=-0.5
    --set activity.min_probability=0.1 --set activity.min_energy=12

A region is a cell where it has an IoU of 0.5 or more with a true one of its own.
"""
import csv, pathlib, sys
import numpy as np
import tifffile
from scipy.optimize import linear_sum_assignment
from sklearn.linear_model import LogisticRegression


def aspect_ratio(mask):
    """Ratio of the axes of the ellipse of inertia."""
    small, large = np.linalg.eigvalsh(np.cov(np.nonzero(mask), bias=True))
    return np.sqrt(large / max(small, 1e-6))


def regions(result, movie):
    """Features of each region, and whether it is a cell."""
    rows = list(csv.DictReader(open(result / "cells.csv")))
    if not rows:
        return np.zeros((0, 4)), np.zeros(0, bool)
    truth = np.load(movie / "truth.npz")["bodies"].astype(bool)
    labels = tifffile.imread(result / "masks.tif").reshape(truth.shape[-2:])
    masks = [labels == k + 1 for k in range(len(rows))]
    typical = np.median([float(row["area_px"]) for row in rows])
    features = []
    for row, mask in zip(rows, masks):
        p = np.clip(float(row["network_probability"]), 1e-4, 1 - 1e-4)
        features.append([
            np.log(p / (1 - p)),
            abs(np.log(float(row["area_px"]) / typical)),
            np.log(np.clip(aspect_ratio(mask), 1, 10)),
            np.log(max(float(row["trace_snr"]), 0.1)),
        ])
    iou = np.array([[(a & b).sum() / max((a | b).sum(), 1) for b in truth] for a in masks]).reshape(len(masks), len(truth))
    pairs = zip(*linear_sum_assignment(-iou))
    is_cell = np.zeros(len(masks), bool)
    is_cell[[a for a, b in pairs if iou[a, b] >= 0.5]] = True
    return np.array(features), is_cell


parts = [regions(*map(pathlib.Path, pair.split("="))) for pair in sys.argv[1:]]
x, y = (np.concatenate(part) for part in zip(*parts))
fit = LogisticRegression(C=10, max_iter=1000).fit(x, y)
print(f"{len(y)} regions, {(~y).sum()} of them no cells")
print("COEFFICIENTS:", [round(float(c), 2) for c in (*fit.intercept_, *fit.coef_[0])])
