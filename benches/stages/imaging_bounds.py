"""Bytes and operations of every imaging kernel on one movie, and what they imply for a device: counted from the layouts, not measured.

usage: imaging_bounds.py [SIZE FRAMES] [--bandwidth GB/s] [--gflops GFLOP/s] [--bus GB/s] [--disk GB/s]

A buffer counts once each time that a kernel reads or writes it (a cache can save reads that several kernels or invocations share, never the first
one). Tables that all frames of a call share (reference, model, filter, weights of the network) are not counted: they are read from the cache.
Operations are additions and multiplications of 32-bit floats; addresses and comparisons are not counted. Defaults of somata, decay of 0.7 s at
30 Hz, a cell of 13 px for 600 pixels.
"""
import argparse
import math

import bounds

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("size", nargs="?", type=int, default=512)
parser.add_argument("frames", nargs="?", type=int, default=5000)
bounds.add_device(parser)
a = parser.parse_args()

P, T = a.size**2, a.frames
BIN, STEPS, KNOTS, REFERENCE_FRAMES = 10, 3, (6, 4), 300
bins, cells = T // BIN, P / 600
body, support = math.pi * 6.5**2, math.pi * 9.5**2  # pixels of a cell, and of what its footprint may grow to
shrink = 2 if a.size >= 96 else 1
while a.size / shrink > 256 and a.size / shrink > 256:
    shrink *= 2
side = 2 ** math.ceil(math.log2(a.size / shrink))
C = side**2 / 2  # complex numbers of a frame: two frames share an image
fft = 5 * C * math.log2(side)  # of one axis, either direction
row_sums = 4 * a.size * (6 + 2 * KNOTS[1])
entries = 4 * P + cells * body  # four hats a pixel, and the cells
tiles = math.ceil(1.2 * a.size / 224) ** 2 if a.size > 208 else 1
macs = tiles * 224**2 * 43_900

# kernel, calls a movie (in units of the count after it), bytes, operations
ROWS = [
    ("decode_frames", 2 * T + REFERENCE_FRAMES, 6 * P, 2 * P),
    ("shrink_frames", T, 4 * P + 8 * C, 2 * P),
    ("transform_rows", 2 * T, 16 * C, fft),
    ("filter_columns", T, 16 * C, 2 * fft + 6 * C),
    ("find_shifts", T, 4 * (2 * 0.15 * side) ** 2, 0),
    ("sum_gradients", STEPS * T, 4 * P + row_sums, 38 * P),
    ("solve_shifts", (STEPS + 1) * T, row_sums + 8 * 48, 4 * 48**2 + row_sums / 2),
    ("move_frames", 2 * T, 8 * P, 60 * P),
    ("bin_frames", T, 4 * P + (4 * P + 20 * P / 8) / BIN, 14 * P),
    ("standardise_bins", 2 * bins, 8 * P, 2 * P),
    ("box_means", 4 * bins, 8 * P, 26 * P),
    ("sum_bins", bins, 8 * P, 26 * P),
    ("convolve", 2, 2 * 4 * tiles * 224**2 * 4 * (12 * 9 + 24 * 9 / 4 + 48 * 9 / 16 + 96 * 9 / 64), 2 * macs),
    ("project_footprints", T + 4 * bins, 4 * P + 8 * entries / 4, 2 * entries),
    ("correlate_traces", 3 * bins, 4 * cells * support * 2, 2 * cells * support),
    ("deconvolve", cells, 4 * 4 * T, 4 * 105 * T * (6 + 18 * 0.05)),
]

least_s = bounds.print_table(f"{a.size} × {a.size} pixels, {T} frames, {bins} bins, {cells:.0f} cells", "calls for a frame, bin, image or cell", ROWS, a)
raw = 2 * P * T / 1e9
print(f"\nKernels alone: {T / least_s:,.0f} frames/s at most. The file is {raw:.2f} GB and read twice: over the bus {2 * raw / a.bus:.2f} s ({T / (2 * raw / a.bus):,.0f} frames/s), "
      f"from the disk {2 * raw / a.disk:.2f} s ({T / (2 * raw / a.disk):,.0f} frames/s; a second reading that the system's cache serves halves it).")
