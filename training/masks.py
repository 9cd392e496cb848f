"""From labels to flows, and from flows back to labels: Cellpose's targets and its mask building, in NumPy.

The definitions are those of Cellpose 3.1.1.2 on the CPU (Stringer et al., Nature Methods 2021; code BSD-3), written anew. Where that
program has a quirk, the comment at the place says so.
"""
import numpy as np
from scipy import ndimage

MAXIMUM_SIZE_FRACTION = 0.4


def diffuse_from_centre(mask):
    """Unit flows inside one mask, towards the pixel nearest its centre of mass, along the gradient of diffused heat.

    mask: bool [height, width] of one cell, cropped. Returns float64 [2, height, width] (y, x), zero outside.
    """
    height, width = mask.shape
    y, x = np.nonzero(mask)
    nearest = np.argmin((y - y.mean()) ** 2 + (x - x.mean()) ** 2)
    cy, cx = y[nearest] + 1, x[nearest] + 1
    inside = np.zeros((height + 2, width + 2))
    inside[1:-1, 1:-1] = mask
    heat = np.zeros_like(inside)
    for _ in range(2 * (height + width + 4)):
        heat[cy, cx] += 1
        rows = heat[:-2] + heat[1:-1] + heat[2:]
        heat[1:-1, 1:-1] = (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / 9
        heat *= inside
    flow = np.stack([heat[2:, 1:-1] - heat[:-2, 1:-1], heat[1:-1, 2:] - heat[1:-1, :-2]]) * mask
    return flow / (1e-60 + np.sqrt((flow**2).sum(0)))


def flows_from_labels(labels):
    """Target flows: float32 [2, height, width], unit vectors inside cells and zero outside. labels: int [height, width], 0 outside."""
    flows = np.zeros((2, *labels.shape), np.float32)
    for label, box in enumerate(ndimage.find_objects(labels), 1):
        if box is None:
            continue
        mask = labels[box] == label
        # `flows[(slice(None), *box)]` is a view: masks' boxes overlap, so only this mask's own pixels are written.
        flows[(slice(None), *box)][:, mask] = diffuse_from_centre(mask)[:, mask]
    return flows


def follow(flow, y, x, steps=200):
    """End points of pixels (y, x) that walk along `flow` [2, height, width], one Euler step at a time, bilinear between pixels."""
    height, width = flow.shape[1:]
    # One gather of the four neighbours instead of four: interleaved as [height, width, 2].
    field = np.ascontiguousarray(flow.transpose(1, 2, 0)).reshape(-1, 2).astype(np.float32)
    py, px = y.astype(np.float32), x.astype(np.float32)
    for _ in range(steps):
        y0, x0 = py.astype(np.int32), px.astype(np.int32)
        fy, fx = (py - y0)[:, None], (px - x0)[:, None]
        y1, x1 = np.minimum(y0 + 1, height - 1), np.minimum(x0 + 1, width - 1)
        step = (field[y0 * width + x0] * (1 - fy) * (1 - fx) + field[y0 * width + x1] * (1 - fy) * fx
                + field[y1 * width + x0] * fy * (1 - fx) + field[y1 * width + x1] * fy * fx)
        py = np.clip(py + step[:, 0], 0, height - 1)
        px = np.clip(px + step[:, 1], 0, width - 1)
    return py, px


def labels_from_end_points(end_y, end_x, y, x, shape):
    """Labels from where the pixels (y, x) ended: peaks of the histogram of end points own what ended at or near them."""
    pad = 20
    end_y, end_x = end_y.astype(np.int32) + pad, end_x.astype(np.int32) + pad
    histogram = np.zeros((shape[0] + 2 * pad, shape[1] + 2 * pad), np.int32)
    np.add.at(histogram, (end_y, end_x), 1)
    peaks = (histogram == ndimage.maximum_filter(histogram, 5, mode="constant")) & (histogram > 10)
    seeds = np.argwhere(peaks)
    # Ascending, so that where two seeds claim a pixel the larger one has it.
    seeds = seeds[np.argsort(histogram[peaks], kind="stable")]
    owner = np.zeros(histogram.shape, np.int32)
    square = np.ones((3, 3), bool)
    for number, (sy, sx) in enumerate(seeds, 1):
        window = slice(sy - 5, sy + 6), slice(sx - 5, sx + 6)
        dense = histogram[window] > 2
        grown = np.zeros((11, 11), bool)
        grown[5, 5] = True
        for _ in range(5):
            grown = ndimage.binary_dilation(grown, square) & dense
        owner[window][grown] = number
    labels = np.zeros(shape, np.int32)
    labels[y, x] = owner[end_y, end_x]
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    labels[np.isin(labels, np.flatnonzero(sizes > MAXIMUM_SIZE_FRACTION * labels.size))] = 0
    return renumber(labels)


def renumber(labels):
    """Labels 1, 2, ... in the order in which they first appear along the rows; 0 stays 0."""
    values, first = np.unique(labels, return_index=True)
    order = np.argsort(first[values > 0])
    table = np.zeros(int(labels.max(initial=0)) + 1, np.int32)
    table[values[values > 0][order]] = np.arange(1, len(order) + 1)
    return table[labels]


def flow_errors(labels, flows):
    """Mean squared difference, per label, between the flows of `labels` and `flows` / 5. Returns float64 [labels]."""
    count = int(labels.max(initial=0))
    if count == 0:
        return np.zeros(0)
    squared = ((flows_from_labels(labels) - flows / 5.0) ** 2).sum(0)
    return ndimage.mean(squared, labels, np.arange(1, count + 1))


def tidy(labels, minimum_size_px):
    """Small masks removed, holes filled, small masks removed again, renumbered."""
    def without_small(labels):
        # Cellpose 3.1.1.2 takes the n-th label PRESENT for label n here. After bad flows left gaps in the numbers it can thus remove a
        # wrong mask. somata removes the one that is small; only images where that happens differ.
        sizes = np.bincount(labels.ravel())
        small = np.flatnonzero(sizes < minimum_size_px)
        return renumber(np.where(np.isin(labels, small), 0, labels))

    labels = without_small(labels)
    for label, box in enumerate(ndimage.find_objects(labels), 1):
        if box is not None:
            labels[box][ndimage.binary_fill_holes(labels[box] == label)] = label
    return without_small(labels)


def build_masks(flows, logit, logit_threshold=0.0, flow_threshold=0.4, minimum_size_px=15, steps=200):
    """The network's output turned into labels.

    flows: float32 [2, height, width], 5 x unit vectors; logit: float32 [height, width]. Returns int32 [height, width], 0 outside cells.
    """
    inside = logit > logit_threshold
    y, x = np.nonzero(inside)
    if len(y) == 0:
        return np.zeros(logit.shape, np.int32)
    end_y, end_x = follow(flows * inside / np.float32(5), y, x, steps)
    labels = labels_from_end_points(end_y, end_x, y, x, logit.shape)
    if flow_threshold > 0 and labels.max(initial=0) > 0:
        bad = 1 + np.flatnonzero(flow_errors(labels, flows) > flow_threshold)
        labels[np.isin(labels, bad)] = 0
    return tidy(labels, minimum_size_px)
