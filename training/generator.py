"""Generated fields of view: summary images of a binned two-photon movie with the bodies of its cells.

No movie of frames is made. A field is a sum of sources (an image each) times their time courses, which is rendered bin by bin in chunks, with
the noise that a bin would have, into the running sums of `summary.Summary`. So a field of 3,000 bins costs a second and little memory.

What varies from field to field is listed in `Settings`; `draw_settings` says how. Everything that a real field has and that is not a cell is
there to be learnt as such: vessels, dark bodies, neuropil of several grains, bright and active processes, puncta, cells out of focus,
residual motion that makes edges flicker, bleaching, line noise, rows that were not always inside the frame.

A cell is labelled where it can be seen. Visibility (in the mean image) and activity (in the movie) are signal-to-noise ratios computed from
the sources, each with two thresholds: cells above both are labelled, cells below both are background, and those between are left out of the
loss, since nobody could say what they are. A still image only shows what is visible, so both ratings are kept with the labels.
"""
import dataclasses

import numpy as np
from scipy.ndimage import gaussian_filter

from anatomy import FOCUS_LOST, FOCUS_SURE, Sources, background_sources, cell_sources, tissue
from rendering import Renderer
from settings import Settings
from summary import Summary

# Between the two values a cell is neither cell nor background.
# Brightness over the spread of the tissue at the scale of a body:
VISIBILITY_UNSURE, VISIBILITY_SURE = 1.5, 3.0
# Largest transient in a 3 x 3 box over its noise, which is what channel 1 shows (noise alone reaches 3 to 4 there):
PEAK_UNSURE, PEAK_SURE = 3.0, 5.0
# Correlation of neighbouring pixels, which is what channel 2 shows:
CORRELATION_UNSURE, CORRELATION_SURE = 0.1, 0.25
# Fewer pixels of a body than this inside the frame: not asked for.
SMALLEST_BODY_PX = 22
# A body of which nearer ones hide more than this: not asked for.
LARGEST_HIDDEN = 0.5
CHUNK_BINS = 48


@dataclasses.dataclass
class Field:
    """A finished field. A rating is 1: surely there, 0: unsure (left out of the loss), -1: not to be seen."""

    images: np.ndarray  # float32 [4, size, size]
    mean: np.ndarray  # float32 [size, size], noise included
    measured: np.ndarray  # bool [size, size]
    labels: np.ndarray  # int16 [size, size], bodies of all cells that are not below every threshold; 0 outside
    seen: np.ndarray  # int8 [cells + 1], rating in the mean image of each label; [0] is the background's
    fires: np.ndarray  # int8 [cells + 1], rating by activity
    settings: Settings

    def rated_labels(self, mean=True, activity=True):
        """Labels as an image asks for that shows the mean, the activity, or both: -1 where unsure."""
        return rated(self.labels, self.seen, self.fires, mean, activity)


def rated(labels, seen, fires, mean=True, activity=True):
    """See `Field.rated_labels`."""
    rating = np.maximum(seen if mean else -1, fires if activity else -1)
    table = np.where(rating > 0, np.arange(len(seen)), np.where(rating == 0, -1, 0))
    table[0] = 0
    return table.astype(np.int16)[labels]


def grade(value, unsure, sure):
    """1 above `sure`, 0 above `unsure`, else -1."""
    return np.where(np.asarray(value) > sure, 1, np.where(np.asarray(value) > unsure, 0, -1))


def rate_visibility(s, cells, base, renderer):
    """Rating of every cell in the mean image: int [cells]."""
    # What the tissue alone shows at the scale of a body, here and there: that is what a cell has to stand out of.
    detail = gaussian_filter(base - gaussian_filter(base, s.diameter_px), s.diameter_px / 4)
    local = np.sqrt(gaussian_filter(np.minimum(detail**2, 4 * (detail**2).mean()), 2 * s.diameter_px))
    floor = np.hypot(0.015 * np.median(base), np.median(renderer.noise) / np.sqrt(s.bins * np.pi * s.diameter_px**2 / 4))
    spread = np.hypot(np.maximum(local, 0.5 * local.mean()), floor)
    visibility = []
    for cell in cells:
        source = cell.source
        bright = source.image > 0.5 * source.image.max()
        level = source.constant + (0 if source.course is None else source.course.mean())
        net = level * source.image - cell.occlusion * base[source.rows, source.columns]
        visibility.append(float((net / spread[source.rows, source.columns])[bright].mean()) if bright.any() else 0.0)
    return grade(visibility, VISIBILITY_UNSURE, VISIBILITY_SURE)


def rate_activity(s, cells, renderer):
    """Rating of every cell by its transients: int [cells]."""
    ratings = []
    for cell in cells:
        source = cell.source
        if source.course is None or not cell.inside.any():
            ratings.append(-1)
            continue
        pixel = (source.image / renderer.noise[source.rows, source.columns])[cell.inside]
        peak = 3 * np.percentile(pixel, 60) * (source.course.max() - np.median(source.course))
        power = (pixel**2).mean() * source.course.var()
        correlation = 8 * power / np.sqrt((1 + power) * (8 + 64 * power))
        ratings.append(int(max(grade(peak, PEAK_UNSURE, PEAK_SURE), grade(correlation, CORRELATION_UNSURE, CORRELATION_SURE))))
    return np.array(ratings, int)


def paint(cells, ratings, size):
    """Label image: pixels of overlapping bodies go to the nearest centre. Cells whose rating is -1 are left out.

    Returns int16 [size, size] and int8 [cells + 1], 1 for the labels that kept enough pixels.
    """
    labels, nearest = np.zeros((size, size), np.int16), np.full((size, size), np.inf, np.float32)
    for number, (cell, rating) in enumerate(zip(cells, ratings), 1):
        if rating < 0:
            continue
        rows, columns = cell.source.rows, cell.source.columns
        dy = np.arange(rows.start, rows.stop)[:, None] - cell.centre[0]
        dx = np.arange(columns.start, columns.stop)[None] - cell.centre[1]
        distance = np.hypot(dy, dx).astype(np.float32) / (cell.diameter / 2)
        closer = cell.inside & (distance < nearest[rows, columns])
        nearest[rows, columns][closer] = distance[closer]
        labels[rows, columns][closer] = number
    kept = np.bincount(labels.ravel(), minlength=len(cells) + 1)
    full = np.array([0] + [cell.inside.sum() for cell in cells])
    return labels, ((kept >= SMALLEST_BODY_PX) & (kept >= (1 - LARGEST_HIDDEN) * full)).astype(np.int8)


def make_field(rng, s):
    """One field. The same generator state and settings give the same field."""
    base, clear = tissue(rng, s)
    sources = Sources(rng, s)
    cells = cell_sources(rng, s, sources, clear)
    background_sources(rng, s, sources)
    blurred = gaussian_filter(base, s.blur_px)
    behind = blurred.copy()
    for cell in cells:
        soft = gaussian_filter(cell.inside.astype(np.float32), 0.5)
        behind[cell.source.rows, cell.source.columns] *= 1 - cell.occlusion * soft
    renderer = Renderer(rng, s, behind, sources)
    summary = Summary(base.shape, renderer.measured)
    for start in range(0, s.bins, CHUNK_BINS):
        summary.add(renderer.chunk(rng, start, min(s.bins, start + CHUNK_BINS)))
    mean = renderer.mean + renderer.noise * rng.standard_normal(base.shape).astype(np.float32) / np.sqrt(s.bins)
    images = summary.channels(mean)
    sharp = -grade([np.sqrt(max(cell.blur**2 - s.blur_px**2, 0)) / cell.diameter for cell in cells], FOCUS_SURE, FOCUS_LOST)
    seen = np.minimum(rate_visibility(s, cells, blurred, renderer), sharp)
    fires = np.minimum(rate_activity(s, cells, renderer), sharp)
    labels, whole = paint(cells, np.maximum(seen, fires), s.size_px)
    labels[~renderer.measured] = 0
    # Too little of a body to be seen: unsure at best.
    seen, fires = (np.minimum(np.concatenate([[-1], r]), whole).astype(np.int8) for r in (seen, fires))
    return Field(images, mean.astype(np.float32), renderer.measured, labels, seen, fires, s)
