"""Matching of label images, by Cellpose's definition: optimal assignment, a pair counts from an IoU of 0.5 on."""
import numpy as np
from scipy.optimize import linear_sum_assignment


def overlap_matrix(truth, found):
    """IoU of every true label with every found label: [true labels, found labels]. Labels must be 1, 2, ... without gaps."""
    rows, columns = int(truth.max(initial=0)) + 1, int(found.max(initial=0)) + 1
    counts = np.bincount(truth.ravel().astype(np.int64) * columns + found.ravel(), minlength=rows * columns).reshape(rows, columns)
    both = counts[1:, 1:].astype(float)
    union = counts[1:].sum(1)[:, None] + counts[:, 1:].sum(0)[None] - both
    return both / np.maximum(union, 1)


def match(truth, found, threshold=0.5):
    """True positives, false positives, false negatives and the summed IoU of the true positives."""
    iou = overlap_matrix(truth, found)
    if 0 in iou.shape:
        return 0, iou.shape[1], iou.shape[0], 0.0
    i, j = linear_sum_assignment(-(iou >= threshold).astype(float) - iou / (2 * min(iou.shape)))
    good = iou[i, j] >= threshold
    hits = int(good.sum())
    return hits, iou.shape[1] - hits, iou.shape[0] - hits, float(iou[i, j][good].sum())


class Score:
    """Sums of `match` over images."""

    def __init__(self):
        self.hits = self.false = self.missed = 0
        self.iou = 0.0

    def add(self, truth, found, ignored=None):
        """Found labels that lie mostly on `ignored` pixels (bool) and match no true label are not counted."""
        if ignored is not None and found.max(initial=0):
            iou = overlap_matrix(truth, found)
            best = iou.max(0, initial=0)
            size = np.bincount(found.ravel(), minlength=len(best) + 1)[1:]
            on = np.bincount(found[ignored].ravel(), minlength=len(best) + 1)[1:]
            drop = 1 + np.flatnonzero((best < 0.5) & (on > 0.4 * size))
            kept = np.where(np.isin(found, drop), 0, found)
            found = np.unique(kept, return_inverse=True)[1].reshape(kept.shape) if (kept == 0).any() else kept
        hits, false, missed, iou = match(truth, found)
        self.hits, self.false, self.missed, self.iou = self.hits + hits, self.false + false, self.missed + missed, self.iou + iou

    @property
    def f1(self):
        return 2 * self.hits / max(1, 2 * self.hits + self.false + self.missed)

    @property
    def ap(self):
        return self.hits / max(1, self.hits + self.false + self.missed)

    def row(self):
        """For a table: F1, average precision (Cellpose's), precision, recall, mean IoU, true cells."""
        return dict(f1=round(self.f1, 4), ap=round(self.ap, 4), precision=round(self.hits / max(1, self.hits + self.false), 4),
                    recall=round(self.hits / max(1, self.hits + self.missed), 4), iou=round(self.iou / max(1, self.hits), 4), cells=self.hits + self.missed)
