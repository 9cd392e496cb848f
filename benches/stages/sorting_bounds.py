"""Bytes and operations of every sorting kernel on one recording, and what they imply for a device: counted from the layouts, not measured.

usage: sorting_bounds.py [CHANNELS SECONDS] [--units N] [--skew] [--moves] [--bandwidth GB/s] [--gflops GFLOP/s] [--bus GB/s] [--disk GB/s]

A buffer counts once each time that a kernel reads or writes it. A cache of a few MB is assumed: it saves what workgroups that run side by side share
(those that are saved are listed below the table), but no window, nor what stands between two reads of it. Tables that all blocks share (weights, shapes,
templates, their products) are not counted. Operations are additions and multiplications that the WGSL does, idle lanes of its vectors as well; addresses
and comparisons are not counted. Time that a kernel waits (`highpass_filter` and `match_templates` go step by step) is not bounded.

Defaults of somata at 30 kHz, 16 bits, contacts as on Neuropixels 1.0, one shank, whitened data kept. Data decide the rest: assumed are 6.5 spikes a second
of a unit, as many peaks as spikes, 1.5 and 1.2 times as many templates as units in the first two matchings, 10.8 channels of a template (3103 entries of
288 units, measured), 20 units that it interacts with, itself included, 1.75 clusters a channel, a spike in three subtracted anew in a sweep, a rarest unit
of 0.5 Hz. `--skew`: multiplexed converters. `--moves`: tissue that moves (a second detection, blocks one by one, templates alike).
"""
import argparse
import math

import bounds

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("channels", nargs="?", type=int, default=384)
parser.add_argument("seconds", nargs="?", type=float, default=60)
parser.add_argument("--units", type=int, default=200)
parser.add_argument("--skew", action="store_true", help="undo the sampling skew")
parser.add_argument("--moves", action="store_true", help="correct motion")
bounds.add_device(parser)
a = parser.parse_args()

FS, BLOCK, MARGIN, TILE = 30_000, 16_384, 1_024, 32
TAPS, SHAPE_TAPS, SHAPES, SIZES, COMPONENTS, DELAY_TAPS, RANK_LANES, ROUNDS, SWEEPS, JITTER = 120, 60, 6, 3, 6, 33, 4, 3, 3, 8
C, T, W = a.channels, int(a.seconds * FS), BLOCK + 2 * MARGIN
N = C * W  # values of a window
blocks = math.ceil(T / BLOCK)

contacts = [((32, 0, 48, 16)[c % 4], c // 2 * 20) for c in range(C)]


def within(radius):
    return [[n for n in range(C) if math.dist(contacts[c], contacts[n]) <= radius] for c in range(C)]


def widest(rows):
    return max(map(len, rows))


def mean(rows):
    return sum(map(len, rows)) / len(rows)


whitening, footprint, feature, motion = within(100), within(75), within(50), within(90)
columns = sum(len(set(sum(whitening[c:c + 32], []))) for c in range(0, C, 32)) / C  # values that 32 channels are whitened from, a value
waveform, length = min(C, 96), widest(feature) * COMPONENTS

units = a.units * (1.5 + 1.2 + 1) / ROUNDS  # templates of a matching, on average
reach, pairs = min(C, 3103 / 288), min(units, 20)
rate = 6.5 * a.units / FS
own, listed = rate * BLOCK, rate * (BLOCK + 8 * TAPS)  # events of a block; spikes that matching looks for, well into the margins
tiles, touched = W / TILE, 2 * TAPS / TILE + 1
lags = pairs * (2 * TAPS - 1)  # scores that a spike changes
subtractions = listed * (1 + SWEEPS / 3)

# Blocks of the survey that tells bad channels, which has no reference, of the other, and of the deviations of waveforms
bad, survey = (min(math.ceil(max(min(s * FS, (160 << 20) / 4 / C), BLOCK) / 8192), max(T // BLOCK, 1)) for s in (4, max(14, 240 / C)))
deviations = min(blocks, math.ceil(100 / (0.5 * BLOCK / FS)))
raw, corrected = bad + survey + blocks + deviations, blocks if a.moves else 0
together = 1 if a.moves else min(64, max(1, (1 << 30) // (4 * N)))
most = max(100, min(6000, (192 << 20) / 4 / length / C))  # events of a channel that are clustered
clustered, labels = min(own, most * C / blocks), 1.75 * C
sums = 4 * waveform * TAPS * labels * (1 - math.exp(-clustered * together / labels)) / together  # of the labels that a chunk has, for a block
passes_kept = 2 * ROUNDS + (corrected > 0)

# kernel, calls in blocks, bytes, operations
ROWS = [
    ("decode_samples", raw, 6 * N, 2 * N),
    ("phase_shift", raw if a.skew else 0, 8 * N, 2 * DELAY_TAPS * N),
    ("highpass_filter", raw, 16 * N, 30 * N),  # forward and backward, in place
    # Held in workgroup memory for 16 passes and one for the value after an even median's first; read again and written to subtract
    ("common_reference", raw - bad if C >= 16 else 0, 4 * (3 if C <= 424 else 19) * N, (3 * 16 + 2) * N),
    ("whiten", blocks, 4 * (columns + 1) * N, 2 * mean(whitening) * N),
    ("pack_samples", blocks, 6 * N, N),
    ("unpack_samples", blocks * (1 + passes_kept), 6 * N, N),
    # Footprints of 188 samples for 128, then every shape with four sizes side by side
    ("score_footprints", 2 * blocks + corrected, 8 * N,
     (188 / 128 * 2 * SIZES * widest(footprint) + 2 * 4 * SHAPES * SHAPE_TAPS) * N),
    ("detect_peaks", 2 * blocks + corrected, 4 * C * BLOCK + 16 * own, 0),
    ("localize_peaks", 2 * blocks + corrected, own * (4 * SHAPE_TAPS * mean(footprint) + 32),
     own * (2 * SHAPE_TAPS * (SHAPES + mean(footprint)) + 7 * mean(footprint))),
    ("project_features", (2 + ROUNDS) * blocks + corrected, own * (4 * SHAPE_TAPS * mean(feature) + 16 + 4 * length),
     own * 2 * SHAPE_TAPS * COMPONENTS * mean(feature)),
    # Templates are in the order of their events, not of place: every unit reads its channels. 256 samples are projected for 128
    ("score_templates", ROUNDS * blocks, 4 * (reach + 1) * units * W, 2 * RANK_LANES * (256 / 128 * reach + TAPS) * units * W),
    ("(match_scratch to 0)", ROUNDS * blocks, units * (W + 8 * tiles), 0),
    # All scores and the best of their tiles; for each spike scores, tiles around; for each that is decided again a few scores
    ("match_templates", ROUNDS * blocks, units * (4 * W + 12 * tiles) + subtractions * 8 * lags + listed * touched * (8 * pairs + 4 * units)
     + SWEEPS * listed * 4 * pairs * (2 * JITTER + 1),
     subtractions * 2 * lags + SWEEPS * listed * 2 * pairs * (2 * JITTER + 1)),
    # What no spike touches is neither read nor written
    ("subtract_templates", (2 * ROUNDS - 1) * blocks, 8 * min(N, listed * reach * TAPS) + 16 * listed, listed * 2 * reach * TAPS),
    ("interpolate_motion", corrected * (1 + 2 * ROUNDS), 8 * N, 2 * mean(motion) * N),
    # A value read, its sum read and written
    ("sum_waveforms", ROUNDS * blocks, sums + clustered * 12 * waveform * TAPS, clustered * 3 * waveform * TAPS),
]
# Bytes of a call that workgroups ask for beside those, each its own loads once: a cache has them
SHARED = {
    "phase_shift": 4 * (DELAY_TAPS - 1) * N,
    "score_footprints": 4 * (188 / 128 * widest(footprint) - 1) * N,
    "score_templates": 4 * (256 / 128 - 1) * reach * units * W,
    "match_templates": subtractions * 4 * lags + listed * pairs * touched * 4 * (TILE + 2),
    "subtract_templates": N / 64 * (8 * math.log2(max(listed, 2)) + rate * (64 + TAPS) * (20 + 4 * reach)),
    "interpolate_motion": 4 * (mean(motion) - 1) * N,
}
# Bytes of a call that invocations read from the memory of their workgroup: a vector for three shapes, and one for each product of a template
WORKGROUP = {"score_footprints": 16 * SHAPES / 3 * SHAPE_TAPS * N, "score_templates": 16 * TAPS * units * W}

ROWS = [row for row in ROWS if row[1] > 0]
least_s = bounds.print_table(f"{C} channels, {a.seconds:g} s, {blocks} blocks, {a.units} units", "calls, in blocks", ROWS, a)

asked, local = ({kernel: calls * table[kernel] / 1e9 for kernel, calls, *_ in ROWS if kernel in table} for table in (SHARED, WORKGROUP))
print("\nAsked of the cache beside these: " + ", ".join(f"{kernel} {gb:,.0f} GB" for kernel, gb in asked.items()) + ".")
print("Read from workgroup memory, and how long at half a byte an operation, as cards have it: "
      + ", ".join(f"{kernel} {gb:,.0f} GB, {gb / a.gflops * 2:.3g} s" for kernel, gb in local.items()) + ".")
# Peaks, positions and spikes are 16 bytes, and lists come back with all the room that they have.
lists = (2 * blocks + corrected) * (256 + 24 * C) * (32 + 4 * length) + ROUNDS * blocks * (256 + 8 * C) * (16 + 4 * length)
file, read, kept = 2 * C * T / 1e9, raw * 2 * N / 1e9, blocks * 2 * N / 1e9
up, down = read + passes_kept * kept, kept + ((bad + survey + deviations) * 4 * N + ROUNDS * blocks * sums + lists) / 1e9
disk = read + (1 + passes_kept) * kept
print(f"Kernels alone: {a.seconds / least_s:,.0f} × real time at most. The file is {file:.2f} GB; with margins {read:.2f} GB of it are read "
      f"(survey, detection, waveforms), and {kept:.2f} GB kept are written once and read {passes_kept} times:\nover the bus {up:.2f} GB and {down:.2f} GB back, {(up + down) / a.bus:.2f} s "
      f"({a.seconds / ((up + down) / a.bus):,.0f} × real time; both ways at once {max(up, down) / a.bus:.2f} s),"
      f" from and to the disk {disk / a.disk:.2f} s ({a.seconds / (disk / a.disk):,.0f} × real time; reading the file once alone {file / a.disk:.2f} s).")
