"""What is in a generated field: tissue, cells, and all that is bright or active and no cell. Each is an image and a time course."""
import dataclasses

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from scipy.signal import lfilter

from settings import chance, log_uniform

# Blur of a cell as a fraction of its diameter: in focus below the first, background above the second.
FOCUS_SURE, FOCUS_LOST = 0.15, 0.26


@dataclasses.dataclass
class Source:
    """An image in a box of the frame, and its brightness: a constant and a time course (or None)."""

    rows: slice
    columns: slice
    image: np.ndarray
    constant: float
    course: np.ndarray | None = None


@dataclasses.dataclass
class Cell:
    """A cell in the making: its source, its body in the source's box, and the blur that it has."""

    source: Source
    inside: np.ndarray
    centre: np.ndarray
    diameter: float
    blur: float
    occlusion: float


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
    radius, stretch, angle = diameter / 2, np.exp(rng.normal(0, 0.15)), rng.uniform(0, np.pi)
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
        grain = gaussian_filter(rng.standard_normal(image.shape), rng.uniform(0.6, 2))
        image *= np.clip(1 + rng.uniform(0, 0.45) * grain / (grain.std() + 1e-6), 0.1, 2.5)
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

    def bright():
        return s.brightness * np.exp(rng.normal(0, 0.6))

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
