"""Write movie_scores.json: predictions of cells, traces, spikes and shifts, and how they score.

usage: make_movie_scores.py [OUT.json] [--score-movie PATH]     (made with Cellpose 3.1.1.2, SciPy 1.17.1, NumPy 2.0.2)

movies: scored by a copy of the formulas of score_movie.py, without its rounding; with --score-movie the copy is compared with that file
as well. label_images: scored by cellpose.metrics.average_precision. regions: scored by NeuroFinder's definition (imaging notes: greedy
in the order of the truth), and by a pairing with most pairs found by trying all (scipy, over thresholds on the number of pairs).
"""
import importlib.util, json, pathlib, sys
import numpy as np
from scipy.ndimage import maximum_filter
from scipy.optimize import linear_sum_assignment


# --- movies ------------------------------------------------------------------------------------------------------------------------
def ellipse(rng, H, W, centre=None, radius=None):
    cy, cx = centre if centre is not None else (rng.uniform(0, H), rng.uniform(0, W))
    ry, rx = radius if radius is not None else rng.uniform(2.5, 6, 2)
    y, x = np.mgrid[0:H, 0:W]
    return ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1


def movie_case(name, seed):
    rng = np.random.default_rng(seed)
    H, W, T, n = int(rng.integers(40, 70)), int(rng.integers(40, 70)), int(rng.integers(70, 100)), int(rng.integers(6, 12))
    centres, radii = rng.uniform(4, [H - 4, W - 4], (n, 2)), rng.uniform(3, 6.5, (n, 2))
    if name == "crowded":  # half of the cells overlap or touch another
        centres[n // 2:] = (centres[: n - n // 2] + rng.uniform(-7, 7, (n - n // 2, 2))).clip(2, [H - 3, W - 3])
    bodies = np.array([ellipse(rng, H, W, c, r) for c, r in zip(centres, radii)])
    active = rng.random(n) < 0.75
    active[:2] = True
    spikes = rng.poisson(0.12, (n, T)) * active[:, None]
    spikes[active, 5] += 1
    kernel = np.exp(-np.arange(30) / 8.0) - np.exp(-np.arange(30) / 1.5)
    calcium = np.array([np.convolve(s, kernel)[:T] for s in spikes]).astype("f4").round(4)
    off = dict(offset=(5, -3), wrap=(-11, 12)).get(name, (0, 0))
    masks, traces, est = [], [], []
    for k in rng.permutation(n):
        if rng.random() < 0.2:
            continue
        jitter = rng.normal(0, 0.8, 2)
        masks.append(ellipse(rng, H, W, centres[k] + jitter, radii[k] * rng.uniform(0.8, 1.2)))
        leak = calcium[rng.integers(n)]
        traces.append(50 + 20 * calcium[k] + rng.uniform(0, 6) * leak + rng.normal(0, 4, T))
        late = 2 if name == "late" else 0
        s = np.convolve(spikes[k], [0.2, 1, 0.3], "same") * rng.uniform(0.5, 2) + 0.1 * rng.random(T)
        est.append(np.r_[np.zeros(late), s[: T - late]])
    for _ in range(3):  # false cells, and a second detection of one
        masks.append(ellipse(rng, H, W))
        traces.append(rng.normal(0, 4, T))
        est.append(rng.random(T))
    masks = [np.roll(m, (-off[0], -off[1]), (0, 1)) for m in masks if m.any()]
    traces, est = traces[: len(masks)], est[: len(masks)]
    if name == "nothing_found":
        masks, traces, est = [], [], []
    if name == "only_false":
        masks = [np.zeros((H, W), bool) | (np.add.outer(np.arange(H) == k, np.zeros(W)) > 0) for k in (0, 3)]
        traces, est = traces[:2], est[:2]
    truth = dict(bodies=bodies, active=active, calcium=calcium, spikes=spikes.astype("i2"),
                 shift_y=rng.normal(0, 2, T).astype("f4").round(4), shift_x=rng.normal(0, 2, T).astype("f4").round(4))
    sign = -1 if seed % 2 else 1
    shifts = [sign * truth[k] + 3 + rng.normal(0, 0.2, T).round(4) for k in ("shift_y", "shift_x")]
    traces, est = np.array(traces, "f4").reshape(-1, T).round(3), np.array(est, "f4").reshape(-1, T).round(3)
    masks = np.array(masks, bool).reshape(-1, H, W)
    if name == "masks_only":
        traces = est = shifts = None
    return masks, traces, est, shifts, truth


def score(name, masks, traces, spikes, shifts, truth):
    """The formulas of score_movie.py, and of the contamination, false cells and offset beside them."""
    T = truth["bodies"]
    n, H, W = T.shape
    true_any, pred_any = T.any(0).astype(int), masks.any(0).astype(int)
    # overlaps counted exactly instead of by FFT, whose rounding would decide between equals
    overlay = {(y, x): int((np.roll(pred_any, (y, x), (0, 1)) * true_any).sum()) for y in range(-12, 13) for x in range(-12, 13)}
    best = max(overlay.values())
    winners = [d for d, v in overlay.items() if v == best]
    offset = max(winners) if best else (0, 0)
    assert len(winners) == 1 or best == 0 or name == "only_false", "a tie of the offset"
    P = np.roll(masks, offset, (1, 2))
    inter = np.array([[(p & t).sum() for t in T] for p in P]).reshape(len(P), n)
    iou = inter / (P.sum((1, 2))[:, None] + T.sum((1, 2))[None] - inter + 1e-9)
    i, j = linear_sum_assignment(-iou)
    ok = iou[i, j] >= 0.5
    act = truth["active"]
    tp, tpa = int(ok.sum()), int(act[j[ok]].sum())
    fp = len(P) - tp
    r = dict(n_pred=len(P), n_truth=n, n_active=int(act.sum()), precision=tp / max(len(P), 1), recall_all=tp / n, recall_active=tpa / int(act.sum()),
             f1_all=2 * tp / (len(P) + n), f1_active=2 * tpa / (2 * tpa + fp + int(act.sum()) - tpa), mean_iou=float(iou[i, j][ok].mean()) if tp else 0.0)
    m = ok & act[j]
    pairs = list(zip(i[m], j[m]))
    r |= dict(trace_r_median=None, spike_r_median=None, spike_lag=None, spike_r_aligned=None, shift_rmse_px=None)
    if traces is not None and pairs:
        r["trace_r_median"] = np.median([np.corrcoef(traces[a], truth["calcium"][b])[0, 1] for a, b in pairs])
    if spikes is not None and pairs:
        L = spikes.shape[1]
        full = L // 6 * 6
        def bins(x, lag):
            y = np.zeros(L)
            for t in range(L):
                if 0 <= t + lag < L:
                    y[t] = x[t + lag]
            return y[:full].reshape(-1, 6).sum(1)
        by_lag = {g: np.nanmedian([np.corrcoef(bins(spikes[a], g), bins(truth["spikes"][b], 0))[0, 1] for a, b in pairs]) for g in range(-4, 5)}
        lag = max(by_lag, key=by_lag.get)
        r |= dict(spike_r_median=by_lag[0], spike_lag=lag, spike_r_aligned=by_lag[lag])
    if shifts is not None:
        e = [v - v.mean() for v in np.asarray(shifts, "f8")]
        t = [truth[k].astype("f8") - truth[k].astype("f8").mean() for k in ("shift_y", "shift_x")]
        r["shift_rmse_px"] = min(np.sqrt(np.mean((e[0] - s * t[0]) ** 2 + (e[1] - s * t[1]) ** 2)) for s in (1, -1))
    slopes = []
    if traces is not None:
        for a, b in pairs:
            near = maximum_filter(T[b].astype(int), 5, mode="constant") > 0
            for _, c in pairs:
                if c != b and (near & T[c]).any():
                    X = np.c_[truth["calcium"][b], truth["calcium"][c], np.ones(traces.shape[1])].astype("f8")
                    s = np.linalg.lstsq(X, traces[a].astype("f8"), rcond=None)[0]
                    slopes.append(abs(s[1] / s[0]))
    r |= dict(n_false=fp, contamination_slope=float(np.median(slopes)) if slopes else None, n_contamination_pairs=len(slopes))
    return {k: None if v is None else float(v) for k, v in r.items()}, offset


def runs(mask):
    """First pixel and length of each run of a flattened mask."""
    edges = np.flatnonzero(np.diff(np.r_[0, mask.ravel().astype(int), 0]))
    return [int(v) for a, b in zip(edges[::2], edges[1::2]) for v in (a, b - a)]


def plain(a, digits):
    return [[round(float(v), digits) for v in row] for row in a]


def movie(name, seed, reference):
    masks, traces, est, shifts, truth = movie_case(name, seed)
    r, offset = score(name, masks, traces, est, shifts, truth)
    if reference and len(masks):  # it refuses an empty prediction
        theirs = reference(masks, traces, est, truth, shifts)
        for k, v in theirs.items():
            assert abs(v - r[k]) < 6e-5, (name, k, v, r[k])
    return dict(height=masks.shape[1], width=masks.shape[2], bodies=[runs(b) for b in truth["bodies"]], active=[bool(v) for v in truth["active"]],
                calcium=plain(truth["calcium"], 4), spikes=truth["spikes"].tolist(), shift_y=plain([truth["shift_y"]], 4)[0], shift_x=plain([truth["shift_x"]], 4)[0],
                masks=[runs(m) for m in masks], traces=None if traces is None else plain(traces, 3), estimated_spikes=None if est is None else plain(est, 3),
                shifts=None if shifts is None else [[float(v) for v in s] for s in shifts], scores=r, offset_px=list(offset))


# --- label images -------------------------------------------------------------------------------------------------------------------
def label_image(rng, H, W, n):
    out = np.zeros((H, W), int)
    for k in range(n):
        out[ellipse(rng, H, W)] = k + 1
    _, out = np.unique(np.r_[0, out.ravel()], return_inverse=True)
    return out[1:].reshape(H, W)


def label_case(name, seed):
    from cellpose import metrics
    rng = np.random.default_rng(seed)
    H, W = 50, 64
    truth = label_image(rng, H, W, int(rng.integers(8, 16)))
    predicted = np.zeros_like(truth)
    for k in range(1, truth.max() + 1):
        if rng.random() < 0.8:
            predicted[np.roll(truth == k, rng.integers(-1, 2, 2), (0, 1))] = k
    for k in range(3):
        predicted[ellipse(rng, H, W)] = truth.max() + 1 + k
    _, v = np.unique(np.r_[0, predicted.ravel()], return_inverse=True)
    predicted = v[1:].reshape(H, W)
    if name == "split":  # every cell cut in two: pairs at an IoU of about one half, where the pairing matters
        left = np.arange(W)[None] % 9 < 4
        predicted = np.where(truth > 0, 2 * truth - left, 0)
    if name == "no_prediction":
        predicted[:] = 0
    if name == "no_truth":
        truth[:] = 0
    if name == "gap":  # a label without pixels counts as a cell
        predicted[predicted == 2] = 0
    thresholds = [0.1, 0.5, 0.75, 0.9]
    ap, tp, fp, fn = metrics.average_precision(truth, predicted, thresholds)
    rle = lambda a: [int(v) for g in np.split(a.ravel(), np.flatnonzero(np.diff(a.ravel())) + 1) for v in (g[0], len(g))]
    return dict(truth=rle(truth), predicted=rle(predicted), thresholds=thresholds, ap=[float(v) for v in ap],
                tp=[int(v) for v in tp], fp=[int(v) for v in fp], fn=[int(v) for v in fn])


# --- NeuroFinder --------------------------------------------------------------------------------------------------------------------
def region_scores(truth, estimate, pairs):
    recall, precision = (len(pairs) / len(x) if len(x) else 0.0 for x in (truth, estimate))
    sets = [(set(map(tuple, np.argwhere(truth[a]))), set(map(tuple, np.argwhere(estimate[b])))) for a, b in pairs]
    return dict(recall=recall, precision=precision, combined=2 * precision * recall / (precision + recall) if pairs else 0.0,
                inclusion=float(np.mean([len(a & b) / len(a) for a, b in sets])) if pairs else 0.0,
                exclusion=float(np.mean([len(a & b) / len(b) for a, b in sets])) if pairs else 1.0)


def region_case(name, seed):
    rng = np.random.default_rng(seed)
    H, W = 48, 60
    truth = [ellipse(rng, H, W) for _ in range(12)]
    estimate = [np.roll(truth[k], rng.integers(-3, 4, 2), (0, 1)) for k in rng.permutation(12)[:9]] + [ellipse(rng, H, W) for _ in range(4)]
    truth, estimate = [m for m in truth if m.sum() > 3], [m for m in estimate if m.sum() > 3]
    if name == "none":
        estimate = []
    threshold = {"narrow": 1.5, "far": np.inf}.get(name, 5.0)
    centres = lambda ms: np.array([np.argwhere(m).mean(0) for m in ms]).reshape(-1, 2)
    A, B = centres(truth), centres(estimate)
    D = np.sqrt(((A[:, None] - B[None]) ** 2).sum(-1))
    left, greedy = list(range(len(B))), []
    for a in range(len(A)):
        if left:
            b = min(left, key=lambda b: D[a, b])
            if D[a, b] < threshold:
                greedy.append((a, b))
                left.remove(b)
    # most pairs, then least distance: pairs that are too far cost more than all others together
    cost = np.where(D < threshold, D, 1e4) if D.size else D
    best = [(a, b) for a, b in zip(*linear_sum_assignment(cost)) if D[a, b] < threshold] if D.size else []
    return dict(width=W, truth=[runs(m) for m in truth], estimate=[runs(m) for m in estimate], threshold_px=threshold if np.isfinite(threshold) else None,
                greedy=region_scores(truth, estimate, greedy), best=region_scores(truth, estimate, best))


def main():
    arguments = [a for a in sys.argv[1:]]
    reference = None
    if "--score-movie" in arguments:
        at = arguments.index("--score-movie")
        spec = importlib.util.spec_from_file_location("score_movie", arguments[at + 1])
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        reference = module.score
        del arguments[at:at + 2]
    out = pathlib.Path(arguments[0] if arguments else pathlib.Path(__file__).with_name("movie_scores.json"))
    result = dict(
        movies={f"{n}_{s}": movie(n, s, reference) for n, s in [("plain", 1), ("crowded", 2), ("crowded", 3), ("offset", 4), ("wrap", 5), ("late", 6), ("masks_only", 7), ("nothing_found", 8), ("only_false", 9)]},
        label_images={f"{n}_{s}": label_case(n, s) for n, s in [("plain", 1), ("plain", 2), ("plain", 3), ("split", 4), ("split", 5), ("gap", 6), ("no_prediction", 7), ("no_truth", 8)]},
        regions={f"{n}_{s}": region_case(n, s) for n, s in [("plain", 1), ("plain", 2), ("plain", 3), ("narrow", 4), ("far", 5), ("none", 6)]})
    out.write_text(json.dumps(result, separators=(",", ":")).replace('},"', '},\n"') + "\n")
    print(out, out.stat().st_size, "bytes")


main()
