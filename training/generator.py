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
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from scipy.signal import lfilter

from summary import Summary, local_contrast

# Ratios of signal to noise between which a cell is neither cell nor background.
VISIBILITY_UNSURE, VISIBILITY_SURE = 1.3, 2.6
ACTIVITY_UNSURE, ACTIVITY_SURE = 4.0, 8.0
# Blur of a cell as a fraction of its diameter: in focus below the first, background above the second.
FOCUS_SURE, FOCUS_LOST = 0.15, 0.26
# Fewer pixels of a body than this inside the frame: not asked for.
SMALLEST_BODY_PX = 22
CHUNK_BINS = 48


@dataclasses.dataclass
class Settings:
    """What a field is made from. Lengths in px, times in bins, brightness relative to the neuropil's mean."""

    size_px: int
    bins: int
    photons: float  # per pixel and bin, where brightness is 1
    diameter_px: float
    diameter_spread: float  # standard deviation of log diameter
    second_size: float  # relative diameter of a second population of cells, 1 for none
    cover: float  # summed area of the bodies over the area of the field
    spacing: float  # least distance of two centres in diameters
    clustering: float  # 0: uniform; larger: cells crowd in places
    ring_fraction: float  # of the cells that have a dark nucleus
    occlusion: float  # how far a body replaces the neuropil behind it
    brightness: float  # median of the cells' baseline
    brightness_spread: float  # standard deviation of its logarithm
    hidden_fraction: float  # of the cells without baseline brightness
    active_fraction: float
    amplitude: float  # median transient of one event
    event_rate: float  # per bin
    bursts: float  # 0: Poisson; 1: nearly all events in bursts
    decay_bins: float
    grains: tuple  # (scale in px, contrast) of the neuropil's textures
    shading: float
    vessels: int
    dark_bodies: float  # cover of dark bodies that are no cells
    processes: float  # long processes for every 100 x 100 px
    blobs: float  # short active processes for every 100 x 100 px
    puncta: float  # for every 100 x 100 px
    defocused: float  # cover of the cells out of focus
    neuropil_activity: float
    blur_px: float  # of everything: optics and motion within a bin
    jitter_px: float  # residual motion from bin to bin
    jitter_bands: int  # 1: whole frame; more: differs along the rows
    bleaching: float
    flicker: float
    read_noise: float  # in the unit of brightness, a bin
    noise_correlation: float  # 0 .. 0.2: what resampling the frames leaves between neighbouring pixels
    line_noise: float  # in noise standard deviations
    noise_error: float  # estimated over true noise
    missing_edge_px: int
    never_measured_px: int


def log_uniform(rng, low, high):
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def chance(rng, probability):
    return rng.random() < probability


def draw_settings(rng):
    """Settings of one field."""
    bins = int(log_uniform(rng, 60, 3000))
    empty, crowded = chance(rng, 0.05), chance(rng, 0.25)
    grains = [(log_uniform(rng, low, high), log_uniform(rng, 0.02, top) if chance(rng, p) else 0.0)
              for low, high, top, p in ((0.6, 1.6, 0.5, 0.9), (1.6, 4.0, 0.3, 0.6), (4.0, 10.0, 0.25, 0.6))]
    return Settings(
        size_px=128 if bins > 1200 else int(rng.choice([128, 160, 192, 224])),
        bins=bins,
        photons=log_uniform(rng, 4, 600),
        diameter_px=log_uniform(rng, 7.5, 21),
        diameter_spread=rng.uniform(0.03, 0.16),
        second_size=rng.uniform(0.55, 1.6) if chance(rng, 0.25) else 1.0,
        cover=0.0 if empty else rng.uniform(0.3, 0.6) if crowded else log_uniform(rng, 0.02, 0.35),
        spacing=rng.uniform(0.5, 0.85) if crowded else rng.uniform(0.6, 1.1),
        clustering=rng.uniform(0.3, 2.0) if chance(rng, 0.35) else 0.0,
        ring_fraction=float(rng.choice([0.0, 0.5, 1.0, rng.random()], p=[0.15, 0.15, 0.35, 0.35])),
        occlusion=0.0 if chance(rng, 0.35) else rng.uniform(0.1, 1.0),
        brightness=log_uniform(rng, 0.25, 3.0),
        brightness_spread=rng.uniform(0.2, 0.8),
        hidden_fraction=rng.uniform(0, 0.3),
        active_fraction=rng.uniform(0.5, 1.0) if chance(rng, 0.8) else rng.uniform(0, 0.3),
        amplitude=log_uniform(rng, 0.15, 3.0),
        event_rate=log_uniform(rng, 0.003, 0.3),
        bursts=rng.random() if chance(rng, 0.6) else 0.0,
        decay_bins=log_uniform(rng, 0.6, 8),
        grains=tuple(grains),
        shading=rng.uniform(0, 0.8),
        vessels=int(rng.choice([0, 0, 1, 2, 4, 6])),
        dark_bodies=log_uniform(rng, 0.01, 0.15) if chance(rng, 0.5) else 0.0,
        processes=log_uniform(rng, 0.3, 8) if chance(rng, 0.6) else 0.0,
        blobs=log_uniform(rng, 0.5, 12) if chance(rng, 0.7) else 0.0,
        puncta=log_uniform(rng, 0.5, 20) if chance(rng, 0.5) else 0.0,
        defocused=log_uniform(rng, 0.02, 0.5) if chance(rng, 0.6) else 0.0,
        neuropil_activity=log_uniform(rng, 0.01, 0.35),
        blur_px=rng.uniform(0.25, 1.0),
        jitter_px=log_uniform(rng, 0.01, 0.3) if chance(rng, 0.6) else 0.0,
        jitter_bands=int(rng.choice([1, 3, 6])),
        bleaching=rng.uniform(0, 0.35) if chance(rng, 0.4) else 0.0,
        flicker=log_uniform(rng, 0.001, 0.03),
        read_noise=rng.uniform(0, 0.15),
        noise_correlation=rng.uniform(0, 0.17),
        line_noise=rng.uniform(0, 0.25) if chance(rng, 0.2) else 0.0,
        noise_error=float(np.exp(rng.normal(0, 0.08))),
        missing_edge_px=int(rng.integers(1, 10)) if chance(rng, 0.35) else 0,
        never_measured_px=int(rng.integers(1, 8)) if chance(rng, 0.1) else 0,
    )


@dataclasses.dataclass
class Source:
    """An image in a box of the frame, and its brightness: a constant and a time course (or None)."""

    rows: slice
    columns: slice
    image: np.ndarray
    constant: float
    course: np.ndarray | None = None


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


def window(centre, reach, size):
    """The box of pixels within `reach` of `centre` inside the frame, and the coordinates in it relative to the centre; None if outside."""
    rows = slice(max(0, int(centre[0] - reach)), min(size, int(centre[0] + reach) + 2))
    columns = slice(max(0, int(centre[1] - reach)), min(size, int(centre[1] + reach) + 2))
    if rows.stop <= rows.start or columns.stop <= columns.start:
        return None
    dy = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] - np.float32(centre[0])
    dx = np.arange(columns.start, columns.stop, dtype=np.float32)[None] - np.float32(centre[1])
    return rows, columns, dy, dx


def sigmoid(x):
    return 1 / (1 + np.exp(np.clip(-x, -30, 30)))


def smooth_noise(rng, size, scale):
    """Gaussian noise of unit variance, correlated over `scale` px."""
    if scale > 6:
        # Coarse fields are made small and enlarged: the same, and much cheaper.
        step = int(scale / 3)
        small = gaussian_filter(rng.standard_normal((size // step + 4, size // step + 4)), scale / step, mode="wrap")
        at = np.arange(size) / step + 1
        i, f = at.astype(int), (at % 1)
        rows = small[i] * (1 - f)[:, None] + small[i + 1] * f[:, None]
        image = rows[:, i] * (1 - f) + rows[:, i + 1] * f
    else:
        image = gaussian_filter(rng.standard_normal((size, size)), scale, mode="wrap")
    return ((image - image.mean()) / (image.std() + 1e-9)).astype(np.float32)


def tissue(rng, s):
    """Brightness of the neuropil [size, size], mean about 1, and how much of a vessel each pixel is in (1: none)."""
    size = s.size_px
    yy, xx = np.mgrid[0:size, 0:size].astype(np.float32)
    shade = smooth_noise(rng, size, rng.uniform(25, 60)) * 0.5 + (yy * rng.normal() + xx * rng.normal()) / size
    base = np.exp(np.float32(s.shading) * (shade - shade.mean()) / (shade.std() + 1e-6) * 0.5)
    clear = np.ones((size, size), np.float32)
    for _ in range(s.vessels):
        x0, y0, angle, bend = rng.uniform(0, size), rng.uniform(0, size), rng.uniform(0, np.pi), rng.normal(0, 0.003)
        u = (xx - x0) * np.cos(angle) + (yy - y0) * np.sin(angle)
        v = (yy - y0) * np.cos(angle) - (xx - x0) * np.sin(angle) + bend * u * u + rng.uniform(0, 2) * np.sin(u / rng.uniform(8, 30))
        width, depth = log_uniform(rng, 1.2, 9), rng.uniform(0.3, 0.95)
        profile = np.exp(-((v / width) ** 2)) if chance(rng, 0.5) else sigmoid((width - np.abs(v)) / 0.8)
        clear *= 1 - depth * profile
    if s.vessels and chance(rng, 0.3):  # a big one, seen end on
        got = window(rng.uniform(0, size, 2), 40, size)
        radius = rng.uniform(8, 22)
        clear[got[0], got[1]] *= 1 - rng.uniform(0.4, 0.9) * sigmoid((radius - np.hypot(got[2], got[3])) / 2)
    texture = np.zeros((size, size), np.float32)
    for scale, contrast in s.grains:
        if contrast:
            grain = smooth_noise(rng, size, scale)
            if chance(rng, 0.3):  # a net of processes rather than round grains
                grain = np.abs(grain) * 1.66 - 1.33
            texture += contrast * grain
    if chance(rng, 0.5):
        texture *= np.clip(1 + 0.7 * smooth_noise(rng, size, rng.uniform(10, 40)), 0.1, 3)  # finer here than there
    base *= clear * (np.exp(texture) if chance(rng, 0.5) else np.clip(1 + texture, 0.1, None))
    radius = s.diameter_px / 2
    for _ in range(int(s.dark_bodies * size * size / (np.pi * radius**2))):
        got = window(rng.uniform(0, size, 2), 2.5 * radius, size)
        r = radius * rng.uniform(0.4, 1.2)
        base[got[0], got[1]] *= 1 - rng.uniform(0.2, 0.9) * sigmoid((r - np.hypot(got[2] * rng.uniform(0.8, 1.25), got[3])) / rng.uniform(0.4, 1.2))
    return np.clip(base, 0.02, 20).astype(np.float32), clear


def body(rng, s, centre, diameter, blur):
    """One cell: its box, the image of its indicator (peak about 1, optics included), and its body (bool). None outside the frame."""
    got = window(centre, 1.1 * diameter + 3 * blur + 3, s.size_px)
    if got is None:
        return None
    rows, columns, dy, dx = got
    radius, stretch, angle = diameter / 2, np.exp(rng.normal(0, 0.13)), rng.uniform(0, np.pi)
    u, v = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    phi, distance = np.arctan2(v, u), np.hypot(u / stretch, v * stretch)
    pointed = rng.uniform(0, 0.25) if chance(rng, 0.3) else 0.0  # pyramidal: drawn out to one side
    wobble = sum(rng.normal(0, w) * np.cos(k * phi + rng.uniform(0, 6.28)) for k, w in ((2, 0.05), (3, 0.05), (4, 0.035), (5, 0.02)))
    outline = radius * (1 + wobble + pointed * (np.maximum(np.cos(phi), 0) ** 4 - 0.3))
    inside = sigmoid((outline - distance) / rng.uniform(0.3, 0.6))
    image = inside.copy()
    if chance(rng, s.ring_fraction):
        off_y, off_x = rng.normal(0, 0.08 * radius, 2)
        nucleus = sigmoid((radius * rng.uniform(0.3, 0.75) - np.hypot(dy - off_y, dx - off_x)) / 0.6)
        image *= 1 - rng.uniform(0.25, 1.0) * nucleus
    elif chance(rng, 0.3):
        image *= 1 + rng.uniform(-0.3, 0.6) * sigmoid((radius * rng.uniform(0.3, 0.7) - np.hypot(dy, dx)) / 0.8)
    if chance(rng, 0.4):  # uneven filling
        image *= np.clip(1 + rng.uniform(0, 0.5) * gaussian_filter(rng.standard_normal(image.shape), rng.uniform(0.7, 2)) * 3, 0, 3)
    if chance(rng, 0.15):  # one side in another depth
        image *= np.clip(1 + rng.uniform(0, 0.9) * (u / radius), 0.1, 2)
    return rows, columns, image, inside


def line(rng, size, start, angle, length, width, wander):
    """A process: box and image with peak 1. None outside the frame."""
    angles = angle + np.cumsum(rng.normal(0, wander, max(2, int(length))))
    y, x = start[0] + np.cumsum(np.sin(angles)), start[1] + np.cumsum(np.cos(angles))
    reach = int(3 * width + 2)
    keep = (y > -reach) & (y < size + reach) & (x > -reach) & (x < size + reach)
    if keep.sum() < 2:
        return None
    y, x = y[keep], x[keep]
    y0, x0 = int(y.min()) - reach, int(x.min()) - reach
    image = np.zeros((int(y.max()) + reach + 2 - y0, int(x.max()) + reach + 2 - x0), np.float32)
    np.add.at(image, ((y - y0).astype(int), (x - x0).astype(int)), np.exp(0.4 * rng.standard_normal(len(y))) * np.linspace(1, rng.uniform(0.3, 1), len(y)))
    image = gaussian_filter(image, width)
    image = np.minimum(image / (np.percentile(image[image > 0.05 * image.max()], 90) + 1e-9), 1.3)
    top, left = max(0, -y0), max(0, -x0)
    rows, columns = slice(y0 + top, min(size, y0 + image.shape[0])), slice(x0 + left, min(size, x0 + image.shape[1]))
    if rows.stop <= rows.start or columns.stop <= columns.start:
        return None
    return rows, columns, image[top : top + rows.stop - rows.start, left : left + columns.stop - columns.start]


def course(rng, s, rate, common):
    """Time course [bins] of an indicator: events of size about 1, decaying; at least one event."""
    expected = np.full(s.bins, rate * (1 - 0.8 * s.bursts)) * common
    if s.bursts:
        starts = rng.random(s.bins) < rate / 6 + 1 / s.bins
        expected = expected + s.bursts * gaussian_filter1d(starts.astype(float), rng.uniform(0.7, 3)) * rng.uniform(4, 12)
    events = rng.poisson(np.minimum(expected, 20)).astype(np.float32)
    if not events.any():
        events[rng.integers(0, s.bins, rng.integers(1, 4))] = rng.uniform(1, 3)
    return lfilter([1.0], [1.0, -np.exp(-1 / (s.decay_bins * rng.uniform(0.8, 1.25)))], events).astype(np.float32)


def place(rng, s, clear):
    """Centres and diameters of the cells."""
    size, margin = s.size_px, s.diameter_px
    wanted = s.cover * (size + 2 * margin) ** 2 / (np.pi * s.diameter_px**2 / 4)
    crowd = np.exp(s.clustering * smooth_noise(rng, size, rng.uniform(15, 50)))
    crowd /= crowd.max()
    centres, diameters = np.zeros((0, 2)), []
    for _ in range(int(wanted * 12)):
        if len(diameters) >= wanted:
            break
        centre = rng.uniform(-margin * 0.6, size + margin * 0.6, 2)
        iy, ix = np.clip(centre.astype(int), 0, size - 1)
        if clear[iy, ix] < 0.6 or rng.random() > crowd[iy, ix] + 0.03:
            continue
        diameter = s.diameter_px * np.exp(rng.normal(0, s.diameter_spread)) * (s.second_size if s.second_size != 1 and chance(rng, 0.4) else 1)
        diameter = float(np.clip(diameter, 6.5, 23))
        if len(diameters) and (np.hypot(*(centres - centre).T) < s.spacing * (np.array(diameters) + diameter) / 2).any():
            continue
        centres, diameters = np.vstack([centres, centre]), diameters + [diameter]
    return centres, diameters


class Sources:
    """All sources of a field, in the making."""

    def __init__(self, rng, s):
        self.s, self.list = s, []
        self.common = np.exp(rng.uniform(0, 0.8) * gaussian_filter1d(rng.standard_normal(s.bins + 50), 2.0)[25:-25] * 2.5)

    def add(self, rng, box, constant, active, amplitude=None, rate=None):
        """box: (rows, columns, image). Returns the source."""
        s, trace = self.s, None
        if active:
            amplitude = s.amplitude * np.exp(rng.normal(0, 0.5)) if amplitude is None else amplitude
            rate = s.event_rate * np.exp(rng.normal(0, 0.9)) if rate is None else rate
            trace = course(rng, s, min(rate, 1.0), self.common) * np.float32(amplitude)
        self.list.append(Source(box[0], box[1], np.ascontiguousarray(box[2], np.float32), float(constant), trace))
        return self.list[-1]


def background_sources(rng, s, sources):
    """Processes, puncta, blobs and cells out of focus: whatever is bright or active and no cell."""
    size, area = s.size_px, (s.size_px / 100) ** 2
    bright = lambda: s.brightness * np.exp(rng.normal(0, 0.6))
    for _ in range(rng.poisson(s.processes * area)):
        got = line(rng, size, rng.uniform(0, size, 2), rng.uniform(0, 6.28), log_uniform(rng, 6, 120), rng.uniform(0.5, 1.5), rng.uniform(0.01, 0.2))
        if got:
            sources.add(rng, got, bright() * rng.uniform(0, 1), chance(rng, 0.4))
    for _ in range(rng.poisson(s.blobs * area)):
        centre, length, width, angle = rng.uniform(0, size, 2), rng.uniform(0.8, 5), rng.uniform(0.7, 1.4), rng.uniform(0, np.pi)
        rows, columns, dy, dx = window(centre, 14, size)
        u, v = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
        image = gaussian_filter(np.exp(-((u / length) ** 2) - (v / width) ** 2), s.blur_px)
        sources.add(rng, (rows, columns, image), bright() * rng.uniform(0, 1) if chance(rng, 0.5) else 0, True)
    for _ in range(rng.poisson(s.puncta * area)):
        rows, columns, dy, dx = window(rng.uniform(0, size, 2), 8, size)
        image = np.exp(-(dy**2 + dx**2) / (2 * rng.uniform(0.5, 1.5) ** 2))
        sources.add(rng, (rows, columns, image), bright() * rng.uniform(0.2, 2), chance(rng, 0.15))
    for _ in range(int(s.defocused * size**2 / (np.pi * s.diameter_px**2 / 4) * rng.uniform(0.5, 1))):
        diameter = s.diameter_px * rng.uniform(0.7, 1.4)
        blur = diameter * rng.uniform(FOCUS_LOST, 0.6)
        got = body(rng, s, rng.uniform(0, size, 2), diameter, blur)
        if got:
            image = gaussian_filter(got[2], blur)
            sources.add(rng, (got[0], got[1], image), bright() * rng.uniform(0.1, 1.2), chance(rng, 0.6), s.amplitude * rng.uniform(0.1, 0.9))


@dataclasses.dataclass
class Cell:
    """A cell in the making: its source, its body in the source's box, and the blur that it has."""

    source: Source
    inside: np.ndarray
    centre: np.ndarray
    diameter: float
    blur: float
    occlusion: float


def cell_sources(rng, s, sources, clear):
    """The cells. Cells slightly out of focus are among them; `blur` decides later what is asked of the network."""
    cells = []
    softness = rng.uniform(0, 0.2) if chance(rng, 0.5) else 0.0  # of the field's cells that lie a little above or below
    for centre, diameter in zip(*place(rng, s, clear)):
        blur = float(np.hypot(s.blur_px, diameter * abs(rng.normal(0, 0.12)) if chance(rng, softness * 3) else 0))
        got = body(rng, s, centre, diameter, blur)
        if got is None:
            continue
        rows, columns, image, inside = got
        image = gaussian_filter(image, blur)
        if chance(rng, 0.15):  # its dendrite, as bright and active as itself
            branch = line(rng, s.size_px, centre, rng.uniform(0, 6.28), diameter * rng.uniform(0.7, 3), rng.uniform(0.6, 1.6), 0.06)
            if branch:
                full = np.zeros((s.size_px, s.size_px), np.float32)
                full[branch[0], branch[1]] = branch[2] * rng.uniform(0.2, 0.8)
                part = full[rows, columns]
                image = np.maximum(image, part)
        constant = s.brightness * np.exp(rng.normal(0, s.brightness_spread))
        if chance(rng, s.hidden_fraction):
            constant *= rng.uniform(0, 0.1)
        source = sources.add(rng, (rows, columns, image), constant, chance(rng, s.active_fraction))
        cells.append(Cell(source, inside > 0.5, centre, diameter, blur, s.occlusion * rng.uniform(0.5, 1)))
    return cells


class Renderer:
    """Turns sources into bins, chunk by chunk."""

    def __init__(self, rng, s, base, sources):
        self.s, self.sources = s, sources.list
        size = s.size_px
        time = np.arange(s.bins) / s.bins
        self.gain = (1 - s.bleaching * (1 - np.exp(-3 * time)) + s.flicker * rng.standard_normal(s.bins)).astype(np.float32)
        # Dense sources, a row each: neuropil modes; edges that move with the residual shifts.
        images, courses = [], []
        for _ in range(int(rng.integers(2, 8))):
            mode = np.abs(smooth_noise(rng, size, rng.uniform(12, 40)))
            images.append(base * mode)
            trace = course(rng, s, min(1.0, s.event_rate * rng.uniform(0.5, 4)), sources.common)
            courses.append(trace / (trace.std() + 1e-6) * s.neuropil_activity * rng.uniform(0.3, 1))
        still = base.copy()
        for k, trace in enumerate(courses):
            still += images[k] * trace.mean()
        for source in self.sources:
            still[source.rows, source.columns] += source.image * (source.constant + (0 if source.course is None else source.course.mean()))
        if s.jitter_px:
            gradient = np.gradient(still)
            knots = np.linspace(0, size - 1, s.jitter_bands) if s.jitter_bands > 1 else np.zeros(1)
            for axis in (0, 1):
                for k in range(s.jitter_bands):
                    hat = np.ones(size) if s.jitter_bands == 1 else np.interp(np.arange(size), knots, np.eye(s.jitter_bands)[k])
                    images.append((gradient[axis] * hat[:, None]).astype(np.float32))
                    shift = rng.standard_normal(s.bins) + 1.5 * gaussian_filter1d(rng.standard_normal(s.bins), 10) * 6
                    courses.append(shift / shift.std() * s.jitter_px)
        self.still = still
        self.images = np.stack(images).reshape(len(images), -1).astype(np.float32)
        self.courses = np.stack([c - c.mean() for c in courses]).astype(np.float32)
        self.means = [0.0 if source.course is None else float(source.course.mean()) for source in self.sources]
        mean_gain = float(self.gain.mean())
        # Mean over the bins of gain x signal, up to the small covariance of the two.
        self.mean = still * mean_gain
        self.noise = np.sqrt(np.maximum(self.mean, 0.01) / s.photons + s.read_noise**2 / max(s.photons, 4) * 4).astype(np.float32)
        self._noise_strip(rng)
        self._edges(rng)

    def _noise_strip(self, rng):
        """Noise comes from a long strip, a bin's from rows at a random place in it: independent from bin to bin, and nearly free."""
        s = self.s
        rows = max(4000, 2 * s.bins) + s.size_px
        noise = rng.standard_normal((rows, s.size_px), dtype=np.float32)
        skew = 1 / np.sqrt(s.photons)  # Poisson's, to first order
        noise += np.float32(skew / 6) * (noise * noise - 1)
        a = np.float32(s.noise_correlation)
        for axis in (0, 1):
            noise = (1 - 2 * a) * noise + a * (np.roll(noise, 1, axis) + np.roll(noise, -1, axis))
        noise /= noise.std()
        if s.line_noise:
            noise += np.float32(s.line_noise) * rng.standard_normal((rows, 1), dtype=np.float32)
        self.strip = noise

    def _edges(self, rng):
        s, size = self.s, self.s.size_px
        self.measured = np.ones((size, size), bool)
        self.missing = None
        for kind, width in (("never", s.never_measured_px), ("sometimes", s.missing_edge_px)):
            if not width:
                continue
            side = int(rng.integers(4))
            where = np.zeros((size, size), bool)
            np.rot90(where, side)[:width] = True
            if kind == "never":
                self.measured &= ~where
            else:
                # Row k from the edge is missing in a bin where that bin's excursion is larger than k.
                depth = np.zeros((size, size), np.float32)
                np.rot90(depth, side)[:width] = np.arange(width, 0, -1, dtype=np.float32)[:, None]
                self.missing = depth, (rng.exponential(width / 2.5, s.bins)).astype(np.float32), width

    def chunk(self, rng, start, stop):
        """u of `summary` for bins start .. stop: float32 [bins, size, size]."""
        s, size = self.s, self.s.size_px
        count = stop - start
        signal = (self.courses[:, start:stop].T @ self.images).reshape(count, size, size)
        for source, mean in zip(self.sources, self.means):
            if source.course is not None:
                change = source.course[start:stop] - np.float32(mean)
                signal[:, source.rows, source.columns] += change[:, None, None] * source.image
        gain = self.gain[start:stop] - self.gain.mean()
        if s.bleaching or s.flicker > 0.004:
            signal += gain[:, None, None] * self.still
        # Photon noise grows with the signal of the moment.
        scale = signal / np.maximum(self.mean, 0.05)
        scale += 1
        np.clip(scale, 0.2, 25, out=scale)
        np.sqrt(scale, out=scale)
        offsets = rng.integers(0, len(self.strip) - size, count)
        for k in range(count):
            rows = self.strip[offsets[k] : offsets[k] + size]
            shift = int(rng.integers(size))
            scale[k, :, shift:] *= rows[:, : size - shift]
            scale[k, :, :shift] *= rows[:, size - shift :]
        signal /= self.noise
        signal += scale
        signal *= np.float32(1 / s.noise_error)
        if self.missing is not None:
            depth, excursion, width = self.missing
            for k in np.flatnonzero(excursion[start:stop] > 1):
                signal[k][depth > width + 1 - excursion[start + k]] = 0
        return signal


def rate_cells(s, cells, base, renderer):
    """Visibility and activity of every cell, signal over noise."""
    # What the tissue alone shows at the scale of a body, here and there: that is what a cell has to stand out of.
    detail = gaussian_filter(base - gaussian_filter(base, s.diameter_px), s.diameter_px / 4)
    local = np.sqrt(gaussian_filter(np.minimum(detail**2, 4 * (detail**2).mean()), 2 * s.diameter_px))
    floor = np.hypot(0.015 * np.median(base), np.median(renderer.noise) / np.sqrt(s.bins * np.pi * s.diameter_px**2 / 4))
    spread = np.hypot(np.maximum(local, 0.5 * local.mean()), floor)
    visibility, activity = [], []
    for cell in cells:
        source = cell.source
        image = source.image
        bright = image > 0.5 * image.max()
        level = source.constant + (0 if source.course is None else source.course.mean())
        behind = base[source.rows, source.columns]
        net = level * image - cell.occlusion * behind
        visibility.append(float((net / spread[source.rows, source.columns])[bright].mean()) if bright.any() else 0.0)
        if source.course is None:
            activity.append(0.0)
            continue
        norm = np.sqrt(((image / renderer.noise[source.rows, source.columns]) ** 2)[cell.inside].sum()) if cell.inside.any() else 0.0
        change = (source.course - np.median(source.course)) * norm
        energy = (change**2).sum() / np.sqrt(2 * s.bins)
        activity.append(float(max(change.max(), min(energy, 3 * ACTIVITY_SURE) if change.max() > ACTIVITY_UNSURE else 0.0)))
    return np.array(visibility), np.array(activity)


def paint(cells, ratings, size):
    """Label image: pixels of overlapping bodies go to the nearest centre. Cells whose rating is -1 are left out.

    Returns int16 [size, size] and int8 [cells + 1], 1 for the labels that kept enough pixels inside the frame.
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
    whole = np.bincount(labels.ravel(), minlength=len(cells) + 1) >= SMALLEST_BODY_PX
    return labels, whole.astype(np.int8)


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
    visibility, activity = rate_cells(s, cells, blurred, renderer)
    focus = np.array([np.sqrt(max(cell.blur**2 - s.blur_px**2, 0)) / cell.diameter for cell in cells])

    def grade(value, unsure, sure):
        return np.where(value > sure, 1, np.where(value > unsure, 0, -1))

    sharp = -grade(focus, FOCUS_SURE, FOCUS_LOST)
    seen = np.minimum(grade(visibility, VISIBILITY_UNSURE, VISIBILITY_SURE), sharp)
    fires = np.minimum(grade(activity, ACTIVITY_UNSURE, ACTIVITY_SURE), sharp)
    labels, whole = paint(cells, np.maximum(seen, fires), s.size_px)
    labels[~renderer.measured] = 0
    # Too little of a body inside the frame: unsure at best.
    seen, fires = (np.minimum(np.concatenate([[-1], r]), whole).astype(np.int8) for r in (seen, fires))
    return Field(images, mean.astype(np.float32), renderer.measured, labels, seen, fires, s)
