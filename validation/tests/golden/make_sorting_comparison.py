"""Write sorting_comparison.json: pairs of sortings and what SpikeInterface's comparison says about them.

usage: make_sorting_comparison.py [OUT.json]          (made with SpikeInterface 0.105.3, NumPy 2.4.6)

Each case has a true and a tested sorting (spike samples by unit), the results of GroundTruthComparison (exhaustive,
0.4 ms) and of SymmetricSortingComparison. Units are damaged as sorters damage them: jitter, missed and false spikes,
splits, merges, exact duplicates, jittered twins, empty units, dense bursts closer than the tolerance.
"""
import json, pathlib, sys
import numpy as np
import spikeinterface.full as si


def train(rng, n, last):
    return np.sort(rng.choice(last, size=n, replace=False)).astype("int64")


def bursty(rng, n, last):
    """Groups of 2 to 5 spikes 3 to 20 samples apart: closer than the tolerance of 12 samples at 30 kHz."""
    out = []
    while len(out) < n:
        t = int(rng.integers(0, last))
        for _ in range(rng.integers(2, 6)):
            out.append(t)
            t += int(rng.integers(3, 21))
    return np.unique(np.array(out[:n], dtype="int64"))


def jitter(rng, x, width, miss, false, last):
    keep = x[rng.random(x.size) >= miss]
    moved = keep + rng.integers(-width, width + 1, keep.size)
    extra = rng.integers(0, last, int(round(false * x.size)))
    return np.sort(np.concatenate([moved, extra])).clip(0)


def case(name, seed, fs, n_units, last):
    rng = np.random.default_rng(seed)
    true = {u + 1: (bursty if name == "bursts" else train)(rng, int(rng.integers(20, 110)), last) for u in range(n_units)}
    tested, next_id = {}, 100

    def add(x):
        nonlocal next_id
        tested[next_id] = np.sort(x)
        next_id += int(rng.integers(1, 4))

    for u, x in list(true.items()):
        what = {"mixed": rng.integers(0, 8), "splits": 1, "merges": 2, "duplicates": rng.choice([3, 4]), "bursts": rng.choice([0, 4])}.get(name, 0)
        good = jitter(rng, x, 5, rng.uniform(0, 0.3), rng.uniform(0, 0.3), last)
        if what == 0:
            add(jitter(rng, x, int(rng.integers(1, 16)), rng.uniform(0, 0.6), rng.uniform(0, 0.6), last))
        elif what == 1:  # split in two or three
            part = rng.integers(0, rng.integers(2, 4), good.size)
            for p in np.unique(part):
                add(good[part == p])
        elif what == 2:  # merged with the neighbour
            add(np.concatenate([good, true[u % n_units + 1]]))
            if rng.random() < 0.4:
                add(good)
        elif what == 3:  # exact duplicates: a tie for the assignment
            for _ in range(int(rng.integers(2, 4))):
                add(x.copy())
        elif what == 4:  # jittered twins
            add(good)
            add(jitter(rng, x, 8, 0.2, 0.1, last))
        elif what == 5:  # missed altogether
            pass
        elif what == 6:  # a unit of noise beside it
            add(good)
            add(train(rng, 60, last))
        elif what == 7:  # each spike found twice
            add(np.concatenate([x, x + rng.integers(1, 9, x.size)]))
    if name in ("empty_units", "mixed"):
        true[77] = np.zeros(0, "int64")
        add(np.zeros(0, "int64"))
    if name == "nothing_found":
        tested = {}
    return fs, true, tested


def plain(series):
    return [int(v) for v in series.values]


def results(fs, true, tested):
    a = si.NumpySorting.from_unit_dict([true], fs)
    b = si.NumpySorting.from_unit_dict([tested], fs)
    g = si.compare_sorter_to_ground_truth(a, b, exhaustive_gt=True, delta_time=0.4)
    p = g.get_performance(method="by_unit", output="pandas").astype(float)
    s = si.compare_two_sorters(a, b, delta_time=0.4)
    return dict(
        sampling_frequency_hz=fs,
        true_ids=[int(u) for u in a.unit_ids], true_trains=[[int(v) for v in true[u]] for u in a.unit_ids],
        tested_ids=[int(u) for u in b.unit_ids], tested_trains=[[int(v) for v in tested[u]] for u in b.unit_ids],
        match_counts=g.match_event_count.values.astype(int).tolist(), agreement=g.agreement_scores.values.tolist(),
        matched=plain(g.hungarian_match_12), best_match_12=plain(g.best_match_12), best_match_21=plain(g.best_match_21),
        accuracy=p.accuracy.tolist(), recall=p.recall.tolist(), precision=p.precision.tolist(),
        mean_accuracy=float(p.accuracy.mean()), mean_recall=float(p.recall.mean()), mean_precision=float(p.precision.mean()),
        n_well_detected=g.count_well_detected_units(0.8), n_false_positive=g.count_false_positive_units(),
        n_redundant=g.count_redundant_units(), n_overmerged=g.count_overmerged_units(), n_bad=g.count_bad_units(),
        two=dict(match_counts=s.match_event_count.values.astype(int).tolist(), agreement=s.agreement_scores.values.tolist(),
                 matched=plain(s.hungarian_match_12)))


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).with_name("sorting_comparison.json"))
    cases = [("plain", 1, 30000.0, 8, 90000), ("splits", 2, 30000.0, 7, 60000), ("merges", 3, 20000.0, 8, 50000),
             ("duplicates", 4, 30000.0, 7, 60000), ("bursts", 5, 30000.0, 8, 9000), ("empty_units", 6, 25000.0, 5, 40000),
             ("mixed", 7, 30000.0, 14, 40000), ("mixed", 8, 32000.0, 18, 20000), ("mixed", 9, 15000.0, 10, 60000)]
    text = json.dumps({f"{name}_{seed}": results(*case(name, seed, fs, n, last)) for name, seed, fs, n, last in cases}, separators=(",", ":"))
    out.write_text(text.replace('},"', '},\n"') + "\n")
    print(out, out.stat().st_size, "bytes")


main()
