"""Golden outputs of imaging kernels, by numpy, scipy, Pillow and OpenCV: an anchor for the native twins.

usage: make_imaging.py OUT.json
Inputs are made from formulas on both sides; `imaging.rs` beside this file has the same.
Made with numpy 2.0, scipy 1.17, Pillow 13.0 and opencv-python-headless 5.0.
"""
import json, sys
import cv2
import numpy as np
from PIL import Image
from scipy.interpolate import RegularGridInterpolator
from scipy.ndimage import map_coordinates, uniform_filter1d


def signal(n, channels, offset=0):
    """[n, channels]: slow and fast sines and a repeatable jitter, as in make_kernels.py; single precision."""
    t = np.arange(n)[:, None]
    c = np.arange(channels)[None] + offset
    jitter = (t * 7919 + c * 104729) % 97 - 48
    return (100 * np.sin(0.01 * (c + 1) * t) + 20 * np.sin(1.3 * t + c) + jitter).astype(np.float32)


out = {}


def store(name, values, digits=5):
    out[name] = [round(float(v), digits) for v in np.ravel(values)]


# Pixel types: arbitrary bytes, read as numpy reads them. A float that is not a number, infinite or beyond 1e9 becomes 0.
n = 2 * 3 * 5
for kind in ("i2", "u2", "i4", "f4", "u1", "i1", "u4"):
    size = int(kind[1])
    raw = ((np.arange(n * size) * 7919 + 13) % 251 + 5).astype(np.uint8)
    if kind == "f4":
        # Not a number, both infinities, 2e9, and a negative zero among the rest.
        raw[: 5 * 4] = np.array([np.nan, np.inf, -np.inf, 2e9, -0.0], "<f4").view(np.uint8)
    pixels = raw.view("<" + kind)
    with np.errstate(invalid="ignore"):
        pixels = pixels.astype(np.float32)
        if kind == "f4":
            pixels = np.where(np.abs(pixels) <= 1e9, pixels, 0)
    out["decode_" + kind] = [float(v) for v in pixels]


def keys_shift(image, y, x, height, width):
    """`height` by `width` pixels from place (y, x) on, by Pillow's bicubic filter (Keys 1981, a = -1/2)."""
    source = Image.fromarray(image.astype(np.float32))
    box = (x, y, x + width, y + height)
    return np.asarray(source.resize((width, height), Image.Resampling.BICUBIC, box=box))


# Odd rows moved by the bidirectional offset; beyond the row, its last pixel again.
rows = (np.arange(4 * 12) * 7919 % 4001 - 2000).astype(np.int16).reshape(4, 12)
for name, offset in (("right", 0.4), ("left", -1.75)):
    moved = rows.astype(np.float32)
    for y in (1, 3):
        padded = np.pad(rows[y].astype(np.float32), 4, "edge")[None].repeat(9, 0)
        moved[y] = keys_shift(padded, 4, 4 + offset, 1, 12)[0]
    store("offset_" + name, moved, 3)

# Rigid shifts: pixels whose taps all lie in the frame.
height, width, margin = 16, 42, 5
frame = signal(height, width)
store("rigid", [
    keys_shift(frame, margin + dy, margin + dx, height - 2 * margin, width - 2 * margin)
    for dy, dx in ((0.25, 0.5), (1.7, -2.3), (-0.6, 3.9))
], 3)

# A field of shifts with its knots on borders of tiles, and no tile in which the whole part of a shift changes: there the kernels
# are exactly bilinear in the field.
height, width, knot_rows, knot_columns = 9, 65, 3, 3
frame, reference = signal(height, width, 3), signal(height, width, 50)
knots = np.empty((2, knot_rows, knot_columns))
for r in range(knot_rows):
    for c in range(knot_columns):
        knots[0, r, c] = 0.5 + 0.3 * np.sin(1.0 + 2 * r + 3 * c)
        knots[1, r, c] = 1.5 + 0.3 * np.cos(2.0 + r - 2 * c)
grid = (np.linspace(0, height - 1, knot_rows), np.linspace(0, width - 1, knot_columns))
y, x = np.mgrid[:height, :width].astype(float)
shift_y, shift_x = (
    RegularGridInterpolator(grid, axis)(np.stack([y, x], -1)) for axis in knots.astype(np.float32).astype(float)
)
at_y, at_x = y + shift_y, x + shift_x
inside = (at_y >= 0) & (at_y <= height - 1) & (at_x >= 0) & (at_x <= width - 1)


def keys_kernel(s, a=-0.5):
    """Equation 15 of Keys (1981) for any a."""
    s = np.abs(s)
    near = (a + 2) * s**3 - (a + 3) * s**2 + 1
    far = a * s**3 - 5 * a * s**2 + 8 * a * s - 4 * a
    return np.where(s < 1, near, np.where(s < 2, far, 0.0))


moved = np.zeros((height, width))
for dy in range(-1, 3):
    for dx in range(-1, 3):
        row, column = np.floor(at_y) + dy, np.floor(at_x) + dx
        weight = keys_kernel(at_y - row) * keys_kernel(at_x - column)
        clipped = np.clip(row, 0, height - 1).astype(int), np.clip(column, 0, width - 1).astype(int)
        moved += weight * frame[clipped]
store("field", np.where(inside, moved, reference), 3)
spans = [(np.flatnonzero(row)[0], np.flatnonzero(row)[-1] + 1) if row.any() else (0, 0) for row in inside]
store("field_spans", spans, 0)

# The sums of a Gauss-Newton step: the same field, bilinear.
zero = 7.0
model = [signal(height, width, 100 + 10 * k).astype(float) / 50 for k in range(5)]
value = map_coordinates(frame.astype(float), [at_y, at_x], order=1, mode="nearest") - zero
value = np.where(inside, value, model[0])
place = np.arange(width) * (knot_columns - 1) / (width - 1)
hats = np.maximum(0, 1 - np.abs(place[None] - np.arange(knot_columns)[:, None]))
sums = [
    [(model[1] * value)[r].sum(), (model[2] * value)[r].sum(), (model[1] * value**2)[r].sum()]
    + [(part * ~inside)[r].sum() for part in (model[1], model[1] * value, model[2] * value)]
    + [(model[3] * value)[r] @ hat for hat in hats]
    + [(model[4] * value)[r] @ hat for hat in hats]
    for r in range(height)
]
store("gradients", sums, 3)

# Fourier transforms, [image, row, column, 2].
def interleaved(z):
    return np.stack([z.real, z.imag], -1)


z = signal(2 * 3 * 32, 2).astype(float).reshape(2, 3, 32, 2) @ np.array([1, 1j])
store("transform", interleaved(np.fft.fft(z, axis=2)), 3)
store("transform_inverse", interleaved(np.fft.ifft(z, axis=2) * 32), 3)
z = signal(2 * 16 * 5, 2, 4).astype(float).reshape(2, 16, 5, 2) @ np.array([1, 1j])
weights = signal(16 * 5, 2, 9).astype(float).reshape(16, 5, 2) @ np.array([1, 1j]) / 1000
store("filter", interleaved(np.fft.ifft(np.fft.fft(z, axis=1) * weights, axis=1) * 16), 2)

# Means over the pixels of a line that exist.
images = signal(2 * 7 * 11, 1, 2).reshape(2, 7, 11).astype(float)
for axis in (0, 1):
    for radius in (0, 2, 6):
        size, along = 2 * radius + 1, 2 - axis
        total = uniform_filter1d(images, size, axis=along, mode="constant")
        count = uniform_filter1d(np.ones_like(images), size, axis=along, mode="constant")
        store(f"box_{axis}_{radius}", total / count, 4)

# Pixels that follow flows: Euler steps, bilinear, kept inside.
height, width, steps = 21, 26, 7
y, x = np.mgrid[:height, :width].astype(float)
flow_y = (0.8 * np.sin(0.35 * y + 0.2 * x)).astype(np.float32).astype(float)
flow_x = (0.8 * np.cos(0.25 * x - 0.3 * y)).astype(np.float32).astype(float)
at = np.stack([y.ravel(), x.ravel()])
for _ in range(steps):
    move = np.stack([map_coordinates(flow, at, order=1, mode="nearest") for flow in (flow_y, flow_x)])
    at = np.clip(at + move, 0, [[height - 1], [width - 1]])
# Ends so near a border of pixels that single precision may put them on the other side are not compared; those at the
# edge of the image are clamped there and are.
fraction = at - np.round(at)
at_edge = (at == 0) | (at == [[height - 1], [width - 1]])
is_sure = ((np.abs(fraction) > 1e-3) | at_edge).all(0)
ends = np.where(is_sure, np.floor(at[0]) * width + np.floor(at[1]), -1)
assert is_sure.mean() > 0.95 and len(set(ends)) > 30
store("ends", ends, 0)

# Images brought to another size, as OpenCV does it.
image = signal(9, 14, 6)
for rows_to, columns_to in ((9, 14), (4, 7), (13, 29), (5, 33), (1, 1)):
    resized = cv2.resize(image, (columns_to, rows_to), interpolation=cv2.INTER_LINEAR)
    store(f"resize_{rows_to}_{columns_to}", resized, 3)

with open(sys.argv[1], "w") as file:
    json.dump(out, file)
    file.write("\n")
