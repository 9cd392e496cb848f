"""Spikes of fluorescence traces, by non-negative least squares: an anchor for OASIS and for the kernel `deconvolve`.

usage: make_spikes.py OUT.json
Traces are made from formulas on both sides; `spikes.rs` beside this file has the same.
Made with numpy 2.0 and scipy 1.17.
"""
import json, sys
import numpy as np
from scipy.optimize import nnls

# Decay (what remains after a frame), rise (0: none), taps, price of a spike.
RESPONSES = ((0.9, 0.5, 60, 0.0), (0.9, 0.5, 60, 0.6), (0.95, 0.7, 200, 0.4), (0.8, 0.0, 30, 0.2))
DECAYS = (0.6, 0.9, 0.98)


def trace(decay, n):
    """Events on frames that a square of them chooses, a slow wave below zero at times, and a jitter."""
    out, calcium = [], 0.0
    for t in range(n):
        calcium = calcium * decay + (1.0 + t % 3 if (t * t + 5) % 29 < 2 else 0.0)
        out.append(calcium + 0.3 * np.sin(0.1 * t) + 0.3 * ((t * 7919) % 97 - 48) / 48)
    return np.array(out, np.float32).astype(float)


def response(decay, rise, taps):
    t = np.arange(taps)
    rising = decay**t - rise**t if rise else decay**t
    return (rising / rising.max()).astype(np.float32).astype(float)


def convolution(kernel, n):
    """[n, n]: column u is the response to a spike in frame u."""
    matrix = np.zeros((n, n))
    for u in range(n):
        reach = min(len(kernel), n - u)
        matrix[u:u + reach, u] = kernel[:reach]
    return matrix


out = {}


def store(name, values):
    out[name] = [round(float(v), 7) for v in values]


# OASIS: |trace - calcium|^2 with calcium[t] >= decay * calcium[t - 1] and calcium[0] >= 0 is least squares over spikes >= 0, of which
# the first is the calcium that there was before.
for decay in DECAYS:
    y = trace(decay, 120)
    matrix = convolution(decay ** np.arange(120), 120)
    spikes, _ = nnls(matrix, y, maxiter=10_000)
    store(f"ar1_{decay}_spikes", [0.0, *spikes[1:]])
    store(f"ar1_{decay}_calcium", matrix @ spikes)

# |y - K s|^2 / 2 + price * sum(s) = |z - K s|^2 / 2 + constant, where z has K^T z = K^T y - price.
for number, (decay, rise, taps, price) in enumerate(RESPONSES):
    n = 150
    y = trace(decay, n)
    matrix = convolution(response(decay, rise, taps), n)
    if rise:
        # The first value of the response is 0: a spike in the last frame explains nothing, and the first frame of the trace
        # nobody explains. The rest is a triangle again.
        matrix = matrix[1:, :-1]
        y = y[1:]
    shifted = y - np.linalg.solve(matrix.T, np.full(matrix.shape[1], price))
    spikes, _ = nnls(matrix, shifted, maxiter=10_000)
    # The conditions of the minimum (Karush, Kuhn and Tucker): no spike would pay to grow, and those that are there not to shrink.
    gradient = matrix.T @ (matrix @ spikes - y) + price
    assert gradient.min() > -1e-9 and np.abs(gradient[spikes > 0]).max() < 1e-9
    assert 5 < (spikes > 0).sum() < 100
    store(f"deconvolved_{number}", [*spikes, 0.0] if rise else spikes)

with open(sys.argv[1], "w") as file:
    json.dump(out, file)
    file.write("\n")
