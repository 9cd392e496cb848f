"""Golden outputs of kernels, by numpy and scipy: an anchor for the native twins that no parity test can give.

usage: make_kernels.py OUT.json
Inputs are made from one formula on both sides; `main.rs` beside this file has the same.
"""
import json, sys
import numpy as np
import scipy.signal


def signal(n, channels, offset=0):
    """[n, channels]: slow and fast sines and a repeatable jitter."""
    t = np.arange(n)[:, None]
    c = np.arange(channels)[None] + offset
    jitter = (t * 7919 + c * 104729) % 97 - 48
    return 100 * np.sin(0.01 * (c + 1) * t) + 20 * np.sin(1.3 * t + c) + jitter


out = {}
x = signal(4000, 3)
sos = scipy.signal.butter(3, 300, "high", fs=30000, output="sos")
out["highpass"] = scipy.signal.sosfiltfilt(sos, x, axis=0)[1900:2000].ravel().tolist()

x = signal(20, 7)
out["common_reference"] = (x - np.median(x, axis=1, keepdims=True)).ravel().tolist()
x = signal(20, 4)
out["common_reference_even"] = (x - np.median(x, axis=1, keepdims=True)).ravel().tolist()

# Fractional delays by the Fourier transform, as SpikeInterface's phase_shift does; the signal is periodic.
t = np.arange(512)
periodic = 50 * np.sin(2 * np.pi * 7 * t / 512) + 30 * np.cos(2 * np.pi * 90 * t / 512)
shifted = []
for delay in (0.25, 0.5, 0.9):
    spectrum = np.fft.rfft(periodic) * np.exp(-2j * np.pi * np.arange(257) / 512 * delay)
    shifted += np.fft.irfft(spectrum)[200:300].tolist()
out["phase_shift"] = shifted

x = signal(30, 5)
w = signal(5, 5, 3) / 100
out["whiten"] = (w @ x.T).ravel().tolist()

x = signal(64, 3).T
shape = signal(12, 2, 5).T / 100
footprints = np.array([[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [0.48, 0.64, 0.6]])
scores = []
for c in range(3):
    # Channel c, then the others in order, as the footprints' weights.
    near = [c] + [n for n in range(3) if n != c]
    rows = [np.correlate(w @ x[near], s, "valid") for w in footprints for s in shape]
    scores.append(np.maximum(np.max(rows, axis=0), 0))
out["score_footprints"] = np.concatenate(scores).tolist()

x = signal(80, 6).T
spatial, temporal = signal(4, 2, 1) / 100, signal(16, 2, 9).T / 100
template = spatial @ temporal  # channels 1, 2, 4, 5
scores = [float((x[[1, 2, 4, 5], s:s + 16] * template).sum()) for s in range(80 - 16 + 1)]
out["score_templates"] = scores
json.dump({k: [round(v, 6) for v in vs] for k, vs in out.items()}, open(sys.argv[1], "w"))
