"""Spikes from real calcium traces whose cells an electrode recorded as well: somata beside OASIS as Suite2p runs it.

usage: calcium_sets.py write DATA WORK      traces of DATA/*/CAttached_*.mat as WORK/NAME.npy, a list in WORK/traces.json
       calcium_sets.py score DATA WORK      a row for each file, as Markdown

Between the two, somata's own deconvolution with its defaults:

    SOMATA_TRACES=WORK cargo test --release -p somata-validation --test accuracy -- --ignored given_traces

DATA holds the ground truth that the program Cascade collects (`Ground_truth/DS09-GCaMP6f-m-V1`, Chen et al. 2013): `fluo_mean` and `fluo_time`
(s), spikes `events_AP` (0.1 ms). Each segment is a cell of its own; a file's segments are one field. somata is run as it is, told
the decay that Suite2p may be told, and with a quarter of its price of a spike.

OASIS is written here from Friedrich, Zhou and Paninski 2017, in Suite2p's setting: no penalty, one decay (`tau`, 1.0 s by default; 0.7 s is what
its documentation gives for GCaMP6f), baseline a Gaussian of 10 frames, then minimum and maximum over 60 s.

A score is the correlation of counted spikes with the estimate, both summed over bins of 0.1 s: as it stands, and after the one lag
that suits all segments of all files best, the same for each method.
"""
import json, pathlib, sys

import numpy as np
import scipy.io
from scipy.ndimage import gaussian_filter1d, maximum_filter1d, minimum_filter1d

BIN_S, LAGS_S = 0.1, np.arange(-0.2, 0.2001, 1 / 60)


def segments(path):
    """(fluorescence, times of frames, spike times), s, of each segment; frames without a value are bridged."""
    for part in scipy.io.loadmat(path)["CAttached"].ravel():
        part = part[0, 0]
        fluorescence, time = part["fluo_mean"].ravel().astype(float), part["fluo_time"].ravel().astype(float)
        n = min(len(fluorescence), len(time))
        fluorescence, time = fluorescence[:n], time[:n]
        good = np.isfinite(fluorescence) & np.isfinite(time)
        fluorescence = np.interp(np.arange(n), np.flatnonzero(good), fluorescence[good])
        time = np.interp(np.arange(n), np.flatnonzero(good), time[good])
        yield fluorescence, time, part["events_AP"].ravel() * 1e-4


def recordings(data):
    return sorted(pathlib.Path(data).glob("*/CAttached_*.mat"))


def name_of(path, number):
    return f"{path.stem.replace('CAttached_', '')}_{number}"


def rate_of(time):
    return float(1 / np.median(np.diff(time)))


def oasis(trace, tau_s, rate_hz):
    """Spikes of the nearest trace that falls by the decay or jumps up."""
    decay, pools = np.exp(-1 / (tau_s * rate_hz)), []
    for t, value in enumerate(trace):
        pools.append([value, 1.0, t, 1])
        while len(pools) > 1 and pools[-2][0] * decay ** pools[-2][3] > pools[-1][0]:
            (v, w, t0, n), (u, x, _, m) = pools[-2], pools[-1]
            kept = decay**n
            pools[-2:] = [[(v * w + u * x * kept) / (w + x * kept * kept), w + x * kept * kept, t0, n + m]]
    spikes, last = np.zeros(len(trace)), None
    for value, _, start, length in pools:
        value = max(value, 0.0)
        if last is not None:
            spikes[start] = max(value - last, 0.0)
        last = value * decay**length
    return spikes


def suite2p_like(trace, rate_hz, tau_s):
    window = int(60 * rate_hz)
    low = maximum_filter1d(minimum_filter1d(gaussian_filter1d(trace, 10.0), window), window)
    return oasis(trace - low, tau_s, rate_hz)


def correlation(spikes, estimate, time, lag_s):
    """Of spike counts and of an estimate that is `lag_s` late, in bins."""
    edges = np.arange(time[0], time[-1] + BIN_S, BIN_S)
    truth, found = np.histogram(spikes, edges)[0], np.histogram(time - lag_s, edges, weights=estimate)[0]
    # The ends hold what a lag moved out.
    truth, found = truth[3:-3], found[3:-3]
    return np.corrcoef(truth, found)[0, 1] if truth.std() > 0 and found.std() > 0 else np.nan


def write(data, work):
    work.mkdir(parents=True, exist_ok=True)
    given = []
    for path in recordings(data):
        for number, (trace, time, _) in enumerate(segments(path)):
            for suffix, decay, sparsity in (("", None, None), ("_tau", 0.7, None), ("_dense", None, 1.0)):
                name = name_of(path, number) + suffix
                np.save(work / f"{name}.npy", trace[None].astype(np.float32))
                given.append(dict(name=name, frame_rate_hz=rate_of(time), decay_s=decay, sparsity=sparsity))
    (work / "traces.json").write_text(json.dumps(given))
    print(f"{len(given)} traces in {work}")


def score(data, work):
    methods = {
        "somata": lambda name, trace, rate: np.load(work / f"{name}.spikes.npy")[0],
        "somata, told 0.7 s": lambda name, trace, rate: np.load(work / f"{name}_tau.spikes.npy")[0],
        "somata, sparsity 1": lambda name, trace, rate: np.load(work / f"{name}_dense.spikes.npy")[0],
        "OASIS, 1.0 s": lambda name, trace, rate: suite2p_like(trace, rate, 1.0),
        "OASIS, 0.7 s": lambda name, trace, rate: suite2p_like(trace, rate, 0.7),
    }
    scores = {method: {} for method in methods}
    for path in recordings(data):
        for number, (trace, time, spikes) in enumerate(segments(path)):
            for method, run in methods.items():
                estimate = run(name_of(path, number), trace, rate_of(time))
                scores[method].setdefault(path.stem, []).append([correlation(spikes, estimate, time, lag) for lag in LAGS_S])
    at_zero = int(np.argmin(np.abs(LAGS_S)))
    best = {method: int(np.nanmean(np.concatenate(list(rows.values())), 0).argmax()) for method, rows in scores.items()}
    print("| file | segments | " + " | ".join(methods) + " |\n|---|---|" + "---|" * len(methods))
    for path in recordings(data):
        cells = [f"{np.nanmean(np.array(scores[m][path.stem])[:, at_zero]):.3f}, {np.nanmean(np.array(scores[m][path.stem])[:, best[m]]):.3f}" for m in methods]
        print(f"| {path.stem.replace('CAttached_Chen2013_', '')} | {len(scores['somata'][path.stem])} | " + " | ".join(cells) + " |")
    everything = {m: np.concatenate(list(rows.values())) for m, rows in scores.items()}
    print("| mean of all segments | | " + " | ".join(f"{np.nanmean(v[:, at_zero]):.3f}, {np.nanmean(v[:, best[m]]):.3f}" for m, v in everything.items()) + " |")
    print("| lag, ms | | " + " | ".join(f"{1000 * LAGS_S[best[m]]:.0f}" for m in methods) + " |")


if __name__ == "__main__":
    {"write": write, "score": score}[sys.argv[1]](sys.argv[2], pathlib.Path(sys.argv[3]))
